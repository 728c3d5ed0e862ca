/* Builds a tree: nodes are gathered on a stack, and copied into the arena as one array when their container
 * closes. Invariant: in a map or object keys and values alternate on the stack, so closing turns them into
 * entries as they lie. */
#include "value/builder.h"

#include <errno.h>
#include <string.h>

void builder_init(ferry_builder *builder, struct arena *arena)
{
        builder->arena = arena;
        builder->error = arena ? 0 : -ENOMEM;
        builder->has_key = false;
        builder->is_borrowing = false;
        builder->nodes = builder->first_nodes;
        builder->node_count = 0;
        builder->node_capacity = BUILDER_NODES;
        builder->levels = builder->first_levels;
        builder->level_count = 0;
        builder->level_capacity = BUILDER_LEVELS;
        builder->place[0] = '\0';
}

void builder_deinit(ferry_builder *builder)
{
        if (builder->nodes != builder->first_nodes)
                sys_free(builder->nodes);
        if (builder->levels != builder->first_levels)
                sys_free(builder->levels);
}

void builder_fail(ferry_builder *builder, int error)
{
        if (!builder->error)
                builder->error = error;
}

/* Make an array that begins in the builder at least @capacity long. */
static void *grow(ferry_builder *builder, void *array, const void *first, size_t used, size_t capacity,
                  size_t member_size)
{
        void *grown = sys_realloc(array == first ? NULL : array, capacity * member_size);

        if (!grown) {
                builder_fail(builder, -ENOMEM);
                return NULL;
        }
        if (array == first)
                memcpy(grown, first, used * member_size);
        return grown;
}

static void reserve(ferry_builder *builder, size_t nodes)
{
        ferry_value *grown;

        if (builder->error || nodes <= builder->node_capacity)
                return;
        grown = grow(builder, builder->nodes, builder->first_nodes, builder->node_count, nodes, sizeof *grown);
        if (!grown)
                return;
        builder->nodes = grown;
        builder->node_capacity = nodes;
}

/* Push a node; NULL if that is not its place. */
static ferry_value *push(ferry_builder *builder, enum ferry_value_kind kind)
{
        ferry_value *node;

        if (builder->error)
                return NULL;
        if (builder->node_count == builder->node_capacity) {
                reserve(builder, builder->node_capacity * 2);
                if (builder->error)
                        return NULL;
        }
        node = &builder->nodes[builder->node_count++];
        *node = (ferry_value){ .kind = (uint8_t)kind, .arena = builder->arena };
        return node;
}

/* The same for a value: one is expected here. */
static ferry_value *push_value(ferry_builder *builder, enum ferry_value_kind kind)
{
        if (builder->error)
                return NULL;
        if (builder->level_count == 0 ? builder->node_count > 0 :
            builder->levels[builder->level_count - 1].kind != FERRY_VALUE_LIST && !builder->has_key) {
                builder_fail(builder, -EINVAL);
                return NULL;
        }
        builder->has_key = false;
        return push(builder, kind);
}

/* The same for a key. */
static ferry_value *push_key(ferry_builder *builder, enum ferry_value_kind kind)
{
        if (builder->error)
                return NULL;
        if (builder->has_key || builder->level_count == 0 ||
            builder->levels[builder->level_count - 1].kind == FERRY_VALUE_LIST) {
                builder_fail(builder, -EINVAL);
                return NULL;
        }
        builder->has_key = true;
        return push(builder, kind);
}

static void note_depth(ferry_builder *builder, size_t depth)
{
        struct level *level;

        if (builder->level_count + depth > DEPTH_MAX) {
                builder_fail(builder, -EMSGSIZE);
                return;
        }
        if (builder->level_count == 0)
                return;
        level = &builder->levels[builder->level_count - 1];
        if (depth > level->depth)
                level->depth = (uint16_t)depth;
}

void builder_add_null(ferry_builder *builder)
{
        push_value(builder, FERRY_VALUE_NULL);
}

void builder_add_bool(ferry_builder *builder, bool value)
{
        ferry_value *node = push_value(builder, FERRY_VALUE_BOOL);

        if (node)
                node->boolean = value;
}

void builder_add_int(ferry_builder *builder, int64_t value)
{
        ferry_value *node = push_value(builder, FERRY_VALUE_INT);

        if (node)
                node->integer = value;
}

