/**
 * @file
 * Sessions and calls.
 *
 * A session is a conversation over one stream, in which either side may send notifications and requests at any time. A call is
 * a request of this side. Any number of calls may be in flight.
 */
#ifndef FERRY_SESSION_H
#define FERRY_SESSION_H

#include <ferry/address.h>
#include <ferry/codec.h>
#include <ferry/loop.h>
#include <ferry/message.h>

FERRY_BEGIN

/** The dialects: how messages look on the wire. */
enum ferry_dialect {
        FERRY_DIALECT_AUTO       = 0,           /**< ferry or stream-ipc, as the peer begins; ferry if this side sends first */
        FERRY_DIALECT_FERRY      = 1 << 0,      /**< ferry's own */
        FERRY_DIALECT_STREAM_IPC = 1 << 1,      /**< riki137/php-stream-ipc */
        FERRY_DIALECT_INNMIND    = 1 << 2,      /**< innmind/ipc */
        FERRY_DIALECT_PCNTL      = 1 << 3,      /**< sweikenb/pcntl */
};

/** Whether a session over a unix socket, also one between parent and child, moves its messages to shared memory. Both sides must
 * be in the dialect ferry; the socket stays, for credentials, and to notice that the peer has gone. A session that cannot move
 * stays where it is, as do those over pipes. */
enum ferry_shm {
        FERRY_SHM_AUTO   = 0,   /**< after a number of messages or bytes, unless the peer uses FERRY_SHM_NEVER */
        FERRY_SHM_ALWAYS = 1,   /**< at once, unless the peer uses FERRY_SHM_NEVER */
        FERRY_SHM_NEVER  = 2,   /**< not at all */
};

/** Special timeouts. */
enum {
        FERRY_TIMEOUT_DEFAULT = -2,             /**< for requests: the session's `request_timeout_ms` */
};

/**
 * Decides whether a peer may connect. Called for each peer whose user is neither the program's own nor root.
 *
 * @param session   the session
 * @param peer      the peer's credentials; valid until the callback returns
 * @param userdata  `allow_userdata` of the options
 * @return true if the peer may connect
 */
typedef bool ferry_allow_fn(ferry_session *session, const ferry_peer *peer, void *userdata);

/**
 * Makes the id of a request (stream-ipc).
 *
 * @param session   the session
 * @param id        where to write the id, with a terminating zero
 * @param size      size of @p id in bytes
 * @param userdata  `make_id_userdata` of the options
 * @return 0; or a negative errno, with which the call ends
 */
typedef int ferry_id_fn(ferry_session *session, char *id, size_t size, void *userdata);

/**
 * A stream of the program's own.
 *
 * The stream must outlive its session, which calls `close` at the end. poll(2) of `fd` says when a call can be repeated. The
 * functions must not use the session that they move bytes for, and must not free the loop, which would wait for them to return.
 */
struct ferry_stream {
        size_t size;            /**< sizeof(ferry_stream); 0 means this version's */
        int fd;                 /**< the descriptor to wait for; the program's own */
        /** Reads up to size bytes. Returns their number, 0 at the end, -EAGAIN if there are none now, or another negative
         * errno. */
        ssize_t (*read)(const ferry_stream *stream, void *buffer, size_t size);
        /** Writes up to size bytes. Returns their number, -EAGAIN if there is no room now, or another negative errno. */
        ssize_t (*write)(const ferry_stream *stream, const void *bytes, size_t size);
        /** Called once, at the end of the session; NULL is allowed. */
        void (*close)(const ferry_stream *stream);
        void *userdata;         /**< for the stream's own use */
};

/**
 * How a session is opened.
 *
 * Zero inherits the option of the loop (ferry_loop_options); if that is zero too, the default in parentheses applies. In a time,
 * -1 means forever. Pointers must stay valid until the function returns, see ferry.h; `codec` and `stream` as long as the
 * session.
 */
