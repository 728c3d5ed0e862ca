/* PHP's sequence of operations on its semaphores, in full: a process that is not counted in semaphore 1 would have its lock
 * taken away by the next sem_get(), which sets semaphore 0 to 1 where it finds itself to be the only user. */
#include "channel/semaphore.h"

#include "channel/sysv.h"
#include "util/sys.h"

#include <errno.h>
#include <stdio.h>

enum {
        NUMBER_LOCK = 0,
        NUMBER_USERS = 1,
        NUMBER_GUARD = 2,
        NUMBERS = 3,
        ATTEMPTS = 16,          /* to find a set that is not removed meanwhile */
};

void semaphore_init(struct semaphore *semaphore, const char *address, key_t key, unsigned mode, bool is_strict)
{
        *semaphore = (struct semaphore){ .address = address, .key = key, .mode = mode, .is_strict = is_strict, .id = -1,
                                         .lost = -1 };
}

/* A signal does not end the wait. */
static int operate(const struct semaphore *semaphore, struct sembuf *operations, size_t count, int64_t deadline)
{
        int64_t left = INT64_MAX;
        int code;

        do {
                if (deadline != INT64_MAX)
                        left = deadline - sys_now();
                code = sys_sem_operate(semaphore->id, operations, count, left < 0 ? 0 : left);
        } while (code == -EINTR);
        return code;
}

static int change(const struct semaphore *semaphore, unsigned short number, short by, int64_t deadline)
{
        struct sembuf operation = { .sem_num = number, .sem_op = by, .sem_flg = SEM_UNDO };

        return operate(semaphore, &operation, 1, deadline);
}

/* Whether the set no longer exists. */
static bool is_gone(int code)
{
        return code == -EIDRM || code == -EINVAL;
}

/* A set that is there after all still counts this process. */
static void lose(struct semaphore *semaphore)
{
        if (semaphore->is_user)
                semaphore->lost = semaphore->id;
        semaphore->is_user = false;
}

static int check_set(struct semaphore *semaphore, struct error *error)
{
        struct semid_ds state;
        char what[512];
        int code = sys_sem_control(semaphore->id, IPC_STAT, &state);

        if (is_gone(code))
                return code;
        snprintf(what, sizeof what, "the lock of '%s'", semaphore->address);
        if (code)
                return error_set(error, code, "cannot use %s: %s", what, error_describe(code));
        code = sysv_check_owner(&state.sem_perm, what, semaphore->is_strict, &semaphore->is_wide, error);
        if (!code && state.sem_nsems != NUMBERS)
                code = error_set(error, -EINVAL, "cannot use %s: its key is that of %lu semaphores, which PHP's sem_get() has"
                                                 " not created; use another key", what, (unsigned long)state.sem_nsems);
        return code;
}

/* Becomes a user, as sem_get() does. */
static int enter(struct semaphore *semaphore, int64_t deadline, struct error *error)
{
        struct sembuf operations[] = { { NUMBER_GUARD, 0, 0 }, { NUMBER_GUARD, 1, SEM_UNDO }, { NUMBER_USERS, 1, SEM_UNDO } };
        int code, users;

        semaphore->id = sysv_get(&sysv_semaphores, semaphore->key, NUMBERS, semaphore->mode, &semaphore->is_new);
        if (semaphore->id < 0)
                return error_set(error, semaphore->id, "cannot find or create the lock of '%s': %s", semaphore->address,
                                 error_describe(semaphore->id));
        code = check_set(semaphore, error);
        if (!code && semaphore->id == semaphore->lost) {
                semaphore->is_user = true;
                return 0;
        }
        if (!code)
                code = operate(semaphore, operations, NUMBERS, deadline);
        if (code)
                return code;
        semaphore->is_user = true;
        semaphore->lost = -1;
        users = sys_sem_value(semaphore->id, NUMBER_USERS, GETVAL, 0);
        if (users == 1)
                code = sys_sem_value(semaphore->id, NUMBER_LOCK, SETVAL, 1);
        else if (users < 0)
                code = users;
        users = change(semaphore, NUMBER_GUARD, -1, INT64_MAX);
        return code ? code : users;
}

