/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI and MSI-X of a passed-through function. The guest's capability and table are duodm's own; the
 * host has the device send its interrupts to the host, which signals a descriptor per vector. The
 * guest's message goes out from there: by the engine's irqfd without a thread of duodm between, or
 * by the I/O thread. A vector that the guest masks is pending here: its signals go to the I/O
 * thread meanwhile.
 */
#include "dm/machine.h"
#include "dm/pci/pci-iommu.h"
#include "dm/pci/msi-regs.h"
#include "dm/vfio/vfio-pci.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/log.h"
#include "util/trace.h"

#include <string.h>
#include <unistd.h>

#define TABLE_PRIORITY 2 /* above what of the BAR is mapped */

/* The following with the vector lock held. */

/* What the guest's registers say of a vector. */
static struct assigned_vector read_vector(const struct vfio_pci *vfio, unsigned number)
{
    struct assigned_vector vector;

    if (vfio->vectors_kind != VFIO_IRQ_MSIX) {
        return assigned_msi_vector(&vfio->config, number);
    }
    vector = assigned_msix_vector(vfio->table + number * MSIX_ENTRY_SIZE);
    vector.masked = vfio->function_mask ||
                    pci_message_is_masked(&vfio->pci, vector.masked, vector.address, vector.data);
    return vector;
}

static void watch(struct vfio_pci *vfio, unsigned number)
{
    struct vfio_vector *vector = &vfio->vectors[number];
    g_autoptr(GError) error = NULL;

    if (!vector->is_watched) {
        vector->is_watched =
            vfio_event_watch(vfio, vector->descriptor, VFIO_EVENT_VECTOR, number, &error);
    }
    if (error) {
        log_warning("vfio %s: vector %u: %s", vfio->device->name, number, error->message);
    }
}

static void ignore(struct vfio_pci *vfio, unsigned number)
{
    struct vfio_vector *vector = &vfio->vectors[number];

    if (vector->is_watched) {
        vfio_event_ignore(vfio, vector->descriptor);
        vector->is_watched = false;
    }
}

static const struct irqfd_ops *irqfd_ops(const struct vfio_pci *vfio)
{
    return vfio->no_irqfd ? NULL : vfio->pci.device.machine->engine->irqfd;
}

/* Is there nothing for duodm to do when a vector fires? The message as the processor gets it. */
static bool is_direct(struct vfio_pci *vfio, const struct vfio_vector *vector,
                      struct msi_message *message)
{
    *message = (struct msi_message){vector->address, vector->data};
    return irqfd_ops(vfio) && !vector->masked &&
           pci_device_remap_message(&vfio->pci, &message->address, &message->data) &&
           (message->address & ~(MSI_WINDOW_SIZE - 1)) == MSI_WINDOW;
}

/* Let signals go straight to the guest while nothing has to be looked at, else to the I/O thread.
 * A signal that comes in between stays in the descriptor. */
static void route_vector(struct vfio_pci *vfio, unsigned number)
{
    struct vfio_vector *vector = &vfio->vectors[number];
    const struct irqfd_ops *ops = irqfd_ops(vfio);
    struct msi_message message;
    bool direct = is_direct(vfio, vector, &message);

    if (vector->irqfd && (!direct || !ops->set_message(vector->irqfd, &message, NULL))) {
        ops->detach(vector->irqfd);
        vector->irqfd = NULL;
    }
    if (direct && !vector->irqfd) {
        ignore(vfio, number);
        vector->irqfd =
            ops->attach_msi(vfio->pci.device.machine, vector->descriptor, &message, NULL);
    }
    if (!vector->irqfd) {
        watch(vfio, number);
    }
}

/* Give the host a descriptor for a vector that the guest begins to use. */
static bool open_vector(struct vfio_pci *vfio, unsigned number, GError **error)
{
    struct vfio_vector *vector = &vfio->vectors[number];

    vector->descriptor = vfio_event_new(error);
    return vector->descriptor >= 0;
}

