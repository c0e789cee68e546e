/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct engine_ops of tcg: threads, pause and resume, state in architectural form. */
#include "tcg/engine-tcg.h"
#include "dm/intc/local-apic.h"
#include "tcg/access.h"
#include "tcg/avx.h"
#include "tcg/blocks.h"
#include "tcg/cpu-model.h"
#include "tcg/cpu-state.h"
#include "tcg/huge-pages.h"
#include "tcg/jit.h"
#include "tcg/lockstep.h"
#include "tcg/mmu.h"
#include "tcg/msr.h"
#include "tcg/tcg.h"
#include "util/error.h"
#include "util/thread.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE (2u << 20)

static bool is_available(GError **error)
{
    return true;
}

static bool check_cpu_model(const char *text, GError **error)
{
    struct cpu_model model;

    if (g_str_equal(text, "host") || g_str_has_prefix(text, "host,")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the host's processor is for -accel kvm: with tcg, -cpu max has all that "
                          "there is");
    }
    return cpu_model_parse(text, &model, error);
}

/* The memory map changed: no vCPU may go on with what it knows of it. */
static void topology_commit(struct memory_listener *listener)
{
    struct tcg_machine *tcg =
        (struct tcg_machine *)((uint8_t *)listener - offsetof(struct tcg_machine, listener));

    for (unsigned i = 0; i < tcg->machine->vcpu_count; i++) {
        struct vcpu *vcpu = tcg->machine->vcpus[i];

        if (vcpu && vcpu->engine) {
            vcpu_signal(vcpu, VCPU_SIGNAL_FLUSH);
        }
    }
}

static void topology_log_changed(struct memory_listener *listener,
                                 const struct listener_section *section, uint32_t old_clients,
                                 uint32_t new_clients)
{
    topology_commit(listener);
}

static bool create(struct machine *machine, const void *options, GError **error)
{
    const struct tcg_options *choice = options;
    struct tcg_machine *tcg = g_new0(struct tcg_machine, 1);

    if (choice->lockstep && (choice->interpreter || machine->config.smp > 1)) {
        g_free(tcg);
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "lockstep=on compares the translator with the interpreter on one vCPU: "
                          "it needs -smp 1 and interpreter=off");
    }
    if (!choice->interpreter) {
        tcg->jit = jit_new(offsetof(struct tcg_vcpu, tlb), error);
        if (!tcg->jit) {
            g_free(tcg);
            return false;
        }
        if (choice->perfmap) {
            jit_open_perf_map(tcg->jit);
        }
        tcg->jit->lockstep = choice->lockstep;
    }
    tcg->machine = machine;
    tcg->paused = true;
    pthread_mutex_init(&tcg->machine_lock, NULL);
    pthread_mutex_init(&tcg->lock, NULL);
    pthread_cond_init(&tcg->changed, NULL);
    tcg->listener.name = "tcg";
    tcg->listener.commit = topology_commit;
    tcg->listener.log_changed = topology_log_changed;
    if (!cpu_model_parse(machine->config.cpu_model, &tcg->model, error) ||
        !memory_listener_register(&tcg->listener, &machine->as_memory, error)) {
        if (tcg->jit) {
            jit_free(tcg->jit);
        }
        g_free(tcg);
        return false;
    }
    tcg->huge_pages = huge_pages_new();
    machine->engine_data = tcg;
    return true;
}

/* Held back by a pause, or by a request that must be carried out first. tcg->lock is held. */
static bool must_wait(const struct tcg_machine *tcg)
{
    return !tcg->quit &&
           (tcg->paused || __atomic_load_n(&tcg->machine->vcpus_held, __ATOMIC_ACQUIRE));
}

static void *vcpu_thread(void *opaque)
{
    struct tcg_vcpu *v = opaque;
    struct tcg_machine *tcg = v->tcg;

    __atomic_store_n(&v->cpu.vcpu->thread_id, gettid(), __ATOMIC_RELAXED);
    pthread_mutex_lock(&tcg->lock);
    while (!tcg->quit) {
        if (must_wait(tcg)) {
            pthread_cond_wait(&tcg->changed, &tcg->lock);
            continue;
        }
        tcg->running_count++;
        pthread_mutex_unlock(&tcg->lock);
        run_loop(v);
        pthread_mutex_lock(&tcg->lock);
        tcg->running_count--;
        pthread_cond_broadcast(&tcg->changed);
    }
    pthread_mutex_unlock(&tcg->lock);
    return NULL;
}

