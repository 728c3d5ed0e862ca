/* What the program sends: notifications; and requests, which end by their reply, their deadline, or by being let go. */
#include "session/private.h"
#include "loop/child.h"
#include "util/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Where there are no ids, an answer that came late would be taken for that of the next request. */
static void give_up(ferry_session *session, enum ferry_outcome outcome, int code, const char *what)
{
        if (outcome != FERRY_OUTCOME_UNKNOWN || !session || session->wire.dialect->has_ids)
                return;
        session_tell(session);
        session_finish(session, code, "%s, and its answer would be taken for that of the next request", what);
        session_tell(session);
}

static void is_late(struct loop_timer *timer)
{
        ferry_call *call = container_of(timer, ferry_call, timer);
        ferry_session *session = call->session;
        const struct wire *wire;
        char hint[160] = "", stop[128];
        enum ferry_outcome outcome;

        if (!session) {
                call_end(call, -ETIMEDOUT, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                         "no child was free to take the request within %g s", call->wait_ms / 1000.0);
                return;
        }
        /* An answer that has come in time is one, however late it is looked at. */
        if (!session_has_caught_up(session, &call->deadline_mark)) {
                loop_timer_postpone(call->loop, timer);
                return;
        }
        wire = &session->wire;
        session->overdue_at = session->in.events;
        if (session->phase == SESSION_LOST)
                snprintf(hint, sizeof hint, "; the session is not connected");
        else if (session->phase == SESSION_CONNECTING)
                snprintf(hint, sizeof hint, "; the listener has not accepted the connection yet");
        else if (session->stream->kind->describe_stop && session->stream->kind->describe_stop(session->stream, stop, sizeof stop))
                snprintf(hint, sizeof hint, "; the child %s", stop);
        else if (!session_is_greeted(session))
                snprintf(hint, sizeof hint, "; the other side has not begun as a server of the dialect %s begins",
                         wire->dialect->name);
        else if (wire->peer_dialect && wire->peer_dialect != call->dialect)
                snprintf(hint, sizeof hint, "; the other side speaks the dialect %s", wire->peer_dialect->name);
        else if (!wire->dialect->has_errors && !wire->dialect->has_start) {
                snprintf(hint, sizeof hint, "; in the dialect %s a side that does not know the type", wire->dialect->name);
                call_append_type(hint, sizeof hint, "", call, " says nothing");
        }
        outcome = call_abandon(call);
        if (outcome == FERRY_OUTCOME_UNKNOWN && wire->dialect->has_acceptance)
                accepted_describe(call, hint, sizeof hint);
        call_end(call, -ETIMEDOUT, outcome, NULL, "no answer within %g s%s", call->timeout_ms / 1000.0, hint);
        give_up(session, outcome, -ETIMEDOUT, "a request has timed out");
        session_update(session);
}

static int make_id(ferry_call *call, struct error *error)
{
        ferry_session *session = call->session;
        size_t size;
        int code;

        if (!session->wire.dialect->has_ids)
                return 0;
        if (session->settings.make_id && !session->wire.dialect->has_hello) {
                memset(call->id, 0, sizeof call->id);
                code = session->settings.make_id(session, call->id, sizeof call->id, session->settings.make_id_userdata);
                if (code < 0)
                        return error_set(error, code, "cannot create an id for the request: %s", error_describe(code));
                if (call->status != 1)
                        return error_set(error, call->status, "the session was closed while its program created an id");
                size = strnlen(call->id, sizeof call->id - 1);
        } else
                size = session->wire.dialect->make_id(&session->wire, call->id);
        /* Ids by our own counter are new; a generator may repeat itself. */
        if (size == 0 || (session->settings.make_id && map_find(&session->calls_by_id, call->id, size)))
                return error_set(error, -EINVAL, "the id '%s' is empty, or another request uses it", call->id);
        call->node.key = call->id;
        call->node.key_size = size;
        map_add(&session->calls_by_id, &call->node);
        return 0;
}

