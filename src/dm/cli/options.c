/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/absent.h"
#include "dm/cli/options.h"
#include "dm/block/drive.h"
#include "util/error.h"

#include <string.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#include "dm/nearest-word.h"
#endif

static bool is_none(const char *option, const char *value, const char *lack, GError **error)
{
    return g_str_equal(value, "none") ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "this version has no %s: use '%s none', or leave it out", lack, option);
}

static bool option_parallel(struct command_line *line, const char *value, GError **error)
{
    return is_none("-parallel", value, "parallel port", error);
}

/* Options that set one string or one flag of struct command_line. */
#define STRING_OPTION(name_, field_)                                                               \
    static bool option_##name_(struct command_line *line, const char *value, GError **error)       \
    {                                                                                              \
        g_free(line->field_);                                                                      \
        line->field_ = g_strdup(value);                                                            \
        return true;                                                                               \
    }
#define FLAG_OPTION(name_, field_)                                                                 \
    static bool option_##name_(struct command_line *line, const char *value, GError **error)       \
    {                                                                                              \
        line->field_ = true;                                                                       \
        return true;                                                                               \
    }

STRING_OPTION(kernel, config.kernel)
STRING_OPTION(initrd, config.initrd)
STRING_OPTION(append, config.append)
STRING_OPTION(bios, config.bios)
STRING_OPTION(incoming, config.incoming)
STRING_OPTION(pidfile, pidfile)
STRING_OPTION(log_file, log_file)
STRING_OPTION(xen_domid, xen_domid)
STRING_OPTION(chroot, chroot)
STRING_OPTION(runas, run_as)
STRING_OPTION(qtest, qtest)
STRING_OPTION(qtest_log, qtest_log)
FLAG_OPTION(nographic, nographic)
FLAG_OPTION(nodefaults, config.no_defaults)
FLAG_OPTION(no_reboot, config.no_reboot)
FLAG_OPTION(no_shutdown, config.no_shutdown)
FLAG_OPTION(no_acpi, config.no_acpi)
FLAG_OPTION(no_hpet, config.no_hpet)
FLAG_OPTION(xen_restrict, xen_restrict)
FLAG_OPTION(start_paused, config.start_paused)

static bool option_xen_attach(struct command_line *line, const char *value, GError **error)
{
    return true; /* what else */
}

static bool option_no_user_config(struct command_line *line, const char *value, GError **error)
{
    return true; /* there is no configuration of the user's to be left out */
}

static bool option_firmware_folder(struct command_line *line, const char *value, GError **error)
{
    g_ptr_array_add(line->config.firmware_folders, g_strdup(value));
    return true;
}

static bool option_help(struct command_line *line, const char *value, GError **error)
{
    command_line_print_help(stdout);
    line->done = true;
    return true;
}

static bool option_version(struct command_line *line, const char *value, GError **error)
{
    printf("duodm version %s\n", PACKAGE_VERSION);
    line->done = true;
    return true;
}

