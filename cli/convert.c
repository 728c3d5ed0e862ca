/* ferry convert: one value from one codec to another. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int decode(const struct cli_options *options, const char *bytes, size_t size, ferry_value **ret_value)
{
        char reason[256];
        int error = ferry_codec_decode(options->from, bytes, size, ret_value, NULL);

        /* The newline that an editor or echo has put behind it; but in msgpack it may be part of the value. */
        if (error == -EBADMSG && size > 0 && bytes[size - 1] == '\n' &&
            ferry_codec_decode(options->from, bytes, size - 1, ret_value, NULL) == 0)
                return EXIT_DONE;
        if (error == 0)
                return EXIT_DONE;
        ferry_codec_explain_decode(options->from, bytes, size, reason, sizeof reason);
        complain("the input is not %s: %s", options->from->name, reason);
        return EXIT_REFUSED;
}

static int encode(const struct cli_options *options, const ferry_value *value)
{
        char reason[256];
        void *bytes;
        size_t size;
        int error = ferry_codec_encode(options->to, value, &bytes, &size);

        if (error < 0) {
                ferry_codec_explain_encode(options->to, value, reason, sizeof reason);
                complain("cannot write the value as %s: %s", options->to->name, reason);
                return EXIT_REFUSED;
        }
        if (print_bytes(bytes, size) && output_is_terminal())
                print_bytes("\n", 1);
        free(bytes);
        return EXIT_DONE;
}

static int run(const struct cli_options *options, char **arguments, int count)
{
        ferry_value *value = NULL;
        size_t size;
        char *bytes;
        int status;

        (void)arguments, (void)count;
        if (!options->from || !options->to) {
                complain("convert needs --from CODEC and --to CODEC: php, json, json-objects, msgpack or plain");
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
