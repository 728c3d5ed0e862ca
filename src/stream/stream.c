/* What all streams share: their place in the loop, reading, writing, ending. Invariants: a stream that has reported
 * its end reports nothing more but that it has closed; what can be read is read before the end is reported, whatever
 * has happened to the other direction.
 *
 *      ALIVE → ENDED → CLOSING → CLOSED → FREED
 *
 * A stream may be closed before it has ended, and freed at any time. */
#include "stream/moved.h"
#include "stream/replaced.h"
#include "stream/secure.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
        LAST_READS = 64,
        SENTENCE_MAX = 2048,    /* with the last words of a child */
};

static void advance(struct stream *stream, enum stream_phase phase)
{
        if (stream->phase < phase)
                stream->phase = phase;
}

static bool is_out_shared(const struct stream *stream)
{
        return stream->output.fd >= 0 && stream->output.fd == stream->inputs[0].fd;
}

/* Bring what the loop waits for up to date. */
static int update(struct stream *stream)
{
        bool wants_write = stream->is_open && stream->wants_write && stream->output.way != ENDPOINT_NONE &&
                           !stream->output_error;
        int error = 0;

        for (int i = 0; i < STREAM_INPUTS && !error; i++) {
                bool wants_read = stream->is_open && stream->wants_read && !stream->is_input_ended[i] &&
                                  stream->inputs[i].way != ENDPOINT_NONE;
                uint32_t events = wants_read ? EPOLLIN : 0;

                if (i == 0 && wants_write && is_out_shared(stream))
                        events |= EPOLLOUT;
                if (i == 0 && stream->moved)
                        events = moved_events(stream->moved, wants_read, wants_write);
                if (i == 0 && stream->secure)
                        events = secure_events(stream->secure, wants_read, wants_write);
                error = loop_source_set(&stream->in_sources[i], events);
        }
        if (!error && !is_out_shared(stream))
                error = loop_source_set(&stream->out_source, wants_write ? EPOLLOUT : 0);
        return error;
}

static void update_or_end(struct stream *stream)
{
        int error = stream->phase == STREAM_FREED ? 0 : update(stream);

        if (error < 0 && error != -ECHILD)
                stream_end(stream, error, "cannot watch the descriptor: %s", error_describe(error));
}

void stream_update(struct stream *stream)
{
        update_or_end(stream);
}

void stream_end(struct stream *stream, int code, const char *format, ...)
{
        char sentence[SENTENCE_MAX];
        va_list arguments;

        if (stream->phase >= STREAM_ENDED)
                return;
        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        advance(stream, STREAM_ENDED);
        stream->is_input_ended[0] = stream->is_input_ended[1] = true;
        loop_timer_stop(stream->loop, &stream->linger);
        update(stream);
        stream->owner->ended(stream, code, sentence);
}

/* What the second descriptor still has, but not for ever: another process may write there. */
static void read_second(struct stream *stream)
{
        struct pollfd poll = { .fd = stream->inputs[1].fd, .events = POLLIN };

        for (int i = 0; i < LAST_READS && stream->inputs[1].way != ENDPOINT_NONE; i++) {
                if (stream->phase >= STREAM_ENDED || stream->is_input_ended[1] || !stream->wants_read ||
                    sys_poll(&poll, 1, 0) <= 0)
                        return;
                stream->owner->readable(stream);
        }
}

int stream_explain_failed_write(int put, struct error *error)
{
        if (put == -EPIPE || put == -ECONNRESET)
                return error_set(error, -ECONNRESET, "the other side reads no more");
        if (put == -EBADMSG)
                return error_set(error, -EBADMSG, "the other side has written wrong numbers into the shared memory");
        return error_set(error, -ECONNRESET, "writing failed: %s", error_describe(put));
}

static void end_in_order(struct stream *stream)
{
        struct error error = { 0 };

        read_second(stream);
        if (stream->phase >= STREAM_ENDED)
                return;
        if (stream->kind->end)
                stream->kind->end(stream);
        else if (stream->output_error) {
                stream_explain_failed_write(stream->output_error, &error);
                stream_end(stream, error.code, "%s", error_text(&error));
        } else
                stream_end(stream, 0, "the other side has closed the connection");
        error_deinit(&error);
}

