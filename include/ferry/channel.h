/**
 * @file
 * Channels: records or bytes between processes, without sessions.
 *
 * A channel is one interface to the kernel's own ways to move data.
 *
 * address  | unit    | both ways | order | stays        | largest record
 * -------- | ------- | --------- | ----- | ------------ | --------------------------------------------------
 * `udp:`   | records | answers   | no    | no           | 65,507 bytes (IPv6: 65,527); may be lost on the way
 * `udg:`   | records | answers   | yes   | no           | the sender's buffer: 212,960 by default; received up to 1 MiB
 * `tcp:`   | bytes   | yes       | yes   | no           | -
 * `unix:`  | bytes   | yes       | yes   | no           | -
 * `fifo:`  | bytes   | no        | yes   | no           | - (up to 4,096 bytes are written in one piece)
 * `msgq:`  | records | no        | yes   | until removed | 8,192 bytes by default (`kernel.msgmax`)
 * `mqueue:`| records | no        | by priority | until removed | 8,192 bytes by default (`record_max`)
 *
 * A channel is opened at one end: FERRY_RECEIVE binds, listens, or makes the object; FERRY_SEND connects or sends to it.
 * Opening never blocks. If the other end may be opened later, `wait_ms` says how long the first send waits for it. A channel that
 * could not be opened accepts every call and returns its errno.
 *
 * # Waiting
 *
 * A timeout is in milliseconds: 0 does not wait, -1 waits forever, other negative numbers are -EINVAL. A wait runs the loop, so
 * the program's other sessions, services and channels make progress meanwhile. SysV queues have no descriptor: a wait tries again
 * after 1 ms, then at growing intervals of up to 10 ms; so does a sender whose receiver (`udg:`) has no room. All other waits
 * sleep until the kernel reports a change.
 *
 * # Owners
 *
 * Unix sockets, FIFOs and queues must belong to the program's user or to root; otherwise they are refused with -EACCES, so
 * another user's object under the same name is never used. A mode that lets other users in is accepted and shown by
 * ferry_channel_info() (`is_wide`), or refused with `is_strict`. Peers of unix sockets are checked by their credentials.
 *
 * # Lifetime
 *
 * A socket file and a FIFO are removed with the channel that made them. A socket file that another program removes is bound again
 * while the loop runs or a call waits, and records that were sent before are received first; if it cannot be bound again, the
 * channel fails. Several readers of one FIFO share its bytes. Queues stay until ferry_channel_remove().
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
        FERRY_RECEIVE,          /**< binds or listens; makes a missing FIFO, queue, or key file of a queue */
};

/**
 * Decides whether a peer may connect to, or send to, a channel. Called for peers whose user is neither the program's own nor
 * root.
 *
 * @param channel   the channel
 * @param peer      the peer's credentials; valid until the callback returns
 * @param userdata  `allow_userdata` of the options
 * @return true if the peer may
 */
typedef bool ferry_channel_allow_fn(ferry_channel *channel, const ferry_peer *peer, void *userdata);

/**
 * How a channel is opened. Zero selects the default shown in parentheses.
 *
 * Pointers must stay valid until the function returns, see ferry.h; `codec` as long as the channel.
 */
typedef struct ferry_channel_options {
        size_t size;            /**< sizeof(ferry_channel_options); 0 means this version's */
        unsigned mode;          /**< permission bits of a new socket file, FIFO or queue, not changed by the umask (0600) */
        int wait_ms;            /**< how long the first send, or connecting, waits for the other end, in ms; -1: forever (no
                                 * wait) */
        bool is_strict;         /**< fifo, udg, queues: refuse objects whose mode lets other users in (accept them) */
        bool is_creating;       /**< FERRY_SEND: make a missing FIFO, queue or key file, as FERRY_RECEIVE always does (no) */
        bool is_public;         /**< udp, tcp: listen at an address that other machines can reach (refuse) */
        bool is_broadcast;      /**< udp: allow sending to broadcast addresses (refuse) */
        int multicast_ttl;      /**< udp: how many routers a multicast record may pass, 1 to 255 (1: none) */
        const char *interface;  /**< udp: the network interface for sending multicast records, at either end; required for them
                                 * (none) */
        size_t record_max;      /**< new mqueue: bytes of its largest record (the system's default, 8,192) */
        size_t records_max;     /**< new mqueue: how many records it can hold (the system's default, 10) */
        size_t bytes_max;       /**< new msgq: how many bytes it can hold (the system's default, 16,384) */
        const ferry_codec *codec; /**< the codec of ferry_channel_send_value() and ferry_channel_receive_value(); must outlive the
                                 * channel (ferry_codec_php(), as PHP's msg_send()) */
        ferry_channel_allow_fn *allow; /**< unix, udg: decides which other users may connect or send (none) */
        void *allow_userdata;   /**< for `allow` */
} ferry_channel_options;

