/**
 * @file
 * Channels: records or bytes between processes, without sessions. One interface for the kernel's own ways to move data.
 *
 * address  | unit    | both ways | order | stays        | largest record
 * -------- | ------- | --------- | ----- | ------------ | --------------------------------------------------
 * `udp:`   | records | answers   | no    | no           | 65,507 bytes (IPv6: 65,527); may be lost on the way
 * `udg:`   | records | answers   | yes   | no           | what the sender's socket buffer holds, 212,960 by default; received up to 1 MiB
 * `tcp:`   | bytes   | yes       | yes   | no           | -
 * `unix:`  | bytes   | yes       | yes   | no           | -
 * `fifo:`  | bytes   | no        | yes   | no           | - (up to 4,096 bytes are written in one piece)
 * `msgq:`  | records | no        | yes   | until removed | 8,192 bytes by default (`kernel.msgmax`)
 * `mqueue:`| records | no        | by priority | until removed | 8,192 bytes by default (`record_max`)
 *
 * A channel is opened at one end: FERRY_RECEIVE binds, listens, or makes the object; FERRY_SEND connects or sends to it.
 * Opening never blocks. Where the other end may come later, `wait_ms` says how long the first send waits for it.
 *
 * WAITING. A timeout is in milliseconds: 0 does not wait, -1 waits forever, less is -EINVAL. A wait runs the loop, so the program's other
 * sessions, services and channels are served meanwhile. SysV queues have no descriptor: a wait there tries again after
 * 1 ms, then at growing distances up to 10 ms; so does a sender whose receiver (`udg:`) has no room. All other waits sleep
 * until the kernel reports a change.
 *
 * OWNERS. Unix sockets, FIFOs and queues must belong to the program's user or to root, else -EACCES: another user's object
 * under the same name is never used. A mode that lets other users in is accepted and shown by ferry_channel_info()
 * (`is_wide`), or refused with `is_strict`. Peers of unix sockets are checked by their credentials.
 *
 * WHAT STAYS. A socket file and a FIFO go with the channel that made them. A socket file that is removed by another program is bound
 * again while the loop runs or a call waits, and what had come before is received first; where that is not possible the channel fails. Several readers of one FIFO share its bytes. Queues stay until ferry_channel_remove().
 *
 * FAILURE STICKS, as everywhere in ferry: a channel that could not be opened takes every call and returns its error.
 */
#ifndef FERRY_CHANNEL_H
#define FERRY_CHANNEL_H

#include <ferry/address.h>
#include <ferry/codec.h>
#include <ferry/loop.h>

FERRY_BEGIN

/** The two ends of a channel. */
enum ferry_channel_end {
        FERRY_SEND,             /**< connects to the other end, or sends to it */
        FERRY_RECEIVE,          /**< binds or listens; makes a FIFO, a queue, or the key file of a queue, if it is missing */
};

/**
 * Decides whether a peer with another user than the program's own and root may connect to, or send to, this channel.
 *
 * @param channel   the channel
 * @param peer      the peer's credentials; valid until the callback returns
 * @param userdata  as given in the options
 * @return true if it may
 */
typedef bool ferry_channel_allow_fn(ferry_channel *channel, const ferry_peer *peer, void *userdata);

/** How a channel is opened. Zero selects the default shown in parentheses. Strings are copied. */
typedef struct ferry_channel_options {
        size_t size;            /**< sizeof(ferry_channel_options); 0 means this version's */
        unsigned mode;          /**< permission bits of what the call makes, whatever the umask (0600) */
        int wait_ms;            /**< how long the first send, or connecting, waits for the other end, in ms; -1: forever (0) */
        bool is_strict;         /**< fifo, udg, queues: refuse objects whose mode lets other users in (accept, and show it) */
        bool is_creating;       /**< FERRY_SEND: make the FIFO, or the queue and its key file, if missing (FERRY_RECEIVE always
                                 * does) */
        bool is_public;         /**< udp, tcp: listen at an address that other machines can reach (refuse) */
        bool is_broadcast;      /**< udp: sending to broadcast addresses (refuse) */
        int multicast_ttl;      /**< udp: how many routers a multicast record may pass, 1 to 255 (1: none) */
        const char *interface;  /**< udp: the network interface that multicast leaves by, at either end; required for it (NULL) */
        size_t record_max;      /**< mqueue that is made: bytes of its largest record (the system's default, 8,192) */
        size_t records_max;     /**< mqueue that is made: how many records it holds (the system's default, 10) */
        size_t bytes_max;       /**< msgq that is made: how many bytes it holds (the system's default, 16,384) */
        const ferry_codec *codec; /**< of ferry_channel_send_value() and ferry_channel_receive_value(); must outlive the
                                 * channel (ferry_codec_php(), which PHP's msg_send() uses) */
        ferry_channel_allow_fn *allow; /**< unix, udg: which other users may connect or send (none) */
        void *allow_userdata;   /**< for @a allow */
} ferry_channel_options;

