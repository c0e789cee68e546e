/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/slirp-library.h"
#include "util/library.h"

bool slirp_library_load(struct slirp_library *library, GError **error)
{
#define SYMBOL(name) {"slirp_" #name, offsetof(struct slirp_library, name)},
    static const struct library_symbol symbols[] = {SLIRP_LIBRARY_FUNCTIONS(SYMBOL)};
#undef SYMBOL
    static const struct library slirp = {"libslirp.so.0", "libslirp0", symbols,
                                         G_N_ELEMENTS(symbols)};

    return library_load(&slirp, library, error);
}
