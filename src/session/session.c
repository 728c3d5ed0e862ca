/* The life of a session. Invariants: a session that could not be opened is one that has ended; the first error
 * stays; calls in flight end before FERRY_KIND_CLOSED is told, once; the stream is closed in the background, and its
 * child waited for, also when the program has forgotten the session. */
#include "session/session.h"

#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        REQUEST_TIMEOUT_DEFAULT_MS = 30000,
        CLOSE_TIMEOUT_DEFAULT_MS = 1000,
        QUEUE_DEFAULT_MAX = 16 << 20,
};

static const struct session_owner no_owner = { 0 };

void session_set_owner(ferry_session *session, const struct session_owner *owner, void *object)
{
        session->owner = owner ? owner : &no_owner;
        session->owner_object = object;
}

void *session_owner_object(const ferry_session *session, const struct session_owner *owner)
{
        return session->owner == owner ? session->owner_object : NULL;
}

void session_tell(const ferry_session *session)
{
        ferry_session *told = (ferry_session *)(uintptr_t)session;

        told->is_told = true;
        loop_failure_told(&told->failure);
}

/* Whether anything may still happen with it. */
static bool is_live(const ferry_session *session)
{
        switch (session->state) {
        case SESSION_OPEN:
                return stream_has_input(session->stream) || stream_is_ending(session->stream) ||
                       session->is_input_over || outbox_size(&session->out) > 0 || !list_is_empty(&session->calls);
        case SESSION_ENDED:
                return session->stream && !session->is_stream_closed;
        default:
                return true;
        }
}

/* Bring up to date what follows from the state: what the stream should tell, and whether the loop waits for us. */
void session_update(ferry_session *session)
{
        size_t sendable = session_sendable(session);
        /* What can never be sent does not wait for anything. */
        size_t held = session->held + (session->output_error ? 0 : sendable);
        bool is_closing = session->state == SESSION_CLOSING || session->state == SESSION_PEER_CLOSING;
        bool is_reading = session->state == SESSION_OPEN && held <= session->queue_max && !session->is_behind;

        if (session->is_freed || loop_is_foreign(session->loop))
                return;
        if (session->owner->counts &&
            !session->owner->counts(session, session->held + session->next_bytes + outbox_size(&session->out),
                                     frame_held(&session->readers[0])))
                is_reading = false;
        if (session->stream && session->stream->is_open && session->state != SESSION_ENDED) {
                stream_want_read(session->stream, is_reading || is_closing);
                stream_want_write(session->stream, sendable > 0 && !session->output_error);
        }
        if (is_live(session) == session->is_live)
                return;
        session->is_live = !session->is_live;
        session->loop->live += session->is_live ? 1 : (size_t)-1;
}

int session_status_for_sending(const ferry_session *session, struct error *error)
{
        if (loop_is_foreign(session->loop))
                return error_set(error, -ECHILD, "the session belongs to the parent of this process");
        if (session->state == SESSION_ENDED && session->error.code)
                return error_set(error, session->error.code, "%s", error_text(&session->error));
        if (session->state == SESSION_ENDED || session->state == SESSION_PEER_CLOSING)
                return error_set(error, -ENOTCONN, "the session has ended: %s", error_text(&session->error));
        if (session->state == SESSION_CLOSING && session->error.code)
                return error_set(error, session->error.code, "%s", error_text(&session->error));
        if (session->state == SESSION_CLOSING)
                return error_set(error, -ECANCELED, "the session is closed here");
        if (session->output_error)
                return stream_explain_failed_write(session->output_error, error);
        if (!stream_has_output(session->stream))
                return error_set(error, -EOPNOTSUPP, "this stream can only be read");
        return 0;
}

static int grace_ms(const ferry_session *session)
{
        return session->error.code || session->is_overdue || session->is_abandoned ? 0 : session->close_timeout_ms;
}

/* Its stream is closed to the end, or it never had one. */
static bool is_stream_gone(const ferry_session *session)
{
        return !session->stream || session->is_stream_closed;
}

