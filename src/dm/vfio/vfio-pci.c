/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device class "vfio-pci": a PCI function of the host, given to the guest. */
#include "dm/vfio/vfio-pci.h"
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/pci/host-address.h"
#include "dm/pci/pci-iommu.h"
#include "dm/vfio/iommufd-object.h"
#include "util/error.h"
#include "util/log.h"
#include "vfio/vfio-kernel.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#define SYSFS_DEVICES "/sys/bus/pci/devices"

const char *vfio_pci_name(const struct vfio_pci *vfio)
{
    return vfio->pci.device.id ? vfio->pci.device.id : vfio->device->name;
}

/* host= or sysfsdev= as the folder of the device in sysfs; its last part is the address. */
static char *find_folder(const struct vfio_pci *vfio, GError **error)
{
    g_autofree char *name = NULL;
    struct pci_host_address address;

    if (!vfio->host == !vfio->sysfsdev) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "needs one of the properties host=[DDDD:]BB:DD.F and sysfsdev=FOLDER");
        return NULL;
    }
    if (vfio->sysfsdev) {
        char *real = realpath(vfio->sysfsdev, NULL), *folder = g_strdup(real);

        free(real);
        if (!folder) {
            duodm_fail(error, DUODM_ERROR_NOT_FOUND, "property 'sysfsdev': there is no %s",
                       vfio->sysfsdev);
        }
        return folder;
    }
    if (!pci_host_address_parse(vfio->host, &address)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "property 'host': '%s' is not valid: an address [DDDD:]BB:DD.F, hexadecimal, is "
                   "expected",
                   vfio->host);
        return NULL;
    }
    name = pci_host_address_name(&address);
    return g_build_filename(SYSFS_DEVICES, name, NULL);
}

static bool open_kernel_device(struct vfio_pci *vfio, GError **error)
{
    struct machine *machine = vfio->pci.device.machine;
    g_autofree char *folder = find_folder(vfio, error);
    struct vfio_host_device host;
    struct iommufd *iommufd;
    bool ok;

    if (machine->engine->make_ram) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "engine '%s': the guest's memory belongs to %s, which also has the IOMMU",
                          machine->engine->name, machine->engine->name);
    }

    if (!folder || !iommufd_object_find(machine, vfio->iommufd_id, &iommufd, error) ||
        !pci_device_follow(&vfio->pci, error) || !vfio_host_device_find(folder, &host, error)) {
        return false;
    }
    ok = vfio_space_open(machine, pci_device_view(&vfio->pci), vfio, iommufd, &host, error);
    vfio_host_device_clear(&host);
    return ok;
}

/* Tasks of the main loop. */

static void tell_cut_off(void *opaque)
{
    struct vfio_pci *vfio = opaque;
    g_autofree char *reason = NULL;
    json_t *data;
    char *text;

    pthread_mutex_lock(&vfio->command_lock);
    reason = g_utf8_make_valid(vfio->cut_off_reason ? vfio->cut_off_reason : "", -1);
    pthread_mutex_unlock(&vfio->command_lock);
    log_warning("device %s does no more DMA until it is reset: %s", vfio_pci_name(vfio), reason);
    data = json_pack("{s:s, s:s}", "device", vfio_pci_name(vfio), "reason", reason);
    text = data ? json_dumps(data, 0) : NULL;
    machine_emit_event(vfio->pci.device.machine, "DEVICE_DMA_CUT_OFF", text);
    free(text);
    json_decref(data);
}

/* The host wants it back: ask the guest, as device_del does. */
static void on_request(void *opaque)
{
    struct vfio_pci *vfio = opaque;
    struct device *device = &vfio->pci.device;
    g_autoptr(GError) error = NULL;

    log_warning("the host wants device %s back", vfio_pci_name(vfio));
    if (!hotplug_request_unplug(device, &error)) {
        log_warning("device %s: %s", vfio_pci_name(vfio), error->message);
    }
}

/* Events that say something of the device as a whole. Kernels may lack them. */

