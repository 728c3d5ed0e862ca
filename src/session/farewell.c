/* The end of a session, as the other side hears it. What a close frame says about requests: those that were read and are not answered. All others of the peer that have no
 * answer were not executed, because nothing is read behind a close. */
#include "session/session.h"
#include "util/text.h"

#include <errno.h>
#include <string.h>

enum { ID_SIZE = 8 };

static const char key[] = "in_hand";

ferry_value *farewell_new(const ferry_session *session)
{
        struct buffer ids = { 0 };
        ferry_value *body;
        int code = 0;

        list_for_each(&session->messages, link) {
                const ferry_message *message = container_of(link, ferry_message, link);

                if (message->is_unanswered && !code)
                        code = buffer_append(&ids, message->id, message->id_size);
        }
        body = code ? NULL : ferry_value_pack("{%s: %.*s}", key, (int)buffer_size(&ids),
                                            buffer_size(&ids) ? (const char *)buffer_bytes(&ids) : "");
        buffer_deinit(&ids);
        return body;
}

void farewell_read(ferry_session *session, const ferry_value *body)
{
        size_t size = 0;
        const char *ids = ferry_value_bytes(ferry_value_get(body, key), &size);

        if (!ids || size % ID_SIZE != 0)
                return;
        list_for_each(&session->calls, link)
                container_of(link, ferry_call, link)->is_unread = true;
        for (size_t at = 0; at < size; at += ID_SIZE) {
                struct map_node *node = map_find(&session->calls_by_id, ids + at, ID_SIZE);

                if (node)
                        container_of(node, ferry_call, node)->is_unread = false;
        }
}

/* What cannot be said by an answer ------------------------------------------------------------------------ */

#define unanswered_sentence "a request failed, which in the dialect %s can only be said by closing: %s"

/* Behind the end of the input: the others are still answered, and the session ends with the reason. */
static void note_unanswered(ferry_session *session, const char *reason)
{
        struct error error = { 0 };

        error_set(&error, -EPROTO, unanswered_sentence, session->wire.dialect->name, reason);
        if (session->end_code == 0) {
                sys_free(session->end_sentence);
                session->end_code = -EPROTO;
                session->end_sentence = text_copy(error_text(&error));
        }
        dispatch_text(session, FERRY_KIND_ERROR, "", error_text(&error), strlen(error_text(&error)));
        error_deinit(&error);
}

void session_close_unanswered(ferry_session *session, const char *reason)
{
        if (session->state == SESSION_DRAINING) {
                note_unanswered(session, reason);
                return;
        }
        if (session->state != SESSION_OPEN || session->is_leaving)
                return;
        error_replace(&session->error, -EPROTO, unanswered_sentence, session->wire.dialect->name, reason);
        session->is_leaving = true;
        dispatch_text(session, FERRY_KIND_ERROR, "", error_text(&session->error), strlen(error_text(&session->error)));
        if (session->is_freed || session->state != SESSION_OPEN)
                return;
        ferry_session_close(session);
        session->is_told = false;
}
