/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FSTENV, FLDENV, FSAVE, FRSTOR: the environment in its four memory formats (SDM vol. 1, 8.1.10):
 * 16 or 32 bits by operand size; pointers as selector and offset in protected mode, as linear
 * addresses in real and virtual-8086 mode.
 */
#include "tcg/fpu.h"
#include "tcg/simd.h"

#define REGISTER_BYTES 10
#define MAX_BYTES      (28 + 8 * REGISTER_BYTES)

enum environment_field {
    ENV_CONTROL,
    ENV_STATUS,
    ENV_TAGS,
    ENV_IP,
    ENV_CS,
    ENV_DP,
    ENV_DS,
    ENV_COUNT
};

static bool uses_linear_pointers(const struct cpu *cpu)
{
    return !cpu->protected_mode || cpu->v86;
}

static unsigned field_bytes(const struct insn *insn)
{
    return insn->operand_size == 2 ? 2 : 4;
}

static void build_environment(const struct cpu *cpu, unsigned size, uint8_t *image)
{
    const struct cpu_fpu *fpu = &cpu->fpu;
    uint32_t unused = 0xffff0000;
    uint32_t fields[ENV_COUNT] = {
        [ENV_CONTROL] = unused | fpu->control,
        [ENV_STATUS] = unused | fpu->status,
        [ENV_TAGS] = unused | fpu_get_tag_word(cpu),
        [ENV_IP] = fpu->instruction_pointer,
        [ENV_CS] = fpu->instruction_selector | ((uint32_t)(fpu->opcode & 0x7ff) << 16),
        [ENV_DP] = fpu->data_pointer,
        [ENV_DS] = unused | fpu->data_selector,
    };

    if (uses_linear_pointers(cpu)) {
        uint32_t ip = fpu->instruction_selector * 16u + (uint32_t)fpu->instruction_pointer;
        uint32_t dp = fpu->data_selector * 16u + (uint32_t)fpu->data_pointer;
        fields[ENV_IP] = unused | (ip & 0xffff);
        fields[ENV_CS] = ((ip >> 16) << 12) | (fpu->opcode & 0x7ff);
        fields[ENV_DP] = unused | (dp & 0xffff);
        fields[ENV_DS] = (dp >> 16) << 12;
    }
    for (unsigned i = 0; i < ENV_COUNT; i++) {
        memcpy(image + i * size, &fields[i], size);
    }
}

static void load_environment(struct cpu *cpu, unsigned size, const uint8_t *image)
{
    struct cpu_fpu *fpu = &cpu->fpu;
    uint32_t fields[ENV_COUNT] = {0};

    for (unsigned i = 0; i < ENV_COUNT; i++) {
        memcpy(&fields[i], image + i * size, size);
    }
    fpu->control = (fields[ENV_CONTROL] & FPU_CONTROL_WRITE) | FPU_CONTROL_FIXED;
    fpu->status = fields[ENV_STATUS];
    fpu_set_tag_word(cpu, fields[ENV_TAGS]);
    if (uses_linear_pointers(cpu)) {
        uint32_t mask = size == 2 ? 0xf : 0xffff;
        fpu->instruction_pointer =
            (fields[ENV_IP] & 0xffff) | (((fields[ENV_CS] >> 12) & mask) << 16);
        fpu->data_pointer = (fields[ENV_DP] & 0xffff) | (((fields[ENV_DS] >> 12) & mask) << 16);
        fpu->instruction_selector = fpu->data_selector = 0;
        fpu->opcode = fields[ENV_CS] & 0x7ff;
    } else {
        fpu->instruction_pointer = fields[ENV_IP];
        fpu->instruction_selector = fields[ENV_CS];
        fpu->data_pointer = fields[ENV_DP];
        fpu->data_selector = fields[ENV_DS];
        if (size == 4) {
            fpu->opcode = (fields[ENV_CS] >> 16) & 0x7ff;
        }
    }
    fpu_update_summary(cpu);
}

void fpu_fnstenv(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[MAX_BYTES];
    unsigned size = field_bytes(insn);

    fpu_check_available(cpu);
    build_environment(cpu, size, image);
    cpu_write_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), image, ENV_COUNT * size);
    cpu->fpu.control |= FPU_EXCEPTIONS;
    fpu_update_summary(cpu);
}

void fpu_fldenv(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[MAX_BYTES];
    unsigned size = field_bytes(insn);

    fpu_check(cpu);
    cpu_read_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), image, ENV_COUNT * size);
    load_environment(cpu, size, image);
}

void fpu_fnsave(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[MAX_BYTES];
    unsigned size = field_bytes(insn);
    uint8_t *registers = image + ENV_COUNT * size;

    fpu_check_available(cpu);
    build_environment(cpu, size, image);
    for (unsigned i = 0; i < 8; i++) {
        struct x87_value value = fpu_read(cpu, i);
        memcpy(registers + i * REGISTER_BYTES, &value.mantissa, 8);
        memcpy(registers + i * REGISTER_BYTES + 8, &value.exponent, 2);
    }
    cpu_write_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), image,
                    ENV_COUNT * size + 8 * REGISTER_BYTES);
    fpu_initialize(cpu);
}

void fpu_frstor(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[MAX_BYTES];
    unsigned size = field_bytes(insn);
    const uint8_t *registers = image + ENV_COUNT * size;

    uint64_t offset;

    fpu_check(cpu);
    offset = insn_effective_address(cpu, insn);
    /* In two parts, as processors do it: a page fault in the first comes before the segment's end
     * in the second. */
    cpu_read_bytes(cpu, insn->segment, offset, image, ENV_COUNT * size);
    cpu_read_bytes(cpu, insn->segment, offset + ENV_COUNT * size, image + ENV_COUNT * size,
                   8 * REGISTER_BYTES);
    load_environment(cpu, size, image);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = fpu_physical(cpu, i);
        memcpy(&cpu->fpu.registers[r].mantissa, registers + i * REGISTER_BYTES, 8);
        memcpy(&cpu->fpu.registers[r].exponent, registers + i * REGISTER_BYTES + 8, 2);
    }
}
