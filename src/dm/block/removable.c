/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/block/removable.h"
#include "dm/block/block-private.h"
#include "util/error.h"

bool block_is_empty_drive(const struct block_registry *registry, const char *name)
{
    for (unsigned i = 0; i < registry->empty_drives->len; i++) {
        if (g_str_equal(g_ptr_array_index(registry->empty_drives, i), name)) {
            return true;
        }
    }
    return false;
}

bool block_add_empty_drive(struct block_registry *registry, const char *name, GError **error)
{
    if (block_is_empty_drive(registry, name) || block_find(registry, name, NULL)) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "there is a drive or node '%s' already", name);
    }
    g_ptr_array_add(registry->empty_drives, g_strdup(name));
    return true;
}

void block_removable_register(struct block_registry *registry, struct block_removable *drive)
{
    drive->registry = registry;
    g_ptr_array_add(registry->removables, drive);
}

void block_removable_unregister(struct block_removable *drive)
{
    if (drive->registry) {
        g_ptr_array_remove(drive->registry->removables, drive);
    }
    drive->registry = NULL;
    g_clear_pointer(&drive->drive_name, g_free);
}

GPtrArray *block_removable_list(struct block_registry *registry)
{
    return registry->removables;
}

const char *block_removable_name(const struct block_removable *drive)
{
    return drive->device_id    ? drive->device_id
           : drive->drive_name ? drive->drive_name
                               : "(unnamed)";
}

struct block_removable *block_removable_find(struct block_registry *registry, const char *name,
                                             GError **error)
{
    for (unsigned i = 0; i < registry->removables->len; i++) {
        struct block_removable *drive = g_ptr_array_index(registry->removables, i);

        if (g_strcmp0(drive->device_id, name) == 0 || g_strcmp0(drive->drive_name, name) == 0) {
            return drive;
        }
    }
    duodm_fail(error, DUODM_ERROR_NOT_FOUND,
               "there is no drive '%s' whose medium can be changed: query-block lists those that "
               "are removable",
               name);
    return NULL;
}

bool block_removable_open_tray(struct block_removable *drive, bool force, GError **error)
{
    if (drive->ops->is_open(drive->opaque)) {
        return true;
    }
    if (!force && drive->ops->is_locked(drive->opaque)) {
        drive->ops->request_eject(drive->opaque);
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "the guest has locked the tray of '%s': it was asked to open it, so try "
                          "again, or use force",
                          block_removable_name(drive));
    }
    drive->ops->move_tray(drive->opaque, true);
    return true;
}

bool block_removable_close_tray(struct block_removable *drive, GError **error)
{
    if (drive->ops->is_open(drive->opaque)) {
        drive->ops->move_tray(drive->opaque, false);
    }
    return true;
}

static bool check_open(const struct block_removable *drive, GError **error)
{
    return drive->ops->is_open(drive->opaque) ||
           duodm_fail(error, DUODM_ERROR_BUSY, "the tray of '%s' is closed: open it first",
                      block_removable_name(drive));
}

bool block_removable_remove_medium(struct block_removable *drive, GError **error)
{
    struct block_backend *medium = drive->medium;

    if (!medium) {
        return true;
    }
    if (!check_open(drive, error)) {
        return false;
    }
    drive->medium = NULL;
    drive->ops->change(drive->opaque, NULL, NULL); /* to nothing: can't fail */
    if (drive->owns_medium) {
        block_remove(medium);
    }
    return true;
}

bool block_removable_insert_medium(struct block_removable *drive, json_t *options, GError **error)
{
    struct block_backend *medium;

    if (!check_open(drive, error)) {
        return false;
    }
    if (drive->medium) {
        return duodm_fail(error, DUODM_ERROR_BUSY, "there is a medium in '%s': remove it first",
                          block_removable_name(drive));
    }
    medium = block_open(drive->registry, options, NULL, error);
    if (!medium) {
        return false;
    }
    if (!drive->ops->change(drive->opaque, medium, error)) {
        block_remove(medium);
        return false;
    }
    drive->medium = medium;
    drive->owns_medium = true;
    return true;
}
