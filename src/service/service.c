/* Services. Invariants: a client that comes is a session of its own, and what it does costs the others nothing; one that
 * closes takes no new client, finishes what is in hand, and ends. */
#include "service/private.h"

#include "service/probe.h"
#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        CLIENTS_DEFAULT_MAX = 4096,
        BYTES_DEFAULT_MAX = 256 << 20,
        RETAINED_DEFAULT_MAX = 1 << 20,
        RESERVED_PART = 8,      /* of the descriptors, for users other than the one with most clients */
        CLOSE_TIMEOUT_DEFAULT_MS = 5000,
};

static void update(ferry_service *service)
{
        loop_count_live(service->loop, &service->is_live, !service->has_ended);
}

static void stop_listening(ferry_service *service)
{
        for (size_t i = 0; i < service->listener_count; i++)
                listener_close(&service->listeners[i]);
}

/* Ending ---------------------------------------------------------------------------------------------- */

static void service_free(ferry_service *service);

static void finish(ferry_service *service)
{
        if (service->has_ended)
                return;
        service->has_ended = true;
        loop_timer_stop(service->loop, &service->close_timer);
        loop_timer_stop(service->loop, &service->idle);
        update(service);
        if (service->is_forgotten)
                service_free(service);
}

static struct client *first_client(const ferry_service *service)
{
        return list_first(&service->clients, struct client, link);
}

/* Callbacks that run for a client may let go of any of them, so the walk begins anew where its place is gone. @previous is
 * NULL at first. NULL: it has come to all. */
static struct client *visit_next(const ferry_service *service, const struct client *previous, uint64_t visit)
{
        const struct list *link = previous && !list_is_empty(&previous->link) ? previous->link.next : service->clients.next;

        for (; link != &service->clients; link = link->next) {
                struct client *client = container_of(link, struct client, link);

                if (client->visit != visit) {
                        client->visit = visit;
                        return client;
                }
        }
        return NULL;
}

/* While the service closes: a client whose requests are answered is notified, and closed. Closing settles requests, too. */
static void close_if_done(struct client *client)
{
        if (client->phase != CLIENT_FINISHING || (session_unanswered(client->session) > 0 && !client->service->is_late))
                return;
        client->phase = CLIENT_CLOSED;
        ferry_session_close(client->session);
}

static void close_clients(ferry_service *service)
{
        uint64_t visit = ++service->visits;
        struct client *client = NULL;

        while ((client = visit_next(service, client, visit))) {
                if (client->phase == CLIENT_SERVED && service->place == PLACE_LEFT && session_may_drain(client->session)) {
                        client->phase = CLIENT_LEAVING;
                        session_send_drain(client->session);
                } else if (client->phase == CLIENT_SERVED || (client->phase == CLIENT_LEAVING && service->place != PLACE_LEFT))
                        client->phase = CLIENT_FINISHING;
                if (client->phase == CLIENT_FINISHING)
                        close_if_done(client);
        }
}

static void close_is_late(struct loop_timer *timer)
{
        ferry_service *service = container_of(timer, ferry_service, close_timer);

        /* Clients that do not leave are closed even where requests in hand have all the time that they need. */
        if (service->place == PLACE_LEFT)
                service->place = PLACE_GONE;
        service->is_late = service->options.close_timeout_ms >= 0;
        close_clients(service);
}

static void begin_closing(ferry_service *service)
{
        service->is_closing = true;
        stop_listening(service);
        refusal_clear(&service->refusal);
        loop_timer_start(service->loop, &service->close_timer,
                         loop_deadline(service->options.close_timeout_ms < 0 && service->place == PLACE_LEFT ?
                                               CLOSE_TIMEOUT_DEFAULT_MS : service->options.close_timeout_ms));
        close_clients(service);
        if (list_is_empty(&service->clients))
                finish(service);
}

void service_leave(ferry_service *service)
{
        service->place = PLACE_LEFT;
        for (size_t i = 0; i < service->listener_count; i++)
                listener_leave(&service->listeners[i]);
        begin_closing(service);
}

