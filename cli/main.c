/* ferry COMMAND [OPTIONS] ARGUMENTS: finds the command and reads its options. CONTRIBUTING.md names all places of a new
 * command or option. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *const commands[] = { &command_listen, &command_call, &command_notify, &command_watch,
                                                      &command_run,
                                                      &command_list, &command_describe, &command_wait, &command_send, &command_recv,
                                                      &command_store, &command_ipcs, &command_convert,
                                                      &command_bench, &command_bridge };

enum { COMMANDS = sizeof commands / sizeof *commands };

static const struct {
        const char *name;
        const char *argument;   /* NULL: none */
        const char *summary;
} known[] = {
        { "dialect", "NAME", "auto (ferry or stream-ipc, the default), ferry, stream-ipc, innmind, pcntl" },
        { "codec", "NAME", "msgpack, php, json or json-objects; for records also plain" },
        { "namespace", "ROOT", "stream-ipc: the namespace of its own classes (StreamIpc)" },
        { "timeout", "SECONDS", "for an answer, a listener, room, a lock or a slow client (30), for a record, a notification or"
                                " a command (none); 0: do not wait, none: forever" },
        { "wait", "SECONDS", "how long to wait until the other end is there (1); 0: try once, none: forever" },
        { "json", NULL, "print each message, record, object or service as one JSON object a line" },
        { "verbose", NULL, "say more, on stderr (-v)" },
        { "value", NULL, "BODY, VALUE or each line is JSON; each record is a value" },
        { "echo", NULL, "answer requests with their own type and body" },
        { "reply", "BODY", "answer requests with this body" },
        { "exec", "COMMAND", "answer requests with what COMMAND prints, given the body on stdin" },
        { "stream", NULL, "send each line that COMMAND prints at once, as a part of the reply" },
        { "publish", NULL, "make a notification of each line of stdin: TYPE BODY" },
        { "retain", NULL, "keep the last one of each TYPE for clients that subscribe later" },
        { "after-clients", "N", "wait until N clients have subscribed" },
        { "notify-exec", "COMMAND", "run COMMAND for each notification, given the body on stdin" },
        { "drain", "SECONDS", "when asked to stop, give requests in hand so long (until they are done)" },
        { "count", "N", "end after N messages, records, clients or requests" },
        { "seconds", "SECONDS", "send requests so long (2, unless there is a --count)" },
        { "in-flight", "N", "so many requests at once (bench: 1, call --each: 32)" },
        { "public", NULL, "tcp, udp: also at an address that other machines can reach" },
        { "workers", "N", "so many workers, or commands of --exec, at once (as many as processors may be used)" },
        { "type", "TYPE", "of the requests (run: task; bench: bench); of a record in a queue: a number" },
        { "each", NULL, "send a request for each line of stdin, print their replies" },
        { "ordered", NULL, "print the answers in the order of the tasks" },
        { "unordered", NULL, "print the replies as they come" },
        { "null", NULL, "each task or line ends with a NUL byte instead of a newline" },
        { "max-tasks", "N", "replace a worker after N answers" },
        { "max-rss", "SIZE", "replace a worker that has more than SIZE bytes of memory resident: a number, also with K, M or G" },
        { "halt", "WHEN,WHY=N", "stop early: now or soon, at fail=, success= or done=, N tasks or N%" },
        { "joblog", "FILE", "write a line about each task that has ended to FILE" },
        { "resume", NULL, "leave out the tasks that FILE has" },
        { "resume-failed", NULL, "the same, but do those again that have failed" },
        { "quiet", NULL, "run: show no progress and no summary; listen: print no messages" },
        { "retry", "N", "give a task whose worker died, or did not answer, to another one, N times" },
        { "from", "CODEC", "php, json, json-objects, msgpack or plain" },
        { "to", "CODEC", "php, json, json-objects, msgpack or plain" },
        { "create", NULL, "make the FIFO or queue if it is missing" },
        { "mode", "OCTAL", "permissions of what is made (0600; listen --allow: 0666, or 0660 with --group)" },
        { "strict", NULL, "refuse objects whose permissions let other users in" },
        { "interface", "NAME", "udp: the network interface for multicast" },
        { "group", "ADDRESS", "udp: the multicast group to join; listen: the GROUP of the socket file, a name or a number" },
        { "describe", "TYPE=TEXT", "say of a type what it does, for ferry describe and completion; may be repeated" },
        { "allow", "USER", "a user (name or number) that may be the other side, besides this user and root; may be repeated" },
        { "shm", NULL, "NAME, unix: exchange messages in shared memory at once (listen: with clients that may)" },
        { "take-over", NULL, "NAME, unix: take the place of the service that listens there" },
        { "no-reconnect", NULL, "end with the service" },
        { "no-shm", NULL, "NAME, unix: never exchange messages in shared memory" },
        { "tasks", "ADDRESS", "take tasks from a stream, nats+queue:STREAM, instead of stdin" },
        { "on", "HOST", "do it on another machine, by ssh: [USER@]HOST[:PORT]" },
        { "remote-ferry", "PATH", "ssh, --on: the ferry of the other machine (ferry, by its PATH)" },
        { "ttl", "N", "udp: how many routers a multicast record may pass (1: none)" },
        { "broadcast", NULL, "udp: allow broadcast addresses" },
        { "size", "BYTES", "of a segment that is made (10000); bench: of a body (64)" },
        { "remove", NULL, "remove the objects that are given" },
        { "remove-stale", NULL, "remove sockets and lock files whose owner is dead" },
};