/* FERRY_KIND_CLOSED, once, from a round of the loop. */
static void tell_closed(struct loop_task *task)
{
        ferry_session *session = container_of(task, ferry_session, work);
        const char *sentence = error_text(&session->error);

        /* How a child exits is part of it. */
        if (session->has_told_closed || (session->stream && stream_hears_child(session->stream)))
                return;
        session->has_told_closed = true;
        /* A handler may stop the loop with the errno, and then the loop is asked what it means. */
        if (session->error.code && !session->owner->expects_failures)
                error_replace(&session->loop->error, session->error.code, "%s", sentence);
        if (!session->is_probe)
                dispatch_text(session, FERRY_KIND_CLOSED, "", sentence, strlen(sentence));
        /* Neither a call nor a handler knows: run must say it. */
        if (!session->is_freed && session->error.code && !session->is_told && !session->owner->expects_failures &&
            !session->has_process_ended)
                loop_failure_add(session->loop, &session->failure, &session->error);
        if (!session->is_freed && session->owner->ended)
                session->owner->ended(session);
        if (!session->is_freed && session->is_forgotten && is_stream_gone(session))
                session_free(session);
}

static void finish(ferry_session *session, int grace)
{
        session->state = SESSION_ENDED;
        loop_timer_stop(session->loop, &session->close_timer);
        loop_timer_stop(session->loop, &session->heartbeat);
        calls_end(session, session->error.code ? session->error.code : -ECONNRESET, error_text(&session->error));
        /* Nothing more is handled but the end, after the callbacks of the calls that it has ended. */
        session->work.fn = tell_closed;
        if (session->work.link.next)
                list_remove(&session->work.link);
        loop_task_start(session->loop, &session->work);
        outbox_deinit(&session->out);
        if (session->stream)
                stream_close(session->stream, grace);
        session_update(session);
}

/* Whether the other side can still be told that we go, and suffers if it is not. */
static bool may_leave(const ferry_session *session)
{
        return (session->state == SESSION_OPENING || session->state == SESSION_OPEN) && session->stream &&
               session->stream->is_open && session->wire.dialect->has_start && !session->is_stream_closed &&
               !session->output_error && !session->is_input_over && !loop_is_foreign(session->loop);
}

/* It has failed. The end is the same as if it were closed here, but for what is told about it. */
static void leave(ferry_session *session)
{
        session->is_leaving = true;
        session->is_told = false;
        calls_end(session, session->error.code, error_text(&session->error));
        session->state = SESSION_CLOSING;
        session->has_said_goodbye = true;
        if (session_send_last(session, WIRE_CLOSE) < 0) {
                finish(session, 0);
                return;
        }
        loop_timer_start(session->loop, &session->close_timer, loop_deadline(session->close_timeout_ms));
        session_flush_now(session);
}

void session_finish(ferry_session *session, int code, const char *format, ...)
{
        char sentence[1024];
        va_list arguments;
        bool is_ours = session->state == SESSION_CLOSING, is_lost;

        if (session->state == SESSION_ENDED || session->is_freed)
                return;
        if (session->is_leaving) {
                finish(session, 0);
                return;
        }
        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        /* The queue's own errno is for programs that flush and try again. */
        if (code == -ENOBUFS)
                code = -ENOMEM;
        if (is_ours && outbox_size(&session->out) == 0)
                code = 0;
        is_lost = (!code || code == -ECONNRESET) && session_note_unsent(session, code != 0, sentence, sizeof sentence) < 0;
        if (is_lost)
                code = -ECONNRESET;
        if (code == -ECONNRESET)
                session_add_suspicion(session, sentence, sizeof sentence);
        if (code && may_leave(session)) {
                error_replace(&session->error, code, "%s", sentence);
                leave(session);
                return;
        }
        error_replace(&session->error, code, "%s", is_ours && !code ? "closed here" : sentence);
        session->is_told = is_ours && !is_lost;
        finish(session, grace_ms(session));
}

