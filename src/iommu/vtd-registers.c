/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register window (VT-d 11.4): storage with masks, and what a write sets off. */
#include "iommu/vtd-private.h"
#include "memory/translation.h"
#include "util/hot-path.h"
#include "util/trace.h"

#define VTD_VERSION 0x10u /* 1.0: legacy mode */

static uint64_t capabilities(const struct vtd_config *config)
{
    return VTD_CAP_DOMAIN_BITS_16 | (config->caching_mode ? VTD_CAP_CACHING_MODE : 0) |
           VTD_CAP_SAGAW_39 | (config->iova_width >= 48 ? VTD_CAP_SAGAW_48 : 0) |
           (uint64_t)(config->iova_width - 1) << VTD_CAP_MGAW_SHIFT | VTD_CAP_FRO |
           VTD_CAP_2M_AND_1G | VTD_CAP_PAGE_SELECTIVE | VTD_CAP_NFR | VTD_CAP_MAMV;
}

static uint64_t extended_capabilities(const struct vtd_config *config)
{
    return VTD_ECAP_COHERENT | VTD_ECAP_QUEUED | VTD_ECAP_IRO | VTD_ECAP_MHMV |
           (config->interrupt_remapping ? VTD_ECAP_REMAPPING : 0) |
           (config->interrupt_remapping && config->extended_interrupts ? VTD_ECAP_EXTENDED_INTR
                                                                       : 0) |
           (config->pass_through ? VTD_ECAP_PASS_THROUGH : 0);
}

static void set_masks(struct vtd *vtd)
{
    static const struct {
        unsigned offset;
        uint64_t writable;
    } masks[] = {
        {VTD_RTADDR, ~UINT64_C(0xfff)},   {VTD_CCMD, 0xe0000003ffffffff},
        {VTD_IQA, ~UINT64_C(0xff8)},      {VTD_IRTA, ~UINT64_C(0x7f0)},
        {VTD_IVA, ~UINT64_C(0xf80)},      {VTD_IOTLB, 0xb003ffff00000000},
        {VTD_FEADDR, 0xfffffffffffffffc}, {VTD_IEADDR, 0xfffffffffffffffc},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(masks); i++) {
        store_le64(&vtd->write_masks[masks[i].offset], masks[i].writable);
    }
    store_le32(&vtd->write_masks[VTD_FECTL], VTD_EVENT_MASK);
    store_le32(&vtd->write_masks[VTD_IECTL], VTD_EVENT_MASK);
    store_le32(&vtd->write_masks[VTD_FEDATA], 0xffff);
    store_le32(&vtd->write_masks[VTD_IEDATA], 0xffff);
    store_le32(&vtd->clear_masks[VTD_FSTS], VTD_FSTS_OVERFLOW | VTD_FSTS_QUEUE_ERROR);
    store_le32(&vtd->clear_masks[VTD_ICS], VTD_ICS_WAIT_COMPLETE);
    for (unsigned i = 0; i < VTD_FAULT_RECORDS; i++) {
        store_le32(&vtd->clear_masks[VTD_FRCD + 16 * i + 12], 1u << 31);
    }
}

void vtd_set_status(struct vtd *vtd, uint32_t status)
{
    vtd_put32(vtd, VTD_GSTS, status);
    __atomic_store_n(&vtd->status, status, __ATOMIC_RELEASE);
}

void vtd_registers_reset(struct vtd *vtd)
{
    memset(vtd->registers, 0, sizeof(vtd->registers));
    vtd_put32(vtd, VTD_VER, VTD_VERSION);
    vtd_put64(vtd, VTD_CAP, capabilities(&vtd->config));
    vtd_put64(vtd, VTD_ECAP, extended_capabilities(&vtd->config));
    vtd_put32(vtd, VTD_FECTL, VTD_EVENT_MASK);
    vtd_put32(vtd, VTD_IECTL, VTD_EVENT_MASK);
    vtd_set_status(vtd, 0);
}

/* TE was changed; until hosts have followed GSTS shows what it was, to other processors, too. */
static void switch_translation(struct vtd *vtd)
{
    vtd_flush_contexts(vtd, 0, 0);
    memory_translation_synchronize();
    mutex_lock(&vtd->lock);
    vtd->switching = false;
    mutex_unlock(&vtd->lock);
}

/* Global command (11.4.4). Software changes one bit at a time and waits for the status. */
static void global_command(struct vtd *vtd, uint32_t command)
{
    const uint32_t switches =
        VTD_GCMD_TRANSLATION | VTD_GCMD_QUEUED | VTD_GCMD_REMAPPING | VTD_GCMD_COMPATIBILITY;
    uint32_t supported = switches, status, changed;

    if (!vtd->config.interrupt_remapping) {
        supported &= ~(VTD_GCMD_REMAPPING | VTD_GCMD_COMPATIBILITY);
    }
    mutex_lock(&vtd->lock);
    status = vtd_get32(vtd, VTD_GSTS);
    changed = (status ^ command) & supported;
    status ^= changed;
    if (command & VTD_GCMD_ROOT_TABLE) {
        __atomic_store_n(&vtd->root, vtd_get64(vtd, VTD_RTADDR), __ATOMIC_RELEASE);
        status |= VTD_GCMD_ROOT_TABLE;
    }
    if ((command & VTD_GCMD_REMAPPING_TABLE) && vtd->config.interrupt_remapping) {
        __atomic_store_n(&vtd->interrupt_table, vtd_get64(vtd, VTD_IRTA), __ATOMIC_RELEASE);
        status |= VTD_GCMD_REMAPPING_TABLE;
    }
    if (changed & VTD_GCMD_QUEUED) {
        vtd_put64(vtd, VTD_IQH, 0);
    }
    vtd_set_status(vtd, status);
    if (changed & VTD_GCMD_TRANSLATION) {
        vtd->unsettled |= VTD_UNSETTLED_TRANSLATION;
        vtd->switching = true;
    }
    mutex_unlock(&vtd->lock);
    if (changed & VTD_GCMD_TRANSLATION) {
        switch_translation(vtd);
    }
    if (changed & status & VTD_GCMD_QUEUED) {
        vtd_queue_run(vtd);
    }
    if ((changed & (VTD_GCMD_REMAPPING | VTD_GCMD_COMPATIBILITY)) && vtd->host.interrupts_changed) {
        vtd->host.interrupts_changed(vtd->host.opaque);
    }
}

