/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IA-PC HPET 1.0a. Sections named are those of that specification.
 *
 * The main counter is the machine's clock in steps of 10 ns. What the comparators matched is found
 * whenever a register is accessed (`synced`: up to which count); the main loop is woken only for
 * timers whose interrupt is enabled.
 */
#include "dm/fdt/device-tree.h"
#include "dm/timer/hpet.h"
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "util/trace.h"

#define MAX_TIMERS      32
#define COUNT_NS        10   /* HPET_PERIOD_FS */
#define SHORTEST_PERIOD 1000 /* counts; of faster interrupts some are merged */
#define NEVER           UINT64_MAX

/* Register offsets (2.3). */
#define REGISTER_CAPABILITIES  0x000
#define REGISTER_CONFIGURATION 0x010
#define REGISTER_STATUS        0x020
#define REGISTER_COUNTER       0x0f0
#define REGISTER_TIMERS        0x100 /* 20h bytes each */
#define TIMER_CONFIGURATION    0x00
#define TIMER_COMPARATOR       0x08
#define TIMER_FSB_ROUTE        0x10

#define CAPABILITIES                                                                               \
    ((uint64_t)HPET_PERIOD_FS << 32 | 0x8086u << 16 | 1u << 15 /* legacy replacement */ |          \
     1u << 13 /* 64 bits */ | 1u /* revision */)
#define CONFIGURATION_ENABLE 0x1u
#define CONFIGURATION_LEGACY 0x2u

/* Timer configuration (2.3.8). */
#define TIMER_LEVEL        0x0002u
#define TIMER_ENABLE       0x0004u
#define TIMER_PERIODIC     0x0008u
#define TIMER_PERIODIC_CAP 0x0010u
#define TIMER_SIZE_CAP     0x0020u
#define TIMER_VALUE_SET    0x0040u
#define TIMER_32BIT        0x0100u
#define TIMER_ROUTE        0x3e00u
#define TIMER_ROUTE_SHIFT  9
#define TIMER_FSB          0x4000u
#define TIMER_FSB_CAP      0x8000u
#define TIMER_WRITABLE                                                                             \
    (TIMER_LEVEL | TIMER_ENABLE | TIMER_PERIODIC | TIMER_VALUE_SET | TIMER_32BIT | TIMER_ROUTE |   \
     TIMER_FSB)
#define ROUTES 0x00ff0000u /* GSIs that a timer can use: those without an ISA device */

struct hpet {
    struct device device;
    uint64_t address; /* property "base" */
    uint8_t timer_count;
    bool msi;
    struct memory_region registers;
    struct irq_line legacy_outputs[2];
    struct clock_timer timer;

    uint64_t configuration;
    uint32_t status;
    uint64_t base_count; /* the count at base_ns, or while halted */
    uint64_t base_ns;
    uint64_t synced;                          /* matches are dealt with up to this count */
    uint32_t lines;                           /* GSIs that are held high */
    uint64_t timer_configuration[MAX_TIMERS]; /* writable bits */
    uint64_t comparator[MAX_TIMERS];
    uint64_t period[MAX_TIMERS];
    uint64_t fsb_route[MAX_TIMERS]; /* value, address << 32 */
};

static bool is_enabled(const struct hpet *hpet)
{
    return hpet->configuration & CONFIGURATION_ENABLE;
}

static uint64_t now_ns(const struct hpet *hpet)
{
    return machine_clock_now(hpet->device.machine->clock);
}

static uint64_t count_at(const struct hpet *hpet, uint64_t ns)
{
    if (!is_enabled(hpet)) {
        return hpet->base_count;
    }
    return hpet->base_count + (ns - hpet->base_ns) / COUNT_NS;
}

