/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sessions of a machine, and the events that go to all of them. */
#include "dm/monitor/monitor.h"
#include "dm/chardev.h"
#include "dm/machine.h"
#include "dm/monitor/monitor-state.h"
#include "util/error.h"
#include "util/log.h"

#include <event2/event.h>

#define MAX_CLIENTS 16 /* of all QMP sockets together */

/* A listening socket: what its clients' sessions are like. */
struct control_listener {
    struct monitor_state *monitor;
    bool is_pretty;
};

static void send_event(void *opaque, const char *event, const char *json_data)
{
    struct machine *machine = opaque;
    struct monitor_state *monitor = machine->monitor;

    for (unsigned i = 0; monitor && i < monitor->controls->len; i++) {
        qmp_session_send_event(g_ptr_array_index(monitor->controls, i), event, json_data);
    }
}

static void reap(evutil_socket_t fd, short what, void *opaque)
{
    struct monitor_state *monitor = opaque;

    for (unsigned i = monitor->controls->len; i-- > 0;) {
        if (qmp_session_is_dead(g_ptr_array_index(monitor->controls, i))) {
            g_ptr_array_remove_index(monitor->controls, i);
        }
    }
}

static void free_control(void *session)
{
    qmp_session_free(session);
}

static void free_human(void *session)
{
    human_session_free(session);
}

static struct monitor_state *monitor_of(struct machine *machine)
{
    struct monitor_state *monitor = machine->monitor;

    if (!monitor) {
        monitor = g_new0(struct monitor_state, 1);
        monitor->machine = machine;
        monitor->controls = g_ptr_array_new_with_free_func(free_control);
        monitor->humans = g_ptr_array_new_with_free_func(free_human);
        monitor->reap = event_new(machine->base, -1, 0, reap, monitor);
        machine->monitor = monitor;
        machine_add_event_listener(machine, send_event, machine);
    }
    return monitor;
}

static void accept_client(void *opaque, struct chardev *connection)
{
    struct control_listener *listener = opaque;
    struct monitor_state *monitor = listener->monitor;
    struct qmp_session *session;

    if (monitor->controls->len >= MAX_CLIENTS) {
        log_warning("monitor '%s': %d clients are connected already, another was turned away",
                    chardev_id(connection), MAX_CLIENTS);
        chardev_free(connection);
        return;
    }
    session = qmp_session_new(monitor, connection, true, listener->is_pretty, NULL);
    g_ptr_array_add(monitor->controls, session);
}

bool monitor_add_control(struct machine *machine, struct chardev *chardev, bool is_pretty,
                         GError **error)
{
    struct monitor_state *monitor = monitor_of(machine);
    struct control_listener *listener = g_new(struct control_listener, 1);
    struct qmp_session *session;

    *listener = (struct control_listener){monitor, is_pretty};
    if (chardev_accept_many(chardev, accept_client, listener, g_free)) {
        return true;
    }
    g_free(listener);
    if (chardev_is_shared(chardev)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "QMP can't share character device '%s' (mux=on) with others",
                          chardev_id(chardev));
    }
    session = qmp_session_new(monitor, chardev, false, is_pretty, error);
    if (!session) {
        return false;
    }
    g_ptr_array_add(monitor->controls, session);
    return true;
}

bool monitor_add_human(struct machine *machine, struct chardev *chardev, GError **error)
{
    struct human_session *session = human_session_new(machine, chardev, error);

    if (!session) {
        return false;
    }
    g_ptr_array_add(monitor_of(machine)->humans, session);
    return true;
}

void monitor_free(struct machine *machine)
{
    struct monitor_state *monitor = machine->monitor;

    if (!monitor) {
        return;
    }
    machine->monitor = NULL;
    event_free(monitor->reap);
    g_ptr_array_unref(monitor->controls);
    g_ptr_array_unref(monitor->humans);
    g_free(monitor);
}
