/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two 8259A interrupt controllers, the second on input 2 of the first, as in PIIX3: the trigger
 * mode is per input (ELCR), not LTIM of ICW1. Sections named are those of the 8259A data sheet.
 *
 * An edge is latched until it is acknowledged, so that a pulse counts however short it is. (The
 * data sheet asks a device to keep its line high until then; one that does sees no difference.)
 * The slave's INT is such a device, and it does take a request back when that is masked.
 */
#include "dm/fdt/device-tree.h"
#include "dm/intc/i8259.h"
#include "dm/machine.h"
#include "util/hot-path.h"
#include "util/trace.h"

#include <pthread.h>

#define INPUTS        8
#define CASCADE_INPUT 2
#define SPURIOUS      7
#define PORT_MASTER   0x20
#define PORT_SLAVE    0xa0
#define PORT_ELCR     0x4d0

#define ICW1_IC4    0x01 /* ICW4 follows */
#define ICW1_SNGL   0x02 /* not cascaded: no ICW3 */
#define ICW1_SELECT 0x10
#define ICW4_AEOI   0x02
#define ICW4_SFNM   0x10

#define OCW2_LEVEL(value)   ((value)&7)
#define OCW2_COMMAND(value) ((value) >> 5)
#define OCW3_SELECT         0x08
#define OCW3_RIS            0x01 /* read ISR, not IRR */
#define OCW3_RR             0x02
#define OCW3_POLL           0x04
#define OCW3_SMM            0x20
#define OCW3_ESMM           0x40

enum ocw2_command { /* R, SL, EOI */
                    OCW2_ROTATE_AEOI_CLEAR,
                    OCW2_EOI,
                    OCW2_NOP,
                    OCW2_SPECIFIC_EOI,
                    OCW2_ROTATE_AEOI_SET,
                    OCW2_ROTATE_EOI,
                    OCW2_SET_PRIORITY,
                    OCW2_ROTATE_SPECIFIC_EOI,
};

/* Where in the initialisation sequence a write to A0 = 1 goes. */
enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct i8259 {
    struct i8259_pair *pair;
    uint8_t lines; /* levels of the inputs */
    uint8_t elcr;  /* inputs that are level-triggered */
    uint8_t irr, isr, imr;
    uint8_t vector_base; /* ICW2 */
    uint8_t icw3;
    uint8_t init_step; /* enum init_step */
    uint8_t lowest;    /* input with the lowest priority */
    bool icw4_follows, single, auto_eoi, rotate_on_auto_eoi;
    bool special_fully_nested, special_mask;
    bool read_isr, poll;
};

struct i8259_pair {
    struct device device;
    pthread_mutex_t lock; /* leaf: guards all below, and is held while output is driven */
    struct i8259 chips[2];
    bool output_level; /* atomic; INTR of the master */
    struct irq_line output;
    struct memory_region ports[2], elcr_ports;
};

/* Inputs whose trigger mode can't be changed: 0, 1, 2, 8 and 13 are edge-triggered. */
static const uint8_t elcr_mask[2] = {0xf8, 0xde};

/* 0: highest. */
static unsigned priority_of(const struct i8259 *chip, unsigned input)
{
    return (input - chip->lowest - 1u) % INPUTS;
}

/* The input with the highest priority in a mask that is not empty. */
static unsigned highest_of(const struct i8259 *chip, uint8_t mask)
{
    unsigned input = (chip->lowest + 1u) % INPUTS;

    while (!(mask & (1u << input))) {
        input = (input + 1) % INPUTS;
    }
    return input;
}

/* In-service bits that hold others back: in special mask mode, not those that are masked. */
static uint8_t blocking_bits(const struct i8259 *chip)
{
    return chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
}

