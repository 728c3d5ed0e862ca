/* The floor of channels and stores: the kernel's objects and the bare system calls, without a library. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum bare_kind { BARE_UDP, BARE_UDG, BARE_TCP, BARE_UNIX, BARE_FIFO, BARE_MSGQ, BARE_MQUEUE };

/* Both ends of a channel in one process, and what its calls need. */
struct bare {
        enum bare_kind kind;
        bool is_plain;          /* udp, udg: recv(2) in place of recvmsg(2), and no credentials */
        int in, out;
        struct bare_message *sent, *received;   /* msgq */
};

/* Opens both ends; paths lie in @directory. @size is that of the largest record. */
void bare_open(struct bare *bare, enum bare_kind kind, bool is_plain, const char *directory, size_t size);
void bare_close(struct bare *bare);

/* Sends @size bytes and receives them. The buffer holds @room bytes. */
void bare_move(const struct bare *bare, const void *bytes, void *buffer, size_t size, size_t room);

/* A semaphore and a segment. */
struct bare_store {
        int semaphores, segment;
        char *memory;
};

void bare_store_open(struct bare_store *store, size_t size);
void bare_store_close(struct bare_store *store);
void bare_store_lock(const struct bare_store *store);
void bare_store_unlock(const struct bare_store *store);
