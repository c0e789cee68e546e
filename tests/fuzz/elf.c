/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a file as an ELF kernel, by the parser and by the loaders of ELF. */
#include "dm/boot/elf.h"
#include "dm/boot/kernel-loader.h"
#include "fuzz/fuzz-main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_environment environment = {
        .ram_below_4g = 64 << 20,
        .kernel_path = "fuzz",
    };
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    struct elf_image image;
    const uint8_t *descriptor;
    size_t length;

    if (elf_parse(data, size, &image, NULL)) {
        if (elf_find_note(&image, data, "Xen", 18, &descriptor, &length)) {
            g_assert(descriptor >= data && descriptor + length <= data + size);
        }
        elf_physical_address(&image, image.entry);
        elf_image_clear(&image);
    }
    e820_map_for_kernel(&environment.map, environment.ram_below_4g, 0);
    boot_plan_free(kernel_load_bytes(&environment, bytes, NULL));
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "elf");
}
#endif
