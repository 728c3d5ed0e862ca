/* Two services in one loop. ferry handles no signals; here the program says that SIGTERM ends both, in
 * order. */
#include <err.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static int echo(ferry_session *client, const ferry_message *request, void *userdata)
{
        (void)client, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", ferry_arg(ferry_message_body(request)));
}

static int tell_time(ferry_session *client, const ferry_message *request, void *userdata)
{
        (void)client, (void)userdata;
        return ferry_message_reply(request, "time", "%jd", (intmax_t)time(NULL));
}

static int terminated(ferry_loop *loop, void *userdata)
{
        ferry_service **services = userdata;

        (void)loop;
        ferry_service_close(services[0]);
        ferry_service_close(services[1]);
        return 0;
}

int main(void)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_service *services[] = { ferry_service_open(loop, "echo", NULL),
                                      ferry_service_open(loop, "time", NULL) };
        sigset_t term;

        ferry_service_on(services[0], FERRY_KIND_REQUEST, echo, NULL);
        ferry_service_on(services[1], FERRY_KIND_REQUEST, tell_time, NULL);
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        ferry_loop_watch(loop, signalfd(-1, &term, SFD_CLOEXEC), POLLIN, terminated, services);
        if (ferry_loop_run(loop, -1) < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        return 0;
}
