/* ferry call --each: a request for each line of stdin, over one session, and their replies on stdout. Invariants: each line that was
 * taken ends once, as answered or with a reason, and is sent again only if it was not executed; requests in flight, and replies that
 * wait to be printed, are bounded in number and bytes; no line is sent while stdout takes no more, and stdin is read as lines are
 * sent.
 *
 *      SENDING ----> ENDING            the session has ended, or a signal has come: what was in flight is reported
 *         |            |
 *         +----------> DROPPING        stdout takes no more: nothing is reported or printed any more
 */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        IN_FLIGHT_DEFAULT = 32,
        HELD_MAX = 1000,                /* replies that wait for those before them */
        BYTES_MAX = 16 << 20,           /* of requests in flight and of those replies; beyond these no further line is sent */
        OUT_SIZE = 64 << 10,
        REPORT_MS = 100,                /* so long a failure waits for others of the same kind */
        PARTS_MAX = 16 << 20,           /* bytes of the parts of a reply, as of a message */
        PAUSE_MS = 20,                  /* before what was not executed is sent again */
};

enum phase { SENDING, ENDING, DROPPING };

struct each;

/* A line that was taken, until its reply is printed. */
struct entry {
        struct entry *next;             /* among those that are printed in this order */
        struct entry *next_unsent;
        struct timespec began;          /* when it was sent first */
        bool is_listed;
        struct each *each;
        long number;
        size_t size;                    /* of its text, then of its reply */
        ferry_value *body;              /* NULL once it is over */
        ferry_value *reply;             /* as it is printed, with its parts; NULL: none */
        char *parts;                    /* those that have come; NULL: none */
        size_t parts_size, parts_room;
        bool is_over;
};

struct each {
        const struct cli_options *options;
        struct peer *peer;
        enum phase phase;
        struct lines lines;
        long in_flight_max;
        long taken, in_flight, listed;
        size_t bytes;
        long failed;
        int input_error;
        struct entry *first, **last;    /* ordered: all; else those that are over */
        struct entry *unsent, *last_unsent;     /* by number: those that found no room in the queue, or are sent again */
        long unsent_count;
        bool is_full;                   /* the queue */
        bool is_pausing;
        size_t printed;                 /* of the first one: so much was written */
        bool is_reading, is_writing;    /* stdin and stdout are watched */
        bool is_terminal;
        long fault_first, fault_last;   /* lines in a row that have failed for one reason, which is not reported yet */
        char *fault;                    /* NULL: there is none */
        size_t out_begin, out_end;
        char out[OUT_SIZE];             /* what is written together */
};

/* The only place where the phase changes. */
static void enter(struct each *each, enum phase phase)
{
        if (phase > each->phase)
                each->phase = phase;
}

/* Failures ------------------------------------------------------------------------------------------------- */

static int report_later(ferry_loop *loop, void *userdata);

static void report_fault(struct each *each)
{
        if (!each->fault)
                return;
        ferry_loop_off(each->peer->loop, report_later, each);
        if (each->fault_first == each->fault_last)
                complain("line %ld: %s", each->fault_first, each->fault);
        else
                complain("lines %ld to %ld: %s", each->fault_first, each->fault_last, each->fault);
        free(each->fault);
        each->fault = NULL;
}

static int report_later(ferry_loop *loop, void *userdata)
{
        (void)loop;
        report_fault(userdata);
        return 0;
}

static void add_fault(struct each *each, long number, const char *outcome, const char *reason)
{
        char *text;

        if (asprintf(&text, "%s%s", outcome, reason) < 0) {
                report_fault(each);
                complain("line %ld: %s%s", number, outcome, reason);
                return;
        }
        if (each->fault && number == each->fault_last + 1 && strcmp(text, each->fault) == 0) {
                each->fault_last = number;
                free(text);
                return;
        }
        report_fault(each);
        each->fault = text;
        each->fault_first = each->fault_last = number;
        ferry_loop_after(each->peer->loop, REPORT_MS, report_later, each);
}

/* Entries -------------------------------------------------------------------------------------------------- */

static void free_entry(struct entry *entry)
{
        if (!entry)
                return;
        ferry_value_unref(entry->body);
        ferry_value_unref(entry->reply);
        free(entry->parts);
        free(entry);
}

static void append(struct entry *entry)
{
        struct each *each = entry->each;

        *each->last = entry;
        each->last = &entry->next;
        each->listed++;
        entry->is_listed = true;
}

