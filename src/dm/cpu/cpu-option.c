/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/cpu/cpu-option.h"
#include "dm/nearest-word.h"
#include "dm/property.h"
#include "util/error.h"

#include <string.h>

#define LINE_WIDTH 78 /* of help */

static bool find_model(const struct cpu_option *option, const char *name, void *model,
                       GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;
    const char *known, *description;

    for (unsigned n = 0; (known = option->model_name(n, &description)); n++) {
        if (g_str_equal(name, known)) {
            option->select_model(model, n);
            return true;
        }
        g_ptr_array_add(names, (void *)known);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "there is no CPU model '%s' (-cpu help lists them)%s", name, hint);
}

static const struct cpu_property *find_property(const struct cpu_option *option, const char *name)
{
    for (const struct cpu_property *p = option->properties; p->name; p++) {
        if (g_str_equal(name, p->name)) {
            return p;
        }
    }
    return NULL;
}

/* sse4.1, sse4_1 and sse4-1 are one: the manuals, Linux and other programs differ. */
static bool is_same_name(const char *a, const char *b)
{
    g_autofree char *x = g_strdelimit(g_strdup(a), "_.", '-');
    g_autofree char *y = g_strdelimit(g_strdup(b), "_.", '-');

    return g_str_equal(x, y);
}

/* Its number, or 0 after an error. */
static unsigned find_feature(const struct cpu_option *option, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (unsigned f = 1; f < option->feature_count; f++) {
        if (is_same_name(name, option->features[f].name)) {
            return f;
        }
        g_ptr_array_add(names, (void *)option->features[f].name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
               "there is no such CPU flag or property (-cpu help lists them)%s", hint);
    return 0;
}

/* "property=value", or "+flag", "-flag", "flag", "flag=on", "flag=off". */
static bool apply_word(const struct cpu_option *option, const char *word, void *model,
                       GError **error)
{
    bool is_signed = word[0] == '+' || word[0] == '-', on = word[0] != '-';
    g_auto(GStrv) parts = g_strsplit(word + is_signed, "=", 2);
    const char *name = parts[0] ? parts[0] : "", *value = parts[0] ? parts[1] : NULL;
    const struct cpu_property *property = is_signed ? NULL : find_property(option, name);
    unsigned feature;

    if (property) {
        return property->set(model, value ? value : "on", error);
    }
    if (value && !parse_bool(value, &on, error)) {
        return false;
    }
    feature = find_feature(option, name, error);
    if (!feature) {
        return false;
    }
    option->set_feature(model, feature, on);
    return true;
}

bool cpu_option_parse(const struct cpu_option *option, const char *text, void *model,
                      GError **error)
{
    g_auto(GStrv) words = g_strsplit(text ? text : option->default_model, ",", -1);

    if (!words[0] || !*words[0]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "no model is named (-cpu help lists them)");
    }
    if (!find_model(option, words[0], model, error)) {
        return false;
    }
    for (unsigned i = 1; words[i]; i++) {
        if (!apply_word(option, words[i], model, error)) {
            g_prefix_error(error, "%s: ", words[i]);
            return false;
        }
    }
    return true;
}

void cpu_option_list(const struct cpu_option *option, FILE *out)
{
    const char *name, *description;
    size_t column = 2;

    fprintf(out, "CPU models:\n");
    for (unsigned n = 0; (name = option->model_name(n, &description)); n++) {
        fprintf(out, "  %-14s  %s\n", name, description);
    }
    fprintf(out, "\nProperties, as in -cpu %s,phys-bits=36:\n ", option->default_model);
    for (const struct cpu_property *p = option->properties; p->name; p++) {
        fprintf(out, " %s=", p->name);
    }
    fprintf(out, "\n\nCPU flags, as in -cpu %s,-smap or -cpu qemu64,+aes:\n ",
            option->default_model);
    for (unsigned f = 1; f < option->feature_count; f++) {
        size_t length = strlen(option->features[f].name);

        if (column + length > LINE_WIDTH) {
            fprintf(out, "\n ");
            column = 2;
        }
        fprintf(out, " %s", option->features[f].name);
        column += length + 1;
    }
    fprintf(out, "\n");
}

bool cpu_option_parse_vendor(const char *value, bool *is_amd, GError **error)
{
    if (!g_str_equal(value, "GenuineIntel") && !g_str_equal(value, "AuthenticAMD")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is not valid: GenuineIntel or AuthenticAMD is expected", value);
    }
    *is_amd = value[0] == 'A';
    return true;
}

bool cpu_option_parse_physical_bits(const char *value, unsigned least, unsigned most, uint8_t *bits,
                                    GError **error)
{
    uint64_t number;

    if (!parse_number(value, &number, error)) {
        return false;
    }
    if (number < least || number > most) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is not valid: %u to %u bits are expected", value, least, most);
    }
    *bits = (uint8_t)number;
    return true;
}

bool cpu_option_accept_switch(void *model, const char *value, GError **error)
{
    bool on;

    return parse_bool(value, &on, error);
}
