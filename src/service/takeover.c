/* Taking the place of a service. Invariants: the other service goes on unless all sockets have been claimed here; what it sends is
 * checked, as what any peer sends; it is of the same user, as this side is to it. */
#include "service/takeover.h"

#include "session/session.h"
#include "wire/dialect.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/un.h>

enum {
        DESCRIPTORS_MAX = SERVICE_LISTENERS_MAX * 2,    /* with their locks */
        FRAME_MAX = 1 << 16,
};

struct takeover {
        ferry_loop *loop;
        const char *path;               /* as long as it is asked for */
        int timeout_ms;
        struct loop_source source;      /* the connection */
        struct loop_timer timer;
        struct wire wire;
        struct frame_reader reader;
        struct passing *passing;        /* descriptors that have come; NULL until some have */
        int fds[DESCRIPTORS_MAX];
        size_t count, given;            /* of these; what a listener has is -1 */
        ferry_value *offer;             /* what they are: a list of maps, in their order */
        bool has_ended;                 /* the other side has closed the connection */
        int code;                       /* why it cannot be done … */
        struct error reason;            /* … in words */
};

/* There is one. */
static const struct dialect *find_dialect(void)
{
        size_t i = 0;

        while (!wire_dialect_at(i)->has_hand_over)
                i++;
        return wire_dialect_at(i);
}

static void fail(struct takeover *takeover, int code, const char *sentence)
{
        if (!takeover->code) {
                takeover->code = code;
                error_set(&takeover->reason, code, "%s", sentence);
        }
}

/* Reading ------------------------------------------------------------------------------------------------- */

static void take_body(struct takeover *takeover, const struct frame *frame, const struct incoming *in, ferry_value **ret)
{
        size_t offset;

        *ret = NULL;
        if (in->codec && in->body_size > 0 && codec_decode(in->codec, frame->bytes + in->body_offset, in->body_size, ret, &offset) == -ENOMEM)
                fail(takeover, -ENOMEM, "no memory for what the service has sent");
}

static void fail_too_large(struct takeover *takeover)
{
        fail(takeover, -EBADMSG, "the service has sent a frame over the limit of 65536 bytes");
}

static void hear(struct takeover *takeover, const struct frame *frame)
{
        struct error error = { 0 };
        struct incoming in = { .kind = WIRE_UNKNOWN };
        ferry_value *body = NULL;

        if (frame->event == FRAME_TOO_LARGE)
                fail_too_large(takeover);
        else if (frame->event != FRAME_WHOLE || takeover->wire.dialect->read(&takeover->wire, frame->bytes, frame->size, &in, &error) < 0)
                fail(takeover, -EBADMSG, "the service has sent bytes that are not a frame");
        else if (in.kind == WIRE_REFUSED) {
                take_body(takeover, frame, &in, &body);
                fail(takeover, -EACCES, ferry_value_text(body, "it was refused without a reason"));
                ferry_value_unref(body);
        } else if (in.kind == WIRE_HANDED_OVER && !takeover->offer) {
                take_body(takeover, frame, &in, &takeover->offer);
                if (!takeover->offer || ferry_value_count(takeover->offer) == 0)
                        fail(takeover, -EBADMSG, "the service has not said what it hands over");
        } else if (in.kind == WIRE_CLOSE)
                takeover->has_ended = true;
        ferry_value_unref(in.value);
        error_deinit(&error);
}

/* More than fit are closed. */
static void keep_descriptors(struct takeover *takeover)
{
        struct passed *passed;

        while ((passed = passing_take(takeover->passing))) {
                for (size_t i = 0; i < passed->count && takeover->count < DESCRIPTORS_MAX; i++) {
                        takeover->fds[takeover->count++] = passed->fds[i];
                        passed->fds[i] = -1;
                }
                passed_free(passed);
        }
}

static ssize_t receive(struct takeover *takeover)
{
        size_t size;
        void *room = frame_reserve(&takeover->reader, &size);
        ssize_t got = room ? passing_receive(&takeover->passing, takeover->source.fd, INT_MAX, room, size) : -ENOMEM;

        if (room)
                frame_commit(&takeover->reader, got > 0 ? (size_t)got : 0);
        keep_descriptors(takeover);
        return got;
}

