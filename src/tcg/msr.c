/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers: SDM vol. 4; APM vol. 2, appendix A. */
#include "tcg/msr.h"
#include "dm/clock.h"
#include "dm/intc/local-apic.h"
#include "tcg/access.h"
#include "tcg/cpu-model.h"
#include "tcg/cr.h"
#include "util/log.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

#define MTRR_VARIABLE   8
#define MTRR_CAPS       (MTRR_VARIABLE | 1u << 8 | 1u << 10) /* fixed ranges, WC */
#define MCE_BANKS       4
#define MCG_CTL_PRESENT (1u << 8)
#define PAT_RESET       0x0007040600070406ull

/* IA32_ARCH_CAPABILITIES: this CPU does not speculate, so it has none of these flaws. RDCL_NO,
 * IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO,
 * PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. */
#define ARCH_CAPABILITIES                                                                          \
    (1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 |           \
     1ull << 13 | 1ull << 14 | 1ull << 15 | 1ull << 20 | 1ull << 24 | 1ull << 26 | 1ull << 27 |    \
     1ull << 62)

/* MSRs that are storage, by slot. Snapshots have them in this order: append. */
enum msr_slot {
    SLOT_NONE,
    SLOT_BIOS_SIGN_ID,
    SLOT_SPEC_CTRL,
    SLOT_MCG_STATUS,
    SLOT_MCG_CTL,
    SLOT_DEBUGCTL,
    SLOT_CLOCK_MODULATION,
    SLOT_MTRR_TYPE,
    SLOT_MTRR_VARIABLE,
    SLOT_MTRR_FIXED = SLOT_MTRR_VARIABLE + 2 * MTRR_VARIABLE,
    SLOT_MC = SLOT_MTRR_FIXED + 11,
    SLOT_AMD_SYSCFG = SLOT_MC + 4 * MCE_BANKS,
    SLOT_AMD_HWCR,
    SLOT_AMD_NB_CFG,
    SLOT_AMD_LS_CFG,
    SLOT_AMD_DE_CFG,
    SLOT_AMD_BU_CFG2,
    SLOT_AMD_VM_CR,
    SLOT_COUNT
};

struct cpu_msrs {
    uint64_t slots[SLOT_COUNT];
    uint64_t tsc_adjust;
};

struct msr_row;
typedef uint64_t (*msr_read_fn)(struct cpu *cpu, const struct msr_row *row, uint32_t msr);
typedef bool (*msr_write_fn)(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
                             uint64_t value); /* false: #GP(0) */

enum vendor { ANY, INTEL, AMD };

struct msr_row {
    uint32_t first, count;
    msr_read_fn read;   /* NULL: write-only */
    msr_write_fn write; /* NULL: read-only */
    uint64_t argument;  /* a constant, an offset in struct cpu, or an enum msr_slot */
    uint64_t writable;  /* bits that may be set; others are #GP(0) */
    enum cpu_feature feature;
    enum vendor vendor;
};

static uint64_t read_constant(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return row->argument;
}

static bool write_ignored(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    return true;
}

static uint64_t *slot(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return &cpu->msrs->slots[row->argument + (msr - row->first)];
}

static uint64_t read_slot(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return *slot(cpu, row, msr);
}

static bool write_slot(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    *slot(cpu, row, msr) = value;
    return true;
}

static uint64_t *field(struct cpu *cpu, const struct msr_row *row)
{
    return (uint64_t *)((uint8_t *)cpu + row->argument);
}

static uint64_t read_field(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return *field(cpu, row);
}

static bool write_field(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    *field(cpu, row) = value;
    return true;
}

static bool write_address(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    return cpu_is_canonical(value) && write_field(cpu, row, msr, value);
}

/* Time stamp counter: SDM vol. 3, 18.17. */
uint64_t cpu_read_tsc(struct cpu *cpu)
{
    return machine_clock_now(cpu->clock) + (uint64_t)cpu->tsc_offset;
}

static void set_tsc_offset(struct cpu *cpu, int64_t offset)
{
    cpu->tsc_offset = offset;
    if (cpu->apic) {
        local_apic_set_tsc_offset(cpu->apic, offset);
    }
}

static uint64_t read_tsc(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return cpu_read_tsc(cpu);
}

/* A write of the TSC moves TSC_ADJUST by as much, and the other way round. */
static bool write_tsc(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    uint64_t delta = value - cpu_read_tsc(cpu);

    cpu->msrs->tsc_adjust += delta;
    set_tsc_offset(cpu, (int64_t)((uint64_t)cpu->tsc_offset + delta));
    return true;
}

static uint64_t read_tsc_adjust(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return cpu->msrs->tsc_adjust;
}

