/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One virtual machine: memory, buses, devices, vCPUs, and the engine that runs them. All state
 * hangs off it. Life: machine_new, machine_create_engine, machine_create_board (and the user's
 * devices), machine_run, machine_free.
 */
#ifndef DUODM_DM_MACHINE_H
#define DUODM_DM_MACHINE_H

#include "dm/clock.h"
#include "dm/device.h"
#include "dm/engine.h"
#include "dm/interrupt-eoi.h"
#include "dm/irq.h"
#include "dm/task-queue.h"
#include "dm/vcpu.h"
#include "memory/address-space.h"

#include <glib.h>

struct event_base;
struct acpi_cpu_hotplug;
struct fd_registry;
struct fw_cfg;
struct io_thread;
struct input;
struct display;
struct vnc_server;
struct i8259_pair;
struct ioapic;
struct migration;
struct block_registry;
struct board_class;
struct chardev;
struct qmp_server;

#define MACHINE_MAX_VCPUS   255
#define MACHINE_GSI_COUNT   24
#define MACHINE_MEMORY_SIZE (1ull << 52) /* of system_memory: all that x86 can address */
#define MACHINE_RAM_MIN     (2ull << 20) /* bytes; below that no guest finds room */
#define MACHINE_RAM_MAX     (1ull << 40) /* bytes; what 40 physical address bits reach */

enum run_state {
    RUN_STATE_PRELAUNCH, /* -S, not yet started */
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,
    RUN_STATE_SHUTDOWN,       /* guest shut down, -no-shutdown */
    RUN_STATE_INTERNAL_ERROR, /* the engine could not go on */
    RUN_STATE_GUEST_PANICKED,
    RUN_STATE_IO_ERROR,       /* a disk's, with werror=stop or rerror=stop */
    RUN_STATE_INMIGRATE,      /* -incoming: waits for its state */
    RUN_STATE_FINISH_MIGRATE, /* stands still while the last of its state is written */
    RUN_STATE_POSTMIGRATE,    /* its state was written: it goes on elsewhere, or here with cont */
    RUN_STATE_SAVE_VM,        /* stands still for xen-save-devices-state */
};
const char *run_state_name(enum run_state state); /* as QMP's RunState has it */

enum shutdown_cause {
    SHUTDOWN_GUEST_SHUTDOWN, /* ACPI S5 and the like */
    SHUTDOWN_GUEST_RESET,    /* reset with -no-reboot */
    SHUTDOWN_HOST_QMP_QUIT,
    SHUTDOWN_HOST_SIGNAL,
    SHUTDOWN_HOST_UI,         /* Ctrl-A x */
    SHUTDOWN_GUEST_TEST_EXIT, /* isa-debug-exit: machine->exit_status */
    SHUTDOWN_HOST_QMP_RESET,  /* system_reset with -no-reboot */
};

/* Where interrupt controllers are under an engine that has a choice (-machine kernel-irqchip=). */
enum kernel_irqchip {
    KERNEL_IRQCHIP_DEFAULT,
    KERNEL_IRQCHIP_ON,    /* all in the kernel */
    KERNEL_IRQCHIP_SPLIT, /* local APICs in the kernel, 8259 and IOAPIC here */
    KERNEL_IRQCHIP_OFF,   /* all here */
};

