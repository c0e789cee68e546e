/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Self-modifying code: seen by the next instruction when it is the own CPU's own store through any
 * linear address, in the middle of a straight run, over a page's end, by string instructions. */
#include "guest.h"

static uint8_t code[2 * PAGE] __attribute__((aligned(4096)));

static uint32_t run(void *entry)
{
    uint32_t result;

    asm volatile("call *%1" : "=a"(result) : "r"(entry) : "memory", "cc", "rcx", "rdx");
    return result;
}

/* mov $value, %eax; ret */
static void put_return(uint8_t *at, uint32_t value)
{
    at[0] = 0xb8;
    for (unsigned i = 0; i < 4; i++) {
        at[1 + i] = (uint8_t)(value >> 8 * i);
    }
    at[5] = 0xc3;
}

static void test_rewrite(void)
{
    check_case = "rewritten function";
    for (uint32_t i = 0; i < 1000; i++) {
        check_number = i;
        put_return(code, i);
        CHECK_EQUAL(run(code), i);
    }
}

/* The store and what it changes are in one straight run, at growing distances. */
static void test_next_instruction(void)
{
    check_case = "the instructions behind the store";
    for (unsigned distance = 0; distance < 40; distance++) {
        uint8_t *p = code;

        check_number = distance;
        /* xor %eax, %eax; movb $1, target(%rip); nops; target: add $0, %eax -> add $1 */
        *p++ = 0x31;
        *p++ = 0xc0;
        *p++ = 0xc6; /* movb $1, disp32(%rip) */
        *p++ = 0x05;
        uint32_t displacement = distance + 1 + 1; /* over nops and opcode+modrm of add imm8 */
        for (unsigned i = 0; i < 4; i++) {
            *p++ = (uint8_t)(displacement >> 8 * i);
        }
        *p++ = 1;
        for (unsigned i = 0; i < distance; i++) {
            *p++ = 0x90;
        }
        *p++ = 0x83; /* add $0, %eax */
        *p++ = 0xc0;
        *p++ = 0;
        *p++ = 0xc3;
        CHECK_EQUAL(run(code), 1);
    }
}

static void test_page_end(void)
{
    check_case = "instruction over a page's end";
    for (unsigned offset = 1; offset < 6; offset++) {
        uint8_t *entry = code + PAGE - offset;

        check_number = offset;
        put_return(entry, 0x11111111);
        CHECK_EQUAL(run(entry), 0x11111111);
        put_return(entry, 0x22222222);
        CHECK_EQUAL(run(entry), 0x22222222);
        entry[4] = 0x33; /* the last byte of the immediate alone */
        CHECK_EQUAL(run(entry), 0x33222222);
        entry[0] = 0xb8;
        entry[1] = 0x44;
        CHECK_EQUAL(run(entry), 0x33222244);
    }
}

static void test_string_store(void)
{
    uint8_t source[6];

    check_case = "REP MOVSB over code";
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t *to = code, *from = source;
        uint64_t count = sizeof(source);

        check_number = i;
        put_return(source, i * 0x01010101);
        asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory", "cc");
        CHECK_EQUAL(run(code), i * 0x01010101);
    }
}

/* A REP STOSB that overwrites itself goes on: it is one instruction. From 0 up, or 15 down. */
static void rep_over_itself(unsigned place, bool down)
{
    uint8_t *to = down ? code + 15 : code;
    uint64_t count = 16;

    for (unsigned i = 0; i < 16; i++) {
        code[i] = 0xcc;
    }
    code[place] = 0xf3;
    code[place + 1] = 0xaa; /* fills code[0..15] with RET (al = c3) */
    if (down) {
        asm volatile("std; call *%2; cld"
                     : "+c"(count), "+D"(to)
                     : "r"(code + place), "a"(0xc3)
                     : "memory", "cc");
    } else {
        asm volatile("call *%2"
                     : "+c"(count), "+D"(to)
                     : "r"(code + place), "a"(0xc3)
                     : "memory", "cc");
    }
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL((uint64_t)to, (uint64_t)(down ? code - 1 : code + 16));
    CHECK_EQUAL(code[down ? 0 : 15], 0xc3);
}

static void test_rep_over_itself(void)
{
    check_case = "REP STOSB over itself";
    for (unsigned i = 0; i < 64; i++) { /* so often that it is hot */
        check_number = i;
        rep_over_itself(i % 14, i & 1);
        rep_over_itself(0, false);
    }
}

/* The same frame through another linear address. */
static void test_alias(void)
{
    static uint64_t level3[512] __attribute__((aligned(4096)));
    uint8_t *alias = (uint8_t *)(0x8000000000ull + ((uint64_t)code & 0x3fffffff));

    check_case = "store through an alias";
    level3[0] = 0x83; /* first GiB, if there are 1 GiB pages; else by the low directory */
    level3[0] = pdpt[0];
    pml4[1] = (uint64_t)level3 | 7;
    for (uint32_t i = 0; i < 100; i++) {
        check_number = i;
        put_return(alias, i);
        CHECK_EQUAL(run(code), i);
        put_return(code, i + 1000);
        CHECK_EQUAL(run(alias), i + 1000);
    }
    pml4[1] = 0;
    WRITE_CR(3, READ_CR(3));
}

/* Remapping: the same linear address, other code. */
static void test_remap(void)
{
    static uint64_t level3[512] __attribute__((aligned(4096)));
    static uint64_t level2[512] __attribute__((aligned(4096)));
    static uint64_t level1[512] __attribute__((aligned(4096)));
    void *virtual = (void *)0x8000000000ull;

    check_case = "remapped code";
    pml4[1] = (uint64_t)level3 | 7;
    level3[0] = (uint64_t)level2 | 7;
    level2[0] = (uint64_t)level1 | 7;
    put_return(code, 1);
    put_return(code + PAGE, 2);
    for (unsigned i = 0; i < 50; i++) {
        check_number = i;
        level1[0] = (uint64_t)(code + (i & 1) * PAGE) | 7;
        if (i & 2) {
            asm volatile("invlpg (%0)" : : "r"(virtual) : "memory");
        } else {
            WRITE_CR(3, READ_CR(3));
        }
        CHECK_EQUAL(run(virtual), 1 + (i & 1));
    }
    pml4[1] = 0;
    WRITE_CR(3, READ_CR(3));
}

int main(void)
{
    test_rewrite();
    test_next_instruction();
    test_page_end();
    test_string_store();
    test_rep_over_itself();
    test_alias();
    test_remap();
    return guest_result();
}
