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

/*
 * A function behind a bridge is another requester when the guest has numbered the bus anew. Its
 * view is then a region of its own, which shows by a link what the IOMMU lets that requester see:
 * so who follows the view (host IOMMUs, watches) is told by the topology, as when the IOMMU itself
 * changes it. A function that has not been given a number yet sees nothing.
 */
struct pci_view_link {
    struct pci_view_link *next; /* of those to be freed */
    struct memory_region alias;
    uint16_t requester;
};

/* One that waits to be freed will do: so a guest that numbers buses without end makes no more of
 * them than there are numbers. */
static struct pci_view_link *take_stale(struct pci_bus *root, uint16_t requester)
{
    for (struct pci_view_link **at = &root->stale; *at; at = &(*at)->next) {
        struct pci_view_link *link = *at;

        if (link->requester == requester) {
            *at = link->next;
            return link;
        }
    }
    return NULL;
}

static struct pci_view_link *link_get(struct pci_device *device, uint16_t requester)
{
    struct pci_bus *root = device->pci_bus->root;
    struct pci_view_link *link = take_stale(root, requester);

    if (!link) {
        link = g_new0(struct pci_view_link, 1);
        link->requester = requester;
        memory_region_init_alias(&link->alias, device->routed.name,
                                 root->iommu->get_view(root->iommu_opaque, requester), 0,
                                 MACHINE_MEMORY_SIZE);
    }
    memory_region_add_subregion(&device->routed, 0, &link->alias);
    return link;
}

/* Not in a transaction: it waits for readers. */
static void link_free(struct pci_bus *root, struct pci_view_link *link)
{
    memory_region_destroy(&link->alias);
    root->iommu->put_view(root->iommu_opaque, link->requester);
    g_free(link);
}

/* A vCPU can't wait for readers: the main loop frees what the function has seen before. */
static void change_link(struct pci_device *device)
{
    struct pci_bus *root = device->pci_bus->root;
    struct pci_view_link *old = device->link;

    if (old) {
        memory_region_remove_subregion(&device->routed, &old->alias);
        old->next = root->stale;
        root->stale = old;
    }
    device->link = link_get(device, pci_requester_id(device));
    machine_post(root->machine, &root->renumbered_task);
}

void pci_device_renumber(struct pci_device *device)
{
    struct pci_bus *bus = device->pci_bus;
    unsigned number = __atomic_load_n(&bus->number, __ATOMIC_RELAXED);
    uint16_t requester = (uint16_t)(number << 8 | device->devfn);

    if (bus->bridge && number == 0) {
        return; /* it goes by the number that it had, as long as no other comes */
    }
    if (requester != pci_requester_id(device)) {
        __atomic_store_n(&device->requester, requester, __ATOMIC_RELAXED);
        __atomic_store_n(&bus->root->renumbered, true, __ATOMIC_RELEASE);
    }
    if (device->view == &device->routed &&
        (!device->link || device->link->requester != requester)) {
        change_link(device);
    }
}

void pci_bus_tell_renumbered(struct pci_bus *root)
{
    if (__atomic_exchange_n(&root->renumbered, false, __ATOMIC_ACQ_REL)) {
        pci_bus_messages_changed(root);
    }
}

void pci_bus_renumbered_task(void *opaque)
{
    struct pci_bus *root = opaque;
    struct pci_view_link *link, *next;

    memory_topology_begin();
    link = root->stale;
    root->stale = NULL;
    memory_topology_commit();
    for (; link; link = next) {
        next = link->next;
        link_free(root, link);
    }
    pci_bus_tell_renumbered(root);
}

static void open_routed(struct pci_device *device)
{
    device->view = &device->routed;
    memory_region_init_container(&device->routed, device->dma_root.name, MACHINE_MEMORY_SIZE);
    memory_topology_begin();
    pci_device_renumber(device);
    memory_topology_commit();
}

static void close_routed(struct pci_device *device)
{
    struct pci_bus *root = device->pci_bus->root;

    pci_bus_renumbered_task(root);
    if (device->link) {
        link_free(root, device->link);
        device->link = NULL;
    }
    memory_region_destroy(&device->routed);
}

