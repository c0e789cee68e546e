/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/user-dma.h"
#include "memory/host-access.h"
#include "memory/ram-windows.h"
#include "memory/region.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>

struct vfio_user_dma {
    struct dma_backend backend;
    struct vfio_user_connection *connection;
    bool direct;
    pthread_mutex_t lock; /* leaf: the server's messages look into mappings */
    GTree *mappings;      /* IOVA -> struct dma_mapping, as the server was told */
};

static int compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const iova_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool is_device(const struct dma_mapping *mapping)
{
    return mapping->region && mapping->region->kind == MEMORY_RAM_DEVICE;
}

/* The server's own messages. */

/* The mapping that has an IOVA, or NULL. Under the lock. */
static const struct dma_mapping *find(struct vfio_user_dma *dma, iova_t iova)
{
    GTreeNode *next = g_tree_upper_bound(dma->mappings, &iova);
    GTreeNode *node = next ? g_tree_node_previous(next) : g_tree_node_last(dma->mappings);
    const struct dma_mapping *mapping = node ? g_tree_node_value(node) : NULL;

    return mapping && iova - mapping->iova < mapping->length ? mapping : NULL;
}

/* Is all of it mapped, with that right? */
static bool is_allowed(struct vfio_user_dma *dma, const struct vfio_user_dma_access *access,
                       unsigned right)
{
    for (uint64_t done = 0; done < access->count;) {
        const struct dma_mapping *mapping = find(dma, access->address + done);

        if (!mapping || !(mapping->access & right)) {
            return false;
        }
        done += mapping->iova + mapping->length - (access->address + done);
    }
    return true;
}

/* A part of a transfer that lies in one mapping; false: there is no memory now. */
typedef bool (*piece_fn)(const struct dma_mapping *mapping, uint64_t offset, uint8_t *data,
                         uint64_t length);

static bool read_piece(const struct dma_mapping *mapping, uint64_t offset, uint8_t *data,
                       uint64_t length)
{
    if (!mapping->host) {
        return ram_windows_read(mapping->region, mapping->region_offset + offset, data, length);
    }
    host_read(data, (uint8_t *)mapping->host + offset, length, is_device(mapping));
    return true;
}

static bool write_piece(const struct dma_mapping *mapping, uint64_t offset, uint8_t *data,
                        uint64_t length)
{
    if (!mapping->host) {
        return ram_windows_write(mapping->region, mapping->region_offset + offset, data, length);
    }
    host_write((uint8_t *)mapping->host + offset, data, length, is_device(mapping));
    if (mapping->region) {
        memory_region_set_dirty(mapping->region, mapping->region_offset + offset, length);
    }
    return true;
}

/* All of it, or nothing: unless memory of another domain's goes away meanwhile. */
static int transfer(struct vfio_user_dma *dma, const struct vfio_user_dma_access *access,
                    unsigned right, piece_fn do_piece, uint8_t *data)
{
    bool ok;

    pthread_mutex_lock(&dma->lock);
    ok = is_allowed(dma, access, right);
    for (uint64_t done = 0, length; ok && done < access->count; done += length) {
        const struct dma_mapping *mapping = find(dma, access->address + done);
        uint64_t offset = access->address + done - mapping->iova;

        length = MIN(access->count - done, mapping->length - offset);
        ok = do_piece(mapping, offset, data + done, length);
    }
    pthread_mutex_unlock(&dma->lock);
    return ok ? 0 : EFAULT;
}

int vfio_user_dma_read(struct vfio_user_dma *dma, const struct vfio_user_dma_access *access,
                       void *data)
{
    return transfer(dma, access, IOMMU_READ, read_piece, data);
}

int vfio_user_dma_write(struct vfio_user_dma *dma, const struct vfio_user_dma_access *access,
                        const void *data)
{
    return transfer(dma, access, IOMMU_WRITE, write_piece, (uint8_t *)data);
}

/* The back end. */

static void keep(struct vfio_user_dma *dma, const struct dma_mapping *mapping)
{
    struct dma_mapping *kept = g_memdup2(mapping, sizeof(*mapping));

    pthread_mutex_lock(&dma->lock);
    g_tree_insert(dma->mappings, &kept->iova, kept);
    pthread_mutex_unlock(&dma->lock);
}

static void forget(struct vfio_user_dma *dma, iova_t iova)
{
    pthread_mutex_lock(&dma->lock);
    g_tree_remove(dma->mappings, &iova);
    pthread_mutex_unlock(&dma->lock);
}

