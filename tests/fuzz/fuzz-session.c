/* Whole sessions: two that talk to each other, or one whose peer writes any bytes. The input says what they are and
 * what happens to them: messages of any size, answers now and later, bytes in odd pieces, refused calls to the system,
 * steps of the clock, closing and freeing at any time, also from inside of handlers. What must hold:
 *
 *      - a call ends once: by its callback, which is not called for one that was let go; by its deadline at the latest
 *      - an answer belongs to its request; a request that is said to be not executed was seen by no handler
 *      - messages come in the order in which they were sent, whole, and (where nothing was refused or closed) all of
 *        them
 *      - no handler of a session that was let go is called; nothing is left, neither memory nor descriptors
 *
 * In innmind, where there are no ids, the next message is the answer, whatever it is: there only what is said to be not
 * executed is compared, besides the ends of calls and what is left.
 *
 * The input: four bytes (see set_up()), then operations (see step()), each a byte with its arguments. */
#include "fuzz/fuzz.h"

#include "session/session.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        CALLS_MAX = 64,
        KEPT_MAX = 16,
        PAD_MAX = 70000,
        NESTING_MAX = 4,          /* of what handlers do that calls handlers */
        ROUNDS_MAX = 4000,
};

struct side {
        ferry_loop *loop;
        ferry_session *session;         /* NULL: let go, or a raw peer */
        ferry_stream own;
        int raw_in, raw_out;            /* the ends of a raw peer; -1: closed */
        int mode;                       /* what its handler does with requests */
        int sent;                       /* notifications that were taken */
        int received;
        int last_n;                     /* the number of the last message that came */
        ferry_message *kept[KEPT_MAX];
        int kept_count;
};

struct call {
        ferry_call *handle;             /* NULL: given away and called back, or let go */
        struct side *side;
        int n;                          /* the number of its request */
        bool has_fn;
        bool is_freed;
        bool is_unknown_to_end;         /* it has no deadline */
        bool frees_at_part;
        int called;
        int parts;
};

static struct side sides[2];
static struct call calls[CALLS_MAX];
static int call_count;
static int next_n;                      /* messages are numbered over both sides */
static int next_part;                   /* the same of parts of answers */
static bool *is_seen;                   /* by the number of a request */
static int seen_max;
static bool is_raw, is_one_loop, is_innmind;
static bool is_whole;                   /* nothing was done yet that may lose a message */
static int depth;
static uint32_t piece_max, seed;        /* 0: no limit */
static int refusal_left;                /* calls until one is refused; -1: none will be */
static uint8_t refusal_kind;
static bool is_refused;         /* so a body may not have been decoded */
static char pad[PAD_MAX];

static uint32_t draw(void)
{
        seed = seed * 1664525 + 1013904223;
        return seed >> 8;
}

static struct side *other(const struct side *side)
{
        return &sides[side == &sides[0]];
}

/* Faults ---------------------------------------------------------------------------------------------- */

static int judge(enum door_call call, bool is_child)
{
        static const int reading[] = { -ECONNRESET, -EAGAIN, -EIO }, writing[] = { -EPIPE, -EAGAIN, -ENOBUFS };

        (void)is_child;
        /* What gives back a state does not fail. */
        if (call == DOOR_restore_signals || call == DOOR_take_signal || refusal_left < 0 || refusal_left-- > 0)
                return 0;
        is_refused = true;
        switch (call) {
        case DOOR_alloc:
        case DOOR_alloc_zeroed:
        case DOOR_realloc:
                return -ENOMEM;
        case DOOR_read:
        case DOOR_recv:
                return reading[refusal_kind % 3];
        case DOOR_write:
        case DOOR_write_quietly:
        case DOOR_send:
                return writing[refusal_kind % 3];
        case DOOR_epoll_wait:
        case DOOR_poll:
                return -EINVAL;
        default:
                return -EIO;
        }
}

static ssize_t limit(enum door_call call, int fd, size_t size)
{
        size_t most = piece_max ? 1 + draw() % piece_max : size;

        (void)call;
        (void)fd;
        return (ssize_t)(most < size ? most : size);
}

static ssize_t own_read(const ferry_stream *stream, void *buffer, size_t size)
{
        return sys_recv(stream->fd, buffer, size);
}

