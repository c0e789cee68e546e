/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts of the 82540EM, and what holds them back. */
#include "dm/machine.h"
#include "dm/nic/e1000.h"

#define ITR_UNIT_NS   256u  /* 13.4.18 */
#define DELAY_UNIT_NS 1024u /* RDTR, RADV, TIDV, TADV: 13.4.30 and others */

static uint64_t now_of(const struct e1000 *nic)
{
    return machine_clock_now(nic->card.pci.device.machine->clock);
}

/* Bring the pin to what ICR and IMS say. ITR delays an interrupt, never its end. */
void e1000_update_interrupt(struct e1000 *nic)
{
    bool pending = e1000_get(nic, ICR) & e1000_get(nic, IMS);
    uint64_t interval = (uint64_t)(e1000_get(nic, ITR) & 0xffff) * ITR_UNIT_NS, now;

    if (pending && interval && !nic->card.pci.interrupt_level) {
        now = now_of(nic);
        if (now < nic->throttled_until) {
            clock_timer_arm(&nic->throttle, nic->throttled_until);
            return;
        }
        nic->throttled_until = now + interval;
    }
    pci_set_interrupt(&nic->card.pci, pending);
}

void e1000_throttle_expired(void *opaque)
{
    e1000_update_interrupt(opaque);
}

void e1000_raise(struct e1000 *nic, uint32_t causes)
{
    *e1000_at(nic, ICR) |= causes;
    e1000_update_interrupt(nic);
}

/* A delay that each event starts anew, and a limit counted from the first. */
static void delay(struct e1000 *nic, struct clock_timer *timer, uint64_t *first, unsigned each,
                  unsigned limit)
{
    uint64_t now = now_of(nic), deadline = now + (uint64_t)(each & 0xffff) * DELAY_UNIT_NS;

    *first = clock_timer_is_armed(timer) ? *first : now;
    if (limit & 0xffff) {
        deadline = MIN(deadline, *first + (uint64_t)(limit & 0xffff) * DELAY_UNIT_NS);
    }
    clock_timer_arm(timer, deadline);
}

void e1000_received(struct e1000 *nic, uint32_t causes)
{
    if (!(e1000_get(nic, RDTR) & 0xffff)) {
        causes |= ICR_RXT0;
    } else {
        delay(nic, &nic->receive_delay, &nic->receive_first, e1000_get(nic, RDTR),
              e1000_get(nic, RADV));
    }
    if (causes) {
        e1000_raise(nic, causes);
    }
}

void e1000_receive_delay_expired(void *opaque)
{
    e1000_raise(opaque, ICR_RXT0);
}

void e1000_sent(struct e1000 *nic)
{
    if (e1000_get(nic, TIDV) & 0xffff) {
        delay(nic, &nic->send_delay, &nic->send_first, e1000_get(nic, TIDV), e1000_get(nic, TADV));
    } else {
        e1000_raise(nic, ICR_TXDW);
    }
}

void e1000_send_delay_expired(void *opaque)
{
    e1000_raise(opaque, ICR_TXDW);
}

void e1000_flush_delays(struct e1000 *nic)
{
    uint32_t causes = (clock_timer_is_armed(&nic->receive_delay) ? ICR_RXT0 : 0) |
                      (clock_timer_is_armed(&nic->send_delay) ? ICR_TXDW : 0);

    clock_timer_disarm(&nic->receive_delay);
    clock_timer_disarm(&nic->send_delay);
    *e1000_at(nic, ICR) |= causes;
}
