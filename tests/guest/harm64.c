/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that means harm to its device model: it finds the PCI functions that there are, and then
 * writes random values into their registers, gives the disk random commands and random lists of
 * memory, fills rings of network cards and frames of a USB controller with random descriptors, and
 * lets string instructions run from and to registers, both ways. hostile64 is for processors and
 * interrupt controllers; this one lives longer.
 *
 * "seed=N" on the command line, else the time, seeds it. Says "harm SEED OPERATIONS" now and then,
 * on the first serial port and port E9h. What it does may end it: by a reset, or by a device that
 * writes over its code.
 */
#include "harm.h"

#define SAY_EVERY  1024
#define FUNCTIONS  32
#define ARENA      0x200000ull /* where lists and rings lie, and most of what they point to */
#define ARENA_SIZE 0x1000000ull
#define DISK_PORT  0x1f0

static uint64_t state, seed;

static uint64_t random64(void)
{
    return random_next(&state);
}

static uint32_t random_below(uint32_t limit)
{
    return (uint32_t)((random64() >> 32) % limit);
}

static bool one_in(uint32_t n)
{
    return random_below(n) == 0;
}

/* Values at the edges as often as any others. */
static uint32_t random_value(void)
{
    static const uint32_t edges[] = {0,          1,      0x7f,       0x80,       0xff,
                                     0xffff,     0x8000, 0x7fffffff, 0x80000000, 0xffffffff,
                                     0xfffffffe, 0x100,  0x1000};

    return one_in(2) ? edges[random_below(sizeof(edges) / sizeof(edges[0]))]
                     : (uint32_t)(random64() >> 32);
}

/* Memory that a device is told to use: ours; sometimes any, or none. */
static uint32_t random_address(void)
{
    switch (random_below(64)) {
    case 0:
        return random_value();
    case 1:
        return 0xa0000 + random_below(0x60000);
    case 2:
        return 0xf0000000u + random_below(0x0f000000);
    default:
        return (uint32_t)(ARENA + random_below(ARENA_SIZE));
    }
}

/* Saying. */

/* Without a look at whether the serial port is ready: it may not be itself any more. */
static void say(const char *text)
{
    for (; *text; text++) {
        outb(0x3f8, (uint8_t)*text);
        outb(0xe9, (uint8_t)*text);
    }
}

static void say_number(uint64_t value)
{
    char text[DECIMAL_SIZE];

    say(decimal(value, text));
}

/* Accesses of any width, once or by a string instruction. */

static void write_port(uint16_t port, uint32_t value, unsigned width)
{
    switch (width) {
    case 0:
        outb(port, (uint8_t)value);
        break;
    case 1:
        asm volatile("outw %w0, %1" : : "a"(value), "d"(port));
        break;
    default:
        outl(port, value);
    }
}

static void read_port(uint16_t port, unsigned width)
{
    uint32_t value;

    switch (width) {
    case 0:
        inb(port);
        break;
    case 1:
        asm volatile("inw %1, %w0" : "=a"(value) : "d"(port));
        break;
    default:
        inl(port);
    }
}

static void move_string(uint16_t port)
{
    unsigned long count = 1 + random_below(1500);
    char *at = (char *)ARENA + 0x8000 + random_below(0x4000);

    switch (random_below(6)) {
    case 0:
        asm volatile("cld; rep insw" : "+D"(at), "+c"(count) : "d"(port) : "memory");
        break;
    case 1:
        asm volatile("cld; rep outsw" : "+S"(at), "+c"(count) : "d"(port) : "memory");
        break;
    case 2:
        asm volatile("std; rep insb; cld" : "+D"(at), "+c"(count) : "d"(port) : "memory");
        break;
    case 3:
        asm volatile("std; rep outsl; cld" : "+S"(at), "+c"(count) : "d"(port) : "memory");
        break;
    case 4:
        asm volatile("cld; rep insl" : "+D"(at), "+c"(count) : "d"(port) : "memory");
        break;
    default:
        asm volatile("cld; rep outsb" : "+S"(at), "+c"(count) : "d"(port) : "memory");
    }
}

static void touch_port(uint16_t port)
{
    if (one_in(16)) {
        move_string(port);
    } else if (one_in(3)) {
        read_port(port, random_below(3));
    } else {
        write_port(port, random_value(), random_below(3));
    }
}

static void touch_memory(uint64_t address)
{
    char *device = (char *)address, *ours = (char *)ARENA + 0x8000;
    unsigned long count = 1 + random_below(64);

    switch (random_below(8)) {
    case 0:
        (void)*(volatile uint32_t *)address;
        break;
    case 1:
        *(volatile uint8_t *)address = (uint8_t)random_value();
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)random_value();
        break;
    case 3:
        *(volatile uint64_t *)address = random64();
        break;
    case 4:
        asm volatile("cld; rep movsb" : "+S"(ours), "+D"(device), "+c"(count) : : "memory");
        break;
    case 5:
        asm volatile("std; rep movsb; cld" : "+S"(device), "+D"(ours), "+c"(count) : : "memory");
        break;
    default:
        *(volatile uint32_t *)address = random_value();
    }
}

