/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passing a function through to a Xen domain: what Xen is asked for, and what the guest sees. */
#include "unit/xen-passthrough-fixture.h"

#include "backend-xen/passthrough/xen-message.h"
#include "unit/suite.h"

#include <unistd.h>

#define HOST  "0000:00:05.0"
#define SLOT  4u
#define GUEST 0xe0000000u
#define PIN   "pirq 21;pin 21 to 4.0;"
#define UNPIN "unpin 21 from 4.0;drop 21;"

static const struct host_options plain = {.memory_size = 0x100000};
static const struct host_options with_msix = {.memory_size = 0x4000, .has_msix = true};

static void open_memory(struct pt_test *test, uint32_t address)
{
    pt_write(test, SLOT, PCI_BASE_ADDRESS_0, 4, address);
    pt_write(test, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static struct device *begin(struct pt_test *test, const struct host_options *options)
{
    struct device *device;

    pt_test_init(test);
    put_function(test, HOST, options);
    device = pt_add(test, HOST, "4", false, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    return device;
}

static void test_message(void)
{
    static const struct {
        uint64_t address;
        uint32_t data;
        uint8_t vector;
        uint32_t flags, pirq;
    } cases[] = {
        {0xfee00000, 0x0041, 0x41, 0, 0},
        {0xfee0300c, 0x4142, 0x42, 0x1303, 0}, /* CPU 3, logical, redirected; lowest priority */
        {0xfeeff000, 0xc050, 0x50, 0x80ff, 0}, /* level-triggered, asserted */
        {0xfee00000, 0x0000, 0x00, 0, 0},
        {0xfee37000, 0x4300, 0x00, 0x3037, 0x37},
        {0x10000fee37000, 0x4300, 0x00, 0x3037, 0x10037}, /* more than 8 bits */
        {0xfee37000, 0x0700, 0x00, 0x7037, 0x37},         /* Linux since 5.11 */
        {0xfee37000, 0x4400, 0x00, 0x4037, 0},            /* NMI */
        {0xfee37000, 0x4341, 0x41, 0x3037, 0},
    };
    struct xen_message message;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        CU_ASSERT_TRUE(xen_message_decode(cases[i].address, cases[i].data, &message));
        CU_ASSERT_EQUAL(message.vector, cases[i].vector);
        CU_ASSERT_EQUAL(message.flags, cases[i].flags);
        CU_ASSERT_EQUAL(message.pirq, cases[i].pirq);
    }
    CU_ASSERT_FALSE(xen_message_decode(0, 0, &message));
    CU_ASSERT_FALSE(xen_message_decode(0xfef00000, 0x41, &message));
}

static void test_memory_follows_the_guest(void)
{
    struct pt_test test;
    struct device *device = begin(&test, &plain);

    CU_ASSERT_TRUE(xen_was_asked(PIN));
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), 0x11e81234);
    open_memory(&test, GUEST);
    CU_ASSERT_TRUE(xen_was_asked("map e0000=fe000+100;"));
    CU_ASSERT_EQUAL(host_config(&test, HOST, PCI_BASE_ADDRESS_0, 4), 0); /* not the guest's */
    pt_write(&test, SLOT, PCI_BASE_ADDRESS_0, 4, GUEST + 0x100000);
    CU_ASSERT_TRUE(xen_was_asked("unmap e0000=fe000+100;map e0100=fe000+100;"));
    pt_write(&test, SLOT, PCI_COMMAND, 2, 0);
    CU_ASSERT_TRUE(xen_was_asked("unmap e0100=fe000+100;"));
    open_memory(&test, GUEST);
    CU_ASSERT_TRUE(xen_was_asked("map e0000=fe000+100;"));
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked("unmap e0000=fe000+100;" UNPIN));
    pt_test_clear(&test);
}

static void test_ports_follow_the_guest(void)
{
    static const struct host_options ports = {.ports = 0x20};
    struct pt_test test;
    struct device *device = begin(&test, &ports);

    CU_ASSERT_TRUE(xen_was_asked(PIN));
    pt_write(&test, SLOT, PCI_BASE_ADDRESS_0 + 4, 4, 0xd000);
    pt_write(&test, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO);
    CU_ASSERT_TRUE(xen_was_asked("map ports d000=c100+20;"));
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked("unmap ports d000=c100+20;" UNPIN));
    pt_test_clear(&test);
}

