/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A picture in memory, and which parts of it changed. */
#ifndef DUODM_DM_DISPLAY_SURFACE_H
#define DUODM_DM_DISPLAY_SURFACE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define SURFACE_SIZE_MAX 8192u /* pixels in each direction */

struct surface {
    uint32_t *pixels; /* width * height of xx RR GG BB, no padding; the first byte means nothing */
    unsigned width, height;
};

struct surface_rect {
    unsigned x, y, width, height;
};

/* Black, of another size. Frees what was there. */
void surface_resize(struct surface *surface, unsigned width, unsigned height);
void surface_clear(struct surface *surface);

static inline uint32_t *surface_row(const struct surface *surface, unsigned y)
{
    return surface->pixels + (size_t)y * surface->width;
}

/* Rectangles that changed: GArray of struct surface_rect. Adds one; joins it with the last where
 * they lie below one another. */
void surface_add_change(GArray *changes, struct surface_rect rect);
/* Put `width` pixels in place from x, y on, and note what differs from what was there. */
void surface_draw_row(struct surface *surface, unsigned x, unsigned y, const uint32_t *pixels,
                      unsigned width, GArray *changes);

/* The picture as a file. */
GByteArray *surface_to_ppm(const struct surface *surface);
GByteArray *surface_to_png(const struct surface *surface);

#endif
