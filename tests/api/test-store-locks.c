/* The lock of a store: waiting for it, losing it, sharing it; updates; and writers that die at any moment. */
#include <ferry/ferry.h>

#include "support/place.h"
#include "support/stores.h"
#include "support/suite.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

/* The lock --------------------------------------------------------------------------------------------- */

/* A child that holds the lock, until it is killed. */
static pid_t start_holder(int *ret_fd)
{
        int fds[2];
        pid_t child;
        char byte;

        ck_assert_int_eq(pipe(fds), 0);
        child = fork();
        if (child == 0) {
                ferry_store *store = ferry_store_open(store_address, NULL);

                if (ferry_store_put(store, 1, "1") || ferry_store_lock(store, 0) || write(fds[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        *ret_fd = fds[0];
        return child;
}

static void stop(pid_t child, int fd)
{
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        close(fd);
}

START_TEST(a_lock_is_held_by_one_process)
{
        ferry_value *value;
        ferry_store *store;
        char pid[32];
        pid_t child;
        int fd;

        begin_store();
        child = start_holder(&fd);
        store = open_store(&(ferry_store_options){ .lock_timeout_ms = 20 });
        ck_assert_int_eq(ferry_store_put(store, 1, "2"), -ETIMEDOUT);
        snprintf(pid, sizeof pid, "process %d ", (int)child);
        require_sentence(store, pid);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -ETIMEDOUT);
        ck_assert_int_eq(ferry_store_has(store, 1), -ETIMEDOUT);
        ck_assert_int_eq(ferry_store_lock(store, 0), -ETIMEDOUT);
        ck_assert_int_eq(ferry_store_unlock(store), -EPERM);
        ck_assert_int_eq(ferry_store_delete(store), -ETIMEDOUT);
        ck_assert_int_eq(info_number(store, "lock_holder"), child);
        /* A process that is killed releases it. */
        stop(child, fd);
        ck_assert_int_eq(ferry_store_put(store, 1, "2"), 0);
        require_int(store, 1, 2);
        ck_assert_int_eq(info_number(store, "lock_holder"), -1);
        delete_store(store);
}
END_TEST

START_TEST(a_lock_can_be_held_over_several_calls)
{
        ferry_store *store, *other;

        begin_store();
        store = open_store(NULL);
        other = open_store(&(ferry_store_options){ .lock_timeout_ms = 10 });
        ck_assert_int_eq(ferry_store_lock(store, -1), 0);
        ck_assert_int_eq(ferry_store_lock(store, 0), 0);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        ck_assert_int_eq(ferry_store_put(other, 1, "2"), -ETIMEDOUT);
        ck_assert_int_eq(ferry_store_unlock(store), 0);
        ck_assert_int_eq(ferry_store_put(other, 1, "2"), -ETIMEDOUT);
        ck_assert_int_eq(ferry_store_unlock(store), 0);
        ck_assert_int_eq(ferry_store_unlock(store), -EPERM);
        ck_assert_int_eq(ferry_store_put(other, 1, "2"), 0);
        ck_assert_int_eq(ferry_store_lock(store, 0), 0);
        ferry_store_free(store);
        require_int(other, 1, 2);
        ck_assert_int_eq(info_number(other, "lock_users"), 1);
        delete_store(other);
}
END_TEST

static void ignore(int signal)
{
        (void)signal;
}

/* semtimedop(2) is never restarted by the kernel. */
START_TEST(a_signal_does_not_end_the_wait)
{
        struct sigaction action = { .sa_handler = ignore };
        ferry_store *store;
        pid_t child, waker;
        int fd;

        begin_store();
        sigaction(SIGUSR1, &action, NULL);
        child = start_holder(&fd);
        waker = fork();
        if (waker == 0) {
                /* Until the parent waits, and then some more. */
                while (semctl(semget(store_key, 0, 0), 0, GETNCNT) == 0)
                        sched_yield();
                for (int i = 0; i < 200; i++) {
                        kill(getppid(), SIGUSR1);
                        sched_yield();
                }
                kill(child, SIGKILL);
                _exit(0);
        }
        store = open_store(&(ferry_store_options){ .lock_timeout_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_store_put(store, 1, "3"), 0);
        ck_assert_int_eq(waitpid(waker, NULL, 0), waker);
        stop(child, fd);
        delete_store(store);
}
END_TEST

/* Another program may remove the set, and PHP has a function for it. */
START_TEST(a_lock_that_was_removed_is_made_again)
{
        ferry_store *store;
        pid_t child;
        int status;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        ck_assert_int_eq(semctl(semget(store_key, 0, 0), 0, IPC_RMID), 0);
        ck_assert_int_eq(ferry_store_put(store, 1, "2"), 0);
        ck_assert_int_eq(ferry_store_lock(store, 0), 0);
        child = fork();
        if (child == 0) {
                ferry_store *own = ferry_store_open(store_address, NULL);

                _exit(ferry_store_put(own, 1, "3") != 0);
        }
        /* The child waits now, or soon. */
        while (semctl(semget(store_key, 0, 0), 0, GETNCNT) == 0)
                sched_yield();
        ck_assert_int_eq(semctl(semget(store_key, 0, 0), 0, IPC_RMID), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(ferry_store_unlock(store), 0);
        require_int(store, 1, 3);
        delete_store(store);
}
END_TEST

START_TEST(another_set_of_semaphores_is_refused)
{
        ferry_store *store;
        int id;

        begin_store();
        id = semget(store_key, 2, IPC_CREAT | IPC_EXCL | 0600);
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), -EINVAL);
        require_sentence(store, "2 semaphores");
        ck_assert_int_lt(shmget(store_key, 0, 0), 0);
        ferry_store_free(store);
        ck_assert_int_eq(semctl(id, 0, IPC_RMID), 0);
        end_store();
}
END_TEST

START_TEST(a_lock_with_other_users_outlives_the_segment)
{
        ferry_store *store, *other;
        int status;
        pid_t child;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        child = fork();
        if (child == 0) {
                ferry_store *own = ferry_store_open(store_address, NULL);

                _exit(ferry_store_delete(own) != 0);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        ck_assert_int_ge(semget(store_key, 0, 0), 0);
        ck_assert_int_lt(shmget(store_key, 0, 0), 0);
        other = open_store(&(ferry_store_options){ .is_unlocked = true });
        ck_assert_int_eq(ferry_store_put(other, 1, "1"), 0);
        ck_assert_int_eq(ferry_store_delete(other), 0);
        ck_assert_int_ge(semget(store_key, 0, 0), 0);
        ck_assert_int_eq(ferry_store_put(other, 1, "1"), 0);
        ferry_store_free(other);
        delete_store(store);
}
END_TEST

START_TEST(a_forked_child_has_no_part_in_the_lock)
{
        ferry_store *store, *other;
        ferry_value *value;
        int status;
        pid_t child;

        begin_store();
        store = open_store(NULL);
        other = open_store(&(ferry_store_options){ .lock_timeout_ms = 10 });
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        ck_assert_int_eq(ferry_store_lock(store, 0), 0);
        child = fork();
        if (child == 0) {
                bool is_well = ferry_store_put(store, 1, "2") == -ECHILD && ferry_store_get(store, 1, &value) == -ECHILD &&
                               ferry_store_lock(store, 0) == -ECHILD && ferry_store_unlock(store) == -ECHILD &&
                               ferry_store_delete(store) == -ECHILD && strstr(ferry_store_error(store), "parent");

                ferry_store_free(store);
                _exit(!is_well);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(ferry_store_put(other, 1, "2"), -ETIMEDOUT);
        ck_assert_int_eq(ferry_store_unlock(store), 0);
        ferry_store_free(other);
        delete_store(store);
}
END_TEST

/* Updates ---------------------------------------------------------------------------------------------- */

static ferry_value *add_one(const ferry_value *value, void *userdata)
{
        (void)userdata;
        return ferry_value_pack("%lld", (long long)ferry_value_int(value, 0) + 1);
}

static ferry_value *give_up(const ferry_value *value, void *userdata)
{
        *(bool *)userdata = value != NULL;
        return NULL;
}

static ferry_value *keep_value(const ferry_value *value, void *userdata)
{
        (void)userdata;
        return ferry_value_ref(value);
}

START_TEST(an_update_reads_and_writes_under_one_lock)
{
        bool had_value = true;
        ferry_store *store;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_update(store, 1, give_up, &had_value), -ECANCELED);
        ck_assert(!had_value);
        ck_assert_int_lt(shmget(store_key, 0, 0), 0);
        ck_assert_int_lt(semget(store_key, 0, 0), 0);
        ck_assert_int_eq(ferry_store_update(store, 1, add_one, NULL), 0);
        ck_assert_int_eq(ferry_store_update(store, 1, add_one, NULL), 0);
        ck_assert_int_eq(ferry_store_update(store, 1, keep_value, NULL), 0);
        ck_assert_int_eq(ferry_store_update(store, 1, give_up, &had_value), -ECANCELED);
        ck_assert(had_value);
        require_int(store, 1, 2);
        delete_store(store);
}
END_TEST

/* Row 45. */
START_TEST(no_update_of_two_writers_is_lost)
{
        enum { WRITERS = 2 };
        size_t count = suite_scale(100000);
        ferry_store *store;
        pid_t children[WRITERS];
        int status;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 2, "'another value'"), 0);
        for (int i = 0; i < WRITERS; i++)
                if ((children[i] = fork()) == 0) {
                        ferry_store *own = ferry_store_open(store_address, NULL);

                        for (size_t done = 0; done < count; done++)
                                if (ferry_store_update(own, 1, add_one, NULL))
                                        _exit(1);
                        _exit(0);
                }
        for (int i = 0; i < WRITERS; i++) {
                ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
                ck_assert_int_eq(status, 0);
        }
        require_int(store, 1, (int64_t)count * WRITERS);
        delete_store(store);
}
END_TEST

static void put_for_ever(unsigned seed, volatile unsigned *count)
{
        ferry_store *store = ferry_store_open(store_address, NULL);
        char text[500];

        for (;;) {
                size_t size = (size_t)rand_r(&seed) % sizeof text;

                memset(text, 'a' + (int)(size % 26), size);
                ferry_store_put(store, 5 + rand_r(&seed) % 3, "%.*s", (int)size, text);
                (*count)++;
                if (rand_r(&seed) % 4 == 0)
                        ferry_store_remove(store, 5 + rand_r(&seed) % 3);
        }
}

static void require_own_text(ferry_store *store, int64_t at)
{
        FERRY_AUTO(ferry_value) value = NULL;
        int code = ferry_store_get(store, at, &value);
        size_t size;
        const char *bytes;

        if (code == -ENOENT)
                return;
        ck_assert_msg(code == 0, "%s", ferry_store_error(store));
        bytes = ferry_value_bytes(value, &size);
        for (size_t i = 0; i < size; i++)
                SUITE_CHECK(bytes[i] == 'a' + (int)(size % 26), "another value at %lld", (long long)at);
}

START_TEST(a_writer_may_be_killed_at_any_moment)
{
        volatile unsigned *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned seed = 7;
        ferry_store *store;

        begin_store();
        store = open_store(&(ferry_store_options){ .bytes = 4000 });
        ck_assert_int_eq(ferry_store_put(store, 1, "'before'"), 0);
        for (size_t round = 0; round < suite_scale(2000); round++) {
                FERRY_AUTO(ferry_value) dropped = NULL;
                FERRY_AUTO(ferry_value) value = NULL;
                pid_t child;
                int code;

                *count = 0;
                child = fork();
                if (child == 0)
                        put_for_ever((unsigned)round + 1, count);
                while (*count < 1 + (unsigned)round % 16)
                        sched_yield();
                for (volatile int i = rand_r(&seed) % 20000; i > 0; i--)
                        continue;
                kill(child, SIGKILL);
                ck_assert_int_eq(waitpid(child, NULL, 0), child);
                code = ferry_store_get(store, 1, &value);
                if (code) {
                        ck_assert_msg(code == -EBADMSG, "%s", ferry_store_error(store));
                        ck_assert_int_eq(ferry_store_repair(store, &dropped), 0);
                        ck_assert_uint_eq(ferry_value_count(dropped), 0);
                        ck_assert_int_eq(ferry_store_get(store, 1, &value), 0);
                }
                ck_assert_str_eq(ferry_value_text(value, ""), "before");
                for (int64_t at = 5; at < 8; at++)
                        require_own_text(store, at);
        }
        delete_store(store);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_lock_is_held_by_one_process),
        SUITE_TEST(a_lock_can_be_held_over_several_calls),
        SUITE_TEST(a_signal_does_not_end_the_wait),
        SUITE_TEST(a_lock_that_was_removed_is_made_again),
        SUITE_TEST(another_set_of_semaphores_is_refused),
        SUITE_TEST(a_lock_with_other_users_outlives_the_segment),
        SUITE_TEST(a_forked_child_has_no_part_in_the_lock),
        SUITE_TEST(an_update_reads_and_writes_under_one_lock),
        SUITE_TEST(no_update_of_two_writers_is_lost),
        SUITE_TEST(a_writer_may_be_killed_at_any_moment),
};

SUITE_MAIN("store-locks", tests)
