/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -cpu under kvm: what is parsed, what a guest then sees, and that it never sees what the host
 * lacks. */
#include "backend-kvm/cpuid.h"

#include "suite.h"

#include <string.h>

static struct kvm_cpuid2 *new_table(void)
{
    return g_malloc0(sizeof(struct kvm_cpuid2) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
}

static struct kvm_cpuid_entry2 *entry_of(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < table->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &table->entries[i];

        if (entry->function == leaf && entry->index == subleaf) {
            return entry;
        }
    }
    return NULL;
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf,
                                    bool indexed)
{
    struct kvm_cpuid_entry2 *entry = &table->entries[table->nent++];

    entry->function = leaf;
    entry->index = subleaf;
    entry->flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    return entry;
}

/* A host that has all that has a name here, but AVX-512F. */
static struct kvm_cpuid2 *host(const char *vendor)
{
    static const uint32_t leaves[] = {0,          1,          6,          0xa,
                                      0x40000000, 0x40000001, 0x80000000, 0x80000001,
                                      0x80000007, 0x80000008, 0x8000001e};
    struct kvm_cpuid2 *table = new_table();

    for (unsigned i = 0; i < G_N_ELEMENTS(leaves); i++) {
        add(table, leaves[i], 0, false);
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned level = i < 2 ? 1 : i;

        add(table, 4, i, true)->eax = 1 | level << 5;
        add(table, 0x8000001d, i, true)->eax = 1 | level << 5;
    }
    add(table, 7, 0, true);
    add(table, 7, 1, true);
    add(table, 0xb, 0, true);
    add(table, 0xd, 0, true)->eax = 0xe7;
    add(table, 0xd, 1, true);
    add(table, 0xd, 2, true)->eax = 256;
    add(table, 0xd, 5, true)->eax = 64;
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        const struct cpu_feature_place *place = &kvm_feature_places[f];
        __u32 *registers = &entry_of(table, place->leaf, place->subleaf)->eax;

        registers[place->reg] |= f == FEATURE_AVX512F ? 0 : 1u << place->bit;
    }
    entry_of(table, 0, 0)->eax = 0x1f;
    memcpy(&entry_of(table, 0, 0)->ebx, vendor, 4);
    return table;
}

static bool has(struct kvm_cpuid2 *table, enum cpu_feature f)
{
    const struct cpu_feature_place *place = &kvm_feature_places[f];
    struct kvm_cpuid_entry2 *entry = entry_of(table, place->leaf, place->subleaf);

    return entry && ((&entry->eax)[place->reg] >> place->bit & 1);
}

/* What a guest sees of a host, or NULL and *error. */
static struct kvm_cpuid2 *show(const char *text, GError **error)
{
    struct kvm_cpuid2 *table = host("Genu");
    struct kvm_cpu_model model;

    if (kvm_cpu_model_parse(text, &model, error) && kvm_cpuid_apply_model(table, &model, error)) {
        return table;
    }
    g_free(table);
    return NULL;
}

