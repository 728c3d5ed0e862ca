/* A session with a service on another machine: ssh(1) runs `ferry bridge NAME` there. The system's ssh is used with the user's
 * configuration; what would make it do something else than that is switched off, as scp(1) does.
 *
 * Nothing of an address may become an option of ssh, or more than one word of the shell there. */
#include "stream/ssh.h"

#include "stream/exec.h"
#include "stream/open.h"
#include "util/buffer.h"
#include "util/text.h"
#include "wire/dialect.h"

#include <ferry/address.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        PORT_MAX = 65535,
        LINGER_MS = 5000,       /* between the end of the output and the exit of ssh: the network is between them */
};

const char ssh_form[] = "write ssh:[USER@]HOST[:PORT]:NAME; NAME is a service, unix:PATH, tcp:HOST:PORT, exec:COMMAND or another address"
                        " of a session on that host";

/* What ssh refuses in names, since its configuration may hand them to a shell. */
static bool is_plain(const char *text, size_t size)
{
        if (size == 0 || *text == '-')
                return false;
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || strchr("'`\"$\\;&<>|(){}*?!#~[]/", text[i]))
                        return false;
        return true;
}

static int check_name(const char *name)
{
        int scheme;

        /* Its own bridge checks that. */
        if (strncmp(name, "ssh:", 4) == 0)
                return name[4] ? 0 : -EINVAL;
        scheme = ferry_address_scheme(name);
        switch (scheme) {
        case FERRY_SCHEME_NAME:
        case FERRY_SCHEME_UNIX:
        case FERRY_SCHEME_TCP:
        case FERRY_SCHEME_FILE:
                return 0;
        case FERRY_SCHEME_EXEC:
                return name[5 + strspn(name + 5, " \t\n")] ? 0 : -EINVAL;
        case FERRY_SCHEME_FIFO:
                return strchr(name, ',') ? 0 : -EINVAL;
        default:
                return -EINVAL;
        }
}

static bool is_port(const char *digits, size_t size)
{
        long port = 0;

        for (size_t i = 0; i < size && port <= PORT_MAX; i++)
                port = port * 10 + (digits[i] - '0');
        return port > 0 && port <= PORT_MAX;
}

int ssh_parse(const char *text, struct ssh_address *ret)
{
        size_t head = strcspn(text, ":["), digits;
        const char *at = memrchr(text, '@', head), *end;

        *ret = (struct ssh_address){ .host = at ? at + 1 : text };
        if (at) {
                ret->user = text;
                ret->user_size = (size_t)(at - text);
        }
        if (*ret->host == '[') {
                ret->host++;
                end = strchr(ret->host, ']');
                if (!end || end[1] != ':')
                        return -EINVAL;
                ret->host_size = (size_t)(end - ret->host);
                end++;
        } else {
                end = text + head;
                if (*end != ':')
                        return -EINVAL;
                ret->host_size = (size_t)(end - ret->host);
        }
        ret->name = end + 1;
        digits = strspn(ret->name, "0123456789");
        if (digits > 0 && ret->name[digits] == ':') {
                ret->port = ret->name;
                ret->port_size = digits;
                ret->name += digits + 1;
        }
        if (!is_plain(ret->host, ret->host_size) || (ret->user && !is_plain(ret->user, ret->user_size)) ||
            (ret->port && !is_port(ret->port, ret->port_size)))
                return -EINVAL;
        return check_name(ret->name);
}

/* The command ---------------------------------------------------------------------------------------------- */

static int add(struct buffer *buffer, const char *text, size_t size)
{
        return buffer_append(buffer, text, size);
}

/* One word of sh(1), whatever it holds. */
static int add_quoted(struct buffer *buffer, const char *text)
{
        int code = add(buffer, "'", 1);

        for (size_t part; !code && *text; text += part) {
                part = strcspn(text, "'");
                code = add(buffer, text, part);
                if (!code && text[part] == '\'') {
                        code = add(buffer, "'\\''", 4);
                        part++;
                }
        }
        return code ? code : add(buffer, "'", 1);
}

static int add_text(struct buffer *buffer, const char *text)
{
        return add(buffer, text, strlen(text));
}

