/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder: prefixes, opcode, ModRM, SIB, displacement, immediates (SDM vol. 2, chapter 2).
 * What an opcode is and which operands it has is in the opcode maps; here is only their grammar.
 */
#include "tcg/opcode.h"

#include <string.h>

#define INSN_MAX_LENGTH 15

enum mandatory_prefix { PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };

enum rex_bit { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct decoder {
    const struct cpu *cpu;
    const uint8_t *bytes;
    unsigned available, position;
    enum decode_result result; /* of the first fetch that failed */
    struct insn *insn;
    uint8_t rex;
    bool prefix_66, prefix_67;
    uint8_t repeat;           /* F2, F3 or 0: the last one counts */
    uint8_t segment_override; /* X86_SEGMENT_COUNT if none */
    bool have_modrm;
    bool vector_index; /* the SIB byte's index is a vector register (VSIB) */
};

static bool fetch(struct decoder *d, unsigned count, uint64_t *value)
{
    *value = 0;
    if (d->result != DECODE_OK) {
        return false;
    }
    if (d->position + count > INSN_MAX_LENGTH) {
        d->result = d->available < INSN_MAX_LENGTH ? DECODE_NEED_MORE : DECODE_TOO_LONG;
        return false;
    }
    if (d->position + count > d->available) {
        d->result = DECODE_NEED_MORE;
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        *value |= (uint64_t)d->bytes[d->position + i] << (8 * i);
    }
    d->position += count;
    return true;
}

static uint8_t fetch_byte(struct decoder *d)
{
    uint64_t value;
    fetch(d, 1, &value);
    return value;
}

static uint64_t fetch_signed(struct decoder *d, unsigned count)
{
    uint64_t value;
    fetch(d, count, &value);
    unsigned shift = 64 - 8 * count;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static uint64_t fetch_unsigned(struct decoder *d, unsigned count)
{
    uint64_t value;
    fetch(d, count, &value);
    return value;
}

static bool mode_64(const struct decoder *d)
{
    return d->cpu->mode == CPU_MODE_64;
}

/* CS, DS, ES and SS overrides are accepted and ignored in 64-bit mode (SDM vol. 1, 3.3.7.1). */
static void override_segment(struct decoder *d, enum x86_segment_index segment)
{
    if (!mode_64(d) || segment == X86_FS || segment == X86_GS) {
        d->segment_override = segment;
    }
}

/* True if byte was a prefix. */
static bool take_prefix(struct decoder *d, uint8_t byte)
{
    switch (byte) {
    case 0x26:
        override_segment(d, X86_ES);
        break;
    case 0x2e:
        override_segment(d, X86_CS);
        break;
    case 0x36:
        override_segment(d, X86_SS);
        break;
    case 0x3e:
        override_segment(d, X86_DS);
        break;
    case 0x64:
        override_segment(d, X86_FS);
        break;
    case 0x65:
        override_segment(d, X86_GS);
        break;
    case 0x66:
        d->prefix_66 = true;
        break;
    case 0x67:
        d->prefix_67 = true;
        break;
    case 0xf0:
        d->insn->prefixes |= INSN_LOCK;
        break;
    case 0xf2:
    case 0xf3:
        d->repeat = byte;
        break;
    default:
        if (!mode_64(d) || (byte & 0xf0) != 0x40) {
            return false;
        }
        d->rex = byte;
        return true;
    }
    d->rex = 0; /* REX counts only directly before the opcode */
    return true;
}

static void fetch_modrm(struct decoder *d)
{
    if (!d->have_modrm) {
        d->insn->modrm = fetch_byte(d);
        d->have_modrm = true;
    }
}

static enum mandatory_prefix mandatory_prefix(const struct decoder *d)
{
    if (d->repeat) {
        return d->repeat == 0xf3 ? PREFIX_F3 : PREFIX_F2;
    }
    return d->prefix_66 ? PREFIX_66 : PREFIX_NONE;
}

/* Follow a row to the instruction it leads to; NULL if there is none. */
static const struct opcode *resolve(struct decoder *d, const struct opcode *row)
{
    for (;;) {
        switch (row->kind) {
        case OPCODE_INSN:
            return row;
        case OPCODE_GROUP:
            fetch_modrm(d);
            row = &row->sub[(d->insn->modrm >> 3) & 7];
            break;
        case OPCODE_MOD:
            fetch_modrm(d);
            row = &row->sub[d->insn->modrm >= 0xc0];
            break;
        case OPCODE_RM:
            fetch_modrm(d);
            row = &row->sub[d->insn->modrm & 7];
            break;
        case OPCODE_X87:
            fetch_modrm(d);
            row = &row->sub[((d->insn->modrm >> 3) & 7) + (d->insn->modrm >= 0xc0 ? 8 : 0)];
            break;
        case OPCODE_PREFIX:
            row = &row->sub[mandatory_prefix(d)];
            break;
        case OPCODE_W:
            row = &row->sub[d->insn->vex ? d->insn->vex_w : (d->rex & REX_W) != 0];
            break;
        default:
            return NULL;
        }
        if (d->result != DECODE_OK) {
            return NULL;
        }
    }
}

/* The integer map's row if it has one, else the other map's. */
static const struct opcode *resolve_either(struct decoder *d, const struct opcode *integer,
                                           const struct opcode *simd)
{
    const struct opcode *row = resolve(d, integer);
    return row || d->result != DECODE_OK ? row : resolve(d, simd);
}

static const struct opcode *decode_0f(struct decoder *d)
{
    struct insn *insn = d->insn;
    insn->byte = fetch_byte(d);
    insn->map = insn->byte == 0x38 ? 2 : insn->byte == 0x3a ? 3 : 1;
    switch (insn->byte) {
    case 0x38:
        insn->byte = fetch_byte(d);
        return resolve_either(d, &opcode_map_0f38_system[insn->byte], &opcode_map_0f38[insn->byte]);
    case 0x3a:
        insn->byte = fetch_byte(d);
        return resolve(d, &opcode_map_0f3a[insn->byte]);
    default:
        return resolve_either(d, &opcode_map_0f[insn->byte], &opcode_map_0f_simd[insn->byte]);
    }
}

/*
 * C4 and C5 are VEX prefixes in 64-bit mode, and in protected mode if what would be the ModRM byte
 * of LES or LDS names a register. Real and virtual-8086 mode know no VEX (SDM vol. 2, 2.3.5).
 */
static bool is_vex(struct decoder *d, uint8_t byte)
{
    if (byte != 0xc4 && byte != 0xc5) {
        return false;
    }
    if (mode_64(d)) {
        return true;
    }
    fetch_modrm(d);
    if (d->result != DECODE_OK || d->insn->modrm < 0xc0) {
        return false;
    }
    return d->cpu->protected_mode && !d->cpu->v86;
}

static const struct opcode *decode_vex(struct decoder *d, uint8_t byte)
{
    struct insn *insn = d->insn;
    if (d->rex || d->prefix_66 || d->repeat || (insn->prefixes & INSN_LOCK)) {
        return NULL;
    }
    uint8_t first = d->have_modrm ? insn->modrm : fetch_byte(d);
    d->have_modrm = false;
    uint8_t last = first, map = 1;
    d->rex = first & 0x80 ? 0 : REX_R;
    if (byte == 0xc4) {
        map = first & 0x1f;
        d->rex |= (first & 0x40 ? 0 : REX_X) | (first & 0x20 ? 0 : REX_B);
        last = fetch_byte(d);
        insn->vex_w = last & 0x80;
    }
    if (!mode_64(d)) {
        d->rex = 0;
    } else if (insn->vex_w) {
        d->rex |= REX_W;
    }
    insn->vex = true;
    insn->map = map;
    insn->vex_l = last & 4;
    insn->vex_register = (~last >> 3) & (mode_64(d) ? 15 : 7);
    d->prefix_66 = (last & 3) == 1;
    d->repeat = (last & 3) == 2 ? 0xf3 : (last & 3) == 3 ? 0xf2 : 0;
    insn->byte = fetch_byte(d);
    if (d->result != DECODE_OK) {
        return NULL;
    }
    switch (map) {
    case 1:
        return resolve(d, &opcode_map_vex_0f[insn->byte]);
    case 2:
        return resolve(d, &opcode_map_vex_0f38[insn->byte]);
    case 3:
        return resolve(d, &opcode_map_vex_0f3a[insn->byte]);
    default:
        return NULL;
    }
}

static const struct opcode *decode_opcode(struct decoder *d)
{
    uint8_t byte;
    do {
        byte = fetch_byte(d);
        if (d->result != DECODE_OK) {
            return NULL;
        }
    } while (take_prefix(d, byte));
    d->insn->byte = byte;
    if (is_vex(d, byte)) {
        return decode_vex(d, byte);
    }
    if (byte == 0x0f) {
        return decode_0f(d);
    }
    if (byte >= 0xd8 && byte <= 0xdf) {
        return resolve(d, &opcode_map_x87[byte - 0xd8]);
    }
    if (byte == 0x63) {
        return mode_64(d) ? &opcode_63_movsxd : &opcode_63_arpl;
    }
    return d->result == DECODE_OK ? resolve(d, &opcode_map_one_byte[byte]) : NULL;
}

const struct operand_kind operand_kinds[] = {
#define OPERAND(letter_, place_, size_, notation_, text_)                                          \
    [letter_] = {OPERAND_IN_##place_, OPERAND_SIZE_##size_, OPERAND_AS_##notation_},
#include "tcg/operands.def"
#undef OPERAND
};

static bool operand_has_modrm(enum operand operand)
{
    return operand_kinds[operand].place == OPERAND_IN_REG || operand_is_rm(operand);
}

static unsigned variable_size(const struct decoder *d, uint16_t flags)
{
    if (d->cpu->mode == CPU_MODE_16) {
        return d->prefix_66 ? 4 : 2;
    }
    if (!mode_64(d)) {
        return d->prefix_66 ? 2 : 4;
    }
    if ((d->rex & REX_W) || (flags & OP_FORCE_64)) {
        return 8;
    }
    if (d->prefix_66) {
        return 2;
    }
    return flags & OP_DEFAULT_64 ? 8 : 4;
}

/* The first operand that has a size of its own gives the instruction's. */
static unsigned operand_size(const struct decoder *d, const struct opcode *row)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        switch ((enum operand_size)operand_kinds[row->operands[i]].size) {
        case OPERAND_SIZE_BYTE:
            return 1;
        case OPERAND_SIZE_WORD:
            return 2;
        case OPERAND_SIZE_DOUBLE:
            return 4;
        case OPERAND_SIZE_WIDE:
            return d->rex & REX_W ? 8 : 4;
        case OPERAND_SIZE_NATIVE:
            return mode_64(d) ? 8 : 4;
        case OPERAND_SIZE_VARIABLE:
            return variable_size(d, row->flags);
        case OPERAND_SIZE_NONE:
            break;
        }
    }
    return variable_size(d, row->flags);
}

/* 16-bit forms: SDM vol. 2, table 2-1. */
static void decode_memory_16(struct decoder *d)
{
    static const struct {
        uint8_t base, index, segment;
    } forms[8] = {
        {X86_RBX, X86_RSI, X86_DS},          {X86_RBX, X86_RDI, X86_DS},
        {X86_RBP, X86_RSI, X86_SS},          {X86_RBP, X86_RDI, X86_SS},
        {X86_RSI, INSN_NO_REGISTER, X86_DS}, {X86_RDI, INSN_NO_REGISTER, X86_DS},
        {X86_RBP, INSN_NO_REGISTER, X86_SS}, {X86_RBX, INSN_NO_REGISTER, X86_DS},
    };
    struct insn *insn = d->insn;
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
    insn->base = forms[rm].base;
    insn->index = forms[rm].index;
    insn->segment = forms[rm].segment;
    if (mod == 0 && rm == 6) {
        insn->base = INSN_NO_REGISTER;
        insn->segment = X86_DS;
        insn->displacement = fetch_signed(d, 2);
    } else if (mod != 0) {
        insn->displacement = fetch_signed(d, mod == 1 ? 1 : 2);
    }
}

/* 32- and 64-bit forms: SDM vol. 2, tables 2-2 and 2-3, 2.2.1.6 (RIP-relative). */
static void decode_memory_32(struct decoder *d)
{
    struct insn *insn = d->insn;
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
    bool no_base = mod == 0 && rm == 5;
    insn->base = rm | (d->rex & REX_B ? 8 : 0);
    insn->index = INSN_NO_REGISTER;
    if (rm == 4) {
        uint8_t sib = fetch_byte(d);
        insn->scale = sib >> 6;
        insn->index = ((sib >> 3) & 7) | (d->rex & REX_X ? 8 : 0);
        if (insn->index == X86_RSP && !d->vector_index) {
            insn->index = INSN_NO_REGISTER;
        }
        insn->base = (sib & 7) | (d->rex & REX_B ? 8 : 0);
        no_base = mod == 0 && (sib & 7) == 5;
    } else if (no_base) {
        insn->rip_relative = mode_64(d);
    }
    insn->segment = X86_DS;
    if (no_base) {
        insn->base = INSN_NO_REGISTER;
        insn->displacement = fetch_signed(d, 4);
        return;
    }
    if (insn->base == X86_RSP || insn->base == X86_RBP) {
        insn->segment = X86_SS;
    }
    if (mod != 0) {
        insn->displacement = fetch_signed(d, mod == 1 ? 1 : 4);
    }
}

/* True if the row has a ModRM byte. */
static bool decode_modrm(struct decoder *d, const struct opcode *row)
{
    struct insn *insn = d->insn;
    bool control = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        if (operand_has_modrm(row->operands[i])) {
            fetch_modrm(d);
        }
        control |= row->operands[i] == Cd || row->operands[i] == Dd;
        d->vector_index |= row->operands[i] == Mvs;
    }
    if (!d->have_modrm) {
        return false;
    }
    insn->reg = ((insn->modrm >> 3) & 7) | (d->rex & REX_R ? 8 : 0);
    /* MOV to and from control and debug registers takes any mod as 3. */
    insn->memory = insn->modrm < 0xc0 && !control;
    if (!insn->memory) {
        insn->rm = (insn->modrm & 7) | (d->rex & REX_B ? 8 : 0);
    } else if (insn->address_size == 2) {
        decode_memory_16(d);
    } else {
        decode_memory_32(d);
    }
    return true;
}

