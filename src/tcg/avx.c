/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handler of nearly all VEX-encoded vector instructions: see avx.h. */
#include "tcg/avx.h"
#include "tcg/avx-stub.h"
#include "tcg/opcode.h"
#include "tcg/simd.h"
#include "tcg/xsave.h"
#include "tcg/host-sse.h"

#define RET_OPCODE 0xc3

void avx_check(struct cpu *cpu)
{
    uint64_t needed = XCR0_SSE | XCR0_AVX;

    if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & needed) != needed || !cpu->stubs) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if (cpu->cr0 & CR0_TS) {
        cpu_raise(cpu, EXCEPTION_NM);
    }
}

static bool is_general(enum operand operand)
{
    return operand_kinds[operand].notation == OPERAND_AS_GENERAL;
}

unsigned avx_memory_bytes(const struct insn *insn, enum operand operand)
{
    unsigned length = avx_length(insn);

    switch (operand) {
    case Wx:
    case Mx:
        return length;
    case Wh:
        return length / 2;
    case Wqr:
        return length / 4;
    case Wer:
        return length / 8;
    case Wdup:
        return insn->vex_l ? 32 : 8;
    case Wdq:
    case Mdq:
        return 16;
    case Wsd:
    case Wq:
    case Mq:
        return 8;
    case Ey:
        return insn->operand_size;
    case Ww:
    case RdMw:
        return 2;
    case Wb:
    case RdMb:
        return 1;
    case Wss:
    case Wd:
    case Md:
    case Ed:
        return 4;
    default:
        return 0;
    }
}

/* VEX.L is ignored by scalar instructions; the stub has it 0. */
static bool is_scalar(const struct opcode *row)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        if (row->operands[i] == Wss || row->operands[i] == Wsd || row->operands[i] == Us ||
            row->operands[i] == Ey) {
            return true;
        }
    }
    return false;
}

static uint64_t stub_code(const struct insn *insn)
{
    const struct opcode *row = insn->opcode;
    unsigned reg = (insn->modrm >> 3) & 7, rm = STUB_RM, vvvv = 0, length = 5;
    uint8_t immediate = insn->immediate & 0xff, bytes[8] = {0};
    bool wide = insn->vex_w;

    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        enum operand operand = row->operands[i];
        enum operand_place place = operand_kinds[operand].place;
        bool general = is_general(operand);
        if (general) {
            wide = insn->operand_size == 8;
        }
        if (place == OPERAND_IN_REG) {
            reg = general ? STUB_GENERAL_OUT : STUB_REG;
        } else if (place == OPERAND_IN_VVVV) {
            vvvv = STUB_VVVV;
        } else if (operand_is_rm(operand)) {
            rm = general && !insn->memory ? STUB_GENERAL_IN : STUB_RM;
        } else if (place == OPERAND_IN_IS4) {
            immediate = STUB_IS4 << 4;
        }
        if (place == OPERAND_IN_IS4 || operand == Ib) {
            length = 6;
        }
    }
    unsigned prefix = insn->prefixes & INSN_REPNE        ? 3
                      : insn->prefixes & INSN_REP        ? 2
                      : insn->prefixes & INSN_OPERAND_16 ? 1
                                                         : 0;
    bool long_vector = insn->vex_l && !is_scalar(row);
    bytes[0] = 0xc4;
    bytes[1] = 0xe0 | insn->map; /* R, X, B: the low registers */
    bytes[2] = wide << 7 | (~vvvv & 15) << 3 | long_vector << 2 | prefix;
    bytes[3] = insn->byte;
    bytes[4] = (insn->memory ? 0 : 0xc0) | reg << 3 | (insn->memory ? STUB_MEMORY : rm);
    bytes[5] = immediate;
    bytes[length] = RET_OPCODE;
    uint64_t code;
    memcpy(&code, bytes, sizeof(code));
    return code;
}

