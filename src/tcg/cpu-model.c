/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/cpu-model.h"
#include "dm/property.h"
#include "tcg/avx.h"

enum { EAX, EBX, ECX, EDX };

const struct cpu_feature_place cpu_feature_places[FEATURE_COUNT] = {
#define FEATURE(id, name, leaf, subleaf, reg, bit) [FEATURE_##id] = {name, leaf, subleaf, reg, bit},
#include "tcg/features.def"
#undef FEATURE
};

/* Each generation is the one before and more. */
#define FEATURES_32                                                                                \
    FEATURE_FPU, FEATURE_DE, FEATURE_PSE, FEATURE_TSC, FEATURE_MSR, FEATURE_PAE, FEATURE_MCE,      \
        FEATURE_CX8, FEATURE_APIC, FEATURE_SEP, FEATURE_MTRR, FEATURE_PGE, FEATURE_MCA,            \
        FEATURE_CMOV, FEATURE_PAT, FEATURE_PSE36, FEATURE_CLFLUSH, FEATURE_MMX, FEATURE_FXSR,      \
        FEATURE_SSE, FEATURE_SSE2, FEATURE_SSE3, FEATURE_HYPERVISOR
#define FEATURES_64                                                                                \
    FEATURES_32, FEATURE_CX16, FEATURE_X2APIC, FEATURE_LM, FEATURE_SYSCALL, FEATURE_NX,            \
        FEATURE_LAHF_LM
#define FEATURES_OPTERON_G1 FEATURES_32, FEATURE_LM, FEATURE_SYSCALL, FEATURE_NX
#define FEATURES_CORE2      FEATURES_64, FEATURE_VME, FEATURE_SSSE3
#define FEATURES_NEHALEM    FEATURES_CORE2, FEATURE_SSE4_1, FEATURE_SSE4_2, FEATURE_POPCNT
#define FEATURES_WESTMERE   FEATURES_NEHALEM, FEATURE_AES, FEATURE_PCLMULQDQ
#define FEATURES_SANDY_BRIDGE                                                                      \
    FEATURES_WESTMERE, FEATURE_XSAVE, FEATURE_TSC_DEADLINE, FEATURE_RDTSCP, FEATURE_XSAVEOPT,      \
        FEATURE_AVX
#define FEATURES_IVY_BRIDGE                                                                        \
    FEATURES_SANDY_BRIDGE, FEATURE_RDRAND, FEATURE_FSGSBASE, FEATURE_SMEP, FEATURE_ERMS,           \
        FEATURE_F16C
#define FEATURES_HASWELL                                                                           \
    FEATURES_IVY_BRIDGE, FEATURE_MOVBE, FEATURE_BMI1, FEATURE_BMI2, FEATURE_PCID, FEATURE_INVPCID, \
        FEATURE_ABM, FEATURE_AVX2, FEATURE_FMA
#define FEATURES_BROADWELL                                                                         \
    FEATURES_HASWELL, FEATURE_RDSEED, FEATURE_ADX, FEATURE_SMAP, FEATURE_PDPE1GB
#define FEATURES_ZEN                                                                               \
    FEATURES_WESTMERE, FEATURE_MOVBE, FEATURE_XSAVE, FEATURE_RDRAND, FEATURE_FSGSBASE,             \
        FEATURE_BMI1, FEATURE_SMEP, FEATURE_BMI2, FEATURE_RDSEED, FEATURE_ADX, FEATURE_SMAP,       \
        FEATURE_CLFLUSHOPT, FEATURE_SHA, FEATURE_ARAT, FEATURE_XSAVEOPT, FEATURE_ABM,              \
        FEATURE_PDPE1GB, FEATURE_RDTSCP, FEATURE_INVTSC, FEATURE_AVX, FEATURE_F16C, FEATURE_FMA,   \
        FEATURE_AVX2, FEATURE_XSAVEC, FEATURE_XGETBV1

static const uint8_t features_32[] = {FEATURES_32, FEATURE_NONE};
static const uint8_t features_64[] = {FEATURES_64, FEATURE_NONE};
static const uint8_t features_opteron_g1[] = {FEATURES_OPTERON_G1, FEATURE_NONE};
static const uint8_t features_opteron_g2[] = {FEATURES_OPTERON_G1, FEATURE_CX16, FEATURE_LAHF_LM,
                                              FEATURE_RDTSCP, FEATURE_NONE};
