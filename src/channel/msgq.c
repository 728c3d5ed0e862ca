/* SysV message queues. Invariants: a record that does not fit the caller's buffer stays in the queue; the queue is used by
 * its identifier, so one that was removed and made again under the same key is not mistaken for it. They have no
 * descriptor, so what cannot be done now is tried again later. */
#include "channel/channel.h"

#include "channel/limit.h"
#include "channel/sysv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        RECORD_DEFAULT_MAX = 8192,      /* kernel.msgmax, where it cannot be read */
};

/* msgrcv(2) and msgsnd(2) */
struct message {
        long type;
        char text[];
};

struct msgq_channel {
        ferry_channel channel;
        struct sysv_name name;
        int id;                         /* -1: it does not exist yet */
        struct message *message;        /* room for one record */
        size_t capacity;
};

static struct msgq_channel *msgq_of(ferry_channel *channel)
{
        return container_of(channel, struct msgq_channel, channel);
}

static size_t read_system_max(void)
{
        long size = limit_read("/proc/sys/kernel/msgmax");

        return size > 0 ? (size_t)size : RECORD_DEFAULT_MAX;
}

static int make_room(struct msgq_channel *msgq, size_t capacity)
{
        struct message *message;

        if (capacity <= msgq->capacity && msgq->message)
                return 0;
        message = sys_realloc(msgq->message, sizeof *message + capacity);
        if (!message)
                return channel_error(&msgq->channel, -ENOMEM, "%s: no memory for a record", msgq->channel.address);
        msgq->message = message;
        msgq->capacity = capacity;
        return 0;
}

/* Opening --------------------------------------------------------------------------------------------- */

static int describe(struct msgq_channel *msgq, int code)
{
        ferry_channel *channel = &msgq->channel;

        if (channel->error.code == code)
                return code;
        switch (code) {
        case -ENOENT:
                return channel_error(channel, code, "%s: no message queue has that key: start its receiver, or create it"
                                                    " (is_creating, --create)", channel->address);
        case -EACCES:
                return channel_error(channel, code, "%s: cannot use the queue: it belongs to another user, or its mode does"
                                                    " not let this user in", channel->address);
        case -ENOSPC:
                return channel_error(channel, code, "cannot create '%s': the system has as many queues as it allows"
                                                    " (kernel.msgmni); remove one (ferry ipcs)", channel->address);
        case -EINVAL:
        case -EIDRM:
                return channel_error(channel, -EIDRM, "%s: the queue was removed", channel->address);
        default:
                return channel_error(channel, code, "%s: %s", channel->address, error_describe(code));
        }
}

/* A queue of our own holds as much as the options say. */
static int set_limits(struct msgq_channel *msgq, unsigned mode, size_t bytes_max)
{
        ferry_channel *channel = &msgq->channel;
        struct msqid_ds state;
        int code = sys_msg_control(msgq->id, IPC_STAT, &state);

        if (code)
                return code;
        if (mode)
                state.msg_perm.mode = (unsigned short)(mode & 0777);
        if (bytes_max)
                state.msg_qbytes = bytes_max;
        code = sys_msg_control(msgq->id, IPC_SET, &state);
        if (code == -EPERM)
                return channel_error(channel, code, bytes_max ? "%s: only root may let a queue hold %zu bytes, or only its owner"
                                     " change it" : "%s: only its owner can change the queue", channel->address, bytes_max);
        return code;
}

/* The owner, the mode and the limits. */
static int check(struct msgq_channel *msgq)
{
        ferry_channel *channel = &msgq->channel;
        const size_t system_max = read_system_max();
        struct msqid_ds state;
        int code = sys_msg_control(msgq->id, IPC_STAT, &state);

        /* One that may only be written may not be looked at either: then it is root's or another user's. */
        if (code)
                return code;
        code = sysv_check_owner(&state.msg_perm, channel->address, channel->options.is_strict, &channel->is_wide,
                                &channel->error);
        if (code)
                return code;
        channel->record_max = state.msg_qbytes < system_max ? state.msg_qbytes : system_max;
        /* Records may be there since before a limit was lowered. */
        channel->receive_max = state.__msg_cbytes > system_max ? state.__msg_cbytes : system_max;
        return make_room(msgq, channel->receive_max);
}

