/* What listens. Invariants: the socket has its mode before it has a name; a lock file beside it says whether its
 * owner lives, so what a dead one left is cleared away and a living one is never pushed aside; a client that comes
 * is a session of its own, and what it does costs the others nothing. */
#include "session/session.h"
#include "stream/name.h"
#include "util/options.h"
#include "util/text.h"

#include <ferry/service.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        BACKLOG = 128,
        ACCEPTS_PER_ROUND = 16,
        CLIENTS_DEFAULT_MAX = 4096,
        CLOSE_TIMEOUT_DEFAULT_MS = 5000,
        REST_NS = 100000000,            /* of a listener that has no descriptors left */
};

struct ferry_service {
        struct loop_member member;
        struct loop_grave grave;
        ferry_loop *loop;
        ferry_service_options options;
        ferry_session_options session;  /* of its clients */
        char *address;
        struct sockaddr_un path;
        int fd;
        int lock;
        struct loop_source source;
        struct loop_timer rest;
        struct loop_timer idle;
        struct loop_timer close_timer;
        struct handlers handlers;
        struct list clients;
        unsigned client_count;
        bool is_bound;          /* the name is ours */
        bool is_closing;
        bool is_late;           /* closing has taken its time */
        bool has_ended;
        bool is_forgotten;      /* by the program */
        bool is_freed;
        bool is_live;
        struct error error;
        struct loop_failure failure;
};

static void update(ferry_service *service)
{
        bool is_live = !service->has_ended;

        if (is_live == service->is_live)
                return;
        service->is_live = is_live;
        service->loop->live += is_live ? 1 : (size_t)-1;
}

/* Listening ------------------------------------------------------------------------------------------- */

static void stop_listening(ferry_service *service)
{
        bool is_foreign = loop_is_foreign(service->loop);
        char lock_path[sizeof service->path.sun_path + 8];

        loop_timer_stop(service->loop, &service->rest);
        if (service->fd >= 0) {
                if (!is_foreign)
                        loop_source_set(&service->source, 0);
                if (!is_foreign && service->is_bound)
                        sys_unlink(service->path.sun_path);
                sys_close(service->fd);
        }
        if (service->lock >= 0) {
                snprintf(lock_path, sizeof lock_path, "%s.lock", service->path.sun_path);
                if (!is_foreign)
                        sys_unlink(lock_path);
                sys_close(service->lock);
        }
        service->fd = service->lock = service->source.fd = -1;
}

/* Who holds the lock has written its pid there. */
static int read_owner(int lock)
{
        char text[16] = "";
        ssize_t size = sys_read(lock, text, sizeof text - 1);

        return size > 0 ? (int)strtol(text, NULL, 10) : 0;
}

/* Take the lock file beside the socket. It is taken only if it still has its name then: its last owner may have
 * removed it in between. */
static int take_lock(ferry_service *service)
{
        char path[sizeof service->path.sun_path + 8], text[16];
        struct stat opened, named;
        int error, owner;

        snprintf(path, sizeof path, "%s.lock", service->path.sun_path);
        for (;;) {
                int lock = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

                if (lock < 0)
                        return error_set(&service->error, lock, "the lock %s cannot be opened: %s", path,
                                         error_describe(lock));
                error = sys_lock_file(lock);
                if (error < 0) {
                        owner = read_owner(lock);
                        sys_close(lock);
                        if (error != -EAGAIN)
                                return error_set(&service->error, error, "the lock %s cannot be taken: %s", path,
                                                 error_describe(error));
                        return error_set(&service->error, -EADDRINUSE, "%s is in use, by pid %d",
                                         service->path.sun_path, owner);
                }
                error = sys_stat_fd(lock, &opened);
                if (!error)
                        error = sys_stat_path(path, &named);
                if (!error && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
                        snprintf(text, sizeof text, "%d\n", (int)sys_pid());
                        sys_truncate(lock, 0);
                        sys_write(lock, text, strlen(text));
                        service->lock = lock;
                        return 0;
                }
                sys_close(lock);
                if (error && error != -ENOENT)
                        return error_set(&service->error, error, "the lock %s cannot be looked at: %s", path,
                                         error_describe(error));
        }
}

