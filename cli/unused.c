/* Options that would have no effect with the others, or at this address, are refused: a program that gives one expects
 * something of it. */
#include "run.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_one_of(int scheme, int a, int b)
{
        return scheme == a || scheme == b;
}

/* What the process at the other end need not come to: it is there, or is started. */
static bool is_there(int scheme)
{
        return is_one_of(scheme, FERRY_SCHEME_EXEC, FERRY_SCHEME_FD) || is_one_of(scheme, FERRY_SCHEME_FILE, FERRY_SCHEME_STDIO);
}

/* By a service. */
static bool is_served(int scheme)
{
        return is_one_of(scheme, FERRY_SCHEME_NAME, FERRY_SCHEME_UNIX) || scheme == FERRY_SCHEME_TCP;
}

static bool is_named(const char *command, const char *a, const char *b)
{
        return strcmp(command, a) == 0 || strcmp(command, b) == 0;
}

/* A set of them, which is not auto. */
static bool has_many_dialects(unsigned dialects)
{
        return (dialects & (dialects - 1)) && dialects != (FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC);
}

/* fd: with our own stdin or stdout. */
static bool has_stdio(int scheme, const char *address)
{
        const char *at = scheme == FERRY_SCHEME_FD ? strchr(address, ':') : NULL;

        for (; at; at = strchr(at + 1, ','))
                if (isdigit((unsigned char)at[1]) && strtol(at + 1, NULL, 10) <= STDOUT_FILENO)
                        return true;
        return scheme == FERRY_SCHEME_STDIO;
}

/* Whether another user may have put a socket there: that of a NAME stands in a directory of ours or root's, but for innmind. */
static bool is_shared(int scheme, const struct cli_options *options)
{
        return scheme == FERRY_SCHEME_UNIX || (scheme == FERRY_SCHEME_NAME && (options->dialects & FERRY_DIALECT_INNMIND));
}

