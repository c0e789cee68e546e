/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing host code: the emitter against bytes as an assembler makes them, and by executing what it
 * writes; the memory that code lies in. (What is written for guest code: unit/tcg-translate.c and
 * native/.)
 */
#include "tcg/code-cache.h"
#include "tcg/translate.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define CACHE_BYTES (256u << 10)
#define ROUNDS      3000
#define RET         0xc3

static uint64_t random_64(GRand *random)
{
    uint64_t value = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);

    /* Carries, signs and short forms of immediates want small numbers and ones too. */
    switch (g_rand_int_range(random, 0, 4)) {
    case 0:
        return (uint64_t)(int64_t)(int8_t)value;
    case 1:
        return (uint64_t)(int64_t)(int32_t)value;
    default:
        return value;
    }
}

/* --- Encodings, as GNU as has them --- */

static struct host_operand high_byte(unsigned reg)
{
    return (struct host_operand){.kind = HOST_REGISTER, .reg = (uint8_t)reg, .high_byte = true};
}

enum form { LOAD, STORE, STORE_HIGH, MOVZX, MOVSX, MOVDQU, LEA };

static const struct {
    const char *text, *bytes;
    enum form form;
    unsigned size, reg;
    struct host_operand rm;
} operands[] = {
#define REGISTER(r)                                                                                \
    {                                                                                              \
        .kind = HOST_REGISTER, .reg = HOST_##r                                                     \
    }
#define AT(b, d)                                                                                   \
    {                                                                                              \
        HOST_MEMORY, HOST_##b, HOST_NO_REGISTER, 0, false, d                                       \
    }
#define AT_INDEX(b, i, s, d)                                                                       \
    {                                                                                              \
        HOST_MEMORY, HOST_##b, HOST_##i, s, false, d                                               \
    }
#define AT_GS(i, d)                                                                                \
    {                                                                                              \
        HOST_CPU, 0, HOST_##i, 0, false, d                                                         \
    }
    {"mov rbx, rax", "488bd8", LOAD, 8, HOST_RBX, REGISTER(RAX)},
    {"mov sil, al", "408af0", LOAD, 1, HOST_RSI, REGISTER(RAX)},
    {"mov al, sil", "408ac6", LOAD, 1, HOST_RAX, REGISTER(RSI)},
    {"mov rax, [rbx]", "488b03", LOAD, 8, HOST_RAX, AT(RBX, 0)},
    {"mov rax, [rbp]", "488b4500", LOAD, 8, HOST_RAX, AT(RBP, 0)},
    {"mov rax, [rsp]", "488b0424", LOAD, 8, HOST_RAX, AT(RSP, 0)},
    {"mov rax, [r12]", "498b0424", LOAD, 8, HOST_RAX, AT(R12, 0)},
    {"mov rax, [r13]", "498b4500", LOAD, 8, HOST_RAX, AT(R13, 0)},
    {"mov r10, [rbx + 7fh]", "4c8b537f", LOAD, 8, HOST_R10, AT(RBX, 127)},
    {"mov r10, [rbx - 80h]", "4c8b5380", LOAD, 8, HOST_R10, AT(RBX, -128)},
    {"mov r10, [rbx + 80h]", "4c8b9380000000", LOAD, 8, HOST_R10, AT(RBX, 128)},
    {"mov r10, [rsp + 10h]", "4c8b542410", LOAD, 8, HOST_R10, AT(RSP, 16)},
    {"mov r10, [r12 + 12345h]", "4d8b942445230100", LOAD, 8, HOST_R10, AT(R12, 0x12345)},
    {"mov eax, [rbx + rcx * 4]", "8b048b", LOAD, 4, HOST_RAX, AT_INDEX(RBX, RCX, 2, 0)},
    {"mov eax, [rbp + r9 * 8]", "428b44cd00", LOAD, 4, HOST_RAX, AT_INDEX(RBP, R9, 3, 0)},
    {"mov eax, [r13 + r12 * 2 - 4]", "438b4465fc", LOAD, 4, HOST_RAX, AT_INDEX(R13, R12, 1, -4)},
    {"mov eax, [r12 + r13 + 1000h]", "438b842c00100000", LOAD, 4, HOST_RAX,
     AT_INDEX(R12, R13, 0, 0x1000)},
    {"mov eax, [rcx * 8 + 1000h]", "8b04cd00100000", LOAD, 4, HOST_RAX,
     AT_INDEX(NO_REGISTER, RCX, 3, 0x1000)},
    {"mov eax, [r14 * 2 + 1000h]", "428b047500100000", LOAD, 4, HOST_RAX,
     AT_INDEX(NO_REGISTER, R14, 1, 0x1000)},
    {"mov eax, [1000h]", "8b042500100000", LOAD, 4, HOST_RAX, AT(NO_REGISTER, 0x1000)},
    {"mov rdx, gs:[88h]", "65488b142588000000", LOAD, 8, HOST_RDX, AT_GS(NO_REGISTER, 0x88)},
    {"mov r8d, gs:[88h]", "65448b042588000000", LOAD, 4, HOST_R8, AT_GS(NO_REGISTER, 0x88)},
    {"mov rdx, gs:[r11 + 648h]", "654a8b141d48060000", LOAD, 8, HOST_RDX, AT_GS(R11, 0x648)},
    {"mov [rbx], dil", "40883b", STORE, 1, HOST_RDI, AT(RBX, 0)},
    {"mov [rbx + 1], ah", "886301", STORE_HIGH, 1, HOST_RAX, AT(RBX, 1)},
    {"mov [rbx], r9w", "6644890b", STORE, 2, HOST_R9, AT(RBX, 0)},
    {"movzx eax, byte [r11 + rdx + 2]", "410fb6441302", MOVZX, 4, HOST_RAX,
     AT_INDEX(R11, RDX, 0, 2)},
    {"movzx ecx, sil", "400fb6ce", MOVZX, 4, HOST_RCX, REGISTER(RSI)},
    {"movsx r9, word [rdi]", "4c0fbf0f", MOVSX, 8, HOST_R9, AT(RDI, 0)},
    {"movdqu xmm9, [r10]", "f3450f6f0a", MOVDQU, 16, 9, AT(R10, 0)},
    {"lea r15, [r15 - 8]", "4d8d7ff8", LEA, 8, HOST_R15, AT(R15, -8)},
};

