/* The objects that the kernel keeps for the user, listed and removed. Invariants: the list opens nothing of another user, waits
 * for nothing, and takes no lock; a socket is removed only while its lock is held here, so no server can start meanwhile. */
#include "channel/semaphore.h"
#include "channel/sysv.h"
#include "stream/bound.h"
#include "stream/held.h"
#include "stream/lock.h"
#include "stream/name.h"
#include "util/buffer.h"
#include "util/sys.h"

#include <ferry/ipc.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        UNKNOWN = -1,
        FIELDS_MAX = 16,
        IDLE_S = 3600,
        FILES_MAX = 4096,       /* of one directory that are looked at */
        SEMAPHORES = 3,         /* of a set of PHP's */
};

static const char QUEUES[] = "/dev/mqueue", LOCK_SUFFIX[] = ".lock";

/* What is UNKNOWN or NULL is null in the list. */
struct object {
        char address[PATH_MAX + 16];
        const char *kind;
        const char *mark;
        bool has_key;
        int64_t key, uid, mode, size, size_max, records, records_max, attached, last_user, used, changed;
};

static struct object make_object(const char *kind)
{
        return (struct object){ .kind = kind, .size = UNKNOWN, .size_max = UNKNOWN, .records = UNKNOWN, .records_max = UNKNOWN,
                                .attached = UNKNOWN, .last_user = UNKNOWN, .used = UNKNOWN, .changed = UNKNOWN };
}

struct listing {
        ferry_builder *builder;
        int64_t now;
        uid_t uid;
        int error;              /* that ends it */
};

static void add_field(ferry_builder *builder, const char *key, bool is_known, int64_t value)
{
        ferry_builder_key(builder, "%s", key);
        if (is_known)
                ferry_builder_add(builder, "%lld", (long long)value);
        else
                ferry_builder_add(builder, NULL);
}

