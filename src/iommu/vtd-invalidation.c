/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invalidation (VT-d 6.5). An invalidation is complete, and said to be, when every notifier's host
 * holds what the guest's tables now say (ARCHITECTURE.md, I2 and I3).
 */
#include "iommu/vtd-private.h"
#include "memory/translation.h"
#include "util/hot-path.h"
#include "util/trace.h"

#include <time.h>

#define QUEUE_TURN                                                                                 \
    2000000 /* ns of a vCPU's time that its write to the queue may take, and a tick */

/* Have notifiers follow. What a host can't is in the fault log: the device is cut off (I5), and its
 * DMA there would fault. */
HOT_PATH static void invalidate(struct vtd_device *device, struct range range)
{
    if (G_UNLIKELY(!iommu_region_invalidate(&device->iommu, range)) &&
        !device->context.fault_hidden) {
        vtd_record_fault(device->vtd, device->requester, range.start, false, VTD_FAULT_READ);
    }
}

HOT_PATH void vtd_flush_iotlb(struct vtd *vtd, const struct vtd_flush *flush)
{
    struct range everything = {0, VTD_BIT(52)};
    struct range range = flush->range.length ? flush->range : everything;

    for (unsigned i = 0; i < vtd->members.count; i++) {
        const struct vtd_member *member = &vtd->members.at[i];

        if (flush->all_domains || member->domain == flush->domain || member->is_open) {
            vtd_iotlb_forget(&member->device->iotlb, range, flush->only_pages);
            invalidate(member->device, range);
        }
    }
}

/* First, under the lock: read contexts again; those whose view changes kind are counted. */
static unsigned update_contexts(struct vtd *vtd, uint16_t wanted, uint16_t mask, GPtrArray *changed)
{
    unsigned switches = 0;

    for (unsigned i = 0; i < vtd->members.count; i++) {
        struct vtd_device *device = vtd->members.at[i].device;

        if (((device->requester ^ wanted) & mask) == 0) {
            if (vtd_device_update_context(device)) {
                g_ptr_array_add(changed, device);
            }
            switches += vtd_device_must_switch(device);
        }
    }
    return switches;
}

static void switch_views(struct vtd *vtd)
{
    for (unsigned i = 0; i < vtd->members.count; i++) {
        struct vtd_device *device = vtd->members.at[i].device;

        if (vtd_device_must_switch(device)) {
            vtd_device_switch(device);
        }
    }
}

/*
 * A device that goes from one table to another is reconciled; one that changes between translated
 * and untranslated gets another view of memory when the transaction commits, and who listens to
 * that view registers with, or leaves, its IOMMU region then.
 */
void vtd_flush_contexts(struct vtd *vtd, uint16_t wanted, uint16_t mask)
{
    g_autoptr(GPtrArray) changed = g_ptr_array_new();

    memory_topology_begin();
    mutex_lock(&vtd->lock);
    if (update_contexts(vtd, wanted, mask, changed)) {
        switch_views(vtd);
    }
    for (unsigned i = 0; i < changed->len; i++) {
        invalidate(g_ptr_array_index(changed, i), (struct range){0, VTD_BIT(52)});
    }
    mutex_unlock(&vtd->lock);
    memory_topology_commit();
}

/* Masks of function numbers, 6.5.2.1: FM leaves out the low bits of the function. */
static uint16_t requester_mask(unsigned function_mask)
{
    static const uint16_t masks[] = {0xffff, 0xfffb, 0xfff9, 0xfff8};

    return masks[function_mask & 3];
}

/* A page-selective range, 6.5.2.3: 2^mask pages at an address aligned to that. */
static struct range page_range(uint64_t address)
{
    unsigned mask = MIN((unsigned)vtd_field(address, 5, 0), 40);
    uint64_t size = VTD_BIT(12 + mask);

    return (struct range){address & ~(size - 1) & (VTD_BIT(52) - 1), size};
}

/*
 * Register-based commands (6.5.1). Software polls until the command's bit has fallen: it falls when
 * the register is read and nothing that was taken back is used any more.
 */

