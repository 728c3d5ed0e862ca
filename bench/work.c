#include "work.h"

#include <string.h>

enum { MIB = 1 << 20, GIB = 1 << 30 };

const struct work works[] = {
        { "round-trip", "64-byte request and answer", WORK_ROUND_TRIP, 64, 1, 1, 500, 0, false },
        { "in-flight-32", "64-byte requests, 32 in flight", WORK_IN_FLIGHT, 64, 1, 32, 40, 0, true },
        { "tasks", "10,000 tasks of 64 bytes for 8 workers", WORK_TASKS, 64, 1, WORK_TASKS_MAX, 1, 0, true },
        { "one-way", "64 bytes one way", WORK_ONE_WAY, 64, 1, 2000, 5, 0, true },
        { "lone", "64 bytes one way, alone: the sending call", WORK_LONE, 64, 1, 1, 100, 0, false },
        { "one-way-1m", "1 MiB one way", WORK_ONE_WAY, MIB, 1, 8, 3, 0, true },
        { "one-way-16m", "16 MiB one way", WORK_ONE_WAY, 16 * MIB, 1, 2, 2, 0, true },
        { "fan-in-1", "64-byte request and answer, 1 client", WORK_FAN_IN, 64, 1, 1, 200, 0, true },
        { "fan-in-4", "64-byte request and answer, 4 clients", WORK_FAN_IN, 64, 4, 4, 100, 0, true },
        { "fan-in-16", "64-byte request and answer, 16 clients", WORK_FAN_IN, 64, 16, 16, 40, 0, true },
        { "fan-in-64", "64-byte request and answer, 64 clients", WORK_FAN_IN, 64, 64, 64, 10, 0, true },
        { "fan-in-1000", "64-byte request and answer, 1,000 clients", WORK_FAN_IN, 64, 1000, 1000, 2, 0, true },
        { "connect", "connect, 64-byte request and answer, close", WORK_CONNECT, 64, 1, 1, 40, 0, false },
        { "spawn-1m", "start a child and get its first answer; 1 MiB resident", WORK_SPAWN, 64, 1, 1, 5, MIB, false },
        { "spawn-1g", "start a child and get its first answer; 1 GiB resident", WORK_SPAWN, 64, 1, 1, 5, GIB, false },
        { "idle", "heap of an idle client, in the server", WORK_IDLE, 64, 1000, 1, 1, 0, false },
};

const size_t work_count = sizeof works / sizeof *works;

const struct work *work_find(const char *name)
{
        for (size_t i = 0; i < work_count; i++)
                if (strcmp(works[i].name, name) == 0)
                        return &works[i];
        return NULL;
}