enum { KNOWN = sizeof known / sizeof *known };

/* More than any machine can use; each is a process. */
enum { WORKERS_MAX = 1024 };

/* Of one user, by the library's default. */
enum { CLIENTS_MAX = 4096 };

/* Of a bench; each has a buffer of its own. */
enum { IN_FLIGHT_MAX = 65536 };

bool is_blank(const char *text)
{
        return !text[strspn(text, " \t\n")];
}

int exit_status_of(int error)
{
        switch (error) {
        case -EREMOTEIO:
                return EXIT_ANSWERED_ERROR;
        case -ETIMEDOUT:
                return EXIT_TIMEOUT;
        case -EMSGSIZE:
        case -EILSEQ:
        case -EDOM:
        case -EINVAL:
        case -EBADMSG:
        case -EACCES:
        case -EPERM:
        case -EOPNOTSUPP:
                return EXIT_REFUSED;
        default:
                return error < 0 ? EXIT_CONNECTION : EXIT_DONE;
        }
}

static int check_descriptors(const char *numbers)
{
        for (const char *at = numbers; *at;) {
                char *end;
                long fd = strtol(at, &end, 10);

                if (end != at && (fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)) {
                        complain("descriptor %ld is not open", fd);
                        return EXIT_CONNECTION;
                }
                at = *end ? end + 1 : end;
        }
        return 0;
}

/* What an address can be used for: a set. */
enum address_use { USE_SESSION = 1, USE_CHANNEL = 2, USE_STORE = 4, USE_WAIT = 8 };

static unsigned uses_of(int scheme, const char *text)
{
        switch (scheme) {
        case FERRY_SCHEME_NAME:
                return USE_SESSION | USE_WAIT;
        case FERRY_SCHEME_UNIX:
        case FERRY_SCHEME_TCP:
                return USE_SESSION | USE_CHANNEL | USE_WAIT;
        case FERRY_SCHEME_FIFO:
                return strchr(text, ',') ? USE_SESSION : USE_CHANNEL | USE_WAIT;
        case FERRY_SCHEME_UDP:
        case FERRY_SCHEME_UDG:
        case FERRY_SCHEME_MSGQ:
        case FERRY_SCHEME_MQUEUE:
                return USE_CHANNEL | USE_WAIT;
        case FERRY_SCHEME_SHM:
                return USE_STORE;
        default:
                return USE_SESSION;
        }
}

