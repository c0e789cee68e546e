/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/boot/elf.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/range.h"

#include <elf.h>
#include <inttypes.h>

/* A kernel has a handful; a table of thousands is an attack on the loader's time. */
#define MAX_PROGRAM_HEADERS 256

struct program_header {
    uint32_t type;
    struct elf_segment segment;
};

bool elf_has_magic(const uint8_t *data, size_t size)
{
    return size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

static struct program_header read_program_header(const uint8_t *at, bool is_64)
{
    struct program_header header;

    header.type = load_le32(at);
    if (is_64) {
        header.segment = (struct elf_segment){
            .offset = load_le64(at + offsetof(Elf64_Phdr, p_offset)),
            .file_size = load_le64(at + offsetof(Elf64_Phdr, p_filesz)),
            .memory_size = load_le64(at + offsetof(Elf64_Phdr, p_memsz)),
            .physical_address = load_le64(at + offsetof(Elf64_Phdr, p_paddr)),
            .virtual_address = load_le64(at + offsetof(Elf64_Phdr, p_vaddr)),
        };
    } else {
        header.segment = (struct elf_segment){
            .offset = load_le32(at + offsetof(Elf32_Phdr, p_offset)),
            .file_size = load_le32(at + offsetof(Elf32_Phdr, p_filesz)),
            .memory_size = load_le32(at + offsetof(Elf32_Phdr, p_memsz)),
            .physical_address = load_le32(at + offsetof(Elf32_Phdr, p_paddr)),
            .virtual_address = load_le32(at + offsetof(Elf32_Phdr, p_vaddr)),
        };
    }
    return header;
}

static bool check_segment(const struct elf_segment *segment, size_t file_size, unsigned index,
                          GError **error)
{
    struct range file = {0, file_size};

    if (!range_is_valid((struct range){segment->offset, segment->file_size}) ||
        !range_contains_range(file, (struct range){segment->offset, segment->file_size})) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is truncated: segment %u is %" PRIu64 " bytes at offset %" PRIu64
                          ", the file has %zu bytes",
                          index, segment->file_size, segment->offset, file_size);
    }
    if (segment->memory_size < segment->file_size ||
        !range_is_valid((struct range){segment->physical_address, segment->memory_size}) ||
        !range_is_valid((struct range){segment->virtual_address, segment->memory_size})) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is damaged: segment %u has impossible sizes or addresses", index);
    }
    return true;
}

static bool check_identification(const uint8_t *data, size_t size, GError **error)
{
    uint16_t machine;

    if (!elf_has_magic(data, size)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "it is not an ELF file");
    }
    if (size < sizeof(Elf32_Ehdr)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is truncated: no whole ELF header in %zu bytes", size);
    }
    if (data[EI_DATA] != ELFDATA2LSB || data[EI_VERSION] != EV_CURRENT ||
        (data[EI_CLASS] != ELFCLASS32 && data[EI_CLASS] != ELFCLASS64)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "its ELF identification is not that of an x86 program");
    }
    machine = load_le16(data + offsetof(Elf32_Ehdr, e_machine));
    if (machine != EM_386 && machine != EM_X86_64) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is an ELF file for another processor (machine %u), not x86", machine);
    }
    if (load_le16(data + offsetof(Elf32_Ehdr, e_type)) != ET_EXEC &&
        load_le16(data + offsetof(Elf32_Ehdr, e_type)) != ET_DYN) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is an ELF file, but not an executable");
    }
    return true;
}

static bool read_segments(const uint8_t *data, size_t size, uint64_t table, unsigned count,
                          unsigned entry_size, struct elf_image *image, GError **error)
{
    uint64_t table_size = (uint64_t)count * entry_size;

    if (!range_is_valid((struct range){table, table_size}) ||
        !range_contains_range((struct range){0, size}, (struct range){table, table_size})) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it is truncated: the program headers are not in the file");
    }
    for (unsigned i = 0; i < count; i++) {
        struct program_header header =
            read_program_header(data + table + (uint64_t)i * entry_size, image->is_64);

        if (header.type != PT_LOAD && header.type != PT_NOTE) {
            continue;
        }
        if (!check_segment(&header.segment, size, i, error)) {
            return false;
        }
        if (header.type == PT_NOTE) {
            g_array_append_val(image->notes, header.segment);
        } else if (header.segment.memory_size) {
            g_array_append_val(image->loads, header.segment);
        }
    }
    if (image->loads->len == 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "it has nothing to load");
    }
    return true;
}

