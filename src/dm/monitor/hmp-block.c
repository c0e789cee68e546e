/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `info block` and `info blockstats`: query-block's and query-blockstats's answers, for people. */
#include "dm/block/block.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"

#include <jansson.h>

static const char *text(json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value ? value : "";
}

static const char *name_of(json_t *entry, json_t *inserted)
{
    const char *device = text(entry, "device");

    return *device ? device : text(inserted ? inserted : entry, "node-name");
}

bool hmp_info_block(struct hmp_context *context, char **words, GString *out, GError **error)
{
    json_t *list = block_query(context->machine->blocks);
    json_t *entry;
    size_t index;

    json_array_foreach(list, index, entry)
    {
        json_t *info = json_object_get(entry, "inserted");
        json_t *cache = json_object_get(info, "cache");
        json_t *image = json_object_get(info, "image");

        g_string_append_printf(out, "%s%s (%s): %s (%s%s)\n", index ? "\n" : "",
                               name_of(entry, info), text(info, "node-name"), text(info, "file"),
                               text(info, "drv"),
                               json_is_true(json_object_get(info, "ro")) ? ", read-only" : "");
        g_string_append_printf(out, "    Size:             %" JSON_INTEGER_FORMAT " bytes\n",
                               json_integer_value(json_object_get(image, "virtual-size")));
        if (*text(entry, "qdev")) {
            g_string_append_printf(out, "    Attached to:      %s\n", text(entry, "qdev"));
        }
        g_string_append_printf(
            out, "    Cache mode:       %s%s%s\n",
            json_is_true(json_object_get(cache, "writeback")) ? "writeback" : "writethrough",
            json_is_true(json_object_get(cache, "direct")) ? ", direct" : "",
            json_is_true(json_object_get(cache, "no-flush")) ? ", ignore flushes" : "");
        g_string_append_printf(out, "    I/O status:       %s\n", text(entry, "io-status"));
    }
    json_decref(list);
    return true;
}

bool hmp_info_blockstats(struct hmp_context *context, char **words, GString *out, GError **error)
{
    static const char *const shown[] = {
        "rd_bytes",         "wr_bytes",         "rd_operations",    "wr_operations",
        "flush_operations", "wr_total_time_ns", "rd_total_time_ns", "flush_total_time_ns"};
    json_t *list = block_query_stats(context->machine->blocks);
    json_t *entry;
    size_t index;

    json_array_foreach(list, index, entry)
    {
        json_t *stats = json_object_get(entry, "stats");

        g_string_append_printf(out, "%s:", name_of(entry, NULL));
        for (unsigned i = 0; i < G_N_ELEMENTS(shown); i++) {
            g_string_append_printf(out, " %s=%" JSON_INTEGER_FORMAT, shown[i],
                                   json_integer_value(json_object_get(stats, shown[i])));
        }
        g_string_append_c(out, '\n');
    }
    json_decref(list);
    return true;
}
