/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text modes: characters and attributes in planes 0 and 1, fonts in plane 2. */
#include "dm/display/vga-draw.h"

#include <string.h>

#define SEQUENCER_CLOCKING 1
#define CLOCKING_8_DOTS    0x01
#define SEQUENCER_FONTS    3

#define CRTC_SHOWN        0x01 /* characters in a row, less 1 */
#define CRTC_PRESET_ROW   0x08
#define CRTC_LINES        0x09 /* scan lines of a character, less 1 */
#define CRTC_CURSOR_START 0x0a
#define CURSOR_OFF        0x20
#define CRTC_CURSOR_END   0x0b
#define CRTC_CURSOR_HIGH  0x0e
#define CRTC_CURSOR_LOW   0x0f
#define CRTC_UNDERLINE    0x14

#define ATTRIBUTE_MODE     0x10
#define MODE_MONOCHROME    0x02
#define MODE_LINE_GRAPHICS 0x04
#define MODE_BLINK         0x08
#define MODE_SPLIT_PANNING 0x20 /* no panning below the line compare */
#define ATTRIBUTE_PANNING  0x13

#define CURSOR_PERIOD_NS 266000000u /* half of: 16 frames of 60 Hz */
#define BLINK_PERIOD_NS  533000000u

/* A cell as it was shown: character, attribute, and these. */
#define CELL_CURSOR 0x10000u
#define CELL_NEVER  UINT32_MAX /* no cell looks like that */

struct text {
    unsigned columns, dots, lines; /* dots and scan lines of a character */
    unsigned panning;              /* dots */
    uint32_t cursor;               /* address of it */
    bool cursor_shown, blink_off;
    const uint8_t *fonts[2]; /* for attributes with bit 3 clear, and set */
    unsigned next_cell;      /* index into view->cells */
};

static unsigned dots_of(const struct vga_registers *r)
{
    return r->sequencer[SEQUENCER_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9;
}

static unsigned scan_divisor(const struct vga_registers *r)
{
    return vga_has_double_scan(r) ? 2 : 1;
}

void vga_text_size(const struct vga_registers *r, unsigned *width, unsigned *height)
{
    *width = (r->crtc[CRTC_SHOWN] + 1u) * dots_of(r);
    *height = vga_scan_lines(r) / scan_divisor(r);
}

/* Copy both fonts out of plane 2; has one changed? */
static bool load_fonts(struct vga_picture *picture, struct text *text)
{
    static const uint16_t places[8] = {0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};
    uint8_t map = picture->registers->sequencer[SEQUENCER_FONTS];
    const unsigned selected[2] = {(map & 3) | (map >> 2 & 4), (map >> 2 & 3) | (map >> 3 & 4)};
    bool changed = false;

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *font = picture->view->fonts[i];

        text->fonts[i] = font;
        for (unsigned j = 0; j < VGA_FONT_BYTES; j++) {
            uint8_t byte = (uint8_t)(vga_planes(picture, places[selected[i]] + j) >> 16);

            changed |= font[j] != byte;
            font[j] = byte;
        }
    }
    return changed;
}

static struct text read_text(struct vga_picture *picture)
{
    const struct vga_registers *r = picture->registers;
    struct text text = {
        .columns = r->crtc[CRTC_SHOWN] + 1u,
        .dots = dots_of(r),
        .lines = (r->crtc[CRTC_LINES] & 0x1fu) + 1,
        .panning = r->attribute[ATTRIBUTE_PANNING],
        .cursor = (uint32_t)r->crtc[CRTC_CURSOR_HIGH] << 8 | r->crtc[CRTC_CURSOR_LOW],
    };

    /* Of 9 dots, panning 8 is none, and 0 is one dot. */
    text.panning = text.dots == 9 ? (text.panning + 1) % 9 : text.panning & 7;
    if (r->attribute[ATTRIBUTE_PANNING] > 8) {
        text.panning = 0;
    }
    text.cursor_shown = !(r->crtc[CRTC_CURSOR_START] & CURSOR_OFF) &&
                        (r->crtc[CRTC_CURSOR_START] & 0x1f) <= (r->crtc[CRTC_CURSOR_END] & 0x1f) &&
                        picture->now / CURSOR_PERIOD_NS % 2 == 0;
    text.blink_off =
        r->attribute[ATTRIBUTE_MODE] & MODE_BLINK && picture->now / BLINK_PERIOD_NS % 2;
    return text;
}

/* Foreground and background of an attribute. */
static void find_colors(const struct vga_picture *picture, const struct text *text,
                        uint8_t attribute, uint32_t colors[2])
{
    const struct vga_registers *r = picture->registers;
    uint8_t enabled = r->attribute[0x12] & 0x0f, front = attribute & 0x0f, back = attribute >> 4;

    if (r->attribute[ATTRIBUTE_MODE] & MODE_BLINK) {
        back &= 7;
        front = attribute & 0x80 && text->blink_off ? back : front;
    }
    colors[0] = picture->attributes[back & enabled];
    colors[1] = picture->attributes[front & enabled];
}

