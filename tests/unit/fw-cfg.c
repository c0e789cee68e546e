/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg: items, files, and DMA with good and bad requests. */
#include "dm/firmware/fw-cfg.h"
#include "unit/suite.h"
#include "util/little-endian.h"

#define RAM_SIZE 0x10000u

struct fixture {
    struct fw_cfg *fw_cfg;
    struct memory_region root, ram;
    struct address_space memory;
};

static void set_up(struct fixture *f)
{
    f->fw_cfg = g_malloc0(fw_cfg_class.instance_size);
    fw_cfg_init_items(f->fw_cfg);
    memory_region_init_container(&f->root, "root", UINT64_C(1) << 32);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&f->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&f->root, 0, &f->ram);
    address_space_init(&f->memory, &f->root, "memory");
}

static void tear_down(struct fixture *f)
{
    address_space_destroy(&f->memory);
    memory_region_destroy(&f->ram);
    memory_region_destroy(&f->root);
    fw_cfg_clear_items(f->fw_cfg);
    g_free(f->fw_cfg);
}

static void put_request(struct fixture *f, uint64_t at, uint32_t control, uint32_t length,
                        uint64_t address)
{
    uint8_t request[16];

    store_le32(request, GUINT32_SWAP_LE_BE(control));
    store_le32(request + 4, GUINT32_SWAP_LE_BE(length));
    store_le64(request + 8, GUINT64_SWAP_LE_BE(address));
    address_space_write(&f->memory, at, MEMORY_ATTRIBUTES_CPU, request, sizeof(request));
}

/* Carry out a request that lies at 0; its control word afterwards. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
    uint8_t result[4];

    put_request(f, 0, control, length, address);
    fw_cfg_dma(f->fw_cfg, &f->memory, 0);
    address_space_read(&f->memory, 0, MEMORY_ATTRIBUTES_CPU, result, sizeof(result));
    return GUINT32_SWAP_LE_BE(load_le32(result));
}

static void test_bytes(void)
{
    struct fixture f;

    set_up(&f);
    fw_cfg_select(f.fw_cfg, FW_CFG_SIGNATURE);
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 'Q');
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 'E');
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 'M');
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 'U');
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 0);
    fw_cfg_select(f.fw_cfg, FW_CFG_SIGNATURE);
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 'Q');
    fw_cfg_select(f.fw_cfg, FW_CFG_ID);
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 3);
    fw_cfg_select(f.fw_cfg, 0x7777);
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 0);
    tear_down(&f);
}

static uint32_t read_be32(struct fw_cfg *fw_cfg)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        value = value << 8 | fw_cfg_read_byte(fw_cfg);
    }
    return value;
}

static void test_directory_is_sorted(void)
{
    static const char *const sorted[] = {"etc/a", "etc/b", "opt/z"};
    struct fixture f;

    set_up(&f);
    CU_ASSERT_TRUE(fw_cfg_add_file(f.fw_cfg, "opt/z", "zzz", 3, NULL));
    CU_ASSERT_TRUE(fw_cfg_add_file(f.fw_cfg, "etc/b", "bb", 2, NULL));
    CU_ASSERT_TRUE(fw_cfg_add_file(f.fw_cfg, "etc/a", "a", 1, NULL));
    CU_ASSERT_FALSE(fw_cfg_add_file(f.fw_cfg, "etc/a", "a", 1, NULL));
    fw_cfg_select(f.fw_cfg, FW_CFG_FILE_DIRECTORY);
    CU_ASSERT_EQUAL_FATAL(read_be32(f.fw_cfg), 3);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t key;
        char name[FW_CFG_NAME_SIZE];

        CU_ASSERT_EQUAL(read_be32(f.fw_cfg), i + 1);
        key = read_be32(f.fw_cfg) >> 16;
        for (unsigned k = 0; k < sizeof(name); k++) {
            name[k] = (char)fw_cfg_read_byte(f.fw_cfg);
        }
        CU_ASSERT_STRING_EQUAL(name, sorted[i]);
        CU_ASSERT_TRUE(key >= FW_CFG_FIRST_FILE && key < FW_CFG_FIRST_FILE + 3);
    }
    tear_down(&f);
}

static void test_names(void)
{
    g_autofree char *longest = g_strnfill(FW_CFG_NAME_SIZE - 1, 'n');
    g_autofree char *too_long = g_strnfill(FW_CFG_NAME_SIZE, 'n');
    struct fixture f;

    set_up(&f);
    CU_ASSERT_TRUE(fw_cfg_add_file(f.fw_cfg, longest, "", 0, NULL));
    CU_ASSERT_FALSE(fw_cfg_add_file(f.fw_cfg, too_long, "", 0, NULL));
    CU_ASSERT_FALSE(fw_cfg_add_file(f.fw_cfg, "", "", 0, NULL));
    tear_down(&f);
}

static void test_dma_read(void)
{
    struct fixture f;
    uint8_t data[8];

    set_up(&f);
    fw_cfg_set_bytes(f.fw_cfg, 0x100, "abcdef", 6);
    CU_ASSERT_EQUAL(dma(&f, 0x100 << 16 | 0x08 | 0x02, 2, 0x200), 0); /* select, read */
    CU_ASSERT_EQUAL(dma(&f, 0x04, 1, 0), 0);                          /* skip */
    CU_ASSERT_EQUAL(dma(&f, 0x02, 6, 0x202), 0);                      /* past the end: zeroes */
    address_space_read(&f.memory, 0x200, MEMORY_ATTRIBUTES_CPU, data, sizeof(data));
    CU_ASSERT_EQUAL(memcmp(data, "abdef\0\0\0", 8), 0);
    tear_down(&f);
}

