/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87, MMX, SSE and XSAVE as the system sees them: which exception the control bits give, what the
 * state images hold. What instructions compute is the native comparison's.
 */
#include "unit/suite.h"
#include "unit/tcg-fixture.h"

struct available {
    const char *bytes;
    uint64_t cr0, cr4; /* bits to turn over */
    int vector;
};

/* SDM vol. 3, tables 2-2 and 13-1, 13-3. */
static void test_control_bits(void)
{
    static const struct available list[] = {
        /* FLD1 */
        {"d9e8", 0, 0, NONE},
        {"d9e8", CR0_TS, 0, EXCEPTION_NM},
        {"d9e8", CR0_EM, 0, EXCEPTION_NM},
        {"d9e8", CR0_EM | CR0_TS, 0, EXCEPTION_NM},
        {"d9e8", CR0_MP, 0, NONE},
        /* FNINIT does not wait, but needs the unit */
        {"dbe3", CR0_TS, 0, EXCEPTION_NM},
        /* FWAIT looks at MP and TS together, not at EM */
        {"9b", CR0_TS, 0, EXCEPTION_NM},
        {"9b", CR0_TS | CR0_MP, 0, NONE},
        {"9b", CR0_EM, 0, NONE},
        /* PADDB mm0, mm1; EMMS */
        {"0ffcc1", 0, 0, NONE},
        {"0ffcc1", CR0_EM, 0, EXCEPTION_UD},
        {"0ffcc1", CR0_TS, 0, EXCEPTION_NM},
        {"0ffcc1", CR0_EM | CR0_TS, 0, EXCEPTION_UD},
        {"0ffcc1", 0, CR4_OSFXSR, NONE},
        {"0f77", CR0_TS, 0, EXCEPTION_NM},
        /* ADDPS xmm0, xmm1; PADDB xmm0, xmm1 */
        {"0f58c1", 0, 0, NONE},
        {"0f58c1", 0, CR4_OSFXSR, EXCEPTION_UD},
        {"0f58c1", CR0_EM, 0, EXCEPTION_UD},
        {"0f58c1", CR0_TS, 0, EXCEPTION_NM},
        {"0f58c1", CR0_TS, CR4_OSFXSR, EXCEPTION_UD},
        {"660ffcc1", CR0_TS, 0, EXCEPTION_NM},
        {"660f38dcc1", 0, CR4_OSFXSR, EXCEPTION_UD}, /* AESENC */
        {"0f38cac1", CR0_TS, 0, EXCEPTION_NM},       /* SHA1MSG2 */
        /* CRC32, MOVBE, ANDN use general registers only */
        {"f20f38f1c1", CR0_TS | CR0_EM, CR4_OSFXSR, NONE},
        {"0f38f003", CR0_TS | CR0_EM, CR4_OSFXSR, NONE},
        {"c4e270f2c1", CR0_TS | CR0_EM, CR4_OSFXSR, NONE},
        /* LDMXCSR, STMXCSR */
        {"0fae13", 0, CR4_OSFXSR, EXCEPTION_UD},
        {"0fae1b", CR0_TS, 0, EXCEPTION_NM},
        /* FXSAVE does not ask for OSFXSR */
        {"0fae03", 0, CR4_OSFXSR, NONE},
        {"0fae03", CR0_TS, 0, EXCEPTION_NM},
        {"0fae03", CR0_EM, 0, EXCEPTION_NM},
        /* XSAVE, XGETBV */
        {"0fae23", 0, 0, NONE},
        {"0fae23", 0, CR4_OSXSAVE, EXCEPTION_UD},
        {"0fae23", CR0_TS, 0, EXCEPTION_NM},
        {"0fae23", CR0_TS, CR4_OSXSAVE, EXCEPTION_UD},
        {"0f01d0", 0, 0, NONE},
        {"0f01d0", 0, CR4_OSXSAVE, EXCEPTION_UD},
        {"0f01d0", CR0_TS, 0, NONE},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        struct fixture *f = fixture_new();
        f->cpu.cr0 ^= list[i].cr0;
        f->cpu.cr4 ^= list[i].cr4;
        int vector = execute(f, list[i].bytes);
        if (vector != list[i].vector) {
            printf("\n%s: vector %d, expected %d (line %u of the table)\n", list[i].bytes, vector,
                   list[i].vector, i);
        }
        CU_ASSERT_EQUAL(vector, list[i].vector);
        fixture_free(f);
    }
}

