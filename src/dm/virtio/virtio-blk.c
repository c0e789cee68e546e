/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk, the block device (virtio 1.2, 5.2). Each of its queues has a queue of the image
 * (block.h) in the I/O thread: a driver's notification pops all that there is, submits it together,
 * and what has completed together is told by one interrupt.
 */
#include "dm/block/block.h"
#include "dm/firmware/boot-order.h"
#include "dm/machine.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/virtio/virtio-pci.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/log.h"

#include <errno.h>

/* Feature bits, 5.2.3. */
#define BLK_F_SEG_MAX      2
#define BLK_F_RO           5
#define BLK_F_BLK_SIZE     6
#define BLK_F_FLUSH        9
#define BLK_F_TOPOLOGY     10
#define BLK_F_CONFIG_WCE   11
#define BLK_F_MQ           12
#define BLK_F_DISCARD      13
#define BLK_F_WRITE_ZEROES 14

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

/* Requests, 5.2.6. */
#define REQUEST_IN           0
#define REQUEST_OUT          1
#define REQUEST_FLUSH        4
#define REQUEST_GET_ID       8
#define REQUEST_DISCARD      11
#define REQUEST_WRITE_ZEROES 13

#define STATUS_OK     0
#define STATUS_IOERR  1
#define STATUS_UNSUPP 2

#define HEADER_SIZE   16 /* le32 type, le32 reserved, le64 sector */
#define SEGMENT_SIZE  16 /* le64 sector, le32 num_sectors, le32 flags */
#define SEGMENT_UNMAP 1u /* flags */
#define ID_SIZE       20 /* bytes of a serial number */
#define QUEUES_AUTO   0  /* num-queues: one per vCPU */

struct virtio_blk;

/* What an element keeps of its request. */
struct blk_request {
    struct block_request block; /* first: completion gets it */
    struct virtqueue_element *element;
    struct blk_request *next_parked;
    struct iovec *iov; /* owned copy of the data's iovecs; NULL: they are the element's own */
};

/* Beside each virtqueue; its thread's own. */
struct blk_queue {
    struct block_queue *queue;
    struct blk_request *parked; /* wait for the machine to go on */
    bool pushed;                /* the driver was not told yet */
};

struct virtio_blk {
    struct virtio_device virtio;
    /* Properties. */
    char *drive, *serial, *werror, *rerror;
    uint16_t queue_count, queue_size;
    uint32_t logical_block_size, physical_block_size, min_io_size, opt_io_size;
    bool discard, write_zeroes, config_wce, share_rw;
    int32_t boot_index; /* over PCI only */

    struct block_backend *backend;
    struct block_user user;
    struct block_error_policies policies;
    struct blk_queue *queues; /* queue_count of them */
    GByteArray *saved_parked; /* of all queues, for saved state: le16 queue, element */
    bool write_through;       /* the driver relies on completed writes to last; atomic */
};

static struct virtio_blk *blk_of(struct virtio_device *device)
{
    return (struct virtio_blk *)device;
}

static struct blk_queue *blk_queue_of(struct virtqueue *queue)
{
    return &blk_of(queue->device)->queues[queue->index];
}

/* ---- In the I/O thread ---- */

/* The status is the last byte of what the driver wants written: 5.2.6. */
static void finish(struct virtqueue_element *element, uint8_t status)
{
    struct blk_queue *queue = blk_queue_of(element->queue);
    struct blk_request *request = virtqueue_element_data(element);

    virtqueue_write(element, element->in_length - 1, &status, 1);
    g_free(request->iov);
    virtqueue_push(element, element->in_length);
    queue->pushed = true;
}

/* Not ended: it is tried again when the queue runs next. */
static void park(struct blk_request *request)
{
    struct blk_queue *queue = blk_queue_of(request->element->queue);

    request->next_parked = queue->parked;
    queue->parked = request;
    virtqueue_park(request->element);
}

