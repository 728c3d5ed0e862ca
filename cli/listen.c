/* ferry listen: serve an address, or one session; print what comes, and answer requests as the options say. */
#include "listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SERVES --> DRAINS: nothing more is taken, requests in hand are answered --> FLUSHES: stdout takes what waits for it.
 * Each may be left out. */
enum phase { SERVES, DRAINS, FLUSHES };

enum {
        FLUSH_MS = 1000,                /* for stdout, where a signal has asked us to end */
        PUBLISHED_MAX = 64 << 20,       /* bytes that wait for a client: some lines of any size */
        RETAINED_MAX = 64 << 20,
};

struct listener {
        const struct cli_options *options;
        ferry_loop *loop;
        ferry_service *service;         /* one of both */
        ferry_session *session;
        ferry_value *reply;
        bool is_on_stdout;              /* the conversation */
        long left;                      /* of --count; 0: no end */
        enum phase phase;
        bool is_late;                   /* requests were given up after --drain */
        bool is_output_closed;
        bool is_pool;                   /* requests beyond --workers are refused, for other listeners at the subject */
        bool is_away;                   /* all places are taken, so none should come */
        bool is_handing;                /* to a successor, which takes the place of this process */
        char *shown;                    /* the last error that was shown; NULL: none */
};

static int drain_is_over(ferry_loop *loop, void *userdata)
{
        struct listener *listener = userdata;
        size_t notified = answers_notified(), due = answers_due() - notified;

        (void)loop;
        if (due + notified == 0)
                return 0;
        listener->is_late = true;
        if (notified > 0)
                complain("%zu command%s of --notify-exec %s not done within %g s", notified, notified == 1 ? "" : "s",
                         notified == 1 ? "was" : "were", listener->options->drain_ms / 1000.0);
        if (due > 0)
                complain("%zu request%s in hand %s not answered within %g s", due, due == 1 ? "" : "s", due == 1 ? "was" : "were",
                         listener->options->drain_ms / 1000.0);
        answers_abandon();
        return 0;
}

/* Take nothing more. A service lets the requests in hand be answered before it closes its clients. */
static void stop(struct listener *listener)
{
        if (listener->phase != SERVES)
                return;
        listener->phase = DRAINS;
        supervisor_report_stopping("answering the requests in hand");
        publisher_stop();
        ferry_service_close(listener->service);
        if (listener->options->drain_ms >= 0)
                ferry_loop_after(listener->loop, listener->options->drain_ms, drain_is_over, listener);
}

static void stop_after_publishing(void *userdata)
{
        stop(userdata);
}

static void show(struct listener *listener, const ferry_message *message)
{
        if (listener->options->is_quiet)
                return;
        if (listener->is_on_stdout) {
                if (listener->options->is_verbose)
                        print_aside(message, listener->options);
        } else if (!listener->is_output_closed && !print_body(message, listener->options, true, 0)) {
                listener->is_output_closed = true;
                stop(listener);
        }
}

static int answer(struct listener *listener, ferry_session *client, const ferry_message *request)
{
        const struct cli_options *options = listener->options;
        const char *type = NULL;

        if (options->is_echo)
                return answer_with(request, NULL, ferry_message_body(request));
        if (options->exec)
                return answer_by_command(request);
        /* Without a request that needs an answer, nothing is said. */
        if (!listener->reply && ferry_message_kind(request) == FERRY_KIND_MESSAGE)
                return 0;
        if (!listener->reply)
                return ferry_message_fail(request, "this listener only listens: it was started without --echo,"
                                                   " --reply or --exec");
        if (ferry_value_kind(listener->reply) == FERRY_VALUE_STRING && speaks(client, "stream-ipc"))
                type = FERRY_LOG_MESSAGE;
        return answer_with(request, type, listener->reply);
}

/* In innmind each message can be answered, and none has to be. */
static bool is_for_command(const struct listener *listener, const ferry_message *message)
{
        const struct cli_options *options = listener->options;
        unsigned kind = ferry_message_kind(message);

        return options->notify_exec && (kind & FERRY_KIND_NOTIFICATION) &&
               !((kind & FERRY_KIND_REQUEST) && (options->is_echo || options->exec || listener->reply));
}

