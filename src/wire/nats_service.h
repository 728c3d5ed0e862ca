/* What a listener says of itself by the protocol that services of NATS share, version 1 (ADR-32): it answers requests at $SRV.PING,
 * $SRV.INFO and $SRV.STATS, to all services, to those of a name, and to one instance. Nothing here knows a conversation. */
#pragma once

#include "util/buffer.h"
#include "wire/frame.h"

#include <ferry/value.h>

enum {
        NATS_INSTANCE_SIZE = 32,        /* of the id of an instance, in hexadecimal digits */
        NATS_SERVICE_ERROR_MAX = 200,
        NATS_SERVICE_NAME_MAX = 64,
};

/* What has become of the requests. */
struct nats_service {
        char instance[NATS_INSTANCE_SIZE + 1];
        int64_t since;                  /* seconds since 1970 */
        uint64_t received, answered, failed;
        /* The sum of the times when those in hand and those answered came and when answers were sent, in ns: no request has a time
         * of its own. It may wrap around. */
        uint64_t began, ended;
        char last_error[NATS_SERVICE_ERROR_MAX + 1];
};

void nats_service_init(struct nats_service *service);

/* The name of the service of a subject: others than letters, digits, - and _ are replaced, a dot by -, and a longer one is cut. */
void nats_service_name(const char *subject, char name[NATS_SERVICE_NAME_MAX + 1]);

/* Put the subscriptions. 0 or -ENOMEM. */
int nats_service_subscribe(const struct nats_service *service, const char *subject, struct buffer *buffer);

/* What is asked by a message for a subscription: PING, INFO or STATS; NULL: that is another subscription. */
const char *nats_service_question(char subscription);

/* The answer to that, a value of the caller's; NULL: no memory. */
ferry_value *nats_service_answer(const struct nats_service *service, const char *subject, const char *group, const char *question);

void nats_service_note_request(struct nats_service *service);
/* @error: NULL unless that is what was answered. */
void nats_service_note_answer(struct nats_service *service, const char *error);
