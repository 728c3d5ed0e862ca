/* System calls without the C library, for a child that runs in the memory of its parent until it is another program: errno, what
 * the C library notes about signals, and what a sanitizer notes about descriptors are the parent's there. */
#pragma once

#include <sys/syscall.h>

/* A function that exec ends does not return. ThreadSanitizer, which counts calls and returns, must not count it: its notes are
 * the parent's, too, and would grow with each child. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RAW_UNCOUNTED __attribute__((disable_sanitizer_instrumentation))
#endif
#elif defined(__SANITIZE_THREAD__)
#define RAW_UNCOUNTED __attribute__((no_sanitize_thread))
#endif
#ifndef RAW_UNCOUNTED
#define RAW_UNCOUNTED
#endif

/* A call, which returns its result or a negative errno; and clone(2) with a stack, whose top is a multiple of 16: the child calls
 * a function and exits with what that returns. */
#ifdef __x86_64__

static inline long raw_call(long number, long first, long second, long third, long fourth)
{
        register long r10 __asm__("r10") = fourth;
        long result;

        __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
                         : "rcx", "r11", "memory");
        return result;
}

static inline long raw_clone(long flags, void *top, int *ret_pidfd, int (*fn)(void *), void *argument)
{
        register long tls __asm__("r8") = 0, child_id __asm__("r10") = 0;
        void **stack = (void **)top - 2;
        long result;

        stack[0] = (void *)fn;
        stack[1] = argument;
        __asm__ volatile("syscall\n\t"
                         "test %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "xor %%ebp, %%ebp\n\t"
                         "pop %%rax\n\t"
                         "pop %%rdi\n\t"
                         "call *%%rax\n\t"
                         "mov %%eax, %%edi\n\t"
                         "mov %[exit], %%eax\n\t"
                         "syscall\n\t"
                         "hlt\n"
                         "1:"
                         : "=a"(result)
                         : "0"((long)SYS_clone), "D"(flags), "S"(stack), "d"(ret_pidfd), "r"(child_id), "r"(tls),
                           [exit] "i"(SYS_exit_group)
                         : "rcx", "r11", "memory", "cc");
        return result;
}

#else

#include <errno.h>
#include <sched.h>
#include <unistd.h>

static inline long raw_call(long number, long first, long second, long third, long fourth)
{
        long result = syscall(number, first, second, third, fourth);

        return result < 0 ? -errno : result;
}

static inline long raw_clone(long flags, void *top, int *ret_pidfd, int (*fn)(void *), void *argument)
{
        int result = clone(fn, top, (int)flags, argument, ret_pidfd);

        return result < 0 ? -errno : result;
}

#endif
