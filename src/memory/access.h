/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an access is: its address, its initiator, its result. Shared by all of memory/. */
#ifndef DUODM_MEMORY_ACCESS_H
#define DUODM_MEMORY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t gpa_t;  /* guest physical address, bytes */
typedef uint64_t iova_t; /* address as a device puts it on its bus, bytes */

/* Who makes an access. */
struct memory_attributes {
    uint16_t requester; /* PCI requester ID (bus << 8 | devfn) of a device's access */
    bool from_device;   /* by DMA; false: by a vCPU or the user's debugger */
    bool is_probe;      /* nobody accesses anything: an IOMMU answers, but records no fault */
};
#define MEMORY_ATTRIBUTES_CPU ((struct memory_attributes){0})

enum memory_result {
    MEMORY_OK = 0,
    MEMORY_DECODE_ERROR = 1, /* nothing answers at that address, or not to that access */
    MEMORY_DEVICE_ERROR = 2, /* the device refused */
    MEMORY_REENTRY = 3,      /* the device's own DMA came back to it while in a callback */
};

#endif
