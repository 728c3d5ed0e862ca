/* Opening sessions: by address, to a child or a parent, of a client that has come, and to ask whether a service lives. */
#include "session/private.h"

#include <errno.h>

ferry_session *ferry_session_open(ferry_loop *loop, const char *address, const ferry_session_options *options)
{
        struct error error = { 0 };
        struct stream_place place = { .loop = loop, .owner = &session_stream_owner };
        ferry_session_options all;
        ferry_session *session;
        int code;

        if (!loop || loop_is_elsewhere(loop))
                return NULL;
        session = session_new(loop, options, address ? address : "", &all, &error);
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
        if (!code && address)
                code = wire_begin(&session->wire, address, &all, &error);
        if (!code && session->settings.reconnect_ms)
                code = reconnect_init(session, options && options->reconnect_ms, &all, &error);
        if (!code)
                code = stream_open(&place, address, &all, &session->stream, &error);
        if (!code)
                session_begin(session);
        else
                session_finish(session, code, "%s", error_text(&error));
        error_deinit(&error);
        /* The callback that allows peers may have let go of it. */
        if (session->holder == SESSION_FREED)
                session = NULL;
        loop_leave(loop);
        return session;
}

ferry_session *session_open_process(ferry_loop *loop, const int fds[2], const ferry_session_options *options,
                                    const char *address, const ferry_peer *peer, const struct session_owner *owner, void *object)
{
        struct stream_place place = { .loop = loop, .owner = &session_stream_owner };
        struct error error = { 0 };
        ferry_session_options all;
        ferry_session *session = session_new(loop, options, address, &all, &error);
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
        ferry_session_options all;
        ferry_session *session = session_new(loop, options, address, &all, &error);
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
        const ferry_session_options options = { .size = sizeof options, .dialect = dialect, .shm = FERRY_SHM_NEVER };
        ferry_session *probe = session_accept(loop, fd, &options, "");
        uint64_t ping;

        if (!probe)
                return NULL;
        session_tell(probe);
        probe->is_server = false;
        probe->is_hidden = true;
        session_begin(probe);
        if (!session_has_answered(probe))
                session_send_ping(probe, &ping);
        return probe;
}

bool session_has_answered(const ferry_session *probe)
{
        return probe->holder == SESSION_FREED || session_has_ended(probe) || probe->pong > 0;
}
