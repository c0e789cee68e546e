/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID: SDM vol. 2, CPUID; APM vol. 3, appendix E. */
#include "backend-kvm/cpuid.h"
#include "backend-kvm/kvm-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <inttypes.h>
#include <string.h>

#define LEAF_KVM          0x40000000u
#define LEAF_KVM_FEATURES 0x40000001u

#define HTT       (1u << 28) /* 1.EDX */
#define CMPLEGACY (1u << 1)  /* 80000001.ECX */

/* Bits of 1.EDX that AMD shows again in 80000001.EDX. */
#define AMD_COMMON_EDX 0x0183f3ffu

/* Not in "host": a snapshot does not hold the state of nested guests; and MWAIT would let an idle
 * guest keep the processor. */
static const uint8_t hidden[] = {FEATURE_VMX, FEATURE_SVM, FEATURE_MONITOR};

/* Features whose register state XSAVE keeps: component bits of leaf Dh. */
static const struct {
    enum cpu_feature feature;
    uint32_t components;
} xsave_parts[] = {
    {FEATURE_AVX, 1u << 2}, {FEATURE_MPX, 3u << 3},       {FEATURE_AVX512F, 7u << 5},
    {FEATURE_PKU, 1u << 9}, {FEATURE_AMX_TILE, 3u << 17},
};

/* Features that make no sense without another. */
static const struct {
    enum cpu_feature feature, needs;
} dependencies[] = {
    {FEATURE_INVPCID, FEATURE_PCID},
    {FEATURE_XSAVEOPT, FEATURE_XSAVE},
    {FEATURE_XSAVEC, FEATURE_XSAVE},
    {FEATURE_XGETBV1, FEATURE_XSAVE},
    {FEATURE_XSAVES, FEATURE_XSAVE},
    {FEATURE_AVX, FEATURE_XSAVE},
    {FEATURE_PKU, FEATURE_XSAVE},
    {FEATURE_AMX_TILE, FEATURE_XSAVE},
    {FEATURE_AMX_INT8, FEATURE_AMX_TILE},
    {FEATURE_AMX_BF16, FEATURE_AMX_TILE},
    {FEATURE_FMA, FEATURE_AVX},
    {FEATURE_F16C, FEATURE_AVX},
    {FEATURE_AVX2, FEATURE_AVX},
    {FEATURE_FMA4, FEATURE_AVX},
    {FEATURE_VAES, FEATURE_AVX},
    {FEATURE_VPCLMULQDQ, FEATURE_AVX},
    {FEATURE_AVX_VNNI, FEATURE_AVX2},
    {FEATURE_AVX512F, FEATURE_AVX2},
    {FEATURE_AVX512DQ, FEATURE_AVX512F},
    {FEATURE_AVX512IFMA, FEATURE_AVX512F},
    {FEATURE_AVX512CD, FEATURE_AVX512F},
    {FEATURE_AVX512BW, FEATURE_AVX512F},
    {FEATURE_AVX512VL, FEATURE_AVX512F},
    {FEATURE_AVX512VBMI, FEATURE_AVX512F},
    {FEATURE_AVX512VBMI2, FEATURE_AVX512F},
    {FEATURE_AVX512VNNI, FEATURE_AVX512F},
    {FEATURE_AVX512BITALG, FEATURE_AVX512F},
    {FEATURE_AVX512VPOPCNTDQ, FEATURE_AVX512F},
    {FEATURE_AVX512_BF16, FEATURE_AVX512F},
};

/* Entries. */

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        if (entry->function == leaf &&
            (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == subleaf)) {
            return entry;
        }
    }
    return NULL;
}

static void drop(struct kvm_cpuid2 *cpuid, uint32_t first, uint32_t last)
{
    unsigned count = 0;

    for (unsigned i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function < first || cpuid->entries[i].function > last) {
            cpuid->entries[count++] = cpuid->entries[i];
        }
    }
    cpuid->nent = count;
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf,
                                    bool indexed)
{
    struct kvm_cpuid_entry2 *entry = &cpuid->entries[cpuid->nent];

    if (cpuid->nent == KVM_CPUID_MAX) {
        return NULL;
    }
    cpuid->nent++;
    *entry = (struct kvm_cpuid_entry2){
        .function = leaf,
        .index = subleaf,
        .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
    };
    return entry;
}

