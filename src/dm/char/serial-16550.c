/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The line is as fast as its chardev: a character leaves at once unless the peer is slow, and then
 * THRE stays clear. Only the receiver's time-out goes by the baud rate. Section numbers are those
 * of the PC16550D datasheet (June 1995).
 */
#include "dm/fdt/device-tree.h"
#include "dm/char/serial-16550.h"
#include "dm/machine.h"
#include "util/error.h"

#include <string.h>

enum serial_register {
    RBR_THR, /* DLL with LCR.DLAB */
    IER,     /* DLM with LCR.DLAB */
    IIR_FCR,
    LCR,
    MCR,
    LSR,
    MSR,
    SCR,
};

/* 8.8 Interrupt enable. */
#define IER_RECEIVED     0x01
#define IER_THR_EMPTY    0x02
#define IER_LINE_STATUS  0x04
#define IER_MODEM_STATUS 0x08
/* 8.5 Interrupt identification. */
#define IIR_NONE         0x01
#define IIR_MODEM_STATUS 0x00
#define IIR_THR_EMPTY    0x02
#define IIR_RECEIVED     0x04
#define IIR_LINE_STATUS  0x06
#define IIR_TIMEOUT      0x0c
#define IIR_FIFOS        0xc0
/* 8.4 FIFO control. */
#define FCR_ENABLE  0x01
#define FCR_CLEAR_R 0x02
#define FCR_CLEAR_T 0x04
#define FCR_KEPT    0xc9 /* trigger, DMA mode, enable */
/* 8.1 Line control. */
#define LCR_PARITY 0x08
#define LCR_STOP   0x04
#define LCR_BREAK  0x40
#define LCR_DLAB   0x80
/* 8.3 Line status. */
#define LSR_DATA_READY    0x01
#define LSR_OVERRUN       0x02
#define LSR_FRAMING       0x08
#define LSR_BREAK         0x10
#define LSR_ERRORS        0x1e
#define LSR_THR_EMPTY     0x20
#define LSR_IDLE          0x40
#define LSR_ERROR_IN_FIFO 0x80
/* 8.6 Modem control, 8.7 modem status. */
#define MCR_DTR      0x01
#define MCR_RTS      0x02
#define MCR_OUT1     0x04
#define MCR_OUT2     0x08
#define MCR_LOOPBACK 0x10
#define MSR_DELTAS   0x0f
#define MSR_TERI     0x04
#define MSR_CTS      0x10
#define MSR_DSR      0x20
#define MSR_RI       0x40
#define MSR_DCD      0x80

#define BAUD_CLOCK      115200u /* 1.8432 MHz / 16 */
#define DEFAULT_DIVISOR 12u     /* 9600 baud */
#define AUTOMATIC       UINT32_MAX

static const struct {
    uint16_t iobase;
    uint8_t irq;
} port_table[SERIAL_MAX] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

static bool fifo_enabled(const struct serial_16550 *serial)
{
    return serial->fcr & FCR_ENABLE;
}

static unsigned rx_capacity(const struct serial_16550 *serial)
{
    return fifo_enabled(serial) ? SERIAL_FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct serial_16550 *serial)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return fifo_enabled(serial) ? levels[serial->fcr >> 6] : 1;
}

/* Time of one character on the line: start, data, parity and stop bits. */
static uint64_t character_time(const struct serial_16550 *serial)
{
    unsigned bits =
        1 + 5 + (serial->lcr & 3) + !!(serial->lcr & LCR_PARITY) + (serial->lcr & LCR_STOP ? 2 : 1);
    uint64_t divisor = serial->divisor ? serial->divisor : 1;

    return NS_PER_SECOND * divisor * bits / BAUD_CLOCK;
}

static uint8_t interrupt_id(const struct serial_16550 *serial)
{
    if ((serial->ier & IER_LINE_STATUS) && (serial->lsr_errors & LSR_ERRORS)) {
        return IIR_LINE_STATUS;
    }
    if ((serial->ier & IER_RECEIVED) && serial->rx_count >= rx_trigger(serial)) {
        return IIR_RECEIVED;
    }
    if ((serial->ier & IER_RECEIVED) && serial->timeout_pending) {
        return IIR_TIMEOUT;
    }
    if ((serial->ier & IER_THR_EMPTY) && serial->thre_pending) {
        return IIR_THR_EMPTY;
    }
    if ((serial->ier & IER_MODEM_STATUS) && (serial->msr & MSR_DELTAS)) {
        return IIR_MODEM_STATUS;
    }
    return IIR_NONE;
}

