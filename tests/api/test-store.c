/* Stores: variables, raw bytes, torn segments, owners. */
#include <ferry/ferry.h>

#include "channel/segment.h"
#include "support/place.h"
#include "support/stores.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

/* The layout, whose fields are integers of U bytes: the room of a value of a few bytes is SMALL. */
enum { U = SEGMENT_UNIT, HEADER = 8 + 4 * U, SMALL = U == 8 ? 40 : 20 };

/* Variables -------------------------------------------------------------------------------------------- */

START_TEST(a_value_is_put_and_got)
{
        FERRY_AUTO(ferry_value) value = NULL;
        FERRY_AUTO(ferry_value) list = NULL;
        ferry_store *store, *other;

        begin_store();
        store = open_store(NULL);
        other = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "{a: [%d, %s]}", 1, "x"), 0);
        ck_assert_int_eq(ferry_store_put(store, -3, NULL), 0);
        ck_assert_int_eq(ferry_store_get(other, 1, &value), 0);
        ck_assert_int_eq(ferry_value_int(ferry_value_at(ferry_value_get(value, "a"), 0), 0), 1);
        ck_assert_int_eq(ferry_store_has(other, 1), 1);
        ck_assert_int_eq(ferry_store_has(other, 2), 0);
        ck_assert_int_eq(ferry_store_list(other, &list), 0);
        ck_assert_uint_eq(ferry_value_count(list), 2);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_at(list, 1), "key"), 0), -3);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_at(list, 1), "size"), 0), 2);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_at(list, 0), "offset"), 0), HEADER);
        ck_assert_int_eq(ferry_store_remove(other, 1), 0);
        ck_assert_int_eq(ferry_store_remove(store, 1), -ENOENT);
        value = ferry_value_unref(value);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -ENOENT);
        require_sentence(store, store_address);
        ck_assert_ptr_null(value);
        ferry_store_free(other);
        delete_store(store);
}
END_TEST

START_TEST(nothing_is_made_before_the_first_put)
{
        ferry_value *value = NULL;
        ferry_store *store;
        char bytes[4];

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -ENOENT);
        require_sentence(store, "no segment yet");
        ck_assert_int_eq(ferry_store_has(store, 1), 0);
        ck_assert_int_eq(ferry_store_remove(store, 1), -ENOENT);
        ck_assert_int_eq(ferry_store_list(store, &value), -ENOENT);
        ck_assert_int_eq(ferry_store_read(store, 0, bytes, 4), -ENOENT);
        ck_assert_int_eq(ferry_store_repair(store, &value), -ENOENT);
        ck_assert_int_eq(ferry_store_delete(store), -ENOENT);
        ck_assert_int_eq(ferry_store_put(store, 1, "{a: }"), -EINVAL);
        ck_assert_int_eq(ferry_store_write(store, 10001, "x", 1), -EINVAL);
        ck_assert_int_eq(ferry_store_write(store, 9999, "xy", 2), -ENOSPC);
        ferry_store_free(store);
        store = open_store(&(ferry_store_options){ .bytes = 64 });
        ck_assert_int_eq(ferry_store_put(store, 1, "'a text that is too long'"), -ENOSPC);
        ferry_store_free(store);
        end_store();
}
END_TEST

START_TEST(a_segment_is_made_at_once_if_asked_for)
{
        ferry_store *store;

        begin_store();
        unlink(store_path);
        store = ferry_store_open(store_address, NULL);
        ck_assert_int_eq(ferry_store_status(store), -ENOENT);
        require_sentence(store, "does not exist");
        ck_assert_int_eq(ferry_store_put(store, 1, NULL), -ENOENT);
        ck_assert_int_eq(ferry_store_has(store, 1), -ENOENT);
        ferry_store_free(store);
        store = open_store(&(ferry_store_options){ .is_creating = true, .bytes = 1024 });
        store_key = ftok(store_path, 'T');
        ck_assert_int_eq(info_number(store, "size"), 1024);
        ck_assert_int_eq(info_number(store, "free"), 1024 - HEADER);
        ck_assert_int_eq(info_number(store, "mode"), 0600);
        ck_assert_int_eq(info_number(store, "lock_mode"), 0600);
        ck_assert_int_eq(info_number(store, "attached"), 1);
        ck_assert_int_eq(info_number(store, "key"), store_key);
        ck_assert_int_eq(info_number(store, "creator"), getpid());
        delete_store(store);
}
END_TEST