static uint64_t width_mask(const struct hpet *hpet, unsigned i)
{
    return hpet->timer_configuration[i] & TIMER_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* Counts from `synced` to the next match, less one: 0 is the next count. Equality now was dealt
 * with, or comes again after the counter went round. */
static uint64_t distance(const struct hpet *hpet, unsigned i)
{
    return (hpet->comparator[i] - hpet->synced - 1) & width_mask(hpet, i);
}

static unsigned gsi_of(const struct hpet *hpet, unsigned i)
{
    if ((hpet->configuration & CONFIGURATION_LEGACY) && i < 2) {
        return i ? 8 : 0;
    }
    return (hpet->timer_configuration[i] & TIMER_ROUTE) >> TIMER_ROUTE_SHIFT;
}

/* Does the timer reach its GSI at all? An unprogrammed route is no route. */
static bool has_line(const struct hpet *hpet, unsigned i)
{
    unsigned gsi = gsi_of(hpet, i);

    return gsi < MACHINE_GSI_COUNT &&
           (((hpet->configuration & CONFIGURATION_LEGACY) && i < 2) || (ROUTES >> gsi & 1));
}

/* Drive the lines of level-triggered timers. */
static void update_lines(struct hpet *hpet)
{
    uint32_t wanted = 0, changed;

    for (unsigned i = 0; i < hpet->timer_count; i++) {
        uint64_t config = hpet->timer_configuration[i];

        if (is_enabled(hpet) && (hpet->status >> i & 1) && (config & TIMER_LEVEL) &&
            (config & TIMER_ENABLE) && !(config & TIMER_FSB) && has_line(hpet, i)) {
            wanted |= 1u << gsi_of(hpet, i);
        }
    }
    changed = wanted ^ hpet->lines;
    hpet->lines = wanted;
    for (unsigned gsi = 0; gsi < MACHINE_GSI_COUNT; gsi++) {
        if (changed >> gsi & 1) {
            irq_line_set(&hpet->device.machine->gsi[gsi], wanted >> gsi & 1);
        }
    }
}

/* 2.4.3: a write of the value to the address; to the interrupt range it is an MSI. */
static void send_fsb(struct hpet *hpet, unsigned i)
{
    uint32_t address = (uint32_t)(hpet->fsb_route[i] >> 32), value = (uint32_t)hpet->fsb_route[i];

    if (address >> 20 == APIC_DEFAULT_BASE >> 20) {
        apic_deliver_msi(hpet->device.machine, address, value);
    } else {
        address_space_store(&hpet->device.machine->as_memory, address & ~3u, 4,
                            (struct memory_attributes){.from_device = true}, value);
    }
}

static void match(struct hpet *hpet, unsigned i)
{
    uint64_t config = hpet->timer_configuration[i];

    if (config & TIMER_LEVEL) {
        hpet->status |= 1u << i; /* the line follows in update_lines */
    }
    if (!(config & TIMER_ENABLE)) {
        return;
    }
    if (config & TIMER_FSB) {
        send_fsb(hpet, i);
    } else if (!(config & TIMER_LEVEL) && has_line(hpet, i)) {
        irq_line_pulse(&hpet->device.machine->gsi[gsi_of(hpet, i)]);
    }
}

/* Deal with the matches up to a count. */
static void sync_matches(struct hpet *hpet, uint64_t count)
{
    uint64_t passed = count - hpet->synced;

    if (!passed) {
        return;
    }
    for (unsigned i = 0; i < hpet->timer_count; i++) {
        uint64_t before = distance(hpet, i), period = hpet->period[i];

        if (before >= passed) {
            continue;
        }
        if ((hpet->timer_configuration[i] & TIMER_PERIODIC) && period) {
            uint64_t late = passed - 1 - before; /* counts since the first match */

            hpet->comparator[i] =
                (hpet->synced + before + 1 + (late / period + 1) * period) & width_mask(hpet, i);
        }
        match(hpet, i);
    }
    hpet->synced = count;
}

/* Wake up when the first timer with its interrupt enabled matches. */
static void arm(struct hpet *hpet, uint64_t now)
{
    uint64_t wakeup = NEVER;

    for (unsigned i = 0; is_enabled(hpet) && i < hpet->timer_count; i++) {
        uint64_t left = distance(hpet, i) + 1;

        if (!(hpet->timer_configuration[i] & TIMER_ENABLE)) {
            continue;
        }
        if ((hpet->timer_configuration[i] & TIMER_PERIODIC) && hpet->period[i] < SHORTEST_PERIOD) {
            left = MAX(left, SHORTEST_PERIOD);
        }
        /* left is 0 for a whole turn of 64 bits */
        if (left && left < (UINT64_MAX - now) / COUNT_NS) {
            uint64_t sub = (now - hpet->base_ns) % COUNT_NS;

            wakeup = MIN(wakeup, now - sub + left * COUNT_NS);
        }
    }
    clock_timer_arm(&hpet->timer, wakeup);
}

/* After a register was written, or time passed: lines and timer. */
static void update(struct hpet *hpet)
{
    uint64_t now = now_ns(hpet);

    sync_matches(hpet, count_at(hpet, now));
    update_lines(hpet);
    arm(hpet, now);
}

static void timer_fired(void *opaque)
{
    update(opaque);
}

static uint64_t timer_capabilities(const struct hpet *hpet)
{
    return (uint64_t)ROUTES << 32 | TIMER_PERIODIC_CAP | TIMER_SIZE_CAP |
           (hpet->msi ? TIMER_FSB_CAP : 0);
}

/* A register of 64 bits. Reserved ones read as zero. */
static uint64_t read_register(struct hpet *hpet, uint64_t offset)
{
    unsigned i = (unsigned)((offset - REGISTER_TIMERS) / 0x20);

    switch (offset) {
    case REGISTER_CAPABILITIES:
        return CAPABILITIES | (uint64_t)(hpet->timer_count - 1) << 8;
    case REGISTER_CONFIGURATION:
        return hpet->configuration;
    case REGISTER_STATUS:
        return hpet->status;
    case REGISTER_COUNTER:
        return count_at(hpet, now_ns(hpet));
    }
    if (offset < REGISTER_TIMERS || i >= hpet->timer_count) {
        return 0;
    }
    switch (offset % 0x20) {
    case TIMER_CONFIGURATION:
        return hpet->timer_configuration[i] | timer_capabilities(hpet);
    case TIMER_COMPARATOR:
        return hpet->comparator[i];
    case TIMER_FSB_ROUTE:
        return hpet->fsb_route[i];
    }
    return 0;
}

static void write_configuration(struct hpet *hpet, uint64_t value)
{
    uint64_t now = now_ns(hpet), changed = hpet->configuration ^ value;

    value &= CONFIGURATION_ENABLE | CONFIGURATION_LEGACY;
    if (changed & CONFIGURATION_ENABLE) {
        hpet->base_count = count_at(hpet, now); /* goes on from where it stood */
        hpet->base_ns = now;
        hpet->synced = hpet->base_count;
    }
    hpet->configuration = value;
    if (changed & CONFIGURATION_LEGACY) {
        for (unsigned i = 0; i < 2; i++) {
            irq_line_set(&hpet->legacy_outputs[i], value & CONFIGURATION_LEGACY);
        }
    }
}

static void write_timer_configuration(struct hpet *hpet, unsigned i, uint64_t value)
{
    unsigned route = (value & TIMER_ROUTE) >> TIMER_ROUTE_SHIFT;

    value &= TIMER_WRITABLE;
    if (!(ROUTES >> route & 1)) { /* read back, it tells that the route is not supported */
        value = (value & ~(uint64_t)TIMER_ROUTE) | (hpet->timer_configuration[i] & TIMER_ROUTE);
    }
    if (!hpet->msi) {
        value &= ~(uint64_t)TIMER_FSB;
    }
    if (!(value & TIMER_PERIODIC)) {
        value &= ~(uint64_t)TIMER_VALUE_SET;
    }
    if (!(value & TIMER_LEVEL)) {
        hpet->status &= ~(1u << i);
    }
    hpet->timer_configuration[i] = value;
    hpet->comparator[i] &= width_mask(hpet, i);
    hpet->period[i] &= width_mask(hpet, i);
}

/* In periodic mode a write sets the period; and the accumulator, that is the next match, if
 * VAL_SET announced it (2.3.9.2.2). */
static void write_comparator(struct hpet *hpet, unsigned i, uint64_t value, uint64_t mask)
{
    uint64_t width = width_mask(hpet, i);

    if (!(hpet->timer_configuration[i] & TIMER_PERIODIC)) {
        hpet->comparator[i] = ((hpet->comparator[i] & ~mask) | value) & width;
        hpet->period[i] = hpet->comparator[i];
        return;
    }
    if (hpet->timer_configuration[i] & TIMER_VALUE_SET) {
        hpet->comparator[i] = ((hpet->comparator[i] & ~mask) | value) & width;
        hpet->timer_configuration[i] &= ~(uint64_t)TIMER_VALUE_SET;
    }
    hpet->period[i] = ((hpet->period[i] & ~mask) | value) & width;
}

/* Write the bits of `mask` of a register of 64 bits; value is 0 elsewhere. */
static void write_register(struct hpet *hpet, uint64_t offset, uint64_t value, uint64_t mask)
{
    unsigned i = (unsigned)((offset - REGISTER_TIMERS) / 0x20);

    switch (offset) {
    case REGISTER_CONFIGURATION:
        write_configuration(hpet, (hpet->configuration & ~mask) | value);
        return;
    case REGISTER_STATUS:
        hpet->status &= ~(uint32_t)value;
        return;
    case REGISTER_COUNTER:
        if (!is_enabled(hpet)) { /* may be written only while halted (2.3.7) */
            hpet->base_count = (hpet->base_count & ~mask) | value;
            hpet->synced = hpet->base_count;
        }
        return;
    }
    if (offset < REGISTER_TIMERS || i >= hpet->timer_count) {
        return;
    }
    switch (offset % 0x20) {
    case TIMER_CONFIGURATION:
        write_timer_configuration(hpet, i, (hpet->timer_configuration[i] & ~mask) | value);
        break;
    case TIMER_COMPARATOR:
        write_comparator(hpet, i, value, mask);
        break;
    case TIMER_FSB_ROUTE:
        hpet->fsb_route[i] = (hpet->fsb_route[i] & ~mask) | value;
        break;
    }
}

static enum memory_result hpet_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct hpet *hpet = opaque;
    uint64_t number = offset & ~7ull;

    /* Only these change by themselves; the counter is read as of now. */
    if (number == REGISTER_STATUS || number >= REGISTER_TIMERS) {
        update(hpet);
    }
    *value = read_register(hpet, number) >> (8 * (offset & 7));
    return MEMORY_OK;
}

