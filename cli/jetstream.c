/* Streams of JetStream, and the consumers of ferry run: they are looked for, made, and checked, so that a run that could lose
 * tasks, or that would find none, ends with a sentence before it begins. */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        API_MS = 5000,
        ACK_WAIT_MS = 30000,            /* of a consumer that is made here */
        TYPE_SIZE = 2 * JETSTREAM_NAME_MAX + 64,
        NOT_FOUND = 404,
};

static const char scheme[] = "nats+queue:";

bool jetstream_is_address(const char *address)
{
        return address && strncmp(address, scheme, strlen(scheme)) == 0;
}

const char *jetstream_name(const char *address)
{
        const char *name = address + strlen(scheme);
        size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

        if (size > 0 && size <= JETSTREAM_NAME_MAX && !name[size])
                return name;
        complain("'%s' is not an address: write nats+queue:STREAM, of at most %d letters, digits, - and _", address,
                 (int)JETSTREAM_NAME_MAX);
        return NULL;
}

/* What the server and the stream take is plain. */
ferry_session_options jetstream_options(const struct run *run)
{
        ferry_session_options options = session_options(run->options);

        options.codec = NULL;
        return options;
}

/* Questions ------------------------------------------------------------------------------------------------ */

ferry_value *jetstream_read(const ferry_message *message)
{
        size_t size = 0;
        const char *bytes = ferry_value_bytes(ferry_message_body(message), &size);
        ferry_value *value = NULL;

        if (bytes)
                ferry_codec_decode(ferry_codec_json(), bytes, size, &value, NULL);
        return ferry_value_kind(value) == FERRY_VALUE_MAP ? value : ferry_value_unref(value);
}

const char *jetstream_refusal(const ferry_value *answer)
{
        const ferry_value *error = ferry_value_get(answer, "error");

        return ferry_value_kind(error) == FERRY_VALUE_MAP ?
                       ferry_value_text(ferry_value_get(error, "description"), "the server does not say why") : NULL;
}

/* An answer of the interface of JetStream, also one that says no; or NULL, which was complained about, with the exit status. */
static ferry_value *ask(struct run *run, const char *subject, const ferry_value *question, int *ret_status)
{
        ferry_session_options options = jetstream_options(run);
        char address[TYPE_SIZE + 16];
        ferry_session *session;
        ferry_call *call;
        const ferry_message *reply;
        ferry_value *answer;

        snprintf(address, sizeof address, "nats:$JS.API.%s", subject);
        session = ferry_session_open(run->loop, address, &options);
        call = question ? ferry_session_request_value(session, API_MS, "", question) : ferry_session_request(session, API_MS, "", "''");
        reply = ferry_call_await(call);
        answer = reply ? jetstream_read(reply) : NULL;
        if (!reply && ferry_call_status(call) == -ECONNREFUSED && ferry_session_status(session) == 1)
                complain("the NATS server has no JetStream: start it with --jetstream");
        else if (!reply)
                complain("%s", ferry_call_error(call));
        else if (!answer)
                complain("the answer of the NATS server to %s is not an object in JSON", subject);
        *ret_status = reply ? EXIT_CONNECTION : exit_status_of(ferry_call_status(call));
        ferry_call_free(call);
        ferry_session_free(session);
        return answer;
}

/* What there is already, or is made: an answer that is not no; or NULL, as above. */
static ferry_value *find_or_make(struct run *run, const char *find, const char *make, const ferry_value *question, int *ret_status)
{
        ferry_value *answer = ask(run, find, NULL, ret_status);
        const char *asked = find;

        if (answer && ferry_value_int(ferry_value_get(ferry_value_get(answer, "error"), "code"), 0) == NOT_FOUND && question) {
                ferry_value_unref(answer);
                asked = make;
                answer = ask(run, make, question, ret_status);
        }
        if (!answer || !jetstream_refusal(answer))
                return answer;
        complain("the NATS server refuses %s: %s", asked, jetstream_refusal(answer));
        *ret_status = EXIT_REFUSED;
        return ferry_value_unref(answer);
}

/* Streams -------------------------------------------------------------------------------------------------- */

/* Whether a subject is one of a pattern: * stands for one token, and > for the rest. */
static bool is_matched(const char *pattern, const char *subject)
{
        for (;;) {
                size_t wanted = strcspn(pattern, "."), found = strcspn(subject, ".");

                if (strcmp(pattern, ">") == 0)
                        return found > 0;
                if (!(wanted == 1 && *pattern == '*') && (wanted != found || memcmp(pattern, subject, wanted) != 0))
                        return false;
                if (!pattern[wanted] || !subject[found])
                        return !pattern[wanted] && !subject[found];
                pattern += wanted + 1;
                subject += found + 1;
        }
}

