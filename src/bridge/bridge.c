/* Copies bytes between two streams: the near one has the program's descriptors, the far one leads to an address.
 *
 *      CONNECTING --> MOVING ------> CLOSING --> ENDED
 *           |           ^               ^
 *           v           |               |
 *        PASSING -------+--> PASSED ----+
 *
 * A service may take what the near side stands on (PASSING asks for that, see stream/replaced.h): then nothing is left to copy, and the
 * bridge waits for the end of the far side (PASSED). enter() changes the phase, which only goes forward. Invariants: nothing is read from the near
 * side before the far side is connected, or while it is being passed; a side is read only while all that was read from it before has been
 * written; what was read is written before an end is passed on. */
#include <ferry/bridge.h>

#include "loop/loop.h"
#include "stream/replaced.h"
#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
        HELD_MAX = 65536,
        CLOSE_TIMEOUT_DEFAULT_MS = 1000,
};

static const char reader_has_gone[] = "the reader of the output has closed its end";

enum bridge_phase { BRIDGE_CONNECTING, BRIDGE_PASSING, BRIDGE_MOVING, BRIDGE_PASSED, BRIDGE_CLOSING, BRIDGE_ENDED };

/* A side, and the bytes that were read from it and not yet written to the other side. */
struct side {
        ferry_bridge *bridge;
        struct side *other;
        struct stream *stream;          /* NULL: it was never opened, or is closed */
        struct loop_source hangup;      /* reports when a peer that sends no more has gone altogether; fd -1: not asked for */
        bool has_ended;                 /* all of it was read */
        bool is_passed_on;              /* and that was passed on to the other side */
        size_t begin, end;              /* of what is held */
        char held[HELD_MAX];
};

struct ferry_bridge {
        ferry_loop *loop;
        enum bridge_phase phase;
        char *address;
        ferry_bridge_options options;
        struct side near, far;
        struct error error;             /* why it has failed */
        struct loop_failure failure;
        struct loop_member member;
        struct loop_grave grave;
        int exit_status;
        bool was_connected;
        bool is_freed;                  /* by the program */
        bool is_live;
};

/* The end -------------------------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_bridge *bridge = container_of(grave, ferry_bridge, grave);

        error_deinit(&bridge->error);
        sys_free(bridge->address);
        sys_free(bridge);
}

/* Nothing is left but what the program may ask for. */
static void finish(ferry_bridge *bridge)
{
        loop_count_live(bridge->loop, &bridge->is_live, false);
        if (!bridge->is_freed)
                return;
        list_remove(&bridge->member.link);
        loop_bury(bridge->loop, &bridge->grave, bury);
}

static void stop_waiting_for_hangup(struct side *side)
{
        if (side->hangup.fd < 0)
                return;
        if (!loop_is_foreign(side->bridge->loop))
                loop_source_set(&side->hangup, 0);
        sys_close(side->hangup.fd);
        side->hangup.fd = -1;
}

/* The only place where the phase changes. */
static bool enter(ferry_bridge *bridge, enum bridge_phase phase)
{
        int timeout_ms = bridge->options.close_timeout_ms ? bridge->options.close_timeout_ms : CLOSE_TIMEOUT_DEFAULT_MS;

        if (phase <= bridge->phase)
                return false;
        bridge->phase = phase;
        if (phase == BRIDGE_CLOSING) {
                stop_waiting_for_hangup(&bridge->near);
                stop_waiting_for_hangup(&bridge->far);
                if (bridge->near.stream)
                        stream_close(bridge->near.stream, 0);
                if (bridge->far.stream)
                        stream_close(bridge->far.stream, timeout_ms);
                if (!bridge->near.stream && !bridge->far.stream)
                        enter(bridge, BRIDGE_ENDED);
        } else if (phase == BRIDGE_ENDED)
                finish(bridge);
        return true;
}

/* The kernel's -ENOBUFS is not the full queue that programs know by this name. */
static int sensible(int code)
{
        return code == -ENOBUFS ? -ENOMEM : code;
}

