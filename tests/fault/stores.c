/* Stores and the list of the kernel's objects: made, used by a second store, torn, repaired and removed. */
#include "channel/segment.h"
#include "fault/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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

static const ferry_store_options patient = { .lock_timeout_ms = 20, .bytes = 1000 };
static const ferry_store_options creating = { .lock_timeout_ms = 20, .bytes = 1000, .is_creating = true };

static const char *address(void)
{
        static char text[300];

        snprintf(text, sizeof text, "shm:%s", fault_path("key"));
        return text;
}

/* Removes what a fault has kept from being removed. */
static void clear_key(key_t key)
{
        int id;

        if ((id = shmget(key, 0, 0)) >= 0) {
                fault_check(!fault_is_absent());
                shmctl(id, IPC_RMID, NULL);
        }
        if ((id = semget(key, 0, 0)) >= 0) {
                fault_check(!fault_is_absent());
                semctl(id, 0, IPC_RMID);
        }
}

static key_t make_key(void)
{
        close(open(fault_path("key"), O_WRONLY | O_CREAT, 0600));
        return ftok(fault_path("key"), 'T');
}

static bool answer(ferry_store *store, const char *what, ssize_t code, int expected)
{
        return fault_answer(FAULT_STORE, what, code > 0 ? 0 : (int)code, expected, code < 0 ? ferry_store_error(store) : NULL);
}

static ferry_store *open_store(const char *where, const ferry_store_options *options, int expected)
{
        ferry_store *store = ferry_store_open(where, options);
        int code = ferry_store_status(store);

        answer(store, "open", code, expected);
        return store;
}

static void get(ferry_store *store, int64_t key, int expected)
{
        ferry_value *value = NULL;
        int code = ferry_store_get(store, key, &value);

        if (answer(store, "get", code, expected))
                fault_check(ferry_value_int(ferry_value_get(value, "n"), 0) == key);
        else
                fault_check(!value);
        ferry_value_unref(value);
}

static ferry_value *count_up(const ferry_value *value, void *userdata)
{
        (void)userdata;
        return ferry_value_pack("{n: %d}", (int)ferry_value_int(ferry_value_get(value, "n"), 1));
}

/* The key file is made, too, and goes if the store cannot be opened. Without a lock, which would keep no name then. */
static void created(void)
{
        ferry_store_options options = creating;
        ferry_store *store;

        options.is_unlocked = true;
        store = open_store(address(), &options, 0);
        fault_check(ferry_store_status(store) != 1 || access(fault_path("key"), F_OK) == 0);
        fault_want(access(fault_path("key"), F_OK) == 0);
        answer(store, "delete", ferry_store_delete(store), 0);
        ferry_store_free(store);
        if (access(fault_path("key"), F_OK) == 0)
                clear_key(ftok(fault_path("key"), 'T'));
}

static void variables(void)
{
        key_t key = make_key();
        ferry_store *store = open_store(address(), &creating, 0), *other;
        ferry_value *list = NULL;

        answer(store, "put", ferry_store_put(store, 1, "{n: %d, text: %s}", 1, "a text"), 0);
        answer(store, "put", ferry_store_put(store, 2, "{n: %d}", 2), 0);
        other = open_store(address(), &patient, 0);
        get(other, 2, 0);
        answer(other, "update", ferry_store_update(other, 1, count_up, NULL), 0);
        answer(other, "has", ferry_store_has(other, 2), 0);
        answer(other, "list", ferry_store_list(other, &list), 0);
        ferry_value_unref(list);
        answer(other, "remove", ferry_store_remove(other, 2), 0);
        answer(store, "lock", ferry_store_lock(store, 10), 0);
        get(store, 1, 0);
        list = ferry_store_info(other);
        fault_want(ferry_value_int(ferry_value_get(list, "lock_holder"), 0) == getpid());
        ferry_value_unref(list);
        answer(other, "put", ferry_store_put(other, 1, NULL), fault_is_absent() ? -ETIMEDOUT : 0);
        answer(store, "unlock", ferry_store_unlock(store), 0);
        answer(store, "put", ferry_store_put(store, 3, "%s", ""), 0);
        list = ferry_store_info(store);
        fault_check(list || fault_is_memory());
        ferry_value_unref(list);
        ferry_store_free(other);
        answer(store, "delete", ferry_store_delete(store), 0);
        ferry_store_free(store);
        clear_key(key);
}

/* Raw bytes, which then are torn variables, in a segment that its identifier names. */
static void torn(void)
{
        key_t key = make_key();
        ferry_store *store = open_store(address(), &patient, 0), *other;
        segment_integer free = 4711;
        char bytes[40], text[64];
        ferry_value *value = NULL;

        get(store, 1, -ENOENT);
        answer(store, "write", ferry_store_write(store, 0, "", 0), 0);
        /* What is not begun as variables cannot be repaired. */
        if (answer(store, "put", ferry_store_put(store, 1, "{n: 1}"), 0))
                answer(store, "write", ferry_store_write(store, 8 + 2 * SEGMENT_UNIT, &free, sizeof free), 0);
        snprintf(text, sizeof text, "shm:#%d", shmget(key, 0, 0));
        if (shmget(key, 0, 0) >= 0) {
                other = open_store(text, &patient, 0);
                answer(other, "read", ferry_store_read(other, 0, bytes, sizeof bytes), 0);
                if (fault_is_absent())
                        get(other, 1, -EBADMSG);
                answer(other, "repair", ferry_store_repair(other, &value), 0);
                ferry_value_unref(value);
                if (fault_is_absent())
                        get(other, 1, 0);
                ferry_store_free(other);
        }
        answer(store, "delete", ferry_store_delete(store), 0);
        ferry_store_free(store);
        clear_key(key);
}

