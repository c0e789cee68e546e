/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend-kvm/cpu-model.h"
#include "dm/property.h"

const struct cpu_feature_place kvm_feature_places[FEATURE_COUNT] = {
#define FEATURE(id, name, leaf, subleaf, reg, bit) [FEATURE_##id] = {name, leaf, subleaf, reg, bit},
#include "backend-kvm/cpu-features.def"
#undef FEATURE
};

/* Each generation is the one before and more. What a kernel offers its guests (kvmclock and so on)
 * goes with all of them. */
#define FEATURES_KVM                                                                               \
    FEATURE_KVMCLOCK_OLD, FEATURE_KVM_NOPIODELAY, FEATURE_KVMCLOCK, FEATURE_KVM_ASYNCPF,           \
        FEATURE_KVM_STEAL_TIME, FEATURE_KVM_PV_EOI, FEATURE_KVM_PV_UNHALT,                         \
        FEATURE_KVM_PV_TLB_FLUSH, FEATURE_KVM_PV_IPI, FEATURE_KVM_POLL_CONTROL,                    \
        FEATURE_KVM_PV_SCHED_YIELD, FEATURE_KVM_ASYNCPF_INT, FEATURE_KVMCLOCK_STABLE
#define FEATURES_32                                                                                \
    FEATURES_KVM, FEATURE_HYPERVISOR, FEATURE_X2APIC, FEATURE_FPU, FEATURE_DE, FEATURE_PSE,        \
        FEATURE_TSC, FEATURE_MSR, FEATURE_PAE, FEATURE_MCE, FEATURE_CX8, FEATURE_APIC,             \
        FEATURE_SEP, FEATURE_MTRR, FEATURE_PGE, FEATURE_MCA, FEATURE_CMOV, FEATURE_PAT,            \
        FEATURE_PSE36, FEATURE_CLFLUSH, FEATURE_MMX, FEATURE_FXSR, FEATURE_SSE, FEATURE_SSE2,      \
        FEATURE_SSE3
#define FEATURES_OPTERON_G1 FEATURES_32, FEATURE_LM, FEATURE_SYSCALL, FEATURE_NX
#define FEATURES_64         FEATURES_OPTERON_G1, FEATURE_CX16, FEATURE_LAHF_LM
#define FEATURES_CORE2      FEATURES_64, FEATURE_VME, FEATURE_SSSE3
#define FEATURES_NEHALEM    FEATURES_CORE2, FEATURE_SSE4_1, FEATURE_SSE4_2, FEATURE_POPCNT
#define FEATURES_WESTMERE   FEATURES_NEHALEM, FEATURE_AES, FEATURE_PCLMULQDQ
#define FEATURES_SANDY_BRIDGE                                                                      \
    FEATURES_WESTMERE, FEATURE_XSAVE, FEATURE_AVX, FEATURE_TSC_DEADLINE, FEATURE_RDTSCP,           \
        FEATURE_XSAVEOPT, FEATURE_ARAT
#define FEATURES_IVY_BRIDGE                                                                        \
    FEATURES_SANDY_BRIDGE, FEATURE_F16C, FEATURE_RDRAND, FEATURE_FSGSBASE, FEATURE_SMEP,           \
        FEATURE_ERMS
#define FEATURES_HASWELL                                                                           \
    FEATURES_IVY_BRIDGE, FEATURE_FMA, FEATURE_MOVBE, FEATURE_BMI1, FEATURE_AVX2, FEATURE_BMI2,     \
        FEATURE_PCID, FEATURE_INVPCID, FEATURE_ABM
#define FEATURES_BROADWELL                                                                         \
    FEATURES_HASWELL, FEATURE_RDSEED, FEATURE_ADX, FEATURE_SMAP, FEATURE_PREFETCHW
#define FEATURES_SKYLAKE_SERVER                                                                    \
    FEATURES_BROADWELL, FEATURE_AVX512F, FEATURE_AVX512DQ, FEATURE_CLFLUSHOPT, FEATURE_CLWB,       \
        FEATURE_AVX512CD, FEATURE_AVX512BW, FEATURE_AVX512VL, FEATURE_XSAVEC, FEATURE_XGETBV1,     \
        FEATURE_PDPE1GB
