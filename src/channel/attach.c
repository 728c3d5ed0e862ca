/* The segment of a store: found, made, attached, checked and locked anew by each call. Invariants: the segment that is used is
 * the one to which the key leads now, since others may remove it and make a new one; it belongs to the user or to root; a call
 * that fails leaves no object behind that it has made. */
#include "channel/store.h"

#include "util/sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ATTEMPTS = 16 };         /* to find a segment that is not removed meanwhile */

void store_detach(ferry_store *store)
{
        if (store->segment.memory)
                sys_shm_detach(store->segment.memory);
        store->segment = (struct segment){ 0 };
        store->id = -1;
        store->is_read_only = false;
}

/* Whether the segment was removed before it could be used. */
static bool is_gone(int code)
{
        return code == -EIDRM || code == -EINVAL;
}

static int say_missing(ferry_store *store)
{
        if (store->name.how == SYSV_KEY && sysv_queue.get(store->name.key, 0, 0) >= 0)
                return error_set(&store->error, -ENOENT, "'%s' has no segment: its key is that of a message queue; use another key",
                                 store->address);
        return error_set(&store->error, -ENOENT, store->name.how == SYSV_KEY ? "'%s' has no segment yet: put creates one" :
                         "'%s' does not exist", store->address);
}

static int check_segment(ferry_store *store, int id, struct shmid_ds *ret_state)
{
        char what[512];
        bool is_wide;
        int code = sys_shm_control(id, IPC_STAT, ret_state);

        if (is_gone(code) || (!code && (ret_state->shm_perm.mode & SHM_DEST)))
                return -EIDRM;
        snprintf(what, sizeof what, "the segment of '%s'", store->address);
        if (code)
                return error_set(&store->error, code, "cannot use %s: %s", what, error_describe(code));
        return sysv_check_owner(&ret_state->shm_perm, what, store->options.is_strict, &is_wide, &store->error);
}

/* A segment that can only be read is better than none. */
static int attach(ferry_store *store, int id)
{
        struct shmid_ds state;
        int code = check_segment(store, id, &state);
        void *memory;

        if (code)
                return code;
        memory = sys_shm_attach(id, 0, &code);
        if (code == -EACCES) {
                memory = sys_shm_attach(id, SHM_RDONLY, &code);
                store->is_read_only = !code;
        }
        if (is_gone(code))
                return -EIDRM;
        if (code)
                return error_set(&store->error, code, "cannot attach the segment of '%s': %s", store->address, error_describe(code));
        store->segment = (struct segment){ memory, state.shm_segsz };
        store->id = id;
        return 0;
}

/* The identifier to which the address leads, or a negative errno. */
static int find_segment(const ferry_store *store)
{
        return store->name.how == SYSV_ID ? store->name.id : sysv_segment.get(store->name.key, 0, 0);
}

/* Whether the attached segment is still the one. An identifier stays that of a removed segment while it is attached. */
static bool is_attached(const ferry_store *store, int id)
{
        struct shmid_ds state;

        if (!store->segment.memory || store->id != id)
                return false;
        return store->name.how == SYSV_KEY ||
               (sys_shm_control(id, IPC_STAT, &state) == 0 && !(state.shm_perm.mode & SHM_DEST));
}

int store_attach(ferry_store *store)
{
        int code = -EIDRM;

        for (int attempt = 0; attempt < ATTEMPTS && code == -EIDRM; attempt++) {
                int id = find_segment(store);

                if (id >= 0 && is_attached(store, id))
                        return 0;
                store_detach(store);
                code = id < 0 ? id : attach(store, id);
        }
        if (!code)
                return 0;
        if (code == -ENOENT || code == -EIDRM)
                return say_missing(store);
        return error_set(&store->error, code, "cannot find the segment of '%s': %s", store->address, error_describe(code));
}

int store_create(ferry_store *store)
{
        int code = store_attach(store), id;
        bool is_new = false;

        for (int attempt = 0; attempt < ATTEMPTS && store->name.how == SYSV_KEY && (code == -ENOENT || code == -EIDRM); attempt++) {
                error_deinit(&store->error);
                id = sysv_get(&sysv_segment, store->name.key, store->options.bytes, store->options.mode, &is_new);
                if (id < 0)
                        return error_set(&store->error, id, "cannot create a segment of %zu bytes for '%s': %s%s",
                                         store->options.bytes,
                                         store->address, error_describe(id), id == -EINVAL ?
                                         ": the system's limits are in /proc/sys/kernel/shmmax and shmall" : "");
                code = attach(store, id);
                if (code && is_new)
                        sys_shm_control(id, IPC_RMID, NULL);
        }
        return code == -EIDRM ? say_missing(store) : code;
}

int store_refuse(ferry_store *store)
{
        if (!store)
                return -ENOMEM;
        if (store->failure)
                return store->failure;
        error_deinit(&store->error);
        if (store_is_foreign(store))
                return error_set(&store->error, -ECHILD, "'%s' was opened by the parent of this process: open it again", store->address);
        return 0;
}

int store_begin(ferry_store *store, enum store_want want)
{
        int64_t deadline = INT64_MAX;
        int code = store_refuse(store);

        if (code)
                return code;
        /* An object of another user is refused before anything is made beside it. */
        if (!store->segment.memory)
                code = store_attach(store);
        if (code && (want == STORE_PRESENT || code != -ENOENT))
                return code;
        error_deinit(&store->error);
        if (store->options.lock_timeout_ms >= 0)
                deadline = sys_now() + (int64_t)store->options.lock_timeout_ms * 1000000;
        code = store->options.is_unlocked ? 0 : semaphore_lock(&store->lock, deadline, &store->error);
        if (code)
                return code;
        code = want == STORE_MADE ? store_create(store) : store_attach(store);
        if (code == -ENOENT && want == STORE_ANY) {
                error_deinit(&store->error);
                code = 0;
        }
        if (code)
                store_end(store);
        return code;
}

void store_end(ferry_store *store)
{
        if (store->options.is_unlocked)
                return;
        if (!store->segment.memory && store->lock.is_new && store->lock.depth == 1)
                semaphore_remove(&store->lock);
        semaphore_unlock(&store->lock);
}
