/* What the commands of the tool share. They see the public headers only. */
#pragma once

#include <ferry/ferry.h>

#include <stdio.h>

enum exit_status {
        EXIT_DONE = 0,
        EXIT_ANSWERED_ERROR = 1,
        EXIT_USAGE = 2,
        EXIT_CONNECTION = 3,
        EXIT_REFUSED = 4,
        EXIT_NOT_REACHED = 69,
        EXIT_TIMEOUT = 124,
        EXIT_NOT_EXECUTABLE = 126,
        EXIT_NOT_FOUND = 127,
};

enum { ALLOWED_MAX = 256, DESCRIBED_MAX = 256 };

struct cli_options {
        unsigned dialects;      /* a set; 0: auto */
        const ferry_codec *codec;
        const char *root;
        int timeout_ms;
        bool has_timeout;       /* --timeout was given: recv and others have no default */
        int wait_ms;
        bool has_wait;          /* --wait was given */
        bool is_json;
        bool is_verbose;
        bool is_value;          /* BODY is JSON */
        bool is_echo;
        bool is_public;
        bool is_shm;            /* shared memory: at once … */
        bool is_no_shm;         /* … or never */
        const char *on;                 /* hosts, with commas between them; NULL: this one */
        const char *remote_ferry;       /* NULL: ferry */
        const char *tasks;              /* where they come from; NULL: stdin */
        const char *reply;
        const char *exec;
        const char *notify_exec;
        long count;             /* 0: no end */
        int seconds_ms;         /* of a bench; 0: the default */
        long in_flight;         /* 0: the default */
        long workers;           /* 0: as many as processors may be used */
        long retry;
        int drain_ms;           /* -1: until all is done */
        const char *type;
        bool is_each;           /* a request for each line of stdin */
        bool is_ordered;
        bool is_unordered;
        bool is_null;           /* tasks end with NUL */
        bool is_quiet;
        bool is_resuming;
        bool is_failed_again;   /* --resume-failed: tasks that have failed are done again */
        int64_t max_tasks;      /* of a worker; 0: no limit */
        int64_t max_rss;        /* of a worker, in bytes; 0: no limit */
        const char *joblog;
        const char *halt;
        const ferry_codec *from;
        const ferry_codec *to;
        unsigned mode;          /* of what is made; 0: the default */
        const char *interface;
        const char *group;
        uid_t allowed[ALLOWED_MAX]; /* users who may connect */
        size_t allowed_count;
        const char *described[DESCRIBED_MAX]; /* TYPE=TEXT */
        size_t described_count;
        int64_t ttl;            /* 0: the default */
        int64_t bytes;          /* of a segment that is made; 0: the default */
        bool is_broadcast;
        bool is_creating;
        bool is_strict;
        bool is_removing;
        bool is_removing_stale;
        bool is_streaming;
        bool is_publishing;
        bool is_retaining;
        bool is_taking_over;    /* the place of the service that listens there */
        bool is_once;           /* watch, call --each: they end with the service */
        long after_clients;     /* 0: at once */
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
        bool has_records;       /* --codec plain is allowed, which sessions cannot use */
        int (*run)(const struct cli_options *options, char **arguments, int count);
};

extern const struct cli_command command_bench;
extern const struct cli_command command_bridge;
extern const struct cli_command command_call;
extern const struct cli_command command_convert;
extern const struct cli_command command_describe;
extern const struct cli_command command_ipcs;
extern const struct cli_command command_list;
extern const struct cli_command command_listen;
extern const struct cli_command command_notify;
extern const struct cli_command command_recv;
extern const struct cli_command command_run;
extern const struct cli_command command_send;
extern const struct cli_command command_store;
extern const struct cli_command command_wait;
extern const struct cli_command command_watch;

/* main.c */
int exit_status_of(int error);
/* Check the address of a session: 0, or the exit status of a complaint: it is malformed, belongs to another command, or
 * names a descriptor that is not open. Call this before anything is opened, which could get that number. */
int check_address(const char *address);
/* The same for the address of a channel, of a store, and for one that ferry wait takes. */
int check_channel(const char *address);
int check_store(const char *address);
int check_waitable(const char *address);
/* The same for one that a session is opened to, with these options. */
int check_session(const char *address, const struct cli_options *options);
ferry_session_options session_options(const struct cli_options *options);
/* A number from @least to @most. False: a complaint was printed that begins with @name. */
bool read_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *ret);

