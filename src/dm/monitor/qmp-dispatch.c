/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the text of a command to its reply. */
#include "dm/monitor/qmp-commands.h"
#include "dm/nearest-word.h"
#include "util/error.h"

#include <string.h>

json_t *qmp_error_reply(const char *class, const char *description, json_t *id)
{
    g_autofree char *valid = g_utf8_make_valid(description, -1);
    json_t *reply = json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", valid);

    if (id) {
        json_object_set(reply, "id", id);
    }
    return reply;
}

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static bool has_type(json_t *value, json_type type)
{
    return json_typeof(value) == type || (type == JSON_TRUE && json_is_boolean(value));
}

static const struct qmp_argument *find_argument(const struct qmp_command *command, const char *name)
{
    for (const struct qmp_argument *a = command->arguments; a && a->name; a++) {
        if (g_str_equal(a->name, name) || g_str_equal(a->name, "*")) {
            return a;
        }
    }
    return NULL;
}

/* "uri, [detach]", as the manual has it. */
static char *list_arguments(const struct qmp_command *command)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (const struct qmp_argument *a = command->arguments; a && a->name; a++) {
        bool any = g_str_equal(a->name, "*") || g_str_equal(a->name, QMP_ANY_ARGUMENTS);

        g_string_append_printf(list, "%s%s%s%s", list->len ? ", " : "",
                               a->is_optional && !any ? "[" : "", any ? "..." : a->name,
                               a->is_optional && !any ? "]" : "");
    }
    return g_string_free(g_steal_pointer(&list), FALSE);
}

static bool check_arguments(const struct qmp_command *command, json_t *arguments, GError **error)
{
    const char *name;
    json_t *value;

    json_object_foreach(arguments, name, value)
    {
        const struct qmp_argument *argument = find_argument(command, name);

        if (!argument && find_argument(command, QMP_ANY_ARGUMENTS)) {
            continue;
        }
        if (!argument) {
            g_autofree char *known = list_arguments(command);

            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "%s takes no argument '%s': it takes %s", command->name, name,
                              *known ? known : "none");
        }
        if (!g_str_equal(argument->name, "*") && !has_type(value, argument->type)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "argument '%s' of %s must be %s, not %s", name, command->name,
                              type_name(argument->type), type_name(json_typeof(value)));
        }
    }
    for (const struct qmp_argument *a = command->arguments; a && a->name; a++) {
        if (!a->is_optional && !json_object_get(arguments, a->name)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s needs the argument '%s'",
                              command->name, a->name);
        }
    }
    return true;
}

/* The members of a command object itself. */
static bool check_members(json_t *object, GError **error)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "a command is an object, not %s",
                          type_name(json_typeof(object)));
    }
    json_object_foreach(object, name, value)
    {
        json_type type = g_str_equal(name, "execute") ? JSON_STRING : JSON_OBJECT;

        if (g_str_equal(name, "id")) {
            continue;
        }
        if (!g_str_equal(name, "execute") && !g_str_equal(name, "arguments")) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "a command has no member '%s': execute, arguments and id are known",
                              name);
        }
        if (json_typeof(value) != type) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' must be %s, not %s", name,
                              type_name(type), type_name(json_typeof(value)));
        }
    }
    if (!json_object_get(object, "execute")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'execute', the name of a command, is missing");
    }
    return true;
}

static const struct qmp_command *find_command(const struct qmp_context *context, const char *name,
                                              GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;
    bool negotiates = g_str_equal(name, "qmp_capabilities");

    if (context->negotiated && negotiates) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "qmp_capabilities is for the start of a session, and was given already");
        return NULL;
    }
    if (!context->negotiated && !negotiates) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "command '%s' is not available before qmp_capabilities", name);
        return NULL;
    }
    for (const struct qmp_command *command = qmp_command_table; command->name; command++) {
        if (g_str_equal(command->name, name)) {
            return command;
        }
        g_ptr_array_add(names, (void *)command->name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no command '%s'%s", name, hint);
    return NULL;
}

/* The value to return; on failure NULL, an error, and its class in context->error_class. */
static json_t *execute(struct qmp_context *context, json_t *object, GError **error)
{
    const struct qmp_command *command;
    json_t *arguments, *result = NULL;

    context->error_class = "GenericError";
    if (!check_members(object, error)) {
        return NULL;
    }
    command = find_command(context, json_string_value(json_object_get(object, "execute")), error);
    if (!command) {
        context->error_class = "CommandNotFound";
        return NULL;
    }
    arguments = json_incref(json_object_get(object, "arguments"));
    arguments = arguments ? arguments : json_object();
    if (check_arguments(command, arguments, error)) {
        result = command->run(context, arguments, error);
    }
    json_decref(arguments);
    return result;
}

json_t *qmp_handle_text(struct qmp_context *context, const char *text, size_t length)
{
    g_autoptr(GError) error = NULL;
    json_error_t parse_error;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &parse_error);
    json_t *result, *reply, *id;

    if (!object) {
        g_autofree char *problem = g_strconcat("invalid JSON: ", parse_error.text, NULL);

        return qmp_error_reply("GenericError", problem, NULL);
    }
    id = json_object_get(object, "id");
    result = execute(context, object, &error);
    if (result) {
        reply = json_pack("{s:o}", "return", result);
        if (id) {
            json_object_set(reply, "id", id);
        }
    } else {
        reply = qmp_error_reply(context->error_class,
                                error ? error->message : "the reply can't be told in JSON", id);
    }
    json_decref(object);
    return reply;
}
