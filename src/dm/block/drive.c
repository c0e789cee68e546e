/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/block/drive.h"
#include "dm/keyval.h"
#include "dm/property.h"
#include "util/error.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* Put a value at "a.b.c" of nested objects. */
static bool set_dotted(json_t *object, const char *key, const char *value, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    unsigned i;

    for (i = 0; parts[i + 1]; i++) {
        json_t *next = json_object_get(object, parts[i]);

        if (!next) {
            next = json_object();
            if (json_object_set_new(object, parts[i], next) < 0) {
                break;
            }
        }
        if (!json_is_object(next)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "'%s' has a value of its own, so '%s' can't be given", parts[i], key);
        }
        object = next;
    }
    if (json_is_object(json_object_get(object, parts[i]))) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' has members, so it can't have a value of its own", key);
    }
    if (parts[i + 1] || json_object_set_new(object, parts[i], json_string(value)) < 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' is not valid text", key);
    }
    return true;
}

static json_t *object_from_list(const struct key_values *list, GError **error)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!set_dotted(object, item->key, item->value, error)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *object_from_json(const char *text, GError **error)
{
    json_error_t problem;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &problem);

    if (!json_is_object(object)) {
        json_decref(object);
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "this is no JSON object: %s",
                   object ? "it is something else" : problem.text);
        return NULL;
    }
    return object;
}

json_t *blockdev_from_text(const char *text, GError **error)
{
    struct key_values *list;
    json_t *object;

    if (text[0] == '{') {
        return object_from_json(text, error);
    }
    list = key_values_parse(text, "driver", error);
    if (!list) {
        return NULL;
    }
    object = object_from_list(list, error);
    key_values_free(list);
    return object;
}

/* -drive */

static bool set_cache(json_t *object, const char *mode, GError **error)
{
    static const struct {
        const char *name;
        bool direct, no_flush, write_through;
    } modes[] = {
        {"writeback", false, false, false}, {"none", true, false, false},
        {"off", true, false, false},        {"writethrough", false, false, true},
        {"directsync", true, false, true},  {"unsafe", false, true, false},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(mode, modes[i].name)) {
            json_object_set_new(object, "cache",
                                json_pack("{s:b, s:b, s:b}", "direct", modes[i].direct, "no-flush",
                                          modes[i].no_flush, "writethrough",
                                          modes[i].write_through));
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "cache=%s is not valid: writeback, none, writethrough, directsync or unsafe",
                      mode);
}

/* file=: a path, "nbd:...", or an NBD URI. */
static json_t *protocol_from_file(const char *file, GError **error)
{
    struct stat info;

    if (!g_utf8_validate(file, -1, NULL)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "file=: the name is not UTF-8");
        return NULL;
    }
    if (g_str_has_prefix(file, "json:")) {
        return object_from_json(file + 5, error);
    }
    if (g_str_has_prefix(file, "nbd:unix:")) {
        g_auto(GStrv) parts = g_strsplit(file + 9, ":exportname=", 2);
        json_t *object = json_pack("{s:s, s:{s:s, s:s}}", "driver", "nbd", "server", "type", "unix",
                                   "path", parts[0] ? parts[0] : "");

        if (parts[0] && parts[1]) {
            json_object_set_new(object, "export", json_string(parts[1]));
        }
        return object;
    }
    if (g_str_has_prefix(file, "nbd://") || g_str_has_prefix(file, "nbds://") ||
        g_str_has_prefix(file, "nbd+unix://") || g_str_has_prefix(file, "nbds+unix://") ||
        g_str_has_prefix(file, "nbd+vsock://")) {
        return json_pack("{s:s, s:s}", "driver", "nbd", "uri", file);
    }
    if (g_str_has_prefix(file, "nbd:")) {
        g_auto(GStrv) parts = g_strsplit(file + 4, ":", 3);
        json_t *object;

        if (!parts[0] || !parts[1]) {
            duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                       "file=%s: is not nbd:HOST:PORT[:exportname=NAME] or nbd:unix:PATH", file);
            return NULL;
        }
        object = json_pack("{s:s, s:{s:s, s:s, s:s}}", "driver", "nbd", "server", "type", "inet",
                           "host", parts[0], "port", parts[1]);
        if (parts[2] && g_str_has_prefix(parts[2], "exportname=")) {
            json_object_set_new(object, "export", json_string(parts[2] + strlen("exportname=")));
        }
        return object;
    }
    if (g_str_has_prefix(file, "file:")) {
        file += 5;
    }
    return json_pack("{s:s, s:s}", "driver",
                     stat(file, &info) == 0 && S_ISBLK(info.st_mode) ? "host_device" : "file",
                     "filename", file);
}

