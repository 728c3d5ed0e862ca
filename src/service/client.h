/* A client of a service, as the service knows it: its user, what is counted for it, and what becomes of it. It lives as
 * long as its session. */
#pragma once

#include "service/topics.h"
#include "session/session.h"

enum client_phase {
        CLIENT_COMING,          /* it is not known yet whether there is room */
        CLIENT_SERVED,
        CLIENT_LEAVING,         /* it was asked to connect to the successor, and ends by itself */
        CLIENT_FINISHING,       /* the service closes, and this one when its requests are answered */
        CLIENT_CLOSED,          /* by the service */
        CLIENT_REFUSED,         /* it is refused, as there is no room: refusal.c */
};

struct client {
        ferry_session *session;
        ferry_service *service;
        enum client_phase phase;
        bool is_probe;                  /* it only asks whether the service lives */
        bool is_short;                  /* it is refused for lack of descriptors, not because its user has too many clients */
        struct loop_grave grave;
        struct list link;               /* among the clients of the service, or those that it refuses */
        uint64_t visit;                 /* the last walk over the clients that has come to it */
        struct refusal *refusal;        /* that it is one of, or NULL */
        struct loop_timer refusal_timer;
        struct crowd *crowd;            /* clients of the same user, or NULL */
        struct list crowd_link;         /* among those of them that are silent */
        struct list waiting_link;       /* among clients that are not read, as there is too much for all of them */
        struct list unfiltered_link;    /* among those that have never subscribed */
        struct subscriber subscriber;
        size_t counted;                 /* bytes that it holds … */
        size_t counted_whole;           /* … without those of a message that is not complete */
};

/* The one that a session is, or NULL. */
struct client *client_of(const ferry_session *session);
