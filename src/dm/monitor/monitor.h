/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitors of a machine: QMP ("control", JSON for programs) and HMP ("human", lines for
 * people). All run in the main loop. machine->monitor holds their state.
 */
#ifndef DUODM_DM_MONITOR_MONITOR_H
#define DUODM_DM_MONITOR_MONITOR_H

#include <glib.h>
#include <stdbool.h>

struct chardev;
struct machine;

/* QMP on a chardev. Where that is a listening socket, any number of clients may connect (up to a
 * bound), each with its own session. */
bool monitor_add_control(struct machine *machine, struct chardev *chardev, bool is_pretty,
                         GError **error);
bool monitor_add_human(struct machine *machine, struct chardev *chardev, GError **error);
/* End all sessions. The chardevs stay, but for those of single clients. */
void monitor_free(struct machine *machine);

#endif
