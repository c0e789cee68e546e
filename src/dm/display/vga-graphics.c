/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Graphic modes: planes, 256 colours, and the display interface's linear ones. */
#include "dm/display/vga-draw.h"
#include "memory/host-access.h"

#include <string.h>

#define GRAPHICS_MODE    5
#define MODE_INTERLEAVED 0x20 /* two bits of a pixel lie side by side, as on a CGA */
#define MODE_256_COLORS  0x40

#define CRTC_SHOWN      0x01
#define CRTC_PRESET_ROW 0x08
#define CRTC_LINES      0x09
#define CRTC_MODE       0x17
#define MODE_ROW_BITS   0x03 /* both set: all scan lines of a row are alike */

#define ATTRIBUTE_MODE     0x10
#define MODE_SPLIT_PANNING 0x20
#define ATTRIBUTE_PLANES   0x12
#define ATTRIBUTE_PANNING  0x13

static bool has_256_colors(const struct vga_registers *r)
{
    return r->graphics[GRAPHICS_MODE] & MODE_256_COLORS;
}

/* Dots that one address makes. */
static unsigned dots_of(const struct vga_registers *r)
{
    return has_256_colors(r) ? 4 : 8;
}

static unsigned double_scan(const struct vga_registers *r)
{
    return vga_has_double_scan(r) ? 2 : 1;
}

static unsigned row_lines(const struct vga_registers *r)
{
    return (r->crtc[CRTC_LINES] & 0x1fu) + 1;
}

/* Scan lines that are alike, of which one is drawn. */
static unsigned scan_step(const struct vga_registers *r)
{
    bool alike = (r->crtc[CRTC_MODE] & MODE_ROW_BITS) == MODE_ROW_BITS;

    return double_scan(r) * (alike ? row_lines(r) : 1);
}

void vga_graphics_size(const struct vga_registers *r, unsigned *width, unsigned *height)
{
    *width = (r->crtc[CRTC_SHOWN] + 1u) * dots_of(r);
    *height = vga_scan_lines(r) / scan_step(r);
}

/* Eight dots of four planes, a bit of each. */
static void draw_planar(const struct vga_picture *picture, uint32_t planes, uint32_t *out)
{
    unsigned enabled = picture->registers->attribute[ATTRIBUTE_PLANES] & 0x0f;

    for (unsigned i = 0; i < 8; i++) {
        uint32_t bits = planes >> (7 - i) & 0x01010101;

        /* Bits 0, 8, 16, 24 come together in bits 24 to 27. */
        out[i] = picture->attributes[(bits * 0x01020408u >> 24) & enabled];
    }
}

/* Eight dots of two bits: four of planes 0 (and 2), four of planes 1 (and 3). */
static void draw_interleaved(const struct vga_picture *picture, uint32_t planes, uint32_t *out)
{
    unsigned enabled = picture->registers->attribute[ATTRIBUTE_PLANES] & 0x0f;

    for (unsigned i = 0; i < 8; i++) {
        unsigned shift = (i < 4 ? 0 : 8) + 6 - 2 * (i % 4);
        unsigned index = (planes >> shift & 3) | (planes >> (16 + shift) & 3) << 2;

        out[i] = picture->attributes[index & enabled];
    }
}

static void draw_256(const struct vga_picture *picture, uint32_t planes, uint32_t *out)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = picture->colors[planes >> 8 * i & 0xff];
    }
}

/* Where a line of the picture comes from. */
struct line {
    uint32_t address; /* of the CRTC */
    unsigned row;     /* scan line of a character row */
    unsigned panning; /* dots */
};

static void draw_line(struct vga_picture *picture, const struct line *line, unsigned y)
{
    const struct vga_registers *r = picture->registers;
    unsigned dots = dots_of(r), width = picture->surface->width;
    unsigned count = (width + dots - 1) / dots + 1;
    uint32_t *pixels = vga_line_buffer(picture->view, count * dots);
    bool is_dispi = vga_dispi_is_on(r);

    for (unsigned i = 0; i < count; i++) {
        uint32_t index =
            is_dispi ? line->address + i : vga_crtc_index(r, line->address + i, line->row);
        uint32_t planes = vga_planes(picture, index);

        if (has_256_colors(r) && !is_dispi) {
            draw_256(picture, planes, pixels + i * dots);
        } else if (r->graphics[GRAPHICS_MODE] & MODE_INTERLEAVED && !is_dispi) {
            draw_interleaved(picture, planes, pixels + i * dots);
        } else {
            draw_planar(picture, planes, pixels + i * dots);
        }
    }
    surface_draw_row(picture->surface, 0, y, pixels + line->panning, width, picture->changes);
}

