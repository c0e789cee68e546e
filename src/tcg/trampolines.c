/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The entry points that all translations share: into translated code, out of it, and to C. */
#include "tcg/mxcsr.h"
#include "tcg/translate.h"

#define LEAVE_FRAME 8 /* keeps the host's stack aligned in translated code */

static const uint8_t saved_by_callee[] = {HOST_RBX, HOST_RBP, HOST_R12,
                                          HOST_R13, HOST_R14, HOST_R15};

/* Both leave the flags alone. */
static void emit_spill(struct emitter *e)
{
    for (unsigned guest = 0; guest < X86_REGISTER_COUNT; guest++) {
        if (host_of_guest(guest) != HOST_NO_REGISTER) {
            emit_store(e, 8, CPU_FIELD(gpr[guest]), host_of_guest(guest));
        }
    }
}

static void emit_reload(struct emitter *e)
{
    for (unsigned guest = 0; guest < X86_REGISTER_COUNT; guest++) {
        if (host_of_guest(guest) != HOST_NO_REGISTER) {
            emit_load(e, 8, host_of_guest(guest), CPU_FIELD(gpr[guest]));
        }
    }
}

static void emit_set_resident(struct emitter *e, bool resident)
{
    emit_rm(e, 1, 0xc6, 0, false, CPU_FIELD(vector_resident));
    emit_8(e, resident);
}

static uint8_t *emit_if_resident(struct emitter *e, unsigned condition)
{
    emit_alu_immediate(e, 1, 7, CPU_FIELD(vector_resident), 0);
    return emit_jump_if(e, condition);
}

/* MOVAPS or VMOVUPS between the host's registers and struct cpu. */
static void emit_vector_moves(struct emitter *e, bool avx, bool is_store)
{
    for (unsigned i = 0; i < 16; i++) {
        if (avx) {
            emit_vex_rm(e, 0, 1, is_store ? 0x11 : 0x10, false, true, 0, i, CPU_FIELD(ymm[i]));
        } else {
            emit_prefixed_rm(e, 0, false, is_store ? 0x0f29 : 0x0f28, i, CPU_FIELD(ymm[i]));
        }
    }
}

static void emit_vector_save(const struct jit *jit, struct emitter *e)
{
    bool avx = cpu_features_have(&jit->host_features, FEATURE_AVX);
    uint8_t *skip = emit_if_resident(e, HOST_EQUAL);

    emit_vector_moves(e, avx, true);
    if (avx) {
        emit_8(e, 0xc5); /* VZEROUPPER */
        emit_8(e, 0xf8);
        emit_8(e, 0x77);
    }
    emit_prefixed_rm(e, 0, false, 0x0fae, 3, CPU_FIELD(mxcsr));
    emit_prefixed_rm(e, 0, false, 0x0fae, 2, CPU_FIELD(host_mxcsr));
    emit_set_resident(e, false);
    emit_bind(e, skip);
}

/* Leaves the flags alone. */
static void emit_vector_load(const struct jit *jit, struct emitter *e)
{
    emit_prefixed_rm(e, 0, false, 0x0fae, 2, CPU_FIELD(mxcsr));
    emit_vector_moves(e, cpu_features_have(&jit->host_features, FEATURE_AVX), false);
    emit_set_resident(e, true);
}

struct refusals {
    uint8_t *from[3];
};

/* May the guest use SSE now, with no exception that the host would have to report? Spoils S1. */
static struct refusals emit_vector_check(struct emitter *e)
{
    struct refusals refusals;

    emit_rm(e, 4, 0xf7, 0, false, CPU_FIELD(cr0)); /* TEST */
    emit_32(e, CR0_EM | CR0_TS);
    refusals.from[0] = emit_jump_if(e, HOST_NOT_EQUAL);
    emit_rm(e, 4, 0xf7, 0, false, CPU_FIELD(cr4));
    emit_32(e, CR4_OSFXSR);
    refusals.from[1] = emit_jump_if(e, HOST_EQUAL);
    emit_load(e, 4, S1, CPU_FIELD(mxcsr));
    emit_rm(e, 4, 0xf7, 2, false, host_register(S1)); /* NOT */
    emit_rm(e, 4, 0xf7, 0, false, host_register(S1));
    emit_32(e, MXCSR_MASKS);
    refusals.from[2] = emit_jump_if(e, HOST_NOT_EQUAL);
    return refusals;
}

