/* Services and their clients, in one loop: all ways to begin and end, what others have left in the file system, and a
 * client that waits for a listener. */
#include "fault/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *address(void)
{
        static char text[300];

        snprintf(text, sizeof text, "unix:%s", fault_path("socket"));
        return text;
}

/* Both must be gone where nothing kept them from being removed. */
static void look_for_files(void)
{
        fault_want(access(fault_path("socket"), F_OK) < 0);
        fault_want(access(fault_path("socket.lock"), F_OK) < 0);
}

struct guests {
        unsigned opened, closed, served, heard;
};

static int count(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct guests *guests = userdata;
        int code;

        switch (ferry_message_kind(message)) {
        case FERRY_KIND_OPENED:
                guests->opened++;
                fault_check(ferry_session_service(session) != NULL);
                return 0;
        case FERRY_KIND_CLOSED:
                guests->closed++;
                return 0;
        case FERRY_KIND_REQUEST:
                guests->served++;
                code = ferry_message_reply(message, NULL, "{n: %u}", guests->served);
                fault_answer(FAULT_SEND, "reply", code, 0, NULL);
                return 1;
        default:
                guests->heard++;
                return 0;
        }
}

static bool listen_at(ferry_loop *loop, const char *there, const ferry_service_options *options, struct guests *guests,
                      ferry_service **ret_service, int expected)
{
        ferry_service *service = ferry_service_open(loop, there, options);
        int code = ferry_service_status(service);

        ferry_service_on(service, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION | FERRY_KIND_OPENED | FERRY_KIND_CLOSED,
                         count, guests);
        *ret_service = service;
        /* Closing reports a failure, so that the loop does not. */
        if (code < 0)
                fault_check(ferry_service_close(service) < 0);
        return fault_answer(FAULT_MEET, "listen", code, expected, ferry_service_error(service));
}

static bool open_service(ferry_loop *loop, const ferry_service_options *options, struct guests *guests,
                         ferry_service **ret_service, int expected)
{
        return listen_at(loop, address(), options, guests, ret_service, expected);
}

static void ask_for(ferry_session *client, int timeout_ms, int expected)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(client, timeout_ms, "App\\Ask", "{text: 'a question'}");

        ferry_call_await(call);
        fault_answer(FAULT_MEET, "a call", ferry_call_status(call), expected, ferry_call_error(call));
}

static void ask(ferry_session *client, int expected)
{
        ask_for(client, 1000, expected);
}

static void close_service(ferry_loop *loop, ferry_service *service)
{
        int code = ferry_service_close(service);

        fault_answer(FAULT_MEET, "close", code, 0, ferry_service_error(service));
        code = ferry_loop_run(loop, 10000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        ferry_loop_free(loop);
        look_for_files();
}

static void clients(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 }, heard = { 0 };
        ferry_session *sessions[4];
        ferry_service *service;
        unsigned alive = 0;
        int code;

        open_service(loop, NULL, &guests, &service, 0);
        for (int i = 0; i < 4; i++) {
                sessions[i] = ferry_session_open(loop, address(), &(ferry_session_options){
                        .dialect = i == 1 ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_AUTO });
                ferry_session_on(sessions[i], FERRY_KIND_NOTIFICATION, count, &heard);
        }
        /* The last one only listens. */
        for (int i = 0; i < 3; i++)
                ask(sessions[i], 0);
        talk_run(loop, 5);
        fault_want(guests.served == 3 && guests.opened == 4);
        for (ferry_session *session = NULL; (session = ferry_service_client(service, session));)
                alive++;
        code = ferry_service_notify(service, "App\\All", "{n: %d}", 1);
        /* A service that lacks memory for one notification has not failed. */
        fault_answer(FAULT_MEET, "notify", code, 0, code == -ENOMEM ? NULL : ferry_service_error(service));
        fault_check(code <= (int)alive);
        ferry_session_free(sessions[0]);
        talk_run(loop, 20);
        fault_want(code == 4 && heard.heard == 3);
        fault_want(guests.closed == 1);
        close_service(loop, service);
        fault_want(guests.closed == 4);
}

