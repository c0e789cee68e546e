/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/firmware-processors.h"
#include "dm/intc/local-apic.h"
#include "util/range.h"

static void set_up_local_apic(struct vcpu *vcpu)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } registers[] = {
        {0xf0, 0x1ff},  /* spurious vector, enabled */
        {0x350, 0x700}, /* LINT0: ExtINT */
        {0x360, 0x400}, /* LINT1: NMI */
    };
    const struct engine_ops *engine = vcpu->machine->engine;

    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
        if (vcpu->apic) {
            local_apic_write(vcpu->apic, registers[i].offset, 4, registers[i].value);
        } else if (engine->write_apic) {
            engine->write_apic(vcpu, registers[i].offset, registers[i].value);
        }
    }
}

/* Memory types (SDM vol. 3, 12.11): write-back but for the VGA and PCI holes. */
static void set_up_memory_types(struct vcpu *vcpu)
{
    const struct engine_ops *engine = vcpu->machine->engine;
    const uint64_t write_back = 0x0606060606060606, write_protect = 0x0505050505050505;
    struct range hole = {0xe0000000, 0x20000000};

    if (!engine->write_msr) {
        return;
    }
    engine->write_msr(vcpu, 0x250, write_back); /* MTRRfix64K_00000 */
    engine->write_msr(vcpu, 0x258, write_back); /* MTRRfix16K_80000 */
    engine->write_msr(vcpu, 0x259, 0);          /* MTRRfix16K_A0000 */
    for (uint32_t msr = 0x268; msr <= 0x26f; msr++) {
        engine->write_msr(vcpu, msr, write_protect); /* MTRRfix4K_C0000 and on */
    }
    engine->write_msr(vcpu, 0x200, hole.start); /* uncacheable */
    engine->write_msr(vcpu, 0x201, (0xffffffffffull & ~(hole.length - 1)) | 0x800);
    engine->write_msr(vcpu, 0x2ff, 0xc06); /* on, fixed ranges on, default write-back */
}

void firmware_set_up_processors(struct machine *machine)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        set_up_memory_types(machine->vcpus[i]);
    }
    if (machine->vcpu_count) {
        set_up_local_apic(machine->vcpus[0]);
    }
}
