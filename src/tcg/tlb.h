/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translation lookaside buffer of one CPU: direct-mapped tables of 4 KiB entries, one table per
 * privilege class, tags for reads and writes apart. Larger pages are entered as the 4 KiB pieces
 * that are touched. Belongs to the CPU's own thread.
 *
 * Nothing is tagged with a PCID: a CR3 load drops what is not global, whichever PCID it selects
 * (SDM vol. 3, 4.10.4.1: a processor may do so), and costs what was entered since the last one.
 */
#ifndef DUODM_TCG_TLB_H
#define DUODM_TCG_TLB_H

#include "memory/address-space.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu;

#define PAGE_BITS    12
#define PAGE_SIZE_4K ((uint64_t)4096)
#define PAGE_MASK    (~(PAGE_SIZE_4K - 1))

#define TLB_ENTRIES       1024
#define TLB_FETCH_ENTRIES 256
#define TLB_FRAMES        512
#define TLB_LOCAL_LIMIT   1024

/* Who accesses, as far as the page tables distinguish it. */
enum tlb_class {
    TLB_SUPERVISOR,      /* user pages too: SMAP off or EFLAGS.AC set */
    TLB_USER,            /* CPL 3 */
    TLB_SUPERVISOR_SMAP, /* user pages fault */
    TLB_EMPTY,           /* never filled: each access is checked by the slow path (#AC) */
    TLB_CLASS_COUNT
};

/* Low bits of a tag; a tag with any of them never equals a page address. */
enum tlb_tag_flag {
    TLB_INVALID = 1 << 0, /* nothing is known */
    TLB_SLOW = 1 << 1,    /* the page may be accessed, but through the slow path */
};

/* Low bits of tlb_entry.physical: why TLB_SLOW. */
enum tlb_page_flag {
    TLB_PAGE_IO = 1 << 0,        /* no host memory for this: callbacks, or nothing */
    TLB_PAGE_WATCHED = 1 << 1,   /* a data breakpoint is in the page */
    TLB_PAGE_LOGGED = 1 << 2,    /* a dirty log client wants to know of writes */
    TLB_PAGE_READ_ONLY = 1 << 3, /* writes go to the memory layer (ROM, ROM device) */
    TLB_PAGE_GLOBAL = 1 << 4,    /* survives CR3 loads */
};

struct tlb_entry {
    uint64_t read_tag, write_tag; /* linear page address, with enum tlb_tag_flag */
    uintptr_t addend;             /* host address = linear + addend */
    uint64_t physical;            /* page address, with enum tlb_page_flag */
};

struct tlb_fetch_entry {
    uint64_t tag;        /* linear page address, or TLB_INVALID */
    uint64_t physical;   /* page address */
    const uint8_t *host; /* of the page; NULL: no memory */
    bool global;
};

/* What is at a physical page, so that page walks and fills need not ask the memory layer. */
struct tlb_frame {
    uint64_t page; /* physical page address, or TLB_INVALID */
    uint8_t *host; /* of the page; NULL: not (all) memory */
    bool writable, dirty_logged;
};

struct tlb {
    struct tlb_entry data[TLB_CLASS_COUNT][TLB_ENTRIES];
    struct tlb_fetch_entry fetch[2][TLB_FETCH_ENTRIES]; /* supervisor, user */
    struct tlb_frame frames[TLB_FRAMES];
    /* Which entries are not global: class << 16 | index; fetch classes count from TLB_CLASS_COUNT.
     */
    uint32_t local[TLB_LOCAL_LIMIT];
    unsigned local_count; /* > TLB_LOCAL_LIMIT: too many, look at all */
    /* Hashed sets of the 2 MiB and 1 GiB areas where a large page was entered, for INVLPG. */
    uint64_t large_2m[32], large_1g[4];
    uint64_t generation; /* of the address space that frames and host addresses belong to */
    uint64_t fills, flushes, page_flushes; /* for `info tlb` */
};

struct tlb *tlb_new(void);
void tlb_free(struct tlb *tlb);

/* The entry for a page, filled if need be; raises #PF. linear: of the access, for CR2. */
struct tlb_entry *tlb_lookup(struct cpu *cpu, enum tlb_class class, uint64_t linear, bool is_write);
const struct tlb_fetch_entry *tlb_lookup_fetch(struct cpu *cpu, uint64_t linear);
/* What is at a physical page. Valid until the next call. */
const struct tlb_frame *tlb_get_frame(struct cpu *cpu, uint64_t physical);

/* Forget everything, host addresses too: the memory map or the A20 gate changed. */
void tlb_reset(struct cpu *cpu);
/* Is the memory map still the one that the entries were made from? If not, reset. */
void tlb_check_generation(struct cpu *cpu);

static inline unsigned tlb_index(uint64_t linear)
{
    return (linear >> PAGE_BITS) & (TLB_ENTRIES - 1);
}

#endif
