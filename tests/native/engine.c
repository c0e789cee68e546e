/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running cases in the engine: its decoder and handlers, over a mock of access.h with the two pages
 * of native.h. Nothing else of the machine is there. */
#include "native.h"
#include "tcg/access.h"
#include "tcg/fpu.h"
#include "tcg/xsave.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX      1000 /* of a repeated string instruction */
#define PF_PRESENT     1
#define PF_WRITE       2
#define PF_USER        4

struct native_engine {
    struct cpu cpu;
    struct vcpu vcpu;
    jmp_buf unwind;
    uint8_t *code, *data;
};

/* --- access.h --- */

static struct native_engine *engine_of(struct cpu *cpu)
{
    return (struct native_engine *)((char *)cpu - offsetof(struct native_engine, cpu));
}

_Noreturn void cpu_raise(struct cpu *cpu, enum cpu_exception vector)
{
    cpu->pending_vector = vector;
    longjmp(*cpu->unwind, 1);
}

_Noreturn void cpu_raise_error(struct cpu *cpu, enum cpu_exception vector, uint32_t error)
{
    cpu->pending_error = error;
    cpu_raise(cpu, vector);
}

_Noreturn void cpu_raise_page_fault(struct cpu *cpu, uint64_t linear, uint32_t error)
{
    cpu->cr2 = linear;
    cpu_raise_error(cpu, EXCEPTION_PF, error);
}

bool cpu_is_canonical(uint64_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

static uint64_t linear_address(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned length,
                               bool write)
{
    uint64_t linear = offset;

    if (cpu->mode != CPU_MODE_64) {
        if (write && segment == X86_CS) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        linear = (uint32_t)offset;
        if (linear + length - 1 > UINT32_MAX) {
            cpu_raise_error(cpu, segment == X86_SS ? EXCEPTION_SS : EXCEPTION_GP, 0);
        }
        return linear;
    }
    if (segment == X86_FS || segment == X86_GS) {
        linear += cpu->segment[segment].base;
    }
    if (!cpu_is_canonical(linear) || !cpu_is_canonical(linear + length - 1)) {
        cpu_raise_error(cpu, segment == X86_SS ? EXCEPTION_SS : EXCEPTION_GP, 0);
    }
    return linear;
}

uint64_t insn_effective_address(const struct cpu *cpu, const struct insn *insn)
{
    uint64_t offset = (int64_t)insn->displacement;

    if (insn->rip_relative) {
        offset += cpu->rip;
    }
    if (insn->base != INSN_NO_REGISTER) {
        offset += cpu->gpr[insn->base];
    }
    if (insn->index != INSN_NO_REGISTER) {
        offset += cpu->gpr[insn->index] << insn->scale;
    }
    return insn->address_size == 8   ? offset
           : insn->address_size == 4 ? (uint32_t)offset
                                     : (uint16_t)offset;
}

/* The host byte behind a linear address, or #PF. */
static uint8_t *host_byte(struct cpu *cpu, uint64_t linear, bool write)
{
    struct native_engine *engine = engine_of(cpu);

    if (linear - DATA_ADDRESS < NATIVE_PAGE) {
        return engine->data + (linear - DATA_ADDRESS);
    }
    if (linear - CODE_ADDRESS < NATIVE_PAGE && !write) {
        return engine->code + (linear - CODE_ADDRESS);
    }
    cpu_raise_page_fault(cpu, linear, PF_USER | (write ? PF_WRITE : 0));
}

void cpu_read_bytes(struct cpu *cpu, unsigned segment, uint64_t offset, void *buffer,
                    unsigned length)
{
    uint64_t linear = linear_address(cpu, segment, offset, length, false);

    for (unsigned i = 0; i < length; i++) {
        ((uint8_t *)buffer)[i] = *host_byte(cpu, linear + i, false);
    }
}

void cpu_probe_write(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned length)
{
    uint64_t linear = linear_address(cpu, segment, offset, length, true);

    for (unsigned i = 0; i < length; i++) {
        host_byte(cpu, linear + i, true);
    }
}

void cpu_write_bytes(struct cpu *cpu, unsigned segment, uint64_t offset, const void *buffer,
                     unsigned length)
{
    uint64_t linear = linear_address(cpu, segment, offset, length, true);

    cpu_probe_write(cpu, segment, offset, length);
    for (unsigned i = 0; i < length; i++) {
        *host_byte(cpu, linear + i, true) = ((const uint8_t *)buffer)[i];
    }
}

#define ACCESS(bits)                                                                               \
    uint##bits##_t cpu_read##bits(struct cpu *cpu, unsigned segment, uint64_t offset)              \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        cpu_read_bytes(cpu, segment, offset, &value, sizeof(value));                               \
        return value;                                                                              \
    }                                                                                              \
    void cpu_write##bits(struct cpu *cpu, unsigned segment, uint64_t offset, uint##bits##_t value) \
    {                                                                                              \
        cpu_write_bytes(cpu, segment, offset, &value, sizeof(value));                              \
    }
