/* A client for which there is no room is refused. Where several dialects are spoken it has to show its own first; so
 * what it asks for is refused, and then it is closed: it knows that no handler has seen it. Invariant: this is
 * bounded, in time and in number, and none of it is seen by the program. */
#include "service/refusal.h"

#include <errno.h>
#include <string.h>

enum {
        REFUSED_MAX = 64,       /* the first to come goes without a word then */
        REFUSAL_MS = 1000,      /* for it to speak */
};

static const char *reason_of(const struct client *client)
{
        return client->is_short ? "the service has no descriptor left for one more client of this user (ulimit -n)" :
                                  "the service has as many clients as it may have (clients_max)";
}

void refusal_tell(const struct client *client)
{
        session_refuse_all(client->session, reason_of(client));
}

void refusal_remove(struct client *client)
{
        if (!client->refusal)
                return;
        loop_timer_stop(session_loop(client->session), &client->refusal_timer);
        list_remove(&client->link);
        client->refusal->count--;
        client->refusal = NULL;
}

/* One that is closing already has its time for that. */
static void time_is_over(struct loop_timer *timer)
{
        ferry_session *session = container_of(timer, struct client, refusal_timer)->session;

        if (session_is_open(session))
                ferry_session_close(session);
}

static int refuse(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct client *client = client_of(session);

        (void)userdata;
        if (ferry_message_kind(message) & FERRY_KIND_REQUEST)
                message_fail((ferry_message *)(uintptr_t)message, WIRE_REFUSED, "%s", reason_of(client));
        else
                refusal_tell(client);
        /* It goes when what has come with this is refused, too. */
        if (client->refusal)
                loop_timer_start(session_loop(session), &client->refusal_timer, sys_now());
        return 1;
}

int refusal_init(struct refusal *refusal)
{
        list_init(&refusal->list);
        handlers_init(&refusal->handlers);
        return handlers_add(&refusal->handlers, FERRY_KIND_MESSAGE, NULL, refuse, NULL);
}

void refusal_clear(struct refusal *refusal)
{
        struct client *client;

        while ((client = list_first(&refusal->list, struct client, link)))
                session_free(client->session);
}

void refusal_deinit(struct refusal *refusal)
{
        handlers_free(&refusal->handlers);
}

void refusal_add(struct refusal *refusal, struct client *client)
{
        struct client *oldest = list_first(&refusal->list, struct client, link);
        ferry_session *session = client->session;

        if (oldest && refusal->count == REFUSED_MAX)
                session_free(oldest->session);
        list_append(&refusal->list, &client->link);
        refusal->count++;
        client->refusal = refusal;
        session_set_shared_handlers(session, &refusal->handlers);
        client->refusal_timer.fn = time_is_over;
        loop_timer_start(session_loop(session), &client->refusal_timer, loop_deadline(REFUSAL_MS));
        session_begin(session);
        /* What it may be about to ask for is refused all the same. */
        if (!session_is_freed(session) && session_is_open(session))
                refusal_tell(client);
}
