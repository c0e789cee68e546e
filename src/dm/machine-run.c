/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a machine does while it runs: states, and requests. A request may come from any thread with
 * any lock held, so it is only noted there; the main loop carries it out, with the vCPUs paused.
 */
#include "dm/machine-private.h"
#include "dm/block/block.h"
#include "dm/intc/local-apic.h"
#include "dm/snapshot/migration.h"
#include "util/error.h"
#include "util/log.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What was asked for and not yet done. */
struct run_requests {
    bool exit, shutdown, reset, powerdown;
    int exit_status;
    enum shutdown_cause cause;
    bool reset_from_guest;
    char *panic;                /* message; NULL: none */
    char *internal_error;       /* message; NULL: none */
    void (*call)(void *opaque); /* NULL: none */
    void *call_opaque;
};

struct event_listener {
    machine_event_fn function;
    void *opaque;
};

struct run_listener {
    machine_run_fn function;
    void *opaque;
};

struct machine_run {
    pthread_mutex_t lock; /* leaf: protects requests */
    struct run_requests requests;
    int wake_fd; /* eventfd, readable while requests wait */
    struct event *wake;
    GArray *listeners;     /* of struct event_listener */
    GArray *run_listeners; /* of struct run_listener */
    struct task_queue tasks;
    bool vcpus_run; /* between resume and pause of the engine */
    void (*powerdown)(void *opaque);
    void *powerdown_opaque;
};

static const struct {
    const char *reason; /* ShutdownCause in QMP's schema */
    bool guest;
} shutdown_causes[] = {
    [SHUTDOWN_GUEST_SHUTDOWN] = {"guest-shutdown", true},
    [SHUTDOWN_GUEST_RESET] = {"guest-reset", true},
    [SHUTDOWN_HOST_QMP_QUIT] = {"host-qmp-quit", false},
    [SHUTDOWN_HOST_SIGNAL] = {"host-signal", false},
    [SHUTDOWN_HOST_UI] = {"host-ui", false},
    [SHUTDOWN_GUEST_TEST_EXIT] = {"guest-shutdown", true},
    [SHUTDOWN_HOST_QMP_RESET] = {"host-qmp-system-reset", false},
};

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {
        [RUN_STATE_PRELAUNCH] = "prelaunch",
        [RUN_STATE_RUNNING] = "running",
        [RUN_STATE_PAUSED] = "paused",
        [RUN_STATE_SHUTDOWN] = "shutdown",
        [RUN_STATE_INTERNAL_ERROR] = "internal-error",
        [RUN_STATE_GUEST_PANICKED] = "guest-panicked",
        [RUN_STATE_IO_ERROR] = "io-error",
        [RUN_STATE_INMIGRATE] = "inmigrate",
        [RUN_STATE_FINISH_MIGRATE] = "finish-migrate",
        [RUN_STATE_POSTMIGRATE] = "postmigrate",
        [RUN_STATE_SAVE_VM] = "save-vm",
    };

    return names[state];
}

bool machine_needs_reset(const struct machine *machine)
{
    return machine->state == RUN_STATE_SHUTDOWN || machine->state == RUN_STATE_INTERNAL_ERROR ||
           machine->state == RUN_STATE_GUEST_PANICKED;
}

/* Events. */

void machine_add_event_listener(struct machine *machine, machine_event_fn fn, void *opaque)
{
    struct machine_run *run = machine->run_private;
    struct event_listener listener = {fn, opaque};

    g_array_append_val(run->listeners, listener);
}

void machine_emit_event(struct machine *machine, const char *event, const char *json_data)
{
    struct machine_run *run = machine->run_private;

    for (unsigned i = 0; i < run->listeners->len; i++) {
        struct event_listener listener = g_array_index(run->listeners, struct event_listener, i);

        listener.function(listener.opaque, event, json_data);
    }
}

void machine_add_run_listener(struct machine *machine, machine_run_fn fn, void *opaque)
{
    struct machine_run *run = machine->run_private;
    struct run_listener listener = {fn, opaque};

    g_array_append_val(run->run_listeners, listener);
}

