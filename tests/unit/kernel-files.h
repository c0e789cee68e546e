/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small kernel files for tests of the loaders. */
#ifndef DUODM_TESTS_UNIT_KERNEL_FILES_H
#define DUODM_TESTS_UNIT_KERNEL_FILES_H

#include "dm/boot/kernel-loader.h"
#include "util/little-endian.h"

#include <glib.h>
#include <glib/gstdio.h>

#define ELF_FILE_32_TEXT 84u /* offset of the segment: header, one program header */

/* One PT_LOAD segment. */
static inline GByteArray *elf_file_32(uint32_t address, uint32_t entry, const char *text,
                                      uint32_t length, uint32_t memory_length)
{
    GByteArray *file = g_byte_array_new();

    g_byte_array_set_size(file, ELF_FILE_32_TEXT);
    memset(file->data, 0, file->len);
    memcpy(file->data, "\177ELF\1\1\1", 7);
    store_le16(file->data + 16, 2); /* executable */
    store_le16(file->data + 18, 3); /* 386 */
    store_le32(file->data + 20, 1);
    store_le32(file->data + 24, entry);
    store_le32(file->data + 28, 52);
    store_le16(file->data + 42, 32);
    store_le16(file->data + 44, 1);
    store_le32(file->data + 52, 1); /* PT_LOAD */
    store_le32(file->data + 52 + 4, ELF_FILE_32_TEXT);
    store_le32(file->data + 52 + 8, address);
    store_le32(file->data + 52 + 12, address);
    store_le32(file->data + 52 + 16, length);
    store_le32(file->data + 52 + 20, memory_length);
    g_byte_array_append(file, (const uint8_t *)text, length);
    return file;
}

static inline unsigned elf_file_64_note_offset(const GByteArray *file)
{
    return 64 + 2 * 56;
}

/* One PT_NOTE and one PT_LOAD with the same bytes: the note, of 4 bytes. */
static inline GByteArray *elf_file_64_with_note(uint64_t address, const char *owner, uint32_t type,
                                                uint32_t value)
{
    GByteArray *file = g_byte_array_new();
    unsigned owner_size = (unsigned)strlen(owner) + 1, note = 64 + 2 * 56;
    unsigned note_size = 12 + ((owner_size + 3) & ~3u) + 4;

    g_byte_array_set_size(file, note + note_size);
    memset(file->data, 0, file->len);
    memcpy(file->data, "\177ELF\2\1\1", 7);
    store_le16(file->data + 16, 2);
    store_le16(file->data + 18, 62);
    store_le32(file->data + 20, 1);
    store_le64(file->data + 24, address);
    store_le64(file->data + 32, 64);
    store_le16(file->data + 54, 56);
    store_le16(file->data + 56, 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *header = file->data + 64 + i * 56;

        store_le32(header, i ? 4 : 1); /* PT_LOAD, PT_NOTE */
        store_le64(header + 8, note);
        store_le64(header + 16, address);
        store_le64(header + 24, address);
        store_le64(header + 32, note_size);
        store_le64(header + 40, note_size);
    }
    store_le32(file->data + note, owner_size);
    store_le32(file->data + note + 4, 4);
    store_le32(file->data + note + 8, type);
    memcpy(file->data + note + 12, owner, owner_size);
    store_le32(file->data + note + 12 + ((owner_size + 3) & ~3u), value);
    return file;
}

/* A bzImage: 5 sectors of set-up, then `size` bytes of 'K'. Protocol 2.15, relocatable. */
#define BZIMAGE_SETUP (5 * 512u)
static inline GByteArray *bzimage_file(uint16_t version, uint32_t size)
{
    GByteArray *file = g_byte_array_new();

    g_byte_array_set_size(file, BZIMAGE_SETUP + size);
    memset(file->data, 0, BZIMAGE_SETUP);
    memset(file->data + BZIMAGE_SETUP, 'K', size);
    file->data[0x1f1] = 4;
    store_le32(file->data + 0x1f4, size / 16);
    store_le16(file->data + 0x1fe, 0xaa55);
    file->data[0x200] = 0xeb;
    file->data[0x201] = 0x66;
    memcpy(file->data + 0x202, "HdrS", 4);
    store_le16(file->data + 0x206, version);
    file->data[0x211] = 1; /* loaded high */
    store_le32(file->data + 0x22c, 0x7fffffff);
    store_le32(file->data + 0x230, 0x200000);
    file->data[0x234] = 1;
    store_le16(file->data + 0x236, 3); /* 64-bit entry, loadable above 4 GiB */
    store_le32(file->data + 0x238, 255);
    store_le64(file->data + 0x258, 0x1000000);
    store_le32(file->data + 0x260, 0x400000);
    return file;
}

static inline struct boot_environment test_environment(uint64_t ram_below_4g, uint64_t ram_above_4g)
{
    struct boot_environment environment = {
        .ram_below_4g = ram_below_4g,
        .ram_above_4g = ram_above_4g,
        .rsdp = 0xf0000,
        .kernel_path = "vmlinuz",
    };

    e820_map_for_kernel(&environment.map, ram_below_4g, ram_above_4g);
    return environment;
}

static inline struct boot_plan *load_file(const struct boot_environment *environment,
                                          const GByteArray *file, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(file->data, file->len);

    return kernel_load_bytes(environment, bytes, error);
}

/* What a plan puts at an address, at least `length` bytes of one chunk; NULL: nothing. */
static inline const uint8_t *plan_bytes(const struct boot_plan *plan, uint64_t address,
                                        uint64_t length)
{
    for (unsigned i = 0; i < plan->chunks->len; i++) {
        const struct boot_chunk *chunk = &g_array_index(plan->chunks, struct boot_chunk, i);

        if (chunk->bytes && address >= chunk->address &&
            address + length <= chunk->address + chunk->copied) {
            return (const uint8_t *)g_bytes_get_data(chunk->bytes, NULL) + chunk->offset +
                   (address - chunk->address);
        }
    }
    return NULL;
}

/* Do any two chunks overlap, or is one outside of RAM? */
static inline bool plan_is_sound(const struct boot_plan *plan,
                                 const struct boot_environment *environment)
{
    for (unsigned i = 0; i < plan->chunks->len; i++) {
        const struct boot_chunk *a = &g_array_index(plan->chunks, struct boot_chunk, i);
        bool in_ram = false;

        for (unsigned k = 0; k < environment->map.count; k++) {
            const struct e820_entry *entry = &environment->map.entries[k];

            in_ram |= entry->type == E820_RAM && a->address >= entry->start &&
                      a->address + a->length <= entry->start + entry->length;
        }
        if (!in_ram) {
            return false;
        }
        for (unsigned k = 0; k < i; k++) {
            const struct boot_chunk *b = &g_array_index(plan->chunks, struct boot_chunk, k);

            if (a->address < b->address + b->length && b->address < a->address + a->length) {
                return false;
            }
        }
    }
    return true;
}

/* A file of `size` bytes 'I' in the folder of temporary files; caller unlinks and frees the name.
 */
static inline char *temporary_file(size_t size)
{
    char *path = NULL;
    int fd = g_file_open_tmp("duodm-test-XXXXXX", &path, NULL);
    g_autofree char *data = g_malloc(size + 1);

    memset(data, 'I', size);
    g_close(fd, NULL);
    g_file_set_contents(path, data, (gssize)size, NULL);
    return path;
}

#endif
