/* Shortest decimal text of doubles and back. Both compute with powers of ten of 128 bits, and know how far these may be off.
 * Where that could change what a text is read as, the C library decides, which rounds exactly; only digits are given to it, never
 * a decimal point, which the locale could change. No arithmetic of doubles: it has more precision on some machines. */
#include "value/number.h"
#include "value/digits.h"
#include "value/powers.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        DIGITS_MAX = 17,        /* that a double needs */
        MANTISSA_BITS = 52,     /* stored */
        EXPONENT_BIAS = 1075,   /* of the mantissa as an integer */
};

#define MANTISSA_FIRST ((uint64_t)1 << MANTISSA_BITS)

#define PAIRS(tens) tens "0" tens "1" tens "2" tens "3" tens "4" tens "5" tens "6" tens "7" tens "8" tens "9"
const char digit_pairs[] = PAIRS("0") PAIRS("1") PAIRS("2") PAIRS("3") PAIRS("4")
                           PAIRS("5") PAIRS("6") PAIRS("7") PAIRS("8") PAIRS("9");

/* The product of 64 and 128 bits. */
struct product {
        uint64_t high, middle, low;
};

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *ret_high)
{
#ifdef __SIZEOF_INT128__
        unsigned __int128 product = (unsigned __int128)a * b;

        *ret_high = (uint64_t)(product >> 64);
        return (uint64_t)product;
#else
        uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX), first = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
        uint64_t second = (a & UINT32_MAX) * (b >> 32) + (first & UINT32_MAX);

        *ret_high = (a >> 32) * (b >> 32) + (first >> 32) + (second >> 32);
        return second << 32 | (low & UINT32_MAX);
#endif
}

static struct product multiply_power(uint64_t number, const struct power *power)
{
        struct product product;
        uint64_t carry;

        product.low = multiply(number, power->low, &carry);
        product.middle = multiply(number, power->high, &product.high) + carry;
        product.high += product.middle < carry;
        return product;
}

static bool is_exact(int exponent)
{
        return exponent >= 0 && exponent <= POWER_EXACT_MOST;
}

/* Text -------------------------------------------------------------------------------------------------- */

/* A number as 0.DIGITS times ten to the @point. */
struct decimal {
        char digits[DIGITS_MAX + 4];
        int count;
        int point;
};

/* @number times the power of ten and two to the @shift - 128: the integer in it, and in its lowest bit also whether there is
 * a fraction. Where bits of the power are cut off, the product may be too small by less than 2^64 of its lowest units. No
 * mantissa of a double comes as near to an integer from below without being one: tools/powers.py has searched for it. */
static uint64_t scale(uint64_t number, int exponent, int shift)
{
        struct product product = multiply_power(number << shift, power_of_ten(exponent));

        if (is_exact(exponent))
                return product.high | ((product.middle | product.low) != 0);
        return product.middle == UINT64_MAX ? product.high + 1 : product.high | 1;
}

/* As Raffaello Giulietti describes it in "The Schubfach way to render doubles": with the power of ten that is as large as the gap
 * between two doubles, or smaller by less than a factor of ten, the interval of what reads back as the number contains one or two
 * multiples of it, and of ten times it one at most. All is in quarters, so the ends of the interval are integers, too. */
