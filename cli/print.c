/* Messages on stdout and stderr: text where the body stands for one, else a line of JSON. Printing never fails for
 * what a message holds. What people see, on a terminal and on stderr, is escaped. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Text on stdout: as it is, but escaped on a terminal. */
static bool print_escaped(const char *bytes, size_t size, enum escaping how)
{
        char *text = NULL;
        size_t text_size = 0;
        FILE *stream;

        if (!output_is_terminal())
                return output_bytes(bytes, size);
        stream = open_memstream(&text, &text_size);
        if (stream)
                escape(stream, bytes, size, how);
        if (stream && close_text(stream))
                output_bytes(text, text_size);
        else
                output_fail(ENOMEM);
        free(text);
        return output_is_good();
}

bool print_bytes(const char *bytes, size_t size)
{
        return print_escaped(bytes, size, ESCAPE_TEXT);
}

bool print_formatted(const char *format, ...)
{
        va_list arguments;
        char *text = NULL;
        int size;

        va_start(arguments, format);
        size = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (size < 0) {
                output_fail(ENOMEM);
                return false;
        }
        print_escaped(text, (size_t)size, ESCAPE_TEXT);
        free(text);
        return output_is_good();
}

bool speaks(const ferry_session *session, const char *dialect)
{
        ferry_value *info = ferry_session_info(session);
        bool is_it = strcmp(ferry_value_text(ferry_value_get(info, "dialect"), ""), dialect) == 0;

        ferry_value_unref(info);
        return is_it;
}

/* The string that stands for a body, or NULL. */
static const ferry_value *text_of(const ferry_message *message)
{
        const ferry_value *body = ferry_message_body(message), *text = body;

        if (ferry_value_kind(body) == FERRY_VALUE_OBJECT && speaks(ferry_message_session(message), "stream-ipc"))
                text = ferry_value_get(body, "message");
        return ferry_value_kind(text) == FERRY_VALUE_STRING ? text : NULL;
}

/* A line of JSON, with its newline; the caller frees it. NULL: there was no memory. */
static char *make_json(const ferry_value *value, size_t *ret_size)
{
        char *line = NULL;
        FILE *stream = open_memstream(&line, ret_size);

        if (stream)
                ferry_value_dump(value, stream);
        if (stream && close_text(stream) && *ret_size > 0)
                return line;
        free(line);
        return NULL;
}

static ferry_value *make_string(const char *bytes, size_t size)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *string = NULL;

        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        ferry_builder_finish(builder, &string);
        return string;
}

ferry_value *body_text(const ferry_message *message)
{
        const ferry_value *text = text_of(message);
        ferry_value *string;
        size_t size = 0;
        char *line;

        if (text)
                return ferry_value_ref(text);
        line = make_json(ferry_message_body(message), &size);
        string = line ? make_string(line, size - 1) : NULL;
        free(line);
        return string;
}

const char *kind_name(enum ferry_kind kind)
{
        switch (kind) {
        case FERRY_KIND_NOTIFICATION:
                return "notification";
        case FERRY_KIND_REQUEST:
                return "request";
        case FERRY_KIND_MESSAGE:
                return "message";
        case FERRY_KIND_RESPONSE:
                return "response";
        case FERRY_KIND_CANCELLED:
                return "cancelled";
        case FERRY_KIND_PROGRESS:
                return "progress";
        default:
                return "error";
        }
}

/* A body as --json shows it: an object of stream-ipc without its class, which the type says. */
static void add_body(ferry_builder *builder, const ferry_message *message)
{
        const ferry_value *body = ferry_message_body(message);

        if (!body) {
                ferry_builder_add(builder, NULL);
                return;
        }
        if (ferry_value_kind(body) != FERRY_VALUE_OBJECT || !speaks(ferry_message_session(message), "stream-ipc")) {
                ferry_builder_add_value(builder, body);
                return;
        }
        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        for (size_t i = 0; i < ferry_value_count(body); i++) {
                const ferry_value *key = ferry_value_key(body, i);

                if (ferry_value_kind(key) == FERRY_VALUE_INT)
                        ferry_builder_key(builder, "%lld", (long long)ferry_value_int(key, 0));
                else
                        ferry_builder_key(builder, "%s", ferry_value_text(key, ""));
                ferry_builder_add_value(builder, ferry_value_at(body, i));
        }
        ferry_builder_close(builder);
}