static void on_complete(struct block_request *block, int result)
{
    struct blk_request *request = (struct blk_request *)block;
    struct virtio_blk *blk = blk_of(request->element->queue->device);

    result =
        block_settle_error(blk->backend, blk->policies, block->operation != BLOCK_READ, result);
    if (result == -ECANCELED) {
        park(request);
        return;
    }
    finish(request->element, result < 0 ? STATUS_IOERR : STATUS_OK);
}

static void tell_driver(void *opaque)
{
    struct virtqueue *virtqueue = opaque;
    struct blk_queue *queue = blk_queue_of(virtqueue);

    if (queue->pushed) {
        queue->pushed = false;
        virtqueue_notify(virtqueue);
    }
}

static void submit(struct virtqueue_element *element)
{
    struct blk_request *request = virtqueue_element_data(element);

    block_queue_submit(blk_queue_of(element->queue)->queue, &request->block);
}

/*
 * The iovecs of a request's data: what is left of `from` without `skip` bytes at the start and
 * `trim` at the end. Where header and status have descriptors of their own, as nearly always, no
 * copy is needed.
 */
static void set_data(struct blk_request *request, struct iovec *from, unsigned count, uint64_t skip,
                     uint64_t trim)
{
    struct iovec *to;
    unsigned kept = 0;

    while (count && skip >= from->iov_len) {
        skip -= from->iov_len;
        from++;
        count--;
    }
    while (count && trim >= from[count - 1].iov_len) {
        trim -= from[--count].iov_len;
    }
    if (skip || trim) {
        request->iov = to = g_new(struct iovec, count);
        for (unsigned i = 0; i < count; i++) {
            to[kept++] = from[i];
        }
        if (count) {
            to[0].iov_base = (uint8_t *)to[0].iov_base + skip;
            to[0].iov_len -= skip;
            to[count - 1].iov_len -= trim;
        }
        from = to;
    }
    request->block.iov = from;
    request->block.iov_count = count;
}

/* Are these sectors on the disk? */
static bool is_on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t length)
{
    uint64_t size = block_size(blk->backend);

    return sector <= size / BLOCK_SECTOR && length <= size - sector * BLOCK_SECTOR;
}

static void count_invalid(struct virtio_blk *blk, enum block_operation operation)
{
    __atomic_fetch_add(&block_get_stats(blk->backend)->invalid[operation], 1, __ATOMIC_RELAXED);
}

static void transfer(struct virtio_blk *blk, struct virtqueue_element *element, uint64_t sector,
                     bool is_write)
{
    struct blk_request *request = virtqueue_element_data(element);
    uint64_t length = is_write ? element->out_length - HEADER_SIZE : element->in_length - 1;
    enum block_operation operation = is_write ? BLOCK_WRITE : BLOCK_READ;

    if (is_write && block_is_read_only(blk->backend)) {
        finish(element, STATUS_IOERR); /* 5.2.6.2 */
        return;
    }
    if (!is_on_disk(blk, sector, length) ||
        ((sector * BLOCK_SECTOR | length) & (blk->logical_block_size - 1))) {
        count_invalid(blk, operation);
        finish(element, STATUS_IOERR);
        return;
    }
    if (is_write) {
        set_data(request, element->out, element->out_count, HEADER_SIZE, 0);
    } else {
        set_data(request, element->in, element->in_count, 0, 1);
    }
    request->block.operation = operation;
    request->block.offset = sector * BLOCK_SECTOR;
    request->block.length = length;
    request->block.fua = is_write && __atomic_load_n(&blk->write_through, __ATOMIC_RELAXED);
    submit(element);
}

static void flush(struct virtqueue_element *element)
{
    struct blk_request *request = virtqueue_element_data(element);

    request->block.operation = BLOCK_FLUSH;
    submit(element);
}

