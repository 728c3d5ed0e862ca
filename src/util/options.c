#include "util/options.h"

#include "util/sys.h"

#include <errno.h>
#include <string.h>

enum { SIZE_MAX_SENSIBLE = 4096 };

int options_check_size(const char *name, size_t size, const void *source, struct error *error)
{
        size_t theirs = *(const size_t *)source;

        if (theirs == 0)
                return 0;
        /* Until 1.0, a change of a struct raises the soname: there are no older programs. */
        if (theirs < size || theirs > SIZE_MAX_SENSIBLE || theirs % sizeof(size_t) != 0)
                return error_set(error, -EINVAL, "%s: size is %zu: write sizeof(%s), which is %zu, or 0", name, theirs, name, size);
        for (size_t i = size; i < theirs; i++)
                if (((const unsigned char *)source)[i])
                        return error_set(error, -E2BIG, "%s: size is %zu, and a field beyond the %zu bytes of this version is"
                                         " set: the program needs a newer libferry", name, theirs, size);
        return 0;
}

static int check_times(const struct options_kind *kind, void *target, struct error *error)
{
        for (const struct option_time *time = kind->times; time->name; time++) {
                int *field = (int *)(void *)((char *)target + time->offset);

                if (time->has_default && *field == FERRY_TIMEOUT_DEFAULT)
                        *field = 0;
                if (*field < -1)
                        return error_set(error, -EINVAL, "%s: %s is %d: write a time in ms, 0 for the default%s, or -1",
                                         kind->name, time->name, *field, time->has_default ? " (FERRY_TIMEOUT_DEFAULT)" : "");
        }
        return 0;
}

int options_copy(const struct options_kind *kind, void *target, const void *source, struct error *error)
{
        int code;

        memset(target, 0, kind->size);
        if (!source)
                return 0;
        code = options_check_size(kind->name, kind->size, source, error);
        if (code)
                return code;
        memcpy(target, source, kind->size);
        *(size_t *)target = kind->size;
        code = check_times(kind, target, error);
        if (code)
                memset(target, 0, kind->size);
        return code;
}

int options_copy_session(ferry_session_options *target, const ferry_session_options *source, struct error *error)
{
        static const struct options_kind kind = {
                .name = "ferry_session_options", .size = sizeof *target,
                .times = { { "request_timeout_ms", offsetof(ferry_session_options, request_timeout_ms), true },
                           { "wait_ms", offsetof(ferry_session_options, wait_ms), false },
                           { "close_timeout_ms", offsetof(ferry_session_options, close_timeout_ms), false },
                           { "heartbeat_ms", offsetof(ferry_session_options, heartbeat_ms), false },
                           { "answer_timeout_ms", offsetof(ferry_session_options, answer_timeout_ms), false },
                           { "reconnect_ms", offsetof(ferry_session_options, reconnect_ms), false } },
        };

        return options_copy(&kind, target, source, error);
}

/* Copying into one piece of memory, or (without one) counting how large it must be. */
struct piece {
        char *at;
        size_t size;
};

static void *take(struct piece *piece, const void *bytes, size_t size)
{
        char *copy = piece->at;

        piece->size += size;
        if (!copy)
                return NULL;
        piece->at += size;
        return memcpy(copy, bytes, size);
}

static const char *take_text(struct piece *piece, const char *text)
{
        return text ? take(piece, text, strlen(text) + 1) : NULL;
}

static const char *const *take_list(struct piece *piece, const char *const *list)
{
        size_t count = 0;

        while (list && list[count])
                count++;
        return list ? take(piece, list, (count + 1) * sizeof *list) : NULL;
}

static void take_texts(struct piece *piece, const char *const *list, const char *const *copy)
{
        for (size_t i = 0; list && list[i]; i++) {
                const char *text = take_text(piece, list[i]);

                if (copy)
                        ((const char **)(uintptr_t)copy)[i] = text;
        }
}

static const int *take_numbers(struct piece *piece, const int *numbers)
{
        size_t count = 0;

        while (numbers && numbers[count] != -1)
                count++;
        return numbers ? take(piece, numbers, (count + 1) * sizeof *numbers) : NULL;
}

/* The largest alignment first. */
static ferry_session_options *take_options(struct piece *piece, const ferry_session_options *given)
{
        ferry_session_options *copy = take(piece, given, sizeof *given), all = *given;

        all.argv = take_list(piece, given->argv);
        all.env = take_list(piece, given->env);
        all.fds = take_numbers(piece, given->fds);
        take_texts(piece, given->argv, all.argv);
        take_texts(piece, given->env, all.env);
        all.root = take_text(piece, given->root);
        all.directory = take_text(piece, given->directory);
        all.name_directory = take_text(piece, given->name_directory);
        all.remote_ferry = take_text(piece, given->remote_ferry);
        all.nats_url = take_text(piece, given->nats_url);
        all.nats_ca = take_text(piece, given->nats_ca);
        all.nats_cert = take_text(piece, given->nats_cert);
        all.nats_key = take_text(piece, given->nats_key);
        all.nats_creds = take_text(piece, given->nats_creds);
        all.nats_nkey = take_text(piece, given->nats_nkey);
        if (copy)
                *copy = all;
        return copy;
}

static const ferry_session_options no_session_options;

int options_keep_session(const ferry_session_options **ret, const ferry_session_options *source, struct error *error)
{
        ferry_session_options given;
        struct piece piece = { 0 };
        int code = options_copy_session(&given, source, error);

        *ret = &no_session_options;
        if (code || !source)
                return code;
        take_options(&piece, &given);
        piece.at = sys_alloc(piece.size);
        if (!piece.at)
                return error_set(error, -ENOMEM, "no memory for the options of sessions");
        *ret = take_options(&piece, &given);
        return 0;
}

void options_drop_session(const ferry_session_options *options)
{
        if (options != &no_session_options)
                sys_free((void *)(uintptr_t)options);
}
