/* What a struct of options points to is needed until the function returns: here it lies in a page that no access is allowed to
 * afterwards, while the object goes on, and does what its options say. */
#include "support/children.h"
#include "support/names.h"
#include "support/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_SIZE = 16384 };

/* Lent to the library for one call. */
struct page {
        char *bytes;
        size_t used;
};

static struct page lend(void)
{
        struct page page = { .bytes = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };

        ck_assert_ptr_ne(page.bytes, MAP_FAILED);
        return page;
}

static void *put(struct page *page, const void *bytes, size_t size)
{
        char *at = page->bytes + page->used;

        page->used += (size + 15) / 16 * 16;
        ck_assert_uint_le(page->used, PAGE_SIZE);
        return memcpy(at, bytes, size);
}

static const char *put_text(struct page *page, const char *text)
{
        return put(page, text, strlen(text) + 1);
}

static const char *const *put_list(struct page *page, const char *const *list)
{
        const char *copy[8];
        size_t count = 0;

        for (; list[count]; count++)
                copy[count] = put_text(page, list[count]);
        copy[count] = NULL;
        return put(page, copy, (count + 1) * sizeof *copy);
}

#define LIST(page, ...) put_list(page, (const char *const[]){ __VA_ARGS__, NULL })
#define NUMBERS(page, ...) put(page, (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }))
#define STRUCT(page, type, ...) ((const type *)put(page, &(type){ __VA_ARGS__ }, sizeof(type)))

static void take_back(const struct page *page)
{
        ck_assert_int_eq(mprotect(page->bytes, PAGE_SIZE, PROT_NONE), 0);
}

