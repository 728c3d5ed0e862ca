/* A recorded conversation of each dialect, and all that is one step away from it: each byte with each other value, each byte left
 * out and twice, the end behind each byte, each frame left out, twice, and before the one ahead of it. It is sent to a service,
 * and to a session that has asked something. Each of these conversations ends, each call ends, an error has a sentence; and a
 * good client is served throughout. */
#include "support/own.h"
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        BYTES_MAX = 4096,
        FRAMES_MAX = 32,
        VALUES = 256,
        TURNS_MAX = 1000,       /* of the loop, for a conversation that is over */
        GOOD_EVERY = 64,        /* conversations, between two requests of the good client */
        PARTS = 8,              /* of the changes, each a round */
        BYTE_CHANGES = VALUES + 3,
        FRAME_CHANGES = 3,
};

enum { CALL_ECHO, CALL_FAIL, CALL_ASK, CALL_KEEP, CALLS };

static const struct dialect {
        const char *name;
        unsigned number;
        const ferry_codec *(*codec)(void);
        bool has_kinds;         /* of messages, so requests of both sides may be there at a time */
        const char *type;
        bool is_text;           /* the body is one, and nothing else */
} dialects[] = {
        { "ferry", FERRY_DIALECT_FERRY, NULL, true, "echo", false },
        { "stream-ipc", FERRY_DIALECT_STREAM_IPC, NULL, true, "App\\Echo", false },
        { "stream-ipc with JSON", FERRY_DIALECT_STREAM_IPC, ferry_codec_json, true, "App\\Echo", false },
        { "innmind", FERRY_DIALECT_INNMIND, NULL, false, "text/plain", true },
        { "pcntl", FERRY_DIALECT_PCNTL, NULL, false, "echo", false },
};
enum { DIALECTS = sizeof dialects / sizeof *dialects };

#define UNCHANGED SIZE_MAX

struct bytes {
        unsigned char bytes[BYTES_MAX];
        size_t ends[FRAMES_MAX];        /* of its frames */
        int frames;
};

/* The client's own stream, which notes what passes. */
struct recorder {
        ferry_stream stream, socket;
        struct bytes sent, received;
};

static struct scene {
        struct place place;
        const struct dialect *dialect;
        ferry_service *service;
        ferry_session *good;
        ferry_message *kept;
        int served;             /* conversations since the good client has asked */
} scene;

static void note(struct bytes *to, const void *bytes, ssize_t size)
{
        size_t end = to->frames ? to->ends[to->frames - 1] : 0;

        if (size <= 0)
                return;
        ck_assert(to->frames < FRAMES_MAX && end + (size_t)size <= BYTES_MAX);
        memcpy(to->bytes + end, bytes, (size_t)size);
        to->ends[to->frames++] = end + (size_t)size;
}

static ssize_t record_read(const ferry_stream *stream, void *buffer, size_t size)
{
        struct recorder *recorder = stream->userdata;
        ssize_t got = recorder->socket.read(&recorder->socket, buffer, size);

        note(&recorder->received, buffer, got);
        return got;
}

static ssize_t record_write(const ferry_stream *stream, const void *bytes, size_t size)
{
        struct recorder *recorder = stream->userdata;
        ssize_t put = recorder->socket.write(&recorder->socket, bytes, size);

        note(&recorder->sent, bytes, put);
        return put;
}

static int make_id(ferry_session *session, char *id, size_t size, void *userdata)
{
        (void)session;
        snprintf(id, size, "id.%d", ++*(int *)userdata);
        return 0;
}

static ferry_session_options options_of(const struct dialect *dialect, int *ids)
{
        *ids = 0;
        return (ferry_session_options){ .dialect = dialect->number, .codec = dialect->codec ? dialect->codec() : NULL,
                                        .make_id = dialect->number == FERRY_DIALECT_STREAM_IPC ? make_id : NULL,
                                        .make_id_userdata = ids };
}

/* What a request wants stands in its text under "s"; by default its body comes back. */
static bool is_about(const ferry_message *request, const char *text)
{
        return strcmp(ferry_value_text(ferry_message_get(request, "s"), ""), text) == 0;
}