static ssize_t own_write(const ferry_stream *stream, const void *bytes, size_t size)
{
        return sys_send(stream->fd, bytes, size);
}

static void own_close(const ferry_stream *stream)
{
        close(stream->fd);
}

/* What a program does --------------------------------------------------------------------------------- */

static const char *type_of(const char *name)
{
        return is_innmind ? "application/json" : name;
}

/* The number of a message; in innmind only of one that is no answer. */
static long long number_of(const ferry_message *message)
{
        long long number = -1;

        if (!is_innmind)
                return ferry_value_int(ferry_message_get(message, "n"), -1);
        return sscanf(ferry_message_text(message), "{\"n\":%10lld", &number) == 1 && number >= 0 &&
               strstr(ferry_message_text(message), "\"size\":") ? number : -1;
}

static int pad_of(const ferry_value *body)
{
        size_t size;
        const char *text = ferry_value_bytes(ferry_value_get(body, "pad"), &size);

        FUZZ_REQUIRE(size <= PAD_MAX && (size == 0 || memcmp(text, pad, size) == 0), "another text");
        return (int)size;
}

static void notify(struct side *side, size_t size)
{
        int code = ferry_session_notify(side->session, type_of("App\\Note"), "{n: %d, m: %d, size: %d, pad: %.*s}",
                                        next_n, side->sent, (int)size, (int)size, pad);

        next_n++;
        if (code == 0)
                side->sent++;
}

static void check_answer(const struct call *call, const ferry_message *reply)
{
        long long n = ferry_value_int(ferry_message_get(reply, "n"), -1);

        if (is_innmind)
                return;
        FUZZ_REQUIRE(n == call->n || (is_refused && n == -1), "the answer to %lld for %d", n, call->n);
}

static void check_outcome(const struct call *call, const ferry_call *handle)
{
        if (handle && ferry_call_outcome(handle) == FERRY_OUTCOME_NOT_EXECUTED)
                FUZZ_REQUIRE(!is_seen[call->n], "request %d is said to be not executed: %s", call->n,
                             ferry_call_error(handle));
}

static void has_ended(ferry_call *handle, const ferry_message *reply, void *userdata)
{
        struct call *call = userdata;

        FUZZ_REQUIRE(!call->is_freed, "a call that was let go calls back");
        FUZZ_REQUIRE(++call->called == 1, "a call has ended %d times", call->called);
        FUZZ_REQUIRE(ferry_call_status(handle) != 1, "it has not ended");
        FUZZ_REQUIRE((ferry_call_status(handle) == 0) == (reply != NULL), "status %d", ferry_call_status(handle));
        call->handle = NULL;
        if (is_raw)
                return;
        check_outcome(call, handle);
        if (reply)
                check_answer(call, reply);
}

static struct call *request(struct side *side, int timeout_ms, bool has_fn, size_t size)
{
        struct call *call = &calls[call_count];

        if (call_count == CALLS_MAX)
                return NULL;
        call_count++;
        *call = (struct call){ .side = side, .n = next_n++, .has_fn = has_fn, .is_unknown_to_end = timeout_ms < 0 };
        call->handle = ferry_session_request(side->session, timeout_ms, type_of("App\\Ask"),
                                             "{n: %d, size: %d, pad: %.*s}", call->n, (int)size, (int)size, pad);
        FUZZ_REQUIRE(*ferry_call_error(call->handle) || ferry_call_status(call->handle) == 1, "no sentence");
        /* Without memory for a call there is none that could be given away. */
        if (has_fn && call->handle)
                ferry_call_then(call->handle, has_ended, call);
        return call;
}

static void check_ended(const struct call *call)
{
        if (!call->handle || call->has_fn || ferry_call_status(call->handle) == 1)
                return;
        if (is_raw)
                return;
        check_outcome(call, call->handle);
        if (ferry_call_status(call->handle) == 0)
                check_answer(call, ferry_call_reply(call->handle));
}

static void free_call(struct call *call)
{
        ferry_call *handle = call->handle;

        if (!handle)
                return;
        check_ended(call);
        call->is_freed = true;
        call->handle = NULL;
        ferry_call_free(handle);
}

