/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the device classes "vfio-pci" and "vfio-user-pci": for src/dm/vfio only. */
#ifndef DUODM_DM_VFIO_VFIO_PCI_H
#define DUODM_DM_VFIO_VFIO_PCI_H

#include "dm/engine.h"
#include "dm/interrupt-eoi.h"
#include "dm/io-thread.h"
#include "dm/pci/assigned-config.h"
#include "dm/vfio/vfio-space.h"

struct event;

/* An interrupt vector of MSI or MSI-X. */
struct vfio_vector {
    int descriptor;      /* event descriptor that the host signals; -1: the guest has not used it */
    bool is_watched;     /* signals come to the I/O thread; else to irqfd */
    struct irqfd *irqfd; /* NULL: none */
    bool masked, pending; /* as the guest has them */
    uint64_t address;     /* the message */
    uint32_t data;
};

/* A part of a BAR that the guest reaches without duodm. */
struct vfio_mapping {
    struct memory_region region;
    void *host;
    uint64_t length; /* mapped bytes */
};

struct vfio_bar {
    struct memory_region region;   /* what the BAR shows: a container, or accesses for I/O ports */
    struct memory_region accesses; /* of memory: what is not mapped, below the rest */
    struct vfio_mapping *mappings;
    unsigned mapping_count;
    struct vfio_pci *vfio;
    unsigned number;
};

struct vfio_pci {
    struct pci_device pci;
    /* Properties. */
    char *host, *sysfsdev, *iommufd_id, *thread_id;
    char *rom_file;
    uint32_t rom_bar;
    bool no_mmap, no_irqfd;

    struct vfio_device *device;
    struct vfio_space *space;
    unsigned group; /* the kernel's: IOMMU group on the host */
    struct vfio_bar bars[PCI_BAR_COUNT];
    struct assigned_config config;

    pthread_mutex_t command_lock; /* leaf: of the device's command register, and cut_off */
    bool cut_off;                 /* the host does not map what the guest does: no DMA (I5) */
    struct io_task cut_off_task;  /* tells of it */
    char *cut_off_reason;         /* under command_lock */

    /* Signals of event descriptors: watched through one epoll descriptor, which any thread may
     * change, by the I/O thread. */
    struct io_thread *thread;
    int epoll;
    pthread_mutex_t event_lock; /* leaf: of what is watched, while signals are taken */
    struct event *event;
    int request_descriptor, error_descriptor; /* -1: none */
    struct io_task request_task;

    /* INTx: vfio-intx.c. */
    pthread_mutex_t intx_lock; /* outside of interrupt lines' locks; protects what follows */
    int intx_descriptor;       /* -1: off */
    bool intx_asserted;        /* atomic, too; the host has it masked since */
    struct irqfd *intx_irqfd;  /* NULL: signals come to the I/O thread */
    unsigned intx_gsi;         /* of irqfd */
    int intx_unmask;           /* event descriptor by which the kernel's EOI unmasks it; or -1 */
    struct eoi_listener eoi;

    /* MSI, MSI-X: vfio-msi.c. */
    pthread_mutex_t vector_lock; /* outside of the engine's irqfds; protects what follows */
    enum vfio_irq vectors_kind;  /* VFIO_IRQ_MSI or _MSIX; VFIO_IRQ_INTX: neither is on */
    unsigned vector_count;       /* that the host gave */
    unsigned vector_room;        /* of vectors: the larger of the tables */
    struct vfio_vector *vectors;
    bool function_mask;     /* of MSI-X */
    uint8_t *table;         /* of MSI-X, as the guest wrote it */
    unsigned table_entries; /* of MSI-X */
    struct memory_region table_region, pending_region;
};

static inline struct vfio_pci *vfio_pci_of(struct device *device)
{
    return (struct vfio_pci *)device;
}

