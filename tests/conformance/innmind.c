/* The test's end, as a program would write it that knows nothing of this library. */
#include "conformance/innmind.h"

#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROUNDS_MAX = 100000 };

struct place_sends place_sends;

static ssize_t note_send(enum door_call call, int fd, size_t size)
{
        (void)fd;
        if (call == DOOR_send) {
                if (place_sends.count < PLACE_SENDS_MAX)
                        place_sends.asked[place_sends.count] = size;
                place_sends.count++;
        }
        return (ssize_t)size;
}

void place_forget_sends(void)
{
        place_sends = (struct place_sends){ 0 };
        door_limit = note_send;
}

void place_open(struct place *place)
{
        *place = (struct place){ .loop = ferry_loop_new(NULL), .listener = -1 };
        strcpy(place->directory, "/tmp/ferry-innmind-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place->directory));
        snprintf(place->path, sizeof place->path, "%s/name.sock", place->directory);
        snprintf(place->address, sizeof place->address, "unix:%s", place->path);
        door_stop_clock(0);
        place_forget_sends();
}

void place_close(struct place *place)
{
        ferry_loop_free(place->loop);
        if (place->listener >= 0) {
                close(place->listener);
                unlink(place->path);
        }
        ck_assert_int_eq(rmdir(place->directory), 0);
}

void place_settle(struct place *place)
{
        int rounds = 0;

        while (ferry_loop_tick(place->loop, 0) == 1)
                SUITE_CHECK(++rounds < ROUNDS_MAX, "the loop has something to do for ever");
}

void book_note(struct book *book, const char *text)
{
        size_t size = strlen(book->heard);

        snprintf(book->heard + size, sizeof book->heard - size, "%s ", text);
}

int book_hear(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct book *book = userdata;

        (void)client;
        ck_assert_int_eq(ferry_message_kind(message), FERRY_KIND_MESSAGE);
        book_note(book, ferry_message_text(message));
        book->count++;
        return 0;
}

int book_echo(ferry_session *client, const ferry_message *message, void *userdata)
{
        book_hear(client, message, userdata);
        ck_assert_int_eq(ferry_message_reply(message, NULL, "%p", (const void *)ferry_message_body(message)), 0);
        return 1;
}

static int count_clients(ferry_session *client, const ferry_message *message, void *userdata)
{
        struct book *book = userdata;

        (void)client;
        book->opened += ferry_message_kind(message) == FERRY_KIND_OPENED;
        book->closed += ferry_message_kind(message) == FERRY_KIND_CLOSED;
        return 0;
}

ferry_service *place_serve(struct place *place, const ferry_service_options *options, ferry_message_fn *fn,
                           struct book *book)
{
        static const ferry_service_options innmind = { .dialects = FERRY_DIALECT_INNMIND };
        ferry_service *service = ferry_service_open(place->loop, place->address, options ? options : &innmind);

        ck_assert_msg(ferry_service_status(service) == 1, "%s", ferry_service_error(service));
        if (fn)
                ferry_service_on(service, FERRY_KIND_MESSAGE, fn, book);
        ferry_service_on(service, FERRY_KIND_OPENED | FERRY_KIND_CLOSED, count_clients, book);
        return service;
}

static struct sockaddr_un name_of(const struct place *place)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };

        memcpy(name.sun_path, place->path, strlen(place->path) + 1);
        return name;
}

void place_listen(struct place *place)
{
        struct sockaddr_un name = name_of(place);

        place->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(place->listener, (struct sockaddr *)&name, sizeof name), 0);
        ck_assert_int_eq(listen(place->listener, 16), 0);
}

static struct peer *peer_new(struct place *place, int fd)
{
        struct peer *peer = calloc(1, sizeof *peer);

        ck_assert_ptr_nonnull(peer);
        ck_assert_int_ge(fd, 0);
        peer->place = place;
        peer->fd = fd;
        return peer;
}

