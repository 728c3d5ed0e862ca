/* Answers of listen, and commands for notifications. An answer of --exec is what a command prints, which gets the body on its
 * stdin. So many commands run at a time; requests beyond that wait in their order. How many can wait is limited by the library: it
 * does not read from a peer whose unanswered requests fill its queue. Answers are larger than requests: no further one is begun for
 * a peer that does not read. */
#include "listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A message of innmind and pcntl is smaller than that of the other dialects. */
enum { SMALL_MESSAGE_MAX = 128 << 10 };

enum {
        UNREAD_MAX = 16 << 20,          /* bytes of answers that a peer has not read */
        LOOK_MS = 20,                   /* whether it has: there is no event for that */
        NOTIFIED_MAX = 16 << 20,        /* bytes of notifications that wait for a command */
        NOTIFIED_COST = 1024,           /* of each, besides its text */
};

struct answer {
        struct answer *next;
        ferry_message *request;
        struct command *command;        /* NULL: it waits */
        ferry_peer peer;
        ferry_value *input;             /* of a notification: its text; NULL: it is a request */
        bool is_ending;                 /* the command was asked to end */
        bool is_in_parts;               /* each line is a part */
};

struct answers {
        struct answer *first, **last;
        size_t count;
};

static struct {
        ferry_loop *loop;
        const struct cli_options *options;
        size_t workers;
        struct answers waiting, begun;
        size_t cancelled;               /* of those that wait, since they were last looked through */
        uintptr_t looks;                /* for peers that read; a session that does not has the number of the last one */
        bool is_looking;                /* the next look is planned */
        size_t notified;                /* notifications that wait or have begun … */
        size_t notified_bytes;          /* … and what those that wait take */
        long dropped;                   /* not reported yet */
        bool has_dropped;
        void (*watcher)(void *userdata);        /* NULL: none */
        void *watcher_userdata;
} answers;

void answers_init(ferry_loop *loop, const struct cli_options *options)
{
        answers.loop = loop;
        answers.options = options;
        answers.workers = (size_t)(options->workers > 0 ? options->workers : processors_available(""));
        answers.waiting.last = &answers.waiting.first;
        answers.begun.last = &answers.begun.first;
}

void answers_watch(void (*fn)(void *userdata), void *userdata)
{
        answers.watcher = fn;
        answers.watcher_userdata = userdata;
}

static void tell_watcher(void)
{
        if (answers.watcher)
                answers.watcher(answers.watcher_userdata);
}

static void append(struct answers *list, struct answer *answer)
{
        answer->next = NULL;
        *list->last = answer;
        list->last = &answer->next;
        list->count++;
}

static struct answer *take(struct answers *list, struct answer **link)
{
        struct answer *answer = *link;

        *link = answer->next;
        if (!*link)
                list->last = link;
        list->count--;
        return answer;
}

static void answer_free(struct answer *answer)
{
        answers.notified -= answer->input != NULL;
        ferry_value_unref(answer->input);
        ferry_message_unref(answer->request);
        free(answer);
}

static bool is_wanted(const struct answer *answer)
{
        return answer->input || ferry_message_is_wanted(answer->request);
}

static size_t cost_of(const struct answer *answer)
{
        size_t size = 0;

        ferry_value_bytes(answer->input, &size);
        return size + NOTIFIED_COST;
}

/* Sending ------------------------------------------------------------------------------------------------- */

/* The answer is no longer expected: the peer has cancelled the request or has gone. The end of a session is reported once,
 * not with each of its answers. */
static bool is_unwanted(int error)
{
        return error == -ECANCELED || error == -EALREADY || error == -ECONNRESET || error == -ENOTCONN;
}

static const char *describe_sending(int error)
{
        return error == -EMSGSIZE ? "it is larger than a message may be" : error == -EINVAL ?
                                    "it cannot be a message in this dialect" : strerror(-error);
}

int answer_with(const ferry_message *request, const char *type, const ferry_value *body)
{
        int error = ferry_message_reply_value(request, type, body), second;

        if (error == 0 || is_unwanted(error))
                return 1;
        complain("cannot send the answer to a request of type '%s': %s", ferry_message_type(request),
                 describe_sending(error));
        second = ferry_message_fail(request, "cannot send the answer: %s", describe_sending(error));
        /* Letting it go ends it, or its session. */
        return second && !is_unwanted(second) ? second : 1;
}