void session_stream_closed(ferry_session *session, int code, const char *sentence)
{
        session->is_stream_closed = true;
        if (code && !session->error.code) {
                error_replace(&session->error, code, "%s", sentence);
                session->is_told = session->is_forgotten;
        }
        if (session->state == SESSION_ENDED && !session->has_told_closed && !session->is_freed)
                loop_task_start(session->loop, &session->work);
        session_update(session);
        if (session->is_forgotten && session->has_told_closed && !session->is_freed)
                session_free(session);
}

/* Opening --------------------------------------------------------------------------------------------- */

/* Is this peer one to talk to? */
static bool is_allowed(ferry_session *session)
{
        const ferry_peer *peer = &session->stream->peer;
        uid_t own = sys_uid();

        session->stranger = session->stream->is_peer_known && own != 0 && peer->uid != own ? peer : NULL;
        if (!session->stream->is_peer_known || peer->uid == own || peer->uid == 0)
                return true;
        return session->options.allow && session->options.allow(session, peer, session->options.allow_userdata);
}

void session_opened(ferry_session *session)
{
        char text[64];

        if (!is_allowed(session)) {
                snprintf(text, sizeof text, "user %u is not allowed here", (unsigned)session->stream->peer.uid);
                if (session->is_server)
                        session_refuse_all(session, text);
                session_finish(session, -EACCES, "the other side runs as user %u, which is not allowed here",
                               (unsigned)session->stream->peer.uid);
                return;
        }
        /* It may have been closed here meanwhile: then only what is queued goes out. */
        if (session->state == SESSION_OPENING)
                session->state = SESSION_OPEN;
        if (session->wire.dialect->has_whole_frames)
                session->wire.send_max = stream_make_room(session->stream, session->wire.send_max);
        loop_task_start(session->loop, &session->work);
        session_update(session);
}

/* What is zero here is as the loop has it. */
static void inherit(ferry_session_options *options, const ferry_session_options *defaults)
{
#define INHERIT(field) options->field = options->field ? options->field : defaults->field
        INHERIT(dialect);
        INHERIT(codec);
        INHERIT(root);
        if (!options->make_id) {
                options->make_id = defaults->make_id;
                options->make_id_userdata = defaults->make_id_userdata;
        }
        if (!options->allow) {
                options->allow = defaults->allow;
                options->allow_userdata = defaults->allow_userdata;
        }
        INHERIT(request_timeout_ms);
        INHERIT(wait_ms);
        INHERIT(close_timeout_ms);
        INHERIT(answer_timeout_ms);
        INHERIT(heartbeat_ms);
        INHERIT(frame_max);
        INHERIT(queue_max);
        INHERIT(argv);
        INHERIT(env);
        INHERIT(directory);
        INHERIT(name_directory);
        INHERIT(fds);
        INHERIT(stream);
        INHERIT(is_unguarded);
        INHERIT(is_in_foreground);
#undef INHERIT
        if (!options->request_timeout_ms)
                options->request_timeout_ms = REQUEST_TIMEOUT_DEFAULT_MS;
}

/* What a session has of what the program gave, and of the loop's; 0, or a negative errno with a sentence. */
static int check_options(const ferry_loop *loop, ferry_session_options *target, const ferry_session_options *options,
                         struct wire *wire, struct error *error)
{
        if (options_copy_session(target, options, error) == 0 && loop->options_error.code)
                error_set(error, loop->options_error.code, "%s", error_text(&loop->options_error));
        inherit(target, &loop->session);
        wire_init(wire, target, error);
        return error->code;
}

int session_check_options(const ferry_loop *loop, const ferry_session_options *options, struct error *error)
{
        ferry_session_options all;
        struct wire wire;

        return check_options(loop, &all, options, &wire, error);
}

int session_default_timeout(const ferry_loop *loop)
{
        return loop->session.request_timeout_ms ? loop->session.request_timeout_ms : REQUEST_TIMEOUT_DEFAULT_MS;
}