static int find_queue(struct msgq_channel *msgq)
{
        ferry_channel *channel = &msgq->channel;
        const bool is_making = channel->end == FERRY_RECEIVE || channel->options.is_creating;
        bool is_new = msgq->name.how == SYSV_PRIVATE;
        char text[32];
        int id, code = 0;

        if (msgq->name.how == SYSV_ID)
                id = msgq->name.id;
        else if (msgq->name.how == SYSV_PRIVATE)
                id = sys_msg_get(IPC_PRIVATE, (int)channel->options.mode);
        else
                id = is_making ? sysv_get(&sysv_queue, msgq->name.key, 0, channel->options.mode, &is_new) :
                                 sys_msg_get(msgq->name.key, 0);
        if (id < 0)
                return id;
        msgq->id = id;
        if (is_new && channel->options.bytes_max)
                code = set_limits(msgq, 0, channel->options.bytes_max);
        if (!code)
                code = check(msgq);
        if (!code && msgq->name.how == SYSV_PRIVATE) {
                snprintf(text, sizeof text, "msgq:#%d", id);
                code = channel_set_address(channel, text);
        }
        if (code && is_new)
                sys_msg_control(id, IPC_RMID, NULL);
        if (code)
                msgq->id = -1;
        return code;
}

static int find_name(struct msgq_channel *msgq, struct sysv_key_file *ret_file)
{
        ferry_channel *channel = &msgq->channel;
        const char *text = channel->address + strlen("msgq:");
        const bool is_making = channel->end == FERRY_RECEIVE || channel->options.is_creating;
        int code = is_making ? sysv_make_key_file(channel->address, text, ret_file, &channel->error) : 0;

        return code ? code : sysv_parse(channel->address, text, &msgq->name, &channel->error);
}

/* The key file, and then the queue. */
static int open_queue(struct msgq_channel *msgq)
{
        struct sysv_key_file file = { 0 };
        int code;

        error_deinit(&msgq->channel.error);
        code = find_name(msgq, &file);
        if (!code)
                code = find_queue(msgq);
        if (code)
                sysv_remove_key_file(msgq->channel.address + strlen("msgq:"), &file);
        return code ? describe(msgq, code) : 0;
}

static int open_msgq(ferry_channel *channel, const char *text)
{
        struct msgq_channel *msgq = msgq_of(channel);
        int code;

        (void)text;
        msgq->id = -1;
        channel->record_max = SIZE_MAX;
        code = open_queue(msgq);
        /* The first send goes on with that. */
        return channel->end == FERRY_SEND && channel_may_appear(channel, code) ? 0 : code;
}

static bool close_msgq(ferry_channel *channel, bool is_foreign)
{
        (void)is_foreign;
        sys_free(msgq_of(channel)->message);
        msgq_of(channel)->message = NULL;
        return false;
}

/* Sending and receiving ------------------------------------------------------------------------------- */

static ssize_t send_record(ferry_channel *channel, struct channel_io *io)
{
        struct msgq_channel *msgq = msgq_of(channel);
        int code = msgq->id < 0 ? open_queue(msgq) : 0;

        io->wait = CHANNEL_WAIT_LATER;
        io->lack = code ? "the queue was not created" : NULL;
        if (code)
                return channel_may_appear(channel, code) ? -EAGAIN : code;
        if (io->type < 1)
                return channel_error(channel, -EINVAL, "%s: the type %ld is not at least 1", channel->address, io->type);
        code = channel_check_size(channel, io->size);
        if (!code)
                code = make_room(msgq, io->size);
        if (code)
                return code;
        msgq->message->type = io->type;
        if (io->size > 0)
                memcpy(msgq->message->text, io->bytes, io->size);
        code = sys_msg_send(msgq->id, msgq->message, io->size);
        if (code == -EAGAIN)
                return code;
        error_deinit(&channel->error);
        return code ? describe(msgq, code) : (ssize_t)io->size;
}

