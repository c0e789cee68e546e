/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A root port of PCI Express: class "pcie-root-port", on the root bus of a board that has one. */
#ifndef DUODM_DM_PCI_PCIE_ROOT_PORT_H
#define DUODM_DM_PCI_PCIE_ROOT_PORT_H

#include "dm/device.h"

extern const struct device_class pcie_root_port_class;

#endif
