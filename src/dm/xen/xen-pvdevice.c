/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI function that does nothing: its IDs are what a guest's update service finds paravirtual
 * drivers by (Xen's docs/man/xen-pci-device-reservations). Room in memory as the platform device.
 */
#include "dm/pci/pci-regs.h"
#include "dm/pci/pci.h"
#include "util/error.h"

#define XEN_VENDOR 0x5853

struct xen_pvdevice {
    struct pci_device pci;
    uint16_t vendor, product; /* properties */
    uint8_t revision;
    uint64_t size;
    struct memory_region memory;
};

static enum memory_result read_ones(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    *value = UINT64_MAX;
    return MEMORY_OK;
}

static enum memory_result drop_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops memory_ops = {
    .read = read_ones,
    .write = drop_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

static bool xen_pvdevice_realize(struct device *device, GError **error)
{
    struct xen_pvdevice *pv = (struct xen_pvdevice *)device;

    if (!pv->product) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "device-id must be given, for example device-id=0xc000");
    }
    if (pv->size < 16 || (pv->size & (pv->size - 1)) || pv->size > 1ull << 31) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "size must be a power of two from 16 bytes to 2G");
    }
    pci_put(pv->pci.config, PCI_VENDOR_ID, 2, pv->vendor);
    pci_put(pv->pci.config, PCI_DEVICE_ID, 2, pv->product);
    pci_put(pv->pci.config, PCI_SUBSYSTEM_VENDOR_ID, 2, pv->vendor);
    pci_put(pv->pci.config, PCI_SUBSYSTEM_ID, 2, pv->product);
    pci_put(pv->pci.config, PCI_REVISION_ID, 1, pv->revision);
    memory_region_init_mmio(&pv->memory, "xen-pvdevice", pv->size, &memory_ops, pv, NULL);
    pci_register_bar(&pv->pci, 1, &pv->memory, false, false, true);
    return true;
}

static void xen_pvdevice_unrealize(struct device *device)
{
    memory_region_destroy(&((struct xen_pvdevice *)device)->memory);
}

static const struct property xen_pvdevice_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"vendor-id", PROPERTY_UINT16, offsetof(struct xen_pvdevice, vendor), "0x5853", 0, 0,
     "PCI vendor ID"},
    {"device-id", PROPERTY_UINT16, offsetof(struct xen_pvdevice, product), NULL, 0, 0,
     "PCI device ID"},
    {"revision", PROPERTY_UINT8, offsetof(struct xen_pvdevice, revision), "1", 0, 0,
     "PCI revision ID"},
    {"size", PROPERTY_SIZE, offsetof(struct xen_pvdevice, size), "4M", 0, 0, "bytes of its memory"},
    PROPERTY_END,
};

static const struct state_field xen_pvdevice_fields[] = {STATE_END};

static const struct state_description xen_pvdevice_state = {
    .name = "xen-pvdevice",
    .version = 1,
    .fields = xen_pvdevice_fields,
};

static const struct pci_class xen_pvdevice_pci_class = {
    .vendor_id = XEN_VENDOR,
    .class_code = 0xff8000,
    .revision = 1,
};

const struct device_class xen_pvdevice_class = {
    .name = "xen-pvdevice",
    .description = "PCI IDs by which guests find Xen's paravirtual drivers",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct xen_pvdevice),
    .user_creatable = true,
    .properties = xen_pvdevice_properties,
    .state = &xen_pvdevice_state,
    .realize = xen_pvdevice_realize,
    .unrealize = xen_pvdevice_unrealize,
    .bus_class = &xen_pvdevice_pci_class,
};
