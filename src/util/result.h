/* The results of system calls, for the files of the door: sys.c, sys_process.c, sys_ipc.c. */
#pragma once

#include <errno.h>

/* The result of a call, with its errno if it failed. */
#define RESULT(call)                                    \
        ({                                              \
                __typeof__(call) result_ = (call);      \
                result_ < 0 ? -errno : result_;         \
        })

#define RESULT_UNINTERRUPTED(call)                                      \
        ({                                                              \
                __typeof__(call) result_;                               \
                do                                                      \
                        result_ = (call);                               \
                while (result_ < 0 && errno == EINTR);                  \
                result_ < 0 ? -errno : result_;                         \
        })
