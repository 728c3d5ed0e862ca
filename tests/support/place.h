/* A directory of its own for each test of services, in which one listens at `path`; what handlers do there; and clients
 * that are nothing but a socket. */
#pragma once

#include <ferry/ferry.h>

enum { SAFETY_MS = 20000 };

struct place {
        char directory[64];
        char path[96];
        char address[128];
        ferry_loop *loop;
};

void open_place(struct place *place);
/* Nothing may be left in the directory. */
void close_place(struct place *place);

/* Handlers; the second counts in an int, the third keeps the request in a ferry_message *. */
int echo(ferry_session *session, const ferry_message *request, void *userdata);
int count(ferry_session *session, const ferry_message *message, void *userdata);
int keep(ferry_session *session, const ferry_message *request, void *userdata);

/* A service that echoes requests; it must be up. */
ferry_service *open_echo(struct place *place, const ferry_service_options *options);

/* One round; all rounds in which something is done. */
void tick(struct place *place);
void settle(struct place *place);

/* A request is answered; or it ends with that status. */
void require_echo(ferry_session *session);
void require_failure(ferry_session *session, int status);

int connect_raw(const struct place *place);
/* A whole frame of a request, id 1 … 255; its size. */
size_t make_request(unsigned char frame[264], int id, const char *text);
void send_raw(int fd, const void *bytes, size_t size);
/* What has come, up to @size bytes: how much; 0 at the end, -EAGAIN if there is nothing. */
int receive_raw(int fd, void *bytes, size_t size);
/* Whether an answer to make_request() has come, of that kind (RAW_RESPONSE, …). */
bool has_answer(int fd, int kind);
/* Whether it was closed by the other side, after what is read here. */
bool has_ended_raw(int fd);

/* Be that user (and group) for all that the file system and others ask; 0 again. Only root can: a test that another
 * runs is over then, and says so. */
bool can_become(void);
void become(uid_t uid);
enum { STRANGER = 65534, OTHER_STRANGER = 65533 };

/* Have as many descriptors as can be had; how many of @count that are. */
size_t allow_descriptors(size_t count);