/**
 * Opens one end of a channel. The channel belongs to the loop.
 *
 * The call does not block. A channel that could not be opened has failed: ferry_channel_status() returns its errno, and
 * ferry_channel_error() a sentence. Every call returns that errno.
 *
 * @param loop     the loop
 * @param address  udp:, udg:, tcp:, unix:, fifo:, msgq: or mqueue:, see address.h; copied
 * @param end      which end
 * @param options  NULL selects all defaults
 * @return the channel; NULL only if the loop is NULL or belongs to another thread, or if there is no memory
 */
ferry_channel *ferry_channel_open(ferry_loop *loop, const char *address, enum ferry_channel_end end,
                                  const ferry_channel_options *options);

/**
 * Closes a channel.
 *
 * A socket file or FIFO that the channel made is removed; a queue stays. Bytes that were sent on a tcp or unix channel still
 * reach the peer. Without this call the channel is freed with its loop.
 *
 * @param channel  the channel; NULL is allowed
 * @return NULL
 */
ferry_channel *ferry_channel_free(ferry_channel *channel);

/**
 * Sends one record, or bytes.
 *
 * A record is sent whole or not at all. If the time is over after a part of the bytes was sent, the call returns the number of
 * bytes that were sent, and the rest can be sent later.
 *
 * @param channel     the channel
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room, in ms; -1: forever; 0: do not wait
 * @return the number of bytes that were sent: @p size for a record; or a negative errno: that with which the channel has failed,
 * see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT     there was no room within the time, and nothing was sent
 * @retval -EINVAL        the timeout is below -1
 * @retval -ECANCELED     a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -EMSGSIZE      the record is larger than ferry_channel_record_max(), and nothing was sent
 * @retval -ECONNREFUSED  no process is bound there, or no longer
 * @retval -ENOENT        the socket file or queue does not exist
 * @retval -ENXIO         no process reads the FIFO
 * @retval -EPIPE         the peer reads no more
 * @retval -ECONNRESET    the connection was broken
 * @retval -EIDRM         the queue was removed
 * @retval -EACCES        the other end belongs to another user, or may not be written
 * @retval -EDESTADDRREQ  FERRY_RECEIVE: there is no destination; use ferry_channel_reply() or ferry_channel_send_to()
 * @retval -EOPNOTSUPP    this end cannot send
 * @retval -ENOMEM        the channel is NULL, or there is no memory
 * @retval -EPERM         the channel belongs to another thread
 * @retval -ECHILD        the channel belongs to the parent of this process
 */
ssize_t ferry_channel_send(ferry_channel *channel, const void *bytes, size_t size, int timeout_ms);

