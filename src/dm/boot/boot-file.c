/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/boot/boot-file.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_STEP (1u << 20)

static bool fail_with_errno(GError **error, const char *role, const char *path)
{
    return duodm_fail(error, DUODM_ERROR_IO, "cannot read %s '%s': %s", role, path,
                      g_strerror(errno));
}

static bool fail_too_large(GError **error, const char *role, const char *path, uint64_t size,
                           uint64_t limit, const char *limit_reason)
{
    if (limit_reason) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%s '%s' is too large: %" PRIu64 " bytes or more, %s is %" PRIu64, role,
                          path, size, limit_reason, limit);
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "%s '%s' (%" PRIu64 " bytes or more) is larger than the machine's RAM of "
                      "%" PRIu64 " bytes: give it more with -m",
                      role, path, size, limit);
}

/* Read up to limit + 1 bytes, so that the caller sees that there is more. */
static bool read_all(int fd, uint64_t size_hint, uint64_t limit, GByteArray *out)
{
    if (size_hint) {
        g_byte_array_set_size(out, (guint)size_hint);
        g_byte_array_set_size(out, 0);
    }
    for (;;) {
        guint have = out->len;
        guint step = (guint)MIN((uint64_t)READ_STEP, limit + 1 - have);
        ssize_t n;

        if (step == 0) {
            return true;
        }
        g_byte_array_set_size(out, have + step);
        n = read(fd, out->data + have, step);
        g_byte_array_set_size(out, have + (n > 0 ? (guint)n : 0));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0;
        }
    }
}

struct boot_file {
    int fd;
    uint64_t size;
    gint references; /* atomic */
};

static bool check_kind(const struct stat *status, const char *role, const char *path,
                       GError **error)
{
    if (S_ISDIR(status->st_mode)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "cannot read %s '%s': it is a directory, a file is needed", role, path);
    }
    /* What may block would do so before the process listens to signals. */
    return S_ISREG(status->st_mode) || S_ISBLK(status->st_mode) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "cannot read %s '%s': it is a pipe, a socket or a device, a file is needed",
                      role, path);
}

/* An open file that can be read without waiting; -1: none. */
static int open_checked(const char *role, const char *path, struct stat *status, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is opened without a wait */

    if (fd < 0 || fstat(fd, status) < 0) {
        fail_with_errno(error, role, path);
    } else if (check_kind(status, role, path, error)) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static bool check_size(uint64_t size, const char *role, const char *path, uint64_t limit,
                       const char *limit_reason, GError **error)
{
    if (size > limit) {
        return fail_too_large(error, role, path, size, limit, limit_reason);
    }
    return size || duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s '%s' is empty", role, path);
}

GBytes *boot_file_read(const char *role, const char *path, uint64_t limit, const char *limit_reason,
                       GError **error)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    struct stat status;
    uint64_t hint;
    int fd = open_checked(role, path, &status, error);
    bool ok;

    if (fd < 0) {
        return NULL;
    }
    limit = MIN(limit, (uint64_t)G_MAXUINT - READ_STEP); /* what a GByteArray can hold */
    hint = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    if (hint > limit) {
        close(fd);
        fail_too_large(error, role, path, hint, limit, limit_reason);
        return NULL;
    }
    ok = read_all(fd, hint, limit, data);
    if (!ok) {
        fail_with_errno(error, role, path);
    }
    close(fd);
    if (!ok || !check_size(data->len, role, path, limit, limit_reason, error)) {
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&data));
}

struct boot_file *boot_file_open(const char *role, const char *path, uint64_t limit,
                                 const char *limit_reason, GError **error)
{
    struct boot_file *file;
    struct stat status;
    int fd = open_checked(role, path, &status, error);
    off_t end;

    if (fd < 0) {
        return NULL;
    }
    end = lseek(fd, 0, SEEK_END); /* of block devices too */
    if (end < 0) {
        fail_with_errno(error, role, path);
    }
    if (end < 0 || !check_size((uint64_t)end, role, path, limit, limit_reason, error)) {
        close(fd);
        return NULL;
    }
    file = g_new0(struct boot_file, 1);
    *file = (struct boot_file){fd, (uint64_t)end, 1};
    return file;
}

struct boot_file *boot_file_ref(struct boot_file *file)
{
    g_atomic_int_inc(&file->references);
    return file;
}

void boot_file_unref(struct boot_file *file)
{
    if (file && g_atomic_int_dec_and_test(&file->references)) {
        close(file->fd);
        g_free(file);
    }
}

uint64_t boot_file_size(const struct boot_file *file)
{
    return file->size;
}

bool boot_file_copy(const struct boot_file *file, uint64_t offset, void *to, uint64_t length)
{
    uint8_t *at = to;

    while (length) {
        ssize_t n = pread(file->fd, at, MIN(length, (uint64_t)G_MAXINT32), (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        offset += (uint64_t)n;
        length -= (uint64_t)n;
    }
    return true;
}
