/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x86/HVM direct boot ABI (Xen: docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h). */
#include "dm/boot/boot-file.h"
#include "dm/boot/elf.h"
#include "dm/boot/kernel-loader.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>

#define NOTE_OWNER        "Xen"
#define NOTE_PHYS32_ENTRY 18u
#define START_MAGIC       0x336ec578u
#define START_VERSION     1u
#define START_INFO_SIZE   56u
#define MODULE_SIZE       32u
#define MAP_ENTRY_SIZE    24u

/* The block that EBX points to: start info, module list, memory map, command line. */
#define BLOCK_MODULES START_INFO_SIZE
#define BLOCK_MAP     (BLOCK_MODULES + MODULE_SIZE)

static bool find_entry(const struct elf_image *image, const uint8_t *data, uint64_t *entry)
{
    const uint8_t *descriptor;
    size_t length;

    if (!elf_find_note(image, data, NOTE_OWNER, NOTE_PHYS32_ENTRY, &descriptor, &length) ||
        length < 4) {
        return false;
    }
    *entry = load_le32(descriptor);
    return true;
}

bool pvh_probe(const uint8_t *data, size_t size)
{
    struct elf_image image;
    uint64_t entry;
    bool found;

    /* A damaged ELF file is claimed, so that the user hears what is wrong with it. */
    if (!elf_has_magic(data, size)) {
        return false;
    }
    if (!elf_parse(data, size, &image, NULL)) {
        return true;
    }
    found = find_entry(&image, data, &entry);
    elf_image_clear(&image);
    return found;
}

static bool add_initrd(struct boot_plan *plan, const struct boot_environment *environment,
                       uint64_t *address, uint64_t *size, GError **error)
{
    const struct range below_4g = {E820_HIGH_START, E820_FOUR_GIB - E820_HIGH_START};
    g_autoptr(GBytes) initrd =
        boot_file_read("initrd", environment->initrd, kernel_ram_size(environment), NULL, error);

    if (!initrd) {
        return false;
    }
    *size = g_bytes_get_size(initrd);
    if (!boot_plan_find_high(plan, environment, below_4g, *size, 4096, address)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "initrd '%s' of %" PRIu64 " bytes does not fit in the machine's RAM "
                          "beside the kernel: give it more with -m",
                          environment->initrd, *size);
    }
    boot_plan_add(plan, *address, initrd, 0, *size, *size);
    return true;
}

static void fill_block(uint8_t *block, const struct boot_environment *environment, uint64_t base,
                       uint64_t initrd, uint64_t initrd_size, const char *command_line)
{
    unsigned map_count = environment->map.count;
    unsigned command_line_offset = BLOCK_MAP + map_count * MAP_ENTRY_SIZE;

    store_le32(block, START_MAGIC);
    store_le32(block + 4, START_VERSION);
    store_le32(block + 12, environment->initrd ? 1 : 0);
    store_le64(block + 16, environment->initrd ? base + BLOCK_MODULES : 0);
    store_le64(block + 24, base + command_line_offset);
    store_le64(block + 32, environment->rsdp);
    store_le64(block + 40, base + BLOCK_MAP);
    store_le32(block + 48, map_count);
    store_le64(block + BLOCK_MODULES, initrd);
    store_le64(block + BLOCK_MODULES + 8, initrd_size);
    for (unsigned i = 0; i < map_count; i++) {
        const struct e820_entry *entry = &environment->map.entries[i];
        uint8_t *at = block + BLOCK_MAP + i * MAP_ENTRY_SIZE;

        store_le64(at, entry->start);
        store_le64(at + 8, entry->length);
        store_le32(at + 16, entry->type);
    }
    memcpy(block + command_line_offset, command_line, strlen(command_line) + 1);
}

static bool load_parts(struct boot_plan *plan, const struct boot_environment *environment,
                       const struct elf_image *image, GBytes *kernel, GError **error)
{
    const char *command_line = environment->append ? environment->append : "";
    uint64_t size = BLOCK_MAP + environment->map.count * MAP_ENTRY_SIZE + strlen(command_line) + 1;
    uint64_t entry, end, room, initrd = 0, initrd_size = 0;
    g_autofree uint8_t *block = g_malloc0(size);

    if (!find_entry(image, g_bytes_get_data(kernel, NULL), &entry)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "it has no PVH entry");
    }
    if (!kernel_add_elf_segments(plan, environment, image, kernel, &end, error) ||
        (environment->initrd && !add_initrd(plan, environment, &initrd, &initrd_size, error)) ||
        !kernel_find_table_room(plan, environment, 64 + size, &room, error)) {
        return false;
    }
    boot_plan_add_gdt(plan, room, false);
    fill_block(block, environment, room + 64, initrd, initrd_size, command_line);
    boot_plan_add_copy(plan, room + 64, block, size);
    boot_plan_set_flat_32(plan, room, entry);
    plan->cpu.gpr[X86_RBX] = room + 64;
    plan->protocol = "PVH";
    return true;
}

bool pvh_load(struct boot_plan *plan, const struct boot_environment *environment, GBytes *kernel,
              GError **error)
{
    struct elf_image image;
    gsize size;
    const uint8_t *data = g_bytes_get_data(kernel, &size);
    bool ok;

    if (!elf_parse(data, size, &image, error)) {
        return false;
    }
    ok = load_parts(plan, environment, &image, kernel, error);
    elf_image_clear(&image);
    return ok;
}
