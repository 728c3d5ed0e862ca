/* POSIX message queues. Their descriptors are files that epoll knows, whose owner is known by fstat(2). */
#include "channel/channel.h"

#include "channel/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
        PRIORITY_MAX = 32767,           /* mq_overview(7) */
        OPENS_MAX = 16,                 /* of a queue that other processes make and remove meanwhile */
};

struct mqueue_channel {
        ferry_channel channel;
        const char *name;               /* in the address, without a slash */
        char *memory;                   /* one record: the kernel wants room for the largest */
        size_t held;
        bool is_holding;
        unsigned held_priority;
};

static struct mqueue_channel *mqueue_of(ferry_channel *channel)
{
        return container_of(channel, struct mqueue_channel, channel);
}

static int open_queue(struct mqueue_channel *mqueue);

static ssize_t send_record(ferry_channel *channel, struct channel_io *io)
{
        int code = channel->source.fd < 0 ? open_queue(mqueue_of(channel)) : 0;

        if (channel->end == FERRY_RECEIVE)
                return channel_error(channel, -EOPNOTSUPP, "'%s' was opened for receiving", channel->address);
        if (io->type < 0 || io->type > PRIORITY_MAX)
                return channel_error(channel, -EINVAL, "%s: the priority %ld is not 0 to %d", channel->address, io->type,
                                     PRIORITY_MAX);
        io->wait = CHANNEL_WAIT_LATER;
        io->lack = code ? "the queue was not created" : NULL;
        if (code)
                return channel_may_appear(channel, code) ? -EAGAIN : code;
        code = channel_check_size(channel, io->size);
        if (code)
                return code;
        code = sys_mqueue_send(channel->source.fd, io->bytes ? io->bytes : "", io->size, (unsigned)io->type);
        io->wait = CHANNEL_WAIT_OUTPUT;
        if (code == -EAGAIN)
                return code;
        return code ? channel_error(channel, code, "%s: sending failed: %s", channel->address, error_describe(code)) :
                      (ssize_t)io->size;
}

static ssize_t give_held(struct mqueue_channel *mqueue, struct channel_io *io)
{
        if (mqueue->held > io->size) {
                /* Another call may wait with a larger one. */
                channel_wake(&mqueue->channel, true, false);
                return channel_error(&mqueue->channel, -EMSGSIZE, "%s: the record has %zu bytes, the buffer %zu: receive it"
                                     " with a larger one", mqueue->channel.address, mqueue->held, io->size);
        }
        if (mqueue->held > 0)
                memcpy(io->buffer, mqueue->memory, mqueue->held);
        io->type = (long)mqueue->held_priority;
        mqueue->is_holding = false;
        return (ssize_t)mqueue->held;
}

static ssize_t receive_record(ferry_channel *channel, struct channel_io *io)
{
        struct mqueue_channel *mqueue = mqueue_of(channel);
        const bool is_direct = io->size >= channel->record_max;
        unsigned priority = 0;
        ssize_t got;

        if (channel->end == FERRY_SEND)
                return channel_error(channel, -EOPNOTSUPP, "'%s' was opened for sending", channel->address);
        if (io->type != 0)
                return channel_error(channel, -EINVAL, "%s: a POSIX queue gives the highest priority first, so the type must"
                                     " be 0", channel->address);
        if (mqueue->is_holding)
                return give_held(mqueue, io);
        got = sys_mqueue_receive(channel->source.fd, is_direct ? io->buffer : mqueue->memory,
                                 is_direct ? io->size : channel->record_max, &priority);
        io->wait = CHANNEL_WAIT_INPUT;
        if (got == -EAGAIN)
                return got;
        if (got < 0)
                return channel_error(channel, (int)got, "%s: receiving failed: %s", channel->address, error_describe((int)got));
        io->type = (long)priority;
        if (is_direct)
                return got;
        mqueue->held = (size_t)got;
        mqueue->held_priority = priority;
        mqueue->is_holding = true;
        return give_held(mqueue, io);
}

/* Opening --------------------------------------------------------------------------------------------- */

