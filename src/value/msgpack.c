/* MessagePack; objects, and what is shared, as php-msgpack writes them: a map whose first key is nil. One parser
 * both checks and builds: without a builder it only looks. An extension type is an opaque object of the class ext:N, which
 * no language has. Keys that are neither integers nor strings have no value here and are refused. */
#include "value/codec.h"
#include "value/slots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXT_CLASS "ext:"

enum { EXT_CLASS_MAX = sizeof EXT_CLASS + 4 };

/* What php-msgpack says behind the nil, where it is no name of a class; and ferry's own for the case of an enum,
 * which that extension writes but cannot read. */
enum special {
        SPECIAL_REFERENCED = 1,         /* a container that is held by reference follows */
        SPECIAL_ARRAY_AGAIN = 2,
        SPECIAL_OPAQUE = 3,
        SPECIAL_OBJECT_AGAIN = 4,
        SPECIAL_REFERENCE = 5,
        SPECIAL_ENUM = 6,
};

struct container {
        bool is_map;
        bool is_array;          /* PHP's: with keys that count from 0 it is a list */
        bool has_key;
        bool is_object;         /* one that is no map names its properties by counting */
        uint32_t left;
        uint32_t next_name;
        size_t slot;
};

struct parser {
        const unsigned char *begin;
        const unsigned char *at;
        const unsigned char *end;
        struct check *check;
        ferry_builder *builder; /* NULL: only look */
        unsigned char *unterminated;    /* where the zero of the last string goes, once the byte there is read */
        struct slots slots;
        size_t depth;
        struct container stack[DEPTH_MAX];
};

enum head_kind { HEAD_NIL, HEAD_BOOL, HEAD_INT, HEAD_DOUBLE, HEAD_STRING, HEAD_EXT, HEAD_LIST, HEAD_MAP };

/* What a first byte announces, with the number or the bytes that belong to it. */
struct head {
        enum head_kind kind;
        bool is_binary;         /* a string that is a bin */
        size_t offset;
        int64_t integer;        /* of an ext: its type */
        double real;
        uint32_t size;          /* of a string or ext; items of a list or map */
        const char *bytes;
};

static int read_number(struct parser *p, int size, uint64_t *ret)
{
        uint64_t number = 0;

        if (p->end - p->at < size) {
                p->at = p->end;
                return -EAGAIN;
        }
        for (int i = 0; i < size; i++)
                number = number << 8 | *p->at++;
        *ret = number;
        return 0;
}

static int read_sized(struct parser *p, struct head *head, enum head_kind kind, int size)
{
        uint64_t number = head->size;
        int error = size > 0 ? read_number(p, size, &number) : 0;

        if (error)
                return error;
        head->kind = kind;
        head->size = (uint32_t)number;
        if (kind == HEAD_EXT) {
                if (p->at == p->end)
                        return -EAGAIN;
                head->integer = (signed char)*p->at++; /* NOLINT(bugprone-signed-char-misuse,cert-str34-c): signed it is */
        } else if (kind != HEAD_STRING)
                return 0;
        if (head->size > (size_t)(p->end - p->at)) {
                p->at = p->end;
                return -EAGAIN;
        }
        head->bytes = (const char *)p->at;
        p->at += head->size;
        if (p->builder)
                p->unterminated = (unsigned char *)p->at;
        return 0;
}

static int read_unsigned(struct parser *p, struct head *head, int size)
{
        uint64_t number;
        int error = read_number(p, size, &number);

        if (error)
                return error;
        head->kind = HEAD_INT;
        head->integer = (int64_t)number;
        if (number <= INT64_MAX)
                return 0;
        p->at = p->begin + head->offset;
        p->check->reason = "an integer above the range of int64";
        return -EBADMSG;
}

static int read_signed(struct parser *p, struct head *head, int size)
{
        uint64_t number;
        int unused = 64 - size * 8;
        int error = read_number(p, size, &number);

        if (error)
                return error;
        head->kind = HEAD_INT;
        head->integer = (int64_t)(number << unused) >> unused;
        return 0;
}

