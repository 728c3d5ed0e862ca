/* Makes the pairs. */
#include "conformance/pair.h"

#include "support/own.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void open_socketpair(int fds[2])
{
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void open_pipes(int ours[4], int theirs[4], bool has_third)
{
        int there[2], back[2], third[2] = { -1, -1 };

        ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
        if (has_third)
                ck_assert_int_eq(pipe2(third, O_CLOEXEC), 0);
        memcpy(ours, (const int[]){ back[0], there[1], third[0], -1 }, 4 * sizeof *ours);
        memcpy(theirs, (const int[]){ there[0], back[1], -1, third[1] }, 4 * sizeof *theirs);
}

static void open_descriptors(struct pair *pair, ferry_session_options *ours, ferry_session_options *theirs)
{
        int our_fds[4] = { -1, -1, -1, -1 }, their_fds[4] = { -1, -1, -1, -1 }, both[2];

        if (pair->stream == STREAM_SOCKET || pair->stream == STREAM_OWN) {
                open_socketpair(both);
                our_fds[0] = our_fds[1] = both[0];
                their_fds[0] = their_fds[1] = both[1];
        } else
                open_pipes(our_fds, their_fds, pair->stream == STREAM_THREE);
        pair->third = pair->stream == STREAM_THREE ? their_fds[3] : -1;
        ours->fds = our_fds;
        theirs->fds = their_fds;
        if (pair->stream == STREAM_OWN) {
                pair->own = own_stream(both[0]);
                ours->fds = NULL;
                ours->stream = &pair->own;
        }
        pair->us = ferry_session_open(pair->loop, NULL, ours);
        pair->them = ferry_session_open(pair->loop, NULL, theirs);
        behave(pair->them, NULL, &pair->behaviour);
}

static void open_service(struct pair *pair, const ferry_session_options *ours, const ferry_session_options *theirs)
{
        if (pair->stream != STREAM_TCP) {
                strcpy(pair->directory, "/tmp/ferry-pair-XXXXXX");
                ck_assert_ptr_nonnull(mkdtemp(pair->directory));
                snprintf(pair->address, sizeof pair->address, "unix:%s/socket", pair->directory);
        } else
                strcpy(pair->address, "tcp:127.0.0.1:0");
        pair->service = ferry_service_open(pair->loop, pair->address, &(ferry_service_options){ .session = theirs });
        ck_assert_msg(ferry_service_status(pair->service) == 1, "%s", ferry_service_error(pair->service));
        behave(NULL, pair->service, &pair->behaviour);
        snprintf(pair->address, sizeof pair->address, "%s", ferry_service_address(pair->service));
        pair->us = ferry_session_open(pair->loop, pair->address, ours);
}

static int note_opened(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        *(bool *)userdata = true;
        return 0;
}

/* Which side makes them, and which opens first, does not matter. The tests begin where the other streams are: connected. */
static void open_fifos(struct pair *pair, ferry_session_options *ours, ferry_session_options *theirs)
{
        char address[sizeof pair->address];
        bool is_open = false;

        strcpy(pair->directory, "/tmp/ferry-pair-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(pair->directory));
        snprintf(pair->address, sizeof pair->address, "fifo:%s/in,%s/out", pair->directory, pair->directory);
        snprintf(address, sizeof address, "fifo:%s/out,%s/in", pair->directory, pair->directory);
        ours->wait_ms = theirs->wait_ms = 20000;
        pair->us = ferry_session_open(pair->loop, pair->address, ours);
        ferry_session_on(pair->us, FERRY_KIND_OPENED, note_opened, &is_open);
        pair->them = ferry_session_open(pair->loop, address, theirs);
        while (!is_open && ferry_loop_tick(pair->loop, 20000) > 0)
                continue;
        ferry_session_off(pair->us, note_opened, &is_open);
        behave(pair->them, NULL, &pair->behaviour);
}

static void open_process(struct pair *pair, ferry_session_options *ours, const ferry_session_options *theirs)
{
        char frame_max[32];
        const char *argv[] = { BUILD_DIRECTORY "/tests/peer", pair->dialect, frame_max, NULL };

        snprintf(frame_max, sizeof frame_max, "%zu", theirs->frame_max);
        ours->argv = argv;
        pair->us = ferry_session_open(pair->loop, "exec:", ours);
}

static bool is_moved(const struct pair *pair)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(pair->us);

        return strcmp(ferry_value_text(ferry_value_get(info, "stream"), ""), "shm") == 0;
}

void pair_open(struct pair *pair, int i, const ferry_session_options *ours, const ferry_session_options *theirs)
{
        static const char *const dialects[DIALECTS] = { "ferry", "php", "json" };
        ferry_session_options our_options = ours ? *ours : (ferry_session_options){ 0 };
        ferry_session_options their_options = theirs ? *theirs : (ferry_session_options){ 0 };
        bool moves;

        *pair = (struct pair){ .stream = i / DIALECTS, .dialect = dialects[i % DIALECTS], .third = -1 };
        pair->is_ferry = i % DIALECTS == 0;
        pair->loop = ferry_loop_new(NULL);
        set_dialect(&our_options, pair->dialect);
        set_dialect(&their_options, pair->dialect);
        moves = pair->stream == STREAM_SHM && pair->is_ferry && our_options.shm == FERRY_SHM_AUTO && their_options.shm == FERRY_SHM_AUTO;
        if (moves)
                our_options.shm = their_options.shm = FERRY_SHM_ALWAYS;
        if (pair->stream == STREAM_UNIX || pair->stream == STREAM_TCP || pair->stream == STREAM_SHM)
                open_service(pair, &our_options, &their_options);
        else if (pair->stream == STREAM_FIFO)
                open_fifos(pair, &our_options, &their_options);
        else if (pair->stream == STREAM_EXEC)
                open_process(pair, &our_options, &their_options);
        else
                open_descriptors(pair, &our_options, &their_options);
        while (moves && !is_moved(pair))
                ck_assert_int_eq(ferry_loop_tick(pair->loop, 20000), 1);
        ck_assert_msg(ferry_session_status(pair->us) == 1, "%s", ferry_session_error(pair->us));
}

void pair_close(struct pair *pair)
{
        behaviour_deinit(&pair->behaviour);
        ferry_loop_free(pair->loop);
        if (pair->third >= 0)
                close(pair->third);
        if (*pair->directory)
                ck_assert_int_eq(rmdir(pair->directory), 0);
}

int64_t pair_report(struct pair *pair, const char *key)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(pair->us, 20000, "App\\Report", "{}");
        const ferry_message *report = ferry_call_await(call);

        ck_assert_msg(report != NULL, "no report: %s", ferry_call_error(call));
        return ferry_value_int(ferry_message_get(report, key), -1);
}