static bool has_place(const struct listener *listener)
{
        return answers_due() < (size_t)listener->options->workers;
}

static void adapt_listening(void *userdata)
{
        struct listener *listener = userdata;

        if (listener->phase != SERVES || listener->is_away != has_place(listener))
                return;
        listener->is_away = !listener->is_away;
        ferry_session_set_listening(listener->session, !listener->is_away);
}

static int take(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct listener *listener = userdata;
        int result = 0;

        if (listener->phase != SERVES)
                return ferry_message_kind(message) & FERRY_KIND_REQUEST ?
                               ferry_message_refuse(message, "the listener is about to end") : 0;
        if (listener->is_pool && (ferry_message_kind(message) & FERRY_KIND_REQUEST) && !has_place(listener))
                return ferry_message_refuse(message, "all places of this listener are taken (--workers %ld)", listener->options->workers);
        show(listener, message);
        if (is_for_command(listener, message))
                result = answer_notification(message);
        else if (ferry_message_kind(message) & FERRY_KIND_REQUEST)
                result = answer(listener, client, message);
        if (listener->left > 0 && --listener->left == 0)
                stop(listener);
        return result;
}

/* Why a client of the service was lost. The reason of a single session is reported at the end. */
static void report_client(const ferry_session *client)
{
        ferry_peer peer = ferry_session_peer(client);

        if (ferry_session_status(client) >= 0 || !print_admits_error())
                return;
        if (peer.pid > 0)
                inform("the session of process %ld (user %u) has failed: %s", (long)peer.pid, (unsigned)peer.uid,
                       ferry_session_error(client));
        else
                inform("the session of a client at %s has failed: %s", ferry_session_address(client),
                       ferry_session_error(client));
}

static int show_aside(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct listener *listener = userdata;
        enum ferry_kind kind = ferry_message_kind(message);

        if (kind == FERRY_KIND_CLOSED && listener->service && listener->options->is_verbose)
                report_client(client);
        if (kind == FERRY_KIND_DRAINED)
                answers_go_on();
        else if (kind & (FERRY_KIND_CANCELLED | FERRY_KIND_CLOSED))
                answers_end_unwanted(kind == FERRY_KIND_CLOSED);
        else if (print_aside(message, listener->options) && kind == FERRY_KIND_ERROR) {
                free(listener->shown);
                listener->shown = strdup(ferry_message_text(message));
        }
        return 0;
}

static void report_ready(struct listener *listener)
{
        const char *address = listener->service ? ferry_service_address(listener->service) : ferry_session_address(listener->session);

        if (listener->options->is_verbose)
                inform("listening at %s", address);
        supervisor_report_ready(listener->loop, address, listener->options->is_taking_over);
}

/* The server has taken the login, and the subscription with it. */
static int show_opened(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        report_ready(userdata);
        return 0;
}

/* A server has gone, or there is one again: meanwhile nothing comes. */
static int show_connection(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)userdata;
        if (ferry_message_kind(message) == FERRY_KIND_LOST)
                inform("lost the server of '%s', and connecting again: %s", ferry_session_address(session),
                       ferry_message_text(message));
        else
                inform("connected to a server of '%s' again", ferry_session_address(session));
        return 0;
}

/* Another process takes over. The requests in hand are answered; what was connected before goes there by itself. */
static int hand_over(ferry_session *successor, const ferry_message *message, void *userdata)
{
        struct listener *listener = userdata;
        int error;

        (void)message;
        /* Lines of stdin are for this process. */
        if (listener->phase != SERVES)
                return 0;
        if (listener->options->is_publishing) {
                complain("process %ld may not take over: it would not get the lines of stdin that this process has read, and those to come;"
                         " end this process by its stdin, then start the successor",
                         (long)ferry_session_peer(successor).pid);
                return 0;
        }
        error = ferry_service_hand_over(listener->service, successor);
        if (error)
                complain("cannot hand over to process %ld: %s", (long)ferry_session_peer(successor).pid, strerror(-error));
        listener->is_handing = !error;
        if (!error && listener->options->is_verbose)
                inform("handing over to process %ld", (long)ferry_session_peer(successor).pid);
        return 1;
}