/* Which command takes it instead. */
static void complain_use(const char *address, int scheme, unsigned uses, enum address_use wanted)
{
        const char *is = uses & USE_STORE ? "a store" : uses & USE_CHANNEL ? "a channel" :
                         scheme == FERRY_SCHEME_NAME ? "a service" : "a session";

        if (wanted == USE_WAIT)
                complain("cannot wait for '%s', %s: ferry wait takes NAME, unix:, tcp:, udp:, udg:, fifo:PATH, msgq: and"
                         " mqueue:", address, is);
        else
                complain("'%s' is %s, not %s: use ferry %s", address, is,
                         wanted == USE_SESSION ? "a session" : wanted == USE_CHANNEL ? "a channel" : "a store",
                         uses & USE_STORE ? "store" : !(uses & USE_CHANNEL) ? "call, notify or listen" :
                         scheme == FERRY_SCHEME_FIFO ? "send or recv, or write fifo:IN,OUT" : "send or recv");
}

static bool is_malformed(int scheme, const char *text)
{
        switch (scheme) {
        case FERRY_SCHEME_EXEC:
                return is_blank(text);
        case FERRY_SCHEME_FD:
                return strspn(text, "0123456789,") != strlen(text) || !text[strspn(text, ",")];
        case FERRY_SCHEME_FILE:
        case FERRY_SCHEME_FIFO:
                return !text[strspn(text, ",")];
        default:
                return scheme < 0;
        }
}

static void complain_malformed(const char *address, int scheme, enum address_use wanted)
{
        bool is_queue = strncmp(address, "mqueue:", 7) == 0;

        if (scheme == -ENAMETOOLONG && strncmp(address, "nats:", 5) != 0)
                complain("'%s' is too long for a %s: at most %s bytes", address, is_queue ? "queue" : "socket",
                         is_queue ? "254" : "107");
        else if (strncmp(address, "ssh:", 4) == 0)
                complain("'%s' is not an address: write ssh:[USER@]HOST[:PORT]:NAME; NAME is an address of a session on that host, but"
                         " not fd:, stdio: or nats:", address);
        else if (strncmp(address, "nats:", 5) == 0)
                complain("'%s' is not an address: write nats:SUBJECT, of at most 1024 bytes, whose tokens have dots between them, and no"
                         " blanks", address);
        else if (strncmp(address, "tcp:", 4) == 0 || strncmp(address, "udp:", 4) == 0)
                complain("'%s' is not an address: write %.4sHOST:PORT, HOST in numbers, as 127.0.0.1 or [::1], or localhost;"
                         " PORT from 0 to 65535",
                         address, address);
        else
                complain("'%s' is not an address: write %s", address,
                         wanted == USE_SESSION ? "NAME, unix:PATH, tcp:HOST:PORT, exec:COMMAND, ssh:HOST:NAME, nats:SUBJECT, stdio:,"
                                                 " file:IN,OUT, fifo:IN,OUT or fd:IN,OUT" :
                         wanted == USE_CHANNEL ? "udp:HOST:PORT, udg:PATH, tcp:HOST:PORT, unix:PATH, fifo:PATH, msgq:PATH,"
                                                 " msgq:KEY or mqueue:NAME" :
                         wanted == USE_STORE   ? "shm:PATH or shm:KEY" :
                                                 "NAME, unix:PATH, tcp:HOST:PORT, udp:HOST:PORT, udg:PATH, fifo:PATH,"
                                                 " msgq:PATH, msgq:KEY or mqueue:NAME");
}

static int check_use(const char *address, enum address_use wanted)
{
        int scheme = ferry_address_scheme(address);
        const char *text = scheme <= (int)FERRY_SCHEME_NAME ? "" : strchr(address, ':') + 1;

        if (is_malformed(scheme, text))
                complain_malformed(address, scheme, wanted);
        else if (!(uses_of(scheme, text) & wanted))
                complain_use(address, scheme, uses_of(scheme, text), wanted);
        else
                return scheme == FERRY_SCHEME_FD ? check_descriptors(text) : 0;
        return EXIT_USAGE;
}

