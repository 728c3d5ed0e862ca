/* Messages on stdout and stderr: text where the body stands for one, else a line of JSON. Printing never fails for
 * what a message holds. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int output_error;

void output_fail(int error)
{
        output_error = error;
        /* A reader that has gone wants no more. */
        if (error == EINTR || error == ETIMEDOUT)
                complain("stdout takes no more, and a signal has come: the output is incomplete");
        else if (error != EPIPE)
                complain("writing failed: %s", strerror(error));
}

bool output_is_good(void)
{
        return output_error == 0;
}

bool flush_output(void)
{
        if (output_error == 0 && fflush(stdout) != 0)
                output_fail(errno);
        return output_error == 0;
}

/* A stream of the C library would lose what an interrupted write has not taken. Who is asked to end in order goes on. */
static bool put_output(const char *bytes, size_t size)
{
        flush_output();
        while (size > 0 && output_error == 0) {
                ssize_t put = write(STDOUT_FILENO, bytes, size);

                if (put >= 0) {
                        bytes += put;
                        size -= (size_t)put;
                } else if (errno == EAGAIN)
                        poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);
                else if (errno != EINTR || !signals_may_go_on())
                        output_fail(errno);
        }
        return output_error == 0;
}

/* The size of the character at @at if a terminal shows it; 0 if its first byte must be escaped: a control character, or
 * no UTF-8. */
static size_t printable_size(const unsigned char *at, size_t left)
{
        size_t size = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;

        if (size == 1)
                return *at == '\n' || *at == '\t' || (*at >= ' ' && *at < 0x7f);
        if (size == 0 || size > left)
                return 0;
        for (size_t i = 1; i < size; i++)
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
        if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xf0 && at[1] < 0x90))
                return 0;
        /* U+0080 to U+009F are control characters as well. */
        return *at == 0xc2 && at[1] < 0xa0 ? 0 : size;
}

static void escape(const char *bytes, size_t size, FILE *stream)
{
        while (size > 0) {
                size_t shown = printable_size((const unsigned char *)bytes, size);

                if (shown > 0)
                        fwrite(bytes, 1, shown, stream);
                else
                        fprintf(stream, "\\x%02x", (unsigned char)*bytes);
                shown += shown == 0;
                bytes += shown;
                size -= shown;
        }
}

bool print_bytes(const char *bytes, size_t size)
{
        char *escaped = NULL;
        size_t escaped_size = 0;
        FILE *stream;

        if (!isatty(STDOUT_FILENO))
                return put_output(bytes, size);
        stream = open_memstream(&escaped, &escaped_size);
        if (stream)
                escape(bytes, size, stream);
        if (!stream || fclose(stream) != 0)
                output_fail(ENOMEM);
        else
                put_output(escaped, escaped_size);
        free(escaped);
        return output_error == 0;
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
        print_bytes(text, (size_t)size);
        free(text);
        return output_error == 0;
}

int output_status(int status)
{
        return status == EXIT_DONE && output_error && output_error != EPIPE ? EXIT_CONNECTION : status;
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

ferry_value *body_text(const ferry_message *message)
{
        const ferry_value *text = text_of(message);
        ferry_value *line = NULL;
        ferry_builder *builder;
        char *bytes = NULL;
        size_t size = 0;
        FILE *stream;

        if (text)
                return ferry_value_ref(text);
        stream = open_memstream(&bytes, &size);
        if (!stream)
                return NULL;
        ferry_value_dump(ferry_message_body(message), stream);
        fclose(stream);
        builder = ferry_builder_new();
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size - 1);
        ferry_builder_finish(builder, &line);
        free(bytes);
        return line;
}

static const char *kind_name(enum ferry_kind kind)
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
                ferry_builder_add(builder, "%p", (const void *)body);
                return;
        }
        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        for (size_t i = 0; i < ferry_value_count(body); i++) {
                const ferry_value *key = ferry_value_key(body, i);

                if (ferry_value_kind(key) == FERRY_VALUE_INT)
                        ferry_builder_key(builder, "%lld", (long long)ferry_value_int(key, 0));
                else
                        ferry_builder_key(builder, "%s", ferry_value_text(key, ""));
                ferry_builder_add(builder, "%p", (const void *)ferry_value_at(body, i));
        }
        ferry_builder_close(builder);
}

