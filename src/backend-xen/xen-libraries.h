/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xen's libraries, loaded when the engine is asked for: a host with KVM need not have them, and its
 * machines start without them. A function that is to be called has a line in both lists.
 */
#ifndef DUODM_BACKEND_XEN_XEN_LIBRARIES_H
#define DUODM_BACKEND_XEN_XEN_LIBRARIES_H

#include <glib.h>
#include <stdbool.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoolcore.h>

/* By library. */
#define XENCTRL_FUNCTIONS(F)                                                                       \
    F(xc_domain_bind_pt_pci_irq)                                                                   \
    F(xc_domain_decrease_reservation_exact)                                                        \
    F(xc_domain_getinfo)                                                                           \
    F(xc_domain_hvm_getcontext_partial)                                                            \
    F(xc_domain_iomem_permission)                                                                  \
    F(xc_domain_ioport_mapping)                                                                    \
    F(xc_domain_memory_mapping)                                                                    \
    F(xc_domain_populate_physmap_exact)                                                            \
    F(xc_domain_unbind_msi_irq)                                                                    \
    F(xc_domain_unbind_pt_irq)                                                                     \
    F(xc_domain_update_msi_irq)                                                                    \
    F(xc_hvm_param_get)                                                                            \
    F(xc_hvm_param_set)                                                                            \
    F(xc_interface_close)                                                                          \
    F(xc_interface_open)                                                                           \
    F(xc_physdev_map_pirq)                                                                         \
    F(xc_physdev_map_pirq_msi)                                                                     \
    F(xc_physdev_unmap_pirq)                                                                       \
    F(xc_test_assign_device)                                                                       \
    F(xc_translate_foreign_address)
#define XENDEVICEMODEL_FUNCTIONS(F)                                                                \
    F(xendevicemodel_close)                                                                        \
    F(xendevicemodel_create_ioreq_server)                                                          \
    F(xendevicemodel_destroy_ioreq_server)                                                         \
    F(xendevicemodel_get_ioreq_server_info)                                                        \
    F(xendevicemodel_inject_msi)                                                                   \
    F(xendevicemodel_map_io_range_to_ioreq_server)                                                 \
    F(xendevicemodel_map_pcidev_to_ioreq_server)                                                   \
    F(xendevicemodel_modified_memory)                                                              \
    F(xendevicemodel_nr_vcpus)                                                                     \
    F(xendevicemodel_open)                                                                         \
    F(xendevicemodel_pin_memory_cacheattr)                                                         \
    F(xendevicemodel_relocate_memory)                                                              \
    F(xendevicemodel_set_ioreq_server_state)                                                       \
    F(xendevicemodel_set_isa_irq_level)                                                            \
    F(xendevicemodel_set_mem_type)                                                                 \
    F(xendevicemodel_set_pci_intx_level)                                                           \
    F(xendevicemodel_set_pci_link_route)                                                           \
    F(xendevicemodel_shutdown)                                                                     \
    F(xendevicemodel_track_dirty_vram)                                                             \
    F(xendevicemodel_unmap_io_range_from_ioreq_server)                                             \
    F(xendevicemodel_unmap_pcidev_from_ioreq_server)
#define XENEVTCHN_FUNCTIONS(F)                                                                     \
    F(xenevtchn_bind_interdomain)                                                                  \
    F(xenevtchn_bind_unbound_port)                                                                 \
    F(xenevtchn_close)                                                                             \
    F(xenevtchn_notify)                                                                            \
    F(xenevtchn_open)                                                                              \
    F(xenevtchn_pending)                                                                           \
    F(xenevtchn_unmask)
#define XENFOREIGNMEMORY_FUNCTIONS(F)                                                              \
    F(xenforeignmemory_close)                                                                      \
    F(xenforeignmemory_map)                                                                        \
    F(xenforeignmemory_map2)                                                                       \
    F(xenforeignmemory_map_resource)                                                               \
    F(xenforeignmemory_open)                                                                       \
    F(xenforeignmemory_unmap)                                                                      \
    F(xenforeignmemory_unmap_resource)
#define XENSTORE_FUNCTIONS(F)                                                                      \
    F(xs_check_watch)                                                                              \
    F(xs_close)                                                                                    \
    F(xs_directory)                                                                                \
    F(xs_fileno)                                                                                   \
    F(xs_mkdir)                                                                                    \
    F(xs_open)                                                                                     \
    F(xs_read)                                                                                     \
    F(xs_transaction_end)                                                                          \
    F(xs_transaction_start)                                                                        \
    F(xs_unwatch)                                                                                  \
    F(xs_watch)                                                                                    \
    F(xs_write)
#define XENTOOLCORE_FUNCTIONS(F) F(xentoolcore_restrict_all)

