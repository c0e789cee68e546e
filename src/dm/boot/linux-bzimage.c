/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Linux/x86 boot protocol, as Documentation/arch/x86/boot.rst has it. The kernel is entered at
 * its 64-bit entry point if it has one, else at the 32-bit one; the real-mode part is not run.
 */
#include "dm/boot/boot-file.h"
#include "dm/boot/kernel-loader.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>

/* The setup header, offsets in the file and in struct boot_params alike. */
#define SETUP_SECTS     0x1f1
#define SYSSIZE         0x1f4
#define BOOT_FLAG       0x1fe
#define JUMP            0x200
#define HEADER_MAGIC    0x202
#define VERSION         0x206
#define TYPE_OF_LOADER  0x210
#define LOADFLAGS       0x211
#define CODE32_START    0x214
#define RAMDISK_IMAGE   0x218
#define RAMDISK_SIZE    0x21c
#define CMD_LINE_PTR    0x228
#define INITRD_ADDR_MAX 0x22c
#define ALIGNMENT       0x230
#define RELOCATABLE     0x234
#define XLOADFLAGS      0x236
#define CMDLINE_SIZE    0x238
#define SETUP_DATA      0x250
#define PREF_ADDRESS    0x258
#define INIT_SIZE       0x260
#define HEADER_END_MAX  0x280

/* Other fields of struct boot_params ("zero page"). */
#define BOOT_PARAMS_SIZE  4096u
#define ACPI_RSDP_ADDR    0x070
#define EXT_RAMDISK_IMAGE 0x0c0
#define EXT_RAMDISK_SIZE  0x0c4
#define E820_ENTRIES      0x1e8
#define E820_TABLE        0x2d0

#define MAGIC_HDRS                 0x53726448u
#define LOADED_HIGH                0x01
#define XLF_KERNEL_64              0x0001
#define XLF_CAN_BE_LOADED_ABOVE_4G 0x0002
#define ENTRY_64_OFFSET            0x200
#define LOADER_UNDEFINED           0xff
#define SETUP_DTB                  2
#define SETUP_RNG_SEED             9
#define SETUP_DATA_HEADER_SIZE     16u
#define RNG_SEED_SIZE              32u
#define DEFAULT_LOAD_ADDRESS       0x100000u
#define DEFAULT_INITRD_MAX         0x37ffffffu
#define DEFAULT_CMDLINE_SIZE       255u

/* Tables that the kernel is handed, in one block. */
#define TABLE_GDT        0x1000u
#define TABLE_SETUP_DATA 0x1100u
#define TABLE_PAGING     0x2000u
#define PAGING_PAGES     6u /* PML4, PDPT, four directories of 2 MiB pages: the first 4 GiB */
#define TABLE_CMDLINE    (TABLE_PAGING + PAGING_PAGES * 4096u)

struct bzimage {
    const uint8_t *data; /* the file; of kernel_file only the header's part */
    size_t size;
    unsigned version;      /* protocol, 0x020f for 2.15 */
    uint64_t setup_size;   /* bytes of the real-mode part */
    uint64_t system_size;  /* bytes of the protected-mode part */
    uint64_t init_size;    /* bytes that it needs in memory to start */
    uint64_t alignment;    /* of its address */
    uint64_t pref_address; /* where it wants to be */
    bool relocatable;
    unsigned xloadflags;
    uint64_t initrd_max; /* last address of an initrd */
    uint64_t cmdline_max;
    uint64_t address; /* where it is put */
};

bool linux_bzimage_probe(const uint8_t *data, size_t size)
{
    return size >= HEADER_END_MAX && load_le16(data + BOOT_FLAG) == 0xaa55 &&
           load_le32(data + HEADER_MAGIC) == MAGIC_HDRS;
}

static bool read_sizes(struct bzimage *image, GError **error)
{
    unsigned sectors = image->data[SETUP_SECTS] ? image->data[SETUP_SECTS] : 4;
    uint64_t promised;

    image->setup_size = (sectors + 1) * 512u;
    /* Before 2.04 the field had two bytes and could not be relied on. */
    promised = image->version >= 0x204 ? (uint64_t)load_le32(image->data + SYSSIZE) * 16 : 1;
    if (image->size <= image->setup_size || image->size - image->setup_size < promised) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is truncated: its header promises %" PRIu64
                          " bytes, the file has %zu",
                          image->setup_size + promised, image->size);
    }
    image->system_size = image->version >= 0x204 ? promised : image->size - image->setup_size;
    if (image->system_size == 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "it is damaged: its size is 0");
    }
    return true;
}