/* The main input has ended. */
static void input_ended(struct stream *stream)
{
        if (stream->kind->input_ended && stream->kind->input_ended(stream))
                update_or_end(stream);
        else
                end_in_order(stream);
}

/* A peer that has closed its side because it ends is not done with that at once; how it ends is what explains the rest. */
static bool child_is_exiting(const struct stream *stream)
{
        pid_t child = stream->kind->child ? stream->kind->child(stream) : 0;

        return child > 0 && sys_is_exiting(child) > 0;
}

static void linger_is_over(struct loop_timer *timer)
{
        struct stream *stream = container_of(timer, struct stream, linger);

        if (child_is_exiting(stream))
                return;
        /* What its owner does not want to read yet is not lost: it is waited for. */
        stream->is_linger_put_off = !stream->wants_read && stream_has_input(stream);
        if (!stream->is_linger_put_off && stream_drain(stream))
                end_in_order(stream);
}

int stream_read_peer(struct stream *stream)
{
        struct ucred peer;
        int error = sys_get_socket_option(stream->inputs[0].fd, SO_PEERCRED, &peer, sizeof peer);

        if (error)
                return error;
        /* By tcp: so the kernel says that it does not know. */
        if (peer.uid == (uid_t)-1)
                return 0;
        /* The pid is 0 for a process of another namespace; the user holds there, too. */
        stream->peer = (ferry_peer){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
        stream->is_peer_known = stream->is_unix = true;
        return 0;
}

static void in_is_ready(struct stream *stream, uint32_t events)
{
        bool can_write = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && stream->wants_write;
        int code = stream->moved ? moved_hear(stream->moved, events) : 0;

        if (code) {
                stream_end(stream, code, "the other side has written to the socket beside its shared memory");
                return;
        }
        if (stream->moved)
                can_write = stream->wants_write && moved_can_write(stream->moved, events);
        if (stream->secure) {
                if (!secure_hear(stream->secure))
                        return;
                can_write = stream->wants_write && secure_can_write(stream->secure);
        }
        if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) && stream->wants_read)
                stream->owner->readable(stream);
        if (can_write && stream->phase < STREAM_CLOSING)
                stream->owner->writable(stream);
}

static void first_is_ready(struct loop_source *source, uint32_t events)
{
        in_is_ready(container_of(source, struct stream, in_sources[0]), events);
}

static void second_is_ready(struct loop_source *source, uint32_t events)
{
        in_is_ready(container_of(source, struct stream, in_sources[1]), events);
}

static void out_is_ready(struct loop_source *source, uint32_t events)
{
        struct stream *stream = container_of(source, struct stream, out_source);

        (void)events;
        stream->owner->writable(stream);
}

