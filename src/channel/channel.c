/* The interface of channels, and their waiting. Invariants: a call tries first and waits after; what it waits for is in
 * epoll only while it waits; a channel that a callback frees meanwhile keeps its memory until the call has returned. */
#include "channel/channel.h"

#include "util/options.h"
#include "util/text.h"
#include "value/builder.h"
#include "value/codec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
        PAUSE_FIRST_NS = 1000000,       /* where the kernel reports nothing … */
        PAUSE_MAX_NS = 10000000,        /* … and no longer than this */
};

static const struct channel_kind *const kinds[] = { &channel_udp,  &channel_udg,  &channel_tcp,   &channel_unix,
                                                    &channel_fifo, &channel_msgq, &channel_mqueue };

const struct channel_kind *channel_find_kind(const char *address, const char **ret_text)
{
        for (size_t i = 0; address && i < sizeof kinds / sizeof *kinds; i++) {
                size_t size = strlen(kinds[i]->name);

                if (strncmp(address, kinds[i]->name, size) != 0 || address[size] != ':')
                        continue;
                *ret_text = address + size + 1;
                return kinds[i];
        }
        return NULL;
}

/* Failures -------------------------------------------------------------------------------------------- */

int channel_error(ferry_channel *channel, int code, const char *format, ...)
{
        va_list arguments;

        /* The kernel's word for it; a program would take it for a full queue. */
        if (code == -ENOBUFS)
                code = -ENOMEM;
        va_start(arguments, format);
        error_vreplace(&channel->error, code, format, arguments);
        va_end(arguments);
        return code;
}

void channel_set_phase(ferry_channel *channel, enum channel_phase phase)
{
        if (channel->phase >= phase)
                return;
        channel->phase = phase;
        if (phase != CHANNEL_OPEN)
                channel_wake(channel, true, true);
}

/* Whether it can be used; a call that returns an error has reported it. */
static int check(ferry_channel *channel)
{
        if (!channel)
                return -ENOMEM;
        if (loop_is_elsewhere(channel->loop))
                return -EPERM;
        if (loop_is_foreign(channel->loop))
                return channel_error(channel, -ECHILD, "the channel belongs to the parent of this process");
        if (channel->phase < CHANNEL_FAILED) {
                /* The sentence of an earlier call. */
                if (channel->error.code)
                        error_deinit(&channel->error);
                return 0;
        }
        loop_failure_told(&channel->failure);
        return channel->error.code;
}

static int unsupported(ferry_channel *channel, const char *what)
{
        return channel_error(channel, -EOPNOTSUPP, "%s: a channel of this kind cannot %s", channel->address, what);
}

bool channel_is_allowed(ferry_channel *channel, const ferry_peer *peer)
{
        if (peer->uid == sys_uid() || peer->uid == 0)
                return true;
        /* The callback may free the channel. */
        if (channel->options.allow && channel->options.allow(channel, peer, channel->options.allow_userdata))
                return channel->phase != CHANNEL_FREED;
        channel->refused++;
        return false;
}

int channel_check_owner(ferry_channel *channel, uid_t uid, unsigned mode)
{
        if (uid != sys_uid() && uid != 0)
                return channel_error(channel, -EACCES, "cannot use '%s': it belongs to user %u; choose another name, or let"
                                                       " that user remove it", channel->address, (unsigned)uid);
        channel->is_wide = (mode & 077) != 0;
        if (channel->is_wide && channel->options.is_strict)
                return channel_error(channel, -EACCES, "cannot use '%s': its mode %04o lets other users in; change it to 0600",
                                     channel->address, mode & 0777);
        return 0;
}

bool channel_may_appear(const ferry_channel *channel, int code)
{
        return (code == -ECONNREFUSED || code == -ENOENT) && channel->deadline > 0 && sys_now() < channel->deadline;
}

int channel_check_size(ferry_channel *channel, size_t size)
{
        if (size <= channel->record_max)
                return 0;
        return channel_error(channel, -EMSGSIZE, "%s: a record of %zu bytes is larger than the limit of %zu",
                             channel->address, size, channel->record_max);
}