#define LIMITS "/proc/sys/fs/mqueue/"

static int describe(struct mqueue_channel *mqueue, int code)
{
        ferry_channel *channel = &mqueue->channel;

        switch (code) {
        case -ENOENT:
                return channel_error(channel, code, "'%s' does not exist: start its receiver, or create it (is_creating,"
                                                    " --create)",
                                     channel->address);
        case -EACCES:
                return channel_error(channel, code, "cannot open '%s': it belongs to another user, or its mode does not let"
                                                    " this user in", channel->address);
        case -EINVAL:
                return channel_error(channel, code, "cannot create '%s': the system allows records of up to %ld bytes, and %ld"
                                                    " of them in a queue (/proc/sys/fs/mqueue)", channel->address,
                                     limit_read(LIMITS "msgsize_max"), limit_read(LIMITS "msg_max"));
        case -ENOSPC:
                return channel_error(channel, code, "cannot create '%s': the system has as many queues as it allows, %ld"
                                                    " (/proc/sys/fs/mqueue/queues_max); remove one (ferry ipcs)",
                                                    channel->address,
                                     limit_read(LIMITS "queues_max"));
        case -EMFILE:
                return channel_error(channel, code, "cannot open '%s': no descriptor is left, or the bytes of this user's"
                                                    " queues exceed the limit (ulimit -q)", channel->address);
        default:
                return channel_error(channel, code, "cannot open '%s': %s", channel->address, error_describe(code));
        }
}

/* The options for a queue that is made; where one of the two is left out, it is the system's default. */
static void fill_attributes(const ferry_channel_options *options, struct mq_attr *attributes)
{
        const long records = limit_read(LIMITS "msg_default"), size = limit_read(LIMITS "msgsize_default");

        attributes->mq_maxmsg = options->records_max ? (long)options->records_max : records ? records : 10;
        attributes->mq_msgsize = options->record_max ? (long)options->record_max : size ? size : 8192;
}

/* Other processes may make and remove it at the same time. */
static int open_or_make(struct mqueue_channel *mqueue, bool *ret_is_new)
{
        const ferry_channel *channel = &mqueue->channel;
        const int flags = channel->end == FERRY_SEND ? O_WRONLY : O_RDONLY;
        const bool is_making = channel->end == FERRY_RECEIVE || channel->options.is_creating;
        struct mq_attr attributes = { 0 };
        int fd = -ENOENT, code;

        fill_attributes(&channel->options, &attributes);
        for (int i = 0; i < OPENS_MAX; i++) {
                fd = sys_mqueue_open(mqueue->name, flags, 0, NULL);
                if (fd != -ENOENT || !is_making)
                        return fd;
                fd = sys_mqueue_open(mqueue->name, flags | O_CREAT | O_EXCL, channel->options.mode, &attributes);
                /* What the umask has left of the mode. */
                *ret_is_new = fd >= 0;
                code = fd >= 0 ? sys_chmod_fd(fd, channel->options.mode) : 0;
                if (code) {
                        sys_close(fd);
                        sys_mqueue_unlink(mqueue->name);
                        *ret_is_new = false;
                        return code;
                }
                if (fd != -EEXIST)
                        return fd;
        }
        return fd;
}

static int check(struct mqueue_channel *mqueue)
{
        ferry_channel *channel = &mqueue->channel;
        struct mq_attr attributes;
        struct stat stat;
        int code = sys_stat_fd(channel->source.fd, &stat);

        if (!code)
                code = sys_mqueue_attributes(channel->source.fd, &attributes);
        if (code)
                return code;
        code = channel_check_owner(channel, stat.st_uid, stat.st_mode);
        if (code)
                return code;
        channel->record_max = (size_t)attributes.mq_msgsize;
        mqueue->memory = channel->end == FERRY_RECEIVE ? sys_alloc(channel->record_max) : NULL;
        return channel->end == FERRY_RECEIVE && !mqueue->memory ? -ENOMEM : 0;
}