void builder_add_double(ferry_builder *builder, double value)
{
        ferry_value *node = push_value(builder, FERRY_VALUE_DOUBLE);

        if (node)
                node->real = value;
}

const char *builder_copy(ferry_builder *builder, const void *bytes, size_t size)
{
        const char *copied;

        if (builder->error)
                return NULL;
        if (size > UINT32_MAX) {
                builder_fail(builder, -EMSGSIZE);
                return NULL;
        }
        copied = arena_copy(builder->arena, bytes, size);
        if (!copied)
                builder_fail(builder, -ENOMEM);
        return copied;
}

static void add_view(ferry_builder *builder, const char *bytes, size_t size, uint8_t mark)
{
        ferry_value *node = push_value(builder, FERRY_VALUE_STRING);

        if (!node)
                return;
        node->bytes = bytes;
        node->size = (uint32_t)size;
        node->visibility = mark;
}

void builder_add_view(ferry_builder *builder, const char *bytes, size_t size)
{
        add_view(builder, bytes, size, 0);
}

void builder_add_binary_view(ferry_builder *builder, const char *bytes, size_t size)
{
        add_view(builder, bytes, size, STRING_IS_BINARY);
}

void builder_add_string(ferry_builder *builder, const void *bytes, size_t size)
{
        builder_add_view(builder, builder_copy(builder, bytes, size), size);
}

void builder_add_argument(ferry_builder *builder, const char *bytes, size_t size)
{
        if (builder->is_borrowing && size <= UINT32_MAX)
                builder_add_view(builder, bytes, size);
        else
                builder_add_string(builder, bytes, size);
}

void builder_add_node(ferry_builder *builder, const ferry_value *value)
{
        ferry_value *node;

        note_depth(builder, value->depth);
        node = push_value(builder, value->kind);
        if (!node)
                return;
        *node = *value;
        /* A reference to it holds the tree in which it lies, and by that the one with what it points to. One that is borrowed keeps its
         * own. */
        if (!builder->is_borrowing)
                node->arena = builder->arena;
}

/* One that has no items. */
static void add_copy(ferry_builder *builder, const ferry_value *value)
{
        if (value->kind == FERRY_VALUE_STRING)
                add_view(builder, builder_copy(builder, value->bytes, value->size), value->size,
                         value->visibility & STRING_IS_BINARY);
        else if (value->kind == FERRY_VALUE_OBJECT) {
                builder_open(builder, value->kind, builder_copy(builder, value->members->class_name,
                                                                value->members->class_size),
                             value->members->class_size);
                builder_close(builder);
        } else
                builder_add_named(builder, value->kind,
                                  builder_copy(builder, value->named->class_name, value->named->class_size),
                                  value->named->class_size, builder_copy(builder, value->named->bytes, value->size),
                                  value->size);
}

void builder_add_value(ferry_builder *builder, const ferry_value *value)
{
        int error;

        if (!value)
                builder_fail(builder, -EINVAL);
        if (builder->error)
                return;
        error = builder->is_borrowing ? 0 : arena_hold_contents(builder->arena, value);
        if (error == -E2BIG)
                add_copy(builder, value);
        else if (error)
                builder_fail(builder, error);
        else
                builder_add_node(builder, value);
}

void builder_add_named(ferry_builder *builder, enum ferry_value_kind kind, const char *class_name,
                       size_t class_size, const char *bytes, size_t size)
{
        struct named *named = builder->error ? NULL : arena_take(builder->arena, sizeof *named);
        ferry_value *node;

        if (!named) {
                builder_fail(builder, -ENOMEM);
                return;
        }
        *named = (struct named){ .class_name = class_name, .class_size = (uint32_t)class_size, .bytes = bytes };
        node = push_value(builder, kind);
        if (!node)
                return;
        node->named = named;
        node->size = (uint32_t)size;
}

void builder_open(ferry_builder *builder, enum ferry_value_kind kind, const char *class_name, size_t class_size)
{
        struct level *levels;

        /* The container itself counts as a level, also while it is empty. */
        note_depth(builder, 1);
        if (!push_value(builder, kind))
                return;
        if (builder->level_count == builder->level_capacity) {
                levels = grow(builder, builder->levels, builder->first_levels, builder->level_count,
                              builder->level_capacity * 4, sizeof *levels);
                if (!levels)
                        return;
                builder->levels = levels;
                builder->level_capacity *= 4;
        }
        builder->levels[builder->level_count++] = (struct level){
                .class_name = class_name,
                .class_size = (uint32_t)class_size,
                .kind = (uint8_t)kind,
                .first = builder->node_count,
        };
}

