/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between struct cpu and its saved form. A saved vCPU stands between two instructions: nothing of
 * what lives within one is kept, nor what is derived (modes, TLB, translations).
 */
#include "tcg/cpu-state.h"
#include "dm/state.h"
#include "tcg/access.h"
#include "tcg/cr.h"
#include "tcg/msr.h"
#include "tcg/tcg.h"
#include "tcg/xsave.h"

#include <string.h>

#define SEGMENTS        (X86_SEGMENT_COUNT + 2) /* LDT and task after those of enum */
#define SEGMENT_LDT     X86_SEGMENT_COUNT
#define SEGMENT_TASK    (X86_SEGMENT_COUNT + 1)
#define MXCSR_DEFINED   0xffffu
#define NMI_PENDING_MAX 2

struct saved_cpu {
    uint64_t features[(FEATURE_COUNT + 63) / 64]; /* what CPUID shows: must be alike */
    uint64_t gpr[X86_REGISTER_COUNT], rip;
    uint32_t eflags;
    uint8_t cpl;
    bool interrupt_shadow, debug_shadow, halted, wait_for_sipi, shutdown, nmi_blocked;
    uint8_t nmi_pending;
    uint16_t selector[SEGMENTS], attributes[SEGMENTS];
    uint32_t limit[SEGMENTS];
    uint64_t base[SEGMENTS];
    uint64_t gdt_base, idt_base;
    uint16_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0, dr[8], pdpte[4];
    uint8_t ymm[sizeof(((struct cpu *)0)->ymm)];
    uint64_t fpu_mantissa[8];
    uint16_t fpu_exponent[8];
    struct cpu_fpu fpu; /* the rest of it */
    uint32_t mxcsr;
    uint64_t star, lstar, cstar, fmask, kernel_gs_base, tsc_aux, sysenter_cs, sysenter_esp,
        sysenter_eip, pat, misc_enable;
    int64_t tsc_offset;
    uint64_t msrs[CPU_MSR_STORE_COUNT];
    uint32_t debug_pending;
    bool debug_no_step, task_trap;
    const struct cpu *cpu; /* whose; not saved */
};

static bool is_consistent(const struct saved_cpu *saved)
{
    bool paging = saved->cr0 & CR0_PG, long_mode = saved->efer & EFER_LMA;

    if (paging && !(saved->cr0 & CR0_PE)) {
        return false;
    }
    if (long_mode != (paging && (saved->efer & EFER_LME))) {
        return false;
    }
    return !long_mode || (saved->cr4 & CR4_PAE);
}

static bool after_load(void *object)
{
    struct saved_cpu *saved = object;
    const struct cpu *cpu = saved->cpu;

    return memcmp(saved->features, cpu->features.bits, sizeof(saved->features)) == 0 &&
           saved->cpl <= 3 && saved->nmi_pending <= NMI_PENDING_MAX &&
           !(saved->mxcsr & ~MXCSR_DEFINED) && (saved->xcr0 & XCR0_X87) &&
           !(saved->xcr0 & ~xcr0_supported(cpu)) && !(saved->cr4 & ~cpu_cr4_valid(cpu)) &&
           !(saved->efer & ~cpu_efer_valid(cpu)) && is_consistent(saved);
}

#define SCALAR(type_, field_)        STATE(type_, saved_cpu, field_, 1)
#define ARRAY(type_, field_, count_) STATE_ARRAY(type_, saved_cpu, field_, count_, 1)

static const struct state_field fields[] = {
    ARRAY(UINT64, features, (FEATURE_COUNT + 63) / 64),
    ARRAY(UINT64, gpr, X86_REGISTER_COUNT),
    SCALAR(UINT64, rip),
    SCALAR(UINT32, eflags),
    SCALAR(UINT8, cpl),
    SCALAR(BOOL, interrupt_shadow),
    SCALAR(BOOL, debug_shadow),
    SCALAR(BOOL, halted),
    SCALAR(BOOL, wait_for_sipi),
    SCALAR(BOOL, shutdown),
    SCALAR(BOOL, nmi_blocked),
    SCALAR(UINT8, nmi_pending),
    ARRAY(UINT16, selector, SEGMENTS),
    ARRAY(UINT16, attributes, SEGMENTS),
    ARRAY(UINT32, limit, SEGMENTS),
    ARRAY(UINT64, base, SEGMENTS),
    SCALAR(UINT64, gdt_base),
    SCALAR(UINT16, gdt_limit),
    SCALAR(UINT64, idt_base),
    SCALAR(UINT16, idt_limit),
    SCALAR(UINT64, cr0),
    SCALAR(UINT64, cr2),
    SCALAR(UINT64, cr3),
    SCALAR(UINT64, cr4),
    SCALAR(UINT64, efer),
    SCALAR(UINT64, xcr0),
    ARRAY(UINT64, dr, 8),
    ARRAY(UINT64, pdpte, 4),
    ARRAY(BYTES, ymm, sizeof(((struct cpu *)0)->ymm)),
    ARRAY(UINT64, fpu_mantissa, 8),
    ARRAY(UINT16, fpu_exponent, 8),
    SCALAR(UINT16, fpu.control),
    SCALAR(UINT16, fpu.status),
    SCALAR(UINT16, fpu.opcode),
    SCALAR(UINT8, fpu.valid),
    SCALAR(UINT64, fpu.instruction_pointer),
    SCALAR(UINT64, fpu.data_pointer),
    SCALAR(UINT16, fpu.instruction_selector),
    SCALAR(UINT16, fpu.data_selector),
    SCALAR(UINT32, mxcsr),
    SCALAR(UINT64, star),
    SCALAR(UINT64, lstar),
    SCALAR(UINT64, cstar),
    SCALAR(UINT64, fmask),
    SCALAR(UINT64, kernel_gs_base),
    SCALAR(UINT64, tsc_aux),
    SCALAR(UINT64, sysenter_cs),
    SCALAR(UINT64, sysenter_esp),
    SCALAR(UINT64, sysenter_eip),
    SCALAR(UINT64, pat),
    SCALAR(UINT64, misc_enable),
    SCALAR(INT64, tsc_offset),
    ARRAY(UINT64, msrs, CPU_MSR_STORE_COUNT),
    SCALAR(UINT32, debug_pending),
    SCALAR(BOOL, debug_no_step),
    SCALAR(BOOL, task_trap),
    STATE_END,
};