static void add_object(struct listing *listing, const struct object *object)
{
        const struct {
                const char *key;
                int64_t value;
        } fields[] = {
                { "uid", object->uid },
                { "mode", object->mode },
                { "size", object->size },
                { "size_max", object->size_max },
                { "records", object->records },
                { "records_max", object->records_max },
                { "attached", object->attached },
                { "last_user", object->last_user },
                { "used", object->used },
                { "age", object->changed < 0 ? UNKNOWN : object->changed < listing->now ? listing->now - object->changed : 0 },
        };

        /* Root sees those of all. */
        if (listing->uid != 0 && object->uid != (int64_t)listing->uid)
                return;
        ferry_builder_open(listing->builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key(listing->builder, "address");
        ferry_builder_add(listing->builder, "%s", object->address);
        ferry_builder_key(listing->builder, "kind");
        ferry_builder_add(listing->builder, "%s", object->kind);
        add_field(listing->builder, "key", object->has_key, object->key);
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                add_field(listing->builder, fields[i].key, fields[i].value >= 0, fields[i].value);
        ferry_builder_key(listing->builder, "mark");
        ferry_builder_add(listing->builder, "%s", object->mark);
        ferry_builder_close(listing->builder);
}

/* These errors are no property of one object. */
static bool is_fatal(int code)
{
        return code == -ENOMEM || code == -EMFILE || code == -ENFILE;
}

static void note(struct listing *listing, int code)
{
        if (is_fatal(code) && !listing->error)
                listing->error = code == -ENFILE ? -EMFILE : code;
}

static int64_t later(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

/* A queue with records that no process has touched for long. */
static const char *mark_idle(const struct listing *listing, const struct object *object)
{
        return object->records > 0 && listing->now - later(object->used, object->changed) >= IDLE_S ? "idle" : NULL;
}

/* SysV objects, from /proc/sysvipc/ (proc(5)) ---------------------------------------------------------- */

static void read_queue(struct listing *listing, const int64_t *fields)
{
        struct object object = make_object("msgq");
        struct msqid_ds state;

        object.uid = fields[7];
        object.size = fields[3];
        object.records = fields[4];
        object.last_user = fields[11] >= fields[12] ? fields[5] : fields[6];
        object.used = later(fields[11], fields[12]);
        object.changed = fields[13];
        if (sys_msg_control((int)fields[1], IPC_STAT, &state) == 0)
                object.size_max = (int64_t)state.msg_qbytes;
        object.mark = mark_idle(listing, &object);
        snprintf(object.address, sizeof object.address, "msgq:#%d", (int)fields[1]);
        object.has_key = fields[0] != IPC_PRIVATE;
        object.key = fields[0];
        object.mode = fields[2];
        add_object(listing, &object);
}

static void read_segment(struct listing *listing, const int64_t *fields)
{
        struct object object = make_object("shm");

        object.uid = fields[7];
        object.size = fields[3];
        object.last_user = fields[5];
        object.attached = fields[6];
        object.used = later(fields[11], fields[12]);
        object.changed = fields[13];
        object.mark = fields[6] == 0 ? "unattached" : NULL;
        snprintf(object.address, sizeof object.address, "shm:#%d", (int)fields[1]);
        object.has_key = fields[0] != IPC_PRIVATE;
        object.key = fields[0];
        object.mode = fields[2];
        add_object(listing, &object);
}

static void read_semaphores(struct listing *listing, const int64_t *fields)
{
        struct object object = make_object("sem");

        object.uid = fields[4];
        if (fields[3] == SEMAPHORES) {
                object.attached = sys_sem_value((int)fields[1], 1, GETVAL, 0);
                object.last_user = sys_sem_value((int)fields[1], 0, GETPID, 0);
                object.mark = object.attached == 0 ? "unused" : NULL;
        }
        object.used = fields[8];
        object.changed = fields[9];
        snprintf(object.address, sizeof object.address, "sem:#%d", (int)fields[1]);
        object.has_key = fields[0] != IPC_PRIVATE;
        object.key = fields[0];
        object.mode = fields[2];
        add_object(listing, &object);
}

/* The numbers of a line; permissions are octal. The end of the line. */
static const char *read_line(const char *line, int64_t fields[FIELDS_MAX], size_t *ret_count)
{
        const char *end = strchr(line, '\n');

        *ret_count = 0;
        while (end && *ret_count < FIELDS_MAX) {
                char *behind;
                int64_t number = strtoll(line, &behind, *ret_count == 2 ? 8 : 10);

                if (behind == line || behind > end)
                        break;
                fields[(*ret_count)++] = number;
                line = behind;
        }
        return end ? end + 1 : line + strlen(line);
}

static int read_file(const char *path, struct buffer *buffer)
{
        int fd = sys_open(path, O_RDONLY, 0);
        ssize_t got = 1;

        if (fd < 0)
                return fd;
        while (got > 0) {
                void *room = buffer_reserve(buffer, 4096);

                got = room ? sys_read(fd, room, 4096) : -ENOMEM;
                buffer->end += got > 0 ? (size_t)got : 0;
        }
        sys_close(fd);
        return got < 0 ? (int)got : buffer_append(buffer, "", 1);
}

static void list_sysv(struct listing *listing, const char *path, size_t needed,
                      void (*read)(struct listing *listing, const int64_t *fields))
{
        struct buffer buffer = { 0 };
        int64_t fields[FIELDS_MAX];
        const char *line;
        size_t count;
        int code = read_file(path, &buffer);

        note(listing, code);
        /* The first line has the names. */
        line = code ? "" : read_line((const char *)buffer.memory, fields, &count);
        while (*line) {
                line = read_line(line, fields, &count);
                if (count >= needed)
                        read(listing, fields);
        }
        buffer_deinit(&buffer);
}

/* Directories ------------------------------------------------------------------------------------------ */

typedef void entry_fn(struct listing *listing, const char *directory, const char *name);

static void read_directory(struct listing *listing, const char *directory, entry_fn *fn)
{
        char entries[4096] __attribute__((__aligned__(8)));
        int fd = sys_open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0), count = 0;
        ssize_t got;

        note(listing, fd);
        if (fd < 0)
                return;
        while (count < FILES_MAX && (got = sys_read_directory(fd, entries, sizeof entries)) > 0)
                for (ssize_t at = 0; at < got;) {
                        const struct dirent64 *entry = (const void *)(entries + at);

                        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                                fn(listing, directory, entry->d_name);
                                count++;
                        }
                        at += entry->d_reclen;
                }
        sys_close(fd);
}

static struct object describe_file(const char *kind, const char *path, const struct stat *stat)
{
        struct object object = make_object(kind);

