/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts: Xen has the controllers; lines, links and messages go there. A call that fails could
 * only be told again and again: the domain is going away. */
#include "backend-xen/xen-machine.h"
#include "util/log.h"

#define ISA_INTERRUPTS 16

void xen_set_gsi(void *opaque, unsigned gsi, bool level)
{
    const struct xen_machine *xen = xen_of(opaque);

    if (gsi < ISA_INTERRUPTS) {
        xendevicemodel_set_isa_irq_level(xen->devices, xen->domid, (uint8_t)gsi, level);
    }
}

void xen_set_pci_pin(void *opaque, unsigned number, bool level)
{
    const struct xen_machine *xen = xen_of(opaque);

    xendevicemodel_set_pci_intx_level(xen->devices, xen->domid, 0, 0, (uint8_t)(number / 4),
                                      (uint8_t)(number % 4), level);
}

void xen_set_pci_link(struct machine *machine, unsigned link, unsigned irq)
{
    const struct xen_machine *xen = xen_of(machine);

    xendevicemodel_set_pci_link_route(xen->devices, xen->domid, (uint8_t)link, (uint8_t)irq);
}

/*
 * A message without a vector stands for a pirq, whose number is where the destination would be
 * (Xen's hvm_inject_msi). The guest gets it as an event and masks that: the entry stays as a reset
 * left it.
 */
bool xen_is_pirq_message(const struct msi_message *message)
{
    uint64_t pirq = (message->address >> 32 & 0xffffff00u) | (message->address >> 12 & 0xff);

    return (message->data & 0xff) == 0 && pirq != 0;
}

bool xen_deliver_msi(struct machine *machine, const struct msi_message *message)
{
    const struct xen_machine *xen = xen_of(machine);

    return xendevicemodel_inject_msi(xen->devices, xen->domid, message->address, message->data) ==
           0;
}