void builder_key_int(ferry_builder *builder, int64_t key)
{
        ferry_value *node = push_key(builder, FERRY_VALUE_INT);

        if (node)
                node->integer = key;
}

void builder_key_view(ferry_builder *builder, const char *bytes, size_t size)
{
        ferry_value *node = push_key(builder, FERRY_VALUE_STRING);

        if (!node)
                return;
        /* In PHP's formats that would be a name that is mangled, and wrongly. */
        if (size > 0 && bytes[0] == '\0' && builder->levels[builder->level_count - 1].kind == FERRY_VALUE_OBJECT)
                builder_fail(builder, -EINVAL);
        node->bytes = bytes;
        node->size = (uint32_t)size;
}

void builder_key_string(ferry_builder *builder, const void *bytes, size_t size)
{
        builder_key_view(builder, builder_copy(builder, bytes, size), size);
}

void builder_key_argument(ferry_builder *builder, const char *bytes, size_t size)
{
        if (builder->is_borrowing && size <= UINT32_MAX)
                builder_key_view(builder, bytes, size);
        else
                builder_key_string(builder, bytes, size);
}

int name_check_mangled(const char *bytes, size_t size)
{
        const char *second;

        if (size == 0 || bytes[0] != '\0')
                return 0;
        second = memchr(bytes + 1, '\0', size - 1);
        if (!second || second == bytes + 1)
                return -EBADMSG;
        /* The bare name itself must not look mangled. */
        return second + 1 < bytes + size && second[1] == '\0' ? -EBADMSG : 0;
}

void builder_key_mangled(ferry_builder *builder, const char *bytes, size_t size)
{
        const char *name = bytes;
        ferry_value *node;

        builder_fail(builder, name_check_mangled(bytes, size));
        if (builder->error)
                return;
        if (size > 0 && bytes[0] == '\0')
                name = (const char *)memchr(bytes + 1, '\0', size - 1) + 1;
        builder_key_view(builder, name, size - (size_t)(name - bytes));
        if (builder->error || name == bytes)
                return;
        node = &builder->nodes[builder->node_count - 1];
        node->visibility = name - bytes == 3 && bytes[1] == '*' ? FERRY_VISIBILITY_PROTECTED :
                                                                  FERRY_VISIBILITY_PRIVATE;
}

static void close_members(ferry_builder *builder, const struct level *level, ferry_value *container)
{
        static const struct members nothing;
        const struct entry *entries = (struct entry *)&builder->nodes[level->first];
        size_t count = (builder->node_count - level->first) / 2;
        struct members *members;

        /* An empty map is one byte in msgpack. */
        if (count == 0 && level->kind == FERRY_VALUE_MAP) {
                container->members = &nothing;
                return;
        }
        members = arena_take(builder->arena, sizeof *members + count * sizeof(struct entry));
        if (!members) {
                builder_fail(builder, -ENOMEM);
                return;
        }
        *members = (struct members){ .class_name = level->class_name, .class_size = level->class_size,
                                     .entries = (struct entry *)(members + 1) };
        container->members = members;
        if (members_gather(builder->arena, members, entries, count, true, &container->size) < 0)
                builder_fail(builder, -ENOMEM);
}

static void close_list(ferry_builder *builder, const struct level *level, ferry_value *container)
{
        size_t count = builder->node_count - level->first;
        ferry_value *items = arena_take(builder->arena, count * sizeof *items);

        if (!items) {
                builder_fail(builder, -ENOMEM);
                return;
        }
        memcpy(items, &builder->nodes[level->first], count * sizeof *items);
        container->items = items;
        container->size = (uint32_t)count;
}

void builder_close(ferry_builder *builder)
{
        struct level *level;
        ferry_value *container;

        if (builder->error)
                return;
        if (builder->level_count == 0 || builder->has_key) {
                builder_fail(builder, -EINVAL);
                return;
        }
        level = &builder->levels[--builder->level_count];
        container = &builder->nodes[level->first - 1];
        container->depth = (uint16_t)(level->depth + 1);
        if (builder->node_count - level->first > UINT32_MAX)
                builder_fail(builder, -EMSGSIZE);
        else if (level->kind == FERRY_VALUE_LIST)
                close_list(builder, level, container);
        else
                close_members(builder, level, container);
        builder->node_count = level->first;
        note_depth(builder, container->depth);
}

