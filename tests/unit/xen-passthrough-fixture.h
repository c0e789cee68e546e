/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine whose engine is attached to domain 7 of a Xen that is made of functions here: they
 * write down what they are asked for, and can be told to fail. A host's function is a folder of
 * files.
 */
#ifndef DUODM_TESTS_UNIT_XEN_PASSTHROUGH_FIXTURE_H
#define DUODM_TESTS_UNIT_XEN_PASSTHROUGH_FIXTURE_H

#include "backend-xen/passthrough/passthrough.h"
#include "dm/keyval.h"
#include "dm/hotplug.h"
#include "dm/pci/msi-regs.h"
#include "dm/pci/pci-regs.h"
#include "unit/fake-machine.h"

#include <errno.h>
#include <event2/thread.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* What Xen was asked for, as text, since the last look. */
static GString *xen_calls;
/* The call that fails, counted down; 0: none does. With EPERM. */
static unsigned xen_fails_at;
static int xen_next_pirq;

static int xen_call(const char *format, ...)
{
    va_list arguments;

    if (xen_fails_at && --xen_fails_at == 0) {
        errno = EPERM;
        return -1;
    }
    va_start(arguments, format);
    g_string_append_vprintf(xen_calls, format, arguments);
    g_string_append_c(xen_calls, ';');
    va_end(arguments);
    return 0;
}

static int fake_memory_mapping(xc_interface *xch, uint32_t domid, unsigned long gfn,
                               unsigned long mfn, unsigned long count, uint32_t add)
{
    return xen_call("%s %lx=%lx+%lx", add ? "map" : "unmap", gfn, mfn, count);
}

static int fake_ioport_mapping(xc_interface *xch, uint32_t domid, uint32_t guest, uint32_t host,
                               uint32_t count, uint32_t add)
{
    return xen_call("%s ports %x=%x+%x", add ? "map" : "unmap", guest, host, count);
}

static int fake_map_pirq(xc_interface *xch, uint32_t domid, int irq, int *pirq)
{
    *pirq = irq;
    return xen_call("pirq %d", irq);
}

static int fake_map_pirq_msi(xc_interface *xch, uint32_t domid, int index, int *pirq, int devfn,
                             int bus, int entry, uint64_t table)
{
    int given = *pirq >= 0 ? *pirq : xen_next_pirq++;
    int result =
        xen_call("pirq %d for %x:%x entry %d table %" PRIx64, given, bus, devfn, entry, table);

    *pirq = result == 0 ? given : *pirq;
    return result;
}

static int fake_unmap_pirq(xc_interface *xch, uint32_t domid, int pirq)
{
    return xen_call("drop %d", pirq);
}

static int fake_bind_pin(xc_interface *xch, uint32_t domid, uint8_t irq, uint8_t bus,
                         uint8_t device, uint8_t pin)
{
    return xen_call("pin %u to %x.%u", irq, device, pin);
}

static int fake_unbind_pin(xc_interface *xch, uint32_t domid, uint8_t irq, uint8_t type,
                           uint8_t bus, uint8_t device, uint8_t pin, uint8_t isa_irq)
{
    return xen_call("unpin %u from %x.%u", irq, device, pin);
}

static int fake_update_msi(xc_interface *xch, uint32_t domid, uint32_t vector, uint32_t pirq,
                           uint32_t flags, uint64_t table)
{
    return xen_call("bind %u to %x flags %x table %" PRIx64, pirq, vector, flags, table);
}

static int fake_unbind_msi(xc_interface *xch, uint32_t domid, uint32_t vector, uint32_t pirq,
                           uint32_t flags)
{
    return xen_call("unbind %u", pirq);
}

/* No function is assigned, or all are. */
static bool xen_has_assigned;

static int fake_test_assign(xc_interface *xch, uint32_t domid, uint32_t sbdf)
{
    return xen_has_assigned ? -1 : 0;
}

static int fake_iomem_permission(xc_interface *xch, uint32_t domid, unsigned long mfn,
                                 unsigned long count, uint8_t allow)
{
    return xen_call("%s %lx+%lx", allow ? "permit" : "deny", mfn, count);
}