size_t session_default_queue_max(const ferry_loop *loop)
{
        return loop->session.queue_max ? loop->session.queue_max : QUEUE_DEFAULT_MAX;
}

static void close_member(struct loop_member *member)
{
        ferry_session_close(container_of(member, ferry_session, member));
}

static void free_member(struct loop_member *member)
{
        session_free(container_of(member, ferry_session, member));
}

/* NULL if memory is out. Options that a session cannot have are an error, with which the caller ends it. */
static ferry_session *session_new(ferry_loop *loop, const ferry_session_options *options, const char *address,
                                  struct error *error)
{
        ferry_session *session = sys_alloc_zeroed(sizeof *session);

        if (!session)
                return NULL;
        session->address = text_copy(address);
        if (!session->address) {
                sys_free(session);
                return NULL;
        }
        session->loop = loop;
        session->owner = &no_owner;
        check_options(loop, &session->options, options, &session->wire, error);
        session->work.fn = session_work;
        session->close_timeout_ms = session->options.close_timeout_ms ? session->options.close_timeout_ms :
                                                                        CLOSE_TIMEOUT_DEFAULT_MS;
        session->stuck_at = UINT64_MAX;
        session->queue_max = session->options.queue_max ? session->options.queue_max : QUEUE_DEFAULT_MAX;
        session->is_debugged = secure_getenv("FERRY_DEBUG") != NULL;
        session->member.close = close_member;
        session->member.free = free_member;
        list_append(&loop->members, &session->member.link);
        outbox_init(&session->out);
        list_init(&session->calls);
        list_init(&session->messages);
        list_init(&session->next);
        list_init(&session->unasked);
        list_init(&session->handlers);
        map_init(&session->calls_by_id);
        map_init(&session->requests_by_id);
        session->close_timer.fn = session_close_is_late;
        heartbeat_init(session);
        return session;
}

void session_begin(ferry_session *session)
{
        struct error error = { 0 };

        for (int i = 0; i < STREAM_INPUTS; i++)
                frame_reader_init(&session->readers[i], session->wire.dialect->framing, session->stream->kind->has_junk,
                                  wire_read_max(&session->wire), wire_can_begin);
        if (session_send_greeting(session, &error) < 0)
                session_finish(session, error.code, "%s", error_text(&error));
        error_deinit(&error);
        if (session->stream->is_open && session->state == SESSION_OPENING)
                session_opened(session);
        if (session->state == SESSION_OPEN)
                session_flush_now(session);
        if (!session->is_freed)
                session_update(session);
}

void session_greeted(ferry_session *session)
{
        session->is_greeted = true;
        heartbeat_update(session);
        loop_task_start(session->loop, &session->work);
        session_flush_now(session);
}

ferry_session *ferry_session_open(ferry_loop *loop, const char *address, const ferry_session_options *options)
{
        struct error error = { 0 };
        struct stream_place place = { .loop = loop, .owner = &session_stream_owner };
        ferry_session *session;
        int code;

        if (!loop || loop_is_elsewhere(loop))
                return NULL;
        session = session_new(loop, options, address ? address : "", &error);
        if (!session)
                return NULL;
        place.object = session;
        loop_enter(loop);
        if (loop_is_foreign(loop))
                code = error_replace(&error, -ECHILD, "the loop belongs to the parent of this process");
        else if (loop->is_ending)
                code = error_replace(&error, -ECANCELED, "the loop is being freed");
        else
                code = error.code;
        if (!code)
                code = stream_open(&place, address, &session->options, &session->stream, &error);
        if (!code)
                session_begin(session);
        else
                session_finish(session, code, "%s", error_text(&error));
        error_deinit(&error);
        /* Who was asked whether the peer may be there may have let go of it. */
        if (session->is_freed)
                session = NULL;
        loop_leave(loop);
        return session;
}

