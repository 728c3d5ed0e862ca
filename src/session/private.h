/* What the files of this folder know of each other: sessions, their calls and messages.
 *
 * CONTRIBUTING.md describes the way of a message through them.
 *
 * The files stand in layers, and none calls one above it: attached, holes, outbox, attaching, inbox, message, call, handlers,
 * subscriptions, sharing, hello, flow, overdue and debug hold what is known; phase, session and owner decide; above them accepting,
 * accepted, answer, dispatch, farewell, closing, abandon, parts, replies, descriptors, heartbeat, subscribe, describe, control, input, new,
 * reconnect; and then what programs call: defaults, open, request, reply, progress, next, hold, flush, info. */
#pragma once

#include "session/inbox.h"
#include "session/session.h"
#include "stream/stream.h"
#include "util/pile.h"

/* Memory that ended calls and messages leave to the next ones of the same loop, so that a conversation that runs allocates
 * nothing. */
struct reserve {
        struct pile calls, messages;
        struct spare tree;
};

struct call_queue {
        /* Two of a priority, the highest last: those that no session has had, and before them those that came back. */
        struct list calls[2 * CALL_PRIORITIES];
        unsigned top;           /* above this one they are empty */
        size_t joined;          /* how many have waited here */
        struct list made;       /* all that were made for it, also those that have a session, or have ended */
        size_t telling;         /* how many of these have ended, and are reported in the next round */
        size_t size;            /* of what they will send, roughly */
        size_t max;
};

/* Parts of the reply to a call: parts.c. */
struct call_parts {
        ferry_progress_fn *fn;          /* NULL: they are kept for ferry_call_next() … */
        void *userdata;
        struct buffer waiting;          /* … as pointers to messages */
        ferry_message *lent;            /* to the caller of that */
        size_t open;                    /* bytes that have come, less what the peer was credited … */
        size_t taken;                   /* … and those that it will be */
        size_t kept;                    /* bytes that wait, as counted in the session */
        bool has_come;                  /* a part: so the peer has begun to execute the request */
};

/* What is known of the process that has a request of ours in hand: accepted.c. */
struct acceptance {
        ferry_call *call;
        struct loop_timer timer;        /* it was silent for too long */
        uint64_t mark;                  /* see session_has_caught_up() */
        int64_t heard_at;
        int beat_ms;
        char instance[72];
};

struct ferry_call {
        /* What sending it and its answer need stands together: a pool has so many calls that they leave the caches of the processor. */
        struct list link;               /* among the calls of the session, while in flight, or of the queue */
        struct map_node node;
        char type_room[32];             /* these two are not cleared */
        char id[WIRE_ID_TEXT_MAX];
        struct loop_timer timer;
        ferry_session *session;         /* NULL once it has ended */
        const struct dialect *dialect;  /* in which it was sent; what the peer says may change that of the session */
        char *type;                     /* of one that was made for a queue, or where the dialect has no errors or implies types; or
                                         * NULL. Most fit into the room for it above */
        ferry_message *reply;
        ferry_call_fn *fn;
        void *userdata;
        const struct call_owner *owner;         /* that gave it to a session, or NULL */
        void *owner_object;
        struct outbox_frame frame;
        int status;
        enum ferry_outcome outcome;
        int timeout_ms;
        int child_exit_status;          /* of the child whose end has ended it; -1: none */
        bool is_freed;
        bool is_unread;                 /* the peer has said so when it closed the session */
        bool is_awaited;                /* parts without a function are dropped */
        ferry_loop *loop;               /* NULL once that can no longer be reached */
        struct reserve *reserve;        /* of the loop */
        size_t room;                    /* that it was allocated with */
        struct call_parts *parts;       /* NULL until there is a part or a function for them */
        struct acceptance *acceptance;  /* NULL until a process has said that it has the request in hand */
        uint64_t deadline_mark;         /* see session_has_caught_up() */
        uint64_t fence;                 /* of one that asks for a description: the ping behind it; else 0 */
        struct loop_task task;          /* calls the callback */
        struct loop_grave grave;
        struct loop_holder holder;
        struct error error;
        /* Of one that was made for a queue, as long as that is there. */
        struct call_queue *home;
        struct list made_link;
        bool is_telling;
        /* Of one that waits for a session: what it will send. */
        int priority;                           /* from 0 */
        struct call_queue *queue;
        size_t number;                          /* in the order in which they were made */
        struct call_group *group;               /* NULL: none, or that has forgotten it */
        ferry_value *waiting_body;
        size_t waiting_size;
        int64_t wait_deadline;                  /* until when it waits, also once it has come back */
        int wait_ms;
};

