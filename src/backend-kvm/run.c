/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot path: a vCPU in and out of the guest. Between an exit and the device's callback there is no
 * lock and no allocation: address_space_load and _store find the region in the thread's cache.
 */
#include "backend-kvm/kvm-machine.h"
#include "dm/intc/ioapic.h"
#include "util/file-guard.h"
#include "util/hot-path.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

/* Accesses. */

HOT_PATH static void handle_io(struct kvm_vcpu *v)
{
    struct address_space *io = &v->kvm->machine->as_io;
    const struct kvm_run *run = v->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    if (run->io.direction == KVM_EXIT_IO_OUT) {
        address_space_store_string(io, run->io.port, run->io.size, MEMORY_ATTRIBUTES_CPU, data,
                                   run->io.count);
    } else {
        address_space_load_string(io, run->io.port, run->io.size, MEMORY_ATTRIBUTES_CPU, data,
                                  run->io.count);
    }
}

HOT_PATH static void handle_mmio(struct kvm_vcpu *v)
{
    struct address_space *memory = &v->kvm->machine->as_memory;
    struct kvm_run *run = v->run;
    unsigned size = run->mmio.len;
    uint64_t value = 0;

    if (G_UNLIKELY(v->vcpu->apic) && kvm_access_local_apic(v)) {
        return;
    }
    if (size & (size - 1)) { /* part of an access that crosses a page */
        if (run->mmio.is_write) {
            address_space_write(memory, run->mmio.phys_addr, MEMORY_ATTRIBUTES_CPU, run->mmio.data,
                                size);
        } else {
            address_space_read(memory, run->mmio.phys_addr, MEMORY_ATTRIBUTES_CPU, run->mmio.data,
                               size);
        }
    } else if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, sizeof(value)); /* all of it: the store takes its part */
        address_space_store(memory, run->mmio.phys_addr, size, MEMORY_ATTRIBUTES_CPU, value);
    } else {
        address_space_load(memory, run->mmio.phys_addr, size, MEMORY_ATTRIBUTES_CPU, &value);
        memcpy(run->mmio.data, &value, sizeof(value));
    }
}

/* Exits that are no access. */

/* A triple fault resets the machine, as chipsets do it. */
static void handle_shutdown(struct kvm_vcpu *v)
{
    if (log_is_enabled(LOG_RESET)) {
        g_autofree char *text = kvm_describe_vcpu(v);

        log_printf("CPU %u: triple fault\n%s", v->vcpu->index, text);
    }
    machine_request_reset(v->kvm->machine, true);
}

static void handle_system_event(struct kvm_vcpu *v)
{
    struct machine *machine = v->kvm->machine;

    switch (v->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        machine_request_shutdown(machine, SHUTDOWN_GUEST_SHUTDOWN);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        machine_request_reset(machine, true);
        break;
    case KVM_SYSTEM_EVENT_CRASH:
        machine_report_panic(machine, "the guest's kernel crashed");
        break;
    }
}

static void handle_other(struct kvm_vcpu *v)
{
    switch (v->run->exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
    case KVM_EXIT_DEBUG:
        break;
    case KVM_EXIT_HLT:
        v->halted = true;
        break;
    case KVM_EXIT_IOAPIC_EOI:
        if (v->kvm->machine->ioapic) {
            ioapic_eoi(v->kvm->machine->ioapic, v->run->eoi.vector);
        }
        break;
    case KVM_EXIT_X86_RDMSR:
        kvm_handle_rdmsr(v);
        break;
    case KVM_EXIT_X86_WRMSR:
        kvm_handle_wrmsr(v);
        break;
    case KVM_EXIT_DIRTY_RING_FULL:
        kvm_collect_dirty_rings(v->kvm);
        break;
    case KVM_EXIT_SHUTDOWN:
        handle_shutdown(v);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        handle_system_event(v);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        kvm_report_fail_entry(v);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        kvm_report_internal_error(v);
        break;
    default: {
        g_autofree char *text =
            g_strdup_printf("exit reason %" PRIu32 " is not known to duodm", v->run->exit_reason);

        kvm_report_fault(v, text);
    }
    }
}

