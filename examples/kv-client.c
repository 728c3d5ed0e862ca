/* A client of kv-server.c: kv-client set KEY VALUE, kv-client get KEY, kv-client watch PATTERN. */
#include <err.h>
#include <ferry/ferry.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int print_answer(ferry_call *call)
{
        const ferry_message *reply = ferry_call_await(call);

        if (!reply)
                return warnx("%s", ferry_call_error(call)), 1;
        if (ferry_value_kind(ferry_message_body(reply)) != FERRY_VALUE_NULL)
                puts(ferry_message_text(reply));
        return 0;
}

static int watch(ferry_session *store, const char *pattern)
{
        const ferry_message *change;

        ferry_session_subscribe(store, pattern);
        while ((change = ferry_session_next(store, -1))) {
                printf("%s = %s\n", ferry_message_type(change), ferry_message_text(change));
                fflush(stdout);
        }
        if (ferry_session_status(store) < 0)
                return warnx("%s", ferry_session_error(store)), 1;
        return 0;
}

int main(int argc, char **argv)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        /* A watch survives a restart of the server. */
        bool is_watch = argc == 3 && strcmp(argv[1], "watch") == 0;
        ferry_session *store = ferry_session_open(loop, "kv", &(ferry_session_options){
                .dialect = FERRY_DIALECT_FERRY, .reconnect_ms = is_watch ? -1 : 0 });
        FERRY_AUTO(ferry_call) call = NULL;

        if (argc == 4 && strcmp(argv[1], "set") == 0)
                return print_answer(call = ferry_session_request(store, 5000, "set", "{key: %s, value: %s}", argv[2], argv[3]));
        if (argc == 3 && strcmp(argv[1], "get") == 0)
                return print_answer(call = ferry_session_request(store, 5000, "get", "%s", argv[2]));
        if (is_watch)
                return watch(store, argv[2]);
        return warnx("usage: kv-client set KEY VALUE | get KEY | watch PATTERN"), 2;
}