static void close_vector(struct vfio_pci *vfio, unsigned number)
{
    struct vfio_vector *vector = &vfio->vectors[number];

    if (vector->irqfd) {
        irqfd_ops(vfio)->detach(vector->irqfd);
    }
    ignore(vfio, number);
    if (vector->descriptor >= 0) {
        close(vector->descriptor);
    }
    *vector = (struct vfio_vector){.descriptor = -1};
}

/* Follow the guest's registers. */
static void update_vector(struct vfio_pci *vfio, unsigned number)
{
    struct vfio_vector *vector = &vfio->vectors[number];
    struct assigned_vector wanted = read_vector(vfio, number);
    g_autoptr(GError) error = NULL;
    bool is_new = vector->descriptor < 0 && !wanted.masked;

    vector->address = wanted.address;
    vector->data = wanted.data;
    vector->masked = wanted.masked;
    if (is_new && !open_vector(vfio, number, &error)) {
        log_warning("vfio %s: vector %u: %s", vfio->device->name, number, error->message);
    }
    if (vector->descriptor < 0) {
        return;
    }
    route_vector(vfio, number);
    if (is_new && vfio->device->ops->set_triggers(vfio->device, vfio->vectors_kind, number,
                                                  &vector->descriptor, 1, &error) != 0) {
        log_warning("vfio %s: vector %u: %s", vfio->device->name, number,
                    error ? error->message : "the host has none left");
    }
}

/* Switch MSI or MSI-X on, with as many vectors as can be had. Those that are masked get no
 * descriptor yet. */
static bool enable(struct vfio_pci *vfio, enum vfio_irq kind, unsigned count, GError **error)
{
    g_autofree int *descriptors = g_new(int, count);
    int result;

    if (!count) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "vfio %s: the host has no vectors of the kind that the guest wants",
                          vfio->device->name);
    }
    for (unsigned i = 0; i < count; i++) {
        descriptors[i] = -1;
    }
    result = vfio->device->ops->set_triggers(vfio->device, kind, 0, descriptors, count, error);
    if (result > 0) {
        count = (unsigned)result;
        result = vfio->device->ops->set_triggers(vfio->device, kind, 0, descriptors, count, error);
        if (result > 0) {
            duodm_fail(error, DUODM_ERROR_NO_MEMORY, "vfio %s: the host has no vectors left",
                       vfio->device->name);
        }
    }
    if (result != 0) {
        return false;
    }
    vfio->vectors_kind = kind;
    vfio->vector_count = count;
    return true;
}

static void disable_vectors(struct vfio_pci *vfio)
{
    if (vfio->vectors_kind == VFIO_IRQ_INTX) {
        return;
    }
    vfio->device->ops->set_triggers(vfio->device, vfio->vectors_kind, 0, NULL, 0, NULL);
    for (unsigned i = 0; i < vfio->vector_count; i++) {
        close_vector(vfio, i);
    }
    vfio->vectors_kind = VFIO_IRQ_INTX;
    vfio->vector_count = 0;
}

static enum vfio_irq wanted_kind(const struct vfio_pci *vfio)
{
    return assigned_msix_control(&vfio->config) & MSIX_ENABLE ? VFIO_IRQ_MSIX
           : assigned_msi_control(&vfio->config) & MSI_ENABLE ? VFIO_IRQ_MSI
                                                              : VFIO_IRQ_INTX;
}

static unsigned wanted_count(const struct vfio_pci *vfio, enum vfio_irq kind)
{
    unsigned allowed =
        1u << ((assigned_msi_control(&vfio->config) & MSI_ALLOWED_MASK) >> MSI_ALLOWED);
    unsigned registers =
        kind == VFIO_IRQ_MSIX ? vfio->table_entries : MIN(allowed, PCI_MSI_VECTORS_MAX);

    return MIN(registers, vfio->device->vectors[kind]);
}