/* The table's page stays here; what is around it does not. */
static void test_table_is_left_out(void)
{
    struct pt_test test;
    struct device *device = begin(&test, &with_msix);

    CU_ASSERT_TRUE(xen_was_asked(PIN));
    open_memory(&test, GUEST);
    CU_ASSERT_TRUE(xen_was_asked("map e0000=fe000+2;map e0003=fe003+1;"));
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked("unmap e0000=fe000+2;unmap e0003=fe003+1;" UNPIN));
    pt_test_clear(&test);
}

static void test_less_than_a_page(void)
{
    static const struct host_options small = {.memory_size = 0x100};
    struct pt_test test;
    struct device *device = begin(&test, &small);
    g_autofree char *resource = g_build_filename(test.sysfs, HOST, "resource0", NULL);
    uint64_t value;

    CU_ASSERT_TRUE(xen_was_asked(PIN));
    open_memory(&test, GUEST);
    CU_ASSERT_EQUAL(
        address_space_load(&test.machine->as_memory, GUEST, 1, MEMORY_ATTRIBUTES_CPU, &value),
        MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x5a);
    address_space_store(&test.machine->as_memory, GUEST + 0x84, 4, MEMORY_ATTRIBUTES_CPU,
                        0x12345678);
    address_space_load(&test.machine->as_memory, GUEST + 0x84, 4, MEMORY_ATTRIBUTES_CPU, &value);
    CU_ASSERT_EQUAL(value, 0x12345678);
    CU_ASSERT_TRUE(xen_was_asked(""));
    CU_ASSERT_EQUAL(truncate(resource, 0), 0); /* Linux takes it away */
    address_space_load(&test.machine->as_memory, GUEST + 0x84, 4, MEMORY_ATTRIBUTES_CPU, &value);
    CU_ASSERT_EQUAL(value, UINT32_MAX);
    device_destroy(device);
    pt_test_clear(&test);
}

/* libxl gives the domain its rights when the device is there, and a guest may be faster. */
static void test_rights_come_later(void)
{
    struct pt_test test;
    struct device *device = begin(&test, &plain);
    uint64_t value;

    xen_was_asked(PIN);
    xen_fails_at = 1;
    open_memory(&test, GUEST);
    CU_ASSERT_TRUE(xen_was_asked(""));
    address_space_load(&test.machine->as_memory, GUEST, 1, MEMORY_ATTRIBUTES_CPU, &value);
    CU_ASSERT_EQUAL(value, 0x5a);
    event_base_loop(test.machine->base, EVLOOP_NONBLOCK);
    CU_ASSERT_TRUE(xen_was_asked("map e0000=fe000+100;"));
    address_space_load(&test.machine->as_memory, GUEST, 1, MEMORY_ATTRIBUTES_CPU, &value);
    event_base_loop(test.machine->base, EVLOOP_NONBLOCK);
    CU_ASSERT_TRUE(xen_was_asked("")); /* and once is enough */
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked("unmap e0000=fe000+100;" UNPIN));
    pt_test_clear(&test);
}

static void plug(struct pt_test *test)
{
    struct key_values *list = key_values_parse("driver=xen-pci-passthrough", NULL, NULL);

    key_values_set(list, "id", "pci-pt-00_05.0");
    key_values_set(list, "hostaddr", HOST);
    key_values_set(list, "addr", "4");
    key_values_set(list, "x-sysfs", test->sysfs);
    CU_ASSERT_TRUE(hotplug_add(test->machine, list, NULL));
    key_values_free(list);
}

