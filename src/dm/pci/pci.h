/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI devices and buses (PCI Local Bus 3.0, PCI Express 5.0). Config space is 256 bytes, or 4096 of
 * a PCI Express function (pci-express.h). */
#ifndef DUODM_DM_PCI_PCI_H
#define DUODM_DM_PCI_PCI_H

#include "dm/device.h"
#include "dm/pci/msi.h"

#define PCI_CONFIG_SIZE         256
#define PCI_EXPRESS_CONFIG_SIZE 4096
#define PCI_BAR_COUNT           6
#define PCI_ROM_MAX             (16u << 20) /* bytes of an expansion ROM */

struct pci_device;
struct pci_bus;
struct pci_view_link;

struct pci_class {
    uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
    uint32_t class_code; /* 24 bits: base class, subclass, programming interface */
    uint8_t revision;
    uint8_t interrupt_pin; /* 0: none, 1: INTA */
    bool is_bridge;        /* its header is of type 1: the struct begins with struct pci_bridge */
    /* Hooks, may be NULL: what a write has, before it is applied; after it was applied through the
     * write mask; before a read. */
    void (*config_write)(struct pci_device *device, unsigned offset, unsigned length,
                         uint32_t value);
    void (*config_written)(struct pci_device *device, unsigned offset, unsigned length);
    uint32_t (*config_read)(struct pci_device *device, unsigned offset, unsigned length);
    /* The bus has got an IOMMU after the device, or lost it: for who watches what it takes back
     * (pci_device_drain). Main loop, no lock held. */
    bool (*iommu_changed)(struct pci_device *device, GError **error);
};

struct pci_bar {
    struct memory_region *region; /* NULL: none. Not owned */
    uint64_t size;                /* power of two */
    bool is_io, is_64, prefetchable;
    bool is_rom;      /* the expansion ROM, which has an enable bit of its own */
    uint64_t address; /* where it is mapped; UINT64_MAX: nowhere */
    bool adopted;     /* it is memory that the engine has made the guest's own */
};

struct pci_device {
    struct device device;
    struct pci_bus *pci_bus;
    int32_t address;    /* property addr: devfn, -1: any */
    bool multifunction; /* property */
    bool hidden;        /* atomic. Config cycles don't find it: not announced yet, or ejected */
    /* Set in realize: the device is not ready for a guest yet, and calls pci_device_announce itself
     * when it is. Main loop. */
    bool holds_announcement;
    uint8_t devfn;
    uint16_t requester;   /* atomic: pci_requester_id */
    uint16_t config_size; /* bytes that config cycles find: 256 or 4096 */
    uint8_t config[PCI_EXPRESS_CONFIG_SIZE];
    uint8_t write_mask[PCI_EXPRESS_CONFIG_SIZE]; /* bits that the guest may write */
    uint8_t clear_mask[PCI_EXPRESS_CONFIG_SIZE]; /* bits that the guest clears by writing 1 */
    struct pci_bar bars[PCI_BAR_COUNT];
    struct pci_bar rom; /* pci_register_rom */
    struct memory_region rom_memory;
    struct address_space dma; /* what the device sees as bus master; open while Bus Master Enable */
    struct memory_region dma_root, dma_window;
    struct memory_region *view;  /* what dma_window shows: pci-iommu.h */
    struct memory_region routed; /* the view, of a function whose requester ID may change */
    struct pci_view_link *link;  /* what that shows; NULL: nothing. Under the topology lock */
    bool follows;                /* a host IOMMU follows the view, which has to stay */
    bool interrupt_level;        /* INTx as the device drives it; under the bus's interrupt lock */
    bool interrupt_disabled;     /* command register bit 10; under the same lock */
    bool interrupt_asserted;     /* what the bus line was told; under the same lock */
    struct pci_msi msi;          /* if the class has it: pci_msi_init */
    struct pci_msix msix;        /* pci_msix_init */
    uint8_t power_capability;    /* offset, if the class has it: pci_add_power_management */
    bool power_off;              /* D3hot, as last written there */
    uint8_t express;             /* offset of its PCI Express capability: pci_add_express */
    uint16_t capabilities_end;   /* first byte after the last capability; 0: there is none */
    uint16_t extended_last;      /* offset of the last extended capability; 0: there is none */
    uint16_t extended_end;       /* first byte after it */
    uint8_t power_on[PCI_EXPRESS_CONFIG_SIZE]; /* config space as realize left it: what a reset
                                                  restores */
};

