/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where guest general registers are. */
#include "tcg/translate.h"

/* The three that compilers use least stay in memory: their host registers are S0, S1, and RSP's. */
static const uint8_t host_registers[X86_REGISTER_COUNT] = {
    [X86_RAX] = HOST_RAX,         [X86_RCX] = HOST_RCX,         [X86_RDX] = HOST_RDX,
    [X86_RBX] = HOST_RBX,         [X86_RSP] = HOST_R15,         [X86_RBP] = HOST_RBP,
    [X86_RSI] = HOST_RSI,         [X86_RDI] = HOST_RDI,         [X86_R8] = HOST_R8,
    [X86_R9] = HOST_R9,           [X86_R10] = HOST_NO_REGISTER, [X86_R11] = HOST_NO_REGISTER,
    [X86_R12] = HOST_R12,         [X86_R13] = HOST_R13,         [X86_R14] = HOST_R14,
    [X86_R15] = HOST_NO_REGISTER,
};

unsigned host_of_guest(unsigned guest)
{
    return host_registers[guest];
}

bool guest_is_high_byte(const struct insn *insn, unsigned guest, unsigned size)
{
    return size == 1 && guest >= 4 && guest <= 7 && !(insn->prefixes & INSN_REX);
}

struct host_operand guest_operand(const struct insn *insn, unsigned guest, unsigned size)
{
    struct host_operand operand;

    if (guest_is_high_byte(insn, guest, size)) {
        operand = host_register(host_registers[guest - 4]);
        operand.high_byte = true;
        return operand;
    }
    if (host_registers[guest] == HOST_NO_REGISTER) {
        return CPU_FIELD(gpr[guest]);
    }
    return host_register(host_registers[guest]);
}

unsigned guest_value(struct translator *t, unsigned guest, unsigned size, unsigned scratch)
{
    if (host_registers[guest] != HOST_NO_REGISTER) {
        return host_registers[guest];
    }
    emit_load(&t->e, size < 4 ? 4 : size, scratch, CPU_FIELD(gpr[guest]));
    return scratch;
}

void guest_clear_upper(struct translator *t, unsigned guest, unsigned size)
{
    if (size == 4 && host_registers[guest] == HOST_NO_REGISTER) {
        emit_rm(&t->e, 4, 0xc7, 0, false,
                host_cpu((int32_t)(offsetof(struct cpu, gpr[0]) + guest * 8 + 4)));
        emit_32(&t->e, 0);
    }
}

void guest_write(struct translator *t, unsigned guest, unsigned size, unsigned from)
{
    if (host_registers[guest] == HOST_NO_REGISTER) {
        emit_store(&t->e, size, CPU_FIELD(gpr[guest]), from);
        guest_clear_upper(t, guest, size);
    } else {
        emit_move(&t->e, size, host_registers[guest], from);
    }
}

static void exchange_bytes(struct translator *t, unsigned guest)
{
    struct host_operand high = {.kind = HOST_REGISTER, .reg = (uint8_t)guest, .high_byte = true};

    emit_rm(&t->e, 1, 0x86, guest, false, high);
}

unsigned begin_high_byte(struct translator *t, const struct insn *insn, unsigned size)
{
    if (!guest_is_high_byte(insn, insn->reg, size)) {
        return insn->reg;
    }
    exchange_bytes(t, insn->reg - 4u);
    return insn->reg - 4u;
}

void end_high_byte(struct translator *t, const struct insn *insn, unsigned size)
{
    if (guest_is_high_byte(insn, insn->reg, size)) {
        exchange_bytes(t, insn->reg - 4u);
    }
}

static bool description_uses(const struct flags_description *d, uint32_t registers)
{
    return d->kind != DESCRIBE_NOTHING &&
           ((registers >> d->a & 1) || (!d->b_is_immediate && (registers >> d->b & 1)));
}

void guest_will_change(struct translator *t, uint32_t registers)
{
    struct flags_state *flags = &t->flags;

    if (flags->place == FLAGS_IN_RECORD || !description_uses(&flags->description, registers)) {
        return;
    }
    if (flags->place == FLAGS_IN_HOST) {
        flags->description.kind = DESCRIBE_NOTHING;
    } else if (t->flags_live && !(t->row && t->row->effects & FLAGS_WRITE)) {
        flags_to_record(t);
    } else {
        /* Nobody will ask any more. */
        flags->place = FLAGS_IN_RECORD;
        flags->explicit_record = false;
    }
}
