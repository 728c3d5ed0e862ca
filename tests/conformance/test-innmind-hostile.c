/* What clients in the dialect innmind may do to a service, and must not do to others: bytes that are none of its
 * dialect, frames in pieces, half a frame for ever, not reading, coming in crowds. What was sent is never cut, however it
 * is read. */
#include "conformance/innmind.h"
#include "support/door.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct bad {
        const char *name;
        const char *bytes;
        size_t size;
} bad_frames[] = {
#define BAD(name, bytes) { name, bytes, sizeof(bytes) - 1 }
        BAD("end byte", "\0\xatext/plain\0\0\0\1x\xcf"),
        BAD("no top level", "\0\7foo/bar\0\0\0\1x\xce"),
        BAD("upper case", "\0\xaTEXT/PLAIN\0\0\0\1x\xce"),
        BAD("mixed case", "\0\xaText/plain\0\0\0\1x\xce"),
        BAD("empty type", "\0\0\0\0\0\1x\xce"),
        BAD("length bomb", "\0\xatext/plain\xff\xff\xff\xffx\xce"),
        BAD("type length", "\xff\xfftext/plain"),
        BAD("no name", "\0\5text/\0\0\0\1x\xce"),
        BAD("parameter without value", "\0\14text/plain;a\0\0\0\1x\xce"),
        BAD("zero in the type", "\0\xatext/pla\0n\0\0\0\1x\xce"),
        BAD("space in front", "\0\13 text/plain\0\0\0\1x\xce"),
        BAD("over the limit", "\0\xatext/plain\0\0\x10\0x"),
        BAD("ferry", "\xf3\x4a\x9d\xe2\0\0\0\20"),
#undef BAD
};

enum { BADS = sizeof bad_frames / sizeof *bad_frames };

START_TEST(bad_frames_end_only_their_sender)
{
        static const ferry_session_options small = { .frame_max = 4096 };
        static const ferry_service_options limited = { .dialects = FERRY_DIALECT_INNMIND, .session = &small };
        const struct bad *bad = &bad_frames[_i / 2];
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peer, *good;

        place_open(&place);
        service = place_serve(&place, &limited, book_echo, &book);
        good = peer_greet(&place);
        /* Whether it has begun or not. */
        peer = _i % 2 ? peer_greet(&place) : peer_connect(&place);
        if (_i % 2) {
                peer_text(peer, "good");
                peer_expect_control(peer, "message.received");
                peer_expect_text(peer, "good");
        } else
                peer_expect_control(peer, "connection.start");
        peer_write(peer, bad->bytes, bad->size);
        peer_expect_control(peer, "connection.close");
        peer_expect_nothing(peer);
        peer_text(peer, "not heard");
        peer_control(peer, "connection.close-ok");
        /* Where it is not known any more where frames begin, an answer is not, either: then time ends it. */
        place_settle(&place);
        door_advance(1000 * 1000000ll);
        peer_expect_end(peer);
        peer_text(good, "others");
        peer_expect_control(good, "message.received");
        peer_expect_text(good, "others");
        peer_expect_nothing(good);
        ck_assert_str_eq(book.heard, _i % 2 ? "good others " : "others ");
        ck_assert_int_eq(ferry_service_status(service), 1);
        ck_assert_uint_le(door_counts.largest, 1 << 18);
        peer_close(peer);
        peer_close(good);
        place_close(&place);
}
END_TEST

/* All of a conversation, in pieces. */
static size_t conversation(char *bytes)
{
        size_t size = make_frame(bytes, "text/plain", "innmind/ipc:connection.start-ok", 31);

        size += make_frame(bytes + size, "application/json; charset=utf-8", "[1]", 3);
        size += make_frame(bytes + size, "text/plain", "innmind/ipc:heartbeat", 21);
        size += make_frame(bytes + size, "text/plain", "\xce\xce\0\xa" "text", 8);
        size += make_frame(bytes + size, "text/plain", "", 0);
        return size + make_frame(bytes + size, "text/plain", "innmind/ipc:connection.close", 28);
}