/* 5.2.6.1: one segment, as max_discard_seg and max_write_zeroes_seg say. */
static void discard(struct virtio_blk *blk, struct virtqueue_element *element, bool zeroes)
{
    struct blk_request *request = virtqueue_element_data(element);
    uint8_t segment[SEGMENT_SIZE];
    uint64_t sector, length;
    uint32_t flags;

    if (!virtio_has_feature(&blk->virtio, zeroes ? BLK_F_WRITE_ZEROES : BLK_F_DISCARD) ||
        element->out_length != HEADER_SIZE + SEGMENT_SIZE) {
        finish(element, STATUS_UNSUPP);
        return;
    }
    virtqueue_read(element, HEADER_SIZE, segment, SEGMENT_SIZE);
    sector = load_le64(segment);
    length = (uint64_t)load_le32(segment + 8) * BLOCK_SECTOR;
    flags = load_le32(segment + 12);
    if (flags & (zeroes ? ~SEGMENT_UNMAP : ~0u)) {
        finish(element, STATUS_UNSUPP);
        return;
    }
    if (block_is_read_only(blk->backend) || !is_on_disk(blk, sector, length) ||
        length > block_get_limits(blk->backend)->max_zeroes ||
        ((sector * BLOCK_SECTOR | length) & (blk->logical_block_size - 1))) {
        count_invalid(blk, zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD);
        finish(element, STATUS_IOERR);
        return;
    }
    request->block.operation = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
    request->block.offset = sector * BLOCK_SECTOR;
    request->block.length = length;
    request->block.may_unmap = flags & SEGMENT_UNMAP;
    request->block.fua = __atomic_load_n(&blk->write_through, __ATOMIC_RELAXED);
    submit(element);
}

/* 5.2.6.1: up to 20 bytes, without a final NUL where it fills them. */
static void get_id(const struct virtio_blk *blk, struct virtqueue_element *element)
{
    char id[ID_SIZE] = {0};

    if (blk->serial) {
        memcpy(id, blk->serial, MIN(strlen(blk->serial), ID_SIZE));
    }
    virtqueue_write(element, 0, id, MIN(element->in_length - 1, ID_SIZE));
    finish(element, STATUS_OK);
}

static void start_request(struct virtio_blk *blk, struct virtqueue_element *element)
{
    struct blk_request *request = virtqueue_element_data(element);
    uint8_t header[HEADER_SIZE];
    uint64_t sector;

    if (!element->in_length || virtqueue_read(element, 0, header, HEADER_SIZE) != HEADER_SIZE) {
        virtio_break(&blk->virtio, "a request has no header or no place for its status");
        virtqueue_push(element, 0);
        return;
    }
    request->element = element;
    request->block.complete = on_complete;
    sector = load_le64(header + 8);
    switch (load_le32(header)) {
    case REQUEST_IN:
        transfer(blk, element, sector, false);
        break;
    case REQUEST_OUT:
        transfer(blk, element, sector, true);
        break;
    case REQUEST_FLUSH:
        flush(element);
        break;
    case REQUEST_GET_ID:
        get_id(blk, element);
        break;
    case REQUEST_DISCARD:
        discard(blk, element, false);
        break;
    case REQUEST_WRITE_ZEROES:
        discard(blk, element, true);
        break;
    default:
        finish(element, STATUS_UNSUPP);
    }
}

static bool handle_queue(struct virtqueue *virtqueue)
{
    struct virtio_blk *blk = blk_of(virtqueue->device);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(virtqueue))) {
        start_request(blk, element);
    }
    block_queue_kick(blk->queues[virtqueue->index].queue);
    tell_driver(virtqueue);
    return true;
}

/* What was parked is tried again. */
static void blk_start(struct virtio_device *device)
{
    struct virtio_blk *blk = blk_of(device);

    for (unsigned i = 0; i < blk->queue_count; i++) {
        struct blk_queue *queue = &blk->queues[i];
        struct blk_request *request = queue->parked, *next;

        queue->parked = NULL;
        for (; request; request = next) {
            next = request->next_parked;
            if (!virtqueue_unpark(request->element)) {
                request->next_parked = queue->parked;
                queue->parked = request;
            } else if (request->block.complete) {
                block_queue_submit(queue->queue, &request->block);
            } else { /* from saved state: it never began in this process */
                start_request(blk, request->element);
            }
        }
        block_queue_kick(queue->queue);
        tell_driver(virtio_queue(device, i));
    }
}

