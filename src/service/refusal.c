/* A client for whom there is no room is told so. Where several dialects are spoken it has to show its own first; so
 * what it asks for is refused, and then it is closed: it knows that nobody has acted on it. Invariant: this is
 * bounded, in time and in number, and none of it is seen by the program. */
#include "service/refusal.h"

#include <errno.h>
#include <string.h>

enum {
        REFUSED_MAX = 64,       /* who came first goes without a word then */
        REFUSAL_MS = 1000,      /* for it to speak */
};

static const char reason[] = "there are too many clients";

void refusal_tell(ferry_session *client)
{
        static const char nobody[8];
        struct outgoing refused = { .kind = WIRE_REFUSED, .id = nobody, .id_size = sizeof nobody };
        const struct wire *wire = &client->wire;
        struct error error = { 0 };
        ferry_value *body;

        if (!wire->is_dialect_fixed || !wire->dialect->has_cancel || session_status_for_sending(client, &error) < 0) {
                error_deinit(&error);
                return;
        }
        body = ferry_value_pack("%s", reason);
        refused.body = body;
        /* If there is no memory for that either, it sees only the end. */
        if (body)
                session_send(client, &refused, true, NULL, &error);
        ferry_value_unref(body);
        error_deinit(&error);
}

static void remove_from_list(ferry_session *client)
{
        struct refusal *refusal = container_of(client->service_handlers, struct refusal, handlers);

        list_remove(&client->service_link);
        refusal->count--;
}

static void refused_ended(ferry_session *client)
{
        remove_from_list(client);
        client->is_forgotten = true;
}

static void close_refused(struct loop_timer *timer)
{
        ferry_session *client = container_of(timer, ferry_session, close_timer);

        if (client->state == SESSION_OPEN) {
                timer->fn = session_close_is_late;
                ferry_session_close(client);
        } else
                session_close_is_late(timer);
}

/* It goes when what has come with this is refused, too. */
static void close_soon(ferry_session *client)
{
        loop_timer_start(client->loop, &client->close_timer, sys_now());
}

static int refuse(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)userdata;
        if (ferry_message_kind(message) & FERRY_KIND_REQUEST)
                message_fail((ferry_message *)(uintptr_t)message, WIRE_REFUSED, "%s", reason);
        else
                refusal_tell(client);
        close_soon(client);
        return 1;
}

int refusal_init(struct refusal *refusal)
{
        list_init(&refusal->list);
        list_init(&refusal->handlers.list);
        return handlers_add(&refusal->handlers.list, FERRY_KIND_MESSAGE, refuse, NULL);
}

void refusal_clear(struct refusal *refusal)
{
        list_for_each(&refusal->list, link) {
                ferry_session *client = container_of(link, ferry_session, service_link);

                remove_from_list(client);
                session_free(client);
        }
}

void refusal_deinit(struct refusal *refusal)
{
        handlers_free(&refusal->handlers.list);
}

void refusal_add(struct refusal *refusal, ferry_session *client)
{
        ferry_session *first = list_first(&refusal->list, ferry_session, service_link);

        if (first && refusal->count == REFUSED_MAX) {
                remove_from_list(first);
                session_free(first);
        }
        list_append(&refusal->list, &client->service_link);
        refusal->count++;
        client->service_handlers = &refusal->handlers;
        client->owner_ended = refused_ended;
        client->close_timer.fn = close_refused;
        loop_timer_start(client->loop, &client->close_timer, loop_deadline(REFUSAL_MS));
        session_begin(client);
        /* What it may be about to ask for is refused all the same. */
        if (!client->is_freed && client->state == SESSION_OPEN)
                refusal_tell(client);
}
