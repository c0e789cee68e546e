/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An interrupt line: one wire into the input `number` of a receiver. Setting a level calls the
 * receiver in the caller's thread, with the caller's device guard held; receivers (8259, IOAPIC,
 * local APIC) therefore lock themselves with a leaf lock and call out only to vcpu_signal or to
 * another receiver's line.
 */
#ifndef DUODM_DM_IRQ_H
#define DUODM_DM_IRQ_H

#include <stdbool.h>
#include <stddef.h>

typedef void (*irq_handler_fn)(void *opaque, unsigned number, bool level);

struct irq_line {
    irq_handler_fn handler; /* NULL: not connected */
    void *opaque;
    unsigned number;
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
    if (line->handler) {
        line->handler(line->opaque, line->number, level);
    }
}

/* A rising and a falling edge: for edge-triggered inputs. */
static inline void irq_line_pulse(const struct irq_line *line)
{
    irq_line_set(line, true);
    irq_line_set(line, false);
}

#endif
