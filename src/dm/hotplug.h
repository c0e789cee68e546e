/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that users add and remove: -device, device_add, device_del. Once the board is complete a
 * device is plugged into a machine that a guest may be using: its bus announces it when it is ready
 * to be used, and asks the guest to let go of it before it is taken away. Main loop only.
 */
#ifndef DUODM_DM_HOTPLUG_H
#define DUODM_DM_HOTPLUG_H

#include "dm/device.h"

struct key_values;

/* A class of any kind, those that only engines have (and boards make) among them; NULL: none. */
const struct device_class *device_class_find_any(const char *name);
/* The class that a user may name so. NULL: the error says which name may have been meant. */
const struct device_class *device_class_for_user(const char *name, GError **error);

/* Make a device as the user's list has it: driver, id, bus, and the class's properties. On failure
 * nothing is left of it. */
bool hotplug_add(struct machine *machine, const struct key_values *list, GError **error);

/*
 * Have the guest asked to let go of a device; it is gone when the event DEVICE_DELETED says so. A
 * device that no guest has seen yet is gone at once; with force any is, as if it were torn out.
 */
bool hotplug_remove(struct machine *machine, const char *id, bool force, GError **error);

/* For a device whose host wants it back: the same, without force. */
bool hotplug_request_unplug(struct device *device, GError **error);

/* For buses: the guest let go of the device, or never will need it: destroy it, and tell. */
void hotplug_removed(struct device *device);
/* For buses: the guest won't let go. */
void hotplug_refused(struct device *device);

/* The device of that id on any bus; NULL if there is none. */
struct device *hotplug_find(struct machine *machine, const char *id);

/* For hotplug-*.c: all buses by index, the machine's three first (NULL: it lacks that one). */
struct bus *hotplug_bus_at(struct machine *machine, unsigned index);
unsigned hotplug_bus_count(const struct machine *machine);
/* Can the device come to its bus, or go, while the machine runs? */
bool hotplug_check(const struct device *device, GError **error);

/*
 * What else device_add and device_del can add and remove (vCPUs): one row each in hotplug-kinds.c.
 * add and remove are as above.
 */
struct hotplug_kind {
    bool (*has_driver)(struct machine *machine, const char *driver);
    bool (*has_id)(struct machine *machine, const char *id);
    bool (*add)(struct machine *machine, const struct key_values *list, GError **error);
    bool (*remove)(struct machine *machine, const char *id, GError **error);
};
extern const struct hotplug_kind *const hotplug_kind_table[]; /* ended by NULL */
const struct hotplug_kind *hotplug_kind_of_id(struct machine *machine, const char *id);

#endif
