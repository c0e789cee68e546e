/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that notices when something happens to it. It counts timer interrupts, writes blocks of
 * the first IDE disk and reads each back before it writes it again, has frames sent back by a peer
 * on the network, draws on a VGA adapter, and says about once a second how it is: "life TICKS ticks
 * WRITES writes ECHOES echoes ERRORS errors". What it keeps in memory, what is on the disk and what
 * comes back must agree, whatever the host does meanwhile: save, restore, migrate. Lines go to the
 * first serial port, and to port E9h for those who can't read that.
 *
 * A letter from the serial port asks for something:
 *
 * - g: graphics, 640x480, pixel (x, y) as pixel_at() says, the top BAR_LINES in one colour per line
 *   said;
 * - c: read block 16 of the CD in the second channel's first drive, say its first 8 bytes or why
 *   not;
 * - v: read all blocks of the disk, say their sum, leave it alone from then on;
 * - s: suspend to RAM;
 * - o: power off;
 * - r: reset.
 */
#include "guest.h"
#include "life64-network.h"

#define TICKS_PER_SECOND 50
#define BLOCKS           64u /* of the disk that are written */
#define SECTORS          8u  /* of a block */
#define BLOCK_SIZE       (SECTORS * 512)
#define WIDTH            640u
#define HEIGHT           480u
#define BAR_LINES        16u

static volatile unsigned ticks, disk_interrupts, nmis;
static volatile uint8_t last_key;
static unsigned writes, errors, lines_said;

/* Saying. */

static void debug(const char *text)
{
    for (; *text; text++) {
        outb(0xe9, (uint8_t)*text);
    }
}

static void say(const char *text)
{
    print(text);
    debug(text);
}

static void say_number(unsigned value)
{
    char text[DECIMAL_SIZE];

    say(decimal(value, text));
}

static void fail(const char *what, unsigned number)
{
    errors++;
    say("life FAILED: ");
    say(what);
    say(" ");
    say_number(number);
    say("\n");
}

/* Interrupts. */

static void end_of_interrupt(unsigned irq)
{
    if (irq >= 8) {
        outb(0xa0, 0x20);
    }
    outb(0x20, 0x20);
}

static void on_tick(struct frame *frame)
{
    (void)frame;
    ticks++;
    end_of_interrupt(0);
}

static void on_key(struct frame *frame)
{
    (void)frame;
    last_key = inb(0x60);
    end_of_interrupt(1);
}

static uint16_t bus_master;

static void on_disk(struct frame *frame)
{
    (void)frame;
    outb(bus_master + 2, 4); /* the interrupt bit; DMA-capable bits are left off, nobody looks */
    inb(0x1f7);
    disk_interrupts++;
    end_of_interrupt(14);
}

static void on_nmi(struct frame *frame)
{
    (void)frame;
    nmis++;
}

static void start_interrupts(void)
{
    static const uint8_t words[2][4] = {{0x11, 0x20, 4, 1}, {0x11, 0x28, 2, 1}};
    unsigned divisor = 1193182 / TICKS_PER_SECOND;

    handlers[2] = on_nmi;
    handlers[0x20] = on_tick;
    handlers[0x21] = on_key;
    handlers[0x2e] = on_disk;
    for (unsigned i = 0; i < 2; i++) {
        uint16_t port = i ? 0xa0 : 0x20;

        outb(port, words[i][0]);
        for (unsigned word = 1; word < 4; word++) {
            outb(port + 1, words[i][word]);
        }
    }
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)divisor);
    outb(0x40, (uint8_t)(divisor >> 8));
    outb(0x21, 0xf8);
    outb(0xa1, 0xbf);
    asm volatile("sti");
}

/* PCI. */

/* The address of a function's configuration space, on bus 0; 0: there is none. */
static uint32_t find_function(uint32_t id)
{
    for (uint32_t function = 1; function < 256; function++) {
        uint32_t found = config_read(function << 8);

        if (found == id) {
            return function << 8;
        }
        if (found == 0xffffffff && function % 8 == 0) {
            function += 7; /* no function 0: no others */
        }
    }
    return 0;
}

/* The disk. */

static struct {
    uint32_t address;
    uint16_t length, flags;
} descriptor __attribute__((aligned(8)));
static uint32_t buffer[BLOCK_SIZE / 4] __attribute__((aligned(PAGE))); /* what is written */
/* What was read last of each block, and how often it had been written then: pages that nobody
 * writes but the device model. */
static uint32_t seen[BLOCKS][BLOCK_SIZE / 4] __attribute__((aligned(PAGE)));
static unsigned seen_generations[BLOCKS];
static unsigned generations[BLOCKS]; /* how often each was written */