static void pass_on(ferry_call *call, const ferry_message *reply, void *userdata)
{
        ferry_message *request = userdata;

        if (reply)
                ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(reply));
        else
                ferry_message_fail(request, "%s", ferry_call_error(call));
        ferry_message_unref(request);
        ferry_call_free(call);
}

static int serve(ferry_session *session, const ferry_message *request, void *userdata)
{
        ferry_call *call;

        (void)userdata;
        if (is_about(request, "fail"))
                return ferry_message_fail(request, "it fails");
        if (is_about(request, "keep")) {
                ferry_message_unref(scene.kept);
                scene.kept = ferry_message_ref(request);
                return 1;
        }
        if (is_about(request, "ask")) {
                call = ferry_session_request(session, SAFETY_MS, ferry_message_type(request), "{'s': 'back'}");
                ferry_call_then(call, pass_on, ferry_message_ref(request));
                return 1;
        }
        return ferry_message_reply(request, NULL, "%p", (const void *)ferry_message_body(request));
}

static int see(ferry_session *session, const ferry_message *message, void *userdata)
{
        (void)session, (void)userdata;
        ferry_message_text(message);
        ferry_value_unref(ferry_value_ref(ferry_message_body(message)));
        return 0;
}

static int answer(ferry_session *session, const ferry_message *request, void *userdata)
{
        (void)session, (void)userdata;
        return ferry_message_reply(request, NULL, "{'s': 'there'}");
}

static ferry_value *body(void)
{
        return scene.dialect->is_text ? ferry_value_pack("'text'") : ferry_value_pack("{'n': 7, 's': 'text', 'l': [null, true, 0.5]}");
}

static ferry_call *request(ferry_session *session)
{
        ferry_value *value = body();
        ferry_call *call = ferry_session_request_value(session, SAFETY_MS, scene.dialect->type, value);

        ferry_value_unref(value);
        return call;
}

static void open_scene(int round)
{
        static int ids;
        ferry_session_options options = options_of(&dialects[round], &ids);

        memset(&scene, 0, sizeof scene);
        scene.dialect = &dialects[round];
        open_place(&scene.place);
        scene.service = ferry_service_open(scene.place.loop, scene.place.address, &(ferry_service_options){
                .dialects = options.dialect, .session = &options });
        ck_assert_msg(ferry_service_status(scene.service) == 1, "%s", ferry_service_error(scene.service));
        ferry_service_on(scene.service, FERRY_KIND_REQUEST, serve, NULL);
        ferry_service_on(scene.service, FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR | FERRY_KIND_JUNK | FERRY_KIND_CLOSED, see, NULL);
        scene.good = ferry_session_open(scene.place.loop, scene.place.address, &options);
}

static void close_scene(void)
{
        ferry_message_unref(scene.kept);
        close_place(&scene.place);
}

/* Send what the conversation is made of, without waiting for an answer; the calls are the caller's. */
static void talk(ferry_session *session, ferry_call *calls[CALLS])
{
        const char *type = scene.dialect->type;

        memset(calls, 0, CALLS * sizeof *calls);
        ferry_session_on(session, FERRY_KIND_NOTIFICATION | FERRY_KIND_ERROR | FERRY_KIND_JUNK | FERRY_KIND_CLOSED, see, NULL);
        calls[CALL_ECHO] = request(session);
        if (!scene.dialect->has_kinds) {
                calls[CALL_ASK] = request(session);
                return;
        }
        ferry_session_on(session, FERRY_KIND_REQUEST, answer, NULL);
        ferry_session_notify(session, type, "{'s': 'note'}");
        calls[CALL_FAIL] = ferry_session_request(session, SAFETY_MS, type, "{'s': 'fail'}");
        calls[CALL_ASK] = ferry_session_request(session, SAFETY_MS, type, "{'s': 'ask'}");
        calls[CALL_KEEP] = ferry_session_request(session, SAFETY_MS, type, "{'s': 'keep'}");
}

