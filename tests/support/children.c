/* See children.h. */
#include "support/children.h"

#include "support/suite.h"

#include <fcntl.h>
#include <string.h>

int exit_with(ferry_session *parent, void *userdata)
{
        (void)parent;
        return userdata ? *(const int *)userdata : 0;
}

int wait_for_the_end(ferry_session *parent, void *userdata)
{
        (void)userdata;
        return ferry_loop_run(ferry_session_loop(parent), -1);
}

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

int serve(ferry_session *parent, void *userdata)
{
        ferry_session_on(parent, FERRY_KIND_REQUEST, echo, NULL);
        return wait_for_the_end(parent, userdata);
}

int count_event(ferry_manager *manager, ferry_process *process, void *userdata)
{
        (void)manager, (void)process;
        ++*(int *)userdata;
        return 0;
}

void require_served(ferry_process *process)
{
        ferry_call *call = ferry_session_request(ferry_process_session(process), SAFETY_MS, "t", "'x'");

        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ferry_call_free(call);
}

int result_of(const ferry_process *process)
{
        int status = ferry_process_status(process);

        return status < 0 ? status : ferry_process_exit_status(process);
}

void require_result(ferry_process *process, int result)
{
        int got = ferry_process_wait(process, SAFETY_MS);

        ck_assert_msg(got == result, "%d, not %d: %s", got, result, ferry_process_error(process));
        ck_assert_int_eq(result_of(process), result);
}

int count_descriptors(void)
{
        int count = 0;

        for (int fd = 0; fd < 1024; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

int tell_descriptors(ferry_session *parent, void *userdata)
{
        (void)parent, (void)userdata;
        return count_descriptors();
}

int count_in_order(ferry_session *session, const ferry_message *message, void *userdata)
{
        int *counted = userdata;

        (void)session;
        ck_assert_int_eq(ferry_value_int(ferry_message_body(message), -1), *counted);
        ++*counted;
        return 0;
}

void collect(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata)
{
        struct text *text = userdata;

        (void)process, (void)fd;
        ck_assert_uint_lt(text->size + size, sizeof text->bytes);
        memcpy(text->bytes + text->size, bytes, size);
        text->size += size;
}

const char *run_command(ferry_manager *manager, const char *const argv[], ferry_process_options *options, int result)
{
        static struct text text;

        memset(&text, 0, sizeof text);
        options->output = collect;
        options->output_userdata = &text;
        require_result(ferry_process_spawn(manager, argv, options), result);
        return text.bytes;
}
