#include "support/toy.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES_MAX = 1 << 21, UPDATES = 40, PATIENCE_S = 30 };

static struct toy_seen *seen;
static char plain[BYTES_MAX];

const struct toy_seen *toy_seen(void)
{
        return seen;
}

static bool put(int fd, const void *bytes, size_t size)
{
        const char *at = bytes;

        while (size > 0) {
                ssize_t done = send(fd, at, size, MSG_NOSIGNAL);

                if (done <= 0)
                        return false;
                at += done;
                size -= (size_t)done;
        }
        return true;
}

static bool put_slowly(int fd, const char *text, bool is_slow)
{
        size_t size = strlen(text);

        for (size_t i = 0; is_slow && i < size; i++)
                if (!put(fd, text + i, 1))
                        return false;
        return is_slow || put(fd, text, size);
}

static bool get(int fd, void *bytes, size_t size)
{
        return size == 0 || recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static bool get_line(int fd, char *line, size_t size)
{
        for (size_t i = 0; i + 1 < size; i++) {
                if (!get(fd, line + i, 1))
                        return false;
                line[i + 1] = '\0';
                if (line[i] == '\n')
                        return true;
        }
        return false;
}

static bool put_record(int fd, char type, const char *bytes, size_t size, bool is_slow)
{
        unsigned char record[TOY_HEADER + TOY_RECORD_MAX] = { (unsigned char)type, (unsigned char)(size >> 8), (unsigned char)size };

        for (size_t i = 0; i < size; i++)
                record[TOY_HEADER + i] = (unsigned char)(bytes[i] ^ TOY_XOR);
        for (size_t i = 0; is_slow && i < TOY_HEADER + size; i++)
                if (!put(fd, record + i, 1))
                        return false;
        return is_slow || put(fd, record, TOY_HEADER + size);
}

static bool put_text(int fd, const char *bytes, size_t size, bool is_slow)
{
        while (size > 0) {
                size_t part = size < TOY_RECORD_MAX ? size : TOY_RECORD_MAX;

                if (!put_record(fd, 'D', bytes, part, is_slow))
                        return false;
                bytes += part;
                size -= part;
        }
        return true;
}

/* A message of the client; false: the connection ends. */
static bool answer(int fd, enum toy_way way, const char *line, const char *message)
{
        static char text[BYTES_MAX];
        char subject[128], reply[256];
        int headers, total, size;

        __atomic_fetch_add(&seen->requests, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, &seen->requests, FUTEX_WAKE, 1, NULL, NULL, 0);
        if (sscanf(line, "HPUB %127s %255s %d %d", subject, reply, &headers, &total) != 4)
                return true;
        if (way == TOY_CUTS_REQUEST)
                return false;
        if (way == TOY_ENDS_REQUEST) {
                put_record(fd, 'E', "", 0, false);
                return false;
        }
        if (way == TOY_CUTS_RECORD) {
                put(fd, "D\1\0half", 7);
                return false;
        }
        for (int i = 0; way == TOY_UPDATES && i < UPDATES; i++)
                if (!put_record(fd, 'U', "", 0, false))
                        return false;
        if (strcmp(subject, "echo") != 0)
                size = snprintf(text, sizeof text, "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", reply);
        else {
                size = snprintf(text, sizeof text, "HMSG %s 1 %d %d\r\n", reply, headers, total);
                memcpy(text + size, message, (size_t)total);
                size += total;
                memcpy(text + size, "\r\n", 2);
                size += 2;
        }
        return put_text(fd, text, (size_t)size, false);
}

/* The size of the first message of the client, as far as it has come; 0: not whole; -1: the connection ends. */
static ssize_t take(int fd, enum toy_way way, size_t used)
{
        char *end = memmem(plain, used, "\r\n", 2);
        size_t size = end ? (size_t)(end + 2 - plain) : 0;
        int total = 0;

        if (!end)
                return 0;
        *end = '\0';
        if (strncmp(plain, "HPUB ", 5) == 0)
                total = atoi(strrchr(plain, ' ') + 1) + 2;
        if (used < size + (size_t)total) {
                *end = '\r';
                return 0;
        }
        if (strncmp(plain, "CONNECT ", 8) == 0)
                snprintf(seen->login, sizeof seen->login, "%.500s", plain);
        if (way == TOY_DENIES_FIRST && seen->connections == 1) {
                put_text(fd, "-ERR 'Authorization Violation'\r\n", 32, false);
                return -1;
        }
        if (strncmp(plain, "PING", 4) == 0 && !put_text(fd, "PONG\r\n", 6, way == TOY_BYTEWISE))
                return -1;
        if (total > 0 && !answer(fd, way, plain, plain + size))
                return -1;
        return (ssize_t)(size + (size_t)total);
}

static void talk(int fd, enum toy_way way)
{
        unsigned char head[TOY_HEADER];
        size_t used = 0, size;
        ssize_t taken;

        while (get(fd, head, sizeof head) && head[0] != 'E') {
                size = (size_t)head[1] << 8 | head[2];
                if (used + size > sizeof plain || !get(fd, plain + used, size))
                        return;
                seen->updates += head[0] == 'u';
                for (size_t i = used; i < used + size; i++)
                        plain[i] = (char)(plain[i] ^ TOY_XOR);
                used += size;
                while (used > 0 && (taken = take(fd, way, used)) != 0) {
                        if (taken < 0)
                                return;
                        used -= (size_t)taken;
                        memmove(plain, plain + taken, used);
                }
        }
        if (head[0] == 'E')
                put_record(fd, 'E', "", 0, false);
}

static void shake_hands(int fd, enum toy_way way)
{
        static const char greeting[] = "INFO {\"headers\":true,\"max_payload\":1048576,\"tls_required\":true,\"nonce\":\"abc\"}\r\n";
        char line[300];

        if (!put_slowly(fd, way == TOY_INJECTS ? "INFO {\"headers\":true,\"tls_required\":true}\r\n+OK\r\n" : greeting, way == TOY_BYTEWISE) ||
            way == TOY_CUTS_AT_ONCE || !get_line(fd, line, sizeof line))
                return;
        snprintf(seen->hello, sizeof seen->hello, "%.60s", line);
        if (way == TOY_JUNK || (way == TOY_JUNK_FIRST && seen->connections == 1))
                put_slowly(fd, "-ERR 'Secure Connection - TLS Required'\r\n", false);
        else if (way == TOY_REFUSES)
                put_slowly(fd, "SERVER NO\n", false);
        else if (way == TOY_CUTS_HELLO)
                put_slowly(fd, "SERVER H", false);
        else if (way == TOY_RESETS)
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
        else if (way == TOY_SILENT)
                get_line(fd, line, sizeof line);
        else if (put_slowly(fd, "SERVER HELLO\n", way == TOY_BYTEWISE) && way != TOY_CUTS_LOGIN && get_line(fd, line, sizeof line))
                talk(fd, way);
}

pid_t toy_start(enum toy_way way, char url[TOY_URL_MAX])
{
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof name;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
        pid_t child;

        if (!seen)
                seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        memset(seen, 0, sizeof *seen);
        if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 8) < 0 ||
            getsockname(listener, (struct sockaddr *)&name, &size) < 0)
                abort();
        snprintf(url, TOY_URL_MAX, "tls://127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
        child = fork();
        if (child == 0) {
                while ((fd = accept(listener, NULL, NULL)) >= 0) {
                        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
                        seen->connections++;
                        shake_hands(fd, way);
                        close(fd);
                }
                _exit(0);
        }
        close(listener);
        return child;
}

void toy_await_requests(unsigned count)
{
        const struct timespec patience = { .tv_sec = PATIENCE_S };
        unsigned now;
        bool is_late = false;

        while ((now = __atomic_load_n(&seen->requests, __ATOMIC_SEQ_CST)) < count && !is_late)
                is_late = syscall(SYS_futex, &seen->requests, FUTEX_WAIT, now, &patience, NULL, 0) < 0 && errno == ETIMEDOUT;
        if (is_late)
                errx(1, "the server has had %u requests within %d s, and not %u", now, PATIENCE_S, count);
}

void toy_end(pid_t toy)
{
        kill(toy, SIGKILL);
        waitpid(toy, NULL, 0);
}
