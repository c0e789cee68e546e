/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layouts of Intel VT-d in legacy mode, by their names in the specification ("Intel Virtualization
 * Technology for Directed I/O", revision 4.1): registers (11.4), root and context entries (9.1,
 * 9.3), second-stage paging entries (9.8), invalidation descriptors (6.5.2), interrupt remapping
 * (5.1, 9.10), fault reasons (7.1.3 and appendix A).
 */
#ifndef DUODM_IOMMU_VTD_SPEC_H
#define DUODM_IOMMU_VTD_SPEC_H

#include <stdint.h>

#define VTD_BIT(n) (UINT64_C(1) << (n))
/* Bits [high:low] of a 64-bit value. */
static inline uint64_t vtd_field(uint64_t value, unsigned high, unsigned low)
{
    return value >> low & (~UINT64_C(0) >> (63 - (high - low)));
}

/* Register offsets. The last two groups are where CAP.FRO and ECAP.IRO say. */
enum vtd_register {
    VTD_VER = 0x00,
    VTD_CAP = 0x08,
    VTD_ECAP = 0x10,
    VTD_GCMD = 0x18,
    VTD_GSTS = 0x1c,
    VTD_RTADDR = 0x20,
    VTD_CCMD = 0x28,
    VTD_FSTS = 0x34,
    VTD_FECTL = 0x38,
    VTD_FEDATA = 0x3c,
    VTD_FEADDR = 0x40,
    VTD_FEUADDR = 0x44,
    VTD_IQH = 0x80,
    VTD_IQT = 0x88,
    VTD_IQA = 0x90,
    VTD_ICS = 0x9c,
    VTD_IECTL = 0xa0,
    VTD_IEDATA = 0xa4,
    VTD_IEADDR = 0xa8,
    VTD_IEUADDR = 0xac,
    VTD_IRTA = 0xb8,
    VTD_IVA = 0x100,
    VTD_IOTLB = 0x108,
    VTD_FRCD = 0x220, /* VTD_FAULT_RECORDS of 16 bytes */
    VTD_REGISTERS_SIZE = 0x240,
};
#define VTD_FAULT_RECORDS 2u
#define VTD_WINDOW_SIZE   0x1000u /* bytes of MMIO; the rest reads zero */

/* CAP, 11.4.2. */
#define VTD_CAP_DOMAIN_BITS_16 UINT64_C(6)
#define VTD_CAP_CACHING_MODE   VTD_BIT(7)
#define VTD_CAP_SAGAW_39       VTD_BIT(9)
#define VTD_CAP_SAGAW_48       VTD_BIT(10)
#define VTD_CAP_MGAW_SHIFT     16
#define VTD_CAP_FRO            ((uint64_t)(VTD_FRCD / 16) << 24)
#define VTD_CAP_2M_AND_1G      (UINT64_C(3) << 34)
#define VTD_CAP_PAGE_SELECTIVE VTD_BIT(39)
#define VTD_CAP_NFR            ((uint64_t)(VTD_FAULT_RECORDS - 1) << 40)
#define VTD_CAP_MAMV           (UINT64_C(18) << 48) /* address mask up to 1 GiB */

/* ECAP, 11.4.3. */
#define VTD_ECAP_COHERENT      VTD_BIT(0)
#define VTD_ECAP_QUEUED        VTD_BIT(1)
#define VTD_ECAP_REMAPPING     VTD_BIT(3)
#define VTD_ECAP_EXTENDED_INTR VTD_BIT(4)
#define VTD_ECAP_PASS_THROUGH  VTD_BIT(6)
#define VTD_ECAP_IRO           ((uint64_t)(VTD_IVA / 16) << 8)
#define VTD_ECAP_MHMV          (UINT64_C(15) << 20)

/* GCMD and GSTS, 11.4.4: the same bits in both. */
#define VTD_GCMD_TRANSLATION     (1u << 31)
#define VTD_GCMD_ROOT_TABLE      (1u << 30)
#define VTD_GCMD_WRITE_BUFFER    (1u << 27)
#define VTD_GCMD_QUEUED          (1u << 26)
#define VTD_GCMD_REMAPPING       (1u << 25)
#define VTD_GCMD_REMAPPING_TABLE (1u << 24)
#define VTD_GCMD_COMPATIBILITY   (1u << 23)

