/* PHP's serialize and unserialize. One parser both checks and builds: without a builder it only looks. It takes
 * what serialize() writes and refuses what unserialize() takes beyond that (leading zeros, "+5", ".5", trailing
 * bytes, overflow). Objects are data: no class is looked up, no code runs. */
#include "value/codec.h"
#include "value/number.h"
#include "value/slots.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct container {
        char kind;              /* 'a' or 'O' */
        bool has_key;           /* its key has been read, the value comes */
        uint32_t left;          /* entries that are to come */
        size_t slot;
};

struct parser {
        const char *begin;
        const char *at;
        const char *end;
        struct check *check;
        ferry_builder *builder; /* NULL: only look */
        struct slots slots;
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

/* LENGTH:"bytes". When building, the closing quote makes room for the zero. Of what is incomplete the size may
 * be known; then the bytes go on to the end. */
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
        if (p->builder)
                *(char *)p->at = '\0';
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

static int read_double(struct parser *p, double *ret)
{
        const char *text = p->at;
        bool is_negative = p->at < p->end && *p->at == '-';
        size_t digits = 0;
        int error;

        p->at += is_negative;
        if (p->at < p->end && (*p->at == 'I' || (*p->at == 'N' && !is_negative))) {
                bool is_infinite = *p->at == 'I';

                error = is_infinite ? expect(p, "INF;", 4) : expect(p, "NAN;", 4);
                *ret = is_infinite ? (is_negative ? -INFINITY : INFINITY) : NAN;
                return error;
        }
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
        *ret = number_parse(text, (size_t)(p->at - text));
        p->at++;
        return 0;
}

static int check_class_name(const char *name, size_t size)
{
        static const bool is_in_names[256] = { ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true,
                                               ['_'] = true,         ['\\'] = true,        [0x80 ... 0xff] = true };

        if (size == 0 || name[0] == '\\')
                return -EBADMSG;
        for (size_t i = 0; i < size; i++)
                if (!is_in_names[(unsigned char)name[i]])
                        return -EBADMSG;
        return 0;
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
        return check_class_name(*ret_name, there) ? -EBADMSG : error;
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

static int read_key(struct parser *p, bool is_object)
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
        p->check->nodes += !p->builder;
        if (!is_integer && is_object) {
                p->item = find_item(p, bytes, size);
                if (p->item)
                        p->item->string = p->item->class_name = (struct raw_text){ 0 };
                if (p->builder)
                        builder_key_mangled(p->builder, bytes, size);
                return name_check_mangled(bytes, size);
        }
        if (!p->builder)
                return 0;
        if (is_integer || text_is_integer(bytes, size, &integer))
                builder_key_int(p->builder, integer);
        else
                builder_key_view(p->builder, bytes, size);
        return 0;
}

static int open_container(struct parser *p, char kind, const char *class_name, uint32_t class_size, size_t slot)
{
        struct container *container;
        int error = read_count(p, ':', &p->stack[p->depth].left);

        if (!error)
                error = expect(p, "{", 1);
        if (error)
                return error;
        container = &p->stack[p->depth++];
        container->kind = kind;
        container->has_key = false;
        container->slot = slot;
        if (p->builder)
                builder_open(p->builder, kind == 'O' ? FERRY_VALUE_OBJECT : FERRY_VALUE_MAP, class_name, class_size);
        return 0;
}

static int read_array(struct parser *p, size_t slot)
{
        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        return open_container(p, 'a', NULL, 0, slot);
}

static int read_object(struct parser *p, size_t slot)
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
        return open_container(p, 'O', class_name, class_size, slot);
}

static int read_opaque(struct parser *p)
{
        const char *class_name, *bytes;
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
        bytes = p->at;
        p->at += size;
        if (*p->at != '}')
                return -EBADMSG;
        if (p->builder) {
                *(char *)p->at = '\0';
                builder_add_named(p->builder, FERRY_VALUE_OPAQUE, class_name, class_size, bytes, size);
        }
        p->at++;
        return 0;
}

