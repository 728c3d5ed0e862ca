/* How a session of the dialect nats begins: the credentials of its servers, its inbox, CONNECT and the subscription; and what a
 * server says of itself, at first and later. Each connection of a session that connects again has an inbox of its own, so an answer
 * that comes too late reaches no call. */
#include "wire/nats.h"
#include "util/map.h"
#include "util/text.h"
#include "util/url.h"
#include "wire/subject.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        SERVERS_MAX = 64,
        SERVER_SIZE_MAX = 256,
        PROOF_SYNTAX = 32,              /* of a proof, what is none of its texts */
};

const char nats_inbox_subscription = '1', nats_subject_subscription = '2';

/* Nothing but this session knows it, and no other connection has it. It is short, since a server looks each answer's subject up: with
 * 32 characters instead of 11 that takes it a sixth longer. */
static void make_inbox(struct login *login)
{
        static const char prefix[] = "_INBOX.", characters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        const struct hash_key key = hash_secret();
        const uint64_t seed[] = { (uint64_t)sys_now(), (uint64_t)sys_pid(), (uint64_t)(uintptr_t)login };
        uint64_t number = hash_bytes(&key, seed, sizeof seed);
        char *at = login->inbox + sizeof prefix - 1;

        memcpy(login->inbox, prefix, sizeof prefix - 1);
        for (int i = 0; i < NATS_TOKEN_SIZE; i++, number /= sizeof characters - 1)
                *at++ = characters[number % (sizeof characters - 1)];
        memcpy(at, ".", 2);
}

