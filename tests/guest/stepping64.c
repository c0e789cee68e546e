/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single-stepping and its neighbours: which #DB comes at which place, with what in DR6. SDM vol. 3,
 * 6.8.3 (what MOV SS holds back), 18.3.1 and table 6-2.
 */
#include "guest.h"

#define DR6_FIXED 0xffff0ff0ull
#define STEP      (DR6_FIXED | 1 << 14)
#define DETECT    (DR6_FIXED | 1 << 13)
#define MAX_HITS  16

#define WRITE_DR(n, value) asm volatile("mov %0, %%dr" #n : : "r"((uint64_t)(value)) : "memory")

static struct {
    uint64_t rip, dr6;
} hits[MAX_HITS];
static unsigned hit_count, breakpoints;
static uint64_t breakpoint_rip;
static bool keep_status; /* leave DR6 as it is */

static void on_debug(struct frame *frame)
{
    uint64_t dr6;

    asm volatile("mov %%dr6, %0" : "=r"(dr6));
    if (hit_count < MAX_HITS) {
        hits[hit_count].rip = frame->rip;
        hits[hit_count].dr6 = dr6;
    } else {
        frame->rflags &= ~0x100ull;
    }
    hit_count++;
    if (!keep_status) {
        WRITE_DR(6, DR6_FIXED);
    }
    if (dr6 & 0xf && keep_status) {
        frame->rflags |= 1 << 16;
    }
}

static void on_breakpoint(struct frame *frame)
{
    breakpoints++;
    breakpoint_rip = frame->rip;
}

/* The places are the program's own: it ends with a table of (address, DR6) pairs, ended by 0. */
struct expected {
    uint64_t rip, dr6;
};

static void check_hits(const struct expected *expected)
{
    unsigned count = 0;

    for (; expected[count].rip; count++) {
        check_number = count;
        if (count < hit_count) {
            CHECK_EQUAL(hits[count].rip, expected[count].rip);
            CHECK_EQUAL(hits[count].dr6, expected[count].dr6);
        }
    }
    CHECK_EQUAL(hit_count, count);
}

static void prepare(const char *name)
{
    check_case = name;
    check_number = 0;
    hit_count = breakpoints = 0;
    keep_status = false;
    WRITE_DR(7, 0x400);
    WRITE_DR(6, DR6_FIXED);
}

/* RAX has the flags with TF; the program pushes them where it starts and clears TF at its end. */
#define TF_ON  "pushfq; pop %%rax; or $0x100, %%rax; push %%rax; "
#define TF_OFF "and $~0x100, %%rax; "
#define PROGRAM(text, table)                                                                       \
    ({                                                                                             \
        const struct expected *table_;                                                             \
        asm volatile(text "jmp 8f\n"                                                               \
                          ".align 8\n"                                                             \
                          "7: " table ".quad 0, 0\n"                                               \
                          "8: lea 7b(%%rip), %0"                                                   \
                     : "=r"(table_)                                                                \
                     :                                                                             \
                     : "rax", "rbx", "rcx", "rdx", "memory", "cc");                                \
        table_;                                                                                    \
    })
#define AT(label, dr6) ".quad " #label "b, " dr6 "\n"
#define S              "0xffff4ff0"
#define NONE           "0xffff0ff0"
#define D              "0xffff2ff0"

static void test_plain(void)
{
    prepare("one step at a time");
    check_hits(PROGRAM(TF_ON "popfq\n" TF_OFF "1: push %%rax\n2: popfq\n3: nop\n",
                       AT(1, S) AT(2, S) AT(3, S)));
    prepare("over instructions that leave the CPU");
    check_hits(PROGRAM(TF_ON "popfq\n" TF_OFF "1: push %%rax; 2: xor %%eax, %%eax; 3: cpuid\n"
                             "4: mov $0x3fd, %%edx; 5: inb %%dx, %%al; 6: popfq; 9: nop\n",
                       AT(1, S) AT(2, S) AT(3, S) AT(4, S) AT(5, S) AT(6, S) AT(9, S)));
}

static void test_shadows(void)
{
    prepare("STI holds back interrupts, not traps");
    check_hits(PROGRAM("cli; " TF_ON "popfq; sti\n1: " TF_OFF "\n2: push %%rax; 3: popfq; 4: nop\n",
                       AT(1, S) AT(2, S) AT(3, S) AT(4, S)));
    prepare("MOV SS holds back a trap");
    check_hits(PROGRAM(TF_ON "mov %%ss, %%ebx; popfq; mov %%ebx, %%ss; " TF_OFF "\n"
                             "1: push %%rax; 2: popfq; 3: nop\n",
                       AT(1, S) AT(2, S) AT(3, S)));
    prepare("MOV SS and INT1");
    check_hits(PROGRAM(TF_ON "mov %%ss, %%ebx; popfq; mov %%ebx, %%ss; .byte 0xf1\n"
                             "1: .byte 0xf1; 2: " TF_OFF "\n3: push %%rax; 4: popfq; 5: nop\n",
                       AT(1, NONE) AT(2, NONE) AT(3, S) AT(4, S) AT(5, S)));
    prepare("MOV SS and general detect, a fault");
    check_hits(PROGRAM("mov $0x2400, %%ebx; mov %%rbx, %%dr7; mov $0xffff0ff0, %%ecx\n" TF_ON
                       "mov %%ss, %%ebx; popfq; mov %%ebx, %%ss\n"
                       "1: mov %%rcx, %%dr6; 2: " TF_OFF "\n3: push %%rax; 4: popfq; 5: nop\n",
                       AT(1, D) AT(2, S) AT(3, S) AT(4, S) AT(5, S)));
}

