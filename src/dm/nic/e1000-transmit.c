/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending with the 82540EM: 3.3 to 3.5. Main loop. Hot path. */
#include "dm/net/checksum.h"
#include "dm/net/segment.h"
#include "dm/nic/e1000.h"
#include "dm/nic/offload.h"

#define DESCRIPTOR_SIZE 16
#define BUDGET          256 /* descriptors of one call */

/* Offsets of bytes in a descriptor. */
#define AT_LENGTH     8
#define AT_LEGACY_CSO 10
#define AT_COMMAND    11
#define AT_STATUS     12
#define AT_LEGACY_CSS 13
#define AT_OPTIONS    13 /* of a data descriptor: POPTS */
#define AT_SPECIAL    14
#define TYPE_SHIFT    20 /* DTYP in the word at 8 */
#define TYPE_CONTEXT  0
#define LEGACY_LENGTH 0x0000ffffu
#define DATA_LENGTH   0x000fffffu

/* Command bits; those of TUCMD that differ follow. */
#define CMD_EOP   0x01
#define CMD_IC    0x04 /* legacy: insert checksum */
#define CMD_TSE   0x04 /* data and context: segmentation */
#define CMD_RS    0x08 /* report status */
#define CMD_RPS   0x10
#define CMD_DEXT  0x20 /* not a legacy descriptor */
#define CMD_VLE   0x40
#define CMD_IDE   0x80 /* interrupt by TIDV */
#define TUCMD_TCP 0x01
#define TUCMD_IP  0x02 /* IPv4 */

#define POPTS_IXSM 0x01 /* insert IP checksum */
#define POPTS_TXSM 0x02

#define STATUS_DD 0x01

struct descriptor {
    uint64_t address; /* its own */
    uint8_t bytes[DESCRIPTOR_SIZE];
};

/* What a run has to tell the driver at its end. */
struct outcome {
    bool written_back, delayed; /* with CMD_RS: at once, or by TIDV */
};

/* 3.3.6 */
static void set_context(struct e1000 *nic, const uint8_t *bytes)
{
    uint8_t command = bytes[AT_COMMAND];
    struct e1000_context *context = command & CMD_TSE ? &nic->segmentation : &nic->context;

    *context = (struct e1000_context){
        .ip_start = bytes[0],
        .ip_offset = bytes[1],
        .ip_end = load_le16(bytes + 2),
        .start = bytes[4],
        .offset = bytes[5],
        .end = load_le16(bytes + 6),
        .header_length = bytes[13],
        .segment_size = load_le16(bytes + 14),
        .is_tcp = command & TUCMD_TCP,
        .is_ipv4 = command & TUCMD_IP,
    };
}

/* Checksum of [start, end) at offset, whose old value counts. end 0: to the end of the packet. */
static void insert_checksum(struct card *card, size_t start, size_t end, size_t offset)
{
    uint8_t *packet = card_packet(card);
    uint16_t sum;

    end = end && end < card->length ? end : card->length;
    if (start >= end || offset + 2 > card->length) {
        return;
    }
    sum = checksum_finish(checksum_add(0, packet + start, end - start));
    memcpy(packet + offset, &sum, sizeof(sum));
}

/* The same to the end of the packet, left to the back end if it can be said to it. */
static void request_checksum(struct card *card, size_t start, size_t end, size_t offset)
{
    if ((end && end < card->length) || offset < start || start >= card->length ||
        offset + 2 > card->length) {
        insert_checksum(card, start, end, offset);
        return;
    }
    card->header.flags = VNET_NEEDS_CHECKSUM;
    card->header.checksum_start = (uint16_t)start;
    card->header.checksum_offset = (uint16_t)(offset - start);
}

/* 3.5: one large packet, which the net layer or the host cuts. */
static void request_segments(struct e1000 *nic)
{
    const struct e1000_context *context = &nic->segmentation;
    struct card *card = &nic->card;
    struct packet_layout layout;

    if (!packet_find_layout_at(card_packet(card), card->length, context->ip_start,
                               !context->is_ipv4, &layout) ||
        context->start < layout.transport) {
        card->spoilt = true;
        return;
    }
    layout.transport = context->start; /* behind extension headers of IPv6 */
    layout.protocol = context->is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    card->spoilt |= layout.transport > card->length ||
                    !packet_request_segments(card_packet(card), card->length, &layout,
                                             context->segment_size, &card->header);
    e1000_count(nic, TSCTC);
}

