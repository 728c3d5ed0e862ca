/* "Incomplete" is a claim: that something can follow which makes it a value. Here that is looked for. */
#pragma once

#include "value/codec.h"

enum completion {
        COMPLETED,              /* found: @ret_bytes, to be freed */
        ENDLESS,                /* more is declared than this tries */
        IMPOSSIBLE,             /* whatever follows is wrong */
};

/* What has to follow @bytes, for which the codec says -EAGAIN. */
enum completion complete(const ferry_codec *codec, const char *bytes, size_t size, char **ret_bytes, size_t *ret_size);
