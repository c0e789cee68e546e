/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Multiboot Specification, version 0.6.96. */
#include "dm/boot/boot-file.h"
#include "dm/boot/elf.h"
#include "dm/boot/kernel-loader.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>

#define HEADER_MAGIC    0x1badb002u
#define LOADER_MAGIC    0x2badb002u
#define HEADER_SEARCH   8192u
#define HEADER_SIZE     12u
#define HEADER_SIZE_MAX 32u /* with the address fields */

/* Header flags (3.1.2). An unknown one among bits 0 to 15 is a demand that can't be met. */
#define FLAG_PAGE_ALIGN  (1u << 0)
#define FLAG_MEMORY_INFO (1u << 1)
#define FLAG_VIDEO_MODE  (1u << 2)
#define FLAGS_KNOWN      (FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO | FLAG_VIDEO_MODE)
#define FLAG_HAS_ADDRESS (1u << 16)

/* Boot information (3.3). */
#define INFO_SIZE         120u
#define INFO_FLAGS        0
#define INFO_MEM_LOWER    4
#define INFO_MEM_UPPER    8
#define INFO_CMDLINE      16
#define INFO_MODS_COUNT   20
#define INFO_MODS_ADDR    24
#define INFO_MMAP_LENGTH  44
#define INFO_MMAP_ADDR    48
#define INFO_LOADER_NAME  64
#define INFO_HAS_MEMORY   (1u << 0)
#define INFO_HAS_CMDLINE  (1u << 2)
#define INFO_HAS_MODULES  (1u << 3)
#define INFO_HAS_MMAP     (1u << 6)
#define INFO_HAS_LOADER   (1u << 9)
#define MMAP_ENTRY_SIZE   (4 + E820_ENTRY_SIZE)
#define MODULE_ENTRY_SIZE 16u
#define MAX_MODULES       64u

struct module {
    uint64_t address, size;
    char *text; /* "file args" */
};

struct multiboot {
    uint32_t flags;
    size_t header_offset; /* in the file */
    uint64_t entry;
    uint64_t end;    /* past the kernel */
    GArray *modules; /* of struct module */
};

static bool find_header(const uint8_t *data, size_t size, size_t *offset)
{
    size_t last = MIN(size, HEADER_SEARCH);

    for (size_t at = 0; at + HEADER_SIZE <= last; at += 4) {
        if (load_le32(data + at) == HEADER_MAGIC &&
            load_le32(data + at) + load_le32(data + at + 4) + load_le32(data + at + 8) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

bool multiboot_probe(const uint8_t *data, size_t size)
{
    size_t offset;

    return find_header(data, size, &offset);
}

/* The header's own addresses say what to load: header_addr, load_addr, load_end_addr,
 * bss_end_addr, entry_addr. */
static bool load_by_addresses(struct multiboot *multiboot, struct boot_plan *plan,
                              const struct boot_environment *environment, GBytes *kernel,
                              GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(kernel, &size);
    const uint8_t *header = data + multiboot->header_offset;
    uint64_t header_address, load, load_end, bss_end, offset, length, memory_length;

    if (size - multiboot->header_offset < HEADER_SIZE_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is truncated: its multiboot header is not whole");
    }
    header_address = load_le32(header + 12);
    load = load_le32(header + 16);
    load_end = load_le32(header + 20);
    bss_end = load_le32(header + 24);
    if (header_address < load || header_address - load > multiboot->header_offset) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is damaged: its multiboot header's load address is impossible");
    }
    offset = multiboot->header_offset - (header_address - load);
    length = load_end ? load_end - load : size - offset;
    if ((load_end && load_end < load) || length > size - offset) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is truncated: its multiboot header promises %" PRIu64
                          " bytes at offset %" PRIu64 ", the file has %zu bytes",
                          length, offset, size);
    }
    memory_length = bss_end > load + length ? bss_end - load : length;
    if (!boot_plan_is_free(plan, environment, (struct range){load, memory_length})) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "its %" PRIu64 " bytes at 0x%" PRIx64 " do not fit in the machine's RAM",
                          memory_length, load);
    }
    boot_plan_add(plan, load, kernel, offset, length, memory_length);
    multiboot->end = load + memory_length;
    multiboot->entry = load_le32(header + 28);
    return true;
}

