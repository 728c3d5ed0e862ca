/* A channel: what all kinds share. A kind is one struct in one file; the table in channel.c lists them, and nothing else
 * names one.
 *
 * A kind tries: its functions move one record, or bytes, at once, or return -EAGAIN and say what to wait for. Waiting is
 * the business of channel.c. */
#pragma once

#include <ferry/channel.h>

#include "loop/retry.h"
#include "util/error.h"

#include <sys/socket.h>

/* The life of a channel:
 *
 *      CHANNEL_OPEN --> CHANNEL_ENDED          the peer has closed its direction: the rest can still be sent
 *           |               |
 *           +---------------+--> CHANNEL_FAILED  every call returns the error
 *           |               |         |
 *           +---------------+---------+--> CHANNEL_FREED   its memory goes when the last callback has returned
 *
 * channel_set_phase() changes it, and nothing else. */
enum channel_phase { CHANNEL_OPEN, CHANNEL_ENDED, CHANNEL_FAILED, CHANNEL_FREED };

/* What a try that moved nothing waits for. */
enum channel_wait {
        CHANNEL_WAIT_INPUT,     /* the descriptor can be read */
        CHANNEL_WAIT_OUTPUT,    /* the descriptor can be written */
        CHANNEL_WAIT_LATER,     /* the kernel reports nothing: after a pause */
        CHANNEL_WAIT_ROOM,      /* the descriptor can be written, which the kernel reports late; or after a pause */
};

/* Where a call sends to, if not to the channel's own destination. It is the call's: another one may begin while it waits. */
struct channel_destination {
        struct sockaddr_storage address;
        socklen_t size;
        int fd;                 /* of the file that the address leads to, open until the call ends; -1: none */
        char text[512];         /* for sentences */
};

/* What a try moves. */
struct channel_io {
        const void *bytes;      /* to be sent … */
        void *buffer;           /* … or where to put what is received */
        size_t size;
        bool is_sending;
        long type;              /* of a record; of what was received, in return */
        const struct channel_destination *to;   /* udp, udg: another destination than the channel's; or NULL */
        int64_t deadline;       /* of the call, of sys_now() */
        enum channel_wait wait; /* out: with -EAGAIN … */
        const char *lack;       /* … and what is missing, for a sentence; NULL: what the direction says */
};

/* What a kind knows for ferry_channel_info(). -1 is unknown. */
struct channel_facts {
        int64_t uid, mode, records, records_max, bytes, bytes_max, id, key, sent, received, changed, last_sender, last_receiver;
};

struct channel_kind {
        const char *name;       /* the scheme of its addresses, without the colon */
        size_t size;            /* of the struct that begins with a ferry_channel */
        bool is_records;
        bool is_two_way;
        bool is_ordered;
        bool is_persistent;
        bool is_unpollable;     /* it has no descriptor */
        long first_type;        /* the type of a record that has none; -1: there are no types */

        /* Open it: @text is the address behind the colon. 0, or a negative errno with a sentence in the channel's error. */
        int (*open)(ferry_channel *channel, const char *text);
        /* Let go of what is its own. True if that goes on in the background, up to channel_buried(). */
        bool (*close)(ferry_channel *channel, bool is_foreign);
        /* How much was moved; or a negative errno, with a sentence unless it is -EAGAIN. */
        ssize_t (*send)(ferry_channel *channel, struct channel_io *io);
        ssize_t (*receive)(ferry_channel *channel, struct channel_io *io);
        /* Any of these may be NULL: the kind has no such thing. */
        int (*watch)(ferry_channel *channel, bool is_input, bool is_output);    /* wait otherwise than by the descriptor */
        int (*accept)(ferry_channel *channel, struct channel_io *io, ferry_channel **ret_client);
        int (*find)(ferry_channel *channel, const char *text, struct channel_destination *ret_to); /* of an address */
        const char *(*sender)(ferry_channel *channel);
        int (*answer)(ferry_channel *channel, struct channel_destination *ret_to);
        int (*shutdown)(ferry_channel *channel);
        int (*detach)(ferry_channel *channel);
        int (*group)(ferry_channel *channel, const char *group, const char *interface, bool is_joining);
        int (*limit)(ferry_channel *channel, unsigned mode, size_t bytes_max);
        int (*remove)(ferry_channel *channel);
        void (*describe)(const ferry_channel *channel, struct channel_facts *facts);
        /* Whether there is another end at an address: as the look of a retry_look. No socket is connected to, no record is
         * sent, no FIFO is opened: a process that waits for its first peer would take any of these for it. */
        int (*look)(const char *text, enum retry_hope *ret_hope);
        bool is_in_files;               /* its addresses are paths, whose directories report a change */
};

struct ferry_channel {
        const struct channel_kind *kind;
        ferry_loop *loop;
        enum channel_phase phase;
        enum ferry_channel_end end;
        ferry_channel_options options;
        char *interface;        /* of the options */
        char *address;
        struct error error;     /* why it has failed, or the last call */
        struct loop_failure failure;
        struct loop_member member;
        struct loop_grave grave;
        struct loop_source source;      /* its descriptor, while a call waits; fd -1: it has none */
        struct list waits;              /* the calls that wait, the innermost last */
        size_t record_max;      /* that can be sent; SIZE_MAX: not known yet, or bytes */
        size_t receive_max;     /* that can be received; 0: the same */
        int64_t deadline;       /* until which the other end may appear; 0: it must be there */
        ferry_peer peer;
        uint64_t refused;       /* records and clients of other users */
        bool is_wide;           /* its object lets other users in */
        bool is_prepared;       /* its kind has begun to open it, so its kind closes it */
};

/* For the kinds. Change the phase; a failure takes its sentence from the channel's error. */
void channel_set_phase(ferry_channel *channel, enum channel_phase phase);

/* Set the sentence of a failing call. Returns @code. */
int channel_error(ferry_channel *channel, int code, const char *format, ...) __attribute__((__format__(__printf__, 3, 4)));

/* Something has happened: calls that wait for input or output try again. */
void channel_wake(ferry_channel *channel, bool is_input, bool is_output);

/* Make an address of the channel's kind. 0 or -ENOMEM. */
int channel_set_address(ferry_channel *channel, const char *text);

/* A channel of the same loop and kind, with the same options, for a client that was accepted; NULL if memory is out. */
ferry_channel *channel_new_client(ferry_channel *listener, const char *address);

/* Whether this user may be at the other end. Refusals are counted. The program's callback may free the channel: then not, and
 * the phase is CHANNEL_FREED. */
bool channel_is_allowed(ferry_channel *channel, const ferry_peer *peer);

/* The owner and the mode of the object behind a channel: 0; or -EACCES if it is another user's, or its mode lets others in
 * and the options are strict. */
int channel_check_owner(ferry_channel *channel, uid_t uid, unsigned mode);

/* Whether a try that has failed with this errno is worth another one, since the other end may still appear. */
bool channel_may_appear(const ferry_channel *channel, int code);

/* -EMSGSIZE with a sentence, for a record that is too large; else 0. */
int channel_check_size(ferry_channel *channel, size_t size);

/* Closing in the background is done. */
void channel_buried(ferry_channel *channel);

/* The kind of an address, and what stands behind its colon; NULL if it is none of a channel. */
const struct channel_kind *channel_find_kind(const char *address, const char **ret_text);

extern const struct channel_kind channel_udp, channel_udg, channel_tcp, channel_unix, channel_fifo, channel_msgq, channel_mqueue;
