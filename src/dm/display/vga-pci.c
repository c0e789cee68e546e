/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI device 1234:1111, the adapter that Bochs and QEMU have, whose drivers all guests bring:
 *
 *     BAR 0  video memory
 *     BAR 2  4 KiB: EDID at 0, ports 3c0h to 3dfh at 400h, display interface at 500h (16 bits
 * each), at 600h the size of what follows there and the byte order of pixels ROM    the VGA BIOS
 *
 * and at the addresses of every VGA: A0000h, ports 3b4h to 3dfh, and 1ceh, 1cfh.
 *
 * Port regions have no guard of their own: a register may map or unmap a part of the window at
 * A0000h, and the topology's lock comes before the guard.
 */
#include "dm/display/display.h"
#include "dm/display/edid.h"
#include "dm/display/vga-draw.h"
#include "dm/machine.h"
#include "dm/pci/pci.h"
#include "util/log.h"

#define REGISTERS_SIZE     0x1000u /* of BAR 2 */
#define REGISTERS_PORTS    0x400u
#define REGISTERS_DISPI    0x500u
#define REGISTERS_EXTENDED 0x600u
#define EXTENDED_SIZE      8
#define BYTE_ORDER_LITTLE  0x1e1e1e1eu
#define BYTE_ORDER_BIG     0xbebebebeu

#define PORT_CRTC_MONO   0x3b4u
#define PORT_STATUS_MONO 0x3bau
#define PORT_FIRST       0x3c0u
#define PORT_COUNT       0x20u
#define PORT_DISPI       0x1ceu

/* Above RAM and shadow RAM on the PCI side. */
#define WINDOW_PRIORITY 1

struct vga_ports {
    struct vga_device *device;
    unsigned first; /* port */
    struct memory_region region;
};

struct vga_device {
    struct pci_device pci;
    uint32_t memory_mib;    /* property */
    char *rom_file;         /* property */
    bool has_edid;          /* property */
    uint32_t width, height; /* properties: what the EDID prefers */
    struct memory_region memory, registers, dispi_ports;
    struct vga_ports mono, status, color;
    struct memory_region window, window_planes, window_linear;
    struct vga_linear_window mapped; /* what window_linear shows */
    uint8_t edid[EDID_SIZE];
    struct vga vga;
};

extern const struct device_class vga_class, cirrus_vga_class;

/* The window at A0000h. */

static bool is_mapped(const struct vga_device *device, const struct vga_linear_window *window)
{
    return device->mapped.offset == window->offset && device->mapped.size == window->size &&
           device->mapped.memory_offset == window->memory_offset;
}

/* Within a transaction, and the guard inside of it. */
static void map_window(struct vga_device *device)
{
    struct vga_linear_window window = vga_find_linear_window(&device->vga);

    if (is_mapped(device, &window)) {
        return;
    }
    memory_region_set_enabled(&device->window_linear, window.size != 0);
    if (window.size) {
        memory_region_set_offset(&device->window_linear, window.offset);
        memory_region_set_size(&device->window_linear, window.size);
        memory_region_set_alias_offset(&device->window_linear, window.memory_offset);
    }
    device->mapped = window;
}

static bool enter(struct vga_device *device)
{
    return access_guard_enter(&device->pci.device.guard);
}

/* After a register may have changed. */
static void leave(struct vga_device *device)
{
    struct vga_linear_window window = vga_find_linear_window(&device->vga);
    bool is_stale = !is_mapped(device, &window);

    access_guard_leave(&device->pci.device.guard);
    if (!is_stale) {
        return;
    }
    memory_topology_begin();
    if (enter(device)) {
        map_window(device);
        access_guard_leave(&device->pci.device.guard);
    }
    memory_topology_commit();
}

static enum memory_result window_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct vga_device *device = opaque;

    *value = vga_read_memory(&device->vga, (uint32_t)offset);
    return MEMORY_OK;
}

static enum memory_result window_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct vga_device *device = opaque;

    vga_write_memory(&device->vga, (uint32_t)offset, (uint8_t)value);
    return MEMORY_OK;
}

static const struct memory_region_ops window_ops = {
    .read = window_read,
    .write = window_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 1},
};

/* Ports. */

static enum memory_result port_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct vga_ports *ports = opaque;

    if (!enter(ports->device)) {
        return MEMORY_REENTRY;
    }
    *value = vga_read_port(&ports->device->vga, ports->first + (unsigned)offset);
    access_guard_leave(&ports->device->pci.device.guard);
    return MEMORY_OK;
}

static enum memory_result port_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct vga_ports *ports = opaque;

    if (!enter(ports->device)) {
        return MEMORY_REENTRY;
    }
    vga_write_port(&ports->device->vga, ports->first + (unsigned)offset, (uint8_t)value);
    leave(ports->device);
    return MEMORY_OK;
}