static bool read_header(struct bzimage *image, GError **error)
{
    const uint8_t *data = image->data;

    image->version = load_le16(data + VERSION);
    if (image->version < 0x200) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "its boot protocol %u.%02u is too old, 2.00 is needed",
                          image->version >> 8, image->version & 0xff);
    }
    if (!(data[LOADFLAGS] & LOADED_HIGH)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "it is a zImage, which is loaded low: a bzImage is needed");
    }
    if (!read_sizes(image, error)) {
        return false;
    }
    image->initrd_max =
        image->version >= 0x203 ? load_le32(data + INITRD_ADDR_MAX) : DEFAULT_INITRD_MAX;
    image->cmdline_max =
        image->version >= 0x206 ? load_le32(data + CMDLINE_SIZE) : DEFAULT_CMDLINE_SIZE;
    image->relocatable = image->version >= 0x205 && data[RELOCATABLE];
    image->alignment = image->version >= 0x205 ? load_le32(data + ALIGNMENT) : 0;
    if (image->alignment & (image->alignment - 1)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is damaged: its alignment 0x%" PRIx64 " is not a power of two",
                          image->alignment);
    }
    image->alignment = MAX(image->alignment, 4096);
    image->xloadflags = image->version >= 0x20c ? load_le16(data + XLOADFLAGS) : 0;
    image->init_size = image->system_size;
    image->pref_address = DEFAULT_LOAD_ADDRESS;
    if (image->version >= 0x20a) {
        image->init_size = MAX(image->init_size, load_le32(data + INIT_SIZE));
        image->pref_address = load_le64(data + PREF_ADDRESS);
    }
    return true;
}

static bool place_kernel(struct bzimage *image, struct boot_plan *plan,
                         const struct boot_environment *environment, GBytes *kernel, GError **error)
{
    const struct range below_4g = {E820_HIGH_START, E820_FOUR_GIB - E820_HIGH_START};
    struct range where = {image->pref_address, image->init_size};

    if (!range_is_valid(where) || !range_contains_range(below_4g, where) ||
        !boot_plan_is_free(plan, environment, where)) {
        if (!image->relocatable ||
            !boot_plan_find_low(plan, environment, below_4g, image->init_size, image->alignment,
                                &where.start)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "it needs %" PRIu64 " bytes of RAM from 0x%" PRIx64
                              " to start, the machine has too little: give it more with -m",
                              image->init_size, image->pref_address);
        }
    }
    image->address = where.start;
    if (environment->kernel_file) {
        boot_plan_add_file(plan, where.start, environment->kernel_file, image->setup_size,
                           image->system_size);
    } else {
        boot_plan_add(plan, where.start, kernel, image->setup_size, image->system_size,
                      image->system_size);
    }
    if (where.length > image->system_size) {
        boot_plan_reserve(plan, (struct range){where.start + image->system_size,
                                               where.length - image->system_size});
    }
    return true;
}

static bool place_initrd(const struct bzimage *image, struct boot_plan *plan,
                         const struct boot_environment *environment, uint8_t *params,
                         GError **error)
{
    struct boot_file *initrd;
    uint64_t limit = MIN(image->initrd_max + 1, E820_FOUR_GIB);
    struct range low = {E820_HIGH_START, limit > E820_HIGH_START ? limit - E820_HIGH_START : 0};
    struct range high = {E820_FOUR_GIB, environment->ram_above_4g};
    uint64_t address, size;

    if (!environment->initrd) {
        return true;
    }
    initrd =
        boot_file_open("initrd", environment->initrd, kernel_ram_size(environment), NULL, error);
    if (!initrd) {
        return false;
    }
    size = boot_file_size(initrd);
    if (!boot_plan_find_high(plan, environment, low, size, 4096, &address) &&
        !(image->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G &&
          boot_plan_find_high(plan, environment, high, size, 4096, &address))) {
        boot_file_unref(initrd);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "initrd '%s' of %" PRIu64
                          " bytes does not fit in the machine's RAM beside the "
                          "kernel: give it more with -m",
                          environment->initrd, size);
    }
    boot_plan_add_file(plan, address, initrd, 0, size);
    boot_file_unref(initrd);
    store_le32(params + RAMDISK_IMAGE, (uint32_t)address);
    store_le32(params + RAMDISK_SIZE, (uint32_t)size);
    if (image->version >= 0x20c) {
        store_le32(params + EXT_RAMDISK_IMAGE, (uint32_t)(address >> 32));
        store_le32(params + EXT_RAMDISK_SIZE, (uint32_t)((uint64_t)size >> 32));
    }
    return true;
}

/* The header as the file has it, up to its end as its jump instruction tells it. */
static void copy_header(const struct bzimage *image, uint8_t *params)
{
    unsigned end = MIN(HEADER_MAGIC + image->data[JUMP + 1], HEADER_END_MAX);

    if (end > SETUP_SECTS) {
        memcpy(params + SETUP_SECTS, image->data + SETUP_SECTS, end - SETUP_SECTS);
    }
}