static void find_shortest(uint64_t mantissa, int exponent, struct decimal *ret)
{
        /* Below a power of two the doubles lie twice as dense. */
        bool is_uneven = mantissa == MANTISSA_FIRST && exponent > 1 - EXPONENT_BIAS;
        int power = (exponent * 1262611 - (is_uneven ? 524031 : 0)) >> 22;      /* log10(2), log10(4/3), times 2^22 */
        int shift = exponent + power_scale(-power) + 128;
        uint64_t odd = mantissa & 1, low, middle, high, number, tens;
        bool is_low_inside, is_high_inside;
        char *end;

        low = scale(4 * mantissa - (is_uneven ? 1 : 2), -power, shift);
        middle = scale(4 * mantissa, -power, shift);
        high = scale(4 * mantissa + 2, -power, shift);
        /* An end reads back as the number only if its mantissa is even. */
        low += odd;
        high -= odd;
        number = middle / 4;
        tens = number / 10;
        is_low_inside = number >= 10 && low <= 40 * tens;
        is_high_inside = number >= 10 && 40 * tens + 40 <= high;
        if (is_low_inside != is_high_inside) {
                number = tens + is_high_inside;
                power++;
        } else {
                is_low_inside = low <= 4 * number;
                is_high_inside = 4 * number + 4 <= high;
                if (is_low_inside != is_high_inside)
                        number += is_high_inside;
                else
                        number += middle > 4 * number + 2 || (middle == 4 * number + 2 && (number & 1));
        }
        end = put_digits(ret->digits, number);
        ret->count = (int)(end - ret->digits);
        ret->point = ret->count + power;
}

static void shortest(uint64_t bits, struct decimal *ret)
{
        uint64_t mantissa = bits & (MANTISSA_FIRST - 1);
        int exponent = (int)(bits >> MANTISSA_BITS);

        if (exponent > 0)
                mantissa |= MANTISSA_FIRST;
        else
                exponent = 1;
        exponent -= EXPONENT_BIAS;
        /* Integers need no search for digits. */
        if (exponent <= 0 && exponent >= -MANTISSA_BITS && (mantissa & (((uint64_t)1 << -exponent) - 1)) == 0)
                ret->count = ret->point = (int)(put_digits(ret->digits, mantissa >> -exponent) - ret->digits);
        else
                find_shortest(mantissa, exponent, ret);
        while (ret->count > 1 && ret->digits[ret->count - 1] == '0')
                ret->count--;
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
        return put_digits(at, (uint64_t)abs(value));
}

