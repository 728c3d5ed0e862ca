/* ferry listen --publish: lines of stdin, TYPE BODY, become notifications. So that no client misses one, stdin is not read while a
 * client has more queued than UNREAD_MAX; clients that read nothing for --timeout meanwhile are disconnected.
 *
 *      WAITING: for --after-clients → READING ⇄ RESTING: while a client has too much → ENDING: until all is sent → OVER */
#include "listen.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        TYPE_MAX = 65535,
        UNREAD_MAX = 1 << 20,           /* bytes */
        LOOK_MS = 10,                   /* whether clients have read: there is no event for that */
        LISTED_MAX = 10,                /* lines that cannot be published */
};

enum phase { PUBLISH_WAITING, PUBLISH_READING, PUBLISH_RESTING, PUBLISH_ENDING, PUBLISH_OVER };

/* A client that has too much queued. */
struct slow {
        ferry_session *client;
        size_t least;                   /* bytes that were queued for it, since the rest began */
        int stalled_ms;                 /* in which they were not less */
};

static struct {
        ferry_loop *loop;
        ferry_service *service;
        const struct cli_options *options;
        enum phase phase;
        struct lines lines;
        long number;                    /* of the line */
        long bad;                       /* lines that were not published */
        ferry_session **subscribers;    /* clients that have subscribed, while they are awaited */
        size_t subscriber_count;
        bool is_due;                    /* all of them are there, but more subscriptions may be coming … */
        bool has_more;                  /* … and have come since the last round */
        struct slow *slow;              /* those of the last look */
        size_t slow_count;
        int status;
        void (*over)(void *userdata);
        void *userdata;
} publisher;

/* Lines --------------------------------------------------------------------------------------------------- */

__attribute__((__format__(__printf__, 1, 2)))
static void report_bad(const char *format, ...)
{
        char *reason = NULL;
        va_list arguments;

        publisher.status = EXIT_REFUSED;
        if (++publisher.bad > LISTED_MAX)
                return;
        va_start(arguments, format);
        if (vasprintf(&reason, format, arguments) < 0)
                reason = NULL;
        va_end(arguments);
        complain("line %ld of stdin was not published: %s", publisher.number, reason ? reason : "no memory");
        free(reason);
}

static const char *describe_sending(int error)
{
        return error == -ENOSPC ? "no further value can be retained" : error == -EMSGSIZE ? "it is too large" : strerror(-error);
}

static void publish(const char *type, const char *rest, size_t size)
{
        char reason[256] = "no memory";
        FERRY_AUTO(ferry_value) body = rest ? body_of_line(rest, size, publisher.options->is_value, reason, sizeof reason) :
                                              ferry_value_pack(NULL);
        int code;

        if (!body) {
                report_bad(publisher.options->is_value ? "BODY is not JSON: %s" : "%s", reason);
                return;
        }
        code = publisher.options->is_retaining ? ferry_service_retain_value(publisher.service, type, body) :
                                                 ferry_service_notify_value(publisher.service, type, body);
        if (code < 0)
                report_bad("%s", describe_sending(code));
}

static void publish_line(void)
{
        size_t size = 0, type_size;
        const char *line = lines_next(&publisher.lines, &size), *blank;
        char *type;

        publisher.number++;
        if (!line) {
                report_bad("it is longer than %zu bytes", publisher.lines.max);
                return;
        }
        blank = memchr(line, ' ', size);
        type_size = blank ? (size_t)(blank - line) : size;
        if (type_size == 0 || type_size > TYPE_MAX || memchr(line, '\0', type_size) || !is_utf8(line, type_size)) {
                report_bad("it has to begin with a TYPE: 1 to %d bytes of UTF-8", TYPE_MAX);
                return;
        }
        type = malloc(type_size + 1);
        if (type) {
                memcpy(type, line, type_size);
                type[type_size] = '\0';
                publish(type, blank ? blank + 1 : NULL, blank ? size - type_size - 1 : 0);
        } else
                report_bad("no memory");
        free(type);
}

/* Clients ------------------------------------------------------------------------------------------------- */

static size_t queued_for(const ferry_session *client)
{
        FERRY_AUTO(ferry_value) info = ferry_session_info(client);

        return (size_t)ferry_value_int(ferry_value_get(info, "queued"), 0);
}

static bool has_slow_client(size_t limit)
{
        for (ferry_session *client = NULL; (client = ferry_service_client(publisher.service, client));)
                if (queued_for(client) > limit)
                        return true;
        return false;
}

static void disconnect(struct slow *slow)
{
        if (ferry_session_status(slow->client) == 1)
                complain("a client (process %ld) has read nothing for %g s, and is disconnected",
                         (long)ferry_session_peer(slow->client).pid, publisher.options->timeout_ms / 1000.0);
        ferry_session_close(slow->client);
        slow->stalled_ms = 0;
}

/* Clients with more than @limit, and for how long they have read nothing. Those of the last look stand in the same order. False:
 * there is none. */
