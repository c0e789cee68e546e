/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt messages: whom they address (SDM vol. 3, 11.6.2 and 11.12.10), what they do there, and
 * how IPIs and MSIs are made into them (11.6.1, 11.11).
 */
#include "dm/intc/local-apic-private.h"
#include "util/trace.h"

#define BROADCAST_XAPIC  0xffu
#define BROADCAST_X2APIC 0xffffffffu
#define FIRST_LEGAL      16

/* ICR, low half. */
#define ICR_VECTOR    0x000ffu
#define ICR_LOGICAL   0x00800u
#define ICR_ASSERT    0x04000u
#define ICR_LEVEL     0x08000u
#define ICR_SHORTHAND 18

enum icr_shorthand {
    SHORTHAND_NONE,
    SHORTHAND_SELF,
    SHORTHAND_ALL,
    SHORTHAND_OTHERS,
};

static bool is_broadcast(const struct apic_message *message)
{
    return message->destination == (message->x2apic ? BROADCAST_X2APIC : BROADCAST_XAPIC);
}

static bool matches_logical(const struct local_apic *apic, uint32_t destination)
{
    uint32_t logical = apic_logical_id(apic);

    if (apic_is_x2apic(apic)) {
        return logical >> 16 == destination >> 16 && (logical & destination & 0xffff);
    }
    logical >>= 24;
    if (destination > 0xff) {
        return false;
    }
    if (__atomic_load_n(&apic->dfr, __ATOMIC_RELAXED) >> 28 == 0xf) {
        return logical & destination; /* flat */
    }
    return logical >> 4 == destination >> 4 && (logical & destination & 0xf); /* cluster */
}

static bool is_addressed(const struct local_apic *apic, const struct apic_message *message)
{
    if (!apic_is_enabled(apic)) {
        return false;
    }
    if (is_broadcast(message)) {
        return true;
    }
    return message->logical ? matches_logical(apic, message->destination)
                            : apic_id(apic) == message->destination;
}

/* What a message does at an APIC that it addresses. True if it was taken. */
static bool accept_message(struct local_apic *apic, const struct apic_message *message)
{
    struct vcpu *vcpu = apic->vcpu;

    trace_apic_accept(vcpu->index, (unsigned)message->delivery, message->vector);
    switch (message->delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        return apic_accept_fixed(apic, message->vector, message->level_triggered);
    case APIC_EXTINT:
        if (!apic_is_software_enabled(apic)) {
            return false;
        }
        apic_accept_extint(apic);
        return true;
    case APIC_SMI:
        vcpu_signal(vcpu, VCPU_SIGNAL_SMI);
        return true;
    case APIC_NMI:
        vcpu_signal(vcpu, VCPU_SIGNAL_NMI);
        return true;
    case APIC_INIT: /* level de-assert only reloads arbitration IDs, which there are none of */
        if (!(message->deassert && message->level_triggered)) {
            vcpu_signal(vcpu, VCPU_SIGNAL_INIT);
        }
        return true;
    case APIC_STARTUP:
        __atomic_store_n(&vcpu->startup_vector, message->vector, __ATOMIC_RELEASE);
        vcpu_signal(vcpu, VCPU_SIGNAL_STARTUP);
        return true;
    case APIC_RESERVED:
        break;
    }
    return false;
}

static struct local_apic *apic_of(struct machine *machine, unsigned index)
{
    struct vcpu *vcpu = machine->vcpus[index];

    return vcpu ? vcpu->apic : NULL;
}

/* Lowest priority: the one with the lowest PPR among those that are addressed (11.6.2.4). */
static bool deliver_lowest(struct machine *machine, const struct apic_message *message)
{
    struct local_apic *lowest = NULL;
    uint32_t lowest_ppr = 0;

    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct local_apic *apic = apic_of(machine, i);

        if (apic && is_addressed(apic, message) && apic_is_software_enabled(apic)) {
            uint32_t ppr = __atomic_load_n(&apic->ppr, __ATOMIC_RELAXED) & 0xf0;

            if (!lowest || ppr < lowest_ppr) {
                lowest = apic;
                lowest_ppr = ppr;
            }
        }
    }
    return lowest && accept_message(lowest, message);
}

