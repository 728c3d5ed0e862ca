/* Sessions that connect again. Invariants: a call, and a request of the peer, stays with the connection that it came by, so nothing
 * is sent twice, and no answer goes to a peer that has not asked; the session that the program has stays what it is.
 *
 * The connection that the session leaves goes to a *former* session, with the calls and requests that are in flight. It ends as any
 * other, and no handler sees its end; what it still receives goes to the handlers of its front, the session that the program has. */
#include "session/private.h"
#include "session/subscriptions.h"
#include "util/options.h"

#include <ferry/address.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        PAUSE_MIN_MS = 100,
        PAUSE_MAX_MS = 5000,    /* a connection that lasts for so long was none of a series of failures */
        DRAINS_MAX = 8,         /* connections in a row that have brought nothing but a drain, and are followed without a pause */
};

/* Former sessions -------------------------------------------------------------------------------------- */

/* The peer has gone: no request of it can be answered, and those that wait to be fetched are dropped. */
static void former_ended(void *object)
{
        ferry_session *former = object;

        list_for_each(&former->messages, link) {
                ferry_message *message = container_of(link, ferry_message, link);
                bool is_waiting = !list_is_empty(&message->queue_link);

                message->references++;
                if (is_waiting)
                        list_remove(&message->queue_link);
                message_settle(message);
                message_release(message);
                if (is_waiting)
                        message_release(message);
        }
}

static void former_settled(void *object)
{
        ferry_session *former = object;

        loop_task_start(former->loop, &former->work);
}

static void former_freed(void *object)
{
        ferry_session *former = object;

        list_remove(&former->former_link);
        former->front = NULL;
}

static const struct session_owner former_owner = {
        .ended = former_ended, .settled = former_settled, .freed = former_freed, .expects_failures = true,
};

static void move_calls(ferry_session *former, ferry_session *session)
{
        while (!list_is_empty(&session->calls)) {
                ferry_call *call = container_of(session->calls.next, ferry_call, link);

                list_remove(&call->link);
                list_append(&former->calls, &call->link);
                call->session = former;
                if (call->parts) {
                        session->parts_kept -= call->parts->kept;
                        former->parts_kept += call->parts->kept;
                }
                if (!call->node.key)
                        continue;
                map_remove(&session->calls_by_id, &call->node);
                call->node.key = call->id;
                map_add(&former->calls_by_id, &call->node);
        }
}

/* Requests of the peer that may still be answered. */
static void move_requests(ferry_session *former, ferry_session *session)
{
        list_for_each(&session->messages, link) {
                ferry_message *message = container_of(link, ferry_message, link);

                if (!message->is_unanswered && !message->is_counted)
                        continue;
                list_remove(&message->link);
                list_append(&former->messages, &message->link);
                message->session = former;
                if (message->node.key) {
                        map_remove(&session->requests_by_id, &message->node);
                        message->node.key = message->id;
                        map_add(&former->requests_by_id, &message->node);
                }
                if (message->is_counted) {
                        session->unanswered--;
                        session->held -= message->cost;
                        former->unanswered++;
                        former->held += message->cost;
                }
        }
}

/* All that is of the connection; what the session keeps is as it was before the first one. */
static void move_connection(ferry_session *former, ferry_session *session)
{
        former->stream = session->stream;
        former->stream->object = former;
        session->stream = NULL;
        former->in = session->in;
        session->in = (struct inbox){ 0 };
        outbox_move(&former->out, &session->out);
        former->output_error = session->output_error;
        former->sharing = session->sharing;
        session->sharing = (struct sharing){ 0 };
        former->heartbeat.peer_ms = session->heartbeat.peer_ms;
        session->heartbeat.peer_ms = 0;
        former->ping = session->ping;
        former->pong = session->pong;
        former->fenced = session->fenced;
        former->descriptors = session->descriptors;
        session->descriptors = NULL;
        if (former->descriptors)
                attached_change_session(former, session);
        former->sent = session->sent;
        former->received = session->received;
        former->stranger = session->stranger;
        former->overdue_at = session->overdue_at;
        former->stuck_at = session->stuck_at;
        session->output_error = 0;
        session->stranger = NULL;
        session->overdue_at = session->stuck_at = UINT64_MAX;
        session->quick = 0;
}

