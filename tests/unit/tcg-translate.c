/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the translator makes of guest code: which flags are live, against a naive look ahead; that
 * dead ones cost nothing; and that a full code cache is emptied and filled again. (That translated
 * code computes the right thing: native/.)
 */
#include "memory/address-space.h"
#include "memory/ram-block.h"
#include "tcg/access.h"
#include "tcg/cpu-model.h"
#include "tcg/translate.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <stdlib.h>

#define RAM_SIZE 0x10000
#define TABLE_4  0x1000 /* CR3; the tables map the first 2 MiB to themselves */
#define TABLE_3  0x2000
#define TABLE_2  0x3000
#define CODE     0x8000
#define DATA     0x9000

#define ENTRY_TABLE     7u        /* present, writable, user */
#define ENTRY_LARGE     (1u << 7) /* 2 MiB */
#define ATTRIBUTES_DATA 0xc0f3u   /* G, B, present, DPL 3, writable, accessed */
#define ATTRIBUTES_CODE 0xa0fbu   /* 64-bit */
#define UNDEFINED       0x06      /* in 64-bit mode: a block ends before it */

struct fixture {
    struct memory_region root, ram;
    struct address_space memory;
    pthread_mutex_t machine_lock;
    struct vcpu vcpu;
    struct cpu_model model;
    struct cpu cpu;
    struct tlb tlb;
    struct jit *jit;
    uint8_t *bytes; /* RAM */
};

/* A CPU in user mode, all in 64-bit mode and mapped. */
static void init_cpu(struct fixture *f)
{
    struct cpu *cpu = &f->cpu;

    cpu->vcpu = &f->vcpu;
    cpu->tlb = &f->tlb;
    cpu->memory = &f->memory;
    cpu->machine_lock = &f->machine_lock;
    cpu->mode = CPU_MODE_64;
    cpu->cpl = 3;
    cpu->long_mode = cpu->protected_mode = true;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr4 = CR4_PAE;
    cpu->cr3 = TABLE_4;
    cpu->efer = EFER_LME | EFER_LMA;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        cpu->segment[i] = (struct x86_segment){0x2b, ATTRIBUTES_DATA, UINT32_MAX, 0};
    }
    cpu->segment[X86_CS] = (struct x86_segment){0x33, ATTRIBUTES_CODE, UINT32_MAX, 0};
    cpu->physical_bits = CPU_PHYSICAL_BITS;
    cpu->gpr[X86_RSI] = DATA;
    cpu->gpr[X86_RSP] = DATA + 0x800;
    cpu->features = f->model.features;
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
    tlb_reset(cpu);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);

    memory_region_init_container(&f->root, "root", UINT64_C(1) << 32);
    g_assert_true(memory_region_init_ram(&f->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&f->root, 0, &f->ram);
    address_space_init(&f->memory, &f->root, "memory");
    f->bytes = memory_region_host_pointer(&f->ram);
    *(uint64_t *)(f->bytes + TABLE_4) = TABLE_3 | ENTRY_TABLE;
    *(uint64_t *)(f->bytes + TABLE_3) = TABLE_2 | ENTRY_TABLE;
    *(uint64_t *)(f->bytes + TABLE_2) = ENTRY_LARGE | ENTRY_TABLE;
    pthread_mutex_init(&f->machine_lock, NULL);
    tlb_init(&f->tlb);
    f->jit = jit_new(offsetof(struct fixture, tlb) - offsetof(struct fixture, cpu), NULL);
    g_assert_nonnull(f->jit);
    g_assert_true(cpu_model_parse("max", &f->model, NULL));
    init_cpu(f);
    jit_add_vcpu(f->jit, &f->cpu);
    jit_attach_thread(&f->cpu);
    memory_rcu_read_lock();
    return f;
}

static void fixture_free(struct fixture *f)
{
    memory_rcu_read_unlock();
    jit_free(f->jit);
    pthread_mutex_destroy(&f->machine_lock);
    address_space_destroy(&f->memory);
    memory_region_remove_subregion(&f->root, &f->ram);
    memory_region_destroy(&f->ram);
    memory_region_destroy(&f->root);
    g_free(f);
}

/* Translate code, and nothing else. jit->translator tells how it went. */
static struct translation *translate(struct fixture *f, const uint8_t *code, unsigned length)
{
    jit_flush(f->jit);
    memset(f->bytes + CODE, UNDEFINED, 4096);
    memcpy(f->bytes + CODE, code, length);
    f->cpu.rip = CODE;
    return jit_translate(&f->cpu, jit_context(&f->cpu));
}

/* --- Flags --- */

