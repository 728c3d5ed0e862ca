/* Moving to shared memory, and the two kinds of bytes on a socket meanwhile. Invariants: a side that wants to read, or to write
 * into a ring that is full, has said that it sleeps, or it is awake, which means that the loop looks before it sleeps; whatever
 * else may be done without an event is a task. The end of the socket is looked for before the rings are looked at, so all
 * that the other side has written is read. */
#include "stream/moved.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum {
        BYTES_LEFT_MAX = 3,
        LARGE = 1 << 15,                /* so many bytes at once are part of a large message … */
        LARGE_PATIENCE = 8,             /* … during which the loop looks for so many times as long … */
        LARGE_STEPS = 16,               /* … and for so many smaller reads and writes behind it */
};

/* The other side could not be woken, which is not known yet. */
static bool needs_look(const struct moved *moved)
{
        return (moved->duplex.owes_wake && !moved->duplex.is_mute && !(moved->events & EPOLLOUT)) ||
               (moved->duplex.wake_error && !moved->stream->output_error);
}

static void look(struct loop_task *task)
{
        struct moved *moved = container_of(task, struct moved, look);
        struct stream *stream = moved->stream;

        if (!moved->is_found || needs_look(moved))
                stream_update(stream);
        if (stream->phase < STREAM_ENDED && moved->duplex.wake_error && !stream->output_error)
                stream_fail_output(stream, moved->duplex.wake_error);
        if (stream->phase >= STREAM_ENDED)
                return;
        if (stream->wants_read && moved->input == MOVED_RING)
                stream->owner->readable(stream);
        if (stream->phase < STREAM_CLOSING && stream->moved == moved && stream->wants_write && moved_can_write(moved, 0))
                stream->owner->writable(stream);
}

/* Whether there is something to do now. A side that is about to sleep (@is_last) asks its peer to wake it for that. */
static bool is_ready(struct moved *moved, bool is_last)
{
        const struct stream *stream = moved->stream;
        struct ring_duplex *duplex = &moved->duplex;
        bool reads = stream->wants_read && !stream->is_input_ended[0] && moved->input == MOVED_RING;
        bool writes = stream->wants_write && !stream->output_error && moved->output == MOVED_RING && !moved->owes_passed;

        if ((reads || writes) && moved->is_peer_gone)
                return true;
        if (!is_last)
                return ring_duplex_is_ready(duplex, reads, writes);
        return (reads && !ring_duplex_sleep_reading(duplex)) || (writes && !ring_duplex_sleep_writing(duplex));
}

static enum loop_hope spin(struct loop_spinner *spinner, bool is_last)
{
        struct moved *moved = container_of(spinner, struct moved, spinner);
        enum ring_peer peer;

        if (is_ready(moved, is_last)) {
                moved->is_found = moved->is_found || !loop_task_is_started(&moved->look);
                loop_task_start(moved->stream->loop, &moved->look);
                return LOOP_READY;
        }
        if (is_last || moved->patience_ns == 0 || !(moved->stream->wants_read || moved->stream->wants_write))
                return LOOP_NEVER;
        /* While large messages pass, the other side is at work on them for longer than between small ones. */
        spinner->patience_ns = moved->patience_ns;
        if (moved->large_steps > 0)
                spinner->patience_ns *= LARGE_PATIENCE;
        peer = ring_duplex_peer(&moved->duplex);
        /* The other side may be in this very thread. */
        if (peer == RING_PEER_HERE && moved->stream->peer.pid != moved->pid)
                return LOOP_YIELD;
        return peer == RING_PEER_ELSEWHERE ? LOOP_SOON : LOOP_NEVER;
}

void stream_look_for(struct stream *stream, int64_t patience_ns)
{
        struct moved *moved = stream->moved;

        moved->patience_ns = patience_ns;
        moved->pid = sys_pid();
}

/* The other side need not wake this one, which looks before it sleeps. False: it could not. */
static bool stay_awake(struct moved *moved)
{
        if (moved->input != MOVED_RING || !loop_spinner_start(moved->stream->loop, &moved->spinner))
                return false;
        ring_duplex_wake(&moved->duplex);
        return true;
}