int ferry_service_close(ferry_service *service)
{
        ferry_loop *loop;
        int code;

        if (!service)
                return -ENOMEM;
        code = loop_refuse(service->loop);
        if (code)
                return code;
        if (service->is_closing || service->has_ended) {
                loop_failure_told(&service->failure);
                return service->error.code;
        }
        loop = service->loop;
        loop_enter(loop);
        begin_closing(service);
        loop_leave(loop);
        return 0;
}

static void idle_is_over(struct loop_timer *timer)
{
        ferry_service_close(container_of(timer, ferry_service, idle));
}

static void wait_for_message(ferry_service *service)
{
        if (service->options.idle_timeout_ms > 0 && !service->is_closing)
                loop_timer_start(service->loop, &service->idle, loop_deadline(service->options.idle_timeout_ms));
}

/* Clients --------------------------------------------------------------------------------------------- */

/* It is sent no more notifications, and counts no longer. */
static void leave_others(struct client *client)
{
        list_remove(&client->unfiltered_link);
        if (client->crowd)
                client->crowd->subscribed -= client->subscriber.cost;
        topics_remove_all(&client->service->topics, &client->subscriber);
        crowd_leave(client);
}

static void client_ending(void *object)
{
        client_gives_up(object);
}

static void client_is_gone(struct client *client)
{
        ferry_service *service = client->service;

        if (client->phase == CLIENT_COMING || list_is_empty(&client->link))
                return;
        list_remove(&client->link);
        leave_others(client);
        for (size_t i = 0; i < service->listener_count; i++)
                listener_wake(&service->listeners[i]);
        if (service->is_closing && list_is_empty(&service->clients))
                finish(service);
}

static void client_ended(void *object)
{
        struct client *client = object;

        session_let_go(client->session);
        if (client->phase == CLIENT_REFUSED)
                refusal_remove(client);
        else
                client_is_gone(client);
}

static void bury_client(struct loop_grave *grave)
{
        sys_free(container_of(grave, struct client, grave));
}

static void client_freed(void *object)
{
        struct client *client = object;

        refusal_remove(client);
        /* One that has ended before may outlive its service, while its stream is closed. */
        if (!list_is_empty(&client->link) && client->service->successor == client)
                client->service->successor = NULL;
        list_remove(&client->link);
        leave_others(client);
        loop_bury(session_loop(client->session), &client->grave, bury_client);
}

static bool client_spoke(void *object)
{
        struct client *client = object;

        wait_for_message(client->service);
        /* No handler knows of it, so none may get its messages. */
        if (client->is_probe)
                session_finish(client->session, -EPROTO, "a client that only tests whether the service answers has sent a message");
        return !client->is_probe;
}

static void client_settled(void *object)
{
        close_if_done(object);
}

static bool client_counts(void *object, size_t held, size_t unfinished)
{
        return crowd_counts(object, held, unfinished);
}

static bool client_takes(void *object, size_t size)
{
        return crowd_takes(object, size);
}

static const struct session_owner client_owner = {
        .ending = client_ending, .ended = client_ended, .settled = client_settled, .freed = client_freed, .subscribed = client_subscribed,
        .unsubscribed = client_unsubscribed, .described = client_described, .asked = client_asked,
        .taken = client_taken, .counts = client_counts, .takes = client_takes, .expects_failures = true,
};

/* The same for those each of whose messages is of interest: probes, and clients of a service that closes when it is idle. */
static const struct session_owner watched_client_owner = {
        .ending = client_ending, .ended = client_ended, .spoke = client_spoke, .settled = client_settled, .freed = client_freed,
        .subscribed = client_subscribed, .unsubscribed = client_unsubscribed, .described = client_described, .asked = client_asked,
        .taken = client_taken, .counts = client_counts, .takes = client_takes, .expects_failures = true,
};

/* The server of a service at nats:, by way of which all requests come: without it the service ends. */
static void server_ended(void *object)
{
        struct client *client = object;
        ferry_service *service = client->service;
        ferry_session *session = client->session;

        if (!service->is_closing) {
                error_set(&service->error, ferry_session_status(session) < 0 ? ferry_session_status(session) : -ECONNRESET, "%s",
                          ferry_session_error(session));
                loop_failure_add(service->loop, &service->failure, &service->error);
                begin_closing(service);
        }
        client_ended(object);
}

static const struct session_owner server_owner = {
        .ended = server_ended, .spoke = client_spoke, .settled = client_settled, .freed = client_freed, .expects_failures = true,
};

