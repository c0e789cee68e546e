/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot and PVH kernels. */
#include "unit/kernel-files.h"
#include "unit/suite.h"

#define MIB UINT64_C(0x100000)

/* An ELF file whose segment begins with a multiboot header. */
static GByteArray *multiboot_elf(uint32_t flags)
{
    uint8_t text[64] = {0};

    store_le32(text, 0x1badb002);
    store_le32(text + 4, flags);
    store_le32(text + 8, -(0x1badb002 + flags));
    return elf_file_32(0x400000, 0x400020, (const char *)text, sizeof(text), 8192);
}

static void test_entry_state(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = multiboot_elf(0);
    struct boot_plan *plan = load_file(&environment, file, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
    CU_ASSERT_EQUAL(plan->cpu.rip, 0x400020);
    CU_ASSERT_EQUAL(plan->cpu.gpr[X86_RAX], 0x2badb002);
    CU_ASSERT_EQUAL(plan->cpu.cr0 & 0x80000001, 1);
    CU_ASSERT_EQUAL(plan->cpu.rflags & 0x200, 0);
    CU_ASSERT_EQUAL(plan->cpu.segment[X86_CS].base, 0);
    CU_ASSERT_EQUAL(plan->cpu.segment[X86_CS].limit, 0xffffffff);
    boot_plan_free(plan);
}

static void test_information(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 16 * MIB);
    g_autoptr(GByteArray) file = multiboot_elf(3);
    g_autofree char *path = temporary_file(5000);
    g_autofree char *modules = g_strdup_printf("%s one two,%s", path, path);
    struct boot_plan *plan;
    const uint8_t *info, *module;
    uint32_t length, at = 0;

    environment.append = "a b";
    environment.initrd = modules;
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
    info = plan_bytes(plan, plan->cpu.gpr[X86_RBX], 120);
    CU_ASSERT_PTR_NOT_NULL_FATAL(info);
    CU_ASSERT_EQUAL(load_le32(info) & 0x4d, 0x4d);
    CU_ASSERT_EQUAL(load_le32(info + 4), 639);
    CU_ASSERT_EQUAL(load_le32(info + 8), 63 * 1024);
    CU_ASSERT_STRING_EQUAL(plan_bytes(plan, load_le32(info + 16), 12), "vmlinuz a b");
    CU_ASSERT_EQUAL_FATAL(load_le32(info + 20), 2);
    module = plan_bytes(plan, load_le32(info + 24), 32);
    CU_ASSERT_EQUAL(load_le32(module) % 4096, 0);
    CU_ASSERT_EQUAL(load_le32(module + 4) - load_le32(module), 5000);
    CU_ASSERT_TRUE(
        g_str_has_suffix((const char *)plan_bytes(plan, load_le32(module + 8), 8), " one two"));
    CU_ASSERT_EQUAL(plan_bytes(plan, load_le32(module + 16), 5000)[0], 'I');
    length = load_le32(info + 44);
    for (unsigned i = 0; at < length; i++, at += 24) {
        const uint8_t *entry = plan_bytes(plan, load_le32(info + 48) + at, 24);

        CU_ASSERT_EQUAL(load_le32(entry), 20);
        CU_ASSERT_EQUAL(load_le64(entry + 4), environment.map.entries[i].start);
        CU_ASSERT_EQUAL(load_le64(entry + 12), environment.map.entries[i].length);
    }
    CU_ASSERT_EQUAL(at, length);
    boot_plan_free(plan);
    g_unlink(path);
}

static void test_addresses_in_header(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = g_byte_array_new();
    const uint32_t flags = 0x10000;
    const uint32_t header[8] = {
        0x1badb002, flags, -(0x1badb002 + flags), 0x200010, 0x200000, 0x200040, 0x201000, 0x200030};
    struct boot_plan *plan;

    g_byte_array_set_size(file, 0x150);
    memset(file->data, 'T', file->len);
    for (unsigned i = 0; i < 8; i++) {
        store_le32(file->data + 0x110 + 4 * i, header[i]);
    }
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_EQUAL(plan->cpu.rip, 0x200030);
    CU_ASSERT_EQUAL(load_le32(plan_bytes(plan, 0x200010, 4)), 0x1badb002);
    boot_plan_free(plan);

    g_byte_array_set_size(file, 0x13f); /* one byte of what load_end_addr promises is missing */
    CU_ASSERT_PTR_NULL(load_file(&environment, file, NULL));
}

static void test_refusals(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    struct boot_environment small = test_environment(4 * MIB, 0);
    g_autoptr(GByteArray) unknown = multiboot_elf(0x8);
    g_autoptr(GByteArray) file = multiboot_elf(0);
    GError *error = NULL;

    CU_ASSERT_PTR_NULL(load_file(&environment, unknown, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "flags 0x8"));
    g_clear_error(&error);
    CU_ASSERT_PTR_NULL(load_file(&small, file, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "RAM"));
    g_clear_error(&error);
    environment.initrd = "/nowhere/module";
    CU_ASSERT_PTR_NULL(load_file(&environment, file, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "/nowhere/module"));
    g_clear_error(&error);
}

static void test_pvh(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = elf_file_64_with_note(0x200000, "Xen", 18, 0x200008);
    struct boot_plan *plan;
    const uint8_t *info;

    environment.append = "quiet";
    plan = load_file(&environment, file, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_TRUE(plan_is_sound(plan, &environment));
    CU_ASSERT_EQUAL(plan->cpu.rip, 0x200008);
    info = plan_bytes(plan, plan->cpu.gpr[X86_RBX], 56);
    CU_ASSERT_PTR_NOT_NULL_FATAL(info);
    CU_ASSERT_EQUAL(load_le32(info), 0x336ec578);
    CU_ASSERT_EQUAL(load_le32(info + 4), 1);
    CU_ASSERT_EQUAL(load_le64(info + 32), 0xf0000);
    CU_ASSERT_STRING_EQUAL(plan_bytes(plan, load_le64(info + 24), 6), "quiet");
    CU_ASSERT_EQUAL(load_le32(info + 48), environment.map.count);
    boot_plan_free(plan);
}

static void test_elf_without_entry(void)
{
    struct boot_environment environment = test_environment(64 * MIB, 0);
    g_autoptr(GByteArray) file = elf_file_32(0x400000, 0x400000, "text", 4, 4);
    GError *error = NULL;

    CU_ASSERT_PTR_NULL(load_file(&environment, file, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "neither"));
    g_clear_error(&error);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"state at entry", test_entry_state},
        {"boot information", test_information},
        {"addresses in the header", test_addresses_in_header},
        {"refusals", test_refusals},
        {"PVH", test_pvh},
        {"ELF without an entry", test_elf_without_entry},
        {NULL, NULL},
    };

    return unit_run("multiboot", tests);
}
