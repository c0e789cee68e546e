/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vfio/vfio-space.h"
#include "dm/machine.h"
#include "dm/vfio/vfio-pci.h"
#include "memory/rcu.h"
#include "util/error.h"
#include "util/log.h"
#include "vfio/iommufd.h"
#include "vfio/type1.h"
#include "vfio/vfio-kernel.h"

struct vfio_space {
    struct machine *machine;
    struct memory_region *view;
    struct address_space dma;         /* of view */
    struct vfio_container *container; /* NULL: its one device has a back end of its own */
    struct iommufd *iommufd;          /* that the container is of; NULL: type1 */
    struct dma_backend *backend;
    struct dma_map *map;
    pthread_mutex_t lock; /* outside of functions' command locks; protects functions */
    GPtrArray *functions; /* of struct vfio_pci */
    bool failed;          /* atomic: the map is not what the guest wants */
};

/* Under the topology's or an IOMMU's lock (vfio/dma-map.h). */
static void map_failed(void *opaque, const GError *error)
{
    struct vfio_space *space = opaque;

    __atomic_store_n(&space->failed, true, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&space->lock);
    for (unsigned i = 0; i < space->functions->len; i++) {
        vfio_cut_off(g_ptr_array_index(space->functions, i), error->message);
    }
    pthread_mutex_unlock(&space->lock);
}

/* RAM stays where it is from now on: what the host pins must be what the guest goes on to see. Who
 * gives some of it back just now does so before this returns. */
static void block_discards(struct machine *machine)
{
    __atomic_fetch_add(&machine->discard_blockers, 1, __ATOMIC_SEQ_CST);
    memory_rcu_synchronize();
}

static void unblock_discards(struct machine *machine)
{
    __atomic_fetch_sub(&machine->discard_blockers, 1, __ATOMIC_SEQ_CST);
}

static void space_free(struct vfio_space *space)
{
    struct machine *machine = space->machine;

    g_ptr_array_remove(machine->vfio_spaces, space);
    if (space->map) {
        dma_map_free(space->map);
        unblock_discards(machine);
    }
    address_space_destroy(&space->dma);
    vfio_container_free(space->container);
    g_ptr_array_unref(space->functions);
    pthread_mutex_destroy(&space->lock);
    g_free(space);
}

/* All devices were reset, and IOMMUs after them: if it was the guest's tables that a host could not
 * follow, it can now. */
static void machine_was_reset(void *opaque)
{
    struct machine *machine = opaque;

    for (unsigned i = 0; i < machine->vfio_spaces->len; i++) {
        const struct vfio_space *space = g_ptr_array_index(machine->vfio_spaces, i);

        for (unsigned j = 0; j < space->functions->len; j++) {
            struct vfio_pci *vfio = g_ptr_array_index(space->functions, j);
            g_autoptr(GError) error = NULL;

            if (!vfio_space_recover(vfio, &error)) {
                log_warning("device %s: %s", vfio_pci_name(vfio), error->message);
            }
            vfio_update_command(vfio);
        }
    }
}

static void free_spaces(void *opaque)
{
    struct machine *machine = opaque;

    g_clear_pointer(&machine->vfio_spaces, g_ptr_array_unref);
}

/* Once for a machine. */
static void make_spaces(struct machine *machine)
{
    machine->vfio_spaces = g_ptr_array_new();
    machine_add_reset_handler(machine, machine_was_reset, machine);
    machine_add_cleanup(machine, free_spaces, machine);
}

/* container: becomes the space's. */
static struct vfio_space *space_new(struct machine *machine, struct memory_region *view,
                                    struct vfio_container *container, struct dma_backend *backend)
{
    struct vfio_space *space = g_new0(struct vfio_space, 1);

    space->machine = machine;
    space->view = view;
    space->container = container;
    space->backend = backend;
    space->functions = g_ptr_array_new();
    pthread_mutex_init(&space->lock, NULL);
    address_space_init(&space->dma, view, "vfio");
    if (!machine->vfio_spaces) {
        make_spaces(machine);
    }
    g_ptr_array_add(machine->vfio_spaces, space);
    return space;
}

