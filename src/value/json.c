/* JSON as PHP's json_encode and json_decode have it, in two codecs: json has maps, json-objects also has objects, as
 * {"__class": NAME, …}. One parser both checks and builds: without a builder it only looks. Strictly RFC 8259; like PHP it
 * refuses half of a surrogate pair and takes integers that do not fit as doubles. */
#include "value/codec.h"
#include "value/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CLASS_KEY "__class"

struct parser {
        const char *begin;
        const char *at;
        const char *end;
        struct check *check;
        ferry_builder *builder; /* NULL: only look */
        bool has_objects;
        size_t depth;
        struct raw_text key;    /* the last one */
        struct outline_item *item;      /* what was asked for, of which the value comes now */
        bool is_map[DEPTH_MAX];
        /* Of maps that are only looked at: with both they are objects that no builder takes. */
        bool has_class[DEPTH_MAX];
        bool has_zero_name[DEPTH_MAX];
};

/* Whether bytes begin a UTF-8 sequence: its length; 0 if not; -1 if more bytes are needed to tell. */
static int utf8_length(const unsigned char *at, size_t left)
{
        unsigned char low = 0x80, high = 0xbf;
        int length;

        if (at[0] < 0x80)
                return 1;
        if (at[0] < 0xc2 || at[0] > 0xf4)
                return 0;
        length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
        if (at[0] == 0xe0)
                low = 0xa0;
        else if (at[0] == 0xed)
                high = 0x9f;
        else if (at[0] == 0xf0)
                low = 0x90;
        else if (at[0] == 0xf4)
                high = 0x8f;
        for (int i = 1; i < length; i++) {
                if ((size_t)i == left)
                        return -1;
                if (at[i] < low || at[i] > high)
                        return 0;
                low = 0x80;
                high = 0xbf;
        }
        return length;
}