struct ferry_session_options {
        size_t size;                    /**< sizeof(ferry_session_options); 0 means this version's */
        unsigned dialect;               /**< an enum ferry_dialect (FERRY_DIALECT_AUTO) */
        const ferry_codec *codec;       /**< the codec of bodies; must outlive the session (ferry: msgpack; stream-ipc: php, and
                                         * msgpack is refused) */
        const char *root;               /**< stream-ipc: the namespace of its own classes ("StreamIpc") */
        ferry_id_fn *make_id;           /**< stream-ipc: makes the ids of requests ("PID.COUNTER") */
        void *make_id_userdata;         /**< for `make_id` */
        ferry_allow_fn *allow;          /**< decides which other users may be the peer, besides the program's own user and root
                                         * (none). TCP peers cannot be identified, so it is not called for them */
        void *allow_userdata;           /**< for `allow` */
        int request_timeout_ms;         /**< the timeout of requests with FERRY_TIMEOUT_DEFAULT, in ms (30,000) */
        int wait_ms;                    /**< how long to wait for a process that listens, in ms (no wait; 5,000 for a listener
                                         * that is busy, or that by tcp neither accepts nor refuses). By tcp, as by nats, a host
                                         * that has not answered yet has at least 1 s */
        int close_timeout_ms;           /**< how long closing may take, in ms; the same time again passes before a child is killed
                                         * (1,000) */
        int heartbeat_ms;               /**< ping a silent peer after this time, in ms. Both sides must enable heartbeats; the
                                         * longer interval applies (never). innmind: the interval at which a silent side reports
                                         * that it is alive (1,000 while a client waits for an answer, otherwise never; -1:
                                         * never). nats: how often to report that a request is in hand (2,000; -1: never), and
                                         * the silence behind which the server is asked (20,000; -1: never): if it is silent for as
                                         * long again, it is left, with -ETIMEDOUT or for the next connection (`reconnect_ms`) */
        size_t frame_max;               /**< bytes of a message (16 MiB; innmind and pcntl send at most 128 KiB) */
        size_t queue_max;               /**< bytes that may be queued for sending (16 MiB) */
        const char *const *argv;        /**< exec: the command and its arguments, up to a NULL, instead of a command line. It is
                                         * looked for in the PATH that it will have. A script requires its #! line */
        const char *const *env;         /**< exec, ssh: NAME=VALUE, up to a NULL, in addition to the program's environment */
        const char *directory;          /**< exec, ssh: the working directory (the program's) */
        const int *fds;                 /**< for an address of NULL: descriptors to read, to write, and to read too, up to -1. The
                                         * session takes them over, unless it cannot be opened */
        const ferry_stream *stream;     /**< for an address of NULL: a stream of the program; must outlive the session */
        const char *name_directory;     /**< NAME: the directory of its socket (see ferry_address_resolve()) */
        bool is_in_foreground;          /**< exec, ssh: the child stays in the program's process group, so that it may read from the
                                         * terminal while that group is in the foreground; only the child itself is signalled (no:
                                         * the child leads a group of its own, which is signalled as a whole) */
        bool is_unguarded;              /**< stdio: leave descriptors 0 and 1 as they are (no) */
        bool is_listening;              /**< nats: receive what is sent to the subject, which each message is for one listener of the
                                         * queue group `ferry` only, and answer requests (no: send to the subject). A client of another
                                         * library in another group gets each message as well, so it should join this one */
        bool is_gathering;              /**< nats: ask all that hear the subject: what they answer to a notification of this side comes
                                         * as notifications, or as requests where it wants an answer in turn, as tasks of JetStream
                                         * do: those are reported to be worked on as long as they are kept, and returned if they
                                         * are let go without an answer. A status of the server is a FERRY_KIND_ERROR whose type is
                                         * its number. Requests of this side are refused then (no: notifications are not answered) */
        int answer_timeout_ms;          /**< how long the session waits for each answer of the program after the peer's input has
                                         * ended, in ms (as long as `close_timeout_ms`) */
        int shm;                        /**< an enum ferry_shm: whether messages may move to memory that is shared with the peer
                                         * (FERRY_SHM_AUTO) */
        int spin_us;                    /**< in shared memory: for how long the loop looks for the next message before it sleeps, in
                                         * microseconds, up to 1,000,000, and eight times as long while large messages pass. It
                                         * does so only while the peer is awake (50; -1: not at all) */
        const char *remote_ferry;       /**< ssh: the program on the other machine that is run as `ferry` (ferry, found by the PATH
                                         * there) */
        int reconnect_ms;               /**< connect again after the peer has ended, for up to this time in ms; see
                                         * ferry_session_open() (never) */
        unsigned reconnect_attempts;    /**< reconnect_ms: how often to try (no limit) */
        const char *nats_url;           /**< nats: the servers, `nats://[USER:PASSWORD@]HOST[:PORT]` or `nats://TOKEN@HOST[:PORT]`,
                                         * several with commas between them, which are tried in random order until one takes
                                         * the login; where one is only absent, again until `wait_ms` is over. HOST in numbers, as
                                         * for tcp, or a name, which getent(1) looks up in a child: as long as connecting may take
                                         * (`wait_ms`), at least 1 s; its addresses are tried in order. Without one the session
                                         * fails with -EHOSTUNREACH (the name is unknown), -ETIMEDOUT, -EIO (getent has failed) or
                                         * -EOPNOTSUPP (there is no getent). Other characters than letters and digits of USER,
                                         * PASSWORD and TOKEN may be written as %XX; all servers get the same. `nats://` may be
                                         * left out. A URL that begins
                                         * with `tls://` asks for TLS, which is used as well where a server requires it. TLS and
                                         * keys need the module libferry-tls, or the session fails with -EOPNOTSUPP
                                         * (nats://127.0.0.1:4222) */
        const char *nats_ca;            /**< nats: a file of certificates in PEM, of which one must have signed that of the server;
                                         * with it all servers must speak TLS (those that the system trusts) */
        const char *nats_cert;          /**< nats: a file with the certificate of this side in PEM, and those that lead to its
                                         * issuer; with it all servers must speak TLS (none) */
        const char *nats_key;           /**< nats: a file with the private key of `nats_cert` in PEM, without a password (none) */
        const char *nats_creds;         /**< nats: a file with a user's JWT and the seed of its key, as nsc(1) writes it, to sign
                                         * what the server asks for. It is read when the session is opened (none) */
        const char *nats_nkey;          /**< nats: a file with the seed of a user's key that the server knows; instead of
                                         * `nats_creds` (none) */
};

