/* Which dialect a conversation is in: what the program has said, or what the first frame shows. */
#include "wire/dialect.h"

#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
        FRAME_DEFAULT_MAX = 16 << 20,
        CONTROL_SIZE_MAX = 512, /* bytes of a hello, and some more */
};

/* In the order in which a payload is tried. */
static const struct dialect *const dialects[] = { &dialect_ferry, &dialect_stream_ipc, &dialect_innmind, &dialect_pcntl,
                                                &dialect_nats };

static const struct dialect *dialect_by_number(unsigned number)
{
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
                if (number && dialects[i]->number == number)
                        return dialects[i];
        return NULL;
}

const char *wire_dialect_name(unsigned number)
{
        const struct dialect *dialect = dialect_by_number(number);

        return dialect ? dialect->name : NULL;
}

const char *wire_directory(unsigned number)
{
        const struct dialect *dialect = dialect_by_number(number);

        return dialect ? dialect->directory : NULL;
}

/* The directory that a path leads to, each part of it with one slash in front: a path has many spellings. */
static bool spell_directory(const char *path, char *clean, size_t size)
{
        const char *end = strrchr(path, '/');
        size_t used = 0;

        while (end && path < end) {
                size_t length = strcspn(path, "/");

                if (used + length + 1 > size)
                        return false;
                if (length > 0 && !(length == 1 && *path == '.')) {
                        clean[used++] = '/';
                        memcpy(clean + used, path, length);
                        used += length;
                }
                path += length + 1;
        }
        clean[used] = '\0';
        return true;
}

const char *wire_directory_owner(const char *path)
{
        char clean[PATH_MAX + 1];
        size_t size;

        if (!spell_directory(path, clean, sizeof clean - 1))
                return NULL;
        size = strlen(clean);
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
                const char *directory = dialects[i]->directory;
                size_t tail = directory ? strlen(directory) : 0;

                if (directory && size > tail && clean[size - tail - 1] == '/' &&
                    memcmp(clean + size - tail, directory, tail) == 0)
                        return dialects[i]->name;
        }
        return NULL;
}

int wire_apart(unsigned set)
{
        unsigned apart = 0;

        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
                if ((set & dialects[i]->number) && dialects[i]->directory)
                        apart |= dialects[i]->number;
                set &= ~dialects[i]->number;
        }
        return set ? -EINVAL : (int)apart;
}

static void set_dialect(struct wire *wire, const struct dialect *dialect)
{
        wire->dialect = dialect;
        wire->is_dialect_fixed = true;
        wire->send_max = wire->frame_max;
        if (dialect->send_max && dialect->send_max < wire->send_max)
                wire->send_max = dialect->send_max;
}

const struct dialect *wire_dialect_at(size_t index)
{
        return index < sizeof dialects / sizeof *dialects ? dialects[index] : NULL;
}

int wire_init(struct wire *wire, const ferry_session_options *options, struct error *error)
{
        const char *root = options->root ? options->root : "StreamIpc";

        *wire = (struct wire){ .dialect = &dialect_ferry, .peer_max = SIZE_MAX };
        wire->frame_max = options->frame_max ? options->frame_max : FRAME_DEFAULT_MAX;
        if (wire->frame_max > UINT32_MAX)
                wire->frame_max = UINT32_MAX;
        wire->send_max = wire->frame_max;
        if (strlen(root) >= sizeof wire->root)
                return error_set(error, -EINVAL, "the namespace is too long: '%s'", root);
        memcpy(wire->root, root, strlen(root) + 1);
        wire->codec = options->codec;
        wire->is_codec_fixed = options->codec != NULL;
        if (options->codec && options_check_size("ferry_codec", sizeof *options->codec, options->codec, error))
                return error->code;
        if (options->dialect == FERRY_DIALECT_AUTO)
                return 0;
        if (options->dialect == FERRY_DIALECT_STREAM_IPC && options->codec == ferry_codec_msgpack())
                return error_set(error, -EINVAL, "the dialect stream-ipc has no codec msgpack: choose php, json or a codec of"
                                                 " the program");
        if (!dialect_by_number(options->dialect))
                return error_set(error, -EINVAL, "dialect is %u: set one FERRY_DIALECT_ constant, or 0 to detect the dialect; only"
                                 " a service takes several", options->dialect);
        set_dialect(wire, dialect_by_number(options->dialect));
        return 0;
}

int wire_begin(struct wire *wire, const char *address, const ferry_session_options *options, struct error *error)
{
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
                size_t size = dialects[i]->scheme ? strlen(dialects[i]->scheme) : 0;

                if (size == 0 || strncmp(address, dialects[i]->scheme, size) != 0 || address[size] != ':')
                        continue;
                if (options->dialect != FERRY_DIALECT_AUTO)
                        return error_set(error, -EINVAL, "dialect is %u: '%s' has a dialect of its own, so set none", options->dialect,
                                         address);
                set_dialect(wire, dialects[i]);
                return dialects[i]->begin(wire, address + size + 1, options, error);
        }
        return 0;
}

void wire_deinit(struct wire *wire)
{
        if (wire->login)
                wire->dialect->free_login(wire->login);
        wire->login = NULL;
}

