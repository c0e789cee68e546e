/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What emulated network cards (rtl8139, e1000) share: a PCI function with an EEPROM and a PHY, the
 * connection to the back end, and the packet that is being put together from descriptors.
 *
 * Everything is under the device's guard. Register accesses never send: they kick (card_kick), and
 * the main loop then walks the descriptors, a budget at a time. So no access of a vCPU waits for
 * the back end, and no packet comes back into the guard that it was sent from.
 */
#ifndef DUODM_DM_NIC_CARD_H
#define DUODM_DM_NIC_CARD_H

#include "dm/net/nic.h"
#include "dm/nic/fcs.h"
#include "dm/nic/microwire.h"
#include "dm/nic/mii.h"
#include "dm/pci/pci.h"
#include "dm/task-queue.h"

#define CARD_PACKET_MIN 60 /* bytes, without FCS: shorter ones that come in are padded */
#define CARD_HEADROOM   4  /* bytes before a packet that is sent, for a VLAN tag */

struct card;

struct card_ops {
    /* A packet of at least CARD_PACKET_MIN bytes for the guest. `checked`: its checksums were found
     * good. False: no room; card_resume will be called. */
    bool (*receive)(struct card *card, const uint8_t *packet, size_t length, bool checked);
    /* Walk the descriptors to be sent; if card->refused, send that packet first. True: there is
     * more, but others shall have their turn. */
    bool (*send)(struct card *card);
    /* The link came or went: card->mii says which. */
    void (*link_changed)(struct card *card);
    const struct mii_model *mii;
    const char *rom; /* file that boots from the network; it need not be there */
};

struct card {
    struct pci_device pci;
    struct nic nic;
    const struct card_ops *ops;
    int32_t boot_index; /* property; -1: none */
    char *rom_file;     /* property; NULL: ops->rom if there is one, "": none */
    struct microwire eeprom;
    struct mii mii;
    struct fcs_tables *fcs;
    struct io_task send_task;
    bool running; /* the machine does; main loop */
    /* The packet to be sent, from packet + CARD_HEADROOM on. */
    uint8_t *packet;
    size_t length;
    struct vnet_header header;
    bool tagged;     /* card_packet_insert_tag was called: it starts 4 bytes before */
    bool spoilt;     /* it is too long, or its memory can't be read: it will be dropped */
    bool refused;    /* it is complete, and the back end had no room: card_send again */
    uint8_t *padded; /* NET_PACKET_MAX bytes: a copy of what came in pieces, or was too short */
};

#define CARD_PROPERTIES(struct_)                                                                   \
    NIC_PROPERTIES(struct_, card.nic),                                                             \
        {"bootindex",                                                                              \
         PROPERTY_BOOT_INDEX,                                                                      \
         offsetof(struct struct_, card.boot_index),                                                \
         "-1",                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "place in the order in which firmware boots; -1: none"},                                  \
    {                                                                                              \
        "romfile", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct struct_, card.rom_file),    \
            NULL, 0, 0, "option ROM, \"\" for none [that of ipxe-qemu, if it is installed]"        \
    }

#define CARD_STATE_FIELDS(struct_)                                                                 \
    MICROWIRE_STATE_FIELDS(struct_, card.eeprom), MII_STATE_FIELDS(struct_, card.mii)

/* In realize and unrealize; ops set before. The EEPROM's words are the caller's. */
bool card_realize(struct card *card, GError **error);
void card_unrealize(struct card *card);
/* PHY, EEPROM's wires and the packet under way, as at power-on. */
void card_reset(struct card *card);
/* In after_load: false if the state can't be. Kicks. */
bool card_after_load(struct card *card);

/* There may be something to send. */
void card_kick(struct card *card);
/* There may be room to receive. */
void card_resume(struct card *card);

/* The packet under way. */
void card_packet_clear(struct card *card);
void card_packet_add(struct card *card, uint64_t address, size_t length);
static inline uint8_t *card_packet(struct card *card)
{
    return card->packet + CARD_HEADROOM;
}
/* Put a VLAN tag (in its order on the wire) behind the addresses; the header's offsets follow. */
void card_packet_insert_tag(struct card *card, const uint8_t tci[2]);
/* Send the packet and clear it; what is spoilt or too short is dropped. False: the back end has no
 * room, and the packet stays: stop, card_ops.send comes again. */
bool card_send(struct card *card);

#endif
