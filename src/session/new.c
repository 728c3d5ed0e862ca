/* A session as it is before it has a stream, and how it begins with one. */
#include "session/private.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

enum {
        CLOSE_TIMEOUT_DEFAULT_MS = 1000,
};

static void close_member(struct loop_member *member)
{
        ferry_session_close(container_of(member, ferry_session, member));
}

static void free_member(struct loop_member *member)
{
        session_free(container_of(member, ferry_session, member));
}

static bool is_debugging(void)
{
        const char *debug = secure_getenv("FERRY_DEBUG");

        return debug && strcmp(debug, "1") == 0;
}

ferry_session *session_new(ferry_loop *loop, const ferry_session_options *options, const char *address, struct error *error)
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
        session_advance(session, EVENT_CONNECT);
        session->reserve = session_reserve(loop);
        session_set_owner(session, NULL, NULL);
        session_inherit(loop, &session->options, options, &session->wire, error);
        session->work.fn = session_work;
        session->close_timeout_ms = session->options.close_timeout_ms ? session->options.close_timeout_ms :
                                                                        CLOSE_TIMEOUT_DEFAULT_MS;
        session->grace_ms = session->close_timeout_ms;
        session->stuck_at = UINT64_MAX;
        session->overdue_at = UINT64_MAX;
        session->queue_max = session->options.queue_max;
        session->is_debugged = is_debugging();
        session->member.close = close_member;
        session->member.free = free_member;
        list_append(&loop->members, &session->member.link);
        outbox_init(&session->out);
        list_init(&session->calls);
        list_init(&session->messages);
        list_init(&session->next);
        list_init(&session->unasked);
        handlers_init(&session->handlers);
        list_init(&session->former_link);
        map_init(&session->calls_by_id);
        map_init(&session->requests_by_id);
        session->departure.fn = session_depart;
        session->close_timer.fn = session_close_is_late;
        heartbeat_init(session);
        return session;
}

void session_begin(ferry_session *session)
{
        struct error error = { 0 };

        inbox_init(&session->in, session->wire.dialect->framing, session->stream->kind->has_junk, wire_read_max(&session->wire));
        if (session_send_greeting(session, &error) < 0)
                session_finish(session, error.code, "%s", error_text(&error));
        error_deinit(&error);
        if (session->stream->is_open && session->phase == SESSION_CONNECTING)
                session_opened(session);
        if (session_is_open(session))
                session_flush_now(session);
        if (session->holder != SESSION_FREED)
                session_update(session);
}
