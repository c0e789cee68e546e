/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-net: the device. Packets and commands are in virtio-net-data.c and virtio-net-control.c.
 */
#include "dm/firmware/boot-order.h"
#include "dm/virtio/virtio-net.h"
#include "dm/machine.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/virtio/virtio-pci.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <string.h>

#define CONTROL_QUEUE_SIZE 64
#define MTU_MIN            68 /* RFC 791 */

/* Device configuration, 5.1.4. */
#define CONFIG_MAC       0
#define CONFIG_STATUS    6
#define CONFIG_MAX_PAIRS 8
#define CONFIG_MTU       10
#define CONFIG_SPEED     12
#define CONFIG_DUPLEX    16
#define CONFIG_SIZE      17
#define STATUS_LINK_UP   1
#define STATUS_ANNOUNCE  2
#define DUPLEX_HALF      0
#define DUPLEX_FULL      1
#define DUPLEX_UNKNOWN   0xff

/* What each switch turns on, and what that can't be without (5.1.3.1); -1: nothing. The order is
 * that of NET_PROPERTIES. */
static const struct {
    uint8_t feature;
    int8_t needs;
} switches[VIRTIO_NET_SWITCHES] = {
    {VIRTIO_NET_F_CSUM, -1},
    {VIRTIO_NET_F_GUEST_CSUM, -1},
    {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_MRG_RXBUF, -1},
    {VIRTIO_NET_F_STATUS, -1},
    {VIRTIO_NET_F_CTRL_VQ, -1},
    {VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ},
    /* Not the user's: */
    {VIRTIO_NET_F_MTU, -1},
    {VIRTIO_NET_F_SPEED_DUPLEX, -1},
};
#define SWITCH_MQ           20
#define SWITCH_MTU          21
#define SWITCH_SPEED_DUPLEX 22

void virtio_net_set_offloads(struct virtio_net *net, uint64_t offloads)
{
    static const struct {
        uint8_t feature;
        unsigned offload;
    } map[] = {
        {VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CHECKSUM},
        {VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4},
        {VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6},
        {VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_TSO_ECN},
        {VIRTIO_NET_F_GUEST_USO4, NET_OFFLOAD_USO4},
        {VIRTIO_NET_F_GUEST_USO6, NET_OFFLOAD_USO6},
    };
    unsigned set = 0;

    net->offloads = offloads & VIRTIO_NET_GUEST_OFFLOADS;
    for (unsigned i = 0; i < G_N_ELEMENTS(map); i++) {
        if (offloads & VIRTIO_FEATURE(map[i].feature)) {
            set |= map[i].offload;
        }
    }
    /* Nothing else can be without a partial checksum (5.1.3.1). */
    net_set_receive_offloads(&net->nic.client, set & NET_OFFLOAD_CHECKSUM ? set : 0);
}

void virtio_net_publish_address(struct virtio_net *net)
{
    uint64_t address = 0;

    memcpy(&address, net->nic.filter.mac, 6);
    __atomic_store_n(&net->address, address, __ATOMIC_RELAXED);
}

static bool handle_queue(struct virtqueue *queue)
{
    if (queue->index == virtio_net_control_index(virtio_net_of(queue->device))) {
        return virtio_net_handle_control(queue);
    }
    return queue->index % 2 ? virtio_net_handle_send(queue) : virtio_net_handle_receive(queue);
}

/* Negotiation and configuration, under the guard. */

/* Queues are stopped: what is the I/O thread's may be touched. */
static void net_features_set(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);
    bool modern = virtio_has_feature(device, VIRTIO_F_VERSION_1);

    net->header_size = modern || virtio_has_feature(device, VIRTIO_NET_F_MRG_RXBUF) ? 12 : 10;
    net->offloads = device->features & VIRTIO_NET_GUEST_OFFLOADS;
    net->nic.filter.vlan_filter = virtio_has_feature(device, VIRTIO_NET_F_CTRL_VLAN);
    /* A driver that can't say what it wants gets all that is for it; one before 1.0 that knows no
     * control queue may be a bridge: all. */
    net->nic.filter.promiscuous = !virtio_has_feature(device, VIRTIO_NET_F_CTRL_RX);
}

static void net_config_read(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);
    uint16_t status = net_client_link_is_up(&net->nic.client) ? STATUS_LINK_UP : 0;

    status |= __atomic_load_n(&net->announce, __ATOMIC_RELAXED) ? STATUS_ANNOUNCE : 0;
    uint64_t address = __atomic_load_n(&net->address, __ATOMIC_RELAXED);

    memcpy(device->config + CONFIG_MAC, &address, 6);
    store_le16(device->config + CONFIG_STATUS, status);
}

static void take_config_address(void *opaque)
{
    struct virtio_net *net = opaque;

    memcpy(net->nic.filter.mac, net->virtio.config + CONFIG_MAC, 6);
    virtio_net_publish_address(net);
}