/* A running guest does not find what Xen has not assigned yet; one that has not run may. */
static void test_plugged_into_a_running_guest(void)
{
    struct xen_vcpu vcpu = {0};
    struct xen_passthrough *pt;
    struct pt_test test;

    pt_test_init(&test);
    put_function(&test, HOST, &plain);
    test.machine->complete = true;
    test.xen.vcpus = &vcpu;
    test.xen.vcpu_count = 1;
    plug(&test);
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), 0x11e81234);
    device_destroy(hotplug_find(test.machine, "pci-pt-00_05.0"));

    vcpu.requests[IOREQ_TYPE_PIO] = 1;
    plug(&test);
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), UINT32_MAX);
    event_base_loop(test.machine->base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), UINT32_MAX);
    xen_has_assigned = true;
    event_base_loop(test.machine->base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), 0x11e81234);
    device_destroy(hotplug_find(test.machine, "pci-pt-00_05.0"));

    xen_has_assigned = false; /* what it never saw it need not let go */
    plug(&test);
    CU_ASSERT_TRUE(hotplug_remove(test.machine, "pci-pt-00_05.0", false, NULL));
    CU_ASSERT_PTR_NULL(hotplug_find(test.machine, "pci-pt-00_05.0"));

    plug(&test); /* Xen is asked less and less often, and then not at all any more */
    pt = xen_pt_of(hotplug_find(test.machine, "pci-pt-00_05.0"));
    event_base_loop(test.machine->base, EVLOOP_ONCE);
    event_base_loop(test.machine->base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(pt->ready_waited, 10 + 20);
    CU_ASSERT_EQUAL(pt->ready_period, 40);
    pt->ready_waited = 59970;
    event_base_loop(test.machine->base, EVLOOP_ONCE);
    CU_ASSERT_PTR_NULL(hotplug_find(test.machine, "pci-pt-00_05.0"));
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), UINT32_MAX);
    test.machine->complete = false;
    pt_test_clear(&test);
}

/* A domain that has shut down, and waits for xl to make another in its place, lets nothing go. */
static void test_taken_from_a_guest_that_has_ended(void)
{
    g_autoptr(GError) error = NULL;
    struct pt_test test;

    pt_test_init(&test);
    put_function(&test, HOST, &plain);
    plug(&test);
    machine_start(test.machine);
    CU_ASSERT_FALSE(hotplug_remove(test.machine, "pci-pt-00_05.0", false, &error)); /* no ACPI */
    CU_ASSERT_PTR_NOT_NULL(hotplug_find(test.machine, "pci-pt-00_05.0"));
    pt_guest_is_there = false;
    CU_ASSERT_TRUE(hotplug_remove(test.machine, "pci-pt-00_05.0", false, NULL));
    CU_ASSERT_PTR_NULL(hotplug_find(test.machine, "pci-pt-00_05.0"));
    machine_stop(test.machine, RUN_STATE_PAUSED);
    pt_test_clear(&test);
}

static void list_changes(struct pt_test *test)
{
    const struct xen_passthrough *pt = xen_pt_of(hotplug_find(test->machine, "pci-pt-00_05.0"));

    pt->store_watch.changed(pt->store_watch.opaque);
}

static bool is_plugged(struct pt_test *test)
{
    return hotplug_find(test->machine, "pci-pt-00_05.0") != NULL;
}

/* Plugged, used, and on the toolstack's list, as the second one. */
static void begin_listed(struct pt_test *test)
{
    pt_test_init(test);
    put_function(test, HOST, &plain);
    plug(test);
    open_memory(test, GUEST);
    list_changes(test);               /* xenstore says so when a watch begins */
    CU_ASSERT_TRUE(is_plugged(test)); /* not there yet, that is all */
    fake_store.functions[0] = "0000:00:06.0";
    fake_store.functions[1] = HOST;
    list_changes(test);
    g_string_truncate(xen_calls, 0);
}