bool elf_parse(const uint8_t *data, size_t size, struct elf_image *image, GError **error)
{
    unsigned count, entry_size, minimum;
    uint64_t table;

    *image = (struct elf_image){0};
    if (!check_identification(data, size, error)) {
        return false;
    }
    image->is_64 = data[EI_CLASS] == ELFCLASS64;
    if (image->is_64) {
        if (size < sizeof(Elf64_Ehdr)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "it is truncated: no whole ELF header in %zu bytes", size);
        }
        image->entry = load_le64(data + offsetof(Elf64_Ehdr, e_entry));
        table = load_le64(data + offsetof(Elf64_Ehdr, e_phoff));
        count = load_le16(data + offsetof(Elf64_Ehdr, e_phnum));
        entry_size = load_le16(data + offsetof(Elf64_Ehdr, e_phentsize));
        minimum = sizeof(Elf64_Phdr);
    } else {
        image->entry = load_le32(data + offsetof(Elf32_Ehdr, e_entry));
        table = load_le32(data + offsetof(Elf32_Ehdr, e_phoff));
        count = load_le16(data + offsetof(Elf32_Ehdr, e_phnum));
        entry_size = load_le16(data + offsetof(Elf32_Ehdr, e_phentsize));
        minimum = sizeof(Elf32_Phdr);
    }
    if (count == 0 || count > MAX_PROGRAM_HEADERS || entry_size < minimum) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "it has %u program headers of %u bytes, which is no kernel's", count,
                          entry_size);
    }
    image->loads = g_array_new(FALSE, FALSE, sizeof(struct elf_segment));
    image->notes = g_array_new(FALSE, FALSE, sizeof(struct elf_segment));
    if (!read_segments(data, size, table, count, entry_size, image, error)) {
        elf_image_clear(image);
        return false;
    }
    return true;
}

void elf_image_clear(struct elf_image *image)
{
    g_clear_pointer(&image->loads, g_array_unref);
    g_clear_pointer(&image->notes, g_array_unref);
}

uint64_t elf_physical_address(const struct elf_image *image, uint64_t address)
{
    for (guint i = 0; i < image->loads->len; i++) {
        const struct elf_segment *load = &g_array_index(image->loads, struct elf_segment, i);

        if (range_contains((struct range){load->virtual_address, load->memory_size}, address)) {
            return load->physical_address + (address - load->virtual_address);
        }
    }
    return address;
}

/* Notes are {name size, descriptor size, type}, name, descriptor, each padded to 4 bytes. */
static bool find_note_in(const uint8_t *at, uint64_t left, const char *owner, uint32_t type,
                         const uint8_t **descriptor, size_t *length)
{
    size_t owner_size = strlen(owner) + 1;

    while (left >= 12) {
        uint64_t name_size = load_le32(at);
        uint64_t descriptor_size = load_le32(at + 4);
        uint64_t name_room = (name_size + 3) & ~UINT64_C(3);
        uint64_t total = 12 + name_room + ((descriptor_size + 3) & ~UINT64_C(3));

        if (12 + name_room + descriptor_size > left) {
            return false;
        }
        if (load_le32(at + 8) == type && name_size == owner_size &&
            memcmp(at + 12, owner, owner_size) == 0) {
            *descriptor = at + 12 + name_room;
            *length = descriptor_size;
            return true;
        }
        if (total > left) {
            return false;
        }
        at += total;
        left -= total;
    }
    return false;
}

bool elf_find_note(const struct elf_image *image, const uint8_t *data, const char *owner,
                   uint32_t type, const uint8_t **descriptor, size_t *length)
{
    for (guint i = 0; i < image->notes->len; i++) {
        const struct elf_segment *note = &g_array_index(image->notes, struct elf_segment, i);

        if (find_note_in(data + note->offset, note->file_size, owner, type, descriptor, length)) {
            return true;
        }
    }
    return false;
}