static enum memory_result hpet_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct hpet *hpet = opaque;
    unsigned shift = 8 * (offset & 7);
    uint64_t mask = (size == 8 ? UINT64_MAX : UINT32_MAX) << shift;

    trace_hpet_write(offset, size, value);
    sync_matches(hpet, count_at(hpet, now_ns(hpet)));
    write_register(hpet, offset & ~7ull, value << shift & mask, mask);
    update(hpet);
    return MEMORY_OK;
}

static const struct memory_region_ops hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .valid = {4, 8, false},
    .implemented = {4, 8, false},
};

void hpet_set_legacy_output(struct device *device, unsigned index, struct irq_line line)
{
    struct hpet *hpet = (struct hpet *)device;

    if (index < G_N_ELEMENTS(hpet->legacy_outputs)) {
        hpet->legacy_outputs[index] = line;
    }
}

static bool hpet_realize(struct device *device, GError **error)
{
    struct hpet *hpet = (struct hpet *)device;

    clock_timer_init(&hpet->timer, device->machine->clock, timer_fired, hpet, &device->guard);
    memory_region_init_mmio(&hpet->registers, "hpet", 0x1000, &hpet_ops, hpet, &device->guard);
    memory_region_add_subregion_overlap(&device->machine->system_memory, hpet->address,
                                        &hpet->registers, 1);
    return true;
}

