/* Values: what readers give for every kind and for none, that parts hold their tree and trees are shared without
 * a copy, comparison, maps of any size, what a builder refuses, the limit of depth, and how values are shown. */
#include "support/door.h"
#include "support/suite.h"

#include <ferry/value.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static ferry_value *finish(ferry_builder *builder)
{
        ferry_value *value;

        ck_assert_int_eq(ferry_builder_finish(builder, &value), 0);
        ck_assert_ptr_nonnull(value);
        return value;
}

static ferry_value *make_opaque(const char *class_name, const char *bytes, size_t size)
{
        ferry_builder *builder = ferry_builder_new();

        ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, class_name, bytes, size);
        return finish(builder);
}

/* One of each kind, by its number in the enum. */
static ferry_value *make(enum ferry_value_kind kind)
{
        switch (kind) {
        case FERRY_VALUE_NONE:
                return NULL;
        case FERRY_VALUE_NULL:
                return ferry_value_pack("null");
        case FERRY_VALUE_BOOL:
                return ferry_value_pack("true");
        case FERRY_VALUE_INT:
                return ferry_value_pack("-7");
        case FERRY_VALUE_DOUBLE:
                return ferry_value_pack("2.5");
        case FERRY_VALUE_STRING:
                return ferry_value_pack("%.*s", 3, "a\0b");
        case FERRY_VALUE_LIST:
                return ferry_value_pack("[1, 2]");
        case FERRY_VALUE_MAP:
                return ferry_value_pack("{x: 1, 2: 2}");
        case FERRY_VALUE_OBJECT:
                return ferry_value_pack("A\\B{x: 1, y: 2}");
        case FERRY_VALUE_ENUM:
                return ferry_value_pack("A\\E::Case");
        case FERRY_VALUE_OPAQUE:
                return make_opaque("C", "a\0c", 3);
        }
        return NULL;
}

START_TEST(readers_take_every_kind_and_none)
{
        enum ferry_value_kind kind = (enum ferry_value_kind)_i;
        FERRY_AUTO(ferry_value) value = make(kind);
        const bool has_items = kind == FERRY_VALUE_LIST || kind == FERRY_VALUE_MAP || kind == FERRY_VALUE_OBJECT;
        const bool has_members = has_items && kind != FERRY_VALUE_LIST;
        const char *in = "?";
        size_t size = 99;

        ck_assert_int_eq(ferry_value_kind(value), kind);
        ck_assert_int_eq(ferry_value_bool(value, false), kind == FERRY_VALUE_BOOL);
        ck_assert_int_eq(ferry_value_int(value, 5), kind == FERRY_VALUE_INT ? -7 : 5);
        ck_assert_double_eq(ferry_value_double(value, 0.5),
                            kind == FERRY_VALUE_DOUBLE ? 2.5 : kind == FERRY_VALUE_INT ? -7 : 0.5);
        ck_assert_str_eq(ferry_value_text(value, "no"), kind == FERRY_VALUE_STRING ? "a" : "no");
        ck_assert_ptr_null(kind == FERRY_VALUE_STRING ? NULL : ferry_value_text(value, NULL));

        if (kind == FERRY_VALUE_STRING)
                ck_assert_mem_eq(ferry_value_bytes(value, &size), "a\0b", 4);
        else if (kind == FERRY_VALUE_OPAQUE)
                ck_assert_mem_eq(ferry_value_bytes(value, &size), "a\0c", 4);
        else if (kind == FERRY_VALUE_ENUM)
                ck_assert_mem_eq(ferry_value_bytes(value, &size), "Case", 5);
        else
                ck_assert_ptr_null(ferry_value_bytes(value, &size));
        ck_assert_uint_eq(size, kind == FERRY_VALUE_ENUM ? 4 :
                                kind == FERRY_VALUE_STRING || kind == FERRY_VALUE_OPAQUE ? 3 : 0);

        ck_assert_uint_eq(ferry_value_count(value), has_items ? 2 : 0);
        ck_assert_int_eq(ferry_value_int(ferry_value_at(value, 1), 0), has_items ? 2 : 0);
        ck_assert_ptr_null(ferry_value_at(value, 2));
        ck_assert_ptr_null(ferry_value_at(value, SIZE_MAX));
        ck_assert_str_eq(ferry_value_text(ferry_value_key(value, 0), "-"), has_members ? "x" : "-");
        ck_assert_ptr_null(ferry_value_key(value, 2));
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "x"), 0), has_members);
        ck_assert_ptr_null(ferry_value_get(value, "z"));
        ck_assert_ptr_null(ferry_value_get(value, NULL));
        ck_assert_int_eq(ferry_value_visibility(value, 0, &in), FERRY_VISIBILITY_PUBLIC);
        ck_assert_ptr_null(in);

        if (kind == FERRY_VALUE_OBJECT)
                ck_assert_str_eq(ferry_value_class(value), "A\\B");
        else if (kind == FERRY_VALUE_ENUM)
                ck_assert_str_eq(ferry_value_class(value), "A\\E");
        else if (kind == FERRY_VALUE_OPAQUE)
                ck_assert_str_eq(ferry_value_class(value), "C");
        else
                ck_assert_ptr_null(ferry_value_class(value));
}