/* What a client and the service have really sent each other. */
static void record(struct recorder *recorder)
{
        int ids;
        ferry_session_options options = options_of(scene.dialect, &ids);
        ferry_call *calls[CALLS];
        ferry_session *session;

        *recorder = (struct recorder){ .socket = own_stream(connect_raw(&scene.place)) };
        recorder->stream = (ferry_stream){ .fd = recorder->socket.fd, .read = record_read, .write = record_write,
                                           .close = recorder->socket.close, .userdata = recorder };
        options.stream = &recorder->stream;
        session = ferry_session_open(scene.place.loop, NULL, &options);
        talk(session, calls);
        for (int i = CALL_ECHO; i < CALL_KEEP; i++)
                if (calls[i])
                        ck_assert_msg((ferry_call_await(calls[i]) != NULL) == (i != CALL_FAIL), "%s: %s", scene.dialect->name,
                                      ferry_call_error(calls[i]));
        if (calls[CALL_KEEP])
                while (!scene.kept)
                        tick(&scene.place);
        for (int i = 0; i < CALLS; i++)
                ferry_call_free(calls[i]);
        ferry_session_close(session);
        while (ferry_session_status(session) > 0)
                tick(&scene.place);
        ck_assert_msg(ferry_session_status(session) == 0, "%s", ferry_session_error(session));
        ferry_session_free(session);
}

static size_t begin_of(const struct bytes *bytes, int frame)
{
        return frame > 0 ? bytes->ends[frame - 1] : 0;
}

static void add(struct bytes *to, const struct bytes *from, int frame)
{
        note(to, from->bytes + begin_of(from, frame), (ssize_t)(from->ends[frame] - begin_of(from, frame)));
}

/* The frames in another order. */
static void change_frames(struct bytes *to, const struct bytes *from, int frame, int change)
{
        to->frames = 0;
        for (int i = 0; i < from->frames; i++) {
                if (i != frame)
                        add(to, from, i);
                else if (change == 0) {
                        add(to, from, i);
                        add(to, from, i);
                } else if (change == 1 && i + 1 < from->frames) {
                        add(to, from, i + 1);
                        add(to, from, i);
                        i++;
                }
        }
}

/* One byte of it: another value, left out, twice, the last. */
static void change_byte(struct bytes *to, const struct bytes *from, size_t at, size_t change)
{
        size_t size = begin_of(from, from->frames);
        int moved = change == VALUES ? -1 : change == VALUES + 1 ? 1 : 0;

        *to = *from;
        if (change < VALUES)
                to->bytes[at] = (unsigned char)change;
        else if (change < VALUES + 2)
                memmove(to->bytes + at + (moved > 0), from->bytes + at + (moved < 0), size - at - (moved < 0));
        for (int i = 0; i < to->frames; i++)
                if (change == VALUES + 2)
                        to->ends[i] = to->ends[i] < at ? to->ends[i] : at;
                else if (to->ends[i] > at)
                        to->ends[i] = (size_t)((ssize_t)to->ends[i] + moved);
}

static size_t count_changes(const struct bytes *from)
{
        return begin_of(from, from->frames) * BYTE_CHANGES + (size_t)from->frames * FRAME_CHANGES;
}

static void change(struct bytes *to, const struct bytes *from, size_t number)
{
        size_t of_bytes = begin_of(from, from->frames) * BYTE_CHANGES;

        if (number < of_bytes)
                change_byte(to, from, number / BYTE_CHANGES, number % BYTE_CHANGES);
        else
                change_frames(to, from, (int)((number - of_bytes) / FRAME_CHANGES), (int)((number - of_bytes) % FRAME_CHANGES));
}

/* Frame by frame, as a peer sends them that waits for what comes back. */
static void send_frames(int fd, const struct bytes *bytes)
{
        for (int i = 0; i < bytes->frames; i++) {
                ssize_t size = (ssize_t)(bytes->ends[i] - begin_of(bytes, i));

                if (size > 0 && send(fd, bytes->bytes + begin_of(bytes, i), (size_t)size, MSG_NOSIGNAL) < 0)
                        SUITE_CHECK(errno == EPIPE || errno == ECONNRESET, "send: %s", strerror(errno));
                settle(&scene.place);
        }
        shutdown(fd, SHUT_WR);
        settle(&scene.place);
}

