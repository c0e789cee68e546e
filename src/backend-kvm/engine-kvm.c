/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct engine_ops of kvm: the VM as it comes and goes. */
#include "backend-kvm/cpuid.h"
#include "backend-kvm/kvm-machine.h"
#include "util/error.h"

#include <cpuid.h>
#include <inttypes.h>
#include <string.h>

static bool is_available(GError **error)
{
    struct kvm_api api;

    if (!kvm_api_open(&api, KVM_DEVICE_PATH, error)) {
        return false;
    }
    kvm_api_close(&api);
    return true;
}

/* There are KVMs that do without the processor's virtualisation, by running guests that know of it
 * and interpreting all others: ordinary kernels don't get far there. */
static bool is_good_default(GError **error)
{
    unsigned eax, ebx, ecx, edx;
    bool vmx = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 5);
    bool svm = __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 2);

    return vmx || svm ||
           duodm_fail(
               error, DUODM_ERROR_NOT_SUPPORTED,
               "kvm: this processor shows no virtualisation (VMX or SVM), so that " KVM_DEVICE_PATH
               " may not run ordinary kernels: -accel kvm tries it nevertheless");
}

static bool check_cpu_model(const char *text, GError **error)
{
    struct kvm_cpu_model model;

    return kvm_cpu_model_parse(text, &model, error);
}

/* -machine kernel-irqchip= is the older form of -accel kvm,kernel-irqchip=. */
static bool choose_irqchip(struct kvm_machine *kvm, const struct kvm_options *options,
                           GError **error)
{
    static const char *const names[] = {
        [KERNEL_IRQCHIP_ON] = "on", [KERNEL_IRQCHIP_SPLIT] = "split", [KERNEL_IRQCHIP_OFF] = "off"};
    const char *text = options->kernel_irqchip;

    kvm->irqchip = kvm->machine->config.kernel_irqchip;
    for (unsigned i = KERNEL_IRQCHIP_ON; text && i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(text, names[i])) {
            kvm->irqchip = (enum kernel_irqchip)i;
            text = NULL;
        }
    }
    if (text) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "kernel-irqchip: '%s' is not valid: on, off or split is expected", text);
    }
    if (kvm->irqchip == KERNEL_IRQCHIP_DEFAULT) {
        kvm->irqchip = KERNEL_IRQCHIP_ON;
    }
    kvm->machine->engine_apics = kvm->irqchip != KERNEL_IRQCHIP_OFF;
    return true;
}

static bool choose_msr_policy(struct kvm_machine *kvm, const char *text, GError **error)
{
    kvm->ignore_msrs = g_str_equal(text, "ignore");
    return kvm->ignore_msrs || g_str_equal(text, "fault") ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "unknown-msr: '%s' is not valid: fault or ignore is expected", text);
}

static bool check_vcpus(const struct kvm_machine *kvm, GError **error)
{
    unsigned limit = (unsigned)kvm_api_check(&kvm->api, KVM_CAP_MAX_VCPUS);
    unsigned wanted = kvm->machine->config.smp;

    if (!limit) {
        limit = (unsigned)kvm_api_check(&kvm->api, KVM_CAP_NR_VCPUS);
    }
    return !limit || wanted <= limit ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "kvm: this kernel runs at most %u vCPUs in a machine, not %u: give -smp %u",
                      limit, wanted, limit);
}

/* Before the first vCPU. */
static bool enable_dirty_rings(struct kvm_machine *kvm, uint32_t entries, GError **error)
{
    unsigned capability = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    int limit = kvm_api_check(&kvm->api, capability), result;

    if (!entries) {
        return true;
    }
    if (entries & (entries - 1)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "dirty-ring-size: %" PRIu32 " is no power of two", entries);
    }
    if (!limit) {
        capability = KVM_CAP_DIRTY_LOG_RING;
        limit = kvm_api_check(&kvm->api, capability);
    }
    if (!limit) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "dirty-ring-size needs Linux 5.11: leave it out");
    }
    if (entries * sizeof(struct kvm_dirty_gfn) > (unsigned)limit) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "dirty-ring-size: at most %zu entries are possible",
                          (unsigned)limit / sizeof(struct kvm_dirty_gfn));
    }
    result = kvm_api_enable(&kvm->api, capability, entries * sizeof(struct kvm_dirty_gfn));
    if (result < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "dirty-ring-size: %s", g_strerror(-result));
    }
    kvm->ring_entries = entries;
    return true;
}

