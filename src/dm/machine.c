/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a machine, and taking it down in the opposite order. machine-run.c makes it go. */
#include "dm/machine.h"
#include "dm/block/block.h"
#include "dm/chardev.h"
#include "dm/fd-set.h"
#include "dm/fdt/device-tree.h"
#include "dm/firmware/boot-order.h"
#include "dm/input/input.h"
#include "dm/intc/local-apic.h"
#include "dm/iommu/intel-iommu.h"
#include "dm/machine-private.h"
#include "dm/net/net.h"
#include "dm/object.h"
#include "dm/pci/pci.h"
#include "dm/snapshot/migration.h"
#include "util/error.h"
#include "util/host-memory.h"

#include <inttypes.h>

struct machine_cleanup {
    void (*function)(void *opaque);
    void *opaque;
};

static void global_property_free(gpointer data)
{
    struct global_property *global = data;

    g_free(global->driver);
    g_free(global->property);
    g_free(global->value);
    g_free(global);
}

static void fw_cfg_option_free(gpointer data)
{
    struct fw_cfg_option *option = data;

    g_free(option->name);
    g_free(option->file);
    g_free(option->string);
    g_free(option);
}

void machine_config_init(struct machine_config *config)
{
    *config = (struct machine_config){
        .ram_size = 128ull << 20,
        .smp = 1,
        .max_cpus = 1,
        .globals = g_ptr_array_new_with_free_func(global_property_free),
        .firmware_folders = g_ptr_array_new_with_free_func(g_free),
        .fw_cfg_items = g_ptr_array_new_with_free_func(fw_cfg_option_free),
    };
}

void machine_config_clear(struct machine_config *config)
{
    g_free(config->name);
    g_free(config->uuid_text);
    g_free(config->cpu_model);
    g_free(config->kernel);
    g_free(config->initrd);
    g_free(config->append);
    g_free(config->bios);
    g_free(config->dtb_dump);
    g_free(config->dmar_dump);
    g_free(config->memory_backend);
    g_free(config->rtc_base);
    g_free(config->boot_order);
    g_free(config->boot_once);
    g_free(config->incoming);
    g_clear_pointer(&config->globals, g_ptr_array_unref);
    g_clear_pointer(&config->fw_cfg_items, g_ptr_array_unref);
    g_clear_pointer(&config->firmware_folders, g_ptr_array_unref);
    *config = (struct machine_config){0};
}

static bool check_topology(struct machine_config *config, GError **error)
{
    if (config->smp < 1 || config->smp > MACHINE_MAX_VCPUS) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%u vCPUs are not possible: -smp takes 1 to %u", config->smp,
                          MACHINE_MAX_VCPUS);
    }
    config->max_cpus = MAX(config->max_cpus, config->smp);
    /* What -smp left open: one thread a core, one core a socket. */
    config->threads = config->threads ? config->threads : 1;
    config->cores = config->cores ? config->cores : 1;
    if (!config->sockets) {
        uint64_t per_socket = (uint64_t)config->cores * config->threads;

        config->sockets = (unsigned)((config->smp + per_socket - 1) / per_socket);
    }
    if ((unsigned __int128)config->sockets * config->cores * config->threads < config->smp) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "-smp: %u sockets of %u cores of %u threads are fewer than %u vCPUs",
                          config->sockets, config->cores, config->threads, config->smp);
    }
    return true;
}

static bool check_config(struct machine_config *config, GError **error)
{
    if (config->ram_size < MACHINE_RAM_MIN || config->ram_size > MACHINE_RAM_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%" PRIu64 " bytes of memory are not possible: -m takes %llu MiB to "
                          "%llu MiB",
                          config->ram_size, MACHINE_RAM_MIN >> 20, MACHINE_RAM_MAX >> 20);
    }
    return check_topology(config, error);
}

static void make_memory(struct machine *machine)
{
    memory_region_init_container(&machine->system_memory, "system", MACHINE_MEMORY_SIZE);
    memory_region_init_container(&machine->system_io, "io", 0x10000);
    address_space_init(&machine->as_memory, &machine->system_memory, "memory");
    address_space_init(&machine->as_io, &machine->system_io, "I/O");
}

static void destroy_memory(struct machine *machine)
{
    address_space_destroy(&machine->as_io);
    address_space_destroy(&machine->as_memory);
    memory_region_destroy(&machine->system_io);
    memory_region_destroy(&machine->system_memory);
}

