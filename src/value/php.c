/* PHP's serialize and unserialize: whether bytes are right. What serialize() writes is taken, what unserialize() takes beyond
 * that is refused (leading zeros, "+5", ".5", trailing bytes, overflow). Objects are data: no class is looked up, no code
 * runs. */
#include "value/php.h"
#include "value/slots.h"

#include <errno.h>
#include <string.h>

struct container {
        char kind;              /* 'a' or 'O' */
        bool has_key;           /* its key has been read, the value comes */
        bool is_counted;        /* its keys count from 0, so far */
        uint32_t size;          /* entries */
        uint32_t left;          /* of them are to come */
};

struct parser {
        const char *begin;
        const char *at;
        const char *end;
        struct check *check;
        struct slots *slots;    /* for the numbers of references, or NULL */
        struct outline_item *item;      /* what was asked for, of which the value comes now */
        size_t depth;
        struct container stack[DEPTH_MAX];
};

/* Bytes that are expected here: 0, -EAGAIN if they may still come, -EBADMSG. */
static int expect(struct parser *p, const char *text, size_t size)
{
        size_t left = (size_t)(p->end - p->at);

        if (left >= size && memcmp(p->at, text, size) == 0) {
                p->at += size;
                return 0;
        }
        for (size_t i = 0; i < left && i < size; i++, p->at++)
                if (*p->at != text[i])
                        return -EBADMSG;
        return -EAGAIN;
}

/* A count or length up to @end_byte. No leading zeros. */
static int read_count(struct parser *p, char end_byte, uint32_t *ret)
{
        const char *digits = p->at;
        uint64_t count = 0;

        for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
                count = count * 10 + (uint64_t)(*p->at - '0');
                if (count > UINT32_MAX || (p->at > digits && *digits == '0'))
                        return -EBADMSG;
        }
        if (p->at == p->end)
                return -EAGAIN;
        if (*p->at != end_byte || p->at == digits)
                return -EBADMSG;
        p->at++;
        *ret = (uint32_t)count;
        return 0;
}

/* LENGTH:"bytes". Of what is incomplete the size may be known; then the bytes go on to the end. */
static int read_quoted(struct parser *p, const char **ret_bytes, uint32_t *ret_size)
{
        uint32_t size;
        int error;

        *ret_bytes = p->end;
        *ret_size = 0;
        error = read_count(p, ':', &size);
        if (!error)
                error = expect(p, "\"", 1);
        if (error)
                return error;
        *ret_bytes = p->at;
        *ret_size = size;
        if (size >= (size_t)(p->end - p->at)) {
                p->at = p->end;
                return -EAGAIN;
        }
        p->at += size;
        if (*p->at != '"')
                return -EBADMSG;
        p->at++;
        return 0;
}

static int read_integer(struct parser *p, int64_t *ret)
{
        const char *text = p->at;
        bool is_negative = p->at < p->end && *p->at == '-';

        p->at += is_negative;
        while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
                p->at++;
        if (p->at == p->end)
                return p->at - text <= is_negative || text_is_integer(text, (size_t)(p->at - text), ret) ? -EAGAIN :
                                                                                                            -EBADMSG;
        if (*p->at != ';' || !text_is_integer(text, (size_t)(p->at - text), ret))
                return -EBADMSG;
        p->at++;
        return 0;
}

