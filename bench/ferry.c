/* ferry itself. */
#include "driver.h"
#include "sshd.h"

#include <err.h>
#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        ALL_OF_A_CHILD = 1 << WORK_ROUND_TRIP | 1 << WORK_IN_FLIGHT | 1 << WORK_ONE_WAY | 1 << WORK_LONE,
        ALL_OF_A_SERVICE = ALL_OF_A_CHILD | 1 << WORK_FAN_IN | 1 << WORK_CONNECT | 1 << WORK_IDLE,
        ALL_OF_A_RING = ALL_OF_A_CHILD | 1 << WORK_FAN_IN,
        ALL_OVER_SSH = 1 << WORK_ROUND_TRIP | 1 << WORK_IN_FLIGHT | 1 << WORK_ONE_WAY,
        FRAME_MAX = 32 << 20,
        BATCH_MAX = 32,
        WAIT_MS = 5000,
        ECHOES_MAX = 10,
        HELD_MAX = 4096,        /* bytes of a message that is held until others come */
};

enum kind { UNIX, PIPES, TCP, RING, BLOCKED, CHILD_OF_SSH, SSH };

/* A stream that is added is one more line here and one more case in make_address(), or in the options of make_loop(). */
static const struct subject subjects[] = {
        [UNIX] = { "ferry-unix", "floor-unix", ALL_OF_A_SERVICE | 1 << WORK_SPAWN, false, false, 0, 0 },
        [PIPES] = { "ferry-pipes", "floor-pipes", ALL_OF_A_CHILD, true, false, 0, 0 },
        [TCP] = { "ferry-tcp", "floor-tcp", ALL_OF_A_SERVICE, false, false, 0, 0 },
        /* In shared memory: as it comes, and with sides that sleep at once when there is nothing to do. */
        [RING] = { "ferry-ring", "floor-cacheline,floor-eventfd,floor-ring,floor-unix", ALL_OF_A_RING, false, false, 0, 0 },
        [BLOCKED] = { "ferry-ring-asleep", "floor-eventfd", 1 << WORK_ROUND_TRIP, false, false, 0, 0 },
        /* What ssh starts there: the server itself, and a bridge to it. */
        [CHILD_OF_SSH] = { "floor-ssh", "floor-ssh", ALL_OVER_SSH, false, false, 0, 0 },
        [SSH] = { "ferry-ssh", "floor-ssh", ALL_OVER_SSH, false, false, 0, 0 },
        { 0 },
};

static enum kind kind(void)
{
        return (enum kind)(job.subject - subjects);
}

static bool is_ring(void)
{
        return kind() == RING || kind() == BLOCKED;
}

static bool is_there(const struct subject *subject)
{
        return (subject != &subjects[CHILD_OF_SSH] && subject != &subjects[SSH]) || sshd_is_there();
}

/* By way of ssh. */
static bool is_far(void)
{
        return kind() == CHILD_OF_SSH || kind() == SSH;
}

static ferry_loop *loop;

/* As the client says it where @is_client, else as the service does. */
static void make_address(char *address, size_t size, bool is_client)
{
        if (kind() == TCP)
                snprintf(address, size, "tcp:127.0.0.1:%u", is_client ? driver_read_port() : 0);
        else if (kind() == SSH && is_client)
                snprintf(address, size, "ssh:localhost:unix:%s", driver_path("socket"));
        else
                snprintf(address, size, "unix:%s", driver_path("socket"));
}

static void make_loop(void)
{
        const ferry_session_options sessions = {
                .dialect = FERRY_DIALECT_FERRY, .wait_ms = WAIT_MS, .frame_max = FRAME_MAX, .queue_max = 2 * FRAME_MAX,
                .shm = is_ring() ? FERRY_SHM_ALWAYS : FERRY_SHM_NEVER, .spin_us = kind() == BLOCKED ? -1 : 0 };

        loop = ferry_loop_new(&(ferry_loop_options){ .session = &sessions });
}

/* Server -------------------------------------------------------------------------------------------------- */

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        size_t size;
        const char *body = ferry_value_bytes(ferry_message_body(message), &size), *answer;

        (void)session, (void)userdata;
        size = driver_take(body, body ? size : 0, &answer);
        if (size == 0)
                return 1;
        if (answer == body)
                return ferry_message_reply(message, NULL, "%p", ferry_arg(ferry_message_body(message)));
        return ferry_message_reply(message, NULL, "%.*s", (int)size, answer);
}

static void serve_parent(const char *address)
{
        ferry_session *parent = ferry_session_open(loop, address, NULL);

        ferry_session_on(parent, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION, take, NULL);
}

static void serve(const struct job *unused)
{
        char address[300];
        ferry_service *service;

        (void)unused;
        make_loop();
        if (is_far())
                sshd_start();
        if (job.work->kind == WORK_SPAWN) {
                snprintf(address, sizeof address, "fd:%s", getenv("FERRY_FD") ? getenv("FERRY_FD") : "");
                serve_parent(address);
        } else if (kind() == PIPES)
                serve_parent("stdio:");
        else {
                make_address(address, sizeof address, false);
                service = ferry_service_open(loop, address, NULL);
                ferry_service_on(service, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION, take, NULL);
                if (ferry_service_status(service) < 0)
                        errx(1, "ferry: %s", ferry_service_error(service));
                if (kind() == TCP)
                        driver_write_port((unsigned)atoi(strrchr(ferry_service_address(service), ':') + 1));
                driver_ready();
        }
        if (ferry_loop_run(loop, -1) < 0)
                errx(1, "ferry: server: %s", ferry_loop_error(loop));
}

