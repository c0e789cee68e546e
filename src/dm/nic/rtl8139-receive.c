/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receiving with the RTL8139C+: data sheet RTL8139C, chapter 5.7; RTL8139C+, chapter 9. Hot path.
 */
#include "dm/machine.h"
#include "dm/nic/offload.h"
#include "dm/nic/rtl8139.h"

#define FCS_SIZE 4

/* Before each packet in the ring of C mode: status, length with FCS. 5.2 */
#define RING_HEADER     4
#define STATUS_ROK      0x0001
#define STATUS_BAR      0x2000 /* broadcast */
#define STATUS_PAM      0x4000 /* physical address matched */
#define STATUS_MAR      0x8000 /* multicast */
#define ERSR_ERGOOD     0x08
#define RING_PACKET_MAX 1792 /* bytes; RCR.WRAP makes use of little more past the ring's end */
#define RING_PADDING    4    /* packets begin at multiples of that */

/* A descriptor of C+ mode: four words. 9.2 */
#define DESCRIPTOR_SIZE  16
#define RX_OWN           0x80000000u
#define RX_EOR           0x40000000u /* end of the ring */
#define RX_FS            0x20000000u /* first of a packet */
#define RX_LS            0x10000000u
#define RX_MAR           0x04000000u
#define RX_PAM           0x02000000u
#define RX_BAR           0x01000000u
#define RX_PROTOCOL_TCP  0x00010000u
#define RX_PROTOCOL_UDP  0x00020000u
#define RX_PROTOCOL_IP   0x00030000u
#define RX_IP_FAILED     0x00008000u
#define RX_UDP_FAILED    0x00004000u
#define RX_TCP_FAILED    0x00002000u
#define RX_SIZE          0x00001fffu
#define RX_TAG_AVAILABLE 0x00010000u /* in the second word */

/* How long the card holds a packet for which no descriptor is free. Drivers refill the ring without
 * telling: a write of ISR or IMR is taken as a sign, and time runs out in the end. */
#define RETRY_NS    1000000u
#define PATIENCE_NS 20000000u

/* 5.7: which packets are taken, and how the status says so (as in a ring's header). */
static unsigned classify(const struct rtl8139 *nic, const uint8_t *packet)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rcr = rtl8139_get32(nic, RCR);
    unsigned hash;

    if (memcmp(packet, broadcast, 6) == 0) {
        return rcr & (RCR_AB | RCR_AAP) ? STATUS_BAR : 0;
    }
    if (packet[0] & 1) {
        hash = fcs_hash(packet) >> 26;
        return rcr & RCR_AAP || (rcr & RCR_AM && nic->registers[MAR0 + hash / 8] >> (hash % 8) & 1)
                   ? STATUS_MAR
                   : 0;
    }
    if (memcmp(packet, nic->registers + IDR0, 6) == 0) {
        return rcr & (RCR_APM | RCR_AAP) ? STATUS_PAM : 0;
    }
    return rcr & RCR_AAP ? STATUS_ROK : 0; /* somebody else's */
}

static void count_missed(struct rtl8139 *nic)
{
    uint32_t missed = (load_le32(nic->registers + MPC) + 1) & 0xffffff;

    memcpy(nic->registers + MPC, &(uint32_t){GUINT32_TO_LE(missed)}, 3);
    nic->tally[TALLY_MISSED]++;
}

static void count_received(struct rtl8139 *nic, unsigned kind)
{
    nic->tally[TALLY_RX_OK]++;
    nic->tally[kind == STATUS_BAR   ? TALLY_RX_BROADCAST
               : kind == STATUS_MAR ? TALLY_RX_MULTICAST
                                    : TALLY_RX_PHYSICAL]++;
}

/* C mode: a ring of bytes. */

static uint32_t ring_size(const struct rtl8139 *nic)
{
    return 8192u << (rtl8139_get32(nic, RCR) >> 11 & 3);
}

static uint32_t ring_read_position(const struct rtl8139 *nic)
{
    return (rtl8139_get16(nic, CAPR) + 16u) % ring_size(nic);
}

bool rtl8139_ring_is_empty(const struct rtl8139 *nic)
{
    return rtl8139_get16(nic, CBR) % ring_size(nic) == ring_read_position(nic);
}

/* Bytes at a place in the ring; past the end if WRAP says so, for that is the driver's room. */
static bool ring_write(struct rtl8139 *nic, uint32_t position, const void *data, size_t length)
{
    uint32_t size = ring_size(nic), start = rtl8139_get32(nic, RBSTART);
    bool linear = (rtl8139_get32(nic, RCR) & RCR_WRAP) && size < 65536;
    size_t first = length;

    if (!linear) {
        position %= size;
        first = MIN(length, size - position);
    }
    return pci_dma_write(&nic->card.pci, (uint64_t)start + position, data, first) == MEMORY_OK &&
           (first == length || pci_dma_write(&nic->card.pci, start, (const uint8_t *)data + first,
                                             length - first) == MEMORY_OK);
}