static uint32_t word_at(unsigned block, unsigned generation, unsigned i)
{
    uint32_t hash = (block * 0x9e3779b1u ^ generation * 0x85ebca6bu ^ i * 0xc2b2ae35u) + i;

    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    return hash ^ hash >> 13;
}

static bool wait_for_disk(unsigned before)
{
    unsigned began = ticks;

    while (disk_interrupts == before) {
        asm volatile("hlt"); /* at the latest until the next tick */
        if (ticks - began > 600 * TICKS_PER_SECOND) {
            return false;
        }
    }
    return true;
}

static void send_disk_command(unsigned block, uint8_t command)
{
    uint32_t sector = block * SECTORS;

    outb(0x1f6, 0xe0);
    while (inb(0x1f7) & 0x88) {
        asm volatile("pause");
    }
    outb(0x1f2, SECTORS);
    outb(0x1f3, (uint8_t)sector);
    outb(0x1f4, (uint8_t)(sector >> 8));
    outb(0x1f5, (uint8_t)(sector >> 16));
    outb(0x1f7, command);
}

static void transfer_by_dma(unsigned block, uint32_t *memory, bool is_write)
{
    unsigned before = disk_interrupts;
    uint8_t direction = is_write ? 0 : 8;

    descriptor.address = (uint32_t)(uintptr_t)memory;
    descriptor.length = BLOCK_SIZE;
    descriptor.flags = 0x8000;
    outl(bus_master + 4, (uint32_t)(uintptr_t)&descriptor);
    outb(bus_master, direction);
    outb(bus_master + 2, 6);
    send_disk_command(block, is_write ? 0xca : 0xc8);
    outb(bus_master, direction | 1);
    if (!wait_for_disk(before) || inb(0x1f7) & 0x21 || inb(bus_master + 2) & 2) {
        fail("DMA of block", block);
    }
    outb(bus_master, 0);
}

/* By ports, an interrupt for each sector. */
static void read_by_ports(unsigned block)
{
    uint8_t *to = (uint8_t *)seen[block];
    unsigned before = disk_interrupts;

    send_disk_command(block, 0x20);
    for (unsigned sector = 0; sector < SECTORS; sector++, to += 512) {
        unsigned count = 128;
        uint8_t *at = to;

        if (!wait_for_disk(before + sector) || !(inb(0x1f7) & 8)) {
            fail("sector of block", block);
            return;
        }
        asm volatile("cld; rep insl" : "+D"(at), "+c"(count) : "d"(0x1f0) : "memory");
    }
}

static void check_seen(unsigned block, const char *what)
{
    for (unsigned i = 0; i < BLOCK_SIZE / 4; i++) {
        if (seen[block][i] != word_at(block, seen_generations[block], i)) {
            fail(what, block);
            break;
        }
    }
}

static void check_block(unsigned block, bool by_ports)
{
    if (seen_generations[block]) {
        check_seen(block, "memory that block was read to");
    }
    if (by_ports) {
        read_by_ports(block);
    } else {
        transfer_by_dma(block, seen[block], false);
    }
    seen_generations[block] = generations[block];
    check_seen(block, "content of block");
}

static void write_block(unsigned block)
{
    generations[block]++;
    for (unsigned i = 0; i < BLOCK_SIZE / 4; i++) {
        buffer[i] = word_at(block, generations[block], i);
    }
    transfer_by_dma(block, buffer, true);
    writes++;
}

/* FNV-1a over the 32-bit words of all blocks, as the disk has them. It is left alone then. */
static void say_sum(void)
{
    uint32_t sum = 0x811c9dc5;

    for (unsigned block = 0; bus_master && block < BLOCKS; block++) {
        if (generations[block]) {
            check_block(block, false);
        } else {
            transfer_by_dma(block, seen[block], false);
        }
        for (unsigned i = 0; i < BLOCK_SIZE / 4; i++) {
            sum = (sum ^ seen[block][i]) * 0x01000193;
        }
    }
    bus_master = 0;
    say("life sum ");
    say_number(sum);
    say("\n");
}

static void use_disk(void)
{
    static uint32_t state = 1;
    unsigned block;

    if (!bus_master) {
        return;
    }
    state = state * 1664525 + 1013904223;
    block = state >> 24 & (BLOCKS - 1);
    if (generations[block]) {
        check_block(block, state >> 23 & 1);
    }
    write_block(block);
}

static void find_disk(void)
{
    uint32_t function = find_function(0x70108086);

    outb(0x1f6, 0xe0);
    if (!function || inb(0x1f7) == 0xff || !(inb(0x1f7) & 0x40)) {
        return; /* none, and nothing to do with it */
    }
    config_write(function | 4, config_read(function | 4) | 5);
    bus_master = (uint16_t)(config_read(function | 0x20) & 0xfff0);
    outb(0x3f6, 0);
}

