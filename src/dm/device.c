/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a device: made, set, realised, reset, saved, taken down. */
#include "dm/device.h"
#include "dm/machine.h"
#include "dm/nearest-word.h"
#include "util/error.h"

#include <assert.h>

static struct bus *machine_default_bus(struct machine *machine, enum bus_type type)
{
    struct bus *first = NULL;

    switch (type) {
    case BUS_ISA:
        return machine->isa_bus;
    case BUS_PCI:
        return machine->pci_bus;
    case BUS_SYSTEM:
        return machine->system_bus;
    default:
        break;
    }
    for (unsigned i = 0; i < machine->device_buses->len; i++) {
        struct bus *bus = g_ptr_array_index(machine->device_buses, i);

        if (bus->type == type) {
            first = first ? first : bus;
            if (!bus->ops || !bus->ops->is_full || !bus->ops->is_full(bus)) {
                return bus;
            }
        }
    }
    return first;
}

static bool apply_globals(struct device *device, GError **error)
{
    GPtrArray *globals = device->machine->config.globals;

    for (unsigned i = 0; globals && i < globals->len; i++) {
        const struct global_property *global = g_ptr_array_index(globals, i);

        if (!g_str_equal(global->driver, device->class->name) &&
            g_strcmp0(global->driver, device->class->alias) != 0) {
            continue;
        }
        if (!device_set_property(device, global->property, global->value, error)) {
            g_prefix_error(error, "-global %s.%s: ", global->driver, global->property);
            return false;
        }
    }
    return true;
}

struct device *device_new(struct machine *machine, const struct device_class *class,
                          struct bus *bus, const char *id, GError **error)
{
    struct device *device;

    if (!bus) {
        bus = machine_default_bus(machine, class->bus_type);
    }
    if (!bus || bus->type != class->bus_type) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "device '%s' has no bus of its kind in this machine%s%s", class->name,
                   bus ? ": it can't be on bus " : "", bus ? bus->name : "");
        return NULL;
    }
    assert(class->instance_size >= sizeof(struct device));
    device = g_malloc0(class->instance_size);
    device->class = class;
    device->machine = machine;
    device->bus = bus;
    device->id = g_strdup(id);
    access_guard_init(&device->guard);
    property_set_defaults(machine, device, class->properties);
    if (!apply_globals(device, error)) {
        device_destroy(device);
        return NULL;
    }
    return device;
}

/* "no property 'iobse': did you mean 'iobase'?", or the list of all. */
static bool fail_property(const struct device_class *class, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *list = NULL, *shown = g_utf8_make_valid(name, -1);
    const char *nearest;

    for (const struct property *p = class->properties; p && p->name; p++) {
        g_ptr_array_add(names, (void *)p->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = nearest_word(name, (const char *const *)names->pdata);
    if (nearest) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "device '%s' has no property '%s': did you mean '%s'?", class->name,
                          shown, nearest);
    }
    list = g_strjoinv(", ", (char **)names->pdata);
    return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "device '%s' has no property '%s': it has %s",
                      class->name, shown, *list ? list : "none");
}

bool device_set_property(struct device *device, const char *name, const char *value, GError **error)
{
    const struct property *property = property_find(device->class->properties, name);

    if (!property) {
        return fail_property(device->class, name, error);
    }
    if (device->realized) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "property '%s' of device '%s' can be set only before it is realised",
                          name, device->class->name);
    }
    if (!property_set(device->machine, device, property, value, error)) {
        g_prefix_error(error, "device '%s': ", device->class->name);
        return false;
    }
    return true;
}

/*
 * Realise and unrealise run without the guard: nobody else knows the device yet (or any more), and
 * they edit the memory topology, whose lock comes before guards.
 */
bool device_realize(struct device *device, GError **error)
{
    const struct device_class *class = device->class;
    const struct bus_ops *ops = device->bus->ops;

    assert(!device->realized);
    if (ops && ops->prepare && !ops->prepare(device, error)) {
        goto prefix;
    }
    if (class->realize && !class->realize(device, error)) {
        goto release;
    }
    if (ops && ops->plug && !ops->plug(device, error)) {
        goto unrealize;
    }
    g_ptr_array_add(device->bus->children, device);
    device->realized = true;
    return true;

unrealize:
    if (class->unrealize) {
        class->unrealize(device);
    }
release:
    if (ops && ops->release) {
        ops->release(device);
    }
prefix:
    g_prefix_error(error, "device '%s': ", class->name);
    return false;
}

static void device_unrealize(struct device *device)
{
    const struct bus_ops *ops = device->bus->ops;

    device->realized = false;
    g_ptr_array_remove(device->bus->children, device);
    if (ops && ops->unplug) {
        ops->unplug(device);
    }
    if (device->class->unrealize) {
        device->class->unrealize(device);
    }
    if (ops && ops->release) {
        ops->release(device);
    }
}

