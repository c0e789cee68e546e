/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer.
 *
 * A counter is not counted: its state is the tick at which it was loaded, and what a read or OUT
 * shows is worked out from the ticks since. Ticks are those of the machine's clock, so nothing
 * drifts. Only rising edges of OUT0 need the main loop; everything else is found when looked at.
 */
#include "dm/fdt/device-tree.h"
#include "dm/timer/i8254.h"
#include "dm/machine.h"
#include "util/trace.h"

#include <pthread.h>

#define CHANNELS        3
#define IRQ             0
#define REFRESH_TICKS   18    /* what firmware programs channel 1 for: 15 us */
#define SHORTEST_WAKEUP 10000 /* ns; faster interrupts than this are merged */

/* Control word. */
#define CONTROL_BCD         0x01
#define CONTROL_MODE(value) ((value) >> 1 & 7)
#define CONTROL_RW(value)   ((value) >> 4 & 3)
#define CONTROL_CHANNEL(v)  ((v) >> 6)
#define READ_BACK           3
#define READ_BACK_NO_STATUS 0x10
#define READ_BACK_NO_COUNT  0x20
#define STATUS_OUT          0x80
#define STATUS_NULL_COUNT   0x40

enum rw_mode { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };

/* Port 61h. */
#define PORT_B_GATE2    0x01
#define PORT_B_WRITABLE 0x0f
#define PORT_B_REFRESH  0x10
#define PORT_B_OUT2     0x20

struct channel {
    uint8_t mode; /* 0..5 */
    uint8_t rw;   /* enum rw_mode */
    bool bcd;
    bool gate;
    uint16_t written; /* count register, as written */
    uint8_t low_byte; /* the first of two bytes */
    bool write_high, read_high;
    uint16_t latched_count;
    uint8_t latched_bytes; /* of the count, still to be read */
    bool status_latched;
    uint8_t status;

    bool loaded;    /* the counting element holds a count and, with the gate open, counts */
    bool pending;   /* `written` waits for the end of the period, or for a trigger */
    bool paused;    /* by the gate */
    bool half_low;  /* mode 3: in the low half */
    bool edge_seen; /* modes 0, 1, 4 and 5: OUT went high since it was loaded */
    uint32_t count; /* 1..65536: what was loaded */
    uint64_t base;  /* tick at which it was, in mode 3 that of the present half */
    uint64_t held;  /* paused: ticks that had passed */
};

struct i8254 {
    struct device device;
    struct memory_region ports, port_b;
    struct channel channels[CHANNELS];
    uint8_t port_b_value;
    struct clock_timer timer; /* next rising edge of OUT0 */

    pthread_mutex_t line_lock; /* leaf, above the interrupt controllers'; guards: */
    bool out0, disconnected;
};

static uint64_t ticks_of(uint64_t ns)
{
    return (uint64_t)((__uint128_t)ns * I8254_FREQUENCY / NS_PER_SECOND);
}

/* The first ns at which so many ticks have passed. */
static uint64_t ns_of(uint64_t ticks)
{
    __uint128_t ns = ((__uint128_t)ticks * NS_PER_SECOND + I8254_FREQUENCY - 1) / I8254_FREQUENCY;

    return ns >= UINT64_MAX ? UINT64_MAX - 1 : (uint64_t)ns;
}

static bool is_periodic(const struct channel *channel)
{
    return channel->mode == 2 || channel->mode == 3;
}

static bool is_triggered(const struct channel *channel)
{
    return channel->mode == 1 || channel->mode == 5;
}