static void decode_immediates(struct decoder *d, const struct opcode *row)
{
    struct insn *insn = d->insn;
    unsigned size = insn->operand_size;
    bool second = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        switch (row->operands[i]) {
        case Ib:
        case Lx:
            if (second) {
                insn->immediate2 = fetch_byte(d);
            } else {
                insn->immediate = fetch_byte(d);
            }
            second = true;
            break;
        case Ibs:
        case Jb:
            insn->immediate = fetch_signed(d, 1);
            second = true;
            break;
        case Iw:
            insn->immediate = fetch_unsigned(d, 2);
            second = true;
            break;
        case Iz:
        case Jz:
            insn->immediate = fetch_signed(d, size == 2 ? 2 : 4);
            second = true;
            break;
        case Iv:
            insn->immediate = fetch_signed(d, size);
            break;
        case I1:
            insn->immediate = 1;
            break;
        case Ap:
            insn->immediate = fetch_unsigned(d, size == 2 ? 2 : 4);
            insn->immediate2 = fetch_unsigned(d, 2);
            break;
        case Ob:
        case Ov:
            insn->immediate = fetch_unsigned(d, insn->address_size);
            break;
        case Zb:
        case Zv:
            insn->rm = (insn->byte & 7) | (d->rex & REX_B ? 8 : 0);
            break;
        default:
            break;
        }
    }
}

