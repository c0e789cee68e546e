/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/boot-order.h"
#include "dm/firmware/fw-cfg.h"
#include "dm/machine.h"
#include "util/error.h"

struct boot_entry {
    int32_t index;
    const struct pci_device *device; /* looked at when the order is published, never after */
    char *suffix;                    /* NULL: none */
};

static void entry_free(void *pointer)
{
    struct boot_entry *entry = pointer;

    g_free(entry->suffix);
    g_free(entry);
}

static void append_address(GString *path, const struct pci_device *device)
{
    g_string_append_printf(path, "@%x", device->devfn >> 3);
    if (device->devfn & 7) {
        g_string_append_printf(path, ",%x", device->devfn & 7);
    }
}

/* The bridges on the way to a bus. */
static void append_bridges(GString *path, const struct bus *bus)
{
    if (bus->parent) {
        append_bridges(path, bus->parent->bus);
        g_string_append(path, "/pci-bridge");
        append_address(path, (const struct pci_device *)bus->parent);
    }
}

/* Open Firmware's form. Of the node's name firmware looks at the address only, but for bridges. */
static char *make_path(const struct pci_device *device, const char *suffix)
{
    g_autoptr(GString) path = g_string_new("/pci@i0cf8");

    append_bridges(path, device->device.bus);
    g_string_append_printf(path, "/pci%04x,%04x", pci_get(device->config, 0, 2),
                           pci_get(device->config, 2, 2));
    append_address(path, device);
    if (suffix) {
        g_string_append_printf(path, "/%s", suffix);
    }
    return g_strdup(path->str);
}

bool boot_order_add(struct machine *machine, const struct pci_device *device, int32_t index,
                    const char *suffix, GError **error)
{
    struct boot_entry *entry;
    unsigned place = 0;

    if (index < 0) {
        return true;
    }
    if (!machine->boot_order) {
        machine->boot_order = g_ptr_array_new_with_free_func(entry_free);
    }
    for (; place < machine->boot_order->len; place++) {
        const struct boot_entry *other = g_ptr_array_index(machine->boot_order, place);

        if (other->index == index) {
            return duodm_fail(error, DUODM_ERROR_EXISTS,
                              "bootindex=%d: another device has that place in the boot order",
                              (int)index);
        }
        if (other->index > index) {
            break;
        }
    }
    entry = g_new(struct boot_entry, 1);
    *entry = (struct boot_entry){index, device, g_strdup(suffix)};
    g_ptr_array_insert(machine->boot_order, (int)place, entry);
    return true;
}

bool boot_order_publish(struct machine *machine, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!machine->fw_cfg || !machine->boot_order) {
        return true;
    }
    for (unsigned i = 0; i < machine->boot_order->len; i++) {
        const struct boot_entry *entry = g_ptr_array_index(machine->boot_order, i);
        g_autofree char *path = make_path(entry->device, entry->suffix);

        g_string_append_printf(text, "%s%s", i ? "\n" : "", path);
    }
    return fw_cfg_add_file(machine->fw_cfg, "bootorder", text->str, text->len + 1, error);
}

void boot_order_free(struct machine *machine)
{
    g_clear_pointer(&machine->boot_order, g_ptr_array_unref);
}
