/**
 * @file
 * Services: listen under a name or at another address.
 *
 * A service makes a session for each client, and gives the messages of all clients to its handlers. A server that carries a value
 * from message to message has one handler whose userdata points to that value.
 */
#ifndef FERRY_SERVICE_H
#define FERRY_SERVICE_H

#include <ferry/session.h>

FERRY_BEGIN

/**
 * How a service is opened.
 *
 * Zero selects the default in parentheses. In a time, -1 means forever. Pointers must stay valid until the function returns, see
 * ferry.h.
 */
typedef struct ferry_service_options {
        size_t size;                    /**< sizeof(ferry_service_options); 0 means this version's */
        unsigned dialects;              /**< a set of enum ferry_dialect (ferry and stream-ipc) */
        const char *name_directory;     /**< NAME: the directory of its socket (see ferry_address_resolve()) */
        unsigned mode;                  /**< permission bits of the socket file, up to 0777 (0600). A mode that lets other users
                                         * connect does not let them send: `session->allow` decides that. tcp: -EINVAL */
        const char *group;              /**< the group of the socket file, a name or a number (the process's). tcp: -EINVAL */
        unsigned clients_max;           /**< clients of each user (4,096). At the limit, a client that has never sent anything is
                                         * disconnected; if there is none, the new client is refused. The user with most clients
                                         * cannot take the last eighth of the descriptors that the process may have, and
                                         * descriptors that clients pass cannot take its last quarter */
        int idle_timeout_ms;            /**< close the service after this time without a message, in ms (never) */
        int close_timeout_ms;           /**< how long closing may take, in ms (5,000) */
        const ferry_session_options *session; /**< the options of client sessions; `allow` decides which users may be clients (the
                                         * loop's) */
        bool is_public;                 /**< tcp: listen at an address that other machines can reach (refuse) */
        size_t bytes_max;               /**< bytes held for all clients together (256 MiB): queued messages, requests that are not
                                         * answered, messages that wait for ferry_session_next(), and the received parts of
                                         * messages that are not complete.
                                         *
                                         * The first half is free for all clients. Beyond it, users (and clients of a user) that
                                         * hold more than an equal share of that half are not read until they hold less, and
                                         * notifications and requests to them are refused (-ENOBUFS). Beyond the whole, all
                                         * clients are refused, and only clients that hold nothing are read. One client at a time
                                         * may still complete its message; a client that does not go on with it within the
                                         * session's `close_timeout_ms` while others wait is closed (-ETIMEDOUT). Replies are
                                         * always accepted.
                                         *
                                         * The subscriptions of the clients of one user may take an eighth of it */
        size_t retained_max;            /**< bytes of memory of the values that ferry_service_retain() keeps (1 MiB) */
        const int *fds;                 /**< for an address of NULL: up to 4 sockets that listen, up to -1, such as those of socket
                                         * activation. The service takes them over, unless it cannot be opened. Nothing is locked,
                                         * no mode is set, and no file is removed: these belong to the maker of the sockets, so
                                         * `mode`, `group`, `name_directory` and `is_public` are -EINVAL */
        bool is_taking_over;            /**< NAME, unix: if a service of the same user listens there, in ferry's dialect, ask it to hand
                                         * over its sockets (ferry_service_hand_over()), and listen at these. ferry_service_open()
                                         * then runs the loop until that is done, for up to `close_timeout_ms` (if that is -1: 5,000) */
} ferry_service_options;

/**
 * Listens at an address. The service belongs to the loop.
 *
 * A service that cannot listen has failed: ferry_service_status() returns the errno at once, and ferry_service_error() says which
 * process has that name, which directory is not safe, or which path is too long.
 *
 * If the socket file is removed later, the service binds the path again, and clients do not notice it. If it cannot, it fails
 * with a sentence, and closes.
 *
 * Any process that can reach a tcp port may connect, also of another user: `allow` is not called for it.
 *
 * At `nats:SUBJECT` the service has one session, with a NATS server (`is_listening`), which connects again unless `reconnect_ms` says
 * how long. Its clients are not known, so it cannot notify them. When that session ends, the service fails.
 *
 * @param loop     the loop
 * @param address  NAME, unix:PATH, tcp:HOST:PORT or nats:SUBJECT, see address.h; copied; NULL uses `fds` of the options
 * @param options  NULL selects all defaults
 * @return the service; NULL if the loop is NULL or belongs to another thread, or there is no memory
 */
