/* Handing a service over to a successor. Invariants: requests in hand are answered here; this service listens until the successor has
 * said that it does; the successor is a process of the same user. */
#include "service/private.h"

#include "service/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *why_not(const ferry_service *service, const ferry_peer *peer, char *text, size_t size)
{
        uid_t own = sys_uid();

        if (peer->pid < 0)
                return "the kernel does not say which user it is";
        if (peer->uid != own) {
                snprintf(text, size, "it runs as user %u, and the service as user %u", (unsigned)peer->uid, (unsigned)own);
                return text;
        }
        return service->is_closing ? "the service is being closed" :
               service->place != PLACE_HELD ? "another process is taking over" : NULL;
}

void client_asked(void *object)
{
        struct client *client = object;
        ferry_service *service = client->service;
        ferry_session *session = client->session;
        const ferry_peer peer = ferry_session_peer(session);
        char text[128], sentence[256];
        const char *reason = why_not(service, &peer, text, sizeof text);

        if (reason) {
                snprintf(sentence, sizeof sentence, "process %d may not take over: %s", (int)peer.pid, reason);
                session_refuse_all(session, sentence);
                session_report(session, FERRY_KIND_ERROR, sentence);
                if (!session_is_freed(session))
                        session_finish(session, -EACCES, "%s", sentence);
                return;
        }
        service->place = PLACE_ASKED;
        service->successor = client;
        session_report(session, FERRY_KIND_SUCCESSOR, "");
        if (service->is_freed || service->place != PLACE_ASKED)
                return;
        service->place = PLACE_HELD;
        service->successor = NULL;
        if (!session_is_freed(session))
                session_refuse_all(session, "this service does not hand over to another process");
}

void client_taken(void *object)
{
        struct client *client = object;

        if (client->service->successor == client && client->service->place == PLACE_OFFERED) {
                client->service->successor = NULL;
                service_leave(client->service);
        }
}

void client_gives_up(struct client *client)
{
        ferry_service *service = client->service;

        if (service->successor != client)
                return;
        service->successor = NULL;
        service->place = PLACE_HELD;
        session_report(client->session, FERRY_KIND_ERROR, "the successor has ended before it had taken over: this service goes on");
}

static int check_place(const struct listener *listener, struct error *error)
{
        if (strncmp(listener->address, "unix:", strlen("unix:")) != 0)
                return error_set(error, -EOPNOTSUPP, "'%s' cannot be handed over: only unix sockets can", listener->address);
        if (listener->old_fd >= 0)
                return error_set(error, -EAGAIN, "clients of '%s', whose file was removed, are still being accepted", listener->address);
        return 0;
}

/* What is handed over: a list for the frame, and the descriptors in its order. */
static int collect(const ferry_service *service, ferry_value **ret_body, int fds[SERVICE_LISTENERS_MAX * 2], size_t *ret_count,
                   struct error *error)
{
        ferry_builder *builder;

        *ret_count = 0;
        for (size_t i = 0; i < service->listener_count; i++)
                if (check_place(&service->listeners[i], error) < 0)
                        return error->code;
        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (size_t i = 0; i < service->listener_count; i++) {
                const struct listener *listener = &service->listeners[i];
                bool has_lock = listener->binding.lock >= 0;

                fds[(*ret_count)++] = listener->binding.fd;
                if (has_lock)
                        fds[(*ret_count)++] = listener->binding.lock;
                ferry_builder_add(builder, "{path: %s, lock: %hhd}", listener->address + strlen("unix:"), has_lock);
        }
        ferry_builder_close(builder);
        return ferry_builder_finish(builder, ret_body) == 0 ? 0 : error_set(error, -ENOMEM, "no memory for a message");
}

static int hand_over(ferry_service *service, ferry_session *successor, struct error *error)
{
        int fds[SERVICE_LISTENERS_MAX * 2], code;
        ferry_value *body = NULL;
        size_t count = 0;

        if (service->error.code)
                return service->error.code;
        if (service->place != PLACE_ASKED || !service->successor || service->successor->session != successor)
                return -EINVAL;
        code = collect(service, &body, fds, &count, error);
        if (!code)
                code = session_hand_over(successor, body, fds, count, error);
        ferry_value_unref(body);
        if (!code && !session_is_freed(successor))
                service->place = PLACE_OFFERED;
        else if (code && !session_is_freed(successor))
                session_refuse_all(successor, error->code ? error_text(error) : "the service cannot hand over");
        return code;
}

int ferry_service_hand_over(ferry_service *service, ferry_session *successor)
{
        struct error error = { 0 };
        ferry_loop *loop;
        int code;

        if (!service || !successor)
                return -ENOMEM;
        loop = service->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        loop_enter(loop);
        code = hand_over(service, successor, &error);
        error_deinit(&error);
        loop_leave(loop);
        return code;
}
