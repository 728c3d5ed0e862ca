/* Doubles as text: the shortest that reads back the same, whatever the locale. */
#include "support/suite.h"
#include "value/number.h"
#include "value/powers.h"

#include <ferry/codec.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const struct {
        double number;
        const char *text;
} hard[] = {
        { 0.0, "0" },
        { -0.0, "-0" },
        { 1, "1" },
        { -1, "-1" },
        { 0.1, "0.1" },
        { 0.3, "0.3" },
        { 0.30000000000000004, "0.30000000000000004" },
        { 1.0 / 3, "0.3333333333333333" },
        { 100, "100" },
        { 1e14, "100000000000000" },
        { 999999999999999, "999999999999999" },
        { 1e15, "1000000000000000" },
        { 1e16, "10000000000000000" },
        { 12345678901234567.0, "12345678901234568" },
        { 1e17, "1.0E+17" },
        { 123456789012345678.0, "1.2345678901234568E+17" },
        { 1e22, "1.0E+22" },
        { 1e23, "1.0E+23" },
        { 9.5e-3, "0.0095" },
        { 0.0001, "0.0001" },
        { 0.00012345, "0.00012345" },
        { 0.00001, "1.0E-5" },
        { 1.5e-7, "1.5E-7" },
        { 1e100, "1.0E+100" },
        { 1e-100, "1.0E-100" },
        { 9007199254740993.0, "9007199254740992" },
        { 9007199254740991.0, "9007199254740991" },
        { 0x1p63, "9.223372036854776E+18" },
        { 0x1p-44, "5.684341886080802E-14" },
        { 5e-324, "5.0E-324" },
        { 1e-323, "1.0E-323" },
        { 2.2250738585072011e-308, "2.225073858507201E-308" },
        { 2.2250738585072014e-308, "2.2250738585072014E-308" },
        { DBL_MAX, "1.7976931348623157E+308" },
        { -DBL_MAX, "-1.7976931348623157E+308" },
        { 9.109383632e-31, "9.109383632E-31" },
        { 5e-320, "5.0E-320" },
        { 4.35, "4.35" },
        { 2.5, "2.5" },
        { 1.2345678901234567, "1.2345678901234567" },
};

static void format(double number, char text[NUMBER_TEXT_MAX + 1])
{
        text[number_format(number, 'E', text)] = '\0';
}

static bool is_same(double a, double b)
{
        return memcmp(&a, &b, sizeof a) == 0;
}

static void check_hard_numbers(void)
{
        char text[NUMBER_TEXT_MAX + 1];

        for (int i = 0; i < COUNT(hard); i++) {
                format(hard[i].number, text);
                ck_assert_str_eq(text, hard[i].text);
                ck_assert_msg(is_same(number_parse(text, strlen(text)), hard[i].number), "%s reads otherwise", text);
        }
}

START_TEST(hard_numbers)
{
        check_hard_numbers();
}

/* It reads back, here and for the C library, and no text with fewer digits does. */
static void check_shortest(double number)
{
        char text[NUMBER_TEXT_MAX + 1], other[64];
        int digits = 0, zeros = 0;

        format(number, text);
        ck_assert_msg(is_same(number_parse(text, strlen(text)), number), "%a: %s", number, text);
        ck_assert_msg(is_same(strtod(text, NULL), number), "%a: %s", number, text);
        for (const char *at = text; *at && *at != 'E'; at++) {
                if (*at < '0' || *at > '9' || (*at == '0' && digits == 0))
                        continue;
                digits++;
                zeros = *at == '0' ? zeros + 1 : 0;
        }
        digits -= zeros;
        if (digits > 1) {
                snprintf(other, sizeof other, "%.*e", digits - 2, number);
                ck_assert_msg(strtod(other, NULL) != number, "%a: %s, and also %s", number, text, other);
        }
}

START_TEST(powers_of_two)
{
        for (int exponent = -1074; exponent < 1024; exponent++) {
                check_shortest(ldexp(1, exponent));
                check_shortest(nextafter(ldexp(1, exponent), 0) > 0 ? nextafter(ldexp(1, exponent), 0) : 1);
                check_shortest(nextafter(ldexp(1, exponent), INFINITY));
        }
}

START_TEST(powers_of_ten)
{
        char text[16];

        for (int exponent = -323; exponent <= 308; exponent++) {
                snprintf(text, sizeof text, "1e%d", exponent);
                check_shortest(strtod(text, NULL));
                ck_assert(is_same(number_parse(text, strlen(text)), strtod(text, NULL)));
        }
}

