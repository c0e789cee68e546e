/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/block/nbd-library.h"
#include "util/library.h"

bool nbd_library_load(struct nbd_library *library, GError **error)
{
#define SYMBOL(name) {"nbd_" #name, offsetof(struct nbd_library, name)},
    static const struct library_symbol symbols[] = {NBD_LIBRARY_FUNCTIONS(SYMBOL)};
#undef SYMBOL
    static const struct library nbd = {"libnbd.so.0", "libnbd0", symbols, G_N_ELEMENTS(symbols)};

    return library_load(&nbd, library, error);
}
