/* Asking services what they are. The answers are those of strangers: what is wrong, too large, or none of a service counts as no
 * answer. */
#include "process/finder.h"

#include "session/session.h"
#include "util/sys.h"
#include "wire/pattern.h"
#include "wire/subject.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        PING_MS = 1000,
        GATHER_MS = 500,
        GATHER_PAUSE_MS = 5000,         /* after it was in vain: all services of a cluster are asked */
        INFO_MAX = 64 << 10,            /* bytes of one */
        ENDPOINTS_MAX = 1000,
};

static void enter(struct finder *finder, enum finder_phase phase)
{
        finder->phase = phase;
        if (phase == FINDER_GATHERING)
                loop_timer_start(finder->loop, &finder->timer, loop_deadline(GATHER_MS));
        else
                loop_timer_stop(finder->loop, &finder->timer);
}

static void pinger_freed(void *object)
{
        struct finder *finder = object;

        finder->pinger = NULL;
}

static void gatherer_freed(void *object)
{
        struct finder *finder = object;

        finder->gatherer = NULL;
}

/* The program does not know these sessions, so how they end is not for it. */
static const struct session_owner pinger_owner = { .freed = pinger_freed, .expects_failures = true },
                                  gatherer_owner = { .freed = gatherer_freed, .expects_failures = true };

static void forget(struct finder *finder, ferry_session **session)
{
        if (*session)
                session_set_owner(*session, NULL, NULL);
        if (*session && loop_is_foreign(finder->loop))
                session_free(*session);
        else
                ferry_session_free(*session);
        *session = NULL;
}

/* All services ----------------------------------------------------------------------------------------- */

static bool listens_there(const struct finder *finder, const ferry_value *info)
{
        const ferry_value *endpoints = ferry_value_get(info, "endpoints");

        for (size_t i = 0; i < ferry_value_count(endpoints) && i < ENDPOINTS_MAX; i++) {
                const char *subject = ferry_value_text(ferry_value_get(ferry_value_at(endpoints, i), "subject"), "");

                if (subject_is_valid(subject, strlen(subject), true) &&
                    pattern_matches(subject, strlen(subject), finder->subject, strlen(finder->subject)))
                        return true;
        }
        return false;
}

static bool is_name(const char *name)
{
        size_t size = strlen(name);

        return size <= NATS_SERVICE_NAME_MAX && subject_is_valid(name, size, false) && !strchr(name, '.');
}

static int hear_info(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct finder *finder = userdata;
        size_t size = 0;
        const char *bytes = ferry_value_bytes(ferry_message_body(message), &size), *name;
        ferry_value *info = NULL;

        (void)session;
        if (finder->phase != FINDER_GATHERING)
                return 1;
        if (bytes && size <= INFO_MAX)
                ferry_codec_decode(ferry_codec_json(), bytes, size, &info, NULL);
        name = ferry_value_text(ferry_value_get(info, "name"), "");
        if (is_name(name) && listens_there(finder, info)) {
                snprintf(finder->name, sizeof finder->name, "%s", name);
                forget(finder, &finder->pinger);
                finder->has_instance = true;
                enter(finder, FINDER_IDLE);
        }
        ferry_value_unref(info);
        return 1;
}

static void give_up(struct finder *finder)
{
        if (finder->has_instance)
                finder_start_over(finder);
        finder->gather_again = loop_deadline(GATHER_PAUSE_MS);
        enter(finder, FINDER_IDLE);
}

/* There is no service at all, or the session has ended. */
static int hear_no_info(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct finder *finder = userdata;

        (void)session;
        (void)message;
        if (finder->phase != FINDER_GATHERING)
                return 1;
        give_up(finder);
        return 1;
}

static void gathering_is_over(struct loop_timer *timer)
{
        struct finder *finder = container_of(timer, struct finder, timer);

        give_up(finder);
}

static void gather(struct finder *finder)
{
        ferry_session_options options = *finder->options;

        options.is_gathering = true;
        if (finder->gatherer && ferry_session_status(finder->gatherer) != 1)
                forget(finder, &finder->gatherer);
        if (!finder->gatherer) {
                finder->gatherer = ferry_session_open(finder->loop, "nats:$SRV.INFO", &options);
                if (finder->gatherer)
                        session_set_owner(finder->gatherer, &gatherer_owner, finder);
                ferry_session_on(finder->gatherer, FERRY_KIND_NOTIFICATION, hear_info, finder);
                ferry_session_on(finder->gatherer, FERRY_KIND_ERROR | FERRY_KIND_CLOSED, hear_no_info, finder);
        }
        enter(finder, FINDER_GATHERING);
        if (ferry_session_notify(finder->gatherer, "", "''") < 0)
                enter(finder, FINDER_IDLE);
}

/* Those of the name ------------------------------------------------------------------------------------ */

static void hear_instance(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct finder *finder = userdata;

        finder->question = NULL;
        enter(finder, FINDER_IDLE);
        if (reply)
                finder->has_instance = true;
        else if (ferry_call_status(call) == -ECONNREFUSED && sys_now() >= finder->gather_again)
                gather(finder);
        else if (ferry_call_status(call) == -ECONNREFUSED && finder->has_instance)
                finder_start_over(finder);
}

void finder_ask(struct finder *finder)
{
        char address[sizeof "nats:$SRV.PING." + NATS_SERVICE_NAME_MAX];

        if (finder_is_asking(finder))
                return;
        snprintf(address, sizeof address, "nats:$SRV.PING.%s", finder->name);
        if (finder->pinger && ferry_session_status(finder->pinger) != 1)
                forget(finder, &finder->pinger);
        if (!finder->pinger) {
                finder->pinger = ferry_session_open(finder->loop, address, finder->options);
                if (finder->pinger)
                        session_set_owner(finder->pinger, &pinger_owner, finder);
        }
        enter(finder, FINDER_PINGING);
        finder->question = ferry_session_request(finder->pinger, PING_MS, "", "''");
        ferry_call_then(finder->question, hear_instance, finder);
}

/* Its life --------------------------------------------------------------------------------------------- */

void finder_init(struct finder *finder, ferry_loop *loop, const ferry_session_options *options, const char *subject)
{
        *finder = (struct finder){ .loop = loop, .options = options, .subject = subject, .timer = { .fn = gathering_is_over } };
        nats_service_name(subject, finder->name);
}

void finder_start_over(struct finder *finder)
{
        finder->has_instance = false;
        finder->vacant_since = sys_now();
}

void finder_close(struct finder *finder)
{
        ferry_session_close(finder->pinger);
        ferry_session_close(finder->gatherer);
}

void finder_deinit(struct finder *finder)
{
        if (!finder->loop)
                return;
        enter(finder, FINDER_IDLE);
        ferry_call_free(finder->question);
        forget(finder, &finder->pinger);
        forget(finder, &finder->gatherer);
}