static void print_line(const ferry_message *message, long task, FILE *stream)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *line = NULL;

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
        ferry_builder_close(builder);
        if (ferry_builder_finish(builder, &line) == 0)
                ferry_value_dump(line, stream);
        ferry_value_unref(line);
}

ferry_value *body_line(const ferry_message *message, const struct cli_options *options, long task)
{
        ferry_value *text = options->is_json ? NULL : body_text(message), *line = NULL;
        char *bytes = NULL;
        size_t size = 0;
        const char *string = ferry_value_bytes(text, &size);
        FILE *stream = options->is_json || string ? open_memstream(&bytes, &size) : NULL;
        size_t string_size = size;
        ferry_builder *builder;

        if (stream && string) {
                fwrite(string, 1, string_size, stream);
                putc('\n', stream);
        } else if (stream)
                print_line(message, task, stream);
        ferry_value_unref(text);
        if (!stream || fclose(stream) != 0)
                return NULL;
        builder = ferry_builder_new();
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        ferry_builder_finish(builder, &line);
        free(bytes);
        return line;
}

bool print_body(const ferry_message *message, const struct cli_options *options, bool is_one_of_many, long task)
{
        char *output = NULL;
        size_t size, output_size = 0;
        FILE *stream = open_memstream(&output, &output_size);
        ferry_value *text;
        const char *bytes;

        if (!stream) {
                output_fail(ENOMEM);
                return false;
        }
        if (options->is_json)
                print_line(message, task, stream);
        else {
                text = body_text(message);
                bytes = ferry_value_bytes(text, &size);
                if (bytes)
                        fwrite(bytes, 1, size, stream);
                if (is_one_of_many || isatty(STDOUT_FILENO))
                        putc('\n', stream);
                ferry_value_unref(text);
        }
        if (fclose(stream) != 0)
                output_fail(ENOMEM);
        else
                print_bytes(output, output_size);
        free(output);
        return output_error == 0;
}

bool print_value(const ferry_value *value, const struct cli_options *options, bool is_one_of_many)
{
        char *output = NULL;
        size_t size = 0, output_size = 0;
        FILE *stream = open_memstream(&output, &output_size);
        const char *bytes = ferry_value_kind(value) == FERRY_VALUE_STRING ? ferry_value_bytes(value, &size) : NULL;

        if (stream && (options->is_json || !bytes))
                ferry_value_dump(value, stream);
        else if (stream) {
                fwrite(bytes, 1, size, stream);
                if (is_one_of_many || isatty(STDOUT_FILENO))
                        putc('\n', stream);
        }
        if (!stream || fclose(stream) != 0)
                output_fail(ENOMEM);
        else
                print_bytes(output, output_size);
        free(output);
        return output_error == 0;
}

void print_text(const char *source, const char *bytes, size_t size, const struct cli_options *options)
{
        ferry_builder *builder;
        ferry_value *line = NULL;

        fflush(stdout);
        if (!options->is_json) {
                while (size > 0 && bytes[size - 1] == '\n')
                        size--;
                fprintf(stderr, "junk on %s: ", source);
                fwrite(bytes, 1, size, stderr);
                putc('\n', stderr);
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
        if (ferry_builder_finish(builder, &line) == 0)
                ferry_value_dump(line, stderr);
        ferry_value_unref(line);
}

/* What is not the answer goes to stderr, and says what it is. */
void print_aside(const ferry_message *message, const struct cli_options *options)
{
        ferry_value *text;
        const char *bytes;
        size_t size;

        if (ferry_message_kind(message) == FERRY_KIND_JUNK) {
                bytes = ferry_value_bytes(ferry_message_body(message), &size);
                print_text(ferry_message_type(message), bytes ? bytes : "", bytes ? size : 0, options);
                return;
        }
        fflush(stdout);
        if (options->is_json) {
                print_line(message, 0, stderr);
                return;
        }
        text = body_text(message);
        bytes = ferry_value_bytes(text, &size);
        while (bytes && size > 0 && bytes[size - 1] == '\n')
                size--;
        fprintf(stderr, "%s%s%s: ", kind_name(ferry_message_kind(message)), *ferry_message_type(message) ? " " : "",
                ferry_message_type(message));
        if (bytes)
                fwrite(bytes, 1, size, stderr);
        putc('\n', stderr);
        ferry_value_unref(text);
}
