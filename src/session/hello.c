/* What a session says first in a dialect that has hellos: what this side takes, and what it can do. */
#include "session/private.h"
#include "session/subscriptions.h"

#include <errno.h>
#include <limits.h>

/* What clients pass leaves descriptors for other clients. */
static int passed_below(const ferry_session *session)
{
        int limit = session->is_server ? sys_descriptor_limit() : INT_MAX;

        return session->is_server ? limit - limit / 4 : limit;
}

static int stop_at_first(void *object, const char *pattern)
{
        (void)object, (void)pattern;
        return -1;
}

/* What is notified is selected from the hellos on, where this side has subscribed before its hello, or had before it connected again. */
static void add_selection(ferry_session *session, ferry_builder *builder)
{
        if (session->owner->subscribed)
                ferry_builder_add(builder, session->wire.selection == WIRE_SELECTION_OWED ? "'selected'" : "'selects'");
        else if (subscriptions_visit(session->subscriptions, stop_at_first, NULL) < 0 ||
                 (session->subscriptions && subscriptions_are_withdrawn(session->subscriptions))) {
                session->wire.selection = WIRE_SELECTION_ASKED;
                ferry_builder_add(builder, "'subscribes'");
        }
}

/* What this side can do, for a hello; NULL without memory. */
static ferry_value *make_features(ferry_session *session)
{
        ferry_builder *builder = ferry_builder_new();
        ferry_value *features = NULL;

        ferry_builder_open(builder, FERRY_VALUE_LIST, NULL);
        if (stream_is_one_way(session->stream))
                ferry_builder_add(builder, "'one-way'");
        else {
                ferry_builder_add(builder, "'parts'");
                if (stream_passes(session->stream)) {
                        stream_expect_passed(session->stream, passed_below(session));
                        ferry_builder_add(builder, "'descriptors'");
                }
                sharing_add_features(session, builder);
                if (session->reconnect)
                        ferry_builder_add(builder, "'drain'");
                add_selection(session, builder);
        }
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &features);
        return features;
}

int session_send_hello(ferry_session *session, struct error *error)
{
        struct outgoing hello = { .kind = WIRE_HELLO, .codec = ferry_codec_msgpack() };
        ferry_value *body, *features;
        int code;

        if (session->wire.has_said_hello || !session->wire.dialect->has_hello || session_begins_later(session))
                return 0;
        features = make_features(session);
        body = !stream_is_one_way(session->stream) && session->settings.heartbeat_ms > 0 ?
                       ferry_value_pack("{frame_max: %zu, features: %p, heartbeat_ms: %d}", session->wire.frame_max,
                                        (const void *)features, session->settings.heartbeat_ms) :
                       ferry_value_pack("{frame_max: %zu, features: %p}", session->wire.frame_max, (const void *)features);
        if (!features) {
                ferry_value_unref(body);
                body = NULL;
        }
        ferry_value_unref(features);
        hello.body = body;
        code = body ? session->wire.dialect->write(&session->wire, &session->out.bytes, &hello, error) :
                      error_set(error, -ENOMEM, "no memory for a message");
        ferry_value_unref(body);
        session->wire.has_said_hello = code == 0;
        return code;
}
