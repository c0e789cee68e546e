/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -cpu asks for. cpuid.c makes of it, and of what the kernel supports, what a guest sees. */
#ifndef DUODM_BACKEND_KVM_CPU_MODEL_H
#define DUODM_BACKEND_KVM_CPU_MODEL_H

#include "dm/cpu/cpu-option.h"

enum cpu_feature {
    FEATURE_NONE,
#define FEATURE(id, name, leaf, subleaf, reg, bit) FEATURE_##id,
#include "backend-kvm/cpu-features.def"
#undef FEATURE
    FEATURE_COUNT
};

enum { EAX, EBX, ECX, EDX };

extern const struct cpu_feature_place kvm_feature_places[FEATURE_COUNT];

struct kvm_cpu_model {
    const char *name, *description;
    /* The rest up to feature_list is the host's where it is NULL or 0. */
    const char *brand;  /* CPUID 80000002h: up to 47 characters */
    const char *vendor; /* 12 characters */
    uint8_t family, model, stepping;
    uint32_t max_leaf;
    const uint8_t *feature_list; /* enum cpu_feature, ended by FEATURE_NONE; NULL: the host's */

    /* Of the rest of -cpu's text. */
    bool added[FEATURE_COUNT], removed[FEATURE_COUNT];
    uint8_t physical_bits;  /* 0: the host's */
    uint64_t tsc_frequency; /* Hz; 0: the host's */
    bool hide_kvm;          /* kvm=off */
    bool quiet, enforce;    /* check=off: say nothing of what the host lacks; enforce=on: fail */
};

/* Read -cpu's text (cpu-option.h); NULL: the default model. */
bool kvm_cpu_model_parse(const char *text, struct kvm_cpu_model *model, GError **error);
void kvm_cpu_model_list(FILE *out);

#endif
