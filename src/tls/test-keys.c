/* Keys of NATS: how they are spelled, and where they stand in files. */
#include "support/suite.h"

#include "tls/keys.h"

#include <string.h>

/* From the documentation of NATS, with its public key. */
static const char user_seed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

static struct keys_text text_of(const char *text)
{
        return (struct keys_text){ text, strlen(text) };
}

START_TEST(a_seed_of_a_user_is_read)
{
        static const unsigned char expected[TLS_SEED_SIZE] = { 0x29, 0x49 };
        unsigned char seed[TLS_SEED_SIZE];
        struct keys_text text = text_of(user_seed);

        ck_assert(keys_read_seed(&text, seed));
        ck_assert_int_eq(memcmp(seed, expected, 2), 0);
}
END_TEST

START_TEST(each_letter_of_a_seed_counts)
{
        unsigned char seed[TLS_SEED_SIZE];
        char wrong[sizeof user_seed];
        struct keys_text text = { .bytes = wrong };

        for (size_t i = 0; i + 1 < sizeof user_seed; i++) {
                memcpy(wrong, user_seed, sizeof wrong);
                text.size = strlen(user_seed);
                wrong[i] = wrong[i] == 'Q' ? 'I' : 'Q';
                ck_assert_msg(!keys_read_seed(&text, seed), "letter %zu", i);
                wrong[i] = '1';
                ck_assert_msg(!keys_read_seed(&text, seed), "letter %zu is none", i);
                wrong[i] = '\0';
                ck_assert_msg(!keys_read_seed(&text, seed), "letter %zu is a zero", i);
                text.size = i;
                ck_assert_msg(!keys_read_seed(&text, seed), "%zu letters", i);
        }
}
END_TEST

START_TEST(a_key_and_a_signature_are_written)
{
        unsigned char bytes[TLS_SIGNATURE_SIZE] = { 0 };
        char key[KEYS_KEY_TEXT], signature[KEYS_SIGNATURE_TEXT];

        keys_write_key(bytes, key);
        ck_assert_uint_eq(strlen(key), 56);
        ck_assert_int_eq(key[0], 'U');
        bytes[0] = 0xfb;
        bytes[1] = 0xff;
        keys_write_signature(bytes, signature);
        ck_assert_uint_eq(strlen(signature), 86);
        ck_assert_int_eq(strncmp(signature, "-_8AAAA", 7), 0);
}
END_TEST

static const struct {
        const char *file, *seed, *jwt;
} files[] = {
        { "", NULL, NULL },
        { "SUX", "SUX", NULL },
        { "\n  SUX \r\n", "SUX", NULL },
        { "# a comment\nSAX\nSUX\n", "SUX", NULL },
        { "SAX\n", NULL, NULL },
        { "-----BEGIN USER NKEY SEED-----\nSUX\n------END USER NKEY SEED------\n", "SUX", NULL },
        { "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\nSUwords\n-----BEGIN USER NKEY SEED-----\n\nSUX\n", "SUX", "a.b.c" },
        { "-----BEGIN NATS USER JWT-----\na\"b\n", NULL, NULL },
        { "-----BEGIN NATS USER JWT-----\n", NULL, NULL },
        { "-----BEGIN NATS USER JWT-----", NULL, NULL },
        { "------END NATS USER JWT------\na.b.c\n", NULL, NULL },
};

START_TEST(a_file_has_a_seed_and_a_jwt)
{
        struct keys_text found;
        bool is_found = keys_find_seed(files[_i].file, strlen(files[_i].file), &found);

        ck_assert_int_eq(is_found, files[_i].seed != NULL);
        if (is_found)
                ck_assert(found.size == strlen(files[_i].seed) && memcmp(found.bytes, files[_i].seed, found.size) == 0);
        is_found = keys_find_jwt(files[_i].file, strlen(files[_i].file), &found);
        ck_assert_int_eq(is_found, files[_i].jwt != NULL);
        if (is_found)
                ck_assert(found.size == strlen(files[_i].jwt) && memcmp(found.bytes, files[_i].jwt, found.size) == 0);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_seed_of_a_user_is_read),
        SUITE_TEST(each_letter_of_a_seed_counts),
        SUITE_TEST(a_key_and_a_signature_are_written),
        SUITE_LOOP(a_file_has_a_seed_and_a_jwt, sizeof files / sizeof *files),
};

SUITE_MAIN("keys", tests)
