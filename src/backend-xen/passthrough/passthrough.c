/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device class "xen-pci-passthrough": a PCI function of the host, given to a Xen domain, as
 * libxl adds it over the monitor. The toolstack resets the function before and after, gives the
 * domain its rights on BARs and interrupt, and has Xen assign it: so DMA is a matter of the host's
 * IOMMU, and Xen's. This end shows the guest what it was given, and tells Xen where.
 */
#include "backend-xen/passthrough/passthrough.h"
#include "dm/hotplug.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-iommu.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"
#include "util/log.h"

#include <event2/event.h>

#define SYSFS_DEVICES "/sys/bus/pci/devices"

/* Asking Xen whether the function is assigned, in ms: soon, less and less often, then never. */
#define READY_PERIOD_FIRST 10u
#define READY_PERIOD_MAX   1000u
#define READY_LIMIT        60000u

/* Config space. */

static struct xen_passthrough *owner_of(struct assigned_config *config)
{
    return xen_pt_of(&config->pci->device);
}

static uint32_t read_host(struct assigned_config *config, unsigned offset, unsigned size)
{
    return host_function_config_read(&owner_of(config)->host, offset, size);
}

static void write_host(struct assigned_config *config, unsigned offset, unsigned size,
                       uint32_t value)
{
    host_function_config_write(&owner_of(config)->host, offset, size, value);
}

static const struct assigned_config_ops config_ops = {read_host, write_host};

/* The function decodes its BARs all the time: where the guest sees them is Xen's matter, and Xen
 * itself reaches the MSI-X table. */
static void set_command(struct xen_passthrough *pt, uint32_t command)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (pt->host.bars[i].size) {
            command |= pt->host.bars[i].is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
        }
    }
    host_function_config_write(&pt->host, PCI_COMMAND, 2, command);
}

/* The pin is Xen's, too, so the function itself has to switch it off. */
static void update_command(struct xen_passthrough *pt)
{
    const uint32_t passed =
        PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTERRUPT_DISABLE;
    uint32_t command = pci_get(pt->pci.config, PCI_COMMAND, 2) & passed;

    pt->was_used |= command & PCI_COMMAND_MASTER;
    set_command(pt, command);
}

static uint32_t config_read(struct pci_device *pci, unsigned offset, unsigned size)
{
    return assigned_config_read(&xen_pt_of(&pci->device)->config, offset, size);
}

static void config_write(struct pci_device *pci, unsigned offset, unsigned size, uint32_t value)
{
    assigned_config_write(&xen_pt_of(&pci->device)->config, offset, size, value);
}

static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct xen_passthrough *pt = xen_pt_of(&pci->device);

    if (assigned_config_touches(offset, size, PCI_COMMAND, 2)) {
        update_command(pt);
    }
    /* Of BARs: one of them shows the MSI-X table. */
    if (assigned_config_touches(offset, size, PCI_COMMAND, 2) ||
        assigned_config_touches(offset, size, PCI_BASE_ADDRESS_0, 4 * PCI_BAR_COUNT) ||
        assigned_config_touches(offset, size, pt->config.msi, PCI_MSI_SIZE_MAX) ||
        assigned_config_touches(offset, size, pt->config.msix, PCI_MSIX_SIZE)) {
        xen_pt_msi_update(pt);
    }
}

static bool init_config(struct xen_passthrough *pt, GError **error)
{
    pt->config = (struct assigned_config){
        .pci = &pt->pci,
        .ops = &config_ops,
        .name = pt->host.name,
    };
    if (!assigned_config_init(&pt->config, pt->host.irq != 0, error)) {
        g_prefix_error(error, "xen: ");
        return false;
    }
    if (!pt->permissive) {
        assigned_config_lock(&pt->config);
    }
    return true;
}

/*
 * Hotplug. libxl has Xen assign the function only after it found the device on our bus; a guest
 * that heard of it at once might have it do DMA before that, into nothing. There is no event to
 * wait for: for an HVM domain libxl writes nothing to xenstore after it, nor does it say anything
 * more over QMP, and Xen has no VIRQ for it. So Xen is asked. A domain that has not run yet is not
 * started before that.
 */

static bool is_assigned(const struct xen_passthrough *pt)
{
    const struct xen_machine *xen = xen_pt_machine(pt);
    const struct pci_host_address *a = &pt->host.address;
    uint32_t number = a->segment << 16 | a->bus << 8 | a->slot << 3 | a->function;

    return xc_test_assign_device(xen->control, xen->domid, number) < 0; /* it can't be any more */
}

static bool ask_later(struct xen_passthrough *pt)
{
    const struct timeval period = {.tv_sec = pt->ready_period / 1000,
                                   .tv_usec = pt->ready_period % 1000 * 1000};

    return pt->ready_timer && event_add(pt->ready_timer, &period) == 0;
}

static void look_if_ready(evutil_socket_t fd, short events, void *opaque)
{
    struct xen_passthrough *pt = opaque;

    if (is_assigned(pt)) {
        g_clear_pointer(&pt->ready_timer, event_free);
        pt->pci.holds_announcement = false;
        pci_device_announce(&pt->pci.device);
        return;
    }
    pt->ready_waited += pt->ready_period;
    pt->ready_period = MIN(2 * pt->ready_period, READY_PERIOD_MAX);
    if (pt->ready_waited >= READY_LIMIT || !ask_later(pt)) {
        g_clear_pointer(&pt->ready_timer, event_free);
        log_warning("xen: domain %u: %s was plugged but never assigned to the domain, whose guest "
                    "has not seen it: it is taken away again; look what the toolstack says",
                    xen_pt_machine(pt)->domid, pt->host.name);
        hotplug_removed(&pt->pci.device); /* or it could not be attached a second time */
    }
}