/* FLD1, FLDZ, FDIVP with ZM clear: #MF comes at the next instruction that waits. */
static void divide_by_zero_unmasked(struct fixture *f)
{
    f->cpu.fpu.control &= ~FPU_ZE;
    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    CU_ASSERT_EQUAL(execute(f, "d9ee"), NONE);
    CU_ASSERT_EQUAL(execute(f, "def9"), NONE);
    CU_ASSERT_EQUAL(f->cpu.fpu.status & (FPU_ZE | FPU_ES | FPU_B), FPU_ZE | FPU_ES | FPU_B);
}

static void test_x87_error_waits(void)
{
    static const char *const waiting[] = {"d9e8", "9b", "0ffcc1", "0f77", "d92b", "d9d0"};
    static const char *const not_waiting[] = {"dfe0", "d93b", "dbe0", "0fae03", "d933"};
    struct fixture *f = fixture_new();

    divide_by_zero_unmasked(f);
    /* Neither popped nor stored. */
    CU_ASSERT_EQUAL(fpu_top(&f->cpu), 6);
    for (unsigned i = 0; i < G_N_ELEMENTS(waiting); i++) {
        CU_ASSERT_EQUAL(execute(f, waiting[i]), EXCEPTION_MF);
    }
    CU_ASSERT_EQUAL(fpu_top(&f->cpu), 6);
    for (unsigned i = 0; i < G_N_ELEMENTS(not_waiting); i++) {
        CU_ASSERT_EQUAL(execute(f, not_waiting[i]), NONE);
    }
    /* FNSTENV, last above, masked all. */
    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    fixture_free(f);
}

static void test_x87_error_cleared(void)
{
    struct fixture *f = fixture_new();

    divide_by_zero_unmasked(f);
    CU_ASSERT_EQUAL(execute(f, "dbe2"), NONE); /* FNCLEX */
    CU_ASSERT_EQUAL(f->cpu.fpu.status & (FPU_EXCEPTIONS | FPU_ES | FPU_B), 0);
    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    fixture_free(f);
}

/* FLDCW that unmasks an exception whose flag is set makes it wait. */
static void test_x87_unmasked_later(void)
{
    struct fixture *f = fixture_new();
    const uint16_t control = FPU_CONTROL_RESET & ~FPU_ZE;

    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    CU_ASSERT_EQUAL(execute(f, "d9ee"), NONE);
    CU_ASSERT_EQUAL(execute(f, "def9"), NONE);
    CU_ASSERT_EQUAL(execute(f, "9b"), NONE);
    memcpy(f->area, &control, sizeof(control));
    CU_ASSERT_EQUAL(execute(f, "d92b"), NONE);
    CU_ASSERT_EQUAL(execute(f, "9b"), EXCEPTION_MF);
    fixture_free(f);
}

/* Without CR0.NE the error goes to the interrupt controller, and nothing is raised. */
static void test_x87_error_external(void)
{
    struct fixture *f = fixture_new();

    f->cpu.cr0 &= ~CR0_NE;
    divide_by_zero_unmasked(f);
    CU_ASSERT_EQUAL(execute(f, "9b"), NONE);
    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    fixture_free(f);
}

