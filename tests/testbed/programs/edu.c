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

#include "load.h"

enum {
    EDU_ID = 0x00,
    EDU_LIVENESS = 0x04,
    EDU_FACTORIAL = 0x08,
    EDU_STATUS = 0x20,
    EDU_INTERRUPT_RAISE = 0x60,
    EDU_INTERRUPT_ACKNOWLEDGE = 0x64,
    EDU_DMA_SOURCE = 0x80,
    EDU_DMA_DESTINATION = 0x88,
    EDU_DMA_COUNT = 0x90,
    EDU_DMA_COMMAND = 0x98,
    EDU_BUFFER = 0x40000,
    DMA_START = 1,
    DMA_TO_MEMORY = 2,
    BUSY = 1,
    BAR_SIZE = 1 << 20,
    DMA_SIZE = 2048,
    COMMAND = 4,
    COMMAND_MEMORY_AND_MASTER = 6,
    COMMAND_NO_INTX = 0x400,
    LINE = 0x20,
};

static uint32_t get(volatile uint8_t *bar, unsigned offset)
{
    return *(volatile uint32_t *)(bar + offset);
}

static void put(volatile uint8_t *bar, unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(bar + offset) = value;
}

static void put_address(volatile uint8_t *bar, unsigned offset, uint64_t value)
{
    *(volatile uint64_t *)(bar + offset) = value;
}

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

static void transfer(volatile uint8_t *bar, uint64_t source, uint64_t destination, uint32_t command)
{
    put_address(bar, EDU_DMA_SOURCE, source);
    put_address(bar, EDU_DMA_DESTINATION, destination);
    put_address(bar, EDU_DMA_COUNT, DMA_SIZE);
    put(bar, EDU_DMA_COMMAND, command | DMA_START);
    while (get(bar, EDU_DMA_COMMAND) & DMA_START) {
        usleep(1000);
    }
}

static int check_registers(volatile uint8_t *bar)
{
    put(bar, EDU_LIVENESS, 0x12345678);
    put(bar, EDU_FACTORIAL, 10);
    while (get(bar, EDU_STATUS) & BUSY) {
        usleep(1000);
    }
    if (get(bar, EDU_ID) != 0x010000ed || get(bar, EDU_LIVENESS) != ~0x12345678u ||
        get(bar, EDU_FACTORIAL) != 3628800) {
        printf("registers: 0x%x 0x%x %u\n", get(bar, EDU_ID), get(bar, EDU_LIVENESS),
               get(bar, EDU_FACTORIAL));
        return 1;
    }
    return 0;
}

static int run_dma(volatile uint8_t *bar, unsigned rounds)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    uint64_t state = now_ns() | 1, physical;
    static uint8_t sent[DMA_SIZE];

    if (page == MAP_FAILED || check_registers(bar)) {
        return 1;
    }
    page[0] = 1;
    physical = physical_address(page);
    for (unsigned i = 0; i < rounds; i++) {
        fill_random(sent, sizeof(sent), &state);
        memcpy(page, sent, DMA_SIZE);
        memset(page + DMA_SIZE, 0, DMA_SIZE);
        transfer(bar, physical, EDU_BUFFER, 0);
        transfer(bar, EDU_BUFFER, physical + DMA_SIZE, DMA_TO_MEMORY);
        if (memcmp(page + DMA_SIZE, sent, DMA_SIZE) != 0) {
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
        put(bar, EDU_INTERRUPT_RAISE, LINE);
        if (read(uio, &count, 4) != 4) {
            return failed("/dev/uio0");
        }
        put(bar, EDU_INTERRUPT_ACKNOWLEDGE, LINE);
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
    volatile uint8_t *bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
    if (bar == MAP_FAILED) {
        return failed("resource0");
    }
    return strcmp(argv[0], "dma") == 0 ? run_dma(bar, rounds) : run_intx(bar, config, rounds);
}