static void update_interrupt(struct serial_16550 *serial)
{
    bool level = interrupt_id(serial) != IIR_NONE;

    /* Into the kernel's controllers it is a system call, and registers are accessed often. */
    if (level != serial->irq_level) {
        serial->irq_level = level;
        irq_line_set(&serial->device.machine->gsi[serial->irq], level);
    }
}

/* 8.3: errors belong to the character at the head of the FIFO, and show when it gets there. */
static void show_head_errors(struct serial_16550 *serial)
{
    if (serial->rx_count) {
        serial->lsr_errors |= serial->rx_errors[serial->rx_start];
        serial->rx_errors[serial->rx_start] = 0;
    }
}

/* 8.4 and "FIFO interrupt mode operation": four character times without any traffic. */
static void restart_timeout(struct serial_16550 *serial)
{
    serial->timeout_pending = false;
    if (fifo_enabled(serial) && serial->rx_count) {
        clock_timer_arm(&serial->timeout, machine_clock_now(serial->device.machine->clock) +
                                              4 * character_time(serial));
    } else {
        clock_timer_disarm(&serial->timeout);
    }
}

static void timeout_passed(void *opaque)
{
    struct serial_16550 *serial = opaque;

    serial->timeout_pending = serial->rx_count > 0;
    update_interrupt(serial);
}

static void receive_character(struct serial_16550 *serial, uint8_t character, uint8_t errors)
{
    unsigned slot;

    if (serial->rx_count == rx_capacity(serial)) {
        serial->lsr_errors |= LSR_OVERRUN;
        if (fifo_enabled(serial)) {
            return; /* only the shift register is overwritten */
        }
        serial->rx_count = 0;
    }
    slot = (serial->rx_start + serial->rx_count) % SERIAL_FIFO_SIZE;
    serial->rx_data[slot] = character;
    serial->rx_errors[slot] = errors;
    serial->rx_count++;
    show_head_errors(serial);
    restart_timeout(serial);
}

/* There is room again after the chardev was told that there was none. */
static void unblock_input(struct serial_16550 *serial)
{
    if (serial->input_blocked) {
        serial->input_blocked = false;
        chardev_accept_input(&serial->frontend);
    }
}

static void clear_rx(struct serial_16550 *serial)
{
    serial->rx_count = 0;
    serial->rx_start = 0;
    restart_timeout(serial);
    unblock_input(serial);
}

/* Give the chardev what it takes. When all has gone THR is empty, which is an event. */
static void transmit(struct serial_16550 *serial)
{
    size_t sent = chardev_write(&serial->frontend, serial->tx_data, serial->tx_count);

    memmove(serial->tx_data, serial->tx_data + sent, serial->tx_count - sent);
    serial->tx_count -= (uint8_t)sent;
    if (serial->tx_count == 0) {
        serial->thre_pending = true;
    }
}

static void write_thr(struct serial_16550 *serial, uint8_t value)
{
    unsigned capacity = fifo_enabled(serial) ? SERIAL_FIFO_SIZE : 1;

    serial->thre_pending = false;
    update_interrupt(serial); /* the coming interrupt is a new edge */
    if (serial->mcr & MCR_LOOPBACK) {
        receive_character(serial, value, 0);
        serial->thre_pending = true;
        return;
    }
    if (serial->tx_count >= capacity) {
        serial->tx_count = (uint8_t)(capacity - 1); /* overwrites the last: a driver's mistake */
    }
    serial->tx_data[serial->tx_count++] = value;
    transmit(serial);
}

static uint8_t read_rbr(struct serial_16550 *serial)
{
    uint8_t value = serial->rx_data[serial->rx_start];

    if (serial->rx_count) {
        serial->rx_start = (uint8_t)((serial->rx_start + 1) % SERIAL_FIFO_SIZE);
        serial->rx_count--;
        show_head_errors(serial);
        restart_timeout(serial);
        unblock_input(serial);
    }
    return value;
}

static void write_ier(struct serial_16550 *serial, uint8_t value)
{
    bool enables = (value & IER_THR_EMPTY) && !(serial->ier & IER_THR_EMPTY);

    serial->ier = value & 0x0f;
    if (enables && serial->tx_count == 0) {
        serial->thre_pending = true;
    }
}

