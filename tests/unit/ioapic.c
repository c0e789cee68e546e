/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IOAPIC, with real local APICs behind it: dm/intc/ioapic.h. */
#include "dm/intc/ioapic.h"
#include "unit/fixture.h"
#include "unit/seed.h"

#define SELECT (IOAPIC_DEFAULT_BASE + 0x00)
#define WINDOW (IOAPIC_DEFAULT_BASE + 0x10)
#define EOI    (IOAPIC_DEFAULT_BASE + 0x40)

#define LEVEL      0x8000u
#define MASKED     0x10000u
#define REMOTE_IRR 0x4000u
#define LOGICAL    0x800u
#define PIN        14

static uint32_t get(struct fixture *f, unsigned reg)
{
    write32(f, SELECT, reg);
    return read32(f, WINDOW);
}

static void put(struct fixture *f, unsigned reg, uint32_t value)
{
    write32(f, SELECT, reg);
    write32(f, WINDOW, value);
}

static void set_entry(struct fixture *f, unsigned pin, uint32_t low, uint32_t destination)
{
    put(f, 0x11 + 2 * pin, destination << 24);
    put(f, 0x10 + 2 * pin, low);
}

static uint32_t entry_of(struct fixture *f, unsigned pin)
{
    return get(f, 0x10 + 2 * pin);
}

static void set_pin(struct fixture *f, unsigned pin, bool level)
{
    ioapic_set_input(f->machine->ioapic, pin, level);
}

static struct fixture *ioapic_fixture(unsigned smp)
{
    struct fixture *f = fixture_new(smp);

    fixture_add(f, "ioapic", NULL, NULL);
    for (unsigned i = 0; i < smp; i++) {
        local_apic_write(apic_of(f, i), 0xf0, 4, 0x1ff);
        local_apic_write(apic_of(f, i), 0xd0, 4, 0x01000000u << i);
    }
    return f;
}

static void eoi(struct fixture *f, unsigned vcpu)
{
    local_apic_write(apic_of(f, vcpu), 0xb0, 4, 0);
}

static void test_registers(void)
{
    struct fixture *f = ioapic_fixture(1);
    uint64_t value;

    CU_ASSERT_EQUAL(get(f, 1), 0x00170020);
    put(f, 0, 0xffffffff);
    CU_ASSERT_EQUAL(get(f, 0), 0x0f000000);
    CU_ASSERT_EQUAL(get(f, 2), 0x0f000000);
    CU_ASSERT_EQUAL(get(f, 0x40), 0); /* past the last entry */
    CU_ASSERT_EQUAL(entry_of(f, 5), MASKED);
    put(f, 0x11 + 2 * 5, 0xffffffff);
    CU_ASSERT_EQUAL(get(f, 0x11 + 2 * 5), 0xff000000);
    put(f, 0x10 + 2 * 5, 0xffffffff);
    CU_ASSERT_EQUAL(entry_of(f, 5), 0x0001afff);
    write32(f, SELECT, 1);
    address_space_load(&f->machine->as_memory, WINDOW + 2, 1, MEMORY_ATTRIBUTES_CPU, &value);
    CU_ASSERT_EQUAL(value, 0x17);
    address_space_load(&f->machine->as_memory, WINDOW, 8, MEMORY_ATTRIBUTES_CPU, &value);
    CU_ASSERT_EQUAL(value, 0x00170020);
    fixture_free(f);
}

static void test_edge(void)
{
    struct fixture *f = ioapic_fixture(1);

    set_entry(f, PIN, 0x51, 0);
    set_pin(f, PIN, true);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    eoi(f, 0);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0))); /* still high, no new edge */
    set_pin(f, PIN, true);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    set_pin(f, PIN, false);
    set_pin(f, PIN, true);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    CU_ASSERT_EQUAL(local_apic_read(apic_of(f, 0), 0x180 + 0x20, 4), 0); /* TMR */
    fixture_free(f);
}

