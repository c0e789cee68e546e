/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes of control registers and EFER with their checks: SDM vol. 3, 2.5, 4.1 and 9.8. */
#include "tcg/cr.h"
#include "tcg/access.h"
#include "tcg/mmu.h"

#define SEGMENT_ATTR_LONG (1u << 13)
#define TSS_TYPE_32       (1u << 3) /* of a TSS descriptor's type: not a 16-bit one */

#define CR0_DEFINED                                                                                \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)
#define CR3_NO_FLUSH (1ull << 63)
#define CR3_PCID     0xfffull

G_GNUC_NORETURN static void fault(struct cpu *cpu)
{
    cpu_raise_error(cpu, EXCEPTION_GP, 0);
}

static void load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t pdpte[4];

    if (!mmu_load_pdptes(cpu, cr3, pdpte)) {
        fault(cpu);
    }
    memcpy(cpu->pdpte, pdpte, sizeof(pdpte));
}

void cpu_set_cr0(struct cpu *cpu, uint64_t value)
{
    const uint64_t flushing = CR0_PG | CR0_WP | CR0_PE;
    uint64_t changed;
    bool paging_on;

    if (value >> 32) {
        fault(cpu);
    }
    value = (value & CR0_DEFINED) | CR0_ET;
    if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD))) {
        fault(cpu);
    }
    changed = value ^ cpu->cr0;
    paging_on = changed & value & CR0_PG;
    if (paging_on && (cpu->efer & EFER_LME)) {
        /* IA-32e mode is entered. */
        if (!(cpu->cr4 & CR4_PAE) || (cpu->segment[X86_CS].attributes & SEGMENT_ATTR_LONG) ||
            !(cpu->task.attributes & TSS_TYPE_32)) {
            fault(cpu);
        }
    }
    if ((changed & CR0_PG) && !(value & CR0_PG) &&
        (cpu->mode == CPU_MODE_64 || (cpu->cr4 & CR4_PCIDE))) {
        fault(cpu);
    }
    if ((value & CR0_PG) && (changed & (CR0_PG | CR0_CD | CR0_NW)) && (cpu->cr4 & CR4_PAE) &&
        !(cpu->efer & EFER_LME)) {
        load_pdptes(cpu, cpu->cr3);
    }
    cpu->cr0 = value;
    if ((cpu->efer & EFER_LME) && (changed & CR0_PG)) {
        cpu->efer = (cpu->efer & ~EFER_LMA) | (value & CR0_PG ? EFER_LMA : 0);
    }
    cpu->long_mode = cpu->efer & EFER_LMA;
    if (changed & flushing) {
        cpu_tlb_flush(cpu, true);
    }
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    cpu->exit_block = true;
}

void cpu_set_cr3(struct cpu *cpu, uint64_t value)
{
    bool pcid = cpu->cr4 & CR4_PCIDE;

    if (cpu->long_mode) {
        uint64_t checked = pcid ? value & ~CR3_NO_FLUSH : value;

        if (checked >> cpu->physical_bits) {
            fault(cpu);
        }
        value = checked;
    } else {
        value = (uint32_t)value;
        if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE)) {
            load_pdptes(cpu, value);
        }
    }
    cpu->cr3 = value;
    /* Also when bit 63 says that nothing need be flushed: entries are not tagged (tlb.h). */
    cpu_tlb_flush(cpu, false);
}

/* CR4 bits that exist if the feature does. */
static const struct {
    uint64_t bits;
    enum cpu_feature feature;
} cr4_bits[] = {
    {CR4_VME | CR4_PVI, FEATURE_VME},
    {CR4_TSD, FEATURE_TSC},
    {CR4_DE, FEATURE_DE},
    {CR4_PSE, FEATURE_PSE},
    {CR4_PAE, FEATURE_PAE},
    {CR4_MCE, FEATURE_MCE},
    {CR4_PGE, FEATURE_PGE},
    {CR4_PCE, FEATURE_NONE},
    {CR4_OSFXSR, FEATURE_FXSR},
    {CR4_OSXMMEXCPT, FEATURE_SSE},
    {CR4_UMIP, FEATURE_UMIP},
    {CR4_FSGSBASE, FEATURE_FSGSBASE},
    {CR4_PCIDE, FEATURE_PCID},
    {CR4_OSXSAVE, FEATURE_XSAVE},
    {CR4_SMEP, FEATURE_SMEP},
    {CR4_SMAP, FEATURE_SMAP},
};

