/* Sessions over ssh: what is run, and how its ends are told. In the place of ssh(1) stands a script that writes down its
 * arguments, and then does what the host is called. tests/cli/test-ssh.sh uses the real one. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of a request. */
#define READ "dd bs=65536 count=1 >/dev/null 2>&1; "

static const char script[] =
        "#!/bin/sh\n"
        "printf '[%s]' \"$@\" >arguments.new && mv arguments.new arguments\n"
        "while [ \"$1\" != -- ]; do shift; done\n"
        "case $2 in\n"
        "run) exec sh -c \"$3\" ;;\n"
        "echo) exec " BUILD_DIRECTORY "/tests/child echo ;;\n"
        "late) " BUILD_DIRECTORY "/tests/child echo; exec >&-; sleep 0.2; exit 0 ;;\n"
        "down) printf 'ssh: connect to host down: refused\\r\\n' >&2; exit 255 ;;\n"
        "lost) " READ "exit 255 ;;\n"
        "killed) " READ "kill -KILL $$ ;;\n"
        "absent) " READ "exit 69 ;;\n"
        "missing) " READ "exit 127 ;;\n"
        "stuck) trap 'exit 255' TERM; " BUILD_DIRECTORY "/tests/child echo; while :; do sleep 0.01; done ;;\n"
        "esac\n";

struct far {
        struct place place;
        char path[256];
        const char *env[2];
};

static void open_far(struct far *far)
{
        char path[160];
        FILE *file;

        open_place(&far->place);
        snprintf(path, sizeof path, "%s/ssh", far->place.directory);
        file = fopen(path, "w");
        fputs(script, file);
        fclose(file);
        chmod(path, 0700);
        snprintf(far->path, sizeof far->path, "PATH=%s:/usr/local/bin:/usr/bin:/bin", far->place.directory);
        far->env[0] = far->path;
        far->env[1] = NULL;
}

static void remove_file(const struct far *far, const char *name)
{
        char path[160];

        snprintf(path, sizeof path, "%s/%s", far->place.directory, name);
        unlink(path);
}

static void close_far(struct far *far)
{
        remove_file(far, "ssh");
        remove_file(far, "arguments");
        remove_file(far, "words");
        close_place(&far->place);
}

static ferry_session *open_session(struct far *far, const char *address, ferry_session_options options)
{
        options.env = far->env;
        options.directory = far->place.directory;
        return ferry_session_open(far->place.loop, address, &options);
}

static const char *read_file(const struct far *far, const char *name)
{
        static char text[2048];
        char path[160];
        size_t size = 0;
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", far->place.directory, name);
        file = fopen(path, "r");
        if (file) {
                size = fread(text, 1, sizeof text - 1, file);
                fclose(file);
        }
        text[size] = '\0';
        return text;
}

#define ALWAYS "[-T][-oServerAliveInterval=15][-oServerAliveCountMax=3][-oClearAllForwardings=yes][-oRemoteCommand=none]" \
               "[-oPermitLocalCommand=no]"
#define BATCH ALWAYS "[-oBatchMode=yes]"

static const struct {
        const char *address;
        ferry_session_options options;
        const char *arguments;
} calls[] = {
        { "ssh:host:echo", { 0 }, BATCH "[--][host]['ferry' bridge --wait 0.000 -- 'echo']" },
        { "ssh:user@host:22:echo", { .wait_ms = 1500 }, BATCH "[-p][22][--][user@host]['ferry' bridge --wait 1.500 -- 'echo']" },
        { "ssh:[fe80::1%eth0]:22", { .wait_ms = -1 }, BATCH "[--][fe80::1%eth0]['ferry' bridge --wait none -- '22']" },
        { "ssh:a@b@[::1]:2222:unix:/a b", { 0 }, BATCH "[-p][2222][--][a@b@::1]['ferry' bridge --wait 0.000 -- 'unix:/a b']" },
        { "ssh:host:exec:echo 'it'", { .remote_ferry = "/o'pt/$x" },
          BATCH "[--][host]['/o'\\''pt/$x' bridge -- 'exec:echo '\\''it'\\''']" },
        { "ssh:host:ssh:other:7:echo", { .is_in_foreground = true },
          ALWAYS "[--][host]['ferry' bridge --wait 0.000 -- 'ssh:other:7:echo']" },
        { "ssh:host:echo", { .dialect = FERRY_DIALECT_INNMIND },
          BATCH "[--][host]['ferry' bridge --wait 0.000 --dialect innmind -- 'echo']" },
        { "ssh:host:file:a,b", { .dialect = FERRY_DIALECT_FERRY }, BATCH "[--][host]['ferry' bridge -- 'file:a,b']" },
};

enum { CALLS = sizeof calls / sizeof *calls };

