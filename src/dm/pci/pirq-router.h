/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How an ISA bridge routes PCI's interrupt lines (PIRQ), and the SCI, to ISA interrupts: by one
 * register each, the same in PIIX3 (Intel 290550, 2.2.12) and ICH9 (Intel 316972, 13.1.17). Each
 * ISA interrupt is the OR of the sources that are routed to it.
 */
#ifndef DUODM_DM_PCI_PIRQ_ROUTER_H
#define DUODM_DM_PCI_PIRQ_ROUTER_H

#include "dm/pci/pci.h"

#include <pthread.h>

#define PIRQ_REGISTER_DEFAULT 0x80u /* not routed */
#define PIRQ_REGISTER_MASK    0x8fu
#define PIRQ_SOURCES_MAX      (PCI_LINES + 1)

struct pirq_router {
    struct machine *machine;
    pthread_mutex_t lock;         /* leaf but for the interrupt controllers; of the fields below */
    bool level[PIRQ_SOURCES_MAX]; /* what each source drives */
    uint8_t route[PIRQ_SOURCES_MAX]; /* ISA interrupt; 0: none */
    uint16_t asserted;               /* ISA interrupts that are driven high */
};

void pirq_router_init(struct pirq_router *router, struct machine *machine);
void pirq_router_destroy(struct pirq_router *router);
/* The ISA interrupt that a register's value routes to; 0: none. */
uint8_t pirq_register_route(uint8_t value);
/* Where the first `count` sources lead to. */
void pirq_router_set_routes(struct pirq_router *router, const uint8_t *routes, unsigned count);
/* irq_handler_fn: opaque is the router, number the source. */
void pirq_router_set_source(void *opaque, unsigned number, bool level);

#endif
