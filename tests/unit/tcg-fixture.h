/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One instruction at a time, in flat 32-bit protected mode without paging: what it does to a CPU,
 * and to the RAM at EBX. */
#ifndef DUODM_TESTS_UNIT_TCG_FIXTURE_H
#define DUODM_TESTS_UNIT_TCG_FIXTURE_H

#include "memory/address-space.h"
#include "memory/region.h"
#include "tcg/access.h"
#include "tcg/cpu-model.h"
#include "tcg/fpu.h"
#include "tcg/host-sse.h"
#include "tcg/opcode.h"
#include "tcg/tlb.h"
#include "tcg/xsave.h"

#include <string.h>

#define RAM_BYTES 0x10000
#define CODE      0x1000u /* where instructions seem to be */
#define AREA      0x4000u /* EBX points here */
#define NONE      (-1)    /* no exception */

struct fixture {
    struct memory_region root, ram;
    struct address_space as;
    struct vcpu vcpu;
    struct cpu cpu;
    jmp_buf unwind;
    uint8_t *area; /* host address of AREA */
};

/* All features; x87 and SSE may be used. */
static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct cpu *cpu = &f->cpu;

    memory_region_init_container(&f->root, "root", UINT64_C(1) << 32);
    g_assert_true(memory_region_init_ram(&f->ram, "ram", RAM_BYTES, NULL));
    memory_region_add_subregion(&f->root, 0, &f->ram);
    address_space_init(&f->as, &f->root, "memory");
    f->area = (uint8_t *)memory_region_host_pointer(&f->ram) + AREA;
    cpu->memory = &f->as;
    cpu->vcpu = &f->vcpu;
    cpu->unwind = &f->unwind;
    cpu->tlb = tlb_new();
    cpu->physical_bits = CPU_PHYSICAL_BITS;
    memset(&cpu->features, 0xff, sizeof(cpu->features));
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        cpu->segment[i] = (struct x86_segment){0x10, 0xc093, UINT32_MAX, 0};
    }
    cpu->segment[X86_CS] = (struct x86_segment){0x08, 0xc09b, UINT32_MAX, 0};
    cpu->cr0 = CR0_PE | CR0_MP | CR0_NE | CR0_ET;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->xcr0 = XCR0_X87 | XCR0_SSE;
    cpu->mxcsr = MXCSR_RESET;
    cpu->eflags = FLAG_FIXED;
    fpu_initialize(cpu);
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    cpu->gpr[X86_RBX] = AREA;
    return f;
}

static void fixture_free(struct fixture *f)
{
    tlb_free(f->cpu.tlb);
    address_space_destroy(&f->as);
    memory_region_remove_subregion(&f->root, &f->ram);
    memory_region_destroy(&f->ram);
    memory_region_destroy(&f->root);
    g_free(f);
}

/* Execute one instruction, in hexadecimal. The vector of its exception, or NONE. */
static int execute(struct fixture *f, const char *text)
{
    uint8_t bytes[15] = {0};
    struct insn insn;

    for (unsigned i = 0; text[2 * i]; i++) {
        bytes[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
                             g_ascii_xdigit_value(text[2 * i + 1]));
    }
    if (decode_insn(&f->cpu, bytes, sizeof(bytes), &insn) != DECODE_OK) {
        return EXCEPTION_UD;
    }
    f->cpu.current = &insn;
    f->cpu.rip = CODE + insn.length;
    if (setjmp(f->unwind)) {
        return f->cpu.pending_vector;
    }
    insn.execute(&f->cpu, &insn);
    return NONE;
}

#endif
