/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that changes while it is executed, from the outside: by a device's DMA, by changes of the
 * memory map, in memory that is a device; and by itself. The CPU runs snippets of 16-bit code in
 * this process; a port that they write hands control to the test between two instructions.
 * (tests/guest/smc64.c has more of what a guest can do to itself.)
 */
#include "memory/address-space.h"
#include "tcg/access.h"
#include "tcg/blocks.h"
#include "tcg/msr.h"
#include "tcg/tcg.h"
#include "tcg/tlb.h"
#include "unit/suite.h"

#include <stdlib.h>

#define RAM_SIZE  0x20000
#define CODE      0x1000
#define PORT_STEP 0x10 /* written by the guest: the test's turn */
#define PORT_END  0x11
#define DEVICE    0x80000

struct fixture {
    struct memory_region memory, ram, io, ports, other, device;
    struct address_space as_memory, as_io;
    struct vcpu vcpu;
    struct tcg_vcpu *v;
    struct cpu_model model;
    pthread_mutex_t machine_lock;
    void (*on_step)(struct fixture *f, uint32_t value);
    GArray *values; /* of uint32_t: what was written to PORT_STEP */
    uint8_t device_code[64];
};

static enum memory_result port_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct fixture *f = opaque;
    uint32_t value32 = (uint32_t)value;

    if (offset == PORT_END) {
        __atomic_fetch_or(&f->vcpu.signals, VCPU_SIGNAL_EXIT, __ATOMIC_SEQ_CST);
    } else if (offset == PORT_STEP) {
        g_array_append_val(f->values, value32);
        if (f->on_step) {
            f->on_step(f, value32);
        }
    }
    return MEMORY_OK;
}

static enum memory_result port_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    return MEMORY_DECODE_ERROR;
}

static enum memory_result device_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct fixture *f = opaque;

    *value = f->device_code[offset];
    return MEMORY_OK;
}

static enum memory_result device_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct fixture *f = opaque;

    f->device_code[offset] = (uint8_t)value;
    return MEMORY_OK;
}

static const struct memory_region_ops port_ops = {.read = port_read, .write = port_write};
static const struct memory_region_ops device_ops = {
    .read = device_read,
    .write = device_write,
    .implemented = {.min_size = 1, .max_size = 1},
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct cpu *cpu;

    memory_region_init_container(&f->memory, "memory", 1ull << 32);
    g_assert_true(memory_region_init_ram(&f->ram, "ram", RAM_SIZE, NULL));
    g_assert_true(memory_region_init_ram(&f->other, "other", 0x1000, NULL));
    memory_region_init_mmio(&f->device, "device", sizeof(f->device_code), &device_ops, f, NULL);
    memory_region_add_subregion(&f->memory, 0, &f->ram);
    memory_region_add_subregion(&f->memory, DEVICE, &f->device);
    memory_region_init_container(&f->io, "io", 0x10000);
    memory_region_init_mmio(&f->ports, "ports", 0x100, &port_ops, f, NULL);
    memory_region_add_subregion(&f->io, 0, &f->ports);
    address_space_init(&f->as_memory, &f->memory, "memory");
    address_space_init(&f->as_io, &f->io, "io");
    pthread_mutex_init(&f->machine_lock, NULL);
    f->values = g_array_new(false, false, sizeof(uint32_t));
    g_assert_true(cpu_model_parse("max", &f->model, NULL));
    g_assert_true(!posix_memalign((void **)&f->v, 64, sizeof(*f->v)));
    memset(f->v, 0, sizeof(*f->v));
    f->v->vcpu = &f->vcpu;
    cpu = &f->v->cpu;
    cpu->vcpu = &f->vcpu;
    cpu->memory = &f->as_memory;
    cpu->io = &f->as_io;
    cpu->model = &f->model;
    cpu->features = f->model.features;
    cpu->physical_bits = CPU_PHYSICAL_BITS;
    cpu->machine_lock = &f->machine_lock;
    cpu->tlb = tlb_new();
    cpu->blocks = block_cache_new();
    cpu->msrs = cpu_msrs_new();
    cpu_reset(cpu, false);
    cpu->interrupt_pending = false; /* there is no APIC */
    cpu->segment[X86_CS].selector = 0;
    cpu->segment[X86_CS].base = 0;
    cpu->gpr[X86_RSP] = 0x8000;
    return f;
}

