/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX (PMC): the host bridge. Configuration mechanism 1 at CF8h, the PAM registers that
 * decide between RAM and PCI from C0000h to FFFFFh, and SMRAM, which does so for A0000h.
 * Sections are those of the datasheet, Intel order number 290549.
 */
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#define CONFADD_PORT          0xcf8u
#define CONFADD_MASK          0x80fffffcu /* enable, bus, device, function, register: 3.1.1 */
#define CONFADD_ON            0x80000000u
#define CHIPSET_PORT_PRIORITY 2 /* above the BARs: the bridge decodes these ports first */

#define PAM_FIRST 0x59u /* PAM0..PAM6: 3.2.20 */
#define PAM_READ  0x1u  /* RE: reads go to RAM */
#define PAM_WRITE 0x2u  /* WE: writes go to RAM */
#define PAM_MASK  0x7u  /* RE, WE and cache enable, which does nothing */
#define PAM_COUNT 13

#define SMRAM         0x72u /* 3.2.27 */
#define SMRAM_DEFAULT 0x02u /* C_BASE_SEG: A0000h, fixed */
#define SMRAM_LOCK    0x10u
#define SMRAM_OPEN    0x40u
#define SMRAM_MASK    0x78u /* D_OPEN, D_CLS, D_LCK, G_SMRAME */
#define SMRAM_BASE    0xa0000u
#define SMRAM_SIZE    0x20000u

/* Whoever answers in a hole that PAM opens lies above RAM. */
#define SHADOW_PRIORITY 1

/* A piece of memory that one nibble of a PAM register controls. */
struct pam_segment {
    struct i440fx *host;
    uint32_t start, size;
    struct memory_region pci;        /* PAM 0: reads and writes go to PCI */
    struct memory_region read_only;  /* RE: RAM, writes go to PCI, where ROM drops them */
    struct memory_region write_only; /* WE: writes go to RAM, reads come from PCI */
};

struct i440fx {
    struct pci_device pci;
    uint32_t config_address; /* CONFADD; atomic */
    struct memory_region config_address_ports, config_data_ports;
    struct memory_region *reset_port; /* CF9h; not owned */
    struct pam_segment pam[PAM_COUNT];
    struct memory_region smram_hole; /* A0000h shows PCI while SMRAM is closed */
    struct address_space pci_memory; /* what the PCI side answers, for write-only segments */
};

void i440fx_set_reset_port(struct pci_device *host, struct memory_region *region)
{
    ((struct i440fx *)host)->reset_port = region;
}

/* Configuration mechanism 1. These callbacks run without the bridge's guard, so that a config cycle
 * takes locks in their order: topology, then the guard of the device that it goes to. */

static enum memory_result confadd_read(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t *value)
{
    struct i440fx *host = opaque;

    *value = UINT64_MAX;
    if (offset == 0 && size == 4) {
        *value = __atomic_load_n(&host->config_address, __ATOMIC_RELAXED);
    } else if (offset == 1 && size == 1 && host->reset_port) {
        return memory_region_dispatch_read(host->reset_port, 0, 1, attributes, value);
    }
    return MEMORY_OK;
}

static enum memory_result confadd_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    struct i440fx *host = opaque;

    if (offset == 0 && size == 4) {
        __atomic_store_n(&host->config_address, (uint32_t)value & CONFADD_MASK, __ATOMIC_RELAXED);
    } else if (offset == 1 && size == 1 && host->reset_port) {
        return memory_region_dispatch_write(host->reset_port, 0, 1, attributes, value);
    }
    return MEMORY_OK;
}

static enum memory_result confdata_read(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t *value)
{
    struct i440fx *host = opaque;
    uint32_t address = __atomic_load_n(&host->config_address, __ATOMIC_RELAXED);

    *value = UINT64_MAX;
    if (address & CONFADD_ON) {
        *value = pci_bus_config_read(host->pci.pci_bus, address >> 16 & 0xff, address >> 8 & 0xff,
                                     (address & 0xfc) + (unsigned)offset, size);
    }
    return MEMORY_OK;
}

