/* The recorded bytes of real PHP programs: for every entry of manifest.json that a codec or a dialect can judge, its
 * mark holds. Values are compared with their description kind by kind; what is plain text is counted as skipped.
 * Fewer checks than there were fail the test. */
#include "channel/segment.h"
#include "support/suite.h"
#include "wire/dialect.h"

#include <ferry/codec.h>

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *entry;       /* the name of the one that is looked at */

static void require(bool is_true, const char *format, ...) FERRY_PRINTF(2, 3);
static void require(bool is_true, const char *format, ...)
{
        char what[512];
        va_list list;

        if (is_true)
                return;
        va_start(list, format);
        vsnprintf(what, sizeof what, format, list);
        va_end(list);
        ck_abort_msg("%s: %s", entry, what);
}

static const char *text_of(const json_t *description, const char *key)
{
        const char *text = json_string_value(json_object_get(description, key));

        require(text != NULL, "the manifest has no \"%s\" here", key);
        return text;
}

static bool hex_equals(const char *hex, const void *bytes, size_t size)
{
        const unsigned char *at = bytes;
        unsigned byte;

        if (strlen(hex) != size * 2)
                return false;
        for (size_t i = 0; i < size; i++)
                if (sscanf(hex + 2 * i, "%2x", &byte) != 1 || byte != at[i])
                        return false;
        return true;
}

/* Comparing ------------------------------------------------------------------------------------------- */

struct context {
        const ferry_value *root;
};

static void compare(const struct context *context, const ferry_value *value, const json_t *description);

static void compare_array(const struct context *context, const ferry_value *value, const json_t *items)
{
        size_t count = json_array_size(items);
        bool is_list = true;

        for (size_t i = 0; i < count; i++) {
                const json_t *key = json_array_get(json_array_get(items, i), 0);

                if (strcmp(text_of(key, "t"), "int") != 0 || strtoull(text_of(key, "v"), NULL, 10) != i)
                        is_list = false;
        }
        require(ferry_value_kind(value) == (is_list ? FERRY_VALUE_LIST : FERRY_VALUE_MAP), "%s expected, kind %d found",
                is_list ? "a list" : "a map", ferry_value_kind(value));
        require(ferry_value_count(value) == count, "%zu items, not %zu", ferry_value_count(value), count);
        for (size_t i = 0; i < count; i++) {
                const json_t *pair = json_array_get(items, i);

                if (!is_list)
                        compare(context, ferry_value_key(value, i), json_array_get(pair, 0));
                compare(context, ferry_value_at(value, i), json_array_get(pair, 1));
        }
}

static void compare_object(const struct context *context, const ferry_value *value, const json_t *description)
{
        const json_t *properties = json_object_get(description, "props"), *property;
        size_t i;

        require(ferry_value_kind(value) == FERRY_VALUE_OBJECT, "no object but kind %d", ferry_value_kind(value));
        require(strcmp(ferry_value_class(value), text_of(description, "class")) == 0, "class %s", ferry_value_class(value));
        require(ferry_value_count(value) == json_array_size(properties), "%zu properties", ferry_value_count(value));
        json_array_foreach(properties, i, property) {
                const ferry_value *key = ferry_value_key(value, i);
                const char *in, *vis;
                enum ferry_visibility visibility = ferry_value_visibility(value, i, &in);

                compare(context, ferry_value_at(value, i), json_object_get(property, "value"));
                if (json_object_get(property, "int")) {
                        require(ferry_value_kind(key) == FERRY_VALUE_INT &&
                                ferry_value_int(key, 0) == strtoll(text_of(property, "int"), NULL, 10),
                                "property %zu is not named %s", i, text_of(property, "int"));
                        continue;
                }
                require(strcmp(ferry_value_text(key, "(none)"), text_of(property, "name")) == 0, "property %s",
                        ferry_value_text(key, "(none)"));
                vis = text_of(property, "vis");
                require(visibility == (strcmp(vis, "private") == 0   ? FERRY_VISIBILITY_PRIVATE :
                                       strcmp(vis, "protected") == 0 ? FERRY_VISIBILITY_PROTECTED :
                                                                       FERRY_VISIBILITY_PUBLIC),
                        "%s is not %s", text_of(property, "name"), vis);
                require(visibility == FERRY_VISIBILITY_PRIVATE ? in && strcmp(in, text_of(property, "in")) == 0 : !in,
                        "%s is declared in %s", text_of(property, "name"), in ? in : "nothing");
        }
}

