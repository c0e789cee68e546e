/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of -netdev user, and the rules that hold among its addresses. */
#include "dm/net/user.h"
#include "dm/property.h"
#include "util/error.h"

#include <arpa/inet.h>
#include <string.h>

const char *const user_option_keys[] = {
    "ipv4",           "ipv6",      "net",        "host",     "ipv6-net",         "ipv6-prefix",
    "ipv6-prefixlen", "ipv6-host", "restrict",   "hostname", "dhcpstart",        "dns",
    "ipv6-dns",       "dnssearch", "domainname", "tftp",     "tftp-server-name", "bootfile",
    "hostfwd",        "guestfwd",  NULL,
};

static bool parse_ipv4(const char *key, const char *text, struct in_addr *address, GError **error)
{
    return inet_pton(AF_INET, text, address) == 1 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "%s=%s: an IPv4 address such as 10.0.2.2 is expected", key, text);
}

static bool parse_ipv6(const char *key, const char *text, struct in6_addr *address, GError **error)
{
    return inet_pton(AF_INET6, text, address) == 1 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "%s=%s: an IPv6 address such as fec0::2 is expected", key, text);
}

static const char *keep(struct user_options *user, const char *text)
{
    char *copy = g_strdup(text);

    if (copy) {
        g_ptr_array_add(user->strings, copy);
    }
    return copy;
}

/* "ADDRESS/LENGTH" or "ADDRESS/MASK" */
static bool parse_network(const char *text, SlirpConfig *config, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    uint64_t bits = 24;

    if (!parse_ipv4("net", parts[0], &config->vnetwork, error)) {
        return false;
    }
    if (parts[1] && strchr(parts[1], '.')) {
        if (!parse_ipv4("net", parts[1], &config->vnetmask, error)) {
            return false;
        }
    } else {
        if (parts[1] && (!parse_number(parts[1], &bits, NULL) || bits < 8 || bits > 29)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "net=%s: a length of 8 to 29 is expected after the '/'", text);
        }
        config->vnetmask.s_addr = htonl(~(uint32_t)0 << (32 - bits));
    }
    config->vnetwork.s_addr &= config->vnetmask.s_addr;
    return true;
}

static struct in_addr host_number(const SlirpConfig *config, uint32_t number)
{
    uint32_t mask = ntohl(config->vnetmask.s_addr);

    return (struct in_addr){config->vnetwork.s_addr | htonl(number & ~mask)};
}

static bool is_inside(const SlirpConfig *config, struct in_addr address)
{
    return (address.s_addr & config->vnetmask.s_addr) == config->vnetwork.s_addr;
}

/* host=, dns= and dhcpstart= have places in the network by default, and must lie in it. */
static bool parse_places(SlirpConfig *config, const struct key_values *options, GError **error)
{
    const struct {
        const char *key;
        struct in_addr *address;
        uint32_t number;
    } places[] = {
        {"host", &config->vhost, 2},
        {"dns", &config->vnameserver, 3},
        {"dhcpstart", &config->vdhcp_start, 15},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        const char *text = key_values_get(options, places[i].key);

        *places[i].address = host_number(config, places[i].number);
        if (text && !parse_ipv4(places[i].key, text, places[i].address, error)) {
            return false;
        }
        if (!is_inside(config, *places[i].address)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "%s=%s is outside of net=", places[i].key, text);
        }
    }
    if (config->vhost.s_addr == config->vnameserver.s_addr ||
        config->vhost.s_addr == config->vdhcp_start.s_addr ||
        config->vnameserver.s_addr == config->vdhcp_start.s_addr) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "host=, dns= and dhcpstart= must be three addresses");
    }
    return true;
}

static bool parse_ipv6_places(SlirpConfig *config, const struct key_values *options, GError **error)
{
    const char *net = key_values_get(options, "ipv6-net");
    const char *prefix = key_values_get(options, "ipv6-prefix");
    const char *length = key_values_get(options, "ipv6-prefixlen");
    const char *host = key_values_get(options, "ipv6-host"),
               *dns = key_values_get(options, "ipv6-dns");
    g_auto(GStrv) parts = net ? g_strsplit(net, "/", 2) : NULL;
    uint64_t bits = 64;

    prefix = parts ? parts[0] : prefix ? prefix : "fec0::";
    length = parts ? parts[1] : length;
    if (!parse_ipv6("ipv6-prefix", prefix, &config->vprefix_addr6, error)) {
        return false;
    }
    if (length && (!parse_number(length, &bits, NULL) || bits > 126)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "ipv6-prefixlen=%s: 0 to 126 is expected", length);
    }
    config->vprefix_len = (uint8_t)bits;
    config->vhost6 = config->vnameserver6 = config->vprefix_addr6;
    config->vhost6.s6_addr[15] |= 2;
    config->vnameserver6.s6_addr[15] |= 3;
    return (!host || parse_ipv6("ipv6-host", host, &config->vhost6, error)) &&
           (!dns || parse_ipv6("ipv6-dns", dns, &config->vnameserver6, error));
}