START_TEST(each_kind_equals_itself_alone)
{
        for (int other = FERRY_VALUE_NONE; other <= FERRY_VALUE_OPAQUE; other++) {
                FERRY_AUTO(ferry_value) a = make((enum ferry_value_kind)_i);
                FERRY_AUTO(ferry_value) b = make((enum ferry_value_kind)other);

                ck_assert_int_eq(ferry_value_equal(a, b), _i == other);
        }
}

START_TEST(get_finds_keys_that_look_like_integers)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{5: 1, '6': 2, '7': 3, 7: 4, -8: 5, '05': 6, '': 7}");

        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "5"), 0), 1);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "6"), 0), 2);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "7"), 0), 3);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "-8"), 0), 5);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "05"), 0), 6);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, ""), 0), 7);
        ck_assert_ptr_null(ferry_value_get(value, "+5"));
        ck_assert_ptr_null(ferry_value_get(value, "5 "));
        ck_assert_ptr_null(ferry_value_get(value, "-08"));
}

START_TEST(get_goes_down_through_nothing)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("{user: {age: 7}}");

        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_get(value, "user"), "age"), -1), 7);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_get(value, "no key"), "age"), -1), -1);
}

static ferry_value *make_properties(enum ferry_visibility visibility, const char *in)
{
        ferry_builder *builder = ferry_builder_new();

        ferry_builder_open(builder, FERRY_VALUE_OBJECT, "Child");
        ferry_builder_property(builder, "a", visibility, in);
        ferry_builder_add(builder, "1");
        ferry_builder_close(builder);
        return finish(builder);
}

START_TEST(properties_differ_by_their_declaring_class)
{
        ferry_builder *builder = ferry_builder_new();
        FERRY_AUTO(ferry_value) public = make_properties(FERRY_VISIBILITY_PUBLIC, NULL);
        FERRY_AUTO(ferry_value) protected = make_properties(FERRY_VISIBILITY_PROTECTED, NULL);
        FERRY_AUTO(ferry_value) private = make_properties(FERRY_VISIBILITY_PRIVATE, "Child");
        FERRY_AUTO(ferry_value) of_parent = make_properties(FERRY_VISIBILITY_PRIVATE, "Parent");
        FERRY_AUTO(ferry_value) value = NULL;
        const char *in;

        ck_assert(!ferry_value_equal(public, protected) && !ferry_value_equal(public, private));
        ck_assert(!ferry_value_equal(protected, private) && !ferry_value_equal(private, of_parent));

        ferry_builder_open(builder, FERRY_VALUE_OBJECT, "Child");
        ferry_builder_property(builder, "same", FERRY_VISIBILITY_PRIVATE, "Parent");
        ferry_builder_add(builder, "1");
        ferry_builder_property(builder, "same", FERRY_VISIBILITY_PRIVATE, "Child");
        ferry_builder_add(builder, "2");
        ferry_builder_property(builder, "guarded", FERRY_VISIBILITY_PROTECTED, NULL);
        ferry_builder_add(builder, "3");
        ferry_builder_key(builder, "open");
        ferry_builder_add(builder, "4");
        ferry_builder_key(builder, "%d", 5);
        ferry_builder_add(builder, "5");
        ferry_builder_property(builder, "same", FERRY_VISIBILITY_PRIVATE, "Parent");
        ferry_builder_add(builder, "6");
        ferry_builder_close(builder);
        value = finish(builder);

        ck_assert_uint_eq(ferry_value_count(value), 5);
        ck_assert_int_eq(ferry_value_visibility(value, 0, &in), FERRY_VISIBILITY_PRIVATE);
        ck_assert_str_eq(in, "Parent");
        ck_assert_int_eq(ferry_value_visibility(value, 1, &in), FERRY_VISIBILITY_PRIVATE);
        ck_assert_str_eq(in, "Child");
        ck_assert_int_eq(ferry_value_visibility(value, 2, &in), FERRY_VISIBILITY_PROTECTED);
        ck_assert_ptr_null(in);
        ck_assert_int_eq(ferry_value_visibility(value, 3, NULL), FERRY_VISIBILITY_PUBLIC);
        ck_assert_int_eq(ferry_value_visibility(value, 4, NULL), FERRY_VISIBILITY_PUBLIC);
        ck_assert_str_eq(ferry_value_text(ferry_value_key(value, 1), ""), "same");
        /* The later value in the first place, which is also what a bare name finds. */
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "same"), 0), 6);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "guarded"), 0), 3);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(value, "5"), 0), 5);
}

