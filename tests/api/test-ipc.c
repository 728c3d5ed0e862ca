/* The list of the kernel's objects, and their removal. The objects of a test have the keys of files in its own directory, which
 * is also the one of services. */
#include <ferry/ferry.h>

#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char directory[64];

/* A path in the directory, good until the next four. */
static const char *in(const char *name)
{
        static char paths[4][128];
        static unsigned next;
        char *path = paths[next++ % 4];

        snprintf(path, sizeof paths[0], "%s/%s", directory, name);
        return path;
}

static void make_file(const char *name, const char *text)
{
        int fd = open(in(name), O_WRONLY | O_CREAT | O_EXCL, 0600);

        ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
        close(fd);
}

static key_t begin(void)
{
        strcpy(directory, "/tmp/ferry-ipc-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        setenv("FERRY_DIR", directory, 1);
        make_file("key", "");
        return ftok(in("key"), 'T');
}

static void end(void)
{
        key_t key = ftok(in("key"), 'T');

        ck_assert_int_lt(shmget(key, 0, 0), 0);
        ck_assert_int_lt(semget(key, 0, 0), 0);
        ck_assert_int_lt(msgget(key, 0), 0);
        unlink(in("key"));
        ck_assert_int_eq(rmdir(directory), 0);
}

static int remove_object(const char *scheme, const char *rest)
{
        char address[256];

        snprintf(address, sizeof address, "%s:%s", scheme, rest);
        return ferry_ipc_remove(address);
}

static ferry_value *list;

static void read_list(void)
{
        int code;

        list = ferry_value_unref(list);
        code = ferry_ipc_list(&list);
        ck_assert(code == 0 || code == -ENOTSUP);
        ck_assert_int_eq(ferry_value_kind(list), FERRY_VALUE_LIST);
}

/* An object in the list, or NULL. */
static const ferry_value *find(const char *scheme, const char *rest)
{
        char address[256];

        snprintf(address, sizeof address, "%s:%s", scheme, rest);
        for (size_t i = 0; i < ferry_value_count(list); i++) {
                const ferry_value *object = ferry_value_at(list, i);

                if (strcmp(ferry_value_text(ferry_value_get(object, "address"), ""), address) == 0)
                        return object;
        }
        return NULL;
}

static const ferry_value *find_id(const char *scheme, int id)
{
        char rest[32];

        snprintf(rest, sizeof rest, "#%d", id);
        return find(scheme, rest);
}

static int64_t number(const ferry_value *object, const char *name)
{
        ck_assert_ptr_nonnull(object);
        return ferry_value_int(ferry_value_get(object, name), -1);
}

static const char *text(const ferry_value *object, const char *name)
{
        ck_assert_ptr_nonnull(object);
        return ferry_value_text(ferry_value_get(object, name), "");
}

static int make_socket(const char *path, int type)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type, 0);

        strcpy(address.sun_path, path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

START_TEST(sysv_objects_are_listed)
{
        struct { long type; char bytes[5]; } message = { 1, "12345" };
        key_t key = begin();
        int queue = msgget(key, IPC_CREAT | 0600), segment = shmget(key, 1234, IPC_CREAT | 0640), set = semget(key, 3, IPC_CREAT | 0666);

        ck_assert_int_eq(msgsnd(queue, &message, 5, 0), 0);
        read_list();
        ck_assert_str_eq(text(find_id("msgq", queue), "kind"), "msgq");
        ck_assert_int_eq(number(find_id("msgq", queue), "key"), key);
        ck_assert_int_eq(number(find_id("msgq", queue), "size"), 5);
        ck_assert_int_eq(number(find_id("msgq", queue), "records"), 1);
        ck_assert_int_gt(number(find_id("msgq", queue), "size_max"), 5);
        ck_assert_int_eq(number(find_id("msgq", queue), "last_user"), getpid());
        ck_assert_str_eq(text(find_id("msgq", queue), "mark"), "");
        ck_assert_int_eq(number(find_id("shm", segment), "size"), 1234);
        ck_assert_int_eq(number(find_id("shm", segment), "mode"), 0640);
        ck_assert_int_eq(number(find_id("shm", segment), "attached"), 0);
        ck_assert_str_eq(text(find_id("shm", segment), "mark"), "unattached");
        ck_assert_int_eq(number(find_id("sem", set), "attached"), 0);
        ck_assert_int_eq(number(find_id("sem", set), "uid"), getuid());
        ck_assert_int_le(number(find_id("sem", set), "age"), 60);
        ck_assert_int_eq(remove_object("msgq", in("key")), 0);
        ck_assert_int_eq(remove_object("msgq", in("key")), -ENOENT);
        ck_assert_int_eq(remove_object("shm", in("key")), 0);
        /* With its lock. */
        ck_assert_int_eq(remove_object("sem", in("key")), -ENOENT);
        read_list();
        ck_assert_ptr_null(find_id("shm", segment));
        list = ferry_value_unref(list);
        end();
}
END_TEST

START_TEST(a_lock_in_use_stays)
{
        struct sembuf use = { 1, 1, SEM_UNDO };
        key_t key = begin();
        int set = semget(key, 3, IPC_CREAT | 0600);
        char id[32];

        shmget(key, 100, IPC_CREAT | 0600);
        ck_assert_int_eq(semop(set, &use, 1), 0);
        ck_assert_int_eq(remove_object("sem", in("key")), -EBUSY);
        ck_assert_int_eq(remove_object("shm", in("key")), 0);
        ck_assert_int_eq(semget(key, 0, 0), set);
        use.sem_op = -1;
        ck_assert_int_eq(semop(set, &use, 1), 0);
        snprintf(id, sizeof id, "#%d", set);
        ck_assert_int_eq(remove_object("sem", id), 0);
        ck_assert_int_eq(remove_object("sem", id), -ENOENT);
        end();
}
END_TEST

START_TEST(objects_of_other_users_are_not_ours)
{
        key_t key = begin();
        int segment = shmget(key, 100, IPC_CREAT | 0600);

        if (can_become()) {
                ck_assert_int_eq(chmod(directory, 0755), 0);
                become(STRANGER);
                read_list();
                ck_assert_ptr_null(find_id("shm", segment));
                ck_assert_int_eq(remove_object("shm", in("key")), -EPERM);
                become(0);
                list = ferry_value_unref(list);
        }
        ck_assert_int_eq(remove_object("shm", in("key")), 0);
        end();
}
END_TEST

START_TEST(files_are_listed_and_marked)
{
        int live, bare;

        begin();
        close(make_socket(in("stale.sock"), SOCK_STREAM));
        make_file("stale.sock.lock", "ferry lock\n");
        make_file("old.sock.lock", "ferry lock\n4711\n");
        make_file("foreign.lock", "4711\n");
        make_file("other", "");
        live = make_socket(in("bound.sock"), SOCK_DGRAM);
        bare = make_socket(in("bare.sock"), SOCK_STREAM);
        close(bare);
        ck_assert_int_eq(mkfifo(in("fifo"), 0600), 0);
        read_list();
        ck_assert_str_eq(text(find("unix", in("stale.sock")), "mark"), "stale");
        ck_assert_str_eq(text(find("lock", in("old.sock.lock")), "mark"), "stale");
        ck_assert_str_eq(text(find("udg", in("bound.sock")), "mark"), "");
        /* Without a lock nothing proves that it is dead. */
        ck_assert_str_eq(text(find("unix", in("bare.sock")), "mark"), "");
        ck_assert_int_eq(number(find("fifo", in("fifo")), "mode"), 0600);
        ck_assert_ptr_null(find("lock", in("other")));
        ck_assert_ptr_null(find("lock", in("foreign.lock")));
        ck_assert_int_eq(remove_object("lock", in("foreign.lock")), -ENOTSUP);
        ck_assert_int_eq(unlink(in("foreign.lock")), 0);
        ck_assert_int_eq(remove_object("unix", in("stale.sock")), 0);
        ck_assert_int_lt(access(in("stale.sock.lock"), F_OK), 0);
        ck_assert_int_eq(remove_object("unix", in("stale.sock")), -ENOENT);
        ck_assert_int_eq(remove_object("lock", in("old.sock.lock")), 0);
        ck_assert_int_eq(remove_object("udg", in("bound.sock")), -EBUSY);
        ck_assert_int_lt(access(in("bound.sock.lock"), F_OK), 0);
        close(live);
        ck_assert_int_eq(remove_object("udg", in("bound.sock")), 0);
        ck_assert_int_eq(remove_object("unix", in("bare.sock")), 0);
        ck_assert_int_eq(remove_object("fifo", in("other")), -ENOTSUP);
        ck_assert_int_eq(remove_object("unix", in("other")), -ENOTSUP);
        ck_assert_int_eq(remove_object("fifo", in("fifo")), 0);
        ck_assert_int_eq(remove_object("fifo", in("fifo")), -ENOENT);
        unlink(in("other"));
        list = ferry_value_unref(list);
        end();
}
END_TEST

START_TEST(a_service_that_lives_is_not_removed)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_service *service;

        begin();
        service = ferry_service_open(loop, "living", NULL);
        ck_assert_int_eq(ferry_service_status(service), 1);
        read_list();
        ck_assert_str_eq(text(find("unix", in("living.sock")), "mark"), "");
        ck_assert_int_eq(number(find("unix", in("living.sock")), "last_user"), getpid());
        ck_assert_int_eq(number(find("lock", in("living.sock.lock")), "last_user"), getpid());
        ck_assert_int_eq(remove_object("unix", in("living.sock")), -EBUSY);
        ck_assert_int_eq(remove_object("lock", in("living.sock.lock")), -EBUSY);
        ck_assert_int_eq(access(in("living.sock"), F_OK), 0);
        list = ferry_value_unref(list);
        ferry_service_free(service);
        end();
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
        static const struct {
                const char *address;
                int code;
        } wrong[] = {
                { "", -EINVAL }, { "name", -EINVAL }, { "tcp:127.0.0.1:1", -EINVAL }, { "msgq:", -EINVAL }, { "msgq:0", -EINVAL },
                { "msgq:private", -EINVAL }, { "shm:#x", -EINVAL }, { "shm:#2147483647", -ENOENT }, { "sem:#2147483647", -ENOENT },
                { "msgq:#2147483647", -ENOENT }, { "msgq:/nowhere", -ENOENT }, { "mqueue:", -EINVAL }, { "mqueue:/", -EINVAL },
                { "mqueue:a/b", -EINVAL }, { "mqueue:/ferry-there-is-none", -ENOENT }, { "fifo:", -EINVAL }, { "fifo:/nowhere", -ENOENT },
                { "fifo:/dev/null/x", -ENOENT }, { "unix:/nowhere", -ENOENT }, { "unix:", -EINVAL }, { "lock:/nowhere", -EINVAL },
                { "lock:/nowhere.lock", -ENOENT }, { "lock:.lock", -EINVAL },
        };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                ck_assert_msg(ferry_ipc_remove(wrong[i].address) == wrong[i].code, "%s: %d", wrong[i].address,
                              ferry_ipc_remove(wrong[i].address));
        ck_assert_int_eq(ferry_ipc_remove(NULL), -EINVAL);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(sysv_objects_are_listed),
        SUITE_TEST(a_lock_in_use_stays),
        SUITE_TEST(objects_of_other_users_are_not_ours),
        SUITE_TEST(files_are_listed_and_marked),
        SUITE_TEST(a_service_that_lives_is_not_removed),
        SUITE_TEST(what_is_no_object_is_refused),
};

SUITE_MAIN("ipc", tests)
