/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU models and features: what -cpu selects, what CPUID shows, what decodes. */
#ifndef DUODM_TCG_FEATURES_H
#define DUODM_TCG_FEATURES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cpu_feature {
    FEATURE_NONE, /* always there */
#define FEATURE(id, name, leaf, subleaf, reg, bit) FEATURE_##id,
#include "tcg/features.def"
#undef FEATURE
    FEATURE_COUNT
};

struct cpu_features {
    uint64_t bits[(FEATURE_COUNT + 63) / 64];
};

static inline bool cpu_features_have(const struct cpu_features *features, enum cpu_feature f)
{
    return (features->bits[f / 64] >> (f % 64)) & 1;
}

static inline void cpu_features_set(struct cpu_features *features, enum cpu_feature f, bool on)
{
    uint64_t bit = UINT64_C(1) << (f % 64);

    features->bits[f / 64] = on ? features->bits[f / 64] | bit : features->bits[f / 64] & ~bit;
}

#endif
