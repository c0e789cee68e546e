/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What monitors tell of a unit. */
#include "iommu/notifier-private.h"
#include "iommu/vtd-private.h"

/* What a translation would go by: a context that was cached as a fault is read again. */
static struct vtd_context current_context(const struct vtd_device *device)
{
    const struct vtd *vtd = device->vtd;

    return device->translating && vtd_device_is_open(device)
               ? vtd_read_context(&vtd->tables, vtd->root, device->requester)
               : device->context;
}

static struct vtd_device_info device_info(const struct vtd_device *device)
{
    struct vtd_device_info info = {.requester = device->requester,
                                   .translated = device->translating,
                                   .context = current_context(device)};

    for (const struct iommu_notifier *notifier = device->iommu.notifiers; notifier;
         notifier = notifier->next) {
        info.notifiers++;
        info.host_mappings += notifier->held ? mapping_set_count(notifier->held) : 0;
    }
    return info;
}

void vtd_query(struct vtd *vtd, struct vtd_info *info)
{
    uint32_t status;

    mutex_lock(&vtd->lock);
    status = vtd_get32(vtd, VTD_GSTS);
    *info = (struct vtd_info){
        .translation = status & VTD_GCMD_TRANSLATION,
        .queue = status & VTD_GCMD_QUEUED,
        .interrupt_remapping = status & VTD_GCMD_REMAPPING,
        .root = vtd->root,
        .devices = g_array_new(false, false, sizeof(struct vtd_device_info)),
    };
    for (unsigned i = 0; i < vtd->members.count; i++) {
        struct vtd_device_info device = device_info(vtd->members.at[i].device);

        g_array_append_val(info->devices, device);
    }
    mutex_unlock(&vtd->lock);
}
