/* A session in pcntl and the other end of its socketpair, which is the scenario's own. Whatever the fault: what is heard
 * was said, in order, once; what leaves begins with whole frames; a call ends as one can. */
#include "fault/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLASS "Sweikenb\\Library\\Pcntl\\Model\\Ipc\\MessageModel"
#define MODEL(topic, payload) "O:45:\"" CLASS "\":2:{s:5:\"topic\";s:1:\"" topic "\";s:7:\"payload\";" payload "}"

struct line {
        ferry_loop *loop;
        ferry_session *session;
        int fd;
        unsigned asked;
        char left[8192];        /* what has left */
        size_t size;
};

static void open_line(struct line *line)
{
        ferry_session_options options = { .dialect = FERRY_DIALECT_PCNTL };
        int fds[2];

        *line = (struct line){ .loop = ferry_loop_new(NULL), .fd = -1 };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
                fault_flaw("socketpair: %m");
                return;
        }
        options.fds = (const int[]){ fds[0], fds[0], -1 };
        line->fd = fds[1];
        line->session = ferry_session_open(line->loop, NULL, &options);
        if (!line->session || (ferry_session_status(line->session) < 0 && fcntl(fds[0], F_GETFD) >= 0))
                close(fds[0]);
        fault_answer(FAULT_END, "open", ferry_session_status(line->session), 0, ferry_session_error(line->session));
}

static void say(const struct line *line, const char *payload)
{
        char frame[512];
        int size = snprintf(frame, sizeof frame, "%zu#%s", strlen(payload), payload);

        /* Where the session has ended it goes nowhere. */
        send(line->fd, frame, (size_t)size, MSG_NOSIGNAL);
}

/* How many whole frames have left; behind them is nothing, or the beginning of one. */
static unsigned count_frames(struct line *line)
{
        ssize_t size = recv(line->fd, line->left + line->size, sizeof line->left - line->size - 1, MSG_DONTWAIT);
        const char *at = line->left;
        unsigned count = 0;

        line->size += size > 0 ? (size_t)size : 0;
        line->left[line->size] = '\0';
        while (at < line->left + line->size) {
                char *end;
                unsigned long length = strtoul(at, &end, 10);

                if (end > at && *end == '\0')
                        break;
                fault_check(end > at && *end == '#' && length < sizeof line->left);
                if (*end != '#' || (size_t)(line->left + line->size - end) < length + 1)
                        break;
                at = end + 1 + length;
                count++;
        }
        return count;
}

static void close_line(struct line *line)
{
        ferry_session_close(line->session);
        talk_run(line->loop, 100);
        ferry_loop_free(line->loop);
        close(line->fd);
}

/* All forms of a message; then what is none. */
static void hearing(void)
{
        const ferry_message *message;
        struct line line;
        unsigned heard = 0;

        open_line(&line);
        say(&line, MODEL("0", "i:0;"));
        say(&line, "C:45:\"" CLASS "\":44:{a:2:{s:5:\"topic\";s:1:\"1\";s:7:\"payload\";i:1;}}");
        say(&line, "O:45:\"" CLASS "\":1:{s:5:\"topic\";s:1:\"2\";}");
        say(&line, MODEL("3", "a:2:{i:0;a:1:{i:0;i:8;}i:1;R:4;}"));
        say(&line, "C:45:\"" CLASS "\":4:{b:0;}");
        while ((message = ferry_session_next(line.session, 100))) {
                if (ferry_message_kind(message) != FERRY_KIND_MESSAGE)
                        continue;
                fault_check(atoi(ferry_message_type(message)) >= (int)heard);
                heard = (unsigned)atoi(ferry_message_type(message)) + 1;
                fault_check(ferry_message_body(message) || fault_is_memory());
        }
        fault_want(heard == 4);
        fault_answer(FAULT_END, "the end", ferry_session_status(line.session), -EBADMSG, ferry_session_error(line.session));
        close_line(&line);
}

