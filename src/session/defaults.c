/* What sessions inherit from their loop. Invariant: what a program's options point to was copied when the loop was made, so they
 * are needed no longer than the call. */
#include "session/private.h"
#include "util/options.h"

#include <errno.h>

enum {
        REQUEST_TIMEOUT_DEFAULT_MS = 30000,
        QUEUE_DEFAULT_MAX = 16 << 20,
        SPIN_MAX_US = 1000000,
};

struct session_defaults {
        struct loop_attachment attachment;
        const ferry_session_options *options;
        struct reserve reserve;
        struct error error;             /* what is wrong with them: no session can have them */
};

/* The address is the kind of the attachment. */
static const char defaults_kind;

static const struct session_defaults *defaults_of(const ferry_loop *loop)
{
        return container_of(loop_attachment_next(loop, &defaults_kind, NULL), const struct session_defaults, attachment);
}

struct reserve *session_reserve(const ferry_loop *loop)
{
        return &container_of(loop_attachment_next(loop, &defaults_kind, NULL), struct session_defaults, attachment)->reserve;
}

static void free_defaults(struct loop_attachment *attachment)
{
        struct session_defaults *defaults = container_of(attachment, struct session_defaults, attachment);

        options_drop_session(defaults->options);
        pile_deinit(&defaults->reserve.calls);
        pile_deinit(&defaults->reserve.messages);
        spare_deinit(&defaults->reserve.tree);
        error_deinit(&defaults->error);
        sys_free(defaults);
}

static int read_options(struct session_defaults *defaults, const ferry_loop_options *options)
{
        static const struct options_kind kind = { .name = "ferry_loop_options", .size = sizeof *options };
        ferry_loop_options all;

        options_copy(&kind, &all, options, &defaults->error);
        return options_keep_session(&defaults->options, all.session, &defaults->error);
}

ferry_loop *ferry_loop_new(const ferry_loop_options *options)
{
        ferry_loop *loop = loop_new();
        struct session_defaults *defaults = loop ? sys_alloc_zeroed(sizeof *defaults) : NULL;

        if (!defaults)
                return ferry_loop_free(loop);
        loop_attach(loop, &defaults->attachment, &defaults_kind);
        defaults->attachment.free = free_defaults;
        if (read_options(defaults, options) == -ENOMEM)
                return ferry_loop_free(loop);
        if (defaults->error.code)
                loop_fail(loop, defaults->error.code, error_text(&defaults->error));
        return loop;
}

const ferry_session_options *session_defaults(const ferry_loop *loop)
{
        return defaults_of(loop)->options;
}

static void inherit(ferry_session_options *options, const ferry_session_options *defaults)
{
#define INHERIT(field) options->field = options->field ? options->field : defaults->field
        INHERIT(dialect);
        INHERIT(codec);
        INHERIT(root);
        if (!options->make_id) {
                options->make_id = defaults->make_id;
                options->make_id_userdata = defaults->make_id_userdata;
        }
        if (!options->allow) {
                options->allow = defaults->allow;
                options->allow_userdata = defaults->allow_userdata;
        }
        INHERIT(request_timeout_ms);
        INHERIT(wait_ms);
        INHERIT(close_timeout_ms);
        INHERIT(answer_timeout_ms);
        INHERIT(heartbeat_ms);
        INHERIT(frame_max);
        INHERIT(queue_max);
        INHERIT(argv);
        INHERIT(env);
        INHERIT(directory);
        INHERIT(name_directory);
        INHERIT(fds);
        INHERIT(stream);
        INHERIT(is_unguarded);
        INHERIT(is_in_foreground);
        INHERIT(shm);
        INHERIT(spin_us);
        INHERIT(remote_ferry);
        INHERIT(reconnect_ms);
        INHERIT(reconnect_attempts);
        INHERIT(nats_url);
        INHERIT(nats_ca);
        INHERIT(nats_cert);
        INHERIT(nats_key);
        INHERIT(nats_creds);
        INHERIT(nats_nkey);
        INHERIT(is_listening);
        INHERIT(is_gathering);
#undef INHERIT
        if (!options->request_timeout_ms)
                options->request_timeout_ms = REQUEST_TIMEOUT_DEFAULT_MS;
        if (!options->queue_max)
                options->queue_max = QUEUE_DEFAULT_MAX;
}

int session_inherit(const ferry_loop *loop, ferry_session_options *target, const ferry_session_options *options, struct wire *wire,
                    struct error *error)
{
        const struct session_defaults *defaults = defaults_of(loop);

        if (options_copy_session(target, options, error) == 0 && defaults->error.code)
                error_set(error, defaults->error.code, "%s", error_text(&defaults->error));
        inherit(target, defaults->options);
        if (target->shm < FERRY_SHM_AUTO || target->shm > FERRY_SHM_NEVER)
                error_set(error, -EINVAL, "ferry_session_options: shm is %d: write one of enum ferry_shm", target->shm);
        if (target->spin_us < -1 || target->spin_us > SPIN_MAX_US)
                error_set(error, -EINVAL, "ferry_session_options: spin_us is %d: write -1 to %d", target->spin_us, (int)SPIN_MAX_US);
        wire_init(wire, target, error);
        return error->code;
}

int session_check_options(const ferry_loop *loop, const ferry_session_options *options, struct error *error)
{
        ferry_session_options all;
        struct wire wire;

        return session_inherit(loop, &all, options, &wire, error);
}

int session_default_timeout(const ferry_loop *loop)
{
        int timeout_ms = session_defaults(loop)->request_timeout_ms;

        return timeout_ms ? timeout_ms : REQUEST_TIMEOUT_DEFAULT_MS;
}

size_t session_default_queue_max(const ferry_loop *loop)
{
        size_t queue_max = session_defaults(loop)->queue_max;

        return queue_max ? queue_max : QUEUE_DEFAULT_MAX;
}