struct client *client_of(const ferry_session *session)
{
        struct client *client = session_owner_object(session, &client_owner);

        if (!client)
                client = session_owner_object(session, &watched_client_owner);
        return client ? client : session_owner_object(session, &server_owner);
}

/* Take over a session that has not begun. It has no place among the clients yet; NULL if memory is out: then it is freed. */
static struct client *client_new(ferry_service *service, ferry_session *session, bool is_probe)
{
        struct client *client = sys_alloc_zeroed(sizeof *client);

        if (!client) {
                session_free(session);
                return NULL;
        }
        client->session = session;
        client->service = service;
        list_init(&client->link);
        list_init(&client->crowd_link);
        list_init(&client->waiting_link);
        list_init(&client->unfiltered_link);
        subscriber_init(&client->subscriber);
        client->is_probe = is_probe;
        session_set_owner(session, is_probe || service->options.idle_timeout_ms > 0 ? &watched_client_owner : &client_owner, client);
        return client;
}

static bool is_below_limit(const ferry_service *service, uid_t uid)
{
        const struct crowd *crowd = crowd_find(&service->crowds, uid);

        return !crowd || crowd->count < service->options.clients_max;
}

/* Whether a user may have one more client, for which there is that descriptor. The last ones are kept for users that have fewer
 * clients than another one. */
static bool has_room(const ferry_service *service, uid_t uid, int fd)
{
        const struct crowd *crowd = crowd_find(&service->crowds, uid);

        return is_below_limit(service, uid) &&
               (!crowd || fd < service->reserved_from || crowd != crowds_largest(&service->crowds));
}

static void dismiss(struct client *client, bool is_short)
{
        client->is_short = is_short;
        leave_others(client);
        refusal_tell(client);
        /* If it has not ended by itself. */
        session_finish(client->session, -ECONNREFUSED, "the service has %s, and this one never sent a message",
                       is_short ? "no descriptor left for one more client (ulimit -n)" : "as many clients as it may have (clients_max)");
        /* A client that gets a reason has no time to answer it: its place is needed now. */
        session_finish(client->session, -ECONNREFUSED, "%s", "");
}

/* At the limit of its user, the client that has been silent longest makes room. True if there is room then. */
static bool make_room(ferry_service *service, uid_t uid, int fd)
{
        for (;;) {
                struct client *client;

                if (has_room(service, uid, fd))
                        return true;
                client = crowd_take_silent(crowd_find(&service->crowds, uid));
                if (!client)
                        return false;
                if (session_has_spoken(client->session))
                        continue;
                dismiss(client, is_below_limit(service, uid));
                /* The descriptor that becomes free stands for the reserved one. */
                if (fd >= service->reserved_from)
                        return true;
        }
}

/* No descriptor is left: of the user with most clients, the one that has been silent longest goes. */
static void free_descriptor(struct listener *listener)
{
        ferry_service *service = listener->object;
        struct client *client;

        do {
                struct crowd *crowd = crowds_largest(&service->crowds);

                client = crowd ? crowd_take_silent(crowd) : NULL;
                if (!client)
                        return;
        } while (session_has_spoken(client->session));
        dismiss(client, true);
}

/* Of clients whose dialect is one of these. */
static ferry_session_options client_options(const ferry_service *service, unsigned dialects)
{
        ferry_session_options options = *service->session_options;

        if (dialects && !(dialects & (dialects - 1)))
                options.dialect = dialects;
        return options;
}

static void add_client(ferry_service *service, const struct listener *listener, int fd, bool is_probe)
{
        ferry_session_options options = client_options(service, listener->dialects);
        ferry_session *session = session_accept(service->loop, fd, &options, listener->address);
        struct client *client = session ? client_new(service, session, is_probe) : NULL;
        bool is_welcome;
        uid_t uid;

        if (!client)
                return;
        if (is_probe)
                session_hide(session);
        uid = ferry_session_peer(session).uid;
        /* For a probe no other client makes room. */
        is_welcome = is_probe ? has_room(service, uid, fd) : make_room(service, uid, fd);
        if (session_is_freed(session))
                return;
        if (service->is_closing || service->is_freed || (is_probe && !is_welcome) ||
            (is_welcome && crowd_join(&service->crowds, client) < 0)) {
                session_free(session);
                return;
        }
        if (!is_welcome) {
                client->phase = CLIENT_REFUSED;
                client->is_short = is_below_limit(service, uid);
                refusal_add(&service->refusal, client);
                return;
        }
        client->phase = CLIENT_SERVED;
        session_set_shared_handlers(session, &service->handlers);
        list_append(&service->clients, &client->link);
        if (!is_probe)
                list_append(&service->unfiltered, &client->unfiltered_link);
        session_begin(session);
}

