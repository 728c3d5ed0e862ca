/* ferry convert: one value from one codec to another. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int decode(const struct cli_options *options, const char *bytes, size_t size, ferry_value **ret_value)
{
        size_t offset = 0;
        int error = ferry_codec_decode(options->from, bytes, size, ret_value, &offset);

        /* The newline that an editor or echo has put behind it; but in msgpack it may be part of the value. */
        if (error == -EBADMSG && size > 0 && bytes[size - 1] == '\n' &&
            ferry_codec_decode(options->from, bytes, size - 1, ret_value, NULL) == 0)
                return EXIT_DONE;
        if (error == 0)
                return EXIT_DONE;
        complain(error == -EAGAIN   ? "the input ends too early, at byte %2$zu: it is no whole %1$s" :
                 error == -EMSGSIZE ? "the input is over a limit at byte %2$zu, for %1$s" :
                 error == -ENOMEM   ? "no memory for %1$s after byte %2$zu" :
                                      "the input is no %1$s: it is wrong at byte %2$zu",
                 options->from->name, offset);
        return EXIT_REFUSED;
}

static int encode(const struct cli_options *options, const ferry_value *value)
{
        void *bytes;
        size_t size;
        int error = ferry_codec_encode(options->to, value, &bytes, &size);

        if (error < 0) {
                complain(error == -EILSEQ ? "%s has no way to write some part of the value: bytes that are not UTF-8,"
                                            " a case of an enum, opaque bytes or a key __class" :
                         error == -EDOM   ? "%s has no way to write INF and NAN" :
                                            "the value cannot be written as %s", options->to->name);
                return EXIT_REFUSED;
        }
        fwrite(bytes, 1, size, stdout);
        if (isatty(STDOUT_FILENO))
                putchar('\n');
        free(bytes);
        flush_output();
        return output_status(EXIT_DONE);
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_value *value = NULL;
        size_t size;
        char *bytes;
        int status;

        (void)arguments, (void)count;
        if (!options->from || !options->to) {
                complain("convert needs --from CODEC and --to CODEC: php, json, msgpack or plain");
                return EXIT_USAGE;
        }
        bytes = read_all(STDIN_FILENO, SIZE_MAX, &size);
        if (!bytes)
                return EXIT_CONNECTION;
        status = decode(options, bytes, size, &value);
        if (status == EXIT_DONE)
                status = encode(options, value);
        ferry_value_unref(value);
        free(bytes);
        return status;
}

const struct cli_command command_convert = {
        .name = "convert",
        .arguments = "--from CODEC --to CODEC",
        .summary = "one value, stdin to stdout",
        .options = (const char *const[]){ "from", "to", NULL },
        .run = run,
};
