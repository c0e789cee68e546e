/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the IOMMU does for each function, and whether host IOMMUs hold what the guest's tables say.
 * The latter is a statement about a guest that has told of all its changes: one that runs may be
 * between a change and its invalidation.
 */
#include "dm/iommu/intel-iommu.h"
#include "dm/iommu/virtio-iommu-pci.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/vfio/vfio-space.h"
#include "iommu/virtio-iommu.h"
#include "iommu/vtd.h"

#include <inttypes.h>

static char *address_name(uint16_t requester)
{
    return g_strdup_printf("%02x:%02x.%x", requester >> 8, requester >> 3 & 0x1f, requester & 7);
}

/* ---- intel-iommu ---- */

static const char *vtd_state_name(const struct vtd_info *info, const struct vtd_device_info *device)
{
    if (!info->translation) {
        return "untranslated";
    }
    if (device->context.fault != VTD_FAULT_NONE) {
        return "blocked";
    }
    return device->context.type == VTD_PASS_THROUGH ? "pass-through" : "translated";
}

static json_t *describe_vtd_device(const struct vtd_info *info,
                                   const struct vtd_device_info *device)
{
    g_autofree char *address = address_name(device->requester);
    const char *state = vtd_state_name(info, device);
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

static json_t *describe_vtd(struct vtd *vtd)
{
    json_t *functions = json_array();
    struct vtd_info info;

    vtd_query(vtd, &info);
    for (unsigned i = 0; i < info.devices->len; i++) {
        json_array_append_new(
            functions,
            describe_vtd_device(&info, &g_array_index(info.devices, struct vtd_device_info, i)));
    }
    g_array_unref(info.devices);
    return json_pack("{s:s, s:b, s:b, s:b, s:o}", "type", "intel-iommu", "translation",
                     (int)info.translation, "queued-invalidation", (int)info.queue,
                     "interrupt-remapping", (int)info.interrupt_remapping, "functions", functions);
}

static void print_vtd_device(const struct vtd_info *info, const struct vtd_device_info *device,
                             GString *out)
{
    g_autofree char *address = address_name(device->requester);
    const char *state = vtd_state_name(info, device);

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

static void print_vtd(struct vtd *vtd, GString *out)
{
    struct vtd_info info;

    vtd_query(vtd, &info);
    g_string_append_printf(out,
                           "intel-iommu: translation %s, root table 0x%" PRIx64
                           ", queued invalidation %s, interrupt remapping %s\n",
                           info.translation ? "on" : "off", info.root, info.queue ? "on" : "off",
                           info.interrupt_remapping ? "on" : "off");
    for (unsigned i = 0; i < info.devices->len; i++) {
        print_vtd_device(&info, &g_array_index(info.devices, struct vtd_device_info, i), out);
    }
    g_array_unref(info.devices);
}

/* ---- virtio-iommu ---- */

static const char *endpoint_state(const struct virtio_iommu_endpoint_info *endpoint)
{
    if (endpoint->bypass) {
        return endpoint->attached ? "pass-through" : "untranslated";
    }
    return endpoint->attached ? "translated" : "blocked";
}

static json_t *describe_endpoint(const struct virtio_iommu_endpoint_info *endpoint)
{
    g_autofree char *address = address_name(endpoint->requester);
    json_t *entry = json_pack("{s:s, s:s, s:i, s:I}", "address", address, "state",
                              endpoint_state(endpoint), "followers", (int)endpoint->notifiers,
                              "host-mappings", (json_int_t)endpoint->host_mappings);

    if (endpoint->attached) {
        json_object_set_new(entry, "domain", json_integer(endpoint->domain));
        json_object_set_new(entry, "mappings", json_integer((json_int_t)endpoint->mappings));
    }
    return entry;
}

static json_t *describe_virtio(struct virtio_iommu *unit)
{
    g_autoptr(GArray) endpoints = virtio_iommu_query(unit);
    json_t *functions = json_array();

    for (unsigned i = 0; i < endpoints->len; i++) {
        json_array_append_new(functions, describe_endpoint(&g_array_index(
                                             endpoints, struct virtio_iommu_endpoint_info, i)));
    }
    return json_pack("{s:s, s:b, s:o}", "type", "virtio-iommu", "bypass",
                     (int)__atomic_load_n(&unit->bypass, __ATOMIC_ACQUIRE), "functions", functions);
}

static void print_virtio(struct virtio_iommu *unit, GString *out)
{
    g_autoptr(GArray) endpoints = virtio_iommu_query(unit);

    g_string_append_printf(out, "virtio-iommu: functions that are in no domain are %s\n",
                           __atomic_load_n(&unit->bypass, __ATOMIC_ACQUIRE) ? "untranslated"
                                                                            : "blocked");
    for (unsigned i = 0; i < endpoints->len; i++) {
        const struct virtio_iommu_endpoint_info *endpoint =
            &g_array_index(endpoints, struct virtio_iommu_endpoint_info, i);
        g_autofree char *address = address_name(endpoint->requester);

        g_string_append_printf(out, "  %s: %s", address, endpoint_state(endpoint));
        if (endpoint->attached) {
            g_string_append_printf(out, ", domain %u of %" PRIu64 " mappings", endpoint->domain,
                                   endpoint->mappings);
        }
        g_string_append_printf(out, "; %u followers, %" PRIu64 " host mappings\n",
                               endpoint->notifiers, endpoint->host_mappings);
    }
}

/* ---- Commands ---- */

json_t *qmp_query_iommu(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct vtd *vtd = intel_iommu_find(context->machine);
    struct virtio_iommu *unit = virtio_iommu_find(context->machine);
    json_t *units = json_array();

    if (vtd) {
        json_array_append_new(units, describe_vtd(vtd));
    }
    if (unit) {
        json_array_append_new(units, describe_virtio(unit));
    }
    return units;
}

json_t *qmp_iommu_verify(struct qmp_context *context, json_t *arguments, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool equal = vfio_spaces_verify(context->machine, text);

    return json_pack("{s:b, s:s}", "equal", equal, "report", text->str);
}

bool hmp_info_iommu(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct vtd *vtd = intel_iommu_find(context->machine);
    struct virtio_iommu *unit = virtio_iommu_find(context->machine);

    if (vtd) {
        print_vtd(vtd, out);
    }
    if (unit) {
        print_virtio(unit, out);
    }
    if (!vtd && !unit) {
        g_string_append(out, "no IOMMU: devices see memory as it is\n");
    }
    g_string_append(out, vfio_spaces_verify(context->machine, out)
                             ? "hosts hold what the guest's tables say\n"
                             : "hosts do NOT hold what the guest's tables say\n");
    return true;
}
