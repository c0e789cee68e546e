/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI function of the host as the control domain's Linux shows it, in its folder of sysfs: config
 * space, BARs, interrupt line. Not thread-safe.
 */
#ifndef DUODM_BACKEND_XEN_PASSTHROUGH_HOST_FUNCTION_H
#define DUODM_BACKEND_XEN_PASSTHROUGH_HOST_FUNCTION_H

#include "dm/pci/host-address.h"
#include "util/file-guard.h"

#include <glib.h>
#include <stdint.h>

#define HOST_FUNCTION_BARS 6u

struct host_bar {
    uint64_t start; /* machine address, or port */
    uint64_t size;  /* bytes; 0: there is none */
    bool is_io, is_64, prefetchable;
    int file; /* descriptor of resourceN; -1: not needed yet */
    /* Memory: the page of it that was reached last, in our address space; NULL: none. */
    volatile uint8_t *page;
    uint64_t page_number;     /* of the machine */
    struct file_guard *guard; /* of page, which Linux may take away */
};

struct host_function {
    struct pci_host_address address;
    char *name;   /* "0000:00:05.0" */
    char *folder; /* in sysfs */
    int config;   /* descriptor of its config space */
    bool is_forgotten;
    unsigned irq; /* GSI of its pin; 0: none */
    struct host_bar bars[HOST_FUNCTION_BARS];
    struct file_guard_owner owner; /* of their pages */
};

/* root: folder of all functions, /sys/bus/pci/devices. */
bool host_function_open(struct host_function *function, const char *root, const char *address,
                        GError **error);
void host_function_close(struct host_function *function);
/* It is somebody else's from now on: reads give ones, writes are dropped. To be closed all the
 * same. */
void host_function_forget(struct host_function *function);

/* Config space: 1, 2 or 4 bytes. A read that fails gives ones. */
uint32_t host_function_config_read(const struct host_function *function, unsigned offset,
                                   unsigned size);
void host_function_config_write(const struct host_function *function, unsigned offset,
                                unsigned size, uint32_t value);
/* An aligned access of 1, 2 or 4 bytes within a BAR. A read that fails gives ones. */
uint32_t host_function_bar_read(struct host_function *function, unsigned bar, uint64_t offset,
                                unsigned size);
void host_function_bar_write(struct host_function *function, unsigned bar, uint64_t offset,
                             unsigned size, uint32_t value);
/* By the best means that Linux has: function level reset. */
bool host_function_reset(const struct host_function *function, GError **error);

#endif