/* One that failed the check is closed: the next send would take it for checked. */
static int open_queue(struct mqueue_channel *mqueue)
{
        ferry_channel *channel = &mqueue->channel;
        bool is_new = false;
        int fd = open_or_make(mqueue, &is_new), code;

        if (fd < 0)
                return describe(mqueue, fd);
        channel->source.fd = fd;
        code = check(mqueue);
        if (!code)
                return 0;
        sys_close(fd);
        channel->source.fd = -1;
        if (is_new)
                sys_mqueue_unlink(mqueue->name);
        return code == channel->error.code ? code : describe(mqueue, code);
}

static int open_mqueue(ferry_channel *channel, const char *text)
{
        struct mqueue_channel *mqueue = mqueue_of(channel);
        int scheme = ferry_address_scheme(channel->address), code;

        if (scheme < 0)
                return channel_error(channel, scheme, "'mqueue:%s' is not an address: write mqueue:NAME, up to 254 bytes"
                                                      " without a slash", text);
        mqueue->name = channel->address + strlen("mqueue:");
        mqueue->name += *mqueue->name == '/';
        if (channel->options.record_max > INT32_MAX || channel->options.records_max > INT32_MAX)
                return describe(mqueue, -EINVAL);
        channel->record_max = SIZE_MAX;
        code = open_queue(mqueue);
        /* The first send goes on with that. */
        return channel->end == FERRY_SEND && channel_may_appear(channel, code) ? 0 : code;
}

static bool close_mqueue(ferry_channel *channel, bool is_foreign)
{
        (void)is_foreign;
        if (channel->source.fd >= 0)
                sys_close(channel->source.fd);
        channel->source.fd = -1;
        sys_free(mqueue_of(channel)->memory);
        mqueue_of(channel)->memory = NULL;
        return false;
}

static int limit(ferry_channel *channel, unsigned mode, size_t bytes_max)
{
        int code;

        if (bytes_max)
                return channel_error(channel, -EOPNOTSUPP, "%s: the capacity of a POSIX queue is fixed when it is made",
                                     channel->address);
        if (channel->source.fd < 0)
                return channel_error(channel, -ENOENT, "'%s' does not exist yet", channel->address);
        code = mode ? sys_chmod_fd(channel->source.fd, mode & 0777) : 0;
        if (mode && !code)
                channel->is_wide = (mode & 077) != 0;
        return code ? channel_error(channel, code, "%s: cannot change its mode: %s", channel->address, error_describe(code)) :
                      0;
}

static int remove_queue(ferry_channel *channel)
{
        int code;

        /* What stands under the name now was not checked. */
        if (channel->source.fd < 0)
                return channel_error(channel, -ENOENT, "'%s' does not exist yet", channel->address);
        code = sys_mqueue_unlink(mqueue_of(channel)->name);
        return code ? channel_error(channel, code, "cannot remove '%s': %s", channel->address, error_describe(code)) : 0;
}

static void describe_facts(const ferry_channel *channel, struct channel_facts *facts)
{
        struct mq_attr attributes;
        struct stat stat;

        if (sys_stat_fd(channel->source.fd, &stat) == 0) {
                facts->uid = stat.st_uid;
                facts->mode = stat.st_mode & 0777;
        }
        if (sys_mqueue_attributes(channel->source.fd, &attributes) == 0) {
                facts->records = attributes.mq_curmsgs;
                facts->records_max = attributes.mq_maxmsg;
                facts->bytes_max = attributes.mq_maxmsg * attributes.mq_msgsize;
        }
}

static int look(const char *name, enum retry_hope *ret_hope)
{
        int fd = sys_mqueue_open(name + (*name == '/'), O_RDONLY, 0, NULL);

        *ret_hope = RETRY_SELDOM;
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        sys_close(fd);
        return 1;
}

const struct channel_kind channel_mqueue = {
        .name = "mqueue", .size = sizeof(struct mqueue_channel), .is_records = true, .is_ordered = true, .is_persistent = true,
        .first_type = 0, .open = open_mqueue, .close = close_mqueue, .send = send_record, .receive = receive_record, .limit = limit,
        .remove = remove_queue, .describe = describe_facts, .look = look,
};
