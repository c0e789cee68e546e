/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ELF parser: what it takes from good files, and that bad ones are refused. */
#include "dm/boot/elf.h"
#include "unit/kernel-files.h"
#include "unit/suite.h"

static void test_32_bit(void)
{
    g_autoptr(GByteArray) file = elf_file_32(0x100000, 0x100010, "code", 4, 64);
    struct elf_image image;

    CU_ASSERT_TRUE_FATAL(elf_parse(file->data, file->len, &image, NULL));
    CU_ASSERT_FALSE(image.is_64);
    CU_ASSERT_EQUAL(image.entry, 0x100010);
    CU_ASSERT_EQUAL_FATAL(image.loads->len, 1);
    CU_ASSERT_EQUAL(g_array_index(image.loads, struct elf_segment, 0).physical_address, 0x100000);
    CU_ASSERT_EQUAL(g_array_index(image.loads, struct elf_segment, 0).file_size, 4);
    CU_ASSERT_EQUAL(g_array_index(image.loads, struct elf_segment, 0).memory_size, 64);
    elf_image_clear(&image);
}

static void test_64_bit_note(void)
{
    g_autoptr(GByteArray) file = elf_file_64_with_note(0x200000, "Xen", 18, 0x200040);
    struct elf_image image;
    const uint8_t *descriptor;
    size_t length;

    CU_ASSERT_TRUE_FATAL(elf_parse(file->data, file->len, &image, NULL));
    CU_ASSERT_TRUE(image.is_64);
    CU_ASSERT_TRUE_FATAL(elf_find_note(&image, file->data, "Xen", 18, &descriptor, &length));
    CU_ASSERT_EQUAL(length, 4);
    CU_ASSERT_EQUAL(load_le32(descriptor), 0x200040);
    CU_ASSERT_FALSE(elf_find_note(&image, file->data, "Xen", 19, &descriptor, &length));
    CU_ASSERT_FALSE(elf_find_note(&image, file->data, "GNU", 18, &descriptor, &length));
    elf_image_clear(&image);
}

static void test_entry_is_made_physical(void)
{
    g_autoptr(GByteArray) file = elf_file_32(0x100000, 0xc0100010, "code", 4, 64);
    struct elf_image image;

    store_le32(file->data + 52 + 8, 0xc0100000); /* p_vaddr */
    CU_ASSERT_TRUE_FATAL(elf_parse(file->data, file->len, &image, NULL));
    CU_ASSERT_EQUAL(elf_physical_address(&image, image.entry), 0x100010);
    CU_ASSERT_EQUAL(elf_physical_address(&image, 0x12345), 0x12345);
    elf_image_clear(&image);
}

static void test_every_truncation_is_refused(void)
{
    g_autoptr(GByteArray) file = elf_file_64_with_note(0x200000, "Xen", 18, 0x200040);

    for (size_t size = 0; size < file->len; size++) {
        g_autofree uint8_t *exact = g_memdup2(file->data, size); /* so that ASan sees an overrun */
        struct elf_image image;
        GError *error = NULL;

        CU_ASSERT_FALSE(elf_parse(exact, size, &image, &error));
        CU_ASSERT_PTR_NOT_NULL(error);
        g_clear_error(&error);
    }
}

static void test_impossible_headers(void)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } changes[] = {
        {4, 0x00010103},       /* class 3 */
        {16, 0x00030001},      /* relocatable object */
        {16, 0x00280002},      /* another machine */
        {44, 0},               /* no program headers, of size 32 before: e_phnum is at 44 */
        {44, 0xffff},          /* too many */
        {28, 0xfffffff0},      /* headers beyond the end */
        {52 + 4, 0xffffffff},  /* p_offset */
        {52 + 16, 0xffffffff}, /* p_filesz */
        {52 + 20, 1},          /* p_memsz below p_filesz */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GByteArray) file = elf_file_32(0x100000, 0x100010, "code", 4, 64);
        struct elf_image image;

        store_le32(file->data + changes[i].offset, changes[i].value);
        CU_ASSERT_FALSE(elf_parse(file->data, file->len, &image, NULL));
    }
}

static void test_note_with_wrapping_sizes(void)
{
    g_autoptr(GByteArray) file = elf_file_64_with_note(0x200000, "Xen", 18, 0x200040);
    unsigned note = elf_file_64_note_offset(file);
    struct elf_image image;
    const uint8_t *descriptor;
    size_t length;

    store_le32(file->data + note, 0xffffffff);
    store_le32(file->data + note + 4, 0xffffffff);
    CU_ASSERT_TRUE_FATAL(elf_parse(file->data, file->len, &image, NULL));
    CU_ASSERT_FALSE(elf_find_note(&image, file->data, "Xen", 18, &descriptor, &length));
    elf_image_clear(&image);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"32-bit file", test_32_bit},
        {"64-bit file with a note", test_64_bit_note},
        {"entry point by the segments", test_entry_is_made_physical},
        {"every truncation is refused", test_every_truncation_is_refused},
        {"impossible headers", test_impossible_headers},
        {"note with wrapping sizes", test_note_with_wrapping_sizes},
        {NULL, NULL},
    };

    return unit_run("elf", tests);
}
