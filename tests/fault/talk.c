/* The talk of two sessions in one loop. Invariants that hold under every fault: a receives nothing that b did not say
 * and the other way round; what arrives is a prefix of what was sent, unaltered, once, but for what the receiver was
 * told is lost; a call ends once; what is said to be not executed was not; a session's end is told once at most. */
#include "fault/talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *note_text(unsigned number)
{
        static char text[64];

        snprintf(text, sizeof text, "note %u, \xc3\xa4\n", number);
        return text;
}

static int hear(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct talk *talk = userdata;
        const ferry_value *body = ferry_message_body(message);
        int64_t number = ferry_value_int(ferry_value_get(body, "n"), -1);

        (void)session;
        /* Its bytes came, but there is no memory to look at them. */
        if (!body && fault_is_memory()) {
                talk->lost++;
                return 1;
        }
        if (number < talk->received || number > talk->received + talk->lost || number >= talk->sent + 1)
                fault_flaw("notification %d came after %u of %u were received, %u lost", (int)number, talk->received,
                           talk->sent, talk->lost);
        fault_check(strcmp(ferry_value_text(ferry_value_get(body, "message"), ""), note_text((unsigned)number)) == 0);
        if (ferry_value_get(body, "text"))
                fault_check(strcmp(ferry_value_text(ferry_value_get(body, "text"), ""), talk->text) == 0);
        talk->received = (unsigned)number + 1;
        return 1;
}

static int lose(ferry_session *session, const ferry_message *message, void *userdata)
{
        struct talk *talk = userdata;

        (void)session, (void)message;
        talk->lost++;
        return 0;
}

static int close_a(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        ((struct talk *)userdata)->closed[0]++;
        return 0;
}

static int close_b(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)message;
        ((struct talk *)userdata)->closed[1]++;
        return 0;
}

static int answer(struct talk *talk, const ferry_message *request, int expected)
{
        int64_t number = ferry_value_int(ferry_message_get(request, "n"), -1);
        int code;

        if (number < 0 || number >= TALK_QUESTIONS_MAX) {
                fault_check(fault_is_memory());
                return -ENOMEM;
        }
        talk->served[number]++;
        code = ferry_message_reply(request, NULL, "{n: %d, list: [1, 2.5, null, true, 'x']}", (int)number);
        fault_answer(FAULT_SEND, "reply", code, expected, NULL);
        return code;
}

static int answer_late(ferry_loop *loop, void *userdata)
{
        struct talk *talk = userdata;

        (void)loop;
        if (talk->kept)
                answer(talk, talk->kept, 0);
        talk->kept = ferry_message_unref(talk->kept);
        return 0;
}

static int serve(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct talk *talk = userdata;
        const char *type = ferry_message_type(request);

        fault_check(*ferry_message_id(request));
        if (strcmp(type, "App\\Echo") == 0)
                return answer(talk, request, 0) < 0 ? -EIO : 1;
        if (strcmp(type, "App\\Fail") == 0) {
                fault_answer(FAULT_SEND, "fail", ferry_message_fail(request, "it is %s", "impossible"), 0, NULL);
                return 1;
        }
        if (strcmp(type, "App\\Late") == 0 && !talk->kept) {
                talk->kept = ferry_message_ref(request);
                ferry_loop_after(ferry_session_loop(session), 10, answer_late, talk);
                return 1;
        }
        if (strcmp(type, "App\\Never") == 0 && !talk->ignored) {
                talk->ignored = ferry_message_ref(request);
                return 1;
        }
        if (strcmp(type, "App\\Nested") == 0 && !talk->is_nested) {
                FERRY_AUTO(ferry_call) call = NULL;

                talk->is_nested = true;
                call = ferry_session_request(session, 1000, "App\\Back", "{n: 1}");
                if (ferry_call_await(call))
                        fault_check(ferry_value_int(ferry_message_get(ferry_call_reply(call), "n"), 2) == 2);
                fault_answer(FAULT_END, "a call back", ferry_call_status(call), 0, ferry_call_error(call));
                return answer(talk, request, 0) < 0 ? -EIO : 1;
        }
        return strcmp(type, "App\\Wrong") == 0 ? -ERANGE : 0;
}

