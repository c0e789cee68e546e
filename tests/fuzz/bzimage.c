/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a file as a Linux bzImage. What the plan copies must lie inside the file. */
#include "dm/boot/kernel-loader.h"
#include "fuzz/fuzz-main.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_environment environment = {
        .ram_below_4g = 64 << 20,
        .ram_above_4g = 64 << 20,
        .kernel_path = "fuzz",
        .append = "console=ttyS0",
    };
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    struct boot_plan *plan;

    e820_map_for_kernel(&environment.map, environment.ram_below_4g, environment.ram_above_4g);
    plan = kernel_load_bytes(&environment, bytes, NULL);
    for (unsigned i = 0; plan && i < plan->chunks->len; i++) {
        const struct boot_chunk *chunk = &g_array_index(plan->chunks, struct boot_chunk, i);

        g_assert(chunk->copied <= chunk->length);
        if (chunk->bytes) {
            g_assert(chunk->offset + chunk->copied <= g_bytes_get_size(chunk->bytes));
        }
    }
    boot_plan_free(plan);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "bzimage");
}
#endif