static bool create_vcpu(struct vcpu *vcpu, GError **error)
{
    struct tcg_machine *tcg = vcpu->machine->engine_data;
    struct tcg_vcpu *v = NULL;
    g_autofree char *name = g_strdup_printf("vcpu%u", vcpu->index);
    struct cpu *cpu;
    sigset_t signals;
    int result;

    /* Most of it is the TLB, looked into at random: a huge page serves it, where there are some. */
    if (posix_memalign((void **)&v, HUGE_PAGE, sizeof(*v))) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no memory for vCPU %u", vcpu->index);
    }
    (void)madvise(v, sizeof(*v), MADV_HUGEPAGE);
    memset(v, 0, sizeof(*v));
    v->tcg = tcg;
    v->vcpu = vcpu;
    pthread_mutex_init(&v->sleep_lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    cpu = &v->cpu;
    cpu->vcpu = vcpu;
    cpu->apic = vcpu->apic;
    cpu->memory = &vcpu->machine->as_memory;
    cpu->io = &vcpu->machine->as_io;
    cpu->clock = vcpu->machine->clock;
    cpu->model = &tcg->model;
    cpu->features = tcg->model.features;
    cpu->vendor_amd = tcg->model.amd;
    cpu->physical_bits = tcg->model.physical_bits;
    cpu->machine_lock = &tcg->machine_lock;
    cpu->stubs = host_stubs_new();
    cpu->huge_pages = tcg->huge_pages;
    tlb_init(&v->tlb);
    cpu->tlb = &v->tlb;
    cpu->blocks = block_cache_new();
    cpu->msrs = cpu_msrs_new();
    if (cpu->apic) {
        local_apic_set_physical_bits(cpu->apic, cpu->physical_bits);
    }
    if (tcg->jit) {
        jit_add_vcpu(tcg->jit, cpu);
        cpu->lockstep = tcg->jit->lockstep ? lockstep_new() : NULL;
    }
    cpu_reset(cpu, false);
    vcpu->engine = v;
    thread_block_signals(&signals);
    result = pthread_create(&v->thread, NULL, vcpu_thread, v);
    thread_restore_signals(&signals);
    if (result) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "no thread for vCPU %u: %s", vcpu->index,
                          g_strerror(result));
    }
    v->has_thread = true;
    pthread_setname_np(v->thread, name);
    return true;
}

static void resume(struct machine *machine)
{
    struct tcg_machine *tcg = machine->engine_data;

    pthread_mutex_lock(&tcg->lock);
    tcg->paused = false;
    pthread_cond_broadcast(&tcg->changed);
    pthread_mutex_unlock(&tcg->lock);
}

static void signal_exit(struct machine *machine)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = machine->vcpus[i];

        if (vcpu && vcpu->engine) {
            vcpu_signal(vcpu, VCPU_SIGNAL_EXIT);
        }
    }
}

static void pause_machine(struct machine *machine)
{
    struct tcg_machine *tcg = machine->engine_data;

    pthread_mutex_lock(&tcg->lock);
    tcg->paused = true;
    signal_exit(machine);
    while (tcg->running_count) {
        pthread_cond_wait(&tcg->changed, &tcg->lock);
    }
    pthread_mutex_unlock(&tcg->lock);
}

static void destroy_vcpu(struct tcg_vcpu *v)
{
    if (v->has_thread) {
        pthread_join(v->thread, NULL);
    }
    host_stubs_free(v->cpu.stubs);
    lockstep_free(v->cpu.lockstep);
    block_cache_free(v->cpu.blocks);
    cpu_msrs_free(v->cpu.msrs);
    pthread_mutex_destroy(&v->sleep_lock);
    pthread_cond_destroy(&v->wake);
    free(v);
}

static void destroy(struct machine *machine)
{
    struct tcg_machine *tcg = machine->engine_data;

    if (!tcg) {
        return;
    }
    pthread_mutex_lock(&tcg->lock);
    tcg->quit = true;
    signal_exit(machine);
    pthread_cond_broadcast(&tcg->changed);
    pthread_mutex_unlock(&tcg->lock);
    memory_listener_unregister(&tcg->listener);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = machine->vcpus[i];

        if (vcpu && vcpu->engine) {
            destroy_vcpu(vcpu->engine);
            vcpu->engine = NULL;
        }
    }
    huge_pages_free(tcg->huge_pages);
    if (tcg->jit) {
        jit_free(tcg->jit);
    }
    pthread_mutex_destroy(&tcg->machine_lock);
    pthread_mutex_destroy(&tcg->lock);
    pthread_cond_destroy(&tcg->changed);
    g_free(tcg);
    machine->engine_data = NULL;
}

static void kick(struct vcpu *vcpu)
{
    run_loop_kick(vcpu->engine);
}

static void reset_vcpu(struct vcpu *vcpu)
{
    struct tcg_vcpu *v = vcpu->engine;

    cpu_reset(&v->cpu, false);
}