static void emit_bind_refusals(struct emitter *e, const struct refusals *refusals)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(refusals->from); i++) {
        emit_bind(e, refusals->from[i]);
    }
}

static void emit_add_stack(struct emitter *e, int32_t bytes)
{
    emit_lea(e, 8, HOST_RSP, host_memory(HOST_RSP, bytes));
}

/* Guest state is in struct cpu, the result in RAX. */
static void emit_return(struct emitter *e)
{
    emit_add_stack(e, LEAVE_FRAME);
    for (unsigned i = G_N_ELEMENTS(saved_by_callee); i-- > 0;) {
        emit_pop(e, saved_by_callee[i]);
    }
    emit_8(e, 0xc3);
}

static void emit_enter(struct emitter *e)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(saved_by_callee); i++) {
        emit_push(e, saved_by_callee[i]);
    }
    emit_add_stack(e, -LEAVE_FRAME);
    emit_move(e, 8, S0, HOST_RDI);
    emit_reload(e);
    emit_rm(e, 4, 0xff, 4, false, host_register(S0)); /* JMP S0 */
}

static void emit_call_c(struct emitter *e, uintptr_t function)
{
    emit_load(e, 8, HOST_RDI, CPU_FIELD(self));
    emit_load_immediate(e, HOST_RAX, function);
    emit_rm(e, 4, 0xff, 2, false, host_register(HOST_RAX));
}

/* Spoils all registers that C code spoils, but S0 and S1. */
static void emit_x87_save(struct emitter *e)
{
    uint8_t *skip;

    emit_alu_immediate(e, 1, 7, CPU_FIELD(x87_resident), 0);
    skip = emit_jump_if(e, HOST_EQUAL);
    emit_push(e, S0);
    emit_push(e, S1);
    emit_call_c(e, (uintptr_t)x87_save);
    emit_pop(e, S1);
    emit_pop(e, S0);
    emit_bind(e, skip);
}

/* S0: instruction. S1: offset of the next one. */
static void emit_call_handler(const struct jit *jit, struct emitter *e)
{
    emit_spill(e);
    emit_rm(e, 8, 0x03, S1, false, CPU_FIELD(page_linear));
    emit_store(e, 8, CPU_FIELD(rip), S1);
    emit_store(e, 8, CPU_FIELD(current), S0);
    emit_vector_save(jit, e);
    emit_x87_save(e);
    emit_load(e, 8, HOST_RDI, CPU_FIELD(self));
    emit_move(e, 8, HOST_RSI, S0);
    emit_rm(e, 4, 0xff, 2, false, host_memory(S0, offsetof(struct insn, execute)));
}

/* The status flags as SAHF wants them in AH, and 1 in AL for OF. */
static uint32_t flags_for_sahf(struct cpu *cpu)
{
    uint32_t status = flags_get_status(cpu);

    return (status & 0xff) << 8 | (status & FLAG_OF ? 1 : 0);
}

static void make_explicit(struct cpu *cpu)
{
    flags_set_explicit(cpu, flags_get_status(cpu));
}

