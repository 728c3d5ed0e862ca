/* Stores: the calls of store.h. Each takes the lock, looks whether the segment is still the one, and works in it. Bytes that
 * others may change are copied out of the segment before they are decoded. */
#include "channel/store.h"

#include "util/options.h"
#include "util/sys.h"
#include "util/text.h"
#include "value/codec.h"

#include <ferry/codec.h>

#include <errno.h>
#include <string.h>

enum {
        BYTES_DEFAULT = 10000,
        MODE_DEFAULT = 0600,
        LOCK_TIMEOUT_MS = 5000,
};

static const char SCHEME[] = "shm:";

/* Opening ---------------------------------------------------------------------------------------------- */

static int read_options(ferry_store *store, const ferry_store_options *options)
{
        static const struct options_kind kind = {
                .name = "ferry_store_options", .size = sizeof *options,
                .times = { { "lock_timeout_ms", offsetof(ferry_store_options, lock_timeout_ms), false } },
        };
        int code = options_copy(&kind, &store->options, options, &store->error);

        if (code)
                return code;
        if (store->options.mode & ~0777U)
                return error_set(&store->error, -EINVAL, "the mode %o has other bits than the permissions 0777",
                                 store->options.mode);
        if (!store->options.bytes)
                store->options.bytes = BYTES_DEFAULT;
        if (!store->options.mode)
                store->options.mode = MODE_DEFAULT;
        if (!store->options.lock_timeout_ms)
                store->options.lock_timeout_ms = LOCK_TIMEOUT_MS;
        return 0;
}

static int read_address(ferry_store *store, struct sysv_key_file *ret_file)
{
        const char *text = store->address + strlen(SCHEME);
        int code = 0;

        if (strncmp(store->address, SCHEME, strlen(SCHEME)) != 0)
                return error_set(&store->error, -EINVAL, "'%s' is not an address of a store: write shm:PATH or shm:KEY",
                                 store->address);
        if (store->options.is_creating)
                code = sysv_make_key_file(store->address, text, ret_file, &store->error);
        if (!code)
                code = sysv_parse(store->address, text, &store->name, &store->error);
        if (!code && store->name.how == SYSV_PRIVATE)
                code = error_set(&store->error, -EINVAL, "'%s' is not an address of a store: only queues can be private",
                                 store->address);
        return code;
}

/* The lock of a segment that is named by its identifier has the segment's key. */
static int read_key(ferry_store *store)
{
        struct shmid_ds state;
        int code;

        if (store->name.how == SYSV_ID) {
                code = sys_shm_control(store->name.id, IPC_STAT, &state);
                if (code == -EIDRM || code == -EINVAL || (!code && (state.shm_perm.mode & SHM_DEST)))
                        return error_set(&store->error, -ENOENT, "'%s' does not exist", store->address);
                if (code)
                        return error_set(&store->error, code, "cannot use '%s': %s", store->address, error_describe(code));
                store->name.key = state.shm_perm.__key;
                if (store->name.key == IPC_PRIVATE && !store->options.is_unlocked)
                        return error_set(&store->error, -EINVAL, "'%s' has no key, and so no lock: open it without one (is_unlocked)",
                                         store->address);
        }
        semaphore_init(&store->lock, store->address, store->name.key, store->options.mode, store->options.is_strict);
        return 0;
}

/* An object of another user is refused at once, and not by the first call. */
static int look(ferry_store *store)
{
        int code;

        if (store->options.is_creating) {
                code = store_begin(store, STORE_MADE);
                if (!code)
                        store_end(store);
                return code;
        }
        code = store_attach(store);
        if (code == -ENOENT) {
                error_deinit(&store->error);
                return 0;
        }
        return code;
}

static int open_store(ferry_store *store, const char *address, const ferry_store_options *options)
{
        struct sysv_key_file file = { 0 };
        int code;

        store->address = text_copy(address);
        store->alive = sys_map_wiped_on_fork();
        if (!store->address || !store->alive)
                return error_set(&store->error, -ENOMEM, "no memory for a store");
        *store->alive = 1;
        code = read_options(store, options);
        if (!code)
                code = read_address(store, &file);
        if (!code)
                code = read_key(store);
        if (!code)
                code = look(store);
        /* Nothing is left of a store that could not be opened. */
        if (code)
                sysv_remove_key_file(store->address + strlen(SCHEME), &file);
        return code;
}

