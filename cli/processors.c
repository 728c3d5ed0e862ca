/* The number of processors that this process may use: those of its affinity mask, or fewer, if a control group has a CPU quota.
 * A quota binds all groups below the one that it is set for, so each group on the path from the mount point down is read. What
 * cannot be read sets no limit. */
#include "cli.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long affinity_count(void)
{
        /* The kernel refuses a set that is smaller than its own. */
        for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
                cpu_set_t *set = CPU_ALLOC((size_t)bits);
                size_t size = CPU_ALLOC_SIZE((size_t)bits);
                int count = 0, error = 0;

                if (!set)
                        return 1;
                if (sched_getaffinity(0, size, set) == 0)
                        count = CPU_COUNT_S(size, set);
                else
                        error = errno;
                CPU_FREE(set);
                if (count > 0)
                        return count;
                if (error != EINVAL)
                        break;
        }
        return 1;
}

/* A file of one line with up to two words: false if it does not exist, or is empty. */
static bool read_words(const char *group, const char *name, char first[32], char second[32])
{
        char *path = NULL;
        FILE *file;
        int count = 0;

        if (asprintf(&path, "%s/%s", group, name) < 0)
                return false;
        file = fopen(path, "re");
        free(path);
        if (!file)
                return false;
        *second = '\0';
        count = fscanf(file, "%31s %31s", first, second);
        fclose(file);
        return count >= 1;
}

static void lower(long *limit, const char *quota, const char *period)
{
        long long microseconds = strtoll(quota, NULL, 10), of = strtoll(period, NULL, 10), rounded;

        /* "max" and -1 are no limit. */
        if (microseconds <= 0 || of <= 0)
                return;
        rounded = microseconds / of + (microseconds % of != 0);
        if (rounded < *limit)
                *limit = (long)rounded;
}

static void apply_group(const char *group, bool is_unified, long *limit)
{
        char quota[32], period[32], unused[32];

        if (is_unified) {
                if (read_words(group, "cpu.max", quota, period))
                        lower(limit, quota, period);
        } else if (read_words(group, "cpu.cfs_quota_us", quota, unused) && read_words(group, "cpu.cfs_period_us", period, unused))
                lower(limit, quota, period);
}

/* @path is that of the group in its hierarchy, @mounted the group that stands at the mount point. */
static void apply_hierarchy(const char *mount_point, const char *mounted, const char *path, bool is_unified, long *limit)
{
        size_t size = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted), base = strlen(mount_point);
        char *group = NULL;

        /* In a container the path may be one of the host, which cannot be seen from there. */
        if (strncmp(path, mounted, size) != 0 || (path[size] != '/' && path[size]) || strstr(path, "/.."))
                path = "";
        else
                path += size;
        if (asprintf(&group, "%s%s", mount_point, path) < 0)
                return;
        for (char *end = group + base;; end++) {
                char byte = *end;

                if (byte && byte != '/')
                        continue;
                *end = '\0';
                apply_group(group, is_unified, limit);
                *end = byte;
                if (!byte)
                        break;
        }
        free(group);
}

static bool lists(const char *list, const char *name)
{
        size_t size = strlen(name);

        for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
                if (strncmp(at, name, size) == 0 && (!at[size] || at[size] == ',' || at[size] == '\n'))
                        return true;
        return false;
}

/* The path of this process in the unified hierarchy, or in that of the controller cpu; the caller's, or NULL. */
static char *find_path(const char *root, bool is_unified)
{
        char *name = NULL, *line = NULL, *found = NULL;
        size_t capacity = 0;
        FILE *file = asprintf(&name, "%s/proc/self/cgroup", root) < 0 ? NULL : fopen(name, "re");

        while (file && !found && getline(&line, &capacity, file) > 0) {
                /* ID:CONTROLLERS:PATH */
                char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

                if (!path)
                        continue;
                *path++ = '\0';
                path[strcspn(path, "\n")] = '\0';
                controllers++;
                if (is_unified ? !*controllers && strncmp(line, "0:", 2) == 0 : lists(controllers, "cpu"))
                        found = strdup(path);
        }
        if (file)
                fclose(file);
        free(line);
        free(name);
        return found;
}

/* mountinfo writes space, tab, newline and backslash as \ and three octal digits. */
static void unescape(char *text)
{
        char *to = text;

        for (const char *at = text; *at; at++) {
                if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' && at[3] <= '7') {
                        *to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
                        at += 3;
                } else
                        *to++ = *at;
        }
        *to = '\0';
}

static void apply_mount(const char *root, char *line, long *limit)
{
        /* ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS [TAG]... - TYPE SOURCE SUPER-OPTIONS */
        char *rest = strstr(line, " - "), *word[5], *save = NULL, *at = line, *type, *options, *path, *mount_point = NULL;
        bool is_unified;

        if (!rest)
                return;
        *rest = '\0';
        for (int i = 0; i < 5; i++, at = NULL)
                if (!(word[i] = strtok_r(at, " ", &save)))
                        return;
        type = strtok_r(rest + 3, " ", &save);
        options = strtok_r(NULL, " ", &save) ? strtok_r(NULL, " ", &save) : NULL;
        if (!type || !options)
                return;
        is_unified = strcmp(type, "cgroup2") == 0;
        if (!is_unified && (strcmp(type, "cgroup") != 0 || !lists(options, "cpu")))
                return;
        unescape(word[3]);
        unescape(word[4]);
        path = find_path(root, is_unified);
        if (path && asprintf(&mount_point, "%s%s", root, word[4]) >= 0) {
                apply_hierarchy(mount_point, word[3], path, is_unified, limit);
                free(mount_point);
        }
        free(path);
}

long processors_available(const char *root)
{
        char *name = NULL, *line = NULL;
        size_t capacity = 0;
        long limit = affinity_count();
        FILE *file = asprintf(&name, "%s/proc/self/mountinfo", root) < 0 ? NULL : fopen(name, "re");

        while (file && getline(&line, &capacity, file) > 0)
                apply_mount(root, line, &limit);
        if (file)
                fclose(file);
        free(line);
        free(name);
        return limit;
}