/* Legacy drivers write the address here (5.1.4.3), byte by byte. */
static void net_config_written(struct virtio_device *device, unsigned offset, unsigned length)
{
    if (device->legacy) {
        io_thread_call(device->thread, take_config_address, device);
    }
}

/* In the I/O thread: packets that wait for the driver are lost. */
static void forget_driver(void *opaque)
{
    struct virtio_net *net = opaque;

    net->discard = true;
    for (unsigned i = 0; i < net->max_pairs; i++) {
        net_resume(&net->nic.client, i);
    }
}

static void net_reset(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);

    nic_reset_filter(&net->nic);
    virtio_net_publish_address(net);
    net->pairs = 1;
    net->offloads = 0;
    net->header_size = 12;
    __atomic_store_n(&net->announce, false, __ATOMIC_RELAXED);
    net_set_receive_offloads(&net->nic.client, 0);
    net_set_active_queues(&net->nic.client, 1);
    io_thread_call(device->thread, forget_driver, net);
}

/* In the I/O thread. */

static void net_start(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);

    net->running = true;
    net->discard = false;
    virtio_net_set_offloads(net, net->offloads);
    net_set_active_queues(&net->nic.client, net->pairs);
    for (unsigned i = 0; i < net->max_pairs; i++) {
        net->starved[i] = false;
        net_resume(&net->nic.client, i);
    }
}

static void net_stop(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);

    net->running = false;
    /* While the machine is paused packets wait; without a driver they are lost. */
    net->discard = device->machine_running;
}

/* Main loop. */

static void link_changed(void *opaque)
{
    struct virtio_net *net = opaque;
    struct access_guard *guard = &net->virtio.pci.device.guard;

    if (access_guard_enter(guard)) {
        virtio_config_changed(&net->virtio);
        access_guard_leave(guard);
    }
}

static void announce(struct nic *nic)
{
    struct virtio_net *net = nic->client.opaque;
    struct access_guard *guard = &net->virtio.pci.device.guard;

    if (access_guard_enter(guard)) {
        if (virtio_has_feature(&net->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
            __atomic_store_n(&net->announce, true, __ATOMIC_RELAXED);
            virtio_config_changed(&net->virtio);
        }
        access_guard_leave(guard);
    }
}

struct filter_copy {
    const struct rx_filter *from;
    struct rx_filter *to;
};

static void copy_filter(void *opaque)
{
    const struct filter_copy *copy = opaque;

    *copy->to = *copy->from;
}

static void get_filter(struct nic *nic, struct rx_filter *to)
{
    struct virtio_net *net = nic->client.opaque;
    struct filter_copy copy = {&nic->filter, to};

    struct access_guard *guard = &net->virtio.pci.device.guard;
    bool entered = access_guard_enter(guard);

    io_thread_call(net->virtio.thread, copy_filter, &copy);
    if (entered) {
        access_guard_leave(guard);
    }
}

static bool check_properties(struct virtio_net *net, GError **error)
{
    const uint16_t sizes[] = {net->rx_queue_size, net->tx_queue_size};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (sizes[i] < 64 || sizes[i] > 4096 || (sizes[i] & (sizes[i] - 1))) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "%s_queue_size=%u must be a power of two from 64 to 4096",
                              i ? "tx" : "rx", sizes[i]);
        }
    }
    if (net->mtu && net->mtu < MTU_MIN) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "host_mtu=%u must be %u at least",
                          net->mtu, MTU_MIN);
    }
    if (net->duplex && !g_str_equal(net->duplex, "full") && !g_str_equal(net->duplex, "half")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "duplex=%s must be full or half",
                          net->duplex);
    }
    if (net->nic.netdev && netdev_queue_count(net->nic.netdev) > VIRTIO_NET_PAIRS_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "network back end '%s' has %u queues: at most %d are possible",
                          netdev_id(net->nic.netdev), netdev_queue_count(net->nic.netdev),
                          VIRTIO_NET_PAIRS_MAX);
    }
    return true;
}

static void offer_features(struct virtio_net *net)
{
    struct virtio_device *device = &net->virtio;

    net->switches[SWITCH_MQ] &= net->max_pairs > 1;
    net->switches[SWITCH_MTU] = net->mtu != 0;
    net->switches[SWITCH_SPEED_DUPLEX] = net->speed != UINT32_MAX || net->duplex;
    for (unsigned i = 0; i < VIRTIO_NET_SWITCHES; i++) {
        if (net->switches[i] && (switches[i].needs < 0 ||
                                 (device->offered_features & VIRTIO_FEATURE(switches[i].needs)))) {
            device->offered_features |= VIRTIO_FEATURE(switches[i].feature);
        }
    }
}

