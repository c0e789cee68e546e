/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event descriptors of a passed-through device. They sit in an epoll descriptor of its own,
 * which is the one event that the I/O thread knows of: so vCPUs, which set interrupts up inside
 * register accesses, need not wait for that thread.
 */
#include "dm/machine.h"
#include "dm/vfio/vfio-pci.h"
#include "util/error.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define AT_ONCE 16

int vfio_event_new(GError **error)
{
    int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (descriptor < 0) {
        duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                   "no event descriptor for an interrupt: %s (raise ulimit -n)", g_strerror(errno));
    }
    return descriptor;
}

bool vfio_event_take(int descriptor)
{
    uint64_t count;

    return read(descriptor, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

/* What epoll gives back: the descriptor, to take the signal from, and what it means. */
static uint64_t pack(int descriptor, enum vfio_event_kind kind, unsigned number)
{
    return (uint32_t)descriptor | (uint64_t)kind << 32 | (uint64_t)number << 40;
}

bool vfio_event_watch(struct vfio_pci *vfio, int descriptor, enum vfio_event_kind kind,
                      unsigned number, GError **error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = pack(descriptor, kind, number)};

    return epoll_ctl(vfio->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ||
           duodm_fail(error, DUODM_ERROR_NO_MEMORY, "an interrupt can't be waited for: %s",
                      g_strerror(errno));
}

void vfio_event_ignore(struct vfio_pci *vfio, int descriptor)
{
    pthread_mutex_lock(&vfio->event_lock);
    epoll_ctl(vfio->epoll, EPOLL_CTL_DEL, descriptor, NULL);
    pthread_mutex_unlock(&vfio->event_lock);
}

/* In the I/O thread. */

static void signalled(struct vfio_pci *vfio, uint64_t packed)
{
    unsigned number = (unsigned)(packed >> 40);

    switch ((enum vfio_event_kind)(packed >> 32 & 0xff)) {
    case VFIO_EVENT_INTX:
        vfio_intx_signalled(vfio);
        break;
    case VFIO_EVENT_VECTOR:
        vfio_vector_signalled(vfio, number);
        break;
    case VFIO_EVENT_REQUEST:
        machine_post(vfio->pci.device.machine, &vfio->request_task);
        break;
    case VFIO_EVENT_ERROR: {
        bool is_gone = __atomic_load_n(&vfio->device->owner.cut, __ATOMIC_SEQ_CST);
        g_autofree char *text =
            g_strdup_printf("device %s %s: the guest can't go on", vfio_pci_name(vfio),
                            is_gone ? "was taken away: its memory is not there any more"
                                    : "had an uncorrectable error");

        machine_report_internal_error(vfio->pci.device.machine, text);
        break;
    }
    }
}

/* Under the lock, so that a descriptor which epoll gives is still watched when it is read. */
static int take_signals(struct vfio_pci *vfio, struct epoll_event taken[AT_ONCE])
{
    struct epoll_event ready[AT_ONCE];
    int count, number = 0;

    pthread_mutex_lock(&vfio->event_lock);
    count = epoll_wait(vfio->epoll, ready, AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        if (vfio_event_take((int)(uint32_t)ready[i].data.u64)) {
            taken[number++] = ready[i];
        }
    }
    pthread_mutex_unlock(&vfio->event_lock);
    return number;
}

static void on_readable(evutil_socket_t descriptor, short events, void *opaque)
{
    struct epoll_event taken[AT_ONCE];
    int count = take_signals(opaque, taken);

    for (int i = 0; i < count; i++) {
        signalled(opaque, taken[i].data.u64);
    }
}

static void add_event(void *opaque)
{
    struct vfio_pci *vfio = opaque;

    vfio->event = event_new(io_thread_base(vfio->thread), vfio->epoll, EV_READ | EV_PERSIST,
                            on_readable, vfio);
    if (vfio->event && event_add(vfio->event, NULL) < 0) {
        g_clear_pointer(&vfio->event, event_free);
    }
}

static void free_event(void *opaque)
{
    struct vfio_pci *vfio = opaque;

    g_clear_pointer(&vfio->event, event_free);
}

bool vfio_events_init(struct vfio_pci *vfio, GError **error)
{
    vfio->thread = io_thread_find(vfio->pci.device.machine, vfio->thread_id, error);
    if (!vfio->thread) {
        g_prefix_error(error, "property 'iothread': ");
        return false;
    }
    vfio->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (vfio->epoll < 0) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no descriptor for interrupts: %s",
                          g_strerror(errno));
    }
    pthread_mutex_init(&vfio->event_lock, NULL);
    io_thread_call(vfio->thread, add_event, vfio);
    if (!vfio->event) {
        pthread_mutex_destroy(&vfio->event_lock);
        close(vfio->epoll);
        return duodm_fail(error, DUODM_ERROR_FAILED, "its I/O thread takes no event");
    }
    return true;
}

void vfio_events_destroy(struct vfio_pci *vfio)
{
    io_thread_call(vfio->thread, free_event, vfio);
    pthread_mutex_destroy(&vfio->event_lock);
    close(vfio->epoll);
}
