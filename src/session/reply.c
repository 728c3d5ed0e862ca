/* Answering requests of the other side. */
#include "session/private.h"

#include <errno.h>

/* A callback may let go of the message, and of all that it came by. */
static ferry_loop *enter(ferry_message *request)
{
        ferry_loop *loop = request->session->loop;

        loop_enter(loop);
        request->references++;
        return loop;
}

static void leave(ferry_message *request, ferry_loop *loop)
{
        ferry_message_unref(request);
        loop_leave(loop);
}

int ferry_message_reply(const ferry_message *request, const char *type, const char *format, ...)
{
        ferry_message *answered = (ferry_message *)(uintptr_t)request;
        struct outgoing outgoing;
        struct error error = { 0 };
        va_list arguments;
        ferry_loop *loop;
        bool has_begun;
        int code = message_check_answerable(request, &error);

        if (!code) {
                loop = enter(answered);
                has_begun = message_begin_answer(answered);
                outgoing = message_answer(request, WIRE_RESPONSE, type);
                va_start(arguments, format);
                code = session_send_template(request->session, &outgoing, true, NULL, &error, format, arguments);
                va_end(arguments);
                message_end_answer(answered, has_begun, code);
                leave(answered, loop);
        }
        error_deinit(&error);
        return code;
}

int ferry_message_reply_value(const ferry_message *request, const char *type, const ferry_value *body)
{
        return ferry_message_reply(request, type, "%p", ferry_arg(body));
}

__attribute__((__format__(__printf__, 3, 0)))
static int try_to_fail(const ferry_message *request, enum wire_kind kind, const char *format, va_list arguments)
{
        ferry_message *answered = (ferry_message *)(uintptr_t)request;
        struct error error = { 0 };
        ferry_loop *loop;
        int code = message_check_answerable(request, &error);

        error_deinit(&error);
        if (code)
                return code;
        loop = enter(answered);
        code = message_vfail(answered, kind, format, arguments);
        leave(answered, loop);
        return code;
}

int ferry_message_fail(const ferry_message *request, const char *format, ...)
{
        va_list arguments;
        int code;

        va_start(arguments, format);
        code = try_to_fail(request, WIRE_ERROR, format, arguments);
        va_end(arguments);
        return code;
}

int ferry_message_refuse(const ferry_message *request, const char *format, ...)
{
        va_list arguments;
        int code;

        va_start(arguments, format);
        code = try_to_fail(request, WIRE_REFUSED, format, arguments);
        va_end(arguments);
        return code;
}

int ferry_message_fail_text(const ferry_message *request, const char *text)
{
        return ferry_message_fail(request, "%s", text ? text : "");
}

int ferry_message_refuse_text(const ferry_message *request, const char *text)
{
        return ferry_message_refuse(request, "%s", text ? text : "");
}
