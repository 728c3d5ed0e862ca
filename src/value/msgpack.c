/* MessagePack: whether bytes are right. Objects, and what is shared, are as php-msgpack writes them: a map whose first key is
 * nil. An extension type is an opaque object of the class ext:N, which
 * no language has. Keys that are neither integers nor strings have no value here and are refused. */
#include "value/msgpack.h"
#include "value/slots.h"

#include "util/bytes.h"

#include <errno.h>

struct container {
        bool is_map;
        bool is_object;         /* one that is no map names its properties by counting */
        uint32_t size;
        uint32_t left;
};

struct parser {
        const unsigned char *begin;
        const unsigned char *at;
        const unsigned char *end;
        struct check *check;
        struct slots *slots;    /* for the numbers of references, or NULL */
        size_t depth;
        struct container stack[DEPTH_MAX];
};

enum head_kind { HEAD_NIL, HEAD_BOOL, HEAD_INT, HEAD_DOUBLE, HEAD_STRING, HEAD_EXT, HEAD_LIST, HEAD_MAP };

/* What a first byte announces, with the number or the bytes that belong to it. */
struct head {
        enum head_kind kind;
        size_t offset;
        int64_t integer;        /* of an ext: its type */
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

        head->kind = HEAD_DOUBLE;
        return read_number(p, size, &number);
}

static int read_head(struct parser *p, struct head *head)
{
        unsigned char first;

        if (p->at == p->end)
                return -EAGAIN;
        head->offset = (size_t)(p->at - p->begin);
        first = *p->at++;
        head->kind = HEAD_INT;
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

/* What its items are, and what they will take: counted when it begins, so that its end is nothing to do. */
static inline void count_items(struct check *check, const struct container *container)
{
        size_t size = container->size;

        check->nodes += size << container->is_map;
        if (!container->is_map && !container->is_object)
                check->memory += size * sizeof(ferry_value);
        else if (size > 0 || container->is_object)
                check->memory += sizeof(struct members) + size * sizeof(struct entry);
}

static int push(struct parser *p, const struct container *container)
{
        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        p->stack[p->depth++] = *container;
        count_items(p->check, container);
        return 0;
}

/* Nothing is nil as a name but what begins an object. */
static int open_object(struct parser *p, const struct head *name, uint32_t left)
{
        struct container container = { .is_map = true, .is_object = true, .size = left, .left = left };
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
                container.size = container.left = head.size;
        }
        return push(p, &container);
}

static int read_again(struct parser *p)
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
        if (p->slots)
                slots_want(p->slots, (uint64_t)head.integer);
        return 0;
}

/* {nil: 3, CLASS: bytes}, {nil: 6, CLASS: case} */
static int read_named(struct parser *p, bool is_enum)
{
        struct head name, bytes;
        int error = read_exactly(p, &name, HEAD_STRING);

        if (!error)
                error = read_exactly(p, &bytes, HEAD_STRING);
        if (error)
                return error;
        if (name.size == 0 || (is_enum && bytes.size == 0) || is_ext_class(name.bytes, name.size))
                return -EBADMSG;
        p->check->memory += sizeof(struct named);
        return 0;
}

static int open_container(struct parser *p, bool is_map, uint32_t size)
{
        struct container container = { .is_map = is_map, .size = size, .left = size };

        return push(p, &container);
}

/* What follows the first nil of a map of @left entries. */
static int read_special(struct parser *p, uint32_t left)
{
        struct head head;
        int error = read_head(p, &head);

        if (error)
                return error;
        left--;
        if (head.kind == HEAD_STRING)
                return open_object(p, &head, left);
        if (head.kind != HEAD_INT)
                return -EBADMSG;
        if (head.integer == SPECIAL_REFERENCED) {
                if (left == 0 || p->at == p->end)
                        return left == 0 ? -EBADMSG : -EAGAIN;
                if (*p->at != 0xc0)
                        return open_container(p, true, left);
                read_head(p, &head);
                error = read_exactly(p, &head, HEAD_STRING);
                return error ? error : open_object(p, &head, left - 1);
        }
        if (left != 1)
                return -EBADMSG;
        switch (head.integer) {
        case SPECIAL_OPAQUE:
                return read_named(p, false);
        case SPECIAL_ENUM:
                return read_named(p, true);
        case SPECIAL_OBJECT_AGAIN:
        case SPECIAL_REFERENCE:
        case SPECIAL_ARRAY_AGAIN:
                return read_again(p);
        }
        return -EBADMSG;
}

