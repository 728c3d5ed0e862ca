/* The version of the library that runs. */
#include <ferry/ferry.h>

const char *ferry_version(void)
{
        return FERRY_VERSION;
}
