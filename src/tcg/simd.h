/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What MMX, SSE and x87 handlers share: when they may run, and their operands. */
#ifndef DUODM_TCG_SIMD_H
#define DUODM_TCG_SIMD_H

#include "tcg/access.h"
#include "tcg/fpu.h"
#include "tcg/mxcsr.h"
#include "tcg/simd-handlers.h"

#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* --- When an instruction may run: SDM vol. 3, tables 2-2, 13-1 --- */

/* The fault that keeps SSE from running now: #UD or #NM. */
_Noreturn void sse_raise_unavailable(struct cpu *cpu);
_Noreturn void mmx_raise_unavailable(struct cpu *cpu);

static inline void sse_check(struct cpu *cpu)
{
    if ((cpu->cr0 & (CR0_EM | CR0_TS)) || !(cpu->cr4 & CR4_OSFXSR)) {
        sse_raise_unavailable(cpu);
    }
}

static inline void mmx_check(struct cpu *cpu)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS)) {
        mmx_raise_unavailable(cpu);
    }
    fpu_raise_pending(cpu);
}

/* An instruction with both kinds of register. */
static inline void sse_mmx_check(struct cpu *cpu)
{
    sse_check(cpu);
    fpu_raise_pending(cpu);
}

/* Any MMX instruction but EMMS: TOP = 0, all registers valid. After the last possible fault. */
static inline void mmx_enter(struct cpu *cpu)
{
    cpu->fpu.status &= ~FPU_TOP;
    cpu->fpu.valid = 0xff;
}

/* --- General registers --- */

static inline uint64_t gpr_read(const struct cpu *cpu, unsigned number, unsigned size)
{
    return size == 8   ? cpu->gpr[number]
           : size == 4 ? (uint32_t)cpu->gpr[number]
                       : (uint16_t)cpu->gpr[number];
}

/* 32-bit results clear the upper half, 16-bit results keep the rest. */
static inline void gpr_write(struct cpu *cpu, unsigned number, unsigned size, uint64_t value)
{
    if (size == 2) {
        cpu->gpr[number] = (cpu->gpr[number] & ~UINT64_C(0xffff)) | (uint16_t)value;
    } else {
        cpu->gpr[number] = size == 8 ? value : (uint32_t)value;
    }
}

/* Little-endian value of 1, 2, 4 or 8 bytes from the memory operand. */
static inline uint64_t simd_read_memory(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t offset = insn_effective_address(cpu, insn);

    switch (size) {
    case 1:
        return cpu_read8(cpu, insn->segment, offset);
    case 2:
        return cpu_read16(cpu, insn->segment, offset);
    case 4:
        return cpu_read32(cpu, insn->segment, offset);
    default:
        return cpu_read64(cpu, insn->segment, offset);
    }
}

static inline void simd_write_memory(struct cpu *cpu, const struct insn *insn, unsigned size,
                                     uint64_t value)
{
    uint64_t offset = insn_effective_address(cpu, insn);

    switch (size) {
    case 1:
        cpu_write8(cpu, insn->segment, offset, value);
        break;
    case 2:
        cpu_write16(cpu, insn->segment, offset, value);
        break;
    case 4:
        cpu_write32(cpu, insn->segment, offset, value);
        break;
    default:
        cpu_write64(cpu, insn->segment, offset, value);
        break;
    }
}

/* E operand: general register or memory */
static inline uint64_t simd_read_general(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    return insn->memory ? simd_read_memory(cpu, insn, size) : gpr_read(cpu, insn->rm, size);
}

/* --- Vector operands --- */

/* #GP(0) unless the linear address is a multiple of alignment (a power of two). */
void simd_check_alignment(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned alignment);

/* W operand: 16 bytes, aligned in memory */
static inline union vector128 sse_read(struct cpu *cpu, const struct insn *insn)
{
    union vector128 value;

    if (!insn->memory) {
        return cpu->ymm[insn->rm].xmm;
    }
    uint64_t offset = insn_effective_address(cpu, insn);
    simd_check_alignment(cpu, insn->segment, offset, 16);
    cpu_read_bytes(cpu, insn->segment, offset, &value, 16);
    return value;
}

