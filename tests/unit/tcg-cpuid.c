/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU models and CPUID: -cpu's grammar and messages, leaves, and that nothing is shown that the
 * model lacks. */
#include "dm/machine.h"
#include "tcg/access.h"
#include "tcg/cpu-model.h"
#include "unit/suite.h"

#include <string.h>

enum { EAX, EBX, ECX, EDX };

struct fixture {
    struct machine machine;
    struct vcpu vcpu;
    struct cpu cpu;
    struct cpu_model model;
};

static struct fixture *fixture_new(const char *model)
{
    struct fixture *f = g_new0(struct fixture, 1);

    CU_ASSERT_TRUE_FATAL(cpu_model_parse(model, &f->model, NULL));
    f->cpu.model = &f->model;
    f->cpu.features = f->model.features;
    f->cpu.vcpu = &f->vcpu;
    f->cpu.physical_bits = CPU_PHYSICAL_BITS;
    f->cpu.mode = CPU_MODE_64;
    f->vcpu.machine = &f->machine;
    return f;
}

static void test_models(void)
{
    static const char *const good[] = {"max",
                                       "qemu64",
                                       "qemu32",
                                       "core2duo",
                                       "Nehalem",
                                       "Westmere",
                                       "EPYC",
                                       "max,+smap,-smep",
                                       "max,smap=off",
                                       "qemu64,aes",
                                       "max,-sse4_1",
                                       "kvm64,+rdtscp",
                                       "IvyBridge,phys-bits=36,host-phys-bits=off",
                                       "Haswell,migratable=no",
                                       "Opteron_G1,vendor=AuthenticAMD",
                                       NULL};
    static const struct {
        const char *text, *hint;
    } bad[] = {
        {"EPIC", "EPYC"},
        {"nehalem", "Nehalem"},
        {"", "help"},
        {"max,+smapp", "smap"},
        {"max,-ssse4.1", "sse4.1"},
        {"max,smap=maybe", "maybe"},
        {"max,vendor=Intel", "GenuineIntel"},
        {"max,phys-bits=31", "32"},
        {"max,phys-bits=53", "52"},
        {"max,host-phys-bits=perhaps", "perhaps"},
        {"max,,", "flag"},
        {"no-such-thing-at-all", "-cpu help"},
    };
    struct cpu_model model;

    for (unsigned i = 0; good[i]; i++) {
        g_autoptr(GError) error = NULL;

        CU_ASSERT_TRUE(cpu_model_parse(good[i], &model, &error));
        CU_ASSERT_PTR_NULL(error);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE(cpu_model_parse(bad[i].text, &model, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, bad[i].hint));
    }
    CU_ASSERT_TRUE(cpu_model_parse(NULL, &model, NULL));
    CU_ASSERT_STRING_EQUAL(model.name, CPU_DEFAULT_MODEL);
    CU_ASSERT_TRUE(cpu_model_parse("max,-smap", &model, NULL));
    CU_ASSERT_FALSE(cpu_features_have(&model.features, FEATURE_SMAP));
    CU_ASSERT_TRUE(cpu_model_parse("qemu64,+smap", &model, NULL));
    CU_ASSERT_TRUE(cpu_features_have(&model.features, FEATURE_SMAP));
    CU_ASSERT_TRUE(cpu_model_parse("qemu64,vendor=GenuineIntel,phys-bits=36", &model, NULL));
    CU_ASSERT_FALSE(model.amd);
    CU_ASSERT_EQUAL(model.physical_bits, 36);
    CU_ASSERT_TRUE(cpu_model_parse("qemu64,-pcid,+invpcid", &model, NULL));
    CU_ASSERT_FALSE(cpu_features_have(&model.features, FEATURE_INVPCID));
    CU_ASSERT_TRUE(cpu_model_parse("qemu64,+pcid,+invpcid", &model, NULL));
    CU_ASSERT_TRUE(cpu_features_have(&model.features, FEATURE_INVPCID));
}

