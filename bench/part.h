/* Programs beside this one that measure by themselves, and write figures: WORK PLACEMENT SUBJECT VALUE UNIT. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The path of a program in the folder of this one; the caller's. */
char *part_path(const char *name);

/* Runs `NAME ARGUMENT…`, whose output is ours, and adds its figures to the results; false, after a message, if it has failed. */
bool part_run(const char *name, char *const *arguments);

/* The lines that `NAME --list` prints, as a list up to a NULL that lives as long as the program. */
char **part_list(const char *name);