#define FEATURES_ZEN                                                                               \
    FEATURES_WESTMERE, FEATURE_FMA, FEATURE_MOVBE, FEATURE_XSAVE, FEATURE_AVX, FEATURE_F16C,       \
        FEATURE_RDRAND, FEATURE_VME, FEATURE_ARAT, FEATURE_FSGSBASE, FEATURE_BMI1, FEATURE_AVX2,   \
        FEATURE_SMEP, FEATURE_BMI2, FEATURE_RDSEED, FEATURE_ADX, FEATURE_SMAP, FEATURE_CLFLUSHOPT, \
        FEATURE_SHA, FEATURE_XSAVEOPT, FEATURE_XSAVEC, FEATURE_XGETBV1, FEATURE_CR8LEGACY,         \
        FEATURE_ABM, FEATURE_SSE4A, FEATURE_MISALIGNSSE, FEATURE_PREFETCHW, FEATURE_OSVW,          \
        FEATURE_TOPOEXT, FEATURE_MMXEXT, FEATURE_FXSR_OPT, FEATURE_PDPE1GB, FEATURE_RDTSCP

#define LIST(name_, ...) static const uint8_t features_##name_[] = {__VA_ARGS__, FEATURE_NONE}
LIST(32, FEATURES_32);
LIST(64, FEATURES_64);
LIST(opteron_g1, FEATURES_OPTERON_G1);
LIST(opteron_g2, FEATURES_64, FEATURE_RDTSCP);
LIST(core2, FEATURES_CORE2);
LIST(nehalem, FEATURES_NEHALEM);
LIST(westmere, FEATURES_WESTMERE);
LIST(sandy_bridge, FEATURES_SANDY_BRIDGE);
LIST(ivy_bridge, FEATURES_IVY_BRIDGE);
LIST(haswell, FEATURES_HASWELL);
LIST(broadwell, FEATURES_BROADWELL);
LIST(skylake_server, FEATURES_SKYLAKE_SERVER);
LIST(epyc, FEATURES_ZEN);

#define INTEL "GenuineIntel"
#define AMD   "AuthenticAMD"
#define MODEL(name_, description_, brand_, vendor_, family_, model_, stepping_, list_)             \
    {                                                                                              \
        .name = name_, .description = description_, .brand = brand_, .vendor = vendor_,            \
        .family = family_, .model = model_, .stepping = stepping_, .max_leaf = 0xd,                \
        .feature_list = list_                                                                      \
    }

static const struct kvm_cpu_model models[] = {
    MODEL("Broadwell", "Intel Core (5th generation)", "Intel Core Processor (Broadwell)", INTEL, 6,
          61, 2, features_broadwell),
    MODEL("EPYC", "AMD EPYC (Zen)", "AMD EPYC Processor", AMD, 23, 1, 2, features_epyc),
    MODEL("Haswell", "Intel Core (4th generation)", "Intel Core Processor (Haswell)", INTEL, 6, 60,
          4, features_haswell),
    MODEL("IvyBridge", "Intel Core (3rd generation)", "Intel Xeon E3-12xx v2 (Ivy Bridge)", INTEL,
          6, 58, 9, features_ivy_bridge),
    MODEL("Nehalem", "Intel Core i7 9xx", "Intel Core i7 9xx (Nehalem)", INTEL, 6, 26, 3,
          features_nehalem),
    MODEL("Opteron_G1", "AMD Opteron 240 (first generation)",
          "AMD Opteron 240 (Gen 1 Class Opteron)", AMD, 15, 6, 1, features_opteron_g1),
    MODEL("Opteron_G2", "AMD Opteron 22xx (second generation)",
          "AMD Opteron 22xx (Gen 2 Class Opteron)", AMD, 15, 6, 1, features_opteron_g2),
    MODEL("SandyBridge", "Intel Core (2nd generation)", "Intel Xeon E312xx (Sandy Bridge)", INTEL,
          6, 42, 1, features_sandy_bridge),
    MODEL("Skylake-Server", "Intel Xeon (Skylake)", "Intel Xeon Processor (Skylake)", INTEL, 6, 85,
          4, features_skylake_server),
    MODEL("Westmere", "Intel Westmere", "Westmere E56xx/L56xx/X56xx", INTEL, 6, 44, 1,
          features_westmere),
    MODEL("core2duo", "Intel Core 2 Duo", "Intel Core 2 Duo CPU", INTEL, 6, 15, 11, features_core2),
    {.name = "host", .description = "the host's processor, as far as KVM has it (default)"},
    MODEL("kvm32", "a plain 32-bit CPU", "duodm 32-bit virtual CPU", INTEL, 6, 15, 1, features_32),
    MODEL("kvm64", "a plain 64-bit CPU by Intel", "duodm 64-bit virtual CPU", INTEL, 15, 6, 1,
          features_64),
    {.name = "max", .description = "another name of host"},
    MODEL("qemu32", "a plain 32-bit CPU", "duodm 32-bit virtual CPU", INTEL, 6, 15, 3, features_32),
    MODEL("qemu64", "a plain 64-bit CPU", "duodm 64-bit virtual CPU", AMD, 15, 107, 1, features_64),
};

