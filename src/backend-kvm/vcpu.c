/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread per vCPU: it waits to be let go, executes, and comes back when it is called.
 *
 * Calling a vCPU out of KVM_RUN can't miss it. The vCPU says that it goes in, clears immediate_exit
 * and only then looks at its signals and at the holds; a caller sets the signal or hold first, then
 * immediate_exit, then sends the kick signal. So either the vCPU sees why it should not go in, or
 * the kernel sees immediate_exit, or the kick signal finds it inside.
 */
#include "backend-kvm/kvm-machine.h"
#include "backend-kvm/cpuid.h"
#include "util/error.h"
#include "util/thread.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define KICK_SIGNAL SIGUSR1

static void do_nothing(int number)
{
}

/* The handler does nothing: that there is one ends KVM_RUN. Other system calls are restarted, so
 * that device code need not know of it. */
bool kvm_install_kick_signal(GError **error)
{
    struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};

    return sigaction(KICK_SIGNAL, &action, NULL) == 0 ||
           duodm_fail(error, DUODM_ERROR_FAILED, "kvm: no handler for signal %d: %s", KICK_SIGNAL,
                      g_strerror(errno));
}

static void *vcpu_thread(void *opaque)
{
    struct kvm_vcpu *v = opaque;
    struct kvm_machine *kvm = v->kvm;
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    __atomic_store_n(&v->vcpu->thread_id, gettid(), __ATOMIC_RELAXED);
    pthread_mutex_lock(&kvm->lock);
    while (!kvm->quit) {
        if (kvm->paused || __atomic_load_n(&kvm->machine->vcpus_held, __ATOMIC_ACQUIRE)) {
            pthread_cond_wait(&kvm->changed, &kvm->lock);
            continue;
        }
        kvm->running_count++;
        pthread_mutex_unlock(&kvm->lock);
        kvm_run_loop(v);
        pthread_mutex_lock(&kvm->lock);
        kvm->running_count--;
        pthread_cond_broadcast(&kvm->changed);
    }
    pthread_mutex_unlock(&kvm->lock);
    return NULL;
}

static bool map_run(struct kvm_vcpu *v, GError **error)
{
    struct kvm_machine *kvm = v->kvm;
    void *run = mmap(NULL, kvm->api.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

    if (run == MAP_FAILED) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "kvm: the shared memory of a vCPU: %s",
                          g_strerror(errno));
    }
    v->run = run;
    return true;
}

/* The ring is in the vCPU's mapping, at a page offset of its own. */
static bool map_dirty_ring(struct kvm_vcpu *v, GError **error)
{
    struct kvm_machine *kvm = v->kvm;
    size_t size = kvm->ring_entries * sizeof(struct kvm_dirty_gfn);
    void *ring;

    if (!size) {
        return true;
    }
    ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
                KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
    if (ring == MAP_FAILED) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "kvm: the dirty ring of a vCPU: %s",
                          g_strerror(errno));
    }
    v->ring = ring;
    return true;
}

static bool make_in_kernel(struct kvm_vcpu *v, GError **error)
{
    struct kvm_machine *kvm = v->kvm;
    unsigned long id = v->vcpu->apic_id;

    v->fd = kvm_vm_ioctl(&kvm->api, KVM_CREATE_VCPU, (void *)id);
    if (v->fd < 0) {
        int result = -v->fd;

        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "kvm: the kernel makes no vCPU with APIC ID %lu: %s", id,
                          g_strerror(result));
    }
    return map_run(v, error) && map_dirty_ring(v, error) && kvm_set_cpuid(v, error);
}

static bool start_thread(struct kvm_vcpu *v, GError **error)
{
    g_autofree char *name = g_strdup_printf("vcpu%u", v->vcpu->index);
    sigset_t signals;
    int result;

    thread_block_signals(&signals);
    result = pthread_create(&v->thread, NULL, vcpu_thread, v);
    thread_restore_signals(&signals);
    if (result) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "no thread for a vCPU: %s",
                          g_strerror(result));
    }
    v->has_thread = true;
    pthread_setname_np(v->thread, name);
    return true;
}

/* The ring of coalesced accesses is the VM's, and is seen through each vCPU's mapping. */
static void find_coalesced_ring(struct kvm_vcpu *v)
{
    int page = kvm_api_check(&v->kvm->api, KVM_CAP_COALESCED_MMIO);
    size_t offset = (size_t)page * (size_t)sysconf(_SC_PAGESIZE);

    if (page && v->vcpu->index == 0 && offset < v->kvm->api.run_size) {
        v->kvm->coalesced = (void *)((uint8_t *)v->run + offset);
    }
}

