/* Requests of ours in flight. Invariant: each call ends once, by its reply, its deadline, the end of its session, or
 * by being let go; and says then what is known of whether the peer has acted on it. */
#include "session/session.h"
#include "util/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void bury(struct loop_grave *grave)
{
        ferry_call *call = container_of(grave, ferry_call, grave);

        error_deinit(&call->error);
        ferry_message_unref(call->reply);
        ferry_value_unref(call->waiting_body);
        if (call->type)
                sys_free(call->type);
        sys_free(call);
}

/* Its callback comes in the next round; who waits for a queue waits for that. */
static void tell(ferry_call *call)
{
        loop_task_start(call->loop, &call->task);
        if (!call->home || call->is_telling)
                return;
        call->is_telling = true;
        call->home->telling++;
}

static void stop_telling(ferry_call *call)
{
        if (call->is_telling)
                call->home->telling--;
        call->is_telling = false;
}

static void leave_home(ferry_call *call)
{
        stop_telling(call);
        list_remove(&call->made_link);
        call->home = NULL;
}

static void destroy(ferry_call *call)
{
        call->is_freed = true;
        leave_home(call);
        if (call->loop) {
                loop_timer_stop(call->loop, &call->timer);
                if (call->task.link.next)
                        list_remove(&call->task.link);
                list_remove(&call->holder.link);
                loop_bury(call->loop, &call->grave, bury);
        } else
                bury(&call->grave);
}

static void call_back(struct loop_task *task)
{
        ferry_call *call = container_of(task, ferry_call, task);

        /* The callback may let it go, too, which is then nothing. */
        call->is_freed = true;
        stop_telling(call);
        call->fn(call, call->status == 0 ? call->reply : NULL, call->userdata);
        destroy(call);
}

/* Its reply has come: it is told now, before what came behind it. */
void call_deliver(ferry_call *call)
{
        if (!call->fn)
                return;
        list_remove(&call->task.link);
        call_back(&call->task);
}

/* The loop goes; the call stays with the program, unless that has given it away and can be told. In a forked child it
 * cannot, and may still free the call. */
static void forget_loop(struct loop_holder *holder)
{
        ferry_call *call = container_of(holder, ferry_call, holder);

        if (call->fn && call->status != 1 && !call->is_freed && !loop_is_foreign(call->loop)) {
                call_deliver(call);
                return;
        }
        loop_timer_stop(call->loop, &call->timer);
        if (call->task.link.next)
                list_remove(&call->task.link);
        list_remove(&call->holder.link);
        call->loop = NULL;
}

/* Leave the session; what its fate tells about the frame is read first. */
static void leave_queue(ferry_call *call)
{
        list_remove(&call->link);
        if (call->queue)
                call->queue->size -= call->waiting_size;
        call->queue = NULL;
}

static void leave_session(ferry_call *call)
{
        ferry_session *session = call->session;

        leave_queue(call);
        if (!session)
                return;
        if (call->node.key)
                map_remove(&session->calls_by_id, &call->node);
        outbox_forget(&call->frame);
        call->session = NULL;
        session_update(session);
}

void call_end(ferry_call *call, int status, enum ferry_outcome outcome, ferry_message *reply, const char *format, ...)
{
        va_list arguments;

        if (call->status != 1)
                return;
        call->status = status;
        call->outcome = outcome;
        call->reply = ferry_message_ref(reply);
        va_start(arguments, format);
        if (status < 0)
                error_vreplace(&call->error, status, format, arguments);
        va_end(arguments);
        leave_session(call);
        if (call->loop) {
                loop_timer_stop(call->loop, &call->timer);
                if (call->fn)
                        tell(call);
        }
        if (call->ended)
                call->ended(call);
}

/* Whether any of its bytes may have reached the peer; if not, they are taken back. */
static enum ferry_outcome withdraw(ferry_call *call)
{
        ferry_session *session = call->session;

        if (!session || call->frame.begin == call->frame.end)
                return FERRY_OUTCOME_NOT_EXECUTED;
        if (session->is_writing || call->frame.begin < session->out.begin)
                return FERRY_OUTCOME_UNKNOWN;
        outbox_withdraw(&session->out, &call->frame);
        session_update(session);
        return FERRY_OUTCOME_NOT_EXECUTED;
}

/* Nobody waits any more: tell the peer, where the dialect can. */
static enum ferry_outcome abandon(ferry_call *call)
{
        ferry_session *session = call->session;
        enum ferry_outcome outcome = withdraw(call);
        struct outgoing cancel = { .kind = WIRE_CANCEL, .id = call->id, .id_size = call->node.key_size };
        struct error error = { 0 };