/**
 * Opens a session, which belongs to the loop.
 *
 * The call does not wait: messages that are sent before the session is open are queued. A session that cannot be opened has
 * failed: ferry_session_status() returns its errno, and ferry_session_error() a sentence.
 *
 * With `reconnect_ms` the session survives the end of its peer, once it was open. Then it gets FERRY_KIND_LOST, and connects again:
 * after 100 to 200 ms at first, and after up to 5 s between later attempts, with jitter. When it is connected it gets
 * FERRY_KIND_RESUMED. Handlers and subscriptions stay. Meanwhile:
 *
 * - Calls that were in flight end with -ECONNRESET and their outcome (ferry_call_outcome()). They are never sent again.
 * - Notifications that had not begun to leave, and messages of the time between, are queued up to `queue_max`, and sent when the
 *   session is connected. Requests of the time between end at their timeout, as not executed. A notification with descriptors is
 *   not sent again: FERRY_KIND_LOST counts its bytes.
 * - Requests of the peer that were not answered cannot be answered any more.
 *
 * A peer that sends wrong bytes, or that `allow` does not admit, ends the session, as does a failed first connection (see
 * `wait_ms`). An attempt to connect again at `nats:` ends it if each server has refused TLS or the login, or has sent wrong bytes.
 * When `reconnect_ms` or `reconnect_attempts` is used up, the session fails with -ECONNRESET; both begin anew once a connection has
 * lasted for 5 s.
 *
 * A service that hands over to a successor (ferry_service_hand_over()) is not lost: the session connects to the successor, while
 * the calls in flight are finished by the old one. Then there is FERRY_KIND_RESUMED without FERRY_KIND_LOST.
 *
 * The dialect of such a session is ferry, and the address one that can be connected to: NAME, `unix:`, `tcp:`, `exec:` or `ssh:`. A
 * session at `nats:` connects to any of its servers, and to those that they have named; the requests of the peer can still be answered
 * there. A server that is about to end is left as a service that is handed over, if another one is known.
 *
 * @param loop     the loop
 * @param address  the address, see address.h; copied; NULL uses `fds` or `stream` of the options
 * @param options  NULL selects all defaults
 * @return the session; NULL if the loop is NULL or belongs to another thread, if there is no memory, or if `allow` has freed the
 * session
 */
ferry_session *ferry_session_open(ferry_loop *loop, const char *address,
                                  const ferry_session_options *options);

/**
 * Ends a session in order, in the background.
 *
 * Queued messages are sent, the peer is notified, and a child gets time to exit. Calls in flight end now, with -ECANCELED. No
 * more messages are received, except for the lines that a child of `exec:` writes to its stderr (FERRY_KIND_JUNK) and
 * FERRY_KIND_CLOSED, which comes after a child has exited.
 *
 * A child that fails while it is being closed makes the session fail with -ECONNRESET: ferry_session_status() returns that after
 * FERRY_KIND_CLOSED, and ferry_loop_run() returns it if it was not reported.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @return 0; or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -ENOMEM  the session is NULL
 * @retval -EPIPE   the peer reads no more, and queued messages cannot be sent
 * @retval -EPERM   the session belongs to another thread
 * @retval -ECHILD  the session belongs to the parent of this process
 */
int ferry_session_close(ferry_session *session);

/**
 * Closes a session and forgets it: the program must no longer use it, and its handlers are no longer called.
 *
 * Without this call the session is freed with its loop.
 *
 * @param session  the session; NULL is allowed
 * @return NULL
 */
ferry_session *ferry_session_free(ferry_session *session);

/**
 * Sends a notification: a message that expects no answer.
 *
 * The message is queued and, if the queue was empty and the session is not held (ferry_session_hold()), written before the call
 * returns. The call never blocks. Where the dialect requires an object and the body is a string, the string becomes the property
 * "message".
 *
 * A notification is not acknowledged. When the session has ended, also in order, the sender does not know which of those that it had
 * sent the peer has handled: what the kernel has taken counts as sent. Where that matters, send a request.
 *
 * If the result is ignored, the next ferry_session_flush() that has not failed itself returns the first error.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @param type     the message type; copied. ferry: UTF-8, up to 65,535 bytes; stream-ipc: the name of a class; innmind: a media
 *                 type
 * @param format   a template for the body, see value.h; NULL is null; arguments are borrowed until the call returns
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -ENOBUFS     too much is queued (`queue_max`; for clients of a service also `bytes_max`): flush and try again
 * @retval -EMSGSIZE    the message exceeds a limit of this side (`frame_max`) or of the peer
 * @retval -EINVAL      the template is malformed, or the type or body is not valid in this dialect
 * @retval -EILSEQ      the codec cannot write a part of the body
 * @retval -EDOM        the codec cannot write a number of the body
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EOPNOTSUPP  the stream of the session can only be read
 * @retval -EDEADLK     a stream of the program has called this while it was writing
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_notify(ferry_session *session, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);

/**
 * Sends a request: a message that expects an answer.
 *
 * A request that cannot be sent is a call that has failed: ferry_call_status() returns its errno.
 *
 * @param session     the session; NULL is allowed, and the call has failed
 * @param timeout_ms  how long to wait for the answer, in ms; -1: forever; FERRY_TIMEOUT_DEFAULT: the session's
 *                    `request_timeout_ms`
 * @param type        the message type, as for ferry_session_notify(); copied
 * @param format      a template for the body, see value.h; NULL is null; arguments are borrowed until the function returns
 * @return the call, which the caller owns: await it, free it, or hand it over by ferry_call_then(). NULL only if there is no
 * memory
 */