static bool load_elf(struct multiboot *multiboot, struct boot_plan *plan,
                     const struct boot_environment *environment, GBytes *kernel, GError **error)
{
    struct elf_image image;
    gsize size;
    const uint8_t *data = g_bytes_get_data(kernel, &size);
    bool ok;

    if (!elf_parse(data, size, &image, error)) {
        return false;
    }
    ok = kernel_add_elf_segments(plan, environment, &image, kernel, &multiboot->end, error);
    multiboot->entry = elf_physical_address(&image, image.entry);
    elf_image_clear(&image);
    if (ok && multiboot->entry > UINT32_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "its entry point 0x%" PRIx64 " is above 4 GiB", multiboot->entry);
    }
    return ok;
}

static void module_clear(gpointer data)
{
    struct module *module = data;

    g_free(module->text);
}

static bool add_module(struct multiboot *multiboot, struct boot_plan *plan,
                       const struct boot_environment *environment, const char *text, GError **error)
{
    g_autofree char *path = g_strndup(text, strcspn(text, " "));
    g_autoptr(GBytes) bytes = NULL;
    uint64_t start = MAX(multiboot->end, E820_HIGH_START);
    struct module module = {0};

    bytes = boot_file_read("module", path, kernel_ram_size(environment), NULL, error);
    if (!bytes) {
        return false;
    }
    module.size = g_bytes_get_size(bytes);
    if (start >= E820_FOUR_GIB ||
        !boot_plan_find_low(plan, environment, (struct range){start, E820_FOUR_GIB - start},
                            module.size, 4096, &module.address)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "module '%s' of %" PRIu64 " bytes does not fit in the machine's RAM "
                          "beside the kernel: give it more with -m",
                          path, module.size);
    }
    module.text = g_strdup(text);
    boot_plan_add(plan, module.address, bytes, 0, module.size, module.size);
    g_array_append_val(multiboot->modules, module);
    return true;
}

/* -initrd "file args,file2 args"; a comma of a name is written twice. */
static bool add_modules(struct multiboot *multiboot, struct boot_plan *plan,
                        const struct boot_environment *environment, GError **error)
{
    const char *at = environment->initrd;

    while (at && *at) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (; *at && (*at != ',' || at[1] == ','); at++) {
            g_string_append_c(text, *at);
            at += *at == ',';
        }
        at += *at == ',';
        if (multiboot->modules->len == MAX_MODULES) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "-initrd names more than %u modules", MAX_MODULES);
        }
        if (!add_module(multiboot, plan, environment, text->str, error)) {
            return false;
        }
    }
    return true;
}

/* KiB of RAM from 1 MiB up to the first hole. */
static uint32_t upper_memory(const struct boot_environment *environment)
{
    return (uint32_t)((environment->ram_below_4g - E820_HIGH_START) / 1024);
}

/* Append text with its terminator; its offset in the block. */
static uint32_t append_text(GByteArray *block, const char *text)
{
    uint32_t offset = block->len;

    g_byte_array_append(block, (const uint8_t *)text, (guint)strlen(text) + 1);
    return offset;
}