/**
 * Opens one end of a channel. The channel belongs to the loop. The call does not block.
 *
 * @param loop     the loop
 * @param address  udp:, udg:, tcp:, unix:, fifo:, msgq: or mqueue:, see address.h; copied
 * @param end      which end
 * @param options  NULL selects all defaults
 * @return the channel. If it could not be opened it has failed: ferry_channel_status() and ferry_channel_error() say why,
 * and every call returns that error. NULL only if there is no memory.
 * Errors that a channel can fail with:
 * -EINVAL (no address of a channel, or a wrong option), -ENAMETOOLONG (a path over 107 bytes), -EACCES (the object belongs
 * to another user, or its mode is too wide for @a is_strict, or the address is public), -EADDRINUSE (another process is
 * bound there; the sentence names it), -ENOENT (a queue does not exist), -ENOTSUP (the object at that path is of another
 * kind), -ECONNREFUSED (no process listens), -ENXIO (no process reads the FIFO), -ENOSPC (the system's limit of queues),
 * -EMFILE, -ENOMEM, -ECHILD (the loop belongs to the parent of this process)
 */
ferry_channel *ferry_channel_open(ferry_loop *loop, const char *address, enum ferry_channel_end end,
                                  const ferry_channel_options *options);

/**
 * Closes a channel. A socket file or FIFO that it made is removed; a queue stays.
 *
 * Bytes that were sent on a tcp or unix channel still reach the peer.
 *
 * @param channel  the channel; NULL is allowed
 * @return NULL
 */
ferry_channel *ferry_channel_free(ferry_channel *channel);

/**
 * Sends one record, or bytes.
 *
 * A record is sent whole or not at all. Of bytes fewer than @p size may have been sent when the time is over; then
 * their number is returned, and the rest can be sent later.
 *
 * @param channel     the channel
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room
 * @return how many bytes were sent: @p size for a record; or a negative errno
 * @retval -EMSGSIZE      the record is larger than ferry_channel_record_max(); nothing was sent
 * @retval -ETIMEDOUT     there was no room within the time; nothing was sent
 * @retval -ECONNREFUSED  no process is bound there (any more)
 * @retval -ENOENT        the socket file or queue does not exist
 * @retval -ENXIO         no process reads the FIFO
 * @retval -EPIPE         the peer reads no more
 * @retval -EIDRM         the queue was removed
 * @retval -EDESTADDRREQ  FERRY_RECEIVE: there is no destination; use ferry_channel_reply() or ferry_channel_send_to()
 * @retval -ECANCELED     a callback has freed the channel during the wait
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -EOPNOTSUPP    this end cannot send
 */
ssize_t ferry_channel_send(ferry_channel *channel, const void *bytes, size_t size, int timeout_ms);

/**
 * Receives one record, or bytes.
 *
 * A record that is larger than the buffer is not lost and not cut: the call returns -EMSGSIZE, and the next call with a
 * large enough buffer returns it. ferry_channel_record_max() is always enough.
 *
 * @param channel     the channel
 * @param buffer      where to put them
 * @param size        of the buffer in bytes; for a byte channel at least 1
 * @param timeout_ms  how long to wait
 * @return how many bytes were received. For a byte channel 0 means that the peer has closed its end; for a record channel
 * 0 is an empty record. Or a negative errno
 * @retval -ETIMEDOUT   nothing came within the time
 * @retval -EMSGSIZE    the record is larger than @p size
 * @retval -ECONNRESET  the connection was broken
 * @retval -EIDRM       the queue was removed
 * @retval -EOPNOTSUPP  this end cannot receive
 * @retval -ECANCELED   a callback has freed the channel during the wait
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 */
ssize_t ferry_channel_receive(ferry_channel *channel, void *buffer, size_t size, int timeout_ms);

