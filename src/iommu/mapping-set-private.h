/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between mapping-set.c and verify.c only. */
#ifndef DUODM_IOMMU_MAPPING_SET_PRIVATE_H
#define DUODM_IOMMU_MAPPING_SET_PRIVATE_H

#include "iommu/mapping-set.h"

/* What the host holds. */
const struct iova_tree *mapping_set_tree(const struct mapping_set *set);

#endif
