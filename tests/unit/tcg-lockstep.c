/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lockstep: what translated code does right passes, what it is made to do wrong is found. */
#include "tcg/lockstep.h"
#include "memory/address-space.h"
#include "tcg/access.h"
#include "tcg/blocks.h"
#include "tcg/jit.h"
#include "tcg/msr.h"
#include "tcg/tcg.h"
#include "unit/suite.h"

#include <stdlib.h>

#define RAM_SIZE 0x20000
#define CODE     0x1000
#define DATA     0x3000
#define TABLES   0x10000 /* of one 2 MiB page from address 0 */

#define PAGE_ENTRY  7u /* present, writable, user */
#define PAGE_LARGE  0x80u
#define ACCESSED    0x20u
#define DIRTY       0x40u
#define CODE_64_BIT 0xa09b /* attributes of a segment */

struct fixture {
    struct memory_region memory, ram;
    struct address_space as_memory;
    struct vcpu vcpu;
    struct tcg_vcpu *v;
    struct jit *jit;
    struct cpu_model model;
    pthread_mutex_t machine_lock;
};

/* add eax, 12345678h; mov dword [DATA], 55667788h; jmp to itself */
static const uint8_t code[] = {0x05, 0x78, 0x56, 0x34, 0x12, 0xc7, 0x04, 0x25, 0x00,
                               0x30, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0xeb, 0xfe};

static void store(struct fixture *f, uint64_t address, uint64_t value)
{
    address_space_store(&f->as_memory, address, 8, MEMORY_ATTRIBUTES_CPU, value);
}

static uint64_t load(struct fixture *f, uint64_t address)
{
    uint64_t value = 0;

    address_space_load(&f->as_memory, address, 8, MEMORY_ATTRIBUTES_CPU, &value);
    return value;
}

static void enter_64_bit_mode(struct cpu *cpu)
{
    cpu->cr0 |= CR0_PE | CR0_PG;
    cpu->cr3 = TABLES;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->long_mode = cpu->protected_mode = true;
    cpu->segment[X86_CS].base = 0;
    cpu->segment[X86_CS].attributes = CODE_64_BIT;
    tlb_reset(cpu);
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
}

static struct fixture *fixture_new(const uint8_t *program, size_t length)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct cpu *cpu;

    memory_region_init_container(&f->memory, "memory", 1ull << 32);
    g_assert_true(memory_region_init_ram(&f->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&f->memory, 0, &f->ram);
    address_space_init(&f->as_memory, &f->memory, "memory");
    store(f, TABLES, (TABLES + 0x1000) | PAGE_ENTRY);
    store(f, TABLES + 0x1000, (TABLES + 0x2000) | PAGE_ENTRY);
    store(f, TABLES + 0x2000, PAGE_LARGE | PAGE_ENTRY);
    memcpy((uint8_t *)memory_region_host_pointer(&f->ram) + CODE, program, length);
    pthread_mutex_init(&f->machine_lock, NULL);
    g_assert_true(cpu_model_parse("max", &f->model, NULL));
    g_assert_true(!posix_memalign((void **)&f->v, 64, sizeof(*f->v)));
    memset(f->v, 0, sizeof(*f->v));
    cpu = &f->v->cpu;
    cpu->vcpu = &f->vcpu;
    cpu->memory = &f->as_memory;
    cpu->model = &f->model;
    cpu->features = f->model.features;
    cpu->physical_bits = CPU_PHYSICAL_BITS;
    cpu->machine_lock = &f->machine_lock;
    tlb_init(&f->v->tlb);
    cpu->tlb = &f->v->tlb;
    cpu->blocks = block_cache_new();
    cpu->msrs = cpu_msrs_new();
    f->jit = jit_new(offsetof(struct tcg_vcpu, tlb), NULL);
    g_assert_nonnull(f->jit);
    f->jit->lockstep = true;
    jit_add_vcpu(f->jit, cpu);
    cpu->lockstep = lockstep_new();
    cpu_reset(cpu, false);
    enter_64_bit_mode(cpu);
    jit_attach_thread(cpu);
    memory_rcu_read_lock();
    return f;
}

