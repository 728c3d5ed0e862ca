/* Channels of datagrams: udp and unix. Invariants: a record is received whole: what is larger than the caller's buffer is
 * held until a large enough one comes; a unix socket is sent to only after its owner was checked, through the very file
 * that was looked at; what another user sends is counted, and not delivered. */
#include "channel/channel.h"

#include "stream/abstract.h"
#include "stream/binding.h"
#include "stream/bound.h"
#include "stream/keeper.h"
#include "stream/port.h"
#include "util/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum {
        UDP_MAX = 65507,                /* udp(7): 65,535 less the headers of IPv4 and udp */
        UDP6_MAX = 65527,               /* 65,535 less the header of udp */
        UNIX_OVERHEAD = 32,             /* of a socket's buffer, which the kernel keeps for itself */
        UNIX_RECEIVE_MAX = 1 << 20,     /* senders of root may go beyond; others have 425,952 bytes at most by default */
        REFUSALS_PER_TRY = 1024,        /* more than a queue has (net.unix.max_dgram_qlen) */
        SENDER_MAX = sizeof ((struct channel_destination *)0)->text,
};

union address {
        struct sockaddr any;
        struct sockaddr_un path;
        union inet_address inet;
        struct sockaddr_storage storage;
};

struct datagram_channel {
        ferry_channel channel;
        struct binding binding;         /* udg that receives; else only the descriptor */
        struct keeper keeper;           /* of its socket file */
        int old_fd;                     /* of one that was removed: what has come there is received first; -1: none */
        union address there;            /* the destination … */
        socklen_t there_size;           /* … 0: none */
        bool is_connected;              /* to it: the kernel knows the destination */
        bool is_shared;                 /* it may be several processes, so the socket is not connected to it */
        bool is_reached;                /* a record has been taken there */
        union address from;             /* the sender of the last record */
        socklen_t from_size;
        unsigned char *memory;          /* for what the caller's buffer cannot take */
        size_t capacity;
        size_t held;                    /* so much of a record is held there … */
        bool is_holding;
        char sender[SENDER_MAX];
};

static struct datagram_channel *datagram_of(ferry_channel *channel)
{
        return container_of(channel, struct datagram_channel, channel);
}

static bool is_udp(const ferry_channel *channel)
{
        return channel->kind == &channel_udp;
}

/* Receiving ------------------------------------------------------------------------------------------- */

/* The credentials in a message of a unix socket, which the kernel vouches for. */
static void read_peer(struct msghdr *message, ferry_peer *ret_peer)
{
        struct ucred peer;

        for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = control_next(message, at)) {
                if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_CREDENTIALS)
                        continue;
                memcpy(&peer, CMSG_DATA(at), sizeof peer);
                *ret_peer = (ferry_peer){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
        }
}

static ssize_t give_held(struct datagram_channel *datagram, struct channel_io *io)
{
        if (datagram->held > io->size) {
                /* Another call may wait with a larger one. */
                channel_wake(&datagram->channel, true, false);
                return channel_error(&datagram->channel, -EMSGSIZE, "%s: the record has %zu bytes, the buffer %zu: receive it"
                                     " with a larger one", datagram->channel.address, datagram->held, io->size);
        }
        if (datagram->held > 0)
                memcpy(io->buffer, datagram->memory, datagram->held);
        datagram->is_holding = false;
        return (ssize_t)datagram->held;
}

/* One record: into the caller's buffer, and what that cannot take behind it into ours. */
static ssize_t receive_one(struct datagram_channel *datagram, struct channel_io *io, union address *ret_from,
                           socklen_t *ret_from_size, ferry_peer *ret_peer)
{
        ferry_channel *channel = &datagram->channel;
        const size_t spare = io->size < datagram->capacity ? datagram->capacity - io->size : 0;
        struct iovec parts[] = { { io->buffer, io->size }, { datagram->memory + datagram->capacity - spare, spare } };
        char control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((__aligned__(8)));
        struct msghdr message = {
                .msg_name = ret_from, .msg_namelen = sizeof *ret_from, .msg_iov = parts,
                .msg_iovlen = spare > 0 ? 2 : 1, .msg_control = is_udp(channel) ? NULL : control,
                .msg_controllen = is_udp(channel) ? 0 : sizeof control,
        };
        ssize_t got = sys_receive_message(datagram->old_fd >= 0 ? datagram->old_fd : channel->source.fd, &message, MSG_TRUNC);

        if (got < 0)
                return got;
        *ret_from_size = message.msg_namelen;
        if (!is_udp(channel))
                read_peer(&message, ret_peer);
        if ((size_t)got <= io->size)
                return got;
        datagram->held = (size_t)got;
        if (message.msg_flags & MSG_TRUNC)
                return -EMSGSIZE;
        if (io->size > 0)
                memcpy(datagram->memory, io->buffer, io->size);
        datagram->is_holding = true;
        return got;
}