static int answer(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct line *line = userdata;

        (void)session;
        if (strcmp(ferry_message_type(message), "f") == 0) {
                fault_answer(FAULT_SEND, "fail", ferry_message_fail(message, "no"), 0, NULL);
                return 1;
        }
        line->asked++;
        fault_answer(FAULT_SEND, "reply", ferry_message_reply(message, NULL, "{n: %u}", line->asked), 0, NULL);
        return 1;
}

static int hear_the_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message, (void)userdata;
        return 0;
}

/* A call, what is asked of us, and an error that can only be said by the end. */
static void answering(void)
{
        struct line line;
        ferry_call *call, *next;
        int code;

        open_line(&line);
        ferry_session_on(line.session, FERRY_KIND_REQUEST, answer, &line);
        code = ferry_session_notify(line.session, "n", "[1, 2]");
        fault_answer(FAULT_END, "notify", code, 0, NULL);
        call = ferry_session_request(line.session, 100, "q", "1");
        next = ferry_session_request(line.session, 100, "q", "2");
        talk_run(line.loop, 10);
        fault_want(count_frames(&line) == 2);
        say(&line, MODEL("a", "i:5;"));
        ferry_call_await(call);
        if (fault_answer(FAULT_END, "a call", ferry_call_status(call), 0, ferry_call_error(call)) && !fault_is_memory())
                fault_check(ferry_value_int(ferry_message_body(ferry_call_reply(call)), 0) == 5);
        talk_run(line.loop, 10);
        fault_want(count_frames(&line) == 3);
        ferry_call_free(call);
        say(&line, MODEL("a", "i:6;"));
        ferry_call_await(next);
        fault_answer(FAULT_END, "a call", ferry_call_status(next), 0, ferry_call_error(next));
        ferry_call_free(next);
        say(&line, MODEL("b", "N;"));
        talk_run(line.loop, 10);
        fault_want(count_frames(&line) == 4 && line.asked == 1);
        /* Nothing else was said, so what leaves are these and, for a call that has failed before, an answer each. */
        fault_check(line.asked <= 3 && count_frames(&line) <= 3 + line.asked);
        ferry_session_on(line.session, FERRY_KIND_CLOSED, hear_the_end, NULL);
        say(&line, MODEL("f", "N;"));
        /* Where there was no memory to call the handler, the loop says so. */
        code = ferry_loop_run(line.loop, 100);
        if (code != -EPROTO)
                fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(line.loop));
        fault_want(ferry_session_status(line.session) == -EPROTO);
        fault_check(ferry_session_status(line.session) != 1 || fault_error() || fault_is_memory());
        close_line(&line);
}

static int keep(ferry_session *session, const ferry_message *message, void *userdata)
{
        ferry_message **kept = userdata;

        (void)session;
        *kept = ferry_message_ref(message);
        return 1;
}

/* A request that fails when the other side can only read. */
static void failing_behind_the_end(void)
{
        ferry_message *request = NULL;
        struct line line;
        int code;

        open_line(&line);
        ferry_session_on(line.session, FERRY_KIND_REQUEST, keep, &request);
        say(&line, MODEL("a", "i:5;"));
        shutdown(line.fd, SHUT_WR);
        talk_run(line.loop, 10);
        fault_want(request);
        if (request)
                fault_answer(FAULT_SEND, "fail", ferry_message_fail(request, "no"), 0, NULL);
        code = ferry_loop_run(line.loop, 100);
        if (code != -EPROTO)
                fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(line.loop));
        fault_want(ferry_session_status(line.session) == -EPROTO);
        fault_check(ferry_session_status(line.session) != 1 || fault_error() || fault_is_memory());
        ferry_message_unref(request);
        close_line(&line);
}

const struct scenario pcntl_scenarios[] = {
        { .name = "pcntl-hearing", .run = hearing },
        { .name = "pcntl-answering", .run = answering },
        { .name = "pcntl-failing", .run = failing_behind_the_end, .is_whole = true },
        { .name = NULL },
};
