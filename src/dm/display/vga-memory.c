/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of a CPU's access through the graphics controller to the planes. */
#include "dm/display/vga.h"
#include "memory/host-access.h"

enum graphics_register {
    SET_RESET,
    ENABLE_SET_RESET,
    COLOR_COMPARE,
    DATA_ROTATE, /* and function select, bits 3 and 4 */
    READ_MAP,
    MODE,
    MISCELLANEOUS,
    COLOR_DONT_CARE,
    BIT_MASK,
};

#define MODE_WRITE    0x03
#define MODE_COMPARE  0x08 /* read mode 1 */
#define MODE_ODD_EVEN 0x10

#define SEQUENCER_MAP_MASK    2
#define SEQUENCER_MEMORY_MODE 4
#define MEMORY_NO_ODD_EVEN    0x04
#define MEMORY_CHAIN_4        0x08

#define PLANE_SIZE 0x10000u /* of a VGA */

enum function { FUNCTION_REPLACE, FUNCTION_AND, FUNCTION_OR, FUNCTION_XOR };

/* A byte in all four planes. */
static uint32_t in_all_planes(uint8_t value)
{
    return value * 0x01010101u;
}

/* FFh in each plane whose bit is set. */
static uint32_t expand_mask(unsigned planes)
{
    return (planes & 1 ? 0xffu : 0) | (planes & 2 ? 0xff00u : 0) | (planes & 4 ? 0xff0000u : 0) |
           (planes & 8 ? 0xff000000u : 0);
}

/* Which part of the window the memory map selects; false: offset is not in it. */
static bool find_in_map(const struct vga *vga, uint32_t offset, uint32_t *inside)
{
    static const struct {
        uint32_t start, size;
    } maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned map = vga->registers.graphics[MISCELLANEOUS] >> 2 & 3;

    *inside = offset - maps[map].start;
    return offset >= maps[map].start && *inside < maps[map].size;
}

static bool is_packed(const struct vga_registers *registers)
{
    return vga_dispi_is_on(registers) && registers->dispi[DISPI_BPP] > 4;
}

static uint32_t bank_offset(const struct vga *vga)
{
    return vga_dispi_is_on(&vga->registers) ? (uint32_t)vga->registers.dispi[DISPI_BANK] << 16 : 0;
}

/* The double word of the planes that a window address selects. */
static uint32_t plane_index(const struct vga *vga, uint32_t address)
{
    if (vga_dispi_is_on(&vga->registers)) {
        return ((address & 0xffff) + bank_offset(vga)) & (vga->memory_size / 4 - 1);
    }
    return address & (PLANE_SIZE - 1);
}

static uint32_t *planes_at(struct vga *vga, uint32_t index)
{
    return (uint32_t *)vga_memory_bytes(vga->memory) + index;
}

static uint8_t *byte_at(struct vga *vga, uint32_t address)
{
    return vga_memory_bytes(vga->memory) + (address & (vga->memory_size - 1));
}

/* Chain-4 and linear modes see memory as it is. */
static bool is_linear(const struct vga *vga)
{
    return is_packed(&vga->registers) ||
           vga->registers.sequencer[SEQUENCER_MEMORY_MODE] & MEMORY_CHAIN_4;
}

/* Does the graphics controller leave a write as it is? */
static bool is_transparent(const struct vga_registers *registers)
{
    const uint8_t *graphics = registers->graphics;

    return is_packed(registers) ||
           ((registers->sequencer[SEQUENCER_MAP_MASK] & 0x0f) == 0x0f &&
            !(graphics[MODE] & (MODE_WRITE | MODE_COMPARE)) && !(graphics[DATA_ROTATE] & 0x1f) &&
            !(graphics[ENABLE_SET_RESET] & 0x0f) && graphics[BIT_MASK] == 0xff);
}

struct vga_linear_window vga_find_linear_window(const struct vga *vga)
{
    static const struct vga_linear_window maps[4] = {
        {0, 0x20000, 0}, {0, 0x10000, 0}, {0x10000, 0x8000, 0}, {0x18000, 0x8000, 0}};
    struct vga_linear_window window = {0, 0, 0};

    if (is_linear(vga) && is_transparent(&vga->registers)) {
        window =
            maps[is_packed(&vga->registers) ? 1 : vga->registers.graphics[MISCELLANEOUS] >> 2 & 3];
        window.memory_offset = bank_offset(vga);
    }
    return window;
}

static uint32_t load_latch(struct vga *vga, uint32_t index)
{
    vga->latch = (uint32_t)host_load_aligned(planes_at(vga, index), 4);
    return vga->latch;
}

