/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the monitors tell of PCI functions, read from their configuration space. */
#ifndef DUODM_DM_MONITOR_PCI_LOOK_H
#define DUODM_DM_MONITOR_PCI_LOOK_H

#include "dm/pci/pci.h"

/* The functions of a PCI bus (not of those behind it) in order of their address; NULL pointers
 * nowhere. Free with g_ptr_array_unref. */
GPtrArray *pci_functions(const struct bus *bus);
uint16_t pci_look_16(const struct pci_device *device, unsigned offset);
/* In words, for the classes that a PC is likely to have; "device" for others. */
const char *pci_class_name(uint16_t class_code);

#endif