/* A socket that is there although nobody holds the lock: left by the dead, or by somebody who knows no lock. */
static int clear_stale(ferry_service *service)
{
        struct stat stat;
        int fd, error = sys_stat_path(service->path.sun_path, &stat);

        if (error == -ENOENT)
                return 0;
        if (error < 0)
                return error;
        if (!S_ISSOCK(stat.st_mode))
                return error_set(&service->error, -EADDRINUSE, "%s is there, and is no socket", service->path.sun_path);
        fd = sys_socket(AF_UNIX, SOCK_STREAM);
        if (fd < 0)
                return fd;
        error = sys_connect(fd, (const struct sockaddr *)&service->path, sizeof service->path);
        sys_close(fd);
        if (error != -ECONNREFUSED)
                return error_set(&service->error, -EADDRINUSE, "%s is in use, by a program that is not ferry",
                                 service->path.sun_path);
        return sys_unlink(service->path.sun_path);
}

static int set_group(ferry_service *service)
{
        gid_t group;
        int error = sys_find_group(service->options.group, &group);

        if (error)
                return error_set(&service->error, error == -ENOENT ? -EINVAL : error, "the group %s is not known",
                                 service->options.group);
        return sys_change_owner(service->path.sun_path, (uid_t)-1, group);
}

/* Nobody can connect before listen(), so until then the name is only for us. */
static int bind_and_listen(ferry_service *service)
{
        unsigned mode = service->options.mode ? service->options.mode : 0600;
        int error;

        service->fd = sys_socket(AF_UNIX, SOCK_STREAM);
        if (service->fd < 0)
                return service->fd;
        error = sys_chmod_fd(service->fd, mode & 0700);
        if (!error)
                error = sys_bind(service->fd, (const struct sockaddr *)&service->path, sizeof service->path);
        service->is_bound = !error;
        if (!error && service->options.group)
                error = set_group(service);
        if (!error && (mode & 0777) != (mode & 0700))
                error = sys_chmod_path(service->path.sun_path, mode & 0777);
        if (!error)
                error = sys_listen(service->fd, BACKLOG);
        /* Who waits for us watches the directory, in which listening alone changes nothing. */
        if (!error)
                sys_chmod_fd(service->lock, 0600);
        return error;
}

static int listen_at(ferry_service *service, const char *path)
{
        int error;

        service->path.sun_family = AF_UNIX;
        memcpy(service->path.sun_path, path, strlen(path) + 1);
        error = take_lock(service);
        if (!error)
                error = clear_stale(service);
        if (!error)
                error = bind_and_listen(service);
        /* The kernel's word for it; a program would take it for a full queue. */
        if (error == -ENOBUFS)
                error = -ENOMEM;
        if (error)
                return error_set(&service->error, error, "%s cannot be listened at: %s", path, error_describe(error));
        service->source.fd = service->fd;
        error = loop_source_set(&service->source, EPOLLIN);
        return error ? error_set(&service->error, error, "%s", error_describe(error)) : 0;
}