static bool wait_until_ready(struct xen_passthrough *pt, GError **error)
{
    struct machine *machine = pt->pci.device.machine;

    if (!machine->complete || !xen_has_run(xen_pt_machine(pt)) || is_assigned(pt)) {
        return true;
    }
    pt->ready_timer = evtimer_new(machine->base, look_if_ready, pt);
    pt->ready_period = READY_PERIOD_FIRST;
    pt->ready_waited = 0;
    if (!ask_later(pt)) {
        g_clear_pointer(&pt->ready_timer, event_free);
        return duodm_fail(error, DUODM_ERROR_FAILED, "xen: the main loop takes no timer");
    }
    pt->pci.holds_announcement = true;
    return true;
}

/* Life. */

static bool refuse_iommu(GError **error)
{
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "xen-pci-passthrough: Xen does not follow an IOMMU of the guest's: have "
                      "passed-through functions, or an IOMMU, not both");
}

static bool iommu_changed(struct pci_device *pci, GError **error)
{
    return pci_device_view(pci) == &pci->device.machine->system_memory || refuse_iommu(error);
}

static bool check_machine(const struct xen_passthrough *pt, GError **error)
{
    const struct machine *machine = pt->pci.device.machine;

    if (!machine->engine->attaches) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "is for Xen domains (-accel xen): here, a function of the host is "
                          "'vfio-pci'");
    }
    if (xen_of(machine)->restricted) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "xen: domain %u: rights were dropped (-xen-domid-restrict), and those to "
                          "pass functions through with them",
                          xen_of(machine)->domid);
    }
    if (!pt->hostaddr) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "needs the property hostaddr=[DDDD:]BB:DD.F");
    }
    return pci_device_view(&pt->pci) == &machine->system_memory || refuse_iommu(error);
}

/* Without its pin a function is of use only if it sends messages. */
static bool bind_pin(struct xen_passthrough *pt, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (!pt->pci.config[PCI_INTERRUPT_PIN] || xen_pt_intx_bind(pt, &problem)) {
        return true;
    }
    if (!pt->config.msi && !pt->config.msix) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
    }
    log_warning("%s: the guest sees no pin", problem->message);
    pt->pci.config[PCI_INTERRUPT_PIN] = 0;
    return true;
}

static bool make_parts(struct xen_passthrough *pt, GError **error)
{
    if (!init_config(pt, error) || !xen_pt_bars_init(pt, error)) {
        return false;
    }
    if (!xen_pt_msi_init(pt, error)) {
        goto destroy_bars;
    }
    if (!bind_pin(pt, error)) {
        goto destroy_msi;
    }
    if (!wait_until_ready(pt, error)) {
        goto unbind_pin;
    }
    update_command(pt);
    return true;

unbind_pin:
    xen_pt_intx_unbind(pt);
destroy_msi:
    xen_pt_msi_destroy(pt);
destroy_bars:
    xen_pt_bars_destroy(pt);
    return false;
}

static bool realize(struct device *device, GError **error)
{
    struct xen_passthrough *pt = xen_pt_of(device);

    pt->was_used = false;
    pt->pci.holds_announcement = false;
    pt->intx_pirq = XEN_PT_NO_PIRQ;
    if (!check_machine(pt, error) ||
        !host_function_open(&pt->host, pt->sysfs, pt->hostaddr, error)) {
        return false;
    }
    if (!make_parts(pt, error)) {
        host_function_close(&pt->host);
        return false;
    }
    xen_pt_removal_listen(pt);
    return true;
}

/* No DMA any more; then what could come of it. */
static void unrealize(struct device *device)
{
    struct xen_passthrough *pt = xen_pt_of(device);

    g_clear_pointer(&pt->ready_timer, event_free);
    xen_pt_removal_end(pt);
    set_command(pt, PCI_COMMAND_INTERRUPT_DISABLE);
    xen_pt_intx_unbind(pt);
    xen_pt_msi_destroy(pt);
    xen_pt_bars_destroy(pt);
    host_function_close(&pt->host);
}

/* After the bus: config space is as at power-on. What libxl has just reset is not reset again. */
static void reset(struct device *device)
{
    struct xen_passthrough *pt = xen_pt_of(device);
    g_autoptr(GError) error = NULL;

    update_command(pt); /* no DMA any more */
    xen_pt_msi_reset(pt);
    if (pt->was_used && !host_function_reset(&pt->host, &error)) {
        log_warning("%s", error->message);
    }
    pt->was_used = false;
    update_command(pt);
}

static const struct property properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"hostaddr", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct xen_passthrough, hostaddr),
     NULL, 0, 0, "the function on the host, [DDDD:]BB:DD.F, which belongs to xen-pciback there"},
    {"permissive", PROPERTY_BOOL | PROPERTY_OF_HOST, offsetof(struct xen_passthrough, permissive),
     "off", 0, 0,
     "let the guest write all of its config space, not only what is known to be harmless"},
    {"x-sysfs", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct xen_passthrough, sysfs),
     SYSFS_DEVICES, 0, 0, "folder of the host's functions"},
    PROPERTY_END,
};

static const struct pci_class pci_class = {
    .config_write = config_write,
    .config_written = config_written,
    .config_read = config_read,
    .iommu_changed = iommu_changed,
};

const struct device_class xen_passthrough_class = {
    .name = "xen-pci-passthrough",
    .description = "PCI function of the host, assigned to a Xen domain",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct xen_passthrough),
    .user_creatable = true,
    .properties = properties,
    .unsaved = "what the host's function holds can't be read",
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .bus_class = &pci_class,
};
