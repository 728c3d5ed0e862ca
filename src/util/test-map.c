/* Maps from inside: their hash is keyed with this process's secret, so that no stranger knows which keys collide; and a
 * map finds what is in it, and nothing else, however it has grown and shrunk. */
#include "util/map.h"

#include "support/suite.h"
#include "util/sys.h"

#include <stdio.h>
#include <string.h>

START_TEST(the_hash_is_siphash)
{
        const struct hash_key key = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };
        const struct hash_key other = { { 0x0706050403020100, 0x0f0e0d0c0b0a0909 } };

        /* As the other implementations of SipHash-1-3 have it, under the key of its authors. */
        ck_assert_uint_eq(hash_bytes(&key, "", 0), 0xabac0158050fc4dc);
        ck_assert_uint_ne(hash_bytes(&key, "", 0), hash_bytes(&other, "", 0));
        /* Every byte counts, and how many there are. */
        for (size_t size = 1; size <= 24; size++) {
                char bytes[24] = { 0 };
                uint64_t zeros = hash_bytes(&key, bytes, size);

                ck_assert_uint_ne(zeros, hash_bytes(&key, bytes, size - 1));
                for (size_t i = 0; i < size; i++) {
                        bytes[i] = 1;
                        ck_assert_uint_ne(zeros, hash_bytes(&key, bytes, size));
                        bytes[i] = 0;
                }
        }
}
END_TEST

static unsigned char secret[16];

const unsigned char *__wrap_sys_secret(void);

/* In place of the kernel's. */
const unsigned char *__wrap_sys_secret(void)
{
        return secret;
}

/* Any bit of the secret makes other hashes, in the key and in each map. */
START_TEST(the_secret_is_in_the_hash)
{
        struct hash_key zero = hash_secret();
        uint64_t before = hash_bytes(&zero, "key", 3);

        for (size_t bit = 0; bit < sizeof secret * 8; bit++) {
                struct map_node node = { .key = "key", .key_size = 3 };
                struct hash_key key;
                struct map map;

                secret[bit / 8] ^= (unsigned char)(1 << bit % 8);
                key = hash_secret();
                ck_assert_uint_ne(hash_bytes(&key, "key", 3), before);
                map_init(&map);
                map_add(&map, &node);
                ck_assert_ptr_eq(map_find(&map, "key", 3), &node);
                ck_assert_uint_eq(node.hash, hash_bytes(&key, "key", 3));
                map_remove(&map, &node);
                map_deinit(&map);
                secret[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
}
END_TEST

START_TEST(what_is_in_it_is_found)
{
        enum { COUNT = 1000 };
        static struct map_node nodes[COUNT];
        static char names[COUNT][8];
        struct map map;

        map_init(&map);
        for (size_t i = 0; i < COUNT; i++) {
                nodes[i].key = names[i];
                nodes[i].key_size = (size_t)snprintf(names[i], sizeof names[i], "k%zu", i);
                ck_assert_ptr_null(map_find(&map, names[i], nodes[i].key_size));
                map_add(&map, &nodes[i]);
        }
        ck_assert_uint_eq(map.count, COUNT);
        for (size_t i = 0; i < COUNT; i += 2)
                map_remove(&map, &nodes[i]);
        for (size_t i = 0; i < COUNT; i++) {
                ck_assert_ptr_eq(map_find(&map, names[i], nodes[i].key_size), i % 2 ? &nodes[i] : NULL);
                ck_assert_ptr_null(map_find(&map, names[i], nodes[i].key_size + 1));
        }
        ck_assert_uint_eq(map.count, COUNT / 2);
        map_deinit(&map);
        ck_assert_uint_eq(map.count, 0);
}
END_TEST

START_TEST(of_two_with_the_same_key_the_first_is_found)
{
        struct map_node first = { .key = "key", .key_size = 3 }, second = first, third = first;
        struct map map;

        map_init(&map);
        map_add(&map, &first);
        map_add(&map, &second);
        ck_assert_ptr_eq(map_find(&map, "key", 3), &first);
        ck_assert_ptr_null(second.key);
        map_remove(&map, &second);
        ck_assert_uint_eq(map.count, 1);
        /* It comes into its own when the others have gone before anything was looked for. */
        map_add(&map, &third);
        map_remove(&map, &first);
        ck_assert_ptr_eq(map_find(&map, "key", 3), &third);
        map_remove(&map, &third);
        ck_assert_ptr_null(map_find(&map, "key", 3));
        ck_assert_uint_eq(map.count, 0);
        map_deinit(&map);
}
END_TEST

START_TEST(what_goes_before_anything_is_looked_for_is_not_hashed)
{
        struct map_node gone = { .key = "gone", .key_size = 4 }, kept = { .key = "kept", .key_size = 4 };
        struct map map;

        map_init(&map);
        map_add(&map, &gone);
        map_add(&map, &kept);
        map_remove(&map, &gone);
        ck_assert_ptr_eq(map_find(&map, "kept", 4), &kept);
        ck_assert_uint_eq(gone.hash, 0);
        ck_assert_uint_ne(kept.hash, 0);
        ck_assert_ptr_null(map_find(&map, "gone", 4));
        map_deinit(&map);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(the_hash_is_siphash),
        SUITE_TEST(the_secret_is_in_the_hash),
        SUITE_TEST(what_is_in_it_is_found),
        SUITE_TEST(of_two_with_the_same_key_the_first_is_found),
        SUITE_TEST(what_goes_before_anything_is_looked_for_is_not_hashed),
};

SUITE_MAIN("map", tests)