void stream_init(struct stream *stream, const struct stream_kind *kind, const struct stream_place *place)
{
        ferry_loop *loop = place->loop;

        stream->kind = kind;
        stream->loop = loop;
        stream->owner = place->owner;
        stream->object = place->object;
        stream->peer = (ferry_peer){ .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        stream->linger.fn = linger_is_over;
        stream->output = (struct endpoint){ .fd = -1, .io = -1 };
        for (int i = 0; i < STREAM_INPUTS; i++) {
                stream->inputs[i] = stream->output;
                stream->in_sources[i] = (struct loop_source){
                        .loop = loop, .fd = -1, .fn = i == 0 ? first_is_ready : second_is_ready
                };
        }
        stream->out_source = (struct loop_source){ .loop = loop, .fd = -1, .fn = out_is_ready };
}

int stream_start(struct stream *stream)
{
        for (int i = 0; i < STREAM_INPUTS; i++)
                stream->in_sources[i].fd = stream->inputs[i].fd;
        stream->out_source.fd = stream->output.fd;
        stream->is_open = true;
        return update(stream);
}

bool stream_come_up(struct stream *stream, int *code)
{
        if (!*code)
                *code = stream_start(stream);
        if (*code)
                return false;
        stream->owner->opened(stream);
        return true;
}

void stream_fail(struct stream *stream, int code, struct error *error)
{
        stream_end(stream, code, "%s", error_text(error));
        error_deinit(error);
}

ssize_t stream_read(struct stream *stream, int input, void *buffer, size_t size)
{
        ssize_t got;

        if (stream->inputs[input].way == ENDPOINT_NONE || stream->is_input_ended[input] ||
            loop_is_foreign(stream->loop))
                return 0;
        if (input == 0 && stream->secure)
                got = secure_read(stream->secure, buffer, size);
        else if (input == 0 && stream->moved && stream->moved->input == MOVED_RING)
                got = moved_read(stream->moved, buffer, size);
        else if (input == 0 && stream->replacing != REPLACING_NEVER)
                got = replaced_receive(stream, buffer, size);
        else if (input == 0 && stream->passed_below > 0)
                got = passing_receive(&stream->passing, stream->inputs[0].io, stream->passed_below, buffer, size);
        else
                got = endpoint_read(&stream->inputs[input], buffer, size);
        if (got > 0) {
                stream->taken += input == 0 ? (uint64_t)got : 0;
                return got;
        }
        if (got == -EAGAIN)
                return 0;
        stream->is_input_ended[input] = true;
        if (got < 0 && input == 0 && stream->secure) {
                stream_end(stream, (int)got, "the connection by TLS is lost: %s", stream->secure->why);
                return got;
        }
        /* Closed with bytes of ours unread: to us it is the end all the same. */
        if (got == -ECONNRESET) {
                stream->input_error = (int)got;
                got = 0;
        }
        if (got == 0 && input == 0)
                input_ended(stream);
        else if (got == 0)
                update_or_end(stream);
        else if (got == -EBADMSG)
                stream_end(stream, (int)got, "the other side has written wrong numbers into the shared memory");
        else
                stream_end(stream, (int)got, "reading failed: %s", error_describe((int)got));
        return got;
}

void stream_fail_output(struct stream *stream, int put)
{
        stream->output_error = put;
        update(stream);
        /* What the other side has still sent is read first; its end says more than our error. */
        if (stream_has_input(stream))
                loop_timer_start(stream->loop, &stream->linger,
                                 loop_deadline(put == -EPIPE || put == -ECONNRESET ? STREAM_LINGER_MS : 0));
        /* The exit of a child, which is waited for, explains it. */
        else if (!stream_is_ending(stream))
                stream_end(stream, put == -EPIPE ? -ECONNRESET : put, "writing failed: %s", error_describe(put));
}

ssize_t stream_write_with(struct stream *stream, const void *bytes, size_t size, const int *fds, size_t count)
{
        struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };

        if (!stream->is_unix || (stream->moved && !moved_writes_socket(stream->moved)) || count > PASSED_MAX)
                return -EOPNOTSUPP;
        return passing_send(stream->output.io, &piece, 1, fds, count);
}

/* One after the other, as far as they are taken whole. */
static ssize_t write_moved(struct stream *stream, struct iovec *slices, int count)
{
        ssize_t all = 0, put;

        for (int i = 0; i < count && stream->moved; i++) {
                put = moved_write(stream->moved, slices[i].iov_base, slices[i].iov_len);
                if (put < 0)
                        return all > 0 ? all : put;
                all += put;
                if ((size_t)put < slices[i].iov_len)
                        break;
        }
        return all;
}

ssize_t stream_write(struct stream *stream, struct iovec *slices, int count)
{
        ssize_t put;

        if (!stream->is_open || stream->output.way == ENDPOINT_NONE)
                return stream->is_open ? -EBADF : 0;
        if (loop_is_foreign(stream->loop))
                return -ECHILD;
        if (stream->output_error)
                return stream->output_error;
        if (stream->replacing == REPLACING_EXPECTED)
                stream->replacing = REPLACING_MISSED;
        put = stream->secure ? secure_write(stream->secure, slices, count) :
              stream->moved && !moved_writes_socket(stream->moved) ? write_moved(stream, slices, count) :
                                                                     endpoint_write(&stream->output, slices, count);
        if (put >= 0 || (put == -ETOOMANYREFS && stream_keeps_offer(stream)))
                return put;
        if (put == -EAGAIN)
                return 0;
        stream_fail_output(stream, (int)put);
        return put;
}