/* Subscriptions: three clients, of which one never subscribes; and values that were retained before. */
static void subscriptions(void)
{
        static const char *const patterns[] = { "price.*", "price.>", "price.eur" };
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 }, heard[3] = { { 0 } };
        ferry_session *sessions[3];
        ferry_service *service;
        int code;

        open_service(loop, NULL, &guests, &service, 0);
        code = ferry_service_retain(service, "price.eur", "{n: %d}", 1);
        fault_answer(FAULT_MEET, "retain", code, 0, NULL);
        code = ferry_service_retain(service, "price.usd", "{n: %d}", 2);
        fault_answer(FAULT_MEET, "retain", code, 0, NULL);
        for (int i = 0; i < 3; i++) {
                sessions[i] = ferry_session_open(loop, address(), &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
                ferry_session_on(sessions[i], FERRY_KIND_NOTIFICATION, count, &heard[i]);
                for (int j = 0; i < 2 && j < 3; j++) {
                        code = ferry_session_subscribe(sessions[i], patterns[j]);
                        fault_answer(FAULT_MEET, "subscribe", code, 0, ferry_session_error(sessions[i]));
                }
                ask(sessions[i], 0);
        }
        /* Two by the first pattern, two by the second, and one. */
        fault_want(heard[0].heard == 5 && heard[1].heard == 5 && heard[2].heard == 0);
        code = ferry_session_unsubscribe(sessions[1], "price.>");
        if (!fault_is_absent() && code == -ENOENT)
                code = 0;
        fault_answer(FAULT_MEET, "unsubscribe", code, 0, ferry_session_error(sessions[1]));
        ask(sessions[1], 0);
        code = ferry_service_notify(service, "price.eur.now", "{n: %d}", 3);
        fault_answer(FAULT_MEET, "notify", code, 0, NULL);
        fault_want(code == 2);
        code = ferry_service_unretain(service, "price.usd");
        fault_want(code == 0);
        talk_run(loop, 20);
        fault_want(heard[0].heard == 6 && heard[1].heard == 5 && heard[2].heard == 1);
        close_service(loop, service);
}

/* Handlers by type, of a service and of a session; and a request of a type that has none. */
static void types(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 }, heard = { 0 };
        ferry_service *service = ferry_service_open(loop, address(), NULL);
        ferry_session *client;
        int code;

        if (!fault_answer(FAULT_MEET, "listen", ferry_service_status(service), 0, ferry_service_error(service)))
                fault_check(ferry_service_close(service) < 0);
        ferry_service_on_type(service, FERRY_KIND_REQUEST, "App\\Ask", count, &guests);
        ferry_service_on_type(service, FERRY_KIND_REQUEST, "App\\Other", count, &guests);
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "handlers of a service", code, 0, ferry_service_error(service));
        client = ferry_session_open(loop, address(), &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        ferry_session_on_type(client, FERRY_KIND_NOTIFICATION, "App\\All", count, &heard);
        code = ferry_session_status(client);
        fault_answer(FAULT_MEET, "a handler of a session", code, 0, ferry_session_error(client));
        ask(client, 0);
        ferry_service_off_type(service, "App\\Ask", count, &guests);
        ask(client, -EREMOTEIO);
        code = ferry_service_notify(service, "App\\All", NULL);
        fault_answer(FAULT_MEET, "notify", code, 0, code == -ENOMEM ? NULL : ferry_service_error(service));
        talk_run(loop, 5);
        fault_want(guests.served == 1 && heard.heard == 1);
        ferry_session_off(client, count, &heard);
        close_service(loop, service);
}

/* A service that describes itself, a client that asks, and one that is no service. */
static void described(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;
        ferry_session *client;
        int code;

        open_service(loop, NULL, &guests, &service, 0);
        for (int i = 0; i < 3; i++) {
                code = ferry_service_describe(service, i == 1 ? "get" : "set", "{key: string}", NULL, "Stores a value.");
                fault_answer(FAULT_MEET, "describe", code, 0, NULL);
        }
        client = ferry_session_open(loop, address(), &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        for (int i = 0; i < 2; i++) {
                FERRY_AUTO(ferry_call) call = ferry_session_describe(client, 1000);

                ferry_call_await(call);
                code = ferry_call_status(call);
                /* A service without memory for it says so. */
                if (!fault_is_absent() && code == -EREMOTEIO)
                        code = -ENOMEM;
                fault_answer(FAULT_MEET, "a question", code, 0, ferry_call_error(call));
                fault_want(ferry_value_count(ferry_message_body(ferry_call_reply(call))) == 2);
        }
        code = ferry_service_undescribe(service, "set");
        fault_answer(FAULT_MEET, "undescribe", !fault_is_absent() && code == -ENOENT ? 0 : code, 0, NULL);
        close_service(loop, service);
}

/* Shared memory: without a fault the messages have moved there. */
static bool has_moved(const ferry_session *session)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(session);

        return strcmp(ferry_value_text(ferry_value_get(info, "stream"), ""), "shm") == 0;
}