/* The information structure and all that it points to, in one block at `base`. */
static GByteArray *make_info(const struct multiboot *multiboot,
                             const struct boot_environment *environment, uint32_t base)
{
    GByteArray *block = g_byte_array_new();
    unsigned map_count = environment->map.count, module_count = multiboot->modules->len;
    uint32_t map = INFO_SIZE, modules = map + map_count * MMAP_ENTRY_SIZE;
    uint32_t strings = modules + module_count * MODULE_ENTRY_SIZE;
    uint8_t packed[E820_MAX_ENTRIES * E820_ENTRY_SIZE];
    g_autofree char *command_line =
        g_strdup_printf("%s%s%s", environment->kernel_path, environment->append ? " " : "",
                        environment->append ? environment->append : "");
    uint32_t at;

    g_byte_array_set_size(block, strings);
    memset(block->data, 0, strings);
    e820_map_pack(&environment->map, packed);
    for (unsigned i = 0; i < map_count; i++) {
        uint8_t *entry = block->data + map + i * MMAP_ENTRY_SIZE;

        store_le32(entry, E820_ENTRY_SIZE);
        memcpy(entry + 4, packed + i * E820_ENTRY_SIZE, E820_ENTRY_SIZE);
    }
    for (unsigned i = 0; i < module_count; i++) {
        const struct module *module = &g_array_index(multiboot->modules, struct module, i);
        uint8_t *entry;

        at = append_text(block, module->text);
        entry = block->data + modules + i * MODULE_ENTRY_SIZE;
        store_le32(entry, (uint32_t)module->address);
        store_le32(entry + 4, (uint32_t)(module->address + module->size));
        store_le32(entry + 8, base + at);
    }
    at = append_text(block, command_line);
    store_le32(block->data + INFO_CMDLINE, base + at);
    at = append_text(block, "duodm");
    store_le32(block->data + INFO_LOADER_NAME, base + at);
    store_le32(block->data + INFO_FLAGS, INFO_HAS_MEMORY | INFO_HAS_CMDLINE | INFO_HAS_MODULES |
                                             INFO_HAS_MMAP | INFO_HAS_LOADER);
    store_le32(block->data + INFO_MEM_LOWER, E820_LOW_RAM_END / 1024);
    store_le32(block->data + INFO_MEM_UPPER, upper_memory(environment));
    store_le32(block->data + INFO_MODS_COUNT, module_count);
    store_le32(block->data + INFO_MODS_ADDR, base + modules);
    store_le32(block->data + INFO_MMAP_LENGTH, map_count * MMAP_ENTRY_SIZE);
    store_le32(block->data + INFO_MMAP_ADDR, base + map);
    return block;
}

static bool load_parts(struct multiboot *multiboot, struct boot_plan *plan,
                       const struct boot_environment *environment, GBytes *kernel, GError **error)
{
    g_autoptr(GByteArray) measure = NULL;
    g_autoptr(GByteArray) info = NULL;
    uint64_t gdt, room;

    if (!(multiboot->flags & FLAG_HAS_ADDRESS
              ? load_by_addresses(multiboot, plan, environment, kernel, error)
              : load_elf(multiboot, plan, environment, kernel, error)) ||
        !add_modules(multiboot, plan, environment, error)) {
        return false;
    }
    measure = make_info(multiboot, environment, 0);
    if (!kernel_find_table_room(plan, environment, BOOT_GDT_SIZE + measure->len, &gdt, error)) {
        return false;
    }
    room = gdt + BOOT_GDT_SIZE;
    info = make_info(multiboot, environment, (uint32_t)room);
    boot_plan_add_gdt(plan, gdt, false);
    boot_plan_add_copy(plan, room, info->data, info->len);
    boot_plan_set_flat_32(plan, gdt, multiboot->entry);
    plan->cpu.gpr[X86_RAX] = LOADER_MAGIC;
    plan->cpu.gpr[X86_RBX] = room;
    plan->protocol = "multiboot";
    return true;
}

bool multiboot_load(struct boot_plan *plan, const struct boot_environment *environment,
                    GBytes *kernel, GError **error)
{
    struct multiboot multiboot = {0};
    gsize size;
    const uint8_t *data = g_bytes_get_data(kernel, &size);
    bool ok;

    if (!find_header(data, size, &multiboot.header_offset)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "it has no multiboot header");
    }
    multiboot.flags = load_le32(data + multiboot.header_offset + 4);
    if (multiboot.flags & 0xffff & ~FLAGS_KNOWN) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "its multiboot header asks for unknown features (flags 0x%x)",
                          multiboot.flags);
    }
    multiboot.modules = g_array_new(FALSE, FALSE, sizeof(struct module));
    g_array_set_clear_func(multiboot.modules, module_clear);
    ok = load_parts(&multiboot, plan, environment, kernel, error);
    g_array_unref(multiboot.modules);
    return ok;
}