/**
 * Receives one record, or bytes.
 *
 * A record that is larger than the buffer is not lost and not cut: the call returns -EMSGSIZE, and the next call with a large
 * enough buffer returns the record. A buffer of ferry_channel_record_max() bytes is always large enough.
 *
 * @param channel     the channel
 * @param buffer      where to put the bytes
 * @param size        of the buffer in bytes; for a byte channel at least 1
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return the number of bytes that were received; or a negative errno: that with which the channel has failed, see
 * ferry_channel_status(), or one of these. For a byte channel 0 means that the peer has closed its end; for a record channel 0 is
 * an empty record
 * @retval -ETIMEDOUT   nothing was received within the time
 * @retval -EMSGSIZE    the record is larger than @p size
 * @retval -ECONNRESET  the connection was broken
 * @retval -EIDRM       the queue was removed
 * @retval -EINVAL      the timeout is below -1, or the size for a byte channel is 0
 * @retval -EOPNOTSUPP  this end cannot receive
 * @retval -ECANCELED   a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 * @retval -ENOMEM      the channel is NULL, or there is no memory
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
ssize_t ferry_channel_receive(ferry_channel *channel, void *buffer, size_t size, int timeout_ms);

/**
 * Sends one record from a datagram channel (udp, udg) to another address than that of the channel.
 *
 * @param channel     the channel
 * @param address     an address of the same kind as the channel's
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room, in ms; -1: forever; 0: do not wait
 * @return @p size, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT     there was no room within the time, and nothing was sent
 * @retval -EINVAL        the text is not an address of that kind; the address is multicast, and the options of the channel name
 *                        no interface; or the timeout is below -1
 * @retval -ECANCELED     a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -EMSGSIZE      the record is larger than ferry_channel_record_max(), and nothing was sent
 * @retval -ECONNREFUSED  no process is bound there, or no longer
 * @retval -ENOENT        the socket file or queue does not exist
 * @retval -EACCES        the other end belongs to another user, or may not be written
 * @retval -EOPNOTSUPP    the channel has no datagrams
 * @retval -ENOMEM        the channel is NULL, or there is no memory
 * @retval -EPERM         the channel belongs to another thread
 * @retval -ECHILD        the channel belongs to the parent of this process
 */
ssize_t ferry_channel_send_to(ferry_channel *channel, const char *address, const void *bytes, size_t size, int timeout_ms);

/**
 * Sends one record to the sender of the record that was received last (udp, udg).
 *
 * @param channel     the channel
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room, in ms; -1: forever; 0: do not wait
 * @return @p size, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT     there was no room within the time, and nothing was sent
 * @retval -EINVAL        the timeout is below -1
 * @retval -ECANCELED     a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -EMSGSIZE      the record is larger than ferry_channel_record_max(), and nothing was sent
 * @retval -ECONNREFUSED  no process is bound there, or no longer
 * @retval -ENOENT        the socket file or queue does not exist
 * @retval -EACCES        the other end belongs to another user, or may not be written
 * @retval -EDESTADDRREQ  nothing was received yet, or its sender has no address. A channel of ferry always has one, which PHP
 *                        cannot answer; a socket of PHP has one after socket_bind()
 * @retval -EOPNOTSUPP    the channel has no datagrams
 * @retval -ENOMEM        the channel is NULL, or there is no memory
 * @retval -EPERM         the channel belongs to another thread
 * @retval -ECHILD        the channel belongs to the parent of this process
 */
ssize_t ferry_channel_reply(ferry_channel *channel, const void *bytes, size_t size, int timeout_ms);

/**
 * Returns the address of the sender of the record that was received last (udp, udg).
 *
 * A socket in the abstract namespace is udg:\@NAME, with bytes that cannot be printed as `\xNN`.
 *
 * @param channel  the channel; NULL is allowed
 * @return the address, valid until the next record; "" if there is none
 */
const char *ferry_channel_sender(ferry_channel *channel);

/**
 * Returns the credentials of the peer: of the sender of the record received last (udg), or of the process at the other end
 * (unix).
 *
 * @param channel  the channel; NULL is allowed
 * @return its process, user and group; pid -1 if nothing is known
 */
ferry_peer ferry_channel_peer(const ferry_channel *channel);

