/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drivers "file" and "host_device": opening, sizes. */
#include "dm/block/file.h"
#include "dm/fd-set.h"
#include "dm/machine.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT_MAX 4096u /* bytes; what memory and offsets are tried with for O_DIRECT */

static int open_flags(const struct block_options *options, bool read_only)
{
    return (read_only ? O_RDONLY : O_RDWR) | (options->direct ? O_DIRECT : 0) | O_CLOEXEC |
           O_NOCTTY;
}

static bool fail_open(const struct block_options *options, int error_number, GError **error)
{
    const char *advice = "";

    if (error_number == EINVAL && options->direct) {
        advice = ": its file system can't go past the page cache (O_DIRECT): leave out cache=none "
                 "(cache.direct)";
    } else if ((error_number == EACCES || error_number == EROFS) && !options->read_only) {
        advice = ": it can't be written; if reading is enough, add read-only=on";
    }
    return duodm_fail(error, DUODM_ERROR_IO, "image '%s' can't be opened: %s%s", options->filename,
                      g_strerror(error_number), advice);
}

static const struct fd_registry *fds_of(const struct block_backend *backend)
{
    const struct machine *machine = backend->registry->machine;

    return machine ? machine->fds : NULL;
}

static bool check_kind(const struct block_backend *backend, mode_t mode, GError **error)
{
    const char *name = backend->options.filename;

    if (S_ISDIR(mode)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "image '%s' is a directory", name);
    }
    if (backend->driver == &block_driver_host_device && !S_ISBLK(mode)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is no block device: use driver=file", name);
    }
    return S_ISREG(mode) || S_ISBLK(mode) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "'%s' is neither a file nor a block device", name);
}

static bool open_image(struct block_backend *backend, int *fd, GError **error)
{
    const struct block_options *options = &backend->options;
    struct stat info;
    int problem;

    /* Before it is opened: that of a FIFO may wait for ever. */
    if (stat(options->filename, &info) == 0 && !check_kind(backend, info.st_mode, error)) {
        return false;
    }
    backend->read_only = options->read_only;
    *fd = fd_registry_open(fds_of(backend), options->filename,
                           open_flags(options, options->read_only), 0);
    if (*fd >= 0) {
        return true;
    }
    problem = errno;
    if (options->auto_read_only && !options->read_only &&
        (problem == EACCES || problem == EROFS || problem == EPERM)) {
        backend->read_only = true;
        *fd = fd_registry_open(fds_of(backend), options->filename, open_flags(options, true), 0);
    }
    return *fd >= 0 || fail_open(options, problem, error);
}

/* The alignment of O_DIRECT is not told by all kernels: try. */
static bool find_alignment(struct block_file *file, const char *name, GError **error)
{
    void *memory = NULL;
    uint32_t alignment = BLOCK_SECTOR;

    if (file->is_device) {
        int sector = 0;

        if (ioctl(file->fd, BLKSSZGET, &sector) == 0 && sector > 0) {
            file->alignment = (uint32_t)sector;
            return true;
        }
    }
    if (posix_memalign(&memory, ALIGNMENT_MAX, ALIGNMENT_MAX) != 0) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no memory to open image '%s'", name);
    }
    while (alignment <= ALIGNMENT_MAX && pread(file->fd, memory, alignment, 0) < 0) {
        alignment *= 2;
    }
    free(memory);
    file->alignment = alignment;
    return alignment <= ALIGNMENT_MAX ||
           duodm_fail(error, DUODM_ERROR_IO,
                      "image '%s' can't be read past the page cache: leave out cache=none "
                      "(cache.direct)",
                      name);
}

static bool find_size(struct block_file *file, const struct stat *info, uint64_t *size)
{
    if (file->is_device) {
        return ioctl(file->fd, BLKGETSIZE64, size) == 0;
    }
    /* The last sector may be there in part: the rest of it reads as zeroes. */
    *size = ((uint64_t)info->st_size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
    return true;
}

static bool set_up(struct block_backend *backend, struct block_file *file, GError **error)
{
    const char *name = backend->options.filename;
    struct stat info;

    if (fstat(file->fd, &info) < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "image '%s': %s", name, g_strerror(errno));
    }
    if (!check_kind(backend, info.st_mode, error)) {
        return false;
    }
    file->is_device = S_ISBLK(info.st_mode);
    file->alignment = 1;
    if (backend->options.direct && !find_alignment(file, name, error)) {
        return false;
    }
    if (!find_size(file, &info, &backend->size)) {
        return duodm_fail(error, DUODM_ERROR_IO, "the size of '%s' can't be found: %s", name,
                          g_strerror(errno));
    }
    return true;
}

static bool file_open(struct block_backend *backend, GError **error)
{
    struct block_file *file = g_new0(struct block_file, 1);

    pthread_mutex_init(&file->edge_lock, NULL);
    backend->driver_data = file;
    if (!open_image(backend, &file->fd, error)) {
        goto fail;
    }
    if (!set_up(backend, file, error)) {
        close(file->fd);
        goto fail;
    }
    backend->uring_fd = file->fd;
    backend->native_fua = true;
    backend->limits.can_discard = backend->options.discard;
    return true;

fail:
    pthread_mutex_destroy(&file->edge_lock);
    g_free(file);
    backend->driver_data = NULL;
    return false;
}

static void file_close(struct block_backend *backend)
{
    struct block_file *file = block_file_of(backend);

    close(file->fd);
    pthread_mutex_destroy(&file->edge_lock);
    g_free(file);
}

static bool file_resize(struct block_backend *backend, uint64_t size, GError **error)
{
    struct block_file *file = block_file_of(backend);
    uint64_t real = 0;

    if (file->is_device) {
        if (ioctl(file->fd, BLKGETSIZE64, &real) < 0 || real < size) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "block device '%s' has %" PRIu64 " bytes: grow it first",
                              backend->options.filename, real);
        }
        return true;
    }
    if (size > INT64_MAX || ftruncate(file->fd, (off_t)size) < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "image '%s' can't be made %" PRIu64 " bytes: %s",
                          backend->options.filename, size,
                          size > INT64_MAX ? "too large" : g_strerror(errno));
    }
    return true;
}

static int64_t file_allocated(struct block_backend *backend)
{
    struct stat info;

    return fstat(block_file_of(backend)->fd, &info) < 0 ? -1 : (int64_t)info.st_blocks * 512;
}

int block_file_flush_error(const struct block_backend *backend)
{
    return __atomic_load_n(&block_file_of(backend)->flush_error, __ATOMIC_RELAXED);
}

void block_file_note_flush_error(struct block_backend *backend, int error_number)
{
    /* Past the page cache there are no pages to forget. */
    if (!backend->options.direct) {
        __atomic_store_n(&block_file_of(backend)->flush_error, error_number, __ATOMIC_RELAXED);
    }
}

const struct block_driver block_driver_file = {
    .name = "file",
    .is_protocol = true,
    .open = file_open,
    .close = file_close,
    .execute = block_file_execute,
    .lock = block_file_lock,
    .unlock = block_file_unlock,
    .resize = file_resize,
    .allocated = file_allocated,
};

const struct block_driver block_driver_host_device = {
    .name = "host_device",
    .is_protocol = true,
    .open = file_open,
    .close = file_close,
    .execute = block_file_execute,
    .lock = block_file_lock,
    .unlock = block_file_unlock,
    .resize = file_resize,
    .allocated = file_allocated,
};