static void write_config(struct virtio_net *net)
{
    uint8_t *config = net->virtio.config;

    memcpy(config + CONFIG_MAC, net->nic.mac, 6);
    memset(net->virtio.config_write_mask + CONFIG_MAC, 0xff, 6);
    store_le16(config + CONFIG_MAX_PAIRS, (uint16_t)net->max_pairs);
    store_le16(config + CONFIG_MTU, net->mtu);
    store_le32(config + CONFIG_SPEED, net->speed);
    config[CONFIG_DUPLEX] = !net->duplex                       ? DUPLEX_UNKNOWN
                            : g_str_equal(net->duplex, "full") ? DUPLEX_FULL
                                                               : DUPLEX_HALF;
}

static bool net_realize(struct virtio_device *device, GError **error)
{
    struct virtio_net *net = virtio_net_of(device);
    struct nic *nic = &net->nic;

    if (!check_properties(net, error) ||
        (device->pci.device.bus->type == BUS_PCI &&
         !boot_order_add(device->pci.device.machine, &device->pci, net->boot_index,
                         "ethernet-phy@0", error)) ||
        !nic_realize(nic, &device->pci.device, error)) {
        return false;
    }
    net->max_pairs = net->switches[SWITCH_MQ] && nic->netdev ? netdev_queue_count(nic->netdev) : 1;
    for (unsigned i = 0; i < net->max_pairs; i++) {
        virtio_add_queue(device, net->rx_queue_size, 0, handle_queue);
        virtio_add_queue(device, net->tx_queue_size, 0, handle_queue);
    }
    virtio_add_queue(device, CONTROL_QUEUE_SIZE, 0, handle_queue);
    offer_features(net);
    write_config(net);
    virtio_net_publish_address(net);
    net->pairs = 1;
    net->header_size = 12;
    net->discard = true;
    nic->get_filter = get_filter;
    nic->announce = announce;
    nic->client.receive = virtio_net_receive;
    nic->client.receive_end = virtio_net_receive_end;
    nic->client.writable = virtio_net_writable;
    nic->client.link_changed = link_changed;
    nic->client.opaque = net;
    nic->client.thread = device->thread;
    if (nic->netdev && !net_attach(&nic->client, nic->netdev, error)) {
        nic_unrealize(nic);
        return false;
    }
    net_set_active_queues(&nic->client, 1);
    return true;
}

static void net_unrealize(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);

    net_detach(&net->nic.client);
    nic_unrealize(&net->nic);
    g_clear_pointer(&net->linear, g_free);
}

static bool net_after_load(struct virtio_device *device)
{
    struct virtio_net *net = virtio_net_of(device);
    const struct rx_filter *filter = &net->nic.filter;

    virtio_net_publish_address(net);
    return net->pairs >= 1 && net->pairs <= net->max_pairs &&
           filter->unicast_count <= filter->address_count &&
           filter->address_count <= RX_FILTER_ADDRESSES && !(net->offloads & ~device->features) &&
           (net->header_size == 10 || net->header_size == 12);
}

static const struct state_field net_fields[] = {
    VIRTIO_STATE_FIELDS,
    STATE(BOOL, virtio_net, announce, 1),
    STATE(UINT32, virtio_net, pairs, 1),
    STATE(UINT64, virtio_net, offloads, 1),
    STATE(UINT32, virtio_net, header_size, 1),
    STATE(BOOL, virtio_net, nic.filter.promiscuous, 1),
    STATE(BOOL, virtio_net, nic.filter.all_multicast, 1),
    STATE(BOOL, virtio_net, nic.filter.all_unicast, 1),
    STATE(BOOL, virtio_net, nic.filter.no_multicast, 1),
    STATE(BOOL, virtio_net, nic.filter.no_unicast, 1),
    STATE(BOOL, virtio_net, nic.filter.no_broadcast, 1),
    STATE(BOOL, virtio_net, nic.filter.unicast_overflow, 1),
    STATE(BOOL, virtio_net, nic.filter.multicast_overflow, 1),
    STATE_ARRAY(BYTES, virtio_net, nic.filter.mac, 6, 1),
    STATE_ARRAY(BYTES, virtio_net, nic.filter.addresses, 6 * RX_FILTER_ADDRESSES, 1),
    STATE(UINT32, virtio_net, nic.filter.unicast_count, 1),
    STATE(UINT32, virtio_net, nic.filter.address_count, 1),
    STATE(BOOL, virtio_net, nic.filter.vlan_filter, 1),
    STATE_ARRAY(UINT32, virtio_net, nic.filter.vlans, 4096 / 32, 1),
    STATE_END,
};

static const struct state_description net_state = {
    .name = "virtio-net",
    .version = 1,
    .fields = net_fields,
    VIRTIO_STATE_HOOKS,
};

