/* Messages: what comes in. A message has a type (in stream-ipc a class) and a body, which is decoded when it is
 * first looked at. Sending takes no object: ferry_session_notify() and the like are given type and body.
 *
 * A const message is lent: to a handler, until it returns. ferry_message_ref() keeps it. A request that is
 * kept may be answered at any later time; one that is let go without an answer tells its sender so. */
#ifndef FERRY_MESSAGE_H
#define FERRY_MESSAGE_H

#include <ferry/value.h>

FERRY_BEGIN

/* The message that php-stream-ipc brings along. On the wire its root is the one that the peer uses. */
#define FERRY_LOG_MESSAGE "StreamIpc\\Message\\LogMessage"

/* What a message is. Handlers are registered for a set of these. */
enum ferry_kind {
        FERRY_KIND_NOTIFICATION = 1 << 0,
        FERRY_KIND_REQUEST      = 1 << 1,       /* waits for ferry_message_reply() */
        FERRY_KIND_MESSAGE      = FERRY_KIND_NOTIFICATION | FERRY_KIND_REQUEST,
        FERRY_KIND_RESPONSE     = 1 << 2,       /* only from calls */
        FERRY_KIND_ERROR        = 1 << 3,       /* an error reply; a frame that does not decode */
        FERRY_KIND_JUNK         = 1 << 4,       /* bytes between frames; its type is "stdout" or "stderr" */
        FERRY_KIND_CANCELLED    = 1 << 5,       /* nobody waits any more for this request, kept here */
        FERRY_KIND_OPENED       = 1 << 6,       /* the session is up; in a service: a client has come */
        FERRY_KIND_CLOSED       = 1 << 7,       /* the session has ended; the text says why */
};

/* Called for a message. Returns 0: the next handler may see it too; 1: it may not. A request is settled by
 * the first handler that replies, or keeps it and returns 1, or returns a negative errno, which makes an
 * error reply; if none does, that is an error reply, too. */
typedef int ferry_message_fn(ferry_session *session, const ferry_message *message, void *userdata);

/* What it is, and of which type; a message that has none has the type "". */
enum ferry_kind ferry_message_kind(const ferry_message *message);
const char *ferry_message_type(const ferry_message *message);

/* The body; it lives as long as the message, longer if it is held. NULL if its bytes do not decode. */
const ferry_value *ferry_message_body(const ferry_message *message);

/* What the body has under that key, or as that property. */
const ferry_value *ferry_message_get(const ferry_message *message, const char *key);

/* The message in words: the body if it is a string, or the string "message" in it, or the text of an
 * error; or "". */
const char *ferry_message_text(const ferry_message *message);

/* The id of a request or a reply, as text; or "". */
const char *ferry_message_id(const ferry_message *message);

/* The session that it came by; NULL if that is gone. */
ferry_session *ferry_message_session(const ferry_message *message);

/* Answer a request, once: with a type (NULL: its own) and a body, by template; or with an error, whose
 * text is plain printf. 0; -EALREADY, -ECANCELED if nobody waits any more, -EINVAL, -EMSGSIZE, or why the
 * session ended. */
int ferry_message_reply(const ferry_message *request, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);
int ferry_message_fail(const ferry_message *request, const char *format, ...) FERRY_PRINTF(2, 3);

/**
 * Refuses a request that was not acted on, because this side is about to end.
 *
 * In the dialect ferry the call of the peer ends as *not executed*, and a pool gives the request to another worker and
 * this one no more requests. In the dialect stream-ipc this is ferry_message_fail(); in innmind and pcntl, which have no
 * such answer, nothing is sent.
 *
 * @param request  the request
 * @param format   the reason, plain printf
 * @return 0, or a negative errno
 * @retval -EALREADY  the request has its answer
 * @retval -ECANCELED the peer does not wait any more
 * @retval -EINVAL    the message is not a request
 * @retval -ENOTCONN  the session has ended
 * @retval -ENOMEM    request is NULL, or memory is out
 */
int ferry_message_refuse(const ferry_message *request, const char *format, ...) FERRY_PRINTF(2, 3);

/**
 * Answers a request, as ferry_message_reply(), with a body that is a value.
 *
 * @param request  the request
 * @param type     the type of the answer; NULL is the request's own
 * @param body     borrowed until the call returns
 * @return 0, or a negative errno as of ferry_message_reply()
 * @retval -EINVAL  the body is NULL, or the type or body is not valid in this dialect
 */
int ferry_message_reply_value(const ferry_message *request, const char *type, const ferry_value *body);

/**
 * Answers a request with an error, as ferry_message_fail(), whose text is taken as it is.
 *
 * @param request  the request
 * @param text     the text; NULL is ""
 * @return 0, or a negative errno as of ferry_message_fail()
 */
int ferry_message_fail_text(const ferry_message *request, const char *text);

/**
 * Refuses a request, as ferry_message_refuse(), with a text that is taken as it is.
 *
 * @param request  the request
 * @param text     the text; NULL is ""
 * @return 0, or a negative errno as of ferry_message_refuse()
 */
int ferry_message_refuse_text(const ferry_message *request, const char *text);

/* Whether somebody still waits for the answer. */
bool ferry_message_is_wanted(const ferry_message *request);

/* Keep a message; let it go. Both take NULL; unref returns NULL. */
ferry_message *ferry_message_ref(const ferry_message *message);
ferry_message *ferry_message_unref(ferry_message *message);

FERRY_DEFINE_AUTO(ferry_message, ferry_message_unref)

FERRY_END

#endif
