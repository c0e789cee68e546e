/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/tlb.h"
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "tcg/access.h"
#include "tcg/mmu.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_LINE_20 (1ull << 20)

static void invalidate_entry(struct tlb_entry *entry)
{
    entry->read_tag = entry->write_tag = TLB_INVALID;
}

static void invalidate_all(struct tlb *tlb)
{
    memset(tlb->large_2m, 0, sizeof(tlb->large_2m));
    memset(tlb->large_1g, 0, sizeof(tlb->large_1g));
    for (unsigned class = 0; class < TLB_EMPTY; class ++) {
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            invalidate_entry(&tlb->data[class][i]);
        }
    }
    for (unsigned i = 0; i < TLB_FETCH_ENTRIES; i++) {
        tlb->fetch[0][i].tag = tlb->fetch[1][i].tag = TLB_INVALID;
    }
    tlb->local_count = 0;
    tlb->flushes++;
}

struct tlb *tlb_new(void)
{
    struct tlb *tlb = g_new0(struct tlb, 1);

    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        invalidate_entry(&tlb->data[TLB_EMPTY][i]);
    }
    for (unsigned i = 0; i < TLB_FRAMES; i++) {
        tlb->frames[i].page = TLB_INVALID;
    }
    invalidate_all(tlb);
    return tlb;
}

void tlb_free(struct tlb *tlb)
{
    g_free(tlb);
}

void tlb_reset(struct cpu *cpu)
{
    struct tlb *tlb = cpu->tlb;

    /* Read first: a view that is published while we forget the old one makes us come again. */
    tlb->generation = __atomic_load_n(&cpu->memory->generation, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < TLB_FRAMES; i++) {
        tlb->frames[i].page = TLB_INVALID;
    }
    invalidate_all(tlb);
    cpu->a20_held = 0;
    if (cpu->vcpu && cpu->vcpu->machine &&
        __atomic_load_n(&cpu->vcpu->machine->a20_masked, __ATOMIC_ACQUIRE)) {
        cpu->a20_held = ADDRESS_LINE_20;
    }
    cpu->exit_block = true;
}

void tlb_check_generation(struct cpu *cpu)
{
    if (__atomic_load_n(&cpu->memory->generation, __ATOMIC_ACQUIRE) != cpu->tlb->generation) {
        tlb_reset(cpu);
    }
}

/* Drop what is not global. */
static void flush_local(struct tlb *tlb)
{
    if (tlb->local_count <= TLB_LOCAL_LIMIT) {
        for (unsigned i = 0; i < tlb->local_count; i++) {
            unsigned class = tlb->local[i] >> 16, index = tlb->local[i] & 0xffff;

            if (class < TLB_CLASS_COUNT) {
                if (!(tlb->data[class][index].physical & TLB_PAGE_GLOBAL)) {
                    invalidate_entry(&tlb->data[class][index]);
                }
            } else if (!tlb->fetch[class - TLB_CLASS_COUNT][index].global) {
                tlb->fetch[class - TLB_CLASS_COUNT][index].tag = TLB_INVALID;
            }
        }
    } else {
        for (unsigned class = 0; class < TLB_EMPTY; class ++) {
            for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                if (!(tlb->data[class][i].physical & TLB_PAGE_GLOBAL)) {
                    invalidate_entry(&tlb->data[class][i]);
                }
            }
        }
        for (unsigned i = 0; i < 2 * TLB_FETCH_ENTRIES; i++) {
            struct tlb_fetch_entry *entry = &tlb->fetch[0][0] + i;

            if (!entry->global) {
                entry->tag = TLB_INVALID;
            }
        }
    }
    tlb->local_count = 0;
    tlb->flushes++;
}

void cpu_tlb_flush(struct cpu *cpu, bool global_too)
{
    if (global_too) {
        invalidate_all(cpu->tlb);
    } else {
        flush_local(cpu->tlb);
    }
    cpu->exit_block = true;
}

