/* Workers elsewhere, which take the requests of a pool at a subject of a NATS server. How many there are, and how many of them are
 * free, is not known: it shows in what is refused. Invariants: a request is in flight once, and only one that was not executed
 * waits again; after a refusal fewer are in flight, and the next one is sent when an answer shows that a worker is free, or when
 * a pause is over. While none of ours is worked on, and all is refused, the time for that passes: a longer one if an instance of
 * the service says that it lives. */
#include "process/finder.h"
#include "process/manager.h"

#include "util/map.h"
#include "util/options.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* GIVING <--> PAUSING, after a refusal; both --> ENDED, with the session. */
enum remote_phase {
        REMOTE_GIVING,
        REMOTE_PAUSING,
        REMOTE_ENDED,
};

enum {
        REQUESTS_DEFAULT_MAX = 1024,
        REQUESTS_FIRST = 16,
        BUSY_DEFAULT_MS = 30000,
        WAIT_DEFAULT_MS = 1000,
        ANSWERS_FOR_ROOM = 2,           /* whatever the room is: else many workers would be kept less busy than few */
        PAUSE_FIRST_MS = 5,
        PAUSE_MAX_MS = 500,
};

struct remote {
        struct list link;               /* among those of the manager */
        ferry_manager *manager;
        const ferry_session_options *options;
        ferry_session *session;         /* NULL: the loop has freed it */
        struct finder finder;           /* asks whether an instance lives, when all is refused */
        enum remote_phase phase;
        size_t in_flight, room;         /* requests that are, and that may be; and … */
        size_t most;                    /* … how many those may be at most */
        size_t answers;                 /* since the room has changed */
        bool was_refused;               /* before that each answer makes room for one more */
        int busy_ms, wait_ms;           /* how long all may be refused, with an instance that lives and without one; -1 */
        int64_t refused_since;          /* 0: a request is worked on, or was not refused, or the session has connected since */
        int64_t pause_ns;
        struct loop_timer timer;        /* of a pause */
        struct loop_task task;          /* the session has connected: what waits is given to it */
        bool is_live;                   /* that is what was counted of it */
        char subject[];
};

static void tally(struct remote *remote)
{
        ferry_manager *manager = remote->manager;
        bool is_there = remote->phase != REMOTE_ENDED;

        if (is_there != remote->is_live) {
                manager->connected += is_there ? 1 : (size_t)-1;
                manager->serving += is_there ? 1 : (size_t)-1;
        }
        loop_count_live(manager->loop, &remote->is_live, is_there);
}

static void enter(struct remote *remote, enum remote_phase phase)
{
        if (remote->phase == REMOTE_ENDED)
                return;
        remote->phase = phase;
        if (phase != REMOTE_PAUSING)
                loop_timer_stop(remote->manager->loop, &remote->timer);
        tally(remote);
}

/* Requests --------------------------------------------------------------------------------------------- */

/* All that waits has waited long enough; local workers would take it, if there are some. */
static void give_up(struct remote *remote)
{
        ferry_manager *manager = remote->manager;
        int code = remote->finder.has_instance ? -EBUSY : -ECONNREFUSED;
        ferry_call *call;

        remote->refused_since = 0;
        if (manager->serving > 1)
                return;
        while (!manager->is_freed && (call = call_queue_first(manager->queue)))
                call_end(call, code, FERRY_OUTCOME_NOT_EXECUTED, NULL,
                         remote->finder.has_instance ? "all workers at 'nats:%s' are busy, and have refused requests for %g s, so the request"
                                                " was not executed" :
                                                "no responders: no worker listens at 'nats:%s', nor has one within %g s, so the request"
                                                " was not executed",
                         remote->subject, (remote->finder.has_instance ? remote->busy_ms : remote->wait_ms) / 1000.0);
}

static bool is_too_late(const struct remote *remote)
{
        int most = remote->finder.has_instance ? remote->busy_ms : remote->wait_ms;
        int64_t since = remote->finder.has_instance ? remote->refused_since : remote->finder.vacant_since;

        /* The answer decides. */
        if (finder_is_asking(&remote->finder) && !remote->finder.has_instance)
                return false;
        return remote->in_flight == 0 && remote->refused_since > 0 && most >= 0 &&
               sys_now() - since >= (int64_t)most * 1000000;
}

/* Between half of a pause that doubles and all of it, so that clients that were refused do not come again all at once. */
static int64_t next_pause(struct remote *remote)
{
        const struct hash_key key = hash_secret();
        const int64_t seed[] = { (int64_t)(uintptr_t)remote, sys_now() };
        int64_t half = remote->pause_ns / 2;

        if (remote->pause_ns < (int64_t)PAUSE_MAX_MS * 1000000)
                remote->pause_ns *= 2;
        return half + (int64_t)(hash_bytes(&key, seed, sizeof seed) % (uint64_t)half);
}

