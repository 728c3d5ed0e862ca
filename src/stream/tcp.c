/* Connecting by tcp, to a process or to one of several servers that do the same. Connecting never blocks: the kernel is asked to, and reports when
 * it has come to something. A listener that is not there yet is tried again at growing distances until the time is over, since
 * nothing reports when a process begins to listen. What hangs is given up after a time, too.
 *
 * Invariant: a connection is closed only when what was written has arrived, or its time is over. A socket that is
 * closed while bytes stand in it unread, or still come, resets the connection, and what the other side has not taken
 * yet is lost; so the end of the other side is read before. */
#include "stream/lookup.h"
#include "stream/open.h"
#include "stream/secure.h"
#include "stream/servers.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

enum {
        HANG_MS = 5000,                 /* for a host that neither answers nor refuses */
        CONNECT_MIN_MS = 1000,          /* reaching a host, or looking it up, is no waiting for a process to listen, which may be short */
        RETRY_FIRST_NS = 1000000,
        RETRY_MAX_NS = 500000000,
        DISCARDS_PER_ROUND = 16,
};

/* Closing ---------------------------------------------------------------------------------------------- */

static void discard(struct loop_source *source, uint32_t events)
{
        struct stream *stream = container_of(source, struct stream, in_sources[0]);
        char bytes[4096];
        ssize_t got = 1;

        (void)events;
        if (stream->secure)
                loop_source_set(source, secure_flush(stream->secure) ? EPOLLIN | EPOLLOUT : EPOLLIN);
        for (int i = 0; i < DISCARDS_PER_ROUND && got > 0; i++)
                got = endpoint_read(&stream->inputs[0], bytes, sizeof bytes);
        if (got <= 0 && got != -EAGAIN)
                stream_closed(stream, 0, "this side closed the session");
}

static void discarded_enough(struct loop_timer *timer)
{
        stream_closed(container_of(timer, struct stream, linger), 0, "this side closed the session");
}

/* We have said that we write no more. */
static bool wait_for_end(struct stream *stream, int64_t grace_ns)
{
        if (grace_ns == 0 || stream->inputs[0].way == ENDPOINT_NONE || stream->is_input_ended[0] ||
            stream->output_error)
                return false;
        stream->in_sources[0].fn = discard;
        if (loop_source_set(&stream->in_sources[0], stream->secure && secure_flush(stream->secure) ? EPOLLIN | EPOLLOUT : EPOLLIN) < 0)
                return false;
        stream->linger.fn = discarded_enough;
        loop_timer_start(stream->loop, &stream->linger, grace_ns == INT64_MAX ? grace_ns : sys_now() + grace_ns);
        return true;
}

const struct stream_kind stream_tcp_accepted = { .name = "tcp", .close = wait_for_end };

/* Connecting ------------------------------------------------------------------------------------------- */

struct tcp_stream {
        struct stream stream;
        bool is_any;                    /* each server will do; else there is one */
        struct servers *servers;
        int server;                     /* the server that is tried … */
        int at;                         /* … at that of its addresses */
        struct lookup *lookup;          /* has the addresses of a server with a name; NULL: they are known, or not looked up yet */
        struct loop_source source;      /* of a connection that has come to nothing yet; fd -1: there is none */
        struct loop_timer timer;        /* until that, or a lookup, has taken too long; else until the next try */
        int64_t began;
        int64_t wait_ns;                /* for a process to listen */
        int64_t pause_ns;
        bool is_awaited;                /* one of the servers was absent in this round */
        struct error failure;           /* of the last lookup, if nothing was tried since */
        struct secure_means *means;     /* NULL: no TLS and no key is needed, as far as is known */
};

static const struct server *server_of(const struct tcp_stream *client)
{
        return &client->servers->all[client->server];
}

/* The addresses of the server that is tried; 0: they are not known. */
static int list_addresses(const struct tcp_stream *client, const union inet_address **ret)
{
        *ret = client->lookup ? client->lookup->addresses : server_of(client)->addresses;
        return client->lookup ? client->lookup->count : server_of(client)->count;
}

static const union inet_address *address_of(const struct tcp_stream *client)
{
        const union inet_address *addresses;

        list_addresses(client, &addresses);
        return &addresses[client->at];
}