bool utf8_is_valid(const void *bytes, size_t size)
{
        const unsigned char *at = bytes, *end = size > 0 ? at + size : at;

        while (at < end) {
                int length = *at < 0x80 ? 1 : utf8_length(at, (size_t)(end - at));

                if (length <= 0)
                        return false;
                at += length;
        }
        return true;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static unsigned hex_number(const char *at)
{
        unsigned number = 0;

        for (int i = 0; i < 4; i++)
                number = number << 4 | (unsigned)hex_digit(at[i]);
        return number;
}

static char *put_utf8(char *at, unsigned c)
{
        if (c < 0x80) {
                *at++ = (char)c;
        } else if (c < 0x800) {
                *at++ = (char)(0xc0 | c >> 6);
                *at++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
                *at++ = (char)(0xe0 | c >> 12);
                *at++ = (char)(0x80 | (c >> 6 & 0x3f));
                *at++ = (char)(0x80 | (c & 0x3f));
        } else {
                *at++ = (char)(0xf0 | c >> 18);
                *at++ = (char)(0x80 | (c >> 12 & 0x3f));
                *at++ = (char)(0x80 | (c >> 6 & 0x3f));
                *at++ = (char)(0x80 | (c & 0x3f));
        }
        return at;
}

/* The text has been checked; it never grows, so @target may be @bytes. */
static size_t unescape(const char *bytes, size_t size, char *target)
{
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *end = bytes + size;
        char *at = target;

        while (bytes < end) {
                const char *named;
                unsigned c;

                if (*bytes != '\\') {
                        *at++ = *bytes++;
                        continue;
                }
                bytes += 2;
                if (bytes[-1] != 'u') {
                        named = strchr(from, bytes[-1]);
                        *at++ = (char)(named ? to[named - from] : bytes[-1]);
                        continue;
                }
                c = hex_number(bytes);
                bytes += 4;
                if (c >= 0xd800 && c < 0xdc00) {
                        c = 0x10000 + ((c - 0xd800) << 10) + (hex_number(bytes + 2) - 0xdc00);
                        bytes += 6;
                }
                at = put_utf8(at, c);
        }
        return (size_t)(at - target);
}

size_t raw_text_copy(const struct raw_text *text, char *target)
{
        size_t size = text->size;

        if (text->is_escaped)
                size = unescape(text->bytes, text->size, target);
        else if (size > 0)
                memcpy(target, text->bytes, size);
        target[size] = '\0';
        return size;
}

static void skip_blanks(struct parser *p)
{
        /* cppcheck-suppress ctuuninitvar ; run() fills it member by member */
        while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
                p->at++;
}

/* The four digits of \u. */
static int read_hex(struct parser *p, unsigned *ret)
{
        for (int i = 0; i < 4; i++, p->at++) {
                if (p->at == p->end)
                        return -EAGAIN;
                if (hex_digit(*p->at) < 0)
                        return -EBADMSG;
        }
        *ret = hex_number(p->at - 4);
        return 0;
}

static int read_escape(struct parser *p)
{
        unsigned first, second;
        int error;

        if (++p->at == p->end)
                return -EAGAIN;
        if (*p->at != 'u')
                return *p->at && strchr("\"\\/bfnrt", *p->at++) ? 0 : -EBADMSG;
        p->at++;
        error = read_hex(p, &first);
        if (error || first < 0xd800 || first > 0xdfff)
                return error;
        if (first >= 0xdc00)
                return -EBADMSG;
        for (const char *expected = "\\u"; *expected; expected++, p->at++) {
                if (p->at == p->end)
                        return -EAGAIN;
                if (*p->at != *expected)
                        return -EBADMSG;
        }
        error = read_hex(p, &second);
        return error || (second >= 0xdc00 && second <= 0xdfff) ? error : -EBADMSG;
}

/* A string, from its opening quote. When building, it is unescaped in place, and the closing quote makes room
 * for the zero. */
static int read_string(struct parser *p, struct raw_text *ret)
{
        const char *begin = ++p->at;
        bool is_escaped = false;
        int length, error;

        for (;;) {
                unsigned char c;

                if (p->at == p->end)
                        return -EAGAIN;
                c = (unsigned char)*p->at;
                if (c == '"')
                        break;
                if (c < 0x20)
                        return -EBADMSG;
                if (c == '\\') {
                        is_escaped = true;
                        error = read_escape(p);
                        if (error)
                                return error;
                } else if (c < 0x80)
                        p->at++;
                else {
                        length = utf8_length((const unsigned char *)p->at, (size_t)(p->end - p->at));
                        if (length <= 0)
                                return length < 0 ? -EAGAIN : -EBADMSG;
                        p->at += length;
                }
        }
        *ret = (struct raw_text){ .bytes = begin, .size = (size_t)(p->at - begin), .is_escaped = is_escaped };
        if (p->builder) {
                ret->size = raw_text_copy(ret, (char *)begin);
                ret->is_escaped = false;
        }
        p->at++;
        return 0;
}

static bool text_is(const struct raw_text *text, const char *other)
{
        /* What is escaped without need is still the same name. */
        char unescaped[64];
        size_t size = text->size;

        if (!text->is_escaped)
                return size == strlen(other) && memcmp(text->bytes, other, size) == 0;
        if (size >= sizeof unescaped)
                return false;
        size = raw_text_copy(text, unescaped);
        return size == strlen(other) && memcmp(unescaped, other, size) == 0;
}

/* A string; what is asked for is one in the outermost object, or that names the class of an object right in that. */
static void note_string(struct parser *p, const struct raw_text *string)
{
        struct outline *outline = p->check->outline;
        bool is_class;

        if (p->depth == 0 || !p->is_map[p->depth - 1])
                return;
        /* An empty one names no class, as in builder_name_class(). */
        is_class = p->has_objects && string->size > 0 && text_is(&p->key, CLASS_KEY);
        if (is_class)
                p->has_class[p->depth - 1] = true;
        if (!outline || p->depth > 2 || !p->is_map[0])
                return;
        if (p->depth == 1 && is_class)
                outline->class_name = *string;
        else if (p->depth == 1 && p->item)
                p->item->string = *string;
        else if (p->depth == 2 && p->item && is_class)
                p->item->class_name = *string;
}

static int read_word(struct parser *p, const char *word)
{
        for (; *word; word++, p->at++) {
                if (p->at == p->end)
                        return -EAGAIN;
                if (*p->at != *word)
                        return -EBADMSG;
        }
        return 0;
}

static size_t read_digits(struct parser *p)
{
        const char *begin = p->at;

        while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
                p->at++;
        return (size_t)(p->at - begin);
}

static int read_number(struct parser *p)
{
        const char *begin = p->at;
        bool is_integer = true;
        size_t digits;
        int64_t integer;

        p->at += *p->at == '-';
        if (p->at < p->end && *p->at == '0')
                p->at++;
        else if (read_digits(p) == 0)
                return p->at == p->end ? -EAGAIN : -EBADMSG;
        if (p->at < p->end && *p->at == '.') {
                is_integer = false;
                p->at++;
                digits = read_digits(p);
                if (digits == 0)
                        return p->at == p->end ? -EAGAIN : -EBADMSG;
        }
        if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
                is_integer = false;
                p->at++;
                p->at += p->at < p->end && (*p->at == '-' || *p->at == '+');
                digits = read_digits(p);
                if (digits == 0)
                        return p->at == p->end ? -EAGAIN : -EBADMSG;
        }
        if (!p->builder)
                return 0;
        /* "-0" is no integer: it is a double that keeps its sign, where PHP makes it 0. */
        if (is_integer && text_is_integer(begin, (size_t)(p->at - begin), &integer))
                builder_add_int(p->builder, integer);
        else
                builder_add_double(p->builder, number_parse(begin, (size_t)(p->at - begin)));
        return 0;
}

