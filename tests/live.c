/* A minute of attack over real sockets. The tool listens in each dialect, at a unix socket and at a port. A dozen hostile
 * clients send it structured frames that were changed, whole, torn and slow, close one half, reset, or are killed. A good
 * client asks each listener again and again, over a session that lasts and over new ones: all of its requests have to be
 * answered. In the end each listener has to end in order when it is asked to.
 *
 *      live FERRY [SECONDS]
 *
 * What a hostile client sends follows from the seed alone, which is printed, and set by FERRY_SEED; when it arrives does
 * not. Ends with "live: N passed, N failed". */
#include <ferry/ferry.h>

#include "support/surroundings.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        HOSTILE = 12,
        SECONDS = 60,
        LISTENERS_MAX = 10,
        SAMPLES_MAX = 4096,
        SAMPLE_MAX = 1 << 16,
        BYTES_MAX = 1 << 18,    /* that are sent by one connection */
        ANSWER_MS = 20000,      /* for a request of the good client, also on a busy machine */
        END_S = 20,             /* for a listener to end */
        KILL_MS = 100,          /* so often a hostile client is killed */
        GIVING_UP = 3,          /* unanswered requests: then the rest will be, too */
        PAUSE_MS = 20,          /* of slow clients, at most */
        PASSED_MAX = 200,       /* descriptors that go together, of hostile clients */
};

static const struct dialect {
        const char *name;
        unsigned number;
        const char *type;       /* of the good client's requests */
        bool is_map;            /* with a text in it; else their body is the text */
        const char *corpus;
} dialects[] = {
        { "auto", FERRY_DIALECT_AUTO, "echo", true, "ferry" },
        { "ferry", FERRY_DIALECT_FERRY, "echo", true, "ferry" },
        { "stream-ipc", FERRY_DIALECT_STREAM_IPC, "App\\Echo", true, "stream-ipc" },
        { "innmind", FERRY_DIALECT_INNMIND, "text/plain", false, "innmind" },
        { "pcntl", FERRY_DIALECT_PCNTL, "echo", false, "pcntl" },
};
enum { DIALECTS = sizeof dialects / sizeof *dialects };

static struct listener {
        const struct dialect *dialect;
        char address[128], path[108], log[128];
        int port;               /* 0: a unix socket */
        pid_t pid;
        ferry_session *lasting;
        unsigned served, unserved;
} listeners[LISTENERS_MAX];
static int listener_count;

/* Bytes of a recorded conversation. */
static struct sample {
        unsigned char *bytes;
        size_t size;
} samples[DIALECTS][SAMPLES_MAX];
static size_t sample_count[DIALECTS];

static char folder[] = "/tmp/ferry-live-XXXXXX";
static unsigned passed, failed;

