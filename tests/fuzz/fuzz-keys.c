/* A file of credentials or of a key of NATS. What is found stands in the file, in one line; a JWT needs no escaping in JSON; a seed that
 * is read is read the same with nothing around it. */
#include "fuzz/fuzz.h"

#include "tls/keys.h"

#include <stdlib.h>
#include <string.h>

static void check_place(const struct keys_text *found, const char *bytes, size_t size)
{
        FUZZ_REQUIRE(found->bytes >= bytes && found->size > 0 && found->bytes + found->size <= bytes + size, "%zu bytes", found->size);
        FUZZ_REQUIRE(!memchr(found->bytes, '\n', found->size), "several lines");
}

static void check_seed(const struct keys_text *found)
{
        unsigned char seed[TLS_SEED_SIZE], again[TLS_SEED_SIZE];
        struct keys_text text = { .size = found->size };
        char *copy;

        if (!keys_read_seed(found, seed))
                return;
        FUZZ_REQUIRE(memcmp(found->bytes, "SU", 2) == 0, "another key");
        text.bytes = copy = fuzz_copy(found->bytes, found->size);
        FUZZ_REQUIRE(keys_read_seed(&text, again) && memcmp(seed, again, sizeof seed) == 0, "another seed");
        text.size--;
        FUZZ_REQUIRE(!keys_read_seed(&text, again), "a seed that was cut");
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *bytes = fuzz_copy(data, size);
        struct fuzz_mark mark = fuzz_begin();
        struct keys_text found;

        if (keys_find_seed(bytes, size, &found)) {
                check_place(&found, bytes, size);
                check_seed(&found);
        }
        if (keys_find_jwt(bytes, size, &found)) {
                check_place(&found, bytes, size);
                for (size_t i = 0; i < found.size; i++)
                        FUZZ_REQUIRE(found.bytes[i] > ' ' && !strchr("\"\\", found.bytes[i]), "byte %zu", i);
        }
        fuzz_end(&mark);
        free(bytes);
        return 0;
}
