/* Connecting by tcp, to a process or to one of several servers that do the same. Connecting never blocks: the kernel is asked to, and reports when
 * it has come to something. A listener that is not there yet is tried again at growing distances until the time is over, since
 * nothing reports when a process begins to listen. What hangs is given up after a time, too.
 *
 * Invariant: a connection is closed only when what was written has arrived, or its time is over. A socket that is
 * closed while bytes stand in it unread, or still come, resets the connection, and what the other side has not taken
 * yet is lost; so the end of the other side is read before. */
#include "stream/inet.h"
#include "stream/open.h"
#include "util/map.h"
#include "util/url.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

enum {
        HANG_MS = 5000,                 /* for a host that neither answers nor refuses */
        RETRY_FIRST_NS = 1000000,
        RETRY_MAX_NS = 500000000,
        DISCARDS_PER_ROUND = 16,
        SERVERS_MAX = 64,
        NATS_TEXT_MAX = INET6_ADDRSTRLEN + 16,
};

/* Closing ---------------------------------------------------------------------------------------------- */

static void discard(struct loop_source *source, uint32_t events)
{
        struct stream *stream = container_of(source, struct stream, in_sources[0]);
        char bytes[4096];
        ssize_t got = 1;

        (void)events;
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
        if (loop_source_set(&stream->in_sources[0], EPOLLIN) < 0)
                return false;
        stream->linger.fn = discarded_enough;
        loop_timer_start(stream->loop, &stream->linger, grace_ns == INT64_MAX ? grace_ns : sys_now() + grace_ns);
        return true;
}

const struct stream_kind stream_tcp_accepted = { .name = "tcp", .close = wait_for_end };

/* Connecting ------------------------------------------------------------------------------------------- */

struct tcp_stream {
        struct stream stream;
        bool is_any;                    /* each address is another server, and any will do */
        int at;                         /* the one that is tried */
        struct loop_source source;      /* of a connection that has come to nothing yet; fd -1: there is none */
        struct loop_timer timer;        /* until that has taken too long; else until the next try */
        int64_t began;
        int64_t wait_ns;                /* for a process to listen */
        int64_t pause_ns;
        int count;
        union inet_address addresses[];
};

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

static void release(struct stream *stream, bool is_foreign)
{
        hang_up(container_of(stream, struct tcp_stream, stream), is_foreign);
}

static const struct stream_kind nats_kind = { .name = "nats", .is_client = true, .close = wait_for_end, .release = release };
static const struct stream_kind tcp_kind = { .name = "tcp", .is_client = true, .close = wait_for_end, .release = release };

static bool is_for_listening(const union inet_address *address)
{
        return inet_port(address) == 0 || (address->any.sa_family == AF_INET ?
                                                  address->ipv4.sin_addr.s_addr == htonl(INADDR_ANY) :
                                                  IN6_IS_ADDR_UNSPECIFIED(&address->ipv6.sin6_addr));
}

/* A port at which no process listens may become our own, by chance: then we are connected to ourselves. */
static int check_other_side(const struct tcp_stream *client)
{
        const union inet_address *there = &client->addresses[client->at];
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
        client->stream.output = client->stream.inputs[0];
        client->stream.output.is_shared = true;
        return 0;
}

