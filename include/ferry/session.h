/* Sessions: a conversation over one stream, in which either side may notify and request at any time.
 * Calls: requests of ours, any number of which may be in flight. */
#ifndef FERRY_SESSION_H
#define FERRY_SESSION_H

#include <ferry/address.h>
#include <ferry/codec.h>
#include <ferry/loop.h>
#include <ferry/message.h>

FERRY_BEGIN

enum ferry_dialect {
        FERRY_DIALECT_AUTO       = 0,           /* ferry or stream-ipc, as the peer begins; else ferry */
        FERRY_DIALECT_FERRY      = 1 << 0,
        FERRY_DIALECT_STREAM_IPC = 1 << 1,      /* riki137/php-stream-ipc */
        FERRY_DIALECT_INNMIND    = 1 << 2,      /* innmind/ipc */
        FERRY_DIALECT_PCNTL      = 1 << 3,      /* sweikenb/pcntl */
};

enum {
        FERRY_TIMEOUT_DEFAULT = -2,             /* for requests: the session's request_timeout_ms */
};

/* Whether to talk to this peer. Asked about each that is neither our own user nor root. */
typedef bool ferry_allow_fn(ferry_session *session, const ferry_peer *peer, void *userdata);

/* Make the id of a request: up to @size - 1 bytes and a zero. 0, or a negative errno with which the call
 * ends. */
typedef int ferry_id_fn(ferry_session *session, char *id, size_t size, void *userdata);

/* A stream of the program's own. read and write move what they can, without the session that they move it
 * for, and return how much that was, 0 at the end, -EAGAIN if nothing moves now, or another negative errno;
 * poll(2) tells by fd when to try again. It must outlive its session, which calls close at the end. None of the three may
 * free the loop, which would wait for them to return. */
struct ferry_stream {
        size_t size;
        int fd;
        ssize_t (*read)(const ferry_stream *stream, void *buffer, size_t size);
        ssize_t (*write)(const ferry_stream *stream, const void *bytes, size_t size);
        void (*close)(const ferry_stream *stream);
        void *userdata;
};

/* What is zero is as the options of the loop have it, or else as it stands in parentheses. -1 ms is for
 * ever. */
struct ferry_session_options {
        size_t size;
        unsigned dialect;               /* (FERRY_DIALECT_AUTO) */
        const ferry_codec *codec;       /* (ferry: msgpack; stream-ipc: php; msgpack is not for that) */
        const char *root;               /* stream-ipc: the namespace of its own classes ("StreamIpc") */
        ferry_id_fn *make_id;           /* stream-ipc: ids for requests ("PID.COUNTER") */
        void *make_id_userdata;
        ferry_allow_fn *allow;          /* who may be there, besides our own user and root (nobody). By tcp nobody is
                                         * known, so anybody may, and this is not asked */
        void *allow_userdata;
        int request_timeout_ms;         /* where FERRY_TIMEOUT_DEFAULT is given (30,000) */
        int wait_ms;                    /* for somebody to listen (not at all; for one who is busy, or by tcp neither
                                         * answers nor refuses, 5,000) */
        int close_timeout_ms;           /* for closing; as long again until a child is killed (1,000) */
        int heartbeat_ms;               /* see whether a silent peer still lives, if that wants it, too, and after the longer of
                                         * both times (never). innmind: say after so long a silence that we live (never; but
                                         * while a client waits for an answer, 1,000; -1: not then either) */
        size_t frame_max;               /* bytes of a message (16 MiB; innmind and pcntl send 128 KiB at most) */
        size_t queue_max;               /* bytes that wait to be sent (16 MiB) */
        const char *const *argv;        /* exec: run this, up to a NULL, instead of a command line. It is looked
                                         * for in the PATH that it will have; a script needs its #! */
        const char *const *env;         /* exec: with these NAME=VALUE, up to a NULL, besides ours */
        const char *directory;          /* exec: in there (ours) */
        const int *fds;                 /* no address: to read, to write, to read too, up to -1; taken over
                                         * unless the session cannot be opened */
        const ferry_stream *stream;     /* no address: use this */
        const char *name_directory;     /* a NAME: its socket stands in there (as ferry_address_resolve() tells) */
        bool is_in_foreground;          /* exec: the child stays in our process group, so that it may read from the terminal while
                                         * that is in the foreground (no: it leads a group of its own, which is signalled as a
                                         * whole). Then only the child itself is signalled */
        bool is_unguarded;              /* stdio: leave fd 0 and 1 as they are (no) */
        int answer_timeout_ms;          /* how long the session waits for each answer of ours once the input of the peer has ended
                                         * (as long as close_timeout_ms) */
};

/* Open a session, which belongs to the loop. This does not wait; what is sent before it is up goes out
 * then. Where @address is NULL, the options say what to use. */
ferry_session *ferry_session_open(ferry_loop *loop, const char *address,
                                  const ferry_session_options *options);

/* End a session in order, in the background: what is queued is sent, the peer is told, a child has time to
 * end. Calls in flight end now, with -ECANCELED; nothing more comes in but what a child of exec: writes to its stderr,
 * as FERRY_KIND_JUNK, and FERRY_KIND_CLOSED once the child has exited. 0, or why it has failed: before, or because what is queued can
 * never be sent. A child that fails while it is being closed makes the session fail with -ECONNRESET: see
 * ferry_session_status() after FERRY_KIND_CLOSED, or what ferry_loop_run() returns. */
int ferry_session_close(ferry_session *session);

/* Close a session and forget it before the loop does. Takes NULL and returns it. */
ferry_session *ferry_session_free(ferry_session *session);

