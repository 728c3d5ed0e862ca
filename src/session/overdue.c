/* What a deadline waits for: all that had come by then. */
#include "session/private.h"

enum { UNCOUNTED_MAX = 1 << 18 };       /* bytes that may lie in a stream that cannot say how many do */

bool session_has_caught_up(const ferry_session *session, uint64_t *mark)
{
        const struct stream *stream = session->stream;

        if (!stream || session->holder == SESSION_FREED || session_has_ended(session))
                return true;
        if (*mark == 0 && inbox_may_have_more(&session->in)) {
                *mark = session->in.taken;
                for (int i = 0; i < STREAM_INPUTS; i++) {
                        int count = stream_count_input(stream, i);

                        /* A stream that cannot count is read until a read comes short or nothing can be read, but not forever. */
                        *mark += (uint64_t)(count >= 0 ? count : UNCOUNTED_MAX);
                }
        }
        return inbox_has_passed(&session->in, *mark) ||
               (!session->in.is_behind && (!stream->wants_read || !stream_is_readable(stream)));
}