struct handler_type;

struct handler {
        struct list link;
        struct loop_grave grave;
        struct handler_type *type;              /* the one that it is for; NULL: any */
        unsigned kinds;
        ferry_message_fn *fn;           /* NULL: kept for next */
        void *userdata;
        bool is_gone;
};

struct ferry_message {
        struct block block;             /* that it stands in, with its texts, and its bytes unless they are large */
        size_t room;                    /* of the block */
        size_t references;
        ferry_session *session;         /* NULL if that is gone */
        struct list link;               /* among the messages of the session */
        struct list queue_link;         /* among those that wait for next */
        struct list unasked_link;       /* the same, among notifications that have no handler; of a request: among those that were
                                         * accepted, or are about to be */
        struct map_node node;           /* of a request that is not answered: by its id */
        enum ferry_kind kind;
        const char *type;
        const struct dialect *dialect;  /* in which it came */
        const char *id;                 /* as it stands on the wire */
        size_t id_size;
        char *id_text;                  /* room for it as text, made when it is asked for */
        const ferry_codec *codec;
        struct block *payload;          /* where its bytes stand: its own block, or one of their own */
        char *body_bytes;
        size_t body_size;
        struct check check;
        const char *property;
        struct passed *passed;          /* descriptors that came with it, or NULL */
        bool is_decoded;
        bool wants_acceptance;          /* a request, see struct incoming: its sender takes several answers at once, too */
        ferry_value *tree;
        const ferry_value *body;
        bool is_unanswered;             /* a request, and the peer waits */
        bool is_counted;                /* as such, among what its session has in hand */
        bool was_seen;                  /* by a handler, which may have acted on it */
        int failure;                    /* a negative errno that a handler returned for a request; 0 */
        bool is_starved;                /* a request: a part was refused, as there was no credit */
        size_t parts_open;              /* a request: bytes of parts that were sent, and not credited */
        size_t cost;                    /* of a message that is counted or fetched later, in the session's budget; of a part:
                                         * its bytes */
};

/* Changed by session_advance() alone, and only forward, but for a session that connects again; the diagram stands in phase.c. */
enum session_phase {
        SESSION_LOST,                   /* there is no stream: its connection has ended, and the next attempt is not due */
        SESSION_CONNECTING,             /* the stream is not up */
        SESSION_GREETING,               /* it is, and the dialect begins with an exchange */
        SESSION_OPEN,
        SESSION_DRAINING,               /* the peer sends no more; what it has asked for is still answered and sent */
        SESSION_REFUSING,               /* this side closes: what waits to be handled is refused */
        SESSION_PEER_CLOSING,           /* the peer has closed and reads no more; its end of the stream comes */
        SESSION_CLOSING,                /* this side has closed; what is queued is sent */
        SESSION_AWAITING_CLOSE,         /* the same, and the peer's answer to the close is awaited */
        SESSION_CLOSE_ANSWERED,         /* the peer reads no more: only the frame that has begun is finished */
        SESSION_CLOSING_STREAM,         /* the session has ended; its stream, or the child behind that, has not */
        SESSION_ENDED,
};

/* Why it ends. */
enum session_cause {
        CAUSE_NONE,
        CAUSE_LOCAL,                    /* the program has closed it, and knows that */
        CAUSE_PEER,                     /* the peer has closed it, or has ended in order */
        CAUSE_FAILURE,
        CAUSE_CHILD,                    /* the child at the other side has ended, which the owner of the session reports */
};

enum session_holder {
        SESSION_HELD,                   /* by the program */
        SESSION_FORGOTTEN,              /* the program has let go of it: it is freed when all has ended */
        SESSION_FREED,
};