ferry_store *ferry_store_open(const char *address, const ferry_store_options *options)
{
        ferry_store *store = sys_alloc_zeroed(sizeof *store);

        if (!store)
                return NULL;
        store->id = -1;
        semaphore_init(&store->lock, "", IPC_PRIVATE, 0, false);
        store->failure = open_store(store, address ? address : "", options);
        return store;
}

ferry_store *ferry_store_free(ferry_store *store)
{
        if (!store)
                return NULL;
        /* A forked child has no part in the lock: releasing it would release the parent's. */
        if (!store_is_foreign(store))
                semaphore_leave(&store->lock);
        store_detach(store);
        if (store->alive)
                sys_unmap_page(store->alive);
        error_deinit(&store->error);
        sys_free(store->address);
        sys_free(store);
        return NULL;
}

int ferry_store_status(const ferry_store *store)
{
        return !store ? -ENOMEM : store->failure ? store->failure : 1;
}

const char *ferry_store_error(const ferry_store *store)
{
        return store ? error_text(&store->error) : "no memory for a store";
}

/* Variables -------------------------------------------------------------------------------------------- */

/* Why the segment cannot be used for variables. */
static int say_torn(ferry_store *store)
{
        struct segment_flaw flaw = { "another process changed it meanwhile", 0 };

        segment_check(&store->segment, &flaw);
        if (segment_is_foreign(&store->segment))
                return error_set(&store->error, -EBADMSG, "the segment of '%s' cannot be used here: a program of %d bits has made it, and"
                                                          " this one has %d", store->address, SEGMENT_UNIT == 8 ? 32 : 64,
                                 SEGMENT_UNIT * 8);
        if (segment_has_magic(&store->segment))
                return error_set(&store->error, -EBADMSG, "the segment of '%s' is torn at byte %zu: %s; repair it to keep the"
                                                          " complete values",
                                 store->address, flaw.offset, flaw.reason);
        return error_set(&store->error, -EBADMSG, "the segment of '%s' holds raw bytes, no variables: read and write them as such",
                         store->address);
}

static int say(ferry_store *store, int code, int64_t key, size_t size)
{
        if (code == -EBADMSG)
                return say_torn(store);
        if (code == -ENOENT)
                return error_set(&store->error, code, "'%s' has no variable %lld", store->address, (long long)key);
        if (code == -ENOSPC)
                return error_set(&store->error, code,
                                 "'%s' has no room for %zu bytes under %lld: the segment has %zu bytes and never grows",
                                 store->address, size, (long long)key, store->segment.memory ? store->segment.size : store->options.bytes);
        if (code == -ERANGE)
                return error_set(&store->error, code, "the key %lld is outside of the integers of PHP, which have %d bits on this machine",
                                 (long long)key, SEGMENT_UNIT * 8);
        return code ? error_set(&store->error, code, "no memory for a variable of '%s'", store->address) : 0;
}

static int refuse_read_only(ferry_store *store)
{
        return store->is_read_only ? error_set(&store->error, -EACCES, "the segment of '%s' can only be read", store->address) : 0;
}

static int put_bytes(ferry_store *store, int64_t key, const void *bytes, size_t size)
{
        int code = 0;

        /* A segment that would be too small is not made. */
        if (!store->segment.memory && !segment_has_room(store->options.bytes, size))
                code = store_attach(store) == -ENOENT ? -ENOSPC : 0;
        error_deinit(&store->error);
        if (code)
                return say(store, code, key, size);
        code = store_begin(store, STORE_MADE);
        if (code)
                return code;
        code = refuse_read_only(store);
        if (!code)
                code = say(store, segment_put(&store->segment, key, bytes, size), key, size);
        store_end(store);
        return code;
}

static int put_value(ferry_store *store, int64_t key, const ferry_value *value)
{
        struct buffer buffer = { 0 };
        char reason[96] = "";
        int code = codec_encode(ferry_codec_php(), value, &buffer, UINT32_MAX, reason);

        if (code)
                error_set(&store->error, code, "cannot write the value %lld of '%s': %s", (long long)key, store->address,
                          *reason ? reason : error_describe(code));
        else
                code = put_bytes(store, key, buffer_bytes(&buffer), buffer_size(&buffer));
        buffer_deinit(&buffer);
        return code;
}

