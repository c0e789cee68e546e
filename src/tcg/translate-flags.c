/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the guest's status flags are, and their ways from there to the host's and to cpu->lazy. */
#include "tcg/translate.h"

#define GROUP1_ADD 0
#define GROUP1_AND 4
#define GROUP1_SUB 5
#define GROUP1_CMP 7

#define OPCODE_ADD  0x03
#define OPCODE_AND  0x23
#define OPCODE_SUB  0x2b
#define OPCODE_CMP  0x3b
#define OPCODE_TEST 0x85

static void set_operation(struct translator *t, unsigned operation)
{
    emit_rm(&t->e, 1, 0xc6, 0, false, CPU_FIELD(lazy.operation));
    emit_8(&t->e, (uint8_t)operation);
}

static void set_field_immediate(struct translator *t, struct host_operand field, int32_t value)
{
    emit_rm(&t->e, 8, 0xc7, 0, false, field);
    emit_32(&t->e, (uint32_t)value);
}

/* A whole guest register to a field of the record: whoever reads cuts it to size. */
static void set_field(struct translator *t, struct host_operand field, unsigned guest)
{
    emit_store(&t->e, 8, field, guest_value(t, guest, 8, S1));
}

static void set_source(struct translator *t, const struct flags_description *d)
{
    if (d->b_is_immediate) {
        set_field_immediate(t, CPU_FIELD(lazy.source), d->immediate);
    } else {
        set_field(t, CPU_FIELD(lazy.source), d->b);
    }
}

/* OP S1, b */
static void operate_b(struct translator *t, const struct flags_description *d, unsigned size,
                      unsigned opcode, unsigned group)
{
    if (d->b_is_immediate) {
        emit_alu_immediate(&t->e, size, group, host_register(S1), d->immediate);
    } else {
        struct host_operand b = host_of_guest(d->b) == HOST_NO_REGISTER
                                    ? CPU_FIELD(gpr[d->b])
                                    : host_register(host_of_guest(d->b));

        emit_rm(&t->e, size, size == 1 ? opcode & ~1u : opcode, S1, false, b);
    }
}

static void load_a(struct translator *t, const struct flags_description *d)
{
    unsigned host = host_of_guest(d->a);

    if (host == HOST_NO_REGISTER) {
        emit_load(&t->e, 8, S1, CPU_FIELD(gpr[d->a]));
    } else {
        emit_move(&t->e, 8, S1, host);
    }
}

static void description_to_record(struct translator *t, const struct flags_description *d)
{
    unsigned size_log2 = flags_size_log2(d->size);

    switch (d->kind) {
    case DESCRIBE_COMPARE:
        set_operation(t, FLAGS_COMPARE | size_log2);
        set_field(t, CPU_FIELD(lazy.destination), d->a);
        set_source(t, d);
        break;
    case DESCRIBE_SUBTRACT:
        set_operation(t, FLAGS_COMPARE | size_log2);
        load_a(t, d);
        operate_b(t, d, 8, OPCODE_ADD, GROUP1_ADD);
        emit_store(&t->e, 8, CPU_FIELD(lazy.destination), S1);
        set_source(t, d);
        break;
    case DESCRIBE_ADD:
        set_operation(t, FLAGS_SUM | size_log2);
        set_field(t, CPU_FIELD(lazy.result), d->a);
        set_source(t, d);
        break;
    case DESCRIBE_TEST:
        set_operation(t, FLAGS_LOGIC | size_log2);
        load_a(t, d);
        operate_b(t, d, 8, OPCODE_AND, GROUP1_AND);
        emit_store(&t->e, 8, CPU_FIELD(lazy.result), S1);
        break;
    case DESCRIBE_LOGIC:
        set_operation(t, FLAGS_LOGIC | size_log2);
        set_field(t, CPU_FIELD(lazy.result), d->a);
        break;
    default: /* DESCRIBE_INCREMENT, DESCRIBE_DECREMENT: CF is in the host's flags */
        set_operation(t,
                      (d->kind == DESCRIBE_INCREMENT ? FLAGS_INC_RAW : FLAGS_DEC_RAW) | size_log2);
        set_field(t, CPU_FIELD(lazy.result), d->a);
        emit_rm(&t->e, 1, 0x0f92, 0, false, CPU_FIELD(lazy.source)); /* SETC */
        break;
    }
}

/* PUSHFQ, POP: the whole of the host's flags; whoever reads masks them. */
static void host_to_record(struct translator *t)
{
    emit_8(&t->e, 0x9c);
    emit_rm(&t->e, 4, 0x8f, 0, false, CPU_FIELD(lazy.result));
    set_operation(t, FLAGS_EXPLICIT);
}

