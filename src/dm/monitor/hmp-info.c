/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `info` of the human monitor. */
#include "dm/chardev.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/pci-look.h"
#include "dm/pci/pci-bridge.h"
#include "dm/virtio/virtio-balloon.h"
#include "util/error.h"

#include <inttypes.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

static bool info_balloon(struct hmp_context *context, char **words, GString *out, GError **error)
{
    uint64_t bytes;

    if (!balloon_query(context->machine, &bytes, error)) {
        return false;
    }
    g_string_append_printf(out, "balloon: actual=%" PRIu64 "\n", bytes >> 20);
    balloon_print_statistics(context->machine, out);
    return true;
}

static bool info_chardev(struct hmp_context *context, char **words, GString *out, GError **error)
{
    for (unsigned i = 0; i < context->machine->chardevs->len; i++) {
        const struct chardev *chardev = g_ptr_array_index(context->machine->chardevs, i);
        g_autofree char *filename = chardev_filename(chardev);

        g_string_append_printf(out, "%s: filename=%s\n", chardev_id(chardev), filename);
    }
    return true;
}

static bool info_mtree(struct hmp_context *context, char **words, GString *out, GError **error)
{
    bool flat = words[1] && g_str_equal(words[1], "-f");

    if (words[1] && !flat) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' is not known: info mtree [-f]",
                          words[1]);
    }
    address_space_print_tree(&context->machine->as_memory, out, flat);
    address_space_print_tree(&context->machine->as_io, out, flat);
    return true;
}

static bool info_name(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const char *name = context->machine->config.name;

    g_string_append_printf(out, "%s\n", name ? name : "");
    return true;
}

static void print_bar(const struct pci_bar *bar, unsigned number, GString *out)
{
    const char *kind = bar->is_io ? "ports" : bar->is_64 ? "64-bit memory" : "32-bit memory";

    g_string_append_printf(out, "    BAR%u: %s%s, 0x%" PRIx64 " bytes ", number,
                           bar->prefetchable ? "prefetchable " : "", kind, bar->size);
    if (bar->address == UINT64_MAX) {
        g_string_append(out, "not mapped\n");
    } else {
        g_string_append_printf(out, "at 0x%" PRIx64 "\n", bar->address);
    }
}

static void print_window(const char *kind, struct range range, GString *out)
{
    if (range.length) {
        g_string_append_printf(out, "    window %s: 0x%" PRIx64 "-0x%" PRIx64 "\n", kind,
                               range.start, range.start + range.length - 1);
    }
}

static void print_function(const struct pci_device *device, GString *out)
{
    struct pci_bridge_info info;

    g_string_append_printf(
        out, "%02x:%02x.%x %04x:%04x %s (%s%s%s)\n", pci_requester_id(device) >> 8,
        device->devfn >> 3, device->devfn & 7, pci_look_16(device, 0), pci_look_16(device, 2),
        pci_class_name(pci_look_16(device, 0x0a)), device->device.class->name,
        device->device.id ? ", id " : "", device->device.id ? device->device.id : "");
    if (device->config[0x3d]) {
        g_string_append_printf(out, "    interrupt pin %c, line %u\n",
                               'A' + device->config[0x3d] - 1, device->config[0x3c]);
    }
    for (unsigned number = 0; number < PCI_BAR_COUNT; number++) {
        if (device->bars[number].region) {
            print_bar(&device->bars[number], number, out);
        }
    }
    if (pci_bridge_get_info(device, &info)) {
        g_string_append_printf(out, "    buses %02x to %02x\n", info.secondary, info.subordinate);
        print_window("of ports", info.io, out);
        print_window("of memory", info.memory, out);
        print_window("of prefetchable memory", info.prefetch, out);
    }
}

/* A bridge before what is behind it. */
static void print_functions(const struct bus *bus, GString *out)
{
    g_autoptr(GPtrArray) functions = pci_functions(bus);
    struct pci_bridge_info info;

    for (unsigned i = 0; i < functions->len; i++) {
        const struct pci_device *device = g_ptr_array_index(functions, i);

        print_function(device, out);
        if (pci_bridge_get_info(device, &info)) {
            print_functions(pci_bus_base(pci_bridge_bus(device)), out);
        }
    }
}