ferry_session *session_open_process(ferry_loop *loop, const int fds[2], const ferry_session_options *options,
                                    const char *address, const ferry_peer *peer, const struct session_owner *owner, void *object)
{
        struct stream_place place = { .loop = loop, .owner = &session_stream_owner };
        struct error error = { 0 };
        ferry_session *session = session_new(loop, options, address, &error);
        int code = session ? error.code : -ENOMEM;

        place.object = session;
        if (!code)
                code = stream_open_relative(&place, fds, peer, owner != NULL, &session->stream, &error);
        if (code) {
                sys_close(fds[0]);
                if (fds[1] != fds[0])
                        sys_close(fds[1]);
        }
        if (session) {
                session_set_owner(session, owner, object);
                loop_enter(loop);
                if (code)
                        session_finish(session, code, "%s", error_text(&error));
                else
                        session_begin(session);
                loop_leave(loop);
        }
        error_deinit(&error);
        return session;
}

ferry_session *session_accept(ferry_loop *loop, int fd, const ferry_session_options *options, const char *address)
{
        struct stream_place place = { .loop = loop, .owner = &session_stream_owner };
        struct error error = { 0 };
        ferry_session *session = session_new(loop, options, address, &error);
        int code = error.code;

        if (!session) {
                sys_close(fd);
                return NULL;
        }
        place.object = session;
        session->is_server = true;
        if (!code)
                code = stream_accept(&place, fd, &session->stream);
        error_deinit(&error);
        if (code) {
                sys_close(fd);
                session_free(session);
                return NULL;
        }
        return session;
}

ferry_session *session_open_probe(ferry_loop *loop, int fd, unsigned dialect)
{
        const ferry_session_options options = { .size = sizeof options, .dialect = dialect };
        ferry_session *probe = session_accept(loop, fd, &options, "");
        uint64_t ping;

        if (!probe)
                return NULL;
        session_tell(probe);
        probe->is_server = false;
        probe->is_probe = true;
        session_begin(probe);
        if (!session_has_answered(probe))
                session_send_ping(probe, &ping);
        return probe;
}

bool session_has_answered(const ferry_session *probe)
{
        return probe->is_freed || probe->state == SESSION_ENDED || probe->pong > 0;
}

/* Closing --------------------------------------------------------------------------------------------- */

/* Once all is sent, or the time is over. */
static void finish_closing(ferry_session *session)
{
        bool is_complete = outbox_size(&session->out) == 0;
        int grace = session->is_overdue || session->is_abandoned || !is_complete ? 0 : session->close_timeout_ms;

        if (!session->is_leaving)
                error_replace(&session->error, is_complete ? 0 : -ETIMEDOUT, "%s", is_complete ? "closed here" :
                              "closed here before all was sent");
        finish(session, grace);
}

/* For each answer once the input has ended. */
static int answer_timeout(const ferry_session *session)
{
        return session->options.answer_timeout_ms ? session->options.answer_timeout_ms : session->close_timeout_ms;
}

/* A peer that goes meanwhile is seen only by looking: nothing is read from it any more. */
static void await_answer(ferry_session *session)
{
        int64_t look = loop_deadline(session->close_timeout_ms);

        loop_timer_start(session->loop, &session->close_timer, look < session->answer_deadline ? look : session->answer_deadline);
}

/* While it waits for answers, and then for the peer to read the last of them. */
void session_start_draining_timer(ferry_session *session)
{
        session->answer_deadline = loop_deadline(session->unanswered > 0 ? answer_timeout(session) : session->close_timeout_ms);
        await_answer(session);
}

void session_close_is_late(struct loop_timer *timer)
{
        ferry_session *session = container_of(timer, ferry_session, close_timer);

        if (session->state == SESSION_CLOSING)
                finish_closing(session);
        else if (session->state == SESSION_DRAINING && session->unanswered > 0 && !stream_is_read(session->stream))
                session_finish(session, -ECONNRESET, "the other side has gone before it was answered");
        else if (session->state == SESSION_DRAINING && timer->deadline < session->answer_deadline)
                await_answer(session);
        else if (session->state == SESSION_DRAINING && session->unanswered > 0)
                session_finish(session, -ETIMEDOUT, "%zu requests were not answered within %g s after the other side had ended",
                               session->unanswered, answer_timeout(session) / 1000.0);
        else if (session->state == SESSION_DRAINING)
                session_finish(session, -ECONNRESET, "the other side has stopped reading what it asked for");
        else
                session_finish(session, 0, "the other side has closed the session");
}

