/* The dialect nats by recorded bytes: what a nats-server 2.9.10 has sent, and what is said to it; however the lines are cut; and
 * lines that are none. */
#include "wire/dialect.h"
#include "support/suite.h"
#include "wire/nats_text.h"
#include "wire/subject.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char recorded_info[] =
        "INFO {\"server_id\":\"NBJ5M7PHWGZKVYLQ\",\"server_name\":\"NBJ5M7PHWGZKVYLQ\",\"version\":\"2.9.10\",\"proto\":1,"
        "\"go\":\"go1.19.8\",\"host\":\"127.0.0.1\",\"port\":4222,\"headers\":true,\"max_payload\":1048576,\"client_id\":4,"
        "\"client_ip\":\"127.0.0.1\"} \r\n";

static struct wire wire;
static struct buffer buffer;
static struct error error;

static void begin(const char *address, const ferry_session_options *options)
{
        const ferry_session_options none = { 0 };

        ck_assert_int_eq(wire_init(&wire, options ? options : &none, &error), 0);
        ck_assert_int_eq(wire_begin(&wire, address, options ? options : &none, &error), 0);
}

static void end(void)
{
        wire_deinit(&wire);
        buffer_deinit(&buffer);
        error_deinit(&error);
}

static int read_frame(const char *bytes, struct incoming *ret)
{
        *ret = (struct incoming){ .kind = WIRE_UNKNOWN };
        error_deinit(&error);
        return wire.dialect->read(&wire, bytes, strlen(bytes), ret, &error);
}

static const char *written(const struct outgoing *outgoing)
{
        buffer_consume(&buffer, buffer_size(&buffer));
        ck_assert_msg(wire.dialect->write(&wire, &buffer, outgoing, &error) == 0, "%s", error_text(&error));
        ck_assert_int_eq(buffer_append(&buffer, "", 1), 0);
        return (const char *)buffer_bytes(&buffer);
}

/* The inbox of a session, as its login says it; it is what stands between SUB and *. */
/* INFO of which nothing else is looked at. */
static int read_info(const char *frame, struct incoming *ret)
{
        int code = read_frame(frame, ret);

        ferry_value_unref(ret->value);
        ret->value = NULL;
        return code;
}

static void find_inbox(char inbox[64])
{
        const char *at = strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "SUB ");

        ck_assert_ptr_nonnull(at);
        ck_assert_int_eq(sscanf(at, "SUB %63[^*]*", inbox), 1);
}

static void check_text(const struct raw_text *text, const char *expected)
{
        ck_assert_uint_eq(text->size, strlen(expected));
        ck_assert_int_eq(memcmp(text->bytes, expected, text->size), 0);
}

START_TEST(a_line_is_a_frame_however_it_is_cut)
{
        static const char *const lines[] = {
                recorded_info, "PING\r\n", "PONG\r\n", "+OK\r\n", "-ERR 'Stale Connection'\r\n", "MSG shout 2 5\r\nhello\r\n",
                "MSG shout 2 _INBOX.x.1 0\r\n\r\n", "HMSG shout  2\t_INBOX.x.1 12 17\r\nNATS/1.0\r\n\r\nhello\r\n", "ping\r\n",
        };

        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                for (size_t size = 0; size <= strlen(lines[i]); size++) {
                        size_t header = 1;
                        uint64_t payload = 0;
                        int code = framing_nats.measure(lines[i], size, &header, &payload);
                        const char *line_end = strstr(lines[i], "\r\n") + 2;

                        ck_assert_int_eq(code, size >= (size_t)(line_end - lines[i]));
                        if (code) {
                                ck_assert_uint_eq(header, 0);
                                ck_assert_uint_eq(payload, strlen(lines[i]));
                        }
                }
}

START_TEST(a_line_that_is_none_is_refused)
{
        static const char *const lines[] = {
                "HTTP/1.1 400 Bad Request\r\n", "PINGS\r\n", "PING \r\n", "PING\n", "PING\rx\n", "+OKAY\r\n", "MSG\r\n", "MSG a 2 -5\r\n",
                "MSG a 2 5x\r\n", "MSG a 2 99999999999\r\n", "INFO{}\r\n", "\r\n", "INFO {}\n",
        };
        /* What their last word says is taken first. */
        static const char *const messages[] = {
                "MSG a 2\r\n12\r\n", "MSG a 2 b c 5\r\n12345\r\n", "HMSG a 2 9 5\r\n12345\r\n", "HMSG a 2 5\r\n12345\r\n",
        };
        struct incoming in;
        static char longest[NATS_LINE_MAX + 2];
        size_t header;
        uint64_t payload;

        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                ck_assert_msg(framing_nats.measure(lines[i], strlen(lines[i]), &header, &payload) == -EBADMSG, "%s", lines[i]);
        begin("nats:shout", NULL);
        for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
                ck_assert_int_eq(framing_nats.measure(messages[i], strlen(messages[i]), &header, &payload), 1);
                ck_assert_uint_eq(payload, strlen(messages[i]));
                ck_assert_int_eq(read_frame(messages[i], &in), -EBADMSG);
                ck_assert_int_eq(in.kind, WIRE_UNKNOWN);
        }
        end();
        memset(longest, 'a', sizeof longest);
        memcpy(longest, "MSG ", 4);
        ck_assert_int_eq(framing_nats.measure(longest, NATS_LINE_MAX - 1, &header, &payload), 0);
        ck_assert_int_eq(framing_nats.measure(longest, NATS_LINE_MAX, &header, &payload), -EBADMSG);
}

