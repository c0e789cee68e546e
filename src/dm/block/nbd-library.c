/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/block/nbd-library.h"
#include "util/error.h"

#include <dlfcn.h>

#define NBD_LIBRARY_FILE "libnbd.so.0"

bool nbd_library_load(struct nbd_library *library, GError **error)
{
    void *handle = dlopen(NBD_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "no NBD: %s (install Debian's libnbd0)",
                          dlerror());
    }
#define NBD_LIBRARY_FIND(name)                                                                     \
    library->name = (__typeof__(library->name))dlsym(handle, "nbd_" #name);                        \
    if (!library->name) {                                                                          \
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "no NBD: %s is too old (no nbd_%s)",   \
                          NBD_LIBRARY_FILE, #name);                                                \
    }
    NBD_LIBRARY_FUNCTIONS(NBD_LIBRARY_FIND)
#undef NBD_LIBRARY_FIND
    return true;
}
