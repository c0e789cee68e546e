/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that means harm: random values into every kind of register that it can reach, until a
 * write resets the machine or a fault, for which it has no handler, shuts the processor down.
 * tests/system/hostile.py counts the resets.
 *
 * "seed=N" on the command line, else the time, seeds it; each boot goes on to other numbers. It
 * says "hostile SEED BOOT" on the first serial port: with "seed=SEED boot=BOOT" that boot is the
 * first.
 */
#include "harm.h"

static uint64_t state;

static uint64_t random64(void)
{
    return random_next(&state);
}

/*
 * Which boot this is, since the machine was made: in memory that no loader writes, and that a
 * reset leaves alone. A random write may well change it, with equal seeds in the same way.
 */
static uint64_t count_boot(void)
{
    struct {
        uint64_t mark, boot;
    } volatile *kept = (void *)0x3000000;

    kept->boot = kept->mark == 0x686f7374696c65 ? kept->boot + 1 : given_number("boot");
    kept->mark = 0x686f7374696c65;
    return kept->boot;
}

static void write_port(uint16_t port, uint32_t value)
{
    switch (value >> 30) {
    case 0:
        asm volatile("outl %0, %1" : : "a"(value), "d"(port));
        break;
    case 1:
        asm volatile("outw %w0, %1" : : "a"(value), "d"(port));
        break;
    default:
        asm volatile("outb %b0, %1" : : "a"(value), "d"(port));
    }
}

static void write_memory(uint64_t address, uint64_t value)
{
    switch (value >> 62) {
    case 0:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 1:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    case 2:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)address = value;
    }
}

static void write_config(uint64_t value)
{
    asm volatile("outl %0, %1"
                 :
                 : "a"((uint32_t)(0x80000000u | (value & 0x1ffc))), "d"((uint16_t)0xcf8));
    write_port(0xcfc, (uint32_t)(value >> 32));
}

/* Ports in use, so that most writes find a register. */
static const uint16_t ports[] = {
    0x00,   0x20,  0x21,  0x40,  0x41,  0x42,  0x43,   0x60,   0x61,   0x64,  0x70,  0x71,
    0x72,   0x73,  0x80,  0xa0,  0xa1,  0xb2,  0xb3,   0x2e8,  0x2f8,  0x3e8, 0x3f8, 0x3f9,
    0x3fa,  0x3fb, 0x3fc, 0x3fd, 0x4d0, 0x4d1, 0x510,  0x511,  0x514,  0x518, 0x600, 0x608,
    0xafe0, 0xcf8, 0xcfc, 0xe0,  0xe4,  0xe8,  0x2000, 0x2008, 0x2017,
};
static const uint32_t windows[] = {
    0xfec00000, 0xfec00010, 0xfee00000, 0xfee00300, 0xfed00000, 0xfed00100, 0xff000000,
    0xfe000000, 0xe0000000, 0xf0000000, 0xfffc0000, 0x000a0000, 0x000c0000, 0x000f0000,
};
static const uint32_t msrs[] = {
    0x10,  0x1b,  0x3b,  0x174, 0x1a0, 0x200,      0x250,      0x277,      0x2ff,      0x400,
    0x6e0, 0x800, 0x80b, 0x830, 0x83f, 0xc0000080, 0xc0000081, 0xc0000100, 0xc0000102,
};

static const uint8_t no_table[10]; /* limit 0: each exception ends in shutdown */

static void do_harm(uint64_t choice)
{
    uint64_t value = random64();

    switch (choice % 1024) {
    case 0: /* rare: what most likely ends this boot */
        wrmsr(msrs[value % (sizeof(msrs) / sizeof(msrs[0]))], random64());
        break;
    case 1 ... 16:
        write_port((uint16_t)value, (uint32_t)(value >> 32));
        break;
    case 17:
        write_memory(value % 0x100000000,
                     random64()); /* anywhere below 4 GiB, this code included */
        break;
    case 18 ... 160:
        write_config(value);
        break;
    case 161 ... 576:
        write_port(ports[value % (sizeof(ports) / sizeof(ports[0]))] + (value >> 16) % 4,
                   (uint32_t)(value >> 32));
        break;
    default:
        write_memory(windows[value % (sizeof(windows) / sizeof(windows[0]))] + (value >> 32) % PAGE,
                     random64());
    }
}

int main(void)
{
    uint64_t seed = given_seed(), boot = count_boot();
    void (*nowhere)(void) = (void (*)(void))0xd0000000;

    print("hostile ");
    print_decimal(seed);
    print(" ");
    print_decimal(boot);
    print("\n");
    state = random_state(seed + boot);
    asm volatile("lidt %0" : : "m"(no_table));
    for (unsigned i = 0; i < 20000; i++) {
        do_harm(random64() >> 32);
    }
    nowhere(); /* no memory there: ones, which is no instruction, and no handler for that */
    return 0;
}
