/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving a machine. The thread reads memory straight into its place, for nobody uses it yet;
 * devices and vCPUs are loaded by the main loop when all is there.
 */
#include "dm/block/block.h"
#include "dm/fd-set.h"
#include "dm/net/nic.h"
#include "dm/snapshot/device-state.h"
#include "dm/snapshot/migration-private.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define HEAD_MAX 65536u /* bytes of SNAPSHOT_HEAD's payload, and of others that are small */

/* In the main loop. */

/* The first time it runs here, the network hears that the machine has moved. */
static void on_run(void *opaque, bool running)
{
    struct migration *migration = opaque;

    if (running && migration->must_announce) {
        migration->must_announce = false;
        nic_announce_all(migration->machine);
    }
}

static bool settle(struct migration *migration, GError **error)
{
    struct machine *machine = migration->machine;
    bool was_running;

    if (!device_state_load(machine, migration->state->data, migration->state->len, &was_running,
                           error) ||
        !block_activate(machine->blocks, error)) {
        return false;
    }
    machine->state = RUN_STATE_PAUSED;
    migration->must_announce = true;
    machine_add_run_listener(machine, on_run, migration);
    if ((was_running || migration->devices_only) && !machine->config.start_paused) {
        machine_start(machine);
    }
    return true;
}

static void finish(void *opaque)
{
    struct migration *migration = opaque;

    migration_join(migration);
    migration_address_clear(&migration->address);
    if (migration->finished && settle(migration, &migration->thread_error)) {
        migration_set_status(migration, MIGRATION_COMPLETED);
    } else {
        migration_set_status(migration, MIGRATION_FAILED);
        log_error("the machine's state could not be loaded: %s", migration->thread_error->message);
        machine_request_exit(migration->machine, 1);
    }
    g_byte_array_set_size(migration->state, 0);
}

/* In the thread. */

static bool read_small(struct migration *migration, const struct snapshot_record *record,
                       uint32_t most, GByteArray *payload, GError **error)
{
    if (record->length > most) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine's state has a record of %u bytes, which is too much",
                          record->length);
    }
    g_byte_array_set_size(payload, record->length);
    return snapshot_read(&migration->channel, payload->data, record->length, error) &&
           snapshot_check_payload(record, payload->data, error);
}

/* One record after HEAD; *end: it was the last. */
static bool receive_record(struct migration *migration, GByteArray *payload, bool *end,
                           GError **error)
{
    struct machine *machine = migration->machine;
    struct snapshot_record record;

    if (!snapshot_read_record(&migration->channel, &record, error)) {
        return false;
    }
    switch (record.type) {
    case SNAPSHOT_PAGES:
        return snapshot_receive_pages(machine, &migration->channel, &record, error);
    case SNAPSHOT_ZEROES:
        return read_small(migration, &record, HEAD_MAX, payload, error) &&
               snapshot_receive_zeroes(machine, &record, payload->data, error);
    case SNAPSHOT_STATE:
        return read_small(migration, &record, DEVICE_STATE_MAX, migration->state, error);
    case SNAPSHOT_END:
        *end = true;
        return true;
    default:
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the machine's state has a record of unknown kind %u", record.type);
    }
}

static bool receive_whole(struct migration *migration, const struct snapshot_record *head,
                          GError **error)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();
    bool end = false;

    if (head->argument > SNAPSHOT_VERSION) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "the machine was saved in version %" G_GUINT64_FORMAT
                          " of the format, this duodm reads up to %u",
                          head->argument, SNAPSHOT_VERSION);
    }
    if (!read_small(migration, head, HEAD_MAX, payload, error) ||
        !snapshot_receive_head(migration->machine, payload->data, payload->len, error)) {
        return false;
    }
    while (!end) {
        if (!receive_record(migration, payload, &end, error)) {
            return false;
        }
    }
    return true;
}

/* Up to the end of input, onto state. */
static bool read_to_end(struct snapshot_channel *channel, GByteArray *state, GError **error)
{
    uint8_t buffer[4096];
    ssize_t got;

    while ((got = snapshot_read_some(channel, buffer, sizeof(buffer), error)) > 0) {
        if (state->len > DEVICE_STATE_MAX) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "the state of devices does not end after %u MiB",
                              DEVICE_STATE_MAX >> 20);
        }
        g_byte_array_append(state, buffer, (guint)got);
    }
    return got == 0;
}

