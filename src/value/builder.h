/* The builder behind all that makes values: templates, decoders, the program's own codecs. */
#pragma once

#include "value/tree.h"

enum {
        BUILDER_NODES = 24,     /* so many nodes and levels need no memory but the builder's */
        BUILDER_LEVELS = 8,
};

struct level {
        const char *class_name; /* of an object */
        uint32_t class_size;
        uint8_t kind;
        uint16_t depth;         /* of the deepest item so far */
        size_t first;           /* of its nodes */
};

struct ferry_builder {
        struct arena *arena;
        int error;
        bool has_key;           /* a key waits for its value */
        bool is_borrowing;      /* arguments, and values that are added, outlive the value */
        ferry_value *nodes;     /* all that is not yet in a finished container: values, each behind its key */
        size_t node_count;
        size_t node_capacity;
        struct level *levels;
        size_t level_count;
        size_t level_capacity;
        ferry_value first_nodes[BUILDER_NODES];
        struct level first_levels[BUILDER_LEVELS];
        char place[160];        /* what is wrong with a template, or "" */
};

/* Begin a builder that puts its value into @arena (NULL: it has failed, for memory). */
void builder_init(ferry_builder *builder, struct arena *arena);
void builder_deinit(ferry_builder *builder);

/* The first error sticks. */
void builder_fail(ferry_builder *builder, int error);

/* Add a value. add_view takes bytes that end with a zero, or will when the builder is done, and live as
 * long as the arena. add_node copies a node that lives as long. */
void builder_add_null(ferry_builder *builder);
void builder_add_bool(ferry_builder *builder, bool value);
void builder_add_int(ferry_builder *builder, int64_t value);
void builder_add_double(ferry_builder *builder, double value);
void builder_add_string(ferry_builder *builder, const void *bytes, size_t size);
void builder_add_view(ferry_builder *builder, const char *bytes, size_t size);
void builder_add_binary_view(ferry_builder *builder, const char *bytes, size_t size);
void builder_add_node(ferry_builder *builder, const ferry_value *node);
void builder_add_value(ferry_builder *builder, const ferry_value *value);
void builder_add_named(ferry_builder *builder, enum ferry_value_kind kind, const char *class_name,
                       size_t class_size, const char *bytes, size_t size);

/* Bytes that the program has given as an argument, also as a key: a view, if the builder borrows those. */
void builder_add_argument(ferry_builder *builder, const char *bytes, size_t size);
void builder_key_argument(ferry_builder *builder, const char *bytes, size_t size);

/* Begin a container; end it. Names of classes are views, as the bytes of add_named. */
void builder_open(ferry_builder *builder, enum ferry_value_kind kind, const char *class_name,
                  size_t class_size);
void builder_close(ferry_builder *builder);

/* Bytes in the arena, as a view; NULL with the error set. */
const char *builder_copy(ferry_builder *builder, const void *bytes, size_t size);

/* Name what is added next. A mangled name is as PHP writes it: "name", "\0*\0name", "\0Class\0name"; anything
 * else that begins with a zero is -EBADMSG. Views as above. */
void builder_key_int(ferry_builder *builder, int64_t key);
void builder_key_string(ferry_builder *builder, const void *bytes, size_t size);
void builder_key_view(ferry_builder *builder, const char *bytes, size_t size);
void builder_key_mangled(ferry_builder *builder, const char *bytes, size_t size);
int name_check_mangled(const char *bytes, size_t size);

/* The root, which lies in the arena; NULL with the error set if there is none. */
ferry_value *builder_take(ferry_builder *builder);

/* Add one value by a template (NULL: null). A template that is wrong is -EINVAL, and its place reported. */
void builder_add_template(ferry_builder *builder, const char *format, va_list arguments);
