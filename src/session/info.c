/* What a program asks about a session. Invariant: asking changes nothing. */
#include "session/private.h"
#include "stream/moved.h"

#include <errno.h>

int ferry_session_status(const ferry_session *session)
{
        if (!session)
                return -ENOMEM;
        if (loop_is_elsewhere(session->loop))
                return -EPERM;
        if (!session_has_ended(session))
                return session_is_closing(session) ? session->error.code : 1;
        return session->error.code;
}

const char *ferry_session_error(const ferry_session *session)
{
        if (!session)
                return "the session is NULL: its loop is NULL or belongs to another thread, or no memory was left for it";
        if (loop_is_elsewhere(session->loop))
                return loop_elsewhere;
        return error_text(session->error.code || !session->call_error.code ? &session->error : &session->call_error);
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
        return ferry_value_pack("{address: %s, dialect: %s, codec: %s, stream: %s, pid: %d, uid: %lld, gid: %lld,"
                                " sent: %llu, received: %llu, queued: %zu, in_flight: %zu, dropped: %llu,"
                                " junk: %llu}",
                                session->address, wire->dialect ? wire->dialect->name : NULL,
                                wire->codec ? wire->codec->name : NULL,
                                session->stream ? stream_name(session->stream) : NULL, (int)peer.pid,
                                peer.pid < 0 ? -1LL : (long long)peer.uid, peer.pid < 0 ? -1LL : (long long)peer.gid,
                                (unsigned long long)session->sent, (unsigned long long)session->received,
                                outbox_queued(&session->out), list_count(&session->calls),
                                (unsigned long long)session->dropped, (unsigned long long)session->junk);
}

int64_t ferry_session_queued(const ferry_session *session)
{
        if (!session)
                return -ENOMEM;
        if (loop_is_elsewhere(session->loop))
                return -EPERM;
        if (loop_is_foreign(session->loop))
                return -ECHILD;
        if (session_has_ended(session))
                return session->error.code ? session->error.code : -ENOTCONN;
        /* What is queued will never be sent. */
        if (session->output_error)
                return session->output_error;
        return (int64_t)outbox_queued(&session->out);
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
