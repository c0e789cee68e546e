/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AVX instructions that access memory by element, and those without operands. */
#include "tcg/avx.h"
#include "tcg/opcode.h"
#include "tcg/operand.h"
#include "tcg/simd-handlers.h"

/* The instruction's element: 4 or 8 bytes. VMASKMOVPS and PD say it by the opcode, the others by
 * VEX.W. */
static unsigned mask_element(const struct insn *insn)
{
    bool by_opcode = insn->byte < 0x80;

    return (by_opcode ? insn->byte & 1 : insn->vex_w) ? 8 : 4;
}

static bool is_selected(const union vector256 *mask, unsigned i, unsigned size)
{
    return (size == 8 ? mask->s64[i] < 0 : mask->s32[i] < 0);
}

static void set_element(union vector256 *v, unsigned i, unsigned size, uint64_t value)
{
    if (size == 8) {
        v->u64[i] = value;
    } else {
        v->u32[i] = (uint32_t)value;
    }
}

static uint64_t element_offset(const struct insn *insn, uint64_t offset, unsigned i, unsigned size)
{
    offset += (uint64_t)i * size;
    return insn->address_size == 4 ? (uint32_t)offset : offset;
}

/* VMASKMOV, VPMASKMOV: elements that the mask does not select are neither read nor written, and
 * can't fault. */
void avx_maskmov_load(struct cpu *cpu, const struct insn *insn)
{
    union vector256 mask, result = {.u64 = {0}};
    unsigned size = mask_element(insn);

    avx_check(cpu);
    mask = cpu->ymm[insn->vex_register];
    uint64_t offset = effective_address(cpu, insn);
    for (unsigned i = 0; i < avx_length(insn) / size; i++) {
        if (is_selected(&mask, i, size)) {
            uint64_t at = element_offset(insn, offset, i, size);
            set_element(&result, i, size, memory_read(cpu, insn->segment, at, size));
        }
    }
    cpu->ymm[insn->reg] = result;
}

void avx_maskmov_store(struct cpu *cpu, const struct insn *insn)
{
    const union vector256 *mask = &cpu->ymm[insn->vex_register], *value = &cpu->ymm[insn->reg];
    unsigned size = mask_element(insn), count = avx_length(insn) / size;

    avx_check(cpu);
    uint64_t offset = effective_address(cpu, insn);
    for (unsigned i = 0; i < count; i++) {
        if (is_selected(mask, i, size)) {
            cpu_probe_write(cpu, insn->segment, element_offset(insn, offset, i, size), size);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (is_selected(mask, i, size)) {
            uint64_t at = element_offset(insn, offset, i, size);
            memory_write(cpu, insn->segment, at, size, size == 8 ? value->u64[i] : value->u32[i]);
        }
    }
}

/*
 * VGATHER, VPGATHER: opcode bit 0 says the size of an index, VEX.W that of an element. The mask is
 * cleared as elements arrive, so that a fault loses none of them (SDM vol. 2, VGATHERDPS).
 */
static uint64_t gather_offset(const struct cpu *cpu, const struct insn *insn,
                              const union vector256 *index, unsigned i)
{
    int64_t number = insn->byte & 1 ? index->s64[i] : index->s32[i];
    uint64_t offset = (uint64_t)(int64_t)insn->displacement + ((uint64_t)number << insn->scale);

    if (insn->base != INSN_NO_REGISTER) {
        offset += cpu->gpr[insn->base];
    }
    return insn->address_size == 4 ? (uint32_t)offset : offset;
}

void avx_gather(struct cpu *cpu, const struct insn *insn)
{
    union vector256 *result = &cpu->ymm[insn->reg], *mask = &cpu->ymm[insn->vex_register];
    unsigned size = insn->vex_w ? 8 : 4, index_size = insn->byte & 1 ? 8 : 4;
    unsigned count = avx_length(insn) / MAX(size, index_size);

    avx_check(cpu);
    const union vector256 index = cpu->ymm[insn->index];
    for (unsigned i = 0; i < count; i++) {
        if (is_selected(mask, i, size)) {
            uint64_t at = gather_offset(cpu, insn, &index, i);
            set_element(result, i, size, memory_read(cpu, insn->segment, at, size));
        }
        set_element(mask, i, size, 0);
    }
    *mask = (union vector256){.u64 = {0}};
    for (unsigned i = count * size / 4; i < 8; i++) {
        result->u32[i] = 0;
    }
}

/* Outside 64-bit mode there are eight registers. */
static unsigned register_count(const struct cpu *cpu)
{
    return cpu->mode == CPU_MODE_64 ? 16 : 8;
}

/* VZEROUPPER; with VEX.L, VZEROALL */
void avx_zero(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    for (unsigned i = 0; i < register_count(cpu); i++) {
        cpu->ymm[i].high = (union vector128){.u64 = {0, 0}};
        if (insn->vex_l) {
            cpu->ymm[i].xmm = (union vector128){.u64 = {0, 0}};
        }
    }
}
