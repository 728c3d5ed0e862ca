/* Descriptors that are passed with messages (dialect ferry, unix sockets). A frame in front of a message says how many come with
 * it, and they leave with the first byte of that frame. Invariants: a message that was refused at this side leaves them attached
 * for the next one; at most OPEN_MAX are on their way, since a ping behind them is answered once the peer has handled them; those
 * that no program takes are closed with their message. */
#include "session/private.h"

#include <errno.h>
#include <stdio.h>

enum { OPEN_MAX = 256 };

/* Sending ---------------------------------------------------------------------------------------------------- */

/* What the peer takes is known once it has said hello. */
static int check_peer(ferry_session *session, struct error *error)
{
        uint64_t ping;
        int code;

        if (!session->wire.dialect->has_descriptors)
                return error_set(error, -EOPNOTSUPP, "the dialect %s passes no descriptors", session->wire.dialect->name);
        if (!session->stream)
                return error_set(error, -EAGAIN, "the session is not connected");
        if (!stream_passes(session->stream))
                return error_set(error, -EOPNOTSUPP, "descriptors are passed over unix sockets only");
        if (session->wire.descriptors == WIRE_DESCRIPTORS_TAKEN)
                return 0;
        if (session->wire.descriptors == WIRE_DESCRIPTORS_IGNORED)
                return error_set(error, -EOPNOTSUPP, "the other side takes no descriptors");
        code = session_send_ping(session, &ping);
        return error_set(error, code < 0 ? code : -EAGAIN, "the other side has not said yet whether it takes descriptors: flush, and try"
                                                           " again");
}

static int attach(ferry_session *session, int fd, struct error *error)
{
        struct descriptors *descriptors = descriptors_of(session);
        size_t count = descriptors && descriptors->attached ? descriptors->attached->count : 0;
        int code = session_status_for_sending(session, error);

        if (!code)
                code = check_peer(session, error);
        if (code)
                return code;
        if (count == PASSED_MAX)
                return error_set(error, -E2BIG, "a message has %d descriptors at most", (int)PASSED_MAX);
        if (descriptors && descriptors->open + count >= OPEN_MAX)
                return error_set(error, -ENOBUFS, "%d descriptors are on their way to the other side: flush, then try again", (int)OPEN_MAX);
        fd = sys_duplicate(fd, 0);
        if (fd < 0)
                return error_set(error, fd, "cannot duplicate the descriptor: %s", error_describe(fd));
        /* None are attached unless there is one: a frame that announces none would end the session. */
        if (descriptors && !descriptors->attached)
                descriptors->attached = attached_new();
        if (!descriptors || !descriptors->attached) {
                sys_close(fd);
                return error_set(error, -ENOMEM, "no memory for a descriptor");
        }
        descriptors->attached->fds[count] = fd;
        descriptors->attached->count++;
        return 0;
}

int ferry_session_attach(ferry_session *session, int fd)
{
        struct error error = { 0 };
        int code;

        if (!session)
                return -ENOMEM;
        if (loop_is_elsewhere(session->loop))
                return -EPERM;
        loop_enter(session->loop);
        if (fd == -1) {
                attached_drop(session);
                code = 0;
        } else
                code = attach(session, fd, &error);
        session_note_call(session, code, error_text(&error));
        error_deinit(&error);
        loop_leave(session->loop);
        return code;
}

void descriptors_hear_pong(ferry_session *session)
{
        struct descriptors *descriptors = session->descriptors;

        if (!descriptors || descriptors->asked == 0 || session->pong < descriptors->ping)
                return;
        descriptors->open -= descriptors->asked;
        descriptors->asked = 0;
        if (descriptors->open > 0)
                session_ask_passed(session);
}

/* Receiving -------------------------------------------------------------------------------------------------- */

void descriptors_end_peer(ferry_session *session, const char *sentence)
{
        session_end_breaker(session, "descriptors", sentence);
}

void descriptors_drop(ferry_session *session)
{
        if (!session->descriptors)
                return;
        passed_free(session->descriptors->passed);
        session->descriptors->passed = NULL;
}

void descriptors_hear(ferry_session *session, int64_t count)
{
        struct passed *passed;

        if (!descriptors_of(session)) {
                session_finish(session, -ENOMEM, "no memory for a descriptor");
                return;
        }
        if (session->descriptors->passed || count < 1 || count > PASSED_MAX) {
                descriptors_end_peer(session, "it has announced too many");
                return;
        }
        passed = stream_take_passed(session->stream);
        if (!passed) {
                descriptors_end_peer(session, "it has announced some that have not come");
                return;
        }
        session->descriptors->passed = passed;
        if (!passed->is_cut && passed->count != (size_t)count)
                descriptors_end_peer(session, "it has announced another number than have come");
}

void descriptors_give(ferry_session *session, ferry_message *message)
{
        message->passed = session->descriptors->passed;
        session->descriptors->passed = NULL;
        if (!message->is_counted)
                return;
        message->cost += message_weight(message) - message->body_size;
        session->held += message_weight(message) - message->body_size;
}

/* What programs ask of a message ----------------------------------------------------------------------------- */

size_t ferry_message_fds(const ferry_message *message)
{
        return message && !message_is_elsewhere(message) && message->passed ? message->passed->count : 0;
}

int ferry_message_take_fd(const ferry_message *message, size_t index)
{
        int fd;

        if (!message)
                return -ENOMEM;
        if (message_is_elsewhere(message))
                return -EPERM;
        if (!message->passed || index >= message->passed->count)
                return -ENOENT;
        fd = message->passed->fds[index];
        message->passed->fds[index] = -1;
        return fd < 0 ? -EALREADY : fd;
}
