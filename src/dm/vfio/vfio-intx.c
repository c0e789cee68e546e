/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INTx. The host masks a device's line when it rises and signals a descriptor; the guest's line is
 * high from then on until a processor has served the interrupt (its EOI): then the line falls and
 * the host unmasks, which brings the next signal at once if the device has not let go of its line.
 *
 * Where interrupt controllers are in the kernel, that does all of it by two event descriptors, for
 * the GSI that the pin leads to. Elsewhere signals come to the I/O thread and EOIs from the
 * controllers here. There, any EOI is taken for this device's: a line that falls too early comes
 * back by the same way. Where the guest's controllers tell no EOI at all (xen), the next access to
 * a BAR is taken for it: that a driver serves its device with.
 */
#include "dm/machine.h"
#include "dm/pci/pci-regs.h"
#include "dm/vfio/vfio-pci.h"
#include "util/log.h"
#include "util/trace.h"

#include <unistd.h>

static void warn(const GError *error)
{
    if (error) {
        log_warning("%s", error->message);
    }
}

/* The following with intx_lock held. */

static void lower_line(struct vfio_pci *vfio)
{
    __atomic_store_n(&vfio->intx_asserted, false, __ATOMIC_SEQ_CST);
    pci_set_interrupt(&vfio->pci, false);
}

static void detach(struct vfio_pci *vfio)
{
    const struct irqfd_ops *ops = vfio->pci.device.machine->engine->irqfd;

    if (vfio->intx_irqfd) {
        vfio->device->ops->set_unmask_descriptor(vfio->device, -1, NULL);
        ops->detach(vfio->intx_irqfd);
        vfio->intx_irqfd = NULL;
    }
    if (vfio->intx_unmask >= 0) {
        close(vfio->intx_unmask);
        vfio->intx_unmask = -1;
    }
    vfio->intx_gsi = 0;
}

/* Let the kernel do it for a GSI. */
static bool attach(struct vfio_pci *vfio, unsigned gsi)
{
    struct machine *machine = vfio->pci.device.machine;

    vfio->intx_unmask = vfio_event_new(NULL);
    if (vfio->intx_unmask >= 0) {
        vfio->intx_irqfd = machine->engine->irqfd->attach_gsi(machine, vfio->intx_descriptor,
                                                              vfio->intx_unmask, gsi, NULL);
    }
    if (vfio->intx_irqfd &&
        vfio->device->ops->set_unmask_descriptor(vfio->device, vfio->intx_unmask, NULL)) {
        vfio->intx_gsi = gsi;
        return true;
    }
    detach(vfio);
    return false;
}

/* The GSI for which the kernel may do it; 0: it can't, or the guest has the pin switched off. */
static unsigned direct_gsi(const struct vfio_pci *vfio)
{
    uint32_t command = pci_get(vfio->pci.config, PCI_COMMAND, 2);

    return vfio->no_irqfd || !vfio->pci.device.machine->engine->irqfd ||
                   (command & PCI_COMMAND_INTERRUPT_DISABLE)
               ? 0
               : pci_device_gsi(&vfio->pci);
}

/* A signal whose EOI nobody will tell any more leaves the host's mask: take that off. If the device
 * still wants something it says so again. */
static void route(struct vfio_pci *vfio)
{
    unsigned gsi = direct_gsi(vfio);
    g_autoptr(GError) error = NULL;

    if (vfio->intx_descriptor < 0 || gsi == vfio->intx_gsi) {
        return;
    }
    if (vfio->intx_irqfd) {
        detach(vfio);
    } else {
        vfio_event_ignore(vfio, vfio->intx_descriptor);
        lower_line(vfio);
    }
    if (gsi == 0 || !attach(vfio, gsi)) {
        vfio_event_watch(vfio, vfio->intx_descriptor, VFIO_EVENT_INTX, 0, &error);
    }
    if (!error) {
        vfio->device->ops->unmask(vfio->device, &error);
    }
    warn(error);
}

/* The following without it. */

/* In the I/O thread. */
void vfio_intx_signalled(struct vfio_pci *vfio)
{
    trace_vfio_interrupt(vfio->device->name, VFIO_IRQ_INTX, 0);
    pthread_mutex_lock(&vfio->intx_lock);
    if (vfio->intx_descriptor >= 0 && !vfio->intx_irqfd) {
        /* First: the guest's EOI may come as soon as the line is high. */
        __atomic_store_n(&vfio->intx_asserted, true, __ATOMIC_SEQ_CST);
        pci_set_interrupt(&vfio->pci, true);
    }
    pthread_mutex_unlock(&vfio->intx_lock);
}

/* In a vCPU's thread. */
static void on_eoi(void *opaque, unsigned gsi)
{
    struct vfio_pci *vfio = opaque;
    g_autoptr(GError) error = NULL;

    if (!__atomic_load_n(&vfio->intx_asserted, __ATOMIC_SEQ_CST)) {
        return;
    }
    pthread_mutex_lock(&vfio->intx_lock);
    if (vfio->intx_asserted) {
        lower_line(vfio);
        vfio->device->ops->unmask(vfio->device, &error);
    }
    pthread_mutex_unlock(&vfio->intx_lock);
    warn(error);
}

void vfio_intx_accessed(struct vfio_pci *vfio)
{
    if (vfio->pci.device.machine->engine->attaches) {
        on_eoi(vfio, 0);
    }
}

void vfio_intx_update(struct vfio_pci *vfio)
{
    pthread_mutex_lock(&vfio->intx_lock);
    route(vfio);
    pthread_mutex_unlock(&vfio->intx_lock);
}

bool vfio_intx_enable(struct vfio_pci *vfio, GError **error)
{
    int descriptor;

    if (!vfio->device->vectors[VFIO_IRQ_INTX] || vfio->intx_descriptor >= 0) {
        return true;
    }
    descriptor = vfio_event_new(error);
    if (descriptor < 0) {
        return false;
    }
    vfio->eoi = (struct eoi_listener){on_eoi, vfio};
    machine_add_eoi_listener(vfio->pci.device.machine, &vfio->eoi);
    pthread_mutex_lock(&vfio->intx_lock);
    vfio->intx_descriptor = descriptor;
    pthread_mutex_unlock(&vfio->intx_lock);
    if (!vfio_event_watch(vfio, descriptor, VFIO_EVENT_INTX, 0, error) ||
        vfio->device->ops->set_triggers(vfio->device, VFIO_IRQ_INTX, 0, &descriptor, 1, error)) {
        vfio_intx_disable(vfio);
        return false;
    }
    vfio_intx_update(vfio);
    return true;
}

void vfio_intx_disable(struct vfio_pci *vfio)
{
    if (vfio->intx_descriptor < 0) {
        return;
    }
    machine_remove_eoi_listener(vfio->pci.device.machine, &vfio->eoi);
    pthread_mutex_lock(&vfio->intx_lock);
    detach(vfio);
    vfio->device->ops->set_triggers(vfio->device, VFIO_IRQ_INTX, 0, NULL, 0, NULL);
    vfio_event_ignore(vfio, vfio->intx_descriptor);
    close(vfio->intx_descriptor);
    vfio->intx_descriptor = -1;
    lower_line(vfio);
    pthread_mutex_unlock(&vfio->intx_lock);
}
