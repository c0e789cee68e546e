/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operands of integer instructions. `size` (bytes) is a constant where these are called, so that
 * each handler is compiled for its size. Values are zero-extended.
 */
#ifndef DUODM_TCG_OPERAND_H
#define DUODM_TCG_OPERAND_H

#include "tcg/access.h"
#include "tcg/flags.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Make the handlers execute_NAME_1 .. _8 from `static void NAME(cpu, insn, size)`. */
#define EXECUTE_BY_SIZE(name)                                                                      \
    void execute_##name##_1(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        name(cpu, insn, 1);                                                                        \
    }                                                                                              \
    void execute_##name##_2(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        name(cpu, insn, 2);                                                                        \
    }                                                                                              \
    void execute_##name##_4(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        name(cpu, insn, 4);                                                                        \
    }                                                                                              \
    void execute_##name##_8(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        name(cpu, insn, 8);                                                                        \
    }

/* Without REX, byte registers 4..7 are AH, CH, DH, BH. */
ALWAYS_INLINE uint8_t *byte_register(struct cpu *cpu, const struct insn *insn, unsigned number)
{
    if (number >= 4 && !(insn->prefixes & INSN_REX)) {
        return (uint8_t *)&cpu->gpr[number - 4] + 1;
    }
    return (uint8_t *)&cpu->gpr[number];
}

ALWAYS_INLINE uint64_t register_read(struct cpu *cpu, const struct insn *insn, unsigned number,
                                     unsigned size)
{
    switch (size) {
    case 1:
        return *byte_register(cpu, insn, number);
    case 2:
        return (uint16_t)cpu->gpr[number];
    case 4:
        return (uint32_t)cpu->gpr[number];
    default:
        return cpu->gpr[number];
    }
}

/* Write a general register that is not a byte register: 4 bytes clear the upper half. */
ALWAYS_INLINE void gpr_write(struct cpu *cpu, unsigned number, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        cpu->gpr[number] = (cpu->gpr[number] & ~0xffull) | (uint8_t)value;
        break;
    case 2:
        cpu->gpr[number] = (cpu->gpr[number] & ~0xffffull) | (uint16_t)value;
        break;
    case 4:
        cpu->gpr[number] = (uint32_t)value;
        break;
    default:
        cpu->gpr[number] = value;
        break;
    }
}

ALWAYS_INLINE uint64_t gpr_read(const struct cpu *cpu, unsigned number, unsigned size)
{
    return cpu->gpr[number] & size_mask(size);
}

ALWAYS_INLINE void register_write(struct cpu *cpu, const struct insn *insn, unsigned number,
                                  unsigned size, uint64_t value)
{
    if (size == 1) {
        *byte_register(cpu, insn, number) = value;
    } else {
        gpr_write(cpu, number, size, value);
    }
}

ALWAYS_INLINE uint64_t memory_read(struct cpu *cpu, unsigned segment, uint64_t offset,
                                   unsigned size)
{
    switch (size) {
    case 1:
        return cpu_read8(cpu, segment, offset);
    case 2:
        return cpu_read16(cpu, segment, offset);
    case 4:
        return cpu_read32(cpu, segment, offset);
    default:
        return cpu_read64(cpu, segment, offset);
    }
}

ALWAYS_INLINE void memory_write(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
                                uint64_t value)
{
    switch (size) {
    case 1:
        cpu_write8(cpu, segment, offset, value);
        break;
    case 2:
        cpu_write16(cpu, segment, offset, value);
        break;
    case 4:
        cpu_write32(cpu, segment, offset, value);
        break;
    default:
        cpu_write64(cpu, segment, offset, value);
        break;
    }
}

/* As insn_effective_address. rip is the next instruction's address already. */
ALWAYS_INLINE uint64_t effective_address(const struct cpu *cpu, const struct insn *insn)
{
    uint64_t address = (uint64_t)(int64_t)insn->displacement;
    if (insn->base != INSN_NO_REGISTER) {
        address += cpu->gpr[insn->base];
    } else if (insn->rip_relative) {
        address += cpu->rip;
    }
    if (insn->index != INSN_NO_REGISTER) {
        address += cpu->gpr[insn->index] << insn->scale;
    }
    if (__builtin_expect(insn->address_size == 8, 1)) {
        return address;
    }
    return insn->address_size == 4 ? (uint32_t)address : (uint16_t)address;
}

/* The E operand. */
ALWAYS_INLINE uint64_t rm_read(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    if (insn->memory) {
        return memory_read(cpu, insn->segment, effective_address(cpu, insn), size);
    }
    return register_read(cpu, insn, insn->rm, size);
}

ALWAYS_INLINE void rm_write(struct cpu *cpu, const struct insn *insn, unsigned size, uint64_t value)
{
    if (insn->memory) {
        memory_write(cpu, insn->segment, effective_address(cpu, insn), size, value);
    } else {
        register_write(cpu, insn, insn->rm, size, value);
    }
}

/* The G operand. */
ALWAYS_INLINE uint64_t reg_read(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    return register_read(cpu, insn, insn->reg, size);
}

ALWAYS_INLINE void reg_write(struct cpu *cpu, const struct insn *insn, unsigned size,
                             uint64_t value)
{
    register_write(cpu, insn, insn->reg, size, value);
}

ALWAYS_INLINE int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned shift = 64 - 8 * size;
    return (int64_t)(value << shift) >> shift;
}