/* FSTS, 11.4.9. */
#define VTD_FSTS_OVERFLOW    (1u << 0)
#define VTD_FSTS_PENDING     (1u << 1)
#define VTD_FSTS_QUEUE_ERROR (1u << 4)
/* FECTL and IECTL, 11.4.10. */
#define VTD_EVENT_MASK    (1u << 31)
#define VTD_EVENT_PENDING (1u << 30)
/* ICS, 11.4.24. */
#define VTD_ICS_WAIT_COMPLETE (1u << 0)

/* IQA, 11.4.23; IQH and IQT hold the byte offset of a descriptor. */
#define VTD_IQA_SIZE(iqa) ((UINT64_C(1) << (8 + vtd_field(iqa, 2, 0))) * 16) /* bytes */
#define VTD_IQ_OFFSET     UINT64_C(0x7fff0)

/* High halves of CCMD, 11.4.7, and IOTLB, 11.4.8.1: the command bit. */
#define VTD_COMMAND_BUSY VTD_BIT(63)

/* Granularities of invalidation: CCMD.CIRG, IOTLB.IIRG, and G of descriptors. */
enum vtd_granularity {
    VTD_GLOBAL = 1,
    VTD_DOMAIN = 2,
    VTD_DEVICE = 3, /* of the context cache */
    VTD_PAGE = 3,   /* of the IOTLB */
};

#define VTD_HINT VTD_BIT(6) /* IH, of an address that is invalidated: only leaves have changed */

/* Descriptor types, 6.5.2. */
enum vtd_descriptor {
    VTD_INVALIDATE_CONTEXT = 1,
    VTD_INVALIDATE_IOTLB = 2,
    VTD_INVALIDATE_INTERRUPT = 4,
    VTD_INVALIDATE_WAIT = 5,
};
#define VTD_WAIT_INTERRUPT VTD_BIT(4)
#define VTD_WAIT_STATUS    VTD_BIT(5)

/* Entries. */
#define VTD_PRESENT      VTD_BIT(0)
#define VTD_FAULT_HIDDEN VTD_BIT(1) /* FPD of context entries and IRTEs */
#define VTD_SECOND_READ  VTD_BIT(0)
#define VTD_SECOND_WRITE VTD_BIT(1)
#define VTD_SECOND_LARGE VTD_BIT(7)

/* Translation types of a context entry, 9.3. */
enum vtd_translation_type {
    VTD_TRANSLATE = 0,
    VTD_PASS_THROUGH = 2,
};

enum vtd_fault_reason {
    VTD_FAULT_NONE = 0,
    VTD_FAULT_ROOT_NOT_PRESENT = 0x1,
    VTD_FAULT_CONTEXT_NOT_PRESENT = 0x2,
    VTD_FAULT_CONTEXT_INVALID = 0x3,
    VTD_FAULT_BEYOND_WIDTH = 0x4,
    VTD_FAULT_WRITE = 0x5,
    VTD_FAULT_READ = 0x6,
    VTD_FAULT_TABLE_ACCESS = 0x7,
    VTD_FAULT_ROOT_ACCESS = 0x8,
    VTD_FAULT_CONTEXT_ACCESS = 0x9,
    VTD_FAULT_ROOT_RESERVED = 0xa,
    VTD_FAULT_CONTEXT_RESERVED = 0xb,
    VTD_FAULT_TABLE_RESERVED = 0xc,
    VTD_FAULT_CONTEXT_TYPE = 0xd,
    VTD_FAULT_INTERRUPT_RESERVED = 0x20,
    VTD_FAULT_INTERRUPT_INDEX = 0x21,
    VTD_FAULT_INTERRUPT_NOT_PRESENT = 0x22,
    VTD_FAULT_INTERRUPT_TABLE_ACCESS = 0x23,
    VTD_FAULT_INTERRUPT_ENTRY_RESERVED = 0x24,
    VTD_FAULT_INTERRUPT_COMPATIBILITY = 0x25,
    VTD_FAULT_INTERRUPT_SOURCE = 0x26,
};

#endif
