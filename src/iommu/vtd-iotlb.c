/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/vtd-iotlb.h"
#include "util/hot-path.h"

#define PAGE_BITS 12
#define LEAF_BITS 21 /* what a table of the last level maps */
#define PAGE_SIZE (UINT64_C(1) << PAGE_BITS)

void vtd_iotlb_init(struct vtd_iotlb *iotlb)
{
    memset(iotlb, 0, sizeof(*iotlb));
    mutex_init(&iotlb->lock);
}

void vtd_iotlb_destroy(struct vtd_iotlb *iotlb)
{
    mutex_destroy(&iotlb->lock);
}

static struct iommu_mapping *page_slot(struct vtd_iotlb *iotlb, iova_t iova)
{
    return &iotlb->pages[(iova >> PAGE_BITS ^ iova >> LEAF_BITS) % VTD_IOTLB_PAGES];
}

static struct vtd_leaf_table *leaf_slot(struct vtd_iotlb *iotlb, iova_t iova)
{
    return &iotlb->leaves[(iova >> LEAF_BITS) % VTD_IOTLB_LEAVES];
}

void vtd_iotlb_look(struct vtd_iotlb *iotlb, iova_t iova, struct vtd_iotlb_look *look)
{
    const struct iommu_mapping *page = page_slot(iotlb, iova);
    const struct vtd_leaf_table *leaf = leaf_slot(iotlb, iova);

    mutex_lock(&iotlb->lock);
    look->sequence = iotlb->sequence;
    look->context = iotlb->context;
    look->hit = iova - page->iova < page->length;
    look->mapping = *page;
    look->leaf = leaf->base == iova >> LEAF_BITS << LEAF_BITS ? *leaf : (struct vtd_leaf_table){0};
    mutex_unlock(&iotlb->lock);
}

void vtd_iotlb_remember(struct vtd_iotlb *iotlb, uint64_t sequence, iova_t iova,
                        const struct iommu_mapping *mapping, const struct vtd_leaf_table *leaf)
{
    mutex_lock(&iotlb->lock);
    if (sequence == iotlb->sequence) {
        *page_slot(iotlb, iova) = *mapping;
        iotlb->has_large_pages |= mapping->length > PAGE_SIZE;
        if (leaf->access) {
            *leaf_slot(iotlb, iova) = *leaf;
            iotlb->has_leaves = true;
        }
    }
    mutex_unlock(&iotlb->lock);
}

void vtd_iotlb_adopt(struct vtd_iotlb *iotlb, uint64_t sequence, const struct vtd_context *context)
{
    mutex_lock(&iotlb->lock);
    if (sequence == iotlb->sequence && iotlb->context.fault != VTD_FAULT_NONE) {
        iotlb->context = *context;
    }
    mutex_unlock(&iotlb->lock);
}

static void forget_page(struct iommu_mapping *page, struct range range)
{
    if (page->length && range_overlaps(iommu_mapping_range(page), range)) {
        page->length = 0;
    }
}

/* A small page is in the slot of its address, a large one in that of any address in it. */
static void forget_pages(struct vtd_iotlb *iotlb, struct range range)
{
    if (!iotlb->has_large_pages && range.length <= VTD_IOTLB_PAGES * PAGE_SIZE) {
        for (uint64_t done = 0; done < range.length; done += PAGE_SIZE) {
            forget_page(page_slot(iotlb, range.start + done), range);
        }
        return;
    }
    for (unsigned i = 0; i < VTD_IOTLB_PAGES; i++) {
        forget_page(&iotlb->pages[i], range);
    }
}

static void forget_leaves(struct vtd_iotlb *iotlb)
{
    if (iotlb->has_leaves) {
        memset(iotlb->leaves, 0, sizeof(iotlb->leaves));
        iotlb->has_leaves = false;
    }
}

HOT_PATH void vtd_iotlb_forget(struct vtd_iotlb *iotlb, struct range range, bool only_pages)
{
    mutex_lock(&iotlb->lock);
    iotlb->sequence++;
    forget_pages(iotlb, range);
    if (!only_pages) {
        forget_leaves(iotlb);
    }
    mutex_unlock(&iotlb->lock);
}

void vtd_iotlb_set_context(struct vtd_iotlb *iotlb, const struct vtd_context *context)
{
    mutex_lock(&iotlb->lock);
    iotlb->sequence++;
    iotlb->context = *context;
    memset(iotlb->pages, 0, sizeof(iotlb->pages));
    iotlb->has_large_pages = false;
    forget_leaves(iotlb);
    mutex_unlock(&iotlb->lock);
}
