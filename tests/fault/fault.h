/* The fault table. A scenario is a small piece of the library's life that makes all its objects, uses them and lets
 * them go. It is run once as it is, which counts the calls to the system; then once for each fault: one call that is
 * refused, memory that is out once or from then on, bytes that move in pieces. What a scenario asks of the library
 * goes through the checks below, which know whether a fault was met.
 *
 * A fault has a name, by which it can be run alone, without a process around it: FERRY_FAULT=NAME test-faults. What is
 * counted is counted from 0.
 *
 *      SCENARIO:CALL:ERRNO:NTH         the NTH call is refused with ERRNO (child.CALL: the child's)
 *      SCENARIO:memory:once:NTH        the NTH allocation fails; "ever": and all behind it
 *      SCENARIO:bytes:cut:NTH          the transfer that would cross NTH bytes in all ends there
 *      SCENARIO:bytes:each:N           no transfer moves more than N bytes
 *      SCENARIO                        all of them */
#pragma once

#include <ferry/ferry.h>

#include "support/door.h"

#include <stdbool.h>

struct scenario {
        const char *name;
        void (*run)(void);
        unsigned patience_ms;   /* real time that others get before a timeout of the stopped clock is over */
        bool is_uncut;          /* moves too many bytes to be cut at each */
        bool is_slow;           /* reads long tables of the system, or takes inotify down, again and again */
        bool is_whole;          /* all of its faults are always run; but with AddressSanitizer */
};

/* Those of each file, which end with one that has no name. */
extern const struct scenario value_scenarios[], session_scenarios[], stream_scenarios[], service_scenarios[],
        innmind_scenarios[], pcntl_scenarios[], process_scenarios[], store_scenarios[],
        channel_scenarios[], bridge_scenarios[], handing_scenarios[], nats_scenarios[];

/* What the library may answer, besides the errno of the fault. */
enum fault_operation {
        FAULT_VALUE,            /* values and codecs: no memory */
        FAULT_SEND,             /* notify, reply, fail */
        FAULT_WAIT,             /* flush, run, tick */
        FAULT_END,              /* the end of a session or call */
        FAULT_MEET,             /* the same, and of a service, where names in the file system are in play */
        FAULT_STORE,            /* stores and the kernel's objects */
        FAULT_CHANNEL,          /* channels: moving records and bytes, and waiting for the other end */
        FAULT_OPERATIONS,
};

/* Nothing is refused: all has to succeed. */
bool fault_is_absent(void);

/* The errno of the fault, if it is a call that is refused; else 0. */
int fault_error(void);

/* Whether the fault takes memory away. */
bool fault_is_memory(void);

/* Whether the fault may keep a file or queue from being found, looked at or removed. */
bool fault_is_of_files(void);

/* Only a child whose status was not there to be read (ECHILD) may be said to have ended so. */
void fault_judge_cause(const char *sentence);

/* Something is wrong. The run goes on, so that all flaws of all faults are listed. */
void fault_flaw(const char *format, ...) FERRY_PRINTF(1, 2);

/* A condition that holds whatever the fault. */
#define fault_check(condition) ((condition) ? (void)0 : fault_flaw("%s:%d: %s", __FILE__, __LINE__, #condition))

/* A condition that holds where there is no fault. */
#define fault_want(condition)                                                           \
        (!fault_is_absent() || (condition) ? (void)0 : fault_flaw("%s:%d: %s", __FILE__, __LINE__, #condition))

/* An answer of the library: without a fault @expected (0: 0 or more); else that, or one that is documented. The
 * sentence of a failure, if not NULL, must say something. Returns whether it is no failure. */
bool fault_answer(enum fault_operation operation, const char *what, int code, int expected, const char *sentence);

/* A directory of its own for the run; a path in it, good until the next eight. */
const char *fault_path(const char *format, ...) FERRY_PRINTF(1, 2);

/* Run the scenarios under all faults, or those that FERRY_FAULT names. The exit status. */
int fault_main(const struct scenario *const *groups, size_t count);