        if (!session || !session->wire.dialect->has_ids)
                return outcome;
        if (outcome == FERRY_OUTCOME_UNKNOWN && session->wire.dialect->has_cancel && session->state == SESSION_OPEN &&
            !loop_is_foreign(session->loop))
                session_send(session, &cancel, true, NULL, &error);
        error_deinit(&error);
        return outcome;
}

enum { TYPE_SHOWN_MAX = 64 };

static void append_type(char *text, size_t size, const char *before, const ferry_call *call, const char *behind)
{
        size_t used = strlen(text);
        bool is_shown = call->type && strlen(call->type) <= TYPE_SHOWN_MAX;

        snprintf(text + used, size - used, "%s%s%s%s%s", before, is_shown ? " '" : "", is_shown ? call->type : "", is_shown ? "'" : "",
                 behind);
}

void calls_end(ferry_session *session, int status, const char *sentence)
{
        bool has_hint = status == -ECONNRESET && !session->wire.dialect->has_errors;
        bool is_open = session->state == SESSION_OPEN || session->state == SESSION_OPENING;

        if (is_open && !session->is_writing) {
                outbox_withdraw_all(&session->out);
                session_update(session);
        }
        while (!list_is_empty(&session->calls)) {
                ferry_call *call = container_of(session->calls.next, ferry_call, link);
                enum ferry_outcome outcome = FERRY_OUTCOME_UNKNOWN;
                char hint[160] = "";

                /* What waits would still be sent if we are the ones who close; else a frame that was not taken whole
                 * cannot have been acted on. */
                if (is_open)
                        outcome = withdraw(call);
                else if (session->out.begin < call->frame.end || call->is_unread)
                        outcome = FERRY_OUTCOME_NOT_EXECUTED;
                session_tell(session);
                if (has_hint && outcome == FERRY_OUTCOME_UNKNOWN)
                        append_type(hint, sizeof hint, ", which in this dialect is all that a failed request", call, " can say");
                if (outcome != FERRY_OUTCOME_NOT_EXECUTED || !call_comes_back(call))
                        call_end(call, status, outcome, NULL, "%s%s", sentence, hint);
        }
}

/* Where there are no ids, an answer that came late would be taken for that of the next request. */
static void give_up(ferry_session *session, enum ferry_outcome outcome, int code, const char *what)
{
        if (outcome != FERRY_OUTCOME_UNKNOWN || !session || session->wire.dialect->has_ids)
                return;
        session_tell(session);
        session_finish(session, code, "%s, and its answer could not be told from the next", what);
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
        session->is_overdue = true;
        if (session->state == SESSION_OPENING)
                snprintf(hint, sizeof hint, "; nobody has taken the connection yet");
        else if (session->stream->kind->describe_stop && session->stream->kind->describe_stop(session->stream, stop, sizeof stop))
                snprintf(hint, sizeof hint, "; the child %s", stop);
        else if (!session->is_greeted)
                snprintf(hint, sizeof hint, "; the other side has not begun as a server in the dialect %s does",
                         wire->dialect->name);
        else if (wire->peer_dialect && wire->peer_dialect != call->dialect)
                snprintf(hint, sizeof hint, "; the other side speaks the dialect %s", wire->peer_dialect->name);
        else if (!wire->dialect->has_errors && !wire->dialect->has_start) {
                snprintf(hint, sizeof hint, "; in the dialect %s a side that does not know the type", wire->dialect->name);
                append_type(hint, sizeof hint, "", call, " says nothing");
        }
        outcome = abandon(call);
        call_end(call, -ETIMEDOUT, outcome, NULL, "no answer within %g s%s", call->timeout_ms / 1000.0, hint);
        give_up(session, outcome, -ETIMEDOUT, "a request has timed out");
}

static int make_id(ferry_call *call, struct error *error)
{
        ferry_session *session = call->session;
        size_t size;
        int code;

        if (!session->wire.dialect->has_ids)
                return 0;
        if (session->options.make_id && !session->wire.dialect->has_hello) {
                memset(call->id, 0, sizeof call->id);
                code = session->options.make_id(session, call->id, sizeof call->id, session->options.make_id_userdata);
                if (code < 0)
                        return error_set(error, code, "no id could be made for the request: %s", error_describe(code));
                if (call->status != 1)
                        return error_set(error, call->status, "the session was closed while an id was made");
                size = strnlen(call->id, sizeof call->id - 1);
        } else
                size = session->wire.dialect->make_id(&session->wire, call->id);
        /* Ids by our own counter are new; a generator may repeat itself. */
        if (size == 0 || (session->options.make_id && map_find(&session->calls_by_id, call->id, size)))
                return error_set(error, -EINVAL, "the id \"%s\" is empty, or another request uses it", call->id);
        call->node.key = call->id;
        call->node.key_size = size;
        map_add(&session->calls_by_id, &call->node);
        return 0;
}

