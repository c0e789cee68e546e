/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of functions of the host, as users write them. */
#ifndef DUODM_DM_PCI_HOST_ADDRESS_H
#define DUODM_DM_PCI_HOST_ADDRESS_H

#include <stdbool.h>

struct pci_host_address {
    unsigned segment, bus, slot, function;
};

/* "[DDDD:]BB:DD.F", hexadecimal. False: text is none. */
bool pci_host_address_parse(const char *text, struct pci_host_address *address);
/* The name of its folder in sysfs: "0000:00:05.0". Caller frees. */
char *pci_host_address_name(const struct pci_host_address *address);

#endif