        object.uid = stat->st_uid;
        object.mode = stat->st_mode & 07777;
        object.changed = stat->st_ctime;
        snprintf(object.address, sizeof object.address, "%s:%s", kind, path);
        return object;
}

/* POSIX queues, mq_overview(7) ------------------------------------------------------------------------- */

/* What only the queue itself says; its descriptor reads as "QSIZE:bytes NOTIFY:…". */
static void read_attributes(struct listing *listing, const char *name, struct object *object)
{
        struct mq_attr attributes;
        char text[80];
        ssize_t got;
        int fd = sys_mqueue_open(name, O_RDONLY, 0, NULL);

        note(listing, fd);
        if (fd < 0)
                return;
        if (sys_mqueue_attributes(fd, &attributes) == 0) {
                object->records = attributes.mq_curmsgs;
                object->records_max = attributes.mq_maxmsg;
                object->size_max = attributes.mq_maxmsg * attributes.mq_msgsize;
        }
        got = sys_read(fd, text, sizeof text - 1);
        text[got > 0 ? got : 0] = '\0';
        if (strncmp(text, "QSIZE:", 6) == 0)
                object->size = strtoll(text + 6, NULL, 10);
        sys_close(fd);
}

static void read_posix_queue(struct listing *listing, const char *directory, const char *name)
{
        struct object object;
        struct stat stat;
        char path[PATH_MAX];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        if (sys_stat_path(path, &stat) < 0)
                return;
        object = describe_file("mqueue", name, &stat);
        object.used = later(stat.st_atime, stat.st_mtime);
        if (listing->uid == 0 || stat.st_uid == listing->uid)
                read_attributes(listing, name, &object);
        object.mark = mark_idle(listing, &object);
        add_object(listing, &object);
}

/* 0, or -ENOTSUP if they cannot be seen: the directory is another file system than what it stands in. */
static int list_posix_queues(struct listing *listing)
{
        struct stat queues, outside;

        if (sys_stat_path(QUEUES, &queues) < 0 || sys_stat_path("/dev", &outside) < 0 || queues.st_dev == outside.st_dev)
                return -ENOTSUP;
        read_directory(listing, QUEUES, read_posix_queue);
        return 0;
}

/* Sockets, locks and FIFOs ----------------------------------------------------------------------------- */

static bool has_suffix(const char *path)
{
        size_t size = strlen(path);

        return size > strlen(LOCK_SUFFIX) && strcmp(path + size - strlen(LOCK_SUFFIX), LOCK_SUFFIX) == 0;
}

/* Whether a socket is bound: 1, 0, or a negative errno. */
static int look_at_socket(const char *path, const struct stat *stat, bool *ret_is_listening)
{
        struct list sockets = LIST_INIT(sockets);
        struct bound bound = { .stat = *stat, .path = path };
        int code;

        list_append(&sockets, &bound.link);
        code = bound_look(&sockets);
        *ret_is_listening = bound.is_listening;
        return code ? code : bound.is_bound;
}

static void read_socket(struct listing *listing, const char *path, const struct stat *stat)
{
        struct object object;
        bool is_listening;
        pid_t pid;
        int is_bound = look_at_socket(path, stat, &is_listening), is_locked = lock_look(path, &pid);

        note(listing, is_bound);
        note(listing, is_locked);
        object = describe_file(is_bound > 0 && !is_listening ? "udg" : "unix", path, stat);
        object.last_user = is_locked == 1 && pid > 0 ? pid : UNKNOWN;
        object.mark = is_bound == 0 && is_locked == 0 ? "stale" : NULL;
        add_object(listing, &object);
}

static void read_lock(struct listing *listing, const char *path, const struct stat *stat)
{
        struct object object = describe_file("lock", path, stat);
        char base[PATH_MAX];
        pid_t pid;
        int is_locked;

        snprintf(base, sizeof base, "%.*s", (int)(strlen(path) - strlen(LOCK_SUFFIX)), path);
        is_locked = lock_look(base, &pid);
        /* Another program's. */
        if (is_locked == -ENOTSUP)
                return;
        note(listing, is_locked);
        object.size = stat->st_size;
        object.last_user = is_locked == 1 && pid > 0 ? pid : UNKNOWN;
        object.mark = is_locked == 0 ? "stale" : NULL;
        add_object(listing, &object);
}

