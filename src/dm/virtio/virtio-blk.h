/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk, the block device (virtio 1.2, 5.2). Between its files only: virtio-blk.c (the device,
 * main loop and guard) and virtio-blk-request.c (requests, in the I/O thread, and those that wait
 * for a disk).
 */
#ifndef DUODM_DM_VIRTIO_VIRTIO_BLK_H
#define DUODM_DM_VIRTIO_VIRTIO_BLK_H

#include "dm/block/block.h"
#include "dm/virtio/virtio.h"

/* Feature bits, 5.2.3. */
#define VIRTIO_BLK_F_SEG_MAX      2
#define VIRTIO_BLK_F_RO           5
#define VIRTIO_BLK_F_BLK_SIZE     6
#define VIRTIO_BLK_F_FLUSH        9
#define VIRTIO_BLK_F_TOPOLOGY     10
#define VIRTIO_BLK_F_CONFIG_WCE   11
#define VIRTIO_BLK_F_MQ           12
#define VIRTIO_BLK_F_DISCARD      13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

#define VIRTIO_BLK_ID_SIZE    20          /* bytes of a serial number */
#define VIRTIO_BLK_PARKED_MAX (16u << 20) /* bytes of saved_parked */

struct virtio_blk_queue;

struct virtio_blk {
    struct virtio_device virtio;
    /* Properties. */
    char *drive, *serial, *werror, *rerror;
    uint16_t queue_count, queue_size;
    uint32_t logical_block_size, physical_block_size, min_io_size, opt_io_size; /* bytes */
    bool discard, write_zeroes, config_wce, share_rw;
    int32_t boot_index; /* over PCI only */

    struct block_backend *backend;
    struct block_user user;
    struct block_error_policies policies;
    struct virtio_blk_queue *queues; /* queue_count of them, beside the virtqueues */
    GByteArray *saved_parked;        /* of all queues, for saved state: le16 queue, element */
    bool write_through;              /* the driver relies on completed writes to last; atomic */
};

static inline struct virtio_blk *virtio_blk_of(struct virtio_device *device)
{
    return (struct virtio_blk *)device;
}

/* virtio-blk-request.c. All in the main loop or under the guard. */

/* Add the virtqueues, and make the image's queues in the I/O thread. On failure the latter are gone
 * again. free is the mirror, and forgets what is parked; queues are stopped. */
bool virtio_blk_make_queues(struct virtio_blk *blk, GError **error);
void virtio_blk_free_queues(struct virtio_blk *blk);

/* As struct virtio_class has them: what is parked is tried again; what is under way is parked or
 * ends. In the I/O thread. */
void virtio_blk_start(struct virtio_device *device);
void virtio_blk_stop(struct virtio_device *device);

/* Requests that wait for the machine to go on, while queues are stopped: drop them; write them to
 * saved_parked; make them of it, false if it can't be this device's. */
void virtio_blk_forget_parked(struct virtio_blk *blk);
void virtio_blk_save_parked(struct virtio_blk *blk);
bool virtio_blk_load_parked(struct virtio_blk *blk);

#endif