/* What a look at the instruction set reference says of an instruction's status flags. */
enum { READS = 1, WRITES_ALL = 2, WRITES_SOME = 4, MAY_FAULT = 8 };

struct piece {
    const char *text;
    unsigned length;
    uint8_t bytes[4];
    unsigned effects;
};

static const struct piece pieces[] = {
    {"add eax, ebx", 2, {0x01, 0xd8}, WRITES_ALL},
    {"cmp eax, ebx", 2, {0x39, 0xd8}, WRITES_ALL},
    {"xor ecx, ecx", 2, {0x31, 0xc9}, WRITES_ALL},
    {"test edx, edx", 2, {0x85, 0xd2}, WRITES_ALL},
    {"adc eax, ebx", 2, {0x11, 0xd8}, READS | WRITES_ALL},
    {"sub [rsi], eax", 2, {0x29, 0x06}, WRITES_ALL | MAY_FAULT},
    {"mov eax, edx", 2, {0x89, 0xd0}, 0},
    {"not edx", 2, {0xf7, 0xd2}, 0},
    {"mov ecx, [rsi]", 2, {0x8b, 0x0e}, MAY_FAULT},
    {"mov [rsi], ecx", 2, {0x89, 0x0e}, MAY_FAULT},
    {"push rax", 1, {0x50}, MAY_FAULT},
    {"inc eax", 2, {0xff, 0xc0}, WRITES_SOME},
    {"shl eax, cl", 2, {0xd3, 0xe0}, WRITES_SOME},
    {"shl eax, 3", 3, {0xc1, 0xe0, 0x03}, WRITES_ALL},
    {"rol edx, 1", 2, {0xd1, 0xc2}, WRITES_SOME},
    {"setz dl", 3, {0x0f, 0x94, 0xc2}, READS},
    {"cmovc ebx, edi", 3, {0x0f, 0x42, 0xdf}, READS},
};

/* Can the flags after piece i be seen? Whoever reads, keeps some, or faults sees them; the block's
 * end is a border where they must be right. */
static bool naive_live(const struct piece *const *code, unsigned count, unsigned i)
{
    for (unsigned next = i + 1; next < count; next++) {
        if (code[next]->effects & (READS | WRITES_SOME | MAY_FAULT)) {
            return true;
        }
        if (code[next]->effects & WRITES_ALL) {
            return false;
        }
    }
    return true;
}

static void check_liveness(struct fixture *f, GRand *random)
{
    unsigned count = (unsigned)g_rand_int_range(random, 1, 20), length = 0;
    const struct translator *t = f->jit->translator;
    const struct piece *code[20];
    uint8_t bytes[20 * 4];

    for (unsigned i = 0; i < count; i++) {
        code[i] = &pieces[g_rand_int_range(random, 0, G_N_ELEMENTS(pieces))];
        memcpy(bytes + length, code[i]->bytes, code[i]->length);
        length += code[i]->length;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, bytes, length));
    CU_ASSERT_EQUAL_FATAL(t->count, count);
    for (unsigned i = 0; i < count; i++) {
        bool expected = naive_live(code, count, i);

        CU_ASSERT_EQUAL(t->live[i], expected);
        if (t->live[i] != expected) {
            printf("after instruction %u of %u, %s\n", i, count, code[i]->text);
        }
    }
}

static void test_liveness(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    struct fixture *f = fixture_new();

    for (unsigned i = 0; i < 1000; i++) {
        check_liveness(f, random);
    }
    fixture_free(f);
}

/* Is there a store to cpu->lazy.operation in the code of the block's instruction i? */
static bool stores_flags(const struct translator *t, unsigned i)
{
    const uint8_t *end = i + 1 < t->count ? t->insn_code[i + 1] : t->exits_code;
    uint8_t store[16];
    struct emitter e = {.at = store, .end = store + sizeof(store)};

    emit_rm(&e, 1, 0xc6, 0, false, CPU_FIELD(lazy.operation));
    return memmem(t->insn_code[i], (size_t)(end - t->insn_code[i]), store, (size_t)(e.at - store));
}