/* PHP serializes a string of n bytes, with n of three digits, as n + 9 bytes. */
START_TEST(values_of_all_sizes_up_to_the_limit)
{
        static char text[2000];
        ferry_store *store;
        size_t limit = 1024 - HEADER - 4 * U, size;
        const size_t sizes[] = { 0, 1, limit - 9, limit - 8 };

        begin_store();
        memset(text, 'x', sizeof text);
        store = open_store(&(ferry_store_options){ .bytes = 1024 });
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                size = sizes[i];
                ck_assert_int_eq(ferry_store_put(store, 1, "%.*s", (int)size, text), i < 3 ? 0 : -ENOSPC);
        }
        require_sentence(store, "1024 bytes");
        ck_assert_int_eq(info_number(store, "free"), 0);
        ck_assert_int_eq(ferry_store_has(store, 1), 1);
        ck_assert_int_eq(ferry_store_put(store, 2, NULL), -ENOSPC);
        ck_assert_int_eq(ferry_store_remove(store, 1), 0);
        ck_assert_int_eq(ferry_store_put(store, 2, NULL), 0);
        delete_store(store);
}
END_TEST

START_TEST(an_existing_segment_keeps_its_size)
{
        ferry_store *store, *other;

        begin_store();
        store = open_store(&(ferry_store_options){ .bytes = 512, .is_creating = true });
        other = open_store(&(ferry_store_options){ .bytes = 4096, .is_creating = true });
        ck_assert_int_eq(info_number(other, "size"), 512);
        ferry_store_free(other);
        delete_store(store);
}
END_TEST

START_TEST(a_removed_segment_is_not_used_any_more)
{
        ferry_store *store, *other;

        begin_store();
        store = open_store(NULL);
        other = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        require_int(other, 1, 1);
        ck_assert_int_eq(ferry_store_delete(store), 0);
        ck_assert_int_eq(ferry_store_has(other, 1), 0);
        ck_assert_int_eq(ferry_store_put(store, 1, "2"), 0);
        require_int(other, 1, 2);
        ferry_store_free(store);
        delete_store(other);
}
END_TEST

START_TEST(a_segment_has_an_identifier)
{
        ferry_store *store, *other;
        char text[64];

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "7"), 0);
        snprintf(text, sizeof text, "shm:#%d", (int)info_number(store, "id"));
        other = ferry_store_open(text, NULL);
        require_int(other, 1, 7);
        ck_assert_int_eq(ferry_store_delete(other), 0);
        ck_assert_int_eq(ferry_store_put(other, 1, "8"), -ENOENT);
        require_sentence(other, text);
        ferry_store_free(other);
        other = ferry_store_open(text, NULL);
        ck_assert_int_eq(ferry_store_status(other), -ENOENT);
        ferry_store_free(other);
        snprintf(text, sizeof text, "shm:%d", (int)store_key);
        other = ferry_store_open(text, NULL);
        ck_assert_int_eq(ferry_store_put(other, 1, "9"), 0);
        require_int(store, 1, 9);
        ferry_store_free(store);
        delete_store(other);
}
END_TEST