/* What happens to a session. */
enum session_event {
        EVENT_PARTED,                   /* a former session has taken its connection over */
        EVENT_CONNECT,                  /* the next attempt */
        EVENT_UNREACHED,                /* … which has failed */
        EVENT_NEXT_SERVER,              /* a server has not taken the session, and there is another one */
        EVENT_STREAM_UP,
        EVENT_GREETED,                  /* both sides have begun as the dialect requires */
        EVENT_INPUT_ENDED,              /* the peer sends no more, and something is left to send or to answer */
        EVENT_CLOSE,                    /* this side closes */
        EVENT_CLOSED,                   /* requests that waited are refused, and a close is queued if the dialect has one */
        EVENT_CLOSE_QUEUED,             /* the same, where the peer answers a close */
        EVENT_PEER_CLOSED,
        EVENT_PEER_AWAITS_ANSWER,       /* the peer has closed, and our answer is queued */
        EVENT_PEER_ANSWERED,            /* the peer knows that this side closes */
        EVENT_FAILED,                   /* the session has failed, and the peer, which answers a close, is notified */
        EVENT_FINISHED,
        EVENT_STREAM_CLOSED,
        EVENT_CHILD_ENDED,
        EVENT_FORGOTTEN,
        EVENT_FREED,
};

struct heartbeat {
        struct loop_timer timer;
        int peer_ms;                    /* the period that the peer would like; 0: none */
        bool is_asked;                  /* in the last period: whether it lives */
        uint64_t taken;                 /* bytes that had been read when the period began: what is more was heard in it */
};

/* Where a session is on its way to shared memory: sharing.c. */
enum sharing_phase {
        SHARING_NONE,
        SHARING_ALLOWED,                /* this side has said so */
        SHARING_POSSIBLE,               /* both have */
        SHARING_OFFERED,                /* the maker waits for an answer */
        SHARING_MOVING,                 /* it says so once its queue is empty */
        SHARING_MOVING_OUT,             /* the taker has said so, and waits for the maker to do so */
        SHARING_MOVED,
        SHARING_DECLINED,
};

/* Whether the program waits for room in the queue: flow.c. */
enum flow {
        FLOW_FREE,
        FLOW_FULL,                      /* more than half of its limit was queued */
        FLOW_REFUSED,                   /* less was, and a message was refused all the same */
        FLOW_DRAINED,                   /* there is room again, which is reported in a round of the loop */
};

/* Descriptors that are passed with messages, in both directions: attaching.c and descriptors.c. */
struct descriptors {
        ferry_session *session;
        struct attached *attached;      /* that go with the next message, or NULL */
        size_t open;                    /* those that were sent, and may not have been handled … */
        size_t asked;                   /* … as many of which will have been … */
        uint64_t ping;                  /* … when this ping is answered */
        struct loop_timer timer;        /* the kernel has refused to pass more now */
        int delay_ms;                   /* 0: it has not */
        struct passed *passed;          /* that have come, and belong to the message that comes next; or NULL */
};

struct sharing {
        enum sharing_phase phase;
        bool is_wanted;                 /* at once */
        bool is_maker;                  /* this side offers, once that is possible; else the other side does, or none */
};

/* Requests whose senders learn that they are in hand: accepting.c. */
struct accepting {
        ferry_session *session;
        struct loop_task task;          /* accept those that are due, put off … */
        struct list due;                /* … by their unasked_link */
        struct list accepted;
        struct loop_timer beat;         /* say so of the accepted ones again */
        unsigned quick;                 /* requests in a row that their handlers have answered at once */
};

struct reconnect;

/* What becomes of a session that connects again: reconnect.c. */
struct reconnect_table {
        /* Leave the connection to a session of its own, which is returned; NULL without memory. */
        ferry_session *(*part)(ferry_session *session, bool is_lost);
        /* Report that the connection is lost, and try to connect after a pause. */
        void (*lose)(ferry_session *session, const char *sentence);
        /* An attempt has failed. */
        void (*retry)(ferry_session *session, const char *sentence);
        /* The service is handed over: connect to its successor, now. */
        void (*follow)(ferry_session *session);
        /* The stream is up. */
        void (*resume)(ferry_session *session);
        /* The program closes it, or it is freed. */
        void (*close)(ferry_session *session);
        void (*free)(ferry_session *session);
        /* Free what it has, once the session is buried. */
        void (*destroy)(struct reconnect *reconnect);
};