/* What is the same for all: it is the session's from now on. */
static int join_session(ferry_call *call, struct outgoing *outgoing, struct error *error)
{
        ferry_session *session = call->session;
        int code = session_status_for_sending(session, error);

        if (!code && session->state == SESSION_DRAINING)
                code = error_set(error, -ECONNRESET, "no answer can come any more: the other side sends nothing more");
        if (!code)
                code = make_id(call, error);
        if (code)
                return code;
        /* While the id was made others may have been sent. */
        list_remove(&call->link);
        list_append(&session->calls, &call->link);
        outgoing->id = call->id;
        outgoing->id_size = call->node.key_size;
        /* For the sentence of a failure that the other side cannot explain. Without memory it is shorter. */
        if (!session->wire.dialect->has_errors && !call->type && outgoing->type)
                call->type = text_copy(outgoing->type);
        call->dialect = session->wire.dialect;
        return 0;
}

static int check_timeout(const ferry_call *call, struct error *error)
{
        return call->timeout_ms >= -1 ? 0 : error_set(error, -EINVAL, "a timeout of %d ms: -1 is forever, and less is no time",
                                                      call->timeout_ms);
}

/* How sending it went. */
static void sent(ferry_call *call, int code, struct error *error)
{
        ferry_session *session = call->session;

        if (!code && session) {
                loop_timer_start(session->loop, &call->timer, loop_deadline(call->timeout_ms));
                heartbeat_update(session);
        }
        if (code && session)
                session_tell(session);
        if (code && ((session && session_takes_requests(session)) || !call_comes_back(call)))
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", error_text(error));
        error_deinit(error);
}

static ferry_call *call_new(void)
{
        ferry_call *call = sys_alloc_zeroed(sizeof *call);

        if (!call)
                return NULL;
        list_init(&call->link);
        list_init(&call->holder.link);
        list_init(&call->made_link);
        list_init(&call->frame.link);
        call->holder.forget = forget_loop;
        call->status = 1;
        call->timer.fn = is_late;
        call->task.fn = call_back;
        return call;
}

ferry_call *ferry_session_request(ferry_session *session, int timeout_ms, const char *type, const char *format, ...)
{
        struct outgoing outgoing = { .kind = WIRE_REQUEST, .type = type };
        ferry_call *call = call_new();
        struct error error = { 0 };
        ferry_loop *loop;
        va_list arguments;
        int code;

        if (!call)
                return NULL;
        if (!session) {
                call_end(call, -ENOMEM, FERRY_OUTCOME_NOT_EXECUTED, NULL, "there is no session");
                return call;
        }
        if (loop_is_elsewhere(session->loop)) {
                call_end(call, -EPERM, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", loop_elsewhere);
                return call;
        }
        call->loop = loop = session->loop;
        loop_enter(loop);
        call->session = session;
        call->timeout_ms = timeout_ms == FERRY_TIMEOUT_DEFAULT ? session->options.request_timeout_ms : timeout_ms;
        list_append(&session->loop->holders, &call->holder.link);
        list_append(&session->calls, &call->link);
        session_update(session);
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

int ferry_session_notify_value(ferry_session *session, const char *type, const ferry_value *body)
{
        return ferry_session_notify(session, type, "%p", ferry_arg(body));
}

/* Calls that wait for a session ------------------------------------------------------------------------ */

/* Whatever it shares with others, it may be the last to hold it. */
static size_t weigh(const ferry_value *body)
{
        size_t size = 0;
        struct walk walk;
        struct walk_step step;

        walk_begin(&walk, body);
        while (walk_next(&walk, &step)) {
                const ferry_value *parts[] = { step.key, step.value };

                for (int i = 0; i < 2 && !step.is_closing; i++) {
                        size_t bytes = 0;

                        ferry_value_bytes(parts[i], &bytes);
                        size += sizeof *body + bytes;
                }
        }
        return size;
}

static int keep_message(ferry_call *call, const char *type, const char *format, va_list arguments, struct error *error)
{
        ferry_builder builder;
        int code;

        if (!type)
                return error_set(error, -EINVAL, "a request has a type");
        builder_init(&builder, arena_new(256));
        builder_add_template(&builder, format, arguments);
        call->waiting_body = builder_take(&builder);
        code = call->waiting_body ? 0 : builder.error;
        if (code && *builder.place)
                error_set(error, code, "%s", builder.place);
        if (!call->waiting_body && builder.arena)
                arena_unref(builder.arena);
        builder_deinit(&builder);
        call->type = text_copy(type);
        return code ? code : call->type ? 0 : -ENOMEM;
}

/* An empty queue takes any one. */
static int join_queue(ferry_call *call, struct call_queue *queue)
{
        call->waiting_size = strlen(call->type) + weigh(call->waiting_body);
        if (queue->size > 0 && (queue->size >= queue->max || call->waiting_size > queue->max - queue->size))
                return -ENOBUFS;
        call->queue = queue;
        queue->size += call->waiting_size;
        list_append(&queue->calls, &call->link);
        return 0;
}

void call_queue_init(struct call_queue *queue)
{
        list_init(&queue->calls);
        list_init(&queue->made);
}

void call_queue_deinit(struct call_queue *queue)
{
        list_for_each(&queue->made, link)
                leave_home(container_of(link, ferry_call, made_link));
}

ferry_call *call_new_waiting(ferry_loop *loop, struct call_queue *queue, int wait_ms, int timeout_ms, const char *type,
                             const char *format, va_list arguments)
{
        ferry_call *call = call_new();
        struct error error = { 0 };
        int code;

        if (!call)
                return NULL;
        code = loop_refuse(loop);
        if (code) {
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", loop_refusal(code));
                return call;
        }
        call->loop = loop;
        call->timeout_ms = timeout_ms;
        call->wait_ms = wait_ms;
        call->wait_deadline = loop_deadline(wait_ms);
        call->home = queue;
        list_append(&queue->made, &call->made_link);
        list_append(&loop->holders, &call->holder.link);
        code = check_timeout(call, &error);
        if (!code)
                code = keep_message(call, type, format, arguments, &error);
        if (!code)
                code = join_queue(call, queue);
        if (code == -ENOBUFS)
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                         "the queue is full: wait for answers before you ask for more");
        else if (code)
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL, "the request cannot be sent: %s",
                         error.code ? error_text(&error) : error_describe(code));
        else
                loop_timer_start(loop, &call->timer, call->wait_deadline);
        error_deinit(&error);
        return call;
}