static ferry_session *part(ferry_session *session, bool is_lost)
{
        struct reconnect *reconnect = session->reconnect;
        struct error error = { 0 };
        ferry_session_options all;
        ferry_session *former = session_new(session->loop, reconnect->options, session->address, &all, &error);
        bool is_late = loop_task_is_started(&session->departure);

        error_deinit(&error);
        if (!former)
                return NULL;
        if (wire_part(&session->wire, &former->wire) < 0) {
                session_free(former);
                return NULL;
        }
        former->is_hidden = former->has_reported_opened = true;
        former->front = session;
        list_append(&reconnect->former, &former->former_link);
        session_set_owner(former, &former_owner, former);
        session_advance(former, EVENT_FORGOTTEN);
        loop_timer_stop(session->loop, &session->heartbeat.timer);
        loop_task_stop(&session->departure);
        move_connection(former, session);
        move_calls(former, session);
        /* Where requests and answers go by way of a server, the next connection takes the answers as well. */
        if (session->wire.dialect->has_login)
                outbox_set_gate(&session->out, OUTBOX_SHUT);
        else
                move_requests(former, session);
        session_advance(former, EVENT_STREAM_UP);
        session_advance(session, EVENT_PARTED);
        /* Without memory for that they are lost, and counted. */
        if (is_lost)
                outbox_copy_notifications(&session->out, &former->out, session->wire.dialect);
        /* What was held leaves now: a later release knows only the next connection. */
        if (is_late)
                loop_put_off(former->loop, &former->departure);
        heartbeat_update(former);
        loop_task_start(former->loop, &former->work);
        session_update(former);
        session_update(session);
        return former;
}

/* Connecting again ------------------------------------------------------------------------------------- */

static void give_up(ferry_session *session, const char *sentence)
{
        struct reconnect *reconnect = session->reconnect;

        session_finish(session, -ECONNRESET, "%s; gave up connecting again after %u attempt%s%s%s", error_text(&reconnect->reason),
                       reconnect->attempts, reconnect->attempts == 1 ? "" : "s", *sentence ? ": " : "", sentence);
}

/* Between a pause that doubles and twice that, so that the clients of a service do not come all at once. */
static int64_t next_pause(const struct reconnect *reconnect)
{
        const struct hash_key key = hash_secret();
        const int64_t seed[] = { (int64_t)(intptr_t)reconnect, sys_now() };
        int64_t pause = PAUSE_MIN_MS;

        for (unsigned i = 0; i < reconnect->attempts && pause < PAUSE_MAX_MS / 2; i++)
                pause *= 2;
        pause = (pause < PAUSE_MAX_MS / 2 ? pause : PAUSE_MAX_MS / 2) * 1000000;
        return pause + (int64_t)(hash_bytes(&key, seed, sizeof seed) % (uint64_t)pause);
}

static void wait(ferry_session *session, const char *sentence)
{
        struct reconnect *reconnect = session->reconnect;
        int64_t now = sys_now(), at = now + next_pause(reconnect);
        unsigned most = session->settings.reconnect_attempts;

        if (now >= reconnect->give_up_at || (most > 0 && reconnect->attempts >= most)) {
                give_up(session, sentence);
                return;
        }
        loop_timer_start(session->loop, &reconnect->pause, at < reconnect->give_up_at ? at : reconnect->give_up_at);
        session_update(session);
}

static void try_again(ferry_session *session)
{
        struct stream_place place = { .loop = session->loop, .owner = &session_stream_owner, .object = session,
                                      .servers = wire_servers(&session->wire) };
        struct error error = { 0 };
        ferry_session_options options = *session->reconnect->options;

        /* The pauses are the session's own. */
        options.wait_ms = 0;
        session->reconnect->attempts++;
        if (stream_open(&place, session->address, &options, &session->stream, &error) < 0) {
                session->stream = NULL;
                wait(session, error_text(&error));
        } else {
                session_advance(session, EVENT_CONNECT);
                session_begin(session);
        }
        error_deinit(&error);
}

static void pause_is_over(struct loop_timer *timer)
{
        const struct reconnect *reconnect = container_of(timer, const struct reconnect, pause);

        try_again(reconnect->session);
}

