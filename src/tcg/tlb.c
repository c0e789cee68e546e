/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/tlb.h"
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "memory/ram-block.h"
#include "tcg/access.h"
#include "tcg/huge-pages.h"
#include "tcg/jit.h"
#include "tcg/lockstep.h"
#include "tcg/mmu.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_LINE_20 (1ull << 20)

/* The tag of nothing: its index is not this entry's. */
static uint64_t empty_tag(unsigned index)
{
    return (uint64_t)(index ^ 1) << PAGE_BITS | 1ull << 61;
}

static void invalidate_entry(struct tlb_entry *entry, unsigned index)
{
    entry->read_tag = entry->write_tag = empty_tag(index);
}

static bool entry_is_empty(const struct tlb_entry *entry, unsigned index)
{
    return entry->read_tag == empty_tag(index) && entry->write_tag == empty_tag(index);
}

static void note(struct tlb_notes *notes, unsigned class, unsigned index)
{
    if (notes->count < notes->limit) {
        notes->notes[notes->count] = class << 16 | index;
    }
    notes->count += notes->count <= notes->limit;
}

void tlb_drop(struct tlb *tlb, uint32_t noted)
{
    unsigned class = noted >> 16, index = noted & 0xffff;

    if (class < TLB_CLASS_COUNT) {
        invalidate_entry(&tlb->data[class][index], index);
    } else {
        tlb->fetch[class - TLB_CLASS_COUNT][index].tag = TLB_NO_PAGE;
    }
}

/* Drop what is noted, or if that is too much, everything that `all` or its not being global says.
 */
static void drop_notes(struct tlb *tlb, struct tlb_notes *notes, bool all)
{
    if (notes->count <= notes->limit) {
        for (unsigned i = 0; i < notes->count; i++) {
            tlb_drop(tlb, notes->notes[i]);
        }
        notes->count = 0;
        return;
    }
    for (unsigned class = 0; class < TLB_EMPTY; class ++) {
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            if (all || !(tlb->data[class][i].physical & TLB_PAGE_GLOBAL)) {
                invalidate_entry(&tlb->data[class][i], i);
            }
        }
    }
    for (unsigned i = 0; i < 2 * TLB_FETCH_ENTRIES; i++) {
        struct tlb_fetch_entry *entry = &tlb->fetch[0][0] + i;

        if (all || !entry->global) {
            entry->tag = TLB_NO_PAGE;
        }
    }
    notes->count = 0;
}

static void drop_jumps(struct tlb *tlb, struct tlb_notes *notes)
{
    if (notes->count > notes->limit) {
        for (unsigned i = 0; i < JUMP_CONTEXTS * JUMP_ENTRIES; i++) {
            tlb_clear_jump(tlb, i);
        }
        memset(tlb->jump_pages, 0, sizeof(tlb->jump_pages));
        tlb->local_jumps.count = tlb->global_jumps.count = 0;
        return;
    }
    for (unsigned i = 0; i < notes->count; i++) {
        tlb_clear_jump(tlb, (notes->notes[i] >> 16) * JUMP_ENTRIES + (notes->notes[i] & 0xffff));
    }
    notes->count = 0;
}

void tlb_flush_jumps(struct tlb *tlb)
{
    drop_jumps(tlb, &tlb->local_jumps);
    drop_jumps(tlb, &tlb->global_jumps);
}

static unsigned jump_page(uint64_t linear)
{
    return (linear >> PAGE_BITS ^ linear >> (PAGE_BITS + 12)) & 4095;
}

void tlb_enter_jump(struct tlb *tlb, unsigned context, uint64_t linear, const uint8_t *code,
                    bool global)
{
    struct jump_entry *entry = &tlb->jumps[context][jump_index(linear)];

    entry->linear = linear;
    entry->code = code;
    tlb->jump_pages[jump_page(linear)] = 1;
    note(global ? &tlb->global_jumps : &tlb->local_jumps, context, jump_index(linear));
}

static void protect_entry(struct tlb_entry *entry, unsigned index, const uint8_t *host)
{
    uint64_t tag = __atomic_load_n(&entry->write_tag, __ATOMIC_RELAXED);

    if (entry->host == host && tag != empty_tag(index) && tlb_index(tag) == index) {
        entry->physical |= TLB_PAGE_CODE;
        __atomic_store_n(&entry->write_tag, tag ^ TLB_SLOW, __ATOMIC_SEQ_CST);
    }
}

