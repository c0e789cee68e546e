/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices and buses. A device class is a const struct, a line of device-classes.def; a device is
 * made (device_new), given properties (device_set_property), realised (device_realize) and
 * destroyed. The device's author never locks: the core takes device.guard around its callbacks.
 */
#ifndef DUODM_DM_DEVICE_H
#define DUODM_DM_DEVICE_H

#include "dm/irq.h"
#include "dm/property.h"
#include "dm/state.h"
#include "memory/address-space.h"
#include "memory/guard.h"

#include <glib.h>

struct machine;
struct device;
struct device_tree;
struct device_node;

enum bus_type {
    BUS_SYSTEM, /* wired by the board, at addresses that the board chooses */
    BUS_ISA,    /* fixed port addresses and ISA interrupts, from properties */
    BUS_PCI,
    BUS_VIRTIO,        /* virtio-mmio slots */
    BUS_VIRTIO_SERIAL, /* ports of a virtio-serial device */
    BUS_ATA,           /* IDE channels and AHCI ports */
    BUS_USB,
};

struct bus;

/* What guests with paravirtual drivers ask to be taken away before they find it twice: bits as in
 * Xen's docs/misc/hvm-emulated-unplug. (Disks are told by their bus: ata/ata-unplug.h.) */
enum device_unplug_kind {
    DEVICE_UNPLUG_NIC = 1 << 1,
};

/* What a kind of bus adds to the life of its devices. Any may be NULL. */
struct bus_ops {
    bool (*prepare)(struct device *device, GError **error); /* before the class's realize */
    bool (*plug)(struct device *device, GError **error);    /* after: make it visible */
    void (*unplug)(struct device *device);                  /* mirror of plug */
    void (*release)(struct device *device);                 /* mirror of prepare */
    void (*reset)(struct device *device);                   /* before the class's reset */
    /* Of buses that devices can come to and leave while the machine runs: tell the guest of a new
     * device (NULL: nothing to do), which the bus has hidden from it so far. */
    void (*announce)(struct device *device);
    /* Ask the guest to let go of a device; then hotplug_removed. At once if there is no guest to
     * ask, or with force. NULL: there is no hotplug. */
    bool (*request_unplug)(struct device *device, bool force, GError **error);
    bool (*is_full)(const struct bus *bus); /* then a device that names no bus gets another */
    const struct state_description *state;  /* of struct device, saved before the class's */
    const struct property *facts;           /* of struct device: as device_class.facts */
    /* Where on the bus it is ("03.0"), where that is not chance. Caller frees. */
    char *(*address)(const struct device *device);
    /* Add the bus and what is on it to the device tree. NULL: the devices do so by themselves. */
    void (*describe)(struct bus *bus, struct device_tree *tree, struct device_node *node);
};

struct bus {
    const struct bus_ops *ops; /* NULL: nothing to add */
    enum bus_type type;
    const char *name;      /* "pci.0", "isa.0" */
    struct device *parent; /* the bridge; NULL for the system bus */
    GPtrArray *children;   /* of struct device, in order of creation */
};

struct device_class {
    const char *name;        /* as -device has it */
    const char *alias;       /* another name, or NULL */
    const char *description; /* one line */
    enum bus_type bus_type;
    size_t instance_size;              /* bytes; the struct begins with struct device */
    bool wants_shared_ram;             /* works better if other processes can map RAM */
    bool user_creatable;               /* may be named by -device */
    bool cold_only;                    /* but not by device_add, nor device_del */
    bool comes_first;                  /* of the command line's devices, in whatever order */
    const struct property *properties; /* ended by PROPERTY_END, or NULL */
    /* What realize has made of the properties, where that also hangs on the host: no user sets it,
     * but a saved machine must have the same. Ended by PROPERTY_END, or NULL. */
    const struct property *facts;
    const struct state_description *state; /* or NULL */
    const char *unsaved; /* why a machine with one of these can't be saved; NULL: it can */
    bool (*realize)(struct device *device, GError **error);
    void (*unrealize)(struct device *device); /* mirror of realize; may be NULL */
    void (*reset)(struct device *device);     /* to power-on state; may be NULL */
    const void *bus_class;                    /* PCI: struct pci_class; else NULL */
    unsigned unplug_kind;                     /* a bit of enum device_unplug_kind, or 0 */
    /* Add it to the device tree (dm/fdt/device-tree.h); node: of its bus. NULL: it is left out. */
    void (*describe)(struct device *device, struct device_tree *tree, struct device_node *node);
};

struct device {
    const struct device_class *class;
    struct machine *machine;
    struct bus *bus;
    char *id; /* user's name, or NULL */
    struct access_guard guard;
    bool realized;
};

/* From the table of classes; NULL if there is none of that name (or alias). */
const struct device_class *device_class_find(const char *name);
extern const struct device_class *const device_class_table[]; /* ended by NULL */

/* A new device with its properties at their defaults (-global applied), not realised. bus may be
 * NULL: the machine's first bus of the class's type. */
struct device *device_new(struct machine *machine, const struct device_class *class,
                          struct bus *bus, const char *id, GError **error);
bool device_set_property(struct device *device, const char *name, const char *value,
                         GError **error);
/* Realise and add to the bus. On failure nothing is left but the device, which the caller frees. */
bool device_realize(struct device *device, GError **error);
/* Unrealise if need be, leave the bus, free. */
void device_destroy(struct device *device);
/* Make and realise in one step, for boards: name must exist. Arguments: property, value, ..., NULL.
 */
struct device *device_create(struct machine *machine, const char *class_name, struct bus *bus,
                             GError **error, ...) G_GNUC_NULL_TERMINATED;
/* Reset one device, within its guard. */
void device_reset(struct device *device);
/* State of a device as one section each for its bus and its class, appended to a stream; and back.
 * A refused stream leaves the device as it was; the error names device and field. Paused only. */
void device_save_state(struct device *device, GByteArray *stream);
bool device_load_state(struct device *device, const uint8_t *stream, size_t length,
                       size_t *consumed, GError **error);
/* Does its saved state consist of anything? */
bool device_has_state(const struct device *device);
/* Where it is: its bus and address there ("pci.0/03.0"), or its class and number among those of
 * that class ("isa-serial[1]"). How messages call it: its id, or that. How saved state does: by
 * both
 * ("disk at pci.0/03.0"), for a guest finds it by its place. Caller frees. */
char *device_place(const struct device *device);
char *device_describe(const struct device *device);
char *device_state_name(const struct device *device);

/* For what embeds a bus (struct pci_bus). name is copied. */
void bus_init(struct bus *bus, const struct bus_ops *ops, enum bus_type type, const char *name,
              struct device *parent);
/* Let -device and monitors find a bus that is not one of the machine's three; and no longer. */
void bus_offer(struct machine *machine, struct bus *bus);
void bus_withdraw(struct machine *machine, struct bus *bus);
void bus_clear(struct bus *bus); /* destroys the children, last first */

struct bus *bus_new(enum bus_type type, const char *name, struct device *parent);
void bus_free(struct bus *bus); /* destroys the children, last first */

#endif