/* xenstore: the toolstack's list of the domain's functions, and nothing else. */
static struct {
    const char *functions[3]; /* NULL: that number is free */
    unsigned states[3];
    unsigned conflicts; /* transactions that others' changes get in the way of */
    bool is_broken;
    unsigned watches;
} fake_store;

static struct xs_handle *fake_open(unsigned long flags)
{
    return (struct xs_handle *)(void *)&fake_store;
}

static void fake_close(struct xs_handle *handle)
{
}

static int fake_fileno(struct xs_handle *handle)
{
    static int nothing[2];

    return nothing[1] || pipe(nothing) == 0 ? nothing[0] : -1;
}

static bool fake_mkdir(struct xs_handle *handle, xs_transaction_t transaction, const char *path)
{
    return true;
}

static bool fake_watch(struct xs_handle *handle, const char *path, const char *token)
{
    fake_store.watches += path[0] == '/';
    return true;
}

static bool fake_unwatch(struct xs_handle *handle, const char *path, const char *token)
{
    fake_store.watches--;
    return true;
}

static xs_transaction_t fake_transaction_start(struct xs_handle *handle)
{
    return 5;
}

static bool fake_transaction_end(struct xs_handle *handle, xs_transaction_t transaction, bool abort)
{
    errno = fake_store.is_broken ? EIO : EAGAIN;
    return !fake_store.is_broken && (!fake_store.conflicts || fake_store.conflicts-- == 0);
}

static char **fake_directory(struct xs_handle *handle, xs_transaction_t transaction,
                             const char *path, unsigned *count)
{
    static const char *const keys[] = {"num_devs", "state-0", "dev-0", "state-1",
                                       "dev-1",    "state-2", "dev-2"};

    *count = g_str_equal(path, "/local/domain/0/backend/pci/7/0") ? G_N_ELEMENTS(keys) : 0;
    return *count ? g_memdup2(keys, sizeof(keys)) : NULL;
}

static void *fake_read(struct xs_handle *handle, xs_transaction_t transaction, const char *path,
                       unsigned *length)
{
    unsigned number = (unsigned)(path[strlen(path) - 1] - '0');

    return number > 2 || !fake_store.functions[number] ? NULL
           : strstr(path, "dev-")                      ? g_strdup(fake_store.functions[number])
                                  : g_strdup_printf("%u", fake_store.states[number]);
}

static inline void play_store(void)
{
    memset(&fake_store, 0, sizeof(fake_store));
    xen_libraries.xs_open = fake_open;
    xen_libraries.xs_close = fake_close;
    xen_libraries.xs_fileno = fake_fileno;
    xen_libraries.xs_mkdir = fake_mkdir;
    xen_libraries.xs_watch = fake_watch;
    xen_libraries.xs_unwatch = fake_unwatch;
    xen_libraries.xs_transaction_start = fake_transaction_start;
    xen_libraries.xs_transaction_end = fake_transaction_end;
    xen_libraries.xs_directory = fake_directory;
    xen_libraries.xs_read = fake_read;
}

/* Were these the calls since the last look? */
static inline bool xen_was_asked(const char *calls)
{
    bool same = g_str_equal(xen_calls->str, calls);

    if (!same) {
        fprintf(stderr, "\nexpected '%s'\n     got '%s'\n", calls, xen_calls->str);
    }
    g_string_truncate(xen_calls, 0);
    return same;
}

/* The host's functions. */

#define HOST_MEMORY   UINT64_C(0xfe000000)
#define HOST_PORTS    0xc100u
#define HOST_IRQ      21u
#define CAP_MSI       0x40u
#define CAP_MSIX      0x60u
#define CAP_VENDOR    0x80u
#define TABLE_ENTRIES 3u
#define TABLE_OFFSET  0x2000u

struct host_options {
    uint64_t memory_size; /* BAR 0; 0: none */
    unsigned ports;       /* BAR 1 */
    bool has_msix;        /* with its table in BAR 0 */
    bool has_no_messages; /* no MSI either */
    bool has_no_pin;
};

static inline void put_file(const char *folder, const char *name, const void *data, size_t length)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (!g_file_set_contents(path, data, (gssize)length, NULL)) {
        abort();
    }
}

