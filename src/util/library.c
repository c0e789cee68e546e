/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/library.h"
#include "util/error.h"

#include <dlfcn.h>
#include <string.h>

bool library_load(const struct library *library, void *pointers, GError **error)
{
    void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "%s: install Debian's %s (apt-get install %s)", dlerror(),
                          library->package, library->package);
    }
    for (size_t i = 0; i < library->symbol_count; i++) {
        const struct library_symbol *symbol = &library->symbols[i];
        void *address = dlsym(handle, symbol->name);

        if (!address) {
            dlclose(handle);
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "%s has no %s: it is of another version", library->file,
                              symbol->name);
        }
        memcpy((char *)pointers + symbol->offset, &address, sizeof(address));
    }
    return true;
}
