/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INTx. The host masks a device's line when it rises and signals a descriptor; the guest's line is
 * high from then on until a processor has served the interrupt (its EOI): then the line falls and
 * the host unmasks, which brings the next signal at once if the device has not let go of its line.
 * Any EOI is taken for this device's: a line that falls too early comes back by the same way.
 */
#include "dm/machine.h"
#include "dm/vfio/vfio-pci.h"
#include "util/log.h"
#include "util/trace.h"

#include <unistd.h>

/* In the I/O thread. */
void vfio_intx_signalled(struct vfio_pci *vfio)
{
    trace_vfio_interrupt(vfio->device->name, VFIO_IRQ_INTX, 0);
    pthread_mutex_lock(&vfio->intx_lock);
    if (vfio->intx_descriptor >= 0) {
        pci_set_interrupt(&vfio->pci, true);
        __atomic_store_n(&vfio->intx_asserted, true, __ATOMIC_SEQ_CST);
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
        __atomic_store_n(&vfio->intx_asserted, false, __ATOMIC_SEQ_CST);
        pci_set_interrupt(&vfio->pci, false);
        vfio->device->ops->unmask(vfio->device, &error);
    }
    pthread_mutex_unlock(&vfio->intx_lock);
    if (error) {
        log_warning("%s", error->message);
    }
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
    return true;
}

void vfio_intx_disable(struct vfio_pci *vfio)
{
    if (vfio->intx_descriptor < 0) {
        return;
    }
    machine_remove_eoi_listener(vfio->pci.device.machine, &vfio->eoi);
    pthread_mutex_lock(&vfio->intx_lock);
    vfio->device->ops->set_triggers(vfio->device, VFIO_IRQ_INTX, 0, NULL, 0, NULL);
    vfio_event_ignore(vfio, vfio->intx_descriptor);
    close(vfio->intx_descriptor);
    vfio->intx_descriptor = -1;
    __atomic_store_n(&vfio->intx_asserted, false, __ATOMIC_SEQ_CST);
    pci_set_interrupt(&vfio->pci, false);
    pthread_mutex_unlock(&vfio->intx_lock);
}