static bool ring_receive(struct rtl8139 *nic, const uint8_t *packet, size_t length, unsigned kind)
{
    uint32_t size = ring_size(nic), position = rtl8139_get16(nic, CBR) % size;
    uint32_t read = ring_read_position(nic), room = (read - position - 1) % size;
    size_t total = RING_HEADER + length + FCS_SIZE;
    size_t needed = (total + RING_PADDING - 1) & ~(size_t)(RING_PADDING - 1);
    uint8_t header[RING_HEADER], fcs[FCS_SIZE];
    bool written;

    if (length > RING_PACKET_MAX) {
        rtl8139_raise(nic, ISR_RER);
        nic->tally[TALLY_RX_ERROR]++;
        return true;
    }
    if (needed > room) {
        return false; /* a write of CAPR makes room */
    }
    store_le16(header, (uint16_t)(kind | STATUS_ROK));
    store_le16(header + 2, (uint16_t)(length + FCS_SIZE));
    store_le32(fcs, fcs_of(nic->card.fcs, packet, length));
    written = ring_write(nic, position, header, RING_HEADER) &&
              ring_write(nic, position + RING_HEADER, packet, length) &&
              ring_write(nic, position + RING_HEADER + (uint32_t)length, fcs, FCS_SIZE);
    store_le16(nic->registers + CBR, (uint16_t)((position + needed) % size));
    if (rtl8139_get32(nic, RCR) & RCR_ERTH) {
        store_le16(nic->registers + ERBCR, (uint16_t)(length + FCS_SIZE));
        nic->registers[ERSR] |= ERSR_ERGOOD;
    }
    count_received(nic, kind);
    rtl8139_raise(nic, written ? ISR_ROK : ISR_ROK | ISR_SERR);
    return true;
}

/* C+ mode: descriptors. */

struct rx_descriptor {
    uint32_t options, tag;
    uint64_t buffer;
};

static uint64_t descriptor_address(const struct rtl8139 *nic)
{
    return load_le64(nic->registers + RDSAR) + (uint64_t)DESCRIPTOR_SIZE * nic->receive_index;
}

static bool load_descriptor(struct rtl8139 *nic, struct rx_descriptor *descriptor)
{
    uint8_t bytes[DESCRIPTOR_SIZE];

    if (pci_dma_read(&nic->card.pci, descriptor_address(nic), bytes, sizeof(bytes)) != MEMORY_OK) {
        return false;
    }
    descriptor->options = load_le32(bytes);
    descriptor->tag = load_le32(bytes + 4);
    descriptor->buffer = load_le64(bytes + 8);
    return descriptor->options & RX_OWN;
}

/* The second word goes first: when OWN is clear, all of it is there. */
static void give_back(struct rtl8139 *nic, const struct rx_descriptor *descriptor, uint32_t status,
                      uint32_t tag)
{
    uint64_t address = descriptor_address(nic);
    uint8_t word[4];
    bool last = descriptor->options & RX_EOR;

    store_le32(word, tag);
    pci_dma_write(&nic->card.pci, address + 4, word, 4);
    store_le32(word, status | (descriptor->options & RX_EOR));
    pci_dma_write(&nic->card.pci, address, word, 4);
    nic->receive_index = last ? 0 : (nic->receive_index + 1) % RTL8139_RING_MAX;
}

/* 9.2.2: what was found out about the checksums. */
static uint32_t checksum_status(const struct rtl8139 *nic, const uint8_t *packet, size_t length,
                                bool checked)
{
    struct packet_layout layout;
    uint32_t status = RX_PROTOCOL_IP;

    if (!(rtl8139_get16(nic, CPCR) & CPCR_CHECKSUM) ||
        !packet_find_layout(packet, length, &layout) || layout.is_ipv6) {
        return 0;
    }
    if (!packet_ipv4_checksum_is_good(packet, &layout)) {
        return status | RX_IP_FAILED;
    }
    if (!layout.is_whole || !packet_has_transport(&layout)) {
        return status;
    }
    status = layout.protocol == PROTOCOL_TCP ? RX_PROTOCOL_TCP : RX_PROTOCOL_UDP;
    if (!checked && !packet_transport_checksum_is_good(packet, &layout)) {
        status |= layout.protocol == PROTOCOL_TCP ? RX_TCP_FAILED : RX_UDP_FAILED;
    }
    return status;
}

/* What a packet is made of on its way into buffers: with VLAN tag taken out, and FCS. */
struct pieces {
    struct iovec part[3];
    size_t length;
    uint32_t tag; /* second word of the descriptor */
};