/* What is the same for all: it is the session's from now on. */
static int join_session(ferry_call *call, struct outgoing *outgoing, struct error *error)
{
        ferry_session *session = call->session;
        int code = session_can_send(session) ? 0 : session_status_for_sending(session, error);

        if (!code && session->phase == SESSION_DRAINING)
                code = error_set(error, -ECONNRESET, "no answer can come: the other side has ended its output");
        if (!code)
                code = make_id(call, error);
        if (code)
                return code;
        /* While the id was made others may have been sent. */
        if (session->calls.previous != &call->link) {
                list_remove(&call->link);
                list_append(&session->calls, &call->link);
        }
        outgoing->id = call->id;
        outgoing->id_size = call->node.key_size;
        call->dialect = session->wire.dialect;
        if (call->type || !outgoing->type || (call->dialect->has_errors && !call->dialect->has_implied_types))
                return 0;
        /* Where it is for the sentence of a failure that the other side cannot explain, that is shorter without memory. */
        if (call_set_type(call, outgoing->type) < 0 && call->dialect->has_implied_types)
                return error_set(error, -ENOMEM, "no memory for the request");
        return 0;
}

static int check_timeout(const ferry_call *call, struct error *error)
{
        return call->timeout_ms >= -1 ? 0 : error_set(error, -EINVAL, "%d is not a timeout: write a time in ms, or -1 for"
                                                                      " forever",
                                                      call->timeout_ms);
}

/* A server may deny a message without saying which: the answer to a ping behind the first request of a connection shows that it has
 * passed that on. Without memory for it, a denial counts for all that was not heard of yet. */
static void probe(ferry_session *session)
{
        uint64_t ping;

        if (!session->wire.dialect->has_login || session->wire.has_probed)
                return;
        session->wire.has_probed = true;
        session_send_ping(session, &ping);
}

/* How sending it went. */
static void sent(ferry_call *call, int code, struct error *error)
{
        ferry_session *session = call->session;

        if (!code && session) {
                loop_timer_start(session->loop, &call->timer, loop_deadline(call->timeout_ms));
                heartbeat_update(session);
                probe(session);
        }
        if (code && session)
                session_tell(session);
        if (code && ((session && session_takes_requests(session)) || !call_comes_back(call)))
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", error_text(error));
        if (code && session)
                session_update(session);
        error_deinit(error);
}

/* A call of a session, or one that has failed as it can have none; NULL if memory is out. */
static ferry_call *begin(ferry_session *session, int timeout_ms)
{
        bool is_foreign = session && loop_is_elsewhere(session->loop);
        ferry_call *call = call_new(session && !is_foreign ? session->reserve : NULL, is_late);

        if (!call)
                return NULL;
        if (!session) {
                call_end(call, -ENOMEM, FERRY_OUTCOME_NOT_EXECUTED, NULL, "the session is NULL");
                return call;
        }
        if (is_foreign) {
                call_end(call, -EPERM, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", loop_elsewhere);
                return call;
        }
        call->loop = session->loop;
        call->session = session;
        call->timeout_ms = timeout_ms == FERRY_TIMEOUT_DEFAULT ? session->settings.request_timeout_ms : timeout_ms;
        list_append(&session->loop->holders, &call->holder.link);
        list_append(&session->calls, &call->link);
        return call;
}

ferry_call *ferry_session_request(ferry_session *session, int timeout_ms, const char *type, const char *format, ...)
{
        struct outgoing outgoing = { .kind = WIRE_REQUEST, .type = type };
        ferry_call *call = begin(session, timeout_ms);
        struct error error = { 0 };
        ferry_loop *loop;
        va_list arguments;
        int code;

        if (!call || call->status != 1)
                return call;
        loop = call->loop;
        loop_enter(loop);
        va_start(arguments, format);
        code = check_timeout(call, &error);
        if (!code)
                code = join_session(call, &outgoing, &error);
        if (!code)
                code = session_send_template(session, &outgoing, false, call, &error, format, arguments);
        va_end(arguments);
        sent(call, code, &error);
        loop_leave(loop);
        return call;
}

ferry_call *ferry_session_request_value(ferry_session *session, int timeout_ms, const char *type, const ferry_value *body)
{
        return ferry_session_request(session, timeout_ms, type, "%p", ferry_arg(body));
}

/* The question, and the ping that says when no answer will come. */
static int send_question(ferry_call *call, struct error *error)
{
        struct outgoing outgoing = { .kind = WIRE_DESCRIBE, .codec = ferry_codec_msgpack() };
        ferry_session *session = call->session;
        int code = check_timeout(call, error);

        if (!code && session_can_send(session) && !session->wire.dialect->has_descriptions)
                code = error_set(error, -EOPNOTSUPP, "the dialect %s has no descriptions", session->wire.dialect->name);
        if (!code)
                code = join_session(call, &outgoing, error);
        if (!code)
                code = session_send(session, &outgoing, false, call, error);
        if (!code)
                code = session_send_ping(session, &call->fence);
        if (!code && call->status == 1)
                session->fenced++;
        if (!code || error->code)
                return code;
        /* Without the ping an old peer would keep it waiting. */
        call_withdraw(call);
        return error_set(error, code, "cannot ask for a description: %s", error_describe(code));
}

ferry_call *ferry_session_describe(ferry_session *session, int timeout_ms)
{
        ferry_call *call = begin(session, timeout_ms);
        struct error error = { 0 };
        ferry_loop *loop;

        if (!call || call->status != 1)
                return call;
        loop = call->loop;
        loop_enter(loop);
        sent(call, send_question(call, &error), &error);
        loop_leave(loop);
        return call;
}

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
        code = session_send_template(session, &outgoing, false, NULL, &error, format, arguments);
        va_end(arguments);
        if (code) {
                session_note_call(session, code, error_text(&error));
                error_set(&session->refused, code, "%s", error_text(&error));
                error_deinit(&error);
        } else if (session->call_error.code)
                error_deinit(&session->call_error);
        loop_leave(loop);
        return code;
}

