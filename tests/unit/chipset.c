/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chipset of board pc: configuration mechanism 1, shadow RAM, PIRQ routing, reset port, ACPI.
 */
#include "dm/isa/reset-control.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"
#include "unit/fake-machine.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <string.h>

#define PM_BASE 0x600u

struct chipset_test {
    struct fake_engine engine;
    struct machine *machine;
    struct memory_region memory, rom;
    struct pci_bus *bus;
    struct pci_device *host, *isa, *pm;
    uint32_t gsi;         /* levels */
    unsigned changes[24]; /* of each */
};

static void on_gsi(void *opaque, unsigned number, bool level)
{
    struct chipset_test *test = opaque;

    test->changes[number]++;
    test->gsi = (test->gsi & ~(1u << number)) | (unsigned)level << number;
}

static struct pci_device *create(struct chipset_test *test, const char *class, const char *address,
                                 const char *multifunction)
{
    struct device *device = device_create(test->machine, class, pci_bus_base(test->bus), NULL,
                                          "addr", address, "multifunction", multifunction, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    return (struct pci_device *)device;
}

static void chipset_test_init(struct chipset_test *test)
{
    struct device *reset;

    memset(test, 0, sizeof(*test));
    test->machine = fake_machine_new(&test->engine);
    machine_clock_set_manual(test->machine->clock);
    for (unsigned i = 0; i < MACHINE_GSI_COUNT; i++) {
        test->machine->gsi[i] = (struct irq_line){on_gsi, test, i};
    }
    memory_region_init_container(&test->memory, "pci", MACHINE_MEMORY_SIZE);
    memory_region_add_subregion_overlap(&test->machine->system_memory, 0, &test->memory, -1);
    /* "Firmware" in the PCI space of A0000h to FFFFFh: all bytes AAh. */
    CU_ASSERT_TRUE_FATAL(memory_region_init_rom(&test->rom, "rom", 0x60000, NULL));
    memset(memory_region_host_pointer(&test->rom), 0xaa, 0x60000);
    memory_region_add_subregion(&test->memory, 0xa0000, &test->rom);
    test->bus = pci_bus_new(test->machine, &test->memory, &test->machine->system_io);
    test->host = create(test, "i440FX-pcihost", "0", "off");
    reset = device_create(test->machine, "reset-control", test->machine->system_bus, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(reset);
    i440fx_set_reset_port(test->host, reset_control_region(reset));
    test->isa = create(test, "PIIX3", "1.0", "on");
    test->pm = create(test, "PIIX4_PM", "1.3", "off");
}

static void chipset_test_destroy(struct chipset_test *test)
{
    CU_ASSERT_FALSE(test->engine.confused);
    pci_bus_free(test->bus);
    memory_region_destroy(&test->rom);
    memory_region_destroy(&test->memory);
    fake_machine_free(test->machine);
}

static void out(struct chipset_test *test, unsigned port, unsigned size, uint32_t value)
{
    address_space_store(&test->machine->as_io, port, size, MEMORY_ATTRIBUTES_CPU, value);
}

static uint32_t in(struct chipset_test *test, unsigned port, unsigned size)
{
    uint64_t value;

    address_space_load(&test->machine->as_io, port, size, MEMORY_ATTRIBUTES_CPU, &value);
    return (uint32_t)value;
}

static void config_write(struct chipset_test *test, struct pci_device *device, unsigned offset,
                         unsigned size, uint32_t value)
{
    out(test, 0xcf8, 4, 0x80000000u | (uint32_t)device->devfn << 8 | (offset & 0xfc));
    out(test, 0xcfc + (offset & 3), size, value);
}

static uint32_t config_read(struct chipset_test *test, struct pci_device *device, unsigned offset,
                            unsigned size)
{
    out(test, 0xcf8, 4, 0x80000000u | (uint32_t)device->devfn << 8 | (offset & 0xfc));
    return in(test, 0xcfc + (offset & 3), size);
}

static unsigned peek(struct chipset_test *test, uint64_t address)
{
    uint64_t value;

    address_space_load(&test->machine->as_memory, address, 1, MEMORY_ATTRIBUTES_CPU, &value);
    return (unsigned)value;
}

static void poke(struct chipset_test *test, uint64_t address, uint8_t value)
{
    address_space_store(&test->machine->as_memory, address, 1, MEMORY_ATTRIBUTES_CPU, value);
}

/* The byte of RAM there, whoever answers at the address. */
static uint8_t *ram(struct chipset_test *test, uint64_t address)
{
    return (uint8_t *)memory_region_host_pointer(&test->machine->ram) + address;
}

static void test_mechanism_1(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    CU_ASSERT_EQUAL(config_read(&test, test.host, 0, 4), 0x12378086);
    CU_ASSERT_EQUAL(config_read(&test, test.isa, 2, 2), 0x7000);
    CU_ASSERT_EQUAL(config_read(&test, test.pm, 3, 1), 0x71);
    CU_ASSERT_EQUAL(config_read(&test, test.host, PCI_CLASS_CODE, 1), 0);
    CU_ASSERT_EQUAL(config_read(&test, test.host, 0x0b, 1), 6);
    CU_ASSERT_EQUAL(config_read(&test, test.isa, PCI_HEADER_TYPE, 1), 0x80);
    CU_ASSERT_EQUAL(config_read(&test, test.host, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
    /* CONFADD holds what the datasheet says that it holds, and takes dwords only. */
    out(&test, 0xcf8, 4, 0xffffffff);
    CU_ASSERT_EQUAL(in(&test, 0xcf8, 4), 0x80fffffc);
    out(&test, 0xcf8, 4, 0x80000000);
    out(&test, 0xcfb, 1, 0x01);
    out(&test, 0xcf8, 2, 0x1234);
    CU_ASSERT_EQUAL(in(&test, 0xcf8, 4), 0x80000000);
    CU_ASSERT_EQUAL(in(&test, 0xcf8, 1), 0xff);
    CU_ASSERT_EQUAL(in(&test, 0xcfc, 4), 0x12378086);
    CU_ASSERT_EQUAL(in(&test, 0xcfd, 2), 0x3780);
    CU_ASSERT_EQUAL(in(&test, 0xcff, 1), 0x12);
    /* Not enabled; another bus; nothing there. */
    out(&test, 0xcf8, 4, 0);
    CU_ASSERT_EQUAL(in(&test, 0xcfc, 4), 0xffffffff);
    out(&test, 0xcfc, 4, 0);
    out(&test, 0xcf8, 4, 0x80010000);
    CU_ASSERT_EQUAL(in(&test, 0xcfc, 2), 0xffff);
    out(&test, 0xcf8, 4, 0x8000f800);
    CU_ASSERT_EQUAL(in(&test, 0xcfc, 4), 0xffffffff);
    chipset_test_destroy(&test);
}

/* Register and shift of the PAM nibble of a segment: 82441FX datasheet, table 4. */
static const struct {
    uint32_t start, last;
    uint8_t offset, shift;
} pam_table[] = {
    {0xf0000, 0xfffff, 0x59, 4}, {0xc0000, 0xc3fff, 0x5a, 0}, {0xc4000, 0xc7fff, 0x5a, 4},
    {0xc8000, 0xcbfff, 0x5b, 0}, {0xcc000, 0xcffff, 0x5b, 4}, {0xd0000, 0xd3fff, 0x5c, 0},
    {0xd4000, 0xd7fff, 0x5c, 4}, {0xd8000, 0xdbfff, 0x5d, 0}, {0xdc000, 0xdffff, 0x5d, 4},
    {0xe0000, 0xe3fff, 0x5e, 0}, {0xe4000, 0xe7fff, 0x5e, 4}, {0xe8000, 0xebfff, 0x5f, 0},
    {0xec000, 0xeffff, 0x5f, 4},
};

static void check_segment(struct chipset_test *test, uint32_t address, bool reads_ram,
                          bool writes_ram)
{
    *ram(test, address) = 0x11;
    CU_ASSERT_EQUAL(peek(test, address), reads_ram ? 0x11 : 0xaa);
    poke(test, address, 0x22);
    CU_ASSERT_EQUAL(*ram(test, address), writes_ram ? 0x22 : 0x11);
    CU_ASSERT_EQUAL(peek(test, address), !reads_ram ? 0xaa : writes_ram ? 0x22 : 0x11);
}

static void test_pam(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    for (unsigned i = 0; i < G_N_ELEMENTS(pam_table); i++) {
        for (unsigned mode = 0; mode < 4; mode++) {
            unsigned offset = pam_table[i].offset;
            uint32_t other = (i + 1) % 13;

            config_write(&test, test.host, offset, 1, mode << pam_table[i].shift);
            check_segment(&test, pam_table[i].start, mode & 1, mode & 2);
            check_segment(&test, pam_table[i].last, mode & 1, mode & 2);
            check_segment(&test, pam_table[other].start, false, false);
        }
        config_write(&test, test.host, pam_table[i].offset, 1, 0);
    }
    /* All at once by a dword, a word in write-only mode, and reset. */
    config_write(&test, test.host, 0x5c, 4, 0x33333333);
    check_segment(&test, 0xd0000, true, true);
    check_segment(&test, 0xeffff, true, true);
    config_write(&test, test.host, 0x5c, 1, 0x02);
    address_space_store(&test.machine->as_memory, 0xd0ffd, 8, MEMORY_ATTRIBUTES_CPU,
                        0x0807060504030201);
    CU_ASSERT_EQUAL(memcmp(ram(&test, 0xd0ffd), "\1\2\3\4\5\6\7\10", 8), 0);
    device_reset(&test.host->device);
    check_segment(&test, 0xd0000, false, false);
    check_segment(&test, 0xeffff, false, false);
    chipset_test_destroy(&test);
}

static void test_smram(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    check_segment(&test, 0xa0000, false, false);
    check_segment(&test, 0xbffff, false, false);
    config_write(&test, test.host, 0x72, 1, 0x4a);
    check_segment(&test, 0xa0000, true, true);
    CU_ASSERT_EQUAL(config_read(&test, test.host, 0x72, 1), 0x4a);
    /* The lock closes it for good. */
    config_write(&test, test.host, 0x72, 1, 0x5a);
    CU_ASSERT_EQUAL(config_read(&test, test.host, 0x72, 1), 0x1a);
    config_write(&test, test.host, 0x72, 1, 0x4a);
    CU_ASSERT_EQUAL(config_read(&test, test.host, 0x72, 1), 0x1a);
    check_segment(&test, 0xa0000, false, false);
    device_reset(&test.host->device);
    CU_ASSERT_EQUAL(config_read(&test, test.host, 0x72, 1), 0x02);
    config_write(&test, test.host, 0x72, 1, 0x42);
    check_segment(&test, 0xbffff, true, true);
    chipset_test_destroy(&test);
}

static void test_pirq_routing(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    CU_ASSERT_EQUAL(config_read(&test, test.isa, 0x60, 4), 0x80808080);
    /* The PM function has pin A in slot 1: PIRQA. */
    pci_set_interrupt(test.pm, true);
    CU_ASSERT_EQUAL(test.gsi, 0);
    config_write(&test, test.isa, 0x60, 1, 0x0b);
    CU_ASSERT_EQUAL(test.gsi, 1u << 11);
    config_write(&test, test.isa, 0x60, 1, 0x0a); /* moved while it is asserted */
    CU_ASSERT_EQUAL(test.gsi, 1u << 10);
    config_write(&test, test.isa, 0x60, 1, 0x8a);
    CU_ASSERT_EQUAL(test.gsi, 0);
    config_write(&test, test.isa, 0x60, 1, 0x08); /* reserved */
    CU_ASSERT_EQUAL(test.gsi, 0);
    CU_ASSERT_EQUAL(config_read(&test, test.isa, 0x60, 1), 0x08);
    config_write(&test, test.isa, 0x60, 4, 0x7f7f7f7f); /* bits 6:4 don't exist */
    CU_ASSERT_EQUAL(config_read(&test, test.isa, 0x60, 4), 0x0f0f0f0f);
    CU_ASSERT_EQUAL(test.gsi, 1u << 15);
    pci_set_interrupt(test.pm, false);
    CU_ASSERT_EQUAL(test.gsi, 0);
    device_reset(&test.isa->device);
    CU_ASSERT_EQUAL(config_read(&test, test.isa, 0x60, 4), 0x80808080);
    chipset_test_destroy(&test);
}

/* PIRQA on interrupt 9, which is SCI's: the level is the OR of both. */
static void test_sci_is_shared(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    machine_start(test.machine);
    piix4_pm_enable(test.pm, PM_BASE);
    config_write(&test, test.isa, 0x60, 1, 0x09);
    pci_set_interrupt(test.pm, true);
    CU_ASSERT_EQUAL(test.gsi, 1u << 9);
    out(&test, 0xb2, 1, CHIPSET_ACPI_ENABLE);
    out(&test, PM_BASE + 2, 2, 0x0100);
    machine_request_powerdown(test.machine);
    event_base_loop(test.machine->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    pci_set_interrupt(test.pm, false);
    CU_ASSERT_EQUAL(test.gsi, 1u << 9);
    CU_ASSERT_EQUAL(test.changes[9], 1);
    out(&test, PM_BASE, 2, 0x0100);
    CU_ASSERT_EQUAL(test.gsi, 0);
    chipset_test_destroy(&test);
}

static void test_reset_port(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    machine_start(test.machine);
    out(&test, 0xcf8, 4, 0x80000800);
    out(&test, 0xcf9, 1, 0x02);
    CU_ASSERT_EQUAL(in(&test, 0xcf9, 1), 0x02);
    CU_ASSERT_EQUAL(in(&test, 0xcf8, 4), 0x80000800); /* CONFADD was not touched */
    CU_ASSERT_FALSE(test.machine->vcpus_held);
    out(&test, 0xcf9, 1, 0x06);
    CU_ASSERT_TRUE(test.machine->vcpus_held);
    event_base_loop(test.machine->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    CU_ASSERT_EQUAL(test.engine.resets, 1);
    CU_ASSERT_EQUAL(in(&test, 0xcf9, 1), 0);
    CU_ASSERT_EQUAL(in(&test, 0xcf8, 4), 0);
    chipset_test_destroy(&test);
}

static void test_pm_block_moves(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    CU_ASSERT_EQUAL(config_read(&test, test.pm, 0x40, 4), 1);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 8, 4), 0xffffffff);
    config_write(&test, test.pm, 0x40, 4, 0xffffb03f);
    CU_ASSERT_EQUAL(config_read(&test, test.pm, 0x40, 4), 0xb001);
    config_write(&test, test.pm, 0x80, 1, 1);
    CU_ASSERT_EQUAL(in(&test, 0xb008, 4), 0);
    config_write(&test, test.pm, 0x40, 4, 0xffc1);
    CU_ASSERT_EQUAL(in(&test, 0xb008, 4), 0xffffffff);
    CU_ASSERT_EQUAL(in(&test, 0xffc8, 4), 0);
    config_write(&test, test.pm, 0x40, 4, 1);
    CU_ASSERT_EQUAL(in(&test, 0xffc8, 4), 0xffffffff);
    config_write(&test, test.pm, 0x40, 4, PM_BASE | 1);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 8, 4), 0);
    device_reset(&test.pm->device);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 8, 4), 0xffffffff);
    chipset_test_destroy(&test);
}