__attribute__((__format__(__printf__, 2, 3)))
static void answer_by_error(const ferry_message *request, const char *format, ...)
{
        char *text = NULL;
        va_list arguments;
        int error = -ENOMEM;

        va_start(arguments, format);
        if (vasprintf(&text, format, arguments) >= 0)
                error = ferry_message_fail(request, "%s", text);
        else
                text = NULL;
        va_end(arguments);
        free(text);
        if (error && !is_unwanted(error))
                complain("cannot send the error for a request of type '%s': %s", ferry_message_type(request),
                         describe_sending(error));
}

/* Commands ------------------------------------------------------------------------------------------------ */

static void start_waiting(void);

/* NULL: it is no JSON, for the reason in @reason, or memory is out. */
static ferry_value *read_output(const char *bytes, size_t size, char *reason, size_t reason_size)
{
        ferry_value *value = NULL;
        ferry_builder *builder;

        if (answers.options->is_value)
                return body_of_line(bytes, size, true, reason, reason_size);
        builder = ferry_builder_new();
        ferry_builder_add_bytes(builder, FERRY_VALUE_STRING, NULL, bytes, size);
        ferry_builder_finish(builder, &value);
        return value;
}

static void answer_by_output_error(const ferry_message *request, const char *what, const char *reason)
{
        if (answers.options->is_value)
                answer_by_error(request, "%s of the command is not JSON: %s", what, reason);
        else
                answer_by_error(request, "no memory for the output of the command");
}

static void end_command(struct answer *answer)
{
        if (!answer->is_ending)
                command_end(answer->command);
        answer->is_ending = true;
}

/* The command ends in a round of its own, because it is reading its output now. */
static int end_unwanted(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (void)userdata;
        answers_end_unwanted(false);
        return 0;
}

/* A line is a part of the answer. False: the peer takes none now. */
static bool send_line(const char *line, size_t size, void *userdata)
{
        struct answer *answer = userdata;
        char reason[256] = "";
        ferry_value *body;
        int error;

        if (!ferry_message_is_wanted(answer->request))
                return true;
        body = read_output(line, size, reason, sizeof reason);
        error = body ? ferry_message_progress_value(answer->request, body) : 0;
        if (!body)
                answer_by_output_error(answer->request, "a line", reason);
        else if (error && error != -ENOBUFS && !is_unwanted(error))
                answer_by_error(answer->request, "cannot send a line of the command: %s", describe_sending(error));
        ferry_value_unref(body);
        if (!ferry_message_is_wanted(answer->request))
                ferry_loop_after(answers.loop, 0, end_unwanted, NULL);
        return error != -ENOBUFS;
}

static void reply(const struct answer *answer, const struct command_result *result)
{
        char reason[256] = "";
        ferry_value *body;
        bool is_text;

        if (result->reason) {
                answer_by_error(answer->request, "the command %s", result->reason);
                return;
        }
        if (answer->is_in_parts) {
                body = ferry_value_pack(NULL);
                answer_with(answer->request, NULL, body);
                ferry_value_unref(body);
                return;
        }
        body = read_output(result->output ? result->output : "", result->size, reason, sizeof reason);
        is_text = ferry_value_kind(body) == FERRY_VALUE_STRING;
        if (body)
                answer_with(answer->request, is_text && speaks(ferry_message_session(answer->request), "stream-ipc") ?
                                                     FERRY_LOG_MESSAGE : NULL, body);
        else
                answer_by_output_error(answer->request, "the output", reason);
        ferry_value_unref(body);
}

static void report_notified(const struct answer *answer, const struct command_result *result)
{
        if (result->size > 0)
                print_passed(result->output, result->size);
        if (result->reason && !answer->is_ending)
                complain("the command for a notification of type '%s' %s", ferry_message_type(answer->request), result->reason);
}

static void command_is_over(struct command *command, const struct command_result *result, void *userdata)
{
        struct answer *answer = userdata;

        (void)command;
        for (struct answer **link = &answers.begun.first; *link; link = &(*link)->next)
                if (*link == answer) {
                        take(&answers.begun, link);
                        break;
                }
        tell_watcher();
        if (answer->input)
                report_notified(answer, result);
        else if (ferry_message_is_wanted(answer->request))
                reply(answer, result);
        answer_free(answer);
        start_waiting();
}