START_TEST(what_is_no_store_is_refused)
{
        static const struct {
                const char *address;
                ferry_store_options options;
                int code;
        } wrong[] = {
                { "", { 0 }, -EINVAL },
                { "nothing", { 0 }, -EINVAL },
                { "msgq:1", { 0 }, -EINVAL },
                { "shm:", { 0 }, -EINVAL },
                { "shm:0", { 0 }, -EINVAL },
                { "shm:0x0", { 0 }, -EINVAL },
                { "shm:4294967296", { 0 }, -EINVAL },
                { "shm:-2147483649", { 0 }, -EINVAL },
                { "shm:99999999999999999999", { 0 }, -EINVAL },
                { "shm:private", { 0 }, -EINVAL },
                { "shm:#", { 0 }, -EINVAL },
                { "shm:#x", { 0 }, -EINVAL },
                { "shm:#-1", { 0 }, -EINVAL },
                { "shm:#2147483647", { 0 }, -ENOENT },
                { "shm:/nowhere/at/all", { 0 }, -ENOENT },
                { "shm:/nowhere/at/all", { .is_creating = true }, -ENOENT },
                { "shm:./0x", { 0 }, -ENOENT },
                { "shm:/dev/null/x", { 0 }, -ENOTDIR },
                { "shm:1", { .lock_timeout_ms = -2 }, -EINVAL },
                { "shm:1", { .mode = 01600 }, -EINVAL },
                /* More than the system's limit, or than a process of 32 bits can have. */
                { "shm:1", { .bytes = SIZE_MAX, .is_creating = true }, sizeof(size_t) == 8 ? -EINVAL : -ENOMEM },
        };

        /* Another program may use that key. */
        int before = semget(1, 0, 0);

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                ferry_store *store = ferry_store_open(wrong[i].address, &wrong[i].options);
                ferry_value *value;
                FERRY_AUTO(ferry_value) about = ferry_store_info(store);

                ck_assert_msg(ferry_store_status(store) == wrong[i].code, "%s: %d %s", wrong[i].address, ferry_store_status(store),
                              ferry_store_error(store));
                ck_assert_str_ne(ferry_store_error(store), "");
                ck_assert_str_eq(ferry_value_text(ferry_value_get(about, "address"), ""), wrong[i].address);
                ck_assert_int_eq(ferry_store_get(store, 1, &value), wrong[i].code);
                ck_assert_int_eq(ferry_store_lock(store, 0), wrong[i].code);
                ck_assert_int_eq(ferry_store_unlock(store), wrong[i].code);
                ck_assert_int_eq(ferry_store_write(store, 0, "", 0), wrong[i].code);
                ferry_store_free(store);
        }
        ck_assert_int_eq(semget(1, 0, 0), before);
        ck_assert_int_eq(ferry_store_status(NULL), -ENOMEM);
        ck_assert_int_eq(ferry_store_put(NULL, 1, NULL), -ENOMEM);
        ck_assert_int_eq(ferry_store_has(NULL, 1), -ENOMEM);
        ck_assert_str_ne(ferry_store_error(NULL), "");
        ferry_store_free(NULL);
        ferry_value_unref(ferry_store_info(NULL));
}
END_TEST

START_TEST(a_queue_under_the_key_is_named)
{
        ferry_value *value;
        ferry_store *store;
        int queue;

        begin_store();
        queue = msgget(store_key, IPC_CREAT | IPC_EXCL | 0600);
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -ENOENT);
        require_sentence(store, "message queue");
        msgctl(queue, IPC_RMID, NULL);
        ferry_store_free(store);
        end_store();
}
END_TEST

/* Torn segments ---------------------------------------------------------------------------------------- */

