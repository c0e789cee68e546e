/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/fdt/device-tree.h"
#include "dm/input/i8042.h"
#include "dm/machine.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM      0x04 /* self test passed */
#define STATUS_COMMAND     0x08 /* the last write was to port 64h */
#define STATUS_UNLOCKED    0x10
#define STATUS_FROM_MOUSE  0x20

/* The command byte. */
#define CONTROL_KEYBOARD_IRQ      0x01
#define CONTROL_MOUSE_IRQ         0x02
#define CONTROL_SYSTEM            0x04
#define CONTROL_KEYBOARD_DISABLED 0x10
#define CONTROL_MOUSE_DISABLED    0x20
#define CONTROL_TRANSLATE         0x40

/* The output port. */
#define OUT_NO_RESET 0x01
#define OUT_A20      0x02
#define OUT_KEYBOARD 0x10 /* output buffer full, keyboard data */
#define OUT_MOUSE    0x20

enum i8042_command {
    COMMAND_READ_RAM = 0x20,  /* to 3fh */
    COMMAND_WRITE_RAM = 0x60, /* to 7fh */
    COMMAND_MOUSE_DISABLE = 0xa7,
    COMMAND_MOUSE_ENABLE = 0xa8,
    COMMAND_MOUSE_TEST = 0xa9,
    COMMAND_SELF_TEST = 0xaa,
    COMMAND_KEYBOARD_TEST = 0xab,
    COMMAND_KEYBOARD_DISABLE = 0xad,
    COMMAND_KEYBOARD_ENABLE = 0xae,
    COMMAND_READ_INPUT_PORT = 0xc0,
    COMMAND_READ_OUTPUT_PORT = 0xd0,
    COMMAND_WRITE_OUTPUT_PORT = 0xd1,
    COMMAND_WRITE_KEYBOARD_BUFFER = 0xd2,
    COMMAND_WRITE_MOUSE_BUFFER = 0xd3,
    COMMAND_WRITE_MOUSE = 0xd4,
    COMMAND_A20_OFF = 0xdd,
    COMMAND_A20_ON = 0xdf,
    COMMAND_PULSE = 0xf0, /* to ffh: output port bits whose bit is 0 go low for 6 us */
};

/* Set 2 to set 1: F0h before a code becomes a bit in it. False: nothing is to be sent for it. */
static bool translate(struct i8042 *i8042, uint8_t *code)
{
    if (*code == 0xf0) {
        i8042->translating_break = true;
        return false;
    }
    *code = key_translate_set2(*code) | (i8042->translating_break ? 0x80 : 0);
    i8042->translating_break = false;
    return true;
}

static void update_lines(struct i8042 *i8042)
{
    bool full = i8042->status & STATUS_OUTPUT_FULL;
    bool mouse = i8042->status & STATUS_FROM_MOUSE;

    i8042->output_port &= (uint8_t) ~(OUT_KEYBOARD | OUT_MOUSE);
    if (full) {
        i8042->output_port |= mouse ? OUT_MOUSE : OUT_KEYBOARD;
    }
    irq_line_set(&i8042->irqs[0], full && !mouse && i8042->ram[0] & CONTROL_KEYBOARD_IRQ);
    irq_line_set(&i8042->irqs[1], full && mouse && i8042->ram[0] & CONTROL_MOUSE_IRQ);
}

static void fill_output(struct i8042 *i8042, uint8_t value, bool from_mouse)
{
    i8042->output = value;
    i8042->status |= STATUS_OUTPUT_FULL;
    i8042->status &= (uint8_t)~STATUS_FROM_MOUSE;
    i8042->status |= from_mouse ? STATUS_FROM_MOUSE : 0;
}

/* The next byte of the keyboard, as the guest is to see it. */
static bool take_keyboard(struct i8042 *i8042, uint8_t *byte)
{
    while (ps2_take(&i8042->keyboard, byte)) {
        if (!(i8042->ram[0] & CONTROL_TRANSLATE) || translate(i8042, byte)) {
            return true;
        }
    }
    return false;
}

/* Move the next byte to the output buffer if it is empty: the controller's own answer first, then
 * the devices whose clock is not held. */
