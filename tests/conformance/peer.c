/* The other side as a program of its own: peer DIALECT FRAME_MAX, over its stdin and stdout. */
#include "conformance/behaviour.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
        ferry_session_options options = { 0 };
        struct behaviour behaviour = { 0 };
        ferry_session *parent;
        ferry_loop *loop;
        int code;

        if (argc != 3)
                return 2;
        set_dialect(&options, argv[1]);
        options.frame_max = (size_t)strtoul(argv[2], NULL, 10);
        loop = ferry_loop_new(NULL);
        parent = ferry_session_open(loop, "stdio:", &options);
        behave(parent, NULL, &behaviour);
        code = ferry_loop_run(loop, -1);
        if (code < 0)
                fprintf(stderr, "%s\n", ferry_loop_error(loop));
        behaviour_deinit(&behaviour);
        ferry_loop_free(loop);
        return code < 0;
}
