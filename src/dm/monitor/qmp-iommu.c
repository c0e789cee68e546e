/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the IOMMU does for each function, and whether host IOMMUs hold what the guest's tables say.
 * The latter is a statement about a guest that has told of all its changes: one that runs may be
 * between a change and its invalidation.
 */
#include "dm/iommu/intel-iommu.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/vfio/vfio-space.h"
#include "iommu/vtd.h"

#include <inttypes.h>

static const char *state_name(const struct vtd_info *info, const struct vtd_device_info *device)
{
    if (!info->translation) {
        return "untranslated";
    }
    if (device->context.fault != VTD_FAULT_NONE) {
        return "blocked";
    }
    return device->context.type == VTD_PASS_THROUGH ? "pass-through" : "translated";
}

static char *address_name(uint16_t requester)
{
    return g_strdup_printf("%02x:%02x.%x", requester >> 8, requester >> 3 & 0x1f, requester & 7);
}

static json_t *describe(const struct vtd_info *info, const struct vtd_device_info *device)
{
    g_autofree char *address = address_name(device->requester);
    const char *state = state_name(info, device);
    json_t *entry =
        json_pack("{s:s, s:s, s:i, s:I}", "address", address, "state", state, "followers",
                  (int)device->notifiers, "host-mappings", (json_int_t)device->host_mappings);

    if (g_str_equal(state, "blocked")) {
        json_object_set_new(entry, "reason", json_integer(device->context.fault));
    } else if (!g_str_equal(state, "untranslated")) {
        json_object_set_new(entry, "domain", json_integer(device->context.domain));
    }
    if (g_str_equal(state, "translated")) {
        json_object_set_new(entry, "levels", json_integer(device->context.levels));
        json_object_set_new(entry, "table", json_integer((json_int_t)device->context.table));
    }
    return entry;
}

json_t *qmp_query_iommu(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct vtd *vtd = intel_iommu_find(context->machine);
    struct vtd_info info;
    json_t *functions;

    if (!vtd) {
        return json_array();
    }
    vtd_query(vtd, &info);
    functions = json_array();
    for (unsigned i = 0; i < info.devices->len; i++) {
        json_array_append_new(
            functions, describe(&info, &g_array_index(info.devices, struct vtd_device_info, i)));
    }
    g_array_unref(info.devices);
    return json_pack("[{s:s, s:b, s:b, s:b, s:o}]", "type", "intel-iommu", "translation",
                     (int)info.translation, "queued-invalidation", (int)info.queue,
                     "interrupt-remapping", (int)info.interrupt_remapping, "functions", functions);
}

json_t *qmp_iommu_verify(struct qmp_context *context, json_t *arguments, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool equal = vfio_spaces_verify(context->machine, text);

    return json_pack("{s:b, s:s}", "equal", equal, "report", text->str);
}

static void print_device(const struct vtd_info *info, const struct vtd_device_info *device,
                         GString *out)
{
    g_autofree char *address = address_name(device->requester);
    const char *state = state_name(info, device);

    g_string_append_printf(out, "  %s: %s", address, state);
    if (g_str_equal(state, "blocked")) {
        g_string_append_printf(out, ", fault reason 0x%x", device->context.fault);
    } else if (!g_str_equal(state, "untranslated")) {
        g_string_append_printf(out, ", domain %u", device->context.domain);
    }
    if (g_str_equal(state, "translated")) {
        g_string_append_printf(out, ", %u levels of tables at 0x%" PRIx64, device->context.levels,
                               device->context.table);
    }
    g_string_append_printf(out, "; %u followers, %" PRIu64 " host mappings\n", device->notifiers,
                           device->host_mappings);
}

static void print_unit(struct vtd *vtd, GString *out)
{
    struct vtd_info info;

    vtd_query(vtd, &info);
    g_string_append_printf(out,
                           "intel-iommu: translation %s, root table 0x%" PRIx64
                           ", queued invalidation %s, interrupt remapping %s\n",
                           info.translation ? "on" : "off", info.root, info.queue ? "on" : "off",
                           info.interrupt_remapping ? "on" : "off");
    for (unsigned i = 0; i < info.devices->len; i++) {
        print_device(&info, &g_array_index(info.devices, struct vtd_device_info, i), out);
    }
    g_array_unref(info.devices);
}

bool hmp_info_iommu(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct vtd *vtd = intel_iommu_find(context->machine);

    if (vtd) {
        print_unit(vtd, out);
    } else {
        g_string_append(out, "no IOMMU: devices see memory as it is\n");
    }
    g_string_append(out, vfio_spaces_verify(context->machine, out)
                             ? "hosts hold what the guest's tables say\n"
                             : "hosts do NOT hold what the guest's tables say\n");
    return true;
}
