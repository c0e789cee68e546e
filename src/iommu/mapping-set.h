/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exactly what a host IOMMU holds on behalf of one notifier, and the calls that change it. A
 * mapping is recorded when the host has accepted it and forgotten when the host has dropped it,
 * never earlier (ARCHITECTURE.md, invariants I1 to I5).
 *
 * Not thread-safe: the IOMMU's lock is held around each call (iommu-region.h).
 */
#ifndef DUODM_IOMMU_MAPPING_SET_H
#define DUODM_IOMMU_MAPPING_SET_H

#include "iommu/mapping.h"

/* The host side. A call that fails must have changed nothing. */
struct mapping_set_ops {
    /* Nothing in the mapping's range is mapped. */
    bool (*map)(void *opaque, const struct iommu_mapping *mapping, GError **error);
    /* range holds so many whole mappings that `map` made, and perhaps holes. If it fails for
     * several, each is tried by itself. mappings 0: that was not asked to be known. */
    bool (*unmap)(void *opaque, struct range range, uint64_t mappings, GError **error);
};

struct mapping_set;

/* ops and opaque must outlive the set. */
struct mapping_set *mapping_set_new(const struct mapping_set_ops *ops, void *opaque);
/* Frees the record only: the host's mappings are mapping_set_clear's. NULL is fine. */
void mapping_set_free(struct mapping_set *set);

/*
 * Make the host equal to a walk of the guest's tables over range, by the smallest set of host
 * calls: what both hold alike stays untouched (I4), even where the two cut it into pieces of
 * different sizes; what the guest no longer has so is unmapped; what it has besides is mapped. A
 * host mapping that reaches over the range's ends is looked at as a whole, and so is what failed
 * in an earlier call. limits: nothing outside is ever mapped; walked mappings are cropped to it.
 *
 * All unmaps come before the first map, so that the guest's own limit is the host's. On failure
 * the rest of the unmaps is still made, maps stop, and what is missing is remembered for the next
 * call. *error is the first failure.
 */
bool mapping_set_reconcile(struct mapping_set *set, struct range range, struct range limits,
                           iommu_walk_fn walk, void *walk_opaque, GError **error);

/* One mapping that the guest made, for IOMMUs that are told of each. EXISTS if it overlaps one. */
bool mapping_set_map(struct mapping_set *set, const struct iommu_mapping *mapping, GError **error);
/* All mappings in range. A mapping that reaches over its ends can't be cut: INVALID_ARGUMENT, and
 * nothing is done. */
bool mapping_set_unmap(struct mapping_set *set, struct range range, GError **error);
/* What lies in a range of translated addresses is another memory now: unmap all that leads there,
 * and let the next reconcile make it again. False: the host still maps the old memory. */
bool mapping_set_drop_target(struct mapping_set *set, struct range target, GError **error);
/* Unmap everything. Goes on after a failure; what could not be unmapped stays recorded. */
bool mapping_set_clear(struct mapping_set *set, GError **error);

/* Is the host known to lack something that the guest has, or to hold something that it has not? */
bool mapping_set_is_incomplete(const struct mapping_set *set);
uint64_t mapping_set_count(const struct mapping_set *set);
/* Bytes of host memory that the record takes. */
uint64_t mapping_set_bytes(const struct mapping_set *set);
/* An iommu_walk_fn over what is recorded; opaque is the set. */
bool mapping_set_walk(void *set, struct range range, iommu_visit_fn visit, void *visit_opaque,
                      GError **error);

struct mapping_difference {
    uint64_t missing; /* bytes that the guest maps and the host does not */
    uint64_t extra;   /* bytes that the host maps and the guest does not, or differently */
    bool unknown;     /* the guest's tables can't be walked to their end */
};
/*
 * Compare the record with a walk, over range, in the time that the walk takes. Appends a line for
 * each difference to out (at most `lines`; out may be NULL).
 */
struct mapping_difference mapping_set_verify(struct mapping_set *set, struct range range,
                                             iommu_walk_fn walk, void *walk_opaque, GString *out,
                                             unsigned lines);

#endif