static const uint8_t features_core2[] = {FEATURES_CORE2, FEATURE_NONE};
static const uint8_t features_nehalem[] = {FEATURES_NEHALEM, FEATURE_NONE};
static const uint8_t features_westmere[] = {FEATURES_WESTMERE, FEATURE_NONE};
static const uint8_t features_sandy_bridge[] = {FEATURES_SANDY_BRIDGE, FEATURE_NONE};
static const uint8_t features_ivy_bridge[] = {FEATURES_IVY_BRIDGE, FEATURE_NONE};
static const uint8_t features_haswell[] = {FEATURES_HASWELL, FEATURE_NONE};
static const uint8_t features_broadwell[] = {FEATURES_BROADWELL, FEATURE_NONE};
static const uint8_t features_epyc[] = {FEATURES_ZEN, FEATURE_NONE};

/* Hidden from "max": an idle guest would spin in MWAIT instead of sleeping in HLT. */
static const uint8_t features_not_in_max[] = {FEATURE_MONITOR, FEATURE_NONE};

#define INTEL false
#define AMD   true
#define MODEL(name_, description_, brand_, amd_, family_, model_, stepping_, max_leaf_, list_)     \
    {                                                                                              \
        .name = name_, .description = description_, .brand = brand_, .amd = amd_,                  \
        .family = family_, .model = model_, .stepping = stepping_, .max_leaf = max_leaf_,          \
        .physical_bits = CPU_PHYSICAL_BITS, .feature_list = list_                                  \
    }

static const struct cpu_model models[] = {
    MODEL("Broadwell", "Intel Core (5th generation), as far as implemented",
          "Intel Core Processor (Broadwell)", INTEL, 6, 61, 2, 0xd, features_broadwell),
    MODEL("EPYC", "AMD EPYC (Zen), as far as implemented", "AMD EPYC Processor", AMD, 23, 1, 2, 0xd,
          features_epyc),
    MODEL("Haswell", "Intel Core (4th generation), as far as implemented",
          "Intel Core Processor (Haswell)", INTEL, 6, 60, 4, 0xd, features_haswell),
    MODEL("IvyBridge", "Intel Core (3rd generation), as far as implemented",
          "Intel Xeon E3-12xx v2 (Ivy Bridge)", INTEL, 6, 58, 9, 0xd, features_ivy_bridge),
    MODEL("Nehalem", "Intel Core i7 9xx", "Intel Core i7 9xx (Nehalem)", INTEL, 6, 26, 3, 0xb,
          features_nehalem),
    MODEL("Opteron_G1", "AMD Opteron 240 (first generation)",
          "AMD Opteron 240 (Gen 1 Class Opteron)", AMD, 15, 6, 1, 0x5, features_opteron_g1),
    MODEL("Opteron_G2", "AMD Opteron 22xx (second generation)",
          "AMD Opteron 22xx (Gen 2 Class Opteron)", AMD, 15, 6, 1, 0x5, features_opteron_g2),
    MODEL("SandyBridge", "Intel Core (2nd generation), as far as implemented",
          "Intel Xeon E312xx (Sandy Bridge)", INTEL, 6, 42, 1, 0xd, features_sandy_bridge),
    MODEL("Westmere", "Intel Westmere", "Westmere E56xx/L56xx/X56xx", INTEL, 6, 44, 1, 0xb,
          features_westmere),
    MODEL("core2duo", "Intel Core 2 Duo", "Intel Core 2 Duo CPU", INTEL, 6, 15, 11, 0xa,
          features_core2),
    MODEL("kvm32", "a plain 32-bit CPU, as qemu32", "duodm 32-bit virtual CPU", INTEL, 6, 15, 1,
          0x5, features_32),
    MODEL("kvm64", "a plain 64-bit CPU by Intel", "duodm 64-bit virtual CPU", INTEL, 15, 6, 1, 0xd,
          features_64),
    /* A model number that operating systems know no errata of. */
    MODEL("max", "everything that is implemented (default)", "duodm virtual CPU", INTEL, 6, 45, 7,
          0x15, NULL),
    MODEL("qemu32", "a plain 32-bit CPU", "duodm 32-bit virtual CPU", INTEL, 6, 15, 3, 0x4,
          features_32),
    MODEL("qemu64", "a plain 64-bit CPU", "duodm 64-bit virtual CPU", AMD, 15, 107, 1, 0xd,
          features_64),
};

