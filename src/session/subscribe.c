/* Subscriptions: what this side asks for, and frames of the other side, which its owner keeps. */
#include "session/private.h"
#include "session/subscriptions.h"
#include "wire/pattern.h"

#include <errno.h>
#include <string.h>

static int send_pattern(ferry_session *session, enum wire_kind kind, const char *pattern, struct error *error)
{
        struct outgoing outgoing = { .kind = kind, .type = pattern };

        /* All of them are sent when the session is connected. */
        if (session_begins_later(session))
                return 0;
        return session_send(session, &outgoing, false, NULL, error);
}

static int subscribe(ferry_session *session, const char *pattern, size_t size, struct error *error)
{
        int code;

        if (subscriptions_have(session->subscriptions, pattern, size))
                return 0;
        /* First, because what is sent cannot be taken back. */
        code = subscriptions_add(&session->subscriptions, pattern, size, error);
        if (code)
                return code;
        code = send_pattern(session, WIRE_SUBSCRIBE, pattern, error);
        if (code)
                subscriptions_remove(session->subscriptions, pattern, size);
        return code;
}

static int unsubscribe(ferry_session *session, const char *pattern, size_t size, struct error *error)
{
        int code;

        if (!subscriptions_have(session->subscriptions, pattern, size))
                return error_set(error, -ENOENT, "there is no subscription to '%s'", pattern);
        code = send_pattern(session, WIRE_UNSUBSCRIBE, pattern, error);
        if (!code)
                subscriptions_withdraw(session->subscriptions, pattern, size);
        return code;
}

static int check(const ferry_session *session, const char *pattern, struct error *error)
{
        int code = session_status_for_sending(session, error);

        if (code)
                return code;
        if (!pattern)
                return error_set(error, -EINVAL, "a subscription needs a pattern");
        if (!session->wire.dialect->has_subscriptions)
                return error_set(error, -EOPNOTSUPP, "the dialect %s has no subscriptions", session->wire.dialect->name);
        return pattern_check(pattern, strlen(pattern), error);
}

/* By a function of this file, and what is reported of it. */
static int change(ferry_session *session, const char *pattern,
                  int (*function)(ferry_session *session, const char *pattern, size_t size, struct error *error))
{
        struct error error = { 0 };
        ferry_loop *loop;
        int code;

        if (!session)
                return -ENOMEM;
        loop = session->loop;
        if (loop_is_elsewhere(loop))
                return -EPERM;
        loop_enter(loop);
        code = check(session, pattern, &error);
        if (!code)
                code = function(session, pattern, strlen(pattern), &error);
        session_note_call(session, code, error_text(&error));
        if (code)
                error_set(&session->refused, code, "%s", error_text(&error));
        error_deinit(&error);
        loop_leave(loop);
        return code;
}

int ferry_session_subscribe(ferry_session *session, const char *pattern)
{
        return change(session, pattern, subscribe);
}

int ferry_session_unsubscribe(ferry_session *session, const char *pattern)
{
        return change(session, pattern, unsubscribe);
}

/* The other side -------------------------------------------------------------------------------------------- */

/* 1; 0 if nothing has changed; or a negative errno. */
static int keep(ferry_session *session, const struct incoming *in, struct error *error)
{
        int code = pattern_check(in->type.bytes, in->type.size, error);

        if (code)
                return code;
        if (in->kind == WIRE_SUBSCRIBE)
                return session->owner->subscribed(session->owner_object, in->type.bytes, in->type.size, error);
        return session->owner->unsubscribed(session->owner_object, in->type.bytes, in->type.size);
}

void subscriptions_hear(ferry_session *session, const struct incoming *in)
{
        char pattern[PATTERN_MAX + 1];
        struct error error = { 0 };
        int changed;

        if (!session->owner->subscribed) {
                session_refuse_all(session, "not a service: it sends no notifications by pattern");
                return;
        }
        changed = keep(session, in, &error);
        if (changed < 0) {
                session_refuse_all(session, error_text(&error));
                session_finish(session, error.code, "the other side has subscribed, but %s", error_text(&error));
                error_deinit(&error);
                return;
        }
        /* Retained values may have been encoded by a codec of the program, which may have freed the session. */
        if (session->holder == SESSION_FREED || !changed)
                return;
        memcpy(pattern, in->type.bytes, in->type.size);
        pattern[in->type.size] = '\0';
        dispatch_text(session, in->kind == WIRE_SUBSCRIBE ? FERRY_KIND_SUBSCRIBED : FERRY_KIND_UNSUBSCRIBED, pattern, "", 0);
}
