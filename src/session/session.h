/* What other folders may do with sessions and calls. What only the files of this folder see stands in private.h. */
#pragma once

#include <ferry/process.h>
#include <ferry/session.h>

#include "loop/loop.h"
#include "session/outbox.h"
#include "stream/stream.h"
#include "util/map.h"
#include "wire/dialect.h"

struct typed_handlers;

struct handlers {
        struct list any;                /* those for any type */
        struct typed_handlers *typed;   /* those of a type; NULL until there has been one */
};

/* What a session reports to the object that has it (a service, a process), and asks it. Each member may be NULL; it gets the
 * object of session_set_owner(). */
struct session_owner {
        void (*connected)(void *object);                /* it takes requests from now on, for the first time or again */
        void (*ending)(void *object);                   /* FERRY_KIND_CLOSED is reported next … */
        void (*ended)(void *object);                    /* … and was reported */
        void (*answered)(void *object);                 /* an answer that no call waits for, or to a ping, has come */
        bool (*spoke)(void *object);                    /* a message has come: whether it is handled; asked for each */
        void (*settled)(void *object);                  /* a request was answered, or need no longer be */
        void (*freed)(void *object);                    /* it goes, and calls its owner no more */
        /* The peer subscribes to a pattern, which is well-formed, or withdraws that: 1; 0 if it has, or has not, subscribed to it
         * already; or a negative errno with a sentence, with which the session ends. */
        int (*subscribed)(void *object, const char *pattern, size_t size, struct error *error);
        int (*unsubscribed)(void *object, const char *pattern, size_t size);
        /* The peer asks what may be sent: a list of descriptions, which stays the owner's; or NULL with a sentence. */
        const ferry_value *(*described)(void *object, struct error *error);
        /* The peer wants to take the place of the service; and has done so. */
        void (*asked)(void *object);
        void (*taken)(void *object);
        /* It holds so much now, and so much of what is not complete: count that, and say whether it may be read. */
        bool (*counts)(void *object, size_t held, size_t unfinished);
        /* Whether so much more may be queued for it. */
        bool (*takes)(void *object, size_t size);
        bool expects_failures;          /* the loop need not report that a session has failed */
};

/* Opening ---------------------------------------------------------------------------------------------- */

/* Whether a session can have these options: 0, or a negative errno with a sentence. */
int session_check_options(const ferry_loop *loop, const ferry_session_options *options, struct error *error);
/* What sessions of the loop inherit; never NULL. */
const ferry_session_options *session_defaults(const ferry_loop *loop);
int session_default_timeout(const ferry_loop *loop);
size_t session_default_queue_max(const ferry_loop *loop);
/* To a child that its owner watches, or (without an owner) to our parent; the descriptors are taken over, also if it fails.
 * NULL only if memory is out. */
ferry_session *session_open_process(ferry_loop *loop, const int fds[2], const ferry_session_options *options,
                                    const char *address, const ferry_peer *peer, const struct session_owner *owner, void *object);
/* To a client that has come; it begins with session_begin(). NULL if that fails; the descriptor is taken over in any case. */
ferry_session *session_accept(ferry_loop *loop, int fd, const ferry_session_options *options, const char *address);
void session_begin(ferry_session *session);
/* Ask whether a service answers at the other end of a socket, which is taken over, in a dialect with pings; to be let go of by
 * session_free(). */
ferry_session *session_open_probe(ferry_loop *loop, int fd, unsigned dialect);
bool session_has_answered(const ferry_session *probe);  /* or has ended */

/* Its owner -------------------------------------------------------------------------------------------- */

/* NULL: none. */
void session_set_owner(ferry_session *session, const struct session_owner *owner, void *object);
/* Handlers that get its messages behind its own, as long as it lives. */
void session_set_shared_handlers(ferry_session *session, const struct handlers *handlers);
/* The object that has it, if it is of that kind; or NULL. */
void *session_owner_object(const ferry_session *session, const struct session_owner *owner);

ferry_loop *session_loop(const ferry_session *session);
/* Whether frames may still go both ways: also while this side refuses what waits, not while it drains. */
bool session_is_open(const ferry_session *session);
bool session_is_freed(const ferry_session *session);
/* Whether FERRY_KIND_CLOSED was reported. */
bool session_has_reported_end(const ferry_session *session);
/* Whether frames that were read wait to be handled. */
bool session_has_work(const ferry_session *session);
/* Whether the answer to that ping of session_send_ping(), or to a later one, has come; 0: to any message. */
bool session_has_pong(const ferry_session *session, uint64_t ping);
/* Whether a message was received, or the session has gone meanwhile: what has come, and was not read yet, is handled first. */
bool session_has_spoken(ferry_session *session);
/* Whether it is known which dialect the other side speaks. */
bool session_has_dialect(const ferry_session *session);
/* Whether a request could be sent by it now, but for what is wrong with the request. */
bool session_takes_requests(const ferry_session *session);
/* Requests of the other side that are not answered; and bytes that were read, in all. */
size_t session_unanswered(const ferry_session *session);
uint64_t session_taken(const ferry_session *session);
/* In ms, from its options. */
int session_close_timeout(const ferry_session *session);

/* No handler sees it: the other side only asks whether this one lives. */
void session_hide(ferry_session *session);
/* A line that is no part of the conversation. */
void session_add_text(ferry_session *session, const char *source, const char *bytes, size_t size);
/* The child at the other end has ended, with 0 or a negative errno, an exit status (-1: unknown) and a sentence. The owner
 * reports that as the end of the child, so the session need not be reported as a failure. */
void session_child_ended(ferry_session *session, int code, int exit_status, const char *sentence);
/* What its owner counts or allows has changed. */
void session_update(ferry_session *session);