static void fixture_free(struct fixture *f)
{
    tlb_free(f->v->cpu.tlb);
    block_cache_free(f->v->cpu.blocks);
    cpu_msrs_free(f->v->cpu.msrs);
    free(f->v);
    address_space_destroy(&f->as_memory);
    address_space_destroy(&f->as_io);
    memory_region_destroy(&f->ram);
    memory_region_destroy(&f->other);
    memory_region_destroy(&f->device);
    memory_region_destroy(&f->ports);
    memory_region_destroy(&f->memory);
    memory_region_destroy(&f->io);
    pthread_mutex_destroy(&f->machine_lock);
    g_array_free(f->values, true);
    g_free(f);
}

/* Run from an address until PORT_END is written. */
static void run(struct fixture *f, uint64_t start)
{
    f->v->cpu.rip = start;
    run_loop(f->v);
}

static void put(struct fixture *f, uint64_t address, const void *bytes, unsigned length)
{
    memcpy((uint8_t *)memory_region_host_pointer(&f->ram) + address, bytes, length);
}

static uint32_t value(struct fixture *f, unsigned n)
{
    return n < f->values->len ? g_array_index(f->values, uint32_t, n) : UINT32_MAX;
}

/* again: mov $0, %al; out %al, $10h; cmp $LAST, %al; jne again; out %al, $11h; hlt */
#define LAST 200
static const uint8_t count_code[] = {0xb0, 0,    0xe6, PORT_STEP, 0x3c, LAST,
                                     0x75, 0xf8, 0xe6, PORT_END,  0xf4};

static void dma_next(struct fixture *f, uint32_t seen)
{
    uint8_t next = (uint8_t)(seen + 1);

    address_space_write(&f->as_memory, CODE + 1, (struct memory_attributes){.from_device = true},
                        &next, 1);
}

static void check_counted(struct fixture *f)
{
    CU_ASSERT_EQUAL(f->values->len, LAST + 1);
    for (unsigned i = 0; i <= LAST; i++) {
        CU_ASSERT_EQUAL(value(f, i), i);
    }
}

/* A device changes the immediate of an instruction that ran just before. */
static void test_dma(void)
{
    struct fixture *f = fixture_new();

    put(f, CODE, count_code, sizeof(count_code));
    f->on_step = dma_next;
    run(f, CODE);
    check_counted(f);
    fixture_free(f);
}

static void dma_next_page(struct fixture *f, uint32_t seen)
{
    uint8_t next = (uint8_t)(seen + 1);

    address_space_write(&f->as_memory, CODE + 0x1000,
                        (struct memory_attributes){.from_device = true}, &next, 1);
}

/* The same, where the byte that changes is the part of an instruction past a page's end. */
static void test_dma_past_page_end(void)
{
    struct fixture *f = fixture_new();

    put(f, CODE + 0xfff, count_code, sizeof(count_code));
    f->on_step = dma_next_page;
    run(f, CODE + 0xfff);
    check_counted(f);
    fixture_free(f);
}

/* Alternately shows other memory, with other code, at CODE. */
static void remap(struct fixture *f, uint32_t seen)
{
    if (seen & 1) {
        memory_region_remove_subregion(&f->memory, &f->other);
    } else {
        memory_region_add_subregion_overlap(&f->memory, CODE, &f->other, 1);
    }
    if (f->values->len == 100) {
        uint8_t end[] = {0xe6, PORT_END, 0xf4};

        put(f, CODE, end, sizeof(end));
        memcpy(memory_region_host_pointer(&f->other), end, sizeof(end));
    }
}

static void test_remap(void)
{
    struct fixture *f = fixture_new();
    /* mov $n, %al; out %al, $10h; jmp CODE: the instruction after OUT comes from the other map. */
    const uint8_t even[] = {0xb0, 0, 0xe6, PORT_STEP, 0xeb, 0xfa};
    const uint8_t odd[] = {0xb0, 1, 0xe6, PORT_STEP, 0xeb, 0xfa};

    put(f, CODE, even, sizeof(even));
    memcpy(memory_region_host_pointer(&f->other), odd, sizeof(odd));
    f->on_step = remap;
    run(f, CODE);
    CU_ASSERT_EQUAL(f->values->len, 100);
    for (unsigned i = 0; i < f->values->len; i++) {
        CU_ASSERT_EQUAL(value(f, i), i & 1);
    }
    fixture_free(f);
}