static void retry(ferry_session *session, const char *sentence)
{
        char reason[512];

        snprintf(reason, sizeof reason, "%s", sentence);
        session_advance(session, EVENT_UNREACHED);
        if (session->stream)
                stream_free(session->stream);
        session->stream = NULL;
        inbox_deinit(&session->in);
        session->in = (struct inbox){ 0 };
        wire_forget_start(&session->wire);
        session->output_error = 0;
        wait(session, reason);
}

/* Attempts, and the time for them, begin anew behind a connection that has lasted. */
static void begin_attempts(ferry_session *session)
{
        struct reconnect *reconnect = session->reconnect;
        int64_t now = sys_now();

        if (reconnect->attempts > 0 && now - reconnect->up_at < (int64_t)PAUSE_MAX_MS * 1000000)
                return;
        reconnect->attempts = 0;
        reconnect->give_up_at = loop_deadline(session->settings.reconnect_ms);
}

static void start_report(ferry_session *session)
{
        struct loop_task *task = &session->reconnect->report;

        loop_task_stop(task);
        loop_task_start(session->loop, task);
}

static void lose(ferry_session *session, const char *sentence)
{
        struct reconnect *reconnect = session->reconnect;

        reconnect->losses++;
        /* A connection that was not reported is not lost, either. */
        if (!reconnect->is_resumed || !reconnect->is_known)
                error_replace(&reconnect->lost, -ECONNRESET, "%s", sentence);
        reconnect->is_resumed = false;
        error_replace(&reconnect->reason, -ECONNRESET, "%s", sentence);
        start_report(session);
        begin_attempts(session);
        wait(session, "");
}

/* Count a connection that ends by a drain. Whether it was of use: it has brought more than a hello and that, or has lasted. */
static bool note_drain(ferry_session *session)
{
        struct reconnect *reconnect = session->reconnect;
        bool has_lasted = sys_now() - reconnect->up_at >= (int64_t)PAUSE_MAX_MS * 1000000;
        bool is_useful = has_lasted || session->received > reconnect->received + 2;

        reconnect->drains = is_useful ? 0 : reconnect->drains + 1;
        return is_useful;
}

/* A service that only drains would have its clients connect as often as they can. */
static void follow(ferry_session *session)
{
        static const char sentence[] = "the service was handed over to another process";
        struct reconnect *reconnect = session->reconnect;
        bool is_useful = note_drain(session);

        if (session_part(session, false) == session)
                return;
        error_replace(&reconnect->reason, -ECONNRESET, "%s", sentence);
        if (is_useful || reconnect->drains <= DRAINS_MAX) {
                reconnect->attempts = 0;
                reconnect->give_up_at = loop_deadline(session->settings.reconnect_ms);
                try_again(session);
        } else
                wait(session, "");
}

/* The front of the queue: a hello, and what the session has subscribed to. */
static int put_subscription(void *object, const char *pattern)
{
        ferry_session *session = object;
        struct outgoing subscribe = { .kind = WIRE_SUBSCRIBE, .type = pattern };
        struct error error = { 0 };
        int code = session->wire.dialect->write(&session->wire, &session->out.bytes, &subscribe, &error);

        error_deinit(&error);
        return code;
}

/* One that has withdrawn all must not get everything again. */
static int put_withdrawal(ferry_session *session)
{
        struct outgoing unsubscribe = { .kind = WIRE_UNSUBSCRIBE, .type = ">" };
        struct error error = { 0 };
        int code = subscriptions_are_withdrawn(session->subscriptions) ?
                           session->wire.dialect->write(&session->wire, &session->out.bytes, &unsubscribe, &error) : 0;

        error_deinit(&error);
        return code;
}

static void resume(ferry_session *session)
{
        struct reconnect *reconnect = session->reconnect;
        size_t before = outbox_size(&session->out);
        struct error error = { 0 };

        reconnect->up_at = sys_now();
        reconnect->received = session->received;
        if (session_send_hello(session, &error) < 0 || subscriptions_visit(session->subscriptions, put_subscription, session) < 0 ||
            put_withdrawal(session) < 0) {
                error_deinit(&error);
                outbox_undo(&session->out, before);
                session_finish(session, -ENOMEM, "no memory to begin a connection");
                return;
        }
        outbox_prepend(&session->out, outbox_size(&session->out) - before);
        if (reconnect->connections++ == 0)
                return;
        reconnect->is_resumed = true;
        start_report(session);
}