static void change_kind(struct vfio_pci *vfio, enum vfio_irq kind)
{
    g_autoptr(GError) error = NULL;

    disable_vectors(vfio);
    if (kind == VFIO_IRQ_INTX) {
        vfio_intx_enable(vfio, &error);
    } else {
        vfio_intx_disable(vfio);
        enable(vfio, kind, wanted_count(vfio, kind), &error);
    }
    if (error) {
        log_warning("%s", error->message);
    }
}

/* The following without it. */

/* Send what was pending and is masked no more. */
static void send_pending(struct vfio_pci *vfio, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        struct vfio_vector vector = {0};

        pthread_mutex_lock(&vfio->vector_lock);
        if (i < vfio->vector_count && vfio->vectors[i].pending && !vfio->vectors[i].masked) {
            vector = vfio->vectors[i];
            vfio->vectors[i].pending = false;
        }
        pthread_mutex_unlock(&vfio->vector_lock);
        if (vector.pending) {
            pci_send_message(&vfio->pci, vector.address, vector.data);
        }
    }
}

void vfio_msi_update(struct vfio_pci *vfio)
{
    enum vfio_irq kind = wanted_kind(vfio);
    unsigned count;

    pthread_mutex_lock(&vfio->vector_lock);
    vfio->function_mask = assigned_msix_control(&vfio->config) & MSIX_MASK_ALL;
    if (kind != vfio->vectors_kind) {
        change_kind(vfio, kind);
    }
    count = vfio->vector_count;
    for (unsigned i = 0; i < count; i++) {
        update_vector(vfio, i);
    }
    pthread_mutex_unlock(&vfio->vector_lock);
    send_pending(vfio, 0, count);
}

/* In the I/O thread. */
void vfio_vector_signalled(struct vfio_pci *vfio, unsigned number)
{
    struct vfio_vector vector = {.masked = true};

    pthread_mutex_lock(&vfio->vector_lock);
    trace_vfio_interrupt(vfio->device->name, vfio->vectors_kind, number);
    if (number < vfio->vector_count) {
        vector = vfio->vectors[number];
        vfio->vectors[number].pending |= vector.masked;
    }
    pthread_mutex_unlock(&vfio->vector_lock);
    if (!vector.masked) {
        pci_send_message(&vfio->pci, vector.address, vector.data);
    }
}

/* The guest's IOMMU may send messages elsewhere now, or the pin leads elsewhere. In a vCPU's
 * thread. */
static void on_messages_changed(void *opaque)
{
    struct vfio_pci *vfio = opaque;

    vfio_intx_update(vfio);
    pthread_mutex_lock(&vfio->vector_lock);
    for (unsigned i = 0; i < vfio->vector_count; i++) {
        if (vfio->vectors[i].descriptor >= 0) {
            route_vector(vfio, i);
        }
    }
    pthread_mutex_unlock(&vfio->vector_lock);
}

/* The table and the pending bits, in a BAR. */

static enum memory_result table_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    struct vfio_pci *vfio = opaque;
    uint8_t bytes[8] = {0};

    pthread_mutex_lock(&vfio->vector_lock);
    memcpy(bytes, vfio->table + offset, size);
    pthread_mutex_unlock(&vfio->vector_lock);
    *value = load_le64(bytes);
    return MEMORY_OK;
}

static enum memory_result table_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct vfio_pci *vfio = opaque;
    unsigned number = (unsigned)(offset / MSIX_ENTRY_SIZE);
    uint8_t *entry = vfio->table + number * MSIX_ENTRY_SIZE, bytes[8];

    store_le64(bytes, value);
    pthread_mutex_lock(&vfio->vector_lock);
    memcpy(vfio->table + offset, bytes, size);
    store_le32(entry + MSIX_ENTRY_CONTROL,
               load_le32(entry + MSIX_ENTRY_CONTROL) & MSIX_ENTRY_MASKED);
    if (vfio->vectors_kind == VFIO_IRQ_MSIX && number < vfio->vector_count) {
        update_vector(vfio, number);
    }
    pthread_mutex_unlock(&vfio->vector_lock);
    send_pending(vfio, number, number + 1);
    return MEMORY_OK;
}

