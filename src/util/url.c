#include "util/url.h"

#include <errno.h>
#include <string.h>

enum { SHOWN_MAX = 256 };

static int digit(char byte)
{
        return byte >= '0' && byte <= '9' ? byte - '0' : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 :
               byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* No control characters or blanks, and each % begins an escape that is not a zero. */
static bool is_text(const struct url_text *text)
{
        for (size_t i = 0; i < text->size; i++) {
                const char *at = text->bytes + i;

                if ((unsigned char)*at <= ' ' || *at == 0x7f)
                        return false;
                if (*at != '%')
                        continue;
                if (text->size - i < 3 || digit(at[1]) < 0 || digit(at[2]) < 0 || digit(at[1]) + digit(at[2]) == 0)
                        return false;
                i += 2;
        }
        return text->size <= URL_TEXT_MAX;
}

size_t url_decode(const struct url_text *text, char *target)
{
        size_t size = 0;

        for (size_t i = 0; i < text->size; i++) {
                target[size] = text->bytes[i];
                if (text->bytes[i] == '%') {
                        target[size] = (char)(digit(text->bytes[i + 1]) << 4 | digit(text->bytes[i + 2]));
                        i += 2;
                }
                size++;
        }
        target[size] = '\0';
        return size;
}

/* What stands before the last @ is never shown: it may be a secret. */
static bool split(const char *bytes, size_t size, struct url *ret)
{
        const char *at = memrchr(bytes, '@', size), *colon, *end = bytes + size;

        *ret = (struct url){ .place = { bytes, size } };
        if (at) {
                colon = memchr(bytes, ':', (size_t)(at - bytes));
                ret->user = (struct url_text){ bytes, (size_t)((colon ? colon : at) - bytes) };
                if (colon)
                        ret->password = (struct url_text){ colon + 1, (size_t)(at - colon - 1) };
                ret->place = (struct url_text){ at + 1, (size_t)(end - at - 1) };
        }
        if (ret->place.size > 0 && end[-1] == '/')
                ret->place.size--;
        if (ret->place.size == 0 || memchr(ret->place.bytes, '/', ret->place.size))
                return false;
        /* The colons of an IPv6 address stand in brackets. */
        colon = memrchr(ret->place.bytes, ':', ret->place.size);
        ret->has_port = colon && !memchr(colon, ']', (size_t)(ret->place.bytes + ret->place.size - colon));
        return is_text(&ret->user) && is_text(&ret->password) && (!at || ret->user.size > 0);
}

/* SCHEME:// or tls://, which may be missing: its size, or -1 for another one. */
static int measure_scheme(const char *bytes, size_t size, const char *scheme, bool *ret_is_secure)
{
        static const char behind[] = "://", secure[] = "tls";
        const char *end = memmem(bytes, size, behind, strlen(behind));
        size_t length = end ? (size_t)(end - bytes) : 0;

        *ret_is_secure = end && length == strlen(secure) && memcmp(bytes, secure, length) == 0;
        if (!end)
                return 0;
        return *ret_is_secure || (length == strlen(scheme) && memcmp(bytes, scheme, length) == 0) ? (int)(length + strlen(behind)) : -1;
}

int url_next(const char **list, const char *scheme, struct url *ret, struct error *error)
{
        size_t size = strcspn(*list, ",");
        const char *bytes = *list, *at, *shown;
        bool is_secure, is_last_empty;
        int prefix;

        if (!*bytes)
                return 0;
        *list += size;
        if (**list)
                ++*list;
        is_last_empty = !**list && (*list)[-1] == ',';
        prefix = measure_scheme(bytes, size, scheme, &is_secure);
        if (prefix >= 0 && split(bytes + prefix, size - (size_t)prefix, ret) && !is_last_empty) {
                ret->is_secure = is_secure;
                return 1;
        }
        at = memrchr(bytes, '@', size);
        shown = is_last_empty ? "" : at ? at : bytes;
        size = is_last_empty ? 0 : size - (size_t)(shown - bytes);
        return error_set(error, -EINVAL, "%s_url: '%s%.*s' is not the URL of a server: write %s://[USER[:PASSWORD]@]HOST[:PORT], or tls:// for"
                                         " TLS, where other characters than letters and digits of USER and PASSWORD may be written as %%XX",
                         scheme, shown == at ? "..." : "", size > SHOWN_MAX ? SHOWN_MAX : (int)size, shown, scheme);
}
