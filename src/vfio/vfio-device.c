/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/vfio-device.h"
#include "util/little-endian.h"
#include "util/trace.h"

void vfio_device_init(struct vfio_device *device, const struct vfio_device_ops *ops,
                      const char *name)
{
    *device = (struct vfio_device){
        .ops = ops,
        .name = g_strdup(name),
        .block_size = 4,
        .owner.notify = -1,
        .guards = g_hash_table_new(NULL, NULL),
    };
    for (unsigned i = 0; i < VFIO_REGION_COUNT; i++) {
        device->regions[i].areas = g_array_new(false, false, sizeof(struct range));
    }
}

void vfio_device_clear(struct vfio_device *device)
{
    for (unsigned i = 0; i < VFIO_REGION_COUNT; i++) {
        g_array_unref(device->regions[i].areas);
    }
    g_hash_table_destroy(device->guards);
    g_free(device->name);
}

void vfio_device_guard(struct vfio_device *device, void *host, uint64_t length)
{
    g_hash_table_insert(device->guards, host, file_guard_add(host, length, &device->owner));
}

void vfio_device_unguard(struct vfio_device *device, void *host)
{
    file_guard_remove(g_hash_table_lookup(device->guards, host));
    g_hash_table_remove(device->guards, host);
}

void vfio_device_free(struct vfio_device *device)
{
    if (device) {
        device->ops->free(device);
    }
}

static bool is_within(const struct vfio_device *device, unsigned region, uint64_t offset,
                      uint64_t size)
{
    return region < VFIO_REGION_COUNT &&
           range_contains_range((struct range){0, device->regions[region].size},
                                (struct range){offset, size});
}

uint32_t vfio_device_read(struct vfio_device *device, unsigned region, uint64_t offset,
                          unsigned size)
{
    uint8_t bytes[4] = {0xff, 0xff, 0xff, 0xff};
    bool ok = is_within(device, region, offset, size) && device->regions[region].readable &&
              device->ops->read(device, region, offset, bytes, size);
    uint32_t value = (ok ? load_le32(bytes) : UINT32_MAX) & (UINT32_MAX >> (32 - 8 * size));

    trace_vfio_read(device->name, region, offset, size, value);
    return value;
}

bool vfio_device_read_block(struct vfio_device *device, unsigned region, uint64_t offset,
                            uint8_t *bytes, uint64_t length)
{
    bool ok = is_within(device, region, offset, length) && device->regions[region].readable;

    for (uint64_t done = 0, part; ok && done < length; done += part) {
        part = MIN(length - done, device->block_size);
        ok = device->ops->read(device, region, offset + done, bytes + done, (unsigned)part);
    }
    return ok;
}

void vfio_device_write(struct vfio_device *device, unsigned region, uint64_t offset, unsigned size,
                       uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    trace_vfio_write(device->name, region, offset, size, value);
    if (is_within(device, region, offset, size) && device->regions[region].writable) {
        device->ops->write(device, region, offset, bytes, size);
    }
}