static void test_stack_faults(void)
{
    struct fixture *f = fixture_new();

    CU_ASSERT_EQUAL(execute(f, "d9fa"), NONE); /* FSQRT of an empty register */
    CU_ASSERT_EQUAL(f->cpu.fpu.status & (FPU_IE | FPU_SF | FPU_C1), FPU_IE | FPU_SF);
    CU_ASSERT_EQUAL(fpu_read(&f->cpu, 0).mantissa, fpu_indefinite().mantissa);
    fpu_initialize(&f->cpu);
    for (unsigned i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    }
    CU_ASSERT_EQUAL(f->cpu.fpu.status & FPU_EXCEPTIONS, 0);
    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE); /* a ninth */
    CU_ASSERT_EQUAL(f->cpu.fpu.status & (FPU_IE | FPU_SF | FPU_C1), FPU_IE | FPU_SF | FPU_C1);
    CU_ASSERT_EQUAL(fpu_read(&f->cpu, 0).exponent, 0xffff);
    fixture_free(f);
}

/* DIVPS by zero with ZM clear. */
static void test_sse_exceptions(void)
{
    struct fixture *f = fixture_new();

    f->cpu.ymm[0].xmm.f32[0] = 1;
    CU_ASSERT_EQUAL(execute(f, "f30f5ec1"), NONE); /* DIVSS xmm0, xmm1: masked */
    CU_ASSERT_EQUAL(f->cpu.mxcsr, MXCSR_RESET | MXCSR_ZE);
    CU_ASSERT_EQUAL(f->cpu.ymm[0].xmm.u32[0], 0x7f800000);

    f->cpu.ymm[0].xmm.f32[0] = 1;
    f->cpu.mxcsr = MXCSR_RESET & ~(MXCSR_ZE << MXCSR_MASK_SHIFT);
    CU_ASSERT_EQUAL(execute(f, "f30f5ec1"), EXCEPTION_XM);
    CU_ASSERT_TRUE(f->cpu.mxcsr & MXCSR_ZE);
    CU_ASSERT_EQUAL(f->cpu.ymm[0].xmm.f32[0], 1);

    /* A flag that is set and unmasked raises nothing by itself. */
    CU_ASSERT_EQUAL(execute(f, "f30f58c0"), NONE); /* ADDSS xmm0, xmm0 */
    f->cpu.cr4 &= ~CR4_OSXMMEXCPT;
    CU_ASSERT_EQUAL(execute(f, "f30f5ec1"), EXCEPTION_UD);
    fixture_free(f);
}

static void test_alignment(void)
{
    static const struct {
        const char *bytes;
        unsigned alignment;
    } list[] = {
        {"0f2803", 16},     /* MOVAPS xmm0, [ebx] */
        {"660f7f03", 16},   /* MOVDQA [ebx], xmm0 */
        {"0f5803", 16},     /* ADDPS */
        {"660fe703", 16},   /* MOVNTDQ */
        {"660f38dc03", 16}, /* AESENC */
        {"0fae03", 16},     /* FXSAVE */
        {"0fae0b", 16},     /* FXRSTOR */
        {"0fae23", 64},     /* XSAVE */
        {"0fae2b", 64},     /* XRSTOR */
        {"0fae33", 64},     /* XSAVEOPT */
        {"0f1003", 1},      /* MOVUPS */
        {"f30f5803", 1},    /* ADDSS */
        {"f30f6f03", 1},    /* MOVDQU */
        {"660f3a620300", 1} /* PCMPISTRM */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        struct fixture *f = fixture_new();
        CU_ASSERT_EQUAL(execute(f, list[i].bytes), NONE);
        f->cpu.gpr[X86_RBX] = AREA + list[i].alignment / 2;
        CU_ASSERT_EQUAL(execute(f, list[i].bytes), list[i].alignment > 1 ? EXCEPTION_GP : NONE);
        /* It is the linear address that counts. */
        f->cpu.segment[X86_DS].base = list[i].alignment - list[i].alignment / 2;
        f->cpu.gpr[X86_RBX] -= f->cpu.segment[X86_DS].base;
        f->cpu.gpr[X86_RBX] += list[i].alignment / 2;
        cpu_update_mode(&f->cpu);
        CU_ASSERT_EQUAL(execute(f, list[i].bytes), NONE);
        fixture_free(f);
    }
}

