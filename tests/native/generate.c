/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a case: an encoding of a row, then a state in which it mostly does something. */
#include "native.h"
#include "tcg/access.h"

#include <string.h>

#define INSN_MAX   15
#define PERCENT(n) random_chance(random, (n))

struct encoding {
    uint8_t bytes[16]; /* what follows the opcode is random until the decoder has said what it is */
    unsigned length;
    unsigned modrm_at;
    bool undefined_meant; /* #UD is what this encoding is for */
};

static void put(struct encoding *e, uint8_t byte)
{
    e->bytes[e->length++] = byte;
}

static bool row_has_operand(const struct opcode *row, enum operand from, enum operand to)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        if (row->operands[i] >= from && row->operands[i] <= to) {
            return true;
        }
    }
    return false;
}

static bool name_is(const struct opcode *row, const char *prefix)
{
    return g_str_has_prefix(row->name, prefix);
}

static void put_legacy_prefixes(struct random *random, const struct native_row *row,
                                const struct native_case *c, struct encoding *e)
{
    static const uint8_t segments[] = {0x2e, 0x36, 0x3e, 0x26, 0x65};
    static const uint8_t mandatory[] = {0, 0x66, 0xf3, 0xf2};
    uint16_t flags = row->row->flags;

    if (PERCENT(4)) {
        put(e, 0x67);
    }
    if (PERCENT(5)) {
        put(e, segments[random_below(random, c->code_64 ? 5 : 4)]);
    }
    if (row->vex_map) {
        return;
    }
    /* Near branches with 66 in 64-bit mode differ between makers. */
    bool may_66 = !((flags & OP_FORCE_64) && c->code_64);
    if (may_66 && PERCENT(row->prefix < 0 ? 20 : row->prefix >= 2 ? 10 : 0)) {
        put(e, 0x66);
    }
    if (flags & OP_LOCK ? PERCENT(25) : PERCENT(1)) {
        put(e, 0xf0);
        e->undefined_meant = true;
    }
    if ((flags & OP_STRING) && PERCENT(60)) {
        put(e, PERCENT(50) ? 0xf2 : 0xf3);
    }
    if (row->prefix > 0) {
        put(e, mandatory[row->prefix]);
    }
    if (c->code_64 && (PERCENT(40) || row->w == 1)) {
        uint8_t rex = 0x40 | random_below(random, 16);
        put(e, row->w < 0 ? rex : (rex & ~8) | row->w << 3);
    }
}

/* VEX.L and VEX.W are mostly what the row wants; else #UD must come. */
static void put_vex(struct random *random, const struct native_row *row,
                    const struct native_case *c, struct encoding *e)
{
    uint16_t flags = row->row->flags;
    bool has_vvvv = row_has_operand(row->row, By, By) || row_has_operand(row->row, Hx, Hx);
    uint8_t inverted = c->code_64 ? random_below(random, 8) << 5 : 0xe0;
    uint8_t vvvv = has_vvvv || PERCENT(2) ? random_below(random, 16) : 15;
    /* Hosts with VAES and VPCLMULQDQ have what is #UD without. */
    bool may_be_longer = row->row->feature != FEATURE_AES && row->row->feature != FEATURE_PCLMULQDQ;
    bool long_vector = flags & OP_VEX_128   ? may_be_longer && PERCENT(3)
                       : flags & OP_VEX_256 ? !PERCENT(3)
                                            : PERCENT(50);
    bool wide = row->w >= 0 ? row->w : flags & OP_VEX_W0 ? PERCENT(3) : PERCENT(50);
    uint8_t last = vvvv << 3 | long_vector << 2 | (row->prefix > 0 ? row->prefix : 0);

    e->undefined_meant = true;
    if (!c->code_64) {
        last |= 0x40;
    }
    if (row->vex_map == 1 && !wide && PERCENT(50)) {
        put(e, 0xc5);
        put(e, last | (inverted & 0x80));
        return;
    }
    put(e, 0xc4);
    put(e, (inverted | (c->code_64 ? 0 : 0xc0)) | row->vex_map);
    put(e, last | wide << 7);
}

