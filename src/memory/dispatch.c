/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot path: one access to a region's callbacks. Values travel little-endian, byte i of the value
 * being the byte at offset + i; a big-endian region's callbacks see them swapped.
 *
 * An access that the callbacks can't take whole is cut into aligned units, lowest address first. A
 * unit that is smaller than the callbacks' smallest is widened: a read takes its bytes out of a
 * larger read, a write is merged into what a larger read gave. All of it happens within one hold of
 * the region's guard.
 */
#include "memory/dispatch.h"
#include "memory/host-access.h"
#include "memory/ioeventfd.h"
#include "memory/ram-block.h"
#include "util/hot-path.h"
#include "util/trace.h"

/* What is done at one offset: `size` bytes there by a callback access of `unit` bytes at base. */
struct access_step {
    uint64_t base;
    unsigned unit;
    unsigned lead; /* bytes of the unit before the ones wanted */
    unsigned size;
};

static unsigned or_default(unsigned value, unsigned other)
{
    return value ? value : other;
}

static unsigned power_of_two_below(uint64_t length)
{
    return length >= 8 ? 8 : length >= 4 ? 4 : length >= 2 ? 2 : 1;
}

static uint64_t region_size(const struct memory_region *region)
{
    return __atomic_load_n(&region->size, __ATOMIC_RELAXED);
}

unsigned dispatch_access_size(const struct memory_region *region, uint64_t offset, uint64_t length)
{
    unsigned size = power_of_two_below(length);

    if (region->ops) {
        size = MIN(size, or_default(region->ops->valid.max_size, 8));
    }
    if (!region->ops || !region->ops->valid.allow_unaligned) {
        while (offset & (size - 1)) {
            size /= 2;
        }
    }
    return size;
}

HOT_PATH static bool is_valid(const struct memory_region *region, uint64_t offset, unsigned size)
{
    const struct memory_access_sizes *valid = &region->ops->valid;
    uint64_t total = region_size(region);

    return size >= or_default(valid->min_size, 1) && size <= or_default(valid->max_size, 8) &&
           (valid->allow_unaligned || !(offset & (size - 1))) && offset < total &&
           size <= total - offset;
}

HOT_PATH static struct access_step plan_step(const struct memory_region *region, uint64_t offset,
                                             unsigned left)
{
    const struct memory_access_sizes *implemented = &region->ops->implemented;
    unsigned minimum = or_default(implemented->min_size, 1);
    unsigned unit = MIN(power_of_two_below(left), or_default(implemented->max_size, 4));
    struct access_step step = {offset, minimum, 0, 0};

    if (!implemented->allow_unaligned) {
        while (offset & (unit - 1)) {
            unit /= 2;
        }
    }
    if (unit >= minimum) {
        step.unit = step.size = unit;
        return step;
    }
    step.base = offset & ~(uint64_t)(minimum - 1);
    step.lead = (unsigned)(offset - step.base);
    step.size = MIN(left, minimum - step.lead);
    return step;
}

/* Between what a callback sees and little-endian. */
HOT_PATH static uint64_t convert(const struct memory_region *region, uint64_t value, unsigned size)
{
    if (region->ops->endianness == MEMORY_BIG_ENDIAN) {
        value = GUINT64_SWAP_LE_BE(value) >> (64 - 8 * size);
    }
    return value & value_mask(size);
}

HOT_PATH static enum memory_result read_unit(struct memory_region *region, uint64_t base,
                                             unsigned unit, struct memory_attributes attributes,
                                             uint64_t *value)
{
    uint64_t data = 0;
    enum memory_result result;

    if (!region->ops->read || unit > region_size(region) - base) {
        return MEMORY_DECODE_ERROR;
    }
    result = region->ops->read(region->opaque, base, unit, attributes, &data);
    *value = convert(region, data, unit);
    return result;
}

