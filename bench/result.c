#include "result.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct result {
        char work[48], placement[8], subject[32], unit[16];
        double value, floor_ratio;
} *results;

static size_t result_count, result_room;

void result_add(const char *work, const char *placement, const char *subject, double value, const char *unit,
                double floor_ratio)
{
        struct result *result;

        if (result_count == result_room) {
                result_room = result_room ? 2 * result_room : 64;
                results = realloc(results, result_room * sizeof *results);
                if (!results)
                        err(1, "realloc");
        }
        result = &results[result_count++];
        *result = (struct result){ .value = value, .floor_ratio = floor_ratio };
        snprintf(result->work, sizeof result->work, "%s", work);
        snprintf(result->placement, sizeof result->placement, "%s", placement);
        snprintf(result->subject, sizeof result->subject, "%s", subject);
        snprintf(result->unit, sizeof result->unit, "%s", unit);
}

void result_check(const char *path)
{
        FILE *stream = strcmp(path, "-") == 0 ? stdout : fopen(path, "a");

        if (!stream || (stream != stdout && fclose(stream) != 0))
                err(1, "cannot write %s", path);
}

void result_write(const char *path)
{
        FILE *stream = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

        if (!stream)
                err(1, "cannot write %s", path);
        fprintf(stream, "[");
        for (size_t i = 0; i < result_count; i++) {
                const struct result *result = &results[i];

                fprintf(stream, "%s\n  {\"work\": \"%s\", \"placement\": \"%s\", \"subject\": \"%s\", \"value\": %.6g, "
                        "\"unit\": \"%s\", \"floor_ratio\": ", i ? "," : "", result->work, result->placement, result->subject,
                        result->value, result->unit);
                if (result->floor_ratio > 0)
                        fprintf(stream, "%.4g}", result->floor_ratio);
                else
                        fprintf(stream, "null}");
        }
        fprintf(stream, "\n]\n");
        if (fflush(stream) != 0 || ferror(stream) || (stream != stdout && fclose(stream) != 0))
                err(1, "cannot write %s", path);
}
