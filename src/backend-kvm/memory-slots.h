/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory slots of a VM: which guest pages are which host pages. Fed by a memory listener with
 * sections as they go and come; asks the kernel only for what really changes.
 *
 * Slots are whole pages, and are cut at 1 MiB: what chipsets do to the memory below (shadowing)
 * leaves the slot above as it is. A slot whose section goes is kept until the end of the change,
 * since the same pages often come back; where others come in its place, no vCPU may look while it
 * is exchanged (quiesce), or it would find a hole.
 *
 * All calls but memory_slots_new and _free come under the topology lock.
 */
#ifndef DUODM_BACKEND_KVM_MEMORY_SLOTS_H
#define DUODM_BACKEND_KVM_MEMORY_SLOTS_H

#include "memory/listener.h"

#include <linux/kvm.h>

#define SLOT_PAGE_SIZE 4096u
#define SLOT_CUT       (1ull << 20)

/* What the slots need of the outside; a test has its own. */
struct memory_slots_ops {
    /* KVM_SET_USER_MEMORY_REGION and KVM_GET_DIRTY_LOG; 0 or -errno. */
    int (*set_region)(void *opaque, const struct kvm_userspace_memory_region *region);
    int (*get_dirty)(void *opaque, struct kvm_dirty_log *log);
    /* Let no vCPU execute the guest until release. */
    void (*quiesce)(void *opaque);
    void (*release)(void *opaque);
};

struct memory_slot {
    unsigned number;
    gpa_t start;
    uint64_t length; /* bytes; 0: the number is free */
    uint8_t *host;
    uint32_t flags; /* KVM_MEM_* */
    struct memory_region *region;
    uint64_t region_offset;
    bool doomed; /* its section is gone; removed at the end of the change */
};

struct memory_slots;

/* count: how many the kernel has. */
struct memory_slots *memory_slots_new(const struct memory_slots_ops *ops, void *opaque,
                                      unsigned count);
void memory_slots_free(struct memory_slots *slots);

/* The listener's callbacks. Sections that are no memory are not for slots: true. */
bool memory_slots_add(struct memory_slots *slots, const struct listener_section *section,
                      GError **error);
void memory_slots_remove(struct memory_slots *slots, const struct listener_section *section);
void memory_slots_change_log(struct memory_slots *slots, const struct listener_section *section);
/* The end of a change. */
void memory_slots_commit(struct memory_slots *slots);

/* Move what the guest wrote, of all slots that log, to the regions' dirty logs. */
void memory_slots_sync(struct memory_slots *slots);
/* One page of one slot, as the dirty ring tells it. */
void memory_slots_mark(struct memory_slots *slots, unsigned number, uint64_t page);

/* Slots in use, in order of number, for tests and the monitor. The array is the slots'. */
const struct memory_slot *memory_slots_list(const struct memory_slots *slots, unsigned *count);

#endif