/* Data mapped anew: a load after the change sees the other memory, a store goes there. */
static void map_other(struct fixture *f, uint32_t seen)
{
    memory_region_add_subregion_overlap(&f->memory, 0x4000, &f->other, 1);
}

static void test_remapped_data(void)
{
    struct fixture *f = fixture_new();
    /* mov 4000h, %al; out %al, $10h; mov 4000h, %al; movb $77h, 4001h; out %al, $11h; hlt */
    const uint8_t code[] = {0xa0, 0x00, 0x40, 0xe6, PORT_STEP, 0xa0, 0x00,     0x40,
                            0xc6, 0x06, 0x01, 0x40, 0x77,      0xe6, PORT_END, 0xf4};
    uint8_t *ram = memory_region_host_pointer(&f->ram);
    uint8_t *other = memory_region_host_pointer(&f->other);

    put(f, CODE, code, sizeof(code));
    ram[0x4000] = 0x11;
    other[0] = 0x22;
    f->on_step = map_other;
    run(f, CODE);
    CU_ASSERT_EQUAL(value(f, 0), 0x11);
    CU_ASSERT_EQUAL(f->v->cpu.gpr[X86_RAX] & 0xff, 0x22);
    CU_ASSERT_EQUAL(other[1], 0x77);
    CU_ASSERT_EQUAL(ram[0x4001], 0);
    fixture_free(f);
}

static void change_device(struct fixture *f, uint32_t seen)
{
    f->device_code[1] = (uint8_t)(seen + 1);
}

/* Code in a device's registers: fetched anew each time. */
static void test_code_in_device(void)
{
    struct fixture *f = fixture_new();

    memcpy(f->device_code, count_code, sizeof(count_code));
    f->v->cpu.segment[X86_CS].selector = DEVICE >> 4;
    f->v->cpu.segment[X86_CS].base = DEVICE;
    f->on_step = change_device;
    run(f, 0);
    check_counted(f);
    fixture_free(f);
}

/* A store over the instruction that follows it, in every distance within a block. */
static void test_own_store(void)
{
    struct fixture *f = fixture_new();

    for (unsigned distance = 0; distance < 24; distance++) {
        uint8_t code[64], *p = code;
        uint16_t target = (uint16_t)(CODE + 5 + distance + 1);

        *p++ = 0xc6; /* movb $99h, target */
        *p++ = 0x06;
        *p++ = (uint8_t)target;
        *p++ = (uint8_t)(target >> 8);
        *p++ = 0x99;
        for (unsigned i = 0; i < distance; i++) {
            *p++ = 0x90;
        }
        *p++ = 0xb0; /* target: mov $0, %al */
        *p++ = 0;
        *p++ = 0xe6;
        *p++ = PORT_END;
        *p++ = 0xf4;
        put(f, CODE, code, (unsigned)(p - code));
        run(f, CODE);
        CU_ASSERT_EQUAL(f->v->cpu.gpr[X86_RAX] & 0xff, 0x99);
    }
    fixture_free(f);
}

/* More code than the cache holds: it is emptied and filled again. */
static void test_cache_full(void)
{
    struct fixture *f = fixture_new();
    struct block_cache *cache = f->v->cpu.blocks;

    put(f, CODE, count_code, sizeof(count_code));
    f->on_step = dma_next;
    cache->used = BLOCK_ARENA_SIZE - 4096;
    run(f, CODE);
    check_counted(f);
    CU_ASSERT_TRUE(cache->flushes > 0);
    fixture_free(f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"DMA over code", test_dma},
        {"DMA over the end of an instruction, in the next page", test_dma_past_page_end},
        {"other memory mapped over code", test_remap},
        {"other memory mapped over data", test_remapped_data},
        {"code in a device", test_code_in_device},
        {"stores into the executing block", test_own_store},
        {"full cache", test_cache_full},
        {NULL, NULL},
    };

    return unit_run("tcg-smc", tests);
}
