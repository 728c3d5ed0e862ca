/* A process of PHP's command line, without its ini file, that does what it is told to by lines. */
#include "php.h"

#include <err.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The class is declared, so that unserialize() makes a real object, as it does in a program. */
static const char script[] =
        "namespace App\\Messages;"
        "class TaskMessage { public $action, $id, $progress, $tags, $parameters; }"
        "$bytes = hex2bin($argv[1]);"
        "while (($line = fgets(STDIN)) !== false) {"
        "        $loops = (int)$line;"
        "        $begin = hrtime(true);"
        "        for ($i = 0; $i < $loops; $i++) $value = unserialize($bytes);"
        "        $middle = hrtime(true);"
        "        for ($i = 0; $i < $loops; $i++) $again = serialize($value);"
        "        $end = hrtime(true);"
        "        if ($again !== $bytes) exit(1);"
        "        printf(\"%.3F %.3F\\n\", ($middle - $begin) / $loops, ($end - $middle) / $loops);"
        "}";

struct php_peer php_start(const void *bytes, size_t size)
{
        char *hex = malloc(size * 2 + 1);
        struct php_peer peer;
        int fds[2];

        if (!hex || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                err(1, "php");
        for (size_t i = 0; i < size; i++)
                sprintf(hex + 2 * i, "%02x", ((const unsigned char *)bytes)[i]);
        peer.pid = fork();
        if (peer.pid < 0)
                err(1, "fork");
        if (peer.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(fds[1], STDIN_FILENO);
                dup2(fds[1], STDOUT_FILENO);
                execlp("php", "php", "-n", "-r", script, "--", hex, (char *)NULL);
                _exit(127);
        }
        free(hex);
        close(fds[1]);
        peer.stream = fdopen(fds[0], "r");
        /* Whether it is there is known when it has answered. */
        if (peer.stream && (dprintf(fds[0], "1\n") < 0 || fscanf(peer.stream, "%*f %*f") == EOF)) {
                fclose(peer.stream);
                peer.stream = NULL;
                waitpid(peer.pid, NULL, 0);
        }
        return peer;
}

void php_stop(struct php_peer *peer)
{
        if (!peer->stream)
                return;
        fclose(peer->stream);
        waitpid(peer->pid, NULL, 0);
}

void php_measure(const struct php_peer *peer, int loops, double *ret_decode, double *ret_encode)
{
        if (dprintf(fileno(peer->stream), "%d\n", loops) < 0 ||
            fscanf(peer->stream, "%lf %lf", ret_decode, ret_encode) != 2)
                errx(1, "php has not answered");
}