static void fail(ferry_bridge *bridge, int code, const char *sentence)
{
        if (bridge->phase >= BRIDGE_CLOSING)
                return;
        error_set(&bridge->error, sensible(code), "%s: %s", bridge->address, sentence);
        loop_failure_add(bridge->loop, &bridge->failure, &bridge->error);
        enter(bridge, BRIDGE_CLOSING);
}

/* Moving --------------------------------------------------------------------------------------------------- */

static bool is_moving(const ferry_bridge *bridge)
{
        return bridge->phase == BRIDGE_MOVING;
}

static size_t held(const struct side *side)
{
        return side->end - side->begin;
}

/* Whether its other end can take nothing any more. */
static bool has_gone(const struct side *far)
{
        return far->bridge->exit_status >= 0 || !stream_is_read(far->stream);
}

static void check_hangup(struct loop_source *source, uint32_t events);

/* A peer that closes its socket, or the reader of a pipe, may first have ended its sending direction alone, which looks as if it still
 * read. */
static void wait_for_hangup(struct side *side)
{
        enum endpoint_way way = side->stream->output.way;

        if (side->hangup.fd >= 0 || (way != ENDPOINT_SOCKET && (way != ENDPOINT_NONBLOCKING || side == &side->bridge->far)))
                return;
        side->hangup.fd = sys_duplicate(side->stream->output.fd, 0);
        if (side->hangup.fd >= 0 && loop_source_set(&side->hangup, EPOLLHUP) < 0)
                stop_waiting_for_hangup(side);
}

/* Whether the bridge has done its work, or can do no more of it. */
static void end_if_done(ferry_bridge *bridge)
{
        struct side *near = &bridge->near, *far = &bridge->far;
        char sentence[96];

        /* Else a command that writes nothing would outlive an ssh that was killed. */
        if (is_moving(bridge) && near->is_passed_on && near->has_ended && !far->is_passed_on)
                wait_for_hangup(near);
        if (!is_moving(bridge) || !far->has_ended || held(far) > 0)
                return;
        if (bridge->error.code)
                fail(bridge, bridge->error.code, "");
        else if (!near->is_passed_on && !has_gone(far))
                wait_for_hangup(far);
        else if (near->is_passed_on || held(near) == 0 || bridge->exit_status >= 0)
                enter(bridge, BRIDGE_CLOSING);
        else {
                snprintf(sentence, sizeof sentence, "the other side has closed the connection: %zu bytes to it are lost", held(near));
                fail(bridge, -ECONNRESET, sentence);
        }
}

static void check_hangup(struct loop_source *source, uint32_t events)
{
        struct side *side = container_of(source, struct side, hangup);

        (void)events;
        if (side == &side->bridge->near)
                fail(side->bridge, -EPIPE, reader_has_gone);
        else
                end_if_done(side->bridge);
}

/* Writes what is held of a side. What the far side does not take is explained by its end, which comes: what a child does not
 * read is no failure. */
static void write_held(struct side *from)
{
        ferry_bridge *bridge = from->bridge;
        struct stream *to = from->other->stream;
        ssize_t put;

        while (held(from) > 0) {
                put = stream_write_bytes(to, from->held + from->begin, held(from));
                if (put == 0 || !is_moving(bridge))
                        return;
                from->begin = put < 0 ? from->end : from->begin + (size_t)put;
                if (put < 0 && from == &bridge->far)
                        fail(bridge, (int)put, put == -EPIPE ? reader_has_gone : error_describe((int)put));
                else if (put < 0 && from->other->has_ended && bridge->exit_status < 0)
                        fail(bridge, -ECONNRESET, "the other side reads no more");
        }
        from->begin = from->end = 0;
}

/* After anything has happened to a side, or to what its bytes go to. */
static void move(struct side *from)
{
        ferry_bridge *bridge = from->bridge;
        struct stream *to = from->other->stream;

        if (is_moving(bridge))
                write_held(from);
        if (!is_moving(bridge))
                return;
        /* A child that has closed its output may live on. */
        if ((from->has_ended || stream_is_ending(from->stream)) && held(from) == 0 && !from->is_passed_on) {
                from->is_passed_on = true;
                /* What this side has ended itself looks as if the other end were gone. */
                if (from == &bridge->far)
                        stop_waiting_for_hangup(&bridge->near);
                stream_end_output(to);
        }
        end_if_done(bridge);
        if (!is_moving(bridge))
                return;
        stream_want_write(to, held(from) > 0);
        if (is_moving(bridge))
                stream_want_read(from->stream, held(from) == 0 && !from->has_ended);
}

