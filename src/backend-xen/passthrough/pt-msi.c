/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI and MSI-X of an assigned function. The guest's capability and table are duodm's; Xen programs
 * the function's own, and delivers what comes by the guest's message. A guest's writes to the mask
 * of an entry that is bound do not come here: Xen, who was told where the guest sees the table,
 * carries them out, and hands on only an unmask after a change of the message.
 */
#include "backend-xen/passthrough/passthrough.h"
#include "backend-xen/passthrough/xen-message.h"
#include "dm/pci/msi-regs.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/trace.h"

#include <string.h>

#define TABLE_PRIORITY 1

static bool is_msix(const struct xen_passthrough *pt)
{
    return pt->active && pt->active == pt->config.msix;
}

static unsigned vector_count(const struct xen_passthrough *pt)
{
    return is_msix(pt) ? pt->entries : 1;
}

/* The guest's address of the table now; 0: nowhere. */
static uint64_t find_table(const struct xen_passthrough *pt)
{
    uint64_t bar = is_msix(pt) ? pt->pci.bars[pt->table_bar].address : UINT64_MAX;

    return bar == UINT64_MAX ? 0 : bar + pt->table_offset;
}

/* The function's own control register: MSI_CONTROL and MSIX_CONTROL are the same offset. Xen
 * watches these writes, and wants them whole. */
static void write_control(struct xen_passthrough *pt, bool enable)
{
    unsigned offset = pt->active + MSI_CONTROL;
    uint32_t control = host_function_config_read(&pt->host, offset, 2);

    if (is_msix(pt)) {
        control &= ~(MSIX_ENABLE | MSIX_MASK_ALL);
        control |= assigned_msix_control(&pt->config) & MSIX_MASK_ALL;
        control |= enable ? MSIX_ENABLE : 0;
    } else {
        control = (control & ~MSI_ENABLE) | (enable ? MSI_ENABLE : 0);
    }
    host_function_config_write(&pt->host, offset, 2, control);
}

/* A vector's way from Xen to the guest. */

static void unbind_vector(struct xen_passthrough *pt, struct xen_pt_vector *vector)
{
    const struct xen_machine *xen = xen_pt_machine(pt);

    if (vector->is_bound && !xen_pt_is_over(pt) &&
        xc_domain_unbind_msi_irq(xen->control, xen->domid, vector->vector, (uint32_t)vector->pirq,
                                 vector->flags) < 0) {
        xen_warn(xen, "%s: interrupt %d can't be unbound", pt->host.name, vector->pirq);
    }
    vector->is_bound = false;
}

static void release_vector(struct xen_passthrough *pt, struct xen_pt_vector *vector)
{
    const struct xen_machine *xen = xen_pt_machine(pt);

    unbind_vector(pt, vector);
    if (vector->pirq != XEN_PT_NO_PIRQ && !xen_pt_is_over(pt) &&
        xc_physdev_unmap_pirq(xen->control, xen->domid, vector->pirq) < 0) {
        xen_warn(xen, "%s: interrupt %d can't be taken back", pt->host.name, vector->pirq);
    }
    vector->pirq = XEN_PT_NO_PIRQ;
}

/* Have Xen program the function to raise a physical interrupt: any, or the one that is asked for.
 */
static bool map_vector(struct xen_passthrough *pt, unsigned number, uint32_t wanted)
{
    const struct xen_machine *xen = xen_pt_machine(pt);
    const struct pci_host_address *address = &pt->host.address;
    struct xen_pt_vector *vector = &pt->vectors[number];
    int pirq = wanted ? (int)wanted : -1;

    if (vector->pirq != XEN_PT_NO_PIRQ && (!wanted || vector->pirq == pirq)) {
        return true;
    }
    release_vector(pt, vector);
    if (xc_physdev_map_pirq_msi(
            xen->control, xen->domid, -1, &pirq, (int)(address->slot << 3 | address->function),
            (int)(address->segment << 16 | address->bus), is_msix(pt) ? (int)number : 0,
            is_msix(pt) ? pt->host.bars[pt->table_bar].start : 0) < 0) {
        xen_warn(xen, "%s: no interrupt for vector %u", pt->host.name, number);
        return false;
    }
    vector->pirq = pirq;
    write_control(pt, true); /* Xen left it off */
    return true;
}

static void bind_vector(struct xen_passthrough *pt, unsigned number,
                        const struct xen_message *message, bool masked)
{
    const struct xen_machine *xen = xen_pt_machine(pt);
    struct xen_pt_vector *vector = &pt->vectors[number];

    if (!map_vector(pt, number, message->pirq)) {
        return;
    }
    trace_xen_pt_bind(pt->host.name, number, vector->pirq, message->vector, message->flags, masked);
    if (xc_domain_update_msi_irq(xen->control, xen->domid, message->vector, (uint32_t)vector->pirq,
                                 message->flags | (masked ? 0 : XEN_DOMCTL_VMSI_X86_UNMASKED),
                                 pt->table_address) < 0) {
        xen_warn(xen, "%s: vector %u can't be bound to the guest's %u", pt->host.name, number,
                 message->vector);
        return;
    }
    vector->is_bound = true;
    vector->vector = message->vector;
    vector->flags = message->flags;
}

/* Follow the guest's registers. A vector that it asks for as a PIRQ is bound while it is masked:
 * Xen unmasks it when the guest binds an event channel to it. */
static void update_vector(struct xen_passthrough *pt, unsigned number)
{
    struct assigned_vector wanted = is_msix(pt)
                                        ? assigned_msix_vector(pt->table + number * MSIX_ENTRY_SIZE)
                                        : assigned_msi_vector(&pt->config, 0);
    struct xen_message message;

    if (xen_message_decode(wanted.address, wanted.data, &message) &&
        (message.pirq || !wanted.masked)) {
        bind_vector(pt, number, &message, wanted.masked);
    } else {
        unbind_vector(pt, &pt->vectors[number]);
    }
}