static bool write_tsc_adjust(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
                             uint64_t value)
{
    uint64_t delta = value - cpu->msrs->tsc_adjust;

    cpu->msrs->tsc_adjust = value;
    set_tsc_offset(cpu, (int64_t)((uint64_t)cpu->tsc_offset + delta));
    return true;
}

/* Those of the local APIC; it has all the checks. */
static uint64_t read_apic(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    uint64_t value;

    if (!cpu->apic || !local_apic_msr_read(cpu->apic, msr, &value)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    return value;
}

#define MSR_APIC_BASE    0x1b
#define APIC_BASE_X2APIC (1u << 10)

static bool write_apic(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    if (msr == MSR_APIC_BASE && (value & APIC_BASE_X2APIC) &&
        !cpu_features_have(&cpu->features, FEATURE_X2APIC)) {
        return false;
    }
    if (!cpu->apic || !local_apic_msr_write(cpu->apic, msr, value)) {
        return false;
    }
    if (msr == MSR_APIC_BASE) {
        cpu_tlb_flush(cpu, true); /* the page may have moved */
    }
    cpu->interrupt_pending = true;
    cpu->exit_block = true;
    return true;
}

static bool memory_type_valid(uint8_t type, bool pat)
{
    return type <= 7 && type != 2 && type != 3 && (pat || type != 7);
}

static bool write_memory_types(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
                               uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        if (!memory_type_valid(value >> i * 8 & 0xff, msr == 0x277)) {
            return false;
        }
    }
    return msr == 0x277 ? write_field(cpu, row, msr, value) : write_slot(cpu, row, msr, value);
}

/* MTRRphysBase (even), MTRRphysMask (odd), MTRRdefType: SDM vol. 3, 12.11.2. */
static bool write_mtrr(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    uint64_t low = msr == 0x2ff ? 0xcff : msr & 1 ? 0x800 : 0xff;
    uint64_t addresses = msr == 0x2ff ? 0 : ((1ull << cpu->physical_bits) - 1) & ~0xfffull;

    if ((value & ~(low | addresses)) ||
        ((msr == 0x2ff || !(msr & 1)) && !memory_type_valid(value & 0xff, false))) {
        return false;
    }
    return write_slot(cpu, row, msr, value);
}

/*
 * IA32_MCi (SDM vol. 3, 16.3.2): CTL takes all zeros and all ones (operating systems leave out bits
 * 0 and 10, for errata of old CPUs), STATUS zero; ADDR and MISC are storage.
 */
static bool write_mc(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    switch (msr & 3) {
    case 0:
        if (value && (value | 1ull << 10 | 1) != UINT64_MAX) {
            return false;
        }
        break;
    case 1:
        if (value) {
            return false;
        }
        break;
    }
    return write_slot(cpu, row, msr, value);
}

static bool write_mcg_ctl(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    return (value == 0 || value == UINT64_MAX) && write_slot(cpu, row, msr, value);
}

static bool write_bios_sign_id(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
                               uint64_t value)
{
    return true; /* CPUID fills in the revision again */
}

static uint64_t read_efer(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return cpu->efer;
}

static bool write_efer(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
    cpu_set_efer(cpu, value);
    return true;
}

/* The hidden base of FS or GS; argument is its number. */
static uint64_t read_segment_base(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    return cpu->segment[row->argument].base;
}

static bool write_segment_base(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
                               uint64_t value)
{
    if (!cpu_is_canonical(value)) {
        return false;
    }
    cpu->segment[row->argument].base = value;
    return true;
}

static uint64_t read_core_count(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
    unsigned count = cpu->vcpu->machine ? cpu->vcpu->machine->vcpu_count : 1;

    return (uint64_t)count << 16 | count;
}

#define FIELD(name) offsetof(struct cpu, name)
#define ALL         UINT64_MAX

