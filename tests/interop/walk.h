/* A value as text that says all of it, as values.php says a value of PHP: two that have the same text are the same
 * value. Texts are compared, so neither side's encoder has a part in the comparison. */
#pragma once

#include <ferry/value.h>

#include <jansson.h>

enum walk_as {
        WALK_PHP,               /* arrays are one kind, names of properties are mangled */
        WALK_PHP_CLASSLESS,     /* and PHP knew no class: an opaque object is an empty one */
        WALK_JSON,              /* an object is the map that it is written as, __class first */
        WALK_JSON_WRITTEN,      /* and a double without a fraction is an integer, where it is written as one */
        WALK_JSON_ARRAYS,       /* and lists are not told from maps whose keys count from 0 */
};

/* To be freed; a zero follows. */
char *walk_value(const ferry_value *value, enum walk_as as, size_t *ret_size);

/* The text of WALK_JSON, of what jansson has read. */
char *walk_jansson(json_t *json, size_t *ret_size);
