#include "wire/nats_service.h"

#include "util/map.h"
#include "util/sys.h"
#include "value/codec.h"

#include <ferry/ferry.h>

#include <stdio.h>
#include <string.h>

enum { LEVELS = 3 };    /* all services, those of a name, one instance */

static const char *const questions[] = { "PING", "INFO", "STATS" };
static const char *const types[] = { "io.nats.micro.v1.ping_response", "io.nats.micro.v1.info_response",
                                     "io.nats.micro.v1.stats_response" };
/* One for each question, at each level. */
static const char subscriptions[] = "3456789ab";

/* Beginning -------------------------------------------------------------------------------------------- */

void nats_service_init(struct nats_service *service)
{
        struct hash_key key = hash_secret();
        uint64_t seed[] = { 2, (uint64_t)sys_now(), (uint64_t)sys_pid(), (uint64_t)(uintptr_t)service };
        uint64_t first = hash_bytes(&key, seed, sizeof seed), second;

        seed[0] = 3;
        second = hash_bytes(&key, seed, sizeof seed);
        snprintf(service->instance, sizeof service->instance, "%016llx%016llx", (unsigned long long)first, (unsigned long long)second);
        service->since = sys_wall_clock();
}

static bool is_of_name(char byte)
{
        return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-';
}

void nats_service_name(const char *subject, char name[NATS_SERVICE_NAME_MAX + 1])
{
        size_t size = 0;

        for (; size < NATS_SERVICE_NAME_MAX && subject[size]; size++)
                name[size] = (char)(is_of_name(subject[size]) ? subject[size] : subject[size] == '.' ? '-' : '_');
        name[size] = '\0';
}

int nats_service_subscribe(const struct nats_service *service, const char *subject, struct buffer *buffer)
{
        char name[NATS_SERVICE_NAME_MAX + 1], line[sizeof "SUB $SRV.STATS... X\r\n" + NATS_SERVICE_NAME_MAX + NATS_INSTANCE_SIZE];
        int code = 0;

        nats_service_name(subject, name);
        for (size_t i = 0; i < sizeof subscriptions - 1 && !code; i++) {
                size_t level = i % LEVELS;
                int size = snprintf(line, sizeof line, "SUB $SRV.%s%s%s%s%s %c\r\n", questions[i / LEVELS], level > 0 ? "." : "",
                                    level > 0 ? name : "", level > 1 ? "." : "", level > 1 ? service->instance : "",
                                    subscriptions[i]);

                code = buffer_append(buffer, line, (size_t)size);
        }
        return code;
}

/* Answers ---------------------------------------------------------------------------------------------- */

const char *nats_service_question(char subscription)
{
        const char *at = subscription ? strchr(subscriptions, subscription) : NULL;

        return at ? questions[(size_t)(at - subscriptions) / LEVELS] : NULL;
}

/* A subject is not always UTF-8, as JSON is. */
static ferry_value *make_text(const char *text)
{
        return utf8_is_valid(text, strlen(text)) ? ferry_value_pack("%s", text) : ferry_value_pack("'?'");
}

static ferry_value *make_metadata(void)
{
        char host[SYS_HOST_NAME_MAX + 1];
        ferry_value *text, *metadata;

        sys_host_name(host);
        text = make_text(host);
        metadata = text ? ferry_value_pack("{host: %p, pid: '%ld'}", ferry_arg(text), (long)sys_pid()) : NULL;
        ferry_value_unref(text);
        return metadata;
}

/* Those that are not answered yet have taken the time up to now. */
static uint64_t count_time(const struct nats_service *service)
{
        return service->ended + (service->received - service->answered) * (uint64_t)sys_now() - service->began;
}