/* The request that INT signals, or -1. */
static int pending_request(const struct i8259 *chip)
{
    uint8_t requests = chip->irr & ~chip->imr, blocking = blocking_bits(chip);
    unsigned request, in_service;

    if (!requests) {
        return -1;
    }
    request = highest_of(chip, requests);
    if (!blocking) {
        return (int)request;
    }
    in_service = highest_of(chip, blocking);
    if (priority_of(chip, request) < priority_of(chip, in_service)) {
        return (int)request;
    }
    /* Special fully nested mode: the slave may interrupt again while it is in service. */
    if (request == in_service && chip->special_fully_nested && request == CASCADE_INPUT) {
        return (int)request;
    }
    return -1;
}

static void set_line(struct i8259 *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1u << input);

    if (!level) {
        chip->lines &= ~bit;
        chip->irr &= ~(bit & chip->elcr);
        return;
    }
    if ((chip->elcr & bit) || !(chip->lines & bit)) {
        chip->irr |= bit;
    }
    chip->lines |= bit;
}

/* The slave's INT falls, and takes its request back. */
static void drop_cascade(struct i8259 *master)
{
    set_line(master, CASCADE_INPUT, false);
    master->irr &= (uint8_t) ~(1u << CASCADE_INPUT);
}

/* Bring the cascade and the INTR output up to date. */
static void update_output(struct i8259_pair *pair)
{
    bool level;

    if (!pair->chips[0].single && pending_request(&pair->chips[1]) >= 0) {
        set_line(&pair->chips[0], CASCADE_INPUT, true);
    } else {
        drop_cascade(&pair->chips[0]);
    }
    level = pending_request(&pair->chips[0]) >= 0;
    if (level != pair->output_level) {
        __atomic_store_n(&pair->output_level, level, __ATOMIC_RELEASE);
        irq_line_set(&pair->output, level);
    }
}

/* What the second INTA pulse, or a poll, does to a request. */
static void take_request(struct i8259 *chip, unsigned input)
{
    uint8_t bit = (uint8_t)(1u << input);

    if (!(chip->elcr & bit)) {
        chip->irr &= ~bit;
    }
    if (!chip->auto_eoi) {
        chip->isr |= bit;
    } else if (chip->rotate_on_auto_eoi) {
        chip->lowest = (uint8_t)input;
    }
}

static uint8_t acknowledge_slave(struct i8259_pair *pair)
{
    struct i8259 *slave = &pair->chips[1];
    int request = pending_request(slave);

    if (request < 0) {
        return slave->vector_base | SPURIOUS;
    }
    take_request(slave, (unsigned)request);
    /* INT falls with the acknowledgement, so that another request is a new edge for the master. */
    drop_cascade(&pair->chips[0]);
    return slave->vector_base | (uint8_t)request;
}

uint8_t i8259_acknowledge(struct i8259_pair *pic)
{
    struct i8259 *master = &pic->chips[0];
    uint32_t done = 0; /* at once, with automatic end of interrupt */
    uint8_t vector;
    int request;

    pthread_mutex_lock(&pic->lock);
    request = pending_request(master);
    if (request < 0) {
        vector = master->vector_base | SPURIOUS;
    } else {
        take_request(master, (unsigned)request);
        if (request == CASCADE_INPUT && !master->single) {
            vector = acknowledge_slave(pic);
        } else {
            vector = master->vector_base | (uint8_t)request;
        }
        done = (master->auto_eoi ? 1u << request : 0);
    }
    update_output(pic);
    pthread_mutex_unlock(&pic->lock);
    machine_tell_eoi(pic->device.machine, done);
    trace_i8259_acknowledge(request, vector);
    return vector;
}

bool i8259_has_interrupt(struct i8259_pair *pic)
{
    return __atomic_load_n(&pic->output_level, __ATOMIC_ACQUIRE);
}

void i8259_set_input(void *pic, unsigned irq, bool level)
{
    struct i8259_pair *pair = pic;

    if (irq >= 2 * INPUTS || irq == CASCADE_INPUT) {
        return;
    }
    pthread_mutex_lock(&pair->lock);
    set_line(&pair->chips[irq / INPUTS], irq % INPUTS, level);
    update_output(pair);
    pthread_mutex_unlock(&pair->lock);
}

