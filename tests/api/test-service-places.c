/* Where a service stands: what others have put at its socket, at its lock or in place of its directory is neither
 * followed nor removed, and is reported at once; the socket has its mode before a client can use it; and both sides know
 * the user of the other. What takes two users is left out unless root runs it. */
#include "support/door.h"
#include "support/place.h"
#include "support/run.h"
#include "support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Squatters -------------------------------------------------------------------------------------------- */

enum squatter {
        TEXT,
        DIGITS,                 /* as locks once began */
        NOTHING,                /* as other programs' locks are */
        OTHER_NAME,             /* a lock that has another name, too */
        DIRECTORY,
        FIFO,
        LINK_TO_NOTHING,
        LINK_TO_TEXT,
        LINK_TO_DIRECTORY,
        LINK_TO_LISTENER,
        LISTENER,
        DATAGRAMS,
        STRANGER_S_LISTENER,
        STRANGER_S_SOCKET,      /* without a listener */
        STRANGER_S_TEXT,
        SQUATTERS,
};

static int bind_socket(const char *path, int type, bool is_listening)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strncpy(name.sun_path, path, sizeof name.sun_path - 1);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        if (is_listening)
                ck_assert_int_eq(listen(fd, 4), 0);
        return fd;
}

static void write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        close(fd);
}

static const char foreign_text[] = "a user's only copy";

/* Put one there; returns a descriptor that goes with it, or -1. */
static int squat(enum squatter squatter, const char *path, const char *target)
{
        int fd = -1;

        switch (squatter) {
        case TEXT:
        case DIGITS:
        case NOTHING:
        case STRANGER_S_TEXT:
                write_text(path, squatter == TEXT ? foreign_text : squatter == NOTHING ? "" : "12\n");
                break;
        case OTHER_NAME:
                write_text(path, "ferry lock\n");
                ck_assert_int_eq(link(path, target), 0);
                break;
        case DIRECTORY:
                ck_assert_int_eq(mkdir(path, 0700), 0);
                break;
        case FIFO:
                ck_assert_int_eq(mkfifo(path, 0600), 0);
                break;
        case LINK_TO_TEXT:
                write_text(target, foreign_text);
                break;
        case LINK_TO_DIRECTORY:
                ck_assert_int_eq(mkdir(target, 0700), 0);
                break;
        case LINK_TO_LISTENER:
                fd = bind_socket(target, SOCK_STREAM, true);
                break;
        case DATAGRAMS:
                fd = bind_socket(path, SOCK_DGRAM, false);
                break;
        case LISTENER:
        case STRANGER_S_LISTENER:
        case STRANGER_S_SOCKET:
                fd = bind_socket(path, SOCK_STREAM, squatter != STRANGER_S_SOCKET);
                break;
        default:
                break;
        }
        if (squatter >= LINK_TO_NOTHING && squatter <= LINK_TO_LISTENER)
                ck_assert_int_eq(symlink(target, path), 0);
        if (squatter >= STRANGER_S_LISTENER)
                ck_assert_int_eq(chown(path, STRANGER, STRANGER), 0);
        if (squatter == STRANGER_S_SOCKET) {
                close(fd);
                fd = -1;
        }
        return fd;
}

/* All that is in a directory: names, what they are, whose, how large. */
static void describe(const char *directory, char *text, size_t size)
{
        struct dirent **entries;
        int count = scandir(directory, &entries, NULL, alphasort);
        size_t used = 0;

        ck_assert_int_ge(count, 0);
        for (int i = 0; i < count; i++) {
                struct stat stat;
                char path[400];

                snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
                ck_assert_int_eq(lstat(path, &stat), 0);
                if (entries[i]->d_name[0] != '.')
                        used += (size_t)snprintf(text + used, size - used, "%s %lu %o %u %ld\n", entries[i]->d_name,
                                                 (unsigned long)stat.st_ino, stat.st_mode, stat.st_uid,
                                                 (long)stat.st_size);
                free(entries[i]);
        }
        free(entries);
        ck_assert_uint_lt(used, size);
}