static uint32_t *register_of(struct kvm_cpuid_entry2 *entry, unsigned reg)
{
    __u32 *const registers[] = {&entry->eax, &entry->ebx, &entry->ecx, &entry->edx};

    return registers[reg];
}

static uint32_t *feature_word(struct kvm_cpuid2 *cpuid, enum cpu_feature f)
{
    const struct cpu_feature_place *place = &kvm_feature_places[f];
    struct kvm_cpuid_entry2 *entry = find(cpuid, place->leaf, place->subleaf);

    return entry ? register_of(entry, place->reg) : NULL;
}

static bool has(struct kvm_cpuid2 *cpuid, enum cpu_feature f)
{
    const uint32_t *word = feature_word(cpuid, f);

    return word && (*word >> kvm_feature_places[f].bit & 1);
}

static void set(struct kvm_cpuid2 *cpuid, enum cpu_feature f, bool on)
{
    uint32_t *word = feature_word(cpuid, f), bit = 1u << kvm_feature_places[f].bit;

    if (word) {
        *word = on ? *word | bit : *word & ~bit;
    }
}

/* Model. */

static bool is_in_list(const uint8_t *list, enum cpu_feature f)
{
    while (*list != FEATURE_NONE && *list != f) {
        list++;
    }
    return *list == f;
}

static bool model_has(const struct kvm_cpu_model *model, enum cpu_feature f)
{
    return model->feature_list ? is_in_list(model->feature_list, f)
                               : !memchr(hidden, (int)f, sizeof(hidden));
}

static bool check_added(struct kvm_cpuid2 *cpuid, const struct kvm_cpu_model *model, GError **error)
{
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        if (model->added[f] && !has(cpuid, f)) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "-cpu %s,+%s: this host can't give a guest that feature: leave it "
                              "out, or use -accel tcg",
                              model->name, kvm_feature_places[f].name);
        }
    }
    return true;
}

static bool check_missing(struct kvm_cpuid2 *cpuid, const struct kvm_cpu_model *model,
                          GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        if (model_has(model, f) && !model->removed[f] && !has(cpuid, f) &&
            kvm_feature_places[f].leaf != LEAF_KVM_FEATURES) {
            g_string_append_printf(names, " %s", kvm_feature_places[f].name);
        }
    }
    if (!names->len || !model->feature_list) {
        return true;
    }
    if (model->enforce) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "-cpu %s,enforce: this host lacks%s: remove these with -FLAG, or choose "
                          "another model",
                          model->name, names->str);
    }
    if (!model->quiet) {
        log_warning("-cpu %s: this host lacks%s: the guest does not see them", model->name,
                    names->str);
    }
    return true;
}

/* A model of another processor shows nothing that is not in its list: neither bits without a name
 * here nor leaves that describe the host. */
static void clear_unnamed(struct kvm_cpuid2 *cpuid)
{
    static const uint32_t words[][3] = {
        {1, 0, ECX},          {1, 0, EDX},          {6, 0, EAX},          {7, 0, EBX},
        {7, 0, ECX},          {7, 0, EDX},          {7, 1, EAX},          {0xd, 1, EAX},
        {0x80000001, 0, ECX}, {0x80000001, 0, EDX}, {0x80000007, 0, EDX}, {0x80000008, 0, EBX}};

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        struct kvm_cpuid_entry2 *entry = find(cpuid, words[i][0], words[i][1]);
        uint32_t named = 0;

        for (unsigned f = FEATURE_NONE + 1; entry && f < FEATURE_COUNT; f++) {
            const struct cpu_feature_place *place = &kvm_feature_places[f];

            if (place->leaf == words[i][0] && place->subleaf == words[i][1] &&
                place->reg == words[i][2]) {
                named |= 1u << place->bit;
            }
        }
        if (entry) {
            *register_of(entry, words[i][2]) &= named;
        }
    }
    drop(cpuid, 0xa, 0xa);
    drop(cpuid, 0x8000000a, 0x8000001c);
    drop(cpuid, 0x8000001f, 0xbfffffff);
}

