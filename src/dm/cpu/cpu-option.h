/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -cpu MODEL[,+flag][,-flag][,flag=on|off][,property=value]: what all engines read alike. What
 * there is to name is in tables of the engine, and what was named goes into a model of its own.
 */
#ifndef DUODM_DM_CPU_CPU_OPTION_H
#define DUODM_DM_CPU_CPU_OPTION_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A CPU feature: its name for -cpu, and the bit of CPUID that shows it. */
struct cpu_feature_place {
    const char *name;
    uint32_t leaf, subleaf;
    uint8_t reg, bit; /* reg: 0 to 3 for EAX, EBX, ECX, EDX */
};

/* What a user sets by "name=value"; "name" alone is "name=on". */
struct cpu_property {
    const char *name;
    /* model: the engine's. The error says what is wrong with the value. */
    bool (*set)(void *model, const char *value, GError **error);
};

struct cpu_option {
    const char *default_model;
    /* The name of model n and a line about it; NULL past the last. */
    const char *(*model_name)(unsigned n, const char **description);
    void (*select_model)(void *model, unsigned n);
    const struct cpu_feature_place *features; /* 1 to feature_count - 1; 0 is none */
    unsigned feature_count;
    void (*set_feature)(void *model, unsigned feature, bool on);
    const struct cpu_property *properties; /* ended by one without a name */
};

/* Fill an engine's model; text NULL: the default. Errors say which word is wrong, not that it is
 * -cpu's, and which is the nearest that is right. */
bool cpu_option_parse(const struct cpu_option *option, const char *text, void *model,
                      GError **error);
/* What -cpu help prints. */
void cpu_option_list(const struct cpu_option *option, FILE *out);

/* Values that engines read alike; on failure nothing is stored. vendor: one of CPUID's two names.
 * phys-bits: bits of a physical address, least to most. */
bool cpu_option_parse_vendor(const char *value, bool *is_amd, GError **error);
bool cpu_option_parse_physical_bits(const char *value, unsigned least, unsigned most, uint8_t *bits,
                                    GError **error);

/* A cpu_property's set for what would matter to a host or a migration that there is not: only the
 * value's form is checked. */
bool cpu_option_accept_switch(void *model, const char *value, GError **error);

#endif