static uint8_t random_modrm(struct random *random, const struct native_row *row, struct encoding *e)
{
    uint8_t modrm = random_next(random);
    bool memory = PERCENT(55);

    if (row_has_operand(row->row, M, My) || (row->lead_count == 1 && row->opcode == 0x0d)) {
        memory = true; /* 0F 0D, a prefetch: AMD has no register form, Intel a NOP */
    } else if (row_has_operand(row->row, Rd, Ry) || row_has_operand(row->row, Ux, Ux) ||
               row_has_operand(row->row, Nq, Nq)) {
        memory = false;
    }
    if (row->mod >= 0) {
        memory = row->mod == 0;
    } else if (row->opcode != 0x0d && PERCENT(2)) {
        memory = !memory;
        e->undefined_meant = true;
    }
    if (!memory) {
        modrm |= 0xc0;
    } else if (modrm >= 0xc0) {
        modrm &= 0x3f | random_below(random, 3) << 6;
    }
    if (row->reg >= 0) {
        modrm = (modrm & ~0x38) | row->reg << 3;
    }
    if (row->rm >= 0) {
        modrm = (modrm & ~7) | row->rm;
    }
    return modrm;
}

static void encode(struct random *random, const struct native_row *row, const struct native_case *c,
                   struct encoding *e)
{
    put_legacy_prefixes(random, row, c, e);
    if (row->vex_map) {
        put_vex(random, row, c, e);
    }
    for (unsigned i = 0; i < row->lead_count; i++) {
        put(e, row->lead[i]);
    }
    put(e, row->opcode);
    e->modrm_at = e->length;
    put(e, random_modrm(random, row, e));
    while (e->length < INSN_MAX) {
        put(e, random_integer(random));
    }
}

/* --- State --- */

enum vector_style { STYLE_INTEGER, STYLE_FLOAT, STYLE_DOUBLE };

static enum vector_style style_for(struct random *random, const struct opcode *row)
{
    bool is_float = strstr(row->name, "ps") || strstr(row->name, "ss");
    bool is_double = strstr(row->name, "pd") || strstr(row->name, "sd");

    if (PERCENT(10) || (!is_float && !is_double)) {
        return random_below(random, 3);
    }
    if (is_float && is_double) {
        return PERCENT(50) ? STYLE_FLOAT : STYLE_DOUBLE;
    }
    return is_float ? STYLE_FLOAT : STYLE_DOUBLE;
}

static void random_vector(struct random *random, enum vector_style style, union vector128 *v)
{
    for (unsigned i = 0; i < 2; i++) {
        v->u64[i] = style == STYLE_FLOAT
                        ? random_float(random) | (uint64_t)random_float(random) << 32
                    : style == STYLE_DOUBLE ? random_double(random)
                                            : random_integer(random);
    }
}

static uint64_t data_pointer(struct random *random)
{
    uint64_t offset = 64 + random_below(random, NATIVE_PAGE - 128);

    return DATA_ADDRESS + (PERCENT(70) ? offset & ~UINT64_C(15) : offset);
}

/* Where a jump may go: INT3 bytes, not the instruction. */
static uint64_t code_pointer(struct random *random)
{
    return CODE_ADDRESS + 0x800 + random_below(random, 0x400);
}

static void random_registers(struct random *random, struct native_state *s)
{
    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        s->gpr[i] = PERCENT(15) ? data_pointer(random) : random_integer(random);
    }
    for (unsigned i = 0; i < 2; i++) { /* equal registers */
        s->gpr[random_below(random, 16)] = s->gpr[random_below(random, 16)];
    }
    s->gpr[X86_RSP] = data_pointer(random) & (PERCENT(80) ? ~UINT64_C(7) : UINT64_MAX);
    s->rip = CODE_ADDRESS + CODE_ENTRY;
    s->rflags =
        FLAG_FIXED | FLAG_IF | (random_next(random) & FLAGS_STATUS) | (PERCENT(20) ? FLAG_DF : 0);
}

static void random_x87(struct random *random, struct native_state *s)
{
    static const uint16_t precision[] = {0x000, 0x200, 0x300, 0x300};
    uint16_t masks = PERCENT(65) ? 0x3f : random_next(random) & 0x3f;
    uint16_t exceptions = PERCENT(60) ? 0 : random_next(random) & 0x7f;

    s->fpu_control = 0x40 | masks | precision[random_below(random, 4)] |
                     random_below(random, 4) << 10 | random_below(random, 2) << 12;
    if (!PERCENT(4)) {
        exceptions &= masks | 0x40;
    }
    s->fpu_status = exceptions | (random_next(random) & 0x7f00);
    if (exceptions & ~masks & 0x3f) {
        s->fpu_status |= 0x8080; /* ES, B */
    }
    unsigned top = (s->fpu_status >> 11) & 7, deep = random_below(random, 9);
    s->fpu_valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        bool valid = PERCENT(90) ? i < deep : PERCENT(50);
        s->fpu_valid |= valid << ((top + i) & 7);
    }
    for (unsigned i = 0; i < 8; i++) {
        random_extended(random, &s->st[i].mantissa, &s->st[i].exponent);
    }
}