/* Packed, two by two. */
static const struct {
        const char *a, *b;
        bool is_equal;
} pairs[] = {
        { "1", "1.0", true },
        { "0", "-0.0", true },
        { "-0.0", "0.0", true },
        { "1", "1.5", false },
        { "1", "true", false },
        { "0", "null", false },
        { "0", "false", false },
        { "'1'", "1", false },
        /* As doubles, as PHP has it, and as json needs it: it writes a large double as the integer that reads back. */
        { "9007199254740993", "9007199254740992.0", true },
        { "9007199254740992", "9007199254740993.0", true },
        { "9223372036854775807", "9223372036854775808.0", true },
        { "99244440000444020", "99244440000444019.6", true },
        { "9007199254740993", "9007199254741008.0", false },
        { "-9223372036854775808", "-9223372036854775808.0", true },
        { "1", "1e300", false },
        { "[1, 2]", "[1.0, 2.0]", true },
        { "[1, 2]", "[2, 1]", false },
        { "[1, 2]", "[1, 2, 3]", false },
        { "[[1], 2]", "[[1, 2]]", false },
        { "[[], []]", "[[[]]]", false },
        { "[]", "{}", false },
        { "[1]", "{0: 1}", false },
        { "{a: 1, b: 2}", "{a: 1, b: 2}", true },
        { "{a: 1, b: 2}", "{b: 2, a: 1}", false },
        { "{a: 1}", "{b: 1}", false },
        { "{5: 1}", "{'5': 1}", false },
        { "{a: 1}", "A{a: 1}", false },
        { "A{a: 1, b: 2}", "A{b: 2, a: 1}", false },
        { "A{a: 1}", "A{a: 1}", true },
        { "A{a: 1}", "B{a: 1}", false },
        { "A{a: 1}", "AA{a: 1}", false },
        { "A::B", "A::B", true },
        { "A::B", "A::C", false },
        { "A::B", "C::B", false },
        { "A::B", "A::BB", false },
        { "'ab'", "'ac'", false },
        { "'ab'", "'abc'", false },
};

static ferry_value *pack_text(const char *text)
{
        ferry_builder *builder = ferry_builder_new();

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
        ferry_builder_add(builder, text);
#pragma GCC diagnostic pop
        return finish(builder);
}

START_TEST(equal)
{
        FERRY_AUTO(ferry_value) a = pack_text(pairs[_i].a);
        FERRY_AUTO(ferry_value) b = pack_text(pairs[_i].b);

        ck_assert_int_eq(ferry_value_equal(a, b), pairs[_i].is_equal);
        ck_assert_int_eq(ferry_value_equal(b, a), pairs[_i].is_equal);
}

