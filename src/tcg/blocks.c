/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/blocks.h"
#include "tcg/block-log.h"
#include "tcg/opcode.h"
#include "util/log.h"

#include <glib.h>
#include <sys/mman.h>

#define INSN_MAX_BYTES 15

/* The room that the largest block takes. */
#define BLOCK_MAX_SIZE                                                                             \
    (sizeof(struct block) + BLOCK_MAX_INSTRUCTIONS * (sizeof(struct insn) + INSN_MAX_BYTES))

/* `current` while there is no instruction: a fetch fault leaves rip where it is. */
static const struct insn no_insn;

struct block_cache *block_cache_new(void)
{
    struct block_cache *cache = g_new0(struct block_cache, 1);

    /* Touched as it fills: a small guest has a small cache. */
    cache->arena = mmap(NULL, BLOCK_ARENA_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cache->arena == MAP_FAILED) {
        g_error("no address space for %u bytes of decoded blocks", BLOCK_ARENA_SIZE);
    }
    cache->single = g_malloc0(BLOCK_MAX_SIZE);
    return cache;
}

void block_cache_free(struct block_cache *cache)
{
    if (cache) {
        munmap(cache->arena, BLOCK_ARENA_SIZE);
        g_free(cache->single);
        g_free(cache);
    }
}

static struct block *block_allocate(struct block_cache *cache)
{
    if (cache->used + BLOCK_MAX_SIZE > BLOCK_ARENA_SIZE) {
        memset(cache->buckets, 0, sizeof(cache->buckets));
        cache->used = 0;
        cache->current = NULL;
        cache->flushes++;
    }
    return (struct block *)(cache->arena + cache->used);
}

/* Enter a block that was made in place at the arena's end, with its bytes behind it. */
static void block_enter(struct block_cache *cache, struct block *block, const uint8_t *first,
                        const uint8_t *second)
{
    struct block **bucket = &cache->buckets[block_bucket(block->physical)];
    size_t size = sizeof(*block) + block->count * sizeof(struct insn);

    block->bytes = (uint8_t *)block + size;
    memset(block->link_physical, 0, sizeof(block->link_physical));
    memcpy(block->bytes, first, block->first_length);
    memcpy(block->bytes + block->first_length, second, block->length - block->first_length);
    block->next = *bucket;
    *bucket = block;
    cache->used += (size + block->length + 15) & ~(size_t)15;
    cache->decoded++;
}

/* Where the bytes come from. */
struct fetch {
    uint64_t linear;
    const struct tlb_fetch_entry *entry;
    unsigned offset;    /* in the page */
    unsigned available; /* bytes from there, in the page and within CS's limit */
    bool limited;       /* the limit ends before the page does */
};

static void fetch_begin(struct cpu *cpu, struct fetch *fetch)
{
    const struct x86_segment *cs = &cpu->segment[X86_CS];

    cpu->current = &no_insn;
    cpu->code_window_length = 0;
    if (cpu->mode == CPU_MODE_64) {
        fetch->linear = cpu->rip;
        if (!cpu_is_canonical(cpu->rip)) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
    } else {
        if (cpu->rip > cs->limit) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        fetch->linear = (uint32_t)(cs->base + cpu->rip);
    }
    fetch->entry = tlb_lookup_fetch(cpu, fetch->linear);
    fetch->offset = fetch->linear & ~PAGE_MASK;
    fetch->available = PAGE_SIZE_4K - fetch->offset;
    fetch->limited = false;
    if (cpu->mode != CPU_MODE_64 && cs->limit - cpu->rip < fetch->available) {
        fetch->available = cs->limit - cpu->rip + 1;
        fetch->limited = true;
    }
}

/* Bytes of a page that is not plain memory, or (length 0) none. */
static void read_code(struct cpu *cpu, const struct tlb_fetch_entry *entry, unsigned offset,
                      uint8_t *buffer, unsigned length)
{
    if (entry->host) {
        memcpy(buffer, entry->host + offset, length);
        return;
    }
    for (unsigned i = 0; i < length; i++) {
        uint64_t byte;

        address_space_load(cpu->memory, entry->physical + offset + i, 1, MEMORY_ATTRIBUTES_CPU,
                           &byte);
        buffer[i] = (uint8_t)byte;
    }
}

G_GNUC_NORETURN static void raise_decode_error(struct cpu *cpu, enum decode_result result)
{
    if (result == DECODE_UNDEFINED) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    cpu_raise_error(cpu, EXCEPTION_GP, 0);
}

/*
 * The first instruction alone: it crosses a page's end, or its bytes are not in memory, or the
 * segment ends there. Kept only if it is all in memory.
 */
static struct block *decode_single(struct cpu *cpu, const struct fetch *fetch)
{
    struct block_cache *cache = cpu->blocks;
    struct block *block = block_allocate(cache);
    uint8_t bytes[INSN_MAX_BYTES];
    unsigned first = MIN(fetch->available, INSN_MAX_BYTES), length = first;
    const struct tlb_fetch_entry *second = NULL;
    const uint64_t first_page = fetch->entry->physical;
    const bool first_in_memory = fetch->entry->host;
    enum decode_result result;

