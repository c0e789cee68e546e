/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lazy flags against a model that adds bit by bit, for all pairs of bytes and many wider values. */
#include "tcg/access.h"
#include "tcg/flags.h"
#include "tcg/tlb.h"
#include "unit/suite.h"
#include "unit/seed.h"

static uint32_t parity_model(uint64_t value)
{
    unsigned ones = 0;
    for (unsigned i = 0; i < 8; i++) {
        ones += (value >> i) & 1;
    }
    return ones % 2 ? 0 : FLAG_PF;
}

/* Ripple-carry: a + b + carry; a subtraction is an addition of ~b with the carry inverted. */
static uint32_t add_model(unsigned bits, uint64_t a, uint64_t b, unsigned carry, bool subtract,
                          uint64_t *result)
{
    unsigned c = subtract ? !carry : carry, before_last = 0;
    uint32_t flags = 0;
    *result = 0;
    for (unsigned i = 0; i < bits; i++) {
        unsigned x = (a >> i) & 1, y = ((b >> i) & 1) ^ subtract;
        *result |= (uint64_t)(x ^ y ^ c) << i;
        before_last = c;
        c = (x & y) | (c & (x | y));
        if (i == 3 && (c ^ subtract)) {
            flags |= FLAG_AF;
        }
    }
    flags |= (c ^ subtract) ? FLAG_CF : 0;
    flags |= (c ^ before_last) ? FLAG_OF : 0;
    flags |= *result == 0 ? FLAG_ZF : 0;
    flags |= (*result >> (bits - 1)) & 1 ? FLAG_SF : 0;
    return flags | parity_model(*result);
}

/* Conditions from the flags, as SDM vol. 1, appendix B has them. */
static bool condition_model(uint32_t flags, unsigned code)
{
    bool cf = flags & FLAG_CF, zf = flags & FLAG_ZF, sf = flags & FLAG_SF, of = flags & FLAG_OF;
    bool values[8] = {of, cf, zf, cf || zf, sf, flags & FLAG_PF, sf != of, zf || sf != of};
    return values[code / 2] != (code & 1);
}

static bool matches(const struct cpu *cpu, uint32_t expected)
{
    if (flags_get_status(cpu) != expected || flags_get_carry(cpu) != !!(expected & FLAG_CF)) {
        return false;
    }
    for (unsigned code = 0; code < 16; code++) {
        if (flags_condition(cpu, code) != condition_model(expected, code)) {
            return false;
        }
    }
    return true;
}

static bool check_pair(struct cpu *cpu, unsigned size, uint64_t a, uint64_t b)
{
    uint64_t result;
    bool good = true;
    for (unsigned carry = 0; carry < 2; carry++) {
        uint32_t expected = add_model(size * 8, a, b, carry, false, &result);
        flags_set(cpu, FLAGS_ADD, size, result, a, b);
        good = good && matches(cpu, expected);
        expected = add_model(size * 8, a, b, carry, true, &result);
        flags_set(cpu, carry ? FLAGS_SBB : FLAGS_SUB, size, result, a, b);
        good = good && matches(cpu, expected);
        expected = add_model(size * 8, a, 1, 0, false, &result) & ~FLAG_CF;
        flags_set(cpu, FLAGS_INC, size, result, a, carry);
        good = good && matches(cpu, expected | (carry ? FLAG_CF : 0));
        expected = add_model(size * 8, a, 1, 0, true, &result) & ~FLAG_CF;
        flags_set(cpu, FLAGS_DEC, size, result, a, carry);
        good = good && matches(cpu, expected | (carry ? FLAG_CF : 0));
    }
    return good;
}

static void test_bytes(void)
{
    struct cpu cpu = {0};
    unsigned wrong = 0;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            wrong += !check_pair(&cpu, 1, a, b);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_wide(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     0xf,
                                     0x10,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     ~0ull};
    struct cpu cpu = {0};
    unsigned wrong = 0;
    GRand *random = test_seeded_rand();
    for (unsigned size = 2; size <= 8; size *= 2) {
        for (unsigned i = 0; i < G_N_ELEMENTS(edges); i++) {
            for (unsigned j = 0; j < G_N_ELEMENTS(edges); j++) {
                wrong +=
                    !check_pair(&cpu, size, edges[i] & size_mask(size), edges[j] & size_mask(size));
            }
        }
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t a = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
            uint64_t b = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
            wrong += !check_pair(&cpu, size, a & size_mask(size), b & size_mask(size));
        }
    }
    g_rand_free(random);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_result(void)
{
    struct cpu cpu = {0};
    flags_set_result(&cpu, 4, 0x80000000, FLAG_CF);
    CU_ASSERT_EQUAL(flags_get_status(&cpu), FLAG_SF | FLAG_PF | FLAG_CF);
    flags_set_result(&cpu, 2, 0, FLAG_OF | FLAG_AF);
    CU_ASSERT_EQUAL(flags_get_status(&cpu), FLAG_ZF | FLAG_PF | FLAG_OF | FLAG_AF);
}

static void test_eflags(void)
{
    struct cpu cpu = {.tlb = tlb_new()};
    CU_ASSERT_EQUAL(cpu_get_eflags(&cpu), FLAG_FIXED);
    for (uint32_t status = 0; status <= FLAGS_STATUS; status++) {
        cpu_set_eflags(&cpu, status, ~0u);
        CU_ASSERT_EQUAL_FATAL(cpu_get_eflags(&cpu), status | FLAG_FIXED);
        CU_ASSERT_FATAL(matches(&cpu, status & FLAGS_STATUS));
    }
    /* Only what is in the mask changes, also while the flags are lazy. */
    flags_set(&cpu, FLAGS_SUB, 8, 0, 5, 5);
    cpu_set_eflags(&cpu, FLAG_CF | FLAG_IF | FLAG_DF, FLAG_CF | FLAG_IF);
    CU_ASSERT_EQUAL(flags_get_status(&cpu), FLAG_ZF | FLAG_PF | FLAG_CF);
    CU_ASSERT(cpu_get_eflags(&cpu) & FLAG_IF);
    tlb_free(cpu.tlb);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"all pairs of bytes", test_bytes},
        {"wider operands", test_wide},
        {"flags of a result", test_result},
        {"EFLAGS", test_eflags},
        {NULL, NULL},
    };
    return unit_run("tcg-flags", tests);
}
