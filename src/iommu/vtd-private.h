/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the VT-d model. */
#ifndef DUODM_IOMMU_VTD_PRIVATE_H
#define DUODM_IOMMU_VTD_PRIVATE_H

#include "iommu/vtd-iotlb.h"
#include "iommu/vtd.h"
#include "util/little-endian.h"

struct vtd_device {
    struct vtd *vtd;
    uint16_t requester;
    unsigned references;
    struct memory_region root;         /* container of the three below */
    struct memory_region untranslated; /* alias of system memory */
    struct iommu_region iommu;
    struct memory_region interrupts; /* FEExxxxx: messages, never translated */
    bool translating;                /* which of the two is enabled; under vtd.lock */
    struct vtd_context context;      /* as cached; under vtd.lock */
    struct vtd_iotlb iotlb;          /* has the context, too */
};

/* Executed, but not yet seen to be complete. */
enum vtd_unsettled {
    VTD_UNSETTLED_CONTEXT = 1 << 0,     /* CCMD */
    VTD_UNSETTLED_IOTLB = 1 << 1,       /* IOTLB */
    VTD_UNSETTLED_TRANSLATION = 1 << 2, /* GCMD.TE: reads of GSTS show what was */
};

/* Registers: plain storage. offset is a multiple of the size. */
static inline uint32_t vtd_get32(const struct vtd *vtd, unsigned offset)
{
    return load_le32(&vtd->registers[offset]);
}
static inline uint64_t vtd_get64(const struct vtd *vtd, unsigned offset)
{
    return load_le64(&vtd->registers[offset]);
}
static inline void vtd_put32(struct vtd *vtd, unsigned offset, uint32_t value)
{
    store_le32(&vtd->registers[offset], value);
}
static inline void vtd_put64(struct vtd *vtd, unsigned offset, uint64_t value)
{
    store_le64(&vtd->registers[offset], value);
}

/* vtd-registers.c */
void vtd_set_status(struct vtd *vtd, uint32_t status); /* GSTS; the lock is held */
void vtd_registers_init(struct vtd *vtd);              /* the region, masks and power-on values */
void vtd_registers_reset(struct vtd *vtd);

/* vtd-device.c. Called with vtd.lock held. */

/* Read a device's context again. Returns true if it changed, or what the device uses may be by
 * another one than was cached (vtd_device_is_open). */
bool vtd_device_update_context(struct vtd_device *device);
/* A context that was cached as a fault is looked up once more for a translation, and may have
 * become present: the guest need not have told. So what the device uses may be of any domain. */
static inline bool vtd_device_is_open(const struct vtd_device *device)
{
    return device->context.fault != VTD_FAULT_NONE;
}
/* Does the device have to be switched between translated and untranslated? */
bool vtd_device_must_switch(const struct vtd_device *device);
/* Switch it: in a topology transaction. */
void vtd_device_switch(struct vtd_device *device);

/* vtd-invalidation.c */

/* A range of a domain; length 0: all of it. */
struct vtd_flush {
    bool all_domains;
    uint16_t domain;
    struct range range;
    bool only_pages; /* tables are where they were */
};
/* IOTLB: notifiers are reconciled. The lock is held. */
void vtd_flush_iotlb(struct vtd *vtd, const struct vtd_flush *flush);
/* Contexts of requesters with (requester & mask) == (wanted & mask). No lock held: begins a
 * topology transaction. */
void vtd_flush_contexts(struct vtd *vtd, uint16_t wanted, uint16_t mask);
/* A command was executed by register: it is complete when devices use nothing any more that it took
 * back, which a read of the register finds. No lock held. */
void vtd_command_executed(struct vtd *vtd, enum vtd_unsettled command);
/* Registers: the command bits of CCMD and IOTLB were set. No lock held. */
void vtd_command_context(struct vtd *vtd);
void vtd_command_iotlb(struct vtd *vtd);
/* Before registers are read: say what is complete by now. The lock is held. */
void vtd_settle_commands(struct vtd *vtd);

/* vtd-fault.c. Any thread. */
void vtd_record_fault(struct vtd *vtd, uint16_t requester, uint64_t address, bool is_write,
                      enum vtd_fault_reason reason);
/* Set FSTS bits and raise the fault event. */
void vtd_raise_fault_status(struct vtd *vtd, uint32_t bits);
/* FSTS, FECTL or a record's F bit was written. */
void vtd_fault_registers_written(struct vtd *vtd);
/* An event (fault or invalidation completion) whose control register is at `control`, its data and
 * address behind it: send the message, or note it as pending. fault_lock held. */
void vtd_raise_event(struct vtd *vtd, unsigned control);

#endif
