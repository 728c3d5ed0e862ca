#include "wire/nats_text.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
        SIZE_DIGITS_MAX = 9,
        ITEM_LINE_MAX = 64,
};

/* A name and its size. */
#define NAMED(name) name, sizeof(name) - 1

static const struct {
        const char *name;
        size_t length;
        enum nats_verb verb;
        bool has_more;          /* something follows in the line */
} verbs[] = {
        { NAMED("MSG"), NATS_MSG, true },       { NAMED("HMSG"), NATS_HMSG, true }, { NAMED("PING"), NATS_PING, false },
        { NAMED("PONG"), NATS_PONG, false },    { NAMED("INFO"), NATS_INFO, true }, { NAMED("+OK"), NATS_OK, false },
        { NAMED("-ERR"), NATS_ERR, true },
};

bool nats_is_alike(const char *a, const char *b, size_t size)
{
        if (memcmp(a, b, size) == 0)
                return true;
        for (size_t i = 0; i < size; i++) {
                char x = a[i], y = b[i];

                if (x >= 'A' && x <= 'Z')
                        x = (char)(x + ('a' - 'A'));
                if (y >= 'A' && y <= 'Z')
                        y = (char)(y + ('a' - 'A'));
                if (x != y)
                        return false;
        }
        return true;
}

/* 1; 0 if it may still become one; -EBADMSG. */
static int read_verb(const char *bytes, size_t size, size_t *ret_index)
{
        bool may_become = false;

        /* Most lines are messages: the first two. */
        if (size > 4 && (memcmp(bytes, "MSG ", 4) == 0 || memcmp(bytes, "HMSG ", 5) == 0)) {
                *ret_index = *bytes == 'H';
                return 1;
        }
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
                size_t length = verbs[i].length, seen = size < length ? size : length;

                /* The bit in which the cases of a letter differ is set in both. */
                if ((*bytes | 0x20) != (*verbs[i].name | 0x20) || !nats_is_alike(bytes, verbs[i].name, seen))
                        continue;
                if (size <= length) {
                        may_become = true;
                        continue;
                }
                if (bytes[length] != (verbs[i].has_more ? ' ' : '\r'))
                        continue;
                *ret_index = i;
                return 1;
        }
        return may_become ? 0 : -EBADMSG;
}

static bool read_size(const struct raw_text *text, size_t *ret)
{
        size_t number = 0;

        if (text->size == 0 || text->size > SIZE_DIGITS_MAX)
                return false;
        for (size_t i = 0; i < text->size; i++) {
                if (!nats_is_digit(text->bytes[i]))
                        return false;
                number = number * 10 + (size_t)(text->bytes[i] - '0');
        }
        *ret = number;
        return true;
}

size_t nats_read_number(const struct raw_text *text)
{
        size_t number = 0;

        return read_size(text, &number) ? number : 0;
}

static bool is_blank(char byte)
{
        return byte == ' ' || byte == '\t';
}

/* The next blank, or the end. Servers send no tabs, but may. */
static const char *find_blank(const char *at, const char *end, bool has_tabs)
{
        const char *blank;

        if (!has_tabs) {
                blank = memchr(at, ' ', (size_t)(end - at));
                return blank ? blank : end;
        }
        while (at < end && !is_blank(*at))
                at++;
        return at;
}

/* SUBJECT SID [REPLY] [HEADERS] SIZE */
static int read_parts(const char *bytes, size_t size, struct nats_line *ret)
{
        enum { PARTS_MAX = 5 };
        struct raw_text parts[PARTS_MAX];
        bool has_headers = ret->verb == NATS_HMSG;
        int count = 0, least = has_headers ? 4 : 3;
        const char *end = bytes + size;
        bool has_tabs = memchr(bytes, '\t', size) != NULL;

        for (const char *at = bytes, *word_end; at < end; at = word_end + 1) {
                word_end = find_blank(at, end, has_tabs);
                if (word_end == at)
                        continue;
                if (count == PARTS_MAX)
                        return -EBADMSG;
                parts[count++] = (struct raw_text){ .bytes = at, .size = (size_t)(word_end - at) };
        }
        if (count < least || count > least + 1 || !read_size(&parts[count - 1], &ret->payload) ||
            (has_headers && (!read_size(&parts[count - 2], &ret->headers) || ret->headers > ret->payload)))
                return -EBADMSG;
        ret->subject = parts[0];
        ret->subscription = (char)(parts[1].size == 1 ? *parts[1].bytes : 0);
        if (count > least)
                ret->reply = parts[2];
        return 0;
}

static bool is_message(const struct nats_line *line)
{
        return line->verb == NATS_MSG || line->verb == NATS_HMSG;
}