static void advance(struct i8042 *i8042)
{
    uint8_t byte;

    if (!(i8042->status & STATUS_OUTPUT_FULL)) {
        if (i8042->has_reply) {
            i8042->has_reply = false;
            fill_output(i8042, i8042->reply, i8042->reply_from_mouse);
        } else if (!(i8042->ram[0] & CONTROL_KEYBOARD_DISABLED) && take_keyboard(i8042, &byte)) {
            fill_output(i8042, byte, false);
        } else if (!(i8042->ram[0] & CONTROL_MOUSE_DISABLED) && ps2_take(&i8042->mouse, &byte)) {
            fill_output(i8042, byte, true);
        }
    }
    update_lines(i8042);
}

/* The controller answers a command: the answer takes the place of what was in the buffer. */
static void answer(struct i8042 *i8042, uint8_t value, bool from_mouse)
{
    i8042->status &= (uint8_t)~STATUS_OUTPUT_FULL;
    i8042->has_reply = true;
    i8042->reply = value;
    i8042->reply_from_mouse = from_mouse;
    update_lines(i8042);
}

static void set_output_port(struct i8042 *i8042, uint8_t value)
{
    i8042->output_port = value | OUT_NO_RESET;
    irq_line_set(&i8042->a20, value & OUT_A20);
}

static void write_output_port(struct i8042 *i8042, uint8_t value)
{
    bool reset = !(value & OUT_NO_RESET);

    set_output_port(i8042, value);
    if (reset && i8042->pulse_reset) {
        i8042->pulse_reset(i8042->opaque);
    }
}

void i8042_power_on(struct i8042 *i8042)
{
    ps2_power_on(&i8042->keyboard, false);
    ps2_power_on(&i8042->mouse, true);
    i8042->status = STATUS_COMMAND | STATUS_UNLOCKED;
    i8042->output = 0;
    memset(i8042->ram, 0, sizeof(i8042->ram));
    i8042->ram[0] = CONTROL_KEYBOARD_DISABLED | CONTROL_MOUSE_DISABLED | CONTROL_TRANSLATE;
    set_output_port(i8042, OUT_NO_RESET | OUT_A20);
    i8042->pending = 0;
    i8042->has_reply = false;
    i8042->translating_break = false;
    update_lines(i8042);
}

uint8_t i8042_read_data(struct i8042 *i8042)
{
    uint8_t value = i8042->output;

    i8042->status &= (uint8_t)~STATUS_OUTPUT_FULL;
    update_lines(i8042); /* the line falls, so that a next byte makes an edge */
    advance(i8042);
    return value;
}

uint8_t i8042_read_status(struct i8042 *i8042)
{
    return i8042->status;
}

void i8042_write_data(struct i8042 *i8042, uint8_t value)
{
    uint8_t command = i8042->pending;

    i8042->pending = 0;
    i8042->status &= (uint8_t)~STATUS_COMMAND;
    switch (command) {
    case COMMAND_WRITE_OUTPUT_PORT:
        write_output_port(i8042, value);
        break;
    case COMMAND_WRITE_KEYBOARD_BUFFER:
        answer(i8042, value, false);
        break;
    case COMMAND_WRITE_MOUSE_BUFFER:
        answer(i8042, value, true);
        break;
    case COMMAND_WRITE_MOUSE:
        i8042->ram[0] &= (uint8_t)~CONTROL_MOUSE_DISABLED;
        ps2_receive(&i8042->mouse, value);
        break;
    case 0:
        i8042->ram[0] &= (uint8_t)~CONTROL_KEYBOARD_DISABLED;
        ps2_receive(&i8042->keyboard, value);
        break;
    default: /* write RAM */
        i8042->ram[command & (I8042_RAM_SIZE - 1)] = value;
        i8042->status &= (uint8_t)~STATUS_SYSTEM;
        i8042->status |= i8042->ram[0] & CONTROL_SYSTEM ? STATUS_SYSTEM : 0;
        break;
    }
    advance(i8042);
}

static void pulse(struct i8042 *i8042, uint8_t command)
{
    if (!(command & OUT_NO_RESET) && i8042->pulse_reset) {
        i8042->pulse_reset(i8042->opaque);
    }
}

