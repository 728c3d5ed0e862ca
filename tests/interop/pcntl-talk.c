/* The parent of one child in the dialect pcntl, on a socket of its own: pcntl-talk COMMAND…. Each line of stdin is done and
 * what came of it printed: "call TOPIC JSON", "notify TOPIC JSON", "next", "close"; at the end how the child has ended. */
#include <ferry/ferry.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 1000, PATIENCE_MS = 20000 };

static void print(const ferry_message *message)
{
        void *json = NULL;
        size_t size = 0;

        if (ferry_codec_encode(ferry_codec_json(), ferry_message_body(message), &json, &size) == 0)
                printf("%s %.*s\n", ferry_message_type(message), (int)size, (char *)json);
        else
                printf("%s, which is no JSON\n", ferry_message_type(message));
        free(json);
}

static void call(ferry_session *session, const char *topic, const ferry_value *body)
{
        FERRY_AUTO(ferry_call) call = ferry_session_request(session, strcmp(topic, "silent") == 0 ? TIMEOUT_MS : PATIENCE_MS,
                                                            topic, "%p", (const void *)body);
        const ferry_message *reply = ferry_call_await(call);

        if (reply)
                print(reply);
        else
                printf("no answer: %s\n", ferry_call_error(call));
}

static void act(ferry_session *session, char *line)
{
        const char *word = strtok(line, " \n"), *topic = strtok(NULL, " \n"), *json = strtok(NULL, "\n");
        FERRY_AUTO(ferry_value) body = NULL;
        const ferry_message *message;
        size_t offset;

        json = json ? json : "null";
        if (ferry_codec_decode(ferry_codec_json(), json, strlen(json), &body, &offset) < 0)
                printf("no JSON: %s\n", json);
        else if (!word)
                return;
        else if (strcmp(word, "next") == 0) {
                message = ferry_session_next(session, PATIENCE_MS);
                if (message)
                        print(message);
                else
                        printf("nothing: %s\n", ferry_session_error(session));
        } else if (strcmp(word, "close") == 0)
                ferry_session_close(session);
        else if (strcmp(word, "call") == 0)
                call(session, topic, body);
        else if (ferry_session_notify(session, topic, "%p", (const void *)body) < 0)
                printf("not sent: %s\n", ferry_session_error(session));
}

int main(int argc, char *argv[])
{
        static const ferry_session_options pcntl = { .dialect = FERRY_DIALECT_PCNTL };
        static const ferry_manager_options options = { .session = &pcntl };
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_manager *manager = ferry_manager_new(loop, &options);
        ferry_process *process;
        char line[4096];

        if (argc < 2)
                return 2;
        process = ferry_process_spawn(manager, (const char *const *)argv + 1, NULL);
        while (fgets(line, sizeof line, stdin))
                act(ferry_process_session(process), line);
        ferry_session_close(ferry_process_session(process));
        ferry_process_wait(process, PATIENCE_MS);
        printf("ended: %d\n", ferry_process_exit_status(process));
        ferry_manager_free(manager);
        return 0;
}