struct reconnect {
        const struct reconnect_table *table;
        ferry_session *session;
        const ferry_session_options *options;   /* of each connection */
        struct loop_timer pause;                /* before the next attempt */
        struct loop_task report;                /* LOST and RESUMED, behind the callbacks of the calls that have ended */
        struct error lost;                      /* what is to be reported; 0: nothing … */
        bool is_resumed;                        /* … behind that */
        bool is_known;                          /* a loss, behind which no new connection was reported yet */
        struct error reason;                    /* why the last connection was lost */
        int64_t give_up_at;
        int64_t up_at;                          /* since when it is connected */
        uint64_t received;                      /* messages before it */
        unsigned drains;                        /* in a row, that have brought nothing else */
        unsigned attempts;                      /* that have failed, or came to a connection that did not last */
        unsigned connections;                   /* in all */
        unsigned losses;
        struct list former;                     /* sessions that finish what was in flight, the oldest first */
};

/* Those of the options that count as long as the session lives. The others are for opening it alone, and what their pointers lead to may
 * go then. */
struct session_settings {
        ferry_id_fn *make_id;
        void *make_id_userdata;
        ferry_allow_fn *allow;
        void *allow_userdata;
        int request_timeout_ms;
        int answer_timeout_ms;
        int heartbeat_ms;
        int shm;
        int spin_us;
        int reconnect_ms;
        unsigned reconnect_attempts;
        bool is_listening;
};

struct ferry_session {
        struct loop_member member;
        struct loop_grave grave;
        ferry_loop *loop;
        struct reserve *reserve;                /* of the loop */
        const struct session_owner *owner;      /* never NULL: one without members stands for none */
        void *owner_object;
        enum session_phase phase;
        enum session_cause cause;
        enum session_holder holder;
        int child_exit_status;          /* CAUSE_CHILD: of that child; -1: unknown */
        bool is_reported;               /* its failure: to a call, a handler or the program */
        bool is_live;                   /* counts among what may still happen in the loop */
        bool is_counted_empty;          /* the owner's last count was that it holds nothing, and may be read */
        bool has_reported_end;          /* FERRY_KIND_CLOSED */
        bool has_reported_opened;
        bool is_server;                 /* the other side has come to us */
        bool is_hidden;                 /* it only asks whether the other side lives: no handler sees its life */
        bool is_debugged;
        char *address;
        struct stream *stream;
        struct wire wire;
        struct error error;
        struct loop_failure failure;
        struct session_settings settings;

        struct inbox in;
        struct loop_task work;          /* frames wait to be handled, or the end to be reported */
        uint64_t overdue_at;            /* how many events had come when a call timed out last */
        unsigned quick;                 /* handlers in a row that took little time, see input.c */
        int64_t handled_at;             /* when the last one of those that are called in a row has returned; 0: the clock was not read */
        unsigned holds;         /* what is sent waits until as many are released, or the loop goes on */
        unsigned fenced;                /* calls that ask for a description, when the last pong came, and those since then */

        const ferry_peer *stranger;     /* the peer, if it is another user than ours, and ours is not root; or NULL */
        struct outbox out;
        struct loop_task departure;     /* the loop goes on: what was held, or put off, is written */
        size_t queue_max;
        size_t refused_size;            /* of a message for which there was no room; 0: none was refused since */
        uint64_t stuck_at;              /* where the queue began when a flush waited as long as closing may, and nothing was
                                         * taken */
        int output_error;               /* of the write that failed; 0 */
        enum flow flow;
        struct error refused;           /* why the first notification was not taken that no flush has reported */
        struct error call_error;        /* of the last call of the program, if that has failed while the session lived */
        uint64_t ping, pong;
        struct descriptors *descriptors;        /* NULL until some are passed */
        struct heartbeat heartbeat;
        struct sharing sharing;

