/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VGA: its graphics controller and its pictures, against naive models. */
#include "dm/display/edid.h"
#include "dm/display/vga-draw.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <string.h>

#define MEMORY_SIZE (1u << 20)
#define PLANE_BYTES 65536

struct fixture {
    struct memory_region memory;
    struct vga vga;
    struct surface surface;
    struct vga_view *view;
    GArray *changes;
    bool resized;
    uint64_t now;
};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&f->memory, "vram", MEMORY_SIZE, NULL));
    f->vga.memory = &f->memory;
    f->vga.memory_size = MEMORY_SIZE;
    vga_power_on(&f->vga);
    f->view = vga_view_new();
    f->changes = g_array_new(FALSE, FALSE, sizeof(struct surface_rect));
}

static void tear_down(struct fixture *f)
{
    g_array_unref(f->changes);
    vga_view_free(f->view);
    surface_clear(&f->surface);
    memory_region_destroy(&f->memory);
}

static void draw(struct fixture *f, bool tracks)
{
    g_array_set_size(f->changes, 0);
    f->resized = false;
    vga_draw(f->view, &f->vga.registers, &f->memory, MEMORY_SIZE, tracks, f->now, &f->surface,
             &f->resized, f->changes);
}

static void out(struct fixture *f, unsigned port, uint8_t index, uint8_t value)
{
    vga_write_port(&f->vga, port, index);
    vga_write_port(&f->vga, port + 1, value);
}

static void set_attribute(struct fixture *f, uint8_t index, uint8_t value)
{
    vga_read_port(&f->vga, 0x3da);
    vga_write_port(&f->vga, 0x3c0, index);
    vga_write_port(&f->vga, 0x3c0, value);
    vga_write_port(&f->vga, 0x3c0, 0x20);
}

/* The graphics controller: four planes of bytes, one at a time, as IBM describes it. */
struct model {
    uint8_t planes[4][PLANE_BYTES];
    uint8_t latch[4];
    uint8_t graphics[9], map_mask;
    bool odd_even_writes;
};

static uint8_t model_read(struct model *m, uint32_t offset)
{
    uint32_t address = offset;
    unsigned plane = m->graphics[4] & 3;
    uint8_t result = 0;

    if (m->graphics[5] & 0x10) {
        plane = (plane & 2) | (offset & 1);
        address &= ~1u;
    }
    for (unsigned p = 0; p < 4; p++) {
        m->latch[p] = m->planes[p][address];
    }
    if (!(m->graphics[5] & 8)) {
        return m->latch[plane];
    }
    for (unsigned bit = 0; bit < 8; bit++) {
        bool same = true;

        for (unsigned p = 0; p < 4; p++) {
            if (m->graphics[7] >> p & 1) {
                same &= (m->latch[p] >> bit & 1) == (m->graphics[2] >> p & 1);
            }
        }
        result |= (uint8_t)(same << bit);
    }
    return result;
}

static uint8_t model_alu(const struct model *m, uint8_t data, uint8_t latch)
{
    switch (m->graphics[3] >> 3 & 3) {
    case 1:
        return data & latch;
    case 2:
        return data | latch;
    case 3:
        return data ^ latch;
    default:
        return data;
    }
}

static void model_write(struct model *m, uint32_t offset, uint8_t value)
{
    unsigned count = m->graphics[3] & 7;
    uint8_t rotated = (uint8_t)(value >> count | value << (8 - count));

    for (unsigned p = 0; p < 4; p++) {
        uint8_t set = m->graphics[0] >> p & 1 ? 0xff : 0, mask = m->graphics[8], data;
        uint32_t address = offset;

        if (!(m->map_mask >> p & 1)) {
            continue;
        }
        if (m->odd_even_writes) {
            if ((p & 1) != (offset & 1)) {
                continue;
            }
            address &= ~1u;
        }
        switch (m->graphics[5] & 3) {
        case 0:
            data = model_alu(m, m->graphics[1] >> p & 1 ? set : rotated, m->latch[p]);
            break;
        case 1:
            data = m->latch[p];
            mask = 0xff;
            break;
        case 2:
            data = model_alu(m, value >> p & 1 ? 0xff : 0, m->latch[p]);
            break;
        default:
            mask &= rotated;
            data = model_alu(m, set, m->latch[p]);
            break;
        }
        m->planes[p][address] = (uint8_t)((data & mask) | (m->latch[p] & ~mask));
    }
}

