/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VGA's ports. */
#include "dm/display/vga.h"

#include <string.h>

#define PORT_ATTRIBUTE      0x3c0
#define PORT_ATTRIBUTE_READ 0x3c1
#define PORT_MISC_WRITE     0x3c2 /* read: input status 0 */
#define PORT_SEQUENCER      0x3c4
#define PORT_DAC_MASK       0x3c6
#define PORT_DAC_READ       0x3c7 /* read: DAC state */
#define PORT_DAC_WRITE      0x3c8
#define PORT_DAC_DATA       0x3c9
#define PORT_FEATURE_READ   0x3ca
#define PORT_MISC_READ      0x3cc
#define PORT_GRAPHICS       0x3ce
#define PORT_CRTC_MONO      0x3b4
#define PORT_CRTC_COLOR     0x3d4
#define PORT_STATUS1_MONO   0x3ba /* write: feature control */
#define PORT_STATUS1_COLOR  0x3da

#define MISC_COLOR 0x01 /* CRTC at 3d4h, not 3b4h */

#define CRTC_OVERFLOW         0x07
#define CRTC_RETRACE_END      0x11
#define CRTC_PROTECT          0x80 /* in it: registers 0 to 7 can't be written */
#define OVERFLOW_LINE_COMPARE 0x10 /* but this bit of 7 */

#define STATUS1_DISPLAY_OFF 0x01
#define STATUS1_RETRACE     0x08

#define DAC_STATE_READ 0x03

/* Times of a 640x480 picture, close enough for all. */
#define FRAME_NS      16683000u
#define LINE_NS       31778u
#define LINES         480u /* that are shown */
#define RETRACE_START 490u
#define RETRACE_END   492u
#define LINE_SHOWN_NS 25422u

void vga_power_on(struct vga *vga)
{
    struct vga keep = *vga;

    memset(vga, 0, sizeof(*vga));
    vga->memory = keep.memory;
    vga->memory_size = keep.memory_size;
    vga->now = keep.now;
    vga->opaque = keep.opaque;
    vga->registers.dac_mask = 0xff;
    vga->registers.dispi[DISPI_ID] = 0xb0c5;
    vga->registers.dispi[DISPI_BPP] = 8;
}

bool vga_is_valid(const struct vga *vga)
{
    const uint16_t *dispi = vga->registers.dispi;

    return vga->dac_component < 3 && dispi[DISPI_XRES] <= DISPI_XRES_MAX &&
           dispi[DISPI_YRES] <= DISPI_YRES_MAX && dispi[DISPI_BPP] <= 32;
}

static uint8_t read_status1(struct vga *vga)
{
    uint64_t now = vga->now ? vga->now(vga->opaque) % FRAME_NS : 0;
    uint64_t line = now / LINE_NS;
    uint8_t status = 0;

    vga->attribute_data = false;
    if (line >= LINES || now % LINE_NS >= LINE_SHOWN_NS) {
        status |= STATUS1_DISPLAY_OFF;
    }
    if (line >= RETRACE_START && line < RETRACE_END) {
        status |= STATUS1_RETRACE;
    }
    return status;
}

static uint8_t read_dac(struct vga *vga)
{
    uint8_t value = vga->registers.palette[vga->dac_read * 3 + vga->dac_component];

    if (++vga->dac_component == 3) {
        vga->dac_component = 0;
        vga->dac_read++;
    }
    return value;
}

/* An entry changes as a whole when its blue comes. */
static void write_dac(struct vga *vga, uint8_t value)
{
    bool is_wide = vga->registers.dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;
    uint8_t *entry = &vga->registers.palette[vga->dac_write * 3];

    value &= is_wide ? 0xff : 0x3f;
    if (vga->dac_component < 2) {
        vga->dac_latch[vga->dac_component++] = value;
        return;
    }
    entry[0] = vga->dac_latch[0];
    entry[1] = vga->dac_latch[1];
    entry[2] = value;
    vga->dac_component = 0;
    vga->dac_write++;
}

static uint8_t get(const uint8_t *registers, unsigned count, unsigned index)
{
    return index < count ? registers[index] : 0;
}

/* Does the CRTC answer at this port now? */
static bool is_crtc_port(const struct vga *vga, unsigned port)
{
    bool is_color = vga->registers.misc & MISC_COLOR;

    return (port & ~1u) == (is_color ? PORT_CRTC_COLOR : PORT_CRTC_MONO);
}

static bool is_status1_port(const struct vga *vga, unsigned port)
{
    return port == (vga->registers.misc & MISC_COLOR ? PORT_STATUS1_COLOR : PORT_STATUS1_MONO);
}