static void listen_by_name(ferry_service *service, const char *name)
{
        char path[sizeof service->path.sun_path], address[sizeof path + 8];

        if (name_find(name, true, path, sizeof path, &service->error) < 0)
                return;
        snprintf(address, sizeof address, "unix:%s", path);
        sys_free(service->address);
        service->address = text_copy(address);
        if (!service->address)
                error_set(&service->error, -ENOMEM, "no memory for an address");
        else
                listen_at(service, path);
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

static ferry_session *first_client(const ferry_service *service)
{
        return list_first(&service->clients, ferry_session, service_link);
}

/* While the service closes: a client whose requests are answered is told, and closed. */
static void close_if_done(ferry_session *client)
{
        if (client->requests_by_id.count > 0 && !client->service->is_late)
                return;
        /* Closing settles requests, too. */
        client->service_update = NULL;
        ferry_session_close(client);
}

static void close_is_late(struct loop_timer *timer)
{
        ferry_service *service = container_of(timer, ferry_service, close_timer);

        service->is_late = true;
        list_for_each(&service->clients, link)
                close_if_done(container_of(link, ferry_session, service_link));
}

int ferry_service_close(ferry_service *service)
{
        if (!service)
                return -ENOMEM;
        if (loop_is_foreign(service->loop))
                return -ECHILD;
        if (service->is_closing || service->has_ended)
                return service->error.code;
        service->is_closing = true;
        stop_listening(service);
        loop_timer_start(service->loop, &service->close_timer, loop_deadline(service->options.close_timeout_ms));
        list_for_each(&service->clients, link) {
                ferry_session *client = container_of(link, ferry_session, service_link);

                client->service_update = close_if_done;
                close_if_done(client);
        }
        if (list_is_empty(&service->clients))
                finish(service);
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

static void client_ended(ferry_session *client)
{
        ferry_service *service = client->service;

        list_remove(&client->service_link);
        client->is_forgotten = true;
        client->service_update = NULL;
        service->client_count--;
        if (service->is_closing && list_is_empty(&service->clients))
                finish(service);
}

static void client_spoke(ferry_session *client)
{
        wait_for_message(client->service);
}

/* At the limit one that has been silent since it came makes room, the one that came first; true if there was one. */
static bool make_room(ferry_service *service)
{
        list_for_each(&service->clients, link) {
                ferry_session *client = container_of(link, ferry_session, service_link);

                if (client->received > 0 || client->state == SESSION_ENDED)
                        continue;
                session_finish(client, -ECONNREFUSED, "there are too many clients, and this one never spoke");
                return true;
        }
        return false;
}

static ferry_session_options client_options(const ferry_service *service)
{
        ferry_session_options options = service->session;

        if (service->options.dialects && !(service->options.dialects & (service->options.dialects - 1)))
                options.dialect = service->options.dialects;
        return options;
}

static void add_client(ferry_service *service, int fd)
{
        ferry_session_options options = client_options(service);
        ferry_session *client;

        if (service->client_count >= service->options.clients_max && !make_room(service)) {
                sys_close(fd);
                return;
        }
        client = session_accept(service->loop, fd, &options, service->address);
        if (!client)
                return;
        client->service = service;
        client->service_handlers = &service->handlers;
        client->service_ended = client_ended;
        client->service_spoke = client_spoke;
        list_append(&service->clients, &client->service_link);
        service->client_count++;
        session_begin(client);
}

static void has_rested(struct loop_timer *timer)
{
        ferry_service *service = container_of(timer, ferry_service, rest);

        /* That takes memory, too. */
        if (loop_source_set(&service->source, EPOLLIN) < 0)
                loop_timer_start(service->loop, timer, sys_now() + REST_NS);
}

static void client_comes(struct loop_source *source, uint32_t events)
{
        ferry_service *service = container_of(source, ferry_service, source);

        (void)events;
        for (int i = 0; i < ACCEPTS_PER_ROUND && !loop_is_foreign(service->loop); i++) {
                int fd = sys_accept(service->fd);

                if (fd == -EAGAIN)
                        return;
                if (fd == -ECONNABORTED)
                        continue;
                if (fd < 0) {
                        /* No descriptor or memory is left: who waits must wait, and we must not spin. */
                        loop_source_set(source, 0);
                        loop_timer_start(service->loop, &service->rest, sys_now() + REST_NS);
                        return;
                }
                add_client(service, fd);
                /* Who was asked whether the client may come may have closed the service. */
                if (service->is_closing || service->is_freed)
                        return;
        }
}

/* The life of a service ------------------------------------------------------------------------------- */

static void bury(struct loop_grave *grave)
{
        ferry_service *service = container_of(grave, ferry_service, grave);

        handlers_free(&service->handlers.list);
        error_deinit(&service->error);
        sys_free(service->address);
        sys_free(service);
}

static void service_free(ferry_service *service)
{
        ferry_session *client;

        if (service->is_freed)
                return;
        service->is_freed = true;
        loop_failure_told(&service->failure);
        stop_listening(service);
        finish(service);
        list_remove(&service->member.link);
        while ((client = first_client(service)))
                session_free(client);
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
        if (!service || service->is_freed || service->is_forgotten)
                return NULL;
        service->is_forgotten = true;
        loop_failure_told(&service->failure);
        if (loop_is_foreign(service->loop) || service->has_ended) {
                service_free(service);
                return NULL;
        }
        handlers_remove_all(service->loop, &service->handlers.list);
        ferry_service_close(service);
        return NULL;
}

static ferry_service *service_new(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        ferry_service *service = sys_alloc_zeroed(sizeof *service);

        if (!service)
                return NULL;
        service->address = text_copy(address);
        if (!service->address) {
                sys_free(service);
                return NULL;
        }
        service->loop = loop;
        options_copy(&service->options, sizeof service->options, sizeof service->options, options);
        options_copy(&service->session, sizeof service->session, sizeof service->session, service->options.session);
        if (!service->options.clients_max)
                service->options.clients_max = CLIENTS_DEFAULT_MAX;
        if (!service->options.close_timeout_ms)
                service->options.close_timeout_ms = CLOSE_TIMEOUT_DEFAULT_MS;
        service->fd = service->lock = -1;
        service->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = client_comes };
        service->rest.fn = has_rested;
        service->idle.fn = idle_is_over;
        service->close_timer.fn = close_is_late;
        service->member.close = close_member;
        service->member.free = free_member;
        list_init(&service->handlers.list);
        list_init(&service->clients);
        list_append(&loop->members, &service->member.link);
        return service;
}

ferry_service *ferry_service_open(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        const char *text = address ? address : "";
        ferry_session_options clients;
        ferry_service *service;
        int scheme = ferry_address_scheme(text);

        if (!loop)
                return NULL;
        service = service_new(loop, text, options);
        if (!service)
                return NULL;
        clients = client_options(service);
        if (loop_is_foreign(loop))
                error_set(&service->error, -ECHILD, "the loop belongs to the parent of this process");
        else if (loop->is_ending)
                error_set(&service->error, -ECANCELED, "the loop is being freed");
        else if (session_check_options(loop, &clients, &service->error) < 0)
                ;       /* there is a sentence */
        else if (scheme == -ENAMETOOLONG)
                error_set(&service->error, scheme, "the path is too long for a socket: %s", text);
        else if (scheme == FERRY_SCHEME_NAME)
                listen_by_name(service, text);
        else if (scheme == FERRY_SCHEME_UNIX)
                listen_at(service, text + strlen("unix:"));
        else
                error_set(&service->error, -EINVAL, "%s is nothing to listen at: write NAME or unix:PATH", text);
        service->has_ended = service->error.code != 0;
        if (service->has_ended) {
                stop_listening(service);
                loop_failure_add(loop, &service->failure, &service->error);
        } else
                wait_for_message(service);
        update(service);
        return service;
}

void ferry_service_on(ferry_service *service, unsigned kinds, ferry_message_fn *fn, void *userdata)
{
        if (!service || handlers_add(&service->handlers.list, kinds, fn, userdata) == 0)
                return;
        error_set(&service->error, -ENOMEM, "no memory for a handler");
        loop_failure_told(&service->failure);
        loop_failure_add(service->loop, &service->failure, &service->error);
}

void ferry_service_off(ferry_service *service, ferry_message_fn *fn, void *userdata)
{
        if (service)
                handlers_remove(service->loop, &service->handlers.list, fn, userdata);
}

int ferry_service_notify(ferry_service *service, const char *type, const char *format, ...)
{
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = type };
        struct error error = { 0 };
        struct brief brief;
        va_list arguments;
        int count = 0;

        if (!service)
                return -ENOMEM;
        if (loop_is_foreign(service->loop))
                return -ECHILD;
        if (service->error.code)
                return service->error.code;
        if (!type)
                return -EINVAL;
        va_start(arguments, format);
        brief_init(&brief, service->session.codec ? service->session.codec : service->loop->session.codec);
        builder_add_template(&brief.builder, format, arguments);
        va_end(arguments);
        outgoing.body = builder_take(&brief.builder);
        if (!outgoing.body)
                count = brief.builder.error;
        list_for_each(&service->clients, link) {
                ferry_session *client = container_of(link, ferry_session, service_link);

                /* One that has not spoken yet has not shown in which dialect it wants to be told. */
                if (outgoing.body && client->wire.is_dialect_fixed)
                        count += session_send(client, &outgoing, false, NULL, &error) == 0;
                error_deinit(&error);
        }
        brief_deinit(&brief);
        return count;
}

ferry_session *ferry_service_client(const ferry_service *service, const ferry_session *previous)
{
        if (!service)
                return NULL;
        return previous ? list_next(&service->clients, previous, ferry_session, service_link) : first_client(service);
}

int ferry_service_status(const ferry_service *service)
{
        if (!service)
                return -ENOMEM;
        if (service->error.code)
                loop_failure_told((struct loop_failure *)(uintptr_t)&service->failure);
        return service->error.code ? service->error.code : !service->is_closing && !service->has_ended;
}

const char *ferry_service_error(const ferry_service *service)
{
        if (!service)
                return error_describe(-ENOMEM);
        loop_failure_told((struct loop_failure *)(uintptr_t)&service->failure);
        return error_text(&service->error);
}

const char *ferry_service_address(const ferry_service *service)
{
        return service ? service->address : "";
}

ferry_service *ferry_session_service(const ferry_session *session)
{
        return session ? session->service : NULL;
}
