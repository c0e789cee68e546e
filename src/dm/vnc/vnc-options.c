/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -vnc's argument. */
#include "dm/keyval.h"
#include "dm/property.h"
#include "dm/vnc/vnc.h"
#include "util/error.h"

#include <string.h>

#define PORT_FIRST  5900u
#define DISPLAY_MAX (65535u - PORT_FIRST)

/* "host:N", ":N", "[::1]:N" */
static bool parse_tcp(struct vnc_options *options, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':'), *host = text;
    uint64_t number;
    size_t length;

    if (!colon || !parse_number(colon + 1, &number, NULL)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is no display: it is HOST:NUMBER, :NUMBER, unix:PATH or none",
                          text);
    }
    if (number > DISPLAY_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "display %s is too large: 0 to %u are possible", colon + 1, DISPLAY_MAX);
    }
    length = (size_t)(colon - host);
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    options->host = length ? g_strndup(host, length) : NULL;
    options->port = options->last_port = PORT_FIRST + (unsigned)number;
    return true;
}

static bool parse_last(struct vnc_options *options, const struct key_values *list, GError **error)
{
    const char *text = key_values_get(list, "to");
    uint64_t number;

    if (!text) {
        return true;
    }
    if (!parse_number(text, &number, error)) {
        g_prefix_error(error, "to: ");
        return false;
    }
    if (options->path || number > DISPLAY_MAX || PORT_FIRST + number < options->port) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "to=%s: must be a display from the first one to %u", text, DISPLAY_MAX);
    }
    options->last_port = PORT_FIRST + (unsigned)number;
    return true;
}

static bool parse_share(struct vnc_options *options, const struct key_values *list, GError **error)
{
    static const char *const names[] = {"allow-exclusive", "force-shared", "ignore"};
    const char *text = key_values_get(list, "share");

    for (unsigned i = 0; text && i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(text, names[i])) {
            options->share = (enum vnc_share)i;
            return true;
        }
    }
    return !text || duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                               "share=%s: must be allow-exclusive, force-shared or ignore", text);
}

/* What others offer, and we don't. */
static bool check_options(const struct key_values *list, GError **error)
{
    static const char *const known[] = {
        "vnc", "to", "password", "share", "lossy", "non-adaptive", "key-delay-ms", "id", NULL};
    static const char *const refused[] = {"websocket", "reverse",       "sasl", "sasl-authz",
                                          "tls-creds", "tls-authz",     "acl",  "audiodev",
                                          "display",   "power-control", "head", "password-secret",
                                          NULL};

    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (g_strv_contains(refused, item->key)) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "this VNC server has no %s: leave it out%s", item->key,
                              g_str_equal(item->key, "websocket")
                                  ? ", and put a proxy such as websockify before it"
                                  : "");
        }
    }
    return key_values_check(list, known, error);
}

static bool parse_list(struct vnc_options *options, const struct key_values *list, bool *off,
                       GError **error)
{
    const char *display = key_values_get(list, "vnc");

    if (!check_options(list, error)) {
        return false;
    }
    if (!display) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "no display is named: HOST:NUMBER, :NUMBER, unix:PATH or none");
    }
    *off = g_str_equal(display, "none");
    if (g_str_has_prefix(display, "unix:")) {
        options->path = g_strdup(display + strlen("unix:"));
    } else if (!*off && !parse_tcp(options, display, error)) {
        return false;
    }
    return parse_last(options, list, error) && parse_share(options, list, error) &&
           key_values_get_bool(list, "password", &options->needs_password, error);
}

bool vnc_options_parse(struct vnc_options *options, const char *text, bool *off, GError **error)
{
    struct key_values *list = key_values_parse(text, "vnc", error);
    bool ok;

    *options = (struct vnc_options){0};
    *off = false;
    ok = list && parse_list(options, list, off, error);
    key_values_free(list);
    if (!ok) {
        vnc_options_clear(options);
    }
    return ok;
}

void vnc_options_clear(struct vnc_options *options)
{
    g_free(options->host);
    g_free(options->path);
    *options = (struct vnc_options){0};
}
