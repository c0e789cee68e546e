/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sending and receiving share: the thread, its questions to the main loop, and what is told.
 */
#include "dm/snapshot/migration-private.h"
#include "util/error.h"
#include "util/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const char *const status_names[] = {
    [MIGRATION_NONE] = "none",           [MIGRATION_SETUP] = "setup",
    [MIGRATION_ACTIVE] = "active",       [MIGRATION_DEVICE] = "device",
    [MIGRATION_COMPLETED] = "completed", [MIGRATION_FAILED] = "failed",
    [MIGRATION_CANCELLED] = "cancelled",
};

struct migration *migration_new(struct machine *machine)
{
    struct migration *migration = g_new0(struct migration, 1);

    migration->machine = machine;
    migration->parameters.downtime_limit = 300;
    migration->address.fd = -1;
    migration->channel.cancel_fd = -1;
    migration->state = g_byte_array_new();
    pthread_mutex_init(&migration->lock, NULL);
    pthread_cond_init(&migration->answered, NULL);
    return migration;
}

void migration_free(struct migration *migration)
{
    if (!migration) {
        return;
    }
    migration_join(migration);
    migration_set_logging(migration, false);
    migration_address_clear(&migration->address);
    g_clear_error(&migration->error);
    g_clear_error(&migration->thread_error);
    g_byte_array_unref(migration->state);
    pthread_cond_destroy(&migration->answered);
    pthread_mutex_destroy(&migration->lock);
    g_free(migration);
}

struct migration_parameters *migration_parameters(struct migration *migration)
{
    return &migration->parameters;
}

void migration_set_status(struct migration *migration, enum migration_status status)
{
    __atomic_store_n(&migration->status, status, __ATOMIC_SEQ_CST);
    if (migration->parameters.events) {
        g_autofree char *data = g_strdup_printf("{\"status\": \"%s\"}", status_names[status]);

        machine_emit_event(migration->machine, "MIGRATION", data);
    }
}

/* The thread. */

bool migration_begin_thread(struct migration *migration, void *(*run)(void *opaque),
                            void (*done)(void *opaque), GError **error)
{
    sigset_t signals;
    int result;

    migration->channel = (struct snapshot_channel){
        .fd = migration->address.fd,
        .cancel_fd = eventfd(0, EFD_CLOEXEC),
    };
    if (migration->channel.cancel_fd < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "eventfd: %s", g_strerror(errno));
    }
    migration->has_answer = migration->must_end = migration->finished = false;
    migration->cancelled = false;
    migration->done = (struct io_task){.run = done, .opaque = migration};
    thread_block_signals(&signals);
    result = pthread_create(&migration->thread, NULL, run, migration);
    thread_restore_signals(&signals);
    if (result) {
        close(migration->channel.cancel_fd);
        migration->channel.cancel_fd = -1;
        return duodm_fail(error, DUODM_ERROR_FAILED, "no thread for the migration: %s",
                          g_strerror(result));
    }
    pthread_setname_np(migration->thread, "migration");
    migration->has_thread = true;
    return true;
}

/* Make it end, whatever it waits for. */
void migration_join(struct migration *migration)
{
    if (!migration->has_thread) {
        return;
    }
    eventfd_write(migration->channel.cancel_fd, 1);
    pthread_mutex_lock(&migration->lock);
    migration->must_end = true;
    pthread_cond_broadcast(&migration->answered);
    pthread_mutex_unlock(&migration->lock);
    pthread_join(migration->thread, NULL);
    migration->has_thread = false;
    machine_cancel(migration->machine, &migration->task);
    machine_cancel(migration->machine, &migration->done);
    close(migration->channel.cancel_fd);
    migration->channel.cancel_fd = -1;
}

bool migration_ask(struct migration *migration, void (*run)(void *opaque))
{
    bool answer;

    pthread_mutex_lock(&migration->lock);
    migration->has_answer = false;
    migration->task = (struct io_task){.run = run, .opaque = migration};
    machine_post(migration->machine, &migration->task);
    while (!migration->has_answer && !migration->must_end) {
        pthread_cond_wait(&migration->answered, &migration->lock);
    }
    answer = migration->has_answer && migration->answer;
    pthread_mutex_unlock(&migration->lock);
    return answer;
}

void migration_answer(struct migration *migration, bool answer)
{
    pthread_mutex_lock(&migration->lock);
    migration->has_answer = true;
    migration->answer = answer;
    pthread_cond_broadcast(&migration->answered);
    pthread_mutex_unlock(&migration->lock);
}

/* query-migrate. */

static json_int_t number(const uint64_t *counter)
{
    return (json_int_t)__atomic_load_n(counter, __ATOMIC_RELAXED);
}

static json_t *memory_counters(struct migration *migration)
{
    const struct migration_counters *counters = &migration->counters;
    json_int_t pages = number(&counters->pages);
    double seconds = (double)number(&counters->pass_ns) / 1e9;
    double bits = (double)number(&counters->pass_bytes) * 8;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:i}", "total",
                     number(&counters->total), "remaining", number(&counters->remaining),
                     "transferred", number(&migration->channel.bytes), "duplicate",
                     number(&counters->zero_pages), "normal", pages, "normal-bytes",
                     pages * SNAPSHOT_PAGE, "dirty-sync-count", number(&counters->passes), "mbps",
                     seconds > 0 ? bits / seconds / 1e6 : 0.0, "page-size", (int)SNAPSHOT_PAGE);
}

static uint64_t milliseconds_between(uint64_t from, uint64_t to)
{
    uint64_t end = to ? to : (uint64_t)g_get_monotonic_time() * 1000;

    return from && end > from ? (end - from) / 1000000 : 0;
}

json_t *migration_query(struct migration *migration)
{
    const struct migration_counters *counters = &migration->counters;
    json_t *reply;

    if (migration->status == MIGRATION_NONE) {
        return json_object();
    }
    reply = json_pack("{s:s}", "status", status_names[migration->status]);
    if (migration->is_incoming) {
        return reply;
    }
    json_object_set_new(
        reply, "total-time",
        json_integer((json_int_t)milliseconds_between(counters->started, counters->ended)));
    json_object_set_new(reply, "ram", memory_counters(migration));
    if (migration->status == MIGRATION_COMPLETED) {
        json_object_set_new(
            reply, "downtime",
            json_integer((json_int_t)milliseconds_between(counters->stopped, counters->ended)));
    }
    if (migration->error) {
        json_object_set_new(reply, "error-desc", json_string(migration->error->message));
    }
    return reply;
}
