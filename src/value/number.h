/* Doubles as text: the shortest that reads back the same, whatever the locale. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { NUMBER_TEXT_MAX = 32 };

/* Write a finite double as PHP does: 0.1, -0, 1.0E+25 with @exponent 'E'. Returns the length; no zero
 * follows. */
size_t number_format(double number, char exponent, char text[NUMBER_TEXT_MAX]);

/* Read [-]digits[.digits][e[+-]digits], of which the syntax has been checked: at least one digit before the
 * exponent. Beyond the largest double it is INF. */
double number_parse(const char *text, size_t size);