/* LOST and RESUMED, behind the callbacks of the calls that have ended with the connection. */
static void report(struct loop_task *task)
{
        struct reconnect *reconnect = container_of(task, struct reconnect, report);
        ferry_session *session = reconnect->session;
        struct error lost = reconnect->lost;

        reconnect->lost = (struct error){ 0 };
        if (lost.code && !session_has_ended(session)) {
                reconnect->is_known = true;
                dispatch_text(session, FERRY_KIND_LOST, "", error_text(&lost), strlen(error_text(&lost)));
        }
        error_deinit(&lost);
        if (session->holder == SESSION_FREED || !reconnect->is_resumed)
                return;
        reconnect->is_resumed = reconnect->is_known = false;
        if (!session_has_ended(session))
                dispatch_text(session, FERRY_KIND_RESUMED, "", "", 0);
}

/* Its end ---------------------------------------------------------------------------------------------- */

static void stop(ferry_session *session)
{
        loop_timer_stop(session->loop, &session->reconnect->pause);
        list_for_each(&session->reconnect->former, link)
                ferry_session_close(container_of(link, ferry_session, former_link));
}

/* The former sessions finish alone what they have to send. */
static void release(ferry_session *session)
{
        struct reconnect *reconnect = session->reconnect;

        loop_timer_stop(session->loop, &reconnect->pause);
        loop_task_stop(&reconnect->report);
        list_for_each(&reconnect->former, link) {
                ferry_session *former = container_of(link, ferry_session, former_link);

                list_remove(link);
                former->front = NULL;
                if (!loop_is_foreign(session->loop))
                        ferry_session_close(former);
        }
}

static void destroy(struct reconnect *reconnect)
{
        options_drop_session(reconnect->options);
        error_deinit(&reconnect->lost);
        error_deinit(&reconnect->reason);
        sys_free(reconnect);
}

static const struct reconnect_table table = {
        .part = part, .lose = lose, .retry = retry, .follow = follow, .resume = resume, .close = stop, .free = release,
        .destroy = destroy,
};

/* Whether an address leads to a peer that can be connected to again. */
static bool leads_to_peer(const char *address)
{
        switch (ferry_address_scheme(address)) {
        case FERRY_SCHEME_NAME:
        case FERRY_SCHEME_UNIX:
        case FERRY_SCHEME_TCP:
        case FERRY_SCHEME_EXEC:
        case FERRY_SCHEME_SSH:
        case FERRY_SCHEME_NATS:
                return true;
        default:
                return false;
        }
}

int reconnect_init(ferry_session *session, bool has_asked, const ferry_session_options *all, struct error *error)
{
        bool can_resume = session->wire.dialect->has_hand_over || session->wire.dialect->has_login;
        struct reconnect *reconnect;

        if (!has_asked && (!leads_to_peer(session->address) || !can_resume))
                return 0;
        if (!leads_to_peer(session->address))
                return error_set(error, -EINVAL, "'%s' cannot be connected to again: reconnect_ms needs NAME, unix:PATH, tcp:HOST:PORT,"
                                                 " exec:COMMAND, ssh:HOST:NAME or nats:SUBJECT", session->address);
        if (!can_resume)
                return error_set(error, -EOPNOTSUPP, "a session of the dialect %s cannot connect again: its peers do not say what they"
                                                     " have done before they end", session->wire.dialect->name);
        reconnect = sys_alloc_zeroed(sizeof *reconnect);
        if (!reconnect)
                return error_set(error, -ENOMEM, "no memory for a session that connects again");
        reconnect->table = &table;
        reconnect->session = session;
        reconnect->pause.fn = pause_is_over;
        reconnect->report.fn = report;
        list_init(&reconnect->former);
        session->reconnect = reconnect;
        /* What is told apart, and kept, is of one dialect. */
        session->wire.is_dialect_fixed = true;
        session->out.is_telling_apart = true;
        return options_keep_session(&reconnect->options, all, error);
}