uint8_t vga_read_port(struct vga *vga, unsigned port)
{
    const struct vga_registers *r = &vga->registers;

    switch (port) {
    case PORT_ATTRIBUTE:
        return r->attribute_index;
    case PORT_ATTRIBUTE_READ:
        return get(r->attribute, VGA_ATTRIBUTE_COUNT, r->attribute_index & 0x1f);
    case PORT_MISC_WRITE:
        return 0x10; /* a monitor is there */
    case PORT_SEQUENCER:
        return vga->sequencer_index;
    case PORT_SEQUENCER + 1:
        return get(r->sequencer, VGA_SEQUENCER_COUNT, vga->sequencer_index);
    case PORT_DAC_MASK:
        return r->dac_mask;
    case PORT_DAC_READ:
        return vga->dac_state;
    case PORT_DAC_WRITE:
        return vga->dac_write;
    case PORT_DAC_DATA:
        return read_dac(vga);
    case PORT_FEATURE_READ:
        return vga->feature;
    case PORT_MISC_READ:
        return r->misc;
    case PORT_GRAPHICS:
        return vga->graphics_index;
    case PORT_GRAPHICS + 1:
        return get(r->graphics, VGA_GRAPHICS_COUNT, vga->graphics_index);
    default:
        break;
    }
    if (is_crtc_port(vga, port)) {
        return port & 1 ? get(r->crtc, VGA_CRTC_COUNT, vga->crtc_index) : vga->crtc_index;
    }
    return is_status1_port(vga, port) ? read_status1(vga) : 0xff;
}

static void write_attribute(struct vga *vga, uint8_t value)
{
    struct vga_registers *r = &vga->registers;
    unsigned index = r->attribute_index & 0x1f;
    static const uint8_t masks[VGA_ATTRIBUTE_COUNT] = {
        0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
        0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
    };

    if (!vga->attribute_data) {
        r->attribute_index = value & 0x3f;
    } else if (index < VGA_ATTRIBUTE_COUNT) {
        r->attribute[index] = value & masks[index];
    }
    vga->attribute_data = !vga->attribute_data;
}

static void write_sequencer(struct vga *vga, uint8_t value)
{
    static const uint8_t masks[VGA_SEQUENCER_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};

    if (vga->sequencer_index < VGA_SEQUENCER_COUNT) {
        vga->registers.sequencer[vga->sequencer_index] = value & masks[vga->sequencer_index];
    }
}

static void write_graphics(struct vga *vga, uint8_t value)
{
    static const uint8_t masks[VGA_GRAPHICS_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                                      0x7b, 0x0f, 0x0f, 0xff};

    if (vga->graphics_index < VGA_GRAPHICS_COUNT) {
        vga->registers.graphics[vga->graphics_index] = value & masks[vga->graphics_index];
    }
}

static void write_crtc(struct vga *vga, uint8_t value)
{
    uint8_t *crtc = vga->registers.crtc;
    unsigned index = vga->crtc_index;

    if (index >= VGA_CRTC_COUNT) {
        return;
    }
    if (index <= CRTC_OVERFLOW && crtc[CRTC_RETRACE_END] & CRTC_PROTECT) {
        if (index != CRTC_OVERFLOW) {
            return;
        }
        value = (uint8_t)((crtc[index] & ~OVERFLOW_LINE_COMPARE) | (value & OVERFLOW_LINE_COMPARE));
    }
    crtc[index] = value;
}

static void write_crtc_or_feature(struct vga *vga, unsigned port, uint8_t value)
{
    if (is_status1_port(vga, port)) {
        vga->feature = value;
    } else if (!is_crtc_port(vga, port)) {
        return;
    } else if (port & 1) {
        write_crtc(vga, value);
    } else {
        vga->crtc_index = value;
    }
}

void vga_write_port(struct vga *vga, unsigned port, uint8_t value)
{
    switch (port) {
    case PORT_ATTRIBUTE:
        write_attribute(vga, value);
        break;
    case PORT_MISC_WRITE:
        vga->registers.misc = value;
        break;
    case PORT_SEQUENCER:
        vga->sequencer_index = value;
        break;
    case PORT_SEQUENCER + 1:
        write_sequencer(vga, value);
        break;
    case PORT_DAC_MASK:
        vga->registers.dac_mask = value;
        break;
    case PORT_DAC_READ:
        vga->dac_read = value;
        vga->dac_component = 0;
        vga->dac_state = DAC_STATE_READ;
        break;
    case PORT_DAC_WRITE:
        vga->dac_write = value;
        vga->dac_component = 0;
        vga->dac_state = 0;
        break;
    case PORT_DAC_DATA:
        write_dac(vga, value);
        break;
    case PORT_GRAPHICS:
        vga->graphics_index = value;
        break;
    case PORT_GRAPHICS + 1:
        write_graphics(vga, value);
        break;
    default:
        write_crtc_or_feature(vga, port, value);
        break;
    }
}
