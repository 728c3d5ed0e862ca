/* Variables in a piece of memory, in the layout of PHP's shm_attach(). No system call is made here.
 *
 *      "PHP_SM\0" | start | end | free | total         a header; fields are integers of PHP, in native order
 *      key | length | next | bytes                     each variable; next is the distance to the following one
 *
 * PHP's integers have 64 bits on 64-bit machines and 32 bits on 32-bit machines. A segment that a program of the other kind
 * has made is recognized, and refused.
 *
 * The memory is shared: what is read there is copied once, then checked, since other processes may write at the same time and
 * need not mean well. A change is a sequence of stores of one integer each. A process that is killed between two of them leaves
 * one of these behind:
 *
 *   - the layout as it was before or after the change, perhaps with unused bytes between the variables, or
 *   - a segment that is -EBADMSG; segment_repair() then restores the layout of before or after the change.
 *
 * Other variables are never lost. There is one exception for the variable that is put: where the old and the new value do
 * not fit into the segment together, the old one is removed first, and a kill in between loses it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An integer of PHP. A unit test includes the source to test the other size, too. */
#ifdef SEGMENT_INTEGER
typedef SEGMENT_INTEGER segment_integer;
#elif defined(__LP64__) || defined(__x86_64__)
typedef int64_t segment_integer;
#else
typedef int32_t segment_integer;
#endif

enum {
        SEGMENT_UNIT = sizeof(segment_integer),
        SEGMENT_HEADER = 8 + 4 * SEGMENT_UNIT,
        SEGMENT_CHUNK = 3 * SEGMENT_UNIT,
};

struct segment {
        unsigned char *memory;  /* aligned to SEGMENT_UNIT bytes */
        size_t size;
};

/* A variable. */
struct segment_chunk {
        size_t offset;
        int64_t key;
        size_t length;          /* of its bytes, which stand at offset + SEGMENT_CHUNK */
        size_t next;            /* distance to the following one */
};

/* What is wrong with a segment, for people. */
struct segment_flaw {
        const char *reason;
        size_t offset;
};

/* What a repair has dropped. */
struct segment_loss {
        size_t offset;
        size_t size;
        const char *reason;
        int64_t key;
        bool has_key;
};

/* Returns an error to stop the repair. */
typedef int segment_loss_fn(const struct segment_loss *loss, void *object);

/* Checks the header and the whole chain. 0; -EBADMSG with the flaw (may be NULL). Memory whose header is zero holds
 * no variable, and is whole. */
int segment_check(const struct segment *segment, struct segment_flaw *ret_flaw);

/* Whether the memory begins as that of variables does. */
bool segment_has_magic(const struct segment *segment);

/* Whether the header is that of a program whose integers have another size. */
bool segment_is_foreign(const struct segment *segment);

/* Whether a segment of @bytes has room for a single variable. */
bool segment_has_room(size_t bytes, size_t size);

/* Goes to the first variable (@chunk all zero) or to the following one. 1, 0 behind the last one, or -EBADMSG. */
int segment_next(const struct segment *segment, struct segment_chunk *chunk);

/* Finds the first variable with that key. 0, -ENOENT or -EBADMSG. */
int segment_find(const struct segment *segment, int64_t key, struct segment_chunk *ret_chunk);

/* Puts a variable at the end, and removes all others of that key. 0 or -EBADMSG; nothing was changed: -ENOSPC, or -ERANGE if
 * the key is no integer of PHP. */
int segment_put(const struct segment *segment, int64_t key, const void *bytes, size_t size);

/* Removes all variables of that key. 0, -ENOENT or -EBADMSG. */
int segment_remove(const struct segment *segment, int64_t key);

/* How many bytes are unused; for a variable that is SEGMENT_CHUNK more than its bytes, and padding. -EBADMSG. */
int segment_count_free(const struct segment *segment, size_t *ret_free);

/* Finishes an interrupted change, and drops what is not whole. 0; -EBADMSG if the memory does not begin as a segment of this kind
 * does; or the error of @fn. */
int segment_repair(const struct segment *segment, segment_loss_fn *fn, void *object);