/* The value at a path such as "$[1]->name". */
static const ferry_value *follow(const ferry_value *value, const char *path)
{
        char name[64];
        int length;

        require(*path++ == '$', "a path without $");
        for (; *path; path += length) {
                length = 0;
                if (sscanf(path, "[%63[^]]]%n", name, &length) != 1 || length == 0)
                        require(sscanf(path, "->%63[a-zA-Z_]%n", name, &length) == 1, "the path %s", path);
                value = ferry_value_kind(value) == FERRY_VALUE_LIST ? ferry_value_at(value, strtoul(name, NULL, 10)) :
                                                                      ferry_value_get(value, name);
        }
        return value;
}

/* It is what it refers to, not a copy. */
static void compare_reference(const struct context *context, const ferry_value *value, const json_t *description)
{
        const ferry_value *target = follow(context->root, text_of(description, "path"));

        require(target && target != value && ferry_value_equal(value, target), "not what %s is",
                text_of(description, "path"));
        if (ferry_value_count(value) > 0)
                require(ferry_value_at(value, 0) == ferry_value_at(target, 0), "a copy");
        else
                require(ferry_value_bytes(value, NULL) == ferry_value_bytes(target, NULL), "a copy");
}

static void compare_nested(const ferry_value *value, const json_t *description, const struct context *context)
{
        long long levels = json_integer_value(json_object_get(description, "levels"));

        require(levels > 0, "nothing nested");
        for (long long level = levels - 1; level >= 0; level--) {
                require(ferry_value_kind(value) == (level % 2 ? FERRY_VALUE_MAP : FERRY_VALUE_LIST) &&
                        ferry_value_count(value) == 1,
                        "level %lld", level);
                value = level % 2 ? ferry_value_get(value, "k") : ferry_value_at(value, 0);
        }
        compare(context, value, json_object_get(description, "innermost"));
}

static void compare_bytes(const ferry_value *value, enum ferry_value_kind kind, const char *hex)
{
        size_t size;
        const void *bytes = ferry_value_bytes(value, &size);

        require(ferry_value_kind(value) == kind, "kind %d, not %d", ferry_value_kind(value), kind);
        require(hex_equals(hex, bytes, size), "other bytes than %s", hex);
}

static void compare(const struct context *context, const ferry_value *value, const json_t *description)
{
        const char *type = text_of(description, "t");
        char text[32];
        uint64_t bits;
        double number;

        if (strcmp(type, "null") == 0)
                require(ferry_value_kind(value) == FERRY_VALUE_NULL, "no null");
        else if (strcmp(type, "bool") == 0)
                require(ferry_value_kind(value) == FERRY_VALUE_BOOL &&
                        ferry_value_bool(value, false) == json_is_true(json_object_get(description, "v")),
                        "another bool");
        else if (strcmp(type, "int") == 0) {
                snprintf(text, sizeof text, "%" PRId64, ferry_value_int(value, 0));
                require(ferry_value_kind(value) == FERRY_VALUE_INT && strcmp(text, text_of(description, "v")) == 0,
                        "%s, not the int %s", text, text_of(description, "v"));
        } else if (strcmp(type, "float") == 0) {
                number = ferry_value_double(value, 0);
                memcpy(&bits, &number, sizeof bits);
                snprintf(text, sizeof text, "%016" PRIx64, bits);
                require(ferry_value_kind(value) == FERRY_VALUE_DOUBLE && strcmp(text, text_of(description, "bits")) == 0,
                        "%s, not the double %s", text, text_of(description, "v"));
        } else if (strcmp(type, "string") == 0)
                compare_bytes(value, FERRY_VALUE_STRING, text_of(description, "hex"));
        else if (strcmp(type, "array") == 0)
                compare_array(context, value, json_object_get(description, "items"));
        else if (strcmp(type, "object") == 0)
                compare_object(context, value, description);
        else if (strcmp(type, "custom") == 0) {
                compare_bytes(value, FERRY_VALUE_OPAQUE, text_of(description, "hex"));
                require(strcmp(ferry_value_class(value), text_of(description, "class")) == 0, "another class");
        } else if (strcmp(type, "enum") == 0) {
                require(ferry_value_kind(value) == FERRY_VALUE_ENUM &&
                        strcmp(ferry_value_class(value), text_of(description, "class")) == 0 &&
                        strcmp(ferry_value_bytes(value, NULL), text_of(description, "case")) == 0,
                        "not the case %s", text_of(description, "case"));
        } else if (strcmp(type, "ref") == 0)
                compare_reference(context, value, description);
        else if (strcmp(type, "nested") == 0)
                compare_nested(value, description, context);
        else
                require(false, "the manifest describes a \"%s\"", type);
}