ACCESS(8)
ACCESS(16)
ACCESS(32)
ACCESS(64)

void *cpu_modify_begin(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size)
{
    cpu_probe_write(cpu, segment, offset, size);
    return host_byte(cpu, linear_address(cpu, segment, offset, size, true), true);
}

void cpu_modify_done(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned size)
{
}

void cpu_locked_begin(struct cpu *cpu)
{
}

void cpu_locked_end(struct cpu *cpu)
{
}

/* --- What only system instructions use: they are not run here --- */

#define NOT_HERE abort()

uint64_t cpu_system_read(struct cpu *cpu, uint64_t linear, unsigned size)
{
    NOT_HERE;
}

void cpu_system_write(struct cpu *cpu, uint64_t linear, unsigned size, uint64_t value)
{
    NOT_HERE;
}

uint32_t cpu_port_read(struct cpu *cpu, uint16_t port, unsigned size)
{
    NOT_HERE;
}

void cpu_port_write(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    NOT_HERE;
}

void cpu_tlb_flush(struct cpu *cpu, bool global_too)
{
}

void cpu_tlb_flush_page(struct cpu *cpu, uint64_t linear)
{
}

void cpu_set_cr0(struct cpu *cpu, uint64_t value)
{
    NOT_HERE;
}

void cpu_set_cr3(struct cpu *cpu, uint64_t value)
{
    NOT_HERE;
}

void cpu_set_cr4(struct cpu *cpu, uint64_t value)
{
    NOT_HERE;
}

void cpu_invpcid(struct cpu *cpu, uint64_t type, uint64_t pcid, uint64_t linear)
{
    NOT_HERE;
}

void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    NOT_HERE;
}

uint64_t cpu_read_msr(struct cpu *cpu, uint32_t msr)
{
    NOT_HERE;
}

void cpu_write_msr(struct cpu *cpu, uint32_t msr, uint64_t value)
{
    NOT_HERE;
}

uint64_t cpu_read_tsc(struct cpu *cpu)
{
    NOT_HERE;
}

void cpu_deliver_event(struct cpu *cpu, enum event_type type, uint8_t vector, bool has_error,
                       uint32_t error)
{
    cpu_raise_error(cpu, vector, error);
}

/* --- A case --- */

#define ATTRIBUTES_DATA    0xc0f3 /* G, B, present, DPL 3, writable, accessed */
#define ATTRIBUTES_CODE_32 0xc0fb
#define ATTRIBUTES_CODE_64 0xa0fb

void native_engine_prepare(struct cpu *cpu, const struct native_case *c)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->mode = c->code_64 ? CPU_MODE_64 : CPU_MODE_32;
    cpu->cpl = 3;
    cpu->long_mode = cpu->protected_mode = true;
    cpu->stack_32 = true;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    cpu->xcr0 = XCR0_SUPPORTED;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        cpu->segment[i] = (struct x86_segment){DATA_SELECTOR, ATTRIBUTES_DATA, UINT32_MAX, 0};
    }
    cpu->segment[X86_FS].selector = cpu->segment[X86_GS].selector = 0;
    cpu->segment[X86_GS].base = GS_BASE;
    cpu->segment[X86_CS].selector = c->code_64 ? CODE_SELECTOR_64 : CODE_SELECTOR_32;
    cpu->segment[X86_CS].attributes = c->code_64 ? ATTRIBUTES_CODE_64 : ATTRIBUTES_CODE_32;
    cpu->flat_segments = true;
    for (unsigned i = 1; i < FEATURE_COUNT; i++) {
        if (native_host_has(i)) {
            cpu->features.bits[i / 64] |= UINT64_C(1) << (i % 64);
        }
    }
}

