/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82093AA IOAPIC with the EOI register of version 20h. Sections named are those of the 82093AA
 * data sheet.
 *
 * A level-triggered input sends its message once, sets Remote IRR when a local APIC took it, and
 * is looked at again when that is cleared: by the EOI broadcast, by the EOI register, or by making
 * the entry edge-triggered. Edges that arrive while the entry is masked are lost (3.2.4, bit 16).
 */
#include "dm/fdt/device-tree.h"
#include "dm/intc/ioapic.h"
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "util/trace.h"

#include <pthread.h>

#define PINS           24
#define IOAPIC_VERSION 0x20

#define IOREGSEL 0x00
#define IOWIN    0x10
#define IOEOI    0x40

#define REGISTER_ID          0x00
#define REGISTER_VERSION     0x01
#define REGISTER_ARBITRATION 0x02
#define REGISTER_ENTRIES     0x10 /* two per entry: low, high */

#define ID_MASK 0x0f000000u

/* Redirection table entry (3.2.4). */
#define ENTRY_VECTOR      0x00000000000000ffull
#define ENTRY_DELIVERY    0x0000000000000700ull
#define ENTRY_LOGICAL     0x0000000000000800ull
#define ENTRY_POLARITY    0x0000000000002000ull
#define ENTRY_REMOTE_IRR  0x0000000000004000ull
#define ENTRY_LEVEL       0x0000000000008000ull
#define ENTRY_MASKED      0x0000000000010000ull
#define ENTRY_DESTINATION 48 /* bits 63:48 become address bits 19:4 of the message */
#define ENTRY_WRITABLE                                                                             \
    (0xff00000000000000ull | ENTRY_VECTOR | ENTRY_DELIVERY | ENTRY_LOGICAL | ENTRY_POLARITY |      \
     ENTRY_LEVEL | ENTRY_MASKED)

/*
 * On a board some time goes by between an EOI and the next message of a pin that is still high.
 * Here the message would be there at the next instruction, and the code that makes the device let
 * go would never run if it is not the handler itself (a poll function that the handler thinks is
 * under way). So after that many messages in a row a pin waits.
 */
#define SUCCESSIVE_MAX 1000
#define PAUSE_NS       1000000u

struct ioapic {
    struct device device;
    uint64_t base; /* property: address of the registers */
    struct memory_region registers;
    pthread_mutex_t lock; /* leaf, above the local APICs'; guards all below */
    uint8_t select;
    uint32_t id;    /* bits 27:24 */
    uint32_t lines; /* levels of the pins */
    uint64_t entries[PINS];
    unsigned successive[PINS]; /* EOIs that found the pin high, since it was low */
    uint32_t paused;           /* pins that wait for the timer */
    struct clock_timer pause_timer;
    const struct interrupt_remapper *remapper; /* NULL: there is none */
};

/* Bits 55:48, which the 82093AA does not have, belong to remappable messages (VT-d, 5.1.2.1). */
static uint64_t writable_bits(const struct ioapic *ioapic)
{
    return ENTRY_WRITABLE | (ioapic->remapper ? 0x00ff000000000000ull : 0);
}

static bool is_level_triggered(uint64_t entry)
{
    unsigned delivery = (entry & ENTRY_DELIVERY) >> 8;

    /* Other delivery modes are treated as edge-triggered (3.2.4, bits 10:8). */
    return (entry & ENTRY_LEVEL) && (delivery == APIC_FIXED || delivery == APIC_LOWEST);
}

/* The message of an entry as it arrives. An entry is laid out so that it makes a remappable one,
 * too (VT-d, 5.1.2.1). False: it is blocked on its way. */
static bool make_message(struct ioapic *ioapic, unsigned pin, bool is_probe,
                         struct msi_message *message)
{
    const struct interrupt_remapper *remapper = ioapic->remapper;
    uint64_t entry = ioapic->entries[pin];

    *message = (struct msi_message){
        .address = APIC_DEFAULT_BASE | (entry >> ENTRY_DESTINATION) << 4 |
                   (entry & ENTRY_LOGICAL ? 1u << 2 : 0),
        .data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY)) | 1u << 14 |
                (is_level_triggered(entry) ? 1u << 15 : 0),
    };
    return !remapper ||
           remapper->remap(remapper->opaque, is_probe, &message->address, &message->data);
}

/* Send an entry's message. True if a local APIC took it. */
static bool send_message(struct ioapic *ioapic, unsigned pin)
{
    struct msi_message message;

    trace_ioapic_send(pin, ioapic->entries[pin]);
    return make_message(ioapic, pin, false, &message) &&
           apic_deliver_msi(ioapic->device.machine, message.address, message.data);
}

/* Tell an engine that has the local APICs what an entry sends. */
static void tell_engine(struct ioapic *ioapic, unsigned pin)
{
    struct machine *machine = ioapic->device.machine;
    struct msi_message message;

    if (machine->engine->set_ioapic_route) {
        bool arrives = make_message(ioapic, pin, true, &message);

        machine->engine->set_ioapic_route(machine, pin, &message,
                                          arrives && is_level_triggered(ioapic->entries[pin]));
    }
}

