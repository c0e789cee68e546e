/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decoder: known encodings in the three code sizes, what is undefined, and the limits. */
#include "tcg/opcode.h"
#include "unit/suite.h"

#include <string.h>

enum { REAL = 8 }; /* with CPU_MODE_16: not in protected mode */

static void set_mode(struct cpu *cpu, unsigned mode)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->mode = mode & 7;
    cpu->protected_mode = !(mode & REAL);
    cpu->long_mode = cpu->mode == CPU_MODE_64;
    memset(&cpu->features, 0xff, sizeof(cpu->features));
}

struct encoding {
    unsigned mode;
    const char *bytes; /* in hexadecimal */
    const char *text;  /* as insn_format has it at address 0; NULL: #UD */
};

static unsigned parse(const char *text, uint8_t *bytes)
{
    unsigned count = 0;
    memset(bytes, 0, 64);
    for (; *text; text += 2) {
        bytes[count++] =
            (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
    return count;
}

static void check(const struct encoding *e)
{
    struct cpu cpu;
    struct insn insn;
    uint8_t bytes[64];
    unsigned length = parse(e->bytes, bytes);
    set_mode(&cpu, e->mode);
    enum decode_result result = decode_insn(&cpu, bytes, 15, &insn);
    if (!e->text) {
        if (result != DECODE_UNDEFINED) {
            printf("\n%s should be undefined (mode %u)\n", e->bytes, e->mode);
        }
        CU_ASSERT_EQUAL(result, DECODE_UNDEFINED);
        return;
    }
    CU_ASSERT_EQUAL(result, DECODE_OK);
    if (result != DECODE_OK) {
        printf("\n%s is not decoded (mode %u)\n", e->bytes, e->mode);
        return;
    }
    g_autofree char *text = insn_format(&insn, 0);
    if (strcmp(text, e->text) != 0 || insn.length != length) {
        printf("\n%s: \"%s\" (%u bytes), expected \"%s\" (%u)\n", e->bytes, text, insn.length,
               e->text, length);
    }
    CU_ASSERT_STRING_EQUAL(text, e->text);
    CU_ASSERT_EQUAL(insn.length, length);
}

static void check_all(const struct encoding *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        check(&list[i]);
    }
}

static void test_sizes(void)
{
    static const struct encoding list[] = {
        {CPU_MODE_16, "01c3", "add bx, ax"},
        {CPU_MODE_16, "6601c3", "add ebx, eax"},
        {CPU_MODE_32, "01c3", "add ebx, eax"},
        {CPU_MODE_32, "6601c3", "add bx, ax"},
        {CPU_MODE_64, "01c3", "add ebx, eax"},
        {CPU_MODE_64, "4801c3", "add rbx, rax"},
        {CPU_MODE_64, "664801c3", "add rbx, rax"},
        {CPU_MODE_64, "486601c3", "add bx, ax"}, /* REX not last: ignored */
        {CPU_MODE_64, "00c4", "add ah, al"},
        {CPU_MODE_64, "4000c4", "add spl, al"},
        {CPU_MODE_64, "4500f7", "add r15b, r14b"},
        {CPU_MODE_16, "b83412", "mov ax, 0x1234"},
        {CPU_MODE_32, "b878563412", "mov eax, 0x12345678"},
        {CPU_MODE_64, "48b8efcdab9078563412", "mov rax, 0x1234567890abcdef"},
        {CPU_MODE_64, "48c7c0ffffffff", "mov rax, 0xffffffffffffffff"},
        {CPU_MODE_64, "50", "push rax"},
        {CPU_MODE_64, "6650", "push ax"},
        {CPU_MODE_64, "4150", "push r8"},
        {CPU_MODE_32, "40", "inc eax"},
        {CPU_MODE_64, "6aff", "push 0xffffffffffffffff"},
        {CPU_MODE_64, "0fb6c4", "movzx eax, ah"},
        {CPU_MODE_64, "400fb6c4", "movzx eax, spl"},
        {CPU_MODE_64, "4863c1", "movsxd rax, ecx"},
        {CPU_MODE_32, "63c1", "arpl cx, ax"},
        {CPU_MODE_64, "490fc8", "bswap r8"},
        {CPU_MODE_64, "e87fffffff", "call 0xffffffffffffff84"},
        {CPU_MODE_64, "66e87fffffff", "call 0xffffffffffffff85"},
        {CPU_MODE_16, "e9fdff", "jmp 0x0"},
        {CPU_MODE_16, "ea34127856", "jmpf 0x5678:0x1234"},
        {CPU_MODE_32, "c8341205", "enter 0x1234, 0x1234"},
        {CPU_MODE_64, "0f20c0", "mov rax, cr0"},
        {CPU_MODE_64, "0f2000", "mov rax, cr0"}, /* mod is ignored */
        {CPU_MODE_64, "440f22c0", "mov cr8, rax"},
        {CPU_MODE_64, "f30fbcc1", "tzcnt eax, ecx"},
        {CPU_MODE_64, "660fbcc1", "bsf ax, cx"},
        {CPU_MODE_64, "66f30fb8c1", "popcnt ax, cx"},
        {CPU_MODE_64, "480fc70f", "cmpxchg16b ds:[rdi]"},
        {CPU_MODE_64, "0fc70f", "cmpxchg8b ds:[rdi]"},
        {CPU_MODE_64, "0f01f8", "swapgs"},
    };
    check_all(list, G_N_ELEMENTS(list));
}

static void test_memory(void)
{
    static const struct encoding list[] = {
        {CPU_MODE_16, "8b00", "mov ax, ds:[bx+si*1]"},
        {CPU_MODE_16, "8b46fe", "mov ax, ss:[bp-0x2]"},
        {CPU_MODE_16, "8b063412", "mov ax, ds:[0x1234]"},
        {CPU_MODE_16, "678b00", "mov ax, ds:[eax]"},
        {CPU_MODE_32, "678b00", "mov eax, ds:[bx+si*1]"},
        {CPU_MODE_32, "8b0578563412", "mov eax, ds:[0x12345678]"},
        {CPU_MODE_64, "8b0510000000", "mov eax, ds:[0x16]"},
        {CPU_MODE_64, "8b042578563412", "mov eax, ds:[0x12345678]"},
        {CPU_MODE_64, "8b0424", "mov eax, ss:[rsp]"},
        {CPU_MODE_64, "8b4500", "mov eax, ss:[rbp]"},
        {CPU_MODE_64, "418b4500", "mov eax, ds:[r13]"},
        {CPU_MODE_64, "428b44a010", "mov eax, ds:[rax+r12*4+0x10]"},
        {CPU_MODE_64, "8b04e0", "mov eax, ds:[rax]"}, /* index 100b: none */
        {CPU_MODE_64, "678b00", "mov eax, ds:[eax]"},
        {CPU_MODE_64, "648b00", "mov eax, fs:[rax]"},
        {CPU_MODE_64, "2e8b00", "mov eax, ds:[rax]"}, /* no such override in 64-bit mode */
        {CPU_MODE_32, "2e8b00", "mov eax, cs:[eax]"},
        {CPU_MODE_64, "a1efcdab9078563412", "mov eax, [0x1234567890abcdef]"},
        {CPU_MODE_64, "67a178563412", "mov eax, [0x12345678]"},
        {CPU_MODE_16, "a13412", "mov ax, [0x1234]"},
    };
    check_all(list, G_N_ELEMENTS(list));
}

static void test_undefined(void)
{
    static const struct encoding list[] = {
        {CPU_MODE_64, "06", NULL},
        {CPU_MODE_64, "27", NULL},
        {CPU_MODE_64, "60", NULL},
        {CPU_MODE_64, "9a", NULL},
        {CPU_MODE_64, "c400", NULL}, /* VEX, map 0 */
        {CPU_MODE_64, "ce", NULL},
        {CPU_MODE_64, "d40a", NULL},
        {CPU_MODE_64, "8dc0", NULL}, /* LEA of a register */
        {CPU_MODE_32, "62c0", NULL},
        {CPU_MODE_32, "0f01f8", NULL}, /* SWAPGS */
        {CPU_MODE_32, "f30faec0", NULL},
        {CPU_MODE_32, "fff8", NULL},
        {CPU_MODE_32, "ffd800", NULL}, /* CALLF of a register */
        {CPU_MODE_32, "fef0", NULL},
        {CPU_MODE_32, "8fc8", NULL},
        {CPU_MODE_32, "c6c8", NULL},
        {CPU_MODE_32, "0fbac000", NULL},
        {CPU_MODE_32, "0fb8c1", NULL},        /* POPCNT without F3 */
        {CPU_MODE_16 | REAL, "0f00c0", NULL}, /* SLDT in real mode */
        {CPU_MODE_16 | REAL, "63c0", NULL},
        {CPU_MODE_16 | REAL, "c5c0", NULL}, /* LDS of a register, not VEX */
        {CPU_MODE_32, "0f04", NULL},
        {CPU_MODE_32, "0fa6", NULL},
    };
    check_all(list, G_N_ELEMENTS(list));
}

static void test_lock(void)
{
    static const struct encoding list[] = {
        {CPU_MODE_32, "f00100", "lock add ds:[eax], eax"},
        {CPU_MODE_32, "f00fb100", "lock cmpxchg ds:[eax], eax"},
        {CPU_MODE_32, "f0830001", "lock add ds:[eax], 0x1"},
        {CPU_MODE_32, "f00fba2801", "lock bts ds:[eax], 0x1"},
        {CPU_MODE_32, "f001c0", NULL}, /* to a register */
        {CPU_MODE_32, "f00300", NULL}, /* from memory */
        {CPU_MODE_32, "f03900", NULL}, /* CMP */
        {CPU_MODE_32, "f08900", NULL}, /* MOV */
        {CPU_MODE_32, "f0833801", NULL},
        {CPU_MODE_32, "f00fba2001", NULL}, /* BT */
        {CPU_MODE_32, "f0d120", NULL},     /* SHL */
        {CPU_MODE_32, "f090", NULL},
    };
    check_all(list, G_N_ELEMENTS(list));
}

static void test_vex(void)
{
    static const struct encoding list[] = {
        {CPU_MODE_64, "c4e278f2c1", "andn eax, eax, ecx"},
        {CPU_MODE_64, "c4e2f8f2c1", "andn rax, rax, rcx"},
        {CPU_MODE_32, "c4e278f2c1", "andn eax, eax, ecx"},
        {CPU_MODE_32, "c400", "les eax, ds:[eax]"},
        {CPU_MODE_64, "66c4e278f2c1", NULL},
        {CPU_MODE_64, "f0c4e278f2c1", NULL},
        {CPU_MODE_64, "48c4e278f2c1", NULL},
        {CPU_MODE_64, "c4e27cf2c1", NULL}, /* VEX.L */
        {CPU_MODE_16 | REAL, "c4e278f2c1", NULL},
    };
    check_all(list, G_N_ELEMENTS(list));
}

static void test_features(void)
{
    struct cpu cpu;
    struct insn insn;
    const uint8_t cmov[15] = {0x0f, 0x44, 0xc1};
    set_mode(&cpu, CPU_MODE_32);
    CU_ASSERT_EQUAL(decode_insn(&cpu, cmov, 15, &insn), DECODE_OK);
    cpu.features.bits[FEATURE_CMOV / 64] &= ~(1ull << FEATURE_CMOV % 64);
    CU_ASSERT_EQUAL(decode_insn(&cpu, cmov, 15, &insn), DECODE_UNDEFINED);
}

static void test_length(void)
{
    struct cpu cpu;
    struct insn insn;
    uint8_t bytes[16];
    set_mode(&cpu, CPU_MODE_64);
    memset(bytes, 0x66, sizeof(bytes));
    bytes[13] = 0x01;
    bytes[14] = 0xc0;
    CU_ASSERT_EQUAL(decode_insn(&cpu, bytes, 15, &insn), DECODE_OK);
    CU_ASSERT_EQUAL(insn.length, 15);
    /* One byte fewer each time: it asks for more, and never reads past what it was given. */
    for (unsigned available = 0; available < 15; available++)
        CU_ASSERT_EQUAL(decode_insn(&cpu, bytes, available, &insn), DECODE_NEED_MORE);
    memset(bytes, 0x66, sizeof(bytes));
    bytes[14] = 0x01;
    CU_ASSERT_EQUAL(decode_insn(&cpu, bytes, 15, &insn), DECODE_TOO_LONG);
    memset(bytes, 0x66, sizeof(bytes));
    CU_ASSERT_EQUAL(decode_insn(&cpu, bytes, 15, &insn), DECODE_TOO_LONG);
}

/* Each row of each map is reached, has a name and a handler for each size that it can have. */
static unsigned check_rows(const struct opcode *rows, unsigned count)
{
    static const uint8_t fan_out[] = {
        [OPCODE_GROUP] = 8, [OPCODE_PREFIX] = 4, [OPCODE_MOD] = 2,
        [OPCODE_RM] = 8,    [OPCODE_W] = 2,      [OPCODE_X87] = 16,
    };
    unsigned instructions = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct opcode *row = &rows[i];
        if (row->kind == OPCODE_INSN) {
            instructions++;
            CU_ASSERT_PTR_NOT_NULL(row->name);
            CU_ASSERT_PTR_NOT_NULL(row->execute[0]);
        } else if (row->kind < G_N_ELEMENTS(fan_out) && fan_out[row->kind]) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(row->sub);
            instructions += check_rows(row->sub, fan_out[row->kind]);
        }
    }
    return instructions;
}

static void test_maps(void)
{
    CU_ASSERT(check_rows(opcode_map_one_byte, 256) > 300);
    CU_ASSERT(check_rows(opcode_map_0f, 256) > 150);
    check_rows(opcode_map_0f_simd, 256);
    check_rows(opcode_map_0f38, 256);
    check_rows(opcode_map_0f3a, 256);
    check_rows(opcode_map_x87, 8);
    check_rows(opcode_map_vex_0f38, 256);
    check_rows(opcode_map_vex_0f3a, 256);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"operand sizes and registers", test_sizes},
        {"memory operands", test_memory},
        {"undefined encodings", test_undefined},
        {"LOCK", test_lock},
        {"VEX", test_vex},
        {"features", test_features},
        {"length", test_length},
        {"rows of the maps", test_maps},
        {NULL, NULL},
    };
    return unit_run("tcg-decode", tests);
}
