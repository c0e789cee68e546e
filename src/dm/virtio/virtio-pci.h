/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio over PCI (virtio 1.2, 4.1). VIRTIO_PCI_CLASSES makes three device classes of a kind of
 * device, as users know them:
 *
 *     NAME-pci                   modern; disable-legacy=off makes it transitional
 *     NAME-pci-transitional      modern and legacy
 *     NAME-pci-non-transitional  modern
 *
 * BAR 0: the legacy interface (ports), if there is one. BAR 1: MSI-X. BAR 4: the modern interface.
 */
#ifndef DUODM_DM_VIRTIO_VIRTIO_PCI_H
#define DUODM_DM_VIRTIO_VIRTIO_PCI_H

#include "dm/virtio/virtio.h"

/* device_class.bus_class of a virtio device over PCI. */
struct virtio_pci_class {
    struct pci_class pci; /* vendor, class; IDs are set as the interface says */
    const struct virtio_class *virtio;
    bool transitional, non_transitional; /* neither: the properties decide */
};

/* What the transport keeps of a device. */
struct virtio_pci {
    struct virtio_device *device;
    bool has_modern, has_legacy;
    unsigned cfg_capability; /* of the window in config space, 4.1.4.9; 0: none */
    struct memory_region modern, common, isr, config, notify; /* BAR 4 and its parts */
    struct memory_region legacy;                              /* BAR 0 */
};

#define VIRTIO_PCI_PROPERTIES                                                                      \
    PCI_DEVICE_PROPERTIES, VIRTIO_DEVICE_PROPERTIES,                                               \
        {"disable-legacy",                                                                         \
         PROPERTY_BOOL,                                                                            \
         offsetof(struct virtio_device, pci_options.disable_legacy),                               \
         "on",                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "no interface for drivers from before virtio 1.0"},                                       \
        {"disable-modern",                                                                         \
         PROPERTY_BOOL,                                                                            \
         offsetof(struct virtio_device, pci_options.disable_modern),                               \
         "off",                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "no interface for drivers of virtio 1.0 and later"},                                      \
    {                                                                                              \
        "vectors", PROPERTY_UINT32, offsetof(struct virtio_device, pci_options.vectors),           \
            "0xffffffff", 0, UINT32_MAX, "MSI-X vectors, 0: none [as many as it has queues, + 1]"  \
    }

extern const struct virtio_transport virtio_pci_transport;
/* The hooks of struct device_class and struct pci_class, for VIRTIO_PCI_CLASS. */
bool virtio_pci_realize(struct device *device, GError **error);
void virtio_pci_unrealize(struct device *device);
void virtio_pci_reset(struct device *device);
void virtio_pci_config_written(struct pci_device *pci, unsigned offset, unsigned length);
uint32_t virtio_pci_config_read(struct pci_device *pci, unsigned offset, unsigned length);

#define VIRTIO_PCI_CLASS(variable_, virtio_class_, struct_, name_, alias_, description_, code_,    \
                         state_, properties_, transitional_, non_transitional_)                    \
    static const struct virtio_pci_class variable_##_bus_class = {                                 \
        .pci = {.vendor_id = 0x1af4,                                                               \
                .subsystem_vendor_id = 0x1af4,                                                     \
                .subsystem_id = 0x1100,                                                            \
                .class_code = code_,                                                               \
                .revision = 1,                                                                     \
                .interrupt_pin = 1,                                                                \
                .config_written = virtio_pci_config_written,                                       \
                .config_read = virtio_pci_config_read},                                            \
        .virtio = &(virtio_class_),                                                                \
        .transitional = transitional_,                                                             \
        .non_transitional = non_transitional_,                                                     \
    };                                                                                             \
    extern const struct device_class variable_;                                                    \
    const struct device_class variable_ = {                                                        \
        .name = name_,                                                                             \
        .alias = alias_,                                                                           \
        .description = description_,                                                               \
        .bus_type = BUS_PCI,                                                                       \
        .instance_size = sizeof(struct struct_),                                                   \
        .user_creatable = true,                                                                    \
        .properties = properties_,                                                                 \
        .facts = virtio_facts,                                                                     \
        .state = &(state_),                                                                        \
        .realize = virtio_pci_realize,                                                             \
        .unrealize = virtio_pci_unrealize,                                                         \
        .reset = virtio_pci_reset,                                                                 \
        .bus_class = &variable_##_bus_class,                                                       \
    }

/*
 * prefix_##_pci_class, ..._pci_transitional_class, ..._pci_non_transitional_class: a line each in
 * device-classes.def. name_ and description_ are literals; code_: PCI class code; state_,
 * properties_: the device's tables, the latter with VIRTIO_PCI_PROPERTIES.
 */
#define VIRTIO_PCI_CLASSES(prefix_, virtio_class_, struct_, name_, description_, code_, state_,    \
                           properties_)                                                            \
    VIRTIO_PCI_CLASS(prefix_##_pci_class, virtio_class_, struct_, name_ "-pci", name_,             \
                     description_, code_, state_, properties_, false, false);                      \
    VIRTIO_PCI_CLASS(prefix_##_pci_transitional_class, virtio_class_, struct_,                     \
                     name_ "-pci-transitional", NULL, description_ ", for old drivers too", code_, \
                     state_, properties_, true, false);                                            \
    VIRTIO_PCI_CLASS(prefix_##_pci_non_transitional_class, virtio_class_, struct_,                 \
                     name_ "-pci-non-transitional", NULL, description_ ", for virtio 1.0 drivers", \
                     code_, state_, properties_, false, true)

#endif
