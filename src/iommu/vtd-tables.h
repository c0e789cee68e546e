/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VT-d's tables in guest memory: root, context and second-stage paging. No state, no lock. */
#ifndef DUODM_IOMMU_VTD_TABLES_H
#define DUODM_IOMMU_VTD_TABLES_H

#include "iommu/mapping.h"
#include "iommu/vtd-spec.h"
#include "memory/address-space.h"

/* How tables are read, and what they may hold. */
struct vtd_tables {
    struct address_space *memory; /* where the guest keeps them */
    unsigned host_width;          /* bits of a physical address; above them entries are reserved */
    unsigned iova_width;          /* 39 or 48: the widest that SAGAW offers */
    bool pass_through;            /* ECAP.PT */
    /* What one walk may visit, tables and mappings together: more than a guest has use for, or else
     * tables that are linked into one another would keep a host busy for ever. 0: no limit. */
    uint64_t walk_limit;
};

/*
 * Guest memory as the unit uses it: RAM and nothing else, whole or not at all. False: there is
 * none. No callback is called and no lock taken: any thread, any lock held.
 */
bool vtd_read_memory(const struct vtd_tables *tables, gpa_t address, void *buffer, uint64_t length);
/* 4 bytes at an address that is a multiple of 4. */
bool vtd_store32(const struct vtd_tables *tables, gpa_t address, uint32_t value);

/* A context entry that was looked up (9.3). */
struct vtd_context {
    enum vtd_fault_reason fault; /* VTD_FAULT_NONE: the rest is valid */
    bool fault_hidden;           /* FPD: what goes through this entry is not recorded */
    enum vtd_translation_type type;
    uint16_t domain;
    uint8_t levels; /* 3 or 4 */
    gpa_t table;    /* of the second stage */
};

/* requester: bus << 8 | devfn. root: RTADDR. */
struct vtd_context vtd_read_context(const struct vtd_tables *tables, uint64_t root,
                                    uint16_t requester);
static inline bool vtd_context_equal(const struct vtd_context *a, const struct vtd_context *b)
{
    return a->fault == b->fault && a->fault_hidden == b->fault_hidden && a->type == b->type &&
           a->domain == b->domain && a->levels == b->levels && a->table == b->table;
}

/* A table of the last level, which maps 2 MiB. */
struct vtd_leaf_table {
    iova_t base;
    gpa_t table;
    unsigned access; /* what the levels above allow: mask of enum iommu_access; 0: none is known */
};

/*
 * The mapping that holds iova; its access is what all levels allow. Else the reason of the fault,
 * for a read or a write. leaf: the table of iova, if it is known, which saves the walk; set, if the
 * walk came to one.
 */
enum vtd_fault_reason vtd_second_lookup(const struct vtd_tables *tables,
                                        const struct vtd_context *context, iova_t iova,
                                        bool is_write, struct vtd_leaf_table *leaf,
                                        struct iommu_mapping *mapping);

/*
 * All mappings of the second stage in range, in order (iommu_walk_fn's contract). Entries that
 * would fault are no mappings. Costs a read of each table page on the way, whatever it holds.
 * False, too, if tables.walk_limit was passed.
 */
bool vtd_second_walk(const struct vtd_tables *tables, const struct vtd_context *context,
                     struct range range, iommu_visit_fn visit, void *visit_opaque, GError **error);

#endif
