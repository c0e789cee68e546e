/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/vtd-private.h"
#include "iommu/notifier.h"

#include <assert.h>

/* The queue may stand at a wait descriptor. */
static void devices_have_ended(void *opaque)
{
    struct vtd *vtd = opaque;

    if (vtd->host.queue_left) {
        vtd->host.queue_left(vtd->host.opaque);
    }
}

struct vtd *vtd_new(const struct vtd_config *config, const struct vtd_host *host,
                    struct address_space *memory, struct memory_region *system)
{
    struct vtd *vtd = g_new0(struct vtd, 1);

    vtd->config = *config;
    vtd->host = *host;
    vtd->system = system;
    vtd->tables = (struct vtd_tables){memory, config->host_width, config->iova_width,
                                      config->pass_through, config->walk_limit};
    iommu_drain_init(&vtd->drain, devices_have_ended, vtd);
    mutex_init(&vtd->queue_lock);
    mutex_init(&vtd->lock);
    mutex_init(&vtd->fault_lock);
    vtd_registers_init(vtd);
    return vtd;
}

void vtd_free(struct vtd *vtd)
{
    assert(vtd->members.count == 0);
    memory_region_destroy(&vtd->window);
    g_free(vtd->members.at);
    iommu_drain_destroy(&vtd->drain);
    mutex_destroy(&vtd->fault_lock);
    mutex_destroy(&vtd->lock);
    mutex_destroy(&vtd->queue_lock);
    g_free(vtd);
}

void vtd_reset(struct vtd *vtd)
{
    mutex_lock(&vtd->queue_lock);
    mutex_lock(&vtd->lock);
    mutex_lock(&vtd->fault_lock);
    vtd_registers_reset(vtd);
    __atomic_store_n(&vtd->root, 0, __ATOMIC_RELEASE);
    vtd->next_fault = 0;
    vtd->unsettled = 0;
    vtd->switching = false;
    __atomic_store_n(&vtd->interrupt_table, 0, __ATOMIC_RELEASE);
    mutex_unlock(&vtd->fault_lock);
    mutex_unlock(&vtd->lock);
    vtd_flush_contexts(vtd, 0, 0);
    mutex_unlock(&vtd->queue_lock);
}

void vtd_save(struct vtd *vtd, struct vtd_state *state)
{
    mutex_lock(&vtd->lock);
    mutex_lock(&vtd->fault_lock);
    memcpy(state->registers, vtd->registers, sizeof(state->registers));
    state->root = vtd->root;
    state->interrupt_table = vtd->interrupt_table;
    state->next_fault = vtd->next_fault;
    mutex_unlock(&vtd->fault_lock);
    mutex_unlock(&vtd->lock);
}

/* Could the unit, as it is configured, come to this state? */
static bool is_possible(const struct vtd *vtd, const struct vtd_state *state)
{
    uint64_t head = load_le64(&state->registers[VTD_IQH]);
    uint64_t queue_size = VTD_IQA_SIZE(load_le64(&state->registers[VTD_IQA]));

    return memcmp(state->registers, vtd->registers, VTD_GCMD) == 0 && /* VER, CAP, ECAP */
           state->next_fault < VTD_FAULT_RECORDS && head < queue_size && head % 16 == 0 &&
           (vtd->config.interrupt_remapping ||
            !(load_le32(&state->registers[VTD_GSTS]) & VTD_GCMD_REMAPPING));
}

bool vtd_load(struct vtd *vtd, const struct vtd_state *state)
{
    static const struct vtd_flush everything = {.all_domains = true};

    mutex_lock(&vtd->lock);
    mutex_lock(&vtd->fault_lock);
    if (!is_possible(vtd, state)) {
        mutex_unlock(&vtd->fault_lock);
        mutex_unlock(&vtd->lock);
        return false;
    }
    memcpy(vtd->registers, state->registers, sizeof(vtd->registers));
    vtd_set_status(vtd, vtd_get32(vtd, VTD_GSTS));
    __atomic_store_n(&vtd->root, state->root, __ATOMIC_RELEASE);
    vtd->next_fault = state->next_fault;
    /* Commands that were still held up. */
    vtd->unsettled = (vtd_get64(vtd, VTD_CCMD) & VTD_COMMAND_BUSY ? VTD_UNSETTLED_CONTEXT : 0) |
                     (vtd_get64(vtd, VTD_IOTLB) & VTD_COMMAND_BUSY ? VTD_UNSETTLED_IOTLB : 0);
    __atomic_store_n(&vtd->interrupt_table, state->interrupt_table, __ATOMIC_RELEASE);
    mutex_unlock(&vtd->fault_lock);
    mutex_unlock(&vtd->lock);
    vtd_flush_contexts(vtd, 0, 0);
    mutex_lock(&vtd->lock);
    vtd_flush_iotlb(vtd, &everything);
    mutex_unlock(&vtd->lock);
    devices_have_ended(vtd);
    if (vtd->host.interrupts_changed) {
        vtd->host.interrupts_changed(vtd->host.opaque);
    }
    return true;
}
