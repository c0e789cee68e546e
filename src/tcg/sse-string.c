/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE4.2 string comparison: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2, 4.1). */
#include "tcg/avx.h"
#include "tcg/simd.h"

enum string_aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

/* The immediate byte. */
#define STRING_WORDS     (1 << 0) /* elements are words, not bytes */
#define STRING_SIGNED    (1 << 1)
#define STRING_NEGATE    (1 << 4)
#define STRING_MASKED    (1 << 5) /* negate only valid elements of the second operand */
#define STRING_LAST      (1 << 6) /* index: most significant; mask: expand to elements */
#define AGGREGATION(imm) (((imm) >> 2) & 3)

struct strings {
    const union vector128 *first, *second; /* the set or pattern, the text */
    unsigned first_length, second_length;  /* valid elements */
    unsigned count;                        /* elements in a vector */
    unsigned immediate;
};

static int element(const struct strings *s, const union vector128 *v, unsigned i)
{
    if (s->immediate & STRING_WORDS) {
        return s->immediate & STRING_SIGNED ? v->s16[i] : v->u16[i];
    }
    return s->immediate & STRING_SIGNED ? v->s8[i] : v->u8[i];
}

static bool element_in_set(const struct strings *s, unsigned j)
{
    for (unsigned i = 0; i < s->first_length; i++) {
        if (element(s, s->first, i) == element(s, s->second, j)) {
            return true;
        }
    }
    return false;
}

static bool element_in_ranges(const struct strings *s, unsigned j)
{
    int value = element(s, s->second, j);

    for (unsigned i = 0; i + 1 < s->first_length; i += 2) {
        if (value >= element(s, s->first, i) && value <= element(s, s->first, i + 1)) {
            return true;
        }
    }
    return false;
}

/* Does the pattern start at element j? What lies past the vector's end counts as a match. */
static bool pattern_at(const struct strings *s, unsigned j)
{
    for (unsigned i = 0; i < s->first_length && i + j < s->count; i++) {
        if (i + j >= s->second_length || element(s, s->first, i) != element(s, s->second, i + j)) {
            return false;
        }
    }
    return true;
}

static bool aggregate(const struct strings *s, unsigned j)
{
    bool valid = j < s->second_length;

    switch (AGGREGATION(s->immediate)) {
    case EQUAL_ANY:
        return valid && element_in_set(s, j);
    case RANGES:
        return valid && element_in_ranges(s, j);
    case EQUAL_EACH:
        if (!valid || j >= s->first_length) {
            return !valid && j >= s->first_length;
        }
        return element(s, s->first, j) == element(s, s->second, j);
    default:
        return pattern_at(s, j);
    }
}

/* IntRes2: one bit an element */
static unsigned compare_strings(const struct strings *s)
{
    unsigned result = 0;

    for (unsigned j = 0; j < s->count; j++) {
        bool bit = aggregate(s, j);
        if ((s->immediate & STRING_NEGATE) &&
            (!(s->immediate & STRING_MASKED) || j < s->second_length)) {
            bit = !bit;
        }
        result |= (unsigned)bit << j;
    }
    return result;
}

/* Length of an explicit string: the register's magnitude, at most the elements of a vector */
static unsigned explicit_length(const struct cpu *cpu, const struct insn *insn, unsigned number,
                                unsigned count)
{
    int64_t value = insn->operand_size == 8 ? (int64_t)cpu->gpr[number] : (int32_t)cpu->gpr[number];

    if (value < 0) {
        value = value < -(int64_t)count ? (int64_t)count : -value;
    }
    return MIN(value, (int64_t)count);
}

/* Length of an implicit string: up to the first zero element */
static unsigned implicit_length(const union vector128 *v, bool words, unsigned count)
{
    unsigned i = 0;

    while (i < count && (words ? v->u16[i] : v->u8[i]) != 0) {
        i++;
    }
    return i;
}

static unsigned string_compare(struct cpu *cpu, const struct insn *insn, bool explicit_lengths,
                               unsigned *count)
{
    union vector128 second = sse_read_unaligned(cpu, insn);
    struct strings s = {.first = &cpu->ymm[insn->reg].xmm, .second = &second};
    s.immediate = insn->immediate & 0xff;
    bool words = s.immediate & STRING_WORDS;
    s.count = *count = words ? 8 : 16;
    if (explicit_lengths) {
        s.first_length = explicit_length(cpu, insn, X86_RAX, s.count);
        s.second_length = explicit_length(cpu, insn, X86_RDX, s.count);
    } else {
        s.first_length = implicit_length(s.first, words, s.count);
        s.second_length = implicit_length(s.second, words, s.count);
    }
    unsigned result = compare_strings(&s);
    cpu_set_eflags(cpu,
                   (result ? FLAG_CF : 0) | (s.second_length < s.count ? FLAG_ZF : 0) |
                       (s.first_length < s.count ? FLAG_SF : 0) | (result & 1 ? FLAG_OF : 0),
                   FLAGS_STATUS);
    return result;
}

static void string_index(struct cpu *cpu, const struct insn *insn, bool explicit_lengths)
{
    unsigned count, result = string_compare(cpu, insn, explicit_lengths, &count);

    if (!result) {
        cpu->gpr[X86_RCX] = count;
    } else if (insn->immediate & STRING_LAST) {
        cpu->gpr[X86_RCX] = 31 - __builtin_clz(result);
    } else {
        cpu->gpr[X86_RCX] = __builtin_ctz(result);
    }
}

static void string_mask(struct cpu *cpu, const struct insn *insn, bool explicit_lengths)
{
    unsigned count, result = string_compare(cpu, insn, explicit_lengths, &count);
    union vector128 mask = {.u64 = {result}};

    if (insn->immediate & STRING_LAST) {
        for (unsigned i = 0; i < 16; i++) {
            mask.u8[i] = (result >> (i * count / 16)) & 1 ? 0xff : 0;
        }
    }
    cpu->ymm[0].xmm = mask;
}

/* The VEX forms clear the upper half of XMM0 when they write it. */
#define STRING_HANDLERS(name, make, explicit_lengths, writes_vector)                               \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        make(cpu, insn, explicit_lengths);                                                         \
    }                                                                                              \
    void avx_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        avx_check(cpu);                                                                            \
        make(cpu, insn, explicit_lengths);                                                         \
        if (writes_vector) {                                                                       \
            cpu->ymm[0].high = (union vector128){.u64 = {0, 0}};                                   \
        }                                                                                          \
    }
STRING_HANDLERS(pcmpestri, string_index, true, false)
STRING_HANDLERS(pcmpestrm, string_mask, true, true)
STRING_HANDLERS(pcmpistri, string_index, false, false)
STRING_HANDLERS(pcmpistrm, string_mask, false, true)