ferry_call *ferry_session_request(ferry_session *session, int timeout_ms, const char *type,
                                  const char *format, ...) FERRY_PRINTF(4, 5);

/**
 * Sends a notification, as ferry_session_notify(), with a body that is a value.
 *
 * A large string of it is not copied: the session holds the tree of that string until it is written.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @param type     the message type, as for ferry_session_notify(); copied
 * @param body     the body; borrowed until the call returns
 * @return 0, or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -ENOBUFS     too much is queued (`queue_max`; for clients of a service also `bytes_max`): flush and try again
 * @retval -EMSGSIZE    the message exceeds a limit of this side (`frame_max`) or of the peer
 * @retval -EINVAL      the template is malformed, or the type or body is NULL or not valid in this dialect
 * @retval -EILSEQ      the codec cannot write a part of the body
 * @retval -EDOM        the codec cannot write a number of the body
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EOPNOTSUPP  the stream of the session can only be read
 * @retval -EDEADLK     a stream of the program has called this while it was writing
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_notify_value(ferry_session *session, const char *type, const ferry_value *body);

/**
 * Sends a request, as ferry_session_request(), with a body that is a value.
 *
 * @param session     the session; NULL is allowed, and the call has failed
 * @param timeout_ms  how long to wait for the answer, in ms; -1: forever; FERRY_TIMEOUT_DEFAULT: the session's
 *                    `request_timeout_ms`
 * @param type        the message type, as for ferry_session_notify(); copied
 * @param body        the body; borrowed until the function returns; NULL makes the call fail with -EINVAL
 * @return the call, which the caller owns; NULL only if there is no memory
 */
ferry_call *ferry_session_request_value(ferry_session *session, int timeout_ms, const char *type, const ferry_value *body);

