/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/cpu-model.h"
#include "dm/property.h"
#include "tcg/avx.h"
#include "util/error.h"

#include <string.h>

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

static const struct cpu_model models[] = {
    {"Broadwell",
     "Intel Core (5th generation), as far as implemented",
     "Intel Core Processor (Broadwell)",
     false,
     6,
     61,
     2,
     0xd,
     CPU_PHYSICAL_BITS,
     features_broadwell,
     {{0}}},
    {"EPYC",
     "AMD EPYC (Zen), as far as implemented",
     "AMD EPYC Processor",
     true,
     23,
     1,
     2,
     0xd,
     CPU_PHYSICAL_BITS,
     features_epyc,
     {{0}}},
    {"Haswell",
     "Intel Core (4th generation), as far as implemented",
     "Intel Core Processor (Haswell)",
     false,
     6,
     60,
     4,
     0xd,
     CPU_PHYSICAL_BITS,
     features_haswell,
     {{0}}},
    {"IvyBridge",
     "Intel Core (3rd generation), as far as implemented",
     "Intel Xeon E3-12xx v2 (Ivy Bridge)",
     false,
     6,
     58,
     9,
     0xd,
     CPU_PHYSICAL_BITS,
     features_ivy_bridge,
     {{0}}},
    {"Nehalem",
     "Intel Core i7 9xx",
     "Intel Core i7 9xx (Nehalem)",
     false,
     6,
     26,
     3,
     0xb,
     CPU_PHYSICAL_BITS,
     features_nehalem,
     {{0}}},
    {"Opteron_G1",
     "AMD Opteron 240 (first generation)",
     "AMD Opteron 240 (Gen 1 Class Opteron)",
     true,
     15,
     6,
     1,
     0x5,
     CPU_PHYSICAL_BITS,
     features_opteron_g1,
     {{0}}},
    {"Opteron_G2",
     "AMD Opteron 22xx (second generation)",
     "AMD Opteron 22xx (Gen 2 Class Opteron)",
     true,
     15,
     6,
     1,
     0x5,
     CPU_PHYSICAL_BITS,
     features_opteron_g2,
     {{0}}},
    {"SandyBridge",
     "Intel Core (2nd generation), as far as implemented",
     "Intel Xeon E312xx (Sandy Bridge)",
     false,
     6,
     42,
     1,
     0xd,
     CPU_PHYSICAL_BITS,
     features_sandy_bridge,
     {{0}}},
    {"Westmere",
     "Intel Westmere",
     "Westmere E56xx/L56xx/X56xx",
     false,
     6,
     44,
     1,
     0xb,
     CPU_PHYSICAL_BITS,
     features_westmere,
     {{0}}},
    {"core2duo",
     "Intel Core 2 Duo",
     "Intel Core 2 Duo CPU",
     false,
     6,
     15,
     11,
     0xa,
     CPU_PHYSICAL_BITS,
     features_core2,
     {{0}}},
    {"kvm32",
     "a plain 32-bit CPU, as qemu32",
     "duodm 32-bit virtual CPU",
     false,
     6,
     15,
     1,
     0x5,
     CPU_PHYSICAL_BITS,
     features_32,
     {{0}}},
    {"kvm64",
     "a plain 64-bit CPU by Intel",
     "duodm 64-bit virtual CPU",
     false,
     15,
     6,
     1,
     0xd,
     CPU_PHYSICAL_BITS,
     features_64,
     {{0}}},
    /* A model number that operating systems know no errata of. */
    {"max",
     "everything that is implemented (default)",
     "duodm virtual CPU",
     false,
     6,
     45,
     7,
     0x15,
     CPU_PHYSICAL_BITS,
     NULL,
     {{0}}},
    {"qemu32",
     "a plain 32-bit CPU",
     "duodm 32-bit virtual CPU",
     false,
     6,
     15,
     3,
     0x4,
     CPU_PHYSICAL_BITS,
     features_32,
     {{0}}},
    {"qemu64",
     "a plain 64-bit CPU",
     "duodm 64-bit virtual CPU",
     true,
     15,
     107,
     1,
     0xd,
     CPU_PHYSICAL_BITS,
     features_64,
     {{0}}},
};

static void set_features(struct cpu_features *features, const uint8_t *list, bool on)
{
    for (; *list != FEATURE_NONE; list++) {
        cpu_features_set(features, *list, on);
    }
}