static void blk_stop(struct virtio_device *device)
{
    struct virtio_blk *blk = blk_of(device);

    for (unsigned i = 0; i < blk->queue_count; i++) {
        block_queue_cancel(blk->queues[i].queue);
    }
}

/* ---- Under the guard ---- */

/* 5.2.5: without FLUSH and CONFIG_WCE a driver does not know of caches. */
static void update_cache_mode(struct virtio_blk *blk)
{
    bool cached = virtio_has_feature(&blk->virtio, BLK_F_CONFIG_WCE)
                      ? blk->virtio.config[CONFIG_WRITEBACK]
                      : virtio_has_feature(&blk->virtio, BLK_F_FLUSH);

    __atomic_store_n(&blk->write_through, !cached, __ATOMIC_RELAXED);
}

static void blk_features_set(struct virtio_device *device)
{
    update_cache_mode(blk_of(device));
}

static void blk_config_written(struct virtio_device *device, unsigned offset, unsigned length)
{
    if (virtio_has_feature(device, BLK_F_CONFIG_WCE)) {
        update_cache_mode(blk_of(device));
    }
}

static void set_capacity(struct virtio_blk *blk)
{
    store_le64(blk->virtio.config + CONFIG_CAPACITY, block_size(blk->backend) / BLOCK_SECTOR);
}

/* Queues are stopped: their threads do not look at what was parked. */
static void forget_parked(struct virtio_blk *blk)
{
    for (unsigned i = 0; i < blk->queue_count; i++) {
        struct blk_request *request = blk->queues[i].parked, *next;

        blk->queues[i].parked = NULL;
        for (; request; request = next) {
            next = request->next_parked;
            g_free(request->iov);
            virtqueue_forget(request->element);
        }
    }
}

/* ---- Saved state ---- */

#define PARKED_MAX (16u << 20) /* bytes of saved_parked */

static void blk_before_save(struct virtio_device *device)
{
    struct virtio_blk *blk = blk_of(device);

    g_byte_array_set_size(blk->saved_parked, 0);
    for (unsigned i = 0; i < blk->queue_count; i++) {
        const struct blk_request *request = blk->queues[i].parked;
        uint8_t index[2];

        store_le16(index, (uint16_t)i);
        for (; request; request = request->next_parked) {
            guint before = blk->saved_parked->len;

            g_byte_array_append(blk->saved_parked, index, sizeof(index));
            if (!virtqueue_save_parked(request->element, blk->saved_parked) ||
                blk->saved_parked->len > PARKED_MAX) {
                g_byte_array_set_size(blk->saved_parked, before);
                log_warning("%s: a request that waits for its disk is lost in the saved state",
                            virtio_name(device));
            }
        }
    }
}

/* The queues' lists, in their order. */
static bool load_parked(struct virtio_blk *blk)
{
    const uint8_t *data = blk->saved_parked->data;
    size_t length = blk->saved_parked->len;

    while (length) {
        unsigned index = length < 2 ? UINT16_MAX : load_le16(data);
        struct virtqueue_element *element;
        struct blk_request *request, **last;

        if (index >= blk->queue_count) {
            return false;
        }
        data += 2;
        length -= 2;
        element = virtqueue_load_parked(virtio_queue(&blk->virtio, index), &data, &length);
        if (!element) {
            return false;
        }
        request = virtqueue_element_data(element);
        request->element = element;
        for (last = &blk->queues[index].parked; *last; last = &(*last)->next_parked) {
        }
        *last = request;
    }
    return true;
}