void machine_remove_run_listener(struct machine *machine, machine_run_fn fn, void *opaque)
{
    struct machine_run *run = machine->run_private;

    for (unsigned i = 0; i < run->run_listeners->len; i++) {
        struct run_listener *listener = &g_array_index(run->run_listeners, struct run_listener, i);

        if (listener->function == fn && listener->opaque == opaque) {
            g_array_remove_index(run->run_listeners, i);
            return;
        }
    }
}

static void tell_run_listeners(struct machine *machine, bool running)
{
    struct machine_run *run = machine->run_private;

    for (unsigned i = 0; i < run->run_listeners->len; i++) {
        struct run_listener listener = g_array_index(run->run_listeners, struct run_listener, i);

        listener.function(listener.opaque, running);
    }
}

static void emit_cause(struct machine *machine, const char *event, bool guest, const char *reason)
{
    g_autofree char *data =
        g_strdup_printf("{\"guest\": %s, \"reason\": \"%s\"}", guest ? "true" : "false", reason);

    machine_emit_event(machine, event, data);
}

void machine_set_powerdown_handler(struct machine *machine, void (*fn)(void *opaque), void *opaque)
{
    struct machine_run *run = machine->run_private;

    run->powerdown = fn;
    run->powerdown_opaque = opaque;
}

/* Requests, from any thread. */

static struct run_requests *requests_lock(struct machine *machine)
{
    struct machine_run *run = machine->run_private;

    pthread_mutex_lock(&run->lock);
    return &run->requests;
}

/* Let go, and wake the main loop. */
static void requests_unlock(struct machine *machine)
{
    struct machine_run *run = machine->run_private;
    uint64_t one = 1;

    pthread_mutex_unlock(&run->lock);
    /* Fails only when the counter is full, and then the loop is awake already. */
    if (write(run->wake_fd, &one, sizeof(one)) < 0) {
        assert(errno == EAGAIN);
    }
}

/*
 * The same, and no vCPU executes another instruction before the request is carried out: a guest
 * that powers off or resets is off or reset with the instruction that says so.
 */
static void requests_unlock_and_hold(struct machine *machine)
{
    __atomic_store_n(&machine->vcpus_held, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        vcpu_signal(machine->vcpus[i], VCPU_SIGNAL_EXIT);
    }
    requests_unlock(machine);
}

void machine_request_reset(struct machine *machine, bool from_guest)
{
    struct run_requests *requests = requests_lock(machine);

    if (!requests->reset) {
        requests->reset = true;
        requests->reset_from_guest = from_guest;
    }
    requests_unlock_and_hold(machine);
}

void machine_request_shutdown(struct machine *machine, enum shutdown_cause cause)
{
    struct run_requests *requests = requests_lock(machine);

    /* The first cause is told; but the user's word comes before the guest's. */
    if (!requests->shutdown ||
        (shutdown_causes[requests->cause].guest && !shutdown_causes[cause].guest)) {
        requests->shutdown = true;
        requests->cause = cause;
    }
    requests_unlock_and_hold(machine);
}

void machine_request_exit(struct machine *machine, int status)
{
    struct run_requests *requests = requests_lock(machine);

    if (!requests->exit) {
        requests->exit = true;
        requests->exit_status = status;
    }
    requests_unlock_and_hold(machine);
}

/* One that waits already is not called twice for the same; two different ones would be an error. */
void machine_request_call(struct machine *machine, void (*function)(void *opaque), void *opaque)
{
    struct run_requests *requests = requests_lock(machine);

    assert(!requests->call || requests->call == function);
    requests->call = function;
    requests->call_opaque = opaque;
    requests_unlock_and_hold(machine);
}

void machine_request_powerdown(struct machine *machine)
{
    requests_lock(machine)->powerdown = true;
    requests_unlock(machine);
}

void machine_report_panic(struct machine *machine, const char *message)
{
    struct run_requests *requests = requests_lock(machine);

    if (!requests->panic) {
        requests->panic = g_strdup(message);
    }
    requests_unlock_and_hold(machine);
}

void machine_report_internal_error(struct machine *machine, const char *message)
{
    struct run_requests *requests = requests_lock(machine);

    if (!requests->internal_error) {
        requests->internal_error = g_strdup(message);
    }
    requests_unlock_and_hold(machine);
}