static int answer_back(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        fault_answer(FAULT_SEND, "reply", ferry_message_reply(request, "App\\Reply", "{n: 2}"), 0, NULL);
        return 1;
}

static int forget(ferry_session *session, const ferry_message *request, void *userdata)
{
        struct talk *talk = userdata;

        (void)session;
        if (request == talk->kept)
                talk->kept = ferry_message_unref(talk->kept);
        return 0;
}

void talk_begin(struct talk *talk)
{
        ferry_session_on(talk->a, FERRY_KIND_REQUEST, answer_back, talk);
        ferry_session_on(talk->a, FERRY_KIND_CLOSED, close_a, talk);
        ferry_session_on(talk->b, FERRY_KIND_REQUEST, serve, talk);
        ferry_session_on(talk->b, FERRY_KIND_NOTIFICATION, hear, talk);
        ferry_session_on(talk->b, FERRY_KIND_ERROR, lose, talk);
        ferry_session_on(talk->b, FERRY_KIND_CANCELLED, forget, talk);
        ferry_session_on(talk->b, FERRY_KIND_CLOSED, close_b, talk);
}

void talk_note(struct talk *talk)
{
        const char *text = note_text(talk->sent);
        int code = ferry_session_notify(talk->a, "App\\Note", "{message: %s, n: %u}", text, talk->sent);

        if (fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(talk->a)))
                talk->sent++;
}

void talk_note_with(struct talk *talk, const char *text)
{
        int code = ferry_session_notify(talk->a, "App\\Note", "{text: %s, message: %s, n: %u}", text, note_text(talk->sent), talk->sent);

        talk->text = text;
        if (fault_answer(FAULT_SEND, "notify", code, 0, ferry_session_error(talk->a)))
                talk->sent++;
}

static ferry_call *ask(struct talk *talk, int timeout_ms, const char *type)
{
        return ferry_session_request(talk->a, timeout_ms, type, "{n: %u}", talk->asked++);
}

static void judge_call(struct talk *talk, ferry_call *call, unsigned number, int expected)
{
        int status = ferry_call_status(call);
        const ferry_message *reply = ferry_call_reply(call);

        fault_check(status != 1);
        fault_answer(FAULT_END, "a call", status, expected, ferry_call_error(call));
        talk->is_not_executed[number] = ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED;
        /* Whatever happens to a request, it ends before the time is over, if only by the end of the session. */
        if (status == -ETIMEDOUT && expected != status && ferry_session_status(talk->a) == 1 &&
            ferry_session_status(talk->b) == 1)
                fault_flaw("question %u is neither answered nor refused", number);
        if (status != 0)
                return;
        fault_check(ferry_call_outcome(call) == FERRY_OUTCOME_REPLIED && talk->served[number] == 1);
        if (ferry_message_body(reply) || !fault_is_memory())
                fault_check(ferry_value_int(ferry_message_get(reply, "n"), -1) == (int64_t)number &&
                            ferry_value_count(ferry_message_get(reply, "list")) == 5);
}

bool talk_ask(struct talk *talk, const char *type, int expected)
{
        unsigned number = talk->asked;
        FERRY_AUTO(ferry_call) call = ask(talk, 5000, type);

        ferry_call_await(call);
        judge_call(talk, call, number, expected);
        return ferry_call_status(call) == expected;
}

static void called_back(ferry_call *call, const ferry_message *reply, void *userdata)
{
        struct talk *talk = userdata;

        fault_check((reply != NULL) == (ferry_call_status(call) == 0));
        talk->called_back++;
        if (call)
                fault_answer(FAULT_END, "a call", ferry_call_status(call), 0, ferry_call_error(call));
}