static void require_service(void)
{
        ferry_call *call;

        if (++scene.served % GOOD_EVERY != 1)
                return;
        call = request(scene.good);
        SUITE_CHECK(ferry_call_await(call), "the good client: %s", ferry_call_error(call));
        ferry_call_free(call);
}

static void attack_service(const struct bytes *bytes, size_t number)
{
        int fd = connect_raw(&scene.place), turns = 0;

        settle(&scene.place);
        send_frames(fd, bytes);
        /* It would not be answered. */
        ferry_message_unref(scene.kept);
        scene.kept = NULL;
        settle(&scene.place);
        while (!has_ended_raw(fd)) {
                SUITE_CHECK(++turns < TURNS_MAX, "%s: change %zu does not end", scene.dialect->name, number);
                tick(&scene.place);
        }
        close(fd);
        require_service();
}

static void attack_session(const struct bytes *bytes, size_t number)
{
        int ids, pair[2], turns = 0;
        ferry_session_options options = options_of(scene.dialect, &ids);
        ferry_call *calls[CALLS];
        ferry_session *session;

        SUITE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair: %s", strerror(errno));
        options.fds = (const int[]){ pair[0], pair[0], -1 };
        session = ferry_session_open(scene.place.loop, NULL, &options);
        talk(session, calls);
        settle(&scene.place);
        send_frames(pair[1], bytes);
        while (ferry_session_status(session) > 0) {
                SUITE_CHECK(++turns < TURNS_MAX, "%s: change %zu does not end", scene.dialect->name, number);
                has_ended_raw(pair[1]);
                tick(&scene.place);
        }
        SUITE_CHECK(ferry_session_status(session) == 0 || *ferry_session_error(session), "%s: change %zu has no sentence",
                    scene.dialect->name, number);
        for (int i = 0; i < CALLS; i++)
                if (calls[i]) {
                        SUITE_CHECK(ferry_call_status(calls[i]) <= 0, "%s: change %zu: call %d has not ended",
                                    scene.dialect->name, number, i);
                        SUITE_CHECK(ferry_call_status(calls[i]) == 0 || *ferry_call_error(calls[i]), "no sentence");
                        SUITE_CHECK(number != UNCHANGED || i > CALL_ASK || (ferry_call_status(calls[i]) == 0) == (i != CALL_FAIL),
                                    "%s: %s", scene.dialect->name, ferry_call_error(calls[i]));
                        ferry_call_free(calls[i]);
                }
        ferry_session_free(session);
        close(pair[1]);
        require_service();
}

/* A part of the changes, those of some bytes. Where not all are tried, it is another value at each byte. */
static void attack(const struct bytes *recorded, int part, void (*try)(const struct bytes *bytes, size_t number))
{
        size_t count = count_changes(recorded), end = count * (size_t)(part + 1) / PARTS;
        size_t step = suite_is_long() ? 1 : 4 * (count / suite_scale(count)) | 1;
        struct bytes changed;

        ck_assert_int_gt(recorded->frames, 1);
        try(recorded, UNCHANGED);
        for (size_t number = count * (size_t)part / PARTS + step / 2; number < end; number += step) {
                change(&changed, recorded, number);
                try(&changed, number);
        }
}

START_TEST(a_service_survives_each_change_of_a_conversation)
{
        static struct recorder recorder;

        open_scene(_i / PARTS);
        record(&recorder);
        attack(&recorder.sent, _i % PARTS, attack_service);
        ck_assert_int_eq(ferry_service_status(scene.service), 1);
        close_scene();
}
END_TEST

START_TEST(a_session_survives_each_change_of_a_conversation)
{
        static struct recorder recorder;

        open_scene(_i / PARTS);
        record(&recorder);
        attack(&recorder.received, _i % PARTS, attack_session);
        close_scene();
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_LOOP(a_service_survives_each_change_of_a_conversation, DIALECTS * PARTS),
        SUITE_LOOP(a_session_survives_each_change_of_a_conversation, DIALECTS * PARTS),
};

SUITE_MAIN("conformance-changed-frames", tests)