size_t number_format(double number, char exponent, char text[NUMBER_TEXT_MAX])
{
        struct decimal decimal;
        char *at = text;
        uint64_t bits;
        int whole;

        if (signbit(number)) {
                *at++ = '-';
                number = -number;
        }
        memcpy(&bits, &number, sizeof bits);
        if (bits == 0) {
                *at++ = '0';
                return (size_t)(at - text);
        }
        shortest(bits, &decimal);
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

/* Back --------------------------------------------------------------------------------------------------- */

enum {
        MANTISSA_DIGITS = 19,           /* that fit into 64 bits */
        SIGNIFICANT_MAX = 800,          /* more than any double needs to be distinguished from its neighbours */
        EXPONENT_MAX = 100000000,
};

/* The digits of a text: @mantissa times ten to the @exponent, or, if there are more than fit, less than one unit more. */
struct reading {
        const char *digits;     /* the first that is not zero */
        const char *end;        /* of the digits */
        uint64_t mantissa;
        long exponent;
        bool is_cut;            /* there are more digits */
};

static void read_digits(const char *text, const char *end, struct reading *ret)
{
        const char *point = NULL;
        long exponent = 0;
        bool is_negative;
        int count = 0;

        *ret = (struct reading){ .digits = end };
        for (; text < end && (*text | 0x20) != 'e'; text++) {
                if (*text == '.') {
                        point = text;
                        continue;
                }
                if (count == 0 && *text == '0')
                        continue;
                if (count == 0)
                        ret->digits = text;
                if (count < MANTISSA_DIGITS) {
                        ret->mantissa = ret->mantissa * 10 + (uint64_t)(*text - '0');
                        count++;
                        continue;
                }
                ret->is_cut = true;
                ret->exponent++;
        }
        ret->end = text;
        if (point)
                ret->exponent -= (long)(text - point) - 1;
        if (text == end)
                return;
        is_negative = *++text == '-';
        text += *text == '-' || *text == '+';
        for (; text < end; text++)
                if (exponent < EXPONENT_MAX)
                        exponent = exponent * 10 + (*text - '0');
        ret->exponent += is_negative ? -exponent : exponent;
}

/* The double nearest to the number @high, with more bits behind it unless @has_rest is false, times two to the @exponent. Of
 * @high the first bit is set. */
static double assemble(uint64_t high, bool has_rest, int exponent)
{
        int biased = exponent + 63 + 1023;
        /* Of the smallest numbers fewer bits are kept, and the first has no place of its own. */
        int shift = 63 - MANTISSA_BITS + (biased < 1 ? 1 - biased : 0);
        uint64_t bits, rest;
        double result;

        if (biased >= 2047)
                return INFINITY;
        if (shift > 64)
                return 0;
        bits = shift < 64 ? high >> shift : 0;
        rest = high << (64 - shift);
        bits += rest > (uint64_t)1 << 63 || (rest == (uint64_t)1 << 63 && (has_rest || (bits & 1)));
        /* The first bit, and a carry out of rounding, count one up in the exponent. */
        if (biased >= 1)
                bits += (uint64_t)(biased - 1) << MANTISSA_BITS;
        memcpy(&result, &bits, sizeof result);
        return result;
}

static double assemble_product(const struct product *product, int exponent)
{
        uint64_t rest = product->middle | product->low;

        if (product->high >> 63)
                return assemble(product->high, rest != 0, exponent);
        return assemble(product->high << 1 | product->middle >> 63, (product->middle << 1 | product->low) != 0, exponent - 1);
}

/* False if what is cut off could change the result. */
static bool read_quickly(const struct reading *reading, double *ret)
{
        int exponent = (int)reading->exponent, zeros, binary;
        struct product least, most;
        uint64_t mantissa;

        zeros = __builtin_clzll(reading->mantissa);
        mantissa = reading->mantissa << zeros;
        least = most = multiply_power(mantissa, power_of_ten(exponent));
        binary = power_scale(exponent) - zeros + 128;
        *ret = assemble_product(&least, binary);
        if (is_exact(exponent) && !reading->is_cut)
                return true;
        /* The result must be the same for what is more than the number. */
        most.low += mantissa;
        most.middle += most.low < mantissa;
        most.high += most.low < mantissa && most.middle == 0;
        if (reading->is_cut)
                most.high += ((uint64_t)1 << zeros) + 1;
        /* As both are mostly: the bits that are kept are the same, and both have a rest. */
        if (most.high == least.high && most.middle >> 63 == least.middle >> 63 && least.middle << 1 != 0)
                return true;
        return most.high >= least.high && assemble_product(&most, binary) == *ret;
}

static double read_exactly(const struct reading *reading)
{
        char digits[SIGNIFICANT_MAX + 32];
        size_t count = 0, more = 0;
        long cut = 0;

        for (const char *at = reading->digits; at < reading->end; at++) {
                if (*at == '.')
                        continue;
                if (count < SIGNIFICANT_MAX)
                        digits[count++] = *at;
                else {
                        /* What is beyond counts as "not zero". */
                        more++;
                        if (*at != '0')
                                digits[SIGNIFICANT_MAX - 1] = '1';
                }
        }
        /* The exponent belongs to the digits of the mantissa. */
        cut = (long)(count + more) > MANTISSA_DIGITS ? (long)(count + more) - MANTISSA_DIGITS : 0;
        snprintf(digits + count, sizeof digits - count, "e%ld", reading->exponent - cut + (long)more);
        return strtod(digits, NULL);
}

double number_parse(const char *text, size_t size)
{
        const char *end = text + size;
        bool is_negative = *text == '-';
        struct reading reading;
        double result = 0;

        text += is_negative || *text == '+';
        read_digits(text, end, &reading);
        if (reading.mantissa == 0 || reading.exponent < POWER_LEAST)
                result = 0;
        else if (reading.exponent > 308)
                result = INFINITY;
        else if (!read_quickly(&reading, &result))
                result = read_exactly(&reading);
        return is_negative ? -result : result;
}
