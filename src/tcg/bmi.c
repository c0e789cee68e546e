/* SPDX-License-Identifier: GPL-2.0-or-later */
/* General-register instructions of the SIMD opcode maps: BMI1, BMI2, ADX, MOVBE, CRC32. */
#include "tcg/simd.h"

static unsigned bits_of(const struct insn *insn)
{
    return insn->operand_size * 8;
}

/* ZF and SF of the result; CF and OF as given; PF and AF, undefined, are cleared. */
static void set_flags(struct cpu *cpu, const struct insn *insn, uint64_t result, bool carry)
{
    bool sign = (result >> (bits_of(insn) - 1)) & 1;

    cpu_set_eflags(cpu, (result ? 0 : FLAG_ZF) | (sign ? FLAG_SF : 0) | (carry ? FLAG_CF : 0),
                   FLAGS_STATUS);
}

static void write_result(struct cpu *cpu, const struct insn *insn, unsigned number, uint64_t result)
{
    gpr_write(cpu, number, insn->operand_size, result);
}

static uint64_t source(struct cpu *cpu, const struct insn *insn)
{
    return simd_read_general(cpu, insn, insn->operand_size);
}

static uint64_t vvvv(const struct cpu *cpu, const struct insn *insn)
{
    return gpr_read(cpu, insn->vex_register, insn->operand_size);
}

void bmi_andn(struct cpu *cpu, const struct insn *insn)
{
    uint64_t result = ~vvvv(cpu, insn) & source(cpu, insn);

    write_result(cpu, insn, insn->reg, result);
    set_flags(cpu, insn, result, false);
}

/* BLSR, BLSMSK, BLSI: destination in VEX.vvvv */
#define BMI_LOWEST(name, value, carry)                                                             \
    void bmi_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint64_t s = source(cpu, insn);                                                            \
        uint64_t mask = insn->operand_size == 8 ? UINT64_MAX : UINT32_MAX;                         \
        uint64_t result = (value)&mask;                                                            \
        write_result(cpu, insn, insn->vex_register, result);                                       \
        set_flags(cpu, insn, result, carry);                                                       \
    }
BMI_LOWEST(blsr, s &(s - 1), s == 0)
BMI_LOWEST(blsmsk, s ^ (s - 1), s == 0)
BMI_LOWEST(blsi, s & -s, s != 0)

/* Bits start .. start + length - 1 */
void bmi_bextr(struct cpu *cpu, const struct insn *insn)
{
    uint64_t s = source(cpu, insn), control = vvvv(cpu, insn);
    unsigned start = control & 0xff, length = (control >> 8) & 0xff;
    uint64_t result = start < bits_of(insn) ? s >> start : 0;

    if (length < bits_of(insn)) {
        result &= (UINT64_C(1) << length) - 1;
    }
    write_result(cpu, insn, insn->reg, result);
    set_flags(cpu, insn, result, false);
}

void bmi_bzhi(struct cpu *cpu, const struct insn *insn)
{
    uint64_t result = source(cpu, insn);
    unsigned index = vvvv(cpu, insn) & 0xff;

    if (index < bits_of(insn)) {
        result &= (UINT64_C(1) << index) - 1;
    }
    write_result(cpu, insn, insn->reg, result);
    set_flags(cpu, insn, result, index >= bits_of(insn));
}

/* High half to ModRM.reg, low half to VEX.vvvv; the same register gets the high half. */
void bmi_mulx(struct cpu *cpu, const struct insn *insn)
{
    uint64_t a = gpr_read(cpu, X86_RDX, insn->operand_size), b = source(cpu, insn);
    unsigned __int128 product = (unsigned __int128)a * b;

    write_result(cpu, insn, insn->vex_register, (uint64_t)product);
    write_result(cpu, insn, insn->reg, (uint64_t)(product >> bits_of(insn)));
}

