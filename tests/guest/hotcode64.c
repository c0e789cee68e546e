/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is hard for a translator, in code that is hot before it comes: code that changes itself, by
 * one address or another, or is changed by another processor; alignment checks; single steps; page
 * faults between other instructions, and in the middle of string instructions. */
#include "guest.h"

#define VIRTUAL 0x8000000000ul
#define HOT     100
#define EXTENT  (2 * PAGE) /* at VIRTUAL; the second page may be missing */

static uint8_t code[PAGE] __attribute__((aligned(4096)));
static uint8_t data[EXTENT] __attribute__((aligned(4096)));
static uint8_t source[EXTENT] __attribute__((aligned(4096)));
static char user_stack[4096] __attribute__((aligned(16)));
static uint64_t level3[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));
static uint64_t level1[512] __attribute__((aligned(4096)));

static void map(unsigned page, void *to)
{
    level1[page] = to ? (uint64_t)to | 7 : 0;
    asm volatile("invlpg (%0)" : : "r"(VIRTUAL + page * PAGE) : "memory");
}

static void put(const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        code[i] = bytes[i];
    }
}

/* --- Code that changes itself --- */

/* The loop adds up an immediate that it increments itself, through rdi, after it or before it. */
static uint64_t run_counting(uint64_t address, unsigned times)
{
    uint64_t sum = 0;

    asm volatile("call *%3"
                 : "+d"(sum), "+c"(times)
                 : "D"(address), "r"(code)
                 : "rax", "memory", "cc");
    return sum;
}

static void test_self_modifying(uint64_t place)
{
    static const uint8_t after[] = {0xb8, 0,    0, 0, 0, /* 0: mov $0, %eax */
                                    0x01, 0xc2,          /* add %eax, %edx */
                                    0xff, 0x07,          /* incl (%rdi): the immediate */
                                    0xff, 0xc9,          /* dec %ecx */
                                    0x75, 0xf3,          /* jnz 0 */
                                    0xc3};
    static const uint8_t before[] = {0xff, 0x07, 0xb8, 0,    0,    0,    0,
                                     0x01, 0xc2, 0xff, 0xc9, 0x75, 0xf3, 0xc3};

    for (unsigned times = 1; times <= 1000; times *= 10) {
        check_number = times;
        put(after, sizeof(after));
        CHECK_EQUAL(run_counting(place + 1, times), times * (times - 1) / 2);
        put(before, sizeof(before));
        CHECK_EQUAL(run_counting(place + 3, times), times * (times + 1) / 2);
    }
}

/* --- Code that another processor changes --- */

static volatile uint32_t writer_go;

#define VERSIONS 20000u

static void other_processor(unsigned index)
{
    if (index != 1) {
        return;
    }
    while (!writer_go) {
        asm volatile("pause");
    }
    for (uint32_t i = 1; i <= VERSIONS; i++) {
        *(volatile uint32_t *)(code + 4) = i;
    }
}

/* It calls the function all the time; each call returns a value that was there, and none goes back
 * to an earlier one. */
static void test_changed_by_another(void)
{
    static const uint8_t function[] = {0x0f, 0x1f, 0x00, 0xb8, 0,
                                       0,    0,    0,    0xc3}; /* nop; mov; ret */
    uint32_t last = 0;

    check_case = "code that another processor changes";
    put(function, sizeof(function));
    if (!start_processors(other_processor)) {
        return;
    }
    for (unsigned calls = 0; last != VERSIONS; calls++) {
        uint32_t now;

        asm volatile("call *%1" : "=a"(now) : "r"(code) : "memory");
        if (now < last || now > VERSIONS) {
            check_number = now;
            CHECK_EQUAL(now, last);
            return;
        }
        last = now;
        if (calls == HOT) {
            writer_go = 1;
        }
    }
}

/* --- Alignment --- */

asm(".section .user, \"ax\"\n"
    "user_sum: mov $100, %ecx\n"
    "1: add (%rdi), %eax\n"
    "user_load: mov 4(%rdi), %rdx\n"
    "user_next: dec %ecx\n"
    "jnz 1b\n"
    "int $0x80\n"
    ".text\n");
extern char user_sum[], user_load[], user_next[];

static int sum_at(uint64_t address)
{
    return user_enter((uint64_t)user_sum, (uint64_t)user_stack + sizeof(user_stack), address);
}

