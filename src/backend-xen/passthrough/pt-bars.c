/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BARs of an assigned function. Xen maps their whole pages, and their ports, into the guest where
 * the guest put them: a listener hears where that is. What it does not map (the MSI-X table's page,
 * what is smaller than a page) is reached access by access through the host's sysfs; and so is
 * everything while Xen refuses: the toolstack gives the domain its rights on the host's addresses
 * after it made the device, and a guest may be faster.
 */
#include "backend-xen/passthrough/passthrough.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>

#define IO_BAR_MAX 256u

/* Mapping. The following with the topology lock held. */

static bool call_mapping(const struct xen_passthrough *pt, const struct xen_pt_piece *piece,
                         bool add)
{
    const struct xen_machine *xen = xen_pt_machine(pt);
    uint32_t action = add ? DPCI_ADD_MAPPING : DPCI_REMOVE_MAPPING;

    return (piece->is_io
                ? xc_domain_ioport_mapping(xen->control, xen->domid, (uint32_t)piece->guest,
                                           (uint32_t)piece->host, (uint32_t)piece->length, action)
                : xc_domain_memory_mapping(xen->control, xen->domid, piece->guest >> XEN_PAGE_SHIFT,
                                           piece->host >> XEN_PAGE_SHIFT,
                                           piece->length >> XEN_PAGE_SHIFT, action)) == 0;
}

/* Xen unmaps only what the domain has a right to, which libxl (4.18) takes back before it lets us
 * know that the function is gone. So it is lent for a moment. */
static bool unmap_without_right(const struct xen_passthrough *pt, const struct xen_pt_piece *piece)
{
    const struct xen_machine *xen = xen_pt_machine(pt);
    uint64_t first = piece->host >> XEN_PAGE_SHIFT, count = piece->length >> XEN_PAGE_SHIFT;
    bool unmapped;

    if (piece->is_io || errno != EPERM ||
        xc_domain_iomem_permission(xen->control, xen->domid, first, count, 1) < 0) {
        return false;
    }
    unmapped = call_mapping(pt, piece, false);
    xc_domain_iomem_permission(xen->control, xen->domid, first, count, 0);
    return unmapped;
}

static void unmap_piece(const struct xen_passthrough *pt, const struct xen_pt_piece *piece)
{
    if (piece->is_mapped && !xen_pt_is_over(pt) && !call_mapping(pt, piece, false) &&
        !unmap_without_right(pt, piece)) {
        xen_warn(xen_pt_machine(pt), "%s: can't be taken from 0x%" PRIx64, pt->host.name,
                 piece->guest);
    }
}

static void map_piece(struct xen_passthrough *pt, struct xen_pt_piece *piece)
{
    piece->is_mapped = call_mapping(pt, piece, true);
    if (!piece->is_mapped && !pt->said) {
        pt->said = true;
        xen_warn(xen_pt_machine(pt),
                 "%s: the host's %s 0x%" PRIx64 " can't be mapped at 0x%" PRIx64
                 " yet: accesses go through the device model",
                 pt->host.name, piece->is_io ? "ports" : "memory", piece->host, piece->guest);
    }
}

static void count_unmapped(struct xen_passthrough *pt)
{
    unsigned count = 0;

    for (unsigned i = 0; i < pt->pieces->len; i++) {
        count += !g_array_index(pt->pieces, struct xen_pt_piece, i).is_mapped;
    }
    __atomic_store_n(&pt->unmapped, count, __ATOMIC_RELAXED);
}

static void add_piece(struct xen_passthrough *pt, struct xen_pt_piece piece)
{
    map_piece(pt, &piece);
    g_array_append_val(pt->pieces, piece);
    count_unmapped(pt);
}

static void remove_piece(struct xen_passthrough *pt, uint64_t guest, bool is_io)
{
    for (unsigned i = 0; i < pt->pieces->len; i++) {
        const struct xen_pt_piece *piece = &g_array_index(pt->pieces, struct xen_pt_piece, i);

        if (piece->guest == guest && piece->is_io == is_io) {
            unmap_piece(pt, piece);
            g_array_remove_index_fast(pt->pieces, i);
            count_unmapped(pt);
            return;
        }
    }
}