struct native_engine *native_engine_new(void)
{
    struct native_engine *engine = g_new0(struct native_engine, 1);

    engine->code = g_malloc(NATIVE_PAGE);
    engine->data = g_malloc(NATIVE_PAGE);
    return engine;
}

void native_engine_free(struct native_engine *engine)
{
    g_free(engine->code);
    g_free(engine->data);
    g_free(engine);
}

static void load_state(struct cpu *cpu, const struct native_state *s)
{
    memcpy(cpu->gpr, s->gpr, sizeof(cpu->gpr));
    cpu->rip = s->rip;
    cpu->eflags = s->rflags;
    cpu_set_eflags(cpu, s->rflags, FLAGS_STATUS);
    memcpy(cpu->xmm, s->xmm, sizeof(cpu->xmm));
    cpu->mxcsr = s->mxcsr;
    cpu->fpu.control = s->fpu_control;
    cpu->fpu.status = s->fpu_status;
    cpu->fpu.valid = s->fpu_valid;
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = fpu_physical(cpu, i);
        cpu->fpu.registers[r].mantissa = s->st[i].mantissa;
        cpu->fpu.registers[r].exponent = s->st[i].exponent;
    }
}

static void save_state(struct cpu *cpu, struct native_state *s)
{
    memcpy(s->gpr, cpu->gpr, sizeof(cpu->gpr));
    s->rip = cpu->rip;
    s->rflags = cpu_get_eflags(cpu);
    memcpy(s->xmm, cpu->xmm, sizeof(cpu->xmm));
    s->mxcsr = cpu->mxcsr;
    s->fpu_control = cpu->fpu.control;
    s->fpu_status = cpu->fpu.status;
    s->fpu_valid = cpu->fpu.valid;
    for (unsigned i = 0; i < 8; i++) {
        struct x87_value value = fpu_read(cpu, i);
        s->st[i].mantissa = value.mantissa;
        s->st[i].exponent = value.exponent;
    }
}

/* Execute until the instruction is done; a repeated one comes back to itself. */
static void step(struct native_engine *engine, const struct native_case *c, struct insn *insn)
{
    struct cpu *cpu = &engine->cpu;

    for (unsigned i = 0; i < STEPS_MAX && cpu->rip == c->before.rip; i++) {
        cpu->current = insn;
        cpu->exit_block = false;
        cpu->rip += insn->length;
        insn->execute(cpu, insn);
        if (!(insn->opcode->flags & OP_STRING)) {
            break;
        }
    }
}

void native_engine_run(struct native_engine *engine, const struct native_case *c,
                       struct native_outcome *outcome)
{
    struct cpu *cpu = &engine->cpu;
    struct insn insn;

    native_engine_prepare(cpu, c);
    cpu->vcpu = &engine->vcpu;
    cpu->unwind = &engine->unwind;
    memset(engine->code, INT3_OPCODE, NATIVE_PAGE);
    memcpy(engine->code + CODE_ENTRY, c->bytes, c->length);
    memcpy(engine->data, c->memory, NATIVE_PAGE);
    load_state(cpu, &c->before);
    memset(outcome, 0, offsetof(struct native_outcome, memory));

    if (decode_insn(cpu, engine->code + CODE_ENTRY, 15, &insn) != DECODE_OK) {
        outcome->vector = EXCEPTION_UD;
    } else if (setjmp(engine->unwind) == 0) {
        step(engine, c, &insn);
        outcome->completed = true;
    } else {
        outcome->vector = cpu->pending_vector;
        cpu->rip = c->before.rip;
    }
    save_state(cpu, &outcome->state);
    memcpy(outcome->memory, engine->data, NATIVE_PAGE);
}