/* PCI. */

static struct function {
    uint32_t address;
    struct {
        uint32_t base, size;
        bool is_port;
    } bars[6];
} functions[FUNCTIONS];
static unsigned function_count;

static void add_function(uint32_t address)
{
    struct function *function = &functions[function_count++];

    function->address = address;
    config_write(address | 4, config_read(address | 4) & ~3u);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t bar = address | (0x10 + 4 * i), value = config_read(bar), mask;

        config_write(bar, 0xffffffff);
        mask = config_read(bar);
        config_write(bar, value);
        function->bars[i].is_port = value & 1;
        mask &= value & 1 ? 0xfffc : ~0xfu;
        function->bars[i].base = value & (value & 1 ? 0xfffcu : ~0xfu);
        function->bars[i].size = mask ? (mask & -mask) : 0;
    }
    config_write(address | 4, config_read(address | 4) | 7);
}

static void find_functions(void)
{
    for (uint32_t i = 1; i < 256 && function_count < FUNCTIONS; i++) {
        if ((uint16_t)config_read(i << 8) != 0xffff) {
            add_function(i << 8);
        } else if (i % 8 == 0) {
            i += 7; /* no function 0: no others */
        }
    }
}

static void touch_bar(void)
{
    const struct function *function = &functions[random_below(function_count)];
    unsigned i = random_below(6);
    uint32_t size = function->bars[i].size, offset;

    if (!size || !function->bars[i].base) {
        return;
    }
    offset = one_in(8) ? random_below(size) : random_below(size < 0x100 ? size : 0x100);
    if (function->bars[i].is_port) {
        touch_port((uint16_t)(function->bars[i].base + offset));
    } else {
        touch_memory((uint64_t)function->bars[i].base + offset);
    }
}

/* Where it was found, so that there is more to do. */
static void put_back(const struct function *function)
{
    config_write(function->address | 4, 7);
    for (uint32_t i = 0; i < 6; i++) {
        config_write(function->address | (0x10 + 4 * i),
                     function->bars[i].base | function->bars[i].is_port);
    }
}

/* Of any function; where it lies and whether it answers changes seldom. */
static void touch_config(void)
{
    const struct function *function = &functions[random_below(function_count)];
    uint32_t offset = random_below(0x100) & 0xfc;
    bool is_place = offset == 4 || (offset >= 0x10 && offset < 0x34);

    if (is_place && !one_in(32)) {
        return;
    }
    outl(0xcf8, 0x80000000 | function->address | offset);
    touch_port((uint16_t)(0xcfc + random_below(4)));
    if (is_place) {
        put_back(function);
    }
}

/* Devices, by what drives them. */

static const struct function *find_device(uint32_t id)
{
    for (unsigned i = 0; i < function_count; i++) {
        if (config_read(functions[i].address) == id) {
            return &functions[i];
        }
    }
    return 0;
}

static void scatter(uint32_t *list, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        list[i] = one_in(3) ? random_value() : random_address();
    }
}

static void use_disk(void)
{
    static const uint8_t commands[] = {0x20, 0x24, 0x30, 0x34, 0xc4, 0xc5, 0xc8, 0xca, 0x25, 0x35,
                                       0x90, 0xa0, 0xa1, 0xec, 0xef, 0xe7, 0xea, 0xc6, 0x06, 0x27};
    const struct function *controller = find_device(0x70108086);
    uint16_t base = one_in(3) ? DISK_PORT - 0x80 : DISK_PORT;
    uint32_t *list = (uint32_t *)ARENA;
    uint16_t master;

    for (unsigned i = 1; i < 7; i++) {
        outb((uint16_t)(base + i), (uint8_t)random_value());
    }
    if (controller && controller->bars[4].base) {
        master = (uint16_t)(controller->bars[4].base + (base == DISK_PORT ? 0 : 8));
        scatter(list, 64);
        outl((uint16_t)(master + 4), one_in(8) ? random_value() : (uint32_t)ARENA);
        outb(master, (uint8_t)random_value());
    }
    outb((uint16_t)(base + 7),
         one_in(4) ? (uint8_t)random_value() : commands[random_below(sizeof(commands))]);
    if (one_in(2)) {
        move_string(base);
    }
    if (one_in(8)) {
        outb((uint16_t)(base + 0x206), (uint8_t)random_value());
    }
}

