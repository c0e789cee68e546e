/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running cases in the engine: one CPU with the two pages of native.h, mapped by page tables. No
 * machine around it. */
#include "native.h"
#include "memory/address-space.h"
#include "memory/region.h"
#include "tcg/access.h"
#include "tcg/avx.h"
#include "tcg/cpu-model.h"
#include "tcg/fpu.h"
#include "tcg/jit.h"
#include "tcg/translate.h"
#include "tcg/tlb.h"
#include "tcg/xsave.h"

#include <cpuid.h>
#include <pthread.h>
#include <string.h>

#define STEPS_MAX 1000 /* of a repeated string instruction */

/* Where things lie in the guest's RAM. */
#define RAM_BYTES      0x10000u
#define TABLE_4        0x1000u /* CR3 */
#define TABLE_3        0x2000u
#define TABLE_2        0x3000u
#define TABLE_1_CODE   0x4000u
#define TABLE_1_DATA   0x5000u
#define CODE_PHYSICAL  0x8000u
#define DATA_PHYSICAL  0x9000u
#define ENTRY_PRESENT  1u
#define ENTRY_WRITABLE 2u
#define ENTRY_USER     4u
#define ENTRY_TABLE    (ENTRY_PRESENT | ENTRY_WRITABLE | ENTRY_USER)

struct native_engine {
    struct memory_region root, ram;
    struct address_space memory;
    struct host_stubs *stubs;
    struct vcpu vcpu;
    struct cpu cpu;
    struct tlb tlb;
    struct jit *jit; /* NULL: the interpreter executes */
    bool sequences;
    pthread_mutex_t machine_lock;
    jmp_buf unwind;
    uint8_t *code, *data; /* the guest's pages */
};

/* Link the table that maps the 2 MiB at linear, and in it one page. */
static void map_page(uint8_t *ram, uint64_t linear, uint32_t table_1, uint32_t physical,
                     uint32_t rights)
{
    uint64_t *level_2 = (uint64_t *)(ram + TABLE_2), *level_1 = (uint64_t *)(ram + table_1);

    level_2[(linear >> 21) & 511] = table_1 | ENTRY_TABLE;
    level_1[(linear >> 12) & 511] = physical | rights;
}

struct native_engine *native_engine_new(bool translator, bool sequences)
{
    struct native_engine *engine = g_new0(struct native_engine, 1);
    uint8_t *ram;

    memory_region_init_container(&engine->root, "root", UINT64_C(1) << 32);
    if (!memory_region_init_ram(&engine->ram, "ram", RAM_BYTES, NULL)) {
        memory_region_destroy(&engine->root);
        g_free(engine);
        return NULL;
    }
    memory_region_add_subregion(&engine->root, 0, &engine->ram);
    address_space_init(&engine->memory, &engine->root, "memory");
    ram = memory_region_host_pointer(&engine->ram);
    *(uint64_t *)(ram + TABLE_4) = TABLE_3 | ENTRY_TABLE;
    *(uint64_t *)(ram + TABLE_3) = TABLE_2 | ENTRY_TABLE;
    map_page(ram, CODE_ADDRESS, TABLE_1_CODE, CODE_PHYSICAL, ENTRY_PRESENT | ENTRY_USER);
    map_page(ram, DATA_ADDRESS, TABLE_1_DATA, DATA_PHYSICAL, ENTRY_TABLE);
    engine->code = ram + CODE_PHYSICAL;
    engine->data = ram + DATA_PHYSICAL;
    engine->sequences = sequences;
    engine->stubs = host_stubs_new();
    tlb_init(&engine->tlb);
    if (translator) {
        engine->jit = jit_new(
            offsetof(struct native_engine, tlb) - offsetof(struct native_engine, cpu), NULL);
        engine->jit->block_limit = sequences ? TRANSLATE_MAX_INSNS : 1;
    }
    pthread_mutex_init(&engine->machine_lock, NULL);
    return engine;
}

void native_engine_free(struct native_engine *engine)
{
    if (!engine) {
        return;
    }
    pthread_mutex_destroy(&engine->machine_lock);
    host_stubs_free(engine->stubs);
    if (engine->jit) {
        jit_free(engine->jit);
    }
    address_space_destroy(&engine->memory);
    memory_region_remove_subregion(&engine->root, &engine->ram);
    memory_region_destroy(&engine->ram);
    memory_region_destroy(&engine->root);
    g_free(engine);
}

/* --- A case --- */

#define ATTRIBUTES_DATA    0xc0f3 /* G, B, present, DPL 3, writable, accessed */
#define ATTRIBUTES_CODE_32 0xc0fb
#define ATTRIBUTES_CODE_64 0xa0fb

/* Where vendors differ the engine is to do as this machine's does. */
static bool host_is_amd(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && (ebx == signature_AMD_ebx);
}