static void check(bool is_right, const char *what, const char *of)
{
        if (is_right)
                passed++;
        else {
                failed++;
                printf("FAILED: %s: %s\n", of, what);
        }
}

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Chance: splitmix64 ---------------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t draw(void)
{
        uint64_t z = state += 0x9e3779b97f4a7c15u;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

static size_t below(size_t limit)
{
        return limit ? (size_t)(draw() % limit) : 0;
}

/* Samples --------------------------------------------------------------------------------------------- */

static void add_sample(int dialect, const void *bytes, size_t size)
{
        struct sample *sample = &samples[dialect][sample_count[dialect]];

        if (size == 0 || sample_count[dialect] == SAMPLES_MAX)
                return;
        sample->bytes = malloc(size);
        if (!sample->bytes)
                abort();
        memcpy(sample->bytes, bytes, size);
        sample->size = size;
        sample_count[dialect]++;
}

/* In the order of their names, so that a seed finds the same ones. */
static void add_folder(int dialect, const char *path, const char *prefix)
{
        static unsigned char bytes[SAMPLE_MAX];
        struct dirent **entries;
        int count = scandir(path, &entries, NULL, alphasort);

        for (int i = 0; i < count; i++) {
                char name[512];
                int fd;

                snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
                fd = entries[i]->d_name[0] == '.' || strncmp(entries[i]->d_name, prefix, strlen(prefix)) != 0 ?
                        -1 : open(name, O_RDONLY | O_CLOEXEC);
                if (fd >= 0) {
                        ssize_t size = read(fd, bytes, sizeof bytes);

                        add_sample(dialect, bytes, size > 0 ? (size_t)size : 0);
                        close(fd);
                }
                free(entries[i]);
        }
        if (count >= 0)
                free(entries);
}

static ferry_call *ask(ferry_session *session, const struct dialect *dialect, int timeout_ms, const char *text)
{
        return dialect->is_map ? ferry_session_request(session, timeout_ms, dialect->type, "{text: %s}", text) :
                                 ferry_session_request(session, timeout_ms, dialect->type, "%s", text);
}

/* What our own side of a session writes: a greeting, a notification and requests. */
static void add_own(int dialect)
{
        static unsigned char bytes[SAMPLE_MAX];
        const struct dialect *of = &dialects[dialect];
        FILE *file = tmpfile();
        int fds[] = { open("/dev/null", O_RDONLY | O_CLOEXEC), file ? fcntl(fileno(file), F_DUPFD_CLOEXEC, 3) : -1, -1 };
        FERRY_AUTO(ferry_loop) loop = ferry_loop_new(NULL);
        ferry_session *session;
        ssize_t size;

        if (!file)
                abort();
        /* Nothing comes in, so the session ends; what it has written stays. */
        session = ferry_session_open(loop, NULL, &(ferry_session_options){ .dialect = of->number, .fds = fds });
        ferry_session_notify(session, of->type, "%s", "a notification");
        for (int i = 0; i < 3; i++)
                ferry_call_free(ask(session, of, 1000, "a request"));
        ferry_session_flush(session, 1000);
        size = pread(fileno(file), bytes, sizeof bytes, 0);
        add_sample(dialect, bytes, size > 0 ? (size_t)size : 0);
        fclose(file);
}

static void read_samples(void)
{
        for (int i = 0; i < DIALECTS; i++) {
                char path[512];

                snprintf(path, sizeof path, "%s/fuzz/corpus/%s", TESTS_DIRECTORY, dialects[i].corpus);
                add_folder(i, path, "");
                add_folder(i, TESTS_DIRECTORY "/vectors", strcmp(dialects[i].name, "stream-ipc") == 0 ? "stream-" : dialects[i].name);
                add_own(i);
                if (sample_count[i] == 0) {
                        fprintf(stderr, "live: there are no samples of %s in %s\n", dialects[i].name, path);
                        exit(2);
                }
        }
}

/* Hostile clients ------------------------------------------------------------------------------------- */

static const struct sample *choose(int dialect)
{
        return &samples[dialect][below(sample_count[dialect])];
}

static void overwrite(unsigned char *bytes, size_t size, size_t at, uint64_t value, size_t width)
{
        for (size_t i = 0; i < width && at + i < size; i++)
                bytes[at + i] = (unsigned char)(value >> (8 * (width - 1 - i)));
}

static size_t change(unsigned char *bytes, size_t size, size_t room)
{
        static const uint64_t numbers[] = { 0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff };
        size_t at = below(size), length = below(size - at < 64 ? size - at : 64);

        switch (below(7)) {
        case 0:
                bytes[at] ^= (unsigned char)(1 << below(8));
                break;
        case 1:
                bytes[at] = (unsigned char)below(256);
                break;
        case 2:
                overwrite(bytes, size, at, numbers[below(sizeof numbers / sizeof *numbers)], (size_t)1 << below(4));
                break;
        case 3:         /* The length of a frame of ferry or stream-ipc. */
                overwrite(bytes, size, 4, below(2) ? below(SAMPLE_MAX) : draw(), 4);
                break;
        case 4:
                memmove(bytes + at, bytes + at + length, size - at - length);
                return size - length;
        case 5:
                if (size + length <= room) {
                        memmove(bytes + at + length, bytes + at, size - at);
                        return size + length;
                }
                break;
        default:
                for (size_t i = 0; i < length; i++)
                        bytes[at + i] = (unsigned char)"0123456789:;{}\"#\\\xf3\x4a\x9d\xe2\xc1\xdf\xff"[below(24)];
        }
        return size;
}

/* Several samples, mostly of that dialect, each as it is or changed in some places. */
static size_t compose(unsigned char *bytes, int dialect)
{
        size_t size = 0;

        for (size_t count = 1 + below(6); count > 0; count--) {
                const struct sample *sample = choose(below(8) ? dialect : (int)below(DIALECTS));
                size_t piece = sample->size;

                if (size + piece > BYTES_MAX / 2)
                        break;
                memcpy(bytes + size, sample->bytes, piece);
                for (size_t changes = below(4) ? below(5) : 0; changes > 0 && piece > 0; changes--)
                        piece = change(bytes + size, piece, BYTES_MAX / 2);
                size += piece;
        }
        return size;
}

static int connect_to(const struct listener *listener)
{
        struct sockaddr_un local = { .sun_family = AF_UNIX };
        struct sockaddr_in inet = { .sin_family = AF_INET, .sin_port = htons((uint16_t)listener->port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(listener->port ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), code;

        strcpy(local.sun_path, listener->path);
        code = listener->port ? connect(fd, (struct sockaddr *)&inet, sizeof inet) :
                                connect(fd, (struct sockaddr *)&local, sizeof local);
        if (fd >= 0 && code == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
                return fd;
        if (fd >= 0)
                close(fd);
        return -1;
}

static void drain(int fd)
{
        char bytes[4096];

        while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
                ;
}

/* Bytes, and @count descriptors with them. */
static ssize_t send_passing(int fd, const unsigned char *bytes, size_t size, size_t count)
{
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int))];
        } control = { .bytes = "" };
        struct iovec piece = { (void *)(uintptr_t)bytes, size };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
        int fds[PASSED_MAX];

        if (count > 0) {
                for (size_t i = 0; i < count; i++)
                        fds[i] = STDOUT_FILENO;
                message.msg_control = &control;
                message.msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
                control.head.cmsg_level = SOL_SOCKET;
                control.head.cmsg_type = SCM_RIGHTS;
                control.head.cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
                memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
        }
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static size_t passed_count;     /* with each piece that is sent */

/* Nothing here depends on the answers of the listener, but how long it takes: chance goes on as the seed has it. */
static void send_pieces(int fd, const unsigned char *bytes, size_t size, size_t piece, bool is_reading, int pause_ms)
{
        for (size_t at = 0; at < size && fd >= 0;) {
                size_t length = size - at < piece ? size - at : piece;
                ssize_t put = send_passing(fd, bytes + at, length, passed_count);

                /* Too many descriptors are on their way: go on without. */
                if (put < 0 && errno == ETOOMANYREFS)
                        passed_count = 0;
                else if (put < 0 && errno != EAGAIN)
                        return;
                if (put < 0 && poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, PAUSE_MS * 10) <= 0)
                        return;
                at += put > 0 ? (size_t)put : 0;
                if (is_reading)
                        drain(fd);
                if (pause_ms > 0)
                        poll(NULL, 0, pause_ms);
        }
}

