/* FIFOs as streams. Invariants: opening never blocks, for reading since that is not-blocking at once, for writing since it
 * is tried again until a process reads; what is opened was looked at before, so another user's FIFO and what is no FIFO are
 * refused, whatever is put in the place meanwhile; a FIFO that was made here is removed at the end, unless another one
 * stands in its place. Until the first writer comes a read returns nothing, which endpoint.c distinguishes from the end. */
#include "stream/fifo.h"

#include "stream/held.h"
#include "stream/open.h"
#include "stream/retried.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* One FIFO. */
struct fifo {
        char *path;             /* NULL: none */
        struct held held;     /* of one that was made here, and this is it: */
        dev_t device;
        ino_t number;
};

struct fifo_stream {
        struct retried retried;
        struct fifo in;
        struct fifo out;
        struct endpoint input;          /* put aside until both are open */
        struct endpoint output;
        struct fifo_options options;
        int64_t deadline;       /* until which a process may begin to read */
        bool is_wide;
};

/* Another user's, and what is no FIFO, is refused. */
static int check(struct fifo_stream *client, const struct fifo *fifo, const struct stat *stat, struct error *error)
{
        unsigned mode = stat->st_mode & 0777;

        if (!S_ISFIFO(stat->st_mode))
                return error_set(error, -ENOTSUP, "cannot use '%s': it exists, and is not a FIFO", fifo->path);
        if (stat->st_uid != sys_uid() && stat->st_uid != 0)
                return error_set(error, -EACCES, "cannot use '%s': it belongs to user %u; choose another path", fifo->path,
                                 (unsigned)stat->st_uid);
        if (stat->st_nlink > 1)
                return error_set(error, -EACCES, "cannot use '%s': the FIFO has another name, so another user may have linked"
                                                 " it; create a new FIFO",
                                 fifo->path);
        if ((mode & 077) && client->options.is_strict)
                return error_set(error, -EACCES, "cannot use '%s': its mode %04o lets other users in; change it to 0600",
                                 fifo->path,
                                 mode);
        client->is_wide = client->is_wide || (mode & 077) != 0;
        return 0;
}

/* The mode is set through a descriptor, since mkfifo(3) leaves it to the umask. */
static int make_there(struct fifo_stream *client, struct fifo *fifo)
{
        char path[HELD_PATH_MAX];
        struct stat stat;
        int fd, code = sys_make_fifo(held_path(&fifo->held, "", path), client->options.mode);

        if (code)
                return code;
        fd = sys_open(path, O_PATH | O_NOFOLLOW, 0);
        code = fd < 0 ? fd : sys_stat_fd(fd, &stat);
        if (!code && (!S_ISFIFO(stat.st_mode) || stat.st_uid != sys_uid() || stat.st_nlink != 1))
                code = -EEXIST;
        if (!code) {
                fifo->device = stat.st_dev;
                fifo->number = stat.st_ino;
                snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                if ((stat.st_mode & 0777) != client->options.mode)
                        code = sys_chmod_path(path, client->options.mode);
                if (code)
                        held_remove(&fifo->held, "", fifo->device, fifo->number);
        }
        if (fd >= 0)
                sys_close(fd);
        return code;
}

/* The directory is held until the FIFO is removed. */
static int make(struct fifo_stream *client, struct fifo *fifo)
{
        int code;

        /* Of one that was made here, and is gone. */
        held_close(&fifo->held);
        code = held_open(&fifo->held, fifo->path);
        if (!code)
                code = make_there(client, fifo);
        if (code)
                held_close(&fifo->held);
        return code;
}

/* What stands at the path, without opening it: a descriptor, or a negative errno. */
static int locate(struct fifo_stream *client, struct fifo *fifo)
{
        int fd = sys_open(fifo->path, O_PATH, 0), code;

        if (fd != -ENOENT || !client->options.is_making)
                return fd;
        code = make(client, fifo);
        return code && code != -EEXIST ? code : sys_open(fifo->path, O_PATH, 0);
}

/* A descriptor; -ENXIO if no process reads what would be written. */
static int open_one(struct fifo_stream *client, struct fifo *fifo, int flags, struct error *error)
{
        char path[32];
        struct stat stat;
        int located = locate(client, fifo), fd, code;

        if (located < 0)
                return located;
        code = sys_stat_fd(located, &stat);
        if (!code)
                code = check(client, fifo, &stat, error);
        snprintf(path, sizeof path, "/proc/self/fd/%d", located);
        fd = code ? code : sys_open(path, flags | O_NONBLOCK, 0);
        sys_close(located);
        return fd;
}

static int open_endpoint(struct fifo_stream *client, struct fifo *fifo, struct endpoint *endpoint, bool is_writing,
                         struct error *error)
{
        int fd, code;

        if (!fifo->path || endpoint->way != ENDPOINT_NONE)
                return 0;
        fd = open_one(client, fifo, is_writing ? O_WRONLY : O_RDONLY, error);
        if (fd < 0)
                return fd;
        code = endpoint_init(endpoint, fd, is_writing, true);
        if (code)
                sys_close(fd);
        return code;
}