START_TEST(not_a_number_equals_itself)
{
        FERRY_AUTO(ferry_value) a = ferry_value_pack("[%f, %f]", (double)NAN, INFINITY);
        FERRY_AUTO(ferry_value) b = ferry_value_pack("[%f, %f]", -(double)NAN, INFINITY);
        FERRY_AUTO(ferry_value) c = ferry_value_pack("[%f, %f]", (double)NAN, -INFINITY);
        FERRY_AUTO(ferry_value) zero = ferry_value_pack("[0, %f]", INFINITY);
        FERRY_AUTO(ferry_value) opaque = make_opaque("C", "a\0c", 3);
        FERRY_AUTO(ferry_value) other = make_opaque("C", "a\0d", 3);

        ck_assert(ferry_value_equal(a, b));
        ck_assert(!ferry_value_equal(a, c));
        ck_assert(!ferry_value_equal(a, zero) && !ferry_value_equal(zero, a));
        ck_assert(!ferry_value_equal(opaque, other));
        ck_assert(ferry_value_equal(NULL, NULL));
}

START_TEST(any_part_holds_the_tree)
{
        ferry_value *root = ferry_value_pack("{a: {b: ['deep']}, c: 2}");
        ferry_value *outer = ferry_value_pack("{x: %p, y: 'mine'}", (void *)ferry_value_get(root, "a"));
        ferry_value *deep = ferry_value_ref(ferry_value_at(ferry_value_get(ferry_value_get(root, "a"), "b"), 0));
        ferry_value *key = ferry_value_ref(ferry_value_key(root, 1));
        ferry_value *shared = ferry_value_ref(ferry_value_get(ferry_value_get(outer, "x"), "b"));
        ferry_value *border = ferry_value_ref(ferry_value_get(outer, "x"));

        /* What is freed too early, or never, is found by the sanitizer. */
        ck_assert_ptr_null(ferry_value_unref(root));
        ck_assert_str_eq(ferry_value_text(deep, ""), "deep");
        ferry_value_unref(deep);
        ck_assert_str_eq(ferry_value_text(key, ""), "c");
        ferry_value_unref(key);
        ck_assert_str_eq(ferry_value_text(ferry_value_at(shared, 0), ""), "deep");
        ferry_value_unref(outer);
        ck_assert_str_eq(ferry_value_text(ferry_value_at(shared, 0), ""), "deep");
        ferry_value_unref(shared);
        /* Where one tree stands in another. */
        ck_assert_str_eq(ferry_value_text(ferry_value_at(ferry_value_get(border, "b"), 0), ""), "deep");
        ferry_value_unref(border);
        ck_assert_ptr_null(ferry_value_unref(NULL));
        ck_assert_ptr_null(ferry_value_ref(NULL));
}

START_TEST(sharing_copies_nothing)
{
        FERRY_AUTO(ferry_value) inner = ferry_value_pack("{list: [1, 'text'], map: {k: 5}}");
        FERRY_AUTO(ferry_value) outer = ferry_value_pack("[%p, {again: %p}]", (void *)inner, (void *)inner);
        FERRY_AUTO(ferry_value) list = ferry_value_pack("[%p]", (void *)ferry_value_get(inner, "list"));

        ck_assert_ptr_eq(ferry_value_get(ferry_value_at(outer, 0), "list"), ferry_value_get(inner, "list"));
        ck_assert_ptr_eq(ferry_value_at(ferry_value_get(ferry_value_at(outer, 1), "again"), 1),
                         ferry_value_at(inner, 1));
        ck_assert_ptr_eq(ferry_value_at(ferry_value_at(list, 0), 1), ferry_value_at(ferry_value_get(inner, "list"), 1));
        ck_assert(ferry_value_equal(ferry_value_at(outer, 0), inner));
}

