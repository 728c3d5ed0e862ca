/* Calls that the program, or this side, no longer waits for. */
#include "session/private.h"

enum ferry_outcome call_abandon(ferry_call *call)
{
        ferry_session *session = call->session;
        enum ferry_outcome outcome = call_withdraw(call);
        struct outgoing cancel = { .kind = WIRE_CANCEL, .id = call->id, .id_size = call->node.key_size };
        struct error error = { 0 };

        if (!session || !session->wire.dialect->has_ids)
                return outcome;
        if (outcome == FERRY_OUTCOME_UNKNOWN && session->wire.dialect->has_cancel && session_is_open(session) &&
            !loop_is_foreign(session->loop))
                session_send(session, &cancel, true, NULL, &error);
        error_deinit(&error);
        return outcome;
}