static void test_mxcsr_reserved_bits(void)
{
    struct fixture *f = fixture_new();
    uint32_t value = 0x1fc0;

    memcpy(f->area, &value, 4);
    CU_ASSERT_EQUAL(execute(f, "0fae13"), NONE);
    CU_ASSERT_EQUAL(f->cpu.mxcsr, 0x1fc0);
    value = 0x11f80;
    memcpy(f->area, &value, 4);
    CU_ASSERT_EQUAL(execute(f, "0fae13"), EXCEPTION_GP);
    memset(f->area, 0, FXSAVE_BYTES);
    memcpy(f->area + 24, &value, 4);
    CU_ASSERT_EQUAL(execute(f, "0fae0b"), EXCEPTION_GP);
    CU_ASSERT_EQUAL(f->cpu.mxcsr, 0x1fc0);
    fixture_free(f);
}

static void test_xcr0(void)
{
    static const struct {
        uint32_t ecx, eax, edx;
        uint8_t cpl;
        int vector;
    } list[] = {
        {0, 1, 0, 0, NONE},         {0, 3, 0, 0, NONE},          {0, 2, 0, 0, EXCEPTION_GP},
        {0, 0, 0, 0, EXCEPTION_GP}, {0, 5, 0, 0, EXCEPTION_GP},  {0, 1, 1, 0, EXCEPTION_GP},
        {0, 7, 0, 0, NONE},         {0, 15, 0, 0, EXCEPTION_GP}, {0, 3, 0, 0, NONE},
        {1, 1, 0, 0, EXCEPTION_GP}, {0, 1, 0, 3, EXCEPTION_GP},
    };
    struct fixture *f = fixture_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        f->cpu.gpr[X86_RCX] = list[i].ecx;
        f->cpu.gpr[X86_RAX] = list[i].eax;
        f->cpu.gpr[X86_RDX] = list[i].edx;
        f->cpu.cpl = list[i].cpl;
        CU_ASSERT_EQUAL(execute(f, "0f01d1"), list[i].vector);
    }
    CU_ASSERT_EQUAL(f->cpu.xcr0, 3);
    f->cpu.gpr[X86_RCX] = 0;
    CU_ASSERT_EQUAL(execute(f, "0f01d0"), NONE);
    CU_ASSERT_EQUAL(f->cpu.gpr[X86_RAX], 3);
    CU_ASSERT_EQUAL(f->cpu.gpr[X86_RDX], 0);
    f->cpu.gpr[X86_RCX] = 2;
    CU_ASSERT_EQUAL(execute(f, "0f01d0"), EXCEPTION_GP);
    fixture_free(f);
}

static uint64_t header(const struct fixture *f, unsigned word)
{
    uint64_t value;

    memcpy(&value, f->area + FXSAVE_BYTES + 8 * word, 8);
    return value;
}

static void set_header(struct fixture *f, unsigned word, uint64_t value)
{
    memcpy(f->area + FXSAVE_BYTES + 8 * word, &value, 8);
}

/* What is in its initial state is not marked; what is not asked for stays as it was. */
static void test_xsave_marks(void)
{
    struct fixture *f = fixture_new();

    f->cpu.gpr[X86_RAX] = 3;
    set_header(f, 0, 0xf0);
    CU_ASSERT_EQUAL(execute(f, "0fae23"), NONE);
    CU_ASSERT_EQUAL(header(f, 0), 0xf0);
    f->cpu.ymm[3].xmm.u64[1] = 1;
    CU_ASSERT_EQUAL(execute(f, "0fae23"), NONE);
    CU_ASSERT_EQUAL(header(f, 0), 0xf0 | XCR0_SSE);
    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    f->cpu.gpr[X86_RAX] = XCR0_X87;
    CU_ASSERT_EQUAL(execute(f, "0fae23"), NONE);
    CU_ASSERT_EQUAL(header(f, 0), 0xf0 | XCR0_SSE | XCR0_X87);
    /* XCR0 limits the request. */
    f->cpu.xcr0 = XCR0_X87;
    f->cpu.gpr[X86_RAX] = 3;
    memset(f->area, 0xee, FXSAVE_BYTES);
    CU_ASSERT_EQUAL(execute(f, "0fae23"), NONE);
    CU_ASSERT_EQUAL(f->area[24], 0xee);
    CU_ASSERT_EQUAL(f->area[160], 0xee);
    CU_ASSERT_EQUAL(f->area[0], 0x7f);
    fixture_free(f);
}

