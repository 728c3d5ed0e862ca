/* Invariants: a message goes to each plain subscription that its subject matches, and to one of each queue group; a request that
 * matches none is answered with 503 and goes nowhere. */
#include "simulation/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        SERVERS_MAX = 16,
        TEXT_MAX = 256,
        LINE_MAX = 4096,
        BUCKETS = 4096,
        LISTS = 3,                      /* exact ones, those with a * at the end, others */
        SUBSCRIPTIONS_MAX = 16,         /* of one client */
        MAX_PAYLOAD = 1 << 20,
        MUTANT_IN_MILLION = 2000,
};

struct subscription {
        struct interest *interest;
        unsigned at;                    /* among its members */
        unsigned connection;
        char sid[32];
};

/* Those that have subscribed to the same subject in the same queue group ("": in none). */
struct interest {
        struct interest *next;          /* of the bucket */
        struct subscription **members;
        unsigned count, size;
        char subject[TEXT_MAX], queue[TEXT_MAX];
};

struct client {
        bool is_there;
        unsigned server;
        bool is_told;                   /* of no responders */
        char *input;
        size_t used, size;
        struct subscription *subscriptions[SUBSCRIPTIONS_MAX];
        unsigned count;
};

struct message {
        const char *subject, *reply, *payload;
        size_t headers, total;          /* bytes of the payload; headers 0: none */
};

/* One that is on its way to another server. */
struct transfer {
        unsigned server;
        struct interest *interest;
        struct message message;
        char bytes[];                   /* subject, reply and payload */
};

struct server_counts server_counts;

static struct {
        enum server_mutant mutant;
        unsigned servers;
        bool is_up[SERVERS_MAX], is_ending[SERVERS_MAX];
        struct client *clients;
        unsigned clients_count;
        struct interest *buckets[BUCKETS], *wild;
} nats;

static void *grow(void *memory, size_t size)
{
        memory = realloc(memory, size);
        if (!memory)
                abort();
        return memory;
}

static void say(unsigned connection, const char *text)
{
        kernel_send(connection, text, strlen(text));
}

/* Subjects --------------------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *subject)
{
        for (;;) {
                size_t a = strcspn(pattern, "."), b = strcspn(subject, ".");

                if (a == 1 && *pattern == '>')
                        return b > 0;
                if (!(a == 1 && *pattern == '*') && (a != b || memcmp(pattern, subject, a) != 0))
                        return false;
                if (!pattern[a] || !subject[b])
                        return pattern[a] == subject[b];
                pattern += a + 1;
                subject += b + 1;
        }
}

static struct interest **bucket_of(const char *subject, size_t size)
{
        uint64_t hash = 0xcbf29ce484222325;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (unsigned char)subject[i]) * 0x100000001b3;
        return &nats.buckets[hash % BUCKETS];
}

/* Where it stands: by what is before the last dot, if only the last token is a wildcard. */
static struct interest **place_of(const char *subject)
{
        const char *wild = strpbrk(subject, "*>"), *dot = strrchr(subject, '.');

        if (!wild)
                return bucket_of(subject, strlen(subject));
        if (dot && wild == dot + 1 && wild[0] == '*')
                return bucket_of(subject, (size_t)(dot - subject));
        return &nats.wild;
}

static void subscribe(unsigned connection, const char *subject, const char *queue, const char *sid)
{
        struct client *client = &nats.clients[connection];
        struct interest **place = place_of(subject), *interest = *place;
        struct subscription *subscription = grow(NULL, sizeof *subscription);

        while (interest && (strcmp(interest->subject, subject) != 0 || strcmp(interest->queue, queue) != 0))
                interest = interest->next;
        if (!interest) {
                interest = grow(NULL, sizeof *interest);
                *interest = (struct interest){ .next = *place };
                snprintf(interest->subject, sizeof interest->subject, "%s", subject);
                snprintf(interest->queue, sizeof interest->queue, "%s", queue);
                *place = interest;
        }
        if (interest->count == interest->size) {
                interest->size = interest->size ? 2 * interest->size : 1;
                interest->members = grow(interest->members, interest->size * sizeof(struct subscription *));
        }
        if (client->count == SUBSCRIPTIONS_MAX)
                abort();
        *subscription = (struct subscription){ .interest = interest, .at = interest->count, .connection = connection };
        snprintf(subscription->sid, sizeof subscription->sid, "%s", sid);
        interest->members[interest->count++] = subscription;
        client->subscriptions[client->count++] = subscription;
        server_counts.subscriptions++;
}