static int read_real(struct parser *p, struct head *head, int size)
{
        uint64_t number;
        uint32_t half;
        float real;
        int error = read_number(p, size, &number);

        if (error)
                return error;
        head->kind = HEAD_DOUBLE;
        if (size == 8) {
                memcpy(&head->real, &number, sizeof head->real);
                return 0;
        }
        half = (uint32_t)number;
        memcpy(&real, &half, sizeof real);
        head->real = (double)real;
        return 0;
}

static int read_head(struct parser *p, struct head *head)
{
        unsigned char first;

        if (p->at == p->end)
                return -EAGAIN;
        head->offset = (size_t)(p->at - p->begin);
        first = *p->at++;
        if (p->unterminated)
                *p->unterminated = '\0';
        p->unterminated = NULL;
        head->kind = HEAD_INT;
        head->is_binary = false;
        head->integer = (signed char)first; /* NOLINT(bugprone-signed-char-misuse,cert-str34-c): signed it is */
        if (first < 0x80 || first >= 0xe0)
                return 0;
        head->size = first & 15;
        if (first < 0x90)
                return read_sized(p, head, HEAD_MAP, 0);
        if (first < 0xa0)
                return read_sized(p, head, HEAD_LIST, 0);
        if (first < 0xc0) {
                head->size = first & 31;
                return read_sized(p, head, HEAD_STRING, 0);
        }
        switch (first) {
        case 0xc0:
                head->kind = HEAD_NIL;
                return 0;
        case 0xc2:
        case 0xc3:
                head->kind = HEAD_BOOL;
                head->integer = first & 1;
                return 0;
        case 0xc4:
        case 0xc5:
        case 0xc6:
                head->is_binary = true;
                return read_sized(p, head, HEAD_STRING, 1 << (first - 0xc4));
        case 0xc7:
        case 0xc8:
        case 0xc9:
                return read_sized(p, head, HEAD_EXT, 1 << (first - 0xc7));
        case 0xca:
        case 0xcb:
                return read_real(p, head, 4 << (first - 0xca));
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
                return read_unsigned(p, head, 1 << (first - 0xcc));
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3:
                return read_signed(p, head, 1 << (first - 0xd0));
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8:
                head->size = 1u << (first - 0xd4);
                return read_sized(p, head, HEAD_EXT, 0);
        case 0xd9:
        case 0xda:
        case 0xdb:
                return read_sized(p, head, HEAD_STRING, 1 << (first - 0xd9));
        case 0xdc:
        case 0xdd:
                return read_sized(p, head, HEAD_LIST, 2 << (first - 0xdc));
        case 0xde:
        case 0xdf:
                return read_sized(p, head, HEAD_MAP, 2 << (first - 0xde));
        }
        p->at--;
        return -EBADMSG;
}

/* A head of that kind, or -EBADMSG. */
static int read_exactly(struct parser *p, struct head *head, enum head_kind kind)
{
        int error = read_head(p, head);

        return error || head->kind == kind ? error : -EBADMSG;
}

static int push(struct parser *p, const struct container *container)
{
        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        p->stack[p->depth++] = *container;
        return 0;
}

static void begin_slot(struct parser *p, struct container *container, size_t offset)
{
        if (p->builder)
                container->slot = slots_begin(&p->slots, p->builder, offset);
}

/* Nothing is nil as a name but what begins an object. */
static int open_object(struct parser *p, const struct head *name, uint32_t left, size_t offset)
{
        struct container container = { .is_map = true, .is_object = true, .left = left };
        struct head head;
        int error;

        if (name->size == 0)
                return -EBADMSG;
        if (left == 1 && p->at < p->end && *p->at == 0xc0) {
                /* {nil: CLASS, nil: {…}}: what __serialize() gave. */
                read_head(p, &head);
                error = read_head(p, &head);
                if (error)
                        return error;
                if (head.kind != HEAD_MAP && head.kind != HEAD_LIST)
                        return -EBADMSG;
                container.is_map = head.kind == HEAD_MAP;
                container.left = head.size;
        }
        begin_slot(p, &container, offset);
        if (p->builder)
                builder_open(p->builder, FERRY_VALUE_OBJECT, name->bytes, name->size);
        return push(p, &container);
}

