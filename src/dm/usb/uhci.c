/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The USB controller of the PIIX3 (82371SB): registers, ports, frames. Sections are those of the
 * UHCI Design Guide 1.1. */
#include "dm/usb/uhci.h"
#include "dm/machine.h"

#define REGISTERS_SIZE 32
#define BAR            4

/* Offsets, chapter 2. */
#define USBCMD    0x00
#define USBSTS    0x02
#define USBINTR   0x04
#define FRNUM     0x06
#define FRBASEADD 0x08 /* 4 bytes */
#define SOFMOD    0x0c /* 1 byte */
#define PORTSC1   0x10

#define USBCMD_WRITABLE 0x00ff
#define SOFMOD_DEFAULT  0x40
#define FRAME_MASK      0x07ff

/* PORTSC, 2.1.7 */
#define PORT_CONNECTED         0x0001
#define PORT_CONNECTED_CHANGED 0x0002
#define PORT_ENABLED           0x0004
#define PORT_ENABLED_CHANGED   0x0008
#define PORT_DPLUS             0x0010 /* line status: idle at full speed */
#define PORT_RESUME            0x0040
#define PORT_ALWAYS_ONE        0x0080
#define PORT_RESET             0x0200
#define PORT_SUSPENDED         0x1000
#define PORT_WRITABLE          (PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPENDED)

/* PIIX3 config space, 82371SB 2.4 */
#define SERIAL_BUS_RELEASE 0x60
#define LEGACY_SUPPORT     0xc0

/* Frames in a row with nothing transferred, after which they are looked at QUIET_BATCH at a time:
 * drivers add to the schedule without telling, so it has to be looked at. */
#define QUIET_AFTER  50
#define QUIET_BATCH  8
#define CATCH_UP_MAX 16 /* frames that are made up for if the host was late; others are skipped */

static struct uhci *uhci_of_bus(struct usb_bus *bus)
{
    return (struct uhci *)bus->base.parent;
}

static uint64_t now_of(const struct uhci *uhci)
{
    return machine_clock_now(uhci->pci.device.machine->clock);
}

static void update_interrupt(struct uhci *uhci)
{
    uint16_t status = uhci->status, enabled = uhci->interrupts;

    pci_set_interrupt(&uhci->pci, (status & USBSTS_USBINT && uhci->causes & enabled) ||
                                      (status & USBSTS_ERROR && enabled & USBINTR_ERROR) ||
                                      (status & USBSTS_RESUME && enabled & USBINTR_RESUME) ||
                                      status & (USBSTS_HSE | USBSTS_HCPE));
}

/* Frames, 1.2. */

static void arm(struct uhci *uhci)
{
    bool is_quiet = uhci->quiet >= QUIET_AFTER;

    if (uhci->command & USBCMD_RS) {
        clock_timer_arm(&uhci->timer,
                        uhci->frame_start + (is_quiet ? QUIET_BATCH : 1) * UHCI_FRAME_NS);
    } else {
        clock_timer_disarm(&uhci->timer);
    }
}

static void frames_due(void *opaque)
{
    struct uhci *uhci = opaque;
    uint64_t due = (now_of(uhci) - uhci->frame_start) / UHCI_FRAME_NS;

    if (due > CATCH_UP_MAX) {
        uhci->frame = (uint16_t)((uhci->frame + due - CATCH_UP_MAX) & FRAME_MASK);
        uhci->frame_start += (due - CATCH_UP_MAX) * UHCI_FRAME_NS;
        due = CATCH_UP_MAX;
    }
    for (; due && uhci->command & USBCMD_RS; due--) {
        uhci->quiet = uhci_run_frame(uhci) ? 0 : uhci->quiet + (uhci->quiet < QUIET_AFTER);
        uhci->frame = (uhci->frame + 1) & FRAME_MASK;
        uhci->frame_start += UHCI_FRAME_NS;
    }
    update_interrupt(uhci);
    arm(uhci);
}

static void start(struct uhci *uhci)
{
    uhci->frame_start = now_of(uhci);
    uhci->quiet = 0;
    uhci->status &= (uint16_t)~USBSTS_HALTED;
    arm(uhci);
}

/* A device of the bus has something to tell: fetch it at once. */
static void woken(struct usb_bus *bus, struct usb_device *device)
{
    struct uhci *uhci = uhci_of_bus(bus);

    if (uhci->quiet >= QUIET_AFTER) {
        uhci->quiet = 0;
        arm(uhci);
    }
    if (uhci->command & USBCMD_EGSM && device->remote_wakeup && !(uhci->command & USBCMD_RS)) {
        uhci->status |= USBSTS_RESUME;
        uhci->ports[device->port] |= PORT_RESUME;
        update_interrupt(uhci);
    }
}

/* Ports. */

