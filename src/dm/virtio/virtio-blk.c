/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk, the block device (virtio 1.2, 5.2): what it offers, its configuration and its life.
 * Each of its queues has a queue of the image (block.h) in the I/O thread: virtio-blk-request.c.
 */
#include "dm/firmware/boot-order.h"
#include "dm/machine.h"
#include "dm/virtio/virtio-blk.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/virtio/virtio-pci.h"
#include "util/error.h"
#include "util/little-endian.h"

/* Device configuration, 5.2.4: offsets. */
#define CONFIG_CAPACITY                 0
#define CONFIG_SEG_MAX                  12
#define CONFIG_BLK_SIZE                 20
#define CONFIG_PHYSICAL_BLOCK_EXP       24
#define CONFIG_MIN_IO_SIZE              26
#define CONFIG_OPT_IO_SIZE              28
#define CONFIG_WRITEBACK                32
#define CONFIG_NUM_QUEUES               34
#define CONFIG_MAX_DISCARD_SECTORS      36
#define CONFIG_MAX_DISCARD_SEG          40
#define CONFIG_DISCARD_ALIGNMENT        44
#define CONFIG_MAX_WRITE_ZEROES_SECTORS 48
#define CONFIG_MAX_WRITE_ZEROES_SEG     52
#define CONFIG_WRITE_ZEROES_MAY_UNMAP   56
#define CONFIG_SIZE                     60

#define QUEUES_AUTO 0 /* num-queues: one per vCPU */

/* ---- Under the guard ---- */

/* 5.2.5: without FLUSH and CONFIG_WCE a driver does not know of caches. */
static void update_cache_mode(struct virtio_blk *blk)
{
    bool cached = virtio_has_feature(&blk->virtio, VIRTIO_BLK_F_CONFIG_WCE)
                      ? blk->virtio.config[CONFIG_WRITEBACK]
                      : virtio_has_feature(&blk->virtio, VIRTIO_BLK_F_FLUSH);

    __atomic_store_n(&blk->write_through, !cached, __ATOMIC_RELAXED);
}

static void blk_features_set(struct virtio_device *device)
{
    update_cache_mode(virtio_blk_of(device));
}

static void blk_config_written(struct virtio_device *device, unsigned offset, unsigned length)
{
    if (virtio_has_feature(device, VIRTIO_BLK_F_CONFIG_WCE)) {
        update_cache_mode(virtio_blk_of(device));
    }
}

static void set_capacity(struct virtio_blk *blk)
{
    store_le64(blk->virtio.config + CONFIG_CAPACITY, block_size(blk->backend) / BLOCK_SECTOR);
}

static void blk_before_save(struct virtio_device *device)
{
    virtio_blk_save_parked(virtio_blk_of(device));
}

static void blk_reset(struct virtio_device *device)
{
    struct virtio_blk *blk = virtio_blk_of(device);

    virtio_blk_forget_parked(blk);
    device->config[CONFIG_WRITEBACK] = block_is_write_back(blk->backend);
}

/* ---- In the main loop ---- */

static void on_resized(void *opaque)
{
    struct virtio_blk *blk = opaque;
    bool entered = access_guard_enter(&blk->virtio.pci.device.guard);

    set_capacity(blk);
    virtio_config_changed(&blk->virtio);
    if (entered) {
        access_guard_leave(&blk->virtio.pci.device.guard);
    }
}

static bool check_block_sizes(const struct virtio_blk *blk, GError **error)
{
    uint32_t logical = blk->logical_block_size, physical = blk->physical_block_size;

    if ((logical & (logical - 1)) || (physical & (physical - 1))) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "logical_block_size and physical_block_size must be powers of two");
    }
    if (physical < logical) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "physical_block_size=%u is less than logical_block_size=%u", physical,
                          logical);
    }
    if (block_get_limits(blk->backend)->request_alignment > logical) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the image takes blocks of at least %u bytes: set logical_block_size=%u",
                          block_get_limits(blk->backend)->request_alignment,
                          block_get_limits(blk->backend)->request_alignment);
    }
    return true;
}

static bool check_properties(struct virtio_blk *blk, GError **error)
{
    /* That there can be: how many there are may change before a saved machine comes back. */
    unsigned vcpus = blk->virtio.pci.device.machine->config.max_cpus;

    if (blk->queue_size & (blk->queue_size - 1)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'queue-size': %u is no power of two", blk->queue_size);
    }
    if (blk->queue_count == QUEUES_AUTO) {
        blk->queue_count = (uint16_t)CLAMP(vcpus, 1, VIRTIO_QUEUES_MAX);
    }
    blk->policies = block_get_policies(blk->backend);
    if (blk->serial && strlen(blk->serial) > VIRTIO_BLK_ID_SIZE) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'serial': at most %u characters are possible",
                          VIRTIO_BLK_ID_SIZE);
    }
    return (!blk->werror ||
            block_error_policy_parse(blk->werror, true, &blk->policies.write, error)) &&
           (!blk->rerror ||
            block_error_policy_parse(blk->rerror, false, &blk->policies.read, error)) &&
           check_block_sizes(blk, error);
}