static void prepare_checksums(struct e1000 *nic)
{
    struct card *card = &nic->card;

    if (nic->is_legacy) {
        if (nic->command & CMD_IC) {
            request_checksum(card, nic->checksum_start, 0, nic->checksum_offset);
        }
        return;
    }
    if (nic->command & CMD_TSE) {
        request_segments(nic);
        return;
    }
    if (nic->options & POPTS_IXSM) {
        insert_checksum(card, nic->context.ip_start, nic->context.ip_end + 1u,
                        nic->context.ip_offset);
    }
    if (nic->options & POPTS_TXSM) {
        request_checksum(card, nic->context.start, nic->context.end ? nic->context.end + 1u : 0,
                         nic->context.offset);
    }
}

/* The packet has all its pieces. */
static void prepare(struct e1000 *nic)
{
    struct card *card = &nic->card;

    if (!card->spoilt) {
        prepare_checksums(nic);
    }
    if (nic->command & CMD_VLE && e1000_get(nic, CTRL) & CTRL_VME) {
        uint8_t tci[2] = {(uint8_t)(nic->special >> 8), (uint8_t)nic->special};

        card_packet_insert_tag(card, tci);
    }
    if (e1000_get(nic, TCTL) & TCTL_PSP && card->length < CARD_PACKET_MIN) {
        memset(card_packet(card) + card->length, 0, CARD_PACKET_MIN);
        card->length = CARD_PACKET_MIN;
    }
}

/* Does what is sent come back in: 13.4.22 (MAC), or by the PHY? */
static bool is_loopback(const struct e1000 *nic)
{
    return (e1000_get(nic, RCTL) & RCTL_LBM) == RCTL_LBM_MAC ||
           nic->card.mii.registers[MII_BMCR] & MII_BMCR_LOOPBACK;
}

static void loop_back(struct card *card)
{
    uint8_t *packet = card_packet(card) - (card->tagged ? 4 : 0);

    if (!card->spoilt && card->length >= CARD_PACKET_MIN && !card->header.gso_type) {
        if (card->header.flags && vnet_header_is_valid(&card->header, card->length)) {
            packet_finish_checksum(packet, card->length, &card->header);
        }
        e1000_receive(card, packet, card->length, true);
    }
    card_packet_clear(card);
}

/* False: the back end has no room. */
static bool send_packet(struct e1000 *nic)
{
    struct card *card = &nic->card;

    if (is_loopback(nic)) {
        loop_back(card);
        return true;
    }
    if (!card->refused && !card->spoilt && card->length >= ETHERNET_HEADER_SIZE) {
        e1000_count_sent(nic, card_packet(card) - (card->tagged ? 4 : 0), card->length);
    }
    return card_send(card);
}

/* 3.3.3.2 */
static void report_status(struct e1000 *nic, uint64_t address, uint8_t command, uint8_t status,
                          struct outcome *outcome)
{
    if (command & (CMD_RS | CMD_RPS)) {
        status |= STATUS_DD;
        pci_dma_write(&nic->card.pci, address + AT_STATUS, &status, 1);
        *(command & CMD_IDE ? &outcome->delayed : &outcome->written_back) = true;
    }
}

static void packet_done(struct e1000 *nic, struct outcome *outcome)
{
    report_status(nic, nic->last.address, nic->last.command, nic->last.status, outcome);
    nic->fragment = false;
    *e1000_at(nic, TDH) = nic->send_next;
}

/* What the first descriptor of a packet says for all of it. */
static void begin_packet(struct e1000 *nic, const uint8_t *bytes)
{
    nic->is_legacy = !(bytes[AT_COMMAND] & CMD_DEXT);
    nic->command = bytes[AT_COMMAND];
    nic->options = nic->is_legacy ? 0 : bytes[AT_OPTIONS];
    nic->fragment = true;
    card_packet_clear(&nic->card);
}

