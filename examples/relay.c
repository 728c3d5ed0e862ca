/* A service that passes every request on to a child, and its answers back, any number at a time. */
#include <err.h>
#include <ferry/ferry.h>

static void answered(ferry_call *call, const ferry_message *reply, void *userdata)
{
        FERRY_AUTO(ferry_message) request = userdata;

        if (reply)
                ferry_message_reply(request, ferry_message_type(reply), "%p", ferry_arg(ferry_message_body(reply)));
        else
                ferry_message_fail(request, "%s", ferry_call_error(call));
}

static int pass_on(ferry_session *client, const ferry_message *request, void *userdata)
{
        ferry_session *child = userdata;
        ferry_call *call = ferry_session_request(child, FERRY_TIMEOUT_DEFAULT, ferry_message_type(request),
                                                 "%p", ferry_arg(ferry_message_body(request)));

        (void)client;
        ferry_call_then(call, answered, ferry_message_ref(request));
        return 1; /* it is ours */
}

int main(void)
{
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_session *child = ferry_session_open(loop, "exec:./child", NULL);
        ferry_service *service = ferry_service_open(loop, "relay", NULL);

        ferry_service_on(service, FERRY_KIND_REQUEST, pass_on, child);
        if (ferry_loop_run(loop, -1) < 0)
                return warnx("%s", ferry_loop_error(loop)), 1;
        return 0;
}
