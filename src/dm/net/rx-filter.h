/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which packets a NIC takes: by mode, tables of addresses, and VLANs. */
#ifndef DUODM_DM_NET_RX_FILTER_H
#define DUODM_DM_NET_RX_FILTER_H

#include "dm/net/packet.h"

#define RX_FILTER_ADDRESSES 64 /* in the table; more: all of that kind pass */

struct rx_filter {
    bool promiscuous; /* everything */
    bool all_multicast, all_unicast;
    bool no_multicast, no_unicast, no_broadcast;
    bool unicast_overflow, multicast_overflow; /* the table was too small: all of the kind pass */
    uint8_t mac[6];
    uint8_t addresses[RX_FILTER_ADDRESSES][6]; /* unicast ones first */
    uint32_t unicast_count, address_count;     /* of addresses; first <= second <= 64 */
    bool vlan_filter;                          /* off: all VLANs pass */
    uint32_t vlans[4096 / 32];                 /* a bit each */
};

/* Would the NIC take a packet that begins with these bytes? */
bool rx_filter_accepts(const struct rx_filter *filter, const uint8_t *packet, size_t length);
/* Replace the table. Counts may exceed it. */
void rx_filter_set_unicast(struct rx_filter *filter, const uint8_t (*list)[6], size_t count);
void rx_filter_add_multicast(struct rx_filter *filter, const uint8_t (*list)[6], size_t count);
void rx_filter_set_vlan(struct rx_filter *filter, uint16_t vlan, bool on);
static inline bool rx_filter_has_vlan(const struct rx_filter *filter, uint16_t vlan)
{
    return filter->vlans[(vlan & 4095) / 32] >> (vlan % 32) & 1;
}

#endif
