/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives whose medium can be changed (CD drives). A device registers its drive here; monitors find
 * it by the device's id or by -drive's, and open the tray, take the medium, put in another. Main
 * loop only.
 */
#ifndef DUODM_DM_BLOCK_REMOVABLE_H
#define DUODM_DM_BLOCK_REMOVABLE_H

#include "dm/block/block.h"

/* What the device does. No guard held. */
struct block_removable_ops {
    bool (*is_open)(void *opaque);
    bool (*is_locked)(void *opaque); /* the guest has locked the door */
    void (*move_tray)(void *opaque, bool open);
    void (*request_eject)(void *opaque); /* the button was pressed; the guest decides */
    /* Let go of the medium that is in, and take another (NULL: none), attaching it. On failure the
     * drive is empty. */
    bool (*change)(void *opaque, struct block_backend *medium, GError **error);
};

struct block_removable {
    const struct block_removable_ops *ops;
    void *opaque;
    struct block_registry *registry;
    const char *device_id;        /* of the device; NULL: none. Not owned */
    char *drive_name;             /* -drive's id, NULL: none. Owned */
    struct block_backend *medium; /* NULL: none */
    bool owns_medium;             /* it is closed when it is taken out */
};

/* Declare a -drive without a file: a name that a removable drive may have. */
bool block_add_empty_drive(struct block_registry *registry, const char *name, GError **error);
/* Is it a name of such a drive? */
bool block_is_empty_drive(const struct block_registry *registry, const char *name);

/* For devices, with ops, opaque, device_id, drive_name and medium set. */
void block_removable_register(struct block_registry *registry, struct block_removable *drive);
void block_removable_unregister(struct block_removable *drive);

/* By the device's id, or the drive's name. */
struct block_removable *block_removable_find(struct block_registry *registry, const char *name,
                                             GError **error);
GPtrArray *block_removable_list(struct block_registry *registry); /* of struct block_removable */
const char *block_removable_name(const struct block_removable *drive); /* for messages */

/* A locked door opens only by force; else the guest is asked to eject, and this fails. */
bool block_removable_open_tray(struct block_removable *drive, bool force, GError **error);
bool block_removable_close_tray(struct block_removable *drive, GError **error);
/* The tray must be open. */
bool block_removable_remove_medium(struct block_removable *drive, GError **error);
/* Open an image (block_open) and put it into the open, empty tray. */
bool block_removable_insert_medium(struct block_removable *drive, json_t *options, GError **error);

#endif
