/* Asking PHP: questions are gathered, one PHP process (values.php) answers them all, the answers are taken one after
 * the other. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct php {
        FILE *questions;
        char *answers;
        size_t size;
        size_t at;
        int taken;
};

struct answer {
        bool is_taken;          /* PHP takes what it was given */
        const char *bytes;      /* good until php_end(); a zero follows */
        size_t size;
};

void php_begin(struct php *php);
void php_ask(struct php *php, char letter, const void *bytes, size_t size);
void php_ask_number(struct php *php, char letter, int number);

/* Have all of it answered. False, and @test is told to be skipped, where there is no PHP, or not its @extension
 * (NULL: none is needed). */
bool php_run(struct php *php, const char *test, const char *extension);
void php_next(struct php *php, struct answer *ret);
void php_end(struct php *php);

/* Bytes for a message, of which the last that fit are shown; good until the fourth call after it. */
const char *show(const void *bytes, size_t size);

/* Ours and PHP's must be the same. */
void check_same(const char *what, const char *about, const void *bytes, size_t size, const void *other,
                size_t other_size);
