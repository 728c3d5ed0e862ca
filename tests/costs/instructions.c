/* What test-instructions.sh counts with callgrind: the instructions of a message, and of the codecs on bench/corpus. Collecting
 * is switched on around what a case names alone, and the counts of each case are dumped under its name. Both ends stand in this
 * process, each in a loop of its own, and what a loop waits for has always arrived: so the counts do not depend on other
 * processes.
 *
 *   instructions CORPUS
 */
#include <err.h>
#include <ferry/ferry.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <valgrind/callgrind.h>

enum { WARM_UP = 20, ROUNDS = 100 };    /* test-instructions.sh divides by ROUNDS */

static const char text[] = "sixty-four bytes, which is what the benchmark sends each time ..";

enum part { REQUEST, ANSWER, NOTIFY, HELD, RECEIVE, PART_COUNT };

static const char *const names[PART_COUNT] = { "request", "answer", "notify", "held", "receive" };

static struct {
        ferry_loop *ours, *theirs;
        ferry_session *client, *server;
        int handled;
} pair;

static int answer(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)userdata;
        pair.handled++;
        if (ferry_message_kind(message) != FERRY_KIND_REQUEST)
                return *ferry_message_text(message) == *text;
        return ferry_message_reply(message, NULL, "%p", ferry_arg(ferry_message_body(message)));
}

static void run_server(int count)
{
        while (pair.handled < count)
                if (ferry_loop_tick(pair.theirs, 0) < 0)
                        errx(1, "%s", ferry_loop_error(pair.theirs));
        pair.handled = 0;
}

static void toggle(bool is_wanted)
{
        if (is_wanted)
                CALLGRIND_TOGGLE_COLLECT;
}

static void talk(enum part part)
{
        ferry_call *call;

        toggle(part == REQUEST);
        call = ferry_session_request(pair.client, FERRY_TIMEOUT_DEFAULT, "bench", "%s", text);
        toggle(part == REQUEST);
        toggle(part == ANSWER);
        run_server(1);
        toggle(part == ANSWER);
        toggle(part == REQUEST);
        if (!ferry_call_await(call) || *ferry_message_text(ferry_call_reply(call)) != *text)
                errx(1, "%s", ferry_call_error(call));
        ferry_call_free(call);
        toggle(part == REQUEST);
}

/* What is notified fits into the socket. */
static void tell(enum part part, int count)
{
        bool is_counted = part == NOTIFY || part == HELD;

        toggle(is_counted);
        if (part == HELD)
                ferry_session_hold(pair.client);
        for (int i = 0; i < count; i++)
                if (ferry_session_notify(pair.client, "bench", "%s", text) < 0)
                        errx(1, "%s", ferry_session_error(pair.client));
        if (part == HELD)
                ferry_session_release(pair.client);
        toggle(is_counted);
        toggle(part == RECEIVE);
        run_server(count);
        toggle(part == RECEIVE);
}

static void count_messages(void)
{
        const ferry_session_options options = { .dialect = FERRY_DIALECT_FERRY };
        ferry_session_options client = options, server = options;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                err(1, "socketpair");
        client.fds = (const int[]){ fds[0], fds[0], -1 };
        server.fds = (const int[]){ fds[1], fds[1], -1 };
        pair.ours = ferry_loop_new(NULL);
        pair.theirs = ferry_loop_new(NULL);
        pair.client = ferry_session_open(pair.ours, NULL, &client);
        pair.server = ferry_session_open(pair.theirs, NULL, &server);
        ferry_session_on(pair.server, FERRY_KIND_REQUEST | FERRY_KIND_NOTIFICATION, answer, NULL);
        for (int i = 0; i < WARM_UP; i++)
                talk(PART_COUNT);
        tell(PART_COUNT, ROUNDS);
        for (int part = 0; part < PART_COUNT; part++) {
                if (part <= ANSWER)
                        for (int i = 0; i < ROUNDS; i++)
                                talk((enum part)part);
                else
                        tell((enum part)part, ROUNDS);
                CALLGRIND_DUMP_STATS_AT(names[part]);
        }
        ferry_loop_free(pair.ours);
        ferry_loop_free(pair.theirs);
}

static void *read_file(const char *folder, const char *name, size_t *ret_size)
{
        char path[512], *bytes;
        FILE *file;

        snprintf(path, sizeof path, "%s/%s.json", folder, name);
        file = fopen(path, "r");
        if (!file || fseek(file, 0, SEEK_END) < 0)
                err(1, "%s", path);
        *ret_size = (size_t)ftell(file);
        rewind(file);
        bytes = malloc(*ret_size);
        if (!bytes || fread(bytes, 1, *ret_size, file) != *ret_size)
                err(1, "%s", path);
        fclose(file);
        return bytes;
}

/* The first of each is not counted. */
static void count_codec(const char *codec_name, const ferry_codec *codec, const char *file, const ferry_value *value)
{
        char name[64];
        size_t size;
        void *bytes;

        for (int i = 0; i < 2; i++) {
                toggle(i == 1);
                if (ferry_codec_encode(codec, value, &bytes, &size) < 0)
                        errx(1, "%s does not encode %s", codec_name, file);
                if (i == 0)
                        free(bytes);
        }
        toggle(true);
        snprintf(name, sizeof name, "%s-encode-%s", codec_name, file);
        CALLGRIND_DUMP_STATS_AT(name);
        for (int i = 0; i < 2; i++) {
                ferry_value *back;

                toggle(i == 1);
                if (ferry_codec_decode(codec, bytes, size, &back, NULL) < 0)
                        errx(1, "%s does not decode %s", codec_name, file);
                ferry_value_unref(back);
        }
        toggle(true);
        snprintf(name, sizeof name, "%s-decode-%s", codec_name, file);
        CALLGRIND_DUMP_STATS_AT(name);
        free(bytes);
}

int main(int argc, char **argv)
{
        static const char *const files[] = { "small", "table", "deep", "escapes", "doubles", "text" };

        if (argc != 2)
                errx(2, "usage: instructions CORPUS");
        count_messages();
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                size_t size;
                char *json = read_file(argv[1], files[i], &size);
                ferry_value *objects, *plain;

                if (ferry_codec_decode(ferry_codec_json_objects(), json, size, &objects, NULL) < 0 ||
                    ferry_codec_decode(ferry_codec_json(), json, size, &plain, NULL) < 0)
                        errx(1, "%s is not what was expected", files[i]);
                count_codec("php", ferry_codec_php(), files[i], objects);
                count_codec("json", ferry_codec_json(), files[i], plain);
                count_codec("msgpack", ferry_codec_msgpack(), files[i], objects);
                ferry_value_unref(objects);
                ferry_value_unref(plain);
                free(json);
        }
        return 0;
}