static void blk_reset(struct virtio_device *device)
{
    struct virtio_blk *blk = blk_of(device);

    forget_parked(blk);
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
    if (blk->serial && strlen(blk->serial) > ID_SIZE) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'serial': at most %u characters are possible", ID_SIZE);
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

    *features |= VIRTIO_FEATURE(BLK_F_SEG_MAX) | VIRTIO_FEATURE(BLK_F_BLK_SIZE) |
                 VIRTIO_FEATURE(BLK_F_FLUSH) | VIRTIO_FEATURE(BLK_F_TOPOLOGY);
    if (block_is_read_only(blk->backend)) {
        *features |= VIRTIO_FEATURE(BLK_F_RO);
    }
    if (blk->config_wce) {
        *features |= VIRTIO_FEATURE(BLK_F_CONFIG_WCE);
    }
    if (blk->queue_count > 1) {
        *features |= VIRTIO_FEATURE(BLK_F_MQ);
    }
    if (blk->discard && limits->can_discard && !block_is_read_only(blk->backend)) {
        *features |= VIRTIO_FEATURE(BLK_F_DISCARD);
    }
    if (blk->write_zeroes && !block_is_read_only(blk->backend)) {
        *features |= VIRTIO_FEATURE(BLK_F_WRITE_ZEROES);
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

/* Queues of the image, made and freed in the I/O thread. */
struct make_queues {
    struct virtio_blk *blk;
    GError *error;
};

static void make_queues(void *opaque)
{
    struct make_queues *make = opaque;
    struct virtio_blk *blk = make->blk;

    for (unsigned i = 0; i < blk->queue_count && !make->error; i++) {
        struct block_queue_handler handler = {virtio_queue(&blk->virtio, i), tell_driver};

        blk->queues[i].queue = block_queue_new(blk->backend, io_thread_base(blk->virtio.thread),
                                               &handler, &make->error);
    }
}

static void free_queues(void *opaque)
{
    struct virtio_blk *blk = opaque;

    for (unsigned i = 0; i < blk->queue_count; i++) {
        g_clear_pointer(&blk->queues[i].queue, block_queue_free);
    }
}

static bool blk_realize(struct virtio_device *device, GError **error)
{
    struct virtio_blk *blk = blk_of(device);
    struct make_queues make = {.blk = blk};

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
    for (unsigned i = 0; i < blk->queue_count; i++) {
        virtio_add_queue(device, blk->queue_size, sizeof(struct blk_request), handle_queue);
    }
    blk->queues = g_new0(struct blk_queue, blk->queue_count);
    blk->saved_parked = g_byte_array_new();
    io_thread_call(device->thread, make_queues, &make);
    if (make.error) {
        g_propagate_error(error, make.error);
        io_thread_call(device->thread, free_queues, blk);
        g_clear_pointer(&blk->queues, g_free);
        g_clear_pointer(&blk->saved_parked, g_byte_array_unref);
        block_detach(blk->backend);
        return false;
    }
    return true;
}

static void blk_unrealize(struct virtio_device *device)
{
    struct virtio_blk *blk = blk_of(device);

    forget_parked(blk);
    io_thread_call(device->thread, free_queues, blk);
    g_clear_pointer(&blk->queues, g_free);
    g_clear_pointer(&blk->saved_parked, g_byte_array_unref);
    block_detach(blk->backend);
}

static const struct state_field blk_fields[] = {
    VIRTIO_STATE_FIELDS,
    {"parked", STATE_BUFFER, offsetof(struct virtio_blk, saved_parked), PARKED_MAX, 1},
    STATE_END,
};

static bool blk_after_load(struct virtio_device *device)
{
    forget_parked(blk_of(device));
    if (!load_parked(blk_of(device))) {
        return false;
    }
    set_capacity(blk_of(device)); /* of this machine's image */
    update_cache_mode(blk_of(device));
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
    .start = blk_start,
    .stop = blk_stop,
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