bool kvm_create_vcpu(struct vcpu *vcpu, GError **error)
{
    struct kvm_vcpu *v = g_new0(struct kvm_vcpu, 1);

    v->kvm = kvm_of(vcpu->machine);
    v->vcpu = vcpu;
    v->fd = -1;
    pthread_mutex_init(&v->sleep_lock, NULL);
    pthread_cond_init(&v->woken, NULL);
    v->power_on = g_new0(struct kvm_cpu_state, 1);
    v->asks_interrupts = v->kvm->irqchip != KERNEL_IRQCHIP_ON;
    v->wait_for_sipi = vcpu->index != 0;
    if (!make_in_kernel(v, error) || !kvm_state_get(v, v->power_on, error)) {
        kvm_destroy_vcpu(v);
        return false;
    }
    find_coalesced_ring(v);
    vcpu->engine = v;
    if (!start_thread(v, error)) {
        vcpu->engine = NULL;
        kvm_destroy_vcpu(v);
        return false;
    }
    return true;
}

void kvm_destroy_vcpu(struct kvm_vcpu *v)
{
    if (v->ring) {
        munmap(v->ring, v->kvm->ring_entries * sizeof(struct kvm_dirty_gfn));
    }
    if (v->run) {
        munmap(v->run, v->kvm->api.run_size);
    }
    if (v->fd >= 0) {
        close(v->fd);
    }
    pthread_mutex_destroy(&v->sleep_lock);
    pthread_cond_destroy(&v->woken);
    g_free(v->power_on);
    g_free(v);
}

/* Calling. */

static void call_out(struct kvm_vcpu *v)
{
    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST)) {
        pthread_kill(v->thread, KICK_SIGNAL);
    }
}

void kvm_kick(struct vcpu *vcpu)
{
    struct kvm_vcpu *v = vcpu->engine;

    if (v && v->has_thread) {
        call_out(v);
        if (vcpu->apic) {
            kvm_wake(v);
        }
    }
}

static void call_all(struct kvm_machine *kvm, uint32_t signal)
{
    for (unsigned i = 0; i < kvm->machine->vcpu_count; i++) {
        struct vcpu *vcpu = kvm->machine->vcpus[i];

        if (vcpu && vcpu->engine && signal) {
            vcpu_signal(vcpu, signal);
        } else if (vcpu && vcpu->engine) {
            kvm_kick(vcpu);
        }
    }
}

void kvm_resume(struct machine *machine)
{
    struct kvm_machine *kvm = kvm_of(machine);

    pthread_mutex_lock(&kvm->lock);
    kvm->paused = false;
    pthread_cond_broadcast(&kvm->changed);
    pthread_mutex_unlock(&kvm->lock);
}

void kvm_pause(struct machine *machine)
{
    struct kvm_machine *kvm = kvm_of(machine);

    pthread_mutex_lock(&kvm->lock);
    kvm->paused = true;
    call_all(kvm, VCPU_SIGNAL_EXIT);
    while (kvm->running_count) {
        pthread_cond_wait(&kvm->changed, &kvm->lock);
    }
    pthread_mutex_unlock(&kvm->lock);
}

void kvm_quit_threads(struct kvm_machine *kvm)
{
    pthread_mutex_lock(&kvm->lock);
    kvm->quit = true;
    call_all(kvm, VCPU_SIGNAL_EXIT);
    pthread_cond_broadcast(&kvm->changed);
    pthread_mutex_unlock(&kvm->lock);
    for (unsigned i = 0; i < kvm->machine->vcpu_count; i++) {
        struct kvm_vcpu *v = kvm->machine->vcpus[i]->engine;

        if (v->has_thread) {
            pthread_join(v->thread, NULL);
            v->has_thread = false;
        }
    }
}

static bool any_in_guest(struct kvm_machine *kvm)
{
    for (unsigned i = 0; i < kvm->machine->vcpu_count; i++) {
        const struct kvm_vcpu *v = kvm->machine->vcpus[i]->engine;

        if (v && __atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST)) {
            return true;
        }
    }
    return false;
}

void kvm_hold_guest(struct kvm_machine *kvm)
{
    pthread_mutex_lock(&kvm->lock);
    __atomic_fetch_add(&kvm->guest_holds, 1, __ATOMIC_SEQ_CST);
    call_all(kvm, 0);
    while (any_in_guest(kvm)) {
        pthread_cond_wait(&kvm->changed, &kvm->lock);
    }
    pthread_mutex_unlock(&kvm->lock);
}

void kvm_release_guest(struct kvm_machine *kvm)
{
    pthread_mutex_lock(&kvm->lock);
    __atomic_fetch_sub(&kvm->guest_holds, 1, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&kvm->changed);
    pthread_mutex_unlock(&kvm->lock);
}
