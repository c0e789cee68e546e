/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID: SDM vol. 2, CPUID; APM vol. 3, appendix E. */
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "tcg/access.h"
#include "tcg/cpu-model.h"
#include "tcg/xsave.h"

#include <glib.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };

#define CPUID_1_EDX_APIC    (1u << 9)
#define CPUID_1_EDX_HTT     (1u << 28)
#define CPUID_1_ECX_OSXSAVE (1u << 27)

/* Bits of 1.EDX that AMD shows again in 80000001.EDX. */
#define AMD_COMMON_EDX 0x0183f3ffu

struct topology {
    unsigned threads, logical; /* per core; per package */
};

static struct topology topology_of(const struct cpu *cpu)
{
    const struct machine_config *config =
        cpu->vcpu && cpu->vcpu->machine ? &cpu->vcpu->machine->config : NULL;
    struct topology t = {1, 1};

    if (config && config->threads) {
        t.threads = config->threads;
    }
    if (config && config->cores) {
        t.logical = t.threads * config->cores;
    } else if (config && config->smp) {
        t.logical = config->smp;
    }
    return t;
}

/* Bits that number n things. */
static unsigned bits_for(unsigned n)
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

static void put_text(uint32_t out[3], const char *text, unsigned length)
{
    char padded[48] = {0};

    memcpy(padded, text, MIN(length, strlen(text)));
    memcpy(out, padded, length);
}

static void vendor(const struct cpu *cpu, uint32_t out[4])
{
    const char *name = cpu->model->amd ? "AuthenticAMD" : "GenuineIntel";

    memcpy(&out[EBX], name, 4);
    memcpy(&out[EDX], name + 4, 4);
    memcpy(&out[ECX], name + 8, 4);
}

/* Leaves whose answer depends on ECX; all others ignore it. */
static bool has_subleaves(uint32_t leaf)
{
    return leaf == 0x4 || leaf == 0x7 || leaf == 0xb || leaf == 0xd;
}

/* All feature bits of a leaf. */
static void feature_bits(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        const struct cpu_feature_place *place = &cpu_feature_places[f];

        if (place->leaf == leaf && place->subleaf == subleaf &&
            cpu_features_have(&cpu->features, f)) {
            out[place->reg] |= 1u << place->bit;
        }
    }
}

static void leaf_0(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[EAX] = cpu->model->max_leaf;
    vendor(cpu, out);
}

static void leaf_1(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    struct topology t = topology_of(cpu);

    out[EAX] = cpu_model_signature(cpu->model);
    /* Initial APIC ID, logical processors, CLFLUSH line in units of 8 bytes. */
    out[EBX] =
        (cpu->vcpu->apic_id & 0xff) << 24 | MIN(1u << bits_for(t.logical), 255) << 16 | 8 << 8;
    if (t.logical > 1) {
        out[EDX] |= CPUID_1_EDX_HTT;
    }
    if (cpu->cr4 & CR4_OSXSAVE) {
        out[ECX] |= CPUID_1_ECX_OSXSAVE;
    }
    if (cpu->apic && !local_apic_is_enabled(cpu->apic)) {
        out[EDX] &= ~CPUID_1_EDX_APIC;
    }
}

/* "Descriptors are in leaf 4". */
static void leaf_2(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[EAX] = 0x00ff0001;
}

/* Deterministic cache parameters. What guests make of them is placement only. */
static void leaf_4(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    static const struct {
        uint8_t type, level, ways;
        uint16_t sets;
        bool shared;
    } caches[] = {
        {1, 1, 8, 64, false},    /* data, 32 KiB */
        {2, 1, 8, 64, false},    /* instructions, 32 KiB */
        {3, 2, 16, 1024, false}, /* unified, 1 MiB */
        {3, 3, 16, 16384, true}, /* unified, 16 MiB */
    };
    struct topology t = topology_of(cpu);
    unsigned sharing = t.threads, cores = MAX(t.logical / t.threads, 1);

    if (cpu->model->amd || subleaf >= G_N_ELEMENTS(caches)) {
        return;
    }
    if (caches[subleaf].shared) {
        sharing = t.logical;
    }
    out[EAX] = caches[subleaf].type | caches[subleaf].level << 5 | 1 << 8 |
               ((1u << bits_for(sharing)) - 1) << 14 | ((1u << bits_for(cores)) - 1) << 26;
    out[EBX] = 63 | (uint32_t)(caches[subleaf].ways - 1) << 22;
    out[ECX] = caches[subleaf].sets - 1;
}

/* MONITOR/MWAIT: lines of 64 bytes. */
static void leaf_5(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (cpu_features_have(&cpu->features, FEATURE_MONITOR)) {
        out[EAX] = out[EBX] = 64;
    }
}

/* Extended topology. */
static void leaf_b(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    struct topology t = topology_of(cpu);

    out[ECX] = subleaf & 0xff;
    out[EDX] = cpu->vcpu->apic_id;
    if (subleaf == 0) {
        out[EAX] = bits_for(t.threads);
        out[EBX] = t.threads;
        out[ECX] |= 1 << 8; /* SMT */
    } else if (subleaf == 1) {
        out[EAX] = bits_for(t.threads) + bits_for(MAX(t.logical / t.threads, 1));
        out[EBX] = t.logical;
        out[ECX] |= 2 << 8; /* core */
    }
}

/* Bytes of an XSAVE area with these components; standard and compacted form agree. */
static uint32_t area_bytes(uint64_t components)
{
    return components & XCR0_AVX ? XSAVE_AVX_OFFSET + XSAVE_AVX_BYTES : XSAVE_MIN_BYTES;
}