/**
 * Holds back what is sent: messages are only queued, so that they leave together, in as few writes as possible.
 *
 * Calls may be nested; the last ferry_session_release() writes. Calls that run the loop (ferry_loop_run(), ferry_loop_tick(), and
 * all that wait, such as ferry_session_flush() and ferry_call_await()) release the session, too, and so does closing or freeing it.
 * In a callback it is released at the latest when the loop has called what was ready. A program that polls the descriptor of its
 * loop finds it readable while a session is held.
 *
 * Limits, order and errors stay as they are: a notification beyond `queue_max` is -ENOBUFS, after which the program releases the
 * session, or flushes it. That a write has failed is reported by the call that writes, or by the next one.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @return 0; or a negative errno, and then the session is not held: that with which the session has failed, see
 * ferry_session_status(), or one of these. ferry_session_error() has the sentence
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EOPNOTSUPP  the stream of the session can only be read
 * @retval -EOVERFLOW   the session is held UINT_MAX times
 * @retval -ENOMEM      the session is NULL
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_hold(ferry_session *session);

/**
 * Ends what ferry_session_hold() has begun: writes what was queued, as far as the stream takes it now, and returns.
 *
 * It does not wait. The loop writes the rest when the stream takes more. A session that is not held, or was released by the loop
 * meanwhile, is left as it is.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @return 0; or a negative errno, and then what is still queued is lost: that with which the session has failed, see
 * ferry_session_status(), or one of these. ferry_session_error() has the sentence
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here, or was freed by a stream of the program that was writing
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EOPNOTSUPP  the stream of the session can only be read
 * @retval -ENOMEM      the session is NULL
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_release(ferry_session *session);

/**
 * Attaches a descriptor to the next notification, request or reply of a session, over a unix socket.
 *
 * The descriptor is duplicated, so the program keeps its own. It leaves with the next message that this side sends without an error,
 * whatever that is (parts of replies and error replies carry none), and ends with the session if there is none. The peer gets it by
 * ferry_message_take_fd(). A message has 32 descriptors at most, in the order of the calls.
 *
 * Only the dialect ferry passes descriptors, and only to a peer that takes them, which its hello says. A client that has not heard
 * from its service yet gets -EAGAIN: after ferry_session_flush() that is known.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @param fd       the descriptor; -1: those that are attached are closed, and the next message has none
 * @return 0, or a negative errno: that with which the session has failed, see ferry_session_status(), or one of these.
 * ferry_session_error() has the sentence
 * @retval -EAGAIN      the peer has not said yet whether it takes descriptors; flush and try again
 * @retval -EOPNOTSUPP  the stream is no unix socket, the dialect passes no descriptors, or the peer takes none
 * @retval -E2BIG       32 descriptors are attached already
 * @retval -ENOBUFS     256 descriptors are on their way to the peer; flush and try again
 * @retval -EBADF       the descriptor is not open
 * @retval -EMFILE      no descriptor is left
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EDEADLK     a stream of the program has called this while it was writing
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_attach(ferry_session *session, int fd);

/**
 * Returns how many bytes wait to be sent: frames, with their headers, that the stream has not taken yet.
 *
 * Where more than half of `queue_max` was queued, and less than half is left, handlers of FERRY_KIND_DRAINED are called, from the
 * loop. They are also called when there is room again for a message that was refused with -ENOBUFS. So a program that sends much
 * sends until it gets -ENOBUFS, or until this number is over a limit of its own that is above half of `queue_max`, and goes on in
 * its handler. It needs no ferry_session_flush().
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @return a number of bytes, 0 or more; or a negative errno if they will never be sent: that with which the session or its output
 * has failed, see ferry_session_status(), or one of these
 * @retval -ENOTCONN    the session has ended in order
 * @retval -EPIPE       the peer reads no more
 * @retval -ENOMEM      the session is NULL
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int64_t ferry_session_queued(const ferry_session *session);

/**
 * Subscribes to the notifications of a service whose types match a pattern.
 *
 * A client that never subscribes gets all notifications that a service sends to its clients. After its first subscription it gets
 * only those that match one of its subscriptions, each once. What the service sends to this client alone always comes. Values that
 * the service has retained (ferry_service_retain()) come first. After a ferry_session_flush() the subscription is in effect.
 *
 * A pattern consists of 1 to 16 parts with dots between them, as does a type. The part `*` matches one part, whatever it is; `>`, as
 * the last part, matches one or more. So `price.*` matches `price.eur`, `price.>` also `price.eur.now`, and `>` everything. A client
 * may have 1,000 subscriptions with 65,536 bytes of patterns altogether.
 *
 * To subscribe again to the same pattern has no effect. A peer that is not a service answers with a FERRY_KIND_ERROR. A peer that
 * does not know subscriptions ignores them, and sends everything.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @param pattern  the pattern, UTF-8, 1 to 255 bytes; copied
 * @return 0, or a negative errno: that with which the session has failed, see ferry_session_status(), or one of these. If the
 * result is ignored, the next ferry_session_flush() returns the first error. ferry_session_error() has the sentence
 * @retval -EINVAL      the pattern is NULL or malformed
 * @retval -ENOSPC      the limit of subscriptions is reached
 * @retval -EOPNOTSUPP  the dialect has no subscriptions, or the stream of the session can only be read
 * @retval -ENOBUFS     the queue is full (`queue_max`); flush and try again
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EDEADLK     a stream of the program has called this while it was writing
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_subscribe(ferry_session *session, const char *pattern);

/**
 * Withdraws a subscription. A client without subscriptions that has had one gets no notifications for all clients.
 *
 * Notifications that the service has sent before it receives this still come.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @param pattern  the pattern, as it was given to ferry_session_subscribe()
 * @return 0, or a negative errno: that with which the session has failed, see ferry_session_status(), or one of these. If the
 * result is ignored, the next ferry_session_flush() returns the first error. ferry_session_error() has the sentence
 * @retval -ENOENT      there is no subscription to that pattern
 * @retval -EINVAL      the pattern is NULL or malformed
 * @retval -EOPNOTSUPP  the dialect has no subscriptions, or the stream of the session can only be read
 * @retval -ENOBUFS     the queue is full (`queue_max`); flush and try again
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the session is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EDEADLK     a stream of the program has called this while it was writing
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_unsubscribe(ferry_session *session, const char *pattern);

/**
 * Asks a service for what ferry_service_describe() has said of it. No handler of the service sees this.
 *
 * The body of the reply is a list of maps with the members `type`, `in`, `out` and `text`, which are strings, or null where nothing was
 * said. It is what the peer has sent: an untrusted peer may send any value.
 *
 * A call that cannot be sent has failed: ferry_call_status() returns its errno. Besides those of ferry_session_request() that is
 * -EOPNOTSUPP where the dialect has no descriptions, or the peer does not know the question because its version is older. A peer
 * that is not a service, or that has too much queued for this side, refuses (-EREMOTEIO), as does one whose description exceeds
 * `frame_max` of this side.
 *
 * @param session     the session; NULL is allowed, and the call has failed
 * @param timeout_ms  how long to wait for the answer, in ms; -1: forever; FERRY_TIMEOUT_DEFAULT: the session's
 *                    `request_timeout_ms`
 * @return the call, which the caller owns, as that of ferry_session_request(). NULL only if there is no memory
 */
ferry_call *ferry_session_describe(ferry_session *session, int timeout_ms);

/**
 * Runs the loop until the peer has received everything that was sent (stream-ipc: until the kernel has), or has closed in order.
 *
 * Its own failure comes first: the session has failed, or the time is over. Otherwise it returns the first error of a
 * notification that was refused since the last flush that has returned one. Then everything that was accepted has been received,
 * and -ENOBUFS says that there is room again.
 *
 * @param session     the session; NULL has failed with -ENOMEM
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return 0; or a negative errno: that with which the session has failed, see ferry_session_status(), the first error of
 * ferry_session_notify() that was not returned yet, or one of these. ferry_session_error() has the sentence
 * @retval -ETIMEDOUT   the peer has not received everything within the time
 * @retval -ENOBUFS     a notification was not accepted, since too much was queued; all others have been received
 * @retval -EMSGSIZE    a notification exceeded a limit of this side or of the peer
 * @retval -EINVAL      the timeout is below -1; or as for ferry_session_notify()
 * @retval -EILSEQ      the codec could not write a part of a notification
 * @retval -EDOM        the codec could not write a number of a notification
 * @retval -ENOTCONN    the session had ended in order before the call
 * @retval -ECANCELED   the session is closed or was freed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EOPNOTSUPP  the stream of the session can only be read
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_session_flush(ferry_session *session, int timeout_ms);

/**
 * Runs the loop until there is a message to fetch, and lends that message.
 *
 * Notifications without a handler can be fetched; at most 1,024 of them are queued, then the oldest is dropped and counted
 * (`dropped` in ferry_session_info()). All messages of the kinds whose handler is NULL can be fetched, too; none of them is
 * dropped, and the peer waits.
 *
 * @param session     the session; NULL is allowed
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return the message, borrowed until the next call for this session; NULL if there is none: errno is then ETIMEDOUT after the
 * time, ENOTCONN after the session has ended in order, or the errno with which the session has failed (ferry_session_status());
 * EINVAL for a timeout below -1, EDEADLK for waiting within waiting, 32 levels deep, EAGAIN if a callback has fetched the
 * message, ECANCELED if it has freed the session, and EPERM, ECHILD and ENOMEM as for ferry_session_flush().
 * ferry_session_error() has the sentence
 */