/* xorshift64*: the same numbers in each run. */
static uint64_t next_random(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * 2685821657736338717;
}

START_TEST(random_bits)
{
        uint64_t state = 88172645463325252 + (uint64_t)_i, bits;
        double number;

        for (int i = 0; i < 20000; i++) {
                bits = next_random(&state);
                memcpy(&number, &bits, sizeof number);
                if (isfinite(number))
                        check_shortest(number);
        }
}

START_TEST(texts_are_read_exactly)
{
        /* Half-way cases, digits that decide far behind, more digits than are kept, exponents beyond all. */
        static const char *const texts[] = {
                "9007199254740993", "9007199254740992.99999999999999999999", "9007199254740993.00000000000000000001",
                "2.2250738585072011e-308", "2.2250738585072012e-308", "1e23", "8.5e22", "123456789012345678901234567890",
                "0.000000000000000000000000000000000000001", "4.9406564584124654e-324", "2.4703282292062328e-324",
                "2.4703282292062327e-324", "1.7976931348623158e308", "1.7976931348623159e308", "1e400", "1e-400",
                "1e99999999999999999999", "-1e-99999999999999999999", "0e99999999999999999999", "0.0e5", "-0.0",
                "100000000000000000000000e-23", "0.00000000000000000001e20", "00012.5", "1.00000000000000000000e+0",
        };
        char longest[2048];

        for (int i = 0; i < COUNT(texts); i++)
                ck_assert_msg(is_same(number_parse(texts[i], strlen(texts[i])), strtod(texts[i], NULL)), "%s", texts[i]);
        /* 2^53 + 1, and a last digit that breaks the tie. */
        for (char last = '0'; last <= '1'; last++) {
                memset(longest, '0', sizeof longest);
                memcpy(longest, "9007199254740993.", 17);
                longest[sizeof longest - 1] = last;
                ck_assert(number_parse(longest, sizeof longest) == (last == '0' ? 9007199254740992.0 : 9007199254740994.0));
        }
}

/* Of all lengths, and those that lie in the middle between two doubles, cut off at any digit. */
START_TEST(texts_are_read_as_the_c_library_reads_them)
{
        uint64_t state = 362436069 + (uint64_t)_i, bits;
        char text[128];
        double number;

        for (int i = 0; i < 20000; i++) {
                int digits = (int)(next_random(&state) % 40), size = 0;

                bits = next_random(&state);
                memcpy(&number, &bits, sizeof number);
                if (i % 2 && isfinite(number))
                        size = snprintf(text, sizeof text, "%.*Le", digits, ((long double)number + nextafter(number, 0)) / 2);
                else {
                        for (int j = 0; j <= digits; j++) {
                                text[size++] = (char)('0' + next_random(&state) % 10);
                                if (j == digits / 3 && j < digits)
                                        text[size++] = '.';
                        }
                        size += snprintf(text + size, sizeof text - (size_t)size, "e%d", (int)(next_random(&state) % 700) - 370);
                }
                ck_assert_msg(is_same(number_parse(text, (size_t)size), strtod(text, NULL)), "%s", text);
        }
}

/* An integer of as many bits as it needs, for the table. */
struct large {
        uint32_t words[40];
};

static void multiply_add(struct large *large, uint32_t factor, uint32_t addend)
{
        uint64_t carry = addend;

        for (int i = 0; i < COUNT(large->words); i++, carry >>= 32) {
                carry += (uint64_t)large->words[i] * factor;
                large->words[i] = (uint32_t)carry;
        }
}

static int bits_of(const struct large *large)
{
        for (int i = COUNT(large->words); i-- > 0;)
                if (large->words[i])
                        return i * 32 + 32 - __builtin_clz(large->words[i]);
        return 0;
}

static bool bit_of(const struct large *large, int bit)
{
        return bit >= 0 && large->words[bit / 32] >> bit % 32 & 1;
}

static bool power_bit(const struct power *power, int bit)
{
        return (bit < 64 ? power->low >> bit : power->high >> (bit - 64)) & 1;
}