static void attack(unsigned char *bytes)
{
        const struct listener *listener = &listeners[below((size_t)listener_count)];
        int dialect = below(10) ? (int)(listener->dialect - dialects) : (int)below(DIALECTS);
        size_t size = compose(bytes, dialect), way = below(6), end = below(4);
        size_t cut = below(4) ? size : below(size + 1), piece = 1 + below(16);
        int pause_ms = (int)below(PAUSE_MS), fd;

        passed_count = below(4) ? 0 : below(4) ? 1 + below(4) : 1 + below(PASSED_MAX);
        passed_count = listener->port ? 0 : passed_count;
        fd = connect_to(listener);

        switch (way) {
        case 0:         /* slowly, byte by byte at first */
                send_pieces(fd, bytes, cut < 40 ? cut : 40, piece, true, pause_ms / 4);
                if (cut > 40)
                        send_pieces(fd, bytes + 40, cut - 40, 4096, true, 0);
                break;
        case 1:         /* without ever reading, several times over */
                for (int i = 0; i < 4; i++)
                        send_pieces(fd, bytes, cut, cut ? cut : 1, false, 0);
                break;
        case 2:
                send_pieces(fd, bytes, cut, 7, true, 0);
                break;
        default:
                send_pieces(fd, bytes, cut, cut ? cut : 1, true, pause_ms);
        }
        if (fd < 0)
                return;
        switch (end) {
        case 0:         /* half closed, and the answers are read */
                shutdown(fd, SHUT_WR);
                poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, PAUSE_MS);
                drain(fd);
                break;
        case 1:         /* reset */
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
                break;
        case 2:
                shutdown(fd, SHUT_RD);
                break;
        default:
                poll(NULL, 0, pause_ms);
        }
        close(fd);
}

