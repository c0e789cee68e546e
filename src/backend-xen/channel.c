/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread per event channel. It sleeps in a read of its own /dev/xen/evtchn, for the domain and
 * for us: a second port of the same handle leads back to this process (xen->waker), so that pause
 * and quit are events like any other, and none can be missed.
 */
#include "backend-xen/xen-machine.h"
#include "util/spin-pause.h"
#include "util/error.h"
#include "util/log.h"
#include "util/thread.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool xen_must_leave(const struct xen_machine *xen)
{
    return __atomic_load_n(&xen->paused, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&xen->quit, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&xen->machine->vcpus_held, __ATOMIC_ACQUIRE);
}

/* A channel that can't be read any more can't be served: the domain is stuck from here on. */
static void report_broken(const struct xen_channel *channel)
{
    xen_warn(channel->xen, "%s: no events any more", channel->name);
    machine_request_exit(channel->xen->machine, 1);
}

/*
 * After an answer the next request often comes within microseconds, and to sleep and be woken takes
 * longer. So a vCPU's thread watches the slot for a while first. Its port stays masked meanwhile:
 * Xen then wakes nobody. A watch in vain has the next ones left out, 1, 3, 7 and more of them.
 */
#define MISSES_MAX 7

static bool watch(struct xen_channel *channel)
{
    gint64 end = g_get_monotonic_time() + channel->xen->poll_us;

    while (!xen_must_leave(channel->xen)) {
        if (channel->is_due(channel)) {
            return true;
        }
        if (g_get_monotonic_time() >= end) {
            return false;
        }
        spin_pause();
    }
    return false;
}

static void handle_more(struct xen_channel *channel)
{
    if (!channel->is_due || !channel->xen->poll_us) {
        return;
    }
    if (channel->skip) {
        channel->skip--;
        return;
    }
    while (watch(channel)) {
        channel->misses = 0;
        __atomic_store_n(&channel->watched, channel->watched + 1, __ATOMIC_RELAXED);
        channel->handle(channel);
    }
    channel->misses = MIN(channel->misses + 1, MISSES_MAX);
    channel->skip = (1u << channel->misses) - 1;
}

static void serve(struct xen_channel *channel)
{
    while (!xen_must_leave(channel->xen)) {
        xenevtchn_port_or_error_t port = xenevtchn_pending(channel->events);

        if (port < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                continue;
            }
            report_broken(channel);
            return;
        }
        if ((evtchn_port_t)port == channel->port) {
            channel->handle(channel);
            handle_more(channel);
        }
        xenevtchn_unmask(channel->events, (evtchn_port_t)port);
    }
}

static void *channel_thread(void *opaque)
{
    struct xen_channel *channel = opaque;
    struct xen_machine *xen = channel->xen;

    __atomic_store_n(&channel->thread_id, gettid(), __ATOMIC_RELAXED);
    pthread_mutex_lock(&xen->lock);
    while (!xen->quit) {
        if (xen_must_leave(xen)) {
            pthread_cond_wait(&xen->changed, &xen->lock);
            continue;
        }
        xen->running_count++;
        pthread_mutex_unlock(&xen->lock);
        if (channel->resumed) {
            channel->resumed(channel);
        }
        serve(channel);
        pthread_mutex_lock(&xen->lock);
        xen->running_count--;
        pthread_cond_broadcast(&xen->changed);
    }
    pthread_mutex_unlock(&xen->lock);
    return NULL;
}

/* A port of the channel's handle that xen->waker can notify. */
static bool open_wake_port(struct xen_channel *channel, GError **error)
{
    struct xen_machine *xen = channel->xen;
    xenevtchn_port_or_error_t port = xenevtchn_bind_unbound_port(channel->events, DOMID_SELF);

    if (port < 0) {
        return xen_fail(xen, error, "%s: no event channel to wake it by", channel->name);
    }
    channel->wake_port = (evtchn_port_t)port;
    port = xenevtchn_bind_interdomain(xen->waker, DOMID_SELF, channel->wake_port);
    if (port < 0) {
        return xen_fail(xen, error, "%s: no event channel to wake it by", channel->name);
    }
    channel->wake = (evtchn_port_t)port;
    return true;
}

bool xen_channel_open(struct xen_channel *channel, struct xen_machine *xen, const char *name,
                      evtchn_port_t remote, GError **error)
{
    xenevtchn_port_or_error_t port;

    channel->xen = xen;
    g_strlcpy(channel->name, name, sizeof(channel->name));
    channel->events = xenevtchn_open(NULL, 0);
    if (!channel->events) {
        return xen_fail(xen, error, "%s: cannot open /dev/xen/evtchn", name);
    }
    port = xenevtchn_bind_interdomain(channel->events, xen->domid, remote);
    if (port < 0) {
        return xen_fail(xen, error, "%s: cannot bind event channel %u", name, remote);
    }
    channel->port = (evtchn_port_t)port;
    return open_wake_port(channel, error);
}

void xen_channel_close(struct xen_channel *channel)
{
    if (channel->events) {
        xenevtchn_close(channel->events);
        channel->events = NULL;
    }
}

/* Threads. */

static bool start_thread(struct xen_channel *channel, GError **error)
{
    sigset_t signals;
    int result;

    thread_block_signals(&signals);
    result = pthread_create(&channel->thread, NULL, channel_thread, channel);
    thread_restore_signals(&signals);
    if (result) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "xen: no thread for %s: %s", channel->name,
                          g_strerror(result));
    }
    channel->has_thread = true;
    pthread_setname_np(channel->thread, channel->name);
    return true;
}

bool xen_start_threads(struct xen_machine *xen, GError **error)
{
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        if (!start_thread(&xen->vcpus[i].channel, error)) {
            return false;
        }
    }
    return start_thread(&xen->buffer_channel, error);
}

static void wake(struct xen_machine *xen, const struct xen_channel *channel)
{
    if (channel->has_thread) {
        xenevtchn_notify(xen->waker, channel->wake);
    }
}

static void wake_all(struct xen_machine *xen)
{
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        wake(xen, &xen->vcpus[i].channel);
    }
    wake(xen, &xen->buffer_channel);
}

void xen_resume(struct machine *machine)
{
    struct xen_machine *xen = xen_of(machine);

    pthread_mutex_lock(&xen->lock);
    __atomic_store_n(&xen->paused, false, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&xen->changed);
    pthread_mutex_unlock(&xen->lock);
}

void xen_pause(struct machine *machine)
{
    struct xen_machine *xen = xen_of(machine);

    pthread_mutex_lock(&xen->lock);
    __atomic_store_n(&xen->paused, true, __ATOMIC_RELEASE);
    wake_all(xen);
    while (xen->running_count) {
        pthread_cond_wait(&xen->changed, &xen->lock);
    }
    pthread_mutex_unlock(&xen->lock);
    /* Nobody saves the page: what the guest wrote before it stopped is the devices' state. */
    xen_drain_buffer(xen);
}

static void join(struct xen_channel *channel)
{
    if (channel->has_thread) {
        pthread_join(channel->thread, NULL);
        channel->has_thread = false;
    }
}

void xen_quit_threads(struct xen_machine *xen)
{
    pthread_mutex_lock(&xen->lock);
    __atomic_store_n(&xen->quit, true, __ATOMIC_RELEASE);
    wake_all(xen);
    pthread_cond_broadcast(&xen->changed);
    pthread_mutex_unlock(&xen->lock);
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        join(&xen->vcpus[i].channel);
    }
    join(&xen->buffer_channel);
}
