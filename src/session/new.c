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

static void keep_settings(ferry_session *session, const ferry_session_options *all)
{
        session->settings = (struct session_settings){
                .make_id = all->make_id, .make_id_userdata = all->make_id_userdata, .allow = all->allow, .allow_userdata = all->allow_userdata,
                .request_timeout_ms = all->request_timeout_ms, .answer_timeout_ms = all->answer_timeout_ms,
                .heartbeat_ms = all->heartbeat_ms, .shm = all->shm, .spin_us = all->spin_us, .reconnect_ms = all->reconnect_ms,
                .reconnect_attempts = all->reconnect_attempts, .is_listening = all->is_listening,
        };
        session->close_timeout_ms = all->close_timeout_ms ? all->close_timeout_ms : CLOSE_TIMEOUT_DEFAULT_MS;
        session->grace_ms = session->close_timeout_ms;
        session->queue_max = all->queue_max;
}

ferry_session *session_new(ferry_loop *loop, const ferry_session_options *options, const char *address, ferry_session_options *ret_all,
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
        session_advance(session, EVENT_CONNECT);
        session->reserve = session_reserve(loop);
        session_set_owner(session, NULL, NULL);
        session_inherit(loop, ret_all, options, &session->wire, error);
        keep_settings(session, ret_all);
        session->work.fn = session_work;
        session->stuck_at = UINT64_MAX;
        session->overdue_at = UINT64_MAX;
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
