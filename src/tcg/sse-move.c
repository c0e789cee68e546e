/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves between memory, vector, MMX and general registers; masked and non-temporal stores. */
#include "tcg/avx.h"
#include "tcg/simd.h"

void sse_load_aligned(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    cpu->ymm[insn->reg].xmm = sse_read(cpu, insn);
}

void sse_load_unaligned(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    cpu->ymm[insn->reg].xmm = sse_read_unaligned(cpu, insn);
}

static void sse_store(struct cpu *cpu, const struct insn *insn, unsigned alignment)
{
    sse_check(cpu);
    if (!insn->memory) {
        cpu->ymm[insn->rm].xmm = cpu->ymm[insn->reg].xmm;
        return;
    }
    uint64_t offset = insn_effective_address(cpu, insn);
    simd_check_alignment(cpu, insn->segment, offset, alignment);
    cpu_write_bytes(cpu, insn->segment, offset, &cpu->ymm[insn->reg].xmm, 16);
}

void sse_store_aligned(struct cpu *cpu, const struct insn *insn)
{
    sse_store(cpu, insn, 16);
}

void sse_store_unaligned(struct cpu *cpu, const struct insn *insn)
{
    sse_store(cpu, insn, 1);
}

/* MOVSS, MOVSD: from memory the rest is cleared, from a register it stays. */
static ALWAYS_INLINE void sse_load_scalar(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    sse_check(cpu);
    if (insn->memory) {
        cpu->ymm[insn->reg].xmm = sse_read_low(cpu, insn, size);
    } else {
        memcpy(&cpu->ymm[insn->reg].xmm, &cpu->ymm[insn->rm].xmm, size);
    }
}

void sse_movss_load(struct cpu *cpu, const struct insn *insn)
{
    sse_load_scalar(cpu, insn, 4);
}

void sse_movsd_load(struct cpu *cpu, const struct insn *insn)
{
    sse_load_scalar(cpu, insn, 8);
}

static ALWAYS_INLINE void sse_store_scalar(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    sse_check(cpu);
    if (insn->memory) {
        simd_write_memory(cpu, insn, size, cpu->ymm[insn->reg].xmm.u64[0]);
    } else {
        memmove(&cpu->ymm[insn->rm].xmm, &cpu->ymm[insn->reg].xmm, size);
    }
}

void sse_movss_store(struct cpu *cpu, const struct insn *insn)
{
    sse_store_scalar(cpu, insn, 4);
}

void sse_movsd_store(struct cpu *cpu, const struct insn *insn)
{
    sse_store_scalar(cpu, insn, 8);
}

/* MOVLPS, MOVHPS and the pd forms: one half from memory; MOVHLPS, MOVLHPS from a register. */
#define MOVE_HALF(name, to, from)                                                                  \
    void sse_##name##_load(struct cpu *cpu, const struct insn *insn)                               \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        cpu->ymm[insn->reg].xmm.u64[to] =                                                          \
            insn->memory ? simd_read_memory(cpu, insn, 8) : cpu->ymm[insn->rm].xmm.u64[from];      \
    }                                                                                              \
    void sse_##name##_store(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        simd_write_memory(cpu, insn, 8, cpu->ymm[insn->reg].xmm.u64[to]);                          \
    }
MOVE_HALF(movlps, 0, 1)
MOVE_HALF(movhps, 1, 0)

/* MOVQ: the low 8 bytes, the rest cleared. */
void sse_movq_load(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    cpu->ymm[insn->reg].xmm = (union vector128){.u64 = {sse_read_low(cpu, insn, 8).u64[0]}};
}

void sse_movq_store(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = cpu->ymm[insn->reg].xmm.u64[0];

    sse_check(cpu);
    if (insn->memory) {
        simd_write_memory(cpu, insn, 8, value);
    } else {
        cpu->ymm[insn->rm].xmm = (union vector128){.u64 = {value}};
    }
}

/* MOVD and, with REX.W, MOVQ */
void sse_movd_load(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    uint64_t value = simd_read_general(cpu, insn, insn->operand_size);
    cpu->ymm[insn->reg].xmm = (union vector128){.u64 = {value}};
}