/* A peer that goes in order may leave answers behind; a disk that is full, or what else fails, may not. */
void session_note_lost_output(ferry_session *session)
{
        struct error error = { 0 };
        bool is_lost = outbox_size(&session->out) > 0 || session->unanswered > 0;

        if (session->end_code || !session->output_error || !is_lost || session->output_error == -EPIPE ||
            session->output_error == -ECONNRESET)
                return;
        session->end_code = stream_explain_failed_write(session->output_error, &error);
        sys_free(session->end_sentence);
        session->end_sentence = text_copy(error_text(&error));
        error_deinit(&error);
}

void session_check_closing(ferry_session *session)
{
        /* Who has answered that it knows reads no more: what is left is not waited for. */
        bool is_done = outbox_size(&session->out) == 0 ||
                       (session->state == SESSION_CLOSING && session->has_close_answer && session->out.frame_left == 0);
        bool is_known = !session->wire.dialect->has_start || session->has_close_answer || session->output_error ||
                        session->is_input_over || !session->has_said_goodbye;

        if (session->state == SESSION_CLOSING && is_done && is_known)
                finish_closing(session);
        else if (session->state == SESSION_DRAINING &&
                 ((is_done && session->unanswered == 0) || session->output_error)) {
                session_note_lost_output(session);
                session_finish(session, session->end_code, "%s",
                               session->end_sentence ? session->end_sentence : error_describe(-ENOMEM));
        }
}

/* Both sides have said, or say now, that they go. */
void session_answer_close(ferry_session *session)
{
        char sentence[128] = "the other side has closed the session";
        int code;

        if (!session->is_greeted && !session->is_server) {
                /* Nothing can be said to it. */
                session->is_input_over = true;
                session_finish(session, -ECONNRESET, "%s before it has begun", sentence);
                return;
        }
        if (session->state == SESSION_OPEN)
                calls_end(session, -ECONNRESET, sentence);
        /* What stands behind the frame that is being sent is not sent any more. */
        code = session->state == SESSION_OPEN ? session_note_unsent(session, false, sentence, sizeof sentence) : 0;
        if (session_send_last(session, WIRE_CLOSE_OK) < 0) {
                session_finish(session, -ENOMEM, "no memory to answer that the session is closed");
                return;
        }
        session->has_close_answer = true;
        if (session->state == SESSION_OPEN) {
                /* Its end may have been read already, while a handler waited. */
                sys_free(session->end_sentence);
                session->end_sentence = text_copy(sentence);
                session->end_code = code;
                session->is_input_over = true;
                session->state = SESSION_DRAINING;
                session_start_draining_timer(session);
        }
        session_flush_now(session);
}

static void say_goodbye(ferry_session *session)
{
        struct outgoing goodbye = { .kind = WIRE_CLOSE, .codec = ferry_codec_msgpack() };
        ferry_value *body;
        struct error error = { 0 };
        const struct wire *wire = &session->wire;

        /* To one who has not spoken yet nothing was said either. And where nothing comes back, as in a file, another
         * may write behind us. */
        if (wire->dialect->has_start && session->state == SESSION_OPENING && session->sent == 0) {
                /* Nobody has been disturbed yet. */
                outbox_drop(&session->out);
                return;
        }
        if (wire->dialect->has_close && (session->sent > 0 || session->has_hello || wire->is_dialect_fixed) &&
            (stream_has_input(session->stream) || wire->dialect->has_start) &&
            session_status_for_sending(session, &error) == 0) {
                body = wire->dialect->has_cancel ? farewell_new(session) : NULL;
                goodbye.body = body;
                session->has_said_goodbye = session_send(session, &goodbye, true, NULL, &error) == 0;
                /* It may list more than the other side takes. */
                goodbye.body = NULL;
                if (!session->has_said_goodbye && body)
                        session->has_said_goodbye = session_send(session, &goodbye, true, NULL, &error) == 0;
                ferry_value_unref(body);
        }
        error_deinit(&error);
}