static bool take_bool(struct key_values *list, const char *key, bool *value, GError **error)
{
    if (!key_values_get_bool(list, key, value, error)) {
        return false;
    }
    g_free(key_values_take(list, key));
    return true;
}

static bool take_number(struct key_values *list, const char *key, int *value, GError **error)
{
    g_autofree char *text = key_values_take(list, key);
    uint64_t number;

    if (!text) {
        return true;
    }
    if (!parse_number(text, &number, error)) {
        g_prefix_error(error, "%s=: ", key);
        return false;
    }
    *value = (int)MIN(number, INT_MAX);
    return true;
}

/* index=, or bus= and unit=. Only IDE drives have places. */
static bool take_place(struct key_values *list, struct drive *drive, GError **error)
{
    int bus, unit;

    if (!take_number(list, "index", &drive->index, error) ||
        !take_number(list, "bus", &drive->bus, error) ||
        !take_number(list, "unit", &drive->unit, error)) {
        return false;
    }
    bus = drive->bus;
    unit = drive->unit;
    if (drive->index >= 0 && (bus >= 0 || unit >= 0)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "index= says what bus= and unit= do: give one of them");
    }
    if (unit > 1 || bus >= DRIVE_IDE_MAX / 2 || drive->index >= DRIVE_IDE_MAX) {
        return duodm_fail(
            error, DUODM_ERROR_INVALID_ARGUMENT,
            "there are four places for drives: index=0 to 3, or bus=0 or 1 and unit=0 "
            "or 1");
    }
    if (bus >= 0 || unit >= 0) {
        drive->index = 2 * MAX(bus, 0) + MAX(unit, 0);
    }
    return true;
}

static bool take_interface(struct key_values *list, struct drive *drive, GError **error)
{
    static const char *const names[] = {[DRIVE_DEFAULT] = "",
                                        [DRIVE_NONE] = "none",
                                        [DRIVE_VIRTIO] = "virtio",
                                        [DRIVE_IDE] = "ide"};
    g_autofree char *name = key_values_take(list, "if");

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(name ? name : "", names[i])) {
            drive->interface = (enum drive_interface)i;
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "if=%s: there are no such disks: use if=ide, if=virtio, or if=none and a "
                      "-device that names the drive",
                      name);
}

/* What there is no such thing as here, and what to do instead. */
static bool refuse(struct key_values *list, GError **error)
{
    bool snapshot = false;
    g_autofree char *serial = key_values_take(list, "serial");

    if (serial) {
        return duodm_fail(
            error, DUODM_ERROR_INVALID_ARGUMENT,
            "serial= belongs to the device: -device virtio-blk-pci,drive=ID,serial=%s", serial);
    }
    if (!take_bool(list, "snapshot", &snapshot, error)) {
        return false;
    }
    if (snapshot) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "snapshot=on: temporary overlays are not built in: serve the image with "
                          "'qemu-nbd --snapshot --format=raw --socket=/run/disk.sock IMAGE' and "
                          "give file=nbd:unix:/run/disk.sock");
    }
    return true;
}

/* Keys of -drive that are the image's by another name. */
static void rename_keys(struct key_values *list)
{
    for (unsigned i = 0; i < list->items->len; i++) {
        struct key_value *item = g_ptr_array_index(list->items, i);

        if (g_str_equal(item->key, "readonly")) {
            g_free(item->key);
            item->key = g_strdup("read-only");
        } else if (g_str_equal(item->key, "driver")) {
            g_free(item->key);
            item->key = g_strdup("format");
        }
    }
}