static const struct virtio_class net_class = {
    .name = "virtio-net",
    .device_id = 1,
    .legacy_id = 0x1000,
    .features = VIRTIO_FEATURE(VIRTIO_NET_F_MAC),
    .config_size = CONFIG_SIZE,
    .realize = net_realize,
    .unrealize = net_unrealize,
    .features_set = net_features_set,
    .config_read = net_config_read,
    .config_written = net_config_written,
    .reset = net_reset,
    .start = net_start,
    .stop = net_stop,
    .after_load = net_after_load,
};

#define SWITCH(name_, number_, help_)                                                              \
    {                                                                                              \
        name_, PROPERTY_BOOL, offsetof(struct virtio_net, switches[number_]), "on", 0, 0, help_    \
    }
#define NET_PROPERTIES                                                                             \
    NIC_PROPERTIES(virtio_net, nic), SWITCH("csum", 0, "takes packets without a checksum"),        \
        SWITCH("guest_csum", 1, "gives packets without a checksum"),                               \
        SWITCH("host_tso4", 2, "takes large TCP packets, IPv4"),                                   \
        SWITCH("host_tso6", 3, "takes large TCP packets, IPv6"),                                   \
        SWITCH("host_ecn", 4, "takes large TCP packets with ECN"),                                 \
        SWITCH("host_uso", 5, "takes large UDP packets"),                                          \
        SWITCH("guest_tso4", 6, "gives large TCP packets, IPv4"),                                  \
        SWITCH("guest_tso6", 7, "gives large TCP packets, IPv6"),                                  \
        SWITCH("guest_ecn", 8, "gives large TCP packets with ECN"),                                \
        SWITCH("guest_uso4", 9, "gives large UDP packets, IPv4"),                                  \
        SWITCH("guest_uso6", 10, "gives large UDP packets, IPv6"),                                 \
        SWITCH("mrg_rxbuf", 11, "a packet may fill several receive buffers"),                      \
        SWITCH("status", 12, "tells whether the cable is plugged in"),                             \
        SWITCH("ctrl_vq", 13, "control queue, which the following need"),                          \
        SWITCH("ctrl_rx", 14, "filters by address"), SWITCH("ctrl_vlan", 15, "filters by VLAN"),   \
        SWITCH("ctrl_rx_extra", 16, "more modes of the filter"),                                   \
        SWITCH("ctrl_mac_addr", 17, "the driver may set the address"),                             \
        SWITCH("guest_announce", 18, "the driver tells the network where it is when asked"),       \
        SWITCH("ctrl_guest_offloads", 19, "the driver may change what it is given"),               \
        SWITCH("mq", 20, "as many queue pairs as the back end has"),                               \
        {"host_mtu",                                                                               \
         PROPERTY_UINT16,                                                                          \
         offsetof(struct virtio_net, mtu),                                                         \
         "0",                                                                                      \
         0,                                                                                        \
         0,                                                                                        \
         "MTU that the driver is told [none]"},                                                    \
        {"speed",                                                                                  \
         PROPERTY_UINT32,                                                                          \
         offsetof(struct virtio_net, speed),                                                       \
         "0xffffffff",                                                                             \
         0,                                                                                        \
         UINT32_MAX,                                                                               \
         "speed that the driver is told, in Mbit/s [none]"},                                       \
        {"duplex",                                                                                 \
         PROPERTY_STRING,                                                                          \
         offsetof(struct virtio_net, duplex),                                                      \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "full or half, as the driver is told [none]"},                                            \
        {"rx_queue_size",                                                                          \
         PROPERTY_UINT16,                                                                          \
         offsetof(struct virtio_net, rx_queue_size),                                               \
         "256",                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "descriptors of a receive queue [256]"},                                                  \
    {                                                                                              \
        "tx_queue_size", PROPERTY_UINT16, offsetof(struct virtio_net, tx_queue_size), "256", 0, 0, \
            "descriptors of a transmit queue [256]"                                                \
    }

static const struct property net_pci_properties[] = {
    VIRTIO_PCI_PROPERTIES,
    {"bootindex", PROPERTY_BOOT_INDEX, offsetof(struct virtio_net, boot_index), "-1", 0, 0,
     "place in the firmware's boot order, from 0 on"},
    NET_PROPERTIES,
    PROPERTY_END,
};

static const struct property net_mmio_properties[] = {
    VIRTIO_DEVICE_PROPERTIES,
    NET_PROPERTIES,
    PROPERTY_END,
};

VIRTIO_PCI_CLASSES(virtio_net, net_class, virtio_net, "virtio-net", "network card", 0x020000,
                   net_state, net_pci_properties);
VIRTIO_MMIO_CLASS(virtio_net, net_class, virtio_net, "virtio-net", "network card", net_state,
                  net_mmio_properties);
