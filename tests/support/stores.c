#include "support/stores.h"

#include "channel/segment.h"
#include "support/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
char store_path[96], store_address[128];
key_t store_key;

static void make_key(void)
{
        char path[sizeof store_path + 8];
        int fd;

        snprintf(path, sizeof path, "%s-new", store_path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ck_assert_int_eq(rename(path, store_path), 0);
        store_key = ftok(store_path, 'T');
}

void begin_store(void)
{
        strcpy(directory, "/tmp/ferry-store-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        /* Other users look for the key, too. */
        ck_assert_int_eq(chmod(directory, 0755), 0);
        snprintf(store_path, sizeof store_path, "%s/key", directory);
        snprintf(store_address, sizeof store_address, "shm:%s", store_path);
        /* A key has only 16 bits of the file's number, so it may be another program's. */
        do
                make_key();
        while (shmget(store_key, 0, 0) >= 0 || semget(store_key, 0, 0) >= 0);
}

void end_store(void)
{
        ck_assert_int_lt(shmget(store_key, 0, 0), 0);
        ck_assert_int_lt(semget(store_key, 0, 0), 0);
        unlink(store_path);
        ck_assert_int_eq(rmdir(directory), 0);
}

ferry_store *open_store(const ferry_store_options *options)
{
        ferry_store *store = ferry_store_open(store_address, options);

        ck_assert_msg(ferry_store_status(store) == 1, "%s", ferry_store_error(store));
        return store;
}

void delete_store(ferry_store *store)
{
        ck_assert_int_eq(ferry_store_delete(store), 0);
        ck_assert_ptr_null(ferry_store_free(store));
        end_store();
}

void require_int(ferry_store *store, int64_t at, int64_t expected)
{
        FERRY_AUTO(ferry_value) value = NULL;
        int code = ferry_store_get(store, at, &value);

        ck_assert_msg(code == 0, "%s", ferry_store_error(store));
        ck_assert_int_eq(ferry_value_int(value, -1), expected);
}

void require_sentence(const ferry_store *store, const char *part)
{
        ck_assert_msg(strstr(ferry_store_error(store), part) != NULL, "no '%s' in: %s", part, ferry_store_error(store));
}

void set_field(size_t offset, int64_t value)
{
        char *memory = shmat(shmget(store_key, 0, 0), NULL, 0);

        segment_integer integer = (segment_integer)value;

        memcpy(memory + offset, &integer, sizeof integer);
        shmdt(memory);
}

int64_t info_number(ferry_store *store, const char *name)
{
        FERRY_AUTO(ferry_value) value = ferry_store_info(store);

        return ferry_value_int(ferry_value_get(value, name), -1);
}