/* A data or legacy descriptor. False: it ended a packet for which there is no room. */
static bool add_data(struct e1000 *nic, const struct descriptor *descriptor,
                     struct outcome *outcome)
{
    const uint8_t *bytes = descriptor->bytes;
    uint32_t word = load_le32(bytes + AT_LENGTH);
    uint8_t command = bytes[AT_COMMAND];
    size_t length = command & CMD_DEXT ? word & DATA_LENGTH : word & LEGACY_LENGTH;

    if (!nic->fragment) {
        begin_packet(nic, bytes);
    }
    if (length) {
        card_packet_add(&nic->card, load_le64(bytes), length);
    }
    if (!(command & CMD_EOP)) {
        report_status(nic, descriptor->address, command, bytes[AT_STATUS], outcome);
        return true;
    }
    /* Legacy checksums and tags are those of the last descriptor: 3.3.3.1. */
    if (nic->is_legacy) {
        nic->command = command;
        nic->checksum_start = bytes[AT_LEGACY_CSS];
        nic->checksum_offset = bytes[AT_LEGACY_CSO];
    }
    nic->command |= command & CMD_VLE;
    nic->special = load_le16(bytes + AT_SPECIAL);
    nic->last.address = descriptor->address;
    nic->last.command = command;
    nic->last.status = bytes[AT_STATUS];
    prepare(nic);
    if (!send_packet(nic)) {
        return false;
    }
    packet_done(nic, outcome);
    return true;
}

static bool load_descriptor(struct e1000 *nic, struct descriptor *descriptor)
{
    uint64_t base = e1000_get(nic, TDBAL) | (uint64_t)e1000_get(nic, TDBAH) << 32;

    descriptor->address = base + (uint64_t)DESCRIPTOR_SIZE * nic->send_next;
    return pci_dma_read(&nic->card.pci, descriptor->address, descriptor->bytes, DESCRIPTOR_SIZE) ==
           MEMORY_OK;
}

static bool is_context(const struct descriptor *descriptor)
{
    unsigned type = load_le32(descriptor->bytes + AT_LENGTH) >> TYPE_SHIFT & 15;

    return descriptor->bytes[AT_COMMAND] & CMD_DEXT && type == TYPE_CONTEXT;
}

/* Walk from send_next to TDT. True: all of it. */
static bool walk(struct e1000 *nic, struct outcome *outcome)
{
    uint32_t count = e1000_get(nic, TDLEN) / DESCRIPTOR_SIZE, tail = e1000_get(nic, TDT);

    if (nic->send_next >= count || tail >= count || nic->send_next == tail) {
        return true; /* no such place, or nothing there */
    }
    for (unsigned i = 0; nic->send_next != tail; i++) {
        struct descriptor descriptor;
        bool readable = load_descriptor(nic, &descriptor);

        if (i == BUDGET) {
            return false;
        }
        nic->send_next = nic->send_next + 1 == count ? 0 : nic->send_next + 1;
        if (!readable || is_context(&descriptor)) {
            if (readable) {
                set_context(nic, descriptor.bytes);
                report_status(nic, descriptor.address, descriptor.bytes[AT_COMMAND],
                              descriptor.bytes[AT_STATUS], outcome);
            }
            *e1000_at(nic, TDH) = nic->fragment ? e1000_get(nic, TDH) : nic->send_next;
        } else if (!add_data(nic, &descriptor, outcome)) {
            return true; /* the back end calls when it has room */
        }
    }
    *e1000_at(nic, ICR) |= ICR_TXQE;
    return true;
}

bool e1000_send(struct card *card)
{
    struct e1000 *nic = e1000_of(card);
    struct outcome outcome = {0};
    bool all = true;

    if (!(e1000_get(nic, TCTL) & TCTL_EN)) {
        return false;
    }
    if (card->refused) {
        if (!send_packet(nic)) {
            return false;
        }
        packet_done(nic, &outcome);
    }
    all = walk(nic, &outcome);
    if (outcome.delayed) {
        e1000_sent(nic);
    }
    if (outcome.written_back) {
        *e1000_at(nic, ICR) |= ICR_TXDW;
    }
    e1000_update_interrupt(nic);
    return !all;
}
