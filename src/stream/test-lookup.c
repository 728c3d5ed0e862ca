/* Looking up the names of hosts: which names there can be, what is made of the answers of getent, and a lookup that takes its time.
 * The getent here is a script. */
#include "support/suite.h"

#include "stream/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ferry/ferry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAFETY_MS = 20000, OURS = 50 };

#define TEMPLATE "/tmp/ferry-lookup-XXXXXX"

static char folder[] = TEMPLATE;
static char script[sizeof folder + 8];

static void make_getent(const char *text)
{
        const char *path = getenv("PATH");
        char paths[4096];
        FILE *file;

        /* Tests may share a process. */
        strcpy(folder, TEMPLATE);
        ck_assert(mkdtemp(folder) != NULL);
        snprintf(script, sizeof script, "%s/getent", folder);
        file = fopen(script, "we");
        ck_assert(file != NULL);
        fprintf(file, "#!/bin/sh\n%s\n", text);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(script, 0700), 0);
        snprintf(paths, sizeof paths, "%s:%s", folder, path ? path : "/usr/bin:/bin");
        ck_assert_int_eq(setenv("PATH", paths, 1), 0);
}

static void remove_getent(void)
{
        unlink(script);
        rmdir(folder);
}

static const struct {
        const char *name;
        bool is_valid;
} names[] = {
        { "a", true }, { "localhost", true }, { "nats.example.com", true }, { "nats.example.com.", true }, { "a-b_c.D2", true },
        { "2host", true }, { "1.2.3.4a", true }, { "_service.host", true }, { "0xen", false },
        { "", false }, { ".", false }, { "..", false }, { ".a", false }, { "a..b", false }, { "a.b..", false }, { "-a", false },
        { "a.-b", false }, { "--", false }, { "a b", false }, { "a\nb", false }, { "a;b", false }, { "a/b", false }, { "a%eth0", false },
        { "\xc3\xa4.de", false }, { "a:b", false }, { "[::1]", false }, { "127.1", false }, { "1.2.3", false }, { "0x7f000001", false },
        { "a.0X1", false }, { "4711", false },
        /* A label of 64 bytes. */
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", false },
};

START_TEST(a_name_is_letters_digits_and_hyphens)
{
        ck_assert_msg(lookup_name_is_valid(names[_i].name, strlen(names[_i].name)) == names[_i].is_valid, "'%s'", names[_i].name);
}
END_TEST

START_TEST(a_name_has_at_most_252_bytes_and_a_dot)
{
        char name[300];

        for (size_t i = 0; i < sizeof name; i++)
                name[i] = i % 2 ? '.' : 'a';
        ck_assert(lookup_name_is_valid(name, 251));
        ck_assert(lookup_name_is_valid(name, 252));
        ck_assert(!lookup_name_is_valid(name, 255));
        ck_assert(!lookup_name_is_valid(name, sizeof name));
}
END_TEST

struct answer {
        struct lookup *lookup;
        ferry_loop *loop;
        bool is_there;
};

static void is_answered(void *object)
{
        *(bool *)object = true;
}

static struct answer look_up(const char *text)
{
        struct answer answer = { .loop = ferry_loop_new(NULL) };
        struct error error = { 0 };

        make_getent(text);
        ck_assert_msg(lookup_start(answer.loop, "some-host", htons(7), is_answered, &answer.is_there, &answer.lookup, &error) == 0, "%s",
                      error_text(&error));
        ck_assert(lookup_is_running(answer.lookup));
        while (!answer.is_there)
                ck_assert_int_ge(ferry_loop_tick(answer.loop, SAFETY_MS), 0);
        ck_assert(!lookup_is_running(answer.lookup));
        return answer;
}

static void forget(struct answer *answer)
{
        lookup_free(answer->lookup);
        ferry_loop_free(answer->loop);
        remove_getent();
}

static const struct {
        const char *text, *addresses;
} answers[] = {
        { "[ \"$*\" = 'ahosts some-host' ] && echo '127.0.0.1       STREAM some-host'", "127.0.0.1" },
        { "for type in STREAM DGRAM RAW; do echo \"::1 $type\"; echo \"10.0.0.1 $type\"; done", "::1 10.0.0.1" },
        { "printf 'junk\\n\\n 1.2.3.4\\n1.2.3\\nfe80::1%%eth0 STREAM\\n9.9.9.9\\tSTREAM'", "9.9.9.9" },
        { "echo 0.0.0.0 STREAM; echo :: STREAM; echo 10.0.0.1 STREAM", "10.0.0.1" },
        { "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do echo 10.0.0.$i; done",
          "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.12 10.0.0.13"
          " 10.0.0.14 10.0.0.15 10.0.0.16" },
        { "head -c 300000 /dev/zero | tr '\\0' a; echo; echo 10.0.0.1", "10.0.0.1" },
        /* It gets no descriptor of ours, and nothing of ours sees what it prints. */
        { "[ /proc/$$/fd/0 -ef /dev/null ] && [ /proc/$$/fd/2 -ef /dev/null ] && ! [ -e /proc/$$/fd/50 ] && echo 10.0.0.1", "10.0.0.1" },
};