static int read_again(struct parser *p, bool is_object)
{
        struct head head;
        int error = read_exactly(p, &head, HEAD_INT);

        if (!error && head.integer != 0)
                error = -EBADMSG;
        if (!error)
                error = read_exactly(p, &head, HEAD_INT);
        if (error)
                return error;
        p->check->has_references = true;
        if (head.integer <= 0)
                return -EBADMSG;
        if (p->builder)
                slots_add(&p->slots, p->builder, (uint64_t)head.integer, is_object);
        else
                slots_want(&p->slots, (uint64_t)head.integer);
        return 0;
}

/* Such an object is written as an ext, so it comes as nothing else. */
static bool is_ext_class(const char *name, size_t size)
{
        return size >= sizeof EXT_CLASS - 1 && memcmp(name, EXT_CLASS, sizeof EXT_CLASS - 1) == 0;
}

static void add_ext(ferry_builder *builder, const struct head *head)
{
        char name[EXT_CLASS_MAX];
        size_t size = (size_t)snprintf(name, sizeof name, EXT_CLASS "%d", (int)head->integer);

        builder_add_named(builder, FERRY_VALUE_OPAQUE, builder_copy(builder, name, size), size, head->bytes, head->size);
}

/* {nil: 3, CLASS: bytes}, {nil: 6, CLASS: case} */
static int read_named(struct parser *p, enum ferry_value_kind kind, size_t offset)
{
        struct container container = { 0 };
        struct head name, bytes;
        int error = read_exactly(p, &name, HEAD_STRING);

        if (!error)
                error = read_exactly(p, &bytes, HEAD_STRING);
        if (error)
                return error;
        if (name.size == 0 || (kind == FERRY_VALUE_ENUM && bytes.size == 0) || is_ext_class(name.bytes, name.size))
                return -EBADMSG;
        begin_slot(p, &container, offset);
        if (!p->builder)
                return 0;
        builder_add_named(p->builder, kind, name.bytes, name.size, bytes.bytes, bytes.size);
        slots_end(&p->slots, p->builder, container.slot, (size_t)(p->at - p->begin));
        return 0;
}

static int open_map(struct parser *p, uint32_t left, bool is_array, size_t offset)
{
        struct container container = { .is_map = true, .is_array = is_array, .left = left };

        begin_slot(p, &container, offset);
        if (p->builder)
                builder_open(p->builder, FERRY_VALUE_MAP, NULL, 0);
        return push(p, &container);
}

/* What follows the first nil of a map of @left entries. */
static int read_special(struct parser *p, uint32_t left, size_t offset)
{
        struct head head;
        int error = read_head(p, &head);

        if (error)
                return error;
        left--;
        if (head.kind == HEAD_STRING)
                return open_object(p, &head, left, offset);
        if (head.kind != HEAD_INT)
                return -EBADMSG;
        if (head.integer == SPECIAL_REFERENCED) {
                if (left == 0 || p->at == p->end)
                        return left == 0 ? -EBADMSG : -EAGAIN;
                if (*p->at != 0xc0)
                        return open_map(p, left, true, offset);
                read_head(p, &head);
                error = read_exactly(p, &head, HEAD_STRING);
                return error ? error : open_object(p, &head, left - 1, offset);
        }
        if (left != 1)
                return -EBADMSG;
        switch (head.integer) {
        case SPECIAL_OPAQUE:
                return read_named(p, FERRY_VALUE_OPAQUE, offset);
        case SPECIAL_ENUM:
                return read_named(p, FERRY_VALUE_ENUM, offset);
        case SPECIAL_OBJECT_AGAIN:
        case SPECIAL_REFERENCE:
                return read_again(p, head.integer == SPECIAL_OBJECT_AGAIN);
        case SPECIAL_ARRAY_AGAIN:
                return read_again(p, false);
        }
        return -EBADMSG;
}

static int read_container(struct parser *p, const struct head *head)
{
        struct container container = { .is_map = head->kind == HEAD_MAP, .left = head->size };
        struct head nil;

        if (container.is_map && head->size > 0) {
                if (p->at == p->end)
                        return -EAGAIN;
                if (*p->at == 0xc0) {
                        read_head(p, &nil);
                        return read_special(p, head->size, head->offset);
                }
        }
        begin_slot(p, &container, head->offset);
        if (p->builder)
                builder_open(p->builder, container.is_map ? FERRY_VALUE_MAP : FERRY_VALUE_LIST, NULL, 0);
        return push(p, &container);
}