static void note_size(struct moved *moved, ssize_t moved_bytes)
{
        if (moved_bytes >= LARGE)
                moved->large_steps = LARGE_STEPS;
        else if (moved_bytes > 0 && moved->large_steps > 0)
                moved->large_steps--;
}

static int create(struct stream *stream)
{
        struct moved *moved = sys_alloc_zeroed(sizeof *moved);

        if (!moved)
                return -ENOMEM;
        moved->stream = stream;
        moved->descriptor = -1;
        moved->look.fn = look;
        moved->spinner.fn = spin;
        stream->moved = moved;
        return 0;
}

static void close_descriptor(struct moved *moved)
{
        if (moved->descriptor >= 0)
                sys_close(moved->descriptor);
        moved->descriptor = -1;
}

bool stream_may_move(const struct stream *stream)
{
        return stream->is_open ? stream_can_move(stream) : stream->kind->is_unix;
}

bool stream_can_move(const struct stream *stream)
{
        return stream->is_open && stream->is_unix && stream->inputs[0].way == ENDPOINT_SOCKET &&
               stream->output.way == ENDPOINT_SOCKET && stream->output.fd == stream->inputs[0].fd &&
               stream->inputs[1].way == ENDPOINT_NONE && stream->phase < STREAM_ENDED && !stream_has_offer(stream);
}

bool stream_has_connected(const struct stream *stream)
{
        return stream->kind->is_client;
}

bool stream_leads_to_child(const struct stream *stream)
{
        return stream->kind->child;
}

int stream_expect_offer(struct stream *stream)
{
        return stream->moved ? 0 : create(stream);
}

static void begin(struct moved *moved, const struct ring_memory *memory, bool is_maker)
{
        ring_duplex_init(&moved->duplex, memory, is_maker, moved->stream->output.io);
        moved->duplex.is_mute = true;
        moved->is_maker = is_maker;
}

int stream_offer(struct stream *stream, uint32_t size, struct error *error)
{
        struct ring_memory memory;
        int fd, code = stream->moved ? 0 : create(stream);

        if (code)
                return error_set(error, code, "no memory for a stream");
        code = ring_memory_make(&memory, size, &fd, error);
        if (code)
                return code;
        close_descriptor(stream->moved);
        stream->moved->descriptor = fd;
        begin(stream->moved, &memory, true);
        return 0;
}

/* The descriptor of an offer, where all that come are kept in their order. */
static void take_passed(struct moved *moved)
{
        struct passed *passed = passing_take(moved->stream->passing);

        if (passed && passed->count == 1 && !passed->is_cut) {
                moved->descriptor = passed->fds[0];
                passed->fds[0] = -1;
        }
        passed_free(passed);
}

int stream_take_offer(struct stream *stream, struct error *error)
{
        struct moved *moved = stream->moved;
        struct ring_memory memory;
        int code;

        if (moved && !stream_has_offer(stream))
                take_passed(moved);
        if (!moved || moved->descriptor < 0 || stream_has_offer(stream))
                return error_set(error, -EBADMSG, "the other side offers shared memory without a descriptor of it");
        code = ring_memory_take(&memory, moved->descriptor, error);
        close_descriptor(moved);
        if (!code)
                begin(moved, &memory, false);
        return code;
}

void stream_withdraw_offer(struct stream *stream)
{
        if (!stream->moved || stream->moved->output != MOVED_SOCKET || stream->moved->input != MOVED_SOCKET)
                return;
        close_descriptor(stream->moved);
        ring_duplex_deinit(&stream->moved->duplex);
}

bool stream_keeps_offer(const struct stream *stream)
{
        return stream->moved && stream->moved->is_maker && stream->moved->descriptor >= 0;
}

bool stream_has_offer(const struct stream *stream)
{
        return stream->moved && stream->moved->duplex.memory.pair;
}

