/* Limits of the system, from the files of proc(5). */
#pragma once

/* The number in a file; 0 if it cannot be read. */
long limit_read(const char *path);
