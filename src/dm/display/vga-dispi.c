/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Bochs display interface: an index and registers of 16 bits. */
#include "dm/display/vga.h"
#include "util/log.h"

#include <string.h>

#define ID_FIRST 0xb0c0
#define ID_LAST  0xb0c5
#define BPP_MAX  32

/* Bytes of a line of `width` pixels. */
static uint64_t line_bytes(unsigned width, unsigned bpp)
{
    return bpp == 4 ? width / 8 * 4u : (uint64_t)width * ((bpp + 7) / 8);
}

/* Pixels per line that make so many bytes. */
static unsigned memory_lines(const struct vga *vga, unsigned width, unsigned bpp)
{
    uint64_t bytes = line_bytes(width, bpp);

    return bytes ? (unsigned)(vga->memory_size / bytes) : 0;
}

static void set_virtual_width(struct vga *vga, uint16_t width)
{
    uint16_t *dispi = vga->registers.dispi;
    unsigned lines;

    width = width < dispi[DISPI_XRES] ? dispi[DISPI_XRES] : width;
    lines = memory_lines(vga, width, dispi[DISPI_BPP]);
    if (lines < dispi[DISPI_YRES]) { /* there is not so much memory: leave it */
        return;
    }
    dispi[DISPI_VIRT_WIDTH] = width;
    dispi[DISPI_VIRT_HEIGHT] = (uint16_t)(lines > UINT16_MAX ? UINT16_MAX : lines);
}

static bool mode_fits(const struct vga *vga)
{
    const uint16_t *dispi = vga->registers.dispi;

    return dispi[DISPI_XRES] >= 8 && dispi[DISPI_YRES] >= 1 &&
           memory_lines(vga, dispi[DISPI_XRES], dispi[DISPI_BPP]) >= dispi[DISPI_YRES];
}

static void clear_memory(struct vga *vga)
{
    const uint16_t *dispi = vga->registers.dispi;
    uint64_t size = line_bytes(dispi[DISPI_XRES], dispi[DISPI_BPP]) * dispi[DISPI_YRES];
    uint8_t *bytes = vga_memory_bytes(vga->memory);

    for (uint64_t i = 0; i < size; i += 4) { /* lines are whole double words but for odd widths */
        __atomic_store_n((uint32_t *)(bytes + (i & ~UINT64_C(3))), 0, __ATOMIC_RELAXED);
    }
    memory_region_set_dirty(vga->memory, 0, size);
}

static void write_enable(struct vga *vga, uint16_t value)
{
    uint16_t *dispi = vga->registers.dispi;
    bool was_on = vga_dispi_is_on(&vga->registers);
    bool was_wide = dispi[DISPI_ENABLE] & DISPI_8BIT_DAC, is_wide = value & DISPI_8BIT_DAC;

    if (value & DISPI_ENABLED && !was_on && !mode_fits(vga)) {
        log_item(LOG_GUEST_ERRORS, "VGA: %ux%u with %u bits does not fit\n", dispi[DISPI_XRES],
                 dispi[DISPI_YRES], dispi[DISPI_BPP]);
        value &= (uint16_t)~DISPI_ENABLED;
    }
    dispi[DISPI_ENABLE] = value;
    if (was_wide != is_wide) {
        for (unsigned i = 0; i < VGA_PALETTE_SIZE; i++) {
            uint8_t *entry = &vga->registers.palette[i];

            *entry = (uint8_t)(is_wide ? *entry << 2 : *entry >> 2);
        }
    }
    if (value & DISPI_ENABLED && !was_on) {
        dispi[DISPI_X_OFFSET] = dispi[DISPI_Y_OFFSET] = 0;
        dispi[DISPI_BANK] = 0;
        dispi[DISPI_VIRT_WIDTH] = 0;
        set_virtual_width(vga, dispi[DISPI_XRES]);
        if (!(value & DISPI_NOCLEAR)) {
            clear_memory(vga);
        }
    }
}

static void write_mode(struct vga *vga, unsigned index, uint16_t value)
{
    uint16_t *dispi = vga->registers.dispi;
    static const uint16_t depths[] = {4, 8, 15, 16, 24, 32};

    if (vga_dispi_is_on(&vga->registers)) {
        return; /* to be set while it is off */
    }
    if (index == DISPI_BPP) {
        value = value ? value : 8;
        for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
            if (depths[i] == value) {
                dispi[index] = value;
            }
        }
    } else if (value <= (index == DISPI_XRES ? DISPI_XRES_MAX : DISPI_YRES_MAX)) {
        dispi[index] = value;
    }
}

static void write_position(struct vga *vga, unsigned index, uint16_t value)
{
    uint16_t *dispi = vga->registers.dispi;
    bool is_x = index == DISPI_X_OFFSET;
    unsigned room = dispi[is_x ? DISPI_VIRT_WIDTH : DISPI_VIRT_HEIGHT];

    if (value + dispi[is_x ? DISPI_XRES : DISPI_YRES] <= room) {
        dispi[index] = value;
    }
}

void vga_write_dispi(struct vga *vga, unsigned index, uint16_t value)
{
    uint16_t *dispi = vga->registers.dispi;

    switch (index) {
    case DISPI_ID:
        if (value >= ID_FIRST && value <= ID_LAST) {
            dispi[DISPI_ID] = value;
        }
        break;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
        write_mode(vga, index, value);
        break;
    case DISPI_ENABLE:
        write_enable(vga, value);
        break;
    case DISPI_BANK:
        if (((uint32_t)value << 16) * (dispi[DISPI_BPP] == 4 ? 4u : 1u) < vga->memory_size) {
            dispi[DISPI_BANK] = value;
        }
        break;
    case DISPI_VIRT_WIDTH:
        set_virtual_width(vga, value);
        break;
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        write_position(vga, index, value);
        break;
    default:
        break;
    }
}

uint16_t vga_read_dispi(const struct vga *vga, unsigned index)
{
    bool wants_caps = vga->registers.dispi[DISPI_ENABLE] & DISPI_GETCAPS;

    switch (index) {
    case DISPI_XRES:
        return wants_caps ? DISPI_XRES_MAX : vga->registers.dispi[index];
    case DISPI_YRES:
        return wants_caps ? DISPI_YRES_MAX : vga->registers.dispi[index];
    case DISPI_BPP:
        return wants_caps ? BPP_MAX : vga->registers.dispi[index];
    case DISPI_MEMORY_64K:
        return (uint16_t)(vga->memory_size >> 16);
    default:
        return index < DISPI_COUNT ? vga->registers.dispi[index] : 0;
    }
}
