/**
 * @file
 * The types and macros that all other headers use.
 *
 * Programs include `ferry/ferry.h`.
 */
#ifndef FERRY_BASE_H
#define FERRY_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** @cond */
/* The library exports the declarations between these two. */
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

#define FERRY_DEFINE_AUTO(type, release) static inline void type##_auto(type **object) { release(*object); }
/** @endcond */

/**
 * Declares a pointer to an object that is released at the end of the block.
 *
 * `FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);` frees the loop where the block ends. Objects are released in the
 * reverse order of their declarations. The macro is for the types that a program releases itself: ferry_loop, ferry_call,
 * ferry_message, ferry_value, ferry_channel, ferry_bridge and ferry_store.
 *
 * @param type  the type of the object
 */
#define FERRY_AUTO(type) __attribute__((__cleanup__(type##_auto))) type *

/** Joins two descriptors to an address, byte by byte. @see ferry_bridge_open() */
typedef struct ferry_bridge ferry_bridge;
/** Builds a value step by step. @see ferry_builder_new() */
typedef struct ferry_builder ferry_builder;
/** A request of this side that is in flight or has ended. @see ferry_session_request() */
typedef struct ferry_call ferry_call;
/** Moves records or bytes without a session. @see ferry_channel_open() */
typedef struct ferry_channel ferry_channel;
typedef struct ferry_codec ferry_codec;
/** Contains all other objects except values and stores, and waits for them. @see ferry_loop_new() */
typedef struct ferry_loop ferry_loop;
/** A set of child processes. @see ferry_manager_new() */
typedef struct ferry_manager ferry_manager;
/** Requests to a pool that end together. @see ferry_batch_new() */
typedef struct ferry_batch ferry_batch;
/** A message from a peer: a kind, a type and a body. */
typedef struct ferry_message ferry_message;
/** A child process, with a session to it. @see ferry_process_fork() and ferry_process_spawn() */
typedef struct ferry_process ferry_process;
/** Listens at an address and has a session for each client. @see ferry_service_open() */
typedef struct ferry_service ferry_service;
/** A conversation with a peer over one stream. @see ferry_session_open() */
typedef struct ferry_session ferry_session;
typedef struct ferry_session_options ferry_session_options;
/** Takes the bytes that a codec writes. @see ferry_sink_write() */
typedef struct ferry_sink ferry_sink;
/** Values or raw bytes in shared memory. @see ferry_store_open() */
typedef struct ferry_store ferry_store;
typedef struct ferry_stream ferry_stream;
/** A node of an immutable tree: null, bool, integer, double, string, list, map or object. */
typedef struct ferry_value ferry_value;

/**
 * The credentials of the process at the other end of a unix socket or of a pipe to a child, as the kernel reports them.
 *
 * TCP peers cannot be identified.
 */
typedef struct ferry_peer {
        pid_t pid;              /**< the process; -1 if nothing is known */
        uid_t uid;              /**< its user; undefined if pid is -1 */
        gid_t gid;              /**< its group; undefined if pid is -1 */
} ferry_peer;

#endif
