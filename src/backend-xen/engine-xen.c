/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct engine_ops of xen: how duodm becomes the device model of a domain, and stops being it. */
#include "backend-xen/xen-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PRIVCMD_PATH "/dev/xen/privcmd"

/* Errors. */

static char *describe(const struct xen_machine *xen, const char *format, va_list arguments)
{
    int failed_with = errno;
    g_autofree char *what = g_strdup_vprintf(format, arguments);

    return g_strdup_printf("xen: domain %u: %s: %s (errno %d)", xen->domid, what,
                           g_strerror(failed_with), failed_with);
}

bool xen_fail(const struct xen_machine *xen, GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = describe(xen, format, arguments);
    va_end(arguments);
    return duodm_fail(error, DUODM_ERROR_FAILED, "%s", text);
}

void xen_warn(const struct xen_machine *xen, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = describe(xen, format, arguments);
    va_end(arguments);
    log_warning("%s", text);
}

/* The domain. */

static bool is_available(GError **error)
{
    if (access(PRIVCMD_PATH, R_OK | W_OK) != 0) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "xen: %s: %s (this is for a Xen control domain)", PRIVCMD_PATH,
                          g_strerror(errno));
    }
    return xen_libraries_load(error);
}

static bool open_handles(struct xen_machine *xen, GError **error)
{
    xen->control = xc_interface_open(NULL, NULL, 0);
    xen->devices = xendevicemodel_open(NULL, 0);
    xen->memory = xenforeignmemory_open(NULL, 0);
    return (xen->control && xen->devices && xen->memory) ||
           xen_fail(xen, error, "cannot open %s", PRIVCMD_PATH);
}

static bool count_vcpus(struct xen_machine *xen, GError **error)
{
    unsigned wanted = xen->machine->config.smp, count;

    if (xendevicemodel_nr_vcpus(xen->devices, xen->domid, &count) < 0) {
        return xen_fail(xen, error, "cannot be attached to (is there such an HVM domain?)");
    }
    if (count > XEN_PAGE_SIZE / sizeof(struct ioreq)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "xen: domain %u has %u vCPUs, too many",
                          xen->domid, count);
    }
    if (wanted > count) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "-smp: domain %u has %u vCPUs at most, not %u", xen->domid, count,
                          wanted);
    }
    xen->vcpus = g_new0(struct xen_vcpu, count);
    xen->vcpu_count = count;
    return true;
}

static void free_machine(void *opaque)
{
    struct xen_machine *xen = opaque;

    machine_cancel(xen->machine, &xen->suspend_task);
    xen_unregister_listeners(xen);
    xen_store_close(xen);
    xen_destroy_server(xen);
    xen_destroy_memory(xen);
    if (xen->memory) {
        xenforeignmemory_close(xen->memory);
    }
    if (xen->devices) {
        xendevicemodel_close(xen->devices);
    }
    if (xen->control) {
        xc_interface_close(xen->control);
    }
    pthread_mutex_destroy(&xen->buffer_lock);
    pthread_mutex_destroy(&xen->lock);
    pthread_cond_destroy(&xen->changed);
    xen->machine->engine_data = NULL;
    g_free(xen->vcpus);
    g_free(xen);
}

static bool attach(struct xen_machine *xen, const struct xen_options *options, GError **error)
{
    return open_handles(xen, error) && count_vcpus(xen, error) &&
           xen_create_memory(xen, options->mapcache_size, error) && xen_create_server(xen, error) &&
           xen_store_open(xen, error) && xen_register_listeners(xen, error);
}

/* Suspend to RAM. Xen stops the vCPUs, and starts the first one at its reset vector to resume. Not
 * before the access that asked for it was answered: by the main loop. */

static bool set_sleep_state(const struct xen_machine *xen, unsigned state, GError **error)
{
    return xc_hvm_param_set(xen->control, xen->domid, HVM_PARAM_ACPI_S_STATE, state) == 0 ||
           xen_fail(xen, error, "cannot enter ACPI state S%u", state);
}