static void emit_operand_case(struct emitter *e, unsigned i)
{
    unsigned size = operands[i].size, reg = operands[i].reg;
    struct host_operand rm = operands[i].rm;

    switch (operands[i].form) {
    case LOAD:
        emit_load(e, size, reg, rm);
        break;
    case STORE:
        emit_store(e, size, rm, reg);
        break;
    case STORE_HIGH:
        emit_rm(e, size, 0x88, reg, true, rm);
        break;
    case MOVZX:
        emit_rm_from(e, size, 1, 0x0fb6, reg, rm);
        break;
    case MOVSX:
        emit_rm_from(e, size, 2, 0x0fbf, reg, rm);
        break;
    case MOVDQU:
        emit_prefixed_rm(e, 0xf3, false, 0x0f6f, reg, rm);
        break;
    case LEA:
        emit_lea(e, size, reg, rm);
        break;
    }
}

static void check_bytes(const char *text, const char *expected, const uint8_t *from,
                        const uint8_t *to)
{
    g_autoptr(GString) bytes = g_string_new(NULL);

    while (from < to) {
        g_string_append_printf(bytes, "%02x", *from++);
    }
    CU_ASSERT_STRING_EQUAL(bytes->str, expected);
    if (!g_str_equal(bytes->str, expected)) {
        printf("%s: %s instead of %s\n", text, bytes->str, expected);
    }
}