/* Sending ---------------------------------------------------------------------------------------------- */

/* Queue a message, and send what the stream takes of the queue now. @is_reply: an answer, or a frame of the conversation itself,
 * which queue_max does not stop, and which goes before requests that wait for their turn; @call: the call whose request it
 * is, or NULL. */
int session_send(ferry_session *session, const struct outgoing *outgoing, bool is_reply, ferry_call *call,
                 struct error *error);
int session_send_ping(ferry_session *session, uint64_t *ret_ping);
/* Fail a request as ferry_message_fail() does, or refuse it. */
void message_fail(ferry_message *request, enum wire_kind kind, const char *format, ...)
        __attribute__((__format__(__printf__, 3, 4)));
/* Say that nothing of what the other side asks for is done, where the dialect has a way to say so. */
void session_refuse_all(ferry_session *session, const char *reason);

/* Whether the peer connects again when it is asked to; ask it. */
bool session_may_drain(const ferry_session *session);
void session_send_drain(ferry_session *session);
/* The sockets of a service: @body says what the descriptors are. 0, or a negative errno with a sentence. */
int session_hand_over(ferry_session *session, const ferry_value *body, const int *fds, size_t count, struct error *error);
/* Report a message of the library's own to the handlers. */
void session_report(ferry_session *session, enum ferry_kind kind, const char *text);

/* Ending ----------------------------------------------------------------------------------------------- */

/* Wait until @is_done says so, or until @timeout_ms have passed and what had come by then is handled. The results of
 * loop_wait(); the loop was entered. */
int session_wait(ferry_session *session, int timeout_ms, bool (*is_done)(void *object), void *object);
/* Wait until all was sent, for as long as closing may take. The loop was entered. How many bytes are left; 0 if all was sent, or
 * the session has ended. */
size_t session_send_rest(ferry_session *session);
/* It ends, with 0 or a negative errno and a sentence; where the dialect has a way to say so, the other side hears of it. */
void session_finish(ferry_session *session, int code, const char *format, ...)
        __attribute__((__cold__, __format__(__printf__, 3, 4)));
/* It frees itself once it has ended. */
void session_let_go(ferry_session *session);
/* At once. */
void session_free(ferry_session *session);

/* Handlers -------------------------------------------------------------------------------------------- */

void handlers_init(struct handlers *handlers);
/* @type: NULL stands for any. 0 or -ENOMEM. */
int handlers_add(struct handlers *handlers, unsigned kinds, const char *type, ferry_message_fn *fn, void *userdata);
/* Of any type, and by type; or only those of one type. */
void handlers_remove(ferry_loop *loop, struct handlers *handlers, ferry_message_fn *fn, void *userdata);
void handlers_remove_type(ferry_loop *loop, struct handlers *handlers, const char *type, ferry_message_fn *fn, void *userdata);
void handlers_remove_all(ferry_loop *loop, struct handlers *handlers);
void handlers_free(struct handlers *handlers);

/* Calls that wait for a session ------------------------------------------------------------------------- */

/* Calls that wait until their owner gives them to a session. It also knows those that it has given away, as long as they are
 * there. */
struct call_queue;

/* What a call reports to the owner that gave it to a session. */
struct call_owner {
        /* It has ended, and no longer knows the owner. */
        void (*ended)(void *object, ferry_call *call);
        /* It was not executed, and its session takes no more requests. Whether the owner has let it wait again, by
         * call_wait_again(); else it ends. */
        bool (*returned)(void *object, ferry_call *call);
};

/* Calls that are counted together. Each knows its group until it is freed, or the group forgets it. */
struct call_group {
        size_t members;                 /* that know it */
        size_t calling;                 /* callbacks of these that have not returned */
        /* One of them has ended; and the last callback has returned. */
        void (*ended)(struct call_group *group, const ferry_call *call);
        void (*returned)(struct call_group *group);
};

enum { CALL_PRIORITIES = FERRY_PRIORITY_MAX - FERRY_PRIORITY_MIN + 1 };

/* A call joins a group, which is notified of its end if it has not ended. */
void call_join_group(ferry_call *call, struct call_group *group);
/* The calls of a group that wait in the queue end, as not executed. */
void call_queue_end_group(struct call_queue *queue, const struct call_group *group, int status, const char *sentence);
/* Those that were made for the queue leave the group. */
void call_queue_forget_group(struct call_queue *queue, struct call_group *group);

/* NULL if memory is out. */
struct call_queue *call_queue_new(void);
/* Bytes of requests that may wait in it; one that waits alone may be larger. */
void call_queue_set_max(struct call_queue *queue, size_t max);
/* NULL is allowed. Nothing waits in it from then on. */
void call_queue_free(struct call_queue *queue);
/* The call that has waited longest among those of the highest priority, or NULL. */
ferry_call *call_queue_first(struct call_queue *queue);
/* Whether the callback of a call that was made for the queue is due in the next round. */
bool call_queue_is_reporting(const struct call_queue *queue);

/* A call that stands in @queue until call_start() gives it to a session; NULL if memory is out. What is wrong with it ends it
 * there; -ENOBUFS if the queue is full. */
ferry_call *call_new_waiting(ferry_loop *loop, struct call_queue *queue, int priority, int wait_ms, int timeout_ms, const char *type,
                             const char *format, va_list arguments);
void call_start(ferry_call *call, ferry_session *session, const struct call_owner *owner, void *object);
/* It is the first in its queue again. */
void call_wait_again(ferry_call *call);
/* It has failed; does nothing if it has ended. */
void call_end(ferry_call *call, int status, enum ferry_outcome outcome, ferry_message *reply, const char *format, ...)
        __attribute__((__cold__, __format__(__printf__, 5, 6)));
