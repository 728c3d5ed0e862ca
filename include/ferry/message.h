/**
 * @file
 * Messages from a peer: a kind, a type and a body.
 *
 * In the dialect stream-ipc the type is the name of a class. The body is decoded when it is first used. Sending requires no
 * message object: ferry_session_notify() and similar functions take a type and a body.
 *
 * A const message is borrowed: a handler may use it until it returns. ferry_message_ref() keeps it. A request that was kept may
 * be answered at any later time. A request that is released without an answer is answered with an error.
 */
#ifndef FERRY_MESSAGE_H
#define FERRY_MESSAGE_H

#include <ferry/value.h>

FERRY_BEGIN

/** The message class that php-stream-ipc defines. On the wire its root namespace is the one that the peer uses. */
#define FERRY_LOG_MESSAGE "StreamIpc\\Message\\LogMessage"

/** The kinds of messages. Handlers are registered for a set of kinds. */
enum ferry_kind {
        FERRY_KIND_NOTIFICATION = 1 << 0,       /**< expects no answer */
        FERRY_KIND_REQUEST      = 1 << 1,       /**< expects an answer by ferry_message_reply() */
        FERRY_KIND_MESSAGE      = FERRY_KIND_NOTIFICATION | FERRY_KIND_REQUEST, /**< both of them */
        FERRY_KIND_RESPONSE     = 1 << 2,       /**< a reply; only calls have it */
        FERRY_KIND_ERROR        = 1 << 3,       /**< an error reply, or a frame that cannot be decoded */
        FERRY_KIND_JUNK         = 1 << 4,       /**< bytes between frames; the type is their source: `stdout` or `stderr` of a
                                                 * child, `stdin`, or `input` */
        FERRY_KIND_CANCELLED    = 1 << 5,       /**< the peer has cancelled a request that was kept here */
        FERRY_KIND_OPENED       = 1 << 6,       /**< the session is open; in a service: a client has connected */
        FERRY_KIND_CLOSED       = 1 << 7,       /**< the session has ended; the text says why */
        FERRY_KIND_SUBSCRIBED   = 1 << 8,       /**< in a service: a client has subscribed; the type is the pattern */
        FERRY_KIND_UNSUBSCRIBED = 1 << 9,       /**< in a service: a client has withdrawn a subscription; the type is the pattern */
        FERRY_KIND_LOST         = 1 << 10,      /**< the connection has ended, and the session connects again; the text says why */
        FERRY_KIND_RESUMED      = 1 << 11,      /**< the session has connected again */
        FERRY_KIND_SUCCESSOR    = 1 << 12,      /**< in a service: another process wants to take its place */
        FERRY_KIND_DRAINED      = 1 << 13,      /**< the queue has room again, see ferry_session_queued(); with an id: the peer takes
                                                 * parts of the reply to that request again, see ferry_message_progress() */
        FERRY_KIND_PROGRESS     = 1 << 14,      /**< a part of a reply; only calls have it */
};

/**
 * A handler for messages.
 *
 * A request is settled by the first handler that replies, keeps it and returns 1, or returns a negative errno, which sends an
 * error reply. If no handler does, an error reply is sent, too.
 *
 * @param session   the session that received the message
 * @param message   the message; borrowed until the handler returns; ferry_message_ref() keeps it
 * @param userdata  as given to ferry_session_on() or ferry_service_on()
 * @return 0 to let the next handler see the message; 1 to end here; a negative errno to answer a request with an error
 */
typedef int ferry_message_fn(ferry_session *session, const ferry_message *message, void *userdata);

/**
 * Returns the kind of a message.
 *
 * @param message  the message; NULL is allowed
 * @return its kind; 0 for NULL, and in another thread
 */
enum ferry_kind ferry_message_kind(const ferry_message *message);

/**
 * Returns the type of a message.
 *
 * @param message  the message; NULL is allowed
 * @return the type, valid as long as the message; "" if it has none
 */
const char *ferry_message_type(const ferry_message *message);

/**
 * Returns the body of a message.
 *
 * @param message  the message; NULL is allowed
 * @return the body, valid as long as the message; ferry_value_ref() keeps it longer. NULL if its bytes cannot be decoded
 */
const ferry_value *ferry_message_body(const ferry_message *message);

/**
 * Returns an item of the body by its key, or a property by its name, as ferry_value_get().
 *
 * @param message  the message; NULL is allowed
 * @param key      the key or name
 * @return the item, valid as long as the message; NULL if there is none
 */
const ferry_value *ferry_message_get(const ferry_message *message, const char *key);

/**
 * Returns the text of a message.
 *
 * The text is the body if that is a string, or else the string "message" in it, or else the text of an error.
 *
 * @param message  the message; NULL is allowed
 * @return the text, valid as long as the message; "" if there is none
 */
