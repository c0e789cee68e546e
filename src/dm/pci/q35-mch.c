/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82Q35 MCH, device 0: the host bridge. Configuration mechanism 1 at CF8h, config space in
 * memory where PCIEXBAR says, PAM and SMRAM. There is no SMM, so the registers of TSEG are read as
 * zeros. Sections are those of the datasheet, Intel order number 316966.
 */
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/config-ports.h"
#include "dm/pci/pci-ecam.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/q35.h"
#include "dm/pci/shadow-ram.h"
#include "util/error.h"

#define SMRAM 0x9du /* 5.1.27 */

/* 5.1.15: enable, length, and address bits 35:26, of which a length ignores some. */
#define PCIEXBAR              0x60u
#define PCIEXBAR_ENABLE       0x1u
#define PCIEXBAR_LENGTH(bar)  ((bar) >> 1 & 3) /* 0: 256 MiB, 1: 128, 2: 64, 3: reserved */
#define PCIEXBAR_MASK_LOW     0xfc000007u
#define PCIEXBAR_MASK_HIGH    0x0000000fu
#define PCIEXBAR_DEFAULT      0xe0000000u
#define PCIEXBAR_ADDRESS_MASK 0xffc000000ull

struct q35_mch {
    struct pci_device pci;
    struct pci_config_ports ports;
    struct pci_ecam ecam;
    struct shadow_ram shadow;
};

void mch_set_reset_port(struct pci_device *mch, struct memory_region *region)
{
    ((struct q35_mch *)mch)->ports.reset_port = region;
}

void mch_enable_ecam(struct pci_device *mch, uint64_t address)
{
    struct pci_bus *bus = mch->pci_bus;

    pci_bus_config_write(bus, 0, mch->devfn, PCIEXBAR, 4, 0);
    pci_bus_config_write(bus, 0, mch->devfn, PCIEXBAR + 4, 4, (uint32_t)(address >> 32));
    pci_bus_config_write(bus, 0, mch->devfn, PCIEXBAR, 4, (uint32_t)address | PCIEXBAR_ENABLE);
}

static void update_ecam(struct q35_mch *mch)
{
    uint64_t bar = pci_get(mch->pci.config, PCIEXBAR, 4) |
                   (uint64_t)pci_get(mch->pci.config, PCIEXBAR + 4, 4) << 32;
    unsigned length = PCIEXBAR_LENGTH(bar);
    bool on = (bar & PCIEXBAR_ENABLE) && length < PCI_ECAM_WINDOWS;

    bar &= PCIEXBAR_ADDRESS_MASK & ~((PCI_ECAM_SIZE >> length) - 1);
    pci_ecam_map(&mch->ecam, bar, on ? length : PCI_ECAM_WINDOWS);
}

static void q35_mch_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    struct q35_mch *mch = (struct q35_mch *)device;

    if (offset < PCIEXBAR + 8 && offset + length > PCIEXBAR) {
        update_ecam(mch);
    }
    shadow_ram_written(&mch->shadow, offset, length);
}

static void init_registers(struct pci_device *pci)
{
    pci_put(pci->config, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_put(pci->write_mask, PCI_COMMAND, 2, PCI_COMMAND_SERR);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_FAST_BACK);
    pci->write_mask[PCI_CACHE_LINE_SIZE] = 0;
    pci->write_mask[PCI_LATENCY_TIMER] = 0;
    pci->write_mask[PCI_INTERRUPT_LINE] = 0;
    pci_put(pci->config, PCIEXBAR, 4, PCIEXBAR_DEFAULT);
    pci_put(pci->write_mask, PCIEXBAR, 4, PCIEXBAR_MASK_LOW);
    pci_put(pci->write_mask, PCIEXBAR + 4, 4, PCIEXBAR_MASK_HIGH);
}

static bool q35_mch_realize(struct device *device, GError **error)
{
    struct q35_mch *mch = (struct q35_mch *)device;

    if (!device->machine->ram.name) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "the host bridge needs the machine's RAM");
    }
    init_registers(&mch->pci);
    memory_topology_begin();
    pci_config_ports_init(&mch->ports, mch->pci.pci_bus);
    pci_ecam_init(&mch->ecam, mch->pci.pci_bus, &device->machine->system_memory);
    shadow_ram_init(&mch->shadow, &mch->pci, MCH_PAM0, SMRAM);
    memory_topology_commit();
    return true;
}

static void q35_mch_unrealize(struct device *device)
{
    struct q35_mch *mch = (struct q35_mch *)device;

    shadow_ram_destroy(&mch->shadow);
    pci_ecam_destroy(&mch->ecam);
    pci_config_ports_destroy(&mch->ports);
}

static void q35_mch_reset(struct device *device)
{
    struct q35_mch *mch = (struct q35_mch *)device;

    pci_config_ports_reset(&mch->ports);
    update_ecam(mch);
    shadow_ram_update(&mch->shadow);
}

static bool q35_mch_after_load(void *object)
{
    struct q35_mch *mch = object;

    if (mch->ports.address & ~PCI_CONFADD_MASK) {
        return false;
    }
    update_ecam(mch);
    shadow_ram_update(&mch->shadow);
    return true;
}

static const struct property q35_mch_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field q35_mch_fields[] = {
    STATE(UINT32, q35_mch, ports.address, 1),
    STATE_END,
};

static const struct state_description q35_mch_state = {
    .name = "mch",
    .version = 1,
    .fields = q35_mch_fields,
    .after_load = q35_mch_after_load,
};

/* The subsystem ID is the one by which SeaBIOS knows a virtual PC. */
static const struct pci_class q35_mch_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x29c0,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x060000,
    .revision = 2,
    .config_written = q35_mch_config_written,
};

const struct device_class q35_mch_class = {
    .name = "mch",
    .description = "82Q35 MCH host bridge",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct q35_mch),
    .properties = q35_mch_properties,
    .state = &q35_mch_state,
    .realize = q35_mch_realize,
    .unrealize = q35_mch_unrealize,
    .reset = q35_mch_reset,
    .bus_class = &q35_mch_pci_class,
};