/* Properties of both classes. */
#define VFIO_PCI_PROPERTIES                                                                        \
    {"iothread",                                                                                   \
     PROPERTY_STRING | PROPERTY_OF_HOST,                                                           \
     offsetof(struct vfio_pci, thread_id),                                                         \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     "I/O thread that hands on its interrupts (-object iothread) [one that devices share]"},       \
        {"x-no-mmap",                                                                              \
         PROPERTY_BOOL | PROPERTY_OF_HOST,                                                         \
         offsetof(struct vfio_pci, no_mmap),                                                       \
         "off",                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "make all accesses to its memory one by one"},                                            \
        {"romfile",                                                                                \
         PROPERTY_STRING | PROPERTY_OF_HOST,                                                       \
         offsetof(struct vfio_pci, rom_file),                                                      \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "its expansion ROM, from a file; empty: none [the device's own]"},                        \
        {"rombar", PROPERTY_UINT32,      offsetof(struct vfio_pci, rom_bar), "1", 0,               \
         1,        "0: no expansion ROM"},                                                         \
    {                                                                                              \
        "x-no-irqfd", PROPERTY_BOOL | PROPERTY_OF_HOST, offsetof(struct vfio_pci, no_irqfd),       \
            "off", 0, 0, "hand on its interrupts by the I/O thread, even where the kernel could"   \
    }

/* What classes have in common. open: the transport's part of realize, which sets vfio->device and
 * has vfio_space_open or vfio_space_attach put it into a space. */
bool vfio_pci_realize(struct vfio_pci *vfio, bool (*open)(struct vfio_pci *vfio, GError **error),
                      GError **error);
void vfio_pci_unrealize(struct device *device);
void vfio_pci_reset(struct device *device);
extern const struct pci_class vfio_pci_class_pci;

/* What messages call it. */
const char *vfio_pci_name(const struct vfio_pci *vfio);

/* vfio-config.c: make config space of the device's own; its hooks. */
bool vfio_config_init(struct vfio_pci *vfio, GError **error);
void vfio_config_write(struct pci_device *pci, unsigned offset, unsigned size, uint32_t value);
void vfio_config_written(struct pci_device *pci, unsigned offset, unsigned size);
uint32_t vfio_config_read(struct pci_device *pci, unsigned offset, unsigned size);
/* Bring the device's command register up to date. */
void vfio_update_command(struct vfio_pci *vfio);
/* No DMA from now on until the next reset. Any thread, any lock held. */
void vfio_cut_off(struct vfio_pci *vfio, const char *reason);
/* Of a device that is being reset: nobody is told, and the command register is not yet written. */
void vfio_set_cut_off(struct vfio_pci *vfio, bool cut_off);

/* vfio-rom.c: after the device decodes its memory. The core frees it. */
bool vfio_rom_init(struct vfio_pci *vfio, GError **error);

/* vfio-bars.c */
bool vfio_bars_init(struct vfio_pci *vfio, GError **error);
void vfio_bars_destroy(struct vfio_pci *vfio);
/* What is mapped is no use any more: all accesses are made one by one from now on. Main loop. */
void vfio_bars_unmap(struct vfio_pci *vfio);

/* vfio-event.c: have an event descriptor watched; its kind says what its signal means. */
enum vfio_event_kind { VFIO_EVENT_INTX, VFIO_EVENT_VECTOR, VFIO_EVENT_REQUEST, VFIO_EVENT_ERROR };
bool vfio_events_init(struct vfio_pci *vfio, GError **error);
void vfio_events_destroy(struct vfio_pci *vfio); /* no signal is under way any more */
/* -1 and an error: none is left. */
int vfio_event_new(GError **error);
bool vfio_event_watch(struct vfio_pci *vfio, int descriptor, enum vfio_event_kind kind,
                      unsigned number, GError **error);
void vfio_event_ignore(struct vfio_pci *vfio, int descriptor);
/* Take back a signal that nobody has read; was there one? */
bool vfio_event_take(int descriptor);

/* vfio-intx.c */
bool vfio_intx_enable(struct vfio_pci *vfio, GError **error);
void vfio_intx_disable(struct vfio_pci *vfio);
void vfio_intx_signalled(struct vfio_pci *vfio);
/* The guest accessed a BAR, and what it did there is done. Any thread. */
void vfio_intx_accessed(struct vfio_pci *vfio);
/* The guest's command register, or the pin's way to the processors, has changed. */
void vfio_intx_update(struct vfio_pci *vfio);

/* vfio-msi.c */
bool vfio_msi_init(struct vfio_pci *vfio, GError **error);
void vfio_msi_destroy(struct vfio_pci *vfio);
/* The guest wrote to a capability: follow. */
void vfio_msi_update(struct vfio_pci *vfio);
void vfio_msi_disable(struct vfio_pci *vfio);
void vfio_msi_reset(struct vfio_pci *vfio);
void vfio_vector_signalled(struct vfio_pci *vfio, unsigned number);

#endif
