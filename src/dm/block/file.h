/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and block devices of the host: between file*.c and uring.c only. */
#ifndef DUODM_DM_BLOCK_FILE_H
#define DUODM_DM_BLOCK_FILE_H

#include "dm/block/block-private.h"

struct block_file {
    int fd;
    bool is_device;
    uint32_t
        alignment;   /* bytes, of offset, length and memory; 1: none is asked for (no O_DIRECT) */
    int flush_error; /* errno of a failed flush, after which none can be trusted; atomic */
    bool no_zero_range;        /* the file system lacks it; atomic */
    pthread_mutex_t edge_lock; /* reads and rewrites of blocks that a request covers in part */
};

static inline struct block_file *block_file_of(const struct block_backend *backend)
{
    return backend->driver_data;
}

/* Can a request go to the kernel as it is? */
bool block_file_is_aligned(const struct block_backend *backend,
                           const struct block_request *request);
/* The kernel reports a failed write-back once, then forgets the pages: later flushes lie. */
int block_file_flush_error(const struct block_backend *backend);
void block_file_note_flush_error(struct block_backend *backend, int error_number);

/* file-io.c */
int block_file_execute(struct block_backend *backend, struct block_request *request);
/* file-lock.c */
bool block_file_lock(struct block_backend *backend, bool write, bool share, GError **error);
void block_file_unlock(struct block_backend *backend);

#endif