/* A directory for services besides the usual one. */
static void make_directory(const struct names *names, char *path, size_t size)
{
        snprintf(path, size, "%s/elsewhere", names->parent);
        ck_assert_int_eq(mkdir(path, 0700), 0);
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static void require_echo(ferry_session *session, const char *type)
{
        ferry_call *call = ferry_session_request(session, SAFETY_MS, type, "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
}

/* A service in a directory of its own, and clients that find it there because of their loop. */
START_TEST(the_options_of_a_loop_and_a_service_are_copied)
{
        struct names names;
        char directory[128], group[32];
        struct page page = lend();
        ferry_loop *loop;
        ferry_service *service;
        ferry_session *session;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        make_directory(&names, directory, sizeof directory);
        snprintf(group, sizeof group, "%u", (unsigned)getgid());
        loop = ferry_loop_new(STRUCT(&page, ferry_loop_options, .session = STRUCT(&page, ferry_session_options,
                                     .name_directory = put_text(&page, directory), .root = put_text(&page, "Common\\Root"),
                                     .directory = put_text(&page, directory), .env = LIST(&page, "WORD=from-the-loop"),
                                     .argv = LIST(&page, "sh", "-c", "echo \"$WORD\" >word; cat"), .request_timeout_ms = SAFETY_MS)));
        take_back(&page);
        page = lend();
        service = ferry_service_open(loop, put_text(&page, "echo"), STRUCT(&page, ferry_service_options,
                                     .dialects = FERRY_DIALECT_STREAM_IPC, .name_directory = put_text(&page, directory),
                                     .group = put_text(&page, group), .session = STRUCT(&page, ferry_session_options,
                                     .root = put_text(&page, "Common\\Root"))));
        take_back(&page);
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ck_assert_int_eq(ferry_service_wait(loop, "echo", FERRY_DIALECT_STREAM_IPC, SAFETY_MS), 0);
        session = ferry_session_open(loop, "echo", &(ferry_session_options){ .dialect = FERRY_DIALECT_STREAM_IPC });
        require_echo(session, "Common\\Root\\Message\\DataMessage");
        /* The command, its environment and its directory are the loop's, too. */
        session = ferry_session_open(loop, "exec:", NULL);
        ck_assert_int_eq(ferry_session_close(session), 0);
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(loop, SAFETY_MS);
        while (access(path_of(&names, "../elsewhere/word"), R_OK) < 0)
                ck_assert_int_ge(ferry_loop_tick(loop, SAFETY_MS), 0);
        ferry_loop_free(loop);
        close_names(&names);
}
END_TEST

/* It looks for a service until that is there; the directory was copied. */
START_TEST(the_options_of_a_session_are_copied)
{
        struct names names;
        char directory[128];
        struct page page = lend();
        ferry_session *waiting, *talking, *between;
        ferry_service *service;
        int fds[2];
        char bytes[8];

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        make_directory(&names, directory, sizeof directory);
        waiting = ferry_session_open(names.loop, put_text(&page, "later"), STRUCT(&page, ferry_session_options,
                                     .name_directory = put_text(&page, directory), .wait_ms = SAFETY_MS));
        /* The command of the other machine is its name; a shell of this one takes the place of ssh. */
        ferry_session_open(names.loop, put_text(&page, "ssh:host:name"), STRUCT(&page, ferry_session_options,
                           .remote_ferry = put_text(&page, "ferry"), .env = LIST(&page, "PATH=/nonexistent")));
        talking = ferry_session_open(names.loop, put_text(&page, "exec:"), STRUCT(&page, ferry_session_options,
                                     .argv = LIST(&page, BUILD_DIRECTORY "/tests/child", "echo"), .env = LIST(&page, "WORD=x"),
                                     .directory = put_text(&page, directory), .root = put_text(&page, "Own")));
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        between = ferry_session_open(names.loop, NULL, STRUCT(&page, ferry_session_options, .fds = NUMBERS(&page, fds[0], fds[0], -1)));
        take_back(&page);
        service = ferry_service_open(names.loop, "later", &(ferry_service_options){ .name_directory = directory });
        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        require_echo(waiting, "t");
        require_echo(talking, "t");
        ck_assert_int_eq(ferry_session_notify(between, "t", NULL), 0);
        ck_assert_int_gt(read(fds[1], bytes, sizeof bytes), 0);
        close(fds[1]);
        close_names(&names);
}
END_TEST

/* A process that is started again needs all of them again. */
START_TEST(the_options_of_a_manager_and_a_process_are_copied)
{
        struct names names;
        char directory[128], lines[64] = "";
        struct page page = lend();
        ferry_manager *manager;
        ferry_process *process;
        int exits = 0, fd;

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        make_directory(&names, directory, sizeof directory);
        manager = ferry_manager_new(names.loop, STRUCT(&page, ferry_manager_options, .signals = NUMBERS(&page, 10, 12, 0),
                                    .is_forwarding = true, .stdout_path = put_text(&page, path_of(&names, "../out")),
                                    .stderr_path = put_text(&page, path_of(&names, "../err")),
                                    .session = STRUCT(&page, ferry_session_options, .root = put_text(&page, "Common\\Root"),
                                                      .dialect = FERRY_DIALECT_STREAM_IPC)));
        take_back(&page);
        page = lend();
        process = ferry_process_spawn(manager, LIST(&page, "sh", "-c", "read line; echo \"$line $WORD\" >>lines; exit 3"),
                                      STRUCT(&page, ferry_process_options, .env = LIST(&page, "WORD=word"),
                                             .directory = put_text(&page, directory), .fds = NUMBERS(&page, 2, -1),
                                             .input = put(&page, "input\n", 6), .input_size = 6, .is_restarted = true,
                                             .stdout_path = put_text(&page, path_of(&names, "../own"))));
        take_back(&page);
        ferry_manager_on(manager, FERRY_PROCESS_DIED, count_event, &exits);
        while (exits < 2)
                ck_assert_int_ge(ferry_loop_tick(names.loop, SAFETY_MS), 0);
        ferry_process_free(process);
        ck_assert_int_eq(access(path_of(&names, "../own"), F_OK), 0);
        fd = open(path_of(&names, "../elsewhere/lines"), O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(read(fd, lines, sizeof lines - 1), 22);
        close(fd);
        ck_assert_msg(strncmp(lines, "input word\ninput word\n", 22) == 0, "%s", lines);
        page = lend();
        process = ferry_process_fork(manager, serve, NULL, STRUCT(&page, ferry_process_options,
                                     .directory = put_text(&page, directory), .stdout_path = put_text(&page, path_of(&names, "../own")),
                                     .session = STRUCT(&page, ferry_session_options, .root = put_text(&page, "Own"),
                                                       .dialect = FERRY_DIALECT_FERRY)));
        take_back(&page);
        require_served(process);
        page = lend();
        process = ferry_process_spawn(manager, LIST(&page, BUILD_DIRECTORY "/tests/child", "echo"), STRUCT(&page, ferry_process_options,
                                      .is_on_stdio = true, .session = STRUCT(&page, ferry_session_options,
                                      .dialect = FERRY_DIALECT_FERRY, .root = put_text(&page, "Own"))));
        take_back(&page);
        require_served(process);
        ck_assert_int_ge(ferry_manager_stop(manager, -1), 0);
        close_names(&names);
}
END_TEST

START_TEST(the_options_of_a_channel_and_a_store_are_copied)
{
        struct names names;
        struct page page = lend();
        ferry_channel *receiver, *sender;
        ferry_store *store;
        char bytes[8], address[256];

        open_names(&names);
        ck_assert_int_eq(mkdir(names.directory, 0700), 0);
        receiver = ferry_channel_open(names.loop, put_text(&page, "udp:127.0.0.1:0"), FERRY_RECEIVE, STRUCT(&page, ferry_channel_options,
                                      .interface = put_text(&page, "lo")));
        sender = ferry_channel_open(names.loop, ferry_channel_address(receiver), FERRY_SEND, STRUCT(&page, ferry_channel_options,
                                    .interface = put_text(&page, "lo"), .multicast_ttl = 1));
        put_file(path_of(&names, "../key"), "", 0);
        snprintf(address, sizeof address, "shm:%s", path_of(&names, "../key"));
        store = ferry_store_open(put_text(&page, address), STRUCT(&page, ferry_store_options, .bytes = 4096));
        take_back(&page);
        ck_assert_int_eq(ferry_channel_send(sender, "x", 1, SAFETY_MS), 1);
        ck_assert_int_eq(ferry_channel_receive(receiver, bytes, sizeof bytes, SAFETY_MS), 1);
        ck_assert_int_eq(ferry_store_put(store, 1, "'x'"), 0);
        ck_assert_int_eq(ferry_store_delete(store), 0);
        ferry_store_free(store);
        close_names(&names);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_options_of_a_loop_and_a_service_are_copied),
        SUITE_TEST(the_options_of_a_session_are_copied),
        SUITE_TEST(the_options_of_a_manager_and_a_process_are_copied),
        SUITE_TEST(the_options_of_a_channel_and_a_store_are_copied),
};

SUITE_MAIN("lifetimes", tests)