/* The same with a JSON text that another parser has read. */
static void compare_json(const ferry_value *value, json_t *json)
{
        const char *class_name = json_string_value(json_object_get(json, "__class"));
        const char *key;
        json_t *item;
        size_t i;

        switch (json_typeof(json)) {
        case JSON_NULL:
                require(ferry_value_kind(value) == FERRY_VALUE_NULL, "no null");
                break;
        case JSON_TRUE:
        case JSON_FALSE:
                require(ferry_value_kind(value) == FERRY_VALUE_BOOL && ferry_value_bool(value, false) == json_is_true(json),
                        "another bool");
                break;
        case JSON_INTEGER:
                require(ferry_value_kind(value) == FERRY_VALUE_INT && ferry_value_int(value, 0) == json_integer_value(json),
                        "not the int %lld", json_integer_value(json));
                break;
        case JSON_REAL:
                require(ferry_value_kind(value) == FERRY_VALUE_DOUBLE &&
                        ferry_value_double(value, 0) == json_real_value(json),
                        "not the double %g", json_real_value(json));
                break;
        case JSON_STRING:
                require(ferry_value_kind(value) == FERRY_VALUE_STRING &&
                        strcmp(ferry_value_text(value, ""), json_string_value(json)) == 0,
                        "not the text %s", json_string_value(json));
                break;
        case JSON_ARRAY:
                require(ferry_value_kind(value) == FERRY_VALUE_LIST && ferry_value_count(value) == json_array_size(json),
                        "no such list");
                json_array_foreach(json, i, item)
                        compare_json(ferry_value_at(value, i), item);
                break;
        case JSON_OBJECT:
                require(ferry_value_kind(value) == (class_name ? FERRY_VALUE_OBJECT : FERRY_VALUE_MAP), "kind %d",
                        ferry_value_kind(value));
                require(!class_name || strcmp(class_name, ferry_value_class(value)) == 0, "not the class %s", class_name);
                require(ferry_value_count(value) + (class_name != NULL) == json_object_size(json), "%zu members",
                        ferry_value_count(value));
                json_object_foreach(json, key, item)
                        if (strcmp(key, "__class") != 0)
                                compare_json(ferry_value_get(value, key), item);
        }
}

/* The marks ------------------------------------------------------------------------------------------- */

static int decode(const ferry_codec *codec, const void *bytes, size_t size, ferry_value **ret_value)
{
        size_t offset = 0;
        int error = ferry_codec_decode(codec, bytes, size, ret_value, &offset);

        require(error == 0 || error == -EAGAIN || error == -EBADMSG, "decoding gives %d", error);
        require(!*ret_value == (error != 0) && offset <= size, "an answer that contradicts itself");
        return error;
}

/* PHP looked up a class: STDCLASS is stdClass to it, and what class No\Such cannot read is an empty object.
 * ferry, which knows no classes, keeps what stands there. */
static bool is_looked_up(void)
{
        return strcmp(entry, "odd-object-case") == 0 || strcmp(entry, "odd-C-unknown") == 0;
}

/* Decode, compare; if it goes both ways, encode and compare. */
static void check_value(const ferry_codec *codec, const char *bytes, size_t size, const json_t *description, bool is_both)
{
        FERRY_AUTO(ferry_value) value = NULL;
        int error = decode(codec, bytes, size, &value);
        struct context context;
        void *again;
        size_t again_size;

        require(error == 0, "decoding gives %d", error);
        context = (struct context){ .root = value };
        if (is_looked_up())
                require(strcasecmp(ferry_value_class(value), text_of(description, "class")) == 0, "another class");
        else
                compare(&context, value, description);
        if (!is_both)
                return;
        require(ferry_codec_encode(codec, value, &again, &again_size) == 0, "it is not encoded");
        require(again_size == size && memcmp(again, bytes, size) == 0, "encoded as %.400s", (char *)again);
        free(again);
}

