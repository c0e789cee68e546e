/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, TLB probes, and the slow paths behind them. */
#include "tcg/lockstep.h"
#include "tcg/translate.h"

#define GROUP1_ADD 0
#define GROUP1_AND 4
#define GROUP1_CMP 7
#define GROUP2_SHR 5

#define ENTRY_SHIFT 5
_Static_assert(sizeof(struct tlb_entry) == 1 << ENTRY_SHIFT, "an index is a shifted address");

bool address_is_simple(const struct translator *t, const struct insn *insn)
{
    return insn->address_size >= 4 && (t->word == 8 || insn->segment != X86_CS);
}

/* lea S0, [base + index * scale + displacement] */
static void emit_offset(struct translator *t, const struct insn *insn)
{
    unsigned base = insn->base, index = insn->index, size = insn->address_size;
    int32_t displacement = insn->displacement;
    struct emitter *e = &t->e;

    if (insn->rip_relative) {
        emit_load(e, 8, S0, CPU_FIELD(page_linear));
        /* No wrap: the displacement is 32 bits, the place in the page 12. */
        emit_alu_immediate(e, 8, GROUP1_ADD, host_register(S0), (int32_t)t->next);
        emit_lea(e, size, S0, host_memory(S0, displacement));
        return;
    }
    base = base == INSN_NO_REGISTER ? HOST_NO_REGISTER : guest_value(t, base, 8, S0);
    index = index == INSN_NO_REGISTER ? HOST_NO_REGISTER : guest_value(t, index, 8, S1);
    if (base == HOST_NO_REGISTER && index == HOST_NO_REGISTER) {
        emit_load_immediate(e, S0,
                            size == 4 ? (uint32_t)displacement : (uint64_t)(int64_t)displacement);
    } else if (index == HOST_NO_REGISTER && displacement == 0 && base != S0) {
        emit_move(e, size, S0, base);
    } else if (index == HOST_NO_REGISTER && displacement == 0 && size == 8) {
        /* there already */
    } else {
        emit_lea(e, size, S0, host_memory_indexed(base, index, insn->scale, displacement));
    }
}

const struct insn *keep_insn(struct translator *t, const struct insn *insn)
{
    struct insn *kept = jit_allocate(t->jit, sizeof(*kept));

    if (!kept) {
        t->failed = true;
        return insn;
    }
    *kept = *insn;
    return kept;
}

static struct slow_path *slow_path(struct translator *t)
{
    if (!t->slow) {
        t->slow = &t->slow_paths[t->slow_count++];
        *t->slow = (struct slow_path){
            .insn = keep_insn(t, t->insn),
            .next = (uint16_t)t->next,
            .flags = t->flags,
        };
    }
    return t->slow;
}

void emit_slow_if(struct translator *t, unsigned condition)
{
    struct slow_path *slow = slow_path(t);

    g_assert(slow->count < G_N_ELEMENTS(slow->from));
    slow->from[slow->count++] = emit_jump_if(&t->e, condition);
}

void emit_segment_base(struct translator *t, const struct insn *insn)
{
    bool fs = insn->segment == X86_FS;

    if (!fs && insn->segment != X86_GS) {
        return;
    }
    if (t->word == 4) {
        emit_alu_immediate(&t->e, 1, GROUP1_CMP, fs ? CPU_FIELD(open_fs) : CPU_FIELD(open_gs), 0);
        emit_slow_if(t, HOST_EQUAL);
    }
    emit_rm(&t->e, t->word, 0x03, S0, false,
            fs ? CPU_FIELD(segment[X86_FS].base) : CPU_FIELD(segment[X86_GS].base));
}

void emit_address(struct translator *t, const struct insn *insn)
{
    emit_offset(t, insn);
    emit_segment_base(t, insn);
}