/* Why tasks cannot be kept in a stream; NULL: they can. */
static const char *find_flaw(const ferry_value *config, const char *subject)
{
        const ferry_value *subjects = ferry_value_get(config, "subjects");

        if (ferry_value_bool(ferry_value_get(config, "no_ack"), false))
                return "it does not confirm what it stores (no_ack)";
        if (strcmp(ferry_value_text(ferry_value_get(config, "retention"), ""), "interest") == 0)
                return "it confirms, and drops, what no consumer waits for (its retention is interest), such as dead letters";
        for (size_t i = 0; i < ferry_value_count(subjects); i++)
                if (is_matched(ferry_value_text(ferry_value_at(subjects, i), ""), subject))
                        return NULL;
        return "it has not the subject of the tasks";
}

int jetstream_prepare_stream(struct run *run, const char *address)
{
        const char *name = jetstream_name(address), *flaw;
        char find[TYPE_SIZE], make[TYPE_SIZE], subject[TYPE_SIZE];
        FERRY_AUTO(ferry_value) question = NULL;
        FERRY_AUTO(ferry_value) answer = NULL;
        int status = EXIT_USAGE;

        if (!name)
                return status;
        snprintf(find, sizeof find, "STREAM.INFO.%s", name);
        snprintf(make, sizeof make, "STREAM.CREATE.%s", name);
        snprintf(subject, sizeof subject, "%s.task", name);
        question = ferry_value_pack("{name: %s, subjects: [%s, '%s.dead'], retention: 'workqueue', storage: 'file'}", name, subject, name);
        answer = find_or_make(run, find, make, question, &status);
        if (!answer)
                return status;
        flaw = find_flaw(ferry_value_get(answer, "config"), subject);
        if (!flaw)
                return EXIT_DONE;
        complain("the stream '%s' cannot keep tasks at '%s': %s; take another STREAM, or change this one", name, subject, flaw);
        return EXIT_REFUSED;
}

/* Consumers ------------------------------------------------------------------------------------------------ */

/* The same for a consumer: another program may have made it. */
static const char *find_consumer_flaw(const ferry_value *config, const char *subject)
{
        if (strcmp(ferry_value_text(ferry_value_get(config, "ack_policy"), ""), "explicit") != 0)
                return "its ack_policy is not explicit, so tasks would be lost";
        if (strcmp(ferry_value_text(ferry_value_get(config, "deliver_policy"), "all"), "all") != 0)
                return "its deliver_policy is not all, so it leaves tasks out";
        if (ferry_value_get(config, "deliver_subject"))
                return "it pushes tasks (deliver_subject), and is not asked for them";
        if (ferry_value_bool(ferry_value_get(config, "headers_only"), false))
                return "it delivers no bodies (headers_only)";
        if (strcmp(ferry_value_text(ferry_value_get(config, "filter_subject"), ""), subject) != 0)
                return "its filter_subject is not the subject of the tasks";
        return NULL;
}

static int64_t positive(const ferry_value *config, const char *name, int64_t fallback)
{
        int64_t number = ferry_value_int(ferry_value_get(config, name), 0);

        return number > 0 ? number : fallback;
}

int jetstream_prepare_consumer(struct run *run, const char *name, struct jetstream_consumer *ret)
{
        char find[TYPE_SIZE], make[TYPE_SIZE], subject[TYPE_SIZE];
        FERRY_AUTO(ferry_value) question = NULL;
        FERRY_AUTO(ferry_value) answer = NULL;
        const ferry_value *config;
        const char *flaw;
        int status = EXIT_CONNECTION;

        snprintf(find, sizeof find, "CONSUMER.INFO.%s." JETSTREAM_CONSUMER, name);
        snprintf(make, sizeof make, "CONSUMER.DURABLE.CREATE.%s." JETSTREAM_CONSUMER, name);
        snprintf(subject, sizeof subject, "%s.task", name);
        /* Tasks that are delivered again later count as not acknowledged, and must not keep others back. */
        question = ferry_value_pack("{stream_name: %s, config: {durable_name: %s, ack_policy: 'explicit', ack_wait: %lld, max_deliver: -1,"
                                    " max_ack_pending: -1, deliver_policy: 'all', filter_subject: %s}}", name, JETSTREAM_CONSUMER,
                                    (long long)ACK_WAIT_MS * 1000000, subject);
        answer = find_or_make(run, find, make, question, &status);
        if (!answer)
                return status;
        config = ferry_value_get(answer, "config");
        flaw = find_consumer_flaw(config, subject);
        if (flaw) {
                complain("the consumer '" JETSTREAM_CONSUMER "' of the stream '%s' is not for tasks at '%s': %s; delete it, and it is made anew",
                         name, subject, flaw);
                return EXIT_REFUSED;
        }
        *ret = (struct jetstream_consumer){
                .deliveries_max = positive(config, "max_deliver", INT64_MAX),
                .batch_max = positive(config, "max_batch", INT64_MAX),
                .expires_max_ms = positive(config, "max_expires", INT64_MAX) / 1000000,
                .ack_wait_ms = positive(config, "ack_wait", (int64_t)ACK_WAIT_MS * 1000000) / 1000000,
        };
        return EXIT_DONE;
}
