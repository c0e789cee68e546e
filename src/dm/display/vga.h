/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VGA (IBM VGA XGA Technical Reference, 1992) with the Bochs display interface ("DISPI") for
 * linear modes. The logic stands alone, without a machine; vga-pci.c wires it. Everything is under
 * the device's guard but vga_draw, which works on a copy of the registers.
 *
 * Video memory is one block. Byte p of double word n is plane p at offset n. Chain-4 addresses and
 * linear modes are the block as it is, so that a guest can reach it without a callback.
 */
#ifndef DUODM_DM_DISPLAY_VGA_H
#define DUODM_DM_DISPLAY_VGA_H

#include "memory/region.h"

#include <stdbool.h>
#include <stdint.h>

#define VGA_CRTC_COUNT      0x19
#define VGA_SEQUENCER_COUNT 5
#define VGA_GRAPHICS_COUNT  9
#define VGA_ATTRIBUTE_COUNT 0x15
#define VGA_PALETTE_SIZE    768
#define VGA_MEMORY_MIN      (1u << 20) /* bytes of video memory */
#define VGA_MEMORY_MAX      (256u << 20)

/* The window of a PC's memory through which the CPU sees a VGA's. */
#define VGA_WINDOW      0xa0000u
#define VGA_WINDOW_SIZE 0x20000u

enum dispi_register {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_MEMORY_64K, /* read only: video memory */
    DISPI_COUNT
};

/* Bits of DISPI_ENABLE. */
#define DISPI_ENABLED  0x01
#define DISPI_GETCAPS  0x02 /* resolutions and depth read as the largest ones */
#define DISPI_8BIT_DAC 0x20
#define DISPI_LFB      0x40
#define DISPI_NOCLEAR  0x80

#define DISPI_XRES_MAX 8192
#define DISPI_YRES_MAX 8192

/* All registers that decide about the picture. */
struct vga_registers {
    uint8_t misc; /* 3c2h */
    uint8_t sequencer[VGA_SEQUENCER_COUNT];
    uint8_t graphics[VGA_GRAPHICS_COUNT];
    uint8_t crtc[VGA_CRTC_COUNT];
    uint8_t attribute[VGA_ATTRIBUTE_COUNT];
    uint8_t attribute_index; /* with bit 5, palette address source: the picture is on */
    uint8_t dac_mask;
    uint8_t palette[VGA_PALETTE_SIZE]; /* red, green, blue; 6 bits, or 8 with DISPI_8BIT_DAC */
    uint16_t dispi[DISPI_COUNT];
    bool big_endian; /* pixels of 16 and 32 bits */
};

struct vga {
    struct memory_region *memory;  /* RAM of memory_size bytes */
    uint32_t memory_size;          /* bytes, a power of two */
    uint64_t (*now)(void *opaque); /* ns, for the retrace bits */
    void *opaque;
    struct vga_registers registers;
    uint8_t sequencer_index, graphics_index, crtc_index, feature;
    bool attribute_data; /* the next write to 3c0h is data */
    uint8_t dac_read, dac_write, dac_component, dac_state;
    uint8_t dac_latch[2]; /* red and green until blue comes */
    uint32_t latch;       /* a byte of each plane */
    uint16_t dispi_index;
};

void vga_power_on(struct vga *vga);
/* Registers loaded from a stream: can they be? */
bool vga_is_valid(const struct vga *vga);

/* Ports 3b4h to 3dfh, a byte each. */
uint8_t vga_read_port(struct vga *vga, unsigned port);
void vga_write_port(struct vga *vga, unsigned port, uint8_t value);

/* The display interface's registers (vga-dispi.c). Unknown ones read as 0; a value that the memory
 * has no room for is not taken. */
uint16_t vga_read_dispi(const struct vga *vga, unsigned index);
void vga_write_dispi(struct vga *vga, unsigned index, uint16_t value);

/* A byte of the window at A0000h: offset is relative to that. */
uint8_t vga_read_memory(struct vga *vga, uint32_t offset);
void vga_write_memory(struct vga *vga, uint32_t offset, uint8_t value);

/* A part of the window that is nothing but video memory. */
struct vga_linear_window {
    uint32_t offset, size;  /* in the window, bytes; size 0: there is none */
    uint32_t memory_offset; /* of its first byte in video memory */
};
struct vga_linear_window vga_find_linear_window(const struct vga *vga);

static inline bool vga_dispi_is_on(const struct vga_registers *registers)
{
    return registers->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

/* The host's pointer to video memory: the one place that asks for it. */
static inline uint8_t *vga_memory_bytes(struct memory_region *memory)
{
    return memory_region_host_pointer(memory);
}

#endif