        struct list calls;              /* in flight, in the order of their frames */
        struct map calls_by_id;
        struct list messages;
        struct map requests_by_id;
        size_t unanswered;              /* requests that are not answered … */
        size_t held;                    /* … and their bytes */
        struct list next;               /* messages for ferry_session_next() */
        struct list unasked;            /* notifications among them that have no handler: the oldest goes first … */
        size_t next_count;              /* … how many those are … */
        size_t next_bytes;              /* … and their bytes */
        size_t parts_kept;              /* bytes of parts that wait for ferry_call_next(), of all calls in flight */
        ferry_message *lent;
        struct handlers handlers;
        const struct handlers *shared_handlers; /* of its owner, or NULL */
        struct loop_timer close_timer;
        int close_timeout_ms;
        int grace_ms;                   /* for a child to end by itself: the same, or 0 if the session was closed with calls in
                                         * flight */
        int64_t answer_deadline;        /* while it drains … */
        uint64_t drained_to;            /* … and how far the queue was written when that was set */
        void *userdata;
        struct subscriptions *subscriptions;    /* of this side; NULL until it makes one */
        struct reconnect *reconnect;            /* NULL: it ends with its peer */
        struct accepting *accepting;            /* NULL until a request has come whose sender wants to know */
        ferry_session *front;                   /* of a former one: the session that the program has, whose handlers it uses; or NULL */
        struct list former_link;                /* … among those */

        uint64_t sent, received, dropped, junk;
};

/* The peer, for a sentence. */
static inline const char *session_peer_name(const ferry_session *session)
{
        return session->wire.dialect->has_login ? "the NATS server" : "the other side";
}

/* Whether a hello and subscriptions are put in front of the queue when the stream is up. */
static inline bool session_begins_later(const ferry_session *session)
{
        return session->reconnect && session->phase <= SESSION_CONNECTING;
}

/* A call, a handler or the program knows of its failure. */
static inline void session_tell(ferry_session *session)
{
        session->is_reported = true;
        loop_failure_told(&session->failure);
}

/* What ferry_session_error() says of a call of the program while the session lives: a sentence if it has failed, else none.
 * Returns the code. */
static inline int session_note_call(ferry_session *session, int code, const char *sentence)
{
        if (code < 0)
                return error_replace(&session->call_error, code, "%s", sentence);
        if (session->call_error.code)
                error_deinit(&session->call_error);
        return code;
}

/* defaults.c: what a session has of the options of the program, which may be NULL, and of its loop; 0, or a negative errno with a
 * sentence. */
int session_inherit(const ferry_loop *loop, ferry_session_options *target, const ferry_session_options *options, struct wire *wire,
                    struct error *error);

struct reserve *session_reserve(const ferry_loop *loop);

/* message.c */
ferry_message *message_new(ferry_session *session, enum ferry_kind kind, const struct frame *frame,
                           const struct incoming *incoming);
ferry_message *message_new_text(ferry_session *session, enum ferry_kind kind, const char *type, const char *bytes,
                                size_t size);
/* Releases a message that awaits no answer. */
void message_release(ferry_message *message);
void message_destroy(ferry_message *message);
bool message_is_elsewhere(const ferry_message *message);

/* call.c */
/* Of no loop yet. @reserve: of the loop that it will have, or NULL. */
ferry_call *call_new(struct reserve *reserve, void (*is_late)(struct loop_timer *timer));
void call_destroy(ferry_call *call);
/* Its reply has come. */
void call_succeed(ferry_call *call, ferry_message *reply);
void call_tell(ferry_call *call);
/* Whether any of its bytes may have reached the peer; if not, they are taken back. */
enum ferry_outcome call_withdraw(ferry_call *call);
/* 0 or -ENOMEM. */
int call_set_type(ferry_call *call, const char *type);
/* Append the type, if it is short, between two pieces of a sentence. */
void call_append_type(char *text, size_t size, const char *before, const ferry_call *call, const char *behind);
void call_leave_queue(ferry_call *call);
int call_keep_message(ferry_call *call, const char *type, const char *format, va_list arguments, struct error *error);
int call_join_queue(ferry_call *call, struct call_queue *queue);
/* Whether its owner has let it wait again, instead of its end. */
bool call_comes_back(ferry_call *call);
void call_deliver(ferry_call *call);
void calls_end(ferry_session *session, int status, const char *sentence);

/* handlers.c: those of a type, or NULL. */
const struct list *handlers_of_type(const struct handlers *handlers, const char *type);
bool handlers_take_request(const struct handlers *handlers, const char *type);
/* The types of requests that have a handler, as a text of a bounded size. */
struct type_names {
        char text[640];
        size_t size;
        bool is_cut;            /* others had no room */
};
/* Append those of @handlers, or none if that is NULL, without those that @before (or NULL) has. */
void handlers_list_types(const struct handlers *handlers, const struct handlers *before, struct type_names *names);