START_TEST(powers_of_the_table_are_cut_off_and_no_more)
{
        struct large five = { { 1 } };

        for (int exponent = 0; exponent <= POWER_MOST; exponent++, multiply_add(&five, 5, 0)) {
                int size = bits_of(&five);

                for (int bit = 0; bit < 128; bit++)
                        ck_assert(power_bit(power_of_ten(exponent), bit) == bit_of(&five, size - 128 + bit));
                ck_assert_int_eq(power_scale(exponent), exponent + size - 128);
                ck_assert((exponent <= POWER_EXACT_MOST) == (size <= 128));
        }
        /* What stands for the reciprocal, times the power, is a power of two, or less than one power below it. */
        five = (struct large){ { 1 } };
        for (int exponent = 0; exponent >= POWER_LEAST; exponent--, multiply_add(&five, 5, 0)) {
                const struct power *power = power_of_ten(exponent);
                struct large product = five, sum;
                uint64_t carry = 0;

                if (exponent == 0)
                        continue;
                memset(&product, 0, sizeof product);
                for (int bit = 127; bit >= 0; bit--) {
                        multiply_add(&product, 2, 0);
                        for (int i = 0; power_bit(power, bit) && i < COUNT(product.words); i++, carry >>= 32) {
                                carry += (uint64_t)product.words[i] + five.words[i];
                                product.words[i] = (uint32_t)carry;
                        }
                }
                for (int i = 0; i < COUNT(product.words); i++, carry >>= 32) {
                        carry += (uint64_t)product.words[i] + five.words[i];
                        sum.words[i] = (uint32_t)carry;
                }
                ck_assert_int_eq(bits_of(&sum), bits_of(&product) + 1);
                ck_assert_int_eq(power_scale(exponent), exponent - bits_of(&product));
        }
}

START_TEST(codecs_keep_every_bit)
{
        const ferry_codec *codecs[] = { ferry_codec_php(), ferry_codec_json(), ferry_codec_msgpack() };
        uint64_t state = 1234567, bits;

        for (int i = 0; i < 3000; i++) {
                double number = i < COUNT(hard) ? hard[i].number : 0, again;
                FERRY_AUTO(ferry_value) value = NULL;
                FERRY_AUTO(ferry_value) other = NULL;
                void *text;
                size_t size;

                if (i >= COUNT(hard)) {
                        bits = next_random(&state);
                        memcpy(&number, &bits, sizeof number);
                        if (!isfinite(number))
                                continue;
                }
                value = ferry_value_pack("[%f]", number);
                ck_assert_int_eq(ferry_codec_encode(codecs[_i], value, &text, &size), 0);
                ck_assert_int_eq(ferry_codec_decode(codecs[_i], text, size, &other, NULL), 0);
                again = ferry_value_double(ferry_value_at(other, 0), NAN);
                ck_assert_msg(is_same(number, again), "%s", (char *)text);
                free(text);
        }
}

START_TEST(the_locale_changes_nothing)
{
        static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "fr_FR.utf8", "fr_FR",
                                             "ru_RU.UTF-8", "es_ES.UTF-8", "it_IT.UTF-8", "nl_NL.UTF-8", "pl_PL.UTF-8",
                                             "pt_BR.UTF-8", "sv_SE.UTF-8", "cs_CZ.UTF-8", "da_DK.UTF-8", "tr_TR.UTF-8" };
        FERRY_AUTO(ferry_value) value = NULL;
        char half[8];
        int i = 0;

        while (i < COUNT(names) && (!setlocale(LC_ALL, names[i]) || *localeconv()->decimal_point != ','))
                i++;
        if (i == COUNT(names)) {
                printf("number: no locale with a comma is installed: skipped\n");
                fflush(stdout);
                return;
        }
        snprintf(half, sizeof half, "%.1f", 0.5);
        ck_assert_str_eq(half, "0,5");
        check_hard_numbers();
        codecs_keep_every_bit_fn(0);
        codecs_keep_every_bit_fn(1);
        value = ferry_value_pack("[0.5, 1.5e3]");
        ck_assert_double_eq(ferry_value_double(ferry_value_at(value, 0), 0), 0.5);
        ck_assert_double_eq(ferry_value_double(ferry_value_at(value, 1), 0), 1500);
        ck_assert_int_eq(ferry_value_unpack(value, "[0.5, 1500]"), 0);
}

static const struct suite_test tests[] = {
        SUITE_TEST(hard_numbers),
        SUITE_TEST(powers_of_two),
        SUITE_TEST(powers_of_ten),
        SUITE_LOOP(random_bits, 4),
        SUITE_TEST(texts_are_read_exactly),
        SUITE_LOOP(texts_are_read_as_the_c_library_reads_them, 4),
        SUITE_TEST(powers_of_the_table_are_cut_off_and_no_more),
        SUITE_LOOP(codecs_keep_every_bit, 3),
        SUITE_TEST(the_locale_changes_nothing),
};

SUITE_MAIN("number", tests)
