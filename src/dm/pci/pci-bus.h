/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the PCI bus: for src/dm/pci/pci*.c only. */
#ifndef DUODM_DM_PCI_PCI_BUS_H
#define DUODM_DM_PCI_PCI_BUS_H

#include "dm/pci/pci-iommu.h"
#include "dm/task-queue.h"

#include <pthread.h>

#define PCI_DEVFN_COUNT 256

struct message_listener {
    pci_messages_changed_fn fn;
    void *opaque;
};

struct pci_bus {
    struct bus base;
    struct machine *machine;
    struct pci_bus *root;      /* itself, or the root bus that it is behind */
    struct pci_device *bridge; /* whose secondary bus it is; NULL: it is a root bus */
    bool is_express;           /* of PCI Express */
    bool is_link;              /* of a port: it has one slot, number 0 */
    uint8_t number, last;      /* atomic: bus numbers, its own and the last of those behind; of a
                                  bridge's bus 0: config cycles don't reach it */
    bool is_silent;            /* atomic. Config cycles find nothing: it is being reset */
    struct memory_region *memory_space, *io_space; /* not owned */
    struct pci_device *devices[PCI_DEVFN_COUNT];   /* those that config accesses find */
    struct pci_hotplug *hotplug;
    /* The rest is the root bus's, for all behind it. */
    pthread_mutex_t interrupt_lock; /* leaf but for the lines it drives */
    pci_line_map_fn line_map;
    struct irq_line lines[PCI_LINES];
    irq_handler_fn pin_handler; /* NULL: pins drive the lines */
    void *pin_opaque;
    uint8_t gsis[PCI_LINES];                /* atomic: where they lead to; 0: nowhere */
    unsigned asserted[PCI_DEVFN_COUNT / 2]; /* functions that drive each line, or each pin */
    const struct pci_iommu_ops *iommu;      /* NULL: there is none */
    void *iommu_opaque;
    pthread_mutex_t listener_lock; /* around the listeners and their calls */
    GArray *message_listeners;     /* of struct message_listener */
    struct pci_view_link *stale;   /* to be freed by the task; under the topology lock */
    bool renumbered;               /* atomic: listeners have not been told of it */
    struct io_task renumbered_task;
};

static inline const struct pci_class *pci_class_of(const struct pci_device *device)
{
    return device->device.class->bus_class;
}

/* Life of a device on the bus: pci-device.c. */
bool pci_device_prepare(struct device *device, GError **error);
bool pci_device_plug(struct device *device, GError **error);
void pci_device_unplug(struct device *device);
void pci_device_release(struct device *device);
void pci_device_reset(struct device *device);
void pci_device_announce(struct device *device);
bool pci_device_request_unplug(struct device *device, bool force, GError **error);

/* Its view of memory, and dma_window onto that, closed: pci-iommu.c. */
void pci_device_open_view(struct pci_device *device);
void pci_device_close_view(struct pci_device *device);
/* Take over the number of its bus: requester ID and view. Under the topology lock. */
void pci_device_renumber(struct pci_device *device);
/* Tell who listens to messages that requester IDs have changed, if they have. No lock held. */
void pci_bus_tell_renumbered(struct pci_bus *root);
void pci_bus_renumbered_task(void *root);

/* Call a function for each function of a bus and of all behind it, a bridge before those behind it.
 * Under the topology lock, or in the main loop. False ends it. */
typedef bool (*pci_visit_fn)(struct pci_device *device, void *opaque);
bool pci_bus_visit(struct pci_bus *bus, pci_visit_fn visit, void *opaque);

/* A bridge's bus, made in its realize; freed, with what is on it, in its unrealize. name: copied.
 */
struct pci_bus *pci_bus_new_secondary(struct pci_device *bridge, const char *name,
                                      struct memory_region *memory_space,
                                      struct memory_region *io_space);
/* The bus behind a bridge; NULL: the function is no bridge. */
struct pci_bus *pci_device_secondary(const struct pci_device *device);
/* The bus of that number, if config cycles from `bus` reach it. Under RCU or the topology lock. */
struct pci_bus *pci_bus_of_number(struct pci_bus *bus, unsigned number);

/* One access to a device's config space, within its guard and a topology transaction (write).
 * offset + size <= 4096. */
uint32_t pci_config_read(struct pci_device *device, unsigned offset, unsigned size);
void pci_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value);

void pci_rom_release(struct pci_device *device);

/* The root bus's line that a device's pin is wired to. Only for devices with a pin. */
unsigned pci_interrupt_line_of(const struct pci_device *device);
/* Tell the bus line what pin, command register and level now say. Takes interrupt_lock. */
void pci_device_update_interrupt(struct pci_device *device);

#endif
