/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio over MMIO, version 2 (virtio 1.2, 4.2): a bus whose board gives it slots, each a window of
 * registers and an interrupt line. A device (-device NAME-device) takes the first slot that is
 * free; an empty slot shows device ID 0.
 */
#ifndef DUODM_DM_VIRTIO_VIRTIO_MMIO_H
#define DUODM_DM_VIRTIO_VIRTIO_MMIO_H

#include "dm/virtio/virtio.h"

#define VIRTIO_MMIO_SLOT_SIZE 0x200u /* bytes of a window */

struct virtio_mmio_bus;

struct virtio_mmio_slot {
    gpa_t address;        /* of the window */
    struct irq_line line; /* level, high while interrupts wait */
};

/* The bus is named "virtio-mmio" and offered to -device. slots is copied. Free it before the
 * board's memory regions, with no device guard held: destroys the devices. */
struct virtio_mmio_bus *virtio_mmio_bus_new(struct machine *machine, struct memory_region *space,
                                            const struct virtio_mmio_slot *slots, unsigned count);
void virtio_mmio_bus_free(struct virtio_mmio_bus *bus);
/* Is a device in the slot? For what describes the machine to the guest. */
bool virtio_mmio_slot_is_used(const struct virtio_mmio_bus *bus, unsigned slot);

/* device_class.bus_class of a virtio device over MMIO is its struct virtio_class. */
bool virtio_mmio_realize(struct device *device, GError **error);
void virtio_mmio_unrealize(struct device *device);
void virtio_mmio_reset(struct device *device);

/* prefix_##_mmio_class: a line in device-classes.def. name_ and description_ are literals;
 * properties_ has VIRTIO_DEVICE_PROPERTIES. */
#define VIRTIO_MMIO_CLASS(prefix_, virtio_class_, struct_, name_, description_, state_,            \
                          properties_)                                                             \
    extern const struct device_class prefix_##_mmio_class;                                         \
    const struct device_class prefix_##_mmio_class = {                                             \
        .name = name_ "-device",                                                                   \
        .description = description_,                                                               \
        .bus_type = BUS_VIRTIO,                                                                    \
        .instance_size = sizeof(struct struct_),                                                   \
        .user_creatable = true,                                                                    \
        .properties = properties_,                                                                 \
        .facts = virtio_facts,                                                                     \
        .state = &(state_),                                                                        \
        .realize = virtio_mmio_realize,                                                            \
        .unrealize = virtio_mmio_unrealize,                                                        \
        .reset = virtio_mmio_reset,                                                                \
        .bus_class = &(virtio_class_),                                                             \
    }

#endif