const struct option option_table[] = {
    {"machine", "M", "[type=]TYPE[,accel=ENGINE[:ENGINE...]][,PROPERTY=VALUE...]",
     "the board; '-machine help' lists them, '-machine TYPE,help' its properties", "The machine",
     option_machine},
    {"accel", NULL, "[accel=]ENGINE[,OPTION=VALUE...]",
     "what runs the CPUs; given again: used if those before can't be\n"
     "('-accel help' lists them)",
     NULL, option_accel},
    {"cpu", NULL, "MODEL[,+FLAG|,-FLAG...][,PROPERTY=VALUE...]",
     "the CPU model; '-cpu help' lists models and flags", NULL, option_cpu},
    {"smp", NULL, "[cpus=]N[,maxcpus=N][,sockets=N][,cores=N][,threads=N]",
     "number of CPUs [1] and how they are grouped", NULL, option_smp},
    {"m", NULL, "[size=]SIZE", "memory, in MiB unless it has a suffix K, M, G or T [128]", NULL,
     option_memory},
    {"global", NULL, "DRIVER.PROPERTY=VALUE",
     "a property's default for all devices of a kind\n"
     "(also driver=DRIVER,property=PROPERTY,value=VALUE)",
     NULL, option_global},
    {"device", NULL, "[driver=]TYPE[,id=ID][,bus=BUS][,PROPERTY=VALUE...]",
     "add a device; '-device help' lists them, '-device TYPE,help' the properties", NULL,
     option_device},
    {"usb", NULL, NULL, "a USB controller, in the chipset", NULL, option_usb},
    {"usbdevice", NULL, "tablet|mouse|keyboard", "-usb, and a device there", NULL,
     option_usb_device},
    {"object", NULL, "TYPE,id=ID[,PROPERTY=VALUE...]",
     "make an object that devices name; '-object help' lists them,\n"
     "'-object TYPE,help' the properties",
     NULL, option_object},
    {"nodefaults", NULL, NULL, "make no serial port and no monitor that were not asked for", NULL,
     option_nodefaults},
    {"no-user-config", NULL, NULL, "accepted; there are no configuration files", NULL,
     option_no_user_config},
    {"no-acpi", NULL, NULL, "no ACPI tables", NULL, option_no_acpi},
    {"no-hpet", NULL, NULL, "no HPET", NULL, option_no_hpet},
    {"rtc", NULL, "base=utc|localtime|DATE", "what the clock of the machine shows at the start",
     NULL, option_rtc},
    {"name", NULL, "[guest=]NAME", "name of the machine, for monitors", NULL, option_name},
    {"uuid", NULL, "UUID", "UUID of the machine, for its SMBIOS tables and monitors", NULL,
     option_uuid},

    {"kernel", NULL, "FILE",
     "bzImage, multiboot or PVH kernel; started without firmware, unless -bios is given",
     "Starting a guest", option_kernel},
    {"initrd", NULL, "FILE", "initial RAM disk of the kernel, or multiboot modules", NULL,
     option_initrd},
    {"append", NULL, "TEXT", "command line of the kernel", NULL, option_append},
    {"bios", NULL, "FILE", "firmware image [bios-256k.bin without -kernel]", NULL, option_bios},
    {"L", NULL, "FOLDER", "look there for firmware first", NULL, option_firmware_folder},
    {"boot", NULL, "[order=]DRIVES[,once=DRIVES][,menu=on|off]",
     "boot order of the firmware, that until the first reset, and its menu", NULL, option_boot},
    {"fw_cfg", NULL, "[name=]NAME,file=FILE|string=TEXT", "an item for the guest's firmware", NULL,
     option_fw_cfg},

    {"drive", NULL, "[file=]FILE[,if=ide|virtio|none][,index=N][,id=ID][,OPTION=VALUE...]",
     "a disk: a file, a block device or an NBD server (nbd:unix:PATH, nbd://HOST);\n"
     "if=none: for a -device to name [ide where the machine has it, else virtio];\n"
     "cache=, aio=, discard=, readonly=, werror=, rerror= and more: see the manual page",
     "Disks", option_drive},
    {"hda", NULL, "FILE", "an IDE disk as with -drive, at index 0", NULL, option_hda},
    {"hdb", NULL, "FILE", "the same at index 1", NULL, option_hdb},
    {"hdc", NULL, "FILE", "the same at index 2", NULL, option_hdc},
    {"hdd", NULL, "FILE", "the same at index 3", NULL, option_hdd},
    {"cdrom", NULL, "FILE", "a medium in a CD drive at index 2", NULL, option_cdrom},
    {"blockdev", NULL, "[driver=]DRIVER,node-name=NAME[,OPTION=VALUE...]",
     "an image for a -device to name, also as JSON: file, host_device, nbd, null-co,\n"
     "or raw over one of them",
     NULL, option_blockdev},

    {"serial", NULL, "DEV",
     "a serial port, up to 4: stdio, pty, null, none, file:PATH,\n"
     "unix:PATH[,server=on][,wait=off], tcp:HOST:PORT[,...], chardev:ID,\n"
     "or mon: and one of these to share it with the monitor [mon:stdio]",
     "Character devices and monitors", option_serial},
    {"chardev", NULL, "KIND,id=ID[,mux=on][,OPTION=VALUE...]",
     "a character device for others to name; '-chardev help' lists the kinds", NULL,
     option_chardev},
    {"monitor", NULL, "DEV", "the human monitor, on a device as with -serial", NULL,
     option_monitor},
    {"qmp", NULL, "DEV", "the JSON monitor (QMP), on a device as with -serial", NULL, option_qmp},
    {"mon", NULL, "[chardev=]ID[,mode=readline|control][,pretty=on]",
     "a monitor on a character device", NULL, option_mon},
    {"nographic", NULL, NULL, "serial port and monitor on the terminal; Ctrl-A h for help there",
     NULL, option_nographic},
    {"parallel", NULL, "none", "accepted; there is no parallel port", NULL, option_parallel},

    {"vga", NULL, "std|cirrus|none",
     "the graphics adapter; cirrus: std in its place [std with -vnc, else none]", "Display",
     option_vga},
    {"vnc", NULL, "[HOST]:NUMBER|unix:PATH|none[,to=N][,password=on][,share=POLICY]",
     "show the screen over VNC, on TCP port 5900 + NUMBER or a socket; to: or the next free\n"
     "one; password: set by the monitor; share: allow-exclusive, force-shared, ignore",
     NULL, option_vnc},
    {"display", NULL, "none|vnc=DISPLAY[,...]", "no window; vnc: the same as -vnc", NULL,
     option_display},
    {"k", NULL, "LANGUAGE", "accepted; VNC clients' keys are taken as those of a US keyboard", NULL,
     option_keymap},

    {"netdev", NULL, "[type=]TYPE,id=ID[,OPTION=VALUE...]",
     "a network back end for a card to name; '-netdev help' lists the types", "Network",
     option_netdev},
    {"nic", NULL, "[type=]TYPE|none[,model=MODEL][,mac=MAC][,OPTION=VALUE...]",
     "back end and card at once; '-nic model=help' lists the cards", NULL, option_nic},
    {"net", NULL, "none", "accepted; there is no network that was not asked for", NULL, option_net},

    {"S", NULL, NULL, "wait for the monitor's 'cont' before the guest starts", "Running",
     option_start_paused},
    {"incoming", NULL, "URI",
     "go on with a machine that 'migrate' saved or sends: file:PATH, fd:N, unix:PATH,\n"
     "tcp:[HOST]:PORT, exec:COMMAND, or defer: what migrate-incoming says",
     NULL, option_incoming},
    {"no-reboot", NULL, NULL, "end instead of a reset", NULL, option_no_reboot},
    {"no-shutdown", NULL, NULL, "stay, with the monitors, when the guest has shut down", NULL,
     option_no_shutdown},
    {"pidfile", NULL, "FILE", "write the process number there; removed at the end", NULL,
     option_pidfile},

    {"chroot", NULL, "FOLDER", "make it the root directory when all files are open", NULL,
     option_chroot},
    {"runas", NULL, "USER|UID:GID", "be that user when all files are open", NULL, option_runas},
    {"run-with", NULL, "[chroot=FOLDER][,user=USER|UID:GID]", "both of these", NULL,
     option_run_with},

    {"xen-domid", NULL, "N", "the domain to be the device model of (-accel xen)", "Xen",
     option_xen_domid},
    {"xen-domid-restrict", NULL, NULL, "keep no rights but those on that domain", NULL,
     option_xen_restrict},
    {"xen-attach", NULL, NULL, "accepted; -accel xen always attaches to a domain", NULL,
     option_xen_attach},

    {"D", NULL, "FILE", "write the log there, not to standard error", "Debugging", option_log_file},
    {"d", NULL, "ITEM[,ITEM...]", "what to log; '-d help' lists the items", NULL, option_log_items},
    {"trace", NULL, "[enable=]PATTERN[,events=FILE][,file=FILE]",
     "log trace points; '-trace help' lists them; events: patterns, one a line;\n"
     "file: where the log goes",
     NULL, option_trace},
    {"qtest", NULL, "DEV", "the test port, on a device as with -serial (see -accel qtest)", NULL,
     option_qtest},
    {"qtest-log", NULL, "FILE", "write what goes over the test port there", NULL, option_qtest_log},

    {"version", NULL, NULL, "print the version", "Help", option_version},
    {"help", "h", NULL, "print this", NULL, option_help},
    {"?", NULL, NULL, "the same", NULL, option_help},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

static void print_option(FILE *out, const struct option *option)
{
    g_auto(GStrv) lines = g_strsplit(option->help, "\n", -1);

    fprintf(out, "  -%s%s%s%s%s\n", option->name, option->alias ? ", -" : "",
            option->alias ? option->alias : "", option->argument ? " " : "",
            option->argument ? option->argument : "");
    for (unsigned i = 0; lines[i]; i++) {
        fprintf(out, "        %s\n", lines[i]);
    }
}

void command_line_print_help(FILE *out)
{
    fprintf(out,
            "duodm %s: a virtual machine and device model for x86\n"
            "usage: duodm [-OPTION [ARGUMENT]]...\n",
            PACKAGE_VERSION);
    for (const struct option *option = option_table; option->name; option++) {
        if (option->heading) {
            fprintf(out, "\n%s\n", option->heading);
        }
        print_option(out, option);
    }
}

static const struct option *find_option(const char *name)
{
    for (const struct option *option = option_table; option->name; option++) {
        if (g_str_equal(option->name, name) || g_strcmp0(option->alias, name) == 0) {
            return option;
        }
    }
    return NULL;
}

static bool fail_unknown(const char *argument, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *advice = absent_option_advice(name);
    g_autofree char *dashed = g_strconcat("-", name, NULL), *hint = NULL;

    for (const struct option *option = option_table; option->name; option++) {
        g_ptr_array_add(names, g_strconcat("-", option->name, NULL));
    }
    g_ptr_array_add(names, NULL);
    hint = *advice ? g_strdup(advice) : suggestion(dashed, (const char *const *)names->pdata);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "%s: there is no such option%s ('duodm -help' lists all)", argument, hint);
}

