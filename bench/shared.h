/* The page that `bench`, a client and its server share: BENCH_SHARED is its descriptor. */
#pragma once

#include <stdatomic.h>

struct shared {
        atomic_int server_pid;
        atomic_int server_cpu;          /* where the server was when it took its last message */
        atomic_ulong samples;
        atomic_ulong same_cpu;          /* samples after which both sides were on one CPU */
};