/* Each begins again with another seed when it was killed, so that a seed gives what it sends up to there. */
static pid_t start_hostile(uint64_t seed)
{
        pid_t pid = fork();

        if (pid == 0) {
                unsigned char *bytes = malloc(BYTES_MAX);

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                state = seed;
                while (bytes)
                        attack(bytes);
                _exit(1);
        }
        return pid;
}

/* Listeners ------------------------------------------------------------------------------------------- */

static int free_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
                perror("live: no port");
                exit(2);
        }
        close(fd);
        return ntohs(address.sin_port);
}

static void start_listener(struct listener *listener, const char *ferry, const struct dialect *dialect, bool is_tcp)
{
        listener->dialect = dialect;
        listener->port = is_tcp ? free_port() : 0;
        snprintf(listener->path, sizeof listener->path, "%s/%s.sock", folder, dialect->name);
        snprintf(listener->log, sizeof listener->log, "%s/%s%s.log", folder, dialect->name, is_tcp ? "-tcp" : "");
        if (is_tcp)
                snprintf(listener->address, sizeof listener->address, "tcp:127.0.0.1:%d", listener->port);
        else
                snprintf(listener->address, sizeof listener->address, "unix:%s/%s.sock", folder, dialect->name);
        listener->pid = fork();
        if (listener->pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) || !freopen(listener->log, "w", stderr))
                        _exit(126);
                execl(ferry, ferry, "listen", listener->address, "--dialect", dialect->name, "--echo", "-v", (char *)NULL);
                _exit(127);
        }
}

static void print_log(const struct listener *listener)
{
        char command[256];

        snprintf(command, sizeof command, "tail -n 40 %s", listener->log);
        fflush(stdout);
        if (system(command) != 0)
                printf("(there is no log)\n");
}

/* Whether it has ended by its own signal, with 0. */
static void end_listener(struct listener *listener)
{
        int64_t until = now_ms() + END_S * 1000;
        int status = 0;
        pid_t pid = waitpid(listener->pid, &status, WNOHANG);
        bool is_early = pid != 0;

        check(!is_early, "it has ended before it was asked to", listener->address);
        if (!is_early)
                kill(listener->pid, SIGTERM);
        while (pid == 0 && now_ms() < until) {
                poll(NULL, 0, 10);
                pid = waitpid(listener->pid, &status, WNOHANG);
        }
        check(pid != 0, "it does not end when it is asked to", listener->address);
        if (pid == 0) {
                kill(listener->pid, SIGKILL);
                waitpid(listener->pid, &status, 0);
        }
        check(status == 0, "it has not ended with status 0", listener->address);
        if (is_early || pid == 0 || status != 0)
                print_log(listener);
}

/* The good client ------------------------------------------------------------------------------------- */

static ferry_session *open_good(ferry_loop *loop, const struct listener *listener)
{
        return ferry_session_open(loop, listener->address, &(ferry_session_options){
                .dialect = listener->dialect->number, .wait_ms = ANSWER_MS });
}

/* Where the dialect can ask for descriptions, and pass descriptors: a list, and one that goes with the next request. */
static bool is_described(ferry_session *session, struct listener *listener, const char *way)
{
        FERRY_AUTO(ferry_call) call = NULL;

        if (listener->dialect->number != FERRY_DIALECT_FERRY)
                return true;
        call = ferry_session_describe(session, ANSWER_MS);
        if (!ferry_call_await(call)) {
                if (listener->unserved++ < GIVING_UP)
                        printf("%s: %s: descriptions: %s\n", listener->address, way, ferry_call_error(call));
                return false;
        }
        if (listener->port == 0 && ferry_session_attach(session, STDOUT_FILENO) < 0) {
                if (listener->unserved++ < GIVING_UP)
                        printf("%s: %s: %s\n", listener->address, way, ferry_session_error(session));
                return false;
        }
        return true;
}

