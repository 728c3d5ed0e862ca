/* The other side: what it does with a request depends on the type of that alone. */
#include "conformance/behaviour.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *make_text(size_t size)
{
        enum { PERIOD = 251 * 26 };
        char *text = malloc(size + 1);

        if (!text)
                abort();
        for (size_t i = 0; i < size && i < PERIOD; i++)
                text[i] = (char)('a' + (i * 7 + i / 251) % 26);
        for (size_t i = PERIOD; i < size; i += PERIOD)
                memcpy(text + i, text, size - i < PERIOD ? size - i : PERIOD);
        text[size] = '\0';
        return text;
}

uint64_t sum_text(const char *text, size_t size)
{
        uint64_t sum = 14695981039346656037u;

        for (size_t i = 0; i < size; i++)
                sum = (sum ^ (unsigned char)text[i]) * 1099511628211u;
        return sum >> 1;
}

const char *text_of(const ferry_message *message, size_t *ret_size)
{
        return ferry_value_bytes(ferry_message_get(message, "text"), ret_size);
}

void set_dialect(ferry_session_options *options, const char *name)
{
        options->dialect = strcmp(name, "ferry") == 0 ? FERRY_DIALECT_FERRY : FERRY_DIALECT_STREAM_IPC;
        if (strcmp(name, "json") == 0)
                options->codec = ferry_codec_json();
}

static int64_t number_of(const ferry_message *message, const char *key)
{
        return ferry_value_int(ferry_message_get(message, key), -1);
}

static int keep(struct behaviour *behaviour, const ferry_message *request)
{
        if (behaviour->kept_count == KEPT_MAX)
                return -ENOSPC;
        behaviour->kept[behaviour->kept_count++] = ferry_message_ref(request);
        return 1;
}

static int report(const struct behaviour *behaviour, const ferry_message *request)
{
        return ferry_message_reply(request, NULL,
                                   "{notifications: %d, cancelled: %d, wanted: %d, kept: %d, errors: %d, answers: %d,"
                                   " depth: %d, size: %lld, sum: %lld, parts: %d, part_code: %d}", behaviour->notifications,
                                   behaviour->cancelled, behaviour->wanted, behaviour->kept_count, behaviour->errors,
                                   behaviour->answers, behaviour->depth, (long long)behaviour->last_size,
                                   (long long)behaviour->last_sum, behaviour->parts, behaviour->part_code);
}

static int show_progress(ferry_session *session, const ferry_message *request)
{
        int64_t steps = number_of(request, "steps");

        for (int64_t i = 0; i < steps; i++)
                ferry_session_notify(session, "App\\Progress", "{step: %lld}", (long long)i);
        return ferry_message_reply(request, NULL, "{steps: %lld}", (long long)steps);
}

/* Answer with what the asker answers; it may have to ask first, too. */
static int ask_back(ferry_session *session, const ferry_message *request)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, 20000, "App\\Question", "{depth: %lld}",
                                                            (long long)number_of(request, "depth") - 1);
        const ferry_message *answer = ferry_call_await(call);

        if (!answer)
                return ferry_message_fail(request, "%s", ferry_call_error(call));
        return ferry_message_reply(request, NULL, "{depth: %lld}", (long long)number_of(answer, "depth") + 1);
}

static void stream_on(struct behaviour *behaviour, struct behaviour_stream *stream)
{
        while (stream->request && stream->next < stream->count) {
                int code = ferry_message_progress(stream->request, "{part: %lld, text: %.*s}", (long long)stream->next,
                                                  (int)stream->size, behaviour->text);

                if (code == -ENOBUFS)
                        return;
                behaviour->part_code = code;
                if (code < 0)
                        break;
                behaviour->parts++;
                stream->next++;
        }
        if (!stream->request)
                return;
        if (stream->next == stream->count)
                ferry_message_reply(stream->request, NULL, "{parts: %lld}", (long long)stream->count);
        stream->request = ferry_message_unref(stream->request);
}

static void make_part_text(struct behaviour *behaviour, size_t size)
{
        if (behaviour->text_size >= size)
                return;
        free(behaviour->text);
        behaviour->text = make_text(size);
        behaviour->text_size = size;
}

/* By events. */
static int begin_stream(ferry_session *session, const ferry_message *request, struct behaviour *behaviour)
{
        int code = ferry_message_flush(request, 0);

        if (code == -EOPNOTSUPP && ferry_message_progress(request, "{}") == code)
                return ferry_message_reply(request, NULL, "{code: %d, why: %s}", code, ferry_session_error(session));
        for (int i = 0; i < STREAMS_MAX; i++) {
                struct behaviour_stream *stream = &behaviour->streams[i];

                if (stream->request)
                        continue;
                *stream = (struct behaviour_stream){ .request = ferry_message_ref(request), .count = number_of(request, "count"),
                                                     .size = (size_t)number_of(request, "size") };
                make_part_text(behaviour, stream->size);
                stream_on(behaviour, stream);
                return 1;
        }
        return -ENOSPC;
}

static int handle_drained(ferry_session *session, const ferry_message *event, void *userdata)
{
        struct behaviour *behaviour = userdata;

        (void)session, (void)event;
        for (int i = 0; i < STREAMS_MAX; i++)
                stream_on(behaviour, &behaviour->streams[i]);
        return 0;
}