static void parse_lists(struct user_options *user, const struct key_values *options)
{
    for (unsigned i = 0; i < options->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(options->items, i);

        if (g_str_equal(item->key, "hostfwd")) {
            g_ptr_array_add(user->forwards, g_strdup(item->value));
        } else if (g_str_equal(item->key, "guestfwd")) {
            g_ptr_array_add(user->guest_forwards, g_strdup(item->value));
        } else if (g_str_equal(item->key, "dnssearch")) {
            g_ptr_array_add(user->dns_search, g_strdup(item->value));
        }
    }
    if (user->dns_search->len) {
        g_ptr_array_add(user->dns_search, NULL);
        user->config.vdnssearch = (const char **)user->dns_search->pdata;
    }
}

/* What DHCP has room for (RFC 2132). */
static bool check_text(const char *key, const char *text, size_t maximum, GError **error)
{
    return !text || strlen(text) <= maximum ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s=: at most %zu characters", key,
                      maximum);
}

static bool parse_all(struct user_options *user, const struct key_values *options, GError **error)
{
    SlirpConfig *config = &user->config;
    const char *net = key_values_get(options, "net");
    bool restricted = false;

    if (!key_values_get_bool(options, "ipv4", &config->in_enabled, error) ||
        !key_values_get_bool(options, "ipv6", &config->in6_enabled, error) ||
        !key_values_get_bool(options, "restrict", &restricted, error) ||
        !parse_network(net ? net : "10.0.2.0/24", config, error) ||
        !parse_places(config, options, error) || !parse_ipv6_places(config, options, error)) {
        return false;
    }
    if (!config->in_enabled && !config->in6_enabled) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "ipv4=off and ipv6=off leave nothing");
    }
    config->restricted = restricted;
    config->vhostname = keep(user, key_values_get(options, "hostname"));
    config->vdomainname = keep(user, key_values_get(options, "domainname"));
    config->tftp_path = keep(user, key_values_get(options, "tftp"));
    config->tftp_server_name = keep(user, key_values_get(options, "tftp-server-name"));
    config->bootfile = keep(user, key_values_get(options, "bootfile"));
    parse_lists(user, options);
    return check_text("hostname", config->vhostname, 32, error) &&
           check_text("domainname", config->vdomainname, 255, error) &&
           check_text("tftp-server-name", config->tftp_server_name, 255, error) &&
           check_text("bootfile", config->bootfile, 127, error);
}

bool user_options_parse(struct user_options *user, const struct key_values *options, GError **error)
{
    *user = (struct user_options){
        .config = {.version = 4, .in_enabled = true, .in6_enabled = true},
        .forwards = g_ptr_array_new_with_free_func(g_free),
        .guest_forwards = g_ptr_array_new_with_free_func(g_free),
        .dns_search = g_ptr_array_new_with_free_func(g_free),
        .strings = g_ptr_array_new_with_free_func(g_free),
    };
    if (!parse_all(user, options, error)) {
        user_options_clear(user);
        return false;
    }
    return true;
}

void user_options_clear(struct user_options *user)
{
    g_clear_pointer(&user->forwards, g_ptr_array_unref);
    g_clear_pointer(&user->guest_forwards, g_ptr_array_unref);
    g_clear_pointer(&user->dns_search, g_ptr_array_unref);
    g_clear_pointer(&user->strings, g_ptr_array_unref);
}

static bool parse_endpoint(const char *text, struct in_addr *address, uint16_t *port)
{
    const char *colon = strchr(text, ':');
    g_autofree char *host = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
    uint64_t number;

    address->s_addr = INADDR_ANY;
    if (!colon || (*host && inet_pton(AF_INET, host, address) != 1) ||
        !parse_number(colon + 1, &number, NULL) || number > 65535) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

bool user_forward_parse(struct user_forward *forward, const char *text, bool for_removal,
                        GError **error)
{
    const char *rest = strchr(text, ':');
    g_auto(GStrv) ends = rest ? g_strsplit(rest + 1, "-", 2) : NULL;

    *forward = (struct user_forward){.is_udp = g_str_has_prefix(text, "udp:")};
    if (rest && (forward->is_udp || g_str_has_prefix(text, "tcp:") || rest == text) && ends[0] &&
        parse_endpoint(ends[0], &forward->host_address, &forward->host_port) &&
        (for_removal
             ? !ends[1]
             : ends[1] && parse_endpoint(ends[1], &forward->guest_address, &forward->guest_port) &&
                   forward->guest_port)) {
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' must be tcp|udp:[ADDR]:PORT%s",
                      text, for_removal ? "" : "-[GUESTADDR]:GUESTPORT");
}
