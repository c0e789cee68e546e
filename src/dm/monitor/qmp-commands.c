/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/monitor/qmp-commands.h"
#include "dm/chardev.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "util/error.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

/* QMP's level: that of QEMU 7.2, whose clients these are. */
json_t *qmp_version(void)
{
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", 7, "minor", 2, "micro", 0,
                     "package", "duodm " PACKAGE_VERSION);
}

json_t *qmp_greeting(void)
{
    return json_pack("{s:{s:o, s:[]}}", "QMP", "version", qmp_version(), "capabilities");
}

static json_t *qmp_capabilities(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *enable = json_object_get(arguments, "enable");

    if (enable && json_array_size(enable)) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "this server offers no capabilities, so none can be enabled");
        return NULL;
    }
    context->negotiated = true;
    return json_object();
}

static json_t *query_status(struct qmp_context *context, json_t *arguments, GError **error)
{
    enum run_state state = context->machine->state;

    return json_pack("{s:b, s:b, s:s}", "running", state == RUN_STATE_RUNNING, "singlestep", 0,
                     "status", run_state_name(state));
}

static json_t *query_version(struct qmp_context *context, json_t *arguments, GError **error)
{
    return qmp_version();
}

static json_t *query_commands(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *list = json_array();

    for (const struct qmp_command *command = qmp_command_table; command->name; command++) {
        json_array_append_new(list, json_pack("{s:s}", "name", command->name));
    }
    return list;
}

static json_t *query_name(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *name = context->machine->config.name;

    return name ? json_pack("{s:s}", "name", name) : json_object();
}

static json_t *query_uuid(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *uuid = context->machine->config.uuid_text;

    return json_pack("{s:s}", "UUID", uuid ? uuid : "00000000-0000-0000-0000-000000000000");
}

static json_t *query_chardev(struct qmp_context *context, json_t *arguments, GError **error)
{
    GPtrArray *chardevs = context->machine->chardevs;
    json_t *list = json_array();

    for (unsigned i = 0; i < chardevs->len; i++) {
        const struct chardev *chardev = g_ptr_array_index(chardevs, i);
        g_autofree char *filename = chardev_filename(chardev);
        g_autofree char *valid = g_utf8_make_valid(filename, -1);

        json_array_append_new(list, json_pack("{s:b, s:s, s:s}", "frontend-open",
                                              chardev_is_attached(chardev), "filename", valid,
                                              "label", chardev_id(chardev)));
    }
    return list;
}

static json_t *query_kvm(struct qmp_context *context, json_t *arguments, GError **error)
{
    bool present = false;

    for (unsigned i = 0; engine_table[i]; i++) {
        present |= g_str_equal(engine_table[i]->name, "kvm");
    }
    return json_pack("{s:b, s:b}", "enabled", g_str_equal(context->machine->engine->name, "kvm"),
                     "present", present);
}

static json_t *query_machines(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *list = json_array();

    for (unsigned i = 0; board_table[i]; i++) {
        json_t *board = json_pack("{s:s, s:i, s:b, s:b, s:b}", "name", board_table[i]->name,
                                  "cpu-max", MACHINE_MAX_VCPUS, "hotpluggable-cpus", 0,
                                  "numa-mem-supported", 0, "deprecated", 0);

        if (board_table[i]->alias) {
            json_object_set_new(board, "alias", json_string(board_table[i]->alias));
        }
        if (board_table[i]->is_default) {
            json_object_set_new(board, "is-default", json_true());
        }
        json_array_append_new(list, board);
    }
    return list;
}

static json_t *query_command_line_options(struct qmp_context *context, json_t *arguments,
                                          GError **error)
{
    const char *wanted = json_string_value(json_object_get(arguments, "option"));
    json_t *(*describe)(void) = context->machine->config.describe_options;
    json_t *all = describe ? describe() : json_array(), *list, *option;
    size_t i;

    if (!wanted) {
        return all;
    }
    list = json_array();
    json_array_foreach(all, i, option)
    {
        if (g_str_equal(json_string_value(json_object_get(option, "option")), wanted)) {
            json_array_append(list, option);
        }
    }
    json_decref(all);
    if (!json_array_size(list)) {
        json_decref(list);
        duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no option '%s'", wanted);
        return NULL;
    }
    return list;
}