static void shm_with(size_t size)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_ALWAYS };
        ferry_loop *loop = ferry_loop_new(NULL);
        char *text = calloc(1, size + 1);
        struct guests guests = { 0 };
        ferry_service *service;
        ferry_session *client;
        int code;

        open_service(loop, &(ferry_service_options){ .session = &options }, &guests, &service, 0);
        client = ferry_session_open(loop, address(), &options);
        for (int i = 0; i < 3; i++)
                ask(client, 0);
        fault_want(has_moved(client));
        memset(text, 'x', size);
        /* On the socket, beside the ring. */
        code = ferry_session_attach(client, 0);
        fault_want(code == 0);
        for (int i = 0; i < 3; i++) {
                code = ferry_session_notify(client, "App\\Note", "{text: %s}", text);
                fault_answer(FAULT_MEET, "notify", code, 0, ferry_session_error(client));
        }
        ask(client, 0);
        fault_want(guests.heard == 3 && guests.served == 4);
        code = ferry_session_close(client);
        fault_answer(FAULT_MEET, "close", code, 0, ferry_session_error(client));
        talk_run(loop, 20);
        close_service(loop, service);
        fault_want(guests.closed == 1);
        free(text);
}

static void shm(void)
{
        shm_with(10);
}

/* After a while the kernel reports what becomes of the socket file, so that a loop that waits without a deadline has no timer, and
 * does not know the time. The service is awake when the request comes. With a fault the answer may stay away. */
static void shm_without_timers(void)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_ALWAYS };
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;
        ferry_session *client;
        int code;

        open_service(loop, &(ferry_service_options){ .session = &options }, &guests, &service, 0);
        client = ferry_session_open(loop, address(), &options);
        ask(client, 0);
        talk_run(loop, 300);
        fault_want(has_moved(client));
        code = ferry_session_notify(client, "App\\Note", NULL);
        fault_answer(FAULT_MEET, "notify", code, 0, ferry_session_error(client));
        code = ferry_loop_tick(loop, 0);
        fault_answer(FAULT_WAIT, "tick", code, 0, ferry_loop_error(loop));
        fault_want(guests.heard == 1);
        ask_for(client, fault_is_absent() ? -1 : 1000, 0);
        fault_want(guests.served == 2);
        code = ferry_session_close(client);
        fault_answer(FAULT_MEET, "close", code, 0, ferry_session_error(client));
        talk_run(loop, 20);
        close_service(loop, service);
        fault_want(guests.closed == 1);
}

/* Another process, on the same processor: it is given way to before this one sleeps. */
static void serve_elsewhere(int ready, const ferry_session_options *options)
{
        ferry_loop *loop;
        ferry_service *service;
        struct guests guests = { 0 };

        door_reset();
        loop = ferry_loop_new(NULL);
        service = ferry_service_open(loop, address(), &(ferry_service_options){ .session = options });
        ferry_service_on(service, FERRY_KIND_REQUEST, count, &guests);
        (void)!write(ready, "", 1);
        ferry_loop_run(loop, -1);
        _exit(0);
}

