/* Subscribing, on the side of the service: what a client wants to get, and the values that were set before it came. */
#include "service/private.h"

#include "wire/pattern.h"

#include <errno.h>
#include <stdio.h>

enum { SUBSCRIBED_PART = 8 };   /* of bytes_max, for the subscriptions of the clients of one user */

/* The values that were set before. What cannot be sent is reported to the client, once. */
static int send_retained(struct client *client, const char *pattern, size_t size, struct error *error)
{
        size_t count, failed = 0;
        struct retained **found = retained_find(&client->service->retained, pattern, size, &count);
        struct error first = { 0 };
        char reason[512];

        if (!found)
                return error_set(error, -ENOMEM, "no memory for the retained values");
        for (size_t i = 0; i < count; i++) {
                struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = found[i]->type, .body = found[i]->body };
                struct error each = { 0 };

                /* A codec of the program may free the client. */
                if (!session_is_freed(client->session) && session_send(client->session, &outgoing, false, NULL, &each) < 0 &&
                    failed++ == 0)
                        error_set(&first, each.code, "%s", error_text(&each));
                error_deinit(&each);
                retained_unref(found[i]);
        }
        sys_free(found);
        if (failed > 0 && !session_is_freed(client->session)) {
                snprintf(reason, sizeof reason, "%zu of %zu retained values were not sent: %s", failed, count, error_text(&first));
                session_refuse_all(client->session, reason);
        }
        error_deinit(&first);
        return 0;
}

int client_subscribed(void *object, const char *pattern, size_t size, struct error *error)
{
        struct client *client = object;
        ferry_service *service = client->service;

        if (client->is_probe)
                return error_set(error, -EPROTO, "a client that only tests whether the service answers cannot subscribe");
        /* One that is refused is sent nothing. */
        if (!client->crowd || topics_have(&service->topics, &client->subscriber, pattern, size))
                return 0;
        if (subscriptions_check_room(client->subscriber.count, client->subscriber.bytes, size, error) < 0)
                return error->code;
        if (client->crowd->subscribed + topics_cost(pattern, size) > service->options.bytes_max / SUBSCRIBED_PART)
                return error_set(error, -ENOSPC, "the subscriptions of the clients of this user have reached their limit (an eighth"
                                                 " of bytes_max)");
        if (topics_add(&service->topics, &client->subscriber, pattern, size) < 0)
                return error_set(error, -ENOMEM, "no memory is left for a subscription");
        client->crowd->subscribed += topics_cost(pattern, size);
        list_remove(&client->unfiltered_link);
        return send_retained(client, pattern, size, error) < 0 ? error->code : 1;
}

/* Also a client that has none: it has connected again, and has had some before. */
int client_unsubscribed(void *object, const char *pattern, size_t size)
{
        struct client *client = object;
        size_t before = client->subscriber.cost;

        if (!client->crowd)
                return 0;
        list_remove(&client->unfiltered_link);
        topics_remove(&client->service->topics, &client->subscriber, pattern, size);
        client->crowd->subscribed -= before - client->subscriber.cost;
        return client->subscriber.cost < before;
}