const char *ferry_message_text(const ferry_message *message);

/**
 * Returns the id of a request or a reply, as text.
 *
 * @param message  the message; NULL is allowed
 * @return the id, valid as long as the message; "" if there is none
 */
const char *ferry_message_id(const ferry_message *message);

/**
 * Returns how many descriptors came with a message (ferry_session_attach()).
 *
 * @param message  the message; NULL is allowed
 * @return their number, 0 to 32, also of those that were taken
 */
size_t ferry_message_fds(const ferry_message *message);

/**
 * Takes a descriptor that came with a message.
 *
 * It is closed on exec. Descriptors that are not taken are closed with the message. What a peer sends may be a descriptor of any
 * kind: the program checks that it is what it expects, and that it does not block where that matters.
 *
 * @param message  the message; NULL is allowed
 * @param index    its number, from 0
 * @return the descriptor, which the caller closes; or a negative errno
 * @retval -ENOENT    the message has none of that number
 * @retval -EALREADY  it was taken
 * @retval -ENOMEM    the message is NULL
 * @retval -EPERM     the message belongs to another thread
 */
int ferry_message_take_fd(const ferry_message *message, size_t index);

/**
 * Returns the session that received a message.
 *
 * @param message  the message; NULL is allowed
 * @return the session; NULL if it is gone
 */
ferry_session *ferry_message_session(const ferry_message *message);