static void set_features(struct cpu_features *features, const uint8_t *list, bool on)
{
    for (; *list != FEATURE_NONE; list++) {
        cpu_features_set(features, *list, on);
    }
}

static const char *model_name(unsigned n, const char **description)
{
    if (n >= G_N_ELEMENTS(models)) {
        return NULL;
    }
    *description = models[n].description;
    return models[n].name;
}

static void select_model(void *opaque, unsigned n)
{
    struct cpu_model *model = opaque;

    *model = models[n];
    if (model->feature_list) {
        set_features(&model->features, model->feature_list, true);
        return;
    }
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        cpu_features_set(&model->features, f, true);
    }
    set_features(&model->features, features_not_in_max, false);
}

static void set_feature(void *model, unsigned feature, bool on)
{
    cpu_features_set(&((struct cpu_model *)model)->features, feature, on);
}

static bool set_vendor(void *opaque, const char *value, GError **error)
{
    struct cpu_model *model = opaque;
    return cpu_option_parse_vendor(value, &model->amd, error);
}

static bool set_physical_bits(void *opaque, const char *value, GError **error)
{
    struct cpu_model *model = opaque;
    return cpu_option_parse_physical_bits(value, CPU_PHYSICAL_BITS_MIN, CPU_PHYSICAL_BITS_MAX,
                                          &model->physical_bits, error);
}

static const struct cpu_property properties[] = {
    {"vendor", set_vendor},
    {"phys-bits", set_physical_bits},
    {"host-phys-bits", cpu_option_accept_switch},
    {"migratable", cpu_option_accept_switch},
    {"check", cpu_option_accept_switch},
    {"enforce", cpu_option_accept_switch},
    {NULL, NULL},
};

static const struct cpu_option cpu_option = {
    .default_model = CPU_DEFAULT_MODEL,
    .model_name = model_name,
    .select_model = select_model,
    .features = cpu_feature_places,
    .feature_count = FEATURE_COUNT,
    .set_feature = set_feature,
    .properties = properties,
};

/* What means nothing without another feature, or is taken by software as a sign of it. */
static void hide_dependent(struct cpu_features *features)
{
    static const struct {
        uint8_t feature, needed;
    } dependent[] = {
        {FEATURE_INVPCID, FEATURE_PCID}, {FEATURE_XSAVEOPT, FEATURE_XSAVE},
        {FEATURE_XSAVEC, FEATURE_XSAVE}, {FEATURE_XGETBV1, FEATURE_XSAVE},
        {FEATURE_AVX, FEATURE_XSAVE},    {FEATURE_AVX2, FEATURE_AVX},
        {FEATURE_FMA, FEATURE_AVX},      {FEATURE_F16C, FEATURE_AVX},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(dependent); i++) {
        if (!cpu_features_have(features, dependent[i].needed)) {
            cpu_features_set(features, dependent[i].feature, false);
        }
    }
}

void cpu_features_hide_unavailable(struct cpu_features *features, const struct cpu_features *host)
{
#if defined(__x86_64__)
    if (!cpu_features_have(host, FEATURE_CX16)) { /* execute_cmpxchg16b, and its translation */
        cpu_features_set(features, FEATURE_CX16, false);
    }
#endif
    avx_hide_unavailable(features, host);
}

bool cpu_model_parse(const char *text, struct cpu_model *model, GError **error)
{
    struct cpu_features host;

    if (!cpu_option_parse(&cpu_option, text, model, error)) {
        return false;
    }
    host_features_get(&host);
    cpu_features_hide_unavailable(&model->features, &host);
    hide_dependent(&model->features);
    return true;
}

void cpu_model_list(FILE *out)
{
    cpu_option_list(&cpu_option, out);
}

uint32_t cpu_model_signature(const struct cpu_model *model)
{
    unsigned family = model->family, extended_family = 0;

    if (family > 15) {
        extended_family = family - 15;
        family = 15;
    }
    return extended_family << 20 | (uint32_t)(model->model >> 4) << 16 | family << 8 |
           (model->model & 15u) << 4 | model->stepping;
}
