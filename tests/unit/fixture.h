/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine whose clock moves by hand, with the devices that a test asks for, local APICs whose
 * vCPUs only collect signals, and a record of what the interrupt lines did.
 */
#ifndef DUODM_TESTS_UNIT_FIXTURE_H
#define DUODM_TESTS_UNIT_FIXTURE_H

#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct machine *machine;
    struct event_base *base;
    struct {
        bool level;
        unsigned rises;
        unsigned sets;      /* calls, whatever they changed */
        uint64_t last_rise; /* ns */
    } gsi[MACHINE_GSI_COUNT];
};

static bool fixture_create_vcpu(struct vcpu *vcpu, GError **error)
{
    return true;
}

static void fixture_ignore_vcpu(struct vcpu *vcpu)
{
}

static void fixture_ignore(struct machine *machine)
{
}

static const struct engine_ops fixture_engine = {
    .name = "fixture",
    .has_vcpus = true,
    .create_vcpu = fixture_create_vcpu,
    .resume = fixture_ignore,
    .pause = fixture_ignore,
    .reset_vcpu = fixture_ignore_vcpu,
};

static bool fixture_create_board(struct machine *machine, const void *options, GError **error)
{
    return true;
}

static const struct board_class fixture_board = {
    .name = "fixture",
    .create = fixture_create_board,
};

static void fixture_gsi(void *opaque, unsigned number, bool level)
{
    struct fixture *f = opaque;

    if (level && !f->gsi[number].level) {
        f->gsi[number].rises++;
        f->gsi[number].last_rise = machine_clock_now(f->machine->clock);
    }
    f->gsi[number].level = level;
    f->gsi[number].sets++;
}

static inline struct fixture *fixture_new(unsigned smp)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct machine_config config;

    machine_config_init(&config);
    config.smp = smp;
    f->base = event_base_new();
    f->machine = machine_new(&config, &fixture_engine, f->base, NULL);
    if (!f->machine || !machine_create_engine(f->machine, NULL, NULL) ||
        !machine_create_board(f->machine, &fixture_board, NULL, NULL)) {
        abort();
    }
    machine_clock_set_manual(f->machine->clock);
    for (unsigned i = 0; i < MACHINE_GSI_COUNT; i++) {
        f->machine->gsi[i] = (struct irq_line){fixture_gsi, f, i};
    }
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    machine_free(f->machine);
    event_base_free(f->base);
    g_free(f);
}

/* One property may be given; value NULL: none. */
static inline struct device *fixture_add(struct fixture *f, const char *class_name,
                                         const char *property, const char *value)
{
    struct device *device =
        device_create(f->machine, class_name, NULL, NULL, property, value, NULL);

    if (!device) {
        abort();
    }
    device_reset(device);
    return device;
}

static inline void fixture_advance(struct fixture *f, uint64_t ns)
{
    machine_clock_advance(f->machine->clock, machine_clock_now(f->machine->clock) + ns);
}

static inline void out8(struct fixture *f, unsigned port, unsigned value)
{
    address_space_store(&f->machine->as_io, port, 1, MEMORY_ATTRIBUTES_CPU, value);
}

static inline uint8_t in8(struct fixture *f, unsigned port)
{
    uint64_t value;

    address_space_load(&f->machine->as_io, port, 1, MEMORY_ATTRIBUTES_CPU, &value);
    return (uint8_t)value;
}

static inline void write32(struct fixture *f, uint64_t address, uint32_t value)
{
    address_space_store(&f->machine->as_memory, address, 4, MEMORY_ATTRIBUTES_CPU, value);
}

static inline uint32_t read32(struct fixture *f, uint64_t address)
{
    uint64_t value;

    address_space_load(&f->machine->as_memory, address, 4, MEMORY_ATTRIBUTES_CPU, &value);
    return (uint32_t)value;
}

static inline void write64(struct fixture *f, uint64_t address, uint64_t value)
{
    address_space_store(&f->machine->as_memory, address, 8, MEMORY_ATTRIBUTES_CPU, value);
}

static inline uint64_t read64(struct fixture *f, uint64_t address)
{
    uint64_t value;

    address_space_load(&f->machine->as_memory, address, 8, MEMORY_ATTRIBUTES_CPU, &value);
    return value;
}

/* The signals that came to a vCPU since the last look. */
static inline uint32_t take_signals(struct fixture *f, unsigned vcpu)
{
    return __atomic_exchange_n(&f->machine->vcpus[vcpu]->signals, 0, __ATOMIC_SEQ_CST);
}

static inline struct local_apic *apic_of(struct fixture *f, unsigned vcpu)
{
    return f->machine->vcpus[vcpu]->apic;
}

/* Accesses of all sizes at random places, while time passes. */
static inline void fixture_random_access(struct fixture *f, struct address_space *as,
                                         uint64_t start, uint64_t length, unsigned count)
{
    GRand *random = test_seeded_rand();

    for (unsigned i = 0; i < count; i++) {
        uint64_t value = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
        uint64_t address = start + g_rand_int(random) % length;
        unsigned size = 1u << g_rand_int(random) % 4;

        if (g_rand_boolean(random)) {
            value >>= g_rand_int(random) % 64;
            address_space_store(as, address, size, MEMORY_ATTRIBUTES_CPU, value);
        } else {
            address_space_load(as, address, size, MEMORY_ATTRIBUTES_CPU, &value);
        }
        if (i % 8 == 0) {
            fixture_advance(f, g_rand_int(random) % 3000000);
        }
    }
    g_rand_free(random);
}

/* Saved state is taken back, and saving it again gives the same. */
static inline bool fixture_state_survives(struct device *device)
{
    g_autoptr(GByteArray) first = g_byte_array_new();
    g_autoptr(GByteArray) second = g_byte_array_new();
    size_t consumed;

    device_save_state(device, first);
    if (!device_load_state(device, first->data, first->len, &consumed, NULL) ||
        consumed != first->len) {
        return false;
    }
    device_save_state(device, second);
    return first->len == second->len && memcmp(first->data, second->data, first->len) == 0;
}

#endif