static void on_timer(struct frame *frame)
{
    (void)frame;
    apic_write(0xb0, 0);
}

static void test_halt(void)
{
    prepare("HLT ends with the trap");
    handlers[0xee] = on_timer;
    apic_enable();
    apic_write(0x320, 0xee);
    apic_write(0x3e0, 0xb);
    apic_write(0x380, 1000000);
    check_hits(PROGRAM("cli; " TF_ON "popfq; sti\n"
                       "1: hlt; 2: " TF_OFF "\n3: push %%rax; 4: popfq; 5: cli\n",
                       AT(1, S) AT(2, S) AT(3, S) AT(4, S) AT(5, S)));
    apic_write(0x380, 0);
    asm volatile("sti; nop; cli");
}

static volatile uint64_t watched;

/* A data breakpoint on what MOV SS reads comes after the next instruction, if that raises no
 * exception of its own that takes it along. */
static void test_watched_stack_load(void)
{
    static const char *const names[] = {"watched MOV SS", "watched MOV SS, INT1",
                                        "watched MOV SS, INT 1", "watched MOV SS, INT3"};
    uint64_t places[4][2];

    for (unsigned i = 0; i < 4; i++) {
        prepare(names[i]);
        watched = 0x18;
        WRITE_DR(1, &watched);
        WRITE_DR(7, 0x00f0040a);
        switch (i) {
        case 0:
            asm volatile("mov %2, %%ss; nop; 1: nop; lea 1b(%%rip), %0"
                         : "=r"(places[i][0]), "+m"(watched)
                         : "m"(watched));
            break;
        case 1:
            asm volatile("mov %2, %%ss; .byte 0x2e, 0x2e, 0xf1; 1: lea 1b(%%rip), %0"
                         : "=r"(places[i][0]), "+m"(watched)
                         : "m"(watched));
            break;
        case 2:
            asm volatile("mov %2, %%ss; int $1; 1: lea 1b(%%rip), %0"
                         : "=r"(places[i][0]), "+m"(watched)
                         : "m"(watched));
            break;
        case 3:
            asm volatile("mov %2, %%ss; .byte 0x2e, 0x2e, 0x2e, 0xcc; 1: lea 1b(%%rip), %0"
                         : "=r"(places[i][0]), "+m"(watched)
                         : "m"(watched));
            break;
        }
        WRITE_DR(7, 0x400);
        CHECK_EQUAL(hit_count, i == 2 ? 2 : 1);
        CHECK_EQUAL(breakpoints, i == 3);
        if (i < 2) {
            CHECK_EQUAL(hits[0].rip, places[i][0]);
            CHECK_EQUAL(hits[0].dr6, DR6_FIXED | 2);
        }
        if (i == 3) {
            CHECK_EQUAL(breakpoint_rip, places[i][0]);
        }
    }
}

/* B0..B3 are set and cleared by each #DB; BS only set, by single-stepping alone. */
static void test_sticky_status(void)
{
    uint64_t place;

    prepare("BS stays, B1 goes");
    keep_status = true;
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %%dr2\n"
                 "mov $0x420, %%eax; mov %%rax, %%dr7\n"
                 "mov $0x4002, %%eax; mov %%rax, %%dr6\n"
                 "1: nop; lea 1b(%%rip), %0"
                 : "=r"(place)
                 :
                 : "rax", "memory");
    WRITE_DR(7, 0x400);
    CHECK_EQUAL(hit_count, 1);
    CHECK_EQUAL(hits[0].rip, place);
    CHECK_EQUAL(hits[0].dr6, STEP | 4);
    prepare("BS is not set by a watchpoint");
    keep_status = true;
    WRITE_DR(6, 0);
    WRITE_DR(1, &watched);
    WRITE_DR(7, 0x00d0040a);
    watched = 42;
    WRITE_DR(7, 0x400);
    CHECK_EQUAL(hit_count, 1);
    CHECK_EQUAL(hits[0].dr6, DR6_FIXED | 2);
    CHECK_EQUAL(DETECT, DR6_FIXED + 0x2000);
}

/* An execution breakpoint behind MOV SS: held back on Intel's, not on AMD's. */
static void test_breakpoint_behind_stack_load(void)
{
    uint32_t regs[4];

    prepare("breakpoint behind MOV SS");
    keep_status = true;
    cpuid(0, 0, regs);
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %%dr0; mov $0x402, %%eax; mov %%rax, %%dr7\n"
                 "mov %%ss, %%eax; mov %%eax, %%ss\n"
                 "1: nop"
                 :
                 :
                 : "rax", "memory");
    WRITE_DR(7, 0x400);
    CHECK_EQUAL(hit_count, regs[1] == 0x68747541);
}

/* SYSCALL clears TF before the trap is looked at; the INT instruction too. */
static void test_software_interrupt(void)
{
    prepare("no trap into an interrupt handler");
    handlers[0x60] = on_breakpoint;
    check_hits(PROGRAM(TF_ON "popfq\n" TF_OFF "1: int $0x60; 2: push %%rax; 3: popfq; 4: nop\n",
                       AT(1, S) AT(3, S) AT(4, S)));
    CHECK_EQUAL(breakpoints, 1);
}

int main(void)
{
    handlers[1] = on_debug;
    handlers[3] = on_breakpoint;
    test_plain();
    test_shadows();
    test_halt();
    test_watched_stack_load();
    test_sticky_status();
    test_breakpoint_behind_stack_load();
    test_software_interrupt();
    return guest_result();
}