const ferry_message *ferry_session_next(ferry_session *session, int timeout_ms);

/**
 * Stops a session that listens from receiving what is sent to its subject, or lets it receive again.
 *
 * The subject's other listeners get the messages meanwhile; without any, their senders hear that no process listens. What the server
 * has sent already still comes; ferry_message_refuse() gives a request to another listener. The session goes on answering what
 * services are asked about themselves, so it is known to live.
 *
 * @param session       the session; NULL has failed with -ENOMEM
 * @param is_listening  whether to receive
 * @return 0, or a negative errno
 * @retval -EOPNOTSUPP  the session has no `is_listening`, or another address than nats:SUBJECT
 * @retval -EPIPE       the session has ended; ferry_session_error() says why
 * @retval -ENOMEM      the session is NULL, or there is no memory
 * @retval -EPERM       the session belongs to another thread
 */
int ferry_session_set_listening(ferry_session *session, bool is_listening);

/**
 * Adds a handler for messages, behind those that are there already.
 *
 * If there is no memory, the session fails with -ENOMEM.
 *
 * @param session   the session; NULL is allowed
 * @param kinds     a set of enum ferry_kind
 * @param fn        the handler; NULL queues these messages for ferry_session_next()
 * @param userdata  for the handler
 */
void ferry_session_on(ferry_session *session, unsigned kinds, ferry_message_fn *fn, void *userdata);

/**
 * Adds a handler for messages of one type.
 *
 * Handlers by type are called before those of ferry_session_on(), in the order in which they were added. They are found by the
 * type, however many there are. A request whose type has no handler, in a session that has handlers for requests of other types, is
 * answered with an error that lists those types (in up to 640 bytes), unless a handler of ferry_session_on() settles it.
 *
 * If there is no memory, the session fails with -ENOMEM; if the type is NULL, with -EINVAL.
 *
 * @param session   the session; NULL is allowed
 * @param kinds     a set of enum ferry_kind
 * @param type      the type, as ferry_message_type() returns it; copied
 * @param fn        the handler; NULL queues these messages for ferry_session_next()
 * @param userdata  for the handler
 */
void ferry_session_on_type(ferry_session *session, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata);

/**
 * Removes the handlers, of any type and by type, that were added with this function and this userdata.
 *
 * @param session   the session; NULL is allowed
 * @param fn        the handler
 * @param userdata  its userdata
 */
void ferry_session_off(ferry_session *session, ferry_message_fn *fn, void *userdata);

/**
 * Removes the handlers that were added for this type with this function and this userdata.
 *
 * @param session   the session; NULL is allowed
 * @param type      the type; NULL is allowed, and has no handlers
 * @param fn        the handler
 * @param userdata  its userdata
 */
void ferry_session_off_type(ferry_session *session, const char *type, ferry_message_fn *fn, void *userdata);

/**
 * Returns the state of a session.
 *
 * If the peer ends before it has taken all notifications and requests of this side, the session fails with -ECONNRESET, and the
 * sentence says how many bytes are lost: those that are still queued, and those that stand in a pipe which no process reads, such
 * as the stdin of a child that has exited. While a child is being closed, 0 is not final.
 *
 * @param session  the session; NULL has failed with -ENOMEM
 * @return 1 while the session is alive, 0 after it has ended in order, or the negative errno it has failed with: an errno of its
 * stream, or one of these
 * @retval -EINVAL        the address or an option is wrong
 * @retval -E2BIG         the options have a field that this version does not know
 * @retval -ENAMETOOLONG  the path is too long for a socket
 * @retval -ENOENT        the file, the socket or the command does not exist
 * @retval -ENOTDIR       a part of the path is not a directory
 * @retval -ECONNREFUSED  no process listens at the address
 * @retval -EACCES        the peer is another user and not allowed, or the file, the directory or the command must not be used
 * @retval -ENXIO         no process reads the FIFO
 * @retval -EBUSY         stdio: another session uses stdin and stdout
 * @retval -EBADF         a given descriptor is not open
 * @retval -ENOTSUP       the file at that path is of another kind
 * @retval -ETIMEDOUT     the peer did not connect, greet, read, answer a ping or close within its time
 * @retval -ECONNRESET    the peer has disconnected before the session had ended, or the child has failed
 * @retval -EBADMSG       the peer sent bytes that are not of its dialect
 * @retval -EMSGSIZE      the peer sent a message that exceeds a limit
 * @retval -EPROTO        a request has failed, and the dialect can report that only by closing; or the service does not speak the
 *                        dialect that was chosen
 * @retval -EPIPE         the peer reads no more, and not all was sent
 * @retval -ENOSPC        file: the disk is full
 * @retval -EIO           the stream has failed
 * @retval -ECANCELED     the loop is being freed
 * @retval -EMFILE        no descriptor is left
 * @retval -ENFILE        no descriptor is left in the whole system
 * @retval -EAGAIN        no process can be started
 * @retval -ENOMEM        the session is NULL, or there is no memory
 * @retval -EPERM         the session belongs to another thread
 * @retval -ECHILD        the session belongs to the parent of this process, or the child's exit status is unknown
 */