static int open_container(struct parser *p)
{
        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        p->is_map[p->depth] = *p->at == '{';
        p->has_class[p->depth] = false;
        p->has_zero_name[p->depth++] = false;
        if (p->builder)
                builder_open(p->builder, *p->at == '{' ? FERRY_VALUE_MAP : FERRY_VALUE_LIST, NULL, 0);
        p->at++;
        return 0;
}

static int read_value(struct parser *p)
{
        struct raw_text string;
        int error;

        p->check->nodes += !p->builder;
        switch (*p->at) {
        case '{':
        case '[':
                return open_container(p);
        case '"':
                error = read_string(p, &string);
                if (error)
                        return error;
                if (p->builder)
                        builder_add_view(p->builder, string.bytes, string.size);
                else
                        note_string(p, &string);
                return 0;
        case 't':
                error = read_word(p, "true");
                if (!error && p->builder)
                        builder_add_bool(p->builder, true);
                return error;
        case 'f':
                error = read_word(p, "false");
                if (!error && p->builder)
                        builder_add_bool(p->builder, false);
                return error;
        case 'n':
                error = read_word(p, "null");
                if (!error && p->builder)
                        builder_add_null(p->builder);
                return error;
        }
        return *p->at == '-' || (*p->at >= '0' && *p->at <= '9') ? read_number(p) : -EBADMSG;
}

/* A key; of the outermost object: has it been asked for? Of two that are equal the later one counts, and so does that
 * of a class, anywhere. */