static void shm_elsewhere(void)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY, .shm = FERRY_SHM_ALWAYS };
        cpu_set_t before, one;
        ferry_session *client;
        ferry_loop *loop;
        int ready[2], code;
        pid_t child;
        char byte;

        if (sched_getaffinity(0, sizeof before, &before) < 0 || pipe2(ready, O_CLOEXEC) < 0) {
                fault_flaw("prepare: %m");
                return;
        }
        CPU_ZERO(&one);
        CPU_SET((size_t)sched_getcpu(), &one);
        sched_setaffinity(0, sizeof one, &one);
        child = fork();
        if (child == 0)
                serve_elsewhere(ready[1], &options);
        close(ready[1]);
        (void)!read(ready[0], &byte, 1);
        close(ready[0]);
        loop = ferry_loop_new(NULL);
        client = ferry_session_open(loop, address(), &options);
        for (int i = 0; i < 5; i++)
                ask(client, 0);
        fault_want(has_moved(client));
        code = ferry_session_close(client);
        fault_answer(FAULT_MEET, "close", code, 0, ferry_session_error(client));
        ferry_loop_free(loop);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        unlink(fault_path("socket"));
        unlink(fault_path("socket.lock"));
        sched_setaffinity(0, sizeof before, &before);
}

/* A client that offers two descriptors, none of which is shared memory. */
static void shm_wrong(void)
{
        static const unsigned char hello[] = "\xf3\x4a\x9d\xe2\0\0\0\x1f\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\xa8" "features\x91\xa3shm";
        static const unsigned char offer[] = "\xf3\x4a\x9d\xe2\0\0\0\x10\1\xa0\1\0\0\0\0\0\0\0\0\0\0\0\0";
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(2 * sizeof(int))];
        } control = { .bytes = "" };
        struct iovec piece = { (void *)(uintptr_t)offer, sizeof offer };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        int fds[2] = { open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC) };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ferry_service *service;

        strncpy(name.sun_path, fault_path("socket"), sizeof name.sun_path - 1);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
        if (open_service(loop, NULL, &guests, &service, 0) && connect(fd, (struct sockaddr *)&name, sizeof name) == 0 &&
            send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL) > 0) {
                talk_run(loop, 5);
                fault_want(sendmsg(fd, &message, MSG_NOSIGNAL) == sizeof offer);
                talk_run(loop, 5);
                fault_want(guests.opened == 1 && guests.closed == 0);
        }
        close(fds[0]);
        close(fds[1]);
        close(fd);
        talk_run(loop, 5);
        close_service(loop, service);
        fault_want(guests.closed == 1);
}

/* What is larger than the rings. */
static void shm_large(void)
{
        shm_with(1 << 18);
}

/* Its socket file is removed, with a client that waits behind it, and then with its lock. */
static void removed(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;
        ferry_session *waiting = NULL;

        open_service(loop, NULL, &guests, &service, 0);
        for (int i = 0; i < 2; i++) {
                if (i == 0)
                        waiting = ferry_session_open(loop, address(), NULL);
                else
                        unlink(fault_path("socket.lock"));
                unlink(fault_path("socket"));
                talk_run(loop, 2000);
                fault_answer(FAULT_MEET, "listen", ferry_service_status(service), 1, ferry_service_error(service));
                ask(ferry_session_open(loop, address(), NULL), 0);
        }
        ask(waiting, 0);
        fault_want(guests.served == 3);
        ferry_service_free(service);
        talk_run(loop, 20);
        ferry_loop_free(loop);
        look_for_files();
}

/* For a group, one dialect only, ended by being freed. */
static void group(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        const struct group *own = getgrgid(getegid());
        ferry_service_options options = { .mode = 0660, .group = own ? own->gr_name : NULL,
                                          .dialects = FERRY_DIALECT_FERRY };
        struct guests guests = { 0 };
        ferry_service *service;
        ferry_session *client;
        struct stat stat;

        /* A group that is not there is an argument that is wrong. */
        if (open_service(loop, &options, &guests, &service, fault_error() == ENOENT ? -EINVAL : 0))
                fault_want(lstat(fault_path("socket"), &stat) == 0 && (stat.st_mode & 0777) == 0660);
        client = ferry_session_open(loop, address(), NULL);
        ask(client, 0);
        ferry_service_free(service);
        talk_run(loop, 20);
        ferry_loop_free(loop);
        look_for_files();
}

static void group_unknown(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;

        open_service(loop, &(ferry_service_options){ .group = "no such group" }, &guests, &service, -EINVAL);
        ferry_loop_free(loop);
        look_for_files();
}