static void apply_dependencies(struct kvm_cpuid2 *cpuid)
{
    struct kvm_cpuid_entry2 *xsave = find(cpuid, 0xd, 0);

    for (unsigned i = 0; i < G_N_ELEMENTS(dependencies); i++) {
        if (!has(cpuid, dependencies[i].needs)) {
            set(cpuid, dependencies[i].feature, false);
        }
    }
    for (unsigned i = 0; xsave && i < G_N_ELEMENTS(xsave_parts); i++) {
        if (!has(cpuid, xsave_parts[i].feature)) {
            xsave->eax &= ~xsave_parts[i].components;
        }
    }
    if (!has(cpuid, FEATURE_XSAVE)) {
        drop(cpuid, 0xd, 0xd);
        return;
    }
    for (unsigned component = 2; xsave && component < 32; component++) {
        struct kvm_cpuid_entry2 *part = find(cpuid, 0xd, component);

        if (part && !(part->ecx & 1) && !(xsave->eax >> component & 1)) {
            part->eax = part->ebx = part->ecx = part->edx = 0;
        }
    }
}

static void set_vendor(struct kvm_cpuid2 *cpuid, const char *vendor)
{
    static const uint32_t leaves[] = {0, 0x80000000};

    for (unsigned i = 0; i < G_N_ELEMENTS(leaves); i++) {
        struct kvm_cpuid_entry2 *entry = find(cpuid, leaves[i], 0);

        if (entry) {
            memcpy(&entry->ebx, vendor, 4);
            memcpy(&entry->edx, vendor + 4, 4);
            memcpy(&entry->ecx, vendor + 8, 4);
        }
    }
}

static bool is_amd(struct kvm_cpuid2 *cpuid)
{
    const struct kvm_cpuid_entry2 *entry = find(cpuid, 0, 0);

    return entry && memcmp(&entry->ebx, "Auth", 4) == 0;
}

static uint32_t signature(const struct kvm_cpu_model *model)
{
    unsigned family = MIN(model->family, 15), more = model->family - family;

    return more << 20 | (uint32_t)(model->model >> 4) << 16 | family << 8 |
           (model->model & 15u) << 4 | model->stepping;
}

static void set_identity(struct kvm_cpuid2 *cpuid, const struct kvm_cpu_model *model)
{
    struct kvm_cpuid_entry2 *leaf_0 = find(cpuid, 0, 0), *leaf_1 = find(cpuid, 1, 0);
    struct kvm_cpuid_entry2 *extended = find(cpuid, 0x80000001, 0);
    struct kvm_cpuid_entry2 *sizes = find(cpuid, 0x80000008, 0);
    char brand[48] = {0};

    if (model->vendor) {
        set_vendor(cpuid, model->vendor);
    }
    if (model->family && leaf_1) {
        leaf_1->eax = signature(model);
        if (extended) {
            extended->eax = is_amd(cpuid) ? leaf_1->eax : 0;
        }
    }
    if (extended && leaf_1 && is_amd(cpuid)) {
        extended->edx = (extended->edx & ~AMD_COMMON_EDX) | (leaf_1->edx & AMD_COMMON_EDX);
    }
    if (model->max_leaf && leaf_0) {
        leaf_0->eax = MIN(leaf_0->eax, model->max_leaf);
        drop(cpuid, leaf_0->eax + 1, LEAF_KVM - 1);
    }
    if (model->physical_bits && sizes) {
        sizes->eax = (sizes->eax & ~0xffu) | model->physical_bits;
    }
    if (model->brand) {
        memcpy(brand, model->brand, MIN(strlen(model->brand), sizeof(brand) - 1));
        drop(cpuid, 0x80000002, 0x80000004);
        for (unsigned i = 0; i < 3; i++) {
            struct kvm_cpuid_entry2 *entry = add(cpuid, 0x80000002 + i, 0, false);

            if (entry) {
                memcpy(&entry->eax, brand + 16 * (size_t)i, 16);
            }
        }
    }
}

