/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Driver "null-co": takes all, keeps nothing. For measuring what is above it. */
#include "dm/block/block-private.h"

#include <time.h>

#define DEFAULT_SIZE (1ull << 30) /* bytes */

static bool null_open(struct block_backend *backend, GError **error)
{
    const struct block_options *options = &backend->options;

    backend->read_only = options->read_only;
    backend->size = options->size_given ? options->size : DEFAULT_SIZE;
    backend->native_fua = true;
    backend->limits.can_discard = options->discard;
    return true;
}

static void wait_latency(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};

    while (ns && nanosleep(&left, &left) < 0) {
    }
}

static int null_execute(struct block_backend *backend, struct block_request *request)
{
    const struct block_options *options = &backend->options;

    wait_latency(options->latency_ns);
    if (request->operation == BLOCK_READ && options->read_zeroes) {
        block_iov_zero(request, 0);
    }
    return 0;
}

static bool null_resize(struct block_backend *backend, uint64_t size, GError **error)
{
    return true;
}

const struct block_driver block_driver_null = {
    .name = "null-co",
    .is_protocol = true,
    .open = null_open,
    .execute = null_execute,
    .resize = null_resize,
};
