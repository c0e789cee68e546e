/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Driver "raw": a file or server as it is, or a window of it. */
#include "dm/block/block-private.h"
#include "util/error.h"

#include <stdlib.h>
#include <inttypes.h>
#include <unistd.h>

#define HEADER_SIZE 4096u /* bytes looked at; suits O_DIRECT */

/* Signatures of formats that are not raw, from their specifications. */
static const struct {
    const char *format, *bytes;
    unsigned length, offset;
} signatures[] = {
    {"qcow2", "QFI\xfb", 4, 0},     {"qed", "QED\0", 4, 0},
    {"vmdk", "KDMV", 4, 0},         {"vmdk", "COWD", 4, 0},
    {"vhdx", "vhdxfile", 8, 0},     {"vpc", "conectix", 8, 0},
    {"luks", "LUKS\xba\xbe", 6, 0}, {"vdi", "\x7f\x10\xda\xbe", 4, 0x40},
};

/* -drive without format=: raw, but not where the guest would see another format's insides. */
static bool check_guess(const struct block_backend *child, GError **error)
{
    void *header = NULL;
    ssize_t length;
    const char *format = NULL;

    if (child->uring_fd < 0 || posix_memalign(&header, HEADER_SIZE, HEADER_SIZE) != 0) {
        return true;
    }
    length = pread(child->uring_fd, header, HEADER_SIZE, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(signatures); i++) {
        if (length >= (ssize_t)signatures[i].offset + (ssize_t)signatures[i].length &&
            memcmp((char *)header + signatures[i].offset, signatures[i].bytes,
                   signatures[i].length) == 0) {
            format = signatures[i].format;
        }
    }
    free(header);
    return !format ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "image '%s' looks like format %s, which duodm does not read by itself: serve "
                      "it with 'qemu-nbd --persistent --format=%s --socket=/run/disk.sock IMAGE' "
                      "and give file=nbd:unix:/run/disk.sock; if the guest is to see the file as "
                      "it is, say format=raw",
                      child->options.filename, format, format);
}

static bool raw_open(struct block_backend *backend, GError **error)
{
    struct block_backend *child = backend->child;
    struct block_options *options = &backend->options;
    uint64_t rest;

    if (options->format_guessed && !check_guess(child, error)) {
        return false;
    }
    if (options->offset > child->size ||
        (options->size_given && options->size > child->size - options->offset)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "offset and size reach past the %" PRIu64 " bytes of '%s'", child->size,
                          child->node_name);
    }
    rest = child->size - options->offset;
    backend->size = options->size_given ? options->size : rest;
    backend->window = child->window + options->offset;
    backend->read_only = options->read_only || child->read_only;
    backend->native_fua = child->native_fua;
    backend->limits = child->limits;
    /* Both have to allow what loses data, and either can ask for what keeps it. */
    backend->limits.can_discard = child->limits.can_discard && options->discard;
    options->no_flush |= child->options.no_flush;
    options->write_through |= child->options.write_through;
    return true;
}

static bool raw_resize(struct block_backend *backend, uint64_t size, GError **error)
{
    struct block_backend *child = backend->child;

    if (backend->options.size_given) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "'%s' is a window of fixed size: size= was given", backend->node_name);
    }
    if (!child->driver->resize) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "an image of driver '%s' can't be resized", child->driver->name);
    }
    if (size > UINT64_MAX - backend->window) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%" PRIu64 " bytes are too many",
                          size);
    }
    if (!child->driver->resize(child, backend->window + size, error)) {
        return false;
    }
    __atomic_store_n(&child->size, backend->window + size, __ATOMIC_RELAXED);
    return true;
}

const struct block_driver block_driver_raw = {
    .name = "raw",
    .open = raw_open,
    .resize = raw_resize,
};