int check_address(const char *address)
{
        return check_use(address, USE_SESSION);
}

int check_channel(const char *address)
{
        return check_use(address, USE_CHANNEL);
}

int check_store(const char *address)
{
        return check_use(address, USE_STORE);
}

int check_waitable(const char *address)
{
        return check_use(address, USE_WAIT);
}

int check_session(const char *address, const struct cli_options *options)
{
        unsigned other = options->dialects & ~(unsigned)(FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC);

        if (!other || options->dialects == other)
                return check_address(address);
        complain("only a service can be in innmind or pcntl and in other dialects at once");
        return EXIT_USAGE;
}

/* NULL: the library's default. */
static const char *variable(const char *name)
{
        const char *text = getenv(name);

        return text && *text ? text : NULL;
}

ferry_session_options session_options(const struct cli_options *options)
{
        bool is_one = (options->dialects & (options->dialects - 1)) == 0;

        ferry_session_options session = {
                .dialect = is_one ? options->dialects : FERRY_DIALECT_AUTO,
                .codec = options->codec,
                .root = options->root,
                .request_timeout_ms = options->timeout_ms,
                /* Zero would be the default of the library, which waits for a service that is busy. A host has its time to answer. */
                .wait_ms = options->wait_ms ? options->wait_ms : 1,
                .remote_ferry = options->remote_ferry,
                .nats_url = variable("NATS_URL"),
                .nats_ca = variable("NATS_CA"),
                .nats_cert = variable("NATS_CERT"),
                .nats_key = variable("NATS_KEY"),
                .nats_creds = variable("NATS_CREDS"),
                .nats_nkey = variable("NATS_NKEY"),
                .shm = options->is_shm ? FERRY_SHM_ALWAYS : options->is_no_shm ? FERRY_SHM_NEVER : FERRY_SHM_AUTO,
        };

        access_allow(&session, options);
        return session;
}

static bool takes(const struct cli_command *command, const char *name)
{
        for (const char *const *option = command->options; *option; option++)
                if (strcmp(*option, name) == 0)
                        return true;
        return false;
}

/* The usage of a command, or NULL; the caller's. */
static char *make_usage(const struct cli_command *command, size_t *ret_size)
{
        char *text = NULL, option[64];
        FILE *stream = open_memstream(&text, ret_size);

        if (!stream)
                return NULL;
        fprintf(stream, "ferry %s [OPTIONS] %s\n    %s\n", command->name, command->arguments, command->summary);
        for (size_t i = 0; i < KNOWN; i++) {
                if (!takes(command, known[i].name))
                        continue;
                snprintf(option, sizeof option, "--%s %s", known[i].name, known[i].argument ? known[i].argument : "");
                fprintf(stream, "    %-22s %s\n", option, known[i].summary);
        }
        if (close_text(stream))
                return text;
        free(text);
        return NULL;
}

static int print_usage(const struct cli_command *command)
{
        size_t size = 0;
        char *text = make_usage(command, &size);

        if (text)
                output_bytes(text, size);
        else
                output_fail(ENOMEM);
        free(text);
        return EXIT_DONE;
}

/* Behind a complaint. */
static int show_usage(const struct cli_command *command)
{
        size_t size = 0;
        char *text = make_usage(command, &size);

        if (text)
                error_bytes(text, size);
        free(text);
        return EXIT_USAGE;
}

static int print_help(void)
{
        print_formatted("ferry moves messages between processes.\n\n");
        for (size_t i = 0; i < COMMANDS; i++)
                print_formatted("  ferry %-8s %-28s %s\n", commands[i]->name, commands[i]->arguments, commands[i]->summary);
        print_formatted("\nADDRESS is the NAME of a service, unix:PATH, tcp:HOST:PORT, exec:COMMAND LINE, ssh:HOST:NAME,\n"
                        "nats:SUBJECT, stdio:, file:IN,OUT, fifo:IN,OUT or fd:IN,OUT. For send and recv it is a channel: udp:HOST:PORT,\n"
                        "udg:PATH, tcp:HOST:PORT, unix:PATH, fifo:PATH, msgq:PATH, msgq:KEY or mqueue:NAME; for store it is shm:PATH or shm:KEY.\n"
                        "ferry COMMAND --help lists the options of a command; man ferry describes all.\n");
        return EXIT_DONE;
}

