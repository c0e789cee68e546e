/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs the vCPUs: tcg, kvm, xen, or (for device tests) qtest, which has none. Nothing outside
 * an engine includes its headers; engine-table.c lists the ops.
 *
 * An engine has a thread for each vCPU. Between resume and pause it executes the guest; it makes
 * the guest's accesses by address_space_load and _store on machine->as_memory and as_io, with no
 * lock held; it takes interrupts from vcpu->apic (intc/local-apic.h), unless it brings the APICs;
 * and it looks at vcpu->signals before it goes on. A vCPU that sees VCPU_SIGNAL_EXIT while
 * machine->vcpus_held is set executes nothing more until resume.
 *
 * Without has_vcpus all functions may be NULL. With it create_vcpu, resume, pause, destroy,
 * reset_vcpu and get_state are there, load_vcpu and vcpu_state go with save_vcpu, and set_state is
 * NULL only for an engine that attaches; the others may be NULL, where nothing else is said because
 * the engine has nothing to do.
 */
#ifndef DUODM_DM_ENGINE_H
#define DUODM_DM_ENGINE_H

#include "dm/irq.h"
#include "dm/property.h"
#include "dm/vcpu.h"

#include <glib.h>
#include <stdio.h>

struct machine;
struct memory_region;
struct device_class;
struct state_description;

/* An interrupt message of a device, as it writes it (SDM vol. 3, 11.11). */
struct msi_message {
    uint64_t address;
    uint32_t data;
};

/*
 * Interrupts by event descriptors: a write of fd is the interrupt, with no thread of duodm between.
 * attach gives a handle for the other two, NULL and an error if it can't be had. resample_fd (or
 * -1) is for a level-triggered line: fd raises it, the guest's EOI lowers it and signals
 * resample_fd. Any thread; not on a hot path. detach waits for what is under way.
 */
struct irqfd;
struct irqfd_ops {
    struct irqfd *(*attach_msi)(struct machine *machine, int fd, const struct msi_message *message,
                                GError **error);
    struct irqfd *(*attach_gsi)(struct machine *machine, int fd, int resample_fd, unsigned gsi,
                                GError **error);
    /* The guest changed the message of an attach_msi. */
    bool (*set_message)(struct irqfd *irqfd, const struct msi_message *message, GError **error);
    void (*detach)(struct irqfd *irqfd);
};

struct engine_ops {
    const char *name;               /* as -accel has it */
    const char *description;        /* one line for -accel help */
    size_t options_size;            /* bytes of the struct that options fills, 0: no options */
    const struct property *options; /* what -accel NAME,option=... accepts, or NULL */
    bool has_vcpus;                 /* false for qtest: create_vcpu .. set_state may be NULL */
    /* The guest is somebody else's, and the engine only attaches to it: processors, RAM, interrupt
     * controllers, timers and firmware are there already, and boards make none. */
    bool attaches;
    /* It keeps what it made of the guest's code, and has to hear of each write to RAM: so other
     * processes are not given RAM to write to. */
    bool caches_code;
    const struct device_class *const *devices; /* the engine's own, ended by NULL; or NULL */

    /* Can it be used on this host? The error says why not and what to do. */
    bool (*is_available)(GError **error);
    /* May it be taken where nobody named an engine? NULL: if it is available. */
    bool (*is_good_default)(GError **error);
    /* Check -cpu MODEL[,+f][,-f] (NULL: default) before anything is made. */
    bool (*check_cpu_model)(const char *model, GError **error);
    /* Print models and flags for -cpu help. */
    void (*list_cpu_models)(FILE *out);

    /* Called in this order, in the main loop's thread. At create the address spaces and the clock
     * exist; no vCPU, board or RAM does. machine->engine_data is the engine's own. An engine that
     * brings the local APICs sets machine->engine_apics: then vcpu->apic stays NULL; else it is
     * there before create_vcpu. */
    bool (*create)(struct machine *machine, const void *options, GError **error);
    bool (*create_vcpu)(struct vcpu *vcpu, GError **error); /* thread made, not running */
    /* The board is complete: is all of it in the engine's hands? NULL: it is. */
    bool (*check_board)(struct machine *machine, GError **error);
    void (*resume)(struct machine *machine);  /* let all vCPUs run */
    void (*pause)(struct machine *machine);   /* returns when no vCPU executes */
    void (*destroy)(struct machine *machine); /* paused before; joins the threads */