ferry_service *ferry_service_open(ferry_loop *loop, const char *address,
                                  const ferry_service_options *options);

/**
 * Stops a service in order, in the background.
 *
 * No further client is accepted, requests that were read are answered, and the clients are notified.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @return 0; or the negative errno with which the service has failed, see ferry_service_status(), or one of these
 * @retval -ENOMEM  the service is NULL
 * @retval -EPERM   the service belongs to another thread
 * @retval -ECHILD  the service belongs to the parent of this process
 */
int ferry_service_close(ferry_service *service);

/**
 * Closes a service and forgets it: the program must no longer use it, and its handlers are no longer called.
 *
 * Without this call the service is freed with its loop.
 *
 * @param service  the service; NULL is allowed
 * @return NULL
 */
ferry_service *ferry_service_free(ferry_service *service);

/**
 * Hands a service over to the process that wants to take its place, without losing a request.
 *
 * To be called in a handler for FERRY_KIND_SUCCESSOR, which comes when another process of the same user opens a service with
 * `is_taking_over`. The successor gets the sockets that this service listens at, with their locks. When it serves, this service leaves:
 * it accepts no more clients, and removes no files. Clients that connect again (`reconnect_ms`) are asked to connect to the
 * successor, and end here when their requests are answered; so do the others, which lose what they send then, as not executed. Both
 * have `close_timeout_ms`. Then the service has ended in order, as after ferry_service_close().
 *
 * A successor that ends before it serves changes nothing; a FERRY_KIND_ERROR reports that. A process of another user is refused
 * without a FERRY_KIND_SUCCESSOR, with its reason at both sides. Without this call in such a handler the successor is refused.
 *
 * @param service    the service; NULL has failed with -ENOMEM
 * @param successor  the session that the handler was called with; NULL has failed with -ENOMEM
 * @return 0; or a negative errno: that with which the service has failed, or one of these
 * @retval -EINVAL      this session has not asked to take over, or the service was handed over already
 * @retval -EOPNOTSUPP  the service listens at a tcp port
 * @retval -EAGAIN      the file of a socket was removed, and clients that had connected before are still being accepted
 * @retval -ENOBUFS     the successor does not read
 * @retval -ENOMEM      the service or the session is NULL, or there is no memory
 * @retval -EPERM       the service belongs to another thread
 * @retval -ECONNRESET  the successor has gone
 * @retval -ETOOMANYREFS  too many descriptors of this user wait in sockets: try again
 * @retval -ECHILD      the service belongs to the parent of this process
 */
int ferry_service_hand_over(ferry_service *service, ferry_session *successor);

/**
 * Adds a handler for messages from any client, behind the handlers of the client's session.
 *
 * The session that the handler receives is valid until the handlers for FERRY_KIND_CLOSED have returned. If there is no memory,
 * the service fails with -ENOMEM.
 *
 * @param service   the service; NULL is allowed
 * @param kinds     a set of enum ferry_kind
 * @param fn        the handler; NULL queues these messages for ferry_session_next()
 * @param userdata  for the handler
 */
void ferry_service_on(ferry_service *service, unsigned kinds, ferry_message_fn *fn, void *userdata);

/**
 * Adds a handler for messages of one type from any client, behind the handlers of the client's session.
 *
 * As ferry_session_on_type(): it is called before the handlers of ferry_service_on(), and requests whose type has no handler are
 * answered with an error that lists the types that have one.
 *
 * If there is no memory, the service fails with -ENOMEM; if the type is NULL, with -EINVAL.
 *
 * @param service   the service; NULL is allowed
 * @param kinds     a set of enum ferry_kind
 * @param type      the type, as ferry_message_type() returns it; copied
 * @param fn        the handler; NULL queues these messages for ferry_session_next()
 * @param userdata  for the handler
 */
void ferry_service_on_type(ferry_service *service, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata);

/**
 * Removes the handlers, of any type and by type, that were added with this function and this userdata.
 *
 * @param service   the service; NULL is allowed
 * @param fn        the handler
 * @param userdata  its userdata
 */
void ferry_service_off(ferry_service *service, ferry_message_fn *fn, void *userdata);

/**
 * Removes the handlers that were added for this type with this function and this userdata.
 *
 * @param service   the service; NULL is allowed
 * @param type      the type; NULL is allowed, and has no handlers
 * @param fn        the handler
 * @param userdata  its userdata
 */
