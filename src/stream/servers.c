#include "stream/servers.h"

#include "stream/lookup.h"
#include "util/map.h"
#include "util/url.h"

#include <errno.h>
#include <string.h>

enum {
        PORT_OF_NATS = 4222,
        PLACE_MAX = LOOKUP_NAME_MAX + sizeof ":65535",
        SHOWN_MAX = 256,
};

struct servers *servers_of_addresses(const union inet_address *addresses, int count)
{
        struct servers *servers = sys_alloc_zeroed(sizeof *servers + sizeof *servers->all);

        if (!servers)
                return NULL;
        servers->count = 1;
        servers->all[0].host = "";
        servers->all[0].count = count;
        memcpy(servers->all[0].addresses, addresses, (size_t)count * sizeof *addresses);
        return servers;
}

/* HOST or HOST:PORT. Puts the host, with a zero, at @text. */
static bool parse_place(const struct url_text *place, bool has_port, struct server *ret, char *text)
{
        char whole[PLACE_MAX + sizeof ":4222"];
        size_t size = place->size;
        char *colon;

        if (size > PLACE_MAX)
                return false;
        memcpy(whole, place->bytes, size);
        memcpy(whole + size, ":4222", sizeof ":4222");
        if (has_port)
                whole[size] = '\0';
        colon = strrchr(whole, ':');
        if (!inet_parse_port(colon + 1, &ret->port) || ret->port == 0)
                return false;
        ret->count = inet_parse(whole, ret->addresses);
        size = (size_t)(colon - whole);
        if (ret->count < 0 && !lookup_name_is_valid(whole, size))
                return false;
        if (ret->count > 0 && inet_is_unspecified(&ret->addresses[0]))
                return false;
        if (ret->count < 0)
                ret->count = 0;
        ret->is_address = ret->count == 1;
        if (*whole == '[')
                memcpy(text, whole + 1, size -= 2);
        else
                memcpy(text, whole, size);
        text[size] = '\0';
        ret->host = ret->certified = text;
        return true;
}

static void shuffle(struct servers *servers)
{
        struct hash_key key = hash_secret();
        int64_t seed[2] = { sys_now(), sys_pid() };
        uint64_t number = hash_bytes(&key, seed, sizeof seed);

        for (int left = servers->count; left > 1; left--) {
                int taken = (int)(number % (uint64_t)left);
                struct server last = servers->all[left - 1];

                servers->all[left - 1] = servers->all[taken];
                servers->all[taken] = last;
                number = hash_bytes(&key, &number, sizeof number);
        }
}

/* Their hosts stand at @text, which moves on. */
static int add_all(struct servers *servers, int most, const char *urls, bool is_hearsay, char **text, struct error *error)
{
        struct url url;
        int more = 0;

        while (servers->count < most && (more = url_next(&urls, "nats", &url, error)) > 0) {
                bool is_right = parse_place(&url.place, url.has_port, &servers->all[servers->count], *text);

                if (!is_right && is_hearsay)
                        continue;
                if (!is_right)
                        return error_set(error, -EINVAL, "nats_url: '%.*s' is not the place of a NATS server: write HOST or HOST:PORT,"
                                                         " HOST a name or numbers, as 127.0.0.1 or [::1]",
                                         url.place.size > SHOWN_MAX ? SHOWN_MAX : (int)url.place.size, url.place.bytes);
                servers->all[servers->count].is_secure = url.is_secure;
                *text += strlen(*text) + 1;
                servers->count++;
        }
        return more < 0 ? more : 0;
}

/* What a server says of others must not lead out of TLS; and a certificate rarely has the numbers that are said, but the name of the
 * cluster. */
static void secure_hearsay(struct servers *servers, int own)
{
        const char *name = NULL;
        bool is_secure = false;

        for (int i = 0; i < own; i++) {
                is_secure = is_secure || servers->all[i].is_secure;
                if (!name && !servers->all[i].is_address)
                        name = servers->all[i].host;
        }
        for (int i = own; i < servers->count; i++) {
                servers->all[i].is_secure = is_secure;
                if (name && servers->all[i].is_address)
                        servers->all[i].certified = name;
        }
}

static int count_urls(const char *urls)
{
        int count = 1;

        for (const char *at = urls; *at; at++)
                count += *at == ',' && count <= SERVERS_MAX;
        return count;
}

int servers_of_urls(const char *urls, const char *more, struct servers **ret, struct error *error)
{
        int own = count_urls(urls), most = own + (more ? count_urls(more) : 0);
        struct servers *servers;
        char *text;
        int code;

        if (own > SERVERS_MAX)
                return error_set(error, -EINVAL, "nats_url: there are more than %d servers", SERVERS_MAX);
        most = most > SERVERS_MAX ? SERVERS_MAX : most;
        /* Each host is shorter than its URL. */
        servers = sys_alloc_zeroed(sizeof *servers + (size_t)most * sizeof *servers->all + strlen(urls) + 1 + (more ? strlen(more) + 1 : 0));
        if (!servers)
                return error_set(error, -ENOMEM, "no memory for a list of servers");
        text = (char *)(servers->all + most);
        code = add_all(servers, own, urls, false, &text, error);
        if (!code && servers->count == 0)
                code = error_set(error, -EINVAL, "nats_url: the list of servers is empty");
        own = servers->count;
        if (!code && more)
                code = add_all(servers, most, more, true, &text, error);
        if (!code)
                secure_hearsay(servers, own);
        if (code) {
                sys_free(servers);
                return code;
        }
        shuffle(servers);
        *ret = servers;
        return 0;
}