int ferry_store_put(ferry_store *store, int64_t key, const char *format, ...)
{
        struct brief brief;
        const ferry_value *value;
        va_list arguments;
        int code = store_refuse(store);

        if (code)
                return code;
        va_start(arguments, format);
        value = brief_build(&brief, ferry_codec_php(), format, arguments, &store->error);
        va_end(arguments);
        code = value ? put_value(store, key, value) : store->error.code;
        brief_deinit(&brief);
        return code;
}

int ferry_store_put_value(ferry_store *store, int64_t key, const ferry_value *value)
{
        return ferry_store_put(store, key, "%p", ferry_arg(value));
}

/* A copy, for sys_free(). */
static int copy_bytes(ferry_store *store, int64_t key, void **ret_bytes, size_t *ret_size)
{
        struct segment_chunk chunk;
        int code = store->segment.memory ? segment_find(&store->segment, key, &chunk) : -ENOENT;

        *ret_bytes = code ? NULL : sys_alloc(chunk.length + 1);
        if (!code && !*ret_bytes)
                code = -ENOMEM;
        if (code)
                return say(store, code, key, 0);
        memcpy(*ret_bytes, store->segment.memory + chunk.offset + SEGMENT_CHUNK, chunk.length);
        *ret_size = chunk.length;
        return 0;
}

static int get_value(ferry_store *store, int64_t key, ferry_value **ret_value)
{
        size_t size = 0, offset = 0;
        void *bytes = NULL;
        int code = copy_bytes(store, key, &bytes, &size);

        if (!code) {
                code = ferry_codec_decode(ferry_codec_php(), bytes, size, ret_value, &offset);
                if (code == -ENOMEM)
                        say(store, code, key, 0);
                else if (code)
                        code = error_set(&store->error, -EBADMSG, "the value %lld of '%s' is not in the format of PHP's"
                                                                  " serialize() at byte %zu of %zu", (long long)key,
                                                                  store->address, offset, size);
        }
        sys_free(bytes);
        return code;
}

int ferry_store_get(ferry_store *store, int64_t key, ferry_value **ret_value)
{
        int code = store_begin(store, STORE_PRESENT);

        *ret_value = NULL;
        if (code)
                return code;
        code = get_value(store, key, ret_value);
        store_end(store);
        return code;
}

int ferry_store_has(ferry_store *store, int64_t key)
{
        struct segment_chunk chunk;
        int code = store_begin(store, STORE_PRESENT);

        if (code == -ENOENT && !store->failure) {
                error_deinit(&store->error);
                return 0;
        }
        if (code)
                return code;
        code = segment_find(&store->segment, key, &chunk);
        if (code != -ENOENT)
                say(store, code, key, 0);
        store_end(store);
        return code == -ENOENT ? 0 : code ? code : 1;
}

int ferry_store_remove(ferry_store *store, int64_t key)
{
        struct segment_chunk chunk;
        int code = store_begin(store, STORE_PRESENT);

        if (code)
                return code;
        code = segment_find(&store->segment, key, &chunk);
        if (!code)
                code = refuse_read_only(store);
        if (!code)
                code = segment_remove(&store->segment, key);
        say(store, code, key, 0);
        store_end(store);
        return code;
}

int ferry_store_list(ferry_store *store, ferry_value **ret_list)
{
        struct segment_chunk chunk = { 0 };
        ferry_builder *builder;
        int code = store_begin(store, STORE_PRESENT), built, more;

        *ret_list = NULL;
        if (code)
                return code;
        code = segment_check(&store->segment, NULL);
        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        while (!code && (more = segment_next(&store->segment, &chunk)) != 0) {
                code = more < 0 ? more : 0;
                if (!code)
                        ferry_builder_add(builder, "{key: %lld, size: %zu, offset: %zu}", (long long)chunk.key, chunk.length,
                                          chunk.offset);
        }
        ferry_builder_close(builder);
        built = ferry_builder_finish(builder, code ? NULL : ret_list);
        code = say(store, code ? code : built, 0, 0);
        store_end(store);
        return code;
}

static int update(ferry_store *store, int64_t key, ferry_store_update_fn *fn, void *userdata)
{
        ferry_value *before = NULL, *after;
        int code = get_value(store, key, &before);

        if (code && code != -ENOENT)
                return code;
        error_deinit(&store->error);
        after = fn(before, userdata);
        code = after ? put_value(store, key, after) :
                       error_set(&store->error, -ECANCELED, "the update of %lld in '%s' was abandoned", (long long)key,
                                 store->address);
        ferry_value_unref(before);
        ferry_value_unref(after);
        return code;
}

