/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flags: from lazy form to EFLAGS and back. */
#include "tcg/flags.h"
#include "tcg/access.h"

uint32_t flags_parity(uint64_t value)
{
    return __builtin_parity(value & 0xff) ? 0 : FLAG_PF;
}

void flags_complete(const struct cpu *cpu)
{
    /* The same flags in another form: not a change of state. */
    struct cpu_flags *lazy = (struct cpu_flags *)&cpu->lazy;
    unsigned size_log2 = lazy->operation & 3;
    uint64_t mask = size_mask(1u << size_log2);

    lazy->result &= mask;
    switch (lazy->operation & ~3u) {
    case FLAGS_COMPARE:
        lazy->destination &= mask;
        lazy->source &= mask;
        lazy->result = (lazy->destination - lazy->source) & mask;
        lazy->operation = FLAGS_SUB | size_log2;
        break;
    case FLAGS_SUM:
        lazy->source &= mask;
        lazy->destination = (lazy->result - lazy->source) & mask;
        lazy->operation = FLAGS_ADD | size_log2;
        break;
    case FLAGS_LOGIC:
        lazy->source = 0;
        lazy->operation = FLAGS_RESULT | size_log2;
        break;
    case FLAGS_INC_RAW:
        lazy->source &= FLAG_CF;
        lazy->destination = (lazy->result - 1) & mask;
        lazy->operation = FLAGS_INC | size_log2;
        break;
    default:
        lazy->source &= FLAG_CF;
        lazy->destination = (lazy->result + 1) & mask;
        lazy->operation = FLAGS_DEC | size_log2;
        break;
    }
}

/* The carry out of each bit of destination + source, from the result. */
static uint64_t carries_of_add(const struct cpu_flags *lazy)
{
    return (lazy->destination & lazy->source) |
           ((lazy->destination | lazy->source) & ~lazy->result);
}

static uint64_t borrows_of_subtract(const struct cpu_flags *lazy)
{
    return (~lazy->destination & lazy->source) |
           ((~lazy->destination | lazy->source) & lazy->result);
}

bool flags_compute_carry(const struct cpu *cpu)
{
    flags_look(cpu);
    const struct cpu_flags *lazy = &cpu->lazy;
    switch (lazy->operation & ~3u) {
    case FLAGS_ADD:
        return carries_of_add(lazy) & flags_sign_bit(cpu);
    case FLAGS_SUB:
    case FLAGS_SBB:
        return borrows_of_subtract(lazy) & flags_sign_bit(cpu);
    case FLAGS_EXPLICIT:
        return lazy->result & FLAG_CF;
    default:
        return lazy->source & FLAG_CF;
    }
}

bool flags_get_overflow(const struct cpu *cpu)
{
    flags_look(cpu);
    const struct cpu_flags *lazy = &cpu->lazy;
    uint64_t sign = flags_sign_bit(cpu);
    switch (lazy->operation & ~3u) {
    case FLAGS_RESULT:
        return lazy->source & FLAG_OF;
    case FLAGS_ADD:
        return (lazy->destination ^ lazy->result) & (lazy->source ^ lazy->result) & sign;
    case FLAGS_SUB:
    case FLAGS_SBB:
        return (lazy->destination ^ lazy->source) & (lazy->destination ^ lazy->result) & sign;
    case FLAGS_INC:
        return lazy->result == sign;
    case FLAGS_DEC:
        return lazy->destination == sign;
    default:
        return lazy->result & FLAG_OF;
    }
}

static bool get_auxiliary(const struct cpu *cpu)
{
    const struct cpu_flags *lazy = &cpu->lazy;
    switch (lazy->operation & ~3u) {
    case FLAGS_RESULT:
        return lazy->source & FLAG_AF;
    case FLAGS_INC:
    case FLAGS_DEC:
        return (lazy->destination ^ lazy->result) & 0x10;
    default:
        return (lazy->destination ^ lazy->source ^ lazy->result) & 0x10;
    }
}

uint32_t flags_get_status(const struct cpu *cpu)
{
    flags_look(cpu);
    if (cpu->lazy.operation == FLAGS_EXPLICIT) {
        return cpu->lazy.result & FLAGS_STATUS;
    }
    return (flags_get_carry(cpu) ? FLAG_CF : 0) | flags_parity(cpu->lazy.result) |
           (get_auxiliary(cpu) ? FLAG_AF : 0) | (flags_get_zero(cpu) ? FLAG_ZF : 0) |
           (flags_get_sign(cpu) ? FLAG_SF : 0) | (flags_get_overflow(cpu) ? FLAG_OF : 0);
}

uint32_t cpu_get_eflags(const struct cpu *cpu)
{
    return (cpu->eflags & ~FLAGS_STATUS) | FLAG_FIXED | flags_get_status(cpu);
}

void cpu_set_eflags(struct cpu *cpu, uint32_t value, uint32_t mask)
{
    if (mask & FLAGS_STATUS) {
        uint32_t kept = (mask & FLAGS_STATUS) == FLAGS_STATUS ? 0 : flags_get_status(cpu);
        flags_set_explicit(cpu, ((value & mask) | (kept & ~mask)) & FLAGS_STATUS);
    }
    mask &= ~FLAGS_STATUS;
    uint32_t flags = (cpu->eflags & ~mask) | (value & mask) | FLAG_FIXED;
    bool alignment = (cpu->eflags ^ flags) & FLAG_AC;
    cpu->eflags = flags;
    if (alignment) {
        cpu_update_data_tables(cpu);
    }
}
