/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pcie-slot.h"
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-express.h"
#include "util/trace.h"

#define FUNCTIONS 8

/* Slot Capabilities, 7.5.3.9. */
#define CAP_BUTTON              0x00000001u
#define CAP_POWER_CONTROLLER    0x00000002u
#define CAP_ATTENTION_INDICATOR 0x00000008u
#define CAP_POWER_INDICATOR     0x00000010u
#define CAP_SURPRISE            0x00000020u
#define CAP_HOTPLUG             0x00000040u
#define CAP_NUMBER_SHIFT        19

/* Slot Control, 7.5.3.10. Enable bits 0 to 4 are those of the events in Slot Status. */
#define CONTROL_HOTPLUG_INTERRUPT 0x0020u
#define CONTROL_ATTENTION_OFF     0x00c0u
#define CONTROL_POWER_INDICATOR   0x0300u
#define INDICATOR_ON              0x0100u
#define INDICATOR_BLINK           0x0200u
#define INDICATOR_OFF             0x0300u
#define CONTROL_POWER_OFF         0x0400u
#define CONTROL_LINK_CHANGED      0x1000u
#define CONTROL_MASK              0x17fbu /* no sensor of a latch, no lock */

/* Slot Status, 7.5.3.11. */
#define STATUS_BUTTON           0x0001u
#define STATUS_PRESENCE_CHANGED 0x0008u
#define STATUS_COMMAND_DONE     0x0010u
#define STATUS_PRESENCE         0x0040u
#define STATUS_LINK_CHANGED     0x0100u
#define STATUS_SIMPLE_EVENTS    0x001fu /* enabled by the same bits of Slot Control */
#define STATUS_EVENTS           (STATUS_SIMPLE_EVENTS | STATUS_LINK_CHANGED)

static struct pcie_slot *slot_of(struct pci_hotplug *hotplug)
{
    return (struct pcie_slot *)hotplug;
}

/* A 16-bit register of the PCI Express capability. */
static uint16_t get(const struct pcie_slot *slot, unsigned offset)
{
    const struct pci_device *port = &slot->bridge->pci;

    return (uint16_t)pci_get(port->config, port->express + offset, 2);
}

static void put(struct pcie_slot *slot, unsigned offset, uint16_t value)
{
    struct pci_device *port = &slot->bridge->pci;

    pci_put(port->config, port->express + offset, 2, value);
}

static struct pci_device *function_of(const struct pcie_slot *slot, unsigned function)
{
    return pci_bus_find(slot->bridge->bus, (uint8_t)function);
}

static bool is_occupied(const struct pcie_slot *slot)
{
    const struct pci_device *device = function_of(slot, 0);

    return device && !__atomic_load_n(&device->hidden, __ATOMIC_ACQUIRE);
}

static void set_hidden(const struct pcie_slot *slot, bool hidden)
{
    for (unsigned function = 0; function < FUNCTIONS; function++) {
        struct pci_device *device = function_of(slot, function);

        if (device) {
            __atomic_store_n(&device->hidden, hidden, __ATOMIC_RELEASE);
        }
    }
}

/* ---- Registers, under the port's guard ---- */

/* 6.7.3.4: a message when there comes to be an event; or a level, while there is one. */
static void update_event(struct pcie_slot *slot)
{
    struct pci_device *port = &slot->bridge->pci;
    uint16_t control = get(slot, EXPRESS_SLOT_CONTROL), status = get(slot, EXPRESS_SLOT_STATUS);
    bool wanted = (status & control & STATUS_SIMPLE_EVENTS) ||
                  ((status & STATUS_LINK_CHANGED) && (control & CONTROL_LINK_CHANGED));
    bool event = wanted && (control & CONTROL_HOTPLUG_INTERRUPT);
    bool is_msi = pci_msi_is_enabled(port);

    if (is_msi && event && !slot->event) {
        pci_msi_notify(port, 0);
    }
    pci_set_interrupt(port, event && !is_msi);
    slot->event = event;
}

static void add_status(struct pcie_slot *slot, uint16_t bits)
{
    put(slot, EXPRESS_SLOT_STATUS, get(slot, EXPRESS_SLOT_STATUS) | bits);
}

static void set_presence(struct pcie_slot *slot, bool present)
{
    uint16_t status = get(slot, EXPRESS_SLOT_STATUS);

    if (present == !(status & STATUS_PRESENCE)) {
        put(slot, EXPRESS_SLOT_STATUS, (status ^ STATUS_PRESENCE) | STATUS_PRESENCE_CHANGED);
    }
}