/* 503, or a refusal. The request waits again. */
static bool remote_returns(void *object, ferry_call *call)
{
        struct remote *remote = object;
        ferry_manager *manager = remote->manager;

        if (manager->is_stopping || manager->is_freed)
                return false;
        remote->in_flight--;
        manager->away--;
        call_wait_again(call);
        remote->room = remote->in_flight > 0 ? remote->in_flight : 1;
        remote->answers = 0;
        remote->was_refused = true;
        if (remote->phase == REMOTE_ENDED || !session_takes_requests(remote->session))
                return true;
        if (remote->refused_since == 0) {
                remote->refused_since = sys_now();
                finder_start_over(&remote->finder);
        }
        if (remote->in_flight == 0)
                finder_ask(&remote->finder);
        if (remote->phase == REMOTE_GIVING) {
                enter(remote, REMOTE_PAUSING);
                loop_timer_start(manager->loop, &remote->timer, sys_now() + next_pause(remote));
        }
        return true;
}

static void pause_is_over(struct loop_timer *timer)
{
        struct remote *remote = container_of(timer, struct remote, timer);
        ferry_manager *manager = remote->manager;
        ferry_loop *loop = manager->loop;

        loop_enter(loop);
        enter(remote, REMOTE_GIVING);
        /* A session that is lost is waited for as long as it connects again. */
        if (remote->session && session_takes_requests(remote->session) && is_too_late(remote))
                give_up(remote);
        if (!manager->is_freed)
                pool_feed(manager);
        loop_leave(loop);
}

/* An answer shows that a worker is free. */
static void note_answer(struct remote *remote)
{
        remote->pause_ns = (int64_t)PAUSE_FIRST_MS * 1000000;
        remote->answers++;
        if ((!remote->was_refused || remote->answers >= ANSWERS_FOR_ROOM) && remote->room < remote->most) {
                remote->room++;
                remote->answers = 0;
        }
        enter(remote, REMOTE_GIVING);
}

static void remote_ends(void *object, ferry_call *call)
{
        struct remote *remote = object;
        ferry_manager *manager = remote->manager;

        remote->in_flight--;
        manager->away--;
        if (manager->is_freed)
                return;
        /* A worker may have worked on it until now. */
        if (ferry_call_outcome(call) != FERRY_OUTCOME_NOT_EXECUTED)
                remote->refused_since = 0;
        if (ferry_call_outcome(call) == FERRY_OUTCOME_REPLIED)
                note_answer(remote);
        pool_feed(manager);
}

static const struct call_owner call_owner = { .ended = remote_ends, .returned = remote_returns };

static bool give(ferry_manager *manager, ferry_call *call)
{
        list_for_each(&manager->remotes, link) {
                struct remote *remote = container_of(link, struct remote, link);

                if (remote->phase != REMOTE_GIVING || remote->in_flight >= remote->room || !remote->session ||
                    !session_takes_requests(remote->session))
                        continue;
                remote->in_flight++;
                manager->away++;
                call_start(call, remote->session, &call_owner, remote);
                return true;
        }
        return false;
}

/* Its life --------------------------------------------------------------------------------------------- */

static void feed(struct loop_task *task)
{
        ferry_manager *manager = container_of(task, struct remote, task)->manager;
        ferry_loop *loop = manager->loop;

        loop_enter(loop);
        pool_feed(manager);
        loop_leave(loop);
}

/* Not now: the session first sends what begins a connection. By the one before nothing was refused meanwhile. */
static void session_connected(void *object)
{
        struct remote *remote = object;

        remote->refused_since = 0;
        loop_task_start(remote->manager->loop, &remote->task);
}

static void session_ended(void *object)
{
        struct remote *remote = object;
        ferry_manager *manager = remote->manager;
        int code = remote->session ? ferry_session_status(remote->session) : 0;

        if (code < 0 && !manager->start_error.code)
                error_set(&manager->start_error, code, "%s", ferry_session_error(remote->session));
        enter(remote, REMOTE_ENDED);
        if (manager->serving == 0)
                pool_refuse(manager);
}

static void session_freed(void *object)
{
        struct remote *remote = object;

        remote->session = NULL;
        enter(remote, REMOTE_ENDED);
}

static const struct session_owner session_owner = { .connected = session_connected, .ended = session_ended, .freed = session_freed };

void remote_stop_all(ferry_manager *manager)
{
        list_for_each(&manager->remotes, link) {
                struct remote *remote = container_of(link, struct remote, link);

                finder_close(&remote->finder);
                ferry_session_close(remote->session);
        }
}

static void forget(ferry_loop *loop, ferry_session *session)
{
        if (session && loop_is_foreign(loop))
                session_free(session);
        else
                ferry_session_free(session);
}