/**
 * Sends one record with a type (msgq) or priority (mqueue) to a queue.
 *
 * ferry_channel_send() uses type 1 or priority 0.
 *
 * @param channel     the channel
 * @param type        msgq: the type, at least 1; mqueue: the priority, 0 to 32,767; the highest is received first
 * @param bytes       the record; may be NULL if @p size is 0
 * @param size        in bytes
 * @param timeout_ms  how long to wait for room, in ms; -1: forever; 0: do not wait
 * @return @p size, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT   there was no room within the time, and nothing was sent
 * @retval -EINVAL      the type is out of range, or the timeout is below -1
 * @retval -ECANCELED   a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 * @retval -EMSGSIZE    the record is larger than ferry_channel_record_max(), and nothing was sent
 * @retval -ENOENT      the queue does not exist
 * @retval -EIDRM       the queue was removed
 * @retval -EACCES      the queue belongs to another user, or may not be written
 * @retval -EOPNOTSUPP  the channel has no types, or this end cannot send
 * @retval -ENOMEM      the channel is NULL, or there is no memory
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
ssize_t ferry_channel_send_typed(ferry_channel *channel, long type, const void *bytes, size_t size, int timeout_ms);

/**
 * Receives one record of a type from a queue, and its type.
 *
 * A record of a msgq that is larger than the buffer stays in the queue.
 *
 * @param channel     the channel
 * @param type        msgq: 0 selects the first record of any type, a positive number the first record of that type, a negative
 *                    number the first record of the lowest type up to its absolute value. mqueue: 0, always the highest priority
 * @param ret_type    where to put its type or priority; NULL is allowed
 * @param buffer      where to put the record
 * @param size        of the buffer in bytes
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return its size in bytes, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of
 * these
 * @retval -ETIMEDOUT   nothing was received within the time
 * @retval -EMSGSIZE    the record is larger than @p size
 * @retval -EIDRM       the queue was removed
 * @retval -EINVAL      mqueue: the type is not 0; or the timeout is below -1
 * @retval -EOPNOTSUPP  the channel has no types, or this end cannot receive
 * @retval -ECANCELED   a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 * @retval -ENOMEM      the channel is NULL, or there is no memory
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
ssize_t ferry_channel_receive_typed(ferry_channel *channel, long type, long *ret_type, void *buffer, size_t size,
                                    int timeout_ms);

/**
 * Sends a value as one record, encoded by the channel's codec: with the default, what PHP's msg_send() sends.
 *
 * ferry_codec_plain() sends what msg_send() sends without serializing.
 *
 * @param channel     the channel, of records
 * @param type        as for ferry_channel_send_typed(); 0 selects type 1 or priority 0
 * @param timeout_ms  how long to wait for room, in ms; -1: forever; 0: do not wait
 * @param format      a template for the value, see value.h; NULL is null; arguments are borrowed until the call returns
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT     there was no room within the time, and nothing was sent
 * @retval -EINVAL        the template is malformed, the type is out of range, or the timeout is below -1
 * @retval -ECANCELED     a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -EMSGSIZE      the record is larger than ferry_channel_record_max(), and nothing was sent
 * @retval -ECONNREFUSED  no process is bound there, or no longer
 * @retval -ENOENT        the socket file or queue does not exist
 * @retval -EIDRM         the queue was removed
 * @retval -EACCES        the other end belongs to another user, or may not be written
 * @retval -EDESTADDRREQ  FERRY_RECEIVE: there is no destination; use ferry_channel_reply() or ferry_channel_send_to()
 * @retval -EOPNOTSUPP    the channel has bytes, not records; it has no types; or this end cannot send
 * @retval -ENOMEM        the channel is NULL, or there is no memory
 * @retval -EPERM         the channel belongs to another thread
 * @retval -ECHILD        the channel belongs to the parent of this process
 * @retval -EILSEQ        the codec cannot write a part of the value
 * @retval -EDOM          the codec cannot write a number of the value
 */
int ferry_channel_send_value(ferry_channel *channel, long type, int timeout_ms, const char *format, ...)
        FERRY_PRINTF(4, 5);

/**
 * Sends a value as one record, as ferry_channel_send_value(), without a template.
 *
 * @param channel     the channel, of records
 * @param type        as for ferry_channel_send_typed(); 0 selects type 1 or priority 0
 * @param timeout_ms  how long to wait for room, in ms; -1: forever; 0: do not wait
 * @param value       the value; borrowed until the call returns
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT     there was no room within the time, and nothing was sent
 * @retval -EINVAL        the value is NULL, the type is out of range, or the timeout is below -1
 * @retval -ECANCELED     a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK       waiting within waiting, 32 levels deep
 * @retval -EMSGSIZE      the record is larger than ferry_channel_record_max(), and nothing was sent
 * @retval -ECONNREFUSED  no process is bound there, or no longer
 * @retval -ENOENT        the socket file or queue does not exist
 * @retval -EIDRM         the queue was removed
 * @retval -EACCES        the other end belongs to another user, or may not be written
 * @retval -EDESTADDRREQ  FERRY_RECEIVE: there is no destination; use ferry_channel_reply() or ferry_channel_send_to()
 * @retval -EOPNOTSUPP    the channel has bytes, not records; it has no types; or this end cannot send
 * @retval -ENOMEM        the channel is NULL, or there is no memory
 * @retval -EPERM         the channel belongs to another thread
 * @retval -ECHILD        the channel belongs to the parent of this process
 * @retval -EILSEQ        the codec cannot write a part of the value
 * @retval -EDOM          the codec cannot write a number of the value
 */