bool stream_passes(const struct stream *stream)
{
        if (!stream->is_open)
                return stream->kind->is_unix;
        return stream->is_unix && stream->inputs[0].way == ENDPOINT_SOCKET && stream->output.way == ENDPOINT_SOCKET &&
               stream->output.fd == stream->inputs[0].fd;
}

void stream_expect_passed(struct stream *stream, int below)
{
        stream->passed_below = below;
}

struct passed *stream_take_passed(struct stream *stream)
{
        if (stream->moved && !passing_has(stream->passing))
                moved_fetch_passed(stream->moved);
        return passing_take(stream->passing);
}

ssize_t stream_write_passing(struct stream *stream, struct iovec *slices, int count, const int *fds, size_t fd_count,
                             bool *ret_has_passed)
{
        ssize_t put;

        *ret_has_passed = false;
        if (loop_is_foreign(stream->loop))
                return -ECHILD;
        if (stream->output_error)
                return stream->output_error;
        if (stream->moved && stream->moved->output == MOVED_RING) {
                put = moved_pass(stream->moved, fds, fd_count);
                *ret_has_passed = put == 0;
                if (put == 0)
                        put = write_moved(stream, slices, count);
        } else {
                put = passing_send(stream->output.io, slices, count, fds, fd_count);
                *ret_has_passed = put > 0;
        }
        if (put >= 0 || put == -ETOOMANYREFS)
                return put;
        if (put == -EAGAIN)
                return 0;
        stream_fail_output(stream, (int)put);
        return put;
}

/* What the kernel counts for bytes is more than the bytes. It reports that it can take something when three quarters of the
 * room are free: then there must be room for a frame, or we would ask in vain again and again. */
static size_t cost(size_t size)
{
        return size + size / 4 + 4096;
}

size_t stream_make_room(struct stream *stream, size_t size)
{
        int wanted = size < INT_MAX / 4 ? (int)size * 2 : INT_MAX / 2, room = 0;
        size_t most;

        if (stream->output.way != ENDPOINT_SOCKET ||
            sys_get_socket_option(stream->output.io, SO_SNDBUF, &room, sizeof room) < 0)
                return size;
        if (room < wanted * 2)
                sys_set_socket_option(stream->output.io, SOL_SOCKET, SO_SNDBUF, wanted);
        if (sys_get_socket_option(stream->output.io, SO_SNDBUF, &room, sizeof room) < 0)
                return size;
        stream->room = room;
        most = (size_t)room / 4 * 3 > 8192 ? ((size_t)room / 4 * 3 - 4096) / 5 * 4 : 1024;
        return size < most ? size : most;
}

bool stream_has_room(const struct stream *stream, size_t size)
{
        int sent = stream->room ? sys_count_sent(stream->output.io) : 0;

        return sent <= 0 || (size_t)sent + cost(size) <= (size_t)stream->room;
}

int stream_count_input(const struct stream *stream, int input)
{
        const struct endpoint *endpoint = &stream->inputs[input];

        if (stream->phase == STREAM_FREED || endpoint->way == ENDPOINT_NONE || stream->is_input_ended[input])
                return 0;
        if (input == 0 && stream->moved)
                return (int)moved_count(stream->moved);
        if (stream->secure)
                return -EOPNOTSUPP;
        return endpoint->way == ENDPOINT_PROGRAM ? -EOPNOTSUPP : sys_count_input(endpoint->fd);
}

