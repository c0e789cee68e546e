/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/display/vga-draw.h"
#include "memory/host-access.h"

#include <string.h>

#define PAGE_SHIFT 12

#define SEQUENCER_CLOCKING     1
#define CLOCKING_SCREEN_OFF    0x20
#define ATTRIBUTE_PICTURE_ON   0x20 /* of the index: palette address source */
#define GRAPHICS_MISCELLANEOUS 6
#define MISCELLANEOUS_GRAPHICS 0x01

#define CRTC_START_HIGH       0x0c
#define CRTC_START_LOW        0x0d
#define CRTC_CURSOR_HIGH      0x0e
#define CRTC_CURSOR_LOW       0x0f
#define CRTC_OFFSET           0x13
#define CRTC_UNDERLINE        0x14
#define UNDERLINE_DOUBLE_WORD 0x40
#define CRTC_MODE             0x17
#define MODE_ROW_BIT_13       0x01 /* 0: bit 13 of the address is bit 0 of the row, as on a CGA */
#define MODE_ROW_BIT_14       0x02 /* 0: bit 14 is bit 1 of the row */
#define MODE_WORD_BIT_15      0x20 /* word mode: bit 0 is bit 15, else 13 */
#define MODE_BYTE             0x40

#define ATTRIBUTE_MODE         0x10
#define MODE_INTERNAL_54       0x80 /* bits 4 and 5 of a colour come from colour select */
#define ATTRIBUTE_COLOR_SELECT 0x14

struct vga_view *vga_view_new(void)
{
    return g_new0(struct vga_view, 1);
}

void vga_view_free(struct vga_view *view)
{
    g_free(view->cells);
    g_free(view->line);
    g_free(view->dirty);
    g_free(view);
}

uint32_t *vga_line_buffer(struct vga_view *view, unsigned length)
{
    if (view->line_length < length) {
        view->line = g_renew(uint32_t, view->line, length);
        view->line_length = length;
    }
    return view->line;
}

/* The CRTC. */

unsigned vga_scan_lines(const struct vga_registers *r)
{
    return (r->crtc[0x12] | (r->crtc[0x07] & 0x02u) << 7 | (r->crtc[0x07] & 0x40u) << 3) + 1;
}

unsigned vga_line_compare(const struct vga_registers *r)
{
    return r->crtc[0x18] | (r->crtc[0x07] & 0x10u) << 4 | (r->crtc[0x09] & 0x40u) << 3;
}

uint32_t vga_start_address(const struct vga_registers *r)
{
    return (uint32_t)r->crtc[CRTC_START_HIGH] << 8 | r->crtc[CRTC_START_LOW];
}

uint32_t vga_row_pitch(const struct vga_registers *r)
{
    return r->crtc[CRTC_OFFSET] * 2u;
}

/* In double word mode addresses count double words of memory as vga.h has it. */
uint32_t vga_crtc_index(const struct vga_registers *r, uint32_t address, unsigned row)
{
    uint8_t mode = r->crtc[CRTC_MODE];
    uint32_t index = address;

    if (!(r->crtc[CRTC_UNDERLINE] & UNDERLINE_DOUBLE_WORD) && !(mode & MODE_BYTE)) {
        index = address << 1 | (address >> (mode & MODE_WORD_BIT_15 ? 15 : 13) & 1);
    }
    if (!(mode & MODE_ROW_BIT_13)) {
        index = (index & ~0x2000u) | (row & 1) << 13;
    }
    if (!(mode & MODE_ROW_BIT_14)) {
        index = (index & ~0x4000u) | (row & 2) << 13;
    }
    return index & 0xffff;
}

uint32_t vga_planes(const struct vga_picture *picture, uint32_t index)
{
    return (uint32_t)host_load_aligned(picture->bytes + ((uint64_t)index * 4 & (picture->size - 1)),
                                       4);
}

/* What was written. */

/* Take the pages of memory that were written out of the dirty log. Any at all? */
static bool collect_dirty(struct vga_view *view, struct memory_region *memory, uint32_t size)
{
    unsigned pages = size >> PAGE_SHIFT, words = pages / 64 + 1;
    bool any = false;

    if (view->dirty_words != words) {
        g_free(view->dirty);
        view->dirty = g_new0(uint64_t, words);
        view->dirty_words = words;
    }
    memset(view->dirty, 0, words * sizeof(*view->dirty));
    if (!memory_region_test_dirty(memory, 0, size, DIRTY_DISPLAY, false)) {
        return false;
    }
    for (unsigned page = 0; page < pages; page++) {
        if (memory_region_test_dirty(memory, (uint64_t)page << PAGE_SHIFT, 1 << PAGE_SHIFT,
                                     DIRTY_DISPLAY, true)) {
            view->dirty[page / 64] |= UINT64_C(1) << page % 64;
            any = true;
        }
    }
    return any;
}