/* S0: the offset in the page, or more if the TLB has it not. S1: of the entry. */
static int32_t emit_tag_test(struct translator *t, bool is_write)
{
    static const uint8_t classes[] = {
        [JIT_SUPERVISOR] = TLB_SUPERVISOR,
        [JIT_USER] = TLB_USER,
        [JIT_SUPERVISOR_SMAP] = TLB_SUPERVISOR_SMAP,
    };
    int32_t table =
        t->jit->tlb_offset + (int32_t)offsetof(struct tlb, data) +
        (int32_t)(classes[t->context % JIT_32] * TLB_ENTRIES * sizeof(struct tlb_entry));
    struct emitter *e = &t->e;
    size_t tag =
        is_write ? offsetof(struct tlb_entry, write_tag) : offsetof(struct tlb_entry, read_tag);

    emit_move(e, 8, S1, S0);
    emit_shift_immediate(e, 8, GROUP2_SHR, S1, PAGE_BITS - ENTRY_SHIFT);
    emit_alu_immediate(e, 4, GROUP1_AND, host_register(S1), (TLB_ENTRIES - 1) << ENTRY_SHIFT);
    emit_rm(e, 8, 0x33, S0, false, host_cpu_indexed(S1, table + (int32_t)tag)); /* XOR */
    return table;
}

/* Lockstep: tell where the store will go. Spoils S1, as probes do. */
static void emit_note_write(struct translator *t, unsigned size)
{
    struct emitter *e = &t->e;

    if (!t->jit->lockstep) {
        return;
    }
    emit_load(e, 8, S1, CPU_FIELD(write_probe));
    emit_store(e, 8, host_memory(S1, offsetof(struct lockstep_probe, host)), S0);
    emit_rm(e, 8, 0xc7, 0, false, host_memory(S1, offsetof(struct lockstep_probe, size)));
    emit_32(e, size);
    emit_alu_immediate(e, 8, GROUP1_ADD, CPU_FIELD(write_probe), sizeof(struct lockstep_probe));
}

static void emit_found(struct translator *t, int32_t table, unsigned size, bool is_write)
{
    emit_rm(&t->e, 8, 0x03, S0, false,
            host_cpu_indexed(S1, table + (int32_t)offsetof(struct tlb_entry, host)));
    if (is_write) {
        emit_note_write(t, size);
    }
}

void emit_probe(struct translator *t, unsigned size, bool is_write)
{
    int32_t table = emit_tag_test(t, is_write);

    emit_alu_immediate(&t->e, 8, GROUP1_CMP, host_register(S0), (int32_t)(PAGE_SIZE_4K - size));
    emit_slow_if(t, HOST_ABOVE);
    emit_found(t, table, size, is_write);
}

void emit_probe_aligned(struct translator *t, unsigned size, bool is_write)
{
    int32_t table = emit_tag_test(t, is_write);

    /* One test for the tag, the page's end and the alignment. */
    emit_rm(&t->e, 8, 0xf7, 0, false, host_register(S0));
    emit_32(&t->e, ~(uint32_t)(PAGE_SIZE_4K - size));
    emit_slow_if(t, HOST_NOT_EQUAL);
    emit_found(t, table, size, is_write);
}

void emit_operand_probe(struct translator *t, const struct insn *insn, unsigned size, bool is_write)
{
    flags_before_spoil(t);
    emit_address(t, insn);
    emit_probe(t, size, is_write);
}

struct host_operand emit_rm_to_read(struct translator *t, const struct insn *insn, unsigned size)
{
    if (!insn->memory) {
        return guest_operand(insn, insn->rm, size);
    }
    emit_operand_probe(t, insn, size, false);
    return host_memory(S0, 0);
}

static const uint8_t *handler_stub(const struct translator *t, const struct slow_path *slow)
{
    const struct jit_stubs *stubs = &t->jit->stubs;

    if (slow->want_vector) {
        return slow->want_host_flags ? stubs->handler_vector_host_flags : stubs->handler_vector;
    }
    return slow->want_host_flags ? stubs->handler_host_flags : stubs->handler;
}

void emit_slow_paths(struct translator *t)
{
    struct emitter *e = &t->e;

    for (unsigned i = 0; i < t->slow_count; i++) {
        struct slow_path *slow = &t->slow_paths[i];

        for (unsigned j = 0; j < slow->count; j++) {
            emit_bind(e, slow->from[j]);
        }
        flags_state_to_record(t, &slow->flags);
        emit_load_immediate(e, S0, (uintptr_t)slow->insn);
        emit_load_immediate(e, S1, slow->next);
        if (slow->resume) {
            emit_call_to(e, handler_stub(t, slow) - e->to_exec);
            emit_jump_to(e, slow->resume);
        } else {
            emit_jump_to(e, t->jit->stubs.handler_leave - e->to_exec);
        }
    }
}
