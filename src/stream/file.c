/* Files: a session that reads what another has written, or leaves messages for a later one. Invariant: opening never blocks.
 * Plain files are read and written at once, as poll(2) knows no waiting for them; FIFOs and devices only as far as they can be.
 * What is written to a FIFO waits until a process reads it, as long as its sender waits. */
#include "loop/retry.h"
#include "stream/open.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct file_stream {
        struct stream stream;
        struct endpoint input;          /* put aside until the output is open */
        char *out;                      /* NULL: none */
        struct retry retry;
};

static void release(struct stream *stream, bool is_foreign)
{
        struct file_stream *file = container_of(stream, struct file_stream, stream);

        (void)is_foreign;
        retry_stop(&file->retry);
        endpoint_deinit(&file->input);
        sys_free(file->out);
        file->out = NULL;
}

static const struct stream_kind file_kind = { .name = "file", .has_junk = true, .ends_in_order = true, .release = release };

static int describe(const char *path, int code, struct error *error)
{
        return error_set(error, code, "cannot open '%s' as a file: %s", path, error_describe(code));
}

/* What has no reader yet is a FIFO; a socket, or a device without a driver, never has one. */
static bool is_fifo(const char *path)
{
        struct stat stat;
        int fd = sys_open(path, O_PATH, 0);
        bool is_one = fd >= 0 && sys_stat_fd(fd, &stat) == 0 && S_ISFIFO(stat.st_mode);

        if (fd >= 0)
                sys_close(fd);
        return is_one;
}

/* The open file is ours alone, so O_NONBLOCK changes nothing for other processes. */
static int open_one(struct endpoint *endpoint, const char *path, bool is_writing)
{
        int fd = sys_open(path, (is_writing ? O_WRONLY | O_CREAT | O_APPEND : O_RDONLY) | O_NONBLOCK, 0666), code;

        if (fd < 0)
                return fd;
        code = endpoint_init(endpoint, fd, is_writing, true);
        if (code)
                sys_close(fd);
        return code;
}

/* -ENXIO: the FIFO has no reader yet. */
static int try(struct file_stream *file)
{
        const struct endpoint none = { .fd = -1, .io = -1 };
        int code = file->out ? open_one(&file->stream.output, file->out, true) : 0;

        if (code)
                return code;
        file->stream.inputs[0] = file->input;
        file->input = none;
        return 0;
}

static void try_again(struct retry *retry)
{
        struct file_stream *file = container_of(retry, struct file_stream, retry);
        struct error error = { 0 };
        int code = try(file);

        if (code == -ENXIO && retry_later(retry, RETRY_SOON, INT64_MAX))
                return;
        retry_stop(retry);
        if (stream_come_up(&file->stream, &code))
                return;
        describe(file->out, code, &error);
        stream_fail(&file->stream, code, &error);
}

static int open_both(struct file_stream *file, const char *in, size_t in_size, struct error *error)
{
        char copy[PATH_MAX];
        int code = 0;

        if (in_size >= sizeof copy || (file->out && strlen(file->out) >= sizeof copy))
                return error_set(error, -ENAMETOOLONG, "the path is too long: '%s'", in);
        memcpy(copy, in, in_size);
        copy[in_size] = '\0';
        if (in_size > 0)
                code = open_one(&file->input, copy, false);
        if (code)
                return describe(copy, code, error);
        code = try(file);
        if (code == -ENXIO && is_fifo(file->out) && retry_later(&file->retry, RETRY_SOON, INT64_MAX))
                return 0;
        return code ? describe(file->out, code, error) : 0;
}

int stream_open_file(const struct stream_place *place, const char *text,
                     const ferry_session_options *options, struct stream **ret_stream, struct error *error)
{
        const char *comma = strchr(text, ',');
        size_t in_size = comma ? (size_t)(comma - text) : strlen(text);
        const char *out = comma ? comma + 1 : "";
        struct file_stream *file;
        int code;

        (void)options;
        if (in_size == 0 && !*out)
                return error_set(error, -EINVAL, "'file:%s' names no file: write file:IN,OUT", text);
        file = sys_alloc_zeroed(sizeof *file);
        if (!file)
                return error_set(error, -ENOMEM, "no memory for a stream");
        stream_init(&file->stream, &file_kind, place);
        file->input = file->stream.output;
        retry_init(&file->retry, place->loop, NULL, NULL, try_again);
        file->stream.is_only_written = in_size == 0;
        file->out = *out ? text_copy(out) : NULL;
        code = *out && !file->out ? error_set(error, -ENOMEM, "no memory for a stream") : open_both(file, text, in_size, error);
        if (code) {
                release(&file->stream, false);
                sys_free(file);
                return code;
        }
        *ret_stream = &file->stream;
        return 0;
}