static bool has_group(const struct vfio_space *space, unsigned group)
{
    for (unsigned i = 0; space->container && i < space->functions->len; i++) {
        const struct vfio_pci *function = g_ptr_array_index(space->functions, i);

        if (function->group == group) {
            return true;
        }
    }
    return false;
}

/* What must not be: functions of one group that see different memory. */
static bool check_group(struct machine *machine, struct memory_region *view, unsigned group,
                        GError **error)
{
    for (unsigned i = 0; machine->vfio_spaces && i < machine->vfio_spaces->len; i++) {
        const struct vfio_space *space = g_ptr_array_index(machine->vfio_spaces, i);

        if (space->view != view && has_group(space, group)) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "IOMMU group %u of the host is in use behind another of the guest's "
                              "IOMMU domains: functions of one group can't be kept apart",
                              group);
        }
    }
    return true;
}

static bool check_free(struct machine *machine, const char *address, GError **error)
{
    for (unsigned i = 0; machine->vfio_spaces && i < machine->vfio_spaces->len; i++) {
        const struct vfio_space *space = g_ptr_array_index(machine->vfio_spaces, i);

        for (unsigned j = 0; j < space->functions->len; j++) {
            const struct vfio_pci *other = g_ptr_array_index(space->functions, j);

            if (g_str_equal(other->device->name, address)) {
                return duodm_fail(error, DUODM_ERROR_BUSY,
                                  "device %s of the host is assigned to this machine already, as "
                                  "'%s'",
                                  address, vfio_pci_name(other));
            }
        }
    }
    return true;
}

/* A device came or has gone. Others of the space are at work: a guest that moves a BAR has it
 * mapped. */
static bool read_limits(struct vfio_container *container, GError **error)
{
    bool ok;

    memory_topology_begin();
    ok = container->ops->read_limits(container, error);
    memory_topology_commit();
    return ok;
}

/* add_device of the container, complete; its descriptor, or -1 and an error. */
static int add_device(struct vfio_container *container, const struct vfio_host_device *host,
                      GError **error)
{
    int descriptor = container->ops->add_device(container, host, error);

    if (descriptor >= 0 && !read_limits(container, error)) {
        container->ops->remove_device(container, host, descriptor);
        return -1;
    }
    return descriptor;
}

/* Put a device into a space of those that see view through iommufd (NULL: type1), if one takes it;
 * its descriptor, or -1 and no error. */
static int join_space(struct machine *machine, struct memory_region *view, struct iommufd *iommufd,
                      const struct vfio_host_device *host, struct vfio_space **joined)
{
    for (unsigned i = 0; machine->vfio_spaces && i < machine->vfio_spaces->len; i++) {
        struct vfio_space *space = g_ptr_array_index(machine->vfio_spaces, i);

        if (space->view == view && space->container && space->iommufd == iommufd) {
            int descriptor = add_device(space->container, host, NULL);

            if (descriptor >= 0) {
                *joined = space;
                return descriptor;
            }
        }
    }
    return -1;
}

/* The same with a new space. -1 and an error: there is none. */
static int make_space(struct machine *machine, struct memory_region *view, struct iommufd *iommufd,
                      const struct vfio_host_device *host, struct vfio_space **made, GError **error)
{
    struct vfio_container *container =
        iommufd ? iommufd_container_new(iommufd, error) : type1_container_new(error);
    int descriptor = container ? add_device(container, host, error) : -1;

    if (descriptor < 0) {
        vfio_container_free(container);
        return -1;
    }
    *made = space_new(machine, view, container, &container->backend);
    (*made)->iommufd = iommufd;
    return descriptor;
}

/* The container has a device, and so an IOMMU: map. */
static bool start_mapping(struct vfio_space *space, GError **error)
{
    if (space->map) {
        return true;
    }
    block_discards(space->machine);
    space->map = dma_map_new(&space->dma, &space->machine->as_memory, space->backend, map_failed,
                             space, error);
    if (!space->map) {
        unblock_discards(space->machine);
    }
    return space->map != NULL;
}

/* One was closed. The last takes the space along; without another there may be more to map. */
static void device_gone(struct vfio_space *space)
{
    if (space->functions->len == 0) {
        space_free(space);
    } else {
        read_limits(space->container, NULL);
    }
}