uint64_t cpu_cr4_valid(const struct cpu *cpu)
{
    uint64_t valid = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(cr4_bits); i++) {
        if (cr4_bits[i].feature == FEATURE_NONE ||
            cpu_features_have(&cpu->features, cr4_bits[i].feature)) {
            valid |= cr4_bits[i].bits;
        }
    }
    return valid;
}

void cpu_set_cr4(struct cpu *cpu, uint64_t value)
{
    const uint64_t flushing = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP;
    uint64_t changed = value ^ cpu->cr4;

    if (value & ~cpu_cr4_valid(cpu)) {
        fault(cpu);
    }
    if (cpu->long_mode && !(value & CR4_PAE)) {
        fault(cpu);
    }
    if ((changed & value & CR4_PCIDE) && (!cpu->long_mode || (cpu->cr3 & CR3_PCID))) {
        fault(cpu);
    }
    if ((cpu->cr0 & CR0_PG) && !cpu->long_mode && (value & CR4_PAE) &&
        (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))) {
        load_pdptes(cpu, cpu->cr3);
    }
    cpu->cr4 = value;
    if (changed & flushing) {
        cpu_tlb_flush(cpu, true);
    }
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    cpu->exit_block = true;
}

uint64_t cpu_efer_valid(const struct cpu *cpu)
{
    uint64_t valid = EFER_LMA;

    valid |= cpu_features_have(&cpu->features, FEATURE_SYSCALL) ? EFER_SCE : 0;
    valid |= cpu_features_have(&cpu->features, FEATURE_LM) ? EFER_LME : 0;
    valid |= cpu_features_have(&cpu->features, FEATURE_NX) ? EFER_NXE : 0;
    return valid;
}

void cpu_set_efer(struct cpu *cpu, uint64_t value)
{
    uint64_t changed;

    /* LMA is read-only: what is written there has no effect. */
    value = (value & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    changed = value ^ cpu->efer;
    if ((value & ~cpu_efer_valid(cpu)) || ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))) {
        fault(cpu);
    }
    cpu->efer = value;
    if (changed & EFER_NXE) {
        cpu_tlb_flush(cpu, true);
    }
    cpu->exit_block = true;
}

/* SDM vol. 2, INVPCID. Only the current PCID has entries (tlb.h). */
void cpu_invpcid(struct cpu *cpu, uint64_t type, uint64_t descriptor_low, uint64_t linear)
{
    uint64_t pcid = descriptor_low & CR3_PCID;
    uint64_t current = cpu->cr4 & CR4_PCIDE ? cpu->cr3 & CR3_PCID : 0;

    if (type > 3 || (descriptor_low & ~CR3_PCID)) {
        fault(cpu);
    }
    if (type <= 1 && pcid && !(cpu->cr4 & CR4_PCIDE)) {
        fault(cpu);
    }
    switch (type) {
    case 0: /* one address of one PCID */
        if (!cpu_is_canonical(linear)) {
            fault(cpu);
        }
        if (pcid == current) {
            cpu_tlb_flush_page(cpu, linear);
        }
        break;
    case 1: /* one PCID */
        if (pcid == current) {
            cpu_tlb_flush(cpu, false);
        }
        break;
    case 2: /* all, with globals */
        cpu_tlb_flush(cpu, true);
        break;
    case 3: /* all but globals */
        cpu_tlb_flush(cpu, false);
        break;
    }
}