/* #UD rules of VEX: SDM vol. 2, 2.3.5 to 2.3.12, 2.4. */
static bool is_allowed_vex(const struct decoder *d, const struct opcode *row, bool has_vvvv)
{
    const struct insn *insn = d->insn;
    if (insn->vex_l ? row->flags & OP_VEX_128 : row->flags & OP_VEX_256) {
        return false;
    }
    if ((row->flags & OP_VEX_W0) && insn->vex_w) {
        return false;
    }
    if ((row->flags & OP_AVX2_256) && insn->vex_l &&
        !cpu_features_have(&d->cpu->features, FEATURE_AVX2)) {
        return false;
    }
    /* A gather needs a SIB byte and three different registers. */
    if (d->vector_index &&
        (insn->address_size == 2 || (insn->modrm & 7) != 4 || insn->reg == insn->index ||
         insn->reg == insn->vex_register || insn->index == insn->vex_register)) {
        return false;
    }
    /* VEX.vvvv that names no operand must be 1111b. */
    return has_vvvv || insn->vex_register == 0;
}

/* #UD rules that come with the row, the mode and the form of the operands. */
static bool is_allowed(const struct decoder *d, const struct opcode *row)
{
    const struct cpu *cpu = d->cpu;
    const struct insn *insn = d->insn;
    if (row->feature && !cpu_features_have(&cpu->features, row->feature)) {
        return false;
    }
    if ((row->flags & OP_NOT_64) && mode_64(d)) {
        return false;
    }
    if ((row->flags & OP_ONLY_64) && !mode_64(d)) {
        return false;
    }
    if ((row->flags & OP_PROTECTED) && (!cpu->protected_mode || cpu->v86)) {
        return false;
    }
    if ((row->flags & OP_VEX) && !insn->vex) {
        return false;
    }
    if ((insn->prefixes & INSN_LOCK) && (!(row->flags & OP_LOCK) || !insn->memory)) {
        return false;
    }
    bool has_vvvv = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(row->operands); i++) {
        enum operand_place place = operand_kinds[row->operands[i]].place;

        if (insn->memory ? place == OPERAND_IN_RM_REGISTER : place == OPERAND_IN_RM_MEMORY) {
            return false;
        }
        has_vvvv |= place == OPERAND_IN_VVVV;
    }
    return !insn->vex || is_allowed_vex(d, row, has_vvvv);
}

