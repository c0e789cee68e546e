/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP: network back ends and cards. */
#include "dm/machine.h"
#include "dm/monitor/net-control.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/net/nic.h"
#include "util/error.h"

bool net_control_set_link(struct machine *machine, const char *name, bool up, GError **error)
{
    struct nic *nic = nic_find(machine, name);
    struct netdev *netdev = netdev_find(machine, name);

    if (nic) {
        net_client_set_link(&nic->client, up);
    } else if (netdev) {
        netdev_set_link(netdev, up);
    } else {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "there is no network card or back end '%s' ('info network' lists them)",
                          name);
    }
    return true;
}

json_t *qmp_set_link(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *name = json_string_value(json_object_get(arguments, "name"));
    bool up = json_is_true(json_object_get(arguments, "up"));

    return net_control_set_link(context->machine, name, up, error) ? json_object() : NULL;
}

/* The address of a stream given by its number: addr.str is a string of the address, no wrapper. */
static void keep_address_strings(json_t *arguments)
{
    static const char *const names[] = {"addr", "local", "remote"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        json_t *address = json_object_get(arguments, names[i]);
        json_t *number = json_is_object(address) ? json_object_get(address, "str") : NULL;

        if (number) {
            g_autofree char *full = g_strconcat(names[i], ".str", NULL);

            json_object_set(arguments, full, number);
            json_object_del(address, "str");
        }
    }
}

json_t *qmp_netdev_add(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *copy = json_deep_copy(arguments);
    g_autoptr(GString) text = g_string_new(NULL);

    keep_address_strings(copy);
    qmp_flatten(text, copy);
    json_decref(copy);
    return netdev_new(context->machine, text->str, error) ? json_object() : NULL;
}

bool net_control_remove(struct machine *machine, const char *id, GError **error)
{
    struct netdev *netdev = netdev_find(machine, id);

    if (!netdev) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no network back end '%s'", id);
    }
    return netdev_remove(netdev, error);
}

json_t *qmp_netdev_del(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *id = json_string_value(json_object_get(arguments, "id"));

    return net_control_remove(context->machine, id, error) ? json_object() : NULL;
}

/* query-rx-filter */

static json_t *address_text(const uint8_t mac[6])
{
    return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                        mac[5]);
}

static json_t *address_list(const struct rx_filter *filter, unsigned from, unsigned to)
{
    json_t *list = json_array();

    for (unsigned i = from; i < to; i++) {
        json_array_append_new(list, address_text(filter->addresses[i]));
    }
    return list;
}

static json_t *vlan_list(const struct rx_filter *filter)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < 4096; i++) {
        if (rx_filter_has_vlan(filter, (uint16_t)i)) {
            json_array_append_new(list, json_integer(i));
        }
    }
    return list;
}

static const char *state_of(bool none, bool all)
{
    return none ? "none" : all ? "all" : "normal";
}

static json_t *describe_filter(struct nic *nic)
{
    struct rx_filter filter;

    nic->get_filter(nic, &filter);
    return json_pack("{s:s, s:b, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "name",
                     nic->name, "promiscuous", filter.promiscuous, "multicast",
                     state_of(filter.no_multicast, filter.all_multicast), "unicast",
                     state_of(filter.no_unicast, filter.all_unicast), "vlan",
                     filter.vlan_filter ? "normal" : "all", "broadcast-allowed",
                     !filter.no_broadcast, "multicast-overflow", filter.multicast_overflow,
                     "unicast-overflow", filter.unicast_overflow, "main-mac",
                     address_text(filter.mac), "vlan-table", vlan_list(&filter), "unicast-table",
                     address_list(&filter, 0, filter.unicast_count), "multicast-table",
                     address_list(&filter, filter.unicast_count, filter.address_count));
}

json_t *qmp_query_rx_filter(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *name = json_string_value(json_object_get(arguments, "name"));
    GPtrArray *nics = context->machine->nics;
    json_t *list = json_array();

    for (unsigned i = 0; i < nics->len; i++) {
        struct nic *nic = g_ptr_array_index(nics, i);

        if (nic->get_filter && (!name || g_str_equal(nic->name, name))) {
            json_array_append_new(list, describe_filter(nic));
        }
    }
    if (name && !json_array_size(list)) {
        json_decref(list);
        duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no network card '%s' with a filter",
                   name);
        return NULL;
    }
    return list;
}

json_t *qmp_announce_self(struct qmp_context *context, json_t *arguments, GError **error)
{
    nic_announce_all(context->machine);
    return json_object();
}