static void protect_noted(struct tlb *tlb, const struct tlb_notes *notes, const uint8_t *host)
{
    for (unsigned i = 0; i < notes->count; i++) {
        unsigned class = notes->notes[i] >> 16, index = notes->notes[i] & 0xffff;

        if (class < TLB_EMPTY) {
            protect_entry(&tlb->data[class][index], index, host);
        }
    }
}

void tlb_protect_page(struct tlb *tlb, const uint8_t *host)
{
    if (tlb->local.count <= tlb->local.limit && tlb->global.count <= tlb->global.limit) {
        protect_noted(tlb, &tlb->local, host);
        protect_noted(tlb, &tlb->global, host);
        return;
    }
    for (unsigned class = 0; class < TLB_EMPTY; class ++) {
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            protect_entry(&tlb->data[class][i], i, host);
        }
    }
}

static void invalidate_all(struct tlb *tlb)
{
    memset(tlb->large_2m, 0, sizeof(tlb->large_2m));
    memset(tlb->large_1g, 0, sizeof(tlb->large_1g));
    drop_notes(tlb, &tlb->local, true);
    drop_notes(tlb, &tlb->global, true);
    tlb_flush_jumps(tlb);
    tlb->flushes++;
}

void tlb_init(struct tlb *tlb)
{
    tlb->local = (struct tlb_notes){.notes = tlb->local_notes, .limit = TLB_NOTES};
    tlb->global = (struct tlb_notes){.notes = tlb->global_notes, .limit = TLB_NOTES};
    tlb->local_jumps = (struct tlb_notes){.notes = tlb->local_jump_notes, .limit = JUMP_NOTES};
    tlb->global_jumps = (struct tlb_notes){.notes = tlb->global_jump_notes, .limit = JUMP_NOTES};
    /* More than the limit: all are dropped, by looking at all. */
    tlb->local.count = TLB_NOTES + 1;
    tlb->local_jumps.count = JUMP_NOTES + 1;
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        invalidate_entry(&tlb->data[TLB_EMPTY][i], i);
    }
    for (unsigned i = 0; i < TLB_FRAMES; i++) {
        tlb->frames[i].page = TLB_NO_PAGE;
    }
    invalidate_all(tlb);
}

struct tlb *tlb_new(void)
{
    struct tlb *tlb = g_new0(struct tlb, 1);

    tlb_init(tlb);
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
        tlb->frames[i].page = TLB_NO_PAGE;
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
    drop_notes(tlb, &tlb->local, false);
    drop_jumps(tlb, &tlb->local_jumps);
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
            unsigned index = tlb_index(page + i * PAGE_SIZE_4K);
            struct tlb_entry *entry = &tlb->data[class][index];

            if (((entry->read_tag ^ page) & ~TLB_SLOW & mask) == 0 ||
                ((entry->write_tag ^ page) & ~TLB_SLOW & mask) == 0) {
                invalidate_entry(entry, index);
            }
        }
    }
    for (unsigned i = 0; i < MIN(count, TLB_FETCH_ENTRIES); i++) {
        unsigned index = ((page >> PAGE_BITS) + i) & (TLB_FETCH_ENTRIES - 1);

        for (unsigned user = 0; user < 2; user++) {
            if ((tlb->fetch[user][index].tag & mask) == page) {
                tlb->fetch[user][index].tag = TLB_NO_PAGE;
            }
        }
    }
}