bool stream_is_readable(const struct stream *stream)
{
        struct pollfd polls[STREAM_INPUTS];

        if (stream->phase >= STREAM_ENDED)
                return false;
        if (stream->moved)
                return !stream->is_input_ended[0] && moved_can_read(stream->moved);
        if (stream->secure && !stream->is_input_ended[0] && secure_has_input(stream->secure))
                return true;
        for (int i = 0; i < STREAM_INPUTS; i++)
                polls[i] = (struct pollfd){ .fd = stream->is_input_ended[i] ? -1 : stream->inputs[i].fd, .events = POLLIN };
        return sys_poll(polls, STREAM_INPUTS, 0) > 0;
}

bool stream_drain(struct stream *stream)
{
        int count = stream_count_input(stream, 0);
        uint64_t all = stream->taken + (uint64_t)(count > 0 ? count : 1);

        /* Another process may write there for ever. */
        while (stream->phase < STREAM_ENDED && stream->taken < all && !stream->is_input_ended[0] &&
               stream->wants_read && !loop_is_foreign(stream->loop)) {
                struct pollfd poll = { .fd = stream->inputs[0].fd, .events = POLLIN };

                if (stream->inputs[0].way == ENDPOINT_NONE ||
                    (stream->moved ? !moved_can_read(stream->moved) : sys_poll(&poll, 1, 0) <= 0))
                        break;
                stream->owner->readable(stream);
        }
        return stream->phase < STREAM_ENDED;
}

void stream_change_reading(struct stream *stream, bool wants)
{
        if (stream->phase >= STREAM_ENDED)
                return;
        stream->wants_read = wants;
        if (wants && stream->is_linger_put_off)
                loop_timer_start(stream->loop, &stream->linger, loop_deadline(STREAM_LINGER_MS));
        stream->is_linger_put_off = false;
        if (wants && stream->moved)
                moved_look(stream->moved);
        if (wants && stream->secure)
                secure_look(stream->secure);
        update_or_end(stream);
}

void stream_change_writing(struct stream *stream, bool wants)
{
        if (stream->phase >= STREAM_CLOSING)
                return;
        stream->wants_write = wants;
        if (wants && stream->moved)
                moved_look(stream->moved);
        update_or_end(stream);
}

bool stream_expects_close(const struct stream *stream)
{
        return !stream->kind->ends_in_order && stream->output.way != ENDPOINT_NONE;
}

int stream_spoken(const struct stream *stream)
{
        return stream->kind->spoken ? stream->kind->spoken(stream) : 0;
}

bool stream_is_read(const struct stream *stream)
{
        struct pollfd poll = { .fd = stream->output.fd };

        return stream->output.way != ENDPOINT_NONE && !stream->output_error &&
               (sys_poll(&poll, 1, 0) <= 0 || !(poll.revents & (POLLERR | POLLHUP)));
}

size_t stream_count_lost(const struct stream *stream)
{
        int count;

        if (stream->kind->is_unreached && stream->kind->is_unreached(stream))
                return SIZE_MAX;
        count = stream->output.is_pipe && !stream_is_read(stream) ? sys_count_input(stream->output.io) : 0;
        return count > 0 ? (size_t)count : 0;
}

bool stream_is_one_way(const struct stream *stream)
{
        return stream->is_only_written || (stream->is_open && stream->inputs[0].way == ENDPOINT_NONE);
}

bool stream_hears_child(const struct stream *stream)
{
        return stream->phase == STREAM_CLOSING && stream->kind->child;
}

int stream_exit_status(const struct stream *stream)
{
        return stream->kind->exit_status ? stream->kind->exit_status(stream) : -ECHILD;
}

bool stream_is_only_written(const struct stream *stream)
{
        return stream->is_only_written || (stream->is_open && !stream_has_input(stream));
}

bool stream_is_ending(const struct stream *stream)
{
        return stream->is_input_ended[0] && stream->phase < STREAM_ENDED;
}

