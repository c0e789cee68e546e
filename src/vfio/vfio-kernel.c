/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/vfio-kernel.h"
#include "util/error.h"
#include "vfio/region-info.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEPENDENTS_MAX 256
#define BLOCK_SIZE     (1u << 16)

struct vfio_kernel_device {
    struct vfio_device device;
    struct vfio_container *container;
    struct vfio_host_device host;
    int fd;
    bool can_reset_function; /* VFIO_DEVICE_RESET */
    bool has_error_irq;      /* the kernel tells of errors; that we do in any case */
};

static struct vfio_kernel_device *kernel_of(struct vfio_device *device)
{
    return (struct vfio_kernel_device *)device;
}

static bool fail_ioctl(const struct vfio_device *device, const char *what, GError **error)
{
    return duodm_fail(error, DUODM_ERROR_IO, "vfio %s: %s: %s", device->name, what,
                      g_strerror(errno));
}

/* Regions. */

static bool region_read(struct vfio_device *device, unsigned region, uint64_t offset, void *buffer,
                        unsigned size)
{
    off_t at = (off_t)(device->regions[region].file_offset + offset);

    return pread(kernel_of(device)->fd, buffer, size, at) == (ssize_t)size;
}

static bool region_write(struct vfio_device *device, unsigned region, uint64_t offset,
                         const void *buffer, unsigned size)
{
    off_t at = (off_t)(device->regions[region].file_offset + offset);

    return pwrite(kernel_of(device)->fd, buffer, size, at) == (ssize_t)size;
}

static void *region_map(struct vfio_device *device, unsigned region, struct range area,
                        GError **error)
{
    const struct vfio_region *info = &device->regions[region];
    int protection = (info->readable ? PROT_READ : 0) | (info->writable ? PROT_WRITE : 0);
    void *host = mmap(NULL, area.length, protection, MAP_SHARED, kernel_of(device)->fd,
                      (off_t)(info->file_offset + area.start));

    if (host == MAP_FAILED) {
        duodm_fail(error, DUODM_ERROR_IO, "vfio %s: mapping 0x%" PRIx64 " bytes of region %u: %s",
                   device->name, area.length, region, g_strerror(errno));
        return NULL;
    }
    vfio_device_guard(device, host, area.length);
    return host;
}

static void region_unmap(struct vfio_device *device, void *host, uint64_t length)
{
    vfio_device_unguard(device, host);
    munmap(host, length);
}

/* Interrupts. */

static int set_triggers(struct vfio_device *device, enum vfio_irq irq, unsigned first,
                        const int *descriptors, unsigned count, GError **error)
{
    size_t size = sizeof(struct vfio_irq_set) + count * sizeof(int);
    g_autofree struct vfio_irq_set *set = g_malloc0(size);
    int result;

    if (irq == VFIO_IRQ_ERROR) {
        __atomic_store_n(&device->owner.notify, count ? descriptors[0] : -1, __ATOMIC_SEQ_CST);
        if (!kernel_of(device)->has_error_irq) {
            return 0;
        }
    }
    set->argsz = (uint32_t)size;
    set->flags =
        VFIO_IRQ_SET_ACTION_TRIGGER | (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
    set->index = irq;
    set->start = first;
    set->count = count;
    if (count) {
        memcpy(set->data, descriptors, count * sizeof(int));
    }
    result = ioctl(kernel_of(device)->fd, VFIO_DEVICE_SET_IRQS, set);
    if (result < 0) {
        fail_ioctl(device, "interrupts can't be set (VFIO_DEVICE_SET_IRQS)", error);
        return -1;
    }
    return result;
}

static bool set_intx(struct vfio_device *device, uint32_t flags, int descriptor, GError **error)
{
    uint8_t buffer[sizeof(struct vfio_irq_set) + sizeof(int)] = {0};
    struct vfio_irq_set *set = (void *)buffer;

    set->argsz = sizeof(buffer);
    set->flags = flags;
    set->index = VFIO_PCI_INTX_IRQ_INDEX;
    set->count = 1;
    memcpy(set->data, &descriptor, sizeof(descriptor));
    return ioctl(kernel_of(device)->fd, VFIO_DEVICE_SET_IRQS, set) == 0 ||
           fail_ioctl(device, "INTx can't be unmasked (VFIO_DEVICE_SET_IRQS)", error);
}

static bool unmask(struct vfio_device *device, GError **error)
{
    return set_intx(device, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0, error);
}

static bool set_unmask_descriptor(struct vfio_device *device, int descriptor, GError **error)
{
    return set_intx(device, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, descriptor,
                    error);
}

/* Reset. */

/* A reset of the bus hits all that is behind it: only this device may be. */
static bool is_alone(struct vfio_kernel_device *kernel, GError **error)
{
    size_t size = sizeof(struct vfio_pci_hot_reset_info) +
                  DEPENDENTS_MAX * sizeof(struct vfio_pci_dependent_device);
    g_autofree struct vfio_pci_hot_reset_info *info = g_malloc0(size);

    info->argsz = (uint32_t)size;
    if (ioctl(kernel->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) != 0) {
        return fail_ioctl(&kernel->device, "no reset of its bus is possible", error);
    }
    return info->count == 1 ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "vfio %s: a reset of its bus would hit %u other functions",
                      kernel->device.name, info->count - 1);
}

