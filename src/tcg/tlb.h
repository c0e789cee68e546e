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

#define TLB_INDEX_BITS    14
#define TLB_ENTRIES       (1u << TLB_INDEX_BITS) /* 64 MiB */
#define TLB_FETCH_ENTRIES 256
#define TLB_FRAMES        512
#define TLB_NOTES         8192

/* struct jump_entry: where translated code goes on at a linear address. One table per context. */
#define JUMP_CONTEXTS 6
#define JUMP_ENTRIES  4096
#define JUMP_NOTES    2048

/* Who accesses, as far as the page tables distinguish it. */
enum tlb_class {
    TLB_SUPERVISOR,      /* user pages too: SMAP off or EFLAGS.AC set */
    TLB_USER,            /* CPL 3 */
    TLB_SUPERVISOR_SMAP, /* user pages fault */
    TLB_EMPTY,           /* never filled: each access is checked by the slow path (#AC) */
    TLB_CLASS_COUNT
};

/*
 * A tag is the linear address of the page, so that (tag ^ linear) is the offset in the page, and
 * one comparison of it with 4096 - size finds misses and page crossings both. TLB_SLOW is XORed in
 * if the page may be accessed, but only through the slow path. Both that and the tag of an empty
 * entry are addresses which are not canonical, and would have another index: no access can match
 * them.
 */
#define TLB_SLOW (1ull << 62 | 1ull << PAGE_BITS)

/* Low bits of tlb_entry.physical: why TLB_SLOW. */
enum tlb_page_flag {
    TLB_PAGE_IO = 1 << 0,        /* no host memory for this: callbacks, or nothing */
    TLB_PAGE_WATCHED = 1 << 1,   /* a data breakpoint is in the page */
    TLB_PAGE_LOGGED = 1 << 2,    /* a dirty log client wants to know of writes */
    TLB_PAGE_READ_ONLY = 1 << 3, /* writes go to the memory layer (ROM, ROM device) */
    TLB_PAGE_GLOBAL = 1 << 4,    /* survives CR3 loads */
    TLB_PAGE_CODE = 1 << 5,      /* translated code was made from it: writes are looked at */
};

struct tlb_entry {
    uint64_t read_tag;
    uint64_t write_tag; /* atomic: another vCPU may make it slow */
    uint8_t *host;      /* of the page; NULL: no memory */
    uint64_t physical;  /* page address, with enum tlb_page_flag */
};

#define TLB_NO_PAGE 1ull /* equals no page address */

struct tlb_fetch_entry {
    uint64_t tag;        /* linear page address, or TLB_NO_PAGE */
    uint64_t physical;   /* page address */
    const uint8_t *host; /* of the page; NULL: no memory */
    bool global;
};

/* What is at a physical page, so that page walks and fills need not ask the memory layer. */
struct tlb_frame {
    uint64_t page;               /* physical page address, or TLB_NO_PAGE */
    uint8_t *host;               /* of the page; NULL: not (all) memory */
    const struct ram_block *ram; /* that it is in; NULL: in none */
    bool writable, dirty_logged;
};

/* Of a context's jump cache. Valid while the translation of its page is. */
struct jump_entry {
    uint64_t linear;     /* of the code; of no address that belongs here: empty (tlb_clear_jump) */
    const uint8_t *code; /* of the translation */
};

/* What was filled since the last flush, so that a flush need look at nothing else. */
struct tlb_notes {
    uint32_t *notes; /* class << 16 | index. Class TLB_CLASS_COUNT is fetch[0], the next fetch[1] */
    unsigned count;  /* > limit: too many, look at all */
    unsigned limit;
};

struct tlb {
    struct tlb_entry data[TLB_CLASS_COUNT][TLB_ENTRIES];
    struct tlb_fetch_entry fetch[2][TLB_FETCH_ENTRIES]; /* supervisor, user */
    struct tlb_frame frames[TLB_FRAMES];
    struct jump_entry jumps[JUMP_CONTEXTS][JUMP_ENTRIES];
    uint8_t jump_pages[4096]; /* hashed: an entry for the page may be there */
    struct tlb_notes local, global;
    struct tlb_notes local_jumps, global_jumps;
    uint32_t local_notes[TLB_NOTES], global_notes[TLB_NOTES];
    uint32_t local_jump_notes[JUMP_NOTES], global_jump_notes[JUMP_NOTES];
    /* Hashed sets of the 2 MiB and 1 GiB areas where a large page was entered, for INVLPG. */
    uint64_t large_2m[32], large_1g[4];
    uint64_t generation; /* of the address space that frames and host addresses belong to */
    uint64_t fills, flushes, page_flushes; /* for `info tlb` */
};

/* Make an empty one in place, and one of its own. */
void tlb_init(struct tlb *tlb);
struct tlb *tlb_new(void);
void tlb_free(struct tlb *tlb);

/* The entry for a page, filled if need be; raises #PF. linear: of the access, for CR2. */
struct tlb_entry *tlb_lookup(struct cpu *cpu, enum tlb_class class, uint64_t linear, bool is_write);
const struct tlb_fetch_entry *tlb_lookup_fetch(struct cpu *cpu, uint64_t linear);
/* What is at a physical page. Valid until the next call. */
const struct tlb_frame *tlb_get_frame(struct cpu *cpu, uint64_t physical);

/* Forget everything, host addresses too: the memory map or the A20 gate changed. */
void tlb_reset(struct cpu *cpu);
/* Forget one entry: class << 16 | index, as in struct tlb_notes. */
void tlb_drop(struct tlb *tlb, uint32_t entry);
/* Forget where translated code is. */
void tlb_flush_jumps(struct tlb *tlb);
/* Remember a translation's code for a linear address whose page is in the fetch TLB. */
void tlb_enter_jump(struct tlb *tlb, unsigned context, uint64_t linear, const uint8_t *code,
                    bool global);
/* Let writes to the page at this host address take the slow path. Any thread, while the CPU is not
 * between a look at a tag and the store. */
void tlb_protect_page(struct tlb *tlb, const uint8_t *host);
/* The page of an entry with TLB_PAGE_CODE has no code any more: writes may be fast again. */
void tlb_rearm(struct cpu *cpu, struct tlb_entry *entry, uint64_t linear);
/* Is the memory map still the one that the entries were made from? If not, reset. */
void tlb_check_generation(struct cpu *cpu);

/* Functions begin at multiples of 16: the page number has to spread them. */
static inline unsigned jump_index(uint64_t linear)
{
    return ((uint32_t)linear ^ (uint32_t)linear >> PAGE_BITS) & (JUMP_ENTRIES - 1);
}

/*
 * number counts through all contexts. A guest can jump to any 64-bit value, canonical or not, so no
 * value marks all empty entries: each has that of its neighbour, which is never looked for in it.
 */
static inline void tlb_clear_jump(struct tlb *tlb, unsigned number)
{
    G_STATIC_ASSERT(JUMP_ENTRIES <= 1u << PAGE_BITS);
    tlb->jumps[number / JUMP_ENTRIES][number % JUMP_ENTRIES].linear = number % JUMP_ENTRIES ^ 1;
}

/* Is it the tag of this page, be it slow? */
static inline bool tlb_tag_is(uint64_t tag, uint64_t page)
{
    return tag == page || tag == (page ^ TLB_SLOW);
}

static inline unsigned tlb_index(uint64_t linear)
{
    return (linear >> PAGE_BITS) & (TLB_ENTRIES - 1);
}

#endif