/* XSAVEOPT leaves the area of an initial component alone. */
static void test_xsaveopt(void)
{
    struct fixture *f = fixture_new();

    f->cpu.gpr[X86_RAX] = 3;
    f->cpu.ymm[0].xmm.u64[0] = 5;
    memset(f->area, 0xee, FXSAVE_BYTES);
    CU_ASSERT_EQUAL(execute(f, "0fae33"), NONE);
    CU_ASSERT_EQUAL(f->area[0], 0xee);
    CU_ASSERT_EQUAL(f->area[160], 5);
    CU_ASSERT_EQUAL(header(f, 0), XCR0_SSE);
    fixture_free(f);
}

static void test_xrstor_checks(void)
{
    struct fixture *f = fixture_new();
    const uint32_t mxcsr = 0x10000;

    f->cpu.gpr[X86_RAX] = 3;
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), NONE);
    for (unsigned word = 1; word < 3; word++) { /* XCOMP_BV and the next reserved word */
        set_header(f, word, word == 1 ? UINT64_C(1) << 63 | 8 : 1);
        CU_ASSERT_EQUAL(execute(f, "0fae2b"), EXCEPTION_GP);
        set_header(f, word, 0);
    }
    set_header(f, 0, 4); /* a component that XCR0 lacks */
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), EXCEPTION_GP);
    set_header(f, 0, 0);
    memcpy(f->area + 24, &mxcsr, 4);
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), EXCEPTION_GP);
    f->cpu.gpr[X86_RAX] = XCR0_X87; /* then MXCSR is not looked at */
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), NONE);
    fixture_free(f);
}

static void test_xrstor_initialises(void)
{
    struct fixture *f = fixture_new();
    const uint32_t mxcsr = 0x1fbf;

    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    f->cpu.ymm[5].xmm.u64[0] = 7;
    memset(f->area, 0xff, 24);
    memset(f->area + 32, 0xff, FXSAVE_BYTES - 32);
    memcpy(f->area + 24, &mxcsr, 4);
    f->cpu.gpr[X86_RAX] = 3;
    CU_ASSERT_EQUAL(execute(f, "0fae2b"), NONE);
    CU_ASSERT_EQUAL(f->cpu.fpu.control, FPU_CONTROL_RESET);
    CU_ASSERT_EQUAL(f->cpu.fpu.status, 0);
    CU_ASSERT_EQUAL(f->cpu.fpu.valid, 0);
    CU_ASSERT_EQUAL(f->cpu.ymm[5].xmm.u64[0], 0);
    CU_ASSERT_EQUAL(f->cpu.mxcsr, mxcsr); /* loaded, initial or not */
    fixture_free(f);
}

/* FXSAVE without OSFXSR keeps off MXCSR and XMM; FXRSTOR too. */
static void test_fxsave_without_sse(void)
{
    struct fixture *f = fixture_new();

    f->cpu.cr4 &= ~CR4_OSFXSR;
    f->cpu.ymm[0].xmm.u64[0] = 9;
    memset(f->area, 0xee, FXSAVE_BYTES);
    CU_ASSERT_EQUAL(execute(f, "0fae03"), NONE);
    CU_ASSERT_EQUAL(f->area[160], 0xee);
    CU_ASSERT_EQUAL(f->area[0], 0x7f);
    CU_ASSERT_EQUAL(execute(f, "0fae0b"), NONE);
    CU_ASSERT_EQUAL(f->cpu.ymm[0].xmm.u64[0], 9);
    fixture_free(f);
}

