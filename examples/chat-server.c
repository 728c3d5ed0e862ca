/* A chat: what one client says, all clients hear, also those that have not said anything yet. */
#include <err.h>
#include <ferry/ferry.h>

static int said(ferry_session *client, const ferry_message *message, void *userdata)
{
        ferry_service *chat = userdata;

        ferry_service_notify(chat, "said", "{who: %d, message: %s}", ferry_session_peer(client).pid,
                             ferry_message_text(message));
        return 0;
}

static int came_or_went(ferry_session *client, const ferry_message *message, void *userdata)
{
        ferry_service *chat = userdata;
        bool came = ferry_message_kind(message) == FERRY_KIND_OPENED;

        ferry_service_notify(chat, "said", "{who: %d, message: %s}", ferry_session_peer(client).pid,
                             came ? "(comes)" : "(goes)");
        return 0;
}

int main(void)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_service *chat = ferry_service_open(loop, "chat", NULL);

        ferry_service_on(chat, FERRY_KIND_NOTIFICATION, said, chat);
        ferry_service_on(chat, FERRY_KIND_OPENED | FERRY_KIND_CLOSED, came_or_went, chat);
        if (ferry_loop_run(loop, -1) < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        return 0;
}