    void (*kick)(struct vcpu *vcpu); /* make a running or halted vCPU look at its signals */
    /* Put a vCPU in the power-on state. Paused; vcpu->apic was reset just before. */
    void (*reset_vcpu)(struct vcpu *vcpu);
    /* Only while paused, or from the vCPU's own thread. False: it can't be had (any more). */
    bool (*get_state)(struct vcpu *vcpu, struct x86_state *state);
    void (*set_state)(struct vcpu *vcpu, const struct x86_state *state);
    /* Write an MSR as WRMSR would; false: that faults. Paused. NULL: the engine can't. */
    bool (*write_msr)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
    /* Guest virtual to physical for debuggers; false if not mapped. Paused or a racy look. */
    bool (*virtual_to_physical)(struct vcpu *vcpu, uint64_t address, uint64_t *physical);
    /* Guest time stands still (stop) or goes on (cont). Paused. NULL: it has the machine's clock.
     */
    void (*set_clock_running)(struct machine *machine, bool running);
    /* What a snapshot must hold of a vCPU, appended to a stream, and back, as device_save_state and
     * device_load_state have it. Paused. NULL: the engine can't. */
    bool (*save_vcpu)(struct vcpu *vcpu, GByteArray *stream, GError **error);
    bool (*load_vcpu)(struct vcpu *vcpu, const uint8_t *stream, size_t length, size_t *consumed,
                      GError **error);
    const struct state_description *vcpu_state; /* of the one section that these append and take;
                                                   its instance is the vCPU's index */

    /* Wake a guest that suspended to RAM (ACPI S3). NULL: none can. */
    bool (*wake_up)(struct machine *machine, GError **error);
    /* What a snapshot must hold of the engine besides vCPUs, of machine->engine_data. NULL: nothing
     */
    const struct state_description *state;

    /* For engines that set machine->engine_apics. */

    /* Write a register of a local APIC, at its offset in the page. Paused. */
    void (*write_apic)(struct vcpu *vcpu, unsigned offset, uint32_t value);
    /* A message to the local APICs. True if one took it. Any thread, any lock held. */
    bool (*deliver_msi)(struct machine *machine, const struct msi_message *message);
    /* What the engine has in place of a class of the board's ("i8259", "ioapic", "i8254"); NULL:
     * nothing. If it has the interrupt controllers, machine->pic and ->ioapic stay NULL. */
    const struct device_class *(*replace_device)(struct machine *machine, const char *name);
    irq_handler_fn set_gsi; /* opaque is the machine: an input of the engine's controllers */
    irq_handler_fn set_pit_disconnected; /* as i8254_set_disconnected, of the engine's PIT */
    /* An entry of the board's IOAPIC changed: the message it sends. level: its EOI is of interest
     * (ioapic_eoi). NULL: nobody listens. Called with the IOAPIC's lock held. */
    void (*set_ioapic_route)(struct machine *machine, unsigned pin,
                             const struct msi_message *message, bool level);
    const struct irqfd_ops *irqfd; /* NULL: there are none, a device has to call irq lines */

    /* For engines that attach. */

    /* Make machine->ram, of which ram_below_4g and ram_above_4g bytes are to be seen, and set
     * ram_above_4g_offset. */
    bool (*make_ram)(struct machine *machine, GError **error);
    /* Memory of a device's (video RAM, option ROM) that the guest will see in place: what its host
     * pointer shows is the guest's memory from here on. Before anybody uses it. */
    bool (*adopt_ram)(struct machine *machine, struct memory_region *region, GError **error);
    void (*abandon_ram)(struct machine *machine, struct memory_region *region); /* the mirror */
    /* Is it a message that the guest masks at its hypervisor, and not by the bit in the function's
     * MSI-X table? Any thread, any lock held. */
    bool (*is_masked_elsewhere)(const struct msi_message *message);
    /* A function appears on the root bus, or goes. */
    bool (*add_pci_function)(struct machine *machine, unsigned devfn, GError **error);
    void (*remove_pci_function)(struct machine *machine, unsigned devfn);
    irq_handler_fn set_pci_pin; /* opaque is the machine, number = slot * 4 + pin (0: INTA) */
    /* PIRQ line 0..3 goes to an ISA interrupt; 0: to none. */
    void (*set_pci_link)(struct machine *machine, unsigned link, unsigned irq);
    /* The guest turned itself off, or wants to start anew: its owner is told. The guest does not
     * go on after that, though its pending access is answered. */
    void (*end_guest)(struct machine *machine, bool restart);
    /* Is there a guest that could answer: has it begun, and not ended? Main loop. NULL: as long as
     * the machine runs. */
    bool (*has_guest)(struct machine *machine);
    /* The guest suspends to RAM (ACPI S3). Any thread, guards held. wake_up ends that. */
    void (*suspend)(struct machine *machine);
    /* Give up all rights but those on this guest. */
    bool (*drop_rights)(struct machine *machine, GError **error);

    /* Text for HMP `info NAME` that only this engine has (`info jit`, `info tlb`); false: unknown
     */
    bool (*print_info)(struct machine *machine, const char *name, GString *out);
};

extern const struct engine_ops *const engine_table[]; /* ended by NULL; in engine-table.c */

#endif
