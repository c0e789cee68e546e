/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the VNC server: for src/dm/vnc only. */
#ifndef DUODM_DM_VNC_VNC_PRIVATE_H
#define DUODM_DM_VNC_VNC_PRIVATE_H

#include "dm/display/display.h"
#include "dm/machine.h"
#include "dm/task-queue.h"
#include "dm/vnc/vnc-library.h"
#include "dm/vnc/vnc-relay.h"
#include "dm/vnc/vnc.h"
#include "util/own-path.h"

#include <pthread.h>

struct event;

#define VNC_PASSWORD_MAX 8 /* bytes: RFC 6143, 7.2.2 */

/* What a client did, on its way to the main loop. */
enum vnc_event_kind {
    VNC_EVENT_KEY,
    VNC_EVENT_POINTER,
    VNC_EVENT_CONNECTED,
    VNC_EVENT_INITIALIZED,
    VNC_EVENT_GONE
};
struct vnc_event {
    enum vnc_event_kind kind;
    unsigned client; /* number, never 0 */
    uint32_t keysym;
    bool down;
    unsigned buttons;             /* mask as RFB has it */
    unsigned x, y, width, height; /* place, and size of the picture that it is in */
    struct vnc_client_info *info; /* CONNECTED and the like; owned */
};

/* The main loop's part: vnc-input.c. */
struct vnc_input {
    struct machine *machine;
    struct vnc_info *server; /* for events; owned */
    unsigned *pressed;       /* for each key of the table: the client that holds it, or 0 */
    bool shift_added;        /* we hold Shift, for a keysym that needs it */
    unsigned buttons;
    bool has_place;
    unsigned x, y;

    pthread_mutex_t lock; /* of what follows */
    GQueue events;        /* of struct vnc_event */
    struct io_task task;
};

void vnc_input_init(struct vnc_input *input, struct machine *machine, struct vnc_info *server);
void vnc_input_destroy(struct vnc_input *input);
/* Hand an event over; any thread. Pointer events that follow one another become one. */
void vnc_input_push(struct vnc_input *input, const struct vnc_event *event);

/* A client that came, on its way from the relay to the server's thread. All is the receiver's. */
struct vnc_arrival {
    int fd;
    struct vnc_client_info *info;
    struct vnc_backlog *backlog;
};

struct vnc_client {
    struct vnc_server *server;
    rfbClientPtr rfb;
    struct event *readable;
    int watch_fd; /* what it watches: a duplicate of the library's descriptor */
    unsigned number;
    bool initialized; /* has seen the picture's size */
    struct vnc_client_info *info;
    struct vnc_backlog *backlog;
};

struct vnc_server {
    struct machine *machine;
    const struct vnc_library *library;
    struct vnc_options options;
    int listener;
    struct own_path own; /* of the listener, if it has a path */
    struct vnc_relay *relay;
    struct display_view *view; /* NULL: the machine shows nothing */
    uint32_t *blank;           /* is shown then */

    /* The thread's. */
    pthread_t thread;
    struct event_base *base;
    struct task_queue tasks;
    struct io_task quit_task;
    bool quit;
    rfbScreenInfoPtr screen;
    struct io_task arrivals_task;
    struct event *timer;
    GPtrArray *clients; /* of struct vnc_client */
    unsigned last_number;
    unsigned interval_ms; /* between two looks at the picture */

    pthread_mutex_t lock;    /* of what follows */
    GPtrArray *client_infos; /* of struct vnc_client_info: the clients', not owned */
    GQueue arrivals;         /* of struct vnc_arrival */
    char password[VNC_PASSWORD_MAX + 1];
    bool has_password;
    gint64 password_expiry;

    struct vnc_input input;
};

/* What QMP tells of one end of a socket: the client's (is_peer) or ours. Empty strings where the
 * host does not know. */
struct vnc_client_info *vnc_client_info_new(int fd, bool is_peer);
void vnc_client_info_free(struct vnc_client_info *info);

/* vnc-client.c, in the thread. */
void vnc_client_new(struct vnc_server *server, const struct vnc_arrival *arrival);
void vnc_client_close(struct vnc_client *client);
/* Close those whose connection the library gave up. */
void vnc_client_sweep(struct vnc_server *server);
/* Send what changed, if the client asked and has taken what was sent before. */
void vnc_client_update(struct vnc_client *client);
/* vnc-server.c: something may have happened, look at the picture soon. */
void vnc_server_wake(struct vnc_server *server);

#endif