/* attaching.c: NULL if memory is out. */
struct descriptors *descriptors_of(ferry_session *session);
/* Those that were sent, and come, belong to the connection, which is the former session's now; those that are attached stay. */
void attached_change_session(ferry_session *former, ferry_session *session);
/* Put a frame into the queue that the attached descriptors leave with; the message stands behind that. */
int attached_announce(ferry_session *session, struct error *error);
void attached_drop(ferry_session *session);
/* Too many are on their way: the queue is written again later. */
void attached_wait(ferry_session *session);
void attached_deinit(ferry_session *session);

/* sharing.c: add to the list of features of a hello; and what the other side's has. */
void sharing_add_features(ferry_session *session, ferry_builder *builder);
void sharing_hear_features(ferry_session *session, bool is_allowed, bool is_wanted, bool is_parent);
/* The queue was written, as far as it could be. Whether a frame was put into it. */
bool sharing_proceed(ferry_session *session);
/* The kernel passes no descriptor now, so the offer cannot leave: the session stays on its socket. */
void sharing_refuse(ferry_session *session);
/* A frame of the other side; false if it was not its turn. */
bool sharing_hear(ferry_session *session, enum wire_kind kind);

/* new.c */
/* NULL if memory is out. Options that a session cannot have are an error, with which the caller ends it. @ret_all: the options with those
 * of the loop, for opening it. */
ferry_session *session_new(ferry_loop *loop, const ferry_session_options *options, const char *address, ferry_session_options *ret_all,
                           struct error *error);

/* reconnect.c: let a new session connect again. @has_asked: its own options say so; what it inherits is ignored where that cannot be.
 * 0, or a negative errno with a sentence. */
int reconnect_init(ferry_session *session, bool has_asked, const ferry_session_options *all, struct error *error);

/* phase.c */
/* Something has happened to it: the only way in which its phase and its holder change. */
void session_advance(ferry_session *session, enum session_event event);
/* Whether this side has closed it, or it has failed and the peer is notified; whether it has ended. */
bool session_is_closing(const ferry_session *session);
bool session_has_ended(const ferry_session *session);
/* Both sides have begun as the dialect requires, or it requires nothing. */
bool session_is_greeted(const ferry_session *session);
/* Why it ends: the end of a child explains that of its session, whatever came first. */
void session_note_cause(ferry_session *session, enum session_cause cause);
/* For each answer once the input has ended. */
int session_answer_timeout(const ferry_session *session);
/* A peer that goes meanwhile is seen only by looking: nothing more is read from it. */
void session_await_answer(ferry_session *session);
/* While it waits for answers, and then for the peer to read the last of them. */
void session_start_draining_timer(ferry_session *session);
/* The input is over, and a request of the other side needs no answer any more: the session stays for the next answer, or ends. */
void session_keep_draining(ferry_session *session);

/* overdue.c: whether all that had come when a deadline passed is handled. If not, the deadline is asked about again in the next round;
 * @mark, which begins as 0, keeps up to where that is in all that is read: what comes later does not count. */
bool session_has_caught_up(const ferry_session *session, uint64_t *mark);

/* session.c */
/* Its connection has ended, or another one takes its place. Returns the session that has the connection from now on: a former one,
 * or, if the session ends with its peer, the same. */
ferry_session *session_part(ferry_session *session, bool is_lost);
/* The connection that a former session has now was lost; nothing if @former is the same session. */
void session_lose(ferry_session *session, const ferry_session *former, const char *sentence);
/* Whether the server, which has not taken the session yet, can be left for another one. */
bool session_has_next_server(const ferry_session *session);
/* Whether session_status_for_sending() has nothing to say. */
bool session_can_send(const ferry_session *session);
/* A call has timed out, and nothing was heard since. */
bool session_is_overdue(const ferry_session *session);
int session_status_for_sending(const ferry_session *session, struct error *error);
/* Whether output was lost, when the input has ended in order: then that is the reason. */
void session_note_lost_output(ferry_session *session);
void session_check_closing(ferry_session *session);     /* something was sent: was it the last? */
void session_close_is_late(struct loop_timer *timer);
/* Closing the stream is done; 0, or how a child has failed meanwhile, with a sentence. */
void session_stream_closed(ferry_session *session, int code, const char *sentence);
/* session_send() with a body by template; the arguments are used up. */
int session_send_template(ferry_session *session, struct outgoing *outgoing, bool is_reply, ferry_call *call,
                          struct error *error, const char *format, va_list arguments);