static void attached(struct usb_bus *bus, unsigned port)
{
    struct uhci *uhci = uhci_of_bus(bus);
    uint16_t *status = &uhci->ports[port];
    uint16_t before = *status;

    *status &= (uint16_t) ~(PORT_CONNECTED | PORT_ENABLED | PORT_SUSPENDED | PORT_RESUME);
    if (bus->ports[port]) {
        *status |= PORT_CONNECTED;
    }
    *status |= PORT_CONNECTED_CHANGED | (before & PORT_ENABLED ? PORT_ENABLED_CHANGED : 0);
    if (uhci->command & USBCMD_EGSM) {
        uhci->status |= USBSTS_RESUME;
        update_interrupt(uhci);
    }
}

static uint16_t read_port(const struct uhci *uhci, unsigned port)
{
    uint16_t value = uhci->ports[port] | PORT_ALWAYS_ONE;

    return value | (value & PORT_CONNECTED && !(value & PORT_RESET) ? PORT_DPLUS : 0);
}

static void write_port(struct uhci *uhci, unsigned port, uint16_t value)
{
    uint16_t before = uhci->ports[port], now;

    now = (uint16_t)((before & ~PORT_WRITABLE) | (value & PORT_WRITABLE));
    now &= (uint16_t) ~(value & (PORT_CONNECTED_CHANGED | PORT_ENABLED_CHANGED));
    if (!(now & PORT_CONNECTED) || now & PORT_RESET) {
        now &= (uint16_t)~PORT_ENABLED;
    }
    uhci->ports[port] = now;
    if (before & ~now & PORT_RESET && uhci->bus.ports[port]) {
        usb_device_reset_port(uhci->bus.ports[port]);
    }
}

static void reset_ports(struct uhci *uhci)
{
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        uhci->ports[i] = 0;
        if (uhci->bus.ports[i]) {
            usb_device_reset_port(uhci->bus.ports[i]);
            uhci->ports[i] = PORT_CONNECTED | PORT_CONNECTED_CHANGED;
        }
    }
}

/* Registers. */

static void reset_controller(struct uhci *uhci)
{
    uhci->command = uhci->interrupts = uhci->frame = 0;
    uhci->status = USBSTS_HALTED;
    uhci->frame_list = 0;
    uhci->sof_modify = SOFMOD_DEFAULT;
    uhci->causes = 0;
    uhci->quiet = 0;
    clock_timer_disarm(&uhci->timer);
    reset_ports(uhci);
    update_interrupt(uhci);
}

static uint16_t current_frame(const struct uhci *uhci)
{
    uint64_t passed =
        uhci->command & USBCMD_RS ? (now_of(uhci) - uhci->frame_start) / UHCI_FRAME_NS : 0;

    return (uint16_t)((uhci->frame + passed) & FRAME_MASK);
}

static void write_command(struct uhci *uhci, uint16_t value)
{
    uint16_t before = uhci->command;

    if (value & USBCMD_HCRESET) {
        reset_controller(uhci);
        return;
    }
    if (value & ~before & USBCMD_GRESET) {
        reset_ports(uhci);
    }
    if (before & ~value & USBCMD_RS) {
        uhci->frame = current_frame(uhci);
    }
    uhci->command = value & USBCMD_WRITABLE;
    if (value & ~before & USBCMD_RS) {
        start(uhci);
    } else if (before & ~value & USBCMD_RS) {
        uhci->status |= USBSTS_HALTED;
        arm(uhci);
    }
    update_interrupt(uhci);
}

static uint16_t read_word(const struct uhci *uhci, unsigned offset)
{
    switch (offset) {
    case USBCMD:
        return uhci->command;
    case USBSTS:
        return uhci->status;
    case USBINTR:
        return uhci->interrupts;
    case FRNUM:
        return current_frame(uhci);
    case FRBASEADD:
        return (uint16_t)uhci->frame_list;
    case FRBASEADD + 2:
        return (uint16_t)(uhci->frame_list >> 16);
    case SOFMOD:
        return uhci->sof_modify;
    case PORTSC1:
    case PORTSC1 + 2:
        return read_port(uhci, (offset - PORTSC1) / 2);
    default:
        return 0;
    }
}

static void write_word(struct uhci *uhci, unsigned offset, uint16_t value)
{
    switch (offset) {
    case USBCMD:
        write_command(uhci, value);
        break;
    case USBSTS:
        uhci->status &= (uint16_t) ~(value & ~USBSTS_HALTED);
        uhci->causes = uhci->status & USBSTS_USBINT ? uhci->causes : 0;
        update_interrupt(uhci);
        break;
    case USBINTR:
        uhci->interrupts = value & 0xf;
        update_interrupt(uhci);
        break;
    case FRNUM: /* 2.1.4: only while it is stopped */
        uhci->frame = uhci->command & USBCMD_RS ? uhci->frame : value & FRAME_MASK;
        break;
    case FRBASEADD:
        uhci->frame_list = (uhci->frame_list & 0xffff0000) | (value & 0xf000);
        break;
    case FRBASEADD + 2:
        uhci->frame_list = (uhci->frame_list & 0xffff) | (uint32_t)value << 16;
        break;
    case SOFMOD:
        uhci->sof_modify = value & 0x7f;
        break;
    case PORTSC1:
    case PORTSC1 + 2:
        write_port(uhci, (offset - PORTSC1) / 2, value);
        break;
    default:
        break;
    }
}