void machine_post(struct machine *machine, struct io_task *task)
{
    struct machine_run *run = machine->run_private;

    task_queue_post(&run->tasks, task);
}

void machine_cancel(struct machine *machine, struct io_task *task)
{
    struct machine_run *run = machine->run_private;

    task_queue_cancel(&run->tasks, task);
}

/* The main loop's part. */

static void pause_vcpus(struct machine *machine)
{
    struct machine_run *run = machine->run_private;

    if (run->vcpus_run && machine->engine->pause) {
        machine->engine->pause(machine);
    }
    run->vcpus_run = false;
}

static void resume_vcpus(struct machine *machine)
{
    struct machine_run *run = machine->run_private;

    if (run->vcpus_run) {
        return;
    }
    run->vcpus_run = true;
    __atomic_store_n(&machine->vcpus_held, false, __ATOMIC_SEQ_CST);
    if (machine->engine->resume) {
        machine->engine->resume(machine);
    }
}

bool machine_hold_vcpus(struct machine *machine)
{
    bool hold = machine->state == RUN_STATE_RUNNING && machine->engine->pause;

    if (hold) {
        machine->engine->pause(machine);
    }
    return hold;
}

void machine_release_vcpus(struct machine *machine, bool held)
{
    /* A request that came meanwhile keeps them held: the main loop lets them go when it is done. */
    if (held && !__atomic_load_n(&machine->vcpus_held, __ATOMIC_SEQ_CST)) {
        machine->engine->resume(machine);
    }
}

static void set_clock_running(struct machine *machine, bool running)
{
    if (running) {
        machine_clock_start(machine->clock);
    } else {
        machine_clock_stop(machine->clock);
    }
    if (machine->engine->set_clock_running) {
        machine->engine->set_clock_running(machine, running);
    }
}

/* Its state is being read or written: it can neither run nor be reset. */
static bool is_in_transit(const struct machine *machine)
{
    return machine->state == RUN_STATE_INMIGRATE || machine->state == RUN_STATE_FINISH_MIGRATE ||
           machine->state == RUN_STATE_SAVE_VM;
}

void machine_start(struct machine *machine)
{
    if (machine->state == RUN_STATE_RUNNING || machine_needs_reset(machine) ||
        is_in_transit(machine)) {
        return;
    }
    machine->state = RUN_STATE_RUNNING;
    machine_emit_event(machine, "RESUME", NULL);
    set_clock_running(machine, true);
    tell_run_listeners(machine, true);
    resume_vcpus(machine);
}

bool machine_continue(struct machine *machine, GError **error)
{
    if (machine->state == RUN_STATE_INMIGRATE) {
        machine->config.start_paused = false;
        return true;
    }
    if (is_in_transit(machine)) {
        return duodm_fail(error, DUODM_ERROR_BUSY, "the machine's state is being sent");
    }
    if (machine_needs_reset(machine)) {
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "the machine is in state '%s' and must be reset first: send system_reset",
                          run_state_name(machine->state));
    }
    if (!block_activate(machine->blocks, error)) {
        return false;
    }
    machine_start(machine);
    return true;
}

void machine_stop(struct machine *machine, enum run_state state)
{
    if (machine->state != RUN_STATE_RUNNING) {
        return;
    }
    pause_vcpus(machine);
    tell_run_listeners(machine, false);
    set_clock_running(machine, false);
    machine->state = state;
    machine_emit_event(machine, "STOP", NULL);
}

static void reset_bus(struct bus *bus)
{
    for (unsigned i = 0; bus && i < bus->children->len; i++) {
        device_reset(g_ptr_array_index(bus->children, i));
    }
}

static void reset_vcpu(struct vcpu *vcpu)
{
    const uint32_t guest_signals = VCPU_SIGNAL_INTERRUPT | VCPU_SIGNAL_NMI | VCPU_SIGNAL_INIT |
                                   VCPU_SIGNAL_STARTUP | VCPU_SIGNAL_SMI;

    if (vcpu->apic) {
        local_apic_reset(vcpu->apic, false);
    }
    /* What was under way to the CPU before the reset does not arrive after it. */
    __atomic_fetch_and(&vcpu->signals, ~guest_signals, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->nmi_count, 0, __ATOMIC_SEQ_CST);
    vcpu->machine->engine->reset_vcpu(vcpu);
}