/* The second access alone is misaligned at an address that is a multiple of 8: 4 further. */
static void test_alignment(void)
{
    check_case = "alignment";
    for (unsigned i = 0; i < 4; i++) {
        check_number = i;
        user_flags = 0;
        CHECK_EQUAL(sum_at((uint64_t)data + 1), 0x80);
        WRITE_CR(0, READ_CR(0) | CR0_AM);
        CHECK_EQUAL(sum_at((uint64_t)data + 1), 0x80);
        user_flags = 0x40000;
        CHECK_EQUAL(sum_at((uint64_t)data + 4), 0x80);
        CHECK_EQUAL(sum_at((uint64_t)data), 17);
        CHECK_EQUAL(fault.error, 0);
        CHECK_EQUAL(fault.rip, user_load);
        WRITE_CR(0, READ_CR(0) & ~CR0_AM);
        CHECK_EQUAL(sum_at((uint64_t)data), 0x80);
    }
    user_flags = 0;
}

/* --- Single steps --- */

static unsigned steps;
static uint64_t last_step;

static void on_step(struct frame *frame)
{
    steps++;
    last_step = frame->rip;
}

static uint32_t count_to_ten(bool stepping)
{
    uint64_t flags = stepping ? 0x100 : 0;
    uint32_t count;

    asm volatile("pushfq; or %1, (%%rsp); popfq\n\t"
                 "call *%2\n\t"
                 "pushfq; andl $~0x100, (%%rsp); popfq"
                 : "=&a"(count)
                 : "r"(flags), "r"(code)
                 : "rcx", "memory", "cc");
    return count;
}

static void test_single_steps(void)
{
    static const uint8_t function[] = {0x31, 0xc0,          /* xor %eax, %eax */
                                       0xb9, 10,   0, 0, 0, /* mov $10, %ecx */
                                       0xff, 0xc0,          /* 7: inc %eax */
                                       0xff, 0xc9,          /* dec %ecx */
                                       0x75, 0xfa,          /* jnz 7 */
                                       0xc3};

    check_case = "single steps through hot code";
    handlers[1] = on_step;
    put(function, sizeof(function));
    for (unsigned i = 0; i < HOT; i++) {
        check_number = i;
        steps = 0;
        CHECK_EQUAL(count_to_ten(i % 10 == 9), 10);
        /* CALL, 2 before the loop, 3 times 10, RET, PUSHF, AND, POPF */
        CHECK_EQUAL(steps, i % 10 == 9 ? 37 : 0);
    }
    handlers[1] = 0;
}

/* --- Page faults --- */

static struct frame at_fault;
static unsigned page_faults;
static uint64_t fault_address;

/* Say what the state is, and let it go on. */
static void on_page_fault(struct frame *frame)
{
    at_fault = *frame;
    fault_address = READ_CR(2);
    page_faults++;
    map(1, data + PAGE);
}

static void test_precise_faults(void)
{
    static const uint8_t function[] = {0xff, 0xc0,       /* inc %eax */
                                       0x03, 0x07,       /* 2: add (%rdi), %eax */
                                       0xff, 0xc0,       /* inc %eax */
                                       0x8d, 0x48, 0x01, /* lea 1(%rax), %ecx */
                                       0xf9,             /* stc */
                                       0x13, 0x07,       /* 10: adc (%rdi), %eax */
                                       0x0f, 0x92, 0xc2, /* setc %dl */
                                       0xc3};

    check_case = "page faults in hot code";
    put(function, sizeof(function));
    for (unsigned i = 0; i < HOT; i++) {
        bool missing = i % 10 == 9;
        uint32_t value = i == 19 ? UINT32_MAX : i, a = 1, c, d = 0;

        check_number = i;
        *(uint32_t *)(data + PAGE) = value;
        page_faults = 0;
        map(1, missing ? 0 : data + PAGE);
        asm volatile("call *%3"
                     : "+a"(a), "=c"(c), "+d"(d)
                     : "r"(code), "D"(VIRTUAL + PAGE)
                     : "memory", "cc");
        CHECK_EQUAL(a, 1 + 1 + value + 1 + 1 + value);
        CHECK_EQUAL(c, 1 + 1 + value + 1 + 1);
        CHECK_EQUAL(page_faults, missing);
        if (missing) {
            CHECK_EQUAL(at_fault.rip, code + 2);
            CHECK_EQUAL(at_fault.rax, 2);
            CHECK_EQUAL(fault_address, VIRTUAL + PAGE);
        }
    }
}

enum string { MOVSB, MOVSQ, STOSB, STOSD, LODSB, CMPSB, SCASB, STRINGS };