void stream_close_output(struct stream *stream)
{
        bool is_closed = stream->moved && !loop_is_foreign(stream->loop) && moved_close_output(stream->moved);

        /* Other processes may have what a bridge has passed. */
        if (!is_closed && (is_out_shared(stream) || stream->replaced) && stream->output.way == ENDPOINT_SOCKET &&
            !stream->output_error) {
                if (stream->secure && !loop_is_foreign(stream->loop))
                        secure_end_output(stream->secure);
                else
                        sys_shutdown(stream->output.io, SHUT_WR);
        }
        stream->wants_write = false;
        update(stream);
        if (!is_out_shared(stream))
                loop_source_set(&stream->out_source, 0);
        endpoint_deinit(&stream->output);
        stream->out_source.fd = -1;
}

enum stream_hope stream_hope(const struct stream *stream)
{
        return stream->kind->hope && !loop_is_foreign(stream->loop) ? stream->kind->hope(stream) : HOPE_NONE;
}

int stream_open_next(struct stream *stream, int code, struct stream **ret_stream, struct error *error)
{
        return stream->kind->open_next(stream, code, ret_stream, error);
}

void stream_end_output(struct stream *stream)
{
        if (!is_out_shared(stream) && stream->output.way == ENDPOINT_SOCKET && !stream->output_error)
                sys_shutdown(stream->output.io, SHUT_WR);
        stream_close_output(stream);
}

int stream_secure(struct stream *stream, const struct wire_greeting *greeting, bool has_more, struct error *error)
{
        if (stream->kind->secure)
                return stream->kind->secure(stream, greeting, has_more, error);
        return greeting->is_tls_required ? error_set(error, -EOPNOTSUPP, "the server requires TLS, which only an address of NATS can speak") : 0;
}

int stream_prove(struct stream *stream, const char *nonce, struct wire_proof *ret, struct error *error)
{
        return nonce && stream->kind->prove ? stream->kind->prove(stream, nonce, ret, error) : 0;
}

size_t stream_proof_size(const struct stream *stream)
{
        return stream->kind->proof_size ? stream->kind->proof_size(stream) : 0;
}

void stream_forget_means(struct stream *stream)
{
        if (stream->kind->forget_means)
                stream->kind->forget_means(stream);
}

/* Let go of all descriptors. */
static void release(struct stream *stream, enum stream_phase phase)
{
        bool is_foreign = loop_is_foreign(stream->loop), is_released = stream->phase >= STREAM_CLOSED;

        advance(stream, phase);
        if (is_released)
                return;
        loop_timer_stop(stream->loop, &stream->linger);
        if (!is_foreign) {
                for (int i = 0; i < STREAM_INPUTS; i++)
                        loop_source_set(&stream->in_sources[i], 0);
                loop_source_set(&stream->out_source, 0);
        }
        if (stream->kind->release)
                stream->kind->release(stream, is_foreign);
        if (stream->moved)
                moved_free(stream->moved);
        stream->moved = NULL;
        if (stream->secure)
                secure_free(stream->secure);
        stream->secure = NULL;
        if (stream->passing)
                passing_free(stream->passing);
        stream->passing = NULL;
        replaced_free(stream, is_foreign);
        endpoint_deinit(&stream->output);
        for (int i = 0; i < STREAM_INPUTS; i++)
                endpoint_deinit(&stream->inputs[i]);
}

void stream_closed(struct stream *stream, int code, const char *format, ...)
{
        char sentence[SENTENCE_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        release(stream, STREAM_CLOSED);
        stream->owner->closed(stream, code, sentence);
}

void stream_close(struct stream *stream, int grace_ms)
{
        if (stream->phase >= STREAM_CLOSING)
                return;
        advance(stream, STREAM_CLOSING);
        loop_timer_stop(stream->loop, &stream->linger);
        stream->wants_read = false;
        stream_close_output(stream);
        update(stream);
        if (!stream->kind->close ||
            !stream->kind->close(stream, grace_ms < 0 ? INT64_MAX : (int64_t)grace_ms * 1000000))
                stream_closed(stream, 0, "this side closed the session");
}

static void bury(struct loop_grave *grave)
{
        sys_free(container_of(grave, struct stream, grave));
}

void stream_free(struct stream *stream)
{
        if (stream->phase == STREAM_FREED)
                return;
        release(stream, STREAM_FREED);
        loop_bury(stream->loop, &stream->grave, bury);
}