static int read_value(struct parser *p)
{
        struct head head;
        int error = read_head(p, &head);

        if (error)
                return error;
        p->check->nodes += !p->builder;
        if (head.kind == HEAD_LIST || head.kind == HEAD_MAP)
                return read_container(p, &head);
        if (!p->builder)
                return 0;
        switch (head.kind) {
        case HEAD_NIL:
                builder_add_null(p->builder);
                break;
        case HEAD_BOOL:
                builder_add_bool(p->builder, head.integer);
                break;
        case HEAD_INT:
                builder_add_int(p->builder, head.integer);
                break;
        case HEAD_DOUBLE:
                builder_add_double(p->builder, head.real);
                break;
        case HEAD_EXT:
                add_ext(p->builder, &head);
                break;
        default:
                if (head.is_binary)
                        builder_add_binary_view(p->builder, head.bytes, head.size);
                else
                        builder_add_view(p->builder, head.bytes, head.size);
        }
        return 0;
}

static int read_key(struct parser *p, bool is_object)
{
        struct head head;
        int error = read_head(p, &head);

        if (error)
                return error;
        p->check->nodes += !p->builder;
        if (head.kind == HEAD_INT) {
                if (p->builder)
                        builder_key_int(p->builder, head.integer);
                return 0;
        }
        if (head.kind != HEAD_STRING)
                return -EBADMSG;
        if (is_object) {
                if (p->builder)
                        builder_key_mangled(p->builder, head.bytes, head.size);
                return name_check_mangled(head.bytes, head.size);
        }
        if (p->builder)
                builder_key_view(p->builder, head.bytes, head.size);
        return 0;
}

static void close_container(struct parser *p)
{
        const struct container *container = &p->stack[--p->depth];

        if (!p->builder)
                return;
        builder_close(p->builder, container->is_array);
        slots_end(&p->slots, p->builder, container->slot, (size_t)(p->at - p->begin));
}

static int parse(struct parser *p)
{
        int error = 0;

        do {
                struct container *container = p->depth > 0 ? &p->stack[p->depth - 1] : NULL;

                if (container && container->left == 0) {
                        close_container(p);
                } else {
                        if (container)
                                container->left--;
                        if (container && container->is_map)
                                error = read_key(p, container->is_object);
                        else if (container && container->is_object && p->builder)
                                builder_key_int(p->builder, container->next_name++);
                        if (!error)
                                error = read_value(p);
                }
                if (!error && p->builder)
                        error = p->builder->error;
        } while (!error && p->depth > 0);
        if (!error && p->at < p->end)
                error = -EBADMSG;
        if (p->unterminated)
                *p->unterminated = '\0';
        p->check->offset = (size_t)(p->at - p->begin);
        return error;
}

static void begin(struct parser *p, const char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        p->begin = p->at = (const unsigned char *)bytes;
        p->end = p->begin + size;
        p->check = check;
        p->builder = builder;
        p->unterminated = NULL;
        p->depth = 0;
}

static int check(const char *bytes, size_t size, struct check *check)
{
        struct parser p;

        check->nodes = 0;
        check->has_references = false;
        check->reason = NULL;
        begin(&p, bytes, size, check, NULL);
        slots_init(&p.slots, 0, size);
        return parse(&p);
}

static int decode(char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        struct parser p;
        struct check looked = *check;
        int error = slots_init(&p.slots, check->has_references ? check->nodes : 0, size);

        /* Which values will be referred to, before anything is built. */
        begin(&p, bytes, size, &looked, NULL);
        if (!error && check->has_references)
                error = parse(&p);
        begin(&p, bytes, size, &looked, builder);
        if (!error)
                error = parse(&p);
        check->offset = looked.offset;
        slots_deinit(&p.slots);
        return error;
}

/* Encoding -------------------------------------------------------------------------------------------- */

static char *put_big_endian(char *at, uint64_t number, int size)
{
        for (int i = size; i-- > 0;)
                *at++ = (char)(number >> (i * 8));
        return at;
}

/* The shortest head for a size: the small form up to @small, then first, first + 1, first + 2 for one, two
 * and four bytes (@has_byte: there is a form with one). */
