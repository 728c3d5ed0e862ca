/* Other machines, as --on names them: [USER@]HOST[:PORT]. What runs there is a line for sh(1), each word in quotes. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1 << 20 };

/* Of an address the host may be followed by more than a port, which --on does not mean; and a comma stands between two hosts. */
static bool is_host(const char *host)
{
        const char *at = strrchr(host, '@'), *end = at ? at + 1 : host;
        char *address = NULL;
        bool is_one;

        end = *end == '[' ? strchr(end, ']') : end + strcspn(end, ":") - 1;
        if (!end || strchr(host, ',') || asprintf(&address, "ssh:%s:x", host) < 0)
                return false;
        is_one = ferry_address_scheme(address) == FERRY_SCHEME_SSH &&
                 (end[1] == '\0' || (end[2] && !end[2 + strspn(end + 2, "0123456789")]));
        free(address);
        return is_one;
}

bool remote_check_host(const char *host)
{
        if (is_host(host))
                return true;
        complain("--on: '%s' is not a host: write [USER@]HOST[:PORT], as for ssh:", host);
        return false;
}

static void quote(FILE *stream, const char *word)
{
        fputc('\'', stream);
        for (; *word; word++)
                if (*word == '\'')
                        fputs("'\\''", stream);
                else
                        fputc(*word, stream);
        fputc('\'', stream);
}

char *remote_quote(const char *const *words)
{
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return NULL;
        for (size_t i = 0; words[i]; i++) {
                if (i > 0)
                        fputc(' ', stream);
                quote(stream, words[i]);
        }
        if (close_text(stream))
                return text;
        free(text);
        return NULL;
}

/* A worker there ------------------------------------------------------------------------------------------- */

/* An IPv6 address loses its brackets. */
static char *make_destination(const char *host, size_t size)
{
        const char *at = memrchr(host, '@', size);
        size_t user = at ? (size_t)(at + 1 - host) : 0;
        bool has_brackets = host[user] == '[';
        char *text = NULL;
        int end = (int)(size - user) - 2 * has_brackets;

        return asprintf(&text, "%.*s%.*s", (int)user, host, end, host + user + has_brackets) < 0 ? NULL : text;
}

bool remote_make_worker(const char *host, const char *const *words, long number, struct remote_worker *ret)
{
        /* As sessions of ssh: have it, and no longer than a task may wait. */
        static const char *const always[] = { "ssh", "-T", "-oServerAliveInterval=15", "-oServerAliveCountMax=3",
                                              "-oClearAllForwardings=yes", "-oRemoteCommand=none", "-oPermitLocalCommand=no",
                                              "-oBatchMode=yes", "-oConnectTimeout=10" };
        const char *bracket = strrchr(host, ']'), *port = strchr(bracket ? bracket : host, ':');
        char *command = remote_quote(words);
        size_t count = sizeof always / sizeof *always;

        *ret = (struct remote_worker){ .destination = make_destination(host, port ? (size_t)(port - host) : strlen(host)) };
        if (!command || asprintf(&ret->command, "exec env FERRY_WORKER=%ld %s", number, command) < 0)
                ret->command = NULL;
        free(command);
        if (!ret->destination || !ret->command)
                return false;
        memcpy(ret->argv, always, sizeof always);
        if (port) {
                ret->argv[count++] = "-p";
                ret->argv[count++] = port + 1;
        }
        ret->argv[count++] = "--";
        ret->argv[count++] = ret->destination;
        ret->argv[count++] = ret->command;
        ret->argv[count] = NULL;
        return true;
}

void remote_free_worker(struct remote_worker *worker)
{
        free(worker->destination);
        free(worker->command);
}

char **remote_split_hosts(const char *text, long *ret_count)
{
        size_t most = 1;
        char **hosts, *copy = strdup(text);

        for (const char *at = text; *at; at++)
                most += *at == ',';
        hosts = calloc(most + 1, sizeof *hosts);
        *ret_count = 0;
        if (!copy || !hosts) {
                complain("--on: no memory for %zu hosts", most);
                free(copy);
                free(hosts);
                return NULL;
        }
        /* The first is the copy itself. */
        for (char *host = copy, *end; host; host = end) {
                end = strchr(host, ',');
                if (end)
                        *end++ = '\0';
                hosts[(*ret_count)++] = host;
                if (!remote_check_host(host)) {
                        remote_free_hosts(hosts);
                        return NULL;
                }
        }
        return hosts;
}

