/* A whole service with several clients, which send whatever they like, come and go; and the directory in which it is looked
 * for. What must hold:
 *
 *      - a client of ours is answered at the end, whatever the others have done, unless the service was told to stop
 *      - handlers are told of the end of each client of whose beginning they were told
 *      - freeing the loop ends it all; nothing is left, no descriptor and no file
 *      - a directory with anything in it can be listed; what is listed has a name, and only listeners are there
 *
 * The input: flags (bits 0 to 2: the dialects; bit 7: the rest is a lock file and what stands beside it); then steps: client
 * (2 bits), operation (3 bits), a length or a choice (3 bits), and what that needs. */
#include "fuzz/fuzz.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENTS = 4, KEPT_MAX = 8, SAFETY_MS = 60000 };

enum operation { CONNECT, WRITE, SAY, LEAVE, READ, PASS, NOTIFY, CHANGE };

static const unsigned dialect_sets[] = {
        0, FERRY_DIALECT_FERRY, FERRY_DIALECT_STREAM_IPC, FERRY_DIALECT_INNMIND,
        FERRY_DIALECT_FERRY | FERRY_DIALECT_INNMIND, FERRY_DIALECT_STREAM_IPC | FERRY_DIALECT_INNMIND,
        FERRY_DIALECT_FERRY | FERRY_DIALECT_STREAM_IPC | FERRY_DIALECT_INNMIND, 0,
};

/* Whole frames that clients say; what follows is a byte of the input. */
static const struct {
        const char *bytes;
        size_t size;
} sayings[] = {
#define SAYING(text) { text, sizeof text - 1 }
        SAYING("\xf3J\x9d\xe2\0\0\0\x13\1\3\1\0\0\1\0\0\0\0\0\0\0\0\0\7t\xa1x"),
        SAYING("\xf3J\x9d\xe2\0\0\0\x13\1\2\1\0\0\1\0\0\0\0\0\0\0\0\0\0t\xa1x"),
        SAYING("\xf3J\x9d\xe2\0\0\0\x10\1\x0a\1\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        SAYING("\xf3J\x9d\xe2\0\0\0\x3a{\"__class\":\"StreamIpc\\\\Message\\\\LogMessage\",\"message\":\"x\"}"),
        SAYING("\0\ntext/plain\0\0\0\x1finnmind/ipc:connection.start-ok\xce"),
        SAYING("\0\ntext/plain\0\0\0\1x\xce"),
        SAYING("\0\ntext/plain\0\0\0\x1cinnmind/ipc:connection.close\xce"),
        SAYING("\0\ntext/plain\0\0\0\x1finnmind/ipc:connection.close-ok\xce"),
#undef SAYING
};

static char directory[64];
static ferry_loop *loop;
static ferry_service *service;
static int clients[CLIENTS];
static uint8_t manner;          /* of the handler */
static ferry_message *kept[KEPT_MAX];
static int kept_count, opened, closed;
static bool is_stopped;

static const char *path_of(const char *name)
{
        static char path[256];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return path;
}

static void make_place(void)
{
        if (*directory)
                return;
        strcpy(directory, "/tmp/ferry-fuzz-XXXXXX");
        if (!mkdtemp(directory) || setenv("FERRY_DIR", path_of("own"), 1) < 0 || setenv("TMPDIR", directory, 1) < 0)
                abort();
}

static int take(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)userdata;
        switch (manner & 7) {
        case 0:
                return ferry_message_reply(message, NULL, "%p", (const void *)ferry_message_body(message)) == 0;
        case 1:
                if (kept_count == KEPT_MAX)
                        return 0;
                kept[kept_count++] = ferry_message_ref(message);
                return 1;
        case 2:
                return -5;
        case 3:
                ferry_session_close(client);
                return 0;
        case 4:
                is_stopped = true;
                return ferry_service_close(service);
        case 5:
                ferry_session_notify(client, "text/plain", "'more'");
                return 0;
        case 6:
                return ferry_message_fail(message, "no");
        default:
                return 0;
        }
}

static int count(ferry_session *client, const ferry_message *message, void *userdata)
{
        (void)client, (void)message;
        ++*(int *)userdata;
        return 0;
}

static void settle(void)
{
        for (int i = 0; i < 100 && ferry_loop_tick(loop, 0) == 1; i++)
                ;
}

/* Where the service listens for clients of @dialect. */
static void connect_client(int i, unsigned dialect)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        char address[192];

        if (clients[i] >= 0 || ferry_address_resolve("fuzz", dialect, address, sizeof address) < 0)
                return;
        memcpy(name.sun_path, address + strlen("unix:"), strnlen(address + strlen("unix:"), sizeof name.sun_path - 1));
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (clients[i] >= 0 && connect(clients[i], (const struct sockaddr *)&name, sizeof name) < 0) {
                close(clients[i]);
                clients[i] = -1;
        }
}

static void leave(int i)
{
        if (clients[i] >= 0)
                close(clients[i]);
        clients[i] = -1;
}