static void remove_squatter(const char *path, const char *target)
{
        ck_assert(remove(path) == 0);
        ck_assert(remove(target) == 0 || errno == ENOENT);
}

static void expect_squatter(const struct place *place, const char *path, int code, const char *reason)
{
        char before[1000] = "", after[1000] = "";
        ferry_service *service;

        describe(place->directory, before, sizeof before);
        service = ferry_service_open(place->loop, place->address, NULL);
        ck_assert_msg(ferry_service_status(service) == code, "%d: %s", ferry_service_status(service),
                      ferry_service_error(service));
        ck_assert_msg(strstr(ferry_service_error(service), path) && strstr(ferry_service_error(service), reason), "%s",
                      ferry_service_error(service));
        ferry_service_free(service);
        settle((struct place *)(uintptr_t)place);
        describe(place->directory, after, sizeof after);
        ck_assert_msg(strcmp(before, after) == 0, "before:\n%safter:\n%s", before, after);
}

START_TEST(what_stands_at_the_socket_stays)
{
        static const char *const reasons[SQUATTERS] = {
                [LISTENER] = "not ferry", [DATAGRAMS] = "not ferry",
                [STRANGER_S_LISTENER] = "user 65534", [STRANGER_S_SOCKET] = "user 65534",
        };
        struct place place;
        char target[128];
        int fd;

        if (_i >= STRANGER_S_LISTENER && !can_become())
                return;
        open_place(&place);
        snprintf(target, sizeof target, "%s/target", place.directory);
        fd = squat((enum squatter)_i, place.path, target);
        expect_squatter(&place, place.path, -EADDRINUSE, reasons[_i] ? reasons[_i] : "not a socket");
        /* No client was led there. */
        if (_i == LINK_TO_LISTENER)
                ck_assert(accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0 && errno == EAGAIN);
        if (fd >= 0)
                close(fd);
        remove_squatter(place.path, target);
        open_echo(&place, NULL);
        close_place(&place);
}
END_TEST

START_TEST(what_stands_at_the_lock_stays)
{
        struct place place;
        char lock[128], target[128];
        int fd;

        if (_i >= STRANGER_S_LISTENER && !can_become())
                return;
        open_place(&place);
        snprintf(lock, sizeof lock, "%s.lock", place.path);
        snprintf(target, sizeof target, "%s/target", place.directory);
        fd = squat((enum squatter)_i, lock, target);
        expect_squatter(&place, lock, _i == STRANGER_S_TEXT ? -EACCES : -EADDRINUSE,
                        _i == STRANGER_S_TEXT ? "user 65534" : "not a lock");
        if (fd >= 0)
                close(fd);
        remove_squatter(lock, target);
        open_echo(&place, NULL);
        close_place(&place);
}
END_TEST

