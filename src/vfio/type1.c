/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/type1.h"
#include "util/error.h"
#include "util/hot-path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_ENTRIES                                                                            \
    65535 /* dma_entry_limit of vfio_iommu_type1, where the kernel does not tell */

struct group {
    unsigned number;
    int fd;
    unsigned devices; /* that are open */
};

struct type1_container {
    struct vfio_container container;
    int fd;
    GArray *groups; /* of struct group */
};

static struct type1_container *type1_of(const struct vfio_container *container)
{
    return (struct type1_container *)container;
}

static struct type1_container *type1_of_backend(struct dma_backend *backend)
{
    return (struct type1_container *)((char *)backend - offsetof(struct vfio_container, backend));
}

static bool fail_errno(GError **error, const char *what, const char *advice)
{
    int number = errno;

    return duodm_fail(error, DUODM_ERROR_IO, "%s: %s%s%s", what, g_strerror(number),
                      advice ? "; " : "", advice ? advice : "");
}

HOT_PATH static bool map(struct dma_backend *backend, const struct dma_mapping *mapping,
                         GError **error)
{
    struct type1_container *container = type1_of_backend(backend);
    struct vfio_iommu_type1_dma_map request = {
        .argsz = sizeof(request),
        .flags = (mapping->access & IOMMU_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
                 (mapping->access & IOMMU_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
        .vaddr = (uintptr_t)mapping->host,
        .iova = mapping->iova,
        .size = mapping->length,
    };

    if (ioctl(container->fd, VFIO_IOMMU_MAP_DMA, &request) == 0) {
        return true;
    }
    return duodm_fail(error,
                      errno == ENOSPC || errno == ENOMEM ? DUODM_ERROR_NO_MEMORY : DUODM_ERROR_IO,
                      "%s: mapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64 ": %s%s", backend->name,
                      mapping->length, mapping->iova, g_strerror(errno),
                      errno == ENOMEM   ? "; the limit of locked memory (ulimit -l) may be too low"
                      : errno == ENOSPC ? "; dma_entry_limit of module vfio_iommu_type1 is reached"
                                        : "");
}

HOT_PATH static bool unmap(struct dma_backend *backend, struct range range, GError **error)
{
    struct type1_container *container = type1_of_backend(backend);
    struct vfio_iommu_type1_dma_unmap request = {
        .argsz = sizeof(request),
        .iova = range.start,
        .size = range.length,
    };

    if (ioctl(container->fd, VFIO_IOMMU_UNMAP_DMA, &request) == 0) {
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_IO,
                      "%s: unmapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64 ": %s", backend->name,
                      range.length, range.start, g_strerror(errno));
}

static const struct dma_backend_ops type1_ops = {map, unmap};

/* Capabilities of VFIO_IOMMU_GET_INFO: a chain of offsets, checked as what comes from outside. */

static void take_windows(struct dma_backend *backend, const uint8_t *info, uint32_t size,
                         uint32_t offset)
{
    struct vfio_iommu_type1_info_cap_iova_range ranges;

    if (size - offset < sizeof(ranges)) {
        return;
    }
    memcpy(&ranges, info + offset, sizeof(ranges));
    offset += (uint32_t)sizeof(ranges);
    for (uint32_t i = 0; i < ranges.nr_iovas;
         i++, offset += (uint32_t)sizeof(struct vfio_iova_range)) {
        struct vfio_iova_range kernel;
        struct range window;

        if (size - offset < sizeof(kernel)) {
            return;
        }
        memcpy(&kernel, info + offset, sizeof(kernel));
        /* `end` is the last byte; {0, 2^64 - 1} has no length in 64 bits, and loses one. */
        window = (struct range){kernel.start, kernel.end - kernel.start +
                                                  (kernel.end - kernel.start != UINT64_MAX)};
        g_array_append_val(backend->windows, window);
    }
}

static void take_available(struct dma_backend *backend, const uint8_t *info, uint32_t size,
                           uint32_t offset)
{
    struct vfio_iommu_type1_info_dma_avail available;

    if (size - offset >= sizeof(available)) {
        memcpy(&available, info + offset, sizeof(available));
        backend->entries_limit = available.avail + backend->entries;
    }
}

static void take_capabilities(struct dma_backend *backend, const uint8_t *info, uint32_t size)
{
    struct vfio_info_cap_header header;
    uint32_t offset = ((const struct vfio_iommu_type1_info *)info)->cap_offset;

    for (unsigned i = 0; offset && i < 16 && offset <= size && size - offset >= sizeof(header);
         i++, offset = header.next) {
        memcpy(&header, info + offset, sizeof(header));
        if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
            take_windows(backend, info, size, offset);
        } else if (header.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
            take_available(backend, info, size, offset);
        }
    }
}

static bool read_limits(struct vfio_container *base, GError **error)
{
    struct vfio_iommu_type1_info short_info = {.argsz = sizeof(short_info)};
    struct type1_container *container = type1_of(base);
    struct dma_backend *backend = &base->backend;
    g_autofree struct vfio_iommu_type1_info *info = NULL;
    uint32_t size;

    if (ioctl(container->fd, VFIO_IOMMU_GET_INFO, &short_info) != 0) {
        return fail_errno(error, "VFIO_IOMMU_GET_INFO", NULL);
    }
    size = MAX(short_info.argsz, (uint32_t)sizeof(short_info));
    info = g_malloc0(size);
    info->argsz = size;
    if (ioctl(container->fd, VFIO_IOMMU_GET_INFO, info) != 0) {
        return fail_errno(error, "VFIO_IOMMU_GET_INFO", NULL);
    }
    backend->page_sizes = info->flags & VFIO_IOMMU_INFO_PGSIZES ? info->iova_pgsizes : 4096;
    backend->entries_limit = DEFAULT_ENTRIES;
    backend->entries_advice = "raise dma_entry_limit of module vfio_iommu_type1, or ";
    g_array_set_size(backend->windows, 0);
    if (info->flags & VFIO_IOMMU_INFO_CAPS) {
        take_capabilities(backend, (const uint8_t *)info, size);
    }
    return true;
}

/* Open a group's file and check that VFIO has all of its devices. */
static int open_group(unsigned number, GError **error)
{
    g_autofree char *path = g_strdup_printf("/dev/vfio/%u", number);
    struct vfio_group_status status = {.argsz = sizeof(status)};
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        fail_errno(error, path,
                   errno == EBUSY    ? "another program has a device of this IOMMU group"
                   : errno == EACCES ? "be allowed to read and write it"
                                     : "bind the device to vfio-pci first");
        return -1;
    }
    if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) != 0) {
        fail_errno(error, path, NULL);
        close(fd);
        return -1;
    }
    if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
        duodm_fail(error, DUODM_ERROR_BUSY,
                   "%s: not all devices of the IOMMU group are bound to vfio-pci (or to no driver)",
                   path);
        close(fd);
        return -1;
    }
    return fd;
}

