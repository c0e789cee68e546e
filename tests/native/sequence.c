/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random sequences. They are made while the interpreter executes them, so that each instruction
 * finds registers with which it can be made to do something. Kept out is what the architecture
 * leaves open: its traces would spread.
 */
#include "native.h"
#include "tcg/access.h"

#include <string.h>

#define PERCENT(n) random_chance(random, (n))
#define TRIES_MAX  50

struct sequence {
    struct random *random;
    const GArray *rows;
    struct native_engine *engine;
    struct native_case *c;
    struct cpu *cpu; /* after what there is so far */
};

/* One instruction, at an offset from the entry. */
struct piece {
    uint8_t bytes[16];
    unsigned length;
    bool open_flags;
};

static bool has_operand(const struct opcode *row, enum operand from, enum operand to)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        if (row->operands[i] >= from && row->operands[i] <= to) {
            return true;
        }
    }
    return false;
}

/* Jumps are made here; state images hold what is open; the rest needs registers of its own. */
static bool is_suitable(const struct opcode *row)
{
    static const char *const others[] = {
        "fnst",     "fldenv", "frstor",   "fnsave",   "fx",    "xsave",       "xrstor",
        "enter",    "leave",  "xlat",     "popf",     "maskm", "vmaskmovdqu", "ldmxcsr",
        "vldmxcsr", "fstp1",  "cvtpi2ps", "cvtpi2pd", "wr",    "rdfs",        "xgetbv",
    };

    if (row->flags & (OP_END | OP_STRING | OP_NOT_64 | OP_SYSTEM | OP_NO_NATIVE)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (g_str_has_prefix(row->name, others[i])) {
            return false;
        }
    }
    return !has_operand(row, Mvs, Mvs) && !has_operand(row, Ob, Ov);
}

static uint64_t choose_target(struct random *random, const struct opcode *row)
{
    unsigned kind = random_below(random, row->feature == FEATURE_SHA ? 65 : 100);

    if (kind < 65) {
        return DATA_ADDRESS + 16 * random_below(random, NATIVE_PAGE / 16 - 2);
    }
    if (kind < 97) {
        return DATA_ADDRESS + random_below(random, NATIVE_PAGE - 64);
    }
    return DATA_ADDRESS + (PERCENT(50) ? NATIVE_PAGE : 0) + random_below(random, 32) - 16;
}

/* Let the memory operand be at target, by its displacement alone. */
static bool aim(struct sequence *s, const struct insn *insn, struct piece *piece,
                unsigned displacement_at, unsigned offset)
{
    struct cpu *cpu = s->cpu;
    uint64_t target = choose_target(s->random, insn->opcode);

    cpu->rip = CODE_ADDRESS + CODE_ENTRY + offset + insn->length;
    uint64_t now = insn_effective_address(cpu, insn);
    now += insn->segment == X86_GS ? GS_BASE : 0;
    int64_t displacement = (int64_t)((uint64_t)insn->displacement + (target - now));
    if (insn->address_size == 8 && displacement != (int32_t)displacement) {
        return false;
    }
    int32_t value = (int32_t)displacement;
    memcpy(piece->bytes + displacement_at, &value, 4);
    return true;
}

/* The stack pointer stays where it is, and nothing that is open comes out. */
static bool is_harmless(struct random *random, const struct insn *insn)
{
    const char *name = insn->opcode->name;
    bool by_register = has_operand(insn->opcode, Gb, Gy);

    if ((!insn->memory && insn->rm == X86_RSP) || insn->reg == X86_RSP ||
        insn->vex_register == X86_RSP || insn->address_size == 2) {
        return false;
    }
    if ((g_str_has_prefix(name, "shld") || g_str_has_prefix(name, "shrd")) &&
        insn->operand_size == 2) {
        return false;
    }
    if (g_str_has_prefix(name, "bt") && insn->memory && by_register) {
        return false; /* the bit may be anywhere */
    }
    return !strstr(name, "div") || insn->opcode->feature != FEATURE_NONE || PERCENT(20);
}