static void check_json(const char *bytes, size_t size, json_t *frame, bool is_both)
{
        FERRY_AUTO(ferry_value) value = NULL;
        int error = decode(ferry_codec_json_objects(), bytes, size, &value);
        const char *text = text_of(frame, "json_text");
        void *again;
        size_t again_size;

        require(strlen(text) == size && memcmp(text, bytes, size) == 0, "other bytes than %s", text);
        if (json_is_null(json_object_get(frame, "json"))) {
                require(error != 0, "it is decoded");
                return;
        }
        require(error == 0, "decoding gives %d", error);
        compare_json(value, json_object_get(frame, "json"));
        if (!is_both)
                return;
        require(ferry_codec_encode(ferry_codec_json_objects(), value, &again, &again_size) == 0, "it is not encoded");
        require(again_size == size && memcmp(again, bytes, size) == 0, "encoded as %.400s", (char *)again);
        free(again);
}

static void check_refused(const ferry_codec *codec, const char *bytes, size_t size)
{
        FERRY_AUTO(ferry_value) value = NULL;

        require(decode(codec, bytes, size, &value) != 0, "it is decoded");
}

/* Lax input: what of it ferry takes is decided here, and what it takes means the same as for PHP. */
static void check_note(const char *bytes, size_t size, const json_t *decoded)
{
        static const char *const taken[] = { "odd-float-exp-lower", "odd-float-big", "odd-array-numeric-string-key",
                                             "odd-object-int-key", "odd-enum-unknown-case", "odd-enum-as-object" };
        bool is_taken = false;

        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
                is_taken = is_taken || strcmp(entry, taken[i]) == 0;
        if (!is_taken)
                check_refused(ferry_codec_php(), bytes, size);
        else if (json_is_true(json_object_get(decoded, "accepted")) && strcmp(entry, "odd-object-int-key") != 0)
                check_value(ferry_codec_php(), bytes, size, json_object_get(decoded, "value"), false);
        else {
                /* PHP knows the class, or turns the name into a string: ferry keeps what stands there. */
                FERRY_AUTO(ferry_value) value = NULL;

                require(decode(ferry_codec_php(), bytes, size, &value) == 0, "it is not decoded");
        }
}

static void check_codec(const ferry_codec *codec, const char *bytes, size_t size, const json_t *decoded, const char *mark)
{
        const json_t *value = json_object_get(decoded, "value");

        if (strcmp(mark, "note") == 0)
                check_note(bytes, size, decoded);
        else if (strcmp(mark, "refuse") == 0)
                check_refused(codec, bytes, size);
        else
                check_value(codec, bytes, size, value ? value : decoded, strcmp(mark, "roundtrip") == 0);
}

static size_t read_length(const char *at)
{
        uint32_t length;

        memcpy(&length, at, sizeof length);
        return be32toh(length);
}

static const char magic[] = "\xf3\x4a\x9d\xe2";

/* Frames with junk before, between and behind them. */
static void check_stream(const char *bytes, size_t size, const json_t *decoded, const char *mark)
{
        const json_t *frames = json_object_get(decoded, "frames"), *payload;
        bool is_native = strcmp(text_of(decoded, "serializer"), "native") == 0;
        bool is_both = strcmp(mark, "roundtrip") == 0;
        const char *at = bytes, *end = bytes + size;
        json_t *frame;
        size_t i;

        json_array_foreach(frames, i, frame) {
                const char *next = memmem(at, (size_t)(end - at), magic, 4);
                size_t left = next ? (size_t)(end - next) : 0;
                size_t payload_size = left < 8 ? 0 : read_length(next + 4);

                if (json_object_get(frame, "rest_hex")) {
                        require(hex_equals(text_of(frame, "rest_hex"), at, (size_t)(end - at)), "another rest");
                        require(!next || (next == at && (left < 8 || payload_size > left - 8)), "the rest is a frame");
                        at = end;
                        continue;
                }
                if (json_object_get(frame, "junk")) {
                        next = next ? next : end;
                        require(hex_equals(text_of(json_object_get(frame, "junk"), "hex"), at, (size_t)(next - at)),
                                "other junk");
                        at = next;
                        continue;
                }
                require(next == at && left >= 8 && payload_size <= left - 8, "no frame at %zu", (size_t)(at - bytes));
                require(json_integer_value(json_object_get(frame, "offset")) == at - bytes, "a frame elsewhere");
                require(json_integer_value(json_object_get(frame, "length")) == (json_int_t)payload_size, "another length");
                at += 8;
                payload = json_object_get(frame, "payload");
                if (!is_native)
                        check_json(at, payload_size, frame, is_both);
                else if (strcmp(text_of(payload, "t"), "undecodable") == 0)
                        check_refused(ferry_codec_php(), at, payload_size);
                else
                        check_value(ferry_codec_php(), at, payload_size, payload, is_both);
                at += payload_size;
        }
        require(i > 0 && at == end, "something is left");
}

