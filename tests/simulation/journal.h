/* What callers and workers have done, each by its own account, and whether both agree.
 *
 * A task is given to the workers by one or more attempts, each of which is one request. */
#pragma once

#include <ferry/session.h>

#include <stddef.h>
#include <stdint.h>

/* @is_quiet: broken rules are counted, and not printed. */
void journal_begin(uint64_t seed, size_t tasks, bool is_quiet);
void journal_end(void);

/* The caller's side. An attempt ends once; @sentence is that of the call. */
uint32_t journal_attempt(size_t task);
void journal_attempt_ended(uint32_t attempt, enum ferry_outcome outcome, int status, const char *sentence);
void journal_task_ended(size_t task, enum ferry_outcome outcome);
size_t journal_tasks_ended(void);

/* The worker's side: it begins to work. */
void journal_ran(uint32_t attempt);

/* A rule of the run itself is broken. Printed, with the seed. */
void journal_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* After the end: how many rules are broken, those that were complained of among them; the first ones are printed. */
size_t journal_check(void);

struct journal_counts {
        size_t tasks[4], attempts[4];           /* by outcome */
        size_t unknown_ran;                     /* attempts that are unknown, and were begun */
};
struct journal_counts journal_count(void);
/* Attempts by their status: calls @fn for each that there is, in order. */
void journal_reasons(void (*fn)(enum ferry_outcome outcome, int status, size_t count, const char *sentence));