struct xen_libraries {
#define XEN_LIBRARIES_MEMBER(name) __typeof__(name) *name;
    XENCTRL_FUNCTIONS(XEN_LIBRARIES_MEMBER)
    XENDEVICEMODEL_FUNCTIONS(XEN_LIBRARIES_MEMBER)
    XENEVTCHN_FUNCTIONS(XEN_LIBRARIES_MEMBER)
    XENFOREIGNMEMORY_FUNCTIONS(XEN_LIBRARIES_MEMBER)
    XENSTORE_FUNCTIONS(XEN_LIBRARIES_MEMBER)
    XENTOOLCORE_FUNCTIONS(XEN_LIBRARIES_MEMBER)
#undef XEN_LIBRARIES_MEMBER
};

/* The process's: written once, before the engine is made. */
extern struct xen_libraries xen_libraries;
/* False, and an error that names the package, if one is not there. */
bool xen_libraries_load(GError **error);

/* Calls go through the pointers. */
#define xc_domain_bind_pt_pci_irq(...) xen_libraries.xc_domain_bind_pt_pci_irq(__VA_ARGS__)
#define xc_domain_decrease_reservation_exact(...)                                                  \
    xen_libraries.xc_domain_decrease_reservation_exact(__VA_ARGS__)
#define xc_domain_getinfo(...) xen_libraries.xc_domain_getinfo(__VA_ARGS__)
#define xc_domain_hvm_getcontext_partial(...)                                                      \
    xen_libraries.xc_domain_hvm_getcontext_partial(__VA_ARGS__)
#define xc_domain_iomem_permission(...) xen_libraries.xc_domain_iomem_permission(__VA_ARGS__)
#define xc_domain_ioport_mapping(...)   xen_libraries.xc_domain_ioport_mapping(__VA_ARGS__)
#define xc_domain_memory_mapping(...)   xen_libraries.xc_domain_memory_mapping(__VA_ARGS__)
#define xc_domain_populate_physmap_exact(...)                                                      \
    xen_libraries.xc_domain_populate_physmap_exact(__VA_ARGS__)
#define xc_domain_unbind_msi_irq(...)     xen_libraries.xc_domain_unbind_msi_irq(__VA_ARGS__)
#define xc_domain_unbind_pt_irq(...)      xen_libraries.xc_domain_unbind_pt_irq(__VA_ARGS__)
#define xc_domain_update_msi_irq(...)     xen_libraries.xc_domain_update_msi_irq(__VA_ARGS__)
#define xc_hvm_param_get(...)             xen_libraries.xc_hvm_param_get(__VA_ARGS__)
#define xc_hvm_param_set(...)             xen_libraries.xc_hvm_param_set(__VA_ARGS__)
#define xc_interface_close(...)           xen_libraries.xc_interface_close(__VA_ARGS__)
#define xc_interface_open(...)            xen_libraries.xc_interface_open(__VA_ARGS__)
#define xc_physdev_map_pirq(...)          xen_libraries.xc_physdev_map_pirq(__VA_ARGS__)
#define xc_physdev_map_pirq_msi(...)      xen_libraries.xc_physdev_map_pirq_msi(__VA_ARGS__)
#define xc_physdev_unmap_pirq(...)        xen_libraries.xc_physdev_unmap_pirq(__VA_ARGS__)
#define xc_test_assign_device(...)        xen_libraries.xc_test_assign_device(__VA_ARGS__)
#define xc_translate_foreign_address(...) xen_libraries.xc_translate_foreign_address(__VA_ARGS__)
#define xendevicemodel_close(...)         xen_libraries.xendevicemodel_close(__VA_ARGS__)
#define xendevicemodel_create_ioreq_server(...)                                                    \
    xen_libraries.xendevicemodel_create_ioreq_server(__VA_ARGS__)
#define xendevicemodel_destroy_ioreq_server(...)                                                   \
    xen_libraries.xendevicemodel_destroy_ioreq_server(__VA_ARGS__)
#define xendevicemodel_get_ioreq_server_info(...)                                                  \
    xen_libraries.xendevicemodel_get_ioreq_server_info(__VA_ARGS__)
#define xendevicemodel_inject_msi(...) xen_libraries.xendevicemodel_inject_msi(__VA_ARGS__)
#define xendevicemodel_map_io_range_to_ioreq_server(...)                                           \
    xen_libraries.xendevicemodel_map_io_range_to_ioreq_server(__VA_ARGS__)
#define xendevicemodel_map_pcidev_to_ioreq_server(...)                                             \
    xen_libraries.xendevicemodel_map_pcidev_to_ioreq_server(__VA_ARGS__)
#define xendevicemodel_modified_memory(...)                                                        \
    xen_libraries.xendevicemodel_modified_memory(__VA_ARGS__)