static void note_local(struct tlb *tlb, unsigned class, unsigned index)
{
    if (tlb->local_count < TLB_LOCAL_LIMIT) {
        tlb->local[tlb->local_count] = class << 16 | index;
    }
    tlb->local_count += tlb->local_count <= TLB_LOCAL_LIMIT;
}

/* The hashed sets of large pages: wrong only to the safe side. */
static unsigned large_2m_bit(uint64_t linear)
{
    uint64_t area = linear >> 21;

    return (area ^ area >> 11 ^ area >> 22) & 2047;
}

static unsigned large_1g_bit(uint64_t linear)
{
    uint64_t area = linear >> 30;

    return (area ^ area >> 8) & 255;
}

static void note_large(struct tlb *tlb, uint64_t linear, uint64_t page_size)
{
    unsigned bit;

    if (page_size > 2u << 20) {
        /* 4 MiB pages too: rare enough. */
        bit = large_1g_bit(linear);
        tlb->large_1g[bit / 64] |= 1ull << bit % 64;
    } else if (page_size > PAGE_SIZE_4K) {
        bit = large_2m_bit(linear);
        tlb->large_2m[bit / 64] |= 1ull << bit % 64;
    }
}

/* Drop the entries for `count` pages from a page address on, a power of two up to 512. */
static void invalidate_pages(struct tlb *tlb, uint64_t page, unsigned count)
{
    uint64_t mask = ~(count * PAGE_SIZE_4K - 1);

    for (unsigned class = 0; class < TLB_EMPTY; class ++) {
        for (unsigned i = 0; i < count; i++) {
            struct tlb_entry *entry = &tlb->data[class][tlb_index(page + i * PAGE_SIZE_4K)];

            if ((entry->read_tag & mask) == page || (entry->write_tag & mask) == page) {
                invalidate_entry(entry);
            }
        }
    }
    for (unsigned i = 0; i < MIN(count, TLB_FETCH_ENTRIES); i++) {
        unsigned index = ((page >> PAGE_BITS) + i) & (TLB_FETCH_ENTRIES - 1);

        for (unsigned user = 0; user < 2; user++) {
            if ((tlb->fetch[user][index].tag & mask) == page) {
                tlb->fetch[user][index].tag = TLB_INVALID;
            }
        }
    }
}

void cpu_tlb_flush_page(struct cpu *cpu, uint64_t linear)
{
    struct tlb *tlb = cpu->tlb;
    unsigned bit_2m = large_2m_bit(linear), bit_1g = large_1g_bit(linear);

    tlb->page_flushes++;
    if (tlb->large_1g[bit_1g / 64] >> bit_1g % 64 & 1) {
        invalidate_all(tlb);
    } else if (tlb->large_2m[bit_2m / 64] >> bit_2m % 64 & 1) {
        invalidate_pages(tlb, linear & ~((2ull << 20) - 1), 512);
    } else {
        invalidate_pages(tlb, linear & PAGE_MASK, 1);
    }
    cpu->exit_block = true;
}

const struct tlb_frame *tlb_get_frame(struct cpu *cpu, uint64_t physical)
{
    uint64_t page = physical & PAGE_MASK;
    struct tlb_frame *frame = &cpu->tlb->frames[page >> PAGE_BITS & (TLB_FRAMES - 1)];
    struct memory_section read, write;

    if (frame->page == page) {
        return frame;
    }
    read = address_space_lookup(cpu->memory, page, false, MEMORY_ATTRIBUTES_CPU);
    write = address_space_lookup(cpu->memory, page, true, MEMORY_ATTRIBUTES_CPU);
    *frame = (struct tlb_frame){.page = page};
    if (read.region && read.host && read.length >= PAGE_SIZE_4K) {
        frame->host = read.host;
        frame->writable = write.region == read.region && write.host == read.host &&
                          write.writable && write.length >= PAGE_SIZE_4K;
        frame->dirty_logged = write.dirty_logged;
    }
    return frame;
}

