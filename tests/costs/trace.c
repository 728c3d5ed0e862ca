/* Sends one notification over a unix socket, after others have warmed the path up, so that callgrind can record the path: from
 * the call of ferry_session_notify() to send(2), or from the return of recv(2) to the handler. tools/trace.sh builds and
 * runs it; both sides stand in this process. Without valgrind, as a test, it says whether the calls between which it records are
 * still those of the library.
 *
 *   trace notify|receive
 */
#include <errno.h>
#include <ferry/ferry.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

enum { WARM_UP = 50, SAFETY_MS = 10000 };

static enum { IDLE, ARMED, RECORDING, RECORDED } state;
static bool is_receiving;
static int handled;

static void start_recording(void)
{
        state = RECORDING;
        CALLGRIND_START_INSTRUMENTATION;
}

static void stop_recording(void)
{
        if (state != RECORDING)
                return;
        CALLGRIND_STOP_INSTRUMENTATION;
        state = RECORDED;
}

/* These replace the functions of the C library, where a recording ends or begins. */
ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
        if (!is_receiving)
                stop_recording();
        return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
        ssize_t n = syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);

        if (is_receiving && state == ARMED && n > 0)
                start_recording();
        return n;
}

/* What a service reads by as long as its client may offer shared memory. */
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
        ssize_t n = syscall(SYS_recvmsg, fd, message, flags);

        if (is_receiving && state == ARMED && n > 0)
                start_recording();
        return n;
}

static int handle(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        if (is_receiving)
                stop_recording();
        handled++;
        return 0;
}

static void fail(const char *what, const char *why)
{
        fprintf(stderr, "trace: %s: %s\n", what, why);
        exit(1);
}

static void notify_and_wait(ferry_loop *loop, ferry_session *session)
{
        int before = handled;

        if (ferry_session_notify(session, "App\\Load", "{number: %d, text: %s}", before, "some text") < 0)
                fail("cannot notify", ferry_session_error(session));
        while (handled == before)
                if (ferry_loop_tick(loop, SAFETY_MS) < 0)
                        fail("cannot wait for the handler", ferry_loop_error(loop));
        while (ferry_loop_tick(loop, 0) == 1)
                ;
}

int main(int argc, char **argv)
{
        char folder[] = "/tmp/ferry-trace-XXXXXX", path[64], address[80];
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service;
        ferry_session *session;

        if (argc != 2 || (strcmp(argv[1], "notify") != 0 && strcmp(argv[1], "receive") != 0)) {
                fprintf(stderr, "usage: trace notify|receive\n");
                return 2;
        }
        if (!mkdtemp(folder))
                fail("cannot create a folder for the socket", strerror(errno));
        snprintf(path, sizeof(path), "%s/socket", folder);
        snprintf(address, sizeof(address), "unix:%s", path);
        service = ferry_service_open(loop, address, NULL);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, handle, NULL);
        session = ferry_session_open(loop, address, NULL);
        for (int i = 0; i < WARM_UP; i++)
                notify_and_wait(loop, session);
        is_receiving = strcmp(argv[1], "receive") == 0;
        state = ARMED;
        if (!is_receiving)
                start_recording();
        notify_and_wait(loop, session);
        if (state != RECORDED)
                fail("cannot record the path", is_receiving ? "recv() or the handler was not called" : "send() was not called");
        ferry_session_free(session);
        ferry_service_free(service);
        ferry_loop_free(loop);
        rmdir(folder);
        printf("trace-%s: 1 passed, 0 failed\n", argv[1]);
        return 0;
}