void ferry_builder_close(ferry_builder *builder)
{
        if (builder)
                builder_close(builder);
}

ferry_value *builder_take(ferry_builder *builder)
{
        ferry_value *root;

        if (!builder->error && (builder->level_count > 0 || builder->node_count != 1))
                builder_fail(builder, -EINVAL);
        if (builder->error)
                return NULL;
        root = arena_take(builder->arena, sizeof *root);
        if (!root) {
                builder_fail(builder, -ENOMEM);
                return NULL;
        }
        *root = builder->nodes[0];
        return root;
}

ferry_builder *ferry_builder_new(void)
{
        ferry_builder *builder = sys_alloc(sizeof *builder);

        if (builder)
                builder_init(builder, arena_new(256));
        return builder;
}

void ferry_builder_add_bytes(ferry_builder *builder, enum ferry_value_kind kind, const char *class_name,
                             const void *bytes, size_t size)
{
        if (!builder)
                return;
        if (kind == FERRY_VALUE_STRING && !class_name && (bytes || size == 0))
                builder_add_string(builder, bytes, size);
        else if (((kind == FERRY_VALUE_ENUM && size > 0) || kind == FERRY_VALUE_OPAQUE) && class_name && *class_name &&
                 (bytes || size == 0))
                builder_add_named(builder, kind, builder_copy(builder, class_name, strlen(class_name)),
                                  strlen(class_name), builder_copy(builder, bytes, size), size);
        else
                builder_fail(builder, -EINVAL);
}

void ferry_builder_add_binary(ferry_builder *builder, const void *bytes, size_t size)
{
        if (!builder)
                return;
        if (bytes || size == 0)
                builder_add_binary_view(builder, builder_copy(builder, bytes, size), size);
        else
                builder_fail(builder, -EINVAL);
}

void ferry_builder_open(ferry_builder *builder, enum ferry_value_kind kind, const char *class_name)
{
        if (!builder)
                return;
        if (kind == FERRY_VALUE_OBJECT ? !class_name || !*class_name :
            class_name || (kind != FERRY_VALUE_LIST && kind != FERRY_VALUE_MAP))
                builder_fail(builder, -EINVAL);
        else
                builder_open(builder, kind,
                             class_name ? builder_copy(builder, class_name, strlen(class_name)) : NULL,
                             class_name ? strlen(class_name) : 0);
}

void ferry_builder_property(ferry_builder *builder, const char *name, enum ferry_visibility visibility,
                            const char *class_name)
{
        size_t name_size, class_size;
        char *mangled;

        if (!builder || builder->error)
                return;
        if (!name || visibility > FERRY_VISIBILITY_PRIVATE ||
            (visibility == FERRY_VISIBILITY_PRIVATE) != (class_name && *class_name) ||
            builder->level_count == 0 ||
            builder->levels[builder->level_count - 1].kind != FERRY_VALUE_OBJECT) {
                builder_fail(builder, -EINVAL);
                return;
        }
        name_size = strlen(name);
        if (visibility == FERRY_VISIBILITY_PUBLIC) {
                builder_key_string(builder, name, name_size);
                return;
        }
        if (visibility == FERRY_VISIBILITY_PROTECTED)
                class_name = "*";
        class_size = strlen(class_name);
        mangled = arena_take(builder->arena, class_size + name_size + 3);
        if (!mangled) {
                builder_fail(builder, -ENOMEM);
                return;
        }
        mangled[0] = '\0';
        memcpy(mangled + 1, class_name, class_size + 1);
        memcpy(mangled + class_size + 2, name, name_size + 1);
        builder_key_mangled(builder, mangled, class_size + name_size + 2);
}

int ferry_builder_finish(ferry_builder *builder, ferry_value **ret_value)
{
        ferry_value *root;
        int error;

        if (ret_value)
                *ret_value = NULL;
        if (!builder)
                return -ENOMEM;
        root = builder_take(builder);
        error = builder->error;
        if (builder->arena) {
                if (root && ret_value)
                        *ret_value = root;
                else
                        arena_unref(builder->arena);
        }
        builder_deinit(builder);
        sys_free(builder);
        return error;
}