static bool find_image(struct virtio_blk *blk, GError **error)
{
    struct machine *machine = blk->virtio.pci.device.machine;

    if (!blk->drive || !*blk->drive) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'drive' is missing: the id of a -drive, or the node-name of a "
                          "-blockdev");
    }
    blk->backend = block_find(machine->blocks, blk->drive, error);
    if (!blk->backend) {
        g_prefix_error(error, "property 'drive': ");
        return false;
    }
    return true;
}

static void offer_features(struct virtio_blk *blk)
{
    const struct block_limits *limits = block_get_limits(blk->backend);
    uint64_t *features = &blk->virtio.offered_features;

    *features |= VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
                 VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) | VIRTIO_FEATURE(VIRTIO_BLK_F_TOPOLOGY);
    if (block_is_read_only(blk->backend)) {
        *features |= VIRTIO_FEATURE(VIRTIO_BLK_F_RO);
    }
    if (blk->config_wce) {
        *features |= VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE);
    }
    if (blk->queue_count > 1) {
        *features |= VIRTIO_FEATURE(VIRTIO_BLK_F_MQ);
    }
    if (blk->discard && limits->can_discard && !block_is_read_only(blk->backend)) {
        *features |= VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);
    }
    if (blk->write_zeroes && !block_is_read_only(blk->backend)) {
        *features |= VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
    }
}

static void fill_config(struct virtio_blk *blk)
{
    const struct block_limits *limits = block_get_limits(blk->backend);
    uint32_t logical = blk->logical_block_size;
    uint8_t *config = blk->virtio.config;

    set_capacity(blk);
    store_le32(config + CONFIG_SEG_MAX, blk->queue_size > 2 ? blk->queue_size - 2u : 1);
    store_le32(config + CONFIG_BLK_SIZE, logical);
    config[CONFIG_PHYSICAL_BLOCK_EXP] = (uint8_t)__builtin_ctz(blk->physical_block_size / logical);
    store_le16(config + CONFIG_MIN_IO_SIZE, (uint16_t)(blk->min_io_size / logical));
    store_le32(config + CONFIG_OPT_IO_SIZE, blk->opt_io_size / logical);
    config[CONFIG_WRITEBACK] = block_is_write_back(blk->backend);
    blk->virtio.config_write_mask[CONFIG_WRITEBACK] = blk->config_wce ? 1 : 0;
    store_le16(config + CONFIG_NUM_QUEUES, blk->queue_count);
    store_le32(config + CONFIG_MAX_DISCARD_SECTORS, limits->max_zeroes / BLOCK_SECTOR);
    store_le32(config + CONFIG_MAX_DISCARD_SEG, 1);
    store_le32(config + CONFIG_DISCARD_ALIGNMENT, logical / BLOCK_SECTOR);
    store_le32(config + CONFIG_MAX_WRITE_ZEROES_SECTORS, limits->max_zeroes / BLOCK_SECTOR);
    store_le32(config + CONFIG_MAX_WRITE_ZEROES_SEG, 1);
    config[CONFIG_WRITE_ZEROES_MAY_UNMAP] = limits->can_discard;
}

static bool blk_realize(struct virtio_device *device, GError **error)
{
    struct virtio_blk *blk = virtio_blk_of(device);

    if (!find_image(blk, error) || !check_properties(blk, error) ||
        (device->pci.device.bus->type == BUS_PCI &&
         !boot_order_add(device->pci.device.machine, &device->pci, blk->boot_index, "disk@0,0",
                         error))) {
        return false;
    }
    blk->user = (struct block_user){
        .opaque = blk,
        .device_id = device->pci.device.id,
        .writes = !block_is_read_only(blk->backend),
        .share_rw = blk->share_rw,
        .resized = on_resized,
    };
    if (!block_attach(blk->backend, &blk->user, error)) {
        return false;
    }
    offer_features(blk);
    fill_config(blk);
    if (!virtio_blk_make_queues(blk, error)) {
        block_detach(blk->backend);
        return false;
    }
    return true;
}

static void blk_unrealize(struct virtio_device *device)
{
    struct virtio_blk *blk = virtio_blk_of(device);

    virtio_blk_free_queues(blk);
    block_detach(blk->backend);
}