/* A lock that another process holds, in whatever way locks can be held. */
START_TEST(a_lock_that_others_hold)
{
        struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        struct place place;
        char lock[128], reason[64];
        int fd, fds[2], status;
        pid_t pid;

        open_place(&place);
        snprintf(lock, sizeof lock, "%s.lock", place.path);
        write_text(lock, "ferry lock\n");
        fd = open(lock, O_RDWR | O_CLOEXEC);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                if (fcntl(fd, _i == 0 ? F_SETLK : F_OFD_SETLK, &all) < 0 || write(fds[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        ck_assert_int_eq(read(fds[0], reason, 1), 1);
        snprintf(reason, sizeof reason, "by process %d", (int)pid);
        expect_squatter(&place, place.path, -EADDRINUSE, _i == 0 ? reason : "not ferry");
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        close(fd);
        close(fds[0]);
        close(fds[1]);
        open_echo(&place, NULL);
        close_place(&place);
}
END_TEST

/* The socket was removed, and a second service listens there: the first takes nothing of it along. */
START_TEST(a_place_that_was_cleared_belongs_to_the_next)
{
        struct place place;
        ferry_service *first;
        char lock[128];

        open_place(&place);
        snprintf(lock, sizeof lock, "%s.lock", place.path);
        first = open_echo(&place, NULL);
        ck_assert_int_eq(unlink(place.path), 0);
        ck_assert_int_eq(unlink(lock), 0);
        open_echo(&place, NULL);
        ferry_service_free(first);
        settle(&place);
        ck_assert_int_eq(access(place.path, F_OK), 0);
        ck_assert_int_eq(access(lock, F_OK), 0);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* Directories and paths --------------------------------------------------------------------------------- */

static const struct {
        unsigned mode;
        uid_t uid;
} directories[] = { { 0777, 0 }, { 01777, 0 }, { 0770, 0 }, { 0701, 0 }, { 0700, STRANGER }, { 0755, STRANGER } };

START_TEST(a_directory_that_is_not_safe)
{
        const unsigned mode = directories[_i].mode;
        struct place place;
        char directory[80];
        ferry_service *service;
        ferry_session *session;

        if (directories[_i].uid && !can_become())
                return;
        open_place(&place);
        snprintf(directory, sizeof directory, "%s/names", place.directory);
        ck_assert_int_eq(mkdir(directory, 0700), 0);
        ck_assert_int_eq(chmod(directory, mode), 0);
        if (directories[_i].uid)
                ck_assert_int_eq(chown(directory, directories[_i].uid, directories[_i].uid), 0);
        service = ferry_service_open(place.loop, "name", &(ferry_service_options){ .name_directory = directory });
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), directory), "%s", ferry_service_error(service));
        ck_assert_msg(strstr(ferry_service_error(service), "not safe"), "%s", ferry_service_error(service));
        session = ferry_session_open(place.loop, "name", &(ferry_session_options){ .name_directory = directory });
        ck_assert_int_eq(ferry_session_status(session), -EACCES);
        ck_assert_msg(strstr(ferry_session_error(session), directory), "%s", ferry_session_error(session));
        ck_assert_int_eq(rmdir(directory), 0);
        close_place(&place);
}
END_TEST

/* The program says where names stand. */
START_TEST(a_directory_of_the_program_s_choice)
{
        struct place place;
        char elsewhere[80], directory[80], address[160];
        ferry_service_options options = { .name_directory = directory };
        ferry_session_options client = { .name_directory = directory };
        ferry_service *service;

        open_place(&place);
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", place.directory);
        snprintf(directory, sizeof directory, "%s/names", place.directory);
        ck_assert_int_eq(setenv("FERRY_DIR", elsewhere, 1), 0);
        service = ferry_service_open(place.loop, "name", &options);
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        snprintf(address, sizeof address, "unix:%s/name.sock", directory);
        ck_assert_str_eq(ferry_service_address(service), address);
        require_echo(ferry_session_open(place.loop, "name", &client));
        ck_assert_int_eq(ferry_session_status(ferry_session_open(place.loop, "name", NULL)), -ENOENT);
        ck_assert_int_lt(access(elsewhere, F_OK), 0);
        place.loop = ferry_loop_free(place.loop);
        ck_assert_int_eq(rmdir(directory), 0);
        close_place(&place);
}
END_TEST

/* As long as a socket's path can be, and one byte more: two that differ there are two, or none. */
START_TEST(the_longest_path)
{
        enum { MOST = 107 };
        struct place place;
        char address[2][160];
        ferry_service *services[2];
        ferry_session *session;
        int size = MOST + _i;

        open_place(&place);
        for (int i = 0; i < 2; i++) {
                int used = snprintf(address[i], sizeof address[i], "unix:%s/", place.directory);

                memset(address[i] + used, 'x', (size_t)(5 + size - used));
                snprintf(address[i] + 5 + size - 1, 2, "%d", i);
                services[i] = ferry_service_open(place.loop, address[i], NULL);
                session = ferry_session_open(place.loop, address[i], NULL);
                if (_i == 0) {
                        ck_assert_msg(ferry_service_status(services[i]) == 1, "%s", ferry_service_error(services[i]));
                        ferry_service_on(services[i], FERRY_KIND_REQUEST, echo, NULL);
                        require_echo(session);
                        continue;
                }
                ck_assert_int_eq(ferry_service_status(services[i]), -ENAMETOOLONG);
                ck_assert_msg(strstr(ferry_service_error(services[i]), address[i] + 5), "%s",
                              ferry_service_error(services[i]));
                ck_assert_int_eq(ferry_session_status(session), -ENAMETOOLONG);
                ck_assert_msg(strstr(ferry_session_error(session), address[i] + 5), "%s", ferry_session_error(session));
        }
        close_place(&place);
}
END_TEST

/* The same for names: of 64 bytes, where that fits, and of 65. */
START_TEST(the_longest_name)
{
        enum { NAME = 64, MOST = 107 };
        struct place place;
        char directory[80], name[NAME + 2] = "", full[200];
        ferry_service_options options = { .name_directory = directory };
        ferry_session_options client = { .name_directory = directory };
        ferry_service *service;
        ferry_session *session;
        int code = _i == 0 ? 1 : _i == 3 ? -EINVAL : -ENAMETOOLONG, used;

        open_place(&place);
        memset(name, 'n', _i == 3 ? NAME + 1 : NAME);
        used = snprintf(directory, sizeof directory, "%s/", place.directory);
        /* "/" NAME ".sock" */
        for (; used < MOST - 1 - NAME - 5 + (_i < 3 ? _i : 0); used++)
                directory[used] = 'd';
        directory[used] = '\0';
        service = ferry_service_open(place.loop, name, &options);
        session = ferry_session_open(place.loop, name, &client);
        ck_assert_msg(ferry_service_status(service) == code, "%d: %s", ferry_service_status(service),
                      ferry_service_error(service));
        snprintf(full, sizeof full, "%s/%s.sock", directory, name);
        if (_i == 0) {
                ck_assert_uint_eq(strlen(full), MOST);
                ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
                require_echo(session);
        } else {
                ck_assert_int_eq(ferry_session_status(session), code);
                ck_assert_msg(strstr(ferry_service_error(service), _i == 3 ? name : full), "%s",
                              ferry_service_error(service));
        }
        place.loop = ferry_loop_free(place.loop);
        rmdir(directory);
        close_place(&place);
}
END_TEST

/* A link that takes the place of the socket is not followed: neither its mode nor its group is set there. */
static const struct place *swapped_place;
static enum door_call swapped_at;
static bool is_swapped, is_bound;

static int swap_socket(enum door_call call, bool is_child)
{
        char victim[128];

        (void)is_child;
        if (is_bound && !is_swapped && call == swapped_at) {
                snprintf(victim, sizeof victim, "%s/victim", swapped_place->directory);
                is_swapped = true;
                ck_assert_int_eq(unlink(swapped_place->path), 0);
                ck_assert_int_eq(symlink(victim, swapped_place->path), 0);
        }
        is_bound = is_bound || call == DOOR_bind;
        return 0;
}

static const enum door_call swaps[] = { DOOR_open, DOOR_stat_fd, DOOR_stat_path, DOOR_change_owner, DOOR_chmod_path, DOOR_listen };

START_TEST(a_link_in_the_place_of_the_socket_is_not_followed)
{
        const struct group *own = getgrgid(getegid());
        char victim[128];
        struct place place;
        struct stat before, after;
        ferry_service *service;

        open_place(&place);
        snprintf(victim, sizeof victim, "%s/victim", place.directory);
        write_text(victim, foreign_text);
        ck_assert_int_eq(stat(victim, &before), 0);
        swapped_place = &place;
        swapped_at = swaps[_i];
        door_judge = swap_socket;
        service = ferry_service_open(place.loop, place.address, &(ferry_service_options){
                .mode = 0666, .group = own ? own->gr_name : NULL });
        door_judge = NULL;
        ferry_service_free(service);
        settle(&place);
        ck_assert_int_eq(stat(victim, &after), 0);
        ck_assert_uint_eq(after.st_mode, before.st_mode);
        ck_assert_int_eq(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
        unlink(place.path);
        ck_assert_int_eq(unlink(victim), 0);
        close_place(&place);
}
END_TEST

/* Nor is its directory, where that is exchanged while the service lives: what it removes at its end is its own. */
START_TEST(what_stands_in_an_exchanged_directory_stays)
{
        char names[80], moved[80], file[128], address[128];
        struct place place;
        ferry_service *service;

        open_place(&place);
        snprintf(names, sizeof names, "%s/names", place.directory);
        snprintf(moved, sizeof moved, "%s/moved", place.directory);
        snprintf(address, sizeof address, "unix:%s/s", names);
        ck_assert_int_eq(mkdir(names, 0700), 0);
        service = ferry_service_open(place.loop, address, NULL);
        ck_assert_int_eq(ferry_service_status(service), 1);
        ck_assert_int_eq(rename(names, moved), 0);
        ck_assert_int_eq(mkdir(names, 0700), 0);
        snprintf(file, sizeof file, "%s/s", names);
        write_text(file, foreign_text);
        ferry_service_free(service);
        settle(&place);
        ck_assert_int_eq(access(file, F_OK), 0);
        ck_assert_int_eq(unlink(file), 0);
        ck_assert_int_eq(rmdir(names), 0);
        /* What is its own has gone. */
        ck_assert_int_eq(rmdir(moved), 0);
        close_place(&place);
}
END_TEST

/* The mode ---------------------------------------------------------------------------------------------- */

static const char *watched;
static unsigned seen_before;            /* bits of the mode that were there before it listened */
static unsigned seen_at_listen;
static gid_t group_at_listen;
static bool is_listened;

static int watch_mode(enum door_call call, bool is_child)
{
        struct stat stat;

        (void)is_child;
        if (is_listened || lstat(watched, &stat) < 0)
                return 0;
        if (call != DOOR_listen) {
                seen_before |= stat.st_mode & 07777;
                return 0;
        }
        is_listened = true;
        seen_at_listen = stat.st_mode & 07777;
        group_at_listen = stat.st_gid;
        return 0;
}

static const struct {
        unsigned mode;
        unsigned mask;
        const char *group;
} modes[] = {
        { 0, 0, NULL }, { 0600, 077, NULL }, { 0600, 0777, NULL }, { 0660, 0, NULL }, { 0660, 077, NULL },
        { 0666, 0, NULL }, { 0666, 0777, NULL }, { 0660, 0, "daemon" }, { 0600, 022, "daemon" },
        { 0660, 0, "1" },
};

START_TEST(the_mode_is_right_from_the_first_moment)
{
        const unsigned mode = modes[_i].mode ? modes[_i].mode : 0600;
        const struct group *group = !modes[_i].group ? NULL : strcmp(modes[_i].group, "1") == 0 ? getgrgid(1) :
                                                                                                  getgrnam(modes[_i].group);
        struct place place;
        mode_t mask;

        if (modes[_i].group && !can_become())
                return;
        open_place(&place);
        mask = umask(modes[_i].mask);
        watched = place.path;
        door_judge = watch_mode;
        open_echo(&place, &(ferry_service_options){ .mode = modes[_i].mode, .group = modes[_i].group });
        door_judge = NULL;
        umask(mask);
        ck_assert(is_listened);
        ck_assert_uint_eq(seen_at_listen, mode);
        /* Widened only when it has its group, and then only that group may connect. */
        ck_assert_uint_eq(seen_before & ~mode, 0);
        if (group)
                ck_assert_uint_eq(group_at_listen, group->gr_gid);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* The user of the other side ----------------------------------------------------------------------------- */

static uid_t asked_about;

static bool allow_strangers(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        (void)session;
        asked_about = peer->uid;
        return *(const bool *)userdata;
}

static ferry_session *open_as(struct place *place, uid_t uid, const ferry_session_options *options)
{
        ferry_session *session;

        become(uid);
        session = ferry_session_open(place->loop, place->address, options);
        become(0);
        return session;
}

static int note_text(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session;
        snprintf(userdata, 256, "%s", ferry_message_text(message));
        return 0;
}

/* A service of one dialect that can say so. */
START_TEST(a_stranger_gets_the_reason_of_the_refusal)
{
        struct place place;
        ferry_session *stranger;
        char text[256] = "";

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        open_echo(&place, &(ferry_service_options){ .dialects = FERRY_DIALECT_FERRY, .mode = 0666 });
        stranger = open_as(&place, STRANGER, NULL);
        ferry_session_on(stranger, FERRY_KIND_ERROR, note_text, text);
        require_failure(stranger, -ECONNRESET);
        ck_assert_msg(strstr(text, "may not use this service") != NULL, "%s", text);
        close_place(&place);
}
END_TEST

START_TEST(a_stranger_at_the_door)
{
        static const bool yes = true, no = false;
        const ferry_session_options asking = { .allow = allow_strangers, .allow_userdata = (void *)(uintptr_t)&yes };
        const ferry_session_options refusing = { .allow = allow_strangers, .allow_userdata = (void *)(uintptr_t)&no };
        const ferry_service_options options[] = {
                { .mode = 0600, .session = &asking },
                { .mode = 0666 },
                { .mode = 0666, .session = &refusing },
                { .mode = 0666, .session = &asking },
        };
        struct place place;
        ferry_service *service;
        ferry_session *stranger;
        int opened = 0, asked = 0;

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        service = open_echo(&place, &options[_i]);
        ferry_service_on(service, FERRY_KIND_OPENED, count, &opened);
        ferry_service_on(service, FERRY_KIND_REQUEST, count, &asked);
        stranger = open_as(&place, STRANGER, NULL);
        if (_i == 0) {
                ck_assert_int_eq(ferry_session_status(stranger), -EACCES);
                ck_assert_msg(strstr(ferry_session_error(stranger), place.path), "%s", ferry_session_error(stranger));
        } else if (_i < 3) {
                require_failure(stranger, -ECONNRESET);
                ck_assert_int_eq(opened, 0);
                ck_assert_int_eq(asked, 0);
        } else
                require_echo(stranger);
        ck_assert_uint_eq(asked_about, _i < 2 ? 0 : STRANGER);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* Any user can listen at a path that is still free: the client asks for the user of the service. */
START_TEST(a_stranger_behind_the_door)
{
        static const bool yes = true;
        const ferry_session_options asking = { .allow = allow_strangers, .allow_userdata = (void *)(uintptr_t)&yes };
        const ferry_service_options options = { .mode = 0666, .session = &asking };
        struct place place;
        ferry_session *client;
        ferry_service *service;

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 01777), 0);
        become(STRANGER);
        service = open_echo(&place, &options);
        become(0);
        /* To root he is a stranger as to everybody. */
        for (int i = 0; i < 2; i++) {
                uid_t uid = i == 0 ? 0 : OTHER_STRANGER;

                client = open_as(&place, uid, NULL);
                ck_assert_int_eq(ferry_session_status(client), -EACCES);
                ck_assert_msg(strstr(ferry_session_error(client), "user 65534"), "%s", ferry_session_error(client));
                client = open_as(&place, uid, &asking);
                ck_assert_uint_eq(asked_about, STRANGER);
                require_echo(client);
        }
        require_echo(open_as(&place, STRANGER, NULL));
        become(STRANGER);
        ferry_service_free(service);
        become(0);
        close_place(&place);
}
END_TEST

/* Where services for all users stand: in a /run of this test's own. */
START_TEST(services_for_all_users)
{
        static const bool yes = true;
        const ferry_session_options asking = { .allow = allow_strangers, .allow_userdata = (void *)(uintptr_t)&yes };
        struct place place;
        ferry_service *own;
        ferry_session *client;

        if (!can_become() || !run_is_own())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0777), 0);
        ck_assert_int_eq(setenv("FERRY_DIR", strcat(strcpy(place.path, place.directory), "/names"), 1), 0);
        ck_assert_int_eq(mkdir("/run/ferry", 0755), 0);
        strcpy(place.address, "unix:/run/ferry/name.sock");
        open_echo(&place, &(ferry_service_options){ .mode = 0666, .session = &asking });
        strcpy(place.address, "name");
        client = open_as(&place, STRANGER, NULL);
        ck_assert_msg(ferry_session_status(client) == 1, "%s", ferry_session_error(client));
        require_echo(client);
        ck_assert_uint_eq(ferry_session_peer(client).uid, 0);
        /* Where others can write no service is looked for. */
        ck_assert_int_eq(chmod("/run/ferry", 01777), 0);
        ck_assert_int_eq(ferry_session_status(open_as(&place, STRANGER, NULL)), -ENOENT);
        ck_assert_int_eq(chmod("/run/ferry", 0755), 0);
        ck_assert_int_eq(chown("/run/ferry", OTHER_STRANGER, OTHER_STRANGER), 0);
        ck_assert_int_eq(ferry_session_status(open_as(&place, STRANGER, NULL)), -ENOENT);
        ck_assert_int_eq(chown("/run/ferry", 0, 0), 0);
        require_echo(open_as(&place, STRANGER, NULL));
        /* His own comes first, also where it refuses. */
        become(STRANGER);
        own = ferry_service_open(place.loop, "name", NULL);
        become(0);
        ck_assert_msg(ferry_service_status(own) == 1, "%s", ferry_service_error(own));
        become(STRANGER);
        require_failure(ferry_session_open(place.loop, place.address, NULL), -EREMOTEIO);
        ferry_service_free(own);
        become(0);
        place.loop = ferry_loop_free(place.loop);
        ck_assert_int_eq(rmdir(place.path), 0);
        ck_assert_int_eq(rmdir("/run/ferry"), 0);
        close_place(&place);
}
END_TEST

