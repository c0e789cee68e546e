/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of what people see and type: -display, -vga, -vnc, -k. */
#include "dm/cli/launch.h"
#include "dm/vnc/vnc.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

bool option_vga(struct command_line *line, const char *value, GError **error)
{
    static const char *const models[] = {"std", "cirrus", "none", NULL};

    if (!g_strv_contains(models, value)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "there is no adapter '%s': std, cirrus (the same) and none are known",
                          value);
    }
    line->vga = models[g_str_equal(value, "none") ? 2 : g_str_equal(value, "cirrus") ? 1 : 0];
    return true;
}

bool option_vnc(struct command_line *line, const char *value, GError **error)
{
    struct vnc_options options;
    bool off;

    if (!vnc_options_parse(&options, value, &off, error)) {
        return false;
    }
    vnc_options_clear(&options);
    g_clear_pointer(&line->vnc, g_free);
    line->vnc = off ? NULL : g_strdup(value);
    return true;
}

bool option_display(struct command_line *line, const char *value, GError **error)
{
    if (g_str_equal(value, "none")) {
        return true;
    }
    if (g_str_has_prefix(value, "vnc=")) {
        return option_vnc(line, value + strlen("vnc="), error);
    }
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "there are no windows of our own: look over VNC (-vnc :0, or -display "
                      "vnc=:0), or say -display none");
}

bool option_keymap(struct command_line *line, const char *value, GError **error)
{
    line->other_keymap = !g_str_equal(value, "en-us");
    return true;
}

static bool has_adapter(const struct command_line *line)
{
    static const char *const adapters[] = {"VGA", "cirrus-vga", NULL};

    for (unsigned i = 0; i < line->devices->len; i++) {
        if (g_strv_contains(adapters,
                            key_values_get(g_ptr_array_index(line->devices, i), "driver"))) {
            return true;
        }
    }
    return false;
}

/* Where nobody could see it, an adapter is not made by itself: a guest starts sooner without. */
static const char *choose_adapter(const struct command_line *line, const struct machine *machine)
{
    bool by_itself = line->vnc && !machine->config.no_defaults && !line->nographic &&
                     machine->pci_bus && !has_adapter(line);

    return line->vga ? line->vga : by_itself ? "std" : "none";
}

bool launch_add_adapter(struct launch *launch, GError **error)
{
    const char *name = choose_adapter(&launch->line, launch->machine);

    return g_str_equal(name, "none") ||
           device_create(launch->machine, g_str_equal(name, "cirrus") ? "cirrus-vga" : "VGA", NULL,
                         error, NULL);
}

bool launch_start_vnc(struct launch *launch, GError **error)
{
    struct vnc_options options;
    bool off, ok;

    if (!launch->line.vnc) {
        return true;
    }
    if (launch->line.other_keymap) {
        log_warning("keys that VNC clients send are taken as those of a US keyboard");
    }
    ok = vnc_options_parse(&options, launch->line.vnc, &off, error) &&
         vnc_server_start(launch->machine, &options, error);
    vnc_options_clear(&options);
    if (!ok) {
        g_prefix_error(error, "-vnc %s: ", launch->line.vnc);
    }
    return ok;
}

void launch_stop_vnc(struct launch *launch)
{
    vnc_server_stop(launch->machine);
}
