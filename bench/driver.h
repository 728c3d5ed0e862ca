/* A driver: a program that does all kinds of work with one library, or with none. It moves messages; what is in them, the
 * samples and the conversation with `bench` are the same for all (driver.c, which has main()).
 *
 *   DRIVER list                            what it can do
 *   DRIVER serve SUBJECT WORK FOLDER       the server; prints a line once clients may connect, and serves until it is killed
 *   DRIVER drive SUBJECT WORK FOLDER       the client; reads numbers, takes as many samples, and writes them as doubles
 */
#pragma once

#include "work.h"

#include <stdint.h>
#include <sys/types.h>

/* A transport of a library. */
struct subject {
        const char *name;
        const char *floors;             /* that it is compared with: the first one that takes part, with commas between */
        unsigned works;                 /* a set of 1 << enum work_kind */
        bool is_forking;                /* the client starts the server */
        bool needs_two;                 /* both sides spin, so each needs a CPU */
        int clients_max;                /* 0: WORK_CLIENTS_MAX */
        size_t body_max;                /* 0: no limit */
};

struct job {
        const struct subject *subject;
        const struct work *work;
        const char *folder;             /* for sockets */
        const char *program;            /* the driver itself */
};

struct driver {
        const struct subject *subjects; /* up to one without a name */
        /* Whether this machine has what a subject needs (NULL: it has). */
        bool (*is_there)(const struct subject *subject);

        /* Serves until it is killed. */
        void (*serve)(const struct job *job);

        /* The client's side. Clients have numbers from 0 on. */
        void (*open)(int client);
        void (*close)(int client);
        void (*request)(int client, const char *body, size_t size);
        /* Waits for the next answer, and gives it to driver_check(). */
        void (*await)(int client);
        void (*notify)(const char *body, size_t size);
        /* Sees that what was notified is on its way (NULL: it is). */
        void (*flush)(void);
        /* Before and after the samples of a block, for a server that spins meanwhile (NULL: nothing). */
        void (*begin)(void);
        void (*end)(void);
};

#define DRIVER_TYPE "bench"     /* of messages that have one */

enum { DRIVER_PADDING = 64 };  /* readable bytes behind each body that a client is given */

extern const struct driver driver;
extern struct job job;

/* Bytes of ferry's frame of the work's messages: its header, the payload's, the type, and the head of a string. */
static inline size_t driver_frame_size(void)
{
        return 8 + 16 + sizeof DRIVER_TYPE - 1 + (job.work->body < 256 ? 2 : 5) + job.work->body;
}

/* Server: what to do with a message. Returns the size of the answer, 0 for none. The answer is valid until the next call; if
 * it is the body itself, it is @body. */
size_t driver_take(const char *body, size_t size, const char **ret_answer);

/* Server: clients may connect. */
void driver_ready(void);

/* Client: an answer. It is an error if it is not the one that driver_take() gives. */
void driver_check(const char *answer, size_t size);

/* Client: start the server as a forked child, which has called serve(). */
pid_t driver_fork(void);

/* Server that was started in another way: go to its CPU, and be known as the server. */
void driver_become_server(void);

/* Both sides are pinned to one CPU. */
bool driver_has_one_cpu(void);

/* The descriptor that such a server needs besides its own; -1: none. */
int driver_shared_fd(void);

/* The path of a file in the folder; valid until the next call. */
const char *driver_path(const char *name);

/* ipc:// and the path of a socket in the folder, for libraries with such addresses; valid until the next call. */
const char *driver_url(void);

/* Messages without answers, or several requests in flight: where one request and one answer in turn do not do. */
bool driver_is_conversation(void);

/* A port for TCP, which the server writes into the folder and the client reads from there. */
void driver_write_port(unsigned port);
unsigned driver_read_port(void);
