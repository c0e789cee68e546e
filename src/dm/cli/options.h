/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line. Every option is one row of option_table, from which it is recognised, checked
 * for its argument, and printed by -help. A handler notes in struct command_line what was asked
 * for; nothing is made or opened before the whole line has been read.
 */
#ifndef DUODM_DM_CLI_OPTIONS_H
#define DUODM_DM_CLI_OPTIONS_H

#include "dm/keyval.h"
#include "dm/machine.h"

/* -monitor, -qmp and -mon. */
struct monitor_request {
    char *device;    /* short form of a chardev */
    bool is_control; /* QMP; else the human monitor */
    bool is_pretty;  /* QMP with line breaks and indentation */
};

struct command_line {
    struct machine_config config;
    const struct board_class *board;  /* NULL: the default one */
    struct key_values *board_options; /* properties of -machine, but for those kept elsewhere */
    GPtrArray *engines;               /* of struct key_values: "accel" and the engine's options */
    GPtrArray *devices;               /* of struct key_values: "driver", "id", "bus", properties */
    GPtrArray *chardevs;              /* of char: -chardev's text */
    GPtrArray *drives;                /* of struct drive: -blockdev (no id) and -drive */
    GPtrArray *netdevs;               /* of char: -netdev's text, and that of -nic */
    GPtrArray *objects;               /* of struct key_values: "qom-type", "id", properties */
    GPtrArray *serials;               /* of char: short forms */
    GPtrArray *monitors;              /* of struct monitor_request */
    GPtrArray *traces;                /* of char: patterns */
    char *xen_domid;                  /* -xen-domid; NULL: not given */
    bool xen_restrict;                /* -xen-domid-restrict */
    char *chroot, *run_as;            /* what is given up when all is open; NULL: nothing */
    char *qtest, *qtest_log, *pidfile, *log_file, *log_items;
    const char *vga;        /* -vga; NULL: not given */
    char *vnc;              /* -vnc; NULL: none */
    bool other_keymap;      /* -k, of a keyboard that is not US */
    struct key_values *usb; /* -usb: its controller among the devices; NULL: none. Not owned */
    bool nographic;
    bool monitor_given, human_given; /* any monitor; one for people */
    bool help_cpu; /* -cpu help: depends on the engine, so is printed when the line is read */
    bool done;     /* help or the version was printed: nothing else is to be done */
};

typedef bool (*option_handler_fn)(struct command_line *line, const char *value, GError **error);

struct option {
    const char *name, *alias; /* without the dash; alias may be NULL */
    const char *argument;     /* form of the argument, NULL: none */
    const char *help;         /* lines, without a final line feed */
    const char *heading;      /* of the options from here on, or NULL */
    option_handler_fn handle;
};
extern const struct option option_table[]; /* ended by a NULL name */
extern const char *const run_with_keys[];  /* of -run-with; ended by NULL */

/* With defaults; what parsing adds is owned, until _clear. */
void command_line_init(struct command_line *line);
void command_line_clear(struct command_line *line);
/* Errors begin with the option that is wrong: "-m 1P: ...". */
bool command_line_parse(struct command_line *line, int argc, char *const *argv, GError **error);
void command_line_print_help(FILE *out);
/* machine_config.describe_options. */
struct json_t *command_line_describe(void);

/* Handlers: option-*.c. */
bool option_blockdev(struct command_line *line, const char *value, GError **error);
/* The board of -machine, or the default one. */
const struct board_class *command_line_board(const struct command_line *line);
bool option_drive(struct command_line *line, const char *value, GError **error);
bool option_hda(struct command_line *line, const char *value, GError **error);
bool option_hdb(struct command_line *line, const char *value, GError **error);
bool option_hdc(struct command_line *line, const char *value, GError **error);
bool option_hdd(struct command_line *line, const char *value, GError **error);
bool option_cdrom(struct command_line *line, const char *value, GError **error);
bool option_machine(struct command_line *line, const char *value, GError **error);
bool option_accel(struct command_line *line, const char *value, GError **error);
bool option_cpu(struct command_line *line, const char *value, GError **error);
bool option_smp(struct command_line *line, const char *value, GError **error);
bool option_memory(struct command_line *line, const char *value, GError **error);
bool option_boot(struct command_line *line, const char *value, GError **error);
bool option_rtc(struct command_line *line, const char *value, GError **error);
bool option_uuid(struct command_line *line, const char *value, GError **error);
bool option_name(struct command_line *line, const char *value, GError **error);
bool option_fw_cfg(struct command_line *line, const char *value, GError **error);
bool option_device(struct command_line *line, const char *value, GError **error);
bool option_global(struct command_line *line, const char *value, GError **error);
bool option_object(struct command_line *line, const char *value, GError **error);
bool option_chardev(struct command_line *line, const char *value, GError **error);
bool option_display(struct command_line *line, const char *value, GError **error);
bool option_keymap(struct command_line *line, const char *value, GError **error);
bool option_vga(struct command_line *line, const char *value, GError **error);
bool option_vnc(struct command_line *line, const char *value, GError **error);
bool option_netdev(struct command_line *line, const char *value, GError **error);
bool option_nic(struct command_line *line, const char *value, GError **error);
bool option_usb(struct command_line *line, const char *value, GError **error);
bool option_usb_device(struct command_line *line, const char *value, GError **error);
bool option_net(struct command_line *line, const char *value, GError **error);
bool option_serial(struct command_line *line, const char *value, GError **error);
bool option_monitor(struct command_line *line, const char *value, GError **error);
bool option_qmp(struct command_line *line, const char *value, GError **error);
bool option_mon(struct command_line *line, const char *value, GError **error);
bool option_trace(struct command_line *line, const char *value, GError **error);
bool option_run_with(struct command_line *line, const char *value, GError **error);
bool option_log_items(struct command_line *line, const char *value, GError **error);

#endif