static void is_readable(struct loop_source *source, uint32_t events)
{
        struct takeover *takeover = container_of(source, struct takeover, source);
        struct frame frame;
        ssize_t got = receive(takeover);
        int code = 0;

        (void)events;
        if (got == -EAGAIN)
                return;
        if (got <= 0)
                takeover->has_ended = true;
        if (got < 0 && got != -ECONNRESET)
                fail(takeover, (int)got, error_describe((int)got));
        while (!takeover->code && (code = frame_next(&takeover->reader, &frame)) > 0) {
                hear(takeover, &frame);
                block_unref(frame.block);
        }
        if (code < 0)
                fail(takeover, code, "the service has sent bytes that are not a frame");
        else if (frame_begins_too_large(&takeover->reader))
                fail_too_large(takeover);
        if (takeover->has_ended || takeover->code)
                loop_source_set(source, 0);
}

static void is_late(struct loop_timer *timer)
{
        fail(container_of(timer, struct takeover, timer), -ETIMEDOUT, "the service has not answered in time");
}

/* Asking -------------------------------------------------------------------------------------------------- */

static bool is_answered(void *object)
{
        const struct takeover *takeover = object;

        return takeover->code || takeover->offer || takeover->has_ended;
}

static bool is_over(void *object)
{
        const struct takeover *takeover = object;

        return takeover->code || takeover->has_ended;
}

/* Run the loop; the other service may live in it. */
static void wait(struct takeover *takeover, bool (*is_done)(void *object))
{
        int code;

        loop_timer_start(takeover->loop, &takeover->timer, loop_deadline(takeover->timeout_ms));
        loop_enter(takeover->loop);
        code = loop_wait(takeover->loop, INT64_MAX, is_done, takeover, NULL);
        loop_leave(takeover->loop);
        if (code < 0)
                fail(takeover, code, error_describe(code));
        else
                loop_timer_stop(takeover->loop, &takeover->timer);
}

static void destroy(struct takeover *takeover)
{
        loop_timer_stop(takeover->loop, &takeover->timer);
        if (takeover->source.fd >= 0) {
                loop_source_set(&takeover->source, 0);
                sys_close(takeover->source.fd);
        }
        for (size_t i = 0; i < takeover->count; i++)
                if (takeover->fds[i] >= 0)
                        sys_close(takeover->fds[i]);
        passing_free(takeover->passing);
        frame_reader_deinit(&takeover->reader);
        ferry_value_unref(takeover->offer);
        error_deinit(&takeover->reason);
        sys_free(takeover);
}

static int connect_to(struct takeover *takeover, struct error *error)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct ucred peer = { .uid = (uid_t)-1 };
        int fd = sys_socket(AF_UNIX, SOCK_STREAM), code;
        uid_t own = sys_uid();

        if (fd < 0)
                return fd == -ENOBUFS ? -ENOMEM : fd;
        takeover->source.fd = fd;
        memcpy(address.sun_path, takeover->path, strlen(takeover->path) + 1);
        code = sys_connect(fd, (const struct sockaddr *)&address, sizeof address);
        if (!code)
                code = sys_get_socket_option(fd, SO_PEERCRED, &peer, sizeof peer);
        if (!code && peer.uid != own)
                code = error_set(error, -EACCES, "cannot take over '%s': the service there runs as user %u, and this process as user %u",
                                 takeover->path, (unsigned)peer.uid, (unsigned)own);
        return code ? code : loop_source_set(&takeover->source, EPOLLIN);
}

static int send_kind(struct takeover *takeover, enum wire_kind kind)
{
        const struct outgoing outgoing = { .kind = kind };
        struct buffer frame = { 0 };
        struct error error = { 0 };
        int code = takeover->wire.dialect->write(&takeover->wire, &frame, &outgoing, &error);

        /* So little fits into an empty socket. */
        while (!code && buffer_size(&frame) > 0) {
                ssize_t put = sys_send(takeover->source.fd, buffer_bytes(&frame), buffer_size(&frame));

                if (put > 0)
                        buffer_consume(&frame, (size_t)put);
                else
                        code = put == -ENOBUFS ? -ENOMEM : put < 0 ? (int)put : -EPIPE;
        }
        buffer_deinit(&frame);
        error_deinit(&error);
        return code;
}

