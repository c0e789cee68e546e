/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a whole machine but its memory: clock, devices, vCPUs, as one run of state sections
 * (dm/state.h). This is what a toolstack gets that keeps the guest's memory itself (Xen's), and the
 * last part of a snapshot or migration (migration.h).
 *
 * The first section ("machine") says which machine it is and how many sections and bytes there are.
 * Others are found by their names, whatever their order. Nothing is optional: a section too few or
 * too many is an error.
 */
#ifndef DUODM_DM_SNAPSHOT_DEVICE_STATE_H
#define DUODM_DM_SNAPSHOT_DEVICE_STATE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

#define DEVICE_STATE_MAX (64u << 20) /* bytes that a loader takes */

/* Append the state of all of the machine. Paused, main loop. was_running: what the loader is told.
 */
bool device_state_save(struct machine *machine, bool was_running, GByteArray *stream,
                       GError **error);
/* Could it be saved, as far as its devices go? */
bool device_state_check_saved(const struct machine *machine, GError **error);
/*
 * All or nothing: the whole stream is checked before anything is touched, and if a device, vCPU or
 * engine then refuses what it got, all that was loaded gets back what it was. The error names
 * device and field. *was_running: as the saver said. Paused, main loop.
 */
bool device_state_load(struct machine *machine, const uint8_t *stream, size_t length,
                       bool *was_running, GError **error);

#endif