static void take_out_first(struct each *each)
{
        struct entry *entry = each->first;

        each->first = entry->next;
        if (!each->first)
                each->last = &each->first;
        each->listed--;
        each->bytes -= entry->size;
        free_entry(entry);
}

static void end_entry(struct entry *entry)
{
        struct each *each = entry->each;

        each->bytes -= entry->size;
        ferry_value_bytes(entry->reply, &entry->size);
        if (!entry->reply)
                entry->size = 0;
        each->bytes += entry->size;
        entry->body = ferry_value_unref(entry->body);
        entry->is_over = true;
        if (entry->is_listed)
                return;
        if (entry->reply || !each->options->is_unordered)
                append(entry);
        else
                free_entry(entry);
}

/* Calls end in their order, so that is mostly the last one. */
static void keep_unsent(struct entry *entry)
{
        struct each *each = entry->each;
        struct entry **link = &each->unsent;

        if (each->unsent && each->last_unsent->number < entry->number)
                link = &each->last_unsent->next_unsent;
        while (*link && (*link)->number < entry->number)
                link = &(*link)->next_unsent;
        entry->next_unsent = *link;
        *link = entry;
        each->unsent_count++;
        if (!entry->next_unsent)
                each->last_unsent = entry;
}

static struct entry *take_unsent(struct each *each)
{
        struct entry *entry = each->unsent;

        each->unsent = entry->next_unsent;
        each->unsent_count--;
        return entry;
}

/* They are not sent any more. */
static void end_unsent(struct each *each, const char *reason)
{
        while (each->unsent) {
                struct entry *entry = take_unsent(each);

                each->failed += each->phase != DROPPING;
                if (each->phase != DROPPING)
                        add_fault(each, entry->number, "not executed: ", reason);
                end_entry(entry);
        }
}

/* No further request can be sent. A call without memory or room in the queue says nothing of the session. */
static bool shows_end(int error)
{
        return exit_status_of(error) == EXIT_CONNECTION && error != -ENOMEM && error != -ENOBUFS;
}

static const char *name_outcome(enum ferry_outcome outcome)
{
        return outcome == FERRY_OUTCOME_NOT_EXECUTED ? "not executed: " : outcome == FERRY_OUTCOME_UNKNOWN ? "outcome unknown: " : "";
}

static int go_on(ferry_loop *loop, void *userdata)
{
        struct each *each = userdata;

        (void)loop;
        each->is_pausing = false;
        return 0;
}

static bool is_late(const struct entry *entry)
{
        int timeout_ms = entry->each->options->timeout_ms;
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return timeout_ms >= 0 && (now.tv_sec - entry->began.tv_sec) * 1000 + (now.tv_nsec - entry->began.tv_nsec) / 1000000 >= timeout_ms;
}

/* The service has ended, or is about to end, and the session connects to it again, or to its successor. */
static bool is_sent_again(const struct entry *entry, const ferry_call *call)
{
        const struct each *each = entry->each;
        int status = ferry_call_status(call);

        return each->peer->is_reconnecting && each->phase == SENDING && ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED &&
               (status == -EREMOTEIO || shows_end(status)) && ferry_session_status(each->peer->session) == 1 && !is_late(entry);
}

/* The limit of waiting for listeners is over, or the session is. One that connects again ends by itself. */
static bool ends_all(const struct peer *peer, const ferry_call *call)
{
        int status = ferry_call_status(call);

        if (peer->is_reconnecting)
                return false;
        if (peer->manager)
                return ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED && (status == -EBUSY || status == -ECONNREFUSED);
        return shows_end(status);
}

/* False: no memory. */
static bool add_part(struct entry *entry, const ferry_value *line)
{
        size_t size;
        const char *bytes = ferry_value_bytes(line, &size);
        size_t wanted = entry->parts_size + size, room = entry->parts_room + entry->parts_room / 2;
        char *grown;

        if (!bytes)
                return false;
        if (wanted > entry->parts_room) {
                entry->parts_room = wanted > room ? wanted : room;
                grown = realloc(entry->parts, entry->parts_room);
                if (!grown)
                        return false;
                entry->parts = grown;
        }
        memcpy(entry->parts + entry->parts_size, bytes, size);
        entry->parts_size = wanted;
        return true;
}