static const struct {
    const char *name;
    uint8_t bytes[3]; /* after a REP prefix */
    uint8_t size;
    bool reads, writes; /* at rsi, at rdi */
} strings[STRINGS] = {
    [MOVSB] = {"MOVSB", {0xf3, 0xa4, 0x90}, 1, true, true},
    [MOVSQ] = {"MOVSQ", {0xf3, 0x48, 0xa5}, 8, true, true},
    [STOSB] = {"STOSB", {0xf3, 0xaa, 0x90}, 1, false, true},
    [STOSD] = {"STOSD", {0xf3, 0xab, 0x90}, 4, false, true},
    [LODSB] = {"LODSB", {0xf3, 0xac, 0x90}, 1, true, false},
    [CMPSB] = {"CMPSB", {0xf3, 0xa6, 0x90}, 1, true, true},
    [SCASB] = {"SCASB", {0xf2, 0xae, 0x90}, 1, false, true},
};

struct string_case {
    enum string string;
    bool down, source_missing;
};

/* One end in each page: the second page is missing when it is come to. */
static void check_string(const struct string_case *c)
{
    unsigned size = strings[c->string].size, count = 64, in_first = c->down ? 40 : 24;
    uint64_t start =
        c->down ? VIRTUAL + PAGE + in_first * size - size : VIRTUAL + PAGE - in_first * size;
    uint64_t rdi = c->source_missing ? (uint64_t)source + PAGE : start;
    uint64_t rsi = c->source_missing ? start : (uint64_t)source + PAGE;
    uint64_t rcx = count, moved = size * (c->down ? -(uint64_t)count : count);
    uint64_t before = size * (c->down ? -(uint64_t)in_first : in_first), rax = 0x4141414141414141;
    uint64_t rdi_before = rdi, rsi_before = rsi;
    unsigned missing = c->down ? 0 : 1;

    put(strings[c->string].bytes, 3);
    code[3] = 0xc3;
    page_faults = 0;
    map(0, data);
    map(1, data + PAGE);
    map(missing, 0);
    if (c->down) {
        asm volatile("std");
    }
    asm volatile("call *%4; cld"
                 : "+c"(rcx), "+S"(rsi), "+D"(rdi), "+a"(rax)
                 : "r"(code)
                 : "memory", "cc");
    CHECK_EQUAL(page_faults, 1);
    CHECK_EQUAL(at_fault.rip, code);
    CHECK_EQUAL(at_fault.rcx, count - in_first);
    CHECK_EQUAL(at_fault.rdi, strings[c->string].writes ? rdi_before + before : rdi_before);
    CHECK_EQUAL(at_fault.rsi, strings[c->string].reads ? rsi_before + before : rsi_before);
    CHECK_EQUAL(fault_address & ~(uint64_t)(PAGE - 1), VIRTUAL + missing * PAGE);
    CHECK_EQUAL(rcx, 0);
    CHECK_EQUAL(rdi, strings[c->string].writes ? rdi_before + moved : rdi_before);
    CHECK_EQUAL(rsi, strings[c->string].reads ? rsi_before + moved : rsi_before);
}

static void on_string_fault(struct frame *frame)
{
    on_page_fault(frame);
    map(0, data);
}

static void fill(uint8_t *at, uint8_t value)
{
    for (unsigned i = 0; i < EXTENT; i++) {
        at[i] = value;
    }
}

static void test_string_faults(void)
{
    handlers[14] = on_string_fault;
    for (unsigned i = 0; i < 8 * STRINGS; i++) {
        struct string_case c = {i % STRINGS, i / STRINGS & 1, i / STRINGS & 2};

        if (c.source_missing ? !strings[c.string].reads : !strings[c.string].writes) {
            continue;
        }
        check_case = strings[c.string].name;
        check_number = c.down | c.source_missing << 1;
        fill(data, c.string == SCASB ? 0x42 : 0x41);
        fill(source, 0x41);
        for (unsigned j = 0; j < 4; j++) {
            check_string(&c);
        }
    }
}

int main(void)
{
    pml4[1] = (uint64_t)level3 | 7;
    level3[0] = (uint64_t)level2 | 7;
    level2[0] = (uint64_t)level1 | 7;
    check_case = "code that changes itself";
    test_self_modifying((uint64_t)code);
    check_case = "code that changes itself by another address";
    map(0, code);
    test_self_modifying(VIRTUAL);
    test_alignment();
    test_single_steps();
    handlers[14] = on_page_fault;
    test_precise_faults();
    test_string_faults();
    test_changed_by_another();
    return guest_result();
}
