/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI and MSI-X of PCI functions; saved state of the virtio devices over PCI. */
#include "dm/pci/pci-regs.h"
#include "dm/virtio/virtio-pci.h"
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <event2/thread.h>
#include <string.h>

#define MESSAGE_ADDRESS 0x1000u /* in RAM */
#define MSIX_BAR        0xe0000000u

/* A card with both capabilities. */
struct card {
    struct pci_device pci;
};

static bool card_realize(struct device *device, GError **error)
{
    struct pci_device *pci = &((struct card *)device)->pci;

    return pci_msi_init(pci, 4, true, true, error) && pci_msix_init(pci, 5, 1, error);
}

static const struct property card_properties[] = {PCI_DEVICE_PROPERTIES, PROPERTY_END};
static const struct pci_class card_pci_class = {.vendor_id = 0x1b36, .interrupt_pin = 1};
static const struct device_class card_class = {
    .name = "card",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct card),
    .properties = card_properties,
    .realize = card_realize,
    .bus_class = &card_pci_class,
};

struct devices_test {
    struct fake_engine engine;
    struct machine *machine;
    struct pci_bus *bus;
    uint8_t *ram;
};

static void devices_test_init(struct devices_test *test)
{
    memset(test, 0, sizeof(*test));
    evthread_use_pthreads();
    test->machine = fake_machine_new(&test->engine);
    test->ram = memory_region_host_pointer(&test->machine->ram);
    test->bus =
        pci_bus_new(test->machine, &test->machine->system_memory, &test->machine->system_io);
}

static struct pci_device *add_card(struct devices_test *test)
{
    struct device *device = device_new(test->machine, &card_class, NULL, NULL, NULL);

    if (!device || !device_realize(device, NULL)) {
        abort();
    }
    return (struct pci_device *)device;
}

static void config(struct devices_test *test, struct pci_device *pci, unsigned offset,
                   unsigned size, uint32_t value)
{
    pci_bus_config_write(test->bus, 0, pci->devfn, offset, size, value);
}

/* The word that a message wrote; cleared for the next. */
static uint32_t take_message(struct devices_test *test)
{
    uint32_t value;

    memcpy(&value, test->ram + MESSAGE_ADDRESS, sizeof(value));
    memset(test->ram + MESSAGE_ADDRESS, 0, sizeof(value));
    return value;
}

static void test_msi(void)
{
    struct devices_test test;
    struct pci_device *pci;
    unsigned cap;

    devices_test_init(&test);
    pci = add_card(&test);
    cap = pci->msi.capability;
    config(&test, pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    config(&test, pci, cap + 4, 4, MESSAGE_ADDRESS | 3); /* the low bits can't be written */
    config(&test, pci, cap + 12, 2, 0x40);
    pci_msi_notify(pci, 1);
    CU_ASSERT_EQUAL(take_message(&test), 0); /* not enabled */
    config(&test, pci, cap + 2, 2, 0x0021);  /* four vectors */
    CU_ASSERT_TRUE(pci_msi_is_enabled(pci));
    pci_msi_notify(pci, 3);
    CU_ASSERT_EQUAL(take_message(&test), 0x43);
    pci_msi_notify(pci, 4);
    CU_ASSERT_EQUAL(take_message(&test), 0); /* there is none */
    config(&test, pci, cap + 16, 4, 0xffffffff);
    pci_msi_notify(pci, 2);
    CU_ASSERT_EQUAL(take_message(&test), 0);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, pci->devfn, cap + 16, 4), 0xf);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, pci->devfn, cap + 20, 4), 4);
    config(&test, pci, cap + 16, 4, 0);
    CU_ASSERT_EQUAL(take_message(&test), 0x42);
    config(&test, pci, cap + 2, 2, 0x0001); /* one vector: all share it */
    pci_msi_notify(pci, 3);
    CU_ASSERT_EQUAL(take_message(&test), 0x40);
    config(&test, pci, PCI_COMMAND, 2, 0); /* no bus master, no message */
    pci_msi_notify(pci, 0);
    CU_ASSERT_EQUAL(take_message(&test), 0);
    device_reset(&pci->device);
    CU_ASSERT_FALSE(pci_msi_is_enabled(pci));
    fake_machine_free(test.machine);
}

static void msix_write(struct devices_test *test, unsigned offset, unsigned size, uint64_t value)
{
    address_space_store(&test->machine->as_memory, MSIX_BAR + offset, size, MEMORY_ATTRIBUTES_CPU,
                        value);
}

static uint64_t msix_read(struct devices_test *test, unsigned offset, unsigned size)
{
    uint64_t value;

    address_space_load(&test->machine->as_memory, MSIX_BAR + offset, size, MEMORY_ATTRIBUTES_CPU,
                       &value);
    return value;
}

