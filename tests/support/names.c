/* Directories for services with names, and the servers there: services of ferry and others. */
#include "support/names.h"

#include "support/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

void open_names(struct names *names)
{
        names->loop = ferry_loop_new(NULL);
        /* Where there is one, in memory: a disk takes its time to make and remove files, and others do not run into us. */
        snprintf(names->parent, sizeof names->parent, "%s/ferry-names-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        ck_assert_ptr_nonnull(mkdtemp(names->parent));
        snprintf(names->directory, sizeof names->directory, "%s/ferry", names->parent);
        ck_assert_int_eq(setenv("FERRY_DIR", names->directory, 1), 0);
        /* Dialects with directories of their own have them below. */
        ck_assert_int_eq(setenv("TMPDIR", names->parent, 1), 0);
}

void remove_all(const char *directory)
{
        char command[128];

        snprintf(command, sizeof command, "rm -rf '%s'", directory);
        ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

void close_names(struct names *names)
{
        ferry_loop_free(names->loop);
        remove_all(names->parent);
}

void put_file(const char *path, const char *text, size_t size)
{
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
        close(fd);
}

/* Hold a lock file as a service does that listens; what is in it is the test's. */

const char *path_of(const struct names *names, const char *file)
{
        static char paths[4][160];
        static unsigned next;
        char *path = paths[next++ % 4];

        snprintf(path, sizeof paths[0], "%s/%s", names->directory, file);
        return path;
}

const char *address_of(const struct names *names, const char *file)
{
        static char address[200];

        snprintf(address, sizeof address, "unix:%s", path_of(names, file));
        return address;
}

int bind_plain(const char *path, int backlog)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strncpy(name.sun_path, path, sizeof name.sun_path - 1);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        if (backlog >= 0)
                ck_assert_int_eq(listen(fd, backlog), 0);
        return fd;
}

ferry_service *open_service(ferry_loop *loop, const char *address, const ferry_service_options *options)
{
        ferry_service *service = ferry_service_open(loop, address, options);

        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        return service;
}

pid_t start_service(const char *address, unsigned dialects)
{
        int fds[2], byte = 0;
        pid_t pid;

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                const ferry_service_options options = { .dialects = dialects };
                ferry_loop *loop = ferry_loop_new(NULL);

                if (ferry_service_status(ferry_service_open(loop, address, &options)) != 1 || write(fds[1], &byte, 1) != 1)
                        _exit(1);
                ferry_loop_run(loop, -1);
                _exit(0);
        }
        close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        return pid;
}

void end_service(pid_t pid)
{
        int status;

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

void hold_service(pid_t pid)
{
        siginfo_t info;

        kill(pid, SIGSTOP);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
}