/* Parts are printed with their reply, so that those of other lines do not come between. */
static void take_part(ferry_call *call, const ferry_message *part, void *userdata)
{
        struct entry *entry = userdata;
        struct each *each = entry->each;
        FERRY_AUTO(ferry_value) line = body_line(part, each->options, entry->number);
        bool is_taken = line && add_part(entry, line), is_too_large = entry->parts_size > PARTS_MAX;

        if (is_taken && !is_too_large)
                return;
        ferry_call_free(call);
        each->in_flight--;
        each->failed++;
        add_fault(each, entry->number, "outcome unknown: ",
                  is_too_large ? "the parts of its reply have more than 16 MiB: use ferry call without --each" : "no memory for the parts of its reply");
        end_entry(entry);
}

/* What is printed of a reply. Behind parts, null says only that all have come. */
static ferry_value *make_reply(struct entry *entry, const ferry_message *answer)
{
        const struct cli_options *options = entry->each->options;
        bool is_mere_end = answer && entry->parts && ferry_value_kind(ferry_message_body(answer)) == FERRY_VALUE_NULL;
        FERRY_AUTO(ferry_value) line = answer && !is_mere_end ? body_line(answer, options, entry->number) : NULL;
        char none[1];

        if (!entry->parts)
                return ferry_value_ref(line);
        if (line ? !add_part(entry, line) : answer && !is_mere_end)
                return NULL;
        return body_of_line(entry->parts, entry->parts_size, false, none, sizeof none);
}

static void answered(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct entry *entry = userdata;
        struct each *each = entry->each;
        const ferry_message *answer = each->options->is_json ? ferry_call_reply(call) : reply;

        each->in_flight--;
        if (is_sent_again(entry, call)) {
                if (!each->is_pausing)
                        ferry_loop_after(each->peer->loop, PAUSE_MS, go_on, each);
                each->is_pausing = true;
                keep_unsent(entry);
                return;
        }
        if (ends_all(each->peer, call))
                enter(each, ENDING);
        if (each->phase != DROPPING) {
                entry->reply = make_reply(entry, answer);
                each->failed += !reply || !entry->reply;
                if (answer ? !entry->reply : !reply)
                        add_fault(each, entry->number, reply ? "" : name_outcome(ferry_call_outcome(call)),
                                  reply ? "no memory for the reply" : ferry_call_error(call));
        }
        end_entry(entry);
}

/* False: the queue has no room for it now. */
static bool send_entry(struct entry *entry)
{
        struct each *each = entry->each;
        ferry_call *call = peer_request(each->peer, entry->body);

        each->is_full = ferry_call_status(call) == -ENOBUFS && each->in_flight > 0;
        if (each->is_full) {
                ferry_call_free(call);
                return false;
        }
        each->in_flight++;
        if (!entry->is_listed && !each->options->is_unordered)
                append(entry);
        /* Of a dialect without parts none come. */
        ferry_call_on_progress(call, take_part, entry);
        ferry_call_then(call, answered, entry);
        return true;
}

/* Input ---------------------------------------------------------------------------------------------------- */

/* What is sent again has its room already, but one at a time where there is none. */
static bool has_room(const struct each *each)
{
        bool has_space = each->listed - each->in_flight - each->unsent_count < HELD_MAX && each->bytes < BYTES_MAX;

        return each->phase == SENDING && !each->is_pausing && each->in_flight < each->in_flight_max &&
               each->out_begin == each->out_end && each->printed == 0 && (has_space || (each->unsent && each->in_flight == 0));
}

static bool is_line_there(const struct each *each)
{
        return each->unsent || lines_are_there(&each->lines);
}

static void refuse(struct each *each, const char *reason)
{
        each->failed++;
        add_fault(each, each->taken, "not executed: ", reason);
}

/* The next line; NULL: it cannot be sent, which was noted. */
static struct entry *take_line(struct each *each)
{
        size_t size = 0;
        const char *line = lines_next(&each->lines, &size);
        char wrong[160] = "no memory is left to read it", reason[192];
        struct entry *entry = line ? calloc(1, sizeof *entry) : NULL;

