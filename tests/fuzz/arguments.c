/* Makes templates fit their arguments. It knows what printf and scanf take; it reads conversions for itself, so that a
 * slip in the library's own reading shows as an argument of another type. */
#include "fuzz/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 3 };

/* One conversion: what it takes, as letters; "" for what takes nothing, '?' for what the compiler refuses. */
struct found {
        char takes[4];
        char length[4];
        char letter;
        const char *end;
};

static size_t span(const char *at, const char *set)
{
        return strspn(at, set);
}

static char kind_of(const struct found *found)
{
        static const char *const lengths[] = { "", "hh", "h", "l", "ll", "z", "j", "t", "L", "m" };
        bool is_64 = found->length[0] && strchr("lzjtL", found->length[0]), is_known = false;

        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
                is_known = is_known || strcmp(found->length, lengths[i]) == 0;
        if (!is_known)
                return '?';
        if (!found->letter)
                return 0;
        if (strchr("diuxXoc", found->letter))
                return is_64 && found->letter != 'c' ? 'l' : 'i';
        if (strchr("eEfFgGaA", found->letter))
                return found->length[0] == 'L' ? '?' : 'd';
        return found->letter == 's' ? 's' : found->letter == 'p' ? 'v' : 0;
}

static void take_apart(const char *at, struct found *ret)
{
        size_t taken = 0, length;

        *ret = (struct found){ 0 };
        at++;
        at += span(at, "-+ #0'");
        if (*at == '*')
                ret->takes[taken++] = 'i', at++;
        else
                at += span(at, "0123456789");
        if (*at == '.') {
                at++;
                if (*at == '*')
                        ret->takes[taken++] = 'i', at++;
                else
                        at += span(at, "0123456789");
        }
        length = span(at, "hlzjtLm");
        memcpy(ret->length, at, length < 3 ? length : 3);
        at += length;
        ret->letter = *at;
        ret->end = *at ? at + 1 : at;
        ret->takes[taken] = kind_of(ret);
}

static const char *canonical(char argument)
{
        return argument == 'i' ? "%d" : argument == 'l' ? "%lld" : argument == 'd' ? "%g" : argument == 's' ? "%s" :
               argument == 'v' ? "%p" : "_";
}

/* Long runs of digits in a conversion would be as long in memory. */
static void shorten_digits(char *text)
{
        for (char *at = text; (at = strchr(at, '%')); at++) {
                struct found found;

                take_apart(at, &found);
                for (char *digit = at; digit < found.end;) {
                        size_t digits = span(digit, "0123456789");

                        if (digits > DIGITS_MAX)
                                memset(digit, '0', digits - DIGITS_MAX);
                        digit += digits + (digits == 0);
                }
        }
}

char *fuzz_template(struct fuzz_input *input, const char *arguments, size_t count)
{
        size_t size = strnlen((const char *)input->at, (size_t)(input->end - input->at));
        char *text = fuzz_copy(input->at, size + (size < (size_t)(input->end - input->at))), *made, *to;
        size_t pointers = 0;

        text = realloc(text, size + 1);
        made = malloc(size * 8 + 8);
        if (!text || !made)
                abort();
        text[size] = '\0';
        input->at += size;
        shorten_digits(text);
        to = made;
        for (const char *at = text; *at;) {
                struct found found;
                size_t taken;

                if (*at != '%') {
                        *to++ = *at++;
                        continue;
                }
                if (at[1] == '%') {
                        *to++ = *at++;
                        *to++ = *at++;
                        continue;
                }
                take_apart(at, &found);
                taken = strlen(found.takes);
                if (arguments && taken > 0 && strncmp(arguments, found.takes, taken) != 0) {
                        to += sprintf(to, "%s", canonical(*arguments));
                        arguments += *arguments != '\0';
                } else if (!arguments && (pointers + 2 > count || (found.letter == 's' &&
                                          atoi(at + 1 + span(at + 1, "-+ #0'")) > 63))) {
                        to += sprintf(to, pointers + 2 > count ? "_" : "%%63s");
                        pointers++;
                } else {
                        memcpy(to, at, (size_t)(found.end - at));
                        to += found.end - at;
                        if (arguments)
                                arguments += taken;
                        pointers++;
                }
                at = found.end;
        }
        *to = '\0';
        free(text);
        return made;
}

bool fuzz_is_allocating(const char *template, size_t number)
{
        for (const char *at = template; (at = strchr(at, '%')); at++) {
                struct found found;

                if (at[1] == '%') {
                        at++;
                        continue;
                }
                take_apart(at, &found);
                if (number-- == 0)
                        return found.letter == 's' && strcmp(found.length, "m") == 0;
                at = found.end - 1;
        }
        return false;
}
