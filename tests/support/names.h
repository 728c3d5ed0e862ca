/* A directory of its own for each test of services with names, and the servers there. */
#pragma once

#include <ferry/ferry.h>
#include <sys/types.h>

struct names {
        ferry_loop *loop;
        char parent[64];
        char directory[80];     /* of the services; it is not there yet */
};

void open_names(struct names *names);
/* With all that is in it. */
void close_names(struct names *names);
void remove_all(const char *directory);

/* A file of that content. */
void put_file(const char *path, const char *text, size_t size);

/* A path there, and the address of one; good until a few more are asked for. */
const char *path_of(const struct names *names, const char *file);
const char *address_of(const struct names *names, const char *file);

/* A socket that is bound, and listens if @backlog is not negative; of a program that knows nothing of ferry. */
int bind_plain(const char *path, int backlog);

/* A service that listens; in a process of its own, when this returns. */
ferry_service *open_service(ferry_loop *loop, const char *address, const ferry_service_options *options);
pid_t start_service(const char *address, unsigned dialects);
void end_service(pid_t pid);
/* It is there, and answers no client. */
void hold_service(pid_t pid);