/* What this side takes, unless the other side knows it, or the dialect has no hello. */
int session_send_hello(ferry_session *session, struct error *error);
/* What this side begins a conversation with, where the dialect has that. */
int session_send_greeting(ferry_session *session, struct error *error);
/* Put a frame of the conversation's own behind what cannot be taken back of the queue, and drop the rest. */
int session_send_last(ferry_session *session, enum wire_kind kind);
/* Whether notifications or requests of ours are queued, or in a pipe, and will never be read: then -ECONNRESET, and how many
 * bytes are lost stands behind @sentence, as far as there is room. Else 0. Requests do not count where there is another reason,
 * which their calls report. */
int session_note_lost(const ferry_session *session, bool has_reason, char *sentence, size_t room);
void session_flush_now(ferry_session *session);
/* It is held no longer. Whether something may have been put off, which the caller sees to. */
bool session_stop_holding(ferry_session *session);
/* Descriptors were sent: ask when all have been handled, by a ping. */
void session_ask_passed(ferry_session *session);
/* The loop goes on. */
void session_depart(struct loop_task *task);

/* descriptors.c */
enum { DESCRIPTOR_WEIGHT = 64 << 10 };  /* bytes that each one counts for in what is held for the peer */
static inline size_t message_weight(const ferry_message *message)
{
        return message->body_size + (message->passed ? message->passed->count * DESCRIPTOR_WEIGHT : 0);
}
void descriptors_hear_pong(ferry_session *session);
/* End a session whose peer has broken the rules for something: both sides know how. */
void session_end_breaker(ferry_session *session, const char *rules, const char *sentence);
void descriptors_end_peer(ferry_session *session, const char *sentence);
/* So many come with the next message, which gets them; or it has none. */
void descriptors_hear(ferry_session *session, int64_t count);
void descriptors_give(ferry_session *session, ferry_message *message);
void descriptors_drop(ferry_session *session);

/* abandon.c: the program waits no more: the peer is notified, where the dialect can do that. */
enum ferry_outcome call_abandon(ferry_call *call);

/* parts.c */
enum { PARTS_WINDOW = 256 << 10 };      /* bytes of parts of a reply that may be sent without credit; a part over it is the last */

/* NULL if memory is out. */
struct call_parts *parts_of(ferry_call *call);
static inline bool parts_have_come(const ferry_call *call)
{
        return call->parts && call->parts->has_come;
}
static inline bool parts_wait(const ferry_call *call)
{
        return call->parts && buffer_size(&call->parts->waiting) > 0;
}
/* The first that waits, for the caller; or NULL. */
ferry_message *parts_take_first(ferry_call *call);
/* Done with one that was taken: the peer may send more. */
void parts_release(ferry_call *call, ferry_message *part);
/* By the function of the program, which may free the call. */
void parts_deliver(ferry_call *call, ferry_message *part);
/* Those that were kept before there was a function. */
void parts_deliver_waiting(ferry_call *call);
void parts_drop(ferry_call *call);
/* One cannot be taken: the call ends, and the peer is notified. */
void parts_fail(ferry_call *call, int code, const char *reason);
/* One has come, for a call or for none. */
void parts_hear(ferry_call *call, const struct frame *frame, const struct incoming *in);
void parts_hear_unknown(ferry_session *session, const struct incoming *in);
/* Whether the peer has credit for a part; whether it knows parts at all. */
bool message_takes_parts(const ferry_message *request);
int message_check_parts(const ferry_message *request, struct error *error);
void parts_hear_credit(ferry_session *session, const struct raw_text *id, int64_t size);

/* replies.c: the call that an id names, or NULL. */
ferry_call *replies_find_call(ferry_session *session, const struct raw_text *id);
/* The call that a message answers where there are no ids: the one in flight, if the other side has acknowledged it; or NULL. */
ferry_call *replies_find_answered(const ferry_session *session);
/* An answer has come; that a process has the request in hand; a part of an answer. */
void replies_hear(ferry_session *session, const struct frame *frame, const struct incoming *in);
void replies_hear_accepted(ferry_session *session, const struct incoming *in);
void replies_hear_part(ferry_session *session, const struct frame *frame, const struct incoming *in);