/* What the reader of the dialect makes of bytes that come in pieces of one size: each frame is told to @check. 0 at
 * the end of the last frame, else the error; -ECONNRESET if that is within a frame. */
static int read_frames(unsigned dialect, const char *bytes, size_t size, size_t piece,
                       void (*check)(const struct incoming *in, const char *payload, int code, void *userdata),
                       void *userdata)
{
        ferry_session_options options = { .size = sizeof options, .dialect = dialect };
        struct error error = { 0 };
        struct frame_reader reader;
        struct frame frame;
        struct wire wire;
        int result = 0;

        require(wire_init(&wire, &options, &error) == 0, "no conversation");
        frame_reader_init(&reader, wire.dialect->framing, false, 1 << 20, NULL);
        for (size_t done = 0; done < size && result == 0; done += piece) {
                size_t room;
                void *at = frame_reserve(&reader, &room);

                require(at && room > 0, "no room");
                piece = piece < room ? piece : room;
                piece = piece < size - done ? piece : size - done;
                memcpy(at, bytes + done, piece);
                frame_commit(&reader, piece);
                while ((result = frame_next(&reader, &frame)) > 0) {
                        struct incoming in = { 0 };
                        int code = wire_read(&wire, frame.bytes, frame.size, &in, &error);

                        require(frame.event == FRAME_WHOLE, "event %d", frame.event);
                        check(&in, frame.bytes, code, userdata);
                        ferry_value_unref(in.value);
                        block_unref(frame.block);
                }
        }
        if (result == 0)
                result = frame_finish(&reader, &frame);
        frame_reader_deinit(&reader);
        error_deinit(&error);
        return result;
}

struct innmind {
        const json_t *frames;   /* that are expected; NULL: none is */
        size_t count;           /* that have come */
};

/* Which kind a control message is of. */
static enum wire_kind control_kind(const char *text)
{
        static const struct {
                const char *text;
                enum wire_kind kind;
        } controls[] = {
                { "innmind/ipc:connection.start", WIRE_START }, { "innmind/ipc:connection.start-ok", WIRE_START_OK },
                { "innmind/ipc:connection.close", WIRE_CLOSE }, { "innmind/ipc:connection.close-ok", WIRE_CLOSE_OK },
                { "innmind/ipc:message.received", WIRE_RECEIVED }, { "innmind/ipc:heartbeat", WIRE_HEARTBEAT },
        };

        for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
                if (text && strcmp(text, controls[i].text) == 0)
                        return controls[i].kind;
        return WIRE_MESSAGE;
}

static void check_innmind_frame(const struct incoming *in, const char *payload, int code, void *userdata)
{
        struct innmind *expected_frames = userdata;
        const json_t *frame = json_array_get(expected_frames->frames, expected_frames->count++);
        const json_t *content = json_object_get(frame, "content");
        const char *text = json_string_value(json_object_get(content, "utf8"));
        bool is_plain = frame && strcmp(text_of(frame, "media_type"), "text/plain") == 0;

        require(frame != NULL, "frame %zu was not recorded", expected_frames->count);
        require(code == 0, "frame %zu: %d", expected_frames->count, code);
        require(in->kind == (is_plain ? control_kind(text) : WIRE_MESSAGE), "frame %zu is of kind %d",
                expected_frames->count, in->kind);
        require(in->type.size == strlen(text_of(frame, "media_type")) &&
                memcmp(in->type.bytes, text_of(frame, "media_type"), in->type.size) == 0, "another media type");
        require(hex_equals(text_of(content, "hex"), payload + in->body_offset, in->body_size), "another content");
}