static char *put_size(char *at, uint32_t size, unsigned small_head, uint32_t small, unsigned first, bool has_byte)
{
        if (size <= small) {
                *at++ = (char)(small_head | size);
                return at;
        }
        if (has_byte && size <= UINT8_MAX) {
                *at++ = (char)first;
                return put_big_endian(at, size, 1);
        }
        first += has_byte;
        if (size <= UINT16_MAX) {
                *at++ = (char)first;
                return put_big_endian(at, size, 2);
        }
        *at++ = (char)(first + 1);
        return put_big_endian(at, size, 4);
}

static void put_string(ferry_sink *sink, const char *bytes, size_t size)
{
        char *at = sink_reserve(sink, size + 8);

        if (!at)
                return;
        at = put_size(at, (uint32_t)size, 0xa0, 31, 0xd9, true);
        memcpy(at, bytes, size);
        sink_take(sink, at + size);
}

static void put_binary(ferry_sink *sink, const char *bytes, size_t size)
{
        char *at = sink_reserve(sink, size + 8);

        if (!at)
                return;
        /* There is no small form. */
        at = size == 0 ? put_big_endian(at, 0xc400, 2) : put_size(at, (uint32_t)size, 0, 0, 0xc4, true);
        memcpy(at, bytes, size);
        sink_take(sink, at + size);
}

/* Whether an opaque object is an ext: of which type. */
static bool is_ext(const ferry_value *value, int *ret_type)
{
        const struct named *named = value->named;
        char name[EXT_CLASS_MAX];

        if (value->kind != FERRY_VALUE_OPAQUE || !is_ext_class(named->class_name, named->class_size))
                return false;
        *ret_type = (int)strtol(named->class_name + sizeof EXT_CLASS - 1, NULL, 10);
        snprintf(name, sizeof name, EXT_CLASS "%d", (signed char)*ret_type);
        return strcmp(name, named->class_name) == 0 && strlen(name) == named->class_size;
}

static void put_ext(ferry_sink *sink, int type, const char *bytes, size_t size)
{
        char *at = sink_reserve(sink, size + 8);

        if (!at)
                return;
        if (size > 0 && size <= 16 && (size & (size - 1)) == 0)
                *at++ = (char)(0xd4 + __builtin_ctzl(size));
        else
                at = size == 0 ? put_big_endian(at, 0xc700, 2) : put_size(at, (uint32_t)size, 0, 0, 0xc7, true);
        *at++ = (char)type;
        memcpy(at, bytes, size);
        sink_take(sink, at + size);
}

static char *put_msgpack_integer(char *at, int64_t integer)
{
        uint64_t number = (uint64_t)integer;
        int size;

        if (integer >= -32 && integer < 128) {
                *at++ = (char)integer;
                return at;
        }
        if (integer >= 0) {
                size = number <= UINT8_MAX ? 0 : number <= UINT16_MAX ? 1 : number <= UINT32_MAX ? 2 : 3;
                *at++ = (char)(0xcc + size);
        } else {
                size = integer >= INT8_MIN ? 0 : integer >= INT16_MIN ? 1 : integer >= INT32_MIN ? 2 : 3;
                *at++ = (char)(0xd0 + size);
        }
        return put_big_endian(at, number, 1 << size);
}

static void put_scalar(ferry_sink *sink, const ferry_value *value)
{
        char *at = sink_reserve(sink, 16);
        uint64_t bits;

        if (!at)
                return;
        switch (value->kind) {
        case FERRY_VALUE_NULL:
                *at++ = (char)0xc0;
                break;
        case FERRY_VALUE_BOOL:
                *at++ = (char)(value->boolean ? 0xc3 : 0xc2);
                break;
        case FERRY_VALUE_INT:
                at = put_msgpack_integer(at, value->integer);
                break;
        default:
                memcpy(&bits, &value->real, sizeof bits);
                *at++ = (char)0xcb;
                at = put_big_endian(at, bits, 8);
        }
        sink_take(sink, at);
}

/* Names that are integers are only read where __serialize() has given them. */
static bool has_integer_names(const ferry_value *object)
{
        for (uint32_t i = 0; i < object->size; i++)
                if (object->members->entries[i].key.kind == FERRY_VALUE_INT)
                        return true;
        return false;
}