static bool reset_bus(struct vfio_kernel_device *kernel, GError **error)
{
    uint8_t buffer[sizeof(struct vfio_pci_hot_reset) + sizeof(int32_t)] = {0};
    struct vfio_pci_hot_reset *request = (void *)buffer;
    int32_t group = kernel->container->ops->group_descriptor(kernel->container, kernel->host.group);

    if (!is_alone(kernel, error)) {
        return false;
    }
    request->argsz = sizeof(buffer);
    request->count = group >= 0;
    memcpy(request->group_fds, &group, sizeof(group));
    return ioctl(kernel->fd, VFIO_DEVICE_PCI_HOT_RESET, request) == 0 ||
           fail_ioctl(&kernel->device, "reset of its bus", error);
}

static bool reset(struct vfio_device *device, GError **error)
{
    struct vfio_kernel_device *kernel = kernel_of(device);

    if (!kernel->can_reset_function) {
        return reset_bus(kernel, error);
    }
    return ioctl(kernel->fd, VFIO_DEVICE_RESET) == 0 || fail_ioctl(device, "reset", error);
}

/* What the device has. */

static bool read_region(struct vfio_kernel_device *kernel, unsigned index, GError **error)
{
    struct vfio_region_info short_info = {.argsz = sizeof(short_info), .index = index};
    struct vfio_region *region = &kernel->device.regions[index];
    g_autofree struct vfio_region_info *info = NULL;
    uint32_t size;

    if (ioctl(kernel->fd, VFIO_DEVICE_GET_REGION_INFO, &short_info) != 0) {
        return errno == EINVAL || fail_ioctl(&kernel->device, "VFIO_DEVICE_GET_REGION_INFO", error);
    }
    size = MAX(short_info.argsz, (uint32_t)sizeof(short_info));
    info = g_malloc0(size);
    info->argsz = size;
    info->index = index;
    if (ioctl(kernel->fd, VFIO_DEVICE_GET_REGION_INFO, info) != 0) {
        return fail_ioctl(&kernel->device, "VFIO_DEVICE_GET_REGION_INFO", error);
    }
    vfio_region_take_info(region, info, size);
    return true;
}

static bool read_irq(struct vfio_kernel_device *kernel, unsigned index, GError **error)
{
    struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

    if (ioctl(kernel->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) != 0) {
        /* Older kernels do not know the last two. */
        return errno == EINVAL || fail_ioctl(&kernel->device, "VFIO_DEVICE_GET_IRQ_INFO", error);
    }
    kernel->device.vectors[index] = info.flags & VFIO_IRQ_INFO_EVENTFD ? info.count : 0;
    return true;
}

