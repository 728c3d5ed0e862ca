/* Parts of replies, as programs send and fetch them. */
#include "session/private.h"

#include <errno.h>

/* The side that answers -------------------------------------------------------------------------------------- */

/* 0, or why no part of the answer can be sent now. */
static int check(const ferry_message *request, struct error *error)
{
        int code = message_check_answerable(request, error);

        return code ? code : message_check_parts(request, error);
}

static int check_room(ferry_message *request, struct error *error)
{
        if (message_takes_parts(request))
                return 0;
        request->is_starved = true;
        return error_set(error, -ENOBUFS, "the other side has not taken %zu bytes of parts: wait for FERRY_KIND_DRAINED, or call"
                                          " ferry_message_flush()", request->parts_open);
}

static int send_part(ferry_message *request, struct error *error, const char *format, va_list arguments)
{
        struct outgoing part = message_answer(request, WIRE_PROGRESS, NULL);
        size_t size = 0;
        int code = check_room(request, error);

        part.ret_size = &size;
        if (!code)
                code = session_send_template(request->session, &part, false, NULL, error, format, arguments);
        request->parts_open += size;
        return code;
}

/* What the session says of it, unless that is gone. */
static void note(const ferry_message *request, int code, const struct error *error)
{
        if (request->session && error->code)
                session_note_call(request->session, code, error_text(error));
}

int ferry_message_progress(const ferry_message *request, const char *format, ...)
{
        ferry_message *answered = (ferry_message *)(uintptr_t)request;
        struct error error = { 0 };
        va_list arguments;
        ferry_loop *loop;
        int code = check(request, &error);

        if (!code) {
                loop = request->session->loop;
                loop_enter(loop);
                answered->references++;
                va_start(arguments, format);
                code = send_part(answered, &error, format, arguments);
                va_end(arguments);
                note(answered, code, &error);
                ferry_message_unref(answered);
                loop_leave(loop);
        } else if (request && !message_is_elsewhere(request))
                note(request, code, &error);
        error_deinit(&error);
        return code;
}

int ferry_message_progress_value(const ferry_message *request, const ferry_value *body)
{
        return ferry_message_progress(request, "%p", ferry_arg(body));
}

static bool has_room(void *object)
{
        const ferry_message *request = object;
        const ferry_session *session = request->session;

        return !session || !request->is_unanswered || session_has_ended(session) ||
               (message_takes_parts(request) && (session->flow == FLOW_FREE || session->flow == FLOW_DRAINED));
}

static int flush(ferry_message *request, int timeout_ms, struct error *error)
{
        int code = 0;

        if (timeout_ms < -1)
                return error_set(error, -EINVAL, "%d is not a timeout: write a time in ms, or -1 for forever", timeout_ms);
        if (!has_room(request))
                code = loop_wait(request->session->loop, loop_deadline(timeout_ms), has_room, request, NULL);
        if (code == -ETIMEDOUT)
                return error_set(error, code, "the other side has not taken the parts of the answer within %g s", timeout_ms / 1000.0);
        if (code)
                return error_set(error, code, "cannot wait until the parts of the answer are taken: %s", error_describe(code));
        return check(request, error);
}

int ferry_message_flush(const ferry_message *request, int timeout_ms)
{
        ferry_message *answered = (ferry_message *)(uintptr_t)request;
        struct error error = { 0 };
        ferry_loop *loop;
        int code = check(request, &error);

        if (!code) {
                loop = request->session->loop;
                loop_enter(loop);
                answered->references++;
                code = flush(answered, timeout_ms, &error);
                note(answered, code, &error);
                ferry_message_unref(answered);
                loop_leave(loop);
        } else if (request && !message_is_elsewhere(request))
                note(request, code, &error);
        error_deinit(&error);
        return code;
}

/* The side that has asked ------------------------------------------------------------------------------------ */

int ferry_call_on_progress(ferry_call *call, ferry_progress_fn *fn, void *userdata)
{
        ferry_session *session = call ? call->session : NULL;
        struct error error = { 0 };
        ferry_loop *loop;

        if (!call)
                return -ENOMEM;
        loop = call->loop;
        if (loop && loop_is_elsewhere(loop))
                return -EPERM;
        if (session && !session->wire.dialect->has_parts) {
                error_set(&error, -EOPNOTSUPP, "the dialect %s has no parts of replies", session->wire.dialect->name);
                session_note_call(session, error.code, error_text(&error));
                error_deinit(&error);
                return -EOPNOTSUPP;
        }
        if (!parts_of(call))
                return -ENOMEM;
        call->parts->fn = fn;
        call->parts->userdata = userdata;
        if (!fn || !loop)
                return 0;
        loop_enter(loop);
        parts_deliver_waiting(call);
        loop_leave(loop);
        return 0;
}

static bool has_next(void *object)
{
        const ferry_call *call = object;

        return parts_wait(call) || call->status != 1 || call->is_freed;
}

/* The part that was lent last goes, and the next one is lent. */
static const ferry_message *lend_next(ferry_call *call, int timeout_ms, int *ret_code)
{
        struct call_parts *parts = call->parts;
        ferry_message *lent = parts->lent;
        int code = 0;

        parts->lent = NULL;
        if (lent)
                parts_release(call, lent);
        if (!has_next(call))
                code = loop_wait(call->loop, loop_deadline(timeout_ms), has_next, call, &call->grave);
        if (call->is_freed)
                code = -ECANCELED;
        else
                parts->lent = parts_take_first(call);
        *ret_code = code ? code : call->status ? call->status : -ENODATA;
        return parts->lent;
}

const ferry_message *ferry_call_next(ferry_call *call, int timeout_ms)
{
        const ferry_message *part = NULL;
        ferry_loop *loop = call ? call->loop : NULL;
        int code = !call ? -ENOMEM : loop ? loop_refuse(loop) : 0;

        if (!code && timeout_ms < -1)
                code = -EINVAL;
        else if (!code && (call->fn || (call->parts && call->parts->fn)))
                code = -EBUSY;
        else if (!code && !parts_of(call))
                code = -ENOMEM;
        if (!code) {
                if (loop)
                        loop_enter(loop);
                part = lend_next(call, timeout_ms, &code);
                /* A callback may have let go of the call: then it is gone behind this. */
                if (loop)
                        loop_leave(loop);
        }
        if (!part)
                errno = -code;
        return part;
}