/* Groups. */

static struct group *group_find(const struct type1_container *container, unsigned number)
{
    for (unsigned i = 0; i < container->groups->len; i++) {
        struct group *group = &g_array_index(container->groups, struct group, i);

        if (group->number == number) {
            return group;
        }
    }
    return NULL;
}

static void group_remove(struct type1_container *container, struct group *group)
{
    close(group->fd);
    g_array_remove_index(container->groups,
                         (guint)(group - (struct group *)(void *)container->groups->data));
}

/* The first group decides what IOMMU there is. */
static bool choose_driver(struct type1_container *container, GError **error)
{
    if (ioctl(container->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "/dev/vfio/vfio: this kernel has no type1v2 IOMMU driver: load "
                          "vfio_iommu_type1");
    }
    if (ioctl(container->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) {
        return fail_errno(error, "VFIO_SET_IOMMU",
                          errno == EPERM ? "without interrupt remapping, vfio_iommu_type1 needs "
                                           "allow_unsafe_interrupts=1"
                                         : NULL);
    }
    return true;
}

/* Take a group in; NULL and an error: nothing is changed. */
static struct group *add_group(struct type1_container *container, unsigned number, GError **error)
{
    struct group group = {.number = number, .fd = open_group(number, error)};
    bool is_first = container->groups->len == 0;

    if (group.fd < 0) {
        return NULL;
    }
    if (ioctl(group.fd, VFIO_GROUP_SET_CONTAINER, &container->fd) != 0) {
        fail_errno(error, "VFIO_GROUP_SET_CONTAINER",
                   "the group is in use, or its IOMMU can't share the container's mappings");
        close(group.fd);
        return NULL;
    }
    if (is_first && !choose_driver(container, error)) {
        close(group.fd);
        return NULL;
    }
    g_array_append_val(container->groups, group);
    return group_find(container, number);
}

/* Devices. */

static int add_device(struct vfio_container *base, const struct vfio_host_device *device,
                      GError **error)
{
    struct type1_container *container = type1_of(base);
    struct group *group = group_find(container, device->group);
    int fd;

    if (!group) {
        group = add_group(container, device->group, error);
    }
    if (!group) {
        return -1;
    }
    fd = ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, device->address);
    if (fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "device %s of VFIO group %u can't be opened: %s",
                   device->address, device->group, g_strerror(errno));
        if (group->devices == 0) {
            group_remove(container, group);
        }
        return -1;
    }
    group->devices++;
    return fd;
}

/* The kernel drops all mappings with the last group. */
static void remove_device(struct vfio_container *base, const struct vfio_host_device *device,
                          int descriptor)
{
    struct type1_container *container = type1_of(base);
    struct group *group = group_find(container, device->group);

    close(descriptor);
    if (--group->devices == 0) {
        group_remove(container, group);
    }
}

static int group_descriptor(const struct vfio_container *container, unsigned group)
{
    return group_find(type1_of(container), group)->fd;
}

static void container_free(struct vfio_container *base)
{
    struct type1_container *container = type1_of(base);

    g_array_unref(container->groups);
    close(container->fd);
    dma_backend_clear(&base->backend);
    g_free(container);
}

static const struct vfio_container_ops container_ops = {
    .add_device = add_device,
    .remove_device = remove_device,
    .read_limits = read_limits,
    .group_descriptor = group_descriptor,
    .free = container_free,
};

struct vfio_container *type1_container_new(GError **error)
{
    struct type1_container *container;
    int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        fail_errno(error, "/dev/vfio/vfio", "load the modules vfio-pci and vfio_iommu_type1");
        return NULL;
    }
    if (ioctl(fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "/dev/vfio/vfio: not the API of this VFIO");
        close(fd);
        return NULL;
    }
    container = g_new0(struct type1_container, 1);
    container->container.ops = &container_ops;
    dma_backend_init(&container->container.backend, &type1_ops, "vfio type1");
    container->fd = fd;
    container->groups = g_array_new(false, false, sizeof(struct group));
    return &container->container;
}