/* flow.c */
/* Before something leaves: is there more than half? After that: is there less again? */
void flow_rise(ferry_session *session);
void flow_fall(ferry_session *session);
/* A message of so many bytes was refused. */
void flow_refuse(ferry_session *session, size_t size);

/* answer.c */
/* 0, or why a request can have no answer now. */
int message_check_answerable(const ferry_message *request, struct error *error);
struct outgoing message_answer(const ferry_message *request, enum wire_kind kind, const char *type);
/* Around the sending of its answer, which came to @code: it costs nothing meanwhile, so that the session is brought up to date
 * once. */
bool message_begin_answer(ferry_message *request);
void message_end_answer(ferry_message *request, bool has_begun, int code);
/* It is answered, or the other side waits no more. */
void message_settle(ferry_message *request);
/* It need not be answered, but may be: no side waits for that. It costs its session nothing from then on. */
void message_relax(ferry_message *request);
/* The session goes. */
void message_forget_session(ferry_message *message);

/* dispatch.c */
enum verdict { UNSEEN, SEEN, TAKEN };

/* Offer a message to the handlers; a notification that none of them has seen is kept for next. That a handler has failed is
 * noted in the message. */
enum verdict dispatch(ferry_session *session, ferry_message *message);
/* The first of those that are kept for next, for the caller; or NULL. */
ferry_message *session_take_next(ferry_session *session);
void dispatch_text(ferry_session *session, enum ferry_kind kind, const char *type, const char *bytes, size_t size);

/* closing.c */
/* Letting go of a request answers it, and a callback may ask for the next one meanwhile. */
void session_return_lent(ferry_session *session);
/* A side that waits for an answer to this gets the answer that there will be none. */
void session_refuse_message(ferry_session *session, const struct incoming *in, enum wire_kind kind, const char *reason);
/* One that has come behind our close, which the peer has not answered yet. */
void session_refuse_late(ferry_session *session, const struct incoming *in);
int message_vfail(ferry_message *request, enum wire_kind kind, const char *format, va_list arguments)
        __attribute__((__format__(__printf__, 3, 0)));

/* farewell.c */
/* The body of a close frame, for the caller; NULL if memory is out: then the peer does not know what became of its requests. */
ferry_value *farewell_new(const ferry_session *session);
/* The peer has closed the session: mark the calls that it says it has not read. */
void farewell_read(ferry_session *session, const ferry_value *body);

/* accepting.c: around the handlers of a request. Whether to call the second behind them, with whether it is answered. */
bool accepting_begin(ferry_session *session, ferry_message *request);
void accepting_end(ferry_session *session, const ferry_message *request, int64_t took);
void accepting_stop(ferry_session *session);
void accepting_free(ferry_session *session);

/* accepted.c: a process has a request of ours in hand; what there is to say of it in a sentence that ends a call. */
void accepted_hear(ferry_call *call, const struct incoming *in);
void accepted_describe(const ferry_call *call, char *text, size_t size);

/* heartbeat.c */
void heartbeat_init(ferry_session *session);
void heartbeat_update(ferry_session *session);
void heartbeat_restart(ferry_session *session);

/* control.c */
void control_handle(ferry_session *session, const struct frame *frame, const struct incoming *in);

/* input.c */
void session_opened(ferry_session *session);            /* the stream is up */
extern const struct stream_owner session_stream_owner;
void session_work(struct loop_task *task);

/* subscribe.c: a frame of the other side. */
void subscriptions_hear(ferry_session *session, const struct incoming *in);

/* describe.c: a question of the other side; and the answer to a ping, behind which no answer to an earlier question comes. */
void describe_hear(ferry_session *session, const struct incoming *in);
void describe_note_pong(ferry_session *session);

/* flush.c */
/* -EINVAL, which ferry_session_error() explains. */
int session_refuse_timeout(ferry_session *session, int timeout_ms);

/* debug.c */
void debug_message(const ferry_session *session, const char *direction, const char *kind, const char *type,
                   const ferry_value *body) __attribute__((__cold__));