static void add_function(struct vfio_space *space, struct vfio_pci *vfio)
{
    pthread_mutex_lock(&space->lock);
    g_ptr_array_add(space->functions, vfio);
    pthread_mutex_unlock(&space->lock);
    vfio->space = space;
    if (__atomic_load_n(&space->failed, __ATOMIC_SEQ_CST)) {
        vfio_cut_off(vfio, "the host lacks mappings that others of this address space need, too");
    }
}

static struct vfio_device *open_in(struct vfio_space *space, const struct vfio_host_device *host,
                                   int descriptor, GError **error)
{
    if (!start_mapping(space, error)) {
        space->container->ops->remove_device(space->container, host, descriptor);
        return NULL;
    }
    return vfio_kernel_device_new(space->container, host, descriptor, error);
}

bool vfio_space_open(struct machine *machine, struct memory_region *view, struct vfio_pci *vfio,
                     struct iommufd *iommufd, const struct vfio_host_device *host, GError **error)
{
    struct vfio_space *space = NULL;
    int descriptor;

    if (!check_free(machine, host->address, error) ||
        !check_group(machine, view, host->group, error)) {
        return false;
    }
    descriptor = join_space(machine, view, iommufd, host, &space);
    if (descriptor < 0) {
        descriptor = make_space(machine, view, iommufd, host, &space, error);
    }
    if (descriptor < 0) {
        return false;
    }
    vfio->device = open_in(space, host, descriptor, error);
    if (!vfio->device) {
        device_gone(space);
        return false;
    }
    vfio->group = host->group;
    add_function(space, vfio);
    return true;
}

bool vfio_space_attach(struct machine *machine, struct memory_region *view, struct vfio_pci *vfio,
                       struct vfio_device *device, struct dma_backend *backend, GError **error)
{
    struct vfio_space *space = space_new(machine, view, NULL, backend);

    if (!start_mapping(space, error)) {
        space_free(space);
        return false;
    }
    vfio->device = device;
    add_function(space, vfio);
    return true;
}

void vfio_space_close(struct vfio_pci *vfio)
{
    struct vfio_space *space = vfio->space;

    pthread_mutex_lock(&space->lock);
    g_ptr_array_remove(space->functions, vfio);
    pthread_mutex_unlock(&space->lock);
    if (!space->container) { /* its device is what maps */
        space_free(space);
        space = NULL;
    }
    g_clear_pointer(&vfio->device, vfio_device_free);
    vfio->space = NULL;
    if (space) {
        device_gone(space);
    }
}

bool vfio_space_recover(struct vfio_pci *vfio, GError **error)
{
    struct vfio_space *space = vfio->space;

    /* First: what fails from here on counts again. */
    vfio_set_cut_off(vfio, false);
    if (!__atomic_exchange_n(&space->failed, false, __ATOMIC_SEQ_CST) ||
        dma_map_reconcile(space->map, error)) {
        return true;
    }
    __atomic_store_n(&space->failed, true, __ATOMIC_SEQ_CST);
    vfio_set_cut_off(vfio, true);
    return false;
}

static void print_functions(struct vfio_space *space, GString *out)
{
    const struct dma_backend *backend = space->backend;

    pthread_mutex_lock(&space->lock);
    for (unsigned i = 0; i < space->functions->len; i++) {
        g_string_append_printf(out, "%s%s", i ? ", " : "",
                               vfio_pci_name(g_ptr_array_index(space->functions, i)));
    }
    pthread_mutex_unlock(&space->lock);
    g_string_append_printf(out, ": %s, %" G_GUINT64_FORMAT, backend->name, backend->entries);
    if (backend->entries_limit) {
        g_string_append_printf(out, " of %" G_GUINT64_FORMAT, backend->entries_limit);
    }
    g_string_append_printf(out, " entries%s\n",
                           __atomic_load_n(&space->failed, __ATOMIC_SEQ_CST) ? ", FAILED" : "");
}

bool vfio_spaces_verify(struct machine *machine, GString *out)
{
    bool equal = true;

    for (unsigned i = 0; machine->vfio_spaces && i < machine->vfio_spaces->len; i++) {
        struct vfio_space *space = g_ptr_array_index(machine->vfio_spaces, i);

        print_functions(space, out);
        equal &= dma_map_verify(space->map, out);
    }
    return equal;
}