/* The main loop, asked by an access that came to us. */
static void map_again(void *opaque)
{
    struct xen_passthrough *pt = opaque;

    memory_topology_begin();
    for (unsigned i = 0; i < pt->pieces->len; i++) {
        struct xen_pt_piece *piece = &g_array_index(pt->pieces, struct xen_pt_piece, i);

        if (!piece->is_mapped) {
            map_piece(pt, piece);
        }
    }
    count_unmapped(pt);
    memory_topology_commit();
}

/* Where things are in the guest. */

static const struct host_bar *bar_of(const struct xen_passthrough *pt,
                                     const struct listener_section *section)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const struct xen_pt_bar *bar = &pt->bars[i];

        if (bar->pt &&
            section->region == (pt->host.bars[i].is_io ? &bar->region : &bar->accesses)) {
            return &pt->host.bars[i];
        }
    }
    return NULL;
}

/* The whole pages of a section of memory; false: there are none. */
static bool whole_pages(const struct listener_section *section, const struct host_bar *bar,
                        struct xen_pt_piece *piece)
{
    uint64_t first = (section->start + XEN_PAGE_SIZE - 1) & ~(XEN_PAGE_SIZE - 1);
    uint64_t end = (section->start + section->length) & ~(XEN_PAGE_SIZE - 1);
    uint64_t host = bar->start + section->region_offset + (first - section->start);

    *piece = (struct xen_pt_piece){.guest = first, .host = host, .length = end - first};
    return first < end && host % XEN_PAGE_SIZE == 0;
}

#define MEMORY_LISTENER_OF(listener_)                                                              \
    ((struct xen_passthrough *)((uint8_t *)(listener_)-offsetof(struct xen_passthrough,            \
                                                                memory_listener)))
#define IO_LISTENER_OF(listener_)                                                                  \
    ((struct xen_passthrough *)((uint8_t *)(listener_)-offsetof(struct xen_passthrough,            \
                                                                io_listener)))

static bool memory_section_add(struct memory_listener *listener,
                               const struct listener_section *section, GError **error)
{
    struct xen_passthrough *pt = MEMORY_LISTENER_OF(listener);
    const struct host_bar *bar = bar_of(pt, section);
    struct xen_pt_piece piece;

    if (bar && whole_pages(section, bar, &piece)) {
        add_piece(pt, piece);
    }
    return true;
}

static void memory_section_remove(struct memory_listener *listener,
                                  const struct listener_section *section)
{
    struct xen_passthrough *pt = MEMORY_LISTENER_OF(listener);
    const struct host_bar *bar = bar_of(pt, section);
    struct xen_pt_piece piece;

    if (bar && whole_pages(section, bar, &piece)) {
        remove_piece(pt, piece.guest, false);
    }
}

static bool io_section_add(struct memory_listener *listener, const struct listener_section *section,
                           GError **error)
{
    struct xen_passthrough *pt = IO_LISTENER_OF(listener);
    const struct host_bar *bar = bar_of(pt, section);

    if (bar) {
        add_piece(pt, (struct xen_pt_piece){
                          .guest = section->start,
                          .host = bar->start + section->region_offset,
                          .length = section->length,
                          .is_io = true,
                      });
    }
    return true;
}

static void io_section_remove(struct memory_listener *listener,
                              const struct listener_section *section)
{
    struct xen_passthrough *pt = IO_LISTENER_OF(listener);

    if (bar_of(pt, section)) {
        remove_piece(pt, section->start, true);
    }
}

/* Accesses that come to us. */

static void note_access(struct xen_passthrough *pt)
{
    if (__atomic_load_n(&pt->unmapped, __ATOMIC_RELAXED)) {
        machine_post(pt->pci.device.machine, &pt->map_task);
    }
}

