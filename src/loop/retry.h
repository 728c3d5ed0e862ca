/* Trying again what has failed because of what stands at a path, or does not yet. */
#pragma once

#include "loop/watch.h"

/* What there is to hope for. */
enum retry_hope {
        RETRY_CHANGE,           /* nothing is there: only a change is a reason to try again */
        RETRY_SELDOM,           /* something is there, which may come to life without a change */
        RETRY_SOON,             /* it lives, and is busy */
};

struct retry {
        struct loop_timer timer;
        struct watch watch;
        const char *paths[2];   /* the holder's, which may change them before each try; the second may be NULL, and
                                 * both, where nothing reports a change */
        void (*fn)(struct retry *retry);
        int64_t changed;        /* when something changed there, or might have */
        int64_t pause_ns;
};

/* @fn is to try again. Nothing is begun yet, and the first try is the caller's own. */
void retry_init(struct retry *retry, ferry_loop *loop, const char *path, const char *other_path,
                void (*fn)(struct retry *retry));

/* It was tried in vain: call @fn when it is worth another try, but at @deadline at the latest. False if that is over, and
 * nothing is called from then on. */
bool retry_later(struct retry *retry, enum retry_hope hope, int64_t deadline);

void retry_stop(struct retry *retry);

/* Waiting until a look finds something. */
struct retry_look {
        struct retry retry;     /* the caller has begun it with retry_look_init() */
        /* 1: it is there; 0: not yet, and what there is to hope for; or a negative errno. */
        int (*look)(struct retry_look *look, enum retry_hope *ret_hope);
        int code;               /* of the last look */
        struct error error;     /* why that has failed, if it says more than the errno */
};

void retry_look_init(struct retry_look *look, ferry_loop *loop, const char *path, const char *other_path,
                     int (*fn)(struct retry_look *look, enum retry_hope *ret_hope));

/* 0, -ETIMEDOUT, or another negative errno, of the look or of waiting; the loop has the sentence, which names the address. */
int retry_look_wait(struct retry_look *look, const char *address, int timeout_ms);
