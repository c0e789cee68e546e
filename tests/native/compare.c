/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must be equal after a case, and the report when it is not. */
#include "native.h"
#include "tcg/access.h"
#include "tcg/fpu.h"
#include "tcg/host-sse.h"

#include <stdio.h>
#include <string.h>

/* --- What the architecture leaves open --- */

static bool name_in(const char *name, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Condition codes that an x87 instruction defines; the others are undefined after it (SDM vol. 2,
 * "FPU Flags Affected" of each). */
static bool is_ordinary(uint16_t exponent, uint64_t mantissa)
{
    return (exponent & 0x7fff) != 0x7fff && mantissa != 0;
}

static uint16_t defined_conditions(const struct opcode *row, const struct native_state *before)
{
    static const char *const all[] = {"fcom",    "fcomp",  "fcompp",  "fcom2",  "fcomp3", "fcomp5",
                                      "fucom",   "fucomp", "fucompp", "ficom",  "ficomp", "ftst",
                                      "fxam",    "fprem",  "fprem1",  "fldenv", "frstor", "fnsave",
                                      "fxrstor", "xrstor", "fninit"};
    static const char *const range[] = {"fsin", "fcos", "fsincos", "fptan"};
    static const char *const none[] = {"fnclex", "fldcw",  "fnstcw", "fnstsw",
                                       "fnop",   "ffree",  "ffreep", "fnstenv",
                                       "fcomi",  "fcomip", "fucomi", "fucomip"};

    if (row->name[0] != 'f' && row->name[0] != 'x') {
        return FPU_CONDITIONS;
    }
    /* The quotient's bits where there is no division: zero, infinity, NaN. */
    if (strncmp(row->name, "fprem", 5) == 0 &&
        !(is_ordinary(before->st[0].exponent, before->st[0].mantissa) &&
          is_ordinary(before->st[1].exponent, before->st[1].mantissa))) {
        return FPU_C1 | FPU_C2;
    }
    if (name_in(row->name, all, G_N_ELEMENTS(all))) {
        return FPU_CONDITIONS;
    }
    if (name_in(row->name, range, G_N_ELEMENTS(range))) {
        return FPU_C1 | FPU_C2;
    }
    return name_in(row->name, none, G_N_ELEMENTS(none)) ? 0 : FPU_C1;
}

/*
 * Bytes of a stored x87 image that processors fill differently: the last instruction's opcode,
 * pointers and selectors (AMD stores them only while an exception waits, newer Intel no
 * selectors), and MXCSR_MASK. Offset in the image, count; a count of 0 ends.
 */
struct open_bytes {
    uint16_t offset, count;
};
static const struct open_bytes open_environment_32[] = {{12, 16}, {0, 0}};
static const struct open_bytes open_environment_16[] = {{6, 8}, {0, 0}};
static const struct open_bytes open_segment[] = {{2, 2}, {0, 0}};
static const struct open_bytes open_fxsave[] = {{6, 18}, {28, 4}, {0, 0}};

static const struct open_bytes *open_bytes_of(const struct insn *insn)
{
    const char *name = insn->opcode->name;

    if (strcmp(name, "fnstenv") == 0 || strcmp(name, "fnsave") == 0) {
        return insn->operand_size == 2 ? open_environment_16 : open_environment_32;
    }
    /* A 32-bit push of a segment register writes 2 bytes (Intel) or clears the others (AMD). */
    if (strcmp(name, "push") == 0 && insn->operand_size == 4 && insn->opcode->operands[0] >= sES &&
        insn->opcode->operands[0] <= sGS) {
        return open_segment;
    }
    if (strcmp(name, "fxsave") == 0 || g_str_has_prefix(name, "xsave")) {
        return open_fxsave;
    }
    return NULL;
}

/* Two faults at once, of which either may come: CALL's target and its push; an address that is
 * neither canonical nor aligned (MMX and SSE instructions agree on that, these do not); of an image
 * that is accessed in parts, a missing page and the segment's end behind it. */
static bool may_choose_fault(const struct opcode *row)
{
    static const char *const names[] = {"call",   "fxsave",   "fxrstor", "fldenv",
                                        "frstor", "fnstenv",  "fnsave",  "xsave",
                                        "xsavec", "xsaveopt", "xrstor"};

    return name_in(row->name, names, G_N_ELEMENTS(names));
}

/* --- The report --- */

struct report {
    const struct native_case *c;
    const struct native_outcome *engine;
    bool print;
    bool differs;
};

static void difference(struct report *r, const char *what, uint64_t before, uint64_t native,
                       uint64_t engine)
{
    if (r->print) {
        printf("%s  %-9s before %016" G_GINT64_MODIFIER "x  native %016" G_GINT64_MODIFIER
               "x  engine %016" G_GINT64_MODIFIER "x\n",
               r->differs ? "" : "\n", what, before, native, engine);
    }
    r->differs = true;
}

static void check(struct report *r, const char *what, uint64_t before, uint64_t native,
                  uint64_t engine)
{
    if (native != engine) {
        difference(r, what, before, native, engine);
    }
}

static void check_general(struct report *r, uint32_t undefined_flags)
{
    static const char *const names[X86_REGISTER_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                          "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                          "r12", "r13", "r14", "r15"};
    const struct native_state *b = &r->c->before, *n = &r->c->native.state, *e = &r->engine->state;
    uint64_t mask = r->c->code_64 ? UINT64_MAX : UINT32_MAX;
    uint64_t flags = (FLAGS_STATUS | FLAG_DF | FLAG_AC | FLAG_NT | FLAG_TF) & ~undefined_flags;

    for (unsigned i = 0; i < (r->c->code_64 ? X86_REGISTER_COUNT : 8u); i++) {
        check(r, names[i], b->gpr[i], n->gpr[i] & mask, e->gpr[i] & mask);
    }
    check(r, "rip", b->rip, n->rip, e->rip);
    check(r, "rflags", b->rflags, n->rflags & flags, e->rflags & flags);
}

/* After #XM for an unmasked overflow or underflow, PE says whether the result would have been
 * inexact with an unbounded exponent; the engine does not compute that. */
static uint32_t undefined_mxcsr(const struct report *r)
{
    bool both = r->c->native.vector == EXCEPTION_XM && r->engine->vector == EXCEPTION_XM;
    uint32_t unmasked = ~(r->c->before.mxcsr >> 7), raised = r->c->native.state.mxcsr;

    return both && (unmasked & raised & (MXCSR_OE | MXCSR_UE)) ? MXCSR_PE : 0;
}

static void check_vectors(struct report *r)
{
    const struct native_state *b = &r->c->before, *n = &r->c->native.state, *e = &r->engine->state;
    char name[16];

    for (unsigned i = 0; i < 16; i++) {
        for (unsigned part = 0; part < 4; part++) {
            g_snprintf(name, sizeof(name), "ymm%u.%u", i, part);
            check(r, name, b->ymm[i].u64[part], n->ymm[i].u64[part], e->ymm[i].u64[part]);
        }
    }
    uint32_t mask = ~undefined_mxcsr(r);
    check(r, "mxcsr", b->mxcsr, n->mxcsr & mask, e->mxcsr & mask);
}

static void check_x87(struct report *r, uint16_t defined)
{
    const struct native_state *b = &r->c->before, *n = &r->c->native.state, *e = &r->engine->state;
    uint16_t mask = ~FPU_CONDITIONS | defined;
    char name[16];

    for (unsigned i = 0; i < 8; i++) {
        g_snprintf(name, sizeof(name), "st%u", i);
        check(r, name, b->st[i].mantissa, n->st[i].mantissa, e->st[i].mantissa);
        g_snprintf(name, sizeof(name), "st%u.exp", i);
        check(r, name, b->st[i].exponent, n->st[i].exponent, e->st[i].exponent);
    }
    check(r, "fcw", b->fpu_control, n->fpu_control, e->fpu_control);
    check(r, "fsw", b->fpu_status, n->fpu_status & mask, e->fpu_status & mask);
    check(r, "ftw", b->fpu_valid, n->fpu_valid, e->fpu_valid);
}

/* Words of the data page. Each word is printed once, the first few only. */
static void check_memory(struct report *r, const uint8_t *native, const uint8_t *engine)
{
    unsigned printed = 0;

    for (unsigned i = 0; i < NATIVE_PAGE && printed < 6; i += 8) {
        uint64_t b, n, e;
        char name[16];
        memcpy(&b, r->c->memory + i, 8);
        memcpy(&n, native + i, 8);
        memcpy(&e, engine + i, 8);
        if (n != e) {
            g_snprintf(name, sizeof(name), "[%x]", (unsigned)DATA_ADDRESS + i);
            difference(r, name, b, n, e);
            printed++;
        }
    }
}

/* The engine's memory with what is left open taken from the processor's. */
static void take_open_bytes(const struct native_case *c, const struct insn *insn,
                            const struct cpu *cpu, uint8_t *memory)
{
    const struct open_bytes *open = open_bytes_of(insn);
    uint64_t offset = open == open_segment ? cpu->gpr[X86_RSP] - insn->operand_size - DATA_ADDRESS
                      : open               ? insn_effective_address(cpu, insn) - DATA_ADDRESS
                                           : 0;

    if (open && insn->memory && cpu->mode == CPU_MODE_64 && insn->segment == X86_GS) {
        offset += GS_BASE;
    }
    for (; open && open->count; open++) {
        for (unsigned i = 0; i < open->count; i++) {
            uint64_t at = offset + open->offset + i;
            if (at < NATIVE_PAGE) {
                memory[at] = c->native.memory[at];
            }
        }
    }
}

static void print_state(const struct native_state *s)
{
    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        printf("    r%-2u %016" G_GINT64_MODIFIER "x%s", i, s->gpr[i], i % 4 == 3 ? "\n" : "");
    }
    for (unsigned i = 0; i < 16; i++) {
        printf("    ymm%-2u", i);
        for (unsigned part = 4; part-- > 0;) {
            printf(" %016" G_GINT64_MODIFIER "x", s->ymm[i].u64[part]);
        }
        printf("\n");
    }
    for (unsigned i = 0; i < 8; i++) {
        printf("    st%u %04x:%016" G_GINT64_MODIFIER "x%s", i, s->st[i].exponent,
               s->st[i].mantissa, i % 4 == 3 ? "\n" : "");
    }
    printf("    rflags %08x fcw %04x fsw %04x ftw %02x mxcsr %04x\n", (unsigned)s->rflags,
           s->fpu_control, s->fpu_status, s->fpu_valid, s->mxcsr);
}

static void print_outcome(const char *who, const struct native_outcome *o)
{
    if (o->completed) {
        printf("  %s: completed\n", who);
    } else {
        printf("  %s: fault, vector %u\n", who, o->vector);
    }
}

static void print_case(const struct native_case *c, const struct insn *insn,
                       const struct native_outcome *engine)
{
    g_autofree char *text = insn ? insn_format(insn, c->before.rip) : NULL;

    printf("  bytes");
    for (unsigned i = 0; i < c->length; i++) {
        printf(" %02x", c->bytes[i]);
    }
    printf("  %s  (%s-bit)\n", text ? text : "#UD", c->code_64 ? "64" : "32");
    print_outcome("native", &c->native);
    print_outcome("engine", engine);
    printf("  state before\n");
    print_state(&c->before);
    printf("  state after, native\n");
    print_state(&c->native.state);
    printf("  state after, engine\n");
    print_state(&engine->state);
}

bool native_compare_sequence(const struct native_case *c, const struct native_outcome *engine,
                             const char *who, bool print)
{
    struct report r = {.c = c, .engine = engine, .print = print};

    check(&r, "completed", 0, c->native.completed, engine->completed);
    if (!c->native.completed && !engine->completed) {
        check(&r, "vector", 0, c->native.vector, engine->vector);
    }
    check_general(&r, 0);
    check_vectors(&r);
    check_x87(&r, 0);
    check_memory(&r, c->native.memory, engine->memory);
    if (r.differs && print) {
        struct cpu cpu;
        native_engine_prepare(&cpu, c);
        printf("  %s, native ended by %u, %s by %u\n", who, c->native.vector, who, engine->vector);
        for (unsigned at = 0; at < c->length;) {
            struct insn insn;
            if (decode_insn(&cpu, c->bytes + at, MIN(15, c->length - at), &insn) != DECODE_OK) {
                break;
            }
            uint64_t rip = c->before.rip + at;
            g_autofree char *text = insn_format(&insn, rip);
            printf("    %08" G_GINT64_MODIFIER "x%s%s  %s\n", rip,
                   rip == c->native.state.rip ? " N" : "  ", rip == engine->state.rip ? "E" : " ",
                   text);
            at += insn.length;
        }
        print_state(&c->before);
    }
    return !r.differs;
}

bool native_compare(const struct native_case *c, const struct native_outcome *engine, bool print)
{
    struct report r = {.c = c, .engine = engine, .print = print};
    uint8_t memory[NATIVE_PAGE];
    struct insn insn;
    struct cpu cpu;

    native_engine_prepare(&cpu, c);
    memcpy(cpu.gpr, c->before.gpr, sizeof(cpu.gpr));
    bool decoded = decode_insn(&cpu, c->bytes, c->length, &insn) == DECODE_OK;
    memcpy(memory, engine->memory, NATIVE_PAGE);
    check(&r, "completed", 0, c->native.completed, engine->completed);
    if (!c->native.completed && !engine->completed && !(decoded && may_choose_fault(insn.opcode))) {
        check(&r, "vector", 0, c->native.vector, engine->vector);
    }
    uint32_t undefined = 0;
    uint16_t conditions = FPU_CONDITIONS;
    if (decoded && c->native.completed) {
        cpu.rip = c->before.rip + insn.length; /* for RIP-relative addresses */
        take_open_bytes(c, &insn, &cpu, memory);
        undefined = insn_undefined_flags(&insn);
        conditions = defined_conditions(insn.opcode, &c->before);
    }
    check_general(&r, undefined);
    check_vectors(&r);
    check_x87(&r, conditions);
    /* A frame that faults half way may have been written so far, below the stack pointer. */
    if (c->native.completed || !decoded || strcmp(insn.opcode->name, "enter") != 0) {
        check_memory(&r, c->native.memory, memory);
    }
    if (r.differs && print) {
        print_case(c, decoded ? &insn : NULL, engine);
    }
    return !r.differs;
}