START_TEST(a_login_follows_the_greeting_and_is_confirmed_by_the_first_pong)
{
        struct incoming in;
        char inbox[64];

        begin("nats:shout", NULL);
        ck_assert_int_eq(read_frame(recorded_info, &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START);
        ck_assert_uint_eq(wire.peer_max, 1048576);
        ck_assert(!in.greeting.is_tls_offered && !in.greeting.is_tls_required && !in.greeting.nonce);
        ferry_value_unref(in.value);
        find_inbox(inbox);
        ck_assert_int_eq(strncmp(inbox, "_INBOX.", 7), 0);
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "* 1\r\nPING\r\n"));
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "\"no_responders\":true"));
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START_OK);
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_PONG);
        ck_assert_int_eq(memcmp(in.id.bytes, "\0\0\0\0\0\0\0\1", 8), 0);
        ck_assert_int_eq(read_frame("PING\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_PING);
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_PONG }), "PONG\r\n");
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_CLOSE }), "UNSUB 1\r\n");
        end();
}

START_TEST(a_greeting_says_what_it_asks_for_and_a_proof_has_its_room)
{
        const struct wire_proof proof = { .jwt = "a.b-_.c", .key = "UKEY", .signature = "SIGN" }, bare = { .key = "UKEY", .signature = "SIGN" };
        char frame[600];
        struct incoming in;

        begin("nats:shout", NULL);
        ck_assert_int_eq(read_frame("INFO {\"headers\":true,\"tls_available\":true,\"tls_required\":true,\"nonce\":\"n1\"}\r\n", &in), 0);
        ck_assert(in.greeting.is_tls_offered && in.greeting.is_tls_required);
        ck_assert_str_eq(in.greeting.nonce, "n1");
        ferry_value_unref(in.value);
        snprintf(frame, sizeof frame, "%s", written(&(struct outgoing){ .kind = WIRE_START_OK, .proof_room = 15 }));
        ck_assert_ptr_nonnull(strstr(frame, " }\r\nSUB "));
        ck_assert_ptr_nonnull(strstr(frame, "CONNECT {\"tls_required\":false,\"verbose\":false,"));
        wire.dialect->secure(frame);
        ck_assert_ptr_nonnull(strstr(frame, "CONNECT {\"tls_required\":true ,\"verbose\":false,"));
        wire.dialect->prove(wire.login, frame, &proof);
        ck_assert_ptr_nonnull(strstr(frame, "\"no_responders\":true,\"jwt\":\"a.b-_.c\",\"sig\":\"SIGN\" "));
        ck_assert_ptr_nonnull(strstr(frame, " }\r\nSUB "));
        snprintf(frame, sizeof frame, "%s", written(&(struct outgoing){ .kind = WIRE_START_OK, .proof_room = 15 }));
        wire.dialect->prove(wire.login, frame, &bare);
        ck_assert_ptr_nonnull(strstr(frame, "\"no_responders\":true,\"nkey\":\"UKEY\",\"sig\":\"SIGN\" "));
        end();
}

START_TEST(a_listener_subscribes_in_a_queue_group)
{
        const ferry_session_options options = { .is_listening = true, .nats_url = "nats://us%40er:p%3Aass@127.0.0.1,nats://127.0.0.2" };

        begin("nats:shout.*", &options);
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "\r\nSUB shout.* ferry 2\r\nPING\r\n"));
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "\"user\":\"us@er\",\"pass\":\"p:ass\""));
        end();
}

START_TEST(sessions_have_inboxes_of_their_own)
{
        char first[64], second[64];

        begin("nats:shout", NULL);
        find_inbox(first);
        end();
        begin("nats:shout", NULL);
        find_inbox(second);
        end();
        ck_assert_uint_eq(strlen(first), 7 + 11 + 1);
        ck_assert_str_ne(first, second);
}

START_TEST(a_request_names_its_inbox_and_its_type)
{
        ferry_value *body = ferry_value_pack("'hello'");
        struct outgoing request = { .kind = WIRE_REQUEST, .id = "7", .id_size = 1, .type = "x", .body = body };
        char inbox[64], expected[200];

        begin("nats:shout", NULL);
        find_inbox(inbox);
        snprintf(expected, sizeof expected, "HPUB shout %s7         44         49\r\nNATS/1.0\r\nFerry-Type: x\r\nFerry-Accept: 1\r\n"
                                            "\r\nhello\r\n", inbox);
        ck_assert_str_eq(written(&request), expected);
        end();
        ferry_value_unref(body);
}

START_TEST(a_value_that_is_no_string_is_json)
{
        ferry_value *body = ferry_value_pack("{a: 1}");

        begin("nats:shout", NULL);
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_NOTIFICATION, .type = "x", .body = body }),
                                     "Ferry-Type: x\r\nFerry-Codec: json\r\n\r\n{\"a\":1}\r\n"));
        end();
        ferry_value_unref(body);
}