static const struct memory_region_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 1},
};

/* The index at 1ceh, the data at 1cfh, and again at 1d0h for who wants it aligned. */
static enum memory_result dispi_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    struct vga_device *device = opaque;

    if (!enter(device)) {
        return MEMORY_REENTRY;
    }
    *value = offset == 0 ? device->vga.dispi_index
                         : vga_read_dispi(&device->vga, device->vga.dispi_index);
    access_guard_leave(&device->pci.device.guard);
    return MEMORY_OK;
}

static enum memory_result dispi_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct vga_device *device = opaque;

    if (!enter(device)) {
        return MEMORY_REENTRY;
    }
    if (offset == 0) {
        device->vga.dispi_index = (uint16_t)value;
    } else {
        vga_write_dispi(&device->vga, device->vga.dispi_index, (uint16_t)value);
    }
    leave(device);
    return MEMORY_OK;
}

static const struct memory_region_ops dispi_ops = {
    .read = dispi_read,
    .write = dispi_write,
    .valid = {.min_size = 1, .max_size = 2, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 2, .allow_unaligned = true},
};

/* BAR 2. */

static bool is_port(uint64_t offset)
{
    return offset >= REGISTERS_PORTS && offset < REGISTERS_PORTS + PORT_COUNT;
}

static bool is_dispi(uint64_t offset)
{
    return offset >= REGISTERS_DISPI && offset < REGISTERS_DISPI + 2 * DISPI_COUNT;
}

static uint32_t read_extended(const struct vga_device *device, uint64_t offset)
{
    return offset == REGISTERS_EXTENDED       ? EXTENDED_SIZE
           : offset != REGISTERS_EXTENDED + 4 ? 0
           : device->vga.registers.big_endian ? BYTE_ORDER_BIG
                                              : BYTE_ORDER_LITTLE;
}

static uint16_t read_half(struct vga_device *device, uint64_t offset)
{
    if (offset < EDID_SIZE) {
        return (uint16_t)(device->edid[offset] | device->edid[offset + 1] << 8);
    }
    if (is_port(offset)) {
        unsigned port = PORT_FIRST + (unsigned)(offset - REGISTERS_PORTS);
        uint8_t low = vga_read_port(&device->vga, port);

        return (uint16_t)(low | vga_read_port(&device->vga, port + 1) << 8);
    }
    if (is_dispi(offset)) {
        return vga_read_dispi(&device->vga, (unsigned)(offset - REGISTERS_DISPI) / 2);
    }
    return (uint16_t)(read_extended(device, offset & ~UINT64_C(3)) >> 8 * (offset & 2));
}

static enum memory_result registers_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    struct vga_device *device = opaque;

    if (!enter(device)) {
        return MEMORY_REENTRY;
    }
    if (size == 1 && is_port(offset)) { /* reading the one beside it may have an effect */
        *value = vga_read_port(&device->vga, PORT_FIRST + (unsigned)(offset - REGISTERS_PORTS));
    } else {
        *value = read_half(device, offset & ~UINT64_C(1)) >> 8 * (offset & 1);
    }
    if (size == 4) {
        *value |= (uint64_t)read_half(device, offset + 2) << 16;
    }
    access_guard_leave(&device->pci.device.guard);
    return MEMORY_OK;
}

static void write_half(struct vga_device *device, uint64_t offset, uint16_t value, bool is_byte)
{
    unsigned port = PORT_FIRST + (unsigned)(offset - REGISTERS_PORTS);

    if (is_port(offset)) {
        vga_write_port(&device->vga, port, (uint8_t)value);
        if (!is_byte) {
            vga_write_port(&device->vga, port + 1, (uint8_t)(value >> 8));
        }
    } else if (is_dispi(offset) && !(offset & 1)) {
        vga_write_dispi(&device->vga, (unsigned)(offset - REGISTERS_DISPI) / 2, value);
    }
}

static enum memory_result registers_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct vga_device *device = opaque;

    if (!enter(device)) {
        return MEMORY_REENTRY;
    }
    if (offset == REGISTERS_EXTENDED + 4 && size == 4) {
        if (value == BYTE_ORDER_BIG || value == BYTE_ORDER_LITTLE) {
            device->vga.registers.big_endian = value == BYTE_ORDER_BIG;
        }
    } else {
        write_half(device, offset, (uint16_t)value, size == 1);
        if (size == 4) {
            write_half(device, offset + 2, (uint16_t)(value >> 16), false);
        }
    }
    leave(device);
    return MEMORY_OK;
}