static const ferry_codec *find_codec(const char *name, bool has_plain)
{
        const ferry_codec *all[] = { ferry_codec_msgpack(), ferry_codec_php(), ferry_codec_json(), ferry_codec_json_objects(),
                                     ferry_codec_plain() };

        for (size_t i = 0; i < sizeof all / sizeof *all - !has_plain; i++)
                if (strcmp(all[i]->name, name) == 0)
                        return all[i];
        complain("there is no codec '%s'%s", name, has_plain ? ": msgpack, php, json, json-objects or plain" :
                                                                  " here: msgpack, php, json or json-objects");
        return NULL;
}

/* One, or for a service several with commas between them. */
static bool read_dialects(const char *names, unsigned *ret)
{
        static const struct {
                const char *name;
                unsigned dialect;
        } all[] = { { "auto", FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC }, { "ferry", FERRY_DIALECT_FERRY },
                    { "stream-ipc", FERRY_DIALECT_STREAM_IPC }, { "innmind", FERRY_DIALECT_INNMIND },
                    { "pcntl", FERRY_DIALECT_PCNTL } };
        const char *at = names;

        *ret = 0;
        do {
                size_t size = strcspn(at, ","), i = 0;

                while (i < sizeof all / sizeof *all && (strlen(all[i].name) != size || memcmp(all[i].name, at, size) != 0))
                        i++;
                if (i == sizeof all / sizeof *all) {
                        complain("there is no dialect '%.*s': write auto, ferry, stream-ipc, innmind or pcntl", (int)size, at);
                        return false;
                }
                *ret |= all[i].dialect;
                at += size;
        } while (*at++ == ',');
        return true;
}

static const char digits[] = "0123456789";

/* Numbers are plain decimal ones: the functions of the C library also take blanks, a plus sign, exponents, 0x10, inf and nan. */
static bool is_integer(const char *text)
{
        text += *text == '-';
        return *text && text[strspn(text, digits)] == '\0';
}

static bool is_decimal(const char *text)
{
        size_t whole = strspn(text, digits);
        size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, digits) : 0;

        return whole + fraction > 0 && text[whole + (text[whole] == '.') + fraction] == '\0';
}

/* 0: not at all; none, which is -1: forever. */
static bool read_seconds(const char *name, const char *text, int *ret_ms)
{
        double seconds = is_decimal(text) ? strtod(text, NULL) : -1;

        if (strcmp(text, "none") == 0) {
                *ret_ms = -1;
                return true;
        }
        if (seconds < 0 || seconds > 1e6) {
                complain("--%s: '%s' is not a number of seconds from 0 to 1000000, nor none", name, text);
                return false;
        }
        *ret_ms = (int)ceil(seconds * 1000);
        return true;
}

/* More than none, and not forever. */
static bool read_duration(const char *name, const char *text, int *ret_ms)
{
        if (!read_seconds(name, text, ret_ms))
                return false;
        if (*ret_ms > 0)
                return true;
        complain("--%s: '%s' is not a number of seconds above 0", name, text);
        return false;
}

bool read_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *ret)
{
        errno = 0;
        *ret = strtoll(text, NULL, 10);
        if (!is_integer(text))
                complain("%s: '%s' is not a whole decimal number", name, text);
        else if (*ret < least || (errno && *ret < 0))
                complain("%s: %s is less than %lld", name, text, (long long)least);
        else if (*ret > most || errno)
                complain("%s: %s is more than %lld", name, text, (long long)most);
        else
                return true;
        return false;
}

