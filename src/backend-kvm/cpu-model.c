/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend-kvm/cpu-model.h"
#include "dm/property.h"
#include "util/error.h"

#include <string.h>

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

static const char *hint(const char *word, const char *const *words, char **text)
{
    const char *nearest = nearest_word(word, words);

    *text = nearest ? g_strdup_printf(", did you mean '%s'?", nearest) : g_strdup("");
    return *text;
}

static bool find_model(const char *name, struct kvm_cpu_model *model, GError **error)
{
    const char *names[G_N_ELEMENTS(models) + 1] = {NULL};
    g_autofree char *text = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        names[i] = models[i].name;
        if (g_str_equal(name, models[i].name)) {
            *model = models[i];
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "-cpu %s: there is no such CPU model%s; -cpu help lists them", name,
                      hint(name, names, &text));
}

/* Properties: "name=value"; alone: "name=on". */

static bool set_vendor(struct kvm_cpu_model *model, const char *value, GError **error)
{
    model->vendor = g_str_equal(value, INTEL) ? INTEL : AMD;
    return g_str_equal(value, model->vendor) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "'%s' is not valid: GenuineIntel or AuthenticAMD is expected", value);
}

static bool set_physical_bits(struct kvm_cpu_model *model, const char *value, GError **error)
{
    uint64_t number;

    if (!parse_number(value, &number, error)) {
        return false;
    }
    model->physical_bits = (unsigned)MIN(number, 255);
    return (number >= 32 && number <= 52) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "'%s' is not valid: 32 to 52 bits are expected", value);
}

static bool set_tsc_frequency(struct kvm_cpu_model *model, const char *value, GError **error)
{
    return parse_number(value, &model->tsc_frequency, error);
}

static bool set_kvm(struct kvm_cpu_model *model, const char *value, GError **error)
{
    bool on = true, ok = parse_bool(value, &on, error);

    model->hide_kvm = !on;
    return ok;
}

static bool set_check(struct kvm_cpu_model *model, const char *value, GError **error)
{
    bool on = true, ok = parse_bool(value, &on, error);

    model->quiet = !on;
    return ok;
}

static bool set_enforce(struct kvm_cpu_model *model, const char *value, GError **error)
{
    return parse_bool(value, &model->enforce, error);
}

/* What a migration would decide: there is none, so that only the form is checked. */
static bool accept_switch(struct kvm_cpu_model *model, const char *value, GError **error)
{
    bool on;

    return parse_bool(value, &on, error);
}

static const struct {
    const char *name;
    bool (*set)(struct kvm_cpu_model *model, const char *value, GError **error);
} properties[] = {
    {"vendor", set_vendor},
    {"phys-bits", set_physical_bits},
    {"kvm", set_kvm},
    {"tsc-frequency", set_tsc_frequency},
    {"check", set_check},
    {"enforce", set_enforce},
    {"migratable", accept_switch},
    {"host-phys-bits", accept_switch},
};

/* True if text was a property; *ok says if it had a good value. */
static bool apply_property(struct kvm_cpu_model *model, const char *text, bool *ok, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);

    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++) {
        if (parts[0] && g_str_equal(parts[0], properties[i].name)) {
            *ok = properties[i].set(model, parts[1] ? parts[1] : "on", error);
            if (!*ok) {
                g_prefix_error(error, "-cpu ...,%s: ", text);
            }
            return true;
        }
    }
    return false;
}

/* sse4.1, sse4_1 and sse4-1 are one: the manuals, Linux and other programs differ. */
static bool is_same_name(const char *a, const char *b)
{
    g_autofree char *x = g_strdelimit(g_strdup(a), "_.", '-');
    g_autofree char *y = g_strdelimit(g_strdup(b), "_.", '-');

    return g_str_equal(x, y);
}

/* "+flag", "-flag", "flag", "flag=on", "flag=off". */
static bool apply_flag(struct kvm_cpu_model *model, const char *text, GError **error)
{
    const char *names[FEATURE_COUNT] = {NULL};
    g_autofree char *name = g_strdup(text[0] == '+' || text[0] == '-' ? text + 1 : text);
    g_autofree char *near = NULL;
    char *value = strchr(name, '=');
    bool on = text[0] != '-', ok;

    if (apply_property(model, text, &ok, error)) {
        return ok;
    }
    if (value && value > name) {
        *value++ = '\0';
        if (!parse_bool(value, &on, error)) {
            g_prefix_error(error, "-cpu ...,%s: ", text);
            return false;
        }
    }
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        names[f - 1] = kvm_feature_places[f].name;
        if (is_same_name(name, kvm_feature_places[f].name)) {
            model->added[f] = on;
            model->removed[f] = !on;
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "-cpu ...,%s: there is no such CPU flag%s; -cpu help lists them", text,
                      hint(name, names, &near));
}

bool kvm_cpu_model_parse(const char *text, struct kvm_cpu_model *model, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text ? text : KVM_CPU_DEFAULT_MODEL, ",", -1);

    if (!words[0] || !*words[0]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "-cpu needs a model: -cpu help lists them");
    }
    if (!find_model(words[0], model, error)) {
        return false;
    }
    for (unsigned i = 1; words[i]; i++) {
        if (!apply_flag(model, words[i], error)) {
            return false;
        }
    }
    return true;
}

void kvm_cpu_model_list(FILE *out)
{
    unsigned column = 2;

    fprintf(out, "CPU models:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        fprintf(out, "  %-14s  %s\n", models[i].name, models[i].description);
    }
    fprintf(out, "\nProperties, as in -cpu host,phys-bits=36:\n ");
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++) {
        fprintf(out, " %s=", properties[i].name);
    }
    fprintf(out, "\n\nCPU flags, as in -cpu host,-smap or -cpu qemu64,+aes:\n ");
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        const char *name = kvm_feature_places[f].name;

        if (column + strlen(name) > 78) {
            fprintf(out, "\n ");
            column = 2;
        }
        fprintf(out, " %s", name);
        column += (unsigned)strlen(name) + 1;
    }
    fprintf(out, "\n");
}
