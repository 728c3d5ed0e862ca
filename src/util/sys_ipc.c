/* The door to the system, see sys.c: POSIX message queues and SysV objects. */
#include "util/sys.h"

#include "util/result.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The system calls themselves: before glibc 2.34 the functions of the C library stand in a library of their own. */
int sys_mqueue_open(const char *name, int flags, mode_t mode, const struct mq_attr *attributes)
{
        return (int)RESULT_UNINTERRUPTED(syscall(SYS_mq_open, name, flags | O_CLOEXEC | O_NONBLOCK, mode, attributes));
}

int sys_mqueue_send(int fd, const void *bytes, size_t size, unsigned priority)
{
        return (int)RESULT_UNINTERRUPTED(syscall(SYS_mq_timedsend, fd, bytes, size, priority, NULL));
}

ssize_t sys_mqueue_receive(int fd, void *buffer, size_t size, unsigned *ret_priority)
{
        return RESULT_UNINTERRUPTED(syscall(SYS_mq_timedreceive, fd, buffer, size, ret_priority, NULL));
}

int sys_mqueue_attributes(int fd, struct mq_attr *ret_attributes)
{
        return (int)RESULT(syscall(SYS_mq_getsetattr, fd, NULL, ret_attributes));
}

int sys_mqueue_unlink(const char *name)
{
        return (int)RESULT(syscall(SYS_mq_unlink, name));
}

int sys_ftok(const char *path, int project, key_t *ret_key)
{
        key_t key = ftok(path, project);

        if (key == -1)
                return -errno;
        *ret_key = key;
        return 0;
}

int sys_msg_get(key_t key, int flags)
{
        return RESULT(msgget(key, flags));
}

int sys_msg_send(int id, const void *message, size_t size)
{
        return RESULT_UNINTERRUPTED(msgsnd(id, message, size, IPC_NOWAIT));
}

ssize_t sys_msg_receive(int id, void *message, size_t size, long type)
{
        return RESULT_UNINTERRUPTED(msgrcv(id, message, size, type, IPC_NOWAIT));
}

int sys_msg_control(int id, int command, struct msqid_ds *state)
{
        return RESULT(msgctl(id, command, state));
}

int sys_shm_get(key_t key, size_t size, int flags)
{
        return RESULT(shmget(key, size, flags));
}

void *sys_shm_attach(int id, int flags, int *ret_error)
{
        void *memory = shmat(id, NULL, flags);

        *ret_error = memory == (void *)-1 ? -errno : 0;
        return *ret_error ? NULL : memory;
}

int sys_shm_detach(const void *memory)
{
        return RESULT(shmdt(memory));
}

int sys_shm_control(int id, int command, struct shmid_ds *state)
{
        return RESULT(shmctl(id, command, state));
}

int sys_sem_get(key_t key, int count, int flags)
{
        return RESULT(semget(key, count, flags));
}

/* Not begun again when a signal interrupts it: the caller knows how much of the time is left. */
int sys_sem_operate(int id, struct sembuf *operations, size_t count, int64_t timeout_ns)
{
        struct timespec timeout = { timeout_ns / 1000000000, (long)(timeout_ns % 1000000000) };

        return RESULT(semtimedop(id, operations, count, timeout_ns == INT64_MAX ? NULL : &timeout));
}

union semaphore_argument {
        int value;              /* cppcheck-suppress unusedStructMember ; semctl(2) reads it */
        struct semid_ds *state; /* cppcheck-suppress unusedStructMember ; the same */
};

int sys_sem_value(int id, int number, int command, int value)
{
        return RESULT(semctl(id, number, command, (union semaphore_argument){ .value = value }));
}

int sys_sem_control(int id, int command, struct semid_ds *state)
{
        return RESULT(semctl(id, 0, command, (union semaphore_argument){ .state = state }));
}
