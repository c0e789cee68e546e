/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/nic.h"
#include "dm/machine.h"
#include "util/error.h"

#include <string.h>

static bool is_used(const struct machine *machine, const uint8_t mac[6])
{
    for (unsigned i = 0; i < machine->nics->len; i++) {
        const struct nic *nic = g_ptr_array_index(machine->nics, i);

        if (memcmp(nic->mac, mac, 6) == 0) {
            return true;
        }
    }
    return false;
}

/* The first free one from 52:54:00:12:34:56 on. */
static bool choose_mac(const struct machine *machine, uint8_t mac[6], GError **error)
{
    static const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

    for (unsigned i = 0; i <= machine->nics->len; i++) {
        memcpy(mac, first, 6);
        mac[5] = (uint8_t)(first[5] + i);
        if (!is_used(machine, mac)) {
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no default MAC address is left: give mac=");
}

static bool is_zero(const uint8_t mac[6])
{
    static const uint8_t zero[6];

    return memcmp(mac, zero, 6) == 0;
}

static bool check_mac(const uint8_t mac[6], GError **error)
{
    return !(mac[0] & 1) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "mac=%02x:%02x:%02x:%02x:%02x:%02x is a multicast address: the first byte "
                      "must be even",
                      mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static unsigned count_models(const struct machine *machine, const struct device_class *class)
{
    unsigned count = 0;

    for (unsigned i = 0; i < machine->nics->len; i++) {
        const struct nic *nic = g_ptr_array_index(machine->nics, i);

        count += nic->device->class == class;
    }
    return count;
}

bool nic_realize(struct nic *nic, struct device *device, GError **error)
{
    struct machine *machine = device->machine;

    if (is_zero(nic->mac) ? !choose_mac(machine, nic->mac, error) : !check_mac(nic->mac, error)) {
        return false;
    }
    nic->device = device;
    nic->name = device->id ? g_strdup(device->id)
                           : g_strdup_printf("%s.%u", device->class->name,
                                             count_models(machine, device->class));
    nic->client.name = nic->name;
    nic_reset_filter(nic);
    g_ptr_array_add(machine->nics, nic);
    return true;
}

void nic_unrealize(struct nic *nic)
{
    g_ptr_array_remove(nic->device->machine->nics, nic);
    nic->client.name = NULL;
    g_clear_pointer(&nic->name, g_free);
}

void nic_reset_filter(struct nic *nic)
{
    nic->filter = (struct rx_filter){0};
    memcpy(nic->filter.mac, nic->mac, 6);
}

struct nic *nic_find(const struct machine *machine, const char *name)
{
    for (unsigned i = 0; i < machine->nics->len; i++) {
        struct nic *nic = g_ptr_array_index(machine->nics, i);

        if (g_str_equal(nic->name, name)) {
            return nic;
        }
    }
    return NULL;
}

void nic_announce_all(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->nics->len; i++) {
        struct nic *nic = g_ptr_array_index(machine->nics, i);

        if (nic->announce) {
            nic->announce(nic);
        }
    }
}
