/* A key-value store: requests `set` and `get`, each with a handler of its own; a client that subscribes to a key gets its value, and
 * each that comes after it. A client is kv-client.c, or `ferry call kv get '"user.1"' --value`, `ferry watch kv 'user.*'`. */
#include <err.h>
#include <errno.h>
#include <ferry/ferry.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct entry {
        struct entry *next;
        char *key;
        ferry_value *value;
};

struct store {
        ferry_service *service;
        struct entry *entries;
};

static struct entry *find(struct store *store, const char *key)
{
        struct entry *entry = store->entries;

        while (entry && strcmp(entry->key, key) != 0)
                entry = entry->next;
        return entry;
}

/* NULL: there is no memory. */
static struct entry *find_or_add(struct store *store, const char *key)
{
        struct entry *entry = find(store, key);

        if (entry)
                return entry;
        entry = calloc(1, sizeof *entry);
        if (!entry)
                return NULL;
        entry->key = strdup(key);
        if (!entry->key) {
                free(entry);
                return NULL;
        }
        entry->next = store->entries;
        store->entries = entry;
        return entry;
}

static int set(ferry_session *client, const ferry_message *request, void *userdata)
{
        struct store *store = userdata;
        const char *key = ferry_value_text(ferry_message_get(request, "key"), NULL);
        const ferry_value *value = ferry_message_get(request, "value");
        struct entry *entry;
        int code;

        (void)client;
        if (!key || !value)
                return ferry_message_fail(request, "write {\"key\": TEXT, \"value\": VALUE}");
        /* It is kept for subscribers that come later, and sent to those that are there. */
        code = ferry_service_retain_value(store->service, key, value);
        if (code < 0 && code != -ENOBUFS)
                return ferry_message_fail(request, "cannot keep '%s': %s", key, strerror(-code));
        if (!(entry = find_or_add(store, key)))
                return ferry_message_fail(request, "cannot keep '%s': no memory", key);
        ferry_value_unref(entry->value);
        entry->value = ferry_value_ref(value);
        return ferry_message_reply(request, NULL, NULL);
}

static int get(ferry_session *client, const ferry_message *request, void *userdata)
{
        const char *key = ferry_message_text(request);
        const struct entry *entry = find(userdata, key);

        (void)client;
        if (!entry)
                return ferry_message_fail(request, "there is no '%s'", key);
        return ferry_message_reply_value(request, NULL, entry->value);
}

static void clear(struct store *store)
{
        while (store->entries) {
                struct entry *entry = store->entries;

                store->entries = entry->next;
                ferry_value_unref(entry->value);
                free(entry->key);
                free(entry);
        }
}

static int stop(ferry_loop *loop, void *userdata)
{
        (void)loop;
        return ferry_service_close(userdata);
}

int main(void)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        struct store store = { .service = ferry_service_open(loop, "kv", NULL) };
        int code;

        ferry_service_on_type(store.service, FERRY_KIND_REQUEST, "set", set, &store);
        ferry_service_on_type(store.service, FERRY_KIND_REQUEST, "get", get, &store);
        ferry_service_describe(store.service, "set", "{key: TEXT, value: VALUE}", "null", "Keeps a value, and sends it to its watchers.");
        ferry_service_describe(store.service, "get", "KEY", "VALUE", "Returns the value of a key.");
        ferry_loop_on_signal(loop, SIGTERM, stop, store.service);
        code = ferry_loop_run(loop, -1);
        clear(&store);
        if (code < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        return 0;
}