/* The capabilities. */

static void disable(struct xen_passthrough *pt)
{
    if (!pt->active) {
        return;
    }
    write_control(pt, false);
    for (unsigned i = 0; i < vector_count(pt); i++) {
        release_vector(pt, &pt->vectors[i]);
    }
    pt->active = 0;
    pt->table_address = 0;
}

static void update_all(struct xen_passthrough *pt)
{
    pt->table_address = find_table(pt);
    for (unsigned i = 0; i < vector_count(pt); i++) {
        update_vector(pt, i);
    }
    write_control(pt, true);
}

void xen_pt_msi_update(struct xen_passthrough *pt)
{
    uint8_t wanted = assigned_msix_control(&pt->config) & MSIX_ENABLE ? pt->config.msix
                     : assigned_msi_control(&pt->config) & MSI_ENABLE ? pt->config.msi
                                                                      : 0;

    if (wanted != pt->active) {
        trace_xen_pt_messages(pt->host.name, wanted);
        disable(pt);
        pt->active = wanted;
        if (wanted) {
            update_all(pt);
        }
    } else if (is_msix(pt) && find_table(pt) != pt->table_address) {
        /* Xen learns of another place when a vector is bound anew. */
        for (unsigned i = 0; i < pt->entries; i++) {
            unbind_vector(pt, &pt->vectors[i]);
        }
        update_all(pt);
    } else if (is_msix(pt)) {
        write_control(pt, true);
    } else if (pt->active) {
        update_vector(pt, 0);
    }
}

/* The table. */

static enum memory_result table_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    const struct xen_passthrough *pt = opaque;
    uint8_t bytes[8] = {0};

    memcpy(bytes, pt->table + offset, size);
    *value = load_le64(bytes);
    return MEMORY_OK;
}

static bool asks_for_pirq(const uint8_t *entry)
{
    struct assigned_vector wanted = assigned_msix_vector(entry);
    struct xen_message message;

    return xen_message_decode(wanted.address, wanted.data, &message) && message.pirq;
}

static enum memory_result table_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct xen_passthrough *pt = opaque;
    unsigned number = (unsigned)(offset / MSIX_ENTRY_SIZE);
    unsigned last = (unsigned)(offset % MSIX_ENTRY_SIZE) + size - 1;
    uint8_t *entry = pt->table + number * MSIX_ENTRY_SIZE, bytes[8];

    store_le64(bytes, value);
    memcpy(pt->table + offset, bytes, size);
    store_le32(entry + MSIX_ENTRY_CONTROL,
               load_le32(entry + MSIX_ENTRY_CONTROL) & MSIX_ENTRY_MASKED);
    /* A message is changed while its vector is masked, which Xen knows better than this table. */
    if (is_msix(pt) &&
        (last >= MSIX_ENTRY_CONTROL || (last >= MSIX_ENTRY_DATA && asks_for_pirq(entry)))) {
        update_vector(pt, number);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops table_ops = {
    .read = table_read,
    .write = table_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 1, .max_size = 8},
};

/* Life. */

static bool msix_init(struct xen_passthrough *pt, GError **error)
{
    unsigned entries = (assigned_msix_control(&pt->config) & MSIX_SIZE_MASK) + 1;

    if (!assigned_msix_place(&pt->config, MSIX_TABLE, entries * MSIX_ENTRY_SIZE, &pt->table_bar,
                             &pt->table_offset, error)) {
        g_prefix_error(error, "xen: ");
        return false;
    }
    pt->entries = entries;
    pt->table = g_malloc(entries * MSIX_ENTRY_SIZE);
    assigned_msix_clear(pt->table, entries);
    memory_region_init_mmio(&pt->table_region, "MSI-X table", entries * MSIX_ENTRY_SIZE, &table_ops,
                            pt, &pt->pci.device.guard);
    memory_region_add_subregion_overlap(&pt->bars[pt->table_bar].region, pt->table_offset,
                                        &pt->table_region, TABLE_PRIORITY);
    return true;
}

/* Xen's call gives one vector of MSI: so the guest sees that the function has one. */
static void show_one_vector(struct xen_passthrough *pt)
{
    uint8_t *control = pt->pci.config + pt->config.msi + MSI_CONTROL;

    pci_put(control, 0, 2, pci_get(control, 0, 2) & ~MSI_CAPABLE_MASK);
}

bool xen_pt_msi_init(struct xen_passthrough *pt, GError **error)
{
    pt->active = 0;
    pt->table_address = 0;
    pt->entries = 0;
    if (pt->config.msi) {
        show_one_vector(pt);
    }
    if (pt->config.msix && !msix_init(pt, error)) {
        return false;
    }
    assigned_msi_init(&pt->config);
    if (pt->config.msi) {
        pci_put(pt->pci.write_mask, pt->config.msi + MSI_CONTROL, 2, MSI_ENABLE);
    }
    pt->vectors = g_new0(struct xen_pt_vector, MAX(pt->entries, 1));
    for (unsigned i = 0; i < MAX(pt->entries, 1); i++) {
        pt->vectors[i].pirq = XEN_PT_NO_PIRQ;
    }
    return true;
}

void xen_pt_msi_reset(struct xen_passthrough *pt)
{
    disable(pt);
    assigned_msix_clear(pt->table, pt->entries);
}

void xen_pt_msi_destroy(struct xen_passthrough *pt)
{
    disable(pt);
    if (pt->entries) {
        memory_region_destroy(&pt->table_region);
    }
    g_clear_pointer(&pt->vectors, g_free);
    g_clear_pointer(&pt->table, g_free);
}