/* Send a level-triggered pin's message if it is due. */
static void service_level(struct ioapic *ioapic, unsigned pin)
{
    uint64_t entry = ioapic->entries[pin];

    if (is_level_triggered(entry) && (ioapic->lines & ~ioapic->paused & (1u << pin)) &&
        !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) && send_message(ioapic, pin)) {
        ioapic->entries[pin] |= ENTRY_REMOTE_IRR;
    }
}

void ioapic_set_input(void *opaque, unsigned pin, bool level)
{
    struct ioapic *ioapic = opaque;
    uint32_t bit = 1u << (pin % 32);

    if (pin >= PINS) {
        return;
    }
    pthread_mutex_lock(&ioapic->lock);
    if (!level) {
        ioapic->lines &= ~bit;
        ioapic->paused &= ~bit;
        ioapic->successive[pin] = 0;
    } else {
        bool rising = !(ioapic->lines & bit);
        uint64_t entry = ioapic->entries[pin];

        ioapic->lines |= bit;
        if (is_level_triggered(entry)) {
            service_level(ioapic, pin);
        } else if (rising && !(entry & ENTRY_MASKED)) {
            send_message(ioapic, pin);
        }
    }
    pthread_mutex_unlock(&ioapic->lock);
}

/* The guest is through with a message, and may get the pin's next. */
static void end_message(struct ioapic *ioapic, unsigned pin)
{
    uint32_t bit = 1u << pin;

    ioapic->entries[pin] &= ~ENTRY_REMOTE_IRR;
    if ((ioapic->lines & bit) && ++ioapic->successive[pin] == SUCCESSIVE_MAX) {
        ioapic->successive[pin] = 0;
        ioapic->paused |= bit;
    }
    service_level(ioapic, pin);
}

static void pause_is_over(void *opaque)
{
    struct ioapic *ioapic = opaque;

    pthread_mutex_lock(&ioapic->lock);
    ioapic->paused = 0;
    for (unsigned pin = 0; pin < PINS; pin++) {
        service_level(ioapic, pin);
    }
    pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
    struct machine_clock *clock = ioapic->device.machine->clock;
    uint32_t done = 0;
    bool pauses;

    pthread_mutex_lock(&ioapic->lock);
    for (unsigned pin = 0; pin < PINS; pin++) {
        uint64_t entry = ioapic->entries[pin];

        if ((entry & ENTRY_VECTOR) == vector && (entry & ENTRY_REMOTE_IRR)) {
            end_message(ioapic, pin);
            done |= 1u << pin;
        }
    }
    pauses = ioapic->paused != 0;
    pthread_mutex_unlock(&ioapic->lock);
    if (G_UNLIKELY(pauses) && !clock_timer_is_armed(&ioapic->pause_timer)) {
        clock_timer_arm(&ioapic->pause_timer, machine_clock_now(clock) + PAUSE_NS);
    }
    machine_tell_eoi(ioapic->device.machine, done);
    trace_ioapic_eoi(vector);
}

void ioapic_set_remapper(struct ioapic *ioapic, const struct interrupt_remapper *remapper)
{
    pthread_mutex_lock(&ioapic->lock);
    ioapic->remapper = remapper;
    pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_messages_changed(struct ioapic *ioapic)
{
    pthread_mutex_lock(&ioapic->lock);
    for (unsigned pin = 0; pin < PINS; pin++) {
        tell_engine(ioapic, pin);
        service_level(ioapic, pin); /* what was blocked may arrive now */
    }
    pthread_mutex_unlock(&ioapic->lock);
}

static uint32_t read_register(const struct ioapic *ioapic, unsigned number)
{
    unsigned pin = (number - REGISTER_ENTRIES) / 2;

    switch (number) {
    case REGISTER_ID:
    case REGISTER_ARBITRATION: /* loaded with the ID (3.2.3) */
        return ioapic->id;
    case REGISTER_VERSION:
        return (PINS - 1) << 16 | IOAPIC_VERSION;
    }
    if (number < REGISTER_ENTRIES || pin >= PINS) {
        return 0;
    }
    return (uint32_t)(number & 1 ? ioapic->entries[pin] >> 32 : ioapic->entries[pin]);
}

static void write_register(struct ioapic *ioapic, unsigned number, uint32_t value)
{
    unsigned pin = (number - REGISTER_ENTRIES) / 2;
    unsigned shift = number & 1 ? 32 : 0;
    uint64_t entry, mask;

    if (number == REGISTER_ID) {
        ioapic->id = value & ID_MASK;
        return;
    }
    if (number < REGISTER_ENTRIES || pin >= PINS) {
        return;
    }
    mask = writable_bits(ioapic) & (0xffffffffull << shift);
    entry = (ioapic->entries[pin] & ~mask) | ((uint64_t)value << shift & mask);
    if (!(entry & ENTRY_LEVEL)) {
        entry &= ~ENTRY_REMOTE_IRR; /* has a meaning for level-triggered interrupts only */
    }
    ioapic->entries[pin] = entry;
    trace_ioapic_set_entry(pin, entry);
    tell_engine(ioapic, pin);
    service_level(ioapic, pin);
}

/* Registers are 32 bits wide, 16 bytes apart. Reads give the part of the register that was asked
 * for; writes are of the register's first byte on, as only that is defined. */
static enum memory_result ioapic_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct ioapic *ioapic = opaque;
    unsigned byte = offset & 0xf;
    uint64_t whole = 0;

    pthread_mutex_lock(&ioapic->lock);
    switch (offset & ~0xfull) {
    case IOREGSEL:
        whole = ioapic->select;
        break;
    case IOWIN:
        whole = read_register(ioapic, ioapic->select);
        break;
    }
    pthread_mutex_unlock(&ioapic->lock);
    *value = byte < 4 ? whole >> (8 * byte) : 0;
    return MEMORY_OK;
}