static void test_masked_edge_is_lost(void)
{
    struct fixture *f = ioapic_fixture(1);

    set_entry(f, PIN, 0x51 | MASKED, 0);
    set_pin(f, PIN, true);
    set_entry(f, PIN, 0x51, 0);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    set_pin(f, PIN, false);
    set_pin(f, PIN, true);
    CU_ASSERT_TRUE(local_apic_has_interrupt(apic_of(f, 0)));
    fixture_free(f);
}

static void test_level(void)
{
    struct fixture *f = ioapic_fixture(1);

    set_entry(f, PIN, 0x51 | LEVEL, 0);
    set_pin(f, PIN, true);
    CU_ASSERT_EQUAL(entry_of(f, PIN), 0x51 | LEVEL | REMOTE_IRR);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    CU_ASSERT_EQUAL(local_apic_read(apic_of(f, 0), 0x180 + 0x20, 4), 1u << 17); /* TMR */
    set_pin(f, PIN, false);
    set_pin(f, PIN, true); /* not again before EOI */
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    eoi(f, 0); /* while the line is high: comes again */
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    CU_ASSERT_TRUE(entry_of(f, PIN) & REMOTE_IRR);
    set_pin(f, PIN, false);
    eoi(f, 0);
    CU_ASSERT_FALSE(entry_of(f, PIN) & REMOTE_IRR);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    fixture_free(f);
}

/* A pin that stays high through one EOI after another does not starve what is interrupted. */
static void test_storm_pauses(void)
{
    struct fixture *f = ioapic_fixture(1);
    struct machine_clock *clock = f->machine->clock;
    unsigned count = 0;

    set_entry(f, PIN, 0x51 | LEVEL, 0);
    set_pin(f, PIN, true);
    while (local_apic_has_interrupt(apic_of(f, 0)) && count < 100000) {
        CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
        eoi(f, 0);
        count++;
    }
    CU_ASSERT(count > 100 && count < 100000);
    set_pin(f, PIN, true); /* nothing new */
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    machine_clock_advance(clock, machine_clock_now(clock) + 10000000);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    set_pin(f, PIN, false);
    eoi(f, 0);
    set_pin(f, PIN, true); /* a new one is not held up */
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    fixture_free(f);
}

static void test_level_mask(void)
{
    struct fixture *f = ioapic_fixture(1);

    set_entry(f, PIN, 0x51 | LEVEL | MASKED, 0);
    set_pin(f, PIN, true);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    set_entry(f, PIN, 0x51 | LEVEL, 0); /* a level is not lost */
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    set_entry(f, PIN, 0x51 | LEVEL | MASKED, 0);
    CU_ASSERT_TRUE(entry_of(f, PIN) & REMOTE_IRR);
    eoi(f, 0);
    CU_ASSERT_FALSE(entry_of(f, PIN) & REMOTE_IRR);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    set_entry(f, PIN, 0x51 | LEVEL, 0);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    fixture_free(f);
}

static void test_reconfigured_in_service(void)
{
    struct fixture *f = ioapic_fixture(1);

    set_entry(f, PIN, 0x51 | LEVEL, 0);
    set_pin(f, PIN, true);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    set_pin(f, PIN, false);
    set_entry(f, PIN, 0x51, 0); /* edge-triggered: Remote IRR has no meaning any more */
    CU_ASSERT_EQUAL(entry_of(f, PIN), 0x51);
    eoi(f, 0);
    set_entry(f, PIN, 0x61 | LEVEL, 0);
    set_pin(f, PIN, true);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x61);
    fixture_free(f);
}

static void test_eoi_register(void)
{
    struct fixture *f = ioapic_fixture(1);

    local_apic_write(apic_of(f, 0), 0xf0, 4, 0x11ff); /* suppress the EOI broadcast */
    set_entry(f, PIN, 0x51 | LEVEL, 0);
    set_pin(f, PIN, true);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    eoi(f, 0);
    CU_ASSERT_TRUE(entry_of(f, PIN) & REMOTE_IRR);
    write32(f, EOI, 0x52); /* another vector */
    CU_ASSERT_TRUE(entry_of(f, PIN) & REMOTE_IRR);
    write32(f, EOI, 0x51);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    fixture_free(f);
}