static int read_double(struct parser *p)
{
        bool is_negative = p->at < p->end && *p->at == '-';
        size_t digits = 0;

        p->at += is_negative;
        if (p->at < p->end && (*p->at == 'I' || (*p->at == 'N' && !is_negative)))
                return *p->at == 'I' ? expect(p, "INF;", 4) : expect(p, "NAN;", 4);
        for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
                digits++;
        if (p->at < p->end && digits > 0 && *p->at == '.')
                for (p->at++, digits = 0; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
                        digits++;
        if (p->at < p->end && digits > 0 && (*p->at == 'E' || *p->at == 'e')) {
                p->at++;
                p->at += p->at < p->end && (*p->at == '-' || *p->at == '+');
                for (digits = 0; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
                        digits++;
        }
        if (p->at == p->end)
                return -EAGAIN;
        if (*p->at != ';' || digits == 0)
                return -EBADMSG;
        p->at++;
        return 0;
}

bool php_is_class_name(const char *name, size_t size)
{
        static const bool is_in_names[256] = { ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true,
                                               ['_'] = true,         ['\\'] = true,        [0x80 ... 0xff] = true };

        if (size == 0 || name[0] == '\\')
                return false;
        for (size_t i = 0; i < size; i++)
                if (!is_in_names[(unsigned char)name[i]])
                        return false;
        return true;
}

/* How much of a text is there. */
static size_t size_there(const struct parser *p, const char *bytes, uint32_t size)
{
        return size < (size_t)(p->end - bytes) ? size : (size_t)(p->end - bytes);
}

static int read_class(struct parser *p, const char **ret_name, uint32_t *ret_size)
{
        size_t there;
        int error;

        if (p->at < p->end && *p->at == '0')
                return -EBADMSG;
        error = read_quoted(p, ret_name, ret_size);
        there = size_there(p, *ret_name, *ret_size);
        /* Of a name that is incomplete the beginning must be right. */
        if (error && there == 0)
                return error;
        return php_is_class_name(*ret_name, there) ? error : -EBADMSG;
}

/* A property of the outermost object: has it been asked for? */
static struct outline_item *find_item(struct parser *p, const char *name, size_t size)
{
        struct outline *outline = p->check->outline;

        if (!outline || p->depth != 1 || p->stack[0].kind != 'O')
                return NULL;
        for (int i = 0; i < outline->count; i++)
                if (strlen(outline->items[i].name) == size && memcmp(outline->items[i].name, name, size) == 0)
                        return &outline->items[i];
        return NULL;
}

static int read_key(struct parser *p, struct container *container)
{
        const char *bytes = NULL;
        uint32_t size = 0;
        int64_t integer = 0;
        bool is_integer = *p->at == 'i';
        int error;

        if (!is_integer && *p->at != 's')
                return -EBADMSG;
        p->at++;
        error = expect(p, ":", 1);
        if (error)
                return error;
        if (is_integer)
                error = read_integer(p, &integer);
        else {
                error = read_quoted(p, &bytes, &size);
                if (!error)
                        error = expect(p, ";", 1);
        }
        if (error)
                return error;
        p->check->nodes++;
        if (!is_integer && container->kind == 'O') {
                p->item = find_item(p, bytes, size);
                if (p->item)
                        p->item->string = p->item->class_name = (struct raw_text){ 0 };
                return name_check_mangled(bytes, size);
        }
        if ((!is_integer && !text_is_integer(bytes, size, &integer)) || integer != container->size - container->left - 1)
                container->is_counted = false;
        return 0;
}

static int open_container(struct parser *p, char kind)
{
        struct container *container = &p->stack[p->depth];
        int error = read_count(p, ':', &container->left);

        if (!error)
                error = expect(p, "{", 1);
        if (error)
                return error;
        p->depth++;
        container->kind = kind;
        container->has_key = false;
        container->is_counted = true;
        container->size = container->left;
        return 0;
}

static int read_array(struct parser *p)
{
        p->item = NULL;
        return p->depth == DEPTH_MAX ? -EMSGSIZE : open_container(p, 'a');
}

static int read_object(struct parser *p)
{
        const char *class_name;
        uint32_t class_size;
        int error;

        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        error = read_class(p, &class_name, &class_size);
        if (!error)
                error = expect(p, ":", 1);
        if (error)
                return error;
        if (p->depth == 0 && p->check->outline)
                p->check->outline->class_name = (struct raw_text){ .bytes = class_name, .size = class_size };
        if (p->item)
                p->item->class_name = (struct raw_text){ .bytes = class_name, .size = class_size };
        p->item = NULL;
        return open_container(p, 'O');
}

static int read_opaque(struct parser *p)
{
        const char *class_name;
        uint32_t class_size, size;
        int error = read_class(p, &class_name, &class_size);

        if (!error)
                error = expect(p, ":", 1);
        if (!error)
                error = read_count(p, ':', &size);
        if (!error)
                error = expect(p, "{", 1);
        if (error)
                return error;
        if (size >= (size_t)(p->end - p->at)) {
                p->at = p->end;
                return -EAGAIN;
        }
        p->at += size;
        if (*p->at != '}')
                return -EBADMSG;
        p->at++;
        p->check->memory += sizeof(struct named);
        return 0;
}

/* CLASS:CASE, @size bytes, of which so many are there. */
static int check_enum_name(const char *both, size_t size, size_t there, const char *colon)
{
        size_t class_size = colon ? (size_t)(colon - both) : there;
        size_t case_there = colon ? there - class_size - 1 : 0;

        if (size < 3 || class_size + 2 > size || (there > 0 && !php_is_class_name(both, class_size)))
                return -EBADMSG;
        return case_there == 0 || php_is_class_name(colon + 1, case_there) ? 0 : -EBADMSG;
}

static int read_enum(struct parser *p)
{
        const char *both, *colon;
        uint32_t size;
        size_t there;
        int error;

        if (p->at < p->end && *p->at == '0')
                return -EBADMSG;
        error = read_quoted(p, &both, &size);
        if (error && size == 0)
                return error;
        there = size_there(p, both, size);
        colon = memchr(both, ':', there);
        if (check_enum_name(both, size, there, colon) < 0)
                return -EBADMSG;
        if (error)
                return error;
        p->check->memory += sizeof(struct named);
        return expect(p, ";", 1);
}

static int read_reference(struct parser *p)
{
        uint32_t number;
        int error;

        if (p->at < p->end && *p->at == '0')
                return -EBADMSG;
        error = read_count(p, ';', &number);
        if (error)
                return error;
        p->check->has_references = true;
        if (p->slots)
                slots_want(p->slots, number);
        return 0;
}

static int read_scalar(struct parser *p, char kind)
{
        const char *bytes;
        uint32_t size;
        int64_t integer;
        int error;

        switch (kind) {
        case 'b':
                if (p->at == p->end)
                        return -EAGAIN;
                if (*p->at != '0' && *p->at != '1')
                        return -EBADMSG;
                p->at++;
                return expect(p, ";", 1);
        case 'i':
                return read_integer(p, &integer);
        case 'd':
                return read_double(p);
        default:
                error = read_quoted(p, &bytes, &size);
                if (!error)
                        error = expect(p, ";", 1);
                if (!error && p->item)
                        p->item->string = (struct raw_text){ .bytes = bytes, .size = size };
                return error;
        }
}

/* One value, or the opening of one. */
static int read_value(struct parser *p)
{
        char kind = *p->at;
        int error;

        p->check->nodes++;
        p->at++;
        if (kind == 'N')
                error = expect(p, ";", 1);
        else if (!strchr("bidsaOCErR", kind) || kind == '\0')
                p->at--, error = -EBADMSG;
        else
                error = expect(p, ":", 1);
        if (error)
                return error;
        switch (kind) {
        case 'a':
                return read_array(p);
        case 'O':
                return read_object(p);
        case 'C':
                error = read_opaque(p);
                break;
        case 'E':
                error = read_enum(p);
                break;
        case 'r':
        case 'R':
                error = read_reference(p);
                break;
        case 'N':
                break;
        default:
                error = read_scalar(p, kind);
        }
        p->item = NULL;
        return error;
}

/* What its entries will take: of a list they have no keys. */
static void count_memory(struct parser *p, const struct container *container)
{
        if (container->kind == 'a' && container->is_counted)
                p->check->memory += container->size * sizeof(ferry_value);
        else
                p->check->memory += sizeof(struct members) + container->size * sizeof(struct entry);
}

/* The end of the container that was opened last. */
static int close_container(struct parser *p)
{
        int error = expect(p, "}", 1);

        if (error)
                return error;
        count_memory(p, &p->stack[--p->depth]);
        return 0;
}

static int take_part(struct parser *p)
{
        struct container *container = p->depth > 0 ? &p->stack[p->depth - 1] : NULL;

        if (container && container->left == 0 && !container->has_key)
                return close_container(p);
        if (p->at == p->end)
                return -EAGAIN;
        if (container && !container->has_key) {
                container->has_key = true;
                container->left--;
                return read_key(p, container);
        }
        if (container)
                container->has_key = false;
        return read_value(p);
}

/* The quick way ------------------------------------------------------------------------------------------
 *
 * What most messages consist of, without looking at each byte for what may be wrong with it: the following functions take what is
 * complete and right, and return NULL for all else, which take_part() then looks at. The last byte is no digit, so each run of
 * digits ends before @end. */

static inline bool is_digit(char c)
{
        return (unsigned char)(c - '0') <= 9;
}

/* Up to 18 digits, which fit; the first is no zero if there are more. */
static inline const char *quick_digits(const char *at, uint64_t *ret)
{
        const char *first = at;
        uint64_t number = 0;

        for (; is_digit(*at); at++)
                number = number * 10 + (uint64_t)(*at - '0');
        *ret = number;
        return at - first == 1 || (at - first >= 2 && at - first <= 18 && *first != '0') ? at : NULL;
}

/* LENGTH:"bytes" and what stands behind it. */
static inline const char *quick_quoted(const char *at, const char *end, char behind, const char **ret_bytes, size_t *ret_size)
{
        uint64_t size;

        at = quick_digits(at, &size);
        if (!at || end - at < 4 || (uint64_t)(end - at) - 4 < size || at[0] != ':' || at[1] != '"')
                return NULL;
        *ret_bytes = at + 2;
        *ret_size = (size_t)size;
        at += 2 + size;
        return at[0] == '"' && at[1] == behind ? at + 2 : NULL;
}

static inline const char *quick_integer(const char *at, uint64_t *ret)
{
        at = quick_digits(at, ret);
        return at && *at == ';' ? at + 1 : NULL;
}

static inline const char *quick_double(const char *at, const char *end)
{
        const char *first;

        at += *at == '-';
        first = at;

        while (is_digit(*at))
                at++;
        if (at > first && *at == '.') {
                first = ++at;
                while (at < end && is_digit(*at))
                        at++;
        }
        return at > first && *at == ';' ? at + 1 : NULL;
}

/* A value that has no items, of which at least four bytes are there. */
static inline const char *quick_scalar(const char *at, const char *end)
{
        const char *bytes;
        uint64_t integer;
        size_t size;

        switch (*at) {
        case 's':
                return quick_quoted(at + 2, end, ';', &bytes, &size);
        case 'i':
                if (at[2] != '-')
                        return quick_integer(at + 2, &integer);
                at = quick_integer(at + 3, &integer);
                return integer == 0 ? NULL : at;        /* "-0" is none */
        case 'd':
                return quick_double(at + 2, end);
        case 'b':
                return (at[2] == '0' || at[2] == '1') && at[3] == ';' ? at + 4 : NULL;
        default:
                return NULL;
        }
}

static inline const char *quick_opening(const char *at, const char *end, struct container *container)
{
        const char *bytes;
        uint64_t count;
        size_t size;

        container->kind = *at;
        at += 2;
        if (container->kind == 'O') {
                at = quick_quoted(at, end, ':', &bytes, &size);
                if (!at || at == end || !php_is_class_name(bytes, size))
                        return NULL;
        }
        at = quick_digits(at, &count);
        if (!at || end - at < 2 || at[0] != ':' || at[1] != '{' || count > UINT32_MAX)
                return NULL;
        container->size = container->left = (uint32_t)count;
        container->has_key = false;
        container->is_counted = true;
        return at + 2;
}

/* As many entries of one container as it can. Returns where it stands: at the end of the container, in one that it has opened
 * in this one, or at what is left to the other way. */
static inline const char *take_entries(struct parser *p, struct container *container, const char *at, const char *end)
{
        bool has_key = container->has_key, is_counted = container->is_counted;
        uint32_t left = container->left, left_before = left;
        const char *next, *bytes;
        uint64_t integer;
        size_t size;

        for (;;) {
                /* The shortest value has two bytes, and the end of the container is behind it; so four are there. */
                if (end - at < 4)
                        break;
                if (!has_key) {
                        if (left == 0)
                                break;
                        if (at[1] != ':')
                                break;
                        if (*at == 'i') {
                                next = quick_integer(at + 2, &integer);
                                if (next && integer != container->size - left)
                                        is_counted = false;
                        } else if (*at == 's') {
                                next = quick_quoted(at + 2, end, ';', &bytes, &size);
                                /* Names that are mangled, and numbers as text, are left to the other way. */
                                if (next && size > 0 && *bytes <= '9' && (*bytes == '\0' || *bytes == '-' || *bytes >= '0'))
                                        break;
                                is_counted = is_counted && !next;
                        } else
                                break;
                        if (!next)
                                break;
                        at = next;
                        left--;
                        has_key = true;
                        if (end - at < 4)
                                break;
                }
                if (*at == 'N' && at[1] == ';')
                        next = at + 2;
                else if (at[1] != ':')
                        break;
                else if (*at == 'a' || *at == 'O') {
                        next = p->depth < DEPTH_MAX ? quick_opening(at, end, container + 1) : NULL;
                        if (!next)
                                break;
                        p->depth++;
                        p->check->nodes++;
                        has_key = false;
                        at = next;
                        break;
                } else
                        next = quick_scalar(at, end);
                if (!next)
                        break;
                p->check->nodes++;
                has_key = false;
                at = next;
        }
        container->has_key = has_key;
        container->is_counted = is_counted;
        container->left = left;
        p->check->nodes += left_before - left;
        return at;
}

/* As many parts as it can: up to the end of the outermost container, whose properties may have been asked for. */
static void take_quickly(struct parser *p)
{
        size_t depth_least = p->check->outline ? 1 : 0, depth;
        const char *at = p->at, *end = p->end;
        struct container *container;

        if (at == end || is_digit(end[-1]))
                return;
        while (p->depth > depth_least) {
                depth = p->depth;
                container = &p->stack[depth - 1];
                at = take_entries(p, container, at, end);
                if (p->depth > depth)
                        continue;
                if (container->left > 0 || container->has_key || at == end || *at != '}')
                        break;
                at++;
                count_memory(p, container);
                p->depth--;
        }
        p->at = at;
}

static int parse(struct parser *p)
{
        int error;

        do {
                error = take_part(p);
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
        p->begin = p->at = bytes;
        p->end = bytes + size;
        p->check = check;
        p->slots = slots;
        p->item = NULL;
        p->depth = 0;
        check_begin(check);
}

static int check(const char *bytes, size_t size, struct check *check)
{
        struct parser p;

        start(&p, bytes, size, check, NULL);
        return parse(&p);
}

void php_want(const char *bytes, size_t size, struct slots *slots)
{
        struct check again = { 0 };
        struct parser p;

        start(&p, bytes, size, &again, slots);
        parse(&p);
}

static const struct native_codec php;

static int decode_php_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&php, bytes, size, builder);
}

static const struct native_codec php = {
        .codec = { .size = sizeof(ferry_codec), .name = "php", .number = 2, .encode = php_encode,
                   .decode = decode_php_into },
        .check = check,
        .decode = php_decode,
};

const ferry_codec *ferry_codec_php(void)
{
        return &php.codec;
}
