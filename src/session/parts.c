/* Parts of replies, at both sides: those that a call has received, and how many a request may still send. Invariant: both sides
 * count the bytes of parts that were sent and not credited; the sender stops at PARTS_WINDOW, and the receiver ends a peer that
 * does not. So a call whose program does not take its parts holds so much and one part more, and other calls go on. */
#include "session/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CREDIT_MIN = PARTS_WINDOW / 4 };

static void end_peer(ferry_session *session, const char *sentence)
{
        session_end_breaker(session, "parts of replies", sentence);
}

/* At the side that has asked --------------------------------------------------------------------------------- */

struct call_parts *parts_of(ferry_call *call)
{
        if (!call->parts)
                call->parts = sys_alloc_zeroed(sizeof *call->parts);
        return call->parts;
}

/* The program has taken so many bytes. */
static void take(ferry_call *call, size_t size)
{
        struct call_parts *parts = call->parts;
        ferry_session *session = call->session;
        struct outgoing credit = { .kind = WIRE_CREDIT, .id = call->id, .id_size = call->node.key_size,
                                   .codec = ferry_codec_msgpack() };
        struct error error = { 0 };
        ferry_value *body;
        int code;

        parts->taken += size;
        if (!session || parts->taken < CREDIT_MIN || !session_can_send(session))
                return;
        body = ferry_value_pack("%zu", parts->taken);
        credit.body = body;
        parts->open -= parts->taken;
        parts->taken = 0;
        code = body ? session_send(session, &credit, true, NULL, &error) : -ENOMEM;
        ferry_value_unref(body);
        error_deinit(&error);
        if (code == -ENOMEM)
                session_finish(session, -ENOMEM, "no memory to credit parts of an answer");
}

void parts_release(ferry_call *call, ferry_message *part)
{
        size_t size = part->cost;

        message_release(part);
        take(call, size);
}

ferry_message *parts_take_first(ferry_call *call)
{
        struct call_parts *parts = call->parts;
        ferry_message *part;

        if (!parts_wait(call))
                return NULL;
        /* gcc-analyzer: a buffer that has a size has bytes */
        memcpy(&part, buffer_bytes(&parts->waiting), sizeof part);
        buffer_consume(&parts->waiting, sizeof part);
        if (call->session) {
                parts->kept -= part->cost;
                call->session->parts_kept -= part->cost;
                session_update(call->session);
        }
        return part;
}

void parts_deliver(ferry_call *call, ferry_message *part)
{
        call->parts->fn(call, part, call->parts->userdata);
        parts_release(call, part);
}

void parts_deliver_waiting(ferry_call *call)
{
        ferry_message *part;

        while (call->parts->fn && !call->is_freed && (part = parts_take_first(call)))
                parts_deliver(call, part);
}

void parts_drop(ferry_call *call)
{
        ferry_message *part;

        while ((part = parts_take_first(call))) {
                if (call->session)
                        call->session->dropped++;
                parts_release(call, part);
        }
}

static int keep(ferry_call *call, ferry_message *part)
{
        struct call_parts *parts = call->parts;

        if (buffer_append(&parts->waiting, &part, sizeof part) < 0)
                return -ENOMEM;
        parts->kept += part->cost;
        call->session->parts_kept += part->cost;
        return 0;
}

void parts_fail(ferry_call *call, int code, const char *reason)
{
        ferry_session *session = call->session;

        call_abandon(call);
        call_end(call, code, FERRY_OUTCOME_UNKNOWN, NULL, "cannot take a part of the answer: %s", reason);
        session_update(session);
}

/* Whether it has been handed to the function of the program, or dropped, or is kept: 0 or -ENOMEM. */
static int place(ferry_call *call, ferry_message *part)
{
        ferry_session *session = call->session;
        int code;

        if (!call->parts->fn && !call->fn && !call->is_awaited)
                return keep(call, part);
        /* The function waits in one of them: those behind that one go first. */
        if (call->parts->fn && parts_wait(call)) {
                code = keep(call, part);
                if (!code)
                        parts_deliver_waiting(call);
                return code;
        }
        if (call->parts->fn) {
                parts_deliver(call, part);
                return 0;
        }
        session->dropped++;
        parts_release(call, part);
        return 0;
}

void parts_hear(ferry_call *call, const struct frame *frame, const struct incoming *in)
{
        ferry_session *session = call->session;
        struct call_parts *parts = parts_of(call);
        ferry_message *part;

        if (parts && parts->open >= PARTS_WINDOW) {
                end_peer(session, "it has sent parts without credit");
                return;
        }
        part = parts ? message_new(session, FERRY_KIND_PROGRESS, frame, in) : NULL;
        if (!part) {
                parts_fail(call, -ENOMEM, "no memory");
                return;
        }
        if (in->check.has_references && !ferry_message_body(part)) {
                message_release(part);
                parts_fail(call, -EBADMSG, "its references are wrong, or too many");
                return;
        }
        if (session->is_debugged)
                debug_message(session, "<", "part", ferry_message_type(part), ferry_message_body(part));
        parts->has_come = true;
        parts->open += frame->size;
        part->cost = frame->size;
        if (place(call, part) < 0) {
                message_release(part);
                parts_fail(call, -ENOMEM, "no memory");
        }
}

/* Ids are numbers that count up. */
void parts_hear_unknown(ferry_session *session, const struct incoming *in)
{
        uint64_t id = in->id.size == 8 ? (uint64_t)read_u32(in->id.bytes) << 32 | read_u32(in->id.bytes + 4) : 0;
        char sentence[96];

        if (id > 0 && id <= session->wire.counter) {
                session->dropped++;
                return;
        }
        snprintf(sentence, sizeof sentence, "it has sent a part of the reply to request %llu, which does not exist",
                 (unsigned long long)id);
        end_peer(session, sentence);
}

/* At the side that answers ----------------------------------------------------------------------------------- */

bool message_takes_parts(const ferry_message *request)
{
        return request->parts_open < PARTS_WINDOW;
}

int message_check_parts(const ferry_message *request, struct error *error)
{
        if (!request->dialect->has_parts)
                return error_set(error, -EOPNOTSUPP, "the dialect %s has no parts of replies", request->dialect->name);
        if (!request->session->wire.takes_parts)
                return error_set(error, -EOPNOTSUPP, "the other side does not know parts of replies");
        return 0;
}

/* It has waited for that. */
static void report_room(ferry_message *request)
{
        const struct frame frame = { .bytes = "" };
        const struct incoming in = { .type = { .bytes = request->type, .size = strlen(request->type) },
                                     .id = { .bytes = request->id, .size = request->id_size } };
        ferry_session *session = request->session;
        ferry_message *event = message_new(session, FERRY_KIND_DRAINED, &frame, &in);

        request->is_starved = false;
        if (!event) {
                session_finish(session, -ENOMEM, "no memory to report what was received");
                return;
        }
        dispatch(session, event);
        message_release(event);
}

void parts_hear_credit(ferry_session *session, const struct raw_text *id, int64_t size)
{
        struct map_node *node = map_find(&session->requests_by_id, id->bytes, id->size);
        ferry_message *request = node ? container_of(node, ferry_message, node) : NULL;

        if (size <= 0 || (request && (uint64_t)size > request->parts_open)) {
                end_peer(session, "it has given credit for bytes that it was not sent");
                return;
        }
        /* It was answered meanwhile. */
        if (!request)
                return;
        request->parts_open -= (size_t)size;
        if (request->is_starved && message_takes_parts(request))
                report_room(request);
}
