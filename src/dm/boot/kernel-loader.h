/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loaders of kernels without a BIOS. Each looks at a whole file in memory and adds to a plan what
 * its boot protocol asks for; none trusts the file. Errors complete the sentence "kernel 'x': ".
 */
#ifndef DUODM_DM_BOOT_KERNEL_LOADER_H
#define DUODM_DM_BOOT_KERNEL_LOADER_H

#include "dm/boot/boot-plan.h"

/* Read -kernel (and what belongs to it) and make a plan with the loader that knows the file. NULL
 * and an error for the user if none does, or it fails. */
struct boot_plan *kernel_load(const struct boot_environment *environment, GError **error);
/* The same with the kernel's bytes at hand. */
struct boot_plan *kernel_load_bytes(const struct boot_environment *environment, GBytes *kernel,
                                    GError **error);

/* Linux bzImage (Documentation/arch/x86/boot.rst), protocol 2.00 and later. */
bool linux_bzimage_probe(const uint8_t *data, size_t size);
bool linux_bzimage_load(struct boot_plan *plan, const struct boot_environment *environment,
                        GBytes *kernel, GError **error);

/* Multiboot 0.6.96 ("Multiboot 1"): ELF, 32 or 64 bits, or with the header's load addresses. */
bool multiboot_probe(const uint8_t *data, size_t size);
bool multiboot_load(struct boot_plan *plan, const struct boot_environment *environment,
                    GBytes *kernel, GError **error);

/* x86/HVM direct boot (Xen's docs/misc/pvh): ELF with the note XEN_ELFNOTE_PHYS32_ENTRY. */
bool pvh_probe(const uint8_t *data, size_t size);
bool pvh_load(struct boot_plan *plan, const struct boot_environment *environment, GBytes *kernel,
              GError **error);

/* Parts that several loaders use. */

/* Add the segments of an ELF file; they must lie in RAM. *end: past the highest. */
struct elf_image;
bool kernel_add_elf_segments(struct boot_plan *plan, const struct boot_environment *environment,
                             const struct elf_image *image, GBytes *kernel, uint64_t *end,
                             GError **error);
/* Room for tables that the kernel is handed: low memory if it is free, else above the kernel. */
bool kernel_find_table_room(const struct boot_plan *plan,
                            const struct boot_environment *environment, uint64_t size,
                            uint64_t *address, GError **error);
/* Total RAM, the bound of what a user may load. */
uint64_t kernel_ram_size(const struct boot_environment *environment);

#endif