/* @sid NULL: all of it. An interest stays for those that come again; that of an inbox never comes again, and goes. */
static void unsubscribe(unsigned connection, const char *sid)
{
        struct client *client = &nats.clients[connection];

        for (unsigned i = client->count; i-- > 0;) {
                struct subscription *subscription = client->subscriptions[i];
                struct interest *interest = subscription->interest, **place;

                if (sid && strcmp(subscription->sid, sid) != 0)
                        continue;
                interest->members[subscription->at] = interest->members[--interest->count];
                interest->members[subscription->at]->at = subscription->at;
                client->subscriptions[i] = client->subscriptions[--client->count];
                free(subscription);
                server_counts.subscriptions--;
                if (interest->count > 0 || *interest->queue)
                        continue;
                for (place = place_of(interest->subject); *place != interest;)
                        place = &(*place)->next;
                *place = interest->next;
                free(interest->members);
                free(interest);
        }
}

/* Delivering ------------------------------------------------------------------------------------------- */

static void deliver(const struct subscription *subscription, const struct message *message)
{
        char *bytes = grow(NULL, LINE_MAX + message->total);
        int size;

        if (message->headers)
                size = snprintf(bytes, LINE_MAX, "HMSG %s %s %s%s%zu %zu\r\n", message->subject, subscription->sid, message->reply,
                                *message->reply ? " " : "", message->headers, message->total);
        else
                size = snprintf(bytes, LINE_MAX, "MSG %s %s %s%s%zu\r\n", message->subject, subscription->sid, message->reply,
                                *message->reply ? " " : "", message->total);
        memcpy(bytes + size, message->payload, message->total);
        memcpy(bytes + size + message->total, "\r\n", 2);
        kernel_send(subscription->connection, bytes, (size_t)size + message->total + 2);
        free(bytes);
        server_counts.delivered++;
}

/* A member on that server, one of them by chance; NULL: there is none. */
static const struct subscription *choose(const struct interest *interest, unsigned server)
{
        unsigned first = interest->count ? (unsigned)random_below(kernel_random(), interest->count) : 0;

        for (unsigned i = 0; i < interest->count; i++) {
                const struct subscription *member = interest->members[(first + i) % interest->count];

                if (nats.clients[member->connection].server == server)
                        return member;
        }
        return NULL;
}

/* What has come to a server: to one of a group, or to all that are of none. */
static void deliver_on(unsigned server, const struct interest *interest, const struct message *message)
{
        const struct subscription *member = *interest->queue ? choose(interest, server) : NULL;

        if (member)
                deliver(member, message);
        else if (*interest->queue)
                server_counts.dropped++;
        for (unsigned i = 0; !*interest->queue && i < interest->count; i++)
                if (nats.clients[interest->members[i]->connection].server == server)
                        deliver(interest->members[i], message);
}

/* Where those stand that may match it: each list once. */
static void find_lists(const char *subject, struct interest *lists[LISTS])
{
        const char *dot = strrchr(subject, '.');

        lists[0] = *bucket_of(subject, strlen(subject));
        lists[1] = dot ? *bucket_of(subject, (size_t)(dot - subject)) : NULL;
        lists[2] = nats.wild;
        if (lists[1] == lists[0])
                lists[1] = NULL;
}

/* An interest of no group may have gone meanwhile, so it is looked for again. */
static void arrive(void *object, uint64_t number)
{
        struct transfer *transfer = object;
        struct interest *lists[LISTS];

        (void)number;
        find_lists(transfer->message.subject, lists);
        if (!nats.is_up[transfer->server])
                server_counts.dropped++;
        else if (transfer->interest)
                deliver_on(transfer->server, transfer->interest, &transfer->message);
        else
                for (size_t i = 0; i < LISTS; i++)
                        for (const struct interest *at = lists[i]; at; at = at->next)
                                if (!*at->queue && matches(at->subject, transfer->message.subject))
                                        deliver_on(transfer->server, at, &transfer->message);
        free(transfer);
}

