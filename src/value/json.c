/* JSON as PHP's json_encode and json_decode have it, in two codecs: json has maps, json-objects also has objects, as {"__class":
 * NAME, …}. Here is looked at whether bytes are right. Strictly RFC 8259; like PHP it refuses half of a surrogate pair and takes
 * integers that do not fit as doubles. */
#include "value/json.h"
#include "value/scan.h"

#include <errno.h>
#include <string.h>

/* A list or a map that is open. */
struct container {
        bool is_map;
        bool has_class;         /* with both it is an object that no builder takes */
        bool has_zero_name;
        uint32_t size;          /* items so far */
};

struct parser {
        const char *begin;
        const char *at;
        const char *end;
        struct check *check;
        bool has_objects;
        size_t open;            /* values and keys that are in no container that has ended */
        size_t depth;
        struct raw_text key;    /* the last one */
        struct outline_item *item;      /* what was asked for, of which the value comes now */
        struct container stack[DEPTH_MAX];
};

static void skip_blanks(struct parser *p)
{
        /* cppcheck-suppress ctuuninitvar ; start() fills it member by member */
        while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
                p->at++;
}

/* The four digits of \u. */
static int read_hex(struct parser *p, unsigned *ret)
{
        for (int i = 0; i < 4; i++, p->at++) {
                if (p->at == p->end)
                        return -EAGAIN;
                if (json_hex_digit(*p->at) < 0)
                        return -EBADMSG;
        }
        *ret = json_hex_number(p->at - 4);
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

/* A string, from its opening quote. */
static int read_string(struct parser *p, struct raw_text *ret)
{
        const char *begin = ++p->at;
        bool is_escaped = false;
        int length, error;

        for (;;) {
                unsigned char c;

                p->at = scan_plain(p->at, p->end);
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
                } else {
                        length = utf8_length((const unsigned char *)p->at, (size_t)(p->end - p->at));
                        if (length <= 0)
                                return length < 0 ? -EAGAIN : -EBADMSG;
                        p->at += length;
                }
        }
        *ret = (struct raw_text){ .bytes = begin, .size = (size_t)(p->at - begin), .is_escaped = is_escaped };
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

        if (p->depth == 0 || !p->stack[p->depth - 1].is_map)
                return;
        /* An empty one names no class, as when it is built. */
        is_class = p->has_objects && string->size > 0 && text_is(&p->key, CLASS_KEY);
        if (is_class)
                p->stack[p->depth - 1].has_class = true;
        if (!outline || p->depth > 2 || !p->stack[0].is_map)
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
        p->at += *p->at == '-';
        if (p->at < p->end && *p->at == '0')
                p->at++;
        else if (read_digits(p) == 0)
                return p->at == p->end ? -EAGAIN : -EBADMSG;
        if (p->at < p->end && *p->at == '.') {
                p->at++;
                if (read_digits(p) == 0)
                        return p->at == p->end ? -EAGAIN : -EBADMSG;
        }
        if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
                p->at++;
                p->at += p->at < p->end && (*p->at == '-' || *p->at == '+');
                if (read_digits(p) == 0)
                        return p->at == p->end ? -EAGAIN : -EBADMSG;
        }
        return 0;
}

static int open_container(struct parser *p)
{
        if (p->depth == DEPTH_MAX)
                return -EMSGSIZE;
        p->stack[p->depth++] = (struct container){ .is_map = *p->at == '{' };
        p->at++;
        return 0;
}

/* So many values and keys more. */
static inline void count_nodes(struct parser *p, size_t nodes)
{
        p->check->nodes += nodes;
        p->open += nodes;
        if (p->open > p->check->open_max)
                p->check->open_max = p->open;
}