void i8259_set_output(struct i8259_pair *pic, struct irq_line output)
{
    pthread_mutex_lock(&pic->lock);
    pic->output = output;
    irq_line_set(&pic->output, pic->output_level);
    pthread_mutex_unlock(&pic->lock);
}

/* ICW1: the edge-sense circuit, IMR and modes are reset, input 7 gets the lowest priority. */
static void write_icw1(struct i8259 *chip, uint8_t value)
{
    chip->irr = chip->lines & chip->elcr;
    chip->isr = 0;
    chip->imr = 0;
    chip->lowest = 7;
    chip->special_mask = false;
    chip->read_isr = false;
    chip->poll = false;
    chip->auto_eoi = false;
    chip->rotate_on_auto_eoi = false;
    chip->special_fully_nested = false;
    chip->icw4_follows = value & ICW1_IC4;
    chip->single = value & ICW1_SNGL;
    chip->init_step = INIT_ICW2;
}

static void end_of_interrupt(struct i8259 *chip, bool specific, unsigned level, bool rotate)
{
    if (!specific) {
        uint8_t candidates = blocking_bits(chip);

        if (!candidates) {
            return;
        }
        level = highest_of(chip, candidates);
    }
    chip->isr &= (uint8_t) ~(1u << level);
    if (rotate) {
        chip->lowest = (uint8_t)level;
    }
}

static void write_ocw2(struct i8259 *chip, uint8_t value)
{
    unsigned level = OCW2_LEVEL(value);

    switch ((enum ocw2_command)OCW2_COMMAND(value)) {
    case OCW2_ROTATE_AEOI_CLEAR:
        chip->rotate_on_auto_eoi = false;
        break;
    case OCW2_ROTATE_AEOI_SET:
        chip->rotate_on_auto_eoi = true;
        break;
    case OCW2_EOI:
    case OCW2_ROTATE_EOI:
        end_of_interrupt(chip, false, 0, OCW2_COMMAND(value) == OCW2_ROTATE_EOI);
        break;
    case OCW2_SPECIFIC_EOI:
    case OCW2_ROTATE_SPECIFIC_EOI:
        end_of_interrupt(chip, true, level, OCW2_COMMAND(value) == OCW2_ROTATE_SPECIFIC_EOI);
        break;
    case OCW2_SET_PRIORITY:
        chip->lowest = (uint8_t)level;
        break;
    case OCW2_NOP:
        break;
    }
}

static void write_ocw3(struct i8259 *chip, uint8_t value)
{
    if (value & OCW3_ESMM) {
        chip->special_mask = value & OCW3_SMM;
    }
    if (value & OCW3_POLL) {
        chip->poll = true; /* and RR is not looked at */
    } else if (value & OCW3_RR) {
        chip->read_isr = value & OCW3_RIS;
    }
}

static void write_command(struct i8259 *chip, uint8_t value)
{
    if (value & ICW1_SELECT) {
        write_icw1(chip, value);
    } else if (value & OCW3_SELECT) {
        write_ocw3(chip, value);
    } else {
        write_ocw2(chip, value);
    }
}

/* A0 = 1: the initialisation sequence, or OCW1. */
static void write_data(struct i8259 *chip, uint8_t value)
{
    switch ((enum init_step)chip->init_step) {
    case INIT_DONE:
        chip->imr = value;
        break;
    case INIT_ICW2:
        chip->vector_base = value & 0xf8;
        chip->init_step = !chip->single ? INIT_ICW3 : (chip->icw4_follows ? INIT_ICW4 : INIT_DONE);
        break;
    case INIT_ICW3:
        chip->icw3 = value;
        chip->init_step = chip->icw4_follows ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW4:
        chip->auto_eoi = value & ICW4_AEOI;
        chip->special_fully_nested = value & ICW4_SFNM;
        chip->init_step = INIT_DONE;
        break;
    }
}