void device_destroy(struct device *device)
{
    if (!device) {
        return;
    }
    if (device->realized) {
        device_unrealize(device);
    }
    property_free_values(device, device->class->properties);
    access_guard_destroy(&device->guard);
    g_free(device->id);
    g_free(device);
}

struct device *device_create(struct machine *machine, const char *class_name, struct bus *bus,
                             GError **error, ...)
{
    const struct device_class *class = device_class_find(class_name);
    struct device *device;
    const char *name;
    va_list args;
    bool good = true;

    if (!class) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no device class '%s'", class_name);
        return NULL;
    }
    device = device_new(machine, class, bus, NULL, error);
    if (!device) {
        return NULL;
    }
    va_start(args, error);
    while (good && (name = va_arg(args, const char *))) {
        good = device_set_property(device, name, va_arg(args, const char *), error);
    }
    va_end(args);
    if (!good || !device_realize(device, error)) {
        device_destroy(device);
        return NULL;
    }
    return device;
}

void device_reset(struct device *device)
{
    const struct bus_ops *ops = device->bus->ops;
    bool entered;

    /* A reset may move what the device maps: the topology's lock comes before the guard. */
    memory_topology_begin();
    /* Not entered: the device resets itself, from a callback that holds the guard. */
    entered = access_guard_enter(&device->guard);
    if (ops && ops->reset) {
        ops->reset(device);
    }
    if (device->class->reset) {
        device->class->reset(device);
    }
    if (entered) {
        access_guard_leave(&device->guard);
    }
    memory_topology_commit();
}

char *device_place(const struct device *device)
{
    const struct bus *bus = device->bus;
    unsigned number = 0;

    if (bus->ops && bus->ops->address) {
        g_autofree char *address = bus->ops->address(device);

        return g_strdup_printf("%s/%s", bus->name, address);
    }
    for (unsigned i = 0; i < bus->children->len; i++) {
        const struct device *other = g_ptr_array_index(bus->children, i);

        if (other == device) {
            break;
        }
        number += other->class == device->class;
    }
    return g_strdup_printf("%s[%u]", device->class->name, number);
}

char *device_describe(const struct device *device)
{
    return device->id ? g_strdup(device->id) : device_place(device);
}

char *device_state_name(const struct device *device)
{
    g_autofree char *place = device_place(device);
    const char *id = device->id;

    if (!device->bus->ops || !device->bus->ops->address) { /* its class is in its place */
        return g_strconcat(place, id ? " " : NULL, id, NULL);
    }
    return g_strconcat(device->class->name, id ? " " : "", id ? id : "", " at ", place, NULL);
}

static const struct state_description *bus_state(const struct device *device)
{
    return device->bus->ops ? device->bus->ops->state : NULL;
}

bool device_has_state(const struct device *device)
{
    return bus_state(device) || device->class->state;
}

void device_save_state(struct device *device, GByteArray *stream)
{
    g_autofree char *instance = device_state_name(device);
    bool entered = access_guard_enter(&device->guard);

    if (bus_state(device)) {
        state_save(stream, bus_state(device), device, instance);
    }
    if (device->class->state) {
        state_save(stream, device->class->state, device, instance);
    }
    if (entered) {
        access_guard_leave(&device->guard);
    }
}

/* Both sections, or neither: undo holds what the device was before. */
static bool load_sections(struct device *device, const char *instance, const uint8_t *stream,
                          size_t length, size_t *consumed, GError **error)
{
    const struct state_description *sections[] = {bus_state(device), device->class->state};
    g_autoptr(GByteArray) undo = g_byte_array_new();
    size_t used, ignored;

    *consumed = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(sections); i++) {
        if (!sections[i]) {
            continue;
        }
        if (i == 0) {
            state_save(undo, sections[i], device, instance);
        }
        if (!state_load(stream + *consumed, length - *consumed, sections[i], device, instance,
                        &used, error)) {
            if (i > 0 && undo->len) {
                state_load(undo->data, undo->len, sections[0], device, instance, &ignored, NULL);
            }
            return false;
        }
        *consumed += used;
    }
    return true;
}

bool device_load_state(struct device *device, const uint8_t *stream, size_t length,
                       size_t *consumed, GError **error)
{
    g_autofree char *instance = device_state_name(device);
    bool entered, loaded;

    memory_topology_begin();
    entered = access_guard_enter(&device->guard);
    loaded = load_sections(device, instance, stream, length, consumed, error);
    if (entered) {
        access_guard_leave(&device->guard);
    }
    memory_topology_commit();
    return loaded;
}