/* The CD. */

static bool wait_for_cd(uint8_t wanted)
{
    uint8_t status;

    do {
        status = inb(0x177);
    } while (status & 0x80);
    return (status & (wanted | 1)) == wanted;
}

static void send_packet(const uint8_t packet[12], unsigned length)
{
    outb(0x176, 0xa0);
    outb(0x376, 2); /* no interrupts */
    outb(0x171, 0);
    outb(0x174, (uint8_t)length);
    outb(0x175, (uint8_t)(length >> 8));
    outb(0x177, 0xa0);
    if (wait_for_cd(8)) {
        for (unsigned i = 0; i < 12; i += 2) {
            asm volatile("outw %w0, %w1"
                         :
                         : "a"(packet[i] | packet[i + 1] << 8), "d"((uint16_t)0x170));
        }
    }
}

static void read_cd(void)
{
    static const uint8_t read[12] = {0x28, 0, 0, 0, 0, 16, 0, 0, 1};
    static uint16_t block[1024];
    uint16_t *at = block;
    unsigned count = 1024;
    uint8_t sense = 0;

    /* A change of medium is told once; so is that the drive was reset. */
    for (unsigned i = 0; i < 3; i++) {
        send_packet(read, 2048);
        if (wait_for_cd(8)) {
            asm volatile("cld; rep insw" : "+D"(at), "+c"(count) : "d"(0x170) : "memory");
            ((char *)block)[8] = 0;
            say("life CD ");
            say((char *)block);
            say("\n");
            return;
        }
        sense = inb(0x171) >> 4;
    }
    say("life CD sense ");
    say_number(sense);
    say("\n");
}

/* The screen. */

static volatile uint32_t *frame_buffer;

static uint32_t pixel_at(unsigned x, unsigned y)
{
    return (x & 0xff) | (y & 0xff) << 8 | ((x ^ y) & 0xff) << 16;
}

static void set_display(uint16_t index, uint16_t value)
{
    asm volatile("outw %w0, %w1" : : "a"(index), "d"((uint16_t)0x1ce));
    asm volatile("outw %w0, %w1" : : "a"(value), "d"((uint16_t)0x1cf));
}

static void draw_bar(void)
{
    for (unsigned i = 0; frame_buffer && i < BAR_LINES * WIDTH; i++) {
        frame_buffer[i] = lines_said;
    }
}

static void start_graphics(void)
{
    uint32_t function = find_function(0x11111234);

    if (!function) {
        say("life graphics none\n");
        return;
    }
    frame_buffer = (uint32_t *)(uintptr_t)(config_read(function | 0x10) & ~0xfu);
    set_display(4, 0);
    set_display(1, WIDTH);
    set_display(2, HEIGHT);
    set_display(3, 32);
    set_display(4, 0x41);
    inb(0x3da);
    outb(0x3c0, 0x20);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) {
        frame_buffer[i] = pixel_at(i % WIDTH, i / WIDTH);
    }
    draw_bar();
    say("life graphics drawn\n");
}

/* In the text mode that firmware left. */
static void draw_text(void)
{
    static const char text[] = "life64 draws text";
    volatile uint16_t *screen = (uint16_t *)0xb8000;

    for (unsigned i = 0; i < 80 * 25; i++) {
        screen[i] = 0x0720;
    }
    for (unsigned i = 0; text[i]; i++) {
        screen[12 * 80 + 30 + i] = 0x1e00 | (uint8_t)text[i];
    }
}

/* What comes from outside. */

static uint16_t pm_base;

static void power_off(void)
{
    asm volatile("outw %w0, %w1" : : "a"(1u << 13), "d"((uint16_t)(pm_base + 4)));
}

static void find_power_management(void)
{
    uint32_t function = find_function(0x71138086);

    pm_base = function ? (uint16_t)(config_read(function | 0x40) & 0xffc0) : 0;
}

static void look_at_buttons(void)
{
    uint16_t status;

    if (!pm_base) {
        return;
    }
    asm volatile("inw %w1, %w0" : "=a"(status) : "d"(pm_base));
    asm volatile("outw %w0, %w1" : : "a"(status & 0x300), "d"(pm_base));
    if (status & 0x200) {
        say("life sleep button\n");
    }
    if (status & 0x100) {
        say("life power button\n");
        power_off();
    }
}

/* Suspend to RAM (ACPI 6.4, 16.1.3): devices forget all, and firmware enters the waking vector. */

static struct {
    uint32_t function, registers[36];
} kept[4];

