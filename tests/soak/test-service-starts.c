/* Starting, over and over: of all that want a name at the same moment exactly one gets it, and the others are told which
 * that is; and however a server was killed, the next one starts as if nothing had been. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Races ------------------------------------------------------------------------------------------------ */

enum { RACERS = 4, RACES = 10000 };

struct result {
        int status;
        int owner;              /* of which the sentence speaks */
        int second;             /* the same for a second service of the winner, if there is one */
        int second_owner;
        char sentence[200];
};

struct racer {
        pid_t pid;
        int fd;                 /* our end; -1 */
};

static int owner_in(const char *sentence)
{
        const char *at = strstr(sentence, "by process ");

        return at ? (int)strtol(at + strlen("by process "), NULL, 10) : -1;
}

/* For each byte that comes: let go of the name, if we have it, and want it again. */
static _Noreturn void race(const char *address, int fd)
{
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = NULL, *second;
        char command;

        while (read(fd, &command, 1) == 1) {
                struct result result = { 0 };

                ferry_service_free(service);
                service = ferry_service_open(loop, address, NULL);
                result.status = ferry_service_status(service);
                snprintf(result.sentence, sizeof result.sentence, "%s", ferry_service_error(service));
                result.owner = owner_in(result.sentence);
                if (result.status == 1 && command == '2') {
                        second = ferry_service_open(loop, address, NULL);
                        result.second = ferry_service_status(second);
                        result.second_owner = owner_in(ferry_service_error(second));
                        ferry_service_free(second);
                }
                if (write(fd, &result, sizeof result) != sizeof result)
                        _exit(1);
        }
        ferry_service_free(service);
        ferry_loop_free(loop);
        _exit(0);
}

static void start_racer(struct racer *racers, struct racer *racer, const char *address)
{
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        racer->pid = fork();
        ck_assert_int_ge(racer->pid, 0);
        if (racer->pid == 0) {
                for (int i = 0; i < RACERS; i++)
                        if (racers[i].fd >= 0)
                                close(racers[i].fd);
                close(fds[0]);
                race(address, fds[1]);
        }
        racer->fd = fds[0];
        close(fds[1]);
}

static void end_racer(struct racer *racer, int signal)
{
        int status;

        if (signal)
                kill(racer->pid, signal);
        close(racer->fd);
        racer->fd = -1;
        ck_assert_int_eq(waitpid(racer->pid, &status, 0), racer->pid);
        ck_assert_int_eq(status, signal);
}

static bool is_one_of(const struct racer *racers, int pid)
{
        for (int i = 0; i < RACERS; i++)
                if (racers[i].pid == pid)
                        return true;
        return false;
}

START_TEST(a_race_has_one_winner)
{
        struct place place;
        struct racer racers[RACERS];
        size_t races = suite_scale(RACES);
        uint64_t seed = 1;
        int winner = -1;

        open_place(&place);
        for (int i = 0; i < RACERS; i++)
                racers[i] = (struct racer){ .fd = -1 };
        for (int i = 0; i < RACERS; i++)
                start_racer(racers, &racers[i], place.address);
        for (size_t number = 0; number < races; number++) {
                int winners = 0;
                char command;

                seed = seed * 6364136223846793005 + 1442695040888963407;
                command = seed >> 60 == 1 ? '2' : '1';
                /* What is left then is a stale socket and a stale lock. */
                if (winner >= 0 && (seed >> 57) % 8 == 0) {
                        end_racer(&racers[winner], SIGKILL);
                        start_racer(racers, &racers[winner], place.address);
                }
                for (int i = 0; i < RACERS; i++)
                        SUITE_CHECK(write(racers[(i + (int)number) % RACERS].fd, &command, 1) == 1, "%s",
                                    strerror(errno));
                for (int i = 0; i < RACERS; i++) {
                        struct result result;

                        SUITE_CHECK(read(racers[i].fd, &result, sizeof result) == sizeof result, "a racer is gone");
                        if (result.status == 1) {
                                winners++;
                                winner = i;
                                SUITE_CHECK(command == '1' || (result.second == -EADDRINUSE &&
                                                               result.second_owner == racers[i].pid),
                                            "a second service in one process: %d, by pid %d", result.second,
                                            result.second_owner);
                                continue;
                        }
                        SUITE_CHECK(result.status == -EADDRINUSE, "race %zu: %d: %s", number, result.status,
                                    result.sentence);
                        SUITE_CHECK(is_one_of(racers, result.owner), "race %zu: not a racer: %s", number, result.sentence);
                        SUITE_CHECK(result.owner != racers[i].pid, "race %zu: the loser itself: %s", number,
                                    result.sentence);
                }
                SUITE_CHECK(winners == 1, "race %zu has %d winners", number, winners);
        }
        for (int i = 0; i < RACERS; i++)
                end_racer(&racers[i], 0);
        close_place(&place);
}
END_TEST

/* Kills ------------------------------------------------------------------------------------------------ */

static unsigned calls_left;

/* Killed between two calls to the system, or to the allocator. */
static int count_down(enum door_call call, bool is_child)
{
        (void)call, (void)is_child;
        if (calls_left-- == 0)
                kill(getpid(), SIGKILL);
        return 0;
}

/* A life with everything in it: two clients in the same loop, of which one is still there when the service closes. */
static void live(struct place *place, const char *address)
{
        ferry_service *service;
        ferry_session *first, *second;

        service = ferry_service_open(place->loop, address, NULL);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        first = ferry_session_open(place->loop, address, NULL);
        require_echo(first);
        second = ferry_session_open(place->loop, address, NULL);
        require_echo(second);
        ferry_session_free(first);
        settle(place);
        ferry_service_close(service);
        ferry_loop_run(place->loop, SAFETY_MS);
}

/* Whether it was killed before its end. */
static bool live_and_be_killed(struct place *place, const char *address, unsigned calls)
{
        int status;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                place->loop = ferry_loop_new(NULL);
                calls_left = calls;
                door_judge = count_down;
                live(place, address);
                door_judge = NULL;
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0 || status == SIGKILL, "status %x", (unsigned)status);
        return status == SIGKILL;
}

START_TEST(a_killed_server_leaves_nothing_to_clean_up)
{
        const char *address;
        char directory[80];
        struct place place;
        unsigned calls = 0;

        open_place(&place);
        snprintf(directory, sizeof directory, "%s/names", place.directory);
        ck_assert_int_eq(setenv("FERRY_DIR", directory, 1), 0);
        address = _i == 0 ? place.address : "name";
        for (; live_and_be_killed(&place, address, calls); calls++) {
                ferry_loop *loop = ferry_loop_new(NULL);
                ferry_service *service = ferry_service_open(loop, address, NULL);

                ck_assert_msg(ferry_service_status(service) == 1, "killed at call %u: %s", calls,
                              ferry_service_error(service));
                ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
                require_echo(ferry_session_open(loop, address, NULL));
                ferry_loop_free(loop);
                ck_assert_int_lt(access(place.path, F_OK), 0);
                if (_i == 1)
                        ck_assert_int_eq(rmdir(directory), 0);
        }
        ck_assert_uint_gt(calls, 50);
        rmdir(directory);
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_race_has_one_winner),
        SUITE_LOOP(a_killed_server_leaves_nothing_to_clean_up, 2),
};

SUITE_MAIN("service-starts", tests)
