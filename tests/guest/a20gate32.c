/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate of address line 20: port 92h bit 1, and the keyboard controller's output port bit 1 by
 * commands D1, DD and DF. The program itself lies above 1 MiB, where it vanishes while the line is
 * held low; what runs then is a copy below.
 */
#include "guest.h"

struct step {
    uint16_t port, value; /* port 0: the end */
};

/* What the copy works with, at an address known to it. */
struct shared {
    struct step off[4], on[4];
    uint32_t read_odd, read_far, stored, port92, read_again; /* results */
    uint32_t saved_esp;
};
#define SHARED   ((volatile struct shared *)0x60000)
#define EVEN     ((volatile uint32_t *)0x050000) /* the same as ODD while the line is low */
#define ODD      ((volatile uint32_t *)0x150000)
#define FAR      ((volatile uint32_t *)0x350000) /* and this as FAR_EVEN */
#define FAR_EVEN ((volatile uint32_t *)0x250000)

asm(".section .rodata\n"
    "probe_begin:\n"
    "    pusha\n"
    "    mov %esp, 0x60034\n"
    "    mov $0x6f000, %esp\n"
    "    mov $0x60000, %esi\n"
    "    call 2f\n"
    "    mov 0x150000, %eax\n"
    "    mov %eax, 0x60020\n"
    "    mov 0x350000, %eax\n"
    "    mov %eax, 0x60024\n"
    "    movl $0x600df00d, 0x150004\n"
    "    mov 0x050004, %eax\n"
    "    mov %eax, 0x60028\n"
    "    xor %eax, %eax\n"
    "    in $0x92, %al\n"
    "    mov %eax, 0x6002c\n"
    "    mov $0x60010, %esi\n"
    "    call 2f\n"
    "    mov 0x150000, %eax\n"
    "    mov %eax, 0x60030\n"
    "    mov 0x60034, %esp\n"
    "    popa\n"
    "    ret\n"
    "2:  movzwl (%esi), %edx\n"
    "    movzwl 2(%esi), %eax\n"
    "    add $4, %esi\n"
    "    test %edx, %edx\n"
    "    jz 3f\n"
    "    out %al, %dx\n"
    "    jmp 2b\n"
    "3:  ret\n"
    "probe_end:\n"
    ".text\n");
extern const uint8_t probe_begin[], probe_end[];

static void probe(const struct step *off, const struct step *on)
{
    uint8_t *copy = (uint8_t *)0x70000;

    for (unsigned i = 0; i < 4; i++) {
        SHARED->off[i].port = off[i].port;
        SHARED->off[i].value = off[i].value;
        SHARED->on[i].port = on[i].port;
        SHARED->on[i].value = on[i].value;
    }
    for (long i = 0; i < probe_end - probe_begin; i++) {
        copy[i] = probe_begin[i];
    }
    *EVEN = 0xe0e0e0e0;
    *ODD = 0x0d0d0d0d;
    *FAR = 0xfafafafa;
    *FAR_EVEN = 0xfefefefe;
    EVEN[1] = ODD[1] = 0;
    ((void (*)(void))copy)();
}

static void check_gate(const char *name, const struct step *off, const struct step *on)
{
    check_case = name;
    probe(off, on);
    CHECK_EQUAL(SHARED->read_odd, 0xe0e0e0e0);
    CHECK_EQUAL(SHARED->read_far, 0xfefefefe);
    CHECK_EQUAL(SHARED->stored, 0x600df00d);
    CHECK_EQUAL(SHARED->port92 & 2, 0);
    CHECK_EQUAL(SHARED->read_again, 0x0d0d0d0d);
    CHECK_EQUAL(ODD[1], 0); /* the store went to EVEN[1] */
    CHECK_EQUAL(inb(0x92) & 2, 2);
}

int main(void)
{
    static const struct step fast_off[4] = {{0x92, 0}}, fast_on[4] = {{0x92, 2}};
    static const struct step port_off[4] = {{0x64, 0xd1}, {0x60, 0xdd}};
    static const struct step port_on[4] = {{0x64, 0xd1}, {0x60, 0xdf}};
    static const struct step command_off[4] = {{0x64, 0xdd}}, command_on[4] = {{0x64, 0xdf}};

    guest_init();
    check_case = "as firmware leaves it";
    CHECK_EQUAL(inb(0x92) & 2, 2);
    check_gate("port 92h", fast_off, fast_on);
    check_gate("output port", port_off, port_on);
    check_gate("commands", command_off, command_on);
    check_gate("off by one, on by the other", fast_off, command_on);
    check_gate("off by the other, on by one", port_off, fast_on);
    return guest_result();
}