static insn_execute_fn choose_handler(const struct opcode *row, unsigned size)
{
    unsigned column = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
    return row->execute[column] ? row->execute[column] : row->execute[0];
}

enum decode_result decode_insn(const struct cpu *cpu, const uint8_t *bytes, unsigned available,
                               struct insn *insn)
{
    struct decoder d = {
        .cpu = cpu,
        .bytes = bytes,
        .available = MIN(available, INSN_MAX_LENGTH),
        .insn = insn,
        .segment_override = X86_SEGMENT_COUNT,
    };
    memset(insn, 0, sizeof(*insn));
    insn->base = insn->index = INSN_NO_REGISTER;
    insn->segment = X86_DS;

    const struct opcode *row = decode_opcode(&d);
    if (!row) {
        return d.result == DECODE_OK ? DECODE_UNDEFINED : d.result;
    }

    if (d.rex && !insn->vex) {
        insn->prefixes |= INSN_REX;
    }
    if (d.repeat) {
        insn->prefixes |= d.repeat == 0xf3 ? INSN_REP : INSN_REPNE;
    }
    if (d.prefix_66) {
        insn->prefixes |= INSN_OPERAND_16;
    }
    if (mode_64(&d)) {
        insn->address_size = d.prefix_67 ? 4 : 8;
    } else {
        insn->address_size = (cpu->mode == CPU_MODE_32) != d.prefix_67 ? 4 : 2;
    }
    insn->operand_size = operand_size(&d, row);
    insn->opcode = row;
    decode_modrm(&d, row);
    decode_immediates(&d, row);
    if (d.result != DECODE_OK) {
        return d.result;
    }
    if (d.segment_override != X86_SEGMENT_COUNT) {
        insn->segment = d.segment_override;
    }
    if (!is_allowed(&d, row)) {
        return DECODE_UNDEFINED;
    }
    insn->length = d.position;
    insn->execute = choose_handler(row, insn->operand_size);
    return insn->execute ? DECODE_OK : DECODE_UNDEFINED;
}