/* 0 stands for the largest count. */
static uint32_t decode_count(const struct channel *channel)
{
    uint32_t value = channel->written;

    if (channel->bcd) {
        value =
            (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
        value = value ? value : 10000;
    } else if (!value) {
        value = 65536;
    }
    if (is_periodic(channel) && value < 2) {
        value = 2; /* 1 is illegal in modes 2 and 3 */
    }
    return value;
}

static uint64_t elapsed(const struct channel *channel, uint64_t tick)
{
    if (channel->paused) {
        return channel->held;
    }
    return tick > channel->base ? tick - channel->base : 0;
}

/* Ticks of the present half of mode 3. An odd count has its longer half high. */
static uint64_t half_length(const struct channel *channel)
{
    return channel->half_low ? channel->count / 2 : (channel->count + 1) / 2;
}

/* Length of the present period in mode 2, or of the half in mode 3. */
static uint64_t stretch(const struct channel *channel)
{
    return channel->mode == 3 ? half_length(channel) : channel->count;
}

static void load(struct channel *channel, uint64_t tick)
{
    channel->count = decode_count(channel);
    channel->base = tick;
    channel->held = 0;
    channel->loaded = true;
    channel->pending = false;
    channel->half_low = false;
    channel->edge_seen = false;
}

/* Modes 2 and 3: pass the ends of periods. True if OUT rose. */
static bool pass_periods(struct channel *channel, uint64_t tick)
{
    bool rose = false;

    while (elapsed(channel, tick) >= stretch(channel)) {
        if (!channel->pending && elapsed(channel, tick) >= 2ull * channel->count) {
            channel->base += elapsed(channel, tick) / channel->count * channel->count;
            rose = true;
            continue;
        }
        channel->base += stretch(channel);
        if (channel->mode == 3) {
            channel->half_low = !channel->half_low;
        }
        rose |= !channel->half_low;
        if (channel->pending) {
            channel->count = decode_count(channel);
            channel->pending = false;
        }
    }
    return rose;
}

/* Bring a channel to the present. True if OUT rose since. */
static bool channel_sync(struct channel *channel, uint64_t tick)
{
    uint64_t rise = channel->count;

    if (!channel->loaded || channel->paused) {
        return false;
    }
    if (is_periodic(channel)) {
        return pass_periods(channel, tick);
    }
    if (channel->mode >= 4) {
        rise++; /* the strobe ends */
    }
    if (channel->edge_seen || elapsed(channel, tick) < rise) {
        return false;
    }
    channel->edge_seen = true;
    return true;
}

/* Tick of the next rising edge of OUT; UINT64_MAX: none in sight. The channel is in sync. */
static uint64_t next_rise(const struct channel *channel)
{
    if (!channel->loaded || channel->paused) {
        return UINT64_MAX;
    }
    switch (channel->mode) {
    case 2:
        return channel->base + channel->count;
    case 3:
        return channel->base + half_length(channel) + (channel->half_low ? 0 : channel->count / 2);
    default:
        return channel->edge_seen ? UINT64_MAX
                                  : channel->base + channel->count + (channel->mode >= 4);
    }
}

static bool channel_out(const struct channel *channel, uint64_t tick)
{
    uint64_t passed = elapsed(channel, tick);

    if (!channel->loaded) {
        return channel->mode != 0;
    }
    switch (channel->mode) {
    case 0:
        return passed >= channel->count;
    case 1: /* low from the tick after the trigger on */
        return passed >= channel->count || tick < channel->base;
    case 2:
        return channel->paused || passed != channel->count - 1;
    case 3:
        return channel->paused || !channel->half_low;
    default:
        return passed != channel->count;
    }
}

static uint16_t channel_count(const struct channel *channel, uint64_t tick)
{
    uint32_t modulus = channel->bcd ? 10000 : 65536, value;
    uint64_t passed = elapsed(channel, tick);

    if (!channel->count) {
        return 0;
    }
    if (channel->mode == 3) {
        value = (channel->count & ~1u) - (uint32_t)(2 * passed);
    } else {
        value = channel->count + modulus - (uint32_t)(passed % modulus);
    }
    value %= modulus;
    if (channel->bcd) {
        value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
    }
    return (uint16_t)value;
}

/* OUT0 to the interrupt controllers, unless the HPET took the line. */
static void drive_irq(struct i8254 *pit, bool pulse, bool level)
{
    const struct irq_line *line = &pit->device.machine->gsi[IRQ];

    pthread_mutex_lock(&pit->line_lock);
    if (!pit->disconnected) {
        if (pulse && pit->out0) {
            irq_line_set(line, false);
            pit->out0 = false;
        }
        if (pulse && !level) {
            irq_line_set(line, true);
            irq_line_set(line, false);
        }
        if (level != pit->out0) {
            irq_line_set(line, level);
        }
    }
    pit->out0 = level;
    pthread_mutex_unlock(&pit->line_lock);
}

void i8254_set_disconnected(void *opaque, unsigned number, bool level)
{
    struct i8254 *pit = opaque;

    pthread_mutex_lock(&pit->line_lock);
    if (level != pit->disconnected) {
        pit->disconnected = level;
        irq_line_set(&pit->device.machine->gsi[IRQ], !level && pit->out0);
    }
    pthread_mutex_unlock(&pit->line_lock);
}

static uint64_t now_tick(const struct i8254 *pit)
{
    return ticks_of(machine_clock_now(pit->device.machine->clock));
}

/* Drive OUT0 as it is now, after `rose` from a sync, and wake up at its next rising edge. */
static void update_irq(struct i8254 *pit, uint64_t tick, bool rose)
{
    struct channel *channel = &pit->channels[0];
    uint64_t rise, wakeup;

    rose |= channel_sync(channel, tick);
    drive_irq(pit, rose, channel_out(channel, tick));
    rise = next_rise(channel);
    if (rise == UINT64_MAX) {
        clock_timer_disarm(&pit->timer);
        return;
    }
    wakeup = ns_of(rise);
    if (is_periodic(channel) && channel->count < ticks_of(SHORTEST_WAKEUP)) {
        wakeup = MAX(wakeup, machine_clock_now(pit->device.machine->clock) + SHORTEST_WAKEUP);
    }
    clock_timer_arm(&pit->timer, wakeup);
}

static void timer_fired(void *opaque)
{
    struct i8254 *pit = opaque;

    update_irq(pit, now_tick(pit), false);
}

static void set_gate(struct i8254 *pit, struct channel *channel, bool gate)
{
    uint64_t tick = now_tick(pit);

    if (gate == channel->gate) {
        return;
    }
    channel_sync(channel, tick);
    channel->gate = gate;
    if (is_triggered(channel)) {
        if (gate && (channel->loaded || channel->pending)) {
            load(channel, tick + 1);
        }
    } else if (!gate) {
        channel->held = elapsed(channel, tick);
        channel->paused = true;
    } else {
        channel->paused = false;
        channel->base = tick - MIN(tick, channel->held);
        if (is_periodic(channel) && channel->loaded) {
            load(channel, tick + 1);
        }
    }
}

/* A whole count was written. */
static void write_count(struct channel *channel, uint16_t value, uint64_t tick)
{
    channel->written = value;
    if (is_triggered(channel)) {
        channel->pending = true; /* until the trigger */
    } else if (is_periodic(channel) && channel->loaded && !channel->paused) {
        channel->pending = true; /* until the end of the period */
    } else {
        load(channel, tick + 1); /* with the next tick */
        channel->paused = !channel->gate;
    }
}

static void write_counter(struct channel *channel, uint8_t value, uint64_t tick)
{
    switch ((enum rw_mode)channel->rw) {
    case RW_LOW:
        write_count(channel, value, tick);
        break;
    case RW_HIGH:
        write_count(channel, (uint16_t)(value << 8), tick);
        break;
    default:
        if (channel->write_high) {
            channel->write_high = false;
            write_count(channel, (uint16_t)(value << 8 | channel->low_byte), tick);
        } else {
            channel->write_high = true;
            channel->low_byte = value;
            if (channel->mode == 0) {
                channel->loaded = false; /* the first byte stops mode 0 and sets OUT low */
            }
        }
        break;
    }
}

static void latch_count(struct channel *channel, uint64_t tick)
{
    if (!channel->latched_bytes) {
        channel->latched_count = channel_count(channel, tick);
        channel->latched_bytes = channel->rw == RW_BOTH ? 2 : 1;
    }
}

static void latch_status(struct channel *channel, uint64_t tick)
{
    bool null_count = channel->pending || !channel->loaded || tick < channel->base;

    if (channel->status_latched) {
        return;
    }
    channel->status = (uint8_t)((channel_out(channel, tick) ? STATUS_OUT : 0) |
                                (null_count ? STATUS_NULL_COUNT : 0) | channel->rw << 4 |
                                channel->mode << 1 | channel->bcd);
    channel->status_latched = true;
}

static void read_back(struct i8254 *pit, uint8_t value, uint64_t tick)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!(value & (2u << i))) {
            continue;
        }
        if (!(value & READ_BACK_NO_COUNT)) {
            latch_count(&pit->channels[i], tick);
        }
        if (!(value & READ_BACK_NO_STATUS)) {
            latch_status(&pit->channels[i], tick);
        }
    }
}