static int refuse(const struct semaphore *semaphore, int code, struct error *error)
{
        int holder;

        if (error->code)
                return error->code;
        if (code == -EAGAIN) {
                holder = sys_sem_value(semaphore->id, NUMBER_LOCK, GETPID, 0);
                if (holder > 0)
                        return error_set(error, -ETIMEDOUT, "cannot take the lock of '%s' in time: process %d holds it",
                                         semaphore->address, holder);
                return error_set(error, -ETIMEDOUT, "cannot take the lock of '%s' in time: another process holds it", semaphore->address);
        }
        if (is_gone(code))
                return error_set(error, -EIDRM, "cannot take the lock of '%s': it is removed again and again", semaphore->address);
        return error_set(error, code, "cannot take the lock of '%s': %s", semaphore->address, error_describe(code));
}

int semaphore_lock(struct semaphore *semaphore, int64_t deadline, struct error *error)
{
        int code = -EIDRM;

        for (int attempt = 0; attempt < ATTEMPTS && semaphore->depth == 0 && is_gone(code); attempt++) {
                code = semaphore->is_user ? 0 : enter(semaphore, deadline, error);
                if (!code)
                        code = change(semaphore, NUMBER_LOCK, -1, deadline);
                if (error->code)
                        break;
                if (is_gone(code))
                        lose(semaphore);
        }
        if (semaphore->depth == 0 && code) {
                code = refuse(semaphore, code, error);
                semaphore_leave(semaphore);
                if (semaphore->is_new)
                        semaphore_remove(semaphore);
                return code;
        }
        semaphore->depth++;
        return 0;
}

int semaphore_unlock(struct semaphore *semaphore)
{
        if (semaphore->depth == 0)
                return -EPERM;
        if (--semaphore->depth == 0 && semaphore->is_user && change(semaphore, NUMBER_LOCK, 1, INT64_MAX) < 0)
                lose(semaphore);
        return 0;
}

void semaphore_leave(struct semaphore *semaphore)
{
        if (semaphore->depth > 0) {
                semaphore->depth = 1;
                semaphore_unlock(semaphore);
        }
        if (semaphore->is_user)
                change(semaphore, NUMBER_USERS, -1, sys_now());
        semaphore->is_user = false;
}

bool semaphore_remove(struct semaphore *semaphore)
{
        struct semid_ds state;
        int id = sysv_semaphores.get(semaphore->key, 0, 0), users, own;

        if (id < 0 || sys_sem_control(id, IPC_STAT, &state) < 0 || state.sem_nsems != NUMBERS)
                return false;
        users = sys_sem_value(id, NUMBER_USERS, GETVAL, 0);
        own = semaphore->is_user && semaphore->id == id ? 1 : 0;
        if (users < 0 || users > own || sys_sem_control(id, IPC_RMID, NULL) < 0)
                return false;
        semaphore->is_user = false;
        return true;
}

int semaphore_look(key_t key, struct semaphore_state *ret_state)
{
        struct semid_ds state;
        int id = sysv_semaphores.get(key, 0, 0), code;

        if (id < 0)
                return id;
        code = sys_sem_control(id, IPC_STAT, &state);
        if (code)
                return code;
        if (state.sem_nsems != NUMBERS)
                return -EINVAL;
        *ret_state = (struct semaphore_state){ .id = id, .mode = state.sem_perm.mode & 0777 };
        ret_state->users = sys_sem_value(id, NUMBER_USERS, GETVAL, 0);
        if (sys_sem_value(id, NUMBER_LOCK, GETVAL, 0) == 0 && ret_state->users > 0)
                ret_state->holder = sys_sem_value(id, NUMBER_LOCK, GETPID, 0);
        return 0;
}