START_TEST(the_addresses_of_a_host_are_in_the_order_of_getent)
{
        char text[1024] = "", one[INET6_ADDRSTRLEN];
        struct answer answer;

        ck_assert_int_eq(dup2(STDERR_FILENO, OURS), OURS);
        answer = look_up(answers[_i].text);
        close(OURS);
        for (int i = 0; i < answer.lookup->count; i++) {
                const union inet_address *address = &answer.lookup->addresses[i];

                ck_assert_int_eq(inet_port(address), htons(7));
                inet_ntop(address->any.sa_family, address->any.sa_family == AF_INET ? (const void *)&address->ipv4.sin_addr :
                          (const void *)&address->ipv6.sin6_addr, one, sizeof one);
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", one);
        }
        ck_assert_str_eq(text, answers[_i].addresses);
        ck_assert_int_eq(answer.lookup->error.code, 0);
        forget(&answer);
}
END_TEST

static const struct {
        const char *text;
        int code;
        const char *sentence;
} failures[] = {
        { "exit 2", -EHOSTUNREACH, "is unknown" },
        { "exit 0", -EHOSTUNREACH, "is unknown" },
        { "echo 0.0.0.0; echo ::; echo junk", -EHOSTUNREACH, "is unknown" },
        { "echo 10.0.0.1; exit 1", -EIO, "getent exited with status 1" },
        { "echo 10.0.0.1; kill -KILL $$", -EIO, "getent was killed by SIGKILL" },
};

START_TEST(a_host_without_an_address_is_explained)
{
        struct answer answer = look_up(failures[_i].text);

        ck_assert_int_eq(answer.lookup->error.code, failures[_i].code);
        ck_assert_msg(strstr(error_text(&answer.lookup->error), failures[_i].sentence) != NULL, "%s", error_text(&answer.lookup->error));
        ck_assert(strstr(error_text(&answer.lookup->error), "some-host") != NULL);
        ck_assert_int_eq(answer.lookup->count, 0);
        forget(&answer);
}
END_TEST

START_TEST(a_missing_getent_is_explained)
{
        struct error error = { 0 };
        struct lookup *lookup = NULL;
        ferry_loop *loop = ferry_loop_new(NULL);

        setenv("PATH", "/nonexistent", 1);
        ck_assert_int_eq(lookup_start(loop, "some-host", 0, is_answered, NULL, &lookup, &error), -EOPNOTSUPP);
        ck_assert_msg(strstr(error_text(&error), "libc-bin") != NULL, "%s", error_text(&error));
        error_deinit(&error);
        ferry_loop_free(loop);
}
END_TEST

START_TEST(a_lookup_that_is_freed_ends_getent)
{
        struct error error = { 0 };
        struct lookup *lookup = NULL;
        ferry_loop *loop = ferry_loop_new(NULL);

        make_getent("exec sleep 60");
        ck_assert_int_eq(lookup_start(loop, "some-host", 0, is_answered, NULL, &lookup, &error), 0);
        lookup_free(lookup);
        ferry_loop_free(loop);
        remove_getent();
}
END_TEST

/* The suite looks for children that are left. */
START_TEST(a_session_that_is_freed_ends_its_lookup)
{
        const ferry_session_options options = { .nats_url = "nats://some-host", .wait_ms = SAFETY_MS };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session;

        make_getent("exec sleep 60");
        session = ferry_session_open(loop, "nats:x", &options);
        ck_assert_msg(ferry_session_status(session) == 1, "%s", ferry_session_error(session));
        if (_i)
                ferry_session_close(session);
        ferry_loop_free(loop);
        remove_getent();
}
END_TEST

static int echo(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "'x'");
}

START_TEST(a_lookup_does_not_hold_up_other_sessions)
{
        const ferry_session_options options = { .nats_url = "nats://some-host", .wait_ms = SAFETY_MS };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_service *service = ferry_service_open(loop, "tcp:127.0.0.1:0", NULL);
        ferry_session *slow, *other;
        ferry_call *call;

        ferry_service_on(service, FERRY_KIND_REQUEST, echo, NULL);
        make_getent("exec sleep 60");
        slow = ferry_session_open(loop, "nats:x", &options);
        other = ferry_session_open(loop, ferry_service_address(service), NULL);
        call = ferry_session_request(other, SAFETY_MS, "x", "'x'");
        ck_assert_msg(ferry_call_await(call) != NULL, "%s", ferry_call_error(call));
        ck_assert_int_eq(ferry_session_status(slow), 1);
        ferry_call_free(call);
        ferry_loop_free(loop);
        remove_getent();
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_name_is_letters_digits_and_hyphens, sizeof names / sizeof *names),
        SUITE_TEST(a_name_has_at_most_252_bytes_and_a_dot),
        SUITE_LOOP(the_addresses_of_a_host_are_in_the_order_of_getent, sizeof answers / sizeof *answers),
        SUITE_LOOP(a_host_without_an_address_is_explained, sizeof failures / sizeof *failures),
        SUITE_TEST(a_missing_getent_is_explained),
        SUITE_TEST(a_lookup_that_is_freed_ends_getent),
        SUITE_LOOP(a_session_that_is_freed_ends_its_lookup, 2),
        SUITE_TEST(a_lookup_does_not_hold_up_other_sessions),
};

SUITE_MAIN("lookup", tests)