/* The display interface's 16 colours: lines of eighths of pixels. */
static void draw_dispi_planar(struct vga_picture *picture)
{
    const uint16_t *dispi = picture->registers->dispi;
    unsigned pitch = dispi[DISPI_VIRT_WIDTH] / 8;

    for (unsigned y = 0; y < picture->surface->height; y++) {
        struct line line = {
            .address = (dispi[DISPI_Y_OFFSET] + y) * pitch + dispi[DISPI_X_OFFSET] / 8,
            .panning = dispi[DISPI_X_OFFSET] % 8,
        };

        draw_line(picture, &line, y);
    }
}

static unsigned panning_of(const struct vga_registers *r)
{
    unsigned panning = r->attribute[ATTRIBUTE_PANNING] & 7;

    return has_256_colors(r) ? panning / 2 : panning;
}

void vga_draw_graphics(struct vga_picture *picture)
{
    const struct vga_registers *r = picture->registers;
    unsigned lines = row_lines(r), step = scan_step(r), split = vga_line_compare(r);
    unsigned preset = r->crtc[CRTC_PRESET_ROW] & 0x1f;
    bool pans_below = !(r->attribute[ATTRIBUTE_MODE] & MODE_SPLIT_PANNING);

    if (vga_dispi_is_on(r)) {
        draw_dispi_planar(picture);
        return;
    }
    for (unsigned y = 0; y < picture->surface->height; y++) {
        unsigned scan = y * step;
        bool below = scan > split;
        unsigned place =
            (below ? scan - split - 1 : scan + preset * double_scan(r)) / double_scan(r);
        struct line line = {
            .address = (below ? 0 : vga_start_address(r)) + place / lines * vga_row_pitch(r),
            .row = place % lines,
            .panning = below && !pans_below ? 0 : panning_of(r),
        };

        draw_line(picture, &line, y);
    }
}

/* Linear modes. */

static uint32_t scale(unsigned value, unsigned bits)
{
    return bits == 5 ? value << 3 | value >> 2 : value << 2 | value >> 4;
}

static void convert_8(const struct vga_picture *picture, const uint8_t *bytes, uint32_t *out,
                      unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        out[i] = picture->colors[bytes[i]];
    }
}

static void convert_16(const struct vga_picture *picture, const uint8_t *bytes, uint32_t *out,
                       unsigned width)
{
    bool is_15 = picture->registers->dispi[DISPI_BPP] == 15;

    for (unsigned i = 0; i < width; i++) {
        unsigned pixel = bytes[2 * i] | (unsigned)bytes[2 * i + 1] << 8;
        unsigned red, green;

        if (picture->registers->big_endian) {
            pixel = GUINT16_SWAP_LE_BE((uint16_t)pixel);
        }
        red = pixel >> (is_15 ? 10 : 11) & 0x1f;
        green = pixel >> 5 & (is_15 ? 0x1f : 0x3f);
        out[i] = scale(red, 5) << 16 | scale(green, is_15 ? 5 : 6) << 8 | scale(pixel & 0x1f, 5);
    }
}

static void convert_24(const struct vga_picture *picture, const uint8_t *bytes, uint32_t *out,
                       unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        out[i] = bytes[3 * i] | (uint32_t)bytes[3 * i + 1] << 8 | (uint32_t)bytes[3 * i + 2] << 16;
    }
}

static void convert_32(const struct vga_picture *picture, const uint8_t *bytes, uint32_t *out,
                       unsigned width)
{
    memcpy(out, bytes, width * sizeof(*out));
    for (unsigned i = 0; i < width; i++) {
        out[i] =
            (picture->registers->big_endian ? GUINT32_FROM_BE(out[i]) : GUINT32_FROM_LE(out[i])) &
            0xffffff;
    }
}

void vga_draw_linear(struct vga_picture *picture)
{
    static void (*const converters[])(const struct vga_picture *picture, const uint8_t *bytes,
                                      uint32_t *out, unsigned width) = {NULL, convert_8, convert_16,
                                                                        convert_24, convert_32};
    const uint16_t *dispi = picture->registers->dispi;
    unsigned size = (dispi[DISPI_BPP] + 7u) / 8, width = picture->surface->width;
    uint64_t pitch = (uint64_t)dispi[DISPI_VIRT_WIDTH] * size, length = (uint64_t)width * size;
    /* One buffer for a line's bytes and its pixels. */
    uint32_t *pixels = vga_line_buffer(picture->view, 2 * width);
    uint8_t *bytes = (uint8_t *)(pixels + width);

    for (unsigned y = 0; y < picture->surface->height; y++) {
        uint64_t start =
            (dispi[DISPI_Y_OFFSET] + y) * pitch + (uint64_t)dispi[DISPI_X_OFFSET] * size;

        if (start + length > picture->size) {
            break;
        }
        if (vga_bytes_changed(picture, start, length)) {
            host_read(bytes, picture->bytes + start, length, false);
            converters[size](picture, bytes, pixels, width);
            surface_draw_row(picture->surface, 0, y, pixels, width, picture->changes);
        }
    }
}
