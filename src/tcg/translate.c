/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making one block: decode, see where flags are wanted, write the code, enter it. */
#include "tcg/translate.h"
#include "memory/ram-block.h"
#include "tcg/access.h"
#include "tcg/block-log.h"
#include "tcg/execute.h"
#include "util/log.h"

#define INSN_MAX_BYTES 15

/* More than the largest block takes: code, and what jit_allocate gives. */
#define BLOCK_CODE_ROOM (64u << 10)
#define BLOCK_INSN_ROOM (64u << 10)

/* --- Rows by handler --- */

static const struct translate_row *const tables[] = {
    translate_integer_rows, translate_shift_rows,   translate_bit_rows,    translate_move_rows,
    translate_stack_rows,   translate_control_rows, translate_system_rows,
};

#define ROW_SLOTS 4096 /* much more than there are rows */

static unsigned row_slot(insn_execute_fn handler)
{
    return (uintptr_t)handler * 0x9e3779b97f4a7c15u >> 52;
}

struct translate_rows *translate_rows_new(void)
{
    struct translate_rows *rows = g_malloc0(ROW_SLOTS * sizeof(rows->slots[0]));

    for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const struct translate_row *row = tables[i]; row->handler; row++) {
            unsigned slot = row_slot(row->handler);

            while (rows->slots[slot]) {
                slot = (slot + 1) % ROW_SLOTS;
            }
            rows->slots[slot] = row;
        }
    }
    return rows;
}

/* The rows of vector and x87 instructions are made from their operands. */
static const struct translate_row *find_row(const struct translator *t, const struct insn *insn)
{
    const struct translate_rows *rows = t->jit->rows;
    const struct translate_row *row;
    unsigned slot = row_slot(insn->execute);

    if (insn->memory && !address_is_simple(t, insn)) {
        return NULL;
    }
    while (rows->slots[slot] && rows->slots[slot]->handler != insn->execute) {
        slot = (slot + 1) % ROW_SLOTS;
    }
    if (!rows->slots[slot]) {
        row = translate_vector_row(insn, &t->jit->host_features);
        row = row ? row : translate_bmi_row(insn, &t->jit->host_features);
        return row ? row : translate_x87_row(insn);
    }
    if (rows->slots[slot] && shift_count_is_zero(insn, rows->slots[slot])) {
        return NULL;
    }
    return rows->slots[slot];
}

/* --- Before the code is written --- */

static bool ends_block(const struct translator *t, unsigned i)
{
    return (t->insns[i].opcode->flags & OP_END) &&
           !(t->rows[i] && (t->rows[i]->effects & (ROW_SIDE_EXIT | ROW_GOES_ON)));
}

/* Its outcome is another each time, or it changes what lockstep.c does not save. A repeated string
 * instruction pauses after more or less, by how its memory is reached. */
static bool is_unrepeatable(const struct insn *insn, const struct translate_row *row)
{
    if ((insn->opcode->flags & OP_STRING) && (insn->prefixes & (INSN_REP | INSN_REPNE))) {
        return true;
    }
    return (insn->opcode->flags & OP_NO_NATIVE) || ((insn->opcode->flags & OP_SYSTEM) && !row);
}

/* It stores status flags, among them what instructions before it left undefined. At a border those
 * are known, and not compared. */
static bool shows_flags(const struct insn *insn)
{
    return insn->execute == execute_pushf || insn->execute == execute_lahf;
}

/* Lockstep wants another border before the instruction. */
static bool starts_block(struct translator *t, const struct insn *insn)
{
    t->unrepeatable = is_unrepeatable(insn, t->rows[t->count]);
    if (t->unrepeatable && t->count) {
        t->unrepeatable = false;
        return true;
    }
    return t->count && shows_flags(insn);
}

