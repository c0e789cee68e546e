/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that add a USB controller and what people plug in. */
#include "dm/cli/options.h"
#include "util/error.h"

#include <string.h>

#define CONTROLLER "piix3-usb-uhci"

/* The controller of the PIIX3, where the board has one (launch.c); before all that is plugged into
 * it. */
bool option_usb(struct command_line *line, const char *value, GError **error)
{
    if (!line->usb) {
        line->usb = key_values_parse(CONTROLLER, "driver", NULL);
        g_ptr_array_insert(line->devices, 0, line->usb);
    }
    return true;
}

/* The older form, which has the controller too. */
bool option_usb_device(struct command_line *line, const char *value, GError **error)
{
    static const char *const devices[][2] = {
        {"tablet", "usb-tablet"}, {"mouse", "usb-mouse"}, {"keyboard", "usb-kbd"}};

    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        if (g_str_equal(value, devices[i][0])) {
            g_ptr_array_add(line->devices, key_values_parse(devices[i][1], "driver", NULL));
            return option_usb(line, NULL, error);
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "'%s' must be tablet, mouse or keyboard: others are not there", value);
}
