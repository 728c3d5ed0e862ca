/* By recursion, since what is compared is never deep, and as plainly as possible: this is what the codecs are judged
 * by. It does not use what they use (mangling, decimal keys). */
#include "interop/walk.h"
#include "support/suite.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_bytes(FILE *stream, const void *bytes, size_t size)
{
        fprintf(stream, "s%zu:", size);
        fwrite(bytes, 1, size, stream);
}

static void put_double(FILE *stream, double number)
{
        uint64_t bits;

        memcpy(&bits, &number, sizeof bits);
        if (isnan(number))
                fputs("dnan", stream);
        else
                fprintf(stream, "d%016" PRIx64, bits);
}

/* As the integer that PHP's json_encode writes for it: the shortest digits that mean it, and zeros. */
static bool put_whole(FILE *stream, double number)
{
        char text[40], digits[20];
        int count = 0, exponent, length;

        if (number == 0)
                number = 0;     /* PHP reads -0 as 0 */
        do
                snprintf(text, sizeof text, "%.*e", count++, number);
        while (strtod(text, NULL) != number);
        exponent = atoi(strchr(text, 'e') + 1);
        if (count - 1 > exponent || exponent > 16)
                return false;
        length = snprintf(digits, sizeof digits, "%.*s%.*s", 1, text + (number < 0), count - 1,
                          text + (number < 0) + 2);
        fprintf(stream, "i%s%s%.*s", number < 0 ? "-" : "", digits, exponent + 1 - length, "00000000000000000");
        return true;
}

static bool is_decimal(const char *bytes, size_t size)
{
        char again[32];

        return size < sizeof again && snprintf(again, sizeof again, "%lld", strtoll(bytes, NULL, 10)) == (int)size &&
               memcmp(again, bytes, size) == 0;
}

static void put_key(FILE *stream, const ferry_value *key, enum walk_as as)
{
        size_t size;
        const char *bytes = ferry_value_bytes(key, &size);

        if (ferry_value_kind(key) == FERRY_VALUE_INT) {
                char text[24];
                int length = snprintf(text, sizeof text, "%" PRId64, ferry_value_int(key, 0));

                if (as >= WALK_JSON)
                        put_bytes(stream, text, (size_t)length);
                else
                        fprintf(stream, "i%s", text);
        } else if (as <= WALK_PHP_CLASSLESS && is_decimal(bytes, size))
                fprintf(stream, "i%s", bytes);
        else
                put_bytes(stream, bytes, size);
        putc('=', stream);
}

static void put_property(FILE *stream, const ferry_value *object, size_t index)
{
        const ferry_value *key = ferry_value_key(object, index);
        size_t size, prefix = 0;
        const char *class_name, *name = ferry_value_bytes(key, &size);

        switch (ferry_value_visibility(object, index, &class_name)) {
        case FERRY_VISIBILITY_PUBLIC:
                put_key(stream, key, WALK_PHP);
                return;
        case FERRY_VISIBILITY_PROTECTED:
                class_name = "*";
                break;
        case FERRY_VISIBILITY_PRIVATE:
                break;
        }
        prefix = strlen(class_name);
        fprintf(stream, "s%zu:%c%s%c", size + prefix + 2, 0, class_name, 0);
        fwrite(name, 1, size, stream);
        putc('=', stream);
}

static void put(FILE *stream, const ferry_value *value, enum walk_as as);

static void put_object(FILE *stream, const ferry_value *value, enum walk_as as)
{
        const char *class_name = ferry_value_class(value);

        SUITE_CHECK(*class_name, "an object without a class");
        if (as >= WALK_JSON) {
                putc(as != WALK_JSON_ARRAYS ? '{' : '[', stream);
                put_bytes(stream, "__class", 7);
                putc('=', stream);
                put_bytes(stream, class_name, strlen(class_name));
        } else
                fprintf(stream, "O%zu:%s{", strlen(class_name), class_name);
        for (size_t i = 0; i < ferry_value_count(value); i++) {
                if (as >= WALK_JSON)
                        put_key(stream, ferry_value_key(value, i), as);
                else
                        put_property(stream, value, i);
                put(stream, ferry_value_at(value, i), as);
        }
        putc(as == WALK_JSON_ARRAYS ? ']' : '}', stream);
}

