/* Starts a test script in chosen surroundings: start COMMAND… */
#include "support/surroundings.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        if (argc < 2) {
                fprintf(stderr, "usage: start COMMAND...\n");
                return 2;
        }
        surroundings_choose();
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        return 127;
}