START_TEST(ssh_gets_no_more_than_the_address_says)
{
        struct far far;
        ferry_session *session;

        open_far(&far);
        session = open_session(&far, calls[_i].address, calls[_i].options);
        ck_assert_msg(ferry_session_status(session) == 1, "%s", ferry_session_error(session));
        while (ferry_session_status(session) == 1)
                ferry_loop_tick(far.place.loop, SAFETY_MS);
        ck_assert_str_eq(read_file(&far, "arguments"), calls[_i].arguments);
        close_far(&far);
}
END_TEST

/* Through the shell of the other side. */
START_TEST(a_name_is_one_word_there)
{
        static const char *const names[] = { "exec:a 'b' \"c\" $d `e` \\f; g & h > i #j", "exec:''", "exec:a\nb", "unix:/~/*?[x]", "exec:-x" };
        struct far far;
        ferry_session *session;
        char address[128], path[160], expected[128];
        FILE *file;

        open_far(&far);
        snprintf(path, sizeof path, "%s/words", far.place.directory);
        file = fopen(path, "w");
        fputs("#!/bin/sh\nfor last; do :; done; printf '<%s>' \"$last\" >&2\n", file);
        fclose(file);
        chmod(path, 0700);
        snprintf(address, sizeof address, "ssh:run:%s", names[_i]);
        snprintf(expected, sizeof expected, "<%s>", names[_i]);
        session = open_session(&far, address, (ferry_session_options){ .remote_ferry = path });
        ferry_session_on(session, FERRY_KIND_JUNK, NULL, NULL);
        for (const char *at = expected; *at;) {
                const ferry_message *line = ferry_session_next(session, SAFETY_MS);
                const char *text = ferry_value_text(ferry_message_body(line), "");

                ck_assert_msg(line != NULL, "%s", ferry_session_error(session));
                ck_assert_msg(strncmp(at, text, strlen(text)) == 0, "%s", text);
                at += strlen(text);
                at += *at == '\n';
        }
        close_far(&far);
}
END_TEST

START_TEST(a_session_talks_over_ssh)
{
        struct far far;
        ferry_session *session;
        FERRY_AUTO(ferry_value) info = NULL;

        open_far(&far);
        session = open_session(&far, "ssh:echo:name", (ferry_session_options){ 0 });
        require_echo(session);
        info = ferry_session_info(session);
        ck_assert_str_eq(ferry_value_text(ferry_value_get(info, "stream"), ""), "ssh");
        ck_assert_int_eq(ferry_session_close(session), 0);
        ck_assert_int_eq(ferry_loop_run(far.place.loop, -1), 0);
        ck_assert_int_eq(ferry_session_status(session), 0);
        close_far(&far);
}
END_TEST

/* What is known of the request when ssh, or the command there, has failed. */
START_TEST(an_end_of_ssh_says_whether_a_request_was_executed)
{
        static const struct {
                const char *address;
                enum ferry_outcome outcome;
                const char *words;
        } ends[] = {
                { "ssh:down:echo", FERRY_OUTCOME_NOT_EXECUTED,
                  "ssh to 'down' exited with status 255; its last words: ssh: connect to host down: refused" },
                { "ssh:absent:echo", FERRY_OUTCOME_NOT_EXECUTED, "ssh to 'absent' exited with status 69" },
                { "ssh:missing:echo", FERRY_OUTCOME_NOT_EXECUTED, "ssh to 'missing' exited with status 127" },
                { "ssh:absent:exec:exit 69", FERRY_OUTCOME_UNKNOWN, "ssh to 'absent' exited with status 69" },
                { "ssh:lost:echo", FERRY_OUTCOME_UNKNOWN, "ssh to 'lost' exited with status 255" },
                { "ssh:killed:echo", FERRY_OUTCOME_UNKNOWN, "ssh to 'killed' was killed by SIGKILL" },
                /* So it is with any command. */
                { "exec:exit 3", FERRY_OUTCOME_NOT_EXECUTED, "the child exited with status 3" },
                { "exec:" READ "exit 3", FERRY_OUTCOME_UNKNOWN, "the child exited with status 3" },
        };
        struct far far;
        ferry_session *session;
        ferry_call *call;

        open_far(&far);
        session = open_session(&far, ends[_i].address, (ferry_session_options){ 0 });
        call = ferry_session_request(session, SAFETY_MS, "t", "'x'");
        ck_assert_ptr_null(ferry_call_await(call));
        ck_assert_int_eq(ferry_call_status(call), -ECONNRESET);
        ck_assert_msg(strstr(ferry_call_error(call), ends[_i].words) != NULL, "%s", ferry_call_error(call));
        ck_assert_msg(ferry_call_outcome(call) == ends[_i].outcome, "%d: %s", (int)ferry_call_outcome(call), ferry_call_error(call));
        ferry_call_free(call);
        close_far(&far);
}
END_TEST

/* The end of the output comes over the network before the exit of ssh. */
START_TEST(the_exit_of_ssh_may_come_late)
{
        struct far far;
        ferry_session *session;

        open_far(&far);
        session = open_session(&far, "ssh:late:echo", (ferry_session_options){ .close_timeout_ms = SAFETY_MS });
        require_echo(session);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(far.place.loop, -1), 0);
        ck_assert_msg(ferry_session_status(session) == 0, "%s", ferry_session_error(session));
        close_far(&far);
}
END_TEST