static void write_fcr(struct serial_16550 *serial, uint8_t value)
{
    bool toggles = (value ^ serial->fcr) & FCR_ENABLE;

    if (!(value & FCR_ENABLE)) {
        value = 0; /* 8.4: other bits are only programmed together with bit 0 */
    }
    serial->fcr = value & FCR_KEPT;
    if (toggles || (value & FCR_CLEAR_R)) {
        clear_rx(serial);
    }
    if ((toggles || (value & FCR_CLEAR_T)) && serial->tx_count) {
        serial->tx_count = 0;
        serial->thre_pending = true;
    }
}

static void write_lcr(struct serial_16550 *serial, uint8_t value)
{
    bool starts_break = (value & LCR_BREAK) && !(serial->lcr & LCR_BREAK);

    serial->lcr = value;
    if (starts_break && (serial->mcr & MCR_LOOPBACK)) {
        receive_character(serial, 0, LSR_BREAK | LSR_FRAMING);
    }
}

/* The modem's lines: those of a modem that is always ready, or our own outputs in loopback. */
static uint8_t modem_lines(const struct serial_16550 *serial)
{
    if (!(serial->mcr & MCR_LOOPBACK)) {
        return MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return (uint8_t)((serial->mcr & MCR_RTS ? MSR_CTS : 0) | (serial->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (serial->mcr & MCR_OUT1 ? MSR_RI : 0) |
                     (serial->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem_status(struct serial_16550 *serial)
{
    uint8_t lines = modem_lines(serial);
    uint8_t changed = (uint8_t)((lines ^ serial->msr) & ~MSR_DELTAS);

    if (!(changed & MSR_RI) || (lines & MSR_RI)) {
        changed &= (uint8_t)~MSR_RI; /* TERI is the trailing edge only */
    }
    serial->msr = (uint8_t)(lines | (serial->msr & MSR_DELTAS) | changed >> 4);
}

static void write_mcr(struct serial_16550 *serial, uint8_t value)
{
    serial->mcr = value & 0x1f;
    update_modem_status(serial);
    if (!(serial->mcr & MCR_LOOPBACK)) {
        unblock_input(serial);
    }
}

static uint8_t read_iir(struct serial_16550 *serial)
{
    uint8_t id = interrupt_id(serial);

    if (id == IIR_THR_EMPTY) {
        serial->thre_pending = false; /* 8.5: reading IIR, if it is the source, clears it */
    }
    return id | (fifo_enabled(serial) ? IIR_FIFOS : 0);
}

static bool has_error_in_fifo(const struct serial_16550 *serial)
{
    for (unsigned i = 0; fifo_enabled(serial) && i < serial->rx_count; i++) {
        if (serial->rx_errors[(serial->rx_start + i) % SERIAL_FIFO_SIZE]) {
            return true;
        }
    }
    return fifo_enabled(serial) && (serial->lsr_errors & (LSR_ERRORS & ~LSR_OVERRUN));
}

static uint8_t read_lsr(struct serial_16550 *serial)
{
    uint8_t value = serial->lsr_errors;

    value |= serial->rx_count ? LSR_DATA_READY : 0;
    value |= serial->tx_count ? 0 : LSR_THR_EMPTY | LSR_IDLE;
    value |= has_error_in_fifo(serial) ? LSR_ERROR_IN_FIFO : 0;
    serial->lsr_errors = 0;
    return value;
}

static uint8_t read_msr(struct serial_16550 *serial)
{
    uint8_t value = serial->msr;

    serial->msr &= (uint8_t)~MSR_DELTAS;
    return value;
}

static uint8_t read_register(struct serial_16550 *serial, enum serial_register number)
{
    bool dlab = serial->lcr & LCR_DLAB;

    switch (number) {
    case RBR_THR:
        return dlab ? (uint8_t)serial->divisor : read_rbr(serial);
    case IER:
        return dlab ? (uint8_t)(serial->divisor >> 8) : serial->ier;
    case IIR_FCR:
        return read_iir(serial);
    case LCR:
        return serial->lcr;
    case MCR:
        return serial->mcr;
    case LSR:
        return read_lsr(serial);
    case MSR:
        return read_msr(serial);
    case SCR:
        return serial->scr;
    }
    return 0xff;
}

static void write_register(struct serial_16550 *serial, enum serial_register number, uint8_t value)
{
    bool dlab = serial->lcr & LCR_DLAB;

    switch (number) {
    case RBR_THR:
        if (dlab) {
            serial->divisor = (uint16_t)((serial->divisor & 0xff00) | value);
        } else {
            write_thr(serial, value);
        }
        break;
    case IER:
        if (dlab) {
            serial->divisor = (uint16_t)((serial->divisor & 0x00ff) | value << 8);
        } else {
            write_ier(serial, value);
        }
        break;
    case IIR_FCR:
        write_fcr(serial, value);
        break;
    case LCR:
        write_lcr(serial, value);
        break;
    case MCR:
        write_mcr(serial, value);
        break;
    case LSR: /* 8.3: for factory testing */
    case MSR:
        break;
    case SCR:
        serial->scr = value;
        break;
    }
}

static enum memory_result serial_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct serial_16550 *serial = opaque;

    *value = read_register(serial, (enum serial_register)offset);
    update_interrupt(serial);
    return MEMORY_OK;
}

static enum memory_result serial_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct serial_16550 *serial = opaque;

    write_register(serial, (enum serial_register)offset, (uint8_t)value);
    update_interrupt(serial);
    return MEMORY_OK;
}

static const struct memory_region_ops serial_ops = {
    .read = serial_read,
    .write = serial_write,
    .valid = {.allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 1},
};

/* The chardev's side. */

static size_t serial_can_receive(void *opaque)
{
    struct serial_16550 *serial = opaque;
    size_t room = serial->mcr & MCR_LOOPBACK ? 0 : (size_t)(rx_capacity(serial) - serial->rx_count);

    serial->input_blocked |= room == 0;
    return room;
}

static void serial_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct serial_16550 *serial = opaque;

    for (size_t i = 0; i < length; i++) {
        receive_character(serial, data[i], 0);
    }
    update_interrupt(serial);
}

static void serial_event(void *opaque, enum chardev_event event)
{
    struct serial_16550 *serial = opaque;

    if (event == CHARDEV_BREAK && !(serial->mcr & MCR_LOOPBACK)) {
        receive_character(serial, 0, LSR_BREAK | LSR_FRAMING);
    } else if (event == CHARDEV_WRITABLE && serial->tx_count) {
        transmit(serial);
    }
    update_interrupt(serial);
}

/* 8.0 Table I: what master reset does. */
static void serial_reset(struct device *device)
{
    struct serial_16550 *serial = (struct serial_16550 *)device;

    serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scr = 0;
    serial->lsr_errors = 0;
    serial->msr = modem_lines(serial);
    serial->divisor = DEFAULT_DIVISOR;
    serial->thre_pending = false;
    serial->tx_count = 0;
    clear_rx(serial);
    update_interrupt(serial);
}

/* The first port of the table that no serial port of the machine has. */
static uint32_t free_index(const struct bus *bus)
{
    for (uint32_t index = 0; index < SERIAL_MAX; index++) {
        bool used = false;

        for (unsigned i = 0; i < bus->children->len; i++) {
            const struct device *other = g_ptr_array_index(bus->children, i);

            used |= other->class == &serial_16550_class &&
                    ((const struct serial_16550 *)other)->index == index;
        }
        if (!used) {
            return index;
        }
    }
    return AUTOMATIC;
}

static bool choose_port(struct serial_16550 *serial, GError **error)
{
    if (serial->index == AUTOMATIC) {
        serial->index = free_index(serial->device.bus);
    }
    if (serial->index >= SERIAL_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a machine has at most %d serial ports, index 0 to %d", SERIAL_MAX,
                          SERIAL_MAX - 1);
    }
    if (serial->iobase == AUTOMATIC) {
        serial->iobase = port_table[serial->index].iobase;
    }
    if (serial->irq == AUTOMATIC) {
        serial->irq = port_table[serial->index].irq;
    }
    if (serial->iobase > 0xfff8 || serial->irq > 15) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "iobase must be at most 0xfff8 and irq at most 15");
    }
    return true;
}

