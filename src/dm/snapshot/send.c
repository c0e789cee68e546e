/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending a machine. What concerns the machine itself is done by the main loop, when asked. */
#include "dm/block/block.h"
#include "dm/snapshot/device-state.h"
#include "dm/snapshot/migration-private.h"
#include "util/error.h"
#include "util/log.h"

#include <inttypes.h>

#define PASSES_MAX 30 /* then it stops, however much is left: no guest may keep us for ever */

static uint64_t now(void)
{
    return (uint64_t)g_get_monotonic_time() * 1000;
}

/* In the main loop. */

void migration_set_logging(struct migration *migration, bool on)
{
    struct machine *machine = migration->machine;
    /* A vCPU of tcg that executes meanwhile would write past the log for a moment. */
    bool held = machine_hold_vcpus(machine);

    for (unsigned i = 0; migration->logging != on && i < snapshot_block_count(machine); i++) {
        if (on) {
            memory_region_dirty_log_start(snapshot_block(machine, i), DIRTY_MIGRATION);
        } else {
            memory_region_dirty_log_stop(snapshot_block(machine, i), DIRTY_MIGRATION);
        }
    }
    migration->logging = on;
    machine_release_vcpus(machine, held);
}

static void begin_active(void *opaque)
{
    struct migration *migration = opaque;

    migration_set_logging(migration, true);
    migration_set_status(migration, MIGRATION_ACTIVE);
    migration_answer(migration, true);
}

/* As it was before stop_machine. */
static void resume_machine(struct migration *migration)
{
    struct machine *machine = migration->machine;
    g_autoptr(GError) error = NULL;

    if (!migration->is_stopped) {
        return;
    }
    migration->is_stopped = false;
    if (!block_activate(machine->blocks, &error)) {
        log_warning("the machine stays paused: %s", error->message);
        machine->state = RUN_STATE_PAUSED;
        return;
    }
    if (migration->state_before == RUN_STATE_RUNNING) {
        machine->state = RUN_STATE_PAUSED;
        machine_start(machine);
    } else {
        machine->state = migration->state_before;
    }
}

static void stop_machine(void *opaque)
{
    struct migration *migration = opaque;
    struct machine *machine = migration->machine;
    bool good;

    /* A reset, say, that the guest asked for with its last instruction comes first. */
    if (machine->state == RUN_STATE_RUNNING &&
        __atomic_load_n(&machine->vcpus_held, __ATOMIC_SEQ_CST)) {
        machine_post(machine, &migration->task);
        return;
    }
    migration_set_status(migration, MIGRATION_DEVICE);
    migration->counters.stopped = now();
    migration->state_before = machine->state;
    machine_stop(machine, RUN_STATE_FINISH_MIGRATE);
    machine->state = RUN_STATE_FINISH_MIGRATE;
    migration->is_stopped = true;
    g_byte_array_set_size(migration->state, 0);
    good = device_state_save(machine, migration->state_before == RUN_STATE_RUNNING,
                             migration->state, &migration->thread_error) &&
           block_inactivate(machine->blocks, &migration->thread_error);
    migration_answer(migration, good);
}

static void finish(void *opaque)
{
    struct migration *migration = opaque;
    bool good;

    migration_join(migration);
    good = migration->finished; /* what is complete is complete, even if it was to be cancelled */
    migration_set_logging(migration, false);
    migration_address_clear(&migration->address);
    migration->counters.ended = now();
    g_byte_array_set_size(migration->state, 0);
    if (good) {
        migration->machine->state = RUN_STATE_POSTMIGRATE;
        migration->is_stopped = false;
        migration_set_status(migration, MIGRATION_COMPLETED);
        return;
    }
    resume_machine(migration);
    if (migration->cancelled) {
        g_clear_error(&migration->thread_error);
    } else {
        g_propagate_error(&migration->error, g_steal_pointer(&migration->thread_error));
    }
    migration_set_status(migration, migration->cancelled ? MIGRATION_CANCELLED : MIGRATION_FAILED);
}

/* In the thread. */

