/* What some C libraries do not have, as glibc has it. meson.build asks which functions are missing, and puts this file before
 * each source then, so nothing else depends on the library. */
#pragma once

#ifdef LACKS_SIGABBREV
#include <signal.h>
#include <stddef.h>

static inline const char *sigabbrev_np(int signal)
{
        static const struct {
                int signal;
                const char *name;
        } names[] = {
                { SIGHUP, "HUP" }, { SIGINT, "INT" }, { SIGQUIT, "QUIT" }, { SIGILL, "ILL" }, { SIGTRAP, "TRAP" }, { SIGABRT, "ABRT" },
                { SIGBUS, "BUS" }, { SIGFPE, "FPE" }, { SIGKILL, "KILL" }, { SIGUSR1, "USR1" }, { SIGSEGV, "SEGV" },
                { SIGUSR2, "USR2" }, { SIGPIPE, "PIPE" }, { SIGALRM, "ALRM" }, { SIGTERM, "TERM" }, { SIGCHLD, "CHLD" },
                { SIGCONT, "CONT" }, { SIGSTOP, "STOP" }, { SIGTSTP, "TSTP" }, { SIGTTIN, "TTIN" }, { SIGTTOU, "TTOU" },
                { SIGURG, "URG" }, { SIGXCPU, "XCPU" }, { SIGXFSZ, "XFSZ" }, { SIGVTALRM, "VTALRM" }, { SIGPROF, "PROF" },
                { SIGWINCH, "WINCH" }, { SIGIO, "POLL" }, { SIGPWR, "PWR" }, { SIGSYS, "SYS" },
#ifdef SIGSTKFLT
                { SIGSTKFLT, "STKFLT" },
#endif
        };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (names[i].signal == signal)
                        return names[i].name;
        return NULL;
}
#endif

#ifdef LACKS_STRERRORDESC
#include <string.h>

/* musl's texts are constants in English, unless a program has catalogues for them. */
static inline const char *strerrordesc_np(int error)
{
        return strerror(error);
}
#endif

#ifdef LACKS_CLOSE_RANGE
#include <sys/syscall.h>
#include <unistd.h>

static inline int close_range(unsigned first, unsigned last, int flags)
{
        return (int)syscall(SYS_close_range, first, last, flags);
}
#endif

#ifdef LACKS_PWRITEV2
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static inline ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
        /* The kernel takes the offset in two halves, whatever a long has. */
        return syscall(SYS_pwritev2, fd, pieces, (long)count, (long)offset, (long)((int64_t)offset >> 32), flags);
}
#endif