static struct call *pick_call(uint8_t number)
{
        return call_count > 0 ? &calls[number % call_count] : NULL;
}

static void answer(struct side *side, uint8_t number, int how)
{
        int at = side->kept_count > 0 ? number % side->kept_count : 0;
        ferry_message *message;

        if (side->kept_count == 0)
                return;
        message = side->kept[at];
        side->kept[at] = side->kept[--side->kept_count];
        if (how == 0)
                ferry_message_reply(message, type_of("App\\Answer"), "{n: %lld}", number_of(message));
        else if (how == 1)
                ferry_message_fail(message, "failed: %s", ferry_message_id(message));
        ferry_message_unref(message);
}

/* Parts come in the order in which they are sent, each to its call; some may have been dropped. */
static void check_part(struct call *call, const ferry_message *part)
{
        int64_t number = ferry_value_int(ferry_message_get(part, "part"), -1);

        FUZZ_REQUIRE(ferry_message_kind(part) == FERRY_KIND_PROGRESS, "a part of the kind %d", ferry_message_kind(part));
        if (is_raw || !ferry_message_body(part))
                return;
        FUZZ_REQUIRE(number_of(part) == call->n, "a part of call %lld", (long long)number_of(part));
        FUZZ_REQUIRE(number >= call->parts, "part %lld behind %d", (long long)number, call->parts);
        call->parts = (int)number + 1;
}

static void has_part(ferry_call *handle, const ferry_message *part, void *userdata)
{
        struct call *call = userdata;

        FUZZ_REQUIRE(ferry_call_status(handle) == 1 && !call->is_freed, "a part of a call that has ended");
        check_part(call, part);
        if (call->frees_at_part)
                free_call(call);
}

static void follow(struct call *call, int variant)
{
        if (!call || !call->handle)
                return;
        call->frees_at_part = variant == 1;
        ferry_call_on_progress(call->handle, variant == 2 ? NULL : has_part, call);
}

static void fetch_part(struct call *call)
{
        const ferry_message *part = call && call->handle ? ferry_call_next(call->handle, 0) : NULL;

        if (part)
                check_part(call, part);
}

static void send_part(struct side *side, uint8_t number, size_t size)
{
        const ferry_message *request = side->kept_count > 0 ? side->kept[number % side->kept_count] : NULL;
        int code = ferry_message_progress(request, "{n: %lld, part: %d, pad: %.*s}", request ? number_of(request) : 0LL, next_part++,
                                          (int)size, pad);

        FUZZ_REQUIRE(code <= 0, "a part came to %d", code);
        if (code == -ENOBUFS)
                ferry_message_flush(request, 0);
}

/* Descriptors go with the next message, or none does. */
static void attach(struct side *side, size_t count)
{
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        for (size_t i = 0; i < count; i++)
                if (ferry_session_attach(side->session, fd) < 0)
                        is_whole = false;
        if (fd >= 0)
                close(fd);
}

/* A program takes some of what comes, and leaves the rest to the library. */
static void take_descriptors(const ferry_message *message)
{
        for (int i = 0; i < 2; i++) {
                int fd = ferry_message_take_fd(message, (size_t)(2 * i));

                if (fd >= 0)
                        close(fd);
        }
}

/* No side is a service, so it has no description, unless a raw peer says so. */
static void describe(struct side *side, int timeout_ms, bool has_fn)
{
        struct call *call = &calls[call_count];

        if (call_count == CALLS_MAX)
                return;
        call_count++;
        *call = (struct call){ .side = side, .n = next_n++, .has_fn = has_fn, .is_unknown_to_end = timeout_ms < 0 };
        call->handle = ferry_session_describe(side->session, timeout_ms);
        if (has_fn && call->handle)
                ferry_call_then(call->handle, has_ended, call);
}

static void let_go(struct side *side)
{
        ferry_session *session = side->session;

        is_whole = false;
        side->session = NULL;
        ferry_session_free(session);
}

/* Handlers -------------------------------------------------------------------------------------------- */

