/* Loading modules. A program that is linked statically has no dlopen(3), and the library does not make it have one: the references are
 * weak. */
#include "util/sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#pragma weak dlopen
#pragma weak dlsym
#pragma weak dlerror

int sys_load_module(const char *path, void **ret_module, const char **ret_why)
{
        if (!dlopen || !dlsym || !dlerror)
                return -EOPNOTSUPP;
        if (access(path, F_OK) < 0)
                return -errno;
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