static void hpet_unrealize(struct device *device)
{
    struct hpet *hpet = (struct hpet *)device;

    memory_region_destroy(&hpet->registers);
    clock_timer_destroy(&hpet->timer);
}

static void hpet_reset(struct device *device)
{
    struct hpet *hpet = (struct hpet *)device;

    write_configuration(hpet, 0);
    hpet->base_count = 0;
    hpet->synced = 0;
    hpet->status = 0;
    for (unsigned i = 0; i < hpet->timer_count; i++) {
        hpet->timer_configuration[i] = 0;
        hpet->comparator[i] = UINT64_MAX;
        hpet->period[i] = 0;
        hpet->fsb_route[i] = 0;
    }
    update(hpet);
}

static bool hpet_after_load(void *object)
{
    struct hpet *hpet = object;

    if ((hpet->configuration & ~(uint64_t)(CONFIGURATION_ENABLE | CONFIGURATION_LEGACY)) ||
        hpet->base_ns > now_ns(hpet) || (hpet->lines & ~(ROUTES | 0x101u))) {
        return false;
    }
    for (unsigned i = 0; i < MAX_TIMERS; i++) {
        if (hpet->timer_configuration[i] & ~(uint64_t)TIMER_WRITABLE) {
            return false;
        }
    }
    update(hpet);
    return true;
}