static int read_container(struct parser *p, const struct head *head)
{
        bool is_map = head->kind == HEAD_MAP;
        struct head nil;

        if (is_map && head->size > 0) {
                if (p->at == p->end)
                        return -EAGAIN;
                if (*p->at == 0xc0) {
                        read_head(p, &nil);
                        return read_special(p, head->size);
                }
        }
        return open_container(p, is_map, head->size);
}

static int read_value(struct parser *p)
{
        struct head head;
        int error = read_head(p, &head);

        if (error)
                return error;
        if (head.kind == HEAD_LIST || head.kind == HEAD_MAP)
                return read_container(p, &head);
        if (head.kind == HEAD_EXT)
                p->check->memory += sizeof(struct named) + EXT_CLASS_MAX + ARENA_ALIGNMENT;
        return 0;
}

static int read_key(struct parser *p, bool is_object)
{
        struct head head;
        int error = read_head(p, &head);

        if (error)
                return error;
        if (head.kind != HEAD_INT && head.kind != HEAD_STRING)
                return -EBADMSG;
        return head.kind == HEAD_STRING && is_object ? name_check_mangled(head.bytes, head.size) : 0;
}

/* The quick way: what most messages consist of, as far as it is complete and right. ---------------------- */

/* By the first byte: how many bytes a value has that has none to check, and no others in it; 0: other. Short strings are such
 * values, so most items are one step. */
#define SHORT(n) [0xa0 + (n)] = 1 + (n)
#define SHORT_8(n) SHORT(n), SHORT((n) + 1), SHORT((n) + 2), SHORT((n) + 3), SHORT((n) + 4), SHORT((n) + 5), SHORT((n) + 6), SHORT((n) + 7)
#define NUMBERS [0x00 ... 0x7f] = 1, [0xe0 ... 0xff] = 1, \
        [0xcc] = 2, [0xcd] = 3, [0xce] = 5, [0xd0] = 2, [0xd1] = 3, [0xd2] = 5, [0xd3] = 9

static const unsigned char value_sizes[256] = {
        NUMBERS, SHORT_8(0), SHORT_8(8), SHORT_8(16), SHORT_8(24), [0xc0] = 1, [0xc2 ... 0xc3] = 1, [0xca] = 5, [0xcb] = 9,
};
static const unsigned char key_sizes[256] = { NUMBERS, SHORT_8(0), SHORT_8(8), SHORT_8(16), SHORT_8(24) };

/* The same of a string that is not short; 0: it is something else, or its head is not there. Head and string may be more than a size_t
 * of 32 bits can hold. */
static inline uint64_t long_string_size(const unsigned char *at, const unsigned char *end)
{
        /* So many bytes do for any head. */
        if (end - at < 5)
                return 0;
        switch (*at) {
        case 0xc4:
        case 0xd9:
                return 2u + at[1];
        case 0xc5:
        case 0xda:
                return 3 + ((uint64_t)at[1] << 8 | at[2]);
        case 0xc6:
        case 0xdb:
                return 5 + (uint64_t)read_u32(at + 1);
        default:
                return 0;
        }
}

/* Behind a value that is no container; NULL: it is left to the other way. */
static inline const unsigned char *behind_value(const unsigned char *at, const unsigned char *end)
{
        uint64_t size = value_sizes[*at];

        if (size == 0)
                size = long_string_size(at, end);
        return size > 0 && size <= (size_t)(end - at) ? at + size : NULL;
}

/* The value behind a key; NULL if the key is left to the other way, or the value is not there. */
static inline const unsigned char *behind_key(const unsigned char *at, const unsigned char *end, bool is_object)
{
        size_t size;

        if (at == end)
                return NULL;
        size = key_sizes[*at];
        /* A name that is mangled is left to the other way, too. */
        if (size == 0 || size >= (size_t)(end - at) || (is_object && size > 1 && at[1] == '\0'))
                return NULL;
        return at + size;
}

/* Where there are more bytes, an item with sizes from the tables is all there, with the byte behind it. */
enum { ITEM_MAX = 2 * 33 };

/* The same as behind_value(), where there are that many. Branches are foreseen, and a load is waited for: so the sizes that most
 * values have are no look at the table. */
static inline const unsigned char *behind_near_value(const unsigned char *at, const unsigned char *end)
{
        unsigned first = *at;

        if (first - 0xa0 < 32)
                return at + 1 + (first & 31);
        /* Small integers: up to 0x7f, and from 0xe0 on. */
        if (((first + 0x20) & 0xff) < 0xa0)
                return at + 1;
        if (first == 0xcb)
                return at + 9;
        if (first == 0xce)
                return at + 5;
        return behind_value(at, end);
}

/* As many items as are no containers. Returns the next value, which may be one; NULL: there is none left, or its key is left to
 * the other way. *@ret_at: where that item begins. */
