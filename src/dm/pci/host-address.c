/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/host-address.h"

#include <glib.h>
#include <stdio.h>

bool pci_host_address_parse(const char *text, struct pci_host_address *address)
{
    struct pci_host_address *a = address;
    int used = 0;

    if (sscanf(text, "%4x:%2x:%2x.%1x%n", &a->segment, &a->bus, &a->slot, &a->function, &used) !=
            4 ||
        text[used]) {
        a->segment = 0;
        used = 0;
        if (sscanf(text, "%2x:%2x.%1x%n", &a->bus, &a->slot, &a->function, &used) != 3 ||
            text[used]) {
            return false;
        }
    }
    return a->slot < 32 && a->function < 8;
}

char *pci_host_address_name(const struct pci_host_address *address)
{
    return g_strdup_printf("%04x:%02x:%02x.%x", address->segment, address->bus, address->slot,
                           address->function);
}
