/* Channels of message queues: SysV by key, path and identifier, POSIX by name; their types, limits and owners. */
#include "support/place.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_MS = 30 };

struct queue {
        struct place place;
        char key[128];          /* the key file, which is there */
        char address[160];
};

static void open_queue(struct queue *queue)
{
        open_place(&queue->place);
        snprintf(queue->key, sizeof queue->key, "%s/key", queue->place.directory);
        snprintf(queue->address, sizeof queue->address, "msgq:%s", queue->key);
}

static void close_queue(struct queue *queue)
{
        int id = msgget(ftok(queue->key, 'T'), 0);

        if (access(queue->key, F_OK) == 0 && id >= 0)
                msgctl(id, IPC_RMID, NULL);
        unlink(queue->key);
        close_place(&queue->place);
}

static ferry_channel *receiver_of(struct queue *queue, const ferry_channel_options *options)
{
        ferry_channel *channel = ferry_channel_open(queue->place.loop, queue->address, FERRY_RECEIVE, options);

        ck_assert_msg(ferry_channel_status(channel) == 1, "%s", ferry_channel_error(channel));
        return channel;
}

static void require_typed(ferry_channel *channel, long wanted, long type, const char *text)
{
        char record[64];
        long got_type = -1;
        ssize_t got = ferry_channel_receive_typed(channel, wanted, &got_type, record, sizeof record, SHORT_MS);

        ck_assert_msg(got == (ssize_t)strlen(text), "%zd: %s", got, ferry_channel_error(channel));
        ck_assert_mem_eq(record, text, strlen(text));
        ck_assert_int_eq(got_type, type);
}

static void send_typed(ferry_channel *channel, long type, const char *text)
{
        ssize_t put = ferry_channel_send_typed(channel, type, text, strlen(text), SHORT_MS);

        ck_assert_msg(put == (ssize_t)strlen(text), "%zd: %s", put, ferry_channel_error(channel));
}

START_TEST(a_type_selects_the_record)
{
        struct queue queue;
        ferry_channel *channel;

        open_queue(&queue);
        channel = receiver_of(&queue, NULL);
        send_typed(channel, 5, "five");
        send_typed(channel, 3, "three");
        send_typed(channel, 7, "seven");
        send_typed(channel, 3, "three again");
        require_typed(channel, 7, 7, "seven");
        require_typed(channel, -6, 3, "three");
        require_typed(channel, 0, 5, "five");
        ck_assert_int_eq(ferry_channel_receive_typed(channel, 4, NULL, NULL, 0, 0), -ETIMEDOUT);
        require_typed(channel, 3, 3, "three again");
        ck_assert_int_eq(ferry_channel_send_typed(channel, 0, "x", 1, 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_fd(channel), -EOPNOTSUPP);
        close_queue(&queue);
}
END_TEST

START_TEST(a_small_buffer_leaves_the_record_in_the_queue)
{
        struct queue queue;
        ferry_channel *channel;
        char record[8];

        open_queue(&queue);
        channel = receiver_of(&queue, NULL);
        send_typed(channel, 1, "a record");
        for (size_t size = 0; size < 8; size++) {
                ck_assert_int_eq(ferry_channel_receive(channel, record, size, SHORT_MS), -EMSGSIZE);
                ck_assert_ptr_nonnull(strstr(ferry_channel_error(channel), "8192"));
        }
        ck_assert_int_eq(ferry_channel_receive(channel, record, sizeof record, 0), 8);
        close_queue(&queue);
}
END_TEST

static int make_room(ferry_loop *loop, void *userdata)
{
        char record[8192];

        (void)loop;
        ck_assert_int_ge(ferry_channel_receive(userdata, record, sizeof record, 0), 0);
        return 0;
}

static int remove_it(ferry_loop *loop, void *userdata)
{
        (void)loop;
        ck_assert_int_eq(ferry_channel_remove(userdata), 0);
        return 0;
}

START_TEST(a_full_queue_is_waited_for)
{
        struct queue queue;
        ferry_channel *receiver, *sender;
        char record[8192] = "";
        size_t size = sizeof record;

        open_queue(&queue);
        if (_i)
                snprintf(queue.address, sizeof queue.address, "mqueue:ferry-test-%d", (int)getpid());
        receiver = receiver_of(&queue, NULL);
        sender = ferry_channel_open(queue.place.loop, queue.address, FERRY_SEND, NULL);
        while (ferry_channel_send(sender, record, size, 0) == (ssize_t)size)
                continue;
        ck_assert_int_eq(ferry_channel_send(sender, record, size, SHORT_MS), -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(sender), queue.address));
        ferry_loop_after(queue.place.loop, SHORT_MS, make_room, receiver);
        ck_assert_int_eq(ferry_channel_send(sender, record, size, SAFETY_MS), (ssize_t)size);
        ck_assert_int_eq(ferry_channel_remove(receiver), 0);
        close_queue(&queue);
}
END_TEST

