/* Which address opens which kind of stream. */
#include "stream/open.h"

#include "stream/inet.h"
#include "stream/ssh.h"

#include <ferry/address.h>

#include <errno.h>
#include <string.h>

static const struct {
        stream_open_fn *open;
        bool takes_address;     /* the whole, instead of what follows the scheme */
} kinds[] = {
        [FERRY_SCHEME_NAME] = { stream_open_unix, true },
        [FERRY_SCHEME_UNIX] = { stream_open_unix, true },
        [FERRY_SCHEME_TCP] = { stream_open_tcp, false },
        [FERRY_SCHEME_EXEC] = { stream_open_exec, false },
        [FERRY_SCHEME_STDIO] = { stream_open_stdio, false },
        [FERRY_SCHEME_FILE] = { stream_open_file, false },
        [FERRY_SCHEME_FD] = { stream_open_fds, false },
        [FERRY_SCHEME_FIFO] = { stream_open_fifo, false },
        [FERRY_SCHEME_SSH] = { stream_open_ssh, false },
        [FERRY_SCHEME_NATS] = { stream_open_nats, false },
};

static int refuse(int scheme, const char *address, const char *text, struct error *error)
{
        if (scheme >= 0)
                return error_set(error, -EINVAL, "'%s' is not an address of a session: it is one of a %s", address,
                                 scheme == FERRY_SCHEME_SHM ? "store" : "channel");
        if (scheme == -ENAMETOOLONG)
                return error_set(error, -ENAMETOOLONG, "the path is too long for a socket: '%s'", text);
        if (strncmp(address, "ssh:", 4) == 0)
                return error_set(error, -EINVAL, "'%s' is not an address: %s", address, ssh_form);
        if (strncmp(address, "tcp:", 4) == 0)
                return inet_refuse("tcp", text, error);
        return error_set(error, -EINVAL, "'%s' is not an address: write NAME, unix:PATH, tcp:HOST:PORT, exec:COMMAND,"
                                         " ssh:HOST:NAME, nats:SUBJECT, stdio:, file:IN,OUT, fifo:IN,OUT or fd:IN,OUT", address);
}

static int open_address(const struct stream_place *place, const char *address, const ferry_session_options *options,
                        struct stream **ret_stream, struct error *error)
{
        const char *colon = strchr(address, ':'), *text = colon ? colon + 1 : "";
        int scheme = ferry_address_scheme(address);

        if (scheme < 0 || (size_t)scheme >= sizeof kinds / sizeof *kinds || !kinds[scheme].open)
                return refuse(scheme, address, text, error);
        return kinds[scheme].open(place, kinds[scheme].takes_address ? address : text, options, ret_stream, error);
}

static int open_any(const struct stream_place *place, const char *address, const ferry_session_options *options,
                    struct stream **ret_stream, struct error *error)
{
        if (address)
                return open_address(place, address, options, ret_stream, error);
        if (options->stream)
                return stream_open_program(place, "", options, ret_stream, error);
        if (options->fds)
                return stream_open_fds(place, "", options, ret_stream, error);
        if (options->argv)
                return error_set(error, -EINVAL, "the address is NULL: argv needs the address exec:");
        return error_set(error, -EINVAL, "the address is NULL, and the options set neither fds nor a stream");
}

int stream_open(const struct stream_place *place, const char *address, const ferry_session_options *options,
                struct stream **ret_stream, struct error *error)
{
        struct stream *stream;
        int code = open_any(place, address, options, &stream, error);

        if (code)
                return code;
        /* One that has no descriptor yet is still being opened. */
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): open_any has set it, since it has not failed */
        if (stream->inputs[0].way != ENDPOINT_NONE || stream->output.way != ENDPOINT_NONE)
                code = stream_start(stream);
        if (code) {
                stream_free(stream);
                return error_set(error, code, "cannot watch the descriptor: %s", error_describe(code));
        }
        *ret_stream = stream;
        return 0;
}
