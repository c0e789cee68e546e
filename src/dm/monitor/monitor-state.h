/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of monitor/ only: what machine->monitor points to. */
#ifndef DUODM_DM_MONITOR_MONITOR_STATE_H
#define DUODM_DM_MONITOR_MONITOR_STATE_H

#include "dm/monitor/monitor.h"

struct event;
struct human_session;
struct qmp_session;

struct monitor_state {
    struct machine *machine;
    GPtrArray *controls; /* of struct qmp_session */
    GPtrArray *humans;   /* of struct human_session */
    struct event *reap;  /* sessions whose client has gone are freed by it */
};

/* qmp-server.c. is_owned: the chardev is a single client's, and freed with the session. */
struct qmp_session *qmp_session_new(struct monitor_state *monitor, struct chardev *chardev,
                                    bool is_owned, bool is_pretty, GError **error);
void qmp_session_free(struct qmp_session *session);
/* Its client has gone, or must go. */
bool qmp_session_is_dead(const struct qmp_session *session);
/* event as QMP names it; json_data: its data, or NULL. */
void qmp_session_send_event(struct qmp_session *session, const char *event, const char *json_data);

/* human-session.c */
struct human_session *human_session_new(struct machine *machine, struct chardev *chardev,
                                        GError **error);
void human_session_free(struct human_session *session);

#endif
