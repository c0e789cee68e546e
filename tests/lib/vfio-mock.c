/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's VFIO for tests, preloaded into duodm: /dev/vfio with a type1v2 container,
 * /dev/iommu, and one PCI device, whose regions are a memory file. The folder $VFIO_MOCK has
 * "config", the device's configuration space as it comes up, and "device", lines NAME VALUE:
 * bar0..bar5 (bytes), intx, msi, msix (vectors), reset (0 or 1), entries (mappings at a time), rom
 * (bytes, of the file "rom"), bits_of_two (of IOVAs, while two devices, or groups, are open), peek
 * (IOVA whose first byte is told when it is mapped), accesses (1: not only what is asked by open
 * and ioctl can fail, but also accesses to regions, their mappings, and what duodm itself asks of
 * event descriptors). See mock.h for "log" and "fail". Mappings are checked as the kernel does it.
 */
#define _GNU_SOURCE
#define MOCK_FOLDER "VFIO_MOCK"
#include "../../src/vfio/iommufd-abi.h"
#include "mock.h"

#include <dlfcn.h>
#include <linux/vfio.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define REGION_SHIFT 40
#define CONFIG_SIZE  4096
#define MAPPINGS_MAX 4096

enum kind { NONE, CONTAINER, GROUP, DEVICE, IOMMUFD };

struct mapping {
    struct vfio_iommu_type1_dma_map request;
    int owner; /* descriptor of the container, or number of the iommufd's address space */
};

static struct {
    int fd[1024];         /* kind by descriptor */
    unsigned group[1024]; /* its number, of a group's file */
    int container[1024];  /* of a group's file; 0: none */
    struct mapping mappings[MAPPINGS_MAX];
    unsigned mapping_count;
    int first; /* whose mappings are told of as "map" and "unmap"; others': "other map"... */
    unsigned ioas_count; /* made so far */
} mock;

/* ---- Files ---- */

static int open_mock(enum kind kind, const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    mock.fd[fd] = kind;
    say("open %s %d\n", name, fd);
    return fd;
}

/* A group's file can be open once only. */
static int open_group(unsigned number)
{
    char name[16];
    int fd;

    for (fd = 0; fd < 1024; fd++) {
        if (mock.fd[fd] == GROUP && mock.group[fd] == number) {
            errno = EBUSY;
            return -1;
        }
    }
    snprintf(name, sizeof(name), "%u", number);
    fd = open_mock(GROUP, name);
    mock.group[fd] = number;
    return fd;
}