/**
 * Sends one record from a datagram channel (udp, udg) to another address than the one the channel was opened with.
 *
 * @param channel     the channel
 * @param address     of the same kind as the channel's
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room
 * @return @p size, or a negative errno as of ferry_channel_send()
 * @retval -EINVAL      it is no address of that kind, or multicast, and the options of the channel name no interface
 * @retval -EOPNOTSUPP  the channel has no datagrams
 */
ssize_t ferry_channel_send_to(ferry_channel *channel, const char *address, const void *bytes, size_t size, int timeout_ms);

/**
 * Sends one record to the sender of the record that was received last (udp, udg).
 *
 * @param channel     the channel
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room
 * @return @p size, or a negative errno as of ferry_channel_send()
 * @retval -EDESTADDRREQ  nothing was received yet, or its sender has no address. Channels of ferry always have one, which
 *                        PHP cannot answer; a socket of PHP has one after socket_bind()
 * @retval -EOPNOTSUPP    the channel has no datagrams
 */
ssize_t ferry_channel_reply(ferry_channel *channel, const void *bytes, size_t size, int timeout_ms);

/**
 * Returns the address of the sender of the record that was received last (udp, udg).
 *
 * @param channel  the channel; NULL is allowed
 * @return the address, good until the next record; "" if there is none. A socket in the abstract namespace is udg:@NAME,
 * with bytes that cannot be printed as \\xNN
 */
const char *ferry_channel_sender(ferry_channel *channel);

/**
 * Returns the credentials of the peer: of the sender of the record received last (udg), or of the process at the other
 * end (unix).
 *
 * @param channel  the channel; NULL is allowed
 * @return its process, user and group; pid -1 if nothing is known
 */
ferry_peer ferry_channel_peer(const ferry_channel *channel);

/**
 * Sends one record with a type (msgq) or priority (mqueue) to a queue.
 *
 * @param channel     the channel
 * @param type        msgq: the type, at least 1; mqueue: the priority, 0 to 32,767, the highest is received first
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room
 * @return @p size, or a negative errno as of ferry_channel_send(), which uses type 1 or priority 0
 * @retval -EINVAL      the type is out of range
 * @retval -EOPNOTSUPP  the channel has no types
 */
ssize_t ferry_channel_send_typed(ferry_channel *channel, long type, const void *bytes, size_t size, int timeout_ms);

/**
 * Receives one record of a type from a queue, and its type.
 *
 * A record of a msgq that is larger than the buffer stays in the queue.
 *
 * @param channel     the channel
 * @param type        msgq: 0 is the first record of any type, a positive number the first of that type, a negative number
 *                    the first of the lowest type up to its absolute value. mqueue: 0, always the highest priority
 * @param ret_type    where to put its type or priority; NULL is allowed
 * @param buffer      where to put the record
 * @param size        of the buffer in bytes
 * @param timeout_ms  how long to wait
 * @return its size in bytes, or a negative errno as of ferry_channel_receive()
 * @retval -EINVAL      mqueue: the type is not 0
 * @retval -EOPNOTSUPP  the channel has no types
 */
ssize_t ferry_channel_receive_typed(ferry_channel *channel, long type, long *ret_type, void *buffer, size_t size,
                                    int timeout_ms);

/**
 * Sends a value as one record, encoded by the channel's codec: with the default, what PHP's msg_send() sends.
 *
 * ferry_codec_plain() sends what msg_send() sends without serializing.
 *
 * @param channel     the channel, of records
 * @param type        as of ferry_channel_send_typed(); 0 is the default of ferry_channel_send()
 * @param timeout_ms  how long to wait for room
 * @param format      a template for the value, see value.h; arguments are borrowed until the call returns
 * @return 0, or a negative errno as of ferry_channel_send_typed()
 * @retval -EINVAL      the template is malformed
 * @retval -EILSEQ      the codec cannot write that value
 * @retval -EDOM        the codec cannot write that number
 * @retval -EOPNOTSUPP  the channel has bytes, not records
 */
int ferry_channel_send_value(ferry_channel *channel, long type, int timeout_ms, const char *format, ...)
        FERRY_PRINTF(4, 5);