static bool read_count(const char *name, const char *text, long least, long most, long *ret)
{
        char option[32];
        int64_t number;

        snprintf(option, sizeof option, "--%s", name);
        if (!read_number(option, text, least, most, &number))
                return false;
        *ret = (long)number;
        return true;
}

static bool read_mode(const char *text, unsigned *ret)
{
        char *end;
        unsigned long mode = strtoul(text, &end, 8);

        if (strspn(text, "01234567") == strlen(text) && mode > 0 && mode <= 0777) {
                *ret = (unsigned)mode;
                return true;
        }
        complain("--mode: '%s' is not an octal number from 1 to 777", text);
        return false;
}

/* Those of channels, stores and objects of the kernel. */
static bool read_channel_option(struct cli_options *options, const char *name, const char *argument)
{
        if (strcmp(name, "mode") == 0)
                return read_mode(argument, &options->mode);
        if (strcmp(name, "ttl") == 0)
                return read_number("--ttl", argument, 1, 255, &options->ttl);
        if (strcmp(name, "size") == 0)
                return read_number("--size", argument, 1, PTRDIFF_MAX, &options->bytes);
        if (strcmp(name, "interface") == 0)
                options->interface = argument;
        else if (strcmp(name, "group") == 0)
                options->group = argument;
        else if (strcmp(name, "broadcast") == 0)
                options->is_broadcast = true;
        else if (strcmp(name, "create") == 0)
                options->is_creating = true;
        else if (strcmp(name, "strict") == 0)
                options->is_strict = true;
        else if (strcmp(name, "remove") == 0)
                options->is_removing = true;
        else if (strcmp(name, "remove-stale") == 0)
                options->is_removing_stale = true;
        return true;
}

/* A number of bytes, with K, M or G of so many times 1,024. */
static bool read_size(const char *name, const char *text, int64_t *ret)
{
        static const char units[] = "KMG";
        size_t size = strlen(text);
        const char *unit = size > 1 ? strchr(units, toupper((unsigned char)text[size - 1])) : NULL;
        int shift = unit ? 10 * (int)(unit - units + 1) : 0;

        errno = 0;
        *ret = strtoll(text, NULL, 10);
        if (strspn(text, digits) != size - (unit != NULL) || *ret < 1 || errno || *ret > PTRDIFF_MAX >> shift) {
                complain("--%s: '%s' is not a number of bytes from 1, alone or with K, M or G", name, text);
                return false;
        }
        *ret <<= shift;
        return true;
}

static bool read_run_option(struct cli_options *options, const char *name, const char *argument)
{
        if (strcmp(name, "max-tasks") == 0)
                return read_number("--max-tasks", argument, 1, UINT_MAX, &options->max_tasks);
        if (strcmp(name, "max-rss") == 0)
                return read_size(name, argument, &options->max_rss);
        if (strcmp(name, "null") == 0)
                options->is_null = true;
        else if (strcmp(name, "halt") == 0)
                options->halt = argument;
        else if (strcmp(name, "joblog") == 0)
                options->joblog = argument;
        else if (strcmp(name, "resume") == 0)
                options->is_resuming = true;
        else if (strcmp(name, "resume-failed") == 0)
                options->is_resuming = options->is_failed_again = true;
        else
                return read_channel_option(options, name, argument);
        return true;
}

/* What an empty argument, as an unset variable of a shell is, cannot stand for. */
static bool is_empty_name(const char *name, const char *argument)
{
        static const char *const names[][2] = { { "allow", "a USER" }, { "exec", "a COMMAND" }, { "joblog", "a FILE" },
                                                { "notify-exec", "a COMMAND" },
                                                { "group", "an argument" }, { "interface", "a NAME" }, { "namespace", "a ROOT" },
                                                { "on", "a HOST" }, { "tasks", "an ADDRESS" }, { "remote-ferry", "a PATH" } };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(names[i][0], name) == 0 && is_blank(argument)) {
                        complain("--%s needs %s: '%s' is empty", name, names[i][1], argument);
                        return true;
                }
        return false;
}

