/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receiving with the 82540EM: 3.2. Hot path. */
#include "dm/net/checksum.h"
#include "dm/nic/e1000.h"
#include "dm/nic/offload.h"

#define FCS_SIZE        4
#define LENGTH_MAX      1518  /* with FCS; a VLAN tag may come on top */
#define LENGTH_MAX_LONG 16384 /* with RCTL.LPE */
#define ADDRESS_COUNT   16

#define RAH_VALID  0x80000000u
#define RAH_SELECT 0x00030000u /* 0: the destination is compared */
#define RXCSUM_IP  0x100u
#define RXCSUM_TU  0x200u
#define ETHER_FLOW 0x8808

/* A descriptor: 3.2.3. */
#define DESCRIPTOR_SIZE 16
#define RX_DD           0x01 /* status */
#define RX_EOP          0x02
#define RX_IXSM         0x04 /* checksum status says nothing */
#define RX_VP           0x08
#define RX_TCPCS        0x20
#define RX_IPCS         0x40
#define RX_PIF          0x80 /* not an exact match: software filters */
#define RX_TCPE         0x20 /* errors */
#define RX_IPE          0x40

/* Filters: 3.2.1. */

static bool matches_exactly(const struct e1000 *nic, const uint8_t *packet)
{
    uint32_t low = load_le32(packet), high = load_le16(packet + 4);

    for (unsigned i = 0; i < ADDRESS_COUNT; i++) {
        uint32_t entry = e1000_get(nic, RAL + 8 * i + 4);

        if ((entry & RAH_VALID) && !(entry & RAH_SELECT) && (entry & 0xffff) == high &&
            e1000_get(nic, RAL + 8 * i) == low) {
            return true;
        }
    }
    return false;
}

static bool matches_hash(const struct e1000 *nic, const uint8_t *packet)
{
    static const uint8_t shifts[] = {4, 3, 2, 0}; /* by RCTL.MO: bits 47:36 to 43:32 */
    unsigned shift = shifts[e1000_get(nic, RCTL) >> 12 & 3];
    unsigned hash = (unsigned)(load_le16(packet + 4) >> shift) & 0xfff;

    return e1000_get(nic, MTA + hash / 32 * 4) >> (hash % 32) & 1;
}

/* Is the packet taken? *status gets PIF. */
static bool is_wanted(const struct e1000 *nic, const uint8_t *packet, uint8_t *status)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rctl = e1000_get(nic, RCTL);

    if (matches_exactly(nic, packet)) {
        return true;
    }
    if (memcmp(packet, broadcast, 6) == 0 && (rctl & RCTL_BAM)) {
        return true;
    }
    if (!(packet[0] & 1)) {
        *status |= rctl & RCTL_UPE ? RX_PIF : 0;
        return rctl & RCTL_UPE;
    }
    *status |= RX_PIF;
    return rctl & RCTL_MPE || matches_hash(nic, packet);
}

static uint16_t ethertype(const uint8_t *packet)
{
    return (uint16_t)(packet[12] << 8 | packet[13]);
}

static bool has_tag(const struct e1000 *nic, const uint8_t *packet)
{
    return ethertype(packet) == (e1000_get(nic, VET) & 0xffff);
}

static bool passes_vlan(const struct e1000 *nic, const uint8_t *packet)
{
    unsigned vlan = (unsigned)(packet[14] << 8 | packet[15]) & 0xfff;

    return !(e1000_get(nic, RCTL) & RCTL_VFE) || !has_tag(nic, packet) ||
           e1000_get(nic, VFTA + vlan / 32 * 4) >> (vlan % 32) & 1;
}

/* PAUSE frames (IEEE 802.3, annex 31B) are for the MAC: a wire that never is full needs no more
 * than to count them. */
static bool is_pause(struct e1000 *nic, const uint8_t *packet)
{
    static const uint8_t address[6] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};

    if (!(e1000_get(nic, CTRL) & CTRL_RFCE) || ethertype(packet) != ETHER_FLOW ||
        memcmp(packet, address, 6) != 0) {
        return false;
    }
    e1000_count(nic, XOFFRXC);
    return e1000_get(nic, RCTL) & RCTL_DPF || !(e1000_get(nic, RCTL) & RCTL_PMCF);
}