static void random_sse(struct random *random, enum vector_style style, struct native_state *s)
{
    s->mxcsr = PERCENT(65) ? 0x1f80 | (random_next(random) & 0xe040) : random_next(random) & 0xffff;
    if (PERCENT(40)) {
        s->mxcsr &= ~0xe040; /* the usual */
    }
    for (unsigned i = 0; i < 16; i++) {
        random_vector(random, style, &s->ymm[i].xmm);
        random_vector(random, style, &s->ymm[i].high);
        if (PERCENT(3)) {
            s->ymm[i].high = (union vector128){.u64 = {0, 0}};
        }
    }
}

static void write_memory(struct native_case *c, uint64_t address, const void *bytes,
                         unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        if (address + i - DATA_ADDRESS < NATIVE_PAGE) {
            c->memory[address + i - DATA_ADDRESS] = ((const uint8_t *)bytes)[i];
        }
    }
}

/* Where no memory is, or none behind its first byte. */
static uint64_t choose_hole(struct random *random)
{
    uint64_t end = DATA_ADDRESS + NATIVE_PAGE;

    return PERCENT(50) ? end + 16 * random_below(random, 16) : end - 1;
}

static uint64_t choose_target(struct random *random, const struct opcode *row, bool want_fault)
{
    /* AMD's SHA instructions take misaligned operands, Intel's do not: always aligned here. */
    unsigned kind = random_below(random, row->feature == FEATURE_SHA ? 65 : 100);
    if (want_fault && row->feature != FEATURE_SHA) {
        return choose_hole(random);
    }
    bool state_area = row_has_operand(row, My, My) && (name_is(row, "x") || name_is(row, "fx"));

    if (state_area && kind < 85) {
        return DATA_ADDRESS + 64 * random_below(random, NATIVE_PAGE / 64 - 14);
    }
    if (kind < 65) {
        return DATA_ADDRESS + 16 * random_below(random, NATIVE_PAGE / 16);
    }
    if (kind < 92) {
        return DATA_ADDRESS + random_below(random, NATIVE_PAGE - 128);
    }
    if (kind < 96) { /* over the edge of the page */
        return DATA_ADDRESS + (PERCENT(50) ? NATIVE_PAGE : 0) + random_below(random, 32) - 16;
    }
    return kind < 98 ? CODE_ADDRESS + random_below(random, NATIVE_PAGE)
                     : random_next(random) >> random_below(random, 32);
}

static unsigned displacement_at_of(const struct encoding *e, const struct insn *insn)
{
    bool has_sib = insn->address_size != 2 && (insn->modrm & 7) == 4;

    return e->modrm_at + 1 + has_sib;
}

/* A gather: elements at the target and near, some of them not to be had. */
static bool aim_gather(struct random *random, struct native_case *c, const struct insn *insn,
                       uint64_t offset)
{
    union vector256 *index = &c->before.ymm[insn->index];
    bool by_quadwords = insn->opcode->name[insn->opcode->name[1] == 'p' ? 8 : 7] == 'q';

    if (insn->base == INSN_NO_REGISTER || insn->base == X86_RSP) {
        return PERCENT(5) && insn->base != X86_RSP;
    }
    c->before.gpr[insn->base] = offset - (int64_t)insn->displacement;
    for (unsigned i = 0; i < (by_quadwords ? 4 : 8); i++) {
        int32_t number = (int32_t)random_below(random, 64) - 32;
        number = PERCENT(2) ? (int32_t)random_integer(random) : number;
        if (by_quadwords) {
            index->s64[i] = number;
        } else {
            index->s32[i] = number;
        }
    }
    return true;
}

/* Make the memory operand lie at target. False if this encoding can't. */
static bool aim(struct random *random, struct native_case *c, const struct insn *insn,
                struct encoding *e, uint64_t target)
{
    uint64_t *gpr = c->before.gpr, offset = target, index = 0;