static bool read_option(const struct cli_command *command, struct cli_options *options, const char *name,
                        const char *argument)
{
        if (is_empty_name(name, argument))
                return false;
        if (strcmp(name, "dialect") == 0)
                return read_dialects(argument, &options->dialects);
        if (strcmp(name, "codec") == 0)
                return (options->codec = find_codec(argument, command->has_records)) != NULL;
        if (strcmp(name, "from") == 0)
                return (options->from = find_codec(argument, true)) != NULL;
        if (strcmp(name, "to") == 0)
                return (options->to = find_codec(argument, true)) != NULL;
        if (strcmp(name, "timeout") == 0)
                return (options->has_timeout = read_seconds(name, argument, &options->timeout_ms));
        if (strcmp(name, "wait") == 0)
                return (options->has_wait = read_seconds(name, argument, &options->wait_ms));
        if (strcmp(name, "allow") == 0)
                return access_read_user(argument, options);
        if (strcmp(name, "describe") == 0)
                return describe_read(argument, options);
        if (strcmp(name, "drain") == 0)
                return read_seconds(name, argument, &options->drain_ms);
        if (strcmp(name, "count") == 0)
                return read_count(name, argument, 1, LONG_MAX, &options->count);
        if (strcmp(name, "workers") == 0)
                return read_count(name, argument, 1, WORKERS_MAX, &options->workers);
        if (strcmp(name, "in-flight") == 0)
                return read_count(name, argument, 1, IN_FLIGHT_MAX, &options->in_flight);
        if (strcmp(name, "after-clients") == 0)
                return read_count(name, argument, 1, CLIENTS_MAX, &options->after_clients);
        if (strcmp(name, "seconds") == 0)
                return read_duration(name, argument, &options->seconds_ms);
        if (strcmp(name, "retry") == 0)
                return read_count(name, argument, 0, LONG_MAX, &options->retry);
        if (strcmp(name, "namespace") == 0)
                options->root = argument;
        else if (strcmp(name, "type") == 0)
                options->type = argument;
        else if (strcmp(name, "each") == 0)
                options->is_each = true;
        else if (strcmp(name, "ordered") == 0)
                options->is_ordered = true;
        else if (strcmp(name, "unordered") == 0)
                options->is_unordered = true;
        else if (strcmp(name, "on") == 0)
                options->on = argument;
        else if (strcmp(name, "tasks") == 0)
                options->tasks = argument;
        else if (strcmp(name, "remote-ferry") == 0)
                options->remote_ferry = argument;
        else if (strcmp(name, "reply") == 0)
                options->reply = argument;
        else if (strcmp(name, "exec") == 0)
                options->exec = argument;
        else if (strcmp(name, "notify-exec") == 0)
                options->notify_exec = argument;
        else if (strcmp(name, "json") == 0)
                options->is_json = true;
        else if (strcmp(name, "verbose") == 0)
                options->is_verbose = true;
        else if (strcmp(name, "value") == 0)
                options->is_value = true;
        else if (strcmp(name, "echo") == 0)
                options->is_echo = true;
        else if (strcmp(name, "stream") == 0)
                options->is_streaming = true;
        else if (strcmp(name, "publish") == 0)
                options->is_publishing = true;
        else if (strcmp(name, "retain") == 0)
                options->is_retaining = true;
        else if (strcmp(name, "public") == 0)
                options->is_public = true;
        else if (strcmp(name, "quiet") == 0)
                options->is_quiet = true;
        else if (strcmp(name, "shm") == 0)
                options->is_shm = true;
        else if (strcmp(name, "take-over") == 0)
                options->is_taking_over = true;
        else if (strcmp(name, "no-reconnect") == 0)
                options->is_once = true;
        else if (strcmp(name, "no-shm") == 0)
                options->is_no_shm = true;
        else
                return read_run_option(options, name, argument);
        return true;
}