/* The message as a map for --json, with the number of a task, and of errors that were not shown; NULL: there was no memory. */
static ferry_value *make_map(const ferry_message *message, long task, long more)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *map = NULL;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        if (task > 0) {
                ferry_builder_key(builder, "task");
                ferry_builder_add(builder, "%lld", (long long)task);
        }
        ferry_builder_key(builder, "kind");
        ferry_builder_add(builder, "%s", kind_name(ferry_message_kind(message)));
        if (*ferry_message_type(message)) {
                ferry_builder_key(builder, "type");
                ferry_builder_add(builder, "%s", ferry_message_type(message));
        }
        if (*ferry_message_id(message) && ferry_message_kind(message) != FERRY_KIND_NOTIFICATION) {
                ferry_builder_key(builder, "id");
                ferry_builder_add(builder, "%s", ferry_message_id(message));
        }
        ferry_builder_key(builder, "body");
        add_body(builder, message);
        if (more > 0) {
                ferry_builder_key(builder, "more");
                ferry_builder_add(builder, "%lld", (long long)more);
        }
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &map);
        return map;
}

/* On stdout. */
static bool print_json(const ferry_value *value)
{
        size_t size = 0;
        char *line = make_json(value, &size);

        if (line)
                print_escaped(line, size, ESCAPE_JSON);
        else
                output_fail(ENOMEM);
        free(line);
        return output_is_good();
}

/* With a newline; the caller frees it. NULL: there was no memory. */
static char *make_line(const ferry_value *text, size_t *ret_size)
{
        const char *bytes = ferry_value_bytes(text, ret_size);
        char *line = bytes ? malloc(*ret_size + 1) : NULL;

        if (!line)
                return NULL;
        memcpy(line, bytes, *ret_size);
        line[(*ret_size)++] = '\n';
        return line;
}

/* The text and its newline are one write, which no other process can come between. */
static bool print_string(const ferry_value *text, bool is_one_of_many)
{
        size_t size = 0;
        const char *bytes = ferry_value_bytes(text, &size);
        char *line;

        if (!is_one_of_many && !output_is_terminal())
                return output_bytes(bytes, size);
        line = make_line(text, &size);
        if (line)
                print_escaped(line, size, ESCAPE_TEXT);
        else
                output_fail(ENOMEM);
        free(line);
        return output_is_good();
}

ferry_value *body_line(const ferry_message *message, const struct cli_options *options, long task)
{
        const ferry_value *text = options->is_json ? NULL : text_of(message);
        FERRY_AUTO(ferry_value) map = options->is_json ? make_map(message, task, 0) : NULL;
        ferry_value *string;
        size_t size = 0;
        char *line = NULL;

        if (text)
                line = make_line(text, &size);
        else if (map || !options->is_json)
                line = make_json(map ? map : ferry_message_body(message), &size);
        string = line ? make_string(line, size) : NULL;
        free(line);
        return string;
}

bool print_body(const ferry_message *message, const struct cli_options *options, bool is_one_of_many, long task)
{
        const ferry_value *text = options->is_json ? NULL : text_of(message);
        FERRY_AUTO(ferry_value) map = options->is_json ? make_map(message, task, 0) : NULL;

        if (text)
                return print_string(text, is_one_of_many);
        if (options->is_json && !map)
                output_fail(ENOMEM);
        return print_json(options->is_json ? map : ferry_message_body(message));
}

bool print_value(const ferry_value *value, const struct cli_options *options, bool is_one_of_many)
{
        if (!value)
                output_fail(ENOMEM);
        if (ferry_value_kind(value) == FERRY_VALUE_STRING && !options->is_json)
                return print_string(value, is_one_of_many);
        return print_json(value);
}

/* On stderr ----------------------------------------------------------------------------------------------- */