static json_t *stop(struct qmp_context *context, json_t *arguments, GError **error)
{
    if (context->machine->state == RUN_STATE_INMIGRATE) {
        context->machine->config.start_paused = true;
    }
    machine_stop(context->machine, RUN_STATE_PAUSED);
    return json_object();
}

static json_t *cont(struct qmp_context *context, json_t *arguments, GError **error)
{
    return machine_continue(context->machine, error) ? json_object() : NULL;
}

static json_t *quit(struct qmp_context *context, json_t *arguments, GError **error)
{
    machine_request_shutdown(context->machine, SHUTDOWN_HOST_QMP_QUIT);
    return json_object();
}

static json_t *inject_nmi(struct qmp_context *context, json_t *arguments, GError **error)
{
    return machine_inject_nmi(context->machine, error) ? json_object() : NULL;
}

static json_t *system_reset(struct qmp_context *context, json_t *arguments, GError **error)
{
    machine_request_reset(context->machine, false);
    return json_object();
}

static json_t *system_powerdown(struct qmp_context *context, json_t *arguments, GError **error)
{
    machine_request_powerdown(context->machine);
    return json_object();
}

/* A machine that sleeps wakes up. None does: sleep states but power-off are the hypervisor's, if it
 * has them. */
static json_t *system_wakeup(struct qmp_context *context, json_t *arguments, GError **error)
{
    if (context->machine->engine->wake_up) {
        return context->machine->engine->wake_up(context->machine, error) ? json_object() : NULL;
    }
    duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
               "the machine does not sleep: under engine '%s' there is no suspend",
               context->machine->engine->name);
    return NULL;
}

static json_t *human_monitor_command(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *line = json_string_value(json_object_get(arguments, "command-line"));
    json_int_t cpu = json_integer_value(json_object_get(arguments, "cpu-index"));
    struct hmp_context human = {.machine = context->machine, .cpu = (unsigned)cpu};
    g_autoptr(GString) output = g_string_new(NULL);
    g_autofree char *valid = NULL;

    if (cpu < 0 || (cpu > 0 && cpu >= (json_int_t)context->machine->vcpu_count)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "there is no CPU %lld", (long long)cpu);
        return NULL;
    }
    hmp_execute(&human, line, output);
    valid = g_utf8_make_valid(output->str, (gssize)output->len);
    return json_string(valid);
}