/**
 * Sends a value as one record, as ferry_channel_send_value(), without a template.
 *
 * @param channel     the channel, of records
 * @param type        as of ferry_channel_send_value()
 * @param timeout_ms  how long to wait for room
 * @param value       borrowed until the call returns
 * @return 0, or a negative errno as of ferry_channel_send_value()
 * @retval -EINVAL  the value is NULL
 */
int ferry_channel_send_value_value(ferry_channel *channel, long type, int timeout_ms, const ferry_value *value);

/**
 * Receives one record and decodes it by the channel's codec: with the default, what PHP's msg_send() has sent.
 *
 * @param channel     the channel, of records
 * @param type        as of ferry_channel_receive_typed(); 0 is the next record
 * @param timeout_ms  how long to wait
 * @param ret_type    where to put its type or priority; NULL is allowed
 * @param ret_value   where to put the value, which the caller owns; NULL on failure
 * @return 0, or a negative errno as of ferry_channel_receive_typed()
 * @retval -EBADMSG     the record is not what the codec writes; it is consumed
 * @retval -EOPNOTSUPP  the channel has bytes, not records
 */
int ferry_channel_receive_value(ferry_channel *channel, long type, int timeout_ms, long *ret_type, ferry_value **ret_value);

/**
 * Accepts a connection to a channel that listens (tcp, unix).
 *
 * @param channel     a channel opened with FERRY_RECEIVE
 * @param timeout_ms  how long to wait for one
 * @return a channel of its own to that client, which belongs to the loop. It has failed if there was none: -ETIMEDOUT, or
 * -EOPNOTSUPP if the channel does not listen, the listener's own error, -EMFILE or -ENFILE if no descriptor is left for a client,
 * which waits on, -ENOMEM. NULL only if there is no memory, or a callback has freed the channel during the wait. Clients of other
 * users are disconnected, and counted (`refused` in ferry_channel_info())
 */
ferry_channel *ferry_channel_accept(ferry_channel *channel, int timeout_ms);

/**
 * Ends the sending direction: the peer receives the end of file, and can still send.
 *
 * @param channel  a channel of bytes
 * @return 0, or a negative errno
 * @retval -EOPNOTSUPP  the channel has no connection of two directions
 * @retval -ENOTCONN    it is not connected yet, or no more
 */
int ferry_channel_shutdown(ferry_channel *channel);

/**
 * Takes the descriptor of a connection (tcp, unix) out of a channel, and frees the channel. A session can go on there:
 * `ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (int[]){ fd, -1 } })`.
 *
 * @param channel  an accepted or connected channel of which no bytes wait to be received
 * @return the descriptor, which the caller owns; or a negative errno, and then the channel is as before
 * @retval -EOPNOTSUPP  it is no connection
 * @retval -ENOTCONN    it is not connected yet, or no more
 */
int ferry_channel_detach(ferry_channel *channel);

/**
 * Joins a multicast group (udp, FERRY_RECEIVE).
 *
 * @param channel    the channel, opened with `is_public` at the group's port, as at udp:0.0.0.0:PORT or at the group itself
 * @param group      its address in numbers: 239.1.2.3, or ff15::1 with or without brackets
 * @param interface  the name of the network interface, such as "eth0"; required, so that the group is not joined by chance
 *                   on whichever network the default route leads to
 * @return 0, or a negative errno
 * @retval -EINVAL      it is no multicast address, or of the other family, or no interface is given
 * @retval -ENODEV      there is no such interface
 * @retval -EADDRINUSE  it is joined already
 * @retval -EOPNOTSUPP  the channel is not udp
 */
int ferry_channel_join(ferry_channel *channel, const char *group, const char *interface);

/**
 * Leaves a multicast group.
 *
 * @param channel    the channel
 * @param group      as in ferry_channel_join()
 * @param interface  as in ferry_channel_join()
 * @return 0, or a negative errno as of ferry_channel_join()
 * @retval -EADDRNOTAVAIL  it is not joined
 */
int ferry_channel_leave(ferry_channel *channel, const char *group, const char *interface);