/* Blocks with one instruction that has to save the flags of the one before if they are live. */
static const struct {
    const char *text;
    uint8_t bytes[16];
    unsigned length, saver; /* index of that instruction */
    bool stores;
} savers[] = {
    /* The load's probe leaves the flags described by EAX and EBX; then EAX is written. */
    {"cmp eax, ebx; mov ecx, [rsi]; mov eax, edx; add ecx, edx",
     {0x39, 0xd8, 0x8b, 0x0e, 0x89, 0xd0, 0x01, 0xd1},
     8,
     2,
     false},
    {"cmp eax, ebx; mov ecx, [rsi]; mov eax, edx; setz cl",
     {0x39, 0xd8, 0x8b, 0x0e, 0x89, 0xd0, 0x0f, 0x94, 0xc1},
     9,
     2,
     true},
    {"cmp eax, ebx; mov ecx, [rsi]; mov eax, edx; mov [rsi], ecx; add ecx, edx",
     {0x39, 0xd8, 0x8b, 0x0e, 0x89, 0xd0, 0x89, 0x0e, 0x01, 0xd1},
     10,
     2,
     true},
    {"cmp eax, ebx; mov ecx, [rsi]; mov eax, edx",
     {0x39, 0xd8, 0x8b, 0x0e, 0x89, 0xd0},
     6,
     2,
     true},
    /* Nothing spoils the host's flags in between. */
    {"cmp eax, ebx; mov eax, edx; setz cl",
     {0x39, 0xd8, 0x89, 0xd0, 0x0f, 0x94, 0xc1},
     7,
     1,
     false},
    /* ADC's flags can't be made again from registers: the probe saves them. */
    {"adc eax, ebx; mov ecx, [rsi]; setz cl",
     {0x11, 0xd8, 0x8b, 0x0e, 0x0f, 0x94, 0xc1},
     7,
     1,
     true},
};

static void test_dead_flags(void)
{
    struct fixture *f = fixture_new();
    const struct translator *t = f->jit->translator;

    for (unsigned i = 0; i < G_N_ELEMENTS(savers); i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, savers[i].bytes, savers[i].length));
        CU_ASSERT_EQUAL(stores_flags(t, savers[i].saver), savers[i].stores);
        if (stores_flags(t, savers[i].saver) != savers[i].stores) {
            printf("%s\n", savers[i].text);
        }
    }
    fixture_free(f);
}

/* SHL by CL leaves the flags alone if CL is 0: looked at only if somebody can see them. */
static void test_dead_shift(void)
{
    static const uint8_t dead[] = {0xd3, 0xe0, 0x01, 0xd1}; /* shl eax, cl; add ecx, edx */
    static const uint8_t live[] = {0xd3, 0xe0, 0x89, 0xd1}; /* shl eax, cl; mov ecx, edx */
    struct fixture *f = fixture_new();
    const struct translator *t = f->jit->translator;

    CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, dead, sizeof(dead)));
    CU_ASSERT_EQUAL(t->insn_code[1] - t->insn_code[0], 2);
    CU_ASSERT_EQUAL(memcmp(t->insn_code[0], dead, 2), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, live, sizeof(live)));
    CU_ASSERT_TRUE(t->insn_code[1] - t->insn_code[0] > 2);
    fixture_free(f);
}

/* --- STI --- */

/* STI at a block's end is left to its handler, which sets the interrupt shadow: an interrupt that
 * comes at the border is not taken before the HLT that may follow. */
static void test_sti_at_the_end(void)
{
    static const uint8_t in_the_middle[] = {0xfb, 0x90}, at_the_end[] = {0xfb}; /* sti; nop */
    struct fixture *f = fixture_new();
    const struct translator *t = f->jit->translator;
    uint8_t look[16]; /* at cpu->interrupt_pending */
    struct emitter e = {.at = look, .end = look + sizeof(look)};

    emit_alu_immediate(&e, 1, 7, CPU_FIELD(interrupt_pending), 0); /* CMP */
    f->cpu.cpl = 0;
    cpu_update_mode(&f->cpu);
    CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, in_the_middle, sizeof(in_the_middle)));
    CU_ASSERT_PTR_NOT_NULL(memmem(t->insn_code[0], (size_t)(t->insn_code[1] - t->insn_code[0]),
                                  look, (size_t)(e.at - look)));
    CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, at_the_end, sizeof(at_the_end)));
    CU_ASSERT_PTR_NULL(memmem(t->insn_code[0], (size_t)(t->exits_code - t->insn_code[0]), look,
                              (size_t)(e.at - look)));
    fixture_free(f);
}

/* --- The cache --- */

static const uint8_t add_code[] = {0x48, 0x01, 0xd8}; /* add rax, rbx */

static void run_and_check(struct fixture *f)
{
    f->cpu.rip = CODE;
    f->cpu.gpr[X86_RAX] = 5;
    f->cpu.gpr[X86_RBX] = 7;
    f->cpu.exit_block = false;
    CU_ASSERT_TRUE(jit_run_block(&f->cpu));
    CU_ASSERT_EQUAL(f->cpu.gpr[X86_RAX], 12);
    CU_ASSERT_EQUAL(f->cpu.rip, CODE + sizeof(add_code));
}