/* Returns an exit status, or -1 to go on; the arguments are moved behind the options. */
static int read_options(const struct cli_command *command, struct cli_options *options, int argc, char **argv)
{
        struct option table[KNOWN + 2] = { 0 };
        int index = 0, letter;

        for (int i = 0; i < KNOWN; i++)
                table[i] = (struct option){ .name = known[i].name, .has_arg = known[i].argument != NULL };
        table[KNOWN] = (struct option){ .name = "help", .val = 'h' };
        opterr = 0;
        while ((letter = getopt_long(argc, argv, command->is_wrapper ? "+:hv" : ":hv", table, &index)) != -1) {
                const char *name = letter == 0 ? known[index].name : "verbose";

                if (letter == 'h')
                        return print_usage(command);
                if (letter == '?' || letter == ':') {
                        char short_option[] = { '-', (char)optopt, '\0' };

                        /* Of several letters in one argument only optopt says which it was. */
                        complain(letter == '?' ? "there is no option '%s'" : "%s needs an argument",
                                 letter == '?' && optopt > 0 && optopt < 0x80 && argv[optind - 1][1] != '-' ?
                                         short_option : argv[optind - 1]);
                        return show_usage(command);
                }
                if (!takes(command, name)) {
                        complain("%s takes no --%s", command->name, name);
                        return show_usage(command);
                }
                if (!read_option(command, options, name, optarg ? optarg : ""))
                        return EXIT_USAGE;
        }
        return -1;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct cli_options options = { .timeout_ms = 30000, .wait_ms = 1000, .drain_ms = -1 };
        int status = read_options(command, &options, argc, argv);

        if (status >= 0)
                return status;
        if (argc - optind < command->least || argc - optind > command->most) {
                if (argc - optind < command->least)
                        complain("%s needs %s", command->name, command->arguments);
                else
                        complain("unexpected argument '%s'", argv[optind + command->most]);
                return show_usage(command);
        }
        status = unused_check(command->name, &options, argv + optind, argc - optind);
        return status ? status : command->run(&options, argv + optind, argc - optind);
}

/* What is opened must not become stdin, stdout or stderr because those were closed. What stands in for them can be
 * used as little: to write where stdin was, to read where the others were. */
static void replace_closed(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* NULL was complained about. */
static const struct cli_command *find_command(const char *name)
{
        for (size_t i = 0; i < COMMANDS; i++)
                if (strcmp(commands[i]->name, name) == 0)
                        return commands[i];
        complain(*name ? "there is no command '%s': ferry --help lists the commands" :
                         "a command is missing: ferry --help lists the commands", name);
        return NULL;
}

/* ferry help, or ferry help COMMAND; --help of a command is one of its options. */
static int help(const char *name, int argc, char **argv)
{
        const struct cli_command *command;

        if (argc < 3)
                return print_help();
        if (argc > 3 || strcmp(name, "help") != 0) {
                complain("unexpected argument '%s': write ferry help COMMAND, or ferry COMMAND --help", argv[argc - 1]);
                return EXIT_USAGE;
        }
        command = find_command(argv[2]);
        return command ? print_usage(command) : EXIT_USAGE;
}

static int print_version(int argc, char **argv)
{
        if (argc > 2) {
                complain("unexpected argument '%s': --version takes none", argv[2]);
                return EXIT_USAGE;
        }
        print_formatted("ferry %s\n", ferry_version());
        return EXIT_DONE;
}

static int run_named(const char *name, int argc, char **argv)
{
        const struct cli_command *command;

        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
                return help(name, argc, argv);
        if (strcmp(name, "--version") == 0)
                return print_version(argc, argv);
        command = find_command(name);
        return command ? run(command, argc - 1, argv + 1) : EXIT_USAGE;
}

int main(int argc, char **argv)
{
        int status;

        replace_closed();
        signals_begin();
        status = run_named(argc > 1 ? argv[1] : "", argc, argv);
        print_withheld();
        return output_close(status);
}
