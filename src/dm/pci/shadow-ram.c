/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/shadow-ram.h"
#include "dm/machine.h"

#define PAM_READ  0x1u /* RE: reads go to RAM */
#define PAM_WRITE 0x2u /* WE: writes go to RAM */
#define PAM_MASK  0x7u /* RE, WE and cache enable, which does nothing */

#define SMRAM_DEFAULT 0x02u /* C_BASE_SEG: A0000h, fixed */
#define SMRAM_LOCK    0x10u
#define SMRAM_OPEN    0x40u
#define SMRAM_MASK    0x78u /* D_OPEN, D_CLS, D_LCK, G_SMRAME */
#define SMRAM_BASE    0xa0000u
#define SMRAM_SIZE    0x20000u

/* Whoever answers in a hole that PAM opens lies above RAM. */
#define SHADOW_PRIORITY 1

static enum memory_result write_only_read(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t *value)
{
    struct shadow_segment *segment = opaque;

    address_space_load(&segment->shadow->pci_memory, segment->start + offset, size, attributes,
                       value);
    return MEMORY_OK;
}

static enum memory_result write_only_write(void *opaque, uint64_t offset, unsigned size,
                                           struct memory_attributes attributes, uint64_t value)
{
    struct shadow_segment *segment = opaque;
    struct memory_region *ram = &segment->shadow->bridge->device.machine->ram;

    return memory_region_dispatch_write(ram, segment->start + offset, size, attributes, value);
}

static const struct memory_region_ops write_only_ops = {
    .read = write_only_read,
    .write = write_only_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
};

/* Segment 0 is F0000h, the high nibble of PAM0; then 16 KiB each from C0000h, low nibble first. */
static unsigned pam_value(const struct shadow_ram *shadow, unsigned index)
{
    unsigned nibble = index + 1; /* of the registers from PAM0 on */

    return shadow->bridge->config[shadow->pam + nibble / 2] >> (nibble % 2 * 4) &
           (PAM_READ | PAM_WRITE);
}

static void update_memory(struct shadow_ram *shadow)
{
    bool smram_open = shadow->bridge->config[shadow->smram] & SMRAM_OPEN;

    memory_topology_begin();
    for (unsigned i = 0; i < SHADOW_SEGMENTS; i++) {
        struct shadow_segment *segment = &shadow->segments[i];
        unsigned value = pam_value(shadow, i);

        memory_region_set_enabled(&segment->pci, value == 0);
        memory_region_set_enabled(&segment->read_only, value == PAM_READ);
        memory_region_set_enabled(&segment->write_only, value == PAM_WRITE);
    }
    memory_region_set_enabled(&shadow->smram_hole, !smram_open);
    memory_topology_commit();
}

/* D_LCK closes SMRAM and makes the register read-only until reset. */
static void update_smram_lock(struct shadow_ram *shadow)
{
    struct pci_device *bridge = shadow->bridge;
    bool locked = bridge->config[shadow->smram] & SMRAM_LOCK;

    if (locked) {
        bridge->config[shadow->smram] &= (uint8_t)~SMRAM_OPEN;
    }
    bridge->write_mask[shadow->smram] = locked ? 0 : SMRAM_MASK;
}

void shadow_ram_update(struct shadow_ram *shadow)
{
    update_smram_lock(shadow);
    update_memory(shadow);
}

void shadow_ram_written(struct shadow_ram *shadow, unsigned offset, unsigned length)
{
    if (offset <= shadow->smram && offset + length > shadow->pam) {
        shadow_ram_update(shadow);
    }
}

static void add_region(struct shadow_ram *shadow, struct memory_region *region, uint32_t start)
{
    memory_region_set_enabled(region, false);
    memory_region_add_subregion_overlap(&shadow->bridge->device.machine->system_memory, start,
                                        region, SHADOW_PRIORITY);
}

static void init_segment(struct shadow_ram *shadow, unsigned index)
{
    struct shadow_segment *segment = &shadow->segments[index];
    struct memory_region *pci = pci_bus_memory_space(shadow->bridge->pci_bus);
    struct memory_region *ram = &shadow->bridge->device.machine->ram;

    segment->shadow = shadow;
    segment->start = index == 0 ? 0xf0000 : 0xc0000 + (index - 1) * 0x4000;
    segment->size = index == 0 ? 0x10000 : 0x4000;
    memory_region_init_alias(&segment->pci, "pam-pci", pci, segment->start, segment->size);
    memory_region_init_alias(&segment->read_only, "pam-ram", ram, segment->start, segment->size);
    memory_region_set_read_only(&segment->read_only, true);
    memory_region_init_mmio(&segment->write_only, "pam-write", segment->size, &write_only_ops,
                            segment, NULL);
    add_region(shadow, &segment->pci, segment->start);
    add_region(shadow, &segment->read_only, segment->start);
    add_region(shadow, &segment->write_only, segment->start);
}

static void init_registers(const struct shadow_ram *shadow)
{
    struct pci_device *bridge = shadow->bridge;

    bridge->write_mask[shadow->pam] = PAM_MASK << 4;
    for (unsigned i = 1; i < SHADOW_PAMS; i++) {
        bridge->write_mask[shadow->pam + i] = PAM_MASK << 4 | PAM_MASK;
    }
    bridge->config[shadow->smram] = SMRAM_DEFAULT;
    bridge->write_mask[shadow->smram] = SMRAM_MASK;
}

void shadow_ram_init(struct shadow_ram *shadow, struct pci_device *bridge, unsigned pam,
                     unsigned smram)
{
    struct memory_region *pci = pci_bus_memory_space(bridge->pci_bus);

    shadow->bridge = bridge;
    shadow->pam = pam;
    shadow->smram = smram;
    init_registers(shadow);
    address_space_init(&shadow->pci_memory, pci, "PCI memory");
    for (unsigned i = 0; i < SHADOW_SEGMENTS; i++) {
        init_segment(shadow, i);
    }
    memory_region_init_alias(&shadow->smram_hole, "smram-hole", pci, SMRAM_BASE, SMRAM_SIZE);
    memory_region_add_subregion_overlap(&bridge->device.machine->system_memory, SMRAM_BASE,
                                        &shadow->smram_hole, SHADOW_PRIORITY);
    update_memory(shadow);
}

void shadow_ram_destroy(struct shadow_ram *shadow)
{
    memory_region_destroy(&shadow->smram_hole);
    for (unsigned i = SHADOW_SEGMENTS; i-- > 0;) {
        memory_region_destroy(&shadow->segments[i].write_only);
        memory_region_destroy(&shadow->segments[i].read_only);
        memory_region_destroy(&shadow->segments[i].pci);
    }
    address_space_destroy(&shadow->pci_memory);
}