static void destroy(struct remote *remote)
{
        ferry_loop *loop = remote->manager->loop;

        finder_deinit(&remote->finder);
        loop_task_stop(&remote->task);
        if (remote->session)
                session_set_owner(remote->session, NULL, NULL);
        forget(loop, remote->session);
        enter(remote, REMOTE_ENDED);
        list_remove(&remote->link);
        options_drop_session(remote->options);
        sys_free(remote);
}

void remote_free_all(ferry_manager *manager)
{
        while (!list_is_empty(&manager->remotes))
                destroy(container_of(manager->remotes.next, struct remote, link));
}

/* A program that connects whenever a session has ended would have more and more of them. */
static void destroy_ended(ferry_manager *manager)
{
        struct list *link = manager->remotes.next;

        while (link != &manager->remotes) {
                struct remote *remote = container_of(link, struct remote, link);

                link = link->next;
                if (remote->phase == REMOTE_ENDED && remote->in_flight == 0)
                        destroy(remote);
        }
}

/* 0, or a negative errno with a sentence. */
static int connect_to(ferry_manager *manager, const char *address, const ferry_remote_options *options, struct error *error)
{
        const char *subject = address ? address + strcspn(address, ":") : "";
        size_t size = strlen(subject);
        struct remote *remote;
        int code;

        if (ferry_address_scheme(address) != FERRY_SCHEME_NATS)
                return error_set(error, -EINVAL, "'%s' has no workers: write nats:SUBJECT", address ? address : "");
        remote = sys_alloc_zeroed(sizeof *remote + size);
        if (!remote)
                return error_set(error, -ENOMEM, "no memory for workers elsewhere");
        memcpy(remote->subject, subject + 1, size);
        remote->manager = manager;
        remote->timer.fn = pause_is_over;
        remote->task.fn = feed;
        remote->most = options->requests_max ? options->requests_max : REQUESTS_DEFAULT_MAX;
        remote->room = remote->most < REQUESTS_FIRST ? remote->most : REQUESTS_FIRST;
        remote->busy_ms = options->busy_timeout_ms ? options->busy_timeout_ms : BUSY_DEFAULT_MS;
        remote->pause_ns = (int64_t)PAUSE_FIRST_MS * 1000000;
        list_append(&manager->remotes, &remote->link);
        manager->give_away = give;
        code = options_keep_session(&remote->options, options->session ? options->session : manager->session_options, error);
        finder_init(&remote->finder, manager->loop, remote->options, remote->subject);
        remote->wait_ms = remote->options->wait_ms ? remote->options->wait_ms : WAIT_DEFAULT_MS;
        if (!code)
                remote->session = ferry_session_open(manager->loop, address, remote->options);
        if (!code && !remote->session)
                code = error_set(error, -ENOMEM, "no memory for a session with workers elsewhere");
        if (!code && (code = ferry_session_status(remote->session)) < 0)
                error_set(error, code, "%s", ferry_session_error(remote->session));
        if (code < 0) {
                destroy(remote);
                return code;
        }
        session_set_owner(remote->session, &session_owner, remote);
        tally(remote);
        return 0;
}

ferry_session *ferry_manager_session(const ferry_manager *manager, const ferry_session *previous)
{
        bool is_behind = !previous;

        if (!manager || loop_is_elsewhere(manager->loop))
                return NULL;
        list_for_each(&manager->remotes, link) {
                const struct remote *remote = container_of(link, struct remote, link);

                if (is_behind && remote->session)
                        return remote->session;
                is_behind = is_behind || remote->session == previous;
        }
        return NULL;
}

int ferry_manager_connect(ferry_manager *manager, const char *address, const ferry_remote_options *options)
{
        static const struct options_kind kind = {
                .name = "ferry_remote_options", .size = sizeof *options,
                .times = { { "busy_timeout_ms", offsetof(ferry_remote_options, busy_timeout_ms), false } },
        };
        ferry_remote_options given;
        struct error error = { 0 };
        ferry_loop *loop;
        int code;

        if (!manager)
                return -ENOMEM;
        loop = manager->loop;
        code = loop_refuse(loop);
        if (code)
                return code;
        loop_enter(loop);
        code = options_copy(&kind, &given, options, &error);
        if (!code && manager->options_error.code)
                code = error_set(&error, manager->options_error.code, "%s", error_text(&manager->options_error));
        if (!code && (manager->is_stopping || loop->is_ending))
                code = error_set(&error, -ECANCELED, "the children are being stopped");
        if (!code) {
                destroy_ended(manager);
                code = connect_to(manager, address, &given, &error);
        }
        if (code)
                error_replace(&loop->error, code, "%s", error_text(&error));
        else
                pool_feed(manager);
        error_deinit(&error);
        loop_leave(loop);
        return code;
}
