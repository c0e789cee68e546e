/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 82093AA IOAPIC, version 20h (with EOI register), 24 inputs, at 0xfec00000. */
#ifndef DUODM_DM_INTC_IOAPIC_H
#define DUODM_DM_INTC_IOAPIC_H

#include "dm/device.h"

#define IOAPIC_DEFAULT_BASE 0xfec00000u

struct ioapic;

/* struct ioapic begins with struct device. Property "base". Maps itself when realised; sets
 * machine->ioapic. */
extern const struct device_class ioapic_class;

/* A line carries "asserted", whatever the polarity that the guest programs: the board's wiring
 * agrees with what firmware tables tell the guest. */
void ioapic_set_input(void *ioapic, unsigned pin, bool level); /* irq_handler_fn; any thread */
/* EOI broadcast of a level-triggered vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/* Who remaps the IOAPIC's messages on their way. */
struct interrupt_remapper {
    /* False: the message is blocked. is_probe: nothing is sent, and no fault recorded. Called with
     * the IOAPIC's lock held. */
    bool (*remap)(void *opaque, bool is_probe, uint64_t *address, uint32_t *data);
    void *opaque;
};
/* Before the machine runs; it must outlive the IOAPIC's interrupts. NULL: nobody. */
void ioapic_set_remapper(struct ioapic *ioapic, const struct interrupt_remapper *remapper);
/* Its messages may lead elsewhere now. Any thread, no leaf lock held. */
void ioapic_messages_changed(struct ioapic *ioapic);

#endif
