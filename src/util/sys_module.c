/* Loading modules. A program that is linked statically has no dlopen(3), and the library does not make it have one: the references are
 * weak. */
#include "util/sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>

#pragma weak dlopen
#pragma weak dlsym
#pragma weak dlerror

int sys_load_module(const char *path, void **ret_module, const char **ret_why)
{
        struct stat status;

        if (!dlopen || !dlsym || !dlerror)
                return -EOPNOTSUPP;
        if (stat(path, &status) < 0)
                return -errno;
        /* dlopen(3) would wait for a process that writes to a FIFO. */
        if (!S_ISREG(status.st_mode)) {
                *ret_why = "it is not a file";
                return -ELIBBAD;
        }
        *ret_module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (*ret_module)
                return 0;
        *ret_why = dlerror();
        return -ELIBBAD;
}

void *sys_find_symbol(void *module, const char *name)
{
        return dlsym(module, name);
}
