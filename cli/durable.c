/* ferry run with tasks that a stream of JetStream keeps (nats+queue:STREAM): at least once. Invariants: a task is acknowledged when its
 * answer was printed, and never before; one that has failed is delivered again, later each time; one that has been delivered as often
 * as may be is stored as a dead letter first, and ended only when the server has confirmed that. As long as this process has a task,
 * the library reports that to the server (+WPI). One request for tasks is under way at a time, for as many as there are free places. A server
 * that has lost its connection, or its leader, may answer two: what is too much waits here, and is not given to workers. */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        API_MS = 5000,
        PULL_MS = 5000,                 /* a request for tasks is good for so long at most … */
        PULL_LEAST_MS = 20,             /* … and at least … */
        PULL_BUSY_MS = 100,             /* … and while there are tasks in hand */
        PULL_LATE_MS = 2000,            /* behind that its end must have come */
        PAUSE_FIRST_MS = 100,           /* behind one that was refused */
        PAUSE_MAX_MS = 5000,
        LEAVE_MS = 1500,                /* a run that is in a hurry has gone by then */
        BEAT_LEAST_MS = 10,
        BEAT_MAX_MS = 10000,
        DELIVERIES_DEFAULT = 5,
        DELAY_FIRST_MS = 100,
        DELAY_MAX_MS = 60000,
        DELAY_LATE_MS = 5000,           /* a server may be so late with a task that it delivers again */
        ADDRESS_SIZE = 2 * JETSTREAM_NAME_MAX + 96,
        SENTENCE_SIZE = 256,
        LETTER_CODECS = 3,
};

/* Changed by advance() only. */
enum pull_phase {
        PULL_NONE,                      /* tasks may be asked for */
        PULL_ASKED,                     /* until all have come, the server says that it has ended, or it should have ended */
        PULL_PAUSED,                    /* the server has refused the last one: for a while */
        PULL_LOST,                      /* there is no connection */
};

/* A task that waits for a place. */
struct delivery {
        struct delivery *next;
        ferry_message *message;
};

struct durable {
        struct run *run;
        const char *stream;
        ferry_session *source;          /* asks for tasks, and acknowledges them */
        ferry_session *letters[LETTER_CODECS];  /* take dead letters; NULL: there was none in that codec */
        struct jetstream_consumer consumer;
        int64_t deliveries_max;         /* ours, which are at most those of the consumer */
        enum pull_phase phase;
        long asked;                     /* tasks that were asked for, and have not come */
        int64_t asked_at, ends_at;      /* the request for them */
        int pause_ms;                   /* before the next one, if this one is refused, too */
        char refusal[SENTENCE_SIZE];    /* of the last one; "": it was not */
        struct delivery *first, **last;
        long burials;                   /* dead letters that the server has not confirmed */
        int64_t idle_since;             /* something has happened then … */
        int64_t awaited_until;          /* … and of the tasks that are delivered again the last one comes until then, … */
        long awaited;                   /* … unless so many went to other runs */
        bool is_empty;                  /* the server had no tasks when it was asked last */
};

/* A task that has been delivered as often as may be. */
struct burial {
        struct durable *durable;
        ferry_message *message;
        long number;
};

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The request for tasks ------------------------------------------------------------------------------------ */

static int hear_time(ferry_loop *loop, void *userdata);

/* The only place where the phase changes. @ms: when it is over at the latest; negative: that is not known. */
static void advance(struct durable *durable, enum pull_phase phase, int ms)
{
        durable->phase = phase;
        ferry_loop_off(durable->run->loop, hear_time, durable);
        if (ms >= 0)
                ferry_loop_after(durable->run->loop, ms, hear_time, durable);
}

/* How long to wait for another task, in ms; negative: until a signal comes. */
static int64_t left_ms(const struct durable *durable)
{
        const struct run *run = durable->run;
        int64_t end = durable->idle_since + run->options->wait_ms, left;

        if (durable->awaited > 0 && end < durable->awaited_until)
                end = durable->awaited_until;
        left = end - now_ms();
        if (!run->options->has_wait || run->options->wait_ms < 0 || run->in_hand > 0 || durable->first || durable->burials > 0)
                return -1;
        return left > 0 ? left : 0;
}

