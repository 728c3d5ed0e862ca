/* Messages on stdout and stderr: text where the body stands for one, else a line of JSON. Printing never fails for
 * what a message holds. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int output_error;

bool flush_output(void)
{
        if (output_error == 0 && fflush(stdout) != 0) {
                output_error = errno;
                /* Who reads no more wants no more; and who was interrupted knows. */
                if (output_error != EPIPE && !signals_received())
                        complain("writing failed: %s", strerror(output_error));
        }
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
        case FERRY_KIND_JUNK:
                return "junk";
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
        bool is_junk = ferry_message_kind(message) == FERRY_KIND_JUNK;
        ferry_value *line = NULL;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        if (task > 0) {
                ferry_builder_key(builder, "task");
                ferry_builder_add(builder, "%lld", (long long)task);
        }
        ferry_builder_key(builder, "kind");
        ferry_builder_add(builder, "%s", kind_name(ferry_message_kind(message)));
        if (!is_junk && *ferry_message_type(message)) {
                ferry_builder_key(builder, "type");
                ferry_builder_add(builder, "%s", ferry_message_type(message));
        }
        if (*ferry_message_id(message) && ferry_message_kind(message) != FERRY_KIND_NOTIFICATION) {
                ferry_builder_key(builder, "id");
                ferry_builder_add(builder, "%s", ferry_message_id(message));
        }
        ferry_builder_key(builder, "body");
        add_body(builder, message);
        if (is_junk) {
                ferry_builder_key(builder, "source");
                ferry_builder_add(builder, "%s", ferry_message_type(message));
        }
        ferry_builder_close(builder);
        if (ferry_builder_finish(builder, &line) == 0)
                ferry_value_dump(line, stream);
        ferry_value_unref(line);
}

bool print_body(const ferry_message *message, const struct cli_options *options, bool is_one_of_many, long task)
{
        ferry_value *text;
        const char *bytes;
        size_t size;

        if (options->is_json)
                print_line(message, task, stdout);
        else {
                text = body_text(message);
                bytes = ferry_value_bytes(text, &size);
                if (bytes)
                        fwrite(bytes, 1, size, stdout);
                if (is_one_of_many || isatty(STDOUT_FILENO))
                        putchar('\n');
                ferry_value_unref(text);
        }
        return flush_output();
}

/* What is not the answer goes to stderr, and says what it is. */
void print_aside(const ferry_message *message, const struct cli_options *options)
{
        bool is_junk = ferry_message_kind(message) == FERRY_KIND_JUNK;
        ferry_value *text;
        const char *bytes;
        size_t size;

        fflush(stdout);
        if (options->is_json) {
                print_line(message, 0, stderr);
                return;
        }
        text = body_text(message);
        bytes = ferry_value_bytes(text, &size);
        while (bytes && size > 0 && bytes[size - 1] == '\n')
                size--;
        fprintf(stderr, "%s%s%s%s: ", kind_name(ferry_message_kind(message)), is_junk ? " on " : "",
                !is_junk && *ferry_message_type(message) ? " " : "", ferry_message_type(message));
        if (bytes)
                fwrite(bytes, 1, size, stderr);
        putc('\n', stderr);
        ferry_value_unref(text);
}
