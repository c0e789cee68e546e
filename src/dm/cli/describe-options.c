/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of options as QMP's query-command-line-options has it. */
#include "dm/chardev.h"
#include "dm/cli/options.h"

#include <jansson.h>

static void add_parameter(json_t *list, const char *name)
{
    json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "type", "string"));
}

/* Of the options that clients look into: -chardev, for its `fd`, and -run-with. */
static json_t *option_parameters(const char *option)
{
    json_t *list = json_array();
    g_autoptr(GPtrArray) keys = g_str_equal(option, "chardev") ? chardev_list_keys() : NULL;

    for (unsigned i = 0; keys && i < keys->len; i++) {
        add_parameter(list, g_ptr_array_index(keys, i));
    }
    for (unsigned i = 0; g_str_equal(option, "run-with") && run_with_keys[i]; i++) {
        add_parameter(list, run_with_keys[i]);
    }
    return list;
}

json_t *command_line_describe(void)
{
    json_t *list = json_array();

    for (const struct option *option = option_table; option->name; option++) {
        json_array_append_new(list, json_pack("{s:s, s:o}", "option", option->name, "parameters",
                                              option_parameters(option->name)));
    }
    return list;
}
