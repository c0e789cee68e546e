/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a region reaches its notifiers. All under the region's lock. */
#ifndef DUODM_IOMMU_NOTIFIER_PRIVATE_H
#define DUODM_IOMMU_NOTIFIER_PRIVATE_H

#include "iommu/notifier.h"

/* The guest's tables may have changed in range. */
bool notifier_update(struct iommu_notifier *notifier, struct range range, GError **error);
/* The guest mapped, or unmapped, just this. */
bool notifier_map(struct iommu_notifier *notifier, const struct iommu_mapping *mapping,
                  GError **error);
bool notifier_unmap(struct iommu_notifier *notifier, struct range range, GError **error);
void notifier_report(struct iommu_notifier *notifier, const GError *error);

#endif
