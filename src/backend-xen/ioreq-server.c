/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ioreq server: by which Xen sends a domain's accesses to this process. A vCPU's request lies
 * in its slot of the page of synchronous requests; the vCPU stands still until it is answered.
 * Requests that need no answer are in the buffered page, and are carried out before any
 * synchronous one that came after them.
 */
#include "backend-xen/ioreq.h"
#include "backend-xen/xen-machine.h"
#include "dm/pci/pci.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BUFFER_NAME "buffered"

/* What requests lead to. */

static uint32_t config_read(void *opaque, unsigned bus, unsigned devfn, unsigned offset,
                            unsigned size)
{
    const struct xen_machine *xen = opaque;
    struct pci_bus *root = pci_bus_from_base(xen->machine->pci_bus);

    return root ? pci_bus_config_read(root, bus, devfn, offset, size) : UINT32_MAX;
}

static void config_write(void *opaque, unsigned bus, unsigned devfn, unsigned offset, unsigned size,
                         uint32_t value)
{
    const struct xen_machine *xen = opaque;
    struct pci_bus *root = pci_bus_from_base(xen->machine->pci_bus);

    if (root) {
        pci_bus_config_write(root, bus, devfn, offset, size, value);
    }
}

static void invalidate(void *opaque)
{
    struct xen_machine *xen = opaque;

    mapcache_invalidate_all(xen->mapcache);
}

static void set_time_offset(void *opaque, int64_t seconds)
{
    xen_store_add_time_offset(opaque, seconds);
}

static struct ioreq_target target_of(struct xen_machine *xen)
{
    return (struct ioreq_target){
        .memory = &xen->machine->as_memory,
        .io = &xen->machine->as_io,
        .config_read = config_read,
        .config_write = config_write,
        .invalidate = invalidate,
        .set_time_offset = set_time_offset,
        .opaque = xen,
    };
}

/* Buffered requests. */

void xen_drain_buffer(struct xen_machine *xen)
{
    struct ioreq_target target = target_of(xen);

    if (G_LIKELY(ioreq_buffer_is_empty(xen->buffered))) {
        return;
    }
    pthread_mutex_lock(&xen->buffer_lock);
    while (ioreq_drain_buffer(&target, xen->buffered)) {
    }
    pthread_mutex_unlock(&xen->buffer_lock);
}

static void buffer_notified(struct xen_channel *channel)
{
    xen_drain_buffer(channel->xen);
}

/* What came while nobody served: its event may have been taken with the last pause. */
static void buffer_resumed(struct xen_channel *channel)
{
    xen_drain_buffer(channel->xen);
}

/* Synchronous requests. state and flags share a 32-bit word of the slot, which is read and written
 * whole: Xen looks at the state only. */

static struct ioreq *slot_of(const struct xen_vcpu *v)
{
    return &v->channel.xen->requests->vcpu_ioreq[v->index];
}

#define STATE_WORD_OFFSET offsetof(struct ioreq, _pad0)
G_STATIC_ASSERT(sizeof(struct ioreq) == 32 && STATE_WORD_OFFSET == 28);

static uint32_t read_state_word(const struct ioreq *slot)
{
    return __atomic_load_n((const uint32_t *)((const uint8_t *)slot + STATE_WORD_OFFSET),
                           __ATOMIC_ACQUIRE);
}

static bool is_ready(const struct ioreq *slot)
{
    uint32_t word = read_state_word(slot);
    struct ioreq copy;

    memcpy((uint8_t *)&copy + STATE_WORD_OFFSET, &word, sizeof(word));
    return copy.state == STATE_IOREQ_READY;
}

/* Of one that is ready: nobody else writes to it. */
static struct ioreq read_slot(const struct ioreq *slot)
{
    uint32_t word = read_state_word(slot);
    struct ioreq copy;

    memcpy(&copy, slot, STATE_WORD_OFFSET);
    memcpy((uint8_t *)&copy + STATE_WORD_OFFSET, &word, sizeof(word));
    return copy;
}

static void write_state(struct ioreq *slot, struct ioreq request, unsigned state)
{
    uint32_t word;

    request.state = state & 0xf;
    memcpy(&word, (const uint8_t *)&request + STATE_WORD_OFFSET, sizeof(word));
    __atomic_store_n((uint32_t *)((uint8_t *)slot + STATE_WORD_OFFSET), word, __ATOMIC_RELEASE);
}

static void answer(struct xen_vcpu *v, const struct ioreq *request)
{
    struct ioreq *slot = slot_of(v);

    __atomic_store_n(&slot->data, request->data, __ATOMIC_RELAXED);
    write_state(slot, *request, STATE_IORESP_READY);
    xenevtchn_notify(v->channel.events, v->channel.port);
}