/* Written again, byte for byte. */
static void check_innmind_written(const json_t *frame, const char *bytes, size_t size)
{
        ferry_session_options options = { .size = sizeof options, .dialect = FERRY_DIALECT_INNMIND };
        size_t offset = 2 + strlen(text_of(frame, "media_type")) + 4;
        FERRY_AUTO(ferry_value) body = ferry_value_pack("%.*s", (int)(size - offset - 1), bytes + offset);
        const char *text = json_string_value(json_object_get(json_object_get(frame, "content"), "utf8"));
        struct outgoing outgoing = { .kind = control_kind(text), .type = text_of(frame, "media_type"), .body = body };
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        struct wire wire;

        require(wire_init(&wire, &options, &error) == 0, "no conversation");
        require(wire.dialect->write(&wire, &buffer, &outgoing, &error) == 0, "it is not written");
        require(buffer_size(&buffer) == size && memcmp(buffer_bytes(&buffer), bytes, size) == 0, "other bytes");
        buffer_deinit(&buffer);
}

/* A frame that is refused, or half a frame: no message comes of it. A media type that real peers refuse may come. */
static void check_innmind_refused(const struct incoming *in, const char *payload, int code, void *userdata)
{
        bool is_lax = strcmp(entry, "innmind-bad-unknown-top-level") == 0 ||
                      strcmp(entry, "innmind-bad-upper-case") == 0;
        int *refused = userdata;

        (void)payload;
        *refused += code != 0;
        require(code != 0 || is_lax || in->kind != WIRE_MESSAGE, "a message comes of it");
}

static void check_innmind(const char *bytes, size_t size, const json_t *decoded, const char *mark)
{
        const json_t *frames = json_object_get(decoded, "frames");
        struct innmind whole = { .frames = frames };

        for (size_t piece = 1; piece <= size; piece = piece < 64 ? piece + 1 : size) {
                whole.count = 0;
                if (!frames) {
                        int refused = 0;
                        int result = read_frames(FERRY_DIALECT_INNMIND, bytes, size, piece, &check_innmind_refused,
                                                 &refused);

                        require(result == 0 || result == -EBADMSG || result == -EMSGSIZE || result == -ECONNRESET,
                                "%d", result);
                        require(strcmp(mark, "refuse") != 0 || result != 0 || refused > 0, "nothing is wrong with it");
                } else {
                        int result = read_frames(FERRY_DIALECT_INNMIND, bytes, size, piece, &check_innmind_frame,
                                                 &whole);

                        require(result == 0, "%d", result);
                        require(whole.count == json_array_size(frames), "%zu frames", whole.count);
                }
                if (piece == size)
                        break;
        }
        if (strcmp(mark, "roundtrip") == 0)
                check_innmind_written(json_array_get(frames, 0), bytes, size);
}

struct pcntl {
        const json_t *frame;    /* that is expected; NULL: none is */
        size_t count, refused;
        char topic[64];         /* of the last */
        ferry_value *body;
};

/* The value of the property of an object. */
static const json_t *property_of(const json_t *description, const char *name)
{
        const json_t *property;
        size_t i;

        json_array_foreach(json_object_get(description, "props"), i, property)
                if (strcmp(text_of(property, "name"), name) == 0)
                        return json_object_get(property, "value");
        require(false, "the manifest has no property %s", name);
        return NULL;
}

static void check_pcntl_frame(const struct incoming *in, const char *payload, int code, void *userdata)
{
        struct pcntl *pcntl = userdata;
        const json_t *description = json_object_get(pcntl->frame, "payload");
        FERRY_AUTO(ferry_value) value = ferry_value_ref(in->value);
        const ferry_value *body;
        struct context context;

        pcntl->count++;
        pcntl->refused += code != 0;
        if (!pcntl->frame || code)
                return;
        require(in->kind == WIRE_MESSAGE && in->codec == ferry_codec_php(), "kind %d", in->kind);
        require(in->type.size < sizeof pcntl->topic, "a topic of %zu bytes", in->type.size);
        pcntl->topic[raw_text_copy(&in->type, pcntl->topic)] = '\0';
        if (!value)
                require(decode(in->codec, payload + in->body_offset, in->body_size, &value) == 0, "it is not decoded");
        body = ferry_value_get(value, in->property);
        context = (struct context){ .root = body };
        if (strcmp(text_of(description, "t"), "custom") == 0) {
                /* By hand: the manifest has only bytes for it. */
                require(strcmp(pcntl->topic, "c") == 0 && ferry_value_int(body, 0) == 7, "not c with 7");
                return;
        }
        compare(&context, value, description);
        require(hex_equals(text_of(property_of(description, "topic"), "hex"), pcntl->topic, strlen(pcntl->topic)),
                "the topic %s", pcntl->topic);
        compare(&context, body, property_of(description, "payload"));
        ferry_value_unref(pcntl->body);
        pcntl->body = ferry_value_ref(body);
}

