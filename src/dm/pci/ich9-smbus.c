/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel ICH9, device 31 function 3: the SMBus host controller (Intel 316972, chapter 18). Its
 * registers are those of PIIX4's, with an interrupt; nothing answers on the bus.
 */
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/piix4-smbus.h"

#define SMB_BAR    4
#define SMB_PORTS  32
#define HOSTC      0x40u /* 18.1.14 */
#define HOSTC_MASK 0x05u /* HST_EN, I2C_EN */
#define HST_EN     0x01u

struct ich9_smbus {
    struct pci_device pci;
    struct piix4_smbus smbus;
};

static void set_interrupt(void *opaque, unsigned number, bool level)
{
    pci_set_interrupt(opaque, level);
}

static void update_ports(struct ich9_smbus *smb)
{
    memory_topology_begin();
    memory_region_set_enabled(&smb->smbus.ports, smb->pci.config[HOSTC] & HST_EN);
    memory_topology_commit();
}

static void ich9_smbus_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    if (offset <= HOSTC && offset + length > HOSTC) {
        update_ports((struct ich9_smbus *)device);
    }
}

static bool ich9_smbus_realize(struct device *device, GError **error)
{
    struct ich9_smbus *smb = (struct ich9_smbus *)device;
    struct pci_device *pci = &smb->pci;

    pci_put(pci->write_mask, PCI_COMMAND, 2,
            PCI_COMMAND_IO | PCI_COMMAND_SERR | PCI_COMMAND_INTERRUPT_DISABLE);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    pci->write_mask[HOSTC] = HOSTC_MASK;
    piix4_smbus_init(&smb->smbus, SMB_PORTS, &device->guard);
    smb->smbus.interrupt = (struct irq_line){set_interrupt, pci, 0};
    memory_region_set_enabled(&smb->smbus.ports, false);
    pci_register_bar(pci, SMB_BAR, &smb->smbus.ports, true, false, false);
    return true;
}

static void ich9_smbus_unrealize(struct device *device)
{
    memory_region_destroy(&((struct ich9_smbus *)device)->smbus.ports);
}

static void ich9_smbus_reset(struct device *device)
{
    struct ich9_smbus *smb = (struct ich9_smbus *)device;

    piix4_smbus_reset(&smb->smbus);
    update_ports(smb);
}

static bool ich9_smbus_after_load(void *object)
{
    update_ports(object);
    return true;
}

static const struct property ich9_smbus_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field ich9_smbus_fields[] = {
    STATE(UINT8, ich9_smbus, smbus.status, 1),  STATE(UINT8, ich9_smbus, smbus.slave_status, 1),
    STATE(UINT8, ich9_smbus, smbus.control, 1), STATE(UINT8, ich9_smbus, smbus.command, 1),
    STATE(UINT8, ich9_smbus, smbus.address, 1), STATE(UINT8, ich9_smbus, smbus.data0, 1),
    STATE(UINT8, ich9_smbus, smbus.data1, 1),   STATE_END,
};

static const struct state_description ich9_smbus_state = {
    .name = "ICH9-SMB",
    .version = 1,
    .fields = ich9_smbus_fields,
    .after_load = ich9_smbus_after_load,
};

static const struct pci_class ich9_smbus_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x2930,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x0c0500,
    .revision = 2,
    .interrupt_pin = 2,
    .config_written = ich9_smbus_config_written,
};

const struct device_class ich9_smbus_class = {
    .name = "ICH9-SMB",
    .description = "ICH9 SMBus",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct ich9_smbus),
    .properties = ich9_smbus_properties,
    .state = &ich9_smbus_state,
    .realize = ich9_smbus_realize,
    .unrealize = ich9_smbus_unrealize,
    .reset = ich9_smbus_reset,
    .bus_class = &ich9_smbus_pci_class,
};