/* It is up while there is something that has power. */
static void update_link(struct pcie_slot *slot)
{
    bool active = (get(slot, EXPRESS_SLOT_STATUS) & STATUS_PRESENCE) &&
                  !(get(slot, EXPRESS_SLOT_CONTROL) & CONTROL_POWER_OFF) &&
                  !(get(slot, EXPRESS_LINK_CONTROL) & EXPRESS_LINK_DISABLE);
    uint16_t link = get(slot, EXPRESS_LINK_STATUS);

    if (active == !(link & EXPRESS_LINK_ACTIVE)) {
        put(slot, EXPRESS_LINK_STATUS, link ^ EXPRESS_LINK_ACTIVE);
        add_status(slot, STATUS_LINK_CHANGED);
    }
    slot->bridge->link_down = !active;
}

/* The guest has let go: it finds nothing any more, though the main loop takes a moment. */
static void eject(struct pcie_slot *slot)
{
    memory_rcu_read_lock();
    set_hidden(slot, true);
    memory_rcu_read_unlock();
    set_presence(slot, false);
    slot->asked = false;
    slot->ejected = true;
    machine_post(slot->bridge->pci.device.machine, &slot->task);
}

static void carry_out_command(struct pcie_slot *slot)
{
    uint16_t old = slot->control, control = get(slot, EXPRESS_SLOT_CONTROL);
    bool has_power = !(control & CONTROL_POWER_OFF);

    slot->control = control;
    trace_pcie_slot_control(slot->bridge->pci.devfn, control);
    if (slot->asked && !has_power) {
        eject(slot);
    } else if (slot->asked && (old & CONTROL_POWER_INDICATOR) == INDICATOR_BLINK &&
               (control & CONTROL_POWER_INDICATOR) == INDICATOR_ON) {
        /* 6.7.1.1.2: it blinked for what the button asked, and that was called off. */
        slot->asked = false;
        slot->refused = true;
        machine_post(slot->bridge->pci.device.machine, &slot->task);
    }
    add_status(slot, STATUS_COMMAND_DONE);
}

void pcie_slot_written(struct pcie_slot *slot, unsigned offset, unsigned length)
{
    unsigned control = slot->bridge->pci.express + EXPRESS_SLOT_CONTROL;

    if (slot->can_hotplug && offset < control + 2 && control < offset + length) {
        carry_out_command(slot);
    }
    update_link(slot);
    update_event(slot);
}

void pcie_slot_reset(struct pcie_slot *slot)
{
    bool present;

    if (slot->asked) {
        eject(slot);
    }
    present = is_occupied(slot);
    put(slot, EXPRESS_SLOT_STATUS, present ? STATUS_PRESENCE : 0);
    if (slot->can_hotplug) {
        put(slot, EXPRESS_SLOT_CONTROL,
            CONTROL_ATTENTION_OFF | (present ? INDICATOR_ON : INDICATOR_OFF | CONTROL_POWER_OFF));
    }
    slot->control = get(slot, EXPRESS_SLOT_CONTROL);
    update_link(slot);
    put(slot, EXPRESS_SLOT_STATUS, get(slot, EXPRESS_SLOT_STATUS) & (uint16_t)~STATUS_EVENTS);
    slot->event = false;
}

bool pcie_slot_after_load(struct pcie_slot *slot)
{
    uint16_t link = get(slot, EXPRESS_LINK_STATUS), status = get(slot, EXPRESS_SLOT_STATUS);

    update_link(slot);
    slot->control = get(slot, EXPRESS_SLOT_CONTROL);
    return get(slot, EXPRESS_LINK_STATUS) == link &&
           is_occupied(slot) == ((status & STATUS_PRESENCE) != 0);
}

/* ---- In the main loop ---- */

/* The last function first: the others are found through function 0. */
static void remove_all(struct pcie_slot *slot)
{
    for (unsigned function = FUNCTIONS; function-- > 0;) {
        struct pci_device *device = function_of(slot, function);

        if (device) {
            hotplug_removed(&device->device);
        }
    }
}

static void tell_refused(struct pcie_slot *slot)
{
    for (unsigned function = 0; function < FUNCTIONS; function++) {
        struct pci_device *device = function_of(slot, function);

        if (device) {
            hotplug_refused(&device->device);
        }
    }
}

static bool enter(struct pcie_slot *slot)
{
    memory_topology_begin();
    if (access_guard_enter(&slot->bridge->pci.device.guard)) {
        return true;
    }
    memory_topology_commit();
    return false;
}

