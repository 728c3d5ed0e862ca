/* What the fuzz targets share. It keeps no state from one input to the next but what fuzz_begin() resets. */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 64 };

static long allocations_left;
static bool has_refused;

void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...)
{
        va_list arguments;

        fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        abort();
}

uint8_t fuzz_byte(struct fuzz_input *input)
{
        return input->at < input->end ? *input->at++ : 0;
}

unsigned fuzz_u16(struct fuzz_input *input)
{
        unsigned high = fuzz_byte(input);

        return high << 8 | fuzz_byte(input);
}

uint32_t fuzz_hash(const void *bytes, size_t size)
{
        const uint8_t *at = bytes;
        uint32_t hash = 2166136261;

        for (size_t i = 0; i < size; i++)
                hash = (uint32_t)(((uint64_t)(hash ^ at[i]) * 16777619) & UINT32_MAX);
        return hash ^ hash >> 15;
}

char *fuzz_copy(const void *bytes, size_t size)
{
        char *copy = malloc(size + !size);

        if (!copy)
                abort();
        if (size > 0)
                memcpy(copy, bytes, size);
        return copy;
}

/* Which of the first descriptors are open, as bits. */
static uint64_t descriptors(void)
{
        uint64_t bits = 0;

        for (int i = 0; i < DESCRIPTORS; i++)
                if (fcntl(i, F_GETFD) >= 0)
                        bits |= (uint64_t)1 << i;
        return bits;
}

struct fuzz_mark fuzz_begin(void)
{
        door_reset();
        has_refused = false;
        return (struct fuzz_mark){ .blocks = door_counts.blocks, .bytes = door_counts.bytes,
                                   .descriptors = descriptors() };
}

void fuzz_end(const struct fuzz_mark *mark)
{
        uint64_t after = descriptors();

        door_judge = NULL;
        door_limit = NULL;
        FUZZ_REQUIRE(door_counts.blocks == mark->blocks, "%zd blocks are left", door_counts.blocks - mark->blocks);
        FUZZ_REQUIRE(after == mark->descriptors, "descriptors: %llx before, %llx now",
                     (unsigned long long)mark->descriptors, (unsigned long long)after);
}

void fuzz_peak_begin(struct fuzz_mark *mark)
{
        mark->bytes = door_counts.bytes;
        door_counts.bytes_peak = door_counts.bytes;
}

size_t fuzz_peak(const struct fuzz_mark *mark)
{
        return door_counts.bytes_peak - mark->bytes;
}

static int judge(enum door_call call, bool is_child)
{
        (void)is_child;
        if ((call != DOOR_alloc && call != DOOR_alloc_zeroed && call != DOOR_realloc) || allocations_left-- != 0)
                return 0;
        has_refused = true;
        return -ENOMEM;
}

void fuzz_refuse_allocation(unsigned number)
{
        allocations_left = (long)number;
        has_refused = false;
        door_judge = judge;
}

bool fuzz_has_refused(void)
{
        door_judge = NULL;
        return has_refused;
}