int ferry_session_status(const ferry_session *session);

/**
 * Returns a sentence about why a session has ended. While it lives, the sentence is about the last ferry_session_notify(),
 * ferry_session_flush(), ferry_session_next(), ferry_session_hold() or ferry_session_release(), if that call has failed.
 *
 * @param session  the session; NULL is allowed
 * @return the sentence, never NULL; valid until the next one
 */
const char *ferry_session_error(const ferry_session *session);

/**
 * Returns the address of a session. It may be called in any thread.
 *
 * @param session  the session; NULL is allowed
 * @return the address, valid as long as the session; "" if it has none
 */
const char *ferry_session_address(const ferry_session *session);

/**
 * Returns the credentials of the peer.
 *
 * @param session  the session; NULL is allowed
 * @return its process, user and group; pid -1 if nothing is known
 */
ferry_peer ferry_session_peer(const ferry_session *session);

/**
 * Returns everything that is known of a session.
 *
 * The map has the members address, dialect, codec (null unless the options name one), stream (the kind of the address; "shm" where
 * its bytes have moved to shared memory, "nats+tls" where TLS encrypts them), pid, uid and gid, and these counters: messages sent
 * and received (including the dialect's own, such as a hello), bytes queued, requests in_flight, messages dropped, bytes of junk.
 *
 * @param session  the session; NULL is allowed
 * @return a map, which the caller owns; NULL if there is no memory or no session
 */
ferry_value *ferry_session_info(const ferry_session *session);

/**
 * Returns the loop of a session. It may be called in any thread.
 *
 * @param session  the session; NULL is allowed
 * @return the loop; NULL for NULL
 */
ferry_loop *ferry_session_loop(const ferry_session *session);

/**
 * Stores a pointer of the program with a session: data about this one client.
 *
 * @param session   the session; NULL is allowed
 * @param userdata  the pointer; the session does not use or free it
 */
void ferry_session_set_userdata(ferry_session *session, void *userdata);

/**
 * Returns the pointer that ferry_session_set_userdata() has stored.
 *
 * @param session  the session; NULL is allowed
 * @return the pointer; NULL if there is none
 */
void *ferry_session_userdata(const ferry_session *session);

/** Whether the peer has executed a request. */
enum ferry_outcome {
        FERRY_OUTCOME_PENDING,          /**< the call is in flight */
        FERRY_OUTCOME_REPLIED,          /**< there is a reply, or an error reply */
        FERRY_OUTCOME_NOT_EXECUTED,     /**< the peer has not executed the request: it can safely be sent again */
        FERRY_OUTCOME_UNKNOWN,          /**< the peer may have executed the request */
};

/**
 * Called once for a call that has ended.
 *
 * @param call      the call; valid until the callback returns
 * @param reply     the reply; borrowed until the callback returns; NULL unless the call's status is 0
 * @param userdata  as given to ferry_call_then()
 */
typedef void ferry_call_fn(ferry_call *call, const ferry_message *reply, void *userdata);

/**
 * Runs the loop until a call has ended.
 *
 * A wait may happen within another wait. At 32 levels the call ends with -EDEADLK.
 *
 * @param call  the call; NULL is allowed
 * @return the reply, valid as long as the call; NULL if there is none: ferry_call_status() and ferry_call_error() say why
 */
const ferry_message *ferry_call_await(ferry_call *call);

/**
 * Called for a part of the reply to a call.
 *
 * @param call      the call, which is in flight, and may be freed
 * @param part      the part; its kind is FERRY_KIND_PROGRESS; borrowed until the callback returns
 * @param userdata  as given to ferry_call_on_progress()
 */
typedef void ferry_progress_fn(ferry_call *call, const ferry_message *part, void *userdata);

/**
 * Calls a function for each part of the reply to a call (ferry_message_progress()), in their order, before the call ends.
 *
 * When the function returns, the part is taken, and the peer may send more. Parts that have come before this call, and were kept,
 * are handed to the function at once. It makes no difference whether this or ferry_call_then() is called first, as long as the
 * loop has not run.
 *
 * @param call      the call; NULL has failed with -ENOMEM
 * @param fn        the function; NULL: parts are kept for ferry_call_next() from now on
 * @param userdata  for the function
 * @return 0, or a negative errno
 * @retval -EOPNOTSUPP  the dialect has no parts of replies; ferry_session_error() has the sentence
 * @retval -ENOMEM      the call is NULL, or there is no memory
 * @retval -EPERM       the call belongs to another thread
 */
int ferry_call_on_progress(ferry_call *call, ferry_progress_fn *fn, void *userdata);