static enum memory_result pending_read(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t *value)
{
    struct vfio_pci *vfio = opaque;

    *value = 0;
    pthread_mutex_lock(&vfio->vector_lock);
    for (unsigned i = 0; i < 8 * size && 8 * offset + i < vfio->vector_count; i++) {
        *value |= (uint64_t)vfio->vectors[8 * offset + i].pending << i;
    }
    pthread_mutex_unlock(&vfio->vector_lock);
    return MEMORY_OK;
}

static enum memory_result pending_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops table_ops = {
    .read = table_read,
    .write = table_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 1, .max_size = 8},
};

static const struct memory_region_ops pending_ops = {
    .read = pending_read,
    .write = pending_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 1, .max_size = 8},
};

/* Life. */

/* Lay a region over the part of a BAR that a register of the capability names. */
static bool overlay(struct vfio_pci *vfio, unsigned register_offset, struct memory_region *region,
                    const char *name, uint64_t size, const struct memory_region_ops *ops,
                    GError **error)
{
    unsigned bar;
    uint32_t offset;

    if (!assigned_msix_place(&vfio->config, register_offset, size, &bar, &offset, error)) {
        g_prefix_error(error, "vfio ");
        return false;
    }
    memory_region_init_mmio(region, name, size, ops, vfio, NULL);
    memory_region_add_subregion_overlap(&vfio->bars[bar].region, offset, region, TABLE_PRIORITY);
    return true;
}

static bool msix_init(struct vfio_pci *vfio, GError **error)
{
    unsigned entries = (assigned_msix_control(&vfio->config) & MSIX_SIZE_MASK) + 1;

    vfio->table_entries = entries;
    vfio->table = g_malloc0(entries * MSIX_ENTRY_SIZE);
    assigned_msix_clear(vfio->table, entries);
    return overlay(vfio, MSIX_TABLE, &vfio->table_region, "MSI-X table", entries * MSIX_ENTRY_SIZE,
                   &table_ops, error) &&
           overlay(vfio, MSIX_PENDING, &vfio->pending_region, "MSI-X pending bits",
                   (entries + 63) / 64 * 8, &pending_ops, error);
}

bool vfio_msi_init(struct vfio_pci *vfio, GError **error)
{
    vfio->vectors_kind = VFIO_IRQ_INTX;
    pthread_mutex_init(&vfio->vector_lock, NULL);
    assigned_msi_init(&vfio->config);
    if (vfio->config.msix && !msix_init(vfio, error)) {
        vfio_msi_destroy(vfio);
        return false;
    }
    vfio->vector_room = MAX(PCI_MSI_VECTORS_MAX, vfio->table_entries);
    vfio->vectors = g_new0(struct vfio_vector, vfio->vector_room);
    for (unsigned i = 0; i < vfio->vector_room; i++) {
        vfio->vectors[i].descriptor = -1;
    }
    pci_bus_add_message_listener(vfio->pci.pci_bus, on_messages_changed, vfio);
    return true;
}

void vfio_msi_disable(struct vfio_pci *vfio)
{
    pthread_mutex_lock(&vfio->vector_lock);
    disable_vectors(vfio);
    pthread_mutex_unlock(&vfio->vector_lock);
}

void vfio_msi_reset(struct vfio_pci *vfio)
{
    pthread_mutex_lock(&vfio->vector_lock);
    disable_vectors(vfio);
    assigned_msix_clear(vfio->table, vfio->table_entries);
    pthread_mutex_unlock(&vfio->vector_lock);
}

void vfio_msi_destroy(struct vfio_pci *vfio)
{
    pci_bus_remove_message_listener(vfio->pci.pci_bus, on_messages_changed, vfio);
    memory_region_destroy(&vfio->pending_region);
    memory_region_destroy(&vfio->table_region);
    g_clear_pointer(&vfio->vectors, g_free);
    g_clear_pointer(&vfio->table, g_free);
    pthread_mutex_destroy(&vfio->vector_lock);
}
