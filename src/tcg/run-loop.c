/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vCPU's thread does: look for events between blocks, execute a block, again. Priorities as
 * in SDM vol. 3, table 6-2. Faults come back here by longjmp.
 */
#include "dm/intc/local-apic.h"
#include "tcg/access.h"
#include "tcg/blocks.h"
#include "tcg/debug.h"
#include "tcg/jit.h"
#include "tcg/tcg.h"
#include "util/log.h"

#include <glib.h>
#include <inttypes.h>
#include <sched.h>

/* Blocks between two quiescent points, so that RCU's writers don't wait long. */
#define BLOCKS_PER_QUIESCENCE 4096

/* A spinning vCPU offers its host processor after so many PAUSEs. */
#define PAUSES_PER_YIELD 32

/* `current` while an event is delivered between instructions: rip stays where it is. */
static const struct insn no_insn;

static uint32_t pending_signals(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->vcpu->signals, __ATOMIC_RELAXED);
}

/* Let RCU's writers go on. What they have replaced must be forgotten before it is used again. */
static void quiesce(struct cpu *cpu)
{
    memory_rcu_read_unlock();
    memory_rcu_read_lock();
    tlb_check_generation(cpu);
}

void run_loop_kick(struct tcg_vcpu *v)
{
    __atomic_store_n(&v->cpu.exit_request, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&v->sleeping, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&v->sleep_lock);
        pthread_cond_signal(&v->wake);
        pthread_mutex_unlock(&v->sleep_lock);
    }
}

/* HLT, shutdown, wait-for-SIPI: sleep until somebody sets a signal. */
static void wait_for_signal(struct tcg_vcpu *v)
{
    memory_rcu_read_unlock();
    if (v->cpu.jit) {
        jit_end_running(&v->cpu);
    }
    pthread_mutex_lock(&v->sleep_lock);
    __atomic_store_n(&v->sleeping, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&v->vcpu->signals, __ATOMIC_SEQ_CST)) {
        pthread_cond_wait(&v->wake, &v->sleep_lock);
    }
    __atomic_store_n(&v->sleeping, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&v->sleep_lock);
    if (v->cpu.jit) {
        jit_begin_running(&v->cpu);
    }
    memory_rcu_read_lock();
    tlb_check_generation(&v->cpu);
}

/* SDM vol. 3, 8.4.3: the vector names the page where the processor starts in real mode. */
static void start_up(struct cpu *cpu, uint8_t vector)
{
    cpu->wait_for_sipi = false;
    cpu->halted = false;
    cpu->segment[X86_CS].selector = (uint16_t)(vector << 8);
    cpu->segment[X86_CS].base = (uint64_t)vector << 12;
    cpu->rip = 0;
    cpu_update_mode(cpu);
}

/* SDM vol. 3, 8.4.1: INIT leaves caches, FPU and most MSRs alone; only the BSP goes on. */
static void initialise(struct cpu *cpu)
{
    cpu_reset(cpu, true);
    if (cpu->apic) {
        local_apic_reset(cpu->apic, true);
    }
}

/* One NMI may wait while one is handled. Two that come at once are those two (KVM and real chipsets
 * agree: an NMI that arrives just before another is delivered is not lost). */
static void take_nmis(struct cpu *cpu)
{
    uint32_t count = __atomic_exchange_n(&cpu->vcpu->nmi_count, 0, __ATOMIC_SEQ_CST);
    unsigned limit = cpu->nmi_blocked ? 1 : 2;

    cpu->nmi_pending = (uint8_t)MIN(cpu->nmi_pending + MIN(count, limit), limit);
}

static bool take_signals(struct cpu *cpu)
{
    uint32_t signals = __atomic_exchange_n(&cpu->vcpu->signals, 0, __ATOMIC_ACQ_REL);

    quiesce(cpu);
    if (signals & VCPU_SIGNAL_RESET) {
        cpu_reset(cpu, false);
    }
    if (signals & VCPU_SIGNAL_FLUSH) {
        tlb_reset(cpu);
    }
    if (signals & VCPU_SIGNAL_INIT) {
        initialise(cpu);
    }
    if ((signals & VCPU_SIGNAL_STARTUP) && cpu->wait_for_sipi) {
        start_up(cpu, __atomic_load_n(&cpu->vcpu->startup_vector, __ATOMIC_ACQUIRE));
    }
    if (signals & VCPU_SIGNAL_NMI) {
        take_nmis(cpu);
    }
    if (signals & VCPU_SIGNAL_INTERRUPT) {
        cpu->interrupt_pending = true;
    }
    return !(signals & VCPU_SIGNAL_EXIT);
}

static void deliver_nmi(struct cpu *cpu)
{
    cpu->nmi_pending--;
    cpu->nmi_blocked = true;
    cpu->halted = false;
    cpu->current = &no_insn;
    cpu_deliver_event(cpu, EVENT_NMI, EXCEPTION_NMI, false, 0);
}

static void deliver_interrupt(struct cpu *cpu)
{
    int vector = -1;

    if (local_apic_has_interrupt(cpu->apic)) {
        vector = local_apic_acknowledge(cpu->apic);
    }
    if (vector < 0) {
        cpu->interrupt_pending = false;
        return;
    }
    /* There may be a further one. */
    cpu->halted = false;
    cpu->current = &no_insn;
    cpu_deliver_event(cpu, EVENT_INTERRUPT, (uint8_t)vector, false, 0);
}

