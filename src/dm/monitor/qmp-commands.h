/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of QMP, one table: names, arguments and who carries them out. */
#ifndef DUODM_DM_MONITOR_QMP_COMMANDS_H
#define DUODM_DM_MONITOR_QMP_COMMANDS_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct chardev_frontend;
struct machine;

/* What a command runs for. */
struct qmp_context {
    struct machine *machine;
    bool negotiated; /* qmp_capabilities was accepted: commands and events may go */
    struct chardev_frontend *frontend; /* where descriptors come in; NULL: nowhere */
    /* Of the command that runs: what QMP calls its kind of error. It may set another. */
    const char *error_class;
};

struct qmp_argument {
    const char *name; /* "*": any more, of any type */
    json_type type;   /* JSON_TRUE stands for a boolean */
    bool is_optional;
};

struct qmp_command {
    const char *name;
    const struct qmp_argument *arguments; /* ended by a NULL name; NULL: none */
    /* The value of "return", a new reference; NULL and an error on failure. arguments were checked
     * against the table, and are an object even if none were given. */
    json_t *(*run)(struct qmp_context *context, json_t *arguments, GError **error);
};
/* Among a command's arguments: any others may be given too, and the command checks them. */
#define QMP_ANY_ARGUMENTS "..."
extern const struct qmp_command qmp_command_table[]; /* ended by a NULL name */

/* The reply to one JSON text that came in: an object with return or error, and id if there was
 * one. New reference. Any text is harmless. */
json_t *qmp_handle_text(struct qmp_context *context, const char *text, size_t length);
/* An error reply. id may be NULL. */
json_t *qmp_error_reply(const char *class, const char *description, json_t *id);
json_t *qmp_greeting(void);
json_t *qmp_version(void);

/* Arguments as the command line would have them: members of members joined by '.', lists as
 * repeated keys; appended to text. */
void qmp_flatten(GString *text, json_t *arguments);

/* qmp-hotplug.c */
json_t *qmp_device_add(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_device_del(struct qmp_context *context, json_t *arguments, GError **error);
extern const struct qmp_argument qmp_device_add_arguments[];
extern const struct qmp_argument qmp_device_del_arguments[];

/* qmp-iommu.c */
json_t *qmp_iommu_verify(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_iommu(struct qmp_context *context, json_t *arguments, GError **error);

/* qmp-virtio.c */
json_t *qmp_balloon(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_balloon(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_iothreads(struct qmp_context *context, json_t *arguments, GError **error);
extern const struct qmp_argument qmp_balloon_arguments[];

/* qmp-cpus.c */
json_t *qmp_query_cpus_fast(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_hotpluggable_cpus(struct qmp_context *context, json_t *arguments, GError **error);

/* qmp-fds.c */
json_t *qmp_add_fd(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_remove_fd(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_fdsets(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_getfd(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_closefd(struct qmp_context *context, json_t *arguments, GError **error);
extern const struct qmp_argument qmp_add_fd_arguments[], qmp_remove_fd_arguments[],
    qmp_fdname_arguments[];

/* qmp-medium.c */
json_t *qmp_eject(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_blockdev_change_medium(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_blockdev_open_tray(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_blockdev_close_tray(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_blockdev_remove_medium(struct qmp_context *context, json_t *arguments, GError **error);
extern const struct qmp_argument qmp_eject_arguments[], qmp_drive_arguments[],
    qmp_change_medium_arguments[];

/* qmp-migration.c */
json_t *qmp_migrate(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_migrate_incoming(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_migrate_cancel(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_migrate(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_migrate_set_parameters(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_migrate_parameters(struct qmp_context *context, json_t *arguments,
                                     GError **error);
json_t *qmp_migrate_set_capabilities(struct qmp_context *context, json_t *arguments,
                                     GError **error);
json_t *qmp_query_migrate_capabilities(struct qmp_context *context, json_t *arguments,
                                       GError **error);
json_t *qmp_xen_save_devices_state(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_xen_load_devices_state(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_xen_set_global_dirty_log(struct qmp_context *context, json_t *arguments,
                                     GError **error);
extern const struct qmp_argument qmp_migrate_arguments[], qmp_uri_arguments[],
    qmp_migrate_parameter_arguments[], qmp_migrate_capability_arguments[],
    qmp_save_devices_arguments[], qmp_load_devices_arguments[], qmp_dirty_log_arguments[];

/* qmp-net.c */
json_t *qmp_announce_self(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_netdev_add(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_netdev_del(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_rx_filter(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_set_link(struct qmp_context *context, json_t *arguments, GError **error);

/* qmp-display.c */
json_t *qmp_change_vnc_password(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_expire_password(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_input_send_event(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_mice(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_vnc(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_vnc_servers(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_screendump(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_send_key(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_set_password(struct qmp_context *context, json_t *arguments, GError **error);
extern const struct qmp_argument qmp_password_arguments[], qmp_set_password_arguments[],
    qmp_expire_password_arguments[], qmp_screendump_arguments[], qmp_send_key_arguments[],
    qmp_input_send_event_arguments[];

/* qmp-pci.c */
json_t *qmp_query_pci(struct qmp_context *context, json_t *arguments, GError **error);

/* qmp-block.c */
json_t *qmp_query_block(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_blockstats(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_query_named_block_nodes(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_blockdev_add(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_blockdev_del(struct qmp_context *context, json_t *arguments, GError **error);
json_t *qmp_block_resize(struct qmp_context *context, json_t *arguments, GError **error);

#endif