/* Each feature's bit, with the feature and without, whatever ECX holds where it does not count. */
static void test_feature_bits(void)
{
    static const char *const models[] = {"max", "qemu32", "EPYC", "Westmere"};

    for (unsigned m = 0; m < G_N_ELEMENTS(models); m++) {
        struct fixture *f = fixture_new(models[m]);

        for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
            const struct cpu_feature_place *place = &cpu_feature_places[i];
            uint32_t max[4], regs[4];
            bool shown;

            cpu_cpuid(&f->cpu, place->leaf & 0x80000000u, 0, max);
            if (place->leaf > max[EAX]) {
                continue;
            }
            cpu_cpuid(&f->cpu, place->leaf, place->subleaf, regs);
            shown = regs[place->reg] >> place->bit & 1;
            CU_ASSERT_EQUAL(shown, cpu_features_have(&f->cpu.features, i));
            if (place->leaf == 1 || place->leaf == 6 || place->leaf >= 0x80000000u) {
                cpu_cpuid(&f->cpu, place->leaf, 0x1234, regs);
                CU_ASSERT_EQUAL(regs[place->reg] >> place->bit & 1, shown);
            }
        }
        g_free(f);
    }
}

/* Bits with no row in features.def are those that depend on the machine, and no others. */
static void test_nothing_else(void)
{
    struct fixture *f = fixture_new("max");
    uint32_t known[4] = {0}, regs[4];

    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
        if (cpu_feature_places[i].leaf == 1) {
            known[cpu_feature_places[i].reg] |= 1u << cpu_feature_places[i].bit;
        }
    }
    f->machine.config.smp = 4;
    f->cpu.cr4 = CR4_OSXSAVE;
    cpu_cpuid(&f->cpu, 1, 0, regs);
    CU_ASSERT_EQUAL(regs[ECX] & ~known[ECX], 1u << 27); /* OSXSAVE */
    CU_ASSERT_EQUAL(regs[EDX] & ~known[EDX], 1u << 28); /* HTT */
    g_free(f);
}

/* What needs the host's own instruction is not shown where the host lacks it (L1 of the testbed has
 * no CMPXCHG16B: a guest that was shown it ended the process); all else is, on any host. */
static void test_lesser_hosts(void)
{
    static const enum cpu_feature by_host[] = {
#if defined(__x86_64__) /* elsewhere it is no instruction of the host */
        FEATURE_CX16,
#endif
        FEATURE_AVX,
        FEATURE_AVX2,
        FEATURE_FMA,
        FEATURE_F16C
    };
    struct cpu_features all = {0}, none = {0};

    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
        cpu_features_set(&all, i, true);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(by_host); i++) {
        struct cpu_features guest = all, host = all;

        cpu_features_set(&host, by_host[i], false);
        cpu_features_hide_unavailable(&guest, &host);
        CU_ASSERT_FALSE(cpu_features_have(&guest, by_host[i]));
        CU_ASSERT_TRUE(cpu_features_have(&guest, FEATURE_SSE4_2));
        if (by_host[i] != FEATURE_CX16) {
            CU_ASSERT_TRUE(cpu_features_have(&guest, FEATURE_CX16));
        }
    }
    cpu_features_hide_unavailable(&all, &none);
    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
        bool hidden = false;

        for (unsigned n = 0; n < G_N_ELEMENTS(by_host); n++) {
            hidden |= by_host[n] == i;
        }
        CU_ASSERT_EQUAL(cpu_features_have(&all, i), !hidden);
    }
}

