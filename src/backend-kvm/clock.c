/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest time while the machine is stopped: kvmclock stands still, and the guest is told, so that
 * its watchdogs don't take the pause for a hang. */
#include "backend-kvm/kvm-machine.h"
#include "util/log.h"

static void save_clock(struct kvm_machine *kvm)
{
    struct kvm_clock_data data = {0};

    if (kvm_api_check(&kvm->api, KVM_CAP_ADJUST_CLOCK) &&
        kvm_vm_ioctl(&kvm->api, KVM_GET_CLOCK, &data) == 0) {
        kvm->clock = data.clock;
        kvm->clock_saved = true;
    }
}

static void restore_clock(struct kvm_machine *kvm)
{
    struct kvm_clock_data data = {.clock = kvm->clock};

    if (kvm->clock_saved && kvm_vm_ioctl(&kvm->api, KVM_SET_CLOCK, &data) < 0) {
        log_warning("kvm: the guest's clock can't be set back: it sees the pause");
    }
    kvm->clock_saved = false;
    if (!kvm_api_check(&kvm->api, KVM_CAP_KVMCLOCK_CTRL)) {
        return;
    }
    for (unsigned i = 0; i < kvm->machine->vcpu_count; i++) {
        const struct kvm_vcpu *v = kvm->machine->vcpus[i]->engine;

        kvm_ioctl(v->fd, KVM_KVMCLOCK_CTRL, NULL); /* refused if the guest has no kvmclock */
    }
}

void kvm_set_clock_running(struct machine *machine, bool running)
{
    struct kvm_machine *kvm = kvm_of(machine);

    if (running) {
        restore_clock(kvm);
    } else {
        save_clock(kvm);
    }
    kvm_pit_set_running(kvm, running);
}

/* Snapshots: saved while the machine stands, loaded before it runs. */

static const struct state_field fields[] = {
    STATE(UINT64, kvm_machine, clock, 1),
    STATE(BOOL, kvm_machine, clock_saved, 1),
    STATE_END,
};

const struct state_description kvm_machine_state = {
    .name = "kvm",
    .version = 1,
    .fields = fields,
};