static void note_key(struct parser *p)
{
        struct outline *outline = p->check->outline;
        bool is_class = p->has_objects && text_is(&p->key, CLASS_KEY);

        if (is_class)
                p->has_class[p->depth - 1] = false;
        if (p->key.size >= 6 && memcmp(p->key.bytes, "\\u0000", 6) == 0)
                p->has_zero_name[p->depth - 1] = true;
        if (!outline || p->depth > 2)
                return;
        if (p->depth == 2) {
                if (p->item && is_class)
                        p->item->class_name = (struct raw_text){ 0 };
                return;
        }
        p->item = NULL;
        if (is_class)
                outline->class_name = (struct raw_text){ 0 };
        for (int i = 0; i < outline->count; i++)
                if (text_is(&p->key, outline->items[i].name)) {
                        p->item = &outline->items[i];
                        p->item->string = p->item->class_name = (struct raw_text){ 0 };
                }
}

static int read_key(struct parser *p)
{
        int error;

        if (*p->at != '"')
                return -EBADMSG;
        p->check->nodes += !p->builder;
        error = read_string(p, &p->key);
        if (error)
                return error;
        if (p->builder)
                builder_key_view(p->builder, p->key.bytes, p->key.size);
        else
                note_key(p);
        skip_blanks(p);
        if (p->at == p->end)
                return -EAGAIN;
        if (*p->at != ':')
                return -EBADMSG;
        p->at++;
        skip_blanks(p);
        return p->at == p->end ? -EAGAIN : 0;
}

static int close_container(struct parser *p)
{
        p->at++;
        if (!p->builder && p->has_class[p->depth - 1] && p->has_zero_name[p->depth - 1])
                return -EBADMSG;
        if (p->builder && p->has_objects && p->is_map[p->depth - 1])
                builder_name_class(p->builder, CLASS_KEY);
        if (p->builder)
                builder_close(p->builder, false);
        p->depth--;
        return 0;
}

static int parse(struct parser *p)
{
        bool is_first = true;   /* nothing stands before it in its container: no comma is due */
        int error = 0;

        skip_blanks(p);
        do {
                size_t depth = p->depth;

                if (p->at == p->end)
                        return -EAGAIN;
                if (depth > 0 && *p->at == (p->is_map[depth - 1] ? '}' : ']')) {
                        error = close_container(p);
                        if (error)
                                return error;
                        is_first = false;
                        skip_blanks(p);
                        continue;
                }
                if (depth > 0 && !is_first) {
                        if (*p->at != ',')
                                return -EBADMSG;
                        p->at++;
                        skip_blanks(p);
                        if (p->at == p->end)
                                return -EAGAIN;
                }
                if (depth > 0 && p->is_map[depth - 1])
                        error = read_key(p);
                if (!error)
                        error = read_value(p);
                if (!error && p->builder)
                        error = p->builder->error;
                if (error)
                        return error;
                is_first = p->depth > depth;
                skip_blanks(p);
        } while (p->depth > 0);
        return p->at < p->end ? -EBADMSG : 0;
}

static int run(const char *bytes, size_t size, bool has_objects, struct check *check, ferry_builder *builder)
{
        struct parser p;
        int error;

        check->reason = NULL;
        if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
                check->offset = 0;
                check->reason = "a byte order mark (EF BB BF), which JSON does not have";
                return -EBADMSG;
        }

        p.begin = p.at = bytes;
        p.end = bytes + size;
        p.check = check;
        p.builder = builder;
        p.has_objects = has_objects;
        p.item = NULL;
        p.depth = 0;
        error = parse(&p);
        check->offset = (size_t)(p.at - p.begin);
        return error;
}

static int check_as(const char *bytes, size_t size, bool has_objects, struct check *check)
{
        check->nodes = 0;
        check->has_references = false;
        return run(bytes, size, has_objects, check, NULL);
}

static int check_maps(const char *bytes, size_t size, struct check *check)
{
        return check_as(bytes, size, false, check);
}

static int check_objects(const char *bytes, size_t size, struct check *check)
{
        return check_as(bytes, size, true, check);
}

static int decode_maps(char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        return run(bytes, size, false, check, builder);
}

static int decode_objects(char *bytes, size_t size, struct check *check, ferry_builder *builder)
{
        return run(bytes, size, true, check, builder);
}

