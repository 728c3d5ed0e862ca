/* Which other users may be at the other end: --allow, and what listen serves to them: --mode and --group. The kernel checks mode
 * and group; the users are known by the credentials of their connection. */
#include "listen.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 10 };

/* getpwnam(3) has several numbers for a name that it has not found. */
static bool is_failure(int error)
{
        return error != 0 && error != ENOENT && error != ESRCH && error != EBADF && error != EPERM;
}

/* A name, or else a number, as chown(1) reads it. */
bool access_read_user(const char *text, struct cli_options *options)
{
        const struct passwd *user;
        bool is_number = *text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= NUMBER_MAX;
        unsigned long long number = is_number ? strtoull(text, NULL, 10) : 0;

        errno = 0;
        user = getpwnam(text);
        if (!user && (!is_number || number >= UINT32_MAX)) {
                if (is_failure(errno))
                        complain("--allow: cannot look up user '%s': %s", text, strerror(errno));
                else
                        complain("--allow: there is no user '%s'", text);
                return false;
        }
        if (options->allowed_count == ALLOWED_MAX) {
                complain("--allow: more than %d users", ALLOWED_MAX);
                return false;
        }
        options->allowed[options->allowed_count++] = user ? user->pw_uid : (uid_t)number;
        return true;
}

static bool allows(ferry_session *session, const ferry_peer *peer, void *userdata)
{
        const struct cli_options *options = userdata;

        (void)session;
        for (size_t i = 0; i < options->allowed_count; i++)
                if (options->allowed[i] == peer->uid)
                        return true;
        return false;
}

/* Whether another user can reach the socket: that of a NAME stands in a directory of the user, but for innmind. */
static bool is_reachable(const char *address, const struct cli_options *options)
{
        return ferry_address_scheme(address) == FERRY_SCHEME_UNIX || (options->dialects & FERRY_DIALECT_INNMIND);
}

int access_check(const char *address, const struct cli_options *options)
{
        int scheme = ferry_address_scheme(address);
        bool has_socket = scheme == FERRY_SCHEME_NAME || scheme == FERRY_SCHEME_UNIX;
        /* The file of a socket that this process was given is as its maker has made it. */
        bool is_given = strncmp(address, "listen-fd:", strlen("listen-fd:")) == 0;
        const char *name = options->mode ? "--mode" : options->group ? "--group" : options->allowed_count && !is_given ? "--allow" : NULL;

        if (name && !has_socket)
                complain("%s is for unix:PATH and NAME: '%s' has no socket file", name, address);
        else if (options->allowed_count && !is_given && !is_reachable(address, options))
                complain("--allow is for unix:PATH: the directory of a NAME lets in no other user");
        else if (options->allowed_count && options->mode && !(options->mode & 022))
                complain("--allow: with --mode %o no other user can connect; write 660 with --group, or 666", options->mode);
        else
                return 0;
        return EXIT_USAGE;
}

void access_allow(ferry_session_options *session, const struct cli_options *options)
{
        if (options->allowed_count) {
                session->allow = allows;
                session->allow_userdata = (void *)(uintptr_t)options;
        }
}

void access_set(ferry_service_options *service, const struct cli_options *options)
{
        service->group = options->group;
        service->mode = options->mode ? options->mode : !options->allowed_count ? 0 : options->group ? 0660 : 0666;
}
