/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a guest's way with the VGA: ports, display interface, memory, and looks between. */
#include "dm/display/vga-draw.h"
#include "fuzz/fuzz-main.h"

#define MEMORY_SIZE (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_region memory;
    struct vga vga = {.memory = &memory, .memory_size = MEMORY_SIZE};
    struct vga_view *view = vga_view_new();
    struct surface surface = {0};
    GArray *changes = g_array_new(FALSE, FALSE, sizeof(struct surface_rect));
    unsigned looks = 0;
    bool resized = false;

    if (!memory_region_init_ram(&memory, "vram", MEMORY_SIZE, NULL)) {
        abort();
    }
    memory_region_dirty_log_start(&memory, DIRTY_DISPLAY);
    vga_power_on(&vga);
    /* Four bytes an act: what, where (two), value. */
    for (size_t i = 0; i + 4 <= size; i += 4) {
        unsigned where = data[i + 1] | (unsigned)data[i + 2] << 8;

        switch (data[i] % 8) {
        case 0:
            vga_write_port(&vga, 0x3b4 + where % 0x2c, data[i + 3]);
            break;
        case 1:
            vga_read_port(&vga, 0x3b4 + where % 0x2c);
            break;
        case 2:
            vga_write_dispi(&vga, data[i + 3] % 16, (uint16_t)where);
            break;
        case 3:
            vga_read_dispi(&vga, data[i + 3] % 16);
            break;
        case 4:
            vga_write_memory(&vga, (where * 3) % VGA_WINDOW_SIZE, data[i + 3]);
            break;
        case 5:
            vga_read_memory(&vga, (where * 3) % VGA_WINDOW_SIZE);
            break;
        default:
            if (looks++ < 4) {
                g_array_set_size(changes, 0);
                vga_draw(view, &vga.registers, &memory, MEMORY_SIZE, data[i + 3] & 1,
                         (uint64_t)where << 20, &surface, &resized, changes);
            }
            break;
        }
        g_assert(vga_is_valid(&vga));
    }
    memory_region_dirty_log_stop(&memory, DIRTY_DISPLAY);
    g_array_unref(changes);
    vga_view_free(view);
    surface_clear(&surface);
    memory_region_destroy(&memory);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "vga");
}
#endif