static bool get_state(struct vcpu *vcpu, struct x86_state *state)
{
    const struct tcg_vcpu *v = vcpu->engine;
    const struct cpu *cpu = &v->cpu;

    memset(state, 0, sizeof(*state));
    memcpy(state->gpr, cpu->gpr, sizeof(state->gpr));
    state->rip = cpu->rip;
    state->rflags = cpu_get_eflags(cpu);
    memcpy(state->segment, cpu->segment, sizeof(state->segment));
    state->ldt = cpu->ldt;
    state->task = cpu->task;
    state->gdt.base = cpu->gdt.base;
    state->gdt.limit = cpu->gdt.limit;
    state->idt.base = cpu->idt.base;
    state->idt.limit = cpu->idt.limit;
    state->cr0 = cpu->cr0;
    state->cr2 = cpu->cr2;
    state->cr3 = cpu->cr3;
    state->cr4 = cpu->cr4;
    state->cr8 = cpu->apic ? local_apic_get_cr8(cpu->apic) : 0;
    state->efer = cpu->efer;
    memcpy(state->dr, cpu->dr, sizeof(state->dr));
    state->halted = cpu->halted || cpu->wait_for_sipi;
    return true;
}

static void set_state(struct vcpu *vcpu, const struct x86_state *state)
{
    struct tcg_vcpu *v = vcpu->engine;
    struct cpu *cpu = &v->cpu;

    memcpy(cpu->gpr, state->gpr, sizeof(state->gpr));
    cpu->rip = state->rip;
    cpu->eflags = (uint32_t)state->rflags;
    cpu_set_eflags(cpu, (uint32_t)state->rflags | FLAG_FIXED, UINT32_MAX);
    memcpy(cpu->segment, state->segment, sizeof(state->segment));
    cpu->ldt = state->ldt;
    cpu->task = state->task;
    cpu->gdt.base = state->gdt.base;
    cpu->gdt.limit = (uint16_t)state->gdt.limit;
    cpu->idt.base = state->idt.base;
    cpu->idt.limit = (uint16_t)state->idt.limit;
    cpu->cr0 = state->cr0 | CR0_ET;
    cpu->cr2 = state->cr2;
    cpu->cr3 = state->cr3;
    cpu->cr4 = state->cr4;
    cpu->efer = state->efer;
    cpu->long_mode = cpu->efer & EFER_LMA;
    cpu->protected_mode = cpu->cr0 & CR0_PE;
    cpu->v86 = cpu->eflags & FLAG_VM;
    cpu->cpl = 0;
    if (cpu->protected_mode) {
        cpu->cpl = cpu->v86 ? 3 : cpu->segment[X86_SS].attributes >> 5 & 3;
    }
    if (cpu->apic) {
        local_apic_set_cr8(cpu->apic, (unsigned)state->cr8 & 15);
    }
    memcpy(cpu->dr, state->dr, sizeof(state->dr));
    cpu->halted = state->halted;
    if (!state->halted) {
        cpu->wait_for_sipi = false;
    }
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    tlb_reset(cpu);
    if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !cpu->long_mode) {
        memory_rcu_read_lock();
        mmu_load_pdptes(cpu, cpu->cr3, cpu->pdpte);
        memory_rcu_read_unlock();
    }
    cpu_update_mode(cpu);
    cpu_update_data_tables(cpu);
}

static bool virtual_to_physical(struct vcpu *vcpu, uint64_t address, uint64_t *physical)
{
    struct tcg_vcpu *v = vcpu->engine;
    struct mmu_request request = {.linear = address, .look_only = true};
    struct mmu_result result;

    if (!v->cpu.long_mode) {
        request.linear = (uint32_t)address;
    } else if (!cpu_is_canonical(address)) {
        return false;
    }
    if (!mmu_walk(&v->cpu, &request, &result)) {
        return false;
    }
    *physical = result.physical;
    return true;
}

static void print_jit(const struct tcg_vcpu *v, GString *out)
{
    const struct block_cache *blocks = v->cpu.blocks;

    if (v->cpu.jit) {
        g_string_append_printf(
            out,
            "CPU %u: translated code entered %" PRIu64 " times, %" PRIu64
            " blocks not in the jump cache, %" PRIu64 " of them not translated\n",
            v->vcpu->index, v->cpu.jit_entered, v->cpu.jit_looked_up, v->cpu.jit_missed);
    }
    if (v->cpu.lockstep) {
        lockstep_print(v->cpu.lockstep, out);
    }
    g_string_append_printf(out,
                           "CPU %u: %" PRIu64 " instructions, %" PRIu64 " blocks decoded, %" PRIu64
                           " found modified, cache %zu of %u KiB, "
                           "emptied %" PRIu64 " times\n",
                           v->vcpu->index, v->cpu.instructions, blocks->decoded, blocks->stale,
                           blocks->used / 1024, BLOCK_ARENA_SIZE / 1024, blocks->flushes);
}