static const struct state_field blk_fields[] = {
    VIRTIO_STATE_FIELDS,
    {"parked", STATE_BUFFER, offsetof(struct virtio_blk, saved_parked), VIRTIO_BLK_PARKED_MAX, 1},
    STATE_END,
};

static bool blk_after_load(struct virtio_device *device)
{
    struct virtio_blk *blk = virtio_blk_of(device);

    virtio_blk_forget_parked(blk);
    if (!virtio_blk_load_parked(blk)) {
        return false;
    }
    set_capacity(blk); /* of this machine's image */
    update_cache_mode(blk);
    return true;
}

static const struct state_description blk_state = {
    .name = "virtio-blk",
    .version = 1,
    .fields = blk_fields,
    VIRTIO_STATE_HOOKS,
};

static const struct virtio_class blk_class = {
    .name = "virtio-blk",
    .device_id = 2,
    .legacy_id = 0x1001,
    .config_size = CONFIG_SIZE,
    .realize = blk_realize,
    .unrealize = blk_unrealize,
    .features_set = blk_features_set,
    .config_written = blk_config_written,
    .reset = blk_reset,
    .start = virtio_blk_start,
    .stop = virtio_blk_stop,
    .before_save = blk_before_save,
    .after_load = blk_after_load,
};

#define BLK_PROPERTY(name_, type_, field_, default_, least_, most_, help_)                         \
    {                                                                                              \
        name_, PROPERTY_##type_, offsetof(struct virtio_blk, field_), default_, least_, most_,     \
            help_                                                                                  \
    }
#define BLK_PROPERTIES                                                                             \
    BLK_PROPERTY("drive", DRIVE, drive, NULL, 0, 0, "the image: -drive's id or a node-name"),      \
        BLK_PROPERTY("serial", STRING, serial, NULL, 0, 0, "serial number, up to 20 characters"),  \
        BLK_PROPERTY("num-queues", UINT16, queue_count, "0", 0, VIRTIO_QUEUES_MAX,                 \
                     "queues, 0: one per vCPU"),                                                   \
        BLK_PROPERTY("queue-size", UINT16, queue_size, "256", 2, 1024,                             \
                     "places in each queue, a power of two"),                                      \
        BLK_PROPERTY("logical_block_size", UINT32, logical_block_size, "512", 512, 1 << 20,        \
                     "least unit of requests, bytes"),                                             \
        BLK_PROPERTY("physical_block_size", UINT32, physical_block_size, "512", 512, 1 << 20,      \
                     "unit that is fast, bytes"),                                                  \
        BLK_PROPERTY("min_io_size", UINT32, min_io_size, "0", 0, 1 << 20,                          \
                     "least length that is efficient, bytes"),                                     \
        BLK_PROPERTY("opt_io_size", UINT32, opt_io_size, "0", 0, 1u << 31, "best length, bytes"),  \
        BLK_PROPERTY("discard", BOOL, discard, "on", 0, 0,                                         \
                     "offer discards (of use with the image's discard=unmap)"),                    \
        BLK_PROPERTY("write-zeroes", BOOL, write_zeroes, "on", 0, 0, "offer to write zeroes"),     \
        BLK_PROPERTY("config-wce", BOOL, config_wce, "on", 0, 0,                                   \
                     "the guest may switch the write cache"),                                      \
        BLK_PROPERTY("share-rw", BOOL | PROPERTY_OF_HOST, share_rw, "off", 0, 0,                   \
                     "others may write the image meanwhile"),                                      \
        BLK_PROPERTY("werror", STRING | PROPERTY_OF_HOST, werror, NULL, 0, 0,                      \
                     "at failed writes: report, ignore, stop, enospc [the drive's, or enospc]"),   \
        BLK_PROPERTY("rerror", STRING | PROPERTY_OF_HOST, rerror, NULL, 0, 0,                      \
                     "at failed reads: report, ignore, stop [the drive's, or report]")

static const struct property blk_pci_properties[] = {
    VIRTIO_PCI_PROPERTIES,
    BLK_PROPERTY("bootindex", BOOT_INDEX, boot_index, "-1", 0, 0,
                 "place in the firmware's boot order, from 0 on"),
    BLK_PROPERTIES,
    PROPERTY_END,
};

static const struct property blk_mmio_properties[] = {
    VIRTIO_DEVICE_PROPERTIES,
    BLK_PROPERTIES,
    PROPERTY_END,
};

VIRTIO_PCI_CLASSES(virtio_blk, blk_class, virtio_blk, "virtio-blk", "disk", 0x010000, blk_state,
                   blk_pci_properties);
VIRTIO_MMIO_CLASS(virtio_blk, blk_class, virtio_blk, "virtio-blk", "disk", blk_state,
                  blk_mmio_properties);
