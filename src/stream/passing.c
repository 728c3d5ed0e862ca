#include "stream/passing.h"

#include "util/control.h"
#include "util/sys.h"

#include <errno.h>
#include <string.h>

enum { CONTROL_MAX = 256 };     /* the kernel sends 253 at most at once */

static struct passing *passing_new(void)
{
        struct passing *passing = sys_alloc_zeroed(sizeof *passing);

        if (passing)
                list_init(&passing->waiting);
        return passing;
}

void passed_free(struct passed *passed)
{
        if (!passed)
                return;
        for (size_t i = 0; i < passed->count; i++)
                if (passed->fds[i] >= 0)
                        sys_close(passed->fds[i]);
        sys_free(passed);
}

struct passed *passing_take(struct passing *passing)
{
        struct passed *passed = passing ? list_first(&passing->waiting, struct passed, link) : NULL;

        if (!passed)
                return NULL;
        list_remove(&passed->link);
        passing->pieces--;
        passing->count -= passed->count;
        return passed;
}

void passing_free(struct passing *passing)
{
        struct passed *passed;

        while ((passed = passing_take(passing)))
                passed_free(passed);
        sys_free(passing);
}

/* Whether one of them has a number that is kept for others. */
static bool is_over(const unsigned char *data, size_t count, int below)
{
        int fd = -1, highest = -1;

        for (size_t i = 0; i < count; i++) {
                memcpy(&fd, data + i * sizeof fd, sizeof fd);
                highest = fd > highest ? fd : highest;
        }
        return highest >= below;
}

static void close_all(const unsigned char *data, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                int fd;

                memcpy(&fd, data + i * sizeof fd, sizeof fd);
                sys_close(fd);
        }
}

/* Keep what one control message has brought: 0 or -ENOMEM. */
static int keep(struct passing **place, const unsigned char *data, size_t count, bool is_cut)
{
        struct passing *passing = *place ? *place : passing_new();
        struct passed *passed;

        *place = passing;
        if (!passing) {
                close_all(data, count);
                return -ENOMEM;
        }
        if (passing->is_flooded || count > PASSED_MAX || passing->count + count > PASSED_WAITING_MAX ||
            passing->pieces == PASSED_WAITING_MAX) {
                passing->is_flooded = true;
                close_all(data, count);
                return 0;
        }
        passed = sys_alloc(sizeof *passed + count * sizeof *passed->fds);
        if (!passed) {
                close_all(data, count);
                return -ENOMEM;
        }
        passed->count = count;
        passed->is_cut = is_cut;
        /* Where there was room for none, there is no data. */
        if (count > 0)
                memcpy(passed->fds, data, count * sizeof *passed->fds);
        list_append(&passing->waiting, &passed->link);
        passing->pieces++;
        passing->count += count;
        return 0;
}

ssize_t passing_receive(struct passing **passing, int socket, int below, void *buffer, size_t size)
{
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(CONTROL_MAX * sizeof(int))];
        struct iovec piece = { .iov_base = buffer, .iov_len = size };
        struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        ssize_t got = sys_receive_message(socket, &message, 0);
        bool is_cut = got >= 0 && (message.msg_flags & MSG_CTRUNC), has_come = false;
        size_t count;
        int code = 0;

        if (got < 0 || (message.msg_controllen == 0 && !is_cut))
                return got;
        for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = control_next(&message, head)) {
                if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
                        continue;
                has_come = true;
                count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                if (is_over(CMSG_DATA(head), count, below)) {
                        close_all(CMSG_DATA(head), count);
                        code = keep(passing, NULL, 0, true);
                } else
                        code = keep(passing, CMSG_DATA(head), count, is_cut);
        }
        /* Not one had room. */
        if (is_cut && !has_come)
                code = keep(passing, NULL, 0, true);
        return code ? code : got;
}

ssize_t passing_send(int socket, struct iovec *slices, int count, const int *fds, size_t fd_count)
{
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSED_MAX * sizeof(int))] = "";
        struct msghdr message = { .msg_iov = slices, .msg_iovlen = (size_t)count, .msg_control = control,
                                  .msg_controllen = (socklen_t)CMSG_SPACE(fd_count * sizeof *fds) };
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);

        /* gcc-analyzer: there is room for the head */
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = (socklen_t)CMSG_LEN(fd_count * sizeof *fds);
        memcpy(CMSG_DATA(head), fds, fd_count * sizeof *fds);
        return sys_send_message(socket, &message);
}
