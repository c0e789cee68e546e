/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/region-info.h"

#include <linux/vfio.h>
#include <string.h>
#include <unistd.h>

#define CAPABILITIES_MAX 16 /* of one answer: a longer chain is a loop */

static void add_area(struct vfio_region *region, uint64_t start, uint64_t length)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct range area = {start, (length + page - 1) & ~(page - 1)};

    if (length && !(start & (page - 1)) && start < region->size && length <= region->size - start &&
        area.length >= length) {
        g_array_append_val(region->areas, area);
    }
}

/* The chain of capabilities holds offsets into the answer: checked as what comes from outside. */
static bool find_sparse_areas(struct vfio_region *region, const uint8_t *info, uint32_t size,
                              uint32_t offset)
{
    struct vfio_region_info_cap_sparse_mmap sparse;

    for (unsigned i = 0;
         offset && i < CAPABILITIES_MAX && offset <= size && size - offset >= sizeof(sparse.header);
         i++, offset = sparse.header.next) {
        memcpy(&sparse.header, info + offset, sizeof(sparse.header));
        if (sparse.header.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP ||
            size - offset < sizeof(sparse)) {
            continue;
        }
        memcpy(&sparse, info + offset, sizeof(sparse));
        offset += (uint32_t)sizeof(sparse);
        for (uint32_t n = 0; n < sparse.nr_areas; n++) {
            struct vfio_region_sparse_mmap_area area;

            if (size - offset < sizeof(area)) {
                break;
            }
            memcpy(&area, info + offset, sizeof(area));
            offset += (uint32_t)sizeof(area);
            add_area(region, area.offset, area.size);
        }
        return true;
    }
    return false;
}

void vfio_region_take_info(struct vfio_region *region, const void *answer, uint32_t size)
{
    struct vfio_region_info info;

    memcpy(&info, answer, sizeof(info));
    region->size = info.size;
    region->file_offset = info.offset;
    region->readable = info.flags & VFIO_REGION_INFO_FLAG_READ;
    region->writable = info.flags & VFIO_REGION_INFO_FLAG_WRITE;
    g_array_set_size(region->areas, 0);
    if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
        return;
    }
    if (!(info.flags & VFIO_REGION_INFO_FLAG_CAPS) ||
        !find_sparse_areas(region, answer, size, info.cap_offset)) {
        add_area(region, 0, region->size);
    }
}
