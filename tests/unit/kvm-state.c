/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vCPU's state on a real /dev/kvm: reset is power-on, and a snapshot holds all that was changed.
 * Without /dev/kvm there is nothing to test: the program says so. */
#include "dm/machine.h"

#include "suite.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <stdio.h>

extern const struct engine_ops kvm_engine;

const struct engine_ops *const engine_table[] = {&kvm_engine, NULL};

static bool board_create(struct machine *machine, const void *options, GError **error)
{
    if (!memory_region_init_ram(&machine->ram, "ram", machine->config.ram_size, error)) {
        return false;
    }
    memory_region_add_subregion(&machine->system_memory, 0, &machine->ram);
    return true;
}

static const struct board_class board = {.name = "ram", .create = board_create};

static struct machine *new_machine(struct event_base *base)
{
    struct machine_config config;
    void *options = g_malloc0(kvm_engine.options_size);
    struct machine *machine;
    g_autoptr(GError) error = NULL;

    property_set_defaults(NULL, options, kvm_engine.options);
    machine_config_init(&config);
    config.smp = 2;
    machine = machine_new(&config, &kvm_engine, base, &error);
    if (!machine || !machine_create_engine(machine, options, &error) ||
        !machine_create_board(machine, &board, NULL, &error)) {
        printf("%s\n", error->message);
        CU_FAIL_FATAL("no machine");
    }
    property_free_values(options, kvm_engine.options);
    g_free(options);
    return machine;
}

static void test_reset_and_snapshot(void)
{
    struct event_base *base = event_base_new();
    struct machine *machine = new_machine(base);
    struct vcpu *vcpu = machine->vcpus[0];
    struct x86_state first, changed, now;
    g_autoptr(GByteArray) stream = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    size_t consumed;

    kvm_engine.reset_vcpu(vcpu);
    kvm_engine.get_state(vcpu, &first);
    CU_ASSERT_EQUAL(first.rip, 0xfff0);
    CU_ASSERT_EQUAL(first.segment[X86_CS].base, 0xffff0000);
    CU_ASSERT_FALSE(first.halted);
    kvm_engine.get_state(machine->vcpus[1], &now);
    CU_ASSERT_TRUE(now.halted); /* waits for SIPI */

    changed = first;
    changed.rip = 0x1234;
    changed.gpr[X86_R9] = 0x0123456789abcdef;
    changed.segment[X86_FS].base = 0x7000;
    changed.segment[X86_FS].selector = 0x700;
    changed.dr[0] = 0x5678;
    changed.cr8 = 5;
    kvm_engine.set_state(vcpu, &changed);
    CU_ASSERT_TRUE(kvm_engine.write_msr(vcpu, 0xc0000102, 0x4000));
    CU_ASSERT_TRUE_FATAL(kvm_engine.save_vcpu(vcpu, stream, &error));

    kvm_engine.reset_vcpu(vcpu);
    kvm_engine.get_state(vcpu, &now);
    CU_ASSERT_EQUAL(memcmp(&now, &first, sizeof(now)), 0);
    CU_ASSERT_TRUE_FATAL(kvm_engine.load_vcpu(vcpu, stream->data, stream->len, &consumed, &error));
    CU_ASSERT_EQUAL(consumed, stream->len);
    kvm_engine.get_state(vcpu, &now);
    CU_ASSERT_EQUAL(now.rip, 0x1234);
    CU_ASSERT_EQUAL(now.gpr[X86_R9], 0x0123456789abcdef);
    CU_ASSERT_EQUAL(now.segment[X86_FS].base, 0x7000);
    CU_ASSERT_EQUAL(now.dr[0], 0x5678);
    CU_ASSERT_EQUAL(now.cr8, 5);

    /* A stream that is cut or spoilt changes nothing. */
    kvm_engine.reset_vcpu(vcpu);
    stream->data[stream->len / 2] ^= 1;
    CU_ASSERT_FALSE(kvm_engine.load_vcpu(vcpu, stream->data, stream->len, &consumed, NULL));
    CU_ASSERT_FALSE(kvm_engine.load_vcpu(vcpu, stream->data, stream->len - 9, &consumed, NULL));
    kvm_engine.get_state(vcpu, &now);
    CU_ASSERT_EQUAL(memcmp(&now, &first, sizeof(now)), 0);
    machine_free(machine);
    event_base_free(base);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"reset and snapshot", test_reset_and_snapshot},
        {NULL, NULL},
    };
    g_autoptr(GError) error = NULL;

    if (!kvm_engine.is_available(&error)) {
        printf("not tested: %s\n", error->message);
        return 77; /* automake: skipped */
    }
    evthread_use_pthreads();
    return unit_run("kvm state", tests);
}
