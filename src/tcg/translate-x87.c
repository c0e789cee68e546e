/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: the guest's instruction on the host's x87 unit, which holds the guest's state from the first
 * such instruction until C code is called. Only while all of its exceptions are masked: else, and
 * for what loads or stores its whole state, the handlers do it.
 *
 * The pointers to the last instruction and operand are not followed: with all exceptions masked AMD
 * processors don't either (APM vol. 2, 11.4.4).
 */
#include "tcg/fpu.h"
#include "tcg/simd-handlers.h"
#include "tcg/translate.h"

/* --- To and from the host's unit: called by the stubs of trampolines.c --- */

/* FNSAVE's image in 32-bit protected mode: SDM vol. 1, figure 8-9. */
struct x87_image {
    uint32_t control, status, tags, pointers[4];
    uint8_t registers[8][10]; /* ST(0) first */
} __attribute__((packed));

static void load_unit(const struct x87_image *image)
{
#if JIT_SUPPORTED
    __asm__ volatile("frstor %0" : : "m"(*image));
#else
    g_assert_not_reached();
#endif
}

/* The unit is as after FNINIT then. */
static void save_unit(struct x87_image *image)
{
#if JIT_SUPPORTED
    __asm__ volatile("fnsave %0" : "=m"(*image) : : "memory");
#else
    g_assert_not_reached();
#endif
}

bool x87_load(struct cpu *cpu)
{
    struct x87_image image = {0};

    if ((cpu->cr0 & (CR0_EM | CR0_TS)) || (cpu->fpu.status & FPU_ES) ||
        (cpu->fpu.control & FPU_EXCEPTIONS) != FPU_EXCEPTIONS) {
        return false;
    }
    image.control = cpu->fpu.control | 0xffff0000;
    image.status = cpu->fpu.status | 0xffff0000;
    image.tags = fpu_get_tag_word(cpu) | 0xffff0000;
    for (unsigned i = 0; i < 8; i++) {
        struct x87_value value = fpu_read(cpu, i);
        memcpy(image.registers[i], &value, sizeof(image.registers[i]));
    }
    load_unit(&image);
    cpu->x87_resident = true;
    return true;
}

void x87_save(struct cpu *cpu)
{
    struct x87_image image;

    save_unit(&image);
    cpu->x87_resident = false;
    cpu->fpu.control = (uint16_t)image.control;
    cpu->fpu.status = (uint16_t)image.status;
    for (unsigned i = 0; i < 8; i++) {
        struct x87_value value = {0};
        memcpy(&value, image.registers[i], sizeof(image.registers[i]));
        fpu_write(cpu, i, value);
    }
    fpu_set_tag_word(cpu, (uint16_t)image.tags);
}

/* --- The code --- */

static bool is_left_to_handler(const struct insn *insn)
{
    static const insn_execute_fn list[] = {fpu_fnstenv, fpu_fldenv, fpu_fnsave,
                                           fpu_frstor,  fpu_fninit, fpu_ignored};

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        if (insn->execute == list[i]) {
            return true;
        }
    }
    return false;
}

static unsigned memory_bytes(const struct insn *insn)
{
    switch (insn->opcode->operands[0]) {
    case Mw:
        return 2;
    case Md:
        return 4;
    case Mq:
        return 8;
    default: /* Mt */
        return 10;
    }
}

static bool is_store(const struct insn *insn)
{
    static const insn_execute_fn list[] = {
        fpu_fst_m32,    fpu_fst_m64,   fpu_fstp_m32,  fpu_fstp_m64,  fpu_fstp_m80,   fpu_fist_m16,
        fpu_fist_m32,   fpu_fistp_m16, fpu_fistp_m32, fpu_fistp_m64, fpu_fisttp_m16, fpu_fisttp_m32,
        fpu_fisttp_m64, fpu_fbstp,     fpu_fnstcw,    fpu_fnstsw,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        if (insn->execute == list[i]) {
            return true;
        }
    }
    return false;
}

/* Dynamic, for each instruction: the memory access before it may have called C code. */
static void x87_require(struct translator *t)
{
    struct emitter *e = &t->e;
    uint8_t *resident;

    emit_alu_immediate(e, 1, 7, CPU_FIELD(x87_resident), 0);
    resident = emit_jump_if(e, HOST_NOT_EQUAL);
    emit_call_to(e, t->jit->stubs.x87_load - e->to_exec);
    emit_slow_if(t, HOST_EQUAL);
    emit_bind(e, resident);
}

/* A control word that leaves an exception unmasked is the handler's. */
static void emit_masks_check(struct translator *t)
{
    emit_load(&t->e, 2, S1, host_memory(S0, 0));
    emit_rm(&t->e, 4, 0xf7, 2, false, host_register(S1)); /* NOT */
    emit_rm(&t->e, 1, 0xf6, 0, false, host_register(S1)); /* TEST */
    emit_8(&t->e, FPU_EXCEPTIONS);
    emit_slow_if(t, HOST_NOT_EQUAL);
}

static bool translate_x87(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    flags_before_spoil(t);
    x87_require(t);
    if (insn->memory) {
        emit_address(t, insn);
        emit_probe(t, memory_bytes(insn), is_store(insn));
        if (insn->execute == fpu_fldcw) {
            emit_masks_check(t);
        }
        emit_prefixed_rm(&t->e, 0, false, insn->byte, (insn->modrm >> 3) & 7u, host_memory(S0, 0));
        return true;
    }
    if (insn->execute == fpu_fnstsw_ax) {
        guest_will_change(t, 1u << X86_RAX);
    }
    if (row->effects & FLAGS_READ) {
        flags_to_host(t);
    }
    emit_8(&t->e, insn->byte);
    emit_8(&t->e, insn->modrm);
    if (row->effects & FLAGS_WRITE) {
        flags_now_in_host(t, describe_nothing());
    }
    return true;
}

const struct translate_row *translate_x87_row(const struct insn *insn)
{
    static const struct translate_row plain = {.translate = translate_x87,
                                               .effects = ROW_MAY_FAULT};
    static const struct translate_row reads_flags = {.translate = translate_x87,
                                                     .effects = FLAGS_READ | ROW_MAY_FAULT};
    static const struct translate_row writes_flags = {.translate = translate_x87,
                                                      .effects = FLAGS_WRITE | ROW_MAY_FAULT};

    if (insn->map != 0 || insn->byte < 0xd8 || insn->byte > 0xdf || is_left_to_handler(insn)) {
        return NULL;
    }
    if (insn->execute == fpu_fcmov) {
        return &reads_flags;
    }
    if (insn->execute == fpu_fcomi || insn->execute == fpu_fcomip || insn->execute == fpu_fucomi ||
        insn->execute == fpu_fucomip) {
        return &writes_flags;
    }
    return &plain;
}