static void transfer_to(unsigned server, struct interest *interest, const struct message *message)
{
        size_t subject = strlen(message->subject) + 1, reply = strlen(message->reply) + 1;
        struct transfer *transfer = grow(NULL, sizeof *transfer + subject + reply + message->total);

        *transfer = (struct transfer){ .server = server, .interest = *interest->queue ? interest : NULL, .message = *message };
        transfer->message.subject = memcpy(transfer->bytes, message->subject, subject);
        transfer->message.reply = memcpy(transfer->bytes + subject, message->reply, reply);
        transfer->message.payload = memcpy(transfer->bytes + subject + reply, message->payload, message->total);
        kernel_at(kernel_now() + random_between(kernel_random(), KERNEL_MS / 20, KERNEL_MS / 2), arrive, transfer, 0);
}

static void say_no_responders(unsigned connection, const struct message *message)
{
        static const char status[] = "NATS/1.0 503\r\n\r\n";
        const struct message answer = { .subject = message->reply, .reply = "", .payload = status, .headers = sizeof status - 1,
                                        .total = sizeof status - 1 };
        const struct client *client = &nats.clients[connection];

        server_counts.no_responders++;
        for (unsigned i = 0; i < client->count; i++)
                if (matches(client->subscriptions[i]->interest->subject, message->reply))
                        deliver(client->subscriptions[i], &answer);
}

static void pass(unsigned server, struct interest *interest, const struct message *message, unsigned here)
{
        if (server == here)
                deliver_on(server, interest, message);
        else
                transfer_to(server, interest, message);
}

/* To one of a group, or to each server that has some. */
static void pass_to(struct interest *interest, const struct message *message, unsigned here)
{
        bool has[SERVERS_MAX] = { false };
        int times = nats.mutant == SERVER_DELIVERS_TWICE && random_is(kernel_random(), MUTANT_IN_MILLION) ? 2 : 1;

        if (*interest->queue) {
                const struct subscription *member = interest->members[random_below(kernel_random(), interest->count)];

                for (unsigned server = nats.clients[member->connection].server; times > 0; times--)
                        pass(server, interest, message, here);
                return;
        }
        for (unsigned i = 0; i < interest->count; i++)
                has[nats.clients[interest->members[i]->connection].server] = true;
        for (unsigned server = 0; server < nats.servers; server++)
                if (has[server])
                        pass(server, interest, message, here);
}

static void publish(unsigned connection, const struct message *message)
{
        struct interest *lists[LISTS];
        bool was_taken = false;

        server_counts.published++;
        find_lists(message->subject, lists);
        for (size_t i = 0; i < LISTS; i++)
                for (struct interest *at = lists[i]; at; at = at->next)
                        if (at->count > 0 && matches(at->subject, message->subject)) {
                                pass_to(at, message, nats.clients[connection].server);
                                was_taken = true;
                        }
        if (*message->reply && nats.clients[connection].is_told &&
            (!was_taken || (nats.mutant == SERVER_DELIVERS_BEHIND_503 && random_is(kernel_random(), MUTANT_IN_MILLION))))
                say_no_responders(connection, message);
}

/* Reading ---------------------------------------------------------------------------------------------- */

/* How many bytes the line and its payload have; 0: not all is there. */
static size_t do_line(unsigned connection, const char *bytes, size_t size)
{
        const char *end = memmem(bytes, size, "\r\n", 2);
        char line[LINE_MAX], *words[8] = { NULL };
        struct message message = { .reply = "" };
        size_t taken;
        unsigned count = 0;

        if (!end)
                return 0;
        taken = (size_t)(end - bytes) + 2;
        if (taken >= sizeof line)
                abort();
        memcpy(line, bytes, taken - 2);
        line[taken - 2] = '\0';
        if (strncmp(line, "CONNECT ", 8) == 0) {
                nats.clients[connection].is_told = strstr(line, "\"no_responders\":true") != NULL;
                return taken;
        }
        for (char *word = strtok(line, " \t"); word && count < 8; word = strtok(NULL, " \t"))
                words[count++] = word;
        if (count == 0)
                return taken;
        if (strcmp(words[0], "PING") == 0)
                say(connection, "PONG\r\n");
        else if (strcmp(words[0], "SUB") == 0 && count >= 3)
                subscribe(connection, words[1], count > 3 ? words[2] : "", words[count - 1]);
        else if (strcmp(words[0], "UNSUB") == 0 && count == 2)
                unsubscribe(connection, words[1]);
        else if (strcmp(words[0], "PUB") == 0 || strcmp(words[0], "HPUB") == 0) {
                unsigned sizes = *words[0] == 'H' ? 2 : 1;

                if (count < 2 + sizes)
                        abort();
                message.subject = words[1];
                message.reply = count > 2 + sizes ? words[2] : "";
                message.total = strtoul(words[count - 1], NULL, 10);
                message.headers = sizes == 2 ? strtoul(words[count - 2], NULL, 10) : 0;
                message.payload = bytes + taken;
                if (size < taken + message.total + 2)
                        return 0;
                publish(connection, &message);
                taken += message.total + 2;
        } else if (strcmp(words[0], "PONG") != 0) {
                fprintf(stderr, "simulation: the server does not know the line '%s'\n", words[0]);
                abort();
        }
        return taken;
}

