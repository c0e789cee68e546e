/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82540EM as a PCI device. */
#include "dm/nic/e1000.h"
#include "dm/machine.h"
#include "dm/pci/pci-power.h"

#define PORTS_SIZE 64

static struct e1000 *e1000_of_device(struct device *device)
{
    return (struct e1000 *)device;
}

static void link_changed(struct card *card)
{
    e1000_update_link(e1000_of(card));
    e1000_raise(e1000_of(card), ICR_LSC);
}

static const struct card_ops e1000_card_ops = {
    .receive = e1000_receive,
    .send = e1000_send,
    .link_changed = link_changed,
    .mii = &e1000_mii,
    .rom = "pxe-e1000.rom",
};

static bool e1000_realize(struct device *device, GError **error)
{
    struct e1000 *nic = e1000_of_device(device);
    struct machine_clock *clock = device->machine->clock;

    nic->card.ops = &e1000_card_ops;
    if (!card_realize(&nic->card, error)) {
        return false;
    }
    e1000_write_eeprom(nic);
    memory_region_init_mmio(&nic->memory, "e1000-memory", E1000_WINDOW, &e1000_memory_ops, nic,
                            &device->guard);
    memory_region_init_mmio(&nic->ports, "e1000-ports", PORTS_SIZE, &e1000_port_ops, nic,
                            &device->guard);
    pci_register_bar(&nic->card.pci, 0, &nic->memory, false, false, false);
    pci_register_bar(&nic->card.pci, 1, &nic->ports, true, false, false);
    pci_add_power_management(&nic->card.pci);
    clock_timer_init(&nic->throttle, clock, e1000_throttle_expired, nic, &device->guard);
    clock_timer_init(&nic->receive_delay, clock, e1000_receive_delay_expired, nic, &device->guard);
    clock_timer_init(&nic->send_delay, clock, e1000_send_delay_expired, nic, &device->guard);
    return true;
}

static void e1000_unrealize(struct device *device)
{
    struct e1000 *nic = e1000_of_device(device);

    card_unrealize(&nic->card);
    clock_timer_destroy(&nic->send_delay);
    clock_timer_destroy(&nic->receive_delay);
    clock_timer_destroy(&nic->throttle);
    memory_region_destroy(&nic->ports);
    memory_region_destroy(&nic->memory);
}

static void e1000_reset(struct device *device)
{
    struct e1000 *nic = e1000_of_device(device);

    card_reset(&nic->card);
    e1000_reset_mac(nic);
}

static void e1000_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    if (pci_power_has_returned(device, offset, length)) {
        e1000_reset_mac((struct e1000 *)device);
    }
}

/* A packet that was read in part is read again from its start. */
static bool e1000_after_load(void *object)
{
    struct e1000 *nic = object;

    nic->send_next = e1000_get(nic, TDH);
    nic->fragment = false;
    if (!card_after_load(&nic->card)) {
        return false;
    }
    e1000_update_link(nic);
    e1000_update_interrupt(nic);
    return true;
}

#define REGISTERS(offset_, count_)                                                                 \
    {                                                                                              \
        "registers " #offset_, STATE_UINT32, offsetof(struct e1000, registers[(offset_) / 4]),     \
            count_, 1                                                                              \
    }
#define CONTEXT(name_)                                                                             \
    STATE(UINT8, e1000, name_.ip_start, 1), STATE(UINT8, e1000, name_.ip_offset, 1),               \
        STATE(UINT16, e1000, name_.ip_end, 1), STATE(UINT8, e1000, name_.start, 1),                \
        STATE(UINT8, e1000, name_.offset, 1), STATE(UINT16, e1000, name_.end, 1),                  \
        STATE(UINT8, e1000, name_.header_length, 1), STATE(UINT16, e1000, name_.segment_size, 1),  \
        STATE(BOOL, e1000, name_.is_tcp, 1), STATE(BOOL, e1000, name_.is_ipv4, 1)

static const struct state_field e1000_fields[] = {
    CARD_STATE_FIELDS(e1000),
    REGISTERS(CTRL, 16),
    REGISTERS(ICR, 8),
    REGISTERS(RCTL, 32),
    REGISTERS(TCTL, 32),
    REGISTERS(LEDCTL, 1),
    REGISTERS(PBA, 1),
    REGISTERS(FCRTL, 4),
    REGISTERS(RDBAL, 16),
    REGISTERS(RSRPD, 1),
    REGISTERS(TDBAL, 16),
    REGISTERS(0x4000, 64), /* statistics */
    REGISTERS(RXCSUM, 1),
    REGISTERS(MTA, 128),
    REGISTERS(RAL, 32),
    REGISTERS(VFTA, 128),
    REGISTERS(WUC, 1),
    STATE(UINT32, e1000, port_address, 1),
    STATE(UINT64, e1000, throttled_until, 1),
    STATE(UINT64, e1000, receive_first, 1),
    STATE(UINT64, e1000, send_first, 1),
    STATE(TIMER, e1000, throttle, 1),
    STATE(TIMER, e1000, receive_delay, 1),
    STATE(TIMER, e1000, send_delay, 1),
    CONTEXT(context),
    CONTEXT(segmentation),
    STATE_END,
};

static const struct state_description e1000_state = {
    .name = "e1000",
    .version = 1,
    .fields = e1000_fields,
    .after_load = e1000_after_load,
};

static const struct property e1000_properties[] = {
    PCI_DEVICE_PROPERTIES,
    CARD_PROPERTIES(e1000),
    PROPERTY_END,
};

static const struct pci_class e1000_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x100e,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0x020000,
    .revision = 3,
    .interrupt_pin = 1,
    .config_written = e1000_config_written,
};

const struct device_class e1000_class = {
    .name = "e1000",
    .alias = "e1000-82540em",
    .description = "network card Intel 82540EM, 1 Gb/s",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct e1000),
    .user_creatable = true,
    .properties = e1000_properties,
    .state = &e1000_state,
    .realize = e1000_realize,
    .unrealize = e1000_unrealize,
    .reset = e1000_reset,
    .bus_class = &e1000_pci_class,
    .unplug_kind = DEVICE_UNPLUG_NIC,
};