/* Read mode 1: a bit for each pixel whose colour compares equal in the planes that count. */
static uint8_t compare_color(const struct vga *vga)
{
    const uint8_t *graphics = vga->registers.graphics;
    uint32_t difference = (vga->latch ^ expand_mask(graphics[COLOR_COMPARE])) &
                          expand_mask(graphics[COLOR_DONT_CARE]);

    difference |= difference >> 16;
    return (uint8_t) ~(difference | difference >> 8);
}

uint8_t vga_read_memory(struct vga *vga, uint32_t offset)
{
    const struct vga_registers *r = &vga->registers;
    unsigned plane = r->graphics[READ_MAP] & 3;
    uint32_t address;

    if (is_packed(r)) {
        return offset < 0x10000
                   ? (uint8_t)host_load_aligned(byte_at(vga, offset + bank_offset(vga)), 1)
                   : 0xff;
    }
    if (!find_in_map(vga, offset, &address)) {
        return 0xff;
    }
    if (r->sequencer[SEQUENCER_MEMORY_MODE] & MEMORY_CHAIN_4) {
        address += bank_offset(vga);
        load_latch(vga, (address & (vga->memory_size - 1)) / 4);
        return (uint8_t)(vga->latch >> 8 * (address & 3));
    }
    if (r->graphics[MODE] & MODE_ODD_EVEN) {
        plane = (plane & 2) | (address & 1);
        address &= ~1u;
    }
    load_latch(vga, plane_index(vga, address));
    return r->graphics[MODE] & MODE_COMPARE ? compare_color(vga)
                                            : (uint8_t)(vga->latch >> 8 * plane);
}

static uint32_t apply_function(const struct vga *vga, uint32_t data)
{
    switch (vga->registers.graphics[DATA_ROTATE] >> 3 & 3) {
    case FUNCTION_AND:
        return data & vga->latch;
    case FUNCTION_OR:
        return data | vga->latch;
    case FUNCTION_XOR:
        return data ^ vga->latch;
    default:
        return data;
    }
}

static uint8_t rotate(const struct vga *vga, uint8_t value)
{
    unsigned count = vga->registers.graphics[DATA_ROTATE] & 7;

    return (uint8_t)(value >> count | value << (8 - count));
}

/* What the graphics controller makes of a byte, for all four planes. */
static uint32_t make_data(const struct vga *vga, uint8_t value)
{
    const uint8_t *graphics = vga->registers.graphics;
    uint32_t set = expand_mask(graphics[SET_RESET]), data;
    uint32_t bits = in_all_planes(graphics[BIT_MASK]);

    switch (graphics[MODE] & MODE_WRITE) {
    case 0: {
        uint32_t enabled = expand_mask(graphics[ENABLE_SET_RESET]);

        data = (in_all_planes(rotate(vga, value)) & ~enabled) | (set & enabled);
        data = apply_function(vga, data);
        break;
    }
    case 1:
        return vga->latch;
    case 2:
        data = apply_function(vga, expand_mask(value));
        break;
    default: /* 3: set/reset where the rotated data and the bit mask have ones */
        bits &= in_all_planes(rotate(vga, value));
        data = apply_function(vga, set);
        break;
    }
    return (data & bits) | (vga->latch & ~bits);
}

void vga_write_memory(struct vga *vga, uint32_t offset, uint8_t value)
{
    const struct vga_registers *r = &vga->registers;
    unsigned planes = r->sequencer[SEQUENCER_MAP_MASK] & 0x0f;
    uint32_t address, mask, index, *target;

    if (is_packed(r)) {
        if (offset < 0x10000) {
            host_store_aligned(byte_at(vga, offset + bank_offset(vga)), 1, value);
            memory_region_set_dirty(vga->memory, (offset + bank_offset(vga)) % vga->memory_size, 1);
        }
        return;
    }
    if (!find_in_map(vga, offset, &address)) {
        return;
    }
    if (r->sequencer[SEQUENCER_MEMORY_MODE] & MEMORY_CHAIN_4) {
        address += bank_offset(vga);
        planes &= 1u << (address & 3);
        index = (address & (vga->memory_size - 1)) / 4;
    } else {
        if (!(r->sequencer[SEQUENCER_MEMORY_MODE] & MEMORY_NO_ODD_EVEN)) {
            planes &= address & 1 ? 0x0a : 0x05;
            address &= ~1u;
        }
        index = plane_index(vga, address);
    }
    target = planes_at(vga, index);
    mask = expand_mask(planes);
    host_store_aligned(target, 4,
                       ((uint32_t)host_load_aligned(target, 4) & ~mask) |
                           (make_data(vga, value) & mask));
    memory_region_set_dirty(vga->memory, (uint64_t)index * 4, 4);
}