/* Waiting --------------------------------------------------------------------------------------------- */

struct wait {
        struct list link;
        ferry_channel *channel;
        enum channel_wait reason;
        struct loop_timer timer;        /* runs out when the pause is over */
        int64_t pause_ns;
        bool is_due;
};

static bool waits_for_output(const struct wait *wait)
{
        return wait->reason == CHANNEL_WAIT_OUTPUT || wait->reason == CHANNEL_WAIT_ROOM;
}

/* Let the loop watch for what the waiting calls need, and for nothing else. */
static int update_watch(ferry_channel *channel)
{
        bool is_input = false, is_output = false;

        /* An address of no kind has no descriptor either. */
        if (channel->phase == CHANNEL_FREED || !channel->is_prepared)
                return 0;
        list_for_each(&channel->waits, link) {
                const struct wait *wait = container_of(link, struct wait, link);

                is_input = is_input || (!wait->is_due && wait->reason == CHANNEL_WAIT_INPUT);
                is_output = is_output || (!wait->is_due && waits_for_output(wait));
        }
        if (channel->kind->watch)
                return channel->kind->watch(channel, is_input, is_output);
        return channel->source.fd < 0 ? 0 :
               loop_source_set(&channel->source, (is_input ? EPOLLIN : 0u) | (is_output ? EPOLLOUT : 0u));
}

void channel_wake(ferry_channel *channel, bool is_input, bool is_output)
{
        bool is_over = channel->phase >= CHANNEL_FAILED;

        list_for_each(&channel->waits, link) {
                struct wait *wait = container_of(link, struct wait, link);

                wait->is_due = wait->is_due || is_over || (is_input && wait->reason == CHANNEL_WAIT_INPUT) ||
                               (is_output && waits_for_output(wait));
        }
        update_watch(channel);
}

static void source_is_ready(struct loop_source *source, uint32_t events)
{
        ferry_channel *channel = container_of(source, ferry_channel, source);
        bool is_broken = (events & (EPOLLERR | EPOLLHUP)) != 0;

        channel_wake(channel, is_broken || (events & EPOLLIN), is_broken || (events & EPOLLOUT));
}

static void pause_is_over(struct loop_timer *timer)
{
        container_of(timer, struct wait, timer)->is_due = true;
}

static bool is_due(void *object)
{
        return ((const struct wait *)object)->is_due;
}

/* Wait until another try may succeed. 0, -ETIMEDOUT when one more try is worth it, or another negative errno. The loop was
 * entered. */
static int wait_for(struct wait *wait, const struct channel_io *io)
{
        ferry_channel *channel = wait->channel;
        ferry_loop *loop = channel->loop;
        int code;

        wait->reason = io->wait;
        wait->is_due = false;
        wait->timer.fn = pause_is_over;
        list_append(&channel->waits, &wait->link);
        code = update_watch(channel);
        if (wait->reason == CHANNEL_WAIT_LATER || wait->reason == CHANNEL_WAIT_ROOM) {
                wait->pause_ns = wait->pause_ns ? wait->pause_ns * 2 : PAUSE_FIRST_NS;
                if (wait->pause_ns > PAUSE_MAX_NS)
                        wait->pause_ns = PAUSE_MAX_NS;
                loop_timer_start(loop, &wait->timer, sys_now() + wait->pause_ns);
        }
        if (!code)
                code = loop_wait(loop, io->deadline, is_due, wait, &channel->grave);
        loop_timer_stop(loop, &wait->timer);
        list_remove(&wait->link);
        update_watch(channel);
        return code;
}

/* Why nothing was moved. */
static int describe_wait(ferry_channel *channel, const struct channel_io *io, int code)
{
        const char *lack = io->lack ? io->lack : io->is_sending ? "the receiver made no room" : "nothing was received";

        if (code == -ETIMEDOUT)
                return channel_error(channel, code, "%s: %s within the time", channel->address, lack);
        if (code == -EDEADLK)
                return channel_error(channel, code, "%s: waiting failed: %d waits are nested in callbacks", channel->address,
                                     LOOP_WAITS_MAX);
        return channel_error(channel, code, "%s: waiting failed: %s", channel->address, error_describe(code));
}