/* "xl pci-detach -f", of a guest that lets nothing go. */
static void test_taken_by_the_toolstack(void)
{
    struct pt_test test;

    begin_listed(&test);
    CU_ASSERT_EQUAL(fake_store.watches, 1);
    fake_store.states[1] = 3;
    list_changes(&test);
    fake_store.functions[0] = HOST; /* another one went, and it is renumbered */
    fake_store.functions[1] = NULL;
    fake_store.conflicts = 3;
    list_changes(&test);
    CU_ASSERT_TRUE(is_plugged(&test));
    CU_ASSERT_TRUE(host_config(&test, HOST, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);

    fake_store.is_broken = true; /* nobody knows: so nothing is done */
    fake_store.functions[0] = NULL;
    list_changes(&test);
    CU_ASSERT_TRUE(is_plugged(&test));
    fake_store.is_broken = false;

    CU_ASSERT_TRUE(xen_was_asked(""));
    list_changes(&test);
    CU_ASSERT_FALSE(is_plugged(&test));
    CU_ASSERT_TRUE(xen_was_asked("unmap e0000=fe000+100;" UNPIN));
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, PCI_VENDOR_ID, 4), UINT32_MAX);
    /* The function itself was left alone: it may be another domain's by now. */
    CU_ASSERT_TRUE(host_config(&test, HOST, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
    CU_ASSERT_EQUAL(fake_store.watches, 0);
    pt_test_clear(&test);
}

/* It says that it will soon be gone. And it has taken the domain's rights back before. */
static void test_taken_with_its_rights(void)
{
    struct pt_test test;

    begin_listed(&test);
    fake_store.states[1] = 5;
    xen_fails_at = 1;
    list_changes(&test);
    CU_ASSERT_FALSE(is_plugged(&test));
    CU_ASSERT_TRUE(xen_was_asked("permit fe000+100;unmap e0000=fe000+100;deny fe000+100;" UNPIN));
    pt_test_clear(&test);
}

static void test_functions_share_a_pin(void)
{
    struct pt_test test;
    struct device *first = begin(&test, &plain), *second;

    put_function(&test, "0000:00:05.1", &plain);
    second = pt_add(&test, "00:05.1", "5", false, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    CU_ASSERT_TRUE(xen_was_asked(PIN "pirq 21;pin 21 to 5.0;"));
    device_destroy(first);
    CU_ASSERT_TRUE(xen_was_asked("unpin 21 from 4.0;"));
    device_destroy(second);
    CU_ASSERT_TRUE(xen_was_asked("unpin 21 from 5.0;drop 21;"));
    pt_test_clear(&test);
}

static void write_msi(struct pt_test *test, uint64_t address, uint32_t data)
{
    pt_write(test, SLOT, CAP_MSI + MSI_ADDRESS, 4, (uint32_t)address);
    pt_write(test, SLOT, CAP_MSI + MSI_ADDRESS_HIGH, 4, (uint32_t)(address >> 32));
    pt_write(test, SLOT, CAP_MSI + 12, 2, data);
}

static void test_msi(void)
{
    struct pt_test test;
    struct device *device = begin(&test, &plain);

    xen_was_asked(PIN);
    CU_ASSERT_EQUAL(pt_read(&test, SLOT, CAP_MSI + MSI_CONTROL, 2), MSI_64); /* one vector */
    write_msi(&test, 0xfee01000, 0x41);
    CU_ASSERT_TRUE(xen_was_asked(""));
    pt_write(&test, SLOT, CAP_MSI + MSI_CONTROL, 2, MSI_ENABLE);
    CU_ASSERT_TRUE(xen_was_asked("pirq 40 for 0:28 entry 0 table 0;"
                                 "bind 40 to 41 flags 10001 table 0;"));
    CU_ASSERT_TRUE(host_config(&test, HOST, CAP_MSI + MSI_CONTROL, 2) & MSI_ENABLE);
    CU_ASSERT_EQUAL(host_config(&test, HOST, CAP_MSI + MSI_ADDRESS, 4), 0); /* Xen's */
    pt_write(&test, SLOT, CAP_MSI + 12, 2, 0x42);
    CU_ASSERT_TRUE(xen_was_asked("bind 40 to 42 flags 10001 table 0;"));
    pt_write(&test, SLOT, CAP_MSI + MSI_CONTROL, 2, 0);
    CU_ASSERT_TRUE(xen_was_asked("unbind 40;drop 40;"));
    CU_ASSERT_FALSE(host_config(&test, HOST, CAP_MSI + MSI_CONTROL, 2) & MSI_ENABLE);
    write_msi(&test, 0xfee32000, 0x4300); /* now as an event channel */
    pt_write(&test, SLOT, CAP_MSI + MSI_CONTROL, 2, MSI_ENABLE);
    CU_ASSERT_TRUE(xen_was_asked("pirq 50 for 0:28 entry 0 table 0;"
                                 "bind 50 to 0 flags 13032 table 0;"));
    device_reset(device);
    CU_ASSERT_TRUE(xen_was_asked("unbind 50;drop 50;"));
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked(UNPIN));
    pt_test_clear(&test);
}

static void write_entry(struct pt_test *test, unsigned number, unsigned offset, uint32_t value)
{
    address_space_store(&test->machine->as_memory,
                        GUEST + TABLE_OFFSET + number * MSIX_ENTRY_SIZE + offset, 4,
                        MEMORY_ATTRIBUTES_CPU, value);
}

static void write_message(struct pt_test *test, unsigned number, uint32_t address, uint32_t data)
{
    write_entry(test, number, 0, address);
    write_entry(test, number, 4, 0);
    write_entry(test, number, MSIX_ENTRY_DATA, data);
}

static struct device *begin_msix(struct pt_test *test)
{
    struct device *device = begin(test, &with_msix);

    open_memory(test, GUEST);
    g_string_truncate(xen_calls, 0);
    return device;
}

static void test_msix(void)
{
    struct pt_test test;
    struct device *device = begin_msix(&test);
    uint64_t value;

    write_message(&test, 1, 0xfee00000, 0x51); /* before it is on, and unmasked */
    write_entry(&test, 1, MSIX_ENTRY_CONTROL, 0);
    pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, MSIX_ENABLE | MSIX_MASK_ALL);
    CU_ASSERT_TRUE(xen_was_asked("pirq 40 for 0:28 entry 1 table fe000000;"
                                 "bind 40 to 51 flags 10000 table e0002000;"));
    CU_ASSERT_EQUAL(host_config(&test, HOST, CAP_MSIX + MSIX_CONTROL, 2),
                    MSIX_ENABLE | MSIX_MASK_ALL | (TABLE_ENTRIES - 1));
    write_message(&test, 2, 0xfee00000, 0x52);
    CU_ASSERT_TRUE(xen_was_asked("")); /* it is masked */
    write_entry(&test, 2, MSIX_ENTRY_CONTROL, 0);
    CU_ASSERT_TRUE(xen_was_asked("pirq 41 for 0:28 entry 2 table fe000000;"
                                 "bind 41 to 52 flags 10000 table e0002000;"));
    write_message(&test, 2, 0xfee00000, 0x62); /* Xen masked it: this table did not hear of that */
    CU_ASSERT_TRUE(xen_was_asked(""));
    write_entry(&test, 2, MSIX_ENTRY_CONTROL, 0);
    CU_ASSERT_TRUE(xen_was_asked("bind 41 to 62 flags 10000 table e0002000;"));
    write_entry(&test, 2, MSIX_ENTRY_CONTROL, 1);
    CU_ASSERT_TRUE(xen_was_asked("unbind 41;"));
    pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, MSIX_ENABLE);
    CU_ASSERT_EQUAL(host_config(&test, HOST, CAP_MSIX + MSIX_CONTROL, 2),
                    MSIX_ENABLE | (TABLE_ENTRIES - 1));
    CU_ASSERT_TRUE(xen_was_asked(""));
    address_space_load(&test.machine->as_memory, GUEST + TABLE_OFFSET + 2 * MSIX_ENTRY_SIZE + 8, 4,
                       MEMORY_ATTRIBUTES_CPU, &value);
    CU_ASSERT_EQUAL(value, 0x62);
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked("unmap e0000=fe000+2;unmap e0003=fe003+1;unpin 21 from 4.0;"
                                 "drop 21;unbind 40;drop 40;drop 41;"));
    pt_test_clear(&test);
}

