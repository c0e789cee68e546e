/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt remapping (VT-d 5.1 and 9.10). */
#include "iommu/vtd-private.h"

/* Of a message's address, 5.1.2.2. */
#define MESSAGE_REMAPPABLE VTD_BIT(4)
#define MESSAGE_SUBHANDLE  VTD_BIT(3)

/* Of IRTA, 11.4.29. */
#define TABLE_EXTENDED VTD_BIT(11)

static uint32_t message_index(uint64_t address, uint32_t data)
{
    uint32_t handle = (uint32_t)(vtd_field(address, 19, 5) | vtd_field(address, 2, 2) << 15);

    return handle + (address & MESSAGE_SUBHANDLE ? data & 0xffff : 0);
}

/* Source validation, 9.10: SVT, SQ and SID. */
static bool is_valid_source(const uint64_t entry[2], uint16_t requester)
{
    static const uint16_t qualifiers[] = {0xffff, 0xfffb, 0xfff9, 0xfff8};
    uint16_t source = (uint16_t)vtd_field(entry[1], 15, 0);
    uint8_t bus = (uint8_t)(requester >> 8);

    switch (vtd_field(entry[1], 19, 18)) {
    case 0:
        return true;
    case 1:
        return ((source ^ requester) & qualifiers[vtd_field(entry[1], 17, 16)]) == 0;
    case 2:
        return bus >= source >> 8 && bus <= (source & 0xff);
    default:
        return false;
    }
}

static bool has_reserved_bits(const uint64_t entry[2], bool extended)
{
    uint64_t destination = entry[0] >> 32;

    return vtd_field(entry[0], 15, 12) || vtd_field(entry[0], 31, 24) || entry[1] >> 20 ||
           (!extended && (destination & 0xffff00ff));
}

static enum vtd_fault_reason find_entry(struct vtd *vtd, uint64_t table, uint32_t index,
                                        uint16_t requester, uint64_t entry[2])
{
    uint8_t bytes[16];

    if (index >= UINT64_C(2) << vtd_field(table, 3, 0)) {
        return VTD_FAULT_INTERRUPT_INDEX;
    }
    if (!vtd_read_memory(&vtd->tables, (table & ~UINT64_C(0xfff)) + index * UINT64_C(16), bytes,
                         sizeof(bytes))) {
        return VTD_FAULT_INTERRUPT_TABLE_ACCESS;
    }
    entry[0] = load_le64(bytes);
    entry[1] = load_le64(bytes + 8);
    if (!(entry[0] & VTD_PRESENT)) {
        return VTD_FAULT_INTERRUPT_NOT_PRESENT;
    }
    if (has_reserved_bits(entry, table & TABLE_EXTENDED)) {
        return VTD_FAULT_INTERRUPT_ENTRY_RESERVED;
    }
    return is_valid_source(entry, requester) ? VTD_FAULT_NONE : VTD_FAULT_INTERRUPT_SOURCE;
}

/* The message as an APIC takes it. A destination over 255 has its upper bits in address[63:40]. */
static void compose(const uint64_t entry[2], bool extended, uint64_t *address, uint32_t *data)
{
    uint32_t destination =
        extended ? (uint32_t)(entry[0] >> 32) : (uint32_t)vtd_field(entry[0], 47, 40);
    bool level = vtd_field(entry[0], 4, 4);

    *address = UINT64_C(0xfee00000) | (destination & 0xff) << 12 | vtd_field(entry[0], 3, 3) << 3 |
               vtd_field(entry[0], 2, 2) << 2 | (uint64_t)(destination >> 8) << 40;
    *data = (uint32_t)(vtd_field(entry[0], 23, 16) | vtd_field(entry[0], 7, 5) << 8) |
            (level ? 1u << 15 : 0) | 1u << 14;
}

bool vtd_remap_interrupt(struct vtd *vtd, uint16_t requester, bool is_probe, uint64_t *address,
                         uint32_t *data)
{
    uint32_t status = __atomic_load_n(&vtd->status, __ATOMIC_ACQUIRE);
    uint64_t table = __atomic_load_n(&vtd->interrupt_table, __ATOMIC_ACQUIRE), entry[2] = {0};
    bool extended = table & TABLE_EXTENDED;
    uint32_t index = 0;
    enum vtd_fault_reason reason;

    if (!(status & VTD_GCMD_REMAPPING)) {
        return true;
    }
    if (*address & MESSAGE_REMAPPABLE) {
        index = message_index(*address, *data);
        reason = find_entry(vtd, table, index, requester, entry);
    } else if ((status & VTD_GCMD_COMPATIBILITY) && !extended) {
        return true;
    } else {
        reason = VTD_FAULT_INTERRUPT_COMPATIBILITY;
    }
    if (reason == VTD_FAULT_NONE) {
        compose(entry, extended, address, data);
        return true;
    }
    if (!is_probe && !(entry[0] & VTD_FAULT_HIDDEN)) {
        vtd_record_fault(vtd, requester, (uint64_t)index << 48, true, reason);
    }
    return false;
}
