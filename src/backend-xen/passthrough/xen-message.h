/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interrupt message of the guest's, as Xen takes it apart (XEN_DOMCTL_bind_pt_irq). */
#ifndef DUODM_BACKEND_XEN_PASSTHROUGH_XEN_MESSAGE_H
#define DUODM_BACKEND_XEN_PASSTHROUGH_XEN_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

struct xen_message {
    uint8_t vector;
    uint32_t flags; /* XEN_DOMCTL_VMSI_X86_*, but UNMASKED */
    /* A guest that takes interrupts as event channels has chosen this physical interrupt number
     * (PIRQ) before, and writes it in place of a vector; 0: it means its local APICs. */
    uint32_t pirq;
};

/* False: the address is not that of an interrupt message, so the guest has not written it yet. */
bool xen_message_decode(uint64_t address, uint32_t data, struct xen_message *message);

#endif