static enum memory_result confdata_write(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t value)
{
    struct i440fx *host = opaque;
    uint32_t address = __atomic_load_n(&host->config_address, __ATOMIC_RELAXED);

    if (address & CONFADD_ON) {
        pci_bus_config_write(host->pci.pci_bus, address >> 16 & 0xff, address >> 8 & 0xff,
                             (address & 0xfc) + (unsigned)offset, size, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops confadd_ops = {
    .read = confadd_read,
    .write = confadd_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static const struct memory_region_ops confdata_ops = {
    .read = confdata_read,
    .write = confdata_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

/* Shadow RAM. */

static enum memory_result write_only_read(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t *value)
{
    struct pam_segment *segment = opaque;

    address_space_load(&segment->host->pci_memory, segment->start + offset, size, attributes,
                       value);
    return MEMORY_OK;
}

static enum memory_result write_only_write(void *opaque, uint64_t offset, unsigned size,
                                           struct memory_attributes attributes, uint64_t value)
{
    struct pam_segment *segment = opaque;
    struct memory_region *ram = &segment->host->pci.device.machine->ram;

    return memory_region_dispatch_write(ram, segment->start + offset, size, attributes, value);
}

static const struct memory_region_ops write_only_ops = {
    .read = write_only_read,
    .write = write_only_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
};

/* Segment 0 is F0000h, the high nibble of PAM0; then 16 KiB each from C0000h, low nibble first. */
static unsigned pam_value(const struct i440fx *host, unsigned index)
{
    unsigned nibble = index + 1; /* of the registers from PAM0 on */

    return host->pci.config[PAM_FIRST + nibble / 2] >> (nibble % 2 * 4) & (PAM_READ | PAM_WRITE);
}

static void update_memory(struct i440fx *host)
{
    bool smram_open = host->pci.config[SMRAM] & SMRAM_OPEN;

    memory_topology_begin();
    for (unsigned i = 0; i < PAM_COUNT; i++) {
        struct pam_segment *segment = &host->pam[i];
        unsigned value = pam_value(host, i);

        memory_region_set_enabled(&segment->pci, value == 0);
        memory_region_set_enabled(&segment->read_only, value == PAM_READ);
        memory_region_set_enabled(&segment->write_only, value == PAM_WRITE);
    }
    memory_region_set_enabled(&host->smram_hole, !smram_open);
    memory_topology_commit();
}

/* D_LCK closes SMRAM and makes the register read-only until reset. */
static void update_smram_lock(struct i440fx *host)
{
    bool locked = host->pci.config[SMRAM] & SMRAM_LOCK;

    if (locked) {
        host->pci.config[SMRAM] &= (uint8_t)~SMRAM_OPEN;
    }
    host->pci.write_mask[SMRAM] = locked ? 0 : SMRAM_MASK;
}

static void i440fx_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    struct i440fx *host = (struct i440fx *)device;

    if (offset <= SMRAM && offset + length > PAM_FIRST) {
        update_smram_lock(host);
        update_memory(host);
    }
}

static void add_shadow_region(struct i440fx *host, struct memory_region *region, uint32_t start)
{
    memory_region_set_enabled(region, false);
    memory_region_add_subregion_overlap(&host->pci.device.machine->system_memory, start, region,
                                        SHADOW_PRIORITY);
}

static void init_segment(struct i440fx *host, unsigned index)
{
    struct pam_segment *segment = &host->pam[index];
    struct memory_region *pci = pci_bus_memory_space(host->pci.pci_bus);
    struct memory_region *ram = &host->pci.device.machine->ram;

    segment->host = host;
    segment->start = index == 0 ? 0xf0000 : 0xc0000 + (index - 1) * 0x4000;
    segment->size = index == 0 ? 0x10000 : 0x4000;
    memory_region_init_alias(&segment->pci, "pam-pci", pci, segment->start, segment->size);
    memory_region_init_alias(&segment->read_only, "pam-ram", ram, segment->start, segment->size);
    memory_region_set_read_only(&segment->read_only, true);
    memory_region_init_mmio(&segment->write_only, "pam-write", segment->size, &write_only_ops,
                            segment, NULL);
    add_shadow_region(host, &segment->pci, segment->start);
    add_shadow_region(host, &segment->read_only, segment->start);
    add_shadow_region(host, &segment->write_only, segment->start);
}

static void init_registers(struct pci_device *pci)
{
    /* Memory space and bus master are always on, other command bits but SERR don't exist: 3.2.3. */
    pci_put(pci->config, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_put(pci->write_mask, PCI_COMMAND, 2, PCI_COMMAND_SERR);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    pci->write_mask[PAM_FIRST] = PAM_MASK << 4;
    for (unsigned i = 1; i < 7; i++) {
        pci->write_mask[PAM_FIRST + i] = PAM_MASK << 4 | PAM_MASK;
    }
    pci->config[SMRAM] = SMRAM_DEFAULT;
    pci->write_mask[SMRAM] = SMRAM_MASK;
}

static void init_ports(struct i440fx *host)
{
    struct memory_region *io = pci_bus_io_space(host->pci.pci_bus);

    memory_region_init_mmio(&host->config_address_ports, "pci-config-address", 4, &confadd_ops,
                            host, NULL);
    memory_region_init_mmio(&host->config_data_ports, "pci-config-data", 4, &confdata_ops, host,
                            NULL);
    memory_region_add_subregion_overlap(io, CONFADD_PORT, &host->config_address_ports,
                                        CHIPSET_PORT_PRIORITY);
    memory_region_add_subregion_overlap(io, CONFADD_PORT + 4, &host->config_data_ports,
                                        CHIPSET_PORT_PRIORITY);
}

static bool i440fx_realize(struct device *device, GError **error)
{
    struct i440fx *host = (struct i440fx *)device;
    struct memory_region *pci = pci_bus_memory_space(host->pci.pci_bus);
    struct memory_region *memory = &device->machine->system_memory;

    if (!device->machine->ram.name) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "the host bridge needs the machine's RAM");
    }
    init_registers(&host->pci);
    address_space_init(&host->pci_memory, pci, "PCI memory");
    memory_topology_begin();
    init_ports(host);
    for (unsigned i = 0; i < PAM_COUNT; i++) {
        init_segment(host, i);
    }
    memory_region_init_alias(&host->smram_hole, "smram-hole", pci, SMRAM_BASE, SMRAM_SIZE);
    memory_region_add_subregion_overlap(memory, SMRAM_BASE, &host->smram_hole, SHADOW_PRIORITY);
    update_memory(host);
    memory_topology_commit();
    return true;
}

static void i440fx_unrealize(struct device *device)
{
    struct i440fx *host = (struct i440fx *)device;

    memory_region_destroy(&host->smram_hole);
    for (unsigned i = PAM_COUNT; i-- > 0;) {
        memory_region_destroy(&host->pam[i].write_only);
        memory_region_destroy(&host->pam[i].read_only);
        memory_region_destroy(&host->pam[i].pci);
    }
    memory_region_destroy(&host->config_data_ports);
    memory_region_destroy(&host->config_address_ports);
    address_space_destroy(&host->pci_memory);
}

static void i440fx_reset(struct device *device)
{
    struct i440fx *host = (struct i440fx *)device;

    __atomic_store_n(&host->config_address, 0, __ATOMIC_RELAXED);
    update_smram_lock(host);
    update_memory(host);
}

static bool i440fx_after_load(void *object)
{
    struct i440fx *host = object;

    if (host->config_address & ~CONFADD_MASK) {
        return false;
    }
    update_smram_lock(host);
    update_memory(host);
    return true;
}

static const struct property i440fx_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field i440fx_fields[] = {
    STATE(UINT32, i440fx, config_address, 1),
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
