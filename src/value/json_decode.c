/* Builds the value of JSON that json.c has looked at. How many items a container has is known when it ends: until then they stand
 * on a stack. Strings stay where they are; the closing quote makes room for their zero. */
#include "value/json.h"
#include "value/number.h"
#include "value/scan.h"

#include <errno.h>
#include <string.h>

/* So many nodes need no memory but the stack's. */
enum { NODES_AT_FIRST = 64 };

struct container {
        ferry_value *node;      /* the container, on the stack; behind it its items */
        bool is_map;
        bool has_class;         /* a key __class */
        bool may_have_twins;    /* two keys have the same bit */
        uint64_t key_bits;
        uint16_t depth;         /* of the deepest item so far */
};

struct maker {
        char *at;
        char *end;
        struct arena *arena;
        bool has_objects;
        ferry_value *top;       /* behind the last node on the stack */
        size_t depth;
        struct container stack[DEPTH_MAX];
        ferry_value first_nodes[NODES_AT_FIRST];
};

static inline void skip_blanks(struct maker *m)
{
        /* Nothing else is so small between two values. */
        while (m->at < m->end && (unsigned char)*m->at <= ' ')
                m->at++;
}

static inline ferry_value *push(struct maker *m, enum ferry_value_kind kind)
{
        ferry_value *node = m->top++;

        *node = (ferry_value){ .kind = (uint8_t)kind, .arena = m->arena };
        return node;
}

static inline ferry_value *push_string(struct maker *m)
{
        ferry_value *node = push(m, FERRY_VALUE_STRING);
        const char *at = ++m->at;
        char *end;

        node->bytes = at;
        at = scan_quote(at, m->end);
        end = (char *)at;
        if (*at != '"')
                end = json_unescape(&at, m->end, end);
        node->size = (uint32_t)(end - node->bytes);
        *end = '\0';
        m->at = (char *)at + 1;
        return node;
}

static inline void push_number(struct maker *m)
{
        const char *begin = m->at;
        bool is_negative = *m->at == '-';
        char *at = m->at + is_negative;
        uint64_t number = 0;
        int64_t integer;

        while (at < m->end && (unsigned char)(*at - '0') <= 9)
                number = number * 10 + (uint64_t)(*at++ - '0');
        /* With up to 18 digits it fits. "-0" is no integer: it is a double that keeps its sign, where PHP makes it 0. */
        if (at == m->end || (*at != '.' && (*at | 0x20) != 'e')) {
                m->at = at;
                if (at - begin <= 18 && !(is_negative && number == 0)) {
                        push(m, FERRY_VALUE_INT)->integer = is_negative ? -(int64_t)number : (int64_t)number;
                        return;
                }
                if (text_is_integer(begin, (size_t)(at - begin), &integer)) {
                        push(m, FERRY_VALUE_INT)->integer = integer;
                        return;
                }
        } else {
                while (at < m->end && ((unsigned char)(*at - '0') <= 9 || *at == '.' || (*at | 0x20) == 'e' || *at == '-' || *at == '+'))
                        at++;
                m->at = at;
        }
        push(m, FERRY_VALUE_DOUBLE)->real = number_parse(begin, (size_t)(at - begin));
}

static void open_container(struct maker *m)
{
        struct container *container = &m->stack[m->depth++];

        container->is_map = *m->at++ == '{';
        container->node = push(m, container->is_map ? FERRY_VALUE_MAP : FERRY_VALUE_LIST);
        container->has_class = container->may_have_twins = false;
        container->key_bits = 0;
        container->depth = 0;
}

static bool is_class_key(const ferry_value *key)
{
        return key->size == sizeof CLASS_KEY - 1 && memcmp(key->bytes, CLASS_KEY, sizeof CLASS_KEY - 1) == 0;
}

/* A map of which the last __class is a string, and not empty, is an object of that class, without that key. */
static void name_class(struct maker *m, const struct container *container, struct members *members)
{
        ferry_value *items = container->node + 1, *kept = items;
        const ferry_value *last = NULL;

        for (ferry_value *key = items; key < m->top; key += 2)
                if (is_class_key(key))
                        last = key + 1;
        if (!last || last->kind != FERRY_VALUE_STRING || last->size == 0)
                return;
        members->class_name = last->bytes;
        members->class_size = last->size;
        container->node->kind = FERRY_VALUE_OBJECT;
        for (ferry_value *key = items; key < m->top; key += 2)
                if (!is_class_key(key)) {
                        kept[0] = key[0];
                        kept[1] = key[1];
                        kept += 2;
                }
        m->top = kept;
}

