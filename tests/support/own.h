/* A stream of the program's own, over a socket: what the tests use where ferry is to know nothing of the socket. */
#pragma once

#include <ferry/ferry.h>

/* The session that is given it closes @fd. */
ferry_stream own_stream(int fd);