static void test_host(void)
{
    g_autofree struct kvm_cpuid2 *table = show(NULL, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    CU_ASSERT_TRUE(has(table, FEATURE_AVX2));
    CU_ASSERT_TRUE(has(table, FEATURE_KVMCLOCK));
    CU_ASSERT_FALSE(has(table, FEATURE_VMX));
    CU_ASSERT_FALSE(has(table, FEATURE_SVM));
    CU_ASSERT_FALSE(has(table, FEATURE_MONITOR));
    /* What needs a missing feature goes with it, and so does its register state. */
    CU_ASSERT_FALSE(has(table, FEATURE_AVX512BW));
    CU_ASSERT_EQUAL(entry_of(table, 0xd, 0)->eax & 0xe0, 0);
    CU_ASSERT_EQUAL(entry_of(table, 0xd, 5)->eax, 0);
    CU_ASSERT_EQUAL(entry_of(table, 0xd, 2)->eax, 256);
}

static void test_flags(void)
{
    g_autofree struct kvm_cpuid2 *without = show("host,-xsave,+svm,kvm=off", NULL);
    g_autoptr(GError) error = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(without);
    CU_ASSERT_FALSE(has(without, FEATURE_AVX));
    CU_ASSERT_FALSE(has(without, FEATURE_FMA));
    CU_ASSERT_PTR_NULL(entry_of(without, 0xd, 0));
    CU_ASSERT_TRUE(has(without, FEATURE_SVM));
    CU_ASSERT_PTR_NULL(entry_of(without, 0x40000000, 0));
    CU_ASSERT_TRUE(has(without, FEATURE_HYPERVISOR));
    CU_ASSERT_PTR_NULL(show("host,+avx512f", &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "avx512f"));
}

static void test_models(void)
{
    g_autofree struct kvm_cpuid2 *table = show("qemu64,phys-bits=36", NULL);
    g_autofree struct kvm_cpuid2 *skylake = show("Skylake-Server,check=off", NULL);
    g_autoptr(GError) error = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    CU_ASSERT_EQUAL(memcmp(&entry_of(table, 0, 0)->ebx, "Auth", 4), 0);
    CU_ASSERT_EQUAL(memcmp(&entry_of(table, 0x80000002, 0)->eax, "duodm", 5), 0);
    CU_ASSERT_EQUAL(entry_of(table, 1, 0)->eax, 0x60fb1); /* family 15, model 107 */
    CU_ASSERT_EQUAL(entry_of(table, 0x80000008, 0)->eax & 0xff, 36);
    CU_ASSERT_FALSE(has(table, FEATURE_AVX));
    CU_ASSERT_TRUE(has(table, FEATURE_CX16));
    CU_ASSERT_PTR_NULL(entry_of(table, 0xa, 0));
    CU_ASSERT_EQUAL(entry_of(table, 0, 0)->eax, 0xd);
    CU_ASSERT_PTR_NOT_NULL_FATAL(skylake);
    CU_ASSERT_FALSE(has(skylake, FEATURE_AVX512F));
    CU_ASSERT_PTR_NULL(show("Skylake-Server,enforce", &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "avx512f"));
}

static void test_bad_text(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "no model is named"},           {"hots", "did you mean 'host'"},
        {"host,+avx3", "did you mean 'avx"}, {"host,avx=perhaps", "perhaps"},
        {"host,phys-bits=80", "32 to 52"},   {"host,vendor=Me", "GenuineIntel"},
        {"host,tsc-frequency=fast", "fast"}, {"host,", "no such CPU flag"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct kvm_cpu_model model;
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE(kvm_cpu_model_parse(cases[i].text, &model, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, cases[i].message));
    }
}

static void test_topology(void)
{
    g_autofree struct kvm_cpuid2 *intel = host("Genu"), *amd = host("Auth");
    struct cpu_topology topology = {.threads = 2, .cores = 3, .apic_id = 0x0d};

    kvm_cpuid_apply_topology(intel, &topology);
    kvm_cpuid_apply_topology(amd, &topology);
    CU_ASSERT_EQUAL(entry_of(intel, 1, 0)->ebx, 0x0d080000);
    CU_ASSERT_TRUE(entry_of(intel, 1, 0)->edx >> 28 & 1);
    CU_ASSERT_EQUAL(entry_of(intel, 0xb, 0)->eax, 1);
    CU_ASSERT_EQUAL(entry_of(intel, 0xb, 0)->ebx, 2);
    CU_ASSERT_EQUAL(entry_of(intel, 0xb, 1)->eax, 3);
    CU_ASSERT_EQUAL(entry_of(intel, 0xb, 1)->ebx, 6);
    CU_ASSERT_EQUAL(entry_of(intel, 0xb, 1)->ecx, 0x201);
    CU_ASSERT_EQUAL(entry_of(intel, 0xb, 2)->edx, 0x0d);
    CU_ASSERT_EQUAL(entry_of(intel, 4, 0)->eax >> 14 & 0xfff, 1);
    CU_ASSERT_EQUAL(entry_of(intel, 4, 3)->eax >> 14 & 0xfff, 7);
    CU_ASSERT_EQUAL(entry_of(intel, 4, 3)->eax >> 26, 3);
    CU_ASSERT_EQUAL(entry_of(amd, 0x80000008, 0)->ecx, 3u << 12 | 5);
    CU_ASSERT_EQUAL(entry_of(amd, 0x8000001e, 0)->eax, 0x0d);
    CU_ASSERT_EQUAL(entry_of(amd, 0x8000001e, 0)->ebx, 1u << 8 | 2); /* core 2 of package 1 */
    CU_ASSERT_EQUAL(entry_of(amd, 0x8000001e, 0)->ecx, 1);
    CU_ASSERT_EQUAL(entry_of(amd, 0x8000001d, 3)->eax >> 14 & 0xfff, 5);
    topology = (struct cpu_topology){1, 1, 0};
    kvm_cpuid_apply_topology(intel, &topology);
    CU_ASSERT_FALSE(entry_of(intel, 1, 0)->edx >> 28 & 1);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"host", test_host},         {"flags", test_flags},       {"models", test_models},
        {"bad text", test_bad_text}, {"topology", test_topology}, {NULL, NULL},
    };

    return unit_run("kvm cpuid", tests);
}