HOT_PATH static enum memory_result write_unit(struct memory_region *region, uint64_t base,
                                              unsigned unit, struct memory_attributes attributes,
                                              uint64_t value)
{
    if (!region->ops->write || unit > region_size(region) - base) {
        return MEMORY_DECODE_ERROR;
    }
    return region->ops->write(region->opaque, base, unit, attributes, convert(region, value, unit));
}

HOT_PATH static enum memory_result read_steps(struct memory_region *region, uint64_t offset,
                                              unsigned size, struct memory_attributes attributes,
                                              uint64_t *value)
{
    *value = 0;
    for (unsigned done = 0; done < size;) {
        struct access_step step = plan_step(region, offset + done, size - done);
        uint64_t data = 0;
        enum memory_result result = read_unit(region, step.base, step.unit, attributes, &data);

        if (result != MEMORY_OK) {
            return result;
        }
        data = (data >> (8 * step.lead)) & value_mask(step.size);
        *value |= data << (8 * done);
        done += step.size;
    }
    return MEMORY_OK;
}

HOT_PATH static enum memory_result write_steps(struct memory_region *region, uint64_t offset,
                                               unsigned size, struct memory_attributes attributes,
                                               uint64_t value)
{
    for (unsigned done = 0; done < size;) {
        struct access_step step = plan_step(region, offset + done, size - done);
        uint64_t data = (value >> (8 * done)) & value_mask(step.size);
        enum memory_result result = MEMORY_OK;

        if (step.size < step.unit) {
            uint64_t mask = value_mask(step.size) << (8 * step.lead), around = 0;

            if (region->ops->read) {
                result = read_unit(region, step.base, step.unit, attributes, &around);
            }
            data = (around & ~mask) | data << (8 * step.lead);
        }
        if (result == MEMORY_OK) {
            result = write_unit(region, step.base, step.unit, attributes, data);
        }
        if (result != MEMORY_OK) {
            return result;
        }
        done += step.size;
    }
    return MEMORY_OK;
}

HOT_PATH static bool enter(struct memory_region *region, uint64_t offset)
{
    if (region->guard && !access_guard_enter(region->guard)) {
        trace_memory_reentry(region->name, offset);
        return false;
    }
    return true;
}

HOT_PATH static void leave(struct memory_region *region)
{
    if (region->guard) {
        access_guard_leave(region->guard);
    }
}

/* ---- Several accesses in one hold of the guard ---- */

HOT_PATH bool dispatch_enter(struct memory_region *region, uint64_t offset)
{
    return region->ops && !region->ram && enter(region, offset);
}

HOT_PATH void dispatch_leave(struct memory_region *region)
{
    leave(region);
}

HOT_PATH enum memory_result dispatch_read_entered(struct memory_region *region, uint64_t offset,
                                                  unsigned size,
                                                  struct memory_attributes attributes,
                                                  uint64_t *value)
{
    enum memory_result result = MEMORY_DECODE_ERROR;

    if (is_valid(region, offset, size)) {
        result = read_steps(region, offset, size, attributes, value);
    }
    if (result != MEMORY_OK) {
        *value = value_mask(size);
    }
    return result;
}

HOT_PATH enum memory_result dispatch_write_entered(struct memory_region *region, uint64_t offset,
                                                   unsigned size,
                                                   struct memory_attributes attributes,
                                                   uint64_t value)
{
    if (!is_valid(region, offset, size)) {
        return MEMORY_DECODE_ERROR;
    }
    return ioeventfd_try_signal(region, offset, size, value)
               ? MEMORY_OK
               : write_steps(region, offset, size, attributes, value);
}

/* ---- One access ---- */

HOT_PATH static enum memory_result callback_read(struct memory_region *region, uint64_t offset,
                                                 unsigned size, struct memory_attributes attributes,
                                                 uint64_t *value)
{
    enum memory_result result = MEMORY_DECODE_ERROR;

    if (region->ops && is_valid(region, offset, size)) {
        if (!enter(region, offset)) {
            result = MEMORY_REENTRY;
        } else {
            result = read_steps(region, offset, size, attributes, value);
            leave(region);
        }
    }
    if (result != MEMORY_OK) {
        *value = value_mask(size);
    }
    return result;
}