/* Linux asks for PIRQs in entries that it leaves masked: Xen unmasks them. */
static void test_msix_as_event_channels(void)
{
    struct pt_test test;
    struct device *device = begin_msix(&test);

    pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, MSIX_ENABLE | MSIX_MASK_ALL);
    CU_ASSERT_TRUE(xen_was_asked(""));
    write_message(&test, 0, 0xfee37000, 0x700);
    CU_ASSERT_TRUE(xen_was_asked("pirq 55 for 0:28 entry 0 table fe000000;"
                                 "bind 55 to 0 flags 7037 table e0002000;"));
    write_message(&test, 0, 0xfee38000, 0x4300); /* another one */
    CU_ASSERT_TRUE(xen_was_asked("unbind 55;drop 55;pirq 56 for 0:28 entry 0 table fe000000;"
                                 "bind 56 to 0 flags 3038 table e0002000;"));
    device_destroy(device);
    pt_test_clear(&test);
}

static void test_the_table_moves(void)
{
    struct pt_test test;
    struct device *device = begin_msix(&test);

    write_message(&test, 0, 0xfee00000, 0x51);
    write_entry(&test, 0, MSIX_ENTRY_CONTROL, 0);
    pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, MSIX_ENABLE);
    xen_was_asked("pirq 40 for 0:28 entry 0 table fe000000;"
                  "bind 40 to 51 flags 10000 table e0002000;");
    pt_write(&test, SLOT, PCI_BASE_ADDRESS_0, 4, GUEST + 0x10000);
    CU_ASSERT_TRUE(xen_was_asked("unbind 40;bind 40 to 51 flags 10000 table e0012000;"
                                 "unmap e0000=fe000+2;unmap e0003=fe003+1;"
                                 "map e0010=fe000+2;map e0013=fe003+1;"));
    device_destroy(device);
    pt_test_clear(&test);
}

