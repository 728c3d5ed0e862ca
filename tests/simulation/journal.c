/* Invariants that it checks: each attempt, and each task, ends once; an attempt that was replied to ran once, one that was not
 * executed never, also not later, and one that is unknown at most once, and has a reason; a task ran at most once. */
#include "simulation/journal.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 10, REASONS_MAX = 64, SENTENCE_MAX = 160 };

struct attempt {
        uint32_t task;
        uint8_t ran, ended, outcome;
};

struct task {
        uint8_t ended, outcome;
        uint16_t ran;
};

struct reason {
        enum ferry_outcome outcome;
        int status;
        size_t count;
        char sentence[SENTENCE_MAX];
};

static struct {
        uint64_t seed;
        bool is_quiet;
        struct task *tasks;
        struct attempt *attempts;
        size_t tasks_count, tasks_ended, attempts_count, attempts_size, broken;
        struct reason reasons[REASONS_MAX];
        size_t reasons_count;
} journal;

static const char *outcome_text(unsigned outcome)
{
        static const char *const texts[] = { "pending", "replied", "not executed", "unknown" };

        return texts[outcome];
}

void journal_begin(uint64_t seed, size_t tasks, bool is_quiet)
{
        journal_end();
        journal.is_quiet = is_quiet;
        journal.seed = seed;
        journal.tasks_count = tasks;
        journal.tasks = calloc(tasks, sizeof *journal.tasks);
        if (!journal.tasks)
                abort();
}

void journal_end(void)
{
        free(journal.tasks);
        free(journal.attempts);
        memset(&journal, 0, sizeof journal);
}

void journal_complain(const char *format, ...)
{
        va_list arguments;

        if (journal.broken++ >= SHOWN_MAX || journal.is_quiet)
                return;
        fprintf(stderr, "seed %llu: ", (unsigned long long)journal.seed);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
}

uint32_t journal_attempt(size_t task)
{
        if (journal.attempts_count == journal.attempts_size) {
                journal.attempts_size = journal.attempts_size ? 2 * journal.attempts_size : 1024;
                journal.attempts = realloc(journal.attempts, journal.attempts_size * sizeof *journal.attempts);
                if (!journal.attempts)
                        abort();
        }
        journal.attempts[journal.attempts_count] = (struct attempt){ .task = (uint32_t)task };
        return (uint32_t)journal.attempts_count++;
}

static void note_reason(enum ferry_outcome outcome, int status, const char *sentence)
{
        struct reason *reason = journal.reasons, *end = reason + journal.reasons_count;

        while (reason < end && (reason->outcome != outcome || reason->status != status))
                reason++;
        if (reason == end && journal.reasons_count < REASONS_MAX) {
                *reason = (struct reason){ .outcome = outcome, .status = status };
                snprintf(reason->sentence, sizeof reason->sentence, "%s", sentence);
                journal.reasons_count++;
        }
        if (reason < journal.reasons + REASONS_MAX)
                reason->count++;
}

void journal_attempt_ended(uint32_t number, enum ferry_outcome outcome, int status, const char *sentence)
{
        struct attempt *attempt = &journal.attempts[number];

        attempt->outcome = (uint8_t)outcome;
        if (attempt->ended++ > 0)
                journal_complain("attempt %u of task %u has ended %u times", number, attempt->task, attempt->ended);
        if (outcome == FERRY_OUTCOME_PENDING)
                journal_complain("attempt %u has ended, and is pending", number);
        if (outcome != FERRY_OUTCOME_REPLIED && (!*sentence || status >= 0))
                journal_complain("attempt %u is %s, without a reason", number, outcome_text(outcome));
        note_reason(outcome, status, sentence);
}

void journal_task_ended(size_t number, enum ferry_outcome outcome)
{
        struct task *task = &journal.tasks[number];

        task->outcome = (uint8_t)outcome;
        if (task->ended++ > 0)
                journal_complain("task %zu has ended %u times", number, task->ended);
        else
                journal.tasks_ended++;
}

size_t journal_tasks_ended(void)
{
        return journal.tasks_ended;
}

void journal_ran(uint32_t number)
{
        if (number >= journal.attempts_count) {
                journal_complain("attempt %u runs, which was not made", number);
                return;
        }
        if (journal.attempts[number].ran < UINT8_MAX)
                journal.attempts[number].ran++;
        journal.tasks[journal.attempts[number].task].ran++;
}

static void check_attempt(uint32_t number)
{
        const struct attempt *attempt = &journal.attempts[number];
        unsigned most = attempt->outcome == FERRY_OUTCOME_NOT_EXECUTED ? 0 : 1;

        if (attempt->ended != 1)
                journal_complain("attempt %u of task %u has ended %u times", number, attempt->task, attempt->ended);
        else if (attempt->ran > most || (attempt->outcome == FERRY_OUTCOME_REPLIED && attempt->ran == 0))
                journal_complain("attempt %u of task %u ended as %s, and ran %u times", number, attempt->task,
                                 outcome_text(attempt->outcome), attempt->ran);
}

size_t journal_check(void)
{
        for (uint32_t i = 0; i < journal.attempts_count; i++)
                check_attempt(i);
        for (size_t i = 0; i < journal.tasks_count; i++) {
                const struct task *task = &journal.tasks[i];

                if (task->ended != 1)
                        journal_complain("task %zu has ended %u times", i, task->ended);
                else if (task->ran > 1 || (task->ran > 0 && task->outcome == FERRY_OUTCOME_NOT_EXECUTED))
                        journal_complain("task %zu ended as %s, and ran %u times", i, outcome_text(task->outcome), task->ran);
        }
        if (journal.broken > SHOWN_MAX && !journal.is_quiet)
                fprintf(stderr, "seed %llu: and %zu more\n", (unsigned long long)journal.seed, journal.broken - SHOWN_MAX);
        return journal.broken;
}

struct journal_counts journal_count(void)
{
        struct journal_counts counts = { 0 };

        for (size_t i = 0; i < journal.tasks_count; i++)
                counts.tasks[journal.tasks[i].outcome]++;
        for (size_t i = 0; i < journal.attempts_count; i++) {
                counts.attempts[journal.attempts[i].outcome]++;
                counts.unknown_ran += journal.attempts[i].outcome == FERRY_OUTCOME_UNKNOWN && journal.attempts[i].ran > 0;
        }
        return counts;
}

void journal_reasons(void (*fn)(enum ferry_outcome outcome, int status, size_t count, const char *sentence))
{
        for (size_t i = 0; i < journal.reasons_count; i++)
                fn(journal.reasons[i].outcome, journal.reasons[i].status, journal.reasons[i].count, journal.reasons[i].sentence);
}