static ALWAYS_INLINE void store_general(struct cpu *cpu, const struct insn *insn, uint64_t value)
{
    if (insn->memory) {
        simd_write_memory(cpu, insn, insn->operand_size, value);
    } else {
        gpr_write(cpu, insn->rm, insn->operand_size, value);
    }
}

void sse_movd_store(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    store_general(cpu, insn, cpu->ymm[insn->reg].xmm.u64[0]);
}

void mmx_movd_load(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    uint64_t value = simd_read_general(cpu, insn, insn->operand_size);
    mmx_enter(cpu);
    mmx_write(cpu, insn->reg, value);
}

void mmx_movd_store(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    store_general(cpu, insn, *mmx_register(cpu, insn->reg));
    mmx_enter(cpu);
}

void mmx_movq_load(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    uint64_t value = mmx_read(cpu, insn, 8).u64[0];
    mmx_enter(cpu);
    mmx_write(cpu, insn->reg, value);
}

void mmx_movq_store(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    uint64_t value = *mmx_register(cpu, insn->reg);
    if (insn->memory) {
        simd_write_memory(cpu, insn, 8, value);
        mmx_enter(cpu);
    } else {
        mmx_enter(cpu);
        mmx_write(cpu, insn->rm, value);
    }
}

void sse_movdq2q(struct cpu *cpu, const struct insn *insn)
{
    sse_mmx_check(cpu);
    mmx_enter(cpu);
    mmx_write(cpu, insn->reg, cpu->ymm[insn->rm].xmm.u64[0]);
}

void sse_movq2dq(struct cpu *cpu, const struct insn *insn)
{
    sse_mmx_check(cpu);
    mmx_enter(cpu);
    cpu->ymm[insn->reg].xmm = (union vector128){.u64 = {*mmx_register(cpu, insn->rm)}};
}

/* Duplicating moves */
void sse_movddup(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    uint64_t value = sse_read_low(cpu, insn, 8).u64[0];
    cpu->ymm[insn->reg].xmm = (union vector128){.u64 = {value, value}};
}

LANES(movsldup)
{
    *d = (union vector128){.u32 = {s->u32[0], s->u32[0], s->u32[2], s->u32[2]}};
}
SSE_HANDLER(movsldup)

LANES(movshdup)
{
    *d = (union vector128){.u32 = {s->u32[1], s->u32[1], s->u32[3], s->u32[3]}};
}
SSE_HANDLER(movshdup)

/* MASKMOVQ, MASKMOVDQU: to [rDI], each byte whose mask byte has its sign set. All of the bytes
 * are checked before the first is written. */
static void store_masked(struct cpu *cpu, const struct insn *insn, const union vector128 *value,
                         const union vector128 *mask, unsigned bytes)
{
    uint64_t address_mask = insn->address_size == 8   ? UINT64_MAX
                            : insn->address_size == 4 ? UINT32_MAX
                                                      : UINT16_MAX;
    uint64_t offset = cpu->gpr[X86_RDI] & address_mask;

    for (unsigned i = 0; i < bytes; i++) {
        if (mask->s8[i] < 0) {
            cpu_probe_write(cpu, insn->segment, (offset + i) & address_mask, 1);
        }
    }
    for (unsigned i = 0; i < bytes; i++) {
        if (mask->s8[i] < 0) {
            cpu_write8(cpu, insn->segment, (offset + i) & address_mask, value->u8[i]);
        }
    }
}

void mmx_maskmovq(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    union vector128 value = {.u64 = {*mmx_register(cpu, insn->reg)}};
    union vector128 mask = {.u64 = {*mmx_register(cpu, insn->rm)}};
    store_masked(cpu, insn, &value, &mask, 8);
    mmx_enter(cpu);
}

void sse_maskmovdqu(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    store_masked(cpu, insn, &cpu->ymm[insn->reg].xmm, &cpu->ymm[insn->rm].xmm, 16);
}

void avx_maskmovdqu(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    store_masked(cpu, insn, &cpu->ymm[insn->reg].xmm, &cpu->ymm[insn->rm].xmm, 16);
}