static const struct msr_row rows[] = {
    {0x10, 1, read_tsc, write_tsc, 0, ALL, FEATURE_TSC, ANY},
    {0x17, 1, read_constant, NULL, 0, 0, FEATURE_NONE, INTEL},            /* PLATFORM_ID */
    {MSR_APIC_BASE, 1, read_apic, write_apic, 0, ALL, FEATURE_APIC, ANY}, /* APIC_BASE */
    {0x2a, 1, read_constant, write_ignored, 0, ALL, FEATURE_NONE, ANY},   /* EBL_CR_POWERON */
    {0x34, 1, read_constant, NULL, 0, 0, FEATURE_NONE, INTEL},            /* SMI_COUNT */
    {0x35, 1, read_core_count, NULL, 0, 0, FEATURE_NONE, INTEL},          /* CORE_THREAD_COUNT */
    {0x3a, 1, read_constant, NULL, 1, 0, FEATURE_NONE, INTEL}, /* FEATURE_CONTROL: locked */
    {0x3b, 1, read_tsc_adjust, write_tsc_adjust, 0, ALL, FEATURE_TSC_ADJUST, ANY},
    {0x48, 1, read_slot, write_slot, SLOT_SPEC_CTRL, 7, FEATURE_SPEC_CTRL, ANY},
    {0x49, 1, NULL, write_ignored, 0, 1, FEATURE_SPEC_CTRL, ANY}, /* PRED_CMD: IBPB */
    {0x79, 1, NULL, write_ignored, 0, ALL, FEATURE_NONE, INTEL},  /* BIOS_UPDT_TRIG */
    {0x8b, 1, read_slot, write_bios_sign_id, SLOT_BIOS_SIGN_ID, ALL, FEATURE_NONE, ANY},
    {0xce, 1, read_constant, NULL, 10 << 8, 0, FEATURE_NONE, INTEL}, /* PLATFORM_INFO: 1 GHz */
    {0xfe, 1, read_constant, NULL, MTRR_CAPS, 0, FEATURE_MTRR, ANY}, /* MTRRcap */
    {0x10a, 1, read_constant, NULL, ARCH_CAPABILITIES, 0, FEATURE_ARCH_CAPABILITIES, ANY},
    {0x174, 1, read_field, write_field, FIELD(msr_sysenter_cs), UINT32_MAX, FEATURE_SEP, ANY},
    {0x175, 1, read_field, write_address, FIELD(msr_sysenter_esp), ALL, FEATURE_SEP, ANY},
    {0x176, 1, read_field, write_address, FIELD(msr_sysenter_eip), ALL, FEATURE_SEP, ANY},
    {0x179, 1, read_constant, NULL, MCE_BANKS | MCG_CTL_PRESENT, 0, FEATURE_MCA, ANY}, /* MCG_CAP */
    {0x17a, 1, read_slot, write_slot, SLOT_MCG_STATUS, 7, FEATURE_MCA, ANY},
    {0x17b, 1, read_slot, write_mcg_ctl, SLOT_MCG_CTL, ALL, FEATURE_MCA, ANY},
    {0x198, 1, read_constant, NULL, 10 << 8, 0, FEATURE_NONE, INTEL}, /* PERF_STATUS */
    {0x19a, 1, read_slot, write_slot, SLOT_CLOCK_MODULATION, 0x1f, FEATURE_NONE, INTEL},
    {0x1a0, 1, read_field, write_field, FIELD(msr_misc_enable), ALL, FEATURE_NONE, INTEL},
    {0x1d9, 1, read_slot, write_slot, SLOT_DEBUGCTL, 3, FEATURE_NONE, ANY},
    {0x200, 2 * MTRR_VARIABLE, read_slot, write_mtrr, SLOT_MTRR_VARIABLE, ALL, FEATURE_MTRR, ANY},
    {0x250, 1, read_slot, write_memory_types, SLOT_MTRR_FIXED, ALL, FEATURE_MTRR, ANY},
    {0x258, 2, read_slot, write_memory_types, SLOT_MTRR_FIXED + 1, ALL, FEATURE_MTRR, ANY},
    {0x268, 8, read_slot, write_memory_types, SLOT_MTRR_FIXED + 3, ALL, FEATURE_MTRR, ANY},
    {0x277, 1, read_field, write_memory_types, FIELD(msr_pat), ALL, FEATURE_PAT, ANY},
    {0x2ff, 1, read_slot, write_mtrr, SLOT_MTRR_TYPE, ALL, FEATURE_MTRR, ANY},
    {0x400, 4 * MCE_BANKS, read_slot, write_mc, SLOT_MC, ALL, FEATURE_MCA, ANY},
    {0x6e0, 1, read_apic, write_apic, 0, ALL, FEATURE_TSC_DEADLINE, ANY},
    {0x800, 0x100, read_apic, write_apic, 0, ALL, FEATURE_X2APIC, ANY},
    {0xc0000080, 1, read_efer, write_efer, 0, ALL, FEATURE_SYSCALL, ANY},
    {0xc0000081, 1, read_field, write_field, FIELD(msr_star), ALL, FEATURE_SYSCALL, ANY},
    {0xc0000082, 1, read_field, write_address, FIELD(msr_lstar), ALL, FEATURE_LM, ANY},
    {0xc0000083, 1, read_field, write_address, FIELD(msr_cstar), ALL, FEATURE_LM, ANY},
    {0xc0000084, 1, read_field, write_field, FIELD(msr_fmask), UINT32_MAX, FEATURE_SYSCALL, ANY},
    {0xc0000100, 1, read_segment_base, write_segment_base, X86_FS, ALL, FEATURE_LM, ANY},
    {0xc0000101, 1, read_segment_base, write_segment_base, X86_GS, ALL, FEATURE_LM, ANY},
    {0xc0000102, 1, read_field, write_address, FIELD(msr_kernel_gs_base), ALL, FEATURE_LM, ANY},
    {0xc0000103, 1, read_field, write_field, FIELD(msr_tsc_aux), UINT32_MAX, FEATURE_RDTSCP, ANY},
    {0xc0010010, 1, read_slot, write_slot, SLOT_AMD_SYSCFG, ALL, FEATURE_NONE, AMD},
    {0xc0010015, 1, read_slot, write_slot, SLOT_AMD_HWCR, ALL, FEATURE_NONE, AMD},
    {0xc001001f, 1, read_slot, write_slot, SLOT_AMD_NB_CFG, ALL, FEATURE_NONE, AMD},
    {0xc0010020, 1, NULL, write_ignored, 0, ALL, FEATURE_NONE, AMD}, /* PATCH_LOADER */
    {0xc0010114, 1, read_slot, write_slot, SLOT_AMD_VM_CR, ALL, FEATURE_NONE, AMD},
    {0xc0011020, 1, read_slot, write_slot, SLOT_AMD_LS_CFG, ALL, FEATURE_NONE, AMD},
    {0xc0011029, 1, read_slot, write_slot, SLOT_AMD_DE_CFG, ALL, FEATURE_NONE, AMD},
    {0xc001102a, 1, read_slot, write_slot, SLOT_AMD_BU_CFG2, ALL, FEATURE_NONE, AMD},
};

