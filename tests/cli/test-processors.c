/* The default number of workers: what the affinity mask and the CPU quotas of control groups leave of the processors. The files
 * of the kernel stand in a folder of the test, and its mask is the one that the test chooses. */
#include "../../cli/cli.h"
#include "support/suite.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];
static int processors = 64;
static size_t kernel_size = 8;  /* of a mask, in bytes */
static int refusal;

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
        (void)pid;
        if (refusal || size < kernel_size) {
                errno = refusal ? refusal : EINVAL;
                return -1;
        }
        CPU_ZERO_S(size, set);
        for (int i = 0; i < processors; i++)
                CPU_SET_S((size_t)i, size, set);
        return 0;
}

static void begin(void)
{
        strcpy(root, "/tmp/ferry-processors-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
}

static void end(void)
{
        char command[128];

        snprintf(command, sizeof command, "rm -r %s", root);
        ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *path, const char *text)
{
        char name[512];
        FILE *file;

        snprintf(name, sizeof name, "%s%s", root, path);
        for (char *at = strchr(name + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
                *at = '\0';
                mkdir(name, 0700);
                *at = '/';
        }
        file = fopen(name, "we");
        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        ck_assert_int_eq(fclose(file), 0);
}

static void write_unified(const char *path)
{
        char line[256];

        write_file("/proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n"
                                           "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
        snprintf(line, sizeof line, "0::%s\n", path);
        write_file("/proc/self/cgroup", line);
}

START_TEST(the_affinity_mask_is_counted)
{
        begin();
        ck_assert_int_eq(processors_available(root), 64);
        processors = 1;
        ck_assert_int_eq(processors_available(root), 1);
        /* A machine with more processors than a cpu_set_t has. */
        kernel_size = 1024;
        processors = 5000;
        ck_assert_int_eq(processors_available(root), 5000);
        refusal = EPERM;
        ck_assert_int_eq(processors_available(root), 1);
        end();
}
END_TEST

START_TEST(a_quota_is_rounded_up)
{
        static const struct {
                const char *quota;
                long expected;
        } cases[] = { { "max 100000\n", 64 }, { "250000 100000\n", 3 }, { "200000 100000\n", 2 }, { "200001 100000\n", 3 },
                      { "1000 100000\n", 1 }, { "50000 50000", 1 }, { "10000000 100000\n", 64 }, { "100000 0\n", 64 },
                      { "", 64 }, { "junk\n", 64 }, { "-5 -5\n", 64 }, { "0 100000\n", 64 }, { "99999999999999999999 1\n", 64 } };

        begin();
        write_unified("/a");
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                write_file("/sys/fs/cgroup/a/cpu.max", cases[i].quota);
                ck_assert_msg(processors_available(root) == cases[i].expected, "%s: %ld", cases[i].quota, processors_available(root));
        }
        processors = 2;
        write_file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
        ck_assert_int_eq(processors_available(root), 2);
        end();
}
END_TEST

START_TEST(the_smallest_quota_of_the_path_counts)
{
        begin();
        write_unified("/a/b/c");
        write_file("/sys/fs/cgroup/a/b/c/cpu.max", "900000 100000\n");
        ck_assert_int_eq(processors_available(root), 9);
        write_file("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
        ck_assert_int_eq(processors_available(root), 2);
        /* That of a container is at the mount point, and there alone. */
        write_file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
        ck_assert_int_eq(processors_available(root), 1);
        write_file("/sys/fs/cgroup/cpu.max", "max 100000\n");
        ck_assert_int_eq(processors_available(root), 2);
        write_unified("/");
        ck_assert_int_eq(processors_available(root), 64);
        write_unified("/../elsewhere");
        ck_assert_int_eq(processors_available(root), 64);
        end();
}
END_TEST

START_TEST(a_container_s_quota_is_at_its_mount_point)
{
        begin();
        write_file("/proc/self/mountinfo", "30 22 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        write_file("/proc/self/cgroup", "0::/docker/1/inner\n");
        write_file("/sys/fs/cgroup/cpu.max", "700000 100000\n");
        write_file("/sys/fs/cgroup/inner/cpu.max", "600000 100000\n");
        ck_assert_int_eq(processors_available(root), 6);
        write_file("/proc/self/cgroup", "0::/docker/12\n");
        ck_assert_int_eq(processors_available(root), 7);
        end();
}
END_TEST

START_TEST(a_quota_of_version_1_counts)
{
        begin();
        write_file("/proc/self/mountinfo",
                   "31 30 0:27 / /sys/fs/cgroup/cpu\\040time rw shared:5 master:3 - cgroup cgroup rw,cpuacct,cpu\n"
                   "32 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                   "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        write_file("/proc/self/cgroup", "5:cpuset:/s\n4:cpu,cpuacct:/a/b\n0::/u\n");
        write_file("/sys/fs/cgroup/cpu time/a/b/cpu.cfs_quota_us", "-1\n");
        write_file("/sys/fs/cgroup/cpu time/a/b/cpu.cfs_period_us", "100000\n");
        ck_assert_int_eq(processors_available(root), 64);
        write_file("/sys/fs/cgroup/cpu time/a/cpu.cfs_quota_us", "320000\n");
        write_file("/sys/fs/cgroup/cpu time/a/cpu.cfs_period_us", "100000\n");
        ck_assert_int_eq(processors_available(root), 4);
        write_file("/sys/fs/cgroup/cpu time/a/b/cpu.cfs_quota_us", "150000\n");
        ck_assert_int_eq(processors_available(root), 2);
        write_file("/sys/fs/cgroup/unified/u/cpu.max", "10000 100000\n");
        ck_assert_int_eq(processors_available(root), 1);
        end();
}
END_TEST

START_TEST(malformed_files_set_no_limit)
{
        static const char *const lines[] = { "", "\n", " - ", "- cgroup2\n", "1 2 3 4 - cgroup2 cgroup2 rw\n", "1 2 3 / /x rw - cgroup2\n",
                                             "1 2 3 / /sys/fs/cgroup rw - cgroup cgroup\n", "a b c d e f - cgroup2 g h\n" };

        begin();
        write_file("/sys/fs/cgroup/a/cpu.max", "10000 100000\n");
        write_file("/proc/self/cgroup", "0::/a\n");
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                write_file("/proc/self/mountinfo", lines[i]);
                ck_assert_msg(processors_available(root) == 64, "%s", lines[i]);
        }
        for (size_t i = 0; i < 4; i++) {
                write_unified("/a");
                write_file("/proc/self/cgroup", (const char *const[]){ "", "0:", "0::", ":::\n:\n" }[i]);
                ck_assert_int_eq(processors_available(root), 64);
        }
        end();
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_affinity_mask_is_counted),
        SUITE_TEST(a_quota_is_rounded_up),
        SUITE_TEST(the_smallest_quota_of_the_path_counts),
        SUITE_TEST(a_container_s_quota_is_at_its_mount_point),
        SUITE_TEST(a_quota_of_version_1_counts),
        SUITE_TEST(malformed_files_set_no_limit),
};

SUITE_MAIN("processors", tests)
