/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One client of the VNC server. All of this runs in the server's thread. */
#include "dm/vnc/rfb-message.h"
#include "dm/vnc/vnc-private.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX        32
#define MESSAGES_AT_A_TIME 256
/* Bytes that a client has not taken yet, with which it gets no new picture. */
#define BACKLOG_MAX (64 * 1024)

static enum rfb_stage stage_of(const struct vnc_client *client)
{
    switch (client->rfb->state) {
    case RFB_PROTOCOL_VERSION:
        return RFB_STAGE_VERSION;
    case RFB_SECURITY_TYPE:
        return RFB_STAGE_SECURITY;
    case RFB_AUTHENTICATION:
        return RFB_STAGE_PASSWORD;
    case RFB_INITIALISATION:
        return RFB_STAGE_INIT;
    default:
        return RFB_STAGE_NORMAL;
    }
}

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
    if (!is_gone(client)) {
        server->library->rfbCloseClient(client->rfb);
    }
    server->library->rfbClientConnectionGone(client->rfb);
    push_event(client, VNC_EVENT_GONE);
    vnc_client_info_free(client->info);
    g_free(client);
}

/* Clients whose connection the library gave up, this one or others (an exclusive one came). */
static void sweep(struct vnc_server *server)
{
    for (unsigned i = server->clients->len; i-- > 0;) {
        struct vnc_client *client = g_ptr_array_index(server->clients, i);

        if (is_gone(client)) {
            vnc_client_close(client);
        }
    }
}

/* Throw away bytes of a message that is of no interest. False: no more are there, or it is over. */
static bool skip(struct vnc_client *client)
{
    uint8_t bytes[4096];
    ssize_t count = 1;

    while (client->skip && count > 0) {
        count = recv(client->rfb->sock, bytes, MIN(client->skip, sizeof(bytes)), MSG_DONTWAIT);
        client->skip -= count > 0 ? (size_t)count : 0;
    }
    if (count == 0) {
        client->server->library->rfbCloseClient(client->rfb);
    }
    return !client->skip && count > 0;
}

/* Handle one message if all of it is there. False: nothing more can be done now. */
static bool handle_message(struct vnc_client *client)
{
    struct vnc_server *server = client->server;
    uint8_t bytes[RFB_MESSAGE_MAX];
    struct rfb_message message;
    ssize_t count;

    if (client->skip && !skip(client)) {
        return false;
    }
    count = recv(client->rfb->sock, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (count <= 0) {
        server->library->rfbCloseClient(client->rfb);
        return false;
    }
    message = rfb_message_look(stage_of(client), bytes, (size_t)count);
    switch (message.verdict) {
    case RFB_WHOLE:
        server->library->rfbProcessClientMessage(client->rfb);
        return !is_gone(client);
    case RFB_SKIP:
        client->skip = message.length;
        return true;
    case RFB_BAD:
        server->library->rfbCloseClient(client->rfb);
        return false;
    default:
        return false;
    }
}

static void note_stage(struct vnc_client *client)
{
    if (!client->initialized && !is_gone(client) && client->rfb->state == RFB_NORMAL) {
        client->initialized = true;
        push_event(client, VNC_EVENT_INITIALIZED);
    }
}

/* The event is edge-triggered: what is left half-read causes no more wake-ups until more comes. */
static void on_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct vnc_client *client = opaque;
    struct vnc_server *server = client->server;
    unsigned handled = 0;

    while (handled < MESSAGES_AT_A_TIME && handle_message(client)) {
        handled++;
        note_stage(client);
    }
    if (handled == MESSAGES_AT_A_TIME) { /* others have their turn; there may be more */
        event_active(client->readable, EV_READ, 0);
    }
    if (!is_gone(client)) {
        vnc_client_update(client);
    }
    sweep(server);
    vnc_server_wake(server);
}

void vnc_client_update(struct vnc_client *client)
{
    int backlog = 0;

    if (is_gone(client) || client->rfb->state != RFB_NORMAL) {
        return;
    }
    if (ioctl(client->rfb->sock, SIOCOUTQ, &backlog) == 0 && backlog > BACKLOG_MAX) {
        return; /* at the next tick, perhaps */
    }
    client->server->library->rfbUpdateClient(client->rfb);
}

static bool may_come(const struct vnc_server *server, int fd)
{
    /* The library keeps sets of descriptors as select() has them. */
    return fd < FD_SETSIZE && server->clients->len < CLIENTS_MAX;
}

void vnc_client_accept(struct vnc_server *server, int fd)
{
    struct vnc_client_info *info;
    struct vnc_client *client;
    rfbClientPtr rfb;

    if (!may_come(server, fd)) {
        close(fd);
        return;
    }
    info = vnc_client_info_new(fd, true);
    rfb = server->library->rfbNewClient(server->screen, fd);
    if (!rfb) { /* it has closed the socket */
        vnc_client_info_free(info);
        return;
    }
    client = g_new0(struct vnc_client, 1);
    client->server = server;
    client->rfb = rfb;
    client->number = ++server->last_number;
    client->info = info;
    client->readable =
        event_new(server->base, rfb->sock, EV_READ | EV_PERSIST | EV_ET, on_readable, client);
    rfb->clientData = client;
    g_ptr_array_add(server->clients, client);
    pthread_mutex_lock(&server->lock);
    g_ptr_array_add(server->client_infos, info);
    pthread_mutex_unlock(&server->lock);
    push_event(client, VNC_EVENT_CONNECTED);
    /* The library also speaks to web browsers, which nobody asked for. */
    if (is_gone(client) || rfb->wsctx || rfb->sslctx || event_add(client->readable, NULL) < 0) {
        vnc_client_close(client);
        return;
    }
    event_active(client->readable, EV_READ, 0); /* what came before the event was added */
}
