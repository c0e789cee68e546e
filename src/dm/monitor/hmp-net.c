/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor: network back ends and cards. */
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/net-control.h"
#include "dm/net/nic.h"
#include "dm/net/user.h"
#include "dm/property.h"
#include "util/error.h"

static void print_netdev(const struct netdev *netdev, GString *out)
{
    g_autofree char *text = netdev_describe(netdev);

    g_string_append_printf(out, "%s: index=0,%s\n", netdev_id(netdev), text);
}

bool hmp_info_network(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const struct machine *machine = context->machine;

    for (unsigned i = 0; i < machine->nics->len; i++) {
        const struct nic *nic = g_ptr_array_index(machine->nics, i);
        const uint8_t *mac = nic->mac;

        g_string_append_printf(out,
                               "%s: index=0,type=nic,model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x"
                               ",link=%s\n",
                               nic->name, nic->device->class->name, mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5], net_client_link_is_up(&nic->client) ? "up" : "down");
        if (nic->netdev) {
            g_string_append(out, " \\ ");
            print_netdev(nic->netdev, out);
        }
    }
    for (unsigned i = 0; i < machine->netdevs->len; i++) {
        const struct netdev *netdev = g_ptr_array_index(machine->netdevs, i);

        if (!netdev_is_attached(netdev)) {
            print_netdev(netdev, out);
        }
    }
    return true;
}

bool hmp_info_usernet(struct hmp_context *context, char **words, GString *out, GError **error)
{
    GPtrArray *netdevs = context->machine->netdevs;

    for (unsigned i = 0; i < netdevs->len; i++) {
        struct netdev *netdev = g_ptr_array_index(netdevs, i);

        if (netdev_is_user(netdev)) {
            g_autofree char *text = netdev_user_connections(netdev);

            g_string_append_printf(out, "%s:\n%s", netdev_id(netdev), text);
        }
    }
    return true;
}

bool hmp_set_link(struct hmp_context *context, char **words, GString *out, GError **error)
{
    bool up;

    if (!words[1] || !words[2] || words[3]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "set_link NAME on|off");
    }
    return parse_bool(words[2], &up, error) &&
           net_control_set_link(context->machine, words[1], up, error);
}

bool hmp_netdev_add(struct hmp_context *context, char **words, GString *out, GError **error)
{
    if (!words[1] || words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "netdev_add TYPE,id=ID[,...]");
    }
    return netdev_new(context->machine, words[1], error) != NULL;
}

bool hmp_netdev_del(struct hmp_context *context, char **words, GString *out, GError **error)
{
    if (!words[1] || words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "netdev_del ID");
    }
    return net_control_remove(context->machine, words[1], error);
}

/* The user back end of that id; without one, the first. */
static struct netdev *find_user(struct machine *machine, const char *id, GError **error)
{
    for (unsigned i = 0; i < machine->netdevs->len; i++) {
        struct netdev *netdev = g_ptr_array_index(machine->netdevs, i);

        if (netdev_is_user(netdev) && (!id || g_str_equal(netdev_id(netdev), id))) {
            return netdev;
        }
    }
    duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no back end of type user%s%s",
               id ? " with id " : "", id ? id : "");
    return NULL;
}

static bool forward(struct hmp_context *context, char **words,
                    bool (*change)(struct netdev *netdev, const char *text, GError **error),
                    GError **error)
{
    const char *id = words[1] && words[2] ? words[1] : NULL;
    const char *text = id ? words[2] : words[1];
    struct netdev *netdev;

    if (!text) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s [ID] tcp|udp:[ADDR]:PORT%s",
                          words[0], change == netdev_user_add_forward ? "-[ADDR]:PORT" : "");
    }
    netdev = find_user(context->machine, id, error);
    return netdev && change(netdev, text, error);
}

bool hmp_hostfwd_add(struct hmp_context *context, char **words, GString *out, GError **error)
{
    return forward(context, words, netdev_user_add_forward, error);
}

bool hmp_hostfwd_remove(struct hmp_context *context, char **words, GString *out, GError **error)
{
    return forward(context, words, netdev_user_remove_forward, error);
}