static void write_control(struct i8254 *pit, uint8_t value, uint64_t tick)
{
    struct channel *channel;

    if (CONTROL_CHANNEL(value) == READ_BACK) {
        read_back(pit, value, tick);
        return;
    }
    channel = &pit->channels[CONTROL_CHANNEL(value)];
    if (CONTROL_RW(value) == RW_LATCH) {
        latch_count(channel, tick);
        return;
    }
    channel->rw = CONTROL_RW(value);
    channel->mode = CONTROL_MODE(value) > 5 ? CONTROL_MODE(value) - 4 : CONTROL_MODE(value);
    channel->bcd = value & CONTROL_BCD;
    channel->write_high = false;
    channel->read_high = false;
    channel->latched_bytes = 0;
    channel->status_latched = false;
    channel->loaded = false;
    channel->pending = false;
    channel->paused = !channel->gate && !is_triggered(channel);
    channel->held = 0;
}

static uint8_t read_counter(struct channel *channel, uint64_t tick)
{
    uint16_t value = channel->latched_bytes ? channel->latched_count : channel_count(channel, tick);
    bool high;

    if (channel->status_latched) {
        channel->status_latched = false;
        return channel->status;
    }
    if (channel->latched_bytes) {
        channel->latched_bytes--;
    }
    high = channel->rw == RW_HIGH || (channel->rw == RW_BOTH && channel->read_high);
    if (channel->rw == RW_BOTH) {
        channel->read_high = !channel->read_high;
    }
    return (uint8_t)(high ? value >> 8 : value);
}