int ferry_store_update(ferry_store *store, int64_t key, ferry_store_update_fn *fn, void *userdata)
{
        int code = store_begin(store, STORE_ANY);

        if (code)
                return code;
        code = refuse_read_only(store);
        if (!code)
                code = update(store, key, fn, userdata);
        store_end(store);
        return code;
}

/* The lock --------------------------------------------------------------------------------------------- */

int ferry_store_lock(ferry_store *store, int timeout_ms)
{
        int64_t deadline = timeout_ms < 0 ? INT64_MAX : sys_now() + (int64_t)timeout_ms * 1000000;
        int code = store_refuse(store);

        if (code)
                return code;
        if (timeout_ms < -1)
                return error_set(&store->error, -EINVAL, "%d is not a timeout: write a time in ms, or -1 for forever",
                                 timeout_ms);
        if (store->options.is_unlocked)
                return error_set(&store->error, -EOPNOTSUPP, "'%s' was opened without a lock (is_unlocked)", store->address);
        return semaphore_lock(&store->lock, deadline, &store->error);
}

int ferry_store_unlock(ferry_store *store)
{
        int code = store_refuse(store);

        if (code)
                return code;
        code = semaphore_unlock(&store->lock);
        return code ? error_set(&store->error, code, "the lock of '%s' is not held", store->address) : 0;
}

/* Raw bytes -------------------------------------------------------------------------------------------- */

ssize_t ferry_store_read(ferry_store *store, size_t offset, void *buffer, size_t size)
{
        int code = store_begin(store, STORE_PRESENT);
        size_t room;

        if (code)
                return code;
        if (offset > store->segment.size)
                code = error_set(&store->error, -EINVAL, "cannot read '%s' from byte %zu: it has %zu bytes", store->address, offset,
                                 store->segment.size);
        room = code ? 0 : store->segment.size - offset;
        if (size > room)
                size = room;
        if (size > 0)
                memcpy(buffer, store->segment.memory + offset, size);
        store_end(store);
        return code ? code : (ssize_t)size;
}

static int check_range(ferry_store *store, size_t bytes, size_t offset, size_t size)
{
        if (offset > bytes)
                return error_set(&store->error, -EINVAL, "cannot write '%s' from byte %zu: it has %zu bytes", store->address, offset,
                                 bytes);
        if (size > bytes - offset)
                return error_set(&store->error, -ENOSPC, "cannot write %zu bytes from byte %zu of '%s': it has %zu bytes", size, offset,
                                 store->address, bytes);
        return 0;
}

ssize_t ferry_store_write(ferry_store *store, size_t offset, const void *bytes, size_t size)
{
        int code = store_refuse(store);

        /* A segment that would be too small is not made. */
        if (!code && !store->segment.memory && store_attach(store) == -ENOENT) {
                error_deinit(&store->error);
                code = check_range(store, store->options.bytes, offset, size);
        }
        if (!code)
                code = store_begin(store, STORE_MADE);
        if (code)
                return code;
        code = check_range(store, store->segment.size, offset, size);
        if (!code)
                code = refuse_read_only(store);
        if (!code && size > 0)
                memcpy(store->segment.memory + offset, bytes, size);
        store_end(store);
        return code ? code : (ssize_t)size;
}

/* Repair and removal ----------------------------------------------------------------------------------- */

static int add_loss(const struct segment_loss *loss, void *object)
{
        ferry_builder *builder = object;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key(builder, "offset");
        ferry_builder_add(builder, "%zu", loss->offset);
        ferry_builder_key(builder, "size");
        ferry_builder_add(builder, "%zu", loss->size);
        ferry_builder_key(builder, "key");
        if (loss->has_key)
                ferry_builder_add(builder, "%lld", (long long)loss->key);
        else
                ferry_builder_add(builder, NULL);
        ferry_builder_key(builder, "reason");
        ferry_builder_add(builder, "%s", loss->reason);
        ferry_builder_close(builder);
        return 0;
}

int ferry_store_repair(ferry_store *store, ferry_value **ret_dropped)
{
        ferry_builder *builder;
        int code = store_begin(store, STORE_PRESENT), built;

        if (ret_dropped)
                *ret_dropped = NULL;
        if (code)
                return code;
        code = segment_check(&store->segment, NULL) ? refuse_read_only(store) : 0;
        builder = ferry_builder_new();
        if (!code && !builder)
                code = -ENOMEM;
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        if (!code)
                code = segment_repair(&store->segment, add_loss, builder);
        ferry_builder_close(builder);
        built = ferry_builder_finish(builder, code ? NULL : ret_dropped);
        code = store->error.code ? store->error.code : say(store, code ? code : built, 0, 0);
        store_end(store);
        return code;
}