static void suspend_now(void *opaque)
{
    g_autoptr(GError) error = NULL;

    if (!set_sleep_state(opaque, 3, &error)) {
        log_warning("%s", error->message);
    }
}

static void suspend(struct machine *machine)
{
    machine_post(machine, &xen_of(machine)->suspend_task);
}

static bool is_asleep(const struct xen_machine *xen)
{
    uint64_t state;

    return xc_hvm_param_get(xen->control, xen->domid, HVM_PARAM_ACPI_S_STATE, &state) == 0 &&
           state == 3;
}

static bool wake_up(struct machine *machine, GError **error)
{
    const struct xen_machine *xen = xen_of(machine);

    if (!is_asleep(xen)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "xen: domain %u does not sleep",
                          xen->domid);
    }
    machine_reset_to_wake(machine);
    return set_sleep_state(xen, 0, error);
}

/* Not at the end: the toolstack may have removed the entry already. */
static void run_changed(void *opaque, bool running)
{
    struct xen_machine *xen = opaque;

    if (!xen->machine->quit) {
        xen_store_write_state(xen, running ? "running" : "paused");
    }
}

static bool create(struct machine *machine, const void *opaque, GError **error)
{
    const struct xen_options *options = opaque;
    struct xen_machine *xen;

    if (!options->domid) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "xen: no domain is named: give -xen-domid N, as xl does");
    }
    xen = g_new0(struct xen_machine, 1);
    xen->machine = machine;
    xen->domid = (domid_t)options->domid;
    xen->paused = true;
    xen->suspend_task = (struct io_task){.run = suspend_now, .opaque = xen};
    pthread_mutex_init(&xen->buffer_lock, NULL);
    pthread_mutex_init(&xen->lock, NULL);
    pthread_cond_init(&xen->changed, NULL);
    machine->engine_data = xen;
    machine->engine_apics = true;
    xen->poll_us = options->poll_us;
    xen->wants_restriction = options->restrict_domid;
    if (attach(xen, options, error)) {
        machine_add_run_listener(machine, run_changed, xen);
        machine_add_cleanup(machine, free_machine, xen);
        return true;
    }
    free_machine(xen);
    return false;
}

static bool check_board(struct machine *machine, GError **error)
{
    return xen_start_threads(xen_of(machine), error);
}

static void destroy(struct machine *machine)
{
    struct xen_machine *xen = xen_of(machine);

    xen_quit_threads(xen);
    xen_unregister_listeners(xen);
}

/* vCPUs: Xen runs them; here they are names. */

static bool create_vcpu(struct vcpu *vcpu, GError **error)
{
    vcpu->engine = &xen_of(vcpu->machine)->vcpus[vcpu->index];
    return true;
}

static void reset_vcpu(struct vcpu *vcpu)
{
}

/* Running. */

static void end_guest(struct machine *machine, bool restart)
{
    const struct xen_machine *xen = xen_of(machine);

    if (xendevicemodel_shutdown(xen->devices, xen->domid,
                                restart ? SHUTDOWN_reboot : SHUTDOWN_poweroff) < 0) {
        xen_warn(xen, "cannot be %s", restart ? "restarted" : "shut down");
    }
}

/* Though its toolstack has not removed it yet. One that is suspended may go on. */
static bool has_ended(const struct xen_machine *xen)
{
    xc_dominfo_t info;

    return xc_domain_getinfo(xen->control, xen->domid, 1, &info) == 1 && info.domid == xen->domid &&
           (info.dying || (info.shutdown && info.shutdown_reason != SHUTDOWN_suspend));
}

static bool has_guest(struct machine *machine)
{
    const struct xen_machine *xen = xen_of(machine);

    return xen_has_run(xen) && !has_ended(xen);
}

static bool drop_rights(struct machine *machine, GError **error)
{
    struct xen_machine *xen = xen_of(machine);

    if (!xen->wants_restriction) {
        return true;
    }
    xen_store_close(xen);
    if (xentoolcore_restrict_all(xen->domid) < 0) {
        return xen_fail(xen, error, "rights can't be restricted to it");
    }
    xen->restricted = true;
    return true;
}