static void test_command(void)
{
    struct pt_test test;
    struct device *device = begin(&test, &plain);

    CU_ASSERT_EQUAL(host_config(&test, HOST, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
    pt_write(&test, SLOT, PCI_COMMAND, 2,
             PCI_COMMAND_MASTER | PCI_COMMAND_INTERRUPT_DISABLE); /* decodes all the same */
    CU_ASSERT_EQUAL(host_config(&test, HOST, PCI_COMMAND, 2),
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTERRUPT_DISABLE);
    device_destroy(device);
    CU_ASSERT_FALSE(host_config(&test, HOST, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
    pt_test_clear(&test);
}

static void test_what_guests_may_write(void)
{
    struct pt_test test;
    struct device *device = begin(&test, &plain);

    pt_write(&test, SLOT, CAP_VENDOR + 4, 4, 0xdeadbeef);
    CU_ASSERT_EQUAL(host_config(&test, HOST, CAP_VENDOR + 4, 4), 0);
    pt_write(&test, SLOT, 0xf0, 1, 0xff);
    CU_ASSERT_EQUAL(host_config(&test, HOST, 0xf0, 1), 0);
    device_destroy(device);
    device = pt_add(&test, HOST, "4", true, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    pt_write(&test, SLOT, CAP_VENDOR + 4, 4, 0xdeadbeef);
    CU_ASSERT_EQUAL(host_config(&test, HOST, CAP_VENDOR + 4, 4), 0xdeadbeef);
    pt_write(&test, SLOT, PCI_BASE_ADDRESS_0, 4, GUEST);
    CU_ASSERT_EQUAL(host_config(&test, HOST, PCI_BASE_ADDRESS_0, 4), 0);
    device_destroy(device);
    pt_test_clear(&test);
}

/* Nothing is asked about a domain that is going away. */
static void test_the_end(void)
{
    struct pt_test test;
    struct device *device = begin_msix(&test);

    write_message(&test, 0, 0xfee00000, 0x51);
    write_entry(&test, 0, MSIX_ENTRY_CONTROL, 0);
    pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, MSIX_ENABLE);
    g_string_truncate(xen_calls, 0);
    test.xen.quit = true;
    device_destroy(device);
    CU_ASSERT_TRUE(xen_was_asked(""));
    CU_ASSERT_FALSE(host_config(&test, HOST, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
    pt_test_clear(&test);
}

/* Each of Xen's calls fails once: the device is refused and leaves nothing, or lives with less. */
static void test_each_call_fails_once(void)
{
    static const struct host_options silent = {.memory_size = 0x1000, .has_no_messages = true};
    g_autoptr(GError) error = NULL;
    struct pt_test test;

    pt_test_init(&test);
    put_function(&test, HOST, &silent);
    xen_fails_at = 1;
    CU_ASSERT_PTR_NULL(pt_add(&test, HOST, "4", false, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "domain 7"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "errno 1"));
    CU_ASSERT_TRUE(xen_was_asked(""));
    xen_fails_at = 2;
    CU_ASSERT_PTR_NULL(pt_add(&test, HOST, "4", false, NULL));
    CU_ASSERT_TRUE(xen_was_asked("pirq 21;drop 21;"));
    pt_test_clear(&test);

    for (unsigned n = 1; n < 16; n++) {
        struct device *device;

        pt_test_init(&test);
        put_function(&test, HOST, &with_msix);
        xen_fails_at = n;
        device = pt_add(&test, HOST, "4", false, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(device); /* it has messages */
        open_memory(&test, GUEST);
        write_message(&test, 0, 0xfee00000, 0x51);
        write_entry(&test, 0, MSIX_ENTRY_CONTROL, 0);
        pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, MSIX_ENABLE);
        pt_write(&test, SLOT, CAP_MSIX + MSIX_CONTROL, 2, 0);
        device_destroy(device);
        xen_fails_at = 0;
        device = pt_add(&test, HOST, "4", false, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(device);
        pt_test_clear(&test);
    }
}

static void check_error(struct pt_test *test, const char *address, const char *text)
{
    g_autoptr(GError) error = NULL;

    CU_ASSERT_PTR_NULL(pt_add(test, address, "4", false, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    if (!strstr(error->message, text)) {
        fprintf(stderr, "\n'%s' is not in '%s'\n", text, error->message);
        CU_FAIL("another error");
    }
}

static void test_removal_is_told(void)
{
    static const char gone[] = "remove@/devices/pci0000:00/" HOST "\0ACTION=remove";
    static const char *const others[] = {
        "",
        "remove@",
        "remove@/",
        "remove",
        "add@/devices/pci0000:00/" HOST,
        "remove@/devices/pci0000:00/0000:00:06.0",
        "remove@/devices/pci0000:00/" HOST "/nvme0",
        "unbind@/devices/pci0000:00/" HOST,
        "remove@" HOST,
    };

    CU_ASSERT_TRUE(host_removal_is_told(gone, sizeof(gone), HOST));
    for (size_t length = 0; length < strlen(gone); length++) {
        g_autofree char *cut = g_memdup2(gone, length + 1);

        CU_ASSERT_FALSE(host_removal_is_told(cut, length, HOST));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        CU_ASSERT_FALSE(host_removal_is_told(others[i], strlen(others[i]), HOST));
    }
}

static void test_errors(void)
{
    static const struct host_options odd = {.memory_size = 0x3000};
    struct pt_test test;

    pt_test_init(&test);
    check_error(&test, NULL, "hostaddr=[DDDD:]BB:DD.F");
    check_error(&test, "5", "'5' is not valid");
    check_error(&test, "0000:00:05.9", "is not valid");
    check_error(&test, HOST, "the host has no PCI device 0000:00:05.0");
    put_function(&test, HOST, &odd);
    check_error(&test, HOST, "none that PCI allows");
    test.xen.restricted = true;
    check_error(&test, HOST, "rights were dropped");
    CU_ASSERT_TRUE(xen_was_asked(""));
    pt_test_clear(&test);
}

static const struct unit_test tests[] = {
    {"message", test_message},
    {"memory follows the guest", test_memory_follows_the_guest},
    {"ports follow the guest", test_ports_follow_the_guest},
    {"the MSI-X table is left out", test_table_is_left_out},
    {"less than a page", test_less_than_a_page},
    {"rights come later", test_rights_come_later},
    {"plugged into a running guest", test_plugged_into_a_running_guest},
    {"taken from a guest that has ended", test_taken_from_a_guest_that_has_ended},
    {"taken by the toolstack", test_taken_by_the_toolstack},
    {"taken with its rights", test_taken_with_its_rights},
    {"functions share a pin", test_functions_share_a_pin},
    {"MSI", test_msi},
    {"MSI-X", test_msix},
    {"MSI-X as event channels", test_msix_as_event_channels},
    {"the table moves", test_the_table_moves},
    {"command register", test_command},
    {"what guests may write", test_what_guests_may_write},
    {"the end", test_the_end},
    {"each call fails once", test_each_call_fails_once},
    {"the kernel tells of a removal", test_removal_is_told},
    {"errors", test_errors},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("xen-passthrough", tests);
}
