/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/monitor/hmp-commands.h"
#include "dm/machine.h"
#include "dm/nearest-word.h"
#include "dm/property.h"
#include "dm/virtio/virtio-balloon.h"
#include "util/error.h"

#include <string.h>

const struct hmp_command *hmp_find(const struct hmp_command *table, const char *name,
                                   GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (const struct hmp_command *command = table; command->name; command++) {
        if (g_str_equal(command->name, name) || g_strcmp0(command->alias, name) == 0) {
            return command;
        }
        g_ptr_array_add(names, (void *)command->name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no '%s' here%s ('help' lists all)", name,
               hint);
    return NULL;
}

static void print_table(const struct hmp_command *table, const char *prefix, GString *out)
{
    for (const struct hmp_command *command = table; command->name; command++) {
        g_autofree char *form =
            g_strdup_printf("%s%s%s%s%s%s", prefix, command->name, command->alias ? "|" : "",
                            command->alias ? command->alias : "", command->arguments ? " " : "",
                            command->arguments ? command->arguments : "");

        g_string_append_printf(out, "%-28s %s\n", form, command->help);
    }
}

static bool help(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const struct hmp_command *command;

    if (!words[1]) {
        print_table(hmp_command_table, "", out);
        return true;
    }
    if (g_str_equal(words[1], "info")) {
        print_table(hmp_info_table, "info ", out);
        return true;
    }
    command = hmp_find(hmp_command_table, words[1], error);
    if (command) {
        g_string_append_printf(out, "%s%s%s: %s\n", command->name, command->arguments ? " " : "",
                               command->arguments ? command->arguments : "", command->help);
    }
    return command != NULL;
}

static bool info(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const struct engine_ops *engine = context->machine->engine;
    const struct hmp_command *command;

    if (!words[1]) {
        print_table(hmp_info_table, "info ", out);
        return true;
    }
    if (engine->print_info && engine->print_info(context->machine, words[1], out)) {
        return true;
    }
    command = hmp_find(hmp_info_table, words[1], error);
    return command && command->run(context, words + 1, out, error);
}

static bool stop(struct hmp_context *context, char **words, GString *out, GError **error)
{
    machine_stop(context->machine, RUN_STATE_PAUSED);
    return true;
}

static bool cont(struct hmp_context *context, char **words, GString *out, GError **error)
{
    return machine_continue(context->machine, error);
}

static bool quit(struct hmp_context *context, char **words, GString *out, GError **error)
{
    machine_request_shutdown(context->machine, SHUTDOWN_HOST_QMP_QUIT);
    return true;
}

static bool hmp_nmi(struct hmp_context *context, char **words, GString *out, GError **error)
{
    return machine_inject_nmi(context->machine, error);
}

static bool system_reset(struct hmp_context *context, char **words, GString *out, GError **error)
{
    machine_request_reset(context->machine, false);
    return true;
}

static bool system_powerdown(struct hmp_context *context, char **words, GString *out,
                             GError **error)
{
    machine_request_powerdown(context->machine);
    return true;
}

static bool balloon(struct hmp_context *context, char **words, GString *out, GError **error)
{
    uint64_t bytes;

    if (!words[1] || words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "balloon SIZE, in MiB");
    }
    return parse_size(words[1], 'M', &bytes, error) &&
           balloon_set_target(context->machine, bytes, error);
}

const struct hmp_command hmp_command_table[] = {
    {"balloon", NULL, "SIZE", "ask the guest to make do with that much memory (MiB)", balloon},
    {"change", NULL, "DRIVE FILE [FORMAT]", "put another medium into a drive", hmp_change},
    {"cont", "c", NULL, "let the machine run on", cont},
    {"cpu", NULL, "INDEX", "choose the CPU that commands look at", hmp_cpu},
    {"device_add", NULL, "DRIVER[,PROPERTY=VALUE]", "plug a device in", hmp_device_add},
    {"device_del", NULL, "ID", "ask the guest to let go of a device", hmp_device_del},
    {"eject", NULL, "[-f] DRIVE", "take the medium out of a drive, by force with -f", hmp_eject},
    {"help", "?", "[COMMAND]", "list the commands, or one", help},
    {"hostfwd_add", NULL, "[ID] FORWARD", "forward a port of the host to the guest",
     hmp_hostfwd_add},
    {"hostfwd_remove", NULL, "[ID] FORWARD", "end a forward", hmp_hostfwd_remove},
    {"info", NULL, "[WHAT]", "tell the state of something; alone it lists what", info},
    {"migrate", NULL, "URI", "save the machine, or send it to another duodm", hmp_migrate},
    {"migrate_cancel", NULL, NULL, "stop sending, and go on here", hmp_migrate_cancel},
    {"mouse_button", NULL, "STATE",
     "hold buttons: 1 left, 2 middle, 4 right, or their sum; 0: none", hmp_mouse_button},
    {"mouse_move", NULL, "DX DY [DZ]", "move the mouse", hmp_mouse_move},
    {"netdev_add", NULL, "TYPE,id=ID[,...]", "add a network back end", hmp_netdev_add},
    {"netdev_del", NULL, "ID", "remove a network back end", hmp_netdev_del},
    {"nmi", NULL, NULL, "send all vCPUs an NMI", hmp_nmi},
    {"quit", "q", NULL, "end duodm", quit},
    {"screendump", NULL, "[-f ppm|png] FILE", "write the picture to a file", hmp_screendump},
    {"sendkey", NULL, "KEY[-KEY...] [HOLD]", "press keys together; HOLD: milliseconds [100]",
     hmp_sendkey},
    {"set_link", NULL, "NAME on|off", "plug or pull a network cable", hmp_set_link},
    {"stop", "s", NULL, "halt the machine", stop},
    {"system_powerdown", NULL, NULL, "press the power button", system_powerdown},
    {"system_reset", NULL, NULL, "reset the machine", system_reset},
    {"x", NULL, "/FMT ADDRESS", "memory at a virtual address; FMT: count, x d u o c, b h w g",
     hmp_examine},
    {"xp", NULL, "/FMT ADDRESS", "memory at a physical address", hmp_examine},
    {NULL, NULL, NULL, NULL, NULL},
};

/* "x/8xw ADDRESS" and "x /8xw ADDRESS" are the same; so words[0] loses its format. */
static char **split_words(const char *line)
{
    g_auto(GStrv) parts = g_strsplit_set(line, " \t\r\n", -1);
    GPtrArray *words = g_ptr_array_new();

    for (unsigned i = 0; parts[i]; i++) {
        char *slash = words->len == 0 ? strchr(parts[i], '/') : NULL;

        if (!*parts[i]) {
            continue;
        }
        if (slash && slash != parts[i]) {
            g_ptr_array_add(words, g_strndup(parts[i], (gsize)(slash - parts[i])));
            g_ptr_array_add(words, g_strdup(slash));
        } else {
            g_ptr_array_add(words, g_strdup(parts[i]));
        }
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

void hmp_execute(struct hmp_context *context, const char *line, GString *out)
{
    g_auto(GStrv) words = split_words(line);
    g_autoptr(GError) error = NULL;
    const struct hmp_command *command;

    if (!words[0]) {
        return;
    }
    command = hmp_find(hmp_command_table, words[0], &error);
    if (command && !command->arguments && words[1]) {
        duodm_fail(&error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' takes no argument", command->name);
    } else if (command) {
        command->run(context, words, out, &error);
    }
    if (error) {
        g_string_append_printf(out, "Error: %s\n", error->message);
    }
}
