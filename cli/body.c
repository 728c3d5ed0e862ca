/* BODY on the command line: text, JSON, or stdin. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No message can be larger, whatever is done with the rest; JSON may take more than what it stands for. */
enum { TEXT_MAX = 16 << 20, JSON_MAX = 8 * TEXT_MAX };

char *read_all(int fd, size_t max, size_t *ret_size)
{
        size_t capacity = 65536, size = 0;
        char *bytes = malloc(capacity);

        while (bytes) {
                ssize_t got = read(fd, bytes + size, capacity - size);

                int error = got < 0 ? errno : 0;

                /* The flag belongs to other processes, too: it stays. */
                if (error == EAGAIN) {
                        int ready = signals_poll(fd, POLLIN, -1);

                        error = ready < 0 ? -ready : EINTR;
                }
                if (error == EINTR)
                        continue;
                if (error) {
                        complain("cannot read stdin: %s", strerror(error));
                        free(bytes);
                        return NULL;
                }
                if (got == 0) {
                        *ret_size = size;
                        return bytes;
                }
                size += (size_t)got;
                if (size > max) {
                        complain("the input is too large: more than %zu bytes", max);
                        free(bytes);
                        return NULL;
                }
                if (size == capacity) {
                        char *grown = realloc(bytes, capacity *= 2);

                        if (!grown)
                                free(bytes);
                        bytes = grown;
                }
        }
        complain("no memory");
        return NULL;
}

static ferry_value *string(const char *bytes, size_t size)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value;

        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        ferry_builder_finish(builder, &value);
        return value;
}

size_t body_max(bool is_value)
{
        return is_value ? JSON_MAX : TEXT_MAX;
}

ferry_value *body_of_line(const char *line, size_t size, bool is_value, char *reason, size_t reason_size)
{
        ferry_value *value = NULL;

        if (!is_value)
                return string(line, size);
        if (ferry_codec_decode(ferry_codec_json(), line, size, &value, NULL) < 0)
                ferry_codec_explain_decode(ferry_codec_json(), line, size, reason, reason_size);
        return value;
}

ferry_value *body_read(const char *text, bool is_value, int *ret_status)
{
        return value_read("BODY", text, is_value, ret_status);
}

ferry_value *value_read(const char *name, const char *text, bool is_value, int *ret_status)
{
        char *bytes = NULL;
        char reason[256];
        size_t size;
        ferry_value *value = NULL;

        *ret_status = EXIT_REFUSED;
        if (!text)
                return ferry_value_pack(NULL);
        if (strcmp(text, "-") == 0) {
                text = bytes = read_all(STDIN_FILENO, body_max(is_value), &size);
                if (!bytes)
                        return NULL;
        } else
                size = strlen(text);
        if (!is_value)
                value = string(text, size);
        else if (ferry_codec_decode(ferry_codec_json(), text, size, &value, NULL) < 0) {
                ferry_codec_explain_decode(ferry_codec_json(), text, size, reason, sizeof reason);
                complain("%s is not JSON: %s", name, reason);
        }
        if (!value && !is_value)
                complain("%s is too large", name);
        free(bytes);
        return value;
}