int ferry_session_notify_value(ferry_session *session, const char *type, const ferry_value *body)
{
        return ferry_session_notify(session, type, "%p", ferry_arg(body));
}

/* Calls that wait for a session -------------------------------------------------------------------------- */

ferry_call *call_new_waiting(ferry_loop *loop, struct call_queue *queue, int priority, int wait_ms, int timeout_ms, const char *type,
                             const char *format, va_list arguments)
{
        int code = loop_refuse(loop);
        ferry_call *call = call_new(code ? NULL : session_reserve(loop), is_late);
        struct error error = { 0 };

        if (!call)
                return NULL;
        if (code) {
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", loop_refusal(code));
                return call;
        }
        call->loop = loop;
        call->timeout_ms = timeout_ms;
        call->priority = priority - FERRY_PRIORITY_MIN;
        call->wait_ms = wait_ms;
        call->wait_deadline = loop_deadline(wait_ms);
        call->home = queue;
        list_append(&queue->made, &call->made_link);
        list_append(&loop->holders, &call->holder.link);
        code = check_timeout(call, &error);
        if (!code)
                code = call_keep_message(call, type, format, arguments, &error);
        if (!code)
                code = call_join_queue(call, queue);
        if (code == -ENOBUFS)
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                         "the queue is full: wait for answers before sending more requests");
        else if (code)
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "cannot send the request: %s",
                         error.code ? error_text(&error) : error_describe(code));
        else
                loop_timer_start(loop, &call->timer, call->wait_deadline);
        error_deinit(&error);
        return call;
}

/* Of many calls that wait the next ones were made long ago: have them in the caches of the processor when it is their turn. */
static void fetch_next(const ferry_call *call)
{
        const char *next = (const char *)container_of(call->link.next, ferry_call, link);

        for (size_t at = 0; at < sizeof *call; at += 64)
                __builtin_prefetch(next + at);
}

void call_start(ferry_call *call, ferry_session *session, const struct call_owner *owner, void *object)
{
        struct outgoing outgoing = { .kind = WIRE_REQUEST, .type = call->type, .body = call->waiting_body };
        struct error error = { 0 };
        int code;

        fetch_next(call);
        call_leave_queue(call);
        call->owner = owner;
        call->owner_object = object;
        call->session = session;
        list_append(&session->calls, &call->link);
        code = join_session(call, &outgoing, &error);
        if (!code)
                code = session_send(session, &outgoing, false, call, &error);
        sent(call, code, &error);
}

/* The program's own calls -------------------------------------------------------------------------------- */

/* Until its loop has gone it belongs to that. */
static bool is_elsewhere(const ferry_call *call)
{
        return call->loop && loop_is_elsewhere(call->loop);
}