/* One scan line of a cell: its dots as bits, the first in bit 8. */
static unsigned find_dots(const struct vga_picture *picture, const struct text *text, uint32_t cell,
                          unsigned line)
{
    const struct vga_registers *r = picture->registers;
    uint8_t character = (uint8_t)cell, attribute = (uint8_t)(cell >> 8);
    unsigned dots = text->fonts[attribute >> 3 & 1][character * VGA_GLYPH_BYTES + line] << 1;

    if (character >= 0xc0 && character <= 0xdf &&
        r->attribute[ATTRIBUTE_MODE] & MODE_LINE_GRAPHICS) {
        dots |= dots >> 1 & 1;
    }
    if (r->attribute[ATTRIBUTE_MODE] & MODE_MONOCHROME && (attribute & 7) == 1 &&
        line == (r->crtc[CRTC_UNDERLINE] & 0x1fu)) {
        dots = 0x1ff;
    }
    if (cell & CELL_CURSOR && line >= (r->crtc[CRTC_CURSOR_START] & 0x1fu) &&
        line <= (r->crtc[CRTC_CURSOR_END] & 0x1fu)) {
        dots = 0x1ff;
    }
    return dots;
}

static void draw_scan_line(struct vga_picture *picture, const struct text *text,
                           const uint32_t *cells, unsigned count, unsigned line, unsigned y,
                           unsigned panning)
{
    uint32_t *pixels = vga_line_buffer(picture->view, count * text->dots), *out = pixels;
    uint32_t colors[2];

    for (unsigned i = 0; i < count; i++) {
        unsigned dots = find_dots(picture, text, cells[i], line);

        find_colors(picture, text, (uint8_t)(cells[i] >> 8), colors);
        for (unsigned j = 0; j < text->dots; j++) {
            *out++ = colors[dots >> (8 - j) & 1];
        }
    }
    surface_draw_row(picture->surface, 0, y, pixels + panning, picture->surface->width,
                     picture->changes);
}

/* Read a row of cells; false: they are as they were shown last. */
static bool read_row(struct vga_picture *picture, struct text *text, uint32_t address,
                     uint32_t *cells, unsigned count)
{
    struct vga_view *view = picture->view;
    bool changed = picture->whole;

    if (view->cell_count < text->next_cell + count) {
        unsigned room = MAX(2 * view->cell_count, text->next_cell + count);

        view->cells = g_renew(uint32_t, view->cells, room);
        for (unsigned i = view->cell_count; i < room; i++) {
            view->cells[i] = CELL_NEVER;
        }
        view->cell_count = room;
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t index = vga_crtc_index(picture->registers, address + i, 0);

        cells[i] = vga_planes(picture, index) & 0xffff;
        if (text->cursor_shown && ((address + i) & 0xffff) == text->cursor) {
            cells[i] |= CELL_CURSOR;
        }
        changed |= view->cells[text->next_cell] != cells[i];
        view->cells[text->next_cell++] = cells[i];
    }
    return changed;
}

/* Rows from scan line y to end, the first of them from its scan line `line` on. */
static void draw_rows(struct vga_picture *picture, struct text *text, unsigned y, unsigned end,
                      uint32_t address, unsigned line, unsigned panning)
{
    unsigned count = text->columns + (panning ? 1 : 0);
    uint32_t cells[VGA_TEXT_COLUMNS_MAX];

    for (; y < end; address += vga_row_pitch(picture->registers)) {
        bool changed = read_row(picture, text, address, cells, count);

        for (; line < text->lines && y < end; line++, y++) {
            if (changed) {
                draw_scan_line(picture, text, cells, count, line, y, panning);
            }
        }
        line = 0;
    }
}

void vga_draw_text(struct vga_picture *picture)
{
    const struct vga_registers *r = picture->registers;
    struct text text = read_text(picture);
    unsigned height = picture->surface->height;
    unsigned split = MIN(vga_line_compare(r) / scan_divisor(r) + 1, height);
    unsigned preset = MIN(r->crtc[CRTC_PRESET_ROW] & 0x1fu, text.lines - 1);
    bool pans_below = !(r->attribute[ATTRIBUTE_MODE] & MODE_SPLIT_PANNING);

    picture->whole |= load_fonts(picture, &text) || picture->view->blink != text.blink_off;
    picture->view->blink = text.blink_off;
    draw_rows(picture, &text, 0, split, vga_start_address(r), preset, text.panning);
    draw_rows(picture, &text, split, height, 0, 0, pans_below ? text.panning : 0);
}
