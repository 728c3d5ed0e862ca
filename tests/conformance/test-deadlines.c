/* Deadlines never overtake replies: what had come when a deadline passed is read and handled first, whatever has kept the
 * program from looking at it. */
#include "conformance/raw.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, SHORT_MS = 10, MANY = 1000 };

/* One frame of the dialect ferry, header and all, behind what stands there. */
static size_t add_frame(unsigned char *bytes, size_t size, int kind, int id)
{
        unsigned char *frame = bytes + size;
        size_t payload = raw_message(frame + 8, kind, id, "t", "x");

        memcpy(frame, (const unsigned char[8]){ 0xf3, 0x4a, 0x9d, 0xe2, 0, 0, (unsigned char)(payload >> 8),
                                                (unsigned char)payload }, 8);
        return size + 8 + payload;
}

static void put(int fd, const void *bytes, size_t size)
{
        ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
}

/* What a handler does while a request of its program is in flight. */
struct busy {
        int fd;                 /* of the other side */
        int ahead;              /* notifications that the other side sends before its reply; -1: no reply, but one for each */
        int pong;               /* the reply is a pong */
        int handled;
};

static int be_busy_meanwhile(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct busy *busy = userdata;
        unsigned char *bytes;
        size_t size = 0;

        (void)session, (void)message;
        if (busy->handled++ > 0 && busy->ahead >= 0)
                return 0;
        bytes = malloc((size_t)(abs(busy->ahead) + 1) * 64);
        for (int i = 0; i < abs(busy->ahead); i++)
                size = add_frame(bytes, size, RAW_NOTIFICATION, 0);
        if (busy->ahead >= 0)
                size = add_frame(bytes, size, busy->pong ? RAW_PONG : RAW_RESPONSE, 1);
        put(busy->fd, bytes, size);
        free(bytes);
        if (busy->handled == 1 || busy->ahead < 0)
                door_advance(SHORT_MS * 2000000);
        return 1;
}

START_TEST(a_reply_that_comes_while_a_handler_is_busy_is_one)
{
        struct raw raw;
        struct busy busy = { 0 };
        ferry_call *call;

        door_stop_clock(0);
        raw_open(&raw, (enum raw_stream)(_i % RAW_STREAMS), &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY, .frame_max = 1 << 16 });
        busy.fd = raw.out;
        busy.ahead = _i < RAW_STREAMS ? 0 : MANY;
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION, be_busy_meanwhile, &busy);
        call = ferry_session_request(raw.session, SHORT_MS, "t", "{}");
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "x");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(busy.handled, 1 + busy.ahead);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

START_TEST(a_flush_is_answered_while_a_handler_is_busy)
{
        struct raw raw;
        struct busy busy = { .pong = 1, .ahead = _i * MANY };

        door_stop_clock(0);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        busy.fd = raw.out;
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION, be_busy_meanwhile, &busy);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "{}"), 0);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "x");
        ck_assert_int_eq(ferry_session_flush(raw.session, SHORT_MS), 0);
        raw_close(&raw);
}
END_TEST

START_TEST(a_message_for_next_comes_while_a_handler_is_busy)
{
        struct raw raw;
        struct busy busy = { .ahead = MANY };
        unsigned char frame[64];

        door_stop_clock(0);
        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        busy.fd = raw.out;
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION, be_busy_meanwhile, &busy);
        ferry_session_on(raw.session, FERRY_KIND_REQUEST, NULL, NULL);
        ck_assert_int_eq(ferry_session_notify(raw.session, "t", "{}"), 0);
        raw_send(&raw, RAW_NOTIFICATION, 0, "t", "x");
        /* The notifications are read, and some are handled. */
        ck_assert_int_eq(ferry_loop_tick(raw.loop, SAFETY_MS), 1);
        put(raw.out, frame, add_frame(frame, 0, RAW_REQUEST, 7));
        ck_assert_ptr_nonnull(ferry_session_next(raw.session, 0));
        ck_assert_int_eq(busy.handled, 1 + MANY);
        raw_close(&raw);
}
END_TEST

/* What comes behind the deadline does not put it off, however much it is. */
START_TEST(a_flood_keeps_no_deadline_from_passing)
{
        struct raw raw;
        struct busy busy = { .ahead = -1 };
        unsigned char frames[MANY / 4 * 64];
        size_t size = 0;
        ferry_call *call;

        door_stop_clock(0);
        raw_open(&raw, (enum raw_stream)_i, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        busy.fd = raw.out;
        ferry_session_on(raw.session, FERRY_KIND_NOTIFICATION, be_busy_meanwhile, &busy);
        call = ferry_session_request(raw.session, SHORT_MS, "t", "{}");
        for (int i = 0; i < MANY / 4; i++)
                size = add_frame(frames, size, RAW_NOTIFICATION, 0);
        put(raw.out, frames, size);
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ETIMEDOUT);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

/* A process that is stopped: the reply comes, the deadline passes, and then the process goes on. A signal that comes while
 * it waits stops it, and a child continues it. */
static struct {
        int fd;
        unsigned char frame[64];
        size_t size;
} late_reply;

static void stop(int signal)
{
        int error = errno;

        (void)signal;
        kill(getpid(), SIGSTOP);
        errno = error;
}

static char state_of(pid_t pid)
{
        char path[32], text[256] = "";
        const char *end;
        FILE *file;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        file = fopen(path, "re");
        if (!file)
                return '?';
        if (!fgets(text, sizeof text, file))
                text[0] = '\0';
        fclose(file);
        end = strrchr(text, ')');
        return end ? end[2] : '?';
}

static pid_t start_continuer(void)
{
        pid_t parent = getpid(), pid = fork();

        if (pid != 0)
                return pid;
        while (state_of(parent) != 'T' && getppid() == parent)
                poll(NULL, 0, 1);
        if (write(late_reply.fd, late_reply.frame, late_reply.size) < 0)
                _exit(1);
        poll(NULL, 0, 120);
        kill(parent, SIGCONT);
        _exit(0);
}

START_TEST(a_stopped_process_finds_the_replies_that_have_come)
{
        struct raw raw;
        ferry_call *call;
        pid_t continuer;
        int status;

        raw_open(&raw, RAW_SOCKET, &(ferry_session_options){ .dialect = FERRY_DIALECT_FERRY });
        late_reply.fd = raw.out;
        late_reply.size = add_frame(late_reply.frame, 0, RAW_RESPONSE, 1);
        sigaction(SIGALRM, &(struct sigaction){ .sa_handler = stop }, NULL);
        continuer = start_continuer();
        call = ferry_session_request(raw.session, 100, "t", "{}");
        setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_usec = 2000 }, NULL);
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(waitpid(continuer, &status, 0), continuer);
        ck_assert_int_eq(status, 0);
        ferry_call_free(call);
        raw_close(&raw);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_reply_that_comes_while_a_handler_is_busy_is_one, 2 * RAW_STREAMS),
        SUITE_LOOP(a_flush_is_answered_while_a_handler_is_busy, 2),
        SUITE_TEST(a_message_for_next_comes_while_a_handler_is_busy),
        SUITE_LOOP(a_flood_keeps_no_deadline_from_passing, RAW_STREAMS),
        SUITE_TEST(a_stopped_process_finds_the_replies_that_have_come),
};

SUITE_MAIN("conformance-deadlines", tests)