/* Commands that say or change something at once; false: none of them. */
static bool command_at_once(struct i8042 *i8042, uint8_t command)
{
    switch (command) {
    case COMMAND_MOUSE_DISABLE:
        i8042->ram[0] |= CONTROL_MOUSE_DISABLED;
        return true;
    case COMMAND_MOUSE_ENABLE:
        i8042->ram[0] &= (uint8_t)~CONTROL_MOUSE_DISABLED;
        return true;
    case COMMAND_KEYBOARD_DISABLE:
        i8042->ram[0] |= CONTROL_KEYBOARD_DISABLED;
        return true;
    case COMMAND_KEYBOARD_ENABLE:
        i8042->ram[0] &= (uint8_t)~CONTROL_KEYBOARD_DISABLED;
        return true;
    case COMMAND_SELF_TEST:
        i8042->ram[0] |= CONTROL_SYSTEM;
        i8042->status |= STATUS_SYSTEM;
        answer(i8042, 0x55, false);
        return true;
    case COMMAND_MOUSE_TEST:
    case COMMAND_KEYBOARD_TEST:
        answer(i8042, 0, false);
        return true;
    case COMMAND_READ_INPUT_PORT:
        answer(i8042, 0x80, false); /* keyboard not locked */
        return true;
    case COMMAND_READ_OUTPUT_PORT:
        answer(i8042, i8042->output_port, false);
        return true;
    case COMMAND_A20_OFF:
        set_output_port(i8042, i8042->output_port & (uint8_t)~OUT_A20);
        return true;
    case COMMAND_A20_ON:
        set_output_port(i8042, i8042->output_port | OUT_A20);
        return true;
    default:
        return false;
    }
}

void i8042_write_command(struct i8042 *i8042, uint8_t command)
{
    i8042->status |= STATUS_COMMAND;
    i8042->pending = 0;
    if (command >= COMMAND_READ_RAM && command < COMMAND_READ_RAM + I8042_RAM_SIZE) {
        answer(i8042, i8042->ram[command & (I8042_RAM_SIZE - 1)], false);
    } else if ((command >= COMMAND_WRITE_RAM && command < COMMAND_WRITE_RAM + I8042_RAM_SIZE) ||
               (command >= COMMAND_WRITE_OUTPUT_PORT && command <= COMMAND_WRITE_MOUSE)) {
        i8042->pending = command;
    } else if (command >= COMMAND_PULSE) {
        pulse(i8042, command);
    } else if (!command_at_once(i8042, command)) {
        return; /* the controller is silent on what it does not know */
    }
    advance(i8042);
}

static enum memory_result data_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    *value = i8042_read_data(opaque);
    return MEMORY_OK;
}

static enum memory_result data_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    i8042_write_data(opaque, (uint8_t)value);
    return MEMORY_OK;
}

static enum memory_result status_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = i8042_read_status(opaque);
    return MEMORY_OK;
}

static enum memory_result command_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    i8042_write_command(opaque, (uint8_t)value);
    return MEMORY_OK;
}

