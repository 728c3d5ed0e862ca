/* A daemon that upgrades itself under load: SIGHUP starts its program anew, which takes its place. It answers with its version, which is
 * how often that has happened. Try: ./upgrade & seq 100000 | ferry call --each unix:upgrade.sock t - > out & kill -HUP $! */
#include <err.h>
#include <ferry/ferry.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

static const char *program;
static int version;

static int answer(ferry_session *client, const ferry_message *request, void *userdata)
{
        (void)client, (void)userdata;
        return ferry_message_reply(request, NULL, "{version: %d}", version);
}

/* The new program serves from now on; this one ends with the requests that it has in hand. */
static int leave(ferry_session *successor, const ferry_message *message, void *userdata)
{
        int error = ferry_service_hand_over(ferry_session_service(successor), successor);

        (void)message, (void)userdata;
        if (error)
                warnx("cannot hand over: %d", error);
        return 1;
}

static int upgrade(ferry_loop *loop, void *userdata)
{
        char next[16];
        char *const arguments[] = { (char *)(size_t)program, next, NULL };
        pid_t pid;

        (void)loop, (void)userdata;
        snprintf(next, sizeof next, "%d", version + 1);
        if (posix_spawn(&pid, program, NULL, NULL, arguments, environ) != 0)
                warn("cannot start %s", program);
        return 1;
}

static int stop(ferry_loop *loop, void *service)
{
        (void)loop;
        ferry_service_close(service);
        return 0;
}

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_service *service;

        program = argv[0];
        version = argc > 1 ? atoi(argv[1]) : 1;
        ferry_loop_on_signal(loop, SIGHUP, upgrade, NULL);
        service = ferry_service_open(loop, "unix:upgrade.sock", &(ferry_service_options){ .is_taking_over = true });
        ferry_loop_on_signal(loop, SIGTERM, stop, service);
        ferry_service_on(service, FERRY_KIND_REQUEST, answer, NULL);
        ferry_service_on(service, FERRY_KIND_SUCCESSOR, leave, NULL);
        if (ferry_loop_run(loop, -1) < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        return 0;
}