void ferry_service_off_type(ferry_service *service, const char *type, ferry_message_fn *fn, void *userdata);

/**
 * Notifies all clients that have not subscribed to anything, and those with a subscription that matches the type.
 *
 * See ferry_session_subscribe(). Finding the subscribers takes no walk over the clients. A client is notified once, however many
 * of its subscriptions match, and only if its dialect is known.
 *
 * A service of one dialect knows the dialect of its clients. In a service of several dialects, a client shows its dialect with
 * its first message. A client of this library that only listens shows it after it has connected, in the first round of its loop,
 * if its options say FERRY_DIALECT_FERRY, or if the lock file of the service says that it speaks ferry (NAME and unix:). A client
 * of stream-ipc, or a tcp client without a dialect in its options, is not reached before it has sent a message.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the message type, as for ferry_session_notify(); copied
 * @param format   a template for the body, see value.h; NULL is null; arguments are borrowed until the call returns
 * @return the number of clients for which the message was queued; or a negative errno: that with which the service has failed,
 * see ferry_service_status(), or one of these
 * @retval -ENOBUFS   it was queued for no client, as all of them have too much queued (`queue_max`, `bytes_max`)
 * @retval -EINVAL    the type is NULL, or the template is malformed
 * @retval -EMSGSIZE  the body is nested more than 512 levels deep, or a string in it is longer than 4 GiB
 * @retval -ENOMEM    the service is NULL, or there is no memory
 * @retval -EOPNOTSUPP  the service is at `nats:`
 * @retval -EPERM     the service belongs to another thread
 * @retval -ECHILD    the service belongs to the parent of this process
 */
int ferry_service_notify(ferry_service *service, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);

/**
 * Notifies all clients, as ferry_service_notify(), with a body that is a value.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the message type, as for ferry_session_notify(); copied
 * @param body     the body; borrowed until the call returns
 * @return the number of clients for which the message was queued; or a negative errno: that with which the service has failed,
 * see ferry_service_status(), or one of these
 * @retval -ENOBUFS   it was queued for no client, as all of them have too much queued (`queue_max`, `bytes_max`)
 * @retval -EINVAL    the type or the body is NULL
 * @retval -EMSGSIZE  the body is nested more than 512 levels deep
 * @retval -ENOMEM    the service is NULL, or there is no memory
 * @retval -EOPNOTSUPP  the service is at `nats:`
 * @retval -EPERM     the service belongs to another thread
 * @retval -ECHILD    the service belongs to the parent of this process
 */
int ferry_service_notify_value(ferry_service *service, const char *type, const ferry_value *body);

/**
 * Notifies clients as ferry_service_notify(), and keeps the value for clients that subscribe later.
 *
 * The last value of each type is kept. A client that subscribes to a pattern gets the values whose types match it before anything
 * else of that subscription, in the order in which they were set. Values that do not fit into the queue of such a client, or exceed
 * its `frame_max`, are left out, and it gets a FERRY_KIND_ERROR that says how many.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the message type, UTF-8, up to 65,535 bytes; copied
 * @param format   a template for the body, see value.h; NULL is null; arguments are borrowed until the call returns
 * @return the number of clients for which the message was queued; or a negative errno: that with which the service has failed,
 * see ferry_service_status(), or one of these
 * @retval -ENOBUFS   the value is kept, and was queued for no client, as all of them have too much queued
 * @retval -ENOSPC    all values together would exceed `retained_max`; nothing was kept or sent
 * @retval -EINVAL    the type is NULL, too long or not UTF-8, or the template is malformed
 * @retval -EMSGSIZE  the body is nested more than 512 levels deep, or a string in it is longer than 4 GiB
 * @retval -ENOMEM    the service is NULL, or there is no memory
 * @retval -EOPNOTSUPP  the service is at `nats:`
 * @retval -EPERM     the service belongs to another thread
 * @retval -ECHILD    the service belongs to the parent of this process
 */
int ferry_service_retain(ferry_service *service, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);

/**
 * Notifies clients and keeps the value, as ferry_service_retain(), with a body that is a value.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the message type, UTF-8, up to 65,535 bytes; copied
 * @param body     the body; referenced
 * @return the number of clients for which the message was queued; or a negative errno: that with which the service has failed,
 * see ferry_service_status(), or one of these
 * @retval -ENOBUFS   the value is kept, and was queued for no client, as all of them have too much queued
 * @retval -ENOSPC    all values together would exceed `retained_max`; nothing was kept or sent
 * @retval -EINVAL    the type is NULL, too long or not UTF-8, or the body is NULL
 * @retval -EMSGSIZE  the body is nested more than 512 levels deep
 * @retval -ENOMEM    the service is NULL, or there is no memory
 * @retval -EOPNOTSUPP  the service is at `nats:`
 * @retval -EPERM     the service belongs to another thread
 * @retval -ECHILD    the service belongs to the parent of this process
 */
