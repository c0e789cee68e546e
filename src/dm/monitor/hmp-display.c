/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor: the picture, VNC, keys and pointer. */
#include "dm/display/display.h"
#include "dm/input/input.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/property.h"
#include "dm/vnc/vnc.h"
#include "util/error.h"

#include <string.h>

#define HOLD_MS_DEFAULT 100
#define HOLD_MS_MAX     60000
#define MOTION_MAX      0x10000

bool hmp_info_vnc(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct vnc_info *info;

    if (!context->machine->vnc) {
        g_string_append(out, "None\n");
        return true;
    }
    info = vnc_get_info(context->machine->vnc);
    g_string_append_printf(out, "default:\n  Server: %s%s%s (%s)\n    Auth: %s\n", info->host,
                           *info->service ? ":" : "", info->service, info->family, info->auth);
    for (unsigned i = 0; i < info->clients->len; i++) {
        const struct vnc_client_info *client = g_ptr_array_index(info->clients, i);

        g_string_append_printf(out, "  Client: %s%s%s (%s)\n", client->host,
                               *client->service ? ":" : "", client->service, client->family);
    }
    vnc_info_free(info);
    return true;
}

bool hmp_info_mice(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const GPtrArray *handlers = input_handlers(context->machine);
    const struct input_handler *absolute = input_find_handler(context->machine, INPUT_ABSOLUTE);
    const struct input_handler *current =
        absolute ? absolute : input_find_handler(context->machine, INPUT_RELATIVE);

    for (unsigned i = 0; i < handlers->len; i++) {
        const struct input_handler *handler = g_ptr_array_index(handlers, i);

        if (handler->kinds & (INPUT_RELATIVE | INPUT_ABSOLUTE)) {
            g_string_append_printf(out, "%c Mouse #%u: %s%s\n", handler == current ? '*' : ' ', i,
                                   handler->name,
                                   handler->kinds & INPUT_ABSOLUTE ? " (absolute)" : "");
        }
    }
    return true;
}

/* screendump [-f FORMAT] FILE */
bool hmp_screendump(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const char *format = "ppm";
    unsigned next = 1;

    if (words[1] && g_str_equal(words[1], "-f") && words[2]) {
        format = words[2];
        next = 3;
    }
    if (!words[next] || words[next + 1]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "screendump [-f ppm|png] FILE");
    }
    return display_dump(context->machine, words[next], format, error);
}

/* "ctrl-alt-f1"; a key may also be a number, "0x1c". */
static const struct key *find_key(const char *text)
{
    uint64_t number;

    if (g_str_has_prefix(text, "0x") && parse_number(text, &number, NULL)) {
        return number < 256 ? key_find_number((unsigned)number) : NULL;
    }
    if (g_str_equal(text, "<")) {
        return key_find_name("less");
    }
    return key_find_name(text);
}

bool hmp_sendkey(struct hmp_context *context, char **words, GString *out, GError **error)
{
    g_auto(GStrv) names = words[1] ? g_strsplit(words[1], "-", -1) : NULL;
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    uint64_t hold_ms = HOLD_MS_DEFAULT;

    if (!names || (words[2] && (!parse_number(words[2], &hold_ms, NULL) || words[3])) ||
        hold_ms > HOLD_MS_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "sendkey KEY[-KEY...] [HOLD], milliseconds up to %d", HOLD_MS_MAX);
    }
    for (unsigned i = 0; names[i]; i++) {
        const struct key *key = find_key(names[i]);

        if (!key) {
            return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no key '%s'", names[i]);
        }
        g_ptr_array_add(keys, (void *)key);
    }
    return input_type_keys(context->machine, (const struct key *const *)keys->pdata, keys->len,
                           (unsigned)hold_ms, error);
}

static bool parse_motion(const char *text, int *value)
{
    gint64 number;

    if (!text || !g_ascii_string_to_signed(text, 10, -MOTION_MAX, MOTION_MAX, &number, NULL)) {
        return false;
    }
    *value = (int)number;
    return true;
}

bool hmp_mouse_move(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct machine *machine = context->machine;
    int x, y, z = 0;

    if (!parse_motion(words[1], &x) || !parse_motion(words[2], &y) ||
        (words[3] && (!parse_motion(words[3], &z) || words[4]))) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "mouse_move DX DY [DZ]");
    }
    input_send_motion(machine, INPUT_RELATIVE, INPUT_X, x);
    input_send_motion(machine, INPUT_RELATIVE, INPUT_Y, y);
    if (z) {
        enum input_button wheel = z > 0 ? INPUT_WHEEL_UP : INPUT_WHEEL_DOWN;

        input_send_button(machine, wheel, true);
        input_send_button(machine, wheel, false);
    }
    input_sync(machine);
    return true;
}

/* mouse_button STATE: 1 left, 2 middle, 4 right, together; 0: none. */
bool hmp_mouse_button(struct hmp_context *context, char **words, GString *out, GError **error)
{
    static const enum input_button buttons[] = {INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT};
    int state;

    if (!parse_motion(words[1], &state) || state < 0 || state > 7 || words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "mouse_button STATE: the sum of 1 (left), 2 (middle), 4 (right)");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        input_send_button(context->machine, buttons[i], state & 1 << i);
    }
    input_sync(context->machine);
    return true;
}