const struct state_description tcg_vcpu_state = {
    .name = "tcg-vcpu",
    .version = 1,
    .fields = fields,
    .after_load = after_load,
};

/* From struct cpu. */

static void get_segment(struct saved_cpu *saved, unsigned index, const struct x86_segment *segment)
{
    saved->selector[index] = segment->selector;
    saved->attributes[index] = segment->attributes;
    saved->limit[index] = segment->limit;
    saved->base[index] = segment->base;
}

static void get_system(struct saved_cpu *saved, const struct cpu *cpu)
{
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        get_segment(saved, i, &cpu->segment[i]);
    }
    get_segment(saved, SEGMENT_LDT, &cpu->ldt);
    get_segment(saved, SEGMENT_TASK, &cpu->task);
    saved->gdt_base = cpu->gdt.base;
    saved->gdt_limit = cpu->gdt.limit;
    saved->idt_base = cpu->idt.base;
    saved->idt_limit = cpu->idt.limit;
    saved->cr0 = cpu->cr0;
    saved->cr2 = cpu->cr2;
    saved->cr3 = cpu->cr3;
    saved->cr4 = cpu->cr4;
    saved->efer = cpu->efer;
    saved->xcr0 = cpu->xcr0;
    memcpy(saved->dr, cpu->dr, sizeof(saved->dr));
    memcpy(saved->pdpte, cpu->pdpte, sizeof(saved->pdpte));
}

static void get_units(struct saved_cpu *saved, const struct cpu *cpu)
{
    memcpy(saved->ymm, cpu->ymm, sizeof(saved->ymm));
    saved->fpu = cpu->fpu;
    for (unsigned i = 0; i < 8; i++) {
        saved->fpu_mantissa[i] = cpu->fpu.registers[i].mantissa;
        saved->fpu_exponent[i] = cpu->fpu.registers[i].exponent;
    }
    saved->mxcsr = cpu->mxcsr;
}

static void get_msrs(struct saved_cpu *saved, const struct cpu *cpu)
{
    saved->star = cpu->msr_star;
    saved->lstar = cpu->msr_lstar;
    saved->cstar = cpu->msr_cstar;
    saved->fmask = cpu->msr_fmask;
    saved->kernel_gs_base = cpu->msr_kernel_gs_base;
    saved->tsc_aux = cpu->msr_tsc_aux;
    saved->sysenter_cs = cpu->msr_sysenter_cs;
    saved->sysenter_esp = cpu->msr_sysenter_esp;
    saved->sysenter_eip = cpu->msr_sysenter_eip;
    saved->pat = cpu->msr_pat;
    saved->misc_enable = cpu->msr_misc_enable;
    saved->tsc_offset = cpu->tsc_offset;
    cpu_msrs_get_store(cpu, saved->msrs);
}

static void get_all(struct saved_cpu *saved, const struct cpu *cpu)
{
    memcpy(saved->features, cpu->features.bits, sizeof(saved->features));
    memcpy(saved->gpr, cpu->gpr, sizeof(saved->gpr));
    saved->rip = cpu->rip;
    saved->eflags = cpu_get_eflags(cpu);
    saved->cpl = cpu->cpl;
    saved->interrupt_shadow = cpu->interrupt_shadow;
    saved->debug_shadow = cpu->debug_shadow;
    saved->halted = cpu->halted;
    saved->wait_for_sipi = cpu->wait_for_sipi;
    saved->shutdown = cpu->shutdown;
    saved->nmi_blocked = cpu->nmi_blocked;
    saved->nmi_pending = cpu->nmi_pending;
    saved->debug_pending = cpu->debug_pending;
    saved->debug_no_step = cpu->debug_no_step;
    saved->task_trap = cpu->task_trap;
    get_system(saved, cpu);
    get_units(saved, cpu);
    get_msrs(saved, cpu);
}

/* To struct cpu. */