static void test_dma_errors(void)
{
    struct fixture f;

    set_up(&f);
    fw_cfg_set_bytes(f.fw_cfg, 0x100, "abcdef", 6);
    CU_ASSERT_EQUAL(dma(&f, 0x100 << 16 | 0x08 | 0x10, 2, 0x200), 1); /* items can't be written */
    CU_ASSERT_EQUAL(dma(&f, 0x100 << 16 | 0x08 | 0x02, 6, 0x80000000), 1);   /* no RAM there */
    CU_ASSERT_EQUAL(dma(&f, 0x100 << 16 | 0x08 | 0x02, 6, RAM_SIZE - 3), 1); /* runs out of it */
    CU_ASSERT_EQUAL(dma(&f, 0x100 << 16 | 0x08 | 0x02, 16, UINT64_MAX - 3), 1);
    fw_cfg_dma(f.fw_cfg, &f.memory, 0x90000000); /* nothing to read, nothing to tell */
    fw_cfg_dma(f.fw_cfg, &f.memory, UINT64_MAX - 7);
    tear_down(&f);
}

/* The skip of 4 GiB - 1 bytes, again and again, does not wrap. */
static void test_long_skips(void)
{
    struct fixture f;

    set_up(&f);
    fw_cfg_set_bytes(f.fw_cfg, 0x100, "abcdef", 6);
    CU_ASSERT_EQUAL(dma(&f, 0x100 << 16 | 0x08 | 0x04, UINT32_MAX, 0), 0);
    CU_ASSERT_EQUAL(dma(&f, 0x04, UINT32_MAX, 0), 0);
    CU_ASSERT_EQUAL(fw_cfg_read_byte(f.fw_cfg), 0);
    tear_down(&f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"items by bytes", test_bytes},
        {"directory is sorted", test_directory_is_sorted},
        {"names of files", test_names},
        {"DMA reads", test_dma_read},
        {"DMA errors", test_dma_errors},
        {"long skips", test_long_skips},
        {NULL, NULL},
    };

    return unit_run("fw-cfg", tests);
}
