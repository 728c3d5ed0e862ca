/* Which dialect a conversation is in: what the program has said, or what the first frame shows. */
#include "wire/dialect.h"

#include <errno.h>
#include <string.h>

enum { FRAME_DEFAULT_MAX = 16 << 20 };

/* In the order in which a payload is tried. */
static const struct dialect *const dialects[] = { &dialect_ferry, &dialect_stream_ipc };

int wire_init(struct wire *wire, const ferry_session_options *options, struct error *error)
{
        *wire = (struct wire){ .dialect = &dialect_ferry, .peer_max = SIZE_MAX };
        wire->frame_max = options->frame_max ? options->frame_max : FRAME_DEFAULT_MAX;
        if (wire->frame_max > UINT32_MAX)
                wire->frame_max = UINT32_MAX;
        if (options->root && strlen(options->root) >= sizeof wire->root)
                return error_set(error, -EINVAL, "the namespace is too long: %s", options->root);
        strcpy(wire->root, options->root ? options->root : "StreamIpc");
        wire->codec = options->codec;
        wire->is_codec_fixed = options->codec != NULL;
        if (options->dialect == FERRY_DIALECT_AUTO)
                return 0;
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
                if (dialects[i]->number == options->dialect) {
                        wire->dialect = dialects[i];
                        wire->is_dialect_fixed = true;
                        return 0;
                }
        return error_set(error, -EINVAL, "there is no dialect %u", options->dialect);
}

static const struct dialect *detect(const char *payload, size_t size)
{
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
                if (dialects[i]->can_begin(payload, size))
                        return dialects[i];
        return NULL;
}

int wire_read(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        const struct dialect *shown = detect(payload, size);
        const struct dialect *dialect = wire->is_dialect_fixed || !shown ? wire->dialect : shown;
        int code;

        *ret = (struct incoming){ .kind = WIRE_UNKNOWN };
        if (shown)
                wire->peer_dialect = shown;
        code = dialect->read(wire, payload, size, ret, error);
        if (code == 0 && !wire->is_dialect_fixed) {
                wire->dialect = dialect;
                wire->is_dialect_fixed = true;
        }
        return code;
}

void wire_peek(struct wire *wire, const char *bytes, size_t size, struct incoming *ret)
{
        const struct dialect *shown = detect(bytes, size);
        const struct dialect *dialect = wire->is_dialect_fixed || !shown ? wire->dialect : shown;

        *ret = (struct incoming){ .kind = WIRE_UNKNOWN };
        dialect->peek(bytes, size, ret);
        if (ret->kind != WIRE_UNKNOWN) {
                wire->dialect = dialect;
                wire->is_dialect_fixed = true;
        }
}

bool wire_can_begin(const char *bytes, size_t size)
{
        return detect(bytes, size) != NULL;
}

size_t wire_limit(const struct wire *wire)
{
        return wire->peer_max < wire->frame_max ? wire->peer_max : wire->frame_max;
}

int wire_check_size(const struct wire *wire, size_t size, struct error *error)
{
        if (size <= wire_limit(wire))
                return 0;
        if (size <= wire->frame_max)
                return error_set(error, -EMSGSIZE, "the message has %zu bytes, and the other side takes %zu", size,
                                 wire->peer_max);
        return error_set(error, -EMSGSIZE, "the message has more than %zu bytes, the limit (frame_max)",
                         wire->frame_max);
}