/* CLASS:CASE, @size bytes, of which so many are there. */
static int check_enum_name(const char *both, size_t size, size_t there, const char *colon)
{
        size_t class_size = colon ? (size_t)(colon - both) : there;
        size_t case_there = colon ? there - class_size - 1 : 0;

        if (size < 3 || class_size + 2 > size || (there > 0 && check_class_name(both, class_size) < 0))
                return -EBADMSG;
        return case_there > 0 ? check_class_name(colon + 1, case_there) : 0;
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
        error = expect(p, ";", 1);
        if (error || !p->builder)
                return error;
        *(char *)colon = '\0';
        builder_add_named(p->builder, FERRY_VALUE_ENUM, both, (size_t)(colon - both), colon + 1,
                          (size_t)(both + size - colon - 1));
        return 0;
}

static int read_reference(struct parser *p, bool is_object)
{
        uint32_t number;
        int error;

        if (p->at < p->end && *p->at == '0')
                return -EBADMSG;
        error = read_count(p, ';', &number);
        if (error)
                return error;
        p->check->has_references = true;
        if (p->builder)
                slots_add(&p->slots, p->builder, number, is_object);
        else
                slots_want(&p->slots, number);
        return 0;
}

static int read_scalar(struct parser *p, char kind)
{
        const char *bytes;
        uint32_t size;
        int64_t integer;
        double number;
        int error;

        switch (kind) {
        case 'b':
                if (p->at == p->end)
                        return -EAGAIN;
                if (*p->at != '0' && *p->at != '1')
                        return -EBADMSG;
                integer = *p->at++ == '1';
                error = expect(p, ";", 1);
                if (!error && p->builder)
                        builder_add_bool(p->builder, integer);
                return error;
        case 'i':
                error = read_integer(p, &integer);
                if (!error && p->builder)
                        builder_add_int(p->builder, integer);
                return error;
        case 'd':
                error = read_double(p, &number);
                if (!error && p->builder)
                        builder_add_double(p->builder, number);
                return error;
        default:
                error = read_quoted(p, &bytes, &size);
                if (!error)
                        error = expect(p, ";", 1);
                if (error)
                        return error;
                if (p->item)
                        p->item->string = (struct raw_text){ .bytes = bytes, .size = size };
                if (p->builder)
                        builder_add_view(p->builder, bytes, size);
                return 0;
        }
}

/* One value, or the opening of one. */
static int read_value(struct parser *p)
{
        char kind = *p->at;
        size_t slot = 0;
        int error;

        /* A reference by R is no value of its own. */
        if (p->builder && kind != 'R')
                slot = slots_begin(&p->slots, p->builder, (size_t)(p->at - p->begin));
        p->check->nodes += !p->builder;
        p->at++;
        if (kind == 'N') {
                error = expect(p, ";", 1);
                if (!error && p->builder)
                        builder_add_null(p->builder);
        } else if (!strchr("bidsaOCErR", kind) || kind == '\0')
                p->at--, error = -EBADMSG;
        else
                error = expect(p, ":", 1);
        if (error)
                return error;
        switch (kind) {
        case 'a':
                return read_array(p, slot);
        case 'O':
                return read_object(p, slot);
        case 'C':
                error = read_opaque(p);
                break;
        case 'E':
                error = read_enum(p);
                break;
        case 'r':
        case 'R':
                error = read_reference(p, kind == 'r');
                break;
        case 'N':
                break;
        default:
                error = read_scalar(p, kind);
        }
        p->item = NULL;
        if (!error && p->builder)
                slots_end(&p->slots, p->builder, slot, (size_t)(p->at - p->begin));
        return error;
}

