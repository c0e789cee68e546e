/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control and debug registers, MSRs, counters, identification, cache and TLB control. */
#include "dm/intc/local-apic.h"
#include "tcg/debug.h"
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/segment.h"

#include <sys/random.h>

static void check_privileged(struct cpu *cpu)
{
    if (cpu->cpl != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

#define CR8_MAX 15u

void execute_mov_from_cr(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = 0;
    if (insn->reg > 8 || !((1u << insn->reg) & 0x11d)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    check_privileged(cpu);
    switch (insn->reg) {
    case 0:
        value = cpu->cr0;
        break;
    case 2:
        value = cpu->cr2;
        break;
    case 3:
        value = cpu->cr3;
        break;
    case 4:
        value = cpu->cr4;
        break;
    default:
        value = cpu->apic ? local_apic_get_cr8(cpu->apic) : 0;
        break;
    }
    gpr_write(cpu, insn->rm, insn->operand_size, value);
}

static void write_cr8(struct cpu *cpu, uint64_t value)
{
    if (value > CR8_MAX) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (!cpu->apic) {
        return;
    }
    local_apic_set_cr8(cpu->apic, value);
    /* A lower priority may let an interrupt in that waits. */
    vcpu_signal(cpu->vcpu, VCPU_SIGNAL_INTERRUPT);
}

void execute_mov_to_cr(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = gpr_read(cpu, insn->rm, insn->operand_size);
    if (insn->reg > 8 || !((1u << insn->reg) & 0x11d)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    check_privileged(cpu);
    switch (insn->reg) {
    case 0:
        cpu_set_cr0(cpu, value);
        break;
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        cpu_set_cr3(cpu, value);
        break;
    case 4:
        cpu_set_cr4(cpu, value);
        break;
    default:
        write_cr8(cpu, value);
        break;
    }
    cpu->exit_block = true;
}

/* The debug register that the instruction means, after the checks in the order of SDM vol. 3,
 * 18.2: existence, privilege, DR7.GD. */
static unsigned debug_register(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = insn->reg;
    if (number > 7 || ((number == 4 || number == 5) && (cpu->cr4 & CR4_DE))) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    check_privileged(cpu);
    if (cpu->dr[7] & DR7_GD) {
        debug_fault(cpu, (cpu->dr[6] & DR6_CONDITIONS) | DR6_BD);
    }
    return number == 4 || number == 5 ? number + 2 : number;
}

void execute_mov_from_dr(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = debug_register(cpu, insn);
    gpr_write(cpu, insn->rm, insn->operand_size, cpu->dr[number]);
}

#define DR6_WRITABLE (DR6_CONDITIONS | DR6_BD | DR6_BS | DR6_BT)
#define DR7_WRITABLE 0xffff23ffu

void execute_mov_to_dr(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = debug_register(cpu, insn);
    uint64_t value = gpr_read(cpu, insn->rm, insn->operand_size);
    bool was_active = cpu->dr[7] & DR7_ENABLES;
    if (number >= 6 && value > UINT32_MAX) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (number == 6) {
        value = (value & DR6_WRITABLE) | DR6_FIXED;
    } else if (number == 7) {
        value = (value & DR7_WRITABLE) | DR7_FIXED;
    }
    cpu->dr[number] = value;
    /* The TLB knows which pages are watched. */
    if (number != 6 && (was_active || (cpu->dr[7] & DR7_ENABLES))) {
        cpu_tlb_flush(cpu, true);
    }
    cpu->exit_block = true;
}

void execute_clts(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
    cpu->cr0 &= ~CR0_TS;
    cpu->exit_block = true;
}

void execute_smsw(struct cpu *cpu, const struct insn *insn)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl > 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (insn->memory) {
        rm_write(cpu, insn, 2, cpu->cr0);
    } else {
        gpr_write(cpu, insn->rm, insn->operand_size, cpu->cr0);
    }
}

/* PE can be set, not cleared. */
void execute_lmsw(struct cpu *cpu, const struct insn *insn)
{
    const uint64_t mask = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
    check_privileged(cpu);
    uint64_t value = rm_read(cpu, insn, 2) & mask;
    cpu_set_cr0(cpu, (cpu->cr0 & ~(mask & ~CR0_PE)) | value);
    cpu->exit_block = true;
}

void execute_invlpg(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
    uint64_t linear = effective_address(cpu, insn);
    if (cpu->mode != CPU_MODE_64) {
        linear = (uint32_t)(linear + cpu->segment[insn->segment].base);
    } else if (insn->segment >= X86_FS) {
        linear += cpu->segment[insn->segment].base;
    }
    /* One that is not canonical maps nothing. */
    if (cpu_is_canonical(linear)) {
        cpu_tlb_flush_page(cpu, linear);
    }
    cpu->exit_block = true;
}

void execute_invpcid(struct cpu *cpu, const struct insn *insn)
{
    uint64_t descriptor[2];
    check_privileged(cpu);
    uint64_t type = gpr_read(cpu, insn->reg, cpu->mode == CPU_MODE_64 ? 8 : 4);
    cpu_read_bytes(cpu, insn->segment, effective_address(cpu, insn), descriptor,
                   sizeof(descriptor));
    cpu_invpcid(cpu, type, descriptor[0], descriptor[1]);
    cpu->exit_block = true;
}

/* INVD, WBINVD: memory is always coherent here. */
void execute_wbinvd(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
}

static void write_pair(struct cpu *cpu, uint64_t value)
{
    cpu->gpr[X86_RAX] = (uint32_t)value;
    cpu->gpr[X86_RDX] = value >> 32;
}

void execute_rdmsr(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
    write_pair(cpu, cpu_read_msr(cpu, cpu->gpr[X86_RCX]));
}

void execute_wrmsr(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
    uint64_t value = cpu->gpr[X86_RDX] << 32 | (uint32_t)cpu->gpr[X86_RAX];
    cpu_write_msr(cpu, cpu->gpr[X86_RCX], value);
    cpu->exit_block = true;
}

static void check_tsc(struct cpu *cpu)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl > 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

void execute_rdtsc(struct cpu *cpu, const struct insn *insn)
{
    check_tsc(cpu);
    write_pair(cpu, cpu_read_tsc(cpu));
}

void execute_rdtscp(struct cpu *cpu, const struct insn *insn)
{
    execute_rdtsc(cpu, insn);
    cpu->gpr[X86_RCX] = (uint32_t)cpu->msr_tsc_aux;
}

/* There are no performance counters: no index is valid. */
void execute_rdpmc(struct cpu *cpu, const struct insn *insn)
{
    cpu_raise_error(cpu, EXCEPTION_GP, 0);
}

/* All of the register, in 64-bit mode; it ignores REX.W. */
void execute_rdpid(struct cpu *cpu, const struct insn *insn)
{
    gpr_write(cpu, insn->rm, cpu->mode == CPU_MODE_64 ? 8 : 4, cpu->msr_tsc_aux);
}

/* RDRAND, RDSEED. CF says whether the host had random bits at hand. */
void execute_rdrand(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = 0;
    bool ok = getrandom(&value, sizeof(value), GRND_NONBLOCK) == sizeof(value);
    gpr_write(cpu, insn->rm, insn->operand_size, ok ? value : 0);
    flags_set_explicit(cpu, ok ? FLAG_CF : 0);
}

void execute_cpuid(struct cpu *cpu, const struct insn *insn)
{
    uint32_t out[4];
    cpu_cpuid(cpu, cpu->gpr[X86_RAX], cpu->gpr[X86_RCX], out);
    cpu->gpr[X86_RAX] = out[0];
    cpu->gpr[X86_RBX] = out[1];
    cpu->gpr[X86_RCX] = out[2];
    cpu->gpr[X86_RDX] = out[3];
}

static void check_monitor(struct cpu *cpu)
{
    if (cpu->cpl != 0) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    if ((uint32_t)cpu->gpr[X86_RCX] != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

void execute_monitor(struct cpu *cpu, const struct insn *insn)
{
    check_monitor(cpu);
    uint64_t offset = cpu->gpr[X86_RAX] & size_mask(insn->address_size);
    cpu_read8(cpu, insn->segment, offset);
}

/* Waking up at once is allowed, and all that is done. */
void execute_mwait(struct cpu *cpu, const struct insn *insn)
{
    check_monitor(cpu);
}

static void set_alignment_check(struct cpu *cpu, uint32_t value)
{
    if (cpu->cpl != 0) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    cpu_set_eflags(cpu, value, FLAG_AC);
}

void execute_clac(struct cpu *cpu, const struct insn *insn)
{
    set_alignment_check(cpu, 0);
}

void execute_stac(struct cpu *cpu, const struct insn *insn)
{
    set_alignment_check(cpu, FLAG_AC);
}