/* By waiting. */
static int stream_and_flush(const ferry_message *request, struct behaviour *behaviour)
{
        int64_t count = number_of(request, "count"), size = number_of(request, "size");
        int code = 0;

        make_part_text(behaviour, (size_t)size);
        for (int64_t i = 0; i < count && code == 0; i++) {
                while ((code = ferry_message_progress(request, "{part: %lld, text: %.*s}", (long long)i, (int)size,
                                                      behaviour->text)) == -ENOBUFS)
                        if (ferry_message_flush(request, 20000) < 0)
                                return -EIO;
                behaviour->part_code = code;
                behaviour->parts += code == 0;
        }
        return code ? code : ferry_message_reply(request, NULL, "{parts: %lld}", (long long)count);
}

static int handle_request(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct behaviour *behaviour = userdata;
        const char *type = ferry_message_type(request);

        if (strcmp(type, "App\\Echo") == 0)
                return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
        if (strcmp(type, "App\\Fail") == 0)
                return ferry_message_fail(request, "not this: %s", text_of(request, NULL));
        if (strcmp(type, "App\\Errno") == 0)
                return -EPERM;
        if (strcmp(type, "App\\Keep") == 0)
                return keep(behaviour, request);
        if (strcmp(type, "App\\LetGo") == 0)
                return 1;
        if (strcmp(type, "App\\Progress") == 0)
                return show_progress(session, request);
        if (strcmp(type, "App\\Ask") == 0)
                return ask_back(session, request);
        if (strcmp(type, "App\\Stream") == 0)
                return begin_stream(session, request, behaviour);
        if (strcmp(type, "App\\StreamFlush") == 0)
                return stream_and_flush(request, behaviour);
        if (strcmp(type, "App\\Report") == 0)
                return report(behaviour, request);
        if (strcmp(type, "App\\Close") == 0)
                return ferry_session_close(session) == 0;
        return 0;
}

/* The last one first. */
static void release(struct behaviour *behaviour)
{
        while (behaviour->kept_count > 0) {
                ferry_message *request = behaviour->kept[--behaviour->kept_count];

                ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
                ferry_message_unref(request);
        }
}

static void send_many(ferry_session *session, const ferry_message *order)
{
        size_t size = (size_t)number_of(order, "size");
        char *text = make_text(size);

        for (int64_t i = 0; i < number_of(order, "count"); i++)
                ferry_session_notify(session, "App\\Load", "{number: %lld, text: %.*s}", (long long)i, (int)size, text);
        free(text);
}

static void note_answer(ferry_call *call, const ferry_message *answer, void *userdata)
{
        struct behaviour *behaviour = userdata;

        behaviour->answers++;
        behaviour->depth = answer ? (int)number_of(answer, "depth") : ferry_call_status(call);
}

static int handle_notification(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct behaviour *behaviour = userdata;
        const char *type = ferry_message_type(message), *text;
        size_t size = 0;

        if (strcmp(type, "App\\Release") == 0)
                release(behaviour);
        else if (strcmp(type, "App\\LetGo") == 0)
                behaviour_deinit(behaviour);
        else if (strcmp(type, "App\\Send") == 0)
                send_many(session, message);
        else if (strcmp(type, "App\\AskMe") == 0)
                ferry_call_then(ferry_session_request(session, 20000, "App\\Question", "{depth: 0}"), note_answer,
                                behaviour);
        else {
                behaviour->notifications++;
                text = text_of(message, &size);
                behaviour->last_size = text ? (int64_t)size : -1;
                behaviour->last_sum = text ? sum_text(text, size) : 0;
        }
        return 0;
}

static int handle_cancelled(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct behaviour *behaviour = userdata;

        (void)session;
        behaviour->cancelled++;
        behaviour->wanted += ferry_message_is_wanted(request);
        for (int i = 0; i < STREAMS_MAX; i++)
                if (behaviour->streams[i].request == request)
                        stream_on(behaviour, &behaviour->streams[i]);
        return 0;
}

static int handle_error(ferry_session *session, const ferry_message *error, void *userdata)
{
        struct behaviour *behaviour = userdata;

        (void)session, (void)error;
        behaviour->errors++;
        return 0;
}

void behave(ferry_session *session, ferry_service *service, struct behaviour *behaviour)
{
        static const struct {
                unsigned kinds;
                ferry_message_fn *fn;
        } handlers[] = { { FERRY_KIND_REQUEST, handle_request },
                         { FERRY_KIND_NOTIFICATION, handle_notification },
                         { FERRY_KIND_CANCELLED, handle_cancelled },
                         { FERRY_KIND_DRAINED, handle_drained },
                         { FERRY_KIND_ERROR, handle_error } };

        for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
                if (service)
                        ferry_service_on(service, handlers[i].kinds, handlers[i].fn, behaviour);
                else
                        ferry_session_on(session, handlers[i].kinds, handlers[i].fn, behaviour);
}

void behaviour_deinit(struct behaviour *behaviour)
{
        while (behaviour->kept_count > 0)
                ferry_message_unref(behaviour->kept[--behaviour->kept_count]);
        for (int i = 0; i < STREAMS_MAX; i++)
                behaviour->streams[i].request = ferry_message_unref(behaviour->streams[i].request);
        free(behaviour->text);
        behaviour->text = NULL;
        behaviour->text_size = 0;
}