static void forget_lookup(struct tcp_stream *client)
{
        if (client->lookup)
                lookup_free(client->lookup);
        client->lookup = NULL;
}

static void select_server(struct tcp_stream *client, int server)
{
        forget_lookup(client);
        client->server = server;
        client->at = 0;
}

/* Let go of what is not a connection yet. */
static void hang_up(struct tcp_stream *client, bool is_foreign)
{
        loop_timer_stop(client->stream.loop, &client->timer);
        if (client->source.fd < 0)
                return;
        if (!is_foreign)
                loop_source_set(&client->source, 0);
        sys_close(client->source.fd);
        client->source.fd = -1;
}

static void forget_means(struct stream *stream)
{
        struct tcp_stream *client = container_of(stream, struct tcp_stream, stream);

        secure_means_free(client->means);
        client->means = NULL;
}

static void release(struct stream *stream, bool is_foreign)
{
        struct tcp_stream *client = container_of(stream, struct tcp_stream, stream);

        hang_up(client, is_foreign);
        forget_lookup(client);
        error_deinit(&client->failure);
        forget_means(stream);
        sys_free(client->servers);
        client->servers = NULL;
}

static int64_t deadline(const struct tcp_stream *client, int64_t wait_ns)
{
        return wait_ns == INT64_MAX ? wait_ns : client->began + wait_ns;
}

static enum stream_hope hope(const struct stream *stream)
{
        const struct tcp_stream *client = container_of(stream, const struct tcp_stream, stream);

        if (!client->servers)
                return HOPE_NONE;
        if (client->server + 1 < client->servers->count)
                return HOPE_NOW;
        if (client->is_awaited && sys_now() < deadline(client, client->wait_ns))
                return HOPE_SOON;
        return client->servers->may_recover ? HOPE_LATER : HOPE_NONE;
}

static int open_next(struct stream *stream, int code, struct stream **ret_stream, struct error *error);

static int secure(struct stream *stream, const struct wire_greeting *greeting, bool has_more, struct error *error)
{
        struct tcp_stream *client = container_of(stream, struct tcp_stream, stream);
        const struct server *server = server_of(client);
        int code = 0;

        if (!greeting->is_tls_required && !server->is_secure && !(client->means && client->means->is_wanted))
                return 0;
        if (!greeting->is_tls_required && !greeting->is_tls_offered)
                return error_set(error, -EOPNOTSUPP, "the NATS server at '%s' does not offer TLS, which %s", server->host,
                                 server->is_secure ? "its URL asks for: tls://" : "a file of certificates asks for");
        if (has_more)
                return error_set(error, -EBADMSG, "the NATS server at '%s' has sent more in the clear behind its greeting, though it is to"
                                                  " go on by TLS", server->host);
        if (!client->means)
                code = secure_means_of(&(ferry_session_options){ 0 }, true, &client->means, error);
        return code ? code : secure_start(stream, client->means, server->certified, server->is_address && server->certified == server->host, error);
}

static int prove(struct stream *stream, const char *nonce, struct wire_proof *ret, struct error *error)
{
        return secure_means_prove(container_of(stream, struct tcp_stream, stream)->means, nonce, ret, error);
}

static size_t proof_size(const struct stream *stream)
{
        const struct secure_means *means = container_of(stream, const struct tcp_stream, stream)->means;

        return means && means->identity ? means->identity->jwt_size + sizeof means->key + sizeof means->signature : 0;
}

static const struct stream_kind nats_kind = { .name = "nats", .is_client = true, .hope = hope, .open_next = open_next,
                                              .secure = secure, .prove = prove, .proof_size = proof_size, .forget_means = forget_means,
                                              .close = wait_for_end, .release = release };
static const struct stream_kind tcp_kind = { .name = "tcp", .is_client = true, .close = wait_for_end, .release = release };

/* A port at which no process listens may become our own, by chance: then we are connected to ourselves. */
static int check_other_side(const struct tcp_stream *client)
{
        const union inet_address *there = address_of(client);
        union inet_address here = { 0 };
        int code = sys_socket_name(client->source.fd, &here.any, sizeof here);

        if (code)
                return code;
        if (inet_port(&here) != inet_port(there))
                return 0;
        if (here.any.sa_family == AF_INET)
                return here.ipv4.sin_addr.s_addr == there->ipv4.sin_addr.s_addr ? -ECONNREFUSED : 0;
        return IN6_ARE_ADDR_EQUAL(&here.ipv6.sin6_addr, &there->ipv6.sin6_addr) ? -ECONNREFUSED : 0;
}

