/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug registers and single-stepping: SDM vol. 3, chapter 18. */
#include "guest.h"

#define DR6_FIXED 0xffff0ff0ull
#define DR6_BS    (1ull << 14)
#define DR6_BD    (1ull << 13)
#define FLAG_TF   (1ull << 8)
#define FLAG_RF   (1ull << 16)

#define WRITE_DR(n, value) asm volatile("mov %0, %%dr" #n : : "r"((uint64_t)(value)) : "memory")
#define READ_DR(n)                                                                                 \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        asm volatile("mov %%dr" #n ", %0" : "=r"(value_));                                         \
        value_;                                                                                    \
    })

static unsigned hits;
static uint64_t last_rip, last_dr6, last_flags;
static bool stop_stepping;

static void on_debug(struct frame *frame)
{
    hits++;
    last_rip = frame->rip;
    last_flags = frame->rflags;
    last_dr6 = READ_DR(6);
    WRITE_DR(6, DR6_FIXED);
    if (last_dr6 & 0xf) {
        frame->rflags |= FLAG_RF; /* go past an execution breakpoint */
    }
    if (stop_stepping) {
        frame->rflags &= ~FLAG_TF;
    }
}

static volatile uint64_t watched[4] __attribute__((aligned(64)));

static void arm(unsigned n, uint64_t address, unsigned type, unsigned length)
{
    uint64_t dr7 = READ_DR(7) & ~(0xfull << (16 + n * 4)) & ~(3ull << n * 2);

    switch (n) {
    case 0:
        WRITE_DR(0, address);
        break;
    case 1:
        WRITE_DR(1, address);
        break;
    case 2:
        WRITE_DR(2, address);
        break;
    case 3:
        WRITE_DR(3, address);
        break;
    }
    WRITE_DR(7, dr7 | 2ull << n * 2 | (uint64_t)(type | length << 2) << (16 + n * 4));
}

static void disarm(void)
{
    WRITE_DR(7, 0x400);
    WRITE_DR(6, DR6_FIXED);
    hits = 0;
    last_dr6 = 0;
}

static void test_data(void)
{
    check_case = "write watchpoint, register";
    for (unsigned n = 0; n < 4; n++) {
        check_number = n;
        disarm();
        watched[1] = 0; /* in the TLB */
        arm(n, (uint64_t)&watched[1], 1, 2 /* 8 bytes */);
        (void)watched[1];
        CHECK_EQUAL(hits, 0);
        asm volatile("movb $5, 7(%0)\n1: nop" : : "r"(&watched[1]) : "memory");
        CHECK_EQUAL(hits, 1);
        CHECK_EQUAL(last_dr6, DR6_FIXED | 1ull << n);
        asm volatile("movb $5, 8(%0)" : : "r"(&watched[1]) : "memory");
        CHECK_EQUAL(hits, 1);
        asm volatile("movq $5, -4(%0)" : : "r"(&watched[1]) : "memory");
        CHECK_EQUAL(hits, 2);
        asm volatile("lock incq (%0)" : : "r"(&watched[1]) : "memory", "cc");
        CHECK_EQUAL(hits, 3);
    }
    disarm();
    check_case = "read and write watchpoint";
    arm(0, (uint64_t)&watched[2], 3, 3);
    (void)watched[2];
    CHECK_EQUAL(hits, 1);
    watched[2] = 1;
    CHECK_EQUAL(hits, 2);
    (void)watched[3];
    CHECK_EQUAL(hits, 2);
    disarm();
    (void)watched[2];
    CHECK_EQUAL(hits, 0);
}

static void test_trap_address(void)
{
    uint64_t after;

    check_case = "a data breakpoint is a trap";
    disarm();
    arm(1, (uint64_t)&watched[0], 1, 3);
    asm volatile("lea 1f(%%rip), %0\n\tmovl $1, (%1)\n1: nop; nop"
                 : "=&r"(after)
                 : "r"(&watched[0])
                 : "memory");
    CHECK_EQUAL(hits, 1);
    CHECK_EQUAL(last_rip, after);
    CHECK_EQUAL(last_flags & FLAG_RF, 0);
    disarm();
}

