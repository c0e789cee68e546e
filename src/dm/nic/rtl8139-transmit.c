/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending with the RTL8139C+: data sheet RTL8139C, chapter 5.6; RTL8139C+, chapter 9. Hot path. */
#include "dm/nic/offload.h"
#include "dm/nic/rtl8139.h"

/* A descriptor of C+ mode: four words. 9.1 */
#define DESCRIPTOR_SIZE 16
#define TX_OWN          0x80000000u
#define TX_EOR          0x40000000u /* end of the ring */
#define TX_FS           0x20000000u /* first of a packet */
#define TX_LS           0x10000000u
#define TX_LARGE        0x08000000u /* to be cut into segments */
#define TX_IP_CHECKSUM  0x00040000u
#define TX_UDP_CHECKSUM 0x00020000u
#define TX_TCP_CHECKSUM 0x00010000u
#define TX_SIZE         0x0000ffffu
#define TX_STATUS       0x0fff0000u /* cleared in what is given back: no error */
#define TX_ADD_TAG      0x00020000u /* in the second word */

static unsigned segment_size_of(uint32_t options)
{
    return options >> 16 & 0x7ff;
}

/* A packet that is sent comes back in: 6.7, TCR.LBK. */
static bool send_packet(struct rtl8139 *nic)
{
    struct card *card = &nic->card;

    if (rtl8139_get32(nic, TCR) & TCR_LOOPBACK) {
        if (!card->spoilt && card->length >= ETHERNET_HEADER_SIZE) {
            rtl8139_receive(card, card_packet(card), card->length, false);
        }
        card_packet_clear(card);
        return true;
    }
    return card_send(card);
}

/* C mode: four descriptors in registers, in turn. */

static bool registers_send(struct rtl8139 *nic)
{
    struct card *card = &nic->card;

    for (unsigned i = 0; i < 4; i++) {
        unsigned number = nic->send_descriptor;
        uint8_t *status = nic->registers + TSD0 + 4 * number;
        bool good;

        if (load_le32(status) & TSD_OWN) {
            return false;
        }
        if (!card->refused) {
            card_packet_clear(card);
            card_packet_add(card, rtl8139_get32(nic, TSAD0 + 4 * number),
                            load_le32(status) & TSD_SIZE);
        }
        good = !card->spoilt;
        if (!send_packet(nic)) {
            return false;
        }
        store_le32(status, load_le32(status) | TSD_OWN | (good ? TSD_TOK : TSD_TABT));
        nic->tally[good ? TALLY_TX_OK : TALLY_TX_ABORTED]++;
        nic->send_descriptor = (number + 1) % 4;
        rtl8139_raise(nic, good ? ISR_TOK : ISR_TER | ISR_SERR);
    }
    return true;
}

/* C+ mode: rings of descriptors. */

static uint64_t ring_address(const struct rtl8139 *nic, unsigned queue, uint32_t index)
{
    uint64_t base = load_le64(nic->registers + (queue ? THPDS : TNPDS)) & ~(uint64_t)0xff;

    return base + (uint64_t)DESCRIPTOR_SIZE * index;
}

static uint32_t next_index(uint32_t index, uint32_t options)
{
    return options & TX_EOR ? 0 : (index + 1) % RTL8139_RING_MAX;
}

/* The driver gets the descriptors of the packet back. False: memory does not take it. */
static bool give_back(struct rtl8139 *nic)
{
    bool good = true;

    for (unsigned i = 0; i < nic->used_count; i++) {
        uint8_t word[4];

        store_le32(word, nic->used[i].options & ~(TX_OWN | TX_STATUS));
        good = pci_dma_write(&nic->card.pci, ring_address(nic, nic->used_queue, nic->used[i].index),
                             word, 4) == MEMORY_OK &&
               good;
    }
    if (nic->used_count) {
        unsigned last = nic->used_count - 1;

        nic->send_index[nic->used_queue] =
            next_index(nic->used[last].index, nic->used[last].options);
    }
    nic->used_count = 0;
    return good;
}