START_TEST(a_torn_segment_is_refused_and_repaired)
{
        FERRY_AUTO(ferry_value) dropped = NULL;
        FERRY_AUTO(ferry_value) none = NULL;
        ferry_value *value;
        ferry_store *store;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        ck_assert_int_eq(ferry_store_put(store, 2, "2"), 0);
        ck_assert_int_eq(ferry_store_put(store, 3, "3"), 0);
        set_field(HEADER + SMALL + U, 100000);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -EBADMSG);
        require_sentence(store, U == 8 ? "torn at byte 80" : "torn at byte 44");
        ck_assert_int_eq(ferry_store_has(store, 1), -EBADMSG);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), -EBADMSG);
        ck_assert_int_eq(ferry_store_remove(store, 1), -EBADMSG);
        ck_assert_int_eq(ferry_store_list(store, &value), -EBADMSG);
        ck_assert_int_eq(info_number(store, "free"), -1);
        ck_assert_int_eq(ferry_store_repair(store, &dropped), 0);
        ck_assert_uint_eq(ferry_value_count(dropped), 1);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_at(dropped, 0), "offset"), 0), HEADER + SMALL);
        ck_assert_int_eq(ferry_value_int(ferry_value_get(ferry_value_at(dropped, 0), "key"), 0), 2);
        require_int(store, 1, 1);
        require_int(store, 3, 3);
        ck_assert_int_eq(ferry_store_repair(store, NULL), 0);
        ck_assert_int_eq(ferry_store_repair(store, &none), 0);
        ck_assert_uint_eq(ferry_value_count(none), 0);
        delete_store(store);
}
END_TEST

/* The first variable is 24 bytes behind the header there, and nothing is behind it. */
START_TEST(a_segment_of_the_other_kind_of_machine_is_refused)
{
        const size_t other = U == 8 ? 4 : 8, header = 8 + 4 * other;
        const uint64_t fields[] = { header, header + 24, 1024 - header - 24, 1024 };
        unsigned char bytes[128] = "PHP_SM", after[sizeof bytes];
        ferry_value *value;
        ferry_store *store;

        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                if (other == 4)
                        memcpy(bytes + 8 + i * 4, &(uint32_t){ (uint32_t)fields[i] }, 4);
                else
                        memcpy(bytes + 8 + i * 8, &fields[i], 8);
        begin_store();
        store = open_store(&(ferry_store_options){ .bytes = 1024 });
        ck_assert_int_eq(ferry_store_write(store, 0, bytes, sizeof bytes), sizeof bytes);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -EBADMSG);
        require_sentence(store, U == 8 ? "a program of 32 bits has made it, and this one has 64" :
                                         "a program of 64 bits has made it, and this one has 32");
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), -EBADMSG);
        ck_assert_int_eq(ferry_store_remove(store, 1), -EBADMSG);
        ck_assert_int_eq(ferry_store_list(store, &value), -EBADMSG);
        ck_assert_int_eq(ferry_store_repair(store, NULL), -EBADMSG);
        require_sentence(store, "cannot be used here");
        ck_assert_int_eq(ferry_store_read(store, 0, after, sizeof after), sizeof after);
        ck_assert_mem_eq(bytes, after, sizeof after);
        delete_store(store);
}
END_TEST

/* 64-bit machines take any key. */
START_TEST(a_key_that_php_cannot_have_is_refused)
{
        ferry_value *value;
        ferry_store *store;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1LL << 31, "1"), U == 8 ? 0 : -ERANGE);
        if (U < 8) {
                require_sentence(store, "the key 2147483648 is outside of the integers of PHP, which have 32 bits");
                ck_assert_int_eq(ferry_store_put_value(store, -(1LL << 31) - 1, NULL), -EINVAL);
                ck_assert_int_eq(ferry_store_get(store, 1LL << 31, &value), -ENOENT);
                ck_assert_int_eq(ferry_store_has(store, 1LL << 32), 0);
        }
        ck_assert_int_eq(ferry_store_put(store, -(1LL << 31), "1"), 0);
        require_int(store, -(1LL << 31), 1);
        delete_store(store);
}
END_TEST

START_TEST(a_value_that_is_not_serialized_is_refused)
{
        ferry_value *value;
        ferry_store *store;

        begin_store();
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, "12345"), 0);
        set_field(HEADER + 3 * U, 0x3131);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -EBADMSG);
        require_sentence(store, "serialize()");
        set_field(HEADER + U, 3);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -EBADMSG);
        ck_assert_int_eq(ferry_store_put(store, 1, "1"), 0);
        delete_store(store);
}
END_TEST

