/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ranges of addresses and ports whose accesses Xen sends here: always those that callbacks
 * answer in the memory layer's views. Memory that devices bring is put where it is to be seen.
 */
#include "backend-xen/xen-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>

#define MEMORY_LISTENER_OF(listener_)                                                              \
    ((struct xen_machine *)((uint8_t *)(listener_)-offsetof(struct xen_machine, memory_listener)))
#define IO_LISTENER_OF(listener_)                                                                  \
    ((struct xen_machine *)((uint8_t *)(listener_)-offsetof(struct xen_machine, io_listener)))

static bool add_range(const struct xen_machine *xen, const struct listener_section *section,
                      bool is_memory, GError **error)
{
    uint64_t last = section->start + (section->length - 1);

    return xendevicemodel_map_io_range_to_ioreq_server(xen->devices, xen->domid, xen->server,
                                                       is_memory, section->start, last) == 0 ||
           xen_fail(xen, error, "accesses to '%s', %s 0x%" PRIx64 " to 0x%" PRIx64 ", can't be had",
                    section->region->name, is_memory ? "memory" : "ports", section->start, last);
}

static void remove_range(const struct xen_machine *xen, const struct listener_section *section,
                         bool is_memory)
{
    uint64_t last = section->start + (section->length - 1);

    if (xendevicemodel_unmap_io_range_from_ioreq_server(xen->devices, xen->domid, xen->server,
                                                        is_memory, section->start, last) < 0) {
        xen_warn(xen, "accesses to %s 0x%" PRIx64 " to 0x%" PRIx64 " still come here",
                 is_memory ? "memory" : "ports", section->start, last);
    }
}

static bool is_answered(const struct listener_section *section)
{
    enum memory_region_kind kind = section->region->kind;

    return kind != MEMORY_RESERVATION && kind != MEMORY_IOMMU;
}

static bool is_guest_ram(const struct xen_machine *xen, const struct listener_section *section)
{
    return section->region == &xen->machine->ram;
}

static bool memory_section_add(struct memory_listener *listener,
                               const struct listener_section *section, GError **error)
{
    struct xen_machine *xen = MEMORY_LISTENER_OF(listener);
    bool placed;

    if (is_guest_ram(xen, section)) {
        if (section->read_only) {
            xen_set_read_only(xen, section, true);
        }
        return true;
    }
    if (!xen_place_ram(xen, section, &placed, error)) {
        return false;
    }
    return placed || !is_answered(section) || add_range(xen, section, true, error);
}

static void memory_section_remove(struct memory_listener *listener,
                                  const struct listener_section *section)
{
    struct xen_machine *xen = MEMORY_LISTENER_OF(listener);

    if (is_guest_ram(xen, section)) {
        if (section->read_only) {
            xen_set_read_only(xen, section, false);
        }
    } else if (!xen_displace_ram(xen, section) && is_answered(section)) {
        remove_range(xen, section, true);
    }
}

static void memory_log_sync(struct memory_listener *listener)
{
    xen_sync_dirty_ram(MEMORY_LISTENER_OF(listener));
}

static bool io_section_add(struct memory_listener *listener, const struct listener_section *section,
                           GError **error)
{
    struct xen_machine *xen = IO_LISTENER_OF(listener);

    return !is_answered(section) || add_range(xen, section, false, error);
}

static void io_section_remove(struct memory_listener *listener,
                              const struct listener_section *section)
{
    struct xen_machine *xen = IO_LISTENER_OF(listener);

    if (is_answered(section)) {
        remove_range(xen, section, false);
    }
}

/* The guest goes on without the device that it just mapped: accesses there read as ones. */
static void failed(struct memory_listener *listener, const struct listener_section *section,
                   const GError *error)
{
    log_warning("%s", error->message);
}

bool xen_register_listeners(struct xen_machine *xen, GError **error)
{
    xen->memory_listener = (struct memory_listener){
        .name = "xen",
        .section_add = memory_section_add,
        .section_remove = memory_section_remove,
        .log_sync = memory_log_sync,
        .failed = failed,
    };
    xen->io_listener = (struct memory_listener){
        .name = "xen-io",
        .section_add = io_section_add,
        .section_remove = io_section_remove,
        .failed = failed,
    };
    return memory_listener_register(&xen->memory_listener, &xen->machine->as_memory, error) &&
           memory_listener_register(&xen->io_listener, &xen->machine->as_io, error);
}

void xen_unregister_listeners(struct xen_machine *xen)
{
    memory_listener_unregister(&xen->io_listener);
    memory_listener_unregister(&xen->memory_listener);
}

/* Configuration cycles. */

bool xen_add_pci_function(struct machine *machine, unsigned devfn, GError **error)
{
    const struct xen_machine *xen = xen_of(machine);

    return xendevicemodel_map_pcidev_to_ioreq_server(xen->devices, xen->domid, xen->server, 0, 0,
                                                     (uint8_t)(devfn >> 3), devfn & 7) == 0 ||
           xen_fail(xen, error, "configuration cycles of 00:%02x.%x can't be had", devfn >> 3,
                    devfn & 7);
}

void xen_remove_pci_function(struct machine *machine, unsigned devfn)
{
    const struct xen_machine *xen = xen_of(machine);

    xendevicemodel_unmap_pcidev_from_ioreq_server(xen->devices, xen->domid, xen->server, 0, 0,
                                                  (uint8_t)(devfn >> 3), devfn & 7);
}