/* Names that count from 0 are not written: they are an array then. */
static bool has_counted_names(const ferry_value *object)
{
        for (uint32_t i = 0; i < object->size; i++)
                if (object->members->entries[i].key.kind != FERRY_VALUE_INT ||
                    object->members->entries[i].key.integer != i)
                        return false;
        return object->size > 0;
}

/* Returns whether the names of what is in it are left out. */
static bool put_container(ferry_sink *sink, const ferry_value *value)
{
        bool is_object = value->kind == FERRY_VALUE_OBJECT;
        bool is_nested = is_object && has_integer_names(value);
        bool is_counted = is_nested && has_counted_names(value);
        char *at = sink_reserve(sink, 16);

        if (!at)
                return false;
        if (value->kind == FERRY_VALUE_LIST)
                at = put_size(at, value->size, 0x90, 15, 0xdc, false);
        else
                at = put_size(at, is_nested ? 2 : value->size + is_object, 0x80, 15, 0xde, false);
        if (is_object)
                *at++ = (char)0xc0;
        sink_take(sink, at);
        if (!is_object)
                return false;
        put_string(sink, value->members->class_name, value->members->class_size);
        at = is_nested ? sink_reserve(sink, 16) : NULL;
        if (!at)
                return false;
        *at++ = (char)0xc0;
        sink_take(sink, is_counted ? put_size(at, value->size, 0x90, 15, 0xdc, false) :
                                     put_size(at, value->size, 0x80, 15, 0xde, false));
        return is_counted;
}

static void put_named(ferry_sink *sink, const ferry_value *value)
{
        char head[] = { (char)0x82, (char)0xc0,
                        value->kind == FERRY_VALUE_ENUM ? SPECIAL_ENUM : SPECIAL_OPAQUE };
        int type;

        if (is_ext(value, &type)) {
                put_ext(sink, type, value->named->bytes, value->size);
                return;
        }
        if (is_ext_class(value->named->class_name, value->named->class_size)) {
                sink_fail(sink, -EILSEQ, "msgpack has no extension type \"%.40s\": ext:-128 to ext:127",
                          value->named->class_name);
                return;
        }
        ferry_sink_write(sink, head, sizeof head);
        put_string(sink, value->named->class_name, value->named->class_size);
        put_string(sink, value->named->bytes, value->size);
}

static int encode(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        struct walk walk;
        struct walk_step step;
        bool is_counted[DEPTH_MAX + 1];         /* of the containers that are open, the first is 1 */
        const char *bytes;
        size_t size;

        (void)codec;
        walk_begin(&walk, root);
        for (size_t parent = 0; !sink->error && walk_next(&walk, &step); parent = walk.depth) {
                if (step.is_closing)
                        continue;
                if (step.key && step.key->kind == FERRY_VALUE_INT) {
                        /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): set when it was opened */
                        if (!is_counted[parent])        /* gcc-analyzer: set when it was opened */
                                put_scalar(sink, step.key);
                } else if (step.key) {
                        bytes = key_mangled(step.key, &size);
                        put_string(sink, bytes, size);
                }
                switch (step.value->kind) {
                case FERRY_VALUE_STRING:
                        if (ferry_value_is_binary(step.value))
                                put_binary(sink, step.value->bytes, step.value->size);
                        else
                                put_string(sink, step.value->bytes, step.value->size);
                        break;
                case FERRY_VALUE_LIST:
                case FERRY_VALUE_MAP:
                case FERRY_VALUE_OBJECT:
                        if (step.value->size > 0)
                                is_counted[walk.depth] = put_container(sink, step.value);
                        else
                                put_container(sink, step.value);
                        break;
                case FERRY_VALUE_ENUM:
                case FERRY_VALUE_OPAQUE:
                        put_named(sink, step.value);
                        break;
                default:
                        put_scalar(sink, step.value);
                }
        }
        return 0;
}

static const struct native_codec msgpack;

static int decode_msgpack_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&msgpack, bytes, size, builder);
}

static const struct native_codec msgpack = {
        .codec = { .size = sizeof(ferry_codec), .name = "msgpack", .number = 1, .encode = encode,
                   .decode = decode_msgpack_into },
        .check = check,
        .decode = decode,
};

const ferry_codec *ferry_codec_msgpack(void)
{
        return &msgpack.codec;
}