/**
 * Runs the loop until there is a part of the reply to a call (ferry_message_progress()), and lends that part.
 *
 * Parts are kept for this, and the peer stops sending parts of this call at 262,144 bytes that were not fetched. Parts that wait
 * when the call is awaited (ferry_call_await()) or handed over (ferry_call_then()), and those that come later, are dropped and counted
 * (`dropped` in ferry_session_info()) unless there is a function for them.
 *
 * @param call        the call; NULL is allowed
 * @param timeout_ms  how long to wait, in ms; -1: forever, which the deadline of the call limits; 0: do not wait
 * @return the part, borrowed until the next call for this call, and as long as the call; NULL if there is none: errno is then ENODATA
 * if the reply has come (ferry_call_reply()), or the errno with which the call has failed (ferry_call_status()); ETIMEDOUT after the
 * time; EINVAL for a timeout below -1; EBUSY if parts go to a function, or the call was handed over; EDEADLK for waiting within
 * waiting, 32 levels deep; ECANCELED if a callback has freed the call; EPERM, ECHILD and ENOMEM as for ferry_session_flush()
 */
const ferry_message *ferry_call_next(ferry_call *call, int timeout_ms);

/**
 * Hands a call over to the loop, which calls a function at the end of the call and then frees the call.
 *
 * Until then the call may be freed, which cancels it; the function is not called in that case. Neither is it called for requests
 * that are made while the loop is being freed: a callback that retries on every failure would keep the loop alive forever.
 *
 * @param call      the call; NULL is allowed, and has failed: the function is called at once
 * @param fn        the callback; NULL: the call is only freed at its end
 * @param userdata  for the callback
 */
void ferry_call_then(ferry_call *call, ferry_call_fn *fn, void *userdata);

/**
 * Returns the state of a call.
 *
 * @param call  the call; NULL has failed with -ENOMEM
 * @return 1 while the call is in flight, 0 if there is a reply; or a negative errno: that with which the session has failed, see
 * ferry_session_status(), or one of these
 * @retval -EREMOTEIO   the peer replied with an error, whose text is the sentence of ferry_call_error()
 * @retval -ETIMEDOUT   there was no answer within the time, or no worker was free
 * @retval -ENOBUFS     too much is queued (`queue_max`, `bytes_max`)
 * @retval -EMSGSIZE    the message exceeds a limit of this side (`frame_max`) or of the peer
 * @retval -EINVAL      the template is malformed, the type or body is not valid in this dialect, or the timeout is below -1
 * @retval -EILSEQ      the codec cannot write a part of the body
 * @retval -EDOM        the codec cannot write a number of the body
 * @retval -ENOTCONN    the session has ended in order
 * @retval -ECANCELED   the call was freed, or the session or manager is closed here
 * @retval -ECONNRESET  the peer has disconnected
 * @retval -EPIPE       the peer reads no more
 * @retval -EOPNOTSUPP  the stream of the session can only be read; or ferry_session_describe(): the dialect or the peer has no
 *                      descriptions
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 * @retval -ENOMEM      the call or the session is NULL, or there is no memory
 * @retval -EPERM       the call or its session belongs to another thread
 * @retval -ECHILD      the session belongs to the parent of this process
 */
int ferry_call_status(const ferry_call *call);

/**
 * Returns a sentence about why a call has failed.
 *
 * @param call  the call; NULL is allowed
 * @return the sentence, never NULL; valid as long as the call
 */
const char *ferry_call_error(const ferry_call *call);

/**
 * Returns the exit status of the child of a manager whose end has ended a call.
 *
 * @param call  the call; NULL has failed with -ENOMEM
 * @return the exit status, 0 to 255; FERRY_PROCESS_KILLED plus the signal that has killed the child; or a negative errno
 * @retval -EINPROGRESS  the call is in flight
 * @retval -ECHILD       there is none: the call has not ended by the end of a child, or the exit status of the child is unknown
 * @retval -EPERM        the call belongs to another thread
 * @retval -ENOMEM       the call is NULL
 */
int ferry_call_exit_status(const ferry_call *call);

/**
 * Returns what a child did that has ended a call, as a phrase without a subject, for a sentence of the program.
 *
 * Such as "exited with status 3", "was killed by SIGKILL" or "has closed the connection". It is the part of ferry_call_error()
 * behind "the child".
 *
 * @param call  the call; NULL is allowed
 * @return the phrase, valid as long as the call; "" if no child has ended the call, and for NULL
 */
const char *ferry_call_ending(const ferry_call *call);

/**
 * Returns whether the peer has executed a request, as far as that can be known.
 *
 * @param call  the call; NULL is allowed
 * @return the outcome; FERRY_OUTCOME_NOT_EXECUTED for NULL, FERRY_OUTCOME_UNKNOWN in another thread
 */
enum ferry_outcome ferry_call_outcome(const ferry_call *call);

/**
 * Returns the reply to a call, also if it is an error reply.
 *
 * @param call  the call; NULL is allowed
 * @return the reply, valid as long as the call; NULL if there is none
 */
const ferry_message *ferry_call_reply(const ferry_call *call);

/**
 * Frees a call. A call in flight is cancelled, and the peer is notified if the dialect can do that.
 *
 * In a dialect without ids the session ends then, since a late answer could not be distinguished from the next one.
 *
 * @param call  the call; NULL is allowed
 * @return NULL
 */
ferry_call *ferry_call_free(ferry_call *call);

FERRY_DEFINE_AUTO(ferry_call, ferry_call_free)

FERRY_END

#endif
