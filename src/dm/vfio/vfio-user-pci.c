/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device class "vfio-user-pci": a PCI function that another process plays, over a socket. */
#include "dm/machine.h"
#include "dm/pci/pci-iommu.h"
#include "dm/pci/pci-regs.h"
#include "dm/vfio/vfio-pci.h"
#include "util/error.h"
#include "util/log.h"
#include "vfio/user-device.h"

#include <jansson.h>
#include <stdlib.h>

struct vfio_user_pci {
    struct vfio_pci vfio;
    /* Properties. */
    char *socket, *socket_path, *socket_type;
    uint32_t timeout; /* ms */
    bool no_direct_dma;

    struct io_task lost_task;
};

static struct vfio_user_pci *user_pci_of(struct vfio_pci *vfio)
{
    return (struct vfio_user_pci *)vfio;
}

/* The server is gone. In the main loop. What the guest reads is all ones now, also of memory that
 * it had mapped. */
static void tell_lost(void *opaque)
{
    struct vfio_user_pci *user = opaque;
    struct vfio_pci *vfio = &user->vfio;
    g_autofree char *problem = vfio_user_device_problem(vfio->device);
    g_autofree char *reason = g_utf8_make_valid(problem ? problem : "", -1);
    json_t *data = json_pack("{s:s, s:s}", "device", vfio_pci_name(vfio), "reason", reason);
    char *text = data ? json_dumps(data, 0) : NULL;

    log_warning("device %s is dead, its server is gone: %s (unplug it; device_add makes a new one)",
                vfio_pci_name(vfio), reason);
    vfio_bars_unmap(vfio);
    machine_emit_event(vfio->pci.device.machine, "DEVICE_SERVER_LOST", text);
    free(text);
    json_decref(data);
}

/* Any thread, any lock held. */
static void on_lost(void *opaque)
{
    struct vfio_user_pci *user = opaque;

    machine_post(user->vfio.pci.device.machine, &user->lost_task);
}

static const char *find_path(const struct vfio_user_pci *user, GError **error)
{
    if (user->socket_type && !g_str_equal(user->socket_type, "unix")) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "property 'socket.type': '%s' is not valid: unix is expected",
                   user->socket_type);
        return NULL;
    }
    if (!user->socket == !user->socket_path) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "needs the property socket=PATH, where its server listens");
        return NULL;
    }
    return user->socket ? user->socket : user->socket_path;
}

static bool open_user_device(struct vfio_pci *vfio, GError **error)
{
    struct vfio_user_pci *user = user_pci_of(vfio);
    struct machine *machine = vfio->pci.device.machine;
    const char *id = vfio->pci.device.id, *path = find_path(user, error);
    struct vfio_user_options options = {
        .path = path,
        .name = id ? id : path,
        .timeout = user->timeout,
        .direct_dma =
            !user->no_direct_dma && !machine->engine->caches_code && !machine->engine->make_ram,
        .lost = on_lost,
        .opaque = user,
    };
    struct vfio_device *device;

    if (!path || !pci_device_follow(&vfio->pci, error)) {
        return false;
    }
    if (options.direct_dma && memory_region_fd(&machine->ram, NULL) < 0) {
        log_warning("device %s: guest RAM is private, so its server has to ask for each access: "
                    "start with -object memory-backend-memfd,id=ram -machine memory-backend=ram",
                    options.name);
    }
    device = vfio_user_device_new(&options, error);
    if (device && vfio_space_attach(machine, pci_device_view(&vfio->pci), vfio, device,
                                    vfio_user_device_backend(device), error)) {
        return true;
    }
    vfio_device_free(device);
    return false;
}

static bool vfio_user_pci_realize(struct device *device, GError **error)
{
    struct vfio_pci *vfio = vfio_pci_of(device);
    struct vfio_user_pci *user = user_pci_of(vfio);

    user->lost_task = (struct io_task){.run = tell_lost, .opaque = user};
    if (vfio_pci_realize(vfio, open_user_device, error)) {
        return true;
    }
    machine_cancel(device->machine, &user->lost_task);
    return false;
}

/* The function is quiet before its memory is taken away. */
static void vfio_user_pci_unrealize(struct device *device)
{
    struct vfio_pci *vfio = vfio_pci_of(device);

    vfio_device_write(vfio->device, VFIO_REGION_CONFIG, PCI_COMMAND, 2, 0);
    if (vfio->device->can_reset) {
        vfio->device->ops->reset(vfio->device, NULL);
    }
    vfio_pci_unrealize(device);
    machine_cancel(device->machine, &user_pci_of(vfio)->lost_task);
}

static const struct property vfio_user_pci_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"socket", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vfio_user_pci, socket), NULL, 0,
     0, "where its server listens: the path of a UNIX socket"},
    {"socket.path", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vfio_user_pci, socket_path),
     NULL, 0, 0, "the same, as JSON has it: \"socket\": {\"type\": \"unix\", \"path\": ...}"},
    {"socket.type", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct vfio_user_pci, socket_type),
     NULL, 0, 0, "unix"},
    {"x-msg-timeout", PROPERTY_UINT32 | PROPERTY_OF_HOST, offsetof(struct vfio_user_pci, timeout),
     "5000", 1, 600000, "ms that the server has for an answer, before it counts as gone [5000]"},
    {"no-direct-dma", PROPERTY_BOOL | PROPERTY_OF_HOST,
     offsetof(struct vfio_user_pci, no_direct_dma), "off", 0, 0,
     "give the server no guest memory to map: it has to ask for each access, and gets what the "
     "guest's IOMMU lets it have"},
    VFIO_PCI_PROPERTIES,
    PROPERTY_END,
};

const struct device_class vfio_user_pci_class = {
    .name = "vfio-user-pci",
    .description = "PCI function that another process plays (vfio-user)",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct vfio_user_pci),
    .user_creatable = true,
    .wants_shared_ram = true,
    .properties = vfio_user_pci_properties,
    .unsaved = "what the server of the function holds can't be read",
    .realize = vfio_user_pci_realize,
    .unrealize = vfio_user_pci_unrealize,
    .reset = vfio_pci_reset,
    .bus_class = &vfio_pci_class_pci,
};