static int read_value(struct parser *p)
{
        struct raw_text string;
        int error;

        count_nodes(p, 1);
        if (p->depth > 0)
                p->stack[p->depth - 1].size++;
        switch (*p->at) {
        case '{':
        case '[':
                return open_container(p);
        case '"':
                error = read_string(p, &string);
                if (!error)
                        note_string(p, &string);
                return error;
        case 't':
                return read_word(p, "true");
        case 'f':
                return read_word(p, "false");
        case 'n':
                return read_word(p, "null");
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
                p->stack[p->depth - 1].has_class = false;
        if (p->key.size >= 6 && memcmp(p->key.bytes, "\\u0000", 6) == 0)
                p->stack[p->depth - 1].has_zero_name = true;
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
        count_nodes(p, 1);
        error = read_string(p, &p->key);
        if (error)
                return error;
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
        const struct container *container = &p->stack[p->depth - 1];

        p->at++;
        if (container->has_class && container->has_zero_name)
                return -EBADMSG;
        p->open -= (size_t)container->size << container->is_map;
        p->check->memory += ((size_t)container->size << container->is_map) * sizeof(ferry_value);
        if (container->is_map && container->size > 0)
                p->check->memory += sizeof(struct members);
        p->depth--;
        return 0;
}

/* The quick way: what most messages consist of, as far as it is complete and right. The functions return what is behind that, or
 * NULL for all else. --------------------------------------------------------------------------------------- */

static inline const char *quick_blanks(const char *at, const char *end)
{
        /* No white space is above the blank, and all else that may stand here is. */
        while (at < end && *at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
                at++;
        return at;
}

/* What stands by an escape; halves of pairs are left to the other way. */
static const char *quick_escape(const char *at, const char *end)
{
        unsigned number;

        if (end - at < 6)
                return NULL;
        if (at[1] != 'u')
                return at[1] && strchr("\"\\/bfnrt", at[1]) ? at + 2 : NULL;
        for (int i = 2; i < 6; i++)
                if (json_hex_digit(at[i]) < 0)
                        return NULL;
        number = json_hex_number(at + 2);
        return number < 0xd800 || number > 0xdfff ? at + 6 : NULL;
}

/* From the opening quote on. */
static inline const char *quick_string(const char *at, const char *end)
{
        int length;

        for (at++;;) {
                at = scan_plain(at, end);
                if (at == end)
                        return NULL;
                if (*at == '"')
                        return at + 1;
                if (*at == '\\') {
                        at = quick_escape(at, end);
                        if (!at)
                                return NULL;
                } else {
                        length = utf8_length((const unsigned char *)at, (size_t)(end - at));
                        if ((unsigned char)*at < 0x20 || length <= 0)
                                return NULL;
                        at += length;
                }
        }
}

static inline const char *quick_digits(const char *at, const char *end)
{
        while (at < end && (unsigned char)(*at - '0') <= 9)
                at++;
        return at;
}

/* Without an exponent, and not at the end. */
static inline const char *quick_number(const char *at, const char *end)
{
        const char *first;

        at += *at == '-';
        first = at;
        at = quick_digits(at, end);
        if (at == first || (*first == '0' && at - first > 1) || at == end)
                return NULL;
        if (*at == '.') {
                first = at + 1;
                at = quick_digits(first, end);
        }
        return at == first || at == end || (*at | 0x20) == 'e' ? NULL : at;
}

/* A key and its colon. Those that mean something, and those that may because of an escape, are left to the other way. */
static inline const char *quick_key(const char *at, const char *end, bool has_objects)
{
        const char *first = at + 1;

        if (at == end || *at != '"')
                return NULL;
        at = scan_plain(first, end);
        if (at == end || *at != '"' ||
            (has_objects && at - first == sizeof CLASS_KEY - 1 && memcmp(first, CLASS_KEY, sizeof CLASS_KEY - 1) == 0))
                return NULL;
        at = quick_blanks(at + 1, end);
        return at < end && *at == ':' ? quick_blanks(at + 1, end) : NULL;
}

static inline const char *quick_scalar(const char *at, const char *end)
{
        switch (*at) {
        case '"':
                return quick_string(at, end);
        case 't':
                return end - at >= 4 && memcmp(at, "true", 4) == 0 ? at + 4 : NULL;
        case 'f':
                return end - at >= 5 && memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
        case 'n':
                return end - at >= 4 && memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
        default:
                return quick_number(at, end);
        }
}

/* As many items as it can, from where take_item() stands. */
static void take_quickly(struct parser *p)
{
        /* In two levels something may have been asked for. */
        size_t depth_least = p->check->outline ? 2 : 0;
        const char *at = p->at, *end = p->end, *next;

        while (p->depth > depth_least && at < end) {
                struct container *container = &p->stack[p->depth - 1];
                char c = *at;

                if (c == (container->is_map ? '}' : ']')) {
                        p->at = at;
                        if (container->has_class || close_container(p) < 0)
                                return;
                        at = quick_blanks(at + 1, end);
                        continue;
                }
                next = at;
                if (container->size > 0) {
                        if (c != ',')
                                break;
                        next = quick_blanks(at + 1, end);
                }
                if (container->is_map) {
                        next = quick_key(next, end, p->has_objects);
                        if (!next)
                                break;
                }
                if (next == end)
                        break;
                c = *next;
                if (c == '{' || c == '[') {
                        if (p->depth == DEPTH_MAX)
                                break;
                        p->stack[p->depth++] = (struct container){ .is_map = c == '{' };
                        next++;
                } else {
                        next = quick_scalar(next, end);
                        if (!next)
                                break;
                }
                container->size++;
                count_nodes(p, 1 + container->is_map);
                at = quick_blanks(next, end);
        }
        p->at = at;
}

/* What comes next in the container that is open, or the value of all. */
static int take_item(struct parser *p)
{
        struct container *container = p->depth > 0 ? &p->stack[p->depth - 1] : NULL;
        int error = 0;

        if (p->at == p->end)
                return -EAGAIN;
        if (container && *p->at == (container->is_map ? '}' : ']'))
                return close_container(p);
        if (container && container->size > 0) {
                if (*p->at != ',')
                        return -EBADMSG;
                p->at++;
                skip_blanks(p);
                if (p->at == p->end)
                        return -EAGAIN;
        }
        if (container && container->is_map)
                error = read_key(p);
        return error ? error : read_value(p);
}

static int parse(struct parser *p)
{
        int error;

        skip_blanks(p);
        do {
                error = take_item(p);
                if (error)
                        return error;
                skip_blanks(p);
                take_quickly(p);
        } while (p->depth > 0);
        return p->at < p->end ? -EBADMSG : 0;
}

static void start(struct parser *p, const char *bytes, size_t size, bool has_objects, struct check *check)
{
        p->begin = p->at = bytes;
        p->end = bytes + size;
        p->check = check;
        p->has_objects = has_objects;
        p->item = NULL;
        p->open = 0;
        p->depth = 0;
        check_begin(check);
}

static int check_as(const char *bytes, size_t size, bool has_objects, struct check *check)
{
        struct parser p;
        int error;

        start(&p, bytes, size, has_objects, check);
        if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
                check->reason = "a byte order mark (EF BB BF), which JSON does not have";
                return -EBADMSG;
        }
        error = parse(&p);
        check->offset = (size_t)(p.at - p.begin);
        return error;
}

static int check_maps(const char *bytes, size_t size, struct check *check)
{
        return check_as(bytes, size, false, check);
}

static int check_objects(const char *bytes, size_t size, struct check *check)
{
        return check_as(bytes, size, true, check);
}

static const struct native_codec json;

static int decode_json_into(const ferry_codec *codec, const void *bytes, size_t size, ferry_builder *builder)
{
        (void)codec;
        return native_decode_into(&json, bytes, size, builder);
}

static const struct native_codec json = {
        .codec = { .size = sizeof(ferry_codec), .name = "json", .number = 3, .encode = json_encode_maps,
                   .decode = decode_json_into },
        .check = check_maps,
        .decode = json_decode_maps,
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
        .codec = { .size = sizeof(ferry_codec), .name = "json-objects", .number = 4, .encode = json_encode_objects,
                   .decode = decode_json_objects_into },
        .check = check_objects,
        .decode = json_decode_objects,
};

const ferry_codec *ferry_codec_json_objects(void)
{
        return &json_objects.codec;
}
