/* What the files of this folder know of a service.
 *
 * They stand in layers, and none calls one above it: topics, retained, descriptions, crowd, probe and refusal hold what is known;
 * subscribe and describe act for a client, handover for a successor; takeover is what a successor does; service decides; notify is
 * called by programs. */
#pragma once

#include "service/crowd.h"
#include "service/descriptions.h"
#include "service/refusal.h"
#include "service/retained.h"
#include "service/takeover.h"
#include "stream/listener.h"

#include <ferry/service.h>

/* Where it listens, with regard to a successor. */
enum service_place {
        PLACE_HELD,
        PLACE_ASKED,            /* reported to the handlers, which may hand over */
        PLACE_OFFERED,          /* the successor has the sockets, and has not said yet that it serves */
        PLACE_LEFT,             /* the successor serves; clients may still come to it by themselves … */
        PLACE_GONE,             /* … and are closed here from now on */
};

struct ferry_service {
        struct loop_member member;
        struct loop_grave grave;
        ferry_loop *loop;
        ferry_service_options options;
        const ferry_session_options *session_options;   /* of its clients */
        char *address;          /* as it was given */
        struct listener listeners[SERVICE_LISTENERS_MAX];
        size_t listener_count;
        struct loop_timer idle;
        struct loop_timer close_timer;
        struct handlers handlers;
        struct list clients;
        uint64_t visits;        /* walks over them */
        struct list unfiltered; /* those that have never subscribed, and get all notifications */
        struct topics topics;   /* what the others have subscribed to */
        struct buffer audience; /* memory for the next notification: whom it is for */
        struct retained_set retained;
        struct descriptions descriptions;
        struct crowds crowds;   /* the clients by user */
        int reserved_from;      /* this descriptor on */
        struct refusal refusal; /* of those for whom there is no room */
        enum service_place place;
        struct client *successor;       /* that has asked, or was offered the sockets; or NULL */
        struct takeover *takeover;      /* while it is opened: what was handed over to it; or NULL */
        bool is_closing;
        bool is_late;           /* closing has taken its time */
        bool has_ended;
        bool is_forgotten;      /* by the program */
        bool is_freed;
        bool is_live;
        struct error error;
        struct loop_failure failure;
};

/* service.c: another process listens there now. Clients that connect again are asked to; the others end when their requests are
 * answered. */
void service_leave(ferry_service *service);

/* For the owner table of a client: it wants to take the place of the service, and has done so; and it has gone. */
void client_asked(void *object);
void client_taken(void *object);
void client_gives_up(struct client *client);

/* For the owner table of a client (session/session.h): what it subscribes to, and no longer. */
int client_subscribed(void *object, const char *pattern, size_t size, struct error *error);
int client_unsubscribed(void *object, const char *pattern, size_t size);
/* The same: what it may send. */
const ferry_value *client_described(void *object, struct error *error);
