/* One input as a payload: see wire.c. */
#pragma once

#include "wire/dialect.h"

/* The input: flags (bits 0 and 1: the session's codec, none, php, json or msgpack; bit 2: it is a program's own that
 * lets that one work; bit 3: the session insists on @dialect; bit 4: the root is PhpStreamIpc, bit 5: My\Root); then
 * the payload. */
void fuzz_wire_run(unsigned dialect, const uint8_t *data, size_t size);