static int handle_request(struct side *side, ferry_session *session, const ferry_message *message)
{
        long long n = number_of(message);
        struct call *call;
        int result = 0;

        if (depth == NESTING_MAX)
                return ferry_message_reply(message, NULL, "{n: %lld}", n), 0;
        depth++;
        switch (side->mode % 12) {
        case 0:
        case 1:
                ferry_message_reply(message, type_of("App\\Answer"), "{n: %lld}", n);
                break;
        case 2:
                ferry_message_fail(message, "no: %lld", n);
                break;
        case 3:
        case 4:
                if (side->kept_count < KEPT_MAX) {
                        side->kept[side->kept_count++] = ferry_message_ref(message);
                        result = 1;
                }
                break;
        case 5:
                result = -EIO;
                break;
        case 6:
                is_whole = false;
                ferry_session_close(session);
                break;
        case 7:
                let_go(side);
                break;
        case 8:
                request(side, 50, true, 0);
                ferry_message_reply(message, NULL, "{n: %lld}", n);
                break;
        case 9:
                call = request(side, 50, false, 0);
                if (call && call->handle)
                        ferry_call_await(call->handle);
                ferry_message_reply(message, NULL, "{n: %lld}", n);
                break;
        case 10:
                for (int i = 0; i < call_count; i++)
                        free_call(&calls[i]);
                ferry_message_reply(message, NULL, "{n: %lld}", n);
                break;
        default:
                break;
        }
        depth--;
        return result;
}

static int handle(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct side *side = userdata;
        enum ferry_kind kind = ferry_message_kind(message);
        const ferry_value *body = ferry_message_body(message);
        long long n = number_of(message);

        FUZZ_REQUIRE(side->session == session, "a handler of a session that was let go");
        FUZZ_REQUIRE(ferry_message_type(message) && ferry_message_text(message) && ferry_message_id(message),
                     "no text");
        take_descriptors(message);
        if (kind == FERRY_KIND_MESSAGE) {
                if (n >= 0 && n < seen_max)
                        is_seen[n] = true;
                /* Answers that are answered would never end. */
                return n >= 0 || is_raw ? handle_request(side, session, message) : 0;
        }
        if (!is_raw && (kind == FERRY_KIND_NOTIFICATION || kind == FERRY_KIND_REQUEST) && body) {
                FUZZ_REQUIRE(n > side->last_n, "message %lld after %d", n, side->last_n);
                FUZZ_REQUIRE(pad_of(body) == ferry_value_int(ferry_value_get(body, "size"), -1), "another size");
                side->last_n = (int)n;
        }
        if (kind == FERRY_KIND_NOTIFICATION && !is_raw && body) {
                if (is_whole)
                        FUZZ_REQUIRE(ferry_value_int(ferry_value_get(body, "m"), -1) == side->received,
                                     "not notification %d", side->received);
                side->received++;
        }
        if (kind == FERRY_KIND_REQUEST && !is_raw && n >= 0 && n < seen_max)
                is_seen[n] = true;
        return kind == FERRY_KIND_REQUEST ? handle_request(side, session, message) : 0;
}

/* Running --------------------------------------------------------------------------------------------- */

static void tick(struct side *side)
{
        ferry_loop_tick(side->loop, 0);
}

/* Until nothing happens any more. */
static void drain(void)
{
        for (int i = 0, quiet = 0; i < ROUNDS_MAX && quiet < 3; i++) {
                int first = ferry_loop_tick(sides[0].loop, 0);
                int second = is_one_loop ? 0 : ferry_loop_tick(sides[1].loop, 0);

                quiet = first == 0 && second == 0 ? quiet + 1 : 0;
        }
}

/* The library never lets this come to its program. */
static void killed(int number)
{
        FUZZ_REQUIRE(number == 0, "SIGPIPE");
}

/* What is not taken is lost. */
static void raw_write(const void *bytes, size_t size)
{
        ssize_t put = -1;

        if (sides[1].raw_out < 0)
                return;
        signal(SIGPIPE, SIG_IGN);
        put = write(sides[1].raw_out, bytes, size);
        signal(SIGPIPE, killed);
        (void)put;
}