static void begin_moving(ferry_bridge *bridge)
{
        enter(bridge, BRIDGE_MOVING);
        move(&bridge->near);
        if (is_moving(bridge))
                move(&bridge->far);
}

/* Passing -------------------------------------------------------------------------------------------------- */

/* The service has the descriptors now: closing these copies ends nothing. */
static void step_aside(ferry_bridge *bridge)
{
        enter(bridge, BRIDGE_PASSED);
        stop_waiting_for_hangup(&bridge->near);
        stream_free(bridge->near.stream);
        bridge->near.stream = NULL;
}

/* The first bytes of the far side. */
static void hear_answer(ferry_bridge *bridge)
{
        struct side *far = &bridge->far;
        enum replaced_answer answer = replaced_hear(far->held, held(far));

        if (answer != REPLACED_NOT_SAID)
                far->end = 0;
        if (answer == REPLACED_DONE)
                step_aside(bridge);
        else
                begin_moving(bridge);
}

/* What the streams report ---------------------------------------------------------------------------------- */

/* The far side is connected. */
static void opened(struct stream *stream)
{
        struct side *side = stream->object;
        ferry_bridge *bridge = side->bridge;
        char sentence[96];

        if (bridge->phase != BRIDGE_CONNECTING)
                return;
        if (stream->is_peer_known && stream->peer.uid != sys_uid() && stream->peer.uid != 0) {
                snprintf(sentence, sizeof sentence, "the process that listens there runs as user %u", (unsigned)stream->peer.uid);
                fail(bridge, -EACCES, sentence);
                return;
        }
        bridge->was_connected = true;
        /* file: and fifo: may have one direction. */
        bridge->far.has_ended = stream_is_one_way(stream);
        bridge->near.has_ended = bridge->near.is_passed_on = !stream_has_output(stream);
        if (replaced_ask(stream, bridge->near.stream)) {
                enter(bridge, BRIDGE_PASSING);
                stream_want_read(stream, true);
        } else
                begin_moving(bridge);
}

/* Whether a side is read; the other ones wait. */
static bool is_read(const struct side *side)
{
        enum bridge_phase phase = side->bridge->phase;

        return phase == BRIDGE_MOVING || (side == &side->bridge->far && (phase == BRIDGE_PASSING || phase == BRIDGE_PASSED));
}

static void readable(struct stream *stream)
{
        struct side *side = stream->object;
        ssize_t got;

        if (!is_read(side) || held(side) > 0 || side->has_ended)
                return;
        got = stream_read(stream, 0, side->held, sizeof side->held);
        if (got > 0)
                side->end = (size_t)got;
        if (side->bridge->phase == BRIDGE_PASSING && got > 0)
                hear_answer(side->bridge);
        else if (is_moving(side->bridge))
                move(side);
        else
                side->end = 0;
}

static void writable(struct stream *stream)
{
        move(((struct side *)stream->object)->other);
}

static void take_line(struct stream *stream, const char *source, const char *bytes, size_t size)
{
        ferry_bridge *bridge = ((struct side *)stream->object)->bridge;

        (void)source;
        if (bridge->options.line && !bridge->is_freed)
                bridge->options.line(bridge, bytes, size, bridge->options.line_userdata);
}

/* What could be read was read before. What is held of it is written before the reason is reported. */
static void ended(struct stream *stream, int code, const char *sentence)
{
        struct side *side = stream->object;
        ferry_bridge *bridge = side->bridge;
        bool is_far = side == &bridge->far;

        side->has_ended = true;
        if (bridge->phase == BRIDGE_PASSING && is_far)
                enter(bridge, BRIDGE_MOVING);
        if (is_far)
                bridge->exit_status = stream_exit_status(stream);
        if (!code && stream->input_error) {
                code = stream->input_error;
                sentence = "the connection was broken";
        }
        if (code && is_moving(bridge) && held(side) > 0 && is_far)
                error_set(&bridge->error, sensible(code), "%s: %s", bridge->address, sentence);
        else if (code)
                fail(bridge, code, sentence);
        if (is_moving(bridge))
                move(side);
        else if (bridge->phase == BRIDGE_PASSED)
                enter(bridge, BRIDGE_CLOSING);
}

