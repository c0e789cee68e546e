/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/iommu/intel-iommu.h"
#include "dm/fd-set.h"
#include "dm/fdt/device-tree.h"
#include "dm/intc/ioapic.h"
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "dm/pci/pci-iommu.h"
#include "iommu/vtd.h"
#include "util/error.h"

#include <inttypes.h>

#define REGISTERS   0xfed90000u
#define HOST_WIDTH  52      /* bits: all of MACHINE_MEMORY_SIZE */
#define IOAPIC_ID   0xf0f8u /* requester f0:1f.0, on a bus that nothing else is on */
#define PAGE_SIZE   4096u
#define WALK_LEEWAY (1u << 20) /* tables and mappings that a small guest may use for MMIO */

struct intel_iommu {
    struct device device;
    /* Properties. */
    char *intremap;
    bool extended_interrupts, caching_mode, pass_through;
    uint8_t address_width;

    bool interrupt_remapping; /* as intremap says */

    struct vtd *vtd;
    struct interrupt_remapper remapper; /* of the IOAPIC */
    pthread_mutex_t views_lock;         /* leaf; for the table below */
    GHashTable *views;                  /* requester -> struct vtd_device, each as often as got */
    struct vtd_state saved;

    /* The thread that goes on with the invalidation queue when a vCPU's turn is over. */
    pthread_t worker;
    bool has_worker;
    pthread_mutex_t worker_lock; /* leaf; for the three below */
    pthread_cond_t worker_changed;
    bool work, working, stopped, quit;
};

/* The bus's side. */

static struct memory_region *get_view(void *opaque, uint16_t requester)
{
    struct intel_iommu *iommu = opaque;
    struct vtd_device *device = vtd_get_device(iommu->vtd, requester);

    pthread_mutex_lock(&iommu->views_lock);
    g_hash_table_insert(iommu->views, GUINT_TO_POINTER(requester), device);
    pthread_mutex_unlock(&iommu->views_lock);
    return vtd_device_root(device);
}

static void put_view(void *opaque, uint16_t requester)
{
    struct intel_iommu *iommu = opaque;
    struct vtd_device *device;

    pthread_mutex_lock(&iommu->views_lock);
    device = g_hash_table_lookup(iommu->views, GUINT_TO_POINTER(requester));
    pthread_mutex_unlock(&iommu->views_lock);
    vtd_put_device(device);
}

static bool can_follow(void *opaque, GError **error)
{
    const struct intel_iommu *iommu = opaque;

    return iommu->caching_mode ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "a passthrough device behind intel-iommu needs caching mode: "
                      "-device intel-iommu,caching-mode=on");
}

static struct iommu_drain *get_drain(void *opaque)
{
    return &((struct intel_iommu *)opaque)->vtd->drain;
}

static bool remap_message(void *opaque, uint16_t requester, uint64_t *address, uint32_t *data)
{
    struct intel_iommu *iommu = opaque;

    return vtd_remap_interrupt(iommu->vtd, requester, true, address, data);
}

static const struct pci_iommu_ops bus_ops = {
    .get_view = get_view,
    .put_view = put_view,
    .can_follow = can_follow,
    .get_drain = get_drain,
    .remap_message = remap_message,
};

/* Interrupts. */

static bool remap_ioapic(void *opaque, bool is_probe, uint64_t *address, uint32_t *data)
{
    struct intel_iommu *iommu = opaque;

    return vtd_remap_interrupt(iommu->vtd, IOAPIC_ID, is_probe, address, data);
}

static void send_interrupt(void *opaque, uint64_t address, uint32_t data)
{
    struct intel_iommu *iommu = opaque;

    apic_deliver_msi(iommu->device.machine, address, data);
}

static void interrupts_changed(void *opaque)
{
    struct intel_iommu *iommu = opaque;
    struct machine *machine = iommu->device.machine;

    if (machine->ioapic) {
        ioapic_messages_changed(machine->ioapic);
    }
    pci_bus_messages_changed(pci_bus_from_base(machine->pci_bus));
}

/* The worker. It stands still while the machine does. */

static void *run_worker(void *opaque)
{
    struct intel_iommu *iommu = opaque;

    pthread_mutex_lock(&iommu->worker_lock);
    while (!iommu->quit) {
        if (!iommu->work || iommu->stopped) {
            pthread_cond_wait(&iommu->worker_changed, &iommu->worker_lock);
            continue;
        }
        iommu->work = false;
        iommu->working = true;
        pthread_mutex_unlock(&iommu->worker_lock);
        vtd_queue_run(iommu->vtd); /* sets work again if there is more */
        pthread_mutex_lock(&iommu->worker_lock);
        iommu->working = false;
        pthread_cond_broadcast(&iommu->worker_changed);
    }
    pthread_mutex_unlock(&iommu->worker_lock);
    return NULL;
}

static void queue_left(void *opaque)
{
    struct intel_iommu *iommu = opaque;

    pthread_mutex_lock(&iommu->worker_lock);
    iommu->work = true;
    if (!iommu->has_worker) {
        iommu->has_worker = pthread_create(&iommu->worker, NULL, run_worker, iommu) == 0;
    }
    pthread_cond_broadcast(&iommu->worker_changed);
    pthread_mutex_unlock(&iommu->worker_lock);
}