static void test_operands(void)
{
    uint8_t room[32];

    for (unsigned i = 0; i < G_N_ELEMENTS(operands); i++) {
        struct emitter e = {.at = room, .end = room + sizeof(room)};

        emit_operand_case(&e, i);
        CU_ASSERT_FALSE(e.overflow);
        check_bytes(operands[i].text, operands[i].bytes, room, e.at);
    }
}

#define CHECK(expected, call)                                                                      \
    do {                                                                                           \
        uint8_t room_[32];                                                                         \
        struct emitter emitter_ = {.at = room_, .end = room_ + sizeof(room_)}, *e = &emitter_;     \
                                                                                                   \
        call;                                                                                      \
        check_bytes(#call, expected, room_, e->at);                                                \
    } while (0)

static void test_instructions(void)
{
    CHECK("6681033412", emit_alu_immediate(e, 2, 0, host_memory(HOST_RBX, 0), 0x1234));
    CHECK("4983ebff", emit_alu_immediate(e, 8, 5, host_register(HOST_R11), -1));
    CHECK("6581242588000000ffffff7f", emit_alu_immediate(e, 4, 4, host_cpu(0x88), 0x7fffffff));
    CHECK("86c4", emit_rm(e, 1, 0x86, HOST_RAX, false, high_byte(HOST_RAX)));
    CHECK("4154", emit_push(e, HOST_R12));
    CHECK("5b", emit_pop(e, HOST_RBX));
    CHECK("49c1eb07", emit_shift_immediate(e, 8, 5, HOST_R11, 7));
    CHECK("41ba05000000", emit_load_immediate(e, HOST_R10, 5));
    CHECK("48c7c1feffffff", emit_load_immediate(e, HOST_RCX, (uint64_t)-2));
    CHECK("49bbf0debc9a78563412", emit_load_immediate(e, HOST_R11, 0x123456789abcdef0));
    CHECK("c44165fc4a20",
          emit_vex_rm(e, 1, 1, 0xfc, false, true, 3, 9, host_memory(HOST_R10, 0x20)));
    CHECK("e9fbffffff", emit_jump_to(e, e->at));
    CHECK("0f8400000000", emit_bind(e, emit_jump_if(e, HOST_EQUAL)));
}

/* Whatever the room: nothing is written past its end, and what did not fit is noticed. */
static void test_overflow(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(operands); i++) {
        unsigned length = strlen(operands[i].bytes) / 2;

        for (unsigned size = 0; size <= length; size++) {
            uint8_t room[32];
            struct emitter e = {.at = room, .end = room + size};

            memset(room, 0xaa, sizeof(room));
            emit_operand_case(&e, i);
            CU_ASSERT_EQUAL(e.overflow, size < length);
            CU_ASSERT_EQUAL(room[size], 0xaa);
        }
    }
}

/* --- Executing --- */

/* What a function of the tests works on. */
struct numbers {
    uint64_t a, b, result;
};

typedef uint64_t (*written_function)(struct numbers *numbers);

static const uint8_t saved[] = {HOST_RBX, HOST_RBP, HOST_R12, HOST_R13, HOST_R14, HOST_R15};

static written_function begin_function(struct code_cache *cache, struct emitter *e)
{
    code_cache_flush(cache);
    code_cache_begin(cache, e);
    for (unsigned i = 0; i < G_N_ELEMENTS(saved); i++) {
        emit_push(e, saved[i]);
    }
    return (written_function)(uintptr_t)(cache->executable + cache->used);
}

static void end_function(struct code_cache *cache, struct emitter *e)
{
    for (unsigned i = G_N_ELEMENTS(saved); i-- > 0;) {
        emit_pop(e, saved[i]);
    }
    emit_8(e, RET);
    code_cache_commit(cache, e);
    CU_ASSERT_FALSE_FATAL(e->overflow);
}

/* Any but the stack pointer and `but`. */
static unsigned random_register(GRand *random, unsigned but)
{
    unsigned reg;

    do {
        reg = (unsigned)g_rand_int_range(random, 0, 16);
    } while (reg == HOST_RSP || reg == but);
    return reg;
}

enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };

/* a after `a OPERATION= b` in its low bytes, as a register has it. */
static uint64_t model(unsigned operation, unsigned size, uint64_t a, uint64_t b, bool carry,
                      bool in_register)
{
    uint64_t values[] = {
        [ADD] = a + b, [OR] = a | b,  [ADC] = a + b + carry, [SBB] = a - b - carry,
        [AND] = a & b, [SUB] = a - b, [XOR] = a ^ b,         [CMP] = a,
    };

    if (operation == CMP) {
        return a;
    }
    if (in_register && size == 4) {
        return (uint32_t)values[operation];
    }
    return (a & ~size_mask(size)) | (values[operation] & size_mask(size));
}

enum { REGISTERS, FROM_MEMORY, TO_MEMORY, IMMEDIATE, IMMEDIATE_TO_MEMORY, FROM_CPU, FORMS };

/* a is in register `to` and in numbers->a, b in `from`, numbers->b and cpu->gpr[3]; RDX: numbers.
 */
static void emit_form(struct emitter *e, unsigned form, unsigned operation, unsigned size,
                      unsigned to, unsigned from, int32_t immediate)
{
    struct host_operand a = host_memory(HOST_RDX, offsetof(struct numbers, a));
    struct host_operand b = host_memory(HOST_RDX, offsetof(struct numbers, b));
    unsigned opcode = operation * 8 + (size == 1 ? 0 : 1);

    switch (form) {
    case REGISTERS:
        emit_rm(e, size, opcode, from, false, host_register(to));
        break;
    case FROM_MEMORY:
        emit_rm(e, size, opcode + 2, to, false, b);
        break;
    case FROM_CPU:
        emit_rm(e, size, opcode + 2, to, false, CPU_FIELD(gpr[3]));
        break;
    case TO_MEMORY:
        emit_rm(e, size, opcode, from, false, a);
        break;
    case IMMEDIATE:
        emit_alu_immediate(e, size, operation, host_register(to), immediate);
        break;
    default:
        emit_alu_immediate(e, size, operation, a, immediate);
        break;
    }
}

static void check_arithmetic(struct code_cache *cache, struct cpu *cpu, GRand *random)
{
    unsigned form = (unsigned)g_rand_int_range(random, 0, FORMS);
    unsigned operation = (unsigned)g_rand_int_range(random, ADD, CMP + 1);
    unsigned size = 1u << g_rand_int_range(random, 0, 4), to, from;
    bool carry = g_rand_boolean(random),
         in_memory = form == TO_MEMORY || form == IMMEDIATE_TO_MEMORY;
    bool is_immediate = form == IMMEDIATE || form == IMMEDIATE_TO_MEMORY;
    struct numbers numbers = {.a = random_64(random), .b = random_64(random)};
    uint64_t expected;
    struct emitter e;
    written_function function = begin_function(cache, &e);

    to = random_register(random, HOST_RDX);
    do {
        from = random_register(random, HOST_RDX);
    } while (from == to);
    if (is_immediate) {
        numbers.b = (uint64_t)(int64_t)(int32_t)numbers.b;
    }
    cpu->gpr[3] = numbers.b;
    expected = model(operation, size, numbers.a, numbers.b, carry, !in_memory);
    emit_move(&e, 8, HOST_RDX, HOST_RDI);
    emit_load(&e, 8, to, host_memory(HOST_RDX, offsetof(struct numbers, a)));
    emit_load(&e, 8, from, host_memory(HOST_RDX, offsetof(struct numbers, b)));
    emit_8(&e, carry ? 0xf9 : 0xf8); /* STC, CLC */
    emit_form(&e, form, operation, size, to, from, (int32_t)numbers.b);
    emit_store(&e, 8, host_memory(HOST_RDX, offsetof(struct numbers, result)), to);
    end_function(cache, &e);
    function(&numbers);
    if (in_memory) {
        numbers.result = numbers.a;
    }
    CU_ASSERT_EQUAL(numbers.result, expected);
    if (numbers.result != expected) {
        printf("form %u operation %u size %u registers %u %u: %" PRIx64 " instead of %" PRIx64 "\n",
               form, operation, size, to, from, numbers.result, expected);
    }
}

