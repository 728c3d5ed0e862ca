/* The other half: say what is typed, print what is said. */
#include <err.h>
#include <ferry/ferry.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int say(ferry_loop *loop, void *userdata)
{
        ferry_session *chat = userdata;
        char line[256];
        ssize_t n = read(0, line, sizeof line);

        (void)loop;
        if (n <= 0)
                return ferry_session_close(chat);
        ferry_session_notify(chat, "say", "%.*s", (int)n - (line[n - 1] == '\n'), line);
        return 1;
}

static int show(ferry_session *chat, const ferry_message *message, void *userdata)
{
        int64_t who = ferry_value_int(ferry_message_get(message, "who"), -1);

        (void)chat, (void)userdata;
        printf("%d: %s\n", (int)who, ferry_message_text(message));
        return 0;
}

static int over(ferry_session *chat, const ferry_message *message, void *userdata)
{
        (void)message, (void)userdata;
        return ferry_loop_stop(ferry_session_loop(chat), ferry_session_status(chat));
}

int main(void)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_session *chat = ferry_session_open(loop, "chat", NULL);

        setvbuf(stdout, NULL, _IOLBF, 0);
        ferry_session_on(chat, FERRY_KIND_NOTIFICATION, show, NULL);
        ferry_session_on(chat, FERRY_KIND_CLOSED, over, NULL);
        ferry_loop_watch(loop, 0, POLLIN, say, chat);
        if (ferry_loop_run(loop, -1) < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        return 0;
}
