#include "wire/nats_batch.h"

#include "wire/nats.h"

#include <errno.h>
#include <string.h>

enum {
        BATCH_MAX = 1 << 14,            /* bytes of a message */
        ID_MAX = 48,                    /* bytes of the subject of an answer: one of ours has less, and the line of an item has room for it */
        FIELD = 6,                      /* the size of a body, with blanks in front */
        ROOM = 128,                     /* what several answers have more than one */
};

static const char verb[] = "HPUB ";

/* The sizes of the headers and of all, up to the first answer. */
static const char head[] = " 28" NATS_NO_SIZE "\r\n" NATS_BATCH_HEADERS;

/* The subject of an answer to a session of ferry: its inbox, and a number. */
static bool is_of_ferry(const char *id, size_t size)
{
        static const char prefix[] = "_INBOX.";

        if (size <= NATS_INBOX_SIZE || size > ID_MAX || memcmp(id, prefix, sizeof prefix - 1) != 0 || id[NATS_INBOX_SIZE - 1] != '.')
                return false;
        while (size > NATS_INBOX_SIZE && nats_is_digit(id[size - 1]))
                size--;
        return size == NATS_INBOX_SIZE;
}

bool nats_may_gather(const struct outgoing *outgoing, const ferry_codec *codec)
{
        return outgoing->takes_batches && outgoing->is_type_known && outgoing->kind == WIRE_RESPONSE && (!codec || codec_native(codec)) &&
               is_of_ferry(outgoing->id, outgoing->id_size);
}

void nats_begin_batch(struct nats_batch *batch, size_t size, size_t body_size, const struct outgoing *outgoing, const ferry_codec *codec)
{
        *batch = (struct nats_batch){ .size = size, .id_size = outgoing->id_size, .body_size = body_size, .codec = codec };
}

static char *message_of(const struct nats_batch *batch, const struct buffer *buffer)
{
        return (char *)buffer_bytes(buffer) + buffer_size(buffer) - batch->size;
}

/* Where the subject begins: a lone answer has headers if it has a codec. */
static size_t verb_size(const struct nats_batch *batch)
{
        return strlen(batch->has_several || batch->codec ? verb : verb + 1);
}

/* Whether the answer goes to the same client, and the message is whole. */
static bool is_next(const struct nats_batch *batch, const struct buffer *buffer, const struct outgoing *outgoing, size_t most)
{
        /* A buffer that has a size has bytes. */
        return batch->size > 0 && batch->size + ROOM < most && buffer_size(buffer) >= batch->size && buffer_bytes(buffer) &&
               memcmp(message_of(batch, buffer) + verb_size(batch), outgoing->id, NATS_INBOX_SIZE) == 0;
}

/* ID SIZE [CODEC]: from the end of the size on. */
static size_t line_end_size(const ferry_codec *codec)
{
        return (codec ? 1 + strlen(codec->name) : 0) + strlen("\r\n");
}

static size_t line_size(size_t id_size, const ferry_codec *codec)
{
        return id_size - NATS_INBOX_SIZE + FIELD + line_end_size(codec);
}

/* Returns what is behind the line. The size is put there later. */
static char *put_line(char *at, const char *id, size_t id_size, const ferry_codec *codec)
{
        at = put(at, id + NATS_INBOX_SIZE, id_size - NATS_INBOX_SIZE);
        memset(at, ' ', FIELD);
        at += FIELD;
        if (codec)
                at = put_text(put_text(at, " "), codec->name);
        return put_text(at, "\r\n");
}

static void put_total(const struct nats_batch *batch, char *message)
{
        size_t before = strlen(verb) + batch->id_size + sizeof head - 1 - strlen(NATS_BATCH_HEADERS);

        nats_put_number(message + before - strlen("\r\n"), batch->size - before - strlen("\r\n"));
}

/* What stands before the body of a lone answer; and of the same as the first of several. */
static size_t lone_head_size(const struct nats_batch *batch)
{
        return batch->size - batch->body_size - 2;
}

static size_t first_line(const struct nats_batch *batch)
{
        return strlen(verb) + batch->id_size + sizeof head - 1;
}

static size_t first_head_size(const struct nats_batch *batch)
{
        return first_line(batch) + line_size(batch->id_size, batch->codec);
}

/* The lone answer becomes the first of several. The others, and the end, stand behind it already; there is room. */
static void begin_several(struct nats_batch *batch, struct buffer *buffer, char *message)
{
        size_t before = lone_head_size(batch), body = first_head_size(batch);
        char *id = message + verb_size(batch), *end = (char *)buffer_bytes(buffer) + buffer_size(buffer);

        memmove(message + body, message + before, (size_t)(end - message) - before);
        memmove(message + strlen(verb), id, batch->id_size);
        id = put_text(message, verb);
        put_text(id + batch->id_size, head);
        put_line(message + first_line(batch), id, batch->id_size, batch->codec);
        nats_put_number(message + body - line_end_size(batch->codec), batch->body_size);
        buffer->end += body - before;
        batch->has_several = true;
}

/* Put an answer where the end of the message stands, and that behind it. Nothing in front changes unless that succeeds. 0; -EMSGSIZE,
 * -ENOMEM, or what is wrong with the body. */
static int append(struct nats_batch *batch, struct buffer *buffer, const struct outgoing *outgoing, const ferry_codec *codec, size_t most,
                  char reason[96])
{
        size_t begin = buffer_size(buffer) + 2 - batch->size, line = line_size(outgoing->id_size, codec), body;
        size_t wider = batch->has_several ? 0 : first_head_size(batch) - lone_head_size(batch);
        char *at = buffer_reserve(buffer, line), *message;
        int code = 0;

        if (!at)
                return -ENOMEM;
        put_line(at, outgoing->id, outgoing->id_size, codec);
        buffer->end += line;
        body = buffer_size(buffer);
        if (outgoing->body)
                code = codec_encode(codec ? codec : &codec_bytes.codec, outgoing->body, buffer, begin + most, reason);
        if (code)
                return code;
        body = buffer_size(buffer) - body;
        at = buffer_reserve(buffer, 2 + wider);
        if (!at)
                return -ENOMEM;
        nats_put_number(at - body - line_end_size(codec), body);
        put_text(at, "\r\n");
        buffer->end += 2;
        if (buffer_size(buffer) + wider > begin + most)
                return -EMSGSIZE;
        message = (char *)buffer_bytes(buffer) + begin;
        if (!batch->has_several)
                begin_several(batch, buffer, message);
        batch->size = buffer_size(buffer) - begin;
        put_total(batch, message);
        return 0;
}

int nats_add_to_batch(struct nats_batch *batch, struct buffer *buffer, const struct outgoing *outgoing, const ferry_codec *codec, size_t most,
                      char reason[96])
{
        size_t before = buffer_size(buffer);
        int code;

        if (most > BATCH_MAX)
                most = BATCH_MAX;
        if (!is_next(batch, buffer, outgoing, most))
                return 0;
        buffer->end -= 2;
        code = append(batch, buffer, outgoing, codec, most, reason);
        if (!code)
                return 1;
        buffer->end = buffer->begin + before;
        memcpy(buffer_bytes(buffer) + before - 2, "\r\n", 2);
        return code == -EMSGSIZE ? 0 : code;
}