static void completion_registers_written(struct vtd *vtd)
{
    uint32_t control;

    mutex_lock(&vtd->fault_lock);
    control = vtd_get32(vtd, VTD_IECTL);
    if (!(vtd_get32(vtd, VTD_ICS) & VTD_ICS_WAIT_COMPLETE)) {
        vtd_put32(vtd, VTD_IECTL, control & ~VTD_EVENT_PENDING);
    } else if ((control & VTD_EVENT_PENDING) && !(control & VTD_EVENT_MASK)) {
        vtd_raise_event(vtd, VTD_IECTL);
    }
    mutex_unlock(&vtd->fault_lock);
}

/* What a write to the 32 bits at offset sets off. */
static void act(struct vtd *vtd, unsigned offset, uint32_t value)
{
    switch (offset) {
    case VTD_GCMD:
        global_command(vtd, value);
        break;
    case VTD_CCMD + 4:
        if (value >> 31) {
            vtd_command_context(vtd);
        }
        break;
    case VTD_IOTLB + 4:
        if (value >> 31) {
            vtd_command_iotlb(vtd);
        }
        break;
    case VTD_FSTS:
        vtd_fault_registers_written(vtd);
        vtd_queue_run(vtd); /* a cleared IQE lets the queue go on */
        break;
    case VTD_ICS:
    case VTD_IECTL:
        completion_registers_written(vtd);
        break;
    default:
        if (offset == VTD_FECTL || offset >= VTD_FRCD) {
            vtd_fault_registers_written(vtd);
        }
        break;
    }
}

static void store(struct vtd *vtd, unsigned offset, unsigned size, uint64_t value)
{
    mutex_lock(&vtd->lock);
    mutex_lock(&vtd->fault_lock);
    for (unsigned i = offset; i < offset + size; i++, value >>= 8) {
        uint8_t mask = vtd->write_masks[i];

        vtd->registers[i] = (uint8_t)((vtd->registers[i] & ~mask) | ((uint8_t)value & mask));
        vtd->registers[i] &= (uint8_t) ~((uint8_t)value & vtd->clear_masks[i]);
    }
    mutex_unlock(&vtd->fault_lock);
    mutex_unlock(&vtd->lock);
}

/* The register that is written for each of a guest's mappings. */
HOT_PATH static void write_queue_tail(struct vtd *vtd, uint64_t value)
{
    mutex_lock(&vtd->lock);
    vtd_put64(vtd, VTD_IQT, value & VTD_IQ_OFFSET);
    mutex_unlock(&vtd->lock);
    vtd_queue_run(vtd);
}

/* Devices, the unit itself among them, don't reach the registers: its queue could wait for itself.
 */
HOT_PATH static enum memory_result window_write(void *opaque, uint64_t offset, unsigned size,
                                                struct memory_attributes attributes, uint64_t value)
{
    struct vtd *vtd = opaque;

    trace_vtd_write(offset, size, value);
    if (attributes.from_device) {
        return MEMORY_DECODE_ERROR;
    }
    if (G_LIKELY(offset == VTD_IQT)) {
        write_queue_tail(vtd, value);
        return MEMORY_OK;
    }
    if (offset + size > VTD_REGISTERS_SIZE) {
        return MEMORY_OK;
    }
    store(vtd, (unsigned)offset, size, value);
    for (unsigned i = 0; i < size; i += 4) {
        act(vtd, (unsigned)offset + i, (uint32_t)(value >> (8 * i)));
    }
    return MEMORY_OK;
}

static enum memory_result window_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct vtd *vtd = opaque;

    *value = 0;
    if (offset + size > VTD_REGISTERS_SIZE) {
        return MEMORY_OK;
    }
    mutex_lock(&vtd->lock);
    mutex_lock(&vtd->fault_lock);
    vtd_settle_commands(vtd);
    *value = size == 8 ? vtd_get64(vtd, (unsigned)offset) : vtd_get32(vtd, (unsigned)offset);
    if ((vtd->unsettled & VTD_UNSETTLED_TRANSLATION) && offset <= VTD_GSTS &&
        offset + size > VTD_GSTS) {
        *value ^= (uint64_t)VTD_GCMD_TRANSLATION << 8 * (VTD_GSTS - offset);
    }
    mutex_unlock(&vtd->fault_lock);
    mutex_unlock(&vtd->lock);
    return MEMORY_OK;
}

static const struct memory_region_ops window_ops = {
    .read = window_read,
    .write = window_write,
    .valid = {.min_size = 4, .max_size = 8},
    .implemented = {.min_size = 4, .max_size = 8},
};

void vtd_registers_init(struct vtd *vtd)
{
    set_masks(vtd);
    vtd_registers_reset(vtd);
    memory_region_init_mmio(&vtd->window, "vtd", VTD_WINDOW_SIZE, &window_ops, vtd, NULL);
}