/* A triple fault resets the machine, as chipsets do it. */
static void report_shutdown(struct cpu *cpu)
{
    log_item(LOG_RESET, "CPU %u: triple fault at %04x:%" PRIx64 "\n", cpu->vcpu->index,
             cpu->segment[X86_CS].selector, cpu->rip);
    cpu->shutdown = false;
    cpu->halted = true;
    cpu->nmi_blocked = true;
    cpu->eflags &= ~(uint32_t)FLAG_IF;
    machine_request_reset(cpu->vcpu->machine, true);
}

/*
 * Whatever is due before the next instruction. False: leave the run loop. On return (or longjmp
 * out of a delivery) cpu can execute, unless it is to be called again first.
 */
static bool handle_events(struct tcg_vcpu *v)
{
    struct cpu *cpu = &v->cpu;

    for (;;) {
        if (cpu->shutdown) {
            report_shutdown(cpu);
        }
        if (pending_signals(cpu) && !take_signals(cpu)) {
            return false;
        }
        if (!cpu->wait_for_sipi && !cpu->interrupt_shadow) {
            if (cpu->nmi_pending && !cpu->nmi_blocked) {
                deliver_nmi(cpu);
            }
            while (cpu->interrupt_pending && (cpu->eflags & FLAG_IF)) {
                deliver_interrupt(cpu);
            }
        }
        if (!cpu->halted && !cpu->wait_for_sipi && !cpu->shutdown) {
            return true;
        }
        /* The shadow of STI ends with the HLT after it. */
        cpu->interrupt_shadow = cpu->debug_shadow = false;
        if (!cpu->wait_for_sipi && ((cpu->interrupt_pending && (cpu->eflags & FLAG_IF)) ||
                                    (cpu->nmi_pending && !cpu->nmi_blocked))) {
            continue;
        }
        if (!pending_signals(cpu) && !cpu->shutdown) {
            wait_for_signal(v);
        }
    }
}

void cpu_pause(struct cpu *cpu)
{
    if (cpu->vcpu->machine && cpu->vcpu->machine->vcpu_count > 1 &&
        ++cpu->pause_count % PAUSES_PER_YIELD == 0) {
        sched_yield();
    }
}

static inline void execute(struct cpu *cpu, const struct block *block, unsigned count)
{
    const struct insn *insn = block->instructions, *end = insn + count;

    do {
        cpu->current = insn;
        cpu->rip += insn->length;
        insn->execute(cpu, insn);
        insn++;
    } while (insn != end && !cpu->exit_block);
    cpu->instructions += insn - block->instructions;
}

/* One instruction with all that single-stepping, breakpoints and shadows ask for. */
static void step(struct cpu *cpu)
{
    bool single_step = cpu->eflags & FLAG_TF;
    const struct block *block;

    if (cpu->eflags & FLAG_RF) {
        cpu->eflags &= ~(uint32_t)FLAG_RF;
        block = block_lookup(cpu);
    } else {
        cpu->current = &no_insn;
        debug_check_code(cpu);
        block = block_lookup(cpu);
    }
    cpu->exit_block = false;
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    execute(cpu, block, 1);
    cpu->exit_block = true;
    cpu->current = &no_insn;
    debug_after_instruction(cpu, single_step);
}

static bool must_step(const struct cpu *cpu)
{
    return debug_active(cpu) || (cpu->eflags & FLAG_RF) ||
           (cpu->interrupt_shadow && (cpu->interrupt_pending || cpu->nmi_pending));
}

/*
 * After a signal, or an instruction that set exit_block: all that may be due between two
 * instructions. Nothing of it changes while neither happens, so that other borders cost one look.
 * False: leave the run loop.
 */
static bool handle_border(struct tcg_vcpu *v)
{
    struct cpu *cpu = &v->cpu;

    if (cpu->jit) {
        jit_stop_if_asked(cpu);
    }
    for (;;) {
        cpu->blocks->current = NULL;
        if (!handle_events(v)) {
            return false;
        }
        if (!must_step(cpu)) {
            break;
        }
        step(cpu);
    }
    cpu->exit_block = false;
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    return true;
}

void run_loop(struct tcg_vcpu *v)
{
    struct cpu *cpu = &v->cpu;

    v->countdown = BLOCKS_PER_QUIESCENCE;
    if (cpu->jit) {
        jit_attach_thread(cpu);
        jit_begin_running(cpu);
    }
    memory_rcu_read_lock();
    tlb_check_generation(cpu);
    cpu->unwind = &v->unwind;
    cpu->exit_block = true;
    if (_setjmp(v->unwind)) {
        if (cpu->holds_machine_lock) {
            cpu_locked_end(cpu);
        }
        cpu_deliver_pending(cpu);
        cpu->exit_block = true;
    }
    for (;;) {
        if (__builtin_expect(__atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED), 0)) {
            /* Before the look at the signals: one that comes after it sets it again. */
            __atomic_store_n(&cpu->exit_request, 0, __ATOMIC_SEQ_CST);
            cpu->exit_block = true;
        }
        if (__builtin_expect(pending_signals(cpu) | cpu->exit_block, 0) && !handle_border(v)) {
            break;
        }
        if (__builtin_expect(!--v->countdown, 0)) {
            v->countdown = BLOCKS_PER_QUIESCENCE;
            quiesce(cpu);
            continue;
        }
        if (cpu->jit && jit_run(cpu)) {
            continue;
        }
        const struct block *block = block_follow(cpu);

        execute(cpu, block, block->count);
    }
    memory_rcu_read_unlock();
    if (cpu->jit) {
        jit_end_running(cpu);
    }
}
