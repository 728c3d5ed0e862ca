/* Sessions by TLS at the same time, whose memory is counted: tls-sessions COUNT prints how many KiB each has taken but the first ones. The
 * server and its trust are those of the environment. */
#include <ferry/ferry.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { WARM = 4, PATIENCE_MS = 20000 };

static long peak(void)
{
        struct rusage usage;

        return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

/* The answer, that nothing listens there, comes when the session is open. */
static int open_one(ferry_loop *loop)
{
        const ferry_session_options options = { .nats_url = getenv("NATS_URL"), .nats_ca = getenv("NATS_CA") };
        ferry_session *session = ferry_session_open(loop, "nats:vacant", &options);
        ferry_call *call = ferry_session_request(session, PATIENCE_MS, "x", "'hello'");
        int status;

        ferry_call_await(call);
        status = ferry_session_status(session);
        if (status != 1)
                fprintf(stderr, "%s\n", ferry_session_error(session));
        ferry_call_free(call);
        return status == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
        int count = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0;
        ferry_loop *loop = ferry_loop_new(NULL);
        long before = 0;

        for (int i = 0; i < WARM + count; i++) {
                if (i == WARM)
                        before = peak();
                if (open_one(loop) < 0)
                        return 1;
        }
        printf("%ld\n", (peak() - before) / (count > 0 ? count : 1));
        ferry_loop_free(loop);
        return 0;
}
