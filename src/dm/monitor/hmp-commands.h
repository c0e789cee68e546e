/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of the human monitor, one table, and those of its `info`, another. */
#ifndef DUODM_DM_MONITOR_HMP_COMMANDS_H
#define DUODM_DM_MONITOR_HMP_COMMANDS_H

#include <glib.h>
#include <stdbool.h>

struct machine;
struct x86_state;

struct hmp_context {
    struct machine *machine;
    unsigned cpu; /* index of the CPU that commands look at */
};

/* words[0] is the command itself; words ends with NULL. Text goes to out. */
struct hmp_command {
    const char *name, *alias; /* alias may be NULL */
    const char *arguments;    /* form, or NULL: none */
    const char *help;
    bool (*run)(struct hmp_context *context, char **words, GString *out, GError **error);
};
extern const struct hmp_command hmp_command_table[], hmp_info_table[]; /* ended by a NULL name */

/* Carry out one line; errors become text of out. */
void hmp_execute(struct hmp_context *context, const char *line, GString *out);
/* A row of a table by its name (or alias); the error names the nearest one. */
const struct hmp_command *hmp_find(const struct hmp_command *table, const char *name,
                                   GError **error);

/* hmp-block.c */
bool hmp_info_block(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_info_blockstats(struct hmp_context *context, char **words, GString *out, GError **error);
/* qmp-medium.c */
bool hmp_eject(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_change(struct hmp_context *context, char **words, GString *out, GError **error);
/* hmp-migration.c */
bool hmp_migrate(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_migrate_cancel(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_info_migrate(struct hmp_context *context, char **words, GString *out, GError **error);
/* hmp-display.c */
bool hmp_info_mice(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_info_vnc(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_mouse_button(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_mouse_move(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_screendump(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_sendkey(struct hmp_context *context, char **words, GString *out, GError **error);
/* hmp-net.c */
bool hmp_hostfwd_add(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_hostfwd_remove(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_info_network(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_info_usernet(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_netdev_add(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_netdev_del(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_set_link(struct hmp_context *context, char **words, GString *out, GError **error);

/* hmp-memory.c: x/FMT and xp/FMT. */
bool hmp_examine(struct hmp_context *context, char **words, GString *out, GError **error);

/* qmp-iommu.c */
bool hmp_info_iommu(struct hmp_context *context, char **words, GString *out, GError **error);

/* qmp-hotplug.c */
bool hmp_device_add(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_device_del(struct hmp_context *context, char **words, GString *out, GError **error);

/* hmp-cpu.c. State of the current CPU, which is halted for the moment of the look. */
bool hmp_get_state(const struct hmp_context *context, struct x86_state *state, GError **error);
bool hmp_info_registers(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_info_cpus(struct hmp_context *context, char **words, GString *out, GError **error);
bool hmp_cpu(struct hmp_context *context, char **words, GString *out, GError **error);

#endif