/**
 * Answers a request.
 *
 * The answer is queued, also if the queue is full.
 *
 * @param request  the request
 * @param type     the type of the answer; copied; NULL selects the type of the request
 * @param format   a template for the body, see value.h; NULL is null; arguments are borrowed until the call returns
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EINVAL     the message is not a request, the template is malformed, or the type or body is not valid in this dialect
 * @retval -EMSGSIZE   the answer exceeds a limit of this side or of the peer; another answer may be sent
 * @retval -EILSEQ     the codec cannot write a part of the body
 * @retval -EDOM       the codec cannot write a number of the body
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EOPNOTSUPP the stream of the session can only be read
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_reply(const ferry_message *request, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);

/**
 * Answers a request with an error.
 *
 * In a dialect without error replies the session ends instead.
 *
 * @param request  the request
 * @param format   the text, by a format of printf(3); cut after 4,095 bytes
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EINVAL     the message is not a request
 * @retval -EMSGSIZE   the peer takes not even an empty error
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EOPNOTSUPP the stream of the session can only be read
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_fail(const ferry_message *request, const char *format, ...) FERRY_PRINTF(2, 3);

/**
 * Refuses a request that was not executed, because this side is about to end.
 *
 * In the dialect ferry the call of the peer ends as *not executed*; a pool gives the request to another worker, and gives this
 * worker no more requests. In the dialect stream-ipc this is ferry_message_fail(). The dialects innmind and pcntl have no such
 * answer, so nothing is sent.
 *
 * @param request  the request
 * @param format   the reason, by a format of printf(3); cut after 4,095 bytes
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EINVAL     the message is not a request
 * @retval -EMSGSIZE   the peer takes not even an empty refusal
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EOPNOTSUPP the stream of the session can only be read
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_refuse(const ferry_message *request, const char *format, ...) FERRY_PRINTF(2, 3);

/**
 * Sends a part of the reply to a request, before the reply itself.
 *
 * Any number of parts may be sent, from the handler or later, if the request was kept. They arrive in their order, before the reply,
 * each with the type of the request. The peer takes them by ferry_call_on_progress() or ferry_call_next(); parts that its program
 * asks for in neither way are dropped there.
 *
 * The peer gives credit for 262,144 bytes of parts that its program has not taken yet; while there is credit a part of any size
 * is accepted. Beyond that, and when the queue is full, the result is -ENOBUFS, and nothing was sent. A program then calls
 * ferry_message_flush(), or waits for a message of the kind FERRY_KIND_DRAINED with the id of the request (no credit), or with no
 * id (the queue was full), and sends the part again. Other requests go on meanwhile.
 *
 * After a part the peer counts the request as executed: ferry_message_refuse() is an error reply for it then. Parts do not extend
 * the deadline of the call. Only the dialect ferry has parts, and a peer has to know them.
 *
 * @param request  the request
 * @param format   a template for the body, see value.h; NULL is null; arguments are borrowed until the call returns
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these. ferry_session_error() has the sentence while the session lives
 * @retval -ENOBUFS    too much is queued (`queue_max`; for clients of a service also `bytes_max`), or the peer has not taken
 *                     the parts before
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EOPNOTSUPP the dialect or the peer has no parts of replies, or the stream of the session can only be read
 * @retval -EINVAL     the message is not a request, or the template is malformed
 * @retval -EMSGSIZE   the part exceeds a limit of this side or of the peer
 * @retval -EILSEQ     the codec cannot write a part of the body
 * @retval -EDOM       the codec cannot write a number of the body
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_progress(const ferry_message *request, const char *format, ...) FERRY_PRINTF(2, 3);

/**
 * Sends a part of the reply to a request, as ferry_message_progress(), with a body that is a value.
 *
 * @param request  the request
 * @param body     the body; borrowed until the call returns
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these. ferry_session_error() has the sentence while the session lives
 * @retval -ENOBUFS    too much is queued (`queue_max`; for clients of a service also `bytes_max`), or the peer has not taken
 *                     the parts before
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EOPNOTSUPP the dialect or the peer has no parts of replies, or the stream of the session can only be read
 * @retval -EINVAL     the message is not a request, or the body is NULL
 * @retval -EMSGSIZE   the part exceeds a limit of this side or of the peer
 * @retval -EILSEQ     the codec cannot write a part of the body
 * @retval -EDOM       the codec cannot write a number of the body
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_progress_value(const ferry_message *request, const ferry_value *body);

/**
 * Runs the loop until a part of the reply to a request can be sent: the peer has given credit, and the queue has room.
 *
 * @param request     the request
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these. ferry_session_error() has the sentence while the session lives
 * @retval -ETIMEDOUT  the peer has not taken the parts within the time
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session or the loop is closed here
 * @retval -EOPNOTSUPP the dialect or the peer has no parts of replies, or the stream of the session can only be read
 * @retval -EINVAL     the message is not a request, or the timeout is below -1
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EDEADLK    waiting within waiting, 32 levels deep: keep the request, and return to the loop instead
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_flush(const ferry_message *request, int timeout_ms);

/**
 * Answers a request, as ferry_message_reply(), with a body that is a value.
 *
 * @param request  the request
 * @param type     the type of the answer; copied; NULL selects the type of the request
 * @param body     the body; borrowed until the call returns
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EINVAL     the message is not a request, the body is NULL, or the type or body is not valid in this dialect
 * @retval -EMSGSIZE   the answer exceeds a limit of this side or of the peer; another answer may be sent
 * @retval -EILSEQ     the codec cannot write a part of the body
 * @retval -EDOM       the codec cannot write a number of the body
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EOPNOTSUPP the stream of the session can only be read
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_reply_value(const ferry_message *request, const char *type, const ferry_value *body);

/**
 * Answers a request with an error, as ferry_message_fail(), with a text that is used as it is.
 *
 * @param request  the request
 * @param text     the text; NULL is ""
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EINVAL     the message is not a request
 * @retval -EMSGSIZE   the peer takes not even an empty error
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EOPNOTSUPP the stream of the session can only be read
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_fail_text(const ferry_message *request, const char *text);

/**
 * Refuses a request, as ferry_message_refuse(), with a text that is used as it is.
 *
 * @param request  the request
 * @param text     the text; NULL is ""
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EALREADY   the request is already answered
 * @retval -ECANCELED  the peer has cancelled the request, or the session is closed here
 * @retval -EINVAL     the message is not a request
 * @retval -EMSGSIZE   the peer takes not even an empty refusal
 * @retval -ENOTCONN   the session has ended
 * @retval -ECONNRESET the peer has disconnected
 * @retval -EPIPE      the peer reads no more
 * @retval -EOPNOTSUPP the stream of the session can only be read
 * @retval -EDEADLK    a stream of the program has called this while it was writing
 * @retval -ENOMEM     the request is NULL, or there is no memory
 * @retval -EPERM      the message belongs to another thread
 * @retval -ECHILD     the session belongs to the parent of this process
 */
int ferry_message_refuse_text(const ferry_message *request, const char *text);

/**
 * Returns whether the peer still waits for the answer to a request.
 *
 * @param request  the request; NULL is allowed
 * @return true if an answer would be sent
 */
bool ferry_message_is_wanted(const ferry_message *request);

/**
 * Keeps a message beyond the return of its handler.
 *
 * @param message  the message; NULL is allowed
 * @return the message, which the caller releases with ferry_message_unref(); NULL for NULL
 */
ferry_message *ferry_message_ref(const ferry_message *message);

/**
 * Releases a message. A request without an answer is answered with an error.
 *
 * @param message  the message; NULL is allowed
 * @return NULL
 */
ferry_message *ferry_message_unref(ferry_message *message);

FERRY_DEFINE_AUTO(ferry_message, ferry_message_unref)

FERRY_END

#endif