/* Common properties of every PCI device class: put these two lines first in its table. */
#define PCI_DEVICE_PROPERTIES                                                                      \
    {"addr", PROPERTY_PCI_ADDRESS,          offsetof(struct pci_device, address), "-1", 0,         \
     0,      "slot[.function], hexadecimal"},                                                      \
    {                                                                                              \
        "multifunction", PROPERTY_BOOL, offsetof(struct pci_device, multifunction), "off", 0, 0,   \
            "other functions share the slot"                                                       \
    }

/* State that all PCI devices share: config space and interrupt pin. On a bus of PCI Express config
 * space is all of 4096 bytes. */
extern const struct state_description pci_device_state, pci_express_device_state;
/* Sizes of BARs. */
extern const struct property pci_device_facts[];

/* Little-endian fields of config space, its masks or its power-on image. offset + size <= 4096. */
static inline uint32_t pci_get(const uint8_t *space, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)space[offset + i] << (8 * i);
    }
    return value;
}

static inline void pci_put(uint8_t *space, unsigned offset, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++) {
        space[offset + i] = (uint8_t)(value >> (8 * i));
    }
}

/* What a config_read hook falls back on: the bytes of config space, with the status bit of INTx. */
uint32_t pci_device_config_read(struct pci_device *device, unsigned offset, unsigned length);
/* After a change of config space by other means than a guest's write: map what it now says. Inside
 * a topology transaction, or with no guard held. */
void pci_device_update_mappings(struct pci_device *device);

/* In realize: size must be a power of two, at least 16 (memory) or 4 (I/O), I/O at most 256. */
void pci_register_bar(struct pci_device *device, unsigned number, struct memory_region *region,
                      bool is_io, bool is_64, bool prefetchable);
/* In realize: the expansion ROM, from a file that is looked for as firmware is
 * (boot/firmware-image.h). The core frees it. */
bool pci_register_rom(struct pci_device *device, const char *file, GError **error);
/* The same, from memory: at most PCI_ROM_MAX bytes, of which it takes a copy. */
bool pci_register_rom_image(struct pci_device *device, const uint8_t *data, uint64_t length,
                            GError **error);
/* Does it begin as a ROM does? */
bool pci_is_rom(const uint8_t *data, uint64_t length);
/* Offset of a new capability of `size` bytes, zeroed past its header; 0 if there is no room. */
unsigned pci_add_capability(struct pci_device *device, uint8_t id, unsigned size);
/* Drive the device's INTx pin. Any thread. */
void pci_set_interrupt(struct pci_device *device, bool level);
/* Bus number, device, function: as the guest has numbered the bus last. Any thread. */
static inline uint16_t pci_requester_id(const struct pci_device *device)
{
    return __atomic_load_n(&device->requester, __ATOMIC_RELAXED);
}
/* May it do DMA: does its command register say so? (What those of bridges say does not count.) */
bool pci_device_is_master(const struct pci_device *device);

/* DMA as bus master; fails as a bus error does when Bus Master Enable is clear. */
enum memory_result pci_dma_read(struct pci_device *device, uint64_t address, void *buffer,
                                uint64_t length);
enum memory_result pci_dma_write(struct pci_device *device, uint64_t address, const void *buffer,
                                 uint64_t length);

/*
 * Who tells a running guest that devices come, and asks it to let them go: embedded in the
 * chipset's function that has the registers for it. Called in the main loop with no lock held.
 */
