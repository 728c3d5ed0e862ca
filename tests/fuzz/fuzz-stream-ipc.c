/* Payloads of the dialect stream-ipc: see wire.c. */
#include "fuzz/fuzz.h"
#include "fuzz/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_wire_run(FERRY_DIALECT_STREAM_IPC, data, size);
        return 0;
}
