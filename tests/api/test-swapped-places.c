/* The directory, the socket or the lock of a service is replaced by another user of its directory: behind each single call to the
 * system that a life of the service consists of. Nothing that the service has not made is changed or removed, and no
 * life hangs. */
#include "support/door.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALLS_MAX = 2000, ROUNDS_MAX = 40 };

enum swap {
        SWAP_DIRECTORY_LINK,            /* by a link to a directory with such names in it */
        SWAP_DIRECTORY,                 /* by that directory */
        SWAP_DIRECTORY_EMPTY,           /* by a link to a directory in which nothing is */
        SWAP_SOCKET_LINK,               /* by a link to a file */
        SWAP_SOCKET_HARD_LINK,
        SWAP_SOCKET_FILE,
        SWAP_LOCK_LINK,
        SWAP_LOCK_HARD_LINK,
        SWAP_LOCK_FILE,
        SWAPS,
};

/* Names in the directory of the service, in the one beside it, and there. */
static struct names {
        char directory[96], moved[96], other[96], empty[96];
        char socket[112], lock[112], moved_socket[112], moved_lock[112], other_socket[112], other_lock[112];
} names;

static enum swap swap;
static int calls_left;                  /* until it happens; below 0: it has happened */
static bool is_swapping;

static const char other_text[] = "not a socket", lock_text[] = "1234 is no lock";

static void put_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

        SUITE_CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path, strerror(errno));
        SUITE_CHECK(fchmod(fd, 0640) == 0, "%s: %s", path, strerror(errno));
        close(fd);
}

static void require_file(const char *path, const char *text, const char *when)
{
        char bytes[64] = "";
        struct stat stat;
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        SUITE_CHECK(fd >= 0, "%s: %s: %s", when, path, strerror(errno));
        SUITE_CHECK(fstat(fd, &stat) == 0 && (stat.st_mode & 07777) == 0640, "%s: %s: mode %o", when, path, (unsigned)stat.st_mode & 07777);
        SUITE_CHECK(read(fd, bytes, sizeof bytes - 1) >= 0 && strcmp(bytes, text) == 0, "%s: %s: '%s'", when, path, bytes);
        close(fd);
}

/* What is replaced may not be there yet, or no longer. */
static void replace(const char *path, int (*by)(const char *from, const char *to), const char *from)
{
        unlink(path);
        by(from, path);
}

static void put_in_place(void)
{
        switch (swap) {
        case SWAP_DIRECTORY_LINK:
                rename(names.directory, names.moved);
                symlink(names.other, names.directory);
                break;
        case SWAP_DIRECTORY:
                rename(names.directory, names.moved);
                rename(names.other, names.directory);
                break;
        case SWAP_DIRECTORY_EMPTY:
                rename(names.directory, names.moved);
                symlink(names.empty, names.directory);
                break;
        case SWAP_SOCKET_LINK:
                replace(names.socket, symlink, names.other_socket);
                break;
        case SWAP_SOCKET_HARD_LINK:
                replace(names.socket, link, names.other_socket);
                break;
        case SWAP_SOCKET_FILE:
                replace(names.socket, rename, names.other_socket);
                break;
        case SWAP_LOCK_LINK:
                replace(names.lock, symlink, names.other_lock);
                break;
        case SWAP_LOCK_HARD_LINK:
                replace(names.lock, link, names.other_lock);
                break;
        default:
                replace(names.lock, rename, names.other_lock);
                break;
        }
}

static int swap_in_time(enum door_call call, bool is_child)
{
        (void)is_child;
        /* The system has no unlink(2) that compares what it removes: there is always a moment before it. */
        if (call == DOOR_unlink && calls_left == 0 && (swap == SWAP_SOCKET_FILE || swap == SWAP_LOCK_FILE))
                return 0;
        if (calls_left >= 0 && !is_swapping && calls_left-- == 0) {
                is_swapping = true;
                put_in_place();
                is_swapping = false;
        }
        return 0;
}

