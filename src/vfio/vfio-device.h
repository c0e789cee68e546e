/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device that is passed through, as its transport offers it: the kernel's VFIO (vfio-kernel.h),
 * or a server in another process. Regions, interrupts and errors have VFIO's numbers and meaning
 * (linux/vfio.h); the functions check what comes from outside, so their callers need not.
 */
#ifndef DUODM_VFIO_VFIO_DEVICE_H
#define DUODM_VFIO_VFIO_DEVICE_H

#include "util/file-guard.h"
#include "util/range.h"

#include <glib.h>

/* Regions of a PCI device; 0 to 5 are its BARs. */
#define VFIO_REGION_BARS   6u
#define VFIO_REGION_ROM    6u
#define VFIO_REGION_CONFIG 7u
#define VFIO_REGION_COUNT  8u

enum vfio_irq {
    VFIO_IRQ_INTX,
    VFIO_IRQ_MSI,
    VFIO_IRQ_MSIX,
    VFIO_IRQ_ERROR,   /* an uncorrectable error of the device, or mapped memory was taken away */
    VFIO_IRQ_REQUEST, /* its owner wants the device back */
    VFIO_IRQ_COUNT
};

struct vfio_region {
    uint64_t size; /* bytes; 0: the device has no such region */
    bool readable, writable;
    GArray *areas; /* of struct range: parts that can be mapped, in whole host pages. Owned */
    uint64_t file_offset; /* transports: of the region in the device's file */
};

struct vfio_device;

struct vfio_device_ops {
    /* size 1, 2 or 4, within the region; of a read, anything up to block_size. */
    bool (*read)(struct vfio_device *device, unsigned region, uint64_t offset, void *buffer,
                 unsigned size);
    bool (*write)(struct vfio_device *device, unsigned region, uint64_t offset, const void *buffer,
                  unsigned size);
    /* Map one of the areas; NULL and an error if it can't be had. unmap: of all of it. */
    void *(*map)(struct vfio_device *device, unsigned region, struct range area, GError **error);
    void (*unmap)(struct vfio_device *device, void *host, uint64_t length);
    /*
     * Have interrupts [first, first + count) signal event descriptors, -1: none. count 0 (first 0)
     * switches all of that kind off. MSI and MSI-X are on while any is set, with as many vectors as
     * the call that switched them on had; that call may return a positive number, too: nothing was
     * done, and so many vectors can be had. 0: done. -1: an error.
     */
    int (*set_triggers)(struct vfio_device *device, enum vfio_irq irq, unsigned first,
                        const int *descriptors, unsigned count, GError **error);
    /* INTx, which is masked when it has signalled. */
    bool (*unmask)(struct vfio_device *device, GError **error);
    /* A signal of the descriptor unmasks it; -1: no more. */
    bool (*set_unmask_descriptor)(struct vfio_device *device, int descriptor, GError **error);
    /* To its power-on state, but for config space. Fails if it has no reset of its own. */
    bool (*reset)(struct vfio_device *device, GError **error);
    void (*free)(struct vfio_device *device);
};

/* Calls may come from any thread; those of one interrupt kind, and reset, one at a time. */
struct vfio_device {
    const struct vfio_device_ops *ops;
    char *name; /* for messages: "0000:00:05.0" */
    struct vfio_region regions[VFIO_REGION_COUNT];
    unsigned vectors[VFIO_IRQ_COUNT]; /* interrupts of each kind; 0: it has none */
    bool can_reset;
    unsigned block_size; /* bytes that one read can have, at least 4 */
    /* Of mapped memory: its owner.cut says that the other side has taken some of it away. */
    struct file_guard_owner owner;
    GHashTable *guards; /* address of mapped memory -> struct file_guard */
};

/* For transports: the parts that all have. name is copied. */
void vfio_device_init(struct vfio_device *device, const struct vfio_device_ops *ops,
                      const char *name);
void vfio_device_clear(struct vfio_device *device);
/* For transports: mapped memory, until it is unmapped. */
void vfio_device_guard(struct vfio_device *device, void *host, uint64_t length);
void vfio_device_unguard(struct vfio_device *device, void *host);
void vfio_device_free(struct vfio_device *device); /* by its transport. NULL is fine */

/* Little-endian numbers of 1, 2 or 4 bytes. Outside of the region, and on failure: all ones. */
uint32_t vfio_device_read(struct vfio_device *device, unsigned region, uint64_t offset,
                          unsigned size);
/* Bytes of a region, as few reads as the transport allows. False: not all of them could be had. */
bool vfio_device_read_block(struct vfio_device *device, unsigned region, uint64_t offset,
                            uint8_t *bytes, uint64_t length);
void vfio_device_write(struct vfio_device *device, unsigned region, uint64_t offset, unsigned size,
                       uint32_t value);

#endif