void bmi_rorx(struct cpu *cpu, const struct insn *insn)
{
    uint64_t s = source(cpu, insn);
    unsigned bits = bits_of(insn), count = insn->immediate & (bits - 1);

    write_result(cpu, insn, insn->reg, count ? s >> count | s << (bits - count) : s);
}

#define BMI_SHIFT(name, value)                                                                     \
    void bmi_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint64_t s = source(cpu, insn);                                                            \
        unsigned count = vvvv(cpu, insn) & (bits_of(insn) - 1);                                    \
        write_result(cpu, insn, insn->reg, value);                                                 \
    }
BMI_SHIFT(shlx, s << count)
BMI_SHIFT(shrx, s >> count)
BMI_SHIFT(sarx, insn->operand_size == 8 ? (uint64_t)((int64_t)s >> count)
                                        : (uint64_t)((int32_t)s >> count))

/* Low bits of VEX.vvvv to the places that the mask has set. */
void bmi_pdep(struct cpu *cpu, const struct insn *insn)
{
    uint64_t mask = source(cpu, insn), value = vvvv(cpu, insn), result = 0;

    for (; mask; mask &= mask - 1, value >>= 1) {
        if (value & 1) {
            result |= mask & -mask;
        }
    }
    write_result(cpu, insn, insn->reg, result);
}

/* The bits of VEX.vvvv that the mask has set, side by side. */
void bmi_pext(struct cpu *cpu, const struct insn *insn)
{
    uint64_t mask = source(cpu, insn), value = vvvv(cpu, insn), result = 0;

    for (unsigned place = 0; mask; mask &= mask - 1, place++) {
        if (value & mask & -mask) {
            result |= UINT64_C(1) << place;
        }
    }
    write_result(cpu, insn, insn->reg, result);
}

/* ADCX through CF, ADOX through OF; no other flag changes. */
static void add_with_flag(struct cpu *cpu, const struct insn *insn, uint32_t flag)
{
    uint64_t a = gpr_read(cpu, insn->reg, insn->operand_size), b = source(cpu, insn);
    unsigned __int128 sum = (unsigned __int128)a + b + !!(cpu_get_eflags(cpu) & flag);

    write_result(cpu, insn, insn->reg, (uint64_t)sum);
    cpu_set_eflags(cpu, (sum >> bits_of(insn)) & 1 ? flag : 0, flag);
}

void adx_adcx(struct cpu *cpu, const struct insn *insn)
{
    add_with_flag(cpu, insn, FLAG_CF);
}

void adx_adox(struct cpu *cpu, const struct insn *insn)
{
    add_with_flag(cpu, insn, FLAG_OF);
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

void execute_movbe_load(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = simd_read_memory(cpu, insn, insn->operand_size);

    gpr_write(cpu, insn->reg, insn->operand_size, swap_bytes(value, insn->operand_size));
}

void execute_movbe_store(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = gpr_read(cpu, insn->reg, insn->operand_size);

    simd_write_memory(cpu, insn, insn->operand_size, swap_bytes(value, insn->operand_size));
}

/* CRC-32C, bit-reflected polynomial 11EDC6F41H. */
static uint32_t crc32c(uint32_t crc, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8) {
        crc ^= value & 0xff;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    return crc;
}

void execute_crc32_byte(struct cpu *cpu, const struct insn *insn)
{
    uint8_t value;

    if (insn->memory) {
        value = simd_read_memory(cpu, insn, 1);
    } else if (insn->rm >= 4 && insn->rm < 8 && !(insn->prefixes & INSN_REX)) {
        value = cpu->gpr[insn->rm - 4] >> 8; /* AH, CH, DH, BH */
    } else {
        value = cpu->gpr[insn->rm];
    }
    cpu->gpr[insn->reg] = crc32c(cpu->gpr[insn->reg], value, 1);
}

void execute_crc32(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = source(cpu, insn);

    cpu->gpr[insn->reg] = crc32c(cpu->gpr[insn->reg], value, insn->operand_size);
}