static void expect_conversation(struct peer *peer)
{
        peer_expect_control(peer, "message.received");
        peer_expect(peer, "application/json; charset=utf-8", "[1]", 3);
        peer_expect_control(peer, "message.received");
        peer_expect(peer, "text/plain", "\xce\xce\0\xa" "text", 8);
        peer_expect_control(peer, "message.received");
        peer_expect_text(peer, "");
        peer_expect_control(peer, "connection.close-ok");
        peer_expect_end(peer);
        peer_close(peer);
}

START_TEST(frames_may_come_in_pieces)
{
        char bytes[512];
        size_t size = conversation(bytes);
        struct place place;
        struct book book = { 0 };
        struct peer *peer;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        /* Cut once, anywhere; then byte by byte. */
        for (size_t cut = 1; cut <= size; cut++) {
                peer = peer_connect(&place);
                peer_expect_control(peer, "connection.start");
                peer_write(peer, bytes, cut);
                place_settle(&place);
                peer_write(peer, bytes + cut, size - cut);
                expect_conversation(peer);
        }
        peer = peer_connect(&place);
        peer_expect_control(peer, "connection.start");
        for (size_t i = 0; i < size; i++) {
                peer_write(peer, bytes + i, 1);
                place_settle(&place);
        }
        expect_conversation(peer);
        place_close(&place);
}
END_TEST

/* Nor do the others wait for one that sends half a frame. */
START_TEST(half_a_frame_stops_no_other_client)
{
        struct place place;
        struct book book = { 0 };
        struct peer *halves[8], *good;

        place_open(&place);
        place_serve(&place, NULL, book_echo, &book);
        for (int i = 0; i < 8; i++) {
                halves[i] = peer_greet(&place);
                peer_write(halves[i], "\0\xatext/plain\0\0\0\x9half", (size_t)(i * 2 + 1));
        }
        good = peer_greet(&place);
        place_settle(&place);
        door_counts.calls[DOOR_epoll_wait] = 0;
        peer_text(good, "x");
        peer_expect_control(good, "message.received");
        peer_expect_text(good, "x");
        peer_expect_nothing(good);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 6);
        for (int i = 0; i < 8; i++)
                peer_close(halves[i]);
        peer_close(good);
        place_close(&place);
}
END_TEST

/* Clients that do not read ------------------------------------------------------------------------------ */

enum { WHOLE_MAX = 128 << 10, SMALL = 1024 };

/* The size of the i-th frame. */
static size_t frame_size(int how, size_t i)
{
        if (how < 2)
                return how == 0 ? WHOLE_MAX : SMALL;
        return i % 7 == 0 ? WHOLE_MAX : i % 3 == 0 ? 50 + i % 97 : SMALL + i % 555;
}

/* Whatever is in the socket when nothing moves any more ends where a frame does. */
START_TEST(frames_are_never_cut)
{
        char *text = malloc(WHOLE_MAX);
        size_t number = 0, expected = 0, seen = 0, queued, held;
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        ferry_session *client;
        struct peer *peer;
        ferry_value *info;

        memset(text, 'x', WHOLE_MAX);
        place_open(&place);
        service = place_serve(&place, NULL, book_echo, &book);
        peer = peer_greet(&place);
        client = ferry_service_client(service, NULL);
        for (size_t size = 0; size < 4u << 20; size += frame_size(_i, number++)) {
                int content = (int)(frame_size(_i, number) - 17);

                ck_assert_int_eq(ferry_session_notify(client, "text/plain", "%.*s", content, text), 0);
        }
        info = ferry_session_info(client);
        queued = (size_t)ferry_value_int(ferry_value_get(info, "queued"), 0);
        ferry_value_unref(info);
        ck_assert_uint_gt(queued, 1 << 20);
        held = door_counts.bytes;
        /* Full: the service is not woken, and nothing is tried. */
        place_settle(&place);
        place_forget_sends();
        door_counts.calls[DOOR_epoll_wait] = 0;
        ck_assert_int_eq(ferry_loop_run(place.loop, 3600000), 0);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2);
        ck_assert_uint_eq(place_sends.count, 0);
        ck_assert_uint_le(door_counts.bytes, held);
        /* Take all that is there, then let it go on: each time it has ended with a frame. */
        while (expected < number) {
                place_forget_sends();
                while (peer_read(peer, 4096) > 0 && peer->size < PEER_BYTES_MAX - 4096)
                        ;
                for (size_t at = 0; at < peer->size; at += frame_size(_i, expected++)) {
                        SUITE_CHECK(peer->size - at >= frame_size(_i, expected), "frame %zu is cut: %zu of %zu bytes",
                                    expected, peer->size - at, frame_size(_i, expected));
                        seen++;
                }
                peer->size = 0;
                place_settle(&place);
                /* Each was sent whole: as often as frames. */
                for (unsigned i = 0; i < place_sends.count && i < PLACE_SENDS_MAX; i++)
                        ck_assert(place_sends.asked[i] >= 50 && place_sends.asked[i] <= WHOLE_MAX);
        }
        ck_assert_uint_eq(seen, number);
        peer_expect_nothing(peer);
        peer_close(peer);
        place_close(&place);
        free(text);
}
END_TEST