/* Encoding -------------------------------------------------------------------------------------------- */

/* Say where in the value it is that cannot be written. */
static void refuse(ferry_sink *sink, const struct walk *walk, int error, const char *what)
{
        char place[64] = "";
        size_t size = 0;

        for (size_t i = 0; i < walk->depth && size < sizeof place; i++) {
                const ferry_value *container = walk->stack[i].container;
                uint32_t at = walk->stack[i].next - 1;
                const ferry_value *key = ferry_value_key(container, at);

                if (walk->stack[i].next == 0)
                        break;
                if (key && key->kind == FERRY_VALUE_STRING)
                        size += (size_t)snprintf(place + size, sizeof place - size, ".%.20s", key->bytes);
                else
                        size += (size_t)snprintf(place + size, sizeof place - size, "[%lld]",
                                                 key ? (long long)key->integer : (long long)at);
        }
        sink_fail(sink, error, "%s has no way to write %s%s%s", sink->name, what, *place ? " at " : "", place);
}

static void put_string(ferry_sink *sink, const struct walk *walk, const char *bytes, size_t size)
{
        static const char named[] = "\b\f\n\r\t", letters[] = "bfnrt", hex[] = "0123456789abcdef";
        const char *end = bytes + size;
        const char *letter;
        char *at;

        if (!utf8_is_valid(bytes, size)) {
                refuse(sink, walk, -EILSEQ, "bytes that are not UTF-8");
                return;
        }
        ferry_sink_write(sink, "\"", 1);
        while (bytes < end) {
                const char *plain = bytes;
                unsigned char c = 0;

                for (; bytes < end; bytes++) {
                        c = (unsigned char)*bytes;
                        if (c < 0x20 || c == '"' || c == '\\')
                                break;
                        if (c == 0xe2 && bytes[1] == '\x80' && (bytes[2] == '\xa8' || bytes[2] == '\xa9'))
                                break;
                }
                ferry_sink_write(sink, plain, (size_t)(bytes - plain));
                if (bytes == end)
                        break;
                at = sink_reserve(sink, 8);
                if (!at)
                        return;
                *at++ = '\\';
                letter = c ? strchr(named, c) : NULL;
                if (c == '"' || c == '\\')
                        *at++ = (char)c;
                else if (letter)
                        *at++ = letters[letter - named];
                else if (c == 0xe2) {
                        memcpy(at, bytes[2] == '\xa8' ? "u2028" : "u2029", 5);
                        at += 5;
                        bytes += 2;
                } else {
                        memcpy(at, "u00", 3);
                        at[3] = hex[c >> 4];
                        at[4] = hex[c & 15];
                        at += 5;
                }
                sink_take(sink, at);
                bytes++;
        }
        ferry_sink_write(sink, "\"", 1);
}

static void put_key(ferry_sink *sink, const struct walk *walk, const struct walk_step *step, bool has_objects)
{
        const ferry_value *key = step->key;
        char *at;

        if (key->kind == FERRY_VALUE_STRING) {
                if (has_objects && key->size == sizeof CLASS_KEY - 1 && memcmp(key->bytes, CLASS_KEY, key->size) == 0)
                        refuse(sink, walk, -EILSEQ,
                               /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what has a key has a parent */
                               step->parent->kind == FERRY_VALUE_MAP ? "a map with the key __class" :
                                                                       "a property with the name __class");
                put_string(sink, walk, key->bytes, key->size);
                ferry_sink_write(sink, ":", 1);
                return;
        }
        at = sink_reserve(sink, 32);
        if (!at)
                return;
        *at++ = '"';
        at = put_integer(at, key->integer);
        *at++ = '"';
        *at++ = ':';
        sink_take(sink, at);
}

static void put_double(ferry_sink *sink, const struct walk *walk, double number)
{
        char text[NUMBER_TEXT_MAX];

        if (isnan(number) || isinf(number))
                refuse(sink, walk, -EDOM, isnan(number) ? "NAN" : "INF");
        else
                ferry_sink_write(sink, text, number_format(number, 'e', text));
}

