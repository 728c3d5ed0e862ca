/* A function of util/sys.h, replaced. */
#pragma once

#include "util/sys.h"

#define REPLACE(type, name, parameters)         \
        type __real_sys_##name parameters;      \
        type __wrap_sys_##name parameters;      \
        type __wrap_sys_##name parameters