/* All channels brought to the present. True if OUT0 rose. */
static bool sync_all(struct i8254 *pit, uint64_t tick)
{
    channel_sync(&pit->channels[1], tick);
    channel_sync(&pit->channels[2], tick);
    return channel_sync(&pit->channels[0], tick);
}

static enum memory_result i8254_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    struct i8254 *pit = opaque;
    uint64_t tick = now_tick(pit);
    bool rose = sync_all(pit, tick);

    *value = 0; /* the control word can't be read */
    if (offset < CHANNELS) {
        *value = read_counter(&pit->channels[offset], tick);
    }
    update_irq(pit, tick, rose);
    return MEMORY_OK;
}

static enum memory_result i8254_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct i8254 *pit = opaque;
    uint64_t tick = now_tick(pit);
    bool rose = sync_all(pit, tick);

    trace_i8254_write((unsigned)offset, (unsigned)value);
    if (offset < CHANNELS) {
        write_counter(&pit->channels[offset], (uint8_t)value, tick);
    } else {
        write_control(pit, (uint8_t)value, tick);
    }
    update_irq(pit, tick, rose);
    return MEMORY_OK;
}

static enum memory_result port_b_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct i8254 *pit = opaque;
    uint64_t tick = now_tick(pit);

    channel_sync(&pit->channels[2], tick);
    *value = pit->port_b_value;
    if (tick / REFRESH_TICKS & 1) {
        *value |= PORT_B_REFRESH;
    }
    if (channel_out(&pit->channels[2], tick)) {
        *value |= PORT_B_OUT2;
    }
    return MEMORY_OK;
}

static enum memory_result port_b_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct i8254 *pit = opaque;

    pit->port_b_value = value & PORT_B_WRITABLE;
    set_gate(pit, &pit->channels[2], value & PORT_B_GATE2);
    return MEMORY_OK;
}

static const struct memory_region_ops i8254_ops = {
    .read = i8254_read,
    .write = i8254_write,
    .valid = {1, 4, true},
    .implemented = {1, 1, true},
};

static const struct memory_region_ops port_b_ops = {
    .read = port_b_read,
    .write = port_b_write,
    .valid = {1, 4, true},
    .implemented = {1, 1, true},
};

static bool i8254_realize(struct device *device, GError **error)
{
    struct i8254 *pit = (struct i8254 *)device;
    struct memory_region *io = &device->machine->system_io;

    pthread_mutex_init(&pit->line_lock, NULL);
    clock_timer_init(&pit->timer, device->machine->clock, timer_fired, pit, &device->guard);
    memory_region_init_mmio(&pit->ports, "i8254", 4, &i8254_ops, pit, &device->guard);
    memory_region_init_mmio(&pit->port_b, "port-61", 1, &port_b_ops, pit, &device->guard);
    memory_region_add_subregion(io, 0x40, &pit->ports);
    memory_region_add_subregion(io, 0x61, &pit->port_b);
    return true;
}

