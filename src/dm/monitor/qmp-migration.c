/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about the machine's state: saved, sent, received. */
#include "dm/machine.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/snapshot/migration.h"
#include "util/error.h"

const struct qmp_argument qmp_migrate_arguments[] = {
    {"uri", JSON_STRING, false},
    {"detach", JSON_TRUE, true}, /* always so */
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_uri_arguments[] = {
    {"uri", JSON_STRING, false},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_migrate_parameter_arguments[] = {
    {"max-bandwidth", JSON_INTEGER, true},
    {"downtime-limit", JSON_INTEGER, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_migrate_capability_arguments[] = {
    {"capabilities", JSON_ARRAY, false},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_save_devices_arguments[] = {
    {"filename", JSON_STRING, false},
    {"live", JSON_TRUE, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_load_devices_arguments[] = {
    {"filename", JSON_STRING, false},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_dirty_log_arguments[] = {
    {"enable", JSON_TRUE, false},
    {NULL, JSON_NULL, false},
};

static const char *text(json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

json_t *qmp_migrate(struct qmp_context *context, json_t *arguments, GError **error)
{
    return migration_start(context->machine->migration, text(arguments, "uri"), error)
               ? json_object()
               : NULL;
}

json_t *qmp_migrate_incoming(struct qmp_context *context, json_t *arguments, GError **error)
{
    return migration_receive(context->machine->migration, text(arguments, "uri"), error)
               ? json_object()
               : NULL;
}

json_t *qmp_migrate_cancel(struct qmp_context *context, json_t *arguments, GError **error)
{
    migration_cancel(context->machine->migration);
    return json_object();
}

json_t *qmp_query_migrate(struct qmp_context *context, json_t *arguments, GError **error)
{
    return migration_query(context->machine->migration);
}

/* A number that is not negative into *value, if it is given. */
static bool take_limit(json_t *arguments, const char *name, uint64_t *value, GError **error)
{
    json_t *number = json_object_get(arguments, name);

    if (number && json_integer_value(number) < 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' can't be negative", name);
    }
    if (number) {
        __atomic_store_n(value, (uint64_t)json_integer_value(number), __ATOMIC_RELAXED);
    }
    return true;
}

json_t *qmp_migrate_set_parameters(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct migration_parameters *parameters = migration_parameters(context->machine->migration);

    return take_limit(arguments, "max-bandwidth", &parameters->max_bandwidth, error) &&
                   take_limit(arguments, "downtime-limit", &parameters->downtime_limit, error)
               ? json_object()
               : NULL;
}

json_t *qmp_query_migrate_parameters(struct qmp_context *context, json_t *arguments, GError **error)
{
    const struct migration_parameters *parameters =
        migration_parameters(context->machine->migration);

    return json_pack("{s:I, s:I}", "max-bandwidth", (json_int_t)parameters->max_bandwidth,
                     "downtime-limit", (json_int_t)parameters->downtime_limit);
}

/* "events" is the one there is; others can be left off. */
static bool set_capability(struct migration_parameters *parameters, json_t *item, GError **error)
{
    const char *name = json_string_value(json_object_get(item, "capability"));
    json_t *state = json_object_get(item, "state");

    if (!name || !json_is_boolean(state)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a capability is {\"capability\": NAME, \"state\": true or false}");
    }
    if (g_str_equal(name, "events")) {
        parameters->events = json_is_true(state);
        return true;
    }
    return json_is_false(state) || duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                                              "there is no migration capability '%s'", name);
}

json_t *qmp_migrate_set_capabilities(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct migration_parameters *parameters = migration_parameters(context->machine->migration);
    json_t *list = json_object_get(arguments, "capabilities"), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (!set_capability(parameters, item, error)) {
            return NULL;
        }
    }
    return json_object();
}

json_t *qmp_query_migrate_capabilities(struct qmp_context *context, json_t *arguments,
                                       GError **error)
{
    const struct migration_parameters *parameters =
        migration_parameters(context->machine->migration);

    return json_pack("[{s:s, s:b}]", "capability", "events", "state", parameters->events);
}

json_t *qmp_xen_save_devices_state(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *live = json_object_get(arguments, "live");

    return migration_save_devices(context->machine, text(arguments, "filename"),
                                  !live || json_is_true(live), error)
               ? json_object()
               : NULL;
}

json_t *qmp_xen_load_devices_state(struct qmp_context *context, json_t *arguments, GError **error)
{
    return migration_load_devices(context->machine, text(arguments, "filename"), error)
               ? json_object()
               : NULL;
}

json_t *qmp_xen_set_global_dirty_log(struct qmp_context *context, json_t *arguments, GError **error)
{
    migration_set_logging(context->machine->migration,
                          json_is_true(json_object_get(arguments, "enable")));
    return json_object();
}