static bool client_comes(struct listener *listener, int fd, const struct sockaddr *client, socklen_t size)
{
        ferry_service *service = listener->object;

        add_client(service, listener, fd, probe_is_one(client, size));
        /* A handler, or the callback that allows peers, may have closed the service. */
        return !service->is_closing && !service->is_freed;
}

/* Without its socket file no client can come: the service fails. What is in hand is finished. */
static void place_is_lost(struct listener *listener, int code, const char *sentence)
{
        ferry_service *service = listener->object;

        error_set(&service->error, code, "'%s' was removed, and cannot listen there again: %s", listener->address, sentence);
        loop_failure_add(service->loop, &service->failure, &service->error);
        begin_closing(service);
}

/* The life of a service ------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_service *service = container_of(grave, ferry_service, grave);

        handlers_free(&service->handlers);
        topics_deinit(&service->topics);
        retained_deinit(&service->retained);
        descriptions_deinit(&service->descriptions);
        buffer_deinit(&service->audience);
        refusal_deinit(&service->refusal);
        for (size_t i = 0; i < service->listener_count; i++)
                listener_deinit(&service->listeners[i]);
        options_drop_session(service->session_options);
        error_deinit(&service->error);
        sys_free(service->address);
        sys_free(service);
}

static void service_free(ferry_service *service)
{
        struct client *client;

        if (service->is_freed)
                return;
        service->is_freed = true;
        loop_failure_told(&service->failure);
        stop_listening(service);
        finish(service);
        list_remove(&service->member.link);
        refusal_clear(&service->refusal);
        while ((client = first_client(service)))
                session_free(client->session);
        loop_bury(service->loop, &service->grave, bury);
}

static void close_member(struct loop_member *member)
{
        ferry_service_close(container_of(member, ferry_service, member));
}

static void free_member(struct loop_member *member)
{
        service_free(container_of(member, ferry_service, member));
}

ferry_service *ferry_service_free(ferry_service *service)
{
        ferry_loop *loop;

        if (!service || loop_is_elsewhere(service->loop) || service->is_freed || service->is_forgotten)
                return NULL;
        service->is_forgotten = true;
        loop_failure_told(&service->failure);
        if (loop_is_foreign(service->loop) || service->has_ended) {
                service_free(service);
                return NULL;
        }
        loop = service->loop;
        loop_enter(loop);
        handlers_remove_all(loop, &service->handlers);
        ferry_service_close(service);
        loop_leave(loop);
        return NULL;
}

static ferry_service *service_new(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        static const struct options_kind kind = {
                .name = "ferry_service_options", .size = sizeof *options,
                .times = { { "idle_timeout_ms", offsetof(ferry_service_options, idle_timeout_ms), false },
                           { "close_timeout_ms", offsetof(ferry_service_options, close_timeout_ms), false } },
        };
        ferry_service *service = sys_alloc_zeroed(sizeof *service);

        if (!service)
                return NULL;
        service->address = text_copy(address);
        if (!service->address || refusal_init(&service->refusal) < 0) {
                sys_free(service->address);
                sys_free(service);
                return NULL;
        }
        service->loop = loop;
        options_copy(&kind, &service->options, options, &service->error);
        options_keep_session(&service->session_options, service->options.session, &service->error);
        service->options.session = NULL;
        if (!service->options.clients_max)
                service->options.clients_max = CLIENTS_DEFAULT_MAX;
        if (!service->options.bytes_max)
                service->options.bytes_max = BYTES_DEFAULT_MAX;
        if (!service->options.retained_max)
                service->options.retained_max = RETAINED_DEFAULT_MAX;
        if (!service->options.close_timeout_ms)
                service->options.close_timeout_ms = CLOSE_TIMEOUT_DEFAULT_MS;
        service->reserved_from = sys_descriptor_limit();
        service->reserved_from -= service->reserved_from / RESERVED_PART;
        service->idle.fn = idle_is_over;
        service->close_timer.fn = close_is_late;
        service->member.close = close_member;
        service->member.free = free_member;
        handlers_init(&service->handlers);
        list_init(&service->clients);
        list_init(&service->unfiltered);
        topics_init(&service->topics);
        retained_init(&service->retained, service->options.retained_max);
        descriptions_init(&service->descriptions);
        crowds_init(&service->crowds, service->options.bytes_max);
        list_append(&loop->members, &service->member.link);
        return service;
}

/* What is said where: if no dialect was chosen, all that can be distinguished by what comes first. */
static unsigned spoken_dialects(const ferry_service *service, unsigned dialects)
{
        const struct dialect *dialect;

        if (!dialects)
                dialects = service->session_options->dialect ? service->session_options->dialect : session_defaults(service->loop)->dialect;
        if (dialects)
                return dialects;
        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                dialects |= dialect->can_begin ? dialect->number : 0;
        return dialects;
}