static const struct memory_region_ops registers_ops = {
    .read = registers_read,
    .write = registers_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* The picture. */

static void *view_new(void *opaque)
{
    return vga_view_new();
}

static void view_free(void *opaque, void *memory)
{
    vga_view_free(memory);
}

static void draw(void *opaque, void *memory, bool tracks, struct surface *surface, bool *resized,
                 GArray *changes)
{
    struct vga_device *device = opaque;
    struct machine *machine = device->pci.device.machine;
    struct vga_registers registers;

    if (tracks) {
        address_space_sync_dirty_log(&machine->as_memory);
    }
    if (!enter(device)) {
        return;
    }
    registers = device->vga.registers;
    access_guard_leave(&device->pci.device.guard);
    vga_draw(memory, &registers, &device->memory, device->vga.memory_size, tracks,
             machine_clock_now(machine->clock), surface, resized, changes);
}

static void track(void *opaque, bool on)
{
    struct vga_device *device = opaque;

    if (on) {
        memory_region_dirty_log_start(&device->memory, DIRTY_DISPLAY);
    } else {
        memory_region_dirty_log_stop(&device->memory, DIRTY_DISPLAY);
    }
}

static const struct display_adapter_ops adapter_ops = {
    .view_new = view_new,
    .view_free = view_free,
    .draw = draw,
    .track = track,
};

/* Life. */

static uint64_t read_clock(void *opaque)
{
    return machine_clock_now(opaque);
}

static void init_ports(struct vga_device *device, struct vga_ports *ports, unsigned first,
                       unsigned count)
{
    ports->device = device;
    ports->first = first;
    memory_region_init_mmio(&ports->region, "vga-ports", count, &port_ops, ports, NULL);
    memory_region_add_subregion(pci_bus_io_space(device->pci.pci_bus), first, &ports->region);
}

static void init_window(struct vga_device *device)
{
    memory_region_init_container(&device->window, "vga-window", VGA_WINDOW_SIZE);
    memory_region_init_mmio(&device->window_planes, "vga-planes", VGA_WINDOW_SIZE, &window_ops,
                            device, &device->pci.device.guard);
    memory_region_add_subregion(&device->window, 0, &device->window_planes);
    memory_region_init_alias(&device->window_linear, "vga-linear", &device->memory, 0,
                             VGA_WINDOW_SIZE);
    memory_region_set_enabled(&device->window_linear, false);
    memory_region_add_subregion_overlap(&device->window, 0, &device->window_linear, 1);
    memory_region_add_subregion_overlap(pci_bus_memory_space(device->pci.pci_bus), VGA_WINDOW,
                                        &device->window, WINDOW_PRIORITY);
}

static bool init_memory(struct vga_device *device, GError **error)
{
    uint32_t size = VGA_MEMORY_MIN;

    while (size < (uint64_t)device->memory_mib << 20) {
        size *= 2;
    }
    device->vga.memory = &device->memory;
    device->vga.memory_size = size;
    return memory_region_init_ram(&device->memory, "vga-memory", size, error);
}

static bool vga_realize(struct device *base, GError **error)
{
    struct vga_device *device = (struct vga_device *)base;

    if (!init_memory(device, error)) {
        return false;
    }
    if (device->rom_file && *device->rom_file &&
        !pci_register_rom(&device->pci, device->rom_file, error)) {
        memory_region_destroy(&device->memory);
        return false;
    }
    device->vga.now = read_clock;
    device->vga.opaque = base->machine->clock;
    vga_power_on(&device->vga);
    if (device->has_edid) {
        edid_make(device->edid, device->width, device->height);
    }
    memory_region_init_mmio(&device->registers, "vga-registers", REGISTERS_SIZE, &registers_ops,
                            device, NULL);
    pci_register_bar(&device->pci, 0, &device->memory, false, false, true);
    pci_register_bar(&device->pci, 2, &device->registers, false, false, false);
    memory_topology_begin();
    init_window(device);
    init_ports(device, &device->mono, PORT_CRTC_MONO, 2);
    init_ports(device, &device->status, PORT_STATUS_MONO, 1);
    init_ports(device, &device->color, PORT_FIRST, PORT_COUNT);
    memory_region_init_mmio(&device->dispi_ports, "vga-dispi", 3, &dispi_ops, device, NULL);
    memory_region_add_subregion(pci_bus_io_space(device->pci.pci_bus), PORT_DISPI,
                                &device->dispi_ports);
    memory_topology_commit();
    machine_keep_memory(base->machine, &device->memory);
    display_add_adapter(base->machine, &adapter_ops, device);
    machine_keep_memory(base->machine, &device->memory);
    return true;
}

static bool cirrus_realize(struct device *base, GError **error)
{
    log_warning("there is no Cirrus adapter: the guest gets the standard VGA in its place");
    return vga_realize(base, error);
}

static void vga_unrealize(struct device *base)
{
    struct vga_device *device = (struct vga_device *)base;

    machine_forget_memory(base->machine, &device->memory);
    display_remove_adapter(base->machine, device);
    machine_forget_memory(base->machine, &device->memory);
    memory_region_destroy(&device->dispi_ports);
    memory_region_destroy(&device->color.region);
    memory_region_destroy(&device->status.region);
    memory_region_destroy(&device->mono.region);
    memory_region_destroy(&device->window_linear);
    memory_region_destroy(&device->window_planes);
    memory_region_destroy(&device->window);
    memory_region_destroy(&device->registers);
    memory_region_destroy(&device->memory);
}

static void vga_reset(struct device *base)
{
    struct vga_device *device = (struct vga_device *)base;

    vga_power_on(&device->vga);
    map_window(device);
}

static bool vga_after_load(void *object)
{
    struct vga_device *device = object;

    if (!vga_is_valid(&device->vga)) {
        return false;
    }
    map_window(device);
    return true;
}

static const struct state_field vga_fields[] = {
    STATE(UINT8, vga_device, vga.registers.misc, 1),
    STATE_ARRAY(BYTES, vga_device, vga.registers.sequencer, VGA_SEQUENCER_COUNT, 1),
    STATE_ARRAY(BYTES, vga_device, vga.registers.graphics, VGA_GRAPHICS_COUNT, 1),
    STATE_ARRAY(BYTES, vga_device, vga.registers.crtc, VGA_CRTC_COUNT, 1),
    STATE_ARRAY(BYTES, vga_device, vga.registers.attribute, VGA_ATTRIBUTE_COUNT, 1),
    STATE(UINT8, vga_device, vga.registers.attribute_index, 1),
    STATE(UINT8, vga_device, vga.registers.dac_mask, 1),
    STATE_ARRAY(BYTES, vga_device, vga.registers.palette, VGA_PALETTE_SIZE, 1),
    STATE_ARRAY(UINT16, vga_device, vga.registers.dispi, DISPI_COUNT, 1),
    STATE(BOOL, vga_device, vga.registers.big_endian, 1),
    STATE(UINT8, vga_device, vga.sequencer_index, 1),
    STATE(UINT8, vga_device, vga.graphics_index, 1),
    STATE(UINT8, vga_device, vga.crtc_index, 1),
    STATE(UINT8, vga_device, vga.feature, 1),
    STATE(BOOL, vga_device, vga.attribute_data, 1),
    STATE(UINT8, vga_device, vga.dac_read, 1),
    STATE(UINT8, vga_device, vga.dac_write, 1),
    STATE(UINT8, vga_device, vga.dac_component, 1),
    STATE(UINT8, vga_device, vga.dac_state, 1),
    STATE_ARRAY(BYTES, vga_device, vga.dac_latch, 2, 1),
    STATE(UINT32, vga_device, vga.latch, 1),
    STATE(UINT16, vga_device, vga.dispi_index, 1),
    STATE_END,
};

static const struct state_description vga_state = {
    .name = "VGA",
    .version = 1,
    .fields = vga_fields,
    .after_load = vga_after_load,
};

static const struct property vga_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"vgamem_mb", PROPERTY_UINT32, offsetof(struct vga_device, memory_mib), "16", 1, 256,
     "MiB of video memory, made a power of two"},
    {"romfile", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vga_device, rom_file),
     "vgabios-stdvga.bin", 0, 0, "the VGA BIOS; empty: none"},
    {"edid", PROPERTY_BOOL, offsetof(struct vga_device, has_edid), "on", 0, 0,
     "tell the guest what the screen can do"},
    {"xres", PROPERTY_UINT32, offsetof(struct vga_device, width), "1024", 320, 4096,
     "width of the picture that the EDID prefers"},
    {"yres", PROPERTY_UINT32, offsetof(struct vga_device, height), "768", 200, 4096,
     "height of it"},
    PROPERTY_END,
};

static const struct pci_class vga_pci_class = {
    .vendor_id = 0x1234,
    .device_id = 0x1111,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0x030000,
    .revision = 2, /* with registers in BAR 2, and those at 600h */
};

/* Cold only: a viewer may be looking at it. */
#define VGA_CLASS(name_, description_, realize_)                                                   \
    {                                                                                              \
        .name = name_, .description = description_, .bus_type = BUS_PCI,                           \
        .instance_size = sizeof(struct vga_device), .user_creatable = true, .cold_only = true,     \
        .properties = vga_properties, .state = &vga_state, .realize = realize_,                    \
        .unrealize = vga_unrealize, .reset = vga_reset, .bus_class = &vga_pci_class,               \
    }

const struct device_class vga_class =
    VGA_CLASS("VGA", "standard VGA with the Bochs display interface", vga_realize);
const struct device_class cirrus_vga_class =
    VGA_CLASS("cirrus-vga", "accepted; the standard VGA takes its place", cirrus_realize);
