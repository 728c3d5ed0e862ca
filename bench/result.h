/* What was measured: a table for people, JSON for programs. */
#pragma once

/* A figure of the JSON; @floor_ratio 0: there is none. Names are constants, or live as long as the program. */
void result_add(const char *work, const char *placement, const char *subject, double value, const char *unit,
                double floor_ratio);

/* Ends the program, with a message, if there can be no such file. */
void result_check(const char *path);

/* All figures, as an array; "-" is stdout. */
void result_write(const char *path);