bool vga_bytes_changed(const struct vga_picture *picture, uint64_t first, uint64_t length)
{
    if (picture->whole) {
        return true;
    }
    for (uint64_t page = first >> PAGE_SHIFT; page <= (first + length - 1) >> PAGE_SHIFT; page++) {
        if (page / 64 < picture->view->dirty_words &&
            picture->view->dirty[page / 64] & UINT64_C(1) << page % 64) {
            return true;
        }
    }
    return false;
}

/* Colours. */

static void make_colors(struct vga_picture *picture)
{
    const struct vga_registers *r = picture->registers;
    bool is_wide = r->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;
    uint8_t mode = r->attribute[ATTRIBUTE_MODE], select = r->attribute[ATTRIBUTE_COLOR_SELECT];

    for (unsigned i = 0; i < 256; i++) {
        uint32_t color = 0;

        for (unsigned j = 0; j < 3; j++) {
            uint8_t value = r->palette[(i & r->dac_mask) * 3 + j];

            color = color << 8 | (uint8_t)(is_wide ? value : value << 2 | (value >> 4 & 3));
        }
        picture->colors[i] = color;
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned index = r->attribute[i] & 0x3f;

        if (mode & MODE_INTERNAL_54) {
            index = (index & 0x0f) | (select & 0x03u) << 4;
        }
        picture->attributes[i] = picture->colors[index | (select & 0x0cu) << 4];
    }
}

/* Modes. */

static bool is_blank(const struct vga_registers *r)
{
    return !(r->attribute_index & ATTRIBUTE_PICTURE_ON) ||
           r->sequencer[SEQUENCER_CLOCKING] & CLOCKING_SCREEN_OFF;
}

static bool is_text(const struct vga_registers *r)
{
    return !vga_dispi_is_on(r) && !(r->graphics[GRAPHICS_MISCELLANEOUS] & MISCELLANEOUS_GRAPHICS);
}

static void find_size(const struct vga_registers *r, unsigned *width, unsigned *height)
{
    if (vga_dispi_is_on(r)) {
        *width = r->dispi[DISPI_XRES];
        *height = r->dispi[DISPI_YRES];
    } else if (is_text(r)) {
        vga_text_size(r, width, height);
    } else {
        vga_graphics_size(r, width, height);
    }
    *width = CLAMP(*width, 1, SURFACE_SIZE_MAX);
    *height = CLAMP(*height, 1, SURFACE_SIZE_MAX);
}

/* Nothing is shown: of the size before, or one that a screen without signal may well have. */
static void draw_blank(struct vga_picture *picture, bool *resized)
{
    struct surface *surface = picture->surface;
    uint32_t *line;

    if (!surface->pixels) {
        surface_resize(surface, 640, 480);
        *resized = true;
    }
    line = vga_line_buffer(picture->view, surface->width);
    memset(line, 0, surface->width * sizeof(*line));
    for (unsigned y = 0; y < surface->height; y++) {
        surface_draw_row(surface, 0, y, line, surface->width, picture->changes);
    }
}

static void draw_mode(struct vga_picture *picture, bool *resized)
{
    struct surface *surface = picture->surface;
    unsigned width, height;

    find_size(picture->registers, &width, &height);
    if (surface->width != width || surface->height != height) {
        surface_resize(surface, width, height);
        *resized = true;
    }
    make_colors(picture);
    if (is_text(picture->registers)) {
        vga_draw_text(picture);
    } else if (vga_dispi_is_on(picture->registers) && picture->registers->dispi[DISPI_BPP] > 4) {
        vga_draw_linear(picture);
    } else {
        vga_draw_graphics(picture);
    }
}

void vga_draw(struct vga_view *view, const struct vga_registers *registers,
              struct memory_region *memory, uint32_t memory_size, bool tracks, uint64_t now,
              struct surface *surface, bool *resized, GArray *changes)
{
    struct vga_picture picture = {
        .view = view,
        .registers = registers,
        .bytes = vga_memory_bytes(memory),
        .size = memory_size,
        .surface = surface,
        .changes = changes,
        .now = now,
    };
    struct vga_registers compared = *registers;
    bool any_dirty = !tracks || collect_dirty(view, memory, memory_size);

    /* The cursor is part of the text's cells, and may move without a look at all the rest. */
    compared.crtc[CRTC_CURSOR_HIGH] = compared.crtc[CRTC_CURSOR_LOW] = 0;
    picture.whole =
        !tracks || !view->is_valid || memcmp(&compared, &view->registers, sizeof(compared)) != 0;
    view->registers = compared;
    view->is_valid = true;
    if (is_blank(registers)) {
        if (picture.whole) {
            draw_blank(&picture, resized);
        }
    } else if (picture.whole || any_dirty || is_text(registers)) {
        draw_mode(&picture, resized);
    }
}