int ferry_service_retain_value(ferry_service *service, const char *type, const ferry_value *body);

/**
 * Drops the value that ferry_service_retain() has kept for a type. Clients are not notified.
 *
 * @param service  the service; NULL is allowed
 * @param type     the type
 * @return 0, or a negative errno
 * @retval -ENOENT  no value of that type is kept
 * @retval -EINVAL  the type is NULL
 * @retval -ENOMEM  the service is NULL
 * @retval -EPERM   the service belongs to another thread
 * @retval -ECHILD  the service belongs to the parent of this process
 */
int ferry_service_unretain(ferry_service *service, const char *type);

/**
 * Says what a service expects of messages of a type, for clients that ask: ferry_session_describe(), `ferry describe`.
 *
 * The texts are for people, in any notation, such as "{key: string, value: any}". A second description of a type replaces the first
 * one, in its place. Types without a handler may be described, and types with one need not be.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the message type, UTF-8, up to 65,535 bytes; copied
 * @param in       the body of such messages, UTF-8; copied; NULL says nothing
 * @param out      the body of the reply, UTF-8; copied; NULL says nothing
 * @param text     what such a message does, UTF-8; copied; NULL says nothing
 * @return 0; or a negative errno: that with which the service has failed, see ferry_service_status(), or one of these
 * @retval -ENOSPC  all descriptions together would take more than 1 MiB of memory; nothing has changed
 * @retval -EINVAL  the type is NULL or too long, or a text is not UTF-8
 * @retval -ENOMEM  the service is NULL, or there is no memory
 * @retval -EPERM   the service belongs to another thread
 * @retval -ECHILD  the service belongs to the parent of this process
 */
int ferry_service_describe(ferry_service *service, const char *type, const char *in, const char *out, const char *text);

/**
 * Removes the description of a type.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the type
 * @return 0; or a negative errno: that with which the service has failed, see ferry_service_status(), or one of these
 * @retval -ENOENT  the type has no description
 * @retval -EINVAL  the type is NULL
 * @retval -ENOMEM  the service is NULL
 * @retval -EPERM   the service belongs to another thread
 * @retval -ECHILD  the service belongs to the parent of this process
 */
int ferry_service_undescribe(ferry_service *service, const char *type);

/**
 * Returns the clients of a service, one after the other.
 *
 * @param service   the service; NULL is allowed
 * @param previous  the client before; NULL selects the first one
 * @return the client that connected after @p previous; NULL after the last one
 */
ferry_session *ferry_service_client(const ferry_service *service, const ferry_session *previous);

/**
 * Returns the state of a service.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @return 1 while it listens, 0 after it was stopped in order, or the negative errno it has failed with
 * @retval -EINVAL         the address or an option is wrong, or the group is not known
 * @retval -E2BIG          the options have a field that this version does not know
 * @retval -ENAMETOOLONG   the path is too long for a socket
 * @retval -EADDRINUSE     another process listens there; the sentence names it
 * @retval -EADDRNOTAVAIL  the host is another machine
 * @retval -EACCES         the directory is not safe, the address is public, or the user may not bind there
 * @retval -EPERM          the service belongs to another thread, or the user may not set that group
 * @retval -ENOENT         the directory does not exist
 * @retval -ENOTDIR        a part of the path is not a directory
 * @retval -EEXIST         a file that is not a socket is in the way
 * @retval -ENOTSUP        the file in the way is not a socket of this kind, or the file system has no sockets
 * @retval -EAFNOSUPPORT   the system has no IPv6
 * @retval -ENOLCK         the lock file cannot be locked
 * @retval -EROFS          the file system is read-only
 * @retval -ENOSPC         the disk is full
 * @retval -ECANCELED      the loop is being freed
 * @retval -EMFILE         no descriptor is left
 * @retval -ENFILE         no descriptor is left in the whole system
 * @retval -ENOMEM         the service is NULL, or there is no memory
 * @retval -ECONNREFUSED   taking over: the service refuses, or no service is there any more
 * @retval -ECONNRESET     taking over: the service has ended before it had handed over
 * @retval -EBADMSG        taking over: the service has sent what is no frame of the dialect ferry, or too much
 * @retval -ETIMEDOUT      taking over: the service has not handed over within its time
 * @retval -ECHILD         the loop belongs to the parent of this process
 */
