/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoded blocks of one CPU: straight runs of instructions, found by the physical address of their
 * first byte and the mode they were decoded for. Belongs to the CPU's own thread.
 *
 * Modified code is found by looking: a block keeps the bytes it was decoded from, and they are
 * compared with memory each time the block is entered. So stores of this CPU, of others, and of
 * devices' DMA are all seen without write protection or any message between CPUs; a CPU that
 * executes a serialising instruction (which ends its block) sees all code written before. Within a
 * block, access.h compares the address of each store of this CPU with the block's own bytes.
 */
#ifndef DUODM_TCG_BLOCKS_H
#define DUODM_TCG_BLOCKS_H

#include "tcg/access.h"
#include "tcg/cpu.h"
#include "tcg/insn.h"
#include "tcg/tlb.h"

#include <stddef.h>
#include <string.h>

#define BLOCK_BUCKETS          32768
#define BLOCK_MAX_INSTRUCTIONS 32
#define BLOCK_ARENA_SIZE       (48u << 20) /* bytes; when full, all blocks are forgotten */

struct block {
    uint64_t physical;    /* of the first byte */
    uint64_t second_page; /* physical page of the bytes past a page's end; else 0 */
    struct block *next;   /* in its bucket */
    /* What was executed after it, in the same page and mode: physical address (0: none), block. */
    uint64_t link_physical[2];
    struct block *link[2];
    uint8_t *bytes;        /* that it was decoded from */
    uint32_t key;          /* block_key */
    uint16_t length;       /* bytes */
    uint16_t first_length; /* of them in the first page */
    uint8_t count;         /* instructions, 1.. */
    struct insn instructions[];
};

struct block_cache {
    struct block *buckets[BLOCK_BUCKETS];
    uint8_t *arena;
    size_t used;          /* bytes of arena */
    struct block *single; /* for an instruction that can't be kept: not in memory */
    /* The block that was found last, and its page; NULL: none to follow from. */
    struct block *current;
    uint64_t page_linear, page_physical;
    const uint8_t *page_host;
    uint64_t decoded, flushes, stale; /* blocks; for `info jit` */
};

struct block_cache *block_cache_new(void);
void block_cache_free(struct block_cache *cache);

/* The block at CS:rip, decoded if need be. Raises what the fetch or the decoding raises, with
 * cpu->current an instruction of no length. */
struct block *block_lookup_slow(struct cpu *cpu);

/* What the decoder's result depends on besides the bytes. */
static inline uint32_t block_key(const struct cpu *cpu)
{
    return cpu->mode | (uint32_t)cpu->protected_mode << 2 | (uint32_t)cpu->v86 << 3;
}

static inline unsigned block_bucket(uint64_t physical)
{
    return (physical ^ physical >> 13) & (BLOCK_BUCKETS - 1);
}

static inline bool block_bytes_equal(const uint8_t *a, const uint8_t *b, unsigned length)
{
    uint64_t x, y;
    uint32_t x32, y32;

    if (length >= 8) {
        unsigned i = 0;

        for (; i + 8 <= length; i += 8) {
            memcpy(&x, a + i, 8);
            memcpy(&y, b + i, 8);
            if (x != y) {
                return false;
            }
        }
        memcpy(&x, a + length - 8, 8);
        memcpy(&y, b + length - 8, 8);
        return x == y;
    }
    if (length >= 4) {
        memcpy(&x32, a, 4);
        memcpy(&y32, b, 4);
        if (x32 != y32) {
            return false;
        }
        memcpy(&x32, a + length - 4, 4);
        memcpy(&y32, b + length - 4, 4);
        return x32 == y32;
    }
    return a[0] == b[0] && a[length - 1] == b[length - 1] && a[length / 2] == b[length / 2];
}

/* Tell access.h which bytes are executing. */
static inline void block_set_window(struct cpu *cpu, const uint8_t *host, unsigned length)
{
    cpu->code_window = (uintptr_t)host - CODE_WINDOW_MARGIN;
    cpu->code_window_length = length + CODE_WINDOW_MARGIN;
}

static inline struct block *block_lookup(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    bool mode_64 = cpu->mode == CPU_MODE_64;
    uint64_t linear = mode_64 ? cpu->rip : (uint32_t)(cpu->segment[X86_CS].base + cpu->rip);
    const struct tlb_fetch_entry *entry =
        &cpu->tlb->fetch[cpu->cpl == 3][linear >> PAGE_BITS & (TLB_FETCH_ENTRIES - 1)];
    unsigned offset = linear & ~PAGE_MASK;
    uint64_t physical = entry->physical | offset;
    struct block *block = cache->buckets[block_bucket(physical)];

    if (__builtin_expect(
            entry->tag == (linear & PAGE_MASK) && block && block->physical == physical &&
                block->key == block_key(cpu) && block->first_length == block->length &&
                (mode_64 || cpu->rip + block->length - 1 <= cpu->segment[X86_CS].limit) &&
                block_bytes_equal(entry->host + offset, block->bytes, block->length),
            1)) {
        block_set_window(cpu, entry->host + offset, block->length);
        cache->page_linear = linear & PAGE_MASK;
        cache->page_physical = entry->physical;
        cache->page_host = entry->host;
        cache->current = block;
        return block;
    }
    return block_lookup_slow(cpu);
}

/*
 * The same, after the current block, while nothing has happened that sets exit_block: then the
 * mode and the mapping of its page are what they were when it was found.
 */
static inline const struct block *block_follow(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    bool mode_64 = cpu->mode == CPU_MODE_64;
    uint64_t linear = mode_64 ? cpu->rip : (uint32_t)(cpu->segment[X86_CS].base + cpu->rip);
    uint64_t offset = linear - cache->page_linear, physical = cache->page_physical | offset;
    struct block *last = cache->current, *block;
    uint64_t flushes = cache->flushes;
    unsigned way;

    if (!last || offset >= PAGE_SIZE_4K) {
        return block_lookup(cpu);
    }
    way = last->link_physical[0] != physical;
    block = last->link[way];
    if (__builtin_expect(
            last->link_physical[way] == physical &&
                (mode_64 || cpu->rip + block->length - 1 <= cpu->segment[X86_CS].limit) &&
                block_bytes_equal(cache->page_host + offset, block->bytes, block->length),
            1)) {
        block_set_window(cpu, cache->page_host + offset, block->length);
        cache->current = block;
        return block;
    }
    block = block_lookup(cpu);
    if (cache->current == block && block->first_length == block->length &&
        cache->flushes == flushes) {
        last->link_physical[1] = last->link_physical[0];
        last->link[1] = last->link[0];
        last->link_physical[0] = physical;
        last->link[0] = block;
    }
    return block;
}

#endif