static bool decode(struct translator *t, const uint8_t *page)
{
    unsigned offset = t->start;

    while (t->count < t->jit->block_limit && offset < PAGE_SIZE_4K) {
        struct insn *insn = &t->insns[t->count];
        unsigned left = MIN(PAGE_SIZE_4K - offset, INSN_MAX_BYTES);

        if (decode_insn(t->cpu, page + offset, left, insn) != DECODE_OK) {
            break;
        }
        t->rows[t->count] = find_row(t, insn);
        if (t->jit->lockstep && starts_block(t, insn)) {
            break;
        }
        offset += insn->length;
        t->count++;
        if (t->unrepeatable || ends_block(t, t->count - 1)) {
            break;
        }
    }
    return t->count > 0;
}

/* Can somebody see the flags as they are before the instruction? A fault can. */
static bool observes_flags(const struct insn *insn, const struct translate_row *row)
{
    if (!row || (row->effects & (FLAGS_READ | FLAGS_CHANGE | FLAGS_SPOIL))) {
        return true;
    }
    return (row->effects & ROW_MAY_FAULT) || insn->memory;
}

static void find_live_flags(struct translator *t)
{
    bool live = true;

    for (unsigned i = t->count; i-- > 0;) {
        const struct translate_row *row = t->rows[i];

        t->live[i] = live;
        if (observes_flags(&t->insns[i], row)) {
            live = true;
        } else if (row->effects & FLAGS_WRITE) {
            live = false;
        }
    }
}

/* --- The code --- */

static void emit_insn(struct translator *t, unsigned i)
{
    const struct insn *insn = &t->insns[i];

    t->index = i;
    t->insn = insn;
    t->insn_code[i] = t->e.at;
    t->row = t->rows[i];
    t->next += insn->length;
    t->flags_live = t->live[i];
    t->slow = NULL;
    if (!t->row || !t->row->translate(t, insn, t->row)) {
        emit_handler(t, insn, insn->opcode->flags & OP_END);
    }
    if (t->slow) {
        t->slow->resume = t->ended ? NULL : t->e.at;
        t->slow->want_host_flags = t->flags_live && t->flags.place == FLAGS_IN_HOST;
        t->slow->want_vector = t->vector_resident;
    }
}