static void test_execute(void)
{
    uint64_t at, count = 0;

    check_case = "execution breakpoint";
    disarm();
    asm volatile("lea 1f(%%rip), %0\n\t"
                 "mov %0, %%dr2\n\t"
                 "mov $0x420, %%rax\n\t"
                 "mov %%rax, %%dr7\n\t"
                 "nop\n"
                 "1: inc %1\n\t"
                 "nop"
                 : "=&r"(at), "+r"(count)
                 :
                 : "rax", "memory", "cc");
    CHECK_EQUAL(hits, 1);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(last_rip, at);
    CHECK_EQUAL(last_dr6, DR6_FIXED | 4);
    CHECK_EQUAL(last_flags & FLAG_RF, 0); /* the handler's to set: 18.3.1.1 */
    disarm();
}

static void test_single_step(void)
{
    check_case = "single step";
    disarm();
    stop_stepping = false;
    asm volatile("pushf\n\torl $0x100, (%%rsp)\n\tpopf\n\t"
                 "nop\n\tnop\n\tnop\n\t"
                 "pushf\n\tandl $~0x100, (%%rsp)\n\tpopf\n\tnop"
                 :
                 :
                 : "memory", "cc");
    /* After POPF that sets TF no trap; nop, nop, nop, pushf, and, popf. */
    CHECK_EQUAL(hits, 6);
    CHECK_EQUAL(last_dr6, DR6_FIXED | DR6_BS);
    check_case = "single step over MOV SS";
    disarm();
    asm volatile("mov %%ss, %%eax\n\t"
                 "pushf\n\torl $0x100, (%%rsp)\n\tpopf\n\t"
                 "mov %%eax, %%ss\n\tnop\n\tnop\n\t"
                 "pushf\n\tandl $~0x100, (%%rsp)\n\tpopf\n\tnop"
                 :
                 :
                 : "rax", "memory", "cc");
    CHECK_EQUAL(hits, 5); /* none directly after MOV SS */
    disarm();
}

static void test_general_detect(void)
{
    check_case = "general detect";
    disarm();
    handlers[1] = 0;
    WRITE_DR(7, 0x2400);
    TRY("mov %%dr0, %%rax", "r"(0));
    CHECK_EQUAL(fault.vector, 1);
    CHECK_EQUAL(fault.dr6, DR6_FIXED | DR6_BD);
    WRITE_DR(6, DR6_FIXED);
    WRITE_DR(7, 0x400);
    handlers[1] = on_debug;
    check_case = "values";
    TRY("mov %0, %%dr6", "r"(1ull << 32));
    CHECK_EQUAL(fault.vector, 13);
    TRY("mov %0, %%dr7", "r"(1ull << 32));
    CHECK_EQUAL(fault.vector, 13);
    WRITE_DR(6, 0);
    CHECK_EQUAL(READ_DR(6), DR6_FIXED);
    WRITE_DR(7, 0);
    CHECK_EQUAL(READ_DR(7), 0x400);
    WRITE_DR(4, 0xffffffff); /* alias of DR6 without CR4.DE */
    CHECK_EQUAL(READ_DR(6), 0xffffefff);
    WRITE_DR(6, DR6_FIXED);
    WRITE_CR(4, READ_CR(4) | 8);
    TRY("mov %%dr4, %%rax", "r"(0));
    CHECK_EQUAL(fault.vector, 6);
    WRITE_CR(4, READ_CR(4) & ~8ull);
}

static void test_icebp(void)
{
    check_case = "INT1";
    disarm();
    asm volatile(".byte 0xf1" : : : "memory");
    CHECK_EQUAL(hits, 1);
    CHECK_EQUAL(last_dr6, DR6_FIXED);
}

int main(void)
{
    handlers[1] = on_debug;
    disarm();
    test_data();
    test_trap_address();
    test_execute();
    test_single_step();
    test_general_detect();
    test_icebp();
    return guest_result();
}
