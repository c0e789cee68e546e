/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -blockdev and -drive: noted while the line is read, opened when the machine is made. */
#include "dm/block/block.h"
#include "dm/block/drive.h"
#include "dm/cli/launch.h"
#include "util/error.h"

bool option_blockdev(struct command_line *line, const char *value, GError **error)
{
    struct drive *drive;
    json_t *object = blockdev_from_text(value, error);

    if (!object) {
        return false;
    }
    if (!json_is_string(json_object_get(object, "node-name"))) {
        json_decref(object);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "needs node-name=: the name by which a device finds it");
    }
    drive = g_new0(struct drive, 1);
    drive->blockdev = object;
    g_ptr_array_add(line->drives, drive);
    return true;
}

bool option_drive(struct command_line *line, const char *value, GError **error)
{
    struct drive *drive = drive_from_text(value, line->drives->len, error);
    g_autofree char *id = NULL, *device = NULL;

    if (!drive) {
        return false;
    }
    g_ptr_array_add(line->drives, drive);
    if (!drive->makes_device) {
        return true;
    }
    id = key_values_escape(drive->id);
    device = g_strconcat("virtio-blk-pci,drive=", id, NULL);
    return option_device(line, device, error);
}

static bool open_drives(struct launch *launch, bool with_id, GError **error)
{
    GPtrArray *drives = launch->line.drives;

    for (unsigned i = 0; i < drives->len; i++) {
        const struct drive *drive = g_ptr_array_index(drives, i);

        if ((drive->id != NULL) == with_id &&
            !block_open(launch->machine->blocks, drive->blockdev, drive->id, error)) {
            g_prefix_error(error, "%s: ", with_id ? "-drive" : "-blockdev");
            return false;
        }
    }
    return true;
}

/* Nodes first: a drive may be a window of one. */
bool launch_open_drives(struct launch *launch, GError **error)
{
    return open_drives(launch, false, error) && open_drives(launch, true, error);
}
