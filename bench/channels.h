/* The rows of channels and stores: one send and one receive in one process, against the bare system calls. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* Writes the names of the rows. */
void channels_list(FILE *stream);

/* Whether a pattern of fnmatch(3) names one of the rows. */
bool channels_has(const char *pattern);

/* Measures the rows that @patterns choose. Sockets and FIFOs are made in @directory. */
void channels_run(const char *directory, int rounds, char **patterns);