/* The last of a machine: what needs no other part of it to go. */
static void free_lists(struct machine *machine)
{
    interrupt_eoi_destroy(&machine->eoi);
    g_ptr_array_unref(machine->nics);
    g_ptr_array_unref(machine->netdevs);
    fd_registry_free(machine->fds);
    g_ptr_array_unref(machine->kept_memory);
    g_ptr_array_unref(machine->device_buses);
    g_ptr_array_unref(machine->objects);
    boot_order_free(machine);
    g_ptr_array_unref(machine->chardevs);
    g_ptr_array_unref(machine->cleanups);
    g_ptr_array_unref(machine->reset_handlers);
    machine_config_clear(&machine->config);
    g_free(machine);
}

struct machine *machine_new(struct machine_config *config, const struct engine_ops *engine,
                            struct event_base *base, GError **error)
{
    struct machine *machine = g_new0(struct machine, 1);

    machine->config = *config;
    *config = (struct machine_config){0};
    machine->engine = engine;
    machine->base = base;
    machine->state = machine->config.incoming ? RUN_STATE_INMIGRATE : RUN_STATE_PRELAUNCH;
    machine->reset_handlers = g_ptr_array_new_with_free_func(g_free);
    machine->cleanups = g_ptr_array_new_with_free_func(g_free);
    machine->chardevs = g_ptr_array_new();
    machine->netdevs = g_ptr_array_new();
    machine->nics = g_ptr_array_new();
    machine->objects = g_ptr_array_new();
    machine->device_buses = g_ptr_array_new();
    interrupt_eoi_init(&machine->eoi);
    machine->kept_memory = g_ptr_array_new();
    machine->fds = fd_registry_new();
    machine->input = input_new();
    if (!check_config(&machine->config, error)) {
        goto fail_config;
    }
    machine->clock = machine_clock_new(base, error);
    if (!machine->clock) {
        goto fail_config;
    }
    if (!machine_run_init(machine, error)) {
        goto fail_clock;
    }
    machine->blocks = block_registry_new(machine);
    machine->migration = migration_new(machine);
    if (machine->config.incoming) {
        block_inactivate(machine->blocks, NULL); /* the sender has them until it is done */
    }
    make_memory(machine);
    machine->system_bus = bus_new(BUS_SYSTEM, "system", NULL);
    machine->isa_bus = bus_new(BUS_ISA, "isa.0", NULL);
    return machine;

fail_clock:
    machine_clock_free(machine->clock);
fail_config:
    input_free(machine->input);
    free_lists(machine);
    return NULL;
}

bool machine_create_engine(struct machine *machine, const void *options, GError **error)
{
    machine->engine_created =
        !machine->engine->create || machine->engine->create(machine, options, error);
    return machine->engine_created;
}

/* Bits that number `count` things. */
static unsigned id_width(unsigned count)
{
    unsigned width = 0;

    while ((1ull << width) < count) {
        width++;
    }
    return width;
}

/* APIC IDs are made of bit fields for thread, core and package (SDM vol. 3, 9.9.1). */
static uint32_t topology_apic_id(const struct machine_config *config, unsigned index)
{
    unsigned thread = index % config->threads;
    unsigned core = index / config->threads % config->cores;
    unsigned socket = index / config->threads / config->cores;
    unsigned thread_width = id_width(config->threads);

    return thread | core << thread_width | socket << (thread_width + id_width(config->cores));
}

static bool create_vcpu(struct machine *machine, GError **error)
{
    struct vcpu *vcpu = g_new0(struct vcpu, 1);

    vcpu->machine = machine;
    vcpu->index = machine->vcpu_count;
    vcpu->apic_id = topology_apic_id(&machine->config, vcpu->index);
    /* In its place before the engine sees it: its thread may look for it there. */
    machine->vcpus[vcpu->index] = vcpu;
    if (!machine->engine_apics) {
        vcpu->apic = local_apic_new(machine, vcpu);
    }
    if (machine->engine->create_vcpu(vcpu, error)) {
        machine->vcpu_count++;
        return true;
    }
    machine->vcpus[vcpu->index] = NULL;
    if (vcpu->apic) {
        local_apic_free(vcpu->apic);
    }
    g_free(vcpu);
    g_prefix_error(error, "vCPU %u: ", machine->vcpu_count);
    return false;
}

bool machine_create_board(struct machine *machine, const struct board_class *board,
                          const void *board_options, GError **error)
{
    machine->board = board;
    machine->board_options = board_options;
    if (machine->engine->has_vcpus && !machine->engine->attaches &&
        machine->config.max_cpus > machine->config.smp) {
        return duodm_fail(
            error, DUODM_ERROR_NOT_SUPPORTED,
            "-smp: engine '%s' can't add CPUs later: give maxcpus=%u, or leave it out",
            machine->engine->name, machine->config.smp);
    }
    while (machine->engine->has_vcpus && machine->vcpu_count < machine->config.smp) {
        if (!create_vcpu(machine, error)) {
            return false;
        }
    }
    return board->create(machine, board_options, error) &&
           (!machine->engine->check_board || machine->engine->check_board(machine, error));
}

