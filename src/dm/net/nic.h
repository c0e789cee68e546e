/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all models of network cards share: the properties mac= and netdev=, the connection to the
 * back end, the filter of what is taken, and what monitors show. A model has a struct nic in its
 * own struct, NIC_PROPERTIES in its table, and calls nic_realize, nic_unrealize.
 */
#ifndef DUODM_DM_NET_NIC_H
#define DUODM_DM_NET_NIC_H

#include "dm/net/net.h"
#include "dm/net/rx-filter.h"

#include <jansson.h>

struct device;

struct nic {
    struct net_client client; /* the model sets callbacks, guard and base before nic_realize */
    struct device *device;
    uint8_t mac[6];          /* property; all zero: one is chosen */
    struct netdev *netdev;   /* property; NULL: nothing is connected */
    char *name;              /* the device's id, or its model and a number */
    struct rx_filter filter; /* owner: the thread that the model receives in */
    /* A copy of filter as it is, for monitors. NULL: the model has no filter to show. Main loop. */
    void (*get_filter)(struct nic *nic, struct rx_filter *copy);
    /* Have the guest tell the network where it is. NULL: the model can't. Main loop. */
    void (*announce)(struct nic *nic);
};

#define NIC_PROPERTIES(struct_, nic_)                                                              \
    {"mac",                                                                                        \
     PROPERTY_MAC,                                                                                 \
     offsetof(struct struct_, nic_.mac),                                                           \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     "Ethernet address [52:54:00:12:34:56, then counting up]"},                                    \
    {                                                                                              \
        "netdev", PROPERTY_NETDEV, offsetof(struct struct_, nic_.netdev), NULL, 0, 0,              \
            "id of the network back end"                                                           \
    }

/* In realize: choose a MAC address, reset the filter, make it known. Does not attach. */
bool nic_realize(struct nic *nic, struct device *device, GError **error);
void nic_unrealize(struct nic *nic);
/* The filter as after power-on: own address and broadcasts. */
void nic_reset_filter(struct nic *nic);
/* All NICs that can, announce. Main loop. */
void nic_announce_all(const struct machine *machine);
/* A NIC of the machine by its name; NULL: none. */
struct nic *nic_find(const struct machine *machine, const char *name);

#endif