typedef ssize_t channel_try_fn(ferry_channel *channel, struct channel_io *io);

/* Try again until something was moved, or the time is over. */
static ssize_t go_on(ferry_channel *channel, channel_try_fn *try, struct channel_io *io)
{
        struct wait wait = { .channel = channel };
        ferry_loop *loop = channel->loop;
        ssize_t moved = -EAGAIN;
        int code = 0;

        loop_enter(loop);
        while (moved == -EAGAIN && !code) {
                code = wait_for(&wait, io);
                if (channel->phase == CHANNEL_FREED || loop->is_freed)
                        code = -ECANCELED;
                /* What came with the end of the time has come. */
                else if (!code || code == -ETIMEDOUT)
                        moved = channel->phase == CHANNEL_FAILED ? channel->error.code : try(channel, io);
                if (channel->phase == CHANNEL_FREED || loop->is_freed)
                        moved = -ECANCELED;
        }
        if (moved == -EAGAIN)
                moved = code == -ECANCELED ? code : describe_wait(channel, io, code);
        if (channel->phase == CHANNEL_FAILED)
                loop_failure_told(&channel->failure);
        loop_leave(loop);
        return moved;
}

static ssize_t transfer(ferry_channel *channel, channel_try_fn *try, struct channel_io *io, int timeout_ms)
{
        ferry_loop *loop = channel->loop;
        ssize_t moved;

        if (timeout_ms < -1)
                return channel_error(channel, -EINVAL, "%s: %d is not a timeout: write a time in ms, or -1 for forever",
                                     channel->address, timeout_ms);
        loop_enter(loop);
        moved = try(channel, io);
        if (channel->phase == CHANNEL_FREED || loop->is_freed)
                moved = -ECANCELED;
        else if (moved == -EAGAIN && timeout_ms == 0)
                moved = describe_wait(channel, io, -ETIMEDOUT);
        else if (moved == -EAGAIN) {
                io->deadline = loop_deadline(timeout_ms);
                moved = go_on(channel, try, io);
        } else if (moved < 0)
                loop_failure_told(&channel->failure);
        loop_leave(loop);
        return moved;
}

/* Opening and closing --------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_channel *channel = container_of(grave, ferry_channel, grave);

        error_deinit(&channel->error);
        sys_free(channel->interface);
        sys_free(channel->address);
        sys_free(channel);
}

void channel_buried(ferry_channel *channel)
{
        list_remove(&channel->member.link);
        loop_bury(channel->loop, &channel->grave, bury);
}

static void free_channel(ferry_channel *channel)
{
        bool is_foreign = loop_is_foreign(channel->loop);

        if (channel->phase == CHANNEL_FREED)
                return;
        if (!is_foreign)
                loop_source_set(&channel->source, 0);
        loop_failure_told(&channel->failure);
        channel_set_phase(channel, CHANNEL_FREED);
        if (!channel->is_prepared || !channel->kind->close(channel, is_foreign))
                channel_buried(channel);
}

static void close_member(struct loop_member *member)
{
        free_channel(container_of(member, ferry_channel, member));
}

/* What is still closed in the background ends now. */
static void free_member(struct loop_member *member)
{
        ferry_channel *channel = container_of(member, ferry_channel, member);

        if (channel->phase != CHANNEL_FREED) {
                free_channel(channel);
                return;
        }
        channel->kind->close(channel, true);
        channel_buried(channel);
}

static ferry_channel *channel_new(ferry_loop *loop, const struct channel_kind *kind, const char *address,
                                  enum ferry_channel_end end)
{
        ferry_channel *channel = sys_alloc_zeroed(kind ? kind->size : sizeof *channel);