int wire_part(struct wire *wire, struct wire *former)
{
        struct login *next = wire->login ? wire->dialect->renew(wire->login) : NULL;

        if (wire->login && !next)
                return -ENOMEM;
        *former = *wire;
        wire->login = next;
        wire->has_said_hello = wire->has_probed = wire->is_peer_one_way = wire->takes_parts = false;
        wire->selection = WIRE_SELECTION_NONE;
        wire->descriptors = WIRE_DESCRIPTORS_UNKNOWN;
        wire->peer_max = SIZE_MAX;
        wire->peer_dialect = NULL;
        return 0;
}

void wire_forget_start(struct wire *wire)
{
        wire->peer_max = SIZE_MAX;
        if (wire->login)
                wire->dialect->forget_start(wire->login);
}

const char *wire_instance(const struct wire *wire)
{
        return wire->login ? wire->dialect->instance(wire->login) : "";
}

bool wire_awaits_close(const struct wire *wire)
{
        return wire->dialect->has_start || (wire->login && wire->dialect->awaits_close(wire->login));
}

const char *wire_servers(const struct wire *wire)
{
        return wire->login ? wire->dialect->servers(wire->login) : NULL;
}

size_t wire_read_max(const struct wire *wire)
{
        return wire->dialect->has_hello && wire->frame_max < CONTROL_SIZE_MAX ? CONTROL_SIZE_MAX : wire->frame_max;
}

bool wire_is_over_limit(struct wire *wire, const char *payload, size_t size)
{
        struct incoming in;

        if (size <= wire->frame_max)
                return false;
        wire_peek(wire, payload, size, &in);
        return in.kind != WIRE_HELLO && in.kind != WIRE_CANCEL && in.kind != WIRE_PING && in.kind != WIRE_PONG &&
               in.kind != WIRE_CLOSE && in.kind != WIRE_OFFER && in.kind != WIRE_MOVED && in.kind != WIRE_DECLINED &&
               in.kind != WIRE_SUBSCRIBE && in.kind != WIRE_UNSUBSCRIBE && in.kind != WIRE_DESCRIBE &&
               in.kind != WIRE_CREDIT && in.kind != WIRE_DESCRIPTORS;
}

static const struct dialect *detect(const struct wire *wire, const char *payload, size_t size)
{
        /* What has to be named is not guessed, and may look like what is. */
        if (wire && !wire->dialect->can_begin)
                return NULL;
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
                if (dialects[i]->can_begin && dialects[i]->can_begin(payload, size))
                        return dialects[i];
        return NULL;
}

int wire_read(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        const struct dialect *shown = detect(wire, payload, size);
        const struct dialect *dialect = wire->is_dialect_fixed || !shown ? wire->dialect : shown;
        int code;

        *ret = (struct incoming){ .kind = WIRE_UNKNOWN };
        if (shown)
                wire->peer_dialect = shown;
        else if (!wire->is_dialect_fixed && *text_mark_hint(payload, size))
                return error_set(error, -EBADMSG, "a payload that belongs to no dialect%s", text_mark_hint(payload, size));
        code = dialect->read(wire, payload, size, ret, error);
        if (code == 0 && !wire->is_dialect_fixed)
                set_dialect(wire, dialect);
        return code;
}

void wire_note_spoken(struct wire *wire, const char *payload, size_t size)
{
        const struct dialect *shown = detect(wire, payload, size);

        if (shown)
                wire->peer_dialect = shown;
}

void wire_peek(struct wire *wire, const char *bytes, size_t size, struct incoming *ret)
{
        const struct dialect *shown = detect(wire, bytes, size);
        const struct dialect *dialect = wire->is_dialect_fixed || !shown ? wire->dialect : shown;

        *ret = (struct incoming){ .kind = WIRE_UNKNOWN };
        dialect->peek(bytes, size, ret);
        if (ret->kind != WIRE_UNKNOWN)
                set_dialect(wire, dialect);
}

bool wire_can_begin(const char *bytes, size_t size)
{
        return detect(NULL, bytes, size) != NULL;
}

int wire_over_limit(const struct wire *wire, struct error *error)
{
        if (wire->peer_max < wire->send_max)
                return error_set(error, -EMSGSIZE, "the message has more than %zu bytes, the limit of the %s",
                                 wire->peer_max, wire->login ? "server" : "other side");
        if (wire->send_max < wire->frame_max)
                return error_set(error, -EMSGSIZE, "the message has more than %zu bytes, the limit of %s peers",
                                 wire->send_max, wire->dialect->name);
        return error_set(error, -EMSGSIZE, "the message has more than %zu bytes, the limit (frame_max)",
                         wire->send_max);
}

static int fail_frame(const struct wire *wire, struct buffer *buffer, size_t begin, int code, const char *reason, struct error *error)
{
        buffer->end = buffer->begin + begin;
        if (code == -EMSGSIZE)
                return wire_over_limit(wire, error);
        return error_set(error, code, "cannot write the body: %s", *reason ? reason : error_describe(code));
}

int wire_end_frame(const struct wire *wire, struct buffer *buffer, size_t begin, const ferry_codec *codec,
                   const ferry_value *body, struct lent *lent, int code, struct error *error)
{
        size_t limit = begin + FRAME_HEADER + (wire->peer_max < wire->send_max ? wire->peer_max : wire->send_max);
        char reason[96];

        reason[0] = '\0';
        if (!code && buffer_size(buffer) > limit)
                code = -EMSGSIZE;
        if (!code && body)
                code = codec_encode_lending(codec, body, buffer, limit, lent, reason);
        if (code)
                return fail_frame(wire, buffer, begin, code, reason, error);
        frame_end(buffer, begin, lent && lent->bytes ? lent->size : 0);
        return 0;
}