/* Raw bytes -------------------------------------------------------------------------------------------- */

START_TEST(raw_bytes_are_written_and_read)
{
        char bytes[128];
        ferry_value *value;
        ferry_store *store;

        begin_store();
        store = open_store(&(ferry_store_options){ .bytes = 100, .mode = 0644 });
        ck_assert_int_eq(ferry_store_write(store, 90, "0123456789", 10), 10);
        ck_assert_int_eq(info_number(store, "mode"), 0644);
        ck_assert_int_eq(ferry_store_read(store, 95, bytes, sizeof bytes), 5);
        ck_assert_int_eq(memcmp(bytes, "56789", 5), 0);
        ck_assert_int_eq(ferry_store_read(store, 100, bytes, sizeof bytes), 0);
        ck_assert_int_eq(ferry_store_read(store, 101, bytes, sizeof bytes), -EINVAL);
        ck_assert_int_eq(ferry_store_write(store, 91, "0123456789", 10), -ENOSPC);
        ck_assert_int_eq(ferry_store_write(store, 101, "", 0), -EINVAL);
        ck_assert_int_eq(ferry_store_write(store, 100, "", 0), 0);
        ck_assert_int_eq(ferry_store_read(store, 0, bytes, 100), 100);
        ck_assert_int_eq(memcmp(bytes + 90, "0123456789", 10), 0);
        ck_assert_int_eq(ferry_store_write(store, 0, "raw", 3), 3);
        ck_assert_int_eq(ferry_store_get(store, 1, &value), -EBADMSG);
        require_sentence(store, "raw bytes");
        ck_assert_int_eq(ferry_store_put(store, 1, NULL), -EBADMSG);
        ck_assert_int_eq(ferry_store_repair(store, NULL), -EBADMSG);
        delete_store(store);
}
END_TEST

/* Owners ----------------------------------------------------------------------------------------------- */

START_TEST(a_segment_of_another_user_is_refused)
{
        ferry_store *store;
        int id;

        if (!can_become())
                return;
        begin_store();
        become(STRANGER);
        id = shmget(store_key, 4096, IPC_CREAT | IPC_EXCL | 0666);
        ck_assert_int_ge(id, 0);
        become(0);
        store = ferry_store_open(store_address, NULL);
        ck_assert_int_eq(ferry_store_status(store), -EACCES);
        require_sentence(store, "user 65534");
        ferry_store_free(store);
        store = ferry_store_open(store_address, &(ferry_store_options){ .is_creating = true });
        ck_assert_int_eq(ferry_store_status(store), -EACCES);
        ferry_store_free(store);
        shmctl(id, IPC_RMID, NULL);
        end_store();
}
END_TEST

/* It has rights as its creator, whatever it says about its owner. */
START_TEST(a_segment_that_was_given_away_is_refused)
{
        struct shmid_ds state;
        ferry_store *store;
        int id;

        if (!can_become())
                return;
        begin_store();
        become(STRANGER);
        id = shmget(store_key, 4096, IPC_CREAT | IPC_EXCL | 0600);
        become(0);
        ck_assert_int_eq(shmctl(id, IPC_STAT, &state), 0);
        state.shm_perm.uid = 0;
        ck_assert_int_eq(shmctl(id, IPC_SET, &state), 0);
        store = ferry_store_open(store_address, NULL);
        ck_assert_int_eq(ferry_store_status(store), -EACCES);
        ferry_store_free(store);
        shmctl(id, IPC_RMID, NULL);
        end_store();
}
END_TEST

START_TEST(a_lock_of_another_user_is_refused)
{
        ferry_store *store;
        int id;

        if (!can_become())
                return;
        begin_store();
        become(STRANGER);
        id = semget(store_key, 3, IPC_CREAT | IPC_EXCL | 0666);
        become(0);
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_put(store, 1, NULL), -EACCES);
        require_sentence(store, "the lock of");
        ck_assert_int_lt(shmget(store_key, 0, 0), 0);
        ferry_store_free(store);
        semctl(id, 0, IPC_RMID);
        end_store();
}
END_TEST

