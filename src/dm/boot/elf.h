/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF executables for x86, 32 and 64 bits, as kernels come in (System V ABI, chapters 4 and 5).
 * The file is not trusted: everything that the parser returns lies inside the file.
 */
#ifndef DUODM_DM_BOOT_ELF_H
#define DUODM_DM_BOOT_ELF_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One program header. offset + file_size is within the file, address + memory_size does not wrap,
 * memory_size >= file_size. */
struct elf_segment {
    uint64_t offset;           /* in the file, bytes */
    uint64_t file_size;        /* bytes there */
    uint64_t memory_size;      /* bytes in memory: zeroes follow those of the file */
    uint64_t physical_address; /* where it is loaded */
    uint64_t virtual_address;
};

struct elf_image {
    bool is_64;
    uint64_t entry; /* virtual address, as the header has it */
    GArray *loads;  /* of struct elf_segment: PT_LOAD with bytes in memory */
    GArray *notes;  /* of struct elf_segment: PT_NOTE */
};

/* Is it an ELF file at all? Nothing else is looked at. */
bool elf_has_magic(const uint8_t *data, size_t size);

/* Fills *image (to be cleared by the caller) or fails with what is wrong with the file. */
bool elf_parse(const uint8_t *data, size_t size, struct elf_image *image, GError **error);
void elf_image_clear(struct elf_image *image);

/* The physical address of a virtual one, by the loaded segments; the address itself if none has
 * it. */
uint64_t elf_physical_address(const struct elf_image *image, uint64_t address);

/* Find a note by owner and type. *descriptor points into data. False: there is none. */
bool elf_find_note(const struct elf_image *image, const uint8_t *data, const char *owner,
                   uint32_t type, const uint8_t **descriptor, size_t *length);

#endif