/* The result of nats_read_line(), but for the parts of a message. */
static int find_line(const char *bytes, size_t size, struct nats_line *ret)
{
        size_t index = 0, begin;
        const char *end;
        int code = size > 0 ? read_verb(bytes, size, &index) : 0;

        *ret = (struct nats_line){ .verb = NATS_NONE };
        if (code <= 0)
                return code;
        begin = verbs[index].length;
        end = memchr(bytes, '\n', size < NATS_LINE_MAX ? size : NATS_LINE_MAX);
        if (!end)
                return size < NATS_LINE_MAX ? 0 : -EBADMSG;
        if (end[-1] != '\r' || (!verbs[index].has_more && end != bytes + begin + 1))
                return -EBADMSG;
        ret->verb = verbs[index].verb;
        ret->size = (size_t)(end + 1 - bytes);
        begin += verbs[index].has_more;
        ret->text = (struct raw_text){ .bytes = bytes + begin, .size = ret->size - begin - 2 };
        return 1;
}

int nats_read_line(const char *bytes, size_t size, struct nats_line *ret)
{
        int code = find_line(bytes, size, ret);

        return code <= 0 || !is_message(ret) || read_parts(ret->text.bytes, ret->text.size, ret) == 0 ? code : -EBADMSG;
}

/* The last word of a line. */
static struct raw_text last_word(const char *begin, const char *end)
{
        const char *at;

        while (end > begin && is_blank(end[-1]))
                end--;
        for (at = end; at > begin && !is_blank(at[-1]); at--)
                ;
        return (struct raw_text){ .bytes = at, .size = (size_t)(end - at) };
}

/* The next word of a line of ours, which has blanks alone between them; no bytes at its end. */
static struct raw_text next_word(const char **at, const char *end)
{
        struct raw_text word = { 0 };

        while (*at < end && **at == ' ')
                ++*at;
        if (*at == end)
                return word;
        word.bytes = *at;
        while (*at < end && **at != ' ')
                ++*at;
        word.size = (size_t)(*at - word.bytes);
        return word;
}

int nats_read_item(const char *bytes, size_t size, struct nats_item *ret)
{
        const char *end, *at = bytes;
        struct raw_text number;

        if (!nats_is_item(bytes, size))
                return -EBADMSG;
        end = size > 0 ? memchr(bytes, '\n', size < ITEM_LINE_MAX ? size : ITEM_LINE_MAX) : NULL;
        if (!end)
                return size < ITEM_LINE_MAX ? 0 : -EBADMSG;
        ret->size = (size_t)(end + 1 - bytes);
        if (*--end != '\r')
                return -EBADMSG;
        ret->id = next_word(&at, end);
        number = next_word(&at, end);
        ret->codec = next_word(&at, end);
        return read_size(&number, &ret->body) && next_word(&at, end).size == 0 ? 1 : -EBADMSG;
}

static int measure_item(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload)
{
        struct nats_item item;
        int code = nats_read_item(bytes, size, &item);

        if (code <= 0)
                return code;
        *ret_header = 0;
        *ret_payload = item.size + item.body;
        return 1;
}

/* A message with headers: whether these are those of several answers. 1; FRAME_ENCLOSES; 0 if more bytes are needed. */
static int look_inside(const char *headers, size_t size, size_t payload)
{
        static const char several[] = NATS_BATCH_HEADERS;
        size_t wanted = sizeof several - 1;

        if (payload < wanted || memcmp(headers, several, size < wanted ? size : wanted) != 0)
                return 1;
        return size < wanted ? 0 : FRAME_ENCLOSES;
}

/* Of a message the last word says how much follows its line; the others are checked when it is read. */
static int measure(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload)
{
        struct nats_line line;
        struct raw_text last;
        int code = find_line(bytes, size, &line);

        if (code <= 0)
                return code;
        *ret_header = 0;
        *ret_payload = line.size;
        if (!is_message(&line))
                return 1;
        last = last_word(line.text.bytes, line.text.bytes + line.text.size);
        if (!read_size(&last, &line.payload))
                return -EBADMSG;
        *ret_payload += line.payload + 2;
        if (line.verb != NATS_HMSG)
                return 1;
        code = look_inside(bytes + line.size, size - line.size, line.payload);
        if (code == FRAME_ENCLOSES) {
                *ret_header = line.size + strlen(NATS_BATCH_HEADERS);
                *ret_payload -= *ret_header;
        }
        return code;
}

const struct framing framing_nats = { .keeps_step = true, .measure = measure, .measure_enclosed = measure_item, .tail = 2 };

/* What this side has written --------------------------------------------------------------------------- */

/* The words of PUB SUBJECT [REPLY] TOTAL or HPUB SUBJECT [REPLY] HEADERS TOTAL behind the verb, without those of the sizes, and the
 * last of all; 0 of another line. */
