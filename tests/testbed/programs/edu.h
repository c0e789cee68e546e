/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's teaching device, edu (QEMU's docs/specs/edu.rst): what its drivers here share. */
#ifndef TESTBED_EDU_H
#define TESTBED_EDU_H

#include <unistd.h>

#include "load.h"

/* Registers in BAR 0. */
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
    EDU_DMA_START = 1,
    EDU_DMA_TO_MEMORY = 2,
    EDU_BUSY = 1,
    EDU_BAR_SIZE = 1 << 20,
    EDU_IDENTIFICATION = 0x010000ed,
    EDU_DMA_SIZE = 2048, /* bytes that a transfer can have */
};

static inline uint32_t edu_get(volatile uint8_t *bar, unsigned offset)
{
    return *(volatile uint32_t *)(bar + offset);
}

static inline void edu_put(volatile uint8_t *bar, unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(bar + offset) = value;
}

static inline void edu_put_address(volatile uint8_t *bar, unsigned offset, uint64_t value)
{
    *(volatile uint64_t *)(bar + offset) = value;
}

/* EDU_DMA_SIZE bytes between bus addresses and EDU_BUFFER. command: EDU_DMA_TO_MEMORY, or 0. */
static inline void edu_transfer(volatile uint8_t *bar, uint64_t source, uint64_t destination,
                                uint32_t command)
{
    edu_put_address(bar, EDU_DMA_SOURCE, source);
    edu_put_address(bar, EDU_DMA_DESTINATION, destination);
    edu_put_address(bar, EDU_DMA_COUNT, EDU_DMA_SIZE);
    edu_put(bar, EDU_DMA_COMMAND, command | EDU_DMA_START);
    while (edu_get(bar, EDU_DMA_COMMAND) & EDU_DMA_START) {
        usleep(1000);
    }
}

#endif