static void set_names(const struct place *place)
{
        snprintf(names.directory, sizeof names.directory, "%s/d", place->directory);
        snprintf(names.moved, sizeof names.moved, "%s/moved", place->directory);
        snprintf(names.other, sizeof names.other, "%s/other", place->directory);
        snprintf(names.empty, sizeof names.empty, "%s/empty", place->directory);
        snprintf(names.socket, sizeof names.socket, "%s/s", names.directory);
        snprintf(names.lock, sizeof names.lock, "%s/s.lock", names.directory);
        snprintf(names.moved_socket, sizeof names.moved_socket, "%s/s", names.moved);
        snprintf(names.moved_lock, sizeof names.moved_lock, "%s/s.lock", names.moved);
        snprintf(names.other_socket, sizeof names.other_socket, "%s/s", names.other);
        snprintf(names.other_lock, sizeof names.other_lock, "%s/s.lock", names.other);
}

/* Listen, serve, lose the file, and bind it again, as long as that goes; and close. */
static void live(struct place *place)
{
        ferry_service *service = ferry_service_open(place->loop, place->address, &(ferry_service_options){ .mode = 0666 });
        ferry_session *client = ferry_session_open(place->loop, place->address, NULL);
        ferry_call *call;

        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        call = ferry_session_request(client, 100, "t", "'x'");
        ferry_call_await(call);
        ferry_call_free(call);
        ferry_session_free(client);
        for (int i = 0; i < ROUNDS_MAX && ferry_service_status(service) == 1; i++) {
                if (i == 1 && calls_left >= 0)
                        unlink(names.socket);
                ferry_loop_tick(place->loop, 300);
        }
        ferry_service_close(service);
        for (int i = 0; i < ROUNDS_MAX && ferry_service_status(service) == 1; i++)
                ferry_loop_tick(place->loop, 100);
        ferry_service_free(service);
        settle(place);
}

/* The files that were there before are as they were, wherever they stand now. */
static void require_others(const char *when)
{
        bool is_moved = swap == SWAP_DIRECTORY && calls_left < 0;

        if (swap == SWAP_SOCKET_FILE && calls_left < 0)
                require_file(names.socket, other_text, when);
        else
                require_file(is_moved ? names.socket : names.other_socket, other_text, when);
        if (swap == SWAP_LOCK_FILE && calls_left < 0)
                require_file(names.lock, lock_text, when);
        else
                require_file(is_moved ? names.lock : names.other_lock, lock_text, when);
}

/* A life that begins or ends there leaves nothing. */
static void require_empty(const char *when)
{
        SUITE_CHECK(rmdir(names.empty) == 0, "%s: something is left in %s", when, names.empty);
}

static void remove_all(void)
{
        const char *files[] = { names.socket, names.lock, names.moved_socket, names.moved_lock, names.other_socket, names.other_lock };
        const char *directories[] = { names.directory, names.moved, names.other };

        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
                unlink(files[i]);
        for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
                if (rmdir(directories[i]) < 0)
                        unlink(directories[i]);
}

START_TEST(what_others_put_in_the_place_of_a_service_stays)
{
        struct place place;
        char when[64];
        int step = suite_is_long() ? 1 : 16, call = _i % step;

        swap = (enum swap)_i;
        do {
                door_stop_clock(0);
                open_place(&place);
                set_names(&place);
                snprintf(place.address, sizeof place.address, "unix:%s", names.socket);
                SUITE_CHECK(mkdir(names.directory, 0700) == 0 && mkdir(names.other, 0700) == 0 && mkdir(names.empty, 0700) == 0, "mkdir: %s", strerror(errno));
                put_file(names.other_socket, other_text);
                put_file(names.other_lock, lock_text);
                calls_left = call;
                door_judge = swap_in_time;
                live(&place);
                door_judge = NULL;
                snprintf(when, sizeof when, "swap %d behind call %d", (int)swap, call);
                require_others(when);
                require_empty(when);
                remove_all();
                close_place(&place);
                call += step;
        } while (calls_left < 0 && call < CALLS_MAX);
        ck_assert_int_gt(call, 100);
        ck_assert_int_lt(call, CALLS_MAX);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(what_others_put_in_the_place_of_a_service_stays, SWAPS),
};

SUITE_MAIN("swapped-places", tests)