/* 0, -EINPROGRESS, or why not. */
static int dial(struct tcp_stream *client)
{
        const union inet_address *address = &client->addresses[client->at];
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

/* Whether there is another address to try; else what there is to say of the host: where it has no IPv6, the first. */
static bool turn_to_next(struct tcp_stream *client, int *code)
{
        bool is_ours = *code == -ENOMEM || *code == -EMFILE || *code == -ENFILE;

        if ((*code == -ECONNREFUSED || (client->is_any && !is_ours)) && client->at + 1 < client->count) {
                client->at++;
                return true;
        }
        if (client->at > 0 && (*code == -EAFNOSUPPORT || *code == -EADDRNOTAVAIL || *code == -ENETUNREACH))
                *code = -ECONNREFUSED;
        client->at = 0;
        return false;
}

/* Until when a connection that comes to nothing is waited for. One of several servers has that time for itself. */
static int64_t hang_deadline(const struct tcp_stream *client)
{
        int64_t hang_ns = (int64_t)HANG_MS * 1000000, wait_ns = client->wait_ns ? client->wait_ns : hang_ns;

        if (client->is_any)
                return sys_now() + (wait_ns < hang_ns ? wait_ns : hang_ns);
        return wait_ns == INT64_MAX ? wait_ns : client->began + wait_ns;
}

static int64_t deadline(const struct tcp_stream *client, int64_t wait_ns)
{
        return wait_ns == INT64_MAX ? wait_ns : client->began + wait_ns;
}

/* Nanoseconds until it is worth another try; 0: it is not. */
static int64_t next_pause(struct tcp_stream *client, int error)
{
        int64_t end = deadline(client, client->wait_ns), now = sys_now();

        if ((error != -ECONNREFUSED && error != -ETIMEDOUT) || end <= now)
                return 0;
        client->pause_ns = client->pause_ns ? client->pause_ns * 2 : RETRY_FIRST_NS;
        if (client->pause_ns > RETRY_MAX_NS)
                client->pause_ns = RETRY_MAX_NS;
        return client->pause_ns < end - now ? client->pause_ns : end - now;
}

/* A try has come to @code: go on until it is 0, or why not; -EINPROGRESS: something is waited for. */
static int proceed(struct tcp_stream *client, int code)
{
        int64_t pause;

        while (code && code != -EINPROGRESS && turn_to_next(client, &code))
                code = dial(client);
        if (code == -EINPROGRESS) {
                code = loop_source_set(&client->source, EPOLLOUT);
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
        loop_timer_start(client->stream.loop, &client->timer, sys_now() + pause);
        return -EINPROGRESS;
}

static int describe(const struct tcp_stream *client, int code, struct error *error)
{
        char text[INET_TEXT_MAX];

        if (client->is_any) {
                inet_print("nats", &client->addresses[client->count - 1], text);
                return error_set(error, code, "cannot reach %s at '%s': %s%s", client->count > 1 ? "any NATS server, the last one" :
                                 "the NATS server", text, code == -ECONNREFUSED ? "no process listens there: " : "",
                                 error_describe(code));
        }
        inet_print("tcp", &client->addresses[0], text);
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

static void time_is_over(struct loop_timer *timer)
{
        struct tcp_stream *client = container_of(timer, struct tcp_stream, timer);

        if (client->source.fd >= 0) {
                hang_up(client, false);
                report(client, client->is_any ? proceed(client, -ETIMEDOUT) : -ETIMEDOUT);
        } else
                report(client, proceed(client, dial(client)));
}

static int open_any_of(const struct stream_place *place, const struct stream_kind *kind, const union inet_address *addresses,
                       int count, const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        size_t size = (size_t)count * sizeof *addresses;
        struct tcp_stream *client = sys_alloc_zeroed(sizeof *client + size);
        int code;

        if (!client)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(&client->stream, kind, place);
        client->source = (struct loop_source){ .loop = place->loop, .fd = -1, .fn = has_settled };
        client->timer.fn = time_is_over;
        memcpy(client->addresses, addresses, size);
        client->count = count;
        client->is_any = kind == &nats_kind;
        client->wait_ns = options->wait_ms < 0 ? INT64_MAX : (int64_t)options->wait_ms * 1000000;
        client->began = sys_now();
        code = proceed(client, dial(client));
        if (code && code != -EINPROGRESS) {
                describe(client, code, error);
                sys_free(client);
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
        if (is_for_listening(&addresses[0]))
                return error_set(error, -EINVAL, "cannot connect to 'tcp:%s': port 0 is for listening", text);
        return open_any_of(place, &tcp_kind, addresses, count, options, ret_stream, error);
}

/* NATS ------------------------------------------------------------------------------------------------- */

/* How many addresses a server has, or -EINVAL with a sentence. */
static int parse_server(const struct url *url, union inet_address *addresses, struct error *error)
{
        char text[NATS_TEXT_MAX];
        int count = -EINVAL;

        if (url->place.size + sizeof ":4222" <= sizeof text) {
                memcpy(text, url->place.bytes, url->place.size);
                memcpy(text + url->place.size, ":4222", sizeof ":4222");
                if (url->has_port)
                        text[url->place.size] = '\0';
                count = inet_parse(text, addresses);
        }
        if (count > 0 && !is_for_listening(&addresses[0]))
                return count;
        return error_set(error, -EINVAL, "'%.*s' is not the place of a NATS server: write HOST or HOST:PORT, HOST in numbers, as"
                                         " 127.0.0.1 or [::1], or localhost; other names are not looked up, as that would block",
                         url->place.size > 256 ? 256 : (int)url->place.size, url->place.bytes);
}

/* Not all clients come to the same server. */
static void shuffle(union inet_address *addresses, int count)
{
        struct hash_key key = hash_secret();
        int64_t seed[2] = { sys_now(), sys_pid() };
        uint64_t number = hash_bytes(&key, seed, sizeof seed);

        for (int left = count; left > 1; left--) {
                int taken = (int)(number % (uint64_t)left);
                union inet_address last = addresses[left - 1];

                addresses[left - 1] = addresses[taken];
                addresses[taken] = last;
                number = hash_bytes(&key, &number, sizeof number);
        }
}

int stream_open_nats(const struct stream_place *place, const char *text, const ferry_session_options *options,
                     struct stream **ret_stream, struct error *error)
{
        union inet_address addresses[SERVERS_MAX + INET_ADDRESSES_MAX];
        const char *urls = options->nats_url ? options->nats_url : "nats://127.0.0.1";
        struct url url;
        int count = 0, more;

        (void)text;
        while ((more = url_next(&urls, "nats", &url, error)) > 0) {
                more = parse_server(&url, addresses + count, error);
                if (more < 0)
                        return more;
                count += more;
                if (count > SERVERS_MAX)
                        return error_set(error, -EINVAL, "there are more than %d servers", SERVERS_MAX);
        }
        if (more < 0 || count == 0)
                return error_set(error, -EINVAL, "the list of servers is empty");
        shuffle(addresses, count);
        return open_any_of(place, &nats_kind, addresses, count, options, ret_stream, error);
}