static size_t output_max(const ferry_message *request)
{
        const ferry_session *session = ferry_message_session(request);

        return speaks(session, "innmind") || speaks(session, "pcntl") ? SMALL_MESSAGE_MAX : body_max(false);
}

/* Whether it has begun. */
static bool start(struct answer *answer, struct command_failure *ret_failure)
{
        FERRY_AUTO(ferry_value) input = answer->input ? ferry_value_ref(answer->input) : body_text(answer->request);
        struct command_spec spec = {
                .line = answer->input ? answers.options->notify_exec : answers.options->exec,
                .type = ferry_message_type(answer->request), .kind = kind_name(ferry_message_kind(answer->request)), .peer = answer->peer,
                .input = input, .timeout_ms = answers.options->has_timeout ? answers.options->timeout_ms : -1,
                .output_max = answer->input ? body_max(false) : output_max(answer->request), .over = command_is_over,
                .exited = start_waiting, .userdata = answer,
        };

        *ret_failure = (struct command_failure){ .error = -ENOMEM };
        /* A peer that knows no parts gets all at the end. */
        answer->is_in_parts = answers.options->is_streaming && !answer->input &&
                              ferry_message_flush(answer->request, 0) != -EOPNOTSUPP;
        if (answer->is_in_parts)
                spec.line_fn = send_line;
        if (input)
                answer->command = command_start(answers.loop, &spec, ret_failure);
        return answer->command;
}

static void answer_by_failure(const struct answer *answer, const struct command_failure *failure)
{
        bool is_gone = failure->is_guard && failure->error == -EPIPE;
        const char *what = failure->is_guard ? "the guard, which ends commands with their listener" : "the command";
        const char *reason = is_gone ? "it has ended at once" : strerror(-failure->error);
        const char *advice = failure->error == -EMFILE ? "; the limit is raised by `ulimit -n`, or use fewer --workers" :
                             failure->error == -EAGAIN ? "; the limit is raised by `ulimit -u`, or use fewer --workers" : "";

        if (answer->input)
                complain("a notification of type '%s': cannot start %s: %s%s", ferry_message_type(answer->request), what, reason, advice);
        else
                answer_by_error(answer->request, "cannot start %s: %s%s", what, reason, advice);
}

/* The others only drain. */
static size_t count_running(void)
{
        size_t count = 0;

        for (const struct answer *answer = answers.begun.first; answer; answer = answer->next)
                count += command_is_running(answer->command);
        return count;
}

/* What is missing when a command cannot be started comes back when another one ends. */
static bool may_help_to_wait(int error)
{
        return error == -EMFILE || error == -ENFILE || error == -EAGAIN || error == -ENOMEM;
}

static bool reads(ferry_session *session)
{
        FERRY_AUTO(ferry_value) info = NULL;
        bool is_reading;

        if ((uintptr_t)ferry_session_userdata(session) == answers.looks)
                return false;
        info = ferry_session_info(session);
        is_reading = ferry_value_int(ferry_value_get(info, "queued"), 0) <= UNREAD_MAX;
        if (!is_reading)
                ferry_session_set_userdata(session, (void *)answers.looks);
        return is_reading;
}

/* The first that waits for nothing but a free place; NULL: there is none now. */
static struct answer **find_next(void)
{
        struct answer **link = &answers.waiting.first;

        answers.looks++;
        while (*link && !(*link)->input && is_wanted(*link) && !reads(ferry_message_session((*link)->request)))
                link = &(*link)->next;
        return *link ? link : NULL;
}

static int look_again(ferry_loop *loop, void *userdata)
{
        (void)loop;
        (void)userdata;
        answers.is_looking = false;
        start_waiting();
        return 0;
}

static void report_dropped(void)
{
        if (answers.dropped > 0)
                complain("%ld notification%s dropped: the commands of --notify-exec are too slow", answers.dropped,
                         answers.dropped == 1 ? " was" : "s were");
        answers.dropped = 0;
}