static bool read_device(struct vfio_kernel_device *kernel, GError **error)
{
    struct vfio_device_info info = {.argsz = sizeof(info)};

    if (ioctl(kernel->fd, VFIO_DEVICE_GET_INFO, &info) != 0) {
        return fail_ioctl(&kernel->device, "VFIO_DEVICE_GET_INFO", error);
    }
    if (!(info.flags & VFIO_DEVICE_FLAGS_PCI)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "vfio %s: is no PCI device",
                          kernel->device.name);
    }
    kernel->can_reset_function = info.flags & VFIO_DEVICE_FLAGS_RESET;
    kernel->device.can_reset = kernel->can_reset_function || is_alone(kernel, NULL);
    for (unsigned i = 0; i < VFIO_REGION_COUNT && i < info.num_regions; i++) {
        if (!read_region(kernel, i, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < VFIO_IRQ_COUNT && i < info.num_irqs; i++) {
        if (!read_irq(kernel, i, error)) {
            return false;
        }
    }
    kernel->has_error_irq = kernel->device.vectors[VFIO_IRQ_ERROR];
    kernel->device.vectors[VFIO_IRQ_ERROR] = 1; /* memory that is taken away is one, too */
    return true;
}

static void kernel_free(struct vfio_device *device)
{
    struct vfio_kernel_device *kernel = kernel_of(device);

    kernel->container->ops->remove_device(kernel->container, &kernel->host, kernel->fd);
    vfio_device_clear(device);
    vfio_host_device_clear(&kernel->host);
    g_free(kernel);
}

static const struct vfio_device_ops kernel_ops = {
    .read = region_read,
    .write = region_write,
    .map = region_map,
    .unmap = region_unmap,
    .set_triggers = set_triggers,
    .unmask = unmask,
    .set_unmask_descriptor = set_unmask_descriptor,
    .reset = reset,
    .free = kernel_free,
};

struct vfio_device *vfio_kernel_device_new(struct vfio_container *container,
                                           const struct vfio_host_device *host, int descriptor,
                                           GError **error)
{
    struct vfio_kernel_device *kernel = g_new0(struct vfio_kernel_device, 1);

    vfio_device_init(&kernel->device, &kernel_ops, host->address);
    kernel->device.owner.is_device = true;
    kernel->device.block_size = BLOCK_SIZE;
    kernel->container = container;
    kernel->host =
        (struct vfio_host_device){g_strdup(host->folder), g_strdup(host->address), host->group};
    kernel->fd = descriptor;
    if (!read_device(kernel, error)) {
        kernel_free(&kernel->device);
        return NULL;
    }
    return &kernel->device;
}

/* The last part of what a link in a sysfs folder leads to; NULL: there is no such link. */
static char *link_name(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *target = g_file_read_link(path, NULL);

    return target ? g_path_get_basename(target) : NULL;
}

bool vfio_host_device_find(const char *folder, struct vfio_host_device *device, GError **error)
{
    g_autofree char *name = g_path_get_basename(folder);
    g_autofree char *number = link_name(folder, "iommu_group");
    g_autofree char *driver = link_name(folder, "driver");
    guint64 value;

    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "this host has no PCI device %s ('lspci -D' lists them)", name);
    }
    if (!number) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "device %s is behind no IOMMU: switch that on in the firmware, and with "
                          "intel_iommu=on for Intel's on the kernel's command line",
                          name);
    }
    if (g_strcmp0(driver, "vfio-pci") != 0) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "device %s belongs to %s%s: give it to vfio-pci (write vfio-pci to "
                          "%s/driver_override, unbind it, and write %s to "
                          "/sys/bus/pci/drivers_probe)",
                          name, driver ? "the host's driver " : "no driver", driver ? driver : "",
                          folder, name);
    }
    if (!g_ascii_string_to_unsigned(number, 10, 0, UINT32_MAX, &value, error)) {
        return false;
    }
    *device = (struct vfio_host_device){g_strdup(folder), g_steal_pointer(&name), (unsigned)value};
    return true;
}

void vfio_host_device_clear(struct vfio_host_device *device)
{
    g_free(device->folder);
    g_free(device->address);
}
