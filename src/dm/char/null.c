/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The back end that takes everything and says nothing. */
#include "dm/char/backend.h"

static bool null_open(struct chardev *chardev, const struct key_values *options, GError **error)
{
    chardev->peer_open = true;
    return true;
}

static size_t null_write(struct chardev *chardev, const uint8_t *data, size_t length)
{
    return length;
}

static char *null_filename(const struct chardev *chardev)
{
    return g_strdup("null");
}

const struct chardev_backend chardev_null = {
    .name = "null",
    .description = "output goes nowhere, no input comes",
    .instance_size = sizeof(struct chardev),
    .open = null_open,
    .write = null_write,
    .filename = null_filename,
};