bool machine_make_ram(struct machine *machine, GError **error)
{
    struct host_memory host;

    if (machine->engine->make_ram) {
        return machine->engine->make_ram(machine, error);
    }
    machine->ram_above_4g_offset = machine->ram_below_4g;
    host_memory_read(&host);
    return host_memory_check(&host, machine->config.ram_size, error) &&
           machine_allocate_ram(machine, error);
}

void machine_keep_memory(struct machine *machine, struct memory_region *region)
{
    g_ptr_array_add(machine->kept_memory, region);
}

void machine_forget_memory(struct machine *machine, struct memory_region *region)
{
    g_ptr_array_remove(machine->kept_memory, region);
}

void machine_mask_a20(struct machine *machine, bool masked)
{
    if (__atomic_exchange_n(&machine->a20_masked, masked, __ATOMIC_SEQ_CST) == masked) {
        return;
    }
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        vcpu_signal(machine->vcpus[i], VCPU_SIGNAL_FLUSH);
    }
}

static bool dump_device_tree(struct machine *machine, GError **error)
{
    struct device_tree *tree = device_tree_new(machine);
    g_autoptr(GBytes) blob = device_node_pack(tree->root);
    gsize size;
    const char *data = g_bytes_get_data(blob, &size);
    bool ok = fd_registry_write(machine->fds, machine->config.dtb_dump, 0666, data, size, error);

    device_tree_free(tree);
    if (!ok) {
        g_prefix_error(error, "-machine dumpdtb: ");
    }
    return ok;
}

static bool dump_dmar(struct machine *machine, GError **error)
{
    if (intel_iommu_write_dmar(machine, machine->config.dmar_dump, error)) {
        return true;
    }
    g_prefix_error(error, "-machine dumpdmar: ");
    return false;
}

bool machine_complete_board(struct machine *machine, GError **error)
{
    const struct board_class *board = machine->board;

    machine->complete = (!board->complete || board->complete(machine, error)) &&
                        (!machine->config.dtb_dump || dump_device_tree(machine, error)) &&
                        (!machine->config.dmar_dump || dump_dmar(machine, error));
    return machine->complete;
}

void machine_add_reset_handler(struct machine *machine, void (*handler)(void *opaque), void *opaque)
{
    struct machine_cleanup *entry = g_new(struct machine_cleanup, 1);

    *entry = (struct machine_cleanup){handler, opaque};
    g_ptr_array_add(machine->reset_handlers, entry);
}

void machine_add_cleanup(struct machine *machine, void (*cleanup)(void *opaque), void *opaque)
{
    struct machine_cleanup *entry = g_new(struct machine_cleanup, 1);

    *entry = (struct machine_cleanup){cleanup, opaque};
    g_ptr_array_add(machine->cleanups, entry);
}

void machine_call_reset_handlers(struct machine *machine)
{
    for (unsigned i = 0; i < machine->reset_handlers->len; i++) {
        const struct machine_cleanup *entry = g_ptr_array_index(machine->reset_handlers, i);

        entry->function(entry->opaque);
    }
}

/* Threads end first: from there on nothing runs but the caller. vCPUs themselves stay until the
 * interrupt controllers that point to them are gone. */
void machine_free(struct machine *machine)
{
    if (!machine) {
        return;
    }
    machine_run_stop(machine);
    migration_free(machine->migration);
    if (machine->engine_created && machine->engine->destroy) {
        machine->engine->destroy(machine);
    }
    if (machine->board && machine->board->release) {
        machine->board->release(machine);
    }
    bus_free(machine->isa_bus);
    if (machine->pci_bus) {
        pci_bus_free(pci_bus_from_base(machine->pci_bus));
    }
    bus_free(machine->system_bus);
    while (machine->netdevs->len) {
        netdev_remove(g_ptr_array_index(machine->netdevs, machine->netdevs->len - 1), NULL);
    }
    for (unsigned i = machine->cleanups->len; i-- > 0;) {
        const struct machine_cleanup *entry = g_ptr_array_index(machine->cleanups, i);

        entry->function(entry->opaque);
    }
    for (unsigned i = machine->vcpu_count; i-- > 0;) {
        if (machine->vcpus[i]->apic) {
            local_apic_free(machine->vcpus[i]->apic);
        }
        g_free(machine->vcpus[i]);
    }
    if (machine->ram.name) {
        memory_region_destroy(&machine->ram);
    }
    objects_free(machine);
    destroy_memory(machine);
    block_registry_free(machine->blocks);
    machine_run_destroy(machine);
    input_free(machine->input);
    machine_clock_free(machine->clock);
    while (machine->chardevs->len) {
        chardev_free(g_ptr_array_index(machine->chardevs, machine->chardevs->len - 1));
    }
    free_lists(machine);
}