        each->taken++;
        if (!line) {
                snprintf(reason, sizeof reason, "the line has more than %zu bytes", each->lines.max);
                refuse(each, reason);
                return NULL;
        }
        if (entry) {
                *entry = (struct entry){ .each = each, .number = each->taken, .size = size };
                clock_gettime(CLOCK_MONOTONIC, &entry->began);
                entry->body = body_of_line(line, size, each->options->is_value, wrong, sizeof wrong);
        }
        if (entry && entry->body) {
                each->bytes += size;
                return entry;
        }
        snprintf(reason, sizeof reason, entry && each->options->is_value ? "the line is not JSON: %s" : "%s", wrong);
        refuse(each, reason);
        free(entry);
        return NULL;
}

static int read_input(ferry_loop *loop, void *userdata)
{
        struct each *each = userdata;
        int error = each->phase == SENDING ? lines_read(&each->lines, STDIN_FILENO) : 0;

        (void)loop;
        if (error) {
                each->input_error = error;
                each->lines.is_over = true;
                report_fault(each);
                complain("cannot read stdin: %s", strerror(-error));
        }
        each->is_reading = each->phase == SENDING && lines_want_more(&each->lines);
        return each->is_reading;
}

/* What can be sent leaves together. */
static void feed(struct each *each)
{
        ferry_session *session = each->peer->session;

        if (has_room(each) && is_line_there(each)) {
                ferry_session_hold(session);
                while (has_room(each) && is_line_there(each)) {
                        struct entry *entry = each->unsent ? take_unsent(each) : take_line(each);

                        if (entry && !send_entry(entry)) {
                                keep_unsent(entry);
                                break;
                        }
                }
                ferry_session_release(session);
        }
        if (each->phase == SENDING && !each->is_reading && lines_want_more(&each->lines)) {
                each->is_reading = true;
                ferry_loop_watch(each->peer->loop, STDIN_FILENO, POLLIN, read_input, each);
        }
}

/* Output --------------------------------------------------------------------------------------------------- */

/* Below: 1: all of it was taken; 0: not yet; negative: stdout takes no more. */
static int write_out(struct each *each)
{
        size_t size = each->out_end - each->out_begin;
        ssize_t taken = size > 0 ? output_try(each->out + each->out_begin, size) : 0;

        if (taken < 0)
                return -1;
        each->out_begin += (size_t)taken;
        if (each->out_begin < each->out_end)
                return 0;
        each->out_begin = each->out_end = 0;
        return 1;
}

static int print_reply(struct each *each, const struct entry *entry)
{
        size_t size;
        const char *bytes = ferry_value_bytes(entry->reply, &size);
        ssize_t taken;
        int result;

        if (each->is_terminal)
                return print_bytes(bytes, size) ? 1 : -1;
        if (each->printed == 0 && size > OUT_SIZE - each->out_end && (result = write_out(each)) <= 0)
                return result;
        if (each->printed == 0 && size <= OUT_SIZE - each->out_end) {
                memcpy(each->out + each->out_end, bytes, size);
                each->out_end += size;
                return 1;
        }
        /* The buffer is empty. */
        taken = output_try(bytes + each->printed, size - each->printed);
        if (taken < 0)
                return -1;
        each->printed += (size_t)taken;
        if (each->printed < size)
                return 0;
        each->printed = 0;
        return 1;
}

static int stop_waiting(ferry_loop *loop, void *userdata)
{
        struct each *each = userdata;

        (void)loop;
        each->is_writing = false;
        return 0;
}

/* The replies that are due, as far as stdout takes them now. */
static void print_due(struct each *each)
{
        int result = 1;

        if (each->phase == DROPPING)
                return;
        while (result > 0 && each->first && each->first->is_over) {
                if (each->first->reply)
                        result = print_reply(each, each->first);
                if (result > 0)
                        take_out_first(each);
        }
        if (result > 0)
                result = write_out(each);
        if (result < 0) {
                enter(each, DROPPING);
                ferry_session_close(each->peer->session);
        }
        if (result == 0 && !each->is_writing) {
                each->is_writing = true;
                ferry_loop_watch(each->peer->loop, STDOUT_FILENO, POLLOUT, stop_waiting, each);
        }
}

/* A signal ends the wait for a reader, and what is not taken then is lost, which is complained about. */
static void print_rest(struct each *each)
{
        output_bytes(each->out + each->out_begin, each->out_end - each->out_begin);
        for (const struct entry *entry = each->first; entry; entry = entry->next) {
                size_t size;
                const char *bytes = ferry_value_bytes(entry->reply, &size);

                if (bytes)
                        print_bytes(bytes + each->printed, size - each->printed);
                each->printed = 0;
        }
        enter(each, DROPPING);
}

