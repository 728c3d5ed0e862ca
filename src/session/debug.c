/* FERRY_DEBUG: each message, as a line on stderr. */
#include "session/private.h"

#include <stdio.h>
#include <stdlib.h>

void debug_message(const ferry_session *session, const char *direction, const char *kind, const char *type,
                   const ferry_value *body)
{
        char *line = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&line, &size);

        if (!stream)
                return;
        fprintf(stream, "ferry[%d] %s %s %s %s ", (int)sys_pid(), session->address, direction, kind, type ? type : "");
        if (body)
                ferry_value_dump(body, stream);
        else
                putc('\n', stream);
        if (fclose(stream) == 0)
                fwrite(line, 1, size, stderr);
        free(line);
}
