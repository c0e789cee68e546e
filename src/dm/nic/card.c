/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/nic/card.h"
#include "dm/machine.h"

#include <string.h>

#define RARP_SIZE 60 /* of the packet that tells switches where a card is */

/* From the guest to the outside. */

void card_packet_clear(struct card *card)
{
    card->length = 0;
    card->header = (struct vnet_header){0};
    card->tagged = card->spoilt = card->refused = false;
}

void card_packet_add(struct card *card, uint64_t address, size_t length)
{
    if (length > NET_PACKET_MAX - card->length ||
        pci_dma_read(&card->pci, address, card_packet(card) + card->length, length) != MEMORY_OK) {
        card->spoilt = true;
        return;
    }
    card->length += length;
}

void card_packet_insert_tag(struct card *card, const uint8_t tci[2])
{
    static const uint8_t type[2] = {ETHERNET_VLAN >> 8, ETHERNET_VLAN & 0xff};
    uint8_t *packet = card_packet(card);

    if (card->length < ETHERNET_HEADER_SIZE || card->length + 4 > NET_PACKET_MAX) {
        card->spoilt = true;
        return;
    }
    /* All but the addresses stays where it is: the packet begins in the headroom from now on. */
    memmove(packet - 4, packet, 12);
    memcpy(packet + 8, type, 2);
    memcpy(packet + 10, tci, 2);
    card->tagged = true;
    card->length += 4;
    card->header.checksum_start += card->header.flags & VNET_NEEDS_CHECKSUM ? 4 : 0;
    card->header.header_length += card->header.gso_type ? 4 : 0;
}

bool card_send(struct card *card)
{
    struct iovec piece = {card_packet(card) - (card->tagged ? 4 : 0), card->length};

    if (!card->spoilt && card->length >= ETHERNET_HEADER_SIZE &&
        !net_send(&card->nic.client, 0, &card->header, &piece, 1)) {
        card->refused = true;
        return false;
    }
    card_packet_clear(card);
    return true;
}

/* Main loop. */
static void send_now(void *opaque)
{
    struct card *card = opaque;
    bool more;

    if (!card->running || !access_guard_enter(&card->pci.device.guard)) {
        return;
    }
    more = card->ops->send(card);
    access_guard_leave(&card->pci.device.guard);
    if (more) {
        card_kick(card);
    }
}

void card_kick(struct card *card)
{
    machine_post(card->pci.device.machine, &card->send_task);
}

/* From the outside to the guest. Called in the main loop, within the guard. */

static bool card_receive(void *opaque, unsigned queue, const struct vnet_header *header,
                         const struct iovec *data, unsigned count)
{
    struct card *card = opaque;
    size_t length = packet_length(data, count);
    const uint8_t *packet = data[0].iov_base;

    if (!card->running) {
        return false; /* machine_ran asks for it again */
    }
    if (length < ETHERNET_HEADER_SIZE || length > NET_PACKET_MAX) {
        return true;
    }
    if (count > 1 || length < CARD_PACKET_MIN) {
        packet_copy(card->padded, NET_PACKET_MAX, data, count);
        if (length < CARD_PACKET_MIN) {
            memset(card->padded + length, 0, CARD_PACKET_MIN - length);
            length = CARD_PACKET_MIN;
        }
        packet = card->padded;
    }
    return card->ops->receive(card, packet, length, header->flags & VNET_DATA_VALID);
}

static void card_writable(void *opaque, unsigned queue)
{
    card_kick(opaque);
}

void card_resume(struct card *card)
{
    net_resume(&card->nic.client, 0);
}

static void card_link_changed(void *opaque)
{
    struct card *card = opaque;

    mii_set_carrier(&card->mii, net_client_link_is_up(&card->nic.client));
    card->ops->link_changed(card);
}

/* Say by a broadcast of RARP (RFC 903) that this address is reached here. Main loop. */
static void card_announce(struct nic *nic)
{
    uint8_t packet[RARP_SIZE] = {0};
    static const uint8_t request[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
    struct iovec piece = {packet, sizeof(packet)};
    const struct vnet_header complete = {0};

    memset(packet, 0xff, 6);
    memcpy(packet + 6, nic->filter.mac, 6);
    memcpy(packet + 12, request, sizeof(request));
    memcpy(packet + 22, nic->filter.mac, 6);
    memcpy(packet + 32, nic->filter.mac, 6);
    net_send(&nic->client, 0, &complete, &piece, 1); /* no room: the next packet tells as well */
}

/* Life. */

static void machine_ran(void *opaque, bool running)
{
    struct card *card = opaque;

    card->running = running;
    if (running) {
        card_kick(card);
        card_resume(card);
    }
}

/* The usual ROM may be missing: then nobody boots from the network. */
static bool register_rom(struct card *card, GError **error)
{
    if (!card->rom_file) {
        pci_register_rom(&card->pci, card->ops->rom, NULL);
        return true;
    }
    return !*card->rom_file || pci_register_rom(&card->pci, card->rom_file, error);
}

bool card_realize(struct card *card, GError **error)
{
    struct device *device = &card->pci.device;
    struct nic *nic = &card->nic;

    if (!register_rom(card, error) || !nic_realize(nic, device, error)) {
        return false;
    }
    nic->announce = card_announce;
    nic->client.receive = card_receive;
    nic->client.writable = card_writable;
    nic->client.link_changed = card_link_changed;
    nic->client.opaque = card;
    nic->client.guard = &device->guard;
    if (nic->netdev && !net_attach(&nic->client, nic->netdev, error)) {
        nic_unrealize(nic);
        return false;
    }
    card->mii.model = card->ops->mii;
    card->mii.carrier = net_client_link_is_up(&nic->client);
    mii_reset(&card->mii);
    microwire_reset(&card->eeprom);
    card->send_task = (struct io_task){.run = send_now, .opaque = card};
    card->packet = g_malloc(CARD_HEADROOM + NET_PACKET_MAX);
    card->padded = g_malloc(NET_PACKET_MAX);
    card->fcs = g_new(struct fcs_tables, 1);
    fcs_tables_init(card->fcs);
    card_packet_clear(card);
    machine_add_run_listener(device->machine, machine_ran, card);
    card->running = device->machine->state == RUN_STATE_RUNNING;
    return true;
}

void card_unrealize(struct card *card)
{
    struct machine *machine = card->pci.device.machine;

    machine_remove_run_listener(machine, machine_ran, card);
    net_detach(&card->nic.client);
    machine_cancel(machine, &card->send_task);
    nic_unrealize(&card->nic);
    g_clear_pointer(&card->packet, g_free);
    g_clear_pointer(&card->padded, g_free);
    g_clear_pointer(&card->fcs, g_free);
}

void card_reset(struct card *card)
{
    mii_reset(&card->mii);
    microwire_reset(&card->eeprom);
    card_packet_clear(card);
}

bool card_after_load(struct card *card)
{
    card_packet_clear(card);
    mii_set_carrier(&card->mii, net_client_link_is_up(&card->nic.client));
    card_kick(card);
    card_resume(card);
    return microwire_is_valid(&card->eeprom);
}