static void test_pm_timer(void)
{
    static const uint64_t times[] = {1, 279, 280, 1000000000, 4686943000, 86400ull * 1000000000};
    struct chipset_test test;

    chipset_test_init(&test);
    piix4_pm_enable(test.pm, PM_BASE);
    for (unsigned i = 0; i < G_N_ELEMENTS(times); i++) {
        uint64_t ticks = (uint64_t)((unsigned __int128)times[i] * 3579545 / 1000000000);

        machine_clock_advance(test.machine->clock, times[i]);
        CU_ASSERT_EQUAL(in(&test, PM_BASE + 8, 4), ticks & 0xffffff);
        CU_ASSERT_EQUAL(in(&test, PM_BASE + 10, 1), (ticks & 0xffffff) >> 16);
    }
    chipset_test_destroy(&test);
}

/* TMR_STS is set, and SCI raised, at the very tick at which bit 23 changes. */
static void test_pm_timer_overflow(void)
{
    const uint64_t half = (((uint64_t)1 << 23) * 1000000000 + 3579544) / 3579545;
    const uint64_t full = (((uint64_t)1 << 24) * 1000000000 + 3579544) / 3579545;
    struct chipset_test test;

    chipset_test_init(&test);
    piix4_pm_enable(test.pm, PM_BASE);
    out(&test, 0xb2, 1, CHIPSET_ACPI_ENABLE);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 4, 2), 1);
    out(&test, PM_BASE + 2, 2, 1);
    machine_clock_advance(test.machine->clock, half - 1);
    CU_ASSERT_EQUAL(in(&test, PM_BASE, 2), 0);
    CU_ASSERT_EQUAL(test.gsi, 0);
    machine_clock_advance(test.machine->clock, half);
    CU_ASSERT_EQUAL(test.gsi, 1u << 9);
    CU_ASSERT_EQUAL(in(&test, PM_BASE, 4), 0x00010001);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 8, 4), 1u << 23);
    out(&test, PM_BASE, 2, 1);
    CU_ASSERT_EQUAL(test.gsi, 0);
    machine_clock_advance(test.machine->clock, full - 1);
    CU_ASSERT_EQUAL(test.gsi, 0);
    machine_clock_advance(test.machine->clock, full);
    CU_ASSERT_EQUAL(test.gsi, 1u << 9);
    /* Not enabled: no interrupt, the status comes all the same. */
    out(&test, PM_BASE, 4, 1);
    CU_ASSERT_EQUAL(test.gsi, 0);
    machine_clock_advance(test.machine->clock, full * 5);
    CU_ASSERT_EQUAL(test.gsi, 0);
    CU_ASSERT_EQUAL(in(&test, PM_BASE, 1), 1);
    /* SCI_EN off: firmware's business. */
    out(&test, 0xb2, 1, CHIPSET_ACPI_DISABLE);
    out(&test, PM_BASE + 2, 1, 1);
    CU_ASSERT_EQUAL(test.gsi, 0);
    out(&test, 0xb2, 1, CHIPSET_ACPI_ENABLE);
    CU_ASSERT_EQUAL(test.gsi, 1u << 9);
    chipset_test_destroy(&test);
}