static const struct state_field hpet_fields[] = {
    STATE(UINT64, hpet, configuration, 1),
    STATE(UINT32, hpet, status, 1),
    STATE(UINT64, hpet, base_count, 1),
    STATE(UINT64, hpet, base_ns, 1),
    STATE(UINT64, hpet, synced, 1),
    STATE(UINT32, hpet, lines, 1),
    STATE_ARRAY(UINT64, hpet, timer_configuration, MAX_TIMERS, 1),
    STATE_ARRAY(UINT64, hpet, comparator, MAX_TIMERS, 1),
    STATE_ARRAY(UINT64, hpet, period, MAX_TIMERS, 1),
    STATE_ARRAY(UINT64, hpet, fsb_route, MAX_TIMERS, 1),
    STATE_END,
};

static const struct state_description hpet_state = {
    .name = "hpet",
    .version = 1,
    .fields = hpet_fields,
    .after_load = hpet_after_load,
    .before_save = timer_fired,
};

static const struct property hpet_properties[] = {
    {"base", PROPERTY_UINT64, offsetof(struct hpet, address), "0xfed00000", 0, 0,
     "address of the registers"},
    {"timers", PROPERTY_UINT8, offsetof(struct hpet, timer_count), "3", 3, MAX_TIMERS,
     "number of timers"},
    {"msi", PROPERTY_BOOL, offsetof(struct hpet, msi), "on", 0, 0,
     "timers can deliver their interrupts as messages"},
    PROPERTY_END,
};

static void hpet_describe(struct device *device, struct device_tree *tree, struct device_node *node)
{
    device_tree_add_memory_device(tree, "timer", ((struct hpet *)device)->address, 0x400,
                                  "intel,ce4100-hpet");
}

const struct device_class hpet_class = {
    .name = "hpet",
    .description = "high precision event timers",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct hpet),
    .properties = hpet_properties,
    .state = &hpet_state,
    .realize = hpet_realize,
    .unrealize = hpet_unrealize,
    .reset = hpet_reset,
    .describe = hpet_describe,
};