static void set_segment(const struct saved_cpu *saved, unsigned index, struct x86_segment *segment)
{
    *segment = (struct x86_segment){
        .selector = saved->selector[index],
        .attributes = saved->attributes[index],
        .limit = saved->limit[index],
        .base = saved->base[index],
    };
}

static void set_system(const struct saved_cpu *saved, struct cpu *cpu)
{
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        set_segment(saved, i, &cpu->segment[i]);
    }
    set_segment(saved, SEGMENT_LDT, &cpu->ldt);
    set_segment(saved, SEGMENT_TASK, &cpu->task);
    cpu->gdt.base = saved->gdt_base;
    cpu->gdt.limit = saved->gdt_limit;
    cpu->idt.base = saved->idt_base;
    cpu->idt.limit = saved->idt_limit;
    cpu->cr0 = saved->cr0 | CR0_ET;
    cpu->cr2 = saved->cr2;
    cpu->cr3 = saved->cr3;
    cpu->cr4 = saved->cr4;
    cpu->efer = saved->efer;
    cpu->xcr0 = saved->xcr0;
    memcpy(cpu->dr, saved->dr, sizeof(cpu->dr));
    memcpy(cpu->pdpte, saved->pdpte, sizeof(cpu->pdpte));
}

static void set_units(const struct saved_cpu *saved, struct cpu *cpu)
{
    memcpy(cpu->ymm, saved->ymm, sizeof(cpu->ymm));
    cpu->fpu = saved->fpu;
    for (unsigned i = 0; i < 8; i++) {
        cpu->fpu.registers[i].mantissa = saved->fpu_mantissa[i];
        cpu->fpu.registers[i].exponent = saved->fpu_exponent[i];
    }
    cpu->mxcsr = saved->mxcsr;
}

static void set_msrs(const struct saved_cpu *saved, struct cpu *cpu)
{
    cpu->msr_star = saved->star;
    cpu->msr_lstar = saved->lstar;
    cpu->msr_cstar = saved->cstar;
    cpu->msr_fmask = saved->fmask;
    cpu->msr_kernel_gs_base = saved->kernel_gs_base;
    cpu->msr_tsc_aux = saved->tsc_aux;
    cpu->msr_sysenter_cs = saved->sysenter_cs;
    cpu->msr_sysenter_esp = saved->sysenter_esp;
    cpu->msr_sysenter_eip = saved->sysenter_eip;
    cpu->msr_pat = saved->pat;
    cpu->msr_misc_enable = saved->misc_enable;
    cpu->tsc_offset = saved->tsc_offset;
    cpu_msrs_set_store(cpu, saved->msrs);
}

/* All that is made of the rest. */
static void derive(struct cpu *cpu)
{
    cpu->long_mode = cpu->efer & EFER_LMA;
    cpu->protected_mode = cpu->cr0 & CR0_PE;
    cpu->v86 = cpu->eflags & FLAG_VM;
    cpu->delivering = false;
    cpu->interrupt_pending = true; /* ask the APIC once */
    tlb_reset(cpu);
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    cpu->exit_block = true;
}

static void set_all(const struct saved_cpu *saved, struct cpu *cpu)
{
    memcpy(cpu->gpr, saved->gpr, sizeof(cpu->gpr));
    cpu->rip = saved->rip;
    cpu->eflags = saved->eflags;
    cpu_set_eflags(cpu, saved->eflags | FLAG_FIXED, UINT32_MAX);
    cpu->cpl = saved->cpl;
    cpu->interrupt_shadow = saved->interrupt_shadow;
    cpu->debug_shadow = saved->debug_shadow;
    cpu->halted = saved->halted;
    cpu->wait_for_sipi = saved->wait_for_sipi;
    cpu->shutdown = saved->shutdown;
    cpu->nmi_blocked = saved->nmi_blocked;
    cpu->nmi_pending = saved->nmi_pending;
    cpu->debug_pending = saved->debug_pending;
    cpu->debug_no_step = saved->debug_no_step;
    cpu->task_trap = saved->task_trap;
    set_system(saved, cpu);
    set_units(saved, cpu);
    set_msrs(saved, cpu);
    derive(cpu);
}

bool tcg_save_vcpu(struct vcpu *vcpu, GByteArray *stream, GError **error)
{
    const struct tcg_vcpu *v = vcpu->engine;
    g_autofree struct saved_cpu *saved = g_new0(struct saved_cpu, 1);
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);

    get_all(saved, &v->cpu);
    state_save(stream, &tcg_vcpu_state, saved, instance);
    return true;
}

bool tcg_load_vcpu(struct vcpu *vcpu, const uint8_t *stream, size_t length, size_t *consumed,
                   GError **error)
{
    struct tcg_vcpu *v = vcpu->engine;
    g_autofree struct saved_cpu *saved = g_new0(struct saved_cpu, 1);
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);

    saved->cpu = &v->cpu;
    get_all(saved, &v->cpu); /* what after_load is undone to */
    if (!state_load(stream, length, &tcg_vcpu_state, saved, instance, consumed, error)) {
        return false;
    }
    set_all(saved, &v->cpu);
    return true;
}