static void forget_bytes(const struct answer *answer)
{
        answers.notified_bytes -= cost_of(answer);
        if (answers.notified_bytes == 0)
                report_dropped();
}

static void start_waiting(void)
{
        struct answer **link;

        while (answers.waiting.first && count_running() < answers.workers && (link = find_next())) {
                struct answer *answer = *link;
                struct command_failure failure = { 0 };

                if (is_wanted(answer) && !start(answer, &failure) && may_help_to_wait(failure.error) &&
                    answers.begun.first)
                        return;
                take(&answers.waiting, link);
                if (answer->input)
                        forget_bytes(answer);
                if (answer->command) {
                        append(&answers.begun, answer);
                        continue;
                }
                if (failure.error)
                        answer_by_failure(answer, &failure);
                answer_free(answer);
        }
        if (answers.waiting.first && count_running() < answers.workers && !answers.is_looking) {
                answers.is_looking = true;
                ferry_loop_after(answers.loop, LOOK_MS, look_again, NULL);
        }
}

static struct answer *new_answer(const ferry_message *message)
{
        struct answer *answer = calloc(1, sizeof *answer);

        if (!answer)
                return NULL;
        answer->request = ferry_message_ref(message);
        answer->peer = ferry_session_peer(ferry_message_session(message));
        return answer;
}

/* Nothing waits for a notification, and its client may have gone: so there is no peer that could be kept waiting. */
static void drop(void)
{
        if (!answers.has_dropped)
                complain("the commands of --notify-exec are too slow: notifications that do not fit into the %d bytes that wait are dropped",
                         NOTIFIED_MAX);
        answers.has_dropped = true;
        answers.dropped++;
}

int answer_notification(const ferry_message *notification)
{
        struct answer *answer = new_answer(notification);

        if (answer)
                answer->input = body_text(notification);
        if (!answer || !answer->input) {
                complain("a notification of type '%s': no memory for its command", ferry_message_type(notification));
                answers.has_dropped = true;
                if (answer)
                        answer_free(answer);
                return 0;
        }
        answers.notified++;
        if (answers.notified_bytes > 0 && answers.notified_bytes + cost_of(answer) > NOTIFIED_MAX) {
                answer_free(answer);
                drop();
                return 0;
        }
        answers.notified_bytes += cost_of(answer);
        append(&answers.waiting, answer);
        start_waiting();
        tell_watcher();
        return 0;
}

size_t answers_notified(void)
{
        return answers.notified;
}

bool answers_have_dropped(void)
{
        report_dropped();
        return answers.has_dropped;
}

int answer_by_command(const ferry_message *request)
{
        struct answer *answer = new_answer(request);

        if (!answer)
                return -ENOMEM;
        append(&answers.waiting, answer);
        start_waiting();
        tell_watcher();
        return 1;
}

size_t answers_due(void)
{
        return answers.waiting.count + answers.begun.count;
}

void answers_go_on(void)
{
        struct answer *next;

        for (struct answer *answer = answers.begun.first; answer; answer = next) {
                next = answer->next;
                command_go_on(answer->command);
        }
}

static void forget_waiting(void)
{
        answers.cancelled = 0;
        for (struct answer **link = &answers.waiting.first; *link;)
                if (is_wanted(*link))
                        link = &(*link)->next;
                else
                        answer_free(take(&answers.waiting, link));
        tell_watcher();
}

/* Looking through those that wait must not cost more than they have cost already. */
void answers_end_unwanted(bool is_session)
{
        for (struct answer *answer = answers.begun.first; answer; answer = answer->next)
                if (!is_wanted(answer))
                        end_command(answer);
        if (is_session || ++answers.cancelled > answers.waiting.count / 2)
                forget_waiting();
}

void answers_abandon(void)
{
        while (answers.waiting.first) {
                struct answer *answer = take(&answers.waiting, &answers.waiting.first);

                if (answer->input)
                        forget_bytes(answer);
                else
                        answer_by_error(answer->request, "the listener has ended before it could answer");
                answer_free(answer);
        }
        for (struct answer *answer = answers.begun.first; answer; answer = answer->next) {
                if (!answer->input && ferry_message_is_wanted(answer->request))
                        answer_by_error(answer->request, "the listener has ended before the command was done");
                end_command(answer);
        }
}