static const struct qmp_argument capabilities_arguments[] = {
    {"enable", JSON_ARRAY, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument human_arguments[] = {
    {"command-line", JSON_STRING, false},
    {"cpu-index", JSON_INTEGER, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument blockdev_arguments[] = {
    {"driver", JSON_STRING, false},
    {QMP_ANY_ARGUMENTS, JSON_NULL, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument node_arguments[] = {
    {"node-name", JSON_STRING, false},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument nodes_arguments[] = {
    {"flat", JSON_TRUE, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument blockstats_arguments[] = {
    {"query-nodes", JSON_TRUE, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument resize_arguments[] = {
    {"device", JSON_STRING, true},
    {"node-name", JSON_STRING, true},
    {"size", JSON_INTEGER, false},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument option_arguments[] = {
    {"option", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};

static const struct qmp_argument any_arguments[] = {
    {"*", JSON_NULL, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument netdev_add_arguments[] = {
    {"type", JSON_STRING, false},
    {"id", JSON_STRING, false},
    {"*", JSON_NULL, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument netdev_del_arguments[] = {
    {"id", JSON_STRING, false},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument rx_filter_arguments[] = {
    {"name", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};
static const struct qmp_argument link_arguments[] = {
    {"name", JSON_STRING, false},
    {"up", JSON_TRUE, false},
    {NULL, JSON_NULL, false},
};

const struct qmp_command qmp_command_table[] = {
    {"add-fd", qmp_add_fd_arguments, qmp_add_fd},
    {"announce-self", any_arguments, qmp_announce_self},
    {"balloon", qmp_balloon_arguments, qmp_balloon},
    {"block_resize", resize_arguments, qmp_block_resize},
    {"blockdev-add", blockdev_arguments, qmp_blockdev_add},
    {"blockdev-change-medium", qmp_change_medium_arguments, qmp_blockdev_change_medium},
    {"blockdev-close-tray", qmp_drive_arguments, qmp_blockdev_close_tray},
    {"blockdev-del", node_arguments, qmp_blockdev_del},
    {"blockdev-open-tray", qmp_eject_arguments, qmp_blockdev_open_tray},
    {"blockdev-remove-medium", qmp_drive_arguments, qmp_blockdev_remove_medium},
    {"change-vnc-password", qmp_password_arguments, qmp_change_vnc_password},
    {"closefd", qmp_fdname_arguments, qmp_closefd},
    {"cont", NULL, cont},
    {"device_add", qmp_device_add_arguments, qmp_device_add},
    {"device_del", qmp_device_del_arguments, qmp_device_del},
    {"eject", qmp_eject_arguments, qmp_eject},
    {"expire_password", qmp_expire_password_arguments, qmp_expire_password},
    {"getfd", qmp_fdname_arguments, qmp_getfd},
    {"human-monitor-command", human_arguments, human_monitor_command},
    {"inject-nmi", NULL, inject_nmi},
    {"input-send-event", qmp_input_send_event_arguments, qmp_input_send_event},
    {"migrate", qmp_migrate_arguments, qmp_migrate},
    {"migrate-incoming", qmp_uri_arguments, qmp_migrate_incoming},
    {"migrate-set-capabilities", qmp_migrate_capability_arguments, qmp_migrate_set_capabilities},
    {"migrate-set-parameters", qmp_migrate_parameter_arguments, qmp_migrate_set_parameters},
    {"migrate_cancel", NULL, qmp_migrate_cancel},
    {"netdev_add", netdev_add_arguments, qmp_netdev_add},
    {"netdev_del", netdev_del_arguments, qmp_netdev_del},
    {"qmp_capabilities", capabilities_arguments, qmp_capabilities},
    {"query-balloon", NULL, qmp_query_balloon},
    {"query-block", NULL, qmp_query_block},
    {"query-blockstats", blockstats_arguments, qmp_query_blockstats},
    {"query-chardev", NULL, query_chardev},
    {"query-command-line-options", option_arguments, query_command_line_options},
    {"query-commands", NULL, query_commands},
    {"query-cpus-fast", NULL, qmp_query_cpus_fast},
    {"query-fdsets", NULL, qmp_query_fdsets},
    {"query-hotpluggable-cpus", NULL, qmp_query_hotpluggable_cpus},
    {"query-iommu", NULL, qmp_query_iommu},
    {"query-iothreads", NULL, qmp_query_iothreads},
    {"query-kvm", NULL, query_kvm},
    {"query-machines", NULL, query_machines},
    {"query-mice", NULL, qmp_query_mice},
    {"query-migrate", NULL, qmp_query_migrate},
    {"query-migrate-capabilities", NULL, qmp_query_migrate_capabilities},
    {"query-migrate-parameters", NULL, qmp_query_migrate_parameters},
    {"query-name", NULL, query_name},
    {"query-named-block-nodes", nodes_arguments, qmp_query_named_block_nodes},
    {"query-pci", NULL, qmp_query_pci},
    {"query-rx-filter", rx_filter_arguments, qmp_query_rx_filter},
    {"query-status", NULL, query_status},
    {"query-uuid", NULL, query_uuid},
    {"query-version", NULL, query_version},
    {"query-vnc", NULL, qmp_query_vnc},
    {"query-vnc-servers", NULL, qmp_query_vnc_servers},
    {"quit", NULL, quit},
    {"remove-fd", qmp_remove_fd_arguments, qmp_remove_fd},
    {"screendump", qmp_screendump_arguments, qmp_screendump},
    {"send-key", qmp_send_key_arguments, qmp_send_key},
    {"set_link", link_arguments, qmp_set_link},
    {"set_password", qmp_set_password_arguments, qmp_set_password},
    {"stop", NULL, stop},
    {"system_powerdown", NULL, system_powerdown},
    {"system_reset", NULL, system_reset},
    {"system_wakeup", NULL, system_wakeup},
    {"x-iommu-verify", NULL, qmp_iommu_verify},
    {"xen-load-devices-state", qmp_load_devices_arguments, qmp_xen_load_devices_state},
    {"xen-save-devices-state", qmp_save_devices_arguments, qmp_xen_save_devices_state},
    {"xen-set-global-dirty-log", qmp_dirty_log_arguments, qmp_xen_set_global_dirty_log},
    {NULL, NULL, NULL},
};