static bool find_model(const char *name, struct cpu_model *model, GError **error)
{
    const char *names[G_N_ELEMENTS(models) + 1] = {NULL};
    const char *nearest;

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        names[i] = models[i].name;
        if (!strcmp(name, models[i].name)) {
            *model = models[i];
            if (model->feature_list) {
                set_features(&model->features, model->feature_list, true);
            } else {
                for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
                    cpu_features_set(&model->features, f, true);
                }
                set_features(&model->features, features_not_in_max, false);
            }
            return true;
        }
    }
    nearest = nearest_word(name, names);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "-cpu %s: there is no such CPU model%s%s%s; -cpu help lists them", name,
                      nearest ? ", did you mean '" : "", nearest ? nearest : "",
                      nearest ? "'?" : "");
}

/* sse4.1, sse4_1 and sse4-1 are one: the manuals, Linux and other programs differ. */
static bool is_same_name(const char *a, const char *b)
{
    g_autofree char *x = g_strdelimit(g_strdup(a), "_.", '-');
    g_autofree char *y = g_strdelimit(g_strdup(b), "_.", '-');

    return !strcmp(x, y);
}

static bool set_vendor(struct cpu_model *model, const char *value, GError **error)
{
    if (!g_str_equal(value, "GenuineIntel") && !g_str_equal(value, "AuthenticAMD")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is not valid: GenuineIntel or AuthenticAMD is expected", value);
    }
    model->amd = value[0] == 'A';
    return true;
}

static bool set_physical_bits(struct cpu_model *model, const char *value, GError **error)
{
    uint64_t number;

    if (!parse_number(value, &number, error)) {
        return false;
    }
    if (number < CPU_PHYSICAL_BITS_MIN || number > CPU_PHYSICAL_BITS_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is not valid: %d to %d bits are expected", value,
                          CPU_PHYSICAL_BITS_MIN, CPU_PHYSICAL_BITS_MAX);
    }
    model->physical_bits = (uint8_t)number;
    return true;
}

/* What a host or a migration would decide: there is neither, so that only the form is checked. */
static bool accept_switch(struct cpu_model *model, const char *value, GError **error)
{
    bool on;

    return parse_bool(value, &on, error);
}

/* Properties that are no features: "name=value"; alone: "name=on". */
static const struct {
    const char *name;
    bool (*set)(struct cpu_model *model, const char *value, GError **error);
} model_properties[] = {
    {"vendor", set_vendor},
    {"phys-bits", set_physical_bits},
    {"host-phys-bits", accept_switch},
    {"migratable", accept_switch},
    {"check", accept_switch},
    {"enforce", accept_switch},
};

/* True if text was a property; *ok says if it had a good value. */
static bool apply_property(struct cpu_model *model, const char *text, bool *ok, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);

    for (unsigned i = 0; i < G_N_ELEMENTS(model_properties); i++) {
        if (parts[0] && !strcmp(parts[0], model_properties[i].name)) {
            *ok = model_properties[i].set(model, parts[1] ? parts[1] : "on", error);
            if (!*ok) {
                g_prefix_error(error, "-cpu ...,%s: ", text);
            }
            return true;
        }
    }
    return false;
}

/* "+flag", "-flag", "flag", "flag=on", "flag=off". */
static bool apply_flag(struct cpu_model *model, const char *text, GError **error)
{
    const char *names[FEATURE_COUNT] = {NULL};
    g_autofree char *name = g_strdup(text[0] == '+' || text[0] == '-' ? text + 1 : text);
    char *value = strchr(name, '=');
    const char *nearest;
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
        names[f - 1] = cpu_feature_places[f].name;
        if (is_same_name(name, cpu_feature_places[f].name)) {
            cpu_features_set(&model->features, f, on);
            return true;
        }
    }
    nearest = nearest_word(name, names);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "-cpu ...,%s: there is no such CPU flag%s%s%s; -cpu help lists them", text,
                      nearest ? ", did you mean '" : "", nearest ? nearest : "",
                      nearest ? "'?" : "");
}

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

bool cpu_model_parse(const char *text, struct cpu_model *model, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text ? text : CPU_DEFAULT_MODEL, ",", -1);

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
    avx_hide_unavailable(&model->features);
    hide_dependent(&model->features);
    return true;
}

void cpu_model_list(FILE *out)
{
    unsigned column = 2;

    fprintf(out, "CPU models:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        fprintf(out, "  %-10s  %s\n", models[i].name, models[i].description);
    }
    fprintf(out, "\nProperties, as in -cpu max,phys-bits=36:\n ");
    for (unsigned i = 0; i < G_N_ELEMENTS(model_properties); i++) {
        fprintf(out, " %s=", model_properties[i].name);
    }
    fprintf(out, "\n\nCPU flags, as in -cpu max,-smap or -cpu qemu64,+aes:\n ");
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        const char *name = cpu_feature_places[f].name;

        if (column + strlen(name) > 78) {
            fprintf(out, "\n ");
            column = 2;
        }
        fprintf(out, " %s", name);
        column += strlen(name) + 1;
    }
    fprintf(out, "\n");
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
