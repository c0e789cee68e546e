/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Primary fault logging (VT-d 7.2) and the two events' messages (7.3, 11.4.10). */
#include "iommu/vtd-private.h"
#include "util/trace.h"

#define RECORD_FAULT_BIT VTD_BIT(63) /* of a record's upper half */
#define RECORD_READ_BIT  VTD_BIT(62)

static uint64_t record_high(const struct vtd *vtd, unsigned i)
{
    return vtd_get64(vtd, VTD_FRCD + 16 * i + 8);
}

void vtd_raise_event(struct vtd *vtd, unsigned control)
{
    uint32_t value = vtd_get32(vtd, control);
    uint64_t address;

    if (value & VTD_EVENT_MASK) {
        vtd_put32(vtd, control, value | VTD_EVENT_PENDING);
        return;
    }
    vtd_put32(vtd, control, value & ~VTD_EVENT_PENDING);
    address = vtd_get32(vtd, control + 8) | (uint64_t)vtd_get32(vtd, control + 12) << 32;
    vtd->host.send_interrupt(vtd->host.opaque, address, vtd_get32(vtd, control + 4));
}

/* An event is raised by the first status bit only: the rest is found by software (7.3). */
static void set_status(struct vtd *vtd, uint32_t bits)
{
    uint32_t all = VTD_FSTS_OVERFLOW | VTD_FSTS_PENDING | VTD_FSTS_QUEUE_ERROR;
    uint32_t old = vtd_get32(vtd, VTD_FSTS);

    vtd_put32(vtd, VTD_FSTS, old | bits);
    if (!(old & all)) {
        vtd_raise_event(vtd, VTD_FECTL);
    }
}

void vtd_raise_fault_status(struct vtd *vtd, uint32_t bits)
{
    mutex_lock(&vtd->fault_lock);
    set_status(vtd, bits);
    mutex_unlock(&vtd->fault_lock);
}

/* A fault like one that is recorded and not yet cleared need not be recorded again (7.2.1). */
static bool is_recorded(const struct vtd *vtd, uint16_t requester, uint64_t page)
{
    for (unsigned i = 0; i < VTD_FAULT_RECORDS; i++) {
        uint64_t high = record_high(vtd, i);

        if ((high & RECORD_FAULT_BIT) && (uint16_t)high == requester &&
            vtd_get64(vtd, VTD_FRCD + 16 * i) == page) {
            return true;
        }
    }
    return false;
}

static void record(struct vtd *vtd, uint16_t requester, uint64_t page, bool is_write,
                   enum vtd_fault_reason reason)
{
    unsigned i = vtd->next_fault;

    if (vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_OVERFLOW) {
        return;
    }
    if (record_high(vtd, i) & RECORD_FAULT_BIT) {
        set_status(vtd, VTD_FSTS_OVERFLOW);
        return;
    }
    vtd_put64(vtd, VTD_FRCD + 16 * i, page);
    vtd_put64(vtd, VTD_FRCD + 16 * i + 8,
              RECORD_FAULT_BIT | (is_write ? 0 : RECORD_READ_BIT) | (uint64_t)reason << 32 |
                  requester);
    vtd->next_fault = (i + 1) % VTD_FAULT_RECORDS;
    if (!(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_PENDING)) {
        vtd_put32(vtd, VTD_FSTS, (vtd_get32(vtd, VTD_FSTS) & ~0xff00u) | i << 8);
    }
    set_status(vtd, VTD_FSTS_PENDING);
}

void vtd_record_fault(struct vtd *vtd, uint16_t requester, uint64_t address, bool is_write,
                      enum vtd_fault_reason reason)
{
    uint64_t page = address & ~UINT64_C(0xfff);

    trace_vtd_fault(requester, address, is_write, reason);
    mutex_lock(&vtd->fault_lock);
    if (!is_recorded(vtd, requester, page)) {
        record(vtd, requester, page, is_write, reason);
    }
    mutex_unlock(&vtd->fault_lock);
}

void vtd_fault_registers_written(struct vtd *vtd)
{
    uint32_t status, control;
    bool pending = false;

    mutex_lock(&vtd->fault_lock);
    for (unsigned i = 0; i < VTD_FAULT_RECORDS; i++) {
        pending |= (record_high(vtd, i) & RECORD_FAULT_BIT) != 0;
    }
    status = vtd_get32(vtd, VTD_FSTS);
    if (!pending) {
        status &= ~VTD_FSTS_PENDING;
        vtd_put32(vtd, VTD_FSTS, status);
    }
    control = vtd_get32(vtd, VTD_FECTL);
    if (!(status & 0xff)) {
        vtd_put32(vtd, VTD_FECTL, control & ~VTD_EVENT_PENDING);
    } else if ((control & VTD_EVENT_PENDING) && !(control & VTD_EVENT_MASK)) {
        vtd_raise_event(vtd, VTD_FECTL);
    }
    mutex_unlock(&vtd->fault_lock);
}