static void request_notified(struct xen_channel *channel)
{
    struct xen_vcpu *v = (struct xen_vcpu *)channel;
    struct xen_machine *xen = channel->xen;
    struct ioreq_target target = target_of(xen);
    struct ioreq request;
    uint64_t *count;

    if (!is_ready(slot_of(v))) {
        return;
    }
    request = read_slot(slot_of(v));
    xen_drain_buffer(xen);
    write_state(slot_of(v), request, STATE_IOREQ_INPROCESS);
    count = &v->requests[request.type % G_N_ELEMENTS(v->requests)];
    __atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
    ioreq_perform(&target, &request);
    if (__atomic_load_n(&xen->machine->vcpus_held, __ATOMIC_ACQUIRE)) {
        /* It asked for what has to be done before the vCPU goes on: end, reset, unplug. */
        v->answer = request;
        v->answer_held = true;
        return;
    }
    answer(v, &request);
}

static bool request_is_due(const struct xen_channel *channel)
{
    return is_ready(slot_of((const struct xen_vcpu *)channel));
}

static void request_resumed(struct xen_channel *channel)
{
    struct xen_vcpu *v = (struct xen_vcpu *)channel;
    struct vcpu *vcpu = channel->xen->machine->vcpus[v->index];

    if (vcpu) {
        __atomic_store_n(&vcpu->thread_id, channel->thread_id, __ATOMIC_RELAXED);
    }
    if (v->answer_held) {
        v->answer_held = false;
        answer(v, &v->answer);
    }
    /* What came while nobody served: its event may have been taken with the last pause. */
    request_notified(channel);
}

bool xen_has_run(const struct xen_machine *xen)
{
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        for (unsigned type = 0; type < G_N_ELEMENTS(xen->vcpus[i].requests); type++) {
            if (__atomic_load_n(&xen->vcpus[i].requests[type], __ATOMIC_RELAXED)) {
                return true;
            }
        }
    }
    return xen->machine->config.incoming != NULL;
}

/* The server. */

static bool map_pages(struct xen_machine *xen, GError **error)
{
    void *pages = NULL;

    xen->pages = xenforeignmemory_map_resource(
        xen->memory, xen->domid, XENMEM_resource_ioreq_server, xen->server,
        XENMEM_resource_ioreq_server_frame_bufioreq, 2, &pages, PROT_READ | PROT_WRITE, 0);
    if (!xen->pages) {
        return xen_fail(xen, error, "cannot map the pages of requests");
    }
    xen->buffered = pages;
    xen->requests = (struct shared_iopage *)(void *)((uint8_t *)pages + XEN_PAGE_SIZE);
    return true;
}

static bool open_channels(struct xen_machine *xen, GError **error)
{
    evtchn_port_t buffer_port;

    if (xendevicemodel_get_ioreq_server_info(xen->devices, xen->domid, xen->server, NULL, NULL,
                                             &buffer_port) < 0) {
        return xen_fail(xen, error, "no event channel for buffered requests");
    }
    xen->buffer_channel.handle = buffer_notified;
    xen->buffer_channel.resumed = buffer_resumed;
    if (!xen_channel_open(&xen->buffer_channel, xen, BUFFER_NAME, buffer_port, error)) {
        return false;
    }
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        struct xen_vcpu *v = &xen->vcpus[i];
        g_autofree char *name = g_strdup_printf("vcpu%u", i);

        v->index = i;
        v->channel.handle = request_notified;
        v->channel.is_due = request_is_due;
        v->channel.resumed = request_resumed;
        if (!xen_channel_open(&v->channel, xen, name, xen->requests->vcpu_ioreq[i].vp_eport,
                              error)) {
            return false;
        }
    }
    return true;
}

bool xen_create_server(struct xen_machine *xen, GError **error)
{
    xen->waker = xenevtchn_open(NULL, 0);
    if (!xen->waker) {
        return xen_fail(xen, error, "cannot open /dev/xen/evtchn");
    }
    if (xendevicemodel_create_ioreq_server(xen->devices, xen->domid, HVM_IOREQSRV_BUFIOREQ_ATOMIC,
                                           &xen->server) < 0) {
        return xen_fail(xen, error, "cannot be its device model (no ioreq server)");
    }
    xen->has_server = true;
    if (!map_pages(xen, error)) {
        return false;
    }
    if (xendevicemodel_set_ioreq_server_state(xen->devices, xen->domid, xen->server, 1) < 0) {
        return xen_fail(xen, error, "cannot enable the ioreq server");
    }
    return open_channels(xen, error);
}

void xen_destroy_server(struct xen_machine *xen)
{
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        xen_channel_close(&xen->vcpus[i].channel);
    }
    xen_channel_close(&xen->buffer_channel);
    if (xen->pages) {
        xenforeignmemory_unmap_resource(xen->memory, xen->pages);
    }
    if (xen->has_server) {
        xendevicemodel_destroy_ioreq_server(xen->devices, xen->domid, xen->server);
    }
    if (xen->waker) {
        xenevtchn_close(xen->waker);
    }
}