/* What the shell of the other machine runs, with its zero. */
static int make_command(struct buffer *buffer, const char *name, const ferry_session_options *options)
{
        const char *dialect = wire_directory(options->dialect) ? wire_dialect_name(options->dialect) : NULL;
        int scheme = ferry_address_scheme(name), code;
        char wait[48] = " bridge --wait none";

        /* What is there need not be waited for. */
        if (scheme == FERRY_SCHEME_EXEC || scheme == FERRY_SCHEME_FILE)
                snprintf(wait, sizeof wait, " bridge");
        else if (options->wait_ms >= 0)
                snprintf(wait, sizeof wait, " bridge --wait %d.%03d", options->wait_ms / 1000, options->wait_ms % 1000);
        code = add_quoted(buffer, options->remote_ferry ? options->remote_ferry : "ferry");
        code = code ? code : add_text(buffer, wait);
        code = code || !dialect ? code : add_text(buffer, " --dialect ");
        code = code || !dialect ? code : add_text(buffer, dialect);
        code = code ? code : add_text(buffer, " -- ");
        code = code ? code : add_quoted(buffer, name);
        return code ? code : add(buffer, "", 1);
}

struct words {
        char *destination;              /* [USER@]HOST */
        char *port;
        struct buffer command;
        const char *argv[20];
};

static char *copy_part(const char *text, size_t size)
{
        char *bytes = sys_alloc(size + 1);

        if (!bytes)
                return NULL;
        memcpy(bytes, text, size);
        bytes[size] = '\0';
        return bytes;
}

static char *make_destination(const struct ssh_address *address)
{
        size_t user = address->user ? address->user_size + 1 : 0;
        char *text = sys_alloc(user + address->host_size + 1);

        if (!text)
                return NULL;
        if (user > 0) {
                memcpy(text, address->user, user - 1);
                text[user - 1] = '@';
        }
        memcpy(text + user, address->host, address->host_size);
        text[user + address->host_size] = '\0';
        return text;
}

static void words_deinit(struct words *words)
{
        buffer_deinit(&words->command);
        sys_free(words->destination);
        sys_free(words->port);
}

static int make_words(struct words *words, const struct ssh_address *address, const ferry_session_options *options)
{
        static const char *const always[] = { "ssh", "-T", "-oServerAliveInterval=15", "-oServerAliveCountMax=3",
                                              "-oClearAllForwardings=yes", "-oRemoteCommand=none", "-oPermitLocalCommand=no" };
        size_t count = sizeof always / sizeof *always;
        int code = make_command(&words->command, address->name, options);

        words->destination = make_destination(address);
        words->port = address->port ? copy_part(address->port, address->port_size) : NULL;
        if (code || !words->destination || (address->port && !words->port))
                return -ENOMEM;
        memcpy(words->argv, always, sizeof always);
        /* A child in the background may not ask for a password. */
        if (!options->is_in_foreground)
                words->argv[count++] = "-oBatchMode=yes";
        if (words->port) {
                words->argv[count++] = "-p";
                words->argv[count++] = words->port;
        }
        words->argv[count++] = "--";
        words->argv[count++] = words->destination;
        words->argv[count++] = (const char *)words->command.memory + words->command.begin;
        words->argv[count] = NULL;
        return 0;
}

/* Whether it leads to a command, perhaps by way of more machines. */
static bool is_command(const char *name)
{
        struct ssh_address next;

        while (strncmp(name, "ssh:", 4) == 0 && ssh_parse(name + 4, &next) == 0)
                name = next.name;
        return strncmp(name, "exec:", 5) == 0;
}

int stream_open_ssh(const struct stream_place *place, const char *text, const ferry_session_options *options,
                    struct stream **ret_stream, struct error *error)
{
        struct stream_place patient = *place;
        struct words words = { 0 };
        struct ssh_address address;
        struct exec_spec spec = {
                .child = { .env = options->env, .directory = options->directory, .is_in_our_group = options->is_in_foreground },
                .what = "ssh",
        };
        int code = ssh_parse(text, &address);

        if (code)
                return error_set(error, code, "'ssh:%s' is not an address: %s", text, ssh_form);
        if (options->remote_ferry && !*options->remote_ferry)
                return error_set(error, -EINVAL, "remote_ferry is empty: name the program, or leave it NULL");
        code = make_words(&words, &address, options);
        if (code)
                error_set(error, code, "no memory for a command");
        else {
                spec.child.argv = words.argv;
                spec.remote = words.destination;
                /* The exit status of a command is its own. */
                spec.tells_absence = !is_command(address.name);
                patient.linger_ms = place->linger_ms ? place->linger_ms : LINGER_MS;
                code = exec_open(&patient, &spec, ret_stream, error);
        }
        words_deinit(&words);
        return code;
}