static void test_nobody_there(void)
{
    struct fixture *f = ioapic_fixture(1);

    set_entry(f, PIN, 0x51 | LEVEL, 9);
    set_pin(f, PIN, true);
    CU_ASSERT_FALSE(entry_of(f, PIN) & REMOTE_IRR); /* nobody took it */
    set_entry(f, PIN, 0x51 | LEVEL, 0);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    fixture_free(f);
}

static void test_destinations(void)
{
    struct fixture *f = ioapic_fixture(4);

    set_entry(f, PIN, 0x51 | LOGICAL, 0x0a);
    set_pin(f, PIN, true);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, i)), i & 1 ? 0x51 : -1);
    }
    set_entry(f, 3, 0x61, 0xff); /* physical broadcast */
    set_pin(f, 3, true);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, i)), 0x61);
    }
    local_apic_set_cr8(apic_of(f, 0), 7);
    set_entry(f, 4, 0x71 | LOGICAL | APIC_LOWEST << 8, 0x0d); /* 0, 2 and 3 */
    for (unsigned i = 0; i < 4; i++) {
        eoi(f, i);
        eoi(f, i);
    }
    set_pin(f, 4, true);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 2)), 0x71);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 3)), -1);
    fixture_free(f);
}

static void test_delivery_modes(void)
{
    static const struct {
        enum apic_delivery delivery;
        uint32_t signal;
    } modes[] = {{APIC_NMI, VCPU_SIGNAL_NMI},
                 {APIC_SMI, VCPU_SIGNAL_SMI},
                 {APIC_INIT, VCPU_SIGNAL_INIT},
                 {APIC_EXTINT, VCPU_SIGNAL_INTERRUPT}};
    struct fixture *f = ioapic_fixture(2);

    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        /* Level in these modes is taken as edge. */
        set_entry(f, PIN, LEVEL | (uint32_t)modes[i].delivery << 8, 1);
        take_signals(f, 1);
        set_pin(f, PIN, true);
        CU_ASSERT_EQUAL(take_signals(f, 1), modes[i].signal);
        CU_ASSERT_FALSE(entry_of(f, PIN) & REMOTE_IRR);
        set_pin(f, PIN, false);
    }
    fixture_free(f);
}

static void test_random_access(void)
{
    struct fixture *f = ioapic_fixture(2);
    GRand *random = test_seeded_rand();

    for (unsigned i = 0; i < 10000; i++) {
        put(f, g_rand_int(random) % 0x48, g_rand_int(random));
        set_pin(f, g_rand_int(random) % 26, g_rand_boolean(random));
        local_apic_acknowledge(apic_of(f, i & 1));
        eoi(f, i & 1);
    }
    fixture_random_access(f, &f->machine->as_memory, IOAPIC_DEFAULT_BASE, 0x1000, 10000);
    CU_ASSERT_TRUE(fixture_state_survives((struct device *)f->machine->ioapic));
    device_reset((struct device *)f->machine->ioapic);
    CU_ASSERT_EQUAL(entry_of(f, 0), MASKED);
    g_rand_free(random);
    fixture_free(f);
}

static const struct unit_test tests[] = {
    {"registers and their writable bits", test_registers},
    {"edge", test_edge},
    {"an edge is lost while masked", test_masked_edge_is_lost},
    {"level, Remote IRR and EOI", test_level},
    {"level and mask", test_level_mask},
    {"reconfigured in service", test_reconfigured_in_service},
    {"a storm pauses", test_storm_pauses},
    {"EOI register", test_eoi_register},
    {"a level that nobody took", test_nobody_there},
    {"destinations", test_destinations},
    {"delivery modes", test_delivery_modes},
    {"random accesses", test_random_access},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("ioapic", tests);
}