bool kvm_cpuid_apply_model(struct kvm_cpuid2 *cpuid, const struct kvm_cpu_model *model,
                           GError **error)
{
    if (!check_added(cpuid, model, error) || !check_missing(cpuid, model, error)) {
        return false;
    }
    if (model->feature_list) {
        clear_unnamed(cpuid);
    }
    for (unsigned f = FEATURE_NONE + 1; f < FEATURE_COUNT; f++) {
        if (model->removed[f] || !(model->added[f] || model_has(model, f))) {
            set(cpuid, f, false);
        }
    }
    apply_dependencies(cpuid);
    set_identity(cpuid, model);
    if (model->hide_kvm || !has(cpuid, FEATURE_HYPERVISOR)) {
        drop(cpuid, LEAF_KVM, LEAF_KVM + 0xff);
    }
    return true;
}

/* Topology. */

/* Bits that number n things. */
static unsigned bits_for(unsigned n)
{
    return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

/* Who shares the caches (4 by Intel, 8000001Dh by AMD): threads of a core the first two levels, the
 * package the third. */
static void share_caches(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct cpu_topology *t)
{
    for (unsigned i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        unsigned level = entry->eax >> 5 & 7;
        unsigned width = bits_for(t->threads) + (level > 2 ? bits_for(t->cores) : 0);

        if (entry->function != leaf || !(entry->eax & 31)) {
            continue;
        }
        if (leaf == 4) {
            entry->eax &= 0x3fff;
            entry->eax |= ((1u << bits_for(t->cores)) - 1) << 26 | ((1u << width) - 1) << 14;
        } else {
            entry->eax = (entry->eax & ~0x3ffc000u) | (t->threads * (level > 2 ? t->cores : 1) - 1)
                                                          << 14;
        }
    }
}

/* Levels of the topology: leaves Bh and 1Fh. */
static void list_levels(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct cpu_topology *t)
{
    const unsigned widths[] = {bits_for(t->threads), bits_for(t->threads) + bits_for(t->cores), 0};
    const unsigned counts[] = {t->threads, t->threads * t->cores, 0};

    if (!find(cpuid, leaf, 0)) {
        return;
    }
    drop(cpuid, leaf, leaf);
    for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
        struct kvm_cpuid_entry2 *entry = add(cpuid, leaf, i, true);

        if (entry) {
            entry->eax = widths[i];
            entry->ebx = counts[i];
            entry->ecx = i | (i < 2 ? i + 1 : 0) << 8; /* SMT, core, none */
            entry->edx = t->apic_id;
        }
    }
}

static void describe_amd(struct kvm_cpuid2 *cpuid, const struct cpu_topology *t)
{
    unsigned logical = t->threads * t->cores, width = bits_for(t->threads) + bits_for(t->cores);
    struct kvm_cpuid_entry2 *extended = find(cpuid, 0x80000001, 0);
    struct kvm_cpuid_entry2 *sizes = find(cpuid, 0x80000008, 0);
    struct kvm_cpuid_entry2 *place = find(cpuid, 0x8000001e, 0);

    if (extended) {
        extended->ecx = (extended->ecx & ~CMPLEGACY) | (logical > 1 ? CMPLEGACY : 0);
    }
    if (sizes) {
        sizes->ecx = width << 12 | (logical - 1);
    }
    if (place) {
        place->eax = t->apic_id;
        place->ebx = (t->threads - 1) << 8 |
                     ((t->apic_id >> bits_for(t->threads)) & ((1u << bits_for(t->cores)) - 1));
        place->ecx = t->apic_id >> width & 0xff;
        place->edx = 0;
    }
    share_caches(cpuid, 0x8000001d, t);
}

