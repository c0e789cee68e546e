/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What monitors tell of images, with the members that QEMU 7.2's schema has. */
#include "dm/block/block-private.h"
#include "dm/block/removable.h"

static json_t *image_info(struct block_backend *backend)
{
    struct block_backend *protocol = block_protocol(backend);
    g_autofree char *filename = block_filename(backend);
    g_autofree char *valid = g_utf8_make_valid(filename, -1);
    int64_t allocated = protocol->driver->allocated ? protocol->driver->allocated(protocol) : -1;
    json_t *info =
        json_pack("{s:s, s:s, s:I, s:b}", "filename", valid, "format", backend->driver->name,
                  "virtual-size", (json_int_t)block_size(backend), "dirty-flag", 0);

    if (allocated >= 0) {
        json_object_set_new(info, "actual-size", json_integer(allocated));
    }
    return info;
}

/* BlockDeviceInfo */
static json_t *device_info(struct block_backend *backend)
{
    static const char *const zeroes[] = {"off", "on", "unmap"};
    static const char *const limits[] = {"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"};
    const struct block_options *options = &backend->options;
    const struct block_options *lowest = &block_protocol(backend)->options;
    g_autofree char *filename = block_filename(backend);
    g_autofree char *valid = g_utf8_make_valid(filename, -1);
    json_t *info = json_pack(
        "{s:s, s:s, s:b, s:s, s:i, s:b, s:s, s:{s:b, s:b, s:b}, s:i, s:o}", "file", valid,
        "node-name", backend->node_name, "ro", backend->read_only, "drv", backend->driver->name,
        "backing_file_depth", 0, "encrypted", 0, "detect_zeroes", zeroes[options->detect_zeroes],
        "cache", "writeback", !options->write_through, "direct", lowest->direct, "no-flush",
        options->no_flush, "write_threshold", 0, "image", image_info(backend));

    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        json_object_set_new(info, limits[i], json_integer(0));
    }
    return info;
}

/* Is it one that a person would call a disk: a -drive, or what a device uses? */
static bool is_disk(const struct block_backend *backend)
{
    return *backend->device_name || backend->user;
}

/* The drive that has an image as its medium; NULL: none, it is a fixed disk. */
static const struct block_removable *drive_of(struct block_registry *registry,
                                              const struct block_backend *backend)
{
    GPtrArray *drives = block_removable_list(registry);

    for (unsigned i = 0; i < drives->len; i++) {
        const struct block_removable *drive = g_ptr_array_index(drives, i);

        if (drive->medium == backend) {
            return drive;
        }
    }
    return NULL;
}

/* Drives whose medium can be changed, also those that have none. */
static void query_removables(struct block_registry *registry, json_t *list)
{
    GPtrArray *drives = block_removable_list(registry);

    for (unsigned i = 0; i < drives->len; i++) {
        const struct block_removable *drive = g_ptr_array_index(drives, i);
        json_t *entry = json_pack("{s:s, s:s, s:b, s:b, s:b}", "device",
                                  drive->drive_name ? drive->drive_name : "", "type", "unknown",
                                  "removable", 1, "locked", drive->ops->is_locked(drive->opaque),
                                  "tray_open", drive->ops->is_open(drive->opaque));

        if (drive->device_id) {
            json_object_set_new(entry, "qdev", json_string(drive->device_id));
        }
        if (drive->medium) {
            json_object_set_new(entry, "io-status",
                                json_string(block_errors_status(drive->medium)));
            json_object_set_new(entry, "inserted", device_info(drive->medium));
        }
        json_array_append_new(list, entry);
    }
}

json_t *block_query(struct block_registry *registry)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < registry->backends->len; i++) {
        struct block_backend *backend = g_ptr_array_index(registry->backends, i);
        json_t *entry;

        if (!is_disk(backend) || drive_of(registry, backend)) {
            continue;
        }
        entry = json_pack("{s:s, s:s, s:b, s:b, s:s, s:o}", "device", backend->device_name, "type",
                          "unknown", "removable", 0, "locked", 0, "io-status",
                          block_errors_status(backend), "inserted", device_info(backend));
        if (backend->user && backend->user->device_id) {
            json_object_set_new(entry, "qdev", json_string(backend->user->device_id));
        }
        json_array_append_new(list, entry);
    }
    query_removables(registry, list);
    return list;
}

json_t *block_query_nodes(struct block_registry *registry)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < registry->backends->len; i++) {
        json_array_append_new(list, device_info(g_ptr_array_index(registry->backends, i)));
    }
    return list;
}

static json_t *load(const uint64_t *counter)
{
    return json_integer((json_int_t)__atomic_load_n(counter, __ATOMIC_RELAXED));
}

static json_t *stats_of(const struct block_stats *stats)
{
    static const struct {
        enum block_operation operation;
        const char *word;
    } operations[] = {
        {BLOCK_READ, "rd"}, {BLOCK_WRITE, "wr"}, {BLOCK_FLUSH, "flush"}, {BLOCK_DISCARD, "unmap"}};
    json_t *object = json_object();

    for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++) {
        enum block_operation operation = operations[i].operation;
        const struct {
            const char *format;
            const uint64_t *counter;
        } members[] = {
            {"%s_operations", &stats->operations[operation]},
            {"%s_total_time_ns", &stats->time_ns[operation]},
            {"failed_%s_operations", &stats->failed[operation]},
            {"invalid_%s_operations", &stats->invalid[operation]},
            {"%s_bytes", operation == BLOCK_FLUSH ? NULL : &stats->bytes[operation]},
            {"%s_merged", operation == BLOCK_FLUSH ? NULL : &stats->merged[operation]},
        };

        for (unsigned k = 0; k < G_N_ELEMENTS(members); k++) {
            char name[64];

            g_snprintf(name, sizeof(name), members[k].format, operations[i].word);
            if (members[k].counter) {
                json_object_set_new(object, name, load(members[k].counter));
            }
        }
    }
    json_object_set_new(object, "wr_highest_offset", load(&stats->highest_write));
    json_object_set_new(object, "account_invalid", json_true());
    json_object_set_new(object, "account_failed", json_true());
    json_object_set_new(object, "timed_stats", json_array());
    return object;
}

json_t *block_query_stats(struct block_registry *registry)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < registry->backends->len; i++) {
        struct block_backend *backend = g_ptr_array_index(registry->backends, i);
        const struct block_removable *drive = drive_of(registry, backend);
        const char *name = drive && drive->drive_name ? drive->drive_name : backend->device_name;
        json_t *entry;

        if (!is_disk(backend)) {
            continue;
        }
        entry = json_pack("{s:s, s:s, s:o}", "device", name, "node-name", backend->node_name,
                          "stats", stats_of(&backend->stats));
        if (backend->user && backend->user->device_id) {
            json_object_set_new(entry, "qdev", json_string(backend->user->device_id));
        }
        json_array_append_new(list, entry);
    }
    return list;
}
