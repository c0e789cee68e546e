/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/boot/kernel-loader.h"
#include "dm/boot/boot-file.h"
#include "dm/boot/elf.h"
#include "util/error.h"

#include <inttypes.h>

static const struct {
    bool (*probe)(const uint8_t *data, size_t size);
    bool (*load)(struct boot_plan *plan, const struct boot_environment *environment, GBytes *kernel,
                 GError **error);
} loaders[] = {
    {linux_bzimage_probe, linux_bzimage_load},
    {multiboot_probe, multiboot_load},
    {pvh_probe, pvh_load},
};

uint64_t kernel_ram_size(const struct boot_environment *environment)
{
    return environment->ram_below_4g + environment->ram_above_4g;
}

bool kernel_add_elf_segments(struct boot_plan *plan, const struct boot_environment *environment,
                             const struct elf_image *image, GBytes *kernel, uint64_t *end,
                             GError **error)
{
    *end = 0;
    for (unsigned i = 0; i < image->loads->len; i++) {
        const struct elf_segment *load = &g_array_index(image->loads, struct elf_segment, i);
        struct range where = {load->physical_address, load->memory_size};

        if (!boot_plan_is_free(plan, environment, where)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "its segment of %" PRIu64 " bytes at 0x%" PRIx64
                              " does not fit in the machine's RAM (or overlaps another)",
                              where.length, where.start);
        }
        boot_plan_add(plan, where.start, kernel, load->offset, load->file_size, where.length);
        *end = MAX(*end, where.start + where.length);
    }
    return true;
}

bool kernel_find_table_room(const struct boot_plan *plan,
                            const struct boot_environment *environment, uint64_t size,
                            uint64_t *address, GError **error)
{
    /* Below 9000h kernels keep start-up code for other processors, stacks and the like. */
    const struct range low = {0x9000, E820_LOW_RAM_END - 0x9000};
    const struct range high = {E820_HIGH_START, E820_FOUR_GIB - E820_HIGH_START};

    if (boot_plan_find_low(plan, environment, low, size, 4096, address) ||
        boot_plan_find_low(plan, environment, high, size, 4096, address)) {
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "no RAM is left for its boot information and command line");
}

struct boot_plan *kernel_load_bytes(const struct boot_environment *environment, GBytes *kernel,
                                    GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(kernel, &size);

    for (unsigned i = 0; i < G_N_ELEMENTS(loaders); i++) {
        struct boot_plan *plan;

        if (!loaders[i].probe(data, size)) {
            continue;
        }
        plan = boot_plan_new();
        if (loaders[i].load(plan, environment, kernel, error)) {
            return plan;
        }
        g_prefix_error(error, "kernel '%s': ", environment->kernel_path);
        boot_plan_free(plan);
        return NULL;
    }
    duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
               "kernel '%s': it is neither a Linux bzImage, nor has it a multiboot "
               "header, nor is it an ELF file with a PVH entry%s",
               environment->kernel_path, size < 1024 ? " (it may be truncated)" : "");
    return NULL;
}

/* What tells a bzImage, which is then read straight to where it belongs. */
#define HEAD_SIZE 4096u

struct boot_plan *kernel_load(const struct boot_environment *environment, GError **error)
{
    uint64_t limit = kernel_ram_size(environment);
    struct boot_environment with_file = *environment;
    struct boot_file *file = boot_file_open("kernel", environment->kernel_path, limit, NULL, error);
    uint8_t head[HEAD_SIZE];
    g_autoptr(GBytes) kernel = NULL;
    struct boot_plan *plan;

    if (!file) {
        return NULL;
    }
    if (boot_file_size(file) >= HEAD_SIZE && boot_file_copy(file, 0, head, HEAD_SIZE) &&
        linux_bzimage_probe(head, HEAD_SIZE)) {
        with_file.kernel_file = file;
        kernel = g_bytes_new(head, HEAD_SIZE);
    } else {
        kernel = boot_file_read("kernel", environment->kernel_path, limit, NULL, error);
    }
    plan = kernel ? kernel_load_bytes(&with_file, kernel, error) : NULL;
    boot_file_unref(file);
    return plan;
}
