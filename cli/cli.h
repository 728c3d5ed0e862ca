/* What the commands of the tool share. They see the public headers only. */
#pragma once

#include <ferry/ferry.h>

enum exit_status {
        EXIT_DONE = 0,
        EXIT_ANSWERED_ERROR = 1,
        EXIT_USAGE = 2,
        EXIT_CONNECTION = 3,
        EXIT_REFUSED = 4,
        EXIT_TIMEOUT = 124,
};

struct cli_options {
        unsigned dialects;      /* a set; 0: auto */
        const ferry_codec *codec;
        const char *root;
        int timeout_ms;
        int wait_ms;
        bool is_json;
        bool is_verbose;
        bool is_value;          /* BODY is JSON */
        bool is_echo;
        bool is_public;
        const char *reply;
        const char *exec;
        long count;             /* 0: no end */
        long workers;           /* 0: as many as there are processors */
        long retry;
        const char *type;
        bool is_ordered;
        const ferry_codec *from;
        const ferry_codec *to;
};

/* A command: its options by their names, and how many arguments it takes. */
struct cli_command {
        const char *name;
        const char *arguments;
        const char *summary;
        const char *const *options;     /* up to a NULL */
        int least;
        int most;
        bool is_wrapper;        /* its arguments are a command line, whose options are not ours */
        int (*run)(const struct cli_options *options, char **arguments, int count);
};

extern const struct cli_command command_call;
extern const struct cli_command command_convert;
extern const struct cli_command command_list;
extern const struct cli_command command_listen;
extern const struct cli_command command_notify;
extern const struct cli_command command_run;
extern const struct cli_command command_wait;

/* main.c */
void complain(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
int exit_status_of(int error);
/* 0; or the exit status of a complaint: it is no address, or names a descriptor that was not given to us. To be asked
 * before anything is opened, which could get that number. */
int check_address(const char *address);
/* The same for one that a session is opened to, with these options. */
int check_session(const char *address, const struct cli_options *options);
ferry_session_options session_options(const struct cli_options *options);

/* body.c: BODY as a value, the caller's; NULL was complained about, with the exit status. And all of stdin, up to
 * @max bytes. */
ferry_value *body_read(const char *text, bool is_value, int *ret_status);
/* The same for a line of many; NULL was not complained about: it is no JSON from there on, or memory is out. */
ferry_value *body_of_line(const char *line, size_t size, bool is_value, size_t *ret_offset);
/* So long may what stands for a body be. */
size_t body_max(bool is_value);
char *read_all(int fd, size_t max, size_t *ret_size);

/* lines.c: lines from a descriptor. @max is set before, what follows it is for reading, the rest is its own. */
struct lines {
        size_t max;
        bool is_over;           /* no more come */
        long told;              /* so many have come */
        char *bytes;
        size_t begin, end, capacity;
        long count;             /* those that are whole */
        bool has_rest;          /* the last one, which has no newline */
        bool is_too_long;       /* the next one is */
        bool is_skipping;       /* up to its end */
};

/* Whether it is time to read; do it, once; 0 or a negative errno. */
bool lines_want_more(const struct lines *lines);
int lines_read(struct lines *lines, int fd);
/* Whether there is one; which, valid until the next is read. NULL: it was longer than may be. */
bool lines_are_there(const struct lines *lines);
const char *lines_next(struct lines *lines, size_t *ret_size);
void lines_free(struct lines *lines);

/* peer.c: the one whom call and notify talk to. 0, or the exit status of a complaint, and then nothing is open. */
struct peer {
        const struct cli_options *options;
        const char *type;
        ferry_value *body;
        ferry_loop *loop;
        ferry_session *session;
};

int peer_open(struct peer *peer, const struct cli_options *options, char **arguments, int count);
void peer_close(struct peer *peer);
extern const char *const peer_options[];

/* print.c: push out what was printed, false if stdout takes no more; @status, or another one if that was a failure. */
bool flush_output(void);
int output_status(int status);
/* Whether a session is in that dialect by now. */
bool speaks(const ferry_session *session, const char *dialect);
/* A body on stdout, false if that takes no more; @task: the number of the task that it answers, or 0. */
bool print_body(const ferry_message *message, const struct cli_options *options, bool is_one_of_many, long task);
void print_aside(const ferry_message *message, const struct cli_options *options);
/* Junk, in a message or not: the same. */
void print_text(const char *source, const char *bytes, size_t size, const struct cli_options *options);
/* The text that stands for a body, as COMMAND gets it and people see it; a value of the caller's. */
ferry_value *body_text(const ferry_message *message);

/* signals.c: call @fn at the first SIGINT, SIGTERM or SIGHUP, or the first few; the next one ends the program. Before a
 * child is started, which would otherwise be left behind. */
void signals_watch(ferry_loop *loop, int times, ferry_loop_fn *fn, void *userdata);
void signals_unwatch(ferry_loop *loop);
int signals_received(void);
/* Whether another signal can be asked about before they end us. */
bool signals_may_go_on(void);
/* End by the signal that was received. */
void signals_raise(void);

/* answer.c: answer a request with what a command prints; whether any still runs; end those whose answers nobody
 * waits for any more. */
int answer_by_command(const ferry_message *request, const char *command);
bool answers_are_due(void);
void answers_end_unwanted(void);