/* With the vCPUs paused. Devices first: their interrupt lines fall, which an interrupt controller
 * that is reset later forgets; then CPUs; then who loads a kernel or firmware anew. */
static void reset_all(struct machine *machine)
{
    for (unsigned i = machine->device_buses->len; i-- > 0;) {
        reset_bus(g_ptr_array_index(machine->device_buses, i));
    }
    reset_bus(machine->pci_bus);
    reset_bus(machine->isa_bus);
    reset_bus(machine->system_bus);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        reset_vcpu(machine->vcpus[i]);
    }
    machine_call_reset_handlers(machine);
}

static void reset_paused(struct machine *machine, bool from_guest)
{
    reset_all(machine);
    log_item(LOG_RESET, "machine reset by %s\n", from_guest ? "guest" : "host");
    emit_cause(machine, "RESET", from_guest,
               from_guest ? "guest-reset" : shutdown_causes[SHUTDOWN_HOST_QMP_RESET].reason);
    if (machine->state != RUN_STATE_RUNNING) {
        machine->state = RUN_STATE_PRELAUNCH;
    }
}

void machine_reset(struct machine *machine)
{
    pause_vcpus(machine);
    reset_paused(machine, false);
    if (machine->state == RUN_STATE_RUNNING) {
        resume_vcpus(machine);
    }
}

void machine_reset_to_wake(struct machine *machine)
{
    machine->wakes = true;
    machine_reset(machine);
    machine->wakes = false;
}

static void end_run(struct machine *machine, int status)
{
    machine->exit_status = status;
    machine->quit = true;
    event_base_loopbreak(machine->base);
}

/* Returns whether the vCPUs may go on. */
static bool handle_shutdown(struct machine *machine, enum shutdown_cause cause)
{
    emit_cause(machine, "SHUTDOWN", shutdown_causes[cause].guest, shutdown_causes[cause].reason);
    if (machine->engine->end_guest && shutdown_causes[cause].guest) {
        machine->engine->end_guest(machine, false);
        return true; /* who owns the guest ends us, too */
    }
    if (machine->config.no_shutdown && shutdown_causes[cause].guest) {
        machine_stop(machine, RUN_STATE_SHUTDOWN);
        return false;
    }
    end_run(machine, 0);
    return false;
}

static void handle_panic(struct machine *machine, const char *message)
{
    log_warning("%s", message);
    machine_emit_event(machine, "GUEST_PANICKED", "{\"action\": \"pause\"}");
    machine_stop(machine, RUN_STATE_GUEST_PANICKED);
}

static void handle_internal_error(struct machine *machine, const char *message)
{
    log_warning("%s", message);
    machine_stop(machine, RUN_STATE_INTERNAL_ERROR);
}

static void handle_powerdown(struct machine *machine)
{
    struct machine_run *run = machine->run_private;

    machine_emit_event(machine, "POWERDOWN", NULL);
    if (run->powerdown) {
        run->powerdown(run->powerdown_opaque);
    }
}

/* With the vCPUs paused. The order matters when several wait: what ends the machine goes first. */
static void handle_requests(struct machine *machine, struct run_requests *requests)
{
    if (requests->exit) {
        end_run(machine, requests->exit_status);
        return;
    }
    if (requests->reset && machine->config.no_reboot && !requests->shutdown) {
        requests->reset = false;
        requests->shutdown = true;
        requests->cause =
            requests->reset_from_guest ? SHUTDOWN_GUEST_RESET : SHUTDOWN_HOST_QMP_RESET;
    }
    if (requests->shutdown && !handle_shutdown(machine, requests->cause)) {
        return;
    }
    if (requests->call) {
        requests->call(requests->call_opaque);
    }
    if (requests->panic) {
        handle_panic(machine, requests->panic);
    }
    if (requests->internal_error) {
        handle_internal_error(machine, requests->internal_error);
    }
    if (requests->reset && machine->engine->end_guest) {
        machine->engine->end_guest(machine, true);
    } else if (requests->reset && !is_in_transit(machine)) {
        reset_paused(machine, requests->reset_from_guest);
    }
    if (requests->powerdown) {
        handle_powerdown(machine);
    }
}