START_TEST(an_answer_goes_to_the_subject_that_the_request_names)
{
        const ferry_session_options options = { .is_listening = true };
        ferry_value *body = ferry_value_pack("'HELLO'"), *reason = ferry_value_pack("'it\n\xc3\xbc failed'");
        struct incoming in;

        begin("nats:shout", &options);
        ck_assert_int_eq(read_frame("HMSG shout 2 _INBOX.x.1 27 32\r\nNATS/1.0\r\nFerry-Type: x\r\n\r\nhello\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_REQUEST);
        check_text(&in.id, "_INBOX.x.1");
        check_text(&in.type, "x");
        ck_assert_uint_eq(in.body_size, 5);
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_RESPONSE, .id = "_INBOX.x.1", .id_size = 10, .type = "x",
                                                     .is_type_known = true, .body = body }),
                         "PUB _INBOX.x.1          5\r\nHELLO\r\n");
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_RESPONSE, .id = "_INBOX.x.1", .id_size = 10, .type = "y", .body = body }),
                         "HPUB _INBOX.x.1         27         32\r\nNATS/1.0\r\nFerry-Type: y\r\n\r\nHELLO\r\n");
        /* Without the header it would be taken for that of the request. */
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_RESPONSE, .id = "_INBOX.x.1", .id_size = 10, .type = "", .body = body }),
                         "HPUB _INBOX.x.1         26         31\r\nNATS/1.0\r\nFerry-Type: \r\n\r\nHELLO\r\n");
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_ERROR, .id = "a", .id_size = 1, .body = reason }),
                                     "Nats-Service-Error: it \xc3\xbc failed\r\nNats-Service-Error-Code: 500\r\n\r\nit\n"));
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_REFUSED, .id = "a", .id_size = 1, .body = reason }),
                                     "Nats-Service-Error-Code: 503\r\nFerry-Outcome: not executed\r\n"));
        ck_assert_int_eq(read_frame("MSG shout.now 2 5\r\nhello\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_NOTIFICATION);
        check_text(&in.type, "shout.now");
        end();
        ferry_value_unref(body);
        ferry_value_unref(reason);
}

static void check_question(const char *subscription, const char *question, const char *part)
{
        struct incoming in;
        char frame[64];

        snprintf(frame, sizeof frame, "MSG $SRV %s _INBOX.y.1 0\r\n\r\n", subscription);
        ck_assert_int_eq(read_frame(frame, &in), 0);
        ck_assert_int_eq(in.kind, WIRE_QUESTION);
        check_text(&in.id, "_INBOX.y.1");
        check_text(&in.type, question);
        ck_assert_msg(strstr(written(&(struct outgoing){ .kind = WIRE_ANSWER, .id = "_INBOX.y.1", .id_size = 10,
                                                         .type = in.type.bytes }), part) != NULL, "%s: %s", question,
                      written(&(struct outgoing){ .kind = WIRE_ANSWER, .id = "_INBOX.y.1", .id_size = 10, .type = in.type.bytes }));
}

START_TEST(a_listener_answers_what_it_is_asked_of_itself)
{
        const ferry_session_options options = { .is_listening = true };
        ferry_value *reason = ferry_value_pack("'it failed'");
        struct incoming in;

        begin("nats:shout.*.\xff", &options);
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }),
                                     "\r\nSUB $SRV.PING 3\r\nSUB $SRV.PING.shout-_-_ 4\r\nSUB $SRV.PING.shout-_-_."));
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "\r\nSUB $SRV.STATS.shout-_-_ a\r\n"));
        check_question("3", "PING", "{\"type\":\"io.nats.micro.v1.ping_response\",\"name\":\"shout-_-_\",\"id\":\"");
        check_question("7", "INFO", "\"endpoints\":[{\"name\":\"default\",\"subject\":\"?\",\"queue_group\":\"ferry\",\"metadata\":{}}]}");
        check_question("b", "STATS", "\"num_requests\":0,\"num_errors\":0,\"last_error\":\"\",\"processing_time\":0,"
                                     "\"average_processing_time\":0}]}");
        ck_assert_int_eq(read_frame("HMSG shout.a.\xff 2 _INBOX.x.1 27 27\r\nNATS/1.0\r\nFerry-Type: x\r\n\r\n\r\n", &in), 0);
        check_question("9", "STATS", "\"num_requests\":1,\"num_errors\":0,\"last_error\":\"\"");
        written(&(struct outgoing){ .kind = WIRE_ERROR, .id = "a", .id_size = 1, .body = reason });
        /* One over the limit was not read before it is refused. */
        written(&(struct outgoing){ .kind = WIRE_REFUSED, .id = "a", .id_size = 1, .body = reason });
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_UNSUBSCRIBE }), "UNSUB 2\r\n");
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), " b\r\nPING\r\n"));
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_SUBSCRIBE }), "SUB shout.*.\xff ferry 2\r\n");
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), " ferry 2\r\nPING\r\n"));
        check_question("9", "STATS", "\"num_requests\":2,\"num_errors\":2,\"last_error\":\"it failed\"");
        end();
        ferry_value_unref(reason);
}