START_TEST(a_removal_ends_the_wait)
{
        struct queue queue;
        ferry_channel *channel, *other;
        char record[8];

        open_queue(&queue);
        channel = receiver_of(&queue, NULL);
        other = receiver_of(&queue, NULL);
        ferry_loop_after(queue.place.loop, SHORT_MS, remove_it, other);
        ck_assert_int_eq(ferry_channel_receive(channel, record, sizeof record, SAFETY_MS), -EIDRM);
        /* One that is made under the same key is another queue. */
        receiver_of(&queue, NULL);
        ck_assert_int_eq(ferry_channel_receive(channel, record, sizeof record, 0), -EIDRM);
        close_queue(&queue);
}
END_TEST

START_TEST(a_private_queue_has_its_identifier_as_address)
{
        struct place place;
        ferry_channel *channel, *other;

        open_place(&place);
        channel = ferry_channel_open(place.loop, "msgq:private", FERRY_RECEIVE, NULL);
        ck_assert_int_eq(strncmp(ferry_channel_address(channel), "msgq:#", 6), 0);
        other = ferry_channel_open(place.loop, ferry_channel_address(channel), FERRY_SEND, NULL);
        send_typed(other, 1, "by its number");
        require_typed(channel, 0, 1, "by its number");
        ck_assert_int_eq(ferry_channel_remove(channel), 0);
        close_place(&place);
}
END_TEST

START_TEST(a_capacity_and_a_mode_can_be_changed)
{
        struct queue queue;
        ferry_channel *channel;
        struct msqid_ds state;

        open_queue(&queue);
        ferry_channel_free(receiver_of(&queue, &(ferry_channel_options){ .bytes_max = 4096 }));
        channel = ferry_channel_open(queue.place.loop, queue.address, FERRY_SEND, NULL);
        ck_assert_uint_eq(ferry_channel_record_max(channel), 4096);
        ck_assert_int_eq(ferry_channel_send(channel, "", 4097, 0), -EMSGSIZE);
        ck_assert_int_eq(ferry_channel_limit(channel, 0640, 2048), 0);
        ck_assert_uint_eq(ferry_channel_record_max(channel), 2048);
        ck_assert_int_eq(msgctl(msgget(ftok(queue.key, 'T'), 0), IPC_STAT, &state), 0);
        ck_assert_uint_eq(state.msg_perm.mode & 0777, 0640);
        ck_assert_uint_eq(state.msg_qbytes, 2048);
        close_queue(&queue);
}
END_TEST