static ferry_value *make_endpoint(const struct nats_service *service, const char *subject, const char *group, bool has_stats)
{
        ferry_value *text = make_text(subject), *endpoint = NULL, *error = make_text(service->last_error);
        uint64_t spent = count_time(service);

        if (text && error && has_stats)
                endpoint = ferry_value_pack("{name: 'default', subject: %p, queue_group: %s, num_requests: %lld, num_errors: %lld,"
                                            " last_error: %p, processing_time: %lld, average_processing_time: %lld}",
                                            ferry_arg(text), group, (long long)service->received, (long long)service->failed,
                                            ferry_arg(error), (long long)spent,
                                            (long long)(service->received > 0 ? spent / service->received : 0));
        else if (text && error)
                endpoint = ferry_value_pack("{name: 'default', subject: %p, queue_group: %s, metadata: {}}", ferry_arg(text), group);
        ferry_value_unref(error);
        ferry_value_unref(text);
        return endpoint;
}

/* In UTC, as RFC 3339 has it. Years begin in March here, so that a leap day is their last. */
static void print_time(int64_t seconds, char *text, size_t size)
{
        enum { DAY = 86400, ERA = 146097, TO_1970 = 719468 };   /* seconds; days of 400 years, and from March of the year 0 */
        int64_t days = seconds / DAY + TO_1970, rest = seconds % DAY, era = days / ERA, day = days % ERA;
        int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365, month;

        day -= 365 * year + year / 4 - year / 100;
        month = (5 * day + 2) / 153;
        snprintf(text, size, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lldZ", (long long)(year + era * 400 + (month >= 10)),
                 (long long)(month < 10 ? month + 3 : month - 9), (long long)(day - (153 * month + 2) / 5 + 1), (long long)(rest / 3600),
                 (long long)(rest / 60 % 60), (long long)(rest % 60));
}

ferry_value *nats_service_answer(const struct nats_service *service, const char *subject, const char *group, const char *question)
{
        ferry_value *metadata = make_metadata(), *endpoint, *answer = NULL;
        char name[NATS_SERVICE_NAME_MAX + 1], started[160];
        size_t number = 0;

        while (number + 1 < sizeof questions / sizeof *questions && strcmp(questions[number], question) != 0)
                number++;
        nats_service_name(subject, name);
        print_time(service->since < 0 ? 0 : service->since, started, sizeof started);
        endpoint = make_endpoint(service, subject, group, number == 2);
        if (metadata && endpoint && number == 0)
                answer = ferry_value_pack("{type: %s, name: %s, id: %s, version: %s, metadata: %p}", types[number], name,
                                          service->instance, ferry_version(), ferry_arg(metadata));
        else if (metadata && endpoint && number == 1)
                answer = ferry_value_pack("{type: %s, name: %s, id: %s, version: %s, metadata: %p, description: 'ferry',"
                                          " endpoints: [%p]}", types[number], name, service->instance, ferry_version(),
                                          ferry_arg(metadata), ferry_arg(endpoint));
        else if (metadata && endpoint)
                answer = ferry_value_pack("{type: %s, name: %s, id: %s, version: %s, metadata: %p, started: %s, endpoints: [%p]}",
                                          types[number], name, service->instance, ferry_version(), ferry_arg(metadata), started,
                                          ferry_arg(endpoint));
        ferry_value_unref(endpoint);
        ferry_value_unref(metadata);
        return answer;
}

/* Counting --------------------------------------------------------------------------------------------- */

void nats_service_note_request(struct nats_service *service)
{
        service->received++;
        service->began += (uint64_t)sys_now();
}

void nats_service_note_answer(struct nats_service *service, const char *error)
{
        size_t size = 0;

        /* A request over the limit of this side is refused without being read. */
        if (service->answered == service->received)
                nats_service_note_request(service);
        service->answered++;
        service->ended += (uint64_t)sys_now();
        if (!error)
                return;
        service->failed++;
        while (size < NATS_SERVICE_ERROR_MAX && error[size])
                size++;
        /* Not in the middle of a character. */
        while (size > 0 && error[size] && ((unsigned char)error[size] & 0xc0) == 0x80)
                size--;
        memcpy(service->last_error, error, size);
        service->last_error[size] = '\0';
}
