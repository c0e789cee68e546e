/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/rx-filter.h"

#include <glib.h>
#include <string.h>

static bool is_listed(const struct rx_filter *filter, const uint8_t *address, uint32_t from,
                      uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (memcmp(filter->addresses[i], address, 6) == 0) {
            return true;
        }
    }
    return false;
}

static bool accepts_vlan(const struct rx_filter *filter, const uint8_t *packet, size_t length)
{
    if (!filter->vlan_filter || length < ETHERNET_HEADER_SIZE + 2 ||
        (packet[12] << 8 | packet[13]) != ETHERNET_VLAN) {
        return true;
    }
    return rx_filter_has_vlan(filter, (uint16_t)((packet[14] << 8 | packet[15]) & 4095));
}

static bool accepts_address(const struct rx_filter *filter, const uint8_t *address)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(address, broadcast, 6) == 0) {
        return !filter->no_broadcast;
    }
    if (address[0] & 1) {
        return !filter->no_multicast &&
               (filter->all_multicast || filter->multicast_overflow ||
                is_listed(filter, address, filter->unicast_count, filter->address_count));
    }
    return !filter->no_unicast && (filter->all_unicast || filter->unicast_overflow ||
                                   memcmp(filter->mac, address, 6) == 0 ||
                                   is_listed(filter, address, 0, filter->unicast_count));
}

bool rx_filter_accepts(const struct rx_filter *filter, const uint8_t *packet, size_t length)
{
    if (length < ETHERNET_HEADER_SIZE) {
        return false;
    }
    return filter->promiscuous ||
           (accepts_vlan(filter, packet, length) && accepts_address(filter, packet));
}

void rx_filter_set_unicast(struct rx_filter *filter, const uint8_t (*list)[6], size_t count)
{
    filter->unicast_overflow = count > RX_FILTER_ADDRESSES;
    filter->multicast_overflow = false;
    filter->unicast_count = filter->unicast_overflow ? 0 : (uint32_t)count;
    filter->address_count = filter->unicast_count;
    memcpy(filter->addresses, list, filter->unicast_count * sizeof(list[0]));
}

void rx_filter_add_multicast(struct rx_filter *filter, const uint8_t (*list)[6], size_t count)
{
    if (count > RX_FILTER_ADDRESSES - filter->address_count) {
        filter->multicast_overflow = true;
        return;
    }
    memcpy(filter->addresses[filter->address_count], list, count * sizeof(list[0]));
    filter->address_count += (uint32_t)count;
}

void rx_filter_set_vlan(struct rx_filter *filter, uint16_t vlan, bool on)
{
    uint32_t bit = 1u << (vlan % 32), *word = &filter->vlans[(vlan & 4095) / 32];

    *word = on ? *word | bit : *word & ~bit;
}