static void emit_handler_stub(const struct jit *jit, struct emitter *e, bool host_flags,
                              bool vector)
{
    struct refusals refusals = {{NULL}};
    uint8_t *leave;

    emit_add_stack(e, -8); /* aligned, with the return address */
    emit_call_handler(jit, e);
    emit_alu_immediate(e, 1, 7, CPU_FIELD(exit_block), 0);
    leave = emit_jump_if(e, HOST_NOT_EQUAL);
    if (vector) {
        refusals = emit_vector_check(e);
    }
    if (host_flags) {
        emit_call_c(e, (uintptr_t)flags_for_sahf);
        emit_8(e, 0x04); /* ADD AL, 7F: overflows with 1 */
        emit_8(e, 0x7f);
        emit_8(e, 0x9e); /* SAHF */
    }
    if (vector) {
        emit_vector_load(jit, e);
    }
    emit_reload(e);
    emit_add_stack(e, 8);
    emit_8(e, 0xc3);
    emit_bind(e, leave);
    if (vector) {
        emit_bind_refusals(e, &refusals);
    }
    emit_add_stack(e, 16);
    emit_rm(e, 4, 0x31, HOST_RAX, false, host_register(HOST_RAX));
    emit_return(e);
}

/* Jumped to, not called. */
static void emit_handler_leave_stub(const struct jit *jit, struct emitter *e)
{
    emit_call_handler(jit, e);
    emit_rm(e, 4, 0x31, HOST_RAX, false, host_register(HOST_RAX));
    emit_return(e);
}

static const uint8_t saved_by_caller[] = {HOST_RAX, HOST_RCX, HOST_RDX, HOST_RSI,
                                          HOST_RDI, HOST_R8,  HOST_R9,  HOST_R10};

/* Call a function with the CPU, keeping all registers. */
static void emit_c_stub(const struct jit *jit, struct emitter *e, uintptr_t function)
{
    uint8_t *skip;

    for (unsigned i = 0; i < G_N_ELEMENTS(saved_by_caller); i++) {
        emit_push(e, saved_by_caller[i]);
    }
    emit_rm_from(e, 4, 1, 0x0fb6, HOST_RAX, CPU_FIELD(vector_resident));
    emit_push(e, HOST_RAX);
    emit_vector_save(jit, e);
    emit_call_c(e, function);
    emit_pop(e, HOST_RAX);
    emit_rm(e, 4, 0x85, HOST_RAX, false, host_register(HOST_RAX));
    skip = emit_jump_if(e, HOST_EQUAL);
    emit_vector_load(jit, e);
    emit_bind(e, skip);
    for (unsigned i = G_N_ELEMENTS(saved_by_caller); i-- > 0;) {
        emit_pop(e, saved_by_caller[i]);
    }
}

/* The common forms of the lazy record, made host flags in place. Spoils S1. */
static void emit_record_form(struct emitter *e, enum flags_operation operation, unsigned size)
{
    unsigned byte = size == 1 ? 1 : 0;
    uint8_t *next;

    emit_alu_immediate(e, 1, 7, CPU_FIELD(lazy.operation),
                       (int32_t)(operation | flags_size_log2(size)));
    next = emit_jump_if(e, HOST_NOT_EQUAL);
    switch (operation) {
    case FLAGS_COMPARE:
        emit_load(e, 8, S1, CPU_FIELD(lazy.destination));
        emit_rm(e, size, 0x3b - byte, S1, false, CPU_FIELD(lazy.source)); /* CMP */
        break;
    case FLAGS_SUM:
        emit_load(e, 8, S1, CPU_FIELD(lazy.result));
        emit_rm(e, 8, 0x2b, S1, false, CPU_FIELD(lazy.source));           /* SUB */
        emit_rm(e, size, 0x03 - byte, S1, false, CPU_FIELD(lazy.source)); /* ADD */
        break;
    default: /* FLAGS_LOGIC */
        emit_load(e, 8, S1, CPU_FIELD(lazy.result));
        emit_rm(e, size, 0x85 - byte, S1, false, host_register(S1)); /* TEST */
        break;
    }
    emit_8(e, 0xc3);
    emit_bind(e, next);
}