/* What fails, fails at once ----------------------------------------------------------------------------- */

static enum door_call failing_call;
static int failing_code;

static int fail_once(enum door_call call, bool is_child)
{
        (void)is_child;
        return call == failing_call ? failing_code : 0;
}

static const struct {
        enum door_call call;
        int code;
} failures[] = {
        { DOOR_open, -EACCES }, { DOOR_open, -EROFS }, { DOOR_open, -ENOSPC }, { DOOR_lock_file, -ENOLCK },
        { DOOR_stat_fd, -ENOMEM }, { DOOR_socket, -EMFILE }, { DOOR_socket, -EAFNOSUPPORT }, { DOOR_bind, -EACCES },
        { DOOR_bind, -EROFS }, { DOOR_bind, -ENOSPC }, { DOOR_chmod_fd, -EPERM }, { DOOR_chmod_path, -EPERM },
        { DOOR_change_owner, -EPERM }, { DOOR_listen, -EADDRINUSE }, { DOOR_listen, -EOPNOTSUPP },
        { DOOR_epoll_control, -ENOSPC },
};

START_TEST(a_failed_listen_is_reported_at_once)
{
        struct place place;
        const struct group *group = getgrgid(getegid());
        ferry_service_options options = { .mode = 0666, .group = group ? group->gr_name : NULL };
        ferry_service *service;

        open_place(&place);
        failing_call = failures[_i].call;
        failing_code = failures[_i].code;
        door_judge = fail_once;
        service = ferry_service_open(place.loop, place.address, &options);
        door_judge = NULL;
        ck_assert_int_eq(ferry_service_status(service), failing_code);
        ck_assert_msg(strstr(ferry_service_error(service), place.path), "%s", ferry_service_error(service));
        ck_assert_msg(strstr(ferry_service_error(service), strerrordesc_np(-failing_code)), "%s",
                      ferry_service_error(service));
        /* Nothing is left. */
        if (failing_call != DOOR_stat_fd)
                ck_assert_int_lt(access(place.path, F_OK), 0);
        service = open_echo(&place, &options);
        require_echo(ferry_session_open(place.loop, place.address, NULL));
        close_place(&place);
}
END_TEST