/* The value that a server folds over its messages: a part that is handed on from tree to tree keeps none but its own. */
START_TEST(carrying_a_part_keeps_one_tree)
{
        enum { ROUNDS = 2000, PARTS = 100 };
        FERRY_AUTO(ferry_value) many = NULL;
        ferry_builder *builder = ferry_builder_new();
        ferry_value *state;
        size_t bytes = 0;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (int i = 0; i < PARTS; i++)
                ferry_builder_add(builder, "'text %d'", i);
        ferry_builder_close(builder);
        ck_assert_int_eq(ferry_builder_finish(builder, &many), 0);
        state = ferry_value_pack("{count: 0, list: [1], map: {k: [2]}, text: 'a text that is long enough', empty: [], object: "
                                 "Some\\Class {}, nested: {a: {b: 'c'}}, many: %p}", (void *)many);
        ck_assert_ptr_nonnull(state);
        for (int i = 0; i < ROUNDS; i++) {
                ferry_value *next;

                if (i == 10)
                        bytes = door_counts.bytes;
                builder = ferry_builder_new();
                ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
                for (size_t k = 0; k < PARTS; k++)
                        ferry_builder_add(builder, "%p", (const void *)ferry_value_at(ferry_value_get(state, "many"), k));
                ferry_builder_close(builder);
                ck_assert_int_eq(ferry_builder_finish(builder, &next), 0);
                many = ferry_value_unref(many);
                many = next;
                next = ferry_value_pack("{count: %d, list: %p, map: %p, text: %p, empty: %p, object: %p, nested: {a: %p}, "
                                        "many: %p}", i, (const void *)ferry_value_get(state, "list"),
                                        (const void *)ferry_value_get(state, "map"),
                                        (const void *)ferry_value_get(state, "text"),
                                        (const void *)ferry_value_get(state, "empty"),
                                        (const void *)ferry_value_get(state, "object"),
                                        (const void *)ferry_value_get(ferry_value_get(state, "nested"), "a"),
                                        (const void *)many);
                ck_assert_ptr_nonnull(next);
                ferry_value_unref(state);
                state = next;
        }
        ck_assert_uint_le(door_counts.bytes, bytes + 4096);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(state, "text"), ""), "a text that is long enough");
        ck_assert_str_eq(ferry_value_class(ferry_value_get(state, "object")), "Some\\Class");
        ck_assert_int_eq(ferry_value_int(ferry_value_at(ferry_value_get(ferry_value_get(state, "map"), "k"), 0), 0), 2);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(ferry_value_get(ferry_value_get(state, "nested"), "a"), "b"), ""),
                         "c");
        ck_assert_str_eq(ferry_value_text(ferry_value_at(ferry_value_get(state, "many"), PARTS - 1), ""), "text 99");
        ferry_value_unref(state);
}

START_TEST(long_chains_of_trees_end_without_recursion)
{
        ferry_value *value = ferry_value_pack("[1]");

        for (int i = 0; i < 300000; i++) {
                ferry_value *next = ferry_value_pack("%p", (void *)value);

                ferry_value_unref(value);
                value = next;
        }
        ck_assert_int_eq(ferry_value_int(ferry_value_at(value, 0), 0), 1);
        ferry_value_unref(value);
}

/* So many members, each key twice: the later value takes the first place. */
START_TEST(maps_of_any_size)
{
        const int counts[] = { 1, 4, 5, 8, 9, 16, 100, 5000 };
        const int count = counts[_i];
        ferry_builder *builder = ferry_builder_new();
        FERRY_AUTO(ferry_value) value = NULL;
        char name[32];

        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        for (int i = 0; i < 2 * count; i++) {
                ferry_builder_key(builder, "'key%d'", i % count);
                ferry_builder_add(builder, "%d", i);
                ferry_builder_key(builder, "%d", i % count);
                ferry_builder_add(builder, "%d", -i);
        }
        ferry_builder_close(builder);
        value = finish(builder);
        ck_assert_uint_eq(ferry_value_count(value), (size_t)count * 2);
        for (int i = 0; i < count; i++) {
                snprintf(name, sizeof name, "key%d", i);
                ck_assert_str_eq(ferry_value_text(ferry_value_key(value, (size_t)i * 2), ""), name);
                ck_assert_int_eq(ferry_value_int(ferry_value_key(value, (size_t)i * 2 + 1), -1), i);
                ck_assert_ptr_eq(ferry_value_get(value, name), ferry_value_at(value, (size_t)i * 2));
                ck_assert_ptr_eq(ferry_value_get(value, name + 3), ferry_value_at(value, (size_t)i * 2 + 1));
                ck_assert_int_eq(ferry_value_int(ferry_value_get(value, name), -1), count + i);
                ck_assert_int_eq(ferry_value_int(ferry_value_get(value, name + 3), 1), -(count + i));
        }
        ck_assert_ptr_null(ferry_value_get(value, "key"));
        ck_assert_ptr_null(ferry_value_get(value, "-1"));
}

