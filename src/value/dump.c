/* A line of JSON for people. It shows every value, also what JSON has no way to write, so it cannot fail but
 * where the stream does; what it prints is not meant to be read back. */
#include "value/codec.h"
#include "value/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_base64(const char *bytes, size_t size, FILE *stream)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

        for (size_t i = 0; i < size; i += 3) {
                size_t left = size - i;
                unsigned group = (unsigned)(unsigned char)bytes[i] << 16;

                if (left > 1)
                        group |= (unsigned)(unsigned char)bytes[i + 1] << 8;
                if (left > 2)
                        group |= (unsigned char)bytes[i + 2];
                putc(digits[group >> 18], stream);
                putc(digits[group >> 12 & 63], stream);
                putc(left > 1 ? digits[group >> 6 & 63] : '=', stream);
                putc(left > 2 ? digits[group & 63] : '=', stream);
        }
}

static void print_text(const char *bytes, size_t size, FILE *stream)
{
        putc('"', stream);
        for (const char *at = bytes; at < bytes + size; at++) {
                unsigned char c = (unsigned char)*at;

                if (c == '"' || c == '\\')
                        fprintf(stream, "\\%c", c);
                else if (c == '\n')
                        fputs("\\n", stream);
                else if (c == '\r')
                        fputs("\\r", stream);
                else if (c == '\t')
                        fputs("\\t", stream);
                else if (c < 0x20 || c == 0x7f)
                        fprintf(stream, "\\u%04x", c);
                else
                        putc(c, stream);
        }
        putc('"', stream);
}

static void print_string(const char *bytes, size_t size, FILE *stream)
{
        if (utf8_is_valid(bytes, size)) {
                print_text(bytes, size, stream);
                return;
        }
        fputs("{\"__bytes\":\"", stream);
        print_base64(bytes, size, stream);
        fputs("\"}", stream);
}

/* The name of a member is a text in any case. */
static void print_name(const char *bytes, size_t size, FILE *stream)
{
        if (utf8_is_valid(bytes, size)) {
                print_text(bytes, size, stream);
                return;
        }
        fputs("\"__bytes:", stream);
        print_base64(bytes, size, stream);
        putc('"', stream);
}

static void print_double(double number, FILE *stream)
{
        char text[NUMBER_TEXT_MAX];
        size_t size;

        if (isnan(number) || isinf(number)) {
                fputs(isnan(number) ? "\"NAN\"" : number > 0 ? "\"INF\"" : "\"-INF\"", stream);
                return;
        }
        size = number_format(number, 'e', text);
        fwrite(text, 1, size, stream);
}

static void print_named(const ferry_value *value, FILE *stream)
{
        fputs("{\"__class\":", stream);
        print_name(value->named->class_name, value->named->class_size, stream);
        fputs(value->kind == FERRY_VALUE_ENUM ? ",\"__case\":" : ",\"__data\":", stream);
        print_string(value->named->bytes, value->size, stream);
        putc('}', stream);
}

static void print_opening(const ferry_value *value, FILE *stream)
{
        if (value->kind == FERRY_VALUE_OBJECT) {
                fputs("{\"__class\":", stream);
                print_name(value->members->class_name, value->members->class_size, stream);
                if (value->size == 0)
                        putc('}', stream);
                return;
        }
        putc(value->kind == FERRY_VALUE_LIST ? '[' : '{', stream);
        if (value->size == 0)
                putc(value->kind == FERRY_VALUE_LIST ? ']' : '}', stream);
}

static void print_value(const ferry_value *value, FILE *stream)
{
        switch (value->kind) {
        case FERRY_VALUE_NULL:
                fputs("null", stream);
                break;
        case FERRY_VALUE_BOOL:
                fputs(value->boolean ? "true" : "false", stream);
                break;
        case FERRY_VALUE_INT:
                fprintf(stream, "%lld", (long long)value->integer);
                break;
        case FERRY_VALUE_DOUBLE:
                print_double(value->real, stream);
                break;
        case FERRY_VALUE_STRING:
                print_string(value->bytes, value->size, stream);
                break;
        case FERRY_VALUE_ENUM:
        case FERRY_VALUE_OPAQUE:
                print_named(value, stream);
                break;
        default:
                print_opening(value, stream);
        }
}

int ferry_value_dump(const ferry_value *value, FILE *stream)
{
        struct walk walk;
        struct walk_step step;

        errno = 0;
        walk_begin(&walk, value);
        while (!ferror(stream) && walk_next(&walk, &step)) {
                if (step.is_closing) {
                        putc(step.value->kind == FERRY_VALUE_LIST ? ']' : '}', stream);
                        continue;
                }
                if (step.index > 0 || (step.parent && step.parent->kind == FERRY_VALUE_OBJECT))
                        putc(',', stream);
                if (step.key && step.key->kind == FERRY_VALUE_INT)
                        fprintf(stream, "\"%lld\":", (long long)step.key->integer);
                else if (step.key) {
                        print_name(step.key->bytes, step.key->size, stream);
                        putc(':', stream);
                }
                print_value(step.value, stream);
        }
        putc('\n', stream);
        if (!ferror(stream))
                return 0;
        return errno ? -errno : -EIO;
}
