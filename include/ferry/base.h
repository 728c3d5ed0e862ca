/* What every ferry header needs: the nouns and a few macros. Programs include <ferry/ferry.h>. */
#ifndef FERRY_BASE_H
#define FERRY_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What stands between these is what the library exports. */
#ifdef __cplusplus
#define FERRY_BEGIN extern "C" { _Pragma("GCC visibility push(default)")
#define FERRY_END _Pragma("GCC visibility pop") }
#else
#define FERRY_BEGIN _Pragma("GCC visibility push(default)")
#define FERRY_END _Pragma("GCC visibility pop")
#endif

/* The compiler checks templates as it checks the formats of printf and scanf. */
#define FERRY_PRINTF(format, first) __attribute__((__format__(__printf__, format, first)))
#define FERRY_SCANF(format, first) __attribute__((__format__(__scanf__, format, first)))

/* FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL); declares a pointer to something that the program
 * must let go, and lets it go where the block ends, the last declared first. There is one for each such
 * noun: ferry_loop, ferry_call, ferry_message, ferry_value, ferry_channel, ferry_store. */
#define FERRY_AUTO(noun) __attribute__((__cleanup__(noun##_auto))) noun *
#define FERRY_DEFINE_AUTO(noun, let_go) static inline void noun##_auto(noun **object) { let_go(*object); }

typedef struct ferry_builder ferry_builder;
typedef struct ferry_call ferry_call;
typedef struct ferry_channel ferry_channel;
typedef struct ferry_codec ferry_codec;
typedef struct ferry_loop ferry_loop;
typedef struct ferry_manager ferry_manager;
typedef struct ferry_message ferry_message;
typedef struct ferry_process ferry_process;
typedef struct ferry_service ferry_service;
typedef struct ferry_session ferry_session;
typedef struct ferry_session_options ferry_session_options;
typedef struct ferry_sink ferry_sink;
typedef struct ferry_store ferry_store;
typedef struct ferry_stream ferry_stream;
typedef struct ferry_value ferry_value;

/* The process at the other end of a unix socket or a pipe to a child, as the kernel knows it. TCP peers cannot be
 * identified. */
typedef struct ferry_peer {
        pid_t pid;                              /* -1: nothing is known */
        uid_t uid;
        gid_t gid;
} ferry_peer;

#endif