static void write_some(int i, const void *bytes, size_t size)
{
        if (clients[i] >= 0)
                (void)!send(clients[i], bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void step(struct fuzz_input *input)
{
        uint8_t what = fuzz_byte(input);
        int i = what & 3;
        size_t left;
        char bytes[4096];

        switch ((enum operation)(what >> 2 & 7)) {
        case CONNECT:
                connect_client(i, what & 0x80 ? FERRY_DIALECT_INNMIND : FERRY_DIALECT_FERRY);
                break;
        case WRITE:
                left = (size_t)(input->end - input->at);
                if (left > (size_t)(what >> 5) * 8 + 1)
                        left = (size_t)(what >> 5) * 8 + 1;
                write_some(i, input->at, left);
                input->at += left;
                break;
        case SAY:
                write_some(i, sayings[what >> 5].bytes, sayings[what >> 5].size);
                break;
        case LEAVE:
                leave(i);
                break;
        case READ:
                if (clients[i] >= 0)
                        (void)!recv(clients[i], bytes, sizeof bytes, MSG_DONTWAIT);
                break;
        case PASS:
                door_advance((int64_t)(what >> 5) * 300 * 1000000);
                settle();
                break;
        case NOTIFY:
                if (kept_count > 0 && (what & 0x80)) {
                        ferry_message_reply(kept[--kept_count], NULL, "'late'");
                        ferry_message_unref(kept[kept_count]);
                } else
                        ferry_service_notify(service, "text/plain", "'all'");
                break;
        case CHANGE:
                manner = what >> 5;
                break;
        }
}

/* A client that behaves. */
static void check_good(unsigned dialects)
{
        unsigned dialect = dialects & FERRY_DIALECT_INNMIND     ? FERRY_DIALECT_INNMIND :
                           dialects & FERRY_DIALECT_STREAM_IPC ? FERRY_DIALECT_STREAM_IPC :
                                                                 FERRY_DIALECT_FERRY;
        ferry_session *good;
        ferry_call *call;

        manner = 0;
        good = ferry_session_open(loop, "fuzz", &(ferry_session_options){ .dialect = dialect });
        call = dialect == FERRY_DIALECT_STREAM_IPC ? ferry_session_request(good, SAFETY_MS, "App\\T", "{}") :
                                                     ferry_session_request(good, SAFETY_MS, "text/plain", "'x'");
        FUZZ_REQUIRE(ferry_call_await(call) || is_stopped, "%s", ferry_call_error(call));
        ferry_call_free(call);
}

static void fuzz_clients(struct fuzz_input *input, unsigned dialects)
{
        loop = ferry_loop_new(NULL);
        service = ferry_service_open(loop, "fuzz", &(ferry_service_options){ .dialects = dialects, .clients_max = CLIENTS + 1 });
        FUZZ_REQUIRE(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        ferry_service_on(service, FERRY_KIND_MESSAGE, take, NULL);
        ferry_service_on(service, FERRY_KIND_OPENED, count, &opened);
        ferry_service_on(service, FERRY_KIND_CLOSED, count, &closed);
        while (input->at < input->end)
                step(input);
        settle();
        check_good(dialects);
        for (int i = 0; i < CLIENTS; i++)
                leave(i);
        while (kept_count > 0)
                ferry_message_unref(kept[--kept_count]);
        ferry_loop_free(loop);
        FUZZ_REQUIRE(opened == closed, "%d clients have come, %d have gone", opened, closed);
        FUZZ_REQUIRE(rmdir(path_of("own")) == 0 || !(dialects & 3), "something is left");
}

/* What stands there, and how it is found. */
static void fuzz_directory(struct fuzz_input *input, uint8_t about)
{
        ferry_value *list;
        int fd;

        mkdir(path_of("own"), 0700);
        fd = open(path_of("own/fuzz.sock.lock"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (!(about & 4))
                (void)!write(fd, "ferry lock\n", 11);
        (void)!write(fd, input->at, (size_t)(input->end - input->at));
        close(fd);
        if (about & 1)
                mkfifo(path_of("own/fuzz.sock"), 0600);
        else if (about & 2)
                close(open(path_of("own/fuzz.sock"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        loop = ferry_loop_new(NULL);
        list = ferry_service_list(loop);
        FUZZ_REQUIRE(ferry_value_count(list) == 0, "a service is listed");
        FUZZ_REQUIRE(ferry_service_wait(loop, "fuzz", FERRY_DIALECT_AUTO, 0) == -ETIMEDOUT, "a service is there");
        ferry_value_unref(list);
        ferry_loop_free(loop);
        unlink(path_of("own/fuzz.sock.lock"));
        unlink(path_of("own/fuzz.sock"));
        rmdir(path_of("own"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { data, data + size };
        uint8_t about = fuzz_byte(&input);
        struct fuzz_mark mark;

        make_place();
        mark = fuzz_begin();
        door_stop_clock(0);
        manner = 0;
        kept_count = opened = closed = 0;
        is_stopped = false;
        for (int i = 0; i < CLIENTS; i++)
                clients[i] = -1;
        if (about & 0x80)
                fuzz_directory(&input, about);
        else
                fuzz_clients(&input, dialect_sets[about & 7]);
        fuzz_end(&mark);
        return 0;
}