/* Is an enabled data breakpoint (DR7 R/W 1 or 3) in the page? SDM vol. 3, 18.2.4. */
static bool page_is_watched(const struct cpu *cpu, uint64_t page)
{
    static const uint8_t length_mask[4] = {0, 1, 7, 3};

    for (unsigned i = 0; i < 4; i++) {
        unsigned control = cpu->dr[7] >> (16 + i * 4) & 15;

        if ((cpu->dr[7] >> i * 2 & 3) && (control & 1) &&
            ((cpu->dr[i] & ~(uint64_t)length_mask[control >> 2]) & PAGE_MASK) == page) {
            return true;
        }
    }
    return false;
}

static void translate(struct cpu *cpu, const struct mmu_request *request, struct mmu_result *result)
{
    if (!mmu_walk(cpu, request, result)) {
        cpu_raise_page_fault(cpu, request->linear, result->error);
    }
}

static void fill(struct cpu *cpu, enum tlb_class class, uint64_t linear, bool is_write)
{
    struct tlb *tlb = cpu->tlb;
    struct tlb_entry *entry = &tlb->data[class][tlb_index(linear)];
    struct mmu_request request = {
        .linear = linear,
        .access = is_write ? MMU_WRITE : MMU_READ,
        .user = class == TLB_USER,
        .smap = class == TLB_SUPERVISOR_SMAP,
    };
    struct mmu_result result;
    const struct tlb_frame *frame;
    uint64_t page = linear & PAGE_MASK, physical;
    unsigned flags = 0;

    translate(cpu, &request, &result);
    physical = result.physical & PAGE_MASK;
    frame = tlb_get_frame(cpu, physical);
    if (!frame->host || (cpu->apic && physical == local_apic_base(cpu->apic))) {
        flags |= TLB_PAGE_IO;
    } else {
        flags |= (frame->writable ? 0 : TLB_PAGE_READ_ONLY);
        flags |= (frame->dirty_logged ? TLB_PAGE_LOGGED : 0);
        entry->addend = (uintptr_t)frame->host - page;
    }
    if ((cpu->dr[7] & 0xff) && page_is_watched(cpu, page)) {
        flags |= TLB_PAGE_WATCHED;
    }
    entry->read_tag = page | (flags & (TLB_PAGE_IO | TLB_PAGE_WATCHED) ? TLB_SLOW : 0);
    entry->write_tag = result.writable ? page | (flags ? TLB_SLOW : 0) : TLB_INVALID;
    if (result.global) {
        flags |= TLB_PAGE_GLOBAL;
    } else {
        note_local(tlb, class, tlb_index(linear));
    }
    entry->physical = physical | flags;
    note_large(tlb, linear, result.page_size);
    tlb->fills++;
}

struct tlb_entry *tlb_lookup(struct cpu *cpu, enum tlb_class class, uint64_t linear, bool is_write)
{
    struct tlb_entry *entry = &cpu->tlb->data[class][tlb_index(linear)];
    uint64_t tag = is_write ? entry->write_tag : entry->read_tag;

    if ((tag & (PAGE_MASK | TLB_INVALID)) != (linear & PAGE_MASK)) {
        fill(cpu, class, linear, is_write);
    }
    return entry;
}

const struct tlb_fetch_entry *tlb_lookup_fetch(struct cpu *cpu, uint64_t linear)
{
    struct tlb *tlb = cpu->tlb;
    bool user = cpu->cpl == 3;
    unsigned index = linear >> PAGE_BITS & (TLB_FETCH_ENTRIES - 1);
    struct tlb_fetch_entry *entry = &tlb->fetch[user][index];
    struct mmu_request request = {.linear = linear, .access = MMU_FETCH, .user = user};
    struct mmu_result result;

    if (entry->tag == (linear & PAGE_MASK)) {
        return entry;
    }
    translate(cpu, &request, &result);
    entry->physical = result.physical & PAGE_MASK;
    entry->host = tlb_get_frame(cpu, entry->physical)->host;
    entry->global = result.global;
    entry->tag = linear & PAGE_MASK;
    if (!result.global) {
        note_local(tlb, TLB_CLASS_COUNT + user, index);
    }
    note_large(tlb, linear, result.page_size);
    tlb->fills++;
    return entry;
}