void remote_free_hosts(char **hosts)
{
        if (hosts)
                free(hosts[0]);
        free(hosts);
}

/* A command there, and its lines -------------------------------------------------------------------------- */

struct listing {
        struct lines lines;
        int fd;
        ferry_builder *list;
        const char *host;
        long wrong;                     /* lines that are no JSON */
};

static void take_line(struct listing *listing, const char *line, size_t size)
{
        char reason[256];
        FERRY_AUTO(ferry_value) item = line ? body_of_line(line, size, true, reason, sizeof reason) : NULL;

        if (ferry_value_kind(item) == FERRY_VALUE_MAP)
                ferry_builder_add_value(listing->list, item);
        else
                listing->wrong++;
}

static int take_output(ferry_loop *loop, void *userdata)
{
        struct listing *listing = userdata;
        int error = lines_read(&listing->lines, listing->fd);

        (void)loop;
        while (lines_are_there(&listing->lines)) {
                size_t size;
                const char *line = lines_next(&listing->lines, &size);

                take_line(listing, line, size);
        }
        return error >= 0 && !listing->lines.is_over;
}

static void pass_line(ferry_bridge *bridge, const char *line, size_t size, void *userdata)
{
        (void)bridge;
        complain("%s: %.*s", ((const struct listing *)userdata)->host, (int)size, line);
}

static int run_there(struct listing *listing, const char *address, const struct cli_options *options)
{
        const ferry_bridge_options bridge_options = { .line = pass_line, .line_userdata = listing, .remote_ferry = options->remote_ferry };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_bridge *bridge;
        int ends[2] = { -1, -1 }, in = open("/dev/null", O_RDONLY | O_CLOEXEC), error = -EMFILE;

        if (in < 0 || pipe2(ends, O_CLOEXEC) < 0)
                complain("cannot list the services of '%s': no descriptors are left", listing->host);
        else {
                bridge = ferry_bridge_open(loop, address, in, ends[1], &bridge_options);
                if (ferry_bridge_status(bridge) != 1) {
                        /* They are still ours, and the end of the output is what the reading below waits for. */
                        close(in);
                        close(ends[1]);
                }
                listing->fd = ends[0];
                ferry_loop_watch(loop, ends[0], POLLIN, take_output, listing);
                while (ferry_bridge_status(bridge) == 1)
                        ferry_loop_tick(loop, -1);
                while (!listing->lines.is_over && take_output(loop, listing))
                        ;
                error = ferry_bridge_status(bridge);
                if (error < 0)
                        complain("%s", ferry_bridge_error(bridge));
        }
        ferry_loop_free(loop);
        if (ends[0] >= 0)
                close(ends[0]);
        return error < 0 ? EXIT_CONNECTION : EXIT_DONE;
}

int remote_list(const char *host, const struct cli_options *options, ferry_value **ret_services)
{
        const char *const words[] = { options->remote_ferry ? options->remote_ferry : "ferry", "list", "--json", NULL };
        struct listing listing = { .lines = { .max = LINE_MAX_BYTES, .separator = '\n' }, .host = host };
        char *command = remote_quote(words), *address = NULL;
        int status = EXIT_CONNECTION;

        *ret_services = NULL;
        if (!command || asprintf(&address, "ssh:%s:exec:exec %s", host, command) < 0) {
                address = NULL;
                complain("cannot list the services of '%s': no memory", host);
        } else {
                listing.list = ferry_builder_new();
                ferry_builder_open(listing.list, FERRY_VALUE_LIST, NULL);
                status = run_there(&listing, address, options);
                ferry_builder_close(listing.list);
                ferry_builder_finish(listing.list, ret_services);
        }
        if (status == EXIT_DONE && (listing.wrong > 0 || !*ret_services)) {
                complain("the ferry on '%s' has answered with %ld lines that are not services", host, listing.wrong);
                status = EXIT_CONNECTION;
        }
        lines_free(&listing.lines);
        free(command);
        free(address);
        return status;
}
