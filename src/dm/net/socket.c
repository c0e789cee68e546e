/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -netdev socket: the older way to ask for a stream or for datagrams. */
#include "dm/net/address.h"
#include "dm/net/backend.h"
#include "dm/property.h"
#include "util/error.h"

#include <sys/socket.h>

static bool is_datagram(const char *fd)
{
    socklen_t length = sizeof(int);
    uint64_t number;
    int type;

    return parse_number(fd, &number, NULL) && number <= G_MAXINT &&
           getsockopt((int)number, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type != SOCK_STREAM;
}

static void translate_fd(struct key_values *list, const char *fd)
{
    bool datagram = is_datagram(fd);

    key_values_set(list, "type", datagram ? "dgram" : "stream");
    key_values_set(list, datagram ? "local.type" : "addr.type", "fd");
    key_values_set(list, datagram ? "local.str" : "addr.str", fd);
}

static bool translate_stream(struct key_values *list, const char *address, bool server,
                             GError **error)
{
    key_values_set(list, "type", "stream");
    key_values_set(list, "server", server ? "on" : "off");
    key_values_set(list, "addr.type", "inet");
    return net_address_set_host_port(list, "addr.", address, error);
}

static bool translate_udp(struct key_values *list, const char *remote, const char *local,
                          GError **error)
{
    if (!local) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "udp= needs localaddr=HOST:PORT");
    }
    key_values_set(list, "type", "dgram");
    key_values_set(list, "local.type", "inet");
    key_values_set(list, "remote.type", "inet");
    return net_address_set_host_port(list, "local.", local, error) &&
           net_address_set_host_port(list, "remote.", remote, error);
}

static struct key_values *socket_translate(const struct key_values *options, GError **error)
{
    const char *fd = key_values_get(options, "fd"), *listen = key_values_get(options, "listen");
    const char *to = key_values_get(options, "connect"), *udp = key_values_get(options, "udp");
    struct key_values *list = key_values_parse("", NULL, NULL);
    bool good = true;

    key_values_set(list, "id", key_values_get(options, "id"));
    if (!!fd + !!listen + !!to + !!udp != 1) {
        good = duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "socket: needs one of fd=, listen=, connect= and udp=");
    } else if (fd) {
        translate_fd(list, fd);
    } else if (udp) {
        good = translate_udp(list, udp, key_values_get(options, "localaddr"), error);
    } else {
        good = translate_stream(list, listen ? listen : to, listen != NULL, error);
    }
    if (!good) {
        g_clear_pointer(&list, key_values_free);
    }
    return list;
}

static const char *const socket_keys[] = {"fd", "listen", "connect", "udp", "localaddr", NULL};

const struct netdev_kind netdev_socket = {
    .name = "socket",
    .description = "older form of stream and dgram (fd, listen, connect, udp, localaddr)",
    .keys = socket_keys,
    .translate = socket_translate,
};