static int count_subjects(const char *bytes, const char *end, struct raw_text *ret_last)
{
        bool has_headers = bytes < end && *bytes == 'H';
        const char *verb = has_headers ? "HPUB " : "PUB ";
        int count = has_headers ? -2 : -1;

        if ((size_t)(end - bytes) < strlen(verb) || memcmp(bytes, verb, strlen(verb)) != 0)
                return 0;
        for (const char *at = bytes + strlen(verb); at < end; at++) {
                if (is_blank(*at))
                        continue;
                ret_last->bytes = at;
                while (at < end && !is_blank(*at) && *at != '\r')
                        at++;
                ret_last->size = (size_t)(at - ret_last->bytes);
                count += ret_last->size > 0;
        }
        return count;
}

int nats_measure_sent(const char *bytes, size_t size, size_t *ret_header, uint64_t *ret_payload)
{
        const char *end = memchr(bytes, '\n', size);
        struct raw_text last = { 0 };
        size_t payload = 0;

        if (!end)
                return 0;
        *ret_header = 0;
        *ret_payload = (size_t)(end + 1 - bytes);
        if (count_subjects(bytes, end - 1, &last) == 0)
                return 1;
        if (!read_size(&last, &payload))
                return -EBADMSG;
        *ret_payload += payload + 2;
        return 1;
}

void nats_peek_sent(const char *bytes, size_t size, struct incoming *ret)
{
        const char *end = memchr(bytes, '\n', size);
        struct raw_text last;
        int count = end && end > bytes ? count_subjects(bytes, end - 1, &last) : 0;

        *ret = (struct incoming){ .kind = count == 1 ? WIRE_NOTIFICATION : WIRE_UNKNOWN };
        if (count > 0)
                read_size(&last, &ret->body_size);
}

/* Headers ---------------------------------------------------------------------------------------------- */

static const struct {
        const char *name;
        size_t length;
        size_t offset;
} known[] = {
        { NAMED("Ferry-Type"), offsetof(struct nats_headers, type) },
        { NAMED("Ferry-Codec"), offsetof(struct nats_headers, codec) },
        { NAMED("Ferry-Outcome"), offsetof(struct nats_headers, outcome) },
        { NAMED("Ferry-Accept"), offsetof(struct nats_headers, accept) },
        { NAMED("Ferry-Instance"), offsetof(struct nats_headers, instance) },
        { NAMED("Ferry-Beat"), offsetof(struct nats_headers, beat) },
        { NAMED("Nats-Service-Error"), offsetof(struct nats_headers, error) },
        { NAMED("Nats-Service-Error-Code"), offsetof(struct nats_headers, error_code) },
};

static struct raw_text trim(const char *begin, const char *end)
{
        while (begin < end && is_blank(*begin))
                begin++;
        while (end > begin && is_blank(end[-1]))
                end--;
        return (struct raw_text){ .bytes = begin, .size = (size_t)(end - begin) };
}

/* NATS/1.0[ STATUS[ DESCRIPTION]] */
static int read_first(const char *begin, const char *end, struct nats_headers *ret)
{
        static const char version[] = "NATS/1.0";
        size_t length = strlen(version);

        if ((size_t)(end - begin) < length || memcmp(begin, version, length) != 0)
                return -EBADMSG;
        ret->description = trim(begin + length, end);
        if (ret->description.size == 0)
                return 0;
        begin = ret->description.bytes;
        for (int i = 0; i < 3; i++, begin++) {
                if (begin == end || !nats_is_digit(*begin))
                        return -EBADMSG;
                ret->status = ret->status * 10 + (unsigned)(*begin - '0');
        }
        ret->number = (struct raw_text){ .bytes = begin - 3, .size = 3 };
        ret->description = trim(begin, end);
        return 0;
}

static int read_header(const char *begin, const char *end, struct nats_headers *ret)
{
        const char *colon;

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                struct raw_text *text = (struct raw_text *)(void *)((char *)ret + known[i].offset);

                if (known[i].length >= (size_t)(end - begin) || begin[known[i].length] != ':' ||
                    !nats_is_alike(begin, known[i].name, known[i].length))
                        continue;
                /* The first of several counts. */
                if (!text->bytes)
                        *text = trim(begin + known[i].length + 1, end);
                return 0;
        }
        colon = memchr(begin, ':', (size_t)(end - begin));
        return colon && colon > begin ? 0 : -EBADMSG;
}

int nats_read_headers(const char *bytes, size_t size, struct nats_headers *ret)
{
        const char *at = bytes, *end = bytes + size, *line_end;
        int code;

        *ret = (struct nats_headers){ 0 };
        for (bool is_first = true;; is_first = false) {
                line_end = memchr(at, '\n', (size_t)(end - at));
                if (!line_end || line_end == at || line_end[-1] != '\r')
                        return -EBADMSG;
                /* An empty line ends them. */
                if (line_end == at + 1)
                        return !is_first && line_end + 1 == end ? 0 : -EBADMSG;
                code = is_first ? read_first(at, line_end - 1, ret) : read_header(at, line_end - 1, ret);
                if (code)
                        return code;
                at = line_end + 1;
        }
}