/**
 * Returns the descriptor for poll(2) or ferry_loop_watch(): readable when a record, bytes, or a connection can be received.
 *
 * @param channel  the channel; NULL is allowed
 * @return the descriptor, which stays the channel's; or a negative errno
 * @retval -EOPNOTSUPP  a SysV queue has none
 * @retval -ENOTCONN    it is not connected yet, or no more
 */
int ferry_channel_fd(const ferry_channel *channel);

/**
 * Returns the largest record that can be sent (FERRY_SEND) or received (FERRY_RECEIVE).
 *
 * @param channel  the channel; NULL is allowed
 * @return bytes; SIZE_MAX for a channel of bytes and for one whose queue does not exist yet, 0 for one that has failed
 */
size_t ferry_channel_record_max(const ferry_channel *channel);

/**
 * Tells all that is known of a channel: what it can do, and what the kernel says of it.
 *
 * @param channel  the channel; NULL is allowed
 * @return a map, which the caller owns; NULL if there is no memory. What is not known, or does not apply, is null:
 * kind, address, end (`send` or `receive`), is_records, is_two_way, is_ordered, is_persistent (survives its maker),
 * record_max, uid, mode, is_wide (other users are let in), refused (records and clients of other users);
 * of queues records, records_max, bytes, bytes_max; of a msgq also id, key, sent, received, changed (seconds since 1970),
 * last_sender and last_receiver (pids)
 */
ferry_value *ferry_channel_info(const ferry_channel *channel);

/**
 * Changes the permissions and the capacity of a queue (msgq; permissions also of an mqueue).
 *
 * @param channel    the channel
 * @param mode       permission bits; 0 leaves them
 * @param bytes_max  msgq: how many bytes it holds; 0 leaves it. Only root can go beyond the system's limit
 * @return 0, or a negative errno
 * @retval -EPERM       only its owner can change it, or only root the capacity
 * @retval -EOPNOTSUPP  the channel is no queue, or an mqueue, whose capacity is fixed
 */
int ferry_channel_limit(ferry_channel *channel, unsigned mode, size_t bytes_max);

/**
 * Removes the queue or FIFO of a channel. Records in it are lost; other channels to it end with -EIDRM (msgq), or go on
 * until they are closed (mqueue, fifo).
 *
 * @param channel  the channel
 * @return 0, or a negative errno
 * @retval -EPERM       only its owner can remove it
 * @retval -EIDRM       it was removed already
 * @retval -ENOENT      it was removed already
 * @retval -EOPNOTSUPP  sockets go with their channel
 */
int ferry_channel_remove(ferry_channel *channel);

/**
 * Waits until there is another end at an address, without connecting or sending: a socket that is bound (udp, udg) or
 * listens (tcp, unix), a FIFO or queue that exists. udp and tcp must be at an address of this machine. The wait runs the
 * loop. Where the kernel reports no change it looks again after 1 ms, then at growing distances, up to 500 ms.
 *
 * @param loop        the loop
 * @param address     the address of a channel
 * @param timeout_ms  how long to wait
 * @return 0, or a negative errno
 * @retval -ETIMEDOUT     there was none within the time
 * @retval -EINVAL        it is no address of a channel, or the timeout is below -1, which ferry_loop_error() says
 * @retval -ENAMETOOLONG  its path is too long
 * @retval -EACCES        the path cannot be looked at
 * @retval -EADDRNOTAVAIL the host is another machine, of which this cannot be known
 */
int ferry_channel_wait(ferry_loop *loop, const char *address, int timeout_ms);

/**
 * Returns the address in full: with the port that was chosen, or the identifier of a private queue.
 *
 * @param channel  the channel; NULL is allowed
 * @return the address, never NULL; of an accepted tcp connection that of the client
 */
const char *ferry_channel_address(const ferry_channel *channel);

/**
 * Returns the state of a channel.
 *
 * @param channel  the channel; NULL has failed with -ENOMEM
 * @return 1 while it can be used, 0 after its connection has ended in order, or the negative errno it failed with
 */
int ferry_channel_status(const ferry_channel *channel);

/**
 * Returns a sentence about the last call that failed, or why the channel has failed.
 *
 * @param channel  the channel; NULL is allowed
 * @return the sentence, never NULL; good until the next call
 */
const char *ferry_channel_error(const ferry_channel *channel);

FERRY_DEFINE_AUTO(ferry_channel, ferry_channel_free)

FERRY_END

#endif
