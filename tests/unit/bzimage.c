/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Linux boot protocol: where things are put, what the kernel is told, what is refused. */
#include "memory/address-space.h"
#include "unit/kernel-files.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <unistd.h>

#define MIB UINT64_C(0x100000)

static void test_64_bit_entry(void)
{
    struct boot_environment environment = test_environment(512 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    struct boot_plan *plan;
    const uint8_t *params;

    environment.append = "console=ttyS0";
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
    CU_ASSERT_EQUAL(plan->cpu.rip, 0x1000200);
    CU_ASSERT_EQUAL(plan->cpu.efer, 0x500);
    params = plan_bytes(plan, plan->cpu.gpr[X86_RSI], 4096);
    CU_ASSERT_PTR_NOT_NULL_FATAL(params);
    CU_ASSERT_EQUAL(memcmp(params + 0x202, "HdrS", 4), 0);
    CU_ASSERT_EQUAL(params[0x210], 0xff);
    CU_ASSERT_EQUAL(load_le64(params + 0x70), 0xf0000);
    CU_ASSERT_EQUAL(params[0x1e8], environment.map.count);
    CU_ASSERT_EQUAL(memcmp(plan_bytes(plan, load_le32(params + 0x228), 14), "console=ttyS0", 14),
                    0);
    CU_ASSERT_EQUAL(plan_bytes(plan, 0x1000000, 0x10000)[0], 'K');
    boot_plan_free(plan);
}

/* Translate by the plan's page tables as a CPU would. */
static uint64_t walk(const struct boot_plan *plan, uint64_t address)
{
    uint64_t table = plan->cpu.cr3;

    for (int shift = 39; shift >= 21; shift -= 9) {
        const uint8_t *page = plan_bytes(plan, table, 4096);
        uint64_t entry = page ? load_le64(page + (address >> shift & 511) * 8) : 0;

        if (!(entry & 1)) {
            return UINT64_MAX;
        }
        table = entry & 0xffffffffff000;
        if (entry & 0x80) {
            return table + (address & ((1ull << shift) - 1));
        }
    }
    return UINT64_MAX;
}

static void test_identity_map(void)
{
    struct boot_environment environment = test_environment(512 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    struct boot_plan *plan = load_file(&environment, file, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_EQUAL(walk(plan, 0), 0);
    CU_ASSERT_EQUAL(walk(plan, 0x1000200), 0x1000200);
    CU_ASSERT_EQUAL(walk(plan, 0xffffffff), 0xffffffff);
    CU_ASSERT_EQUAL(walk(plan, 0x100000000), UINT64_MAX);
    boot_plan_free(plan);
}

static void test_32_bit_entry(void)
{
    struct boot_environment environment = test_environment(512 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x204, 0x10000);
    struct boot_plan *plan = load_file(&environment, file, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_EQUAL(plan->cpu.rip, 0x100000);
    CU_ASSERT_EQUAL(plan->cpu.cr0 & 0x80000001, 1);
    CU_ASSERT_EQUAL(plan->cpu.segment[X86_CS].selector, 0x10);
    CU_ASSERT_EQUAL(plan->cpu.segment[X86_DS].selector, 0x18);
    boot_plan_free(plan);
}

/* Too little RAM at the preferred address: a relocatable kernel goes lower, others fail. */
static void test_small_memory(void)
{
    struct boot_environment environment = test_environment(16 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    GError *error = NULL;
    struct boot_plan *plan = load_file(&environment, file, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_EQUAL(plan->cpu.rip, 0x200200);
    boot_plan_free(plan);
    file->data[0x234] = 0;
    CU_ASSERT_PTR_NULL(load_file(&environment, file, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "-m"));
    g_clear_error(&error);
}

/* Does the plan put that byte there? Into 128 MiB of RAM. */
static bool writes_to(const struct boot_plan *plan, uint64_t address, uint8_t expected)
{
    struct memory_region root, ram;
    struct address_space memory;
    bool result;

    memory_region_init_container(&root, "root", 1ull << 40);
    g_assert_true(memory_region_init_ram(&ram, "ram", 128 * MIB, NULL));
    memory_region_add_subregion(&root, 0, &ram);
    address_space_init(&memory, &root, "memory");
    result = boot_plan_write(plan, &memory, NULL) &&
             ((const uint8_t *)memory_region_host_pointer(&ram))[address] == expected;
    address_space_destroy(&memory);
    memory_region_destroy(&ram);
    memory_region_destroy(&root);
    return result;
}

/* By its path a kernel is read at each start; a file that was cut meanwhile is noticed. */
static void test_read_at_each_start(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    g_autofree char *path = temporary_file(1);
    struct boot_plan *plan;

    g_assert_true(g_file_set_contents(path, (const char *)file->data, (gssize)file->len, NULL));
    environment.kernel_path = path;
    plan = kernel_load(&environment, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
    CU_ASSERT_TRUE(writes_to(plan, 0x1000000, 'K'));
    CU_ASSERT_TRUE(writes_to(plan, 0x100ffff, 'K'));
    g_assert_true(truncate(path, (off_t)file->len - 1) == 0);
    CU_ASSERT_FALSE(writes_to(plan, 0x1000000, 'K'));
    boot_plan_free(plan);
    g_unlink(path);
}

static void test_initrd_is_below_its_limit(void)
{
    struct boot_environment environment = test_environment(512 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    g_autofree char *path = temporary_file(10000);
    struct boot_plan *plan;
    const uint8_t *params;

    environment.initrd = path;
    store_le32(file->data + 0x22c, 0x5ffffff);
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    params = plan_bytes(plan, plan->cpu.gpr[X86_RSI], 4096);
    CU_ASSERT_EQUAL(load_le32(params + 0x218), 0x6000000 - 12288);
    CU_ASSERT_EQUAL(load_le32(params + 0x21c), 10000);
    CU_ASSERT_TRUE(writes_to(plan, load_le32(params + 0x218) + 9999, 'I'));
    boot_plan_free(plan);
    g_unlink(path);
}

static void test_initrd_above_4g(void)
{
    struct boot_environment environment = test_environment(24 * MIB, 64 * MIB);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    g_autofree char *path = temporary_file(20 * MIB);
    struct boot_plan *plan;
    const uint8_t *params;

    environment.initrd = path;
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
    params = plan_bytes(plan, plan->cpu.gpr[X86_RSI], 4096);
    CU_ASSERT_EQUAL(load_le32(params + 0xc0), 1);
    boot_plan_free(plan);
    store_le16(file->data + 0x236, 1);
    CU_ASSERT_PTR_NULL(load_file(&environment, file, NULL));
    g_unlink(path);
}

static void test_bad_initrds(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    g_autofree char *empty = temporary_file(0);
    g_autofree char *large = temporary_file(65 * MIB);
    const char *const paths[] = {"/nowhere/initrd", "/", empty, large};
    const char *const says[] = {"No such file", "directory", "empty", "larger than"};

    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        GError *error = NULL;

        environment.initrd = paths[i];
        CU_ASSERT_PTR_NULL(load_file(&environment, file, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, says[i]));
        g_clear_error(&error);
    }
    g_unlink(empty);
    g_unlink(large);
}

static void test_long_command_line(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x10000);
    g_autofree char *fits = g_strnfill(255, 'x');
    g_autofree char *too_long = g_strnfill(256, 'x');
    struct boot_plan *plan;

    environment.append = fits;
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL(plan);
    boot_plan_free(plan);
    environment.append = too_long;
    CU_ASSERT_PTR_NULL(load_file(&environment, file, NULL));
}

static void test_every_truncation_is_refused(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = bzimage_file(0x20f, 0x1000);

    for (unsigned size = 0; size < file->len; size += size < 0x300 ? 1 : 61) {
        g_autoptr(GBytes) bytes = g_bytes_new(file->data, size);
        GError *error = NULL;

        CU_ASSERT_PTR_NULL(kernel_load_bytes(&environment, bytes, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "vmlinuz"));
        g_clear_error(&error);
    }
}

static void test_random_headers(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 64 * MIB);
    g_autoptr(GRand) random = test_seeded_rand();

    for (unsigned i = 0; i < 3000; i++) {
        g_autoptr(GByteArray) file = bzimage_file(0x200 + i % 16, 0x1000);
        struct boot_plan *plan;

        for (unsigned k = 0; k < 4; k++) {
            file->data[g_rand_int_range(random, 0x1f1, 0x270)] = (uint8_t)g_rand_int(random);
        }
        plan = load_file(&environment, file, NULL);
        if (plan) {
            CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
            boot_plan_free(plan);
        }
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"64-bit entry", test_64_bit_entry},
        {"identity map of 4 GiB", test_identity_map},
        {"32-bit entry", test_32_bit_entry},
        {"small memory", test_small_memory},
        {"read at each start", test_read_at_each_start},
        {"initrd below its limit", test_initrd_is_below_its_limit},
        {"initrd above 4 GiB", test_initrd_above_4g},
        {"bad initrds", test_bad_initrds},
        {"long command line", test_long_command_line},
        {"every truncation is refused", test_every_truncation_is_refused},
        {"random headers", test_random_headers},
        {NULL, NULL},
    };

    return unit_run("bzimage", tests);
}