/* A record may be larger than what fits the queue now; or than what did when the receiver began. */
START_TEST(a_record_over_a_changed_limit_is_received)
{
        static char record[4000];
        struct queue queue;
        struct msqid_ds state;
        ferry_channel *sender, *receiver;
        ferry_value *value;
        int id;

        open_queue(&queue);
        receiver = receiver_of(&queue, _i == 2 ? &(ferry_channel_options){ .bytes_max = 100 } : NULL);
        id = msgget(ftok(queue.key, 'T'), 0);
        ck_assert_int_eq(msgctl(id, IPC_STAT, &state), 0);
        state.msg_qbytes = 16384;
        ck_assert_int_eq(msgctl(id, IPC_SET, &state), 0);
        sender = ferry_channel_open(queue.place.loop, queue.address, FERRY_SEND, NULL);
        memset(record, 'x', sizeof record);
        ck_assert_int_eq(ferry_channel_send(sender, record, sizeof record, 0), sizeof record);
        ck_assert_int_eq(ferry_channel_send_value(sender, 0, 0, "%.*s", 3000, record), 0);
        if (_i < 2)
                ck_assert_int_eq(ferry_channel_limit(sender, 0, 100), 0);
        if (_i == 1)
                receiver = receiver_of(&queue, NULL);
        ck_assert_int_eq(ferry_channel_receive(receiver, record, 10, 0), -EMSGSIZE);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(receiver), "8192"));
        ck_assert_uint_ge(ferry_channel_record_max(receiver), sizeof record);
        ck_assert_int_eq(ferry_channel_receive(receiver, record, sizeof record, 0), sizeof record);
        ck_assert_msg(ferry_channel_receive_value(receiver, 0, 0, NULL, &value) == 0, "%s", ferry_channel_error(receiver));
        ck_assert_uint_eq(strlen(ferry_value_text(value, "")), 3000);
        ferry_value_unref(value);
        if (_i < 2)
                ck_assert_int_eq(ferry_channel_send(sender, record, 101, 0), -EMSGSIZE);
        close_queue(&queue);
}
END_TEST