static bool make_vm(struct kvm_machine *kvm, const struct kvm_options *options, GError **error)
{
    struct machine *machine = kvm->machine;

    return kvm_install_kick_signal(error) && choose_irqchip(kvm, options, error) &&
           choose_msr_policy(kvm, options->unknown_msr, error) &&
           kvm_cpu_model_parse(machine->config.cpu_model, &kvm->model, error) &&
           kvm_api_open(&kvm->api, options->device, error) && kvm_api_create_vm(&kvm->api, error) &&
           check_vcpus(kvm, error) && kvm_create_irqchip(kvm, error) &&
           enable_dirty_rings(kvm, options->dirty_ring_size, error) &&
           kvm_set_unknown_msr_policy(kvm, error) && kvm_find_msrs(kvm, error) &&
           kvm_make_cpuid(kvm, error);
}

static void free_vcpus(struct kvm_machine *kvm)
{
    for (unsigned i = 0; i < kvm->machine->vcpu_count; i++) {
        struct vcpu *vcpu = kvm->machine->vcpus[i];

        kvm_destroy_vcpu(vcpu->engine);
        vcpu->engine = NULL;
    }
}

/* After the last device is gone: until then they may have interrupt descriptors. */
static void free_machine(void *opaque)
{
    struct kvm_machine *kvm = opaque;

    kvm->machine->engine_data = NULL;
    free_vcpus(kvm);
    kvm_unregister_listeners(kvm);
    kvm_routes_free(kvm->routes);
    kvm_api_close(&kvm->api);
    pthread_mutex_destroy(&kvm->lock);
    pthread_mutex_destroy(&kvm->coalesced_lock);
    pthread_cond_destroy(&kvm->changed);
    g_clear_error(&kvm->refused);
    g_free(kvm->cpuid);
    g_free(kvm->msrs);
    g_free(kvm);
}

static bool create(struct machine *machine, const void *options, GError **error)
{
    struct kvm_machine *kvm = g_new0(struct kvm_machine, 1);

    kvm->machine = machine;
    kvm->paused = true;
    kvm->api.device_fd = kvm->api.vm_fd = -1;
    pthread_mutex_init(&kvm->lock, NULL);
    pthread_mutex_init(&kvm->coalesced_lock, NULL);
    pthread_cond_init(&kvm->changed, NULL);
    machine->engine_data = kvm;
    if (make_vm(kvm, options, error)) {
        kvm->routes = kvm_routes_new(kvm);
        if (kvm_routes_commit(kvm->routes, error) && kvm_register_listeners(kvm, error)) {
            machine_add_cleanup(machine, free_machine, kvm);
            return true;
        }
    }
    free_machine(kvm);
    return false;
}

static bool check_board(struct machine *machine, GError **error)
{
    struct kvm_machine *kvm = kvm_of(machine);

    if (!kvm->refused) {
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&kvm->refused));
    return false;
}

/* The threads end; what is left goes with free_machine. */
static void destroy(struct machine *machine)
{
    struct kvm_machine *kvm = kvm_of(machine);

    kvm->ending = true;
    kvm_quit_threads(kvm);
    memory_listener_unregister(&kvm->io_listener);
    memory_listener_unregister(&kvm->memory_listener);
}

static const struct device_class *replace_device(struct machine *machine, const char *name)
{
    static const struct {
        const char *name;
        const struct device_class *class;
    } own[] = {
        {"i8259", &kvm_i8259_class}, {"ioapic", &kvm_ioapic_class}, {"i8254", &kvm_pit_class}};

    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++) {
        if (kvm_of(machine)->irqchip == KERNEL_IRQCHIP_ON && g_str_equal(name, own[i].name)) {
            return own[i].class;
        }
    }
    return NULL;
}

static const char *exit_name(unsigned reason)
{
    static const char *const names[] = {
        [KVM_EXIT_IO] = "port",           [KVM_EXIT_HLT] = "HLT",
        [KVM_EXIT_MMIO] = "memory",       [KVM_EXIT_IRQ_WINDOW_OPEN] = "interrupt window",
        [KVM_EXIT_SHUTDOWN] = "shutdown", [KVM_EXIT_INTR] = "signal",
        [KVM_EXIT_IOAPIC_EOI] = "EOI",    [KVM_EXIT_X86_RDMSR] = "RDMSR",
        [KVM_EXIT_X86_WRMSR] = "WRMSR",   [KVM_EXIT_DIRTY_RING_FULL] = "dirty ring full",
    };

    return reason < G_N_ELEMENTS(names) && names[reason] ? names[reason] : "other";
}

