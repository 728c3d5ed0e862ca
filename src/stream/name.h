/* Services by name: where their sockets stand. */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { NAME_MAX_SIZE = 64, NAME_PUBLIC_MAX = 96 };

/* What decides where the socket of a service stands. */
struct name_place {
        const char *name;
        unsigned dialect;       /* some have a directory of their own */
        const char *directory;  /* that the program has chosen; NULL: as the dialect has it */
};

/* Up to 64 letters, digits, - and _. */
bool name_is_valid(const char *text);

/* Where those sockets stand, whether or not it is there. 0, or -ENAMETOOLONG. */
int name_directory(const struct name_place *place, char *path, size_t size);

/* The directories in which services may stand, by an index from 0: 1, if one may look there; 0, if it is not there, not
 * safe, or was there already; -ENOENT behind the last. Some are ferry's own, where others have no business. */
int name_directory_at(size_t index, char *path, size_t size, bool *ret_is_ours);

/* Where the directory of a service has its socket, whether or not it is there. 0, or -ENAMETOOLONG with a sentence. */
int name_path(const struct name_place *place, char *path, size_t size, struct error *error);

/* The socket of a service, as a path of less than @size bytes: where one listens (@is_new: the directory is made if it is
 * not there), or where one asks: in our own directory, or else, if it stands there, in the one for all users. 0; -EACCES if
 * the directory is not safe, -ENAMETOOLONG, or what the system said; with a sentence. */
int name_find(const struct name_place *place, bool is_new, char *path, size_t size, struct error *error);

/* Where the directory for all users has that service; returns @path. */
const char *name_public(const char *name, char path[NAME_PUBLIC_MAX]);
