/* What the built-in codecs can do besides what a program's own can: look at bytes without building anything,
 * and decode in place. */
#pragma once

#include <ferry/codec.h>

#include "util/buffer.h"
#include "util/error.h"
#include "value/builder.h"

enum { OUTLINE_ITEMS = 3 };

/* Text as it stands in encoded bytes. */
struct raw_text {
        const char *bytes;      /* NULL: there is none */
        size_t size;
        bool is_escaped;        /* JSON's way */
};

/* What can be said of an object without decoding it: its class, and of those of its properties whose names
 * were asked for, the text if it is a string, or the class if it is an object. */
struct outline {
        struct raw_text class_name;
        struct outline_item {
                const char *name;
                struct raw_text string;
                struct raw_text class_name;
        } items[OUTLINE_ITEMS];
        int count;
};

/* Look at bytes that hold one value and nothing else. */
struct check {
        struct outline *outline;        /* in: what to look for; may be NULL */
        size_t nodes;                   /* out: values and keys */
        size_t open_max;                /* out, of JSON: of them the most that stand in containers that are open */
        size_t memory;                  /* out: that the tree takes, but for its root and indexes of keys */
        bool has_references;            /* out: parts are shared, so what was looked at is not all */
        size_t offset;                  /* out: where an error was seen */
        const char *reason;             /* out: what is wrong there, in words; or NULL */
};

/* Nothing has been seen yet. */
static inline void check_begin(struct check *check)
{
        *check = (struct check){ .outline = check->outline };
}

/* A built-in codec. check and decode return as ferry_codec_decode() does. decode works on bytes that have been
 * checked, which become part of the value: strings point into them, and get their zeros. One byte behind them
 * must be writable. The root is memory of the arena. */
struct native_codec {
        ferry_codec codec;
        int (*check)(const char *bytes, size_t size, struct check *check);
        int (*decode)(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root);
};

/* codecs.c: the built-in codec that this is; NULL if it is a program's own. */
const struct native_codec *codec_native(const ferry_codec *codec);

/* codecs.c: the built-in codec with that number, or NULL. */
const ferry_codec *codec_by_number(unsigned number);

/* The bytes themselves, as a string; for bodies of which a dialect does not say more. Not for programs. */
extern const struct native_codec codec_bytes;

/* native.c: decode from bytes that are copied; @ret_offset says where an error was seen. */
int native_decode(const struct native_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                  size_t *ret_offset);

/* The same into a builder: for the public decode of a built-in codec, which a program's own codec may call. */
int native_decode_into(const struct native_codec *codec, const void *bytes, size_t size, ferry_builder *builder);

/* Decode what has been checked in place, in a block that the value will hold; the tree takes the memory that is spare (NULL: none),
 * which spare_keep() gets back. 0, -ENOMEM, -EMSGSIZE. */
int codec_decode_block(const struct native_codec *codec, struct block *block, char *bytes, size_t size,
                       struct check *check, struct spare *spare, ferry_value **ret_value);

/* End a builder with @error (0: none), and take its value; returns its first error. */
int native_take(ferry_builder *builder, int error, ferry_value **ret_value);

/* json.c: copy a text to where there is room for its size and a zero; returns its size then. */
size_t raw_text_copy(const struct raw_text *text, char *target);

/* The first large string of a value, which was not copied: it belongs before the byte @offset of the buffer. */
struct lent {
        size_t offset;
        const char *bytes;      /* NULL: there is none */
        size_t size;
        struct arena *tree;     /* that holds it, and may be held; NULL: it lives as long as what was encoded */
};

enum { LENT_MIN = 1 << 15 };

/* The error of a limit, -EMSGSIZE, sticks as others do. */
struct ferry_sink {
        struct buffer *buffer;
        const char *end;        /* of the room that the last sink_more() has found */
        size_t limit;           /* of bytes in the buffer */
        struct lent *lent;      /* for a large string; NULL: all are copied */
        int error;
        const char *name;       /* of the codec */
        char reason[96];        /* what cannot be written, in words, or "" */
};

void sink_fail(ferry_sink *sink, int error, const char *format, ...) __attribute__((__cold__, __format__(__printf__, 3, 4)));

/* Encode a value behind what is in the buffer, up to @limit bytes in all. On an error the buffer is as before,
 * and @reason (NULL or 96 bytes) a phrase about it, or "". */
int codec_encode(const ferry_codec *codec, const ferry_value *value, struct buffer *buffer, size_t limit,
                 char *reason);
/* The same of a built-in codec, where a large string may be left out: @lent (NULL: it may not), whose @bytes are NULL, says which.
 * It counts for the limit. */
int codec_encode_lending(const ferry_codec *codec, const ferry_value *value, struct buffer *buffer, size_t limit, struct lent *lent,
                         char *reason);

/* Decode with any codec, from bytes that are copied. */
int codec_decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_value **ret_value,
                 size_t *ret_offset);

/* A builder for a value that lives only until it is encoded by @codec (NULL: one of ours): on the stack, unless a
 * program's own codec may keep what it is given. */
enum { BRIEF_MEMORY = 2048 };

struct brief {
        ferry_value root;               /* of a template that is one string */
        ferry_builder builder;          /* without an arena: it was not needed */
        struct arena lent;
        _Alignas(8) char memory[BRIEF_MEMORY];
};

void brief_init(struct brief *brief, const ferry_codec *codec);
/* The same, and the value of a template, which lives until brief_deinit(); NULL with the error set. The arguments live as long. */
const ferry_value *brief_build(struct brief *brief, const ferry_codec *codec, const char *format, va_list arguments,
                               struct error *error);
void brief_deinit(struct brief *brief);

bool utf8_is_valid(const void *bytes, size_t size);