static bool make_piece(struct sequence *s, unsigned offset, struct piece *piece)
{
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        const struct native_row *row =
            &g_array_index(s->rows, struct native_row, random_below(s->random, s->rows->len));
        struct insn insn;
        unsigned displacement_at;

        if (!is_suitable(row->row) ||
            !native_generate_insn(s->random, row, s->c, piece->bytes, &insn, &displacement_at) ||
            !is_harmless(s->random, &insn)) {
            continue;
        }
        if (insn.memory && !aim(s, &insn, piece, displacement_at, offset)) {
            continue;
        }
        piece->length = insn.length;
        piece->open_flags = insn_undefined_flags(&insn) != 0;
        return true;
    }
    return false;
}

static void append(struct sequence *s, const struct piece *piece)
{
    memcpy(s->c->bytes + s->c->length, piece->bytes, piece->length);
    s->c->length += piece->length;
}

/* CMP r32, r32: all flags defined. */
static void define_flags(struct sequence *s)
{
    struct piece piece = {.bytes = {0x39, 0xc0 | (random_next(s->random) & 0x3f)}, .length = 2};

    native_engine_step(s->engine, s->c->length, piece.bytes, piece.length);
    append(s, &piece);
}

/* MOV r32, a place in the data page; not to RSP. */
static void make_pointer(struct sequence *s)
{
    uint32_t value = DATA_ADDRESS + random_below(s->random, NATIVE_PAGE);
    uint8_t reg = random_below(s->random, 16);
    struct piece piece = {.bytes = {0x40 | reg >> 3, 0xb8 | (reg & 7)}, .length = 6};

    if (reg != X86_RSP) {
        memcpy(piece.bytes + 2, &value, 4);
        native_engine_step(s->engine, s->c->length, piece.bytes, piece.length);
        append(s, &piece);
    }
}

/* False: it faults, and is the sequence's end. */
static bool add_piece(struct sequence *s)
{
    struct random *random = s->random;
    struct piece piece, jump = {.bytes = {0x70 | random_below(random, 16)}};
    unsigned offset = s->c->length;

    jump.length = PERCENT(10) ? 2 : 0;
    if (!make_piece(s, offset + jump.length, &piece)) {
        return true;
    }
    jump.bytes[1] = piece.length;
    if (jump.length) {
        native_engine_step(s->engine, offset, jump.bytes, jump.length);
    }
    bool jumped = jump.length && s->cpu->rip != CODE_ADDRESS + CODE_ENTRY + offset + 2;
    if (!jumped &&
        !native_engine_step(s->engine, offset + jump.length, piece.bytes, piece.length)) {
        /* #XM leaves its traces in MXCSR; others nothing. */
        if (s->cpu->pending_vector != EXCEPTION_XM && !PERCENT(10)) {
            return true;
        }
        append(s, &jump);
        append(s, &piece);
        return false;
    }
    append(s, &jump);
    append(s, &piece);
    if (piece.open_flags) {
        define_flags(s);
    }
    return true;
}

void native_generate_sequence(struct random *random, const GArray *rows,
                              const struct cpu_features *features, struct native_engine *engine,
                              struct native_case *c, struct native_outcome *outcome)
{
    struct sequence s = {.random = random, .rows = rows, .engine = engine, .c = c};
    unsigned limit = 2 + random_below(random, SEQUENCE_INSNS - 12);
    bool completed = true;

    c->features = features;
    c->code_64 = true;
    c->length = 0;
    c->done = false;
    memset(&c->native, 0, offsetof(struct native_outcome, memory));
    native_generate_state(random, c);
    c->before.mxcsr |= PERCENT(95) ? 0x1f80 : 0;
    memset(outcome, 0, offsetof(struct native_outcome, memory));
    s.cpu = native_engine_begin(engine, c);
    make_pointer(&s);
    make_pointer(&s);
    for (unsigned i = 0; i < limit && completed && c->length < SEQUENCE_BYTES - 64; i++) {
        if (PERCENT(10)) {
            make_pointer(&s);
        }
        completed = add_piece(&s);
    }
    outcome->completed = completed;
    outcome->vector = completed ? 0 : s.cpu->pending_vector;
    if (completed) {
        s.cpu->rip = CODE_ADDRESS + CODE_ENTRY + c->length;
    }
    native_engine_end(engine, outcome);
}