static void note_activity(struct durable *durable)
{
        durable->is_empty = false;
        durable->idle_since = now_ms();
}

void durable_want(struct durable *durable, long places)
{
        int64_t left = left_ms(durable), expires = durable->run->options->has_wait ? durable->run->options->wait_ms : -1;
        char question[96];

        if (durable->phase != PULL_NONE)
                return;
        if (left == 0 && durable->is_empty) {
                run_finish(durable->run, EXIT_DONE);
                return;
        }
        /* A run that ends soon after its last task must know by then that there are no more. */
        if (expires < 0 || expires > PULL_MS)
                expires = PULL_MS;
        if (left < 0 && expires < PULL_BUSY_MS)
                expires = PULL_BUSY_MS;
        if (left >= 0 && left < expires)
                expires = left;
        if (expires < PULL_LEAST_MS)
                expires = PULL_LEAST_MS;
        if (expires > durable->consumer.expires_max_ms)
                expires = durable->consumer.expires_max_ms;
        if (places > durable->consumer.batch_max)
                places = (long)durable->consumer.batch_max;
        snprintf(question, sizeof question, "{\"batch\":%ld,\"expires\":%lld000000}", places, (long long)expires);
        if (ferry_session_notify(durable->source, "", "%s", question) != 0) {
                advance(durable, PULL_PAUSED, PAUSE_FIRST_MS);
                return;
        }
        durable->asked = places;
        durable->asked_at = now_ms();
        durable->ends_at = durable->asked_at + expires;
        advance(durable, PULL_ASKED, (int)expires + PULL_LATE_MS);
}

/* All workers have something to do while the time of a run without tasks passes only when there is none. */
static int hear_time(ferry_loop *loop, void *userdata)
{
        struct durable *durable = userdata;
        struct run *run = durable->run;
        int64_t left = left_ms(durable);

        (void)loop;
        if (run->phase != RUN_WORKING)
                return 0;
        if (durable->phase == PULL_ASKED || left != 0) {
                advance(durable, durable->phase == PULL_LOST ? PULL_LOST : PULL_NONE,
                        durable->phase != PULL_LOST ? -1 : left > 0 && left < PAUSE_MAX_MS ? (int)left : PAUSE_MAX_MS);
                tasks_feed(run);
                return 0;
        }
        progress_clear(run);
        complain("no more tasks come from the stream '%s': %s", durable->stream, *durable->refusal ? durable->refusal :
                                                                                             "the connection is lost");
        run_finish(run, EXIT_CONNECTION);
        return 0;
}

/* A request for tasks has ended, or was refused. What is no status concerns a task that cannot be taken. */
static int hear_error(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;
        struct run *run = durable->run;
        const char *status = ferry_message_type(message), *text = ferry_value_text(ferry_message_body(message), "no reason is known");
        bool is_over = strcmp(status, "404") == 0 || strcmp(status, "408") == 0;

        (void)session;
        if (run->phase != RUN_WORKING || strcmp(status, "100") == 0)
                return 1;
        if (!*status) {
                progress_clear(run);
                complain("a task of the stream '%s' cannot be taken or acknowledged, and stays there: %s", durable->stream, text);
                durable->asked -= durable->asked > 0;
                if (durable->phase == PULL_ASKED && durable->asked == 0)
                        advance(durable, PULL_NONE, -1);
        } else if (is_over) {
                durable->is_empty = true;
                durable->pause_ms = PAUSE_FIRST_MS;
                *durable->refusal = '\0';
                /* One that ends at once would come again and again. */
                if (now_ms() - durable->asked_at < PULL_LEAST_MS / 2)
                        advance(durable, PULL_PAUSED, PAUSE_FIRST_MS);
                else
                        advance(durable, PULL_NONE, -1);
        } else {
                if (strcmp(durable->refusal, text) != 0) {
                        progress_clear(run);
                        complain("the stream '%s' gives no tasks now: %s; trying again", durable->stream, text);
                        snprintf(durable->refusal, sizeof durable->refusal, "%s", text);
                }
                advance(durable, PULL_PAUSED, durable->pause_ms);
                durable->pause_ms = durable->pause_ms * 2 < PAUSE_MAX_MS ? durable->pause_ms * 2 : PAUSE_MAX_MS;
        }
        tasks_feed(run);
        return 1;
}