static int begin_closing(ferry_session *session)
{
        struct error lost = { 0 };
        int timeout_ms;

        if (session->state == SESSION_ENDED) {
                session_tell(session);
                return session->error.code;
        }
        /* It has failed, and only waits for the other side to know. */
        if (session->is_leaving && session->state == SESSION_CLOSING) {
                session_tell(session);
                return session->error.code;
        }
        /* Refusing what waits settles requests, and who is told of that may close it, too. */
        if (session->state == SESSION_CLOSING || session->is_freed || session->is_refusing)
                return 0;
        session->is_refusing = true;
        timeout_ms = (session->is_overdue || session->stuck_at == session->out.begin) && !session->wire.dialect->has_start ?
                             0 : session->close_timeout_ms;
        session_refuse_rest(session);
        /* A child that has not answered yet may never come to notice that nobody listens. What is queued is sent all
         * the same. */
        session->is_abandoned = !list_is_empty(&session->calls);
        calls_end(session, -ECANCELED, "the session is closed here");
        /* What was taken, and will never leave, is not passed over. */
        if (session->output_error && outbox_size(&session->out) > 0)
                stream_explain_failed_write(session->output_error, &lost);
        if (session->state == SESSION_OPEN && lost.code)
                session_finish(session, lost.code, "%s, and not all was sent", error_text(&lost));
        else if (session->state == SESSION_OPEN || (session->state == SESSION_OPENING && session->wire.dialect->has_start))
                say_goodbye(session);
        error_deinit(&lost);
        if (session->state == SESSION_ENDED) {
                session_tell(session);
                return session->error.code;
        }
        session->state = SESSION_CLOSING;
        if (session->output_error || !stream_has_output(session->stream))
                outbox_drop(&session->out);
        loop_timer_start(session->loop, &session->close_timer, loop_deadline(timeout_ms));
        session_update(session);
        session_check_closing(session);
        return 0;
}

int ferry_session_close(ferry_session *session)
{
        ferry_loop *loop;
        int code;

        if (!session)
                return -ENOMEM;
        loop = session->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        loop_enter(loop);
        code = begin_closing(session);
        loop_leave(loop);
        return code;
}

static void bury(struct loop_grave *grave)
{
        ferry_session *session = container_of(grave, ferry_session, grave);

        handlers_free(&session->handlers);
        error_deinit(&session->error);
        error_deinit(&session->notify_sentence);
        /* A codec of the program may still be reading what it was lent. */
        for (int i = 0; i < STREAM_INPUTS; i++)
                frame_reader_deinit(&session->readers[i]);
        sys_free(session->address);
        sys_free(session->end_sentence);
        sys_free(session);
}

void session_free(ferry_session *session)
{
        bool is_foreign = loop_is_foreign(session->loop);

        if (session->is_freed)
                return;
        calls_end(session, is_foreign ? -ECHILD : -ECANCELED, "the session is gone");
        session_tell(session);
        session_drop_next(session);
        list_for_each(&session->messages, link)
                message_forget_session(container_of(link, ferry_message, link));
        session->is_freed = true;
        if (session->is_live)
                session->loop->live--;
        if (session->owner->freed)
                session->owner->freed(session);
        session_set_owner(session, NULL, NULL);
        list_remove(&session->member.link);
        if (session->work.link.next)
                list_remove(&session->work.link);
        loop_timer_stop(session->loop, &session->close_timer);
        loop_timer_stop(session->loop, &session->heartbeat);
        if (session->stream)
                stream_free(session->stream);
        outbox_deinit(&session->out);
        map_deinit(&session->calls_by_id);
        map_deinit(&session->requests_by_id);
        loop_bury(session->loop, &session->grave, bury);
}

