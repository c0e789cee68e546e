/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AVX as the system sees it: what lets it run, what is #UD, what the upper halves of the registers
 * become, XSAVE's area. What instructions compute is the native comparison's.
 */
#include "tcg/avx.h"
#include "unit/suite.h"
#include "unit/tcg-fixture.h"

#define LOW  UINT64_C(0x1111111111111111)
#define HIGH UINT64_C(0x2222222222222222)

/* One that may use AVX. NULL: the host has none. */
static struct fixture *avx_fixture_new(void)
{
    struct host_stubs *stubs = host_stubs_new();
    struct fixture *f;

    if (!stubs) {
        return NULL;
    }
    f = fixture_new();
    f->cpu.stubs = stubs;
    f->cpu.xcr0 |= XCR0_AVX;
    for (unsigned i = 0; i < 16; i++) {
        f->cpu.ymm[i] = (union vector256){.u64 = {LOW, LOW, HIGH, HIGH}};
    }
    return f;
}

static void avx_fixture_free(struct fixture *f)
{
    host_stubs_free(f->cpu.stubs);
    fixture_free(f);
}

struct available {
    const char *bytes;
    uint64_t cr0, cr4, xcr0; /* bits to turn over */
    int vector;
};

static void test_control_bits(void)
{
    static const struct available list[] = {
        /* VADDPS ymm0, ymm1, ymm2 */
        {"c5f458c2", 0, 0, 0, NONE},
        {"c5f458c2", CR0_TS, 0, 0, EXCEPTION_NM},
        {"c5f458c2", CR0_EM, 0, 0, NONE},
        {"c5f458c2", 0, CR4_OSFXSR, 0, NONE},
        {"c5f458c2", 0, CR4_OSXSAVE, 0, EXCEPTION_UD},
        {"c5f458c2", CR0_TS, CR4_OSXSAVE, 0, EXCEPTION_UD},
        {"c5f458c2", 0, 0, XCR0_AVX, EXCEPTION_UD},
        {"c5f458c2", 0, 0, XCR0_SSE, EXCEPTION_UD},
        /* VZEROUPPER, VPGATHERDD, VMASKMOVPS, VPCMPISTRI, VSTMXCSR, VDPPS */
        {"c5f877", 0, 0, XCR0_AVX, EXCEPTION_UD},
        {"c4e26990040b", 0, 0, XCR0_AVX, EXCEPTION_UD},
        {"c4e2712c03", 0, 0, XCR0_AVX, EXCEPTION_UD},
        {"c4e37963c100", 0, 0, XCR0_AVX, EXCEPTION_UD},
        {"c5f8ae1b", 0, 0, XCR0_AVX, EXCEPTION_UD},
        {"c4e37140c2ff", CR0_TS, 0, 0, EXCEPTION_NM},
        /* ANDN has general registers only */
        {"c4e270f2c1", CR0_TS | CR0_EM, CR4_OSXSAVE, XCR0_AVX, NONE},
    };
    struct fixture *f = avx_fixture_new();

    for (unsigned i = 0; f && i < G_N_ELEMENTS(list); i++) {
        f->cpu.cr0 ^= list[i].cr0;
        f->cpu.cr4 ^= list[i].cr4;
        f->cpu.xcr0 ^= list[i].xcr0;
        CU_ASSERT_EQUAL(execute(f, list[i].bytes), list[i].vector);
        f->cpu.cr0 ^= list[i].cr0;
        f->cpu.cr4 ^= list[i].cr4;
        f->cpu.xcr0 ^= list[i].xcr0;
    }
    g_clear_pointer(&f, avx_fixture_free);
}

static void test_undefined_encodings(void)
{
    static const struct {
        const char *bytes;
        int vector;
    } list[] = {
        {"c5f5fcc2", NONE},             /* VPADDB ymm0, ymm1, ymm2 */
        {"66c5f5fcc2", EXCEPTION_UD},   /* with 66 */
        {"f3c5f5fcc2", EXCEPTION_UD},   /* F3 */
        {"f0c5f5fcc2", EXCEPTION_UD},   /* LOCK */
        {"c5f828c1", NONE},             /* VMOVAPS xmm0, xmm1 */
        {"c5f028c1", EXCEPTION_UD},     /* VEX.vvvv names a register that there is not */
        {"c5f96ec0", NONE},             /* VMOVD xmm0, eax */
        {"c5fd6ec0", EXCEPTION_UD},     /* VEX.L */
        {"c4e37506c200", NONE},         /* VPERM2F128 */
        {"c4e37106c200", EXCEPTION_UD}, /* without VEX.L */
        {"c4e3f506c200", EXCEPTION_UD}, /* with VEX.W */
        {"c4e26990048b", NONE},         /* VPGATHERDD xmm0, [ebx+xmm1*4], xmm2 */
        {"c4e2699003", EXCEPTION_UD},   /* without SIB */
        {"c4e26990148b", EXCEPTION_UD}, /* the destination is the mask */
        {"c4e271900483", EXCEPTION_UD}, /* the destination is the index */
    };
    struct fixture *f = avx_fixture_new();

    for (unsigned i = 0; f && i < G_N_ELEMENTS(list); i++) {
        memset(&f->cpu.ymm[1], 0, sizeof(f->cpu.ymm[1])); /* indexes */
        CU_ASSERT_EQUAL(execute(f, list[i].bytes), list[i].vector);
    }
    g_clear_pointer(&f, avx_fixture_free);
}