/* Whether a text that stands for a command or a name has nothing but blanks. */
bool is_blank(const char *text);

/* unused.c: 0, or the exit status of a complaint: an option would have no effect with the others, or at this address. */
int unused_check(const char *command, const struct cli_options *options, char **arguments, int count);

/* access.c: the users of --allow may be the peer. @options must outlive the session. */
void access_allow(ferry_session_options *session, const struct cli_options *options);
/* The argument of --allow. False: a complaint was printed. */
bool access_read_user(const char *text, struct cli_options *options);

/* describe.c: the argument of --describe. False: a complaint was printed. And say what was given of a service: 0, or the exit status of
 * a complaint. */
bool describe_read(const char *text, struct cli_options *options);
int describe_service(ferry_service *service, const struct cli_options *options);

/* body.c: BODY as a value, the caller's; NULL was complained about, with the exit status. And all of stdin, up to
 * @max bytes. */
ferry_value *body_read(const char *text, bool is_value, int *ret_status);
/* The same for an argument with another name than BODY, for the complaint. */
ferry_value *value_read(const char *name, const char *text, bool is_value, int *ret_status);
/* The same for a line of many; NULL was not complained about: it is no JSON, for that reason, or memory is out. */
ferry_value *body_of_line(const char *line, size_t size, bool is_value, char *reason, size_t reason_size);
/* So long may what stands for a body be. */
size_t body_max(bool is_value);
char *read_all(int fd, size_t max, size_t *ret_size);

/* channel.c: the channel of send and recv. The first signal closes it; a call that waits in it then returns. */
struct cli_channel {
        const struct cli_options *options;
        const char *address;
        int scheme;
        bool is_records;        /* or bytes */
        int64_t type;           /* --type, if options->type is set */
        ferry_loop *loop;
        ferry_channel *channel; /* NULL after a signal */
        ferry_channel *client;  /* recv: the accepted connection; NULL after a signal */
};

/* Check the address and the options before anything is opened: 0, or the exit status of a complaint. */
int channel_check(struct cli_channel *channel, const struct cli_options *options, const char *address,
                  enum ferry_channel_end end);
/* 0, or the exit status of a complaint. Close it in either case. */
int channel_open(struct cli_channel *channel, enum ferry_channel_end end);
void channel_close(struct cli_channel *channel);
/* Print why a call on @failed returned @error, unless a signal is the reason. Returns the exit status. */
int channel_complain(const ferry_channel *failed, int error);

/* lines.c: lines from a descriptor. @max and @separator are set before, what follows them is for reading, the rest is its own. */
struct lines {
        size_t max;
        char separator;         /* that ends a line: a newline or NUL */
        bool is_over;           /* no more come */
        long reported;          /* so many have come */
        char *bytes;
        size_t begin, end, capacity;
        long count;             /* those that are whole */
        bool has_rest;          /* the last one, which has no newline */
        bool is_too_long;       /* the next one is */
        bool is_skipping;       /* up to its end */
        uint64_t read;          /* bytes */
};

/* Whether it is time to read; do it, once; 0 or a negative errno. */
bool lines_want_more(const struct lines *lines);
int lines_read(struct lines *lines, int fd);
/* Whether there is one; which, valid until the next is read. NULL: it was longer than may be. */
bool lines_are_there(const struct lines *lines);
const char *lines_next(struct lines *lines, size_t *ret_size);
void lines_free(struct lines *lines);

/* estimate.c: the time that is left, in seconds; negative: it is not known yet. */
struct estimate {
        double all, over;       /* tasks: that there are, and have ended */
        double workers;
        double ended, now;      /* seconds since the beginning: the end of the last task, and this moment */
};

enum { ESTIMATE_SIZE = 32 };

double estimate_left(const struct estimate *estimate);
/* As "3 min 07 s left". */
void estimate_describe(double seconds, char text[ESTIMATE_SIZE]);

/* each.c: call --each, with the address and the type. Returns an exit status. */
int each_run(const struct cli_options *options, char **arguments);

/* peer.c: the other side of call and notify. 0, or the exit status of a complaint, and then nothing is open. */
struct peer {
        const struct cli_options *options;
        const char *type;
        ferry_value *body;
        ferry_loop *loop;
        ferry_manager *manager;         /* gives requests to listeners that may refuse them; NULL: the session does */
        ferry_session *session;
        bool is_child;                  /* the command of exec:, or ssh */
        bool is_command;                /* that of exec: */
        int child;                      /* a pidfd of it, or -1 */
        bool is_in_foreground;          /* it shares our process group, and the terminal */
        bool is_echo;                   /* our request came back as one */
        bool is_reconnecting;           /* the session connects again when the service has ended */
};