/* The steps of a builder, a letter each. */
static void step(ferry_builder *builder, char letter)
{
        switch (letter) {
        case 'v': ferry_builder_add(builder, "1"); break;
        case 'n': ferry_builder_add(builder, "%p", NULL); break;
        case 't': ferry_builder_add(builder, "[1"); break;
        case 'e': ferry_builder_add_bytes(builder, FERRY_VALUE_ENUM, "E", "Case", 4); break;
        case 'C': ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, "C", NULL, 0); break;
        case 's': ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, NULL, 0); break;
        case '1': ferry_builder_add_bytes(builder, FERRY_VALUE_ENUM, NULL, "Case", 4); break;
        case '2': ferry_builder_add_bytes(builder, FERRY_VALUE_OPAQUE, "", "x", 1); break;
        case '3': ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, "C", "x", 1); break;
        case '4': ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, NULL, 1); break;
        case '5': ferry_builder_add_bytes(builder, FERRY_VALUE_LIST, NULL, "x", 1); break;
        case '6': ferry_builder_add_bytes(builder, FERRY_VALUE_ENUM, "E", "", 0); break;
        case 'l': ferry_builder_open(builder, FERRY_VALUE_LIST, NULL); break;
        case 'm': ferry_builder_open(builder, FERRY_VALUE_MAP, NULL); break;
        case 'o': ferry_builder_open(builder, FERRY_VALUE_OBJECT, "C"); break;
        case '7': ferry_builder_open(builder, FERRY_VALUE_OBJECT, NULL); break;
        case '8': ferry_builder_open(builder, FERRY_VALUE_MAP, "C"); break;
        case '9': ferry_builder_open(builder, FERRY_VALUE_INT, NULL); break;
        case '0': ferry_builder_open(builder, FERRY_VALUE_OBJECT, ""); break;
        case ')': ferry_builder_close(builder); break;
        case 'k': ferry_builder_key(builder, "k"); break;
        case 'K': ferry_builder_key(builder, "%d", 5); break;
        case 'j': ferry_builder_key(builder, "k 1"); break;
        case 'J': ferry_builder_key(builder, "[1]"); break;
        case 'Q': ferry_builder_key(builder, "true: 1"); break;
        case 'p': ferry_builder_property(builder, "p", FERRY_VISIBILITY_PUBLIC, NULL); break;
        case 'P': ferry_builder_property(builder, "p", FERRY_VISIBILITY_PRIVATE, "C"); break;
        case 'q': ferry_builder_property(builder, "p", FERRY_VISIBILITY_PRIVATE, NULL); break;
        case 'r': ferry_builder_property(builder, "p", FERRY_VISIBILITY_PUBLIC, "C"); break;
        case 'R': ferry_builder_property(builder, NULL, FERRY_VISIBILITY_PUBLIC, NULL); break;
        }
}

static const struct {
        const char *steps;
        int error;
} scripts[] = {
        { "v", 0 },         { "s", 0 },         { "C", 0 },         { "l)", 0 },        { "m)", 0 },
        { "o)", 0 },        { "lvve)", 0 },     { "mkvKl))", 0 },   { "opvPvkvKv)", 0 }, { "mkmkmkv)))", 0 },
        { "lt)", -EINVAL }, { "", -EINVAL },    { "l", -EINVAL },   { "lv", -EINVAL },  { "vv", -EINVAL },
        { "l)v", -EINVAL }, { "l)l)", -EINVAL }, { ")", -EINVAL },  { "l))", -EINVAL }, { "mv)", -EINVAL },
        { "ml))", -EINVAL }, { "mkk", -EINVAL }, { "mk)", -EINVAL }, { "mkvv)", -EINVAL }, { "k", -EINVAL },
        { "lk", -EINVAL },  { "lkv)", -EINVAL }, { "p", -EINVAL },  { "lpv)", -EINVAL }, { "mpv)", -EINVAL },
        { "opp", -EINVAL }, { "ov)", -EINVAL }, { "oqv)", -EINVAL }, { "orv)", -EINVAL }, { "oRv)", -EINVAL },
        { "mjv)", -EINVAL }, { "mJv)", -EINVAL }, { "mQv)", -EINVAL }, { "n", -EINVAL }, { "1", -EINVAL },
        { "2", -EINVAL },   { "3", -EINVAL },   { "4", -EINVAL },   { "5", -EINVAL },   { "6", -EINVAL },
        { "7)", -EINVAL },  { "8)", -EINVAL },  { "9)", -EINVAL },  { "0)", -EINVAL },
        /* The first error sticks, whatever comes behind it. */
        { ")v", -EINVAL },  { "nv", -EINVAL },  { "kl)", -EINVAL }, { "7v", -EINVAL },  { "4s", -EINVAL },
};