/* 256-bit integer operations are AVX2's, and each feature has its own instructions. */
static void test_features(void)
{
    static const struct {
        const char *bytes;
        enum cpu_feature feature;
    } list[] = {
        {"c5f458c2", FEATURE_AVX},    {"c5f5fcc2", FEATURE_AVX2},   {"c4e27d58c1", FEATURE_AVX2},
        {"c4e27118c1", FEATURE_AVX2}, {"c4e27513c1", FEATURE_F16C}, {"c4e27598c2", FEATURE_FMA},
    };
    struct fixture *f = avx_fixture_new();

    for (unsigned i = 0; f && i < G_N_ELEMENTS(list); i++) {
        cpu_features_set(&f->cpu.features, list[i].feature, false);
        CU_ASSERT_EQUAL(execute(f, list[i].bytes), EXCEPTION_UD);
        cpu_features_set(&f->cpu.features, list[i].feature, true);
    }
    if (f) { /* VPADDB xmm0, xmm1, xmm2 does without AVX2 */
        cpu_features_set(&f->cpu.features, FEATURE_AVX2, false);
        CU_ASSERT_EQUAL(execute(f, "c5f1fcc2"), NONE);
    }
    g_clear_pointer(&f, avx_fixture_free);
}

static void check_high(const struct fixture *f, unsigned number, uint64_t value)
{
    CU_ASSERT_EQUAL(f->cpu.ymm[number].u64[2], value);
    CU_ASSERT_EQUAL(f->cpu.ymm[number].u64[3], value);
}

static void test_upper_halves(void)
{
    struct fixture *f = avx_fixture_new();

    if (!f) {
        return;
    }
    CU_ASSERT_EQUAL(execute(f, "0f58c1"), NONE); /* ADDPS xmm0, xmm1 keeps them */
    check_high(f, 0, HIGH);
    CU_ASSERT_EQUAL(execute(f, "c5f058c2"), NONE); /* VADDPS xmm0, xmm1, xmm2 clears them */
    check_high(f, 0, 0);
    CU_ASSERT_EQUAL(execute(f, "c5fa7e1b"), NONE); /* VMOVQ xmm3, [ebx] */
    check_high(f, 3, 0);
    CU_ASSERT_EQUAL(execute(f, "c4e37962e900"), NONE); /* VPCMPISTRM writes xmm0 */
    check_high(f, 0, 0);
    CU_ASSERT_EQUAL(execute(f, "c5f877"), NONE); /* VZEROUPPER: eight registers outside 64 bits */
    check_high(f, 7, 0);
    check_high(f, 8, HIGH);
    CU_ASSERT_EQUAL(f->cpu.ymm[7].u64[0], LOW);
    CU_ASSERT_EQUAL(execute(f, "c5fc77"), NONE); /* VZEROALL */
    CU_ASSERT_EQUAL(f->cpu.ymm[7].u64[0], 0);
    CU_ASSERT_EQUAL(f->cpu.ymm[8].u64[0], LOW);
    avx_fixture_free(f);
}

static void test_alignment(void)
{
    struct fixture *f = avx_fixture_new();

    if (!f) {
        return;
    }
    f->cpu.gpr[X86_RBX] = AREA + 16;
    CU_ASSERT_EQUAL(execute(f, "c5f82803"), NONE);         /* VMOVAPS xmm0, [ebx] */
    CU_ASSERT_EQUAL(execute(f, "c5fc2803"), EXCEPTION_GP); /* VMOVAPS ymm0, [ebx] */
    CU_ASSERT_EQUAL(execute(f, "c5fde703"), EXCEPTION_GP); /* VMOVNTDQ [ebx], ymm0 */
    f->cpu.gpr[X86_RBX] = AREA + 1;
    CU_ASSERT_EQUAL(execute(f, "c5fc1003"), NONE); /* VMOVUPS */
    CU_ASSERT_EQUAL(execute(f, "c5f45803"), NONE); /* VADDPS ymm0, ymm1, [ebx] */
    avx_fixture_free(f);
}

