/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The picture that a VGA's registers and memory make. Works on a copy of the registers, no lock. */
#ifndef DUODM_DM_DISPLAY_VGA_DRAW_H
#define DUODM_DM_DISPLAY_VGA_DRAW_H

#include "dm/display/surface.h"
#include "dm/display/vga.h"

/* What was drawn last for one viewer. */
struct vga_view;
struct vga_view *vga_view_new(void);
void vga_view_free(struct vga_view *view);

/* Draw. tracks: what did not change according to the display's dirty log needs no look (the caller
 * has brought it up to date). now: ns, for what blinks. resized and changes as display.h has it. */
void vga_draw(struct vga_view *view, const struct vga_registers *registers,
              struct memory_region *memory, uint32_t memory_size, bool tracks, uint64_t now,
              struct surface *surface, bool *resized, GArray *changes);

/* For vga-draw*.c, vga-text.c, vga-graphics.c. */

#define VGA_TEXT_COLUMNS_MAX 257 /* with the one that panning brings in */
#define VGA_GLYPH_BYTES      32
#define VGA_FONT_BYTES       (256 * VGA_GLYPH_BYTES)

struct vga_view {
    bool is_valid;                  /* something was drawn already */
    struct vga_registers registers; /* those of the last time; without the cursor's place */
    /* Text. */
    uint32_t *cells; /* as shown, row after row */
    unsigned cell_count;
    bool blink; /* phase of characters */
    uint8_t fonts[2][VGA_FONT_BYTES];
    /* Scratch. */
    uint32_t *line; /* of line_length pixels */
    unsigned line_length;
    uint64_t *dirty; /* a bit for each page of memory */
    unsigned dirty_words;
};

/* One drawing. */
struct vga_picture {
    struct vga_view *view;
    const struct vga_registers *registers;
    const uint8_t *bytes; /* video memory */
    uint32_t size;        /* bytes of it, a power of two */
    struct surface *surface;
    GArray *changes;
    bool whole; /* draw all, whether it seems to have changed or not */
    uint64_t now;
    uint32_t colors[256];    /* of the DAC */
    uint32_t attributes[16]; /* colours of the attribute controller's 16 */
};

/* Scan lines that are shown, as the CRTC counts them. */
unsigned vga_scan_lines(const struct vga_registers *registers);
/* The line after which the screen starts again at address 0. */
unsigned vga_line_compare(const struct vga_registers *registers);
/* Start address and distance of rows, in the CRTC's units. */
uint32_t vga_start_address(const struct vga_registers *registers);
uint32_t vga_row_pitch(const struct vga_registers *registers);
/* The double word of memory that an address of the CRTC means in scan line `row` of a character. */
uint32_t vga_crtc_index(const struct vga_registers *registers, uint32_t address, unsigned row);
/* The four planes there. */
uint32_t vga_planes(const struct vga_picture *picture, uint32_t index);
/* Have these bytes of memory been written since the last drawing? */
bool vga_bytes_changed(const struct vga_picture *picture, uint64_t first, uint64_t length);
/* Room for `length` pixels, kept for the next line; its contents do not stay. */
uint32_t *vga_line_buffer(struct vga_view *view, unsigned length);

static inline bool vga_has_double_scan(const struct vga_registers *registers)
{
    return registers->crtc[0x09] & 0x80;
}

/* Text modes: size of the picture in pixels, and the picture. */
void vga_text_size(const struct vga_registers *registers, unsigned *width, unsigned *height);
void vga_draw_text(struct vga_picture *picture);
/* Planes, and 256 colours without the display interface. */
void vga_graphics_size(const struct vga_registers *registers, unsigned *width, unsigned *height);
void vga_draw_graphics(struct vga_picture *picture);
/* The display interface's modes of 8 bits and more. */
void vga_draw_linear(struct vga_picture *picture);

#endif
