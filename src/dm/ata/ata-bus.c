/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/ata/ata-drive.h"
#include "dm/machine.h"
#include "util/error.h"

static bool is_full(const struct bus *base)
{
    const struct ata_bus *bus = (const struct ata_bus *)base;

    for (unsigned i = 0; i < bus->units; i++) {
        if (!bus->drives[i]) {
            return false;
        }
    }
    return true;
}

/* The place that was asked for, or the first that is free. */
static bool prepare(struct device *device, GError **error)
{
    struct ata_drive *drive = (struct ata_drive *)device;
    const struct ata_bus *bus = ata_drive_bus(drive);

    if (drive->unit == ATA_UNIT_ANY) {
        for (drive->unit = 0; drive->unit < bus->units && bus->drives[drive->unit];) {
            drive->unit++;
        }
        return drive->unit < bus->units ||
               duodm_fail(error, DUODM_ERROR_BUSY, "bus %s has no place for another drive",
                          bus->base.name);
    }
    if (drive->unit >= bus->units) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "unit=%u: bus %s has %u place%s for drives, from 0 on", drive->unit,
                          bus->base.name, bus->units, bus->units > 1 ? "s" : "");
    }
    return !bus->drives[drive->unit] ||
           duodm_fail(error, DUODM_ERROR_BUSY, "unit=%u: there is a drive at that place of bus %s",
                      drive->unit, bus->base.name);
}

static void set_drive(struct device *device, struct ata_drive *drive)
{
    struct ata_drive *self = (struct ata_drive *)device;
    struct ata_bus *bus = ata_drive_bus(self);
    bool entered = access_guard_enter(bus->guard);

    bus->drives[self->unit] = drive;
    if (entered) {
        access_guard_leave(bus->guard);
    }
}

static bool plug(struct device *device, GError **error)
{
    set_drive(device, (struct ata_drive *)device);
    return true;
}

static void unplug(struct device *device)
{
    set_drive(device, NULL);
}

static char *address(const struct device *device)
{
    return g_strdup_printf("%u", ((const struct ata_drive *)device)->unit);
}

static const struct bus_ops ata_bus_ops = {
    .address = address,
    .prepare = prepare,
    .plug = plug,
    .unplug = unplug,
    .is_full = is_full,
};

void ata_bus_init(struct ata_bus *bus, const char *name, struct ata_master *master,
                  const struct ata_host_ops *ops, unsigned units, unsigned number)
{
    struct pci_device *controller = master->pci;

    bus_init(&bus->base, &ata_bus_ops, BUS_ATA, name, &controller->device);
    bus->controller = controller;
    bus->master = master;
    bus->ops = ops;
    bus->guard = &controller->device.guard;
    bus->units = units;
    bus->number = number;
    bus_offer(controller->device.machine, &bus->base);
}

void ata_bus_clear(struct ata_bus *bus)
{
    bus_withdraw(bus->controller->device.machine, &bus->base);
    bus_clear(&bus->base);
}