static void random_register(struct fixture *f, struct model *m, GRand *random)
{
    static const uint8_t masks[9] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x1b, 0x04, 0x0f, 0xff};
    uint8_t value = (uint8_t)g_rand_int(random);
    unsigned index = (unsigned)g_rand_int_range(random, 0, 11);

    if (index < 9) {
        value = index == 6 ? 0x04 : value & masks[index];
        m->graphics[index] = value;
        out(f, 0x3ce, (uint8_t)index, value);
    } else if (index == 9) {
        m->map_mask = value & 0x0f;
        out(f, 0x3c4, 2, value);
    } else {
        m->odd_even_writes = value & 1;
        out(f, 0x3c4, 4, value & 1 ? 2 : 6);
    }
}

static void test_graphics_controller(void)
{
    struct fixture f;
    struct model *m = g_new0(struct model, 1);
    g_autoptr(GRand) random = test_seeded_rand();
    unsigned wrong = 0;

    set_up(&f);
    out(&f, 0x3c4, 4, 6);
    out(&f, 0x3ce, 6, 4);
    m->graphics[6] = 4;
    for (unsigned i = 0; i < 300000; i++) {
        uint32_t offset = (uint32_t)g_rand_int_range(random, 0, 64);
        uint8_t value = (uint8_t)g_rand_int(random);

        offset += g_rand_boolean(random) ? 0 : 0xffc0;
        switch (g_rand_int_range(random, 0, 5)) {
        case 0:
            random_register(&f, m, random);
            break;
        case 1:
        case 2:
            wrong += vga_read_memory(&f.vga, offset) != model_read(m, offset);
            break;
        default:
            vga_write_memory(&f.vga, offset, value);
            model_write(m, offset, value);
            break;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    g_free(m);
    tear_down(&f);
}

/* Where the linear window is, memory seen by callbacks and the block itself are the same. */
static void test_linear_window(void)
{
    struct fixture f;
    struct vga_linear_window window;

    set_up(&f);
    CU_ASSERT_EQUAL(vga_find_linear_window(&f.vga).size, 0);
    out(&f, 0x3c4, 4, 0x0e);
    out(&f, 0x3c4, 2, 0x0f);
    out(&f, 0x3ce, 8, 0xff);
    out(&f, 0x3ce, 6, 5);
    window = vga_find_linear_window(&f.vga);
    CU_ASSERT_EQUAL(window.offset, 0);
    CU_ASSERT_EQUAL(window.size, 0x10000);
    for (unsigned i = 0; i < 0x10000; i += 7) {
        vga_write_memory(&f.vga, i, (uint8_t)(i * 3));
        CU_ASSERT_EQUAL_FATAL(vga_memory_bytes(&f.memory)[i], (uint8_t)(i * 3));
        CU_ASSERT_EQUAL_FATAL(vga_read_memory(&f.vga, i), (uint8_t)(i * 3));
    }
    /* What the graphics controller would change must go through it. */
    out(&f, 0x3ce, 8, 0x0f);
    CU_ASSERT_EQUAL(vga_find_linear_window(&f.vga).size, 0);
    out(&f, 0x3ce, 8, 0xff);
    out(&f, 0x3c4, 2, 0x07);
    CU_ASSERT_EQUAL(vga_find_linear_window(&f.vga).size, 0);
    /* Of the display interface it is the bank. */
    vga_write_dispi(&f.vga, DISPI_XRES, 320);
    vga_write_dispi(&f.vga, DISPI_YRES, 200);
    vga_write_dispi(&f.vga, DISPI_ENABLE, DISPI_ENABLED);
    vga_write_dispi(&f.vga, DISPI_BANK, 15);
    window = vga_find_linear_window(&f.vga);
    CU_ASSERT_EQUAL(window.memory_offset, 0xf0000);
    vga_write_dispi(&f.vga, DISPI_BANK, 16);
    CU_ASSERT_EQUAL(f.vga.registers.dispi[DISPI_BANK], 15);
    tear_down(&f);
}

static void set_linear_mode(struct fixture *f, uint16_t width, uint16_t height, uint16_t bpp)
{
    vga_write_dispi(&f->vga, DISPI_ENABLE, 0);
    vga_write_dispi(&f->vga, DISPI_XRES, width);
    vga_write_dispi(&f->vga, DISPI_YRES, height);
    vga_write_dispi(&f->vga, DISPI_BPP, bpp);
    vga_write_dispi(&f->vga, DISPI_ENABLE, DISPI_ENABLED);
    f->vga.registers.attribute_index = 0x20;
}

static bool is_covered(const GArray *changes, unsigned x, unsigned y)
{
    for (unsigned i = 0; i < changes->len; i++) {
        const struct surface_rect *rect = &g_array_index(changes, struct surface_rect, i);

        if (x - rect->x < rect->width && y - rect->y < rect->height) {
            return true;
        }
    }
    return false;
}

/* Random pixels are written; each drawing shows them, lists what differs, and lies in the surface.
 */
static void test_tracking(void)
{
    struct fixture f;
    g_autoptr(GRand) random = test_seeded_rand();
    g_autofree uint32_t *expected = g_new0(uint32_t, 300 * 200);
    unsigned wrong = 0, uncovered = 0;

    set_up(&f);
    set_linear_mode(&f, 300, 200, 32);
    memory_region_dirty_log_start(&f.memory, DIRTY_DISPLAY);
    draw(&f, false);
    CU_ASSERT_TRUE(f.resized);
    for (unsigned round = 0; round < 300; round++) {
        g_autofree uint32_t *before = g_memdup2(f.surface.pixels, 300 * 200 * 4);

        for (int n = g_rand_int_range(random, 0, 4); n; n--) {
            uint32_t at = (uint32_t)g_rand_int_range(random, 0, 300 * 200);

            expected[at] = g_rand_int(random) & 0xffffff;
            memcpy(vga_memory_bytes(&f.memory) + 4 * at, &expected[at], 4);
            memory_region_set_dirty(&f.memory, 4 * at, 4);
        }
        draw(&f, true);
        wrong += memcmp(f.surface.pixels, expected, 300 * 200 * 4) != 0;
        for (unsigned i = 0; i < 300 * 200; i++) {
            uncovered +=
                before[i] != f.surface.pixels[i] && !is_covered(f.changes, i % 300, i / 300);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(uncovered, 0);
    draw(&f, true);
    CU_ASSERT_EQUAL(f.changes->len, 0);
    memory_region_dirty_log_stop(&f.memory, DIRTY_DISPLAY);
    tear_down(&f);
}

/* 80x25, 9 dots, a font of one line patterns. */
static void set_text_mode(struct fixture *f)
{
    static const uint8_t crtc[VGA_CRTC_COUNT] = {
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
        0x00, 0x00, 0x00, 0x9c, 0x0e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};

    f->vga.registers.misc = 0x67;
    memcpy(f->vga.registers.crtc, crtc, sizeof(crtc));
    out(f, 0x3c4, 2, 4);
    out(f, 0x3c4, 4, 6);
    out(f, 0x3ce, 6, 4);
    out(f, 0x3ce, 8, 0xff);
    for (unsigned i = 0; i < 256; i++) {
        for (unsigned line = 0; line < 16; line++) {
            vga_write_memory(&f->vga, i * 32 + line, (uint8_t)i);
        }
    }
    out(f, 0x3c4, 2, 3);
    out(f, 0x3c4, 4, 2);
    out(f, 0x3ce, 5, 0x10);
    out(f, 0x3ce, 6, 0x0e);
    for (uint8_t i = 0; i < 16; i++) {
        set_attribute(f, i, i);
        memset(f->vga.registers.palette + 3 * i, i, 3);
    }
    set_attribute(f, 0x10, 0x0c);
    set_attribute(f, 0x12, 0x0f);
    set_attribute(f, 0x13, 8);
}

static uint32_t gray(unsigned value)
{
    return value * 4 * 0x010101u;
}

static void test_text(void)
{
    struct fixture f;

    set_up(&f);
    set_text_mode(&f);
    vga_write_memory(&f.vga, 0x18000, 0x81);
    vga_write_memory(&f.vga, 0x18001, 0x17);
    vga_write_memory(&f.vga, 0x18002, 0xc1); /* one whose last dot goes on */
    vga_write_memory(&f.vga, 0x18003, 0x17);
    draw(&f, true);
    CU_ASSERT_EQUAL_FATAL(f.surface.width, 720);
    CU_ASSERT_EQUAL_FATAL(f.surface.height, 400);
    CU_ASSERT_EQUAL(surface_row(&f.surface, 0)[0], gray(7));
    CU_ASSERT_EQUAL(surface_row(&f.surface, 0)[1], gray(1));
    CU_ASSERT_EQUAL(surface_row(&f.surface, 0)[7], gray(7));
    CU_ASSERT_EQUAL(surface_row(&f.surface, 0)[8], gray(1));
    CU_ASSERT_EQUAL(surface_row(&f.surface, 0)[16], gray(7));
    CU_ASSERT_EQUAL(surface_row(&f.surface, 0)[17], gray(7));
    /* The cursor, at the first cell: moves, is drawn, blinks. */
    CU_ASSERT_EQUAL(surface_row(&f.surface, 13)[1], gray(7));
    CU_ASSERT_EQUAL(surface_row(&f.surface, 12)[1], gray(1));
    out(&f, 0x3d4, 0x0f, 5);
    draw(&f, true);
    CU_ASSERT_EQUAL(surface_row(&f.surface, 13)[1], gray(1));
    CU_ASSERT_EQUAL(f.changes->len, 1);
    f.now = 300000000;
    draw(&f, true);
    CU_ASSERT_EQUAL(f.changes->len, 0); /* foreground 0 on 0 */
    /* Nothing changes: nothing is drawn. */
    draw(&f, true);
    CU_ASSERT_EQUAL(f.changes->len, 0);
    tear_down(&f);
}

/* Registers that say the strangest things make some picture, of at most the largest size. */
static void test_any_registers(void)
{
    struct fixture f;
    g_autoptr(GRand) random = test_seeded_rand();

    set_up(&f);
    for (unsigned i = 0; i < MEMORY_SIZE; i++) {
        vga_memory_bytes(&f.memory)[i] = (uint8_t)g_rand_int(random);
    }
    for (unsigned i = 0; i < 400; i++) {
        uint8_t *bytes = (uint8_t *)&f.vga.registers;

        for (size_t j = 0; j < offsetof(struct vga_registers, dispi); j++) {
            bytes[j] = g_rand_int_range(random, 0, 3) ? (uint8_t)g_rand_int(random) : 0;
        }
        f.vga.registers.attribute_index |= 0x20;
        f.vga.registers.sequencer[1] &= 0x1f;
        draw(&f, i % 2);
        CU_ASSERT_TRUE_FATAL(f.surface.width <= SURFACE_SIZE_MAX && f.surface.width > 0);
        CU_ASSERT_TRUE_FATAL(f.surface.height <= SURFACE_SIZE_MAX && f.surface.height > 0);
        for (unsigned j = 0; j < f.changes->len; j++) {
            const struct surface_rect *rect = &g_array_index(f.changes, struct surface_rect, j);

            CU_ASSERT_TRUE_FATAL(rect->x + rect->width <= f.surface.width);
            CU_ASSERT_TRUE_FATAL(rect->y + rect->height <= f.surface.height);
        }
    }
    tear_down(&f);
}

static void test_crtc_protection(void)
{
    struct fixture f;

    set_up(&f);
    vga_write_port(&f.vga, 0x3c2, 1);
    out(&f, 0x3d4, 0x11, 0x80);
    out(&f, 0x3d4, 0x00, 0x55);
    out(&f, 0x3d4, 0x07, 0xff);
    out(&f, 0x3d4, 0x08, 0x55);
    CU_ASSERT_EQUAL(f.vga.registers.crtc[0], 0);
    CU_ASSERT_EQUAL(f.vga.registers.crtc[7], 0x10);
    CU_ASSERT_EQUAL(f.vga.registers.crtc[8], 0x55);
    /* The ports move with bit 0 of the miscellaneous output register. */
    CU_ASSERT_EQUAL(vga_read_port(&f.vga, 0x3b4), 0xff);
    vga_write_port(&f.vga, 0x3c2, 0);
    CU_ASSERT_EQUAL(vga_read_port(&f.vga, 0x3b4), 8);
    CU_ASSERT_EQUAL(vga_read_port(&f.vga, 0x3d4), 0xff);
    tear_down(&f);
}

static uint64_t fixed_time;

static uint64_t read_time(void *opaque)
{
    return fixed_time;
}

static void test_retrace(void)
{
    struct fixture f;

    set_up(&f);
    vga_write_port(&f.vga, 0x3c2, 1);
    f.vga.now = read_time;
    fixed_time = 10000;
    CU_ASSERT_EQUAL(vga_read_port(&f.vga, 0x3da) & 9, 0);
    fixed_time = 30000; /* past the end of a line */
    CU_ASSERT_EQUAL(vga_read_port(&f.vga, 0x3da) & 9, 1);
    fixed_time = 491 * 31778;
    CU_ASSERT_EQUAL(vga_read_port(&f.vga, 0x3da) & 9, 9);
    tear_down(&f);
}

static void test_edid(void)
{
    uint8_t edid[EDID_SIZE], sum = 0;

    edid_make(edid, 1920, 1080);
    for (unsigned i = 0; i < EDID_SIZE; i++) {
        sum = (uint8_t)(sum + edid[i]);
    }
    CU_ASSERT_EQUAL(sum, 0);
    CU_ASSERT_EQUAL(edid[56] | edid[58] >> 4 << 8, 1920);
    CU_ASSERT_EQUAL(edid[59] | edid[61] >> 4 << 8, 1080);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"graphics controller against a model", test_graphics_controller},
        {"linear window", test_linear_window},
        {"what was written is drawn and listed", test_tracking},
        {"text, cursor, ninth dot", test_text},
        {"any registers", test_any_registers},
        {"CRTC protection and ports", test_crtc_protection},
        {"retrace", test_retrace},
        {"EDID", test_edid},
        {NULL, NULL},
    };

    return unit_run("vga", tests);
}