/* What the command line asked for. Strings owned. */
struct machine_config {
    char *name;
    char *uuid_text;   /* NULL: none */
    uint64_t ram_size; /* bytes */
    unsigned smp;      /* vCPUs */
    unsigned max_cpus; /* that there can be, with those that come later */
    unsigned sockets, cores, threads;
    char *cpu_model;                       /* NULL: the engine's default */
    char *kernel, *initrd, *append, *bios; /* NULL: none */
    char *dtb_dump;                        /* -machine dumpdtb=FILE; NULL: none */
    char *dmar_dump;                       /* -machine dumpdmar=FILE; NULL: none */
    char *memory_backend; /* -machine memory-backend=ID: what RAM is made of; NULL: as usual */
    bool share_ram;       /* a device wants RAM that other processes can map */
    GPtrArray *firmware_folders; /* of char: -L, to be searched first */
    /* What query-command-line-options answers, for the command line is none of a monitor's
     * business: a new reference. NULL: there is none. */
    struct json_t *(*describe_options)(void);
    char *rtc_base;   /* -rtc base=: NULL or "utc", "localtime", or a time
                         "YYYY-MM-DD[Thh:mm:ss]", which was checked */
    char *boot_order; /* -boot order=, NULL: default */
    char *boot_once;  /* the same until the first reset; NULL: no other */
    bool boot_menu;
    enum kernel_irqchip kernel_irqchip;
    bool no_defaults, no_reboot, no_shutdown, no_acpi, no_hpet;
    bool start_paused;  /* -S */
    char *incoming;     /* -incoming: where the machine's state comes from; NULL: a fresh start */
    GPtrArray *globals; /* of struct global_property */
    struct chardev *serials[4];
    unsigned serial_count;
    GPtrArray *fw_cfg_items; /* of struct fw_cfg_option: -fw_cfg name=,file=|string= */
};

/* -global. Strings owned. */
struct global_property {
    char *driver, *property, *value;
};
/* -fw_cfg: one of file and string. Owned. */
struct fw_cfg_option {
    char *name, *file, *string;
};

struct machine {
    struct machine_config config;
    const struct board_class *board;
    const void *board_options; /* by board->properties; NULL: it has none. Not owned */
    void *board_private;       /* the board's own */
    bool complete;             /* set by machine_complete_board: what comes now is plugged in */
    const struct engine_ops *engine;
    bool engine_created; /* by machine_create_engine */
    void *engine_data;
    bool engine_apics;       /* set by engine->create: it has the local APICs */
    bool wakes;              /* the reset under way ends a suspend to RAM: memory is as it was */
    struct event_base *base; /* the main loop */
    struct machine_clock *clock;

    /* Memory. */
    struct memory_region system_memory; /* container, root of as_memory */
    struct memory_region system_io;     /* container of 64 KiB, root of as_io */
    struct address_space as_memory, as_io;
    struct memory_region ram;            /* all of guest RAM in one block */
    uint64_t ram_below_4g, ram_above_4g; /* bytes; the latter starts at 4 GiB */
    uint64_t ram_above_4g_offset;        /* in ram */

    /* Devices. */
    struct bus *system_bus, *isa_bus;
    struct bus *pci_bus;
    GPtrArray *kept_memory;  /* of struct memory_region, not owned: machine_keep_memory */
    GPtrArray *device_buses; /* of struct bus, not owned: those that devices (and boards) offer
                                besides the three: bus_offer */
    struct vcpu *vcpus[MACHINE_MAX_VCPUS];
    unsigned vcpu_count;
    struct acpi_cpu_hotplug *cpus; /* where a hypervisor has them, and they may come and go; NULL */
    struct irq_line gsi[MACHINE_GSI_COUNT]; /* 0..15: ISA interrupts too. Set up by the board */
    struct interrupt_eoi eoi;
    struct irq_line a20; /* input of the gate of address line 20 (port92.c); high: it passes */
    bool a20_masked;     /* atomic. What the gate says to processors: machine_mask_a20 */
    struct i8259_pair *pic;
    struct ioapic *ioapic;
    struct fw_cfg *fw_cfg;
    GPtrArray *boot_order;     /* firmware/boot-order.c; NULL: no device has a place */
    void *balloon;             /* struct virtio_balloon, or NULL */
    unsigned discard_blockers; /* atomic: who needs RAM to stay where it is (DMA mappings). Whoever
                                  gives back RAM looks at it under RCU */
    GPtrArray *reset_handlers;
    GPtrArray *cleanups; /* machine_add_cleanup */
    GPtrArray *netdevs;  /* of struct netdev: netdev_new adds, machine_free frees what is left */
    GPtrArray *nics;     /* of struct nic, not owned: nic_realize adds */
    GPtrArray *chardevs; /* chardev_new adds, machine_free frees what is left */
    GPtrArray *objects;  /* of struct object, in order of creation: -object's */
    struct io_thread *default_io_thread; /* among objects; NULL: nobody needed it so far */
    struct block_registry *blocks;       /* disk images */
    GPtrArray
        *vfio_spaces;    /* of struct vfio_space: vfio-space.c. NULL: nothing is passed through */
    struct input *input; /* what people type and point at */
    struct display *display;     /* what they see (display/display.h); NULL: no adapter */
    struct vnc_server *vnc;      /* NULL: nobody looks over VNC */
    void *monitor;               /* struct monitor_state: QMP and HMP servers */
    struct fd_registry *fds;     /* descriptors that monitors' clients passed */
    struct migration *migration; /* of its state to or from elsewhere */