START_TEST(an_ssh_that_is_ended_is_no_failure)
{
        struct far far;
        ferry_session *session;

        open_far(&far);
        session = open_session(&far, "ssh:stuck:echo", (ferry_session_options){ .close_timeout_ms = 50 });
        require_echo(session);
        ferry_session_close(session);
        ck_assert_int_eq(ferry_loop_run(far.place.loop, -1), 0);
        ck_assert_msg(ferry_session_status(session) == 0, "%s", ferry_session_error(session));
        close_far(&far);
}
END_TEST

START_TEST(a_missing_ssh_is_a_failure)
{
        const char *const env[] = { "PATH=/nonexistent", NULL };
        ferry_loop *loop = ferry_loop_new(NULL);
        ferry_session *session = ferry_session_open(loop, "ssh:host:echo", &(ferry_session_options){ .env = env });

        ck_assert_int_eq(ferry_session_status(session), -ENOENT);
        ck_assert_msg(strstr(ferry_session_error(session), "ssh cannot be started"), "%s", ferry_session_error(session));
        session = ferry_session_open(loop, "ssh:host:echo", &(ferry_session_options){ .remote_ferry = "" });
        ck_assert_int_eq(ferry_session_status(session), -EINVAL);
        ck_assert_msg(strstr(ferry_session_error(session), "remote_ferry"), "%s", ferry_session_error(session));
        ferry_loop_free(loop);
}
END_TEST

static const struct {
        const char *address;
        bool is_one;
} spellings[] = {
        { "ssh:h:n", true }, { "ssh:u@h:n", true }, { "ssh:h:1:n", true }, { "ssh:h:65535:n", true }, { "ssh:h:22", true },
        { "ssh:[::1]:n", true }, { "ssh:h:unix:/s", true }, { "ssh:h:1:tcp:localhost:2", true }, { "ssh:h:exec:cat", true },
        { "ssh:h:ssh:i:n", true }, { "ssh:h:file:a", true }, { "ssh:h:fifo:a,b", true }, { "ssh:a.b-c_d:n", true },
        { "ssh:", false }, { "ssh:h", false }, { "ssh::n", false }, { "ssh:h:", false }, { "ssh:h:22:", false }, { "ssh:h:0:n", false },
        { "ssh:h:65536:n", false }, { "ssh:h:99999999999999999999:n", false }, { "ssh:-h:n", false }, { "ssh:-oProxyCommand=x:n", false },
        { "ssh:u@-h:n", false }, { "ssh:-u@h:n", false }, { "ssh:@h:n", false }, { "ssh:u@:n", false }, { "ssh:[-h]:n", false },
        { "ssh:[]:n", false }, { "ssh:[::1:n", false }, { "ssh:[::1]n", false }, { "ssh:h i:n", false }, { "ssh:h$(i):n", false },
        { "ssh:h;i:n", false }, { "ssh:h\ni:n", false }, { "ssh:h:stdio:", false }, { "ssh:h:fd:0", false }, { "ssh:h:udp:localhost:1", false },
        { "ssh:h:shm:1", false }, { "ssh:h:fifo:a", false }, { "ssh:h:a.b", false }, { "ssh:h:exec:", false }, { "ssh:h:exec: ", false },
        { "ssh:h:ssh:", false }, { "ssh:h:-p", true },
};

enum { SPELLINGS = sizeof spellings / sizeof *spellings };

START_TEST(an_address_of_ssh_is_read_strictly)
{
        const char *address = spellings[_i].address;
        ferry_loop *loop = ferry_loop_new(NULL);

        ck_assert_int_eq(ferry_address_scheme(address), spellings[_i].is_one ? (int)FERRY_SCHEME_SSH : -EINVAL);
        if (!spellings[_i].is_one) {
                ferry_session *session = ferry_session_open(loop, address, NULL);

                ck_assert_int_eq(ferry_session_status(session), -EINVAL);
                ck_assert_msg(strstr(ferry_session_error(session), "write ssh:"), "%s", ferry_session_error(session));
        }
        ck_assert_int_eq(ferry_service_status(ferry_service_open(loop, address, NULL)), -EINVAL);
        ferry_loop_free(loop);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(ssh_gets_no_more_than_the_address_says, CALLS),
        SUITE_LOOP(a_name_is_one_word_there, 5),
        SUITE_TEST(a_session_talks_over_ssh),
        SUITE_LOOP(an_end_of_ssh_says_whether_a_request_was_executed, 8),
        SUITE_TEST(the_exit_of_ssh_may_come_late),
        SUITE_TEST(an_ssh_that_is_ended_is_no_failure),
        SUITE_TEST(a_missing_ssh_is_a_failure),
        SUITE_LOOP(an_address_of_ssh_is_read_strictly, SPELLINGS),
};

SUITE_MAIN("ssh", tests)
