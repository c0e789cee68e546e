/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INTx: Xen delivers it from the host's pin to the guest's, with masks and EOIs between. */
#include "backend-xen/passthrough/passthrough.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#define PIRQ_MAX 255 /* that xc_domain_bind_pt_pci_irq can name */

static unsigned slot_of(const struct xen_passthrough *pt)
{
    return pt->pci.devfn >> 3;
}

static unsigned pin_of(const struct xen_passthrough *pt)
{
    return pt->pci.config[PCI_INTERRUPT_PIN] - 1u;
}

/* Functions of one host device share their line, and Xen's number of it. */
static bool is_shared(const struct xen_passthrough *pt)
{
    GPtrArray *functions = pt->pci.device.bus->children;

    for (unsigned i = 0; i < functions->len; i++) {
        const struct device *device = g_ptr_array_index(functions, i);
        const struct xen_passthrough *other = (const struct xen_passthrough *)device;

        if (device->class == pt->pci.device.class && other != pt && device->realized &&
            other->intx_pirq == pt->intx_pirq) {
            return true;
        }
    }
    return false;
}

static void unmap(const struct xen_passthrough *pt)
{
    const struct xen_machine *xen = xen_pt_machine(pt);

    if (!is_shared(pt) && xc_physdev_unmap_pirq(xen->control, xen->domid, pt->intx_pirq) < 0) {
        xen_warn(xen, "%s: interrupt %d can't be taken back", pt->host.name, pt->intx_pirq);
    }
}

bool xen_pt_intx_bind(struct xen_passthrough *pt, GError **error)
{
    const struct xen_machine *xen = xen_pt_machine(pt);
    int pirq = (int)pt->host.irq;

    if (xc_physdev_map_pirq(xen->control, xen->domid, (int)pt->host.irq, &pirq) < 0) {
        return xen_fail(xen, error, "%s: its interrupt %u can't be had", pt->host.name,
                        pt->host.irq);
    }
    pt->intx_pirq = pirq;
    if (pirq > PIRQ_MAX) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "xen: domain %u: %s: its interrupt %d is beyond what Xen can bind to a pin",
                   xen->domid, pt->host.name, pirq);
    } else if (xc_domain_bind_pt_pci_irq(xen->control, xen->domid, (uint8_t)pirq, 0,
                                         (uint8_t)slot_of(pt), (uint8_t)pin_of(pt)) < 0) {
        xen_fail(xen, error, "%s: its interrupt %d can't be bound to the guest's pin",
                 pt->host.name, pirq);
    } else {
        return true;
    }
    unmap(pt);
    pt->intx_pirq = XEN_PT_NO_PIRQ;
    return false;
}

void xen_pt_intx_unbind(struct xen_passthrough *pt)
{
    const struct xen_machine *xen = xen_pt_machine(pt);

    if (pt->intx_pirq == XEN_PT_NO_PIRQ || xen_pt_is_over(pt)) {
        return;
    }
    if (xc_domain_unbind_pt_irq(xen->control, xen->domid, (uint8_t)pt->intx_pirq, PT_IRQ_TYPE_PCI,
                                0, (uint8_t)slot_of(pt), (uint8_t)pin_of(pt), 0) < 0) {
        xen_warn(xen, "%s: interrupt %d can't be unbound", pt->host.name, pt->intx_pirq);
    }
    unmap(pt);
    pt->intx_pirq = XEN_PT_NO_PIRQ;
}
