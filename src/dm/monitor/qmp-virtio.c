/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about I/O threads and the balloon. */
#include "dm/io-thread.h"
#include "dm/machine.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/object.h"
#include "dm/virtio/virtio-balloon.h"
#include "util/error.h"

const struct qmp_argument qmp_balloon_arguments[] = {
    {"value", JSON_INTEGER, false},
    {NULL, JSON_NULL, false},
};

json_t *qmp_balloon(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_int_t value = json_integer_value(json_object_get(arguments, "value"));

    if (value < 0) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "value must be a number of bytes");
        return NULL;
    }
    return balloon_set_target(context->machine, (uint64_t)value, error) ? json_object() : NULL;
}

json_t *qmp_query_balloon(struct qmp_context *context, json_t *arguments, GError **error)
{
    uint64_t bytes;

    return balloon_query(context->machine, &bytes, error)
               ? json_pack("{s:I}", "actual", (json_int_t)bytes)
               : NULL;
}

json_t *qmp_query_iothreads(struct qmp_context *context, json_t *arguments, GError **error)
{
    GPtrArray *objects = context->machine->objects;
    json_t *list = json_array();

    for (unsigned i = 0; i < objects->len; i++) {
        const struct object *object = g_ptr_array_index(objects, i);

        if (g_str_equal(object->class->name, "iothread")) {
            json_array_append_new(
                list, json_pack("{s:s, s:i, s:i, s:i, s:i}", "id", object->id, "thread-id",
                                io_thread_tid((const struct io_thread *)object), "poll-max-ns", 0,
                                "poll-grow", 0, "poll-shrink", 0));
        }
    }
    return list;
}