static int hear_loss(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;

        (void)session;
        if (durable->run->phase >= RUN_ENDING)
                return 0;
        progress_clear(durable->run);
        complain("the connection to the NATS server is lost, connecting again: %s",
                 ferry_value_text(ferry_message_body(message), "no reason is known"));
        durable->asked = 0;
        advance(durable, PULL_LOST, 0);
        return 0;
}

static int hear_resumption(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;

        (void)session;
        (void)message;
        durable->pause_ms = PAUSE_FIRST_MS;
        durable->asked = 0;
        advance(durable, PULL_NONE, -1);
        tasks_feed(durable->run);
        return 0;
}

static int hear_end(ferry_session *session, const ferry_message *message, void *userdata)
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

/* Ends of tasks -------------------------------------------------------------------------------------------- */

/* $JS.ACK.STREAM.CONSUMER.DELIVERIES.…, or with a domain and an account behind ACK. */
static long deliveries_of(const ferry_message *message)
{
        const char *at = ferry_message_id(message);
        int dots = 0, skipped;

        for (const char *dot = at; (dot = strchr(dot, '.')); dot++)
                dots++;
        for (skipped = dots >= 10 ? 6 : 4; skipped > 0 && at; skipped--)
                at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL;
        return at ? strtol(at, NULL, 10) : 1;
}

static void acknowledge(struct durable *durable, const ferry_message *message, const char *what, long number)
{
        int error = ferry_message_reply(message, NULL, "'%s'", what);

        if (!error)
                return;
        progress_clear(durable->run);
        complain("task %ld: cannot send %.5s to the server, which will deliver the task again: %s", number, what, strerror(-error));
}

static void refuse(struct durable *durable, const ferry_message *message, long number, int64_t delay_ms)
{
        char what[64] = "-NAK";

        if (delay_ms > 0)
                snprintf(what, sizeof what, "-NAK {\"delay\":%lld000000}", (long long)delay_ms);
        acknowledge(durable, message, what, number);
}

static void deliver_again(struct durable *durable, const ferry_message *message, long number)
{
        long times = deliveries_of(message), delay_ms = DELAY_FIRST_MS;

        while (--times > 0 && delay_ms < DELAY_MAX_MS)
                delay_ms *= 2;
        delay_ms = delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
        note_activity(durable);
        if (deliveries_of(message) >= durable->consumer.deliveries_max) {
                progress_clear(durable->run);
                complain("task %ld: it stays in the stream, but its consumer has a max_deliver of %lld, and delivers it no more", number,
                         (long long)durable->consumer.deliveries_max);
                refuse(durable, message, number, 0);
                return;
        }
        durable->run->returned++;
        durable->awaited++;
        if (durable->awaited_until < durable->idle_since + delay_ms + DELAY_LATE_MS)
                durable->awaited_until = durable->idle_since + delay_ms + DELAY_LATE_MS;
        refuse(durable, message, number, delay_ms);
}

/* Not before this run's own request for tasks has ended, which would get it once more: it ends with the connection, if not before. */
void durable_return(struct durable *durable, const ferry_message *message, long number)
{
        int64_t left = durable->phase == PULL_ASKED ? durable->ends_at - now_ms() : 0;

        refuse(durable, message, number, durable->run->phase >= RUN_ENDING && left > LEAVE_MS ? LEAVE_MS : left);
}