static bool look_at_clients(size_t limit)
{
        struct slow *before = publisher.slow, *end = before ? before + publisher.slow_count : NULL, *now = NULL;
        size_t count = 0, capacity = 0;

        for (ferry_session *client = NULL; (client = ferry_service_client(publisher.service, client));) {
                struct slow slow = { .client = client, .least = queued_for(client) }, *at = before;

                if (slow.least <= limit)
                        continue;
                while (at < end && at->client != client)
                        at++;
                if (at < end && at->least <= slow.least) {
                        slow.stalled_ms = at->stalled_ms + LOOK_MS;
                        slow.least = at->least;
                }
                before = at < end ? at + 1 : before;
                if (count == capacity) {
                        struct slow *grown = realloc(now, (capacity = 2 * capacity + 16) * sizeof *now);

                        /* Without memory the times begin anew. */
                        if (!grown)
                                break;
                        now = grown;
                }
                now[count++] = slow;
        }
        free(publisher.slow);
        publisher.slow = now;
        publisher.slow_count = count;
        for (size_t i = 0; i < count && publisher.options->timeout_ms >= 0; i++)
                if (now[i].stalled_ms >= publisher.options->timeout_ms)
                        disconnect(&now[i]);
        return has_slow_client(limit);
}

static int look(ferry_loop *loop, void *userdata);
static int read_input(ferry_loop *loop, void *userdata);

static void enter(enum phase phase)
{
        publisher.phase = phase;
        publisher.slow_count = 0;
        if (phase == PUBLISH_READING)
                ferry_loop_watch(publisher.loop, STDIN_FILENO, POLLIN, read_input, NULL);
        else if (phase == PUBLISH_RESTING || phase == PUBLISH_ENDING)
                look(publisher.loop, NULL);
        else if (phase == PUBLISH_OVER)
                publisher.over(publisher.userdata);
}

static int look(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        if (look_at_clients(publisher.phase == PUBLISH_ENDING ? 0 : UNREAD_MAX))
                ferry_loop_after(loop, LOOK_MS, look, NULL);
        else
                enter(publisher.phase == PUBLISH_ENDING ? PUBLISH_OVER : PUBLISH_READING);
        return 0;
}

/* Stdin --------------------------------------------------------------------------------------------------- */

static int read_input(ferry_loop *loop, void *userdata)
{
        int error = lines_read(&publisher.lines, STDIN_FILENO);

        (void)loop;
        (void)userdata;
        if (error) {
                complain("cannot read stdin: %s", strerror(-error));
                publisher.status = EXIT_CONNECTION;
                publisher.lines.is_over = true;
        }
        while (publisher.phase == PUBLISH_READING && lines_are_there(&publisher.lines))
                publish_line();
        if (publisher.phase != PUBLISH_READING)
                return 0;
        if (!publisher.lines.is_over && !has_slow_client(UNREAD_MAX))
                return 1;
        enter(publisher.lines.is_over ? PUBLISH_ENDING : PUBLISH_RESTING);
        return 0;
}

static bool has_all_clients(void)
{
        return publisher.subscriber_count == (size_t)publisher.options->after_clients;
}

/* Clients send their subscriptions together, of which a round of the loop handles some. */
static int begin_when_quiet(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        if (publisher.has_more)
                ferry_loop_after(loop, 0, begin_when_quiet, NULL);
        else
                publisher.is_due = false;
        if (!publisher.has_more && publisher.phase == PUBLISH_WAITING && has_all_clients())
                enter(PUBLISH_READING);
        publisher.has_more = false;
        return 0;
}

/* The clients that are awaited are counted as long as they are there. */
static int note_client(ferry_session *client, const ferry_message *message, void *userdata)
{
        size_t at = 0;

        (void)userdata;
        if (publisher.phase != PUBLISH_WAITING)
                return 0;
        while (at < publisher.subscriber_count && publisher.subscribers[at] != client)
                at++;
        if (ferry_message_kind(message) == FERRY_KIND_CLOSED && at < publisher.subscriber_count)
                publisher.subscribers[at] = publisher.subscribers[--publisher.subscriber_count];
        else if (ferry_message_kind(message) == FERRY_KIND_SUBSCRIBED && at == publisher.subscriber_count && !has_all_clients())
                publisher.subscribers[publisher.subscriber_count++] = client;
        publisher.has_more = true;
        if (has_all_clients() && !publisher.is_due) {
                publisher.is_due = true;
                ferry_loop_after(publisher.loop, 0, begin_when_quiet, NULL);
        }
        return 0;
}

bool publisher_begin(ferry_loop *loop, ferry_service *service, const struct cli_options *options, void (*over)(void *userdata),
                     void *userdata)
{
        publisher.loop = loop;
        publisher.service = service;
        publisher.options = options;
        publisher.over = over;
        publisher.userdata = userdata;
        publisher.lines = (struct lines){ .max = TYPE_MAX + 1 + body_max(options->is_value), .separator = '\n' };
        if (options->after_clients == 0) {
                enter(PUBLISH_READING);
                return true;
        }
        publisher.subscribers = calloc((size_t)options->after_clients, sizeof(ferry_session *));
        if (!publisher.subscribers) {
                complain("no memory for %ld clients", options->after_clients);
                return false;
        }
        ferry_service_on(service, FERRY_KIND_SUBSCRIBED | FERRY_KIND_CLOSED, note_client, NULL);
        return true;
}

void publisher_stop(void)
{
        publisher.phase = PUBLISH_OVER;
        ferry_loop_off(publisher.loop, read_input, NULL);
        ferry_loop_off(publisher.loop, look, NULL);
        ferry_loop_off(publisher.loop, begin_when_quiet, NULL);
}

int publisher_end(void)
{
        if (publisher.bad > LISTED_MAX)
                complain("%ld more lines of stdin were not published", publisher.bad - LISTED_MAX);
        lines_free(&publisher.lines);
        free(publisher.subscribers);
        free(publisher.slow);
        return publisher.status;
}
