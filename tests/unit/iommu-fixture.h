/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest IOMMU and a host IOMMU, both as plain as can be: an array with one entry for each page.
 * The host counts calls, refuses what type1 refuses, and fails on demand.
 */
#ifndef DUODM_TESTS_UNIT_IOMMU_FIXTURE_H
#define DUODM_TESTS_UNIT_IOMMU_FIXTURE_H

#include "iommu/notifier.h"
#include "memory/address-space.h"
#include "util/error.h"
#include "unit/seed.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE_PAGE  4096ull
#define FIXTURE_PAGES 512

/* One page of a table. length_pages: of the mapping that the page belongs to. */
struct fixture_page {
    gpa_t translated;
    unsigned access;    /* 0: not mapped */
    unsigned first;     /* page at which the mapping begins */
    unsigned pages;     /* how many it has */
    unsigned remapping; /* grows with each map: was it dropped and made again? */
};

struct fixture_host {
    struct fixture_page pages[FIXTURE_PAGES];
    unsigned maps, unmaps, mapped;
    unsigned limit;     /* mappings; 0: none */
    unsigned calls;     /* of both kinds, for fail_at */
    unsigned fail_at;   /* number of the call that fails, 0: none */
    unsigned fail_more; /* as many calls after it fail, too */
    int fail_errno;
    bool told; /* of a failure, since the last look */
    unsigned serial;
};

struct fixture {
    struct mutex lock;
    struct memory_region memory; /* what is translated to */
    struct address_space target;
    struct iommu_region region;
    struct fixture_page guest[FIXTURE_PAGES];
    unsigned walked, translated; /* calls */
    unsigned refused_events;     /* events_changed refuses these */
};

static inline bool fixture_host_fails(struct fixture_host *host, const char *what, uint64_t iova,
                                      GError **error)
{
    host->calls++;
    if (!host->fail_at || host->calls - host->fail_at > host->fail_more) {
        return false;
    }
    duodm_fail(error, DUODM_ERROR_IO, "host %s at IOVA 0x%" PRIx64 ": %s", what, iova,
               g_strerror(host->fail_errno));
    return true;
}

static inline bool fixture_host_map(void *opaque, const struct iommu_mapping *m, GError **error)
{
    struct fixture_host *host = opaque;
    unsigned first = m->iova / FIXTURE_PAGE, pages = m->length / FIXTURE_PAGE;

    if (m->iova % FIXTURE_PAGE || m->length % FIXTURE_PAGE || !pages) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "IOVA 0x%" PRIx64 " of 0x%" PRIx64 " bytes is no host page", m->iova,
                          m->length);
    }
    if (fixture_host_fails(host, "map", m->iova, error)) {
        return false;
    }
    if (host->limit && host->mapped == host->limit) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no entry left for IOVA 0x%" PRIx64,
                          m->iova);
    }
    host->serial++;
    for (unsigned i = first; i < first + pages; i++) {
        CU_ASSERT_EQUAL_FATAL(host->pages[i].access, 0); /* type1: EEXIST */
        host->pages[i] = (struct fixture_page){m->translated + (i - first) * FIXTURE_PAGE,
                                               m->access, first, pages, host->serial};
    }
    host->maps++;
    host->mapped++;
    return true;
}

static inline bool fixture_host_unmap(void *opaque, struct range range, uint64_t mappings,
                                      GError **error)
{
    struct fixture_host *host = opaque;
    unsigned first = range.start / FIXTURE_PAGE, end = first + range.length / FIXTURE_PAGE;

    if (fixture_host_fails(host, "unmap", range.start, error)) {
        return false;
    }
    for (unsigned i = first; i < end; i++) {
        struct fixture_page *page = &host->pages[i];

        if (page->access) {
            /* type1 v2 can't cut a mapping in two. */
            CU_ASSERT_FATAL(page->first >= first && page->first + page->pages <= end);
            host->mapped -= page->first == i;
            memset(page, 0, sizeof(*page));
        }
    }
    host->unmaps++;
    return true;
}

static const struct mapping_set_ops fixture_host_ops = {fixture_host_map, fixture_host_unmap};

/* Guest tables. */

static inline void fixture_guest_map(struct fixture *f, unsigned first, unsigned pages,
                                     unsigned target_page, unsigned access)
{
    for (unsigned i = 0; i < pages; i++) {
        f->guest[first + i] =
            (struct fixture_page){(target_page + i) * FIXTURE_PAGE, access, first, pages, 0};
    }
}

