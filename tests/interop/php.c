/* Questions and answers stand in files without a name, so neither side waits for the other. */
#include "interop/php.h"
#include "support/suite.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void php_begin(struct php *php)
{
        int fd = memfd_create("questions", MFD_CLOEXEC);

        *php = (struct php){ .questions = fdopen(fd, "w+") };
        ck_assert_ptr_nonnull(php->questions);
}

void php_ask(struct php *php, char letter, const void *bytes, size_t size)
{
        uint32_t length = htole32((uint32_t)size);

        putc(letter, php->questions);
        fwrite(&length, 1, 4, php->questions);
        fwrite(bytes, 1, size, php->questions);
}

void php_ask_number(struct php *php, char letter, int number)
{
        char text[16];

        php_ask(php, letter, text, (size_t)snprintf(text, sizeof text, "%d", number));
}

static void read_answers(struct php *php, int fd)
{
        struct stat about;

        ck_assert_int_eq(fstat(fd, &about), 0);
        php->size = (size_t)about.st_size;
        php->answers = malloc(php->size + 1);
        for (size_t done = 0; done < php->size;) {
                ssize_t got = pread(fd, php->answers + done, php->size - done, (off_t)done);

                ck_assert_int_gt(got, 0);
                done += (size_t)got;
        }
}

/* Whether there is a PHP; how it ended does not matter where that shows in the answers. */
static bool run(int questions, int answers, const char *extension)
{
        int failed[2];
        char byte;
        bool is_there;
        pid_t pid;

        ck_assert_int_eq(pipe2(failed, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                dup2(questions, STDIN_FILENO);
                dup2(answers, STDOUT_FILENO);
                execlp("php", "php", "-d", "serialize_precision=-1", "-d", "memory_limit=512M",
                       TESTS_DIRECTORY "/interop/values.php", extension ? extension : "standard", (char *)NULL);
                /* An exec that works closes this pipe without a byte. */
                _exit(write(failed[1], "", 1) == 1 ? 127 : 126);
        }
        close(failed[1]);
        is_there = read(failed[0], &byte, 1) == 0;
        close(failed[0]);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        return is_there;
}

bool php_run(struct php *php, const char *test, const char *extension)
{
        int answers = memfd_create("answers", MFD_CLOEXEC);
        bool is_there;

        ck_assert_int_ge(answers, 0);
        ck_assert_int_eq(fflush(php->questions), 0);
        ck_assert_int_eq(lseek(fileno(php->questions), 0, SEEK_SET), 0);
        is_there = run(fileno(php->questions), answers, extension);
        if (is_there)
                read_answers(php, answers);
        close(answers);
        fclose(php->questions);
        php->questions = NULL;
        if (is_there && php->size > 0 && php->answers[php->size - 1] == '-') {
                free(php->answers);
                is_there = false;
        }
        if (!is_there)
                printf("%s: there is no php%s%s: skipped\n", test, extension ? " with " : "",
                       extension ? extension : "");
        fflush(stdout);
        return is_there;
}

void php_next(struct php *php, struct answer *ret)
{
        uint32_t length;

        SUITE_CHECK(php->size - php->at >= 6, "PHP ended before question %d", php->taken);
        memcpy(&length, php->answers + php->at + 1, 4);
        *ret = (struct answer){ .is_taken = php->answers[php->at], .bytes = php->answers + php->at + 5,
                                .size = le32toh(length) };
        php->at += ret->size + 6;
        SUITE_CHECK(php->at <= php->size, "PHP ended within answer %d", php->taken);
        php->taken++;
}

void php_end(struct php *php)
{
        ck_assert_uint_eq(php->at, php->size);
        free(php->answers);
}

const char *show(const void *bytes, size_t size)
{
        static char text[4][1024];
        static int turn;
        char *at = text[turn = (turn + 1) % 4];

        for (size_t i = size > 200 ? size - 200 : 0; i < size; i++) {
                unsigned char c = ((const unsigned char *)bytes)[i];

                at += c >= ' ' && c < 0x7f ? sprintf(at, "%c", c) : sprintf(at, "\\x%02x", c);
        }
        *at = '\0';
        return text[turn];
}

void check_same(const char *what, const char *about, const void *bytes, size_t size, const void *other,
                size_t other_size)
{
        size_t same = 0;

        while (same < size && same < other_size && ((const char *)bytes)[same] == ((const char *)other)[same])
                same++;
        SUITE_CHECK(same == size && same == other_size, "%s: %s\nfrom %zu:\n%s\n%s", what, about, same,
                      show(bytes, same + 50 < size ? same + 50 : size),
                      show(other, same + 50 < other_size ? same + 50 : other_size));
}