void vtd_settle_commands(struct vtd *vtd)
{
    uint64_t command;

    if (!vtd->unsettled || vtd->switching || !iommu_drain_is_empty(&vtd->drain)) {
        return;
    }
    if (vtd->unsettled & VTD_UNSETTLED_CONTEXT) {
        command = vtd_get64(vtd, VTD_CCMD) & ~(VTD_COMMAND_BUSY | UINT64_C(3) << 59);
        vtd_put64(vtd, VTD_CCMD, command | vtd_field(command, 62, 61) << 59);
    }
    if (vtd->unsettled & VTD_UNSETTLED_IOTLB) {
        command = vtd_get64(vtd, VTD_IOTLB) & ~(VTD_COMMAND_BUSY | UINT64_C(3) << 57);
        vtd_put64(vtd, VTD_IOTLB, command | vtd_field(command, 61, 60) << 57);
    }
    vtd->unsettled = 0;
}

void vtd_command_executed(struct vtd *vtd, enum vtd_unsettled command)
{
    memory_translation_synchronize();
    mutex_lock(&vtd->lock);
    vtd->unsettled |= command;
    mutex_unlock(&vtd->lock);
}

void vtd_command_context(struct vtd *vtd)
{
    uint64_t command = vtd_get64(vtd, VTD_CCMD);
    unsigned granularity = vtd_field(command, 62, 61);
    uint16_t mask = granularity == VTD_DEVICE ? requester_mask(vtd_field(command, 33, 32)) : 0;

    vtd_flush_contexts(vtd, (uint16_t)vtd_field(command, 31, 16), mask);
    vtd_command_executed(vtd, VTD_UNSETTLED_CONTEXT);
}

void vtd_command_iotlb(struct vtd *vtd)
{
    uint64_t command = vtd_get64(vtd, VTD_IOTLB), address = vtd_get64(vtd, VTD_IVA);
    unsigned granularity = vtd_field(command, 61, 60);
    struct vtd_flush flush = {.all_domains = granularity < VTD_DOMAIN,
                              .domain = (uint16_t)vtd_field(command, 47, 32)};

    if (granularity == VTD_PAGE) {
        flush.range = page_range(address);
        flush.only_pages = address & VTD_HINT;
    }
    mutex_lock(&vtd->lock);
    vtd_flush_iotlb(vtd, &flush);
    mutex_unlock(&vtd->lock);
    vtd_command_executed(vtd, VTD_UNSETTLED_IOTLB);
}

/* Queued commands (6.5.2), under the lock. */

enum outcome {
    OUTCOME_INVALID,  /* it is no valid descriptor */
    OUTCOME_DONE,     /* the head is to be advanced */
    OUTCOME_UNLOCKED, /* done, head and all, but the lock was let go: the queue may be another */
};

static uint64_t queue_size(const struct vtd *vtd)
{
    return VTD_IQA_SIZE(vtd_get64(vtd, VTD_IQA));
}

/* Sizes are powers of two; software may have made the queue smaller meanwhile. */
static void advance_head(struct vtd *vtd, unsigned bytes)
{
    vtd_put64(vtd, VTD_IQH, (vtd_get64(vtd, VTD_IQH) + bytes) & (queue_size(vtd) - 1));
}

/* What can't be executed under the lock: it counts as fetched before. */
static void let_go(struct vtd *vtd)
{
    advance_head(vtd, 16);
    mutex_unlock(&vtd->lock);
}

static enum outcome queued_context(struct vtd *vtd, const uint64_t descriptor[2])
{
    unsigned granularity = vtd_field(descriptor[0], 5, 4);
    uint16_t mask =
        granularity == VTD_DEVICE ? requester_mask(vtd_field(descriptor[0], 49, 48)) : 0;

    if (!granularity || descriptor[1]) {
        return OUTCOME_INVALID;
    }
    let_go(vtd);
    vtd_flush_contexts(vtd, (uint16_t)vtd_field(descriptor[0], 47, 32), mask);
    mutex_lock(&vtd->lock);
    return OUTCOME_UNLOCKED;
}