/* The read after a poll command acknowledges: bit 7 and the input's number, or zero. */
static uint8_t read_poll(struct i8259 *chip)
{
    struct i8259_pair *pair = chip->pair;
    int request = pending_request(chip);

    chip->poll = false;
    if (request < 0) {
        return 0;
    }
    take_request(chip, (unsigned)request);
    if (chip == &pair->chips[1]) {
        drop_cascade(&pair->chips[0]);
    }
    return 0x80 | (uint8_t)request;
}

static enum memory_result port_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct i8259 *chip = opaque;
    struct i8259_pair *pair = chip->pair;

    pthread_mutex_lock(&pair->lock);
    if (chip->poll) {
        *value = read_poll(chip);
        update_output(pair);
    } else if (offset & 1) {
        *value = chip->imr;
    } else {
        *value = chip->read_isr ? chip->isr : chip->irr;
    }
    pthread_mutex_unlock(&pair->lock);
    return MEMORY_OK;
}

static enum memory_result port_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct i8259 *chip = opaque;
    struct i8259_pair *pair = chip->pair;
    uint32_t done;

    pthread_mutex_lock(&pair->lock);
    done = chip->isr;
    if (offset & 1) {
        write_data(chip, (uint8_t)value);
    } else {
        write_command(chip, (uint8_t)value);
    }
    update_output(pair);
    done &= ~(uint32_t)chip->isr;
    pthread_mutex_unlock(&pair->lock);
    machine_tell_eoi(pair->device.machine, done << (chip == &pair->chips[1] ? INPUTS : 0));
    trace_i8259_write(chip == &pair->chips[1], (unsigned)offset, (unsigned)value);
    return MEMORY_OK;
}

static enum memory_result elcr_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct i8259_pair *pair = opaque;

    pthread_mutex_lock(&pair->lock);
    *value = pair->chips[offset & 1].elcr;
    pthread_mutex_unlock(&pair->lock);
    return MEMORY_OK;
}

static enum memory_result elcr_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct i8259_pair *pair = opaque;
    struct i8259 *chip = &pair->chips[offset & 1];

    pthread_mutex_lock(&pair->lock);
    chip->elcr = (uint8_t)value & elcr_mask[offset & 1];
    /* A level-triggered request is its line. */
    chip->irr = (chip->irr & ~chip->elcr) | (chip->lines & chip->elcr);
    update_output(pair);
    pthread_mutex_unlock(&pair->lock);
    return MEMORY_OK;
}

#define BYTE_ACCESS .valid = {1, 4, true}, .implemented = {1, 1, true}

static const struct memory_region_ops port_ops = {
    .read = port_read, .write = port_write, BYTE_ACCESS};
static const struct memory_region_ops elcr_ops = {
    .read = elcr_read, .write = elcr_write, BYTE_ACCESS};

static bool i8259_realize(struct device *device, GError **error)
{
    struct i8259_pair *pair = (struct i8259_pair *)device;
    struct memory_region *io = &device->machine->system_io;

    pthread_mutex_init(&pair->lock, NULL);
    pair->chips[0].pair = pair->chips[1].pair = pair;
    memory_region_init_mmio(&pair->ports[0], "i8259-master", 2, &port_ops, &pair->chips[0], NULL);
    memory_region_init_mmio(&pair->ports[1], "i8259-slave", 2, &port_ops, &pair->chips[1], NULL);
    memory_region_init_mmio(&pair->elcr_ports, "i8259-elcr", 2, &elcr_ops, pair, NULL);
    memory_region_add_subregion(io, PORT_MASTER, &pair->ports[0]);
    memory_region_add_subregion(io, PORT_SLAVE, &pair->ports[1]);
    memory_region_add_subregion(io, PORT_ELCR, &pair->elcr_ports);
    device->machine->pic = pair;
    return true;
}