static void check_pcntl_written(const struct pcntl *pcntl, const char *bytes, size_t size)
{
        ferry_session_options options = { .size = sizeof options, .dialect = FERRY_DIALECT_PCNTL };
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = pcntl->topic, .body = pcntl->body };
        struct buffer buffer = { 0 };
        struct error error = { 0 };
        struct wire wire;

        require(wire_init(&wire, &options, &error) == 0, "no conversation");
        require(wire.dialect->write(&wire, &buffer, &outgoing, &error) == 0, "it is not written");
        require(buffer_size(&buffer) == size && memcmp(buffer_bytes(&buffer), bytes, size) == 0, "other bytes");
        buffer_deinit(&buffer);
}

static void check_pcntl(const char *bytes, size_t size, const json_t *decoded, const char *mark)
{
        struct pcntl pcntl = { .frame = json_array_get(json_object_get(decoded, "frames"), 0) };
        bool is_refused = strcmp(mark, "refuse") == 0;

        require(is_refused == !pcntl.frame, "a mark that does not fit");
        for (size_t piece = 1; piece <= size; piece++) {
                int result;

                pcntl.count = pcntl.refused = 0;
                result = read_frames(FERRY_DIALECT_PCNTL, bytes, size, piece, &check_pcntl_frame, &pcntl);
                if (is_refused)
                        require((result == -EBADMSG || result == -EMSGSIZE) ? pcntl.count == pcntl.refused :
                                                                              pcntl.refused == 1,
                                "%d, and %zu of %zu frames refused", result, pcntl.refused, pcntl.count);
                else
                        require(result == 0 && pcntl.count == 1 && pcntl.refused == 0, "%d, %zu frames", result,
                                pcntl.count);
        }
        if (strcmp(mark, "roundtrip") == 0)
                check_pcntl_written(&pcntl, bytes, size);
        ferry_value_unref(pcntl.body);
}

/* A field of a segment's header, or of a chunk. */
static int64_t field_of(const struct segment *segment, size_t offset)
{
        int64_t value;

        memcpy(&value, segment->memory + offset, sizeof value);
        return value;
}

static void check_header(const struct segment *segment, const json_t *header)
{
        static const struct {
                const char *name;
                size_t offset;
        } fields[] = { { "start", 8 }, { "end", 16 }, { "free", 24 }, { "total", 32 } };

        require(strncmp((const char *)segment->memory, "PHP_SM", 7) == 0, "another magic");
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                require(field_of(segment, fields[i].offset) == json_integer_value(json_object_get(header, fields[i].name)),
                        "%s is %lld", fields[i].name, (long long)field_of(segment, fields[i].offset));
}

/* Puts each into @copy, too. */
static void check_chunks(const struct segment *segment, const json_t *chunks, struct segment *copy)
{
        struct segment_chunk chunk = { 0 }, again;
        const json_t *described;
        size_t i;

        json_array_foreach(chunks, i, described) {
                FERRY_AUTO(ferry_value) value = NULL;
                const unsigned char *bytes;
                struct context context;

                require(segment_next(segment, &chunk) == 1, "chunk %zu is missing", i);
                bytes = segment->memory + chunk.offset + SEGMENT_CHUNK;
                require((json_int_t)chunk.offset == json_integer_value(json_object_get(described, "offset")) &&
                        (json_int_t)chunk.length == json_integer_value(json_object_get(described, "length")) &&
                        (json_int_t)chunk.next == json_integer_value(json_object_get(described, "next")) &&
                        chunk.key == strtoll(text_of(described, "key"), NULL, 10), "another chunk %zu", i);
                require(ferry_codec_decode(ferry_codec_php(), bytes, chunk.length, &value, NULL) == 0, "chunk %zu", i);
                context = (struct context){ .root = value };
                compare(&context, value, json_object_get(described, "value"));
                require(segment_put(copy, chunk.key, bytes, chunk.length) == 0 && segment_find(copy, chunk.key, &again) == 0 &&
                        again.offset == chunk.offset && again.next == chunk.next, "chunk %zu is put elsewhere", i);
        }
        require(segment_next(segment, &chunk) == 0, "there are more");
}