/* Send a message that wants no answer, with a body by template. Where the dialect wants an object and the
 * body is a string, that becomes the property "message". 0 if it was taken; -ENOBUFS (while that is so,
 * flush and try again), -EMSGSIZE, -EINVAL, or why the session ended. Whoever does not look is told by the
 * next ferry_session_flush(). */
int ferry_session_notify(ferry_session *session, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);

/* Send a message that wants an answer, within @timeout_ms. The call is the caller's, to await and let go,
 * or to give to ferry_call_then(). */
ferry_call *ferry_session_request(ferry_session *session, int timeout_ms, const char *type,
                                  const char *format, ...) FERRY_PRINTF(4, 5);

/**
 * Sends a notification, as ferry_session_notify(), with a body that is a value.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @param type     the message type, as of ferry_session_notify()
 * @param body     borrowed until the call returns
 * @return 0, or a negative errno as of ferry_session_notify()
 * @retval -EINVAL  the body is NULL, or the type or body is not valid in this dialect
 */
int ferry_session_notify_value(ferry_session *session, const char *type, const ferry_value *body);

/**
 * Sends a request, as ferry_session_request(), with a body that is a value.
 *
 * @param session     the session; NULL is allowed, and the call has failed
 * @param timeout_ms  how long to wait for the answer; -1 forever, FERRY_TIMEOUT_DEFAULT the session's
 * @param type        the message type, as of ferry_session_request()
 * @param body        borrowed until the function returns; NULL fails the call with -EINVAL
 * @return the call, which the caller owns; NULL only if there is no memory
 */
ferry_call *ferry_session_request_value(ferry_session *session, int timeout_ms, const char *type, const ferry_value *body);

/* Run the loop until the peer has all that was sent (stream-ipc: until the kernel has). 0;
 * -ETIMEDOUT; what the first notify since the last flush returned that was not taken; or why the session
 * ended. */
int ferry_session_flush(ferry_session *session, int timeout_ms);

/* Run the loop until there is a message to fetch, and lend it until this is called again. NULL after
 * @timeout_ms, or when the session has ended and none is left. To be fetched are notifications for which
 * there is no handler (1,024 may wait; then the oldest are dropped, and counted), and all messages of
 * kinds whose handler is NULL (none is dropped; the peer waits). */
const ferry_message *ferry_session_next(ferry_session *session, int timeout_ms);

/* Call @fn for messages of these kinds, after the handlers that are there already (NULL: keep them for
 * ferry_session_next()); call it no longer. If memory is out, the session fails. */
void ferry_session_on(ferry_session *session, unsigned kinds, ferry_message_fn *fn, void *userdata);
void ferry_session_off(ferry_session *session, ferry_message_fn *fn, void *userdata);

/* 1 while it lives, 0 once it has ended in order, a negative errno if it failed; a sentence on that. An end of the peer that left
 * notifications or requests of ours in the queue is -ECONNRESET, and the sentence counts the bytes. While a child is being
 * closed 0 is not final. */
int ferry_session_status(const ferry_session *session);
const char *ferry_session_error(const ferry_session *session);

/* Where it leads; who is there. */
const char *ferry_session_address(const ferry_session *session);
ferry_peer ferry_session_peer(const ferry_session *session);

/* All that is known of it, as a map that the caller owns: address, dialect, codec, stream, pid, uid, gid,
 * and the counters: messages sent and received (with the dialect's own, such as a hello), bytes queued, requests in_flight,
 * messages dropped, bytes of junk. The codec is null unless the options name one. */
ferry_value *ferry_session_info(const ferry_session *session);

/* The loop that it lives in. */
ferry_loop *ferry_session_loop(const ferry_session *session);

/* A pointer that the program keeps with the session: what belongs to this one client. */
void ferry_session_set_userdata(ferry_session *session, void *userdata);
void *ferry_session_userdata(const ferry_session *session);

enum ferry_outcome {
        FERRY_OUTCOME_PENDING,
        FERRY_OUTCOME_REPLIED,
        FERRY_OUTCOME_NOT_EXECUTED,     /* the peer has surely not acted on it: it may be sent again */
        FERRY_OUTCOME_UNKNOWN,
};

/* Called once for a call that has ended; @reply is NULL unless its status is 0. */
typedef void ferry_call_fn(ferry_call *call, const ferry_message *reply, void *userdata);

/* Run the loop until the call has ended. Returns the reply, which lives as long as the call; or NULL, and
 * then status and error say why. Waiting may happen within waiting; 32 levels deep the call ends with
 * -EDEADLK. */
const ferry_message *ferry_call_await(ferry_call *call);

/* Give the call away: the loop calls @fn at its end and then frees it. Until then it may be freed to
 * cancel it; @fn is not called in that case, nor for what is asked while the loop is being freed. @fn may be NULL: the
 * call ends, and is freed, without a word. */
void ferry_call_then(ferry_call *call, ferry_call_fn *fn, void *userdata);

/* 1 while it is in flight, 0 if there is a reply, -EREMOTEIO if that is an error (its text is the
 * sentence), -ETIMEDOUT, -ECANCELED, or why it could not be sent or the session ended; a sentence on that. */
int ferry_call_status(const ferry_call *call);
const char *ferry_call_error(const ferry_call *call);

/* Whether the peer has acted on it, as far as that can be known; what came back, also if it is an error. */
enum ferry_outcome ferry_call_outcome(const ferry_call *call);
const ferry_message *ferry_call_reply(const ferry_call *call);

/* Let a call go; if it is in flight that cancels it, and the peer is told where the dialect can. Takes
 * NULL and returns it. */
ferry_call *ferry_call_free(ferry_call *call);

FERRY_DEFINE_AUTO(ferry_call, ferry_call_free)

FERRY_END

#endif
