/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/board/x86.h"
#include "dm/intc/i8259.h"
#include "dm/intc/ioapic.h"
#include "dm/intc/local-apic.h"

#define ISA_INTERRUPTS 16
#define IRQ0_PIN       2 /* of the IOAPIC */

/* MSIs: writes of devices. Processors have their APICs there, which engines look at first. */
static enum memory_result msi_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    if (!attributes.from_device) {
        return MEMORY_DECODE_ERROR;
    }
    apic_deliver_msi(opaque, X86_MSI_WINDOW + offset, (uint32_t)value);
    return MEMORY_OK;
}

static enum memory_result msi_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    *value = UINT64_MAX;
    return MEMORY_DECODE_ERROR;
}

static const struct memory_region_ops msi_ops = {
    .read = msi_read,
    .write = msi_write,
    .valid = {.min_size = 4, .max_size = 4},
    .implemented = {.min_size = 4, .max_size = 4},
};

void x86_add_msi_window(struct machine *machine, struct memory_region *window)
{
    memory_region_init_mmio(window, "msi", X86_MSI_WINDOW_SIZE, &msi_ops, machine, NULL);
    memory_region_add_subregion(&machine->system_memory, X86_MSI_WINDOW, window);
}

static void set_gsi(void *opaque, unsigned gsi, bool level)
{
    struct machine *machine = opaque;

    if (gsi < ISA_INTERRUPTS && machine->pic) {
        i8259_set_input(machine->pic, gsi, level);
    }
    ioapic_set_input(machine->ioapic, gsi == 0 ? IRQ0_PIN : gsi, level);
}

/* The 8259s' INTR goes to LINT0 of the boot processor. */
static void set_intr(void *opaque, unsigned number, bool level)
{
    local_apic_set_lint(opaque, 0, level);
}

/* The same to a local APIC of the engine's, which has the processor ask the 8259s. */
static void signal_intr(void *opaque, unsigned number, bool level)
{
    if (level) {
        vcpu_signal(opaque, VCPU_SIGNAL_INTERRUPT);
    }
}

struct device *x86_create_replaceable(struct machine *machine, const char *name, struct bus *bus,
                                      GError **error)
{
    const struct engine_ops *engine = machine->engine;
    const struct device_class *own =
        engine->replace_device ? engine->replace_device(machine, name) : NULL;
    struct device *device;

    if (!own) {
        return device_create(machine, name, bus, error, NULL);
    }
    device = device_new(machine, own, bus, NULL, error);
    if (device && !device_realize(device, error)) {
        device_destroy(device);
        device = NULL;
    }
    return device;
}

bool x86_create_interrupts(struct machine *machine, bool has_pic, GError **error)
{
    struct vcpu *boot = machine->vcpu_count ? machine->vcpus[0] : NULL;
    irq_handler_fn handler = set_gsi;
    bool attaches = machine->engine->attaches;

    if ((!attaches && has_pic &&
         !x86_create_replaceable(machine, "i8259", machine->system_bus, error)) ||
        (!attaches && !x86_create_replaceable(machine, "ioapic", machine->system_bus, error))) {
        return false;
    }
    if (!machine->ioapic) {
        handler = machine->engine->set_gsi; /* the engine has it, and 8259s too */
    }
    for (unsigned gsi = 0; gsi < MACHINE_GSI_COUNT; gsi++) {
        machine->gsi[gsi] = (struct irq_line){handler, machine, gsi};
    }
    if (machine->pic && boot) {
        i8259_set_output(machine->pic, boot->apic ? (struct irq_line){set_intr, boot->apic, 0}
                                                  : (struct irq_line){signal_intr, boot, 0});
    }
    return true;
}
