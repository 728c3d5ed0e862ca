/* What an instance of a service says of itself when it is asked at $SRV.INFO (ADR-32). The answers are those of strangers. */
#include "cli.h"

#include <errno.h>
#include <string.h>

enum {
        ANSWER_MAX = 64 << 10,          /* bytes of one */
        SUBJECTS_MAX = 1000,            /* of a service */
};

static const char info_type[] = "io.nats.micro.v1.info_response";

static const char *text_of(const ferry_value *map, const char *key)
{
        return ferry_value_text(ferry_value_get(map, key), NULL);
}

static ferry_value *make_subjects(const ferry_value *endpoints)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *subjects = NULL;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        for (size_t i = 0; i < ferry_value_count(endpoints) && i < SUBJECTS_MAX; i++) {
                const char *subject = text_of(ferry_value_at(endpoints, i), "subject");

                if (subject)
                        ferry_builder_add(builder, "%s", subject);
        }
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &subjects);
        return subjects;
}

/* What is printed of it; NULL: no memory. */
static ferry_value *make_service(const ferry_value *info)
{
        const ferry_value *metadata = ferry_value_get(info, "metadata");
        FERRY_AUTO(ferry_value) subjects = make_subjects(ferry_value_get(info, "endpoints"));
        FERRY_AUTO(ferry_value) none = ferry_value_pack("{}");

        if (!subjects || !none)
                return NULL;
        return ferry_value_pack("{name: %s, id: %s, version: %s, host: %s, description: %s, subjects: %p, metadata: %p}",
                                text_of(info, "name"), text_of(info, "id"), text_of(info, "version"), text_of(metadata, "host"),
                                text_of(info, "description"), ferry_arg(subjects),
                                ferry_arg(ferry_value_kind(metadata) == FERRY_VALUE_MAP ? metadata : none));
}

int instance_read(const char *bytes, size_t size, ferry_value **ret)
{
        FERRY_AUTO(ferry_value) info = NULL;
        int code = size <= ANSWER_MAX ? ferry_codec_decode(ferry_codec_json(), bytes, size, &info, NULL) : -EBADMSG;

        *ret = NULL;
        if (code == -ENOMEM)
                return code;
        if (code || ferry_value_kind(info) != FERRY_VALUE_MAP || !text_of(info, "name") || !text_of(info, "id") ||
            !text_of(info, "type") || strcmp(text_of(info, "type"), info_type) != 0)
                return -EBADMSG;
        *ret = make_service(info);
        return *ret ? 0 : -ENOMEM;
}

int instance_compare(const ferry_value *a, const ferry_value *b)
{
        int names = strcmp(text_of(a, "name"), text_of(b, "name"));

        return names ? names : strcmp(text_of(a, "id"), text_of(b, "id"));
}