static void i8259_unrealize(struct device *device)
{
    struct i8259_pair *pair = (struct i8259_pair *)device;

    device->machine->pic = NULL;
    memory_region_destroy(&pair->elcr_ports);
    memory_region_destroy(&pair->ports[1]);
    memory_region_destroy(&pair->ports[0]);
    pthread_mutex_destroy(&pair->lock);
}

/* The levels of the lines are their drivers', and stay. */
static void i8259_reset(struct device *device)
{
    struct i8259_pair *pair = (struct i8259_pair *)device;

    pthread_mutex_lock(&pair->lock);
    for (unsigned i = 0; i < 2; i++) {
        struct i8259 *chip = &pair->chips[i];
        uint8_t lines = chip->lines;

        *chip = (struct i8259){.pair = pair, .lines = lines, .lowest = 7};
    }
    update_output(pair);
    pthread_mutex_unlock(&pair->lock);
}

static bool i8259_after_load(void *object)
{
    struct i8259_pair *pair = object;

    for (unsigned i = 0; i < 2; i++) {
        if (pair->chips[i].lowest >= INPUTS || pair->chips[i].init_step > INIT_ICW4 ||
            (pair->chips[i].elcr & ~elcr_mask[i])) {
            return false;
        }
    }
    irq_line_set(&pair->output, pair->output_level);
    return true;
}

#define CHIP_STATE(i)                                                                              \
    STATE(UINT8, i8259_pair, chips[i].lines, 1), STATE(UINT8, i8259_pair, chips[i].elcr, 1),       \
        STATE(UINT8, i8259_pair, chips[i].irr, 1), STATE(UINT8, i8259_pair, chips[i].isr, 1),      \
        STATE(UINT8, i8259_pair, chips[i].imr, 1),                                                 \
        STATE(UINT8, i8259_pair, chips[i].vector_base, 1),                                         \
        STATE(UINT8, i8259_pair, chips[i].icw3, 1),                                                \
        STATE(UINT8, i8259_pair, chips[i].init_step, 1),                                           \
        STATE(UINT8, i8259_pair, chips[i].lowest, 1),                                              \
        STATE(BOOL, i8259_pair, chips[i].icw4_follows, 1),                                         \
        STATE(BOOL, i8259_pair, chips[i].single, 1),                                               \
        STATE(BOOL, i8259_pair, chips[i].auto_eoi, 1),                                             \
        STATE(BOOL, i8259_pair, chips[i].rotate_on_auto_eoi, 1),                                   \
        STATE(BOOL, i8259_pair, chips[i].special_fully_nested, 1),                                 \
        STATE(BOOL, i8259_pair, chips[i].special_mask, 1),                                         \
        STATE(BOOL, i8259_pair, chips[i].read_isr, 1), STATE(BOOL, i8259_pair, chips[i].poll, 1)

static const struct state_field i8259_fields[] = {
    CHIP_STATE(0),
    CHIP_STATE(1),
    STATE(BOOL, i8259_pair, output_level, 1),
    STATE_END,
};

static const struct state_description i8259_state = {
    .name = "i8259",
    .version = 1,
    .fields = i8259_fields,
    .after_load = i8259_after_load,
    .receives_lines = true,
};

static void i8259_describe(struct device *device, struct device_tree *tree,
                           struct device_node *node)
{
    struct device_node *pic =
        device_tree_add_port(tree, "interrupt-controller", 0x20, 2, "intel,i8259");

    device_node_set(pic, "reg", 1, 0x20, 2, 1, 0xa0, 2, 1, 0x4d0, 2);
    device_node_set_flag(pic, "interrupt-controller");
    device_node_set(pic, "#interrupt-cells", 2);
    device_node_set(pic, "#address-cells", 0);
}

const struct device_class i8259_class = {
    .name = "i8259",
    .description = "two 8259A interrupt controllers in cascade",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct i8259_pair),
    .state = &i8259_state,
    .realize = i8259_realize,
    .unrealize = i8259_unrealize,
    .reset = i8259_reset,
    .describe = i8259_describe,
};
