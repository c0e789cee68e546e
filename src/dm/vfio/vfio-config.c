/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Config space of a passed-through function: pci/assigned-config.h, over the device's region; and
 * its command register. */
#include "dm/machine.h"
#include "dm/pci/pci-regs.h"
#include "dm/vfio/vfio-pci.h"
#include "util/error.h"

static uint32_t host_read(const struct vfio_pci *vfio, unsigned offset, unsigned size)
{
    return vfio_device_read(vfio->device, VFIO_REGION_CONFIG, offset, size);
}

static void host_write(const struct vfio_pci *vfio, unsigned offset, unsigned size, uint32_t value)
{
    vfio_device_write(vfio->device, VFIO_REGION_CONFIG, offset, size, value);
}

/* The device's command register. */

void vfio_update_command(struct vfio_pci *vfio)
{
    const uint32_t passed = PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR;
    uint32_t command = pci_get(vfio->pci.config, PCI_COMMAND, 2) & passed;

    pthread_mutex_lock(&vfio->command_lock);
    if (vfio->cut_off || !pci_device_is_master(&vfio->pci)) {
        command &= ~(uint32_t)PCI_COMMAND_MASTER;
    }
    /* It decodes always: vfio-bars.c says why. */
    host_write(vfio, PCI_COMMAND, 2, command | PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    pthread_mutex_unlock(&vfio->command_lock);
}

void vfio_cut_off(struct vfio_pci *vfio, const char *reason)
{
    pthread_mutex_lock(&vfio->command_lock);
    if (!vfio->cut_off) {
        vfio->cut_off = true;
        g_free(vfio->cut_off_reason);
        vfio->cut_off_reason = g_strdup(reason);
        host_write(vfio, PCI_COMMAND, 2,
                   host_read(vfio, PCI_COMMAND, 2) & ~(uint32_t)PCI_COMMAND_MASTER);
        machine_post(vfio->pci.device.machine, &vfio->cut_off_task);
    }
    pthread_mutex_unlock(&vfio->command_lock);
}

void vfio_set_cut_off(struct vfio_pci *vfio, bool cut_off)
{
    pthread_mutex_lock(&vfio->command_lock);
    vfio->cut_off = cut_off;
    pthread_mutex_unlock(&vfio->command_lock);
}

/* The guest's accesses. */

uint32_t vfio_config_read(struct pci_device *pci, unsigned offset, unsigned size)
{
    return assigned_config_read(&vfio_pci_of(&pci->device)->config, offset, size);
}

void vfio_config_write(struct pci_device *pci, unsigned offset, unsigned size, uint32_t value)
{
    assigned_config_write(&vfio_pci_of(&pci->device)->config, offset, size, value);
}

void vfio_config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct vfio_pci *vfio = vfio_pci_of(&pci->device);

    if (assigned_config_touches(offset, size, PCI_COMMAND, 2)) {
        vfio_update_command(vfio);
        vfio_intx_update(vfio);
    }
    if (assigned_config_touches(offset, size, vfio->config.msi, PCI_MSI_SIZE_MAX) ||
        assigned_config_touches(offset, size, vfio->config.msix, PCI_MSIX_SIZE)) {
        vfio_msi_update(vfio);
    }
}

/* Making it. */

static struct vfio_pci *vfio_of(struct assigned_config *config)
{
    return vfio_pci_of(&config->pci->device);
}

static uint32_t read_config(struct assigned_config *config, unsigned offset, unsigned size)
{
    return host_read(vfio_of(config), offset, size);
}

static void write_config(struct assigned_config *config, unsigned offset, unsigned size,
                         uint32_t value)
{
    host_write(vfio_of(config), offset, size, value);
}

static const struct assigned_config_ops config_ops = {read_config, write_config};

bool vfio_config_init(struct vfio_pci *vfio, GError **error)
{
    if (vfio->device->regions[VFIO_REGION_CONFIG].size < PCI_CONFIG_SIZE) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "vfio %s: has no config space, or answers nothing", vfio->device->name);
    }
    vfio->config = (struct assigned_config){
        .pci = &vfio->pci,
        .ops = &config_ops,
        .name = vfio->device->name,
    };
    if (!assigned_config_init(&vfio->config, vfio->device->vectors[VFIO_IRQ_INTX], error)) {
        g_prefix_error(error, "vfio ");
        return false;
    }
    if (vfio->device->regions[VFIO_REGION_CONFIG].size >= PCI_EXPRESS_CONFIG_SIZE) {
        assigned_extended_init(&vfio->config);
    }
    return true;
}
