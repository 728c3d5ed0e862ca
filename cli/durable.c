/* ferry run with tasks that a stream of JetStream keeps (nats+queue:STREAM): at least once. Invariants: a task is acknowledged when its
 * answer was printed, and never before; one that has failed is delivered again, later each time; one that has been delivered as often
 * as may be is stored as a dead letter first, and ended only when the server has confirmed that. As long as this process has a task,
 * the library tells the server so (+WPI). */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        API_MS = 5000,
        PULL_MS = 30000,                /* a request for tasks is good for so long */
        AGAIN_MS = 100,                 /* behind one that has ended */
        ACK_WAIT_MS = 30000,            /* of a consumer that is made here */
        DELIVERIES_MAX = 5,
        DELAY_FIRST_MS = 100,
        DELAY_MAX_MS = 60000,
        STREAM_MAX = 64,
        TYPE_SIZE = 2 * STREAM_MAX + 64,
        NOT_FOUND = 404,
};

static const char scheme[] = "nats+queue:";

struct durable {
        struct run *run;
        char stream[STREAM_MAX + 1];
        ferry_session *source;          /* asks for tasks, and acknowledges them */
        ferry_session *letters;         /* takes dead letters */
        long asked;                     /* tasks that were asked for, and have not come */
        long burials;                   /* dead letters that the server has not confirmed */
        long deliveries_max;
        bool is_pausing;
};

/* A task that has been delivered as often as may be. */
struct burial {
        struct durable *durable;
        ferry_message *delivery;
        long number;
};

bool durable_is_address(const char *address)
{
        return address && strncmp(address, scheme, strlen(scheme)) == 0;
}

/* What the server and the stream take is plain. */
static ferry_session_options plain_options(const struct run *run)
{
        ferry_session_options options = session_options(run->options);

        options.codec = NULL;
        return options;
}

/* Questions to the server ---------------------------------------------------------------------------------- */

/* The name of the stream; NULL: that was complained about. */
static const char *name_of(const char *address)
{
        const char *name = address + strlen(scheme);
        size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

        if (size > 0 && size <= STREAM_MAX && !name[size])
                return name;
        complain("'%s' is not an address: write nats+queue:STREAM, of at most %d letters, digits, - and _", address, (int)STREAM_MAX);
        return NULL;
}

/* A body that another program has sent: an object, or NULL. */
static ferry_value *read_object(const ferry_message *message)
{
        size_t size = 0;
        const char *bytes = ferry_value_bytes(ferry_message_body(message), &size);
        ferry_value *value = NULL;

        if (bytes)
                ferry_codec_decode(ferry_codec_json(), bytes, size, &value, NULL);
        return ferry_value_kind(value) == FERRY_VALUE_MAP ? value : ferry_value_unref(value);
}

const char *durable_refusal(const ferry_value *answer)
{
        const ferry_value *error = ferry_value_get(answer, "error");

        return ferry_value_kind(error) == FERRY_VALUE_MAP ?
                       ferry_value_text(ferry_value_get(error, "description"), "the server does not say why") : NULL;
}

/* An answer of the interface of JetStream, also one that says no; or NULL, which was complained about, with the exit status. */
static ferry_value *ask(struct run *run, const char *subject, const ferry_value *question, int *ret_status)
{
        ferry_session_options options = plain_options(run);
        char address[TYPE_SIZE + 16];
        ferry_session *session;
        ferry_call *call;
        const ferry_message *reply;
        ferry_value *answer;

        snprintf(address, sizeof address, "nats:$JS.API.%s", subject);
        session = ferry_session_open(run->loop, address, &options);
        call = question ? ferry_session_request_value(session, API_MS, "", question) : ferry_session_request(session, API_MS, "", "''");
        reply = ferry_call_await(call);
        answer = reply ? read_object(reply) : NULL;
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

        if (answer && ferry_value_int(ferry_value_get(ferry_value_get(answer, "error"), "code"), 0) == NOT_FOUND && question) {
                ferry_value_unref(answer);
                answer = ask(run, make, question, ret_status);
        }
        if (!answer || !durable_refusal(answer))
                return answer;
        complain("the NATS server refuses %s: %s", find, durable_refusal(answer));
        *ret_status = EXIT_REFUSED;
        return ferry_value_unref(answer);
}