ferry_session *ferry_session_free(ferry_session *session)
{
        ferry_loop *loop;

        if (!session || loop_is_elsewhere(session->loop) || session->is_freed || session->is_forgotten)
                return NULL;
        loop = session->loop;
        session->is_forgotten = true;
        if (loop_is_foreign(session->loop)) {
                session_free(session);
                return NULL;
        }
        loop_enter(loop);
        handlers_remove_all(loop, &session->handlers);
        ferry_session_close(session);
        session_tell(session);
        if (session->state == SESSION_ENDED && session->has_told_closed && is_stream_gone(session))
                session_free(session);
        loop_leave(loop);
        return NULL;
}

/* The program's own calls ------------------------------------------------------------------------------ */

int ferry_session_notify(ferry_session *session, const char *type, const char *format, ...)
{
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = type };
        struct error error = { 0 };
        ferry_loop *loop;
        va_list arguments;
        int code;

        if (!session)
                return -ENOMEM;
        loop = session->loop;
        if (loop_is_elsewhere(loop))
                return -EPERM;
        loop_enter(loop);
        va_start(arguments, format);
        code = session_status_for_sending(session, &error);
        if (!code)
                code = session_send_template(session, &outgoing, false, NULL, &error, format, arguments);
        va_end(arguments);
        if (code && !session->notify_error) {
                session->notify_error = code;
                error_replace(&session->notify_sentence, code, "%s", error_text(&error));
        }
        error_deinit(&error);
        loop_leave(loop);
        return code;
}

int ferry_session_status(const ferry_session *session)
{
        if (!session)
                return -ENOMEM;
        if (loop_is_elsewhere(session->loop))
                return -EPERM;
        if (session->state != SESSION_ENDED)
                return session->state != SESSION_CLOSING ? 1 : session->error.code;
        if (session->error.code)
                session_tell(session);
        return session->error.code;
}

const char *ferry_session_error(const ferry_session *session)
{
        if (!session)
                return error_describe(-ENOMEM);
        if (loop_is_elsewhere(session->loop))
                return loop_elsewhere;
        if (session->error.code)
                session_tell(session);
        return session->error.code || !session->notify_sentence.code ? error_text(&session->error) :
                                                                       error_text(&session->notify_sentence);
}

const char *ferry_session_address(const ferry_session *session)
{
        return session ? session->address : "";
}

ferry_peer ferry_session_peer(const ferry_session *session)
{
        if (!session || loop_is_elsewhere(session->loop) || !session->stream)
                return (ferry_peer){ .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        return session->stream->peer;
}

ferry_value *ferry_session_info(const ferry_session *session)
{
        ferry_peer peer = ferry_session_peer(session);
        const struct wire *wire;

        if (!session || loop_is_elsewhere(session->loop))
                return NULL;
        wire = &session->wire;
        return ferry_value_pack("{address: %s, dialect: %s, codec: %s, stream: %s, pid: %d, uid: %ld, gid: %ld,"
                                " sent: %llu, received: %llu, queued: %zu, in_flight: %zu, dropped: %llu,"
                                " junk: %llu}",
                                session->address, wire->dialect ? wire->dialect->name : NULL,
                                wire->codec ? wire->codec->name : NULL,
                                session->stream ? session->stream->kind->name : NULL, (int)peer.pid,
                                peer.pid < 0 ? -1L : (long)peer.uid, peer.pid < 0 ? -1L : (long)peer.gid,
                                (unsigned long long)session->sent, (unsigned long long)session->received,
                                outbox_queued(&session->out), list_count(&session->calls),
                                (unsigned long long)session->dropped, (unsigned long long)session->junk);
}

ferry_loop *ferry_session_loop(const ferry_session *session)
{
        return session ? session->loop : NULL;
}

void ferry_session_set_userdata(ferry_session *session, void *userdata)
{
        if (session && !loop_is_elsewhere(session->loop))
                session->userdata = userdata;
}

void *ferry_session_userdata(const ferry_session *session)
{
        return session && !loop_is_elsewhere(session->loop) ? session->userdata : NULL;
}