static int listen_to(struct vfio_pci *vfio, enum vfio_irq irq, enum vfio_event_kind kind)
{
    int descriptor = vfio->device->vectors[irq] ? vfio_event_new(NULL) : -1;

    if (descriptor >= 0 &&
        (!vfio_event_watch(vfio, descriptor, kind, 0, NULL) ||
         vfio->device->ops->set_triggers(vfio->device, irq, 0, &descriptor, 1, NULL) != 0)) {
        vfio_event_ignore(vfio, descriptor);
        close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

static void stop_listening(struct vfio_pci *vfio, enum vfio_irq irq, int descriptor)
{
    if (descriptor >= 0) {
        vfio->device->ops->set_triggers(vfio->device, irq, 0, NULL, 0, NULL);
        vfio_event_ignore(vfio, descriptor);
        close(descriptor);
    }
}

/* Life: each part is taken down by the mirror of what made it. */

static bool make_parts(struct vfio_pci *vfio, GError **error)
{
    if (!vfio_config_init(vfio, error) || !vfio_bars_init(vfio, error)) {
        return false;
    }
    if (!vfio_msi_init(vfio, error)) {
        goto destroy_bars;
    }
    if (!vfio_events_init(vfio, error)) {
        goto destroy_msi;
    }
    vfio_update_command(vfio);
    if (!vfio_rom_init(vfio, error) || !vfio_intx_enable(vfio, error)) {
        goto destroy_events;
    }
    vfio->request_descriptor = listen_to(vfio, VFIO_IRQ_REQUEST, VFIO_EVENT_REQUEST);
    vfio->error_descriptor = listen_to(vfio, VFIO_IRQ_ERROR, VFIO_EVENT_ERROR);
    return true;

destroy_events:
    vfio_events_destroy(vfio);
destroy_msi:
    vfio_msi_destroy(vfio);
destroy_bars:
    vfio_bars_destroy(vfio);
    return false;
}

/* Out of its space it has none any more. */
static void end_tasks(struct vfio_pci *vfio)
{
    struct machine *machine = vfio->pci.device.machine;

    machine_cancel(machine, &vfio->request_task);
    machine_cancel(machine, &vfio->cut_off_task);
    g_clear_pointer(&vfio->cut_off_reason, g_free);
}

bool vfio_pci_realize(struct vfio_pci *vfio, bool (*open)(struct vfio_pci *vfio, GError **error),
                      GError **error)
{
    vfio->intx_descriptor = vfio->request_descriptor = vfio->error_descriptor = -1;
    vfio->intx_unmask = -1;
    vfio->cut_off = false;
    vfio->cut_off_task = (struct io_task){.run = tell_cut_off, .opaque = vfio};
    vfio->request_task = (struct io_task){.run = on_request, .opaque = vfio};
    pthread_mutex_init(&vfio->command_lock, NULL);
    pthread_mutex_init(&vfio->intx_lock, NULL);
    if (open(vfio, error)) {
        if (make_parts(vfio, error)) {
            return true;
        }
        vfio_space_close(vfio);
    }
    end_tasks(vfio);
    pthread_mutex_destroy(&vfio->intx_lock);
    pthread_mutex_destroy(&vfio->command_lock);
    return false;
}

static bool realize_kernel_device(struct device *device, GError **error)
{
    return vfio_pci_realize(vfio_pci_of(device), open_kernel_device, error);
}

void vfio_pci_unrealize(struct device *device)
{
    struct vfio_pci *vfio = vfio_pci_of(device);

    stop_listening(vfio, VFIO_IRQ_ERROR, vfio->error_descriptor);
    stop_listening(vfio, VFIO_IRQ_REQUEST, vfio->request_descriptor);
    vfio_msi_disable(vfio);
    vfio_intx_disable(vfio);
    vfio_events_destroy(vfio);
    vfio_msi_destroy(vfio);
    vfio_bars_destroy(vfio);
    vfio_space_close(vfio);
    end_tasks(vfio);
    pthread_mutex_destroy(&vfio->intx_lock);
    pthread_mutex_destroy(&vfio->command_lock);
}

/* After the bus: config space is as at power-on. */
void vfio_pci_reset(struct device *device)
{
    struct vfio_pci *vfio = vfio_pci_of(device);
    g_autoptr(GError) error = NULL;

    vfio_update_command(vfio); /* no DMA any more */
    vfio_msi_reset(vfio);
    vfio_intx_disable(vfio);
    if (vfio->device->can_reset && !vfio->device->ops->reset(vfio->device, &error)) {
        log_warning("%s", error->message);
        g_clear_error(&error);
    }
    vfio_space_recover(vfio, NULL);
    vfio_update_command(vfio);
    if (!vfio_intx_enable(vfio, &error)) {
        log_warning("%s", error->message);
    }
}

static const struct property vfio_pci_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"host", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vfio_pci, host), NULL, 0, 0,
     "the function on the host, [DDDD:]BB:DD.F, which belongs to vfio-pci there"},
    {"sysfsdev", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vfio_pci, sysfsdev), NULL, 0,
     0, "the same, by its folder in sysfs"},
    {"iommufd", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vfio_pci, iommufd_id), NULL, 0,
     0, "map by an iommufd: the id of an -object iommufd [a VFIO container of type1]"},
    VFIO_PCI_PROPERTIES,
    PROPERTY_END,
};

const struct pci_class vfio_pci_class_pci = {
    .config_write = vfio_config_write,
    .config_written = vfio_config_written,
    .config_read = vfio_config_read,
};

const struct device_class vfio_pci_class = {
    .name = "vfio-pci",
    .description = "PCI function of the host, assigned to the guest",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct vfio_pci),
    .user_creatable = true,
    .properties = vfio_pci_properties,
    .unsaved = "what the host's function holds can't be read",
    .realize = realize_kernel_device,
    .unrealize = vfio_pci_unrealize,
    .reset = vfio_pci_reset,
    .bus_class = &vfio_pci_class_pci,
};
