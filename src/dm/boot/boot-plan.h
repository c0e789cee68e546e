/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a loader made of a kernel: which bytes go where in guest memory, and how the boot processor
 * starts. A plan is made once, from files, and carried out at each reset of the machine.
 */
#ifndef DUODM_DM_BOOT_BOOT_PLAN_H
#define DUODM_DM_BOOT_BOOT_PLAN_H

#include "dm/boot/e820.h"
#include "dm/vcpu.h"
#include "util/range.h"

#include <glib.h>

struct address_space;
struct boot_file;

/* What a loader needs to know of the machine. */
struct boot_environment {
    struct e820_map map;           /* as the guest is told it */
    uint64_t ram_below_4g;         /* bytes */
    uint64_t ram_above_4g;         /* bytes; they start at 4 GiB */
    uint64_t rsdp;                 /* address of the ACPI root pointer; 0: none */
    const char *kernel_path;       /* what the user wrote */
    const char *initrd;            /* -initrd as the user wrote it; NULL: none */
    const char *append;            /* -append; NULL: none */
    struct boot_file *kernel_file; /* if the loader is given only the kernel's first bytes */
    GBytes *device_tree;           /* flattened, for kernels that take one; NULL: none */
};

/* Bytes of a buffer that go to memory, then zeroes up to `length`. */
struct boot_chunk {
    uint64_t address;       /* guest physical */
    uint64_t length;        /* bytes in memory */
    GBytes *bytes;          /* a reference; NULL: a file's bytes, or zeroes only */
    struct boot_file *file; /* a reference; NULL: none */
    uint64_t offset;        /* in bytes or the file */
    uint64_t copied;        /* bytes from there, <= length */
    bool reserved;          /* nothing is written: room that the kernel needs */
    bool random;            /* filled anew with random bytes at each start, past `copied` */
};

struct boot_plan {
    GArray *chunks; /* of struct boot_chunk, in the order of writing */
    struct x86_state cpu;
    const char *protocol;  /* for messages: "Linux 64-bit" */
    uint64_t linux_params; /* address of Linux's struct boot_params; 0: another kernel */
};

struct boot_plan *boot_plan_new(void);
void boot_plan_free(struct boot_plan *plan);

/* Is [start, start + length) RAM that nothing of the plan lies in? */
bool boot_plan_is_free(const struct boot_plan *plan, const struct boot_environment *environment,
                       struct range range);
/* The lowest (or highest) free RAM of `size` bytes inside `within`, aligned; false: none. */
bool boot_plan_find_low(const struct boot_plan *plan, const struct boot_environment *environment,
                        struct range within, uint64_t size, uint64_t alignment, uint64_t *address);
bool boot_plan_find_high(const struct boot_plan *plan, const struct boot_environment *environment,
                         struct range within, uint64_t size, uint64_t alignment, uint64_t *address);

/* Add part of a buffer (a reference is taken); zeroes follow up to memory_length. */
void boot_plan_add(struct boot_plan *plan, uint64_t address, GBytes *bytes, uint64_t offset,
                   uint64_t length, uint64_t memory_length);
/* Add part of a file (a reference is taken), which is read at each writing of the plan. */
void boot_plan_add_file(struct boot_plan *plan, uint64_t address, struct boot_file *file,
                        uint64_t offset, uint64_t length);
/* Add a copy of some bytes. */
void boot_plan_add_copy(struct boot_plan *plan, uint64_t address, const void *data,
                        uint64_t length);
/* The same, and `random_length` random bytes after them, other ones at each start. */
void boot_plan_add_with_random(struct boot_plan *plan, uint64_t address, const void *data,
                               uint64_t length, uint64_t random_length);

/* Keep a range free for the kernel itself. */
void boot_plan_reserve(struct boot_plan *plan, struct range range);

/* Processor state with flat 32-bit segments and paging off; or in long mode with page tables at
 * cr3. Interrupts are off. gdt: address of the table that boot_plan_add_gdt made. */
void boot_plan_set_flat_32(struct boot_plan *plan, uint64_t gdt, uint64_t entry);
void boot_plan_set_long_mode(struct boot_plan *plan, uint64_t gdt, uint64_t cr3, uint64_t entry);
/* The descriptor table that fits these: code at selector 10h, data at 18h, a TSS at 20h. */
#define BOOT_GDT_SIZE 48u
void boot_plan_add_gdt(struct boot_plan *plan, uint64_t address, bool long_mode);

/* Write all chunks. False if one did not reach RAM. */
bool boot_plan_write(const struct boot_plan *plan, struct address_space *memory, GError **error);

#endif