HOT_PATH static enum outcome queued_iotlb(struct vtd *vtd, const uint64_t descriptor[2])
{
    unsigned granularity = vtd_field(descriptor[0], 5, 4);
    struct vtd_flush flush = {.all_domains = granularity == VTD_GLOBAL,
                              .domain = (uint16_t)vtd_field(descriptor[0], 31, 16)};

    if (!granularity || vtd_field(descriptor[1], 11, 7)) {
        return OUTCOME_INVALID;
    }
    if (granularity == VTD_PAGE) {
        flush.range = page_range(descriptor[1]);
        flush.only_pages = descriptor[1] & VTD_HINT;
    }
    vtd_flush_iotlb(vtd, &flush);
    return OUTCOME_DONE;
}

static enum outcome queued_interrupt(struct vtd *vtd, const uint64_t descriptor[2])
{
    if (descriptor[1] || !vtd->config.interrupt_remapping) {
        return OUTCOME_INVALID;
    }
    if (!vtd->host.interrupts_changed) {
        return OUTCOME_DONE;
    }
    let_go(vtd);
    vtd->host.interrupts_changed(vtd->host.opaque);
    mutex_lock(&vtd->lock);
    return OUTCOME_UNLOCKED;
}

HOT_PATH static void queued_wait(struct vtd *vtd, const uint64_t descriptor[2])
{
    if (descriptor[0] & VTD_WAIT_STATUS) {
        vtd_store32(&vtd->tables, descriptor[1] & ~UINT64_C(3), (uint32_t)(descriptor[0] >> 32));
    }
    if (descriptor[0] & VTD_WAIT_INTERRUPT) {
        mutex_lock(&vtd->fault_lock);
        if (!(vtd_get32(vtd, VTD_ICS) & VTD_ICS_WAIT_COMPLETE)) {
            vtd_put32(vtd, VTD_ICS, VTD_ICS_WAIT_COMPLETE);
            vtd_raise_event(vtd, VTD_IECTL);
        }
        mutex_unlock(&vtd->fault_lock);
    }
}

HOT_PATH static enum outcome execute(struct vtd *vtd, const uint64_t descriptor[2])
{
    trace_vtd_descriptor(descriptor[0], descriptor[1]);
    switch (vtd_field(descriptor[0], 3, 0)) {
    case VTD_INVALIDATE_CONTEXT:
        return queued_context(vtd, descriptor);
    case VTD_INVALIDATE_IOTLB:
        return queued_iotlb(vtd, descriptor);
    case VTD_INVALIDATE_INTERRUPT:
        return queued_interrupt(vtd, descriptor);
    case VTD_INVALIDATE_WAIT:
        queued_wait(vtd, descriptor);
        return OUTCOME_DONE;
    default:
        return OUTCOME_INVALID;
    }
}

/* Descriptors that are fetched together, and executed in one hold of the lock: up to one that lets
 * it go, for then software may switch the queue off. */
#define AT_ONCE 4

/* What is next in the queue. */
struct batch {
    unsigned count;
    uint64_t descriptors[AT_ONCE][2];
};