void kvm_cpuid_apply_topology(struct kvm_cpuid2 *cpuid, const struct cpu_topology *t)
{
    unsigned width = bits_for(t->threads) + bits_for(t->cores);
    struct kvm_cpuid_entry2 *leaf_1 = find(cpuid, 1, 0);

    if (leaf_1) {
        leaf_1->ebx =
            (leaf_1->ebx & 0xff00) | (t->apic_id & 0xff) << 24 | MIN(1u << width, 255) << 16;
        leaf_1->edx = (leaf_1->edx & ~HTT) | (width ? HTT : 0);
    }
    list_levels(cpuid, 0xb, t);
    list_levels(cpuid, 0x1f, t);
    if (is_amd(cpuid)) {
        describe_amd(cpuid, t);
    } else {
        share_caches(cpuid, 4, t);
    }
}

/* The kernel. */

static struct kvm_cpuid2 *new_table(void)
{
    struct kvm_cpuid2 *cpuid =
        g_malloc0(sizeof(*cpuid) + KVM_CPUID_MAX * sizeof(cpuid->entries[0]));

    cpuid->nent = KVM_CPUID_MAX;
    return cpuid;
}

/* What the kernel's list leaves out or shows though this VM lacks it. */
static void correct_supported(struct kvm_machine *kvm, struct kvm_cpuid2 *cpuid)
{
    static const uint8_t of_apic[] = {FEATURE_KVM_PV_EOI, FEATURE_KVM_PV_UNHALT, FEATURE_KVM_PV_IPI,
                                      FEATURE_KVM_ASYNCPF_INT};
    bool has_apic = kvm->irqchip != KERNEL_IRQCHIP_OFF;
    struct kvm_cpuid_entry2 *signature_leaf = find(cpuid, LEAF_KVM, 0);

    set(cpuid, FEATURE_HYPERVISOR, true);
    set(cpuid, FEATURE_TSC_DEADLINE,
        has_apic && kvm_api_check(&kvm->api, KVM_CAP_TSC_DEADLINE_TIMER));
    if (!has_apic) {
        set(cpuid, FEATURE_X2APIC, false);
        for (unsigned i = 0; i < G_N_ELEMENTS(of_apic); i++) {
            set(cpuid, of_apic[i], false);
        }
    }
    if (signature_leaf) {
        signature_leaf->eax = LEAF_KVM_FEATURES;
    }
}

bool kvm_make_cpuid(struct kvm_machine *kvm, GError **error)
{
    int result;

    kvm->cpuid = new_table();
    result = kvm_ioctl(kvm->api.device_fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid);
    if (result < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "kvm: supported CPUID: %s",
                          g_strerror(-result));
    }
    correct_supported(kvm, kvm->cpuid);
    return kvm_cpuid_apply_model(kvm->cpuid, &kvm->model, error);
}

static bool set_tsc_frequency(struct kvm_vcpu *v, GError **error)
{
    uint64_t khz = v->kvm->model.tsc_frequency / 1000;
    int result;

    if (!khz || kvm_ioctl(v->fd, KVM_GET_TSC_KHZ, NULL) == (int)khz) {
        return true;
    }
    result = kvm_ioctl(v->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)khz);
    return result >= 0 || duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                                     "-cpu ...,tsc-frequency: this processor can't scale its TSC "
                                     "to %" PRIu64 " kHz: leave it out",
                                     khz);
}

bool kvm_set_cpuid(struct kvm_vcpu *v, GError **error)
{
    const struct machine_config *config = &v->kvm->machine->config;
    struct cpu_topology topology = {MAX(config->threads, 1), MAX(config->cores, 1),
                                    v->vcpu->apic_id};
    g_autofree struct kvm_cpuid2 *cpuid = new_table();
    int result;

    memcpy(cpuid, v->kvm->cpuid, sizeof(*cpuid) + v->kvm->cpuid->nent * sizeof(cpuid->entries[0]));
    kvm_cpuid_apply_topology(cpuid, &topology);
    result = kvm_ioctl(v->fd, KVM_SET_CPUID2, cpuid);
    if (result < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "kvm: the kernel refuses the CPUID: %s",
                          g_strerror(-result));
    }
    return set_tsc_frequency(v, error);
}
