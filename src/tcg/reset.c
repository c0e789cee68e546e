/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Power-on and INIT state: SDM vol. 3, table 10-1. */
#include "tcg/access.h"
#include "tcg/cpu-model.h"
#include "tcg/msr.h"

#include <string.h>

#define ATTR_CODE 0x009b /* present, readable, accessed */
#define ATTR_DATA 0x0093 /* present, writable, accessed */
#define ATTR_LDT  0x0082
#define ATTR_TSS  0x008b /* busy 32-bit */

static void reset_segments(struct cpu *cpu)
{
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        cpu->segment[i] = (struct x86_segment){.attributes = ATTR_DATA, .limit = 0xffff};
    }
    cpu->segment[X86_CS] = (struct x86_segment){
        .selector = 0xf000, .attributes = ATTR_CODE, .limit = 0xffff, .base = 0xffff0000};
    cpu->ldt = (struct x86_segment){.attributes = ATTR_LDT, .limit = 0xffff};
    cpu->task = (struct x86_segment){.attributes = ATTR_TSS, .limit = 0xffff};
    cpu->gdt.base = cpu->idt.base = 0;
    cpu->gdt.limit = cpu->idt.limit = 0xffff;
}

/* What INIT leaves alone. */
static void reset_power_on_only(struct cpu *cpu)
{
    memset(cpu->ymm, 0, sizeof(cpu->ymm));
    memset(&cpu->fpu, 0, sizeof(cpu->fpu));
    cpu->fpu.control = 0x0040;
    cpu->fpu.valid = 0xff; /* all registers hold zero */
    cpu->mxcsr = 0x1f80;
    cpu->xcr0 = 1;
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu_msrs_reset(cpu);
}

void cpu_reset(struct cpu *cpu, bool init_only)
{
    if (init_only) {
        cpu->cr0 = CR0_ET | (cpu->cr0 & (CR0_CD | CR0_NW));
    } else {
        reset_power_on_only(cpu);
    }
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[X86_RDX] = cpu_model_signature(cpu->model);
    cpu->rip = 0xfff0;
    reset_segments(cpu);
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    memset(cpu->pdpte, 0, sizeof(cpu->pdpte));
    memset(cpu->dr, 0, sizeof(cpu->dr));
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu->eflags = FLAG_FIXED;
    cpu_set_eflags(cpu, FLAG_FIXED, UINT32_MAX);
    cpu->cpl = 0;
    cpu->long_mode = cpu->protected_mode = cpu->v86 = false;
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    cpu->halted = cpu->shutdown = false;
    cpu->wait_for_sipi = cpu->vcpu && cpu->vcpu->index != 0;
    cpu->nmi_blocked = false;
    cpu->nmi_pending = 0;
    cpu->delivering = false;
    cpu->interrupt_pending = true; /* ask the APIC once */
    cpu_tlb_flush(cpu, true);
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    cpu->exit_block = true;
}