/* The end of the container that was opened last. */
static int close_container(struct parser *p)
{
        const struct container *container = &p->stack[p->depth - 1];
        int error = expect(p, "}", 1);

        if (error)
                return error;
        p->depth--;
        if (p->builder) {
                builder_close(p->builder, container->kind == 'a');
                slots_end(&p->slots, p->builder, container->slot, (size_t)(p->at - p->begin));
        }
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
                return read_key(p, container->kind == 'O');
        }
        if (container)
                container->has_key = false;
        return read_value(p);
}

static int parse(struct parser *p)
{
        int error;

        do {
                error = take_part(p);
                if (!error && p->builder)
                        error = p->builder->error;
        } while (!error && p->depth > 0);
        if (!error && p->at < p->end)
                error = -EBADMSG;
        p->check->offset = (size_t)(p->at - p->begin);
        return error;
}

static void begin(struct parser *p, const char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        p->begin = p->at = bytes;
        p->end = bytes + size;
        p->check = check;
        p->builder = builder;
        p->item = NULL;
        p->depth = 0;
}

static int check(const char *bytes, size_t size, struct check *check)
{
        struct parser p;

        check->nodes = 0;
        check->has_references = false;
        begin(&p, bytes, size, check, NULL);
        slots_init(&p.slots, 0, size);
        return parse(&p);
}

static int decode(char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        struct parser p;
        struct check looked = *check;
        int error = slots_init(&p.slots, check->has_references ? check->nodes : 0, size);

        looked.outline = NULL;
        /* Which values will be referred to, before anything is built. */
        begin(&p, bytes, size, &looked, NULL);
        if (!error && check->has_references)
                error = parse(&p);
        begin(&p, bytes, size, &looked, builder);
        if (!error)
                error = parse(&p);
        slots_deinit(&p.slots);
        check->offset = looked.offset;
        return error;
}

/* Encoding -------------------------------------------------------------------------------------------- */

/* For numbers and punctuation. */
enum { NUMBERS_ROOM = 64 };

/* X:SIZE:"bytes" */
static char *put_quoted(char *at, char letter, const char *bytes, size_t size)
{
        *at++ = letter;
        *at++ = ':';
        at = put_integer(at, (int64_t)size);
        *at++ = ':';
        *at++ = '"';
        memcpy(at, bytes, size);
        at += size;
        *at++ = '"';
        return at;
}

static void put_string(ferry_sink *sink, const char *bytes, size_t size)
{
        char *at = sink_reserve(sink, size + NUMBERS_ROOM);

        if (!at)
                return;
        at = put_quoted(at, 's', bytes, size);
        *at++ = ';';
        sink_take(sink, at);
}

static void put_number(ferry_sink *sink, char letter, int64_t integer)
{
        char *at = sink_reserve(sink, NUMBERS_ROOM);

        if (!at)
                return;
        *at++ = letter;
        *at++ = ':';
        at = put_integer(at, integer);
        *at++ = ';';
        sink_take(sink, at);
}

static void put_double(ferry_sink *sink, double number)
{
        char *at = sink_reserve(sink, NUMBERS_ROOM);

        if (!at)
                return;
        *at++ = 'd';
        *at++ = ':';
        if (isnan(number)) {
                memcpy(at, "NAN", 3);
                at += 3;
        } else if (isinf(number)) {
                if (number < 0)
                        *at++ = '-';
                memcpy(at, "INF", 3);
                at += 3;
        } else
                at += number_format(number, 'E', at);
        *at++ = ';';
        sink_take(sink, at);
}

static void put_key(ferry_sink *sink, const ferry_value *key, bool is_object)
{
        int64_t integer;
        const char *bytes;
        size_t size;

        if (key->kind == FERRY_VALUE_INT)
                put_number(sink, 'i', key->integer);
        else if (!is_object && text_is_integer(key->bytes, key->size, &integer))
                put_number(sink, 'i', integer);
        else {
                bytes = key_mangled(key, &size);
                put_string(sink, bytes, size);
        }
}