static inline const unsigned char *take_values(const unsigned char *at, const unsigned char *end, uint32_t *left,
                                               const unsigned char **ret_at)
{
        const unsigned char *next = NULL;
        uint32_t count = *left;

        for (; count > 0 && at < end; count--) {
                next = end - at > ITEM_MAX ? behind_near_value(at, end) : behind_value(at, end);
                if (!next)
                        break;
                at = next;
        }
        *left = count;
        *ret_at = at;
        return count > 0 && at < end ? at : NULL;
}

static inline const unsigned char *take_members(const unsigned char *at, const unsigned char *end, uint32_t *left, bool is_object,
                                                const unsigned char **ret_at)
{
        const unsigned char *value = NULL, *next;
        uint32_t count = *left;

        for (; count > 0; count--) {
                if (end - at > ITEM_MAX && *at - 0xa0u < 32 && !(is_object && at[1] == '\0')) {
                        value = at + 1 + (*at & 31);
                        next = behind_near_value(value, end);
                } else {
                        value = behind_key(at, end, is_object);
                        next = value ? behind_value(value, end) : NULL;
                }
                if (!next)
                        break;
                at = next;
        }
        *left = count;
        *ret_at = at;
        return count > 0 ? value : NULL;
}

/* The head of a list or a map, which needs up to three bytes; NULL: that is left to the other way. */
static inline const unsigned char *quick_opening(const unsigned char *at, const unsigned char *end, struct container *container)
{
        unsigned first = *at;
        uint32_t size = first & 15;
        bool is_map = first < 0x90 || first == 0xde;

        if (end - at < 4)
                return NULL;
        at++;
        if (first == 0xdc || first == 0xde) {
                size = (uint32_t)at[0] << 8 | at[1];
                at += 2;
        } else if ((first & 0xe0) != 0x80)
                return NULL;
        /* What begins with nil is special. */
        if (is_map && *at == 0xc0 && size > 0)
                return NULL;
        container->is_map = is_map;
        container->is_object = false;
        container->size = container->left = size;
        return at;
}

/* As many items as it can. */
static void take_quickly(struct parser *p)
{
        const unsigned char *at = p->at, *end = p->end, *value;
        struct container *bottom = p->stack, *top = bottom + p->depth - 1;
        struct check *counts = p->check;

        while (top >= bottom) {
                uint32_t left = top->left;

                value = top->is_map ? take_members(at, end, &left, top->is_object, &at) : take_values(at, end, &left, &at);
                if (left == 0) {
                        top--;
                        continue;
                }
                top->left = left;
                value = value && top < bottom + DEPTH_MAX - 1 ? quick_opening(value, end, top + 1) : NULL;
                if (!value)
                        break;
                top->left--;
                at = value;
                top++;
                count_items(counts, top);
        }
        p->at = at;
        p->depth = (size_t)(top + 1 - bottom);
}

/* The next item of the container that is open, or its end; or the value of all. */
static int take_item(struct parser *p)
{
        struct container *container = p->depth > 0 ? &p->stack[p->depth - 1] : NULL;
        int error = 0;

        if (container && container->left == 0) {
                p->depth--;
                return 0;
        }
        if (container)
                container->left--;
        if (container && container->is_map)
                error = read_key(p, container->is_object);
        return error ? error : read_value(p);
}

static int parse(struct parser *p)
{
        int error;

        do {
                error = take_item(p);
                if (!error)
                        take_quickly(p);
        } while (!error && p->depth > 0);
        if (!error && p->at < p->end)
                error = -EBADMSG;
        p->check->offset = (size_t)(p->at - p->begin);
        return error;
}

static void start(struct parser *p, const char *bytes, size_t size, struct check *check, struct slots *slots)
{
        p->begin = p->at = (const unsigned char *)bytes;
        p->end = p->begin + size;
        p->check = check;
        p->slots = slots;
        p->depth = 0;
        check_begin(check);
        check->nodes = 1;
}

static int check(const char *bytes, size_t size, struct check *check)
{
        struct parser p;

        start(&p, bytes, size, check, NULL);
        return parse(&p);
}

void msgpack_want(const char *bytes, size_t size, struct slots *slots)
{
        struct check again = { 0 };
        struct parser p;

        start(&p, bytes, size, &again, slots);
        parse(&p);
}

static const struct native_codec msgpack;

static int decode_msgpack_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&msgpack, bytes, size, builder);
}

static const struct native_codec msgpack = {
        .codec = { .size = sizeof(ferry_codec), .name = "msgpack", .number = 1, .encode = msgpack_encode,
                   .decode = decode_msgpack_into },
        .check = check,
        .decode = msgpack_decode,
};

const ferry_codec *ferry_codec_msgpack(void)
{
        return &msgpack.codec;
}