static struct listener *add_listener(ferry_service *service, unsigned dialects)
{
        struct listener *listener = &service->listeners[service->listener_count++];

        listener_init(listener, service->loop, client_comes, place_is_lost, service);
        listener->short_of = free_descriptor;
        listener->dialects = dialects;
        listener->spoken = spoken_dialects(service, dialects);
        return listener;
}

static int listen_for(ferry_service *service, unsigned dialects)
{
        struct listener *listener = add_listener(service, dialects);
        struct listener_options options;
        int code;

        options = (struct listener_options){ .name_directory = service->options.name_directory, .mode = service->options.mode,
                                             .group = service->options.group, .is_public = service->options.is_public };
        if (service->takeover)
                return takeover_give(service->takeover, listener, service->address, &options, &service->error);
        code = listener_open(listener, service->address, &options, &service->error);
        return code ? code : listener_start(listener, &service->error);
}

/* A service that hangs does not hand over: it is not waited for without a limit. */
static int takeover_timeout(const ferry_service *service)
{
        return service->options.close_timeout_ms < 0 ? CLOSE_TIMEOUT_DEFAULT_MS : service->options.close_timeout_ms;
}

/* If a service listens there, ask it for its sockets; else listen as without. */
static int begin_takeover(ferry_service *service, unsigned dialects)
{
        const struct listener_options options = { .name_directory = service->options.name_directory };
        struct listener first = { .loop = service->loop, .dialects = dialects };
        char path[sizeof first.binding.address.sun_path];
        int code = listener_find(&first, service->address, &options, path, sizeof path, &service->error);

        if (code)
                return error_set(&service->error, code, "cannot take over '%s': %s", service->address, error_describe(code));
        return takeover_begin(&service->takeover, service->loop, path, takeover_timeout(service), &service->error);
}

/* Clients that know only one dialect look for its services in a directory of their own. */
static int listen_for_all(ferry_service *service, unsigned together, unsigned apart)
{
        int code = 0;

        if (apart && (together || (apart & (apart - 1))) &&
            (ferry_address_scheme(service->address) != FERRY_SCHEME_NAME || service->options.name_directory))
                return error_set(&service->error, -EINVAL, "cannot listen at '%s' in all these dialects: only a NAME can have"
                                                           " them all, and not in a name_directory", service->address);
        if (service->options.is_taking_over)
                code = begin_takeover(service, together ? together : apart & (0 - apart));
        if (!code && (together || !apart))
                code = listen_for(service, together);
        for (unsigned dialect = 1; !code && dialect <= apart; dialect <<= 1)
                if (apart & dialect)
                        code = listen_for(service, dialect);
        if (!service->takeover)
                return code;
        code = takeover_end(service->takeover, service->listeners, service->listener_count, code, &service->error);
        service->takeover = NULL;
        /* Clients that come meanwhile wait: the program has no handlers yet. */
        for (size_t i = 0; i < service->listener_count && !code && !service->is_freed; i++)
                code = listener_start(&service->listeners[i], &service->error);
        return code;
}