/* The ring. */

static size_t buffer_size(const struct e1000 *nic)
{
    uint32_t rctl = e1000_get(nic, RCTL);
    unsigned code = rctl >> 16 & 3;

    return rctl & RCTL_BSEX && code ? 32768u >> code : 2048u >> code;
}

static uint32_t ring_count(const struct e1000 *nic)
{
    return e1000_get(nic, RDLEN) / DESCRIPTOR_SIZE;
}

static uint32_t descriptors_free(const struct e1000 *nic)
{
    uint32_t count = ring_count(nic), head = e1000_get(nic, RDH), tail = e1000_get(nic, RDT);

    if (head >= count || tail >= count) {
        return 0;
    }
    return tail >= head ? tail - head : count - head + tail;
}

/* What is said of a packet: in each of its descriptors. */
struct report {
    uint8_t status, errors;
    uint16_t checksum, special;
};

/* 3.2.9: packet checksum, and what was found out about those of IP, TCP and UDP. */
static void report_checksums(const struct e1000 *nic, const uint8_t *packet, size_t length,
                             bool checked, struct report *report)
{
    uint32_t rxcsum = e1000_get(nic, RXCSUM);
    size_t start = MIN(rxcsum & 0xff, length);
    struct packet_layout layout;

    report->checksum = GUINT16_SWAP_LE_BE(
        GUINT16_FROM_LE(checksum_finish(checksum_add(0, packet + start, length - start))));
    if (!(rxcsum & (RXCSUM_IP | RXCSUM_TU))) {
        report->status |= RX_IXSM;
        return;
    }
    if (!packet_find_layout(packet, length, &layout) || layout.is_ipv6) {
        return;
    }
    if (rxcsum & RXCSUM_IP) {
        report->status |= RX_IPCS;
        report->errors |= packet_ipv4_checksum_is_good(packet, &layout) ? 0 : RX_IPE;
    }
    if ((rxcsum & RXCSUM_TU) && layout.is_whole && packet_has_transport(&layout) &&
        packet_has_checksum(packet, &layout)) {
        report->status |= RX_TCPCS;
        report->errors |=
            checked || packet_transport_checksum_is_good(packet, &layout) ? 0 : RX_TCPE;
    }
}

/* A packet in up to three pieces, as it goes into buffers. */
struct pieces {
    struct iovec part[3];
    size_t length;
};

static void write_pieces(struct e1000 *nic, struct pieces *pieces, uint64_t address, size_t size)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces->part) && size; i++) {
        struct iovec *part = &pieces->part[i];
        size_t step = MIN(size, part->iov_len);

        if (step) {
            pci_dma_write(&nic->card.pci, address, part->iov_base, step);
        }
        part->iov_base = (uint8_t *)part->iov_base + step;
        part->iov_len -= step;
        address += step;
        size -= step;
    }
}

static void write_back(struct e1000 *nic, uint64_t address, const struct report *report,
                       size_t length, bool last)
{
    uint8_t bytes[8]; /* the second half of the descriptor */

    store_le16(bytes, (uint16_t)length);
    store_le16(bytes + 2, report->checksum);
    bytes[4] = report->status | RX_DD | (last ? RX_EOP : 0);
    bytes[5] = last ? report->errors : 0;
    store_le16(bytes + 6, report->special);
    /* Status last: a driver that sees DD sees all. */
    pci_dma_write(&nic->card.pci, address + 8, bytes, 4);
    pci_dma_write(&nic->card.pci, address + 14, bytes + 6, 2);
    pci_dma_write(&nic->card.pci, address + 12, bytes + 4, 2);
}