/* All that has come there is received. The new file may be gone meanwhile. */
static void close_old(struct datagram_channel *datagram)
{
        sys_close(datagram->old_fd);
        datagram->old_fd = -1;
        keeper_start(&datagram->keeper);
}

static ssize_t receive_record(ferry_channel *channel, struct channel_io *io)
{
        struct datagram_channel *datagram = datagram_of(channel);
        ferry_peer peer = { .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        union address from;
        socklen_t from_size = 0;
        ssize_t got = 0;

        if (datagram->is_holding)
                return give_held(datagram, io);
        for (int i = 0; i < REFUSALS_PER_TRY; i++) {
                got = receive_one(datagram, io, &from, &from_size, &peer);
                if (got == -EAGAIN && datagram->old_fd >= 0) {
                        close_old(datagram);
                        continue;
                }
                if (got < 0 || is_udp(channel) || channel_is_allowed(channel, &peer))
                        break;
                datagram->is_holding = false;
                got = -EAGAIN;
                if (channel->phase == CHANNEL_FREED)
                        return -ECANCELED;
        }
        if (got == -EMSGSIZE)
                return channel_error(channel, (int)got, "%s: a record of %zu bytes was larger than any that this channel can"
                                     " receive, and is lost", channel->address, datagram->held);
        /* What was refused or lost has no sender to answer to. */
        if (got >= 0) {
                channel->peer = peer;
                datagram->from = from;
                datagram->from_size = from_size;
                return datagram->is_holding ? give_held(datagram, io) : got;
        }
        io->wait = CHANNEL_WAIT_INPUT;
        if (got == -ECONNREFUSED)
                return channel_error(channel, (int)got, "%s: an earlier record was refused: no process is bound there",
                                     channel->address);
        return got == -EAGAIN ? got : channel_error(channel, (int)got, "%s: receiving failed: %s", channel->address,
                                                    error_describe((int)got));
}

static const char *print_unix(const struct sockaddr_un *address, socklen_t size, char *text)
{
        size_t length = size > offsetof(struct sockaddr_un, sun_path) ? size - offsetof(struct sockaddr_un, sun_path) : 0;
        const bool is_abstract = length > 1 && address->sun_path[0] == '\0';
        size_t used = 0;

        if (!is_abstract)
                length = strnlen(address->sun_path, length);
        if (length == 0)
                return "";
        used = (size_t)snprintf(text, SENDER_MAX, is_abstract ? "udg:@" : address->sun_path[0] == '@' ? "udg:./" : "udg:");
        for (size_t i = is_abstract; i < length; i++) {
                unsigned char byte = (unsigned char)address->sun_path[i];

                used += (size_t)snprintf(text + used, SENDER_MAX - used,
                                         is_abstract && (byte < 0x21 || byte > 0x7e || byte == '\\') ? "\\x%02x" : "%c", byte);
        }
        return text;
}

static const char *sender(ferry_channel *channel)
{
        struct datagram_channel *datagram = datagram_of(channel);

        if (datagram->from_size == 0)
                return "";
        if (is_udp(channel))
                return inet_print("udp", &datagram->from.inet, datagram->sender);
        return print_unix(&datagram->from.path, datagram->from_size, datagram->sender);
}

/* Addresses ------------------------------------------------------------------------------------------- */

/* The socket file at a path: @address leads to that very file, as long as the descriptor is open, which is the caller's.
 * Another user's is refused unless the program allows that user. */
static int locate(ferry_channel *channel, const char *path, struct sockaddr_un *address)
{
        struct stat stat;
        ferry_peer owner;
        int fd = sys_open(path, O_PATH, 0), code;

        if (fd < 0)
                return fd;
        code = sys_stat_fd(fd, &stat);
        if (!code && !S_ISSOCK(stat.st_mode))
                code = channel_error(channel, -ENOTSUP, "'%s' exists, and is not a socket", path);
        owner = (ferry_peer){ .pid = -1, .uid = stat.st_uid, .gid = stat.st_gid };
        channel->is_wide = !code && (stat.st_mode & 022);
        if (channel->is_wide && channel->options.is_strict)
                code = channel_error(channel, -EACCES, "cannot use '%s': its mode %04o lets other users in; change it to 0600",
                                     path, stat.st_mode & 0777);
        if (!code && owner.uid != sys_uid() && owner.uid != 0 &&
            !(channel->options.allow && channel->options.allow(channel, &owner, channel->options.allow_userdata)))
                code = channel_error(channel, -EACCES, "cannot send to '%s': it belongs to user %u", path, (unsigned)owner.uid);
        /* By the program's callback. */
        if (channel->phase == CHANNEL_FREED)
                code = -ECANCELED;
        if (code) {
                sys_close(fd);
                return code;
        }
        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d", fd);
        return fd;
}

static int parse_inet(ferry_channel *channel, const char *text, union address *address, socklen_t *ret_size)
{
        union inet_address addresses[INET_ADDRESSES_MAX];

        if (inet_parse(text, addresses) < 0) {
                error_deinit(&channel->error);
                return inet_refuse("udp", text, &channel->error);
        }
        address->inet = addresses[0];
        *ret_size = inet_size(&addresses[0]);
        return 0;
}

/* Multicast leaves by an interface that the program names, never by that of the default route. */
static int check_interface(ferry_channel *channel, const union address *there, const char *address)
{
        if (!inet_is_multicast(&there->inet) || channel->options.interface)
                return 0;
        return channel_error(channel, -EINVAL, "'%s' is a multicast address: name the interface for sending (--interface)",
                             address);
}

/* Sending --------------------------------------------------------------------------------------------- */

/* What the kernel says of a destination, unless there is a sentence already. */
static int describe(ferry_channel *channel, const char *address, int code)
{
        if (channel->error.code == code)
                return code;
        switch (code) {
        case -ECONNREFUSED:
                return channel_error(channel, code, "no process is bound at '%s': start the receiver, or wait longer for it",
                                     address);
        case -ENOENT:
                return channel_error(channel, code, "'%s' does not exist: start the receiver, or wait longer for it", address);
        case -EPROTOTYPE:
                if (is_udp(channel))
                        return channel_error(channel, code, "%s: sending failed: %s", address, error_describe(code));
                return channel_error(channel, -ENOTSUP, "'%s' is a socket of streams, not of datagrams: use unix:", address);
        case -EPERM:
                return channel_error(channel, code, "cannot send to '%s': the receiver is connected to another sender",
                                     address);
        case -EMSGSIZE:
                return channel_error(channel, code, "%s: the record is larger than the kernel takes", address);
        case -EACCES:
                if (is_udp(channel))
                        return channel_error(channel, code, "'%s' is a broadcast address: to allow that, set is_broadcast"
                                                            " (--broadcast)", address);
                return channel_error(channel, code, "cannot send to '%s': its mode does not let this user in", address);
        default:
                return channel_error(channel, code, "%s: sending failed: %s", address, error_describe(code));
        }
}

/* Connecting a datagram socket sends nothing. It lets the kernel report when a full receiver has room again. */
static int connect_there(struct datagram_channel *datagram)
{
        ferry_channel *channel = &datagram->channel;
        struct sockaddr_un located;
        int fd = -1, code;

        if (is_udp(channel) || datagram->there.path.sun_path[0] == '\0')
                code = sys_connect(channel->source.fd, &datagram->there.any, datagram->there_size);
        else {
                fd = locate(channel, datagram->there.path.sun_path, &located);
                code = fd < 0 ? fd : sys_connect(channel->source.fd, (const struct sockaddr *)&located, sizeof located);
        }
        if (fd >= 0)
                sys_close(fd);
        datagram->is_connected = !code;
        return code;
}

/* To the destination of the channel. Its process may have been started again since: then there is another file. */
static ssize_t send_there(struct datagram_channel *datagram, const struct channel_io *io)
{
        ferry_channel *channel = &datagram->channel;
        ssize_t put = -ECONNREFUSED;

        if (datagram->is_connected)
                put = sys_send_to(channel->source.fd, io->bytes, io->size, NULL, 0);
        if ((put != -ECONNREFUSED && put != -ECONNRESET && put != -EPIPE) || (is_udp(channel) && datagram->is_connected))
                return put;
        put = connect_there(datagram);
        return put ? put : sys_send_to(channel->source.fd, io->bytes, io->size, NULL, 0);
}

/* On the loopback the kernel knows at once that no process is bound at a port; it says so when it is asked. */
static int check_reached(const struct datagram_channel *datagram)
{
        int result = 0;

        if (datagram->is_reached || !is_udp(&datagram->channel))
                return 0;
        return sys_get_socket_option(datagram->channel.source.fd, SO_ERROR, &result, sizeof result) == 0 ? -result : 0;
}

static ssize_t send_record(ferry_channel *channel, struct channel_io *io)
{
        struct datagram_channel *datagram = datagram_of(channel);
        const bool is_elsewhere = io->to || datagram->is_shared;
        ssize_t put;
        int code;

        /* The sentence of an earlier call may be of another destination. */
        error_deinit(&channel->error);
        if (!io->to && datagram->there_size == 0)
                return channel_error(channel, -EDESTADDRREQ, "cannot send to '%s': it receives; answer a record, or name a"
                                                             " destination",
                                     channel->address);
        if (is_elsewhere)
                put = sys_send_to(channel->source.fd, io->bytes, io->size,
                                  io->to ? (const struct sockaddr *)&io->to->address : &datagram->there.any,
                                  io->to ? io->to->size : datagram->there_size);
        else
                put = send_there(datagram, io);
        code = put >= 0 && !is_elsewhere ? check_reached(datagram) : 0;
        if (put >= 0 && !code) {
                datagram->is_reached = true;
                return put;
        }
        if (code)
                put = code;
        io->wait = CHANNEL_WAIT_LATER;
        if (!is_elsewhere && !datagram->is_reached && channel_may_appear(channel, (int)put)) {
                io->lack = "the receiver did not come";
                return -EAGAIN;
        }
        io->lack = NULL;
        /* The kernel has no memory for it at the moment. */
        if (put == -ENOBUFS)
                return -EAGAIN;
        /* An unconnected unix socket always polls writable; a connected one only when most of its own buffer is free. */
        if (is_udp(channel))
                io->wait = CHANNEL_WAIT_OUTPUT;
        else if (!is_elsewhere)
                io->wait = CHANNEL_WAIT_ROOM;
        return put == -EAGAIN ? put : describe(channel, io->to ? io->to->text : channel->address, (int)put);
}

static int find(ferry_channel *channel, const char *text, struct channel_destination *ret_to)
{
        union address address;
        int code;

        error_deinit(&channel->error);
        if (is_udp(channel)) {
                code = parse_inet(channel, text, &address, &ret_to->size);
                if (!code)
                        code = check_interface(channel, &address, text);
        } else if (*text == '@')
                code = abstract_parse(text + 1, &address.path, &ret_to->size);
        else {
                code = locate(channel, text, &address.path);
                ret_to->fd = code < 0 ? -1 : code;
                code = code < 0 ? code : 0;
                ret_to->size = sizeof address.path;
        }
        if (code)
                return describe(channel, text, code);
        memcpy(&ret_to->address, &address, ret_to->size);
        snprintf(ret_to->text, sizeof ret_to->text, "%s", text);
        return 0;
}

static int answer(ferry_channel *channel, struct channel_destination *ret_to)
{
        const struct datagram_channel *datagram = datagram_of(channel);
        const char *text = sender(channel);

        if (!*text)
                return channel_error(channel, -EDESTADDRREQ, "%s: no record was received whose sender could be answered",
                                     channel->address);
        memcpy(&ret_to->address, &datagram->from, datagram->from_size);
        ret_to->size = datagram->from_size;
        memcpy(ret_to->text, text, strlen(text) + 1);
        return 0;
}

/* Opening --------------------------------------------------------------------------------------------- */

/* For the largest record of the other side: of a unix socket that depends on the sender's buffer. */
static int make_memory(struct datagram_channel *datagram)
{
        datagram->capacity = is_udp(&datagram->channel) ? datagram->channel.record_max : UNIX_RECEIVE_MAX;
        datagram->channel.receive_max = datagram->capacity;
        datagram->memory = sys_alloc(datagram->capacity);
        return datagram->memory ? 0 : -ENOMEM;
}

/* Credentials come with each record; and what sends has a name by which it can be answered. */
static int prepare_unix(struct datagram_channel *datagram)
{
        const struct sockaddr_un nameless = { .sun_family = AF_UNIX };
        ferry_channel *channel = &datagram->channel;
        int size = 0, code = sys_set_socket_option(channel->source.fd, SOL_SOCKET, SO_PASSCRED, 1);

        if (!code && channel->end == FERRY_SEND)
                code = sys_bind(channel->source.fd, (const struct sockaddr *)&nameless, sizeof nameless.sun_family);
        if (!code)
                code = sys_get_socket_option(channel->source.fd, SO_SNDBUF, &size, sizeof size);
        channel->record_max = size > UNIX_OVERHEAD ? (size_t)size - UNIX_OVERHEAD : 0;
        return code;
}

/* What is sent to the old socket from now on is refused, so its sender looks at the path again; nothing that was taken is
 * lost. */
static void was_removed(struct keeper *keeper)
{
        struct datagram_channel *datagram = container_of(keeper, struct datagram_channel, keeper);
        ferry_channel *channel = &datagram->channel;
        struct error error = { 0 };
        int code;

        /* One after the other. */
        if (datagram->old_fd >= 0)
                return;
        code = binding_renew(&datagram->binding, &datagram->old_fd, &error);
        if (!code) {
                loop_source_set(&channel->source, 0);
                channel->source.fd = datagram->binding.fd;
                code = sys_shutdown(datagram->old_fd, SHUT_RD);
        }
        if (!code)
                code = prepare_unix(datagram);
        if (code) {
                channel_error(channel, code, "'%s' was removed, and cannot be bound again: %s", channel->address,
                              error.code ? error_text(&error) : error_describe(code));
                loop_failure_add(channel->loop, &channel->failure, &channel->error);
                channel_set_phase(channel, CHANNEL_FAILED);
        } else {
                keeper_start(keeper);
                channel_wake(channel, true, false);
        }
        error_deinit(&error);
}

static int open_unix(ferry_channel *channel, const char *path)
{
        struct datagram_channel *datagram = datagram_of(channel);
        const size_t size = strlen(path) + 1;
        const bool is_abstract = *path == '@' && channel->end == FERRY_SEND;
        int code = 0;

        binding_init(&datagram->binding);
        datagram->old_fd = -1;
        keeper_init(&datagram->keeper, channel->loop, &datagram->binding, was_removed);
        if (!is_abstract && size > sizeof datagram->there.path.sun_path)
                return channel_error(channel, -ENAMETOOLONG, "the path is too long for a socket: '%s'", path);
        if (!*path || (*path == '@' && channel->end == FERRY_RECEIVE))
                return channel_error(channel, -EINVAL, "cannot bind '%s': an abstract name does not protect from other users;"
                                                       " write udg:PATH", channel->address);
        if (channel->end == FERRY_RECEIVE)
                code = binding_open(&datagram->binding, path, SOCK_DGRAM, channel->options.mode, NULL, &channel->error);
        else {
                datagram->there.path.sun_family = AF_UNIX;
                datagram->there_size = sizeof datagram->there.path;
                if (is_abstract)
                        code = abstract_parse(path + 1, &datagram->there.path, &datagram->there_size);
                else
                        memcpy(datagram->there.path.sun_path, path, size);
                if (code)
                        return code;
                datagram->binding.fd = sys_socket(AF_UNIX, SOCK_DGRAM);
                code = datagram->binding.fd < 0 ? datagram->binding.fd : 0;
        }
        channel->source.fd = datagram->binding.fd;
        if (!code)
                code = prepare_unix(datagram);
        if (!code)
                code = make_memory(datagram);
        if (!code && datagram->binding.is_bound)
                keeper_start(&datagram->keeper);
        return code;
}

/* What multicast and broadcast need, also of ferry_channel_send_to(); both are off unless the options say so. */
static int prepare_udp(struct datagram_channel *datagram)
{
        const ferry_channel_options *options = &datagram->channel.options;
        const int fd = datagram->channel.source.fd;
        const bool is_ipv4 = datagram->there.any.sa_family == AF_INET;
        int index, code = 0;

        if (options->is_broadcast)
                code = sys_set_socket_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
        if (code || !options->interface)
                return code;
        index = sys_interface(options->interface);
        if (index < 0)
                return channel_error(&datagram->channel, index, "there is no network interface '%s'", options->interface);
        if (is_ipv4) {
                const struct ip_mreqn request = { .imr_ifindex = index };

                code = sys_set_socket_struct(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
                if (!code && options->multicast_ttl)
                        code = sys_set_socket_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, options->multicast_ttl);
        } else {
                code = sys_set_socket_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
                if (!code && options->multicast_ttl)
                        code = sys_set_socket_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, options->multicast_ttl);
        }
        return code;
}

