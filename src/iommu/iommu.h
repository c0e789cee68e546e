/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IOMMU contract. IOMMU regions in translation are in memory/region.h. */
#ifndef DUODM_IOMMU_IOMMU_H
#define DUODM_IOMMU_IOMMU_H
#include "memory/region.h"
#endif