static void test_power_off(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    machine_start(test.machine);
    piix4_pm_enable(test.pm, PM_BASE);
    out(&test, PM_BASE + 4, 2, 1 << 10 | 0x2000); /* another sleep type */
    CU_ASSERT_FALSE(test.machine->vcpus_held);
    out(&test, PM_BASE + 4, 2, 0);
    out(&test, PM_BASE + 5, 1, 0x20); /* SLP_EN by its byte */
    CU_ASSERT_TRUE(test.machine->vcpus_held);
    CU_ASSERT_EQUAL(machine_run(test.machine), 0);
    chipset_test_destroy(&test);
}

static void test_gpe_and_smbus(void)
{
    struct chipset_test test;

    chipset_test_init(&test);
    out(&test, PIIX4_GPE0_BASE + 2, 2, 0xa5a5);
    CU_ASSERT_EQUAL(in(&test, PIIX4_GPE0_BASE, 4), 0xa5a50000);
    out(&test, PIIX4_GPE0_BASE + 3, 1, 0x12);
    CU_ASSERT_EQUAL(in(&test, PIIX4_GPE0_BASE + 2, 2), 0x12a5);
    /* A transaction on the SMBus ends with an error, which can be cleared. */
    config_write(&test, test.pm, 0x90, 4, 0x701);
    config_write(&test, test.pm, 0xd2, 1, 9);
    CU_ASSERT_EQUAL(in(&test, 0x700, 1), 0);
    out(&test, 0x704, 1, 0xa1);
    CU_ASSERT_EQUAL(in(&test, 0x704, 1), 0xa1);
    out(&test, 0x702, 1, 0x48);
    CU_ASSERT_EQUAL(in(&test, 0x702, 1), 0x08);
    CU_ASSERT_EQUAL(in(&test, 0x700, 1), 0x04);
    out(&test, 0x700, 1, 0x1e);
    CU_ASSERT_EQUAL(in(&test, 0x700, 1), 0);
    chipset_test_destroy(&test);
}