static enum memory_result registers_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    const struct uhci *uhci = opaque;
    unsigned at = (unsigned)offset;

    *value = (uint64_t)(read_word(uhci, at & ~1u) >> (8 * (at & 1)));
    if (size == 4) {
        *value |= (uint64_t)read_word(uhci, at + 2) << 16;
    }
    return MEMORY_OK;
}

static enum memory_result registers_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct uhci *uhci = opaque;
    unsigned at = (unsigned)offset;

    if (size == 1) {
        /* Only SOFMOD is a byte; of others the rest stays, where it can be read back. */
        uint16_t word = at == USBSTS || at == USBSTS + 1 ? 0 : read_word(uhci, at & ~1u);
        unsigned shift = 8 * (at & 1);

        value = (word & ~(0xffu << shift)) | (uint32_t)((value & 0xff) << shift);
        at &= ~1u;
    }
    write_word(uhci, at, (uint16_t)value);
    if (size == 4) {
        write_word(uhci, at + 2, (uint16_t)(value >> 16));
    }
    return MEMORY_OK;
}

static const struct memory_region_ops registers_ops = {
    .read = registers_read,
    .write = registers_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* Life. */

static const struct usb_bus_ops bus_ops = {.attached = attached, .woken = woken};

/* "usb-bus.0" is the first that has no id, as others know it. */
static char *bus_name(const struct device *device)
{
    unsigned count = 0;

    if (device->id) {
        return g_strdup_printf("%s.0", device->id);
    }
    for (unsigned i = 0; i < device->machine->device_buses->len; i++) {
        const struct bus *bus = g_ptr_array_index(device->machine->device_buses, i);

        count += bus->type == BUS_USB;
    }
    return g_strdup_printf("usb-bus.%u", count);
}

static bool uhci_realize(struct device *device, GError **error)
{
    struct uhci *uhci = (struct uhci *)device;
    g_autofree char *name = bus_name(device);

    memory_region_init_mmio(&uhci->registers, "uhci", REGISTERS_SIZE, &registers_ops, uhci,
                            &device->guard);
    pci_register_bar(&uhci->pci, BAR, &uhci->registers, true, false, false);
    uhci->pci.config[SERIAL_BUS_RELEASE] = 0x10; /* 1.0 */
    pci_put(uhci->pci.config, LEGACY_SUPPORT, 2, 0x2000);
    pci_put(uhci->pci.write_mask, LEGACY_SUPPORT, 2, 0x20bf);
    pci_put(uhci->pci.clear_mask, LEGACY_SUPPORT, 2, 0x8f00);
    clock_timer_init(&uhci->timer, device->machine->clock, frames_due, uhci, &device->guard);
    usb_bus_init(&uhci->bus, &bus_ops, device, name, UHCI_PORTS);
    reset_controller(uhci);
    return true;
}

static void uhci_unrealize(struct device *device)
{
    struct uhci *uhci = (struct uhci *)device;

    usb_bus_clear(&uhci->bus);
    clock_timer_destroy(&uhci->timer);
    memory_region_destroy(&uhci->registers);
}

static void uhci_reset(struct device *device)
{
    reset_controller((struct uhci *)device);
}

static bool uhci_after_load(void *object)
{
    struct uhci *uhci = object;

    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        if (!!(uhci->ports[i] & PORT_CONNECTED) != !!uhci->bus.ports[i]) {
            return false; /* other devices */
        }
    }
    uhci->frame &= FRAME_MASK;
    uhci->frame_start = MIN(uhci->frame_start, now_of(uhci));
    uhci->quiet = 0;
    update_interrupt(uhci);
    arm(uhci);
    return true;
}

static const struct state_field uhci_fields[] = {
    STATE(UINT16, uhci, command, 1),
    STATE(UINT16, uhci, status, 1),
    STATE(UINT16, uhci, interrupts, 1),
    STATE(UINT16, uhci, frame, 1),
    STATE(UINT32, uhci, frame_list, 1),
    STATE(UINT8, uhci, sof_modify, 1),
    STATE_ARRAY(UINT16, uhci, ports, UHCI_PORTS, 1),
    STATE(UINT8, uhci, causes, 1),
    STATE(UINT64, uhci, frame_start, 1),
    STATE_END,
};

static const struct state_description uhci_state = {
    .name = "piix3-usb-uhci",
    .version = 1,
    .fields = uhci_fields,
    .after_load = uhci_after_load,
};

static const struct property uhci_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct pci_class uhci_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x7020,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0x0c0300,
    .revision = 1,
    .interrupt_pin = 4,
};

const struct device_class uhci_class = {
    .name = "piix3-usb-uhci",
    .description = "USB 1.1 controller of the PIIX3, two ports",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct uhci),
    .user_creatable = true,
    .properties = uhci_properties,
    .state = &uhci_state,
    .realize = uhci_realize,
    .unrealize = uhci_unrealize,
    .reset = uhci_reset,
    .bus_class = &uhci_pci_class,
};