static bool is_moved(const struct stream *stream)
{
        return stream->moved && stream->moved->input == MOVED_RING && stream->moved->output == MOVED_RING;
}

void moved_look(struct moved *moved)
{
        moved->is_found = false;
        loop_task_start(moved->stream->loop, &moved->look);
}

const char *stream_name(const struct stream *stream)
{
        /* Only streams to NATS servers go on by TLS. */
        return is_moved(stream) ? "shm" : stream->secure ? "nats+tls" : stream->kind->name;
}

static void output_has_moved(struct moved *moved)
{
        moved->output = MOVED_RING;
        moved->duplex.is_mute = false;
        ring_duplex_pay(&moved->duplex);
        moved_look(moved);
}

void stream_move_output(struct stream *stream, size_t size)
{
        struct moved *moved = stream->moved;

        moved->output = MOVED_LEAVING;
        moved->left = size;
        if (size == 0)
                output_has_moved(moved);
}

void stream_move_input(struct stream *stream)
{
        stream->moved->input = MOVED_RING;
        moved_look(stream->moved);
}

/* Reading ------------------------------------------------------------------------------------------------- */

bool moved_can_read(struct moved *moved)
{
        struct pollfd poll = { .fd = moved->stream->inputs[0].fd, .events = POLLIN | POLLRDHUP };

        if (moved->input == MOVED_RING && (moved->is_peer_gone || ring_duplex_is_ready(&moved->duplex, true, false)))
                return true;
        return sys_poll(&poll, 1, 0) > 0 &&
               (moved->input != MOVED_RING || (moved_hear(moved, (uint32_t)poll.revents) == 0 && moved->is_peer_gone));
}

ssize_t moved_read(struct moved *moved, void *buffer, size_t size)
{
        ssize_t got;

        got = ring_duplex_read(&moved->duplex, buffer, size);
        note_size(moved, got);
        if (got == -EAGAIN && moved->is_peer_gone)
                return 0;
        if ((got > 0 || got == -EAGAIN) && !stay_awake(moved) && !ring_duplex_sleep_reading(&moved->duplex))
                moved_look(moved);
        if (needs_look(moved))
                moved_look(moved);
        return got;
}

/* A byte that was not read leaves room for others in the smallest of sockets, so that the other side can always wake this one. */
static bool is_byte_left(struct moved *moved, uint32_t events)
{
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) || moved->bytes_left == BYTES_LEFT_MAX ||
            !ring_duplex_is_ready(&moved->duplex, true, false))
                return false;
        moved->bytes_left++;
        return true;
}

/* Bytes of zero, with descriptors or without. */
static ssize_t read_some(struct moved *moved)
{
        char bytes[256];
        ssize_t got = passing_receive(&moved->stream->passing, moved->stream->inputs[0].io, moved->stream->passed_below, bytes, sizeof bytes);

        for (ssize_t i = 0; i < got; i++)
                if (bytes[i] != 0)
                        return -EBADMSG;
        if (got == 0 || got == -ECONNRESET)
                moved->is_peer_gone = true;
        return got;
}

/* And perhaps the end. */
static int read_bytes(struct moved *moved, bool is_shut)
{
        ssize_t got;

        moved->bytes_left = 0;
        do
                got = read_some(moved);
        while (got > 0 && is_shut);
        return got < 0 && got != -EAGAIN && got != -ECONNRESET ? (int)got : 0;
}

void moved_fetch_passed(struct moved *moved)
{
        ssize_t got = 1;

        if (moved->input != MOVED_RING)
                return;
        while (got > 0 && !passing_has(moved->stream->passing))
                got = read_some(moved);
        /* What was found there is acted on in a round of its own. */
        if (moved->is_peer_gone)
                moved_look(moved);
}