static void cut_pieces(struct rtl8139 *nic, const uint8_t *packet, size_t length,
                       uint8_t fcs[FCS_SIZE], struct pieces *pieces)
{
    bool strip =
        (rtl8139_get16(nic, CPCR) & CPCR_VLAN) && (packet[12] << 8 | packet[13]) == ETHERNET_VLAN;
    size_t head = strip ? 12 : 0, skip = strip ? 16 : 0;

    store_le32(fcs, fcs_of(nic->card.fcs, packet, length));
    pieces->part[0] = (struct iovec){(void *)packet, head};
    pieces->part[1] = (struct iovec){(void *)(packet + skip), length - skip};
    pieces->part[2] = (struct iovec){fcs, FCS_SIZE};
    pieces->length = head + length - skip + FCS_SIZE;
    pieces->tag = strip ? RX_TAG_AVAILABLE | load_le16(packet + 14) : 0;
}

/* Move `size` bytes from the start of the pieces to guest memory. */
static bool write_pieces(struct rtl8139 *nic, struct pieces *pieces, uint64_t address, size_t size)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces->part) && size; i++) {
        struct iovec *part = &pieces->part[i];
        size_t step = MIN(size, part->iov_len);

        if (step && pci_dma_write(&nic->card.pci, address, part->iov_base, step) != MEMORY_OK) {
            return false;
        }
        part->iov_base = (uint8_t *)part->iov_base + step;
        part->iov_len -= step;
        address += step;
        size -= step;
    }
    return true;
}

/* No descriptor is free: hold the packet for a while, then miss all until there is one. */
static bool wait_for_descriptor(struct rtl8139 *nic)
{
    uint64_t now = machine_clock_now(nic->card.pci.device.machine->clock);

    if (!(rtl8139_get16(nic, ISR) & ISR_RXOVW)) {
        rtl8139_raise(nic, ISR_RXOVW);
    }
    if (nic->overflowing) {
        count_missed(nic);
        return true;
    }
    if (!nic->waits_until) {
        nic->waits_until = now + PATIENCE_NS;
    } else if (now >= nic->waits_until) {
        nic->waits_until = 0;
        nic->overflowing = true;
        count_missed(nic);
        return true;
    }
    clock_timer_arm(&nic->patience, now + RETRY_NS);
    return false;
}

void rtl8139_retry_receive(void *opaque)
{
    card_resume(&((struct rtl8139 *)opaque)->card);
}

static bool descriptors_receive(struct rtl8139 *nic, const uint8_t *packet, size_t length,
                                unsigned kind, bool checked)
{
    uint32_t status = RX_FS | checksum_status(nic, packet, length, checked);
    struct rx_descriptor descriptor;
    uint8_t fcs[FCS_SIZE];
    struct pieces pieces;
    size_t total;
    bool written = true;

    if (!load_descriptor(nic, &descriptor)) {
        return wait_for_descriptor(nic);
    }
    nic->waits_until = 0;
    nic->overflowing = false;
    cut_pieces(nic, packet, length, fcs, &pieces);
    total = pieces.length;
    if (total > RX_SIZE) {
        nic->tally[TALLY_RX_ERROR]++;
        return true; /* its length can't be said */
    }
    status |= kind == STATUS_BAR   ? RX_BAR
              : kind == STATUS_MAR ? RX_MAR
              : kind == STATUS_PAM ? RX_PAM
                                   : 0;
    for (unsigned i = 0; i < RTL8139_RING_MAX; i++) {
        size_t step = MIN(descriptor.options & RX_SIZE, pieces.length);

        written = write_pieces(nic, &pieces, descriptor.buffer, step) && written;
        pieces.length -= step;
        if (!pieces.length) {
            give_back(nic, &descriptor, status | RX_LS | (uint32_t)total, pieces.tag);
            count_received(nic, kind);
            rtl8139_raise(nic, written ? ISR_ROK : ISR_ROK | ISR_SERR);
            return true;
        }
        give_back(nic, &descriptor, status | (uint32_t)step, 0);
        status &= ~RX_FS;
        if (!load_descriptor(nic, &descriptor)) {
            break;
        }
    }
    /* The ring ended in the middle of the packet. */
    nic->tally[TALLY_RX_ERROR]++;
    rtl8139_raise(nic, ISR_RER | ISR_RXOVW);
    return true;
}

bool rtl8139_receive(struct card *card, const uint8_t *packet, size_t length, bool checked)
{
    struct rtl8139 *nic = rtl8139_of(card);
    unsigned kind;

    if (!(nic->registers[CR] & CR_RE)) {
        return true;
    }
    kind = classify(nic, packet);
    if (!kind) {
        return true;
    }
    if (nic->registers[CPCR] & CPCR_RE) {
        return descriptors_receive(nic, packet, length, kind, checked);
    }
    return ring_receive(nic, packet, length, kind & ~(unsigned)STATUS_ROK);
}
