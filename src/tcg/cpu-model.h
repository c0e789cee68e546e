/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU models: what -cpu NAME[,+flag][,-flag] names. */
#ifndef DUODM_TCG_CPU_MODEL_H
#define DUODM_TCG_CPU_MODEL_H

#include "dm/cpu/cpu-option.h"
#include "tcg/features.h"

struct cpu_model {
    const char *name; /* as -cpu has it */
    const char *description;
    const char *brand; /* CPUID 80000002h: up to 47 characters */
    bool amd;          /* AuthenticAMD, else GenuineIntel */
    uint8_t family, model, stepping;
    uint32_t max_leaf;            /* CPUID 0 */
    uint8_t physical_bits;        /* MAXPHYADDR; phys-bits= */
    const uint8_t *feature_list;  /* enum cpu_feature, ended by FEATURE_NONE; NULL: all */
    struct cpu_features features; /* made by cpu_model_parse */
};

#define CPU_DEFAULT_MODEL     "max"
#define CPU_PHYSICAL_BITS     40 /* MAXPHYADDR unless phys-bits= says otherwise */
#define CPU_PHYSICAL_BITS_MIN 32
#define CPU_PHYSICAL_BITS_MAX 52
#define CPU_LINEAR_BITS       48
#define CPU_TSC_FREQUENCY     1000000000u /* Hz */
#define CPU_MAX_EXTENDED      0x80000008u
#define CPU_MAX_HYPERVISOR    0x40000000u

/* Read -cpu's text (cpu-option.h); NULL: the default model. */
bool cpu_model_parse(const char *text, struct cpu_model *model, GError **error);
/* Take from *features what is done by the host's own instruction, where the host has none. */
void cpu_features_hide_unavailable(struct cpu_features *features, const struct cpu_features *host);
void cpu_model_list(FILE *out);
/* CPUID 1 EAX. */
uint32_t cpu_model_signature(const struct cpu_model *model);

/* By enum cpu_feature. */
extern const struct cpu_feature_place cpu_feature_places[FEATURE_COUNT];

#endif