void pci_device_open_view(struct pci_device *device)
{
    struct pci_bus *root = device->pci_bus->root;

    if (!root->iommu) {
        device->view = &root->machine->system_memory;
    } else if (device->pci_bus->bridge) {
        open_routed(device);
    } else {
        device->view = root->iommu->get_view(root->iommu_opaque, pci_requester_id(device));
    }
    memory_region_init_alias(&device->dma_window, device->dma_root.name, device->view, 0,
                             MACHINE_MEMORY_SIZE);
    memory_region_set_enabled(&device->dma_window, false);
    memory_region_add_subregion(&device->dma_root, 0, &device->dma_window);
}

void pci_device_close_view(struct pci_device *device)
{
    struct pci_bus *root = device->pci_bus->root;

    memory_region_destroy(&device->dma_window);
    if (device->view == &device->routed) {
        close_routed(device);
    } else if (device->view != &root->machine->system_memory) {
        root->iommu->put_view(root->iommu_opaque, pci_requester_id(device));
    }
    device->view = NULL;
    device->follows = false;
}

/* An IOMMU that takes its place. */
struct iommu_change {
    const struct pci_iommu_ops *ops;
    void *opaque;
    GError **error;
};

static bool can_change_view(struct pci_device *device, void *opaque)
{
    const struct iommu_change *change = opaque;

    if (device->follows) {
        g_autofree char *name = device_describe(&device->device);

        return duodm_fail(change->error, DUODM_ERROR_BUSY,
                          "device '%s' was there first: an IOMMU has to come before what is "
                          "passed through",
                          name);
    }
    return true;
}

static bool tell_function(struct pci_device *device, void *opaque)
{
    const struct iommu_change *change = opaque;
    const struct pci_class *class = pci_class_of(device);

    return !class->iommu_changed || class->iommu_changed(device, change->error);
}

/* Nothing runs yet: that a function sees nothing for a moment disturbs nobody. */
static bool close_view(struct pci_device *device, void *opaque)
{
    pci_device_close_view(device);
    return true;
}

static bool open_view(struct pci_device *device, void *opaque)
{
    pci_device_open_view(device);
    pci_device_update_mappings(device);
    return true;
}

bool pci_bus_set_iommu(struct pci_bus *bus, const struct pci_iommu_ops *ops, void *opaque,
                       GError **error)
{
    struct iommu_change change = {ops, opaque, error};

    if (bus->bridge) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "an IOMMU has to be on the root bus, not on bus %s", bus->base.name);
    }
    if (ops && bus->iommu) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "bus %s has an IOMMU already", bus->base.name);
    }
    if (ops && !pci_bus_visit(bus, can_change_view, &change)) {
        return false;
    }
    pci_bus_visit(bus, close_view, &change);
    pci_bus_renumbered_task(bus); /* while there is the IOMMU that stale links are of */
    bus->iommu = ops;
    bus->iommu_opaque = opaque;
    pci_bus_visit(bus, open_view, &change);
    if (!pci_bus_visit(bus, tell_function, &change)) {
        pci_bus_set_iommu(bus, NULL, NULL, NULL);
        return false;
    }
    return true;
}

struct iommu_drain *pci_device_drain(const struct pci_device *device)
{
    const struct pci_bus *bus = device->pci_bus->root;

    return bus->iommu ? bus->iommu->get_drain(bus->iommu_opaque) : NULL;
}

bool pci_device_follow(struct pci_device *device, GError **error)
{
    const struct pci_bus *bus = device->pci_bus->root;

    device->follows = !bus->iommu || bus->iommu->can_follow(bus->iommu_opaque, error);
    return device->follows;
}

/* Messages. */

bool pci_device_remap_message(struct pci_device *device, uint64_t *address, uint32_t *data)
{
    const struct pci_bus *bus = device->pci_bus->root;

    return !bus->iommu || !bus->iommu->remap_message ||
           bus->iommu->remap_message(bus->iommu_opaque, pci_requester_id(device), address, data);
}

void pci_bus_add_message_listener(struct pci_bus *bus, pci_messages_changed_fn fn, void *opaque)
{
    struct message_listener listener = {fn, opaque};

    bus = bus->root;
    pthread_mutex_lock(&bus->listener_lock);
    g_array_append_val(bus->message_listeners, listener);
    pthread_mutex_unlock(&bus->listener_lock);
}

void pci_bus_remove_message_listener(struct pci_bus *bus, pci_messages_changed_fn fn, void *opaque)
{
    bus = bus->root;
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