static void test_cache_full(void)
{
    struct fixture *f = fixture_new();
    const uint8_t *host = f->bytes + CODE;
    enum jit_context context = jit_context(&f->cpu);
    struct code_cache *cache = &f->jit->cache;
    unsigned generation;
    size_t used;

    CU_ASSERT_PTR_NOT_NULL_FATAL(translate(f, add_code, sizeof(add_code)));
    run_and_check(f);
    used = cache->used;
    generation = cache->generation;
    CU_ASSERT_TRUE(used > cache->kept);
    /* Found, not made again. */
    f->cpu.rip = CODE;
    CU_ASSERT_PTR_EQUAL(jit_translate(&f->cpu, context), jit_find(f->jit, host, context));
    CU_ASSERT_EQUAL(cache->used, used);
    /* No room for another block: all are forgotten but the stubs, which still work. */
    cache->used = cache->size - 64;
    f->cpu.rip = CODE;
    CU_ASSERT_PTR_NOT_NULL(jit_translate(&f->cpu, context));
    CU_ASSERT_EQUAL(cache->generation, generation + 1);
    CU_ASSERT_EQUAL(cache->used, used);
    run_and_check(f);
    fixture_free(f);
}

static void test_flush(void)
{
    struct fixture *f = fixture_new();
    enum jit_context context = jit_context(&f->cpu);
    struct translation *translation;
    size_t kept = f->jit->cache.kept;

    CU_ASSERT_EQUAL(context, JIT_USER);
    translation = translate(f, add_code, sizeof(add_code));
    CU_ASSERT_PTR_EQUAL(jit_find(f->jit, f->bytes + CODE, context), translation);
    CU_ASSERT_TRUE(jit_page_has_code(f->jit, f->bytes + CODE));
    CU_ASSERT_TRUE(translation->code >= f->jit->cache.executable + kept);
    CU_ASSERT_TRUE(translation->code < f->jit->cache.executable + f->jit->cache.used);
    jit_flush(f->jit);
    CU_ASSERT_PTR_NULL(jit_find(f->jit, f->bytes + CODE, context));
    CU_ASSERT_FALSE(jit_page_has_code(f->jit, f->bytes + CODE));
    CU_ASSERT_EQUAL(f->jit->cache.used, kept);
    CU_ASSERT_TRUE(f->cpu.exit_block);
    fixture_free(f);
}

/* Memory that a passed-through device writes to: nobody is told, and the page's next way into a TLB
 * is where it is seen. */
static void test_silent_writer(void)
{
    static const uint8_t sub_code[] = {0x48, 0x29, 0xd8}; /* sub rax, rbx */
    struct fixture *f = fixture_new();
    enum jit_context context = jit_context(&f->cpu);
    struct translation *translation = translate(f, add_code, sizeof(add_code));

    run_and_check(f);
    ram_block_add_silent_writer(f->ram.ram);
    cpu_tlb_flush(&f->cpu, true);
    run_and_check(f);
    CU_ASSERT_PTR_EQUAL(jit_find(f->jit, f->bytes + CODE, context), translation); /* it agrees */
    memcpy(f->bytes + CODE, sub_code, sizeof(sub_code));
    cpu_tlb_flush(&f->cpu, true);
    f->cpu.rip = CODE;
    f->cpu.gpr[X86_RAX] = 9;
    f->cpu.exit_block = false;
    CU_ASSERT_TRUE(jit_run_block(&f->cpu));
    CU_ASSERT_EQUAL(f->cpu.gpr[X86_RAX], 2);
    fixture_free(f);
}

/* Each byte counts, at each length. */
static void test_checksum(void)
{
    uint8_t code[64];
    GRand *random = test_seeded_rand();

    for (unsigned length = 1; length <= sizeof(code); length++) {
        uint32_t sum;

        for (unsigned i = 0; i < length; i++) {
            code[i] = (uint8_t)g_rand_int(random);
        }
        sum = jit_checksum(code, length);
        for (unsigned i = 0; i < length; i++) {
            code[i] ^= 1;
            CU_ASSERT_NOT_EQUAL(jit_checksum(code, length), sum);
            code[i] ^= 1;
        }
        CU_ASSERT_EQUAL(jit_checksum(code, length), sum);
    }
    g_rand_free(random);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"liveness of flags", test_liveness},
        {"dead flags are not stored", test_dead_flags},
        {"shift with dead flags", test_dead_shift},
        {"STI at the end of a block", test_sti_at_the_end},
        {"full code cache", test_cache_full},
        {"flush", test_flush},
        {"silent writer", test_silent_writer},
        {"checksum", test_checksum},
        {NULL, NULL},
    };

    if (!JIT_SUPPORTED) {
        return 77; /* automake: skipped */
    }
    return unit_run("tcg-translate", tests);
}