static void print_jit_machine(const struct jit *jit, GString *out)
{
    g_string_append_printf(
        out,
        "translator: %" PRIu64 " blocks of %" PRIu64 " bytes of guest code; code cache %zu of %zu "
        "KiB, instructions kept %zu of %u KiB\n"
        "translator: %" PRIu64 " blocks invalidated, cache flushed %" PRIu64
        " times, vCPUs stopped %" PRIu64 " times\n",
        jit->translated, jit->guest_bytes, jit->cache.used / 1024, jit->cache.size / 1024,
        jit->insns_used / 1024, JIT_INSN_BYTES / 1024, jit->invalidated, jit->flushes, jit->stops);
}

static void print_tlb(const struct tcg_vcpu *v, GString *out)
{
    static const char *const classes[] = {"supervisor", "user", "supervisor, SMAP"};
    const struct tlb *tlb = v->cpu.tlb;

    g_string_append_printf(
        out, "CPU %u: %" PRIu64 " fills, %" PRIu64 " flushes, %" PRIu64 " page flushes\n",
        v->vcpu->index, tlb->fills, tlb->flushes, tlb->page_flushes);
    for (unsigned class = 0; class < G_N_ELEMENTS(classes); class ++) {
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            const struct tlb_entry *entry = &tlb->data[class][i];

            uint64_t page =
                tlb_index(entry->read_tag) == i ? entry->read_tag : entry->read_tag ^ TLB_SLOW;

            if (!cpu_is_canonical(page)) {
                continue;
            }
            g_string_append_printf(out, "%016" PRIx64 ": %016" PRIx64 " %c%s%s (%s)\n", page,
                                   entry->physical & PAGE_MASK,
                                   tlb_tag_is(entry->write_tag, page) ? 'W' : '-',
                                   entry->physical & TLB_PAGE_GLOBAL ? " global" : "",
                                   entry->physical & TLB_PAGE_IO ? " device" : "", classes[class]);
        }
    }
}

static bool print_info(struct machine *machine, const char *name, GString *out)
{
    static const struct {
        const char *name;
        void (*print)(const struct tcg_vcpu *v, GString *out);
    } infos[] = {{"jit", print_jit}, {"tlb", print_tlb}};
    const struct tcg_machine *tcg = machine->engine_data;

    for (unsigned i = 0; i < G_N_ELEMENTS(infos); i++) {
        if (!strcmp(infos[i].name, name)) {
            if (infos[i].print == print_jit && tcg->jit) {
                print_jit_machine(tcg->jit, out);
            }
            for (unsigned cpu = 0; cpu < machine->vcpu_count; cpu++) {
                infos[i].print(machine->vcpus[cpu]->engine, out);
            }
            return true;
        }
    }
    return false;
}

static bool write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return cpu_try_write_msr(&((struct tcg_vcpu *)vcpu->engine)->cpu, msr, value);
}

static const struct property options[] = {
    {"interpreter", PROPERTY_BOOL, offsetof(struct tcg_options, interpreter),
     JIT_SUPPORTED ? "off" : "on", 0, 0, "execute by the interpreter, without the translator"},
    {"perfmap", PROPERTY_BOOL, offsetof(struct tcg_options, perfmap), "off", 0, 0,
     "write /tmp/perf-PID.map, for perf to name translated code"},
    {"lockstep", PROPERTY_BOOL, offsetof(struct tcg_options, lockstep), "off", 0, 0,
     "compare each translated block with the interpreter, and stop at a difference"},
    PROPERTY_END,
};

const struct engine_ops tcg_engine = {
    .name = "tcg",
    .description = "duodm's own x86-64 CPU; needs no virtualisation",
    .options_size = sizeof(struct tcg_options),
    .options = options,
    .has_vcpus = true,
    .caches_code = true,
    .is_available = is_available,
    .check_cpu_model = check_cpu_model,
    .list_cpu_models = cpu_model_list,
    .create = create,
    .create_vcpu = create_vcpu,
    .resume = resume,
    .pause = pause_machine,
    .destroy = destroy,
    .kick = kick,
    .reset_vcpu = reset_vcpu,
    .get_state = get_state,
    .set_state = set_state,
    .write_msr = write_msr,
    .save_vcpu = tcg_save_vcpu,
    .load_vcpu = tcg_load_vcpu,
    .vcpu_state = &tcg_vcpu_state,
    .virtual_to_physical = virtual_to_physical,
    .print_info = print_info,
};