/* PHP's default mode lets other users in. */
START_TEST(a_wide_queue_is_shown_or_refused)
{
        struct queue queue;
        FERRY_AUTO(ferry_value) info = NULL;
        ferry_channel *channel;

        open_queue(&queue);
        close(open(queue.key, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        msgget(ftok(queue.key, 'T'), IPC_CREAT | 0666);
        channel = receiver_of(&queue, NULL);
        info = ferry_channel_info(channel);
        ck_assert(ferry_value_bool(ferry_value_get(info, "is_wide"), false));
        channel = ferry_channel_open(queue.place.loop, queue.address, FERRY_SEND, &(ferry_channel_options){ .is_strict = true });
        ck_assert_int_eq(ferry_channel_status(channel), -EACCES);
        close_queue(&queue);
}
END_TEST

/* The object of another user, of each kind; also where it appears while a sender waits for it. */
START_TEST(a_queue_of_another_user_stays_refused)
{
        struct queue queue;
        ferry_channel *channel;
        const char *name;
        mqd_t made = -1;
        int id = -1;

        if (!can_become())
                return;
        open_queue(&queue);
        chmod(queue.place.directory, 0755);
        close(open(queue.key, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        if (_i)
                snprintf(queue.address, sizeof queue.address, "mqueue:ferry-test-%d", (int)getpid());
        name = strchr(queue.address, ':') + 1;
        channel = ferry_channel_open(queue.place.loop, queue.address, FERRY_SEND,
                                     &(ferry_channel_options){ .wait_ms = SAFETY_MS });
        ck_assert_int_eq(ferry_channel_status(channel), 1);
        become(STRANGER);
        if (_i) {
                char path[80];

                umask(0);
                snprintf(path, sizeof path, "/%s", name);
                made = mq_open(path, O_RDWR | O_CREAT | O_EXCL, 0666, NULL);
        } else
                id = msgget(ftok(queue.key, 'T'), IPC_CREAT | IPC_EXCL | 0666);
        become(0);
        ck_assert(made >= 0 || id >= 0);
        for (int i = 0; i < 3; i++) {
                ck_assert_int_eq(ferry_channel_send(channel, "secret", 6, 0), -EACCES);
                ck_assert_ptr_nonnull(strstr(ferry_channel_error(channel), "65534"));
        }
        if (_i) {
                char path[80];

                snprintf(path, sizeof path, "/%s", name);
                mq_close(made);
                mq_unlink(path);
        } else
                msgctl(id, IPC_RMID, NULL);
        close_queue(&queue);
}
END_TEST

START_TEST(processes_that_create_a_queue_at_once_all_have_it)
{
        enum { PROCESSES = 16 };
        struct queue queue;

        open_queue(&queue);
        for (int i = 0; i < PROCESSES; i++)
                if (fork() == 0) {
                        ferry_loop *loop = ferry_loop_new(NULL);
                        ferry_channel *channel = ferry_channel_open(loop, queue.address, FERRY_RECEIVE, NULL);

                        _exit(ferry_channel_status(channel) != 1 || ferry_channel_send(channel, "x", 1, SAFETY_MS) != 1);
                }
        for (int i = 0; i < PROCESSES; i++) {
                int status;

                ck_assert_int_gt(wait(&status), 0);
                ck_assert_int_eq(status, 0);
        }
        for (int i = 0; i < PROCESSES; i++)
                require_typed(receiver_of(&queue, NULL), 0, 1, "x");
        close_queue(&queue);
}
END_TEST

START_TEST(a_key_file_has_its_mode_whatever_the_umask)
{
        struct queue queue;
        struct stat stat_of;
        mode_t before;

        open_queue(&queue);
        before = umask(0777);
        receiver_of(&queue, NULL);
        umask(before);
        ck_assert_int_eq(stat(queue.key, &stat_of), 0);
        ck_assert_uint_eq(stat_of.st_mode & 0777, 0600);
        close_queue(&queue);
}
END_TEST

START_TEST(a_changed_mode_of_a_posix_queue_is_shown)
{
        struct place place;
        char address[64];
        ferry_channel *receiver;

        open_place(&place);
        snprintf(address, sizeof address, "mqueue:/ferry-test-%d", (int)getpid());
        /* Small, since all queues of a user have one limit in bytes. */
        receiver = ferry_channel_open(place.loop, address, FERRY_RECEIVE,
                                      &(ferry_channel_options){ .record_max = 16, .records_max = 4 });
        for (int i = 0; i < 3; i++) {
                FERRY_AUTO(ferry_value) info = NULL;

                if (i > 0)
                        ck_assert_int_eq(ferry_channel_limit(receiver, i == 1 ? 0660 : 0600, 0), 0);
                info = ferry_channel_info(receiver);
                ck_assert_int_eq(ferry_value_bool(ferry_value_get(info, "is_wide"), i != 1), i == 1);
        }
        ck_assert_int_eq(ferry_channel_remove(receiver), 0);
        close_place(&place);
}
END_TEST

START_TEST(a_posix_queue_gives_the_highest_priority_first)
{
        struct place place;
        char address[64];
        ferry_channel *receiver, *sender;

        open_place(&place);
        snprintf(address, sizeof address, "mqueue:/ferry-test-%d", (int)getpid());
        receiver = ferry_channel_open(place.loop, address, FERRY_RECEIVE,
                                      &(ferry_channel_options){ .record_max = 16, .records_max = 4 });
        sender = ferry_channel_open(place.loop, address, FERRY_SEND, NULL);
        ck_assert_uint_eq(ferry_channel_record_max(sender), 16);
        send_typed(sender, 0, "low");
        send_typed(sender, 9, "high");
        send_typed(sender, 9, "high too");
        require_typed(receiver, 0, 9, "high");
        require_typed(receiver, 0, 9, "high too");
        require_typed(receiver, 0, 0, "low");
        ck_assert_int_eq(ferry_channel_receive_typed(receiver, 1, NULL, NULL, 0, 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_send_typed(sender, 32768, "x", 1, 0), -EINVAL);
        ck_assert_int_eq(ferry_channel_send(receiver, "x", 1, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_receive(sender, address, sizeof address, 0), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_limit(receiver, 0, 100), -EOPNOTSUPP);
        ck_assert_int_eq(ferry_channel_remove(receiver), 0);
        close_place(&place);
}
END_TEST

START_TEST(a_posix_queue_over_the_limits_names_them)
{
        struct place place;
        char name[300];
        ferry_channel *channel;

        open_place(&place);
        channel = ferry_channel_open(place.loop, "mqueue:ferry-large", FERRY_RECEIVE,
                                     &(ferry_channel_options){ .record_max = 1 << 30, .records_max = 1 });
        ck_assert_int_eq(ferry_channel_status(channel), -EINVAL);
        ck_assert_ptr_nonnull(strstr(ferry_channel_error(channel), "/proc/sys/fs/mqueue"));
        memset(name, 'n', sizeof name);
        memcpy(name, "mqueue:", 7);
        name[7 + 255] = '\0';
        ck_assert_int_eq(ferry_channel_status(ferry_channel_open(place.loop, name, FERRY_RECEIVE, NULL)), -ENAMETOOLONG);
        ck_assert_int_eq(ferry_channel_status(ferry_channel_open(place.loop, "mqueue:a/b", FERRY_RECEIVE, NULL)), -EINVAL);
        ck_assert_int_eq(ferry_channel_status(ferry_channel_open(place.loop, "mqueue:..", FERRY_RECEIVE, NULL)), -EINVAL);
        close_place(&place);
}
END_TEST

/* msg_send() with and without serializing. */
START_TEST(values_are_those_of_php)
{
        struct queue queue;
        ferry_channel *php, *plain;
        ferry_value *value = NULL;
        char text[64];
        long type;

        open_queue(&queue);
        php = receiver_of(&queue, NULL);
        plain = receiver_of(&queue, &(ferry_channel_options){ .codec = ferry_codec_plain() });
        ck_assert_int_eq(ferry_channel_send_value(php, 6, SHORT_MS, "{a: [1, %f]}", 2.5), 0);
        require_typed(php, 6, 6, "a:1:{s:1:\"a\";a:2:{i:0;i:1;i:1;d:2.5;}}");
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, SHORT_MS, "%f", 0.1), 0);
        require_typed(plain, 0, 1, "0.100000");
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, SHORT_MS, "%f", 1e25), 0);
        require_typed(plain, 0, 1, "10000000000000000905969664.000000");
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, SHORT_MS, "%f", -0.0), 0);
        require_typed(plain, 0, 1, "0.000000");
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, SHORT_MS, "true"), 0);
        require_typed(plain, 0, 1, "1");
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, SHORT_MS, "%s", ""), 0);
        require_typed(plain, 0, 1, "");
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, SHORT_MS, "%d", -12345), 0);
        ck_assert_int_eq(ferry_channel_receive_value(php, 0, SHORT_MS, &type, &value), -EBADMSG);
        ck_assert_ptr_null(value);
        ck_assert_int_eq(ferry_channel_receive(php, text, sizeof text, 0), -ETIMEDOUT);
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, 0, "[1]"), -EILSEQ);
        ck_assert_int_eq(ferry_channel_send_value(plain, 0, 0, "%f", __builtin_inf()), -EDOM);
        ck_assert_int_eq(ferry_channel_send_value(php, 0, 0, "%p", NULL), -EINVAL);
        close_queue(&queue);
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_type_selects_the_record),
        SUITE_TEST(a_small_buffer_leaves_the_record_in_the_queue),
        SUITE_LOOP(a_full_queue_is_waited_for, 2),
        SUITE_TEST(a_removal_ends_the_wait),
        SUITE_TEST(a_private_queue_has_its_identifier_as_address),
        SUITE_TEST(a_capacity_and_a_mode_can_be_changed),
        SUITE_LOOP(a_record_over_a_changed_limit_is_received, 3),
        SUITE_TEST(a_wide_queue_is_shown_or_refused),
        SUITE_LOOP(a_queue_of_another_user_stays_refused, 2),
        SUITE_TEST(processes_that_create_a_queue_at_once_all_have_it),
        SUITE_TEST(a_key_file_has_its_mode_whatever_the_umask),
        SUITE_TEST(a_changed_mode_of_a_posix_queue_is_shown),
        SUITE_TEST(a_posix_queue_gives_the_highest_priority_first),
        SUITE_TEST(a_posix_queue_over_the_limits_names_them),
        SUITE_TEST(values_are_those_of_php),
};

SUITE_MAIN("channel-queues", tests)
