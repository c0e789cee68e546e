/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A load, not a test: exits to the device model as fast as one and two processors can cause them.
 * Prints "begin NAME" and "end NAME" around EXITS writes by each (XEN_EXITS in a Xen domain, whose
 * device model is much farther away); who reads that takes the time.
 */
#include "guest.h"

#define EXITS     20000
#define XEN_EXITS 2000

/* Where a device just takes the byte: scratch registers of two UARTs. (Not the port of POST codes:
 * its writes may be collected, and are no exits then.) And where one just gives a value: the HPET's
 * period. */
enum {
    PORT_FIRST = 0x3ff,
    PORT_SECOND = 0x2ff,
    HPET_PERIOD = 0xfed00004,
};

enum {
    FREE_MEMORY = 0xf0000000, /* where hvmloader puts BARs */
    MEMORY_SPACE = 1 << 1,    /* of the command register */
};

static volatile unsigned go, done;
static volatile uint16_t other_port;
static unsigned exits = EXITS;

static void write_port(uint16_t port)
{
    for (unsigned i = 0; i < exits; i++) {
        outb(port, 0);
    }
}

static void read_memory(uint32_t address)
{
    for (unsigned i = 0; i < exits; i++) {
        (void)*(volatile uint32_t *)(uintptr_t)address;
    }
}

static uint32_t read_config(uint32_t address)
{
    outl(0xcf8, 0x80000000 | address);
    return inl(0xcfc);
}

static void write_config(uint32_t address, uint32_t value)
{
    outl(0xcf8, 0x80000000 | address);
    outl(0xcfc, value);
}

/* "XenVMMXenVMM" */
static bool is_xen_domain(void)
{
    uint32_t out[4];

    cpuid(0x40000000, 0, out);
    return out[1] == 0x566e6558 && out[2] == 0x65584d4d && out[3] == 0x4d4d566e;
}

/* The place of a BAR of memory. Under one device model firmware's choice is gone when a kernel is
 * started: then it gets one. */
static uint32_t place_bar(uint32_t function, uint32_t bar)
{
    uint32_t address = read_config(function | bar) & ~0xfu;

    if (!address) {
        address = FREE_MEMORY;
        write_config(function | bar, address);
        write_config(function | 4, MEMORY_SPACE);
    }
    return address;
}

/* Under Xen the HPET is no exit to the device model; the platform device's memory is. */
static uint32_t find_xen_platform(void)
{
    for (uint32_t slot = 1; slot < 32; slot++) {
        if ((read_config(slot << 11) & 0xffff) == 0x5853) {
            return place_bar(slot << 11, 0x14);
        }
    }
    return 0;
}

static void other_processor(unsigned index)
{
    for (unsigned round = 1; index == 1; round++) {
        while (__atomic_load_n(&go, __ATOMIC_ACQUIRE) < round) {
            asm volatile("pause");
        }
        write_port(other_port);
        __atomic_store_n(&done, round, __ATOMIC_RELEASE);
    }
    for (;;) {
        asm volatile("hlt");
    }
}

static void measure_two(const char *name, uint16_t port)
{
    static unsigned round;

    print("begin ");
    print(name);
    print("\n");
    other_port = port;
    __atomic_store_n(&go, ++round, __ATOMIC_RELEASE);
    write_port(PORT_FIRST);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < round) {
        asm volatile("pause");
    }
    print("end ");
    print(name);
    print("\n");
}

int main(void)
{
    uint32_t platform = find_xen_platform();

    exits = is_xen_domain() ? XEN_EXITS : EXITS;
    apic_enable();

    /* The others are not started yet: one that spins might be on the same processor of the host. */
    print("begin one\n");
    write_port(PORT_FIRST);
    print("end one\n");
    print("begin memory\n");
    read_memory(HPET_PERIOD);
    print("end memory\n");
    if (platform) {
        print("begin platform\n");
        read_memory(platform);
        print("end platform\n");
    }
    if (start_processors(other_processor)) {
        measure_two("same", PORT_FIRST);
        measure_two("different", PORT_SECOND);
    }
    return 0;
}