int ferry_store_delete(ferry_store *store)
{
        int code = store_begin(store, STORE_PRESENT);

        /* PHP's shm_remove() leaves the lock. */
        if (code == -ENOENT && !store->failure && store->lock.depth == 0 && semaphore_remove(&store->lock)) {
                error_deinit(&store->error);
                return 0;
        }
        if (code)
                return code;
        code = sys_shm_control(store->id, IPC_RMID, NULL);
        if (code == -EIDRM || code == -EINVAL)
                code = -ENOENT;
        if (code)
                error_set(&store->error, code, "cannot remove the segment of '%s': %s", store->address, error_describe(code));
        store_detach(store);
        if (!code && store->name.key != IPC_PRIVATE)
                semaphore_remove(&store->lock);
        store_end(store);
        return code;
}

/* What is known ---------------------------------------------------------------------------------------- */

static void add_integer(ferry_builder *builder, const char *key, bool is_known, int64_t integer)
{
        ferry_builder_key(builder, "%s", key);
        if (is_known)
                ferry_builder_add(builder, "%lld", (long long)integer);
        else
                ferry_builder_add(builder, NULL);
}

static void add_bool(ferry_builder *builder, const char *key, bool is_known, bool value)
{
        ferry_builder_key(builder, "%s", key);
        if (is_known)
                ferry_builder_add(builder, "%hhd", value);
        else
                ferry_builder_add(builder, NULL);
}

/* @store is NULL where there is no segment. */
static void add_segment(ferry_builder *builder, const ferry_store *store)
{
        struct shmid_ds state = { 0 };
        size_t unused = 0;
        bool is_there = store && sys_shm_control(store->id, IPC_STAT, &state) == 0;
        bool is_whole = is_there && segment_count_free(&store->segment, &unused) == 0;

        add_integer(builder, "id", is_there, store ? store->id : 0);
        add_integer(builder, "size", is_there, (int64_t)state.shm_segsz);
        add_integer(builder, "uid", is_there, state.shm_perm.uid);
        add_integer(builder, "mode", is_there, state.shm_perm.mode & 0777);
        add_bool(builder, "is_wide", is_there, (state.shm_perm.mode & 077) != 0);
        add_integer(builder, "attached", is_there, (int64_t)state.shm_nattch);
        add_integer(builder, "creator", is_there, state.shm_cpid);
        add_integer(builder, "last_user", is_there && state.shm_lpid, state.shm_lpid);
        add_integer(builder, "attached_at", is_there && state.shm_atime, state.shm_atime);
        add_integer(builder, "detached_at", is_there && state.shm_dtime, state.shm_dtime);
        add_integer(builder, "changed_at", is_there, state.shm_ctime);
        add_bool(builder, "is_read_only", is_there, store && store->is_read_only);
        add_integer(builder, "free", is_whole, (int64_t)unused);
}

static void add_lock(ferry_builder *builder, const ferry_store *store)
{
        struct semaphore_state state = { 0 };
        bool is_there = store && store->name.key != IPC_PRIVATE && semaphore_look(store->name.key, &state) == 0;

        add_integer(builder, "lock", is_there, state.id);
        add_integer(builder, "lock_mode", is_there, state.mode);
        add_integer(builder, "lock_users", is_there && state.users >= 0, state.users);
        add_integer(builder, "lock_holder", is_there && state.holder > 0, state.holder);
}

ferry_value *ferry_store_info(ferry_store *store)
{
        bool is_open = store && !store->failure && !store_is_foreign(store);
        ferry_builder *builder = ferry_builder_new();
        ferry_value *info = NULL;

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key(builder, "address");
        if (store)
                ferry_builder_add(builder, "%s", store->address);
        else
                ferry_builder_add(builder, NULL);
        add_integer(builder, "key", is_open && store->name.key != IPC_PRIVATE, is_open ? store->name.key : 0);
        add_segment(builder, is_open && store_attach(store) == 0 ? store : NULL);
        add_lock(builder, is_open ? store : NULL);
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &info);
        if (is_open)
                error_deinit(&store->error);
        return info;
}