/* A byte that wakes, or begins a frame, and descriptors with it. */
static void raw_pass(uint8_t byte, size_t count)
{
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(8 * sizeof(int))];
        } control = { .bytes = "" };
        struct iovec piece = { &byte, 1 };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int)) };
        int fds[8];

        if (sides[1].raw_out < 0)
                return;
        for (size_t i = 0; i < count; i++)
                fds[i] = sides[1].raw_out;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
        sendmsg(sides[1].raw_out, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void raw_frame(const void *payload, size_t size)
{
        const unsigned char header[] = { 0xf3, 0x4a, 0x9d, 0xe2, 0, 0, (unsigned char)(size >> 8),
                                         (unsigned char)size };

        raw_write(header, sizeof header);
        raw_write(payload, size);
}

/* A payload of the dialect ferry: kind and codec, id, body. */
static void raw_ferry(struct fuzz_input *input, uint8_t size)
{
        unsigned char payload[16 + 256] = { 1 };

        payload[1] = fuzz_byte(input);
        payload[2] = fuzz_byte(input);
        payload[15] = fuzz_byte(input);
        for (int i = 0; i < size; i++)
                payload[16 + i] = fuzz_byte(input);
        raw_frame(payload, 16 + (size_t)size);
}

static void raw_stream_ipc(uint8_t how, uint8_t id)
{
        static const char inner[] = "O:7:\"App\\Ask\":1:{s:1:\"n\";i:1;}";
        char text[512];

        if (how % 3 == 0)
                raw_frame(inner, sizeof inner - 1);
        else
                raw_frame(text, (size_t)snprintf(text, sizeof text,
                                                 "O:%d:\"StreamIpc\\Envelope\\%sEnvelope\":2:{s:2:\"id\";"
                                                 "s:5:\"%d.%03d\";s:%d:\"%s\";%s}", how % 3 == 1 ? 34 : 35,
                                                 how % 3 == 1 ? "Request" : "Response", id & 7, id,
                                                 how % 3 == 1 ? 7 : 8,
                                                 how % 3 == 1 ? "request" : "response", inner));
}

/* A frame of innmind: what concerns the connection, or a message. */
static void raw_innmind(uint8_t how)
{
        static const char *const texts[] = { "connection.start", "connection.start-ok", "connection.close",
                                             "connection.close-ok", "message.received", "heartbeat", "x", "" };
        char frame[128] = "\0\xatext/plain\0\0";
        int size = snprintf(frame + 16, sizeof frame - 17, "%s%s", how & 8 ? "" : "innmind/ipc:", texts[how % 8]);

        frame[15] = (char)size;
        frame[16 + size] = how & 16 ? 'x' : (char)0xce;
        raw_write(frame, 17 + (size_t)size);
}

static void raw_read(void)
{
        char buffer[4096];

        for (int i = 0; i < 64 && sides[1].raw_in >= 0; i++)
                if (read(sides[1].raw_in, buffer, sizeof buffer) <= 0)
                        return;
}

static void raw_close(bool is_half)
{
        struct side *peer = &sides[1];

        if (peer->raw_out >= 0 && peer->raw_out == peer->raw_in && is_half) {
                shutdown(peer->raw_out, SHUT_WR);
                return;
        }
        if (peer->raw_out >= 0)
                close(peer->raw_out);
        if (peer->raw_in >= 0 && peer->raw_in != peer->raw_out && !is_half)
                close(peer->raw_in);
        if (!is_half || peer->raw_in == peer->raw_out)
                peer->raw_in = -1;
        peer->raw_out = -1;
}

static void raw_bytes(struct fuzz_input *input, uint8_t size)
{
        uint8_t bytes[256];

        for (int i = 0; i < size; i++)
                bytes[i] = fuzz_byte(input);
        raw_write(bytes, size);
}

static void look(struct side *side)
{
        ferry_value *info = ferry_session_info(side->session);

        FUZZ_REQUIRE(ferry_session_error(side->session) && ferry_session_address(side->session), "no text");
        ferry_session_status(side->session);
        ferry_value_unref(info);
}

static void take_next(struct side *side)
{
        const ferry_message *message = ferry_session_next(side->session, 0);

        if (!message || is_raw)
                return;
        if ((ferry_message_kind(message) & FERRY_KIND_REQUEST) && number_of(message) >= 0)
                is_seen[number_of(message)] = true;
}

/* Waiting where only the deadline can end it. */
static void await(struct call *call)
{
        if (call && call->handle && !call->has_fn && !call->is_unknown_to_end)
                ferry_call_await(call->handle);
}

/* Mostly small. */
static size_t size_of(struct fuzz_input *input, int variant)
{
        return fuzz_u16(input) >> (variant == 3 ? 0 : 5 + variant * 3);
}

static void step(struct fuzz_input *input)
{
        static const int timeouts[] = { 0, 20, 1000, -1 }, steps_ms[] = { 1, 60, 1100, 31000 };
        uint8_t operation = fuzz_byte(input);
        int variant = operation >> 5 & 3;
        struct side *side = &sides[is_raw ? 0 : operation >> 7];
        uint8_t number;
        struct call *call;
        bool has_fn;

        switch (operation & 31) {
        case 0:
                notify(side, (size_t)variant * 300);
                break;
        case 1:
                notify(side, size_of(input, variant));
                break;
        case 2:
                request(side, timeouts[variant], true, 0);
                break;
        case 3:
                has_fn = fuzz_byte(input) & 1;
                request(side, timeouts[variant], has_fn, size_of(input, variant));
                break;
        case 4:
                answer(side, fuzz_byte(input), variant);
                break;
        case 5:
                call = pick_call(fuzz_byte(input));
                if (call)
                        free_call(call);
                break;
        case 6:
                await(pick_call(fuzz_byte(input)));
                break;
        case 7:
                is_whole = false;
                ferry_session_close(side->session);
                break;
        case 8:
                let_go(side);
                break;
        case 9:
                tick(side);
                break;
        case 10:
                for (int i = 0; i < 8 << variant; i++)
                        tick(&sides[i & 1]);
                break;
        case 11:
                door_advance((int64_t)steps_ms[variant] * 1000000);
                break;
        case 12:
                refusal_left = fuzz_byte(input);
                refusal_kind = (uint8_t)variant;
                is_whole = false;
                break;
        case 13:
                piece_max = (uint32_t)fuzz_byte(input) << variant;
                break;
        case 14:
                ferry_session_flush(side->session, 5);
                break;
        case 15:
                take_next(side);
                break;
        case 16:
                /* What is fetched is not counted as received. */
                is_whole = false;
                ferry_session_off(side->session, handle, side);
                if (variant & 1)
                        ferry_session_on(side->session, FERRY_KIND_MESSAGE, NULL, NULL);
                break;
        case 17:
                ferry_session_off(side->session, handle, side);
                ferry_session_on(side->session, variant ? FERRY_KIND_REQUEST :
                                 FERRY_KIND_CANCELLED | FERRY_KIND_CLOSED, handle,
                                 side);
                is_whole = false;
                break;
        case 18:
                side->mode = fuzz_byte(input);
                break;
        case 19:
                look(side);
                break;
        case 20:
                raw_bytes(input, fuzz_byte(input));
                break;
        case 21:
                raw_ferry(input, fuzz_byte(input));
                break;
        case 22:
                raw_stream_ipc((uint8_t)variant, fuzz_byte(input));
                break;
        case 23:
                raw_read();
                break;
        case 24:
                if (is_raw)
                        raw_close(variant & 1);
                break;
        case 25:
                if (is_raw)
                        raw_innmind(fuzz_byte(input));
                break;
        case 26:
                number = fuzz_byte(input);
                send_part(side, number, size_of(input, variant));
                break;
        case 27:
                follow(pick_call(fuzz_byte(input)), variant);
                break;
        case 28:
                fetch_part(pick_call(fuzz_byte(input)));
                break;
        case 29:
                number = fuzz_byte(input);
                if (is_raw && variant & 1)
                        raw_pass(number, 1 + (size_t)(number & 7));
                else
                        attach(side, number % 40);
                break;
        case 30:
                has_fn = fuzz_byte(input) & 1;
                describe(side, timeouts[variant], has_fn);
                break;
        default:
                drain();
        }
}

/* From nothing to nothing ----------------------------------------------------------------------------- */

/* A ring is over a socket, whose one end is the parent of the other. */
enum transport { SOCKET, PIPES, OWN, RING, RING_OF_PARENT };

static void make_streams(enum transport transport, int fds[2][3])
{
        int one[2], two[2];

        if (transport == PIPES) {
                if (pipe2(one, O_CLOEXEC) < 0 || pipe2(two, O_CLOEXEC) < 0)
                        abort();
                memcpy(fds[0], (const int[]){ one[0], two[1], -1 }, sizeof fds[0]);
                memcpy(fds[1], (const int[]){ two[0], one[1], -1 }, sizeof fds[1]);
        } else {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, one) < 0)
                        abort();
                memcpy(fds[0], (const int[]){ one[0], one[0], -1 }, sizeof fds[0]);
                memcpy(fds[1], (const int[]){ one[1], one[1], -1 }, sizeof fds[1]);
        }
}

