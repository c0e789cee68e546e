/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/display/surface.h"
#include "util/crc32.h"

#include <string.h>

void surface_resize(struct surface *surface, unsigned width, unsigned height)
{
    g_clear_pointer(&surface->pixels, g_free);
    surface->width = width;
    surface->height = height;
    if (width && height) {
        surface->pixels = g_new0(uint32_t, (gsize)width * height);
    }
}

void surface_clear(struct surface *surface)
{
    surface_resize(surface, 0, 0);
}

void surface_add_change(GArray *changes, struct surface_rect rect)
{
    struct surface_rect *last =
        changes->len ? &g_array_index(changes, struct surface_rect, changes->len - 1) : NULL;
    unsigned right;

    if (last && last->y + last->height >= rect.y && last->y <= rect.y) {
        right = MAX(last->x + last->width, rect.x + rect.width);
        last->x = MIN(last->x, rect.x);
        last->width = right - last->x;
        last->height = MAX(last->height, rect.y + rect.height - last->y);
        return;
    }
    g_array_append_val(changes, rect);
}

void surface_draw_row(struct surface *surface, unsigned x, unsigned y, const uint32_t *pixels,
                      unsigned width, GArray *changes)
{
    uint32_t *row = surface_row(surface, y) + x;
    unsigned first = 0, end = width;

    if (memcmp(row, pixels, width * sizeof(*row)) == 0) {
        return;
    }
    while (row[first] == pixels[first]) {
        first++;
    }
    while (row[end - 1] == pixels[end - 1]) {
        end--;
    }
    memcpy(row + first, pixels + first, (end - first) * sizeof(*row));
    surface_add_change(changes, (struct surface_rect){x + first, y, end - first, 1});
}

static void append_pixels(GByteArray *out, const uint32_t *pixels, unsigned count)
{
    guint at = out->len;
    uint8_t *bytes;

    g_byte_array_set_size(out, at + 3 * count);
    bytes = out->data + at;
    for (unsigned i = 0; i < count; i++) {
        bytes[3 * i] = (uint8_t)(pixels[i] >> 16);
        bytes[3 * i + 1] = (uint8_t)(pixels[i] >> 8);
        bytes[3 * i + 2] = (uint8_t)pixels[i];
    }
}

GByteArray *surface_to_ppm(const struct surface *surface)
{
    GByteArray *out = g_byte_array_new();
    g_autofree char *header = g_strdup_printf("P6\n%u %u\n255\n", surface->width, surface->height);

    g_byte_array_append(out, (const uint8_t *)header, (guint)strlen(header));
    for (unsigned y = 0; y < surface->height; y++) {
        append_pixels(out, surface_row(surface, y), surface->width);
    }
    return out;
}

/* PNG (W3C, second edition). The pixels are stored, not compressed (RFC 1951, 3.2.4): a picture of
 * a screen is written now and then, and no library is needed for it. */

static void append_be32(GByteArray *out, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    g_byte_array_append(out, (const uint8_t *)&value, 4);
}

static void append_chunk(GByteArray *out, const char *type, const uint8_t *data, guint length)
{
    guint start = out->len + 4;

    append_be32(out, length);
    g_byte_array_append(out, (const uint8_t *)type, 4);
    g_byte_array_append(out, data, length);
    append_be32(out, crc32_of(out->data + start, length + 4));
}

static uint32_t adler32_of(const uint8_t *data, size_t length)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < length; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* A zlib stream (RFC 1950) of stored blocks. */
static GByteArray *store(const GByteArray *data)
{
    static const uint8_t header[] = {0x78, 0x01};
    GByteArray *out = g_byte_array_new();
    guint at = 0;

    g_byte_array_append(out, header, sizeof(header));
    do {
        guint part = MIN(data->len - at, 0xffff);
        bool is_last = at + part == data->len;
        uint8_t block[] = {is_last, (uint8_t)part, (uint8_t)(part >> 8), (uint8_t)~part,
                           (uint8_t)(~part >> 8)};

        g_byte_array_append(out, block, sizeof(block));
        g_byte_array_append(out, data->data + at, part);
        at += part;
    } while (at < data->len);
    append_be32(out, adler32_of(data->data, data->len));
    return out;
}

GByteArray *surface_to_png(const struct surface *surface)
{
    static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t no_filter = 0, format[] = {8, 2, 0, 0, 0}; /* 8 bits, RGB */
    g_autoptr(GByteArray) header = g_byte_array_new(), rows = g_byte_array_new();
    g_autoptr(GByteArray) stream = NULL;
    GByteArray *out = g_byte_array_new();

    append_be32(header, surface->width);
    append_be32(header, surface->height);
    g_byte_array_append(header, format, sizeof(format));
    for (unsigned y = 0; y < surface->height; y++) {
        g_byte_array_append(rows, &no_filter, 1);
        append_pixels(rows, surface_row(surface, y), surface->width);
    }
    stream = store(rows);
    g_byte_array_append(out, signature, sizeof(signature));
    append_chunk(out, "IHDR", header->data, header->len);
    append_chunk(out, "IDAT", stream->data, stream->len);
    append_chunk(out, "IEND", NULL, 0);
    return out;
}