/*
 * Read-modify-write of the E operand:
 *
 *     struct modify m;
 *     modify_begin(cpu, insn, size, &m);
 *     do {
 *         new = f(m.old);
 *     } while (!modify_commit(cpu, insn, size, &m, new));
 *
 * Write permission is checked before the read, as the architecture has it. With LOCK the loop runs
 * until the host's compare-and-exchange succeeds.
 */
struct modify {
    uint64_t old;
    uint64_t offset; /* memory: effective address */
    void *host;      /* memory: NULL if not plain RAM */
    bool locked;
};

/* The parts for operands in memory that have no host address. */
uint64_t modify_begin_slow(struct cpu *cpu, const struct insn *insn, unsigned size,
                           struct modify *m);
void modify_commit_slow(struct cpu *cpu, const struct insn *insn, unsigned size, struct modify *m,
                        uint64_t value);

ALWAYS_INLINE uint64_t host_read(const void *host, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, host, size);
    return value;
}

ALWAYS_INLINE bool host_compare_exchange(void *host, unsigned size, uint64_t *old, uint64_t value)
{
#define EXCHANGE(type)                                                                             \
    {                                                                                              \
        type expected = *old;                                                                      \
        bool done = __atomic_compare_exchange_n((type *)host, &expected, (type)value, false,       \
                                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);               \
        *old = expected;                                                                           \
        return done;                                                                               \
    }
    switch (size) {
    case 1:
        EXCHANGE(uint8_t)
    case 2:
        EXCHANGE(uint16_t)
    case 4:
        EXCHANGE(uint32_t)
    default:
        EXCHANGE(uint64_t)
    }
#undef EXCHANGE
}

ALWAYS_INLINE void modify_begin_at(struct cpu *cpu, const struct insn *insn, unsigned size,
                                   uint64_t offset, bool locked, struct modify *m)
{
    m->locked = locked;
    m->offset = offset;
    m->host = cpu_modify_begin(cpu, insn->segment, offset, size);
    if (__builtin_expect(m->host != NULL, 1)) {
        m->old = host_read(m->host, size);
    } else {
        m->old = modify_begin_slow(cpu, insn, size, m);
    }
}

ALWAYS_INLINE void modify_begin(struct cpu *cpu, const struct insn *insn, unsigned size,
                                struct modify *m)
{
    if (insn->memory) {
        modify_begin_at(cpu, insn, size, effective_address(cpu, insn), insn->prefixes & INSN_LOCK,
                        m);
    } else {
        m->old = register_read(cpu, insn, insn->rm, size);
    }
}

ALWAYS_INLINE bool modify_commit_memory(struct cpu *cpu, const struct insn *insn, unsigned size,
                                        struct modify *m, uint64_t value)
{
    if (__builtin_expect(m->host == NULL, 0)) {
        modify_commit_slow(cpu, insn, size, m, value);
        return true;
    }
    if (!m->locked) {
        memcpy(m->host, &value, size);
    } else if (!host_compare_exchange(m->host, size, &m->old, value)) {
        return false;
    }
    cpu_modify_done(cpu, insn->segment, m->offset, size);
    return true;
}

ALWAYS_INLINE bool modify_commit(struct cpu *cpu, const struct insn *insn, unsigned size,
                                 struct modify *m, uint64_t value)
{
    if (insn->memory) {
        return modify_commit_memory(cpu, insn, size, m, value);
    }
    register_write(cpu, insn, insn->rm, size, value);
    return true;
}

/*
 * Stack. The size of the stack pointer is 64 bits in 64-bit mode, else SS.B chooses.
 */
static inline unsigned stack_address_size(const struct cpu *cpu)
{
    return cpu->mode == CPU_MODE_64 ? 8 : cpu->stack_32 ? 4 : 2;
}

static inline uint64_t stack_mask(const struct cpu *cpu)
{
    return size_mask(stack_address_size(cpu));
}

/* Change the bits of RSP that are the stack pointer; a 32-bit one clears the upper half. */
static inline void stack_pointer_write(struct cpu *cpu, uint64_t value)
{
    gpr_write(cpu, X86_RSP, stack_address_size(cpu), value);
}

ALWAYS_INLINE void stack_push(struct cpu *cpu, unsigned size, uint64_t value)
{
    uint64_t pointer = (cpu->gpr[X86_RSP] - size) & stack_mask(cpu);
    memory_write(cpu, X86_SS, pointer, size, value);
    stack_pointer_write(cpu, pointer);
}

/* The value `skip` bytes above the stack pointer, which stays. */
ALWAYS_INLINE uint64_t stack_peek(struct cpu *cpu, unsigned size, unsigned skip)
{
    return memory_read(cpu, X86_SS, (cpu->gpr[X86_RSP] + skip) & stack_mask(cpu), size);
}

ALWAYS_INLINE void stack_drop(struct cpu *cpu, uint64_t count)
{
    stack_pointer_write(cpu, cpu->gpr[X86_RSP] + count);
}

/*
 * Near transfer to target, truncated to the operand size; #GP(0) if it is outside CS or not
 * canonical. The instruction has had no other effect yet, or is undone by the caller.
 */
ALWAYS_INLINE uint64_t near_target(struct cpu *cpu, const struct insn *insn, uint64_t target)
{
    if (cpu->mode == CPU_MODE_64) {
        if (__builtin_expect((uint64_t)((int64_t)(target << 16) >> 16) != target, 0)) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        return target;
    }
    target &= insn->operand_size == 2 ? 0xffff : 0xffffffff;
    if (__builtin_expect(target > cpu->segment[X86_CS].limit, 0)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    return target;
}

#endif