/* As a service has it, or NULL where there is no memory for it. */
static ferry_session *accept_session(struct side *side, int fd, const ferry_session_options *options)
{
        ferry_session *session = session_accept(side->loop, fd, options, "unix:somewhere");

        if (session)
                session_begin(session);
        return session;
}

/* As a process has it to its child, so that the other side may offer shared memory. */
static ferry_session *open_parent(struct side *side, const int fds[3], const ferry_session_options *options)
{
        static const struct session_owner owner = { .ended = NULL };
        const ferry_peer unknown = { .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };

        return session_open_process(side->loop, fds, options, "child", &unknown, &owner, NULL);
}

static void open_side(struct side *side, uint8_t about, enum transport transport, bool is_small, bool is_server, const int fds[3])
{
        const ferry_codec *codecs[] = { NULL, ferry_codec_php(), ferry_codec_json(), ferry_codec_msgpack() };
        ferry_session_options options = { .dialect = (unsigned)(about % 3), .codec = codecs[about >> 2 & 3], .fds = fds,
                                          .request_timeout_ms = 500 };

        if (transport == RING || transport == RING_OF_PARENT)
                options.shm = FERRY_SHM_ALWAYS;
        if (is_small) {
                options.queue_max = 3000;
                options.frame_max = 1500;
        }
        if (is_innmind)
                options.dialect = FERRY_DIALECT_INNMIND;
        if (is_server) {
                side->session = accept_session(side, fds[0], &options);
                FUZZ_REQUIRE(side->session, "no memory");
        } else if (transport == RING_OF_PARENT) {
                side->session = open_parent(side, fds, &options);
                FUZZ_REQUIRE(side->session, "no memory");
        } else if (transport == OWN) {
                side->own = (ferry_stream){ .fd = fds[0], .read = own_read, .write = own_write, .close = own_close };
                options.stream = &side->own;
                options.fds = NULL;
        }
        if (!side->session)
                side->session = ferry_session_open(side->loop, NULL, &options);
        if (ferry_session_status(side->session) < 0) {
                FUZZ_REQUIRE(about % 3 == 2 && (about >> 2 & 3) == 3, "%s", ferry_session_error(side->session));
                is_whole = false;
                close(fds[0]);
                if (fds[1] != fds[0])
                        close(fds[1]);
        }
        ferry_session_on(side->session, FERRY_KIND_MESSAGE | FERRY_KIND_ERROR | FERRY_KIND_JUNK | FERRY_KIND_CANCELLED |
                         FERRY_KIND_OPENED | FERRY_KIND_CLOSED, handle, side);
}