static bool is_served(ferry_session *session, struct listener *listener, const char *way)
{
        char text[64];
        size_t size;
        const char *answer;
        const ferry_value *body;
        FERRY_AUTO(ferry_call) call = NULL;
        const ferry_message *reply;

        snprintf(text, sizeof text, "request %u", listener->served + listener->unserved);
        call = ask(session, listener->dialect, ANSWER_MS, text);
        reply = ferry_call_await(call);
        body = reply ? ferry_message_body(reply) : NULL;
        answer = ferry_value_bytes(listener->dialect->is_map ? ferry_value_get(body, "text") : body, &size);
        if (answer && size == strlen(text) && memcmp(answer, text, size) == 0) {
                listener->served++;
                return is_described(session, listener, way);
        }
        if (listener->unserved++ < GIVING_UP)
                printf("%s: %s: %s: %s\n", listener->address, way, text, reply ? "another answer" : ferry_call_error(call));
        return false;
}

static void ask_once(ferry_loop *loop, struct listener *listener)
{
        ferry_session *session = open_good(loop, listener);

        is_served(session, listener, "a new session");
        ferry_session_free(session);
}

int main(int argc, char **argv)
{
        int seconds = argc > 2 ? atoi(argv[2]) : SECONDS;
        const char *chosen = getenv("FERRY_SEED");
        uint64_t seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
        unsigned asked = 0, kills = 0;
        pid_t hostile[HOSTILE];
        ferry_loop *loop;
        int64_t end, killed = 0;

        if (argc < 2 || seconds < 1) {
                fprintf(stderr, "usage: live FERRY [SECONDS]\n");
                return 2;
        }
        if (chosen && *chosen)
                seed = strtoull(chosen, NULL, 0);
        surroundings_choose();
        signal(SIGPIPE, SIG_IGN);
        setvbuf(stdout, NULL, _IOLBF, 0);
        printf("live: the seed is FERRY_SEED=%llu\n", (unsigned long long)seed);
        if (!mkdtemp(folder)) {
                perror("live: no folder");
                return 2;
        }
        read_samples();
        for (int i = 0; i < DIALECTS; i++) {
                start_listener(&listeners[listener_count++], argv[1], &dialects[i], false);
                start_listener(&listeners[listener_count++], argv[1], &dialects[i], true);
        }
        loop = ferry_loop_new(NULL);
        for (int i = 0; i < listener_count; i++) {
                listeners[i].lasting = open_good(loop, &listeners[i]);
                check(is_served(listeners[i].lasting, &listeners[i], "before the attack"), "it does not serve", listeners[i].address);
        }
        for (int i = 0; i < HOSTILE; i++)
                hostile[i] = start_hostile(seed + (uint64_t)i);
        for (end = now_ms() + seconds * 1000; now_ms() < end && failed == 0;) {
                struct listener *listener = &listeners[asked++ % (unsigned)listener_count];
                int i = (int)(kills % HOSTILE);

                is_served(listener->lasting, listener, "the lasting session");
                ask_once(loop, listener);
                poll(NULL, 0, 1);
                if (now_ms() - killed > KILL_MS) {
                        killed = now_ms();
                        kill(hostile[i], SIGKILL);
                        waitpid(hostile[i], NULL, 0);
                        hostile[i] = start_hostile(seed + (uint64_t)(HOSTILE + kills++));
                }
                if (listener->unserved >= GIVING_UP)
                        break;
        }
        for (int i = 0; i < HOSTILE; i++) {
                kill(hostile[i], SIGKILL);
                waitpid(hostile[i], NULL, 0);
        }
        ferry_loop_free(loop);
        for (int i = 0; i < listener_count; i++) {
                check(listeners[i].unserved == 0, "requests of the good client were not answered", listeners[i].address);
                end_listener(&listeners[i]);
                printf("%s, %s: %u requests were answered\n", listeners[i].address, listeners[i].dialect->name, listeners[i].served);
        }
        printf("%u clients were killed\n", kills);
        if (failed == 0) {
                char command[64];

                snprintf(command, sizeof command, "rm -rf %s", folder);
                passed += system(command) == 0;
        }
        for (int i = 0; i < DIALECTS; i++)
                for (size_t k = 0; k < sample_count[i]; k++)
                        free(samples[i][k].bytes);
        printf("live: %u passed, %u failed\n", passed, failed);
        return failed > 0;
}