START_TEST(a_question_that_cannot_be_answered_is_ignored)
{
        const ferry_session_options options = { .is_listening = true };
        struct incoming in;

        begin("nats:shout", &options);
        ck_assert_int_eq(read_frame("MSG $SRV.PING 3 0\r\n\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_UNKNOWN);
        ck_assert_int_eq(read_frame("MSG $SRV.PING 3 a.> 0\r\n\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_UNKNOWN);
        end();
        begin("nats:shout", NULL);
        ck_assert_int_eq(read_frame("MSG $SRV.PING 3 a 0\r\n\r\n", &in), -EBADMSG);
        end();
}

static void check_gathered(const char *headers, const char *body, enum wire_kind kind, const char *sentence)
{
        char inbox[64], frame[400];
        struct incoming in;

        find_inbox(inbox);
        snprintf(frame, sizeof frame, "HMSG %s0 1 %zu %zu\r\n%s%s\r\n", inbox, strlen(headers), strlen(headers) + strlen(body), headers,
                 body);
        ck_assert_msg(read_frame(frame, &in) == 0, "%s", error_text(&error));
        ck_assert_int_eq(in.kind, kind);
        if (sentence)
                ck_assert_str_eq(ferry_value_text(in.value, ""), sentence);
        ferry_value_unref(in.value);
}

START_TEST(answers_to_notifications_are_gathered)
{
        const ferry_session_options options = { .is_gathering = true };
        ferry_value *body = ferry_value_pack("''"), *done;
        struct outgoing asked = { .kind = WIRE_NOTIFICATION, .type = "", .body = body };
        struct incoming delivered;
        char inbox[64], expected[200];

        begin("nats:$SRV.INFO", &options);
        find_inbox(inbox);
        snprintf(expected, sizeof expected, "HPUB $SRV.INFO %s0         12         12\r\nNATS/1.0\r\n\r\n\r\n", inbox);
        ck_assert_str_eq(written(&asked), expected);
        check_gathered("NATS/1.0\r\n\r\n", "{}", WIRE_NOTIFICATION, NULL);
        check_gathered("NATS/1.0 408 Request Timeout\r\n\r\n", "", WIRE_REFUSED, "the NATS server answers with the status 408 Request Timeout");
        check_gathered("NATS/1.0 409\r\n\r\n", "", WIRE_REFUSED, "the NATS server answers with the status 409");
        ck_assert_int_eq(read_frame("HMSG @0 1 16 16\r\nNATS/1.0 404\r\n\r\n\r\n", &delivered), 0);
        check_text(&delivered.type, "404");
        ferry_value_unref(delivered.value);
        ck_assert_int_eq(read_frame("MSG jobs.task 1 $JS.ACK.jobs.ferry.1.1 5\r\nhello\r\n", &delivered), 0);
        ck_assert_int_eq(delivered.kind, WIRE_REQUEST);
        ck_assert(delivered.wants_acceptance);
        check_text(&delivered.id, "$JS.ACK.jobs.ferry.1.1");
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_ACCEPTED, .id = "$JS.ACK.a", .id_size = 9 }), "PUB $JS.ACK.a 4\r\n+WPI\r\n");
        /* Of a task in JSON, too. */
        done = ferry_value_pack("'+ACK'");
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_RESPONSE, .id = "$JS.ACK.a", .id_size = 9, .body = done,
                                                     .codec = ferry_codec_json() }),
                         "PUB $JS.ACK.a          4\r\n+ACK\r\n");
        ferry_value_unref(done);
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_ERROR, .id = "$JS.ACK.a", .id_size = 9, .body = body }),
                         "PUB $JS.ACK.a 25\r\n-NAK {\"delay\":5000000000}\r\n");
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_REFUSED, .id = "$JS.ACK.a", .id_size = 9 }),
                         "PUB $JS.ACK.a 25\r\n-NAK {\"delay\":5000000000}\r\n");
        ck_assert_int_eq(read_frame("MSG jobs.task 1 a.b 5\r\nhello\r\n", &delivered), 0);
        ck_assert(delivered.kind == WIRE_REQUEST && !delivered.wants_acceptance);
        check_gathered("NATS/1.0 503\r\n\r\n", "", WIRE_REFUSED, "no responders: no process listens at $SRV.INFO");
        check_gathered("NATS/1.0\r\nNats-Service-Error: no\r\n\r\n", "", WIRE_REFUSED, "a service has failed: no");
        asked.kind = WIRE_REQUEST;
        ck_assert_int_eq(wire.dialect->write(&wire, &buffer, &asked, &error), -EOPNOTSUPP);
        end();
        ferry_value_unref(body);
}

