/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/dma-backend.h"
#include "util/error.h"
#include "util/hot-path.h"

#include <inttypes.h>

void dma_backend_init(struct dma_backend *backend, const struct dma_backend_ops *ops,
                      const char *name)
{
    *backend =
        (struct dma_backend){.ops = ops, .name = name, .page_sizes = 4096, .entries_advice = ""};
    backend->windows = g_array_new(false, false, sizeof(struct range));
}

void dma_backend_clear(struct dma_backend *backend)
{
    g_clear_pointer(&backend->windows, g_array_unref);
}

static bool is_in_a_window(const struct dma_backend *backend, struct range range)
{
    for (unsigned i = 0; i < backend->windows->len; i++) {
        if (range_contains_range(g_array_index(backend->windows, struct range, i), range)) {
            return true;
        }
    }
    return backend->windows->len == 0;
}

HOT_PATH static bool check(const struct dma_backend *backend, const struct dma_mapping *mapping,
                           GError **error)
{
    uint64_t mask = dma_backend_page_size(backend) - 1;

    if ((mapping->iova | mapping->length | (uintptr_t)mapping->host) & mask) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%s: 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64
                          " are not whole host pages of 0x%" PRIx64 " bytes",
                          backend->name, mapping->length, mapping->iova, mask + 1);
    }
    if (!is_in_a_window(backend, (struct range){mapping->iova, mapping->length})) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%s: the host's IOMMU can't map 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64,
                          backend->name, mapping->length, mapping->iova);
    }
    if (backend->entries_limit && backend->entries >= backend->entries_limit) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "%s: no entry left to map IOVA 0x%" PRIx64 ": the host allows %" PRIu64
                          " (raise dma_entry_limit of module vfio_iommu_type1, or give the guest "
                          "large pages)",
                          backend->name, mapping->iova, backend->entries_limit);
    }
    return true;
}

HOT_PATH bool dma_backend_map(struct dma_backend *backend, const struct dma_mapping *mapping,
                              GError **error)
{
    if (!check(backend, mapping, error) || !backend->ops->map(backend, mapping, error)) {
        return false;
    }
    backend->entries++;
    return true;
}

HOT_PATH bool dma_backend_unmap(struct dma_backend *backend, struct range range, uint64_t entries,
                                GError **error)
{
    if (!backend->ops->unmap(backend, range, error)) {
        return false;
    }
    backend->entries -= entries;
    return true;
}
