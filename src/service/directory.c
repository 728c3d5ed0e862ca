/* The services that live. Invariants: what stands in a directory is believed of nothing: a service is there if its lock is held,
 * or the kernel knows a listener, not because there is a file; and whatever is there makes no caller wait. Only a service that
 * says that it speaks a dialect with pings is connected to, in ferry's own directories; a service that does not answer is
 * busy. */
#include "stream/lock.h"
#include "service/probe.h"
#include "session/session.h"
#include "stream/bound.h"
#include "stream/name.h"

#include <ferry/service.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum {
        FILES_MAX = 4096,       /* sockets of one directory that are looked at; filling one hurts those in it only */
        ANSWER_MS = 200,
};

static const char SUFFIX[] = ".sock";

struct service_file {
        struct list link;       /* in the order of names */
        struct bound bound;
        char name[NAME_MAX_SIZE + 1];
        char address[sizeof "unix:" + sizeof ((struct sockaddr_un *)NULL)->sun_path];
        bool is_ours;           /* in a directory of ferry's own */
        bool has_record;
        struct lock_record record;
        ferry_session *probe;
        bool is_busy;
};

/* Without memory or descriptors the list would not be whole. */
static bool is_shortage(int code)
{
        return code == -ENOMEM || code == -EMFILE || code == -ENFILE;
}

/* Looking --------------------------------------------------------------------------------------------- */

static int compare(const struct service_file *a, const struct service_file *b)
{
        int order = strcmp(a->name, b->name);

        return order ? order : strcmp(a->address, b->address);
}

static void insert(struct list *files, struct service_file *file)
{
        struct list *behind = files->previous;

        while (behind != files && compare(container_of(behind, struct service_file, link), file) > 0)
                behind = behind->previous;
        list_append(behind->next, &file->link);
}

static void discard(struct service_file *file)
{
        list_remove(&file->link);
        list_remove(&file->bound.link);
        if (file->probe)
                session_free(file->probe);
        sys_free(file);
}

/* 1: a socket that has the name of a service; if it does not say itself that it lives, it is among the @unknown, too. 0:
 * anything else; or a shortage. */
static int add_file(struct list *files, struct list *unknown, const char *directory, bool is_ours, const char *entry)
{
        size_t size = strlen(entry);
        struct service_file *file;
        const char *path;
        int code;

        if (size < sizeof SUFFIX || size - strlen(SUFFIX) > NAME_MAX_SIZE || strcmp(entry + size - strlen(SUFFIX), SUFFIX) != 0)
                return 0;
        file = sys_alloc_zeroed(sizeof *file);
        if (!file)
                return -ENOMEM;
        list_init(&file->link);
        list_init(&file->bound.link);
        file->is_ours = is_ours;
        memcpy(file->name, entry, size - strlen(SUFFIX));
        path = file->address + strlen("unix:");
        if (!name_is_valid(file->name) ||
            (size_t)snprintf(file->address, sizeof file->address, "unix:%s/%s", directory, entry) >= sizeof file->address - 1 ||
            sys_stat_path(path, &file->bound.stat) < 0 || !S_ISSOCK(file->bound.stat.st_mode)) {
                sys_free(file);
                return 0;
        }
        file->bound.path = path;
        code = lock_read(path, file->bound.stat.st_uid, &file->record);
        if (is_shortage(code)) {
                sys_free(file);
                return code;
        }
        file->has_record = code == 1;
        if (!file->has_record)
                list_append(unknown, &file->bound.link);
        insert(files, file);
        return 1;
}

static int read_directory(struct list *files, struct list *unknown, const char *directory, bool is_ours)
{
        char entries[4096] __attribute__((__aligned__(8)));
        int fd = sys_open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0), code = 0;
        int count = 0;
        ssize_t got;

        if (fd < 0)
                return is_shortage(fd) ? fd : 0;
        while (code >= 0 && count < FILES_MAX && (got = sys_read_directory(fd, entries, sizeof entries)) > 0)
                for (ssize_t at = 0; at < got && code >= 0;) {
                        const struct dirent64 *entry = (const void *)(entries + at);

                        code = add_file(files, unknown, directory, is_ours, entry->d_name);
                        count += code;
                        at += entry->d_reclen;
                }
        sys_close(fd);
        return code < 0 ? code : 0;
}

