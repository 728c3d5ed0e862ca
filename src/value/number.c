/* Shortest decimal text of doubles and back. The digits come from the C library, which rounds exactly; only
 * digits are taken from it and given to it, never a decimal point, which the locale could change. */
#include "value/number.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 17 };

/* A number as 0.DIGITS times ten to the @point. */
struct decimal {
        char digits[DIGITS_MAX + 1];
        int count;
        int point;
};

static double from_digits(const char *digits, int count, long point)
{
        char text[DIGITS_MAX + 32];

        snprintf(text, sizeof text, "%.*se%ld", count, digits, point - count);
        return strtod(text, NULL);
}

/* The digits nearest to the number, @precision of them. */
static void round_to(double number, int precision, struct decimal *ret)
{
        char text[64];
        const char *at = text;

        snprintf(text, sizeof text, "%.*e", precision - 1, number);
        ret->count = 0;
        for (; *at != 'e'; at++)
                if (*at >= '0' && *at <= '9')
                        ret->digits[ret->count++] = *at;
        ret->point = (int)strtol(at + 1, NULL, 10) + 1;
}

static bool reads_back(double number, const struct decimal *decimal)
{
        return from_digits(decimal->digits, decimal->count, decimal->point) == number;
}

static bool add_one(struct decimal *decimal)
{
        int i = decimal->count - 1;

        while (i >= 0 && decimal->digits[i] == '9')
                decimal->digits[i--] = '0';
        if (i < 0)
                return false;
        decimal->digits[i]++;
        return true;
}

static void shortest(double number, struct decimal *ret)
{
        int mantissa_exponent;
        bool is_power_of_two = frexp(number, &mantissa_exponent) == 0.5;
        /* Up to 15 digits always survive the way to a double and back, so %.15 already finds those that are
         * shorter; but not where doubles have less precision themselves. */
        int precision = number < DBL_MIN ? 1 : 15;

        for (; precision < DIGITS_MAX; precision++) {
                round_to(number, precision, ret);
                if (reads_back(number, ret))
                        break;
                /* Below a power of two the doubles lie twice as dense as above: the nearest text may miss
                 * it from below, where the next one above does not. */
                if (is_power_of_two && add_one(ret) && reads_back(number, ret))
                        break;
        }
        if (precision == DIGITS_MAX)
                round_to(number, DIGITS_MAX, ret);
        while (ret->count > 1 && ret->digits[ret->count - 1] == '0')
                ret->count--;
}

/* Integers need no search for digits. */
static bool integer_digits(double number, struct decimal *ret)
{
        uint64_t integer;
        char text[24];
        int count = 0;

        if (number >= 1e15 || number != (double)(uint64_t)number)
                return false;
        integer = (uint64_t)number;
        do
                text[count++] = (char)('0' + integer % 10);
        while (integer /= 10);
        ret->point = ret->count = count;
        for (int i = 0; i < count; i++)
                ret->digits[i] = text[count - 1 - i];
        while (ret->count > 1 && ret->digits[ret->count - 1] == '0')
                ret->count--;
        return true;
}

static char *write_exponent(const struct decimal *decimal, char exponent, char *at)
{
        int value = decimal->point - 1;

        *at++ = decimal->digits[0];
        *at++ = '.';
        if (decimal->count == 1)
                *at++ = '0';
        memcpy(at, decimal->digits + 1, (size_t)decimal->count - 1);
        at += decimal->count - 1;
        *at++ = exponent;
        *at++ = value < 0 ? '-' : '+';
        value = abs(value);
        if (value >= 100)
                *at++ = (char)('0' + value / 100);
        if (value >= 10)
                *at++ = (char)('0' + value / 10 % 10);
        *at++ = (char)('0' + value % 10);
        return at;
}

size_t number_format(double number, char exponent, char text[NUMBER_TEXT_MAX])
{
        struct decimal decimal;
        char *at = text;
        int whole;

        if (signbit(number)) {
                *at++ = '-';
                number = -number;
        }
        if (number == 0) {
                *at++ = '0';
                return (size_t)(at - text);
        }
        if (!integer_digits(number, &decimal))
                shortest(number, &decimal);
        /* PHP's limits for the form without an exponent. */
        if (decimal.point < -3 || decimal.point > 17)
                return (size_t)(write_exponent(&decimal, exponent, at) - text);
        if (decimal.point <= 0) {
                *at++ = '0';
                *at++ = '.';
                for (int i = decimal.point; i < 0; i++)
                        *at++ = '0';
                memcpy(at, decimal.digits, (size_t)decimal.count);
                return (size_t)(at + decimal.count - text);
        }
        whole = decimal.count < decimal.point ? decimal.count : decimal.point;
        memcpy(at, decimal.digits, (size_t)whole);
        at += whole;
        for (int i = whole; i < decimal.point; i++)
                *at++ = '0';
        if (decimal.count > decimal.point) {
                *at++ = '.';
                memcpy(at, decimal.digits + whole, (size_t)(decimal.count - whole));
                at += decimal.count - whole;
        }
        return (size_t)(at - text);
}

/* More digits than any double needs to be told from its neighbours; what is beyond counts as "not zero". */
enum { SIGNIFICANT_MAX = 800 };

double number_parse(const char *text, size_t size)
{
        static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
        char digits[SIGNIFICANT_MAX + 32];
        const char *end = text + size;
        bool is_negative = *text == '-';
        bool is_fraction = false, is_negative_exponent = false;
        uint64_t mantissa = 0;
        size_t count = 0;
        long exponent = 0, scale = 0;
        double result;

        text += is_negative || *text == '+';
        for (; text < end && *text != 'e' && *text != 'E'; text++) {
                if (*text == '.') {
                        is_fraction = true;
                        continue;
                }
                scale -= is_fraction;
                if (count == 0 && *text == '0')
                        continue;
                if (count < SIGNIFICANT_MAX)
                        digits[count++] = *text;
                else {
                        scale++;
                        if (*text != '0')
                                digits[SIGNIFICANT_MAX - 1] = '1';
                }
                if (count < DIGITS_MAX)
                        mantissa = mantissa * 10 + (uint64_t)(*text - '0');
        }
        if (text < end) {
                text++;
                is_negative_exponent = *text == '-';
                text += *text == '-' || *text == '+';
                for (; text < end; text++)
                        if (exponent < 100000000)
                                exponent = exponent * 10 + (*text - '0');
        }
        scale += is_negative_exponent ? -exponent : exponent;
        if (count == 0)
                result = 0;
        else if (count < DIGITS_MAX && scale >= -22 && scale <= 22 && mantissa < (uint64_t)1 << DBL_MANT_DIG)
                /* Both are exact, so their product or quotient is rounded once. */
                result = scale < 0 ? (double)mantissa / tens[-scale] : (double)mantissa * tens[scale];
        else {
                snprintf(digits + count, sizeof digits - count, "e%ld", scale);
                result = strtod(digits, NULL);
        }
        return is_negative ? -result : result;
}
