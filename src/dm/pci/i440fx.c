/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX (PMC): the host bridge. Configuration mechanism 1 at CF8h, the PAM registers and
 * SMRAM. Sections are those of the datasheet, Intel order number 290549.
 */
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/config-ports.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/shadow-ram.h"
#include "util/error.h"

#define SMRAM 0x72u /* 3.2.27 */

struct i440fx {
    struct pci_device pci;
    struct pci_config_ports ports;
    struct shadow_ram shadow;
};

void i440fx_set_reset_port(struct pci_device *host, struct memory_region *region)
{
    ((struct i440fx *)host)->ports.reset_port = region;
}

static void i440fx_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    shadow_ram_written(&((struct i440fx *)device)->shadow, offset, length);
}

static bool i440fx_realize(struct device *device, GError **error)
{
    struct i440fx *host = (struct i440fx *)device;
    struct pci_device *pci = &host->pci;

    if (!device->machine->ram.name) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "the host bridge needs the machine's RAM");
    }
    /* Memory space and bus master are always on, other command bits but SERR don't exist: 3.2.3. */
    pci_put(pci->config, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_put(pci->write_mask, PCI_COMMAND, 2, PCI_COMMAND_SERR);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    memory_topology_begin();
    pci_config_ports_init(&host->ports, pci->pci_bus);
    shadow_ram_init(&host->shadow, pci, I440FX_PAM0, SMRAM);
    memory_topology_commit();
    return true;
}

static void i440fx_unrealize(struct device *device)
{
    struct i440fx *host = (struct i440fx *)device;

    shadow_ram_destroy(&host->shadow);
    pci_config_ports_destroy(&host->ports);
}

static void i440fx_reset(struct device *device)
{
    struct i440fx *host = (struct i440fx *)device;

    pci_config_ports_reset(&host->ports);
    shadow_ram_update(&host->shadow);
}

static bool i440fx_after_load(void *object)
{
    struct i440fx *host = object;

    if (host->ports.address & ~PCI_CONFADD_MASK) {
        return false;
    }
    shadow_ram_update(&host->shadow);
    return true;
}

static const struct property i440fx_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field i440fx_fields[] = {
    STATE_NAMED("config_address", UINT32, i440fx, ports.address, 1),
    STATE_END,
};

static const struct state_description i440fx_state = {
    .name = "i440FX-pcihost",
    .version = 1,
    .fields = i440fx_fields,
    .after_load = i440fx_after_load,
};

/* The subsystem ID is the one by which SeaBIOS knows a virtual PC. */
static const struct pci_class i440fx_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x1237,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x060000,
    .revision = 2,
    .config_written = i440fx_config_written,
};

const struct device_class i440fx_class = {
    .name = "i440FX-pcihost",
    .description = "82441FX host bridge",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct i440fx),
    .properties = i440fx_properties,
    .state = &i440fx_state,
    .realize = i440fx_realize,
    .unrealize = i440fx_unrealize,
    .reset = i440fx_reset,
    .bus_class = &i440fx_pci_class,
};