static void leaf_d(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint64_t supported = xcr0_supported(cpu);

    if (!cpu_features_have(&cpu->features, FEATURE_XSAVE)) {
        memset(out, 0, 4 * sizeof(out[0]));
    } else if (subleaf == 0) {
        out[EAX] = (uint32_t)supported;
        out[EBX] = area_bytes(cpu->xcr0);
        out[ECX] = area_bytes(supported);
    } else if (subleaf == 1 && cpu_features_have(&cpu->features, FEATURE_XSAVEC)) {
        out[EBX] = area_bytes(cpu->xcr0);
    } else if (subleaf == 2 && (supported & XCR0_AVX)) {
        out[EAX] = XSAVE_AVX_BYTES;
        out[EBX] = XSAVE_AVX_OFFSET;
    }
}

/* TSC: crystal of 1 GHz, ratio 1. The local APIC's timer runs from the same crystal. */
static void leaf_15(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[EAX] = 1;
    out[EBX] = 1;
    out[ECX] = CPU_TSC_FREQUENCY;
}

static void leaf_hypervisor(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (cpu_features_have(&cpu->features, FEATURE_HYPERVISOR)) {
        out[EAX] = CPU_MAX_HYPERVISOR;
        put_text(&out[EBX], "DuoDMDuoDMDu", 12);
    }
}

static void leaf_80000000(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[EAX] = CPU_MAX_EXTENDED;
    if (cpu->model->amd) {
        vendor(cpu, out);
    }
}

static void leaf_80000001(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint32_t basic[4] = {0};

    if (cpu->model->amd) {
        out[EAX] = cpu_model_signature(cpu->model);
        feature_bits(cpu, 1, 0, basic);
        out[EDX] |= basic[EDX] & AMD_COMMON_EDX;
        if (topology_of(cpu).logical > 1) {
            out[ECX] |= 1 << 1; /* CmpLegacy: the logical processors of leaf 1 are cores */
        }
    } else if (cpu->mode != CPU_MODE_64) {
        out[EDX] &= ~(1u << 11); /* Intel shows SYSCALL in 64-bit mode only */
    }
}

static void brand(const struct cpu *cpu, unsigned part, uint32_t out[4])
{
    char text[48] = {0};

    memcpy(text, cpu->model->brand, MIN(strlen(cpu->model->brand), sizeof(text) - 1));
    memcpy(out, text + part * 16, 16);
}

static void leaf_80000002(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    brand(cpu, 0, out);
}

static void leaf_80000003(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    brand(cpu, 1, out);
}

static void leaf_80000004(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    brand(cpu, 2, out);
}

/* L1 caches and TLBs as AMD has them: 32 KiB, 8 ways, 64-byte lines. */
static void leaf_80000005(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (cpu->model->amd) {
        out[EAX] = out[EBX] = 0xff40ff40;
        out[ECX] = out[EDX] = 32u << 24 | 8 << 16 | 1 << 8 | 64;
    }
}

/* L2: 1 MiB, 16 ways (code 8), 64-byte lines. L3 on AMD: 16 MiB in units of 512 KiB. */
static void leaf_80000006(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[ECX] = 1024u << 16 | 8 << 12 | 1 << 8 | 64;
    if (cpu->model->amd) {
        out[EDX] = 32u << 18 | 8 << 12 | 1 << 8 | 64;
    }
}

static void leaf_80000008(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    bool lm = cpu_features_have(&cpu->features, FEATURE_LM);

    out[EAX] = cpu->physical_bits | (lm ? CPU_LINEAR_BITS : 32) << 8;
    if (cpu->model->amd) {
        struct topology t = topology_of(cpu);

        out[ECX] = bits_for(t.logical) << 12 | (t.logical - 1);
    }
}

static const struct {
    uint32_t leaf;
    void (*fill)(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4]);
} leaves[] = {
    {0x0, leaf_0},
    {0x1, leaf_1},
    {0x2, leaf_2},
    {0x4, leaf_4},
    {0x5, leaf_5},
    {0xb, leaf_b},
    {0xd, leaf_d},
    {0x15, leaf_15},
    {0x40000000, leaf_hypervisor},
    {0x80000000, leaf_80000000},
    {0x80000001, leaf_80000001},
    {0x80000002, leaf_80000002},
    {0x80000003, leaf_80000003},
    {0x80000004, leaf_80000004},
    {0x80000005, leaf_80000005},
    {0x80000006, leaf_80000006},
    {0x80000008, leaf_80000008},
};

/* Past the last leaf of its range, Intel answers with the highest basic one, AMD with zeros. */
static bool leaf_exists(const struct cpu *cpu, uint32_t leaf)
{
    switch (leaf >> 30) {
    case 0:
        return leaf <= cpu->model->max_leaf;
    case 1:
        return leaf <= CPU_MAX_HYPERVISOR && cpu_features_have(&cpu->features, FEATURE_HYPERVISOR);
    default:
        return leaf >= 0x80000000u && leaf <= CPU_MAX_EXTENDED;
    }
}

void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof(out[0]));
    if (!leaf_exists(cpu, leaf)) {
        if (cpu->model->amd || leaf >> 28 == 4) {
            return;
        }
        leaf = cpu->model->max_leaf;
    }
    feature_bits(cpu, leaf, has_subleaves(leaf) ? subleaf : 0, out);
    for (unsigned i = 0; i < G_N_ELEMENTS(leaves); i++) {
        if (leaves[i].leaf == leaf) {
            leaves[i].fill(cpu, subleaf, out);
        }
    }
}
