/* Inside of the kernel: its parts are kernel.c (the clock, events and processes), files.c (descriptors) and network.c (connections). */
#pragma once

#include "simulation/kernel.h"

#include <stddef.h>
#include <stdint.h>

enum file_kind { FREE, SOCKET, EPOLL, EVENT, TIMER };

enum { FILES_PER_EPOLL = 16 };

struct file {
        enum file_kind kind;
        unsigned process;
        int epoll;                      /* fd; 0: it is in none */
        uint32_t events;
        void *data;
        /* SOCKET */
        unsigned connection;            /* 0: there is none yet, or none any more */
        bool is_connecting, is_input_ended;
        int error;
        char *input;
        size_t begin, end, size;
        size_t room;                    /* for bytes that are under way */
        size_t under_way;               /* bytes that were sent, and have not arrived */
        /* EPOLL */
        int members[FILES_PER_EPOLL];
        unsigned count;
        /* EVENT and TIMER */
        uint64_t number;
        int64_t deadline, noted;        /* @noted: the next time for which there is an event */
};

enum event_kind { CALL, DUE, CONNECTED, UP, UP_ENDED, UP_CLOSED, DOWN, DOWN_ENDED, BROKEN };

struct event {
        int64_t when;
        uint64_t order;
        enum event_kind kind;
        unsigned target;                /* the connection; the timer of DUE */
        uint64_t number;                /* the birth of the connection, or what is handed to @fn */
        kernel_fn *fn;
        void *object;                   /* bytes of UP and DOWN, which are ours */
        size_t size;
};

/* kernel.c */
_Noreturn void system_give_up(const char *what);
void *system_grow(void *memory, size_t count, size_t size);
void event_add(struct event event);
/* The process that calls; 0: none does. */
unsigned process_current(void);
unsigned process_host(unsigned process);
/* It is given a round. */
void process_wake(unsigned process);
/* The one that calls waits for its descriptors: meanwhile the others go on. */
void process_block(int epoll, int timeout_ms);

/* files.c */
int file_open(enum file_kind kind);
struct file *file_of(int fd);
uint32_t file_readiness(const struct file *file);
/* It has changed: its process is woken if it waits for that. */
void file_touch(const struct file *file);
bool file_is_epoll_ready(int epoll);
void file_timer_is_due(const struct event *event);
void files_end(void);

/* network.c */
void network_begin(const struct weather *weather, const struct kernel_side *side);
void network_end(void);
/* Bytes of a connection arrive, or it begins or ends. */
void network_arrive(const struct event *event);
/* The process has closed the socket. */
void network_close(struct file *file);
/* The process is dead. */
void network_leave(unsigned process, int64_t silence);