bool session_takes_requests(const ferry_session *session)
{
        return session->state == SESSION_OPEN && !session->is_freed && !session->is_refusing && !session->output_error &&
               !loop_is_foreign(session->loop) && stream_has_output(session->stream);
}

bool call_comes_back(ferry_call *call)
{
        return call->status == 1 && call->came_back && call->home && !loop_is_foreign(call->loop) && call->came_back(call);
}

void call_wait_again(ferry_call *call)
{
        leave_session(call);
        call->deadline_mark = 0;
        call->is_unread = false;
        call->ended = NULL;
        call->came_back = NULL;
        call->owner = NULL;
        /* However full that is: it had its place there. */
        call->queue = call->home;
        call->queue->size += call->waiting_size;
        list_prepend(&call->queue->calls, &call->link);
        loop_timer_start(call->loop, &call->timer, call->wait_deadline);
}

void call_start(ferry_call *call, ferry_session *session)
{
        struct outgoing outgoing = { .kind = WIRE_REQUEST, .type = call->type, .body = call->waiting_body };
        struct error error = { 0 };
        int code;

        leave_queue(call);
        call->session = session;
        list_append(&session->calls, &call->link);
        code = join_session(call, &outgoing, &error);
        if (!code)
                code = session_send(session, &outgoing, false, call, &error);
        sent(call, code, &error);
}

static bool has_ended(void *object)
{
        const ferry_call *call = object;

        return call->status != 1;
}

/* Until its loop has gone it belongs to that. */
static bool is_elsewhere(const ferry_call *call)
{
        return call->loop && loop_is_elsewhere(call->loop);
}

const ferry_message *ferry_call_await(ferry_call *call)
{
        ferry_loop *loop;
        const ferry_message *reply;
        int code;

        if (!call || is_elsewhere(call))
                return NULL;
        if (call->status != 1)
                return call->status == 0 ? call->reply : NULL;
        loop = call->loop;
        loop_enter(loop);
        code = loop_wait(loop, INT64_MAX, has_ended, call, &call->grave);
        if (code == -EDEADLK)
                call_end(call, code, abandon(call), NULL, "waiting within waiting, %d levels deep", LOOP_WAITS_MAX);
        else if (code < 0)
                call_end(call, code, FERRY_OUTCOME_UNKNOWN, NULL, "waiting failed: %s", error_describe(code));
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
        if (call->status == 1)
                return;
        if (call->loop)
                tell(call);
        else
                call_back(&call->task);
}

int ferry_call_status(const ferry_call *call)
{
        return !call ? -ENOMEM : is_elsewhere(call) ? -EPERM : call->status;
}

const char *ferry_call_error(const ferry_call *call)
{
        return !call ? error_describe(-ENOMEM) : is_elsewhere(call) ? loop_elsewhere : error_text(&call->error);
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
                enum ferry_outcome outcome = abandon(call);

                call->fn = NULL;
                call_end(call, -ECANCELED, outcome, NULL, "the call was let go");
                give_up(session, outcome, -ECANCELED, "a request was let go");
        }
        destroy(call);
        if (loop)
                loop_leave(loop);
        return NULL;
}
