/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stubs: the guest's instruction on fixed registers, and a RET. A stub's bytes say all about it, so
 * that the memory is its own table: it lies at the hash of its bytes, or is put there.
 */
#include "tcg/avx-stub.h"
#include "tcg/cpu-model.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define STUB_COUNT 4096u

struct host_stubs {
    uint64_t *code; /* STUB_COUNT of them; writable or executable, never both */
};

/* AVX needs the system too: its state must be saved. */
static bool needs_avx(enum cpu_feature feature)
{
    return feature == FEATURE_AVX || feature == FEATURE_AVX2 || feature == FEATURE_FMA ||
           feature == FEATURE_F16C;
}

void host_features_get(struct cpu_features *features)
{
    bool avx = __builtin_cpu_supports("avx");

    memset(features, 0, sizeof(*features));
    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
        const struct cpu_feature_place *place = &cpu_feature_places[i];
        unsigned registers[4] = {0};

        bool known = __get_cpuid_count(place->leaf, place->subleaf, &registers[0], &registers[1],
                                       &registers[2], &registers[3]);
        cpu_features_set(features, i,
                         known && (registers[place->reg] >> place->bit & 1) &&
                             (avx || !needs_avx(i)));
    }
}

struct host_stubs *host_stubs_new(void)
{
    void *code;

    if (!__builtin_cpu_supports("avx")) {
        return NULL;
    }
    code = mmap(NULL, STUB_COUNT * sizeof(uint64_t), PROT_READ | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) {
        return NULL;
    }
    struct host_stubs *stubs = g_new0(struct host_stubs, 1);
    stubs->code = code;
    return stubs;
}

void host_stubs_free(struct host_stubs *stubs)
{
    if (stubs) {
        munmap(stubs->code, STUB_COUNT * sizeof(uint64_t));
        g_free(stubs);
    }
}

const void *host_stub_find(struct host_stubs *stubs, uint64_t code)
{
    uint64_t *stub = &stubs->code[(code * UINT64_C(0x9e3779b97f4a7c15)) >> 52];

    G_STATIC_ASSERT(STUB_COUNT == 1u << (64 - 52));
    if (*stub != code) {
        size_t size = STUB_COUNT * sizeof(uint64_t);
        if (mprotect(stubs->code, size, PROT_READ | PROT_WRITE) != 0) {
            return NULL;
        }
        *stub = code;
        if (mprotect(stubs->code, size, PROT_READ | PROT_EXEC) != 0) {
            return NULL;
        }
    }
    return stub;
}

#define OFFSET(field) [field] "i"(offsetof(struct stub_frame, field))

void host_stub_run(const void *stub, struct stub_frame *frame)
{
    /* Below the stack pointer lies what the compiler keeps there. */
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\n\t"
        "vmovdqu %c[reg](%[frame]), %%ymm0\n\t"
        "vmovdqu %c[vvvv](%[frame]), %%ymm1\n\t"
        "vmovdqu %c[rm](%[frame]), %%ymm2\n\t"
        "vmovdqu %c[is4](%[frame]), %%ymm3\n\t"
        "mov %c[general_in](%[frame]), %%rax\n\t"
        "lea %c[memory](%[frame]), %%rdx\n\t"
        "call *%[stub]\n\t"
        "pushfq\n\t"
        "popq %c[flags](%[frame])\n\t"
        "mov %%rax, %c[general_in](%[frame])\n\t"
        "mov %%rcx, %c[general_out](%[frame])\n\t"
        "vmovdqu %%ymm0, %c[reg](%[frame])\n\t"
        "vmovdqu %%ymm1, %c[vvvv](%[frame])\n\t"
        "vmovdqu %%ymm2, %c[rm](%[frame])\n\t"
        "vzeroupper\n\t"
        "lea 128(%%rsp), %%rsp"
        :
        : [stub] "r"(stub), [frame] "b"(frame), OFFSET(reg), OFFSET(vvvv), OFFSET(rm), OFFSET(is4),
          OFFSET(memory), OFFSET(general_in), OFFSET(general_out), OFFSET(flags)
        : "memory", "cc", "rax", "rcx", "rdx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
          "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

#else

void host_features_get(struct cpu_features *features)
{
    memset(features, 0, sizeof(*features));
}

struct host_stubs *host_stubs_new(void)
{
    return NULL;
}

void host_stubs_free(struct host_stubs *stubs)
{
}

const void *host_stub_find(struct host_stubs *stubs, uint64_t code)
{
    return NULL;
}

void host_stub_run(const void *stub, struct stub_frame *frame)
{
}

#endif

void avx_hide_unavailable(struct cpu_features *features, const struct cpu_features *host)
{
    static const enum cpu_feature by_host[] = {FEATURE_AVX, FEATURE_AVX2, FEATURE_FMA,
                                               FEATURE_F16C};
    struct host_stubs *stubs = host_stubs_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(by_host); i++) {
        if (!stubs || !cpu_features_have(host, by_host[i])) {
            cpu_features_set(features, by_host[i], false);
        }
    }
    host_stubs_free(stubs);
}
