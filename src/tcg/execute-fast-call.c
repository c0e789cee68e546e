/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL, SYSENTER and their returns, and the bases of FS and GS. AMD's processors have SYSCALL
 * in all modes and SYSENTER outside long mode; Intel's the other way round.
 */
#include "tcg/debug.h"
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/segment.h"

#define FLAT_DATA                                                                                  \
    (SEGMENT_PRESENT | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED | SEGMENT_D | SEGMENT_G)
#define FLAT_CODE                                                                                  \
    (SEGMENT_PRESENT | SEGMENT_S | SEGMENT_CODE | SEGMENT_READABLE | SEGMENT_ACCESSED | SEGMENT_G)

/* The flags that SYSRET takes from R11: not RF, VM, nor reserved ones. */
#define SYSRET_FLAGS 0x3c7fd7u

/* Flat CS and SS of a level, without a look at the descriptor tables. */
static void load_flat(struct cpu *cpu, uint16_t code, uint16_t stack, unsigned level, bool is_64)
{
    unsigned privilege = level << 5, size = is_64 ? SEGMENT_L : SEGMENT_D;
    cpu->cpl = level;
    cpu->segment[X86_CS] = (struct x86_segment){.selector = (code & ~SELECTOR_RPL) | level,
                                                .attributes = FLAT_CODE | privilege | size,
                                                .limit = UINT32_MAX};
    cpu->segment[X86_SS] = (struct x86_segment){.selector = (stack & ~SELECTOR_RPL) | level,
                                                .attributes = FLAT_DATA | privilege,
                                                .limit = UINT32_MAX};
    cpu_update_mode(cpu);
}

static void check_syscall(struct cpu *cpu)
{
    bool mode_allows =
        cpu->vendor_amd ? cpu->protected_mode && !cpu->v86 : cpu->mode == CPU_MODE_64;
    if (!(cpu->efer & EFER_SCE) || !mode_allows) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
}

void execute_syscall(struct cpu *cpu, const struct insn *insn)
{
    check_syscall(cpu);
    bool from_64 = cpu->mode == CPU_MODE_64, stepping = cpu->eflags & FLAG_TF;
    uint16_t selector = cpu->msr_star >> 32;
    uint32_t flags = cpu_get_eflags(cpu) & ~FLAG_RF;
    cpu->gpr[X86_RCX] = cpu->rip;
    if (cpu->long_mode) {
        cpu->gpr[X86_R11] = flags;
        cpu->rip = from_64 ? cpu->msr_lstar : cpu->msr_cstar;
        cpu_set_eflags(cpu, 0, (uint32_t)cpu->msr_fmask | FLAG_RF);
    } else {
        cpu->rip = (uint32_t)cpu->msr_star;
        cpu_set_eflags(cpu, 0, FLAG_IF | FLAG_RF | FLAG_VM);
    }
    load_flat(cpu, selector, selector + 8, 0, cpu->long_mode);
    /* The trap of a step is decided by TF as it is now. */
    cpu->debug_no_step = stepping && !(cpu->eflags & FLAG_TF);
}

void execute_sysret(struct cpu *cpu, const struct insn *insn)
{
    check_syscall(cpu);
    if (cpu->cpl != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    uint16_t selector = cpu->msr_star >> 48;
    bool to_64 = insn->operand_size == 8, stepping = cpu->eflags & FLAG_TF;
    uint64_t target = to_64 ? cpu->gpr[X86_RCX] : (uint32_t)cpu->gpr[X86_RCX];
    /* AMD's processors fault only at the target, in user mode. */
    if (!cpu->vendor_amd && !cpu_is_canonical(target)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (cpu->long_mode) {
        cpu_set_eflags(cpu, cpu->gpr[X86_R11] & SYSRET_FLAGS, ~0u);
    } else {
        cpu_set_eflags(cpu, FLAG_IF, FLAG_IF);
    }
    load_flat(cpu, to_64 ? selector + 16 : selector, selector + 8, 3, to_64);
    cpu->rip = target;
    /* TF that SYSRET itself sets traps at once, as if SYSCALL had just been stepped over. */
    bool steps = cpu->eflags & FLAG_TF;
    cpu->debug_no_step = stepping && !steps;
    if (steps && !stepping) {
        debug_trap(cpu, DR6_BS);
    }
}

static void check_sysenter(struct cpu *cpu)
{
    if (cpu->vendor_amd && cpu->long_mode) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if (!cpu->protected_mode || selector_is_null(cpu->msr_sysenter_cs)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

void execute_sysenter(struct cpu *cpu, const struct insn *insn)
{
    check_sysenter(cpu);
    uint16_t selector = cpu->msr_sysenter_cs;
    uint64_t mask = size_mask(cpu->long_mode ? 8 : 4);
    cpu_set_eflags(cpu, 0, FLAG_VM | FLAG_IF | FLAG_RF);
    load_flat(cpu, selector, selector + 8, 0, cpu->long_mode);
    cpu->gpr[X86_RSP] = cpu->msr_sysenter_esp & mask;
    cpu->rip = cpu->msr_sysenter_eip & mask;
}

void execute_sysexit(struct cpu *cpu, const struct insn *insn)
{
    check_sysenter(cpu);
    if (cpu->cpl != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    bool to_64 = insn->operand_size == 8;
    uint16_t selector = cpu->msr_sysenter_cs + (to_64 ? 32 : 16);
    uint64_t mask = size_mask(to_64 ? 8 : 4);
    uint64_t rip = cpu->gpr[X86_RDX] & mask, pointer = cpu->gpr[X86_RCX] & mask;
    if (!cpu_is_canonical(rip) || !cpu_is_canonical(pointer)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    load_flat(cpu, selector, selector + 8, 3, to_64);
    cpu->gpr[X86_RSP] = pointer;
    cpu->rip = rip;
}

void execute_swapgs(struct cpu *cpu, const struct insn *insn)
{
    if (cpu->cpl != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    uint64_t base = cpu->segment[X86_GS].base;
    cpu->segment[X86_GS].base = cpu->msr_kernel_gs_base;
    cpu->msr_kernel_gs_base = base;
}

static void read_base(struct cpu *cpu, const struct insn *insn, unsigned segment)
{
    if (!(cpu->cr4 & CR4_FSGSBASE)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    gpr_write(cpu, insn->rm, insn->operand_size, cpu->segment[segment].base);
}

static void write_base(struct cpu *cpu, const struct insn *insn, unsigned segment)
{
    uint64_t base = gpr_read(cpu, insn->rm, insn->operand_size);
    if (!(cpu->cr4 & CR4_FSGSBASE)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if (!cpu_is_canonical(base)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    cpu->segment[segment].base = base;
}

void execute_rdfsbase(struct cpu *cpu, const struct insn *insn)
{
    read_base(cpu, insn, X86_FS);
}

void execute_rdgsbase(struct cpu *cpu, const struct insn *insn)
{
    read_base(cpu, insn, X86_GS);
}

void execute_wrfsbase(struct cpu *cpu, const struct insn *insn)
{
    write_base(cpu, insn, X86_FS);
}

void execute_wrgsbase(struct cpu *cpu, const struct insn *insn)
{
    write_base(cpu, insn, X86_GS);
}