int durable_prepare(struct run *run, const char *address)
{
        const char *name = name_of(address);
        char find[TYPE_SIZE], make[TYPE_SIZE];
        FERRY_AUTO(ferry_value) question = NULL;
        ferry_value *answer;
        int status = EXIT_USAGE;

        if (!name)
                return status;
        snprintf(find, sizeof find, "STREAM.INFO.%s", name);
        snprintf(make, sizeof make, "STREAM.CREATE.%s", name);
        question = ferry_value_pack("{name: %s, subjects: ['%s.task', '%s.dead'], retention: 'workqueue', storage: 'file'}", name, name,
                                    name);
        answer = find_or_make(run, find, make, question, &status);
        if (!answer)
                return status;
        ferry_value_unref(answer);
        return EXIT_DONE;
}

/* Ends of tasks -------------------------------------------------------------------------------------------- */

/* $JS.ACK.STREAM.CONSUMER.DELIVERIES.…, or with a domain and an account behind ACK. */
static long deliveries_of(const ferry_message *delivery)
{
        const char *at = ferry_message_id(delivery);
        int dots = 0, skipped;

        for (const char *dot = at; (dot = strchr(dot, '.')); dot++)
                dots++;
        for (skipped = dots >= 10 ? 6 : 4; skipped > 0 && at; skipped--)
                at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL;
        return at ? strtol(at, NULL, 10) : 1;
}

static void acknowledge(struct durable *durable, const ferry_message *delivery, const char *what, long number)
{
        int error = ferry_message_reply(delivery, NULL, "'%s'", what);

        if (!error)
                return;
        progress_clear(durable->run);
        complain("task %ld: the server was not told %.4s, and will deliver the task again: %s", number, what, strerror(-error));
}

static void deliver_again(struct durable *durable, const ferry_message *delivery, long number)
{
        long times = deliveries_of(delivery), delay_ms = DELAY_FIRST_MS;
        char what[64];

        while (--times > 0 && delay_ms < DELAY_MAX_MS)
                delay_ms *= 2;
        snprintf(what, sizeof what, "-NAK {\"delay\":%ld000000}", delay_ms);
        acknowledge(durable, delivery, what, number);
}

static void stored(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct burial *burial = userdata;
        struct durable *durable = burial->durable;
        FERRY_AUTO(ferry_value) answer = reply ? read_object(reply) : NULL;
        const char *reason = !reply ? ferry_call_error(call) : !answer ? "its answer is not an object in JSON" : durable_refusal(answer);

        durable->burials--;
        progress_clear(durable->run);
        if (reason) {
                complain("task %ld: cannot store it at '%s.dead', so it is delivered again: %s", burial->number, durable->stream, reason);
                deliver_again(durable, burial->delivery, burial->number);
        } else {
                complain("task %ld: it was delivered %ld times, and is stored at '%s.dead' now", burial->number,
                         deliveries_of(burial->delivery), durable->stream);
                acknowledge(durable, burial->delivery, "+TERM", burial->number);
        }
        ferry_message_unref(burial->delivery);
        run_end_if_done(durable->run);
        free(burial);
}

static void bury(struct durable *durable, const ferry_message *delivery, long number)
{
        struct burial *burial = malloc(sizeof *burial);
        ferry_call *call;

        if (!burial) {
                deliver_again(durable, delivery, number);
                return;
        }
        *burial = (struct burial){ .durable = durable, .delivery = ferry_message_ref(delivery), .number = number };
        durable->burials++;
        call = ferry_session_request_value(durable->letters, API_MS, ferry_message_type(delivery), ferry_message_body(delivery));
        ferry_call_then(call, stored, burial);
}

void durable_end(struct durable *durable, const ferry_message *delivery, long number, bool is_done)
{
        if (is_done)
                acknowledge(durable, delivery, "+ACK", number);
        else if (deliveries_of(delivery) >= durable->deliveries_max)
                bury(durable, delivery, number);
        else
                deliver_again(durable, delivery, number);
}

bool durable_is_busy(const struct durable *durable)
{
        return durable->burials > 0;
}

/* Beginnings of tasks -------------------------------------------------------------------------------------- */

void durable_want(struct durable *durable, long places)
{
        char question[96];

        if (durable->is_pausing || places <= durable->asked || ferry_session_status(durable->source) != 1)
                return;
        snprintf(question, sizeof question, "{\"batch\":%ld,\"expires\":%d000000}", places - durable->asked, (int)PULL_MS);
        if (ferry_session_notify(durable->source, "", "%s", question) == 0)
                durable->asked = places;
}