static uint32_t word(const struct fixture *f, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, f->area + offset, size);
    return value;
}

/* FLD m32 at AREA + 100H with bytes D9 83 .., then FNSTENV in its four formats. */
static void test_environment_formats(void)
{
    struct fixture *f = fixture_new();
    const unsigned opcode = 0x183, data = AREA + 0x100;

    f->cpu.segment[X86_CS].selector = 0x1234;
    f->cpu.segment[X86_DS].selector = 0x2345;
    CU_ASSERT_EQUAL(execute(f, "d98300010000"), NONE);

    CU_ASSERT_EQUAL(execute(f, "d933"), NONE); /* 32-bit protected */
    CU_ASSERT_EQUAL(word(f, 0, 4), 0xffff0000 | FPU_CONTROL_RESET);
    CU_ASSERT_EQUAL(word(f, 8, 4), 0xffff7fff /* R7 is zero */);
    CU_ASSERT_EQUAL(word(f, 12, 4), CODE);
    CU_ASSERT_EQUAL(word(f, 16, 4), opcode << 16 | 0x1234);
    CU_ASSERT_EQUAL(word(f, 20, 4), data);
    CU_ASSERT_EQUAL(word(f, 24, 2), 0x2345);

    CU_ASSERT_EQUAL(execute(f, "66d933"), NONE); /* 16-bit protected */
    CU_ASSERT_EQUAL(word(f, 6, 2), CODE);
    CU_ASSERT_EQUAL(word(f, 8, 2), 0x1234);
    CU_ASSERT_EQUAL(word(f, 10, 2), data);
    CU_ASSERT_EQUAL(word(f, 12, 2), 0x2345);

    f->cpu.protected_mode = false;
    uint32_t linear = 0x12340 + CODE, linear_data = 0x23450 + data;
    CU_ASSERT_EQUAL(execute(f, "d933"), NONE); /* 32-bit real */
    CU_ASSERT_EQUAL(word(f, 12, 2), linear & 0xffff);
    CU_ASSERT_EQUAL(word(f, 16, 4), (linear >> 16) << 12 | opcode);
    CU_ASSERT_EQUAL(word(f, 20, 2), linear_data & 0xffff);
    CU_ASSERT_EQUAL(word(f, 24, 4), (linear_data >> 16) << 12);

    CU_ASSERT_EQUAL(execute(f, "66d933"), NONE); /* 16-bit real */
    CU_ASSERT_EQUAL(word(f, 6, 2), linear & 0xffff);
    CU_ASSERT_EQUAL(word(f, 8, 2), (linear >> 16) << 12 | opcode);
    CU_ASSERT_EQUAL(word(f, 10, 2), linear_data & 0xffff);
    CU_ASSERT_EQUAL(word(f, 12, 2), (linear_data >> 16) << 12);
    fixture_free(f);
}

/* FNSAVE, FRSTOR bring all back, in each format. */
static void test_save_and_restore(void)
{
    static const char *const forms[][2] = {{"dd33", "dd23"}, {"66dd33", "66dd23"}};

    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        struct fixture *f = fixture_new();
        CU_ASSERT_EQUAL(execute(f, "d9eb"), NONE); /* FLDPI */
        CU_ASSERT_EQUAL(execute(f, "d9ee"), NONE); /* FLDZ */
        struct cpu_fpu before = f->cpu.fpu;
        CU_ASSERT_EQUAL(execute(f, forms[i][0]), NONE);
        CU_ASSERT_EQUAL(f->cpu.fpu.valid, 0);
        CU_ASSERT_EQUAL(f->cpu.fpu.status, 0);
        CU_ASSERT_EQUAL(execute(f, forms[i][1]), NONE);
        CU_ASSERT_EQUAL(f->cpu.fpu.valid, before.valid);
        CU_ASSERT_EQUAL(f->cpu.fpu.status, before.status);
        CU_ASSERT_EQUAL(f->cpu.fpu.control, before.control);
        CU_ASSERT_EQUAL(fpu_read(&f->cpu, 1).mantissa, UINT64_C(0xc90fdaa22168c235));
        CU_ASSERT_EQUAL(f->cpu.fpu.instruction_pointer, before.instruction_pointer);
        fixture_free(f);
    }
}

