/* Descriptors that wait in the queue of a session: the frame that they leave with, and what becomes of them. */
#include "session/private.h"

#include <errno.h>

enum { RETRY_MIN_MS = 5, RETRY_MAX_MS = 1000 };

struct descriptors *descriptors_of(ferry_session *session)
{
        struct descriptors *descriptors = session->descriptors;

        if (descriptors)
                return descriptors;
        descriptors = sys_alloc_zeroed(sizeof *descriptors);
        if (!descriptors)
                return NULL;
        descriptors->session = session;
        return session->descriptors = descriptors;
}

void attached_change_session(ferry_session *former, ferry_session *session)
{
        struct descriptors *moved = former->descriptors;
        struct attached *attached = moved->attached;

        moved->session = former;
        moved->attached = NULL;
        /* Without memory they are closed, and the next message comes without them, as after the end of a session. */
        if (attached && descriptors_of(session))
                session->descriptors->attached = attached;
        else
                attached_unref(attached);
}

int attached_announce(ferry_session *session, struct error *error)
{
        struct attached *attached = session->descriptors->attached;
        ferry_value *body = ferry_value_pack("%zu", attached->count);
        struct outgoing frame = { .kind = WIRE_DESCRIPTORS, .codec = ferry_codec_msgpack(), .body = body };
        struct buffer bytes = { 0 };
        int code = body ? session->wire.dialect->write(&session->wire, &bytes, &frame, error) :
                          error_set(error, -ENOMEM, "no memory for a message");

        ferry_value_unref(body);
        if (!code && outbox_add_attached(&session->out, buffer_bytes(&bytes), buffer_size(&bytes), attached) < 0)
                code = error_set(error, -ENOMEM, "no memory for a message");
        buffer_deinit(&bytes);
        return code;
}

void attached_drop(ferry_session *session)
{
        if (!session->descriptors)
                return;
        attached_unref(session->descriptors->attached);
        session->descriptors->attached = NULL;
}

void attached_deinit(ferry_session *session)
{
        struct descriptors *descriptors = session->descriptors;

        if (!descriptors)
                return;
        attached_drop(session);
        loop_timer_stop(session->loop, &descriptors->timer);
        passed_free(descriptors->passed);
        sys_free(descriptors);
        session->descriptors = NULL;
}

/* The kernel reports no event when fewer are on their way again. */
void attached_wait(ferry_session *session)
{
        int *delay = &session->descriptors->delay_ms;

        *delay = *delay == 0 ? RETRY_MIN_MS : *delay * 2 < RETRY_MAX_MS ? *delay * 2 : RETRY_MAX_MS;
        loop_timer_start(session->loop, &session->descriptors->timer, loop_deadline(*delay));
}