static void check_answer(const char *headers, const char *body, enum wire_kind kind, int refusal, const char *expected)
{
        char inbox[64], frame[400];
        struct incoming in;
        size_t size;

        find_inbox(inbox);
        snprintf(frame, sizeof frame, "HMSG %s1 1 %zu %zu\r\n%s%s\r\n", inbox, strlen(headers), strlen(headers) + strlen(body), headers,
                 body);
        ck_assert_msg(read_frame(frame, &in) == 0, "%s", error_text(&error));
        ck_assert_int_eq(in.kind, kind);
        ck_assert_int_eq(in.refusal, refusal);
        ck_assert_int_eq(in.is_leaving, kind == WIRE_REFUSED);
        check_text(&in.id, "1");
        if (in.value) {
                const char *text = ferry_value_bytes(in.value, &size);

                ck_assert_str_eq(text, expected);
        } else {
                ck_assert_uint_eq(in.body_size, strlen(expected));
                ck_assert_int_eq(memcmp(frame + in.body_offset, expected, in.body_size), 0);
        }
        ferry_value_unref(in.value);
}

START_TEST(an_answer_says_whether_the_request_was_executed)
{
        begin("nats:vacant", NULL);
        check_answer("NATS/1.0 503\r\n\r\n", "", WIRE_REFUSED, -ECONNREFUSED,
                     "no responders: no process listens at 'nats:vacant', so the request was not executed");
        check_answer("NATS/1.0 408 Request Timeout\r\n\r\n", "", WIRE_ERROR, 0,
                     "the NATS server answers with the status 408 Request Timeout");
        check_answer("NATS/1.0\r\n\r\n", "HELLO", WIRE_RESPONSE, 0, "HELLO");
        check_answer("NATS/1.0\r\nnats-service-error:  it failed \r\nNats-Service-Error-Code: 500\r\n\r\n", "details", WIRE_ERROR, 0,
                     "it failed");
        check_answer("NATS/1.0\r\nNats-Service-Error-Code: 400\r\n\r\n", "", WIRE_ERROR, 0, "the service has failed with the code 400");
        check_answer("NATS/1.0\r\nNats-Service-Error: no\r\nNats-Service-Error-Code: 503\r\nFerry-Outcome: not executed\r\n\r\n", "",
                     WIRE_REFUSED, 0, "no");
        end();
}

START_TEST(an_acceptance_has_headers_alone)
{
        const ferry_session_options options = { .is_listening = true };
        const struct outgoing accepted = { .kind = WIRE_ACCEPTED, .id = "back.1", .id_size = 6, .beat_ms = 2000 };
        char expected[300], inbox[64], frame[300];
        struct incoming in;
        const char *block;

        begin("nats:shout", &options);
        snprintf(expected, sizeof expected, "HPUB back.1 105 105\r\nNATS/1.0\r\nFerry-Outcome: accepted\r\nFerry-Instance: %s\r\n"
                                            "Ferry-Beat: 2000\r\n\r\n\r\n", wire_instance(&wire));
        ck_assert_uint_eq(strlen(wire_instance(&wire)), 32);
        ck_assert_str_eq(written(&accepted), expected);
        ck_assert_int_eq(read_frame("HMSG shout 2 back.1 30 30\r\nNATS/1.0\r\nFerry-Accept: 1\r\n\r\n\r\n", &in), -EBADMSG);
        ck_assert_int_eq(read_frame("HMSG shout 2 back.1 29 29\r\nNATS/1.0\r\nFerry-Accept: 1\r\n\r\n\r\n", &in), 0);
        ck_assert(in.kind == WIRE_REQUEST && in.wants_acceptance);
        ck_assert_int_eq(read_frame("MSG shout 2 back.1 0\r\n\r\n", &in), 0);
        ck_assert(in.kind == WIRE_REQUEST && !in.wants_acceptance);
        end();
        begin("nats:shout", NULL);
        find_inbox(inbox);
        block = strstr(expected, "NATS/1.0");
        snprintf(frame, sizeof frame, "HMSG %s7 1 105 105\r\n%s", inbox, block);
        ck_assert_int_eq(read_frame(frame, &in), 0);
        ck_assert_int_eq(in.kind, WIRE_ACCEPTED);
        ck_assert_int_eq(in.beat_ms, 2000);
        check_text(&in.id, "7");
        ck_assert_uint_eq(in.type.size, 32);
        /* A number that is none, or too large for a timer. */
        snprintf(frame, sizeof frame, "HMSG %s7 1 53 53\r\nNATS/1.0\r\nFerry-Outcome: accepted\r\nFerry-Beat: -7\r\n\r\n\r\n", inbox);
        ck_assert_int_eq(read_frame(frame, &in), 0);
        ck_assert_int_eq(in.beat_ms, 0);
        snprintf(frame, sizeof frame, "HMSG %s7 1 60 60\r\nNATS/1.0\r\nFerry-Outcome: accepted\r\nFerry-Beat: 999999999\r\n\r\n\r\n",
                 inbox);
        ck_assert_int_eq(read_frame(frame, &in), 0);
        ck_assert_int_eq(in.beat_ms, 3600000);
        end();
}

