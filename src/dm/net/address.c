/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/address.h"
#include "util/error.h"

#include <string.h>

static void copy(struct key_values *to, const char *to_key, const struct key_values *from,
                 const char *prefix, const char *key)
{
    g_autofree char *full = g_strconcat(prefix, key, NULL);
    const char *value = key_values_get(from, full);

    if (value) {
        key_values_set(to, to_key, value);
    }
}

static bool has_prefix(const struct key_values *options, const char *prefix)
{
    for (unsigned i = 0; i < options->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(options->items, i);

        if (g_str_has_prefix(item->key, prefix)) {
            return true;
        }
    }
    return false;
}

bool net_address_parse(struct socket_address *address, const struct key_values *options,
                       const char *prefix, bool *given, GError **error)
{
    g_autofree char *type_key = g_strconcat(prefix, "type", NULL);
    const char *type = key_values_get(options, type_key);
    struct key_values *plain;
    bool good;

    *address = (struct socket_address){.fd = -1};
    *given = has_prefix(options, prefix);
    if (!*given) {
        return true;
    }
    if (g_strcmp0(type, "unix") != 0 && g_strcmp0(type, "inet") != 0 &&
        g_strcmp0(type, "fd") != 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%s%s%s: must be unix (%spath=), inet (%shost=,%sport=) or fd (%sstr=)",
                          type_key, type ? "=" : "", type ? type : " is missing", prefix, prefix,
                          prefix, prefix);
    }
    plain = key_values_parse("", NULL, NULL);
    copy(plain, "path", options, prefix, "path");
    copy(plain, "host", options, prefix, "host");
    copy(plain, "port", options, prefix, "port");
    copy(plain, "fd", options, prefix, "str");
    good =
        socket_address_parse(address, plain, error) &&
        ((type[0] == 'u' && address->path) || (type[0] == 'i' && address->port) ||
         (type[0] == 'f' && address->fd >= 0) ||
         duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "does not go with %s=%s", type_key, type));
    if (!good) {
        g_prefix_error(error, "%s*: ", prefix);
        socket_address_clear(address);
    }
    key_values_free(plain);
    return good;
}

bool net_address_set_host_port(struct key_values *options, const char *prefix, const char *text,
                               GError **error)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host_key = g_strconcat(prefix, "host", NULL);
    g_autofree char *port_key = g_strconcat(prefix, "port", NULL);
    g_autofree char *host = NULL;

    if (!colon || !colon[1]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' must be HOST:PORT", text);
    }
    host = g_strndup(text, (gsize)(colon - text));
    if (*host) {
        key_values_set(options, host_key, host);
    }
    key_values_set(options, port_key, colon + 1);
    return true;
}