/* All that might be services; then only those that live. */
static int find(struct list *files)
{
        struct list unknown = LIST_INIT(unknown);
        char directory[PATH_MAX];
        bool is_ours;
        int code, error = 0;

        for (size_t i = 0; !error && (code = name_directory_at(i, directory, sizeof directory, &is_ours)) >= 0; i++)
                if (code == 1)
                        error = read_directory(files, &unknown, directory, is_ours);
        if (!error)
                error = bound_look(&unknown);
        list_for_each(files, link) {
                struct service_file *file = container_of(link, struct service_file, link);

                list_remove(&file->bound.link);
                if (!file->has_record && !file->bound.is_listening)
                        discard(file);
        }
        return is_shortage(error) ? error : 0;
}

/* Asking ---------------------------------------------------------------------------------------------- */

/* One of a set that knows pings, and has no directory of its own, or 0. */
static unsigned dialect_to_ask_in(unsigned dialects)
{
        const struct dialect *dialect;

        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                if ((dialects & dialect->number) && dialect->has_ping && !dialect->directory)
                        return dialect->number;
        return 0;
}

static bool are_all_answered(void *object)
{
        const struct list *files = object;

        for (const struct list *link = files->next; link != files; link = link->next) {
                const ferry_session *probe = container_of(link, const struct service_file, link)->probe;

                if (probe && !session_has_answered(probe))
                        return false;
        }
        return true;
}

/* A service whose queue is full is busy; a service that has gone was about to end. */
static int ask_one(ferry_loop *loop, struct service_file *file)
{
        unsigned dialect = file->is_ours && file->has_record ? dialect_to_ask_in(file->record.dialects) : 0;
        int fd = dialect ? probe_connect(file->bound.path) : -EOPNOTSUPP;

        file->is_busy = fd == -EAGAIN;
        if (fd >= 0)
                file->probe = session_open_probe(loop, fd, dialect);
        else if (fd == -ECONNREFUSED || fd == -ENOENT)
                discard(file);
        else if (dialect && is_shortage(fd))
                return fd;
        return 0;
}

/* Those that do not answer in time are busy, too. */
static int ask(ferry_loop *loop, struct list *files)
{
        int code = 0;

        list_for_each(files, link) {
                code = ask_one(loop, container_of(link, struct service_file, link));
                if (code)
                        return code;
        }
        code = loop_wait(loop, loop_deadline(ANSWER_MS), are_all_answered, files, NULL);
        list_for_each(files, link) {
                struct service_file *file = container_of(link, struct service_file, link);

                file->is_busy = file->is_busy || (file->probe && !session_has_answered(file->probe));
        }
        return loop->is_freed ? -ECANCELED : loop_is_foreign(loop) ? -ECHILD : code == -EDEADLK ? code : 0;
}

/* Telling --------------------------------------------------------------------------------------------- */

static void add_dialects(ferry_builder *builder, unsigned dialects)
{
        const struct dialect *dialect;

        ferry_builder_key(builder, "dialects");
        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (size_t i = 0; (dialect = wire_dialect_at(i)); i++)
                if (dialects & dialect->number)
                        ferry_builder_add(builder, "%s", dialect->name);
        ferry_builder_close(builder);
}

static void add_number(ferry_builder *builder, const char *key, bool is_known, int64_t number)
{
        ferry_builder_key(builder, "%s", key);
        if (is_known)
                ferry_builder_add(builder, "%lld", (long long)number);
        else
                ferry_builder_add(builder, NULL);
}

static ferry_value *make_list(struct list *files)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value = NULL;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        list_for_each(files, link) {
                const struct service_file *file = container_of(link, struct service_file, link);

                ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
                ferry_builder_key(builder, "name");
                ferry_builder_add(builder, "%s", file->name);
                ferry_builder_key(builder, "address");
                ferry_builder_add(builder, "%s", file->address);
                add_number(builder, "pid", file->has_record, file->record.pid);
                add_number(builder, "uid", true, file->bound.stat.st_uid);
                add_dialects(builder, file->record.dialects);
                add_number(builder, "since", file->has_record, file->record.since);
                ferry_builder_key(builder, "busy");
                ferry_builder_add(builder, "%hhd", file->is_busy);
                ferry_builder_close(builder);
        }
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &value);
        return value;
}

ferry_value *ferry_service_list(ferry_loop *loop)
{
        struct list files = LIST_INIT(files);
        ferry_value *value = NULL;

        if (!loop || loop_refuse(loop))
                return NULL;
        loop_enter(loop);
        if (find(&files) == 0 && ask(loop, &files) == 0)
                value = make_list(&files);
        list_for_each(&files, link)
                discard(container_of(link, struct service_file, link));
        loop_leave(loop);
        return value;
}
