/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What QMP and HMP both do to the network. Main loop. */
#ifndef DUODM_DM_MONITOR_NET_CONTROL_H
#define DUODM_DM_MONITOR_NET_CONTROL_H

#include <glib.h>
#include <stdbool.h>

struct machine;

/* Plug or pull the cable of a card, or of a back end. */
bool net_control_set_link(struct machine *machine, const char *name, bool up, GError **error);
bool net_control_remove(struct machine *machine, const char *id, GError **error);

#endif