static void read_entry(struct listing *listing, const char *directory, const char *name)
{
        struct object object;
        struct stat stat;
        char path[PATH_MAX];

        /* A longer path is no socket's. */
        if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= LOCK_PATH_MAX || sys_stat_path(path, &stat) < 0 ||
            (listing->uid != 0 && stat.st_uid != listing->uid))
                return;
        if (S_ISSOCK(stat.st_mode))
                read_socket(listing, path, &stat);
        else if (S_ISREG(stat.st_mode) && has_suffix(path))
                read_lock(listing, path, &stat);
        else if (S_ISFIFO(stat.st_mode)) {
                object = describe_file("fifo", path, &stat);
                object.used = later(stat.st_atime, stat.st_mtime);
                add_object(listing, &object);
        }
}

static void list_files(struct listing *listing)
{
        char directory[PATH_MAX];
        bool is_ours;
        int code;

        for (size_t i = 0; (code = name_directory_at(i, directory, sizeof directory, &is_ours)) >= 0; i++)
                if (code == 1)
                        read_directory(listing, directory, read_entry);
}

int ferry_ipc_list(ferry_value **ret_list)
{
        struct listing listing = { .builder = ferry_builder_new(), .now = sys_wall_clock(), .uid = sys_uid() };
        int code, missing;

        *ret_list = NULL;
        ferry_builder_open(listing.builder, FERRY_VALUE_LIST, NULL);
        list_sysv(&listing, "/proc/sysvipc/msg", 14, read_queue);
        list_sysv(&listing, "/proc/sysvipc/shm", 14, read_segment);
        list_sysv(&listing, "/proc/sysvipc/sem", 10, read_semaphores);
        missing = list_posix_queues(&listing);
        list_files(&listing);
        ferry_builder_close(listing.builder);
        code = ferry_builder_finish(listing.builder, listing.error ? NULL : ret_list);
        return listing.error ? listing.error : code ? code : missing;
}

/* Removing --------------------------------------------------------------------------------------------- */

/* What the kernel says of an object that is removed. */
static int explain(int code)
{
        return code == -EIDRM || code == -EINVAL ? -ENOENT : code == -EACCES ? -EPERM : code;
}

/* The identifier of an object, or a negative errno. */
static int find_object(const char *address, const char *rest, const struct sysv_kind *kind, struct sysv_name *ret_name)
{
        struct error error = { 0 };
        int code = sysv_parse(address, rest, ret_name, &error);

        error_deinit(&error);
        if (code)
                return code;
        if (ret_name->how == SYSV_PRIVATE)
                return -EINVAL;
        return ret_name->how == SYSV_ID ? ret_name->id : kind->get(ret_name->key, 0, 0);
}

static int remove_queue(const char *address, const char *rest)
{
        struct sysv_name name;
        int id = find_object(address, rest, &sysv_queue, &name);

        return id < 0 ? id : explain(sys_msg_control(id, IPC_RMID, NULL));
}

static int remove_segment(const char *address, const char *rest)
{
        struct sysv_name name = { .how = SYSV_ID };
        struct semaphore lock;
        struct shmid_ds state;
        int id = find_object(address, rest, &sysv_segment, &name), code;

        /* PHP's shm_remove() leaves the lock. */
        if (id == -ENOENT && name.how == SYSV_KEY) {
                semaphore_init(&lock, address, name.key, 0, false);
                return semaphore_remove(&lock) ? 0 : id;
        }
        if (id < 0)
                return id;
        code = sys_shm_control(id, IPC_STAT, &state);
        if (!code && (state.shm_perm.mode & SHM_DEST))
                return -ENOENT;
        if (!code)
                code = sys_shm_control(id, IPC_RMID, NULL);
        if (!code && state.shm_perm.__key != IPC_PRIVATE) {
                semaphore_init(&lock, address, state.shm_perm.__key, 0, false);
                semaphore_remove(&lock);
        }
        return explain(code);
}

static int remove_semaphores(const char *address, const char *rest)
{
        struct sysv_name name;
        struct semid_ds state;
        int id = find_object(address, rest, &sysv_semaphores, &name), code;

        if (id < 0)
                return id;
        code = sys_sem_control(id, IPC_STAT, &state);
        if (!code && state.sem_nsems == SEMAPHORES && sys_sem_value(id, 1, GETVAL, 0) > 0)
                return -EBUSY;
        return explain(code ? code : sys_sem_control(id, IPC_RMID, NULL));
}