static void fixture_free(struct fixture *f)
{
    memory_rcu_read_unlock();
    lockstep_free(f->v->cpu.lockstep);
    jit_free(f->jit);
    block_cache_free(f->v->cpu.blocks);
    cpu_msrs_free(f->v->cpu.msrs);
    free(f->v);
    address_space_destroy(&f->as_memory);
    memory_region_destroy(&f->ram);
    memory_region_destroy(&f->memory);
    pthread_mutex_destroy(&f->machine_lock);
    g_free(f);
}

static void start(struct fixture *f)
{
    f->v->cpu.rip = CODE;
    f->v->cpu.gpr[X86_RAX] = 1;
    f->v->cpu.exit_block = false;
    store(f, DATA, 0);
}

static void run(struct fixture *f)
{
    start(f);
    CU_ASSERT_TRUE(lockstep_run(&f->v->cpu));
}

/* Change a constant in the translation. */
static void plant(struct fixture *f, uint32_t constant)
{
    struct translation *translation = jit_translate(&f->v->cpu, JIT_SUPERVISOR);
    uint8_t *bytes =
        (uint8_t *)translation->code - (f->jit->cache.executable - f->jit->cache.writable);

    while (memcmp(bytes, &constant, sizeof(constant))) {
        bytes++;
    }
    bytes[0] ^= 2;
}

static void test_same(void)
{
    struct fixture *f = fixture_new(code, sizeof(code));

    run(f);
    CU_ASSERT_PTR_NULL(f->v->cpu.lockstep->difference);
    CU_ASSERT_EQUAL(f->v->cpu.lockstep->compared, 1);
    CU_ASSERT_EQUAL(f->v->cpu.gpr[X86_RAX], 0x12345679);
    CU_ASSERT_EQUAL(load(f, DATA), 0x55667788);
    fixture_free(f);
}

static void check_planted(uint32_t constant, const char *named)
{
    struct fixture *f = fixture_new(code, sizeof(code));
    const char *difference;

    run(f); /* with a miss, which the handler sees to */
    CU_ASSERT_PTR_NULL(f->v->cpu.lockstep->difference);
    start(f);
    plant(f, constant);
    run(f);
    difference = f->v->cpu.lockstep->difference;
    CU_ASSERT_TRUE_FATAL(difference != NULL);
    CU_ASSERT_TRUE(strstr(difference, named) != NULL);
    CU_ASSERT_TRUE(strstr(difference, "0578563412") != NULL); /* the instructions */
    fixture_free(f);
}

static void test_wrong_register(void)
{
    check_planted(0x12345678, "gpr: ");
}

static void test_wrong_memory(void)
{
    check_planted(0x55667788, "memory: interpreter 88776655, translator 8a776655");
}

static void test_stray_store(void)
{
    check_planted(DATA, "4 bytes that only the translator wrote");
}

/* With an interrupt waiting translated code is left after STI, but the interpreter's turn goes on.
 * What it did beyond is undone, and so is what page walks did. */
static void test_left_early(void)
{
    /* inc dword [DATA]; sti; inc dword [DATA]; jmp to itself */
    static const uint8_t program[] = {0xff, 0x04, 0x25, 0x00, 0x30, 0x00, 0x00, 0xfb, 0xff,
                                      0x04, 0x25, 0x00, 0x30, 0x00, 0x00, 0xeb, 0xfe};
    struct fixture *f = fixture_new(program, sizeof(program));
    struct cpu *cpu = &f->v->cpu;

    cpu->interrupt_pending = true;
    run(f);
    CU_ASSERT_PTR_NULL(cpu->lockstep->difference);
    CU_ASSERT_EQUAL(cpu->lockstep->again, 1);
    CU_ASSERT_EQUAL(cpu->rip, CODE + 8);
    CU_ASSERT_EQUAL(load(f, DATA), 1);
    CU_ASSERT_EQUAL(load(f, TABLES + 0x2000), PAGE_LARGE | PAGE_ENTRY | ACCESSED | DIRTY);
    fixture_free(f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"a correct translation", test_same},
        {"a wrong register is found", test_wrong_register},
        {"a wrong store is found", test_wrong_memory},
        {"a store elsewhere is found", test_stray_store},
        {"translated code that leaves early", test_left_early},
        {NULL, NULL},
    };

    return unit_run("tcg-lockstep", tests);
}