/* There are enough descriptors. */
static void fill_descriptors(struct e1000 *nic, struct pieces *pieces, const struct report *report)
{
    uint64_t base = e1000_get(nic, RDBAL) | (uint64_t)e1000_get(nic, RDBAH) << 32;
    size_t size = buffer_size(nic);
    uint32_t head = e1000_get(nic, RDH);

    do {
        uint64_t address = base + (uint64_t)DESCRIPTOR_SIZE * head;
        size_t step = MIN(size, pieces->length);
        uint8_t buffer[8];

        if (pci_dma_read(&nic->card.pci, address, buffer, sizeof(buffer)) == MEMORY_OK) {
            write_pieces(nic, pieces, load_le64(buffer), step);
        }
        pieces->length -= step;
        write_back(nic, address, report, step, !pieces->length);
        head = head + 1 == ring_count(nic) ? 0 : head + 1;
    } while (pieces->length);
    *e1000_at(nic, RDH) = head;
}

/* Tags taken out and FCS put behind, as CTRL and RCTL say. */
static void cut_pieces(const struct e1000 *nic, const uint8_t *packet, size_t length,
                       uint8_t fcs[FCS_SIZE], struct pieces *pieces, struct report *report)
{
    bool strip = e1000_get(nic, CTRL) & CTRL_VME && has_tag(nic, packet);
    size_t head = strip ? 12 : 0, skip = strip ? 16 : 0;
    bool with_fcs = !(e1000_get(nic, RCTL) & RCTL_SECRC);

    if (with_fcs) {
        store_le32(fcs, fcs_of(nic->card.fcs, packet, length));
    }
    if (strip) {
        report->status |= RX_VP;
        report->special = (uint16_t)(packet[14] << 8 | packet[15]);
    }
    pieces->part[0] = (struct iovec){(void *)packet, head};
    pieces->part[1] = (struct iovec){(void *)(packet + skip), length - skip};
    pieces->part[2] = (struct iovec){fcs, with_fcs ? FCS_SIZE : 0};
    pieces->length = head + length - skip + pieces->part[2].iov_len;
}

static uint32_t causes_of(const struct e1000 *nic, size_t length)
{
    unsigned threshold = 1 + (e1000_get(nic, RCTL) >> 8 & 3); /* 1/2, 1/4 or 1/8 are free */
    uint32_t causes = descriptors_free(nic) <= ring_count(nic) >> threshold ? ICR_RXDMT0 : 0;

    return causes | (length + FCS_SIZE <= (e1000_get(nic, RSRPD) & 0xfff) ? ICR_SRPD : 0);
}

static bool is_too_long(const struct e1000 *nic, const uint8_t *packet, size_t length)
{
    size_t limit = e1000_get(nic, RCTL) & RCTL_LPE ? LENGTH_MAX_LONG : LENGTH_MAX;

    return length + FCS_SIZE > limit + (has_tag(nic, packet) ? 4 : 0);
}

bool e1000_receive(struct card *card, const uint8_t *packet, size_t length, bool checked)
{
    struct e1000 *nic = e1000_of(card);
    struct report report = {0};
    struct pieces pieces;
    uint8_t fcs[FCS_SIZE];
    size_t needed;

    if (!(e1000_get(nic, RCTL) & RCTL_EN) || is_pause(nic, packet) ||
        !is_wanted(nic, packet, &report.status) || !passes_vlan(nic, packet)) {
        return true;
    }
    if (is_too_long(nic, packet, length)) {
        e1000_count(nic, ROC);
        return true;
    }
    cut_pieces(nic, packet, length, fcs, &pieces, &report);
    needed = (pieces.length + buffer_size(nic) - 1) / buffer_size(nic);
    if (needed > descriptors_free(nic)) {
        if (needed < ring_count(nic) && e1000_get(nic, RDH) < ring_count(nic)) {
            return false; /* a write of RDT makes room */
        }
        e1000_count(nic, MPC);
        e1000_raise(nic, ICR_RXO);
        return true;
    }
    report_checksums(nic, packet, length, checked, &report);
    fill_descriptors(nic, &pieces, &report);
    e1000_count_received(nic, packet, length);
    e1000_received(nic, causes_of(nic, length));
    return true;
}
