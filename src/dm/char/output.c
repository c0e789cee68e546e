/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/char/output.h"

void chardev_output_init(struct chardev_output *output, struct chardev_frontend *frontend)
{
    output->frontend = frontend;
    output->pending = g_byte_array_new();
}

void chardev_output_destroy(struct chardev_output *output)
{
    g_clear_pointer(&output->pending, g_byte_array_unref);
}

void chardev_output_send(struct chardev_output *output)
{
    size_t sent;

    if (output->pending->len) {
        sent = chardev_write(output->frontend, output->pending->data, output->pending->len);
        g_byte_array_remove_range(output->pending, 0, (guint)sent);
    }
}

void chardev_output_add(struct chardev_output *output, const void *data, size_t length)
{
    g_byte_array_append(output->pending, data, (guint)length);
    chardev_output_send(output);
}

void chardev_output_flush(struct chardev_output *output)
{
    gint64 limit = g_get_monotonic_time() + G_USEC_PER_SEC;
    size_t before;

    do {
        before = output->pending->len;
        if (before && output->frontend->chardev) {
            chardev_flush(output->frontend->chardev);
            chardev_output_send(output);
        }
    } while (output->pending->len < before && g_get_monotonic_time() < limit);
}

size_t chardev_output_length(const struct chardev_output *output)
{
    return output->pending->len;
}