/* The side that reads opens first: then two peers find each other, whichever comes first. */
static int try(struct retried *retried, struct error *error)
{
        struct fifo_stream *client = container_of(retried, struct fifo_stream, retried);
        const struct endpoint none = { .fd = -1, .io = -1 };
        int code = open_endpoint(client, &client->in, &client->input, false, error);

        if (!code)
                code = open_endpoint(client, &client->out, &client->output, true, error);
        if (code)
                return code;
        retried->stream.inputs[0] = client->input;
        retried->stream.output = client->output;
        client->input = client->output = none;
        return 0;
}

static bool try_later(struct retried *retried, int code)
{
        const struct fifo_stream *client = container_of(retried, const struct fifo_stream, retried);
        enum retry_hope hope = code == -ENXIO ? RETRY_SOON : RETRY_CHANGE;

        return (code == -ENXIO || code == -ENOENT) && retry_later(&retried->retry, hope, client->deadline);
}

static void describe(const struct retried *retried, int code, struct error *error)
{
        const struct fifo_stream *client = container_of(retried, const struct fifo_stream, retried);
        bool is_out = client->in.path == NULL || client->input.way != ENDPOINT_NONE;
        const char *path = is_out ? client->out.path : client->in.path;

        if (code == -ENXIO)
                error_set(error, code, "no process reads the FIFO '%s': start its reader, or wait longer for it", path);
        else if (code == -ENOENT)
                error_set(error, code, "there is no FIFO '%s': start its reader, or create it (is_creating, --create)", path);
        else
                error_set(error, code, "cannot open the FIFO '%s': %s", path, error_describe(code));
}

static void remove_made(struct fifo *fifo, bool is_foreign)
{
        if (fifo->held.directory >= 0 && !is_foreign)
                held_remove(&fifo->held, "", fifo->device, fifo->number);
        held_close(&fifo->held);
        sys_free(fifo->path);
        fifo->path = NULL;
}

static void release(struct stream *stream, bool is_foreign)
{
        struct fifo_stream *client = container_of(stream, struct fifo_stream, retried.stream);

        retry_stop(&client->retried.retry);
        endpoint_deinit(&client->input);
        endpoint_deinit(&client->output);
        remove_made(&client->in, is_foreign);
        remove_made(&client->out, is_foreign);
}

static const struct retried_kind fifo_kind = {
        .stream = { .name = "fifo", .has_junk = true, .release = release },
        .try = try, .try_later = try_later, .describe = describe,
};

bool fifo_is_wide(const struct stream *stream)
{
        return container_of(stream, const struct fifo_stream, retried.stream)->is_wide;
}

static int copy_paths(struct fifo_stream *client, const struct fifo_options *options)
{
        client->in.path = options->in ? text_copy(options->in) : NULL;
        client->out.path = options->out ? text_copy(options->out) : NULL;
        return (options->in && !client->in.path) || (options->out && !client->out.path) ? -ENOMEM : 0;
}

int fifo_open(const struct stream_place *place, const struct fifo_options *options, struct stream **ret_stream,
              struct error *error)
{
        struct fifo_stream *client = sys_alloc_zeroed(sizeof *client);
        int code;

        if (!client)
                return error_set(error, -ENOMEM, "no memory for a stream");
        retried_init(&client->retried, &fifo_kind, place, NULL);
        client->input = client->output = client->retried.stream.output;
        client->in.held = client->out.held = HELD_NONE;
        client->options = *options;
        client->retried.stream.is_only_written = !options->in;
        client->deadline = loop_deadline(options->wait_ms);
        code = copy_paths(client, options);
        client->retried.retry.paths[0] = client->out.path ? client->out.path : client->in.path;
        code = code ? error_set(error, code, "no memory for a stream") : retried_open(&client->retried, error);
        if (code) {
                release(&client->retried.stream, false);
                sys_free(client);
                return code;
        }
        *ret_stream = &client->retried.stream;
        return 0;
}

int stream_open_fifo(const struct stream_place *place, const char *text, const ferry_session_options *options,
                     struct stream **ret_stream, struct error *error)
{
        struct fifo_options fifos = { .mode = 0600, .is_making = true, .wait_ms = options->wait_ms };
        const char *comma = strchr(text, ',');
        char in[PATH_MAX];

        if (!comma || strchr(comma + 1, ',') || (comma == text && !comma[1]))
                return error_set(error, -EINVAL, "'fifo:%s' is not an address of a session: write fifo:IN,OUT; one FIFO is a"
                                                 " channel (ferry send, ferry recv)", text);
        if ((size_t)(comma - text) >= sizeof in || strlen(comma + 1) >= PATH_MAX)
                return error_set(error, -ENAMETOOLONG, "the path is too long: '%s'", text);
        snprintf(in, sizeof in, "%.*s", (int)(comma - text), text);
        fifos.in = *in ? in : NULL;
        fifos.out = comma[1] ? comma + 1 : NULL;
        return fifo_open(place, &fifos, ret_stream, error);
}