void native_engine_prepare(struct cpu *cpu, const struct native_case *c)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->mode = c->code_64 ? CPU_MODE_64 : CPU_MODE_32;
    cpu->cpl = 3;
    cpu->long_mode = cpu->protected_mode = true;
    cpu->stack_32 = cpu->flat_segments = cpu->open_fs = cpu->open_gs = true;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        cpu->segment[i] = (struct x86_segment){DATA_SELECTOR, ATTRIBUTES_DATA, UINT32_MAX, 0};
    }
    cpu->segment[X86_FS].selector = cpu->segment[X86_GS].selector = 0;
    cpu->segment[X86_GS].base = GS_BASE;
    cpu->segment[X86_CS].selector = c->code_64 ? CODE_SELECTOR_64 : CODE_SELECTOR_32;
    cpu->segment[X86_CS].attributes = c->code_64 ? ATTRIBUTES_CODE_64 : ATTRIBUTES_CODE_32;
    cpu->physical_bits = CPU_PHYSICAL_BITS;
    cpu->vendor_amd = host_is_amd();
    if (c->features) {
        cpu->features = *c->features;
    }
    cpu->xcr0 = xcr0_supported(cpu);
}

static void load_state(struct cpu *cpu, const struct native_state *s)
{
    memcpy(cpu->gpr, s->gpr, sizeof(cpu->gpr));
    cpu->rip = s->rip;
    cpu->eflags = s->rflags;
    cpu_set_eflags(cpu, s->rflags, FLAGS_STATUS);
    memcpy(cpu->ymm, s->ymm, sizeof(cpu->ymm));
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
    memcpy(s->ymm, cpu->ymm, sizeof(cpu->ymm));
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
        if (engine->jit) {
            cpu->exit_block = false;
            if (!jit_run_block(cpu)) {
                g_error("not translated: %s", insn->opcode->name);
            }
            if (!(insn->opcode->flags & OP_STRING)) {
                break;
            }
            continue;
        }
        cpu->current = insn;
        cpu->exit_block = false;
        cpu->rip += insn->length;
        insn->execute(cpu, insn);
        if (!(insn->opcode->flags & OP_STRING)) {
            break;
        }
    }
}

struct cpu *native_engine_begin(struct native_engine *engine, const struct native_case *c)
{
    struct cpu *cpu = &engine->cpu;

    native_engine_prepare(cpu, c);
    cpu->vcpu = &engine->vcpu;
    cpu->unwind = &engine->unwind;
    cpu->stubs = engine->stubs;
    cpu->tlb = &engine->tlb;
    cpu->memory = &engine->memory;
    cpu->machine_lock = &engine->machine_lock;
    cpu->cr3 = TABLE_4;
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    memset(engine->code, engine->sequences ? NO_OPCODE : INT3_OPCODE, NATIVE_PAGE);
    memcpy(engine->code + CODE_ENTRY, c->bytes, c->length);
    memcpy(engine->data, c->memory, NATIVE_PAGE);
    load_state(cpu, &c->before);
    if (engine->jit) {
        /* Nothing of the last case: the code was written behind the translator's back. */
        engine->jit->vcpu_count = 0;
        jit_add_vcpu(engine->jit, cpu);
        jit_flush(engine->jit);
        jit_attach_thread(cpu);
    }
    return cpu;
}

void native_engine_end(struct native_engine *engine, struct native_outcome *outcome)
{
    save_state(&engine->cpu, &outcome->state);
    memcpy(outcome->memory, engine->data, NATIVE_PAGE);
}

void native_engine_run(struct native_engine *engine, const struct native_case *c,
                       struct native_outcome *outcome)
{
    struct cpu *cpu = native_engine_begin(engine, c);
    struct insn insn;

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
    native_engine_end(engine, outcome);
}

static void interpret(struct cpu *cpu, const struct insn *insn)
{
    cpu->current = insn;
    cpu->exit_block = false;
    cpu->rip += insn->length;
    insn->execute(cpu, insn);
}

bool native_engine_step(struct native_engine *engine, unsigned offset, const uint8_t *bytes,
                        unsigned length)
{
    struct cpu *cpu = &engine->cpu;
    struct insn insn;

    memcpy(engine->code + CODE_ENTRY + offset, bytes, length);
    cpu->rip = CODE_ADDRESS + CODE_ENTRY + offset;
    if (decode_insn(cpu, bytes, length, &insn) != DECODE_OK || setjmp(engine->unwind) != 0) {
        return false;
    }
    interpret(cpu, &insn);
    return true;
}

/* What the translator leaves to the run loop is interpreted here too. */
static void run_to(struct native_engine *engine, uint64_t end)
{
    static const struct insn no_insn;
    struct cpu *cpu = &engine->cpu;
    struct insn insn;

    while (cpu->rip != end) {
        cpu->exit_block = false;
        if (engine->jit && jit_run_block(cpu)) {
            continue;
        }
        if (decode_insn(cpu, engine->code + (cpu->rip - CODE_ADDRESS), 15, &insn) != DECODE_OK) {
            cpu->current = &no_insn;
            cpu_raise(cpu, EXCEPTION_UD);
        }
        interpret(cpu, &insn);
    }
}

void native_engine_run_sequence(struct native_engine *engine, const struct native_case *c,
                                struct native_outcome *outcome)
{
    struct cpu *cpu = native_engine_begin(engine, c);

    memset(outcome, 0, offsetof(struct native_outcome, memory));
    if (setjmp(engine->unwind) == 0) {
        run_to(engine, CODE_ADDRESS + CODE_ENTRY + c->length);
        outcome->completed = true;
    } else {
        outcome->vector = cpu->pending_vector;
    }
    native_engine_end(engine, outcome);
}