static bool map(struct dma_backend *backend, const struct dma_mapping *mapping, GError **error)
{
    struct vfio_user_dma *dma = (struct vfio_user_dma *)backend;
    bool direct = dma->direct && mapping->fd >= 0;
    struct vfio_user_dma_map payload = {
        .argsz = sizeof(payload),
        .flags = (mapping->access & IOMMU_READ ? 1 : 0) | (mapping->access & IOMMU_WRITE ? 2 : 0),
        .offset = direct ? mapping->fd_offset : 0,
        .address = mapping->iova,
        .size = mapping->length,
    };
    struct vfio_user_request request = {
        .command = VFIO_USER_DMA_MAP,
        .payload = &payload,
        .payload_size = sizeof(payload),
        .fds = &mapping->fd,
        .fd_count = direct,
    };

    keep(dma, mapping); /* before: the server may use it at once */
    if (vfio_user_request(dma->connection, &request, error)) {
        return true;
    }
    forget(dma, mapping->iova);
    g_prefix_error(error, "mapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64 ": ", mapping->length,
                   mapping->iova);
    return false;
}

/* The first mapping that starts in the range, taken out of the server's reach by messages. */
static bool take_first(struct vfio_user_dma *dma, struct range range, struct range *taken)
{
    GTreeNode *node;
    const struct dma_mapping *mapping;

    pthread_mutex_lock(&dma->lock);
    node = g_tree_lower_bound(dma->mappings, &range.start);
    mapping = node ? g_tree_node_value(node) : NULL;
    if (mapping && !range_contains(range, mapping->iova)) {
        mapping = NULL;
    }
    if (mapping) {
        *taken = (struct range){mapping->iova, mapping->length};
        g_tree_remove(dma->mappings, &taken->start);
    }
    pthread_mutex_unlock(&dma->lock);
    return mapping != NULL;
}

/*
 * The answer says that the server has let go of the memory. A server that doesn't give it is
 * disconnected: that is the other way, and the last, to take its mappings back. Whoever unmaps
 * after that has nothing to do any more.
 */
static bool unmap_one(struct vfio_user_dma *dma, struct range range, GError **error)
{
    struct vfio_user_dma_unmap payload = {
        .argsz = sizeof(payload), .address = range.start, .size = range.length};
    struct vfio_user_dma_unmap reply;
    struct vfio_user_request request = {
        .command = VFIO_USER_DMA_UNMAP,
        .payload = &payload,
        .payload_size = sizeof(payload),
        .reply = &reply,
        .reply_room = sizeof(reply),
    };

    if (vfio_user_is_broken(dma->connection)) {
        return true;
    }
    if (!vfio_user_request(dma->connection, &request, error)) {
        return request.refusal
                   ? vfio_user_break(dma->connection, "it refuses to unmap memory", NULL)
                   : false;
    }
    /* Some say nothing of it. */
    if (request.reply_size && (request.reply_size < sizeof(reply) ||
                               reply.address != payload.address || reply.size != payload.size)) {
        return vfio_user_break(dma->connection, "it says that it unmapped other memory", error);
    }
    return true;
}

static bool unmap(struct dma_backend *backend, struct range range, GError **error)
{
    struct vfio_user_dma *dma = (struct vfio_user_dma *)backend;
    struct range one;
    bool ok = true;

    /* Go on after a failure: the connection has ended, and what it had with it. */
    while (take_first(dma, range, &one)) {
        ok &= unmap_one(dma, one, ok ? error : NULL);
    }
    if (!ok) {
        g_prefix_error(error, "unmapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64 ": ", range.length,
                       range.start);
    }
    return ok;
}

static const struct dma_backend_ops user_ops = {map, unmap};

/* Life. */

struct vfio_user_dma *vfio_user_dma_new(bool direct)
{
    struct vfio_user_dma *dma = g_new0(struct vfio_user_dma, 1);

    dma_backend_init(&dma->backend, &user_ops, "vfio-user");
    dma->direct = direct;
    dma->mappings = g_tree_new_full(compare, NULL, NULL, g_free);
    pthread_mutex_init(&dma->lock, NULL);
    return dma;
}

void vfio_user_dma_set_connection(struct vfio_user_dma *dma,
                                  struct vfio_user_connection *connection)
{
    const struct vfio_user_capabilities *can = vfio_user_capabilities(connection);

    dma->connection = connection;
    dma->backend.page_sizes = can->page_sizes;
    dma->backend.entries_limit = can->dma_maps;
}

void vfio_user_dma_free(struct vfio_user_dma *dma)
{
    if (dma) {
        g_tree_destroy(dma->mappings);
        pthread_mutex_destroy(&dma->lock);
        dma_backend_clear(&dma->backend);
        g_free(dma);
    }
}

struct dma_backend *vfio_user_dma_backend(struct vfio_user_dma *dma)
{
    return &dma->backend;
}
