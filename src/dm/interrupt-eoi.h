/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who has to know that a processor is done with a level-triggered interrupt: a passed-through
 * device whose line the host masked when it rose. Told by the interrupt controllers that run here
 * (8259, IOAPIC), in the thread of the vCPU, with no lock of theirs held.
 */
#ifndef DUODM_DM_INTERRUPT_EOI_H
#define DUODM_DM_INTERRUPT_EOI_H

#include <glib.h>
#include <pthread.h>
#include <stdint.h>

struct machine;

struct interrupt_eoi {
    pthread_rwlock_t lock; /* outside of interrupt lines' locks; callbacks run within it */
    GPtrArray *listeners;  /* of struct eoi_listener, not owned */
    unsigned count;        /* atomic: of them */
};

struct eoi_listener {
    /* Of any GSI: callees look whether it is theirs. */
    void (*done)(void *opaque, unsigned gsi);
    void *opaque;
};

void interrupt_eoi_init(struct interrupt_eoi *eoi);
void interrupt_eoi_destroy(struct interrupt_eoi *eoi);

/* The listener is its owner's, who removes it before it goes. Not in a callback. */
void machine_add_eoi_listener(struct machine *machine, struct eoi_listener *listener);
/* No callback is under way when it returns. Not in a callback. */
void machine_remove_eoi_listener(struct machine *machine, struct eoi_listener *listener);
/* For interrupt controllers. gsis: a bit each. */
void machine_tell_eoi(struct machine *machine, uint32_t gsis);

#endif