/* A destination of one process is connected to, so that the kernel says when there is none. */
static bool is_for_one(const union address *there)
{
        return !inet_is_multicast(&there->inet) &&
               (there->any.sa_family != AF_INET || there->inet.ipv4.sin_addr.s_addr != htonl(INADDR_BROADCAST));
}

static int bind_udp(struct datagram_channel *datagram)
{
        ferry_channel *channel = &datagram->channel;
        union inet_address got = { 0 };
        char text[INET_TEXT_MAX];
        int code, fd = inet_bind(&datagram->there.inet, SOCK_DGRAM, channel->options.is_public, channel->address,
                                 &channel->error);

        if (fd < 0)
                return fd;
        channel->source.fd = datagram->binding.fd = fd;
        datagram->there_size = 0;
        code = prepare_udp(datagram);
        if (!code)
                code = sys_socket_name(fd, &got.any, sizeof got);
        return code ? code : channel_set_address(channel, inet_print("udp", &got, text));
}

static int open_udp(ferry_channel *channel, const char *text)
{
        struct datagram_channel *datagram = datagram_of(channel);
        int code;

        binding_init(&datagram->binding);
        datagram->old_fd = -1;
        keeper_init(&datagram->keeper, channel->loop, &datagram->binding, was_removed);
        code = parse_inet(channel, text, &datagram->there, &datagram->there_size);
        if (code)
                return code;
        channel->record_max = datagram->there.any.sa_family == AF_INET ? UDP_MAX : UDP6_MAX;
        if (channel->end == FERRY_RECEIVE)
                code = bind_udp(datagram);
        else if (inet_port(&datagram->there.inet) == 0)
                code = channel_error(channel, -EINVAL, "cannot send to '%s': port 0 is for receiving; name the port of the"
                                                       " receiver", channel->address);
        else {
                code = check_interface(channel, &datagram->there, channel->address);
                if (code)
                        return code;
                datagram->binding.fd = channel->source.fd = sys_socket(datagram->there.any.sa_family, SOCK_DGRAM);
                code = channel->source.fd < 0 ? channel->source.fd : prepare_udp(datagram);
                datagram->is_shared = !is_for_one(&datagram->there) || channel->options.is_broadcast;
        }
        return code ? code : make_memory(datagram);
}