START_TEST(builder_steps)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *value = (ferry_value *)&value;

        for (const char *letter = scripts[_i].steps; *letter; letter++)
                step(builder, *letter);
        ck_assert_msg(ferry_builder_finish(builder, &value) == scripts[_i].error, "%s", scripts[_i].steps);
        ck_assert_int_eq(value != NULL, scripts[_i].error == 0);
        ferry_value_unref(value);

        /* A value that is not wanted is freed. */
        builder = ferry_builder_new();
        for (const char *letter = scripts[_i].steps; *letter; letter++)
                step(builder, *letter);
        ck_assert_int_eq(ferry_builder_finish(builder, NULL), scripts[_i].error);
}

START_TEST(no_builder_is_a_builder_that_has_failed)
{
        ferry_value *value = (ferry_value *)&value;

        for (const char *letter = "vsemo)kp"; *letter; letter++)
                step(NULL, *letter);
        ck_assert_int_eq(ferry_builder_finish(NULL, &value), -ENOMEM);
        ck_assert_ptr_null(value);
}

/* @count containers within each other. */
static int nest(int count, enum ferry_value_kind kind, const ferry_value *innermost, ferry_value **ret)
{
        ferry_builder *builder = ferry_builder_new();

        for (int i = 0; i < count; i++) {
                ferry_builder_open(builder, kind, kind == FERRY_VALUE_OBJECT ? "C" : NULL);
                /* What stands beside does not count. */
                if (kind == FERRY_VALUE_LIST)
                        ferry_builder_add(builder, "[]");
                else if (i < count - 1 || innermost)
                        ferry_builder_key(builder, "k");
        }
        if (innermost)
                ferry_builder_add(builder, "%p", (const void *)innermost);
        for (int i = 0; i < count; i++)
                ferry_builder_close(builder);
        return ferry_builder_finish(builder, ret);
}

START_TEST(depth_is_limited)
{
        FERRY_AUTO(ferry_value) scalar = ferry_value_pack("1");
        FERRY_AUTO(ferry_value) deep = NULL;
        FERRY_AUTO(ferry_value) same = NULL;
        FERRY_AUTO(ferry_value) joined = NULL;
        ferry_value *none;

        ck_assert_int_eq(nest(512, FERRY_VALUE_MAP, scalar, &deep), 0);
        ck_assert_int_eq(nest(513, FERRY_VALUE_MAP, NULL, &none), -EMSGSIZE);
        ck_assert_int_eq(nest(513, FERRY_VALUE_OBJECT, scalar, &none), -EMSGSIZE);
        ck_assert_int_eq(nest(512, FERRY_VALUE_LIST, scalar, &none), -EMSGSIZE);
        ck_assert_ptr_null(none);

        ck_assert_int_eq(nest(512, FERRY_VALUE_MAP, scalar, &same), 0);
        ck_assert(ferry_value_equal(deep, same));
        ck_assert_ptr_null(ferry_value_pack("[%p]", (void *)deep));
        ck_assert_int_eq(nest(1, FERRY_VALUE_OBJECT, deep, &none), -EMSGSIZE);
        ck_assert_int_eq(nest(0, FERRY_VALUE_LIST, deep, &joined), 0);
        ck_assert_ptr_null(ferry_value_pack("{a: 1, b: %p}", (void *)joined));
}

START_TEST(depth_is_the_sum_of_what_is_shared)
{
        FERRY_AUTO(ferry_value) half = NULL;
        FERRY_AUTO(ferry_value) whole = NULL;
        const ferry_value *inside;
        ferry_value *none;

        /* The innermost list holds an empty one: 257 levels. */
        ck_assert_int_eq(nest(256, FERRY_VALUE_LIST, NULL, &half), 0);
        ck_assert_int_eq(nest(255, FERRY_VALUE_OBJECT, half, &whole), 0);
        ck_assert_int_eq(nest(256, FERRY_VALUE_OBJECT, half, &none), -EMSGSIZE);
        ck_assert_int_eq(nest(1, FERRY_VALUE_MAP, whole, &none), -EMSGSIZE);

        /* A part is only as deep as itself. */
        inside = ferry_value_get(whole, "k");
        ck_assert_int_eq(nest(2, FERRY_VALUE_MAP, inside, &none), -EMSGSIZE);
        ck_assert_int_eq(nest(1, FERRY_VALUE_MAP, inside, &none), 0);
        ferry_value_unref(none);
}

