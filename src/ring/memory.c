/* Invariants: memory is only used once it can neither shrink nor grow, so that no access to it ends in SIGBUS; its pages are
 * reserved and mapped before the first message. */
#include "ring/memory.h"

#include "util/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

_Static_assert(sizeof(struct ring_pair) <= RING_HEADER, "what both sides see of the rings stands before their bytes");

static size_t size_of(uint32_t ring_size)
{
        return RING_HEADER + 2 * (size_t)ring_size;
}

static bool is_size(uint32_t size)
{
        return size >= RING_SIZE_MIN && size <= RING_SIZE_MAX && (size & (size - 1)) == 0;
}

static int map(struct ring_memory *memory, int fd, uint32_t size, struct error *error)
{
        int code;
        unsigned char *all = sys_map_file(fd, size_of(size), &code);

        if (!all)
                return error_set(error, code, "cannot map shared memory of %zu bytes: %s", size_of(size), error_describe(code));
        *memory = (struct ring_memory){
                .pair = (struct ring_pair *)(void *)all,
                .bytes = { all + RING_HEADER, all + RING_HEADER + size },
                .size = size,
        };
        return 0;
}

int ring_memory_make(struct ring_memory *memory, uint32_t size, int *ret_fd, struct error *error)
{
        int fd, code;

        if (!is_size(size))
                return error_set(error, -EINVAL, "cannot make a ring of %u bytes: it must be a power of two, and %d to %d", (unsigned)size,
                                 (int)RING_SIZE_MIN, (int)RING_SIZE_MAX);
        fd = sys_shared_memory_file();
        if (fd < 0)
                return error_set(error, fd, "cannot make shared memory: %s", error_describe(fd));
        code = sys_allocate(fd, (off_t)size_of(size));
        if (code < 0)
                error_set(error, code, "cannot reserve %zu bytes of shared memory: %s", size_of(size), error_describe(code));
        else if ((code = sys_add_seals(fd, SEALS)) < 0)
                error_set(error, code, "cannot seal shared memory: %s", error_describe(code));
        else
                code = map(memory, fd, size, error);
        if (code < 0) {
                sys_close(fd);
                return code;
        }
        *ret_fd = fd;
        return 0;
}

int ring_memory_take(struct ring_memory *memory, int fd, struct error *error)
{
        int seals = sys_seals(fd), code;
        int64_t type = 0;
        struct stat stat;
        off_t size;

        /* A file that cannot be sealed, such as one of a directory or a pipe, has no seals to ask for. */
        if (seals == -EINVAL || (seals >= 0 && (seals & SEALS) != SEALS))
                return error_set(error, -EBADMSG, "the other side offers shared memory that is not sealed");
        if (seals < 0)
                return error_set(error, seals, "cannot look at the seals of shared memory: %s", error_describe(seals));
        code = sys_file_system(fd, &type);
        if (!code)
                code = sys_stat_fd(fd, &stat);
        if (code)
                return error_set(error, code, "cannot look at shared memory: %s", error_describe(code));
        /* Memory of huge pages can have the same seals, and ends in SIGBUS where no page is left. */
        if (type != TMPFS_MAGIC)
                return error_set(error, -EBADMSG, "the other side offers shared memory of another kind than tmpfs");
        size = (stat.st_size - RING_HEADER) / 2;
        if (size > RING_SIZE_MAX || size < RING_SIZE_MIN || !is_size((uint32_t)size) || stat.st_size != (off_t)size_of((uint32_t)size))
                return error_set(error, -EBADMSG, "the other side offers shared memory of %lld bytes, which are no two rings",
                                 (long long)stat.st_size);
        return map(memory, fd, (uint32_t)size, error);
}

void ring_memory_drop(struct ring_memory *memory)
{
        if (memory->pair)
                sys_unmap(memory->pair, size_of(memory->size));
        *memory = (struct ring_memory){ .pair = NULL };
}