/* The kernel's connecting has come to something: 0, or why not, and then there is no socket. */
static int settle(struct tcp_stream *client)
{
        int result = 0, code = sys_get_socket_option(client->source.fd, SO_ERROR, &result, sizeof result);

        if (!code)
                code = -result;
        if (!code)
                code = check_other_side(client);
        if (!code)
                code = endpoint_init(&client->stream.inputs[0], client->source.fd, false, false);
        if (code) {
                hang_up(client, false);
                return code;
        }
        loop_timer_stop(client->stream.loop, &client->timer);
        loop_source_set(&client->source, 0);
        client->source.fd = -1;
        forget_lookup(client);
        client->stream.output = client->stream.inputs[0];
        client->stream.output.is_shared = true;
        return 0;
}

/* 0, -EINPROGRESS, or why not. */
static int connect_to(struct tcp_stream *client, const union inet_address *address)
{
        struct pollfd poll = { .events = POLLOUT };
        int fd = sys_socket(address->any.sa_family, SOCK_STREAM), code;

        if (fd < 0)
                return fd;
        client->source.fd = poll.fd = fd;
        code = sys_set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (!code)
                code = sys_connect(fd, &address->any, inet_size(address));
        /* On this machine that is a matter of the one call, as a rule, though it does not say so. */
        if (!code || (code == -EINPROGRESS && sys_poll(&poll, 1, 0) > 0))
                return settle(client);
        if (code != -EINPROGRESS)
                hang_up(client, false);
        return code;
}

static void is_looked_up(void *object);

/* The same: what is waited for is a connection or a lookup. */
static int dial(struct tcp_stream *client)
{
        const struct server *server = server_of(client);
        const union inet_address *addresses;
        int code;

        error_deinit(&client->failure);
        if (list_addresses(client, &addresses) > 0)
                return connect_to(client, &addresses[client->at]);
        code = lookup_start(client->stream.loop, server->host, server->port, is_looked_up, client, &client->lookup, &client->failure);
        return code ? code : -EINPROGRESS;
}

/* No process listens there, or what does is silent: waiting may help. */
static bool is_absent(int code)
{
        return code == -ECONNREFUSED || code == -ETIMEDOUT;
}

/* This side has run out of something: that would be so at any server. */
static bool is_exhausted(int code)
{
        return code == -ENOMEM || code == -EMFILE || code == -ENFILE;
}

/* Whether there is another address to try, or another server; else what there is to say of the host: where it has no IPv6, the
 * first. */
static bool turn_to_next(struct tcp_stream *client, int *code)
{
        const union inet_address *addresses;

        client->servers->may_recover = client->servers->may_recover || !error_is_final(*code);
        client->is_awaited = client->is_awaited || is_absent(*code);
        if (*code == -ECONNREFUSED || (client->is_any && !is_exhausted(*code))) {
                if (client->at + 1 < list_addresses(client, &addresses)) {
                        client->at++;
                        return true;
                }
                if (client->server + 1 < client->servers->count) {
                        select_server(client, client->server + 1);
                        return true;
                }
        }
        if (client->at > 0 && (*code == -EAFNOSUPPORT || *code == -EADDRNOTAVAIL || *code == -ENETUNREACH))
                *code = -ECONNREFUSED;
        select_server(client, 0);
        return false;
}

/* Until when a connection or a lookup that comes to nothing is waited for. One of several servers has that time for itself. */
static int64_t hang_deadline(const struct tcp_stream *client)
{
        int64_t hang_ns = (int64_t)HANG_MS * 1000000, wait_ns = client->wait_ns ? client->wait_ns : hang_ns;

        if (wait_ns < (int64_t)CONNECT_MIN_MS * 1000000)
                wait_ns = (int64_t)CONNECT_MIN_MS * 1000000;
        if (client->is_any)
                return sys_now() + (wait_ns < hang_ns ? wait_ns : hang_ns);
        return wait_ns == INT64_MAX ? wait_ns : client->began + wait_ns;
}

