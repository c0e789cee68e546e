/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One client of the VNC server. All of this runs in the server's thread. */
#include "dm/vnc/vnc-private.h"

#include <event2/event.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes that a client has not taken yet, with which it gets no new picture. */
#define BACKLOG_MAX (64 * 1024)

static bool is_gone(const struct vnc_client *client)
{
    return client->rfb->sock < 0;
}

static void push_event(struct vnc_client *client, enum vnc_event_kind kind)
{
    struct vnc_event event = {
        .kind = kind,
        .client = client->number,
        .info = g_new0(struct vnc_client_info, 1),
    };

    event.info->host = g_strdup(client->info->host);
    event.info->service = g_strdup(client->info->service);
    event.info->family = g_strdup(client->info->family);
    vnc_input_push(&client->server->input, &event);
}

void vnc_client_close(struct vnc_client *client)
{
    struct vnc_server *server = client->server;

    pthread_mutex_lock(&server->lock);
    g_ptr_array_remove(server->client_infos, client->info);
    pthread_mutex_unlock(&server->lock);
    g_ptr_array_remove(server->clients, client);
    event_free(client->readable);
    close(client->watch_fd);
    if (!is_gone(client)) {
        server->library->rfbCloseClient(client->rfb);
    }
    server->library->rfbClientConnectionGone(client->rfb);
    push_event(client, VNC_EVENT_GONE);
    vnc_client_info_free(client->info);
    vnc_backlog_unref(client->backlog);
    g_free(client);
}

void vnc_client_sweep(struct vnc_server *server)
{
    for (unsigned i = server->clients->len; i-- > 0;) {
        struct vnc_client *client = g_ptr_array_index(server->clients, i);

        if (is_gone(client)) {
            vnc_client_close(client);
        }
    }
}

static void note_stage(struct vnc_client *client)
{
    if (!client->initialized && !is_gone(client) && client->rfb->state == RFB_NORMAL) {
        client->initialized = true;
        push_event(client, VNC_EVENT_INITIALIZED);
    }
}

/* A message is there, or the end. */
static void on_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct vnc_client *client = opaque;
    struct vnc_server *server = client->server;

    if (!is_gone(client)) {
        server->library->rfbProcessClientMessage(client->rfb);
    }
    note_stage(client);
    vnc_client_update(client);
    vnc_client_sweep(server);
    vnc_server_wake(server);
}

void vnc_client_update(struct vnc_client *client)
{
    size_t backlog = __atomic_load_n(&client->backlog->bytes, __ATOMIC_RELAXED);
    int queued = 0; /* what the relay has not taken yet */

    if (is_gone(client) || client->rfb->state != RFB_NORMAL) {
        return;
    }
    ioctl(client->rfb->sock, SIOCOUTQ, &queued);
    if (backlog + (size_t)queued <= BACKLOG_MAX) { /* else at the next tick, perhaps */
        client->server->library->rfbUpdateClient(client->rfb);
    }
}

void vnc_client_new(struct vnc_server *server, const struct vnc_arrival *arrival)
{
    struct vnc_client *client;
    rfbClientPtr rfb = NULL;
    /* The library closes its own whenever it likes, and the relay may get that number again before
     * the event is gone. */
    int watch_fd = fcntl(arrival->fd, F_DUPFD_CLOEXEC, 0);

    if (watch_fd >= 0 &&
        arrival->fd < FD_SETSIZE) { /* the library keeps sets of descriptors as select() has them */
        rfb = server->library->rfbNewClient(server->screen, arrival->fd);
    } else {
        close(arrival->fd);
    }
    if (!rfb) { /* the descriptor is closed */
        if (watch_fd >= 0) {
            close(watch_fd);
        }
        vnc_client_info_free(arrival->info);
        vnc_backlog_unref(arrival->backlog);
        return;
    }
    client = g_new0(struct vnc_client, 1);
    client->server = server;
    client->rfb = rfb;
    client->number = ++server->last_number;
    client->info = arrival->info;
    client->backlog = arrival->backlog;
    client->watch_fd = watch_fd;
    client->readable = event_new(server->base, watch_fd, EV_READ | EV_PERSIST, on_readable, client);
    rfb->clientData = client;
    g_ptr_array_add(server->clients, client);
    pthread_mutex_lock(&server->lock);
    g_ptr_array_add(server->client_infos, client->info);
    pthread_mutex_unlock(&server->lock);
    push_event(client, VNC_EVENT_CONNECTED);
    event_add(client->readable, NULL);
}