static bool has_ended(void *object)
{
        const ferry_call *call = object;

        return call->status != 1;
}

const ferry_message *ferry_call_await(ferry_call *call)
{
        ferry_session *session;
        ferry_loop *loop;
        const ferry_message *reply;
        int code;

        if (!call || is_elsewhere(call))
                return NULL;
        if (call->status != 1)
                return call->status == 0 ? call->reply : NULL;
        loop = call->loop;
        loop_enter(loop);
        call->is_awaited = true;
        if (call->parts && !call->parts->fn)
                parts_drop(call);
        code = loop_wait(loop, INT64_MAX, has_ended, call, &call->grave);
        session = call->session;
        if (code == -EDEADLK)
                call_end(call, code, call_abandon(call), NULL, "waiting failed: %d waits are nested in callbacks", LOOP_WAITS_MAX);
        else if (code < 0)
                call_end(call, code, FERRY_OUTCOME_UNKNOWN, NULL, "waiting failed: %s", error_describe(code));
        if (code < 0 && session)
                session_update(session);
        reply = call->status == 0 ? call->reply : NULL;
        /* A handler may have let go of it: then it is gone behind this. */
        loop_leave(loop);
        return reply;
}

/* Of a call whose end is of no interest. */
static void ignore_end(ferry_call *call, const ferry_message *reply, void *userdata)
{
        (void)call, (void)reply, (void)userdata;
}

void ferry_call_then(ferry_call *call, ferry_call_fn *fn, void *userdata)
{
        fn = fn ? fn : ignore_end;
        if (!call) {
                fn(NULL, NULL, userdata);
                return;
        }
        if (is_elsewhere(call))
                return;
        /* One that asks again whenever it fails would never let the loop go. */
        if (call->status != 1 && call->loop && call->loop->is_ending) {
                ferry_call_free(call);
                return;
        }
        call->fn = fn;
        call->userdata = userdata;
        if (call->parts && !call->parts->fn)
                parts_drop(call);
        if (call->status == 1)
                return;
        if (call->loop)
                call_tell(call);
        else
                call_deliver(call);
}

int ferry_call_status(const ferry_call *call)
{
        return !call ? -ENOMEM : is_elsewhere(call) ? -EPERM : call->status;
}

const char *ferry_call_error(const ferry_call *call)
{
        return !call ? "the call is NULL: no memory was left for it" : is_elsewhere(call) ? loop_elsewhere : error_text(&call->error);
}

int ferry_call_exit_status(const ferry_call *call)
{
        if (!call)
                return -ENOMEM;
        if (is_elsewhere(call))
                return -EPERM;
        if (call->status == 1)
                return -EINPROGRESS;
        return call->child_exit_status >= 0 ? call->child_exit_status : -ECHILD;
}

const char *ferry_call_ending(const ferry_call *call)
{
        /* The text of an error reply is the peer's. */
        return call && !is_elsewhere(call) && call->outcome != FERRY_OUTCOME_REPLIED ? child_phrase(error_text(&call->error)) : "";
}

enum ferry_outcome ferry_call_outcome(const ferry_call *call)
{
        return !call ? FERRY_OUTCOME_NOT_EXECUTED : is_elsewhere(call) ? FERRY_OUTCOME_UNKNOWN : call->outcome;
}

const ferry_message *ferry_call_reply(const ferry_call *call)
{
        return call && !is_elsewhere(call) ? call->reply : NULL;
}

ferry_call *ferry_call_free(ferry_call *call)
{
        ferry_loop *loop;

        if (!call || is_elsewhere(call) || call->is_freed)
                return NULL;
        loop = call->loop;
        if (loop)
                loop_enter(loop);
        /* A callback may let go of it, too. */
        call->is_freed = true;
        if (call->status == 1) {
                ferry_session *session = call->session;
                enum ferry_outcome outcome = call_abandon(call);

                call->fn = NULL;
                call_end(call, -ECANCELED, outcome, NULL, "the call was freed");
                give_up(session, outcome, -ECANCELED, "a request was freed");
                if (session)
                        session_update(session);
        }
        call_destroy(call);
        if (loop)
                loop_leave(loop);
        return NULL;
}