static int give_up_output(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (void)userdata;
        backlog_close();
        return 0;
}

static int interrupt(ferry_loop *loop, void *userdata)
{
        struct listener *listener = userdata;

        stop(listener);
        if (listener->phase == FLUSHES)
                ferry_loop_after(loop, FLUSH_MS, give_up_output, listener);
        return 0;
}

static const unsigned messages = FERRY_KIND_MESSAGE;
static const unsigned asides = FERRY_KIND_JUNK | FERRY_KIND_ERROR | FERRY_KIND_CANCELLED | FERRY_KIND_CLOSED |
                               FERRY_KIND_DRAINED;

static int status_of(const struct listener *listener)
{
        return listener->service ? ferry_service_status(listener->service) : ferry_session_status(listener->session);
}

/* Whether there is something to wait for: to be served, or to be finished. */
static bool is_busy(const struct listener *listener)
{
        if (listener->phase == SERVES)
                return status_of(listener) == 1 || (listener->is_handing && ferry_service_client(listener->service, NULL));
        return answers_due() > 0 || (listener->service && ferry_service_client(listener->service, NULL));
}

/* Returns 0, or the negative errno of a loop that failed. */
static int run_until_over(struct listener *listener)
{
        int error = 0;

        while (error >= 0 && is_busy(listener))
                error = ferry_loop_tick(listener->loop, -1);
        if (error < 0 && status_of(listener) >= 0) {
                complain("%s", ferry_loop_error(listener->loop));
                answers_abandon();
        } else
                error = 0;
        if (listener->session)
                ferry_session_close(listener->session);
        ferry_loop_off(listener->loop, drain_is_over, listener);
        publisher_stop();
        listener->phase = FLUSHES;
        if (signals_received())
                ferry_loop_after(listener->loop, FLUSH_MS, give_up_output, listener);
        while (backlog_size() > 0 && ferry_loop_tick(listener->loop, -1) >= 0)
                ;
        ferry_loop_off(listener->loop, give_up_output, listener);
        backlog_close();
        signals_unwatch(listener->loop);
        guard_unwatch();
        supervisor_end(listener->loop);
        ferry_loop_run(listener->loop, -1);
        return error;
}

/* The NAME of listen-fd:NAME; NULL: another address. */
static const char *given_name(const char *address)
{
        return strncmp(address, "listen-fd:", strlen("listen-fd:")) == 0 ? address + strlen("listen-fd:") : NULL;
}

/* By a service; else there is one session. */
static bool is_served(const char *address)
{
        int scheme = ferry_address_scheme(address);

        return scheme == FERRY_SCHEME_NAME || scheme == FERRY_SCHEME_UNIX || scheme == FERRY_SCHEME_TCP || given_name(address);
}