        if (!channel)
                return NULL;
        channel->address = text_copy(address);
        if (!channel->address) {
                sys_free(channel);
                return NULL;
        }
        channel->kind = kind;
        channel->loop = loop;
        channel->end = end;
        channel->peer = (ferry_peer){ .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        channel->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = source_is_ready };
        channel->member.close = close_member;
        channel->member.free = free_member;
        list_init(&channel->waits);
        list_init(&channel->member.link);
        return channel;
}

ferry_channel *channel_new_client(ferry_channel *listener, const char *address)
{
        ferry_channel *client = channel_new(listener->loop, listener->kind, address, FERRY_SEND);

        if (!client)
                return NULL;
        client->options = listener->options;
        client->options.interface = NULL;
        client->record_max = listener->record_max;
        client->is_prepared = true;
        list_append(&listener->loop->members, &client->member.link);
        return client;
}

int channel_set_address(ferry_channel *channel, const char *text)
{
        char *address = text_copy(text);

        if (!address)
                return channel_error(channel, -ENOMEM, "no memory for an address");
        sys_free(channel->address);
        channel->address = address;
        return 0;
}

static int copy_options(ferry_channel *channel, const ferry_channel_options *options)
{
        static const struct options_kind kind = {
                .name = "ferry_channel_options", .size = sizeof *options,
                .times = { { "wait_ms", offsetof(ferry_channel_options, wait_ms), false } },
        };
        ferry_channel_options *copy = &channel->options;
        struct error error = { 0 };
        int code = options_copy(&kind, copy, options, &error);

        if (!code && copy->codec)
                code = options_check_size("ferry_codec", sizeof *copy->codec, copy->codec, &error);
        if (code)
                channel_error(channel, code, "%s: %s", channel->address, error_text(&error));
        error_deinit(&error);
        if (code)
                return code;
        if (channel->end != FERRY_SEND && channel->end != FERRY_RECEIVE)
                return channel_error(channel, -EINVAL, "%s: %d is neither FERRY_SEND nor FERRY_RECEIVE", channel->address,
                                     (int)channel->end);
        if (copy->multicast_ttl < 0 || copy->multicast_ttl > 255 || copy->mode > 0777)
                return channel_error(channel, -EINVAL, "%s: %s is out of range", channel->address,
                                     copy->mode > 0777 ? "mode" : "multicast_ttl");
        channel->deadline = copy->wait_ms ? loop_deadline(copy->wait_ms) : 0;
        copy->mode = copy->mode ? copy->mode : 0600;
        copy->codec = copy->codec ? copy->codec : ferry_codec_php();
        if (copy->interface && !(channel->interface = text_copy(copy->interface)))
                return channel_error(channel, -ENOMEM, "no memory for a channel");
        copy->interface = channel->interface;
        return 0;
}

static int open_channel(ferry_channel *channel, const char *text, const ferry_channel_options *options)
{
        int code = copy_options(channel, options);

        if (code)
                return code;
        if (loop_is_foreign(channel->loop))
                return channel_error(channel, -ECHILD, "the loop belongs to the parent of this process");
        if (channel->loop->is_ending)
                return channel_error(channel, -ECANCELED, "the loop is being freed");
        if (!channel->kind)
                return channel_error(channel, -EINVAL, "'%s' is not an address of a channel: write udp:HOST:PORT, udg:PATH,"
                                                       " tcp:HOST:PORT, unix:PATH, fifo:PATH, msgq:PATH or mqueue:NAME",
                                                       channel->address);
        channel->is_prepared = true;
        code = channel->kind->open(channel, text);
        /* What the kernel lacks is not what a program can wait for. */
        if (code == -EAGAIN || code == -ENOBUFS)
                return channel_error(channel, -ENOMEM, "cannot open '%s': %s", channel->address, error_describe(code));
        if (code && code != channel->error.code)
                code = channel_error(channel, code, "cannot open '%s': %s", channel->address, error_describe(code));
        return code;
}