static int open_device(void);

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    va_start(arguments, flags);
    if (flags & (O_CREAT | O_TMPFILE)) {
        mode = va_arg(arguments, mode_t);
    }
    va_end(arguments);
    if (folder() && (strncmp(path, "/dev/vfio/", 10) == 0 || strcmp(path, "/dev/iommu") == 0)) {
        if (injected()) {
            return -1;
        }
        if (strcmp(path, "/dev/iommu") == 0) {
            return open_mock(IOMMUFD, "iommu");
        }
        if (strncmp(path + 10, "devices/", 8) == 0) {
            return open_device();
        }
        return strcmp(path + 10, "vfio") == 0 ? open_mock(CONTAINER, "vfio")
                                              : open_group((unsigned)strtoul(path + 10, NULL, 10));
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

static unsigned count_mappings(int owner)
{
    unsigned count = 0;

    for (unsigned i = 0; i < mock.mapping_count; i++) {
        count += mock.mappings[i].owner == owner;
    }
    return count;
}

static const char *prefix_of(int owner)
{
    return owner == mock.first ? "" : "other ";
}

static void drop_mappings(int owner)
{
    if (count_mappings(owner)) {
        say("%sdropped %u\n", prefix_of(owner), count_mappings(owner));
    }
    for (unsigned i = mock.mapping_count; i-- > 0;) {
        if (mock.mappings[i].owner == owner) {
            mock.mappings[i] = mock.mappings[--mock.mapping_count];
        }
    }
}

/* Without a group a container has no IOMMU. */
static bool has_group(int container)
{
    for (unsigned fd = 0; fd < 1024; fd++) {
        if (mock.fd[fd] == GROUP && mock.container[fd] == container) {
            return true;
        }
    }
    return false;
}

int close(int fd)
{
    if (fd >= 0 && fd < 1024 && mock.fd[fd] != NONE) {
        enum kind kind = (enum kind)mock.fd[fd];

        say("close %d\n", fd);
        mock.fd[fd] = NONE;
        if (kind == CONTAINER || (kind == GROUP && !has_group(mock.container[fd]))) {
            drop_mappings(kind == GROUP ? mock.container[fd] : fd);
        }
        mock.container[fd] = 0;
    }
    return (int)syscall(SYS_close, fd);
}

/* ---- The container ---- */

/* What can be mapped ends there. */
static uint64_t last_iova(void)
{
    unsigned groups = 0, devices = 0;

    for (unsigned fd = 0; fd < 1024; fd++) {
        groups += mock.fd[fd] == GROUP;
        devices += mock.fd[fd] == DEVICE;
    }
    return (UINT64_C(1) << (groups > 1 || devices > 1 ? setting("bits_of_two", 39) : 39)) - 1;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int iommu_info(int owner, struct vfio_iommu_type1_info *info)
{
    struct {
        struct vfio_iommu_type1_info info;
        struct vfio_iommu_type1_info_cap_iova_range ranges;
        struct vfio_iova_range windows[2];
        struct vfio_iommu_type1_info_dma_avail available;
    } answer;
    uint32_t size = info->argsz;

    memset(&answer, 0, sizeof(answer));
    answer.info.argsz = sizeof(answer);
    answer.info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
    answer.info.iova_pgsizes = 0x40201000;
    answer.info.cap_offset = (uint32_t)((char *)&answer.ranges - (char *)&answer);
    answer.ranges.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
    answer.ranges.header.next = (uint32_t)((char *)&answer.available - (char *)&answer);
    answer.ranges.nr_iovas = 2;
    answer.windows[0] = (struct vfio_iova_range){0, 0xfedfffff};
    answer.windows[1] = (struct vfio_iova_range){0xfef00000, last_iova()};
    answer.available.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
    answer.available.avail = (uint32_t)(setting("entries", 65535) - count_mappings(owner));
    memcpy(info, &answer, size < sizeof(answer) ? size : sizeof(answer));
    if (size < sizeof(answer)) {
        info->argsz = sizeof(answer);
        info->cap_offset = 0;
    }
    return 0;
}

/* What a device would find. */
static void peek(const struct vfio_iommu_type1_dma_map *request)
{
    uint64_t offset = setting("peek", UINT64_MAX) - request->iova;

    if (offset < request->size) {
        say("peek %u\n", *(volatile uint8_t *)(uintptr_t)(request->vaddr + offset));
    }
}

static int map_dma(int owner, const struct vfio_iommu_type1_dma_map *request)
{
    if (!request->size || (request->iova | request->size | request->vaddr) & 0xfff) {
        return fail(EINVAL);
    }
    for (unsigned i = 0; i < mock.mapping_count; i++) {
        const struct vfio_iommu_type1_dma_map *other = &mock.mappings[i].request;

        if (mock.mappings[i].owner == owner && request->iova < other->iova + other->size &&
            other->iova < request->iova + request->size) {
            return fail(EEXIST);
        }
    }
    if (mock.mapping_count == MAPPINGS_MAX || count_mappings(owner) == setting("entries", 65535)) {
        return fail(ENOSPC);
    }
    mock.first = mock.mapping_count ? mock.first : owner;
    say("%smap 0x%llx 0x%llx %u 0x%llx\n", prefix_of(owner), request->iova, request->size,
        request->flags, request->vaddr);
    mock.mappings[mock.mapping_count++] = (struct mapping){*request, owner};
    peek(request);
    return 0;
}

static int unmap_dma(int owner, struct vfio_iommu_type1_dma_unmap *request)
{
    uint64_t end = request->iova + request->size, done = 0;

    for (unsigned i = 0; i < mock.mapping_count; i++) {
        uint64_t start = mock.mappings[i].request.iova;
        uint64_t last = start + mock.mappings[i].request.size;

        if (mock.mappings[i].owner == owner && start < end && request->iova < last &&
            (start < request->iova || last > end)) {
            return fail(EINVAL); /* type1v2 cuts none in two */
        }
    }
    for (unsigned i = mock.mapping_count; i-- > 0;) {
        const struct mapping *mapping = &mock.mappings[i];

        if (mapping->owner == owner && mapping->request.iova >= request->iova &&
            mapping->request.iova < end) {
            done += mapping->request.size;
            mock.mappings[i] = mock.mappings[--mock.mapping_count];
        }
    }
    say("%sunmap 0x%llx 0x%llx\n", prefix_of(owner), request->iova, request->size);
    request->size = done;
    return 0;
}

static int container_ioctl(int fd, unsigned long request, void *argument)
{
    if ((request == VFIO_IOMMU_MAP_DMA || request == VFIO_IOMMU_UNMAP_DMA) && !has_group(fd)) {
        return fail(EINVAL);
    }
    switch (request) {
    case VFIO_GET_API_VERSION:
        return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION:
        return 1;
    case VFIO_SET_IOMMU:
        return has_group(fd) ? 0 : fail(EINVAL);
    case VFIO_IOMMU_GET_INFO:
        return iommu_info(fd, argument);
    case VFIO_IOMMU_MAP_DMA:
        return map_dma(fd, argument);
    case VFIO_IOMMU_UNMAP_DMA:
        return unmap_dma(fd, argument);
    default:
        return fail(ENOTTY);
    }
}

/* ---- The iommufd; its address spaces are numbered from IOAS_FIRST on ---- */

#define IOAS_FIRST 2000u /* beyond all descriptors: owners of mappings, too */

static int iova_ranges(struct abi_iommu_ioas_iova_ranges *request)
{
    const struct abi_iommu_iova_range ranges[] = {{0, 0xfedfffff}, {0xfef00000, last_iova()}};
    uint32_t room = request->num_iovas;

    request->num_iovas = 2;
    request->out_iova_alignment = 4096;
    if (room < 2) {
        return fail(EMSGSIZE);
    }
    memcpy((void *)(uintptr_t)request->allowed_iovas, ranges, sizeof(ranges));
    return 0;
}

static int ioas_map(const struct abi_iommu_ioas_map *request)
{
    const struct vfio_iommu_type1_dma_map same = {
        .iova = request->iova,
        .size = request->length,
        .vaddr = request->user_va,
        .flags = (request->flags & ABI_IOMMU_MAP_READABLE ? 1u : 0) |
                 (request->flags & ABI_IOMMU_MAP_WRITEABLE ? 2u : 0),
    };

    return request->flags & ABI_IOMMU_MAP_FIXED_IOVA ? map_dma((int)request->ioas_id, &same)
                                                     : fail(EINVAL);
}

static int ioas_unmap(const struct abi_iommu_ioas_unmap *request)
{
    struct vfio_iommu_type1_dma_unmap same = {.iova = request->iova, .size = request->length};
    int result = unmap_dma((int)request->ioas_id, &same);

    return result == 0 && same.size == 0 ? fail(ENOENT) : result;
}

static int iommufd_ioctl(unsigned long request, void *argument)
{
    switch (request) {
    case ABI_IOMMU_IOAS_ALLOC:
        ((struct abi_iommu_ioas_alloc *)argument)->out_ioas_id = IOAS_FIRST + mock.ioas_count++;
        return 0;
    case ABI_IOMMU_IOAS_IOVA_RANGES:
        return iova_ranges(argument);
    case ABI_IOMMU_IOAS_MAP:
        return ioas_map(argument);
    case ABI_IOMMU_IOAS_UNMAP:
        return ioas_unmap(argument);
    case ABI_IOMMU_DESTROY:
        drop_mappings((int)((struct abi_iommu_destroy *)argument)->id);
        return 0;
    default:
        return fail(ENOTTY);
    }
}

/* ---- The group ---- */

static int open_setting(const char *name)
{
    char path[512];

    path_of(path, sizeof(path), name);
    return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
}

static void load_rom(int fd)
{
    int rom = open_setting("rom");
    char data[4096];
    off_t at = (off_t)VFIO_PCI_ROM_REGION_INDEX << REGION_SHIFT;
    ssize_t length;

    while (rom >= 0 && (length = read(rom, data, sizeof(data))) > 0) {
        if (syscall(SYS_pwrite64, fd, data, (size_t)length, at) != length) {
            abort();
        }
        at += length;
    }
    close(rom);
}

static int open_device(void)
{
    int fd = open_mock(DEVICE, "device"), config;
    uint8_t data[CONFIG_SIZE] = {0};
    ssize_t length;

    config = open_setting("config");
    length = read(config, data, sizeof(data));
    close(config);
    if (length < 0 || ftruncate(fd, (off_t)9 << REGION_SHIFT) != 0 ||
        syscall(SYS_pwrite64, fd, data, sizeof(data),
                (off_t)VFIO_PCI_CONFIG_REGION_INDEX << REGION_SHIFT) != sizeof(data)) {
        abort();
    }
    load_rom(fd);
    return fd;
}

static int group_ioctl(int fd, unsigned long request, void *argument)
{
    switch (request) {
    case VFIO_GROUP_GET_STATUS:
        ((struct vfio_group_status *)argument)->flags =
            setting("viable", 1) ? VFIO_GROUP_FLAGS_VIABLE : 0;
        return 0;
    case VFIO_GROUP_SET_CONTAINER:
        mock.container[fd] = *(int *)argument;
        return 0;
    case VFIO_GROUP_GET_DEVICE_FD:
        return open_device();
    default:
        return fail(ENOTTY);
    }
}

/* ---- The device ---- */

static int region_info(struct vfio_region_info *info)
{
    static const char *const names[] = {"bar0", "bar1", "bar2", "bar3", "bar4", "bar5"};

    if (info->index >= VFIO_PCI_NUM_REGIONS) {
        return fail(EINVAL);
    }
    info->argsz = sizeof(*info);
    info->offset = (uint64_t)info->index << REGION_SHIFT;
    info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    info->size = 0;
    if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
        info->size = CONFIG_SIZE;
    } else if (info->index == VFIO_PCI_ROM_REGION_INDEX) {
        info->size = setting("rom", 0);
        info->flags = VFIO_REGION_INFO_FLAG_READ;
    } else if (info->index < 6) {
        info->size = setting(names[info->index], 0);
        info->flags |= info->size >= 4096 ? VFIO_REGION_INFO_FLAG_MMAP : 0;
    }
    return 0;
}

static int irq_info(struct vfio_irq_info *info)
{
    static const char *const names[] = {"intx", "msi", "msix", "error", "request"};

    if (info->index >= 5) {
        return fail(EINVAL);
    }
    info->flags = VFIO_IRQ_INFO_EVENTFD;
    info->count = (uint32_t)setting(names[info->index], info->index >= 3);
    return 0;
}

static int set_irqs(const struct vfio_irq_set *set)
{
    char line[4096];
    int length = snprintf(line, sizeof(line), "irqs %u %u %u %u", set->index, set->flags,
                          set->start, set->count);

    for (unsigned i = 0; set->flags & VFIO_IRQ_SET_DATA_EVENTFD && i < set->count && i < 64; i++) {
        int fd;

        memcpy(&fd, set->data + i * sizeof(fd), sizeof(fd));
        length += snprintf(line + length, sizeof(line) - (size_t)length, " %d", fd);
    }
    say("%s\n", line);
    if (set->index == VFIO_PCI_MSIX_IRQ_INDEX && set->start == 0 &&
        set->count > setting("available", 2048)) {
        return (int)setting("available", 2048);
    }
    return 0;
}

static int device_ioctl(unsigned long request, void *argument)
{
    switch (request) {
    case ABI_VFIO_BIND_IOMMUFD:
        return mock.fd[((struct abi_vfio_bind_iommufd *)argument)->iommufd] == IOMMUFD
                   ? 0
                   : fail(EBADF);
    case ABI_VFIO_ATTACH_IOMMUFD:
        return ((struct abi_vfio_attach_iommufd *)argument)->pt_id - IOAS_FIRST < mock.ioas_count
                   ? 0
                   : fail(ENOENT);
    case VFIO_DEVICE_GET_INFO: {
        struct vfio_device_info *info = argument;

        info->flags = VFIO_DEVICE_FLAGS_PCI | (setting("reset", 1) ? VFIO_DEVICE_FLAGS_RESET : 0);
        info->num_regions = VFIO_PCI_NUM_REGIONS;
        info->num_irqs = VFIO_PCI_NUM_IRQS;
        return 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO:
        return region_info(argument);
    case VFIO_DEVICE_GET_IRQ_INFO:
        return irq_info(argument);
    case VFIO_DEVICE_SET_IRQS:
        return set_irqs(argument);
    case VFIO_DEVICE_RESET:
        say("reset\n");
        return 0;
    case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
        ((struct vfio_pci_hot_reset_info *)argument)->count = (uint32_t)setting("dependents", 1);
        return 0;
    case VFIO_DEVICE_PCI_HOT_RESET:
        say("hot-reset %u\n", ((struct vfio_pci_hot_reset *)argument)->count);
        return 0;
    default:
        return fail(ENOTTY);
    }
}

static enum kind kind_of(int fd)
{
    return fd >= 0 && fd < 1024 ? (enum kind)mock.fd[fd] : NONE;
}

int ioctl(int fd, unsigned long request, ...)
{
    enum kind kind = kind_of(fd);
    void *argument;
    va_list arguments;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (kind != NONE && injected()) {
        return -1;
    }
    switch (kind) {
    case CONTAINER:
        return container_ioctl(fd, request, argument);
    case IOMMUFD:
        return iommufd_ioctl(request, argument);
    case GROUP:
        return group_ioctl(fd, request, argument);
    case DEVICE:
        return device_ioctl(request, argument);
    default:
        return (int)syscall(SYS_ioctl, fd, request, argument);
    }
}

/* ---- What else may fail, if it is to ---- */

static bool access_fails(void)
{
    return folder() && setting("accesses", 0) && injected();
}

ssize_t pread(int fd, void *buffer, size_t size, off_t at)
{
    return kind_of(fd) == DEVICE && access_fails()
               ? -1
               : (ssize_t)syscall(SYS_pread64, fd, buffer, size, at);
}

ssize_t pread64(int fd, void *buffer, size_t size, off_t at) __attribute__((alias("pread")));

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t at)
{
    return kind_of(fd) == DEVICE && access_fails()
               ? -1
               : (ssize_t)syscall(SYS_pwrite64, fd, buffer, size, at);
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off_t at)
    __attribute__((alias("pwrite")));

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at)
{
    return kind_of(fd) == DEVICE && access_fails()
               ? MAP_FAILED
               : (void *)syscall(SYS_mmap, address, length, protection, flags, fd, at);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t at)
    __attribute__((alias("mmap")));

/* Is that in the program, and not in a library? */
static bool is_program(const void *code)
{
    Dl_info caller, entry;

    return dladdr(code, &caller) && dladdr((void *)getauxval(AT_ENTRY), &entry) &&
           caller.dli_fbase == entry.dli_fbase;
}

#define EVENT_FAILS() (is_program(__builtin_return_address(0)) && access_fails())

int eventfd(unsigned count, int flags)
{
    return EVENT_FAILS() ? -1 : (int)syscall(SYS_eventfd2, count, flags);
}

int epoll_create1(int flags)
{
    return EVENT_FAILS() ? -1 : (int)syscall(SYS_epoll_create1, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return EVENT_FAILS() ? -1 : (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}
