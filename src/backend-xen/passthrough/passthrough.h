/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the device class "xen-pci-passthrough". */
#ifndef DUODM_BACKEND_XEN_PASSTHROUGH_PASSTHROUGH_H
#define DUODM_BACKEND_XEN_PASSTHROUGH_PASSTHROUGH_H

#include "backend-xen/passthrough/host-function.h"
#include "backend-xen/passthrough/host-removal.h"
#include "backend-xen/xen-machine.h"
#include "dm/pci/assigned-config.h"

#define XEN_PT_NO_PIRQ (-1)

struct xen_passthrough;

struct xen_pt_bar {
    struct memory_region region;   /* what the BAR shows: a container, or I/O ports */
    struct memory_region accesses; /* of memory, below the MSI-X table */
    struct xen_passthrough *pt;
    unsigned number;
};

/* A part of a BAR that the guest is to reach without an exit: whole pages, or ports. */
struct xen_pt_piece {
    uint64_t guest, host, length; /* addresses, or ports; bytes */
    bool is_io;
    bool is_mapped; /* Xen took it; else its accesses come to us */
};

/* An interrupt vector of MSI or MSI-X. */
struct xen_pt_vector {
    int pirq;      /* the physical interrupt that Xen gave for it; XEN_PT_NO_PIRQ: none yet */
    bool is_bound; /* to the guest's message: */
    uint8_t vector;
    uint32_t flags;
};

struct xen_passthrough {
    struct pci_device pci;
    /* Properties. */
    char *hostaddr;
    char *sysfs;
    bool permissive;

    struct host_function host;
    struct assigned_config config;
    /* What may come of it against the guest's will: pt-removal.c */
    struct host_removal *removal;       /* NULL: nobody tells when the host's function is gone */
    struct xen_store_watch store_watch; /* the toolstack's list of the domain's functions */
    bool was_listed;                    /* the toolstack said that the domain has it */
    /* Until Xen has assigned the function, or nobody believes that it will: then NULL. */
    struct event *ready_timer;
    unsigned ready_period, ready_waited; /* ms: until it is asked again; since it was plugged */
    bool was_used;                       /* the guest let it do DMA: only a reset makes it forget */

    /* BARs: pt-bars.c. Pieces under the topology lock. */
    struct xen_pt_bar bars[PCI_BAR_COUNT];
    struct memory_listener memory_listener, io_listener;
    GArray *pieces;          /* of struct xen_pt_piece */
    unsigned unmapped;       /* pieces that Xen did not take yet; atomic */
    bool said;               /* that it did not */
    struct io_task map_task; /* tries again */

    int intx_pirq; /* XEN_PT_NO_PIRQ: the pin is not bound. pt-intx.c */

    /* MSI, MSI-X: pt-msi.c. Under the device's guard. */
    uint8_t active;                /* the capability that is on: config.msi or config.msix; or 0 */
    struct xen_pt_vector *vectors; /* one of MSI, or those of MSI-X */
    uint8_t *table;                /* of MSI-X, as the guest wrote it */
    unsigned entries;              /* of it */
    unsigned table_bar;
    uint32_t table_offset;
    uint64_t table_address; /* where Xen was told that the guest sees the table; 0: nowhere */
    struct memory_region table_region;
};

static inline struct xen_passthrough *xen_pt_of(struct device *device)
{
    return (struct xen_passthrough *)device;
}

static inline struct xen_machine *xen_pt_machine(const struct xen_passthrough *pt)
{
    return xen_of(pt->pci.device.machine);
}

/* The domain, or its device model, is at its end: Xen takes back what is left by itself, and calls
 * about it would only fail. */
static inline bool xen_pt_is_over(const struct xen_passthrough *pt)
{
    return __atomic_load_n(&xen_pt_machine(pt)->quit, __ATOMIC_RELAXED);
}

/* pt-bars.c */
bool xen_pt_bars_init(struct xen_passthrough *pt, GError **error);
void xen_pt_bars_destroy(struct xen_passthrough *pt);

/* pt-removal.c: from now on the function may go, in the main loop, and the device with it. */
void xen_pt_removal_listen(struct xen_passthrough *pt);
void xen_pt_removal_end(struct xen_passthrough *pt);

/* pt-intx.c: bind the function's pin to the guest's, and no more. */
bool xen_pt_intx_bind(struct xen_passthrough *pt, GError **error);
void xen_pt_intx_unbind(struct xen_passthrough *pt);

/* pt-msi.c: after BARs. */
bool xen_pt_msi_init(struct xen_passthrough *pt, GError **error);
void xen_pt_msi_destroy(struct xen_passthrough *pt);
/* The guest wrote to config space: follow. */
void xen_pt_msi_update(struct xen_passthrough *pt);
/* To power-on state. */
void xen_pt_msi_reset(struct xen_passthrough *pt);

#endif
