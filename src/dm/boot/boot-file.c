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

GBytes *boot_file_read(const char *role, const char *path, uint64_t limit, const char *limit_reason,
                       GError **error)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    struct stat status;
    uint64_t hint = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is opened without a wait */
    bool ok;

    if (fd < 0) {
        fail_with_errno(error, role, path);
        return NULL;
    }
    limit = MIN(limit, (uint64_t)G_MAXUINT - READ_STEP); /* what a GByteArray can hold */
    if (fstat(fd, &status) < 0) {
        fail_with_errno(error, role, path);
        close(fd);
        return NULL;
    }
    if (S_ISDIR(status.st_mode)) {
        close(fd);
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "cannot read %s '%s': it is a directory, a file is needed", role, path);
        return NULL;
    }
    /* What may block would do so before the process listens to signals. */
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        close(fd);
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "cannot read %s '%s': it is a pipe, a socket or a device, a file is needed",
                   role, path);
        return NULL;
    }
    if (S_ISREG(status.st_mode)) {
        hint = (uint64_t)status.st_size;
        if (hint > limit) {
            close(fd);
            fail_too_large(error, role, path, hint, limit, limit_reason);
            return NULL;
        }
    }
    ok = read_all(fd, hint, limit, data);
    if (!ok) {
        fail_with_errno(error, role, path);
    }
    close(fd);
    if (!ok) {
        return NULL;
    }
    if (data->len == 0) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s '%s' is empty", role, path);
        return NULL;
    }
    if (data->len > limit) {
        fail_too_large(error, role, path, data->len, limit, limit_reason);
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&data));
}