/* The registers have changed. */
static void leave(struct pcie_slot *slot)
{
    update_link(slot);
    update_event(slot);
    access_guard_leave(&slot->bridge->pci.device.guard);
    pci_bridge_update(&slot->bridge->pci);
    memory_topology_commit();
}

static void on_task(void *opaque)
{
    struct pcie_slot *slot = opaque;
    bool ejected, refused;

    if (!enter(slot)) {
        return;
    }
    ejected = slot->ejected;
    refused = slot->refused;
    slot->ejected = slot->refused = false;
    leave(slot);
    if (ejected) {
        remove_all(slot);
    } else if (refused) {
        tell_refused(slot);
    }
}

static void announce(struct pci_hotplug *hotplug, struct pci_device *device)
{
    struct pcie_slot *slot = slot_of(hotplug);

    if (enter(slot)) {
        set_hidden(slot, false);
        set_presence(slot, true);
        if (get(slot, EXPRESS_SLOT_CONTROL) & CONTROL_POWER_OFF) {
            /* As a person would who has put it in. Linux listens to the button instead of presence,
             * where there is one; when it is told of both it does not wait for a second thought. */
            add_status(slot, STATUS_BUTTON);
        }
        leave(slot);
    }
}

static void request_unplug(struct pci_hotplug *hotplug, struct pci_device *device)
{
    struct pcie_slot *slot = slot_of(hotplug);
    uint16_t control;

    if (!is_occupied(slot)) { /* function 0 has not come yet */
        hotplug_removed(&device->device);
        return;
    }
    if (!enter(slot)) {
        return;
    }
    control = get(slot, EXPRESS_SLOT_CONTROL);
    if (control & CONTROL_POWER_OFF) { /* the guest has let go of it already */
        eject(slot);
    } else if (!slot->asked || (control & CONTROL_POWER_INDICATOR) != INDICATOR_BLINK) {
        /* Pressed while the indicator blinks, the button would call it off. */
        slot->asked = true;
        add_status(slot, STATUS_BUTTON);
    }
    leave(slot);
}

/* Without function 0 the slot is empty. */
static void tell_gone(struct pci_hotplug *hotplug, uint8_t devfn)
{
    struct pcie_slot *slot = slot_of(hotplug);

    if (devfn == 0 && enter(slot)) {
        eject(slot);
        leave(slot);
    }
}

/* ---- Life ---- */

void pcie_slot_init(struct pcie_slot *slot, struct pci_bridge *bridge, unsigned number,
                    bool can_hotplug)
{
    struct pci_device *port = &bridge->pci;
    unsigned at = port->express;
    uint32_t capabilities = number << CAP_NUMBER_SHIFT;

    *slot = (struct pcie_slot){
        .hotplug = {announce, request_unplug, tell_gone},
        .bridge = bridge,
        .can_hotplug = can_hotplug,
        .task = {.run = on_task, .opaque = slot},
    };
    pci_put(port->config, at + EXPRESS_FLAGS, 2,
            pci_get(port->config, at + EXPRESS_FLAGS, 2) | EXPRESS_FLAGS_SLOT);
    pci_put(port->config, at + EXPRESS_LINK_CAPABILITIES, 4,
            pci_get(port->config, at + EXPRESS_LINK_CAPABILITIES, 4) | EXPRESS_LINK_CAN_REPORT);
    pci_put(port->write_mask, at + EXPRESS_LINK_CONTROL, 2,
            pci_get(port->write_mask, at + EXPRESS_LINK_CONTROL, 2) | EXPRESS_LINK_DISABLE);
    if (can_hotplug) {
        capabilities |= CAP_BUTTON | CAP_POWER_CONTROLLER | CAP_ATTENTION_INDICATOR |
                        CAP_POWER_INDICATOR | CAP_SURPRISE | CAP_HOTPLUG;
        pci_put(port->write_mask, at + EXPRESS_SLOT_CONTROL, 2, CONTROL_MASK);
        pci_bus_set_hotplug(bridge->bus, &slot->hotplug);
    }
    pci_put(port->config, at + EXPRESS_SLOT_CAPABILITIES, 4, capabilities);
    pci_put(port->clear_mask, at + EXPRESS_SLOT_STATUS, 2, STATUS_EVENTS);
}

void pcie_slot_destroy(struct pcie_slot *slot)
{
    machine_cancel(slot->bridge->pci.device.machine, &slot->task);
    pci_bus_set_hotplug(slot->bridge->bus, NULL);
}