/* info */

static void print_mapcache(struct xen_machine *xen, GString *out)
{
    struct mapcache_statistics s;

    mapcache_get_statistics(xen->mapcache, &s);
    g_string_append_printf(out,
                           "windows %" PRIu64 " (%" PRIu64 " pinned), misses %" PRIu64
                           ", recycled %" PRIu64 ", invalidated %" PRIu64 ", failed %" PRIu64 "\n",
                           s.windows, s.pinned, s.misses, s.recycled, s.invalidated, s.failed);
}

static void print_requests(struct xen_machine *xen, GString *out)
{
    for (unsigned i = 0; i < xen->vcpu_count; i++) {
        const uint64_t *requests = xen->vcpus[i].requests;

        g_string_append_printf(out,
                               "CPU %u: ports %" PRIu64 ", memory %" PRIu64
                               ", configuration %" PRIu64 ", invalidations %" PRIu64 "; %" PRIu64
                               " without sleep before\n",
                               i, requests[IOREQ_TYPE_PIO], requests[IOREQ_TYPE_COPY],
                               requests[IOREQ_TYPE_PCI_CONFIG], requests[IOREQ_TYPE_INVALIDATE],
                               __atomic_load_n(&xen->vcpus[i].channel.watched, __ATOMIC_RELAXED));
    }
}

static bool print_info(struct machine *machine, const char *name, GString *out)
{
    struct xen_machine *xen = xen_of(machine);

    if (g_str_equal(name, "mapcache")) {
        print_mapcache(xen, out);
        return true;
    }
    if (g_str_equal(name, "exits")) {
        print_requests(xen, out);
        return true;
    }
    return false;
}

static const struct property options[] = {
    {"domid", PROPERTY_UINT32, offsetof(struct xen_options, domid), NULL, 0,
     DOMID_FIRST_RESERVED - 1, "domain to attach to (-xen-domid)"},
    {"restrict", PROPERTY_BOOL, offsetof(struct xen_options, restrict_domid), "off", 0, 0,
     "keep no rights but those on this domain (-xen-domid-restrict)"},
    {"mapcache-size", PROPERTY_SIZE, offsetof(struct xen_options, mapcache_size), "8G", 16ull << 20,
     1ull << 40, "bytes of the domain's memory that are mapped at a time, at most"},
    {"poll-us", PROPERTY_UINT32, offsetof(struct xen_options, poll_us), "100", 0, 10000,
     "microseconds for which a processor's next request is watched for before a sleep"},
    PROPERTY_END,
};

static const struct device_class *const devices[] = {&xen_passthrough_class, NULL};

const struct engine_ops xen_engine = {
    .name = "xen",
    .description = "a Xen HVM domain that a toolstack built (xl)",
    .options_size = sizeof(struct xen_options),
    .options = options,
    .has_vcpus = true,
    .attaches = true,
    .devices = devices,
    .is_available = is_available,
    .create = create,
    .create_vcpu = create_vcpu,
    .check_board = check_board,
    .resume = xen_resume,
    .pause = xen_pause,
    .destroy = destroy,
    .reset_vcpu = reset_vcpu,
    .get_state = xen_get_state,
    .virtual_to_physical = xen_translate,
    .deliver_msi = xen_deliver_msi,
    .is_masked_elsewhere = xen_is_pirq_message,
    .set_gsi = xen_set_gsi,
    .make_ram = xen_make_ram,
    .adopt_ram = xen_adopt_ram,
    .abandon_ram = xen_abandon_ram,
    .add_pci_function = xen_add_pci_function,
    .remove_pci_function = xen_remove_pci_function,
    .set_pci_pin = xen_set_pci_pin,
    .set_pci_link = xen_set_pci_link,
    .end_guest = end_guest,
    .has_guest = has_guest,
    .suspend = suspend,
    .wake_up = wake_up,
    .drop_rights = drop_rights,
    .print_info = print_info,
};