#define xendevicemodel_nr_vcpus(...) xen_libraries.xendevicemodel_nr_vcpus(__VA_ARGS__)
#define xendevicemodel_open(...)     xen_libraries.xendevicemodel_open(__VA_ARGS__)
#define xendevicemodel_pin_memory_cacheattr(...)                                                   \
    xen_libraries.xendevicemodel_pin_memory_cacheattr(__VA_ARGS__)
#define xendevicemodel_relocate_memory(...)                                                        \
    xen_libraries.xendevicemodel_relocate_memory(__VA_ARGS__)
#define xendevicemodel_set_ioreq_server_state(...)                                                 \
    xen_libraries.xendevicemodel_set_ioreq_server_state(__VA_ARGS__)
#define xendevicemodel_set_isa_irq_level(...)                                                      \
    xen_libraries.xendevicemodel_set_isa_irq_level(__VA_ARGS__)
#define xendevicemodel_set_mem_type(...) xen_libraries.xendevicemodel_set_mem_type(__VA_ARGS__)
#define xendevicemodel_set_pci_intx_level(...)                                                     \
    xen_libraries.xendevicemodel_set_pci_intx_level(__VA_ARGS__)
#define xendevicemodel_set_pci_link_route(...)                                                     \
    xen_libraries.xendevicemodel_set_pci_link_route(__VA_ARGS__)
#define xendevicemodel_shutdown(...) xen_libraries.xendevicemodel_shutdown(__VA_ARGS__)
#define xendevicemodel_track_dirty_vram(...)                                                       \
    xen_libraries.xendevicemodel_track_dirty_vram(__VA_ARGS__)
#define xendevicemodel_unmap_io_range_from_ioreq_server(...)                                       \
    xen_libraries.xendevicemodel_unmap_io_range_from_ioreq_server(__VA_ARGS__)
#define xendevicemodel_unmap_pcidev_from_ioreq_server(...)                                         \
    xen_libraries.xendevicemodel_unmap_pcidev_from_ioreq_server(__VA_ARGS__)
#define xenevtchn_bind_interdomain(...)    xen_libraries.xenevtchn_bind_interdomain(__VA_ARGS__)
#define xenevtchn_bind_unbound_port(...)   xen_libraries.xenevtchn_bind_unbound_port(__VA_ARGS__)
#define xenevtchn_close(...)               xen_libraries.xenevtchn_close(__VA_ARGS__)
#define xenevtchn_notify(...)              xen_libraries.xenevtchn_notify(__VA_ARGS__)
#define xenevtchn_open(...)                xen_libraries.xenevtchn_open(__VA_ARGS__)
#define xenevtchn_pending(...)             xen_libraries.xenevtchn_pending(__VA_ARGS__)
#define xenevtchn_unmask(...)              xen_libraries.xenevtchn_unmask(__VA_ARGS__)
#define xenforeignmemory_close(...)        xen_libraries.xenforeignmemory_close(__VA_ARGS__)
#define xenforeignmemory_map(...)          xen_libraries.xenforeignmemory_map(__VA_ARGS__)
#define xenforeignmemory_map2(...)         xen_libraries.xenforeignmemory_map2(__VA_ARGS__)
#define xenforeignmemory_map_resource(...) xen_libraries.xenforeignmemory_map_resource(__VA_ARGS__)
#define xenforeignmemory_open(...)         xen_libraries.xenforeignmemory_open(__VA_ARGS__)
#define xenforeignmemory_unmap(...)        xen_libraries.xenforeignmemory_unmap(__VA_ARGS__)
#define xenforeignmemory_unmap_resource(...)                                                       \
    xen_libraries.xenforeignmemory_unmap_resource(__VA_ARGS__)
#define xentoolcore_restrict_all(...) xen_libraries.xentoolcore_restrict_all(__VA_ARGS__)
#define xs_check_watch(...)           xen_libraries.xs_check_watch(__VA_ARGS__)
#define xs_close(...)                 xen_libraries.xs_close(__VA_ARGS__)
#define xs_directory(...)             xen_libraries.xs_directory(__VA_ARGS__)
#define xs_fileno(...)                xen_libraries.xs_fileno(__VA_ARGS__)
#define xs_mkdir(...)                 xen_libraries.xs_mkdir(__VA_ARGS__)
#define xs_open(...)                  xen_libraries.xs_open(__VA_ARGS__)
#define xs_read(...)                  xen_libraries.xs_read(__VA_ARGS__)
#define xs_transaction_end(...)       xen_libraries.xs_transaction_end(__VA_ARGS__)
#define xs_transaction_start(...)     xen_libraries.xs_transaction_start(__VA_ARGS__)
#define xs_unwatch(...)               xen_libraries.xs_unwatch(__VA_ARGS__)
#define xs_watch(...)                 xen_libraries.xs_watch(__VA_ARGS__)
#define xs_write(...)                 xen_libraries.xs_write(__VA_ARGS__)

#endif