static void test_vendor_and_ranges(void)
{
    struct fixture *intel = fixture_new("max"), *amd = fixture_new("EPYC");
    uint32_t regs[4], last[4];
    char name[13] = {0};

    cpu_cpuid(&intel->cpu, 0, 0, regs);
    memcpy(name, &regs[EBX], 4);
    memcpy(name + 4, &regs[EDX], 4);
    memcpy(name + 8, &regs[ECX], 4);
    CU_ASSERT_STRING_EQUAL(name, "GenuineIntel");
    /* Past the end: Intel repeats the highest basic leaf, AMD answers zeros. */
    cpu_cpuid(&intel->cpu, regs[EAX], 0, last);
    cpu_cpuid(&intel->cpu, 0x3fffffff, 0, regs);
    CU_ASSERT_EQUAL(memcmp(regs, last, sizeof(regs)), 0);
    cpu_cpuid(&intel->cpu, 0x80000009, 0, regs);
    CU_ASSERT_EQUAL(memcmp(regs, last, sizeof(regs)), 0);
    cpu_cpuid(&amd->cpu, 0x3fffffff, 0, regs);
    CU_ASSERT_EQUAL(regs[EAX] | regs[EBX] | regs[ECX] | regs[EDX], 0);
    cpu_cpuid(&intel->cpu, 0x40000000, 0, regs);
    CU_ASSERT_EQUAL(memcmp(&regs[EBX], "DuoDMDuoDMDu", 12), 0);
    cpu_cpuid(&intel->cpu, 0x80000008, 0, regs);
    CU_ASSERT_EQUAL(regs[EAX], 48 << 8 | CPU_PHYSICAL_BITS);
    cpu_cpuid(&intel->cpu, 0x15, 0, regs);
    CU_ASSERT_EQUAL((uint64_t)regs[ECX] * regs[EBX] / regs[EAX], CPU_TSC_FREQUENCY);
    /* Intel shows SYSCALL in 64-bit mode only. */
    cpu_cpuid(&intel->cpu, 0x80000001, 0, regs);
    CU_ASSERT_TRUE(regs[EDX] & 1 << 11);
    intel->cpu.mode = CPU_MODE_32;
    cpu_cpuid(&intel->cpu, 0x80000001, 0, regs);
    CU_ASSERT_FALSE(regs[EDX] & 1 << 11);
    amd->cpu.mode = CPU_MODE_32;
    cpu_cpuid(&amd->cpu, 0x80000001, 0, regs);
    CU_ASSERT_TRUE(regs[EDX] & 1 << 11);
    g_free(intel);
    g_free(amd);
}

static void test_topology(void)
{
    static const struct {
        unsigned sockets, cores, threads, smt_bits, core_bits;
    } cases[] = {{1, 1, 1, 0, 0}, {1, 4, 1, 0, 2}, {1, 2, 2, 1, 2}, {2, 3, 2, 1, 3}};

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fixture *f = fixture_new("max");
        uint32_t regs[4];

        f->machine.config.sockets = cases[i].sockets;
        f->machine.config.cores = cases[i].cores;
        f->machine.config.threads = cases[i].threads;
        f->machine.config.smp = cases[i].sockets * cases[i].cores * cases[i].threads;
        f->vcpu.apic_id = 3;
        cpu_cpuid(&f->cpu, 0xb, 0, regs);
        CU_ASSERT_EQUAL(regs[EAX], cases[i].smt_bits);
        CU_ASSERT_EQUAL(regs[EBX], cases[i].threads);
        CU_ASSERT_EQUAL(regs[ECX], 1 << 8);
        CU_ASSERT_EQUAL(regs[EDX], 3);
        cpu_cpuid(&f->cpu, 0xb, 1, regs);
        CU_ASSERT_EQUAL(regs[EAX], cases[i].core_bits);
        CU_ASSERT_EQUAL(regs[EBX], cases[i].cores * cases[i].threads);
        CU_ASSERT_EQUAL(regs[ECX], 2 << 8 | 1);
        cpu_cpuid(&f->cpu, 0xb, 2, regs);
        CU_ASSERT_EQUAL(regs[EAX] | regs[EBX], 0);
        g_free(f);
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"models and flags", test_models},
        {"feature bits", test_feature_bits},
        {"nothing that isn't there", test_nothing_else},
        {"hosts that have less", test_lesser_hosts},
        {"vendors and ranges", test_vendor_and_ranges},
        {"topology", test_topology},
        {NULL, NULL},
    };

    return unit_run("tcg-cpuid", tests);
}