    if (c->code_64 && insn->segment == X86_GS) {
        offset -= GS_BASE;
    }
    if (row_has_operand(insn->opcode, Mvs, Mvs)) {
        return aim_gather(random, c, insn, offset);
    }
    if (insn->index != INSN_NO_REGISTER) {
        if (insn->index == insn->base) {
            return PERCENT(5) && insn->base != X86_RSP && insn->opcode->feature != FEATURE_SHA;
        }
        if (insn->base == X86_RSP) { /* the stack pointer stays canonical */
            gpr[insn->index] = (uint16_t)random_integer(random);
        } else if (PERCENT(80)) {
            gpr[insn->index] = random_integer(random) >> random_below(random, 48);
        }
        index = gpr[insn->index] << insn->scale;
    }
    if (insn->base != INSN_NO_REGISTER) {
        gpr[insn->base] = offset - index - (int64_t)insn->displacement;
        if (insn->address_size == 4 && c->code_64 && insn->base != X86_RSP && PERCENT(70)) {
            gpr[insn->base] = (uint32_t)gpr[insn->base] | random_next(random) << 32;
        }
        return true;
    }
    if (insn->address_size == 2) {
        return insn->opcode->feature != FEATURE_SHA;
    }
    if (insn->index != INSN_NO_REGISTER && c->code_64) {
        gpr[insn->index] &= 0xffff;
        index = gpr[insn->index] << insn->scale;
    }
    int32_t displacement = offset - index;
    if (insn->rip_relative) {
        displacement = offset - (CODE_ADDRESS + CODE_ENTRY + insn->length);
    }
    memcpy(e->bytes + displacement_at_of(e, insn), &displacement, 4);
    return true;
}

/* What lies in memory where the operand is. */
static void random_operand(struct random *random, struct native_case *c, const struct opcode *row,
                           enum vector_style style, uint64_t target)
{
    union vector128 v;
    uint16_t exponent;

    random_vector(random, style, &v);
    write_memory(c, target + 16, &v, sizeof(v));
    random_vector(random, style, &v);
    if (row_has_operand(row, Mt, Mt) && PERCENT(60)) {
        random_extended(random, &v.u64[0], &exponent);
        v.u64[1] = exponent;
    } else if (row->feature == FEATURE_FPU && row_has_operand(row, Md, Mq) && PERCENT(70)) {
        v.u64[0] = row_has_operand(row, Md, Md) ? random_float(random) : random_double(random);
    } else if (PERCENT(25)) { /* what CMPXCHG likes */
        v.u64[0] = c->before.gpr[X86_RAX];
        v.u64[1] = c->before.gpr[X86_RDX];
        if (PERCENT(50)) {
            v.u64[0] = (uint32_t)v.u64[0] | v.u64[1] << 32;
        }
    }
    if (name_is(row, "fbld") && PERCENT(80)) {
        for (unsigned i = 0; i < 9; i++) {
            v.u8[i] = random_below(random, 10) << 4 | random_below(random, 10);
        }
    }
    if ((row->flags & OP_END) && PERCENT(90)) {
        v.u64[0] = code_pointer(random);
    }
    write_memory(c, target, &v, sizeof(v));
}

/* FXSAVE and XSAVE images that can be loaded: MXCSR, the header; and what may be asked for. */
static void arrange_state_area(struct random *random, struct native_case *c,
                               const struct opcode *row, uint64_t target)
{
    uint64_t header[8] = {random_next(random) & 7};
    uint32_t mxcsr = random_next(random) & 0xffff;

    if (name_is(row, "xsave") || name_is(row, "xrstor")) {
        c->before.gpr[X86_RAX] = random_next(random) & 7;
        if (name_is(row, "xrstor") && PERCENT(40)) {
            header[1] =
                UINT64_C(1) << 63 | header[0] | (random_next(random) & (PERCENT(95) ? 7 : 31));
        }
        c->before.gpr[X86_RDX] = 0;
        if (PERCENT(5)) {
            header[1 + random_below(random, 2)] = 1 + random_below(random, 100);
        }
        write_memory(c, target + 512, header, sizeof(header));
    }
    if (PERCENT(95)) {
        write_memory(c, target + 24, &mxcsr, sizeof(mxcsr));
    }
}

static bool arrange_memory(struct random *random, struct native_case *c, const struct insn *insn,
                           struct encoding *e, enum vector_style style)
{
    const struct opcode *row = insn->opcode;
    uint64_t target = choose_target(random, row, c->want_fault);

