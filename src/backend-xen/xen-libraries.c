/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend-xen/xen-libraries.h"
#include "util/library.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

struct xen_libraries xen_libraries;

bool xen_libraries_load(GError **error)
{
#define SYMBOL(name)    {#name, offsetof(struct xen_libraries, name)},
#define LIST(functions) ((const struct library_symbol[]){functions(SYMBOL)})
#define LIBRARY(file, package, functions)                                                          \
    {                                                                                              \
        file, package, LIST(functions), G_N_ELEMENTS(LIST(functions))                              \
    }
    const struct library libraries[] = {
        /* Its interface is that of one release; the others' are stable. */
        LIBRARY("libxenctrl.so." XEN_RELEASE, "libxenmisc" XEN_RELEASE, XENCTRL_FUNCTIONS),
        LIBRARY("libxendevicemodel.so.1", "libxendevicemodel1", XENDEVICEMODEL_FUNCTIONS),
        LIBRARY("libxenevtchn.so.1", "libxenevtchn1", XENEVTCHN_FUNCTIONS),
        LIBRARY("libxenforeignmemory.so.1", "libxenforeignmemory1", XENFOREIGNMEMORY_FUNCTIONS),
        LIBRARY("libxenstore.so.4", "libxenstore4", XENSTORE_FUNCTIONS),
        LIBRARY("libxentoolcore.so.1", "libxentoolcore1", XENTOOLCORE_FUNCTIONS),
    };
#undef LIBRARY
#undef LIST
#undef SYMBOL

    for (unsigned i = 0; i < G_N_ELEMENTS(libraries); i++) {
        if (!library_load(&libraries[i], &xen_libraries, error)) {
            g_prefix_error(error, "xen: ");
            return false;
        }
    }
    return true;
}