/* The same as a device's write; boards and the IOAPIC have destinations of 8 bits. */
static bool deliver_to_engine(struct machine *machine, const struct apic_message *message)
{
    struct msi_message msi = {
        .address = APIC_DEFAULT_BASE | (message->destination & 0xff) << 12 |
                   (message->logical ? 1u << 2 : 0),
        .data = message->vector | (uint32_t)message->delivery << 8 |
                (message->deassert ? 0 : 1u << 14) | (message->level_triggered ? 1u << 15 : 0),
    };

    return machine->engine->deliver_msi(machine, &msi);
}

bool apic_deliver(struct machine *machine, const struct apic_message *message)
{
    bool accepted = false;

    if (machine->engine_apics) {
        return machine->engine->deliver_msi && deliver_to_engine(machine, message);
    }
    if (message->delivery == APIC_LOWEST) {
        return deliver_lowest(machine, message);
    }
    /* Usually a vCPU's ID is its index. */
    if (!message->logical && message->destination < machine->vcpu_count) {
        struct local_apic *apic = apic_of(machine, message->destination);

        if (apic && is_addressed(apic, message)) {
            return accept_message(apic, message);
        }
    }
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct local_apic *apic = apic_of(machine, i);

        if (apic && is_addressed(apic, message)) {
            accepted |= accept_message(apic, message);
        }
    }
    return accepted;
}

/* Bits 63:40 are what interrupt remapping adds: bits 31:8 of an x2APIC destination. */
bool apic_deliver_msi(struct machine *machine, uint64_t address, uint32_t data)
{
    struct apic_message message = {
        .destination = (address >> 12 & 0xff) | (uint32_t)(address >> 40) << 8,
        .logical = address & 4,
        .x2apic = address >> 40 != 0,
        .level_triggered = data & 0x8000,
        .deassert = !(data & 0x4000),
        .delivery = (enum apic_delivery)(data >> 8 & 7),
        .vector = data & 0xff,
    };

    if (machine->engine_apics) {
        struct msi_message msi = {address, data};

        return machine->engine->deliver_msi && machine->engine->deliver_msi(machine, &msi);
    }
    if (message.level_triggered && message.deassert && message.delivery != APIC_INIT) {
        return true; /* the end of a level: nothing to deliver */
    }
    /* Redirection hint: to the lowest priority among the addressed (11.11.1). */
    if ((address & 8) && message.delivery == APIC_FIXED && message.logical) {
        message.delivery = APIC_LOWEST;
    }
    return apic_deliver(machine, &message);
}

/* Self, all, or all others. Duplicated IDs don't matter here. */
static void send_to_many(struct local_apic *apic, const struct apic_message *message,
                         enum icr_shorthand shorthand)
{
    struct machine *machine = apic->machine;

    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct local_apic *target = apic_of(machine, i);

        if (target && apic_is_enabled(target) && (shorthand == SHORTHAND_ALL || target != apic)) {
            accept_message(target, message);
        }
    }
}

void apic_send_ipi(struct local_apic *apic, uint32_t low, uint32_t destination)
{
    enum icr_shorthand shorthand = (enum icr_shorthand)(low >> ICR_SHORTHAND & 3);
    struct apic_message message = {
        .destination = destination,
        .logical = low & ICR_LOGICAL,
        .x2apic = apic_is_x2apic(apic),
        .delivery = (enum apic_delivery)(low >> 8 & 7),
        .vector = low & ICR_VECTOR,
    };

    if (message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST) {
        if (message.vector < FIRST_LEGAL) {
            apic_record_error(apic, ESR_SEND_ILLEGAL);
            return;
        }
    }
    /* The trigger mode counts for INIT only; all else is edge-triggered (11.6.1). */
    if (message.delivery == APIC_INIT) {
        message.level_triggered = low & ICR_LEVEL;
        message.deassert = !(low & ICR_ASSERT);
    }
    switch (shorthand) {
    case SHORTHAND_NONE:
        apic_deliver(apic->machine, &message);
        break;
    case SHORTHAND_SELF:
        accept_message(apic, &message);
        break;
    case SHORTHAND_ALL:
    case SHORTHAND_OTHERS:
        if (message.delivery == APIC_LOWEST) { /* may come back to its sender (11.6.2.4) */
            message.destination = message.x2apic ? BROADCAST_X2APIC : BROADCAST_XAPIC;
            apic_deliver(apic->machine, &message);
            break;
        }
        send_to_many(apic, &message, shorthand);
        break;
    }
}