static void received(unsigned connection, const char *bytes, size_t size)
{
        struct client *client = &nats.clients[connection];
        size_t done = 0, taken;

        if (client->used + size > client->size) {
                client->size = 2 * (client->used + size);
                client->input = grow(client->input, client->size);
        }
        memcpy(client->input + client->used, bytes, size);
        client->used += size;
        while (done < client->used && (taken = do_line(connection, client->input + done, client->used - done)) > 0)
                done += taken;
        client->used -= done;
        memmove(client->input, client->input + done, client->used);
}

static void closed(unsigned connection)
{
        unsubscribe(connection, NULL);
        free(nats.clients[connection].input);
        nats.clients[connection] = (struct client){ 0 };
        server_counts.clients--;
}

static bool is_listening(unsigned server)
{
        return server < nats.servers && nats.is_up[server] && !nats.is_ending[server];
}

static void say_info(unsigned connection, unsigned server)
{
        char info[TEXT_MAX];

        snprintf(info, sizeof info, "INFO {\"server_id\":\"S%u\",\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":%d%s}\r\n",
                 server, MAX_PAYLOAD, nats.is_ending[server] ? ",\"ldm\":true" : "");
        say(connection, info);
}

static void accepted(unsigned connection, unsigned server)
{
        if (connection >= nats.clients_count) {
                nats.clients = grow(nats.clients, ((size_t)connection + 1) * sizeof *nats.clients);
                memset(nats.clients + nats.clients_count, 0, (connection + 1 - nats.clients_count) * sizeof *nats.clients);
                nats.clients_count = connection + 1;
        }
        nats.clients[connection] = (struct client){ .is_there = true, .server = server };
        server_counts.clients++;
        say_info(connection, server);
        say(connection, "PING\r\n");
}

const struct kernel_side server_side = { .is_listening = is_listening, .accepted = accepted, .received = received, .closed = closed };

/* Life ------------------------------------------------------------------------------------------------- */

void server_begin(unsigned servers, enum server_mutant mutant)
{
        memset(&nats, 0, sizeof nats);
        server_counts = (struct server_counts){ 0 };
        nats.servers = servers;
        nats.mutant = mutant;
        for (unsigned i = 0; i < servers; i++)
                nats.is_up[i] = true;
}

static void free_interests(struct interest **list)
{
        while (*list) {
                struct interest *interest = *list;

                *list = interest->next;
                free(interest->members);
                free(interest);
        }
}

void server_end(void)
{
        for (unsigned i = 0; i < nats.clients_count; i++)
                if (nats.clients[i].is_there)
                        closed(i);
        for (size_t i = 0; i < BUCKETS; i++)
                free_interests(&nats.buckets[i]);
        free_interests(&nats.wild);
        free(nats.clients);
        nats.clients = NULL;
        nats.clients_count = 0;
}

void server_kill(unsigned server)
{
        nats.is_up[server] = false;
        for (unsigned i = 1; i < nats.clients_count; i++)
                if (nats.clients[i].is_there && nats.clients[i].server == server)
                        kernel_break(i);
}

void server_start(unsigned server)
{
        nats.is_up[server] = true;
        nats.is_ending[server] = false;
}

void server_announce_end(unsigned server)
{
        nats.is_ending[server] = true;
        for (unsigned i = 1; i < nats.clients_count; i++)
                if (nats.clients[i].is_there && nats.clients[i].server == server)
                        say_info(i, server);
}

bool server_is_up(unsigned server)
{
        return nats.is_up[server];
}
