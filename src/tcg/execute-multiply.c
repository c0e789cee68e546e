/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiplication, division and decimal adjustment. */
#include "tcg/execute.h"
#include "tcg/operand.h"

/* CF and OF say that the upper half is significant; AMD's processors leave the other flags. */
static void multiply_flags(struct cpu *cpu, bool overflow)
{
    cpu_set_eflags(cpu, overflow ? FLAG_CF | FLAG_OF : 0, FLAG_CF | FLAG_OF);
}

/* The double-width accumulator: AX, DX:AX, EDX:EAX, RDX:RAX. */
ALWAYS_INLINE unsigned __int128 wide_read(const struct cpu *cpu, unsigned size)
{
    if (size == 1) {
        return (uint16_t)cpu->gpr[X86_RAX];
    }
    return ((unsigned __int128)gpr_read(cpu, X86_RDX, size) << (size * 8)) |
           gpr_read(cpu, X86_RAX, size);
}

ALWAYS_INLINE void wide_write(struct cpu *cpu, unsigned size, uint64_t high, uint64_t low)
{
    if (size == 1) {
        gpr_write(cpu, X86_RAX, 2, (high << 8) | (uint8_t)low);
    } else {
        gpr_write(cpu, X86_RAX, size, low);
        gpr_write(cpu, X86_RDX, size, high);
    }
}

ALWAYS_INLINE void mul(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    unsigned __int128 product =
        (unsigned __int128)gpr_read(cpu, X86_RAX, size) * rm_read(cpu, insn, size);
    uint64_t high = (uint64_t)(product >> (size * 8)) & size_mask(size);
    wide_write(cpu, size, high, (uint64_t)product);
    multiply_flags(cpu, high != 0);
}
EXECUTE_BY_SIZE(mul)

ALWAYS_INLINE __int128 signed_product(uint64_t a, uint64_t b, unsigned size)
{
    return (__int128)sign_extend(a, size) * sign_extend(b, size);
}

ALWAYS_INLINE void imul(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    __int128 product = signed_product(gpr_read(cpu, X86_RAX, size), rm_read(cpu, insn, size), size);
    wide_write(cpu, size, (uint64_t)(product >> (size * 8)), (uint64_t)product);
    multiply_flags(cpu, product != sign_extend((uint64_t)product, size));
}
EXECUTE_BY_SIZE(imul)

ALWAYS_INLINE void imul_truncated(struct cpu *cpu, const struct insn *insn, unsigned size,
                                  uint64_t source)
{
    __int128 product = signed_product(rm_read(cpu, insn, size), source, size);
    reg_write(cpu, insn, size, (uint64_t)product);
    multiply_flags(cpu, product != sign_extend((uint64_t)product, size));
}

ALWAYS_INLINE void imul_reg(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    imul_truncated(cpu, insn, size, reg_read(cpu, insn, size));
}
EXECUTE_BY_SIZE(imul_reg)

ALWAYS_INLINE void imul_imm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    imul_truncated(cpu, insn, size, insn->immediate);
}
EXECUTE_BY_SIZE(imul_imm)

ALWAYS_INLINE void divide(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t divisor = rm_read(cpu, insn, size);
    unsigned __int128 dividend = wide_read(cpu, size);
    if (divisor == 0 || (uint64_t)(dividend >> (size * 8)) >= divisor) {
        cpu_raise(cpu, EXCEPTION_DE);
    }
    wide_write(cpu, size, (uint64_t)(dividend % divisor), (uint64_t)(dividend / divisor));
}
EXECUTE_BY_SIZE(divide)

ALWAYS_INLINE void divide_signed(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    int64_t divisor = sign_extend(rm_read(cpu, insn, size), size);
    unsigned shift = 128 - size * 16;
    __int128 dividend = (__int128)(wide_read(cpu, size) << shift) >> shift;
    __int128 minimum = (__int128)((unsigned __int128)1 << 127);
    if (divisor == 0 || (divisor == -1 && dividend == minimum)) {
        cpu_raise(cpu, EXCEPTION_DE);
    }
    __int128 quotient = dividend / divisor;
    if (quotient != sign_extend((uint64_t)quotient, size)) {
        cpu_raise(cpu, EXCEPTION_DE);
    }
    wide_write(cpu, size, (uint64_t)(dividend % divisor), (uint64_t)quotient);
}
EXECUTE_BY_SIZE(divide_signed)

/* Decimal adjustment: SDM vol. 2, DAA and its neighbours, whose pseudo-code this follows. */

static uint8_t get_al(const struct cpu *cpu)
{
    return cpu->gpr[X86_RAX];
}

static void set_ax(struct cpu *cpu, uint16_t value)
{
    gpr_write(cpu, X86_RAX, 2, value);
}

static uint16_t get_ax(const struct cpu *cpu)
{
    return cpu->gpr[X86_RAX];
}

static void decimal_adjust(struct cpu *cpu, bool subtract)
{
    uint32_t status = flags_get_status(cpu);
    uint8_t old = get_al(cpu), value = old;
    uint32_t flags = 0;
    if ((old & 15) > 9 || (status & FLAG_AF)) {
        value = subtract ? value - 6 : value + 6;
        flags |= FLAG_AF;
        bool wrapped = subtract ? old < 6 : old > 0xff - 6;
        if (wrapped || (status & FLAG_CF)) {
            flags |= FLAG_CF;
        }
    }
    if (old > 0x99 || (status & FLAG_CF)) {
        value = subtract ? value - 0x60 : value + 0x60;
        flags |= FLAG_CF;
    } else if (!subtract) {
        flags &= ~FLAG_CF;
    }
    gpr_write(cpu, X86_RAX, 1, value);
    flags_set_result(cpu, 1, value, flags);
}

void execute_daa(struct cpu *cpu, const struct insn *insn)
{
    decimal_adjust(cpu, false);
}

void execute_das(struct cpu *cpu, const struct insn *insn)
{
    decimal_adjust(cpu, true);
}

static void ascii_adjust(struct cpu *cpu, bool subtract)
{
    bool adjust = (get_al(cpu) & 15) > 9 || (flags_get_status(cpu) & FLAG_AF);
    uint16_t value = get_ax(cpu);
    if (adjust) {
        value = subtract ? value - 0x106 : value + 0x106;
    }
    value &= 0xff0f;
    set_ax(cpu, value);
    flags_set_result(cpu, 1, value & 0xff, adjust ? FLAG_AF | FLAG_CF : 0);
}

void execute_aaa(struct cpu *cpu, const struct insn *insn)
{
    ascii_adjust(cpu, false);
}

void execute_aas(struct cpu *cpu, const struct insn *insn)
{
    ascii_adjust(cpu, true);
}

void execute_aam(struct cpu *cpu, const struct insn *insn)
{
    uint8_t base = insn->immediate, al = get_al(cpu);
    if (base == 0) {
        cpu_raise(cpu, EXCEPTION_DE);
    }
    set_ax(cpu, (al / base) << 8 | al % base);
    flags_set_result(cpu, 1, al % base, 0);
}

void execute_aad(struct cpu *cpu, const struct insn *insn)
{
    uint16_t ax = get_ax(cpu);
    uint8_t value = (ax & 0xff) + (ax >> 8) * (uint8_t)insn->immediate;
    set_ax(cpu, value);
    flags_set_result(cpu, 1, value, 0);
}
