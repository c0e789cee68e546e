/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line's ways to name an image: -blockdev and -drive, as JSON objects of one form. */
#ifndef DUODM_DM_BLOCK_DRIVE_H
#define DUODM_DM_BLOCK_DRIVE_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* -blockdev's text: a JSON object, or dotted keys ("driver=raw,file.driver=file,..."). A new
 * reference; NULL and an error. */
json_t *blockdev_from_text(const char *text, GError **error);

/* One -drive. */
struct drive {
    json_t *blockdev;  /* what block_open takes */
    char *id;          /* of the backend */
    bool makes_device; /* if=virtio: a device goes with it */
};
/* number: how many -drive were before, for a name. */
struct drive *drive_from_text(const char *text, unsigned number, GError **error);
void drive_free(struct drive *drive);

#endif