int ferry_channel_send_value_value(ferry_channel *channel, long type, int timeout_ms, const ferry_value *value);

/**
 * Receives one record and decodes it by the channel's codec: with the default, what PHP's msg_send() has sent.
 *
 * @param channel     the channel, of records
 * @param type        as for ferry_channel_receive_typed(); 0 selects the next record
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @param ret_type    where to put its type or priority; NULL is allowed
 * @param ret_value   where to put the value, which the caller owns; NULL on failure
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -ETIMEDOUT   nothing was received within the time
 * @retval -EMSGSIZE    the record exceeds a limit of the codec
 * @retval -EIDRM       the queue was removed
 * @retval -EINVAL      mqueue: the type is not 0; or the timeout is below -1
 * @retval -EOPNOTSUPP  the channel has bytes, not records; it has no types; or this end cannot receive
 * @retval -ECANCELED   a callback has freed the channel or the loop during the wait
 * @retval -EDEADLK     waiting within waiting, 32 levels deep
 * @retval -ENOMEM      the channel is NULL, or there is no memory
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 * @retval -EBADMSG     the codec cannot read the record, which is consumed
 */
int ferry_channel_receive_value(ferry_channel *channel, long type, int timeout_ms, long *ret_type, ferry_value **ret_value);

/**
 * Accepts a connection to a channel that listens (tcp, unix).
 *
 * Clients of other users are disconnected, and counted (`refused` in ferry_channel_info()). If there is no client, the new
 * channel has failed: ferry_channel_status() returns -ETIMEDOUT, -EOPNOTSUPP if the channel does not listen, -EINVAL for a
 * timeout below -1, -EMFILE or -ENFILE if no descriptor is left for a client, which waits on, -ENOMEM, or the errno with which
 * the listening channel has failed.
 *
 * @param channel     a channel opened with FERRY_RECEIVE; NULL is allowed
 * @param timeout_ms  how long to wait for a client, in ms; -1: forever; 0: do not wait
 * @return a channel of its own to that client, which belongs to the loop; NULL if the channel is NULL or belongs to another
 * thread, if a callback has freed it during the wait, or if there is no memory
 */
ferry_channel *ferry_channel_accept(ferry_channel *channel, int timeout_ms);

/**
 * Ends the sending direction: the peer receives the end of file, and can still send.
 *
 * @param channel  a channel of bytes
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -EOPNOTSUPP  the channel is not a connection with two directions
 * @retval -ENOTCONN    the channel is not connected yet, or no longer
 * @retval -ENOMEM      the channel is NULL
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
int ferry_channel_shutdown(ferry_channel *channel);

/**
 * Takes the descriptor of a connection (tcp, unix) out of a channel, and frees the channel.
 *
 * A session can continue there: `ferry_session_open(loop, NULL, &(ferry_session_options){ .fds = (int[]){ fd, -1 } })`. On
 * failure the channel is as before.
 *
 * @param channel  an accepted or connected channel without received bytes that the program has not read
 * @return the descriptor, which the caller owns; or a negative errno: that with which the channel has failed, see
 * ferry_channel_status(), or one of these
 * @retval -EOPNOTSUPP  the channel is not a connection
 * @retval -ENOTCONN    the channel is not connected yet, or no longer
 * @retval -ENOMEM      the channel is NULL, or there is no memory
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
int ferry_channel_detach(ferry_channel *channel);

/**
 * Joins a multicast group (udp, FERRY_RECEIVE).
 *
 * @param channel    the channel, opened with `is_public` at the group's port, as at udp:0.0.0.0:PORT or at the group itself
 * @param group      its address in numbers: 239.1.2.3, or ff15::1 with or without brackets
 * @param interface  the name of the network interface, such as "eth0"; required, so that the group is not joined by accident on
 *                   the network of the default route
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -EINVAL      the text is not a multicast address, the address is of the other family, or no interface is given
 * @retval -ENODEV      there is no such interface
 * @retval -EADDRINUSE  the channel has joined the group already
 * @retval -ENOBUFS     the system's limit of groups is reached
 * @retval -EOPNOTSUPP  the channel is not udp
 * @retval -ENOMEM      the channel is NULL, or there is no memory
 * @retval -EPERM       the channel belongs to another thread
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
int ferry_channel_join(ferry_channel *channel, const char *group, const char *interface);

/**
 * Leaves a multicast group.
 *
 * @param channel    the channel
 * @param group      as in ferry_channel_join()
 * @param interface  as in ferry_channel_join()
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -EADDRNOTAVAIL  the channel has not joined the group
 * @retval -EINVAL         the text is not a multicast address, the address is of the other family, or no interface is given
 * @retval -ENODEV         there is no such interface
 * @retval -EOPNOTSUPP     the channel is not udp
 * @retval -ENOMEM         the channel is NULL, or there is no memory
 * @retval -EPERM          the channel belongs to another thread
 * @retval -ECHILD         the channel belongs to the parent of this process
 */