static void fill_params(const struct bzimage *image, const struct boot_environment *environment,
                        uint64_t tables, uint8_t *params)
{
    params[TYPE_OF_LOADER] = LOADER_UNDEFINED;
    store_le32(params + CODE32_START, (uint32_t)image->address);
    store_le32(params + CMD_LINE_PTR, (uint32_t)(tables + TABLE_CMDLINE));
    if (image->version >= 0x209) {
        store_le64(params + SETUP_DATA, tables + TABLE_SETUP_DATA);
    }
    if (image->version >= 0x20e) {
        store_le64(params + ACPI_RSDP_ADDR, environment->rsdp);
    }
    params[E820_ENTRIES] = (uint8_t)environment->map.count;
    e820_map_pack(&environment->map, params + E820_TABLE);
}

static void add_page_tables(struct boot_plan *plan, uint64_t address)
{
    g_autofree uint8_t *pages = g_malloc0(PAGING_PAGES * 4096);
    const uint64_t present_writable = 3, large = 0x80;

    store_le64(pages, (address + 4096) | present_writable);
    for (unsigned i = 0; i < 4; i++) {
        store_le64(pages + 4096 + i * 8, (address + 8192 + i * 4096u) | present_writable);
    }
    for (uint64_t i = 0; i < 4 * 512; i++) {
        store_le64(pages + 8192 + i * 8, i << 21 | present_writable | large);
    }
    boot_plan_add_copy(plan, address, pages, PAGING_PAGES * 4096);
}

/* struct setup_data {next, type, length}, a list: each followed by its data. */
static void make_setup_data(uint8_t header[SETUP_DATA_HEADER_SIZE], uint64_t next, uint32_t type,
                            uint32_t length)
{
    store_le64(header, next);
    store_le32(header + 8, type);
    store_le32(header + 12, length);
}

/* A seed for the kernel's random numbers. */
static void add_random_seed(struct boot_plan *plan, uint64_t address, uint64_t next)
{
    uint8_t header[SETUP_DATA_HEADER_SIZE];

    make_setup_data(header, next, SETUP_RNG_SEED, RNG_SEED_SIZE);
    boot_plan_add_with_random(plan, address, header, sizeof(header), RNG_SEED_SIZE);
}

static void add_device_tree(struct boot_plan *plan, uint64_t address, GBytes *tree)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    uint8_t header[SETUP_DATA_HEADER_SIZE];

    make_setup_data(header, 0, SETUP_DTB, (uint32_t)g_bytes_get_size(tree));
    g_byte_array_append(data, header, sizeof(header));
    g_byte_array_append(data, g_bytes_get_data(tree, NULL), (guint)g_bytes_get_size(tree));
    boot_plan_add_copy(plan, address, data->data, data->len);
}

bool linux_bzimage_load(struct boot_plan *plan, const struct boot_environment *environment,
                        GBytes *kernel, GError **error)
{
    g_autofree uint8_t *params = g_malloc0(BOOT_PARAMS_SIZE);
    const char *command_line = environment->append ? environment->append : "";
    size_t command_line_size = strlen(command_line) + 1;
    size_t tables_size = TABLE_CMDLINE + command_line_size;
    uint64_t tree_offset = (tables_size + 7) & ~7ull;
    struct bzimage image = {0};
    uint64_t tables;
    bool is_64;

    image.data = g_bytes_get_data(kernel, &image.size);
    if (environment->kernel_file) {
        image.size = boot_file_size(environment->kernel_file);
    }
    if (!read_header(&image, error) || !place_kernel(&image, plan, environment, kernel, error)) {
        return false;
    }
    if (command_line_size - 1 > image.cmdline_max) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the command line has %zu bytes, the kernel takes %" PRIu64,
                          command_line_size - 1, image.cmdline_max);
    }
    if (environment->device_tree) {
        tables_size =
            tree_offset + SETUP_DATA_HEADER_SIZE + g_bytes_get_size(environment->device_tree);
    }
    if (!kernel_find_table_room(plan, environment, tables_size, &tables, error)) {
        return false;
    }
    is_64 = image.xloadflags & XLF_KERNEL_64;
    boot_plan_add_gdt(plan, tables + TABLE_GDT, is_64);
    add_random_seed(plan, tables + TABLE_SETUP_DATA,
                    environment->device_tree ? tables + tree_offset : 0);
    if (environment->device_tree) {
        add_device_tree(plan, tables + tree_offset, environment->device_tree);
    }
    add_page_tables(plan, tables + TABLE_PAGING);
    boot_plan_add_copy(plan, tables + TABLE_CMDLINE, command_line, command_line_size);
    copy_header(&image, params);
    if (!place_initrd(&image, plan, environment, params, error)) {
        return false;
    }
    fill_params(&image, environment, tables, params);
    boot_plan_add_copy(plan, tables, params, BOOT_PARAMS_SIZE);

    if (is_64) {
        boot_plan_set_long_mode(plan, tables + TABLE_GDT, tables + TABLE_PAGING,
                                image.address + ENTRY_64_OFFSET);
    } else {
        boot_plan_set_flat_32(plan, tables + TABLE_GDT, image.address);
    }
    plan->cpu.gpr[X86_RSI] = tables;
    plan->linux_params = tables;
    plan->protocol = is_64 ? "Linux 64-bit" : "Linux 32-bit";
    return true;
}