static void put_items(FILE *stream, const ferry_value *value, enum walk_as as)
{
        bool is_list = ferry_value_kind(value) == FERRY_VALUE_LIST;

        putc(is_list || as == WALK_JSON_ARRAYS || as < WALK_JSON ? '[' : '{', stream);
        for (size_t i = 0; i < ferry_value_count(value); i++) {
                char number[24];
                int size = snprintf(number, sizeof number, "%zu", i);

                if (!is_list)
                        put_key(stream, ferry_value_key(value, i), as);
                else if (as == WALK_JSON_ARRAYS) {
                        put_bytes(stream, number, (size_t)size);
                        putc('=', stream);
                } else if (as < WALK_JSON)
                        fprintf(stream, "i%s=", number);
                put(stream, ferry_value_at(value, i), as);
        }
        putc(is_list || as == WALK_JSON_ARRAYS || as < WALK_JSON ? ']' : '}', stream);
}

static void put_named(FILE *stream, const ferry_value *value, enum walk_as as)
{
        const char *class_name = ferry_value_class(value);
        size_t size;
        const char *bytes = ferry_value_bytes(value, &size);

        if (ferry_value_kind(value) == FERRY_VALUE_OPAQUE && as == WALK_PHP_CLASSLESS) {
                fprintf(stream, "O%zu:%s{}", strlen(class_name), class_name);
                return;
        }
        fprintf(stream, "%c%s:", ferry_value_kind(value) == FERRY_VALUE_ENUM ? 'E' : 'C', class_name);
        put_bytes(stream, bytes, size);
}

static void put(FILE *stream, const ferry_value *value, enum walk_as as)
{
        size_t size;
        const char *bytes;

        switch (ferry_value_kind(value)) {
        case FERRY_VALUE_NULL:
                putc('n', stream);
                break;
        case FERRY_VALUE_BOOL:
                fputs(ferry_value_bool(value, false) ? "b1" : "b0", stream);
                break;
        case FERRY_VALUE_INT:
                fprintf(stream, "i%" PRId64, ferry_value_int(value, 0));
                break;
        case FERRY_VALUE_DOUBLE:
                if (as != WALK_JSON_WRITTEN || !put_whole(stream, ferry_value_double(value, 0)))
                        put_double(stream, ferry_value_double(value, 0));
                break;
        case FERRY_VALUE_STRING:
                bytes = ferry_value_bytes(value, &size);
                put_bytes(stream, bytes, size);
                break;
        case FERRY_VALUE_LIST:
        case FERRY_VALUE_MAP:
                put_items(stream, value, as);
                break;
        case FERRY_VALUE_OBJECT:
                put_object(stream, value, as);
                break;
        case FERRY_VALUE_ENUM:
        case FERRY_VALUE_OPAQUE:
                put_named(stream, value, as);
                break;
        case FERRY_VALUE_NONE:
                ck_abort_msg("no value where one must be");
        }
}

char *walk_value(const ferry_value *value, enum walk_as as, size_t *ret_size)
{
        char *text;
        FILE *stream = open_memstream(&text, ret_size);

        put(stream, value, as);
        fclose(stream);
        return text;
}

static void put_jansson(FILE *stream, json_t *json)
{
        const json_t *class_name = json_object_get(json, "__class");
        const char *key;
        json_t *item;
        size_t i;

        switch (json_typeof(json)) {
        case JSON_NULL:
                putc('n', stream);
                break;
        case JSON_TRUE:
        case JSON_FALSE:
                fputs(json_is_true(json) ? "b1" : "b0", stream);
                break;
        case JSON_INTEGER:
                fprintf(stream, "i%" JSON_INTEGER_FORMAT, json_integer_value(json));
                break;
        case JSON_REAL:
                put_double(stream, json_real_value(json));
                break;
        case JSON_STRING:
                put_bytes(stream, json_string_value(json), json_string_length(json));
                break;
        case JSON_ARRAY:
                putc('[', stream);
                json_array_foreach(json, i, item)
                        put_jansson(stream, item);
                putc(']', stream);
                break;
        case JSON_OBJECT:
                putc('{', stream);
                if (json_is_string(class_name)) {
                        put_bytes(stream, "__class", 7);
                        putc('=', stream);
                        put_bytes(stream, json_string_value(class_name), json_string_length(class_name));
                }
                json_object_foreach(json, key, item) {
                        if (json_is_string(class_name) && strcmp(key, "__class") == 0)
                                continue;
                        put_bytes(stream, key, strlen(key));
                        putc('=', stream);
                        put_jansson(stream, item);
                }
                putc('}', stream);
        }
}

char *walk_jansson(json_t *json, size_t *ret_size)
{
        char *text;
        FILE *stream = open_memstream(&text, ret_size);

        put_jansson(stream, json);
        fclose(stream);
        return text;
}
