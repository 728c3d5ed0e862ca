/* An errno with a sentence for people. Invariant: a set error keeps its code even where there is no memory
 * for the sentence. It does not print. */
#include "util/error.h"

#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int error_vreplace(struct error *error, int code, const char *format, va_list arguments)
{
        char text[1024];

        /* Printed first: the arguments may stand in the sentence that is replaced. */
        vsnprintf(text, sizeof text, format, arguments);
        error_deinit(error);
        error->code = code;
        error->sentence = text_copy(text);
        return code;
}

int error_replace(struct error *error, int code, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        error_vreplace(error, code, format, arguments);
        va_end(arguments);
        return code;
}

int error_set(struct error *error, int code, const char *format, ...)
{
        va_list arguments;

        if (error->code)
                return error->code;
        va_start(arguments, format);
        error_vreplace(error, code, format, arguments);
        va_end(arguments);
        return code;
}

const char *error_text(const struct error *error)
{
        if (error->sentence && *error->sentence)
                return error->sentence;
        return error->code ? error_describe(error->code) : "no error";
}

bool error_is_final(int code)
{
        return code == -EACCES || code == -EPERM || code == -EINVAL || code == -ENOTSUP || code == -EBADMSG || code == -EMSGSIZE ||
               code == -EPROTO || code == -ENOMEM || code == -ECANCELED || code == -ECHILD;
}

const char *error_describe(int code)
{
        const char *text = strerrordesc_np(-code);

        return text ? text : "unknown error";
}
