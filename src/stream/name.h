/* Services by name: where their sockets stand. */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { NAME_MAX_SIZE = 64, NAME_PUBLIC_MAX = 96 };

/* Up to 64 letters, digits, - and _. */
bool name_is_valid(const char *text);

/* The socket of the service of that name, as a path of less than @size bytes: where one listens (@is_new: the directory
 * is made if it is not there), or where one asks: in our own directory, or else, if it stands there, in the one for all
 * users. 0; -EACCES if the directory is not safe, -ENAMETOOLONG, or what the system said; with a sentence. */
int name_find(const char *name, bool is_new, char *path, size_t size, struct error *error);

/* Where the directory for all users has that service; returns @path. */
const char *name_public(const char *name, char path[NAME_PUBLIC_MAX]);
