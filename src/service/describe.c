/* Describing a service: what its program says of it, and what its clients get. */
#include "service/private.h"

#include <errno.h>
#include <string.h>

static bool is_text(const char *text)
{
        return !text || utf8_is_valid(text, strlen(text));
}

static int check(const ferry_service *service, const char *type)
{
        int code = service ? loop_refuse(service->loop) : -ENOMEM;

        if (!code)
                code = service->error.code;
        return code ? code : type ? 0 : -EINVAL;
}

int ferry_service_describe(ferry_service *service, const char *type, const char *in, const char *out, const char *text)
{
        int code = check(service, type);

        if (!code && (strlen(type) > UINT16_MAX || !is_text(type) || !is_text(in) || !is_text(out) || !is_text(text)))
                code = -EINVAL;
        return code ? code : descriptions_put(&service->descriptions, type, in, out, text);
}

int ferry_service_undescribe(ferry_service *service, const char *type)
{
        int code = check(service, type);

        return code ? code : descriptions_remove(&service->descriptions, type) ? 0 : -ENOENT;
}

const ferry_value *client_described(void *object, struct error *error)
{
        const struct client *client = object;
        const ferry_value *list = NULL;

        /* Such clients are served with nothing. */
        if (client->is_probe)
                error_set(error, -EPROTO, "a client that only tests whether the service answers gets no description");
        else if (!client->crowd)
                error_set(error, -ECONNREFUSED, "the service has no room for this client");
        else {
                list = descriptions_list(&client->service->descriptions);
                if (!list)
                        error_set(error, -ENOMEM, "no memory is left for the description");
        }
        return list;
}
