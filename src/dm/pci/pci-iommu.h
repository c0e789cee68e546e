/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between the functions of a PCI bus and memory: an IOMMU of the board, or nothing. A
 * function's DMA address space (pci_device.dma) shows, while Bus Master Enable is set, its *view*:
 * all of system memory, or what the IOMMU lets this requester see.
 */
#ifndef DUODM_DM_PCI_PCI_IOMMU_H
#define DUODM_DM_PCI_PCI_IOMMU_H

#include "dm/pci/pci.h"

struct iommu_drain;

/* An IOMMU as the bus sees it. Called in the main loop, unless said otherwise. get_view is called
 * by vCPUs, too, in a topology transaction: when they number buses. */
struct pci_iommu_ops {
    /* The view of a requester, which is kept until it is put as often as it was got. */
    struct memory_region *(*get_view)(void *opaque, uint16_t requester);
    void (*put_view)(void *opaque, uint16_t requester);
    /* Does it tell host IOMMUs of each mapping that the guest makes? If not, *error says how to
     * have it. */
    bool (*can_follow)(void *opaque, GError **error);
    /* Which emulated devices use that keep host pointers into their view (iommu/iommu-watch.h). */
    struct iommu_drain *(*get_drain)(void *opaque);
    /* What an interrupt message of a requester will be when it arrives; false: it is blocked.
     * Records no fault. Any thread, any lock held. NULL: it changes none. */
    bool (*remap_message)(void *opaque, uint16_t requester, uint64_t *address, uint32_t *data);
};

/*
 * Put an IOMMU before all functions of a bus, those that are there and those that come; ops NULL
 * takes it away again. Fails if there is one already, or for a function that can't change its view
 * any more (pci_device_follow). Before the machine runs.
 */
bool pci_bus_set_iommu(struct pci_bus *bus, const struct pci_iommu_ops *ops, void *opaque,
                       GError **error);

/*
 * The function's view, with no regard to Bus Master Enable: for who programs a host IOMMU. It does
 * not change while the function lives, if pci_device_follow was called; two functions with the same
 * view see the same memory.
 */
struct memory_region *pci_device_view(const struct pci_device *device);
/* The drain of the IOMMU that it is behind; NULL: there is none. */
struct iommu_drain *pci_device_drain(const struct pci_device *device);
/* In realize of a function whose DMA a host IOMMU translates: false if the guest's mappings could
 * not be followed there. */
bool pci_device_follow(struct pci_device *device, GError **error);

/*
 * The message as it is to be delivered, for who has it delivered by other means than
 * pci_send_message (irqfd). False: it is blocked now, and pci_send_message would record the fault.
 */
bool pci_device_remap_message(struct pci_device *device, uint64_t *address, uint32_t *data);
/* Messages, or interrupt lines, may lead elsewhere now. Called in a vCPU's thread, no guard or leaf
 * lock held. */
typedef void (*pci_messages_changed_fn)(void *opaque);
void pci_bus_add_message_listener(struct pci_bus *bus, pci_messages_changed_fn fn, void *opaque);
void pci_bus_remove_message_listener(struct pci_bus *bus, pci_messages_changed_fn fn, void *opaque);
/* For the IOMMU: call them all. */
void pci_bus_messages_changed(struct pci_bus *bus);

#endif