static bool is_same(const struct url_text *a, const struct url_text *b)
{
        return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* All servers get the same. */
static int find_credentials(const char *urls, struct url *ret, struct error *error)
{
        struct url url;
        int code;

        *ret = (struct url){ 0 };
        while ((code = url_next(&urls, "nats", &url, error)) > 0) {
                if (!url.user.bytes)
                        continue;
                if (ret->user.bytes && (!is_same(&url.user, &ret->user) || !is_same(&url.password, &ret->password)))
                        return error_set(error, -EINVAL, "the URLs of the servers have different users or passwords: write"
                                                         " those that all servers take");
                *ret = url;
        }
        return code;
}

/* The object of CONNECT in JSON. 0, or a negative errno with a sentence. */
static int put_connect(struct buffer *buffer, const struct url *url, struct error *error)
{
#define connect_begin "{tls_required: false, verbose: false, pedantic: false, lang: 'c', version: %s, name: 'ferry', protocol: 1," \
                      " headers: true, no_responders: true"
        char user[URL_TEXT_MAX + 1], password[URL_TEXT_MAX + 1];
        ferry_value *value;
        int code;

        url_decode(&url->user, user);
        url_decode(&url->password, password);
        if (!url->user.bytes)
                value = ferry_value_pack(connect_begin "}", ferry_version());
        else if (!url->password.bytes)
                value = ferry_value_pack(connect_begin ", auth_token: %s}", ferry_version(), user);
        else
                value = ferry_value_pack(connect_begin ", user: %s, pass: %s}", ferry_version(), user, password);
#undef connect_begin
        code = value ? codec_encode(ferry_codec_json(), value, buffer, SIZE_MAX, NULL) : -ENOMEM;
        ferry_value_unref(value);
        explicit_bzero(user, sizeof user);
        explicit_bzero(password, sizeof password);
        if (code == -EILSEQ)
                return error_set(error, -EINVAL, "the user or the password in the URL of a server is not UTF-8");
        return code ? error_set(error, code, "no memory for a login") : 0;
}

int nats_begin(struct wire *wire, const char *text, const ferry_session_options *options, struct error *error)
{
        size_t size = strlen(text), connect_size;
        struct buffer connect = { 0 };
        struct login *login;
        struct url url = { 0 };
        int code = 0;

        if (size > SUBJECT_MAX)
                return error_set(error, -ENAMETOOLONG, "the subject of 'nats:' has more than %d bytes", SUBJECT_MAX);
        /* It has a password, perhaps, which must be said to no server as a subject, and not be shown. */
        if (strncmp(text, "//", 2) == 0)
                return error_set(error, -EINVAL, "an address is nats:SUBJECT, without the URL of a NATS server, which stands in"
                                                 " nats_url, or in NATS_URL for the tool");
        if (!subject_is_valid(text, size, true))
                return error_set(error, -EINVAL, "'nats:%s' is not an address: write nats:SUBJECT, whose tokens have dots between"
                                                 " them, and no blanks", text);
        if (!options->is_listening && !subject_is_valid(text, size, false))
                return error_set(error, -EINVAL, "'nats:%s' has wildcards: a session can listen there, but not send", text);
        if (options->nats_url)
                code = find_credentials(options->nats_url, &url, error);
        if (!code)
                code = put_connect(&connect, &url, error);
        connect_size = buffer_size(&connect);
        login = code ? NULL : sys_alloc_zeroed(sizeof *login + size + 1 + connect_size);
        if (!code && !login)
                code = error_set(error, -ENOMEM, "no memory for a login");
        if (login) {
                login->is_listening = options->is_listening;
                login->is_gathering = options->is_gathering && !options->is_listening;
                login->has_several = options->nats_url && strchr(options->nats_url, ',');
                login->subject_size = size;
                login->connect_size = connect_size;
                memcpy(login->subject, text, size + 1);
                /* gcc-analyzer: a buffer that has a size has bytes */
                memcpy(login->subject + size + 1, buffer_bytes(&connect), connect_size);
                make_inbox(login);
                if (login->is_listening)
                        nats_service_init(&login->service);
                wire->login = login;
        }
        if (connect_size > 0)
                explicit_bzero(buffer_bytes(&connect), connect_size);
        buffer_deinit(&connect);
        return code;
}

struct login *nats_renew(const struct login *login)
{
        size_t size = sizeof *login + login->subject_size + 1 + login->connect_size;
        struct login *next = sys_alloc(size);

        if (!next)
                return NULL;
        memcpy(next, login, size);
        next->servers = login->servers ? text_copy(login->servers) : NULL;
        next->is_taken = next->has_left = false;
        next->passage = NATS_PASSAGE_UNTRIED;
        next->batch.size = 0;
        /* Nothing answers those of the last connection any more. */
        next->pongs = next->pings;
        make_inbox(next);
        return next;
}

void nats_forget_start(struct login *login)
{
        login->is_taken = login->has_left = false;
}

const char *nats_servers(const struct login *login)
{
        return login->servers;
}

const char *nats_instance(const struct login *login)
{
        return login->service.instance;
}

bool nats_awaits_close(const struct login *login)
{
        return login->has_unsubscribed;
}

void nats_free_login(struct login *login)
{
        /* A password is in it. */
        explicit_bzero(login->subject + login->subject_size + 1, login->connect_size);
        sys_free(login->servers);
        sys_free(login);
}

/* To what this session is for. */
int nats_write_subscription(const struct login *login, struct buffer *buffer)
{
        char line[sizeof "SUB   X\r\n" + SUBJECT_MAX + sizeof NATS_QUEUE_GROUP];

        if (login->is_listening)
                snprintf(line, sizeof line, "SUB %s %s %c\r\n", login->subject, NATS_QUEUE_GROUP, nats_subject_subscription);
        else
                snprintf(line, sizeof line, "SUB %s* %c\r\n", login->inbox, nats_inbox_subscription);
        return buffer_append(buffer, line, strlen(line));
}

/* Blanks in the object of CONNECT, in front of its end. */
static int append_room(struct buffer *buffer, size_t size)
{
        char *room = buffer_reserve(buffer, size);

        if (!room)
                return -ENOMEM;
        memset(room, ' ', size);
        buffer->end += size;
        return 0;
}

static const char login_begin[] = "CONNECT ";

void nats_secure(char *frame)
{
        static const char begin[] = "CONNECT {\"tls_required\":", yes[] = "true ";

        memcpy(frame + strlen(begin), yes, strlen("false"));
}

void nats_prove(const struct login *login, char *frame, const struct wire_proof *proof)
{
        char *at = frame + strlen(login_begin) + login->connect_size - 1;

        at = put_text(at, proof->jwt ? ",\"jwt\":\"" : ",\"nkey\":\"");
        at = put_text(at, proof->jwt ? proof->jwt : proof->key);
        at = put_text(at, "\",\"sig\":\"");
        put_text(put_text(at, proof->signature), "\"");
}

int nats_write_login(const struct login *login, struct buffer *buffer, size_t proof_room)
{
        int code = buffer_append(buffer, login_begin, strlen(login_begin));

        if (!code)
                code = buffer_append(buffer, login->subject + login->subject_size + 1, login->connect_size - 1);
        if (!code && proof_room > 0)
                code = append_room(buffer, proof_room + PROOF_SYNTAX);
        if (!code)
                code = buffer_append(buffer, "}\r\n", 3);
        if (!code && login->is_listening)
                code = nats_service_subscribe(&login->service, login->subject, buffer);
        if (!code && !login->is_away)
                code = nats_write_subscription(login, buffer);
        return code ? code : buffer_append(buffer, "PING\r\n", 6);
}

/* What the server says of itself ------------------------------------------------------------------------ */

/* HOST:PORT, as a server spells it: nothing in it has a meaning in a list of URLs. */
static bool is_place(const char *text)
{
        return *text && strlen(text) < SERVER_SIZE_MAX && !text[strcspn(text, ",/@% \t\r\n")];
}

/* The other servers of a cluster, of which a session that connects again takes one. Without memory those that are known stay.
 * Returns whether there are some. */
static bool learn_servers(struct login *login, const ferry_value *urls)
{
        struct buffer list = { 0 };
        bool is_known = false;
        int code = 0;

        for (size_t i = 0; i < ferry_value_count(urls) && i < SERVERS_MAX && !code; i++) {
                const char *place = ferry_value_text(ferry_value_at(urls, i), "");

                if (!is_place(place))
                        continue;
                code = buffer_append(&list, buffer_size(&list) > 0 ? ",nats://" : "nats://", buffer_size(&list) > 0 ? 8 : 7);
                if (!code)
                        code = buffer_append(&list, place, strlen(place));
        }
        if (!code && buffer_size(&list) > 0)
                code = buffer_append(&list, "", 1);
        if (!code && buffer_size(&list) > 0) {
                char *servers = text_copy((const char *)buffer_bytes(&list));

                if (servers) {
                        sys_free(login->servers);
                        login->servers = servers;
                        is_known = true;
                }
        }
        buffer_deinit(&list);
        return is_known;
}

/* A server may speak of itself again at any time: its limit has changed, others have joined it, or it is about to end. */
int nats_read_info(struct wire *wire, const struct nats_line *line, struct incoming *ret, struct error *error)
{
        struct login *login = wire->login;
        ferry_value *info = NULL;
        bool has_others = login->has_several;
        int64_t payload_max;
        size_t offset;
        int code = codec_decode(ferry_codec_json(), line->text.bytes, line->text.size, &info, &offset);

        if (code == -ENOMEM)
                return error_set(error, code, "a greeting for which there is no memory");
        if (code || ferry_value_kind(info) != FERRY_VALUE_MAP)
                code = error_set(error, -EBADMSG, "a greeting that is not an object in JSON");
        else if (!ferry_value_bool(ferry_value_get(info, "headers"), false))
                code = error_set(error, -EOPNOTSUPP, "a greeting without headers: ferry needs a nats-server from 2.2 on that"
                                                     " does not switch them off");
        if (code) {
                ferry_value_unref(info);
                return code;
        }
        payload_max = ferry_value_int(ferry_value_get(info, "max_payload"), 0);
        if (payload_max > 0)
                wire->peer_max = (size_t)payload_max;
        has_others = learn_servers(login, ferry_value_get(info, "connect_urls")) || has_others;
        ret->kind = WIRE_START;
        /* It takes no more clients, and ends when those it has have gone. It is of use until then where no other one is known: a
         * server that is about to end names others, but not itself. */
        if (has_others && login->is_taken && !login->has_left && ferry_value_bool(ferry_value_get(info, "ldm"), false)) {
                login->has_left = true;
                ret->kind = WIRE_DRAIN;
        }
        ret->greeting = (struct wire_greeting){
                .is_tls_offered = ferry_value_bool(ferry_value_get(info, "tls_available"), false),
                .is_tls_required = ferry_value_bool(ferry_value_get(info, "tls_required"), false),
                .nonce = ferry_value_text(ferry_value_get(info, "nonce"), NULL),
        };
        ret->value = info;
        return 0;
}

int nats_read_pong(struct login *login, struct incoming *ret)
{
        if (!login->is_taken) {
                login->is_taken = true;
                ret->kind = WIRE_START_OK;
                return 0;
        }
        login->pongs++;
        if (login->passage == NATS_PASSAGE_TRIED)
                login->passage = NATS_PASSAGE_SEEN;
        if (login->has_unsubscribed && login->pongs == login->pings) {
                ret->kind = WIRE_CLOSE_OK;
                return 0;
        }
        write_u32(login->pong_id, (uint32_t)(login->pongs >> 32));
        write_u32(login->pong_id + 4, (uint32_t)login->pongs);
        ret->kind = WIRE_PONG;
        ret->id = (struct raw_text){ .bytes = login->pong_id, .size = NATS_PONG_ID };
        return 0;
}
