/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/interrupt-eoi.h"
#include "dm/machine.h"

void interrupt_eoi_init(struct interrupt_eoi *eoi)
{
    pthread_rwlock_init(&eoi->lock, NULL);
    eoi->listeners = g_ptr_array_new();
}

void interrupt_eoi_destroy(struct interrupt_eoi *eoi)
{
    g_ptr_array_unref(eoi->listeners);
    pthread_rwlock_destroy(&eoi->lock);
}

static void set_count(struct interrupt_eoi *eoi)
{
    __atomic_store_n(&eoi->count, eoi->listeners->len, __ATOMIC_RELEASE);
}

void machine_add_eoi_listener(struct machine *machine, struct eoi_listener *listener)
{
    struct interrupt_eoi *eoi = &machine->eoi;

    pthread_rwlock_wrlock(&eoi->lock);
    g_ptr_array_add(eoi->listeners, listener);
    set_count(eoi);
    pthread_rwlock_unlock(&eoi->lock);
}

void machine_remove_eoi_listener(struct machine *machine, struct eoi_listener *listener)
{
    struct interrupt_eoi *eoi = &machine->eoi;

    pthread_rwlock_wrlock(&eoi->lock);
    g_ptr_array_remove(eoi->listeners, listener);
    set_count(eoi);
    pthread_rwlock_unlock(&eoi->lock);
}

static void tell(struct interrupt_eoi *eoi, unsigned gsi)
{
    for (unsigned i = 0; i < eoi->listeners->len; i++) {
        const struct eoi_listener *listener = g_ptr_array_index(eoi->listeners, i);

        listener->done(listener->opaque, gsi);
    }
}

void machine_tell_eoi(struct machine *machine, uint32_t gsis)
{
    struct interrupt_eoi *eoi = &machine->eoi;

    if (G_LIKELY(!__atomic_load_n(&eoi->count, __ATOMIC_ACQUIRE))) {
        return;
    }
    pthread_rwlock_rdlock(&eoi->lock);
    for (unsigned gsi = 0; gsis >> gsi; gsi++) {
        if (gsis >> gsi & 1) {
            tell(eoi, gsi);
        }
    }
    pthread_rwlock_unlock(&eoi->lock);
}
