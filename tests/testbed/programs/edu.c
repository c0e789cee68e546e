/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's teaching device, edu, driven from user space (QEMU's docs/specs/edu.rst).
 *
 * load edu dma ADDRESS ROUNDS: through resource0 of sysfs: identification, factorials, and random
 * data by DMA into the device and back. Prints "dma N".
 * load edu intx ADDRESS ROUNDS: the device raises its interrupt line, which uio_pci_generic, bound
 * to it as /dev/uio0, waits for. Prints "intx N".
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"

enum {
    COMMAND = 4,
    COMMAND_MEMORY_AND_MASTER = 6,
    COMMAND_NO_INTX = 0x400,
    LINE = 0x20,
};

static int open_file(const char *address, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
    int fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* Of a page that stays where it is. */
static uint64_t physical_address(const void *page)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)page / 4096 * 8)) != 8) {
        exit(failed("/proc/self/pagemap"));
    }
    close(fd);
    return (entry & ((1ULL << 55) - 1)) * 4096;
}

static int check_registers(volatile uint8_t *bar)
{
    if (edu_get(bar, EDU_ID) != EDU_IDENTIFICATION) {
        printf("no edu: 0x%x\n", edu_get(bar, EDU_ID));
        return 1;
    }
    edu_put(bar, EDU_LIVENESS, 0x12345678);
    edu_put(bar, EDU_FACTORIAL, 10);
    while (edu_get(bar, EDU_STATUS) & EDU_BUSY) {
        usleep(1000);
    }
    if (edu_get(bar, EDU_LIVENESS) != ~0x12345678u || edu_get(bar, EDU_FACTORIAL) != 3628800) {
        printf("registers: 0x%x %u\n", edu_get(bar, EDU_LIVENESS), edu_get(bar, EDU_FACTORIAL));
        return 1;
    }
    return 0;
}

static int run_dma(volatile uint8_t *bar, unsigned rounds)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    uint64_t state = now_ns() | 1, physical;
    static uint8_t sent[EDU_DMA_SIZE];

    if (page == MAP_FAILED || check_registers(bar)) {
        return 1;
    }
    page[0] = 1;
    physical = physical_address(page);
    for (unsigned i = 0; i < rounds; i++) {
        fill_random(sent, sizeof(sent), &state);
        memcpy(page, sent, EDU_DMA_SIZE);
        memset(page + EDU_DMA_SIZE, 0, EDU_DMA_SIZE);
        edu_transfer(bar, physical, EDU_BUFFER, 0);
        edu_transfer(bar, EDU_BUFFER, physical + EDU_DMA_SIZE, EDU_DMA_TO_MEMORY);
        if (memcmp(page + EDU_DMA_SIZE, sent, EDU_DMA_SIZE) != 0) {
            printf("round %u: other data came back from 0x%llx\n", i, (unsigned long long)physical);
            return 1;
        }
    }
    printf("dma %u\n", rounds);
    return 0;
}

static int run_intx(volatile uint8_t *bar, int config, unsigned rounds)
{
    int uio = open("/dev/uio0", O_RDONLY);

    if (uio < 0) {
        return failed("/dev/uio0");
    }
    for (unsigned i = 0; i < rounds; i++) {
        uint16_t command;
        int32_t count;

        /* The driver switches the line off when it has risen. */
        if (pread(config, &command, 2, COMMAND) != 2) {
            return failed("config");
        }
        command &= (uint16_t)~COMMAND_NO_INTX;
        if (pwrite(config, &command, 2, COMMAND) != 2) {
            return failed("config");
        }
        edu_put(bar, EDU_INTERRUPT_RAISE, LINE);
        if (read(uio, &count, 4) != 4) {
            return failed("/dev/uio0");
        }
        edu_put(bar, EDU_INTERRUPT_ACKNOWLEDGE, LINE);
    }
    printf("intx %u\n", rounds);
    return 0;
}

int load_edu(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: load edu dma|intx ADDRESS ROUNDS\n");
        return 2;
    }
    unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
    uint16_t command = COMMAND_MEMORY_AND_MASTER;
    int config = open_file(argv[1], "config"), resource;
    if (pwrite(config, &command, 2, COMMAND) != 2) {
        return failed("config");
    }
    resource = open_file(argv[1], "resource0");
    volatile uint8_t *bar =
        mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
    if (bar == MAP_FAILED) {
        return failed("resource0");
    }
    return strcmp(argv[0], "dma") == 0 ? run_dma(bar, rounds) : run_intx(bar, config, rounds);
}