struct peer *peer_connect(struct place *place)
{
        struct sockaddr_un name = name_of(place);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_msg(connect(fd, (struct sockaddr *)&name, sizeof name) == 0, "connect: %s", strerror(errno));
        return peer_new(place, fd);
}

struct peer *peer_accept(struct place *place)
{
        return peer_new(place, accept4(place->listener, NULL, NULL, SOCK_CLOEXEC));
}

bool peer_comes(struct place *place)
{
        struct pollfd poll_in = { .fd = place->listener, .events = POLLIN };

        place_settle(place);
        return poll(&poll_in, 1, 0) > 0;
}

struct peer *peer_greet(struct place *place)
{
        struct peer *peer = peer_connect(place);

        peer_expect_control(peer, "connection.start");
        peer_control(peer, "connection.start-ok");
        place_settle(place);
        return peer;
}

struct peer *peer_welcome(struct place *place)
{
        struct peer *peer = peer_accept(place);

        peer_control(peer, "connection.start");
        peer_expect_control(peer, "connection.start-ok");
        return peer;
}

void peer_close(struct peer *peer)
{
        close(peer->fd);
        free(peer);
}

void peer_write(struct peer *peer, const void *bytes, size_t size)
{
        const char *at = bytes;

        while (size > 0) {
                ssize_t put = send(peer->fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (put < 0 && errno == EAGAIN) {
                        ck_assert_msg(ferry_loop_tick(peer->place->loop, 0) == 1, "what is written is not read");
                        continue;
                }
                SUITE_CHECK(put > 0, "cannot write: %s", strerror(errno));
                at += put;
                size -= (size_t)put;
        }
}

size_t make_frame(char *frame, const char *type, const void *content, size_t size)
{
        size_t type_size = strlen(type);
        const unsigned char lengths[] = { (unsigned char)(type_size >> 8), (unsigned char)type_size,
                                          (unsigned char)(size >> 24), (unsigned char)(size >> 16),
                                          (unsigned char)(size >> 8), (unsigned char)size };

        memcpy(frame, lengths, 2);
        memcpy(frame + 2, type, type_size);
        memcpy(frame + 2 + type_size, lengths + 2, 4);
        if (size > 0)
                memcpy(frame + 2 + type_size + 4, content, size);
        frame[2 + type_size + 4 + size] = (char)0xce;
        return 2 + type_size + 4 + size + 1;
}

void peer_message(struct peer *peer, const char *type, const void *content, size_t size)
{
        char *frame = malloc(size + strlen(type) + 16);

        peer_write(peer, frame, make_frame(frame, type, content, size));
        free(frame);
}

void peer_text(struct peer *peer, const char *text)
{
        peer_message(peer, "text/plain", text, strlen(text));
}

void peer_control(struct peer *peer, const char *name)
{
        char content[64];

        snprintf(content, sizeof content, "innmind/ipc:%s", name);
        peer_text(peer, content);
}

size_t peer_read(struct peer *peer, size_t size)
{
        size_t before = peer->size;

        while (size > 0 && peer->size < PEER_BYTES_MAX && !peer->has_ended) {
                size_t room = PEER_BYTES_MAX - peer->size;
                ssize_t got = recv(peer->fd, peer->bytes + peer->size, size < room ? size : room, MSG_DONTWAIT);

                if (got < 0 && errno == EAGAIN)
                        break;
                SUITE_CHECK(got >= 0 || errno == ECONNRESET, "cannot read: %s", strerror(errno));
                peer->has_ended = got <= 0;
                peer->size += got > 0 ? (size_t)got : 0;
                size -= got > 0 ? (size_t)got : 0;
        }
        return peer->size - before;
}

static void read_all(struct peer *peer)
{
        do
                place_settle(peer->place);
        while (peer_read(peer, SIZE_MAX) > 0 && peer->size < PEER_BYTES_MAX / 2);
}

/* What has come, for a message about it. */
static const char *describe(const struct peer *peer)
{
        static char text[400];
        size_t size = 0;

        text[0] = '\0';
        for (size_t i = 0; i < peer->size && i < 100; i++)
                size += (size_t)snprintf(text + size, sizeof text - size,
                                         peer->bytes[i] >= ' ' && peer->bytes[i] <= '~' ? "%c" : "\\x%02x",
                                         (unsigned char)peer->bytes[i]);
        if (peer->has_ended)
                snprintf(text + size, sizeof text - size, " and the end");
        return text;
}

void peer_expect(struct peer *peer, const char *type, const void *content, size_t size)
{
        char *frame = malloc(size + strlen(type) + 16);
        size_t frame_size = make_frame(frame, type, content, size);

        if (peer->size < frame_size)
                read_all(peer);
        SUITE_CHECK(peer->size >= frame_size && memcmp(peer->bytes, frame, frame_size) == 0,
                    "not %s \"%.*s\", but %zu bytes: %s", type, size < 60 ? (int)size : 60, (const char *)content,
                    peer->size, describe(peer));
        peer->size -= frame_size;
        memmove(peer->bytes, peer->bytes + frame_size, peer->size);
        free(frame);
}

void peer_expect_text(struct peer *peer, const char *text)
{
        peer_expect(peer, "text/plain", text, strlen(text));
}

void peer_expect_control(struct peer *peer, const char *name)
{
        char content[64];

        snprintf(content, sizeof content, "innmind/ipc:%s", name);
        peer_expect_text(peer, content);
}

void peer_expect_nothing(struct peer *peer)
{
        read_all(peer);
        SUITE_CHECK(peer->size == 0 && !peer->has_ended, "something has come: %s", describe(peer));
}

void peer_expect_end(struct peer *peer)
{
        read_all(peer);
        SUITE_CHECK(peer->size == 0 && peer->has_ended, "not the end, but %s",
                    peer->size > 0 ? describe(peer) : "nothing");
}

/* Sessions ---------------------------------------------------------------------------------------------- */

ferry_session *place_session(struct place *place, const ferry_session_options *options)
{
        ferry_session_options all = options ? *options : (ferry_session_options){ 0 };
        ferry_session *session;

        all.dialect = FERRY_DIALECT_INNMIND;
        session = ferry_session_open(place->loop, place->address, &all);
        ck_assert_msg(ferry_session_status(session) == 1, "%s", ferry_session_error(session));
        return session;
}

/* A session, and its server up to where messages may come. */
struct peer *place_pair(struct place *place, ferry_session **ret_session)
{
        struct peer *peer;

        place_open(place);
        place_listen(place);
        *ret_session = place_session(place, NULL);
        peer = peer_welcome(place);
        place_forget_sends();
        return peer;
}

/* It goes as it should, and then nothing is left. */
void peer_expect_goodbye(struct peer *peer)
{
        peer_expect_control(peer, "connection.close");
        peer_expect_nothing(peer);
        peer_control(peer, "connection.close-ok");
        peer_expect_end(peer);
}

void place_end(struct place *place, struct peer *peer, ferry_session *session)
{
        ferry_session_close(session);
        peer_expect_goodbye(peer);
        peer_close(peer);
        place_close(place);
}

ferry_call *pair_ask(ferry_session *session, const char *text)
{
        return ferry_session_request(session, TIMEOUT_MS, "text/plain", "%s", text);
}

void pair_answer(ferry_call *call, const char *text)
{
        const ferry_message *reply = ferry_call_await(call);

        ck_assert_msg(reply != NULL, "%s", ferry_call_error(call));
        ck_assert_str_eq(ferry_message_text(reply), text);
        ferry_call_free(call);
}

void pair_call_end(ferry_call *call, int status, enum ferry_outcome outcome)
{
        ck_assert_msg(ferry_call_status(call) == status, "%d: %s", ferry_call_status(call), ferry_call_error(call));
        ck_assert_int_eq(ferry_call_outcome(call), outcome);
        ck_assert(*ferry_call_error(call));
        ferry_call_free(call);
}