static void machine_ran(void *opaque, bool running)
{
    struct intel_iommu *iommu = opaque;

    pthread_mutex_lock(&iommu->worker_lock);
    iommu->stopped = !running;
    pthread_cond_broadcast(&iommu->worker_changed);
    while (!running && iommu->working) {
        pthread_cond_wait(&iommu->worker_changed, &iommu->worker_lock);
    }
    pthread_mutex_unlock(&iommu->worker_lock);
}

static void end_worker(struct intel_iommu *iommu)
{
    pthread_mutex_lock(&iommu->worker_lock);
    iommu->quit = true;
    pthread_cond_broadcast(&iommu->worker_changed);
    pthread_mutex_unlock(&iommu->worker_lock);
    if (iommu->has_worker) {
        pthread_join(iommu->worker, NULL);
    }
}

/* Life. */

static void forget_all(void *opaque)
{
    struct intel_iommu *iommu = opaque;

    vtd_reset(iommu->vtd);
}

/* A guest that belongs to a hypervisor has its interrupt controllers there. Its board says so where
 * the engine does not: without a domain, for dumpdmar. */
static bool choose_remapping(struct intel_iommu *iommu, GError **error)
{
    const struct machine *machine = iommu->device.machine;
    bool is_attached = machine->engine->attaches || machine->board->engine;

    if (g_str_equal(iommu->intremap, "auto")) {
        g_free(iommu->intremap);
        iommu->intremap = g_strdup(is_attached ? "off" : "on");
    }
    if (!parse_bool(iommu->intremap, &iommu->interrupt_remapping, error)) {
        g_prefix_error(error, "property 'intremap': ");
        return false;
    }
    if (iommu->interrupt_remapping && is_attached) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "interrupts of a Xen domain can't be remapped, its interrupt controllers "
                          "are Xen's: leave intremap=on out");
    }
    return true;
}

static bool check(const struct intel_iommu *iommu, GError **error)
{
    struct machine *machine = iommu->device.machine;

    if (iommu->address_width != 39 && iommu->address_width != 48) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "aw-bits=%u is not possible: 39 or 48 are", iommu->address_width);
    }
    if (!machine->pci_bus) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "board %s has no PCI bus: use -machine pc or q35", machine->board->name);
    }
    if (machine->complete) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "an IOMMU can't be hot-plugged: give it on the command line");
    }
    if (iommu->interrupt_remapping && !machine->ioapic) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "interrupts of an IOAPIC in the kernel can't be remapped: give -machine "
                          "kernel-irqchip=split, or intremap=off");
    }
    return true;
}

static struct vtd *make_unit(struct intel_iommu *iommu)
{
    struct machine *machine = iommu->device.machine;
    struct vtd_config config = {
        .host_width = HOST_WIDTH,
        .iova_width = iommu->address_width,
        .caching_mode = iommu->caching_mode,
        .interrupt_remapping = iommu->interrupt_remapping,
        .extended_interrupts = iommu->extended_interrupts,
        .pass_through = iommu->pass_through,
        /* Each page mapped once, and as many tables: more is no use. */
        .walk_limit = 2 * (machine->config.ram_size / PAGE_SIZE) + WALK_LEEWAY,
    };
    struct vtd_host host = {send_interrupt, interrupts_changed, queue_left, iommu};

    return vtd_new(&config, &host, &machine->as_memory, &machine->system_memory);
}

static bool intel_iommu_realize(struct device *device, GError **error)
{
    struct intel_iommu *iommu = (struct intel_iommu *)device;
    struct machine *machine = device->machine;

    if (!choose_remapping(iommu, error) || !check(iommu, error)) {
        return false;
    }
    iommu->vtd = make_unit(iommu);
    pthread_mutex_init(&iommu->views_lock, NULL);
    iommu->views = g_hash_table_new(NULL, NULL);
    if (!pci_bus_set_iommu(pci_bus_from_base(machine->pci_bus), &bus_ops, iommu, error)) {
        g_hash_table_destroy(iommu->views);
        pthread_mutex_destroy(&iommu->views_lock);
        vtd_free(iommu->vtd);
        return false;
    }
    memory_region_add_subregion_overlap(&machine->system_memory, REGISTERS, &iommu->vtd->window, 1);
    if (iommu->interrupt_remapping) {
        iommu->remapper = (struct interrupt_remapper){remap_ioapic, iommu};
        ioapic_set_remapper(machine->ioapic, &iommu->remapper);
    }
    pthread_mutex_init(&iommu->worker_lock, NULL);
    pthread_cond_init(&iommu->worker_changed, NULL);
    iommu->stopped = true;
    machine_add_run_listener(machine, machine_ran, iommu);
    /* Devices have stopped their DMA by then. */
    machine_add_reset_handler(machine, forget_all, iommu);
    return true;
}