START_TEST(roots_segment_can_be_read)
{
        FERRY_AUTO(ferry_value) list = NULL;
        ferry_store *store, *ours;

        if (!can_become())
                return;
        begin_store();
        ours = open_store(&(ferry_store_options){ .mode = 0644 });
        ck_assert_int_eq(ferry_store_put(ours, 1, "5"), 0);
        become(STRANGER);
        store = open_store(&(ferry_store_options){ .is_unlocked = true });
        require_int(store, 1, 5);
        ck_assert_int_eq(ferry_store_list(store, &list), 0);
        ck_assert_int_eq(ferry_store_put(store, 1, "6"), -EACCES);
        require_sentence(store, "can only be read");
        ck_assert_int_eq(ferry_store_remove(store, 1), -EACCES);
        ck_assert_int_eq(ferry_store_write(store, 0, "", 0), -EACCES);
        ck_assert_int_eq(ferry_store_delete(store), -EPERM);
        ck_assert_int_eq(ferry_store_lock(store, 0), -EOPNOTSUPP);
        ferry_store_free(store);
        /* The lock cannot be changed. */
        store = open_store(NULL);
        ck_assert_int_eq(ferry_store_has(store, 1), -EACCES);
        ferry_store_free(store);
        become(0);
        delete_store(ours);
}
END_TEST

START_TEST(a_wide_mode_is_shown_or_refused)
{
        FERRY_AUTO(ferry_value) about = NULL;
        ferry_store *store;
        int id;

        begin_store();
        id = shmget(store_key, 4096, IPC_CREAT | IPC_EXCL | 0666);
        store = open_store(NULL);
        about = ferry_store_info(store);
        ck_assert(ferry_value_bool(ferry_value_get(about, "is_wide"), false));
        ferry_store_free(store);
        store = ferry_store_open(store_address, &(ferry_store_options){ .is_strict = true });
        ck_assert_int_eq(ferry_store_status(store), -EACCES);
        require_sentence(store, "0666");
        ferry_store_free(store);
        shmctl(id, IPC_RMID, NULL);
        id = semget(store_key, 3, IPC_CREAT | IPC_EXCL | 0666);
        store = open_store(&(ferry_store_options){ .is_strict = true });
        ck_assert_int_eq(ferry_store_put(store, 1, NULL), -EACCES);
        ferry_store_free(store);
        semctl(id, 0, IPC_RMID);
        end_store();
}
END_TEST

static const struct suite_test tests[] = {
        SUITE_TEST(a_value_is_put_and_got),
        SUITE_TEST(nothing_is_made_before_the_first_put),
        SUITE_TEST(a_segment_is_made_at_once_if_asked_for),
        SUITE_TEST(values_of_all_sizes_up_to_the_limit),
        SUITE_TEST(an_existing_segment_keeps_its_size),
        SUITE_TEST(a_removed_segment_is_not_used_any_more),
        SUITE_TEST(a_segment_has_an_identifier),
        SUITE_TEST(what_is_no_store_is_refused),
        SUITE_TEST(a_queue_under_the_key_is_named),
        SUITE_TEST(a_torn_segment_is_refused_and_repaired),
        SUITE_TEST(a_segment_of_the_other_kind_of_machine_is_refused),
        SUITE_TEST(a_key_that_php_cannot_have_is_refused),
        SUITE_TEST(a_value_that_is_not_serialized_is_refused),
        SUITE_TEST(raw_bytes_are_written_and_read),
        SUITE_TEST(a_segment_of_another_user_is_refused),
        SUITE_TEST(a_segment_that_was_given_away_is_refused),
        SUITE_TEST(a_lock_of_another_user_is_refused),
        SUITE_TEST(roots_segment_can_be_read),
        SUITE_TEST(a_wide_mode_is_shown_or_refused),
};

SUITE_MAIN("store", tests)
