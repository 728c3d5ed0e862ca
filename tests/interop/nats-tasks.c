/* One side of many tasks by way of NATS, with a journal: nats-tasks work SUBJECT JOURNAL answers each request after some time, and
 * writes down its number before; nats-tasks call SUBJECT JOURNAL COUNT makes requests, and writes down what became of each. Both
 * connect again. */
#include <ferry/ferry.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 32, WORK_MS = 15, DEADLINE_MS = 2000 };

static int journal;
static ferry_loop *loop;
static ferry_session *session;

/* A line at once, behind those of others. */
static void note(long number, const char *what, const char *why)
{
        char line[1024];
        int size = snprintf(line, sizeof line - 1, "%ld%s%s%s%s", number, *what ? " " : "", what, *why ? " " : "", why);

        size = size < (int)sizeof line - 1 ? size : (int)sizeof line - 2;
        line[size++] = '\n';
        if (write(journal, line, (size_t)size) != size) {
                perror("journal");
                exit(1);
        }
}

static int finish(ferry_loop *any, void *userdata)
{
        ferry_message *request = userdata;

        (void)any;
        ferry_message_reply(request, NULL, "%p", ferry_arg(ferry_message_body(request)));
        ferry_message_unref(request);
        return 0;
}

static int take(ferry_session *from, const ferry_message *request, void *userdata)
{
        (void)from, (void)userdata;
        note((long)ferry_value_int(ferry_message_body(request), -1), "", "");
        ferry_loop_after(loop, WORK_MS, finish, ferry_message_ref(request));
        return 1;
}

static int stop(ferry_loop *any, void *userdata)
{
        (void)any, (void)userdata;
        ferry_session_close(session);
        return 0;
}

static struct {
        long next, count, left;
} tasks;

static void start_one(void);

static void ended(ferry_call *call, const ferry_message *reply, void *userdata)
{
        static const char *const outcomes[] = {
                [FERRY_OUTCOME_REPLIED] = "done", [FERRY_OUTCOME_NOT_EXECUTED] = "not-executed", [FERRY_OUTCOME_UNKNOWN] = "unknown",
        };
        long number = (long)(intptr_t)userdata;

        if (reply && ferry_value_int(ferry_message_body(reply), -1) != number) {
                fprintf(stderr, "task %ld has the answer of another\n", number);
                exit(1);
        }
        note(number, outcomes[ferry_call_outcome(call)], ferry_call_error(call));
        tasks.left--;
        start_one();
        if (tasks.left == 0)
                ferry_session_close(session);
}

static void start_one(void)
{
        long number = tasks.next;

        if (number == tasks.count)
                return;
        tasks.next++;
        ferry_call_then(ferry_session_request(session, DEADLINE_MS, "task", "%ld", number), ended, (void *)(intptr_t)number);
}

int main(int argc, char **argv)
{
        ferry_session_options options = { .nats_url = getenv("NATS_URL"), .reconnect_ms = -1 };
        char address[128];
        int code;

        if (argc < 4 || !options.nats_url)
                return 2;
        journal = open(argv[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        options.is_listening = strcmp(argv[1], "work") == 0;
        snprintf(address, sizeof address, "nats:%s", argv[2]);
        loop = ferry_loop_new(NULL);
        session = ferry_session_open(loop, address, &options);
        if (options.is_listening) {
                ferry_session_on(session, FERRY_KIND_REQUEST, take, NULL);
                ferry_loop_on_signal(loop, SIGTERM, stop, NULL);
        } else {
                tasks.count = tasks.left = argc > 4 ? strtol(argv[4], NULL, 10) : 1;
                for (int i = 0; i < WINDOW; i++)
                        start_one();
        }
        code = ferry_loop_run(loop, -1);
        if (code < 0 || ferry_session_status(session) < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], code < 0 ? ferry_loop_error(loop) : ferry_session_error(session));
                code = 1;
        }
        ferry_loop_free(loop);
        return code != 0;
}