    /* A stack pointer that is not canonical does not survive every way into user mode. */
    if (insn->base == X86_RSP && !cpu_is_canonical(target)) {
        return false;
    }
    if (!aim(random, c, insn, e, target)) {
        return false;
    }
    random_operand(random, c, row, style, target);
    if (strstr(row->name, "ldmxcsr")) { /* bit 17 is AMD's alone */
        uint32_t mxcsr = random_next(random) & (PERCENT(90) ? 0xffff : ~0x20000);
        write_memory(c, target, &mxcsr, sizeof(mxcsr));
    }
    if (name_is(row, "x") || name_is(row, "fx")) {
        arrange_state_area(random, c, row, target);
    }
    return true;
}

static bool used_for_address(const struct insn *insn, unsigned number)
{
    return insn->memory && (insn->base == number || insn->index == number);
}

static void point(struct random *random, struct native_case *c, const struct insn *insn,
                  enum x86_register number, unsigned percent)
{
    if (!used_for_address(insn, number) && PERCENT(percent)) {
        c->before.gpr[number] = data_pointer(random);
    }
}

/* Keep off what the manuals leave undefined and processors do differently. */
static void avoid_undefined(struct native_case *c, const struct insn *insn, struct encoding *e)
{
    const struct opcode *row = insn->opcode;

    /* From memory, or before a fault, these switch to MMX state or not: let it be so already. */
    if ((insn->memory && name_is(row, "cvtpi2ps")) || name_is(row, "maskmovq")) {
        c->before.fpu_status &= 0x4700; /* TOP 0, nothing waits */
        c->before.fpu_valid = 0xff;
    }
    /* Double shifts of 16 bits by more than 16: the result. */
    if ((name_is(row, "shld") || name_is(row, "shrd")) && insn->operand_size == 2) {
        c->before.gpr[X86_RCX] &= ~UINT64_C(0x10);
        e->bytes[insn->length - 1] &= row_has_operand(row, Ib, Ib) ? ~0x10 : 0xff;
    }
    /* An alias of FSTP that does not check for an empty register. */
    if (name_is(row, "fstp1")) {
        c->before.fpu_valid = 0xff;
    }
}

/* Registers and memory that the instruction uses without naming them. */
static void arrange_implicit(struct random *random, struct native_case *c, const struct insn *insn)
{
    const struct opcode *row = insn->opcode;
    bool repeated = (row->flags & OP_STRING) && (insn->prefixes & (INSN_REP | INSN_REPNE));

    if ((row->flags & OP_STRING) || (name_is(row, "maskmov") || name_is(row, "vmaskmovdqu"))) {
        /* Whether MASKMOV faults for bytes that it does not write is open: it never does here. */
        bool is_string = row->flags & OP_STRING;
        point(random, c, insn, X86_RSI, 90);
        point(random, c, insn, X86_RDI, is_string ? 90 : 100);
        if (!is_string && insn->segment == X86_GS && c->code_64) {
            c->before.gpr[X86_RDI] -= GS_BASE;
        }
        if (is_string && PERCENT(20)) { /* an overlap, equal strings */
            c->before.gpr[X86_RSI] = c->before.gpr[X86_RDI] + random_below(random, 17) - 8;
        }
    }
    if (repeated && PERCENT(95)) {
        c->before.gpr[X86_RCX] = random_below(random, 40);
    }
    if (name_is(row, "xlat")) {
        point(random, c, insn, X86_RBX, 90);
    }
    if (name_is(row, "leave") || name_is(row, "enter")) {
        point(random, c, insn, X86_RBP, 90);
    }
    if ((name_is(row, "div") || name_is(row, "idiv")) && PERCENT(50)) {
        c->before.gpr[X86_RDX] = PERCENT(50) ? 0 : UINT64_MAX;
    }
    if (name_is(row, "bt") && PERCENT(70) && !used_for_address(insn, insn->reg)) {
        c->before.gpr[insn->reg] = random_below(random, 2048) - 1024;
    }
    if ((row->flags & OP_END) && !insn->memory && PERCENT(90)) {
        c->before.gpr[insn->rm] = code_pointer(random);
    }
    if (name_is(row, "ret") || name_is(row, "popf")) {
        uint64_t top = name_is(row, "ret") ? code_pointer(random)
                                           : random_next(random) & (FLAGS_STATUS | FLAG_DF);
        if (name_is(row, "popf")) {
            top |= FLAG_IF;
        }
        write_memory(c, c->before.gpr[X86_RSP], &top, c->code_64 ? 8 : 4);
        if (insn->operand_size == 2) {
            write_memory(c, c->before.gpr[X86_RSP] + 2, &top, 2);
        }
    }
}

