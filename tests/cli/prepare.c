/* Runs a command as a shell cannot: prepare WORD… -- COMMAND [ARGUMENT]…, where the words are
 *
 *      nonblock-0, nonblock-1, nonblock-2   set O_NONBLOCK for that descriptor
 *      ignore-NUMBER, block-NUMBER          ignore or block a signal
 *      terminal                             stdout and stderr are a terminal, whose bytes are copied to stdout
 *      writes                               stderr is a socket that keeps its writes apart: a line of stdout for each, "N bytes"
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void execute(char **command)
{
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
}

static int end_as(pid_t child)
{
        int status;

        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_on_terminal(char **command)
{
        struct termios raw;
        char bytes[4096];
        int master, slave;
        ssize_t got;
        pid_t child;

        memset(&raw, 0, sizeof raw);
        cfmakeraw(&raw);
        if (openpty(&master, &slave, NULL, &raw, NULL) < 0)
                return 125;
        child = fork();
        if (child == 0) {
                dup2(slave, 1);
                dup2(slave, 2);
                close(master);
                close(slave);
                execute(command);
        }
        close(slave);
        while ((got = read(master, bytes, sizeof bytes)) > 0)
                if (write(1, bytes, (size_t)got) != got)
                        return 125;
        return end_as(child);
}

static int count_writes(char **command)
{
        char bytes[65536];
        int pair[2];
        ssize_t got;
        pid_t child;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return 125;
        child = fork();
        if (child == 0) {
                dup2(pair[1], 2);
                execute(command);
        }
        close(pair[1]);
        while ((got = read(pair[0], bytes, sizeof bytes)) > 0)
                printf("%zd bytes, %s\n", got, bytes[got - 1] == '\n' ? "whole" : "a part");
        return end_as(child);
}

int main(int argc, char **argv)
{
        int (*how)(char **command) = NULL;
        sigset_t set;

        sigemptyset(&set);
        for (argc--, argv++; argc > 0 && strcmp(*argv, "--") != 0; argc--, argv++) {
                const char *number = strrchr(*argv, '-');
                int value = number ? atoi(number + 1) : 0;

                if (strncmp(*argv, "nonblock-", 9) == 0)
                        fcntl(value, F_SETFL, fcntl(value, F_GETFL) | O_NONBLOCK);
                else if (strncmp(*argv, "ignore-", 7) == 0)
                        signal(value, SIG_IGN);
                else if (strncmp(*argv, "block-", 6) == 0)
                        sigaddset(&set, value);
                else if (strcmp(*argv, "terminal") == 0)
                        how = run_on_terminal;
                else if (strcmp(*argv, "writes") == 0)
                        how = count_writes;
        }
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (argc < 2)
                return 125;
        if (how)
                return how(argv + 1);
        execute(argv + 1);
}
