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

/* What a -drive makes besides the image. */
enum drive_interface {
    DRIVE_DEFAULT, /* what the board has */
    DRIVE_NONE,
    DRIVE_VIRTIO,
    DRIVE_IDE,
};

/* One -blockdev, -drive, or what is short for one. */
struct drive {
    json_t *blockdev;   /* what block_open takes; NULL: a drive without a medium */
    char *id;           /* of the backend; NULL: none was given. Of -blockdev always NULL */
    bool is_drive;      /* else -blockdev */
    const char *option; /* by which the user named it, for messages: "-hda" */
    enum drive_interface interface;
    bool is_cd;    /* media=cdrom */
    int index;     /* place among the IDE drives, two to a channel; -1: the first that is free */
    int bus, unit; /* by which it was given; -1: they were not */
};
#define DRIVE_IDE_MAX 4

/* From -drive's text; all that can be wrong with it alone is an error. The caller frees it. */
struct drive *drive_from_text(const char *text, GError **error);
void drive_free(struct drive *drive);

#endif