/* Client -------------------------------------------------------------------------------------------------- */

static ferry_manager *manager;
static ferry_session *sessions[WORK_CLIENTS_MAX];
static ferry_process *process;

static bool is_held;

static void hold(void)
{
        if (!is_held && ferry_session_hold(sessions[0]) < 0)
                errx(1, "ferry: %s", ferry_session_error(sessions[0]));
        is_held = true;
}

/* Calls in flight, in the order of their requests: of one client many, or of many clients one each. */
static ferry_call *calls[WORK_CLIENTS_MAX];
static size_t requested, awaited;

static void spawn_server(void)
{
        const char *const argv[] = { job.program, "serve", job.subject->name, job.work->name, job.folder, NULL };
        const int fds[] = { driver_shared_fd(), -1 };

        if (!manager)
                manager = ferry_manager_new(loop, NULL);
        process = ferry_process_spawn(manager, argv, &(ferry_process_options){ .fds = fds });
        sessions[0] = ferry_process_session(process);
}

/* A session moves as soon as both sides have said so, which takes a few round trips. */
static void wait_for_ring(ferry_session *session)
{
        for (int i = 0; i < ECHOES_MAX; i++) {
                FERRY_AUTO(ferry_call) call = ferry_session_request(session, FERRY_TIMEOUT_DEFAULT, DRIVER_TYPE, "%s", "e");
                FERRY_AUTO(ferry_value) info = NULL;

                if (!ferry_call_await(call))
                        errx(1, "ferry: %s", ferry_call_error(call));
                info = ferry_session_info(session);
                if (strcmp(ferry_value_text(ferry_value_get(info, "stream"), ""), "shm") == 0)
                        return;
        }
        errx(1, "ferry: the session does not move to shared memory");
}

/* A child here, or there, where it is the one of PIPES. */
static void open_child(int client)
{
        char command[700];
        const char *const here[] = { job.program, "serve", job.subject->name, job.work->name, job.folder, NULL };
        const char *const there[] = { "ssh", "-T", "localhost", command, NULL };

        snprintf(command, sizeof command, "exec '%s' serve %s %s '%s'", job.program, subjects[PIPES].name, job.work->name, job.folder);
        sessions[client] = ferry_session_open(loop, "exec:", &(ferry_session_options){ .argv = is_far() ? there : here });
}

static void open_client(int client)
{
        char address[300];

        if (!loop)
                make_loop();
        if (job.work->kind == WORK_SPAWN) {
                spawn_server();
                return;
        }
        if (is_far())
                sshd_use();
        if (kind() == PIPES || kind() == CHILD_OF_SSH) {
                open_child(client);
                return;
        }
        make_address(address, sizeof address, true);
        sessions[client] = ferry_session_open(loop, address, NULL);
        if (is_ring())
                wait_for_ring(sessions[client]);
}

static void close_client(int client)
{
        if (job.work->kind == WORK_SPAWN) {
                ferry_session_close(sessions[0]);
                if (ferry_process_wait(process, -1) != 0)
                        errx(1, "ferry: %s", ferry_process_error(process));
                process = ferry_process_free(process);
                return;
        }
        sessions[client] = ferry_session_free(sessions[client]);
}

/* Bursts are held: they leave when the loop is entered. */
static void request(int client, const char *body, size_t size)
{
        if (job.work->kind == WORK_IN_FLIGHT)
                hold();
        calls[requested++ % WORK_CLIENTS_MAX] = ferry_session_request(sessions[client], FERRY_TIMEOUT_DEFAULT, DRIVER_TYPE,
                                                                      "%.*s", (int)size, body);
}

static void await(int client)
{
        ferry_call *call = calls[awaited++ % WORK_CLIENTS_MAX];
        const ferry_message *reply = ferry_call_await(call);
        const char *body;
        size_t size;

        (void)client;
        is_held = false;
        if (!reply)
                errx(1, "ferry: %s", ferry_call_error(call));
        body = ferry_value_bytes(ferry_message_body(reply), &size);
        driver_check(body, body ? size : 0);
        ferry_call_free(call);
}

static void flush(void)
{
        is_held = false;
        if (ferry_session_flush(sessions[0], -1) < 0)
                errx(1, "ferry: %s", ferry_session_error(sessions[0]));
}

/* A large body is a value, which the session holds until it is written instead of copying it. */
static int send_body(const char *body, size_t size)
{
        static ferry_value *large;

        if (size < HELD_MAX)
                return ferry_session_notify(sessions[0], DRIVER_TYPE, "%.*s", (int)size, body);
        if (!large)
                large = ferry_value_pack("%.*s", (int)size, body);
        return ferry_session_notify_value(sessions[0], DRIVER_TYPE, large);
}

/* What the queue does not take now, it takes after a flush, which reports the refusal, too. */
static void notify(const char *body, size_t size)
{
        int code;

        if (job.work->kind == WORK_ONE_WAY && size < HELD_MAX && !is_ring())
                hold();
        while ((code = send_body(body, size)) == -ENOBUFS)
                ferry_session_flush(sessions[0], -1);
        if (code < 0)
                errx(1, "ferry: %s", ferry_session_error(sessions[0]));
}

const struct driver driver = { .subjects = subjects, .is_there = is_there, .serve = serve, .open = open_client, .close = close_client,
                               .request = request, .await = await, .notify = notify, .flush = flush };
