/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All operations on a file, whole and blocking: what a thread of the pool does. */
#include "dm/block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOUNCE_SIZE (1u << 20) /* bytes of one bounced piece; a multiple of any alignment */

bool block_file_is_aligned(const struct block_backend *backend, const struct block_request *request)
{
    uint64_t mask = block_file_of(backend)->alignment - 1;
    uint64_t all = request->window + request->offset;

    if (!mask) {
        return true;
    }
    for (unsigned i = 0; i < request->iov_count; i++) {
        all |= (uintptr_t)request->iov[i].iov_base | request->iov[i].iov_len;
    }
    return (all & mask) == 0;
}

/* The part of an iovec array from `skip` bytes on, at most IOV_MAX pieces. */
static unsigned slice(const struct block_request *request, uint64_t skip, struct iovec *out)
{
    unsigned count = 0;

    for (unsigned i = 0; i < request->iov_count && count < IOV_MAX; i++) {
        const struct iovec *iov = &request->iov[i];

        if (skip >= iov->iov_len) {
            skip -= iov->iov_len;
            continue;
        }
        out[count++] = (struct iovec){(char *)iov->iov_base + skip, iov->iov_len - skip};
        skip = 0;
    }
    return count;
}

static int transfer(struct block_file *file, struct block_request *request, bool is_write)
{
    struct iovec slices[IOV_MAX];
    int flags = is_write && request->sync ? RWF_DSYNC : 0;

    while (request->progress < request->length) {
        off_t offset = (off_t)(request->window + request->offset + request->progress);
        int count = (int)slice(request, request->progress, slices);
        ssize_t done = is_write ? pwritev2(file->fd, slices, count, offset, flags)
                                : preadv(file->fd, slices, count, offset);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -errno;
        }
        if (done == 0 && !is_write) {
            block_iov_zero(request, request->progress); /* past the end of the file */
            break;
        }
        if (done == 0) {
            return -EIO;
        }
        request->progress += (uint64_t)done;
    }
    return 0;
}

/* One aligned piece of a file, whole. Past the end: zeroes. */
static int piece_read(struct block_file *file, char *buffer, uint64_t length, uint64_t offset)
{
    uint64_t at = 0;

    while (at < length) {
        ssize_t done = pread(file->fd, buffer + at, length - at, (off_t)(offset + at));

        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        if (done == 0) {
            memset(buffer + at, 0, length - at);
            break;
        }
        at += done > 0 ? (uint64_t)done : 0;
        if (done > 0 && at % file->alignment) {
            memset(buffer + at, 0, length - at); /* the end of the file */
            break;
        }
    }
    return 0;
}

static int piece_write(struct block_file *file, const char *buffer, uint64_t length,
                       uint64_t offset, bool sync)
{
    uint64_t at = 0;

    while (at < length) {
        struct iovec iov = {(char *)buffer + at, length - at};
        ssize_t done = pwritev2(file->fd, &iov, 1, (off_t)(offset + at), sync ? RWF_DSYNC : 0);

        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        if (done == 0) {
            return -EIO;
        }
        at += done > 0 ? (uint64_t)done : 0;
    }
    return 0;
}

/*
 * Write a piece of which the first and the last block may be covered in part: those are read
 * before. Two such writes into one block must not cross, so they hold the lock. (A whole-block
 * write that crosses one overlaps it too, and a guest that does that has no order to ask for.)
 */
static int edge_write(struct block_file *file, struct block_request *request, char *buffer,
                      uint64_t offset, uint64_t length)
{
    uint64_t mask = file->alignment - 1;
    uint64_t start = offset & ~mask, end = (offset + length + mask) & ~mask;
    bool partial = start != offset || end != offset + length;
    int result = 0;

    if (partial) {
        pthread_mutex_lock(&file->edge_lock);
        result = piece_read(file, buffer, file->alignment, start);
        if (result == 0 && end - start > file->alignment) {
            result = piece_read(file, buffer + (end - start) - file->alignment, file->alignment,
                                end - file->alignment);
        }
    }
    if (result == 0) {
        block_iov_copy(request, request->progress, buffer + (offset - start), length, true);
        result = piece_write(file, buffer, end - start, start, request->sync);
    }
    if (partial) {
        pthread_mutex_unlock(&file->edge_lock);
    }
    return result;
}