static void load_operands(struct cpu *cpu, const struct insn *insn, struct stub_frame *frame)
{
    const struct opcode *row = insn->opcode;

    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        enum operand operand = row->operands[i];
        enum operand_place place = operand_kinds[operand].place;
        bool general = is_general(operand);
        if (operand_is_rm(operand) && insn->memory) {
            unsigned bytes = avx_memory_bytes(insn, operand);
            uint64_t offset = insn_effective_address(cpu, insn);
            if (i == 0) {
                cpu_probe_write(cpu, insn->segment, offset, bytes);
            } else {
                cpu_read_bytes(cpu, insn->segment, offset, &frame->memory, bytes);
            }
        } else if (operand_is_rm(operand) && general) {
            frame->general_in = cpu->gpr[insn->rm];
        } else if (operand_is_rm(operand)) {
            frame->rm = cpu->ymm[insn->rm];
        } else if (place == OPERAND_IN_REG && !general) {
            frame->reg = cpu->ymm[insn->reg];
        } else if (place == OPERAND_IN_VVVV) {
            frame->vvvv = cpu->ymm[insn->vex_register];
        } else if (place == OPERAND_IN_IS4) {
            unsigned mask = cpu->mode == CPU_MODE_64 ? 15 : 7;
            frame->is4 = cpu->ymm[(insn->immediate >> 4) & mask];
        }
    }
}

/* The first operand. The host has zeroed what VEX zeroes. */
static void store_result(struct cpu *cpu, const struct insn *insn, const struct stub_frame *frame)
{
    enum operand operand = insn->opcode->operands[0];
    enum operand_place place = operand_kinds[operand].place;
    bool general = is_general(operand);

    if (operand_is_rm(operand) && insn->memory) {
        cpu_write_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), &frame->memory,
                        avx_memory_bytes(insn, operand));
    } else if (operand_is_rm(operand) && general) {
        cpu->gpr[insn->rm] = frame->general_in;
    } else if (operand_is_rm(operand)) {
        cpu->ymm[insn->rm] = frame->rm;
    } else if (place == OPERAND_IN_REG && general) {
        cpu->gpr[insn->reg] = frame->general_out;
    } else if (place == OPERAND_IN_REG) {
        cpu->ymm[insn->reg] = frame->reg;
    } else if (place == OPERAND_IN_VVVV) {
        cpu->ymm[insn->vex_register] = frame->vvvv;
    }
}

/* Operands in, the host's turn, exceptions noted: all but the result. */
static void execute(struct cpu *cpu, const struct insn *insn, struct stub_frame *frame)
{
    const void *stub;

    avx_check(cpu);
    load_operands(cpu, insn, frame);
    stub = host_stub_find(cpu->stubs, stub_code(insn));
    if (!stub) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    host_sse_begin(cpu->mxcsr);
    host_stub_run(stub, frame);
    sse_note_exceptions(cpu, host_sse_end(cpu->mxcsr));
}

void avx_execute(struct cpu *cpu, const struct insn *insn)
{
    struct stub_frame frame;

    execute(cpu, insn, &frame);
    store_result(cpu, insn, &frame);
}

/* Comparisons whose result is in the flags: OF, SF and AF are cleared. */
void avx_execute_flags(struct cpu *cpu, const struct insn *insn)
{
    struct stub_frame frame;

    execute(cpu, insn, &frame);
    cpu_set_eflags(cpu, frame.flags & FLAGS_STATUS, FLAGS_STATUS);
}

/* The few whose operand in memory must be aligned: moves of whole vectors. */
void avx_execute_aligned(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    if (insn->memory) {
        simd_check_alignment(cpu, insn->segment, insn_effective_address(cpu, insn),
                             avx_length(insn));
    }
    avx_execute(cpu, insn);
}

/* Unmasked, underflow is signalled for exact results that are tiny too, which FTZ, not obeyed here,
 * does not show (see host_sse_begin). */
static bool is_any_tiny(const struct cpu *cpu, const struct insn *insn,
                        const union vector128 *halves)
{
    for (unsigned i = 0; i < avx_length(insn) / 4; i++) {
        uint32_t source = cpu->ymm[insn->reg].u32[i] & 0x7fffffff;
        if ((cpu->mxcsr & MXCSR_DAZ) && source < 0x00800000) {
            source = 0;
        }
        if (source && !(halves->u16[i] & 0x7c00)) {
            return true;
        }
    }
    return false;
}

void avx_cvtps2ph(struct cpu *cpu, const struct insn *insn)
{
    struct stub_frame frame;

    execute(cpu, insn, &frame);
    if (!(cpu->mxcsr & MXCSR_UM) &&
        is_any_tiny(cpu, insn, insn->memory ? &frame.memory.xmm : &frame.rm.xmm)) {
        sse_note_exceptions(cpu, MXCSR_UE);
    }
    store_result(cpu, insn, &frame);
}