static int open_datagram(ferry_channel *channel, const char *text)
{
        return is_udp(channel) ? open_udp(channel, text) : open_unix(channel, text);
}

static bool close_datagram(ferry_channel *channel, bool is_foreign)
{
        struct datagram_channel *datagram = datagram_of(channel);

        keeper_stop(&datagram->keeper);
        if (datagram->old_fd >= 0)
                sys_close(datagram->old_fd);
        datagram->old_fd = -1;
        binding_close(&datagram->binding, is_foreign);
        channel->source.fd = -1;
        sys_free(datagram->memory);
        datagram->memory = NULL;
        return false;
}

/* Multicast ------------------------------------------------------------------------------------------- */

static int set_group(ferry_channel *channel, const char *group, const char *interface, bool is_joining)
{
        const int fd = channel->source.fd;
        char host[INET6_ADDRSTRLEN + 2];
        union address address = { 0 };
        size_t size = strlen(group ? group : "");
        int index, code;

        if (group && *group == '[' && group[size - 1] == ']')
                group++, size -= 2;
        snprintf(host, sizeof host, "%.*s", (int)size, group ? group : "");
        address.any.sa_family = strchr(host, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(address.any.sa_family, host, address.any.sa_family == AF_INET ?
                      (void *)&address.inet.ipv4.sin_addr : (void *)&address.inet.ipv6.sin6_addr) != 1 || !inet_is_multicast(&address.inet))
                return channel_error(channel, -EINVAL, "'%s' is not a multicast address: write 224.0.0.0 to 239.255.255.255,"
                                                       " or ff00:: and up", host);
        if (address.any.sa_family != datagram_of(channel)->there.any.sa_family)
                return channel_error(channel, -EINVAL, "'%s' and '%s' are of different families, IPv4 and IPv6", host,
                                     channel->address);
        if (!interface || !*interface)
                return channel_error(channel, -EINVAL, "'%s' is a multicast group: name the interface at which to join it"
                                                       " (--interface)", host);
        index = sys_interface(interface);
        if (index < 0)
                return channel_error(channel, index, "there is no network interface '%s'", interface);
        if (address.any.sa_family == AF_INET) {
                const struct ip_mreqn request = { .imr_multiaddr = address.inet.ipv4.sin_addr, .imr_ifindex = index };

                code = sys_set_socket_struct(fd, IPPROTO_IP, is_joining ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                                             sizeof request);
        } else {
                const struct ipv6_mreq request = { .ipv6mr_multiaddr = address.inet.ipv6.sin6_addr,
                                                   .ipv6mr_interface = (unsigned)index };

                code = sys_set_socket_struct(fd, IPPROTO_IPV6, is_joining ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request,
                                             sizeof request);
        }
        return code ? channel_error(channel, code, "the multicast group '%s' at '%s' cannot be %s: %s", host, interface,
                                    is_joining ? "joined" : "left", error_describe(code)) : 0;
}