static void closed(struct stream *stream, int code, const char *sentence)
{
        struct side *side = stream->object;
        ferry_bridge *bridge = side->bridge;

        if (side == &bridge->far && bridge->exit_status < 0)
                bridge->exit_status = stream_exit_status(stream);
        side->stream = NULL;
        stream_free(stream);
        if (code && !bridge->error.code && !bridge->is_freed) {
                error_set(&bridge->error, code, "%s: %s", bridge->address, sentence);
                loop_failure_add(bridge->loop, &bridge->failure, &bridge->error);
        }
        if (bridge->phase == BRIDGE_CLOSING && !bridge->near.stream && !bridge->far.stream)
                enter(bridge, BRIDGE_ENDED);
}

static const struct stream_owner stream_owner = {
        .opened = opened, .readable = readable, .writable = writable, .text = take_line, .ended = ended, .closed = closed,
};

/* Opening -------------------------------------------------------------------------------------------------- */

static int open_far(ferry_bridge *bridge)
{
        const struct stream_place place = { .loop = bridge->loop, .owner = &stream_owner, .object = &bridge->far, .linger_ms = -1 };
        const ferry_session_options options = { .dialect = bridge->options.dialect, .wait_ms = bridge->options.wait_ms,
                                                .remote_ferry = bridge->options.remote_ferry };

        if (ferry_address_scheme(bridge->address) == FERRY_SCHEME_STDIO)
                return error_set(&bridge->error, -EINVAL, "a bridge leads from descriptors to a service or a command: 'stdio:' is"
                                                          " neither");
        if (ferry_address_scheme(bridge->address) == FERRY_SCHEME_NATS)
                return error_set(&bridge->error, -EINVAL, "a bridge copies bytes, and '%s' takes messages: open a session there",
                                 bridge->address);
        return stream_open(&place, bridge->address, &options, &bridge->far.stream, &bridge->error);
}

static int open_near(ferry_bridge *bridge, int in, int out)
{
        const struct stream_place place = { .loop = bridge->loop, .owner = &stream_owner, .object = &bridge->near };
        const int fds[] = { in, out, -1 };
        const ferry_session_options options = { .fds = fds };

        if (in < 0 || out < 0)
                return error_set(&bridge->error, -EBADF, "a bridge needs two descriptors: %d and %d are given", in, out);
        return stream_open(&place, NULL, &options, &bridge->near.stream, &bridge->error);
}

static int copy_options(ferry_bridge *bridge, const ferry_bridge_options *options)
{
        static const struct options_kind kind = {
                .name = "ferry_bridge_options", .size = sizeof *options,
                .times = { { "wait_ms", offsetof(ferry_bridge_options, wait_ms), false },
                           { "close_timeout_ms", offsetof(ferry_bridge_options, close_timeout_ms), false } },
        };

        return options_copy(&kind, &bridge->options, options, &bridge->error);
}

static int open_bridge(ferry_bridge *bridge, int in, int out, const ferry_bridge_options *options)
{
        int code = copy_options(bridge, options);

        if (code)
                return code;
        if (loop_is_foreign(bridge->loop))
                return error_set(&bridge->error, -ECHILD, "the loop belongs to the parent of this process");
        if (bridge->loop->is_ending)
                return error_set(&bridge->error, -ECANCELED, "the loop is being freed");
        code = open_far(bridge);
        bridge->options.remote_ferry = NULL;
        return code ? code : open_near(bridge, in, out);
}

static void free_side(struct side *side)
{
        struct stream *stream = side->stream;

        stop_waiting_for_hangup(side);
        side->stream = NULL;
        if (stream)
                stream_free(stream);
}