int ferry_service_status(const ferry_service *service);

/**
 * Returns a sentence about why a service has ended.
 *
 * @param service  the service; NULL is allowed
 * @return the sentence, never NULL; valid until the next one
 */
const char *ferry_service_error(const ferry_service *service);

/**
 * Returns the address of a service in full, with the port that was selected.
 *
 * @param service  the service; NULL is allowed
 * @return the address, valid as long as the service; "" for NULL
 */
const char *ferry_service_address(const ferry_service *service);

/**
 * Returns the service of a client's session.
 *
 * @param session  the session; NULL is allowed
 * @return the service; NULL if the session is not a client of a service
 */
ferry_service *ferry_session_service(const ferry_session *session);

/**
 * Runs the loop until a service listens at an address.
 *
 * Does not connect, so the service is not disturbed.
 *
 * @param loop        the loop; NULL has failed with -ENOMEM
 * @param address     NAME or unix:PATH
 * @param dialect     an enum ferry_dialect, which determines where a name is looked for
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return 0, or a negative errno; ferry_loop_error() has the sentence
 * @retval -ETIMEDOUT     no service listens after the time
 * @retval -EINVAL        the address is neither a NAME nor unix:PATH, there is no such dialect, or the timeout is below -1
 * @retval -EACCES        the directory is not safe, or cannot be looked into
 * @retval -ENAMETOOLONG  the path is too long for a socket
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -ECANCELED     a callback has freed the loop
 * @retval -EMFILE        no descriptor is left
 * @retval -ENFILE        no descriptor is left in the whole system
 * @retval -ENOMEM        the loop is NULL, or there is no memory
 * @retval -EPERM         the loop belongs to another thread
 * @retval -ECHILD        the loop belongs to the parent of this process
 */
int ferry_service_wait(ferry_loop *loop, const char *address, unsigned dialect, int timeout_ms);

/**
 * Reports the state of this process to the supervisor that has started it, such as systemd (sd_notify(3)).
 *
 * The library reads no environment, so the program passes on what it finds in NOTIFY_SOCKET. The call does not block.
 *
 * @param socket  the value of NOTIFY_SOCKET: a path, or an abstract name that begins with `@`; NULL and "": no supervisor waits
 * @param state   lines of NAME=VALUE, such as "READY=1", "STOPPING=1", "STATUS=text", "WATCHDOG=1", "MAINPID=number"
 * @return 1 if the state was sent, 0 if no supervisor waits, or a negative errno
 * @retval -EINVAL        the state is NULL, or the socket is neither a path nor an abstract name
 * @retval -ENAMETOOLONG  the path is too long for a socket
 * @retval -ENOENT        there is no such socket
 * @retval -ECONNREFUSED  no process reads that socket
 * @retval -EACCES        the user may not write to that socket
 * @retval -EAGAIN        the supervisor has not read what it was sent before
 * @retval -EMSGSIZE      the state is too long for a datagram
 * @retval -EMFILE        no descriptor is left
 * @retval -ENFILE        no descriptor is left in the whole system
 * @retval -ENOMEM        there is no memory
 */
int ferry_supervisor_notify(const char *socket, const char *state);

/**
 * Lists the services that are alive, sorted by name.
 *
 * Looks into the directories where named services have their sockets. Services that report that they speak ferry are asked
 * whether they answer, for at most 0.2 s altogether, in which the loop runs; their handlers do not notice it. Each service is a
 * map:
 *
 * member     | content
 * ---------- | -------
 * `name`     | the name
 * `address`  | the address in full
 * `pid`      | of its process; null if that is not reported: it is not a service of ferry, or belongs to another user
 * `uid`      | the owner of its socket
 * `dialects` | a list of names; empty if they are not reported
 * `since`    | when it began to listen, in seconds since 1970; null if that is not reported
 * `busy`     | true if it did not answer at once
 *
 * @param loop  the loop
 * @return the list, which the caller owns; NULL if the loop is NULL, belongs to another thread or was freed meanwhile, or if
 * there is no memory or no descriptor left
 */
ferry_value *ferry_service_list(ferry_loop *loop);

FERRY_END

#endif