/* Both: addresses of rings, their lengths, and then heads and tails. */
static void use_e1000(void)
{
    static const uint16_t rings[] = {0x2800, 0x3800};
    const struct function *card = find_device(0x100e8086);
    volatile uint32_t *registers;

    if (!card) {
        return;
    }
    registers = (volatile uint32_t *)(uintptr_t)card->bars[0].base;
    scatter((uint32_t *)(ARENA + 0x10000), 256);
    for (unsigned i = 0; i < 2; i++) {
        volatile uint32_t *ring = registers + rings[i] / 4;

        ring[0] = one_in(8) ? random_address() : (uint32_t)ARENA + 0x10000;
        ring[1] = one_in(16) ? random_value() : 0;
        ring[2] = random_below(0x1000) & ~0x7fu;
        ring[4] = random_value();
    }
    registers[0x100 / 4] = random_value() | 2;
    registers[0x400 / 4] = random_value() | 2;
    registers[0x3818 / 4] = random_value(); /* the tail: go */
    registers[0x2818 / 4] = random_value();
}

static void use_rtl8139(void)
{
    const struct function *card = find_device(0x813910ec);
    uint16_t base;

    if (!card) {
        return;
    }
    base = (uint16_t)card->bars[0].base;
    scatter((uint32_t *)(ARENA + 0x11000), 256);
    outb((uint16_t)(base + 0x37), 0x0c);
    outl((uint16_t)(base + 0x30), random_address());
    outl((uint16_t)(base + 0x40), random_value());
    outl((uint16_t)(base + 0x44), random_value());
    outl((uint16_t)(base + 0xe4), one_in(4) ? random_address() : (uint32_t)ARENA + 0x11000);
    outl((uint16_t)(base + 0x20 + 4 * random_below(4)), random_address());
    write_port((uint16_t)(base + 0xe0), random_value(), 1);
    outl((uint16_t)(base + 0x28), (uint32_t)ARENA + 0x11000);
    outl((uint16_t)(base + 0x10 + 4 * random_below(4)), random_value() & 0x1fff);
    outb((uint16_t)(base + 0xd9), (uint8_t)random_value());
}

static void use_usb(void)
{
    const struct function *controller = find_device(0x70208086);
    uint16_t base;

    if (!controller) {
        return;
    }
    base = (uint16_t)controller->bars[4].base;
    scatter((uint32_t *)(ARENA + 0x12000), 1024);
    outl((uint16_t)(base + 8), one_in(8) ? random_address() : (uint32_t)ARENA + 0x12000);
    write_port((uint16_t)(base + 0x10), random_value(), 1);
    write_port((uint16_t)(base + 0x12), random_value(), 1);
    write_port(base, random_value() | 1, 1);
}

/* Ports of ISA devices that are the device model's under Xen. */
static const uint16_t ports[] = {
    0x10,  0x12,  0x60,  0x61,   0x64,   0x80,   0x92,   0xb2,   0xcf9,  0x170,  0x177,  0x1ce,
    0x1cf, 0x1d0, 0x1f0, 0x1f7,  0x2f8,  0x376,  0x3b4,  0x3b5,  0x3c0,  0x3c4,  0x3c5,  0x3ce,
    0x3cf, 0x3d4, 0x3d5, 0x3da,  0x3f6,  0x3f8,  0x3f9,  0x3fa,  0x3fb,  0x3fc,  0x402,  0x510,
    0x511, 0x514, 0x518, 0xae00, 0xae08, 0xae0c, 0xaf00, 0xafe0, 0xafe2, 0xb002, 0xb004,
};

static void do_harm(void)
{
    switch (random_below(32)) {
    case 0 ... 11:
        touch_bar();
        break;
    case 12 ... 15:
        touch_config();
        break;
    case 16:
        use_e1000();
        break;
    case 17:
        use_rtl8139();
        break;
    case 18:
        use_usb();
        break;
    case 19 ... 22:
        use_disk();
        break;
    case 23:
        touch_memory(0xa0000 + random_below(0x20000));
        break;
    case 24:
        if (one_in(1024)) { /* any port there is; it may well be the end */
            touch_port((uint16_t)random_value());
        }
        break;
    default: {
        uint16_t port = ports[random_below(sizeof(ports) / sizeof(ports[0]))];
        bool is_end = port == 0x64 || port == 0x92 || port == 0xcf9 || port == 0xb004;
        bool is_wild = port >= 0x510 && port <= 0x518; /* DMA to anywhere */

        if ((!is_end || one_in(8192)) && (!is_wild || one_in(256))) {
            touch_port(port);
        }
    }
    }
}

int main(void)
{
    seed = given_seed();
    state = random_state(seed);
    find_functions();
    for (uint64_t operations = 0;; operations++) {
        if (operations % SAY_EVERY == 0) {
            say("harm ");
            say_number(seed);
            say(" ");
            say_number(operations);
            say("\n");
            for (unsigned i = 0; i < function_count; i++) {
                put_back(&functions[i]);
            }
        }
        do_harm();
    }
}
