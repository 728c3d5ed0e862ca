/* What the files of this folder know of a service.
 *
 * They stand in layers, and none calls one above it: topics, retained, descriptions, crowd, probe and refusal hold what is known;
 * subscribe and describe act for a client; service decides; notify is called by programs. */
#pragma once

#include "service/crowd.h"
#include "service/descriptions.h"
#include "service/refusal.h"
#include "service/retained.h"
#include "stream/listener.h"

#include <ferry/service.h>

enum { SERVICE_LISTENERS_MAX = 4 };     /* one for the dialects that share a socket, one for each of the others */

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
        bool is_closing;
        bool is_late;           /* closing has taken its time */
        bool has_ended;
        bool is_forgotten;      /* by the program */
        bool is_freed;
        bool is_live;
        struct error error;
        struct loop_failure failure;
};

/* For the owner table of a client (session/session.h): what it subscribes to, and no longer. */
int client_subscribed(void *object, const char *pattern, size_t size, struct error *error);
void client_unsubscribed(void *object, const char *pattern, size_t size);
/* The same: what it may send. */
const ferry_value *client_described(void *object, struct error *error);