static bool serial_realize(struct device *device, GError **error)
{
    struct serial_16550 *serial = (struct serial_16550 *)device;

    if (!choose_port(serial, error)) {
        return false;
    }
    serial->frontend = (struct chardev_frontend){
        .can_receive = serial_can_receive,
        .receive = serial_receive,
        .event = serial_event,
        .opaque = serial,
        .guard = &device->guard,
    };
    clock_timer_init(&serial->timeout, device->machine->clock, timeout_passed, serial,
                     &device->guard);
    memory_region_init_mmio(&serial->region, "serial", 8, &serial_ops, serial, &device->guard);
    memory_region_add_subregion(&device->machine->system_io, serial->iobase, &serial->region);
    serial_reset(device);
    if (serial->chardev && !chardev_attach(serial->chardev, &serial->frontend, error)) {
        memory_region_destroy(&serial->region);
        clock_timer_destroy(&serial->timeout);
        return false;
    }
    return true;
}

static void serial_unrealize(struct device *device)
{
    struct serial_16550 *serial = (struct serial_16550 *)device;

    chardev_detach(&serial->frontend);
    memory_region_destroy(&serial->region);
    clock_timer_destroy(&serial->timeout);
}

static const struct property serial_properties[] = {
    {"chardev", PROPERTY_CHARDEV, offsetof(struct serial_16550, chardev), NULL, 0, 0,
     "character device at the other end"},
    {"index", PROPERTY_UINT32, offsetof(struct serial_16550, index), "0xffffffff", 0, 0,
     "0 to 3 for COM1 to COM4 [the first free one]"},
    {"iobase", PROPERTY_UINT32, offsetof(struct serial_16550, iobase), "0xffffffff", 0, 0,
     "first port [by index]"},
    {"irq", PROPERTY_UINT32, offsetof(struct serial_16550, irq), "0xffffffff", 0, 0,
     "ISA interrupt [by index]"},
    PROPERTY_END,
};