/* What the mask hides is not accessed: here, past the end of memory. */
static void test_masks(void)
{
    struct fixture *f = avx_fixture_new();

    if (!f) {
        return;
    }
    f->cpu.segment[X86_DS].limit = RAM_BYTES - 1;
    f->cpu.segment[X86_DS].attributes = 0x4093;
    cpu_update_mode(&f->cpu);
    f->cpu.gpr[X86_RBX] = RAM_BYTES - 8;
    f->cpu.ymm[1] = (union vector256){.s32 = {-1, -1, 0, 0, 0, 0, 0, 0}};
    CU_ASSERT_EQUAL(execute(f, "c4e2752e03"), NONE); /* VMASKMOVPS [ebx], ymm1, ymm0 */
    CU_ASSERT_EQUAL(execute(f, "c4e2752c13"), NONE); /* VMASKMOVPS ymm2, ymm1, [ebx] */
    CU_ASSERT_EQUAL(f->cpu.ymm[2].u64[0], LOW);
    CU_ASSERT_EQUAL(f->cpu.ymm[2].u64[1], 0);
    f->cpu.ymm[1].s32[2] = -1;
    CU_ASSERT_EQUAL(execute(f, "c4e2752c13"), EXCEPTION_GP);
    avx_fixture_free(f);
}

static void test_xsave(void)
{
    struct fixture *f = avx_fixture_new();
    uint64_t word;

    if (!f) {
        return;
    }
    f->cpu.gpr[X86_RAX] = 7;
    f->cpu.gpr[X86_RDX] = 0;
    CU_ASSERT_EQUAL(execute(f, "0fae23"), NONE); /* XSAVE [ebx] */
    memcpy(&word, f->area + XSAVE_AVX_OFFSET, 8);
    CU_ASSERT_EQUAL(word, HIGH);
    memcpy(&word, f->area + FXSAVE_BYTES, 8);
    CU_ASSERT_TRUE(word & XCR0_AVX);
    word &= ~XCR0_AVX;
    memcpy(f->area + FXSAVE_BYTES, &word, 8);
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), NONE); /* XRSTOR: AVX state initial */
    check_high(f, 0, 0);
    CU_ASSERT_EQUAL(f->cpu.ymm[0].u64[0], LOW);

    f->cpu.ymm[5].high.u64[1] = 9;
    CU_ASSERT_EQUAL(execute(f, "0fc723"), NONE); /* XSAVEC [ebx] */
    memcpy(&word, f->area + FXSAVE_BYTES + 8, 8);
    CU_ASSERT_EQUAL(word, XCOMP_COMPACTED | 7);
    f->cpu.ymm[5].high.u64[1] = 0;
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), NONE);
    CU_ASSERT_EQUAL(f->cpu.ymm[5].high.u64[1], 9);
    word = XCOMP_COMPACTED | 3; /* a component in XSTATE_BV that XCOMP_BV lacks */
    memcpy(f->area + FXSAVE_BYTES + 8, &word, 8);
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), EXCEPTION_GP);
    avx_fixture_free(f);
}

static void test_models(void)
{
    struct cpu_features host;
    struct cpu_model model = {0};

    host_features_get(&host);
    CU_ASSERT_TRUE(cpu_model_parse("Haswell", &model, NULL));
    CU_ASSERT_EQUAL(cpu_features_have(&model.features, FEATURE_AVX2),
                    cpu_features_have(&host, FEATURE_AVX2));
    model = (struct cpu_model){0};
    CU_ASSERT_TRUE(cpu_model_parse("max,-xsave", &model, NULL));
    CU_ASSERT_FALSE(cpu_features_have(&model.features, FEATURE_AVX));
    CU_ASSERT_FALSE(cpu_features_have(&model.features, FEATURE_FMA));
    model = (struct cpu_model){0};
    CU_ASSERT_TRUE(cpu_model_parse("qemu64", &model, NULL));
    CU_ASSERT_FALSE(cpu_features_have(&model.features, FEATURE_AVX));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"control bits", test_control_bits},
        {"undefined encodings", test_undefined_encodings},
        {"features", test_features},
        {"upper halves", test_upper_halves},
        {"alignment", test_alignment},
        {"masks", test_masks},
        {"XSAVE", test_xsave},
        {"models", test_models},
        {NULL, NULL},
    };

    return unit_run("tcg-avx", tests);
}
