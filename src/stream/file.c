/* Plain files: a session that reads what another has written, or leaves messages for a later one. */
#include "stream/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const struct stream_kind file_kind = { .name = "file", .has_junk = true, .ends_in_order = true };

static int open_one(struct endpoint *endpoint, const char *path, size_t size, bool is_writing, struct error *error)
{
        char copy[4096];
        int fd, failure;

        if (size == 0)
                return 0;
        if (size >= sizeof copy)
                return error_set(error, -ENAMETOOLONG, "the path is too long: %s", path);
        memcpy(copy, path, size);
        copy[size] = '\0';
        fd = sys_open(copy, is_writing ? O_WRONLY | O_CREAT | O_APPEND : O_RDONLY | O_NONBLOCK, 0666);
        failure = fd < 0 ? fd : endpoint_init(endpoint, fd, is_writing, false);
        if (!failure && endpoint->way != ENDPOINT_FILE && endpoint->way != ENDPOINT_POLLED)
                failure = -EINVAL;
        if (!failure)
                return 0;
        if (endpoint->way != ENDPOINT_NONE)
                endpoint_deinit(endpoint);
        else if (fd >= 0)
                sys_close(fd);
        return error_set(error, failure, "%s cannot be opened as a file: %s", copy, error_describe(failure));
}

int stream_open_file(const struct stream_place *place, const char *text,
                     const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        const char *comma = strchr(text, ',');
        size_t in_size = comma ? (size_t)(comma - text) : strlen(text);
        const char *out = comma ? comma + 1 : "";
        struct stream *stream;
        int failure;

        (void)options;
        if (in_size == 0 && !*out)
                return error_set(error, -EINVAL, "file:%s names no file: write file:IN,OUT", text);
        stream = sys_alloc_zeroed(sizeof *stream);
        if (!stream)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(stream, &file_kind, place);
        failure = open_one(&stream->inputs[0], text, in_size, false, error);
        if (!failure)
                failure = open_one(&stream->output, out, strlen(out), true, error);
        if (failure) {
                endpoint_deinit(&stream->inputs[0]);
                sys_free(stream);
                return failure;
        }
        *ret_stream = stream;
        return 0;
}