HOT_PATH static void handle_exit(struct kvm_vcpu *v)
{
    uint32_t reason = v->run->exit_reason;

    v->exits[MIN(reason, G_N_ELEMENTS(v->exits) - 1)]++;
    kvm_drain_coalesced(v->kvm);
    if (G_LIKELY(reason == KVM_EXIT_IO)) {
        v->io_pending = true;
        handle_io(v);
    } else if (G_LIKELY(reason == KVM_EXIT_MMIO)) {
        v->io_pending = true;
        handle_mmio(v);
    } else {
        v->io_pending = reason == KVM_EXIT_X86_RDMSR || reason == KVM_EXIT_X86_WRMSR;
        handle_other(v);
    }
}

static void handle_failure(struct kvm_vcpu *v, int number)
{
    g_autofree char *text = NULL;

    switch (number) {
    case EINTR:
    case EAGAIN: /* woken while it waits for INIT and SIPI */
        v->io_pending = false;
        return;
    case EFAULT:
        if (file_guard_repair()) {
            return; /* and again */
        }
        text = g_strdup("the kernel found no memory where the guest has some");
        break;
    default:
        text = g_strdup_printf("KVM_RUN failed: %s", g_strerror(number));
    }
    kvm_report_fault(v, text);
}

/* In and out. */

/* Come back from where a hold waits for us, and wait until it is over. */
static void wait_for_release(struct kvm_vcpu *v)
{
    struct kvm_machine *kvm = v->kvm;

    pthread_mutex_lock(&kvm->lock);
    pthread_cond_broadcast(&kvm->changed);
    while (__atomic_load_n(&kvm->guest_holds, __ATOMIC_SEQ_CST)) {
        pthread_cond_wait(&kvm->changed, &kvm->lock);
    }
    pthread_mutex_unlock(&kvm->lock);
}

HOT_PATH static void leave_guest(struct kvm_vcpu *v)
{
    __atomic_store_n(&v->in_guest, false, __ATOMIC_SEQ_CST);
    if (G_UNLIKELY(__atomic_load_n(&v->kvm->guest_holds, __ATOMIC_SEQ_CST))) {
        wait_for_release(v);
    }
}

/* Say that we go in. False: a hold came in between, and is over now: try again. */
HOT_PATH static bool enter_guest(struct kvm_vcpu *v, bool immediate_exit)
{
    __atomic_store_n(&v->in_guest, true, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->run->immediate_exit, immediate_exit, __ATOMIC_SEQ_CST);
    if (G_UNLIKELY(__atomic_load_n(&v->kvm->guest_holds, __ATOMIC_SEQ_CST))) {
        leave_guest(v);
        return false;
    }
    return true;
}

HOT_PATH static void run_once(struct kvm_vcpu *v)
{
    int result = ioctl(v->fd, KVM_RUN, 0), number = G_LIKELY(result == 0) ? 0 : errno;

    leave_guest(v);
    if (G_UNLIKELY(v->vcpu->apic)) {
        kvm_after_run(v);
    }
    if (G_LIKELY(result == 0)) {
        handle_exit(v);
    } else {
        handle_failure(v, number);
    }
}

/* Have the kernel finish an instruction whose access was carried out, and nothing else: before
 * that the vCPU's registers are neither those before it nor those after. */
static void complete_access(struct kvm_vcpu *v)
{
    while (v->io_pending) {
        if (enter_guest(v, true)) {
            v->io_pending = false;
            run_once(v);
        }
    }
}

/* True: go on. */
static bool take_signals(struct kvm_vcpu *v, uint32_t signals)
{
    __atomic_fetch_and(&v->vcpu->signals, ~signals, __ATOMIC_SEQ_CST);
    if (signals & VCPU_SIGNAL_EXIT) {
        complete_access(v);
    }
    kvm_take_signals(v, signals);
    return !(signals & VCPU_SIGNAL_EXIT);
}

HOT_PATH void kvm_run_loop(struct kvm_vcpu *v)
{
    for (;;) {
        uint32_t signals;

        if (!enter_guest(v, false)) {
            continue;
        }
        signals = __atomic_load_n(&v->vcpu->signals, __ATOMIC_SEQ_CST);
        if (G_UNLIKELY(signals)) {
            leave_guest(v);
            if (!take_signals(v, signals)) {
                return;
            }
            continue;
        }
        if (G_UNLIKELY(v->asks_interrupts) && !kvm_prepare_interrupts(v)) {
            leave_guest(v);
            kvm_sleep(v);
            continue;
        }
        run_once(v);
    }
}