static void test_arithmetic(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    g_autofree struct cpu *cpu = g_new0(struct cpu, 1);
    struct code_cache cache;

    CU_ASSERT_TRUE_FATAL(code_cache_init(&cache, CACHE_BYTES, NULL));
    jit_attach_thread(cpu);
    for (unsigned i = 0; i < ROUNDS; i++) {
        check_arithmetic(&cache, cpu, random);
    }
    code_cache_destroy(&cache);
}

/* Loads from and stores to an array, by an address of random parts. */
static void check_address(struct code_cache *cache, uint64_t *array, unsigned count, GRand *random)
{
    unsigned at = (unsigned)g_rand_int_range(random, 0, (int)count), size, base, index, scale;
    int32_t displacement = (int32_t)((uint32_t)random_64(random) & ~7u);
    uint64_t address = (uintptr_t)&array[at], base_value, index_value, expected;
    bool is_store = g_rand_boolean(random);
    uint64_t stored = random_64(random), loaded;
    struct host_operand rm;
    struct emitter e;
    written_function function = begin_function(cache, &e);

    size = 1u << g_rand_int_range(random, 0, 4);
    scale = (unsigned)g_rand_int_range(random, 0, 4);
    index_value = random_64(random);
    /* RAX: the value. */
    base = random_register(random, HOST_RAX);
    do {
        index = random_register(random, HOST_RAX);
    } while (index == base);
    switch (g_rand_int_range(random, 0, 3)) {
    case 0:
        base = HOST_NO_REGISTER;
        index_value = (uint64_t)((int64_t)(address - (uint64_t)(int64_t)displacement) >> scale);
        break;
    case 1:
        index = HOST_NO_REGISTER;
        break;
    default:
        break;
    }
    rm = host_memory_indexed(base, index, scale, displacement);
    emit_load_immediate(&e, HOST_RAX, stored);
    if (index != HOST_NO_REGISTER) {
        emit_load_immediate(&e, index, index_value);
    } else {
        index_value = 0;
    }
    if (base != HOST_NO_REGISTER) {
        base_value = address - (index_value << scale) - (uint64_t)(int64_t)displacement;
        emit_load_immediate(&e, base, base_value);
    }
    if (is_store) {
        emit_store(&e, size, rm, HOST_RAX);
        expected = (array[at] & ~size_mask(size)) | (stored & size_mask(size));
    } else {
        emit_load(&e, size, HOST_RAX, rm);
        expected = size == 4 ? (uint32_t)array[at]
                             : (stored & ~size_mask(size)) | (array[at] & size_mask(size));
    }
    end_function(cache, &e);
    loaded = function(NULL);
    CU_ASSERT_EQUAL(is_store ? array[at] : loaded, expected);
}

