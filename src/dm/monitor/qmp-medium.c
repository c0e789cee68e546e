/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about what is in drives whose medium can be changed, of both monitors. */
#include "dm/block/removable.h"
#include "dm/fd-set.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/qmp-commands.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

const struct qmp_argument qmp_eject_arguments[] = {
    {"id", JSON_STRING, true},
    {"device", JSON_STRING, true},
    {"force", JSON_TRUE, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_drive_arguments[] = {
    {"id", JSON_STRING, true},
    {"device", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_change_medium_arguments[] = {
    {"id", JSON_STRING, true},        {"device", JSON_STRING, true},
    {"filename", JSON_STRING, false}, {"format", JSON_STRING, true},
    {"force", JSON_TRUE, true},       {"read-only-mode", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};

/* The drive that id (of the device) or device (of -drive) names. */
static struct block_removable *find_drive(const struct qmp_context *context, json_t *arguments,
                                          GError **error)
{
    const char *id = json_string_value(json_object_get(arguments, "id"));
    const char *device = json_string_value(json_object_get(arguments, "device"));

    if (!id == !device) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "one of 'id' and 'device' says which drive is meant");
        return NULL;
    }
    return block_removable_find(context->machine->blocks, id ? id : device, error);
}

static bool is_forced(json_t *arguments)
{
    return json_is_true(json_object_get(arguments, "force"));
}

static bool eject(struct block_removable *drive, bool force, GError **error)
{
    return block_removable_open_tray(drive, force, error) &&
           block_removable_remove_medium(drive, error);
}

static json_t *done(bool good)
{
    return good ? json_object() : NULL;
}

json_t *qmp_eject(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct block_removable *drive = find_drive(context, arguments, error);

    return done(drive && eject(drive, is_forced(arguments), error));
}

json_t *qmp_blockdev_open_tray(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct block_removable *drive = find_drive(context, arguments, error);

    return done(drive && block_removable_open_tray(drive, is_forced(arguments), error));
}

json_t *qmp_blockdev_close_tray(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct block_removable *drive = find_drive(context, arguments, error);

    return done(drive && block_removable_close_tray(drive, error));
}

json_t *qmp_blockdev_remove_medium(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct block_removable *drive = find_drive(context, arguments, error);

    return done(drive && block_removable_remove_medium(drive, error));
}

/* What block_open takes for a file in a drive that reads only. */
static json_t *image_options(const char *filename, const char *format, GError **error)
{
    if (format && !g_str_equal(format, "raw")) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "format '%s' is not supported: images are raw",
                   format);
        return NULL;
    }
    return json_pack("{s:s, s:b, s:{s:s, s:s, s:b}}", "driver", "raw", "read-only", 1, "file",
                     "driver", "file", "filename", filename, "read-only", 1);
}

/* Before the old medium is taken out for it. */
static bool check_readable(const struct block_removable *drive, const char *filename,
                           const struct fd_registry *fds, GError **error)
{
    int fd = fd_registry_open(fds, filename, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    if (fd < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "'%s' can't be put into '%s': %s", filename,
                          block_removable_name(drive), g_strerror(errno));
    }
    close(fd);
    return true;
}

static bool change_medium(struct machine *machine, struct block_removable *drive,
                          const char *filename, const char *format, bool force, GError **error)
{
    json_t *options = image_options(filename, format, error);
    bool good = options && check_readable(drive, filename, machine->fds, error) &&
                eject(drive, force, error) &&
                block_removable_insert_medium(drive, options, error) &&
                block_removable_close_tray(drive, error);

    json_decref(options);
    return good;
}

json_t *qmp_blockdev_change_medium(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *mode = json_string_value(json_object_get(arguments, "read-only-mode"));
    struct block_removable *drive = find_drive(context, arguments, error);

    if (drive && mode && !g_str_equal(mode, "retain") && !g_str_equal(mode, "read-only")) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "read-only-mode '%s' is not supported: media are read-only", mode);
        return NULL;
    }
    return done(drive && change_medium(context->machine, drive,
                                       json_string_value(json_object_get(arguments, "filename")),
                                       json_string_value(json_object_get(arguments, "format")),
                                       is_forced(arguments), error));
}

bool hmp_eject(struct hmp_context *context, char **words, GString *out, GError **error)
{
    bool force = words[1] && g_str_equal(words[1], "-f");
    const char *name = words[1] ? words[1 + force] : NULL;
    struct block_removable *drive;

    if (!name) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "eject [-f] DRIVE");
    }
    drive = block_removable_find(context->machine->blocks, name, error);
    return drive && eject(drive, force, error);
}

bool hmp_change(struct hmp_context *context, char **words, GString *out, GError **error)
{
    struct block_removable *drive;

    if (!words[1] || !words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "change DRIVE FILE [FORMAT]");
    }
    drive = block_removable_find(context->machine->blocks, words[1], error);
    return drive && change_medium(context->machine, drive, words[2], words[3], false, error);
}