/* Whether what one side sends the other can read, whichever begins. */
static bool is_compatible(uint8_t a, uint8_t b)
{
        if (a % 3 != b % 3)
                return a % 3 < 2 && b % 3 < 2;
        /* In stream-ipc all is in the session's codec. */
        return a % 3 != 2 || (a >> 2 & 3) == (b >> 2 & 3);
}

/* Byte 0: bits 0 and 1 the streams (socket, pipes, the program's own, a ring), 2: a raw peer, 3: small limits, 4: one
 * loop for both, 5: the second loop is freed first, 6: innmind, 7: there the first side is the server. Bytes 1 and 2:
 * dialect (modulo 3) and codec (bits 2 and 3) of the sides; byte 3: the seed of pieces. */
static void set_up(struct fuzz_input *input, uint8_t about)
{
        uint8_t a = fuzz_byte(input), b = fuzz_byte(input);
        enum transport transport;
        int fds[2][3];

        memset(sides, 0, sizeof sides);
        call_count = next_n = next_part = depth = 0;
        piece_max = 0;
        seed = fuzz_byte(input);
        refusal_left = -1;
        is_refused = false;
        is_raw = about & 4;
        is_one_loop = about & 16 && !is_raw;
        is_innmind = about & 64;
        if (is_innmind)
                about &= (uint8_t)~1;
        is_whole = is_compatible(a, b) && !is_innmind;
        /* Each operation sends one message at most, and what handlers send is bounded by calls. */
        seen_max = (int)(input->end - input->at) + CALLS_MAX + 1;
        is_seen = calloc((size_t)seen_max, sizeof *is_seen);
        memset(pad, 'x', sizeof pad);
        signal(SIGPIPE, killed);
        door_stop_clock(0);
        door_judge = judge;
        door_limit = limit;
        transport = (enum transport)(about & 3);
        make_streams(transport, fds);
        for (int i = 0; i < 2; i++) {
                sides[i].last_n = -1;
                sides[i].raw_in = sides[i].raw_out = -1;
                sides[i].loop = i == 1 && is_one_loop ? sides[0].loop : ferry_loop_new(NULL);
                FUZZ_REQUIRE(sides[i].loop && is_seen, "no memory");
        }
        open_side(&sides[0], a, is_raw && transport == RING && seed & 1 ? RING_OF_PARENT : transport, about & 8,
                  is_innmind && about & 128, fds[0]);
        if (!is_raw) {
                open_side(&sides[1], b, transport == RING ? RING_OF_PARENT : transport, about & 8, is_innmind && !(about & 128), fds[1]);
                return;
        }
        sides[1].raw_in = fds[1][0];
        sides[1].raw_out = fds[1][1];
        fcntl(sides[1].raw_in, F_SETFL, O_NONBLOCK);
        fcntl(sides[1].raw_out, F_SETFL, O_NONBLOCK);
}