    /* Running. */
    enum run_state state;
    int exit_status; /* of the process */
    bool quit;       /* the main loop ends */
    /*
     * Atomic. A request waits that must be carried out before any vCPU executes another
     * instruction. Set before all vCPUs get VCPU_SIGNAL_EXIT; an engine parks a vCPU that sees the
     * signal until engine->resume. The main loop always answers with a pause.
     */
    bool vcpus_held;
    void *run_private; /* requests under way, their lock and event: machine-run.c */
};

/* A board: one table entry each, in board-table.c. */
struct board_class {
    const char *name, *alias, *description;
    bool is_default;
    const char *engine; /* without -accel: the only one that it can have; NULL: any */
    const struct engine_ops *own_engine; /* in place of any that -accel names; NULL: as that says */
    /* A -drive that does not say if= is an IDE disk, where the board has places for some; these are
     * so many on each of its buses ide.0, ide.1... 0: it is a virtio one. */
    unsigned ide_units;
    const char *usb_address;           /* PCI address of -usb's controller; NULL: any */
    const struct property *properties; /* -machine NAME,property=... into the board's own struct */
    size_t options_size;
    bool (*create)(struct machine *machine, const void *options, GError **error);
    /* After the user's devices were added, before the first reset. NULL: nothing to do. */
    bool (*complete)(struct machine *machine, GError **error);
    /* Say in the device tree what buses and devices can't know, before they add themselves. */
    void (*describe)(struct machine *machine, struct device_tree *tree);
    /* Free the board's own buses, before those of the machine go. NULL: it has none. */
    void (*release)(struct machine *machine);
};
extern const struct board_class *const board_table[]; /* ended by NULL */

void machine_config_init(struct machine_config *config);
void machine_config_clear(struct machine_config *config);

/* A machine with clock, memory roots and buses, no board yet. Takes over *config. Cheap: nothing is
 * asked of the host but descriptors. */
struct machine *machine_new(struct machine_config *config, const struct engine_ops *engine,
                            struct event_base *base, GError **error);
/* Have the engine bring what it runs guests with, before the board; options are the engine's.
 * Nothing is left of it if that fails. */
bool machine_create_engine(struct machine *machine, const void *options, GError **error);
/* Make the vCPUs (machine->vcpus, each with its local APIC), then what the board consists of.
 * *board_options must outlive the devices. */
bool machine_create_board(struct machine *machine, const struct board_class *board,
                          const void *board_options, GError **error);
/* All devices are there: the board describes them to the guest and loads its kernel. */
bool machine_complete_board(struct machine *machine, GError **error);
/* Takes down in reverse order all that the above made; no engine thread is left. NULL is fine. */
void machine_free(struct machine *machine);
/* What a board made besides devices (regions, tables): called by machine_free, last added first,
 * after all devices are gone, while memory roots, clock and vCPUs still exist. */
void machine_add_cleanup(struct machine *machine, void (*cleanup)(void *opaque), void *opaque);