static void drop_jumps_of_page(struct tlb *tlb, uint64_t page)
{
    uint8_t *may_be = &tlb->jump_pages[jump_page(page)];

    if (!*may_be) {
        return;
    }
    for (unsigned i = 0; i < JUMP_CONTEXTS * JUMP_ENTRIES; i++) {
        if ((tlb->jumps[i / JUMP_ENTRIES][i % JUMP_ENTRIES].linear & PAGE_MASK) == page) {
            tlb_clear_jump(tlb, i);
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
        tlb_flush_jumps(tlb);
    } else {
        invalidate_pages(tlb, linear & PAGE_MASK, 1);
        drop_jumps_of_page(tlb, linear & PAGE_MASK);
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
        frame->ram = read.region->ram;
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

/* Another vCPU may be about to make code of the page: it sees the tag, or we see its mark. */
static void set_fast_write_tag(struct cpu *cpu, struct tlb_entry *entry, uint64_t page)
{
    if (cpu->jit) {
        jit_note_fast_write(cpu->jit, entry->host);
    }
    __atomic_store_n(&entry->write_tag, page, __ATOMIC_SEQ_CST);
    if (cpu->jit && jit_page_has_code(cpu->jit, entry->host)) {
        entry->physical |= TLB_PAGE_CODE;
        __atomic_store_n(&entry->write_tag, page ^ TLB_SLOW, __ATOMIC_SEQ_CST);
    }
}

void tlb_rearm(struct cpu *cpu, struct tlb_entry *entry, uint64_t linear)
{
    entry->physical &= ~(uint64_t)TLB_PAGE_CODE;
    if (!(entry->physical & ~PAGE_MASK & ~(uint64_t)TLB_PAGE_GLOBAL)) {
        set_fast_write_tag(cpu, entry, linear & PAGE_MASK);
    }
}

static void note_fill(struct cpu *cpu, unsigned class, unsigned index)
{
    cpu->tlb->fills++;
    if (cpu->lockstep) {
        lockstep_note_fill(cpu->lockstep, class << 16 | index);
    }
}

static void fill(struct cpu *cpu, enum tlb_class class, uint64_t linear, bool is_write)
{
    struct tlb *tlb = cpu->tlb;
    unsigned index = tlb_index(linear);
    struct tlb_entry *entry = &tlb->data[class][index];
    bool was_empty = entry_is_empty(entry, index), was_global = entry->physical & TLB_PAGE_GLOBAL;
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
        if (cpu->huge_pages) {
            huge_pages_note_fill(cpu->huge_pages, frame->host);
        }
        flags |= cpu->jit && jit_page_has_code(cpu->jit, frame->host) ? TLB_PAGE_CODE : 0;
    }
    entry->host = frame->host;
    if ((cpu->dr[7] & 0xff) && page_is_watched(cpu, page)) {
        flags |= TLB_PAGE_WATCHED;
    }
    if (result.global) {
        flags |= TLB_PAGE_GLOBAL;
    }
    entry->physical = physical | flags;
    entry->read_tag = page ^ (flags & (TLB_PAGE_IO | TLB_PAGE_WATCHED) ? TLB_SLOW : 0);
    if (!result.writable) {
        entry->write_tag = empty_tag(index);
    } else if (flags & ~(unsigned)TLB_PAGE_GLOBAL) {
        entry->write_tag = page ^ TLB_SLOW;
    } else {
        set_fast_write_tag(cpu, entry, page);
    }
    if (was_empty || was_global != result.global) {
        note(result.global ? &tlb->global : &tlb->local, class, index);
    }
    note_large(tlb, linear, result.page_size);
    note_fill(cpu, class, index);
}

struct tlb_entry *tlb_lookup(struct cpu *cpu, enum tlb_class class, uint64_t linear, bool is_write)
{
    struct tlb_entry *entry = &cpu->tlb->data[class][tlb_index(linear)];
    uint64_t tag = is_write ? entry->write_tag : entry->read_tag;

    if (!tlb_tag_is(tag, linear & PAGE_MASK)) {
        fill(cpu, class, linear, is_write);
    }
    return entry;
}

/* Translations of a page that others write to behind our back are looked at each time that the page
 * comes to be executed: a guest that has had code put somewhere by a device makes it executable, or
 * changes its tables, or its mode, before it jumps there. */
static void check_translations(struct cpu *cpu, const struct tlb_frame *frame)
{
    if (cpu->jit && frame->ram && ram_block_has_silent_writers(frame->ram)) {
        jit_check_page(cpu->jit, frame->host);
    }
}

const struct tlb_fetch_entry *tlb_lookup_fetch(struct cpu *cpu, uint64_t linear)
{
    struct tlb *tlb = cpu->tlb;
    bool user = cpu->cpl == 3;
    unsigned index = linear >> PAGE_BITS & (TLB_FETCH_ENTRIES - 1);
    struct tlb_fetch_entry *entry = &tlb->fetch[user][index];
    struct mmu_request request = {.linear = linear, .access = MMU_FETCH, .user = user};
    const struct tlb_frame *frame;
    struct mmu_result result;

    if (entry->tag == (linear & PAGE_MASK)) {
        return entry;
    }
    translate(cpu, &request, &result);
    entry->physical = result.physical & PAGE_MASK;
    frame = tlb_get_frame(cpu, entry->physical);
    check_translations(cpu, frame);
    entry->host = frame->host;
    entry->global = result.global;
    entry->tag = linear & PAGE_MASK;
    note(result.global ? &tlb->global : &tlb->local, TLB_CLASS_COUNT + user, index);
    note_large(tlb, linear, result.page_size);
    note_fill(cpu, TLB_CLASS_COUNT + user, index);
    return entry;
}