static void test_state(void)
{
    g_autoptr(GByteArray) stream = g_byte_array_new();
    struct chipset_test test;
    struct pci_device *devices[3];
    size_t at = 0, consumed;

    chipset_test_init(&test);
    devices[0] = test.host;
    devices[1] = test.isa;
    devices[2] = test.pm;
    config_write(&test, test.host, 0x5a, 1, 0x33);
    config_write(&test, test.isa, 0x60, 1, 0x0b);
    piix4_pm_enable(test.pm, PM_BASE);
    out(&test, 0xb2, 1, CHIPSET_ACPI_ENABLE);
    out(&test, PM_BASE + 2, 2, 0x0101);
    out(&test, 0xcf8, 4, 0x80000b40);
    for (unsigned i = 0; i < 3; i++) {
        device_save_state(&devices[i]->device, stream);
    }
    for (unsigned i = 0; i < 3; i++) {
        device_reset(&devices[i]->device);
    }
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 2, 2), 0xffff);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_TRUE_FATAL(device_load_state(&devices[i]->device, stream->data + at,
                                               stream->len - at, &consumed, NULL));
        at += consumed;
    }
    CU_ASSERT_EQUAL(at, stream->len);
    CU_ASSERT_EQUAL(in(&test, 0xcf8, 4), 0x80000b40);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 2, 2), 0x0101);
    CU_ASSERT_EQUAL(in(&test, PM_BASE + 4, 2), 1);
    check_segment(&test, 0xc0000, true, true);
    pci_set_interrupt(test.pm, true);
    CU_ASSERT_EQUAL(test.gsi, 1u << 11);
    chipset_test_destroy(&test);
}