/* Nanoseconds until another round is worth it; 0: it is not. */
static int64_t next_pause(struct tcp_stream *client, int code)
{
        int64_t end = deadline(client, client->wait_ns), now = sys_now();
        bool is_awaited = client->is_any ? client->is_awaited && !is_exhausted(code) : is_absent(code);

        if (!is_awaited || end <= now)
                return 0;
        client->pause_ns = client->pause_ns ? client->pause_ns * 2 : RETRY_FIRST_NS;
        if (client->pause_ns > RETRY_MAX_NS)
                client->pause_ns = RETRY_MAX_NS;
        return client->pause_ns < end - now ? client->pause_ns : end - now;
}

static void begin_round(struct tcp_stream *client, int64_t pause)
{
        select_server(client, 0);
        client->is_awaited = client->servers->may_recover = false;
        loop_timer_start(client->stream.loop, &client->timer, sys_now() + pause);
}

/* A try has come to @code: go on until it is 0, or why not; -EINPROGRESS: something is waited for. */
static int proceed(struct tcp_stream *client, int code)
{
        int64_t pause;

        while (code && code != -EINPROGRESS && turn_to_next(client, &code))
                code = dial(client);
        if (code == -EINPROGRESS) {
                code = client->source.fd >= 0 ? loop_source_set(&client->source, EPOLLOUT) : 0;
                if (code) {
                        hang_up(client, false);
                        return code;
                }
                loop_timer_start(client->stream.loop, &client->timer, hang_deadline(client));
                return -EINPROGRESS;
        }
        pause = code ? next_pause(client, code) : 0;
        if (pause == 0)
                return code;
        begin_round(client, pause);
        return -EINPROGRESS;
}

static int describe_servers(const struct tcp_stream *client, int code, struct error *error)
{
        const struct server *last = &client->servers->all[client->servers->count - 1];
        const char *which = client->servers->count > 1 ? "any NATS server, the last one" : "the NATS server";
        const char *open = strchr(last->host, ':') ? "[" : "", *close = *open ? "]" : "";

        if (client->failure.code)
                return error_set(error, code, "cannot reach %s at '%s:%u': %s", which, last->host, (unsigned)ntohs(last->port),
                                 error_text(&client->failure));
        return error_set(error, code, "cannot reach %s at '%s%s%s:%u': %s%s", which, open, last->host, close,
                         (unsigned)ntohs(last->port), code == -ECONNREFUSED ? "no process listens there: " : "", error_describe(code));
}

static int describe(const struct tcp_stream *client, int code, struct error *error)
{
        char text[INET_TEXT_MAX];

        if (client->is_any)
                return describe_servers(client, code, error);
        inet_print("tcp", &client->servers->all[0].addresses[0], text);
        if (code == -ECONNREFUSED)
                return error_set(error, code, "no process listens at '%s': %s", text, error_describe(code));
        if (code == -ETIMEDOUT)
                return error_set(error, code, "no answer from '%s': %s", text, error_describe(code));
        return error_set(error, code, "cannot connect to '%s': %s", text, error_describe(code));
}

static void report(struct tcp_stream *client, int code)
{
        struct error error = { 0 };

        if (code == -EINPROGRESS)
                return;
        if (stream_come_up(&client->stream, &code))
                return;
        describe(client, code, &error);
        stream_fail(&client->stream, code, &error);
}

static void has_settled(struct loop_source *source, uint32_t events)
{
        struct tcp_stream *client = container_of(source, struct tcp_stream, source);

        (void)events;
        report(client, proceed(client, settle(client)));
}

static void is_looked_up(void *object)
{
        struct tcp_stream *client = object;
        int code = client->lookup->error.code;

        loop_timer_stop(client->stream.loop, &client->timer);
        if (code) {
                client->failure = client->lookup->error;
                client->lookup->error = (struct error){ 0 };
        } else
                code = dial(client);
        report(client, proceed(client, code));
}