static bool serial_after_load(void *object)
{
    struct serial_16550 *serial = object;

    if (serial->rx_start >= SERIAL_FIFO_SIZE || serial->rx_count > rx_capacity(serial) ||
        serial->tx_count > SERIAL_FIFO_SIZE) {
        return false;
    }
    update_interrupt(serial);
    unblock_input(serial);
    if (serial->tx_count) {
        transmit(serial);
    }
    return true;
}

static const struct state_field serial_fields[] = {
    STATE(UINT8, serial_16550, ier, 1),
    STATE(UINT8, serial_16550, fcr, 1),
    STATE(UINT8, serial_16550, lcr, 1),
    STATE(UINT8, serial_16550, mcr, 1),
    STATE(UINT8, serial_16550, msr, 1),
    STATE(UINT8, serial_16550, scr, 1),
    STATE(UINT8, serial_16550, lsr_errors, 1),
    STATE(UINT16, serial_16550, divisor, 1),
    STATE(BOOL, serial_16550, thre_pending, 1),
    STATE(BOOL, serial_16550, timeout_pending, 1),
    STATE_ARRAY(BYTES, serial_16550, rx_data, SERIAL_FIFO_SIZE, 1),
    STATE_ARRAY(BYTES, serial_16550, rx_errors, SERIAL_FIFO_SIZE, 1),
    STATE(UINT8, serial_16550, rx_start, 1),
    STATE(UINT8, serial_16550, rx_count, 1),
    STATE_ARRAY(BYTES, serial_16550, tx_data, SERIAL_FIFO_SIZE, 1),
    STATE(UINT8, serial_16550, tx_count, 1),
    STATE(TIMER, serial_16550, timeout, 1),
    STATE_END,
};

static const struct state_description serial_state = {
    .name = "serial-16550",
    .version = 1,
    .fields = serial_fields,
    .after_load = serial_after_load,
};

static void serial_describe(struct device *device, struct device_tree *tree,
                            struct device_node *node)
{
    const struct serial_16550 *serial = (const struct serial_16550 *)device;
    struct device_node *port = device_tree_add_port(tree, "serial", serial->iobase, 8, "ns16550a");

    device_node_set(port, "interrupts", serial->irq, DEVICE_TREE_EDGE);
    device_node_set(port, "clock-frequency", 1843200);
    if (!device_node_find(tree->root, "aliases")) { /* the first one is the console */
        g_autofree char *path = device_node_path(port);

        device_node_set_string(device_node_add(tree->root, "aliases"), "serial0", path);
        device_node_set_string(device_node_add(tree->root, "chosen"), "stdout-path", path);
    }
}

const struct device_class serial_16550_class = {
    .name = "isa-serial",
    .description = "serial port (16550A UART)",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct serial_16550),
    .user_creatable = true,
    .properties = serial_properties,
    .state = &serial_state,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .reset = serial_reset,
    .describe = serial_describe,
};