static void keep_function(unsigned i, uint32_t id)
{
    kept[i].function = find_function(id);
    for (uint32_t n = 0; kept[i].function && n < sizeof(kept[i].registers) / 4; n++) {
        kept[i].registers[n] = config_read(kept[i].function | n * 4);
    }
}

/* What lets accesses in comes last; 40h and 80h are the ports of power management, and their
 * switch. */
static void give_back_function(unsigned i)
{
    static const uint8_t order[] = {0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x3c, 0x40, 0x80, 0x04};

    for (unsigned n = 0; kept[i].function && n < sizeof(order); n++) {
        config_write(kept[i].function | order[n], kept[i].registers[order[n] / 4]);
    }
}

static bool begins_with(const uint8_t *bytes, const char *text)
{
    while (*text && *bytes++ == (uint8_t)*text) {
        text++;
    }
    return !*text;
}

static const uint8_t *find_table(uint32_t root, const char *signature)
{
    uint32_t length = *(uint32_t *)(uintptr_t)(root + 4);

    for (uint32_t at = 36; at + 4 <= length; at += 4) {
        const uint8_t *table = (uint8_t *)(uintptr_t) * (uint32_t *)(uintptr_t)(root + at);

        if (begins_with(table, signature)) {
            return table;
        }
    }
    return NULL;
}

/* Of the table (FACS) in which firmware looks for the waking vector. */
static uint8_t *find_facs(void)
{
    for (uint32_t at = 0xe0000; at < 0x100000; at += 16) {
        if (begins_with((uint8_t *)(uintptr_t)at, "RSD PTR ")) {
            const uint8_t *fadt = find_table(*(uint32_t *)(uintptr_t)(at + 16), "FACP");

            return fadt ? (uint8_t *)(uintptr_t) * (uint32_t *)(fadt + 36) : NULL;
        }
    }
    return NULL;
}

static void live(void) __attribute__((noreturn));

static void wake_up(unsigned index)
{
    (void)index;
    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        give_back_function(i);
    }
    start_network(nic.ports ? find_function(NIC_ID) : 0);
    start_interrupts();
    say("life woken\n");
    live();
}

static void sleep_in_ram(void)
{
    static const uint32_t ids[] = {0x70108086, 0x71138086, 0x11111234, NIC_ID};
    uint8_t *facs = find_facs();

    if (!facs || !pm_base) {
        say("life sleep impossible\n");
        return;
    }
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        keep_function(i, ids[i]);
    }
    *(volatile uint32_t *)(facs + 12) = prepare_real_mode_entry(wake_up);
    say("life sleeps\n");
    asm volatile("cli");
    asm volatile("outw %w0, %w1" : : "a"(1u << 13 | 1u << 10), "d"((uint16_t)(pm_base + 4)));
    for (;;) {
        asm volatile("hlt");
    }
}

/* Which processors are plugged in, if that can change. */
static void look_at_processors(void)
{
    static uint8_t known;
    uint8_t now = inb(0xaf00);

    if (now != known && now != 0xff) {
        known = now;
        say("life processors ");
        say_number(now);
        say("\n");
    }
}

static void obey(uint8_t letter)
{
    switch (letter) {
    case 'g':
        start_graphics();
        break;
    case 'c':
        read_cd();
        break;
    case 'v':
        say_sum();
        break;
    case 'o':
        power_off();
        break;
    case 'r':
        outb(0x64, 0xfe);
        break;
    case 's':
        sleep_in_ram();
        break;
    default:
        break;
    }
}

static void look_around(void)
{
    static unsigned nmis_said;

    while (inb(0x3fd) & 1) {
        obey(inb(0x3f8));
    }
    if (nmis != nmis_said) {
        nmis_said = nmis;
        say("life NMI\n");
    }
    if (last_key) {
        say("life key ");
        say_number(last_key);
        say("\n");
        last_key = 0;
    }
    look_at_buttons();
    look_at_processors();
}

static void say_how_it_is(void)
{
    static unsigned next;

    if ((int)(ticks - next) < 0) {
        return;
    }
    next = ticks + TICKS_PER_SECOND;
    lines_said++;
    say("life ");
    say_number(ticks);
    say(" ticks ");
    say_number(writes);
    say(" writes ");
    say_number(nic.echoes);
    say(" echoes ");
    say_number(errors);
    say(" errors\n");
    draw_bar();
}

static void live(void)
{
    for (;;) {
        const char *wrong = use_network(ticks);

        if (wrong) {
            fail(wrong, nic.echoes);
        }
        use_disk();
        look_around();
        say_how_it_is();
        if (!bus_master) {
            asm volatile("hlt");
        }
    }
}

int main(void)
{
    find_disk();
    start_network(find_function(NIC_ID));
    find_power_management();
    draw_text();
    start_interrupts();
    say("life begins\n");
    live();
}