/* What is left to do to a packet, by its last descriptor. */
static void prepare(struct rtl8139 *nic, uint32_t options, uint32_t tag)
{
    struct card *card = &nic->card;
    uint8_t *packet = card_packet(card);
    struct packet_layout layout;

    if ((options & (TX_LARGE | TX_IP_CHECKSUM | TX_UDP_CHECKSUM | TX_TCP_CHECKSUM)) &&
        packet_find_layout(packet, card->length, &layout)) {
        unsigned wanted = layout.protocol == PROTOCOL_TCP ? TX_TCP_CHECKSUM : TX_UDP_CHECKSUM;

        if (options & TX_LARGE) { /* what lies under MSS is no checksum request */
            card->spoilt =
                card->spoilt || layout.protocol != PROTOCOL_TCP ||
                !packet_request_segments(packet, card->length, &layout,
                                         (uint16_t)segment_size_of(options), &card->header);
        } else {
            if (options & TX_IP_CHECKSUM && !layout.is_ipv6) {
                packet_write_ipv4_checksum(packet, &layout);
            }
            if (options & wanted && layout.is_whole && packet_has_transport(&layout)) {
                packet_request_checksum(packet, &layout, &card->header);
            }
        }
    }
    if (tag & TX_ADD_TAG) {
        uint8_t tci[2];

        store_le16(tci, (uint16_t)tag);
        card_packet_insert_tag(card, tci);
    }
}

static bool load_descriptor(struct rtl8139 *nic, unsigned queue, uint32_t index, uint8_t *bytes)
{
    return pci_dma_read(&nic->card.pci, ring_address(nic, queue, index), bytes, DESCRIPTOR_SIZE) ==
               MEMORY_OK &&
           load_le32(bytes) & TX_OWN;
}

enum gathered { COMPLETE, INCOMPLETE, BROKEN };

/* Collect the packet that begins at the queue's index. */
static enum gathered gather(struct rtl8139 *nic, unsigned queue)
{
    struct card *card = &nic->card;
    uint32_t index = nic->send_index[queue];
    uint8_t bytes[DESCRIPTOR_SIZE];

    card_packet_clear(card);
    nic->used_queue = queue;
    for (nic->used_count = 0; nic->used_count < RTL8139_RING_MAX;) {
        uint32_t options;

        if (!load_descriptor(nic, queue, index, bytes)) {
            return INCOMPLETE;
        }
        options = load_le32(bytes);
        if (options & TX_FS) {
            card_packet_clear(card);
        }
        nic->used[nic->used_count].index = index;
        nic->used[nic->used_count++].options = options;
        card_packet_add(card, load_le64(bytes + 8), options & TX_SIZE);
        if (options & TX_LS) {
            prepare(nic, options, load_le32(bytes + 4));
            return COMPLETE;
        }
        index = next_index(index, options);
    }
    return BROKEN; /* a ring without an end of a packet */
}

/* Send what the queue holds; at most a ring of it, for TPPoll says when there is more. False: the
 * back end has no room. */
static bool queue_send(struct rtl8139 *nic, unsigned queue)
{
    struct card *card = &nic->card;

    for (unsigned i = 0; i < RTL8139_RING_MAX; i++) {
        bool good;

        if (!card->refused || nic->used_queue != queue) {
            enum gathered gathered = gather(nic, queue);

            if (gathered == INCOMPLETE) {
                bool started = nic->used_count;

                nic->used_count = 0;
                nic->polled[queue] = false;
                rtl8139_raise(nic, started ? 0 : ISR_TDU);
                return true;
            }
            card->spoilt |= gathered == BROKEN;
        }
        good = !card->spoilt;
        if (!send_packet(nic)) {
            return false;
        }
        nic->tally[good ? TALLY_TX_OK : TALLY_TX_ERROR]++;
        if (!give_back(nic)) {
            nic->polled[queue] = false;
            rtl8139_raise(nic, ISR_TER | ISR_SERR);
            return true;
        }
        rtl8139_raise(nic, good ? ISR_TOK : ISR_TER);
    }
    nic->polled[queue] = false;
    return true;
}

bool rtl8139_send(struct card *card)
{
    struct rtl8139 *nic = rtl8139_of(card);

    if (!(nic->registers[CR] & CR_TE)) {
        return false;
    }
    if (!(nic->registers[CPCR] & CPCR_TE)) {
        return registers_send(nic);
    }
    /* High priority goes first; a packet that was refused keeps its place. */
    for (unsigned k = 0; k < RTL8139_QUEUES; k++) {
        unsigned queue = card->refused ? nic->used_queue : RTL8139_QUEUES - 1 - k;

        if (nic->polled[queue] && !queue_send(nic, queue)) {
            return false;
        }
    }
    return nic->polled[0] || nic->polled[1];
}
