/* What a service says of itself at $SRV.INFO, as ferry list nats: reads it from strangers. */
#include "fuzz/fuzz.h"

#include "cli/cli.h"
#include "util/sys.h"

#include <errno.h>
#include <stdlib.h>

static void check_text(const ferry_value *service, const char *key, bool may_be_null)
{
        enum ferry_value_kind kind = ferry_value_kind(ferry_value_get(service, key));

        FUZZ_REQUIRE(kind == FERRY_VALUE_STRING || (may_be_null && kind == FERRY_VALUE_NULL), "%s is of kind %d", key, kind);
}

static void check(const ferry_value *service, const char *bytes, size_t size)
{
        const ferry_value *subjects = ferry_value_get(service, "subjects");
        ferry_value *again = NULL;
        void *text = NULL;
        size_t text_size = 0;

        check_text(service, "name", false);
        check_text(service, "id", false);
        check_text(service, "version", true);
        check_text(service, "host", true);
        check_text(service, "description", true);
        FUZZ_REQUIRE(ferry_value_kind(subjects) == FERRY_VALUE_LIST, "subjects are no list");
        for (size_t i = 0; i < ferry_value_count(subjects); i++)
                FUZZ_REQUIRE(ferry_value_text(ferry_value_at(subjects, i), NULL), "subject %zu is no text", i);
        FUZZ_REQUIRE(ferry_value_kind(ferry_value_get(service, "metadata")) == FERRY_VALUE_MAP, "metadata is no map");
        FUZZ_REQUIRE(instance_read(bytes, size, &again) == 0 && ferry_value_equal(service, again) && instance_compare(service, again) == 0,
                     "another one is read");
        ferry_value_unref(again);
        FUZZ_REQUIRE(ferry_codec_encode(ferry_codec_json(), service, &text, &text_size) == 0, "it is not written");
        sys_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        enum { FACTOR = 64, SPARE = 64 << 10 };
        char *bytes = fuzz_copy(data, size);
        struct fuzz_mark mark = fuzz_begin();
        ferry_value *service;
        int code, refused;

        fuzz_peak_begin(&mark);
        code = instance_read(bytes, size, &service);
        FUZZ_REQUIRE(code == 0 || code == -EBADMSG, "%d", code);
        FUZZ_REQUIRE(!service == (code != 0), "%d, and a value or none", code);
        FUZZ_REQUIRE(fuzz_peak(&mark) <= size * FACTOR + SPARE, "%zu bytes for %zu", fuzz_peak(&mark), size);
        if (service)
                check(service, bytes, size);
        ferry_value_unref(service);
        fuzz_refuse_allocation(fuzz_hash(data, size) % 16);
        refused = instance_read(bytes, size, &service);
        FUZZ_REQUIRE(refused == code || (refused == -ENOMEM && fuzz_has_refused()), "%d instead of %d", refused, code);
        FUZZ_REQUIRE(!service == (refused != 0), "%d, and a value or none", refused);
        ferry_value_unref(service);
        fuzz_end(&mark);
        free(bytes);
        return 0;
}