void print_aside_json(const ferry_value *value)
{
        size_t size = 0;
        char *text = value ? make_json(value, &size) : NULL, *line = NULL;
        FILE *stream = text ? open_memstream(&line, &size) : NULL;

        if (stream)
                escape(stream, text, strlen(text), ESCAPE_JSON);
        if (stream && close_text(stream))
                error_bytes(line, size);
        else
                complain("no memory for a message");
        free(line);
        free(text);
}

/* Each of its lines with what comes before the first one, so that none can pass for one of ours. */
static void print_lines(const char *before, const char *bytes, size_t size)
{
        char *line = NULL;
        size_t line_size = 0;
        FILE *stream = open_memstream(&line, &line_size);

        while (size > 0 && bytes[size - 1] == '\n')
                size--;
        do {
                const char *end = size > 0 ? memchr(bytes, '\n', size) : NULL;
                size_t taken = end ? (size_t)(end - bytes) : size;

                if (!stream)
                        break;
                escape(stream, before, strlen(before), ESCAPE_LINE);
                escape(stream, bytes, taken, ESCAPE_LINE);
                putc('\n', stream);
                taken += end != NULL;
                bytes += taken;
                size -= taken;
        } while (size > 0);
        if (stream && close_text(stream))
                error_bytes(line, line_size);
        else
                complain("no memory for a message");
        free(line);
}

void print_passed(const char *lines, size_t size)
{
        print_lines("command: ", lines, size);
}

void print_text(const char *source, const char *bytes, size_t size, const struct cli_options *options)
{
        FERRY_AUTO(ferry_value) map = NULL;
        ferry_builder *builder;
        char before[64];

        if (!options->is_json) {
                snprintf(before, sizeof before, "junk on %s: ", source);
                print_lines(before, bytes, size);
                return;
        }
        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key(builder, "kind");
        ferry_builder_add(builder, "'junk'");
        ferry_builder_key(builder, "body");
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        ferry_builder_key(builder, "source");
        ferry_builder_add(builder, "%s", source);
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &map);
        print_aside_json(map);
}

/* A peer can send as many frames that are wrong as it likes. Errors are shown once a second, and then say how many came
 * in between. */
static struct {
        bool is_any;
        struct timespec shown;
        long more;
} errors;

static bool is_too_early(void)
{
        struct timespec now = { 0 };

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (errors.is_any && (now.tv_sec - errors.shown.tv_sec) * 1000 + (now.tv_nsec - errors.shown.tv_nsec) / 1000000 < 1000)
                return true;
        errors.is_any = true;
        errors.shown = now;
        return false;
}

void print_withheld(void)
{
        if (errors.more > 0)
                complain("%ld more errors of peers were not shown", errors.more);
        errors.more = 0;
}

bool print_admits_error(void)
{
        if (is_too_early()) {
                errors.more++;
                return false;
        }
        print_withheld();
        return true;
}

static void print_message(const ferry_message *message, const struct cli_options *options)
{
        FERRY_AUTO(ferry_value) text = NULL;
        FERRY_AUTO(ferry_value) map = NULL;
        const char *bytes, *type = ferry_message_type(message);
        size_t size = 0;
        char *before = NULL;

        if (options->is_json) {
                map = make_map(message, 0, errors.more);
                print_aside_json(map);
                return;
        }
        text = body_text(message);
        bytes = ferry_value_bytes(text, &size);
        if (asprintf(&before, "%s%s%s: ", kind_name(ferry_message_kind(message)), *type ? " " : "", type) < 0)
                before = NULL;
        if (before && bytes)
                print_lines(before, bytes, size);
        else
                complain("no memory for a message");
        free(before);
}

bool print_aside(const ferry_message *message, const struct cli_options *options)
{
        bool is_error = ferry_message_kind(message) == FERRY_KIND_ERROR;
        const char *bytes;
        size_t size;

        if (ferry_message_kind(message) == FERRY_KIND_JUNK) {
                bytes = ferry_value_bytes(ferry_message_body(message), &size);
                print_text(ferry_message_type(message), bytes ? bytes : "", bytes ? size : 0, options);
        } else if (is_error && is_too_early()) {
                errors.more++;
                return false;
        } else {
                if (!options->is_json && is_error)
                        print_withheld();
                print_message(message, options);
                errors.more = is_error ? 0 : errors.more;
        }
        return true;
}