int moved_hear(struct moved *moved, uint32_t events)
{
        if (moved->duplex.owes_wake && !moved->duplex.is_mute) {
                ring_duplex_pay(&moved->duplex);
                moved_look(moved);
        }
        if (moved->input != MOVED_RING || !(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || is_byte_left(moved, events))
                return 0;
        return read_bytes(moved, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

/* Writing ------------------------------------------------------------------------------------------------- */

static ssize_t write_socket(struct moved *moved, const void *bytes, size_t size)
{
        struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
        ssize_t put;

        if (!moved->is_maker || moved->descriptor < 0)
                return sys_send(moved->stream->output.io, bytes, size);
        put = passing_send(moved->stream->output.io, &piece, 1, &moved->descriptor, 1);
        if (put > 0)
                close_descriptor(moved);
        return put;
}

int moved_pass(struct moved *moved, const int *fds, size_t count)
{
        struct iovec byte = { .iov_base = "", .iov_len = 1 };
        ssize_t put = moved->is_peer_gone ? -EPIPE : passing_send(moved->stream->output.io, &byte, 1, fds, count);

        moved->owes_passed = put == -EAGAIN;
        if (moved->owes_passed)
                stream_update(moved->stream);
        return put < 0 ? (int)put : 0;
}

static ssize_t write_ring(struct moved *moved, const void *bytes, size_t size)
{
        bool is_awake;
        ssize_t put;

        if (moved->is_peer_gone)
                return -EPIPE;
        is_awake = stay_awake(moved);
        put = ring_duplex_write(&moved->duplex, bytes, size);
        note_size(moved, put);
        if ((put == -EAGAIN || (put >= 0 && (size_t)put < size)) && !is_awake && !ring_duplex_sleep_writing(&moved->duplex))
                moved_look(moved);
        if (needs_look(moved))
                moved_look(moved);
        return put;
}

ssize_t moved_write(struct moved *moved, const void *bytes, size_t size)
{
        size_t first = moved->output == MOVED_LEAVING && size > moved->left ? moved->left : size;
        ssize_t put = moved->output == MOVED_RING ? write_ring(moved, bytes, size) : write_socket(moved, bytes, first), more;

        if (moved->output != MOVED_LEAVING || put <= 0)
                return put;
        moved->left -= (size_t)put;
        if (moved->left > 0)
                return put;
        output_has_moved(moved);
        if ((size_t)put == size)
                return put;
        more = write_ring(moved, (const char *)bytes + put, size - (size_t)put);
        return more > 0 ? put + more : put;
}

bool moved_can_write(struct moved *moved, uint32_t events)
{
        if (moved->output != MOVED_RING || moved->owes_passed)
                return events & (EPOLLOUT | EPOLLERR | EPOLLHUP);
        return moved->is_peer_gone ||
               (stay_awake(moved) ? ring_duplex_is_ready(&moved->duplex, false, true) : !ring_duplex_sleep_writing(&moved->duplex));
}

ssize_t moved_count(struct moved *moved)
{
        return moved->input == MOVED_RING ? ring_duplex_count(&moved->duplex) : sys_count_input(moved->stream->inputs[0].fd);
}

bool moved_close_output(struct moved *moved)
{
        if (moved->output == MOVED_SOCKET)
                return false;
        ring_duplex_close(&moved->duplex);
        return true;
}

/* Both ------------------------------------------------------------------------------------------------------ */

uint32_t moved_events(struct moved *moved, bool wants_read, bool wants_write)
{
        bool hears = wants_read || (wants_write && moved->output == MOVED_RING);
        /* A side that does not read now is woken by bytes behind frames that it leaves where they are. */
        bool is_woken = hears && !wants_read && moved->input != MOVED_RING;
        bool sends = (wants_write && (moved->output != MOVED_RING || moved->owes_passed)) || (moved->duplex.owes_wake && !moved->duplex.is_mute);
        /* Each byte wakes once, though it is not read at once. */
        uint32_t heard = (moved->input == MOVED_RING && !sends) || is_woken ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN;

        return moved->events = (hears ? heard : 0u) | (sends ? EPOLLOUT : 0u);
}

void moved_free(struct moved *moved)
{
        loop_task_stop(&moved->look);
        loop_spinner_stop(&moved->spinner);
        close_descriptor(moved);
        ring_duplex_deinit(&moved->duplex);
        sys_free(moved);
}
