/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers of virtio 1.2, 5.13, in its order and words. All fields are little-endian. */
#ifndef DUODM_IOMMU_VIRTIO_IOMMU_SPEC_H
#define DUODM_IOMMU_VIRTIO_IOMMU_SPEC_H

/* Queues, 5.13.2. */
#define VIRTIO_IOMMU_REQUESTS 0
#define VIRTIO_IOMMU_EVENTS   1

/* Feature bits, 5.13.3. */
#define VIRTIO_IOMMU_F_INPUT_RANGE   0
#define VIRTIO_IOMMU_F_DOMAIN_RANGE  1
#define VIRTIO_IOMMU_F_MAP_UNMAP     2
#define VIRTIO_IOMMU_F_PROBE         4
#define VIRTIO_IOMMU_F_MMIO          5
#define VIRTIO_IOMMU_F_BYPASS_CONFIG 6

/* Offsets in the configuration, 5.13.4. Ends are the last that is in the range. */
enum virtio_iommu_config_offset {
    VIRTIO_IOMMU_CONFIG_PAGE_SIZE_MASK = 0,
    VIRTIO_IOMMU_CONFIG_INPUT_START = 8,
    VIRTIO_IOMMU_CONFIG_INPUT_END = 16,
    VIRTIO_IOMMU_CONFIG_DOMAIN_START = 24,
    VIRTIO_IOMMU_CONFIG_DOMAIN_END = 28,
    VIRTIO_IOMMU_CONFIG_PROBE_SIZE = 32,
    VIRTIO_IOMMU_CONFIG_BYPASS = 36,
    VIRTIO_IOMMU_CONFIG_SIZE = 40,
};

/* Requests, 5.13.6: the first byte of the device-readable part. */
enum virtio_iommu_request_type {
    VIRTIO_IOMMU_ATTACH = 1,
    VIRTIO_IOMMU_DETACH = 2,
    VIRTIO_IOMMU_MAP = 3,
    VIRTIO_IOMMU_UNMAP = 4,
    VIRTIO_IOMMU_PROBE = 5,
};

enum virtio_iommu_status {
    VIRTIO_IOMMU_OK = 0,
    VIRTIO_IOMMU_UNSUPPORTED = 2,
    VIRTIO_IOMMU_DEVICE_ERROR = 3,
    VIRTIO_IOMMU_INVALID = 4,
    VIRTIO_IOMMU_OUT_OF_RANGE = 5,
    VIRTIO_IOMMU_NO_ENTRY = 6,
    VIRTIO_IOMMU_NO_MEMORY = 8,
};

/* Bytes of the device-readable parts, and of the tail: status and three reserved ones. */
#define VIRTIO_IOMMU_HEAD_SIZE    4u
#define VIRTIO_IOMMU_ATTACH_SIZE  20u
#define VIRTIO_IOMMU_DETACH_SIZE  20u
#define VIRTIO_IOMMU_MAP_SIZE     36u
#define VIRTIO_IOMMU_UNMAP_SIZE   28u
#define VIRTIO_IOMMU_PROBE_SIZE   72u
#define VIRTIO_IOMMU_REQUEST_SIZE VIRTIO_IOMMU_PROBE_SIZE /* the longest */
#define VIRTIO_IOMMU_TAIL_SIZE    4u

#define VIRTIO_IOMMU_ATTACH_BYPASS 0x1u /* flags of ATTACH */

/* Flags of MAP. */
#define VIRTIO_IOMMU_MAP_READ  0x1u
#define VIRTIO_IOMMU_MAP_WRITE 0x2u
#define VIRTIO_IOMMU_MAP_MMIO  0x4u

/* The property RESV_MEM of PROBE: 4 bytes of head (type, length), then these. */
#define VIRTIO_IOMMU_PROPERTY_RESERVED_MEMORY 1
#define VIRTIO_IOMMU_PROPERTY_HEAD            4u
#define VIRTIO_IOMMU_RESERVED_MEMORY_LENGTH   20u
#define VIRTIO_IOMMU_RESERVED                 0 /* subtypes */
#define VIRTIO_IOMMU_RESERVED_MSI             1

/* Events, 5.13.6.6. */
#define VIRTIO_IOMMU_EVENT_SIZE 24u
enum virtio_iommu_fault_reason {
    VIRTIO_IOMMU_FAULT_DOMAIN = 1,  /* attached to none, and not in bypass mode */
    VIRTIO_IOMMU_FAULT_MAPPING = 2, /* not mapped, or not so */
};
#define VIRTIO_IOMMU_FAULT_READ    0x1u
#define VIRTIO_IOMMU_FAULT_WRITE   0x2u
#define VIRTIO_IOMMU_FAULT_ADDRESS 0x100u

#endif