struct pci_hotplug {
    void (*announce)(struct pci_hotplug *hotplug, struct pci_device *device);
    void (*request_unplug)(struct pci_hotplug *hotplug, struct pci_device *device);
    /* Torn out: it is gone already. */
    void (*tell_gone)(struct pci_hotplug *hotplug, uint8_t devfn);
};
/* NULL: nobody. */
void pci_bus_set_hotplug(struct pci_bus *bus, struct pci_hotplug *hotplug);

/* How a board wires pins to interrupt lines: the line that pin p (0: INTA) of a slot drives. */
#define PCI_LINES 8 /* A to H; PIIX has the first four */
typedef unsigned (*pci_line_map_fn)(unsigned slot, unsigned pin);
/* Boards with PIIX: line (slot - 1 + p) mod 4. */
unsigned pci_line_map_piix(unsigned slot, unsigned pin);
/* Boards with ICH9: slots 25 to 31 are the chipset's, on A to D; the others take turns at E to H.
 */
unsigned pci_line_map_ich9(unsigned slot, unsigned pin);

/*
 * The root bus "pci.0", wired as boards with PIIX are. BARs appear in memory_space and io_space.
 * lines[] are shared, level-triggered, counted. Sets machine->pci_bus; machine_free frees it.
 */
struct pci_bus *pci_bus_new(struct machine *machine, struct memory_region *memory_space,
                            struct memory_region *io_space);
/* The same of PCI Express, "pcie.0": its functions may have 4096 bytes of config space, and there
 * may be root ports. */
struct pci_bus *pci_express_bus_new(struct machine *machine, struct memory_region *memory_space,
                                    struct memory_region *io_space);
/* Wired otherwise. Before there is a device. */
void pci_bus_set_line_map(struct pci_bus *bus, pci_line_map_fn map);
void pci_bus_set_interrupt_lines(struct pci_bus *bus, const struct irq_line lines[PCI_LINES]);
/* For the bridge that routes lines: the GSIs that they lead to now, 0: nowhere. Tells who listens
 * to messages (pci-iommu.h), too. No lock of an interrupt line held. */
void pci_bus_set_routes(struct pci_bus *bus, const uint8_t gsis[PCI_LINES]);
/* The GSI that a device's pin leads to; 0: none. Any thread. */
unsigned pci_device_gsi(const struct pci_device *device);
/* Pins do not drive the lines: each goes to a handler, number = slot * 4 + pin (0: INTA). Before
 * there is a device. */
void pci_bus_set_pin_handler(struct pci_bus *bus, irq_handler_fn handler, void *opaque);
struct bus *pci_bus_base(struct pci_bus *bus);
struct pci_bus *pci_bus_from_base(struct bus *base);
struct memory_region *pci_bus_memory_space(struct pci_bus *bus);
struct memory_region *pci_bus_io_space(struct pci_bus *bus);
struct pci_device *pci_bus_find(struct pci_bus *bus, uint8_t devfn);
/* Is it one of PCI Express? */
bool pci_bus_is_express(const struct pci_bus *bus);
/* Configuration access of 1, 2 or 4 bytes, from the root bus to whichever has that number; all ones
 * where there is no device, or no such byte. offset + size <= 4096. */
uint32_t pci_bus_config_read(struct pci_bus *bus, unsigned bus_number, unsigned devfn,
                             unsigned offset, unsigned size);
void pci_bus_config_write(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned offset,
                          unsigned size, uint32_t value);
void pci_bus_free(struct pci_bus *bus);
/* Give every BAR an address and every pin an interrupt line, as firmware would, for kernels that
 * are loaded directly. irq_of_line: GSI of each line. Returns false if a window is full.
 */
bool pci_bus_assign_resources(struct pci_bus *bus, struct range memory_window,
                              struct range memory64_window, struct range io_window,
                              const uint8_t irq_of_line[PCI_LINES], GError **error);

#endif