void flags_state_to_record(struct translator *t, const struct flags_state *state)
{
    if (state->place == FLAGS_IN_RECORD) {
        return;
    }
    if (state->description.kind != DESCRIBE_NOTHING) {
        description_to_record(t, &state->description);
    } else {
        host_to_record(t);
    }
}

void flags_to_record(struct translator *t)
{
    if (t->flags.place == FLAGS_IN_RECORD) {
        return;
    }
    flags_state_to_record(t, &t->flags);
    t->flags.explicit_record = t->flags.description.kind == DESCRIBE_NOTHING;
    t->flags.place = FLAGS_IN_RECORD;
    t->flags.description.kind = DESCRIBE_NOTHING;
}

static bool can_stay_described(const struct flags_description *d)
{
    return d->kind != DESCRIBE_NOTHING && d->kind != DESCRIBE_INCREMENT &&
           d->kind != DESCRIBE_DECREMENT;
}

void flags_before_spoil(struct translator *t)
{
    if (t->flags.place != FLAGS_IN_HOST) {
        return;
    }
    if (can_stay_described(&t->flags.description)) {
        t->flags.place = FLAGS_DESCRIBED;
    } else {
        flags_to_record(t);
    }
}

void flags_now_in_host(struct translator *t, struct flags_description description)
{
    t->flags.place = FLAGS_IN_HOST;
    t->flags.description = description;
    t->flags.explicit_record = false;
}

void flags_now_in_record(struct translator *t)
{
    t->flags = (struct flags_state){.place = FLAGS_IN_RECORD};
}

/* Do again what gave the flags. */
static void description_to_host(struct translator *t, const struct flags_description *d)
{
    switch (d->kind) {
    case DESCRIBE_COMPARE:
        load_a(t, d);
        operate_b(t, d, d->size, OPCODE_CMP, GROUP1_CMP);
        break;
    case DESCRIBE_SUBTRACT:
        load_a(t, d);
        operate_b(t, d, 8, OPCODE_ADD, GROUP1_ADD);
        operate_b(t, d, d->size, OPCODE_CMP, GROUP1_CMP);
        break;
    case DESCRIBE_ADD:
        load_a(t, d);
        operate_b(t, d, 8, OPCODE_SUB, GROUP1_SUB);
        operate_b(t, d, d->size, OPCODE_ADD, GROUP1_ADD);
        break;
    case DESCRIBE_TEST:
        load_a(t, d);
        operate_b(t, d, d->size, OPCODE_AND, GROUP1_AND);
        break;
    default: /* DESCRIBE_LOGIC */
        load_a(t, d);
        emit_rm(&t->e, d->size, d->size == 1 ? 0x84 : OPCODE_TEST, S1, false, host_register(S1));
        break;
    }
}

/* POPF would do it in one instruction, and take 20 times as long. */
void emit_explicit_to_host(struct emitter *e)
{
    emit_load(e, 4, S1, CPU_FIELD(lazy.result));
    emit_rm(e, 8, 0x87, HOST_RAX, false, host_register(S1)); /* XCHG */
    emit_8(e, 0x86);                                         /* XCHG AL, AH */
    emit_8(e, 0xe0);
    emit_8(e, 0x24); /* AND AL, OF in the second byte */
    emit_8(e, FLAG_OF >> 8);
    emit_8(e, 0x04); /* ADD AL: overflows with that */
    emit_8(e, 0x80 - (FLAG_OF >> 8));
    emit_8(e, 0x9e); /* SAHF */
    emit_rm(e, 8, 0x87, HOST_RAX, false, host_register(S1));
}

void flags_to_explicit_record(struct translator *t)
{
    uint8_t *skip;

    flags_to_record(t);
    if (!t->flags.explicit_record) {
        emit_alu_immediate(&t->e, 1, GROUP1_CMP, CPU_FIELD(lazy.operation), FLAGS_EXPLICIT);
        skip = emit_jump_if(&t->e, HOST_EQUAL);
        emit_call_to(&t->e, t->jit->stubs.flags_explicit - t->e.to_exec);
        emit_bind(&t->e, skip);
        t->flags.explicit_record = true;
    }
}

void flags_to_host(struct translator *t)
{
    struct flags_description description = t->flags.description;

    if (t->flags.place == FLAGS_IN_HOST) {
        return;
    }
    if (t->flags.place == FLAGS_DESCRIBED) {
        description_to_host(t, &description);
    } else {
        if (t->flags.explicit_record) {
            emit_explicit_to_host(&t->e);
        } else {
            emit_call_to(&t->e, t->jit->stubs.flags_to_host - t->e.to_exec);
        }
        description = describe_nothing();
    }
    flags_now_in_host(t, description);
}