static void emit_flags_to_host(struct emitter *e, const uint8_t *explicit_stub)
{
    static const uint8_t sizes[] = {8, 4, 1, 2};
    uint8_t *is_explicit;

    emit_alu_immediate(e, 1, 7, CPU_FIELD(lazy.operation), FLAGS_EXPLICIT);
    is_explicit = emit_jump_if(e, HOST_EQUAL);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        emit_record_form(e, FLAGS_COMPARE, sizes[i]);
        emit_record_form(e, FLAGS_LOGIC, sizes[i]);
        emit_record_form(e, FLAGS_SUM, sizes[i]);
    }
    emit_call_to(e, explicit_stub - e->to_exec);
    emit_bind(e, is_explicit);
    emit_explicit_to_host(e);
    emit_8(e, 0xc3);
}

static void emit_flags_stub(const struct jit *jit, struct emitter *e)
{
    emit_c_stub(jit, e, (uintptr_t)make_explicit);
    emit_8(e, 0xc3);
}

/* Not resident yet. Returns with ZF set if it can't be. Spoils S1. */
static void emit_vector_stub(const struct jit *jit, struct emitter *e)
{
    struct refusals refusals = emit_vector_check(e);

    emit_vector_load(jit, e);
    emit_alu_immediate(e, 1, 7, CPU_FIELD(vector_resident), 0);
    emit_8(e, 0xc3);
    emit_bind_refusals(e, &refusals);
    emit_rm(e, 4, 0x31, S1, false, host_register(S1));
    emit_8(e, 0xc3);
}

/* Likewise. */
static void emit_x87_stub(const struct jit *jit, struct emitter *e)
{
    emit_c_stub(jit, e, (uintptr_t)x87_load);
    emit_alu_immediate(e, 1, 7, CPU_FIELD(x87_resident), 0);
    emit_8(e, 0xc3);
}

static void emit_leave_to(const struct jit *jit, struct emitter *e)
{
    emit_spill(e);
    emit_rm(e, 8, 0x03, S0, false, CPU_FIELD(page_linear));
    emit_store(e, 8, CPU_FIELD(rip), S0);
    emit_vector_save(jit, e);
    emit_x87_save(e);
    emit_move(e, 8, HOST_RAX, S1);
    emit_return(e);
}

static void emit_leave_indirect(const struct jit *jit, struct emitter *e)
{
    emit_spill(e);
    emit_store(e, 8, CPU_FIELD(rip), S0);
    emit_store(e, 8, CPU_FIELD(jump_fix), S1);
    emit_vector_save(jit, e);
    emit_x87_save(e);
    emit_rm(e, 4, 0x31, HOST_RAX, false, host_register(HOST_RAX));
    emit_return(e);
}

bool jit_make_stubs(struct jit *jit)
{
    struct jit_stubs *stubs = &jit->stubs;
    struct emitter e;

    code_cache_begin(&jit->cache, &e);
#define STUB(field, write)                                                                         \
    do {                                                                                           \
        while ((uintptr_t)e.at & (CODE_ALIGNMENT - 1)) {                                           \
            emit_8(&e, 0xcc);                                                                      \
        }                                                                                          \
        stubs->field = (void *)(e.at + e.to_exec);                                                 \
        write;                                                                                     \
    } while (0)
    STUB(enter, emit_enter(&e));
    STUB(handler, emit_handler_stub(jit, &e, false, false));
    STUB(handler_host_flags, emit_handler_stub(jit, &e, true, false));
    STUB(handler_vector, emit_handler_stub(jit, &e, false, true));
    STUB(handler_vector_host_flags, emit_handler_stub(jit, &e, true, true));
    STUB(handler_leave, emit_handler_leave_stub(jit, &e));
    STUB(flags_explicit, emit_flags_stub(jit, &e));
    STUB(flags_to_host, emit_flags_to_host(&e, stubs->flags_explicit));
    STUB(vector_load, emit_vector_stub(jit, &e));
    STUB(x87_load, emit_x87_stub(jit, &e));
    STUB(leave_to, emit_leave_to(jit, &e));
    STUB(leave_indirect, emit_leave_indirect(jit, &e));
#undef STUB
    code_cache_commit(&jit->cache, &e);
    return !e.overflow;
}