static void emit_block(struct translator *t)
{
    static const uint8_t nop[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

    t->entry = t->e.at;
    /* What invalidation replaces by a jump (code-pages.c). */
    for (unsigned i = 0; i < sizeof(nop); i++) {
        emit_8(&t->e, nop[i]);
    }
    t->next = t->start;
    for (unsigned i = 0; i < t->count && !t->ended; i++) {
        emit_insn(t, i);
    }
    t->exits_code = t->e.at;
    if (!t->ended) {
        flags_to_record(t);
        t->insn = NULL;
        emit_exit(t, t->next);
    }
    emit_side_exits(t);
    emit_slow_paths(t);
}

/* Leave for the run loop, with rip at the block's start: where the entry goes once it is invalid.
 */
static const uint8_t *emit_leave_at_start(struct translator *t)
{
    const uint8_t *at = t->e.at + t->e.to_exec;

    emit_load_immediate(&t->e, S0, t->start);
    emit_load_immediate(&t->e, S1, (uintptr_t)JIT_STALE);
    emit_jump_to(&t->e, t->jit->stubs.leave_to - t->e.to_exec);
    return at;
}

static void write_perf_map(struct jit *jit, const struct translation *translation, size_t size,
                           uint64_t rip)
{
    if (jit->perf_file) {
        fprintf(jit->perf_file, "%lx %zx guest_%lx\n", (unsigned long)translation->code, size,
                (unsigned long)rip);
        fflush(jit->perf_file);
    }
}

static void log_block(const struct translator *t)
{
    if (log_is_enabled(LOG_IN_ASM)) {
        block_log_guest("translated", t->cpu->rip, t->cpu->rip, t->insns, t->count);
    }
    if (log_is_enabled(LOG_OUT_ASM)) {
        block_log_host(t, t->cpu->rip);
    }
}

/* jit->lock is held, the page is tracked. page: the copy of it that was decoded. */
static struct translation *make(struct translator *t, const uint8_t *page)
{
    struct jit *jit = t->jit;
    struct translation *translation = jit_allocate(jit, sizeof(*translation));
    const uint8_t *leave;

    if (!translation) {
        return NULL;
    }
    code_cache_begin(&jit->cache, &t->e);
    emit_block(t);
    leave = emit_leave_at_start(t);
    if (t->e.overflow || t->failed) {
        return NULL;
    }
    *translation = (struct translation){
        .host = t->host_page + t->start,
        .code = t->entry + t->e.to_exec,
        .leave = leave,
        .checksum = jit_checksum(page + t->start, (unsigned)(t->next_after - t->start)),
        .length = (uint16_t)(t->next_after - t->start),
        .context = (uint8_t)t->context,
        .unrepeatable = t->unrepeatable,
    };
    code_cache_commit(&jit->cache, &t->e);
    jit_add_translation(jit, translation);
    jit->translated++;
    jit->guest_bytes += translation->length;
    log_block(t);
    write_perf_map(jit, translation, (size_t)(t->e.at - t->entry), t->cpu->rip);
    return translation;
}

/* Make room: with all vCPUs at a border nobody is in what is thrown away. */
static void make_room(struct jit *jit, struct cpu *self)
{
    if (jit->cache.size - jit->cache.used < BLOCK_CODE_ROOM ||
        JIT_INSN_BYTES - jit->insns_used < BLOCK_INSN_ROOM) {
        jit_stop_vcpus(jit, self);
        jit_flush(jit);
        jit_resume_vcpus(jit);
    }
}

static void note_dma(void *opaque, const uint8_t *host, uint64_t length)
{
    jit_memory_written(opaque, host, length);
}

/* Hear of writes to the memory by others than vCPUs, as long as the translator lives. */
static void watch_block(struct jit *jit, struct cpu *cpu, uint64_t physical)
{
    struct memory_section section =
        address_space_lookup(cpu->memory, physical, false, MEMORY_ATTRIBUTES_CPU);

    if (section.region && section.region->ram &&
        !g_ptr_array_find(jit->watched, section.region->ram, NULL)) {
        ram_block_ref(section.region->ram);
        g_ptr_array_add(jit->watched, section.region->ram);
        ram_block_watch(section.region->ram, note_dma, jit);
    }
}

struct translation *jit_translate(struct cpu *cpu, enum jit_context context)
{
    const struct tlb_fetch_entry *fetch = tlb_lookup_fetch(cpu, cpu->rip);
    struct jit *jit = cpu->jit;
    struct translation *translation = NULL;
    struct translator *t;
    uint8_t page[PAGE_SIZE_4K];

    pthread_mutex_lock(&jit->lock);
    make_room(jit, cpu);
    translation = jit_find(jit, fetch->host + (cpu->rip & ~PAGE_MASK), context);
    if (translation) {
        pthread_mutex_unlock(&jit->lock);
        return translation;
    }
    watch_block(jit, cpu, fetch->physical);
    jit_track_page(jit, cpu, fetch->host);
    /* Read once: what is decoded is what is there now, whoever writes to it. */
    memcpy(page, fetch->host, sizeof(page));
    t = jit->translator;
    *t = (struct translator){
        .jit = jit,
        .cpu = cpu,
        .context = context,
        .user = context % JIT_32 == JIT_USER,
        .word = context < JIT_32 ? 8 : 4,
        .host_page = fetch->host,
        .start = cpu->rip & ~PAGE_MASK,
        .flags = {.place = FLAGS_IN_RECORD},
    };
    if (decode(t, page)) {
        t->next_after = t->start;
        for (unsigned i = 0; i < t->count; i++) {
            t->next_after += t->insns[i].length;
        }
        find_live_flags(t);
        translation = make(t, page);
    }
    if (!translation) {
        jit_untrack_if_unused(jit, fetch->host);
    }
    pthread_mutex_unlock(&jit->lock);
    return translation;
}