/* What it asks is acknowledged and answered, and that waits: at some point it is not read any more. */
START_TEST(a_client_that_does_not_read_is_not_read)
{
        static const ferry_session_options small = { .queue_max = 1 << 16 };
        static const ferry_service_options limited = { .dialects = FERRY_DIALECT_INNMIND, .session = &small };
        struct place place;
        struct book book = { 0 };
        struct peer *peer;
        char frame[2048], text[1024];
        size_t size, sent = 0;
        ssize_t put = 0;

        memset(text, 'x', sizeof text);
        size = make_frame(frame, "text/plain", text, sizeof text);
        place_open(&place);
        place_serve(&place, &limited, book_echo, &book);
        peer = peer_greet(&place);
        /* Nothing else is there that could read, so what fills up stays full. */
        do {
                put = send(peer->fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL);
                sent += put > 0 ? 1 : 0;
                place_settle(&place);
                ck_assert_uint_lt(sent, 100000);
        } while (put == (ssize_t)size);
        ck_assert_uint_lt(door_counts.bytes, 1 << 20);
        door_counts.calls[DOOR_epoll_wait] = 0;
        ck_assert_int_eq(ferry_loop_run(place.loop, 3600000), 0);
        ck_assert_uint_le(door_counts.calls[DOOR_epoll_wait], 2);
        /* The rest of the last, and then it reads all. */
        if (put > 0)
                size -= (size_t)put;
        if (put < 0)
                size = 0;
        for (size_t i = 0; i < sent; i++) {
                if (i == 100 && size > 0 && put > 0)
                        peer_write(peer, frame + put, size);
                peer_expect_control(peer, "message.received");
                peer_expect(peer, "text/plain", text, sizeof text);
        }
        peer_expect_nothing(peer);
        peer_close(peer);
        place_close(&place);
}
END_TEST

/* At the limit the one that came first and has not begun makes room, and is told; there are never more than that. */
START_TEST(a_client_that_never_began_makes_room)
{
        static const ferry_service_options few = { .dialects = FERRY_DIALECT_INNMIND, .clients_max = 3 };
        struct place place;
        struct book book = { 0 };
        ferry_service *service;
        struct peer *peers[12];
        unsigned alive = 0;

        place_open(&place);
        service = place_serve(&place, &few, book_echo, &book);
        for (int i = 0; i < 12; i++) {
                peers[i] = peer_connect(&place);
                place_settle(&place);
        }
        for (ferry_session *client = NULL; (client = ferry_service_client(service, client));)
                alive++;
        ck_assert_uint_eq(alive, 3);
        for (int i = 0; i < 12; i++) {
                peer_expect_control(peers[i], "connection.start");
                if (i < 9) {
                        peer_expect_control(peers[i], "connection.close");
                        peer_expect_end(peers[i]);
                } else
                        peer_expect_nothing(peers[i]);
                peer_close(peers[i]);
        }
        place_close(&place);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(bad_frames_end_only_their_sender, BADS * 2),
        SUITE_TEST(frames_may_come_in_pieces),
        SUITE_TEST(half_a_frame_stops_no_other_client),
        SUITE_LOOP(frames_are_never_cut, 3),
        SUITE_TEST(a_client_that_does_not_read_is_not_read),
        SUITE_TEST(a_client_that_never_began_makes_room),
};

SUITE_MAIN("innmind-hostile", tests)