void talk_promise(struct talk *talk, const char *type)
{
        talk->promised++;
        ferry_call_then(ask(talk, 5000, type), called_back, talk);
}

static int stop(ferry_loop *loop, void *userdata)
{
        (void)userdata;
        return ferry_loop_stop(loop, 0);
}

void talk_run(ferry_loop *loop, int ms)
{
        int code;

        ferry_loop_after(loop, ms, stop, loop);
        code = ferry_loop_run(loop, ms * 2);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(loop));
        ferry_loop_off(loop, stop, loop);
}

void talk_everything(struct talk *talk)
{
        ferry_call *call;
        unsigned number;

        talk_note(talk);
        talk_note(talk);
        talk_ask(talk, "App\\Echo", 0);
        talk_ask(talk, "App\\Fail", -EREMOTEIO);
        talk_ask(talk, "App\\Wrong", -EREMOTEIO);
        talk_ask(talk, "App\\Nested", 0);
        talk_note(talk);
        /* Given away, and answered late. */
        talk_promise(talk, "App\\Late");
        talk_run(talk->loop, 20);
        /* Let go. */
        number = talk->asked;
        call = ask(talk, 5000, "App\\Late");
        ferry_loop_tick(talk->loop, 0);
        talk->is_not_executed[number] = ferry_call_outcome(call) == FERRY_OUTCOME_NOT_EXECUTED;
        ferry_call_free(call);
        /* Not answered in time. */
        number = talk->asked;
        call = ask(talk, 5, "App\\Never");
        ferry_call_await(call);
        judge_call(talk, call, number, -ETIMEDOUT);
        ferry_call_free(call);
        talk_note(talk);
        fault_answer(FAULT_WAIT, "flush", ferry_session_flush(talk->a, 1000), 0, NULL);
        talk->ignored = ferry_message_unref(talk->ignored);
        talk_run(talk->loop, 20);
        fault_want(talk->received == talk->sent);
        ferry_value_unref(ferry_session_info(talk->a));
}

void talk_end(struct talk *talk)
{
        bool was_told = ferry_session_status(talk->a) != 1 || ferry_session_status(talk->b) != 1;
        int code = ferry_session_close(talk->a);

        fault_answer(FAULT_END, "close", code, 0, ferry_session_error(talk->a));
        talk->ignored = ferry_message_unref(talk->ignored);
        code = ferry_loop_run(talk->loop, 5000);
        fault_answer(FAULT_WAIT, "run", code, 0, ferry_loop_error(talk->loop));
        fault_answer(FAULT_END, "status", ferry_session_status(talk->b), 0, ferry_session_error(talk->b));
        /* A connection that was reset has ended in order; the kernel says so only where all was read. */
        if (talk->received + talk->lost < talk->sent && !was_told && fault_error() != ECONNRESET &&
            ferry_session_status(talk->a) >= 0 && ferry_session_status(talk->b) >= 0)
                fault_flaw("%u of %u notifications were received, and the loss of the rest was not reported", talk->received,
                           talk->sent);
        ferry_loop_free(talk->loop);
        if (talk->kept)
                fault_check(ferry_message_reply(talk->kept, NULL, NULL) < 0);
        talk->kept = ferry_message_unref(talk->kept);
        fault_check(talk->closed[0] <= 1 && talk->closed[1] <= 1);
        fault_want(talk->closed[0] == 1 && talk->closed[1] == 1);
        fault_want(talk->received == talk->sent);
        fault_check(talk->received <= talk->sent);
        fault_check(talk->called_back == talk->promised);
        for (unsigned i = 0; i < talk->asked; i++) {
                fault_check(talk->served[i] <= 1);
                if (talk->is_not_executed[i] && talk->served[i] > 0)
                        fault_flaw("question %u was answered, and is said to be not executed", i);
        }
}
