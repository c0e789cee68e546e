/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The back ends of a machine: made, found, attached to NICs, taken down. */
#include "dm/io-thread.h"
#include "dm/machine.h"
#include "dm/nearest-word.h"
#include "dm/net/backend.h"
#include "memory/guard.h"
#include "util/error.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

struct netdev_event {
    const char *name; /* static */
    char *data;       /* from malloc */
};

static const struct netdev_kind *const kinds[] = {
    &netdev_dgram, &netdev_socket, &netdev_stream, &netdev_tap, &netdev_user, NULL,
};

void netdev_list_kinds(FILE *out)
{
    for (unsigned i = 0; kinds[i]; i++) {
        fprintf(out, "%-8s %s\n", kinds[i]->name, kinds[i]->description);
    }
}

static const struct netdev_kind *find_kind(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(kinds)];
    g_autofree char *hint = NULL;
    unsigned i;

    for (i = 0; kinds[i]; i++) {
        if (g_str_equal(kinds[i]->name, name)) {
            return kinds[i];
        }
        names[i] = kinds[i]->name;
    }
    names[i] = NULL;
    hint = suggestion(name, names);
    duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
               "there is no network back end '%s'%s ('-netdev help' lists them)", name, hint);
    return NULL;
}

static bool check_options(const struct netdev_kind *kind, const struct key_values *options,
                          GError **error)
{
    g_autoptr(GPtrArray) valid = g_ptr_array_new();

    g_ptr_array_add(valid, (void *)"type");
    g_ptr_array_add(valid, (void *)"id");
    for (unsigned i = 0; kind->keys[i]; i++) {
        g_ptr_array_add(valid, (void *)kind->keys[i]);
    }
    g_ptr_array_add(valid, NULL);
    return key_values_check(options, (const char *const *)valid->pdata, error);
}

static bool check_id(const struct machine *machine, const char *id, GError **error)
{
    if (!id || !*id) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a network back end needs an id: add id=NAME");
    }
    for (const char *p = id; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p)) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "id '%s' may have letters, digits, '-', '.' and '_' only", id);
        }
    }
    return !netdev_find(machine, id) ||
           duodm_fail(error, DUODM_ERROR_EXISTS,
                      "there is a network back end '%s' already: choose another id", id);
}

/* Events that other threads have for the monitors. */

static void free_event(struct netdev_event *event)
{
    free(event->data);
    g_free(event);
}

static struct netdev_event *next_event(struct netdev *netdev)
{
    struct netdev_event *event;

    pthread_mutex_lock(&netdev->events_lock);
    event = g_queue_pop_head(&netdev->events);
    pthread_mutex_unlock(&netdev->events_lock);
    return event;
}

static void tell_link(struct net_client *client)
{
    if (client && client->link_changed && (!client->guard || access_guard_enter(client->guard))) {
        client->link_changed(client->opaque);
        if (client->guard) {
            access_guard_leave(client->guard);
        }
    }
}

static void send_events(evutil_socket_t fd, short what, void *opaque)
{
    struct netdev *netdev = opaque;
    struct netdev_event *event;

    while ((event = next_event(netdev))) {
        machine_emit_event(netdev->machine, event->name, event->data);
        free_event(event);
    }
    tell_link(netdev->client);
}

void netdev_emit_event(struct netdev *netdev, const char *name, json_t *data)
{
    struct netdev_event *event = g_new(struct netdev_event, 1);

    event->name = name;
    event->data = json_dumps(data, 0);
    json_decref(data);
    pthread_mutex_lock(&netdev->events_lock);
    g_queue_push_tail(&netdev->events, event);
    pthread_mutex_unlock(&netdev->events_lock);
    event_active(netdev->events_event, 0, 0);
}

/* Life. */

void netdev_make_queues(struct netdev *netdev, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        netdev->queues[i] = g_malloc0(netdev->kind->queue_size);
        net_queue_init(netdev->queues[i], netdev, i);
    }
    netdev->queue_count = count;
}

static void netdev_free(void *opaque)
{
    struct netdev *netdev = opaque;
    struct netdev_event *event;

    for (unsigned i = 0; i < netdev->queue_count; i++) {
        net_queue_destroy(netdev->queues[i]);
        g_free(netdev->queues[i]);
    }
    event_free(netdev->events_event);
    while ((event = g_queue_pop_head(&netdev->events))) {
        free_event(event);
    }
    pthread_mutex_destroy(&netdev->events_lock);
    g_free(netdev->id);
    g_free(netdev);
}

static struct netdev *new_from_list(struct machine *machine, const struct key_values *options,
                                    GError **error)
{
    const char *type = key_values_get(options, "type"), *id = key_values_get(options, "id");
    const struct netdev_kind *kind;
    struct netdev *netdev;

    if (!type) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "no kind of network back end is named ('-netdev help' lists them)");
        return NULL;
    }
    kind = find_kind(type, error);
    if (!kind || !check_options(kind, options, error) || !check_id(machine, id, error)) {
        return NULL;
    }
    if (kind->translate) {
        struct key_values *modern = kind->translate(options, error);

        netdev = modern ? new_from_list(machine, modern, error) : NULL;
        key_values_free(modern);
        return netdev;
    }
    netdev = g_malloc0(kind->instance_size);
    netdev->kind = kind;
    netdev->machine = machine;
    netdev->id = g_strdup(id);
    pthread_mutex_init(&netdev->events_lock, NULL);
    g_queue_init(&netdev->events);
    netdev->events_event = event_new(machine->base, -1, 0, send_events, netdev);
    if (!kind->open(netdev, options, error)) {
        netdev_free(netdev);
        return NULL;
    }
    g_ptr_array_add(machine->netdevs, netdev);
    return netdev;
}