/* Only a receiver has a socket file. */
static void describe_facts(const ferry_channel *channel, struct channel_facts *facts)
{
        struct stat stat;

        if (is_udp(channel) || channel->end == FERRY_SEND ||
            sys_stat_path(container_of(channel, const struct datagram_channel, channel)->binding.address.sun_path, &stat) < 0)
                return;
        facts->uid = stat.st_uid;
        facts->mode = stat.st_mode & 0777;
}

static int look_at_udp(const char *text, enum retry_hope *ret_hope)
{
        union inet_address addresses[INET_ADDRESSES_MAX];
        int count = inet_parse(text, addresses);

        *ret_hope = RETRY_SELDOM;
        return count < 0 ? count : port_find(&addresses[0], SOCK_DGRAM);
}

static int look_at_unix(const char *path, enum retry_hope *ret_hope)
{
        bool is_bound;

        *ret_hope = RETRY_CHANGE;
        return *path == '@' ? -EINVAL : bound_find(path, SOCK_DGRAM, &is_bound);
}

const struct channel_kind channel_udp = {
        .name = "udp", .size = sizeof(struct datagram_channel), .is_records = true, .is_two_way = true, .first_type = -1,
        .open = open_datagram, .close = close_datagram, .send = send_record, .receive = receive_record, .find = find, .sender = sender,
        .answer = answer, .group = set_group, .look = look_at_udp,
};

const struct channel_kind channel_udg = {
        .name = "udg", .size = sizeof(struct datagram_channel), .is_records = true, .is_two_way = true, .is_ordered = true,
        .first_type = -1, .open = open_datagram, .close = close_datagram, .send = send_record, .receive = receive_record, .find = find,
        .sender = sender, .answer = answer, .describe = describe_facts, .look = look_at_unix, .is_in_files = true,
};