int ferry_channel_leave(ferry_channel *channel, const char *group, const char *interface);

/**
 * Returns the descriptor for poll(2) or ferry_loop_watch(): readable when a record, bytes, or a connection can be received.
 *
 * @param channel  the channel; NULL has failed with -ENOMEM
 * @return the descriptor, which stays the channel's; or a negative errno: that with which the channel has failed, see
 * ferry_channel_status(), or one of these
 * @retval -EOPNOTSUPP  a SysV queue has no descriptor
 * @retval -ENOTCONN    the channel is not connected yet, or no longer
 * @retval -ENOMEM      the channel is NULL
 * @retval -EPERM       the channel belongs to another thread
 */
int ferry_channel_fd(const ferry_channel *channel);

/**
 * Returns the size of the largest record that can be sent (FERRY_SEND) or received (FERRY_RECEIVE).
 *
 * @param channel  the channel; NULL is allowed
 * @return the size in bytes; SIZE_MAX for a channel of bytes and for a channel whose queue does not exist yet; 0 for a failed
 * channel
 */
size_t ferry_channel_record_max(const ferry_channel *channel);

/**
 * Returns everything that is known of a channel: what it can do, and what the kernel reports about it.
 *
 * The members of the map, null if they are not known or do not apply: kind, address, end (`send` or `receive`), is_records,
 * is_two_way, is_ordered, is_persistent (survives the process that made it), record_max, uid, mode, is_wide (other users have
 * access), refused (records and clients of other users); of queues records, records_max, bytes, bytes_max; of a msgq also id,
 * key, sent, received, changed (seconds since 1970), last_sender and last_receiver (pids).
 *
 * @param channel  the channel; NULL is allowed
 * @return a map, which the caller owns; NULL if there is no memory or no channel
 */
ferry_value *ferry_channel_info(const ferry_channel *channel);

/**
 * Changes the permissions and the capacity of a queue (msgq), or the permissions of an mqueue.
 *
 * @param channel    the channel
 * @param mode       permission bits; 0 leaves them
 * @param bytes_max  msgq: how many bytes it can hold; 0 leaves it. Only root can exceed the system's limit
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -EPERM       only the owner can change the queue, or only root its capacity; or the channel belongs to another thread
 * @retval -EINVAL      the mode or the capacity is out of range
 * @retval -EIDRM       the queue was removed
 * @retval -ENOENT      the queue does not exist
 * @retval -EOPNOTSUPP  the channel is not a queue, or it is an mqueue, whose capacity is fixed
 * @retval -ENOMEM      the channel is NULL
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
int ferry_channel_limit(ferry_channel *channel, unsigned mode, size_t bytes_max);

/**
 * Removes the queue or FIFO of a channel.
 *
 * Records in it are lost. Other channels to it end with -EIDRM (msgq), or continue until they are closed (mqueue, fifo).
 *
 * @param channel  the channel
 * @return 0, or a negative errno: that with which the channel has failed, see ferry_channel_status(), or one of these
 * @retval -EPERM       only the owner can remove it; or the channel belongs to another thread
 * @retval -EIDRM       it was already removed
 * @retval -ENOENT      it was already removed
 * @retval -EACCES      the directory of the FIFO may not be written
 * @retval -EOPNOTSUPP  the channel is a socket, which is removed with its channel
 * @retval -ENOMEM      the channel is NULL
 * @retval -ECHILD      the channel belongs to the parent of this process
 */
int ferry_channel_remove(ferry_channel *channel);

