/* ferry: messages between processes.
 *
 *      loop       what all else lives in; freeing it frees everything. It has one descriptor for poll(2).
 *      session    a conversation: notify and request; what comes in goes to handlers, or is fetched by next.
 *      call       a request of ours in flight: await it, be called at its end, or let it go to cancel it.
 *      message    a type and a body. A request is a message that waits for a reply, now or later.
 *      value      what bodies are made of. Templates write them, "{name: %s}", and the compiler checks those.
 *      service    listens at an address; its handlers get the messages of all its clients.
 *      process    a child, a forked function or a command, with a session to it; a manager has a set of them.
 *      channel    records or bytes without sessions: datagrams, streams, FIFOs, message queues.
 *      store      values or raw bytes in shared memory, under the lock that PHP uses.
 *
 * What is true of all of them:
 *
 * FAILURE STICKS. What makes an object always returns one. A session that could not be opened is a session
 * that has ended, a call that could not be sent is a call that has ended: it knows why, and says so whenever
 * it is used. So a program need not ask after every step, but once, where it matters. NULL comes back only if
 * there is no memory even for that; every function takes it, as an object that has failed with -ENOMEM.
 *
 * STATUS AND ERROR. The status is 1 while the object lives, 0 once it has ended in order, a negative errno if
 * it failed. The error is a sentence for people; it is never NULL, and good until the next one. If something
 * that the program opened fails, and neither a call nor a handler told it so, nor its own question for the
 * status or the error, ferry_loop_run() returns with that. Functions that return int return 0 or a negative
 * errno, unless they say more.
 *
 * WHO LETS GO. The loop, in general. The program lets go of calls (ferry_call_free), stores (ferry_store_free), and of values and
 * messages that it made or kept (ferry_value_unref, ferry_message_unref). A const value or message is only
 * lent, for as long as the function says. What is passed in is copied, unless the function says that it must
 * live longer.
 *
 * WAITING. timeout_ms is as in poll(2): 0 does not wait, -1 waits for ever, and less is
 * refused with -EINVAL. What waits runs the loop, so handlers are called meanwhile.
 *
 * HANDLERS get the object, what happened, and their userdata. They may do anything: wait, or free their
 * caller.
 *
 * OPTIONS are structs in which zero means the default, and NULL means all defaults. Most often they are
 * written where they are used: &(ferry_session_options){ .wait_ms = 500 }. Their size is the sizeof of the
 * struct; until version 1.0, 0 is the same, and a change of a struct raises the library's soname. A larger
 * size, from a newer program, is accepted if the fields that this version does not know are zero, else the
 * object fails with -E2BIG. Any other size fails it with -EINVAL, and so does a time below -1 (below
 * FERRY_TIMEOUT_DEFAULT in request_timeout_ms); the sentence names the field.
 *
 * FORK. In a child made by fork(2), what the parent made answers -ECHILD, and freeing it does no harm there.
 *
 * ERRNOS that mean the same everywhere:
 *
 *      -EINVAL       an argument, address or template is wrong    -ETIMEDOUT   not within the time
 *      -EMSGSIZE     over a limit, ours or the peer's             -ECANCELED   closed or let go here
 *      -ENOBUFS      the queue is full: flush, then go on         -ECONNRESET  the peer went, in the middle
 *      -EBADMSG      the peer sent what is not of its dialect     -ENOTCONN    the session ended, in order
 *      -EREMOTEIO    the peer answered with an error              -EOPNOTSUPP  the dialect has no such thing
 *      -EDEADLK      waiting within waiting, 32 levels deep       -ECHILD      used in a forked child */
#ifndef FERRY_H
#define FERRY_H

#include <ferry/base.h>
#include <ferry/value.h>
#include <ferry/codec.h>
#include <ferry/message.h>
#include <ferry/address.h>
#include <ferry/loop.h>
#include <ferry/session.h>
#include <ferry/service.h>
#include <ferry/process.h>
#include <ferry/channel.h>
#include <ferry/store.h>
#include <ferry/ipc.h>

FERRY_BEGIN

/* The version of these headers; and of the library that runs. */
#define FERRY_VERSION "0.1.0"
const char *ferry_version(void);

FERRY_END

#endif