bool migration_read(struct migration *migration, GError **error)
{
    struct snapshot_channel *channel = &migration->channel;
    uint8_t head[SNAPSHOT_RECORD_SIZE];
    struct snapshot_record record;

    g_byte_array_set_size(migration->state, 0);
    if (!snapshot_read(channel, head, sizeof(head), error)) {
        return false;
    }
    if (load_le32(head) == SNAPSHOT_HEAD) {
        return snapshot_parse_record(head, &record, error) &&
               receive_whole(migration, &record, error);
    }
    migration->devices_only = true;
    g_byte_array_append(migration->state, head, sizeof(head));
    return read_to_end(channel, migration->state, error);
}

static bool receive(struct migration *migration, GError **error)
{
    if (!migration_address_connect(&migration->address, migration->channel.cancel_fd, error)) {
        return false;
    }
    migration->channel.fd = migration->address.fd;
    return migration_read(migration, error) &&
           migration_address_finish(&migration->address, migration->channel.cancel_fd, error);
}

static void *run(void *opaque)
{
    struct migration *migration = opaque;

    migration->finished = receive(migration, &migration->thread_error);
    machine_post(migration->machine, &migration->done);
    return NULL;
}

/* Calls from outside. */

static bool begin(struct migration *migration, const char *uri, GError **error)
{
    if (!migration_address_open(&migration->address, migration->machine, uri, false, error)) {
        return false;
    }
    migration->is_incoming = true;
    migration_set_status(migration, MIGRATION_ACTIVE);
    if (!migration_begin_thread(migration, run, finish, error)) {
        migration_address_clear(&migration->address);
        migration_set_status(migration, MIGRATION_FAILED);
        return false;
    }
    return true;
}

bool migration_receive(struct migration *migration, const char *uri, GError **error)
{
    if (g_str_equal(uri, "defer")) {
        return true;
    }
    if (migration->machine->state != RUN_STATE_INMIGRATE || migration->has_thread) {
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "the machine does not wait for its state: start duodm with -incoming "
                          "defer, and receive once");
    }
    return begin(migration, uri, error);
}

/* Devices only, at once. */

static bool save_to_file(struct machine *machine, bool was_running, const char *path,
                         GError **error)
{
    g_autoptr(GByteArray) state = g_byte_array_new();

    return device_state_save(machine, was_running, state, error) &&
           fd_registry_write(machine->fds, path, 0600, state->data, state->len, error);
}

bool migration_save_devices(struct machine *machine, const char *path, bool leave_images,
                            GError **error)
{
    bool was_running = machine->state == RUN_STATE_RUNNING, good;

    if (machine->state == RUN_STATE_INMIGRATE || machine->state == RUN_STATE_FINISH_MIGRATE) {
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "the machine's state is in transit: there is nothing to save");
    }
    machine_stop(machine, RUN_STATE_SAVE_VM);
    good = save_to_file(machine, was_running, path, error);
    if (was_running) {
        machine->state = RUN_STATE_PAUSED;
        machine_start(machine);
        return good;
    }
    return good && (!leave_images || block_inactivate(machine->blocks, error));
}

bool migration_load_devices(struct machine *machine, const char *path, GError **error)
{
    g_autoptr(GByteArray) state = g_byte_array_new();
    struct snapshot_channel channel = {.cancel_fd = -1};
    bool was_running, good;

    if (machine->state == RUN_STATE_RUNNING || machine->state == RUN_STATE_FINISH_MIGRATE) {
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "state is loaded into a machine that stands still: stop it first");
    }
    channel.fd = fd_registry_open(machine->fds, path, O_RDONLY, 0);
    if (channel.fd < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "'%s' can't be opened: %s", path,
                          g_strerror(errno));
    }
    good = read_to_end(&channel, state, error);
    close(channel.fd);
    return good && device_state_load(machine, state->data, state->len, &was_running, error);
}