static void test_msix(void)
{
    g_autoptr(GByteArray) state = g_byte_array_new();
    struct devices_test test;
    struct pci_device *pci;
    uint64_t address;
    uint32_t data;
    size_t consumed;
    unsigned cap;

    devices_test_init(&test);
    pci = add_card(&test);
    cap = pci->msix.capability;
    config(&test, pci, PCI_BASE_ADDRESS_0 + 4, 4, MSIX_BAR);
    config(&test, pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
    CU_ASSERT_EQUAL(msix_read(&test, 12, 4), 1); /* masked at the start */
    msix_write(&test, 64, 8, MESSAGE_ADDRESS);
    msix_write(&test, 72, 8, 0xffffffff00000077); /* data, and reserved bits of control */
    CU_ASSERT_EQUAL(msix_read(&test, 76, 4), 1);
    config(&test, pci, cap + 2, 2, 0x8000);
    pci_msix_notify(pci, 4);
    CU_ASSERT_EQUAL(take_message(&test), 0);
    CU_ASSERT_EQUAL(msix_read(&test, PCI_MSIX_PBA_OFFSET, 4), 0x10);
    CU_ASSERT_FALSE(pci_msix_get_message(pci, 4, &address, &data));
    msix_write(&test, PCI_MSIX_PBA_OFFSET, 4, 0); /* can't be written */
    CU_ASSERT_EQUAL(msix_read(&test, PCI_MSIX_PBA_OFFSET, 4), 0x10);

    device_save_state(&pci->device, state);
    device_reset(&pci->device);
    CU_ASSERT_EQUAL(pci->msix.pending[0], 0);
    CU_ASSERT_TRUE(device_load_state(&pci->device, state->data, state->len, &consumed, NULL));
    CU_ASSERT_EQUAL(msix_read(&test, PCI_MSIX_PBA_OFFSET, 4), 0x10);

    msix_write(&test, 76, 4, 0);
    CU_ASSERT_EQUAL(take_message(&test), 0x77);
    CU_ASSERT_EQUAL(msix_read(&test, PCI_MSIX_PBA_OFFSET, 4), 0);
    CU_ASSERT_TRUE(pci_msix_get_message(pci, 4, &address, &data));
    CU_ASSERT_EQUAL(address, MESSAGE_ADDRESS);
    CU_ASSERT_EQUAL(data, 0x77);
    pci_msix_notify(pci, 5);
    pci_msix_notify(pci, UINT32_MAX);
    CU_ASSERT_EQUAL(msix_read(&test, 80, 8), 0); /* past the table */
    fake_machine_free(test.machine);
}

static bool has_no_vector(const struct msi_message *message)
{
    return !(message->data & 0xff);
}

/* As under xen, where the guest masks some messages at its hypervisor. */
static void test_masked_elsewhere(void)
{
    struct devices_test test;
    struct engine_ops engine;
    struct pci_device *pci;

    devices_test_init(&test);
    engine = *test.machine->engine;
    engine.is_masked_elsewhere = has_no_vector;
    test.machine->engine = &engine;
    pci = add_card(&test);
    config(&test, pci, PCI_BASE_ADDRESS_0 + 4, 4, MSIX_BAR);
    config(&test, pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
    config(&test, pci, pci->msix.capability + 2, 2, 0x8000);
    msix_write(&test, 64, 8, MESSAGE_ADDRESS);
    msix_write(&test, 72, 4, 0x777);
    pci_msix_notify(pci, 4);
    CU_ASSERT_EQUAL(take_message(&test), 0); /* it has a vector */
    msix_write(&test, 72, 4, 0x700);
    CU_ASSERT_EQUAL(take_message(&test), 0x700); /* was pending */
    pci_msix_notify(pci, 4);
    CU_ASSERT_EQUAL(take_message(&test), 0x700);
    CU_ASSERT_EQUAL(msix_read(&test, 76, 4), 1);
    config(&test, pci, pci->msix.capability + 2, 2, 0xc000); /* all of the function is */
    pci_msix_notify(pci, 4);
    CU_ASSERT_EQUAL(take_message(&test), 0);
    fake_machine_free(test.machine);
}

/* State that was saved is taken back, and is the same when it is saved again. */
static void check_state(struct devices_test *test, const char *class, const char *property,
                        const char *value)
{
    struct device *device = device_create(test->machine, class, NULL, NULL, property, value, NULL);
    g_autoptr(GByteArray) first = g_byte_array_new(), second = g_byte_array_new();
    struct virtio_device *virtio = (struct virtio_device *)device;
    size_t consumed;

    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    device_reset(device);
    virtio->queue_select = 1;
    virtio->queues[0].descriptor_area = 0x12345670;
    virtio->queues[0].used_next = 77;
    device_save_state(device, first);
    device_reset(device);
    CU_ASSERT_EQUAL(virtio->queues[0].used_next, 0);
    CU_ASSERT_TRUE(device_load_state(device, first->data, first->len, &consumed, NULL));
    CU_ASSERT_EQUAL(consumed, first->len);
    CU_ASSERT_EQUAL(virtio->queues[0].used_next, 77);
    device_save_state(device, second);
    CU_ASSERT_TRUE(first->len == second->len && !memcmp(first->data, second->data, first->len));
    /* A ring that can't be is refused, and the device stays as it was. */
    virtio->queues[0].enabled = true;
    virtio->queues[0].size = 3;
    g_byte_array_set_size(first, 0);
    device_save_state(device, first);
    virtio->queues[0].enabled = false;
    virtio->queues[0].size = 8;
    CU_ASSERT_FALSE(device_load_state(device, first->data, first->len, &consumed, NULL));
    CU_ASSERT_EQUAL(virtio->queues[0].size, 8);
    device_destroy(device);
}

static void test_states(void)
{
    struct devices_test test;

    devices_test_init(&test);
    check_state(&test, "virtio-rng-pci", "max-bytes", "4096");
    check_state(&test, "virtio-serial-pci", "max_ports", "3");
    check_state(&test, "virtio-balloon-pci-transitional", "free-page-reporting", "on");
    fake_machine_free(test.machine);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"MSI", test_msi},
        {"MSI-X", test_msix},
        {"MSI-X that is masked elsewhere", test_masked_elsewhere},
        {"saved state of virtio devices", test_states},
        {NULL, NULL},
    };

    return unit_run("virtio-devices", tests);
}