static void stored(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct burial *burial = userdata;
        struct durable *durable = burial->durable;
        FERRY_AUTO(ferry_value) answer = reply ? jetstream_read(reply) : NULL;
        const char *reason = !reply ? ferry_call_error(call) : !answer ? "the answer is not an object in JSON" : jetstream_refusal(answer);

        if (!reason && !ferry_value_get(answer, "seq"))
                reason = "the answer is no confirmation of a stream";
        durable->burials--;
        note_activity(durable);
        progress_clear(durable->run);
        if (reason) {
                complain("task %ld: cannot store it at '%s.dead', so it is delivered again: %s", burial->number, durable->stream, reason);
                deliver_again(durable, burial->message, burial->number);
        } else {
                complain("task %ld: it was delivered %ld times, and is stored at '%s.dead' now", burial->number,
                         deliveries_of(burial->message), durable->stream);
                acknowledge(durable, burial->message, "+TERM", burial->number);
        }
        ferry_message_unref(burial->message);
        tasks_feed(durable->run);
        free(burial);
}

static const ferry_codec *letter_codec(int number)
{
        const ferry_codec *const codecs[LETTER_CODECS] = { ferry_codec_json(), ferry_codec_msgpack(), ferry_codec_php() };

        return codecs[number];
}

/* A text stands there as it is, and other tasks are JSON, unless that cannot write them: then it is one of those in which they may have
 * come. */
static int choose_letter_codec(const ferry_value *body)
{
        int number = 0, error = -EILSEQ;

        if (ferry_value_kind(body) == FERRY_VALUE_STRING)
                return 0;
        for (; number < LETTER_CODECS && (error == -EILSEQ || error == -EDOM); number++) {
                void *bytes = NULL;
                size_t size;

                error = ferry_codec_encode(letter_codec(number), body, &bytes, &size);
                free(bytes);
        }
        return number - 1;
}

static ferry_session *open_letters(const struct durable *durable, int codec)
{
        ferry_session_options options = jetstream_options(durable->run);
        char address[ADDRESS_SIZE];

        options.reconnect_ms = -1;
        options.codec = codec > 0 ? letter_codec(codec) : NULL;
        snprintf(address, sizeof address, "nats:%s.dead", durable->stream);
        return ferry_session_open(durable->run->loop, address, &options);
}

static void bury(struct durable *durable, const ferry_message *message, long number)
{
        struct burial *burial = malloc(sizeof *burial);
        int codec = choose_letter_codec(ferry_message_body(message));
        ferry_call *call;

        if (!burial) {
                deliver_again(durable, message, number);
                return;
        }
        *burial = (struct burial){ .durable = durable, .message = ferry_message_ref(message), .number = number };
        durable->burials++;
        if (!durable->letters[codec])
                durable->letters[codec] = open_letters(durable, codec);
        call = ferry_session_request_value(durable->letters[codec], API_MS, ferry_message_type(message), ferry_message_body(message));
        ferry_call_then(call, stored, burial);
}

void durable_end(struct durable *durable, const ferry_message *message, long number, bool is_done)
{
        note_activity(durable);
        if (is_done)
                acknowledge(durable, message, "+ACK", number);
        else if (deliveries_of(message) >= durable->deliveries_max)
                bury(durable, message, number);
        else
                deliver_again(durable, message, number);
}

bool durable_is_busy(const struct durable *durable)
{
        return durable->burials > 0;
}

/* Beginnings of tasks -------------------------------------------------------------------------------------- */

ferry_message *durable_next(struct durable *durable)
{
        struct delivery *delivery = durable->first;
        ferry_message *message = delivery ? delivery->message : NULL;

        if (!delivery)
                return NULL;
        durable->first = delivery->next;
        if (!durable->first)
                durable->last = &durable->first;
        free(delivery);
        return message;
}

void durable_stop(struct durable *durable)
{
        ferry_message *message;

        while ((message = durable_next(durable))) {
                durable_return(durable, message, 0);
                ferry_message_unref(message);
        }
}

