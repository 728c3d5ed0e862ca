/* --halt of ferry run: when to stop before all tasks are done. As GNU parallel has it: a percentage counts from the third
 * task on, and is one of all tasks that have been read. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

enum { PERCENT_LEAST = 3 };

static bool refuse(const char *text)
{
        complain("--halt: '%s' is not never, or now or soon followed by ,fail=N, ,success=N or ,done=N; N is a number from 1,"
                 " or with %% a percentage", text);
        return false;
}

/* What @text begins with; it is moved behind that. */
static bool skip(const char **text, const char *beginning)
{
        size_t size = strlen(beginning);

        if (strncmp(*text, beginning, size) != 0)
                return false;
        *text += size;
        return true;
}

bool halt_read(const char *text, struct halt *ret)
{
        const char *at = text;
        char *end;

        *ret = (struct halt){ .when = HALT_NEVER };
        if (strcmp(text, "never") == 0)
                return true;
        if (skip(&at, "now"))
                ret->when = HALT_NOW;
        else if (skip(&at, "soon"))
                ret->when = HALT_SOON;
        else
                return refuse(text);
        ret->why = HALT_FAIL;
        ret->count = 1;
        if (!*at)
                return true;
        if (skip(&at, ",fail="))
                ret->why = HALT_FAIL;
        else if (skip(&at, ",success="))
                ret->why = HALT_SUCCESS;
        else if (skip(&at, ",done="))
                ret->why = HALT_DONE;
        else
                return refuse(text);
        if (*at < '0' || *at > '9')
                return refuse(text);
        ret->count = strtod(at, &end);
        ret->is_percentage = *end == '%';
        if (end[ret->is_percentage] || !(ret->count > 0) || (ret->is_percentage && ret->count > 100) ||
            strspn(at, ret->is_percentage ? "0123456789." : "0123456789") != (size_t)(end - at))
                return refuse(text);
        return true;
}

/* Whether the number of tasks that ended so is enough. */
static bool is_reached(const struct halt *halt, long number, long all)
{
        if (halt->is_percentage)
                return number >= PERCENT_LEAST && (double)number * 100 >= halt->count * (double)all;
        return (double)number >= halt->count;
}

void halt_check(struct run *run)
{
        static const char *const names[] = { [HALT_FAIL] = "failed", [HALT_SUCCESS] = "succeeded", [HALT_DONE] = "ended" };
        const struct halt *halt = &run->halt;
        long number = (halt->why != HALT_SUCCESS ? run->failed : 0) + (halt->why != HALT_FAIL ? run->done : 0);

        if (halt->when == HALT_NEVER || run->phase != RUN_WORKING || !is_reached(halt, number, run->lines.reported))
                return;
        run->is_halted = true;
        progress_clear(run);
        complain("--halt: %ld %s %s; no more tasks are begun, and those in hand are %s", number, number == 1 ? "task has" : "tasks have",
                 names[halt->why], halt->when == HALT_NOW ? "stopped" : "finished");
        if (halt->when == HALT_NOW)
                run_give_up(run, EXIT_DONE);
        else
                run_finish(run, EXIT_DONE);
}