struct netdev *netdev_new(struct machine *machine, const char *options, GError **error)
{
    struct key_values *list = key_values_parse(options, "type", error);
    struct netdev *netdev = list ? new_from_list(machine, list, error) : NULL;

    key_values_free(list);
    return netdev;
}

bool netdev_remove(struct netdev *netdev, GError **error)
{
    if (netdev->client) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "network back end '%s' is used by NIC '%s': remove that first",
                          netdev->id, netdev->client->name);
    }
    netdev->kind->close(netdev);
    g_ptr_array_remove(netdev->machine->netdevs, netdev);
    netdev_free(netdev);
    return true;
}

struct netdev *netdev_find(const struct machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->netdevs->len; i++) {
        struct netdev *netdev = g_ptr_array_index(machine->netdevs, i);

        if (g_str_equal(netdev->id, id)) {
            return netdev;
        }
    }
    return NULL;
}

const char *netdev_id(const struct netdev *netdev)
{
    return netdev->id;
}

bool netdev_is_attached(const struct netdev *netdev)
{
    return netdev->client != NULL;
}

unsigned netdev_queue_count(const struct netdev *netdev)
{
    return netdev->queue_count;
}

char *netdev_describe(const struct netdev *netdev)
{
    g_autofree char *rest = netdev->kind->describe(netdev);

    return g_strdup_printf("type=%s%s%s", netdev->kind->name, *rest ? "," : "", rest);
}

void netdev_warn_unused(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->netdevs->len; i++) {
        const struct netdev *netdev = g_ptr_array_index(machine->netdevs, i);

        if (!netdev->client) {
            log_warning("network back end '%s' has no NIC: add -device virtio-net-pci,netdev=%s",
                        netdev->id, netdev->id);
        }
    }
}

/* NICs. */

/* Run a function in the loop of a NIC's queues, and wait for it. */
static void call_in_loop(const struct net_client *client, void (*run)(void *opaque), void *opaque)
{
    if (client->thread) {
        io_thread_call(client->thread, run, opaque);
    } else {
        run(opaque);
    }
}

void netdev_call(struct netdev *netdev, void (*run)(void *opaque), void *opaque)
{
    if (netdev->client) {
        call_in_loop(netdev->client, run, opaque);
    } else {
        run(opaque);
    }
}

static void start_queues(void *opaque)
{
    struct netdev *netdev = opaque;
    struct io_thread *thread = netdev->client->thread;

    for (unsigned i = 0; i < netdev->queue_count; i++) {
        net_queue_start(netdev->queues[i], thread ? io_thread_base(thread) : netdev->machine->base);
    }
}

static void stop_queues(void *opaque)
{
    struct netdev *netdev = opaque;

    for (unsigned i = 0; i < netdev->queue_count; i++) {
        net_queue_stop(netdev->queues[i]);
    }
}

bool net_attach(struct net_client *client, struct netdev *netdev, GError **error)
{
    if (netdev->client) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "network back end '%s' is used by NIC '%s' already: one NIC each",
                          netdev->id, netdev->client->name);
    }
    netdev->client = client;
    client->netdev = netdev;
    call_in_loop(client, start_queues, netdev);
    return true;
}

void net_detach(struct net_client *client)
{
    struct netdev *netdev = client->netdev;

    if (netdev) {
        call_in_loop(client, stop_queues, netdev);
        netdev->client = NULL;
    }
    client->netdev = NULL;
}

void net_set_receive_offloads(struct net_client *client, unsigned offloads)
{
    struct netdev *netdev = client->netdev;

    if (netdev && netdev->kind->set_receive_offloads) {
        netdev->kind->set_receive_offloads(netdev, offloads);
    }
}

void net_set_active_queues(struct net_client *client, unsigned count)
{
    struct netdev *netdev = client->netdev;

    for (unsigned i = 0; netdev && netdev->kind->set_active && i < netdev->queue_count; i++) {
        netdev->kind->set_active(netdev->queues[i], i < count);
    }
}

/* Carrier. */

bool net_client_link_is_up(const struct net_client *client)
{
    const struct netdev *netdev = client->netdev;

    return netdev && !__atomic_load_n(&client->link_down, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&netdev->link_down, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&netdev->is_disconnected, __ATOMIC_RELAXED);
}

void net_client_set_link(struct net_client *client, bool up)
{
    __atomic_store_n(&client->link_down, !up, __ATOMIC_RELAXED);
    tell_link(client);
}

void netdev_set_link(struct netdev *netdev, bool up)
{
    __atomic_store_n(&netdev->link_down, !up, __ATOMIC_RELAXED);
    tell_link(netdev->client);
}

void netdev_set_connected(struct netdev *netdev, bool connected)
{
    __atomic_store_n(&netdev->is_disconnected, !connected, __ATOMIC_RELAXED);
    event_active(netdev->events_event, 0, 0);
}
