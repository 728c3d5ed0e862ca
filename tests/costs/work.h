/* How much work something is, by counting instead of by the clock: each step of the library's code from one branch
 * to the next, and 16 bytes that a function of the C library looks at, copies or may have to copy, are one. A program
 * that is linked with `counted_suite` has a library that was compiled for this. */
#pragma once

#include <stdint.h>

extern uint64_t work_steps;