/* What a dead one has left is cleared away. */
static void stale(void)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int lock = open(fault_path("socket.lock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        strncpy(name.sun_path, fault_path("socket"), sizeof name.sun_path - 1);
        if (fd < 0 || lock < 0 || write(lock, "ferry lock\n1\n", 13) != 13 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
                fault_flaw("bind: %m");
        close(fd);
        close(lock);
        open_service(loop, NULL, &guests, &service, 0);
        ask(ferry_session_open(loop, address(), NULL), 0);
        close_service(loop, service);
}

/* A living one is not pushed aside, nor is what is no socket, nor one that listens and knows no lock. */
static void in_use(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service, *second;
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd;

        if (open_service(loop, NULL, &guests, &service, 0)) {
                open_service(loop, NULL, &guests, &second, -EADDRINUSE);
                ask(ferry_session_open(loop, address(), NULL), 0);
        }
        ferry_loop_free(loop);
        unlink(fault_path("socket"));
        loop = ferry_loop_new(NULL);
        close(open(fault_path("socket"), O_CREAT | O_WRONLY, 0600));
        open_service(loop, NULL, &guests, &second, -EADDRINUSE);
        ferry_loop_free(loop);
        fault_check(access(fault_path("socket"), F_OK) == 0);
        unlink(fault_path("socket"));
        loop = ferry_loop_new(NULL);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        strncpy(name.sun_path, fault_path("socket"), sizeof name.sun_path - 1);
        if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(fd, 4) < 0)
                fault_flaw("listen: %m");
        open_service(loop, NULL, &guests, &second, -EADDRINUSE);
        ferry_loop_free(loop);
        close(fd);
}

/* The limit: a client that has never spoken makes room, and one that comes when there is none left gets the reason. */
static void crowded(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_session *sessions[3];
        ferry_service *service;

        open_service(loop, &(ferry_service_options){ .clients_max = 1 }, &guests, &service, 0);
        for (int i = 0; i < 3; i++) {
                /* Only the first never says anything. */
                sessions[i] = ferry_session_open(loop, address(), &(ferry_session_options){
                        .dialect = i == 0 ? FERRY_DIALECT_STREAM_IPC : FERRY_DIALECT_AUTO });
                talk_run(loop, 5);
                if (i > 0)
                        ask(sessions[i], i == 1 ? 0 : -EREMOTEIO);
        }
        close_service(loop, service);
}

/* A forked child lets go of a service and its clients; the parent goes on. */
static void left_to_a_child(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;
        ferry_session *client;
        pid_t child;
        int status;

        open_service(loop, NULL, &guests, &service, 0);
        client = ferry_session_open(loop, address(), NULL);
        ask(client, 0);
        child = fork();
        if (child == 0) {
                ferry_loop_free(loop);
                _exit(0);
        }
        if (waitpid(child, &status, 0) != child || status != 0)
                fault_flaw("the forked child: %x", (unsigned)status);
        ask(client, 0);
        close_service(loop, service);
}

static void idle(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service;
        int code;

        open_service(loop, &(ferry_service_options){ .idle_timeout_ms = 50 }, &guests, &service, 0);
        code = ferry_loop_run(loop, 1000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "status", code, 0, ferry_service_error(service));
        fault_check(code != 1);
        ferry_loop_free(loop);
        look_for_files();
}

/* No descriptor is left when a client comes: the service rests, and takes it later. */
static void rested(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        struct rlimit limit, before;
        ferry_session *client;
        ferry_service *service;
        int lowest;

        open_service(loop, NULL, &guests, &service, 0);
        client = ferry_session_open(loop, address(), NULL);
        getrlimit(RLIMIT_NOFILE, &before);
        limit = before;
        lowest = open("/", O_RDONLY | O_CLOEXEC);
        close(lowest);
        limit.rlim_cur = (rlim_t)lowest;
        setrlimit(RLIMIT_NOFILE, &limit);
        ferry_loop_run(loop, 10);
        fault_want(guests.opened == 0);
        setrlimit(RLIMIT_NOFILE, &before);
        ask(client, 0);
        close_service(loop, service);
}

static int listen_later(ferry_loop *loop, void *userdata)
{
        ferry_service *service;

        open_service(loop, NULL, userdata, &service, 0);
        return 0;
}

/* A client that is there before the service; and one that waits in vain. */
static void awaited(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_session *client, *vain;
        char vacant[300];
        int code;

        snprintf(vacant, sizeof vacant, "unix:%s", fault_path("vacant"));
        ferry_loop_after(loop, 30, listen_later, &guests);
        client = ferry_session_open(loop, address(), &(ferry_session_options){ .wait_ms = 1000 });
        vain = ferry_session_open(loop, vacant, &(ferry_session_options){ .wait_ms = 20 });
        ask(client, 0);
        ferry_loop_run(loop, 50);
        code = ferry_session_status(vain);
        fault_answer(FAULT_MEET, "status", code, -ENOENT, ferry_session_error(vain));
        fault_check(code != 1);
        ferry_loop_free(loop);
}

/* Closed while a request is kept: that is waited for, then given up. */
static int keep(ferry_session *session, const ferry_message *request, void *userdata)
{
        ferry_message **kept = userdata;

        (void)session;
        if (!*kept)
                *kept = ferry_message_ref(request);
        return 1;
}

static void closed_late(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_message *kept = NULL;
        ferry_service_options options = { .close_timeout_ms = 50 };
        ferry_service *service = ferry_service_open(loop, address(), &options);
        ferry_session *client = ferry_session_open(loop, address(), NULL);
        ferry_call *call = ferry_session_request(client, 1000, "App\\Keep", NULL);
        int code;

        ferry_service_on(service, FERRY_KIND_REQUEST, keep, &kept);
        talk_run(loop, 5);
        code = ferry_service_close(service);
        fault_answer(FAULT_MEET, "close", code, 0, ferry_service_error(service));
        ferry_call_await(call);
        fault_check(ferry_call_status(call) < 0);
        ferry_call_free(call);
        ferry_loop_free(loop);
        ferry_message_unref(kept);
        look_for_files();
}

/* By name: the directory is made, its service is found; another is looked up where all users have theirs. */
static const char *public_path(const char *path)
{
        return strncmp(path, "/run/ferry", 10) == 0 ? "/" : path;
}

static void named(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service;
        ferry_session *session;
        int code;

        setenv("FERRY_DIR", fault_path("names"), 1);
        service = ferry_service_open(loop, "name", NULL);
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "listen", code, 1, ferry_service_error(service));
        if (code == 1) {
                session = ferry_session_open(loop, "name", NULL);
                ask(session, -EREMOTEIO);
        }
        ferry_loop_free(loop);
        rmdir(fault_path("names"));
        unsetenv("FERRY_DIR");
}