    read_code(cpu, fetch->entry, fetch->offset, bytes, first);
    result = decode_insn(cpu, bytes, first, &block->instructions[0]);
    if (result == DECODE_NEED_MORE && !fetch->limited) {
        uint64_t linear = (fetch->linear & PAGE_MASK) + PAGE_SIZE_4K;
        const struct x86_segment *cs = &cpu->segment[X86_CS];
        uint64_t left = INSN_MAX_BYTES - first;

        if (cpu->mode == CPU_MODE_64) {
            if (!cpu_is_canonical(linear)) {
                cpu_raise_error(cpu, EXCEPTION_GP, 0);
            }
        } else {
            linear = (uint32_t)linear;
            left = MIN(left, cs->limit - cpu->rip + 1 - first);
            if (!left) {
                cpu_raise_error(cpu, EXCEPTION_GP, 0);
            }
        }
        second = tlb_lookup_fetch(cpu, linear);
        read_code(cpu, second, 0, bytes + first, left);
        length += left;
        result = decode_insn(cpu, bytes, length, &block->instructions[0]);
    }
    if (result != DECODE_OK) {
        raise_decode_error(cpu, result);
    }
    block->physical = first_page | fetch->offset;
    block->second_page = second ? second->physical : 0;
    block->key = block_key(cpu);
    block->count = 1;
    block->length = block->instructions[0].length;
    block->first_length = MIN(first, block->length);
    if (first_in_memory && (!second || second->host)) {
        block_enter(cache, block, bytes, bytes + block->first_length);
        return block;
    }
    memcpy(cache->single, block, sizeof(*block) + sizeof(struct insn));
    return cache->single;
}

static struct block *decode_block(struct cpu *cpu, const struct fetch *fetch)
{
    struct block_cache *cache = cpu->blocks;
    /* Decoded from a copy, so that what is kept is what was decoded, whoever writes there now. */
    uint8_t code[BLOCK_MAX_INSTRUCTIONS * INSN_MAX_BYTES];
    unsigned available = MIN(fetch->available, sizeof(code)), length = 0, count = 0;
    struct block *block;

    if (!fetch->entry->host) {
        return decode_single(cpu, fetch);
    }
    block = block_allocate(cache);
    memcpy(code, fetch->entry->host + fetch->offset, available);
    while (count < BLOCK_MAX_INSTRUCTIONS && length < available) {
        struct insn *insn = &block->instructions[count];
        unsigned left = available - length;

        if (decode_insn(cpu, code + length, MIN(left, INSN_MAX_BYTES), insn) != DECODE_OK) {
            break;
        }
        length += insn->length;
        count++;
        if (insn->opcode->flags & OP_END) {
            break;
        }
    }
    if (!count) {
        return decode_single(cpu, fetch);
    }
    block->physical = fetch->entry->physical | fetch->offset;
    block->second_page = 0;
    block->key = block_key(cpu);
    block->count = count;
    block->length = block->first_length = length;
    block_enter(cache, block, code, code);
    return block;
}

/* Are the bytes of a block with the right physical address and key still there, as mapped now? */
static bool block_is_current(struct cpu *cpu, const struct fetch *fetch, const struct block *block)
{
    const struct tlb_fetch_entry *second;
    uint64_t linear = (fetch->linear & PAGE_MASK) + PAGE_SIZE_4K;

    if (!fetch->entry->host ||
        !block_bytes_equal(fetch->entry->host + fetch->offset, block->bytes, block->first_length)) {
        return false;
    }
    if (block->first_length == block->length) {
        return true;
    }
    second = tlb_lookup_fetch(cpu, cpu->mode == CPU_MODE_64 ? linear : (uint32_t)linear);
    return second->physical == block->second_page && second->host &&
           block_bytes_equal(second->host, block->bytes + block->first_length,
                             block->length - block->first_length);
}

/* Look through the bucket; stale blocks for this address are taken out on the way. The one found
 * is moved to the front. */
static struct block *find_block(struct cpu *cpu, const struct fetch *fetch)
{
    uint64_t physical = fetch->entry->physical | fetch->offset;
    struct block **bucket = &cpu->blocks->buckets[block_bucket(physical)];
    const struct x86_segment *cs = &cpu->segment[X86_CS];
    uint32_t key = block_key(cpu);

    for (struct block **link = bucket, *block; (block = *link); link = &block->next) {
        if (block->physical != physical || block->key != key) {
            continue;
        }
        if (cpu->mode != CPU_MODE_64 && cs->limit - cpu->rip < block->length - 1u) {
            continue;
        }
        *link = block->next;
        if (!block_is_current(cpu, fetch, block)) {
            cpu->blocks->stale++;
            return NULL;
        }
        block->next = *bucket;
        *bucket = block;
        return block;
    }
    return NULL;
}

struct block *block_lookup_slow(struct cpu *cpu)
{
    struct block_cache *cache = cpu->blocks;
    struct block *block;
    struct fetch fetch;

    cache->current = NULL;
    fetch_begin(cpu, &fetch);
    block = find_block(cpu, &fetch);
    if (!block) {
        block = decode_block(cpu, &fetch);
        if (log_is_enabled(LOG_IN_ASM)) {
            block_log_guest("interpreted", fetch.linear, cpu->rip, block->instructions,
                            block->count);
        }
    }
    if (block->count > 1) {
        block_set_window(cpu, fetch.entry->host + fetch.offset, block->length);
    }
    if (block != cache->single) {
        cache->page_linear = fetch.linear & PAGE_MASK;
        cache->page_physical = fetch.entry->physical;
        cache->page_host = fetch.entry->host;
        cache->current = block;
    }
    return block;
}