HOT_PATH static enum memory_result callback_write(struct memory_region *region, uint64_t offset,
                                                  unsigned size,
                                                  struct memory_attributes attributes,
                                                  uint64_t value)
{
    enum memory_result result;

    if (!region->ops || !is_valid(region, offset, size)) {
        return MEMORY_DECODE_ERROR;
    }
    if (ioeventfd_try_signal(region, offset, size, value)) {
        return MEMORY_OK;
    }
    if (!enter(region, offset)) {
        return MEMORY_REENTRY;
    }
    result = write_steps(region, offset, size, attributes, value);
    leave(region);
    return result;
}

static bool in_memory(const struct memory_region *region, uint64_t offset, unsigned size)
{
    uint64_t total = region_size(region);

    return offset < total && size <= total - offset;
}

HOT_PATH static enum memory_result read_once(struct memory_region *region, uint64_t offset,
                                             unsigned size, struct memory_attributes attributes,
                                             uint64_t *value)
{
    bool memory = region->ram != NULL;

    if (region->kind == MEMORY_ROM_DEVICE) {
        memory = __atomic_load_n(&region->rom_mode, __ATOMIC_RELAXED);
    }
    if (!memory) {
        return callback_read(region, offset, size, attributes, value);
    }
    if (!in_memory(region, offset, size)) {
        *value = value_mask(size);
        return MEMORY_DECODE_ERROR;
    }
    if (G_UNLIKELY(!region->ram->host)) {
        return ram_windows_load(region->ram, offset, size, value);
    }
    *value = host_load(region->ram->host + offset, size);
    return MEMORY_OK;
}

HOT_PATH static enum memory_result write_once(struct memory_region *region, uint64_t offset,
                                              unsigned size, struct memory_attributes attributes,
                                              uint64_t value)
{
    if (!region->ram || region->kind == MEMORY_ROM_DEVICE) {
        return callback_write(region, offset, size, attributes, value);
    }
    if (!in_memory(region, offset, size)) {
        return MEMORY_DECODE_ERROR;
    }
    if (region->kind == MEMORY_ROM || __atomic_load_n(&region->read_only, __ATOMIC_RELAXED)) {
        return MEMORY_OK; /* dropped */
    }
    if (G_UNLIKELY(!region->ram->host)) {
        return ram_windows_store(region->ram, offset, size, value);
    }
    host_store(region->ram->host + offset, size, value);
    ram_block_set_dirty(region->ram, offset, size);
    return MEMORY_OK;
}

HOT_PATH enum memory_result memory_region_dispatch_read(struct memory_region *region,
                                                        uint64_t offset, unsigned size,
                                                        struct memory_attributes attributes,
                                                        uint64_t *value)
{
    enum memory_result result = MEMORY_OK;

    if (G_LIKELY((size & (size - 1)) == 0)) {
        return read_once(region, offset, size, attributes, value);
    }
    *value = 0;
    for (unsigned done = 0; done < size;) {
        unsigned part = dispatch_access_size(region, offset + done, size - done);
        uint64_t data;
        enum memory_result one = read_once(region, offset + done, part, attributes, &data);

        *value |= data << (8 * done);
        result = result ? result : one;
        done += part;
    }
    return result;
}

HOT_PATH enum memory_result memory_region_dispatch_write(struct memory_region *region,
                                                         uint64_t offset, unsigned size,
                                                         struct memory_attributes attributes,
                                                         uint64_t value)
{
    enum memory_result result = MEMORY_OK;

    if (G_LIKELY((size & (size - 1)) == 0)) {
        return write_once(region, offset, size, attributes, value);
    }
    for (unsigned done = 0; done < size;) {
        unsigned part = dispatch_access_size(region, offset + done, size - done);
        enum memory_result one = write_once(region, offset + done, part, attributes,
                                            (value >> (8 * done)) & value_mask(part));

        result = result ? result : one;
        done += part;
    }
    return result;
}