static int close_map(struct maker *m, const struct container *container)
{
        static const struct members nothing;
        ferry_value *items = container->node + 1;
        struct members named = { 0 }, *members;
        size_t count;

        if (container->has_class)
                name_class(m, container, &named);
        count = (size_t)(m->top - items) / 2;
        if (count == 0 && !named.class_name) {
                container->node->members = &nothing;
                return 0;
        }
        members = arena_take(m->arena, sizeof *members + count * sizeof(struct entry));
        if (!members)
                return -ENOMEM;
        *members = named;
        members->entries = (struct entry *)(members + 1);
        container->node->members = members;
        return members_gather(m->arena, members, (const struct entry *)items, count, container->may_have_twins,
                              &container->node->size);
}

static int close_list(struct maker *m, const struct container *container)
{
        const ferry_value *items = container->node + 1;
        size_t size = (size_t)(m->top - items) * sizeof *items;
        void *copy = arena_take(m->arena, size);

        if (!copy)
                return -ENOMEM;
        memcpy(copy, items, size);
        container->node->items = copy;
        container->node->size = (uint32_t)(m->top - items);
        return 0;
}

static int close_container(struct maker *m)
{
        struct container *container = &m->stack[--m->depth];
        int error = container->is_map ? close_map(m, container) : close_list(m, container);

        m->at++;
        m->top = container->node + 1;
        container->node->depth = (uint16_t)(container->depth + 1);
        if (m->depth > 0 && m->stack[m->depth - 1].depth < container->node->depth)
                m->stack[m->depth - 1].depth = container->node->depth;
        return error;
}

static inline void take_value(struct maker *m)
{
        switch (*m->at) {
        case '{':
        case '[':
                open_container(m);
                break;
        case '"':
                push_string(m);
                break;
        case 't':
                push(m, FERRY_VALUE_BOOL)->boolean = true;
                m->at += 4;
                break;
        case 'f':
                push(m, FERRY_VALUE_BOOL)->boolean = false;
                m->at += 5;
                break;
        case 'n':
                push(m, FERRY_VALUE_NULL);
                m->at += 4;
                break;
        default:
                push_number(m);
        }
}

static int make(struct maker *m)
{
        int error = 0;

        skip_blanks(m);
        take_value(m);
        while (m->depth > 0 && !error) {
                struct container *container = &m->stack[m->depth - 1];

                skip_blanks(m);
                if (*m->at == ']' || *m->at == '}') {
                        error = close_container(m);
                        continue;
                }
                if (*m->at == ',') {
                        m->at++;
                        skip_blanks(m);
                }
                if (container->is_map) {
                        const ferry_value *key = push_string(m);

                        if (m->has_objects && is_class_key(key))
                                container->has_class = true;
                        container->may_have_twins |= (container->key_bits & key_bit(key)) != 0;
                        container->key_bits |= key_bit(key);
                        skip_blanks(m);
                        m->at++;
                        skip_blanks(m);
                }
                take_value(m);
        }
        return error;
}

static int decode(char *bytes, size_t size, bool has_objects, struct check *check, struct arena *arena, ferry_value *root)
{
        struct maker m;
        ferry_value *nodes = m.first_nodes;
        int error;

        if (check->open_max > NODES_AT_FIRST) {
                nodes = sys_alloc(check->open_max * sizeof *nodes);
                if (!nodes)
                        return -ENOMEM;
        }
        m.at = bytes;
        m.end = bytes + size;
        m.arena = arena;
        m.has_objects = has_objects;
        m.top = nodes;
        m.depth = 0;
        error = make(&m);
        check->offset = (size_t)(m.at - bytes);
        if (!error)
                *root = nodes[0];
        if (nodes != m.first_nodes)
                sys_free(nodes);
        return error;
}

int json_decode_maps(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root)
{
        return decode(bytes, size, false, check, arena, root);
}

int json_decode_objects(char *bytes, size_t size, struct check *check, struct arena *arena, ferry_value *root)
{
        return decode(bytes, size, true, check, arena, root);
}