/* A guest that writes anything to every port and register of the chipset. */
static void test_random_writes(void)
{
    static const unsigned ports[] = {0xcf8, 0xcfc, 0xcf9, 0x600, 0x604,  0x608, 0x60c,
                                     0x640, 0x700, 0xb2,  0xb3,  0xafe0, 0xafe2};
    g_autoptr(GRand) random = test_seeded_rand();
    struct chipset_test test;

    chipset_test_init(&test);
    machine_start(test.machine);
    for (unsigned round = 0; round < 100000; round++) {
        struct pci_device *device =
            (struct pci_device *[]){test.host, test.isa, test.pm}[g_rand_int_range(random, 0, 3)];
        unsigned size = 1u << g_rand_int_range(random, 0, 3);
        uint32_t value = g_rand_int(random);

        if (g_rand_boolean(random)) {
            config_write(&test, device, (unsigned)g_rand_int_range(random, 0, 256), size, value);
        } else {
            out(&test, ports[g_rand_int_range(random, 0, G_N_ELEMENTS(ports))] + value % 3, size,
                value >> 2);
        }
        poke(&test, 0xa0000 + value % 0x60000, (uint8_t)value);
        if (round % 64 == 0) {
            event_base_loop(test.machine->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
            test.machine->quit = false;
            machine_clock_advance(test.machine->clock, round * 100000000ull);
        }
        CU_ASSERT_EQUAL_FATAL(pci_get(test.host->config, 0, 4), 0x12378086);
        CU_ASSERT_EQUAL_FATAL(pci_get(test.pm->config, 0, 4), 0x71138086);
    }
    for (unsigned i = 0; i < 0x60000; i++) {
        CU_ASSERT_EQUAL_FATAL(((uint8_t *)memory_region_host_pointer(&test.rom))[i], 0xaa);
    }
    chipset_test_destroy(&test);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"configuration mechanism 1", test_mechanism_1},
        {"PAM", test_pam},
        {"SMRAM", test_smram},
        {"PIRQ routing", test_pirq_routing},
        {"SCI shares interrupt 9", test_sci_is_shared},
        {"reset port", test_reset_port},
        {"PM block", test_pm_block_moves},
        {"PM timer", test_pm_timer},
        {"PM timer overflow", test_pm_timer_overflow},
        {"power off", test_power_off},
        {"GPE and SMBus", test_gpe_and_smbus},
        {"state", test_state},
        {"random writes", test_random_writes},
        {NULL, NULL},
    };

    return unit_run("chipset", tests);
}