/* The same without a porter. */
START_TEST(a_directory_that_is_not_ours_to_write)
{
        struct place place;
        ferry_service *service;

        if (!can_become())
                return;
        open_place(&place);
        ck_assert_int_eq(chmod(place.directory, 0755), 0);
        become(STRANGER);
        service = ferry_service_open(place.loop, place.address, NULL);
        become(0);
        ck_assert_int_eq(ferry_service_status(service), -EACCES);
        ck_assert_msg(strstr(ferry_service_error(service), place.path), "%s", ferry_service_error(service));
        close_place(&place);
}
END_TEST

/* Its loop does not run, and its backlog is full: connecting takes as long as it may, and no longer; and no client that has
 * waited is lost when it runs again. */
START_TEST(a_service_that_is_busy)
{
        enum { BACKLOG_MAX = 1000, DEFAULT_MS = 5000, LONG_MS = 60000 };
        const int wait_ms[] = { 0, 1, LONG_MS };
        struct place place;
        ferry_loop *busy;
        ferry_service *service;
        ferry_session *session;
        int fds[BACKLOG_MAX], number = 0, got = 0;
        int64_t begin;

        door_stop_clock(0);
        open_place(&place);
        service = open_echo(&place, NULL);
        ferry_service_on(service, FERRY_KIND_NOTIFICATION, count, &got);
        busy = place.loop;
        place.loop = ferry_loop_new(NULL);
        for (bool is_full = false; !is_full; number++) {
                struct sockaddr_un name = { .sun_family = AF_UNIX };

                ck_assert_int_lt(number, BACKLOG_MAX);
                strcpy(name.sun_path, place.path);
                fds[number] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                is_full = connect(fds[number], (struct sockaddr *)&name, sizeof name) < 0;
                ck_assert(!is_full || errno == EAGAIN);
        }
        begin = sys_now();
        session = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .wait_ms = wait_ms[_i] });
        ck_assert_int_eq(ferry_session_status(session), 1);
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(place.loop, SAFETY_MS);
        ck_assert_int_eq(ferry_session_status(session), -EAGAIN);
        ck_assert_msg(strstr(ferry_session_error(session), place.path), "%s", ferry_session_error(session));
        ck_assert_int_eq((sys_now() - begin) / 1000000, wait_ms[_i] > DEFAULT_MS ? wait_ms[_i] : DEFAULT_MS);
        session = ferry_session_open(place.loop, place.address, &(ferry_session_options){ .wait_ms = wait_ms[_i] });
        ck_assert_int_ge(ferry_session_notify(session, "t", "{}"), 0);
        while (ferry_loop_tick(busy, 0) == 1)
                ;
        while (ferry_session_peer(session).pid < 0)
                tick(&place);
        while (ferry_loop_tick(busy, 0) == 1)
                ;
        ck_assert_int_eq(got, 1);
        for (int i = 0; i < number; i++)
                close(fds[i]);
        ferry_session_free(session);
        ferry_service_free(service);
        ferry_loop_free(place.loop);
        place.loop = busy;
        close_place(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(what_stands_at_the_socket_stays, STRANGER_S_TEXT),
        SUITE_LOOP(what_stands_at_the_lock_stays, SQUATTERS),
        SUITE_LOOP(a_lock_that_others_hold, 2),
        SUITE_TEST(a_place_that_was_cleared_belongs_to_the_next),
        SUITE_LOOP(a_directory_that_is_not_safe, COUNT(directories)),
        SUITE_TEST(a_directory_of_the_program_s_choice),
        SUITE_LOOP(the_longest_path, 3),
        SUITE_LOOP(the_longest_name, 4),
        SUITE_LOOP(a_link_in_the_place_of_the_socket_is_not_followed, COUNT(swaps)),
        SUITE_TEST(what_stands_in_an_exchanged_directory_stays),
        SUITE_LOOP_APART(the_mode_is_right_from_the_first_moment, COUNT(modes)),
        SUITE_TEST(a_stranger_gets_the_reason_of_the_refusal),
        SUITE_LOOP(a_stranger_at_the_door, 4),
        SUITE_TEST(a_stranger_behind_the_door),
        SUITE_TEST(services_for_all_users),
        SUITE_LOOP(a_failed_listen_is_reported_at_once, COUNT(failures)),
        SUITE_TEST(a_directory_that_is_not_ours_to_write),
        SUITE_LOOP(a_service_that_is_busy, 3),
};

SUITE_MAIN("service-places", tests)