static void free_bridge(ferry_bridge *bridge)
{
        if (bridge->is_freed)
                return;
        bridge->is_freed = true;
        loop_failure_told(&bridge->failure);
        if (loop_is_foreign(bridge->loop)) {
                free_side(&bridge->near);
                free_side(&bridge->far);
        }
        if (bridge->phase == BRIDGE_ENDED)
                finish(bridge);
        else
                enter(bridge, BRIDGE_CLOSING);
}

static void close_member(struct loop_member *member)
{
        free_bridge(container_of(member, ferry_bridge, member));
}

/* What is still closed in the background ends now. */
static void free_member(struct loop_member *member)
{
        ferry_bridge *bridge = container_of(member, ferry_bridge, member);

        free_side(&bridge->near);
        free_side(&bridge->far);
        if (bridge->is_freed)
                enter(bridge, BRIDGE_ENDED);
        else
                free_bridge(bridge);
}

static void begin(ferry_bridge *bridge, struct side *side)
{
        side->bridge = bridge;
        side->other = side == &bridge->near ? &bridge->far : &bridge->near;
        side->hangup = (struct loop_source){ .loop = bridge->loop, .fd = -1, .fn = check_hangup };
}

static ferry_bridge *bridge_new(ferry_loop *loop, const char *address)
{
        ferry_bridge *bridge = sys_alloc_zeroed(sizeof *bridge);

        if (!bridge)
                return NULL;
        bridge->address = text_copy(address);
        if (!bridge->address) {
                sys_free(bridge);
                return NULL;
        }
        bridge->loop = loop;
        bridge->exit_status = -ECHILD;
        bridge->member.close = close_member;
        bridge->member.free = free_member;
        begin(bridge, &bridge->near);
        begin(bridge, &bridge->far);
        return bridge;
}

ferry_bridge *ferry_bridge_open(ferry_loop *loop, const char *address, int in, int out, const ferry_bridge_options *options)
{
        ferry_bridge *bridge = loop && !loop_is_elsewhere(loop) ? bridge_new(loop, address ? address : "") : NULL;
        int code;

        if (!bridge)
                return NULL;
        list_append(&loop->members, &bridge->member.link);
        loop_enter(loop);
        code = open_bridge(bridge, in, out, options);
        if (code) {
                free_side(&bridge->far);
                bridge->error.code = sensible(code);
                enter(bridge, BRIDGE_ENDED);
                if (!loop_is_foreign(loop))
                        loop_failure_add(loop, &bridge->failure, &bridge->error);
        } else {
                loop_count_live(loop, &bridge->is_live, true);
                if (bridge->far.stream->is_open)
                        opened(bridge->far.stream);
        }
        loop_leave(loop);
        return bridge;
}

ferry_bridge *ferry_bridge_free(ferry_bridge *bridge)
{
        ferry_loop *loop = bridge && !loop_is_elsewhere(bridge->loop) ? bridge->loop : NULL;

        if (!loop)
                return NULL;
        loop_enter(loop);
        free_bridge(bridge);
        loop_leave(loop);
        return NULL;
}

/* Looking -------------------------------------------------------------------------------------------------- */

int ferry_bridge_status(const ferry_bridge *bridge)
{
        int code = bridge ? loop_refuse(bridge->loop) : -ENOMEM;

        if (code)
                return code;
        return bridge->phase < BRIDGE_ENDED ? 1 : bridge->error.code;
}

const char *ferry_bridge_error(const ferry_bridge *bridge)
{
        int code = bridge ? loop_refuse(bridge->loop) : -ENOMEM;

        if (code)
                return bridge ? loop_refusal(code) : "no memory for a bridge";
        if (bridge->error.code)
                return error_text(&bridge->error);
        return bridge->phase < BRIDGE_ENDED ? "bytes may still move" : "both directions have ended";
}

bool ferry_bridge_was_connected(const ferry_bridge *bridge)
{
        return bridge && !loop_refuse(bridge->loop) && bridge->was_connected;
}

int ferry_bridge_exit_status(const ferry_bridge *bridge)
{
        return bridge && !loop_refuse(bridge->loop) ? bridge->exit_status : -ECHILD;
}
