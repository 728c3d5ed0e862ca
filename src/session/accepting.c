/* Requests by way of a server, which does not report that a process has died: so the receiver says that it has a request in hand
 * (accepted), and says so again as long as it has. Where handlers answer at once, the answer says enough: then the acceptance is
 * put off until the loop goes on, or the handler waits, and is left out if there is an answer by then. Invariant: nothing is said
 * of a request behind its answer. */
#include "session/private.h"

enum {
        BEAT_DEFAULT_MS = 2000,
        QUICK_REQUESTS = 16,            /* in a row */
        QUICK_NS = 1000000,
};

/* 0: none. */
static int beat_ms(const ferry_session *session)
{
        int ours = session->settings.heartbeat_ms;

        return ours > 0 ? ours : ours < 0 ? 0 : BEAT_DEFAULT_MS;
}

static int say(ferry_session *session, const ferry_message *request)
{
        struct outgoing accepted = { .kind = WIRE_ACCEPTED, .id = request->id, .id_size = request->id_size,
                                     .beat_ms = beat_ms(session) };
        struct error error = { 0 };
        int code = session_send(session, &accepted, true, NULL, &error);

        error_deinit(&error);
        return code;
}

/* Without memory its sender waits for the answer alone. */
static void accept_request(struct accepting *accepting, ferry_message *request)
{
        ferry_session *session = accepting->session;

        list_remove(&request->unasked_link);
        if (say(session, request) < 0)
                return;
        list_append(&accepting->accepted, &request->unasked_link);
        if (beat_ms(session) > 0 && !accepting->beat.is_running)
                loop_timer_start(session->loop, &accepting->beat, loop_deadline(beat_ms(session)));
}

static void accept_due(struct loop_task *task)
{
        struct accepting *accepting = container_of(task, struct accepting, task);

        while (!list_is_empty(&accepting->due))
                accept_request(accepting, container_of(accepting->due.next, ferry_message, unasked_link));
}

/* A session without a connection, or whose output waits, says nothing more. */
static void beat(struct loop_timer *timer)
{
        struct accepting *accepting = container_of(timer, struct accepting, beat);
        ferry_session *session = accepting->session;

        if (list_is_empty(&accepting->accepted) || session_has_ended(session))
                return;
        list_for_each(&accepting->accepted, link)
                if (session->phase == SESSION_OPEN && outbox_size(&session->out) <= session->queue_max / 2)
                        say(session, container_of(link, ferry_message, unasked_link));
        loop_timer_start(session->loop, timer, loop_deadline(beat_ms(session)));
}

static struct accepting *accepting_of(ferry_session *session)
{
        struct accepting *accepting = session->accepting;

        if (accepting)
                return accepting;
        accepting = sys_alloc_zeroed(sizeof *accepting);
        if (!accepting)
                return NULL;
        accepting->session = session;
        accepting->task.fn = accept_due;
        accepting->beat.fn = beat;
        list_init(&accepting->due);
        list_init(&accepting->accepted);
        session->accepting = accepting;
        return accepting;
}

bool accepting_begin(ferry_session *session, ferry_message *request)
{
        struct accepting *accepting = accepting_of(session);

        request->wants_acceptance = true;
        if (!accepting)
                return false;
        if (accepting->quick < QUICK_REQUESTS) {
                accept_request(accepting, request);
                return true;
        }
        list_append(&accepting->due, &request->unasked_link);
        loop_put_off(session->loop, &accepting->task);
        return true;
}

void accepting_end(ferry_session *session, const ferry_message *request, int64_t took)
{
        struct accepting *accepting = session->accepting;
        bool is_quick = !request->is_unanswered && took <= QUICK_NS;

        if (accepting)
                accepting->quick = !is_quick ? 0 : accepting->quick < QUICK_REQUESTS ? accepting->quick + 1 : QUICK_REQUESTS;
}

void accepting_stop(ferry_session *session)
{
        if (!session->accepting)
                return;
        loop_task_stop(&session->accepting->task);
        loop_timer_stop(session->loop, &session->accepting->beat);
}

void accepting_free(ferry_session *session)
{
        sys_free(session->accepting);
        session->accepting = NULL;
}