static ssize_t receive_record(ferry_channel *channel, struct channel_io *io)
{
        struct msgq_channel *msgq = msgq_of(channel);
        size_t system_max;
        ssize_t got;
        int code;

        for (;;) {
                got = sys_msg_receive(msgq->id, msgq->message, io->size < msgq->capacity ? io->size : msgq->capacity, io->type);
                if (got != -E2BIG || io->size <= msgq->capacity)
                        break;
                /* The system's limit has grown since. */
                code = make_room(msgq, io->size);
                if (code)
                        return code;
        }
        io->wait = CHANNEL_WAIT_LATER;
        if (got == -ENOMSG)
                return -EAGAIN;
        if (got == -E2BIG) {
                system_max = read_system_max();
                if (channel->receive_max < system_max)
                        channel->receive_max = system_max;
                return channel_error(channel, -EMSGSIZE, "%s: the record is larger than the buffer of %zu bytes, and stays in the"
                                     " queue: receive it with %zu", channel->address, io->size, channel->receive_max);
        }
        if (got < 0) {
                error_deinit(&channel->error);
                return describe(msgq, (int)got);
        }
        if (got > 0)
                memcpy(io->buffer, msgq->message->text, (size_t)got);
        io->type = msgq->message->type;
        return got;
}

/* The queue itself ------------------------------------------------------------------------------------ */

static int limit(ferry_channel *channel, unsigned mode, size_t bytes_max)
{
        struct msgq_channel *msgq = msgq_of(channel);
        int code;

        if (msgq->id < 0)
                return channel_error(channel, -ENOENT, "'%s' does not exist yet", channel->address);
        error_deinit(&channel->error);
        code = set_limits(msgq, mode, bytes_max);
        if (!code)
                code = check(msgq);
        return code ? describe(msgq, code) : 0;
}

static int remove_queue(ferry_channel *channel)
{
        struct msgq_channel *msgq = msgq_of(channel);
        int code;

        if (msgq->id < 0)
                return channel_error(channel, -ENOENT, "'%s' does not exist yet", channel->address);
        code = sys_msg_control(msgq->id, IPC_RMID, NULL);
        error_deinit(&channel->error);
        if (code == -EPERM)
                return channel_error(channel, code, "%s: only its owner can remove the queue", channel->address);
        return code ? describe(msgq, code) : 0;
}

static void describe_facts(const ferry_channel *channel, struct channel_facts *facts)
{
        const struct msgq_channel *msgq = container_of(channel, const struct msgq_channel, channel);
        struct msqid_ds state;

        if (msgq->id < 0 || sys_msg_control(msgq->id, IPC_STAT, &state) < 0)
                return;
        facts->uid = state.msg_perm.uid;
        facts->mode = state.msg_perm.mode & 0777;
        facts->records = (int64_t)state.msg_qnum;
        facts->bytes = (int64_t)state.__msg_cbytes;
        facts->bytes_max = (int64_t)state.msg_qbytes;
        facts->id = msgq->id;
        facts->key = (uint32_t)state.msg_perm.__key;
        facts->sent = state.msg_stime;
        facts->received = state.msg_rtime;
        facts->changed = state.msg_ctime;
        facts->last_sender = state.msg_lspid;
        facts->last_receiver = state.msg_lrpid;
}

static int look(const char *text, enum retry_hope *ret_hope)
{
        struct error error = { 0 };
        struct msqid_ds state;
        struct sysv_name name;
        int code = sysv_parse("", text, &name, &error);

        error_deinit(&error);
        *ret_hope = RETRY_SELDOM;
        if (!code)
                code = name.how == SYSV_ID ? sys_msg_control(name.id, IPC_STAT, &state) :
                       name.how == SYSV_KEY ? sys_msg_get(name.key, 0) : -EINVAL;
        return code >= 0 ? 1 : code == -ENOENT ? 0 : code;
}

const struct channel_kind channel_msgq = {
        .name = "msgq", .size = sizeof(struct msgq_channel), .is_records = true, .is_ordered = true, .is_persistent = true,
        .is_unpollable = true, .first_type = 1, .open = open_msgq, .close = close_msgq, .send = send_record, .receive = receive_record,
        .limit = limit, .remove = remove_queue, .describe = describe_facts, .look = look,
};
