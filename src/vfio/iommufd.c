/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/iommufd.h"
#include "util/error.h"
#include "vfio/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define RANGES_MAX 4096u /* IOVA ranges of one address space that are believed */

struct iommufd {
    int fd;
};

struct iommufd_container {
    struct vfio_container container;
    struct iommufd *iommufd;
    uint32_t ioas;
};

static struct iommufd_container *container_of(const struct vfio_container *container)
{
    return (struct iommufd_container *)container;
}

static struct iommufd_container *container_of_backend(struct dma_backend *backend)
{
    return container_of(
        (struct vfio_container *)((char *)backend - offsetof(struct vfio_container, backend)));
}

/* Mappings. */

static bool map(struct dma_backend *backend, const struct dma_mapping *mapping, GError **error)
{
    struct iommufd_container *container = container_of_backend(backend);
    struct abi_iommu_ioas_map request = {
        .size = sizeof(request),
        .flags = ABI_IOMMU_MAP_FIXED_IOVA |
                 (mapping->access & IOMMU_READ ? ABI_IOMMU_MAP_READABLE : 0) |
                 (mapping->access & IOMMU_WRITE ? ABI_IOMMU_MAP_WRITEABLE : 0),
        .ioas_id = container->ioas,
        .user_va = (uintptr_t)mapping->host,
        .length = mapping->length,
        .iova = mapping->iova,
    };

    if (ioctl(container->iommufd->fd, ABI_IOMMU_IOAS_MAP, &request) == 0) {
        return true;
    }
    return duodm_fail(error, errno == ENOMEM ? DUODM_ERROR_NO_MEMORY : DUODM_ERROR_IO,
                      "%s: mapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64 ": %s%s", backend->name,
                      mapping->length, mapping->iova, g_strerror(errno),
                      errno == ENOMEM ? "; the limit of locked memory (ulimit -l) may be too low"
                                      : "");
}

static bool unmap(struct dma_backend *backend, struct range range, GError **error)
{
    struct iommufd_container *container = container_of_backend(backend);
    struct abi_iommu_ioas_unmap request = {
        .size = sizeof(request),
        .ioas_id = container->ioas,
        .iova = range.start,
        .length = range.length,
    };

    if (ioctl(container->iommufd->fd, ABI_IOMMU_IOAS_UNMAP, &request) == 0) {
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_IO,
                      "%s: unmapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64 ": %s", backend->name,
                      range.length, range.start, g_strerror(errno));
}

static const struct dma_backend_ops iommufd_ops = {map, unmap};

/* What the devices that are attached leave of the IOVA space. */

static void take_range(struct dma_backend *backend, const struct abi_iommu_iova_range *kernel)
{
    /* `last` is inclusive; all 2^64 have no length in 64 bits, and lose one. */
    uint64_t span = kernel->last - kernel->start;
    struct range window = {kernel->start, span + (span != UINT64_MAX)};

    if (kernel->last >= kernel->start) {
        g_array_append_val(backend->windows, window);
    }
}

static bool read_limits(struct vfio_container *base, GError **error)
{
    struct iommufd_container *container = container_of(base);
    struct dma_backend *backend = &base->backend;
    g_autofree struct abi_iommu_iova_range *ranges = NULL;
    struct abi_iommu_ioas_iova_ranges request = {.size = sizeof(request),
                                                 .ioas_id = container->ioas};
    int fd = container->iommufd->fd;

    /* The first time there is no room, and the answer is how much is needed. */
    if (ioctl(fd, ABI_IOMMU_IOAS_IOVA_RANGES, &request) != 0 &&
        (errno != EMSGSIZE || request.num_iovas > RANGES_MAX)) {
        return duodm_fail(error, DUODM_ERROR_IO, "%s: IOMMU_IOAS_IOVA_RANGES: %s", backend->name,
                          g_strerror(errno));
    }
    ranges = g_new0(struct abi_iommu_iova_range, request.num_iovas);
    request.allowed_iovas = (uintptr_t)ranges;
    if (ioctl(fd, ABI_IOMMU_IOAS_IOVA_RANGES, &request) != 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "%s: IOMMU_IOAS_IOVA_RANGES: %s", backend->name,
                          g_strerror(errno));
    }
    g_array_set_size(backend->windows, 0);
    for (uint32_t i = 0; i < request.num_iovas; i++) {
        take_range(backend, &ranges[i]);
    }
    /* Host memory comes in whole pages, whatever the IOMMU could do. */
    backend->page_sizes =
        MAX(request.out_iova_alignment, (uint64_t)sysconf(_SC_PAGESIZE)) & INT64_MAX;
    return true;
}