/* What the error of an option begins with: the option and, if it is short, its value. */
static char *describe(const struct option *option, const char *value)
{
    if (!value || strlen(value) > 60 || !g_utf8_validate(value, -1, NULL)) {
        return g_strdup_printf("-%s", option->name);
    }
    return g_strdup_printf("-%s %s", option->name, value);
}

/* Parse argv[*index], and its value from the next. */
static bool parse_one(struct command_line *line, int argc, char *const *argv, int *index,
                      GError **error)
{
    const char *argument = argv[*index], *value = NULL;
    const char *name = argument + (g_str_has_prefix(argument, "--") ? 2 : 1);
    g_autofree char *description = NULL;
    const struct option *option;

    if (argument[0] != '-' || !*name) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is not an option: options begin with '-' (a disk image is named by "
                          "-drive; 'duodm -help' lists all)",
                          argument);
    }
    option = find_option(name);
    if (!option) {
        return fail_unknown(argument, name, error);
    }
    if (option->argument) {
        if (*index + 1 >= argc) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "%s: an argument is missing: %s %s", argument, argument,
                              option->argument);
        }
        value = argv[++*index];
    }
    description = describe(option, value);
    if (!option->handle(line, value, error)) {
        g_prefix_error(error, "%s: ", description);
        return false;
    }
    return true;
}

