/* What a close frame says about requests: those that were read and are not answered. All others of the peer that have no
 * answer were not executed, because nothing is read behind a close. */
#include "session/private.h"

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