ferry_channel *ferry_channel_open(ferry_loop *loop, const char *address, enum ferry_channel_end end,
                                  const ferry_channel_options *options)
{
        const char *text = NULL;
        const struct channel_kind *kind = channel_find_kind(address, &text);
        ferry_channel *channel = loop && !loop_is_elsewhere(loop) ? channel_new(loop, kind, address ? address : "", end) : NULL;

        if (!channel)
                return NULL;
        list_append(&loop->members, &channel->member.link);
        if (open_channel(channel, text, options) == 0)
                return channel;
        channel_set_phase(channel, CHANNEL_FAILED);
        if (!loop_is_foreign(loop))
                loop_failure_add(loop, &channel->failure, &channel->error);
        return channel;
}

ferry_channel *ferry_channel_free(ferry_channel *channel)
{
        if (channel && !loop_is_elsewhere(channel->loop))
                free_channel(channel);
        return NULL;
}

/* Sending and receiving ------------------------------------------------------------------------------- */

static ssize_t send_io(ferry_channel *channel, struct channel_io *io, int timeout_ms)
{
        int code;

        if (!channel->kind->send)
                return unsupported(channel, "send from this end");
        io->is_sending = true;
        code = channel_check_size(channel, io->size);
        return code ? code : transfer(channel, channel->kind->send, io, timeout_ms);
}

static ssize_t receive_io(ferry_channel *channel, struct channel_io *io, int timeout_ms)
{
        if (!channel->kind->receive)
                return unsupported(channel, "receive at this end");
        if (!channel->kind->is_records && io->size == 0)
                return channel_error(channel, -EINVAL, "%s: a buffer of 0 bytes cannot receive any", channel->address);
        return transfer(channel, channel->kind->receive, io, timeout_ms);
}

/* Bytes go on until all have left; records leave whole. */
ssize_t ferry_channel_send(ferry_channel *channel, const void *bytes, size_t size, int timeout_ms)
{
        struct channel_io io = { .bytes = bytes, .size = size };
        int64_t deadline;
        ssize_t put;
        size_t sent;
        int code = check(channel);

        if (code)
                return code;
        io.type = channel->kind->first_type;
        put = send_io(channel, &io, timeout_ms);
        if (put < 0 || (size_t)put == size)
                return put;
        deadline = io.deadline ? io.deadline : loop_deadline(timeout_ms);
        loop_enter(channel->loop);
        for (sent = (size_t)put; sent < size && put > 0; sent += put > 0 ? (size_t)put : 0) {
                io = (struct channel_io){ .bytes = (const char *)bytes + sent, .size = size - sent, .deadline = deadline };
                put = channel->kind->send(channel, &io);
                if (put == -EAGAIN && timeout_ms != 0)
                        put = go_on(channel, channel->kind->send, &io);
        }
        loop_leave(channel->loop);
        return (ssize_t)sent;
}

ssize_t ferry_channel_receive(ferry_channel *channel, void *buffer, size_t size, int timeout_ms)
{
        struct channel_io io = { .buffer = buffer, .size = size };
        int code = check(channel);

        return code ? code : receive_io(channel, &io, timeout_ms);
}

ssize_t ferry_channel_send_to(ferry_channel *channel, const char *address, const void *bytes, size_t size, int timeout_ms)
{
        struct channel_destination to;
        struct channel_io io = { .bytes = bytes, .size = size, .to = &to };
        const char *text = NULL;
        ferry_loop *loop;
        ssize_t put;
        int code = check(channel);

        if (code)
                return code;
        loop = channel->loop;
        if (!channel->kind->find)
                return unsupported(channel, "send to other addresses");
        if (channel_find_kind(address, &text) != channel->kind)
                return channel_error(channel, -EINVAL, "'%s' is not an address of the kind %s:", address ? address : "NULL",
                                     channel->kind->name);
        to.fd = -1;
        loop_enter(loop);
        code = channel->kind->find(channel, text, &to);
        put = code ? code : send_io(channel, &io, timeout_ms);
        if (to.fd >= 0)
                sys_close(to.fd);
        loop_leave(loop);
        return put;
}