static void i8254_unrealize(struct device *device)
{
    struct i8254 *pit = (struct i8254 *)device;

    memory_region_destroy(&pit->port_b);
    memory_region_destroy(&pit->ports);
    clock_timer_destroy(&pit->timer);
    pthread_mutex_destroy(&pit->line_lock);
}

/* What the 8254 does before it is programmed is not defined: here it does nothing. */
static void i8254_reset(struct device *device)
{
    struct i8254 *pit = (struct i8254 *)device;

    for (unsigned i = 0; i < CHANNELS; i++) {
        pit->channels[i] = (struct channel){.rw = RW_BOTH, .gate = i != 2, .paused = i == 2};
    }
    pit->port_b_value = 0;
    update_irq(pit, now_tick(pit), false);
}

static bool i8254_after_load(void *object)
{
    struct i8254 *pit = object;

    for (unsigned i = 0; i < CHANNELS; i++) {
        const struct channel *channel = &pit->channels[i];

        if (channel->mode > 5 || channel->rw < RW_LOW || channel->rw > RW_BOTH ||
            channel->latched_bytes > 2 || channel->count > 65536 ||
            (channel->loaded && channel->count < (is_periodic(channel) ? 2 : 1)) ||
            channel->base > UINT64_MAX / 2 || channel->held > UINT64_MAX / 2) {
            return false;
        }
    }
    update_irq(pit, now_tick(pit), false);
    return true;
}

#define CHANNEL_STATE(i)                                                                           \
    STATE(UINT8, i8254, channels[i].mode, 1), STATE(UINT8, i8254, channels[i].rw, 1),              \
        STATE(BOOL, i8254, channels[i].bcd, 1), STATE(BOOL, i8254, channels[i].gate, 1),           \
        STATE(UINT16, i8254, channels[i].written, 1),                                              \
        STATE(UINT8, i8254, channels[i].low_byte, 1),                                              \
        STATE(BOOL, i8254, channels[i].write_high, 1),                                             \
        STATE(BOOL, i8254, channels[i].read_high, 1),                                              \
        STATE(UINT16, i8254, channels[i].latched_count, 1),                                        \
        STATE(UINT8, i8254, channels[i].latched_bytes, 1),                                         \
        STATE(BOOL, i8254, channels[i].status_latched, 1),                                         \
        STATE(UINT8, i8254, channels[i].status, 1), STATE(BOOL, i8254, channels[i].loaded, 1),     \
        STATE(BOOL, i8254, channels[i].pending, 1), STATE(BOOL, i8254, channels[i].paused, 1),     \
        STATE(BOOL, i8254, channels[i].half_low, 1), STATE(BOOL, i8254, channels[i].edge_seen, 1), \
        STATE(UINT32, i8254, channels[i].count, 1), STATE(UINT64, i8254, channels[i].base, 1),     \
        STATE(UINT64, i8254, channels[i].held, 1)

static const struct state_field i8254_fields[] = {
    CHANNEL_STATE(0),
    CHANNEL_STATE(1),
    CHANNEL_STATE(2),
    STATE(UINT8, i8254, port_b_value, 1),
    STATE(BOOL, i8254, out0, 1),
    STATE(BOOL, i8254, disconnected, 1),
    STATE_END,
};

static const struct state_description i8254_state = {
    .name = "i8254",
    .version = 1,
    .fields = i8254_fields,
    .after_load = i8254_after_load,
    .before_save = timer_fired,
};

static void i8254_describe(struct device *device, struct device_tree *tree,
                           struct device_node *node)
{
    struct device_node *timer = device_tree_add_port(tree, "timer", 0x40, 4, "pnpPNP,100");

    device_node_set(timer, "reg", 1, 0x40, 4, 1, 0x61, 1);
    device_node_set(timer, "clock-frequency", I8254_FREQUENCY);
    device_node_set(timer, "interrupts", 2, DEVICE_TREE_EDGE); /* input 2 of the IOAPIC */
}

const struct device_class i8254_class = {
    .name = "i8254",
    .description = "8254 programmable interval timer",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct i8254),
    .state = &i8254_state,
    .realize = i8254_realize,
    .unrealize = i8254_unrealize,
    .reset = i8254_reset,
    .describe = i8254_describe,
};