/* No: the queue is off or empty, or an error stops it. */
static bool has_more(const struct vtd *vtd)
{
    return vtd_get64(vtd, VTD_IQH) != (vtd_get64(vtd, VTD_IQT) & VTD_IQ_OFFSET) &&
           (vtd_get32(vtd, VTD_GSTS) & VTD_GCMD_QUEUED) &&
           !(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
}

/* At least one descriptor: has_more. False: it is not to be had. */
HOT_PATH static bool fetch(const struct vtd *vtd, struct batch *batch)
{
    uint64_t head = vtd_get64(vtd, VTD_IQH), size = queue_size(vtd);
    uint64_t tail = vtd_get64(vtd, VTD_IQT) & VTD_IQ_OFFSET, end = tail > head ? tail : size;
    gpa_t address = (vtd_get64(vtd, VTD_IQA) & ~UINT64_C(0xfff)) + head;
    uint64_t bytes = MIN(end - head, sizeof(batch->descriptors));

    batch->count = (unsigned)bytes / 16;
    if (tail >= size) {
        return false;
    }
    if (!vtd_read_memory(&vtd->tables, address, batch->descriptors, bytes)) {
        batch->count = 1; /* perhaps the memory ends behind it */
        if (!vtd_read_memory(&vtd->tables, address, batch->descriptors, 16)) {
            return false;
        }
    }
    for (unsigned i = 0; i < batch->count; i++) {
        batch->descriptors[i][0] = GUINT64_FROM_LE(batch->descriptors[i][0]);
        batch->descriptors[i][1] = GUINT64_FROM_LE(batch->descriptors[i][1]);
    }
    return true;
}

/* A wait for what devices still use. Copies by what was cached before a flush end meanwhile. */
static bool must_wait(const struct vtd *vtd, const uint64_t descriptor[2])
{
    if (vtd_field(descriptor[0], 3, 0) != VTD_INVALIDATE_WAIT) {
        return false;
    }
    memory_translation_synchronize();
    return !iommu_drain_is_empty(&vtd->drain);
}

/* Fetch some and execute them, under the lock. True: there are more, and nothing to wait for. */
HOT_PATH static bool run_batch(struct vtd *vtd)
{
    enum outcome outcome = OUTCOME_DONE;
    struct batch batch;

    advance_head(vtd, 0);
    if (!has_more(vtd)) {
        return false;
    }
    if (!fetch(vtd, &batch)) {
        vtd_raise_fault_status(vtd, VTD_FSTS_QUEUE_ERROR);
        return false;
    }
    for (unsigned i = 0; i < batch.count; i++) {
        if (must_wait(vtd, batch.descriptors[i])) {
            return false; /* the drain's end has the queue run again */
        }
        outcome = execute(vtd, batch.descriptors[i]);
        if (outcome != OUTCOME_DONE) {
            break;
        }
        advance_head(vtd, 16);
    }
    if (outcome == OUTCOME_INVALID) {
        vtd_raise_fault_status(vtd, VTD_FSTS_QUEUE_ERROR);
    }
    return has_more(vtd); /* an error is none */
}

static int64_t nanoseconds(struct timespec time)
{
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Time as of the last tick: good enough for a turn, and never a system call, as the exact time is
 * on some hosts. */
static int64_t coarse_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return nanoseconds(time);
}

static int64_t turn_end(void)
{
    struct timespec tick;

    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    return coarse_time() + nanoseconds(tick) + QUEUE_TURN;
}

/* *deadline 0: none is set yet, which the first batch, nearly always the only one, does without.
 * False: the time is up, and the queue perhaps not empty. */
HOT_PATH static bool run_until(struct vtd *vtd, int64_t *deadline)
{
    for (;;) {
        bool more;

        mutex_lock(&vtd->lock);
        more = run_batch(vtd);
        mutex_unlock(&vtd->lock);
        if (!more) {
            return true;
        }
        if (!*deadline) {
            *deadline = turn_end();
        } else if (coarse_time() > *deadline) {
            return false;
        }
    }
}

/*
 * Who finds another thread at it leaves it the work: that thread looks once more when it has ended.
 * So nobody waits; and nobody works for ever on what others queue meanwhile, for after a turn
 * the rest is the host's business (queue_left).
 */
HOT_PATH void vtd_queue_run(struct vtd *vtd)
{
    int64_t deadline = 0;
    bool left = false;

    __atomic_store_n(&vtd->queue_kicked, true, __ATOMIC_SEQ_CST);
    while (!left && __atomic_load_n(&vtd->queue_kicked, __ATOMIC_SEQ_CST) &&
           mutex_trylock(&vtd->queue_lock)) {
        __atomic_store_n(&vtd->queue_kicked, false, __ATOMIC_SEQ_CST);
        left = !run_until(vtd, &deadline);
        mutex_unlock(&vtd->queue_lock);
        if (left && !vtd->host.queue_left) {
            deadline = 0;
            left = false;
            __atomic_store_n(&vtd->queue_kicked, true, __ATOMIC_SEQ_CST);
        }
    }
    if (left) {
        vtd->host.queue_left(vtd->host.opaque);
    }
}
