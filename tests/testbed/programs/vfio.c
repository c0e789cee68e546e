/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver of edu in user space, over the guest's own VFIO: it decides what the device may reach.
 *
 * load vfio map ADDRESS ROUNDS: map a page, have the device copy it in and out, take it back, and
 * see that the device reaches it no more. Prints "vfio N".
 * load vfio many ADDRESS COUNT: make so many mappings, print "many N", keep them until the input
 * ends.
 * load vfio rate ADDRESS COUNT [PAGES]: map so many pages (one) and take them back, COUNT times;
 * prints "rate N", how often per second.
 * load vfio join OTHER ADDRESS COUNT: make so many mappings for another device, then have edu join
 * it, and see that edu reaches each of them. Prints "joined N", and waits as many does.
 */
#include <fcntl.h>
#include <libgen.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"

enum { PAGE = 4096, COMMAND = 4, COMMAND_MEMORY_AND_MASTER = 6 };
#define IOVA 0x1000000u

static void must(bool ok, const char *what)
{
    if (!ok) {
        exit(failed(what));
    }
}

static int open_group(const char *address)
{
    char path[256], link[256];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
    length = readlink(path, link, sizeof(link) - 1);
    must(length > 0, path);
    link[length] = 0;
    snprintf(path, sizeof(path), "/dev/vfio/%s", basename(link));
    fd = open(path, O_RDWR);
    must(fd >= 0, path);
    return fd;
}

static void map(int container, void *page, uint64_t iova, uint64_t size)
{
    struct vfio_iommu_type1_dma_map request = {
        .argsz = sizeof(request),
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)page,
        .iova = iova,
        .size = size,
    };

    must(ioctl(container, VFIO_IOMMU_MAP_DMA, &request) == 0, "VFIO_IOMMU_MAP_DMA");
}

static void unmap(int container, uint64_t iova, uint64_t size)
{
    struct vfio_iommu_type1_dma_unmap request = {
        .argsz = sizeof(request), .iova = iova, .size = size};

    must(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &request) == 0, "VFIO_IOMMU_UNMAP_DMA");
}

static volatile uint8_t *map_bar(int device)
{
    struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX};
    void *bar;

    must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "VFIO_DEVICE_GET_REGION_INFO");
    bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)info.offset);
    must(bar != MAP_FAILED, "BAR 0");
    return bar;
}

static void set_master(int device)
{
    struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX};
    uint16_t command = COMMAND_MEMORY_AND_MASTER;

    must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "VFIO_DEVICE_GET_REGION_INFO");
    must(pwrite(device, &command, 2, (off_t)(info.offset + COMMAND)) == 2, "command register");
}

/* Random data into the device, and back to another part of the page: did it arrive? */
static bool round_trip(volatile uint8_t *bar, uint8_t *page, uint64_t iova, uint64_t *state)
{
    fill_random(page, EDU_DMA_SIZE, state);
    memset(page + EDU_DMA_SIZE, 0, EDU_DMA_SIZE);
    edu_transfer(bar, iova, EDU_BUFFER, 0);
    edu_transfer(bar, EDU_BUFFER, iova + EDU_DMA_SIZE, EDU_DMA_TO_MEMORY);
    return memcmp(page, page + EDU_DMA_SIZE, EDU_DMA_SIZE) == 0;
}

static bool is_zero(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i]) {
            return false;
        }
    }
    return true;
}

static int run_map(int container, volatile uint8_t *bar, uint8_t *page, unsigned rounds)
{
    uint64_t state = now_ns() | 1;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t iova = IOVA + (i % 64) * 3 * PAGE;

        map(container, page, iova, PAGE);
        if (!round_trip(bar, page, iova, &state)) {
            printf("round %u: other data came back\n", i);
            return 1;
        }
        unmap(container, iova, PAGE);
        round_trip(bar, page, iova, &state);
        if (!is_zero(page + EDU_DMA_SIZE, EDU_DMA_SIZE)) {
            printf("round %u: the device reaches what was taken from it\n", i);
            return 1;
        }
    }
    printf("vfio %u\n", rounds);
    return 0;
}

static void wait_for_end_of_input(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

static int run_many(int container, void *page, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        map(container, page, IOVA + (uint64_t)i * 2 * PAGE, PAGE);
    }
    printf("many %u\n", count);
    wait_for_end_of_input();
    return 0;
}

static int open_container(void)
{
    int container = open("/dev/vfio/vfio", O_RDWR);

    must(container >= 0, "/dev/vfio/vfio");
    return container;
}

static int join(int container, const char *address)
{
    int group = open_group(address);

    must(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "VFIO_GROUP_SET_CONTAINER");
    return group;
}

static volatile uint8_t *open_edu(int group, const char *address)
{
    int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);

    must(device >= 0, address);
    set_master(device);
    return map_bar(device);
}

static void *new_pages(uint64_t size)
{
    void *pages =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    must(pages != MAP_FAILED, "pages");
    return pages;
}

static int run_join(const char *other, const char *address, unsigned count)
{
    int container = open_container();
    uint8_t **pages = calloc(count, sizeof(*pages));
    uint64_t state = now_ns() | 1;
    volatile uint8_t *bar;

    join(container, other);
    must(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "VFIO_SET_IOMMU");
    for (unsigned i = 0; i < count; i++) {
        pages[i] = new_pages(PAGE);
        map(container, pages[i], IOVA + (uint64_t)i * 2 * PAGE, PAGE);
    }
    bar = open_edu(join(container, address), address);
    for (unsigned i = 0; i < count; i++) {
        if (!round_trip(bar, pages[i], IOVA + (uint64_t)i * 2 * PAGE, &state)) {
            printf("mapping %u: other data came back\n", i);
            return 1;
        }
    }
    printf("joined %u\n", count);
    wait_for_end_of_input();
    return 0;
}

static int run_rate(int container, void *pages, uint64_t size, unsigned count)
{
    uint64_t start = now_ns();

    for (unsigned i = 0; i < count; i++) {
        map(container, pages, IOVA, size);
        unmap(container, IOVA, size);
    }
    printf("rate %.0f\n", count / ((double)(now_ns() - start) / 1e9));
    return 0;
}

int load_vfio(int argc, char **argv)
{
    volatile uint8_t *bar;
    int container, group;
    uint64_t size;
    unsigned count;
    void *pages;

    if (argc == 4 && strcmp(argv[0], "join") == 0) {
        return run_join(argv[1], argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    }
    if (argc < 3 || argc > 4) {
        fprintf(stderr,
                "usage: load vfio map|many|rate ADDRESS COUNT [PAGES], load vfio join OTHER "
                "ADDRESS COUNT\n");
        return 2;
    }
    count = (unsigned)strtoul(argv[2], NULL, 10);
    size = PAGE * (argc == 4 ? strtoul(argv[3], NULL, 10) : 1);
    container = open_container();
    group = join(container, argv[1]);
    must(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "VFIO_SET_IOMMU");
    bar = open_edu(group, argv[1]);
    pages = new_pages(size);
    if (strcmp(argv[0], "rate") == 0) {
        return run_rate(container, pages, size, count);
    }
    return strcmp(argv[0], "map") == 0 ? run_map(container, bar, pages, count)
                                       : run_many(container, pages, count);
}