/* @gives_again: what listeners refuse is given again, where these share an address. */
int peer_open(struct peer *peer, const struct cli_options *options, char **arguments, int count, bool gives_again);
ferry_call *peer_request(const struct peer *peer, const ferry_value *body);
/* Returns @status, or that of a child that has failed after its answer. */
int peer_close(struct peer *peer, int status);
extern const char *const peer_options[];
/* Complain that a command sends requests back, or sends nothing, so that it does not seem to know any dialect. */
void peer_explain_command(bool is_echo);

/* output.c: the only file that writes to stdout and stderr. False: stdout takes no more; that was complained about. A wait for
 * a reader ends by a signal, or, where the signal only asks for an end, 1 s later. */
bool output_bytes(const char *bytes, size_t size);
/* The same without a wait: how much stdout has taken, or a negative errno. */
ssize_t output_try(const char *bytes, size_t size);
/* Give what is printed, a line at a time, to @fn instead, which writes it by output_try(); it returns what output_bytes()
 * does. */
void output_divert(bool (*fn)(const char *bytes, size_t size));
bool output_is_good(void);
/* Complain that what should be written is lost, for a positive errno. */
void output_fail(int error);
/* Whether it was open at the start; whether people see it. */
bool output_is_open(void);
bool output_is_terminal(void);
/* @status, or EXIT_CONNECTION if output was lost. */
int output_status(int status);
/* The same at the very end. */
int output_close(int status);
/* A line on stderr that begins with "ferry: ", by one write(2). Newlines and other control characters in it are escaped. */
void complain(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
void inform(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
/* The same for lines that are made and escaped already; and for what is drawn again soon, which waits for nothing. */
void error_bytes(const char *bytes, size_t size);
void error_draw(const char *bytes, size_t size);
/* A line that stderr does not take within @timeout_ms from now (-1: no limit), or then within 0.1 s, is dropped, counted and
 * reported, so that deadlines hold. Without this call it is waited for. */
void error_limit_wait(int timeout_ms);
/* Close a stream of open_memstream(3). False: there was no memory for some of its text. */
bool close_text(FILE *stream);

/* escape.c: text for people. Control characters are shown as ^[ or <U+009B>, bytes that are not UTF-8 as <9B>. */
enum escaping {
        ESCAPE_TEXT,            /* newlines and tabs stay */
        ESCAPE_LINE,
        ESCAPE_JSON,            /* \u009b, which is the same JSON */
};

enum { ESCAPED_MAX = 16 };

/* Whether these bytes are UTF-8. */
bool is_utf8(const char *bytes, size_t size);

/* The next character, or a byte that is not one: how many bytes @text has then, and how many were taken. */
size_t escape_next(const char *bytes, size_t size, enum escaping how, char text[ESCAPED_MAX], size_t *ret_taken);
void escape(FILE *stream, const char *bytes, size_t size, enum escaping how);

/* print.c: the name of a kind of messages. */
const char *kind_name(enum ferry_kind kind);
/* Whether a session is in that dialect by now. */
bool speaks(const ferry_session *session, const char *dialect);
/* A body on stdout, false if that takes no more; @task: the number of the task that it answers, or 0. */
bool print_body(const ferry_message *message, const struct cli_options *options, bool is_one_of_many, long task);
/* Bytes from a peer on stdout, at once: as they are, but escaped on a terminal. False if stdout takes no more. */
bool print_bytes(const char *bytes, size_t size);
bool print_formatted(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
/* The bytes of a string, else a line of JSON; with --json always that. A string gets a newline as a body does. NULL: there was
 * no memory for it. */
bool print_value(const ferry_value *value, const struct cli_options *options, bool is_one_of_many);
/* On stderr. Of errors, which a peer can make as many as it likes, one a second is shown; the next one says how many came
 * in between, and print_withheld() at the end. */
bool print_aside(const ferry_message *message, const struct cli_options *options);
void print_withheld(void);
/* The same for an error that print_aside() does not print. False: it was counted instead. */
bool print_admits_error(void);
/* Lines that a command has written to its stderr, on ours: each begins with "command: ". */
void print_passed(const char *lines, size_t size);
/* A value on stderr, as a line of JSON. */
void print_aside_json(const ferry_value *value);
/* Junk, in a message or not: the same. */
void print_text(const char *source, const char *bytes, size_t size, const struct cli_options *options);
/* The text that stands for a body, as COMMAND gets it and people see it; a value of the caller's. */
ferry_value *body_text(const ferry_message *message);
/* What print_body() prints of one answer of many, with its newline; a string of the caller's, or NULL without memory. */
ferry_value *body_line(const ferry_message *message, const struct cli_options *options, long task);

/* remote.c: other machines. Whether a text is [USER@]HOST[:PORT]; if not, that was complained about. */
bool remote_check_host(const char *host);
/* The words as one line for sh(1), the caller's; NULL: no memory. */
char *remote_quote(const char *const *words);
/* The hosts of a list with commas; NULL: one is wrong, which was complained about. */
char **remote_split_hosts(const char *text, long *ret_count);
void remote_free_hosts(char **hosts);
/* The command of this machine that runs a command there. False: no memory. Free it in either case. */
struct remote_worker {
        char *destination, *command;
        const char *argv[16];
};
bool remote_make_worker(const char *host, const char *const *words, long number, struct remote_worker *ret);
void remote_free_worker(struct remote_worker *worker);
/* The services of a host, a list of the caller's or NULL. Returns an exit status; a failure was complained about. */
int remote_list(const char *host, const struct cli_options *options, ferry_value **ret_services);

/* instance.c: what an instance of a service has answered to $SRV.INFO, as it is printed; the caller's. 0, -EBADMSG: it describes none, or
 * -ENOMEM. */
int instance_read(const char *bytes, size_t size, ferry_value **ret);
/* By name and instance. */
int instance_compare(const ferry_value *a, const ferry_value *b);

/* cluster.c: list the services of a NATS server and those that it is connected to. Returns an exit status. */
int cluster_list(const struct cli_options *options);

/* processors.c: the number of processors that this process may use, at least 1: those of its affinity mask, or the CPU quota of
 * its control groups, rounded up, if that is less. @root stands before the names of the files that are read: "". */
long processors_available(const char *root);

/* supervisor.c: sockets and reports of systemd, or of what does the same. Read NOTIFY_SOCKET, and unset it. */
void supervisor_begin(void);
/* It listens there; @is_successor: in place of the process that the supervisor has started. From then on it says that it lives, if the
 * supervisor wants to know. */
void supervisor_report_ready(ferry_loop *loop, const char *address, bool is_successor);
void supervisor_report_stopping(const char *status);
void supervisor_end(ferry_loop *loop);

/* The sockets with a name, of those that this process was given (LISTEN_FDS, which is unset); "": all of them. Behind them stands -1. 0,
 * or the exit status of a complaint. */
enum { SUPERVISOR_SOCKETS_MAX = 4 };
int supervisor_take_sockets(const char *name, int fds[SUPERVISOR_SOCKETS_MAX + 1]);

/* table.c: a list of maps as a table on stdout: a line of headings, and a line for each map. An empty list prints nothing.
 * @fill writes the cell of a key. Returns an exit status. */
struct column {
        const char *key;
        const char *heading;
};

typedef void table_fill_fn(FILE *cell, const ferry_value *item, const char *key);

int table_print(const ferry_value *list, const struct column *columns, size_t count, table_fill_fn *fill);
/* Most cells: a text, a number, yes or no, items with commas between them; a dash for what is not known. */
void table_fill(FILE *cell, const ferry_value *item, const char *key);
/* The name of the user with the uid under @key. */
void table_fill_user(FILE *cell, const ferry_value *item, const char *key);
/* The maps one a line, as JSON: --json is on. */
void table_print_json(const ferry_value *list, const struct cli_options *options);

/* signals.c: what was inherited is set right, at the start; and for a program that is executed in our place. */
void signals_begin(void);
void signals_restore(void);
/* Call @fn at the first SIGINT, SIGTERM or SIGHUP, or the first few; the next one ends the program. Before a child is
 * started, which would otherwise be left behind. */
void signals_watch(ferry_loop *loop, int times, ferry_loop_fn *fn, void *userdata);
void signals_unwatch(ferry_loop *loop);
int signals_received(void);
/* poll(2) of one descriptor: 1 if it is ready, 0 if it is not within @timeout_ms (-1: forever), -EINTR once a signal has come
 * that ends us; after one that only asks it waits for 1 s at most. */
int signals_poll(int fd, short events, int timeout_ms);
/* End by the signal that was received. */
void signals_raise(void);