/* A relative jump into its own bytes would run something else. */
static bool jumps_into_itself(const struct native_case *c, const struct insn *insn)
{
    if (!row_has_operand(insn->opcode, Jb, Jz)) {
        return false;
    }
    int64_t displacement = (int64_t)insn->immediate;
    return displacement < 0 && displacement >= -(int64_t)INSN_MAX;
}

static void truncate_registers(struct native_case *c)
{
    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        c->before.gpr[i] = i < 8 ? (uint32_t)c->before.gpr[i] : 0;
    }
}

bool native_generate(struct random *random, const struct native_row *row,
                     const struct cpu_features *features, bool with_32, struct native_case *c)
{
    struct encoding e = {.length = 0};
    enum vector_style style = style_for(random, row->row);
    struct insn insn;
    struct cpu cpu;

    c->features = features;
    c->code_64 = row->row->flags & OP_ONLY_64  ? true
                 : row->row->flags & OP_NOT_64 ? false
                                               : !with_32 || PERCENT(65) || row->w == 1;
    encode(random, row, c, &e);
    random_registers(random, &c->before);
    random_x87(random, &c->before);
    random_sse(random, style, &c->before);
    for (unsigned i = 0; i < NATIVE_PAGE / 8; i++) {
        uint64_t value = random_next(random);
        memcpy(c->memory + 8 * i, &value, 8);
    }

    native_engine_prepare(&cpu, c);
    enum decode_result result = decode_insn(&cpu, e.bytes, INSN_MAX, &insn);
    c->length = INSN_MAX;
    if (result == DECODE_OK) {
        /* Whether a mask of zeros hides that there is no memory is open. */
        bool no_data =
            strstr(row->row->name, "maskmov") && (insn.segment == X86_CS || insn.address_size == 2);
        if (insn.opcode != row->row || jumps_into_itself(c, &insn) || no_data) {
            return false;
        }
        c->length = insn.length;
        if (insn.memory && !arrange_memory(random, c, &insn, &e, style)) {
            return false;
        }
        if (row_has_operand(row->row, Ob, Ov)) {
            uint64_t target = choose_target(random, row->row, c->want_fault);
            target -= insn.segment == X86_GS && c->code_64 ? GS_BASE : 0;
            memcpy(e.bytes + e.modrm_at, &target, insn.address_size);
        }
        arrange_implicit(random, c, &insn);
        avoid_undefined(c, &insn, &e);
    } else if (result != DECODE_UNDEFINED || !e.undefined_meant) {
        return false;
    }
    memcpy(c->bytes, e.bytes, c->length);
    if (!c->code_64) {
        truncate_registers(c);
    }
    c->done = false;
    memset(&c->native, 0, offsetof(struct native_outcome, memory));
    return true;
}

bool native_generate_insn(struct random *random, const struct native_row *row,
                          const struct native_case *c, uint8_t bytes[16], struct insn *insn,
                          unsigned *displacement_at)
{
    struct encoding e = {.length = 0};
    struct cpu cpu;

    encode(random, row, c, &e);
    native_engine_prepare(&cpu, c);
    if (decode_insn(&cpu, e.bytes, INSN_MAX, insn) != DECODE_OK || insn->opcode != row->row) {
        return false;
    }
    *displacement_at = 0;
    if (insn->memory) {
        /* A displacement of 32 bits, so that it reaches something. */
        if (insn->base != INSN_NO_REGISTER) {
            e.bytes[e.modrm_at] = (e.bytes[e.modrm_at] & 0x3f) | 0x80;
        }
        if (decode_insn(&cpu, e.bytes, INSN_MAX, insn) != DECODE_OK) {
            return false;
        }
        *displacement_at = displacement_at_of(&e, insn);
    }
    memcpy(bytes, e.bytes, 16);
    return true;
}

void native_generate_state(struct random *random, struct native_case *c)
{
    random_registers(random, &c->before);
    random_x87(random, &c->before);
    random_sse(random, random_below(random, 3), &c->before);
    for (unsigned i = 0; i < NATIVE_PAGE / 8; i++) {
        uint64_t value = PERCENT(50) ? random_next(random) : random_double(random);
        memcpy(c->memory + 8 * i, &value, 8);
    }
}
