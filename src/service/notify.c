/* Notifying the clients of a service, and what it retains for those that come later. */
#include "service/private.h"

#include <errno.h>
#include <string.h>

/* Whom a notification is for, while that is found out. */
struct audience {
        struct buffer clients;
        int code;
};

static void add_to_audience(void *object, struct subscriber *subscriber)
{
        struct client *client = container_of(subscriber, struct client, subscriber);
        struct audience *audience = object;

        if (buffer_append(&audience->clients, &client, sizeof client) < 0)
                audience->code = -ENOMEM;
}

static int find_audience(ferry_service *service, const char *type, struct audience *audience)
{
        for (struct list *link = service->unfiltered.next; link != &service->unfiltered; link = link->next)
                add_to_audience(audience, &container_of(link, struct client, unfiltered_link)->subscriber);
        topics_find(&service->topics, type, add_to_audience, audience);
        return audience->code;
}

/* The number of clients for which it is queued, or -ENOBUFS if each has refused it. A codec of the program may notify, and free
 * clients, meanwhile: what is freed stays in memory until the loop is left. */
static int send_to_audience(const struct audience *audience, const struct outgoing *outgoing)
{
        const unsigned char *clients = buffer_bytes(&audience->clients);
        size_t size = clients ? buffer_size(&audience->clients) : 0;
        int count = 0, refused = 0;

        for (size_t at = 0; at < size; at += sizeof(struct client *)) {
                struct error error = { 0 };
                struct client *client;

                memcpy(&client, clients + at, sizeof client);
                /* One that has not spoken yet has not shown in which dialect it must be refused. */
                if (!session_is_freed(client->session) && session_has_dialect(client->session))
                        count += session_send(client->session, outgoing, false, NULL, &error) == 0;
                if (error.code == -ENOBUFS)
                        refused = error.code;
                error_deinit(&error);
        }
        return count == 0 ? refused : count;
}

/* The loop was entered. */
static int notify_clients(ferry_service *service, const char *type, const ferry_value *body)
{
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = type, .body = body };
        struct audience audience = { .clients = service->audience };
        int code;

        service->audience = (struct buffer){ 0 };
        code = find_audience(service, type, &audience);
        if (!code)
                code = send_to_audience(&audience, &outgoing);
        buffer_consume(&audience.clients, buffer_size(&audience.clients));
        if (service->audience.memory)
                buffer_deinit(&service->audience);
        service->audience = audience.clients;
        return code;
}

static int check_notification(const ferry_service *service, const char *type)
{
        int code = service ? loop_refuse(service->loop) : -ENOMEM;

        if (!code)
                code = service->error.code;
        /* A server has no clients that are known here. */
        if (!code && ferry_address_scheme(service->address) == FERRY_SCHEME_NATS)
                code = -EOPNOTSUPP;
        return code ? code : type ? 0 : -EINVAL;
}

int ferry_service_notify(ferry_service *service, const char *type, const char *format, ...)
{
        struct error error = { 0 };
        struct brief brief;
        const ferry_value *body;
        ferry_loop *loop;
        va_list arguments;
        int code = check_notification(service, type);

        if (code)
                return code;
        loop = service->loop;
        loop_enter(loop);
        va_start(arguments, format);
        body = brief_build(&brief, service->session_options->codec ? service->session_options->codec :
                                                                     session_defaults(service->loop)->codec, format, arguments, &error);
        va_end(arguments);
        code = body ? notify_clients(service, type, body) : error.code;
        error_deinit(&error);
        brief_deinit(&brief);
        loop_leave(loop);
        return code;
}

int ferry_service_notify_value(ferry_service *service, const char *type, const ferry_value *body)
{
        return ferry_service_notify(service, type, "%p", ferry_arg(body));
}

int ferry_service_retain(ferry_service *service, const char *type, const char *format, ...)
{
        ferry_value *body;
        ferry_loop *loop;
        va_list arguments;
        int code = check_notification(service, type);

        if (!code && (strlen(type) > UINT16_MAX || !utf8_is_valid(type, strlen(type))))
                code = -EINVAL;
        if (code)
                return code;
        loop = service->loop;
        loop_enter(loop);
        va_start(arguments, format);
        body = ferry_value_vpack(format, arguments);
        va_end(arguments);
        code = body ? retained_put(&service->retained, type, body) : -errno;
        if (!code)
                code = notify_clients(service, type, body);
        ferry_value_unref(body);
        loop_leave(loop);
        return code;
}

int ferry_service_retain_value(ferry_service *service, const char *type, const ferry_value *body)
{
        return ferry_service_retain(service, type, "%p", ferry_arg(body));
}

int ferry_service_unretain(ferry_service *service, const char *type)
{
        int code = service ? loop_refuse(service->loop) : -ENOMEM;

        if (code)
                return code;
        return !type ? -EINVAL : retained_remove(&service->retained, type) ? 0 : -ENOENT;
}
