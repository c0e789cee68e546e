/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/ram-block.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct ram_block *block_new(void *host, uint64_t size, int fd)
{
    struct ram_block *block = g_new0(struct ram_block, 1);

    block->host = host;
    block->size = size;
    block->fd = fd;
    block->references = 1;
    return block;
}

#define HUGE_PAGE ((uint64_t)2 << 20)

/* Large memory begins where a huge page can. fd: -1 for private memory. MAP_FAILED and errno on
 * failure. */
static void *map_aligned(uint64_t size, int fd)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
    uint8_t *room, *start;

    if (size < HUGE_PAGE || size > UINT64_MAX - HUGE_PAGE) {
        return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    }
    room =
        mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return MAP_FAILED;
    }
    start = (uint8_t *)(((uintptr_t)room + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (start > room) {
        munmap(room, (size_t)(start - room));
    }
    munmap(start + size, HUGE_PAGE - (size_t)(start - room));
    if (mmap(start, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
        int failed_with = errno;

        munmap(start, size);
        errno = failed_with;
        return MAP_FAILED;
    }
    return start;
}

/* size in whole host pages; 0 and an error if that is not possible. */
static uint64_t round_size(const char *name, uint64_t size, GError **error)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t rounded = (size + page - 1) & ~(page - 1);

    if (size == 0 || rounded < size || rounded > G_MAXINT64) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "memory '%s': a size of %" G_GUINT64_FORMAT " bytes is not possible", name,
                   size);
        return 0;
    }
    return rounded;
}

static struct ram_block *map_block(const char *name, uint64_t size, int fd, GError **error)
{
    void *host = map_aligned(size, fd);

    if (host == MAP_FAILED) {
        duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                   "memory '%s': cannot map %" G_GUINT64_FORMAT " bytes: %s (ask for less)", name,
                   size, g_strerror(errno));
        return NULL;
    }
    return block_new(host, size, fd);
}

struct ram_block *ram_block_new(const char *name, uint64_t size, GError **error)
{
    uint64_t rounded = round_size(name, size, error);
    struct ram_block *block;
    int fd;

    if (!rounded) {
        return NULL;
    }
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "memory '%s': cannot create a memory file: %s", name,
                   g_strerror(errno));
        return NULL;
    }
    /* The size stays, whoever is given the file: an access to what is cut off would be a SIGBUS. */
    if (ftruncate(fd, (off_t)rounded) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                   "memory '%s': the host refuses %" G_GUINT64_FORMAT " bytes: %s", name, rounded,
                   g_strerror(errno));
        close(fd);
        return NULL;
    }
    block = map_block(name, rounded, fd, error);
    if (!block) {
        close(fd);
        return NULL;
    }
    (void)madvise(block->host, block->size, MADV_HUGEPAGE); /* where the host does that for files */
    return block;
}

struct ram_block *ram_block_new_private(const char *name, uint64_t size, GError **error)
{
    uint64_t rounded = round_size(name, size, error);
    struct ram_block *block = rounded ? map_block(name, rounded, -1, error) : NULL;

    if (block) {
        (void)madvise(block->host, block->size, MADV_HUGEPAGE); /* or small ones */
    }
    return block;
}

struct ram_block *ram_block_new_foreign(void *host, uint64_t size)
{
    struct ram_block *block = block_new(host, size, -1);

    block->is_foreign = true;
    return block;
}

struct ram_block *ram_block_new_windowed(uint64_t size, const struct ram_windows *windows,
                                         void *opaque)
{
    struct ram_block *block = ram_block_new_foreign(NULL, size);

    block->windows = windows;
    block->windows_opaque = opaque;
    return block;
}

void ram_block_ref(struct ram_block *block)
{
    g_atomic_int_inc(&block->references);
}

static void block_free(struct rcu_head *head)
{
    struct ram_block *block = caa_container_of(head, struct ram_block, rcu);

    memory_rcu_deferred_begin();
    if (!block->is_foreign) {
        munmap(block->host, block->size);
    }
    if (block->fd >= 0) {
        close(block->fd);
    }
    for (unsigned client = 0; client < DIRTY_CLIENT_COUNT; client++) {
        g_free(block->dirty_bitmap[client]);
    }
    g_free(block);
}

void ram_block_unref(struct ram_block *block)
{
    if (block && g_atomic_int_dec_and_test(&block->references)) {
        memory_rcu_defer(&block->rcu, block_free);
    }
}

static bool discard(struct ram_block *block, uint64_t start, uint64_t length)
{
    return block->fd < 0 ? madvise(block->host + start, length, MADV_DONTNEED) == 0
                         : fallocate(block->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     (off_t)start, (off_t)length) == 0;
}

void ram_block_discard(struct ram_block *block, uint64_t offset, uint64_t length)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start, end;

    if (block->is_foreign || offset >= block->size) {
        return;
    }
    start = (offset + page - 1) & ~(page - 1);
    end = (offset + MIN(length, block->size - offset)) & ~(page - 1);
    if (start < end && discard(block, start, end - start)) {
        ram_block_set_dirty(block, start, end - start);
    }
}