/* MMX registers are the x87 ones; EMMS empties them. */
static void test_mmx_aliases_x87(void)
{
    struct fixture *f = fixture_new();

    CU_ASSERT_EQUAL(execute(f, "d9e8"), NONE);
    f->cpu.gpr[X86_RAX] = 0x12345678;
    CU_ASSERT_EQUAL(execute(f, "0f6ed0"), NONE); /* MOVD mm2, eax */
    CU_ASSERT_EQUAL(fpu_top(&f->cpu), 0);
    CU_ASSERT_EQUAL(f->cpu.fpu.valid, 0xff);
    CU_ASSERT_EQUAL(fpu_read(&f->cpu, 2).mantissa, 0x12345678);
    CU_ASSERT_EQUAL(fpu_read(&f->cpu, 2).exponent, 0xffff);
    CU_ASSERT_EQUAL(execute(f, "0f77"), NONE);
    CU_ASSERT_EQUAL(fpu_get_tag_word(&f->cpu), 0xffff);
    fixture_free(f);
}

/* A page fault in the middle of nothing: a store past RAM's segment limit changes no state. */
static void test_fault_leaves_no_trace(void)
{
    struct fixture *f = fixture_new();

    CU_ASSERT_EQUAL(execute(f, "d9ee"), NONE);
    struct cpu_fpu before = f->cpu.fpu;
    f->cpu.segment[X86_DS].limit = AREA;
    cpu_update_mode(&f->cpu);
    CU_ASSERT_EQUAL(execute(f, "dd1b"), EXCEPTION_GP); /* FSTP m64 */
    CU_ASSERT_EQUAL(execute(f, "df3b"), EXCEPTION_GP); /* FISTP m64 */
    CU_ASSERT_EQUAL(execute(f, "dd03"), EXCEPTION_GP); /* FLD m64 */
    CU_ASSERT_EQUAL(execute(f, "dd33"), EXCEPTION_GP); /* FNSAVE */
    CU_ASSERT_EQUAL(memcmp(&before, &f->cpu.fpu, sizeof(before)), 0);
    fixture_free(f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"control bits", test_control_bits},
        {"an x87 error waits", test_x87_error_waits},
        {"an x87 error is cleared", test_x87_error_cleared},
        {"an x87 error is unmasked later", test_x87_unmasked_later},
        {"an x87 error without CR0.NE", test_x87_error_external},
        {"x87 stack faults", test_stack_faults},
        {"SSE exceptions", test_sse_exceptions},
        {"alignment", test_alignment},
        {"MXCSR's reserved bits", test_mxcsr_reserved_bits},
        {"XCR0", test_xcr0},
        {"XSAVE marks components", test_xsave_marks},
        {"XSAVEOPT", test_xsaveopt},
        {"XRSTOR checks", test_xrstor_checks},
        {"XRSTOR initialises", test_xrstor_initialises},
        {"FXSAVE without OSFXSR", test_fxsave_without_sse},
        {"environment formats", test_environment_formats},
        {"FNSAVE and FRSTOR", test_save_and_restore},
        {"MMX aliases x87", test_mmx_aliases_x87},
        {"a fault leaves no trace", test_fault_leaves_no_trace},
        {NULL, NULL},
    };

    return unit_run("tcg-fpu", tests);
}