static inline void put_resources(const char *folder, const struct host_options *options)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree uint8_t *memory = g_malloc0(options->memory_size + options->ports + 1);

    g_string_append_printf(text, "0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016x\n",
                           options->memory_size ? HOST_MEMORY : 0,
                           options->memory_size ? HOST_MEMORY + options->memory_size - 1 : 0,
                           options->memory_size ? 0x40200 : 0);
    g_string_append_printf(text, "0x%016x 0x%016x 0x%016x\n", options->ports ? HOST_PORTS : 0,
                           options->ports ? HOST_PORTS + options->ports - 1 : 0,
                           options->ports ? 0x40101 : 0);
    put_file(folder, "resource", text->str, text->len);
    memory[0] = 0x5a;
    put_file(folder, "resource0", memory, options->memory_size);
    put_file(folder, "resource1", memory, options->ports);
}

static inline void put_config(const char *folder, const struct host_options *options)
{
    uint8_t config[PCI_CONFIG_SIZE] = {0};
    unsigned next = options->has_msix ? CAP_MSIX : CAP_VENDOR;

    pci_put(config, PCI_VENDOR_ID, 4, 0x11e81234);
    pci_put(config, PCI_STATUS, 2, PCI_STATUS_CAPABILITIES);
    pci_put(config, PCI_INTERRUPT_PIN, 1, options->has_no_pin ? 0 : 1);
    config[PCI_CAPABILITY_LIST] = options->has_no_messages ? CAP_VENDOR : CAP_MSI;
    pci_put(config, CAP_MSI, 4, (MSI_64 | 2u << MSI_CAPABLE) << 16 | next << 8 | PCI_CAP_MSI);
    pci_put(config, CAP_MSIX, 4, (TABLE_ENTRIES - 1) << 16 | CAP_VENDOR << 8 | PCI_CAP_MSIX);
    pci_put(config, CAP_MSIX + MSIX_TABLE, 4, TABLE_OFFSET);
    pci_put(config, CAP_MSIX + MSIX_PENDING, 4, TABLE_OFFSET + 0x800);
    pci_put(config, CAP_VENDOR, 4, 0x100000 | PCI_CAP_VENDOR);
    put_file(folder, "config", config, sizeof(config));
}

struct pt_test {
    struct machine *machine;
    struct xen_machine xen;
    struct memory_region memory;
    struct pci_bus *bus;
    char *sysfs;
};

static inline char *host_folder(const struct pt_test *test, const char *address)
{
    return g_build_filename(test->sysfs, address, NULL);
}

static inline void put_function(const struct pt_test *test, const char *address,
                                const struct host_options *options)
{
    g_autofree char *folder = host_folder(test, address);

    g_mkdir(folder, 0700);
    put_resources(folder, options);
    put_config(folder, options);
    put_file(folder, "irq", "21\n", 3);
}

/* What the function itself has at an offset of its config space. */
static inline uint32_t host_config(const struct pt_test *test, const char *address, unsigned offset,
                                   unsigned size)
{
    g_autofree char *folder = host_folder(test, address);
    g_autofree char *path = g_build_filename(folder, "config", NULL);
    g_autofree char *data = NULL;

    return g_file_get_contents(path, &data, NULL, NULL)
               ? pci_get((const uint8_t *)data, offset, size)
               : UINT32_MAX;
}

/* The machine. */

static bool pt_create(struct machine *machine, const void *options, GError **error)
{
    machine->engine_data = (void *)options;
    machine->engine_apics = true;
    return true;
}

static bool pt_create_vcpu(struct vcpu *vcpu, GError **error)
{
    return true;
}

static void pt_ignore(struct machine *machine)
{
}

static void pt_ignore_vcpu(struct vcpu *vcpu)
{
}

static bool pt_guest_is_there;

static bool pt_has_guest(struct machine *machine)
{
    return pt_guest_is_there;
}

static const struct device_class *const pt_classes[] = {&xen_passthrough_class, NULL};

static const struct engine_ops pt_engine = {
    .name = "fake-xen",
    .devices = pt_classes,
    .has_vcpus = true,
    .attaches = true,
    .create = pt_create,
    .create_vcpu = pt_create_vcpu,
    .resume = pt_ignore,
    .pause = pt_ignore,
    .kick = pt_ignore_vcpu,
    .reset_vcpu = pt_ignore_vcpu,
    .has_guest = pt_has_guest,
};