static void check_segment(const char *bytes, size_t size, const json_t *decoded)
{
        const json_t *chunks = json_object_get(decoded, "chunks");
        struct segment segment = { malloc(size), size }, copy = { calloc(1, size), size };

        memcpy(segment.memory, bytes, size);
        /* 64-bit PHP has written it. */
        if (SEGMENT_UNIT != 8) {
                require(segment_is_foreign(&segment) && segment_check(&segment, NULL) == -EBADMSG, "it is not refused");
                free(segment.memory);
                free(copy.memory);
                return;
        }
        require(segment_check(&segment, NULL) == 0, "it is not whole");
        check_header(&segment, json_object_get(decoded, "header"));
        /* A header without variables is written, too. */
        require(segment_put(&copy, 1, "N;", 2) == 0 && segment_remove(&copy, 1) == 0, "nothing can be put");
        check_chunks(&segment, chunks, &copy);
        check_header(&copy, json_object_get(decoded, "header"));
        free(segment.memory);
        free(copy.memory);
}

/* True if it was checked, false if it is nothing for a codec. */
static bool check_entry(const char *system, const char *bytes, size_t size, const json_t *decoded, const char *mark)
{
        if (strcmp(system, "stream-ipc") == 0)
                check_stream(bytes, size, decoded, mark);
        else if (strcmp(system, "innmind-ipc") == 0)
                check_innmind(bytes, size, decoded, mark);
        else if (strcmp(system, "sweikenb-pcntl") == 0)
                check_pcntl(bytes, size, decoded, mark);
        else if (strcmp(system, "sysv-shm") == 0)
                check_segment(bytes, size, decoded);
        else if (strcmp(system, "sysv-msg") == 0 && !json_is_true(json_object_get(decoded, "serialize")))
                return false;
        else
                check_codec(strcmp(system, "php-msgpack") == 0 ? ferry_codec_msgpack() : ferry_codec_php(), bytes, size,
                            decoded, mark);
        return true;
}

static char *read_bytes(const char *name, size_t *ret_size)
{
        char path[512], *bytes;
        FILE *file;
        long size;

        snprintf(path, sizeof path, "%s/vectors/%s", TESTS_DIRECTORY, name);
        file = fopen(path, "rb");
        require(file != NULL, "%s does not open", path);
        fseek(file, 0, SEEK_END);
        size = ftell(file);
        rewind(file);
        bytes = malloc((size_t)size + 1);
        require(fread(bytes, 1, (size_t)size, file) == (size_t)size, "%s does not read", path);
        bytes[size] = '\0';
        fclose(file);
        *ret_size = (size_t)size;
        return bytes;
}

static const struct {
        const char *system;
        int checked, skipped;   /* at least, at most */
} expected[] = {
        { "php-serialize", 61, 0 }, { "php-unserialize", 54, 0 }, { "php-msgpack", 14, 0 },
        { "stream-ipc", 52, 0 },    { "sysv-msg", 4, 6 },         { "sweikenb-pcntl", 10, 0 },
        { "innmind-ipc", 34, 0 },   { "sysv-shm", 10, 0 },
};

START_TEST(marks_hold)
{
        json_t *manifest = json_load_file(TESTS_DIRECTORY "/vectors/manifest.json", JSON_ALLOW_NUL, NULL);
        json_t *vector;
        int checked = 0, skipped = 0;
        size_t i;

        entry = "manifest.json";
        require(json_is_array(manifest), "it does not load");
        json_array_foreach(manifest, i, vector) {
                const char *mark = json_string_value(json_object_get(vector, "ferry"));
                char *bytes;
                size_t size;

                entry = text_of(vector, "name");
                if (strcmp(text_of(vector, "system"), expected[_i].system) != 0)
                        continue;
                require(mark && strstr("roundtrip decode refuse note", mark), "an unknown mark");
                bytes = read_bytes(text_of(vector, "file"), &size);
                require((json_int_t)size == json_integer_value(json_object_get(vector, "size")), "%zu bytes", size);
                if (check_entry(expected[_i].system, bytes, size, json_object_get(vector, "decoded"), mark))
                        checked++;
                else
                        skipped++;
                free(bytes);
        }
        json_decref(manifest);
        printf("%s: %d checked, %d skipped\n", expected[_i].system, checked, skipped);
        fflush(stdout);
        ck_assert_int_ge(checked, expected[_i].checked);
        ck_assert_int_le(skipped, expected[_i].skipped);
}

static const struct suite_test tests[] = {
        SUITE_LOOP(marks_hold, sizeof expected / sizeof *expected),
};

SUITE_MAIN("vectors", tests)