/* At the sockets that the program has: all or none of them are taken over. */
static int listen_at_given(ferry_service *service, unsigned together, unsigned apart)
{
        const ferry_service_options *options = &service->options;
        size_t count = 0;
        int code = 0;

        while (count <= SERVICE_LISTENERS_MAX && options->fds[count] != -1)
                count++;
        if (count == 0 || count > SERVICE_LISTENERS_MAX)
                return error_set(&service->error, -EINVAL, "fds has %s: write 1 to %d descriptors, and -1 behind them",
                                 count == 0 ? "no descriptor" : "too many descriptors", (int)SERVICE_LISTENERS_MAX);
        if (options->mode || options->group || options->name_directory || options->is_public || options->is_taking_over)
                return error_set(&service->error, -EINVAL, "sockets that others have made stay as they are: mode, group, name_directory,"
                                                           " is_public and is_taking_over are for sockets that the service makes");
        if (apart && (together || (apart & (apart - 1))))
                return error_set(&service->error, -EINVAL, "sockets that others have made cannot be for all these dialects: one of them"
                                                           " needs a socket of its own");
        for (size_t i = 0; i < count && !code; i++)
                code = listener_adopt(add_listener(service, together ? together : apart), options->fds[i], &service->error);
        for (size_t i = 0; i < count && !code; i++)
                code = listener_start(&service->listeners[i], &service->error);
        for (size_t i = 0; i < service->listener_count && code; i++) {
                struct listener *listener = &service->listeners[i];

                if (listener->binding.fd >= 0)
                        loop_source_set(&listener->source, 0);
                listener->binding.fd = -1;
        }
        return code;
}

/* One session, with a server: that shares the requests among all services of the subject. */
static int listen_at_server(ferry_service *service)
{
        const ferry_service_options *options = &service->options;
        ferry_session_options of_session = *service->session_options;
        ferry_session *session;
        struct client *client;

        if (options->mode || options->group || options->name_directory || options->is_public || options->is_taking_over ||
            options->dialects)
                return error_set(&service->error, -EINVAL, "mode, group, name_directory, is_public, is_taking_over and dialects are not"
                                                           " for '%s', where a server listens", service->address);
        of_session.is_listening = true;
        if (of_session.reconnect_ms == 0)
                of_session.reconnect_ms = -1;
        session = ferry_session_open(service->loop, service->address, &of_session);
        if (session && ferry_session_status(session) < 0) {
                error_set(&service->error, ferry_session_status(session), "%s", ferry_session_error(session));
                ferry_session_free(session);
                return service->error.code;
        }
        client = session ? client_new(service, session, false) : NULL;
        if (!client)
                return error_set(&service->error, -ENOMEM, "no memory for a session with the server");
        session_set_owner(session, &server_owner, client);
        session_set_shared_handlers(session, &service->handlers);
        list_append(&service->clients, &client->link);
        client->phase = CLIENT_SERVED;
        return 0;
}

/* Options that would be ignored, or guessed at. */
static int check_options(ferry_service *service)
{
        const ferry_service_options *options = &service->options;

        if (service->error.code)
                return service->error.code;
        if (options->mode & ~0777u)
                return error_set(&service->error, -EINVAL, "a socket cannot have the mode %04o: it has at most the bits 0777",
                                 options->mode);
        if ((options->mode || options->group) && ferry_address_scheme(service->address) == FERRY_SCHEME_TCP)
                return error_set(&service->error, -EINVAL, "'%s' has no mode and no group: only sockets of NAME and unix:PATH"
                                                           " have them", service->address);
        return 0;
}