static enum memory_result bar_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    struct xen_pt_bar *bar = opaque;

    note_access(bar->pt);
    *value = host_function_bar_read(&bar->pt->host, bar->number, offset, size);
    return MEMORY_OK;
}

static enum memory_result bar_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct xen_pt_bar *bar = opaque;

    note_access(bar->pt);
    host_function_bar_write(&bar->pt->host, bar->number, offset, size, (uint32_t)value);
    return MEMORY_OK;
}

static const struct memory_region_ops bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* Life. */

static bool check_bar(const struct xen_passthrough *pt, unsigned number, GError **error)
{
    const struct host_bar *bar = &pt->host.bars[number];
    uint64_t size = bar->size;

    if ((size & (size - 1)) || size < (bar->is_io ? 4 : 16) || (bar->is_io && size > IO_BAR_MAX) ||
        (bar->is_64 ? number + 1 == PCI_BAR_COUNT || size > UINT64_C(1) << 48
                    : size > UINT64_C(1) << 31)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "xen: %s: BAR %u of 0x%" PRIx64 " bytes is none that PCI allows",
                          pt->host.name, number, size);
    }
    return true;
}

static void init_bar(struct xen_passthrough *pt, unsigned number)
{
    const struct host_bar *host = &pt->host.bars[number];
    struct xen_pt_bar *bar = &pt->bars[number];
    struct access_guard *guard = &pt->pci.device.guard;
    g_autofree char *name = g_strdup_printf("host %s BAR %u", pt->host.name, number);

    bar->pt = pt;
    bar->number = number;
    if (host->is_io) {
        memory_region_init_mmio(&bar->region, name, host->size, &bar_ops, bar, guard);
    } else {
        memory_region_init_container(&bar->region, name, host->size);
        memory_region_init_mmio(&bar->accesses, name, host->size, &bar_ops, bar, guard);
        memory_region_add_subregion(&bar->region, 0, &bar->accesses);
    }
    pci_register_bar(&pt->pci, number, &bar->region, host->is_io, host->is_64, host->prefetchable);
}

static bool listen(struct xen_passthrough *pt, GError **error)
{
    struct machine *machine = pt->pci.device.machine;

    pt->memory_listener = (struct memory_listener){
        .name = "xen-passthrough",
        .section_add = memory_section_add,
        .section_remove = memory_section_remove,
    };
    pt->io_listener = (struct memory_listener){
        .name = "xen-passthrough-io",
        .section_add = io_section_add,
        .section_remove = io_section_remove,
    };
    if (!memory_listener_register(&pt->memory_listener, &machine->as_memory, error)) {
        return false;
    }
    if (!memory_listener_register(&pt->io_listener, &machine->as_io, error)) {
        memory_listener_unregister(&pt->memory_listener);
        return false;
    }
    return true;
}

bool xen_pt_bars_init(struct xen_passthrough *pt, GError **error)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (pt->host.bars[i].size && !check_bar(pt, i, error)) {
            return false;
        }
    }
    pt->pieces = g_array_new(FALSE, FALSE, sizeof(struct xen_pt_piece));
    pt->unmapped = 0;
    pt->said = false;
    pt->map_task = (struct io_task){.run = map_again, .opaque = pt};
    if (!listen(pt, error)) {
        g_clear_pointer(&pt->pieces, g_array_unref);
        return false;
    }
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (pt->host.bars[i].size) {
            init_bar(pt, i);
        }
    }
    return true;
}

void xen_pt_bars_destroy(struct xen_passthrough *pt)
{
    memory_listener_unregister(&pt->io_listener);
    memory_listener_unregister(&pt->memory_listener);
    machine_cancel(pt->pci.device.machine, &pt->map_task);
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        struct xen_pt_bar *bar = &pt->bars[i];

        if (bar->pt && !pt->host.bars[i].is_io) {
            memory_region_destroy(&bar->accesses);
        }
        if (bar->pt) {
            memory_region_destroy(&bar->region);
        }
        *bar = (struct xen_pt_bar){0};
    }
    g_clear_pointer(&pt->pieces, g_array_unref);
}