/* No names that no decoder takes. */
static bool can_write_name(ferry_sink *sink, const char *what, const char *name, size_t size)
{
        if (check_class_name(name, size) == 0)
                return true;
        sink_fail(sink, -EILSEQ, "php has no %s \"%.60s\"", what, name);
        return false;
}

static void put_container(ferry_sink *sink, const ferry_value *value)
{
        bool is_object = value->kind == FERRY_VALUE_OBJECT;
        char *at = sink_reserve(sink, NUMBERS_ROOM + (is_object ? value->members->class_size : 0));

        if (!at || (is_object && !can_write_name(sink, "class", value->members->class_name, value->members->class_size)))
                return;
        if (is_object)
                at = put_quoted(at, 'O', value->members->class_name, value->members->class_size);
        else
                *at++ = 'a';
        *at++ = ':';
        at = put_integer(at, value->size);
        *at++ = ':';
        *at++ = '{';
        sink_take(sink, at);
        if (value->size == 0)
                ferry_sink_write(sink, "}", 1);
}

static void put_named(ferry_sink *sink, const ferry_value *value)
{
        const struct named *named = value->named;
        char *at = sink_reserve(sink, (size_t)NUMBERS_ROOM + named->class_size + value->size);

        if (!at || !can_write_name(sink, "class", named->class_name, named->class_size) ||
            (value->kind == FERRY_VALUE_ENUM && !can_write_name(sink, "case", named->bytes, value->size)))
                return;
        if (value->kind == FERRY_VALUE_OPAQUE) {
                at = put_quoted(at, 'C', named->class_name, named->class_size);
                *at++ = ':';
                at = put_integer(at, value->size);
                *at++ = ':';
                *at++ = '{';
                memcpy(at, named->bytes, value->size);
                at += value->size;
                *at++ = '}';
        } else {
                *at++ = 'E';
                *at++ = ':';
                at = put_integer(at, (int64_t)named->class_size + 1 + value->size);
                *at++ = ':';
                *at++ = '"';
                memcpy(at, named->class_name, named->class_size);
                at += named->class_size;
                *at++ = ':';
                memcpy(at, named->bytes, value->size);
                at += value->size;
                *at++ = '"';
                *at++ = ';';
        }
        sink_take(sink, at);
}

static int encode(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        struct walk walk;
        struct walk_step step;

        (void)codec;
        walk_begin(&walk, root);
        while (!sink->error && walk_next(&walk, &step)) {
                const ferry_value *value = step.value;

                if (step.is_closing) {
                        ferry_sink_write(sink, "}", 1);
                        continue;
                }
                if (step.key)
                        put_key(sink, step.key, step.parent->kind == FERRY_VALUE_OBJECT);
                else if (step.parent)
                        put_number(sink, 'i', step.index);
                switch (value->kind) {
                case FERRY_VALUE_NULL:
                        ferry_sink_write(sink, "N;", 2);
                        break;
                case FERRY_VALUE_BOOL:
                        ferry_sink_write(sink, value->boolean ? "b:1;" : "b:0;", 4);
                        break;
                case FERRY_VALUE_INT:
                        put_number(sink, 'i', value->integer);
                        break;
                case FERRY_VALUE_DOUBLE:
                        put_double(sink, value->real);
                        break;
                case FERRY_VALUE_STRING:
                        put_string(sink, value->bytes, value->size);
                        break;
                case FERRY_VALUE_ENUM:
                case FERRY_VALUE_OPAQUE:
                        put_named(sink, value);
                        break;
                default:
                        put_container(sink, value);
                }
        }
        return 0;
}

static const struct native_codec php;

static int decode_php_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&php, bytes, size, builder);
}

static const struct native_codec php = {
        .codec = { .size = sizeof(ferry_codec), .name = "php", .number = 2, .encode = encode,
                   .decode = decode_php_into },
        .check = check,
        .decode = decode,
};

const ferry_codec *ferry_codec_php(void)
{
        return &php.codec;
}