/* All that was asked for has come, or has ended. */
static void check_end(void)
{
        door_judge = NULL;
        piece_max = 0;
        /* A peer with too many requests in flight is not read; each round may bring more of them. */
        for (int i = 0; i < 2 * KEPT_MAX; i++) {
                sides[0].mode = sides[1].mode = 0;
                answer(&sides[i & 1], 0, 0);
        }
        drain();
        if (is_whole && !is_raw)
                for (int i = 0; i < 2; i++)
                        FUZZ_REQUIRE(other(&sides[i])->received == sides[i].sent, "%d of %d notifications have come",
                                     other(&sides[i])->received, sides[i].sent);
        for (int i = 0; i < 4; i++) {
                door_advance((int64_t)40000 * 1000000);
                drain();
        }
        for (int i = 0; i < call_count; i++) {
                const struct call *call = &calls[i];

                check_ended(call);
                if (call->is_freed || call->is_unknown_to_end || (!call->handle && !call->has_fn))
                        continue;
                FUZZ_REQUIRE(call->has_fn ? call->called == 1 || !call->handle : ferry_call_status(call->handle) != 1,
                             "call %d of request %d has not ended", i, call->n);
        }
}

static void tear_down(uint8_t about)
{
        int first = about >> 5 & 1;

        raw_close(false);
        while (sides[0].kept_count > 0)
                answer(&sides[0], 0, 0);
        /* Handlers run to the last. */
        ferry_loop_free(sides[is_one_loop ? 0 : first].loop);
        if (!is_one_loop)
                ferry_loop_free(sides[!first].loop);
        sides[0].session = sides[1].session = NULL;
        for (int i = 0; i < call_count; i++) {
                check_ended(&calls[i]);
                FUZZ_REQUIRE(!calls[i].handle || ferry_call_status(calls[i].handle) != 1, "a call outlives its loop");
                free_call(&calls[i]);
        }
        for (int i = 0; i < 2; i++)
                while (sides[i].kept_count > 0)
                        answer(&sides[i], 0, 2);
        free(is_seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_mark mark = fuzz_begin();
        struct fuzz_input input = { data, data + size };
        uint8_t about = fuzz_byte(&input);

        set_up(&input, about);
        while (input.at < input.end)
                step(&input);
        check_end();
        tear_down(about);
        fuzz_end(&mark);
        return 0;
}