START_TEST(another_connection_has_another_inbox_and_the_same_name)
{
        const ferry_session_options options = { .is_listening = true };
        struct wire former = { 0 };
        struct incoming in;
        char first[64], second[64], name[64];

        begin("nats:shout", NULL);
        find_inbox(first);
        snprintf(name, sizeof name, "%s", wire_instance(&wire));
        ck_assert_int_eq(read_info("INFO {\"headers\":true,\"connect_urls\":[\"10.0.0.1:4222\",\"\",\"a b:1\",\"[::1]:4223\"]}\r\n",
                                    &in), 0);
        ck_assert_str_eq(wire_servers(&wire), "nats://10.0.0.1:4222,nats://[::1]:4223");
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        written(&(struct outgoing){ .kind = WIRE_PING, .id = "\0\0\0\0\0\0\0\1", .id_size = 8 });
        ck_assert_int_eq(wire_part(&wire, &former), 0);
        find_inbox(second);
        ck_assert_str_ne(first, second);
        ck_assert_str_eq(wire_instance(&wire), name);
        ck_assert_str_eq(wire_servers(&wire), "nats://10.0.0.1:4222,nats://[::1]:4223");
        ck_assert_int_eq(read_info("INFO {\"headers\":true,\"ldm\":true}\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START);
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START_OK);
        /* It is of use until it ends, unless it names others. */
        ck_assert_int_eq(read_info("INFO {\"headers\":true,\"ldm\":true}\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START);
        ck_assert_int_eq(read_info("INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"\"]}\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START);
        ck_assert_int_eq(read_info("INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"10.0.0.1:4222\"]}\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_DRAIN);
        ck_assert_int_eq(read_info("INFO {\"headers\":true,\"ldm\":true,\"max_payload\":77}\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_START);
        ck_assert_uint_eq(wire.peer_max, 77);
        /* The ping of the last connection is not answered by this one. */
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        ck_assert_int_eq(memcmp(in.id.bytes, "\0\0\0\0\0\0\0\2", 8), 0);
        wire_deinit(&former);
        end();
        /* A listener closes when the answer to its last ping has come. */
        begin("nats:shout", &options);
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        written(&(struct outgoing){ .kind = WIRE_PING, .id = "\0\0\0\0\0\0\0\1", .id_size = 8 });
        ck_assert(!wire_awaits_close(&wire));
        ck_assert_str_eq(written(&(struct outgoing){ .kind = WIRE_CLOSE }), "UNSUB 2\r\nPING\r\n");
        ck_assert(wire_awaits_close(&wire));
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_PONG);
        ck_assert_int_eq(read_frame("PONG\r\n", &in), 0);
        ck_assert_int_eq(in.kind, WIRE_CLOSE_OK);
        end();
}

START_TEST(what_is_written_is_told_apart)
{
        static const struct {
                const char *bytes;
                enum wire_kind kind;
        } cases[] = {
                { "HPUB shout         12         17\r\nNATS/1.0\r\n\r\nhello\r\n", WIRE_NOTIFICATION },
                { "HPUB shout _INBOX.a.1         12         17\r\nNATS/1.0\r\n\r\nhello\r\n", WIRE_UNKNOWN },
                { "PUB back.1          5\r\nhello\r\n", WIRE_NOTIFICATION },
                { "PUB shout _INBOX.a.1          5\r\nhello\r\n", WIRE_UNKNOWN },
                { "PING\r\n", WIRE_UNKNOWN },
                { "CONNECT {\"a\":1}\r\n", WIRE_UNKNOWN },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                size_t size = strlen(cases[i].bytes), header = 1;
                uint64_t payload = 0;
                struct incoming in;

                ck_assert_int_eq(nats_measure_sent(cases[i].bytes, 3, &header, &payload), 0);
                ck_assert_int_eq(nats_measure_sent(cases[i].bytes, size, &header, &payload), 1);
                ck_assert(header == 0 && payload == size);
                nats_peek_sent(cases[i].bytes, size, &in);
                ck_assert_int_eq(in.kind, cases[i].kind);
        }
}

START_TEST(a_message_that_is_wrong_keeps_its_kind_and_what_only_a_server_says_has_none)
{
        const ferry_session_options options = { .is_listening = true };
        static const struct {
                const char *frame;
                int code;
                enum wire_kind kind;
        } cases[] = {
                { "MSG shout x 2\r\nhi\r\n", -EBADMSG, WIRE_UNKNOWN },
                { "MSG _INBOX.x.1 1 2\r\nhi\r\n", -EBADMSG, WIRE_UNKNOWN },
                { "MSG shout 2 r 2\r\nhixx", -EBADMSG, WIRE_UNKNOWN },
                { "INFO {}\r\n", -EOPNOTSUPP, WIRE_UNKNOWN },
                { "INFO []\r\n", -EBADMSG, WIRE_UNKNOWN },
                { "INFO x\r\n", -EBADMSG, WIRE_UNKNOWN },
                { "-ERR 'Authorization Violation'\r\n", -EACCES, WIRE_UNKNOWN },
                { "-ERR 'Something New'\r\n", -ECONNRESET, WIRE_UNKNOWN },
                { "-ERR\r\n", -EBADMSG, WIRE_UNKNOWN },
                { "-ERR 'Permissions Violation for Publish to \"shout\"'\r\n", -EACCES, WIRE_UNKNOWN },
                { "-ERR 'Permissions Violation for Publish to \"_INBOX.y\"'\r\n", 0, WIRE_REFUSED },
                { "MSG shout 2 a.* 2\r\nhi\r\n", 0, WIRE_REFUSED },
                { "HMSG shout 2 r 10 12\r\nNATS/2.0\r\nhi\r\n", -EBADMSG, WIRE_REQUEST },
                { "HMSG shout 2 r 12 14\r\nNATS/1.0 x\r\nhi\r\n", -EBADMSG, WIRE_REQUEST },
                { "HMSG shout 2 r 30 32\r\nNATS/1.0\r\nFerry-Codec: zip\r\n\r\nhi\r\n", -EBADMSG, WIRE_REQUEST },
                { "HMSG shout 2 r 31 33\r\nNATS/1.0\r\nFerry-Codec: json\r\n\r\n{]\r\n", -EBADMSG, WIRE_REQUEST },
                { "HMSG shout 2 r 27 27\r\nNATS/1.0\r\nFerry-Type: \xff\r\n\r\n\r\n", -EBADMSG, WIRE_REQUEST },
                { "MSG shout.\xff 2 r 2\r\nhi\r\n", -EBADMSG, WIRE_REQUEST },
                { "MSG shout.\x01 2 r 2\r\nhi\r\n", -EBADMSG, WIRE_REQUEST },
        };

        begin("nats:shout", &options);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct incoming in;
                int code = read_frame(cases[i].frame, &in);

                ck_assert_msg(code == cases[i].code, "%s: %d", cases[i].frame, code);
                ck_assert_msg((int)in.kind == (int)cases[i].kind, "%s: kind %d", cases[i].frame, in.kind);
                ck_assert(code == 0 || *error_text(&error));
                ferry_value_unref(in.value);
        }
        end();
}

static const char *message_with(const char *subject, const char *reply)
{
        static char frame[3 * NATS_REPLY_MAX];

        snprintf(frame, sizeof frame, "MSG %s%s%s 0\r\n\r\n", subject, *reply ? " " : "", reply);
        return frame;
}

/* Any client of the server may send that. A longer line than a server takes would have it end the connection. */
START_TEST(a_request_whose_answer_has_no_room_in_a_line_is_dropped)
{
        const ferry_session_options options = { .is_listening = true };
        static char reply[NATS_REPLY_MAX + 2], subject[NATS_REPLY_MAX + sizeof " 2"];
        struct incoming in;

        memset(reply, 'r', NATS_REPLY_MAX + 1);
        memset(subject, 's', NATS_REPLY_MAX);
        begin("nats:>", &options);
        ck_assert_int_eq(read_frame(message_with("a 2", reply), &in), 0);
        ck_assert_int_eq(in.kind, WIRE_REFUSED);
        ferry_value_unref(in.value);
        ck_assert_int_eq(read_frame(message_with("$SRV.PING 3", reply), &in), 0);
        ck_assert_int_eq(in.kind, WIRE_UNKNOWN);
        wire.dialect->peek(message_with("a 2", reply), strlen(message_with("a 2", reply)), &in);
        ck_assert_int_eq(in.kind, WIRE_NOTIFICATION);
        wire.dialect->peek("MSG a 2 b.* 9999\r\n", 18, &in);
        ck_assert_int_eq(in.kind, WIRE_NOTIFICATION);
        reply[NATS_REPLY_MAX] = '\0';
        ck_assert_int_eq(read_frame(message_with("a 2", reply), &in), 0);
        ck_assert_int_eq(in.kind, WIRE_REQUEST);
        written(&(struct outgoing){ .kind = WIRE_ACCEPTED, .id = in.id.bytes, .id_size = in.id.size, .beat_ms = 2000 });
        ck_assert_ptr_nonnull(memchr(buffer_bytes(&buffer), '\n', 4096));
        /* A subject is a type, if it is no longer than that. */
        memcpy(subject + NATS_REPLY_MAX, " 2", sizeof " 2");
        ck_assert_int_eq(read_frame(message_with(subject, "r"), &in), -EBADMSG);
        ck_assert_int_eq(in.kind, WIRE_REQUEST);
        end();
}

START_TEST(what_cannot_be_said_is_refused_with_a_sentence)
{
        const ferry_session_options listens = { .is_listening = true }, wrong[] = {
                { .nats_url = "" },
                { .nats_url = "http://127.0.0.1" },
                { .nats_url = "a://us:pa@127.0.0.1" },
                { .nats_url = "nats://127.0.0.1," },
                { .nats_url = "127.0.0.1,,127.0.0.2" },
                { .nats_url = "://127.0.0.1" },
                { .nats_url = "a/b" },
                { .nats_url = "nats://@127.0.0.1" },
                { .nats_url = "nats://a%zz@127.0.0.1" },
                { .nats_url = "nats://a:b@127.0.0.1,nats://a:c@127.0.0.1" },
                { .dialect = FERRY_DIALECT_FERRY },
        };
        ferry_value *body = ferry_value_pack("'hi'"), *large = ferry_value_pack("'%2000d'", 0);
        struct outgoing outgoing = { .kind = WIRE_NOTIFICATION, .type = "a\r\nb", .body = body };
        struct incoming in;

        /* A scheme may be missing, but not be another one. */
        begin("nats:shout", &(ferry_session_options){ .nats_url = "us:pa@127.0.0.1:4222,tls://[::1],a" });
        ck_assert_ptr_nonnull(strstr(written(&(struct outgoing){ .kind = WIRE_START_OK }), "\"user\":\"us\",\"pass\":\"pa\""));
        end();
        for (size_t i = 1; i < sizeof wrong / sizeof *wrong; i++) {
                ck_assert_int_eq(wire_init(&wire, &wrong[i], &error), 0);
                ck_assert_msg(wire_begin(&wire, "nats:shout", &wrong[i], &error) == -EINVAL, "%zu", i);
                ck_assert(*error_text(&error) && !strstr(error_text(&error), "a:b") && !strstr(error_text(&error), "us:pa"));
                end();
        }
        ck_assert_int_eq(wire_init(&wire, &listens, &error), 0);
        ck_assert_int_eq(wire_begin(&wire, "nats:a..b", &listens, &error), -EINVAL);
        end();
        ck_assert_int_eq(wire_init(&wire, &wrong[0], &error), 0);
        ck_assert_int_eq(wire_begin(&wire, "nats:a.>", &wrong[0], &error), -EINVAL);
        end();
        begin("nats:shout.*", &listens);
        ck_assert_int_eq(wire.dialect->write(&wire, &buffer, &outgoing, &error), -EINVAL);
        error_deinit(&error);
        outgoing.type = "x";
        ck_assert_int_eq(wire.dialect->write(&wire, &buffer, &outgoing, &error), -EINVAL);
        error_deinit(&error);
        outgoing.kind = WIRE_REQUEST;
        ck_assert_int_eq(wire.dialect->write(&wire, &buffer, &outgoing, &error), -EOPNOTSUPP);
        ck_assert_uint_eq(buffer_size(&buffer), 0);
        end();
        /* What was said before the server says how much it takes shows its size. */
        begin("nats:shout", NULL);
        outgoing = (struct outgoing){ .kind = WIRE_NOTIFICATION, .type = "x", .body = large };
        written(&outgoing);
        wire.dialect->peek_sent((const char *)buffer_bytes(&buffer), buffer_size(&buffer), &in);
        ck_assert_uint_gt(in.body_size, 1000);
        ck_assert_uint_lt(in.body_size, buffer_size(&buffer));
        ck_assert_int_eq(read_frame("INFO {\"headers\":true,\"max_payload\":1000}\r\n", &in), 0);
        ferry_value_unref(in.value);
        buffer_consume(&buffer, buffer_size(&buffer));
        ck_assert_int_eq(wire.dialect->write(&wire, &buffer, &outgoing, &error), -EMSGSIZE);
        ck_assert_uint_eq(buffer_size(&buffer), 0);
        end();
        ferry_value_unref(body);
        ferry_value_unref(large);
}

START_TEST(a_subject_has_tokens_and_may_have_wildcards)
{
        static const char *const good[] = { "a", "a.b", "$SRV.PING", "a*.b>", "\xc3\xbc" }, *const wild[] = { "*", ">", "a.*.b", "a.>" },
                          *const bad[] = { "", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\x7f", "a\r\n", ">.a" };

        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
                ck_assert(subject_is_valid(good[i], strlen(good[i]), false) && subject_is_valid(good[i], strlen(good[i]), true));
        for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
                ck_assert(!subject_is_valid(wild[i], strlen(wild[i]), false) && subject_is_valid(wild[i], strlen(wild[i]), true));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                ck_assert(!subject_is_valid(bad[i], strlen(bad[i]), true));
}

static const struct suite_test tests[] = {
        SUITE_TEST(a_line_is_a_frame_however_it_is_cut),
        SUITE_TEST(a_line_that_is_none_is_refused),
        SUITE_TEST(a_login_follows_the_greeting_and_is_confirmed_by_the_first_pong),
        SUITE_TEST(a_greeting_says_what_it_asks_for_and_a_proof_has_its_room),
        SUITE_TEST(a_listener_subscribes_in_a_queue_group),
        SUITE_TEST(sessions_have_inboxes_of_their_own),
        SUITE_TEST(a_request_names_its_inbox_and_its_type),
        SUITE_TEST(a_value_that_is_no_string_is_json),
        SUITE_TEST(an_answer_goes_to_the_subject_that_the_request_names),
        SUITE_TEST(a_listener_answers_what_it_is_asked_of_itself),
        SUITE_TEST(a_question_that_cannot_be_answered_is_ignored),
        SUITE_TEST(answers_to_notifications_are_gathered),
        SUITE_TEST(an_answer_says_whether_the_request_was_executed),
        SUITE_TEST(an_acceptance_has_headers_alone),
        SUITE_TEST(another_connection_has_another_inbox_and_the_same_name),
        SUITE_TEST(what_is_written_is_told_apart),
        SUITE_TEST(a_message_that_is_wrong_keeps_its_kind_and_what_only_a_server_says_has_none),
        SUITE_TEST(a_request_whose_answer_has_no_room_in_a_line_is_dropped),
        SUITE_TEST(what_cannot_be_said_is_refused_with_a_sentence),
        SUITE_TEST(a_subject_has_tokens_and_may_have_wildcards),
};

SUITE_MAIN("nats", tests)