/* info kvm */
static bool print_info(struct machine *machine, const char *name, GString *out)
{
    static const char *const irqchips[] = {[KERNEL_IRQCHIP_ON] = "in the kernel",
                                           [KERNEL_IRQCHIP_SPLIT] = "split",
                                           [KERNEL_IRQCHIP_OFF] = "in duodm"};
    const struct kvm_machine *kvm = kvm_of(machine);
    const struct memory_slot *slots;
    unsigned count;

    if (!g_str_equal(name, "kvm")) {
        return false;
    }
    g_string_append_printf(out, "kvm support: enabled, interrupt controllers %s\n",
                           irqchips[kvm->irqchip]);
    slots = memory_slots_list(kvm->slots, &count);
    for (unsigned i = 0; i < count; i++) {
        if (slots[i].length) {
            g_string_append_printf(out, "slot %u: %016" PRIx64 "-%016" PRIx64 "%s%s %s\n", i,
                                   slots[i].start, slots[i].start + slots[i].length - 1,
                                   slots[i].flags & KVM_MEM_READONLY ? " read-only" : "",
                                   slots[i].flags & KVM_MEM_LOG_DIRTY_PAGES ? " logged" : "",
                                   slots[i].region->name);
        }
    }
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        const struct kvm_vcpu *v = machine->vcpus[i]->engine;

        g_string_append_printf(out, "CPU %u exits:", i);
        for (unsigned reason = 0; reason < G_N_ELEMENTS(v->exits); reason++) {
            if (v->exits[reason]) {
                g_string_append_printf(out, " %s %" PRIu64, exit_name(reason), v->exits[reason]);
            }
        }
        g_string_append_c(out, '\n');
    }
    return true;
}

static const struct property options_table[] = {
    {"device", PROPERTY_STRING, offsetof(struct kvm_options, device), KVM_DEVICE_PATH, 0, 0,
     "the kernel's device"},
    {"kernel-irqchip", PROPERTY_STRING, offsetof(struct kvm_options, kernel_irqchip), NULL, 0, 0,
     "interrupt controllers in the kernel: on, off or split (local APICs only)"},
    {"unknown-msr", PROPERTY_STRING, offsetof(struct kvm_options, unknown_msr), "fault", 0, 0,
     "what an MSR does that the kernel doesn't know: fault, or ignore (reads as 0)"},
    {"dirty-ring-size", PROPERTY_UINT32, offsetof(struct kvm_options, dirty_ring_size), "0", 0,
     UINT32_MAX, "log written pages by rings of so many entries; 0: by bitmaps"},
    PROPERTY_END,
};

static const struct device_class *const devices[] = {&kvm_i8259_class, &kvm_ioapic_class,
                                                     &kvm_pit_class, NULL};

const struct engine_ops kvm_engine = {
    .name = "kvm",
    .description = "the processor's virtualisation, through /dev/kvm",
    .options_size = sizeof(struct kvm_options),
    .options = options_table,
    .devices = devices,
    .has_vcpus = true,
    .is_available = is_available,
    .is_good_default = is_good_default,
    .check_cpu_model = check_cpu_model,
    .list_cpu_models = kvm_cpu_model_list,
    .create = create,
    .create_vcpu = kvm_create_vcpu,
    .check_board = check_board,
    .resume = kvm_resume,
    .pause = kvm_pause,
    .destroy = destroy,
    .kick = kvm_kick,
    .reset_vcpu = kvm_reset_vcpu,
    .get_state = kvm_get_x86_state,
    .set_state = kvm_set_x86_state,
    .write_msr = kvm_write_msr,
    .virtual_to_physical = kvm_virtual_to_physical,
    .set_clock_running = kvm_set_clock_running,
    .save_vcpu = kvm_save_vcpu,
    .load_vcpu = kvm_load_vcpu,
    .vcpu_state = &kvm_vcpu_state,
    .state = &kvm_machine_state,
    .write_apic = kvm_write_apic,
    .deliver_msi = kvm_deliver_msi,
    .replace_device = replace_device,
    .set_gsi = kvm_set_gsi,
    .set_pit_disconnected = kvm_set_pit_disconnected,
    .set_ioapic_route = kvm_set_ioapic_route,
    .irqfd = &kvm_irqfd_ops,
    .print_info = print_info,
};
