/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BARs of a passed-through function. What the host lets us map the guest reaches without an exit;
 * the rest is read and written access by access. The device decodes its BARs all the time, at
 * addresses of the host's: where, and whether, the guest sees them is only a matter of its memory
 * map. So nothing that a guest does has the host withdraw a mapping under a vCPU; where the host
 * does it by itself, util/file-guard.h answers.
 */
#include "dm/machine.h"
#include "dm/pci/pci-regs.h"
#include "dm/vfio/vfio-pci.h"
#include "util/error.h"

#include <inttypes.h>

#define MAPPING_PRIORITY 1
#define IO_BAR_MAX       256u

static enum memory_result bar_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    struct vfio_bar *bar = opaque;

    *value = vfio_device_read(bar->vfio->device, bar->number, offset, size);
    vfio_intx_accessed(bar->vfio);
    return MEMORY_OK;
}

static enum memory_result bar_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct vfio_bar *bar = opaque;

    vfio_device_write(bar->vfio->device, bar->number, offset, size, (uint32_t)value);
    vfio_intx_accessed(bar->vfio);
    return MEMORY_OK;
}

/* The device knows best what accesses it takes. */
static const struct memory_region_ops bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static bool add_mapping(struct vfio_bar *bar, struct range area, GError **error)
{
    struct vfio_device *device = bar->vfio->device;
    struct vfio_mapping *mapping = &bar->mappings[bar->mapping_count];
    uint64_t shown = MIN(area.length, bar->region.size - area.start);
    g_autofree char *name = NULL;

    mapping->host = device->ops->map(device, bar->number, area, error);
    if (!mapping->host) {
        return false;
    }
    mapping->length = area.length;
    name = g_strdup_printf("vfio %s BAR %u mapped", device->name, bar->number);
    memory_region_init_ram_device(&mapping->region, name, shown, mapping->host);
    memory_region_add_subregion_overlap(&bar->region, area.start, &mapping->region,
                                        MAPPING_PRIORITY);
    bar->mapping_count++;
    return true;
}

static bool init_memory(struct vfio_bar *bar, const char *name, uint64_t size, GError **error)
{
    const struct vfio_pci *vfio = bar->vfio;
    GArray *areas = vfio->device->regions[bar->number].areas;
    /* Where the guest is somebody else's it can't be given memory of ours: all accesses come here.
     */
    bool maps = !vfio->no_mmap && !vfio->pci.device.machine->engine->attaches;

    memory_region_init_container(&bar->region, name, size);
    memory_region_init_mmio(&bar->accesses, name, size, &bar_ops, bar, NULL);
    memory_region_add_subregion(&bar->region, 0, &bar->accesses);
    bar->mappings = g_new0(struct vfio_mapping, areas->len);
    for (unsigned i = 0; maps && i < areas->len; i++) {
        if (!add_mapping(bar, g_array_index(areas, struct range, i), error)) {
            return false;
        }
    }
    return true;
}

static bool init_bar(struct vfio_pci *vfio, unsigned number, GError **error)
{
    struct vfio_bar *bar = &vfio->bars[number];
    uint64_t size = vfio->device->regions[number].size;
    uint32_t flags =
        vfio_device_read(vfio->device, VFIO_REGION_CONFIG, PCI_BASE_ADDRESS_0 + 4 * number, 4);
    bool is_io = flags & PCI_BAR_IO, is_64 = !is_io && (flags & PCI_BAR_64);
    g_autofree char *name = g_strdup_printf("vfio %s BAR %u", vfio->device->name, number);

    if (!size) {
        return true;
    }
    if ((size & (size - 1)) || size < (is_io ? 4 : 16) || (is_io && size > IO_BAR_MAX) ||
        (is_64 ? number + 1 == PCI_BAR_COUNT || size > UINT64_C(1) << 48
               : size > UINT64_C(1) << 31)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "vfio %s: BAR %u of 0x%" PRIx64 " bytes is none that PCI allows",
                          vfio->device->name, number, size);
    }
    bar->vfio = vfio;
    bar->number = number;
    if (is_io) {
        memory_region_init_mmio(&bar->region, name, size, &bar_ops, bar, NULL);
    } else if (!init_memory(bar, name, size, error)) {
        return false;
    }
    pci_register_bar(&vfio->pci, number, &bar->region, is_io, is_64, flags & PCI_BAR_PREFETCHABLE);
    return true;
}

bool vfio_bars_init(struct vfio_pci *vfio, GError **error)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        /* The upper half of a 64-bit BAR has no region of its own. */
        if (i > 0 && vfio->pci.bars[i - 1].is_64) {
            continue;
        }
        if (!init_bar(vfio, i, error)) {
            vfio_bars_destroy(vfio);
            return false;
        }
    }
    return true;
}

void vfio_bars_destroy(struct vfio_pci *vfio)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        struct vfio_bar *bar = &vfio->bars[i];

        for (unsigned n = 0; n < bar->mapping_count; n++) {
            memory_region_destroy(&bar->mappings[n].region);
            vfio->device->ops->unmap(vfio->device, bar->mappings[n].host, bar->mappings[n].length);
        }
        g_free(bar->mappings);
        memory_region_destroy(&bar->accesses);
        memory_region_destroy(&bar->region);
        *bar = (struct vfio_bar){0};
    }
}

void vfio_bars_unmap(struct vfio_pci *vfio)
{
    memory_topology_begin();
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        for (unsigned n = 0; n < vfio->bars[i].mapping_count; n++) {
            memory_region_set_enabled(&vfio->bars[i].mappings[n].region, false);
        }
    }
    memory_topology_commit();
}
