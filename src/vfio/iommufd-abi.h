/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is used of the kernel's interfaces linux/iommufd.h (6.2) and linux/vfio.h (6.6: devices as
 * files of their own), which may be newer than the headers that we are built with. Every request
 * begins with its size.
 */
#ifndef DUODM_VFIO_IOMMUFD_ABI_H
#define DUODM_VFIO_IOMMUFD_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define ABI_IOMMU_DESTROY          _IO(';', 0x80)
#define ABI_IOMMU_IOAS_ALLOC       _IO(';', 0x81)
#define ABI_IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)
#define ABI_IOMMU_IOAS_MAP         _IO(';', 0x85)
#define ABI_IOMMU_IOAS_UNMAP       _IO(';', 0x86)
#define ABI_VFIO_BIND_IOMMUFD      _IO(';', 100 + 18)
#define ABI_VFIO_ATTACH_IOMMUFD    _IO(';', 100 + 19)

struct abi_iommu_destroy {
    uint32_t size, id;
};

struct abi_iommu_ioas_alloc {
    uint32_t size, flags, out_ioas_id;
};

struct abi_iommu_iova_range {
    uint64_t start, last;
};

struct abi_iommu_ioas_iova_ranges {
    uint32_t size, ioas_id, num_iovas, reserved;
    uint64_t allowed_iovas; /* pointer to num_iovas ranges */
    uint64_t out_iova_alignment;
};

#define ABI_IOMMU_MAP_FIXED_IOVA 1u
#define ABI_IOMMU_MAP_WRITEABLE  2u
#define ABI_IOMMU_MAP_READABLE   4u

struct abi_iommu_ioas_map {
    uint32_t size, flags, ioas_id, reserved;
    uint64_t user_va, length, iova;
};

struct abi_iommu_ioas_unmap {
    uint32_t size, ioas_id;
    uint64_t iova, length;
};

struct abi_vfio_bind_iommufd {
    uint32_t argsz, flags;
    int32_t iommufd;
    uint32_t out_devid;
};

struct abi_vfio_attach_iommufd {
    uint32_t argsz, flags, pt_id;
};

#endif
