/* MessagePack: whether bytes are right. Objects, and what is shared, are as php-msgpack writes them: a map whose first key is
 * nil. An extension type is an opaque object of the class ext:N, which
 * no language has. Keys that are neither integers nor strings have no value here and are refused. */
#include "value/msgpack.h"
#include "value/slots.h"

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

static int push(struct parser *p, const struct container *container)
{
        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        p->stack[p->depth++] = *container;
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
        p->check->nodes++;
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
        p->check->nodes++;
        if (head.kind != HEAD_INT && head.kind != HEAD_STRING)
                return -EBADMSG;
        return head.kind == HEAD_STRING && is_object ? name_check_mangled(head.bytes, head.size) : 0;
}

/* A container ends: what its items will take. */
static void close_container(struct parser *p)
{
        const struct container *container = &p->stack[--p->depth];

        if (!container->is_map && !container->is_object)
                p->check->memory += container->size * sizeof(ferry_value);
        else if (container->size > 0 || container->is_object)
                p->check->memory += sizeof(struct members) + container->size * sizeof(struct entry);
}

/* The quick way: what most messages consist of, as far as it is complete and right. ---------------------- */

/* By the first byte: bytes of a value that has no bytes of its own to check; what else it is. 0: not for the quick way. */
enum { STRING_8 = 0x40, STRING_16, STRING_32, SMALL_STRING, SMALL_LIST, SMALL_MAP, LIST_16, MAP_16 };

static const unsigned char shapes[256] = {
        [0x00 ... 0x7f] = 1, [0xe0 ... 0xff] = 1, [0xc0] = 1, [0xc2 ... 0xc3] = 1,
        [0xca] = 5, [0xcb] = 9, [0xcc] = 2, [0xcd] = 3, [0xce] = 5, [0xd0] = 2, [0xd1] = 3, [0xd2] = 5, [0xd3] = 9,
        [0xa0 ... 0xbf] = SMALL_STRING, [0xc4] = STRING_8, [0xd9] = STRING_8, [0xc5] = STRING_16, [0xda] = STRING_16,
        [0xc6] = STRING_32, [0xdb] = STRING_32,
        [0x90 ... 0x9f] = SMALL_LIST, [0x80 ... 0x8f] = SMALL_MAP, [0xdc] = LIST_16, [0xde] = MAP_16,
};

/* Behind the head and the bytes of a string; NULL if these are not all there. */
static inline const unsigned char *quick_string(const unsigned char *at, const unsigned char *end, unsigned shape)
{
        size_t left = (size_t)(end - at), head, size;

        /* So many bytes do for any head. */
        if (left < 5) {
                if (shape != SMALL_STRING || left < 1u + (*at & 31))
                        return NULL;
                return at + 1 + (*at & 31);
        }
        if (shape == SMALL_STRING)
                head = 1, size = *at & 31;
        else if (shape == STRING_8)
                head = 2, size = at[1];
        else if (shape == STRING_16)
                head = 3, size = (size_t)at[1] << 8 | at[2];
        else
                head = 5, size = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
        return size <= left - head ? at + head + size : NULL;
}

static inline const unsigned char *quick_key(const unsigned char *at, const unsigned char *end, bool is_object)
{
        unsigned shape;

        if (at == end)
                return NULL;
        shape = shapes[*at];
        if (shape == SMALL_STRING) {
                size_t size = *at & 31;

                /* A name that is mangled is left to the other way. */
                return (size_t)(end - at) > size && !(is_object && size > 0 && at[1] == '\0') ? at + 1 + size : NULL;
        }
        return shape == 1 && *at != 0xc0 && *at != 0xc2 && *at != 0xc3 ? at + 1 : NULL;
}

/* The head of a list or a map, which needs up to three bytes; NULL: that is left to the other way. */
static inline const unsigned char *quick_opening(const unsigned char *at, const unsigned char *end, unsigned shape,
                                                 struct container *container)
{
        uint32_t size = *at & 15;

        if (end - at < 4)
                return NULL;
        if (shape >= LIST_16) {
                size = (uint32_t)at[1] << 8 | at[2];
                at += 2;
        }
        at++;
        *container = (struct container){ .is_map = shape == SMALL_MAP || shape == MAP_16, .size = size, .left = size };
        /* What begins with nil is special. */
        return container->is_map && size > 0 && *at == 0xc0 ? NULL : at;
}

/* As many items of one container as it can. Returns where it stands: at the end of the container, in one that it has opened in
 * this one, or at what is left to the other way. */
static inline const unsigned char *take_items(struct parser *p, struct container *container, const unsigned char *at,
                                              const unsigned char *end)
{
        bool is_map = container->is_map, is_object = container->is_object, is_open = false;
        uint32_t left = container->left, left_before = left;

        while (left > 0 && !is_open) {
                const unsigned char *value = is_map ? quick_key(at, end, is_object) : at, *next;
                unsigned shape;

                if (!value || value == end)
                        break;
                shape = shapes[*value];
                if (shape < STRING_8) {
                        next = shape > 0 && (size_t)(end - value) >= shape ? value + shape : NULL;
                } else if (shape <= SMALL_STRING) {
                        next = quick_string(value, end, shape);
                } else {
                        next = p->depth < DEPTH_MAX ? quick_opening(value, end, shape, container + 1) : NULL;
                        is_open = next != NULL;
                }
                if (!next)
                        break;
                left--;
                at = next;
        }
        container->left = left;
        p->depth += is_open;
        p->check->nodes += (size_t)(left_before - left) << is_map;
        return at;
}

/* As many items as it can. */
static void take_quickly(struct parser *p)
{
        const unsigned char *at = p->at, *end = p->end;

        while (p->depth > 0) {
                size_t depth = p->depth;
                struct container *container = &p->stack[depth - 1];

                at = take_items(p, container, at, end);
                if (p->depth > depth)
                        continue;
                if (container->left > 0)
                        break;
                close_container(p);
        }
        p->at = at;
}

/* The next item of the container that is open, or its end; or the value of all. */
static int take_item(struct parser *p)
{
        struct container *container = p->depth > 0 ? &p->stack[p->depth - 1] : NULL;
        int error = 0;

        if (container && container->left == 0) {
                close_container(p);
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
}

static int check(const char *bytes, size_t size, struct check *check)
{
        struct parser p;

        check->nodes = 0;
        check->memory = 0;
        check->has_references = false;
        check->reason = NULL;
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
