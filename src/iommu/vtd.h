/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VT-d as a guest sees it: DMA remapping by second-stage tables, interrupt remapping, queued
 * and register-based invalidation, fault log. This is the unit itself; the machine gives it a place
 * (dm) through struct vtd_host, and devices their view of memory (vtd_get_device).
 *
 * Locks. vtd.lock is the lock of iommu-region.h: registers, cached contexts, notifiers. A write to
 * a register may begin a topology transaction (passthrough to translation and back), so the
 * register region has no guard and the lock is taken inside of it: vtd.queue_lock > topology >
 * vtd.lock. Leaves: vtd.fault_lock, and that of each device's IOTLB. translate() takes leaves only.
 */
#ifndef DUODM_IOMMU_VTD_H
#define DUODM_IOMMU_VTD_H

#include "iommu/iommu-region.h"
#include "iommu/iommu-watch.h"
#include "iommu/vtd-tables.h"

struct vtd;
struct vtd_device;

struct vtd_config {
    unsigned host_width; /* bits of a guest physical address */
    unsigned iova_width; /* 39 or 48 */
    bool caching_mode;   /* the guest tells of new mappings too: what notifiers that MAP need */
    bool interrupt_remapping;
    bool extended_interrupts; /* x2APIC destinations */
    bool pass_through;
    uint64_t walk_limit; /* of struct vtd_tables */
};

/* What the unit needs of the machine. */
struct vtd_host {
    /* Send a message that was remapped, or is the unit's own. Any thread, leaf locks held. */
    void (*send_interrupt)(void *opaque, uint64_t address, uint32_t data);
    /* Interrupt entries changed: routes made from them must be made again. May be NULL. */
    void (*interrupts_changed)(void *opaque);
    /* The invalidation queue takes longer than a vCPU should be kept from its other work: call
     * vtd_queue_run in another thread. NULL: the vCPU goes on with it. */
    void (*queue_left)(void *opaque);
    void *opaque;
};

/* What a snapshot keeps of a unit. */
struct vtd_state {
    uint8_t registers[VTD_REGISTERS_SIZE];
    uint64_t root;            /* RTADDR as it was latched */
    uint64_t interrupt_table; /* IRTA as it was latched */
    uint32_t next_fault;      /* record to write next */
};

/* A device, with what an invalidation asks of all of them: so it looks through one piece of memory.
 */
struct vtd_member {
    struct vtd_device *device;
    uint16_t domain; /* of its context, as cached */
    bool is_open;    /* what it uses may be of any domain (vtd_device_is_open) */
};

/* By requester. */
struct vtd_members {
    struct vtd_member *at;
    unsigned count;
};

struct vtd {
    struct vtd_config config;
    struct vtd_host host;
    struct vtd_tables tables;
    struct memory_region *system; /* what devices see untranslated */
    struct memory_region window;  /* the registers: VTD_WINDOW_SIZE bytes */
    struct mutex queue_lock;      /* one thread runs the invalidation queue; outside of topology */
    bool queue_kicked;            /* atomic: someone wants it to be looked at */
    struct mutex lock;

    /* State that a snapshot keeps; under the lock (fault registers: fault_lock). */
    uint8_t registers[VTD_REGISTERS_SIZE];
    uint64_t root;            /* RTADDR as it was latched */
    uint64_t interrupt_table; /* IRTA as it was latched */
    uint32_t next_fault;      /* record to write next */

    uint32_t status;    /* atomic: GSTS, for who has no lock */
    unsigned unsettled; /* commands by register that devices still hold up (enum vtd_unsettled) */
    bool switching;     /* TE was written, and hosts have not followed yet */
    struct mutex fault_lock;
    uint8_t write_masks[VTD_REGISTERS_SIZE]; /* bits that a write sets */
    uint8_t clear_masks[VTD_REGISTERS_SIZE]; /* bits that a write of 1 clears */
    struct iommu_drain drain;                /* what emulated devices can't let go at once */
    struct vtd_members members;              /* the devices; under the lock */
};

/* memory: the address space of guest physical memory, for tables; system: its root. */
struct vtd *vtd_new(const struct vtd_config *config, const struct vtd_host *host,
                    struct address_space *memory, struct memory_region *system);
/* All devices must have been put. */
void vtd_free(struct vtd *vtd);
/* To power-on state: after all devices were reset, so that none of their DMA meets a unit that has
 * forgotten its tables. No lock held. */
void vtd_reset(struct vtd *vtd);
/* Take a unit's state, and put it back when guest memory is there again: contexts are read and
 * notifiers reconciled. False: it can't be this unit's, and nothing was done. vCPUs and queue stand
 * still. */
void vtd_save(struct vtd *vtd, struct vtd_state *state);
bool vtd_load(struct vtd *vtd, const struct vtd_state *state);
/* Go on with the invalidation queue, for a while at most (queue_left). No lock held. */
void vtd_queue_run(struct vtd *vtd);

/* The requester's view of memory, as the root of its DMA address space: made at the first call,
 * counted. */
struct vtd_device *vtd_get_device(struct vtd *vtd, uint16_t requester);
void vtd_put_device(struct vtd_device *device);
struct memory_region *vtd_device_root(struct vtd_device *device);
/* Where notifiers register, while the device's DMA is translated. */
struct iommu_region *vtd_device_iommu(struct vtd_device *device);

/*
 * Remap an interrupt message (5.1). True: *address and *data are what to deliver. False: blocked,
 * and the fault recorded (unless probe). Leaf locks only.
 */
bool vtd_remap_interrupt(struct vtd *vtd, uint16_t requester, bool is_probe, uint64_t *address,
                         uint32_t *data);

/* For monitors. */
struct vtd_device_info {
    uint16_t requester;
    bool translated;            /* false: it sees memory as it is */
    struct vtd_context context; /* as cached; meaningful while translation is on */
    unsigned notifiers;         /* who follows its mappings, in a host IOMMU or a cache */
    uint64_t host_mappings;     /* that host IOMMUs hold for it */
};
struct vtd_info {
    bool translation, queue, interrupt_remapping; /* switched on */
    uint64_t root;                                /* RTADDR as latched */
    GArray *devices;                              /* of struct vtd_device_info, by requester */
};
/* The caller unrefs info->devices. */
void vtd_query(struct vtd *vtd, struct vtd_info *info);

#endif
