/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function that goes whether its guest lets it go or not: the control domain's Linux has lost it,
 * or the toolstack has taken it away. By "xl pci-detach -f" libxl asks as politely as ever
 * (device_del), waits for 10 s, and then resets the function and has Xen assign it to nobody. It
 * does not say so here; but then it takes it from its list in xenstore. From that moment the
 * function may become another domain's: its BARs must not stay in this one.
 */
#include "backend-xen/passthrough/passthrough.h"
#include "util/log.h"

/* As if it had been pulled out. */
static void tear_out(struct xen_passthrough *pt, const char *reason)
{
    struct device *device = &pt->pci.device;
    g_autoptr(GError) error = NULL;

    log_warning("xen: domain %u: %s: %s, so it is torn out of the guest", xen_pt_machine(pt)->domid,
                pt->host.name, reason);
    if (!device->bus->ops->request_unplug(device, true, &error)) {
        log_warning("%s", error->message);
    }
}

static void host_removed(void *opaque)
{
    tear_out(opaque, "the host's function is gone");
}

/* Not touched any more: it may be somebody else's. */
static void leave_alone(struct xen_passthrough *pt)
{
    bool entered = access_guard_enter(&pt->pci.device.guard);

    host_function_forget(&pt->host);
    if (entered) {
        access_guard_leave(&pt->pci.device.guard);
    }
}

static void list_changed(void *opaque)
{
    struct xen_passthrough *pt = opaque;
    enum xen_store_answer listed = xen_store_has_function(xen_pt_machine(pt), pt->host.name);

    if (listed == XEN_STORE_NO && pt->was_listed) {
        leave_alone(pt);
        tear_out(pt, "the toolstack took it away");
    } else if (listed == XEN_STORE_YES) {
        pt->was_listed = true;
    }
}

/* The function can be used without. */
void xen_pt_removal_listen(struct xen_passthrough *pt)
{
    struct xen_machine *xen = xen_pt_machine(pt);
    g_autoptr(GError) host_error = NULL;
    g_autoptr(GError) store_error = NULL;

    pt->was_listed = false;
    pt->store_watch = (struct xen_store_watch){
        .path = g_strdup_printf(XEN_STORE_FUNCTIONS, xen->domid),
        .changed = list_changed,
        .opaque = pt,
    };
    pt->removal = host_removal_listen(pt->pci.device.machine->base, pt->host.name, host_removed, pt,
                                      &host_error);
    if (!pt->removal) {
        log_warning("%s", host_error->message);
    }
    if (!xen_store_watch(xen, &pt->store_watch, &store_error)) {
        log_warning("%s: %s", pt->host.name, store_error->message);
    }
}

void xen_pt_removal_end(struct xen_passthrough *pt)
{
    g_clear_pointer(&pt->removal, host_removal_end);
    xen_store_unwatch(xen_pt_machine(pt), &pt->store_watch);
    g_clear_pointer(&pt->store_watch.path, g_free);
}
