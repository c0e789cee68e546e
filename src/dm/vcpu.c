/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vcpu.h"
#include "dm/machine.h"
#include "util/error.h"

void vcpu_signal(struct vcpu *vcpu, uint32_t signals)
{
    const struct engine_ops *engine = vcpu->machine->engine;

    if (signals & VCPU_SIGNAL_NMI) {
        __atomic_fetch_add(&vcpu->nmi_count, 1, __ATOMIC_SEQ_CST);
    }
    /* Sequentially consistent, so that a vCPU that goes to sleep after it found no signal, and this
     * kick that comes after the signal was set, can't miss each other. */
    __atomic_fetch_or(&vcpu->signals, signals, __ATOMIC_SEQ_CST);
    if (engine->kick) {
        engine->kick(vcpu);
    }
}

bool machine_inject_nmi(struct machine *machine, GError **error)
{
    if (machine->engine->attaches) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "an NMI for a domain comes from its toolstack: xl trigger DOMAIN nmi");
    }
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        vcpu_signal(machine->vcpus[i], VCPU_SIGNAL_NMI);
    }
    return true;
}