static void test_addresses(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    struct code_cache cache;
    uint64_t array[64];

    CU_ASSERT_TRUE_FATAL(code_cache_init(&cache, CACHE_BYTES, NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(array); i++) {
        array[i] = random_64(random);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        check_address(&cache, array, G_N_ELEMENTS(array), random);
    }
    code_cache_destroy(&cache);
}

static void test_jumps(void)
{
    struct numbers numbers[] = {{1, 2, 0}, {2, 1, 0}, {1, 1, 0}};
    struct code_cache cache;
    struct emitter e;
    written_function function;
    uint8_t *above, *done;

    CU_ASSERT_TRUE_FATAL(code_cache_init(&cache, CACHE_BYTES, NULL));
    function = begin_function(&cache, &e);
    emit_load(&e, 8, HOST_RCX, host_memory(HOST_RDI, offsetof(struct numbers, a)));
    emit_rm(&e, 8, 0x3b, HOST_RCX, false, host_memory(HOST_RDI, offsetof(struct numbers, b)));
    above = emit_jump_if(&e, HOST_ABOVE);
    emit_load_immediate(&e, HOST_RAX, 10);
    done = emit_jump(&e);
    emit_bind(&e, above);
    emit_load_immediate(&e, HOST_RAX, 20);
    emit_bind(&e, done);
    end_function(&cache, &e);
    CU_ASSERT_EQUAL(function(&numbers[0]), 10);
    CU_ASSERT_EQUAL(function(&numbers[1]), 20);
    CU_ASSERT_EQUAL(function(&numbers[2]), 10);
    code_cache_destroy(&cache);
}

/* --- The code cache --- */

static void test_cache_bounds(void)
{
    struct code_cache cache;
    struct emitter e;
    unsigned blocks = 0;

    CU_ASSERT_TRUE_FATAL(code_cache_init(&cache, 8192, NULL));
    for (;;) {
        code_cache_begin(&cache, &e);
        CU_ASSERT_EQUAL((uintptr_t)e.at % CODE_ALIGNMENT, 0);
        for (unsigned i = 0; i < 100; i++) {
            emit_8(&e, RET);
        }
        CU_ASSERT_TRUE(e.at <= cache.writable + cache.size);
        if (e.overflow) {
            break;
        }
        code_cache_commit(&cache, &e);
        CU_ASSERT_TRUE(cache.used <= cache.size);
        blocks++;
        if (blocks == 3) {
            code_cache_keep(&cache);
        }
    }
    CU_ASSERT_EQUAL(blocks, 8192 / 112); /* 100 bytes, aligned */
    CU_ASSERT_EQUAL(cache.generation, 0);
    code_cache_flush(&cache);
    CU_ASSERT_EQUAL(cache.generation, 1);
    CU_ASSERT_EQUAL(cache.used, 3 * 112);
    code_cache_begin(&cache, &e);
    CU_ASSERT_PTR_EQUAL(e.at, cache.writable + cache.used);
    CU_ASSERT_FALSE(e.overflow);
    code_cache_destroy(&cache);
}

/* The protection that /proc/self/maps says an address has, as "r-xs"; empty: none. */
static void get_protection(const void *address, char protection[5])
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long from, to;
    char line[512], found[5];

    protection[0] = '\0';
    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %4s", &from, &to, found) == 3 && (uintptr_t)address >= from &&
            (uintptr_t)address < to) {
            memcpy(protection, found, sizeof(found));
        }
    }
    if (maps) {
        fclose(maps);
    }
}

static void test_cache_protection(void)
{
    struct code_cache cache;
    char protection[5];
    struct emitter e;

    CU_ASSERT_TRUE_FATAL(code_cache_init(&cache, CACHE_BYTES, NULL));
    CU_ASSERT_PTR_NOT_EQUAL(cache.writable, cache.executable);
    code_cache_begin(&cache, &e);
    emit_64(&e, 0x123456789abcdef0);
    CU_ASSERT_EQUAL(memcmp(cache.executable, cache.writable, 8), 0);
    CU_ASSERT_EQUAL(cache.executable[0], 0xf0);
    for (size_t at = 0; at < cache.size; at += 4096) {
        get_protection(cache.writable + at, protection);
        CU_ASSERT_STRING_EQUAL(protection, "rw-s");
        get_protection(cache.executable + at, protection);
        CU_ASSERT_STRING_EQUAL(protection, "r-xs");
    }
    code_cache_destroy(&cache);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"operands", test_operands},
        {"instructions", test_instructions},
        {"no room", test_overflow},
        {"arithmetic", test_arithmetic},
        {"addresses", test_addresses},
        {"jumps", test_jumps},
        {"code cache: bounds and flush", test_cache_bounds},
        {"code cache: never writable and executable", test_cache_protection},
        {NULL, NULL},
    };

    if (!JIT_SUPPORTED) {
        return 77; /* automake: skipped */
    }
    return unit_run("tcg-emit", tests);
}