int unused_check(const char *command, const struct cli_options *options, char **arguments, int count)
{
        int scheme = count > 0 ? ferry_address_scheme(arguments[0]) : -1;
        bool is_listen = strcmp(command, "listen") == 0, is_peer = is_named(command, "call", "notify"),
             is_client = is_peer || strcmp(command, "bench") == 0, is_bridge = strcmp(command, "bridge") == 0,
             is_run = strcmp(command, "run") == 0, is_call = strcmp(command, "call") == 0, is_each = options->is_each;
        bool is_remote = is_run && options->on && (strncmp(options->on, "nats:", 5) == 0 || jetstream_is_address(options->on));
        bool is_store = strcmp(command, "store") == 0 && count > 1;
        const char *verb = is_store ? arguments[1] : "";
        const struct {
                bool is_broken;
                const char *rule;
        } rules[] = {
                { is_listen && options->is_value && !options->reply && !options->exec && !options->is_publishing,
                  "--value needs --reply, --exec or --publish" },
                { options->is_taking_over && scheme >= 0 && !is_one_of(scheme, FERRY_SCHEME_NAME, FERRY_SCHEME_UNIX),
                  "--take-over is for NAME and unix: only" },
                { is_listen && options->is_retaining && !options->is_publishing, "--retain needs --publish" },
                { is_listen && options->after_clients && !options->is_publishing, "--after-clients needs --publish" },
                { is_listen && options->has_timeout && !options->is_publishing && !options->exec && !options->notify_exec,
                  "--timeout needs --exec, --notify-exec or --publish" },
                { is_listen && options->is_publishing && scheme >= 0 && !is_served(scheme), "--publish is for NAME, unix: and tcp: only" },
                { is_listen && options->described_count && scheme >= 0 && !is_served(scheme),
                  "--describe is for NAME, unix: and tcp: only" },
                { is_listen && options->described_count && options->dialects && !(options->dialects & FERRY_DIALECT_FERRY),
                  "--describe is for the dialect ferry only" },
                { is_listen && options->is_publishing && options->dialects && options->dialects != FERRY_DIALECT_FERRY,
                  "--publish is for the dialect ferry only" },
                { strcmp(command, "watch") == 0 && options->has_wait && is_there(scheme), "--wait is not for exec:, fd:, file: and stdio:" },
                { options->is_once && is_there(scheme), "--no-reconnect is not for exec:, fd:, file: and stdio:" },
                { strcmp(command, "watch") == 0 && options->allowed_count && scheme >= 0 && scheme != FERRY_SCHEME_UNIX,
                  "--allow is for unix:PATH" },
                { is_listen && options->is_streaming && !options->exec, "--stream needs --exec" },
                { is_listen && options->is_streaming && options->dialects && !(options->dialects & FERRY_DIALECT_FERRY),
                  "--stream is for the dialect ferry only" },
                { is_listen && options->workers && !options->exec && !options->notify_exec, "--workers needs --exec or --notify-exec" },
                { is_listen && options->is_public && scheme >= 0 && scheme != FERRY_SCHEME_TCP, "--public is for tcp: only" },
                { is_listen && options->is_quiet && options->is_json, "--quiet and --json exclude each other" },
                { is_bridge && options->dialects && (options->dialects != FERRY_DIALECT_INNMIND || scheme != FERRY_SCHEME_NAME),
                  "--dialect is for a NAME in innmind, whose services stand in another directory" },
                { (is_client || is_bridge) && options->has_wait && is_there(scheme), "--wait is not for exec:, fd:, file: and stdio:" },
                { is_client && options->allowed_count && scheme >= 0 && !is_shared(scheme, options),
                  "--allow is for unix:PATH, and for NAME in innmind" },
                { options->remote_ferry && scheme >= 0 && scheme != FERRY_SCHEME_SSH, "--remote-ferry is for ssh: only" },
                { is_run && options->on && !is_remote && !options->workers, "--on needs --workers" },
                { is_remote && options->max_tasks, "--max-tasks is not for nats:, whose workers are not started here" },
                { is_remote && options->dialects, "--dialect is not for nats:, which has its own" },
                { is_remote && options->root, "--namespace is for the dialect stream-ipc only" },
                { is_run && options->tasks && options->joblog, "--tasks and --joblog exclude each other: the stream knows what is done" },
                { is_run && options->tasks && options->is_null, "--null is for the tasks of stdin" },
                { is_run && options->tasks && is_remote, "--tasks needs COMMAND, instead of --on nats:" },
                { is_run && options->has_wait && !is_remote && !options->tasks, "--wait is for --on nats: and --tasks only" },
                { is_run && options->on && options->max_rss, "--max-rss is not for --on: the memory there is not known here" },
                { options->remote_ferry && strcmp(command, "list") == 0 && !options->on, "--remote-ferry needs --on" },
                { strcmp(command, "list") == 0 && options->on && count > 0, "--on lists the services of a host: leave 'nats:' out" },
                { strcmp(command, "list") == 0 && (options->has_timeout || options->has_wait) && count == 0,
                  "--timeout and --wait need 'nats:'" },
                { is_each && (count < 3 || strcmp(arguments[2], "-") != 0), "--each reads stdin: write - for BODY" },
                { is_each && has_stdio(scheme, arguments[0]), "--each reads stdin and prints on stdout: ADDRESS must be another one" },
                { is_each && options->in_flight > 1 && (options->dialects & (FERRY_DIALECT_INNMIND | FERRY_DIALECT_PCNTL)),
                  "--in-flight: in innmind and pcntl one request is in flight at a time" },
                { is_call && options->in_flight && !is_each, "--in-flight needs --each" },
                { is_call && options->is_unordered && !is_each, "--unordered needs --each" },
                { is_call && options->is_once && !is_each, "--no-reconnect needs --each" },
                { is_call && options->is_null && !is_each, "--null needs --each" },
                { is_peer && options->is_value && count < 3, "--value needs BODY" },
                { options->root && options->dialects && !(options->dialects & FERRY_DIALECT_STREAM_IPC),
                  "--namespace is for the dialect stream-ipc only" },
                { options->codec && options->dialects && !(options->dialects & (FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC)),
                  "--codec is for the dialects ferry and stream-ipc only" },
                { strcmp(command, "watch") == 0 && scheme == FERRY_SCHEME_NATS,
                  "patterns of types are for services of ferry: 'ferry listen' prints what comes to a subject of nats:" },
                { strcmp(command, "describe") == 0 && scheme == FERRY_SCHEME_NATS,
                  "listeners at nats: have no descriptions: 'ferry list nats:' lists them" },
                { options->dialects && scheme == FERRY_SCHEME_NATS, "--dialect is not for nats:, which has its own" },
                { options->root && scheme == FERRY_SCHEME_NATS, "--namespace is for the dialect stream-ipc only" },
                { options->is_shm && options->is_no_shm, "--shm and --no-shm exclude each other" },
                { (options->is_shm || options->is_no_shm) && scheme >= 0 && !is_one_of(scheme, FERRY_SCHEME_NAME, FERRY_SCHEME_UNIX),
                  "--shm and --no-shm are for NAME and unix: only" },
                { (options->is_shm || options->is_no_shm) && options->dialects && !(options->dialects & FERRY_DIALECT_FERRY),
                  "--shm and --no-shm are for the dialect ferry only" },
                { strcmp(command, "wait") == 0 && has_many_dialects(options->dialects), "--dialect: name one, or auto" },
                { strcmp(command, "wait") == 0 && options->dialects && scheme >= 0 &&
                          !is_one_of(scheme, FERRY_SCHEME_NAME, FERRY_SCHEME_UNIX),
                  "--dialect is for NAME and unix: only" },
                { is_store && options->is_value && strcmp(verb, "put") != 0, "--value is for put only" },
                { is_store && options->bytes && strcmp(verb, "put") != 0, "--size is for put only" },
                { is_store && options->mode && !is_named(verb, "put", "lock"), "--mode is for put and lock only" },
                { is_store && options->is_json && is_named(verb, "put", "remove"), "--json is not for put and remove" },
                { is_store && options->is_json && strcmp(verb, "lock") == 0, "--json is not for lock" },
        };

        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
                if (rules[i].is_broken) {
                        complain("%s: %s", command, rules[i].rule);
                        return EXIT_USAGE;
                }
        return 0;
}
