/* SysV objects: the text that names them, the key file, creation, and the check of their owner. */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/types.h>

enum { SYSV_PROJECT = 'T' };    /* of ftok(3), as the article's scripts have it */

enum sysv_how {
        SYSV_KEY,
        SYSV_ID,
        SYSV_PRIVATE,
};

/* What the text behind `msgq:`, `shm:` or `sem:` names. */
struct sysv_name {
        enum sysv_how how;
        key_t key;              /* of SYSV_KEY, never IPC_PRIVATE; else IPC_PRIVATE */
        int id;                 /* of SYSV_ID; else -1 */
};

/* A kind of objects. */
struct sysv_kind {
        const char *noun;
        int (*get)(key_t key, size_t size, int flags);  /* the size does not matter for queues */
};

extern const struct sysv_kind sysv_queue, sysv_segment, sysv_semaphores;

/* Whether the text is a path: neither a key nor an identifier nor `private`. */
bool sysv_is_path(const char *text);

/* Parses KEY (decimal, or hexadecimal with 0x), #ID, `private`, or a PATH for ftok(PATH, 'T'). @address is the whole
 * address, for sentences. 0; or with a sentence: -EINVAL (empty, out of range, or key 0, which is IPC_PRIVATE), -ENOENT (no
 * such file), or another errno of stat(2). */
int sysv_parse(const char *address, const char *text, struct sysv_name *ret_name, struct error *error);

struct sysv_key_file {
        bool is_new;            /* created here, and this is it: */
        dev_t device;
        ino_t number;
};

/* Creates the key file of an address with the mode 0600, if the text is a path and nothing is there. What is there already
 * stays as it is, whatever it is, since only its number counts. 0, or a negative errno with a sentence. */
int sysv_make_key_file(const char *address, const char *text, struct sysv_key_file *ret_file, struct error *error);

/* Removes it if it was created here, for a caller that fails; another file that stands there by now stays. */
void sysv_remove_key_file(const char *text, const struct sysv_key_file *file);

/* Finds the object under a key, or creates it with that size and mode. Of several processes that create it at the same time
 * one succeeds, and the others find its object. The identifier, or a negative errno: of get(2), or -EEXIST if the object was
 * removed and created again all the time. @ret_is_new may be NULL. */
int sysv_get(const struct sysv_kind *kind, key_t key, size_t size, unsigned mode, bool *ret_is_new);

/* Checks that an object belongs to the user or to root, and was created by one of them: its creator keeps all rights to it.
 * @what names the object, for sentences ("the queue of msgq:key"). @ret_is_wide: its mode lets other users in, which is
 * refused if @is_strict. 0, or -EACCES with a sentence. */
int sysv_check_owner(const struct ipc_perm *permissions, const char *what, bool is_strict, bool *ret_is_wide,
                     struct error *error);
