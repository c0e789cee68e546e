/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT, XADD, CMPXCHG. */
#include "tcg/execute.h"
#include "tcg/operand.h"

/* In the order of the opcode map's rows and of group 1. */
enum alu_operation { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

ALWAYS_INLINE uint64_t alu_value(enum alu_operation operation, unsigned size, uint64_t destination,
                                 uint64_t source, unsigned carry)
{
    uint64_t value = 0;
    switch (operation) {
    case ALU_ADD:
        value = destination + source;
        break;
    case ALU_OR:
        value = destination | source;
        break;
    case ALU_ADC:
        value = destination + source + carry;
        break;
    case ALU_SBB:
        value = destination - source - carry;
        break;
    case ALU_AND:
        value = destination & source;
        break;
    case ALU_SUB:
    case ALU_CMP:
        value = destination - source;
        break;
    case ALU_XOR:
        value = destination ^ source;
        break;
    }
    return value & size_mask(size);
}

ALWAYS_INLINE void alu_flags(struct cpu *cpu, enum alu_operation operation, unsigned size,
                             uint64_t result, uint64_t destination, uint64_t source)
{
    switch (operation) {
    case ALU_ADD:
    case ALU_ADC:
        flags_set(cpu, FLAGS_ADD, size, result, destination, source);
        break;
    case ALU_SUB:
    case ALU_CMP:
        flags_set(cpu, FLAGS_SUB, size, result, destination, source);
        break;
    case ALU_SBB:
        flags_set(cpu, FLAGS_SBB, size, result, destination, source);
        break;
    case ALU_OR:
    case ALU_AND:
    case ALU_XOR:
        flags_set_result(cpu, size, result, 0);
        break;
    }
}

ALWAYS_INLINE unsigned alu_carry(const struct cpu *cpu, enum alu_operation operation)
{
    return operation == ALU_ADC || operation == ALU_SBB ? flags_get_carry(cpu) : 0;
}

/* The destination is E. */
ALWAYS_INLINE void alu_to_rm(struct cpu *cpu, const struct insn *insn, unsigned size,
                             enum alu_operation operation, uint64_t source)
{
    unsigned carry = alu_carry(cpu, operation);
    if (operation == ALU_CMP) {
        uint64_t destination = rm_read(cpu, insn, size);
        uint64_t result = alu_value(operation, size, destination, source, carry);
        alu_flags(cpu, operation, size, result, destination, source);
        return;
    }
    struct modify m;
    uint64_t result, destination;
    modify_begin(cpu, insn, size, &m);
    do {
        destination = m.old;
        result = alu_value(operation, size, destination, source, carry);
    } while (!modify_commit(cpu, insn, size, &m, result));
    alu_flags(cpu, operation, size, result, destination, source);
}

/* The destination is G. */
ALWAYS_INLINE void alu_to_reg(struct cpu *cpu, const struct insn *insn, unsigned size,
                              enum alu_operation operation)
{
    uint64_t source = rm_read(cpu, insn, size);
    uint64_t destination = reg_read(cpu, insn, size);
    uint64_t result = alu_value(operation, size, destination, source, alu_carry(cpu, operation));
    if (operation != ALU_CMP) {
        reg_write(cpu, insn, size, result);
    }
    alu_flags(cpu, operation, size, result, destination, source);
}

#define ALU_HANDLERS(name, operation)                                                              \
    ALWAYS_INLINE void name##_rm_reg(struct cpu *cpu, const struct insn *insn, unsigned size)      \
    {                                                                                              \
        alu_to_rm(cpu, insn, size, operation, reg_read(cpu, insn, size));                          \
    }                                                                                              \
    ALWAYS_INLINE void name##_rm_imm(struct cpu *cpu, const struct insn *insn, unsigned size)      \
    {                                                                                              \
        alu_to_rm(cpu, insn, size, operation, insn->immediate &size_mask(size));                   \
    }                                                                                              \
    ALWAYS_INLINE void name##_reg_rm(struct cpu *cpu, const struct insn *insn, unsigned size)      \
    {                                                                                              \
        alu_to_reg(cpu, insn, size, operation);                                                    \
    }                                                                                              \
    EXECUTE_BY_SIZE(name##_rm_reg)                                                                 \
    EXECUTE_BY_SIZE(name##_rm_imm)                                                                 \
    EXECUTE_BY_SIZE(name##_reg_rm)

ALU_HANDLERS(add, ALU_ADD)
ALU_HANDLERS(or, ALU_OR)
ALU_HANDLERS(adc, ALU_ADC)
ALU_HANDLERS(sbb, ALU_SBB)
ALU_HANDLERS(and, ALU_AND)
ALU_HANDLERS(sub, ALU_SUB)
ALU_HANDLERS(xor, ALU_XOR)
ALU_HANDLERS(cmp, ALU_CMP)

ALWAYS_INLINE void test_rm_reg(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    flags_set_result(cpu, size, rm_read(cpu, insn, size) & reg_read(cpu, insn, size), 0);
}
EXECUTE_BY_SIZE(test_rm_reg)

ALWAYS_INLINE void test_rm_imm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    flags_set_result(cpu, size, rm_read(cpu, insn, size) & insn->immediate & size_mask(size), 0);
}
EXECUTE_BY_SIZE(test_rm_imm)

ALWAYS_INLINE void inc_dec(struct cpu *cpu, const struct insn *insn, unsigned size,
                           enum flags_operation operation)
{
    struct modify m;
    uint64_t result, destination;
    modify_begin(cpu, insn, size, &m);
    do {
        destination = m.old;
        result = (operation == FLAGS_INC ? destination + 1 : destination - 1) & size_mask(size);
    } while (!modify_commit(cpu, insn, size, &m, result));
    flags_set(cpu, operation, size, result, destination, flags_get_carry(cpu));
}

ALWAYS_INLINE void inc(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    inc_dec(cpu, insn, size, FLAGS_INC);
}
EXECUTE_BY_SIZE(inc)

ALWAYS_INLINE void dec(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    inc_dec(cpu, insn, size, FLAGS_DEC);
}
EXECUTE_BY_SIZE(dec)

/* NEG is 0 - operand, in its flags too. */
ALWAYS_INLINE void neg(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    struct modify m;
    uint64_t result, source;
    modify_begin(cpu, insn, size, &m);
    do {
        source = m.old;
        result = -source & size_mask(size);
    } while (!modify_commit(cpu, insn, size, &m, result));
    flags_set(cpu, FLAGS_SUB, size, result, 0, source);
}
EXECUTE_BY_SIZE(neg)

ALWAYS_INLINE void not(struct cpu * cpu, const struct insn *insn, unsigned size)
{
    struct modify m;
    uint64_t result;
    modify_begin(cpu, insn, size, &m);
    do {
        result = ~m.old & size_mask(size);
    } while (!modify_commit(cpu, insn, size, &m, result));
}
EXECUTE_BY_SIZE(not )

ALWAYS_INLINE void xadd(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    struct modify m;
    uint64_t result, destination, source = reg_read(cpu, insn, size);
    modify_begin(cpu, insn, size, &m);
    do {
        destination = m.old;
        result = (destination + source) & size_mask(size);
    } while (insn->memory && !modify_commit(cpu, insn, size, &m, result));
    /* With the same register twice the sum stays. */
    reg_write(cpu, insn, size, destination);
    if (!insn->memory) {
        register_write(cpu, insn, insn->rm, size, result);
    }
    flags_set(cpu, FLAGS_ADD, size, result, destination, source);
}
EXECUTE_BY_SIZE(xadd)

/* Memory is always written: with its old value if the comparison fails. A register then keeps even
 * its upper half. */
ALWAYS_INLINE void cmpxchg(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t accumulator = gpr_read(cpu, X86_RAX, size), destination;
    struct modify m;
    modify_begin(cpu, insn, size, &m);
    do {
        destination = m.old;
    } while (insn->memory &&
             !modify_commit(cpu, insn, size, &m,
                            destination == accumulator ? reg_read(cpu, insn, size) : destination));
    bool equal = destination == accumulator;
    if (equal && !insn->memory) {
        register_write(cpu, insn, insn->rm, size, reg_read(cpu, insn, size));
    }
    if (!equal) {
        gpr_write(cpu, X86_RAX, size, destination);
    }
    uint64_t result = (accumulator - destination) & size_mask(size);
    flags_set(cpu, FLAGS_SUB, size, result, accumulator, destination);
}
EXECUTE_BY_SIZE(cmpxchg)

static void set_zero_flag(struct cpu *cpu, bool zero)
{
    cpu_set_eflags(cpu, zero ? FLAG_ZF : 0, FLAG_ZF);
}

void execute_cmpxchg8b(struct cpu *cpu, const struct insn *insn)
{
    uint64_t expected = (cpu->gpr[X86_RDX] << 32) | (uint32_t)cpu->gpr[X86_RAX];
    uint64_t replacement = (cpu->gpr[X86_RCX] << 32) | (uint32_t)cpu->gpr[X86_RBX];
    struct modify m;
    uint64_t old;
    modify_begin(cpu, insn, 8, &m);
    do {
        old = m.old;
    } while (!modify_commit(cpu, insn, 8, &m, old == expected ? replacement : old));
    if (old != expected) {
        cpu->gpr[X86_RAX] = (uint32_t)old;
        cpu->gpr[X86_RDX] = old >> 32;
    }
    set_zero_flag(cpu, old == expected);
}

/* Compare and exchange 16 aligned bytes of the host; old gets what was there. */
static bool host_compare_exchange_16(void *host, uint64_t old[2], const uint64_t value[2])
{
#if defined(__x86_64__)
    /* Not the builtin: it wants -mcx16 or a library. */
    bool done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*(struct { uint64_t half[2]; } *)host), "+a"(old[0]),
                       "+d"(old[1])
                     : "b"(value[0]), "c"(value[1])
                     : "memory");
    return done;
#else
    unsigned __int128 expected = (unsigned __int128)old[1] << 64 | old[0];
    bool done = __atomic_compare_exchange_n((unsigned __int128 *)host, &expected,
                                            (unsigned __int128)value[1] << 64 | value[0], false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

    old[0] = (uint64_t)expected;
    old[1] = expected >> 64;
    return done;
#endif
}

void execute_cmpxchg16b(struct cpu *cpu, const struct insn *insn)
{
    uint64_t offset = effective_address(cpu, insn);
    uint64_t linear = cpu->segment[insn->segment].base + offset;
    if (linear & 15) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    const uint64_t expected[2] = {cpu->gpr[X86_RAX], cpu->gpr[X86_RDX]};
    const uint64_t replacement[2] = {cpu->gpr[X86_RBX], cpu->gpr[X86_RCX]};
    uint64_t old[2] = {expected[0], expected[1]};
    bool equal;
    void *host = cpu_modify_begin(cpu, insn->segment, offset, 16);
    if (host) {
        equal = host_compare_exchange_16(host, old, replacement);
        cpu_modify_done(cpu, insn->segment, offset, 16);
    } else {
        cpu_probe_write(cpu, insn->segment, offset, 16);
        cpu_locked_begin(cpu);
        cpu_read_bytes(cpu, insn->segment, offset, old, 16);
        equal = old[0] == expected[0] && old[1] == expected[1];
        cpu_write_bytes(cpu, insn->segment, offset, equal ? replacement : old, 16);
        cpu_locked_end(cpu);
    }
    if (!equal) {
        cpu->gpr[X86_RAX] = old[0];
        cpu->gpr[X86_RDX] = old[1];
    }
    set_zero_flag(cpu, equal);
}