static char *dump(const ferry_value *value)
{
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        ck_assert_int_eq(ferry_value_dump(value, stream), 0);
        fclose(stream);
        return text;
}

static void dumps(ferry_value *value, const char *expected)
{
        char *text = dump(value);

        ck_assert_str_eq(text, expected);
        free(text);
        ferry_value_unref(value);
}

START_TEST(every_value_can_be_shown)
{
        dumps(ferry_value_pack("[null, true, false, -7, [], {}, [[1], 2]]"), "[null,true,false,-7,[],{},[[1],2]]\n");
        dumps(ferry_value_pack("[1.0, 0.1, -0.0, 1e25, 1e-7]"), "[1,0.1,-0,1.0e+25,1.0e-7]\n");
        dumps(ferry_value_pack("[%f, %f, %f]", INFINITY, -INFINITY, (double)NAN), "[\"INF\",\"-INF\",\"NAN\"]\n");
        dumps(ferry_value_pack("{a: {5: 1, -6: 2}, '\"': []}"), "{\"a\":{\"5\":1,\"-6\":2},\"\\\"\":[]}\n");
        dumps(ferry_value_pack("%s", "\"\\\b\n\r\t\x01\x1f\x7f/\xc3\xa9"),
              "\"\\\"\\\\\\u0008\\n\\r\\t\\u0001\\u001f\\u007f/\xc3\xa9\"\n");
        dumps(ferry_value_pack("%.*s", 2, "a\0"), "\"a\\u0000\"\n");
        dumps(ferry_value_pack("[%s, %.*s, %.*s]", "\xff", 2, "\xff\0", 3, "\xff\x10\xfe"),
              "[{\"__bytes\":\"/w==\"},{\"__bytes\":\"/wA=\"},{\"__bytes\":\"/xD+\"}]\n");
        dumps(ferry_value_pack("{%s: 1}", "\xc3"), "{\"__bytes:ww==\":1}\n");
        dumps(ferry_value_pack("A\\B{x: C{}, y: E::F}"),
              "{\"__class\":\"A\\\\B\",\"x\":{\"__class\":\"C\"},\"y\":{\"__class\":\"E\",\"__case\":\"F\"}}\n");
        dumps(make_opaque("C", "a\0c", 3), "{\"__class\":\"C\",\"__data\":\"a\\u0000c\"}\n");
        dumps(make_properties(FERRY_VISIBILITY_PRIVATE, "Parent"), "{\"__class\":\"Child\",\"a\":1}\n");
}

START_TEST(what_fails_is_the_stream)
{
        FERRY_AUTO(ferry_value) value = ferry_value_pack("[1]");
        FILE *stream = fopen("/dev/full", "w");

        setvbuf(stream, NULL, _IONBF, 0);
        ck_assert_int_eq(ferry_value_dump(value, stream), -ENOSPC);
        fclose(stream);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(readers_take_every_kind_and_none, FERRY_VALUE_OPAQUE + 1),
        SUITE_LOOP(each_kind_equals_itself_alone, FERRY_VALUE_OPAQUE + 1),
        SUITE_TEST(get_finds_keys_that_look_like_integers),
        SUITE_TEST(get_goes_down_through_nothing),
        SUITE_TEST(properties_differ_by_their_declaring_class),
        SUITE_LOOP(equal, COUNT(pairs)),
        SUITE_TEST(not_a_number_equals_itself),
        SUITE_TEST(any_part_holds_the_tree),
        SUITE_TEST(sharing_copies_nothing),
        SUITE_TEST(carrying_a_part_keeps_one_tree),
        SUITE_TEST(long_chains_of_trees_end_without_recursion),
        SUITE_LOOP(maps_of_any_size, 8),
        SUITE_LOOP(builder_steps, COUNT(scripts)),
        SUITE_TEST(no_builder_is_a_builder_that_has_failed),
        SUITE_TEST(depth_is_limited),
        SUITE_TEST(depth_is_the_sum_of_what_is_shared),
        SUITE_TEST(every_value_can_be_shown),
        SUITE_TEST(what_fails_is_the_stream),
};

SUITE_MAIN("tree", tests)
