/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP's commands about disk images. */
#include "dm/block/block.h"
#include "dm/machine.h"
#include "dm/monitor/qmp-commands.h"
#include "util/error.h"

json_t *qmp_query_block(struct qmp_context *context, json_t *arguments, GError **error)
{
    return block_query(context->machine->blocks);
}

json_t *qmp_query_blockstats(struct qmp_context *context, json_t *arguments, GError **error)
{
    return block_query_stats(context->machine->blocks);
}

json_t *qmp_query_named_block_nodes(struct qmp_context *context, json_t *arguments, GError **error)
{
    return block_query_nodes(context->machine->blocks);
}

json_t *qmp_blockdev_add(struct qmp_context *context, json_t *arguments, GError **error)
{
    if (!json_is_string(json_object_get(arguments, "node-name"))) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "blockdev-add needs a node-name");
        return NULL;
    }
    return block_open(context->machine->blocks, arguments, NULL, error) ? json_object() : NULL;
}

json_t *qmp_blockdev_del(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *name = json_string_value(json_object_get(arguments, "node-name"));

    return block_delete(context->machine->blocks, name, error) ? json_object() : NULL;
}

json_t *qmp_block_resize(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *device = json_string_value(json_object_get(arguments, "device"));
    const char *node = json_string_value(json_object_get(arguments, "node-name"));
    json_int_t size = json_integer_value(json_object_get(arguments, "size"));
    struct block_backend *backend;

    if (!device == !node) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "block_resize needs one of device and node-name");
        return NULL;
    }
    if (size < 0) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "a size is not negative");
        return NULL;
    }
    backend = block_find(context->machine->blocks, device ? device : node, error);
    return backend && block_resize(backend, (uint64_t)size, error) ? json_object() : NULL;
}
