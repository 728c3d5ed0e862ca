/* The parts of ferry listen: listen.c uses publish.c and answer.c, which uses command.c, which uses guard.c. */
#pragma once

#include "cli.h"

/* access.c: which other users may connect. 0, or the exit status of a complaint. */
int access_check(const char *address, const struct cli_options *options);
/* @options must outlive the service. */
void access_set(ferry_service_options *service, const struct cli_options *options);

/* guard.c: a process that ends the process groups of the commands when the listener ends, however it ends. */

/* The pipe by which a new command registers itself, before it becomes another program: it writes its pid. The guard is
 * started if it does not run. A negative errno if that fails. */
int guard_open(ferry_loop *loop);
/* The guard did not take a registration: replace it. One that is killed is replaced by the loop, if commands run. */
void guard_fail(void);
/* The loop no longer looks for that, and may end. */
void guard_unwatch(void);
/* Memory for one more group; false if there is none. To be called before the command is started. */
bool guard_reserve(void);
/* The group of a command that has registered itself; a group that need no longer be ended. */
void guard_add(pid_t group);
void guard_remove(pid_t group);
/* End the guard, and wait for it. */
void guard_close(void);
/* Whether a process group is empty. */
bool group_is_gone(pid_t group);

/* After SIGTERM the members of a group have so long before SIGKILL. Less than the grace of a program that ends us. */
enum { KILL_DELAY_MS = 500, GROUP_LOOK_MS = 10 };

/* command.c: one command of --exec or --notify-exec. */
struct command;

struct command_result {
        const char *output;             /* valid until the callback returns */
        size_t size;
        const char *reason;             /* a phrase that says how the command failed; NULL: it exited with status 0 */
};

/* A line, without its newline. False: it cannot be taken now; no more is read until command_go_on(). */
typedef bool command_line_fn(const char *line, size_t size, void *userdata);
typedef void command_fn(struct command *command, const struct command_result *result, void *userdata);

struct command_spec {
        const char *line;               /* for /bin/sh -c */
        const char *type;               /* FERRY_TYPE */
        const char *kind;               /* FERRY_KIND */
        ferry_peer peer;                /* FERRY_PEER_PID, FERRY_PEER_UID */
        ferry_value *input;             /* a string for its stdin; referenced */
        int timeout_ms;                 /* a command that has not exited then is ended; -1: none is */
        size_t output_max;              /* a command that writes more is killed; with a function for lines, one line */
        command_line_fn *line_fn;       /* NULL: all that it writes is the result */
        command_fn *over;               /* called once, unless command_start() fails; the command is freed then */
        void (*exited)(void);           /* called before that, when the process has exited */
        void *userdata;
};

/* Why a command could not be started. */
struct command_failure {
        int error;                      /* a negative errno */
        bool is_guard;                  /* it is the guard that could not be started */
};

/* NULL with @ret_failure if it cannot be started. */
struct command *command_start(ferry_loop *loop, const struct command_spec *spec, struct command_failure *ret_failure);
/* Send SIGTERM to its group, and SIGKILL if that does not help. Its output is ignored from now on. */
void command_end(struct command *command);
/* The function for lines takes them again. The command may be over behind this. */
void command_go_on(struct command *command);
/* Whether the process has not exited yet. */
bool command_is_running(const struct command *command);

/* answer.c: answers to requests, by commands that run so many at a time; the others wait in their order. */
void answers_init(ferry_loop *loop, const struct cli_options *options);
/* Call @fn when one more or one less is in hand; before an answer is sent. */
void answers_watch(void (*fn)(void *userdata), void *userdata);
/* Answer, and report a failure to the peer and on stderr. Returns what a handler returns. */
int answer_with(const ferry_message *request, const char *type, const ferry_value *body);
/* Let a command answer. Returns what a handler returns: the request is kept. */
int answer_by_command(const ferry_message *request);
/* Run the command for a notification. Returns what a handler returns. */
int answer_notification(const ferry_message *notification);
/* How many requests and notifications are in hand; how many of them are notifications. */
size_t answers_due(void);
size_t answers_notified(void);
/* Whether a notification was dropped; report how many. */
bool answers_have_dropped(void);
/* End the commands of requests that are no longer wanted; @is_session: of a session that has ended, else one was cancelled. */
void answers_end_unwanted(bool is_session);
/* Peers take parts of answers again. */
void answers_go_on(void);
/* Give up all requests in hand. */
void answers_abandon(void);

/* publish.c: lines of stdin become notifications of a service. False: that was complained about. @over is called once all were
 * sent. */
bool publisher_begin(ferry_loop *loop, ferry_service *service, const struct cli_options *options, void (*over)(void *userdata),
                     void *userdata);
/* Nothing more is read. */
void publisher_stop(void);
/* The exit status: whether each line was published. */
int publisher_end(void);

/* backlog.c: lines that wait until stdout takes them. */
void backlog_init(ferry_loop *loop);
/* Write a line, or what of it is taken at once; the rest waits, or the line is dropped. False: stdout takes no more at all. */
bool backlog_add(const char *bytes, size_t size);
/* How many bytes wait; whether a line was dropped. */
size_t backlog_size(void);
bool backlog_has_dropped(void);
/* Drop what waits, and report that. */
void backlog_close(void);