static void named_for_all(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;
        char address[128];

        setenv("XDG_RUNTIME_DIR", fault_path("."), 1);
        door_path = public_path;
        session = ferry_session_open(loop, "name", NULL);
        fault_answer(FAULT_MEET, "status", ferry_session_status(session), -ENOENT, ferry_session_error(session));
        fault_answer(FAULT_MEET, "resolve", ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address),
                     sizeof "unix:/run/ferry/name.sock" - 1, NULL);
        door_path = NULL;
        ferry_loop_free(loop);
        unsetenv("XDG_RUNTIME_DIR");
        /* Below /tmp there may be anything. */
        ferry_address_resolve("name", FERRY_DIALECT_AUTO, address, sizeof address);
}

/* Ports. A socket that holds one, so that no other process gets it: it listens if there is a backlog. */
static int hold_port(char text[64], const char *host, int backlog)
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof name;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
            bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || (backlog >= 0 && listen(fd, backlog) < 0) ||
            getsockname(fd, (struct sockaddr *)&name, &size) < 0)
                fault_flaw("a port: %m");
        snprintf(text, 64, "tcp:%s:%u", host, (unsigned)ntohs(name.sin_port));
        return fd;
}

static void ports(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        struct guests guests = { 0 };
        ferry_service *service, *second;
        ferry_session *client;

        if (listen_at(loop, "tcp:localhost:0", NULL, &guests, &service, 0)) {
                listen_at(loop, ferry_service_address(service), NULL, &guests, &second, -EADDRINUSE);
                client = ferry_session_open(loop, ferry_service_address(service), NULL);
                ask(client, 0);
                fault_want(guests.served == 1);
                ferry_session_free(client);
        }
        close_service(loop, service);
        fault_want(guests.closed == 1);
}

