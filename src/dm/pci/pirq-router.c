/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pirq-router.h"
#include "dm/machine.h"

#include <string.h>

#define REGISTER_OFF  0x80u
#define REGISTER_IRQS 0xdef8u /* 3..7, 9..12, 14, 15 may be routed to; others are reserved */

uint8_t pirq_register_route(uint8_t value)
{
    uint8_t irq = value & 0xf;

    return !(value & REGISTER_OFF) && (REGISTER_IRQS >> irq & 1) ? irq : 0;
}

/* Drive each ISA interrupt to the OR of the sources routed to it. With the lock held. */
static void update(struct pirq_router *router)
{
    uint16_t asserted = 0, changed;

    for (unsigned i = 0; i < PIRQ_SOURCES_MAX; i++) {
        if (router->level[i] && router->route[i]) {
            asserted |= (uint16_t)(1u << router->route[i]);
        }
    }
    changed = asserted ^ router->asserted;
    router->asserted = asserted;
    for (unsigned irq = 0; irq < 16; irq++) {
        if (changed >> irq & 1) {
            irq_line_set(&router->machine->gsi[irq], asserted >> irq & 1);
        }
    }
}

void pirq_router_set_source(void *opaque, unsigned number, bool level)
{
    struct pirq_router *router = opaque;

    pthread_mutex_lock(&router->lock);
    router->level[number] = level;
    update(router);
    pthread_mutex_unlock(&router->lock);
}

void pirq_router_set_routes(struct pirq_router *router, const uint8_t *routes, unsigned count)
{
    pthread_mutex_lock(&router->lock);
    memcpy(router->route, routes, count);
    update(router);
    pthread_mutex_unlock(&router->lock);
}

void pirq_router_init(struct pirq_router *router, struct machine *machine)
{
    router->machine = machine;
    pthread_mutex_init(&router->lock, NULL);
}

void pirq_router_destroy(struct pirq_router *router)
{
    pthread_mutex_destroy(&router->lock);
}