static void put_opening(ferry_sink *sink, const struct walk *walk, const ferry_value *value)
{
        if (value->kind == FERRY_VALUE_OBJECT) {
                ferry_sink_write(sink, "{\"" CLASS_KEY "\":", sizeof CLASS_KEY + 3);
                put_string(sink, walk, value->members->class_name, value->members->class_size);
                ferry_sink_write(sink, "}", value->size == 0);
        } else if (value->kind == FERRY_VALUE_LIST)
                ferry_sink_write(sink, "[]", value->size == 0 ? 2 : 1);
        else
                ferry_sink_write(sink, "{}", value->size == 0 ? 2 : 1);
}

static int encode(const ferry_value *root, ferry_sink *sink, bool has_objects)
{
        struct walk walk;
        struct walk_step step;
        char text[24];

        walk_begin(&walk, root);
        while (!sink->error && walk_next(&walk, &step)) {
                const ferry_value *value = step.value;

                if (step.is_closing) {
                        ferry_sink_write(sink, value->kind == FERRY_VALUE_LIST ? "]" : "}", 1);
                        continue;
                }
                if (step.index > 0 || (step.parent && step.parent->kind == FERRY_VALUE_OBJECT))
                        ferry_sink_write(sink, ",", 1);
                if (step.key)
                        put_key(sink, &walk, &step, has_objects);
                switch (value->kind) {
                case FERRY_VALUE_NULL:
                        ferry_sink_write(sink, "null", 4);
                        break;
                case FERRY_VALUE_BOOL:
                        ferry_sink_write(sink, value->boolean ? "true" : "false", value->boolean ? 4 : 5);
                        break;
                case FERRY_VALUE_INT:
                        ferry_sink_write(sink, text, (size_t)(put_integer(text, value->integer) - text));
                        break;
                case FERRY_VALUE_DOUBLE:
                        put_double(sink, &walk, value->real);
                        break;
                case FERRY_VALUE_STRING:
                        put_string(sink, &walk, value->bytes, value->size);
                        break;
                case FERRY_VALUE_ENUM:
                case FERRY_VALUE_OPAQUE:
                        refuse(sink, &walk, -EILSEQ,
                               value->kind == FERRY_VALUE_ENUM ? "the case of an enum" : "an opaque object");
                        break;
                default:
                        /* Without its class it would be a map to the reader; with it, a map with a key __class. */
                        if (value->kind == FERRY_VALUE_OBJECT && !has_objects)
                                refuse(sink, &walk, -EILSEQ, "the class of an object (json-objects has one)");
                        put_opening(sink, &walk, value);
                }
        }
        return 0;
}

static int encode_maps(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        (void)codec;
        return encode(root, sink, false);
}

static int encode_objects(const ferry_codec *codec, const ferry_value *root, ferry_sink *sink)
{
        (void)codec;
        return encode(root, sink, true);
}

static const struct native_codec json;

static int decode_json_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&json, bytes, size, builder);
}

static const struct native_codec json = {
        .codec = { .size = sizeof(ferry_codec), .name = "json", .number = 3, .encode = encode_maps,
                   .decode = decode_json_into },
        .check = check_maps,
        .decode = decode_maps,
};

const ferry_codec *ferry_codec_json(void)
{
        return &json.codec;
}

static const struct native_codec json_objects;

static int decode_json_objects_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&json_objects, bytes, size, builder);
}

static const struct native_codec json_objects = {
        .codec = { .size = sizeof(ferry_codec), .name = "json-objects", .number = 4, .encode = encode_objects,
                   .decode = decode_json_objects_into },
        .check = check_objects,
        .decode = decode_objects,
};

const ferry_codec *ferry_codec_json_objects(void)
{
        return &json_objects.codec;
}
