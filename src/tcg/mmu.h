/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page-table walks (SDM vol. 3, chapter 4). */
#ifndef DUODM_TCG_MMU_H
#define DUODM_TCG_MMU_H

#include "tcg/cpu.h"

enum mmu_access { MMU_READ, MMU_WRITE, MMU_FETCH };

/* #PF error code bits: SDM vol. 3, 4.7. */
enum page_fault_bit {
    PAGE_FAULT_PRESENT = 1 << 0,
    PAGE_FAULT_WRITE = 1 << 1,
    PAGE_FAULT_USER = 1 << 2,
    PAGE_FAULT_RESERVED = 1 << 3,
    PAGE_FAULT_FETCH = 1 << 4,
};

struct mmu_request {
    uint64_t linear;        /* canonical, or below 4 GiB outside long mode */
    enum mmu_access access; /* what to check for */
    bool user;              /* a user-mode access */
    bool smap;              /* a supervisor access that SMAP forbids to user pages */
    bool look_only;         /* a debugger's: no permission checks, no accessed and dirty bits */
};

struct mmu_result {
    uint64_t physical;  /* of request.linear */
    uint64_t page_size; /* bytes: 4 KiB, 2 MiB, 4 MiB, 1 GiB; 4 KiB with paging off */
    bool writable;      /* a write by the same requester needs no further walk */
    bool global;
    uint32_t error; /* if the walk failed: the #PF error code */
};

/* False: #PF with result->error. Sets accessed and dirty bits as the access demands. */
bool mmu_walk(struct cpu *cpu, const struct mmu_request *request, struct mmu_result *result);

/* PAE: read the four PDPTEs that cr3 points to and check them. False: a reserved bit is set. */
bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t pdpte[4]);

#endif