/**
 * Waits until there is another end at an address, without connecting or sending.
 *
 * The other end is a socket that is bound (udp, udg) or listens (tcp, unix), or a FIFO or queue that exists. udp and tcp must be
 * at an address of this machine. The wait runs the loop. Where the kernel reports no change, the call looks again after 1 ms,
 * then at growing intervals of up to 500 ms.
 *
 * @param loop        the loop; NULL has failed with -ENOMEM
 * @param address     the address of a channel
 * @param timeout_ms  how long to wait, in ms; -1: forever; 0: do not wait
 * @return 0, or a negative errno; ferry_loop_error() has the sentence
 * @retval -ETIMEDOUT      there is no other end after the time
 * @retval -ENOENT         a directory of the path does not exist
 * @retval -EIDRM          the queue was removed meanwhile
 * @retval -EADDRINUSE     the system cannot look at the port now
 * @retval -EINVAL         the text is not the address of a channel, or the timeout is below -1
 * @retval -ENAMETOOLONG   the path is too long
 * @retval -EACCES         the path cannot be looked at
 * @retval -EADDRNOTAVAIL  the host is another machine, of which this cannot be known
 * @retval -EDEADLK        waiting within waiting, 32 levels deep
 * @retval -ECANCELED      a callback has freed the loop
 * @retval -EMFILE         no descriptor is left
 * @retval -ENFILE         no descriptor is left in the whole system
 * @retval -ENOMEM         the loop is NULL, or there is no memory
 * @retval -EPERM          the loop belongs to another thread
 * @retval -ECHILD         the loop belongs to the parent of this process
 */
int ferry_channel_wait(ferry_loop *loop, const char *address, int timeout_ms);

/**
 * Returns the address in full: with the port that was selected, or the identifier of a private queue.
 *
 * @param channel  the channel; NULL is allowed
 * @return the address, never NULL, valid as long as the channel; of an accepted tcp connection that of the client
 */
const char *ferry_channel_address(const ferry_channel *channel);

/**
 * Returns the state of a channel.
 *
 * @param channel  the channel; NULL has failed with -ENOMEM
 * @return 1 if the channel can be used, 0 after its connection has ended in order, or the negative errno it has failed with
 * @retval -EINVAL         the address is not that of a channel, or an option is wrong
 * @retval -E2BIG          the options have a field that this version does not know
 * @retval -ENAMETOOLONG   the path is longer than 107 bytes, or the name of a queue than 254 bytes
 * @retval -EACCES         the object belongs to another user, its mode is too wide for `is_strict`, or the address is public
 * @retval -EADDRINUSE     another process is bound there; the sentence names it
 * @retval -EADDRNOTAVAIL  the host is another machine
 * @retval -ENOENT         the socket file, the queue or the directory does not exist
 * @retval -EEXIST         a file that is not a socket is in the way
 * @retval -ENOTSUP        the object at that path is of another kind
 * @retval -ECONNREFUSED   no process listens
 * @retval -ENXIO          no process reads the FIFO
 * @retval -ENODEV         there is no such network interface
 * @retval -ENETUNREACH    the network cannot be reached
 * @retval -ENOSPC         the system's limit of queues is reached, or the disk is full
 * @retval -ETIMEDOUT      ferry_channel_accept(): no client has connected within the time
 * @retval -EOPNOTSUPP     ferry_channel_accept(): the channel does not listen
 * @retval -ECONNRESET     the connection was broken
 * @retval -EPIPE          the peer reads no more
 * @retval -EIDRM          the queue was removed
 * @retval -EPERM          the channel belongs to another thread
 * @retval -ECANCELED      the loop is being freed
 * @retval -EMFILE         no descriptor is left
 * @retval -ENFILE         no descriptor is left in the whole system
 * @retval -ENOMEM         the channel is NULL, or there is no memory
 * @retval -ECHILD         the channel belongs to the parent of this process
 */
int ferry_channel_status(const ferry_channel *channel);

/**
 * Returns a sentence about the last call that failed, or why the channel has failed.
 *
 * @param channel  the channel; NULL is allowed
 * @return the sentence, never NULL; valid until the next call
 */
const char *ferry_channel_error(const ferry_channel *channel);

FERRY_DEFINE_AUTO(ferry_channel, ferry_channel_free)

FERRY_END

#endif