static void time_is_over(struct loop_timer *timer)
{
        struct tcp_stream *client = container_of(timer, struct tcp_stream, timer);
        bool is_looking = client->lookup && lookup_is_running(client->lookup);

        if (client->source.fd < 0 && !is_looking) {
                report(client, proceed(client, dial(client)));
                return;
        }
        hang_up(client, false);
        if (is_looking) {
                error_set(&client->failure, -ETIMEDOUT, "looking up the host took too long");
                forget_lookup(client);
        }
        report(client, client->is_any ? proceed(client, -ETIMEDOUT) : -ETIMEDOUT);
}

static void init(struct tcp_stream *client, const struct stream_kind *kind, const struct stream_place *place, struct servers *servers)
{
        stream_init(&client->stream, kind, place);
        client->source = (struct loop_source){ .loop = place->loop, .fd = -1, .fn = has_settled };
        client->timer.fn = time_is_over;
        client->servers = servers;
        client->is_any = kind == &nats_kind;
}

/* The server that is connected is of no use, whatever it is that it says: the way goes on behind it, or from the beginning. */
static int open_next(struct stream *stream, int code, struct stream **ret_stream, struct error *error)
{
        const struct stream_place place = { .loop = stream->loop, .owner = stream->owner, .object = stream->object };
        struct tcp_stream *client = container_of(stream, struct tcp_stream, stream), *next = sys_alloc_zeroed(sizeof *next);

        if (!next)
                return error_set(error, -ENOMEM, "no memory for a stream");
        init(next, stream->kind, &place, client->servers);
        client->servers = NULL;
        next->means = client->means;
        client->means = NULL;
        next->wait_ns = client->wait_ns;
        next->began = client->began;
        next->pause_ns = client->pause_ns;
        next->is_awaited = client->is_awaited;
        next->servers->may_recover = next->servers->may_recover || !error_is_final(code);
        if (client->server + 1 == next->servers->count)
                begin_round(next, next_pause(next, code));
        else {
                select_server(next, client->server + 1);
                /* Its owner is not ready for it before the next round of the loop. */
                loop_timer_start(place.loop, &next->timer, sys_now());
        }
        *ret_stream = &next->stream;
        return 0;
}

/* Takes over the servers and the means. */
static int open_any_of(const struct stream_place *place, const struct stream_kind *kind, struct servers *servers,
                       struct secure_means *means, const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        struct tcp_stream *client = servers ? sys_alloc_zeroed(sizeof *client) : NULL;
        int code;

        if (!client) {
                secure_means_free(means);
                sys_free(servers);
                return error_set(error, -ENOMEM, "no memory for a stream");
        }
        init(client, kind, place, servers);
        client->means = means;
        client->wait_ns = options->wait_ms < 0 ? INT64_MAX : (int64_t)options->wait_ms * 1000000;
        client->began = sys_now();
        code = proceed(client, dial(client));
        if (code && code != -EINPROGRESS) {
                describe(client, code, error);
                stream_free(&client->stream);
                return code;
        }
        *ret_stream = &client->stream;
        return 0;
}

int stream_open_tcp(const struct stream_place *place, const char *text,
                    const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        union inet_address addresses[INET_ADDRESSES_MAX];
        int count = inet_parse(text, addresses);

        if (count < 0)
                return inet_refuse("tcp", text, error);
        if (inet_port(&addresses[0]) == 0 || inet_is_unspecified(&addresses[0]))
                return error_set(error, -EINVAL, "cannot connect to 'tcp:%s': port 0 is for listening", text);
        return open_any_of(place, &tcp_kind, servers_of_addresses(addresses, count), NULL, options, ret_stream, error);
}

int stream_open_nats(const struct stream_place *place, const char *text, const ferry_session_options *options,
                     struct stream **ret_stream, struct error *error)
{
        struct secure_means *means;
        struct servers *servers;
        bool is_secure = false;
        int code = servers_of_urls(options->nats_url ? options->nats_url : "nats://127.0.0.1", place->servers, &servers, error);

        (void)text;
        if (code)
                return code;
        for (int i = 0; i < servers->count; i++)
                is_secure = is_secure || servers->all[i].is_secure;
        code = secure_means_of(options, is_secure, &means, error);
        if (!code)
                return open_any_of(place, &nats_kind, servers, means, options, ret_stream, error);
        sys_free(servers);
        return code;
}