static bool info_pci(struct hmp_context *context, char **words, GString *out, GError **error)
{
    if (context->machine->pci_bus) {
        print_functions(context->machine->pci_bus, out);
    }
    return true;
}

static void print_bus(const struct bus *bus, GString *out)
{
    g_string_append_printf(out, "bus %s\n", bus->name);
    for (unsigned i = 0; i < bus->children->len; i++) {
        const struct device *device = g_ptr_array_index(bus->children, i);

        g_string_append_printf(out, "  %s%s%s\n", device->class->name, device->id ? ", id " : "",
                               device->id ? device->id : "");
        for (const struct property *p = device->class->properties; p && p->name; p++) {
            g_autofree char *value = property_get_text(device, p);

            g_string_append_printf(out, "    %s = %s\n", p->name, value);
        }
    }
}

static bool info_qtree(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const struct bus *const buses[] = {context->machine->system_bus, context->machine->pci_bus,
                                       context->machine->isa_bus};

    for (unsigned i = 0; i < G_N_ELEMENTS(buses); i++) {
        if (buses[i]) {
            print_bus(buses[i], out);
        }
    }
    for (unsigned i = 0; i < context->machine->device_buses->len; i++) {
        print_bus(g_ptr_array_index(context->machine->device_buses, i), out);
    }
    return true;
}

static bool info_status(struct hmp_context *context, char **words, GString *out, GError **error)
{
    enum run_state state = context->machine->state;

    if (state == RUN_STATE_RUNNING || state == RUN_STATE_PAUSED) {
        g_string_append_printf(out, "VM status: %s\n", run_state_name(state));
    } else {
        g_string_append_printf(out, "VM status: paused (%s)\n", run_state_name(state));
    }
    return true;
}

static bool info_uuid(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const char *uuid = context->machine->config.uuid_text;

    g_string_append_printf(out, "%s\n", uuid ? uuid : "00000000-0000-0000-0000-000000000000");
    return true;
}

static bool info_version(struct hmp_context *context, char **words, GString *out, GError **error)
{
    g_string_append(out, "duodm " PACKAGE_VERSION "\n");
    return true;
}

const struct hmp_command hmp_info_table[] = {
    {"balloon", NULL, NULL, "memory that the guest has, MiB, and what it tells of it",
     info_balloon},
    {"block", NULL, NULL, "disk images", hmp_info_block},
    {"blockstats", NULL, NULL, "what was read and written", hmp_info_blockstats},
    {"chardev", NULL, NULL, "character devices", info_chardev},
    {"cpus", NULL, NULL, "CPUs", hmp_info_cpus},
    {"iommu", NULL, NULL, "what the IOMMU does for each function, and hosts for it",
     hmp_info_iommu},
    {"mice", NULL, NULL, "mice and tablets", hmp_info_mice},
    {"migrate", NULL, NULL, "how sending or receiving the machine goes", hmp_info_migrate},
    {"mtree", NULL, "[-f]", "memory and port regions; -f: as they are seen", info_mtree},
    {"name", NULL, NULL, "name of the machine", info_name},
    {"network", NULL, NULL, "network cards and back ends", hmp_info_network},
    {"pci", NULL, NULL, "PCI functions", info_pci},
    {"qtree", NULL, NULL, "buses, devices and their properties", info_qtree},
    {"registers", NULL, "[-a]", "registers of the CPU; -a: of all", hmp_info_registers},
    {"status", NULL, NULL, "whether the machine runs", info_status},
    {"usernet", NULL, NULL, "connections of back ends of type user", hmp_info_usernet},
    {"uuid", NULL, NULL, "UUID of the machine", info_uuid},
    {"version", NULL, NULL, "version of duodm", info_version},
    {"vnc", NULL, NULL, "the VNC server and its clients", hmp_info_vnc},
    {NULL, NULL, NULL, NULL, NULL},
};