ferry_service *ferry_service_open(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        ferry_session_options clients;
        ferry_service *service;
        unsigned together;
        int apart;

        if (!loop || loop_is_elsewhere(loop))
                return NULL;
        service = service_new(loop, address ? address : "", options);
        if (!service)
                return NULL;
        /* Taking over runs the loop, in which a callback may free it. */
        loop_enter(loop);
        apart = wire_apart(service->options.dialects);
        together = service->options.dialects & ~(unsigned)(apart < 0 ? 0 : apart);
        clients = client_options(service, together ? together : (unsigned)(apart < 0 ? 0 : apart));
        if (loop_is_foreign(loop))
                error_set(&service->error, -ECHILD, "the loop belongs to the parent of this process");
        else if (loop->is_ending)
                error_set(&service->error, -ECANCELED, "the loop is being freed");
        else if (apart < 0)
                error_set(&service->error, -EINVAL, "dialects is %u: set FERRY_DIALECT_ constants, or 0 for those that can be"
                                                    " detected", service->options.dialects);
        else if (address && service->options.fds)
                error_set(&service->error, -EINVAL, "fds is for an address of NULL");
        else if (session_check_options(loop, &clients, &service->error) == 0 && !address && service->options.fds)
                listen_at_given(service, together, (unsigned)apart);
        else if (!service->error.code && ferry_address_scheme(service->address) == FERRY_SCHEME_NATS)
                listen_at_server(service);
        else if (!service->error.code && check_options(service) == 0)
                listen_for_all(service, together, (unsigned)apart);
        /* What the program's pointers lead to may go when this returns. */
        service->options.name_directory = service->options.group = NULL;
        service->options.fds = NULL;
        if (service->is_freed) {
                loop_leave(loop);
                return NULL;
        }
        service->has_ended = service->error.code != 0;
        if (service->has_ended) {
                stop_listening(service);
                loop_failure_add(loop, &service->failure, &service->error);
        } else
                wait_for_message(service);
        update(service);
        loop_leave(loop);
        return service;
}

static void fail(ferry_service *service, int code, const char *sentence)
{
        error_set(&service->error, code, "%s", sentence);
        loop_failure_told(&service->failure);
        loop_failure_add(service->loop, &service->failure, &service->error);
}

static void add_handler(ferry_service *service, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata)
{
        if (handlers_add(&service->handlers, kinds, type, fn, userdata) < 0)
                fail(service, -ENOMEM, "no memory for a handler");
}

void ferry_service_on(ferry_service *service, unsigned kinds, ferry_message_fn *fn, void *userdata)
{
        if (service && !loop_is_elsewhere(service->loop))
                add_handler(service, kinds, NULL, fn, userdata);
}

void ferry_service_on_type(ferry_service *service, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata)
{
        if (!service || loop_is_elsewhere(service->loop))
                return;
        if (type)
                add_handler(service, kinds, type, fn, userdata);
        else
                fail(service, -EINVAL, "a handler by type needs a type: ferry_service_on() adds a handler for all types");
}

void ferry_service_off(ferry_service *service, ferry_message_fn *fn, void *userdata)
{
        if (service && !loop_is_elsewhere(service->loop))
                handlers_remove(service->loop, &service->handlers, fn, userdata);
}

void ferry_service_off_type(ferry_service *service, const char *type, ferry_message_fn *fn, void *userdata)
{
        if (service && !loop_is_elsewhere(service->loop))
                handlers_remove_type(service->loop, &service->handlers, type, fn, userdata);
}

ferry_session *ferry_service_client(const ferry_service *service, const ferry_session *previous)
{
        const struct client *client = previous ? client_of(previous) : NULL;

        if (!service || loop_is_elsewhere(service->loop) || (previous && !client))
                return NULL;
        do
                client = client ? list_next(&service->clients, client, struct client, link) : first_client(service);
        while (client && client->is_probe);
        return client ? client->session : NULL;
}

int ferry_service_status(const ferry_service *service)
{
        if (!service)
                return -ENOMEM;
        if (loop_is_elsewhere(service->loop))
                return -EPERM;
        return service->error.code ? service->error.code : !service->is_closing && !service->has_ended;
}

const char *ferry_service_error(const ferry_service *service)
{
        if (!service)
                return "the service is NULL: its loop is NULL or belongs to another thread, or no memory was left for it";
        if (loop_is_elsewhere(service->loop))
                return loop_elsewhere;
        return error_text(&service->error);
}

const char *ferry_service_address(const ferry_service *service)
{
        if (!service || loop_is_elsewhere(service->loop))
                return "";
        return service->listener_count > 0 && service->listeners[0].address ? service->listeners[0].address :
                                                                              service->address;
}

ferry_service *ferry_session_service(const ferry_session *session)
{
        const struct client *client = session && !loop_is_elsewhere(session_loop(session)) ? client_of(session) : NULL;

        return client ? client->service : NULL;
}