static enum memory_result ioapic_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct ioapic *ioapic = opaque;

    switch (offset) {
    case IOREGSEL:
        pthread_mutex_lock(&ioapic->lock);
        ioapic->select = (uint8_t)value;
        pthread_mutex_unlock(&ioapic->lock);
        break;
    case IOWIN:
        pthread_mutex_lock(&ioapic->lock);
        write_register(ioapic, ioapic->select, (uint32_t)value);
        pthread_mutex_unlock(&ioapic->lock);
        break;
    case IOEOI:
        ioapic_eoi(ioapic, (uint8_t)value);
        break;
    }
    return MEMORY_OK;
}

static const struct memory_region_ops ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .valid = {1, 8, true},
    .implemented = {1, 8, true},
};

static bool ioapic_realize(struct device *device, GError **error)
{
    struct ioapic *ioapic = (struct ioapic *)device;

    pthread_mutex_init(&ioapic->lock, NULL);
    clock_timer_init(&ioapic->pause_timer, device->machine->clock, pause_is_over, ioapic, NULL);
    memory_region_init_mmio(&ioapic->registers, "ioapic", 0x1000, &ioapic_ops, ioapic, NULL);
    memory_region_add_subregion_overlap(&device->machine->system_memory, ioapic->base,
                                        &ioapic->registers, 1);
    device->machine->ioapic = ioapic;
    return true;
}

static void ioapic_unrealize(struct device *device)
{
    struct ioapic *ioapic = (struct ioapic *)device;

    device->machine->ioapic = NULL;
    clock_timer_destroy(&ioapic->pause_timer);
    memory_region_destroy(&ioapic->registers);
    pthread_mutex_destroy(&ioapic->lock);
}

/* The levels of the lines are their drivers', and stay. */
static void ioapic_reset(struct device *device)
{
    struct ioapic *ioapic = (struct ioapic *)device;

    pthread_mutex_lock(&ioapic->lock);
    ioapic->select = 0;
    ioapic->id = 0;
    ioapic->paused = 0;
    for (unsigned pin = 0; pin < PINS; pin++) {
        ioapic->entries[pin] = ENTRY_MASKED;
        ioapic->successive[pin] = 0;
        tell_engine(ioapic, pin);
    }
    pthread_mutex_unlock(&ioapic->lock);
}

static bool ioapic_after_load(void *object)
{
    struct ioapic *ioapic = object;

    for (unsigned pin = 0; pin < PINS; pin++) {
        if (ioapic->entries[pin] & ~(writable_bits(ioapic) | ENTRY_REMOTE_IRR)) {
            return false;
        }
    }
    if ((ioapic->id & ~ID_MASK) || ioapic->lines >> PINS) {
        return false;
    }
    ioapic->paused = 0; /* the lines are driven again, which sends what waited */
    for (unsigned pin = 0; pin < PINS; pin++) {
        tell_engine(ioapic, pin);
    }
    return true;
}

static const struct state_field ioapic_fields[] = {
    STATE(UINT8, ioapic, select, 1),
    STATE(UINT32, ioapic, id, 1),
    STATE(UINT32, ioapic, lines, 1),
    STATE_ARRAY(UINT64, ioapic, entries, PINS, 1),
    STATE_END,
};

static const struct state_description ioapic_state = {
    .name = "ioapic",
    .version = 1,
    .fields = ioapic_fields,
    .after_load = ioapic_after_load,
    .receives_lines = true,
};

static const struct property ioapic_properties[] = {
    {"base", PROPERTY_UINT64, offsetof(struct ioapic, base), "0xfec00000", 0, 0,
     "address of the registers"},
    PROPERTY_END,
};

static void ioapic_describe(struct device *device, struct device_tree *tree,
                            struct device_node *node)
{
    device_tree_add_ioapic(tree, ((struct ioapic *)device)->base);
}

const struct device_class ioapic_class = {
    .name = "ioapic",
    .description = "82093AA I/O APIC, 24 inputs",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct ioapic),
    .properties = ioapic_properties,
    .state = &ioapic_state,
    .realize = ioapic_realize,
    .unrealize = ioapic_unrealize,
    .reset = ioapic_reset,
    .describe = ioapic_describe,
};