static const struct memory_region_ops data_ops = {
    .read = data_read,
    .write = data_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

static const struct memory_region_ops command_ops = {
    .read = status_read,
    .write = command_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

void i8042_keyboard_event(struct i8042 *i8042, const struct input_event *event)
{
    ps2_keyboard_key(&i8042->keyboard, event->key, event->down);
    advance(i8042);
}

void i8042_mouse_event(struct i8042 *i8042, const struct input_event *event)
{
    ps2_mouse_event(&i8042->mouse, event);
}

void i8042_mouse_sync(struct i8042 *i8042)
{
    ps2_mouse_report(&i8042->mouse);
    advance(i8042);
}

static void keyboard_event(void *opaque, const struct input_event *event)
{
    i8042_keyboard_event(opaque, event);
}

static void mouse_event(void *opaque, const struct input_event *event)
{
    i8042_mouse_event(opaque, event);
}

static void mouse_sync(void *opaque)
{
    i8042_mouse_sync(opaque);
}

static void request_reset(void *opaque)
{
    machine_request_reset(opaque, true);
}

static bool i8042_realize(struct device *device, GError **error)
{
    struct i8042 *i8042 = (struct i8042 *)device;
    struct machine *machine = device->machine;

    i8042->irqs[0] = machine->gsi[1];
    i8042->irqs[1] = machine->gsi[12];
    i8042->a20 = machine->a20;
    i8042->pulse_reset = request_reset;
    i8042->opaque = machine;
    memory_region_init_mmio(&i8042->data_port, "i8042-data", 1, &data_ops, i8042, &device->guard);
    memory_region_init_mmio(&i8042->command_port, "i8042-command", 1, &command_ops, i8042,
                            &device->guard);
    memory_region_add_subregion(&machine->system_io, 0x60, &i8042->data_port);
    memory_region_add_subregion(&machine->system_io, 0x64, &i8042->command_port);
    i8042->keyboard_input = (struct input_handler){
        .name = "PS/2 keyboard",
        .kinds = INPUT_KEY,
        .guard = &device->guard,
        .event = keyboard_event,
        .opaque = i8042,
    };
    i8042->mouse_input = (struct input_handler){
        .name = "PS/2 mouse",
        .kinds = INPUT_BUTTON | INPUT_RELATIVE,
        .guard = &device->guard,
        .event = mouse_event,
        .sync = mouse_sync,
        .opaque = i8042,
    };
    input_add_handler(machine, &i8042->keyboard_input);
    input_add_handler(machine, &i8042->mouse_input);
    return true;
}

static void i8042_unrealize(struct device *device)
{
    struct i8042 *i8042 = (struct i8042 *)device;

    input_remove_handler(device->machine, &i8042->mouse_input);
    input_remove_handler(device->machine, &i8042->keyboard_input);
    memory_region_destroy(&i8042->command_port);
    memory_region_destroy(&i8042->data_port);
}

static void i8042_reset(struct device *device)
{
    i8042_power_on((struct i8042 *)device);
}

#define PS2_STATE(name_, type_, field_, count_)                                                    \
    {                                                                                              \
#name_ "." #field_, STATE_##type_, offsetof(struct i8042, name_.field_), count_, 2         \
    }
#define PS2_STATES(name_)                                                                          \
    PS2_STATE(name_, BYTES, queue, PS2_QUEUE_SIZE), PS2_STATE(name_, UINT8, head, 1),              \
        PS2_STATE(name_, UINT16, count, 1), PS2_STATE(name_, UINT8, pending, 1),                   \
        PS2_STATE(name_, UINT8, last, 1), PS2_STATE(name_, BOOL, enabled, 1)

static const struct state_field i8042_state_fields[] = {
    PS2_STATES(keyboard),
    PS2_STATE(keyboard, UINT8, scan_set, 1),
    PS2_STATE(keyboard, UINT8, leds, 1),
    PS2_STATE(keyboard, UINT8, typematic, 1),
    PS2_STATE(keyboard, BOOL, alt_down, 1),
    PS2_STATE(keyboard, BYTES, set3_break, 32),
    PS2_STATES(mouse),
    PS2_STATE(mouse, UINT8, sample_rate, 1),
    PS2_STATE(mouse, UINT8, resolution, 1),
    PS2_STATE(mouse, BOOL, scaling, 1),
    PS2_STATE(mouse, BOOL, remote, 1),
    PS2_STATE(mouse, BOOL, wrap, 1),
    PS2_STATE(mouse, UINT8, id, 1),
    PS2_STATE(mouse, BYTES, rates, 2),
    PS2_STATE(mouse, UINT8, buttons, 1),
    STATE(BOOL, i8042, translating_break, 2),
    STATE(UINT8, i8042, status, 1),
    STATE(UINT8, i8042, output, 1),
    STATE_ARRAY(BYTES, i8042, ram, I8042_RAM_SIZE, 1),
    STATE(UINT8, i8042, output_port, 1),
    STATE(UINT8, i8042, pending, 1),
    STATE(BOOL, i8042, has_reply, 1),
    STATE(BOOL, i8042, reply_from_mouse, 1),
    STATE(UINT8, i8042, reply, 1),
    STATE_END,
};

static bool i8042_after_load(void *object)
{
    struct i8042 *i8042 = object;

    return ps2_is_valid(&i8042->keyboard) && ps2_is_valid(&i8042->mouse);
}

static const struct state_description i8042_state = {
    .name = "i8042",
    .version = 2,
    .fields = i8042_state_fields,
    .after_load = i8042_after_load,
};

static void i8042_describe(struct device *device, struct device_tree *tree,
                           struct device_node *node)
{
    struct device_node *i8042 = device_tree_add_port(tree, "8042", 0x60, 1, "chrp,8042");

    device_node_set(i8042, "reg", 1, 0x60, 1, 1, 0x64, 1);
    device_node_set(i8042, "interrupts", 1, DEVICE_TREE_EDGE, 12, DEVICE_TREE_EDGE);
}

const struct device_class i8042_class = {
    .name = "i8042",
    .description = "keyboard controller with PS/2 keyboard and mouse",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct i8042),
    .state = &i8042_state,
    .realize = i8042_realize,
    .unrealize = i8042_unrealize,
    .reset = i8042_reset,
    .describe = i8042_describe,
};