/* Only with the machine: nothing of PCI is there any more. */
static void intel_iommu_unrealize(struct device *device)
{
    struct intel_iommu *iommu = (struct intel_iommu *)device;
    struct machine *machine = device->machine;

    machine_remove_run_listener(machine, machine_ran, iommu);
    end_worker(iommu);
    pthread_cond_destroy(&iommu->worker_changed);
    pthread_mutex_destroy(&iommu->worker_lock);
    if (iommu->interrupt_remapping && machine->ioapic) {
        ioapic_set_remapper(machine->ioapic, NULL);
    }
    if (machine->pci_bus) {
        pci_bus_set_iommu(pci_bus_from_base(machine->pci_bus), NULL, NULL, NULL);
    }
    g_hash_table_destroy(iommu->views);
    pthread_mutex_destroy(&iommu->views_lock);
    vtd_free(iommu->vtd);
}

static struct intel_iommu *find(struct machine *machine)
{
    for (unsigned i = 0; i < machine->system_bus->children->len; i++) {
        struct device *device = g_ptr_array_index(machine->system_bus->children, i);

        if (device->class == &intel_iommu_class) {
            return (struct intel_iommu *)device;
        }
    }
    return NULL;
}

struct vtd *intel_iommu_find(struct machine *machine)
{
    struct intel_iommu *iommu = find(machine);

    return iommu ? iommu->vtd : NULL;
}

bool intel_iommu_get_dmar(struct machine *machine, struct acpi_dmar *dmar)
{
    const struct intel_iommu *iommu = find(machine);

    if (iommu) {
        *dmar = (struct acpi_dmar){REGISTERS, iommu->address_width, iommu->interrupt_remapping,
                                   IOAPIC_ID};
    }
    return iommu != NULL;
}

bool intel_iommu_write_dmar(struct machine *machine, const char *path, GError **error)
{
    g_autoptr(GByteArray) table = NULL;
    struct acpi_dmar dmar;

    if (!intel_iommu_get_dmar(machine, &dmar)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine has no such unit: give -device intel-iommu, too");
    }
    table = acpi_build_dmar(&dmar);
    return fd_registry_write(machine->fds, path, 0666, table->data, table->len, error);
}

static void intel_iommu_describe(struct device *device, struct device_tree *tree,
                                 struct device_node *node)
{
    tree->pci_iommu = device_tree_add_memory_device(tree, "iommu", REGISTERS, VTD_WINDOW_SIZE,
                                                    "duodm,intel-iommu");
    device_node_set(tree->pci_iommu, "#iommu-cells", 1);
}

/* Saved state. */

static void intel_iommu_before_save(void *object)
{
    struct intel_iommu *iommu = object;

    vtd_save(iommu->vtd, &iommu->saved);
}

static bool intel_iommu_after_load(void *object)
{
    struct intel_iommu *iommu = object;

    return vtd_load(iommu->vtd, &iommu->saved);
}

static const struct state_field intel_iommu_fields[] = {
    STATE_ARRAY(BYTES, intel_iommu, saved.registers, VTD_REGISTERS_SIZE, 1),
    STATE(UINT64, intel_iommu, saved.root, 1),
    STATE(UINT64, intel_iommu, saved.interrupt_table, 1),
    STATE(UINT32, intel_iommu, saved.next_fault, 1),
    STATE_END,
};

static const struct state_description intel_iommu_state = {
    .name = "intel-iommu",
    .version = 1,
    .fields = intel_iommu_fields,
    .before_save = intel_iommu_before_save,
    .after_load = intel_iommu_after_load,
};

static const struct property intel_iommu_properties[] = {
    {"intremap", PROPERTY_STRING, offsetof(struct intel_iommu, intremap), "auto", 0, 0,
     "remaps interrupts: on, off or auto (on, but off under xen, where it is not possible); kvm: "
     "needs "
     "kernel-irqchip=split, and chooses it"},
    {"eim", PROPERTY_BOOL, offsetof(struct intel_iommu, extended_interrupts), "on", 0, 0,
     "interrupts can go to x2APIC IDs, above 254 too"},
    {"caching-mode", PROPERTY_BOOL, offsetof(struct intel_iommu, caching_mode), "off", 0, 0,
     "the guest tells of each new mapping: needed for passthrough"},
    {"pt", PROPERTY_BOOL, offsetof(struct intel_iommu, pass_through), "on", 0, 0,
     "the guest can let a device through untranslated"},
    {"aw-bits", PROPERTY_UINT8, offsetof(struct intel_iommu, address_width), "48", 39, 48,
     "width of DMA addresses: 39 or 48"},
    PROPERTY_END,
};

const struct device_class intel_iommu_class = {
    .name = "intel-iommu",
    .description = "VT-d DMA and interrupt remapping (boards pc and xenfv)",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct intel_iommu),
    .user_creatable = true,
    .cold_only = true,
    .properties = intel_iommu_properties,
    .state = &intel_iommu_state,
    .realize = intel_iommu_realize,
    .unrealize = intel_iommu_unrealize,
    .describe = intel_iommu_describe,
};
