/* Counts the instructions of a request and its answer, which do not depend on the load of the machine. */
#pragma once

#include "pair.h"

#define INSTRUCTIONS_WORK "instructions"

/* Of each side of each contestant that has a server of its own, by callgrind, with sockets and counts in @folder. Prints a table,
 * and adds figures to the results. Returns how many contestants have failed. Without valgrind there are no figures. */
int instructions_run(const struct contestant *contestants, size_t count, bool is_quick, const char *folder);
