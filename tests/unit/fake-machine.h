/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine for unit tests: no board, RAM of 2 MiB, and an engine that only counts. */
#ifndef DUODM_TESTS_UNIT_FAKE_MACHINE_H
#define DUODM_TESTS_UNIT_FAKE_MACHINE_H

#include "dm/machine.h"

#include <event2/event.h>

/* What the engine was told, in machine->engine_data. */
struct fake_engine {
    unsigned kicks; /* atomic */
    unsigned resets, pauses, resumes;
    bool running;
    bool confused; /* paused or resumed twice, or told to reset a running vCPU */
    bool fail_create, fail_vcpu;
    unsigned vcpus;
};

static inline struct fake_engine *fake_engine_of(struct machine *machine)
{
    return machine->engine_data;
}

static bool fake_create(struct machine *machine, const void *options, GError **error)
{
    machine->engine_data = (void *)options;
    if (fake_engine_of(machine)->fail_create) {
        g_set_error_literal(error, g_quark_from_static_string("test"), 0, "engine refused");
        return false;
    }
    machine->engine_apics = true;
    return true;
}

static bool fake_create_vcpu(struct vcpu *vcpu, GError **error)
{
    struct fake_engine *engine = fake_engine_of(vcpu->machine);

    if (engine->fail_vcpu && vcpu->index == 1) {
        g_set_error_literal(error, g_quark_from_static_string("test"), 0, "no thread");
        return false;
    }
    engine->vcpus++;
    return true;
}

static void fake_resume(struct machine *machine)
{
    struct fake_engine *engine = fake_engine_of(machine);

    engine->confused |= engine->running;
    engine->running = true;
    engine->resumes++;
}

static void fake_pause(struct machine *machine)
{
    struct fake_engine *engine = fake_engine_of(machine);

    engine->confused |= !engine->running;
    engine->running = false;
    engine->pauses++;
}

static void fake_kick(struct vcpu *vcpu)
{
    __atomic_fetch_add(&fake_engine_of(vcpu->machine)->kicks, 1, __ATOMIC_RELAXED);
}

static void fake_reset_vcpu(struct vcpu *vcpu)
{
    struct fake_engine *engine = fake_engine_of(vcpu->machine);

    engine->confused |= engine->running;
    engine->resets++;
}

static const struct engine_ops fake_engine_ops = {
    .name = "fake",
    .has_vcpus = true,
    .create = fake_create,
    .create_vcpu = fake_create_vcpu,
    .resume = fake_resume,
    .pause = fake_pause,
    .kick = fake_kick,
    .reset_vcpu = fake_reset_vcpu,
};

static bool fake_board_create(struct machine *machine, const void *options, GError **error)
{
    if (!memory_region_init_ram(&machine->ram, "ram", machine->config.ram_size, error)) {
        return false;
    }
    memory_region_add_subregion(&machine->system_memory, 0, &machine->ram);
    return true;
}

static const struct board_class fake_board = {
    .name = "fake",
    .create = fake_board_create,
};

/* Makes the main loop too; fake_machine_free frees both. */
static inline struct machine *fake_machine_new_with(struct fake_engine *engine,
                                                    struct machine_config *config)
{
    struct event_base *base = event_base_new();
    struct machine *machine;

    config->ram_size = 2ull << 20;
    machine = machine_new(config, &fake_engine_ops, base, NULL);
    if (!machine || !machine_create_engine(machine, engine, NULL) ||
        !machine_create_board(machine, &fake_board, NULL, NULL)) {
        abort();
    }
    return machine;
}

static inline struct machine *fake_machine_new(struct fake_engine *engine)
{
    struct machine_config config;

    machine_config_init(&config);
    return fake_machine_new_with(engine, &config);
}

static inline void fake_machine_free(struct machine *machine)
{
    struct event_base *base = machine->base;

    machine_free(machine);
    event_base_free(base);
}

#endif