static int take(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct durable *durable = userdata;
        struct run *run = durable->run;
        struct delivery *delivery;

        (void)session;
        durable->asked -= durable->asked > 0;
        if (durable->phase == PULL_ASKED && durable->asked == 0)
                advance(durable, PULL_NONE, -1);
        durable->pause_ms = PAUSE_FIRST_MS;
        *durable->refusal = '\0';
        durable->awaited -= durable->awaited > 0 && deliveries_of(message) > 1;
        note_activity(durable);
        if (run->phase != RUN_WORKING) {
                durable_return(durable, message, 0);
                return 1;
        }
        /* This process, or another one, has died with the last one. */
        if (deliveries_of(message) > durable->deliveries_max) {
                run->failed++;
                bury(durable, message, ++run->taken);
                tasks_feed(run);
                return 1;
        }
        delivery = malloc(sizeof *delivery);
        if (!delivery) {
                progress_clear(run);
                run->failed++;
                complain("task %ld: no memory for it", ++run->taken);
                durable_end(durable, message, run->taken, false);
                tasks_feed(run);
                return 1;
        }
        *delivery = (struct delivery){ .message = ferry_message_ref(message) };
        *durable->last = delivery;
        durable->last = &delivery->next;
        tasks_feed(run);
        return 1;
}

static ferry_session *open_source(struct durable *durable)
{
        ferry_session_options options = jetstream_options(durable->run);
        int64_t beat_ms = durable->consumer.ack_wait_ms / 3;    /* two may be lost */
        char address[ADDRESS_SIZE];
        ferry_session *session;

        options.reconnect_ms = -1;
        options.heartbeat_ms = beat_ms < BEAT_LEAST_MS ? BEAT_LEAST_MS : beat_ms > BEAT_MAX_MS ? BEAT_MAX_MS : (int)beat_ms;
        options.is_gathering = true;
        snprintf(address, sizeof address, "nats:$JS.API.CONSUMER.MSG.NEXT.%s." JETSTREAM_CONSUMER, durable->stream);
        session = ferry_session_open(durable->run->loop, address, &options);
        ferry_session_on(session, FERRY_KIND_REQUEST, take, durable);
        ferry_session_on(session, FERRY_KIND_ERROR, hear_error, durable);
        ferry_session_on(session, FERRY_KIND_LOST, hear_loss, durable);
        ferry_session_on(session, FERRY_KIND_RESUMED, hear_resumption, durable);
        ferry_session_on(session, FERRY_KIND_CLOSED, hear_end, durable);
        return session;
}

int durable_open(struct run *run, const char *address, struct durable **ret)
{
        struct durable *durable = calloc(1, sizeof *durable);
        int64_t most = run->options->retry > 0 ? run->options->retry + 1 : DELIVERIES_DEFAULT;
        int status = jetstream_prepare_stream(run, address);

        *ret = durable;
        if (!durable) {
                complain("no memory for the tasks of '%s'", address);
                return EXIT_CONNECTION;
        }
        *durable = (struct durable){ .run = run, .pause_ms = PAUSE_FIRST_MS, .last = &durable->first };
        if (status)
                return status;
        durable->stream = jetstream_name(address);
        status = jetstream_prepare_consumer(run, durable->stream, &durable->consumer);
        if (status)
                return status;
        durable->deliveries_max = durable->consumer.deliveries_max < most ? durable->consumer.deliveries_max : most;
        durable->source = open_source(durable);
        durable->letters[0] = open_letters(durable, 0);
        note_activity(durable);
        return EXIT_DONE;
}

/* Tasks that are not done are returned. Dead letters that are not confirmed are given up before that, so that their tasks are, too. */
void durable_close(struct durable *durable)
{
        if (!durable)
                return;
        for (int i = 0; i < LETTER_CODECS; i++)
                ferry_session_free(durable->letters[i]);
        durable_stop(durable);
        tasks_return(durable->run);
        ferry_session_flush(durable->source, API_MS);
        ferry_session_free(durable->source);
        ferry_loop_off(durable->run->loop, hear_time, durable);
        free(durable);
}