static char awaited_port[64];

static int listen_at_port_later(ferry_loop *loop, void *userdata)
{
        ferry_service *service;

        listen_at(loop, awaited_port, NULL, userdata, &service, 0);
        return 0;
}

/* A client that is there before the service; one that waits in vain; one that is not answered. */
static void ports_awaited(void)
{
        char vacant[64], silent[64];
        int held[] = { hold_port(awaited_port, "127.0.0.1", -1), hold_port(vacant, "localhost", -1),
                       hold_port(silent, "127.0.0.1", 0), socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        struct sockaddr_in name = { .sin_family = AF_INET };
        socklen_t size = sizeof name;
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *client, *vain, *unheard;
        struct guests guests = { 0 };

        /* There is room for one. */
        if (getsockname(held[2], (struct sockaddr *)&name, &size) < 0 ||
            connect(held[3], (struct sockaddr *)&name, sizeof name) < 0)
                fault_flaw("connect: %m");
        ferry_loop_after(loop, 30, listen_at_port_later, &guests);
        client = ferry_session_open(loop, awaited_port, &(ferry_session_options){ .wait_ms = 1000 });
        vain = ferry_session_open(loop, vacant, &(ferry_session_options){ .wait_ms = 20 });
        unheard = ferry_session_open(loop, silent, &(ferry_session_options){ .wait_ms = 50 });
        ask(client, 0);
        /* Each ends a run; so does the service, if it cannot listen. */
        for (int i = 0; i < 3 && ferry_session_status(vain) >= 0; i++)
                ferry_loop_run(loop, 100);
        fault_answer(FAULT_MEET, "status", ferry_session_status(vain), -ECONNREFUSED, ferry_session_error(vain));
        for (int i = 0; i < 30 && ferry_session_status(unheard) >= 0; i++)
                ferry_loop_run(loop, 100);
        fault_answer(FAULT_MEET, "status", ferry_session_status(unheard), -ETIMEDOUT, ferry_session_error(unheard));
        fault_check(ferry_session_status(vain) < 0 && ferry_session_status(unheard) < 0);
        ferry_loop_free(loop);
        for (size_t i = 0; i < sizeof held / sizeof *held; i++)
                close(held[i]);
}

static int bind_plain(const char *path, bool is_listening)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strncpy(name.sun_path, path, sizeof name.sun_path - 1);
        if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || (is_listening && listen(fd, 4) < 0))
                fault_flaw("%s: %m", path);
        return fd;
}

static void begin_names(void)
{
        setenv("FERRY_DIR", fault_path("names"), 1);
        setenv("TMPDIR", fault_path("."), 1);
        mkdir(fault_path("names"), 0700);
        door_path = public_path;
}

static void end_names(void)
{
        static const char *const files[] = { "name.sock", "name.sock.lock", "plain.sock", "stale.sock" };

        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
                unlink(fault_path("names/%s", files[i]));
        fault_check(rmdir(fault_path("names")) == 0);
        door_path = NULL;
        unsetenv("FERRY_DIR");
        unsetenv("TMPDIR");
}

/* The living are listed, also one that knows nothing of ferry; a stale one is not. */
static void listed(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service;
        ferry_value *list;
        int fd, code;

        begin_names();
        fd = bind_plain(fault_path("names/plain.sock"), true);
        close(bind_plain(fault_path("names/stale.sock"), true));
        service = ferry_service_open(loop, "name", NULL);
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "listen", code, 1, ferry_service_error(service));
        list = ferry_service_list(loop);
        /* ENOBUFS is how the kernel's own word for it may be. */
        fault_check(list || fault_is_memory() || fault_error() == ENOBUFS || fault_error() == EMFILE || fault_error() == ENFILE || !loop);
        fault_check(ferry_value_count(list) <= 2);
        fault_want(ferry_value_unpack(list, "[{name: 'name', dialects: ['ferry', 'stream-ipc'], busy: false},"
                                            " {name: 'plain', pid: null, busy: false}]") == 0);
        ferry_value_unref(list);
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "status", code, 1, ferry_service_error(service));
        ferry_loop_free(loop);
        close(fd);
        end_names();
}

static int listen_by_name(ferry_loop *loop, void *userdata)
{
        *(ferry_service **)userdata = ferry_service_open(loop, "name", NULL);
        return 0;
}

