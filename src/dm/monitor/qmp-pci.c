/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/machine.h"
#include "dm/monitor/pci-look.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/pci/pci-bridge.h"

#define PCI_VENDOR_ID           0x00
#define PCI_DEVICE_ID           0x02
#define PCI_CLASS               0x0a
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID        0x2e
#define PCI_INTERRUPT_LINE      0x3c
#define PCI_INTERRUPT_PIN       0x3d

static gint by_address(gconstpointer a, gconstpointer b)
{
    const struct pci_device *const *x = a, *const *y = b;

    return (*x)->devfn - (*y)->devfn;
}

GPtrArray *pci_functions(const struct bus *bus)
{
    GPtrArray *list = g_ptr_array_new();

    for (unsigned i = 0; bus && i < bus->children->len; i++) {
        g_ptr_array_add(list, g_ptr_array_index(bus->children, i)); /* begins with its device */
    }
    g_ptr_array_sort(list, by_address);
    return list;
}

uint16_t pci_look_16(const struct pci_device *device, unsigned offset)
{
    return (uint16_t)(device->config[offset] | device->config[offset + 1] << 8);
}

/* PCI Code and ID Assignment Specification. */
const char *pci_class_name(uint16_t class_code)
{
    static const struct {
        uint16_t code;
        const char *name;
    } names[] = {
        {0x0100, "SCSI controller"}, {0x0101, "IDE controller"},      {0x0106, "SATA controller"},
        {0x0200, "Ethernet"},        {0x0300, "VGA controller"},      {0x0600, "host bridge"},
        {0x0601, "ISA bridge"},      {0x0604, "PCI bridge"},          {0x0680, "bridge"},
        {0x0780, "communication"},   {0x0c03, "USB controller"},      {0x0c05, "SMBus"},
        {0x0880, "system device"},   {0x00ff, "unclassified device"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].code == class_code) {
            return names[i].name;
        }
    }
    return "device";
}

static json_t *regions_of(const struct pci_device *device)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const struct pci_bar *bar = &device->bars[i];
        json_t *region;

        if (!bar->region) {
            continue;
        }
        region =
            json_pack("{s:i, s:s, s:I, s:I}", "bar", (int)i, "type", bar->is_io ? "io" : "memory",
                      "address", (json_int_t)bar->address, "size", (json_int_t)bar->size);
        if (!bar->is_io) {
            json_object_set_new(region, "prefetch", json_boolean(bar->prefetchable));
            json_object_set_new(region, "mem_type_64", json_boolean(bar->is_64));
        }
        json_array_append_new(list, region);
    }
    return list;
}

static json_t *describe_all(const struct bus *bus);

static json_t *describe_range(struct range range)
{
    /* A window that is closed: its base is above its limit. */
    return json_pack("{s:I, s:I}", "base", (json_int_t)(range.length ? range.start : 1), "limit",
                     (json_int_t)(range.length ? range.start + range.length - 1 : 0));
}

static json_t *describe_bridge(const struct pci_device *bridge, const struct pci_bridge_info *info)
{
    json_t *bus = json_pack("{s:i, s:i, s:i, s:o, s:o, s:o}", "number",
                            pci_requester_id(bridge) >> 8, "secondary", (int)info->secondary,
                            "subordinate", (int)info->subordinate, "io_range",
                            describe_range(info->io), "memory_range", describe_range(info->memory),
                            "prefetchable_range", describe_range(info->prefetch));

    return json_pack("{s:o, s:o}", "bus", bus, "devices",
                     describe_all(pci_bus_base(pci_bridge_bus(bridge))));
}

static json_t *describe(const struct pci_device *device)
{
    struct pci_bridge_info info;
    uint16_t class_code = pci_look_16(device, PCI_CLASS);
    json_t *id = json_pack("{s:i, s:i}", "vendor", pci_look_16(device, PCI_VENDOR_ID), "device",
                           pci_look_16(device, PCI_DEVICE_ID));
    json_t *entry;

    if (pci_look_16(device, PCI_SUBSYSTEM_VENDOR_ID)) {
        json_object_set_new(id, "subsystem", json_integer(pci_look_16(device, PCI_SUBSYSTEM_ID)));
        json_object_set_new(id, "subsystem-vendor",
                            json_integer(pci_look_16(device, PCI_SUBSYSTEM_VENDOR_ID)));
    }
    entry = json_pack("{s:i, s:i, s:i, s:{s:s, s:i}, s:o, s:i, s:s, s:o}", "bus",
                      pci_requester_id(device) >> 8, "slot", device->devfn >> 3, "function",
                      device->devfn & 7, "class_info", "desc", pci_class_name(class_code), "class",
                      class_code, "id", id, "irq_pin", device->config[PCI_INTERRUPT_PIN], "qdev_id",
                      device->device.id ? device->device.id : "", "regions", regions_of(device));
    if (device->config[PCI_INTERRUPT_PIN]) {
        json_object_set_new(entry, "irq", json_integer(device->config[PCI_INTERRUPT_LINE]));
    }
    if (pci_bridge_get_info(device, &info)) {
        json_object_set_new(entry, "pci_bridge", describe_bridge(device, &info));
    }
    return entry;
}

static json_t *describe_all(const struct bus *bus)
{
    g_autoptr(GPtrArray) functions = pci_functions(bus);
    json_t *devices = json_array();

    for (unsigned i = 0; i < functions->len; i++) {
        json_array_append_new(devices, describe(g_ptr_array_index(functions, i)));
    }
    return devices;
}

json_t *qmp_query_pci(struct qmp_context *context, json_t *arguments, GError **error)
{
    const struct bus *bus = context->machine->pci_bus;

    return bus ? json_pack("[{s:i, s:o}]", "bus", 0, "devices", describe_all(bus)) : json_array();
}
