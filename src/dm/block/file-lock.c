/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks that keep two machines from writing one image. Who uses an image holds shared locks (of the
 * open file description) on single bytes of it: byte 100 + n says "I use permission n", byte
 * 200 + n says "nobody else may use permission n". Having set its own, each looks for a lock of
 * others that contradicts. The bytes are those of QEMU's image locking, so that its tools and
 * duodm respect one another: n = 0 reading what is consistent, n = 1 writing.
 */
#include "dm/block/file.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define USE_BASE    100
#define REFUSE_BASE 200

#define PATIENCE_NS    1000000000 /* for the locks of a process that has just ended */
#define PATIENCE_STEPS 50

#define PERMISSION_READ  0
#define PERMISSION_WRITE 1

static int set_lock(int fd, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? errno : 0;
}

/* Does somebody else hold a lock on the byte? */
static bool is_locked(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool fail_lock(const struct block_backend *backend, int problem, GError **error)
{
    return duodm_fail(error, DUODM_ERROR_IO,
                      "image '%s' can't be locked: %s (locking=off goes without, at the risk that "
                      "two machines write one image)",
                      backend->options.filename, g_strerror(problem));
}

/* File systems without locks: told apart from a lock that another holds. */
static bool is_unsupported(int problem)
{
    return problem == EINVAL || problem == ENOLCK || problem == ENOSYS || problem == EOPNOTSUPP;
}

/* How the user knows what has this protocol in the end. Caller frees. */
static char *describe(struct block_backend *protocol)
{
    const GPtrArray *all = protocol->registry->backends;
    struct block_backend *named = protocol;

    for (unsigned i = 0; i < all->len; i++) {
        struct block_backend *other = g_ptr_array_index(all, i);

        if (block_protocol(other) == protocol && (other->option || *other->device_name)) {
            named = other;
        }
    }
    return g_strdup_printf("%s%s%s '%s'", named->option ? named->option : "",
                           named->option ? ", " : "", *named->device_name ? "drive" : "node",
                           *named->device_name ? named->device_name : named->node_name);
}

/* Another way of this machine's to the same file? */
static bool is_same_file(const struct block_backend *one, const struct block_backend *other)
{
    struct stat a, b;

    if (one == other || one->driver->lock != other->driver->lock ||
        fstat(block_file_of(one)->fd, &a) < 0 || fstat(block_file_of(other)->fd, &b) < 0) {
        return false;
    }
    return S_ISBLK(a.st_mode) ? S_ISBLK(b.st_mode) && a.st_rdev == b.st_rdev
                              : a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool uses_locks(const struct block_backend *backend)
{
    return backend->options.locking != BLOCK_OFF && !backend->options.force_share;
}

/* The kernel does not tell whose a lock is. */
static bool check_own(struct block_backend *backend, bool write, bool share, GError **error)
{
    const GPtrArray *all = backend->registry->backends;

    for (unsigned i = 0; i < all->len; i++) {
        struct block_backend *other = g_ptr_array_index(all, i);

        if (other->lock_count && uses_locks(other) &&
            ((write && !other->lock_shared) || (other->locked_for_write && !share)) &&
            is_same_file(backend, other)) {
            g_autofree char *first = describe(other), *second = describe(backend);

            return duodm_fail(error, DUODM_ERROR_BUSY,
                              "image '%s' is given twice, by %s and by %s, and one of them writes: "
                              "give one another image (share-rw=on on both devices is for guests "
                              "that coordinate their writes)",
                              backend->options.filename, first, second);
        }
    }
    return true;
}

static bool check_others(const struct block_backend *backend, bool write, bool share,
                         GError **error)
{
    int fd = block_file_of(backend)->fd;
    const char *name = backend->options.filename;

    if (is_locked(fd, REFUSE_BASE + PERMISSION_READ) ||
        (write && is_locked(fd, REFUSE_BASE + PERMISSION_WRITE))) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "image '%s' is in use by another process, which does not share it for "
                          "writing: end that first, or open it with read-only=on (share-rw=on on "
                          "both sides is for guests that coordinate their writes)",
                          name);
    }
    if (!share && is_locked(fd, USE_BASE + PERMISSION_WRITE)) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "image '%s' is being written by another process: end that first (to "
                          "read it all the same: read-only=on,force-share=on)",
                          name);
    }
    return true;
}

/*
 * The kernel ends the io_uring of a process that was killed some time after the process, and until
 * then its writes may still be under way, and its locks are held: so have patience.
 */
static bool await_others(const struct block_backend *backend, bool write, bool share,
                         GError **error)
{
    const struct timespec pause = {.tv_nsec = PATIENCE_NS / PATIENCE_STEPS};

    for (unsigned step = 0; step < PATIENCE_STEPS; step++) {
        if (check_others(backend, write, share, NULL)) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return check_others(backend, write, share, error);
}

bool block_file_lock(struct block_backend *backend, bool write, bool share, GError **error)
{
    const struct block_options *options = &backend->options;
    int fd = block_file_of(backend)->fd;
    int problem;

    if (!uses_locks(backend)) {
        return true;
    }
    if (!check_own(backend, write, share, error)) {
        return false;
    }
    problem = set_lock(fd, F_RDLCK, USE_BASE + PERMISSION_READ);
    if (!problem && write) {
        problem = set_lock(fd, F_RDLCK, USE_BASE + PERMISSION_WRITE);
    }
    if (!problem && !share) {
        problem = set_lock(fd, F_RDLCK, REFUSE_BASE + PERMISSION_WRITE);
    }
    if (problem && is_unsupported(problem) && options->locking == BLOCK_AUTO) {
        block_file_unlock(backend);
        return true;
    }
    if (problem ? fail_lock(backend, problem, error) : await_others(backend, write, share, error)) {
        return true;
    }
    block_file_unlock(backend);
    return false;
}

void block_file_unlock(struct block_backend *backend)
{
    int fd = block_file_of(backend)->fd;

    /* Failing to let go of a lock that is not held is no failure. */
    set_lock(fd, F_UNLCK, USE_BASE + PERMISSION_READ);
    set_lock(fd, F_UNLCK, USE_BASE + PERMISSION_WRITE);
    set_lock(fd, F_UNLCK, REFUSE_BASE + PERMISSION_WRITE);
}
