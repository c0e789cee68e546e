/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RTL8139C+ as a PCI device. */
#include "dm/nic/rtl8139.h"
#include "dm/machine.h"
#include "dm/pci/pci-power.h"

#define CONFIG1_DEFAULT 0x0d /* MEMMAP, IOMAP, PMEn */
#define CONFIG3_DEFAULT 0x01 /* FBtBEn */
#define REVISION        0x20 /* RTL8139C+ */

static struct rtl8139 *rtl8139_of_device(struct device *device)
{
    return (struct rtl8139 *)device;
}

/* What the EEPROM of a new card says: 5.5, table of contents. */
static void write_eeprom(struct rtl8139 *nic)
{
    uint16_t *words = nic->card.eeprom.words;
    const uint8_t *mac = nic->card.nic.mac;

    words[0] = 0x8129; /* there is something in it */
    words[1] = 0x10ec;
    words[2] = 0x8139;
    words[3] = 0x10ec;
    words[4] = 0x8139;
    words[5] = 0x4020; /* MXLAT, MNGNT */
    words[6] = 0xe012; /* CONFIG3, MSR */
    for (unsigned i = 0; i < 3; i++) {
        words[7 + i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    }
    words[10] = CONFIG1_DEFAULT << 8;
}

static void link_changed(struct card *card)
{
    rtl8139_raise(rtl8139_of(card), ISR_LINK);
}

static const struct card_ops rtl8139_card_ops = {
    .receive = rtl8139_receive,
    .send = rtl8139_send,
    .link_changed = link_changed,
    .mii = &rtl8139_mii,
    .rom = "pxe-rtl8139.rom",
};

static bool rtl8139_realize(struct device *device, GError **error)
{
    struct rtl8139 *nic = rtl8139_of_device(device);
    struct machine_clock *clock = device->machine->clock;

    nic->card.ops = &rtl8139_card_ops;
    if (!card_realize(&nic->card, error)) {
        return false;
    }
    write_eeprom(nic);
    memory_region_init_mmio(&nic->ports, "rtl8139-ports", RTL8139_REGISTERS, &rtl8139_ops, nic,
                            &device->guard);
    memory_region_init_mmio(&nic->memory, "rtl8139-memory", RTL8139_REGISTERS, &rtl8139_ops, nic,
                            &device->guard);
    pci_register_bar(&nic->card.pci, 0, &nic->ports, true, false, false);
    pci_register_bar(&nic->card.pci, 1, &nic->memory, false, false, false);
    pci_add_power_management(&nic->card.pci);
    clock_timer_init(&nic->timer, clock, rtl8139_timer_expired, nic, &device->guard);
    clock_timer_init(&nic->patience, clock, rtl8139_retry_receive, nic, &device->guard);
    return true;
}

static void rtl8139_unrealize(struct device *device)
{
    struct rtl8139 *nic = rtl8139_of_device(device);

    card_unrealize(&nic->card);
    clock_timer_destroy(&nic->patience);
    clock_timer_destroy(&nic->timer);
    memory_region_destroy(&nic->memory);
    memory_region_destroy(&nic->ports);
}

static void rtl8139_reset(struct device *device)
{
    struct rtl8139 *nic = rtl8139_of_device(device);
    uint8_t *r = nic->registers;

    memset(r, 0, sizeof(nic->registers));
    memset(nic->tally, 0, sizeof(nic->tally));
    for (unsigned i = 0; i < 3; i++) {
        store_le16(r + IDR0 + 2 * i, nic->card.eeprom.words[7 + i]);
    }
    r[CONFIG1] = CONFIG1_DEFAULT;
    r[CONFIG3] = CONFIG3_DEFAULT;
    r[RERID] = REVISION;
    card_reset(&nic->card);
    rtl8139_soft_reset(nic);
}

static void rtl8139_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    if (pci_power_has_returned(device, offset, length)) {
        rtl8139_soft_reset((struct rtl8139 *)device);
    }
}

static bool rtl8139_after_load(void *object)
{
    struct rtl8139 *nic = object;
    bool good = nic->send_descriptor < 4 && nic->receive_index < RTL8139_RING_MAX &&
                nic->send_index[0] < RTL8139_RING_MAX && nic->send_index[1] < RTL8139_RING_MAX;

    nic->used_count = 0;
    if (!card_after_load(&nic->card) || !good) {
        return false;
    }
    rtl8139_registers_changed(nic);
    return true;
}

static const struct state_field rtl8139_fields[] = {
    CARD_STATE_FIELDS(rtl8139),
    STATE_ARRAY(BYTES, rtl8139, registers, RTL8139_REGISTERS, 1),
    STATE_ARRAY(UINT64, rtl8139, tally, TALLY_COUNT, 1),
    STATE(UINT32, rtl8139, send_descriptor, 1),
    STATE_ARRAY(UINT32, rtl8139, send_index, RTL8139_QUEUES, 1),
    STATE_ARRAY(BOOL, rtl8139, polled, RTL8139_QUEUES, 1),
    STATE(UINT32, rtl8139, receive_index, 1),
    STATE(UINT64, rtl8139, timer_base, 1),
    STATE(TIMER, rtl8139, timer, 1),
    STATE(TIMER, rtl8139, patience, 1),
    STATE(UINT64, rtl8139, waits_until, 1),
    STATE(BOOL, rtl8139, overflowing, 1),
    STATE_END,
};

static const struct state_description rtl8139_state = {
    .name = "rtl8139",
    .version = 1,
    .fields = rtl8139_fields,
    .after_load = rtl8139_after_load,
};

static const struct property rtl8139_properties[] = {
    PCI_DEVICE_PROPERTIES,
    CARD_PROPERTIES(rtl8139),
    PROPERTY_END,
};

static const struct pci_class rtl8139_pci_class = {
    .vendor_id = 0x10ec,
    .device_id = 0x8139,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0x020000,
    .revision = REVISION,
    .interrupt_pin = 1,
    .config_written = rtl8139_config_written,
};

const struct device_class rtl8139_class = {
    .name = "rtl8139",
    .description = "network card Realtek RTL8139C+, 100 Mb/s",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct rtl8139),
    .user_creatable = true,
    .properties = rtl8139_properties,
    .state = &rtl8139_state,
    .realize = rtl8139_realize,
    .unrealize = rtl8139_unrealize,
    .reset = rtl8139_reset,
    .bus_class = &rtl8139_pci_class,
    .unplug_kind = DEVICE_UNPLUG_NIC,
};