/* Could what is dirty be sent within the downtime that is allowed? */
static bool is_little(struct migration *migration)
{
    const struct migration_counters *counters = &migration->counters;
    uint64_t limit_ms = __atomic_load_n(&migration->parameters.downtime_limit, __ATOMIC_RELAXED);
    uint64_t dirty = migration_count_dirty(migration);
    double rate = (double)MAX(counters->pass_bytes, 1) / (double)MAX(counters->pass_ns, 1);

    __atomic_store_n(&migration->counters.remaining, dirty, __ATOMIC_RELAXED);
    return (double)dirty / rate <= (double)limit_ms * 1e6;
}

/* A machine that stands has written nothing when the first pass is over. */
static bool send_running(struct migration *migration, GError **error)
{
    struct machine *machine = migration->machine;
    bool all = true;

    for (unsigned pass = 0; pass < PASSES_MAX; pass++) {
        if (!migration_send_memory(migration, all, error)) {
            return false;
        }
        all = false;
        address_space_sync_dirty_log(&machine->as_memory);
        if (is_little(migration)) {
            break;
        }
    }
    return true;
}

static bool send_rest(struct migration *migration, GError **error)
{
    address_space_sync_dirty_log(&migration->machine->as_memory);
    return migration_send_memory(migration, false, error) &&
           snapshot_write(&migration->channel, SNAPSHOT_STATE, 0, migration->state->data,
                          migration->state->len, error) &&
           snapshot_write(&migration->channel, SNAPSHOT_END, 0, NULL, 0, error);
}

static bool send(struct migration *migration, GError **error)
{
    if (!migration_address_connect(&migration->address, migration->channel.cancel_fd, error)) {
        return false;
    }
    migration->channel.fd = migration->address.fd;
    return migration_ask(migration, begin_active) && migration_send_head(migration, error) &&
           send_running(migration, error) && migration_ask(migration, stop_machine) &&
           send_rest(migration, error) &&
           migration_address_finish(&migration->address, migration->channel.cancel_fd, error);
}

static void *run(void *opaque)
{
    struct migration *migration = opaque;

    migration->finished = send(migration, &migration->thread_error);
    machine_post(migration->machine, &migration->done);
    return NULL;
}

/* Calls from outside. */

static bool check_machine(const struct migration *migration, GError **error)
{
    const struct machine *machine = migration->machine;

    if (migration->has_thread) {
        return duodm_fail(error, DUODM_ERROR_BUSY, "a migration is under way already");
    }
    if (machine->state == RUN_STATE_INMIGRATE || machine->state == RUN_STATE_POSTMIGRATE) {
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "the machine is in state '%s': there is nothing to send",
                          run_state_name(machine->state));
    }
    return memory_region_host_pointer(snapshot_block(machine, 0)) ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "under engine '%s' the guest's memory is not duodm's to send: use "
                      "xen-save-devices-state",
                      machine->engine->name);
}

bool migration_start(struct migration *migration, const char *uri, GError **error)
{
    if (!check_machine(migration, error) || !device_state_check_saved(migration->machine, error) ||
        !migration_address_open(&migration->address, migration->machine, uri, true, error)) {
        return false;
    }
    g_clear_error(&migration->error);
    migration->is_incoming = false;
    migration->counters = (struct migration_counters){.started = now()};
    for (unsigned i = 0; i < snapshot_block_count(migration->machine); i++) {
        migration->counters.total += snapshot_block(migration->machine, i)->size;
    }
    migration->counters.remaining = migration->counters.total;
    migration_set_status(migration, MIGRATION_SETUP);
    if (!migration_begin_thread(migration, run, finish, error)) {
        migration_address_clear(&migration->address);
        migration_set_status(migration, MIGRATION_FAILED);
        return false;
    }
    return true;
}

bool migration_is_sending(const struct migration *migration)
{
    return migration->has_thread && !migration->is_incoming;
}

void migration_cancel(struct migration *migration)
{
    if (migration_is_sending(migration)) {
        migration->cancelled = true;
        finish(migration);
    }
}
