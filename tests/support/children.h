/* What the tests of processes have their children do, and ask of them. */
#pragma once

#include <ferry/ferry.h>

enum { SAFETY_MS = 20000 };

#define SH(command) ((const char *const[]){ "sh", "-c", command, NULL })
#define CHILD(mode) ((const char *const[]){ BUILD_DIRECTORY "/tests/child", mode, NULL })

/* For ferry_process_fork(): end with the status that @userdata points to (NULL: 0); live until the parent lets go; and
 * answer each request with its own body. */
int exit_with(ferry_session *parent, void *userdata);
int wait_for_the_end(ferry_session *parent, void *userdata);
int serve(ferry_session *parent, void *userdata);

/* How many descriptors are open; for ferry_process_fork(): end with that. */
int count_descriptors(void);
int tell_descriptors(ferry_session *parent, void *userdata);

/* For ferry_manager_on(): one more in the int that @userdata points to. */
int count_event(ferry_manager *manager, ferry_process *process, void *userdata);

/* For ferry_session_on(): the messages are 0, 1, 2 …; the int that @userdata points to is how many have come. */
int count_in_order(ferry_session *session, const ferry_message *message, void *userdata);

/* Its exit status, or why it has none. */
int result_of(const ferry_process *process);

/* A child that serves is well; it ends so. */
void require_served(ferry_process *process);
void require_result(ferry_process *process, int result);

/* What a child writes, as one text, for an output callback. */
struct text {
        char bytes[8192];
        size_t size;
};

void collect(ferry_process *process, int fd, const char *bytes, size_t size, void *userdata);

/* Run a command until it ends so. Returns all that it has written, until the next one is run. */
const char *run_command(ferry_manager *manager, const char *const argv[], ferry_process_options *options, int result);