/* likewise, unaligned */
static inline union vector128 sse_read_unaligned(struct cpu *cpu, const struct insn *insn)
{
    union vector128 value;

    if (!insn->memory) {
        return cpu->ymm[insn->rm].xmm;
    }
    cpu_read_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), &value, 16);
    return value;
}

/* W operand of which an instruction uses the low 2, 4 or 8 bytes */
static inline union vector128 sse_read_low(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    if (!insn->memory) {
        return cpu->ymm[insn->rm].xmm;
    }
    return (union vector128){.u64 = {simd_read_memory(cpu, insn, size)}};
}

/* REX does not reach the eight MMX registers. */
static inline uint64_t *mmx_register(struct cpu *cpu, unsigned number)
{
    return &cpu->fpu.registers[number & 7].mantissa;
}

static inline void mmx_write(struct cpu *cpu, unsigned number, uint64_t value)
{
    cpu->fpu.registers[number & 7].mantissa = value;
    cpu->fpu.registers[number & 7].exponent = 0xffff;
}

/* Q operand: mmx register or 8 (4, for the low unpacks) bytes of memory */
static inline union vector128 mmx_read(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t value =
        insn->memory ? simd_read_memory(cpu, insn, size) : *mmx_register(cpu, insn->rm);

    return (union vector128){.u64 = {value}};
}

/* --- Shapes of instruction --- */

/* destination = destination OPERATION source, over 8 (MMX) or 16 bytes */
typedef void (*vector_operation)(union vector128 *destination, const union vector128 *source,
                                 unsigned bytes, unsigned immediate);

static ALWAYS_INLINE void sse_execute(struct cpu *cpu, const struct insn *insn,
                                      vector_operation operation)
{
    sse_check(cpu);
    union vector128 source = sse_read(cpu, insn);
    operation(&cpu->ymm[insn->reg].xmm, &source, 16, insn->immediate & 0xff);
}

static ALWAYS_INLINE void mmx_execute_size(struct cpu *cpu, const struct insn *insn,
                                           vector_operation operation, unsigned memory_size)
{
    mmx_check(cpu);
    union vector128 source = mmx_read(cpu, insn, memory_size);
    union vector128 destination = {.u64 = {*mmx_register(cpu, insn->reg)}};
    mmx_enter(cpu);
    operation(&destination, &source, 8, insn->immediate & 0xff);
    mmx_write(cpu, insn->reg, destination.u64[0]);
}

static ALWAYS_INLINE void mmx_execute(struct cpu *cpu, const struct insn *insn,
                                      vector_operation operation)
{
    mmx_execute_size(cpu, insn, operation, 8);
}

/* Handlers of an operation NAME_lanes */
#define MMX_HANDLER(name)                                                                          \
    void mmx_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        mmx_execute(cpu, insn, name##_lanes);                                                      \
    }
#define SSE_HANDLER(name)                                                                          \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_execute(cpu, insn, name##_lanes);                                                      \
    }
#define MMX_SSE_HANDLERS(name)                                                                     \
    MMX_HANDLER(name)                                                                              \
    SSE_HANDLER(name)
#define LANES(name)                                                                                \
    static ALWAYS_INLINE void name##_lanes(union vector128 *d, const union vector128 *s,           \
                                           unsigned bytes, unsigned immediate)

/* --- Saturation --- */

static inline int saturate_s8(int value)
{
    return value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value;
}

static inline int saturate_s16(int value)
{
    return value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value;
}

static inline int saturate_u8(int value)
{
    return value < 0 ? 0 : value > UINT8_MAX ? UINT8_MAX : value;
}

static inline int saturate_u16(int value)
{
    return value < 0 ? 0 : value > UINT16_MAX ? UINT16_MAX : value;
}

/* --- Floating-point exceptions --- */

/* Note the exception flags of an operation in MXCSR; #XM if one is unmasked. Call before the
 * result is written. */
void sse_raise_unmasked(struct cpu *cpu, unsigned flags);

static inline void sse_note_exceptions(struct cpu *cpu, unsigned flags)
{
    if (flags & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT)) {
        sse_raise_unmasked(cpu, flags);
    }
    cpu->mxcsr |= flags;
}

#endif