static const char *model_name(unsigned n, const char **description)
{
    if (n >= G_N_ELEMENTS(models)) {
        return NULL;
    }
    *description = models[n].description;
    return models[n].name;
}

static void select_model(void *model, unsigned n)
{
    *(struct kvm_cpu_model *)model = models[n];
}

static void set_feature(void *opaque, unsigned feature, bool on)
{
    struct kvm_cpu_model *model = opaque;

    model->added[feature] = on;
    model->removed[feature] = !on;
}

static bool set_vendor(void *opaque, const char *value, GError **error)
{
    struct kvm_cpu_model *model = opaque;
    bool is_amd;

    if (!cpu_option_parse_vendor(value, &is_amd, error)) {
        return false;
    }
    model->vendor = is_amd ? AMD : INTEL;
    return true;
}

static bool set_physical_bits(void *opaque, const char *value, GError **error)
{
    struct kvm_cpu_model *model = opaque;
    return cpu_option_parse_physical_bits(value, 32, 52, &model->physical_bits, error);
}

static bool set_tsc_frequency(void *opaque, const char *value, GError **error)
{
    struct kvm_cpu_model *model = opaque;
    return parse_number(value, &model->tsc_frequency, error);
}

static bool set_kvm(void *opaque, const char *value, GError **error)
{
    struct kvm_cpu_model *model = opaque;
    bool on = true, ok = parse_bool(value, &on, error);

    model->hide_kvm = !on;
    return ok;
}

static bool set_check(void *opaque, const char *value, GError **error)
{
    struct kvm_cpu_model *model = opaque;
    bool on = true, ok = parse_bool(value, &on, error);

    model->quiet = !on;
    return ok;
}

static bool set_enforce(void *opaque, const char *value, GError **error)
{
    struct kvm_cpu_model *model = opaque;
    return parse_bool(value, &model->enforce, error);
}

static const struct cpu_property properties[] = {
    {"vendor", set_vendor},
    {"phys-bits", set_physical_bits},
    {"kvm", set_kvm},
    {"tsc-frequency", set_tsc_frequency},
    {"check", set_check},
    {"enforce", set_enforce},
    {"migratable", cpu_option_accept_switch},
    {"host-phys-bits", cpu_option_accept_switch},
    {NULL, NULL},
};

static const struct cpu_option cpu_option = {
    .default_model = "host",
    .model_name = model_name,
    .select_model = select_model,
    .features = kvm_feature_places,
    .feature_count = FEATURE_COUNT,
    .set_feature = set_feature,
    .properties = properties,
};

bool kvm_cpu_model_parse(const char *text, struct kvm_cpu_model *model, GError **error)
{
    return cpu_option_parse(&cpu_option, text, model, error);
}

void kvm_cpu_model_list(FILE *out)
{
    cpu_option_list(&cpu_option, out);
}