static int serve(struct listener *listener, const char *address)
{
        ferry_session_options session = session_options(listener->options);
        ferry_service_options service = {
                .dialects = listener->options->dialects, .is_public = listener->options->is_public,
                /* Requests in hand are waited for here. */
                .close_timeout_ms = -1,
                .is_taking_over = listener->options->is_taking_over,
        };
        bool is_session = !is_served(address);
        int fds[SUPERVISOR_SOCKETS_MAX + 1];
        const char *reason;
        int error, failure = 0, described = 0, published;

        /* Also behind the end of the input. */
        session.answer_timeout_ms = listener->options->drain_ms > 0 ? listener->options->drain_ms : -1;
        if (listener->options->is_publishing) {
                service.dialects = FERRY_DIALECT_FERRY;
                service.retained_max = RETAINED_MAX;
                /* The publisher sees to it that clients have little queued. */
                service.bytes_max = PTRDIFF_MAX;
                session.queue_max = PUBLISHED_MAX;
        }
        access_set(&service, listener->options);
        if (given_name(address)) {
                error = supervisor_take_sockets(given_name(address), fds);
                if (error)
                        return error;
                service.fds = fds;
                service.mode = 0;
        }
        supervisor_begin();
        /* Its servers may come and go. */
        session.is_listening = ferry_address_scheme(address) == FERRY_SCHEME_NATS;
        session.reconnect_ms = session.is_listening ? -1 : 0;
        listener->loop = ferry_loop_new(&(ferry_loop_options){ .session = &session });
        answers_init(listener->loop, listener->options);
        listener->is_pool = session.is_listening && listener->options->exec && listener->options->workers > 0;
        if (listener->is_pool)
                answers_watch(adapt_listening, listener);
        backlog_init(listener->loop);
        output_divert(backlog_add);
        error_limit_wait(0);
        signals_watch(listener->loop, 1, interrupt, listener);
        if (is_session) {
                listener->session = ferry_session_open(listener->loop, address, NULL);
                ferry_session_on(listener->session, messages, take, listener);
                ferry_session_on(listener->session, asides, show_aside, listener);
                ferry_session_on(listener->session, FERRY_KIND_LOST | FERRY_KIND_RESUMED, show_connection, listener);
        } else {
                listener->service = ferry_service_open(listener->loop, given_name(address) ? NULL : address, &service);
                ferry_service_on(listener->service, messages, take, listener);
                ferry_service_on(listener->service, asides, show_aside, listener);
                /* A signal has come while another service was asked to hand over. */
                if (listener->phase != SERVES)
                        ferry_service_close(listener->service);
                described = describe_service(listener->service, listener->options);
                ferry_service_on(listener->service, FERRY_KIND_SUCCESSOR, hand_over, listener);
        }
        if (!described && status_of(listener) == 1) {
                if (session.is_listening)
                        ferry_session_on(listener->session, FERRY_KIND_OPENED, show_opened, listener);
                else
                        report_ready(listener);
                if (listener->options->is_publishing &&
                    !publisher_begin(listener->loop, listener->service, listener->options, stop_after_publishing, listener))
                        stop(listener);
                failure = run_until_over(listener);
        }
        error = status_of(listener);
        if (error < 0) {
                reason = is_session ? ferry_session_error(listener->session) : ferry_service_error(listener->service);
                if (!listener->shown || strcmp(listener->shown, reason) != 0)
                        complain("%s", reason);
        }
        free(listener->shown);
        ferry_loop_free(listener->loop);
        guard_close();
        published = publisher_end();
        if (described)
                return described;
        if (listener->is_late || error == -ETIMEDOUT)
                return EXIT_TIMEOUT;
        if (answers_have_dropped() || failure || backlog_has_dropped())
                return EXIT_CONNECTION;
        return error < 0 && !signals_received() ? EXIT_CONNECTION : published;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        struct listener listener = { .options = options, .left = options->count };
        int status;

        (void)count;
        if (options->is_echo + (options->reply != NULL) + (options->exec != NULL) > 1) {
                complain("--echo, --reply and --exec exclude each other");
                return EXIT_USAGE;
        }
        status = given_name(arguments[0]) ? 0 : is_served(arguments[0]) ? check_address(arguments[0]) : check_session(arguments[0], options);
        if (!status)
                status = access_check(arguments[0], options);
        if (status)
                return status;
        if (options->reply) {
                listener.reply = body_read(options->reply, options->is_value, &status);
                if (!listener.reply)
                        return status;
        }
        listener.is_on_stdout = ferry_address_scheme(arguments[0]) == FERRY_SCHEME_STDIO;
        status = serve(&listener, arguments[0]);
        ferry_value_unref(listener.reply);
        return status;
}

const struct cli_command command_listen = {
        .name = "listen",
        .arguments = "ADDRESS",
        .summary = "print each message, answer requests",
        .options = (const char *const[]){ "echo", "reply", "exec", "stream", "notify-exec", "workers", "drain", "count", "public", "mode", "group",
                                          "allow",
                                          "dialect", "codec", "namespace", "json", "value", "quiet", "verbose", "shm", "no-shm",
                                          "take-over", "publish", "retain", "after-clients", "describe", "timeout", "remote-ferry", NULL },
        .least = 1,
        .most = 1,
        .run = run,
};
