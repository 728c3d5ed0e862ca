/* What the tests of stores share: each has a directory and a key of its own, and leaves no segment or semaphore. */
#pragma once

#include <ferry/ferry.h>

#include <sys/ipc.h>

extern char store_path[96], store_address[128];
extern key_t store_key;

void begin_store(void);
/* Nothing may be left. */
void end_store(void);

/* Must succeed. */
ferry_store *open_store(const ferry_store_options *options);
void delete_store(ferry_store *store);
void require_int(ferry_store *store, int64_t at, int64_t expected);
void require_sentence(const ferry_store *store, const char *part);

/* Changes the segment behind ferry's back. */
void set_field(size_t offset, int64_t value);

/* A number that ferry_store_info() says, or -1. */
int64_t info_number(ferry_store *store, const char *name);