static int remove_posix_queue(const char *address, const char *rest)
{
        const char *name = rest + (*rest == '/');

        (void)address;
        return !*name || strchr(name, '/') || strlen(name) > NAME_MAX ? -EINVAL : explain(sys_mqueue_unlink(name));
}

/* Checks that the user may remove the file at that path. */
static int check_file(const char *path, mode_t type, struct stat *ret_stat)
{
        uid_t uid = sys_uid();
        int code;

        if (!*path)
                return -EINVAL;
        code = sys_stat_path(path, ret_stat);
        if (code)
                return code == -ENOTDIR ? -ENOENT : code;
        if ((ret_stat->st_mode & S_IFMT) != type)
                return -ENOTSUP;
        return uid == 0 || ret_stat->st_uid == uid ? 0 : -EPERM;
}

static int remove_fifo(const char *address, const char *rest)
{
        struct stat stat;
        int code = check_file(rest, S_IFIFO, &stat);

        (void)address;
        return code ? code : explain(held_remove_at(rest, stat.st_dev, stat.st_ino));
}

/* Removes a socket and its lock, or a lock whose socket is gone, while the lock is held here. */
static int remove_locked(const struct held *socket, int lock)
{
        struct stat stat;
        bool is_listening;
        int code = held_stat(socket, "", &stat), is_bound;

        if (!code && S_ISSOCK(stat.st_mode)) {
                is_bound = look_at_socket(socket->path, &stat, &is_listening);
                if (is_bound)
                        return is_bound < 0 ? is_bound : -EBUSY;
                code = held_remove(socket, "", stat.st_dev, stat.st_ino);
        }
        if (code && code != -ENOENT)
                return explain(code);
        return explain(lock_remove(lock, socket));
}

static int remove_stale(const char *path, bool had_lock)
{
        struct error error = { 0 };
        struct held socket;
        pid_t pid;
        int code = held_open(&socket, path), lock;

        if (code)
                return explain(code);
        lock = lock_take(&socket, &error);
        error_deinit(&error);
        if (lock >= 0) {
                code = remove_locked(&socket, lock);
                /* One that was made here to keep servers out. */
                if (code && !had_lock)
                        lock_remove(lock, &socket);
                sys_close(lock);
        } else if (lock == -EADDRINUSE)
                code = lock_look(path, &pid) == 1 ? -EBUSY : -ENOTSUP;
        else
                code = explain(lock);
        held_close(&socket);
        return code;
}

static int remove_socket(const char *address, const char *path)
{
        struct stat stat;
        pid_t pid;
        int code, is_locked;

        (void)address;
        if (strlen(path) >= sizeof ((struct sockaddr_un *)NULL)->sun_path)
                return -EINVAL;
        code = check_file(path, S_IFSOCK, &stat);
        if (code)
                return code;
        is_locked = lock_look(path, &pid);
        return is_locked == 1 ? -EBUSY : remove_stale(path, is_locked != -ENOENT);
}

static int remove_lock(const char *address, const char *path)
{
        char base[LOCK_PATH_MAX];
        struct stat stat;
        int code;

        (void)address;
        if (!has_suffix(path) || strlen(path) >= LOCK_PATH_MAX - 1)
                return -EINVAL;
        code = check_file(path, S_IFREG, &stat);
        snprintf(base, sizeof base, "%.*s", (int)(strlen(path) - strlen(LOCK_SUFFIX)), path);
        return code ? code : remove_stale(base, true);
}

int ferry_ipc_remove(const char *address)
{
        static const struct {
                const char *scheme;
                int (*remove)(const char *address, const char *rest);
        } kinds[] = {
                { "msgq:", remove_queue },      { "shm:", remove_segment }, { "sem:", remove_semaphores },
                { "mqueue:", remove_posix_queue }, { "fifo:", remove_fifo }, { "unix:", remove_socket },
                { "udg:", remove_socket },      { "lock:", remove_lock },
        };

        for (size_t i = 0; address && i < sizeof kinds / sizeof *kinds; i++)
                if (strncmp(address, kinds[i].scheme, strlen(kinds[i].scheme)) == 0)
                        return kinds[i].remove(address, address + strlen(kinds[i].scheme));
        return -EINVAL;
}
