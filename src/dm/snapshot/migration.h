/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole machine, memory and all, into a stream (QMP migrate) and out of one (-incoming): to a
 * file and later back, or straight to another duodm. One at a time. Main loop, unless said
 * otherwise; what takes long is done by a thread of its own.
 *
 * Where it goes to or comes from:
 *
 *     file:PATH        fd:NAME (getfd's; -incoming: a number)      exec:COMMAND
 *     unix:PATH        tcp:HOST:PORT (-incoming: listens)
 *
 * While the machine runs, pages that it writes are sent again and again, until the rest can be sent
 * within downtime_limit; then it stops, the rest and the devices follow, and its images are left to
 * the receiver. It stays here in state postmigrate; `cont` takes the images back.
 */
#ifndef DUODM_DM_SNAPSHOT_MIGRATION_H
#define DUODM_DM_SNAPSHOT_MIGRATION_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct machine;
struct migration;

struct migration_parameters {
    uint64_t max_bandwidth;  /* bytes per second while the machine runs; 0: no limit */
    uint64_t downtime_limit; /* ms */
    bool events;             /* QMP hears of each change of status */
};

struct migration *migration_new(struct machine *machine);
/* Ends what is under way. NULL is fine. */
void migration_free(struct migration *migration);
struct migration_parameters *migration_parameters(struct migration *migration);

/* Begin to send the machine. False: it did not begin. How it ends, migration_query tells. */
bool migration_start(struct migration *migration, const char *uri, GError **error);
/* Is the machine being sent? Then no device may come or go: the receiver has what there was. */
bool migration_is_sending(const struct migration *migration);
/* Have duodm's writes to memory noted, or no longer: for whoever sends it. Where the engine has the
 * memory, it hears of them (struct ram_windows). */
void migration_set_logging(struct migration *migration, bool on);
/* Give up what was begun; the machine goes on here. Nothing to do: nothing happens. */
void migration_cancel(struct migration *migration);
/* As query-migrate. New reference. */
json_t *migration_query(struct migration *migration);

/*
 * Begin to receive, into a machine in RUN_STATE_INMIGRATE. When all is there it runs, or pauses
 * (-S, or it was saved paused). What fails later ends the process with exit status 1 and a message,
 * for nothing else is to be had of such a machine. "defer" does nothing: migrate-incoming follows.
 */
bool migration_receive(struct migration *migration, const char *uri, GError **error);

/* Only devices and vCPUs (device-state.h), to and from a file: xen-save-devices-state,
 * xen-load-devices-state. Whoever saves with leave_images may let another process go on with the
 * images, if the machine was not running. */
bool migration_save_devices(struct machine *machine, const char *path, bool leave_images,
                            GError **error);
bool migration_load_devices(struct machine *machine, const char *path, GError **error);

#endif