static struct takeover *takeover_new(ferry_loop *loop, const char *path, int timeout_ms)
{
        struct takeover *takeover = sys_alloc_zeroed(sizeof *takeover);

        if (!takeover)
                return NULL;
        takeover->loop = loop;
        takeover->path = path;
        takeover->timeout_ms = timeout_ms;
        takeover->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = is_readable };
        takeover->timer.fn = is_late;
        takeover->wire = (struct wire){ .dialect = find_dialect(), .frame_max = FRAME_MAX, .send_max = FRAME_MAX, .peer_max = SIZE_MAX };
        frame_reader_init(&takeover->reader, takeover->wire.dialect->framing, false, FRAME_MAX, takeover->wire.dialect->can_begin);
        return takeover;
}

int takeover_begin(struct takeover **ret_takeover, ferry_loop *loop, const char *path, int timeout_ms, struct error *error)
{
        struct takeover *takeover = takeover_new(loop, path, timeout_ms);
        int code = takeover ? connect_to(takeover, error) : -ENOMEM;

        *ret_takeover = NULL;
        if (code == -ENOENT || code == -ECONNREFUSED) {
                destroy(takeover);
                return 0;
        }
        if (!code)
                code = send_kind(takeover, WIRE_TAKE_OVER);
        if (!code) {
                wait(takeover, is_answered);
                code = takeover->code;
                if (!code && !takeover->offer)
                        code = error_set(error, -ECONNRESET, "cannot take over '%s': the service there has closed the connection: it"
                                                             " speaks another dialect, or cannot hand over", path);
        }
        if (code) {
                error_set(error, code, "cannot take over '%s': %s", path,
                          takeover && takeover->code ? error_text(&takeover->reason) : error_describe(code));
                if (takeover)
                        destroy(takeover);
                return code;
        }
        *ret_takeover = takeover;
        return 0;
}

/* Taking -------------------------------------------------------------------------------------------------- */

int takeover_give(struct takeover *takeover, struct listener *listener, const char *address, const struct listener_options *options,
                  struct error *error)
{
        char path[sizeof ((struct sockaddr_un *)NULL)->sun_path];
        int code = listener_find(listener, address, options, path, sizeof path, error);
        size_t at = 0;

        for (size_t i = 0; !code && i < ferry_value_count(takeover->offer); i++) {
                const ferry_value *item = ferry_value_at(takeover->offer, i);
                bool has_lock = ferry_value_bool(ferry_value_get(item, "lock"), false);
                size_t size = has_lock ? 2 : 1;

                if (strcmp(ferry_value_text(ferry_value_get(item, "path"), ""), path) == 0 && at + size <= takeover->count &&
                    takeover->fds[at] >= 0) {
                        code = listener_inherit(listener, path, takeover->fds[at], has_lock ? takeover->fds[at + 1] : -1, error);
                        if (!code) {
                                takeover->fds[at] = -1;
                                if (has_lock)
                                        takeover->fds[at + 1] = -1;
                                takeover->given += size;
                        }
                        return code;
                }
                at += size;
        }
        return code ? code : error_set(error, -EINVAL, "cannot take over '%s': the service there does not listen at it", path);
}

int takeover_end(struct takeover *takeover, struct listener *listeners, size_t count, int code, struct error *error)
{
        if (!code && takeover->given != takeover->count)
                code = error_set(error, -EINVAL, "cannot take over: the service listens at more sockets, for other dialects");
        for (size_t i = 0; !code && i < count; i++) {
                code = listener_claim(&listeners[i]);
                if (code)
                        error_set(error, code, "cannot claim the lock of '%s': %s", listeners[i].address, error_describe(code));
        }
        if (!code) {
                /* This service listens now, also if its predecessor has ended meanwhile. */
                if (send_kind(takeover, WIRE_TAKEN) == 0)
                        wait(takeover, is_over);
        } else
                /* They are still the other's. */
                for (size_t i = 0; i < count; i++)
                        listener_leave(&listeners[i]);
        destroy(takeover);
        return code;
}