static const struct msr_row *find_row(const struct cpu *cpu, uint32_t msr)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct msr_row *row = &rows[i];

        if (msr - row->first < row->count &&
            (row->feature == FEATURE_NONE || cpu_features_have(&cpu->features, row->feature)) &&
            (row->vendor == ANY || (row->vendor == AMD) == cpu->model->amd)) {
            return row;
        }
    }
    return NULL;
}

uint64_t cpu_read_msr(struct cpu *cpu, uint32_t msr)
{
    const struct msr_row *row = find_row(cpu, msr);

    if (!row || !row->read) {
        log_item(LOG_UNIMPLEMENTED, "RDMSR %08x at %" PRIx64 ": #GP\n", msr, cpu->rip);
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    return row->read(cpu, row, msr);
}

bool cpu_try_write_msr(struct cpu *cpu, uint32_t msr, uint64_t value)
{
    const struct msr_row *row = find_row(cpu, msr);

    return row && row->write && !(value & ~row->writable) && row->write(cpu, row, msr, value);
}

void cpu_write_msr(struct cpu *cpu, uint32_t msr, uint64_t value)
{
    if (!cpu_try_write_msr(cpu, msr, value)) {
        log_item(LOG_UNIMPLEMENTED, "WRMSR %08x = %" PRIx64 " at %" PRIx64 ": #GP\n", msr, value,
                 cpu->rip);
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

struct cpu_msrs *cpu_msrs_new(void)
{
    return g_new0(struct cpu_msrs, 1);
}

void cpu_msrs_free(struct cpu_msrs *msrs)
{
    g_free(msrs);
}

void cpu_msrs_reset(struct cpu *cpu)
{
    *cpu->msrs = (struct cpu_msrs){.slots = {[SLOT_BIOS_SIGN_ID] = 1ull << 32}};
    cpu->msr_star = cpu->msr_lstar = cpu->msr_cstar = cpu->msr_fmask = 0;
    cpu->msr_kernel_gs_base = cpu->msr_tsc_aux = 0;
    cpu->msr_sysenter_cs = cpu->msr_sysenter_esp = cpu->msr_sysenter_eip = 0;
    cpu->msr_pat = PAT_RESET;
    cpu->msr_misc_enable = 1 | 1 << 11 | 1 << 12; /* fast strings; no BTS, no PEBS */
    set_tsc_offset(cpu, 0);                       /* the same on all CPUs, whenever each is reset */
}

_Static_assert(SLOT_COUNT <= CPU_MSR_STORE_COUNT, "raise it, with a new version of tcg-vcpu");

/* Slot 0 is nobody's: TSC_ADJUST goes there. */
void cpu_msrs_get_store(const struct cpu *cpu, uint64_t values[CPU_MSR_STORE_COUNT])
{
    memset(values, 0, CPU_MSR_STORE_COUNT * sizeof(values[0]));
    memcpy(values, cpu->msrs->slots, sizeof(cpu->msrs->slots));
    values[SLOT_NONE] = cpu->msrs->tsc_adjust;
}

void cpu_msrs_set_store(struct cpu *cpu, const uint64_t values[CPU_MSR_STORE_COUNT])
{
    memcpy(cpu->msrs->slots, values, sizeof(cpu->msrs->slots));
    cpu->msrs->tsc_adjust = values[SLOT_NONE];
}