/* For a service that comes later, one that knows nothing of ferry, one of which only a socket is left, and none. */
static void waited(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = NULL;
        int fd, code;

        begin_names();
        ferry_loop_after(loop, 300, listen_by_name, &service);
        code = ferry_service_wait(loop, "name", FERRY_DIALECT_AUTO, 1000);
        fault_answer(FAULT_MEET, "wait", code, 0, ferry_loop_error(loop));
        fault_want(code == 0 && ferry_service_status(service) == 1);
        fd = bind_plain(fault_path("names/plain.sock"), true);
        code = ferry_service_wait(loop, "plain", FERRY_DIALECT_AUTO, 50);
        fault_answer(FAULT_MEET, "wait", code, 0, ferry_loop_error(loop));
        fault_want(code == 0);
        close(fd);
        code = ferry_service_wait(loop, "plain", FERRY_DIALECT_AUTO, 1000);
        fault_answer(FAULT_MEET, "wait", code, -ETIMEDOUT, ferry_loop_error(loop));
        fault_check(code != 0);
        code = ferry_service_wait(loop, "vacant", FERRY_DIALECT_AUTO, 0);
        fault_answer(FAULT_MEET, "wait", code, -ETIMEDOUT, ferry_loop_error(loop));
        fault_check(code != 0);
        ferry_loop_free(loop);
        end_names();
}

static bool is_replaced;

/* The directory of the socket, when it is opened for the first time. */
static const char *path_before_replacing(const char *path)
{
        if (is_replaced || strcmp(path, fault_path("now")) != 0)
                return path;
        is_replaced = true;
        return fault_path("before");
}

/* The directory is replaced between opening it and binding, so the socket is made in the new one. */
static void replaced(void)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        char text[300];
        ferry_service *service;
        int code;

        mkdir(fault_path("before"), 0700);
        mkdir(fault_path("now"), 0700);
        is_replaced = false;
        door_path = path_before_replacing;
        snprintf(text, sizeof text, "unix:%s", fault_path("now/socket"));
        service = ferry_service_open(loop, text, NULL);
        code = ferry_service_status(service);
        fault_answer(FAULT_MEET, "listen", code, -ENOENT, ferry_service_error(service));
        fault_check(code < 0);
        ferry_loop_free(loop);
        door_path = NULL;
        fault_want(access(fault_path("now/socket"), F_OK) < 0);
        unlink(fault_path("now/socket"));
        unlink(fault_path("before/socket.lock"));
        fault_check(rmdir(fault_path("now")) == 0);
        fault_check(rmdir(fault_path("before")) == 0);
}

const struct scenario service_scenarios[] = {
        { .name = "shm", .run = shm },
        { .name = "shm-elsewhere", .run = shm_elsewhere, .patience_ms = 10000, .is_uncut = true, .is_slow = true },
        { .name = "shm-wrong", .run = shm_wrong },
        { .name = "shm-without-timers", .run = shm_without_timers, .is_slow = true },
        { .name = "shm-large", .run = shm_large, .is_uncut = true, .is_slow = true },
        { .name = "replaced", .run = replaced },
        { .name = "clients", .run = clients },
        { .name = "subscriptions", .run = subscriptions },
        { .name = "types", .run = types },
        { .name = "described", .run = described },
        { .name = "removed", .run = removed },
        { .name = "group", .run = group },
        { .name = "group-unknown", .run = group_unknown },
        { .name = "stale", .run = stale },
        { .name = "in-use", .run = in_use },
        { .name = "crowded", .run = crowded },
        { .name = "left-to-a-child", .run = left_to_a_child },
        { .name = "idle", .run = idle, .is_whole = true },
        { .name = "rested", .run = rested, .is_whole = true },
        { .name = "awaited", .run = awaited },
        { .name = "closed-late", .run = closed_late },
        { .name = "ports", .run = ports },
        { .name = "ports-awaited", .run = ports_awaited },
        { .name = "named", .run = named },
        { .name = "named-for-all", .run = named_for_all },
        { .name = "list", .run = listed, .is_whole = true },
        { .name = "wait", .run = waited, .is_slow = true },
        { .name = NULL },
};