const struct engine_ops *const engine_table[] = {&pt_engine, NULL};

static inline void pt_test_init(struct pt_test *test)
{
    struct machine_config config;

    *test = (struct pt_test){.xen.domid = 7};
    evthread_use_pthreads();
    xen_libraries.xc_domain_memory_mapping = fake_memory_mapping;
    xen_libraries.xc_domain_ioport_mapping = fake_ioport_mapping;
    xen_libraries.xc_physdev_map_pirq = fake_map_pirq;
    xen_libraries.xc_physdev_map_pirq_msi = fake_map_pirq_msi;
    xen_libraries.xc_physdev_unmap_pirq = fake_unmap_pirq;
    xen_libraries.xc_domain_bind_pt_pci_irq = fake_bind_pin;
    xen_libraries.xc_domain_unbind_pt_irq = fake_unbind_pin;
    xen_libraries.xc_domain_update_msi_irq = fake_update_msi;
    xen_libraries.xc_domain_unbind_msi_irq = fake_unbind_msi;
    xen_libraries.xc_test_assign_device = fake_test_assign;
    xen_libraries.xc_domain_iomem_permission = fake_iomem_permission;
    play_store();
    xen_has_assigned = false;
    pt_guest_is_there = true;
    xen_calls = g_string_new(NULL);
    xen_fails_at = 0;
    xen_next_pirq = 40;
    machine_config_init(&config);
    config.ram_size = 2ull << 20;
    test->machine = machine_new(&config, &pt_engine, event_base_new(), NULL);
    if (!test->machine || !machine_create_engine(test->machine, &test->xen, NULL) ||
        !machine_create_board(test->machine, &fake_board, NULL, NULL)) {
        abort();
    }
    test->xen.machine = test->machine;
    if (!xen_store_open(&test->xen, NULL)) {
        abort();
    }
    memory_region_init_container(&test->memory, "pci", MACHINE_MEMORY_SIZE);
    memory_region_add_subregion_overlap(&test->machine->system_memory, 0, &test->memory, -1);
    test->bus = pci_bus_new(test->machine, &test->memory, &test->machine->system_io);
    test->sysfs = g_dir_make_tmp("xen-passthrough-XXXXXX", NULL);
    if (!test->sysfs) {
        abort();
    }
}

static inline void remove_folder(const char *path)
{
    GDir *folder = g_dir_open(path, 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder))) {
        g_autofree char *inside = g_build_filename(path, name, NULL);

        if (g_file_test(inside, G_FILE_TEST_IS_DIR)) {
            remove_folder(inside);
        } else {
            g_unlink(inside);
        }
    }
    if (folder) {
        g_dir_close(folder);
    }
    g_rmdir(path);
}

static inline void pt_test_clear(struct pt_test *test)
{
    pci_bus_free(test->bus);
    xen_store_close(&test->xen);
    memory_region_destroy(&test->memory);
    fake_machine_free(test->machine);
    remove_folder(test->sysfs);
    g_free(test->sysfs);
    g_string_free(xen_calls, TRUE);
}

/* Make one; NULL and an error if it is refused. address NULL: it is not named. */
static inline struct device *pt_add(struct pt_test *test, const char *address, const char *slot,
                                    bool permissive, GError **error)
{
    struct device *device = device_new(test->machine, &xen_passthrough_class, NULL, NULL, NULL);

    if (!device || !device_set_property(device, "addr", slot, NULL) ||
        !device_set_property(device, "x-sysfs", test->sysfs, NULL) ||
        (address && !device_set_property(device, "hostaddr", address, NULL)) ||
        !device_set_property(device, "permissive", permissive ? "on" : "off", NULL)) {
        abort();
    }
    if (!device_realize(device, error)) {
        device_destroy(device);
        return NULL;
    }
    device_reset(device);
    return device;
}

static inline void pt_write(struct pt_test *test, unsigned slot, unsigned offset, unsigned size,
                            uint32_t value)
{
    pci_bus_config_write(test->bus, 0, slot << 3, offset, size, value);
}

static inline uint32_t pt_read(struct pt_test *test, unsigned slot, unsigned offset, unsigned size)
{
    return pci_bus_config_read(test->bus, 0, slot << 3, offset, size);
}

#endif