/* Options that the file or the server has, not the window over it. */
static void move_to_protocol(json_t *top, json_t *protocol)
{
    static const char *const keys[] = {
        "aio", "locking", "filename", "export", "reconnect-delay", "server", "uri", "open-timeout"};
    static const char *const both[] = {"cache", "discard", "read-only", "auto-read-only",
                                       "force-share"};

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        json_t *value = json_object_get(top, keys[i]);

        if (value) {
            json_object_set(protocol, keys[i], value);
            json_object_del(top, keys[i]);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(both); i++) {
        json_t *value = json_object_get(top, both[i]);

        if (value && !json_object_get(protocol, both[i])) {
            json_object_set(protocol, both[i], value);
        }
    }
}

/* Is a format= none, but what bytes are kept in? */
static bool is_protocol(const char *format)
{
    static const char *const protocols[] = {"file", "host_device", "nbd", "null-co", NULL};

    return format && g_strv_contains(protocols, format);
}

/* The image of a -drive: raw over a protocol, and the protocol alone if that is what was said. */
static json_t *make_blockdev(struct key_values *list, GError **error)
{
    g_autofree char *file = key_values_take(list, "file");
    g_autofree char *format = key_values_take(list, "format");
    g_autofree char *cache = key_values_take(list, "cache");
    json_t *top = object_from_list(list, error);
    json_t *members, *protocol = NULL;

    if (!top) {
        return NULL;
    }
    members = json_object_get(top, "file"); /* of file.locking=off and the like */
    if (!file && !members && !is_protocol(format)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "needs file=: what the disk is kept in");
        goto fail;
    }
    protocol = file ? protocol_from_file(file, error) : json_object();
    if (!protocol || (cache && !set_cache(top, cache, error))) {
        goto fail;
    }
    if (members) {
        json_object_update(protocol, members);
    }
    if (is_protocol(format)) {
        json_object_set_new(protocol, "driver", json_string(format));
        g_free(format);
        format = g_strdup("raw");
    }
    if (!json_object_get(protocol, "driver")) {
        json_object_set_new(protocol, "driver", json_string("file"));
    }
    if (!json_object_get(top, "read-only") && !json_object_get(top, "auto-read-only")) {
        json_object_set_new(protocol, "auto-read-only", json_true());
    }
    move_to_protocol(top, protocol);
    json_object_set_new(top, "file", protocol);
    json_object_set_new(top, "driver", json_string(format ? format : "raw"));
    if (!format) {
        json_object_set_new(top, "format-guessed", json_true());
    }
    return top;
fail:
    json_decref(protocol);
    json_decref(top);
    return NULL;
}

static bool take_media(struct key_values *list, struct drive *drive, GError **error)
{
    g_autofree char *media = key_values_take(list, "media");

    if (media && !g_str_equal(media, "cdrom") && !g_str_equal(media, "disk")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "media=%s must be disk or cdrom",
                          media);
    }
    drive->is_cd = g_strcmp0(media, "cdrom") == 0;
    if (drive->is_cd) {
        key_values_set(list, "read-only", "on");
    }
    return true;
}

/* Without file=: nothing in it. Formats, caches and so on are then of no use. */
static bool is_empty(const struct key_values *list)
{
    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (g_str_equal(item->key, "file") || g_str_has_prefix(item->key, "file.") ||
            (g_str_equal(item->key, "format") && is_protocol(item->value))) {
            return false;
        }
    }
    return true;
}

struct drive *drive_from_text(const char *text, GError **error)
{
    struct key_values *list = key_values_parse(text, "file", error);
    struct drive *drive = g_new0(struct drive, 1);

    drive->is_drive = true;
    drive->index = drive->bus = drive->unit = -1;
    if (!list) {
        goto fail;
    }
    drive->id = key_values_take(list, "id");
    rename_keys(list);
    if (!take_interface(list, drive, error) || !take_place(list, drive, error) ||
        !take_media(list, drive, error) || !refuse(list, error)) {
        goto fail;
    }
    if (is_empty(list) && (drive->is_cd || drive->interface == DRIVE_NONE)) {
        key_values_free(list);
        return drive;
    }
    drive->blockdev = make_blockdev(list, error);
    if (!drive->blockdev) {
        goto fail;
    }
    key_values_free(list);
    return drive;
fail:
    key_values_free(list);
    drive_free(drive);
    return NULL;
}

void drive_free(struct drive *drive)
{
    if (drive) {
        json_decref(drive->blockdev);
        g_free(drive->id);
        g_free(drive);
    }
}
