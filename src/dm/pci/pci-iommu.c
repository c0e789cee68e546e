/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pci-iommu.h"
#include "dm/machine.h"
#include "dm/pci/pci-bus.h"
#include "util/error.h"

struct memory_region *pci_device_view(const struct pci_device *device)
{
    return device->view;
}

/* The view, and the window of the DMA address space onto it. */

void pci_device_open_view(struct pci_device *device)
{
    struct pci_bus *bus = device->pci_bus;

    device->view = bus->iommu ? bus->iommu->get_view(bus->iommu_opaque, pci_requester_id(device))
                              : &bus->machine->system_memory;
    memory_region_init_alias(&device->dma_window, device->dma_root.name, device->view, 0,
                             MACHINE_MEMORY_SIZE);
    memory_region_set_enabled(&device->dma_window, false);
    memory_region_add_subregion(&device->dma_root, 0, &device->dma_window);
}

void pci_device_close_view(struct pci_device *device)
{
    struct pci_bus *bus = device->pci_bus;

    memory_region_destroy(&device->dma_window);
    if (device->view != &bus->machine->system_memory) {
        bus->iommu->put_view(bus->iommu_opaque, pci_requester_id(device));
    }
    device->view = NULL;
    device->follows = false;
}

static bool can_change_views(const struct pci_bus *bus, GError **error)
{
    for (unsigned i = 0; i < bus->base.children->len; i++) {
        const struct pci_device *device = g_ptr_array_index(bus->base.children, i);

        if (device->follows) {
            g_autofree char *name = device_describe(&device->device);

            return duodm_fail(error, DUODM_ERROR_BUSY,
                              "device '%s' was there first: an IOMMU has to come before what is "
                              "passed through",
                              name);
        }
    }
    return true;
}

static bool tell_functions(struct pci_bus *bus, GError **error)
{
    for (unsigned i = 0; i < bus->base.children->len; i++) {
        struct pci_device *device = g_ptr_array_index(bus->base.children, i);
        const struct pci_class *class = pci_class_of(device);

        if (class->iommu_changed && !class->iommu_changed(device, error)) {
            return false;
        }
    }
    return true;
}

bool pci_bus_set_iommu(struct pci_bus *bus, const struct pci_iommu_ops *ops, void *opaque,
                       GError **error)
{
    GPtrArray *functions = bus->base.children;
    g_autofree bool *open = g_new0(bool, functions->len);

    if (ops && bus->iommu) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "bus %s has an IOMMU already", bus->base.name);
    }
    if (ops && !can_change_views(bus, error)) {
        return false;
    }
    for (unsigned i = 0; i < functions->len; i++) {
        struct pci_device *device = g_ptr_array_index(functions, i);

        open[i] = device->dma_window.enabled;
        pci_device_close_view(device);
    }
    bus->iommu = ops;
    bus->iommu_opaque = opaque;
    for (unsigned i = 0; i < functions->len; i++) {
        struct pci_device *device = g_ptr_array_index(functions, i);

        pci_device_open_view(device);
        memory_region_set_enabled(&device->dma_window, open[i]);
    }
    if (!tell_functions(bus, error)) {
        pci_bus_set_iommu(bus, NULL, NULL, NULL);
        return false;
    }
    return true;
}

struct iommu_drain *pci_device_drain(const struct pci_device *device)
{
    const struct pci_bus *bus = device->pci_bus;

    return bus->iommu ? bus->iommu->get_drain(bus->iommu_opaque) : NULL;
}

bool pci_device_follow(struct pci_device *device, GError **error)
{
    const struct pci_bus *bus = device->pci_bus;

    device->follows = !bus->iommu || bus->iommu->can_follow(bus->iommu_opaque, error);
    return device->follows;
}

/* Messages. */

bool pci_device_remap_message(struct pci_device *device, uint64_t *address, uint32_t *data)
{
    const struct pci_bus *bus = device->pci_bus;

    return !bus->iommu || !bus->iommu->remap_message ||
           bus->iommu->remap_message(bus->iommu_opaque, pci_requester_id(device), address, data);
}

void pci_bus_add_message_listener(struct pci_bus *bus, pci_messages_changed_fn fn, void *opaque)
{
    struct message_listener listener = {fn, opaque};

    pthread_mutex_lock(&bus->listener_lock);
    g_array_append_val(bus->message_listeners, listener);
    pthread_mutex_unlock(&bus->listener_lock);
}

void pci_bus_remove_message_listener(struct pci_bus *bus, pci_messages_changed_fn fn, void *opaque)
{
    pthread_mutex_lock(&bus->listener_lock);
    for (unsigned i = bus->message_listeners->len; i-- > 0;) {
        const struct message_listener *listener =
            &g_array_index(bus->message_listeners, struct message_listener, i);

        if (listener->fn == fn && listener->opaque == opaque) {
            g_array_remove_index(bus->message_listeners, i);
        }
    }
    pthread_mutex_unlock(&bus->listener_lock);
}

void pci_bus_messages_changed(struct pci_bus *bus)
{
    pthread_mutex_lock(&bus->listener_lock);
    for (unsigned i = 0; i < bus->message_listeners->len; i++) {
        const struct message_listener *listener =
            &g_array_index(bus->message_listeners, struct message_listener, i);

        listener->fn(listener->opaque);
    }
    pthread_mutex_unlock(&bus->listener_lock);
}