/* Through an aligned buffer, in pieces. */
static int bounce(struct block_file *file, struct block_request *request, bool is_write)
{
    uint64_t mask = file->alignment - 1;
    void *buffer = NULL;
    int result = 0;

    if (posix_memalign(&buffer, MAX(file->alignment, sizeof(void *)),
                       BOUNCE_SIZE + 2 * file->alignment) != 0) {
        return -ENOMEM;
    }
    while (result == 0 && request->progress < request->length) {
        uint64_t offset = request->window + request->offset + request->progress;
        uint64_t length = MIN(request->length - request->progress, BOUNCE_SIZE);
        uint64_t start = offset & ~mask, end = (offset + length + mask) & ~mask;

        if (is_write) {
            result = edge_write(file, request, buffer, offset, length);
        } else {
            result = piece_read(file, buffer, end - start, start);
            block_iov_copy(request, request->progress, (char *)buffer + (offset - start), length,
                           false);
        }
        request->progress += length;
    }
    free(buffer);
    return result;
}

static int flush(struct block_backend *backend)
{
    struct block_file *file = block_file_of(backend);
    int problem = block_file_flush_error(backend);

    if (problem) {
        return -problem;
    }
    if (fdatasync(file->fd) < 0) {
        problem = errno;
        block_file_note_flush_error(backend, problem);
        return -problem;
    }
    return 0;
}

static bool is_lacking(int error_number)
{
    return error_number == EOPNOTSUPP || error_number == ENOSYS || error_number == ENOTTY ||
           error_number == EINVAL;
}

static int discard(struct block_file *file, const struct block_request *request)
{
    uint64_t offset = request->window + request->offset;
    uint64_t range[2] = {offset, request->length};
    int result = file->is_device ? ioctl(file->fd, BLKDISCARD, range)
                                 : fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                             (off_t)offset, (off_t)request->length);

    /* It is a hint: where it can't be taken, nothing is wrong. */
    return result < 0 && !is_lacking(errno) ? -errno : 0;
}

static int zeroes_by_writing(struct block_file *file, const struct block_request *request)
{
    void *zeroes = NULL;
    uint64_t done = 0;
    int result = 0;

    if (posix_memalign(&zeroes, 4096, BOUNCE_SIZE) != 0) {
        return -ENOMEM;
    }
    memset(zeroes, 0, BOUNCE_SIZE);
    while (result == 0 && done < request->length) {
        struct iovec iov = {zeroes, MIN(request->length - done, BOUNCE_SIZE)};
        struct block_request piece = {
            .operation = BLOCK_WRITE,
            .window = request->window,
            .offset = request->offset + done,
            .length = iov.iov_len,
            .iov = &iov,
            .iov_count = 1,
        };
        uint64_t mask = file->alignment - 1;

        result = ((piece.window + piece.offset) | piece.length) & mask
                     ? bounce(file, &piece, true)
                     : transfer(file, &piece, true);
        done += piece.length;
    }
    free(zeroes);
    return result;
}

/* By the host's own means. 0 or errno. */
static int zeroes_by_host(struct block_file *file, const struct block_request *request)
{
    uint64_t offset = request->window + request->offset;
    uint64_t range[2] = {offset, request->length};
    int problem = EOPNOTSUPP;

    if (file->is_device) {
        return ioctl(file->fd, BLKZEROOUT, range) < 0 ? errno : 0;
    }
    if (request->may_unmap && fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                        (off_t)offset, (off_t)request->length) == 0) {
        return 0;
    }
    if (!__atomic_load_n(&file->no_zero_range, __ATOMIC_RELAXED)) {
        problem = fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                            (off_t)request->length) < 0
                      ? errno
                      : 0;
        if (is_lacking(problem)) {
            __atomic_store_n(&file->no_zero_range, true, __ATOMIC_RELAXED);
        }
    }
    return problem;
}

static int write_zeroes(struct block_file *file, const struct block_request *request)
{
    int problem = zeroes_by_host(file, request);

    return is_lacking(problem) ? zeroes_by_writing(file, request) : -problem;
}

int block_file_execute(struct block_backend *backend, struct block_request *request)
{
    struct block_file *file = block_file_of(backend);
    bool is_write = request->operation == BLOCK_WRITE;

    switch (request->operation) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        if (!BLOCK_ALWAYS_BOUNCE && block_file_is_aligned(backend, request) &&
            request->progress % file->alignment == 0) {
            return transfer(file, request, is_write);
        }
        return bounce(file, request, is_write);
    case BLOCK_FLUSH:
        return flush(backend);
    case BLOCK_DISCARD:
        return discard(file, request);
    case BLOCK_WRITE_ZEROES:
        return write_zeroes(file, request);
    }
    return -EINVAL;
}
