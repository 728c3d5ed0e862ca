/* What the fuzz targets share. Each has one LLVMFuzzerTestOneInput(), which ends the program where something is not as
 * it must be; it is driven by libFuzzer, or by driver.c over the files of a corpus. */
#pragma once

#include "support/door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Print and abort, unless @condition holds. */
#define FUZZ_REQUIRE(condition, ...)                                                    \
        do {                                                                            \
                if (!(condition))                                                       \
                        fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);         \
        } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...)
        __attribute__((__format__(__printf__, 4, 5)));

/* Input that is used up from the front; behind its end there are zeros. */
struct fuzz_input {
        const uint8_t *at;
        const uint8_t *end;
};

uint8_t fuzz_byte(struct fuzz_input *input);
unsigned fuzz_u16(struct fuzz_input *input);

/* A number that follows from the bytes: choices that need no place in the input. */
uint32_t fuzz_hash(const void *bytes, size_t size);

/* The bytes in memory of their own, so that reading behind their end is found; to be freed. */
char *fuzz_copy(const void *bytes, size_t size);

/* Begin counting: from here to fuzz_end() the library must give back all it allocates, and all descriptors. */
struct fuzz_mark {
        size_t blocks;
        size_t bytes;
        uint64_t descriptors;
};

struct fuzz_mark fuzz_begin(void);
void fuzz_end(const struct fuzz_mark *mark);

/* Most bytes that were held at one time since fuzz_begin() or the last fuzz_peak_begin(). */
void fuzz_peak_begin(struct fuzz_mark *mark);
size_t fuzz_peak(const struct fuzz_mark *mark);

/* Refuse the allocation of that number from now on, counting from 0; once. Whether that has come to pass. */
void fuzz_refuse_allocation(unsigned number);
bool fuzz_has_refused(void);