ssize_t ferry_channel_reply(ferry_channel *channel, const void *bytes, size_t size, int timeout_ms)
{
        struct channel_destination to;
        struct channel_io io = { .bytes = bytes, .size = size, .to = &to };
        int code = check(channel);

        if (code)
                return code;
        if (!channel->kind->answer)
                return unsupported(channel, "answer a record");
        to.fd = -1;
        code = channel->kind->answer(channel, &to);
        return code ? code : send_io(channel, &io, timeout_ms);
}

const char *ferry_channel_sender(ferry_channel *channel)
{
        return channel && !loop_is_elsewhere(channel->loop) && channel->kind && channel->kind->sender ? channel->kind->sender(channel) : "";
}

ferry_peer ferry_channel_peer(const ferry_channel *channel)
{
        return channel && !loop_is_elsewhere(channel->loop) ? channel->peer : (ferry_peer){ .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
}

ssize_t ferry_channel_send_typed(ferry_channel *channel, long type, const void *bytes, size_t size, int timeout_ms)
{
        struct channel_io io = { .bytes = bytes, .size = size, .type = type };
        int code = check(channel);

        if (code)
                return code;
        if (channel->kind->first_type < 0)
                return unsupported(channel, "send types");
        return send_io(channel, &io, timeout_ms);
}

ssize_t ferry_channel_receive_typed(ferry_channel *channel, long type, long *ret_type, void *buffer, size_t size,
                                    int timeout_ms)
{
        struct channel_io io = { .buffer = buffer, .size = size, .type = type };
        int code = check(channel);
        ssize_t got;

        if (code)
                return code;
        if (channel->kind->first_type < 0)
                return unsupported(channel, "receive types");
        got = receive_io(channel, &io, timeout_ms);
        if (got >= 0 && ret_type)
                *ret_type = io.type;
        return got;
}

/* Values ---------------------------------------------------------------------------------------------- */

/* A codec of the program may free the channel or its loop; what is left of them stays until the loop is left. */
static bool is_gone(const ferry_channel *channel)
{
        return channel->phase == CHANNEL_FREED || channel->loop->is_freed;
}

static int encode(ferry_channel *channel, struct buffer *buffer, const ferry_value *value)
{
        char reason[96] = "";
        int code = codec_encode(channel->options.codec, value, buffer, channel->record_max, reason);

        if (is_gone(channel))
                return -ECANCELED;
        if (code == -EMSGSIZE)
                return channel_error(channel, code, "%s: the value takes more than the limit of %zu bytes", channel->address,
                                     channel->record_max);
        return code ? channel_error(channel, code, "%s: cannot write the value in %s: %s", channel->address,
                                    channel->options.codec->name, *reason ? reason : error_describe(code)) : 0;
}

static int encode_template(ferry_channel *channel, struct buffer *buffer, const char *format, va_list arguments)
{
        struct brief brief;
        const ferry_value *value;
        int code;

        error_deinit(&channel->error);
        value = brief_build(&brief, channel->options.codec, format, arguments, &channel->error);
        code = value ? encode(channel, buffer, value) : channel->error.code;
        brief_deinit(&brief);
        return code;
}

int ferry_channel_send_value(ferry_channel *channel, long type, int timeout_ms, const char *format, ...)
{
        struct buffer buffer = { 0 };
        struct channel_io io = { 0 };
        int code = check(channel);
        ferry_loop *loop;
        va_list arguments;
        ssize_t put;

        if (code)
                return code;
        if (!channel->kind->is_records)
                return unsupported(channel, "send values, which need records");
        if (type != 0 && channel->kind->first_type < 0)
                return unsupported(channel, "send types");
        loop = channel->loop;
        loop_enter(loop);
        va_start(arguments, format);
        code = encode_template(channel, &buffer, format, arguments);
        va_end(arguments);
        io = (struct channel_io){ .bytes = buffer_bytes(&buffer), .size = buffer_size(&buffer),
                                  .type = type ? type : channel->kind->first_type };
        put = code ? code : send_io(channel, &io, timeout_ms);
        buffer_deinit(&buffer);
        loop_leave(loop);
        return put < 0 ? (int)put : 0;
}

int ferry_channel_send_value_value(ferry_channel *channel, long type, int timeout_ms, const ferry_value *value)
{
        return ferry_channel_send_value(channel, type, timeout_ms, "%p", ferry_arg(value));
}

int ferry_channel_receive_value(ferry_channel *channel, long type, int timeout_ms, long *ret_type, ferry_value **ret_value)
{
        struct channel_io io = { .type = type };
        int code = check(channel);
        size_t offset = 0;
        ferry_loop *loop;
        ssize_t got;

        *ret_value = NULL;
        if (code)
                return code;
        if (!channel->kind->is_records)
                return unsupported(channel, "receive values, which need records");
        if (type != 0 && channel->kind->first_type < 0)
                return unsupported(channel, "receive types");
        io.size = channel->receive_max ? channel->receive_max : channel->record_max == SIZE_MAX ? 0 : channel->record_max;
        io.buffer = sys_alloc(io.size + 1);
        if (!io.buffer)
                return channel_error(channel, -ENOMEM, "%s: no memory for a record", channel->address);
        loop = channel->loop;
        loop_enter(loop);
        got = receive_io(channel, &io, timeout_ms);
        code = got < 0 ? (int)got : codec_decode(channel->options.codec, io.buffer, (size_t)got, ret_value, &offset);
        if (got >= 0 && is_gone(channel)) {
                *ret_value = ferry_value_unref(*ret_value);
                code = -ECANCELED;
                got = code;
        }
        if (got >= 0 && ret_type)
                *ret_type = io.type;
        if (got >= 0 && (code == -EAGAIN || code == -EBADMSG))
                code = channel_error(channel, -EBADMSG, "%s: the record is not a value in %s: it is wrong at byte %zu of %zu",
                                     channel->address, channel->options.codec->name, offset, (size_t)got);
        else if (got >= 0 && code)
                channel_error(channel, code, "%s: cannot read the value: %s", channel->address, error_describe(code));
        loop_leave(loop);
        sys_free(io.buffer);
        return code;
}

/* What some kinds can do ------------------------------------------------------------------------------ */

struct accepting {
        struct channel_io io;
        ferry_channel *client;
};

static ssize_t try_accept(ferry_channel *channel, struct channel_io *io)
{
        return channel->kind->accept(channel, io, &container_of(io, struct accepting, io)->client);
}

ferry_channel *ferry_channel_accept(ferry_channel *channel, int timeout_ms)
{
        struct accepting accepting = { .io = { .lack = "no client has connected" } };
        ferry_channel *failed;
        int code;

        if (!channel || loop_is_elsewhere(channel->loop))
                return NULL;
        code = check(channel);
        if (!code)
                code = channel->kind->accept ? (int)transfer(channel, try_accept, &accepting.io, timeout_ms) :
                                               unsupported(channel, "accept connections");
        if (!code)
                return accepting.client;
        if (code == -ECANCELED)
                return NULL;
        failed = channel_new(channel->loop, channel->kind, channel->address, FERRY_SEND);
        if (!failed)
                return NULL;
        list_append(&channel->loop->members, &failed->member.link);
        channel_error(failed, code, "%s", error_text(&channel->error));
        channel_set_phase(failed, CHANNEL_FAILED);
        return failed;
}

int ferry_channel_shutdown(ferry_channel *channel)
{
        int code = check(channel);

        if (code)
                return code;
        return channel->kind->shutdown ? channel->kind->shutdown(channel) : unsupported(channel, "end one direction");
}

int ferry_channel_detach(ferry_channel *channel)
{
        int code = check(channel);

        if (code)
                return code;
        code = channel->kind->detach ? channel->kind->detach(channel) : unsupported(channel, "give its descriptor away");
        if (code >= 0)
                free_channel(channel);
        return code;
}

static int set_group(ferry_channel *channel, const char *group, const char *interface, bool is_joining)
{
        int code = check(channel);

        if (code)
                return code;
        return channel->kind->group ? channel->kind->group(channel, group, interface, is_joining) :
                                      unsupported(channel, "join multicast groups");
}

int ferry_channel_join(ferry_channel *channel, const char *group, const char *interface)
{
        return set_group(channel, group, interface, true);
}

int ferry_channel_leave(ferry_channel *channel, const char *group, const char *interface)
{
        return set_group(channel, group, interface, false);
}

int ferry_channel_limit(ferry_channel *channel, unsigned mode, size_t bytes_max)
{
        int code = check(channel);

        if (code)
                return code;
        return channel->kind->limit ? channel->kind->limit(channel, mode, bytes_max) : unsupported(channel, "be limited");
}

int ferry_channel_remove(ferry_channel *channel)
{
        int code = check(channel);

        if (code)
                return code;
        return channel->kind->remove ? channel->kind->remove(channel) : unsupported(channel, "be removed: it goes by itself");
}

/* What is known --------------------------------------------------------------------------------------- */

int ferry_channel_fd(const ferry_channel *channel)
{
        if (!channel)
                return -ENOMEM;
        if (loop_is_elsewhere(channel->loop))
                return -EPERM;
        if (channel->phase == CHANNEL_FAILED)
                return channel->error.code;
        if (channel->source.fd >= 0)
                return channel->source.fd;
        return channel->kind->is_unpollable ? -EOPNOTSUPP : -ENOTCONN;
}

size_t ferry_channel_record_max(const ferry_channel *channel)
{
        if (!channel || loop_is_elsewhere(channel->loop) || channel->phase >= CHANNEL_FAILED)
                return 0;
        return channel->end == FERRY_RECEIVE && channel->receive_max ? channel->receive_max : channel->record_max;
}

const char *ferry_channel_address(const ferry_channel *channel)
{
        return channel && !loop_is_elsewhere(channel->loop) ? channel->address : "";
}

int ferry_channel_status(const ferry_channel *channel)
{
        if (!channel)
                return -ENOMEM;
        if (loop_is_elsewhere(channel->loop))
                return -EPERM;
        if (loop_is_foreign(channel->loop))
                return -ECHILD;
        return channel->phase == CHANNEL_FAILED ? channel->error.code : channel->phase == CHANNEL_OPEN;
}

const char *ferry_channel_error(const ferry_channel *channel)
{
        if (!channel)
                return "no memory for a channel";
        if (loop_is_elsewhere(channel->loop))
                return loop_elsewhere;
        return error_text(&channel->error);
}

/* Waiting for another end ----------------------------------------------------------------------------- */

struct waiting {
        struct retry_look look;
        const struct channel_kind *kind;
        const char *text;
};

static int look(struct retry_look *look, enum retry_hope *ret_hope)
{
        const struct waiting *waiting = container_of(look, const struct waiting, look);

        return waiting->kind->look(waiting->text, ret_hope);
}

int ferry_channel_wait(ferry_loop *loop, const char *address, int timeout_ms)
{
        struct waiting waiting = { 0 };
        int scheme = ferry_address_scheme(address), code;

        waiting.kind = channel_find_kind(address, &waiting.text);
        if (!loop)
                return -ENOMEM;
        code = loop_refuse(loop);
        if (code)
                return code;
        if (timeout_ms < -1)
                return loop_refuse_timeout(loop, timeout_ms);
        if (!address)
                return error_replace(&loop->error, -EINVAL, "cannot wait for a channel: the address is NULL");
        if (scheme < 0 || !waiting.kind)
                return error_replace(&loop->error, scheme < 0 ? scheme : -EINVAL, "cannot wait for '%s': %s", address,
                                     scheme == -ENAMETOOLONG ? "its path or name is too long" : "it is not the address of a channel");
        retry_look_init(&waiting.look, loop, waiting.kind->is_in_files ? waiting.text : NULL, NULL, look);
        code = retry_look_wait(&waiting.look, address, timeout_ms);
        return code == -ENOBUFS ? -ENOMEM : code;
}
