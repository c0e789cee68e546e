/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what walks structures in a guest's memory of its own: rtl8139, e1000, UHCI. An input
 * is the device, a count of steps, the steps, and guest memory from address 0 on.
 */
#include "dm/machine.h"
#include "dm/nic/card.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "fuzz/fuzz-machine.h"
#include "fuzz/fuzz-main.h"
#include "util/little-endian.h"

#define MEMORY_SIZE 0x8000u
#define REGISTERS   0xe0000000u /* of the device that is tested */
#define PORTS       0xc000u
#define STEPS_MAX   48
#define FRAME_NS    1000000u

struct fuzz_step {
    uint8_t kind; /* enum fuzz_kind */
    uint8_t size; /* log2 of bytes */
    uint8_t offset[2], value[4];
};

enum fuzz_kind {
    FUZZ_WRITE,
    FUZZ_READ,
    FUZZ_RECEIVE, /* a packet of that many bytes, from guest memory */
    FUZZ_TIME,    /* that many ms */
    FUZZ_KINDS,
};

static const struct {
    const char *name, *address;
    uint8_t devfn, bar;
    bool is_io;
} devices[] = {
    {"rtl8139", "4", 0x20, 1, false},
    {"e1000", "5", 0x28, 0, false},
    {"piix3-usb-uhci", "6", 0x30, 4, true},
};

static struct machine *make_machine(void)
{
    struct machine *machine = fuzz_machine_bare();
    struct pci_bus *bus = pci_bus_new(machine, &machine->system_memory, &machine->system_io);

    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_assert(device_create(machine, devices[i].name, pci_bus_base(bus), NULL, "addr",
                               devices[i].address, NULL));
    }
    g_assert(device_create(machine, "usb-tablet", NULL, NULL, NULL));
    g_assert(device_create(machine, "usb-kbd", NULL, NULL, NULL));
    machine_clock_set_manual(machine->clock);
    machine_start(machine);
    return machine;
}

/* As after power-on, with its registers in place. */
static void prepare(struct machine *machine, unsigned number)
{
    struct pci_bus *bus = pci_bus_from_base(machine->pci_bus);
    uint8_t devfn = devices[number].devfn;

    device_reset(&pci_bus_find(bus, devfn)->device);
    pci_bus_config_write(bus, 0, devfn, PCI_BASE_ADDRESS_0 + 4u * devices[number].bar, 4,
                         devices[number].is_io ? PORTS : REGISTERS);
    pci_bus_config_write(bus, 0, devfn, PCI_COMMAND, 2,
                         PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void receive(struct machine *machine, unsigned number, size_t length)
{
    static const struct vnet_header complete;
    struct nic *nic = number < machine->nics->len ? g_ptr_array_index(machine->nics, number) : NULL;
    /* Not in guest memory itself: no packet comes from there by itself. */
    g_autofree uint8_t *packet =
        g_memdup2(memory_region_host_pointer(&machine->ram), length % MEMORY_SIZE + 1);
    struct iovec piece = {packet, length % MEMORY_SIZE};

    if (nic && access_guard_enter(nic->client.guard)) {
        nic->client.receive(nic->client.opaque, 0, &complete, &piece, 1);
        access_guard_leave(nic->client.guard);
    }
}

static void take_step(struct machine *machine, unsigned number, const struct fuzz_step *step)
{
    bool is_io = devices[number].is_io;
    struct address_space *as = is_io ? &machine->as_io : &machine->as_memory;
    unsigned size = 1u << step->size % 3, offset = load_le16(step->offset);
    gpa_t address = is_io ? PORTS + offset % 32u : REGISTERS + offset;
    uint64_t value = load_le32(step->value);

    switch ((enum fuzz_kind)(step->kind % FUZZ_KINDS)) {
    case FUZZ_WRITE:
        address_space_store(as, address, size, MEMORY_ATTRIBUTES_CPU, value);
        break;
    case FUZZ_READ:
        address_space_load(as, address, size, MEMORY_ATTRIBUTES_CPU, &value);
        break;
    case FUZZ_RECEIVE:
        receive(machine, number, (size_t)value);
        break;
    case FUZZ_TIME:
        machine_clock_advance(machine->clock,
                              machine_clock_now(machine->clock) + (value % 32) * FRAME_NS);
        break;
    case FUZZ_KINDS:
        break;
    }
    event_base_loop(machine->base, EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *machine; /* made once */
    size_t steps, start;
    uint8_t *ram;

    if (size < 2) {
        return 0;
    }
    machine = machine ? machine : make_machine();
    steps = MIN(data[1] % (STEPS_MAX + 1u), (size - 2) / sizeof(struct fuzz_step));
    start = 2 + steps * sizeof(struct fuzz_step);
    ram = memory_region_host_pointer(&machine->ram);
    memset(ram, 0, MEMORY_SIZE);
    memcpy(ram, data + start, MIN(size - start, MEMORY_SIZE));
    prepare(machine, data[0] % G_N_ELEMENTS(devices));
    for (size_t i = 0; i < steps; i++) {
        struct fuzz_step step;

        memcpy(&step, data + 2 + i * sizeof(step), sizeof(step));
        take_step(machine, data[0] % G_N_ELEMENTS(devices), &step);
    }
    prepare(machine, data[0] % G_N_ELEMENTS(devices)); /* and all of that is forgotten */
    pci_bus_config_write(pci_bus_from_base(machine->pci_bus), 0,
                         devices[data[0] % G_N_ELEMENTS(devices)].devfn, PCI_COMMAND, 2, 0);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "cards");
}
#endif
