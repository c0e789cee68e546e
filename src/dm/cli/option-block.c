/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -blockdev and -drive: noted while the line is read, opened when the machine is made. */
#include "dm/block/block.h"
#include "dm/block/drive.h"
#include "dm/block/removable.h"
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
    drive->option = "-blockdev";
    g_ptr_array_add(line->drives, drive);
    return true;
}

static bool add_drive(struct command_line *line, const char *text, const char *option,
                      GError **error)
{
    struct drive *drive = drive_from_text(text, error);

    if (!drive) {
        return false;
    }
    drive->option = option;
    g_ptr_array_add(line->drives, drive);
    return true;
}

bool option_drive(struct command_line *line, const char *value, GError **error)
{
    return add_drive(line, value, "-drive", error);
}

/* -hda and the like: a -drive at a place. */
static bool add_at(struct command_line *line, const char *file, const char *place,
                   const char *option, GError **error)
{
    g_autofree char *escaped = key_values_escape(file);
    g_autofree char *text = g_strdup_printf("file=%s,if=ide,%s", escaped, place);

    return add_drive(line, text, option, error);
}

bool option_hda(struct command_line *line, const char *value, GError **error)
{
    return add_at(line, value, "index=0,media=disk", "-hda", error);
}

bool option_hdb(struct command_line *line, const char *value, GError **error)
{
    return add_at(line, value, "index=1,media=disk", "-hdb", error);
}

bool option_hdc(struct command_line *line, const char *value, GError **error)
{
    return add_at(line, value, "index=2,media=disk", "-hdc", error);
}

bool option_hdd(struct command_line *line, const char *value, GError **error)
{
    return add_at(line, value, "index=3,media=disk", "-hdd", error);
}

bool option_cdrom(struct command_line *line, const char *value, GError **error)
{
    return add_at(line, value, "index=2,media=cdrom", "-cdrom", error);
}

/* ---- What goes with a -drive, when the whole line is known ---- */

/* index= counts the places of the board; where a bus has but one, so does bus=. */
static bool take_board_place(struct drive *drive, unsigned units, GError **error)
{
    if (units != 1 || (drive->bus < 0 && drive->unit < 0)) {
        return true;
    }
    drive->index = MAX(drive->bus, 0);
    return drive->unit <= 0 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "unit=%d is not there: each bus of this machine has one drive, unit=0",
                      drive->unit);
}

static bool place_ide(struct drive *drive, unsigned *used, GError **error)
{
    for (int i = 0; drive->index < 0 && i < DRIVE_IDE_MAX; i++) {
        drive->index = *used >> i & 1 ? -1 : i;
    }
    if (drive->index < 0) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "there are %u IDE drives already, and no place for more: use if=virtio",
                          DRIVE_IDE_MAX);
    }
    if (*used >> drive->index & 1) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "two drives have index=%d (bus=%d,unit=%d): give another", drive->index,
                          drive->index / 2, drive->index % 2);
    }
    *used |= 1u << drive->index;
    return true;
}

/* Drives to a bus. A board without any says so when the bus is looked for. */
static int ide_units(const struct command_line *line)
{
    return (int)MAX(command_line_board(line)->ide_units, 1);
}

/* Names of drives that have none: those of their places. */
static void name_drive(const struct command_line *line, struct drive *drive, unsigned number)
{
    int units = ide_units(line);

    if (drive->id) {
        return;
    }
    if (drive->interface == DRIVE_IDE) {
        drive->id = g_strdup_printf("ide%d-%s%d", drive->index / units, drive->is_cd ? "cd" : "hd",
                                    drive->index % units);
    } else {
        drive->id =
            g_strdup_printf("%s%u", drive->interface == DRIVE_NONE ? "none" : "virtio", number);
    }
}

/* Places and names: first to those that ask for a place. */
static bool place_drives(struct command_line *line, GError **error)
{
    unsigned units = command_line_board(line)->ide_units;
    unsigned used = 0;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < line->drives->len; i++) {
            struct drive *drive = g_ptr_array_index(line->drives, i);

            if (drive->interface == DRIVE_DEFAULT) {
                drive->interface = units ? DRIVE_IDE : DRIVE_VIRTIO;
            }
            if (drive->is_drive && drive->interface == DRIVE_IDE &&
                (drive->index >= 0) == (pass == 0) &&
                (!take_board_place(drive, units, error) || !place_ide(drive, &used, error))) {
                g_prefix_error(error, "%s: ", drive->option);
                return false;
            }
        }
    }
    return true;
}

/* The device that goes with a drive, as -device would have it. */
static bool add_device(struct command_line *line, const struct drive *drive, unsigned *ide_count,
                       GError **error)
{
    g_autofree char *id = key_values_escape(drive->id);
    g_autofree char *text = NULL;

    if (drive->interface == DRIVE_NONE) {
        return true;
    }
    if (drive->interface == DRIVE_VIRTIO) {
        text = g_strdup_printf("virtio-blk-pci,drive=%s", id);
        return option_device(line, text, error);
    }
    text = g_strdup_printf("ide-%s,drive=%s,bus=ide.%d,unit=%d", drive->is_cd ? "cd" : "hd", id,
                           drive->index / ide_units(line), drive->index % ide_units(line));
    if (!option_device(line, text, error)) {
        return false;
    }
    /* Before any -device: one that names no place gets what is left. */
    g_ptr_array_insert(line->devices, (int)(*ide_count)++,
                       g_ptr_array_steal_index(line->devices, line->devices->len - 1));
    return true;
}

static bool resolve_drives(struct command_line *line, GError **error)
{
    unsigned ide_count = 0;

    if (!place_drives(line, error)) {
        return false;
    }
    for (unsigned i = 0; i < line->drives->len; i++) {
        struct drive *drive = g_ptr_array_index(line->drives, i);

        if (drive->is_drive) {
            name_drive(line, drive, i);
            if (!add_device(line, drive, &ide_count, error)) {
                g_prefix_error(error, "%s: ", drive->option);
                return false;
            }
        }
    }
    return true;
}

static bool open_drive(struct launch *launch, const struct drive *drive, GError **error)
{
    struct block_registry *blocks = launch->machine->blocks;
    struct block_backend *backend;

    if (!drive->blockdev) {
        return block_add_empty_drive(blocks, drive->id, error);
    }
    backend = block_open(blocks, drive->blockdev, drive->id, error);
    if (backend) {
        block_set_option(backend, drive->option);
    }
    return backend != NULL;
}

static bool open_drives(struct launch *launch, bool is_drive, GError **error)
{
    GPtrArray *drives = launch->line.drives;

    for (unsigned i = 0; i < drives->len; i++) {
        const struct drive *drive = g_ptr_array_index(drives, i);

        if (drive->is_drive == is_drive && !open_drive(launch, drive, error)) {
            g_prefix_error(error, "%s: ", drive->option);
            return false;
        }
    }
    return true;
}

/* Nodes first: a drive may be a window of one. */
bool launch_open_drives(struct launch *launch, GError **error)
{
    return resolve_drives(&launch->line, error) && open_drives(launch, false, error) &&
           open_drives(launch, true, error);
}