static void clear_requests(struct run_requests *requests)
{
    g_free(requests->panic);
    g_free(requests->internal_error);
}

static void on_wake(evutil_socket_t fd, short events, void *opaque)
{
    struct machine *machine = opaque;
    struct machine_run *run = machine->run_private;
    struct run_requests requests;
    uint64_t count;

    /* Nonblocking; nothing to read means that an earlier round took this request too. */
    if (read(fd, &count, sizeof(count)) < 0) {
        assert(errno == EAGAIN || errno == EINTR);
    }
    pthread_mutex_lock(&run->lock);
    requests = run->requests;
    run->requests = (struct run_requests){0};
    pthread_mutex_unlock(&run->lock);

    if (machine->quit) {
        clear_requests(&requests);
        return;
    }
    pause_vcpus(machine);
    handle_requests(machine, &requests);
    clear_requests(&requests);
    if (machine->state == RUN_STATE_RUNNING && !machine->quit) {
        resume_vcpus(machine);
    }
}

static void receive_state(struct machine *machine)
{
    g_autoptr(GError) error = NULL;

    if (!migration_receive(machine->migration, machine->config.incoming, &error)) {
        log_error("-incoming: %s", error->message);
        end_run(machine, 1);
    }
}

int machine_run(struct machine *machine)
{
    if (machine->quit) {
        return machine->exit_status;
    }
    if (machine->state == RUN_STATE_PRELAUNCH) {
        reset_all(machine);
        if (!machine->config.start_paused) {
            machine_start(machine);
        }
    } else if (machine->state == RUN_STATE_INMIGRATE) {
        reset_all(machine);
        receive_state(machine);
    }
    /* loopbreak ends one dispatch; one that was asked for before the loop began is not seen. */
    while (!machine->quit) {
        if (event_base_dispatch(machine->base) < 0) {
            log_error("the event loop failed: %s", strerror(errno));
            end_run(machine, 1);
        }
    }
    machine_run_stop(machine);
    return machine->exit_status;
}

void machine_run_stop(struct machine *machine)
{
    if (machine->state != RUN_STATE_RUNNING) {
        return;
    }
    pause_vcpus(machine);
    tell_run_listeners(machine, false);
    machine_clock_stop(machine->clock);
    machine->state = RUN_STATE_SHUTDOWN;
}

bool machine_run_init(struct machine *machine, GError **error)
{
    struct machine_run *run = g_new0(struct machine_run, 1);

    run->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (run->wake_fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "no event descriptor for the main loop: %s",
                   g_strerror(errno));
        goto fail;
    }
    run->wake = event_new(machine->base, run->wake_fd, EV_READ | EV_PERSIST, on_wake, machine);
    if (!run->wake || event_add(run->wake, NULL) < 0) {
        duodm_fail(error, DUODM_ERROR_FAILED, "the main loop takes no event for requests");
        goto fail_fd;
    }
    if (!task_queue_init(&run->tasks, machine->base)) {
        duodm_fail(error, DUODM_ERROR_IO, "no event descriptor for the main loop: %s",
                   g_strerror(errno));
        goto fail_fd;
    }
    pthread_mutex_init(&run->lock, NULL);
    run->listeners = g_array_new(FALSE, FALSE, sizeof(struct event_listener));
    run->run_listeners = g_array_new(FALSE, FALSE, sizeof(struct run_listener));
    machine->run_private = run;
    return true;

fail_fd:
    if (run->wake) {
        event_free(run->wake);
    }
    close(run->wake_fd);
fail:
    g_free(run);
    return false;
}

void machine_run_destroy(struct machine *machine)
{
    struct machine_run *run = machine->run_private;

    task_queue_destroy(&run->tasks);
    event_free(run->wake);
    close(run->wake_fd);
    g_array_unref(run->listeners);
    clear_requests(&run->requests);
    g_array_unref(run->run_listeners);
    pthread_mutex_destroy(&run->lock);
    g_free(run);
    machine->run_private = NULL;
}