static bool check_line(const struct command_line *line, GError **error)
{
    if (!line->config.kernel && (line->config.initrd || line->config.append)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "-%s: is for a kernel: add -kernel FILE",
                          line->config.initrd ? "initrd" : "append");
    }
    return true;
}

bool command_line_parse(struct command_line *line, int argc, char *const *argv, GError **error)
{
    for (int i = 1; i < argc && !line->done; i++) {
        if (!parse_one(line, argc, argv, &i, error)) {
            return false;
        }
    }
    return line->done || check_line(line, error);
}

static void free_list(void *list)
{
    key_values_free(list);
}

static void free_monitor(void *opaque)
{
    struct monitor_request *request = opaque;

    g_free(request->device);
    g_free(request);
}

void command_line_init(struct command_line *line)
{
    *line = (struct command_line){0};
    machine_config_init(&line->config);
    line->board_options = key_values_parse("", NULL, NULL);
    line->engines = g_ptr_array_new_with_free_func(free_list);
    line->devices = g_ptr_array_new_with_free_func(free_list);
    line->chardevs = g_ptr_array_new_with_free_func(g_free);
    line->drives = g_ptr_array_new_with_free_func((GDestroyNotify)drive_free);
    line->netdevs = g_ptr_array_new_with_free_func(g_free);
    line->objects = g_ptr_array_new_with_free_func(free_list);
    line->serials = g_ptr_array_new_with_free_func(g_free);
    line->monitors = g_ptr_array_new_with_free_func(free_monitor);
    line->traces = g_ptr_array_new_with_free_func(g_free);
}

void command_line_clear(struct command_line *line)
{
    machine_config_clear(&line->config);
    key_values_free(line->board_options);
    g_ptr_array_unref(line->engines);
    g_ptr_array_unref(line->devices);
    g_ptr_array_unref(line->chardevs);
    g_ptr_array_unref(line->drives);
    g_ptr_array_unref(line->netdevs);
    g_ptr_array_unref(line->objects);
    g_ptr_array_unref(line->serials);
    g_ptr_array_unref(line->monitors);
    g_ptr_array_unref(line->traces);
    g_free(line->vnc);
    g_free(line->xen_domid);
    g_free(line->chroot);
    g_free(line->run_as);
    g_free(line->qtest);
    g_free(line->qtest_log);
    g_free(line->pidfile);
    g_free(line->log_file);
    g_free(line->log_items);
    *line = (struct command_line){0};
}
