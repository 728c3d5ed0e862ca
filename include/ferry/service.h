/* Services: what listens, under a name or elsewhere. A service makes a session of each client, and gives
 * the messages of all of them to its handlers. A server that folds a carried value over its messages is
 * one handler, whose userdata points to that value: when the service has stopped, there it is. */
#ifndef FERRY_SERVICE_H
#define FERRY_SERVICE_H

#include <ferry/session.h>

FERRY_BEGIN

/* What is zero is as it stands in parentheses. -1 ms is for ever. */
typedef struct ferry_service_options {
        size_t size;
        unsigned dialects;              /* a set (ferry and stream-ipc) */
        const char *name_directory;     /* of the socket of a NAME (as ferry_address_resolve() tells) */
        unsigned mode;                  /* of the socket file, up to 0777 (0600). A mode that lets other users connect does
                                         * not let them talk: session->allow decides that. tcp: -EINVAL */
        const char *group;              /* of the socket file, a name or a number (the process's). tcp: -EINVAL */
        unsigned clients_max;           /* of each user (4,096). One that has never sent anything makes room,
                                         * else the next one is refused. The user with most clients cannot take the last
                                         * eighth of the descriptors that the process may have */
        int idle_timeout_ms;            /* close after so long without a message (never) */
        int close_timeout_ms;           /* for what closing takes (5,000) */
        const ferry_session_options *session; /* of clients; allow says who may be one (the loop's). What they
                                         * point to must live as long as the service */
        bool is_public;                 /* tcp: at an address that other machines can reach (no) */
        size_t bytes_max;               /* held for all clients together (256 MiB): what is queued for them, their requests that
                                         * are not answered, what waits for ferry_session_next(), and what was read
                                         * of messages that are not complete. Half of it is for all. Beyond that, users (and clients of a user) that
                                         * hold more than an equal share of that half are not read until they hold less, and
                                         * notifications and requests to them are refused (-ENOBUFS). Beyond the whole all are
                                         * refused, and only clients that hold nothing are read. One client at a time may
                                         * complete its message all the same; a client that does not go on with it within the
                                         * session's close_timeout_ms while others wait is closed (-ETIMEDOUT). Replies are always taken */
} ferry_service_options;

/* Listen at a NAME, unix:PATH or tcp:HOST:PORT. The service belongs to the loop. If it cannot listen, status and
 * error say so at once: who has that name, which directory is not safe, what path is too long. If the socket file is removed
 * later, the service binds the path again, and its clients notice nothing; if it cannot, it fails with a sentence, and closes. Any process that
 * can reach a tcp port may connect, also one of another user; allow is not called for it. */
ferry_service *ferry_service_open(ferry_loop *loop, const char *address,
                                  const ferry_service_options *options);

/* Stop in order, in the background: nobody new may come, requests in hand are finished, clients are told.
 * 0, or why it has failed before. */
int ferry_service_close(ferry_service *service);

/* Close a service and forget it before the loop does. Takes NULL and returns it. */
ferry_service *ferry_service_free(ferry_service *service);

/* Call @fn for messages of these kinds from any client, after the handlers of its session; call it no
 * longer. The session it is given lives until the handlers for FERRY_KIND_CLOSED have returned. */
void ferry_service_on(ferry_service *service, unsigned kinds, ferry_message_fn *fn, void *userdata);
void ferry_service_off(ferry_service *service, ferry_message_fn *fn, void *userdata);

/* Notify all clients whose dialect is known. Returns how many of them it was queued for, or a negative errno:
 * -ENOBUFS if it was queued for none, as each has too much queued (queue_max, bytes_max). A service of one
 * dialect knows it. Where it takes several, a client shows its own with what it sends first; and a client of this library that
 * only listens shows it when it has connected, from the first round of its loop on, if its options say
 * FERRY_DIALECT_FERRY, or the service's lock file says that ferry is spoken (NAME and unix:). A client of stream-ipc, or one of
 * tcp without a dialect in its options, is not reached before it has sent something. */
int ferry_service_notify(ferry_service *service, const char *type, const char *format, ...)
        FERRY_PRINTF(3, 4);

/**
 * Notifies all clients, as ferry_service_notify(), with a body that is a value.
 *
 * @param service  the service; NULL has failed with -ENOMEM
 * @param type     the message type
 * @param body     borrowed until the call returns
 * @return for how many clients it was queued, or a negative errno as of ferry_service_notify()
 * @retval -EINVAL  the type or the body is NULL
 */
int ferry_service_notify_value(ferry_service *service, const char *type, const ferry_value *body);

/* The client that came after @previous; NULL gives the first, and is given after the last. */
ferry_session *ferry_service_client(const ferry_service *service, const ferry_session *previous);

/* 1 while it listens, 0 once it has stopped in order, a negative errno if it failed; a sentence on that. */
int ferry_service_status(const ferry_service *service);
const char *ferry_service_error(const ferry_service *service);

/* Where it listens, in full, with the port that it got. */
const char *ferry_service_address(const ferry_service *service);

/* The service of which this session is a client, or NULL. */
ferry_service *ferry_session_service(const ferry_session *session);

/* Run the loop until somebody listens at @address, a NAME or unix:PATH, in @dialect (which decides where a name is looked
 * for), without connecting, so nobody is disturbed: 1; 0 if it takes longer than @timeout_ms; a negative errno:
 * -EINVAL for what is neither, and for a timeout below -1, -EACCES if the directory is not safe, -ENAMETOOLONG, and if one
 * cannot look there. */
int ferry_service_wait(ferry_loop *loop, const char *address, unsigned dialect, int timeout_ms);

/* The services that live, as a list of maps that the caller owns, sorted by name; NULL if there is no memory or no
 * descriptor left, or the loop was freed meanwhile. They are looked for where named services have their sockets.
 *      name, address   the address in full
 *      pid             of its process; null if that does not say so: it is not ferry, or another user's
 *      uid             whose its socket is
 *      dialects        a list of names; empty if it does not say so
 *      since           when it began to listen, in seconds since 1970, or null
 *      busy            true if it did not answer at once. Only services that say that they speak ferry are asked, in at
 *                      most 0.2 s for all, in which the loop runs; their handlers are not told */
ferry_value *ferry_service_list(ferry_loop *loop);

FERRY_END

#endif