/* All of it ------------------------------------------------------------------------------------------------ */

static bool is_done(const struct each *each)
{
        bool is_all_given = each->phase != SENDING || (each->lines.is_over && !is_line_there(each));

        return is_all_given && each->in_flight == 0 &&
               (each->phase == DROPPING || (!each->first && each->out_begin == each->out_end));
}

static void run_until_done(struct each *each)
{
        for (;;) {
                if (each->phase != SENDING)
                        end_unsent(each, ferry_session_error(each->peer->session));
                feed(each);
                print_due(each);
                if (is_done(each))
                        return;
                /* Printing has made room. One that found none in the queue waits for an answer. */
                if (has_room(each) && is_line_there(each) && (!each->is_full || each->in_flight == 0))
                        continue;
                if (signals_received() && each->in_flight == 0) {
                        print_rest(each);
                        return;
                }
                /* The end of the session is reported below. */
                if (ferry_loop_tick(each->peer->loop, -1) < 0 && ferry_session_status(each->peer->session) >= 0) {
                        complain("%s", ferry_loop_error(each->peer->loop));
                        enter(each, DROPPING);
                        ferry_session_close(each->peer->session);
                        return;
                }
                if (ferry_session_status(each->peer->session) != 1 || signals_received())
                        enter(each, ENDING);
        }
}

/* What the end of the session has left. */
static int report_end(const struct each *each, const char *address)
{
        const ferry_session *session = each->peer->session;
        int error = ferry_session_status(session);
        char what[64] = "no line was sent";

        if (each->taken > 0)
                snprintf(what, sizeof what, "no line after line %ld was sent", each->taken);
        if ((is_line_there(each) || !each->lines.is_over) && error < 0)
                complain("%s: %s", what, ferry_session_error(session));
        else if (is_line_there(each) || !each->lines.is_over)
                complain(error == 1 ? "%s: no process at '%s' takes it" : "%s: '%s' has ended the session", what, address);
        return error < 0 ? exit_status_of(error) : EXIT_CONNECTION;
}

static int exit_status(const struct each *each, const char *address)
{
        if (signals_received())
                return EXIT_CONNECTION;
        if (each->phase == DROPPING)
                return output_is_good() ? EXIT_CONNECTION : output_status(each->failed ? EXIT_ANSWERED_ERROR : EXIT_DONE);
        if (each->phase == ENDING)
                return report_end(each, address);
        return each->failed ? EXIT_ANSWERED_ERROR : each->input_error ? EXIT_REFUSED : EXIT_DONE;
}

static void free_each(struct each *each)
{
        each->phase = DROPPING;
        end_unsent(each, "");
        while (each->first)
                take_out_first(each);
        lines_free(&each->lines);
        free(each->fault);
        free(each);
}

/* There one request is in flight, and the time of others would pass while they wait. */
static bool has_no_ids(unsigned dialects)
{
        return dialects & (FERRY_DIALECT_INNMIND | FERRY_DIALECT_PCNTL);
}

int each_run(const struct cli_options *options, char **arguments)
{
        struct each *each;
        struct peer peer;
        int status;

        if (!output_is_open()) {
                complain("cannot print the replies of '%s': stdout is closed", arguments[0]);
                return EXIT_CONNECTION;
        }
        each = calloc(1, sizeof *each);
        if (!each) {
                complain("no memory for the lines of stdin");
                return EXIT_CONNECTION;
        }
        status = peer_open(&peer, options, arguments, 2, true);
        if (status) {
                free(each);
                return status;
        }
        error_limit_wait(0);
        each->options = options;
        each->peer = &peer;
        each->last = &each->first;
        each->lines.max = body_max(options->is_value);
        each->lines.separator = options->is_null ? '\0' : '\n';
        each->in_flight_max = has_no_ids(options->dialects) ? 1 : options->in_flight ? options->in_flight : IN_FLIGHT_DEFAULT;
        each->is_terminal = output_is_terminal();
        run_until_done(each);
        report_fault(each);
        status = exit_status(each, arguments[0]);
        ferry_loop_off(peer.loop, read_input, each);
        ferry_loop_off(peer.loop, stop_waiting, each);
        ferry_loop_off(peer.loop, go_on, each);
        status = peer_close(&peer, status);
        free_each(each);
        return status;
}