static void removed(void)
{
        key_t key = make_key();
        ferry_store *store = open_store(address(), &patient, 0);
        int queue = msgget(key, IPC_CREAT | 0600);

        get(store, 1, -ENOENT);
        answer(store, "put", ferry_store_put(store, 1, "{n: 1}"), 0);
        shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
        semctl(semget(key, 0, 0), 0, IPC_RMID);
        get(store, 1, -ENOENT);
        answer(store, "put", ferry_store_put(store, 1, "{n: 1}"), 0);
        get(store, 1, 0);
        ferry_store_free(store);
        answer(NULL, "remove", ferry_ipc_remove(address()), 0);
        msgctl(queue, IPC_RMID, NULL);
        clear_key(key);
}

/* The kernel's objects --------------------------------------------------------------------------------- */

/* Objects of other programs are not seen where that is possible: then the same calls are made in each run. */
static void enter_namespace(void)
{
        static bool is_inside;

        if (!is_inside && getuid() == 0)
                is_inside = unshare(CLONE_NEWIPC) == 0;
}

/* POSIX queues can be listed only where root has mounted their file system: here a directory stands for it, with a file for
 * each queue. */
static const char *queues_path(const char *path)
{
        static const char there[] = "/dev/mqueue";

        return strncmp(path, there, strlen(there)) == 0 ? fault_path("queues%s", path + strlen(there)) : path;
}

static void make_socket(const char *path)
{
        struct sockaddr_un there = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        snprintf(there.sun_path, sizeof there.sun_path, "%s", path);
        fault_check(bind(fd, (struct sockaddr *)&there, sizeof there) == 0);
        close(fd);
}

static void remove_object(int expected, const char *scheme, const char *rest)
{
        char text[300];

        snprintf(text, sizeof text, "%s:%s", scheme, rest);
        fault_answer(FAULT_STORE, text, ferry_ipc_remove(text), expected, NULL);
}

static void make_lock(const char *path)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, "ferry lock\n1\n", 13) != 13)
                fault_flaw("%s: %m", path);
        close(fd);
}

static void objects(void)
{
        static const struct mq_attr attributes = { .mq_maxmsg = 2, .mq_msgsize = 8 };
        ferry_value *list = NULL;
        char name[64];
        int queue, code;
        key_t key;

        enter_namespace();
        snprintf(name, sizeof name, "/ferry-fault-%d", (int)getpid());

        /* The directory of the run has the mode of one for services. */
        setenv("FERRY_DIR", fault_path("."), 1);
        key = make_key();
        shmget(key, 100, IPC_CREAT | 0600);
        semget(key, 3, IPC_CREAT | 0600);
        msgget(key, IPC_CREAT | 0600);
        make_socket(fault_path("stale.sock"));
        make_lock(fault_path("stale.sock.lock"));
        make_socket(fault_path("bare.sock"));
        make_lock(fault_path("old.sock.lock"));
        mkfifo(fault_path("fifo"), 0600);
        mkdir(fault_path("queues"), 0700);
        close(open(fault_path("queues%s", name), O_WRONLY | O_CREAT, 0600));
        queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);
        door_path = queues_path;
        code = ferry_ipc_list(&list);
        fault_answer(FAULT_STORE, "list", code, 0, NULL);
        fault_check(list || (code && code != -ENOTSUP));
        ferry_value_unref(list);
        list = NULL;
        door_path = NULL;
        /* Where there is no such directory, the list has all others. */
        code = ferry_ipc_list(&list);
        fault_check(list || code);
        ferry_value_unref(list);
        remove_object(0, "mqueue", name);
        mq_close(queue);
        mq_unlink(name);
        unlink(fault_path("queues%s", name));
        rmdir(fault_path("queues"));
        remove_object(0, "fifo", fault_path("fifo"));
        remove_object(0, "unix", fault_path("stale.sock"));
        remove_object(0, "unix", fault_path("bare.sock"));
        remove_object(0, "lock", fault_path("old.sock.lock"));
        remove_object(-ENOTSUP, "unix", fault_path("key"));
        remove_object(-EINVAL, "lock", fault_path("key"));
        remove_object(0, "msgq", fault_path("key"));
        remove_object(0, "shm", fault_path("key"));
        semget(key, 3, IPC_CREAT | 0600);
        remove_object(0, "sem", fault_path("key"));
        msgctl(msgget(key, 0), IPC_RMID, NULL);
        clear_key(key);
        unsetenv("FERRY_DIR");
}

const struct scenario store_scenarios[] = {
        { .name = "store-created", .run = created },
        { .name = "store-variables", .run = variables },
        { .name = "store-torn", .run = torn },
        { .name = "store-removed", .run = removed },
        { .name = "ipc-objects", .run = objects, .is_uncut = true },
        { 0 },
};
