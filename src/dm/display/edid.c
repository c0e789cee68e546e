/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/display/edid.h"
#include "util/little-endian.h"

#include <glib.h>
#include <string.h>

#define REFRESH_HZ    60
#define DOTS_PER_INCH 100

/* The sections by their offsets: table 3.1. */
#define MANUFACTURER    0x08
#define WEEK            0x10
#define VERSION         0x12
#define INPUT           0x14
#define SIZE_CM         0x15
#define GAMMA           0x17
#define FEATURES        0x18
#define ESTABLISHED     0x23
#define STANDARD        0x26
#define DETAILED        0x36
#define DESCRIPTOR_SIZE 18
#define CHECKSUM        0x7f

/* 3.9: width / 8 - 31; aspect ratio (0: 16:10, 1: 4:3, 2: 5:4, 3: 16:9) and refresh rate - 60. */
static void make_standard(uint8_t *timing)
{
    static const struct {
        uint16_t width;
        uint8_t aspect;
    } modes[8] = {{1280, 2}, {1280, 3}, {1440, 0}, {1600, 1},
                  {1680, 0}, {1920, 3}, {1920, 0}, {0, 0}};

    for (unsigned i = 0; i < 8; i++) {
        timing[2 * i] = modes[i].width ? (uint8_t)(modes[i].width / 8 - 31) : 1;
        timing[2 * i + 1] = modes[i].width ? (uint8_t)(modes[i].aspect << 6) : 1;
    }
}

/* 3.10.2: with blanking of a quarter of the width, and of 35 lines. */
static void make_detailed(uint8_t *d, unsigned width, unsigned height)
{
    unsigned blank_x = (width / 4 + 7) & ~7u, blank_y = 35;
    unsigned sync_start = blank_x / 4, sync_width = blank_x / 4;
    unsigned width_mm = width * 254 / (10 * DOTS_PER_INCH);
    unsigned height_mm = height * 254 / (10 * DOTS_PER_INCH);
    uint64_t clock = (uint64_t)(width + blank_x) * (height + blank_y) * REFRESH_HZ / 10000;

    store_le16(d, (uint16_t)MIN(clock, UINT16_MAX)); /* in 10 kHz */
    d[2] = (uint8_t)width;
    d[3] = (uint8_t)blank_x;
    d[4] = (uint8_t)((width >> 8) << 4 | blank_x >> 8);
    d[5] = (uint8_t)height;
    d[6] = (uint8_t)blank_y;
    d[7] = (uint8_t)((height >> 8) << 4 | blank_y >> 8);
    d[8] = (uint8_t)sync_start;
    d[9] = (uint8_t)sync_width;
    d[10] = 3 << 4 | 6; /* vertical: front porch and width, lines */
    d[11] = (uint8_t)(sync_start >> 8 << 6 | sync_width >> 8 << 4);
    d[12] = (uint8_t)width_mm;
    d[13] = (uint8_t)height_mm;
    d[14] = (uint8_t)(width_mm >> 8 << 4 | height_mm >> 8);
    d[17] = 0x18; /* digital, separate syncs */
}

/* 3.10.3: a text of at most 13 bytes, ended by a line feed. */
static void make_text(uint8_t *d, uint8_t tag, const char *text)
{
    size_t length = strlen(text);

    d[3] = tag;
    memset(d + 5, ' ', 13);
    memcpy(d + 5, text, length);
    if (length < 13) {
        d[5 + length] = '\n';
    }
}

void edid_make(uint8_t edid[EDID_SIZE], unsigned width, unsigned height)
{
    static const uint8_t header[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    static const uint8_t ranges[] = {50, 125, 30, 160, 60, 0, '\n', ' ', ' ', ' ', ' ', ' ', ' '};
    uint8_t *descriptor = edid + DETAILED, sum = 0;

    memset(edid, 0, EDID_SIZE);
    memcpy(edid, header, sizeof(header));
    edid[MANUFACTURER] = (uint8_t)(4 << 2 | 21 >> 3); /* "DUO", five bits a letter */
    edid[MANUFACTURER + 1] = (uint8_t)(21 << 5 | 15);
    edid[MANUFACTURER + 2] = 1;
    edid[WEEK] = 1;
    edid[WEEK + 1] = 2026 - 1990;
    edid[VERSION] = 1;
    edid[VERSION + 1] = 4;
    edid[INPUT] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
    edid[SIZE_CM] = (uint8_t)MIN(width * 254 / (100 * DOTS_PER_INCH), 255);
    edid[SIZE_CM + 1] = (uint8_t)MIN(height * 254 / (100 * DOTS_PER_INCH), 255);
    edid[GAMMA] = 220 - 100;
    edid[FEATURES] = 0x06;        /* sRGB; the first detailed timing is the native one */
    edid[ESTABLISHED] = 0x21;     /* 640x480 and 800x600 at 60 Hz */
    edid[ESTABLISHED + 1] = 0x08; /* 1024x768 at 60 Hz */
    make_standard(edid + STANDARD);
    make_detailed(descriptor, width, height);
    descriptor += DESCRIPTOR_SIZE;
    descriptor[3] = 0xfd;
    memcpy(descriptor + 5, ranges, sizeof(ranges));
    make_text(descriptor + DESCRIPTOR_SIZE, 0xfc, "duodm screen");
    make_text(descriptor + 2 * DESCRIPTOR_SIZE, 0xff, "1");
    for (unsigned i = 0; i < CHECKSUM; i++) {
        sum = (uint8_t)(sum + edid[i]);
    }
    edid[CHECKSUM] = (uint8_t)-sum;
}