/* Devices. */

/* /dev/vfio/devices/vfioN, by the folder vfio-dev of the device. */
static char *device_file(const struct vfio_host_device *device, GError **error)
{
    g_autofree char *folder = g_build_filename(device->folder, "vfio-dev", NULL);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name = dir ? g_dir_read_name(dir) : NULL;
    char *path = name ? g_build_filename("/dev/vfio/devices", name, NULL) : NULL;

    if (!path) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "device %s has no file of its own: this kernel is older than 6.6, or made "
                   "without CONFIG_VFIO_DEVICE_CDEV; leave iommufd= out",
                   device->address);
    }
    g_clear_pointer(&dir, g_dir_close);
    return path;
}

static int open_device(const struct vfio_host_device *device, GError **error)
{
    g_autofree char *path = device_file(device, error);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (path && fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "device %s: %s: %s%s", device->address, path,
                   g_strerror(errno),
                   errno == EBUSY    ? "; another program has a device of this IOMMU group"
                   : errno == EACCES ? "; be allowed to read and write it"
                                     : "");
    }
    return fd;
}

static bool attach(struct iommufd_container *container, const struct vfio_host_device *device,
                   int fd, GError **error)
{
    struct abi_vfio_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = container->iommufd->fd};
    struct abi_vfio_attach_iommufd place = {.argsz = sizeof(place), .pt_id = container->ioas};

    if (ioctl(fd, ABI_VFIO_BIND_IOMMUFD, &bind) != 0) {
        return duodm_fail(error, DUODM_ERROR_IO,
                          "device %s can't be bound to the iommufd: %s; all devices of its IOMMU "
                          "group must belong to vfio-pci, or to no driver, and to one program",
                          device->address, g_strerror(errno));
    }
    if (ioctl(fd, ABI_VFIO_ATTACH_IOMMUFD, &place) != 0) {
        return duodm_fail(error, DUODM_ERROR_IO,
                          "device %s can't be attached to its address space: %s%s", device->address,
                          g_strerror(errno),
                          errno == EPERM ? "; without interrupt remapping, iommufd needs "
                                           "allow_unsafe_interrupts=1"
                                         : "");
    }
    return true;
}

static int add_device(struct vfio_container *base, const struct vfio_host_device *device,
                      GError **error)
{
    int fd = open_device(device, error);

    if (fd >= 0 && !attach(container_of(base), device, fd, error)) {
        close(fd); /* detaches it, too */
        return -1;
    }
    return fd;
}

static void remove_device(struct vfio_container *base, const struct vfio_host_device *device,
                          int descriptor)
{
    close(descriptor);
}

static int group_descriptor(const struct vfio_container *container, unsigned group)
{
    return -1;
}

/* Address spaces. */

static void container_free(struct vfio_container *base)
{
    struct iommufd_container *container = container_of(base);
    struct abi_iommu_destroy request = {.size = sizeof(request), .id = container->ioas};

    ioctl(container->iommufd->fd, ABI_IOMMU_DESTROY, &request);
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

struct vfio_container *iommufd_container_new(struct iommufd *iommufd, GError **error)
{
    struct abi_iommu_ioas_alloc request = {.size = sizeof(request)};
    struct iommufd_container *container;

    if (ioctl(iommufd->fd, ABI_IOMMU_IOAS_ALLOC, &request) != 0) {
        duodm_fail(error, DUODM_ERROR_IO, "iommufd: IOMMU_IOAS_ALLOC: %s", g_strerror(errno));
        return NULL;
    }
    container = g_new0(struct iommufd_container, 1);
    container->container.ops = &container_ops;
    dma_backend_init(&container->container.backend, &iommufd_ops, "iommufd");
    container->iommufd = iommufd;
    container->ioas = request.out_ioas_id;
    return &container->container;
}

struct iommufd *iommufd_open(GError **error)
{
    int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
    struct iommufd *iommufd;

    if (fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "/dev/iommu: %s%s", g_strerror(errno),
                   errno == ENOENT ? "; load the module iommufd, of a kernel that has it (6.6 or "
                                     "newer, CONFIG_IOMMUFD)"
                                   : "");
        return NULL;
    }
    iommufd = g_new(struct iommufd, 1);
    iommufd->fd = fd;
    return iommufd;
}

void iommufd_close(struct iommufd *iommufd)
{
    if (iommufd) {
        close(iommufd->fd);
        g_free(iommufd);
    }
}