static int go_on(ferry_loop *loop, void *userdata)
{
        struct durable *durable = userdata;

        (void)loop;
        durable->is_pausing = false;
        tasks_feed(durable->run);
        return 0;
}

/* A request for tasks has ended, or was refused: the next one comes a little later. */
static int hear_end(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;

        (void)session;
        if (durable->run->options->is_verbose)
                print_aside(message, durable->run->options);
        durable->asked = 0;
        if (!durable->is_pausing)
                ferry_loop_after(durable->run->loop, AGAIN_MS, go_on, durable);
        durable->is_pausing = true;
        return 1;
}

static int hear_closed(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;
        struct run *run = durable->run;

        (void)message;
        if (run->phase >= RUN_ENDING)
                return 0;
        progress_clear(run);
        complain("no more tasks come: %s", ferry_session_status(session) < 0 ? ferry_session_error(session) : "the session has ended");
        run_finish(run, EXIT_CONNECTION);
        return 0;
}

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;
        struct run *run = durable->run;

        (void)session;
        durable->asked -= durable->asked > 0;
        /* This process, or another one, has died with the last one. */
        if (deliveries_of(message) > durable->deliveries_max)
                bury(durable, message, ++run->taken);
        else if (run->phase == RUN_WORKING)
                tasks_take(run, message);
        else
                deliver_again(durable, message, 0);
        tasks_feed(run);
        return 1;
}

int durable_open(struct run *run, const char *address, struct durable **ret)
{
        ferry_session_options options = plain_options(run);
        struct durable *durable = calloc(1, sizeof *durable);
        char find[TYPE_SIZE], make[TYPE_SIZE], place[TYPE_SIZE + 64];
        FERRY_AUTO(ferry_value) question = NULL;
        FERRY_AUTO(ferry_value) answer = NULL;
        const ferry_value *config;
        int64_t most, wait_ms;
        int status = durable_prepare(run, address);

        *ret = durable;
        if (!durable) {
                complain("no memory for the tasks of '%s'", address);
                return EXIT_CONNECTION;
        }
        durable->run = run;
        if (status)
                return status;
        snprintf(durable->stream, sizeof durable->stream, "%s", name_of(address));
        snprintf(find, sizeof find, "CONSUMER.INFO.%s.ferry", durable->stream);
        snprintf(make, sizeof make, "CONSUMER.DURABLE.CREATE.%s.ferry", durable->stream);
        question = ferry_value_pack("{stream_name: %s, config: {durable_name: 'ferry', ack_policy: 'explicit', ack_wait: %lld,"
                                    " max_deliver: -1, deliver_policy: 'all', filter_subject: '%s.task'}}", durable->stream,
                                    (long long)ACK_WAIT_MS * 1000000, durable->stream);
        answer = find_or_make(run, find, make, question, &status);
        if (!answer)
                return status;
        config = ferry_value_get(answer, "config");
        most = ferry_value_int(ferry_value_get(config, "max_deliver"), -1);
        wait_ms = ferry_value_int(ferry_value_get(config, "ack_wait"), 0) / 1000000;
        durable->deliveries_max = run->options->retry > 0 ? run->options->retry + 1 : DELIVERIES_MAX;
        if (most > 0 && most < durable->deliveries_max)
                durable->deliveries_max = most;
        /* Twice may be lost. */
        options.heartbeat_ms = wait_ms < 3 ? 1 : wait_ms / 3 > PULL_MS ? PULL_MS : (int)(wait_ms / 3);
        options.is_gathering = true;
        snprintf(place, sizeof place, "nats:$JS.API.CONSUMER.MSG.NEXT.%s.ferry", durable->stream);
        durable->source = ferry_session_open(run->loop, place, &options);
        ferry_session_on(durable->source, FERRY_KIND_REQUEST, take, durable);
        ferry_session_on(durable->source, FERRY_KIND_ERROR, hear_end, durable);
        ferry_session_on(durable->source, FERRY_KIND_CLOSED, hear_closed, durable);
        options = plain_options(run);
        snprintf(place, sizeof place, "nats:%s.dead", durable->stream);
        durable->letters = ferry_session_open(run->loop, place, &options);
        return EXIT_DONE;
}

void durable_close(struct durable *durable)
{
        if (!durable)
                return;
        ferry_loop_off(durable->run->loop, go_on, durable);
        ferry_session_flush(durable->source, API_MS);
        ferry_session_free(durable->source);
        ferry_session_free(durable->letters);
        free(durable);
}