/* Take the whole mapping away that covers a page. */
static inline void fixture_guest_unmap(struct fixture *f, unsigned page)
{
    unsigned first = f->guest[page].first, pages = f->guest[page].access ? f->guest[page].pages : 0;

    memset(&f->guest[first], 0, pages * sizeof(f->guest[0]));
}

static inline bool fixture_walk(void *opaque, struct range range, iommu_visit_fn visit,
                                void *visit_opaque, GError **error)
{
    struct fixture *f = (struct fixture *)((char *)opaque - offsetof(struct fixture, region));

    f->walked++;
    for (unsigned i = 0; i < FIXTURE_PAGES; i++) {
        const struct fixture_page *page = &f->guest[i];
        struct iommu_mapping mapping = {i * FIXTURE_PAGE, page->pages * FIXTURE_PAGE,
                                        page->translated, page->access};

        if (page->access && page->first == i &&
            range_overlaps(iommu_mapping_range(&mapping), range) &&
            !visit(visit_opaque, &mapping, error)) {
            return false;
        }
    }
    return true;
}

static inline struct iommu_entry fixture_translate(struct iommu_region *region, iova_t iova,
                                                   bool is_write,
                                                   struct memory_attributes attributes)
{
    struct fixture *f = (struct fixture *)((char *)region - offsetof(struct fixture, region));
    const struct fixture_page *page = &f->guest[iova / FIXTURE_PAGE];

    f->translated++;
    if (!(page->access & (is_write ? IOMMU_WRITE : IOMMU_READ))) {
        return (struct iommu_entry){.address_mask = FIXTURE_PAGE - 1};
    }
    return (struct iommu_entry){
        &f->target,       iova & ~(FIXTURE_PAGE - 1),       page->translated,
        FIXTURE_PAGE - 1, (page->access & IOMMU_READ) != 0, (page->access & IOMMU_WRITE) != 0};
}

static inline bool fixture_events_changed(struct iommu_region *region, unsigned old_events,
                                          unsigned new_events, GError **error)
{
    struct fixture *f = (struct fixture *)((char *)region - offsetof(struct fixture, region));

    return !(new_events & f->refused_events) ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "this IOMMU does not tell of mappings");
}

static const struct iommu_region_ops fixture_ops = {
    .translate = fixture_translate, .walk = fixture_walk, .events_changed = fixture_events_changed};
static const struct iommu_region_ops fixture_probe_ops = {.translate = fixture_translate};

static inline struct fixture *fixture_new(const struct iommu_region_ops *ops)
{
    struct fixture *f = g_new0(struct fixture, 1);

    mutex_init(&f->lock);
    memory_region_init_container(&f->memory, "memory", 1ull << 40);
    address_space_init(&f->target, &f->memory, "target");
    iommu_region_init(&f->region, "guest-iommu", FIXTURE_PAGES * FIXTURE_PAGE, FIXTURE_PAGE, ops,
                      &f->target, &f->lock);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    iommu_region_destroy(&f->region);
    address_space_destroy(&f->target);
    memory_region_destroy(&f->memory);
    mutex_destroy(&f->lock);
    g_free(f);
}

static inline struct range fixture_range(unsigned first, unsigned pages)
{
    return (struct range){first * FIXTURE_PAGE, pages * FIXTURE_PAGE};
}

static inline struct iommu_notifier fixture_notifier(struct fixture_host *host)
{
    return (struct iommu_notifier){
        .name = "host",
        .events = IOMMU_EVENT_MAP | IOMMU_EVENT_UNMAP,
        .range = fixture_range(0, FIXTURE_PAGES),
        .ops = &fixture_host_ops,
        .opaque = host,
        .probe_granularity = FIXTURE_PAGE,
    };
}

/* The guest's invalidation of a range, as its model would carry it out. */
static inline bool fixture_invalidate(struct fixture *f, unsigned first, unsigned pages)
{
    bool ok;

    mutex_lock(&f->lock);
    ok = iommu_region_invalidate(&f->region, fixture_range(first, pages));
    mutex_unlock(&f->lock);
    return ok;
}

/* How many pages of the host differ from the guest's, within a range. */
static inline unsigned fixture_differences(const struct fixture *f, const struct fixture_host *host,
                                           unsigned first, unsigned pages)
{
    unsigned count = 0;

    for (unsigned i = first; i < first + pages; i++) {
        count += f->guest[i].access != host->pages[i].access ||
                 (f->guest[i].access && f->guest[i].translated != host->pages[i].translated);
    }
    return count;
}

#endif