/* Called on machine reset, in order of registration, after all devices were reset. */
void machine_add_reset_handler(struct machine *machine, void (*handler)(void *opaque),
                               void *opaque);

/* machine->ram: of ram_below_4g and ram_above_4g bytes, if this host can give them. For boards. */
bool machine_make_ram(struct machine *machine, GError **error);

/* A snapshot holds what is in machine->ram, and in this RAM (a display's). Its name is its own
 * among all that are kept. Until it is forgotten. Main loop. */
void machine_keep_memory(struct machine *machine, struct memory_region *region);
void machine_forget_memory(struct machine *machine, struct memory_region *region);

/* Hold address line 20 of all processors low, or let it go: an engine that can sees it before the
 * instruction after the one that made the change. Any thread, any lock held. */
void machine_mask_a20(struct machine *machine, bool masked);

/*
 * Requests. Any thread, any lock held: they are carried out by the main loop. A guest's reset
 * request resets the whole machine.
 */
void machine_request_reset(struct machine *machine, bool from_guest);
void machine_request_shutdown(struct machine *machine, enum shutdown_cause cause);
void machine_request_powerdown(struct machine *machine); /* ACPI power button */
/* Call a function in the main loop, before any vCPU executes another instruction. */
void machine_request_call(struct machine *machine, void (*function)(void *opaque), void *opaque);
/* End the process with a status, at once, as isa-debug-exit does: no vCPU runs another insn. */
void machine_request_exit(struct machine *machine, int status);
/* The guest panicked: message to the user, QMP event, pause. */
void machine_report_panic(struct machine *machine, const char *message);
/* The engine can't go on: message to the user, and RUN_STATE_INTERNAL_ERROR, which QMP tells as
 * STOP. */
void machine_report_internal_error(struct machine *machine, const char *message);

/* Run a task in the main loop soon; and take one back (main loop only). Any thread, any lock held.
 */
void machine_post(struct machine *machine, struct io_task *task);
void machine_cancel(struct machine *machine, struct io_task *task);

/* Main-loop thread only. */
void machine_start(struct machine *machine); /* or continue */
/* The same for a user: the error says why it can't go on. A machine that waits for its state goes
 * on when it has it. */
bool machine_continue(struct machine *machine, GError **error);
void machine_stop(struct machine *machine, enum run_state state);
void machine_reset(struct machine *machine);
/* The same at the end of a suspend to RAM (ACPI S3): reset handlers see machine->wakes. */
void machine_reset_to_wake(struct machine *machine);
/* Reset, start unless -S, and run the main loop until quit; the exit status of the process. */
int machine_run(struct machine *machine);
/* Let no vCPU execute between the two, in whatever state; nobody is told. The result of the first
 * goes to the second. Main loop. */
bool machine_hold_vcpus(struct machine *machine);
void machine_release_vcpus(struct machine *machine, bool held);
/* A guest that shut down, panicked or broke the engine can't continue, it can only be reset. */
bool machine_needs_reset(const struct machine *machine);

/*
 * Who works beside the vCPUs (I/O threads) hears when the machine starts and stops: before the
 * first vCPU runs, and after the last one stands still. Called in the main loop, no guard held.
 */
typedef void (*machine_run_fn)(void *opaque, bool running);
void machine_add_run_listener(struct machine *machine, machine_run_fn fn, void *opaque);
void machine_remove_run_listener(struct machine *machine, machine_run_fn fn, void *opaque);

/* Listeners for run-state events, for the monitor: name as in QMP, data JSON text or NULL. */
typedef void (*machine_event_fn)(void *opaque, const char *event, const char *json_data);
void machine_add_event_listener(struct machine *machine, machine_event_fn fn, void *opaque);
void machine_emit_event(struct machine *machine, const char *event, const char *json_data);
/* The power button was pressed: who wants to know (ACPI PM). */
void machine_set_powerdown_handler(struct machine *machine, void (*fn)(void *opaque), void *opaque);

#endif
